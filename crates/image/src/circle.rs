//! Circles by the Hough transform.

use std::ops::RangeInclusive;

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::error::{Result, check, same_size};
use crate::region::raster;

/// Settings of [`hough_circles`].
#[derive(Debug, Clone, PartialEq)]
pub struct HoughCircles {
    /// Side of an accumulator cell in pixels, at least 1 (OpenCV's `dp`): 1 finds centres to the pixel,
    /// 2 to two pixels from more votes.
    pub cell: f32,
    /// Centres are at least this many pixels apart; of two that are not, the one with more votes stays
    /// (`minDist`). Positive.
    pub distance: f32,
    /// A centre has more votes than this in the accumulator, and a circle more edge pixels (`param2`).
    pub votes: u32,
    /// Radii in pixels (`minRadius`, `maxRadius`); the last must be greater than the first.
    pub radii: RangeInclusive<u32>,
    /// At most this many circles; all if `None`.
    pub most: Option<usize>,
}

/// A circle found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Circle {
    /// Centre. It is the middle of an accumulator cell.
    pub x: f32,
    /// Centre.
    pub y: f32,
    /// Radius in pixels.
    pub radius: f32,
    /// Edge pixels that lie on it, within half a cell.
    pub votes: u32,
}

/// Circles by the gradient at edges, those with the most votes first (then the larger, then those
/// farther left, then farther up).
///
/// `edges` are thin edges (Canny's), `dx` and `dy` the gradient (3×3 Sobel). Each edge pixel votes
/// for the centres along its gradient, on both sides, at all radii. Cells with more votes than asked
/// and than those beside them are centres; a centre's radius is that around which most edge pixels per
/// length of the circle lie. H. Yuen, J. Princen, J. Illingworth, J. Kittler, "Comparative study of
/// Hough transform methods for circle finding", Image and Vision Computing 8, 1990,
/// doi:10.1016/0262-8856(90)90059-E (their two-stage method).
///
/// Follows OpenCV's `HoughCircles` with `HOUGH_GRADIENT` in every rule, its fixed-point steps included,
/// so that the same edges and gradients give the same circles. OpenCV takes its edges from its Canny
/// with thresholds `max(1, param1 / 2)` and `param1` on a Sobel gradient with the outermost pixels
/// repeated. A gradient shorter than 1 does not vote.
///
/// # Errors
/// Gradients of another size than the edges; settings out of their ranges.
pub fn hough_circles<D: Copy + Into<f32> + Sync>(
    edges: ArrayView2<'_, bool>,
    dx: ArrayView2<'_, D>,
    dy: ArrayView2<'_, D>,
    settings: &HoughCircles,
) -> Result<Vec<Circle>> {
    same_size("gradient along x", edges.dim(), dx.dim())?;
    same_size("gradient along y", edges.dim(), dy.dim())?;
    let HoughCircles { cell, distance, .. } = *settings;
    let valid = cell.is_finite() && cell >= 1.0;
    check("cell", cell, valid, "a finite number from 1 on")?;
    let valid = distance.is_finite() && distance > 0.0;
    check("distance", distance, valid, "a finite positive number")?;
    let (smallest, largest) = (*settings.radii.start(), *settings.radii.end());
    let valid = smallest < largest && largest <= 1 << 16;
    let range = format!("{smallest} to {largest}");
    check("radii", range, valid, "a range that grows, up to 65536")?;

    let points = voters(edges, dx, dy);
    let votes = Accumulator::fill(edges.dim(), &points, settings);
    let finder = Finder::new(&points, edges.nrows(), settings);
    let mut circles: Vec<Circle> = votes
        .peaks(settings.votes)
        .into_par_iter()
        .filter_map(|(column, row)| {
            finder.circle((column as f32 + 0.5) * cell, (row as f32 + 0.5) * cell)
        })
        .collect();
    circles.sort_unstable_by(|one, other| {
        other
            .votes
            .cmp(&one.votes)
            .then(other.radius.total_cmp(&one.radius))
            .then(one.x.total_cmp(&other.x))
            .then(one.y.total_cmp(&other.y))
    });
    Ok(apart(circles, distance, settings.most))
}

