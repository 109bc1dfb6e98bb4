//! How far each pixel is from the region of each class.

use cleanslide_data::UNLABELLED_CLASS;
use cleanslide_image::region::distance;
use ndarray::{Array3, ArrayView2, Axis, Zip};

/// Signed distances to the regions of a class mask, `[height, width, classes]`, in pixels, centre to centre: outside
/// a region, the distance to its nearest pixel; inside, one less the distance to the nearest pixel of another class,
/// so 0 along the border and negative within (as published with the boundary loss, arXiv 1812.07032).
///
/// What is unlabelled ([`UNLABELLED_CLASS`]) belongs to no region and bounds none: distances are those to pixels that
/// are labelled, and at unlabelled pixels they are 0. A class that no labelled pixel has, or all have, has no border,
/// and distances 0. What lies beyond the edges of the mask counts for nothing.
pub fn signed_distances(mask: ArrayView2<'_, u8>, classes: usize) -> Array3<f32> {
    let (height, width) = mask.dim();
    let mut distances = Array3::zeros((height, width, classes));
    for (class, mut signed) in distances.axis_iter_mut(Axis(2)).enumerate() {
        let own = mask.mapv(|label| usize::from(label) == class);
        let other = mask.mapv(|label| label != UNLABELLED_CLASS && usize::from(label) != class);
        let some = |pixels: &ndarray::Array2<bool>| pixels.iter().any(|&pixel| pixel);
        if !some(&own) || !some(&other) {
            continue;
        }
        let to_own = distance(own.mapv(|pixel| !pixel).view());
        let to_other = distance(other.mapv(|pixel| !pixel).view());
        Zip::from(&mut signed)
            .and(&own)
            .and(&other)
            .and(&to_own)
            .and(&to_other)
            .for_each(|signed, &own, &other, &to_own, &to_other| {
                if own {
                    *signed = 1.0 - to_other;
                } else if other {
                    *signed = to_own;
                }
            });
    }
    distances
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Golden {
        classes: usize,
        mask: Vec<Vec<u8>>,
        /// Per class, row and column.
        distances: Vec<Vec<Vec<f64>>>,
    }

    /// Against the published code (`oracles/losses_boundary.py`), where every pixel is labelled.
    #[test]
    fn distances_are_the_published_ones() {
        let goldens: Vec<Golden> =
            serde_json::from_str(include_str!("../../tests/goldens/signed_distances.json"))
                .unwrap();
        assert_eq!(goldens.len(), 2);
        for golden in goldens {
            let size = (golden.mask.len(), golden.mask[0].len());
            let mask = Array2::from_shape_vec(size, golden.mask.concat()).unwrap();
            let found = signed_distances(mask.view(), golden.classes);
            for ((row, column, class), &found) in found.indexed_iter() {
                let expected = golden.distances[class][row][column];
                // Both are the root of the same integer, theirs in f64.
                assert!(
                    (f64::from(found) - expected).abs() < 1e-5,
                    "{found} {expected}"
                );
            }
        }
    }

    fn by_definition(mask: &Array2<u8>, class: u8, at: (usize, usize)) -> f64 {
        let nearest = |wanted: &dyn Fn(u8) -> bool| {
            mask.indexed_iter()
                .filter(|&(_, &label)| wanted(label))
                .map(|((row, column), _)| {
                    let [down, across] = [row.abs_diff(at.0), column.abs_diff(at.1)];
                    ((down * down + across * across) as f64).sqrt()
                })
                .min_by(f64::total_cmp)
        };
        let own = nearest(&|label| label == class);
        let other = nearest(&|label| label != class && label != UNLABELLED_CLASS);
        match (mask[at], own, other) {
            (UNLABELLED_CLASS, _, _) | (_, None, _) | (_, _, None) => 0.0,
            (label, _, Some(other)) if label == class => 1.0 - other,
            (_, Some(own), _) => own,
        }
    }

    proptest! {
        #[test]
        fn distances_are_those_to_labelled_pixels(
            labels in prop::collection::vec(prop::sample::select(vec![0, 1, 2, UNLABELLED_CLASS]), 42)
        ) {
            let mask = Array2::from_shape_vec((6, 7), labels).unwrap();
            for ((row, column, class), &found) in signed_distances(mask.view(), 3).indexed_iter() {
                let expected = by_definition(&mask, class as u8, (row, column));
                prop_assert!((f64::from(found) - expected).abs() < 1e-5);
            }
        }
    }
}
