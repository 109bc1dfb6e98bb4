//! Texture from grey-level co-occurrence.
//!
//! Haralick, Shanmugam and Dinstein, *Textural features for image classification*, IEEE Trans.
//! Systems, Man and Cybernetics 3 (1973) 610–621, doi 10.1109/TSMC.1973.4309314.
//!
//! ```text
//! p(i, j)       share of the pixel pairs (at 0°, 45°, 90°, 135°, both orders) with levels i and j
//! contrast      Σ p (i − j)²              dissimilarity  Σ p |i − j|
//! homogeneity   Σ p / (1 + (i − j)²)      energy         √ Σ p²
//! correlation   Σ p (i − μ)(j − μ) / σ²   entropy        −Σ p ln p
//! ```
//!
//! The four directions are pooled before the properties are taken, so turning the image by 90° or
//! mirroring it changes nothing. Diagonal pairs at distance d are d columns and d rows apart.

use super::plane::Plane;

/// Grey levels of the matrix.
pub const LEVELS: usize = 16;
/// The properties, in the order of [`properties`].
pub const PROPERTIES: [&str; 6] = [
    "contrast",
    "dissimilarity",
    "homogeneity",
    "energy",
    "correlation",
    "entropy",
];

/// The six properties of a plane of levels below [`LEVELS`]. Correlation is 1 for one single level;
/// all are 0 when no two pixels are `distance` apart.
pub fn properties(levels: &Plane<u8>, distance: usize) -> [f32; PROPERTIES.len()] {
    let counts = symmetric_counts(levels, distance);
    let total = counts.iter().sum::<u32>();
    if total == 0 {
        return [0.0; 6];
    }
    let cells = || {
        counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(cell, count)| {
                let (i, j) = ((cell / LEVELS) as f64, (cell % LEVELS) as f64);
                (i, j, f64::from(*count) / f64::from(total))
            })
    };
    let sum = |term: &dyn Fn(f64, f64, f64) -> f64| cells().map(|(i, j, p)| term(i, j, p)).sum();
    let mean: f64 = sum(&|i, _, p| p * i);
    let variance: f64 = sum(&|i, _, p| p * (i - mean).powi(2));
    let covariance: f64 = sum(&|i, j, p| p * (i - mean) * (j - mean));
    let contrast: f64 = sum(&|i, j, p| p * (i - j).powi(2));
    let dissimilarity: f64 = sum(&|i, j, p| p * (i - j).abs());
    let homogeneity: f64 = sum(&|i, j, p| p / (1.0 + (i - j).powi(2)));
    let energy: f64 = sum(&|_, _, p| p * p);
    let entropy: f64 = sum(&|_, _, p| -p * p.ln());
    let correlation = if variance < 1e-12 {
        1.0
    } else {
        covariance / variance
    };
    [
        contrast,
        dissimilarity,
        homogeneity,
        energy.sqrt(),
        correlation,
        entropy,
    ]
    .map(|value| value as f32)
}

fn symmetric_counts(levels: &Plane<u8>, distance: usize) -> Vec<u32> {
    let mut counts = vec![0u32; LEVELS * LEVELS];
    let mut count = |first: &[u8], second: &[u8]| {
        for (&a, &b) in first.iter().zip(second) {
            counts[usize::from(a) * LEVELS + usize::from(b)] += 1;
        }
    };
    for y in 0..levels.height {
        let row = levels.row(y);
        let shifted = row.get(distance..).unwrap_or_default();
        count(row, shifted);
        if y + distance < levels.height {
            let below = levels.row(y + distance);
            count(row, below);
            count(row, below.get(distance..).unwrap_or_default());
            count(shifted, below);
        }
    }
    (0..counts.len())
        .map(|cell| counts[cell] + counts[cell % LEVELS * LEVELS + cell / LEVELS])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn haralick_s_example_has_his_counts() {
        // The 4 × 4 image of figure 3 of the paper; its four matrices at distance 1 added up.
        let image = Plane {
            width: 4,
            height: 4,
            values: vec![0u8, 0, 1, 1, 0, 0, 1, 1, 0, 2, 2, 2, 2, 2, 3, 3],
        };
        let counts = symmetric_counts(&image, 1);
        let row = |i: usize| counts[i * LEVELS..][..4].to_vec();
        assert_eq!(row(0), [16, 4, 6, 0]);
        assert_eq!(row(1), [4, 12, 5, 0]);
        assert_eq!(row(2), [6, 5, 12, 6]);
        assert_eq!(row(3), [0, 0, 6, 2]);
    }

    #[test]
    fn one_level_and_no_pairs_are_finite() {
        let flat = Plane {
            width: 5,
            height: 5,
            values: vec![3u8; 25],
        };
        assert_eq!(properties(&flat, 1), [0.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
        let single = Plane {
            width: 1,
            height: 1,
            values: vec![3u8],
        };
        assert_eq!(properties(&single, 1), [0.0; 6]);
    }
}
