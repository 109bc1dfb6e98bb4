//! A linear classifier or a multilayer perceptron.

use burn::module::{Module, Param, ParamId};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData, TensorReadError, activation::relu};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::HeadError;

/// Widths of the hidden layers of [`HeadKind::Mlp`], those of Dedieu et al. (arXiv 2404.07605).
pub const MLP_WIDTHS: [usize; 3] = [512, 128, 64];

/// Width of the hidden layer of [`HeadKind::OneHidden`].
pub const ONE_HIDDEN_WIDTH: usize = 64;

/// The shape of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadKind {
    /// One layer: features to classes. With the cross-entropy this is logistic regression.
    #[default]
    Linear,
    /// Features to 64 to classes, with ReLU between: for a few features of very many items, such as
    /// pixels.
    OneHidden,
    /// Features to 512 to 128 to 64 to classes, with ReLU between.
    Mlp,
}

/// The numbers of one layer, `weight` row-major `[inputs, outputs]`.
pub(super) struct LayerValues {
    pub inputs: usize,
    pub outputs: usize,
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

/// A stack of fully connected layers with ReLU between them: features `[items, features]` to
/// logits `[items, classes]`.
#[derive(Module, Debug)]
pub struct Head {
    layers: Vec<Linear>,
}

impl Head {
    /// A head with random weights from `rng`: weights and biases of a layer are uniform in
    /// plus and minus `1 / sqrt(inputs)`, as in PyTorch's `nn.Linear`.
    pub fn new(
        kind: HeadKind,
        features: usize,
        classes: usize,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Self {
        let hidden: &[usize] = match kind {
            HeadKind::Linear => &[],
            HeadKind::OneHidden => &[ONE_HIDDEN_WIDTH],
            HeadKind::Mlp => &MLP_WIDTHS,
        };
        let widths: Vec<usize> = [features]
            .into_iter()
            .chain(hidden.iter().copied())
            .chain([classes])
            .collect();
        let layers: Vec<_> = widths
            .windows(2)
            .map(|pair| {
                let (inputs, outputs) = (pair[0], pair[1]);
                let bound = 1.0 / (inputs as f32).sqrt();
                let mut draw = |count: usize| -> Vec<f32> {
                    (0..count)
                        .map(|_| rng.random_range(-bound..=bound))
                        .collect()
                };
                let weight = draw(inputs * outputs);
                LayerValues {
                    inputs,
                    outputs,
                    weight,
                    bias: draw(outputs),
                }
            })
            .collect();
        Self::from_layers(layers.into_iter(), device)
    }

    /// A head of these layers. Parameters are numbered in order, so that the states that an
    /// optimiser keeps for heads of one shape are interchangeable.
    pub(super) fn from_layers(layers: impl Iterator<Item = LayerValues>, device: &Device) -> Self {
        let layers = layers.enumerate().map(|(i, layer)| {
            let weight = TensorData::new(layer.weight, [layer.inputs, layer.outputs]);
            let weight = Tensor::from_data(weight, device);
            let bias = TensorData::new(layer.bias, [layer.outputs]);
            let bias = Tensor::from_data(bias, device);
            let id = |number: usize| ParamId::from(number as u64 + 1);
            Linear {
                weight: Param::initialized(id(2 * i), trainable(weight)),
                bias: Some(Param::initialized(id(2 * i + 1), trainable(bias))),
            }
        });
        Self {
            layers: layers.collect(),
        }
    }

    /// The numbers of its layers.
    ///
    /// # Errors
    /// [`HeadError::Device`] if the device cannot give them back.
    pub(super) fn to_layers(&self) -> Result<Vec<LayerValues>, HeadError> {
        let failed = |error: TensorReadError| HeadError::Device(error.to_string());
        self.layers
            .iter()
            .map(|layer| {
                let [inputs, outputs] = layer.weight.dims();
                let weight = layer
                    .weight
                    .val()
                    .inner()
                    .try_into_vec_as()
                    .map_err(failed)?;
                let bias = match &layer.bias {
                    Some(bias) => bias.val().inner().try_into_vec_as().map_err(failed)?,
                    None => vec![0.0; outputs],
                };
                Ok(LayerValues {
                    inputs,
                    outputs,
                    weight,
                    bias,
                })
            })
            .collect()
    }

    /// The same head without automatic differentiation: for prediction.
    pub fn plain(&self) -> Self {
        self.clone().valid()
    }

    /// The logits `[items, classes]` of features `[items, features]`.
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        self.forward_with(features, |hidden| hidden)
    }

