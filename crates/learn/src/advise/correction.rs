//! Skill against the truth, estimated from labels of which some are wrong.
//!
//! Where whether a label is wrong depends on its true class alone, and the model did not see the label,
//!
//! ```text
//! N[j, p] = P(predicted p | given j)    V[j, i] = P(true i | given j)    C[i, p] = P(predicted p | true i)
//!
//! N = V C        so        balanced accuracy = trace(C) / K = trace(V⁻¹ N) / K
//! ```
//!
//! Of two classes, with a = V[0, 1] and b = V[1, 0], this is
//!
//! ```text
//! trace(N) / 2 − ½ = (1 − a − b) (trace(C) / 2 − ½)
//! ```
//!
//! whatever the direction of the noise: the order of methods by balanced accuracy against the given labels is that
//! against the truth, and only differences shrink (Menon et al., "Learning from Corrupted Binary Labels via
//! Class-Probability Estimation", ICML 2015; theirs is the balanced error). Of more classes it is so for noise that is
//! the same between all, and else V changes the order too.

use ndarray::{Array2, ArrayView2};

/// By how much an error of N may grow, in the norm of the greatest sum of a row, before nothing is corrected.
const HIGHEST_CONDITION: f64 = 5.0;

/// The estimated noise, undone.
#[derive(Debug, Clone, PartialEq)]
pub struct SkillCorrection {
    /// V⁻¹, `[true, given]`.
    inverse: Array2<f64>,
    /// Norm of V times norm of V⁻¹.
    condition: f64,
}

impl SkillCorrection {
    /// Undoes noise with `truth_of_given` `[given, true]`, P(true | given), whose rows sum to 1. `None` where the noise
    /// leaves too little to tell the truth by: V is singular, or its condition in the norm of the greatest sum of a row
    /// is above 5.
    pub fn new(truth_of_given: ArrayView2<'_, f64>) -> Option<Self> {
        let inverse = inverse(truth_of_given)?;
        let condition = norm(truth_of_given) * norm(inverse.view());
        (condition <= HIGHEST_CONDITION).then_some(Self { inverse, condition })
    }

    /// By how much an error in the predictions' agreement with the given labels may grow, at most 5.
    pub fn condition(&self) -> f64 {
        self.condition
    }

    /// Balanced accuracy against the truth, of counts `[given, predicted]`; NaN where a class has no given labels. It
    /// may lie outside of 0 to 1 where V is not what it is taken for.
    pub fn balanced_accuracy(&self, counts: ArrayView2<'_, f64>) -> f64 {
        let classes = counts.nrows();
        let mut trace = 0.0;
        for (given, row) in counts.rows().into_iter().enumerate() {
            trace += row.dot(&self.inverse.column(given)) / row.sum();
        }
        trace / classes as f64
    }
}

/// The greatest sum of absolute values in a row.
fn norm(matrix: ArrayView2<'_, f64>) -> f64 {
    let rows = matrix.rows().into_iter();
    rows.map(|row| row.mapv(f64::abs).sum()).fold(0.0, f64::max)
}

