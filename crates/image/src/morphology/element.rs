//! Structuring elements: the neighbourhoods that morphology looks at.

use ndarray::{Array2, ArrayView2};

use crate::error::{Error, Result, check};

/// More pixels to a side than any neighbourhood in use.
const LONGEST_SIDE: usize = 10_000;

/// A set of pixels around an anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    mask: Array2<bool>,
    anchor: (usize, usize),
}

impl Element {
    /// A rectangle, anchored at (height / 2, width / 2): the pixel right of and below the middle where
    /// a side is even, as in OpenCV.
    ///
    /// # Errors
    /// If a side is 0 or exceeds 10,000.
    pub fn rectangle(height: usize, width: usize) -> Result<Self> {
        sides(height, width)?;
        Ok(Self::centred(Array2::from_elem((height, width), true)))
    }

    /// The ellipse of OpenCV's `getStructuringElement`, pixel for pixel: in the row `d` from the anchor's,
    /// all columns no farther from the anchor than `w/2 · √(1 − (d / (h/2))²)`, rounded with halves to
    /// even, `h/2` and `w/2` rounded down. Even sizes are therefore lopsided, and a height of 1 gives one
    /// pixel only.
    ///
    /// # Errors
    /// If a side is 0 or exceeds 10,000.
    pub fn ellipse(height: usize, width: usize) -> Result<Self> {
        sides(height, width)?;
        let (radius, reach) = (height / 2, width / 2);
        let mut mask = Array2::from_elem((height, width), false);
        for (y, mut row) in mask.outer_iter_mut().enumerate() {
            let distance = y.abs_diff(radius) as f64;
            let squares = (radius * radius) as f64 - distance * distance;
            let inverse = if radius == 0 {
                0.0
            } else {
                1.0 / (radius * radius) as f64
            };
            let half = (reach as f64 * (squares * inverse).sqrt()).round_ties_even() as usize;
            let columns = reach.saturating_sub(half)..(reach + half + 1).min(width);
            for x in columns {
                row[x] = true;
            }
        }
        Ok(Self::centred(mask))
    }

    /// scikit-image's `disk`: all pixels no farther than `radius` from the anchor.
    ///
    /// # Errors
    /// If the radius exceeds 4,999.
    pub fn disk(radius: usize) -> Result<Self> {
        check(
            "radius",
            radius,
            radius < LONGEST_SIDE / 2,
            "at most 4,999 pixels",
        )?;
        let side = 2 * radius + 1;
        Ok(Self::centred(Array2::from_shape_fn(
            (side, side),
            |(y, x)| y.abs_diff(radius).pow(2) + x.abs_diff(radius).pow(2) <= radius * radius,
        )))
    }

    /// Any set of pixels, with its anchor (row, column) among or beside them.
    ///
    /// # Errors
    /// If no pixel is set, a side is 0 or exceeds 10,000, or the anchor lies outside the mask.
    pub fn from_mask(mask: ArrayView2<'_, bool>, anchor: (usize, usize)) -> Result<Self> {
        let (height, width) = mask.dim();
        sides(height, width)?;
        let inside = anchor.0 < height && anchor.1 < width;
        check(
            "anchor",
            format!("{anchor:?}"),
            inside,
            "a pixel of the mask",
        )?;
        if !mask.iter().any(|&set| set) {
            return Err(Error::Undefined(
                "the structuring element has no pixels".to_owned(),
            ));
        }
        Ok(Self {
            mask: mask.to_owned(),
            anchor,
        })
    }

    fn centred(mask: Array2<bool>) -> Self {
        let (height, width) = mask.dim();
        Self {
            mask,
            anchor: (height / 2, width / 2),
        }
    }

    /// The element turned by 180° about its anchor.
    ///
    /// Eroding with an element and dilating with the same one turned is an opening in the strict sense;
    /// for elements that are symmetric about their anchor, all of odd size here, the two are the same.
    #[must_use]
    pub fn turned(&self) -> Self {
        let (height, width) = self.mask.dim();
        let mask = self.mask.slice(ndarray::s![..;-1, ..;-1]).to_owned();
        let anchor = (height - 1 - self.anchor.0, width - 1 - self.anchor.1);
        Self { mask, anchor }
    }

    /// Which pixels belong to it.
    pub fn mask(&self) -> ArrayView2<'_, bool> {
        self.mask.view()
    }

    /// Row and column of the anchor.
    pub fn anchor(&self) -> (usize, usize) {
        self.anchor
    }

    /// Unbroken runs of pixels in a row: rows down and columns right of the anchor at which a run
    /// starts, and its length.
    pub(super) fn runs(&self) -> Vec<Run> {
        let mut runs = Vec::new();
        for (y, row) in self.mask.outer_iter().enumerate() {
            let mut start = None;
            for x in 0..=row.len() {
                match (start, x < row.len() && row[x]) {
                    (None, true) => start = Some(x),
                    (Some(first), false) => {
                        runs.push(Run {
                            down: y as isize - self.anchor.0 as isize,
                            right: first as isize - self.anchor.1 as isize,
                            length: x - first,
                        });
                        start = None;
                    }
                    _ => {}
                }
            }
        }
        runs
    }
}

/// Neighbouring pixels of one row of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) down: isize,
    pub(super) right: isize,
    pub(super) length: usize,
}

fn sides(height: usize, width: usize) -> Result<()> {
    let fits = |side: usize| (1..=LONGEST_SIDE).contains(&side);
    check("height", height, fits(height), "1 to 10,000 pixels")?;
    check("width", width, fits(width), "1 to 10,000 pixels")
}
