//! Connected components and what can be counted of them in one pass.

use std::collections::HashMap;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::{Bounds, Neighbours, band_rows, countable, picture, raster};
use crate::error::Result;

/// A picture of components: each pixel its component's number, 0 for background.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Components {
    /// `[height, width]`; components are numbered from 1 in the raster order of their first pixels.
    pub labels: Array2<u32>,
    /// How many there are.
    pub count: usize,
}

/// What one label's pixels are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistics {
    /// The label.
    pub label: u32,
    /// Its number of pixels.
    pub area: u64,
    /// The smallest rectangle around it.
    pub bounds: Bounds,
    /// The mean (x, y) of its pixels' centres, which are at half pixels: 0.5 more than scikit-image's.
    pub centroid: (f64, f64),
}

/// Connected components of a mask, as `skimage.measure.label` numbers them.
///
/// Runs of pixels are joined by union-find (L. He, Y. Chao, K. Suzuki, "A run-based two-scan labeling
/// algorithm", IEEE Transactions on Image Processing 17, 2008, doi:10.1109/TIP.2008.919369), in bands
/// of rows that are joined in turn. A mask without pixels has no components.
///
/// # Errors
/// More than 2³² − 2 pixels.
pub fn components(mask: ArrayView2<'_, bool>, neighbours: Neighbours) -> Result<Components> {
    let numbered = number(mask, neighbours, mask_runs)?;
    Ok(numbered.paint())
}

/// As [`components`], with the statistics of each component, in their order.
///
/// # Errors
/// More than 2³² − 2 pixels.
pub fn components_with_statistics(
    mask: ArrayView2<'_, bool>,
    neighbours: Neighbours,
) -> Result<(Components, Vec<Statistics>)> {
    let numbered = number(mask, neighbours, mask_runs)?;
    Ok((numbered.paint(), numbered.statistics()))
}

/// Connected components of equal labels: touching pixels of different labels are apart, and 0 is
/// background. As `skimage.measure.label` of a picture of integers.
///
/// # Errors
/// More than 2³² − 2 pixels.
pub fn components_of_labels(
    labels: ArrayView2<'_, u32>,
    neighbours: Neighbours,
) -> Result<Components> {
    let numbered = number(labels, neighbours, label_runs)?;
    Ok(numbered.paint())
}

/// Statistics of every label but 0, ascending; labels need be neither connected nor consecutive.
pub fn statistics(labels: ArrayView2<'_, u32>) -> Vec<Statistics> {
    let (height, width) = labels.dim();
    if labels.is_empty() {
        return Vec::new();
    }
    let pixels = raster(labels);
    let rows = band_rows(height);
    let bands: Vec<HashMap<u32, Sums>> = pixels
        .par_chunks(rows * width)
        .enumerate()
        .map(|(band, pixels)| {
            let mut sums = HashMap::new();
            let mut runs = Vec::new();
            for (row, pixels) in pixels.chunks_exact(width).enumerate() {
                runs.clear();
                label_runs(pixels, &mut runs);
                for run in &runs {
                    let entry: &mut Sums = sums.entry(run.value).or_default();
                    entry.add(band * rows + row, run.start, run.end);
                }
            }
            sums
        })
        .collect();
    let mut merged: HashMap<u32, Sums> = HashMap::new();
    for (label, sums) in bands.into_iter().flatten() {
        merged.entry(label).or_default().merge(&sums);
    }
    let mut list: Vec<Statistics> = merged
        .iter()
        .map(|(&label, sums)| sums.statistics(label))
        .collect();
    list.sort_unstable_by_key(|entry| entry.label);
    list
}

/// Pixels `start..end` of a row, all of one value.
#[derive(Debug, Clone, Copy)]
struct Run<V> {
    start: u32,
    end: u32,
    value: V,
}

/// The runs of some rows.
struct Band<V> {
    runs: Vec<Run<V>>,
    /// Where each row's runs end in `runs`.
    ends: Vec<usize>,
    /// Union-find over this band's runs.
    parents: Vec<u32>,
}

impl<V> Band<V> {
    fn row(&self, row: usize) -> std::ops::Range<usize> {
        let start = row.checked_sub(1).map_or(0, |above| self.ends[above]);
        start..self.ends[row]
    }
}

/// Every run with its component's number.
struct Numbered<V> {
    size: (usize, usize),
    rows_per_band: usize,
    bands: Vec<Band<V>>,
    /// Each band's first run among all runs.
    firsts: Vec<usize>,
    numbers: Vec<u32>,
    count: usize,
}

