//! Thinning to lines.

use std::ops::Range;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::{band_rows, picture, raster};
use crate::vectors::vectorised;

/// Thins a mask to lines one pixel wide that hang together as the mask does (with eight neighbours).
///
/// T. Y. Zhang, C. Y. Suen, "A fast parallel algorithm for thinning digital patterns", Communications
/// of the ACM 27, 1984, doi:10.1145/357994.358023: borders are peeled off from the south-east and the
/// north-west in turn until nothing changes. Equal to `skimage.morphology.skeletonize` with method
/// `zhang`, whose rule departs from the paper's for 25 of the 256 neighbourhoods: corners of steps go,
/// and ends of lines two pixels wide go from one side only, so that diagonal lines do not vanish. What
/// lies beyond the border of the image is background.
pub fn skeleton(mask: ArrayView2<'_, bool>) -> Array2<bool> {
    let size @ (height, width) = mask.dim();
    if mask.is_empty() {
        return Array2::default(size);
    }
    let pixels = raster(mask);
    let goes = passes();
    let rows = band_rows(height);
    let mut bands: Vec<Band> = (0..height.div_ceil(rows))
        .into_par_iter()
        .map(|number| {
            let first = number * rows;
            Band::new(&pixels, width, first..(first + rows).min(height), &goes)
        })
        .collect();
    loop {
        let removed = [Side::SouthEast, Side::NorthWest].map(|side| peel(&mut bands, side, &goes));
        if removed == [0, 0] {
            break;
        }
    }
    let mut thin = vec![false; height * width];
    thin.par_chunks_mut(rows * width)
        .zip(&bands)
        .for_each(|(pixels, band)| band.write(pixels));
    picture(size, thin)
}

/// The borders that one pass peels.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    SouthEast,
    NorthWest,
}

impl Side {
    /// The bit of a pass in sets of passes.
    fn bit(self) -> u8 {
        match self {
            Self::SouthEast => 1,
            Self::NorthWest => 2,
        }
    }
}

/// In a set of passes: the pixel is inside the mask.
const INSIDE: u8 = 4;
/// A pixel inside the mask that no pass waits to look at.
const AT_REST: u8 = 7;

/// Where scikit-image departs from the paper: the neighbourhoods whose pixel goes in neither pass, in
/// the first, in the second and in both. Bits as in [`removable`].
const DEPARTURES: [&[usize]; 4] = [
    &[0b00011000, 0b11000000],
    &[
        0b00000011, 0b00000110, 0b00000111, 0b01000011, 0b01100001, 0b01100011, 0b10000001,
        0b10000101, 0b11000001, 0b11010000,
    ],
    &[
        0b00001100, 0b00001101, 0b00011100, 0b00110000, 0b00110100, 0b00110110, 0b01011000,
        0b01100000, 0b01110000,
    ],
    &[0b00000101, 0b00010100, 0b01000001, 0b01010000],
];

/// For each combination of neighbours, clockwise from the north in the bits from the lowest, whether
/// the pixel in their midst goes.
fn removable(side: Side) -> [bool; 256] {
    let departs = |passes: usize, around: usize| DEPARTURES[passes].contains(&around);
    let own = usize::from(side.bit());
    std::array::from_fn(|around| {
        if departs(own, around) || departs(3, around) {
            return true;
        }
        if departs(0, around) || departs(3 - own, around) {
            return false;
        }
        let set = |direction: usize| around >> (direction % 8) & 1 == 1;
        let [north, east, south, west] = [0, 2, 4, 6].map(set);
        let count = around.count_ones();
        let starts = (0..8).filter(|&at| !set(at) && set(at + 1)).count();
        let outer = match side {
            Side::SouthEast => !(east && south && (north || west)),
            Side::NorthWest => !(north && west && (east || south)),
        };
        (2..=6).contains(&count) && starts == 1 && outer
    })
}

/// For each combination of neighbours the passes in which the pixel in their midst goes.
fn passes() -> [u8; 256] {
    let mut goes = [0; 256];
    for side in [Side::SouthEast, Side::NorthWest] {
        for (passes, removed) in goes.iter_mut().zip(removable(side)) {
            *passes |= u8::from(removed) * side.bit();
        }
    }
    goes
}

/// Removes the pixels that go in a pass, all at once; says how many.
fn peel(bands: &mut [Band], side: Side, goes: &[u8; 256]) -> usize {
    for upper in 1..bands.len() {
        let (above, below) = bands.split_at_mut(upper);
        if let (Some(above), Some(below)) = (above.last_mut(), below.first_mut()) {
            std::mem::swap(&mut above.gone_below, &mut below.gone_first);
            std::mem::swap(&mut below.gone_above, &mut above.gone_last);
        }
    }
    bands.par_iter_mut().map(|band| band.peel(side, goes)).sum()
}

/// Some rows, with a margin of one pixel all around.
///
/// Of each pixel its neighbours are kept, so that one look into a table says whether it goes. They change
/// when a pixel beside it goes, and only then a pass has to look at it again.
struct Band {
    /// Of a row with its margins.
    width: usize,
    /// Which neighbours are inside the mask; bits as in [`removable`].
    around: Vec<u8>,
    /// The passes that do not wait to look at a pixel, with [`INSIDE`]; 0 outside the mask.
    resting: Vec<u8>,
    /// The pixels that each pass has to look at.
    waiting: [Vec<usize>; 2],
    /// Columns of what went in the first and the last row, for the bands beside this one.
    gone_first: Vec<usize>,
    gone_last: Vec<usize>,
    /// Columns of what went in the rows above and below this band.
    gone_above: Vec<usize>,
    gone_below: Vec<usize>,
}

