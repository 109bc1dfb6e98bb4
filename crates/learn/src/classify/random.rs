//! Everything random in training.

use burn::tensor::{Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The streams of random numbers of one training; each is independent of the others.
pub(super) enum Stream {
    /// Initial weights of this head.
    Weights(usize),
    /// Order, jitter and dropout of this epoch.
    Epoch(usize),
}

impl Stream {
    /// The generator of this stream.
    pub(super) fn rng(self, seed: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(match self {
            Self::Weights(head) => head as u64,
            Self::Epoch(epoch) => (1 << 32) + epoch as u64,
        });
        rng
    }
}

/// Sets each value to 0 with probability `share` and scales the others up to keep the mean.
pub(super) fn drop_out(hidden: Tensor<2>, share: f64, rng: &mut ChaCha8Rng) -> Tensor<2> {
    if share == 0.0 {
        return hidden;
    }
    let [items, width] = hidden.dims();
    let scale = (1.0 / (1.0 - share)) as f32;
    let draw = |_| if rng.random_bool(share) { 0.0 } else { scale };
    let mask: Vec<f32> = (0..items * width).map(draw).collect();
    let mask = TensorData::new(mask, [items, width]);
    let device = hidden.device().inner();
    hidden * Tensor::from_data(mask, &device)
}
