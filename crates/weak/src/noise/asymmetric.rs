//! Asymmetric (class-dependent) label noise by a transition matrix, with exact counts.
//!
//! ```text
//! T[c, d]        = probability that an item of class c is labelled d; rows sum to 1
//! changed[c, d]  = items of c · T[c, d], to whole numbers by largest remainder within row c
//! ```
//!
//! Class-conditional noise after Patrini et al., *Making deep neural networks robust to label
//! noise: a loss correction approach*, CVPR 2017, arXiv:1609.03683; the pair flip is the one of
//! Han et al., *Co-teaching*, NeurIPS 2018, arXiv:1804.06872. Which items of a class change is
//! random, how many is not.

use ndarray::{Array2, ArrayView2};
use rand_chacha::ChaCha8Rng;

use super::{
    NoiseError, Noisy, ROW_SUM_TOLERANCE, by_class, check_classes, check_labels, check_rate,
    largest_remainder, sample_front,
};

/// Changes labels by a transition matrix, \[truth, given\].
///
/// # Errors
/// A matrix that is not square over the classes, has an entry outside 0 to 1 (or NaN), or a row
/// that does not sum to 1 within 1e-6; fewer than two classes; a label outside them.
pub fn asymmetric(
    labels: &[usize],
    transition: ArrayView2<f64>,
    rng: &mut ChaCha8Rng,
) -> Result<Noisy, NoiseError> {
    check_transition(transition)?;
    let classes = transition.nrows();
    check_labels(labels, classes)?;
    let mut noisy = labels.to_vec();
    for (class, mut items) in by_class(labels, classes).into_iter().enumerate() {
        let counts = largest_remainder(items.len(), &transition.row(class).to_vec());
        let all = items.len();
        sample_front(&mut items, all, rng);
        let mut rest = items.as_slice();
        for (given, &count) in counts.iter().enumerate() {
            let (changed, later) = rest.split_at(count);
            for &item in changed {
                noisy[item] = given;
            }
            rest = later;
        }
    }
    Ok(Noisy::new(labels, noisy))
}

fn check_transition(transition: ArrayView2<f64>) -> Result<(), NoiseError> {
    let (rows, columns) = transition.dim();
    if rows != columns {
        return Err(NoiseError::Shape {
            what: "transition matrix",
            found: vec![rows, columns],
            expected: vec![rows, rows],
        });
    }
    check_classes(rows)?;
    for (from, row) in transition.rows().into_iter().enumerate() {
        for (to, &value) in row.iter().enumerate() {
            if !(0.0..=1.0).contains(&value) {
                return Err(NoiseError::Transition { from, to, value });
            }
        }
        let sum = row.sum();
        if (sum - 1.0).abs() > ROW_SUM_TOLERANCE {
            return Err(NoiseError::RowSum { from, sum });
        }
    }
    Ok(())
}

/// Matrix of uniform noise: a share `rate` of every class, spread evenly over the other classes.
///
/// # Errors
/// A rate outside 0 to 1; fewer than two classes.
pub fn symmetric(classes: usize, rate: f64) -> Result<Array2<f64>, NoiseError> {
    check_rate(rate)?;
    check_classes(classes)?;
    let other = rate / (classes as f64 - 1.0);
    Ok(Array2::from_shape_fn((classes, classes), |(from, to)| {
        if from == to { 1.0 - rate } else { other }
    }))
}

/// Matrix of pair flips: a share `rate` of every class goes to the next one, and of the last to
/// the first.
///
/// # Errors
/// A rate outside 0 to 1; fewer than two classes.
pub fn pair_flip(classes: usize, rate: f64) -> Result<Array2<f64>, NoiseError> {
    check_classes(classes)?;
    let flips: Vec<_> = (0..classes)
        .map(|class| (class, (class + 1) % classes, rate))
        .collect();
    between(classes, &flips)
}

/// Matrix of named flips `(from, to, rate)`; all other labels stay. For mutual confusion of two
/// classes give both directions. Rates of the same pair add up.
///
/// # Errors
/// A rate outside 0 to 1, or rates from one class that sum to more than 1; a flip of a class to
/// itself or outside the classes; fewer than two classes.
pub fn between(classes: usize, flips: &[(usize, usize, f64)]) -> Result<Array2<f64>, NoiseError> {
    check_classes(classes)?;
    let mut matrix = Array2::eye(classes);
    for &(from, to, rate) in flips {
        check_rate(rate)?;
        if from == to || from >= classes || to >= classes {
            return Err(NoiseError::Flip { from, to, classes });
        }
        matrix[[from, to]] += rate;
        matrix[[from, from]] -= rate;
    }
    for from in 0..classes {
        let stays: f64 = matrix[[from, from]];
        if stays < -ROW_SUM_TOLERANCE {
            return Err(NoiseError::Rate { rate: 1.0 - stays });
        }
        // 1 - 0.7 - 0.3 leaves a trace below zero.
        matrix[[from, from]] = stays.max(0.0);
    }
    Ok(matrix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use rand::SeedableRng;

    #[test]
    fn counts_are_exact_per_class() {
        let labels: Vec<usize> = (0..70).map(|item| usize::from(item >= 20)).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let matrix = between(3, &[(0, 1, 0.25), (1, 2, 0.1), (1, 0, 0.3)]).unwrap();
        let noisy = asymmetric(&labels, matrix.view(), &mut rng).unwrap();
        let realised = noisy.realised(3).unwrap();
        assert_eq!(realised.row(0).to_vec(), [0.75, 0.25, 0.0]);
        assert_eq!(realised.row(1).to_vec(), [0.3, 0.6, 0.1]);
    }

    #[test]
    fn ready_made_matrices() {
        assert_eq!(
            pair_flip(3, 0.5).unwrap(),
            array![[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5]]
        );
        assert_eq!(
            symmetric(3, 0.5).unwrap(),
            array![[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]
        );
        let all = between(2, &[(0, 1, 0.7), (0, 1, 0.3)]).unwrap();
        assert!((0.0..1e-12).contains(&all[[0, 0]]));
    }

    #[test]
    fn bad_matrices_are_refused() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut message = |matrix: Array2<f64>| {
            let result = asymmetric(&[0, 1], matrix.view(), &mut rng);
            result.unwrap_err().to_string()
        };
        assert_eq!(
            message(array![[0.5, 0.4], [0.0, 1.0]]),
            "transitions from class 0 sum to 0.9, but every row must sum to 1"
        );
        assert_eq!(
            message(array![[1.0, 0.0], [f64::NAN, 1.0]]),
            "transition from class 1 to class 0 is NaN, but must be from 0 to 1"
        );
        assert_eq!(
            message(array![[1.5, -0.5], [0.0, 1.0]]),
            "transition from class 0 to class 0 is 1.5, but must be from 0 to 1"
        );
        assert_eq!(
            message(array![[1.0, 0.0]]),
            "transition matrix: the shape is [1, 2], but [1, 1] is needed"
        );
        assert_eq!(
            message(array![[1.0]]),
            "there are 1 classes, but wrong labels need at least two"
        );
        let flip = between(2, &[(1, 1, 0.2)]).unwrap_err().to_string();
        assert!(flip.starts_with("no flip from class 1 to class 1"));
        let twice = between(2, &[(0, 1, 0.7), (0, 1, 0.7)]).unwrap_err();
        assert_eq!(twice, NoiseError::Rate { rate: 1.4 });
    }
}
