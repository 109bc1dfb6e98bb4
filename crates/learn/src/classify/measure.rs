//! What is measured during training.

use burn::tensor::{Device, Tensor, TensorData, activation::softmax};
use cleanslide_nn::heads::{Head, Standardisation};
use cleanslide_nn::losses::{CrossEntropy, Loss};
use ndarray::{Array2, ArrayView1, Axis};

use super::argmax;
use super::examples::{Examples, Labels, Validation};
use crate::error::Result;
use crate::methods::Method;

/// Counts predictions against labels.
pub(super) struct Tally(Array2<f64>);

impl Tally {
    pub(super) fn new(classes: usize) -> Self {
        Self(Array2::zeros((classes, classes)))
    }

    /// Counts an item by `weight` under the class of its greatest target.
    pub(super) fn add(&mut self, target: ArrayView1<f32>, probabilities: &[f32], weight: f32) {
        let given = argmax(target.iter().copied());
        let predicted = argmax(probabilities.iter().copied());
        self.0[[given, predicted]] += f64::from(weight);
    }

    /// The mean recall of the classes that occur.
    pub(super) fn balanced_accuracy(&self) -> f64 {
        let recalls = self
            .0
            .axis_iter(Axis(0))
            .enumerate()
            .filter(|(_, row)| row.sum() > 0.0);
        let recalls: Vec<f64> = recalls.map(|(k, row)| row[k] / row.sum()).collect();
        recalls.iter().sum::<f64>() / recalls.len().max(1) as f64
    }
}

/// Validation items, ready to be measured.
pub(super) struct HeldOut<'a, 'b> {
    examples: &'a Examples<'b>,
    labels: Labels,
    features: Tensor<2>,
    targets: Tensor<2>,
    weights: Tensor<1>,
}

impl<'a, 'b> HeldOut<'a, 'b> {
    pub(super) fn new(
        validation: &'a Validation<'b>,
        standardisation: &Standardisation,
        class_balance: bool,
    ) -> Result<Self> {
        let examples = &validation.examples;
        let device = Device::flex();
        let (items, width) = examples.features.dim();
        let features = standardisation.apply(examples.features.view());
        let targets: Vec<f32> = examples.targets.iter().copied().collect();
        let weights = examples.training_weights(None, class_balance)?;
        Ok(Self {
            examples,
            labels: validation.labels,
            features: Tensor::from_data(TensorData::new(features, [items, width]), &device),
            targets: Tensor::from_data(
                TensorData::new(targets, [items, examples.class_count()]),
                &device,
            ),
            weights: Tensor::from_data(TensorData::new(weights, [items]), &device),
        })
    }

    /// Cross-entropy and balanced accuracy of the mean prediction of `heads`. As in training, `method` restricts what given
    /// labels are compared with: a head may predict the truth, which is not what they say.
    pub(super) fn measure(&self, heads: &[Head], method: &dyn Method) -> Result<(f64, f64)> {
        let logits: Vec<Tensor<2>> = heads
            .iter()
            .map(|head| head.plain().forward(self.features.clone()))
            .collect();
        let Some(predicted) = mean(logits.iter().cloned()) else {
            return Ok((0.0, 0.0));
        };
        let said = match self.labels {
            Labels::Given => mean(logits.into_iter().map(|logits| method.restrict(logits))),
            Labels::Clean => None,
        };
        // The logarithm of probabilities is one of their logits.
        let said = said.unwrap_or_else(|| predicted.clone());
        let logits = said.clamp_min(f32::MIN_POSITIVE).log();
        let loss = CrossEntropy::default();
        let loss = loss.mean(logits, self.targets.clone(), self.weights.clone());
        let mut tally = Tally::new(self.examples.class_count());
        let probabilities: Vec<f32> = predicted.try_into_vec_as()?;
        let rows = probabilities.chunks_exact(self.examples.class_count());
        for (item, row) in rows.enumerate() {
            tally.add(
                self.examples.targets.row(item),
                row,
                self.examples.weights[item],
            );
        }
        Ok((
            f64::from(loss.try_into_scalar::<f32>()?),
            tally.balanced_accuracy(),
        ))
    }
}

/// The mean of the probabilities that heads give; none without heads.
fn mean(logits: impl ExactSizeIterator<Item = Tensor<2>>) -> Option<Tensor<2>> {
    let count = logits.len() as f64;
    let sum = logits
        .map(|logits| softmax(logits, 1))
        .reduce(|a, b| a + b)?;
    Some(sum.div_scalar(count))
}
