//! What changes between the epochs of a training, and is read by its threads meanwhile.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// A value as it is now.
#[derive(Debug, Default)]
pub(crate) struct Current<T>(RwLock<Arc<T>>);

impl<T> Current<T> {
    pub(crate) fn now(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn change(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

/// What a checkpoint remembers of labels.
pub(crate) fn memory(labels: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(labels).map_err(|error| Error::Device(error.to_string()))
}

/// What [`memory`] was made of, in the folder of a training.
pub(crate) fn remembered<T: DeserializeOwned>(memory: &[u8], folder: &Path) -> Result<T> {
    serde_json::from_slice(memory).map_err(|error| Error::Checkpoint {
        folder: folder.to_owned(),
        problem: format!("has labels that are damaged ({error}); remove it to begin anew"),
    })
}
