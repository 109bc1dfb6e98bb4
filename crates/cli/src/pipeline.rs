//! Steps that several commands share: from a dataset to out-of-sample predictions and an audit.

use cleanslide_audit::FilterOptions;
use cleanslide_data::{Dataset, ImageRecord, Split, leaks};
use cleanslide_learn::classify::{Classifier, Optimiser, TrainSettings};
use cleanslide_learn::embed::Embeddings;
use cleanslide_learn::image_labels::ImageLabels;
use cleanslide_learn::label_audit::{Audited, LabelAudit, audit_labels};
use cleanslide_learn::methods::MethodSettings;
use cleanslide_learn::penalty::{PENALTIES, out_of_sample_with_chosen_penalty};
use cleanslide_learn::study::Study;
use ndarray::{Array2, ArrayView2};

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::progress;
use crate::truth::Truth;

/// Folds of cross-validation unless told otherwise.
pub const DEFAULT_FOLDS: usize = 5;

/// Predictions by which labels are judged: out of sample, for the items of a study.
pub struct Judgement {
    /// Probabilities, `[items, classes]`.
    pub probabilities: Array2<f32>,
    /// The fold of each item.
    pub folds: Vec<usize>,
    /// The L2 penalty that the given labels chose; none for the predictions of a run.
    pub l2: Option<f64>,
}

/// Predicts every item of a study by a model that did not see its case: linear, trained to the
/// optimum, with the penalty that predicts the given labels best. Classes are not balanced, because
/// confident learning compares probabilities of the given labels, rare classes being rare.
pub fn judge_labels(context: &Context, study: &Study, folds: usize) -> Result<Judgement> {
    let classifier = Classifier {
        train: TrainSettings {
            optimiser: Optimiser::Lbfgs,
            class_balance: false,
            seed: context.seed,
            ..TrainSettings::default()
        },
        ..Classifier::default()
    };
    let folds = study.folds(folds, context.seed)?;
    let bar = progress::bar("cross-validation", PENALTIES.len());
    let chosen = out_of_sample_with_chosen_penalty(study, &classifier, &folds, &|| bar.inc(1));
    bar.finish_and_clear();
    let chosen = chosen?;
    Ok(Judgement {
        probabilities: chosen.predicted.probabilities,
        folds,
        l2: Some(chosen.l2),
    })
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

/// Cases, slides and groups on two sides of the split, each in words. Images without a split are learned from, so they
/// are on the side of those for training.
pub fn split_leaks(dataset: &Dataset) -> Vec<SplitLeak> {
    let side = |image: &ImageRecord| Some(image.split.unwrap_or(Split::Train));
    let sides: Vec<Option<Split>> = dataset.images().iter().map(side).collect();
    let without_split = |id: &str| {
        let image = dataset.position(id);
        image.is_some_and(|image| dataset.images()[image].split.is_none())
    };
    let found = leaks(dataset.images(), &sides).into_iter();
    found
        .map(|leak| {
            let [first, second] = [&leak.first, &leak.second].map(|id| without_split(id));
            let name = |id: &str, without| {
                let more = " (which has no split, so it is learned from)";
                format!("{id}{}", if without { more } else { "" })
            };
            SplitLeak {
                text: format!(
                    "{} {} is on two sides, with the images {} and {}",
                    leak.level,
                    leak.name,
                    name(&leak.first, first),
                    name(&leak.second, second)
                ),
                without_split: first || second,
            }
        })
        .collect()
}

/// A case, slide or group on two sides of the split.
pub struct SplitLeak {
    /// Which, and an image on each side.
    pub text: String,
    /// Whether one of these images has no split.
    pub without_split: bool,
}

/// Refuses a split that puts a case, slide or group on two sides.
pub fn refuse_leaks(dataset: &Dataset) -> Result<()> {
    let found = split_leaks(dataset);
    let Some(leak) = found.first() else {
        return Ok(());
    };
    let others = match found.len() - 1 {
        0 => String::new(),
        others => format!(", and {others} others are"),
    };
    Err(
        Failure::input(format!("the split leaks: {}{others}", leak.text)).help(
            if leak.without_split {
                "Write the split of the others beside that image in images.csv, or make a new split by case with \
                 `cleanslide split DATASET --replace`."
            } else {
                "Make a split by case with `cleanslide split DATASET --replace`."
            },
        ),
    )
}

/// True for images that may be learned from: those for training, and those without a split.
pub fn may_be_learned_from(image: &ImageRecord) -> bool {
    matches!(image.split, None | Some(Split::Train))
}

/// A reference as labels to learn from: what noise is added to, or what a named option asks for.
pub fn reference_labels(dataset: &Dataset, name: &str) -> Result<ImageLabels> {
    let truth = Truth::of_dataset(dataset, Some(name))?;
    let classes: Vec<Option<usize>> = dataset
        .images()
        .iter()
        .map(|image| truth.images.get(&image.id).map(|&(class, _)| class))
        .collect();
    let version = dataset.latest()?;
    let source = format!("reference:{name}");
    Ok(ImageLabels::of_classes(
        version,
        source,
        &classes,
        dataset.classes().len(),
    ))
}

/// The refusal of a recipe that names clean labels without stopping early by them.
pub fn unused_validation(reference: &str) -> Failure {
    Failure::usage(format!(
        "the recipe names the validation reference `{reference}`, and nothing uses it"
    ))
    .help("Leave it out, or stop early by `clean-validation`.")
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
