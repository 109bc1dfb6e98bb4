//! Exact nearest neighbours of embeddings, by brute force in blocks.
//!
//! ```text
//! Euclidean: d(x, y) = √Σ(x_c − y_c)²        cosine: d(x, y) = ½‖x/‖x‖ − y/‖y‖‖² = 1 − cos(x, y)
//! ```
//!
//! Neighbours come in order of distance; equal distances in order of index (the lowest first).
//! The answer is that of comparing all pairs in 64-bit arithmetic, whatever the number of threads:
//! products of 32-bit blocks only rule pairs out, and only where the bound of their rounding error
//! (γ_n of Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., 3.1) allows it;
//! what remains is measured again in 64 bits. Every pair is multiplied once. Identical rows are
//! compared as one. Beyond the embeddings, memory holds a few blocks per thread and at most
//! `1.5 k + 8` candidates of 32 bytes per row.
//!
//! scikit-learn's `NearestNeighbors(algorithm="brute")` gives the same neighbours, except that it
//! leaves the order of equal distances open and, for the Euclidean distance, lets identical rows
//! be up to 10⁻³ apart.

mod candidates;
mod space;
mod tiles;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::AuditError;
use space::Space;

/// How far apart two embeddings are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// 1 − cosine of the angle, from 0 to 2; the default, as for embeddings in cleanlab.
    #[default]
    Cosine,
    /// Length of the difference.
    Euclidean,
}

/// The nearest neighbours of every row, nearest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    /// Rows of the reference, `[rows, k]`.
    pub indices: Array2<usize>,
    /// Their distances, `[rows, k]`.
    pub distances: Array2<f64>,
}

impl Neighbours {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.indices.nrows()
    }

    /// Number of neighbours per row.
    pub fn k(&self) -> usize {
        self.indices.ncols()
    }

    /// The nearest `k` of a row's neighbours that are of another group, fewer where there are fewer.
    pub fn of_other_groups<'a>(
        &'a self,
        row: usize,
        groups: &'a [usize],
        k: usize,
    ) -> impl Iterator<Item = usize> + 'a {
        let others = self.indices.row(row).into_iter().copied();
        others
            .filter(move |&other| groups[other] != groups[row])
            .take(k)
    }

    /// Refuses fewer neighbours per row than needed.
    pub(crate) fn require(&self, k: usize) -> Result<(), AuditError> {
        check_k(k, self.k())
    }

    fn from_lists(lists: Vec<Vec<(f64, usize)>>, k: usize) -> Self {
        let rows = lists.len();
        Self {
            indices: Array2::from_shape_fn((rows, k), |(row, rank)| lists[row][rank].1),
            distances: Array2::from_shape_fn((rows, k), |(row, rank)| lists[row][rank].0),
        }
    }
}

/// The `k` nearest other rows of every row of `features`, `[items, features]`.
///
/// A row is never its own neighbour; its duplicates are, at distance 0.
///
/// # Errors
/// Not enough rows for `k`, `k` of 0, NaN or infinite features, or (cosine) a row of zeros.
pub fn nearest_neighbours(
    features: ArrayView2<'_, f32>,
    k: usize,
    metric: Metric,
) -> Result<Neighbours, AuditError> {
    if features.nrows() == 0 {
        return Err(AuditError::Empty { what: "items" });
    }
    check_k(k, features.nrows() - 1)?;
    let space = Space::new(features, metric)?;
    let others = k.min(space.points() - 1);
    let candidates = tiles::among_themselves(&space, others);
    let lists: Vec<Vec<(f64, usize)>> = candidates
        .into_par_iter()
        .enumerate()
        .map(|(point, candidates)| {
            let others = candidates.into_distances(|other| space.measure(point, other));
            let own = std::iter::once((0.0, point));
            space.nearest_rows(own.chain(others), k + 1)
        })
        .collect();
    let lists = (0..features.nrows())
        .into_par_iter()
        .map(|row| {
            let nearest = lists[space.point_of(row)].iter().copied();
            nearest.filter(|&(_, other)| other != row).take(k).collect()
        })
        .collect();
    Ok(Neighbours::from_lists(lists, k))
}

