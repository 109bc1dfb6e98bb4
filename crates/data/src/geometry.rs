//! Places, boxes and outlines on an image.
//!
//! Coordinates are in pixels and refer to pixel corners: (0, 0) is the upper left corner of the
//! upper left pixel, whose centre is (0.5, 0.5). x runs to the right, y downwards.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A place.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Point {
    /// To the right.
    pub x: f64,
    /// Downwards.
    pub y: f64,
}

impl Point {
    /// The place at x, y.
    pub fn new(x: f64, y: f64) -> Self {
        Self { x, y }
    }
}

/// A box with sides along the image's. A pixel is inside if `left <= column < right` and
/// `top <= row < bottom`. In a file it is its left, top, right and bottom.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "[f64; 4]", into = "[f64; 4]")]
pub struct Rectangle {
    /// Left edge.
    pub left: f64,
    /// Top edge.
    pub top: f64,
    /// Right edge, above `left`.
    pub right: f64,
    /// Bottom edge, below `top`.
    pub bottom: f64,
}

impl From<Rectangle> for [f64; 4] {
    fn from(rectangle: Rectangle) -> Self {
        let Rectangle {
            left,
            top,
            right,
            bottom,
        } = rectangle;
        [left, top, right, bottom]
    }
}

impl TryFrom<[f64; 4]> for Rectangle {
    type Error = Error;

    fn try_from([left, top, right, bottom]: [f64; 4]) -> Result<Self> {
        Self::new(left, top, right, bottom)
    }
}

impl Rectangle {
    /// Checks that the corners are finite and in order.
    ///
    /// # Errors
    /// A corner is not finite, or the rectangle has no area.
    pub fn new(left: f64, top: f64, right: f64, bottom: f64) -> Result<Self> {
        let rectangle = Self {
            left,
            top,
            right,
            bottom,
        };
        if [left, top, right, bottom].iter().all(|v| v.is_finite()) && left < right && top < bottom
        {
            Ok(rectangle)
        } else {
            Err(Error::labels(format!(
                "the rectangle {rectangle} has no area"
            )))
        }
    }

    /// The smallest one around points; `None` if they have no area or are not finite.
    pub fn around(points: impl IntoIterator<Item = Point>) -> Option<Self> {
        let mut all = Self {
            left: f64::INFINITY,
            top: f64::INFINITY,
            right: f64::NEG_INFINITY,
            bottom: f64::NEG_INFINITY,
        };
        for Point { x, y } in points {
            if !x.is_finite() || !y.is_finite() {
                return None;
            }
            all.left = all.left.min(x);
            all.top = all.top.min(y);
            all.right = all.right.max(x);
            all.bottom = all.bottom.max(y);
        }
        (all.left < all.right && all.top < all.bottom).then_some(all)
    }

    /// The one with these four corners, in any order; `None` if they are not those of an upright rectangle.
    pub fn of_corners(corners: &[Point]) -> Option<Self> {
        let rectangle = Self::around(corners.iter().copied())?;
        let all = rectangle.corners();
        let is_upright = corners.len() == 4 && all.iter().all(|corner| corners.contains(corner));
        is_upright.then_some(rectangle)
    }

    /// From left to right.
    pub fn width(&self) -> f64 {
        self.right - self.left
    }

    /// From top to bottom.
    pub fn height(&self) -> f64 {
        self.bottom - self.top
    }

    /// Width times height.
    pub fn area(&self) -> f64 {
        self.width() * self.height()
    }

    /// The middle.
    pub fn centre(&self) -> Point {
        Point {
            x: (self.left + self.right) / 2.0,
            y: (self.top + self.bottom) / 2.0,
        }
    }

    /// The corners, clockwise as seen from the upper left.
    pub fn corners(&self) -> [Point; 4] {
        [
            Point::new(self.left, self.top),
            Point::new(self.right, self.top),
            Point::new(self.right, self.bottom),
            Point::new(self.left, self.bottom),
        ]
    }

    /// The part that both cover; `None` if they share no area.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let common = Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        };
        (common.left < common.right && common.top < common.bottom).then_some(common)
    }

    /// The area that both cover.
    pub fn overlap(&self, other: &Self) -> f64 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        width.max(0.0) * height.max(0.0)
    }

    /// Intersection over union (Jaccard index), from 0 (apart) to 1 (equal).
    pub fn iou(&self, other: &Self) -> f64 {
        let overlap = self.overlap(other);
        overlap / (self.area() + other.area() - overlap)
    }

    /// The part on an image; `None` if there is none.
    pub fn on_image(&self, (height, width): (usize, usize)) -> Option<Self> {
        self.intersection(&Self {
            left: 0.0,
            top: 0.0,
            right: width as f64,
            bottom: height as f64,
        })
    }
}

