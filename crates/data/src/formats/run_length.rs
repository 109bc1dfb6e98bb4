//! Masks as runs, in the way of COCO: column by column, background first.
//!
//! The text form of COCO's `maskApi` writes each run as a difference to the run two before, in
//! groups of five bits from the lowest, the sixth bit saying that more follow, the sign being that
//! of the last group, as characters from `0` (48) to `o` (111).

use ndarray::{Array2, ArrayView2};

use crate::error::{Error, Result};
use crate::geometry::Rectangle;

/// A mask as the lengths of its runs, background and foreground in turn, down the columns from the
/// left. The first run is background and may be 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RunLengths {
    height: usize,
    width: usize,
    counts: Vec<u32>,
}

impl RunLengths {
    /// Checks that the runs fill the mask, whose `size` is height and width.
    ///
    /// # Errors
    /// They do not, or the mask has more than `u32::MAX` pixels.
    pub fn new(size: (usize, usize), counts: Vec<u32>) -> Result<Self> {
        let (height, width) = size;
        let pixels = pixels(size)?;
        let covered: u64 = counts.iter().map(|&count| u64::from(count)).sum();
        if covered != pixels {
            return Err(Error::labels(format!(
                "the runs of the mask cover {covered} pixels, but it has {width} × {height}"
            )));
        }
        Ok(Self {
            height,
            width,
            counts,
        })
    }

    /// The runs of a mask, in which everything but 0 is foreground.
    ///
    /// # Errors
    /// The mask has more than `u32::MAX` pixels.
    pub fn encode(mask: ArrayView2<'_, u8>) -> Result<Self> {
        pixels(mask.dim())?;
        let mut counts = Vec::new();
        let (mut run, mut inside) = (0, false);
        // The transposed array is walked in its rows, which are the mask's columns.
        for &value in mask.t().iter() {
            if (value != 0) != inside {
                counts.push(run);
                (run, inside) = (0, !inside);
            }
            run += 1;
        }
        counts.push(run);
        let (height, width) = mask.dim();
        Ok(Self {
            height,
            width,
            counts,
        })
    }

    /// The mask, 1 where the foreground is. Its memory is that of the mask, however few the runs.
    pub fn decode(&self) -> Array2<u8> {
        let mut mask = Array2::zeros((self.height, self.width));
        for (from, to) in self.foreground() {
            for place in from..to {
                mask[(place % self.height, place / self.height)] = 1;
            }
        }
        mask
    }

    /// Height and width.
    pub fn size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// The lengths of the runs.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Pixels of the foreground.
    pub fn area(&self) -> u64 {
        let foreground = self.counts.iter().skip(1).step_by(2);
        foreground.map(|&count| u64::from(count)).sum()
    }

    /// The smallest box around the foreground; `None` if there is none. Runs of length 0 are not
    /// looked at; `toBbox` of pycocotools widens its box to where they stand.
    pub fn bounds(&self) -> Option<Rectangle> {
        let (mut left, mut right) = (usize::MAX, 0);
        let (mut top, mut bottom) = (usize::MAX, 0);
        for (from, to) in self.foreground() {
            let (first, last) = (from / self.height, (to - 1) / self.height);
            left = left.min(first);
            right = right.max(last + 1);
            if first == last {
                top = top.min(from % self.height);
                bottom = bottom.max((to - 1) % self.height + 1);
            } else {
                (top, bottom) = (0, self.height);
            }
        }
        (left < right).then_some(Rectangle {
            left: left as f64,
            top: top as f64,
            right: right as f64,
            bottom: bottom as f64,
        })
    }

    /// Start and end of the runs of foreground that are not empty, in pixels down the columns from the left.
    pub fn foreground(&self) -> impl Iterator<Item = (usize, usize)> {
        let mut place = 0;
        let ends = self.counts.iter().enumerate().map(move |(index, &count)| {
            let from = place;
            place += count as usize;
            (index, from, place)
        });
        ends.filter(|&(index, from, to)| index % 2 == 1 && from < to)
            .map(|(_, from, to)| (from, to))
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// A character that cannot occur, an end within a number, a run that is negative or too long,
    /// or runs that do not fill the mask.
    pub fn parse(size: (usize, usize), text: &str) -> Result<Self> {
        let broken = |problem: &str| {
            Error::labels(format!("the run-length text of the mask {problem}"))
                .with_help("It is damaged or not of COCO; export it again.")
        };
        let mut counts: Vec<u32> = Vec::new();
        let (mut value, mut shift) = (0_i64, 0_u32);
        for character in text.bytes() {
            let bits = match character {
                48..=111 => i64::from(character - 48),
                _ => return Err(broken("has a character that is not of it")),
            };
            if shift > 30 {
                return Err(broken("has too large a number"));
            }
            value |= (bits & 0x1f) << shift;
            shift += 5;
            if bits & 0x20 == 0 {
                if bits & 0x10 != 0 {
                    value |= -1 << shift;
                }
                if let [.., before, _] = counts[..]
                    && counts.len() > 2
                {
                    value += i64::from(before);
                }
                let count = u32::try_from(value).map_err(|_| broken("has an impossible run"))?;
                counts.push(count);
                (value, shift) = (0, 0);
            }
        }
        if shift > 0 {
            return Err(broken("ends within a number"));
        }
        Self::new(size, counts)
    }

    /// The text form.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(2 * self.counts.len());
        for (index, &count) in self.counts.iter().enumerate() {
            let mut value = i64::from(count);
            if index > 2 {
                value -= i64::from(self.counts[index - 2]);
            }
            loop {
                let bits = (value & 0x1f) as u8;
                value >>= 5;
                // Done when the rest only repeats the sign that the group's highest bit shows.
                let more = value != if bits & 0x10 == 0 { 0 } else { -1 };
                text.push(char::from(48 + bits + if more { 0x20 } else { 0 }));
                if !more {
                    break;
                }
            }
        }
        text
    }
}

fn pixels((height, width): (usize, usize)) -> Result<u64> {
    let pixels = (height as u64).checked_mul(width as u64);
    pixels
        .filter(|&pixels| pixels <= u64::from(u32::MAX))
        .ok_or_else(|| Error::labels(format!("a mask of {width} × {height} pixels is too large")))
}
