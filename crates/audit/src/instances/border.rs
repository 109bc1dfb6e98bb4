//! The band along the border of a labelled object.

use cleanslide_data::mask::UNLABELLED_OBJECT;
use cleanslide_image::region::{Statistics, distance};
use ndarray::{ArrayView2, s};

/// The pixels of the band, in raster order.
pub(super) struct Band {
    /// Row, column, and whether the pixel belongs to the object.
    pixels: Vec<((usize, usize), bool)>,
}

impl Band {
    /// The mean difference between what is labelled (1 in the object, 0 outside) and the probability of
    /// the object, less the difference that this probability expects of a right label; pixels without
    /// one are left out. `None` if none is left.
    pub(super) fn disagreement(
        &self,
        probability: impl Fn((usize, usize)) -> Option<f64>,
    ) -> Option<f64> {
        let mut sum = 0.0;
        let mut count = 0u64;
        for &(place, is_inside) in &self.pixels {
            if let Some(p) = probability(place) {
                sum += if is_inside { 1.0 - p } else { p };
                sum -= 2.0 * p * (1.0 - p);
                count += 1;
            }
        }
        (count > 0).then(|| (sum / count as f64).clamp(0.0, 1.0))
    }
}

/// The labelled pixels whose centres lie within `radius` of the nearest pixel on the other side of
/// the border. Neither the image's edge nor unlabelled pixels are another side.
pub(super) fn band(labels: ArrayView2<'_, u32>, object: &Statistics, radius: f64) -> Band {
    let (height, width) = labels.dim();
    // One pixel more than the band is wide, so that the object has another side everywhere.
    let margin = radius.ceil() as usize + 1;
    let top = object.bounds.top.saturating_sub(margin);
    let left = object.bounds.left.saturating_sub(margin);
    let bottom = object.bounds.bottom.saturating_add(margin).min(height);
    let right = object.bounds.right.saturating_add(margin).min(width);
    let part = labels.slice(s![top..bottom, left..right]);
    let is_object = |label: u32| label == object.label;
    let inside = part.mapv(|label| is_object(label) || label == UNLABELLED_OBJECT);
    let outside = part.mapv(|label| !is_object(label));
    let depth = distance(inside.view());
    let reach = distance(outside.view());
    let pixels = part
        .indexed_iter()
        .filter(|&(_, &label)| label != UNLABELLED_OBJECT)
        .filter_map(|(place, &label)| {
            let is_inside = is_object(label);
            let distance = if is_inside {
                depth[place]
            } else {
                reach[place]
            };
            (f64::from(distance) <= radius).then(|| ((top + place.0, left + place.1), is_inside))
        })
        .collect();
    Band { pixels }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cleanslide_image::region::statistics;
    use ndarray::Array2;

    #[test]
    fn a_band_lies_on_both_sides_but_not_at_the_edge_or_at_unlabelled_pixels() {
        let mut labels = Array2::<u32>::zeros((9, 9));
        labels.slice_mut(s![0..5, 2..7]).fill(3);
        labels.slice_mut(s![0..5, 7..9]).fill(UNLABELLED_OBJECT);
        let object = statistics(labels.view())[0];
        let band = band(labels.view(), &object, 1.0);
        let count = |inside: bool| band.pixels.iter().filter(|pixel| pixel.1 == inside).count();
        // Inside: the left column and the lower row; outside: as many along them.
        assert_eq!((count(true), count(false)), (5 + 4, 5 + 5));
        assert_eq!(band.disagreement(|_| None), None);
        assert_eq!(band.disagreement(|_| Some(0.0)), Some(9.0 / 19.0));
        let alone = Array2::from_elem((3, 3), 1u32);
        let object = statistics(alone.view())[0];
        assert!(super::band(alone.view(), &object, 2.0).pixels.is_empty());
    }
}