/// The inverse by elimination with the greatest pivot of each column; `None` of a singular matrix.
fn inverse(matrix: ArrayView2<'_, f64>) -> Option<Array2<f64>> {
    let size = matrix.nrows();
    let mut left = matrix.to_owned();
    let mut right = Array2::eye(size);
    for column in 0..size {
        let height = |row: &usize| left[[*row, column]].abs();
        let pivot = (column..size).max_by(|a, b| height(a).total_cmp(&height(b)))?;
        let greatest = left[[pivot, column]];
        if greatest.abs() < f64::EPSILON {
            return None;
        }
        for side in [&mut left, &mut right] {
            for place in 0..size {
                side.swap([pivot, place], [column, place]);
            }
            side.row_mut(column).mapv_inplace(|value| value / greatest);
        }
        for row in (0..size).filter(|&row| row != column) {
            let factor = left[[row, column]];
            for side in [&mut left, &mut right] {
                let pivot_row = side.row(column).to_owned();
                side.row_mut(row).scaled_add(-factor, &pivot_row);
            }
        }
    }
    Some(right)
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        truth_of_given: Vec<Vec<f64>>,
        counts: Vec<Vec<f64>>,
        condition: f64,
        balanced_accuracy: f64,
    }

    fn matrix(rows: &[Vec<f64>]) -> Array2<f64> {
        Array2::from_shape_fn((rows.len(), rows.len()), |(row, column)| rows[row][column])
    }

    #[test]
    fn corrections_equal_numpy_s() {
        let cases = include_str!("../../tests/goldens/corrected_skill.json");
        let cases: Vec<Case> = serde_json::from_str(cases).unwrap();
        assert_eq!(cases.len(), 40);
        let mut refused = 0;
        for case in cases {
            let Some(correction) = SkillCorrection::new(matrix(&case.truth_of_given).view()) else {
                assert!(case.condition > HIGHEST_CONDITION);
                refused += 1;
                continue;
            };
            // Both are a few hundred operations of a condition of at most 5.
            assert!((correction.condition() - case.condition).abs() < 1e-12);
            let found = correction.balanced_accuracy(matrix(&case.counts).view());
            assert!((found - case.balanced_accuracy).abs() < 1e-12, "{found}");
        }
        assert!((1..40).contains(&refused), "{refused}");
    }

    #[test]
    fn by_hand() {
        // Of 100 true 0 and 100 true 1, a fifth has the other label, so a = b = 0.2. A model that is right in 90 and 70
        // agrees with 0.8 · 90 + 0.2 · 30 = 78 of the 100 labels 0, and with 0.8 · 70 + 0.2 · 10 = 58 of the labels 1.
        let correction = SkillCorrection::new(array![[0.8, 0.2], [0.2, 0.8]].view()).unwrap();
        let counts = array![[78.0, 22.0], [42.0, 58.0]];
        let found = correction.balanced_accuracy(counts.view());
        assert!((found - 0.8).abs() < 1e-12, "{found}");
        // V⁻¹ = [[4, −1], [−1, 4]] / 3.
        assert!((correction.condition() - 5.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn noise_that_leaves_nothing_is_not_undone() {
        for rate in [0.5, 0.45] {
            let noise = array![[1.0 - rate, rate], [rate, 1.0 - rate]];
            assert_eq!(SkillCorrection::new(noise.view()), None);
        }
        // A class that nobody gave.
        assert_eq!(
            SkillCorrection::new(array![[1.0, 0.0], [0.0, 0.0]].view()),
            None
        );
    }

    #[test]
    fn simulated_labels_give_the_skill_that_they_hide() {
        let prior = [0.5, 0.3, 0.2];
        let transition = [[0.8, 0.2, 0.0], [0.1, 0.7, 0.2], [0.0, 0.1, 0.9]];
        let skill = [[0.9, 0.05, 0.05], [0.2, 0.6, 0.2], [0.1, 0.2, 0.7]];
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut draw = |shares: &[f64; 3]| {
            let mut left: f64 = rng.random_range(0.0..1.0);
            let found = shares.iter().position(|share| {
                left -= share;
                left < 0.0
            });
            found.unwrap_or(2)
        };
        let items = 60_000;
        let mut counts = Array2::zeros((3, 3));
        for _ in 0..items {
            let truth = draw(&prior);
            counts[[draw(&transition[truth]), draw(&skill[truth])]] += 1.0;
        }
        let joint = Array2::from_shape_fn((3, 3), |(j, i)| prior[i] * transition[i][j]);
        let given = joint
            .sum_axis(ndarray::Axis(1))
            .insert_axis(ndarray::Axis(1));
        let correction = SkillCorrection::new((&joint / &given).view()).unwrap();
        let found = correction.balanced_accuracy(counts.view());
        // A share of at least 10,000 labels has a standard error below 0.005; the mean of three, grown by the condition
        // of at most 5, one below 5 · 0.005 / √3 = 0.0145. Twice that leaves no doubt of the uncorrected 0.65.
        let naive: f64 = (0..3).map(|j| counts[[j, j]] / counts.row(j).sum()).sum();
        assert!((found - (0.9 + 0.6 + 0.7) / 3.0).abs() < 0.03, "{found}");
        assert!((naive / 3.0 - 2.2 / 3.0).abs() > 0.06, "{naive}");
    }

    proptest! {
        #[test]
        fn what_noise_did_is_undone(
            skill in prop::collection::vec(0.01f64..1.0, 9),
            noise in prop::collection::vec(0.0f64..0.15, 9),
        ) {
            let mut skill = Array2::from_shape_vec((3, 3), skill).unwrap();
            for mut row in skill.rows_mut() {
                let sum = row.sum();
                row.mapv_inplace(|value| value / sum);
            }
            let mut noise = Array2::from_shape_vec((3, 3), noise).unwrap();
            for row in 0..3 {
                noise[[row, row]] = 0.0;
                noise[[row, row]] = 1.0 - noise.row(row).sum();
            }
            let correction = SkillCorrection::new(noise.view()).unwrap();
            let found = correction.balanced_accuracy(noise.dot(&skill).view());
            prop_assert!((found - skill.diag().sum() / 3.0).abs() < 1e-12);
        }

        #[test]
        fn of_two_classes_the_order_of_methods_stays(
            recalls in prop::array::uniform4(0.0f64..1.0),
            a in 0.0f64..0.45,
            b in 0.0f64..0.45,
        ) {
            let noise = array![[1.0 - a, a], [b, 1.0 - b]];
            let agreement = |zero: f64, one: f64| {
                noise.dot(&array![[zero, 1.0 - zero], [1.0 - one, one]]).diag().sum() / 2.0
            };
            let [zero, one, other_zero, other_one] = recalls;
            let shrunken = agreement(zero, one) - agreement(other_zero, other_one);
            let gain = (zero + one - other_zero - other_one) / 2.0;
            prop_assert!((shrunken - (1.0 - a - b) * gain).abs() < 1e-12);
        }
    }
}
