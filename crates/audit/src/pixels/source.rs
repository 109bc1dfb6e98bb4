//! Labelled images with probabilities, read block by block.

use std::borrow::Cow;

use cleanslide_data::UNLABELLED_CLASS;
use ndarray::{Array2, Array3, ArrayView2, ArrayView3};
use pulp::{Arch, Simd, WithSimd};

use crate::AuditError;
use crate::probabilities::{SUM_TOLERANCE, VALUE_TOLERANCE};

/// One image, or some of its rows in their whole width.
#[derive(Debug, Clone, Copy)]
pub struct PixelBlock<'a> {
    /// Index of the image.
    pub image: usize,
    /// The block's first row within the image.
    pub first_row: usize,
    /// Given classes, `[rows, width]`; 255 is unlabelled.
    pub labels: ArrayView2<'a, u8>,
    /// Out-of-sample probabilities, `[classes, rows, width]`. Those of unlabelled pixels may be
    /// anything.
    pub probabilities: ArrayView3<'a, f32>,
}

/// What is done with a block.
pub type VisitPixels<'a> = dyn FnMut(PixelBlock<'_>) -> Result<(), AuditError> + 'a;

/// Labelled images with probabilities, read from the first to the last, as often as needed and
/// always with the same content.
pub trait PixelBlocks {
    /// Number of images.
    fn images(&self) -> usize;

    /// Number of classes, at most 255.
    fn classes(&self) -> usize;

    /// Calls `visit` for one block after the other: images in ascending order, the rows of each
    /// from top to bottom. Stops at the first error.
    ///
    /// # Errors
    /// What `visit` returns, or a failure to read.
    fn visit_blocks(&self, visit: &mut VisitPixels<'_>) -> Result<(), AuditError>;
}

/// Images in memory, visited in blocks of at most a chosen number of rows.
#[derive(Debug, Clone, Copy)]
pub struct PixelArrays<'a> {
    labels: &'a [ArrayView2<'a, u8>],
    probabilities: &'a [ArrayView3<'a, f32>],
    classes: usize,
    block_rows: usize,
}

impl<'a> PixelArrays<'a> {
    /// Whole images: labels `[height, width]` and probabilities `[classes, height, width]`.
    ///
    /// # Errors
    /// No images, or another number of labels than of probabilities.
    pub fn new(
        labels: &'a [ArrayView2<'a, u8>],
        probabilities: &'a [ArrayView3<'a, f32>],
    ) -> Result<Self, AuditError> {
        let Some(first) = probabilities.first() else {
            return Err(AuditError::Empty { what: "images" });
        };
        if labels.len() != probabilities.len() {
            return Err(AuditError::Length {
                what: "the list of label masks",
                expected: probabilities.len(),
                found: labels.len(),
            });
        }
        for (image, (labels, probabilities)) in labels.iter().zip(probabilities).enumerate() {
            check_shape(image, first.dim().0, *labels, *probabilities)?;
        }
        Ok(Self {
            labels,
            probabilities,
            classes: first.dim().0,
            block_rows: usize::MAX,
        })
    }

    /// The same images in blocks of at most this many rows (at least 1).
    #[must_use]
    pub fn with_block_rows(mut self, block_rows: usize) -> Self {
        self.block_rows = block_rows.max(1);
        self
    }
}

impl PixelBlocks for PixelArrays<'_> {
    fn images(&self) -> usize {
        self.labels.len()
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn visit_blocks(&self, visit: &mut VisitPixels<'_>) -> Result<(), AuditError> {
        for (image, (labels, probabilities)) in
            self.labels.iter().zip(self.probabilities).enumerate()
        {
            let height = labels.nrows();
            for first_row in (0..height).step_by(self.block_rows) {
                let last = first_row.saturating_add(self.block_rows).min(height);
                visit(PixelBlock {
                    image,
                    first_row,
                    labels: labels.slice(ndarray::s![first_row..last, ..]),
                    probabilities: probabilities.slice(ndarray::s![.., first_row..last, ..]),
                })?;
            }
        }
        Ok(())
    }
}

/// Images that a function reads or computes one at a time, so that one image is in memory.
pub struct ReadImages<Read> {
    images: usize,
    classes: usize,
    read: Read,
}

impl<Read> ReadImages<Read>
where
    Read: Fn(usize) -> Result<(Array2<u8>, Array3<f32>), AuditError>,
{
    /// `read` gives the labels `[height, width]` and the probabilities `[classes, height, width]`
    /// of an image; it is called several times for each.
    pub fn new(images: usize, classes: usize, read: Read) -> Self {
        Self {
            images,
            classes,
            read,
        }
    }
}

