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
                current.labelled += part.labelled;
                current.found.join(&part.found, block.first_row);
                for tie in part.ties {
                    if ties == 0 {
                        break;
                    }
                    ties -= 1;
                    if tie.predicted != tie.given {
                        marks[(tie.row, tie.column)] = true;
                        current.found.add(tie, block.first_row);
                    }
                }
            }
            current.size = (block.first_row + planes.rows, planes.width);
            visit(block, marks.view())
        })?;
        current.finish(&mut found);
        Ok(found)
    }
}

/// A pixel that is an issue, or may be one if it is among the first ties.
#[derive(Clone, Copy)]
struct Mark {
    row: usize,
    column: usize,
    given: u8,
    predicted: u8,
}

/// How many issues there are, and from where to where.
struct Found {
    /// `[given class, predicted class]`.
    confusion: Array2<u64>,
    /// First and last row and column.
    rows: Option<(usize, usize)>,
    columns: Option<(usize, usize)>,
}

impl Found {
    fn new(classes: usize) -> Self {
        Self {
            confusion: Array2::zeros((classes, classes)),
            rows: None,
            columns: None,
        }
    }

    /// Adds an issue `above` rows below the row that it says.
    fn add(&mut self, mark: Mark, above: usize) {
        self.confusion[(usize::from(mark.given), usize::from(mark.predicted))] += 1;
        extend(&mut self.rows, above + mark.row);
        extend(&mut self.columns, mark.column);
    }

    fn join(&mut self, other: &Self, above: usize) {
        self.confusion += &other.confusion;
        for row in other.rows.iter().flat_map(|&(first, last)| [first, last]) {
            extend(&mut self.rows, above + row);
        }
        for column in other
            .columns
            .iter()
            .flat_map(|&(first, last)| [first, last])
        {
            extend(&mut self.columns, column);
        }
    }
}

/// What one thread finds in its rows of a block.
struct Part {
    labelled: u64,
    found: Found,
    /// Pixels at the cut, also those that are predicted as labelled: they are no issues, but count
    /// among the n lowest.
    ties: Vec<Mark>,
}

/// Marks the pixels below the cut, and lists those at the cut.
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
                found: Found::new(classes),
                ties: Vec::new(),
            };
            for (row, marks) in (thread * rows..).zip(marks.chunks_exact_mut(planes.width)) {
                scan.predict(planes, row);
                part.mark_row(row, planes.labels(row), &scan, cut, marks);
            }
            part
        })
        .collect()
}

impl Part {
    fn mark_row(
        &mut self,
        row: usize,
        labels: &[u8],
        scan: &RowScan,
        cut: Option<Cut>,
        marks: &mut [bool],
    ) {
        let classes = self.found.confusion.nrows();
        let is_labelled = |&&label: &&u8| usize::from(label) < classes;
        self.labelled += labels.iter().filter(is_labelled).count() as u64;
        let Some(cut) = cut else { return };
        let seen = scan.own.iter().zip(&scan.predicted);
        let pixels = labels.iter().zip(marks).zip(seen).enumerate();
        for (column, ((&given, is_issue), (&own, &predicted))) in pixels {
            let own = key(own);
            if own > cut.key || usize::from(given) >= classes {
                continue;
            }
            let mark = Mark {
                row,
                column,
                given,
                predicted: predicted as u8,
            };
            if own == cut.key {
                self.ties.push(mark);
            } else if mark.predicted != given {
                *is_issue = true;
                self.found.add(mark, 0);
            }
        }
    }
}

/// The image whose blocks are being read.
struct CurrentImage {
    image: usize,
    size: (usize, usize),
    labelled: u64,
    found: Found,
}

impl CurrentImage {
    fn new(image: usize, classes: usize) -> Self {
        Self {
            image,
            size: (0, 0),
            labelled: 0,
            found: Found::new(classes),
        }
    }

    fn finish(&self, all: &mut PixelIssues) {
        let Found {
            confusion,
            rows,
            columns,
        } = &self.found;
        all.confusion += confusion;
        let pairs = confusion.indexed_iter();
        let most = pairs.reduce(|most, pair| if pair.1 > most.1 { pair } else { most });
        if let Some(issues) = all.images.get_mut(self.image) {
            *issues = ImageIssues {
                size: self.size,
                labelled: self.labelled,
                issues: confusion.sum(),
                bounds: rows
                    .zip(*columns)
                    .map(|((top, bottom), (left, right))| Rectangle {
                        left: left as f64,
                        top: top as f64,
                        right: right as f64 + 1.0,
                        bottom: bottom as f64 + 1.0,
                    }),
                most_common: most.filter(|&(_, &count)| count > 0).map(|(pair, _)| pair),
            };
        }
    }
}

fn extend(range: &mut Option<(usize, usize)>, value: usize) {
    let (first, last) = range.unwrap_or((value, value));
    *range = Some((first.min(value), last.max(value)));
}
