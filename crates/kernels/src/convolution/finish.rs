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

    /// Does it to sums that are in memory.
    pub(super) fn apply(self, instructions: Instructions, sums: &mut [f32]) {
        if self.bias.is_some() || self.activation != Activation::Identity {
            instructions.dispatch(InMemory { finish: self, sums });
        }
    }
}

struct InMemory<'a> {
    finish: Finish<'a>,
    sums: &'a mut [f32],
}

impl WithSimd for InMemory<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Finish { bias, activation } = self.finish;
        let Some(bias) = bias else {
            each_vector!(simd, S, sum in self.sums, => activate(simd, activation, sum));
            return;
        };
        for row in self.sums.chunks_exact_mut(bias.len()) {
            each_vector!(simd, S, sum in row, bias in bias => {
                activate(simd, activation, simd.add_f32s(sum, bias))
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
