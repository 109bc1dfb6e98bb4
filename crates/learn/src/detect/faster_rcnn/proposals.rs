//! Which boxes the second part looks at.

use cleanslide_data::{Detection, Rectangle};
use cleanslide_nn::networks::ProposalSettings;
use cleanslide_weak::fusion::boxes::NonMaximumSuppression;

use super::anchors::Anchors;
use super::box_coder::BoxCoder;
use crate::error::Result;

/// The least side of a proposal, in pixels: torchvision's.
const LEAST_SIDE: f64 = 1e-3;

/// The proposals of an image of so many rows and columns, the surest first: of each level the anchors with the highest
/// scores, moved as they say and cut off at the edges, without those that overlap a surer one of their level.
///
/// Of each anchor there is a score, before the sigmoid, and four offsets.
///
/// # Errors
/// When the suppression is out of range.
pub(in crate::detect) fn proposals(
    answers: &[[f32; 5]],
    anchors: &Anchors,
    size: [usize; 2],
    settings: &ProposalSettings,
) -> Result<Vec<Rectangle>> {
    let mut candidates = Vec::new();
    let mut start = 0;
    for (level, &count) in anchors.levels.iter().enumerate() {
        // A network that has diverged is told by its loss, not here.
        let mut places: Vec<usize> = (start..start + count)
            .filter(|&place| answers[place][0].is_finite())
            .collect();
        start += count;
        // A stable sort: of equal scores the upper row comes first.
        places.sort_by(|&one, &other| answers[other][0].total_cmp(&answers[one][0]));
        places.truncate(settings.candidates);
        candidates.extend(places.into_iter().filter_map(|place| {
            let [score, offsets @ ..] = answers[place];
            let rectangle = BoxCoder::ANCHORS.decode(&anchors.boxes[place], offsets, size)?;
            let least = rectangle.width().min(rectangle.height());
            (least >= LEAST_SIDE).then_some(Detection {
                rectangle,
                // Levels do not suppress each other.
                class: level,
                score: 1.0 / (1.0 + f64::from(-score).exp()),
            })
        }));
    }
    let suppression = NonMaximumSuppression {
        overlap: settings.suppression,
    };
    let stay = suppression.fuse(&[candidates])?;
    let surest = stay.into_iter().take(settings.kept);
    Ok(surest.map(|stays| stays.detection.rectangle).collect())
}
