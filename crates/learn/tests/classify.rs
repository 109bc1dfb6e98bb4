//! What the training loop promises: determinism, honest validation, clear refusals.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::sync::Mutex;

use cleanslide_learn::classify::{
    Classifier, EarlyStopping, Examples, Labels, Model, Optimiser, SgdSettings, TrainSettings,
    Validation,
};
use cleanslide_learn::cross_validation::{Folds, out_of_sample};
use cleanslide_learn::methods::{
    CoTeachingSettings, Context, ForwardCorrectionSettings, MethodSettings, Needs, WannSettings,
};
use cleanslide_nn::heads::HeadKind;
use ndarray::{Array2, array};

/// Two classes on a line with a gap, 60 items of 5 features.
fn features() -> Array2<f32> {
    Array2::from_shape_fn((60, 5), |(i, j)| {
        let side = if i % 2 == 0 { 1.0 } else { -1.0 };
        side * (1.0 + j as f32) + ((i * 7 + j * 13) % 17) as f32 / 17.0
    })
}

fn targets(items: usize) -> Array2<f32> {
    Array2::from_shape_fn((items, 2), |(i, k)| f32::from(u8::from(i % 2 == k)))
}

fn names() -> Vec<String> {
    vec!["tumour".to_owned(), "stroma".to_owned()]
}

fn short(head: HeadKind) -> TrainSettings {
    TrainSettings {
        head,
        epochs: 4,
        batch_size: 16,
        ..TrainSettings::default()
    }
}

fn bytes(classifier: &Classifier, features: &Array2<f32>) -> Vec<u8> {
    let examples = Examples::new(features.view(), targets(60), vec![1.0; 60]).unwrap();
    let fitted = classifier
        .fit(&examples, &names(), &Context::default(), None, &|_| ())
        .unwrap();
    fitted.model.to_bytes().unwrap()
}

#[test]
fn the_same_seed_gives_the_same_bytes_whatever_the_threads() {
    let features = features();
    let train = TrainSettings {
        feature_jitter: 0.2,
        dropout: 0.3,
        ..short(HeadKind::Mlp)
    };
    let classifier = Classifier {
        train,
        ..Classifier::default()
    };
    let first = bytes(&classifier, &features);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        assert_eq!(first, pool.install(|| bytes(&classifier, &features)));
    }
    let mut other = classifier;
    other.train.seed = 1;
    assert_ne!(first, bytes(&other, &features));
}

#[test]
fn a_saved_model_predicts_the_same() {
    let features = features();
    for method in [
        MethodSettings::default(),
        MethodSettings::Wann(WannSettings::default()),
    ] {
        let train = TrainSettings {
            epochs: 30,
            learning_rate: Some(0.03),
            ..short(HeadKind::Linear)
        };
        let classifier = Classifier { method, train };
        let saved = bytes(&classifier, &features);
        let model = Model::from_bytes(&saved).unwrap();
        assert_eq!(saved, model.to_bytes().unwrap());
        assert_eq!(model.classes(), names());
        let predicted = model.predict(features.view()).unwrap();
        for (i, row) in predicted.rows().into_iter().enumerate() {
            assert!((row.sum() - 1.0).abs() < 1e-6);
            assert!(row[i % 2] > 0.5, "{} {i} {row}", classifier.method.name());
        }
    }
}

#[test]
fn items_of_no_trust_change_nothing() {
    let features = features();
    let classifier = Classifier {
        train: TrainSettings {
            standardise: false,
            batch_size: 0,
            ..short(HeadKind::Linear)
        },
        ..Classifier::default()
    };
    let fit = |items: usize, wrong: usize| {
        // The last ten items are labelled wrong and trusted by nobody.
        let mut targets = targets(items);
        for i in items - wrong..items {
            targets.row_mut(i).assign(&array![
                f32::from(u8::from(i % 2 == 1)),
                f32::from(u8::from(i % 2 == 0))
            ]);
        }
        let weights = (0..items)
            .map(|i| if i < items - wrong { 1.0 } else { 0.0 })
            .collect();
        let view = features.slice(ndarray::s![..items, ..]);
        let examples = Examples::new(view, targets, weights).unwrap();
        let fitted = classifier
            .fit(&examples, &names(), &Context::default(), None, &|_| ())
            .unwrap();
        fitted.model.to_bytes().unwrap()
    };
    assert_eq!(fit(50, 0), fit(60, 10));
}

