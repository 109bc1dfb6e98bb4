//! The two loops that [`inference`](super::inference) spends its time in: a matrix product with a packed right side, and a depthwise convolution.
//!
//! Both work on images laid out as [row, column, channel] and are written against `pulp`'s
//! portable vectors, which choose the widest instruction set of the running machine. Every output
//! element is one chain of multiply-adds in a fixed order, whatever the number of rows computed
//! together: an image's result depends neither on its batch nor on the number of threads.

use pulp::{Arch, Simd, WithSimd};

/// Vectors per panel: 6 rows × 2 vectors of accumulators fill 12 of the 16 registers of AVX2.
const PANEL_VECTORS: usize = 2;
/// Rows of a product that share each load of a panel.
const TILE_ROWS: usize = 6;
/// Output pixels of a row that share each load of a depthwise weight.
const TILE_PIXELS: usize = 4;

/// What is applied to an output element after the bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// min(max(x, 0), 6).
    Relu6,
}

/// The number of columns of a panel on this machine.
pub fn panel_width() -> usize {
    struct Width;
    impl WithSimd for Width {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            PANEL_VECTORS * S::F32_LANES
        }
    }
    Arch::new().dispatch(Width)
}

/// A matrix [inputs, outputs] and a bias, stored panel by panel so that the product reads it in
/// order. The last panel is filled with zeros.
#[derive(Debug, Clone)]
pub struct PackedMatrix {
    panels: Vec<f32>,
    bias: Vec<f32>,
    inputs: usize,
    outputs: usize,
}

impl PackedMatrix {
    /// Packs a matrix given by its elements.
    pub fn new(
        inputs: usize,
        outputs: usize,
        element: impl Fn(usize, usize) -> f32,
        bias: impl Fn(usize) -> f32,
    ) -> Self {
        let width = panel_width();
        let padded = outputs.next_multiple_of(width);
        let mut panels = Vec::with_capacity(inputs * padded);
        for panel in (0..padded).step_by(width) {
            for input in 0..inputs {
                panels.extend((panel..panel + width).map(|output| {
                    if output < outputs {
                        element(input, output)
                    } else {
                        0.0
                    }
                }));
            }
        }
        let bias = (0..padded)
            .map(|o| if o < outputs { bias(o) } else { 0.0 })
            .collect();
        Self {
            panels,
            bias,
            inputs,
            outputs,
        }
    }

    /// The number of columns of the result.
    pub fn outputs(&self) -> usize {
        self.outputs
    }
}

/// Where the rows of a product go: pixel `i` of an image `width` pixels wide is written to pixel
/// `first + (i / width) * stride + i % width`.
#[derive(Debug, Clone, Copy)]
pub struct Placement {
    /// Pixels per row of the source.
    pub width: usize,
    /// Pixels per row of the destination.
    pub stride: usize,
    /// The destination of the first pixel.
    pub first: usize,
}

impl Placement {
    /// Pixels stay where they are.
    pub fn contiguous(pixels: usize) -> Self {
        Self {
            width: pixels,
            stride: pixels,
            first: 0,
        }
    }

    /// The destination of a pixel.
    pub fn target(self, pixel: usize) -> usize {
        self.first + pixel / self.width * self.stride + pixel % self.width
    }
}

/// `output = activation(input · matrix + bias) + residual`, one row per pixel.
pub struct Product<'a> {
    /// Shape [pixels, inputs].
    pub input: &'a [f32],
    /// Shape [inputs, outputs], with the bias.
    pub matrix: &'a PackedMatrix,
    /// Applied before the residual is added.
    pub activation: Activation,
    /// Shape [pixels, outputs].
    pub residual: Option<&'a [f32]>,
    /// Where each row goes.
    pub placement: Placement,
    /// Shape [destination pixels, outputs].
    pub output: &'a mut [f32],
}

impl Product<'_> {
    /// Computes the result.
    pub fn run(self) {
        Arch::new().dispatch(self);
    }

    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize>(
        &mut self,
        simd: S,
        row: usize,
        panel: &[S::f32s],
        column: usize,
    ) {
        let inputs = self.matrix.inputs;
        let rows: [&[f32]; ROWS] =
            std::array::from_fn(|i| &self.input[(row + i) * inputs..][..inputs]);
        let bias = S::as_simd_f32s(&self.matrix.bias[column..]).0;
        let mut sums = [[bias[0], bias[1]]; ROWS];
        for (k, weights) in panel.chunks_exact(PANEL_VECTORS).enumerate().take(inputs) {
            for (sum, values) in sums.iter_mut().zip(&rows) {
                let value = simd.splat_f32s(values[k]);
                sum[0] = simd.mul_add_f32s(value, weights[0], sum[0]);
                sum[1] = simd.mul_add_f32s(value, weights[1], sum[1]);
            }
        }
        let outputs = self.matrix.outputs;
        let columns = (outputs - column).min(PANEL_VECTORS * S::F32_LANES);
        for (i, sum) in sums.into_iter().enumerate() {
            let pixel = row + i;
            let target = self.placement.target(pixel);
            let output = &mut self.output[target * outputs + column..][..columns];
            let residual = self
                .residual
                .map(|r| &r[pixel * outputs + column..][..columns]);
            store(simd, sum, self.activation, residual, output);
        }
    }
}

