//! The forward pass of [`EmbeddingNetwork`] for frozen weights.
//!
//! Batch norms are folded into the convolutions, `w' = w γ / √(σ² + ε)`, `b' = β − μ γ / √(σ² + ε)`,
//! images are laid out as [row, column, channel] so that 1×1 convolutions are matrix products, and
//! a block runs band by band: the expanded rows that a band of output rows needs stay in the cache
//! until the depthwise convolution and the projection have consumed them. Images are independent;
//! the caller spreads them over threads.

use burn::tensor::Tensor;

use super::EmbeddingNetwork;
use super::kernels::{Activation, DepthwiseRow, PackedMatrix, Placement, Product, panel_width};
use crate::error::EncoderError;
use crate::layers::{BatchNorm, Convolution};
use crate::networks::efficientnet_lite;
use crate::operators;

/// Values of the expanded rows of a band: with the products' operands they fit the second-level
/// cache.
const BAND_VALUES: usize = 64 * 1024;

/// The buffers of one thread, reused from image to image.
#[derive(Debug, Default)]
pub struct Scratch {
    input: Vec<f32>,
    output: Vec<f32>,
    expanded: Vec<f32>,
    filtered: Vec<f32>,
}

/// A network ready for inference.
#[derive(Debug)]
pub struct Inference {
    stem: PackedMatrix,
    blocks: Vec<Block>,
    head: PackedMatrix,
}

#[derive(Debug)]
struct Block {
    expand: Option<PackedMatrix>,
    /// Shape [kernel, kernel, hidden], hidden channels filled up to whole panels.
    depthwise: Vec<f32>,
    bias: Vec<f32>,
    kernel: usize,
    stride: usize,
    project: PackedMatrix,
    inputs: usize,
    adds_input: bool,
}

/// Height and width.
type Size = (usize, usize);

/// Output size and the rows and columns of zeros before the input, as TensorFlow's SAME.
fn same_padding(length: usize, kernel: usize, stride: usize) -> (usize, usize) {
    let [before, _] = operators::same_padding(length, kernel, stride);
    (length.div_ceil(stride), before)
}

impl Inference {
    /// Folds a network; its parameters are copied.
    ///
    /// # Errors
    /// When the parameters cannot be read from their device.
    pub fn new(network: &EmbeddingNetwork) -> Result<Self, EncoderError> {
        let body = &network.body;
        let blocks = body
            .blocks
            .iter()
            .flatten()
            .map(Block::new)
            .collect::<Result<_, _>>()?;
        let stem = Folded::new(&body.conv_stem, &body.bn1)?;
        let outputs = stem.bias.len();
        Ok(Self {
            // Rows of the product are patches [kernel row, kernel column, channel].
            stem: PackedMatrix::new(
                27,
                outputs,
                |input, output| stem.weights[output * 27 + input % 3 * 9 + input / 3],
                |output| stem.bias[output],
            ),
            blocks,
            head: Folded::new(&network.conv_head, &network.bn2)?.pack(None, None),
        })
    }

    /// The length of an embedding.
    pub fn dimension(&self) -> usize {
        self.head.outputs()
    }

    /// Embeds one normalised image [height, width, 3].
    pub fn embed(
        &self,
        image: &[f32],
        height: usize,
        width: usize,
        scratch: &mut Scratch,
    ) -> Vec<f32> {
        let mut size = self.run_stem(image, (height, width), scratch);
        for block in &self.blocks {
            std::mem::swap(&mut scratch.input, &mut scratch.output);
            size = block.run(size, scratch);
        }
        let pixels = size.0 * size.1;
        let channels = self.dimension();
        scratch.expanded.resize(pixels * channels, 0.0);
        Product {
            input: &scratch.output,
            matrix: &self.head,
            activation: Activation::Relu6,
            residual: None,
            placement: Placement::contiguous(pixels),
            output: &mut scratch.expanded,
        }
        .run();
        let mut embedding = vec![0.0; channels];
        for pixel in scratch.expanded.chunks_exact(channels) {
            embedding
                .iter_mut()
                .zip(pixel)
                .for_each(|(sum, value)| *sum += value);
        }
        embedding.iter_mut().for_each(|sum| *sum /= pixels as f32);
        embedding
    }

