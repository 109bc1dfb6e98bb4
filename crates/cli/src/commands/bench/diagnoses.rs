//! Ways to learn from diagnoses beside a few class masks: pixels and cases are judged.

use std::collections::BTreeMap;
use std::path::Path;

use cleanslide_data::{Dataset, Family};
use cleanslide_eval::case_calls::CallSettings;
use cleanslide_eval::segmentation::{ClassOverlap, EmptyCase, class_overlaps, pixel_confusion};
use cleanslide_eval::{Error, LabelPairs, Ranking, Weights};
use cleanslide_learn::segment::{ComplementaryForm, ComplementarySettings, ForwardSettings};
use ndarray::Array2;

use super::cells::{Request, rows};
use super::comparison::{Comparison, Judged, Statistics, Truth, base, compare, networks_or_own};
use crate::commands::cases::amounts::Amounts;
use crate::commands::cases::{CaseLine, chosen_threshold, diagnosis, lines};
use crate::commands::evaluate::shape_measures::class_mask;
use crate::commands::train::pixels::Pixels;
use crate::context::Context;
use crate::diagnoses::Diagnoses;
use crate::failure::{Failure, Result};
use crate::network_run::{Complementary, PixelRecipe};
use crate::truth::reference_name;

/// The methods by default. `negative` is left out: of one excluded class it is the same as `partial`, and slower.
const METHODS: [&str; 5] = ["plain", "shown", "partial", "forward", "presumed"];

/// What methods are compared by. Dice is the mean over the classes, of all images together; false tumour is the share of
/// the pixels without tumour that are predicted to be one; cases are called as `cases` calls them, a case without a call
/// being wrong.
const MEASURES: [&str; 5] = [
    "Dice",
    "Dice of tumours",
    "false tumour",
    "cases, balanced accuracy",
    "cases, AUROC",
];

/// What a run says.
struct Run {
    images: Vec<Image>,
    /// The cases that are judged.
    cases: Vec<Case>,
    tumours: Vec<usize>,
}

/// What it says of an image.
struct Image {
    classes: Vec<ClassOverlap>,
    /// Pixels without tumour that are predicted to be one.
    false_tumour: f64,
    /// Pixels without tumour.
    no_tumour: f64,
}

/// What it says of a case.
struct Case {
    /// The place of one of its images.
    image: usize,
    /// The tumour that it has.
    truth: usize,
    /// The tumour that is called; their number if there is no call.
    call: usize,
    /// The share of the second tumour; a half if there is none at all.
    score: f64,
}

/// Trains what is missing, and compares.
pub fn run(context: &Context, dataset: &Dataset, request: &Request) -> Result<()> {
    // What is wrong with what is asked is found before hours of training.
    let (base, predicted) = base::<PixelRecipe>(dataset, request)?;
    let name = reference_name(dataset, request.reference)?;
    let reference = dataset.reference(&name)?;
    let truth = Truth::new(
        dataset,
        (&name, &reference),
        Family::Mask,
        &predicted,
        |piece| Ok((piece.scope.item().to_owned(), class_mask(&piece.target)?)),
    )?;
    let diagnoses = diagnoses(dataset, &base)?;
    let tumours: Vec<usize> = diagnoses.entities().into_iter().collect();
    if tumours.len() != 2 {
        return Err(Failure::input(format!(
            "`{}` tells {} classes apart, and cases are judged by two",
            diagnoses.source,
            tumours.len()
        )));
    }
    let first_images = first_images(dataset, &truth);
    let classes = dataset.classes().len();
    let read = |run: &Path| {
        let found = Amounts::of_run(dataset, run)?;
        let cases = lines(dataset, &diagnoses, &tumours, &found);
        Ok(Run {
            images: truth.with_predictions(dataset, run, |truth, predicted| {
                image(truth, &class_mask(&predicted.target)?, &tumours, classes)
            })?,
            cases: judged_cases(dataset, &tumours, &cases, &first_images)?,
            tumours: tumours.clone(),
        })
    };
    let of_run = |run: &Run, weights: Weights<'_>| of_run(run, weights);
    let comparison = Comparison::new(context, &truth.groups, MEASURES, &of_run);
    let perfect = truth
        .images
        .values()
        .map(|truth| image(truth, &truth.1, &tumours, classes));
    let perfect = Run {
        images: perfect.collect::<Result<_>>()?,
        cases: true_cases(dataset, &diagnoses, &tumours, &first_images),
        tumours: tumours.clone(),
    };
    comparison.check(perfect, &name)?;
    let networks = networks_or_own(request, &base)?;
    let rows = rows(request, &networks, &METHODS, context.seed, with_method)?;
    let judged = Judged {
        reference: name,
        class_agnostic: false,
        images: truth.images.len(),
        cases: truth.groups.count(),
        folds: base.folds,
    };
    compare::<Pixels, _, _>(context, dataset, request, &rows, &comparison, judged, read)
}

