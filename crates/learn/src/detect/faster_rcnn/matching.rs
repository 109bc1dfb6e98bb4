//! Which object a box is, and which boxes are learned from.

use cleanslide_data::Rectangle;
use cleanslide_nn::networks::SamplingSettings;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::detect::labels::CropLabels;

/// What a box is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::detect) enum Match {
    /// The object of this number.
    Object(usize),
    /// No object.
    Background,
    /// Nobody knows, or it is half an object.
    Neither,
}

/// What each box is: the object that it overlaps most, the first of several, if that is enough. With `closest` the
/// boxes that overlap an object most of all boxes are objects in any case, so that no object is without one
/// (torchvision's `allow_low_quality_matches`): they too are the object that they overlap most.
///
/// What is not known to be background is none.
pub(in crate::detect) fn matches(
    boxes: &[Rectangle],
    labels: &CropLabels,
    limits: &SamplingSettings,
    closest: bool,
) -> Vec<Match> {
    let objects = &labels.objects;
    let mut highest = vec![0.0f64; objects.len()];
    let mut best = Vec::with_capacity(boxes.len());
    for rectangle in boxes {
        let mut most = (0, 0.0);
        for (index, object) in objects.iter().enumerate() {
            let overlap = object.shape.iou(rectangle);
            highest[index] = highest[index].max(overlap);
            if overlap > most.1 {
                most = (index, overlap);
            }
        }
        best.push(most);
    }
    let is_closest = |rectangle: &Rectangle| {
        let mut objects = objects.iter().zip(&highest);
        closest && objects.any(|(object, &most)| most > 0.0 && object.shape.iou(rectangle) == most)
    };
    let found = boxes.iter().zip(best);
    found
        .map(|(rectangle, (object, overlap))| {
            if overlap >= limits.object || (overlap > 0.0 && is_closest(rectangle)) {
                Match::Object(object)
            } else if overlap < limits.background
                && !labels.leaves_open(rectangle, limits.background)
            {
                Match::Background
            } else {
                Match::Neither
            }
        })
        .collect()
}

/// Boxes that are learned from, in their order: at random, objects up to their share, and background up to the number
/// of samples.
pub(in crate::detect) fn sample(
    matches: &[Match],
    settings: &SamplingSettings,
    rng: &mut ChaCha8Rng,
) -> Vec<usize> {
    let places = |wanted: fn(&Match) -> bool| -> Vec<usize> {
        (0..matches.len())
            .filter(|&place| wanted(&matches[place]))
            .collect()
    };
    let mut draw = |mut places: Vec<usize>, count: usize| {
        let (chosen, _) = places.partial_shuffle(rng, count);
        chosen.to_vec()
    };
    let most = (settings.samples as f64 * settings.objects) as usize;
    let mut chosen = draw(places(|of| matches!(of, Match::Object(_))), most);
    let rest = settings.samples - chosen.len();
    chosen.extend(draw(places(|of| *of == Match::Background), rest));
    chosen.sort_unstable();
    chosen
}
