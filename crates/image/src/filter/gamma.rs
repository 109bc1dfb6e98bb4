//! Gamma correction by a table of grey levels.
//!
//! ```text
//! table[i] = 255 · (i / 255)^gamma     i = 0 … 255
//! ```

use ndarray::{Array, ArrayView, Dimension};
use rayon::prelude::*;

use crate::error::{Result, check};
use crate::rows::{samples, slice_mut};

/// How values between two grey levels are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rounding {
    /// To the nearest level, halves to even: scikit-image's `adjust_gamma`.
    #[default]
    Nearest,
    /// Down: what assigning to a NumPy array of bytes does, and so the preprocessing of SISSI (gamma
    /// 1.5).
    Down,
}

/// What each grey level becomes. `gamma` above 1 darkens, below 1 brightens.
///
/// # Errors
/// If `gamma` is not above 0 or not finite.
pub fn gamma_table(gamma: f64, rounding: Rounding) -> Result<[u8; 256]> {
    check(
        "gamma",
        gamma,
        gamma > 0.0 && gamma.is_finite(),
        "a number above 0",
    )?;
    let mut table = [0; 256];
    for (level, value) in table.iter_mut().enumerate() {
        let exact = (level as f64 / 255.0).powf(gamma) * 255.0;
        *value = match rounding {
            Rounding::Nearest => exact.round_ties_even() as u8,
            Rounding::Down => exact as u8,
        };
    }
    Ok(table)
}

/// Looks every sample of an image up in a table.
pub fn apply_table<D: Dimension>(image: ArrayView<'_, u8, D>, table: &[u8; 256]) -> Array<u8, D> {
    let mut output = Array::zeros(image.raw_dim());
    let input = samples(image);
    slice_mut(&mut output)
        .par_iter_mut()
        .zip(&*input)
        .with_min_len(1 << 14)
        .for_each(|(output, &level)| *output = table[usize::from(level)]);
    output
}

/// Corrects an image of grey levels or colours; see [`gamma_table`].
///
/// # Errors
/// If `gamma` is not above 0 or not finite.
pub fn gamma<D: Dimension>(
    image: ArrayView<'_, u8, D>,
    gamma: f64,
    rounding: Rounding,
) -> Result<Array<u8, D>> {
    Ok(apply_table(image, &gamma_table(gamma, rounding)?))
}
