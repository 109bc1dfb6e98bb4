//! From pictures of labels to polygons.

use std::collections::HashMap;

use cleanslide_data::geometry::signed_area;
use cleanslide_data::{Point, Polygon};
use ndarray::{Array2, ArrayView2};

use crate::error::Result;
use crate::region::{Neighbours, components_of_labels};

/// One object's outline.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// The label of its pixels.
    pub label: u32,
    /// Along the edges of its pixels.
    pub polygon: Polygon,
}

/// The outlines of all labels but 0 along pixel edges, one for each part of a label that hangs together
/// by four neighbours, in the raster order of the parts' first pixels.
///
/// Exact: filling the polygons ([`super::paint_polygon`]) gives the picture back. Points are the
/// corners only, so that no three in a row lie on a line. Outer rings run clockwise as seen on the
/// screen, holes the other way. No ring meets itself: where pixels touch at a corner only, two rings
/// touch there, as the Simple Features standard (ISO 19125-1) wants.
///
/// # Errors
/// More than 2³² − 2 pixels.
pub fn outlines(labels: ArrayView2<'_, u32>) -> Result<Vec<Outline>> {
    let parts = components_of_labels(labels, Neighbours::Four)?;
    let mut outlines: Vec<Option<Outline>> = vec![None; parts.count];
    let mut tracer = Tracer::new(&parts.labels);
    let (height, width) = labels.dim();
    for y in 0..height {
        for x in 0..width {
            let part = parts.labels[(y, x)];
            if part == 0 || tracer.traced[(y, x)] || tracer.at(x as i64, y as i64 - 1) == part {
                continue;
            }
            let outline = outlines[part as usize - 1].get_or_insert_with(|| Outline {
                label: labels[(y, x)],
                polygon: Polygon::default(),
            });
            for ring in tracer.trace(x as i64, y as i64) {
                if signed_area(&ring) > 0.0 {
                    outline.polygon.outline = ring;
                } else {
                    outline.polygon.holes.push(ring);
                }
            }
        }
    }
    Ok(outlines.into_iter().flatten().collect())
}

/// Right, down, left, up.
const DIRECTIONS: [(i64, i64); 4] = [(1, 0), (0, 1), (-1, 0), (0, -1)];

struct Tracer<'a> {
    parts: &'a Array2<u32>,
    /// Pixels whose upper edge is on a ring that has been traced. Every ring has one.
    traced: Array2<bool>,
}

impl<'a> Tracer<'a> {
    fn new(parts: &'a Array2<u32>) -> Self {
        Self {
            parts,
            traced: Array2::default(parts.dim()),
        }
    }

    fn at(&self, x: i64, y: i64) -> u32 {
        let inside = usize::try_from(y).ok().zip(usize::try_from(x).ok());
        inside
            .and_then(|at| self.parts.get(at))
            .copied()
            .unwrap_or(0)
    }

    /// The pixel ahead of a corner on its left (0) or right (1).
    fn ahead(&self, (x, y): (i64, i64), direction: usize, side: usize) -> u32 {
        let (forward, right) = (DIRECTIONS[direction], DIRECTIONS[(direction + 1) % 4]);
        // A pixel is named by its upper left corner: of the four at a corner, those before it are 1
        // less.
        let sign = 2 * side as i64 - 1;
        let reach = |forward: i64, right: i64| (forward + sign * right - 1) / 2;
        self.at(x + reach(forward.0, right.0), y + reach(forward.1, right.1))
    }

    /// Walks along the edges with the part on the right hand, from the upper edge of a pixel until back
    /// there; the walk is cut where it comes to a corner twice.
    fn trace(&mut self, x: i64, y: i64) -> Vec<Vec<Point>> {
        let part = self.at(x, y);
        let (mut corner, mut direction) = ((x, y), 0);
        let mut rings = Vec::new();
        let mut corners: Vec<Point> = Vec::new();
        let mut touching: HashMap<(i64, i64), usize> = HashMap::new();
        loop {
            if direction == 0 {
                let traced = &mut self.traced[(corner.1 as usize, corner.0 as usize)];
                if *traced {
                    break;
                }
                *traced = true;
            }
            let (right, down) = DIRECTIONS[direction];
            corner = (corner.0 + right, corner.1 + down);
            let left_is_part = self.ahead(corner, direction, 0) == part;
            let right_is_part = self.ahead(corner, direction, 1) == part;
            if right_is_part && !left_is_part {
                continue;
            }
            if !right_is_part && left_is_part {
                // Two pixels touch at this corner only; the walk comes here twice.
                if let Some(first) = touching.insert(corner, corners.len()) {
                    rings.push(corners.split_off(first));
                    touching.retain(|_, index| *index <= first);
                }
            }
            corners.push(Point::new(corner.0 as f64, corner.1 as f64));
            direction = (direction + if right_is_part { 3 } else { 1 }) % 4;
        }
        rings.push(corners);
        rings
    }
}
