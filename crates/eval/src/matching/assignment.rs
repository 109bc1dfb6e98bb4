//! The heaviest one-to-one matching of a sparse bipartite graph.
//!
//! One true object after another is matched along the shortest augmenting path, found by Dijkstra's
//! algorithm with potentials that keep all lengths non-negative (H. W. Kuhn 1955,
//! doi:10.1002/nav.3800020109; R. Jonker, A. Volgenant 1987, doi:10.1007/BF02278710). An object may
//! stay alone at weight 0. Only what a path can reach is visited, so memory is that of the pairs,
//! not of their matrix.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::Pair;

/// The matching with the highest sum of IoU; with `most_pairs` the one of highest sum among those
/// with as many pairs as possible. `pairs` are in the order of the true objects.
pub(crate) fn heaviest(counts: (usize, usize), pairs: &[Pair], most_pairs: bool) -> Vec<Pair> {
    // One more pair then outweighs every sum of IoU.
    let bonus = if most_pairs {
        counts.0.min(counts.1) as f64 + 1.0
    } else {
        0.0
    };
    let mut search = Search::new(counts, pairs, bonus);
    for truth in 0..counts.0 {
        if !search.pairs_of(truth).is_empty() {
            search.augment(truth);
        }
    }
    let matched = search.matched_pair.iter().flatten();
    matched.map(|&pair| pairs[pair]).collect()
}

struct Search<'a> {
    pairs: &'a [Pair],
    bonus: f64,
    /// The pairs of true object `t` are `start[t]..start[t + 1]`.
    start: Vec<usize>,
    /// The pair that each true object is matched by.
    matched_pair: Vec<Option<usize>>,
    /// The true object that each found object is matched with.
    partner: Vec<Option<usize>>,
    /// Potentials: cost − truth − found is non-negative, and 0 for matched pairs.
    truth_potential: Vec<f64>,
    found_potential: Vec<f64>,
    /// Shortest known path to each found object, and the pair that it arrives by.
    distance: Vec<f64>,
    arrival: Vec<usize>,
    settled: Vec<bool>,
    touched: Vec<usize>,
}

/// Where a path can end.
#[derive(Clone, Copy)]
enum End {
    /// At a found object that is free.
    Found(usize),
    /// A true object gives up its partner and stays alone.
    Alone(usize),
}

impl<'a> Search<'a> {
    fn new((truths, founds): (usize, usize), pairs: &'a [Pair], bonus: f64) -> Self {
        let mut start = vec![0; truths + 1];
        for pair in pairs {
            start[pair.truth + 1] += 1;
        }
        for truth in 0..truths {
            start[truth + 1] += start[truth];
        }
        let mut search = Search {
            pairs,
            bonus,
            start,
            matched_pair: vec![None; truths],
            partner: vec![None; founds],
            truth_potential: vec![0.0; truths],
            found_potential: vec![0.0; founds],
            distance: vec![f64::INFINITY; founds],
            arrival: vec![0; founds],
            settled: vec![false; founds],
            touched: Vec::new(),
        };
        for truth in 0..truths {
            let costs = search.pairs_of(truth).map(|pair| search.cost(pair));
            search.truth_potential[truth] = costs.fold(0.0, f64::min);
        }
        search
    }

    fn pairs_of(&self, truth: usize) -> std::ops::Range<usize> {
        self.start[truth]..self.start[truth + 1]
    }

    fn cost(&self, pair: usize) -> f64 {
        -self.bonus - self.pairs[pair].iou
    }

    /// Matches one more true object along the shortest path, or leaves one alone.
    fn augment(&mut self, from: usize) {
        let mut queue = BinaryHeap::new();
        let mut best = (-self.truth_potential[from], End::Alone(from));
        self.spread(from, 0.0, &mut queue);
        let mut settled = Vec::new();
        while let Some(Nearest { distance, found }) = queue.pop() {
            if distance >= best.0 {
                break;
            }
            if self.settled[found] {
                continue;
            }
            self.settled[found] = true;
            settled.push(found);
            let Some(truth) = self.partner[found] else {
                best = (distance, End::Found(found));
                break;
            };
            let alone = distance - self.truth_potential[truth];
            if alone < best.0 {
                best = (alone, End::Alone(truth));
            }
            self.spread(truth, distance, &mut queue);
        }
        self.raise_potentials(from, &settled, best.0);
        self.follow(from, best.1);
        for found in self.touched.drain(..) {
            self.distance[found] = f64::INFINITY;
            self.settled[found] = false;
        }
    }

