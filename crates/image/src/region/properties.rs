//! Shape and intensity of labelled regions, as `skimage.measure.regionprops` measures them.

use std::f64::consts::{FRAC_PI_4, PI, SQRT_2};

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::{Bounds, Statistics, raster, statistics};
use crate::Sample;
use crate::error::{Result, same_size};

/// The shape of one label's pixels. Lengths are in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// The label.
    pub label: u32,
    /// Length of the outline through the centres of the border pixels, weighted by how the outline
    /// turns there: 1, √2 or their mean (K. Benkrid, D. Crookes, "Design and FPGA implementation of a
    /// perimeter estimator", 2000). A single pixel has none.
    pub perimeter: f64,
    /// Of the ellipse with the same second moments: 0 for a circle, towards 1 for a line.
    pub eccentricity: f64,
    /// Area over that of the convex hull of the middles of all pixel edges, counted in the pixels whose
    /// centres are within the hull or on it.
    pub solidity: f64,
    /// Diameter of the circle of the same area.
    pub equivalent_diameter: f64,
    /// Long axis of the ellipse with the same second moments.
    pub major_axis: f64,
    /// Short axis of that ellipse.
    pub minor_axis: f64,
    /// Angle from the vertical down to the long axis, towards the right, in radians from −π/2 to π/2;
    /// −π/4 for regions without a long axis.
    pub orientation: f64,
}

/// The values of a plane within one label's pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Intensity {
    /// The label.
    pub label: u32,
    /// Mean.
    pub mean: f64,
    /// Standard deviation, of the pixels as the whole population (divided by their number).
    pub deviation: f64,
    /// Least value.
    pub minimum: f64,
    /// Greatest value.
    pub maximum: f64,
}

/// The shapes of all labels but 0, ascending: the order of [`statistics`].
///
/// A label's pixels need not be connected; they are measured together.
pub fn shapes(labels: ArrayView2<'_, u32>) -> Vec<Shape> {
    let width = labels.ncols();
    let pixels = raster(labels);
    statistics(labels)
        .par_iter()
        .map(|region| Region::of(&pixels, width, region).shape())
        .collect()
}

/// The values of a plane within each label but 0, ascending: the order of [`statistics`].
///
/// # Errors
/// A plane of another size than the labels.
pub fn intensities<T: Sample>(
    labels: ArrayView2<'_, u32>,
    plane: ArrayView2<'_, T>,
) -> Result<Vec<Intensity>> {
    same_size("plane", labels.dim(), plane.dim())?;
    let width = labels.ncols();
    let pixels = raster(labels);
    let values = raster(plane);
    Ok(statistics(labels)
        .par_iter()
        .map(|region| {
            let within = || {
                rows(region.bounds, width).flat_map(|row| {
                    let labels = pixels[row.clone()].iter();
                    labels
                        .zip(&values[row])
                        .filter(|(label, _)| **label == region.label)
                        .map(|(_, value)| f64::from(value.to_f32()))
                })
            };
            let area = region.area as f64;
            let mean = within().sum::<f64>() / area;
            let squares: f64 = within().map(|value| (value - mean).powi(2)).sum();
            Intensity {
                label: region.label,
                mean,
                deviation: (squares / area).sqrt(),
                minimum: within().fold(f64::INFINITY, f64::min),
                maximum: within().fold(f64::NEG_INFINITY, f64::max),
            }
        })
        .collect())
}

/// The pixels of each row of a rectangle.
fn rows(bounds: Bounds, width: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (bounds.top..bounds.bottom).map(move |y| y * width + bounds.left..y * width + bounds.right)
}

/// One label cut out, with a margin of one pixel.
struct Region {
    label: u32,
    area: u64,
    /// Of a row with its margins.
    width: usize,
    inside: Vec<bool>,
}

impl Region {
    fn of(labels: &[u32], image_width: usize, region: &Statistics) -> Self {
        let bounds = region.bounds;
        let width = bounds.right - bounds.left + 2;
        let mut inside = vec![false; width * (bounds.bottom - bounds.top + 2)];
        for (row, range) in inside[width..]
            .chunks_exact_mut(width)
            .zip(rows(bounds, image_width))
        {
            for (pixel, &label) in row[1..].iter_mut().zip(&labels[range]) {
                *pixel = label == region.label;
            }
        }
        Self {
            label: region.label,
            area: region.area,
            width,
            inside,
        }
    }

