//! Marker-controlled watershed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::{Neighbours, countable, picture, raster};
use crate::Sample;
use crate::error::{Result, same_size};

/// Settings of [`watershed`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Watershed<'a> {
    /// Which pixels a basin spreads to; four by default.
    pub neighbours: Neighbours,
    /// Where basins may be; everywhere by default. Markers outside count for nothing.
    pub mask: Option<ArrayView2<'a, bool>>,
    /// Leave a line of 0, one pixel wide, between basins; not by default. Markers that touch keep
    /// touching, without a line between them.
    pub line: bool,
}

impl Default for Watershed<'_> {
    fn default() -> Self {
        Self {
            neighbours: Neighbours::Four,
            mask: None,
            line: false,
        }
    }
}

/// Floods an image from markers: each pixel gets the label of the marker whose water reaches it
/// first, when water rises everywhere at once and spreads pixel by pixel at one level. 0 where no
/// water comes to.
///
/// The algorithm is F. Meyer's ("Topographic distance and watershed lines", Signal Processing 38,
/// 1994, doi:10.1016/0165-1684(94)90060-4), as `skimage.segmentation.watershed` does it: pixels wait
/// in a queue by value, then by time of entry; a pixel's neighbours enter in the order up, left, right,
/// down, then the four diagonals. Marker pixels of one value leave the queue in raster order; in
/// scikit-image their order is that of its heap, so that its result differs from this one in some
/// pixels at the same height between markers. OpenCV's `watershed` floods the differences of
/// neighbouring colours instead, and always draws lines.
///
/// Values that are not numbers are flooded last.
///
/// # Errors
/// Markers or mask of another size than the image; more than 2³² − 2 pixels.
pub fn watershed<T: Sample>(
    image: ArrayView2<'_, T>,
    markers: ArrayView2<'_, u32>,
    settings: &Watershed<'_>,
) -> Result<Array2<u32>> {
    let size @ (height, width) = image.dim();
    same_size("marker picture", size, markers.dim())?;
    if let Some(mask) = settings.mask {
        same_size("mask", size, mask.dim())?;
    }
    countable((height + 2, width + 2))?;

    // Integer kinds have a greatest value of their own, and as many queues.
    Ok(if T::WHITE == f32::from(u8::MAX) {
        let basins = Basins::new(image, markers, settings, |value| value.to_f32() as u8);
        basins.flood(Buckets::new(1 << 8), settings)
    } else if T::WHITE == f32::from(u16::MAX) {
        let basins = Basins::new(image, markers, settings, |value| value.to_f32() as u16);
        basins.flood(Buckets::new(1 << 16), settings)
    } else {
        let basins = Basins::new(image, markers, settings, |value| ordered(value.to_f32()));
        basins.flood(Heap::default(), settings)
    })
}

/// Integers in the order of the numbers; what is not a number is last.
fn ordered(value: f32) -> u32 {
    if value.is_nan() {
        return u32::MAX;
    }
    // Adding 0 turns −0 into 0.
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 1 {
        !bits
    } else {
        bits | 1 << 31
    }
}

/// A pixel that waits, and the label whose water brought it here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    index: u32,
    label: u32,
}

/// Pixels in the order of their level, then of their entry.
trait Queue<L> {
    fn push(&mut self, level: L, pixel: Waiting);

    fn pop(&mut self) -> Option<(L, Waiting)>;
}

/// One queue per level. Nothing may enter below the level that last left.
struct Buckets {
    buckets: Vec<Vec<Waiting>>,
    level: usize,
    /// How many have left the present level.
    gone: usize,
}

impl Buckets {
    fn new(levels: usize) -> Self {
        Self {
            buckets: vec![Vec::new(); levels],
            level: 0,
            gone: 0,
        }
    }
}

impl<L: Into<usize> + TryFrom<usize>> Queue<L> for Buckets {
    fn push(&mut self, level: L, pixel: Waiting) {
        self.buckets[level.into()].push(pixel);
    }

    fn pop(&mut self) -> Option<(L, Waiting)> {
        loop {
            let bucket = self.buckets.get_mut(self.level)?;
            if let Some(&pixel) = bucket.get(self.gone) {
                self.gone += 1;
                return Some((L::try_from(self.level).ok()?, pixel));
            }
            *bucket = Vec::new();
            self.level += 1;
            self.gone = 0;
        }
    }
}

/// For levels too many to have a queue each.
#[derive(Default)]
struct Heap {
    heap: BinaryHeap<Reverse<(u32, u64, Waiting)>>,
    entered: u64,
}

impl Queue<u32> for Heap {
    fn push(&mut self, level: u32, pixel: Waiting) {
        self.heap.push(Reverse((level, self.entered, pixel)));
        self.entered += 1;
    }

    fn pop(&mut self) -> Option<(u32, Waiting)> {
        let Reverse((level, _, pixel)) = self.heap.pop()?;
        Some((level, pixel))
    }
}

/// The image with a margin of one pixel that no water enters.
struct Basins<L> {
    size: (usize, usize),
    levels: Vec<L>,
    labels: Vec<u32>,
    /// Where basins may be.
    inside: Vec<bool>,
}