/// An edge pixel and its gradient.
#[derive(Clone, Copy)]
struct Voter {
    x: usize,
    y: usize,
    dx: f32,
    dy: f32,
}

/// Edge pixels with a gradient, in raster order.
fn voters<D: Copy + Into<f32> + Sync>(
    edges: ArrayView2<'_, bool>,
    dx: ArrayView2<'_, D>,
    dy: ArrayView2<'_, D>,
) -> Vec<Voter> {
    let width = edges.ncols();
    let (edges, dx, dy) = (raster(edges), raster(dx), raster(dy));
    edges
        .par_iter()
        .enumerate()
        .filter(|(_, edge)| **edge)
        .map(|(at, _)| Voter {
            x: at % width,
            y: at / width,
            dx: dx[at].into(),
            dy: dy[at].into(),
        })
        .filter(|voter| (voter.dx * voter.dx + voter.dy * voter.dy).sqrt() >= 1.0)
        .collect()
}

/// Votes per cell. One column and one row more than cells at the right and bottom stay 0, and another of
/// each, as in OpenCV.
struct Accumulator {
    columns: usize,
    rows: usize,
    votes: Vec<u32>,
}

impl Accumulator {
    fn fill(size: (usize, usize), voters: &[Voter], settings: &HoughCircles) -> Self {
        let inverse = 1.0 / settings.cell;
        let [rows, columns] = [size.0, size.1].map(|side| (side as f32 * inverse).ceil() as usize);
        let empty = Self {
            columns,
            rows,
            votes: vec![0; (rows + 2) * (columns + 2)],
        };
        // Sums of integers: the share of each thread does not matter.
        let share = voters.len().div_ceil(rayon::current_num_threads()).max(1);
        let parts: Vec<Self> = voters
            .par_chunks(share)
            .map(|voters| {
                let mut part = Self {
                    votes: empty.votes.clone(),
                    ..empty
                };
                for voter in voters {
                    part.vote(voter, inverse, &settings.radii);
                }
                part
            })
            .collect();
        let mut parts = parts.into_iter();
        let Some(mut sum) = parts.next() else {
            return empty;
        };
        for part in parts {
            for (sum, votes) in sum.votes.iter_mut().zip(part.votes) {
                *sum += votes;
            }
        }
        sum
    }

    fn vote(&mut self, voter: &Voter, inverse: f32, radii: &RangeInclusive<u32>) {
        /// Positions are in units of 1/1024 cell.
        const BITS: i64 = 10;
        let unit = (1 << BITS) as f32;
        let length = (voter.dx * voter.dx + voter.dy * voter.dy).sqrt();
        let step = |along: f32| ((along * inverse) * unit / length).round_ties_even() as i64;
        let place = |at: usize| ((at as f32 * inverse) * unit).round_ties_even() as i64;
        let (step_x, step_y) = (step(voter.dx), step(voter.dy));
        let (start_x, start_y) = (place(voter.x), place(voter.y));
        for side in [1, -1] {
            let (step_x, step_y) = (side * step_x, side * step_y);
            let first = i64::from(*radii.start());
            let mut x = start_x + first * step_x;
            let mut y = start_y + first * step_y;
            for _ in radii.clone() {
                let (column, row) = ((x >> BITS) as usize, (y >> BITS) as usize);
                if column >= self.columns || row >= self.rows {
                    break;
                }
                self.votes[row * (self.columns + 2) + column] += 1;
                x += step_x;
                y += step_y;
            }
        }
    }

    /// Cells (column, row) with more votes than `threshold`, than those to the left and above, and no
    /// fewer than those to the right and below. Cells of the first column and row are none.
    fn peaks(&self, threshold: u32) -> Vec<(usize, usize)> {
        let stride = self.columns + 2;
        let votes = &self.votes;
        (1..=self.rows)
            .into_par_iter()
            .flat_map_iter(|row| {
                (1..=self.columns).filter_map(move |column| {
                    let at = row * stride + column;
                    let here = votes[at];
                    (here > threshold
                        && here > votes[at - 1]
                        && here >= votes[at + 1]
                        && here > votes[at - stride]
                        && here >= votes[at + stride])
                        .then_some((column, row))
                })
            })
            .collect()
    }
}