fn number<T: Clone + Sync, V: Copy + PartialEq + Send + Sync>(
    image: ArrayView2<'_, T>,
    neighbours: Neighbours,
    find_runs: impl Fn(&[T], &mut Vec<Run<V>>) + Sync,
) -> Result<Numbered<V>> {
    let (height, width) = image.dim();
    countable(image.dim())?;
    let rows_per_band = band_rows(height);
    // Two runs in neighbouring rows touch if they overlap once one is longer by this at both ends.
    let reach = match neighbours {
        Neighbours::Four => 0,
        Neighbours::Eight => 1,
    };
    let pixels = raster(image);
    let bands: Vec<Band<V>> = pixels
        .par_chunks((rows_per_band * width).max(1))
        .map(|pixels| scan(pixels, width, reach, &find_runs))
        .collect();

    let mut firsts = Vec::with_capacity(bands.len());
    let mut parents = Vec::with_capacity(bands.iter().map(|band| band.runs.len()).sum());
    for band in &bands {
        let first = parents.len();
        firsts.push(first);
        parents.extend(band.parents.iter().map(|parent| parent + first as u32));
    }
    for (index, pair) in bands.windows(2).enumerate() {
        let upper = pair[0].row(pair[0].ends.len() - 1);
        let lower = pair[1].row(0);
        let offsets = (firsts[index] + upper.start, firsts[index + 1] + lower.start);
        join(
            &pair[0].runs[upper],
            &pair[1].runs[lower],
            reach,
            |above, below| unite(&mut parents, offsets.0 + above, offsets.1 + below),
        );
    }

    // A parent precedes its children, so a root is its component's first run in raster order and a
    // parent's number is known when its child's turn comes.
    let mut count = 0;
    let mut numbers = parents;
    for index in 0..numbers.len() {
        let parent = numbers[index] as usize;
        if parent == index {
            count += 1;
            numbers[index] = count;
        } else {
            numbers[index] = numbers[parent];
        }
    }
    Ok(Numbered {
        size: (height, width),
        rows_per_band,
        bands,
        firsts,
        numbers,
        count: count as usize,
    })
}

/// The runs of a band, joined.
fn scan<T, V: Copy + PartialEq>(
    pixels: &[T],
    width: usize,
    reach: u32,
    find_runs: impl Fn(&[T], &mut Vec<Run<V>>),
) -> Band<V> {
    let mut band = Band {
        runs: Vec::new(),
        ends: Vec::with_capacity(pixels.len() / width),
        parents: Vec::new(),
    };
    let mut above = 0..0;
    for row in pixels.chunks_exact(width) {
        let start = band.runs.len();
        find_runs(row, &mut band.runs);
        let here = start..band.runs.len();
        band.ends.push(here.end);
        band.parents.extend(here.start as u32..here.end as u32);
        let parents = &mut band.parents;
        join(
            &band.runs[above.clone()],
            &band.runs[here.clone()],
            reach,
            |upper, lower| unite(parents, above.start + upper, here.start + lower),
        );
        above = here;
    }
    band
}

/// Calls `found` with the positions of every two runs of neighbouring rows that touch.
fn join<V: PartialEq>(
    upper: &[Run<V>],
    lower: &[Run<V>],
    reach: u32,
    mut found: impl FnMut(usize, usize),
) {
    let mut first = 0;
    for (below, run) in lower.iter().enumerate() {
        while first < upper.len() && upper[first].end + reach <= run.start {
            first += 1;
        }
        let mut above = first;
        while above < upper.len() && upper[above].start < run.end + reach {
            if upper[above].value == run.value {
                found(above, below);
            }
            above += 1;
        }
    }
}

/// The root of a run; halves the path on the way.
fn root(parents: &mut [u32], mut at: usize) -> usize {
    loop {
        let parent = parents[at] as usize;
        if parent == at {
            return at;
        }
        parents[at] = parents[parent];
        at = parents[at] as usize;
    }
}

/// Joins two trees; the earlier root stays one, whatever the order of the calls.
fn unite(parents: &mut [u32], one: usize, other: usize) {
    let (one, other) = (root(parents, one), root(parents, other));
    parents[one.max(other)] = one.min(other) as u32;
}

/// Zeros for so many pixels, written by all threads.
fn background(pixels: usize) -> Vec<u32> {
    const LINE: usize = 16;
    let lines: Vec<[u32; LINE]> = (0..pixels.div_ceil(LINE))
        .into_par_iter()
        .map(|_| [0; LINE])
        .collect();
    let mut labels = lines.into_flattened();
    labels.truncate(pixels);
    labels
}

