//! Objects that edges surround.

use cleanslide_image::edge::{GradientNorm, canny};
use cleanslide_image::morphology::{Element, close};
use cleanslide_image::region::{Neighbours, fill_holes};
use ndarray::ArrayView3;

use super::{Diameters, Found, GenerateError, Generator, Plane, shape};

/// Finds what closed edges surround, whether it is brighter or darker inside: cells in phase contrast
/// or bright field, whose bodies look like the background.
///
/// 1. Canny edges on a plane, with half of `edge` as the lower threshold.
/// 2. Gaps up to a tenth of the smallest diameter are closed.
/// 3. What the edges surround is filled; lines that surround nothing are removed.
/// 4. Objects outside the range of diameters are dropped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlines {
    /// Sizes to look for.
    pub diameters: Diameters,
    /// What to look at.
    pub plane: Plane,
    /// How steep an edge must be: the sum of both Sobel derivatives, 1,020 for a step from black to
    /// white.
    pub edge: f64,
}

impl Outlines {
    /// On the grey image, edges from 100 on.
    pub fn new(diameters: Diameters) -> Self {
        Self {
            diameters,
            plane: Plane::default(),
            edge: 100.0,
        }
    }
}

impl Generator for Outlines {
    fn name(&self) -> &'static str {
        "outlines"
    }

    fn find(
        &self,
        image: ArrayView3<'_, u8>,
        microns_per_pixel: Option<f64>,
    ) -> Result<Found, GenerateError> {
        let diameters = self.diameters.in_pixels(microns_per_pixel, 5.0)?;
        let plane = self.plane.of(image)?;
        let edges = canny(
            plane.view(),
            self.edge / 2.0,
            self.edge,
            GradientNorm::Manhattan,
        )?;
        let gap = Element::disk((diameters.start() / 20.0).ceil() as usize)?;
        let closed = close(edges.view(), &gap);
        let filled = fill_holes(closed.view(), Neighbours::Four)?;
        let bodies = shape::tidy(filled.view(), *diameters.start())?;
        let objects = shape::whole(bodies.view())?;
        Ok(Found::Instances(shape::sized(objects, &diameters)))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn rings_are_filled_and_open_lines_dropped() -> Result<(), GenerateError> {
        let image = Array3::from_shape_fn((60, 90, 3), |(y, x, _)| {
            let away = (x as f64 - 30.0).hypot(y as f64 - 30.0);
            let ring = (away - 15.0).abs() <= 1.0;
            let line = x == 70;
            if ring || line { 40 } else { 200 }
        });
        let found = Outlines::new("20..40px".parse()?).find(image.view(), None)?;
        assert_eq!(found.len(), 1);
        let Found::Instances(labels) = found else {
            unreachable!("outlines are instances")
        };
        assert_eq!(labels[[30, 30]], 1);
        assert_eq!(labels[[30, 70]], 0);
        Ok(())
    }
}
