//! What training leaves: something that predicts, and how it came about.

use cleanslide_nn::heads::TrainedHeads;
use ndarray::{Array2, ArrayView2};

use super::history::History;
use crate::error::Result;
use crate::methods::Voters;

/// Something that predicts classes from features.
#[derive(Debug, Clone)]
pub enum Model {
    /// Trained heads.
    Heads(TrainedHeads),
    /// Training items that vote (WANN).
    Neighbours(Voters),
}

impl Model {
    /// Probabilities `[items, classes]` of `features` `[items, features]`.
    ///
    /// # Errors
    /// Features of another width than those of the training.
    pub fn predict(&self, features: ArrayView2<f32>) -> Result<Array2<f32>> {
        match self {
            Self::Heads(heads) => Ok(heads.predict(features)?),
            Self::Neighbours(voters) => voters.predict(features),
        }
    }

    /// The model as a safetensors file; equal models give equal bytes.
    ///
    /// # Errors
    /// The library refuses to write it.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        match self {
            Self::Heads(heads) => Ok(heads.to_bytes()?),
            Self::Neighbours(voters) => voters.to_bytes(),
        }
    }

    /// Reads what [`Model::to_bytes`] wrote.
    ///
    /// # Errors
    /// A damaged or foreign file; the message says what is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        match Voters::from_bytes(bytes)? {
            Some(voters) => Ok(Self::Neighbours(voters)),
            None => Ok(Self::Heads(TrainedHeads::from_bytes(bytes)?)),
        }
    }

    /// Names of the classes, in the order of the columns of predictions.
    pub fn classes(&self) -> &[String] {
        match self {
            Self::Heads(heads) => &heads.classes,
            Self::Neighbours(voters) => voters.classes(),
        }
    }

    /// Number of features per item that it takes.
    pub fn features(&self) -> usize {
        match self {
            Self::Heads(heads) => heads.features(),
            Self::Neighbours(voters) => voters.features(),
        }
    }
}

/// A model and the history of its training.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// What predicts.
    pub model: Model,
    /// How training went.
    pub history: History,
}

impl Fitted {
    /// Probabilities `[items, classes]` of `features` `[items, features]`.
    ///
    /// # Errors
    /// Features of another width than those of the training.
    pub fn predict(&self, features: ArrayView2<f32>) -> Result<Array2<f32>> {
        self.model.predict(features)
    }
}
