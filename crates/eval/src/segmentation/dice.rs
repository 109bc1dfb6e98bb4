//! Dice coefficient of a class: twice the common pixels over the pixels of both masks.
//!
//! L. R. Dice, "Measures of the amount of ecologic association between species", Ecology 26, 1945,
//! doi:10.2307/1932409. It is the F1 score of pixels; the mean of the pooled Dice over classes is
//! [`ConfusionMatrix::macro_f1`](crate::ConfusionMatrix::macro_f1).

use super::{ClassOverlap, EmptyCase};
use crate::confusion::ratio;
use crate::error::Error;

impl ClassOverlap {
    /// Dice coefficient, from 0 (apart) to 1 (equal).
    ///
    /// # Errors
    /// Undefined if neither mask has the class and `empty` says so.
    pub fn dice(&self, empty: EmptyCase) -> Result<f64, Error> {
        match ratio(2.0 * self.both, self.truth + self.predicted) {
            Some(dice) => Ok(dice),
            None => empty.value(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Undefined;
    use crate::weights::Weights;

    #[test]
    fn nothing_in_nothing_follows_the_rule() {
        let nothing = ClassOverlap::default();
        assert_eq!(
            nothing.dice(EmptyCase::default()),
            Err(Undefined::NoPositive.into())
        );
        assert_eq!(nothing.dice(EmptyCase::One), Ok(1.0));
        assert_eq!(nothing.iou(EmptyCase::Zero), Ok(0.0));
        let false_alarm = ClassOverlap {
            predicted: 3.0,
            ..nothing
        };
        assert_eq!(false_alarm.dice(EmptyCase::One), Ok(0.0));
    }

    #[test]
    fn pooled_is_not_the_mean() {
        let images = [
            ClassOverlap {
                both: 50.0,
                truth: 100.0,
                predicted: 100.0,
            },
            ClassOverlap {
                both: 1.0,
                truth: 1.0,
                predicted: 1.0,
            },
        ];
        let pooled = ClassOverlap::pool(&images, Weights::Equal).unwrap();
        assert_eq!(pooled.dice(EmptyCase::Undefined), Ok(102.0 / 202.0));
        assert_eq!(pooled.iou(EmptyCase::Undefined), Ok(51.0 / 151.0));
        let second = ClassOverlap::pool(&images, Weights::Counts(&[0, 3])).unwrap();
        assert_eq!(second.dice(EmptyCase::Undefined), Ok(1.0));
    }
}