    /// 3×3 convolution with stride 2 as a product with patches, one row of the output at a time.
    fn run_stem(&self, image: &[f32], (height, width): Size, scratch: &mut Scratch) -> Size {
        let (output_height, top) = same_padding(height, 3, 2);
        let (output_width, left) = same_padding(width, 3, 2);
        let channels = self.stem.outputs();
        let patches = &mut scratch.expanded;
        scratch
            .output
            .resize(output_height * output_width * channels, 0.0);
        let rows = scratch.output.chunks_exact_mut(output_width * channels);
        for (output_row, output) in rows.enumerate() {
            patches.clear();
            patches.resize(output_width * 27, 0.0);
            for (column, patch) in patches.as_chunks_mut::<27>().0.iter_mut().enumerate() {
                for (ky, target) in patch.as_chunks_mut::<9>().0.iter_mut().enumerate() {
                    let row = (2 * output_row + ky).wrapping_sub(top);
                    for (kx, target) in target.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                        let column = (2 * column + kx).wrapping_sub(left);
                        if row < height && column < width {
                            target.copy_from_slice(&image[(row * width + column) * 3..][..3]);
                        }
                    }
                }
            }
            Product {
                input: patches,
                matrix: &self.stem,
                activation: Activation::Relu6,
                residual: None,
                placement: Placement::contiguous(output_width),
                output,
            }
            .run();
        }
        (output_height, output_width)
    }
}

impl Block {
    fn new(block: &efficientnet_lite::Block) -> Result<Self, EncoderError> {
        let layers = block.layers();
        let (filters, norm) = layers.depthwise;
        let depthwise = Folded::new(filters, norm)?;
        let channels = depthwise.bias.len();
        let hidden = channels.next_multiple_of(panel_width());
        let [.., kernel] = filters.weight.dims();
        let filled = |values: &dyn Fn(usize) -> f32| -> Vec<f32> {
            (0..hidden)
                .map(|c| if c < channels { values(c) } else { 0.0 })
                .collect()
        };
        let taps = kernel * kernel;
        let expand = layers
            .expand
            .map(|(convolution, norm)| Folded::new(convolution, norm))
            .transpose()?;
        let (convolution, norm) = layers.project;
        Ok(Self {
            inputs: expand.as_ref().map_or(channels, |folded| folded.inputs),
            expand: expand.map(|folded| folded.pack(None, Some(hidden))),
            bias: filled(&|c| depthwise.bias[c]),
            depthwise: (0..taps)
                .flat_map(|tap| filled(&|c| depthwise.weights[c * taps + tap]))
                .collect(),
            kernel,
            stride: filters.options.stride[0],
            project: Folded::new(convolution, norm)?.pack(Some(hidden), None),
            adds_input: layers.adds_input,
        })
    }

    /// From `scratch.input` to `scratch.output`.
    fn run(&self, (height, width): Size, scratch: &mut Scratch) -> Size {
        let (kernel, stride, hidden) = (self.kernel, self.stride, self.bias.len());
        let (output_height, top) = same_padding(height, kernel, stride);
        let (output_width, left) = same_padding(width, kernel, stride);
        let padded_row = self.padded_width(width, left) * hidden;
        let band = (BAND_VALUES / padded_row).saturating_sub(kernel) / stride + 1;
        let band = band.min(output_height);
        let band_rows = (band - 1) * stride + kernel;
        let outputs = self.project.outputs();

        let Scratch {
            input,
            output,
            expanded,
            filtered,
        } = scratch;
        output.resize(output_height * output_width * outputs, 0.0);
        // The columns of padding stay zero: only pixels between them are written.
        expanded.clear();
        expanded.resize(band_rows * padded_row, 0.0);
        filtered.resize(band * output_width * hidden, 0.0);
        // Rows at the start of `expanded` that the previous band has left there.
        let mut kept = 0;
        for start in (0..output_height).step_by(band) {
            let count = band.min(output_height - start);
            let needed = (count - 1) * stride + kernel;
            let first = start * stride;
            self.expand_rows(
                (input, (height, width)),
                (first + kept).wrapping_sub(top),
                left,
                &mut expanded[kept * padded_row..needed * padded_row],
            );
            let pixels = count * output_width;
            let filtered = &mut filtered[..pixels * hidden];
            for (row, output) in filtered.chunks_exact_mut(output_width * hidden).enumerate() {
                self.filter_row(&expanded[row * stride * padded_row..], padded_row, output);
            }
            let span = start * output_width * outputs..(start * output_width + pixels) * outputs;
            Product {
                input: filtered,
                matrix: &self.project,
                activation: Activation::Identity,
                residual: self.adds_input.then(|| &input[span.clone()]),
                placement: Placement::contiguous(pixels),
                output: &mut output[span],
            }
            .run();
            let consumed = count * stride;
            kept = needed.saturating_sub(consumed);
            expanded.copy_within(consumed.min(needed) * padded_row..needed * padded_row, 0);
        }
        (output_height, output_width)
    }

