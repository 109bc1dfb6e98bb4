//! Ways to learn from wrong and missing boxes side by side: the layout of Table 1 of Elbatel et al., SISSI
//! (arXiv 2208.03327).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cleanslide_data::{Dataset, Detection, Evidence, Family, ImageRecord, Labels, Reference};
use cleanslide_eval::detection::{CocoMatches, CocoSubset, TrueBox};
use cleanslide_eval::{Bootstrap, Error, Estimate, Groups, Weights};
use cleanslide_learn::correction::{Background, Start};
use cleanslide_learn::detect::correction::{BoxTrust, CorrectionSettings, GivenBoxes};
use cleanslide_nn::devices::DeviceName;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::REPLICATES;
use super::cells::{Network, Request, Row, networks, publish, rows, train_missing};
use crate::arguments::LabelsArguments;
use crate::commands::evaluate::shape_measures::{at_iou, found_boxes, match_boxes, true_boxes};
use crate::commands::evaluate::shapes::{cases, of_images};
use crate::commands::train::boxes::Boxes;
use crate::commands::train::networks::{SOURCE, check, test_images};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::network_run::{BoxRecipe, NetworkRecipe, is_finished};
use crate::output::{Show, count};
use crate::pipeline::may_be_learned_from;
use crate::progress;
use crate::shape_labels::ShapeLabels;
use crate::text_table::TextTable;
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

/// What the running average of `+average` keeps of itself in each step.
const AVERAGE: f64 = 0.99;

/// What methods are compared by.
const MEASURES: [&str; 4] = ["AP50", "AP75", "AP", "AR"];

/// A measure of a method: the mean over seeds.
#[derive(Debug, Clone, Serialize)]
struct Measured {
    value: Estimate,
    /// To the first method with the same network, on the same resamples; none of the first itself.
    gain: Option<Estimate>,
}

#[derive(Debug, Clone, Serialize)]
struct Line {
    network: String,
    method: String,
    measures: BTreeMap<&'static str, Measured>,
}

#[derive(Debug, Serialize)]
struct Summary {
    folder: PathBuf,
    reference: String,
    class_agnostic: bool,
    /// Images that are judged.
    images: usize,
    cases: usize,
    /// None where images for test are judged.
    folds: usize,
    seeds: u64,
    lines: Vec<Line>,
}

/// Trains what is missing, and compares.
pub fn run(
    context: &Context,
    dataset: &Dataset,
    request: &Request,
    class_agnostic: bool,
) -> Result<()> {
    // What is wrong with what is asked is found before hours of training.
    let (base, predicted) = base(dataset, request)?;
    let name = reference_name(dataset, request.reference)?;
    let reference = dataset.reference(&name)?;
    let truth = Truth::new(dataset, &name, &reference, &predicted, class_agnostic)?;
    let judge = Judge {
        truth: &truth,
        bootstrap: Bootstrap {
            replicates: REPLICATES,
            seed: context.seed,
            ..Bootstrap::default()
        },
    };
    judge.check()?;
    let networks = match request.networks {
        [] => vec![Network {
            name: base.network().to_owned(),
            folder: request.out.to_owned(),
            recipe: base.clone(),
        }],
        _ => networks(request, &base)?,
    };
    let rows = rows(request, &networks, &METHODS, context.seed, with_method)?;
    for row in &rows {
        check::<Boxes>(context, dataset, &row.recipe, DeviceName::Cpu)?;
        for run in row.runs.iter().filter(|run| is_finished(run)) {
            truth.matches_of(dataset, run)?;
        }
    }
    train_missing::<Boxes>(context, dataset, &rows, &protocol(base.folds))?;
    let summary = Summary {
        folder: request.out.to_owned(),
        reference: name.clone(),
        class_agnostic,
        images: truth.images.len(),
        cases: truth.groups.count(),
        folds: base.folds,
        seeds: request.seeds,
        lines: judge.lines(dataset, &rows)?,
    };
    publish(context, request, &summary)
}

/// How cells are judged, in words.
fn protocol(folds: usize) -> String {
    match folds {
        0 => "the images for test are judged".to_owned(),
        folds => format!("{folds} folds by case"),
    }
}

