//! Duplicates: items that are the same, or nearly so, and what is wrong about them.
//!
//! Exact duplicates share a content hash. Near duplicates follow the rule of cleanlab 2.9: item j,
//! one of the k nearest neighbours of i, is a near duplicate if
//!
//! ```text
//! d(i, j) < threshold · max(median over all items of the distance to the nearest other, 10⁻⁶)
//! ```
//!
//! with a threshold of 0.13 and k of 10 by default. Sets are the connected components of these
//! pairs. A set is worth a look when its labels differ (at least one is wrong) or when it lies on
//! both sides of a split or in several cases (the test data is not unseen).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::AuditError;
use crate::neighbours::Neighbours;
use crate::outliers::quantile;

/// Default share of the median distance below which two items are near duplicates.
pub const DEFAULT_THRESHOLD: f64 = 0.13;

const SMALLEST_MEDIAN: f64 = 1e-6;

/// Items that are (nearly) the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DuplicateSet {
    /// Two or more items, ascending.
    pub items: Vec<usize>,
    /// They do not all have the same label.
    pub labels_differ: bool,
    /// They do not all belong to the same group (split, case or slide).
    pub crosses_groups: bool,
}

/// Near duplicates and how unique each item is.
#[derive(Debug, Clone, PartialEq)]
pub struct NearDuplicates {
    /// The sets, in order of their first item.
    pub sets: Vec<DuplicateSet>,
    /// The distance below which two items count as near duplicates.
    pub radius: f64,
    /// 1 − exp(−d / median) with d the distance to the nearest other item; 0 for a duplicate.
    pub uniqueness: Vec<f64>,
}

/// What duplicates are checked against; either may be missing, and an unlabelled item has no
/// label that could differ.
#[derive(Debug, Clone, Copy, Default)]
pub struct DuplicateContext<'a> {
    /// Label per item.
    pub labels: Option<&'a [Option<usize>]>,
    /// Group (split, case or slide) per item.
    pub groups: Option<&'a [usize]>,
}

impl DuplicateContext<'_> {
    fn check(&self, items: usize) -> Result<(), AuditError> {
        let lengths = [
            ("the list of labels", self.labels.map(<[_]>::len)),
            ("the list of groups", self.groups.map(<[_]>::len)),
        ];
        for (what, found) in lengths {
            if let Some(found) = found.filter(|&found| found != items) {
                return Err(AuditError::Length {
                    what,
                    expected: items,
                    found,
                });
            }
        }
        Ok(())
    }

    fn describe(&self, items: Vec<usize>) -> DuplicateSet {
        let labels: Vec<usize> = self.labels.map_or_else(Vec::new, |labels| {
            items.iter().filter_map(|&item| labels[item]).collect()
        });
        let groups: Vec<usize> = self.groups.map_or_else(Vec::new, |groups| {
            items.iter().map(|&item| groups[item]).collect()
        });
        let differ = |values: &[usize]| values.windows(2).any(|pair| pair[0] != pair[1]);
        DuplicateSet {
            labels_differ: differ(&labels),
            crosses_groups: differ(&groups),
            items,
        }
    }
}

/// Sets of items with equal content hashes, in order of their first item.
///
/// # Errors
/// Labels or groups of another length.
pub fn exact_duplicates<H: Ord>(
    hashes: &[H],
    context: &DuplicateContext<'_>,
) -> Result<Vec<DuplicateSet>, AuditError> {
    context.check(hashes.len())?;
    let mut by_hash: BTreeMap<&H, Vec<usize>> = BTreeMap::new();
    for (item, hash) in hashes.iter().enumerate() {
        by_hash.entry(hash).or_default().push(item);
    }
    let mut sets: Vec<Vec<usize>> = by_hash
        .into_values()
        .filter(|items| items.len() > 1)
        .collect();
    sets.sort_unstable();
    Ok(sets
        .into_iter()
        .map(|items| context.describe(items))
        .collect())
}

