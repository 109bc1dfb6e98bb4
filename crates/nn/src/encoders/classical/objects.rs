//! Nuclei and vacuoles as connected regions of a mask.
//!
//! - Threshold: Otsu, *A threshold selection method from gray-level histograms*, IEEE Trans.
//!   Systems, Man and Cybernetics 9 (1979) 62–66, doi 10.1109/TSMC.1979.4310076.
//! - Roundness: the Hu-moment circularity of Žunić, Hirota and Rosin, *A Hu moment invariant as a
//!   shape circularity measure*, Pattern Recognition 43 (2010) 47–57,
//!   doi 10.1016/j.patcog.2009.06.017.
//!
//! ```text
//! roundness    A² / (2π (μ20 + μ02))      1 for a disc, less for any other shape
//! eccentricity √(1 − λ2 / λ1)             λ1 ≥ λ2: eigenvalues of the covariance of the region
//! ```
//!
//! Pixels are unit squares: each adds 1/12 to both variances. Moments are exact whole numbers before
//! the last division, so they do not change when the image is turned or mirrored.

use std::f64::consts::TAU;

use super::plane::Plane;

/// Otsu's threshold: values above it are foreground.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Otsu {
    /// The lowest of the best thresholds.
    pub threshold: u8,
    /// Between-class variance over total variance, 0..=1; 0 for one single value.
    pub separability: f64,
}

/// Otsu's threshold of a plane.
pub fn otsu(image: &Plane<u8>) -> Otsu {
    let mut histogram = [0u64; 256];
    image
        .values
        .iter()
        .for_each(|&value| histogram[usize::from(value)] += 1);
    let count = image.values.len() as f64;
    let weighted = |power: i32| -> f64 {
        histogram
            .iter()
            .enumerate()
            .map(|(v, n)| (v as f64).powi(power) * *n as f64)
            .sum()
    };
    let (sum, squares) = (weighted(1), weighted(2));
    let total = squares / count - (sum / count).powi(2);
    let (mut below, mut below_sum) = (0.0, 0.0);
    let mut best = (0.0, image.values.iter().copied().max().unwrap_or(0));
    for (value, &n) in histogram.iter().enumerate() {
        below += n as f64;
        below_sum += value as f64 * n as f64;
        if n == 0 || below == count {
            continue;
        }
        let difference = below_sum / below - (sum - below_sum) / (count - below);
        let between = below / count * (1.0 - below / count) * difference * difference;
        if between > best.0 {
            best = (between, value as u8);
        }
    }
    let separability = if total > 0.0 {
        (best.0 / total).min(1.0)
    } else {
        0.0
    };
    Otsu {
        threshold: best.1,
        separability,
    }
}

/// A 5 × 5 binomial filter in whole numbers, borders replicated: removes specks without a preferred
/// direction.
pub fn smooth(image: &Plane<u8>) -> Plane<u8> {
    const KERNEL: [u32; 5] = [1, 4, 6, 4, 1];
    let (width, height) = (image.width, image.height);
    let mut rows = Vec::with_capacity(width * height);
    let mut padded = vec![0u32; width + 4];
    for y in 0..height {
        for (x, target) in padded.iter_mut().enumerate() {
            *target = u32::from(image.row(y)[x.saturating_sub(2).min(width - 1)]);
        }
        rows.extend(
            padded
                .windows(5)
                .map(|w| (0..5).map(|k| KERNEL[k] * w[k]).sum::<u32>()),
        );
    }
    let mut values = Vec::with_capacity(width * height);
    for y in 0..height {
        let sources: [&[u32]; 5] = std::array::from_fn(|k| {
            &rows[(y + k).saturating_sub(2).min(height - 1) * width..][..width]
        });
        values.extend((0..width).map(|x| {
            let sum: u32 = (0..5).map(|k| KERNEL[k] * sources[k][x]).sum();
            ((sum + 128) / 256) as u8
        }));
    }
    Plane {
        width,
        height,
        values,
    }
}

/// A connected region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Region {
    /// Pixels.
    pub area: u64,
    x: u64,
    y: u64,
    xx: u64,
    yy: u64,
    xy: u64,
    /// Whether a pixel lies on the border of the image.
    pub touches_border: bool,
}

impl Region {
    fn add(&mut self, x: u64, y: u64) {
        self.area += 1;
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.yy += y * y;
        self.xy += x * y;
    }

    /// Variance along x, along y, and covariance, in square pixels.
    fn covariance(&self) -> (f64, f64, f64) {
        let area = i128::from(self.area);
        let central = |square: u64, first: u64, second: u64| {
            let value = area * i128::from(square) - i128::from(first) * i128::from(second);
            value as f64 / (self.area as f64).powi(2)
        };
        (
            central(self.xx, self.x, self.x) + 1.0 / 12.0,
            central(self.yy, self.y, self.y) + 1.0 / 12.0,
            central(self.xy, self.x, self.y),
        )
    }

    /// 1 for a disc, less for any other shape; a single pixel has 3/π.
    pub fn roundness(&self) -> f64 {
        let (xx, yy, _) = self.covariance();
        self.area as f64 / (TAU * (xx + yy))
    }

