//! Peaks: local maxima, those of a height, those apart, and ImageJ's.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::{Neighbours, countable, picture, raster};
use crate::Sample;
use crate::error::{Error, Result, check};

/// A pixel that is a peak.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peak {
    /// Column of the pixel.
    pub x: usize,
    /// Row of the pixel.
    pub y: usize,
    /// Its value.
    pub value: f32,
}

/// Plateaus: connected pixels of one value whose other neighbours are all lower.
///
/// Equal to `skimage.morphology.local_maxima`. Plateaus may touch the border; an image of one value has
/// none.
///
/// # Errors
/// Values that are not numbers; more than 2³² − 2 pixels.
pub fn local_maxima<T: Sample>(
    image: ArrayView2<'_, T>,
    neighbours: Neighbours,
) -> Result<Array2<bool>> {
    refuse_undefined(image)?;
    let values = raster(image);
    let grid = Grid::new(image.dim(), neighbours);
    if extreme(&values, less) == extreme(&values, greater) {
        return Ok(Array2::default(image.dim()));
    }
    let mut states: Vec<Plateau> = (0..values.len())
        .into_par_iter()
        .map(|at| {
            let below = grid.around(at).any(|beside| values[beside] > values[at]);
            if below { Plateau::Below } else { Plateau::New }
        })
        .collect();
    let mut plateau = Vec::new();
    for start in 0..values.len() {
        if states[start] != Plateau::New {
            continue;
        }
        states[start] = Plateau::Seen;
        plateau.clear();
        plateau.push(start);
        let mut highest = true;
        let mut next = 0;
        while let Some(&at) = plateau.get(next) {
            next += 1;
            for beside in grid
                .around(at)
                .filter(|&beside| values[beside] == values[at])
            {
                match states[beside] {
                    Plateau::Below => highest = false,
                    Plateau::New => {
                        states[beside] = Plateau::Seen;
                        plateau.push(beside);
                    }
                    Plateau::Seen | Plateau::Maximum => {}
                }
            }
        }
        if highest {
            for &at in &plateau {
                states[at] = Plateau::Maximum;
            }
        }
    }
    let maxima = states.iter().map(|&state| state == Plateau::Maximum);
    Ok(picture(image.dim(), maxima.collect()))
}

/// What is known of a pixel of a plateau.
#[derive(Clone, Copy, PartialEq)]
enum Plateau {
    /// A neighbour is higher.
    Below,
    New,
    Seen,
    Maximum,
}

/// Maxima of at least a height: plateaus from which every path to something higher descends by `height`
/// or more; the highest ones too if the whole image spans the height.
///
/// Equal to `skimage.morphology.h_maxima` for integers. For `f32` scikit-image lowers the image by
/// some millionths of its values more than the height; this compares differences as they are.
///
/// Pixels come in the order of falling values and join the parts that they touch. Where two parts
/// meet, the peaks of the lower one have found their saddle (M. Grimaud, "A new measure of contrast:
/// the dynamics", SPIE 1769, 1992, doi:10.1117/12.60650).
///
/// # Errors
/// A height that is not finite and positive; values that are not numbers; more than 2³² − 2 pixels.
pub fn high_maxima<T: Sample>(
    image: ArrayView2<'_, T>,
    neighbours: Neighbours,
    height: f64,
) -> Result<Array2<bool>> {
    let valid = height.is_finite() && height > 0.0;
    check("height", height, valid, "a finite positive number")?;
    refuse_undefined(image)?;
    let values = raster(image);
    let grid = Grid::new(image.dim(), neighbours);
    let mut parts = Parts::new(values.len());
    let mut maxima = vec![false; values.len()];
    let order = falling(&values);
    let value = |at: usize| f64::from(values[at].to_f32());
    for &at in &order {
        let at = at as usize;
        parts.open(at);
        for beside in grid.around(at) {
            if !parts.is_open(beside) {
                continue;
            }
            let (one, other) = (parts.root(at), parts.root(beside));
            if one == other {
                continue;
            }
            let (high, low) = if values[one] >= values[other] {
                (one, other)
            } else {
                (other, one)
            };
            if values[high] == values[low] {
                parts.join_peaks(high, low);
            } else if value(low) - value(at) >= height {
                for peak in parts.peaks(low) {
                    maxima[peak] = true;
                }
            }
            parts.attach(low, high);
        }
    }
    if let (Some(&highest), Some(&lowest)) = (order.first(), order.last())
        && value(highest as usize) - value(lowest as usize) >= height
    {
        let root = parts.root(highest as usize);
        for peak in parts.peaks(root) {
            maxima[peak] = true;
        }
    }
    Ok(picture(image.dim(), maxima))
}

