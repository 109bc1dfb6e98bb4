//! Rings with fewer points.

use cleanslide_data::Point;

use crate::error::{Result, check};

/// Leaves out points of a ring so that no point left out is farther than `tolerance` from the side that
/// replaces it.
///
/// D. Douglas, T. Peucker, "Algorithms for the reduction of the number of points required to represent
/// a digitized line or its caricature", Cartographica 10, 1973, doi:10.3138/FM57-6770-U75U-7727. The
/// ring is cut at its first point and the point farthest from it, which both stay; of equally far
/// points the first counts. At least three points stay. The result may cross itself.
///
/// # Errors
/// A tolerance that is not finite or is negative.
pub fn simplify(ring: &[Point], tolerance: f64) -> Result<Vec<Point>> {
    let valid = tolerance.is_finite() && tolerance >= 0.0;
    check("tolerance", tolerance, valid, "a finite number from 0 on")?;
    if ring.len() <= 3 {
        return Ok(ring.to_vec());
    }
    let (opposite, _) = farthest(ring, 1..ring.len(), |point| length(ring[0], point));
    let mut stays = vec![false; ring.len()];
    stays[0] = true;
    stays[opposite] = true;
    // Parts between two points that stay; the end may be the first point again.
    let mut parts = vec![(0, opposite), (opposite, ring.len())];
    while let Some((start, end)) = parts.pop() {
        if end - start < 2 {
            continue;
        }
        let side = (ring[start], ring[end % ring.len()]);
        let (index, distance) = farthest(ring, start + 1..end, |point| to_side(point, side));
        if distance > tolerance {
            stays[index] = true;
            parts.extend([(start, index), (index, end)]);
        }
    }
    if stays.iter().filter(|&&stays| stays).count() < 3 {
        let side = (ring[0], ring[opposite]);
        let rest = (1..ring.len()).filter(|&index| index != opposite);
        let (index, _) = farthest(ring, rest, |point| to_side(point, side));
        stays[index] = true;
    }
    let kept = ring.iter().zip(stays).filter(|(_, stays)| *stays);
    Ok(kept.map(|(point, _)| *point).collect())
}

/// The first of the points that are farthest, and how far it is.
fn farthest(
    ring: &[Point],
    among: impl IntoIterator<Item = usize>,
    distance: impl Fn(Point) -> f64,
) -> (usize, f64) {
    let mut best = (0, f64::NEG_INFINITY);
    for index in among {
        let distance = distance(ring[index]);
        if distance > best.1 {
            best = (index, distance);
        }
    }
    best
}

/// The distance from a point to the nearest point of a side.
fn to_side(point: Point, (from, to): (Point, Point)) -> f64 {
    let along = Point::new(to.x - from.x, to.y - from.y);
    let squared = along.x * along.x + along.y * along.y;
    if squared == 0.0 {
        return length(from, point);
    }
    let share = ((point.x - from.x) * along.x + (point.y - from.y) * along.y) / squared;
    let share = share.clamp(0.0, 1.0);
    let nearest = Point::new(from.x + share * along.x, from.y + share * along.y);
    length(point, nearest)
}

fn length(from: Point, to: Point) -> f64 {
    (to.x - from.x).hypot(to.y - from.y)
}
