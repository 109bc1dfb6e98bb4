//! Losses of contrast against pytorch-metric-learning, and against PyTorch where nothing is published
//! (`oracles/losses_contrast.py`).
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use burn::tensor::Tensor;
use cleanslide_nn::losses::{
    NtXent, PrototypeContrast, Prototypes, SupervisedContrastive, Unlabelled,
};
use common::{assert_close, device, gradient, matrix, values, vector};
use serde::Deserialize;

/// Goldens are in f64, we compute in f32. Similarities are divided by at least 0.07, so that a relative error of 1e-7
/// becomes one of 1.5e-6; sums over a few items and the lengths of features add as much again.
const TOLERANCE: f64 = 1e-5;

type Rows = Vec<Vec<f64>>;

#[derive(Deserialize)]
struct Golden {
    nt_xent: Vec<Views>,
    supervised: Vec<Supervised>,
    prototypes: Steps,
}

#[derive(Deserialize)]
struct Views {
    temperature: f64,
    views: [Rows; 2],
    weights: Vec<f64>,
    loss: f64,
    gradients: [Rows; 2],
}

#[derive(Deserialize)]
struct Supervised {
    temperature: f64,
    unlabelled: String,
    features: Rows,
    targets: Rows,
    weights: Vec<f64>,
    loss: f64,
    gradient: Rows,
}

#[derive(Deserialize)]
struct Steps {
    momentum: f64,
    temperature: f64,
    margin: f64,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    features: Rows,
    targets: Rows,
    clean: Vec<f64>,
    noisy: Vec<f64>,
    means: [Rows; 2],
    seen: [Vec<bool>; 2],
    loss: f64,
    gradient: Rows,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("goldens/losses_contrast.json")).unwrap()
}

fn flat(rows: &Rows) -> impl Iterator<Item = f64> {
    rows.iter().flatten().copied()
}

impl Supervised {
    fn loss(&self) -> SupervisedContrastive {
        SupervisedContrastive {
            temperature: self.temperature,
            unlabelled: match self.unlabelled.as_str() {
                "negative" => Unlabelled::Negative,
                _ => Unlabelled::Absent,
            },
        }
    }

    fn of(&self, features: Tensor<2>) -> Tensor<1> {
        self.loss()
            .loss(features, matrix(&self.targets), vector(&self.weights))
    }
}

#[test]
fn nt_xent_is_the_package_s() {
    for case in golden().nt_xent {
        let views = case
            .views
            .each_ref()
            .map(|rows| matrix(rows).require_grad());
        let loss = NtXent {
            temperature: case.temperature,
        };
        let value = loss.loss(views[0].clone(), views[1].clone(), vector(&case.weights));
        assert_close("loss", &values(value.clone()), [case.loss], TOLERANCE);
        let gradients = value.backward();
        for (view, expected) in views.iter().zip(&case.gradients) {
            let ours = values(view.grad(&gradients).unwrap());
            assert_close("gradient", &ours, flat(expected), TOLERANCE);
        }
    }
}

#[test]
fn the_supervised_loss_is_the_package_s() {
    for case in golden().supervised {
        let features = matrix(&case.features).require_grad();
        let value = case.of(features.clone());
        let what = &case.unlabelled;
        assert_close(what, &values(value.clone()), [case.loss], TOLERANCE);
        let ours = gradient(&value, &features);
        assert_close(what, &ours, flat(&case.gradient), TOLERANCE);
    }
}

#[test]
fn prototypes_move_and_part_features_as_defined() {
    let golden = golden().prototypes;
    let classes = golden.steps[0].targets[0].len();
    let mut banks = [(); 2].map(|()| {
        Prototypes::new(
            classes,
            golden.steps[0].features[0].len(),
            &device().inner(),
        )
    });
    let loss = PrototypeContrast {
        temperature: golden.temperature,
        margin: golden.margin,
    };
    for step in &golden.steps {
        let features = matrix(&step.features).require_grad();
        let weights = [&step.clean, &step.noisy].map(|weights| vector(weights));
        let mut moved = banks
            .into_iter()
            .zip(weights.clone())
            .map(|(bank, weights)| {
                bank.moved(
                    golden.momentum,
                    features.clone(),
                    matrix(&step.targets),
                    weights,
                )
            });
        banks = [moved.next().unwrap(), moved.next().unwrap()];
        for ((bank, means), seen) in banks.iter().zip(&step.means).zip(&step.seen) {
            assert_close("means", &values(bank.means.clone()), flat(means), TOLERANCE);
            let ours: Vec<bool> = bank.seen.clone().into_data().iter::<bool>().collect();
            assert_eq!(&ours, seen);
        }
        let [clean, noisy] = &banks;
        let value = loss.loss(
            [clean, noisy],
            features.clone(),
            matrix(&step.targets),
            weights,
        );
        assert_close("loss", &values(value.clone()), [step.loss], TOLERANCE);
        let ours = gradient(&value, &features);
        assert_close("gradient", &ours, flat(&step.gradient), TOLERANCE);
        assert!(ours.iter().any(|g| g.abs() > 1e-3), "it moves the features");
    }
}

