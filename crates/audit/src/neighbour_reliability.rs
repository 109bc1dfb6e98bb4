//! How far the neighbours of an item support its label.
//!
//! Di Salvo, Doerrich, Ledig: "An embedding is worth a thousand noisy labels" (WANN), TMLR 2025,
//! [arXiv:2408.14358](https://arxiv.org/abs/2408.14358):
//!
//! ```text
//! k_i = smallest odd k in 11, 13, …, 49 for which the majority of the k nearest others of item i
//!       has the label of i; 51 if there is none
//! η_i = 1 / k_i                                                     (reliability of the label)
//! ```
//!
//! Of equally frequent labels the lowest class is the majority.

use rayon::prelude::*;

use crate::AuditError;
use crate::error::count_labels;
use crate::neighbours::Neighbours;

/// The smallest neighbourhood that is tried.
pub const SMALLEST_NEIGHBOURHOOD: usize = 11;

/// The neighbourhood of a label that no smaller one supports; also how many neighbours a vote on
/// a new item may need.
pub const LARGEST_NEIGHBOURHOOD: usize = 51;

/// How far the neighbours support each label.
#[derive(Debug, Clone, PartialEq)]
pub struct NeighbourReliability {
    /// k_i: 11, 13, …, 49 or 51.
    pub neighbourhoods: Vec<usize>,
}

impl NeighbourReliability {
    /// Finds the neighbourhood of every item. Of fewer than 50 other items, as many as there are
    /// serve.
    ///
    /// # Errors
    /// Lengths that differ, labels out of range, or fewer than 11 neighbours per item.
    pub fn new(
        neighbours: &Neighbours,
        labels: &[usize],
        classes: usize,
    ) -> Result<Self, AuditError> {
        count_labels(labels, neighbours.rows(), classes)?;
        neighbours.require(SMALLEST_NEIGHBOURHOOD)?;
        let neighbourhoods = labels
            .par_iter()
            .enumerate()
            .map_init(
                || vec![0u32; classes],
                |counts, (item, &label)| {
                    counts.fill(0);
                    let nearest = neighbours.indices.row(item);
                    for (before, &other) in
                        nearest.iter().take(LARGEST_NEIGHBOURHOOD - 1).enumerate()
                    {
                        counts[labels[other]] += 1;
                        let k = before + 1;
                        if k >= SMALLEST_NEIGHBOURHOOD && k % 2 == 1 && majority(counts) == label {
                            return k;
                        }
                    }
                    LARGEST_NEIGHBOURHOOD
                },
            )
            .collect();
        Ok(Self { neighbourhoods })
    }

    /// True if no neighbourhood supports the label of the item.
    pub fn is_unsupported(&self, item: usize) -> bool {
        self.neighbourhoods[item] == LARGEST_NEIGHBOURHOOD
    }

    /// η_i = 1 / k_i, from 1/51 to 1/11; high is good.
    pub fn reliability(&self) -> Vec<f64> {
        self.neighbourhoods
            .iter()
            .map(|&k| 1.0 / k as f64)
            .collect()
    }

    /// (k_i − 11) / 40: 0 for a label that the nearest items support, 1 for one that none do.
    pub fn suspicion(&self) -> Vec<f64> {
        let range = (LARGEST_NEIGHBOURHOOD - SMALLEST_NEIGHBOURHOOD) as f64;
        self.neighbourhoods
            .iter()
            .map(|&k| (k - SMALLEST_NEIGHBOURHOOD) as f64 / range)
            .collect()
    }
}

/// What the nearest neighbours say about a label, each with one vote.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelAgreement {
    /// Share of the neighbours that have the label of the item, from 0 to 1.
    pub agreement: Vec<f64>,
    /// The most frequent label among the neighbours; the lowest of equally frequent ones.
    pub majority: Vec<usize>,
}

/// Compares each label with those of all given neighbours.
///
/// # Errors
/// Lengths that differ, labels out of range, or no neighbours.
pub fn label_agreement(
    neighbours: &Neighbours,
    labels: &[usize],
    classes: usize,
) -> Result<LabelAgreement, AuditError> {
    count_labels(labels, neighbours.rows(), classes)?;
    neighbours.require(1)?;
    let (agreement, majority) = labels
        .par_iter()
        .enumerate()
        .map_init(
            || vec![0u32; classes],
            |counts, (item, &label)| {
                counts.fill(0);
                for &other in neighbours.indices.row(item) {
                    counts[labels[other]] += 1;
                }
                let share = f64::from(counts[label]) / neighbours.k() as f64;
                (share, majority(counts))
            },
        )
        .unzip();
    Ok(LabelAgreement {
        agreement,
        majority,
    })
}

fn majority(counts: &[u32]) -> usize {
    let mut best = 0;
    for (class, count) in counts.iter().enumerate() {
        if *count > counts[best] {
            best = class;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    /// Every item has all others as neighbours, in order of index.
    fn ring(items: usize) -> Neighbours {
        Neighbours {
            indices: Array2::from_shape_fn((items, items - 1), |(item, rank)| {
                if rank < item { rank } else { rank + 1 }
            }),
            distances: Array2::zeros((items, items - 1)),
        }
    }

    #[test]
    fn the_neighbourhood_grows_until_it_supports_the_label() {
        // The first twelve say 0, all others 1.
        let labels: Vec<usize> = (0..60).map(|item| usize::from(item >= 12)).collect();
        let reliability = NeighbourReliability::new(&ring(60), &labels, 2).unwrap();
        assert_eq!(reliability.neighbourhoods[0], 11);
        // 12 of 0 against 13 of 1 make 25 the first odd k with a majority of 1.
        assert_eq!(reliability.neighbourhoods[40], 25);
        assert_eq!(reliability.suspicion()[0], 0.0);
        assert_eq!(reliability.reliability()[40], 1.0 / 25.0);
        let lonely: Vec<usize> = (0..60).map(|item| usize::from(item == 59)).collect();
        let reliability = NeighbourReliability::new(&ring(60), &lonely, 2).unwrap();
        assert_eq!(reliability.neighbourhoods[59], 51);
        assert_eq!(reliability.suspicion()[59], 1.0);
        let agreement = label_agreement(&ring(60), &lonely, 2).unwrap();
        assert_eq!((agreement.agreement[59], agreement.majority[59]), (0.0, 0));
    }

    #[test]
    fn too_few_neighbours_are_refused() {
        assert_eq!(
            NeighbourReliability::new(&ring(5), &[0, 0, 1, 1, 0], 2)
                .unwrap_err()
                .to_string(),
            "11 nearest neighbours were asked for, but only 4 other items exist"
        );
    }
}