/// Connected parts of the pixels so far. The root of a part is one of its highest pixels.
struct Parts {
    parents: Vec<u32>,
    /// The next pixel as high as this one, in a ring of the part's highest.
    ring: Vec<u32>,
}

/// A pixel that has not come yet.
const CLOSED: u32 = u32::MAX;

impl Parts {
    fn new(pixels: usize) -> Self {
        Self {
            parents: vec![CLOSED; pixels],
            ring: vec![0; pixels],
        }
    }

    fn open(&mut self, at: usize) {
        self.parents[at] = at as u32;
        self.ring[at] = at as u32;
    }

    fn is_open(&self, at: usize) -> bool {
        self.parents[at] != CLOSED
    }

    fn root(&mut self, mut at: usize) -> usize {
        while self.parents[at] as usize != at {
            self.parents[at] = self.parents[self.parents[at] as usize];
            at = self.parents[at] as usize;
        }
        at
    }

    fn attach(&mut self, low: usize, high: usize) {
        self.parents[low] = high as u32;
    }

    /// Makes one ring of two.
    fn join_peaks(&mut self, one: usize, other: usize) {
        self.ring.swap(one, other);
    }

    fn peaks(&self, root: usize) -> impl Iterator<Item = usize> + '_ {
        let next = move |&at: &usize| {
            let next = self.ring[at] as usize;
            (next != root).then_some(next)
        };
        std::iter::successors(Some(root), next)
    }
}

/// Settings of [`peaks`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peaks {
    /// A peak is the greatest within this many columns and rows, and any two are at least as many
    /// apart; at least 1, the default.
    pub distance: usize,
    /// Peaks are above this; the least value of the image by default.
    pub threshold: Option<f64>,
    /// Peaks are above this share of the greatest value; no such threshold by default.
    pub relative_threshold: Option<f64>,
    /// Peaks are at least this many pixels from the border; 0 by default (scikit-image: `distance`).
    pub border: usize,
    /// At most this many; all by default.
    pub most: Option<usize>,
}

impl Default for Peaks {
    fn default() -> Self {
        Self {
            distance: 1,
            threshold: None,
            relative_threshold: None,
            border: 0,
            most: None,
        }
    }
}