/// The gradient is the slope of the loss that is computed, found without automatic differentiation.
#[test]
fn gradients_are_slopes() {
    let golden = golden();
    let case = &golden.supervised[2];
    assert_slopes(&case.features, |features| case.of(features));

    let case = &golden.nt_xent[0];
    let second = matrix(&case.views[1]);
    assert_slopes(&case.views[0], |first| {
        NtXent::default().loss(first, second.clone(), vector(&case.weights))
    });

    let step = &golden.prototypes.steps[2];
    let banks = [0, 1].map(|bank| Prototypes {
        means: matrix(&step.means[bank]),
        seen: Tensor::from_bool(step.seen[bank].as_slice(), &device()),
    });
    assert_slopes(&step.features, |features| {
        PrototypeContrast::default().loss(
            [&banks[0], &banks[1]],
            features,
            matrix(&step.targets),
            [vector(&step.clean), vector(&step.noisy)],
        )
    });
}

fn assert_slopes(features: &Rows, loss: impl Fn(Tensor<2>) -> Tensor<1>) {
    // The loss, of the size of 1, is rounded to 1e-7, which makes the slope uncertain by 1e-7 / STEP; its curve adds
    // the third derivative times STEP² / 6.
    const STEP: f64 = 5e-3;
    let tensor = matrix(features).require_grad();
    let ours = gradient(&loss(tensor.clone()), &tensor);
    assert!(ours.iter().any(|g| g.abs() > 0.01));
    let width = features[0].len();
    for (place, &slope) in ours.iter().enumerate() {
        let at = |step: f64| {
            let mut features = features.clone();
            features[place / width][place % width] += step;
            f64::from(values(loss(matrix(&features)))[0])
        };
        let found = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        assert!(
            (f64::from(slope) - found).abs() < 1e-3,
            "{slope} against {found}"
        );
    }
}

#[test]
fn absent_items_may_be_infinite_and_nothing_learns_from_nothing() {
    let golden = golden();
    let case = &golden.supervised[0];
    let (mut features, mut nothing) = (case.features.clone(), case.weights.clone());
    nothing.fill(0.0);
    features[2] = vec![f64::INFINITY; features[2].len()];
    let features = matrix(&features).require_grad();
    let value = case.of(features.clone());
    assert_close("loss", &values(value.clone()), [case.loss], TOLERANCE);
    let ours = gradient(&value, &features);
    assert_close("gradient", &ours, flat(&case.gradient), TOLERANCE);

    let targets = matrix(&case.targets);
    let bank = Prototypes::new(targets.dims()[1], features.dims()[1], &device());
    let bank = bank.moved(
        0.9,
        features.clone(),
        targets.clone(),
        vector(&case.weights),
    );
    assert!(
        values(bank.means.clone())
            .iter()
            .all(|mean| mean.is_finite())
    );
    for value in [
        case.loss()
            .loss(features.clone(), targets.clone(), vector(&nothing)),
        NtXent::default().loss(features.clone(), features.clone(), vector(&nothing)),
        PrototypeContrast::default().loss(
            [&bank, &bank],
            features.clone(),
            targets,
            [vector(&nothing), vector(&nothing)],
        ),
    ] {
        assert_eq!(values(value.clone()), [0.0]);
        assert!(gradient(&value, &features).iter().all(|&g| g == 0.0));
    }
}

#[test]
fn lengths_of_features_do_not_count_and_those_without_direction_learn_nothing() {
    let golden = golden();
    let case = &golden.supervised[0];
    let longer: Rows = case
        .features
        .iter()
        .enumerate()
        .map(|(item, row)| row.iter().map(|v| v * (1.0 + item as f64)).collect())
        .collect();
    assert_close(
        "longer",
        &values(case.of(matrix(&longer))),
        [case.loss],
        TOLERANCE,
    );

    let mut dark = case.features.clone();
    dark[0].fill(0.0);
    let features = matrix(&dark).require_grad();
    let value = case.of(features.clone());
    let ours = gradient(&value, &features);
    assert!(values(value)[0].is_finite() && ours.iter().all(|g| g.is_finite()));
    assert_eq!(ours[..dark[0].len()], [0.0; 5]);
}

/// With one direction per class the loss is its least: log(1 + negatives · exp(-1/T)).
#[test]
fn what_is_told_apart_completely_costs_least() {
    let axis = |k: usize| {
        (0..4)
            .map(|j| f64::from(u8::from(j == k)))
            .collect::<Vec<_>>()
    };
    let features = matrix(&[axis(0), axis(0), axis(1), axis(1)]);
    let targets = matrix(&[axis(0), axis(0), axis(1), axis(1)]);
    let ones = vector(&[1.0; 4]);
    let least = (1.0 + 2.0 * (-1.0_f64 / 0.1).exp()).ln();
    let loss =
        SupervisedContrastive::default().loss(features.clone(), targets.clone(), ones.clone());
    assert_close("supervised", &values(loss), [least], 1e-6);

    let bank = Prototypes::new(4, 4, &device()).moved(
        0.9,
        features.clone(),
        targets.clone(),
        ones.clone(),
    );
    let nobody = Prototypes::new(4, 4, &device());
    let none = vector(&[0.0; 4]);
    let contrast = PrototypeContrast::default();
    let clean = contrast.loss(
        [&bank, &nobody],
        features.clone(),
        targets.clone(),
        [ones.clone(), none.clone()],
    );
    let least = (1.0 + (-1.0_f64 / 0.1).exp()).ln();
    assert_close("clean", &values(clean), [least], 1e-6);
    // Called wrong, an item at its prototype costs all but the margin.
    let noisy = contrast.loss([&bank, &nobody], features, targets, [none, ones]);
    assert_close("noisy", &values(noisy), [0.8], 1e-6);
}
