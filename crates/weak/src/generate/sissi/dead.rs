//! Dead cells: small and round.

use cleanslide_data::{Rectangle, Trust};
use cleanslide_image::Border;
use cleanslide_image::circle::{HoughCircles, hough_circles};
use cleanslide_image::edge::{GradientNorm, canny, sobel_u8};
use ndarray::ArrayView3;

use super::super::{Found, FoundBox, GenerateError, Generator, Plane};

/// Circles of radius 7 to 15 pixels with centres at least 25 pixels apart, from an accumulator of 10
/// pixels to the cell (OpenCV's `HoughCircles` with `dp` 10, `param1` 100, `param2` 0.1). A box reaches
/// 10 pixels beyond its circle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dead;

impl Generator for Dead {
    fn name(&self) -> &'static str {
        "sissi-dead"
    }

    fn find(
        &self,
        image: ArrayView3<'_, u8>,
        _microns_per_pixel: Option<f64>,
    ) -> Result<Found, GenerateError> {
        let plane = Plane::Grey.of(image)?;
        let edges = canny(plane.view(), 50.0, 100.0, GradientNorm::Manhattan)?;
        let gradient = sobel_u8(plane.view(), Border::Replicate);
        let settings = HoughCircles {
            cell: 10.0,
            distance: 25.0,
            // Votes are whole: more than 0.1 is more than 0.
            votes: 0,
            radii: 7..=15,
            most: None,
        };
        let circles = hough_circles(
            edges.view(),
            gradient.x.view(),
            gradient.y.view(),
            &settings,
        )?;
        let boxes = circles.iter().filter_map(|circle| {
            // Centre and radius are rounded to whole pixels, halves to even.
            let [x, y, radius] =
                [circle.x, circle.y, circle.radius].map(|v| f64::from(v.round_ties_even()));
            let reach = radius + 10.0;
            let around = Rectangle::new(x - reach, y - reach, x + reach, y + reach).ok()?;
            Some(FoundBox {
                rectangle: around.on_image(plane.dim())?,
                trust: Trust::FULL,
            })
        });
        Ok(Found::Boxes(boxes.collect()))
    }
}
