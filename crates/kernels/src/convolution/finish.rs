use pulp::Simd;

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
