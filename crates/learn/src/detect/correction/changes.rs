//! What a correction did to each box.

use cleanslide_data::{Object, Rectangle};
use cleanslide_eval::matching::box_pairs;

use super::CorrectedBox;
use crate::correction::{self, Change};

/// What became of one box.
pub type BoxChange = Change<Object<Rectangle>, CorrectedBox>;

/// What became of each box of an image: first the given ones, in their order, then the added ones. Boxes are of the same
/// object if their intersection over union is above 0.5, and the same box if it is above 0.9.
pub fn changes(given: &[Object<Rectangle>], corrected: &[CorrectedBox]) -> Vec<BoxChange> {
    let given_shapes: Vec<Rectangle> = given.iter().map(|object| object.shape).collect();
    let found_shapes: Vec<Rectangle> = corrected.iter().map(|found| found.shape).collect();
    let pairs = box_pairs(&given_shapes, &found_shapes);
    correction::changes(given, corrected, pairs, |given, found| {
        given.class == found.class
    })
}

#[cfg(test)]
mod tests {
    use cleanslide_data::Trust;

    use super::*;
    use crate::correction::ChangeCounts;

    fn rectangle(left: f64, width: f64) -> Rectangle {
        Rectangle::new(left, 0.0, left + width, 10.0).unwrap()
    }

    fn object(left: f64, width: f64, class: usize) -> Object<Rectangle> {
        Object {
            shape: rectangle(left, width),
            class,
            trust: Trust::FULL,
        }
    }

    fn found(left: f64, width: f64, class: usize) -> CorrectedBox {
        CorrectedBox {
            shape: rectangle(left, width),
            class,
            score: 0.5,
            views: 3,
        }
    }

    #[test]
    fn each_box_has_one_fate() {
        let given = [
            object(0.0, 10.0, 0),
            object(20.0, 10.0, 0),
            object(40.0, 10.0, 0),
            object(60.0, 10.0, 0),
        ];
        let corrected = [
            found(80.0, 10.0, 0),
            found(21.0, 10.0, 0),
            found(0.0, 10.0, 0),
            // The class differs.
            found(60.0, 10.0, 1),
            // Overlaps the second given box, which another one overlaps more.
            found(22.0, 10.0, 0),
        ];
        let expected = vec![
            Change::Kept(given[0].clone(), corrected[2]),
            Change::Redrawn(given[1].clone(), corrected[1]),
            Change::Dropped(given[2].clone()),
            Change::Redrawn(given[3].clone(), corrected[3]),
            Change::Added(corrected[0]),
            Change::Added(corrected[4]),
        ];
        assert_eq!(changes(&given, &corrected), expected);
        let counts: ChangeCounts = expected.iter().collect();
        assert_eq!(
            [counts.kept, counts.redrawn, counts.added, counts.dropped],
            [1, 2, 2, 1]
        );
        assert_eq!(changes(&[], &[]), []);
        assert_eq!(changes(&[], &corrected[..1]), [Change::Added(corrected[0])]);
    }
}
