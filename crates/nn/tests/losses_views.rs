//! Losses of views of the same items against lightly and PyTorch (`oracles/losses_views.py`).
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use burn::tensor::Tensor;
use cleanslide_nn::losses::{BarlowTwins, Dino, InfoNce, NtXent};
use common::{assert_close, device, matrix, values, vector};
use serde::Deserialize;

/// Goldens are in f64, we compute in f32. Scores are divided by at least 0.04 and are below 1, so that a relative error of
/// 6e-8 becomes one of some 1e-6 in an exponent; sums over a few items add as much again.
const TOLERANCE: f64 = 1e-5;

type Rows = Vec<Vec<f64>>;

#[derive(Deserialize)]
struct Golden {
    info_nce: Vec<Case>,
    barlow_twins: Vec<Case>,
    dino: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    views: Vec<Rows>,
    loss: f64,
    gradients: Vec<Rows>,
    #[serde(default)]
    temperature: f64,
    #[serde(default)]
    redundancy: f64,
    #[serde(default)]
    temperatures: [f64; 2],
    #[serde(default)]
    teacher: Vec<Rows>,
    #[serde(default)]
    centre: Vec<f64>,
    #[serde(default)]
    moved: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("goldens/losses_views.json")).unwrap()
}

impl Case {
    fn check(&self, what: &str, loss: impl Fn(&[Tensor<2>]) -> Tensor<1>) {
        let views: Vec<Tensor<2>> = self
            .views
            .iter()
            .map(|rows| matrix(rows).require_grad())
            .collect();
        let loss = loss(&views);
        assert_close(what, &values(loss.clone()), [self.loss], TOLERANCE);
        let gradients = loss.backward();
        for (view, expected) in views.iter().zip(&self.gradients) {
            let ours = values(view.grad(&gradients).unwrap());
            assert_close(what, &ours, expected.iter().flatten().copied(), TOLERANCE);
        }
    }
}

#[test]
fn info_nce_is_pytorchs() {
    for case in golden().info_nce {
        let loss = InfoNce {
            temperature: case.temperature,
        };
        case.check("InfoNCE", |views| {
            loss.loss(views[0].clone(), views[1].clone())
        });
    }
}

#[test]
fn barlow_twins_is_lightlys() {
    for case in golden().barlow_twins {
        let loss = BarlowTwins {
            redundancy: case.redundancy,
        };
        case.check("Barlow Twins", |views| {
            loss.loss(views[0].clone(), views[1].clone())
        });
    }
}

#[test]
fn dino_is_lightlys() {
    for case in golden().dino {
        let [student_temperature, teacher_temperature] = case.temperatures;
        let loss = Dino {
            student_temperature,
            teacher_temperature,
        };
        let teacher: Vec<Tensor<2>> = case.teacher.iter().map(|rows| matrix(rows)).collect();
        let centre = vector(&case.centre);
        case.check("DINO", |views| loss.loss(views, &teacher, centre.clone()));
        let moved = Dino::moved(centre, &teacher);
        assert_close("centre", &values(moved), case.moved, TOLERANCE);
    }
}

/// Of views that say nothing every loss has the value that its formula gives for it.
#[test]
fn views_of_nothing_have_the_loss_of_chance() {
    let same = || Tensor::<2>::ones([4, 3], &device());
    let chance = |what: &str, loss: Tensor<1>, expected: f64| {
        assert_close(what, &values(loss), [expected], TOLERANCE);
    };
    chance(
        "NT-Xent",
        NtXent::default().loss(same(), same(), Tensor::ones([4], &device())),
        7f64.ln(),
    );
    chance(
        "InfoNCE",
        InfoNce::default().loss(same(), same()),
        4f64.ln(),
    );
    // Features that do not vary correlate with nothing, not even with themselves.
    chance(
        "Barlow Twins",
        BarlowTwins::default().loss(same(), same()),
        3.0,
    );
    let scores = [same(), same()];
    let centre = Tensor::zeros([3], &device());
    chance(
        "DINO",
        Dino::default().loss(&scores, &scores, centre),
        3f64.ln(),
    );
}