impl<V: Sync> Numbered<V> {
    fn paint(&self) -> Components {
        let (height, width) = self.size;
        let mut labels = background(height * width);
        labels
            .par_chunks_mut((self.rows_per_band * width).max(1))
            .zip(&self.bands)
            .zip(&self.firsts)
            .for_each(|((pixels, band), &first)| {
                for (row, pixels) in pixels.chunks_exact_mut(width).enumerate() {
                    for index in band.row(row) {
                        let run = &band.runs[index];
                        pixels[run.start as usize..run.end as usize]
                            .fill(self.numbers[first + index]);
                    }
                }
            });
        Components {
            labels: picture(self.size, labels),
            count: self.count,
        }
    }

    fn statistics(&self) -> Vec<Statistics> {
        let mut sums = vec![Sums::default(); self.count];
        let mut numbers = self.numbers.iter();
        for (index, band) in self.bands.iter().enumerate() {
            for row in 0..band.ends.len() {
                for (run, &number) in band.runs[band.row(row)].iter().zip(&mut numbers) {
                    let y = index * self.rows_per_band + row;
                    sums[number as usize - 1].add(y, run.start, run.end);
                }
            }
        }
        sums.iter()
            .zip(1..)
            .map(|(sums, label)| sums.statistics(label))
            .collect()
    }
}

/// Sums over pixels; all integers, so their order does not matter.
#[derive(Debug, Clone, Copy)]
struct Sums {
    area: u64,
    /// Twice the sum of the centres' coordinates.
    twice: (u64, u64),
    bounds: Bounds,
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            area: 0,
            twice: (0, 0),
            bounds: Bounds {
                left: usize::MAX,
                top: usize::MAX,
                right: 0,
                bottom: 0,
            },
        }
    }
}

impl Sums {
    fn add(&mut self, row: usize, start: u32, end: u32) {
        let (start, end) = (u64::from(start), u64::from(end));
        let length = end - start;
        self.merge(&Self {
            area: length,
            twice: ((start + end) * length, (2 * row as u64 + 1) * length),
            bounds: Bounds {
                left: start as usize,
                top: row,
                right: end as usize,
                bottom: row + 1,
            },
        });
    }

    fn merge(&mut self, other: &Self) {
        self.area += other.area;
        self.twice.0 += other.twice.0;
        self.twice.1 += other.twice.1;
        let (ours, theirs) = (&mut self.bounds, &other.bounds);
        ours.left = ours.left.min(theirs.left);
        ours.top = ours.top.min(theirs.top);
        ours.right = ours.right.max(theirs.right);
        ours.bottom = ours.bottom.max(theirs.bottom);
    }

    fn statistics(&self, label: u32) -> Statistics {
        let twice_area = 2.0 * self.area as f64;
        Statistics {
            label,
            area: self.area,
            bounds: self.bounds,
            centroid: (
                self.twice.0 as f64 / twice_area,
                self.twice.1 as f64 / twice_area,
            ),
        }
    }
}

/// Runs of set pixels, found in 64 pixels at a time.
fn mask_runs(row: &[bool], runs: &mut Vec<Run<()>>) {
    let mut open = None;
    let mut last = 0;
    for (word, pixels) in row.chunks(64).enumerate() {
        let bits = pack(pixels);
        let mut changes = bits ^ (bits << 1 | last);
        last = bits >> 63;
        while changes != 0 {
            let at = 64 * word as u32 + changes.trailing_zeros();
            changes &= changes - 1;
            match open.take() {
                None => open = Some(at),
                Some(start) => runs.push(Run {
                    start,
                    end: at,
                    value: (),
                }),
            }
        }
    }
    if let Some(start) = open {
        runs.push(Run {
            start,
            end: row.len() as u32,
            value: (),
        });
    }
}

/// Up to 64 pixels as bits, the first one lowest.
fn pack(pixels: &[bool]) -> u64 {
    /// Moves the lowest bit of byte i to bit 56 + i.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let (eights, rest) = pixels.as_chunks::<8>();
    let mut bits = 0;
    // From the last to the first, each pushing those before it up: a chain, since the vector
    // instructions that independent products become are slower than plain ones.
    for &pixel in rest.iter().rev() {
        bits = bits << 1 | u64::from(pixel);
    }
    for eight in eights.iter().rev() {
        let bytes = u64::from_le_bytes(eight.map(u8::from));
        bits = bits << 8 | bytes.wrapping_mul(GATHER) >> 56;
    }
    bits
}

/// Runs of equal labels, without background.
fn label_runs(row: &[u32], runs: &mut Vec<Run<u32>>) {
    let mut start = 0;
    for same in row.chunk_by(|one, other| one == other) {
        let end = start + same.len() as u32;
        if same[0] != 0 {
            runs.push(Run {
                start,
                end,
                value: same[0],
            });
        }
        start = end;
    }
}
