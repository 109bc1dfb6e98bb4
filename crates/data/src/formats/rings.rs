//! Which rings are holes of which, for formats that do not say.

use crate::geometry::{Point, Polygon, Rectangle, sides, signed_area};

/// Polygons of rings that may lie in each other: a ring in an even number of others is an outline,
/// otherwise a hole of the innermost outline around it. A ring lies in another, which is
/// larger, if most of its points do. Outlines keep their order.
pub(super) fn nest(rings: Vec<Vec<Point>>) -> Vec<Polygon> {
    let areas: Vec<f64> = rings.iter().map(|ring| signed_area(ring).abs()).collect();
    let bounds: Vec<Option<Rectangle>> = rings
        .iter()
        .map(|ring| Rectangle::around(ring.iter().copied()))
        .collect();
    let mut largest_first: Vec<usize> = (0..rings.len()).collect();
    largest_first.sort_by(|&a, &b| areas[b].total_cmp(&areas[a]));
    // The outline that each ring belongs to, and in how many others it lies.
    let mut depth = vec![0_usize; rings.len()];
    let mut host: Vec<Option<usize>> = vec![None; rings.len()];
    for (rank, &inner) in largest_first.iter().enumerate() {
        for &outer in &largest_first[..rank] {
            let apart = match (&bounds[inner], &bounds[outer]) {
                (Some(inner), Some(outer)) => inner.overlap(outer) == 0.0,
                _ => true,
            };
            if !apart && mostly_inside(&rings[inner], &rings[outer]) {
                depth[inner] += 1;
                if depth[outer].is_multiple_of(2) {
                    host[inner] = Some(outer);
                }
            }
        }
    }
    let mut polygons: Vec<Option<Polygon>> = vec![None; rings.len()];
    let mut holes = Vec::new();
    for (index, ring) in rings.into_iter().enumerate() {
        if depth[index].is_multiple_of(2) {
            polygons[index] = Some(Polygon {
                outline: ring,
                holes: Vec::new(),
            });
        } else {
            holes.push((host[index], ring));
        }
    }
    for (host, ring) in holes {
        if let Some(polygon) = host.and_then(|host| polygons[host].as_mut()) {
            polygon.holes.push(ring);
        }
    }
    polygons.into_iter().flatten().collect()
}

/// True if more than half of a ring's points are inside another.
pub(super) fn mostly_inside(inner: &[Point], outer: &[Point]) -> bool {
    let inside = inner
        .iter()
        .filter(|&&point| contains(outer, point))
        .count();
    2 * inside > inner.len()
}

/// Even–odd rule; points on a side may count either way.
fn contains(ring: &[Point], point: Point) -> bool {
    let crossed = sides(ring).filter(|(from, to)| {
        (from.y > point.y) != (to.y > point.y)
            && point.x < from.x + (point.y - from.y) / (to.y - from.y) * (to.x - from.x)
    });
    crossed.count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(from: f64, to: f64) -> Vec<Point> {
        let square = Rectangle {
            left: from,
            top: from,
            right: to,
            bottom: to,
        };
        square.corners().to_vec()
    }

    #[test]
    fn an_island_in_a_hole_is_a_polygon_of_its_own() {
        let [island, hole, outline] = [square(4.0, 5.0), square(2.0, 8.0), square(0.0, 9.0)];
        let beside = square(20.0, 21.0);
        let rings = vec![
            island.clone(),
            hole.clone(),
            outline.clone(),
            beside.clone(),
        ];
        let simple = |outline| Polygon {
            outline,
            holes: Vec::new(),
        };
        let ring = Polygon {
            outline,
            holes: vec![hole],
        };
        assert_eq!(nest(rings), [simple(island), ring, simple(beside)]);
        assert_eq!(nest(Vec::new()), []);
    }
}