#[inline(always)]
fn store<S: Simd>(
    simd: S,
    sums: [S::f32s; PANEL_VECTORS],
    activation: Activation,
    residual: Option<&[f32]>,
    output: &mut [f32],
) {
    for (i, mut sum) in sums.into_iter().enumerate() {
        let start = i * S::F32_LANES;
        if start >= output.len() {
            return;
        }
        let end = (start + S::F32_LANES).min(output.len());
        if activation == Activation::Relu6 {
            sum = relu6(simd, sum);
        }
        if let Some(residual) = residual {
            sum = simd.add_f32s(sum, simd.partial_load_f32s(&residual[start..end]));
        }
        simd.partial_store_f32s(&mut output[start..end], sum);
    }
}

#[inline(always)]
fn relu6<S: Simd>(simd: S, value: S::f32s) -> S::f32s {
    simd.min_f32s(
        simd.max_f32s(value, simd.splat_f32s(0.0)),
        simd.splat_f32s(6.0),
    )
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let width = PANEL_VECTORS * S::F32_LANES;
        let inputs = self.matrix.inputs;
        let rows = self.input.len() / inputs;
        let matrix = self.matrix;
        for (index, panel) in matrix.panels.chunks_exact(inputs * width).enumerate() {
            let panel = S::as_simd_f32s(panel).0;
            let column = index * width;
            let mut row = 0;
            while row + TILE_ROWS <= rows {
                self.tile::<S, TILE_ROWS>(simd, row, panel, column);
                row += TILE_ROWS;
            }
            match rows - row {
                5 => self.tile::<S, 5>(simd, row, panel, column),
                4 => self.tile::<S, 4>(simd, row, panel, column),
                3 => self.tile::<S, 3>(simd, row, panel, column),
                2 => self.tile::<S, 2>(simd, row, panel, column),
                1 => self.tile::<S, 1>(simd, row, panel, column),
                _ => {}
            }
        }
    }
}

/// One row of a depthwise convolution with bias and ReLU6, without padding: output pixel `x` reads
/// the columns `x * stride ..` of `KERNEL` rows. Channels are a multiple of the panel width.
pub struct DepthwiseRow<'a, const KERNEL: usize> {
    /// Shape [kernel, columns, channels].
    pub rows: [&'a [f32]; KERNEL],
    /// Shape [kernel, kernel, channels].
    pub weights: &'a [f32],
    /// Shape [channels].
    pub bias: &'a [f32],
    /// Input columns per output column.
    pub stride: usize,
    /// Shape [output columns, channels].
    pub output: &'a mut [f32],
}

impl<const KERNEL: usize> DepthwiseRow<'_, KERNEL> {
    /// Computes the result.
    pub fn run(self) {
        Arch::new().dispatch(self);
    }

    #[inline(always)]
    fn tile<S: Simd, const PIXELS: usize>(&mut self, simd: S, first: usize) {
        let vectors = self.bias.len() / S::F32_LANES;
        let stride = self.stride * vectors;
        let bias = S::as_simd_f32s(self.bias).0;
        let weights = S::as_simd_f32s(self.weights).0;
        let span = ((PIXELS - 1) * self.stride + KERNEL) * vectors;
        let rows = self
            .rows
            .map(|row| &S::as_simd_f32s(row).0[first * stride..][..span]);
        let output = S::as_mut_simd_f32s(self.output).0;
        let output = &mut output[first * vectors..][..PIXELS * vectors];
        for (vector, bias) in bias.iter().enumerate() {
            let mut sums = [*bias; PIXELS];
            for (y, row) in rows.iter().enumerate() {
                for x in 0..KERNEL {
                    let weight = weights[(y * KERNEL + x) * vectors + vector];
                    for (pixel, sum) in sums.iter_mut().enumerate() {
                        let value = row[pixel * stride + x * vectors + vector];
                        *sum = simd.mul_add_f32s(value, weight, *sum);
                    }
                }
            }
            for (pixel, sum) in sums.into_iter().enumerate() {
                output[pixel * vectors + vector] = relu6(simd, sum);
            }
        }
    }
}