    /// Like [`Head::forward`], with `between` applied to the output of every hidden layer, after
    /// its ReLU: where dropout goes in training.
    pub fn forward_with(
        &self,
        features: Tensor<2>,
        mut between: impl FnMut(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let last = self.layers.len() - 1;
        let hidden = self.layers[..last].iter().fold(features, |values, layer| {
            between(relu(layer.forward(values)))
        });
        self.layers[last].forward(hidden)
    }

    /// The layers, from features to classes.
    pub fn layers(&self) -> &[Linear] {
        &self.layers
    }

    /// Its shape.
    pub fn kind(&self) -> HeadKind {
        match self.layers.len() {
            1 => HeadKind::Linear,
            2 => HeadKind::OneHidden,
            _ => HeadKind::Mlp,
        }
    }

    /// Number of features it takes.
    pub fn features(&self) -> usize {
        self.layers[0].weight.dims()[0]
    }

    /// Number of classes it tells apart.
    pub fn classes(&self) -> usize {
        self.layers[self.layers.len() - 1].weight.dims()[1]
    }
}

/// Asks for gradients where the device can give them.
fn trainable<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.device().is_autodiff() {
        tensor.require_grad()
    } else {
        tensor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn head(kind: HeadKind, seed: u64) -> Head {
        Head::new(
            kind,
            20,
            3,
            &mut ChaCha8Rng::seed_from_u64(seed),
            &Device::flex(),
        )
    }

    fn weights(head: &Head) -> Vec<f32> {
        head.layers
            .iter()
            .flat_map(|l| l.weight.val().into_data().try_to_vec().unwrap())
            .collect()
    }

    #[test]
    fn has_the_widths_of_the_paper() {
        let widths: Vec<[usize; 2]> = head(HeadKind::Mlp, 0)
            .layers
            .iter()
            .map(|l| l.weight.dims())
            .collect();
        assert_eq!(widths, [[20, 512], [512, 128], [128, 64], [64, 3]]);
        assert_eq!(head(HeadKind::Linear, 0).layers.len(), 1);
    }

    #[test]
    fn weights_depend_on_the_seed_alone_and_fill_their_range() {
        assert_eq!(
            weights(&head(HeadKind::Mlp, 5)),
            weights(&head(HeadKind::Mlp, 5))
        );
        assert_ne!(
            weights(&head(HeadKind::Mlp, 5)),
            weights(&head(HeadKind::Mlp, 6))
        );
        let first = head(HeadKind::Mlp, 5).layers[0].weight.val();
        let first: Vec<f32> = first.into_data().try_to_vec().unwrap();
        let bound = 1.0 / 20f32.sqrt();
        assert!(first.iter().all(|w| w.abs() <= bound));
        // 10,240 uniform draws: their variance is bound^2 / 3 with a relative error of about 1 %.
        let variance = first.iter().map(|w| w * w).sum::<f32>() / first.len() as f32;
        assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 0.05);
    }

    #[test]
    fn computes_layers_with_relu_between() {
        let device = Device::flex();
        let layer = |inputs, outputs, weight, bias| LayerValues {
            inputs,
            outputs,
            weight,
            bias,
        };
        let layers = [
            layer(2, 2, vec![1.0, 0.0, 0.0, 1.0], vec![0.0, -1.0]),
            layer(2, 1, vec![10.0, 100.0], vec![0.5]),
        ];
        let head = Head::from_layers(layers.into_iter(), &device);
        let input = Tensor::from_floats([[2.0, 0.5], [-1.0, 3.0]], &device);
        let output: Vec<f32> = head.forward(input).into_data().try_to_vec().unwrap();
        assert_eq!(output, [20.5, 200.5]);
    }
}
