//! From polygons to masks.

use cleanslide_data::geometry::sides;
use cleanslide_data::{Point, Polygon};
use ndarray::{Array2, ArrayViewMut2};

/// The pixels whose centres lie in a polygon.
///
/// Even–odd: a point is inside if a line from it crosses the rings an odd number of times, whatever way
/// they run, so holes are out, and so is where a ring covers itself twice. Of centres exactly on a
/// ring, those on the left and upper sides are in, those on the right and lower sides are not;
/// polygons that share a side therefore share no pixel and leave none out.
///
/// `skimage.draw.polygon2mask`, whose points are half a pixel less, gives the same mask but for
/// centres exactly on a ring, all of which it takes. Pillow's `ImageDraw.polygon` also takes pixels
/// that a side merely touches. A ring with a point that is not finite
/// encloses nothing.
pub fn polygon_mask(size: (usize, usize), polygon: &Polygon) -> Array2<bool> {
    let mut mask = Array2::default(size);
    paint_polygon(mask.view_mut(), polygon, true);
    mask
}

/// Sets the pixels whose centres lie in a polygon, as [`polygon_mask`] decides.
pub fn paint_polygon<T: Clone>(mut image: ArrayViewMut2<'_, T>, polygon: &Polygon, value: T) {
    let (height, width) = image.dim();
    // The first row or column whose centre is not before a position.
    let first =
        |position: f64, count: usize| (position - 0.5).ceil().clamp(0.0, count as f64) as usize;

    let mut crossings: Vec<(usize, usize)> = Vec::new();
    let finite = |ring: &&[Point]| {
        ring.iter()
            .all(|point| point.x.is_finite() && point.y.is_finite())
    };
    for (from, to) in polygon.rings().filter(finite).flat_map(sides) {
        let (upper, lower) = if from.y <= to.y {
            (from, to)
        } else {
            (to, from)
        };
        if upper.y == lower.y {
            continue;
        }
        for y in first(upper.y, height)..first(lower.y, height) {
            let share = (y as f64 + 0.5 - upper.y) / (lower.y - upper.y);
            let x = upper.x + share * (lower.x - upper.x);
            crossings.push((y, first(x, width)));
        }
    }
    crossings.sort_unstable();
    for row in crossings.chunk_by(|one, other| one.0 == other.0) {
        // Every ring is closed, so that it crosses a row an even number of times.
        for pair in row.chunks_exact(2) {
            let (y, start) = pair[0];
            for x in start..pair[1].1 {
                image[(y, x)] = value.clone();
            }
        }
    }
}