    fn shape(&self) -> Shape {
        let area = self.area as f64;
        let [vertical, mixed, horizontal] = self.second_moments();
        let middle = (vertical + horizontal) / 2.0;
        let spread = ((vertical - horizontal) / 2.0).hypot(mixed);
        let (long, short) = (middle + spread, (middle - spread).max(0.0));
        Shape {
            label: self.label,
            perimeter: self.perimeter(),
            eccentricity: if long == 0.0 {
                0.0
            } else {
                (1.0 - short / long).sqrt()
            },
            solidity: area / self.hull_area() as f64,
            equivalent_diameter: (4.0 * area / PI).sqrt(),
            major_axis: 4.0 * long.sqrt(),
            minor_axis: 4.0 * short.sqrt(),
            orientation: if vertical != horizontal {
                (2.0 * mixed).atan2(vertical - horizontal) / 2.0
            } else if mixed > 0.0 {
                FRAC_PI_4
            } else {
                -FRAC_PI_4
            },
        }
    }

    /// Variances along y, of y with x, along x. Sums are of integers, so exact.
    fn second_moments(&self) -> [f64; 3] {
        let mut sums = [0_i128; 5];
        for (y, row) in self.inside.chunks_exact(self.width).enumerate() {
            let (mut count, mut first, mut second) = (0, 0, 0);
            for (x, _) in row.iter().enumerate().filter(|(_, inside)| **inside) {
                count += 1;
                first += x as i128;
                second += (x * x) as i128;
            }
            let y = y as i128;
            for (sum, term) in
                sums.iter_mut()
                    .zip([y * count, first, y * y * count, y * first, second])
            {
                *sum += term;
            }
        }
        let [y, x, yy, yx, xx] = sums;
        let area = i128::from(self.area);
        [yy * area - y * y, yx * area - y * x, xx * area - x * x]
            .map(|moment| moment as f64 / (area * area) as f64)
    }

    fn perimeter(&self) -> f64 {
        let (inside, width) = (&self.inside, self.width);
        let straight = |at: usize| [at - width, at - 1, at + 1, at + width];
        let diagonal = |at: usize| {
            [
                at - width - 1,
                at - width + 1,
                at + width - 1,
                at + width + 1,
            ]
        };
        let border: Vec<bool> = (0..inside.len())
            .map(|at| inside[at] && straight(at).iter().any(|&beside| !inside[beside]))
            .collect();
        let count = |places: [usize; 4]| places.iter().filter(|&&place| border[place]).count();
        let (mut steps, mut corners, mut mixed) = (0_u64, 0_u64, 0_u64);
        for at in (0..border.len()).filter(|&at| border[at]) {
            match (count(straight(at)), count(diagonal(at))) {
                (2 | 3, 0..=2) => steps += 1,
                (0, 2) | (1, 3) => corners += 1,
                (1, 1 | 2) => mixed += 1,
                _ => {}
            }
        }
        steps as f64 + corners as f64 * SQRT_2 + mixed as f64 * (1.0 + SQRT_2) / 2.0
    }

    /// Pixels whose centres lie in or on the convex hull of the middles of all pixel edges.
    fn hull_area(&self) -> i64 {
        let side = |sign: i64, extreme: fn(&[bool]) -> Option<usize>| {
            // In half pixels, so that the middles of edges are integers.
            let mut chain = Chain::default();
            for (y, row) in self.inside.chunks_exact(self.width).enumerate() {
                if let Some(x) = extreme(row) {
                    let (x, y) = (sign * 2 * x as i64, 2 * y as i64);
                    for point in [(x, y - 1), (x - 1, y), (x, y + 1)] {
                        chain.push(point);
                    }
                }
            }
            chain.first_columns()
        };
        let left = side(1, |row| row.iter().position(|&inside| inside));
        let right = side(-1, |row| row.iter().rposition(|&inside| inside));
        left.iter()
            .zip(&right)
            .map(|(left, right)| 1 - right - left)
            .sum()
    }
}

/// The left side of a convex hull, of points that come with y never decreasing by more than one row.
#[derive(Default)]
struct Chain {
    points: Vec<(i64, i64)>,
}

impl Chain {
    fn push(&mut self, point: (i64, i64)) {
        if let Some(last) = self.points.last()
            && last.1 >= point.1
        {
            // Only the foot of the row above and the head of this one share a height.
            if last.0 <= point.0 {
                return;
            }
            self.points.pop();
        }
        while let [.., before, last] = self.points.as_slice()
            && (last.0 - before.0) * (point.1 - before.1)
                >= (point.0 - before.0) * (last.1 - before.1)
        {
            self.points.pop();
        }
        self.points.push(point);
    }

    /// For each row of pixels between the first point and the last, the first column whose centre is
    /// not left of the chain.
    fn first_columns(&self) -> Vec<i64> {
        let mut columns = Vec::new();
        for pair in self.points.windows(2) {
            let [(x, y), (next_x, next_y)] = [pair[0], pair[1]];
            let height = next_y - y;
            // Pixel centres have even y.
            let first = y + y.rem_euclid(2);
            for row in (first..next_y).step_by(2) {
                let position = x * height + (next_x - x) * (row - y);
                columns.push(-(-position).div_euclid(2 * height));
            }
        }
        columns
    }
}
