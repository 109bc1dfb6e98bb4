//! Labels from image processing: weak, but without anybody's work.
//!
//! | generator | finds | as |
//! |---|---|---|
//! | [`HoughCircles`] | round cells by their outline | boxes |
//! | [`Blobs`] | what is brighter or darker than the rest | instances |
//! | [`Nuclei`] | what haematoxylin stains, touching nuclei apart | instances |
//! | [`Outlines`] | what closed edges surround | instances |
//! | [`sissi::Alive`], [`sissi::Dead`], [`sissi::Inhibited`] | cells of a cytotoxicity assay | boxes |
//!
//! Every generator looks at one image at a time, takes sizes as diameters in pixels or microns
//! ([`Diameters`]) and gives its findings in an order of its own that depends on nothing else. What
//! it does not find is not thereby background: whoever stores the findings says how complete they
//! are.

mod blobs;
mod diameters;
mod hough;
mod nuclei;
mod outlines;
mod plane;
mod shape;
pub mod sissi;

use cleanslide_data::{Rectangle, Trust};
use cleanslide_image::region::statistics;
use ndarray::{Array2, ArrayView3};
use thiserror::Error;

pub use blobs::{Blobs, Level, Side};
pub use diameters::{Diameters, Unit};
pub use hough::HoughCircles;
pub use nuclei::Nuclei;
pub use outlines::Outlines;
pub use plane::Plane;

/// Why a generator could not look at an image.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// Diameters cannot be read.
    #[error("`{text}` is not a range of diameters: write FROM..TO and px or um, as in 40..60px")]
    Diameters {
        /// What was given.
        text: String,
    },
    /// Diameters are not positive and in order.
    #[error("diameters from {from} to {to} are not a range of positive numbers that grows")]
    Range {
        /// The smallest.
        from: f64,
        /// The greatest.
        to: f64,
    },
    /// Diameters are in microns, but the image's scale is unknown.
    #[error(
        "its scale is unknown, so {from} to {to} µm cannot be looked for: give the image's microns \
         per pixel in images.csv, or diameters in pixels"
    )]
    NoScale {
        /// The smallest.
        from: f64,
        /// The greatest.
        to: f64,
    },
    /// The diameters are below what pixels can show.
    #[error(
        "diameters from {from:.1} to {to:.1} pixels are too small to be found: at least {least} \
         pixels are needed"
    )]
    TooSmall {
        /// The smallest, in pixels.
        from: f64,
        /// The greatest, in pixels.
        to: f64,
        /// The least that can be found.
        least: f64,
    },
    /// An operator refused the image or a setting.
    #[error(transparent)]
    Image(#[from] cleanslide_image::Error),
}

/// A box with how far its generator believes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FoundBox {
    /// Around the object, on the image.
    pub rectangle: Rectangle,
    /// From the generator's own measure; full where it has none.
    pub trust: Trust,
}

/// What a generator found on an image.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// Boxes, the most trusted first.
    Boxes(Vec<FoundBox>),
    /// `[height, width]`: each pixel its object's number from 1 on, 0 where none is.
    Instances(Array2<u32>),
}

impl Found {
    /// How many objects.
    pub fn len(&self) -> usize {
        match self {
            Self::Boxes(boxes) => boxes.len(),
            Self::Instances(labels) => labels.iter().max().map_or(0, |&last| last as usize),
        }
    }

    /// As boxes: those around instances, in the order of their numbers, fully trusted.
    #[must_use]
    pub fn into_boxes(self) -> Self {
        match self {
            Self::Boxes(_) => self,
            Self::Instances(labels) => Self::Boxes(
                statistics(labels.view())
                    .into_iter()
                    .map(|object| FoundBox {
                        rectangle: object.bounds.into(),
                        trust: Trust::FULL,
                    })
                    .collect(),
            ),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A way to find objects by image processing.
pub trait Generator: Send + Sync {
    /// Its name in commands and as a source: `hough`, `nuclei`.
    fn name(&self) -> &'static str;

    /// What it finds on an image `[height, width, 3]`; `microns_per_pixel` if the scale is known.
    ///
    /// # Errors
    /// Settings that are out of their range or need a scale.
    fn find(
        &self,
        image: ArrayView3<'_, u8>,
        microns_per_pixel: Option<f64>,
    ) -> Result<Found, GenerateError>;
}

/// Refuses a setting unless it is valid.
fn check(
    name: &'static str,
    value: f64,
    valid: bool,
    expected: &'static str,
) -> Result<(), GenerateError> {
    if valid {
        return Ok(());
    }
    Err(GenerateError::Image(cleanslide_image::Error::Setting {
        name,
        value: value.to_string(),
        expected,
    }))
}