impl fmt::Display for Rectangle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {}",
            self.left, self.top, self.right, self.bottom
        )
    }
}

/// A polygon: an outer ring and holes. Rings are closed; the first point is not repeated.
#[derive(Debug, Clone, PartialEq, PartialOrd, Default)]
pub struct Polygon {
    /// The outline, at least three points.
    pub outline: Vec<Point>,
    /// Rings that are cut out, at least three points each.
    pub holes: Vec<Vec<Point>>,
}

impl Polygon {
    /// All rings, the outer one first.
    pub fn rings(&self) -> impl Iterator<Item = &[Point]> {
        std::iter::once(&self.outline)
            .chain(&self.holes)
            .map(Vec::as_slice)
    }

    /// The area of the outer ring less that of the holes, in square pixels.
    pub fn area(&self) -> f64 {
        let holes: f64 = self.holes.iter().map(|hole| signed_area(hole).abs()).sum();
        signed_area(&self.outline).abs() - holes
    }

    /// The length of all rings, in pixels.
    pub fn perimeter(&self) -> f64 {
        let length = |(from, to): (Point, Point)| (to.x - from.x).hypot(to.y - from.y);
        self.rings().flat_map(sides).map(length).sum()
    }

    /// The smallest box around the outline; `None` if it has no area.
    pub fn bounds(&self) -> Option<Rectangle> {
        Rectangle::around(self.outline.iter().copied())
    }
}

/// The area that a ring encloses, positive if it runs clockwise as seen on the screen (y downwards).
pub fn signed_area(ring: &[Point]) -> f64 {
    let twice: f64 = sides(ring)
        .map(|(from, to)| from.x * to.y - to.x * from.y)
        .sum();
    twice / 2.0
}

/// Each point of a ring with the next, the last with the first.
pub fn sides(ring: &[Point]) -> impl Iterator<Item = (Point, Point)> {
    let next = ring.iter().cycle().skip(1);
    ring.iter().copied().zip(next.copied())
}

/// A box that something found, with how sure it is: the unit of detectors, of the rules that join
/// their findings and of the metrics that judge them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Where.
    pub rectangle: Rectangle,
    /// What.
    pub class: usize,
    /// How sure: higher is surer. Methods that need a probability say so.
    pub score: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_counted_in_pixel_corners() -> Result<()> {
        let one = Rectangle::new(0.0, 0.0, 4.0, 2.0)?;
        let other = Rectangle::new(2.0, 1.0, 6.0, 3.0)?;
        assert_eq!(one.overlap(&other), 2.0);
        assert_eq!(one.iou(&other), 2.0 / 14.0);
        assert_eq!(one.iou(&one), 1.0);
        assert_eq!(
            one.intersection(&other),
            Some(Rectangle::new(2.0, 1.0, 4.0, 2.0)?)
        );
        let beside = Rectangle::new(4.0, 0.0, 5.0, 2.0)?;
        assert_eq!(one.intersection(&beside), None);
        assert_eq!(one.overlap(&beside), 0.0);
        assert_eq!(
            other.on_image((2, 5)),
            Some(Rectangle::new(2.0, 1.0, 5.0, 2.0)?)
        );
        Ok(())
    }

    #[test]
    fn boxes_around_points_need_an_area() -> Result<()> {
        let points = [Point::new(1.0, 5.0), Point::new(3.0, 2.0)];
        assert_eq!(
            Rectangle::around(points),
            Some(Rectangle::new(1.0, 2.0, 3.0, 5.0)?)
        );
        assert_eq!(Rectangle::around([]), None);
        assert_eq!(Rectangle::around([points[0]]), None);
        assert_eq!(
            Rectangle::around([points[0], Point::new(f64::NAN, 9.0)]),
            None
        );
        Ok(())
    }

    #[test]
    fn a_square_with_a_hole() {
        let square = |from: f64, to: f64| {
            vec![
                Point::new(from, from),
                Point::new(to, from),
                Point::new(to, to),
                Point::new(from, to),
            ]
        };
        let polygon = Polygon {
            outline: square(0.0, 4.0),
            holes: vec![square(1.0, 2.0)],
        };
        assert_eq!(polygon.area(), 15.0);
        assert_eq!(polygon.perimeter(), 20.0);
        assert_eq!(signed_area(&polygon.outline), 16.0);
    }
}