/// The recipe that all cells share, in which label version and source are named, and the images that each cell predicts:
/// those for test, or in folds all that are learned from.
fn base(dataset: &Dataset, request: &Request) -> Result<(BoxRecipe, BTreeSet<String>)> {
    let recipe: BoxRecipe = request.recipe()?;
    let asked = LabelsArguments {
        labels: recipe.labels,
        source: recipe.source.clone(),
    };
    let labels = ShapeLabels::load(dataset, &asked)?;
    let id = |image: &ImageRecord| image.id.clone();
    let for_test: BTreeSet<String> = test_images(dataset).map(id).collect();
    let whole = !for_test.is_empty();
    let recipe = BoxRecipe {
        labels: Some(labels.version),
        source: Some(labels.source),
        folds: if whole { 0 } else { request.folds },
        whole,
        ..recipe
    };
    if whole {
        return Ok((recipe, for_test));
    }
    let learned = labels.images.iter();
    let in_folds = learned.filter(|image| may_be_learned_from(image)).map(id);
    Ok((recipe, in_folds.collect()))
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
    let mut backgrounds = Vec::new();
    for part in parts {
        match (part, &mut recipe.correction) {
            ("weak", Some(_)) => backgrounds.push(Background::WEAK),
            ("strong", Some(_)) => backgrounds.push(Background::STRONG),
            ("ignored", Some(_)) => backgrounds.push(named("ignored")?),
            ("trust", Some(correction)) => correction.trust = BoxTrust::Score,
            ("completed", Some(correction)) => correction.given = GivenBoxes::Completed,
            ("average", _) if recipe.train.average == 0.0 => recipe.train.average = AVERAGE,
            ("average", _) => {}
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
    match (backgrounds.as_slice(), &mut recipe.correction) {
        ([], _) => {}
        ([one], Some(correction)) => correction.background = *one,
        _ => {
            return Err(
                Failure::usage(format!("`{method}` has several backgrounds"))
                    .help("Choose one of +weak, +strong and +ignored."),
            );
        }
    }
    Ok(recipe)
}

/// How a method corrects labels: all but when it starts and what becomes of the background is as the recipe has it.
fn correction(base: &BoxRecipe, name: &str) -> Result<Option<CorrectionSettings>> {
    let asked = base.correction.clone().unwrap_or_default();
    let start = match (name, asked.start) {
        ("plain", _) => return Ok(None),
        ("self-training", start @ Start::Validation { .. })
        | ("adele", start @ Start::Deceleration { .. }) => start,
        ("self-training", _) => named("validation")?,
        ("adele", _) => named("deceleration")?,
        _ => {
            return Err(Failure::usage(format!("there is no method `{name}` for boxes")).help(
                "The methods are plain, self-training (labels are corrected once the validation becomes no better) and \
                 adele (once the fit to the given labels slows down).",
            ));
        }
    };
    Ok(Some(CorrectionSettings {
        start,
        given: GivenBoxes::Replaced,
        background: Background::Kept,
        ..asked
    }))
}

/// What a recipe means by a name alone.
fn named<T: DeserializeOwned>(name: &str) -> Result<T> {
    toml::from_str(&format!("name = \"{name}\"")).map_err(|error| Failure::other(error.to_string()))
}

/// What is true of the images that are judged.
struct Truth {
    reference: String,
    /// By image, in the order of their names.
    images: BTreeMap<String, Vec<TrueBox>>,
    /// Their cases, in the same order.
    groups: Groups,
    classes: usize,
    class_agnostic: bool,
}

impl Truth {
    fn new(
        dataset: &Dataset,
        name: &str,
        reference: &Reference,
        predicted: &BTreeSet<String>,
        class_agnostic: bool,
    ) -> Result<Self> {
        let known = of_images(reference.for_evaluation(), Family::Boxes);
        let images = predicted
            .iter()
            .filter_map(|id| Some((id, known.get(id.as_str())?)))
            .map(|(id, piece)| Ok((id.clone(), true_boxes(piece)?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        if images.is_empty() {
            return Err(Failure::input(format!(
                "the reference `{name}` has boxes of no image that is predicted"
            ))
            .help("Images for test are, or where there are none all that are learned from."));
        }
        let of_images = cases(dataset);
        let units = images
            .keys()
            .filter_map(|id| of_images.get(id.as_str()).copied());
        Ok(Self {
            reference: name.to_owned(),
            groups: Groups::new(&units.collect::<Vec<_>>())?,
            images,
            classes: dataset.classes().len(),
            class_agnostic,
        })
    }

    /// What was found in each image, against what is true.
    fn matches(
        &self,
        mut found: impl FnMut(&str) -> Result<Vec<Detection>>,
    ) -> Result<CocoMatches> {
        let images = self.images.iter();
        let images: Vec<_> = images
            .map(|(id, truth)| Ok((truth.clone(), found(id)?)))
            .collect::<Result<_>>()?;
        match_boxes(&images, self.classes, self.class_agnostic)
    }

    /// What a run found, against what is true.
    fn matches_of(&self, dataset: &Dataset, run: &Path) -> Result<CocoMatches> {
        let predictions = Labels::read(&run.join("predictions"), dataset.classes())?;
        let predicted: BTreeMap<&str, &Evidence> = predictions.of_images(SOURCE, Family::Boxes);
        self.matches(|id| match predicted.get(id) {
            Some(piece) => found_boxes(piece),
            None => Err(Failure::input(format!(
                "{} did not predict image {id}: the images were split otherwise when it was trained",
                run.display()
            ))
            .help("Choose another folder with `--out`, or restore the split.")),
        })
    }
}

/// Compares methods.
struct Judge<'a> {
    truth: &'a Truth,
    bootstrap: Bootstrap,
}

impl Judge<'_> {
    /// Refuses a truth that nothing can be told from, before anything is trained.
    fn check(&self) -> Result<()> {
        let nothing = [self.truth.matches(|_| Ok(Vec::new()))?];
        self.measures(&nothing, None).map(drop).map_err(|error| {
            error
                .about(&format!("the reference `{}`", self.truth.reference))
                .help("Its images must be of several cases, and have objects.")
        })
    }

    fn lines(&self, dataset: &Dataset, rows: &[Row<BoxRecipe>]) -> Result<Vec<Line>> {
        let bar = progress::bar("judging", rows.len());
        let mut lines: Vec<Line> = Vec::new();
        // Of the network, the runs of the first method.
        let mut first = Vec::new();
        for row in rows {
            let runs = row.runs.iter();
            let runs: Vec<CocoMatches> = runs
                .map(|run| self.truth.matches_of(dataset, run))
                .collect::<Result<_>>()?;
            let starts = lines.last().is_none_or(|last| last.network != row.network);
            let measures = self.measures(&runs, (!starts).then_some(first.as_slice()))?;
            if starts {
                first = runs;
            }
            lines.push(Line {
                network: row.network.clone(),
                method: row.method.clone(),
                measures,
            });
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(lines)
    }

    /// The measures of the runs of all seeds, and their differences to those of the first method.
    fn measures(
        &self,
        runs: &[CocoMatches],
        first: Option<&[CocoMatches]>,
    ) -> Result<BTreeMap<&'static str, Measured>> {
        const COUNT: usize = MEASURES.len();
        let both: [Estimate; 2 * COUNT] =
            self.bootstrap.estimates(&self.truth.groups, |weights| {
                let of = mean(runs, weights)?;
                let to = mean(first.unwrap_or(runs), weights)?;
                Ok(std::array::from_fn(|place| {
                    match place.checked_sub(COUNT) {
                        None => of[place],
                        Some(place) => of[place] - to[place],
                    }
                }))
            })?;
        let (values, gains) = both.split_at(COUNT);
        let measures = MEASURES.into_iter().zip(values.iter().zip(gains));
        Ok(measures
            .map(|(name, (value, gain))| {
                let gain = first.map(|_| *gain);
                (
                    name,
                    Measured {
                        value: *value,
                        gain,
                    },
                )
            })
            .collect())
    }
}

type Statistics = std::result::Result<[f64; MEASURES.len()], Error>;

/// The [`MEASURES`], the mean over the runs.
fn mean(runs: &[CocoMatches], weights: Weights<'_>) -> Statistics {
    let mut means = [0.0; MEASURES.len()];
    for run in runs {
        for (mean, value) in means.iter_mut().zip(of_run(run, weights)?) {
            *mean += value / runs.len() as f64;
        }
    }
    Ok(means)
}

/// The [`MEASURES`] of one run.
fn of_run(run: &CocoMatches, weights: Weights<'_>) -> Statistics {
    let (precision, recall) = run.precision_and_recall(&CocoSubset::default(), weights)?;
    Ok([
        run.average_precision(&at_iou(0.5), weights)?,
        run.average_precision(&at_iou(0.75), weights)?,
        precision,
        recall,
    ])
}

impl Summary {
    fn table(&self) -> String {
        let of_first = |line: &Line| line.network == self.lines[0].network;
        let several = !self.lines.iter().all(of_first);
        let mut columns = vec!["<method"];
        if several {
            columns.insert(0, "<network");
        }
        columns.extend(MEASURES.into_iter().flat_map(|name| [name, "gain"]));
        let mut table = TextTable::new(&columns);
        for line in &self.lines {
            let network = several.then(|| line.network.clone());
            let measures = MEASURES.iter().flat_map(|name| {
                let measured = &line.measures[name];
                let gain = measured.gain.map(|gain| format!("{gain:+.3}"));
                [format!("{:.3}", measured.value), gain.unwrap_or_default()]
            });
            table.row(
                network
                    .into_iter()
                    .chain([line.method.clone()])
                    .chain(measures),
            );
        }
        table.text()
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        format!(
            "{} of {}, {}, {}; 95 % intervals over cases; gains are to the first method\n\
             against reference {}{}:\n{}\nall figures: {}",
            count(self.images, "image"),
            count(self.cases, "case"),
            protocol(self.folds),
            count(self.seeds as usize, "seed"),
            self.reference,
            if self.class_agnostic {
                ", any class matching any other"
            } else {
                ""
            },
            self.table(),
            self.folder.join("bench.json").display()
        )
    }
}