/// The diagnoses that the recipe names, of its label version.
fn diagnoses(dataset: &Dataset, base: &PixelRecipe) -> Result<Diagnoses> {
    let version = match base.labels {
        Some(version) => version,
        None => dataset.latest()?,
    };
    let (version, labels) = (dataset.version(version)?, dataset.labels(version)?);
    let source = base
        .complementary
        .as_ref()
        .and_then(|of| of.source.as_deref());
    Diagnoses::read(dataset, (&version, &labels), source)
}

/// The recipe with a method by its name.
fn with_method(base: &PixelRecipe, method: &str) -> Result<PixelRecipe> {
    let asked = base.complementary.clone().unwrap_or_default();
    let with = |form, share| PixelRecipe {
        complementary: Some(Complementary {
            loss: ComplementarySettings {
                form,
                share,
                ..asked.loss.clone()
            },
            ..asked.clone()
        }),
        ..base.clone()
    };
    let share = asked.loss.share;
    Ok(match method {
        "plain" => {
            // As many steps, and as many drawn images in each, as where diagnoses are learned from too.
            let mut plain = base.clone();
            plain.train.batch_size = plain.train.own_crops(true);
            plain.complementary = None;
            plain
        }
        "shown" => with(ComplementaryForm::Partial, 0.0),
        "negative" => with(ComplementaryForm::Negative, share),
        "partial" => with(ComplementaryForm::Partial, share),
        "forward" => with(
            ComplementaryForm::Forward(ForwardSettings::default()),
            share,
        ),
        "presumed" => with(ComplementaryForm::Presumed, share),
        _ => {
            return Err(Failure::usage(format!(
                "there is no method `{method}` for diagnoses beside class masks"
            ))
            .help(
                "The methods are plain (masks alone); shown (images without masks are in the batches, and nothing is learned of \
                 them); negative, partial and forward, the losses of classes that a diagnosis excludes; and presumed, which \
                 takes all of a case for what is diagnosed.",
            ));
        }
    })
}

/// Of each case with a judged image, the place of the first.
fn first_images<T>(dataset: &Dataset, truth: &Truth<T>) -> BTreeMap<String, usize> {
    let mut first = BTreeMap::new();
    for (place, id) in truth.images.keys().enumerate() {
        if let Some(image) = dataset.position(id) {
            first
                .entry(Amounts::case_of(dataset, image))
                .or_insert(place);
        }
    }
    first
}

/// The cases that have a judged image and a diagnosis, called rightly: whether anything can be told from them is known
/// before anything is trained.
fn true_cases(
    dataset: &Dataset,
    diagnoses: &Diagnoses,
    tumours: &[usize],
    first_images: &BTreeMap<String, usize>,
) -> Vec<Case> {
    let images = 0..dataset.images().len();
    let of_cases: BTreeMap<String, Vec<usize>> = images.fold(BTreeMap::new(), |mut of, image| {
        of.entry(Amounts::case_of(dataset, image))
            .or_insert_with(Vec::new)
            .push(image);
        of
    });
    let judged = first_images.iter().filter_map(|(case, &image)| {
        let name = diagnosis(dataset, diagnoses, tumours, &of_cases[case])?;
        let truth = tumours
            .iter()
            .position(|&tumour| dataset.classes().name(tumour) == name)?;
        Some(Case {
            image,
            truth,
            call: truth,
            score: truth as f64,
        })
    });
    judged.collect()
}