#[test]
fn history_tells_every_epoch_and_progress_hears_it() {
    let features = features();
    let examples = Examples::new(features.view(), targets(60), vec![1.0; 60]).unwrap();
    let classifier = Classifier {
        train: short(HeadKind::Linear),
        ..Classifier::default()
    };
    let heard = Mutex::new(Vec::new());
    let fitted = classifier
        .fit(&examples, &names(), &Context::default(), None, &|epoch| {
            heard.lock().unwrap().push(epoch.clone());
        })
        .unwrap();
    let epochs = fitted.history.epochs;
    assert_eq!(epochs, heard.into_inner().unwrap());
    assert_eq!(epochs.len(), 4);
    assert_eq!(fitted.history.best_epoch, 4);
    assert!(epochs[3].loss < epochs[0].loss);
    assert!(epochs.iter().all(|epoch| (epoch.kept - 1.0).abs() < 1e-6));
    // Half a cosine from 0.01, the default of a linear head: 0, 1/4, 1/2 and 3/4 of the way.
    let rates: Vec<f64> = epochs.iter().map(|epoch| epoch.learning_rate).collect();
    assert!((rates[0] - 1e-2).abs() < 1e-12 && (rates[2] - 5e-3).abs() < 1e-12);
}

#[test]
fn early_stopping_keeps_the_best_epoch_and_names_its_labels() {
    let features = features();
    let examples = Examples::new(features.view(), targets(60), vec![1.0; 60]).unwrap();
    // Validation labels that are all swapped: every step makes them worse.
    let swapped = targets(60).select(ndarray::Axis(1), &[1, 0]);
    let swapped = Examples::new(features.view(), swapped, vec![1.0; 60]).unwrap();
    let train = TrainSettings {
        epochs: 50,
        learning_rate: Some(0.01),
        early_stopping: EarlyStopping::NoisyValidation { patience: 3 },
        ..short(HeadKind::Linear)
    };
    let classifier = Classifier {
        train,
        ..Classifier::default()
    };
    let fit = |labels: Option<Labels>| {
        let validation = labels.map(|labels| Validation {
            examples: swapped.clone(),
            labels,
        });
        classifier.fit(
            &examples,
            &names(),
            &Context::default(),
            validation.as_ref(),
            &|_| (),
        )
    };
    let fitted = fit(Some(Labels::Given)).unwrap();
    assert_eq!(
        (fitted.history.best_epoch, fitted.history.epochs.len()),
        (1, 4)
    );
    // The model that is kept is the one of the first epoch, not of the last.
    let one = Classifier {
        train: TrainSettings {
            epochs: 50,
            early_stopping: EarlyStopping::NoisyValidation { patience: 1 },
            ..classifier.train.clone()
        },
        ..Classifier::default()
    };
    let validation = Validation {
        examples: swapped.clone(),
        labels: Labels::Given,
    };
    let one = one
        .fit(
            &examples,
            &names(),
            &Context::default(),
            Some(&validation),
            &|_| (),
        )
        .unwrap();
    assert_eq!(
        one.model.to_bytes().unwrap(),
        fitted.model.to_bytes().unwrap()
    );

    let message = fit(Some(Labels::Clean)).unwrap_err().to_string();
    let expected = "early stopping on given labels was asked for, and the validation items have \
                    clean";
    assert_eq!(message, expected);
    assert!(fit(None).unwrap_err().to_string().ends_with("have none"));
}

