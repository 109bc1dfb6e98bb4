//! Marker-controlled watershed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::{Neighbours, countable, picture, raster};
use crate::Sample;
use crate::error::{Result, check, same_size};

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
/// Markers or mask of another size than the image; more than 2³² − 2 pixels; the marker 2³² − 1.
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
    let free = !markers.iter().any(|&marker| marker == WALL);
    check("markers", WALL, free, "labels below 4294967295")?;

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

/// The label of places that are never flooded.
const WALL: u32 = u32::MAX;

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
trait Queue {
    type Level: Copy + Ord + Send + Sync + Default;

    fn push(&mut self, level: Self::Level, pixel: Waiting);

    fn pop(&mut self) -> Option<(Self::Level, Waiting)>;
}

/// One queue per level. Nothing may enter below the level that last left.
struct Buckets<L> {
    buckets: Vec<Vec<Waiting>>,
    level: usize,
    /// How many have left the present level.
    gone: usize,
    levels: std::marker::PhantomData<L>,
}

impl<L> Buckets<L> {
    fn new(levels: usize) -> Self {
        Self {
            buckets: vec![Vec::new(); levels],
            level: 0,
            gone: 0,
            levels: std::marker::PhantomData,
        }
    }
}

impl<L> Queue for Buckets<L>
where
    L: Copy + Ord + Send + Sync + Default + TryFrom<usize>,
    usize: From<L>,
{
    type Level = L;

    fn push(&mut self, level: L, pixel: Waiting) {
        self.buckets[usize::from(level)].push(pixel);
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

impl Queue for Heap {
    type Level = u32;

    fn push(&mut self, level: u32, pixel: Waiting) {
        self.heap.push(Reverse((level, self.entered, pixel)));
        self.entered += 1;
    }

    fn pop(&mut self) -> Option<(u32, Waiting)> {
        let Reverse((level, _, pixel)) = self.heap.pop()?;
        Some((level, pixel))
    }
}

/// Label and level side by side, since they are looked at together.
#[derive(Clone, Copy)]
struct Cell<L> {
    label: u32,
    level: L,
}

/// The image with a margin of walls.
struct Basins<L> {
    size: (usize, usize),
    cells: Vec<Cell<L>>,
}

impl<L: Copy + Ord + Send + Sync + Default> Basins<L> {
    fn new<T: Sample>(
        image: ArrayView2<'_, T>,
        markers: ArrayView2<'_, u32>,
        settings: &Watershed<'_>,
        level: impl Fn(T) -> L + Sync,
    ) -> Self {
        let size @ (height, width) = image.dim();
        let wall = Cell {
            label: WALL,
            level: L::default(),
        };
        let mut cells = vec![wall; (height + 2) * (width + 2)];
        if width > 0 {
            let (values, labels) = (raster(image), raster(markers));
            let mask = settings.mask.map(raster);
            cells[width + 2..]
                .par_chunks_exact_mut(width + 2)
                .zip(values.par_chunks_exact(width))
                .zip(labels.par_chunks_exact(width))
                .enumerate()
                .for_each(|(y, ((cells, values), labels))| {
                    let pixels = values.iter().zip(labels);
                    for (cell, (&value, &label)) in cells[1..].iter_mut().zip(pixels) {
                        *cell = Cell {
                            label,
                            level: level(value),
                        };
                    }
                    if let Some(mask) = &mask {
                        let mask = &mask[y * width..(y + 1) * width];
                        for (cell, &inside) in cells[1..].iter_mut().zip(mask) {
                            if !inside {
                                cell.label = WALL;
                            }
                        }
                    }
                });
        }
        Self { size, cells }
    }

    fn flood<Q: Queue<Level = L>>(mut self, mut queue: Q, settings: &Watershed<'_>) -> Array2<u32> {
        for (index, cell) in (0..).zip(&self.cells) {
            if cell.label != 0 && cell.label != WALL {
                let label = cell.label;
                queue.push(cell.level, Waiting { index, label });
            }
        }
        let row = self.size.1 as isize + 2;
        let steps = [-row, -1, 1, row, -row - 1, -row + 1, row - 1, row + 1];
        let steps = match settings.neighbours {
            Neighbours::Four => &steps[..4],
            Neighbours::Eight => &steps[..],
        };
        if settings.line {
            self.spread_with_line(&mut queue, steps);
        } else {
            self.spread(&mut queue, steps);
        }
        self.labels()
    }

    /// A pixel has its label from the moment it enters the queue: no other water can come sooner.
    fn spread<Q: Queue<Level = L>>(&mut self, queue: &mut Q, steps: &[isize]) {
        while let Some((level, Waiting { index, label })) = queue.pop() {
            for step in steps {
                let beside = (index as usize).wrapping_add_signed(*step);
                let cell = &mut self.cells[beside];
                if cell.label == 0 {
                    cell.label = label;
                    let index = beside as u32;
                    queue.push(cell.level.max(level), Waiting { index, label });
                }
            }
        }
    }

    /// A pixel has its label when it leaves the queue, for only then is it known whether it lies
    /// between two basins. A line does not stop water that comes from it: as in scikit-image.
    fn spread_with_line<Q: Queue<Level = L>>(&mut self, queue: &mut Q, steps: &[isize]) {
        let markers: Vec<bool> = self
            .cells
            .iter()
            .map(|cell| cell.label != 0 && cell.label != WALL)
            .collect();
        let mut closed: Vec<bool> = self.cells.iter().map(|cell| cell.label == WALL).collect();
        while let Some((level, Waiting { index, label })) = queue.pop() {
            let index = index as usize;
            if self.cells[index].label != 0 && !markers[index] {
                continue;
            }
            let beside = steps.iter().map(|step| index.wrapping_add_signed(*step));
            if !closed[index] {
                let between = beside.clone().any(|beside| {
                    let other = self.cells[beside].label;
                    !closed[beside] && other != 0 && other != label
                });
                if between {
                    closed[index] = true;
                } else {
                    self.cells[index].label = label;
                }
            }
            for beside in beside {
                let cell = &self.cells[beside];
                if !closed[beside] && cell.label == 0 {
                    let index = beside as u32;
                    queue.push(cell.level.max(level), Waiting { index, label });
                }
            }
        }
    }

    fn labels(&self) -> Array2<u32> {
        let (height, width) = self.size;
        let mut labels = vec![0; height * width];
        if width > 0 {
            labels
                .par_chunks_exact_mut(width)
                .zip(self.cells[width + 2..].par_chunks_exact(width + 2))
                .for_each(|(labels, cells)| {
                    for (label, cell) in labels.iter_mut().zip(&cells[1..]) {
                        *label = if cell.label == WALL { 0 } else { cell.label };
                    }
                });
        }
        picture(self.size, labels)
    }
}
