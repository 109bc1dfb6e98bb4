//! Where images lie in an embedding, seen from their mean.

use cleanslide_audit::{AuditError, Metric, Neighbours, nearest_neighbours};
use cleanslide_nn::heads::Standardisation;
use ndarray::{Array2, ArrayView2};

/// The directions of items from their mean, of length 1, with features of the same spread, `[items, features]`: angles between
/// them say which images are alike. Of features as they are, a cosine sees the mean, and those with the largest units.
///
/// `None` if an item lies at the mean, as all do that are the same: it has no direction.
pub fn directions(features: ArrayView2<'_, f32>) -> Option<Array2<f32>> {
    let standardised = Standardisation::of(features).apply(features);
    let mut directions = Array2::from_shape_vec(features.dim(), standardised).ok()?;
    for mut row in directions.rows_mut() {
        let length = row.dot(&row).sqrt();
        if length == 0.0 {
            return None;
        }
        row /= length;
    }
    Some(directions)
}

/// The nearest neighbours of items by their directions, which labels are asked of; where one has no direction, by the features
/// as they are.
///
/// # Errors
/// Fewer than `count` other items, features that are not finite, or an item whose features are all zero.
pub fn alike(features: ArrayView2<'_, f32>, count: usize) -> Result<Neighbours, AuditError> {
    match directions(features) {
        Some(directions) => nearest_neighbours(directions.view(), count, Metric::Cosine),
        None => nearest_neighbours(features, count, Metric::Cosine),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, array};

    use super::*;

    #[test]
    fn units_of_features_do_not_count() {
        let features = array![[1.0, 10.0], [3.0, 30.0], [2.0, 80.0]];
        let other = array![[10.0, 0.1], [30.0, 0.3], [20.0, 0.8]];
        let [one, other] = [features, other].map(|of| directions(of.view()).unwrap());
        assert!(
            one.iter()
                .zip(&other)
                .all(|(one, other)| (one - other).abs() < 1e-6)
        );
        let lengths = one.map_axis(Axis(1), |row| row.dot(&row));
        assert!(lengths.iter().all(|length| (length - 1.0).abs() < 1e-6));
    }

    #[test]
    fn what_lies_at_the_mean_has_no_direction() {
        assert!(directions(array![[1.0, 2.0], [1.0, 2.0]].view()).is_none());
        assert!(directions(array![[0.0], [1.0], [2.0]].view()).is_none());
    }
}
