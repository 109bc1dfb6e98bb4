//! Means over images, and what an image without the class counts.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Undefined};
use crate::weights::Weights;

/// What a metric of a class is where neither the truth nor the prediction has any of it (0/0).
///
/// Conventions differ, and means over images with them. MONAI's `DiceMetric` takes 1 with
/// `ignore_empty=False`; its default leaves out an image whose *truth* lacks the class, even if the
/// prediction has some, which is 0 here. scikit-learn's `jaccard_score` takes 0 (with a warning).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyCase {
    /// Undefined: means over images leave the image out.
    #[default]
    Undefined,
    /// 1, as both agree that there is nothing.
    One,
    /// 0.
    Zero,
}

impl EmptyCase {
    /// The value of 0/0.
    pub(crate) fn value(self) -> Result<f64, Error> {
        match self {
            EmptyCase::Undefined => Err(Undefined::NoPositive.into()),
            EmptyCase::One => Ok(1.0),
            EmptyCase::Zero => Ok(0.0),
        }
    }
}

/// The mean over the images on which a metric has a value.
///
/// # Errors
/// Weights that do not fit, a value that is not finite, or undefined if no image has a value.
pub fn mean_over_images(values: &[Option<f64>], weights: Weights<'_>) -> Result<f64, Error> {
    weights.check(values.len())?;
    let (mut sum, mut total) = (0.0, 0.0);
    for (item, value) in values.iter().enumerate() {
        let Some(value) = value else { continue };
        if !value.is_finite() {
            return Err(Undefined::NotFinite.into());
        }
        sum += weights.of(item) * value;
        total += weights.of(item);
    }
    if total > 0.0 {
        Ok(sum / total)
    } else {
        Err(Undefined::NoItems.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_without_a_value_are_left_out() {
        let values = [Some(0.5), None, Some(1.0)];
        assert_eq!(mean_over_images(&values, Weights::Equal), Ok(0.75));
        let weights = Weights::Counts(&[3, 7, 1]);
        assert_eq!(mean_over_images(&values, weights), Ok(0.625));
        assert!(mean_over_images(&values, Weights::Counts(&[0, 5, 0])).is_err());
        assert!(mean_over_images(&values, Weights::Counts(&[1])).is_err());
        assert!(mean_over_images(&[Some(f64::INFINITY)], Weights::Equal).is_err());
        assert!(mean_over_images(&[], Weights::Equal).is_err());
    }
}