    /// Writes consecutive padded rows, beginning with input row `first` (which wraps for rows above
    /// the image), into `expanded`.
    fn expand_rows(
        &self,
        (input, (height, width)): (&[f32], Size),
        first: usize,
        left: usize,
        expanded: &mut [f32],
    ) {
        let hidden = self.bias.len();
        let padded_width = self.padded_width(width, left);
        let padded_row = padded_width * hidden;
        let rows = expanded.len() / padded_row;
        // Rows above and below the image are zero; those between are expanded in one product.
        let above = if first >= height {
            first.wrapping_neg().min(rows)
        } else {
            0
        };
        let first = first.wrapping_add(above);
        let inside = height.saturating_sub(first).min(rows - above);
        expanded[..above * padded_row].fill(0.0);
        expanded[(above + inside) * padded_row..].fill(0.0);
        if inside == 0 {
            return;
        }
        let input = &input[first * width * self.inputs..(first + inside) * width * self.inputs];
        let placement = Placement {
            width,
            stride: padded_width,
            first: above * padded_width + left,
        };
        match &self.expand {
            Some(matrix) => Product {
                input,
                matrix,
                activation: Activation::Relu6,
                residual: None,
                placement,
                output: expanded,
            }
            .run(),
            None => {
                for (index, pixel) in input.chunks_exact(self.inputs).enumerate() {
                    let target = placement.target(index) * hidden;
                    expanded[target..target + self.inputs].copy_from_slice(pixel);
                }
            }
        }
    }

    fn padded_width(&self, width: usize, left: usize) -> usize {
        ((width.div_ceil(self.stride) - 1) * self.stride + self.kernel).max(left + width)
    }

    fn filter_row(&self, expanded: &[f32], padded_row: usize, output: &mut [f32]) {
        if self.kernel == 3 {
            self.filter_row_sized::<3>(expanded, padded_row, output);
        } else {
            self.filter_row_sized::<5>(expanded, padded_row, output);
        }
    }

    fn filter_row_sized<const KERNEL: usize>(
        &self,
        expanded: &[f32],
        padded_row: usize,
        output: &mut [f32],
    ) {
        DepthwiseRow::<KERNEL> {
            rows: std::array::from_fn(|row| &expanded[row * padded_row..][..padded_row]),
            weights: &self.depthwise,
            bias: &self.bias,
            stride: self.stride,
            output,
        }
        .run();
    }
}

/// A convolution [outputs, inputs, kernel, kernel] with its batch norm.
struct Folded {
    weights: Vec<f32>,
    bias: Vec<f32>,
    /// Inputs per group.
    inputs: usize,
}

impl Folded {
    fn new(convolution: &Convolution, norm: &BatchNorm) -> Result<Self, EncoderError> {
        let [outputs, inputs, ..] = convolution.weight.dims();
        let mut weights = values(convolution.weight.val())?;
        let gamma = values(norm.weight.val())?;
        let beta = values(norm.bias.val())?;
        let mean = values(norm.running_mean.value())?;
        let variance = values(norm.running_var.value())?;
        let mut bias = Vec::with_capacity(outputs);
        let per_output = weights.len() / outputs;
        for (output, weights) in weights.chunks_exact_mut(per_output).enumerate() {
            let scale =
                f64::from(gamma[output]) / (f64::from(variance[output]) + norm.epsilon).sqrt();
            weights
                .iter_mut()
                .for_each(|w| *w = (f64::from(*w) * scale) as f32);
            bias.push((f64::from(beta[output]) - f64::from(mean[output]) * scale) as f32);
        }
        Ok(Self {
            weights,
            bias,
            inputs,
        })
    }

    /// A 1×1 convolution as a matrix, filled with zeros up to the given sizes.
    fn pack(&self, inputs: Option<usize>, outputs: Option<usize>) -> PackedMatrix {
        let known = self.bias.len();
        PackedMatrix::new(
            inputs.unwrap_or(self.inputs),
            outputs.unwrap_or(known),
            |input, output| {
                let inside = input < self.inputs && output < known;
                if inside {
                    self.weights[output * self.inputs + input]
                } else {
                    0.0
                }
            },
            |output| {
                if output < known {
                    self.bias[output]
                } else {
                    0.0
                }
            },
        )
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, EncoderError> {
    tensor
        .inner()
        .try_into_vec_as()
        .map_err(|error| EncoderError::Device(error.to_string()))
}
