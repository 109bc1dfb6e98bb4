use serde::{Deserialize, Serialize};

use super::Start;
use crate::deceleration::Deceleration;
use crate::training::Progress;

/// How far a training that corrects its labels has come.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Course {
    /// The measure against the given labels after each epoch before the start.
    pub(crate) agreement: Vec<f64>,
    /// The epoch after which labels were corrected first.
    pub(crate) started: Option<usize>,
}

impl Course {
    /// Whether labels are corrected from this epoch on for the first time.
    pub(crate) fn starts(&self, start: Start, progress: Progress) -> bool {
        self.started.is_none()
            && match start {
                Start::Deceleration { threshold } => Deceleration::fit(&self.agreement)
                    .is_some_and(|fit| fit.slowed(self.agreement.len() as f64) > threshold),
                Start::Validation { patience } => progress
                    .best
                    .is_some_and(|best| progress.epoch - best >= patience),
                Start::Epoch { epoch } => progress.epoch >= epoch,
            }
    }

    /// Whether the training goes on from its best epoch, because correction starts there.
    pub(crate) fn returns_to_best(&self, start: Start, progress: Progress) -> bool {
        matches!(start, Start::Validation { .. }) && self.starts(start, progress)
    }

    /// Whether the fit to the given labels is measured.
    pub(crate) fn measures_agreement(&self, start: Start) -> bool {
        self.started.is_none() && matches!(start, Start::Deceleration { .. })
    }

    /// Starts if it is time, and says whether labels are corrected after this epoch.
    pub(crate) fn is_due(&mut self, start: Start, every: usize, progress: Progress) -> bool {
        if self.starts(start, progress) {
            self.started = Some(progress.epoch);
        }
        self.started
            .is_some_and(|started| (progress.epoch - started).is_multiple_of(every))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: usize, best: Option<usize>) -> Progress {
        Progress { epoch, best }
    }

    #[test]
    fn correction_starts_once_and_goes_on() {
        let mut course = Course {
            agreement: vec![0.1, 0.5, 0.6, 0.62, 0.62, 0.62, 0.62],
            ..Course::default()
        };
        assert!(course.starts(Start::default(), at(7, None)));
        course.agreement.truncate(3);
        assert!(!course.starts(Start::default(), at(3, None)));
        let validation = Start::Validation { patience: 3 };
        assert!(!course.starts(validation, at(6, Some(4))));
        assert!(course.returns_to_best(validation, at(7, Some(4))));
        assert!(!course.starts(validation, at(7, None)));
        let epoch = Start::Epoch { epoch: 4 };
        assert!(!course.returns_to_best(epoch, at(4, None)));
        let due: Vec<usize> = (1..12)
            .filter(|&number| course.is_due(epoch, 3, at(number, None)))
            .collect();
        assert_eq!(due, [4, 7, 10]);
        assert_eq!(course.started, Some(4));
        assert!(!course.starts(epoch, at(5, None)));
        assert!(!course.measures_agreement(Start::default()));
    }
}
