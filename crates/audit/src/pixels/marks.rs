//! Which pixels are issues, image by image.

use cleanslide_data::Rectangle;
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::AuditError;

use super::PixelAudit;
use super::selection::{Cut, key};
use super::source::{PixelBlock, PixelBlocks, Planes, RowScan};
use super::tally::rows_per_thread;

/// The issues of one image.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ImageIssues {
    /// Height and width.
    pub size: (usize, usize),
    /// Number of labelled pixels.
    pub labelled: u64,
    /// How many of them are issues.
    pub issues: u64,
    /// The smallest rectangle around the issues; `None` if there are none.
    pub bounds: Option<Rectangle>,
    /// The given and the predicted class of most issues; of equally many, the lowest classes.
    pub most_common: Option<(usize, usize)>,
}

impl ImageIssues {
    /// 1 − the share of issues among the labelled pixels (cleanlab's `num_pixel_issues`): low is
    /// bad. `None` for an image without labelled pixels.
    pub fn score(&self) -> Option<f64> {
        (self.labelled > 0).then(|| 1.0 - self.issues as f64 / self.labelled as f64)
    }
}

/// The issues of all images.
#[derive(Debug, Clone, PartialEq)]
pub struct PixelIssues {
    /// Per image.
    pub images: Vec<ImageIssues>,
    /// Number of issues `[given class, predicted class]`.
    pub confusion: Array2<u64>,
}

/// What is done with the marks of a block: true is an issue, `[rows, width]`.
pub type VisitMarks<'a> =
    dyn FnMut(PixelBlock<'_>, ArrayView2<'_, bool>) -> Result<(), AuditError> + 'a;

impl PixelAudit {
    /// Reads the images once more, and hands every block with its marks to `visit`.
    ///
    /// # Errors
    /// What `visit` returns, shapes that differ, or a failure to read.
    pub fn mark(
        &self,
        images: &dyn PixelBlocks,
        visit: &mut VisitMarks<'_>,
    ) -> Result<PixelIssues, AuditError> {
        let classes = self.thresholds.len();
        let mut found = PixelIssues {
            images: vec![ImageIssues::default(); images.images()],
            confusion: Array2::zeros((classes, classes)),
        };
        let mut ties = self.cut.map_or(0, |cut| cut.ties);
        let mut current = CurrentImage::new(0, classes);
        images.visit_blocks(&mut |block| {
            let planes = Planes::new(block, images.images(), classes)?;
            if block.image != current.image {
                current.finish(&mut found);
                current = CurrentImage::new(block.image, classes);
            }
            let mut marks = Array2::from_elem((planes.rows, planes.width), false);
            for part in mark_rows(&planes, self.cut, classes, &mut marks) {
                current.add(part, &mut ties, &mut marks, block.first_row);
            }
            current.grow(block.first_row + planes.rows, planes.width);
            visit(block, marks.view())
        })?;
        current.finish(&mut found);
        Ok(found)
    }
}

/// What one thread finds in its rows of a block.
struct Part {
    labelled: u64,
    found: Vec<Mark>,
}

/// A pixel that is an issue, or may be one if it is among the first ties.
#[derive(Clone, Copy)]
struct Mark {
    /// Counted through the rows of the block.
    place: usize,
    given: u8,
    predicted: u8,
    is_tie: bool,
}

/// Marks the pixels below the cut; pixels at the cut are listed with them, also those that are
/// predicted as labelled, which are no issues but count among the n lowest.
fn mark_rows(
    planes: &Planes<'_>,
    cut: Option<Cut>,
    classes: usize,
    marks: &mut Array2<bool>,
) -> Vec<Part> {
    let rows = rows_per_thread(planes.rows);
    let pixels = (rows * planes.width).max(1);
    let Some(marks) = marks.as_slice_mut() else {
        return Vec::new();
    };
    marks
        .par_chunks_mut(pixels)
        .enumerate()
        .map(|(thread, marks)| {
            let mut scan = RowScan::default();
            let mut part = Part {
                labelled: 0,
                found: Vec::new(),
            };
            for (row, marks) in (thread * rows..).zip(marks.chunks_exact_mut(planes.width)) {
                scan.predict(planes, row);
                let labels = planes.labels(row).iter().zip(marks).enumerate();
                for (column, (&given, mark)) in labels {
                    if usize::from(given) >= classes {
                        continue;
                    }
                    part.labelled += 1;
                    let Some(cut) = cut else { continue };
                    let own = key(scan.own[column]);
                    let predicted = scan.predicted[column] as u8;
                    let is_tie = own == cut.key;
                    *mark = own < cut.key && predicted != given;
                    if *mark || is_tie {
                        part.found.push(Mark {
                            place: row * planes.width + column,
                            given,
                            predicted,
                            is_tie,
                        });
                    }
                }
            }
            part
        })
        .collect()
}

/// The image whose blocks are being read.
struct CurrentImage {
    image: usize,
    issues: ImageIssues,
    confusion: Array2<u64>,
    /// First and last row and column with an issue.
    rows: Option<(usize, usize)>,
    columns: Option<(usize, usize)>,
}

impl CurrentImage {
    fn new(image: usize, classes: usize) -> Self {
        Self {
            image,
            issues: ImageIssues::default(),
            confusion: Array2::zeros((classes, classes)),
            rows: None,
            columns: None,
        }
    }

    fn add(&mut self, part: Part, ties: &mut u64, marks: &mut Array2<bool>, first_row: usize) {
        self.issues.labelled += part.labelled;
        let width = marks.ncols();
        for mark in part.found {
            let (row, column) = (mark.place / width, mark.place % width);
            if mark.is_tie {
                if *ties == 0 {
                    continue;
                }
                *ties -= 1;
                if mark.predicted == mark.given {
                    continue;
                }
                marks[(row, column)] = true;
            }
            self.issues.issues += 1;
            self.confusion[(usize::from(mark.given), usize::from(mark.predicted))] += 1;
            extend(&mut self.rows, first_row + row);
            extend(&mut self.columns, column);
        }
    }

    fn grow(&mut self, height: usize, width: usize) {
        self.issues.size = (height, width);
    }

    fn finish(&mut self, found: &mut PixelIssues) {
        found.confusion += &self.confusion;
        if let (Some((top, bottom)), Some((left, right))) = (self.rows, self.columns) {
            self.issues.bounds = Some(Rectangle {
                left: left as f64,
                top: top as f64,
                right: right as f64 + 1.0,
                bottom: bottom as f64 + 1.0,
            });
        }
        let pairs = self.confusion.indexed_iter();
        let most = pairs.reduce(|most, pair| if pair.1 > most.1 { pair } else { most });
        self.issues.most_common = most.filter(|&(_, &count)| count > 0).map(|(pair, _)| pair);
        if let Some(issues) = found.images.get_mut(self.image) {
            *issues = self.issues;
        }
    }
}

fn extend(range: &mut Option<(usize, usize)>, value: usize) {
    let (first, last) = range.unwrap_or((value, value));
    *range = Some((first.min(value), last.max(value)));
}
