//! Circles by the Hough transform.

mod radius;
mod votes;

use std::ops::RangeInclusive;

use ndarray::ArrayView2;
use rayon::prelude::*;

use self::radius::Finder;
use self::votes::Votes;
use crate::error::{Result, check, same_size};
use crate::region::{countable, raster};

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
/// Gradients of another size than the edges; settings out of their ranges; more than 2³² − 2 pixels.
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

    let size @ (height, width) = edges.dim();
    countable(size)?;
    if edges.is_empty() {
        return Ok(Vec::new());
    }
    let voters = voters(edges, dx, dy);
    let centres = Votes::count(size, &voters, settings).peaks(settings.votes);
    let finder = Finder::new(&voters, size, settings);
    let mut circles: Vec<Circle> = centres
        .into_par_iter()
        .map_init(Vec::new, |bins, (column, row)| {
            finder.circle(column, row, bins)
        })
        .flatten_iter()
        .collect();
    circles.sort_unstable_by(|one, other| {
        other
            .votes
            .cmp(&one.votes)
            .then(other.radius.total_cmp(&one.radius))
            .then(one.x.total_cmp(&other.x))
            .then(one.y.total_cmp(&other.y))
    });
    let sides = (height as f32, width as f32);
    Ok(apart(&circles, sides, distance, settings.most))
}

/// An edge pixel and its gradient.
#[derive(Clone, Copy)]
struct Voter {
    x: u32,
    y: u32,
    dx: f32,
    dy: f32,
}

impl Voter {
    fn length(&self) -> f32 {
        (self.dx * self.dx + self.dy * self.dy).sqrt()
    }
}

/// Edge pixels with a gradient, in raster order.
fn voters<D: Copy + Into<f32> + Sync>(
    edges: ArrayView2<'_, bool>,
    dx: ArrayView2<'_, D>,
    dy: ArrayView2<'_, D>,
) -> Vec<Voter> {
    /// Most pixels are no edges: so many at a time.
    const TOGETHER: usize = 16;
    let width = edges.ncols();
    let (edges, dx, dy) = (raster(edges), raster(dx), raster(dy));
    edges
        .par_chunks(TOGETHER)
        .enumerate()
        .filter(|(_, edges)| edges.iter().fold(false, |any, &edge| any | edge))
        .flat_map_iter(|(number, edges)| (number * TOGETHER..).zip(edges))
        .filter(|(_, edge)| **edge)
        .map(|(at, _)| Voter {
            x: (at % width) as u32,
            y: (at / width) as u32,
            dx: dx[at].into(),
            dy: dy[at].into(),
        })
        .filter(|voter| voter.length() >= 1.0)
        .collect()
}

/// Each circle that is far enough from all before it that are kept. `sides` are the image's.
fn apart(
    circles: &[Circle],
    (height, width): (f32, f32),
    distance: f32,
    most: Option<usize>,
) -> Vec<Circle> {
    let most = most.unwrap_or(usize::MAX);
    // Squares of this side, no more than circles: what is near lies in the same one or beside it.
    let side = distance.max((height * width / circles.len().max(1) as f32).sqrt());
    let [rows, columns] = [height, width].map(|length| (length / side) as usize + 1);
    let mut squares: Vec<Vec<Circle>> = vec![Vec::new(); rows * columns];
    let mut kept = Vec::new();
    for circle in circles {
        if kept.len() >= most {
            break;
        }
        let near = |other: &Circle| {
            let (right, down) = (circle.x - other.x, circle.y - other.y);
            right * right + down * down < distance * distance
        };
        let row = ((circle.y / side) as usize).min(rows - 1);
        let column = ((circle.x / side) as usize).min(columns - 1);
        let around = |at: usize, count: usize| at.saturating_sub(1)..(at + 2).min(count);
        let mut beside = around(row, rows)
            .flat_map(|row| around(column, columns).map(move |column| row * columns + column));
        if !beside.any(|square| squares[square].iter().any(near)) {
            squares[row * columns + column].push(*circle);
            kept.push(*circle);
        }
    }
    kept
}
