//! What a correction did to each box.

use cleanslide_data::{Object, Rectangle};
use cleanslide_eval::matching::{Pair, box_pairs};

use super::CorrectedBox;

/// Boxes that overlap by more are of the same object.
const SAME_OBJECT: f64 = 0.5;
/// Boxes that overlap by more are the same box.
const SAME_BOX: f64 = 0.9;

/// What became of one box.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The given box is there still, give or take a tenth.
    Kept(Object<Rectangle>, CorrectedBox),
    /// The same object has another box or another class.
    Redrawn(Object<Rectangle>, CorrectedBox),
    /// Nobody had marked it.
    Added(CorrectedBox),
    /// Nothing was found in its place.
    Dropped(Object<Rectangle>),
}

/// How many boxes became what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChangeCounts {
    /// [`Change::Kept`].
    pub kept: usize,
    /// [`Change::Redrawn`].
    pub redrawn: usize,
    /// [`Change::Added`].
    pub added: usize,
    /// [`Change::Dropped`].
    pub dropped: usize,
}

impl<'a> FromIterator<&'a Change> for ChangeCounts {
    fn from_iter<I: IntoIterator<Item = &'a Change>>(changes: I) -> Self {
        let mut counts = Self::default();
        for change in changes {
            *match change {
                Change::Kept(..) => &mut counts.kept,
                Change::Redrawn(..) => &mut counts.redrawn,
                Change::Added(_) => &mut counts.added,
                Change::Dropped(_) => &mut counts.dropped,
            } += 1;
        }
        counts
    }
}

/// What became of each box of an image: first the given ones, in their order, then the added ones. Pairs of boxes are
/// of the same object if their intersection over union is above 0.5; those with the largest one are matched first, of
/// equals those of the same class, then in their order.
pub fn changes(given: &[Object<Rectangle>], corrected: &[CorrectedBox]) -> Vec<Change> {
    let given_shapes: Vec<Rectangle> = given.iter().map(|object| object.shape).collect();
    let found_shapes: Vec<Rectangle> = corrected.iter().map(|found| found.shape).collect();
    let mut pairs = box_pairs(&given_shapes, &found_shapes);
    pairs.retain(|pair| pair.iou > SAME_OBJECT);
    // `match_objects` knows no classes. A stable sort: of equals the first come first.
    let same_class = |pair: &Pair| given[pair.truth].class == corrected[pair.predicted].class;
    pairs.sort_by(|one, other| {
        (other.iou.total_cmp(&one.iou)).then(same_class(other).cmp(&same_class(one)))
    });
    let mut of_given: Vec<Option<Pair>> = vec![None; given.len()];
    let mut taken = vec![false; corrected.len()];
    for pair in pairs {
        if of_given[pair.truth].is_none() && !taken[pair.predicted] {
            of_given[pair.truth] = Some(pair);
            taken[pair.predicted] = true;
        }
    }
    let of_given = given.iter().zip(of_given).map(|(object, matched)| {
        let Some(pair) = matched else {
            return Change::Dropped(object.clone());
        };
        let found = corrected[pair.predicted];
        if pair.iou > SAME_BOX && same_class(&pair) {
            Change::Kept(object.clone(), found)
        } else {
            Change::Redrawn(object.clone(), found)
        }
    });
    let added = corrected.iter().zip(&taken).filter(|(_, taken)| !**taken);
    of_given
        .chain(added.map(|(found, _)| Change::Added(*found)))
        .collect()
}

#[cfg(test)]
mod tests {
    use cleanslide_data::Trust;

    use super::*;

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