/// The cases that have a judged image and a diagnosis, with their calls.
fn judged_cases(
    dataset: &Dataset,
    tumours: &[usize],
    cases: &[CaseLine],
    first_images: &BTreeMap<String, usize>,
) -> Result<Vec<Case>> {
    let names: Vec<String> = tumours
        .iter()
        .map(|&class| dataset.classes().name(class))
        .collect();
    let default = CallSettings::default();
    let threshold = chosen_threshold(cases, &names, default.least)?;
    let settings = CallSettings {
        threshold: threshold.map_or(default.threshold, |(threshold, _)| threshold),
        ..default
    };
    let judged = cases.iter().filter_map(|case| {
        let diagnosis = case.diagnosis.as_ref()?;
        Some(Case {
            image: *first_images.get(&case.case)?,
            truth: names.iter().position(|name| name == diagnosis)?,
            call: settings
                .call(&case.amounts, case.looked_at)
                .unwrap_or(names.len()),
            score: case.score.unwrap_or(0.5),
        })
    });
    Ok(judged.collect())
}

fn image(
    (id, truth): &(String, Array2<u8>),
    predicted: &Array2<u8>,
    tumours: &[usize],
    classes: usize,
) -> Result<Image> {
    let confusion = pixel_confusion(truth.view(), predicted.view(), classes)
        .map_err(|error| Failure::input(format!("image {id}: {error}")))?;
    let counts = confusion.counts();
    let others = (0..classes).filter(|class| !tumours.contains(class));
    let (mut false_tumour, mut no_tumour) = (0.0, 0.0);
    for class in others {
        no_tumour += counts.row(class).sum();
        false_tumour += tumours
            .iter()
            .map(|&tumour| counts[(class, tumour)])
            .sum::<f64>();
    }
    Ok(Image {
        classes: class_overlaps(&confusion),
        false_tumour,
        no_tumour,
    })
}

/// The [`MEASURES`] of one run.
fn of_run(run: &Run, weights: Weights<'_>) -> Statistics<{ MEASURES.len() }> {
    let classes = run.images.first().map_or(0, |image| image.classes.len());
    let mut dice = Vec::new();
    for class in 0..classes {
        let overlaps: Vec<ClassOverlap> = run
            .images
            .iter()
            .map(|image| image.classes[class])
            .collect();
        match ClassOverlap::pool(&overlaps, weights)?.dice(EmptyCase::Undefined) {
            Ok(of_class) => dice.push((class, of_class)),
            Err(Error::Undefined(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let mean = |wanted: &dyn Fn(usize) -> bool| {
        let of = dice.iter().filter(|(class, _)| wanted(*class));
        let of: Vec<f64> = of.map(|(_, dice)| *dice).collect();
        of.iter().sum::<f64>() / of.len() as f64
    };
    let weight = |image: usize| match weights {
        Weights::Equal => 1.0,
        Weights::Counts(counts) => f64::from(counts[image]),
        Weights::Real(weights) => weights[image],
    };
    let sum = |of: &dyn Fn(&Image) -> f64| -> f64 {
        let images = run.images.iter().enumerate();
        images.map(|(place, image)| weight(place) * of(image)).sum()
    };
    let of_cases: Vec<f64> = run.cases.iter().map(|case| weight(case.image)).collect();
    let truth: Vec<usize> = run.cases.iter().map(|case| case.truth).collect();
    let calls: Vec<usize> = run.cases.iter().map(|case| case.call).collect();
    let scores: Vec<f64> = run.cases.iter().map(|case| case.score).collect();
    let second: Vec<bool> = truth.iter().map(|&truth| truth == 1).collect();
    let pairs = LabelPairs::new(&truth, &calls, run.tumours.len() + 1)?;
    Ok([
        mean(&|_| true),
        mean(&|class| run.tumours.contains(&class)),
        sum(&|image| image.false_tumour) / sum(&|image| image.no_tumour),
        pairs
            .confusion(Weights::Real(&of_cases))?
            .balanced_accuracy()?,
        Ranking::new(&second, &scores)?.auroc(Weights::Real(&of_cases))?,
    ])
}