/// Pixels that are the greatest around, from the greatest down; equal ones in raster order.
///
/// Equal to `skimage.feature.peak_local_max` (distances along columns or rows, whichever is greater).
/// Of equal peaks nearer than `distance` the first remains; with `distance` 1, all pixels of a plateau
/// are peaks. An image of one value has none.
///
/// # Errors
/// A distance of 0; values that are not numbers.
pub fn peaks<T: Sample>(image: ArrayView2<'_, T>, settings: &Peaks) -> Result<Vec<Peak>> {
    let distance = settings.distance;
    check("distance", distance, distance >= 1, "at least 1")?;
    refuse_undefined(image)?;
    let (height, width) = image.dim();
    let values = raster(image);
    let (Some(least), Some(greatest)) = (extreme(&values, less), extreme(&values, greater)) else {
        return Ok(Vec::new());
    };
    if least == greatest {
        return Ok(Vec::new());
    }
    let number = |value: T| f64::from(value.to_f32());
    let relative = settings.relative_threshold;
    let threshold = settings
        .threshold
        .unwrap_or_else(|| number(least))
        .max(relative.map_or(f64::NEG_INFINITY, |share| share * number(greatest)));

    let around = window_maximum(&values, width, distance);
    let border = settings.border;
    let inner = |at: usize| {
        let (x, y) = (at % width, at / width);
        x.min(width - 1 - x) >= border && y.min(height - 1 - y) >= border
    };
    let mut found: Vec<usize> = (0..values.len())
        .into_par_iter()
        .filter(|&at| values[at] == around[at] && number(values[at]) > threshold && inner(at))
        .collect();
    found.par_sort_by(|&one, &other| number(values[other]).total_cmp(&number(values[one])));

    let mut taken = vec![false; values.len()];
    let mut kept = Vec::new();
    for at in found {
        if settings.most.is_some_and(|most| kept.len() >= most) {
            break;
        }
        let (x, y) = (at % width, at / width);
        if taken[at] {
            continue;
        }
        kept.push(Peak {
            x,
            y,
            value: values[at].to_f32(),
        });
        if distance > 1 {
            let reach = distance - 1;
            for row in y.saturating_sub(reach)..(y + distance).min(height) {
                let columns = x.saturating_sub(reach)..(x + distance).min(width);
                taken[row * width + columns.start..row * width + columns.end].fill(true);
            }
        }
    }
    Ok(kept)
}

/// The greatest value within `radius` columns and rows of each pixel (M. van Herk, Pattern Recognition
/// Letters 13, 1992, doi:10.1016/0167-8655(92)90069-C), once along rows and once along columns.
fn window_maximum<T: Sample>(values: &[T], width: usize, radius: usize) -> Vec<T> {
    let height = values.len() / width;
    let across = transposed(&row_maximum(values, width, radius), width);
    transposed(&row_maximum(&across, height, radius), height)
}

fn row_maximum<T: Sample>(values: &[T], width: usize, radius: usize) -> Vec<T> {
    let mut result = vec![T::default(); values.len()];
    let window = 2 * radius + 1;
    let length = (width + 2 * radius).next_multiple_of(window);
    result
        .par_chunks_exact_mut(width)
        .zip(values.par_chunks_exact(width))
        .for_each(|(result, values)| {
            // Every window over the border holds the outermost pixel, so that repeating it is harmless.
            let mut padded = vec![values[width - 1]; length];
            padded[..radius].fill(values[0]);
            padded[radius..radius + width].copy_from_slice(values);
            // The greatest from the start of each block of a window's length, and to its end: any
            // window is the end of one block and the start of the next.
            let (mut from_start, mut to_end) = (padded.clone(), padded);
            for block in from_start.chunks_exact_mut(window) {
                for at in 1..window {
                    block[at] = greater(block[at], block[at - 1]);
                }
            }
            for block in to_end.chunks_exact_mut(window) {
                for at in (1..window).rev() {
                    block[at - 1] = greater(block[at - 1], block[at]);
                }
            }
            for ((result, &left), &right) in result
                .iter_mut()
                .zip(&to_end)
                .zip(&from_start[window - 1..])
            {
                *result = greater(left, right);
            }
        });
    result
}

fn transposed<T: Sample>(values: &[T], width: usize) -> Vec<T> {
    let height = values.len() / width;
    let mut result = vec![T::default(); values.len()];
    result
        .par_chunks_exact_mut(height)
        .enumerate()
        .for_each(|(x, column)| {
            for (y, value) in column.iter_mut().enumerate() {
                *value = values[y * width + x];
            }
        });
    result
}

/// Settings of [`find_maxima`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FindMaxima {
    /// How far one must descend from a maximum on the way to something higher (or as high): more than
    /// this. ImageJ's "Prominence", formerly "Noise tolerance"; 10 by default, as there.
    pub prominence: f32,
    /// Leave out maxima whose part of the image, down to the prominence, touches the border; not by
    /// default.
    pub exclude_edges: bool,
}

