use pulp::{Simd, WithSimd};

use crate::Instructions;
use crate::normalization::{Activation, activate};

/// What becomes of the sums of a convolution, while they are still in registers.
#[derive(Debug, Clone, Copy)]
pub struct Finish<'a> {
    /// What is added, one value per channel of the result.
    pub bias: Option<&'a [f32]>,
    /// What is applied then.
    pub activation: Activation,
}

impl<'a> Finish<'a> {
    /// A bias, or nothing.
    pub fn bias(bias: Option<&'a [f32]>) -> Self {
        Self {
            bias,
            activation: Activation::Identity,
        }
    }

    /// Does it to sums that are in memory, so many of a result side by side.
    pub(super) fn apply(self, instructions: Instructions, outputs: usize, sums: &mut [f32]) {
        let Self { bias, activation } = self;
        if bias.is_none() && activation == Activation::Identity {
            return;
        }
        let zeros = vec![0.0; outputs];
        let bias = bias.unwrap_or(&zeros);
        instructions.dispatch(InMemory {
            bias,
            activation,
            sums,
        });
    }
}

struct InMemory<'a> {
    bias: &'a [f32],
    activation: Activation,
    sums: &'a mut [f32],
}

impl WithSimd for InMemory<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for row in self.sums.chunks_exact_mut(self.bias.len()) {
            each_vector!(simd, S, sum in row, bias in self.bias => {
                activate(simd, self.activation, simd.add_f32s(sum, bias))
            });
        }
    }
}

/// The activation of all sums of a tile.
#[inline(always)]
pub(super) fn activate_all<S: Simd, const ROWS: usize, const WIDTH: usize>(
    simd: S,
    activation: Activation,
    sums: &mut [[S::f32s; WIDTH]; ROWS],
) {
    if activation != Activation::Identity {
        for sum in sums.as_flattened_mut() {
            *sum = activate(simd, activation, *sum);
        }
    }
}
