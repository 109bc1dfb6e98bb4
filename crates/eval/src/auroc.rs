//! Area under the receiver operating characteristic (AUROC, ROC AUC, c statistic).
//!
//! J. A. Hanley, B. J. McNeil, "The meaning and use of the area under a receiver operating
//! characteristic (ROC) curve", Radiology 143 (1982), doi:10.1148/radiology.143.1.7063747.
//!
//! ```text
//! AUROC = P(score of a positive item > score of a negative item) + ½ P(equal)
//! ```

use crate::error::{Error, Undefined};
use crate::ranking::{OneVsRest, Ranking};
use crate::weights::Weights;

impl Ranking {
    /// AUROC; equal scores count half.
    ///
    /// # Errors
    /// Weights that do not fit, or undefined without a positive or without a negative item.
    pub fn auroc(&self, weights: Weights<'_>) -> Result<f64, Error> {
        let (mut above, mut ordered) = (0.0, 0.0);
        let (positives, negatives) = self.each_block(weights, |positive, negative| {
            ordered += negative * (above + 0.5 * positive);
            above += positive;
        })?;
        if positives <= 0.0 {
            return Err(Undefined::NoPositive.into());
        }
        if negatives <= 0.0 {
            return Err(Undefined::NoNegative.into());
        }
        Ok(ordered / (positives * negatives))
    }
}

impl OneVsRest {
    /// AUROC of each ranked class against the rest; `None` where undefined.
    ///
    /// # Errors
    /// Weights that do not fit.
    pub fn auroc_per_class(&self, weights: Weights<'_>) -> Result<Vec<Option<f64>>, Error> {
        self.per_class(|ranking| ranking.auroc(weights))
    }

    /// Mean AUROC over the classes (one versus rest, macro).
    ///
    /// # Errors
    /// Weights that do not fit, or undefined: a class is absent from the truth or alone in it.
    pub fn macro_auroc(&self, weights: Weights<'_>) -> Result<f64, Error> {
        self.mean(|ranking| ranking.auroc(weights))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn one_class_is_undefined_not_a_half() {
        let auroc = |positive: &[bool]| {
            Ranking::new(positive, &[0.1, 0.2])
                .unwrap()
                .auroc(Weights::Equal)
        };
        assert_eq!(auroc(&[true, true]), Err(Undefined::NoNegative.into()));
        assert_eq!(auroc(&[false, false]), Err(Undefined::NoPositive.into()));
        assert_eq!(
            auroc(&[false, false]).unwrap_err().to_string(),
            "the metric is undefined: there is no positive item"
        );
    }

    #[test]
    fn equal_scores_are_a_half() {
        let ranking = Ranking::new(&[true, false, true], &[0.5; 3]).unwrap();
        assert_eq!(ranking.auroc(Weights::Equal), Ok(0.5));
    }

    #[test]
    fn an_absent_class_is_named_and_can_be_left_out() {
        let scores = array![[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.4, 0.5, 0.1]];
        let rest = OneVsRest::new(&[0, 1, 0], scores.view()).unwrap();
        assert_eq!(
            rest.macro_auroc(Weights::Equal),
            Err(Undefined::AbsentClass { class: 2 }.into())
        );
        assert_eq!(
            rest.auroc_per_class(Weights::Equal).unwrap(),
            [Some(1.0), Some(1.0), None]
        );
        let rest = rest.present_classes_only();
        assert_eq!(rest.classes().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(rest.macro_auroc(Weights::Equal), Ok(1.0));
    }

    #[test]
    fn weights_of_another_length_are_an_error() {
        let ranking = Ranking::new(&[true, false], &[0.1, 0.2]).unwrap();
        assert!(matches!(
            ranking.auroc(Weights::Counts(&[1])),
            Err(Error::LengthsDiffer { .. })
        ));
    }
}
