//! Seconds per fit of a head on embeddings of the usual size: 3,000 items of 1280 features.
//!
//! `cargo run --release -p cleanslide-learn --example fit_time`
#![expect(clippy::print_stdout, reason = "an example says what it found")]

use std::time::Instant;

use cleanslide_learn::classify::{Classifier, Examples, Optimiser, TrainSettings};
use cleanslide_learn::error::Result;
use cleanslide_learn::methods::Context;
use cleanslide_nn::heads::HeadKind;
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

const ITEMS: usize = 3000;
const FEATURES: usize = 1280;
const CLASSES: usize = 4;

fn main() -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let features = Array2::from_shape_fn((ITEMS, FEATURES), |(i, j)| {
        let centre = if j % CLASSES == i % CLASSES { 0.1 } else { 0.0 };
        centre + rng.sample::<f32, _>(StandardNormal)
    });
    let targets = Array2::from_shape_fn((ITEMS, CLASSES), |(i, k)| {
        // A fifth of the labels is wrong.
        let label = if i % 5 == 0 {
            (i + 1) % CLASSES
        } else {
            i % CLASSES
        };
        f32::from(u8::from(label == k))
    });
    let names: Vec<String> = (0..CLASSES).map(|k| format!("class {k}")).collect();
    let examples = Examples::new(features.view(), targets, vec![1.0; ITEMS])?;
    let lbfgs = TrainSettings {
        optimiser: Optimiser::Lbfgs,
        l2: 0.1,
        ..TrainSettings::default()
    };
    let whole = TrainSettings {
        batch_size: 0,
        ..TrainSettings::default()
    };
    let mlp = TrainSettings {
        head: HeadKind::Mlp,
        ..TrainSettings::default()
    };
    for (name, train) in [
        ("linear, lbfgs", lbfgs),
        ("linear, 100 epochs, all at once", whole.clone()),
        (
            "linear, 100 epochs, batches of 256",
            TrainSettings::default(),
        ),
        (
            "mlp, 100 epochs, all at once",
            TrainSettings {
                head: HeadKind::Mlp,
                ..whole
            },
        ),
        ("mlp, 100 epochs, batches of 256", mlp),
    ] {
        let classifier = Classifier {
            train,
            ..Classifier::default()
        };
        let mut seconds: Vec<f64> = Vec::new();
        let mut steps = 0;
        for _ in 0..3 {
            let start = Instant::now();
            let fitted = classifier.fit(&examples, &names, &Context::default(), None, &|_| ())?;
            seconds.push(start.elapsed().as_secs_f64());
            steps = fitted.history.epochs.len();
        }
        seconds.sort_by(f64::total_cmp);
        println!("{name}: {:.2} s ({steps} epochs)", seconds[1]);
    }
    Ok(())
}
