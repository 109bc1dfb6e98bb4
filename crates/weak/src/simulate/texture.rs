//! Value noise: random values on a lattice, joined smoothly, summed over octaves.

use rand::{Rng, RngExt};

/// Lattice points per side; a power of two so that wrapping around is a mask.
const SIDE: usize = 128;
const MASK: i32 = SIDE as i32 - 1;
/// More than any picture reaches to the negative side, in wavelengths.
const SHIFT: f32 = 512.37;

/// A lattice of random values in −1..1 from which any number of textures is read.
///
/// Textures of one lattice differ by their `layer`: an offset into the lattice. The lattice
/// wraps around after 128 wavelengths, which no picture reaches at a visible amplitude.
pub(super) struct Texture {
    lattice: Vec<f32>,
}

impl Texture {
    pub(super) fn new(rng: &mut impl Rng) -> Self {
        Self {
            lattice: (0..SIDE * SIDE)
                .map(|_| rng.random_range(-1.0..1.0))
                .collect(),
        }
    }

    /// One octave at a position in wavelengths; in −1..1.
    #[inline(always)]
    pub(super) fn value(&self, layer: u32, row: f32, column: f32) -> f32 {
        // Large odd steps send layers to distant parts of the lattice; `SHIFT` makes every
        // position positive, so that the cheap conversion to an integer rounds down.
        let row = row + ((layer.wrapping_mul(37) & 127) as f32 + SHIFT);
        let column = column + ((layer.wrapping_mul(59) & 127) as f32 + SHIFT);
        let (top, left) = (row as i32, column as i32);
        let down = fade(row - top as f32);
        let right = fade(column - left as f32);
        let line = |row: i32| {
            let start = ((row & MASK) as usize) * SIDE;
            let a = self.lattice[start + (left & MASK) as usize];
            let b = self.lattice[start + ((left + 1) & MASK) as usize];
            a + (b - a) * right
        };
        let (a, b) = (line(top), line(top + 1));
        a + (b - a) * down
    }

    /// Octaves of halved wavelength and amplitude; about −1..1.
    #[inline]
    pub(super) fn octaves(&self, layer: u32, count: u32, row: f32, column: f32) -> f32 {
        let (mut sum, mut amplitude, mut scale) = (0.0, 0.6, 1.0);
        for octave in 0..count {
            sum += amplitude * self.value(layer + 11 * octave, row * scale, column * scale);
            amplitude *= 0.5;
            scale *= 2.0;
        }
        sum
    }
}

/// A smooth function read from a grid: for what changes little over [`Field::SPACING`].
pub(super) struct Field {
    columns: usize,
    rows: usize,
    values: Vec<f32>,
}

impl Field {
    /// Distance of the grid's points; a power of two divides fast.
    const SPACING: f32 = 4.0;

    /// Samples `function(row, column)` from 0 to beyond `extent`.
    pub(super) fn new(extent: (f32, f32), function: impl Fn(f32, f32) -> f32) -> Self {
        let rows = (extent.0 / Self::SPACING) as usize + 3;
        let columns = (extent.1 / Self::SPACING) as usize + 3;
        let values = (0..rows * columns)
            .map(|i| {
                let (row, column) = ((i / columns) as f32, (i % columns) as f32);
                function(row * Self::SPACING, column * Self::SPACING)
            })
            .collect();
        Self {
            columns,
            rows,
            values,
        }
    }

    /// The values at the grid's points.
    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Bilinear interpolation; beyond the grid its edge goes on.
    #[inline(always)]
    pub(super) fn at(&self, row: f32, column: f32) -> f32 {
        let row = (row / Self::SPACING).clamp(0.0, (self.rows - 2) as f32);
        let column = (column / Self::SPACING).clamp(0.0, (self.columns - 2) as f32);
        let (top, left) = (row as usize, column as usize);
        let right = column - left as f32;
        let line = |row: usize| {
            let start = row * self.columns + left;
            mix(self.values[start], self.values[start + 1], right)
        };
        mix(line(top), line(top + 1), row - top as f32)
    }
}

/// Smooth step without kinks at the lattice points.
#[inline]
fn fade(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

/// Linear interpolation from `a` (at 0) to `b` (at 1).
#[inline]
pub(super) fn mix(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

/// Rises smoothly from 0 at `low` to 1 at `high`.
#[inline]
pub(super) fn smoothstep(low: f32, high: f32, x: f32) -> f32 {
    fade(((x - low) / (high - low)).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn noise_is_bounded_continuous_and_not_constant() {
        let texture = Texture::new(&mut ChaCha8Rng::seed_from_u64(1));
        let mut extremes = (f32::MAX, f32::MIN);
        for step in -4000..4000 {
            let position = step as f32 * 0.01;
            let here = texture.value(3, position, 0.7 * position);
            let there = texture.value(3, position + 0.01, 0.7 * position + 0.007);
            assert!((-1.0..=1.0).contains(&here));
            // The steepest slope of the fade is 1.5 across a difference of at most 2, per axis.
            assert!((here - there).abs() <= 3.0 * 0.017 + 1e-4);
            extremes = (extremes.0.min(here), extremes.1.max(here));
        }
        assert!(extremes.0 < -0.5 && extremes.1 > 0.5);
    }
}
