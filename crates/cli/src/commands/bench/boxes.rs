//! Ways to learn from wrong and missing boxes side by side: the layout of Table 1 of Elbatel et al., SISSI
//! (arXiv 2208.03327).

use std::path::Path;

use cleanslide_data::{Dataset, Detection, Evidence, Family};
use cleanslide_eval::Weights;
use cleanslide_eval::detection::{CocoMatches, CocoSubset, TrueBox};
use cleanslide_learn::correction::{Background, GivenLabels};
use cleanslide_learn::detect::correction::{BoxTrust, CorrectionSettings};

use super::cells::{Request, rows};
use super::comparison::{
    AVERAGE, Comparison, Judged, Statistics, Truth, background_by_name, base, compare, named,
    networks_or_own, several_backgrounds, start_by_name,
};
use crate::commands::evaluate::shape_measures::{at_iou, found_boxes, match_boxes, true_boxes};
use crate::commands::train::boxes::Boxes;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::network_run::BoxRecipe;
use crate::truth::reference_name;

/// The methods by default: the table of the paper, where `plain` is what begins without any correction.
const METHODS: [&str; 7] = [
    "plain",
    "self-training",
    "self-training+weak",
    "self-training+strong",
    "adele",
    "adele+weak",
    "adele+strong",
];

/// What methods are compared by.
const MEASURES: [&str; 4] = ["AP50", "AP75", "AP", "AR"];

/// Trains what is missing, and compares.
pub fn run(
    context: &Context,
    dataset: &Dataset,
    request: &Request,
    class_agnostic: bool,
) -> Result<()> {
    // What is wrong with what is asked is found before hours of training.
    let (base, predicted) = base::<BoxRecipe>(dataset, request)?;
    let name = reference_name(dataset, request.reference)?;
    let reference = dataset.reference(&name)?;
    let truth = Truth::new(
        dataset,
        (&name, &reference),
        Family::Boxes,
        &predicted,
        true_boxes,
    )?;
    let matches = |found: Vec<(Vec<TrueBox>, Vec<Detection>)>| {
        match_boxes(&found, dataset.classes().len(), class_agnostic)
    };
    let read = |run: &Path| {
        let with =
            |truth: &Vec<TrueBox>, found: &Evidence| Ok((truth.clone(), found_boxes(found)?));
        matches(truth.with_predictions(dataset, run, with)?)
    };
    let comparison = Comparison::new(context, &truth.groups, MEASURES, &of_run);
    let nothing = truth.images.values().map(|of| (of.clone(), Vec::new()));
    comparison.check(matches(nothing.collect())?, &name)?;
    let networks = networks_or_own(request, &base)?;
    let rows = rows(request, &networks, &METHODS, context.seed, with_method)?;
    let judged = Judged {
        reference: name,
        class_agnostic,
        images: truth.images.len(),
        cases: truth.groups.count(),
        folds: base.folds,
    };
    compare::<Boxes, _, _>(context, dataset, request, &rows, &comparison, judged, read)
}

/// The recipe with a method, and what it is named with.
fn with_method(base: &BoxRecipe, method: &str) -> Result<BoxRecipe> {
    let mut parts = method.split('+');
    let mut recipe = BoxRecipe {
        correction: correction(base, parts.next().unwrap_or_default())?,
        ..base.clone()
    };
    if recipe.correction.is_none() {
        // All others are validated by other data, if at all, and keep their last network. By its own labels, which are
        // doubted, this one would learn from fewer images and be chosen by them.
        (recipe.train.validation, recipe.train.patience) = (0.0, 0);
    }
    let asked = base.correction.clone().unwrap_or_default().background;
    let ignored = named("ignored")?;
    let background = |part| background_by_name(part, asked, ignored);
    let mut has_background = false;
    for part in parts {
        match (part, &mut recipe.correction, background(part)) {
            (_, Some(_), Some(_)) if has_background => {
                return Err(several_backgrounds(method));
            }
            (_, Some(correction), Some(asked)) => {
                correction.background = asked;
                has_background = true;
            }
            ("trust", Some(correction), _) => correction.trust = BoxTrust::Score,
            ("completed", Some(correction), _) => correction.given = GivenLabels::Completed,
            ("average", ..) if recipe.train.average == 0.0 => recipe.train.average = AVERAGE,
            ("average", ..) => {}
            _ => {
                return Err(
                    Failure::usage(format!("`+{part}` says nothing in `{method}`")).help(
                        "self-training and adele may be followed by +weak or +strong (how all else is blurred) or \
                         +ignored, by +trust (scores weigh corrected boxes) and by +completed (given boxes stay); any \
                         method by +average (a running average predicts and corrects).",
                    ),
                );
            }
        }
    }
    Ok(recipe)
}

/// How a method corrects labels: all but when it starts and what becomes of the background is as the recipe has it.
fn correction(base: &BoxRecipe, name: &str) -> Result<Option<CorrectionSettings>> {
    let asked = base.correction.clone().unwrap_or_default();
    match (name, start_by_name(name, asked.start)?) {
        ("plain", _) => Ok(None),
        (_, Some(start)) => Ok(Some(CorrectionSettings {
            start,
            given: GivenLabels::Replaced,
            background: Background::Kept,
            ..asked
        })),
        (_, None) => Err(
            Failure::usage(format!("there is no method `{name}` for boxes")).help(
                "The methods are plain, self-training (labels are corrected once the validation becomes no better) and \
                 adele (once the fit to the given labels slows down).",
            ),
        ),
    }
}

/// The [`MEASURES`] of one run.
fn of_run(run: &CocoMatches, weights: Weights<'_>) -> Statistics<{ MEASURES.len() }> {
    let (precision, recall) = run.precision_and_recall(&CocoSubset::default(), weights)?;
    Ok([
        run.average_precision(&at_iou(0.5), weights)?,
        run.average_precision(&at_iou(0.75), weights)?,
        precision,
        recall,
    ])
}
