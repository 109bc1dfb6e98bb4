//! Bootstrapping: labels mixed with what the network itself predicts.

use burn::tensor::{Int, Tensor, activation::softmax};
use serde::{Deserialize, Serialize};

use super::{CrossEntropy, Loss};

/// What of a prediction labels are mixed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prediction {
    /// Its probabilities.
    #[default]
    Soft,
    /// Its most probable class; of several, the first.
    Hard,
}

/// Bootstrapping of Reed et al. (arXiv 1412.6596):
///
/// ```text
/// l(p, y) = cross_entropy(p, beta * y + (1 - beta) * t)        soft: t = p        hard: t = 1 at argmax p
/// ```
///
/// `t` is a constant in the gradient. (In the paper it is one for hard bootstrapping; with the gradient through a
/// soft `t` the loss would also reward predictions for being certain.) Soft targets are mixed as they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrapping {
    /// How far labels are believed, in [0, 1]; at 1 it is the cross-entropy. Default 0.8.
    pub beta: f64,
    /// What they are mixed with. Default soft.
    pub prediction: Prediction,
}

impl Default for Bootstrapping {
    fn default() -> Self {
        Self {
            beta: 0.8,
            prediction: Prediction::default(),
        }
    }
}

impl Bootstrapping {
    /// The targets `[items, classes]`, mixed with what `logits` `[items, classes]` predict, without a gradient.
    pub fn mixed(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<2> {
        let logits = logits.detach();
        let own = match self.prediction {
            Prediction::Soft => softmax(logits, 1),
            Prediction::Hard => {
                let shape = logits.shape();
                let classes = Tensor::<1, Int>::arange(0..shape[1] as i64, &logits.device())
                    .unsqueeze_dim::<2>(0)
                    .expand(shape.clone());
                logits.argmax(1).expand(shape).equal(classes).float()
            }
        };
        targets.mul_scalar(self.beta) + own.mul_scalar(1.0 - self.beta)
    }
}

impl Loss for Bootstrapping {
    fn per_item(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let targets = self.mixed(logits.clone(), targets);
        CrossEntropy::default().per_item(logits, targets)
    }
}
