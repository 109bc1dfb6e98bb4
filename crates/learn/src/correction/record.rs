use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{AGREEMENT, CORRECTED, Course, Start};
use crate::current::{Current, memory, remembered};
use crate::error::Result;
use crate::training::{Interlude, Progress};

/// All that a training has corrected so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Corrections<L> {
    /// How far it has come.
    pub(crate) course: Course,
    /// The labels that are learned from now; as good as none before the start.
    pub(crate) labels: L,
}

/// Corrections that change between epochs only.
#[derive(Debug, Default)]
pub(crate) struct Record<L>(Current<Corrections<L>>);

impl<L: Clone + Serialize + DeserializeOwned> Record<L> {
    /// As they are now.
    pub(crate) fn now(&self) -> Arc<Corrections<L>> {
        self.0.now()
    }

    /// What is done after an epoch: `measure` says how well the given labels are fitted, as long as that decides the
    /// start; `correct` gives other labels, and how many objects they have, when they are due.
    pub(crate) fn after_epoch<F>(
        &self,
        (start, every): (Start, usize),
        progress: Progress,
        measure: impl FnOnce() -> Result<f64, F>,
        correct: impl FnOnce() -> Result<(L, usize), F>,
    ) -> Result<Interlude, F> {
        let mut interlude = Interlude::default();
        let mut now = (*self.now()).clone();
        if now.course.measures_agreement(start) {
            let agreement = measure()?;
            now.course.agreement.push(agreement);
            interlude.note(AGREEMENT, agreement);
        }
        if now.course.is_due(start, every, progress) {
            let (labels, objects) = correct()?;
            now.labels = labels;
            interlude.note(CORRECTED, objects as f64);
        }
        self.0.change(now);
        Ok(interlude)
    }

    /// For a checkpoint.
    pub(crate) fn memory(&self) -> Result<Vec<u8>> {
        memory(&*self.now())
    }

    /// Goes on with what [`Record::memory`] gave, in the folder of a training.
    pub(crate) fn remember(&self, memory: &[u8], folder: &Path) -> Result<()> {
        self.0.change(remembered(memory, folder)?);
        Ok(())
    }
}