/// Sets of near duplicates among items with their nearest neighbours.
///
/// # Errors
/// No items, no neighbours, a negative threshold, or labels or groups of another length.
pub fn near_duplicates(
    neighbours: &Neighbours,
    threshold: f64,
    context: &DuplicateContext<'_>,
) -> Result<NearDuplicates, AuditError> {
    if neighbours.rows() == 0 {
        return Err(AuditError::Empty { what: "items" });
    }
    neighbours.require(1)?;
    context.check(neighbours.rows())?;
    if !(threshold >= 0.0 && threshold.is_finite()) {
        return Err(AuditError::Option {
            option: "the duplicate threshold",
            value: threshold.to_string(),
            expected: "0 or more",
        });
    }
    let nearest = neighbours.distances.column(0).to_vec();
    let median = quantile(&nearest, 0.5).max(SMALLEST_MEDIAN);
    let radius = threshold * median;
    let mut components = Components::new(neighbours.rows());
    for ((item, rank), &distance) in neighbours.distances.indexed_iter() {
        if distance < radius {
            components.join(item, neighbours.indices[[item, rank]]);
        }
    }
    let sets = components.into_sets();
    Ok(NearDuplicates {
        sets: sets
            .into_iter()
            .map(|items| context.describe(items))
            .collect(),
        radius,
        uniqueness: nearest
            .iter()
            // As NumPy's isclose, which cleanlab asks whether the distance is 0.
            .map(|&distance| match distance <= 1e-8 {
                true => 0.0,
                false => 1.0 - (-distance / median).exp(),
            })
            .collect(),
    })
}

/// Union of sets, each named by its first item.
struct Components {
    parents: Vec<usize>,
}

impl Components {
    fn new(items: usize) -> Self {
        Self {
            parents: (0..items).collect(),
        }
    }

    fn root(&mut self, mut item: usize) -> usize {
        while self.parents[item] != item {
            self.parents[item] = self.parents[self.parents[item]];
            item = self.parents[item];
        }
        item
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b)] = a.min(b);
    }

    /// Sets of two or more, in order of their first item.
    fn into_sets(mut self) -> Vec<Vec<usize>> {
        let mut sets: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for item in 0..self.parents.len() {
            let root = self.root(item);
            sets.entry(root).or_default().push(item);
        }
        sets.into_values().filter(|set| set.len() > 1).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Metric, nearest_neighbours};
    use ndarray::Array2;

    #[test]
    fn equal_hashes_make_sets_and_their_labels_and_groups_are_compared() {
        let context = DuplicateContext {
            labels: Some(&[Some(0), Some(1), Some(0), None, Some(1)]),
            groups: Some(&[0, 0, 0, 7, 1]),
        };
        let sets = exact_duplicates(&["b", "a", "b", "a", "c"], &context).unwrap();
        let set = |items: &[usize], crosses_groups| DuplicateSet {
            items: items.to_vec(),
            labels_differ: false,
            crosses_groups,
        };
        assert_eq!(sets, [set(&[0, 2], false), set(&[1, 3], true)]);
        let sets = exact_duplicates(&[1, 2, 3, 4, 1], &context).unwrap();
        assert!(sets[0].labels_differ && sets[0].crosses_groups);
        assert_eq!(
            exact_duplicates(&[1], &context).unwrap_err().to_string(),
            "the list of labels has 5 entries, but there are 1 items"
        );
    }

    #[test]
    fn chains_of_near_duplicates_make_one_set() {
        let line = [
            0.0f32, 0.01, 0.02, 5.0, 6.0, 7.0, 8.5, 9.5, 9.5, 20.0, 21.0, 22.0, 23.0,
        ];
        let features = Array2::from_shape_vec((13, 1), line.to_vec()).unwrap();
        let neighbours = nearest_neighbours(features.view(), 2, Metric::Euclidean).unwrap();
        let found = near_duplicates(&neighbours, 0.13, &DuplicateContext::default()).unwrap();
        // The median distance to the nearest other is 1.
        assert_eq!(found.radius, 0.13);
        let items: Vec<Vec<usize>> = found.sets.into_iter().map(|set| set.items).collect();
        assert_eq!(items, [vec![0, 1, 2], vec![7, 8]]);
        assert_eq!(found.uniqueness[8], 0.0);
        assert!(near_duplicates(&neighbours, -1.0, &DuplicateContext::default()).is_err());
    }
}
