use std::collections::BTreeMap;

use burn::module::Module;
use cleanslide_nn::weights::Weights;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The entry of the file's metadata.
const ENTRY: &str = "cleanslide";

/// What is in the file of a trained network besides its parameters, which have PyTorch's names and layouts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetworkFile<C> {
    /// What it predicts.
    pub(crate) kind: String,
    /// The network and its sizes.
    pub(crate) network: C,
    /// The classes that it knows.
    pub(crate) classes: Vec<String>,
}

/// What can be told of any such file.
#[derive(Deserialize)]
struct Kind {
    kind: String,
}

impl<C: Serialize + DeserializeOwned> NetworkFile<C> {
    /// The content of a safetensors file.
    pub(crate) fn to_bytes<N: Module>(&self, network: &N) -> Result<Vec<u8>> {
        let text = serde_json::to_string(self).map_err(|error| Error::Device(error.to_string()))?;
        let metadata = BTreeMap::from([(ENTRY.to_owned(), text)]);
        Ok(Weights::to_bytes(network, metadata, str::to_owned)?)
    }

    /// Reads such a file of a network that predicts `kind`; `file` is its name in messages.
    ///
    /// # Errors
    /// When it is damaged, or holds something else.
    pub(crate) fn from_bytes(bytes: &[u8], file: &str, kind: &str) -> Result<(Self, Weights)> {
        let wrong = |problem: String| Error::NetworkFile {
            file: file.to_owned(),
            problem,
        };
        let weights = Weights::from_bytes(bytes, file)?;
        let text = weights
            .metadata(ENTRY)
            .ok_or_else(|| wrong("it says nothing of classes and network".into()))?;
        let found: Kind = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if found.kind != kind {
            return Err(wrong(format!(
                "it predicts {}, and {kind} are asked for",
                found.kind
            )));
        }
        let description = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        Ok((description, weights))
    }
}
