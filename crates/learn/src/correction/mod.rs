//! Labels that are corrected by the network that learns from them: when that begins, what becomes of all that it did
//! not find, and what became of each label. How boxes are corrected is in [`detect::correction`], how masks of objects
//! are in [`segment::correction`].
//!
//! [`detect::correction`]: crate::detect::correction
//! [`segment::correction`]: crate::segment::correction

mod background;
mod changes;
mod course;
mod files;
mod given;
mod record;
mod start;
mod synthetic;

pub use background::Background;
pub(crate) use changes::changes;
pub use changes::{Change, ChangeCounts};
use course::Course;
pub(crate) use files::{CORRECTIONS, EpochFiles};
pub use given::GivenLabels;
pub(crate) use record::Record;
pub use start::Start;
pub(crate) use synthetic::{inside, synthetic};

/// What is noted of each epoch in which the given labels are learned from, where their fit decides the start.
pub const AGREEMENT: &str = "agreement with the given labels";

/// What is noted of each epoch after which labels were corrected: how many objects there are.
pub const CORRECTED: &str = "corrected objects";

use crate::error::{Error, Result};
use crate::training::TrainSettings;

/// Refuses a training that does not go with corrections that begin so.
pub(crate) fn check_training(start: Start, train: &TrainSettings) -> Result<()> {
    if train.patience > 0 {
        let reason =
            "labels that change are not stopped by a validation; leave it out, or [correction]";
        return wrong("patience", train.patience, reason);
    }
    if matches!(start, Start::Validation { .. }) && train.validation == 0.0 {
        let reason =
            "[correction] starts by a validation; keep a share of the cases for it, such as 0.2";
        return wrong("validation", 0, reason);
    }
    Ok(())
}

/// Refuses scores that are none.
pub(crate) fn check_score(name: &'static str, score: f64) -> Result<()> {
    if (0.0..1.0).contains(&score) {
        return Ok(());
    }
    wrong(name, score, "expected at least 0 and less than 1")
}

/// Refuses none.
pub(crate) fn check_count(name: &'static str, count: usize) -> Result<()> {
    if count > 0 {
        return Ok(());
    }
    wrong(name, count, "expected at least 1")
}

/// Refuses a setting.
pub(crate) fn wrong<T>(name: &'static str, value: impl ToString, reason: &str) -> Result<T> {
    Err(Error::Setting {
        name,
        value: value.to_string(),
        reason: reason.to_owned(),
    })
}
