//! What methods are worth on mixtures of Gaussians, whose truth is known.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use cleanslide_learn::classify::{Classifier, Examples, TrainSettings};
use cleanslide_learn::cross_validation::Folds;
use cleanslide_learn::methods::{Context, MethodSettings};
use cleanslide_nn::heads::HeadKind;
use ndarray::{Array2, ArrayView2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

const CLASSES: usize = 3;
const FEATURES: usize = 16;
const SEEDS: u64 = 4;

/// Draws items of three spherical Gaussians at distance 4 from each other (Bayes accuracy 0.96).
fn mixture(items: usize, rng: &mut ChaCha8Rng) -> (Array2<f32>, Vec<usize>) {
    let labels: Vec<usize> = (0..items).map(|i| i % CLASSES).collect();
    let features = Array2::from_shape_fn((items, FEATURES), |(i, j)| {
        let centre = if j == labels[i] {
            4.0 / 2f32.sqrt()
        } else {
            0.0
        };
        centre + rng.sample::<f32, _>(StandardNormal)
    });
    (features, labels)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Noise {
    None,
    /// To any other class alike.
    Uniform,
    /// To the next class.
    Asymmetric,
}

/// Labels of which 40 % are wrong.
fn noisy(labels: &[usize], noise: Noise, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut flip = |&label: &usize| match noise {
        Noise::None => label,
        _ if !rng.random_bool(0.4) => label,
        Noise::Uniform => (label + rng.random_range(1..CLASSES)) % CLASSES,
        Noise::Asymmetric => (label + 1) % CLASSES,
    };
    labels.iter().map(&mut flip).collect()
}

fn one_hot(labels: &[usize]) -> Array2<f32> {
    Array2::from_shape_fn((labels.len(), CLASSES), |(i, k)| {
        f32::from(u8::from(labels[i] == k))
    })
}

fn names() -> Vec<String> {
    ["a", "b", "c"].map(str::to_owned).to_vec()
}

fn accuracy(probabilities: ArrayView2<f32>, labels: &[usize]) -> f64 {
    let predicted = probabilities
        .rows()
        .into_iter()
        .map(|row| (1..CLASSES).fold(0, |best, k| if row[k] > row[best] { k } else { best }));
    predicted.zip(labels).filter(|(p, l)| p == *l).count() as f64 / labels.len() as f64
}

/// Accuracy on clean test items after training on 360 noisy ones.
fn trial(method: &MethodSettings, train: &TrainSettings, noise: Noise, seed: u64) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (features, truth) = mixture(360, &mut rng);
    let (test, test_truth) = mixture(1500, &mut rng);
    let targets = one_hot(&noisy(&truth, noise, &mut rng));
    let weights = vec![1.0; truth.len()];
    let examples = Examples::new(features.view(), targets, weights).unwrap();
    let folds: Vec<usize> = (0..examples.len()).map(|i| i / CLASSES % 4).collect();
    let groups: Vec<usize> = (0..examples.len()).collect();
    let folds = Folds::new(&folds, &groups).unwrap();
    let train = TrainSettings {
        seed,
        ..train.clone()
    };
    let needs = method.needs();
    let context =
        Context::estimate(&needs, &train, &examples, &names(), &folds, &|_, _| ()).unwrap();
    let classifier = Classifier {
        method: method.clone(),
        train,
    };
    let fitted = classifier
        .fit(&examples, &names(), &context, None, &|_| ())
        .unwrap();
    accuracy(fitted.predict(test.view()).unwrap().view(), &test_truth)
}

/// Mean accuracy over seeds.
fn mean(method: &MethodSettings, train: &TrainSettings, noise: Noise) -> f64 {
    let trials = (0..SEEDS)
        .into_par_iter()
        .map(|seed| trial(method, train, noise, seed));
    trials.sum::<f64>() / SEEDS as f64
}

/// A perceptron with room to learn every wrong label by heart.
fn memoriser() -> TrainSettings {
    TrainSettings {
        head: HeadKind::Mlp,
        learning_rate: 3e-3,
        epochs: 80,
        batch_size: 90,
        l2: 0.0,
        ..TrainSettings::default()
    }
}

fn linear() -> TrainSettings {
    TrainSettings {
        learning_rate: 0.03,
        epochs: 60,
        batch_size: 90,
        ..TrainSettings::default()
    }
}

#[test]
fn table() {
    for (name, train) in [("linear", linear()), ("mlp", memoriser())] {
        for method in MethodSettings::all() {
            let row: Vec<String> = [Noise::None, Noise::Uniform, Noise::Asymmetric]
                .iter()
                .map(|&noise| format!("{:.3}", mean(&method, &train, noise)))
                .collect();
            println!("{name:6} {:14} {}", method.name(), row.join("  "));
        }
    }
}
