//! Ways to learn from masks of objects that are wrong side by side: robust losses, networks that filter labels by their
//! losses or select them ([`dual`](cleanslide_learn::dual)), and networks that correct them.

use std::path::Path;

use cleanslide_data::{Dataset, Evidence, Family};
use cleanslide_eval::matching::MatchCounts;
use cleanslide_eval::segmentation::{AggregatedJaccard, ClassOverlap, EmptyCase};
use cleanslide_eval::{Error, Weights};
use cleanslide_learn::correction::{Background, GivenLabels};
use cleanslide_learn::dual::{DualSettings, Exchange, SelectionSettings};
use cleanslide_learn::segment::correction::MaskCorrectionSettings;
use rayon::prelude::*;

use super::cells::{Request, rows};
use super::comparison::{
    AVERAGE, Comparison, Judged, Statistics, Truth, background_by_name, base, compare, named,
    networks_or_own, several_backgrounds, start_by_name,
};
use crate::commands::evaluate::shape_measures::{ComparedObjects, compared_objects};
use crate::commands::train::pixels::Pixels;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::network_run::{DUAL, PixelRecipe, SISSI};
use crate::truth::reference_name;

/// Labels that two networks leave out are guessed by them.
const DIVIDEMIX: &str = "dividemix";

/// The methods by default.
const METHODS: [&str; 8] = [
    "plain",
    "gce",
    "small-loss",
    "co-teaching",
    "jocor",
    DIVIDEMIX,
    "co-teaching+selection",
    "dual",
];

/// Losses that methods are named after.
const LOSSES: [&str; 6] = ["focal", "mae", "gce", "sce", "nce-rce", "bootstrap"];

/// What methods are compared by: objects match at an intersection over union of 0.5; Dice is of all objects together.
const MEASURES: [&str; 5] = ["F1", "recall", "precision", "AJI", "Dice"];

/// Trains what is missing, and compares.
pub fn run(context: &Context, dataset: &Dataset, request: &Request) -> Result<()> {
    // What is wrong with what is asked is found before hours of training.
    let (base, predicted) = base::<PixelRecipe>(dataset, request)?;
    let name = reference_name(dataset, request.reference)?;
    let reference = dataset.reference(&name)?;
    let reference = (name.as_str(), &reference);
    let truth = Truth::new(dataset, reference, Family::Instances, &predicted, |piece| {
        Ok(piece.clone())
    })?;
    let read = |run: &Path| truth.with_predictions(dataset, run, compared_objects);
    let of_objects = |run: &Vec<ComparedObjects>, weights: Weights<'_>| of_run(run, weights);
    let comparison = Comparison::new(context, &truth.groups, MEASURES, &of_objects);
    let pieces: Vec<&Evidence> = truth.images.values().collect();
    let perfect = pieces
        .par_iter()
        .map(|piece| compared_objects(piece, piece))
        .collect::<Result<Vec<_>>>()?;
    comparison.check(perfect, &name)?;
    let networks = networks_or_own(request, &base)?;
    let rows = rows(request, &networks, &METHODS, context.seed, with_method)?;
    let judged = Judged {
        reference: name,
        class_agnostic: true,
        images: truth.images.len(),
        cases: truth.groups.count(),
        folds: base.folds,
    };
    compare::<Pixels, _, _>(context, dataset, request, &rows, &comparison, judged, read)
}

/// The recipe with a method, and what it is named with.
fn with_method(base: &PixelRecipe, method: &str) -> Result<PixelRecipe> {
    let mut parts = method.split('+');
    let asked = base.dual.clone().unwrap_or_default();
    let mut recipe = of_name(base, parts.next().unwrap_or_default())?;
    if recipe.correction.is_none() && recipe.dual.is_none() {
        // All others keep their last network. By its own labels, which are doubted, this one would learn from fewer images
        // and be chosen by them.
        (recipe.train.validation, recipe.train.patience) = (0.0, 0);
    }
    let by_default = MaskCorrectionSettings::default();
    let correction = base.correction.as_ref().unwrap_or(&by_default);
    let background = |part| background_by_name(part, correction.background, by_default.background);
    let mut has_background = false;
    for part in parts {
        let PixelRecipe {
            correction,
            dual,
            train,
            ..
        } = &mut recipe;
        match (part, correction, dual, background(part)) {
            (_, Some(_), _, Some(_)) if has_background => {
                return Err(several_backgrounds(method));
            }
            (_, Some(correction), _, Some(asked)) => {
                correction.background = asked;
                has_background = true;
            }
            ("completed", Some(correction), ..) => correction.given = GivenLabels::Completed,
            ("selection", _, Some(dual), _) => dual.selection = selection(&asked),
            ("contrast", _, Some(dual), _) => {
                dual.contrast = Some(asked.contrast.clone().unwrap_or_default());
            }
            ("priors", _, Some(dual), _) => add_priors(dual, &asked, method)?,
            ("average", ..) if train.average == 0.0 => train.average = AVERAGE,
            ("average", ..) => {}
            _ => {
                return Err(
                    Failure::usage(format!("`+{part}` says nothing in `{method}`")).help(
                        "small-loss, co-teaching, jocor and dividemix may be followed by +selection (by looks and \
                         borders) and +contrast, any with a selection by +priors (those of the recipe); \
                         self-training, adele and sissi by +weak or +strong (how all else is blurred) or +ignored, \
                         and by +completed (given objects stay); any method by +average (a running average \
                         predicts).",
                    ),
                );
            }
        }
    }
    Ok(recipe)
}