impl<Read> PixelBlocks for ReadImages<Read>
where
    Read: Fn(usize) -> Result<(Array2<u8>, Array3<f32>), AuditError>,
{
    fn images(&self) -> usize {
        self.images
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn visit_blocks(&self, visit: &mut VisitPixels<'_>) -> Result<(), AuditError> {
        for image in 0..self.images {
            let (labels, probabilities) = (self.read)(image)?;
            visit(PixelBlock {
                image,
                first_row: 0,
                labels: labels.view(),
                probabilities: probabilities.view(),
            })?;
        }
        Ok(())
    }
}

fn check_shape(
    image: usize,
    classes: usize,
    labels: ArrayView2<'_, u8>,
    probabilities: ArrayView3<'_, f32>,
) -> Result<(), AuditError> {
    let (height, width) = labels.dim();
    if probabilities.dim() == (classes, height, width) {
        return Ok(());
    }
    Err(AuditError::image(
        image,
        format!(
            "the probabilities have shape {:?} (classes, height, width), but {:?} is expected: \
             predict at the size of the label mask, one plane per class",
            probabilities.dim(),
            (classes, height, width)
        ),
    ))
}

/// The numbers of a block, row after row, one plane of probabilities after the other.
pub(super) struct Planes<'a> {
    image: usize,
    first_row: usize,
    pub(super) width: usize,
    pub(super) rows: usize,
    labels: Cow<'a, [u8]>,
    probabilities: Cow<'a, [f32]>,
}

impl<'a> Planes<'a> {
    /// Checks the shape; copies only what is not contiguous.
    pub(super) fn new(
        block: PixelBlock<'a>,
        images: usize,
        classes: usize,
    ) -> Result<Self, AuditError> {
        if block.image >= images {
            return Err(AuditError::Option {
                option: "the index of an image",
                value: block.image.to_string(),
                expected: "below the number of images",
            });
        }
        check_shape(block.image, classes, block.labels, block.probabilities)?;
        let labels = match block.labels.to_slice() {
            Some(labels) => Cow::Borrowed(labels),
            None => Cow::Owned(block.labels.iter().copied().collect()),
        };
        let probabilities = match block.probabilities.to_slice() {
            Some(probabilities) => Cow::Borrowed(probabilities),
            None => Cow::Owned(block.probabilities.iter().copied().collect()),
        };
        Ok(Self {
            image: block.image,
            first_row: block.first_row,
            width: block.labels.ncols(),
            rows: block.labels.nrows(),
            labels,
            probabilities,
        })
    }

    pub(super) fn labels(&self, row: usize) -> &[u8] {
        &self.labels[row * self.width..(row + 1) * self.width]
    }

    /// One row of each class, the first class first.
    fn classes(&self, row: usize) -> impl Iterator<Item = &[f32]> {
        let plane = (self.rows * self.width).max(1);
        let columns = row * self.width..(row + 1) * self.width;
        self.probabilities
            .chunks_exact(plane)
            .map(move |plane| &plane[columns.clone()])
    }

    /// Why a row is refused, if it is.
    fn problem(&self, row: usize, classes: usize) -> Option<AuditError> {
        let place = |column| format!("row {}, column {column}", self.first_row + row);
        self.labels(row).iter().enumerate().find_map(|(column, &label)| {
            if label == UNLABELLED_CLASS {
                return None;
            }
            if usize::from(label) >= classes {
                return Some(format!(
                    "the label at {} is {label}, but there are only {classes} classes (0 to {}): \
                     mark unlabelled pixels with {UNLABELLED_CLASS}, or add the class",
                    place(column),
                    classes - 1
                ));
            }
            let values: Vec<f32> = self.classes(row).map(|values| values[column]).collect();
            let range = -VALUE_TOLERANCE..=1.0 + VALUE_TOLERANCE;
            if let Some(class) = values.iter().position(|value| !range.contains(value)) {
                return Some(format!(
                    "the probability of class {class} at {} is {}, not a number between 0 and 1: \
                     apply softmax over the classes first",
                    place(column),
                    values[class]
                ));
            }
            let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
            ((sum - 1.0).abs() > SUM_TOLERANCE).then(|| {
                format!(
                    "the probabilities at {} sum to {sum}, not to 1: are they logits? apply softmax \
                     over the classes first",
                    place(column)
                )
            })
        })
        .map(|problem| AuditError::image(self.image, problem))
    }
}

/// What is found in a row in one look at all classes; kept from row to row. Whole vectors, so that
/// there may be a few more numbers than pixels.
#[derive(Default)]
pub(super) struct RowScan {
    /// The most probable class; the first of equals.
    pub(super) predicted: Vec<u32>,
    /// Its probability.
    pub(super) highest: Vec<f32>,
    /// The probability of the given class; infinite where there is none.
    pub(super) own: Vec<f32>,
    given: Vec<u32>,
}