/// With two in five labels wrong, a head that knows the truth is far from saying what labels say.
#[test]
fn forward_correction_watches_what_labels_would_say() {
    let features = features();
    let wrong = |item: usize| item % 5 < 2;
    let noisy = Array2::from_shape_fn((60, 2), |(i, k)| {
        f32::from(u8::from((i % 2 == k) != wrong(i)))
    });
    let of = |targets| Examples::new(features.view(), targets, vec![1.0; 60]).unwrap();
    let context = Context {
        transition: Some(array![[0.6, 0.4], [0.4, 0.6]]),
        ..Context::default()
    };
    let fit = |targets: Array2<f32>, early_stopping, labels| {
        let classifier = Classifier {
            method: MethodSettings::ForwardCorrection(ForwardCorrectionSettings {}),
            train: TrainSettings {
                epochs: 60,
                learning_rate: Some(0.03),
                early_stopping,
                ..short(HeadKind::Linear)
            },
        };
        let validation = Validation {
            examples: of(targets),
            labels,
        };
        classifier
            .fit(
                &of(noisy.clone()),
                &names(),
                &context,
                Some(&validation),
                &|_| (),
            )
            .unwrap()
    };
    let given = EarlyStopping::NoisyValidation { patience: 5 };
    let given = fit(noisy.clone(), given, Labels::Given);
    let predicted = given.predict(features.view()).unwrap();
    let least = (0..60).map(|i| predicted[[i, i % 2]]).fold(1.0, f32::min);
    assert!(least > 0.8, "epoch {}: {least}", given.history.best_epoch);
    // Clean labels are the truth, which the head predicts.
    let clean = EarlyStopping::CleanValidation { patience: 5 };
    let clean = fit(targets(60), clean, Labels::Clean);
    let best = clean.history.best_epoch - 1;
    let loss = clean.history.epochs[best].validation_loss.unwrap();
    assert!(loss < 0.2, "{loss}");
}

#[test]
fn divergence_stops_with_its_epoch_and_items() {
    let features = features();
    let examples = Examples::new(features.view(), targets(60), vec![1.0; 60]).unwrap();
    let train = TrainSettings {
        optimiser: Optimiser::Sgd(SgdSettings::default()),
        learning_rate: Some(1e30),
        ..short(HeadKind::Mlp)
    };
    let classifier = Classifier {
        train,
        ..Classifier::default()
    };
    let error = classifier.fit(&examples, &names(), &Context::default(), None, &|_| ());
    let message = error.unwrap_err().to_string();
    assert!(
        message.starts_with("training diverged in epoch 1: "),
        "{message}"
    );
    assert!(
        message.contains("first with the items ") && message.contains("…"),
        "{message}"
    );
    assert!(
        message.contains("lower the learning rate (it was 1e30"),
        "{message}"
    );
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let features = features();
    let examples = Examples::new(features.view(), targets(60), vec![1.0; 60]).unwrap();
    let message = |classifier: Classifier| {
        let context = Context::default();
        classifier
            .fit(&examples, &names(), &context, None, &|_| ())
            .unwrap_err()
            .to_string()
    };
    let train = |change: fn(&mut TrainSettings)| {
        let mut train = TrainSettings::default();
        change(&mut train);
        Classifier {
            train,
            ..Classifier::default()
        }
    };
    let cases: [(Classifier, &str); 5] = [
        (
            train(|t| t.epochs = 0),
            "the setting `epochs` is 0: expected at least 1",
        ),
        (
            train(|t| t.learning_rate = Some(-1.0)),
            "the setting `learning_rate` is -1: expected more than 0",
        ),
        (
            train(|t| t.l2 = f64::NAN),
            "the setting `l2` is NaN: expected at least 0",
        ),
        (
            Classifier {
                method: MethodSettings::CoTeaching(CoTeachingSettings::default()),
                ..Classifier::default()
            },
            "the method `co-teaching` needs the noise rate: estimate it from out-of-sample \
             predictions first, or set `forget_rate`",
        ),
        (
            Classifier {
                method: MethodSettings::CoTeaching(CoTeachingSettings {
                    forget_rate: Some(0.1),
                    gradual: 10,
                }),
                train: TrainSettings {
                    optimiser: Optimiser::Lbfgs,
                    ..TrainSettings::default()
                },
            },
            "the setting `optimiser` is lbfgs: the loss of the method `co-teaching` changes as it \
             learns; choose adamw or sgd",
        ),
    ];
    for (classifier, expected) in cases {
        assert_eq!(message(classifier), expected);
    }
}

