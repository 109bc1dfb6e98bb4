//! What a correction did to each box.

use cleanslide_data::{Object, Rectangle};

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

/// What became of each box of an image: first the given ones, in their order, then the added ones. Pairs of boxes are
/// of the same object if their intersection over union is above 0.5; those with the largest one are matched first, of
/// equals those of the same class, then in their order.
pub fn changes(given: &[Object<Rectangle>], corrected: &[CorrectedBox]) -> Vec<Change> {
    let mut pairs: Vec<(f64, bool, usize, usize)> = Vec::new();
    for (one, object) in given.iter().enumerate() {
        for (other, found) in corrected.iter().enumerate() {
            let overlap = object.shape.iou(&found.shape);
            if overlap > SAME_OBJECT {
                pairs.push((overlap, object.class == found.class, one, other));
            }
        }
    }
    // A stable sort: of equals the first come first.
    pairs.sort_by(|one, other| (other.0.total_cmp(&one.0)).then(other.1.cmp(&one.1)));
    let mut of_given: Vec<Option<(usize, f64)>> = vec![None; given.len()];
    let mut taken = vec![false; corrected.len()];
    for (overlap, _, one, other) in pairs {
        if of_given[one].is_none() && !taken[other] {
            of_given[one] = Some((other, overlap));
            taken[other] = true;
        }
    }
    let of_given = given.iter().zip(of_given).map(|(object, matched)| {
        let Some((other, overlap)) = matched else {
            return Change::Dropped(object.clone());
        };
        let found = corrected[other];
        if overlap > SAME_BOX && object.class == found.class {
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
        assert_eq!(changes(&[], &[]), []);
        assert_eq!(changes(&[], &corrected[..1]), [Change::Added(corrected[0])]);
    }
}
