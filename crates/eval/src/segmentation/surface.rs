//! Distances between the surfaces of a class in two masks.
//!
//! The surface of a class are its pixels with a neighbour across an edge that is of another class or
//! outside the image (MONAI, medpy: erosion by a cross). Distances run from the centres of one
//! surface's pixels to the nearest centre of the other's. A border with unlabelled pixels is no
//! surface: where the class ends there is not known.

use cleanslide_data::UNLABELLED_CLASS;
use cleanslide_image::region::spaced_distance;
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Undefined, check_size};

/// How the distances in both directions become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Directions {
    /// The number of each direction by itself, then the larger of the two for Hausdorff distances
    /// (MONAI), and the mean of the two for the average distance (medpy's `assd`).
    Separate,
    /// One number of all distances: medpy's `hd95`, and the average distance of MONAI
    /// (`symmetric=True`) and of T. Heimann et al. 2009, doi:10.1109/TMI.2009.2013851.
    Together,
}

/// The distances between the surfaces of a class in the truth and in the prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct SurfaceDistances {
    /// From each pixel of the predicted surface to the true one, ascending.
    pub to_truth: Vec<f64>,
    /// From each pixel of the true surface to the predicted one, ascending.
    pub to_prediction: Vec<f64>,
}

impl SurfaceDistances {
    /// Distances of `class` where pixels are `spacing` (x, y) apart, for example in microns.
    ///
    /// Distances are infinite if one mask lacks the class, and there are none if both do.
    ///
    /// # Errors
    /// Masks of different sizes, or a spacing that is not finite and positive.
    pub fn new(
        truth: ArrayView2<'_, u8>,
        predicted: ArrayView2<'_, u8>,
        class: u8,
        spacing: (f64, f64),
    ) -> Result<Self, Error> {
        check_size("predicted mask", predicted.dim(), truth.dim())?;
        let valid = spacing.0.is_finite() && spacing.1.is_finite();
        if !(valid && spacing.0 > 0.0 && spacing.1 > 0.0) {
            return Err(Error::InvalidSpacing { spacing });
        }
        let (width, labelled) = (truth.ncols(), labelled(truth, predicted));
        let surfaces = (
            surface(truth, class, &labelled),
            surface(predicted, class, &labelled),
        );
        // The nearest surface pixel never lies outside the box around both.
        let all = || surfaces.0.iter().chain(&surfaces.1);
        let rows = (
            all().map(|p| p / width).min(),
            all().map(|p| p / width).max(),
        );
        let columns = (
            all().map(|p| p % width).min(),
            all().map(|p| p % width).max(),
        );
        let ((Some(top), Some(bottom)), (Some(left), Some(right))) = (rows, columns) else {
            return Ok(SurfaceDistances {
                to_truth: Vec::new(),
                to_prediction: Vec::new(),
            });
        };
        let size = (bottom - top + 1, right - left + 1);
        let inside = |pixel: usize| (pixel / width - top, pixel % width - left);
        let distances = |from: &[usize], to: &[usize]| {
            let mut elsewhere = Array2::from_elem(size, true);
            for &pixel in to {
                elsewhere[inside(pixel)] = false;
            }
            let map = spaced_distance(elsewhere.view(), spacing)
                .map_err(|_| Error::InvalidSpacing { spacing })?;
            let mut distances: Vec<f64> = from.iter().map(|&pixel| map[inside(pixel)]).collect();
            distances.sort_unstable_by(f64::total_cmp);
            Ok::<_, Error>(distances)
        };
        Ok(SurfaceDistances {
            to_truth: distances(&surfaces.1, &surfaces.0)?,
            to_prediction: distances(&surfaces.0, &surfaces.1)?,
        })
    }

    /// Fails if a mask lacks the class.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.to_truth.is_empty() || self.to_prediction.is_empty() {
            return Err(Undefined::NoSurface.into());
        }
        Ok(())
    }
}

/// Pixels that are labelled in both masks.
fn labelled(truth: ArrayView2<'_, u8>, predicted: ArrayView2<'_, u8>) -> Array2<bool> {
    let mut labelled = truth.mapv(|class| class != UNLABELLED_CLASS);
    labelled.zip_mut_with(&predicted, |labelled, &class| {
        *labelled &= class != UNLABELLED_CLASS;
    });
    labelled
}

/// Positions in the raster of the pixels on the surface.
fn surface(mask: ArrayView2<'_, u8>, class: u8, labelled: &Array2<bool>) -> Vec<usize> {
    let (height, width) = mask.dim();
    let mut pixels = Vec::new();
    for y in 0..height {
        let (row, known) = (mask.row(y), labelled.row(y));
        for x in 0..width {
            if row[x] != class || !known[x] {
                continue;
            }
            let ends = |y: usize, x: usize| mask[(y, x)] != class && labelled[(y, x)];
            let at_border = y == 0 || x == 0 || y + 1 == height || x + 1 == width;
            if at_border || ends(y - 1, x) || ends(y + 1, x) || ends(y, x - 1) || ends(y, x + 1) {
                pixels.push(y * width + x);
            }
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use ndarray::{array, s};

    use super::*;

    #[test]
    fn unlabelled_neighbours_are_no_surface() {
        let mut truth = Array2::zeros((5, 7));
        truth.slice_mut(s![1..4, 1..6]).fill(1);
        let labelled = Array2::from_elem((5, 7), true);
        // All but the three pixels in the middle.
        assert_eq!(surface(truth.view(), 1, &labelled).len(), 12);
        let mut some = labelled;
        some.slice_mut(s![.., 6]).fill(false);
        // (2, 5) only touched what is unlabelled now.
        assert_eq!(surface(truth.view(), 1, &some).len(), 11);
    }

    #[test]
    fn bad_input_is_named() {
        let mask = array![[0, 1], [1, 1]];
        let message = |predicted: &Array2<u8>, spacing| {
            let distances = SurfaceDistances::new(mask.view(), predicted.view(), 1, spacing);
            distances.unwrap_err().to_string()
        };
        assert_eq!(
            message(&mask, (0.0, 1.0)),
            "the spacing of pixels is (0, 1); pass the finite, positive distances of neighbouring \
             columns and rows, such as microns per pixel"
        );
        assert!(message(&mask, (1.0, f64::NAN)).contains("NaN"));
        assert!(message(&array![[1]], (1.0, 1.0)).contains("1 x 1"));
    }
}