/// The recipe with a method by its name alone.
fn of_name(base: &PixelRecipe, name: &str) -> Result<PixelRecipe> {
    let plain = PixelRecipe {
        correction: None,
        dual: None,
        ..base.clone()
    };
    let asked = base.correction.clone().unwrap_or_default();
    let filtered = |exchange| {
        let asked = base.dual.clone().unwrap_or_default();
        PixelRecipe {
            dual: Some(DualSettings {
                exchange,
                selection: None,
                contrast: None,
                refine: None,
                ..asked
            }),
            ..plain.clone()
        }
    };
    let corrected = |start| PixelRecipe {
        correction: Some(MaskCorrectionSettings {
            start,
            given: GivenLabels::Replaced,
            background: Background::Kept,
            ..asked.clone()
        }),
        ..plain.clone()
    };
    if let Some(start) = start_by_name(name, asked.start)? {
        return Ok(corrected(start));
    }
    match name {
        "plain" => Ok(plain),
        "small-loss" => Ok(filtered(Exchange::Alone)),
        "co-teaching" => Ok(filtered(Exchange::Cross)),
        "jocor" => Ok(filtered(Exchange::Joint)),
        DIVIDEMIX => {
            let asked = base.dual.as_ref().and_then(|dual| dual.refine.clone());
            let mut recipe = filtered(Exchange::Cross);
            if let Some(dual) = &mut recipe.dual {
                dual.refine = Some(asked.unwrap_or_default());
            }
            Ok(recipe)
        }
        DUAL => with_method(base, "co-teaching+selection+contrast"),
        SISSI => Ok(corrected(asked.start)),
        _ if LOSSES.contains(&name) => {
            let mut recipe = plain;
            recipe.loss.pixels = named(name)?;
            Ok(recipe)
        }
        _ => Err(
            Failure::usage(format!("there is no method `{name}` for masks of objects")).help(format!(
                "The methods are plain; a loss: {}; small-loss, co-teaching and jocor, which filter labels by their \
                 losses; dividemix, which guesses what co-teaching leaves out; dual, which is \
                 co-teaching+selection+contrast; and self-training, adele and sissi, which correct labels: once the \
                 validation becomes no better, once the fit slows down, and as [correction] says.",
                LOSSES.join(", ")
            )),
        ),
    }
}

/// The selection that is asked for, or the default, without what is known before.
fn selection(asked: &DualSettings) -> Option<SelectionSettings> {
    let mut selection = asked.selection.clone().unwrap_or_default();
    selection.priors.clear();
    Some(selection)
}

/// What the recipe knows before.
fn add_priors(dual: &mut DualSettings, asked: &DualSettings, method: &str) -> Result<()> {
    let known = asked.selection.iter().flat_map(|of| of.priors.clone());
    let known: Vec<_> = known.collect();
    if known.is_empty() {
        return Err(
            Failure::usage(format!("`{method}`: nothing is known before"))
                .help("Name a recipe with [[dual.selection.priors]]."),
        );
    }
    match &mut dual.selection {
        Some(selection) => {
            selection.priors = known;
            Ok(())
        }
        None => Err(Failure::usage(format!(
            "`+priors` says nothing in `{method}` without a selection"
        ))
        .help("Put +selection before it.")),
    }
}

/// The [`MEASURES`] of one run.
fn of_run(run: &[ComparedObjects], weights: Weights<'_>) -> Statistics<{ MEASURES.len() }> {
    fn each<T>(run: &[ComparedObjects], of: impl Fn(&ComparedObjects) -> T) -> Vec<T> {
        run.iter().map(of).collect()
    }
    let matches = MatchCounts::pool(&each(run, ComparedObjects::at_half), weights)?;
    let jaccard = AggregatedJaccard::pool(&each(run, |image| image.jaccard), weights)?;
    let foreground = ClassOverlap::pool(&each(run, |image| image.foreground), weights)?;
    Ok([
        matches.f1()?,
        matches.recall()?,
        none_if_undefined(matches.precision())?,
        jaccard.index()?,
        foreground.dice(EmptyCase::Undefined)?,
    ])
}

/// Where nothing was found nothing is right.
fn none_if_undefined(
    precision: std::result::Result<f64, Error>,
) -> std::result::Result<f64, Error> {
    match precision {
        Err(Error::Undefined(_)) => Ok(0.0),
        other => other,
    }
}
