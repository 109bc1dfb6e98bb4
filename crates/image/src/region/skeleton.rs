//! Thinning to lines.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::{picture, raster};

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
    let mut thinning = Thinning::new(&raster(mask), height, width);
    let tables = [removable(Side::SouthEast), removable(Side::NorthWest)];
    loop {
        let removed = tables.each_ref().map(|table| thinning.peel(table));
        if removed == [0, 0] {
            break;
        }
    }
    let rows = thinning.inside[width + 2..].chunks_exact(width + 2);
    let pixels = rows.take(height).flat_map(|row| row[1..=width].to_vec());
    picture(size, pixels.collect())
}

/// The borders that one pass peels.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    SouthEast,
    NorthWest,
}

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
    let own = match side {
        Side::SouthEast => 1,
        Side::NorthWest => 2,
    };
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

struct Thinning {
    /// Of a row with its margins.
    width: usize,
    inside: Vec<bool>,
    /// Pixels beside the background, which may go.
    border: Vec<usize>,
    listed: Vec<bool>,
}

impl Thinning {
    fn new(mask: &[bool], height: usize, image_width: usize) -> Self {
        let width = image_width + 2;
        let mut inside = vec![false; width * (height + 2)];
        for (row, pixels) in inside[width..]
            .chunks_exact_mut(width)
            .zip(mask.chunks_exact(image_width))
        {
            row[1..=image_width].copy_from_slice(pixels);
        }
        let mut thinning = Self {
            width,
            listed: vec![false; inside.len()],
            border: Vec::new(),
            inside,
        };
        thinning.border = (0..thinning.inside.len())
            .into_par_iter()
            .filter(|&at| thinning.inside[at] && thinning.around(at) != 0xff)
            .collect();
        for &at in &thinning.border {
            thinning.listed[at] = true;
        }
        thinning
    }

    fn places(&self, at: usize) -> [usize; 8] {
        let width = self.width;
        [
            at - width,
            at - width + 1,
            at + 1,
            at + width + 1,
            at + width,
            at + width - 1,
            at - 1,
            at - width - 1,
        ]
    }

    fn around(&self, at: usize) -> usize {
        let places = self.places(at).into_iter().enumerate();
        places.fold(0, |bits, (direction, place)| {
            bits | usize::from(self.inside[place]) << direction
        })
    }

    /// Removes what the table says, all at once; says how much.
    fn peel(&mut self, table: &[bool; 256]) -> usize {
        let (gone, mut stay): (Vec<usize>, Vec<usize>) = self
            .border
            .par_iter()
            .partition(|&&at| table[self.around(at)]);
        for &at in &gone {
            self.inside[at] = false;
        }
        for &at in &gone {
            for place in self.places(at) {
                if self.inside[place] && !self.listed[place] {
                    self.listed[place] = true;
                    stay.push(place);
                }
            }
        }
        self.border = stay;
        gone.len()
    }
}
