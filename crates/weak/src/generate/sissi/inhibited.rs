//! Inhibited cells: spread out, with faint edges.

use cleanslide_data::{Rectangle, Trust};
use cleanslide_image::colour::{Grey, grey};
use cleanslide_image::edge::{GradientNorm, canny};
use cleanslide_image::morphology::{Element, close, open};
use cleanslide_image::region::{Neighbours, components_with_statistics};
use ndarray::{Array2, ArrayView2, ArrayView3};

use super::super::{Found, FoundBox, GenerateError, Generator};

/// Connected edges of an image whose illumination was evened out, as boxes of 400 to 80,000 square
/// pixels.
///
/// 1. Grey (Rec. 709). Its background is what openings and closings with flat rectangles, ten
///    pixels high and 3, 5, …, 99 wide, leave one after the other; nine tenths of it are taken off and
///    their mean is added.
/// 2. Canny edges with thresholds of a tenth and a fifth of white, gaps of a pixel closed.
/// 3. The boxes around edges that hang together by eight neighbours; of those that overlap, one.
///
/// The published code smooths before Canny with a standard deviation of 0.1 pixels, which changes
/// nothing, and takes blue for red: here grey is grey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Inhibited;

impl Generator for Inhibited {
    fn name(&self) -> &'static str {
        "sissi-inhibited"
    }

    fn find(
        &self,
        image: ArrayView3<'_, u8>,
        _microns_per_pixel: Option<f64>,
    ) -> Result<Found, GenerateError> {
        let plane = grey(image, Grey::Rec709)?;
        if plane.is_empty() {
            return Ok(Found::Boxes(Vec::new()));
        }
        let even = evenly_lit(plane.view())?;
        let edges = canny(even.view(), 25.5, 51.0, GradientNorm::Euclidean)?;
        let closed = close(edges.view(), &Element::rectangle(2, 2)?);
        let (_, edges) = components_with_statistics(closed.view(), Neighbours::Eight)?;
        let boxes = edges.iter().filter_map(|edge| {
            let bounds = edge.bounds;
            let [left, top, right, bottom] =
                [bounds.left, bounds.top, bounds.right, bounds.bottom].map(|side| side as f64);
            let around = Rectangle::new(left, top, right, bottom).ok()?;
            (400.0..=80_000.0)
                .contains(&around.area())
                .then_some(around)
        });
        let kept = super::apart(boxes.collect());
        Ok(Found::Boxes(
            kept.into_iter()
                .map(|rectangle| FoundBox {
                    rectangle,
                    trust: Trust::FULL,
                })
                .collect(),
        ))
    }
}

/// The plane less nine tenths of its background, around the mean of that.
fn evenly_lit(plane: ArrayView2<'_, u8>) -> Result<Array2<u8>, GenerateError> {
    let mut background = plane.to_owned();
    for width in (3..100).step_by(2) {
        let rectangle = Element::rectangle(10, width)?;
        background = close(open(background.view(), &rectangle).view(), &rectangle);
    }
    let sum: f64 = background.iter().map(|&value| f64::from(value)).sum();
    let mean = 0.9 * sum / background.len() as f64;
    let mut even = background;
    even.zip_mut_with(&plane, |background, &value| {
        let level = f64::from(value) - 0.9 * f64::from(*background) + mean;
        *background = level.round() as u8;
    });
    Ok(even)
}