impl RowScan {
    /// Finds the most probable class of every pixel of a row.
    pub(super) fn predict(&mut self, planes: &Planes<'_>, row: usize) {
        let scan = self;
        Arch::new().dispatch(Look::<false> { scan, planes, row });
    }

    /// As [`Self::predict`]; refuses labels and probabilities that are none.
    pub(super) fn predict_checked(
        &mut self,
        planes: &Planes<'_>,
        row: usize,
        classes: usize,
    ) -> Result<(), AuditError> {
        let scan = self;
        if Arch::new().dispatch(Look::<true> { scan, planes, row }) {
            return Ok(());
        }
        planes.problem(row, classes).map_or(Ok(()), Err)
    }
}

/// Looks at all classes of a row, some pixels at a time; says whether all labels are classes and all
/// probabilities of labelled pixels distributions, if it is to CHECK.
struct Look<'a, const CHECK: bool> {
    scan: &'a mut RowScan,
    planes: &'a Planes<'a>,
    row: usize,
}

impl<const CHECK: bool> WithSimd for Look<'_, CHECK> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> bool {
        let Self { scan, planes, row } = self;
        let count = planes.width.next_multiple_of(S::F32_LANES);
        scan.given.clear();
        let labels = planes.labels(row).iter();
        scan.given.extend(labels.map(|&label| u32::from(label)));
        scan.given.resize(count, UNLABELLED_CLASS.into());
        scan.predicted.resize(count, 0);
        scan.highest.resize(count, 0.0);
        scan.own.resize(count, 0.0);
        let predictions = S::as_mut_simd_u32s(&mut scan.predicted).0.iter_mut();
        let found = predictions
            .zip(S::as_mut_simd_f32s(&mut scan.highest).0)
            .zip(S::as_mut_simd_f32s(&mut scan.own).0);
        let classes: Vec<(&[S::f32s], &[f32])> = planes.classes(row).map(S::as_simd_f32s).collect();

        let zero = simd.splat_f32s(0.0);
        let infinite = simd.splat_f32s(f32::INFINITY);
        let unlabelled = simd.splat_u32s(UNLABELLED_CLASS.into());
        let class_count = simd.splat_u32s(classes.len() as u32);
        let mut refused = zero;
        let given = S::as_simd_u32s(&scan.given).0.iter().enumerate();
        for ((place, &given), ((predicted_class, probability), own_probability)) in given.zip(found)
        {
            let mut predicted = simd.splat_u32s(0);
            let mut highest = simd.neg_f32s(infinite);
            let mut own = infinite;
            let mut lowest = infinite;
            let mut sum = zero;
            for (class, (whole, rest)) in (0..).zip(&classes) {
                let value = match whole.get(place) {
                    Some(&value) => value,
                    None => simd.partial_load_f32s(rest),
                };
                let class = simd.splat_u32s(class);
                let higher = simd.less_than_f32s(highest, value);
                predicted = simd.select_u32s(higher, class, predicted);
                highest = simd.select_f32s(higher, value, highest);
                own = simd.select_f32s(simd.equal_u32s(given, class), value, own);
                if CHECK {
                    let lower = simd.less_than_f32s(value, lowest);
                    lowest = simd.select_f32s(lower, value, lowest);
                    sum = simd.add_f32s(sum, value);
                }
            }
            if CHECK {
                // A sum with a NaN is NaN and refused too. 255 sums of 32 bits err by far less.
                let error = simd.abs_f32s(simd.sub_f32s(sum, simd.splat_f32s(1.0)));
                let tolerance = simd.splat_f32s(SUM_TOLERANCE as f32);
                let is_distribution = simd.and_m32s(
                    simd.less_than_or_equal_f32s(error, tolerance),
                    simd.and_m32s(
                        simd.less_than_or_equal_f32s(simd.splat_f32s(-VALUE_TOLERANCE), lowest),
                        simd.less_than_or_equal_f32s(
                            highest,
                            simd.splat_f32s(1.0 + VALUE_TOLERANCE),
                        ),
                    ),
                );
                let is_class = simd.less_than_u32s(given, class_count);
                let fits = simd.or_m32s(
                    simd.and_m32s(is_class, is_distribution),
                    simd.equal_u32s(given, unlabelled),
                );
                refused = simd.select_f32s(fits, refused, simd.splat_f32s(1.0));
            }
            (*predicted_class, *probability, *own_probability) = (predicted, highest, own);
        }
        simd.reduce_max_f32s(refused) == 0.0
    }
}