#[test]
fn recipes_read_and_refuse_unknown_fields() {
    let read = |text: &str| toml::from_str::<Classifier>(text);
    let classifier = read("[method]\nname = \"gce\"\nq = 0.5\n[train]\nhead = \"mlp\"\n").unwrap();
    assert_eq!(classifier.method.name(), "gce");
    assert_eq!(classifier.train.head, HeadKind::Mlp);
    assert_eq!(read("").unwrap(), Classifier::default());
    let sgd = read("[train.optimiser.sgd]\nmomentum = 0.5\n").unwrap();
    assert_eq!(
        sgd.train.optimiser,
        Optimiser::Sgd(SgdSettings { momentum: 0.5 })
    );
    assert_eq!(
        read("[train]\noptimiser = \"lbfgs\"\n")
            .unwrap()
            .train
            .optimiser,
        Optimiser::Lbfgs
    );
    let message = |text: &str| read(text).unwrap_err().to_string();
    assert!(message("[method]\nname = \"gce\"\nqq = 0.5\n").contains("unknown field `qq`"));
    assert!(message("[train]\nepoch = 5\n").contains("unknown field `epoch`"));
    assert!(message("[method]\nname = \"magic\"\n").contains("unknown variant `magic`"));
    for method in MethodSettings::all() {
        let text = toml::to_string(&Classifier {
            method: method.clone(),
            ..Classifier::default()
        });
        assert_eq!(read(&text.unwrap()).unwrap().method, method);
    }
}

#[test]
fn cross_validation_predicts_everything_once_and_from_the_others() {
    let features = features();
    let examples = Examples::new(features.view(), targets(60), vec![1.0; 60]).unwrap();
    let groups: Vec<usize> = (0..60).map(|i| i / 3).collect();
    let fold_of: Vec<usize> = groups.iter().map(|group| group % 4).collect();
    let folds = Folds::new(&fold_of, &groups).unwrap();
    let classifier = Classifier {
        train: short(HeadKind::Linear),
        ..Classifier::default()
    };
    let predict = || out_of_sample(&classifier, &examples, &names(), &folds, &|_, _| ()).unwrap();
    let all = predict();
    for fold in 0..4 {
        let training: Vec<usize> = (0..60).filter(|&i| fold_of[i] != fold).collect();
        let training = examples.subset(&training).unwrap();
        let alone = classifier
            .fit(&training, &names(), &Context::default(), None, &|_| ())
            .unwrap();
        let alone = alone.predict(features.view()).unwrap();
        for i in (0..60).filter(|&i| fold_of[i] == fold) {
            assert!(
                all.row(i)
                    .iter()
                    .zip(alone.row(i))
                    .all(|(a, b)| (a - b).abs() < 1e-6)
            );
        }
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    assert_eq!(all, pool.install(predict));
    assert!(
        all.rows()
            .into_iter()
            .all(|row| (row.sum() - 1.0).abs() < 1e-6)
    );
}

#[test]
fn folds_that_leak_are_refused() {
    let message =
        |folds: &[usize], groups: &[usize]| Folds::new(folds, groups).unwrap_err().to_string();
    let prefix = "the folds cannot be used for cross-validation: ";
    let leak = message(&[0, 1, 1], &[7, 7, 8]);
    assert_eq!(leak, format!("{prefix}group 7 is in the folds 0 and 1"));
    let one = message(&[0, 0], &[0, 1]);
    assert_eq!(
        one,
        format!("{prefix}there are 1 folds, expected at least 2")
    );
    let lengths = message(&[0, 1], &[0]);
    assert_eq!(
        lengths,
        format!("{prefix}2 items have a fold and 1 a group")
    );
}

#[test]
fn contexts_hold_what_was_asked_for() {
    let features = features();
    let examples = Examples::new(features.view(), targets(60), vec![1.0; 60]).unwrap();
    let fold_of: Vec<usize> = (0..60).map(|i| i / 2 % 3).collect();
    let groups: Vec<usize> = (0..60).collect();
    let folds = Folds::new(&fold_of, &groups).unwrap();
    let train = TrainSettings {
        epochs: 30,
        learning_rate: Some(0.03),
        ..short(HeadKind::Linear)
    };
    let estimate = |needs: &Needs| {
        Context::estimate(needs, &train, &examples, &names(), &folds, &|_, _| ()).unwrap()
    };
    let nothing = estimate(&Needs::default());
    assert!(nothing.out_of_sample.is_empty() && nothing.transition.is_none());
    let noise = estimate(&Needs {
        transition: true,
        noise_rate: true,
        ..Needs::default()
    });
    // The classes are apart and the labels right.
    assert_eq!(noise.noise_rate, Some(0.0));
    let identity = Array2::<f64>::eye(2);
    let differences = &noise.transition.unwrap() - &identity;
    assert!(differences.iter().all(|d| d.abs() < 1e-3));
    assert!(noise.out_of_sample.is_empty());
}