    /// 0 for a disc or square, towards 1 for a line.
    pub fn eccentricity(&self) -> f64 {
        let (xx, yy, xy) = self.covariance();
        let spread = ((xx - yy).powi(2) + 4.0 * xy * xy).sqrt();
        let (large, small) = (xx + yy + spread, xx + yy - spread);
        (1.0 - small / large).max(0.0).sqrt()
    }

    /// The distance of the centroid from the centre of an image: 0 at the centre, 1 at the middle
    /// of an edge, √2 in a corner.
    pub fn distance_from_centre(&self, width: usize, height: usize) -> f64 {
        let offset = |sum: u64, length: usize| {
            let doubled = 2 * i128::from(sum) - i128::from(self.area) * (length as i128 - 1);
            (doubled as f64 / (self.area as f64 * length as f64)).powi(2)
        };
        (offset(self.x, width) + offset(self.y, height)).sqrt()
    }
}

/// The 8-connected regions of a mask with at least `smallest` pixels, in order of their first pixel.
pub fn regions(mask: &Plane<bool>, smallest: u64) -> Vec<Region> {
    let (width, height) = (mask.width, mask.height);
    let mut open = mask.values.clone();
    let mut regions = Vec::new();
    let mut stack = Vec::new();
    for start in 0..open.len() {
        if !open[start] {
            continue;
        }
        open[start] = false;
        stack.push(start);
        let mut region = Region::default();
        while let Some(pixel) = stack.pop() {
            let (x, y) = (pixel % width, pixel / width);
            region.add(x as u64, y as u64);
            region.touches_border |= x == 0 || y == 0 || x + 1 == width || y + 1 == height;
            for ny in y.saturating_sub(1)..(y + 2).min(height) {
                for nx in x.saturating_sub(1)..(x + 2).min(width) {
                    let neighbour = ny * width + nx;
                    if open[neighbour] {
                        open[neighbour] = false;
                        stack.push(neighbour);
                    }
                }
            }
        }
        if region.area >= smallest {
            regions.push(region);
        }
    }
    regions
}

/// The region whose centroid is nearest to the centre of the image; of equally near ones the
/// largest.
pub fn central<T>(regions: &[Region], image: &Plane<T>) -> Option<Region> {
    let distance = |region: &Region| region.distance_from_centre(image.width, image.height);
    regions.iter().copied().min_by(|a, b| {
        distance(a)
            .total_cmp(&distance(b))
            .then(b.area.cmp(&a.area))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(width: usize, height: usize, inside: impl Fn(f64, f64) -> bool) -> Plane<bool> {
        let values = (0..width * height)
            .map(|i| inside((i % width) as f64, (i / width) as f64))
            .collect();
        Plane {
            width,
            height,
            values,
        }
    }

    #[test]
    fn a_disc_is_round_and_a_bar_is_not() {
        let disc = regions(&mask(61, 61, |x, y| (x - 30.0).hypot(y - 30.0) < 20.5), 1);
        assert_eq!(disc.len(), 1);
        assert!(
            (disc[0].roundness() - 1.0).abs() < 1e-3,
            "{}",
            disc[0].roundness()
        );
        assert!(disc[0].eccentricity() < 1e-6 && !disc[0].touches_border);
        let bar = regions(&mask(61, 61, |x, y| y == 3.0 && x < 40.0), 1);
        // For a bar of length l and width 1: A²/(2π A (l² + 1)/12) = 6 l / (π (l² + 1)).
        assert!((bar[0].roundness() - 240.0 / (TAU / 2.0 * 1601.0)).abs() < 1e-12);
        assert!(bar[0].eccentricity() > 0.999 && bar[0].touches_border);
    }

    #[test]
    fn diagonal_neighbours_are_connected_and_small_regions_dropped() {
        let diagonal = mask(5, 5, |x, y| x == y);
        assert_eq!(regions(&diagonal, 5).len(), 1);
        assert_eq!(regions(&diagonal, 6).len(), 0);
        assert_eq!(
            regions(&mask(5, 5, |x, y| x % 2.0 == 0.0 && y % 2.0 == 0.0), 1).len(),
            9
        );
    }

    #[test]
    fn otsu_separates_two_values_and_accepts_one() {
        let two = Plane {
            width: 4,
            height: 1,
            values: vec![10, 10, 200, 200],
        };
        assert_eq!(
            otsu(&two),
            Otsu {
                threshold: 10,
                separability: 1.0
            }
        );
        let one = Plane {
            width: 4,
            height: 1,
            values: vec![10; 4],
        };
        assert_eq!(
            otsu(&one),
            Otsu {
                threshold: 10,
                separability: 0.0
            }
        );
    }

    #[test]
    fn the_central_region_is_the_nearest() {
        let two = mask(9, 9, |x, y| (x < 2.0 && y < 2.0) || (x == 5.0 && y == 5.0));
        let regions = regions(&two, 1);
        assert_eq!(central(&regions, &two).unwrap().area, 1);
        assert!(central(&[], &two).is_none());
    }

    #[test]
    fn smoothing_keeps_flat_areas() {
        let flat = Plane {
            width: 3,
            height: 2,
            values: vec![77; 6],
        };
        assert_eq!(smooth(&flat), flat);
    }
}
