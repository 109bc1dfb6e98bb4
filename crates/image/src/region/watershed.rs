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
    let size = image.dim();
    same_size("marker picture", size, markers.dim())?;
    if let Some(mask) = settings.mask {
        same_size("mask", size, mask.dim())?;
    }
    countable(size)?;

    let mut labels = raster(markers).into_owned();
    let (values, mask) = (raster(image), settings.mask.map(raster));
    if let Some(mask) = &mask {
        for (label, &inside) in labels.iter_mut().zip(mask.iter()) {
            *label *= u32::from(inside);
        }
    }
    let basins = Basins {
        size,
        values: &values,
        labels,
        mask: mask.as_deref(),
    };
    // Integer kinds have a greatest value of their own, and as many queues.
    let levels = if T::WHITE > 1.0 {
        T::WHITE as usize + 1
    } else {
        0
    };
    Ok(match levels {
        0 => basins.flood(Heap::default(), settings),
        levels => basins.flood(Buckets::new(levels), settings),
    })
}

/// A pixel that waits, and the label whose water brought it here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    index: u32,
    label: u32,
}

/// Pixels in the order of their level, then of their entry. Nothing may enter below the level that last
/// left.
trait Queue {
    fn push(&mut self, level: u32, pixel: Waiting);

    fn pop(&mut self) -> Option<(u32, Waiting)>;
}

/// One queue per level.
struct Buckets {
    /// What waits at higher levels.
    buckets: Vec<Vec<Waiting>>,
    level: usize,
    /// What leaves now, in this order, and how much of it has left.
    leaving: Vec<Waiting>,
    gone: usize,
    /// What entered at the present level since, and leaves next.
    entered: Vec<Waiting>,
}

impl Buckets {
    fn new(levels: usize) -> Self {
        Self {
            buckets: vec![Vec::new(); levels],
            level: 0,
            leaving: Vec::new(),
            gone: 0,
            entered: Vec::new(),
        }
    }

    /// Goes on with what entered meanwhile, or with the next level; says whether there is any.
    fn turn(&mut self) -> bool {
        self.leaving.clear();
        self.gone = 0;
        std::mem::swap(&mut self.leaving, &mut self.entered);
        while self.leaving.is_empty() {
            if self.level + 1 == self.buckets.len() {
                return false;
            }
            self.level += 1;
            self.leaving = std::mem::take(&mut self.buckets[self.level]);
        }
        true
    }
}

impl Queue for Buckets {
    #[inline(always)]
    fn push(&mut self, level: u32, pixel: Waiting) {
        let level = level as usize;
        if level == self.level {
            self.entered.push(pixel);
        } else {
            self.buckets[level].push(pixel);
        }
    }

    #[inline(always)]
    fn pop(&mut self) -> Option<(u32, Waiting)> {
        if self.gone == self.leaving.len() && !self.turn() {
            return None;
        }
        let &pixel = self.leaving.get(self.gone)?;
        self.gone += 1;
        Some((self.level as u32, pixel))
    }
}

/// For levels too many to have a queue each.
#[derive(Default)]
struct Heap {
    heap: BinaryHeap<Reverse<(u32, u64, Waiting)>>,
    entered: u64,
}

impl Queue for Heap {
    fn push(&mut self, level: u32, pixel: Waiting) {
        self.heap.push(Reverse((level, self.entered, pixel)));
        self.entered += 1;
    }

    fn pop(&mut self) -> Option<(u32, Waiting)> {
        let Reverse((level, _, pixel)) = self.heap.pop()?;
        Some((level, pixel))
    }
}

/// A set of pixels, a bit each: of the places that a flood looks at, which are all over the image, most
/// are answered by bits, and they fit in the cache.
#[derive(Clone)]
struct Pixels {
    /// Rows of whole words with at least one bit more than there are columns, which is 0, and a row of 0
    /// above and below, before all a word of 0. So whatever lies beside a pixel has a bit.
    words: Vec<u64>,
    width: usize,
    stride: usize,
}

impl Pixels {
    /// The pixels for which `is_in` holds, given their position in the raster.
    fn new((height, width): (usize, usize), is_in: impl Fn(usize) -> bool + Sync) -> Self {
        let words_per_row = width / 64 + 1;
        let mut words = vec![0; 1 + (height + 2) * words_per_row];
        let rows = words[1 + words_per_row..].par_chunks_exact_mut(words_per_row);
        rows.take(height).enumerate().for_each(|(y, row)| {
            for (number, word) in row.iter_mut().enumerate() {
                let columns = 64 * number..width.min(64 * (number + 1));
                let bits = columns.rev();
                *word = bits.fold(0, |bits, x| bits << 1 | u64::from(is_in(y * width + x)));
            }
        });
        Self {
            words,
            width,
            stride: 64 * words_per_row,
        }
    }

