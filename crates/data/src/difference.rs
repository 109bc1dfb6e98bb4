//! What changed from one set of labels to another.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::evidence::Evidence;
use crate::labels::Labels;

/// How many pieces of evidence changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Only in the new labels.
    pub added: usize,
    /// Only in the old labels.
    pub removed: usize,
    /// In both, with another target or trust.
    pub changed: usize,
    /// The same in both.
    pub unchanged: usize,
}

/// One change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change<'a> {
    /// Only in the new labels.
    Added(&'a Evidence),
    /// Only in the old labels.
    Removed(&'a Evidence),
    /// The same source speaks about the same scope, but says something else: old, new.
    Changed(&'a Evidence, &'a Evidence),
}

/// All changes from `old` to `new`, sorted by [`Evidence::key`], and their counts.
pub fn difference<'a>(old: &'a Labels, new: &'a Labels) -> (Vec<Change<'a>>, Counts) {
    let (mut a, mut b) = (old.evidence(), new.evidence());
    let (mut changes, mut counts) = (Vec::new(), Counts::default());
    loop {
        let order = match (a.first(), b.first()) {
            (None, None) => return (changes, counts),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => left.key().cmp(&right.key()),
        };
        match order {
            Ordering::Less => {
                changes.push(Change::Removed(&a[0]));
                counts.removed += 1;
                a = &a[1..];
            }
            Ordering::Greater => {
                changes.push(Change::Added(&b[0]));
                counts.added += 1;
                b = &b[1..];
            }
            Ordering::Equal => {
                if same(&a[0], &b[0]) {
                    counts.unchanged += 1;
                } else {
                    changes.push(Change::Changed(&a[0], &b[0]));
                    counts.changed += 1;
                }
                (a, b) = (&a[1..], &b[1..]);
            }
        }
    }
}

/// Equal but for where a mask lies: its hash decides.
pub(crate) fn same(a: &Evidence, b: &Evidence) -> bool {
    use crate::evidence::Target::{Dense, Instances, Partial};
    a.trust == b.trust
        && match (&a.target, &b.target) {
            (Dense(x), Dense(y)) | (Partial(x), Partial(y)) => x.hash == y.hash,
            (
                Instances {
                    mask: x,
                    classes: p,
                },
                Instances {
                    mask: y,
                    classes: q,
                },
            ) => x.hash == y.hash && p == q,
            (x, y) => x == y,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classes::Classes;

    #[test]
    fn changes_are_found_by_source_and_scope() {
        let classes = Classes::new(vec!["a".into(), "b".into()]).unwrap();
        let labels = |pieces: &[(&str, usize)]| {
            let evidence = pieces
                .iter()
                .map(|&(id, class)| Evidence::class("x", id, class))
                .collect();
            Labels::new(evidence, &classes).unwrap()
        };
        let (old, new) = (
            labels(&[("1", 0), ("2", 0), ("3", 1)]),
            labels(&[("2", 1), ("3", 1), ("4", 0)]),
        );
        let (changes, counts) = difference(&old, &new);
        assert_eq!(
            counts,
            Counts {
                added: 1,
                removed: 1,
                changed: 1,
                unchanged: 1
            }
        );
        assert!(matches!(changes[0], Change::Removed(piece) if piece.scope.item() == "1"));
        assert!(matches!(changes[1], Change::Changed(..)));
        assert!(matches!(changes[2], Change::Added(piece) if piece.scope.item() == "4"));
    }
}
