//! What must hold for every injector, on any input: counts are exact, a changed label is wrong, an
//! unchanged one is right, the record rebuilds the truth, and the same seed gives the same noise.
#![allow(clippy::unwrap_used)]

use cleanslide_weak::noise::{
    Noisy, Selection, Uniform, asymmetric, between, instance_dependent, symmetric, uniform,
};
use ndarray::Array2;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Labels with their number of classes.
fn labels() -> impl Strategy<Value = (Vec<usize>, usize)> {
    (2usize..6).prop_flat_map(|classes| (prop::collection::vec(0..classes, 0..120), Just(classes)))
}

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn sound(truth: &[usize], noisy: &Noisy, classes: usize) {
    assert_eq!(noisy.truth(), truth);
    assert!(noisy.labels.iter().all(|&label| label < classes));
    let wrong: Vec<usize> = (0..truth.len())
        .filter(|&item| truth[item] != noisy.labels[item])
        .collect();
    let recorded: Vec<usize> = noisy.changes.iter().map(|change| change.item).collect();
    assert_eq!(recorded, wrong);
    for change in &noisy.changes {
        assert_eq!(change.truth, truth[change.item]);
        assert_eq!(change.given, noisy.labels[change.item]);
    }
}

proptest! {
    #[test]
    fn uniform_is_exact((truth, classes) in labels(), rate in 0.0..=1.0f64, seed: u64) {
        let wanted = (rate * truth.len() as f64).round() as usize;
        for spread in [Uniform::Anywhere, Uniform::PerClass] {
            let noisy = uniform(&truth, classes, rate, spread, &mut rng(seed)).unwrap();
            sound(&truth, &noisy, classes);
            prop_assert_eq!(noisy.changes.len(), wanted);
            let again = uniform(&truth, classes, rate, spread, &mut rng(seed)).unwrap();
            prop_assert_eq!(&again, &noisy);
        }
        // Per class: within one of the exact share.
        let noisy = uniform(&truth, classes, rate, Uniform::PerClass, &mut rng(seed)).unwrap();
        for class in 0..classes {
            let items = truth.iter().filter(|&&label| label == class).count() as f64;
            let changed = noisy.changes.iter().filter(|change| change.truth == class).count();
            // One more: the total itself is rounded by up to half an item.
            prop_assert!((changed as f64 - rate * items).abs() < 1.5 + 1e-6);
        }
    }

    #[test]
    fn asymmetric_counts_are_within_one_of_the_matrix(
        (truth, classes) in labels(),
        weights in prop::collection::vec(0.0..1.0f64, 36),
        seed: u64,
    ) {
        let mut matrix = Array2::from_shape_fn((classes, classes), |(i, j)| {
            weights[i * classes + j] + 1e-3
        });
        for mut row in matrix.rows_mut() {
            let sum = row.sum();
            row /= sum;
        }
        let noisy = asymmetric(&truth, matrix.view(), &mut rng(seed)).unwrap();
        sound(&truth, &noisy, classes);
        prop_assert_eq!(&asymmetric(&truth, matrix.view(), &mut rng(seed)).unwrap(), &noisy);
        let realised = noisy.realised(classes).unwrap();
        for class in 0..classes {
            let items = truth.iter().filter(|&&label| label == class).count() as f64;
            if items == 0.0 {
                prop_assert!(realised.row(class).iter().all(|share| share.is_nan()));
                continue;
            }
            for given in 0..classes {
                let off = (realised[[class, given]] - matrix[[class, given]]) * items;
                prop_assert!(off.abs() < 1.0 + 1e-6);
            }
        }
    }

    #[test]
    fn instance_dependent_is_exact(
        (truth, classes) in labels(),
        rate in 0.0..=1.0f64,
        raw in prop::collection::vec(0.001..1.0f64, 120),
        seed: u64,
    ) {
        let difficulty = &raw[..truth.len()];
        let wanted = (rate * truth.len() as f64).round() as usize;
        for selection in [Selection::Weighted, Selection::Hardest] {
            let run = || {
                let mut rng = rng(seed);
                instance_dependent(&truth, classes, rate, difficulty, None, selection, &mut rng)
                    .unwrap()
            };
            let noisy = run();
            sound(&truth, &noisy, classes);
            prop_assert_eq!(noisy.changes.len(), wanted);
            prop_assert_eq!(&run(), &noisy);
            if selection == Selection::Hardest {
                let changed = noisy.changes.iter().map(|change| difficulty[change.item]);
                let easiest = changed.fold(f64::INFINITY, f64::min);
                let harder = difficulty.iter().filter(|&&value| value > easiest).count();
                prop_assert!(harder <= wanted);
            }
        }
    }

    #[test]
    fn ready_made_matrices_are_stochastic(classes in 2usize..9, rate in 0.0..=1.0f64) {
        let matrices = [
            symmetric(classes, rate).unwrap(),
            between(classes, &[(0, 1, rate), (1, 0, rate / 2.0)]).unwrap(),
        ];
        for matrix in matrices {
            for row in matrix.rows() {
                prop_assert!((row.sum() - 1.0).abs() < 1e-12);
                prop_assert!(row.iter().all(|&value| value >= 0.0));
            }
        }
    }
}