/// The `k` nearest rows of `reference` for every row of `queries`, both `[rows, features]`.
///
/// # Errors
/// Not enough reference rows for `k`, `k` of 0, different numbers of features, NaN or infinite
/// features, or (cosine) a row of zeros.
pub fn nearest_neighbours_of(
    queries: ArrayView2<'_, f32>,
    reference: ArrayView2<'_, f32>,
    k: usize,
    metric: Metric,
) -> Result<Neighbours, AuditError> {
    if queries.ncols() != reference.ncols() {
        return Err(AuditError::FeatureCount {
            queries: queries.ncols(),
            reference: reference.ncols(),
        });
    }
    check_k(k, reference.nrows())?;
    let space = Space::new(reference, metric)?;
    let queries = space.with_queries(queries)?;
    let candidates = tiles::against(&queries, &space, k.min(space.points()));
    let lists = candidates
        .into_par_iter()
        .enumerate()
        .map(|(query, candidates)| {
            let others = candidates.into_distances(|other| queries.measure(query, &space, other));
            space.nearest_rows(others.into_iter(), k)
        })
        .collect();
    Ok(Neighbours::from_lists(lists, k))
}

fn check_k(k: usize, available: usize) -> Result<(), AuditError> {
    if k == 0 {
        return Err(AuditError::Option {
            option: "the number of neighbours",
            value: "0".to_owned(),
            expected: "at least 1",
        });
    }
    if k > available {
        return Err(AuditError::TooManyNeighbours { k, available });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array, s};
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn all_pairs(
        queries: ArrayView2<'_, f32>,
        reference: ArrayView2<'_, f32>,
        k: usize,
        metric: Metric,
        without_self: bool,
    ) -> Neighbours {
        let unit = |row: ndarray::ArrayView1<'_, f32>| {
            let row = row.mapv(f64::from);
            match metric {
                Metric::Cosine => &row / row.dot(&row).sqrt(),
                Metric::Euclidean => row,
            }
        };
        let reference: Vec<_> = reference.rows().into_iter().map(unit).collect();
        let lists = (0..queries.nrows())
            .map(|query| {
                let own = unit(queries.row(query));
                let mut others: Vec<(f64, usize)> = (0..reference.len())
                    .filter(|&other| !without_self || other != query)
                    .map(|other| {
                        let pairs = own.iter().zip(&reference[other]);
                        let square: f64 = pairs.map(|(a, b)| (a - b) * (a - b)).sum();
                        match metric {
                            Metric::Cosine => (square / 2.0, other),
                            Metric::Euclidean => (square.sqrt(), other),
                        }
                    })
                    .collect();
                others.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                others
            })
            .collect();
        Neighbours::from_lists(lists, k)
    }

    fn random(rows: usize, columns: usize, seed: u64) -> Array2<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Array2::from_shape_simple_fn((rows, columns), || rng.random_range(-1.0..1.0))
    }

    fn assert_same(found: &Neighbours, expected: &Neighbours) {
        assert_eq!(found.indices, expected.indices);
        for (found, expected) in found.distances.iter().zip(&expected.distances) {
            // Both in 64 bits, with sums in another order.
            assert!(
                (found - expected).abs() <= 1e-12 * (1.0 + expected),
                "{found} {expected}"
            );
        }
    }

    #[test]
    fn blocks_give_what_all_pairs_give() {
        for metric in [Metric::Cosine, Metric::Euclidean] {
            // More than one tall block, and blocks that are not full.
            for (rows, columns, k) in [(2700, 7, 3), (600, 33, 51), (40, 2, 39)] {
                let features = random(rows, columns, 1);
                assert_same(
                    &nearest_neighbours(features.view(), k, metric).unwrap(),
                    &all_pairs(features.view(), features.view(), k, metric, true),
                );
                let queries = random(90, columns, 2);
                assert_same(
                    &nearest_neighbours_of(queries.view(), features.view(), k, metric).unwrap(),
                    &all_pairs(queries.view(), features.view(), k, metric, false),
                );
            }
        }
    }

    #[test]
    fn what_32_bits_cannot_tell_apart_is_still_told_apart() {
        // A line of points far from the origin, closer together than 32-bit products can resolve.
        let line = Array2::from_shape_fn((1500, 3), |(row, column)| {
            1000.0 + (row as f32) * 0.000_1 * (column + 1) as f32
        });
        for metric in [Metric::Cosine, Metric::Euclidean] {
            assert_same(
                &nearest_neighbours(line.view(), 4, metric).unwrap(),
                &all_pairs(line.view(), line.view(), 4, metric, true),
            );
        }
        // Everything at exactly the same angle: only the order of the rows decides.
        let ray = Array2::from_shape_fn((200, 2), |(row, _)| ((row as f32) - 100.0).exp2());
        let neighbours = nearest_neighbours(ray.view(), 3, Metric::Cosine).unwrap();
        assert_eq!(neighbours.indices.row(150).to_vec(), [0, 1, 2]);
        assert_eq!(neighbours.indices.row(1).to_vec(), [0, 2, 3]);
    }

    #[test]
    fn identical_rows_are_neighbours_at_distance_zero_in_order_of_index() {
        let mut features = random(2000, 16, 3);
        for row in (0..2000).step_by(2) {
            features.slice_mut(s![row, ..]).fill(0.25);
        }
        for metric in [Metric::Cosine, Metric::Euclidean] {
            let neighbours = nearest_neighbours(features.view(), 4, metric).unwrap();
            assert_eq!(neighbours.indices.row(0).to_vec(), [2, 4, 6, 8]);
            assert_eq!(neighbours.indices.row(4).to_vec(), [0, 2, 6, 8]);
            assert_eq!(neighbours.indices.row(1998).to_vec(), [0, 2, 4, 6]);
            assert!(
                neighbours
                    .distances
                    .row(1998)
                    .iter()
                    .all(|&distance| distance == 0.0)
            );
            assert_same(
                &neighbours,
                &all_pairs(features.view(), features.view(), 4, metric, true),
            );
        }
    }

    #[test]
    fn extreme_numbers_and_column_order_do_not_matter() {
        let features = array![[3e38f32, 0.0], [-3e38, 0.0], [0.0, 3e38], [2.9e38, 1e30]];
        let neighbours = nearest_neighbours(features.view(), 1, Metric::Euclidean).unwrap();
        assert_eq!(neighbours.indices.column(0).to_vec(), [3, 2, 3, 0]);
        let tiny = &features * 1e-38 * 1e-6;
        let neighbours = nearest_neighbours(tiny.view(), 1, Metric::Euclidean).unwrap();
        assert_eq!(neighbours.indices.column(0).to_vec(), [3, 2, 3, 0]);
        let columns_first = features.t().as_standard_layout().into_owned();
        assert_same(
            &nearest_neighbours(columns_first.t(), 2, Metric::Cosine).unwrap(),
            &nearest_neighbours(features.view(), 2, Metric::Cosine).unwrap(),
        );
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let features = random(2100, 5, 4);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| nearest_neighbours(features.view(), 5, Metric::Euclidean).unwrap())
        };
        assert_eq!(with(1), with(4));
    }

    proptest! {
        #[test]
        fn grids_full_of_ties_follow_the_tie_rule(
            cells in prop::collection::vec(-3i8..4, 3 * 40),
            k in 1usize..39,
        ) {
            let features = Array2::from_shape_vec((40, 3), cells).unwrap().mapv(f32::from);
            let found = nearest_neighbours(features.view(), k, Metric::Euclidean).unwrap();
            let expected =
                all_pairs(features.view(), features.view(), k, Metric::Euclidean, true);
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn bad_input_is_named() {
        let message = |features: Array2<f32>, k, metric| {
            nearest_neighbours(features.view(), k, metric)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            message(array![[1.0], [2.0]], 2, Metric::Cosine),
            "2 nearest neighbours were asked for, but only 1 other items exist"
        );
        assert_eq!(
            message(array![[1.0], [2.0]], 0, Metric::Cosine),
            "the number of neighbours is 0, but must be at least 1"
        );
        assert_eq!(
            message(array![[1.0], [f32::NAN]], 1, Metric::Cosine),
            "feature 0 of row 1 is NaN: embeddings must be finite"
        );
        assert_eq!(
            message(array![[1.0], [0.0]], 1, Metric::Cosine),
            "row 1 is all zeros, so it has no direction: use the Euclidean distance or leave the row out"
        );
        assert_eq!(
            nearest_neighbours_of(
                array![[1.0]].view(),
                array![[1.0, 2.0]].view(),
                1,
                Metric::Cosine
            )
            .unwrap_err()
            .to_string(),
            "queries have 1 features, but the reference has 2"
        );
    }
}
