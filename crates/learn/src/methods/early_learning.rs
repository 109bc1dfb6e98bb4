//! Early-learning regularisation: heads learn what is right before they learn what is wrong, so
//! what they said early is remembered and held against the labels.

use burn::tensor::{Tensor, TensorData, activation::softmax};
use cleanslide_nn::losses::{CrossEntropy, Loss, early_learning_regularisation};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::{Batch, Build, Context, Learner, Method, check};
use crate::classify::Examples;
use crate::error::Result;

/// Settings of early-learning regularisation, Liu et al. (arXiv 2007.00151):
///
/// ```text
/// t <- beta * t + (1 - beta) * p'        the memory of an item, updated whenever it is seen
/// l  = cross_entropy(p, y) + lambda * log(1 - <t, p'>)
/// ```
///
/// with the clamp of [`early_learning_regularisation`]. The memory starts at 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyLearningSettings {
    /// How long the memory lasts, in [0, 1). Default 0.7 (the paper's for ten classes).
    pub beta: f64,
    /// How strongly it is held against the labels, at least 0. Default 3 (the paper's for ten
    /// classes).
    pub lambda: f64,
}

impl Default for EarlyLearningSettings {
    fn default() -> Self {
        Self {
            beta: 0.7,
            lambda: 3.0,
        }
    }
}

impl Build for EarlyLearningSettings {
    fn build(&self, examples: &Examples, _: &Context) -> Result<Learner> {
        let valid = (0.0..1.0).contains(&self.beta);
        check(
            "beta",
            self.beta,
            valid,
            "expected at least 0 and less than 1",
        )?;
        check(
            "lambda",
            self.lambda,
            self.lambda >= 0.0,
            "expected at least 0",
        )?;
        let memory = Array2::zeros(examples.targets.dim());
        Ok(EarlyLearning {
            settings: self.clone(),
            memory,
        }
        .into())
    }
}

struct EarlyLearning {
    settings: EarlyLearningSettings,
    /// What was predicted for each item, `[items, classes]`.
    memory: Array2<f32>,
}

impl EarlyLearning {
    /// Updates the memory of the items of a batch by `logits` and returns it.
    fn remember(&mut self, batch: &Batch, logits: Tensor<2>) -> Result<Tensor<2>> {
        let classes = self.memory.ncols();
        let device = logits.device();
        let p: Vec<f32> = softmax(logits.inner(), 1)
            .clamp(1e-4, 1.0 - 1e-4)
            .try_into_vec_as()?;
        let beta = self.settings.beta as f32;
        let mut recalled: Vec<f32> = Vec::with_capacity(p.len());
        for (&item, p) in batch.items.iter().zip(p.chunks_exact(classes)) {
            let total: f32 = p.iter().sum();
            let mut memory = self.memory.row_mut(item);
            memory
                .iter_mut()
                .zip(p)
                .for_each(|(t, p)| *t = beta * *t + (1.0 - beta) * p / total);
            recalled.extend(memory.iter());
        }
        let data = TensorData::new(recalled, [batch.items.len(), classes]);
        Ok(Tensor::from_data(data, &device.inner()))
    }
}

impl Method for EarlyLearning {
    fn weigh(
        &mut self,
        batch: &Batch,
        _: usize,
        logits: Tensor<2>,
        targets: Tensor<2>,
    ) -> Result<Tensor<1>> {
        let memory = self.remember(batch, logits.clone())?;
        let term = early_learning_regularisation(logits.clone(), memory);
        let loss = CrossEntropy::default().per_item(logits, targets);
        Ok(loss + term.mul_scalar(self.settings.lambda))
    }

    fn is_stationary(&self) -> bool {
        false
    }
}