impl<const KERNEL: usize> WithSimd for DepthwiseRow<'_, KERNEL> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let columns = self.output.len() / self.bias.len();
        let mut first = 0;
        while first + TILE_PIXELS <= columns {
            self.tile::<S, TILE_PIXELS>(simd, first);
            first += TILE_PIXELS;
        }
        while first < columns {
            self.tile::<S, 1>(simd, first);
            first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count)
            .map(|i| ((i + seed) * 7919 % 1013) as f32 / 506.5 - 1.0)
            .collect()
    }

    fn product(input: &[f32], matrix: &PackedMatrix, residual: Option<&[f32]>) -> Vec<f32> {
        let pixels = input.len() / matrix.inputs;
        let mut output = vec![f32::NAN; pixels * matrix.outputs];
        Product {
            input,
            matrix,
            activation: Activation::Relu6,
            residual,
            placement: Placement::contiguous(pixels),
            output: &mut output,
        }
        .run();
        output
    }

    #[test]
    fn a_product_equals_its_definition_for_every_remainder() {
        for (pixels, inputs, outputs) in [(1, 1, 1), (5, 3, 8), (7, 27, 24), (13, 40, 17)] {
            let (input, weights) = (numbers(pixels * inputs, 1), numbers(inputs * outputs, 2));
            let (bias, residual) = (numbers(outputs, 3), numbers(pixels * outputs, 4));
            let matrix = PackedMatrix::new(
                inputs,
                outputs,
                |i, o| weights[i * outputs + o],
                |o| bias[o],
            );
            let ours = product(&input, &matrix, Some(&residual));
            for (index, value) in ours.iter().enumerate() {
                let (pixel, output) = (index / outputs, index % outputs);
                let sum: f64 = (0..inputs)
                    .map(|i| {
                        f64::from(input[pixel * inputs + i])
                            * f64::from(weights[i * outputs + output])
                    })
                    .sum();
                let expected =
                    (sum + f64::from(bias[output])).clamp(0.0, 6.0) + f64::from(residual[index]);
                assert!((f64::from(*value) - expected).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn a_row_of_a_product_does_not_depend_on_the_other_rows() {
        let (inputs, outputs) = (50, 40);
        let weights = numbers(inputs * outputs, 5);
        let matrix = PackedMatrix::new(inputs, outputs, |i, o| weights[i * outputs + o], |_| 0.1);
        let input = numbers(17 * inputs, 6);
        let together = product(&input, &matrix, None);
        let alone: Vec<f32> = input
            .chunks_exact(inputs)
            .flat_map(|row| product(row, &matrix, None))
            .collect();
        assert_eq!(together, alone);
    }

    #[test]
    fn a_placed_product_skips_the_padding() {
        let matrix = PackedMatrix::new(1, 1, |_, _| 1.0, |_| 0.0);
        let mut output = vec![-1.0; 8];
        Product {
            input: &[1.0, 2.0, 3.0, 4.0],
            matrix: &matrix,
            activation: Activation::Identity,
            residual: None,
            placement: Placement {
                width: 2,
                stride: 4,
                first: 1,
            },
            output: &mut output,
        }
        .run();
        assert_eq!(output, [-1.0, 1.0, 2.0, -1.0, -1.0, 3.0, 4.0, -1.0]);
    }

    #[test]
    fn a_depthwise_row_equals_its_definition() {
        let channels = panel_width();
        let (weights, bias) = (numbers(9 * channels, 7), numbers(channels, 8));
        for (stride, columns) in [(1, 1), (1, 6), (2, 5)] {
            let width = (columns - 1) * stride + 3;
            let rows: [Vec<f32>; 3] = std::array::from_fn(|y| numbers(width * channels, 9 + y));
            let mut output = vec![f32::NAN; columns * channels];
            DepthwiseRow::<3> {
                rows: std::array::from_fn(|y| rows[y].as_slice()),
                weights: &weights,
                bias: &bias,
                stride,
                output: &mut output,
            }
            .run();
            for (index, value) in output.iter().enumerate() {
                let (column, channel) = (index / channels, index % channels);
                let sum: f64 = (0..9)
                    .map(|tap| {
                        let pixel = column * stride + tap % 3;
                        f64::from(rows[tap / 3][pixel * channels + channel])
                            * f64::from(weights[tap * channels + channel])
                    })
                    .sum();
                let expected = (sum + f64::from(bias[channel])).clamp(0.0, 6.0);
                assert!((f64::from(*value) - expected).abs() < 1e-5);
            }
        }
    }
}