impl Default for FindMaxima {
    fn default() -> Self {
        Self {
            prominence: 10.0,
            exclude_edges: false,
        }
    }
}

/// ImageJ's *Find Maxima*: one point for each maximum that stands out by more than the prominence.
///
/// Pixels without a greater neighbour (of eight) are candidates, but for those of the image's least
/// value. From the highest down (of equal ones the last in raster order first), each is flooded: all
/// pixels connected to it that are at most `prominence` lower. The candidate fails if the flood meets
/// a higher pixel or one that an earlier flood has met. Otherwise it is a maximum, and its point is
/// that flooded pixel of its height which is nearest to their mean; of equally near ones the first
/// that the flood met. The highest maximum counts even if all other pixels are within the prominence.
///
/// Equal to ImageJ's `MaximumFinder` with output "Single Points" or "List", not "strict", on images
/// that are not distance maps, but that ImageJ sorts `f32` values in steps of the 2·10⁹th part of
/// their range. Points come in the order of falling heights.
///
/// # Errors
/// A prominence that is not finite or is negative; values that are not numbers; more than 2³² − 2
/// pixels.
pub fn find_maxima<T: Sample>(
    image: ArrayView2<'_, T>,
    settings: &FindMaxima,
) -> Result<Vec<Peak>> {
    let prominence = settings.prominence;
    let valid = prominence.is_finite() && prominence >= 0.0;
    check("prominence", prominence, valid, "a finite number from 0 on")?;
    refuse_undefined(image)?;
    let values = raster(image);
    let Some(least) = extreme(&values, less) else {
        return Ok(Vec::new());
    };
    let grid = Grid {
        size: image.dim(),
        steps: &CLOCKWISE,
    };
    let mut candidates: Vec<usize> = (0..values.len())
        .into_par_iter()
        .filter(|&at| {
            values[at] > least && !grid.around(at).any(|beside| values[beside] > values[at])
        })
        .collect();
    let height = |at: usize| values[at].to_f32();
    candidates.par_sort_by(|&one, &other| {
        let by_height = height(other).total_cmp(&height(one));
        by_height.then(other.cmp(&one))
    });

    let mut flood = Flood {
        grid,
        values: &values,
        prominence,
        states: vec![Met::Never; values.len()],
        list: Vec::new(),
    };
    let width = image.ncols();
    let mut maxima = Vec::new();
    for start in candidates {
        if flood.states[start] == Met::Never
            && flood.is_maximum(start)
            && !(settings.exclude_edges && flood.touches_border())
        {
            let at = flood.middle(start);
            maxima.push(Peak {
                x: at % width,
                y: at / width,
                value: height(at),
            });
        }
    }
    Ok(maxima)
}

/// When a flood has met a pixel.
#[derive(Clone, Copy, PartialEq)]
enum Met {
    Never,
    Now,
    Before,
}

struct Flood<'a, T> {
    grid: Grid,
    values: &'a [T],
    prominence: f32,
    states: Vec<Met>,
    /// What the present flood has met, in this order.
    list: Vec<usize>,
}

