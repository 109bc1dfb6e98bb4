//! Edges and blobs at several scales.
//!
//! Lindeberg, *Feature detection with automatic scale selection*, International Journal of Computer
//! Vision 30 (1998) 79–116, doi 10.1023/A:1008045108935.
//!
//! ```text
//! L         image ∗ Gaussian(σ), cut off at 4σ, borders replicated
//! gradient  σ |∇L|     central differences
//! blob      σ² ∇²L     five-point Laplacian
//! ```

use pulp::{Arch, Simd, WithSimd};

use super::plane::Plane;
use super::statistics::Sums;

/// The energies, in the order of [`energies`].
pub const ENERGIES: [&str; 3] = [
    "gradient mean",
    "blob mean magnitude",
    "blob standard deviation",
];

/// Mean of the gradient, mean magnitude and standard deviation of the blob response.
pub fn energies(image: &Plane<f32>, sigma: f32) -> [f32; ENERGIES.len()] {
    Arch::new().dispatch(Energies { image, sigma })
}

/// Convolution with a normalised Gaussian.
#[inline(always)]
fn gaussian(image: &Plane<f32>, sigma: f32) -> Plane<f32> {
    let kernel = gaussian_kernel(sigma);
    filter_columns(&filter_rows(image, &kernel), &kernel)
}

/// A `WithSimd` so that the loops are compiled for the machine's vectors.
struct Energies<'a> {
    image: &'a Plane<f32>,
    sigma: f32,
}

impl WithSimd for Energies<'_> {
    type Output = [f32; ENERGIES.len()];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let smooth = gaussian(self.image, self.sigma);
        let (width, height) = (smooth.width, smooth.height);
        let mut padded = vec![0.0; width + 2];
        let (mut gradients, mut blobs) = (vec![0.0; width], vec![0.0; width]);
        let (mut gradient, mut magnitude, mut blob) =
            (Sums::default(), Sums::default(), Sums::default());
        for y in 0..height {
            let row = smooth.row(y);
            padded[0] = row[0];
            padded[1..=width].copy_from_slice(row);
            padded[width + 1] = row[width - 1];
            let (left, right) = (&padded[..width], &padded[2..][..width]);
            let above = smooth.row(y.saturating_sub(1));
            let below = smooth.row((y + 1).min(height - 1));
            for x in 0..width {
                let (dx, dy) = ((right[x] - left[x]) / 2.0, (below[x] - above[x]) / 2.0);
                gradients[x] = (dx * dx + dy * dy).sqrt();
                blobs[x] = (left[x] + right[x]) + (above[x] + below[x]) - 4.0 * row[x];
            }
            for x in 0..width {
                gradient.add(gradients[x]);
                magnitude.add(blobs[x].abs());
                blob.add(blobs[x]);
            }
        }
        let (sigma, square) = (f64::from(self.sigma), f64::from(self.sigma).powi(2));
        [
            sigma * gradient.mean(),
            square * magnitude.mean(),
            square * blob.deviation(),
        ]
        .map(|energy| energy as f32)
    }
}

fn gaussian_kernel(sigma: f32) -> Vec<f32> {
    let radius = (4.0 * sigma + 0.5) as i32;
    let weight = |i: i32| (-0.5 * (f64::from(i) / f64::from(sigma)).powi(2)).exp();
    let total: f64 = (-radius..=radius).map(weight).sum();
    (-radius..=radius)
        .map(|i| (weight(i) / total) as f32)
        .collect()
}

#[inline(always)]
fn filter_rows(image: &Plane<f32>, kernel: &[f32]) -> Plane<f32> {
    let (width, radius) = (image.width, kernel.len() / 2);
    let mut values = vec![0.0; image.values.len()];
    let mut padded = vec![0.0; width + 2 * radius];
    for (y, output) in values.chunks_exact_mut(width).enumerate() {
        let row = image.row(y);
        padded[..radius].fill(row[0]);
        padded[radius..radius + width].copy_from_slice(row);
        padded[radius + width..].fill(row[width - 1]);
        for (offset, weight) in kernel.iter().enumerate() {
            add_scaled(output, &padded[offset..], *weight);
        }
    }
    Plane { values, ..*image }
}

#[inline(always)]
fn filter_columns(image: &Plane<f32>, kernel: &[f32]) -> Plane<f32> {
    let (width, height, radius) = (image.width, image.height, kernel.len() / 2);
    let mut values = vec![0.0; image.values.len()];
    for (y, output) in values.chunks_exact_mut(width).enumerate() {
        for (offset, weight) in kernel.iter().enumerate() {
            let source = (y + offset).saturating_sub(radius).min(height - 1);
            add_scaled(output, image.row(source), *weight);
        }
    }
    Plane { values, ..*image }
}

#[inline(always)]
fn add_scaled(sums: &mut [f32], values: &[f32], weight: f32) {
    sums.iter_mut()
        .zip(values)
        .for_each(|(sum, value)| *sum += weight * value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_image_has_no_energy() {
        let image = Plane {
            width: 3,
            height: 7,
            values: vec![0.3; 21],
        };
        for sigma in [1.0, 2.0, 4.0] {
            assert!(
                energies(&image, sigma)
                    .iter()
                    .all(|energy| energy.abs() < 1e-5)
            );
        }
    }

    #[test]
    fn smoothing_keeps_the_mean_of_an_impulse_far_from_borders() {
        let mut image = Plane {
            width: 41,
            height: 41,
            values: vec![0.0; 41 * 41],
        };
        image.values[20 * 41 + 20] = 1.0;
        let smooth = gaussian(&image, 2.0);
        assert!((smooth.values.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        // The Gaussian's peak is 1 / (2πσ²); sampling changes it by less than a thousandth.
        let peak = 1.0 / (std::f32::consts::TAU * 4.0);
        assert!((smooth.values[20 * 41 + 20] / peak - 1.0).abs() < 1e-3);
    }
}
