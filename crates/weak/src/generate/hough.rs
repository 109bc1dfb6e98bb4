//! Circles by the Hough transform.

use std::f32::consts::TAU;

use cleanslide_data::{Rectangle, Trust};
use cleanslide_image::circle::{self, Circle};
use cleanslide_image::edge::{GradientNorm, canny, sobel_u8};
use cleanslide_image::filter::{GaussianKernel, gaussian_blur};
use cleanslide_image::{Border, circle::hough_circles};
use ndarray::ArrayView3;

use super::{Diameters, Found, FoundBox, GenerateError, Generator, Plane};

/// Finds round objects by their outline.
///
/// 1. A plane, smoothed by a Gaussian whose standard deviation is a tenth of the smallest radius.
/// 2. Canny edges, with half of `edge` as the lower threshold.
/// 3. Circles by the gradient ([`hough_circles`]) whose diameters are in the range and whose centres
///    are at least `distance` of the smallest diameter apart.
/// 4. A circle's trust is the share of its circumference on which an edge lies, give or take a
///    twentieth of the smallest radius (at least a pixel); below `support` it is dropped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HoughCircles {
    /// Sizes to look for.
    pub diameters: Diameters,
    /// What to look at.
    pub plane: Plane,
    /// How steep an edge must be: the sum of both Sobel derivatives, 1,020 for a step from black to
    /// white.
    pub edge: f64,
    /// Share of the circumference that must be edge, from 0 to 1.
    pub support: f64,
    /// Least distance of two centres, as a share of the smallest diameter.
    pub distance: f64,
}

impl HoughCircles {
    /// On the grey image, edges from 100 on around a third of the circle, centres half of the smallest
    /// diameter apart.
    pub fn new(diameters: Diameters) -> Self {
        Self {
            diameters,
            plane: Plane::default(),
            edge: 100.0,
            support: 0.33,
            distance: 0.5,
        }
    }
}

/// Side of an accumulator cell in pixels, for circles from a radius on. The gradient of a pixel-wide edge
/// is not exact enough for votes to meet in one pixel, and cells are no circles: an outline may leave
/// the circle by a twentieth of its radius.
fn cell(smallest: f64) -> f32 {
    (smallest / 10.0).max(2.0) as f32
}

impl Generator for HoughCircles {
    fn name(&self) -> &'static str {
        "hough"
    }

    fn find(
        &self,
        image: ArrayView3<'_, u8>,
        microns_per_pixel: Option<f64>,
    ) -> Result<Found, GenerateError> {
        let share = (0.0..=1.0).contains(&self.support);
        super::check("support", self.support, share, "a share from 0 to 1")?;
        let diameters = self.diameters.in_pixels(microns_per_pixel, 6.0)?;
        let radii = (diameters.start() / 2.0, diameters.end() / 2.0);
        let plane = self.plane.of(image)?;
        let size = plane.dim();
        let kernel = GaussianKernel::of_sigma(radii.0 / 10.0, 4.0)?;
        let plane = gaussian_blur(plane.view(), &kernel, &kernel, Border::Mirror);
        let edges = canny(
            plane.view(),
            self.edge / 2.0,
            self.edge,
            GradientNorm::Manhattan,
        )?;
        let gradient = sobel_u8(plane.view(), Border::Replicate);
        let settings = circle::HoughCircles {
            cell: cell(radii.0),
            distance: (self.distance * diameters.start()).max(1.0) as f32,
            // The least that a circle of enough support can have.
            votes: (self.support * radii.0).floor() as u32,
            radii: radii.0.floor() as u32..=(radii.1.ceil() as u32).max(radii.0.floor() as u32 + 1),
            most: None,
        };
        let circles = hough_circles(
            edges.view(),
            gradient.x.view(),
            gradient.y.view(),
            &settings,
        )?;
        let mut boxes: Vec<FoundBox> = circles
            .iter()
            .filter_map(|circle| found(circle, size))
            .filter(|found| f64::from(found.trust.value()) >= self.support)
            .collect();
        // A stable sort: of equally trusted ones, the order of the circles.
        boxes.sort_by(|one, other| other.trust.value().total_cmp(&one.trust.value()));
        Ok(Found::Boxes(boxes))
    }
}

/// The box around a circle; `None` if none of it is on the image.
fn found(circle: &Circle, size: (usize, usize)) -> Option<FoundBox> {
    let [x, y, radius] = [circle.x, circle.y, circle.radius].map(f64::from);
    let rectangle = Rectangle::new(x - radius, y - radius, x + radius, y + radius).ok()?;
    let share = circle.votes as f32 / (TAU * circle.radius);
    Some(FoundBox {
        rectangle: rectangle.on_image(size)?,
        trust: Trust::new(share.min(1.0)).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn dark_and_bright_disks_are_boxed() -> Result<(), GenerateError> {
        let image = Array3::from_shape_fn((80, 140, 3), |(y, x, _)| {
            let within = |cx: f64, r: f64| (x as f64 + 0.5 - cx).hypot(y as f64 + 0.5 - 40.0) <= r;
            match (within(35.0, 20.0), within(100.0, 24.0)) {
                (true, _) => 60,
                (_, true) => 240,
                _ => 150,
            }
        });
        let found = HoughCircles::new("30..60px".parse()?).find(image.view(), None)?;
        let Found::Boxes(boxes) = found else {
            unreachable!("circles are boxes")
        };
        assert_eq!(boxes.len(), 2);
        for truth in [
            Rectangle::new(15.0, 20.0, 55.0, 60.0),
            Rectangle::new(76.0, 16.0, 124.0, 64.0),
        ] {
            let truth = truth.unwrap_or_else(|_| unreachable!("a box with an area"));
            let best = boxes
                .iter()
                .map(|b| b.rectangle.iou(&truth))
                .fold(0.0, f64::max);
            assert!(best > 0.85, "{best} {boxes:?}");
        }
        assert!(boxes.iter().all(|found| found.trust.value() > 0.6));
        Ok(())
    }
}
