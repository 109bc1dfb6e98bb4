use burn::tensor::Tensor;
use cleanslide_kernels::channels;

use super::custom::{Keeps, Kept, Operator, Values, binary, is_cpu};
use super::memory;

/// Images of the same size, `[n, height, width, channels]` and `[n, height, width, channels']`, to
/// `[n, height, width, channels + channels']`.
///
/// # Panics
/// When sizes differ.
pub fn join(first: Tensor<4>, second: Tensor<4>) -> Tensor<4> {
    if !is_cpu(&first.device()) {
        return Tensor::cat(vec![first, second], 3);
    }
    let ([n, height, width, left], [.., right]) = (first.dims(), second.dims());
    let operator = Join {
        size: [n, height, width],
        channels: [left, right],
    };
    binary(operator, first, second)
}

/// The same of any number of images, in order.
///
/// # Panics
/// When sizes differ, or there is no image.
pub fn join_all(mut images: Vec<Tensor<4>>) -> Tensor<4> {
    let first = images.remove(0);
    images.into_iter().fold(first, join)
}

#[derive(Debug, Clone, Copy)]
struct Join {
    size: [usize; 3],
    channels: [usize; 2],
}

impl Operator<2> for Join {
    const KEEPS: Keeps = Keeps::Nothing;

    fn forward(&self, [first, second]: [&[f32]; 2]) -> Values {
        let mut values = memory::take(first.len() + second.len());
        channels::join(first, second, self.channels, &mut values);
        let [n, height, width] = self.size;
        Values {
            values,
            shape: vec![n, height, width, self.channels.iter().sum()],
        }
    }

    fn backward(&self, _: Kept<'_, 2>, gradient: &[f32], _: [bool; 2]) -> [Option<Vec<f32>>; 2] {
        let pixels: usize = self.size.iter().product();
        let [mut first, mut second] = self
            .channels
            .map(|channels| memory::take(pixels * channels));
        channels::part(gradient, self.channels, &mut first, &mut second);
        [Some(first), Some(second)]
    }
}