    /// The bit of a pixel.
    #[inline(always)]
    fn bit(&self, index: u32) -> usize {
        let row = index / self.width as u32;
        64 + index as usize + self.stride + row as usize * (self.stride - self.width)
    }

    #[inline(always)]
    fn contains(&self, bit: usize) -> bool {
        self.words[bit / 64] >> (bit % 64) & 1 != 0
    }

    #[inline(always)]
    fn remove(&mut self, bit: usize) {
        self.words[bit / 64] &= !(1 << (bit % 64));
    }

    /// The ways to the neighbours, as steps over bits and over pixels of the raster.
    fn steps<const N: usize>(&self, ways: [(isize, isize); N]) -> [(isize, isize); N] {
        let (stride, width) = (self.stride as isize, self.width as isize);
        ways.map(|(down, right)| (down * stride + right, down * width + right))
    }
}

/// (Down, right).
const STRAIGHT: [(isize, isize); 4] = [(-1, 0), (0, -1), (0, 1), (1, 0)];
const ALL: [(isize, isize); 8] = [
    (-1, 0),
    (0, -1),
    (0, 1),
    (1, 0),
    (-1, -1),
    (-1, 1),
    (1, -1),
    (1, 1),
];

struct Basins<'a, T> {
    size: (usize, usize),
    values: &'a [T],
    labels: Vec<u32>,
    /// Where basins may be, if not everywhere.
    mask: Option<&'a [bool]>,
}

impl<T: Sample> Basins<'_, T> {
    fn flood(mut self, mut queue: impl Queue, settings: &Watershed<'_>) -> Array2<u32> {
        if self.labels.is_empty() {
            return picture(self.size, self.labels);
        }
        for (index, (&label, value)) in (0..).zip(self.labels.iter().zip(self.values)) {
            if label != 0 {
                queue.push(value.rank(), Waiting { index, label });
            }
        }
        match (settings.line, settings.neighbours) {
            (false, Neighbours::Four) => self.spread(&mut queue, STRAIGHT),
            (false, Neighbours::Eight) => self.spread(&mut queue, ALL),
            (true, Neighbours::Four) => self.spread_with_line(&mut queue, STRAIGHT),
            (true, Neighbours::Eight) => self.spread_with_line(&mut queue, ALL),
        }
        picture(self.size, self.labels)
    }

    fn is_inside(&self, index: usize) -> bool {
        self.mask.is_none_or(|mask| mask[index])
    }

    /// A pixel has its label from the moment it enters the queue: no other water can come sooner.
    fn spread<const N: usize>(&mut self, queue: &mut impl Queue, ways: [(isize, isize); N]) {
        let waits = |index| self.labels[index] == 0 && self.is_inside(index);
        let mut dry = Pixels::new(self.size, waits);
        let steps = dry.steps(ways);
        while let Some((level, Waiting { index, label })) = queue.pop() {
            let bit = dry.bit(index);
            for (bits, pixels) in steps {
                let beside = bit.wrapping_add_signed(bits);
                if dry.contains(beside) {
                    dry.remove(beside);
                    let beside = (index as usize).wrapping_add_signed(pixels);
                    self.labels[beside] = label;
                    let level = self.values[beside].rank().max(level);
                    let index = beside as u32;
                    queue.push(level, Waiting { index, label });
                }
            }
        }
    }

    /// A pixel has its label when it leaves the queue, for only then is it known whether it lies
    /// between two basins. A line does not stop water that comes from it: as in scikit-image.
    fn spread_with_line<const N: usize>(
        &mut self,
        queue: &mut impl Queue,
        ways: [(isize, isize); N],
    ) {
        let markers = Pixels::new(self.size, |index| self.labels[index] != 0);
        let mut open = Pixels::new(self.size, |index| self.is_inside(index));
        let steps = open.steps(ways);
        let labels = &mut self.labels;
        while let Some((level, Waiting { index, label })) = queue.pop() {
            let bit = open.bit(index);
            let index = index as usize;
            if labels[index] != 0 && !markers.contains(bit) {
                continue;
            }
            let beside = steps.map(|(bits, pixels)| {
                let is_open = open.contains(bit.wrapping_add_signed(bits));
                is_open.then_some(index.wrapping_add_signed(pixels))
            });
            if open.contains(bit) {
                let between = beside.iter().flatten().any(|&beside| {
                    let other = labels[beside];
                    other != 0 && other != label
                });
                if between {
                    open.remove(bit);
                } else {
                    labels[index] = label;
                }
            }
            for beside in beside.into_iter().flatten() {
                if labels[beside] == 0 {
                    let level = self.values[beside].rank().max(level);
                    let index = beside as u32;
                    queue.push(level, Waiting { index, label });
                }
            }
        }
    }
}