/// Finds the radius around a centre.
struct Finder<'a> {
    voters: &'a [Voter],
    /// Where each row's voters start, and one more.
    starts: Vec<usize>,
    cell: f32,
    smallest: f32,
    largest: f32,
    bins: usize,
    votes: u32,
}

/// Bins of the histogram of radii per accumulator cell.
const BINS_PER_CELL: usize = 10;

impl<'a> Finder<'a> {
    fn new(voters: &'a [Voter], rows: usize, settings: &HoughCircles) -> Self {
        let (smallest, largest) = (*settings.radii.start() as f32, *settings.radii.end() as f32);
        let bins = (largest - smallest) / settings.cell * BINS_PER_CELL as f32;
        Self {
            voters,
            starts: (0..=rows)
                .map(|row| voters.partition_point(|voter| voter.y < row))
                .collect(),
            cell: settings.cell,
            smallest,
            largest,
            bins: (bins.round_ties_even() as usize).max(1),
            votes: settings.votes,
        }
    }

    fn circle(&self, x: f32, y: f32) -> Option<Circle> {
        let (radius, votes) = self.radius(&self.histogram(x, y));
        (votes > self.votes).then_some(Circle {
            x,
            y,
            radius,
            votes,
        })
    }

    /// How many edge pixels are how far from the centre.
    fn histogram(&self, x: f32, y: f32) -> Vec<u32> {
        let mut bins = vec![0; self.bins];
        let (least, most) = (self.smallest * self.smallest, self.largest * self.largest);
        let rows = self.starts.len() - 1;
        let first = (y - self.largest).max(0.0) as usize;
        let last = ((y + self.largest).max(0.0) as usize + 1).min(rows);
        for row in first.min(last)..last {
            let voters = &self.voters[self.starts[row]..self.starts[row + 1]];
            let from = voters.partition_point(|voter| (voter.x as f32) < x - self.largest);
            for voter in &voters[from..] {
                let (right, down) = (x - voter.x as f32, y - voter.y as f32);
                if -right > self.largest {
                    break;
                }
                let squared = right * right + down * down;
                if (least..=most).contains(&squared) {
                    let bin = (squared.sqrt() - self.smallest) / self.cell * BINS_PER_CELL as f32;
                    bins[(bin.round_ties_even() as usize).min(self.bins - 1)] += 1;
                }
            }
        }
        bins
    }

    /// The radius with the most edge pixels per length, and how many these are. Windows of one cell are
    /// taken from the largest radius down, each from the next bin that is not empty; one bin between
    /// two windows is passed over, as in OpenCV.
    fn radius(&self, bins: &[u32]) -> (f32, u32) {
        let (mut best, mut most) = (0.0, 0);
        let mut upper = bins.len() - 1;
        while upper > 0 {
            if bins[upper] == 0 {
                upper -= 1;
                continue;
            }
            // One before the window's last bin; −1 where the window is cut off.
            let lower = upper as i64 - (BINS_PER_CELL as i64).min(upper as i64 + 1);
            let count: u32 = bins[(lower + 1) as usize..=upper].iter().sum();
            let middle = (upper as i64 + lower) as f32 / 2.0;
            let radius = middle / BINS_PER_CELL as f32 * self.cell + self.smallest;
            if count as f32 * best >= most as f32 * radius || (best < f32::EPSILON && count >= most)
            {
                (best, most) = (radius, count);
            }
            upper = (lower - 1).max(0) as usize;
        }
        (best, most)
    }
}

/// Each circle that is far enough from all before it that are kept.
fn apart(circles: Vec<Circle>, distance: f32, most: Option<usize>) -> Vec<Circle> {
    let most = most.unwrap_or(usize::MAX);
    let mut kept: Vec<Circle> = Vec::new();
    for circle in circles {
        if kept.len() >= most {
            break;
        }
        let near = |other: &Circle| {
            let (right, down) = (circle.x - other.x, circle.y - other.y);
            right * right + down * down < distance * distance
        };
        if !kept.iter().any(near) {
            kept.push(circle);
        }
    }
    kept
}
