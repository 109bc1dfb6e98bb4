//! Steps that several commands share: from a dataset to out-of-sample predictions and an audit.

use std::sync::atomic::{AtomicUsize, Ordering};

use cleanslide_audit::FilterOptions;
use cleanslide_data::{Dataset, ImageRecord, Split, leaks};
use cleanslide_learn::classify::Classifier;
use cleanslide_learn::embed::Embeddings;
use cleanslide_learn::image_labels::ImageLabels;
use cleanslide_learn::label_audit::{Audited, LabelAudit, audit_labels};
use cleanslide_learn::methods::MethodSettings;
use cleanslide_learn::study::Study;
use ndarray::{Array2, ArrayView2};

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::progress;

/// How out-of-sample predictions are made.
#[derive(Debug, Clone)]
pub struct CrossValidation {
    /// What is trained on each part.
    pub classifier: Classifier,
    /// Number of folds.
    pub folds: usize,
}

impl Default for CrossValidation {
    /// A plain linear classifier in five folds.
    fn default() -> Self {
        Self {
            classifier: Classifier::default(),
            folds: DEFAULT_FOLDS,
        }
    }
}

/// Folds of cross-validation unless told otherwise.
pub const DEFAULT_FOLDS: usize = 5;

/// Out-of-sample probabilities of the labelled images of a dataset.
pub struct Predicted {
    /// For each row, the position of its image in the dataset.
    pub images: Vec<usize>,
    /// Probabilities, `[images, classes]`.
    pub probabilities: Array2<f32>,
}

/// Predicts every labelled image by a model that did not see its case.
pub fn out_of_sample(
    context: &Context,
    dataset: &Dataset,
    embeddings: &Embeddings,
    labels: &ImageLabels,
    validation: &CrossValidation,
) -> Result<Predicted> {
    let study = Study::new(dataset, embeddings, labels, |_| true)?;
    let (probabilities, _) = predict_study(context, &study, validation)?;
    Ok(Predicted {
        images: study.images,
        probabilities,
    })
}

/// Predicts every item of a study out of sample, with a progress bar. Returns the probabilities
/// and the fold of each item.
pub fn predict_study(
    context: &Context,
    study: &Study,
    validation: &CrossValidation,
) -> Result<(Array2<f32>, Vec<usize>)> {
    let mut classifier = validation.classifier.clone();
    classifier.train.seed = context.seed;
    let folds = study.folds(validation.folds, context.seed)?;
    let bar = progress::bar(
        "cross-validation",
        validation.folds * classifier.train.epochs,
    );
    let steps = AtomicUsize::new(0);
    let result = study.out_of_sample(&classifier, &folds, &|_, _| {
        bar.set_position(steps.fetch_add(1, Ordering::Relaxed) as u64);
    });
    bar.finish_and_clear();
    Ok((result?.probabilities, folds))
}

/// Audits the labels of a study.
pub fn audit_study(
    study: &Study,
    embeddings: &Embeddings,
    probabilities: ArrayView2<'_, f32>,
    filter: FilterOptions,
) -> Result<LabelAudit> {
    let hashes: Vec<String> = study
        .rows
        .iter()
        .map(|&row| embeddings.hashes[row].clone())
        .collect();
    let audited = Audited {
        given: &study.given,
        classes: study.classes.len(),
        probabilities,
        features: study.features(),
        hashes: &hashes,
        cases: &study.cases,
    };
    Ok(audit_labels(&audited, filter)?)
}

/// Refuses a split that puts a case, slide or group on two sides.
pub fn refuse_leaks(dataset: &Dataset) -> Result<()> {
    let sides: Vec<Option<Split>> = dataset.images().iter().map(|image| image.split).collect();
    let found = leaks(dataset.images(), &sides);
    match found.first() {
        None => Ok(()),
        Some(leak) => Err(Failure::input(format!(
            "the split leaks: {} {} is on two sides, with the images {} and {}{}",
            leak.level,
            leak.name,
            leak.first,
            leak.second,
            if found.len() > 1 {
                format!(", and {} others are", found.len() - 1)
            } else {
                String::new()
            }
        ))
        .help("Make a split by case with `cleanslide split DATASET --replace`.")),
    }
}

/// True for images that may be learned from: those for training, and all where nothing is split.
pub fn may_be_learned_from(image: &ImageRecord) -> bool {
    matches!(image.split, None | Some(Split::Train))
}

/// The method of this name with its default settings.
pub fn method_by_name(name: &str) -> Result<MethodSettings> {
    let all = MethodSettings::all();
    let names: Vec<String> = all.iter().map(|method| method.name().to_owned()).collect();
    all.into_iter()
        .find(|method| method.name() == name)
        .ok_or_else(|| {
            let listed = format!("The methods are: {}.", names.join(", "));
            let help = match cleanslide_data::nearest(name, &names) {
                Some(close) => format!("Did you mean `{close}`? {listed}"),
                None => listed,
            };
            Failure::usage(format!("there is no method `{name}`")).help(help)
        })
}