impl Band {
    fn new(pixels: &[bool], image_width: usize, rows: Range<usize>, goes: &[u8; 256]) -> Self {
        let width = image_width + 2;
        let mut inside = vec![0; width * (rows.len() + 2)];
        let seen = rows.start.saturating_sub(1) * image_width;
        let margin = if rows.start == 0 { width } else { 0 };
        for (row, pixels) in inside[margin..]
            .chunks_exact_mut(width)
            .zip(pixels[seen..].chunks_exact(image_width))
        {
            for (inside, &pixel) in row[1..].iter_mut().zip(pixels) {
                *inside = if pixel { u8::MAX } else { 0 };
            }
        }
        let mut around = vec![0; inside.len()];
        vectorised(
            #[inline(always)]
            || look_around(&inside, width, &mut around),
        );
        let margin = inside.len() - width;
        inside[..width].fill(0);
        inside[margin..].fill(0);
        for passes in &mut inside {
            *passes &= AT_REST;
        }
        let mut band = Self {
            width,
            around,
            resting: inside,
            waiting: [const { Vec::new() }; 2],
            gone_first: Vec::new(),
            gone_last: Vec::new(),
            gone_above: Vec::new(),
            gone_below: Vec::new(),
        };
        for start in (0..margin).step_by(TOGETHER) {
            let end = (start + TOGETHER).min(margin);
            let all = |all, around| all & around;
            let any = |any, passes| any | passes;
            if band.around[start..end].iter().fold(u8::MAX, all) != u8::MAX
                && band.resting[start..end].iter().fold(0, any) != 0
            {
                (start..end).for_each(|at| band.list(at, goes));
            }
        }
        band
    }

    /// Lists a pixel for the passes in which it goes now.
    #[inline(always)]
    fn list(&mut self, at: usize, goes: &[u8; 256]) {
        let passes = goes[usize::from(self.around[at])] & self.resting[at];
        if passes == 0 {
            return;
        }
        self.resting[at] ^= passes;
        for side in [Side::SouthEast, Side::NorthWest] {
            if passes & side.bit() != 0 {
                self.waiting[side as usize].push(at);
            }
        }
    }

    fn peel(&mut self, side: Side, goes: &[u8; 256]) -> usize {
        let (width, last) = (self.width, self.around.len() - 2 * self.width);
        for column in std::mem::take(&mut self.gone_above) {
            for (left, direction) in [(1, 1), (0, 0), (-1, 7)] {
                self.forget((width + column).wrapping_add_signed(-left), direction, goes);
            }
        }
        for column in std::mem::take(&mut self.gone_below) {
            for (left, direction) in [(1, 3), (0, 4), (-1, 5)] {
                self.forget((last + column).wrapping_add_signed(-left), direction, goes);
            }
        }
        let mut gone = std::mem::take(&mut self.waiting[side as usize]);
        gone.retain(|&at| {
            let passes = &mut self.resting[at];
            // What the other pass has removed is outside.
            if *passes & INSIDE == 0 {
                return false;
            }
            *passes |= side.bit();
            goes[usize::from(self.around[at])] & side.bit() != 0
        });
        for &at in &gone {
            self.resting[at] = 0;
        }
        for &at in &gone {
            let places = [
                at - width,
                at - width + 1,
                at + 1,
                at + width + 1,
                at + width,
                at + width - 1,
                at - 1,
                at - width - 1,
            ];
            for (direction, place) in places.into_iter().enumerate() {
                self.forget(place, (direction + 4) % 8, goes);
            }
            if at < 2 * width {
                self.gone_first.push(at - width);
            }
            if at >= last {
                self.gone_last.push(at - last);
            }
        }
        gone.len()
    }

    /// A pixel's neighbour in this direction has gone.
    #[inline(always)]
    fn forget(&mut self, at: usize, direction: usize, goes: &[u8; 256]) {
        self.around[at] &= !(1 << direction);
        self.list(at, goes);
    }

    fn write(&self, pixels: &mut [bool]) {
        let rows = self.resting[self.width..].chunks_exact(self.width);
        for (pixels, row) in pixels.chunks_exact_mut(self.width - 2).zip(rows) {
            for (pixel, &passes) in pixels.iter_mut().zip(&row[1..]) {
                *pixel = passes != 0;
            }
        }
    }
}

/// Pixels looked at together, as most are far from any border.
const TOGETHER: usize = 16;

/// The neighbours of each pixel but the margins', from pixels that are 0 or 255.
#[inline(always)]
fn look_around(inside: &[u8], width: usize, around: &mut [u8]) {
    let count = width - 2;
    for (y, around) in around.chunks_exact_mut(width).enumerate() {
        if y == 0 || (y + 2) * width > inside.len() {
            continue;
        }
        let columns = |y: usize, right: usize| &inside[y * width + right..][..count];
        let (north_west, north, north_east) =
            (columns(y - 1, 0), columns(y - 1, 1), columns(y - 1, 2));
        let (west, east) = (columns(y, 0), columns(y, 2));
        let (south_west, south, south_east) =
            (columns(y + 1, 0), columns(y + 1, 1), columns(y + 1, 2));
        for (x, around) in around[1..=count].iter_mut().enumerate() {
            *around = north[x] & 1
                | north_east[x] & 2
                | east[x] & 4
                | south_east[x] & 8
                | south[x] & 16
                | south_west[x] & 32
                | west[x] & 64
                | north_west[x] & 128;
        }
    }
}