impl<T: Sample> Flood<'_, T> {
    /// Floods from a candidate. A flood that fails stops at once: candidates that it would still have
    /// met fail by their own.
    fn is_maximum(&mut self, start: usize) -> bool {
        let height = self.values[start].to_f32();
        let floor = height - self.prominence;
        self.list.clear();
        self.list.push(start);
        self.states[start] = Met::Now;
        let mut highest = true;
        let mut next = 0;
        'flood: while let Some(&at) = self.list.get(next) {
            next += 1;
            for beside in self.grid.around(at) {
                let value = self.values[beside].to_f32();
                match self.states[beside] {
                    Met::Now => {}
                    Met::Never if value < floor => {}
                    Met::Never if value <= height => {
                        self.states[beside] = Met::Now;
                        self.list.push(beside);
                    }
                    Met::Never | Met::Before => {
                        highest = false;
                        break 'flood;
                    }
                }
            }
        }
        for &at in &self.list {
            self.states[at] = Met::Before;
        }
        highest
    }

    fn touches_border(&self) -> bool {
        let (height, width) = self.grid.size;
        self.list.iter().any(|at| {
            let (x, y) = (at % width, at / width);
            x == 0 || y == 0 || x == width - 1 || y == height - 1
        })
    }

    /// The pixel as high as the start which is nearest to the mean of all these.
    fn middle(&self, start: usize) -> usize {
        let width = self.grid.size.1;
        let place = |at: usize| ((at % width) as f64, (at / width) as f64);
        let equal = || {
            let as_high = |at: &usize| self.values[*at] == self.values[start];
            self.list.iter().copied().filter(as_high)
        };
        let (mut count, mut sum) = (0.0, (0.0, 0.0));
        for (x, y) in equal().map(place) {
            count += 1.0;
            sum = (sum.0 + x, sum.1 + y);
        }
        let mean = (sum.0 / count, sum.1 / count);
        let squared = |at: usize| {
            let (x, y) = place(at);
            (x - mean.0) * (x - mean.0) + (y - mean.1) * (y - mean.1)
        };
        // Of equals, `min_by` returns the first.
        let nearest = equal().min_by(|&one, &other| squared(one).total_cmp(&squared(other)));
        nearest.unwrap_or(start)
    }
}

/// Steps (x, y) to neighbours: the four first, then the diagonals.
const AROUND: [(isize, isize); 8] = [
    (0, -1),
    (-1, 0),
    (1, 0),
    (0, 1),
    (-1, -1),
    (1, -1),
    (-1, 1),
    (1, 1),
];

/// Steps (x, y) in ImageJ's order: from the top clockwise.
const CLOCKWISE: [(isize, isize); 8] = [
    (0, -1),
    (1, -1),
    (1, 0),
    (1, 1),
    (0, 1),
    (-1, 1),
    (-1, 0),
    (-1, -1),
];

/// Which pixels are beside which.
struct Grid {
    size: (usize, usize),
    steps: &'static [(isize, isize)],
}

impl Grid {
    fn new(size: (usize, usize), neighbours: Neighbours) -> Self {
        let steps = match neighbours {
            Neighbours::Four => &AROUND[..4],
            Neighbours::Eight => &AROUND[..],
        };
        Self { size, steps }
    }

    /// The neighbours of a pixel that lie in the image.
    fn around(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        let (height, width) = self.size;
        let (x, y) = (at % width, at / width);
        self.steps.iter().filter_map(move |&(right, down)| {
            let (x, y) = (x.wrapping_add_signed(right), y.wrapping_add_signed(down));
            (x < width && y < height).then(|| y * width + x)
        })
    }
}

fn greater<T: PartialOrd>(one: T, other: T) -> T {
    if other > one { other } else { one }
}

fn less<T: PartialOrd>(one: T, other: T) -> T {
    if other < one { other } else { one }
}

fn extreme<T: Sample>(values: &[T], of: fn(T, T) -> T) -> Option<T> {
    values.par_iter().copied().reduce_with(of)
}

/// All positions, the highest values first, equal ones in raster order.
fn falling<T: Sample>(values: &[T]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    let value = |at: u32| values[at as usize].to_f32();
    order.par_sort_by(|&one, &other| value(other).total_cmp(&value(one)));
    order
}

/// Refuses values that have no order, and more pixels than positions have bits for.
fn refuse_undefined<T: Sample>(image: ArrayView2<'_, T>) -> Result<()> {
    countable(image.dim())?;
    if image.iter().any(|value| value.to_f32().is_nan()) {
        return Err(Error::Undefined(
            "the image has values that are not numbers: replace them first".to_owned(),
        ));
    }
    Ok(())
}
