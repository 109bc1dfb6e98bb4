//! What a correction did to each label.

use cleanslide_eval::matching::Pair;

/// Objects that overlap by more are the same.
const SAME_OBJECT: f64 = 0.5;
/// Objects that overlap by more have the same shape.
const SAME_SHAPE: f64 = 0.9;

/// What became of one object, given as `G` and corrected to `C`.
#[derive(Debug, Clone, PartialEq)]
pub enum Change<G, C> {
    /// The given object is there still, give or take a tenth.
    Kept(G, C),
    /// The same object has another shape or another class.
    Redrawn(G, C),
    /// Nobody had marked it.
    Added(C),
    /// Nothing was found in its place.
    Dropped(G),
}

/// How many objects became what.
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

impl<'a, G: 'a, C: 'a> FromIterator<&'a Change<G, C>> for ChangeCounts {
    fn from_iter<I: IntoIterator<Item = &'a Change<G, C>>>(changes: I) -> Self {
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

impl std::iter::Sum for ChangeCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, of| Self {
            kept: sum.kept + of.kept,
            redrawn: sum.redrawn + of.redrawn,
            added: sum.added + of.added,
            dropped: sum.dropped + of.dropped,
        })
    }
}

/// What became of each object of an image: first the given ones, in their order, then the added ones. `pairs` are
/// those that overlap; they are the same object if their intersection over union is above 0.5. Those with the largest
/// one are matched first, of equals those of the same class, then in their order.
pub(crate) fn changes<G: Clone, C: Clone>(
    given: &[G],
    corrected: &[C],
    mut pairs: Vec<Pair>,
    same_class: impl Fn(&G, &C) -> bool,
) -> Vec<Change<G, C>> {
    pairs.retain(|pair| pair.iou > SAME_OBJECT);
    // `match_objects` knows no classes. A stable sort: of equals the first come first.
    let same_class = |pair: &Pair| same_class(&given[pair.truth], &corrected[pair.predicted]);
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
        let found = corrected[pair.predicted].clone();
        if pair.iou > SAME_SHAPE && same_class(&pair) {
            Change::Kept(object.clone(), found)
        } else {
            Change::Redrawn(object.clone(), found)
        }
    });
    let added = corrected.iter().zip(&taken).filter(|(_, taken)| !**taken);
    of_given
        .chain(added.map(|(found, _)| Change::Added(found.clone())))
        .collect()
}