    /// Continues paths from a true object that is reached at `distance`.
    fn spread(&mut self, truth: usize, distance: f64, queue: &mut BinaryHeap<Nearest>) {
        for pair in self.pairs_of(truth) {
            let found = self.pairs[pair].predicted;
            let reduced =
                self.cost(pair) - self.truth_potential[truth] - self.found_potential[found];
            // Rounding alone can make it negative.
            let there = distance + reduced.max(0.0);
            if there < self.distance[found] {
                if self.distance[found] == f64::INFINITY {
                    self.touched.push(found);
                }
                self.distance[found] = there;
                self.arrival[found] = pair;
                queue.push(Nearest {
                    distance: there,
                    found,
                });
            }
        }
    }

    fn raise_potentials(&mut self, from: usize, settled: &[usize], length: f64) {
        self.truth_potential[from] += length;
        for &found in settled {
            let less = length - self.distance[found];
            self.found_potential[found] -= less;
            if let Some(truth) = self.partner[found] {
                self.truth_potential[truth] += less;
            }
        }
    }

    /// Exchanges the matched and unmatched pairs of the path that ends there.
    fn follow(&mut self, from: usize, end: End) {
        let mut found = match end {
            End::Found(found) => found,
            End::Alone(truth) if truth == from => return,
            End::Alone(truth) => match self.matched_pair[truth].take() {
                Some(pair) => self.pairs[pair].predicted,
                None => return,
            },
        };
        loop {
            let pair = self.arrival[found];
            let truth = self.pairs[pair].truth;
            self.partner[found] = Some(truth);
            let before = self.matched_pair[truth].replace(pair);
            match before {
                Some(before) if truth != from => found = self.pairs[before].predicted,
                _ => return,
            }
        }
    }
}

/// An entry of the queue: the nearest first, of equal ones the first found object.
struct Nearest {
    distance: f64,
    found: usize,
}

impl Ord for Nearest {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_distance = other.distance.total_cmp(&self.distance);
        by_distance.then(other.found.cmp(&self.found))
    }
}

impl PartialOrd for Nearest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Nearest {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Nearest {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tries every matching.
    fn exhaustive(pairs: &[Pair], used: (u32, u32)) -> (usize, f64) {
        let Some((first, rest)) = pairs.split_first() else {
            return (0, 0.0);
        };
        let without = exhaustive(rest, used);
        if used.0 >> first.truth & 1 == 1 || used.1 >> first.predicted & 1 == 1 {
            return without;
        }
        let taken = (used.0 | 1 << first.truth, used.1 | 1 << first.predicted);
        let (count, sum) = exhaustive(rest, taken);
        let with = (count + 1, sum + first.iou);
        if (with.0, with.1 + 1e-12) > without {
            with
        } else {
            without
        }
    }

    fn heaviest_sum(pairs: &[Pair], used: (u32, u32)) -> f64 {
        let Some((first, rest)) = pairs.split_first() else {
            return 0.0;
        };
        let without = heaviest_sum(rest, used);
        if used.0 >> first.truth & 1 == 1 || used.1 >> first.predicted & 1 == 1 {
            return without;
        }
        let taken = (used.0 | 1 << first.truth, used.1 | 1 << first.predicted);
        without.max(first.iou + heaviest_sum(rest, taken))
    }

    proptest! {
        #[test]
        fn no_matching_is_heavier(cells in proptest::collection::vec(0u8..12, 16)) {
            let pairs: Vec<Pair> = cells
                .iter()
                .enumerate()
                .filter(|&(_, &cell)| cell > 3)
                .map(|(at, &cell)| Pair {
                    truth: at / 4,
                    predicted: at % 4,
                    iou: f64::from(cell - 3) / 8.0,
                })
                .collect();
            for most_pairs in [true, false] {
                let found = heaviest((4, 4), &pairs, most_pairs);
                let sum: f64 = found.iter().map(|pair| pair.iou).sum();
                for (i, one) in found.iter().enumerate() {
                    let apart = |other: &Pair| {
                        one.truth != other.truth && one.predicted != other.predicted
                    };
                    prop_assert!(found[i + 1..].iter().all(apart));
                }
                if most_pairs {
                    let (count, best) = exhaustive(&pairs, (0, 0));
                    prop_assert_eq!(found.len(), count);
                    prop_assert!((sum - best).abs() < 1e-9);
                } else {
                    prop_assert!((sum - heaviest_sum(&pairs, (0, 0))).abs() < 1e-9);
                }
            }
        }
    }
}