impl<L: Copy + Default + Ord + Send + Sync> Basins<L> {
    fn new<T: Sample>(
        image: ArrayView2<'_, T>,
        markers: ArrayView2<'_, u32>,
        settings: &Watershed<'_>,
        level: impl Fn(T) -> L + Sync,
    ) -> Self {
        let size @ (height, width) = image.dim();
        let pixels = (height + 2) * (width + 2);
        let mut basins = Self {
            size,
            levels: vec![L::default(); pixels],
            labels: vec![0; pixels],
            inside: vec![false; pixels],
        };
        if width == 0 {
            return basins;
        }
        let (values, markers) = (raster(image), raster(markers));
        let mask = settings.mask.map(raster);
        let row = width + 2;
        basins.levels[row..]
            .par_chunks_exact_mut(row)
            .zip(basins.labels[row..].par_chunks_exact_mut(row))
            .zip(basins.inside[row..].par_chunks_exact_mut(row))
            .zip(values.par_chunks_exact(width))
            .zip(markers.par_chunks_exact(width))
            .enumerate()
            .for_each(|(y, ((((levels, labels), inside), values), markers))| {
                let labels = &mut labels[1..=width];
                let inside = &mut inside[1..=width];
                labels.copy_from_slice(markers);
                for (to, &value) in levels[1..=width].iter_mut().zip(values) {
                    *to = level(value);
                }
                match &mask {
                    None => inside.fill(true),
                    Some(mask) => inside.copy_from_slice(&mask[y * width..(y + 1) * width]),
                }
                for (label, &inside) in labels.iter_mut().zip(&*inside) {
                    *label *= u32::from(inside);
                }
            });
        basins
    }

    fn flood(mut self, mut queue: impl Queue<L>, settings: &Watershed<'_>) -> Array2<u32> {
        for (index, (&label, &level)) in (0..).zip(self.labels.iter().zip(&self.levels)) {
            if label != 0 {
                queue.push(level, Waiting { index, label });
            }
        }
        let row = self.size.1 as isize + 2;
        let straight = [-row, -1, 1, row];
        let all = [-row, -1, 1, row, -row - 1, -row + 1, row - 1, row + 1];
        match (settings.line, settings.neighbours) {
            (false, Neighbours::Four) => self.spread(&mut queue, straight),
            (false, Neighbours::Eight) => self.spread(&mut queue, all),
            (true, Neighbours::Four) => self.spread_with_line(&mut queue, straight),
            (true, Neighbours::Eight) => self.spread_with_line(&mut queue, all),
        }
        self.without_margin()
    }

    /// A pixel has its label from the moment it enters the queue: no other water can come sooner.
    ///
    /// Whether a pixel still waits for water is a bit apart from its level and label: of the places
    /// that a flood looks at, which are all over the image, most are answered by these bits, and they
    /// fit in the cache.
    fn spread<const N: usize>(&mut self, queue: &mut impl Queue<L>, steps: [isize; N]) {
        let mut dry: Vec<u64> = self
            .inside
            .par_chunks(64)
            .zip(self.labels.par_chunks(64))
            .map(|(inside, labels)| {
                let pixels = inside.iter().zip(labels).rev();
                pixels.fold(0, |bits, (&inside, &label)| {
                    bits << 1 | u64::from(inside && label == 0)
                })
            })
            .collect();
        while let Some((level, Waiting { index, label })) = queue.pop() {
            for step in steps {
                let beside = (index as usize).wrapping_add_signed(step);
                let (word, bit) = (&mut dry[beside / 64], 1 << (beside % 64));
                if *word & bit != 0 {
                    *word ^= bit;
                    self.labels[beside] = label;
                    let level = self.levels[beside].max(level);
                    let index = beside as u32;
                    queue.push(level, Waiting { index, label });
                }
            }
        }
    }

    /// A pixel has its label when it leaves the queue, for only then is it known whether it lies
    /// between two basins. A line does not stop water that comes from it: as in scikit-image.
    fn spread_with_line<const N: usize>(&mut self, queue: &mut impl Queue<L>, steps: [isize; N]) {
        let markers: Vec<bool> = self.labels.iter().map(|&label| label != 0).collect();
        let labels = &mut self.labels;
        let mut closed: Vec<bool> = self.inside.iter().map(|inside| !inside).collect();
        while let Some((level, Waiting { index, label })) = queue.pop() {
            let index = index as usize;
            if labels[index] != 0 && !markers[index] {
                continue;
            }
            let beside = steps.map(|step| index.wrapping_add_signed(step));
            if !closed[index] {
                let between = beside.iter().any(|&beside| {
                    let other = labels[beside];
                    !closed[beside] && other != 0 && other != label
                });
                if between {
                    closed[index] = true;
                } else {
                    labels[index] = label;
                }
            }
            for beside in beside {
                if !closed[beside] && labels[beside] == 0 {
                    let level = self.levels[beside].max(level);
                    let index = beside as u32;
                    queue.push(level, Waiting { index, label });
                }
            }
        }
    }

    fn without_margin(mut self) -> Array2<u32> {
        let (height, width) = self.size;
        for y in 0..height {
            let start = (y + 1) * (width + 2) + 1;
            self.labels.copy_within(start..start + width, y * width);
        }
        self.labels.truncate(height * width);
        picture(self.size, self.labels)
    }
}
