//! `cleanslide evaluate`: predictions or labels against a reference.

mod found;
pub mod selection;
pub mod shape_measures;
pub mod shapes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use cleanslide_data::{Classes, Dataset, Labels, Split, Table, Task, VersionId};
use cleanslide_eval::{
    Bootstrap, Estimate, Groups, LabelPairs, PairedComparison, Ranking, Weights,
};
use cleanslide_learn::image_labels::ImageLabels;
use cleanslide_learn::predictions::Predictions;
use ndarray::{Array2, Axis};
use serde::Serialize;

use crate::context::Context;
use crate::corrected_labels::{self, is_for_test, source_if_corrected};
use crate::failure::{Failure, Result};
use crate::measures::{Judged, Measure, label_measures, table};
use crate::network_run::predictions_of_run;
use crate::output::{Show, count, thousands};
use crate::text_table::TextTable;
use crate::truth::Truth;

/// Measure predictions or labels against a reference, with 95 % intervals
///
/// Intervals resample cases, not images, where TRUTH knows them: a dataset, or a table with a column case, slide or
/// group. Predictions are probabilities, or classes alone: then nothing is told of AUROC and calibration.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cleanslide evaluate mitoses runs/robust --reference majority\n  \
cleanslide evaluate mitoses v3 --reference majority\n  \
cleanslide evaluate mitoses runs/robust --against runs/plain\n  \
cleanslide evaluate mitoses mitoses/audits/v1-expert1/issues.csv --reference majority\n  \
cleanslide evaluate truth.csv predictions.csv\n  \
cleanslide evaluate smears v2 --source hough --reference corrected --class-agnostic\n  \
cleanslide evaluate nuclei runs/unet --reference corrected\n  \
cleanslide evaluate nuclei runs/dual/whole/selection.csv --reference corrected\n  \
cleanslide evaluate cfos runs/reweight --given all"
)]
pub struct Evaluate {
    /// What is true: a dataset with a reference, or a csv table with the columns image and class, and case or slide
    /// where images share one
    truth: PathBuf,
    /// What is judged: a run, a csv table with the columns image and `probability CLASS` of each class, or image and
    /// predicted, a label version of the dataset, the issues.csv of an audit, or the
    /// selection.csv of a training by `dual`
    prediction: String,
    /// A second run or table, compared with the first image by image
    #[arg(long, value_name = "PREDICTION")]
    against: Option<String>,
    /// Which reference of the dataset; the only one by default
    #[arg(long, value_name = "NAME")]
    reference: Option<String>,
    /// Measure against these given labels instead, which may be wrong; of boxes and masks, `all` is every source of
    /// the latest version, each on its own
    #[arg(long, value_name = "SOURCE", conflicts_with = "reference")]
    given: Option<String>,
    /// The source to judge, where a label version has several; boxes and masks of all are judged
    /// by default
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Issues of boxes and masks: from this IoU with a true object of its class on, a label counts as
    /// right
    #[arg(long, default_value_t = 0.9, value_name = "IOU")]
    same_from: f64,
    /// Boxes: any class matches any other
    #[arg(long)]
    class_agnostic: bool,
    /// Every measure. Boxes: COCO's twelve, each class, FROC; class masks: means over images and distances
    /// of borders; instances: average precision, SQ, RQ, AJI+
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Serialize)]
struct Summary {
    truth: String,
    prediction: String,
    against: Option<String>,
    images: usize,
    cases: usize,
    without_truth: usize,
    /// Images with truth that one of two predictions alone has, of the first and of the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_compared: Option<[usize; 2]>,
    measures: Vec<Measure>,
    measures_against: Option<Vec<Measure>>,
    difference_in_balanced_accuracy: Option<PairedComparison>,
    confusion: Vec<Vec<f64>>,
    classes: Vec<String>,
}

/// The sources that are asked for: one, or `all`.
fn given_sources(dataset: &Dataset, given: &Labels, asked: &str) -> Result<Vec<String>> {
    let all = dataset.manifest().sources.iter().map(|source| &source.id);
    let labels = |name: &&String| given.evidence().iter().any(|piece| piece.source == **name);
    let all: Vec<String> = all.filter(labels).cloned().collect();
    if asked == "all" {
        return Ok(all);
    }
    if all.iter().any(|name| name == asked) {
        return Ok(vec![asked.to_owned()]);
    }
    Err(Failure::usage(format!("`{asked}` labels no image"))
        .help(format!("The sources are: {}.", all.join(", "))))
}

/// What is judged: probabilities, or plain labels.
enum Judgement {
    Probabilities(Predictions),
    Labels(BTreeMap<String, usize>),
}

impl Judgement {
    /// The images whose truth is known.
    fn known(&self, truth: &Truth) -> BTreeSet<String> {
        let ids: Box<dyn Iterator<Item = &String>> = match self {
            Self::Probabilities(predictions) => Box::new(predictions.images.iter()),
            Self::Labels(labels) => Box::new(labels.keys()),
        };
        let known = ids.filter(|id| truth.images.contains_key(*id));
        known.cloned().collect()
    }

    fn len(&self) -> usize {
        match self {
            Self::Probabilities(predictions) => predictions.images.len(),
            Self::Labels(labels) => labels.len(),
        }
    }

    /// What is said of these images alone.
    fn about(self, images: &BTreeSet<String>) -> Self {
        match self {
            Self::Probabilities(predictions) => {
                let rows: Vec<usize> = (0..predictions.images.len())
                    .filter(|&row| images.contains(&predictions.images[row]))
                    .collect();
                Self::Probabilities(of_rows(predictions, &rows))
            }
            Self::Labels(mut labels) => {
                labels.retain(|id, _| images.contains(id));
                Self::Labels(labels)
            }
        }
    }
}

/// Some of the predictions.
fn of_rows(predictions: Predictions, rows: &[usize]) -> Predictions {
    let of = |names: &[String]| rows.iter().map(|&row| names[row].clone()).collect();
    Predictions {
        images: of(&predictions.images),
        parts: of(&predictions.parts),
        probabilities: predictions.probabilities.select(Axis(0), rows),
        classes: predictions.classes,
    }
}

/// Whether this is an image for validation, which may have chosen something, such as when a training stopped.
fn may_have_chosen(dataset: &Dataset, id: &str) -> bool {
    let image = dataset.position(id);
    image.is_some_and(|image| dataset.images()[image].split == Some(Split::Validation))
}

/// Predictions without those of images for validation; `for_test` leaves those for test alone.
fn unseen(dataset: &Dataset, predictions: Labels, for_test: bool) -> Result<Labels> {
    let mut evidence = predictions.into_evidence();
    evidence.retain(|piece| is_fair(dataset, piece.scope.item(), for_test));
    Ok(Labels::new(evidence, dataset.classes())?)
}

/// Whether a run may be judged by an image; by those for test alone, where a model corrected its labels.
fn is_fair(dataset: &Dataset, id: &str, for_test: bool) -> bool {
    if for_test {
        is_for_test(dataset, id)
    } else {
        !may_have_chosen(dataset, id)
    }
}

/// The same of classes that a run predicted.
fn unseen_classes(
    dataset: &Dataset,
    run: &Path,
    predictions: Predictions,
    for_test: bool,
) -> Result<Predictions> {
    let rows: Vec<usize> = (0..predictions.images.len())
        .filter(|&row| is_fair(dataset, &predictions.images[row], for_test))
        .collect();
    if rows.is_empty() {
        return Err(Failure::input(format!(
            "{} predicted images for validation only, which may have chosen when its training stopped",
            run.display()
        ))
        .help("Judge a run by images that its training did not see: those of other folds, or those for test."));
    }
    Ok(of_rows(predictions, &rows))
}

impl Evaluate {
    pub fn run(self, context: &Context) -> Result<()> {
        let dataset = if self.truth.is_dir() {
            Some(context.open(&self.truth)?)
        } else {
            None
        };
        if let Some(dataset) = dataset
            .as_ref()
            .filter(|d| d.manifest().task != Task::Classification)
        {
            return self.shapes(context, dataset);
        }
        let truth = match (&dataset, &self.given) {
            (Some(dataset), Some(source)) => Truth::of_given(dataset, None, source)?,
            (Some(dataset), None) => Truth::of_dataset(dataset, self.reference.as_deref())?,
            (None, _) => Truth::of_table(&self.truth)?,
        };
        if dataset.is_none() && !truth.knows_cases {
            context.output.warn(&format!(
                "each image counts as a case of its own: if images share a patient, intervals are too narrow; add a column \
                 `case` or `slide` to {}",
                truth.name
            ));
        }
        if let Some(ranked) = rank_issues(Path::new(&self.prediction), &truth, context.seed)? {
            return context.output.show(&ranked);
        }
        let for_test = self.for_test(context, dataset.as_ref());
        let mut first = self.read(dataset.as_ref(), &truth, (&self.prediction, for_test))?;
        let without_truth = first.len() - first.known(&truth).len();
        let (mut second, mut not_compared) = (None, None);
        if let Some(other) = &self.against {
            let mut against = self.read(dataset.as_ref(), &truth, (other, for_test))?;
            let [of_first, of_second] = [&first, &against].map(|of| of.known(&truth));
            let both: BTreeSet<String> = of_first.intersection(&of_second).cloned().collect();
            if both.is_empty() && !of_first.is_empty() && !of_second.is_empty() {
                return Err(Failure::input(format!(
                    "no image with truth is both in {} and in {other}",
                    self.prediction
                ))
                .help("Compare predictions of the same images, with the same ids."));
            }
            let alone = [&of_first, &of_second].map(|of| of.len() - both.len());
            if alone != [0, 0] && !both.is_empty() {
                first = first.about(&both);
                against = against.about(&both);
                not_compared = Some(alone);
            }
            second = Some(judge(&truth, &against, context.seed)?);
        }
        let first = judge(&truth, &first, context.seed)?;
        let difference = match &second {
            Some(second) => compare(&first, second, truth.classes.len(), context.seed)?,
            None => None,
        };
        let pairs = LabelPairs::new(&first.truth, &first.predicted, truth.classes.len())?;
        let confusion = pairs.confusion(Weights::Equal)?;
        context.output.show(&Summary {
            truth: truth.name,
            prediction: self.prediction,
            against: self.against,
            images: first.truth.len(),
            cases: Groups::new(&first.cases)?.count(),
            without_truth,
            not_compared,
            measures: first.measures,
            measures_against: second.map(|second| second.measures),
            difference_in_balanced_accuracy: difference,
            confusion: confusion
                .counts()
                .rows()
                .into_iter()
                .map(|row| row.to_vec())
                .collect(),
            classes: truth.classes.names().to_vec(),
        })
    }

    /// Whether runs are judged by images for test alone, because a model corrected the labels of one of them. Tells it, or
    /// that there are none.
    fn for_test(&self, context: &Context, dataset: Option<&Dataset>) -> bool {
        let runs = std::iter::once(&self.prediction).chain(&self.against);
        let Some(corrected) = runs.map(Path::new).find_map(source_if_corrected) else {
            return false;
        };
        let images = dataset.map_or(&[][..], |dataset| dataset.images());
        let for_test = images.iter().any(|image| image.split == Some(Split::Test));
        if for_test {
            context.output.note(&format!(
                "measured on images for test alone: a model corrected the labels of {corrected} by those of the others"
            ));
        } else {
            context.output.warn(&corrected_labels::warning(&corrected));
        }
        for_test
    }

    /// Judges boxes or masks of a label version.
    fn shapes(&self, context: &Context, dataset: &Dataset) -> Result<()> {
        let table = Path::new(&self.prediction);
        if table.is_file() {
            let reference = crate::truth::reference_name(dataset, self.reference.as_deref())?;
            if table
                .file_name()
                .is_some_and(|name| name == selection::TABLE)
            {
                return selection::run(context, dataset, table, &reference);
            }
            return found::run(context, dataset, table, &reference, self.same_from);
        }
        if self.against.is_some() {
            return Err(Failure::usage(
                "`--against` is for classes, not for boxes and masks",
            ));
        }
        let labels = self.labels_of_shapes(context, dataset)?;
        let given = match &self.given {
            Some(_) => Some(dataset.labels(dataset.latest()?)?),
            None => None,
        };
        let reference;
        let truth = match (&self.given, &given) {
            (Some(asked), Some(given)) => shapes::Truth::Given {
                labels: given,
                sources: given_sources(dataset, given, asked)?,
            },
            _ => {
                reference = crate::truth::reference_name(dataset, self.reference.as_deref())?;
                shapes::Truth::Reference(&reference)
            }
        };
        let request = shapes::Request {
            labels: &labels,
            name: self.prediction.clone(),
            source: self.source.as_deref(),
            truth,
            class_agnostic: self.class_agnostic,
            all: self.all,
        };
        shapes::run(context, dataset, &request)
    }

    /// What a run predicted, or the labels of a version.
    fn labels_of_shapes(&self, context: &Context, dataset: &Dataset) -> Result<Labels> {
        let run = Path::new(&self.prediction);
        if run.is_dir() {
            let predictions = predictions_of_run(dataset, run)?;
            return unseen(dataset, predictions, self.for_test(context, Some(dataset)));
        }
        let version = self.prediction.parse::<VersionId>().map_err(|_| {
            let is_selection = run.file_name().is_some_and(|name| name == selection::TABLE);
            Failure::usage(format!(
                "`{}` is neither a run nor a label version, and no table either",
                self.prediction
            ))
            .help(if is_selection {
                "It is written when a training by `dual` is done; `train` goes on with one that was interrupted."
            } else {
                "Give a run folder, or a version such as v2; `cleanslide log` lists them."
            })
        })?;
        Ok(dataset.labels(version)?)
    }

    fn read(
        &self,
        dataset: Option<&Dataset>,
        truth: &Truth,
        (prediction, for_test): (&str, bool),
    ) -> Result<Judgement> {
        let path = Path::new(prediction);
        if path.is_dir() {
            let predictions = Predictions::read(&path.join("predictions.csv"))?;
            return Ok(Judgement::Probabilities(match dataset {
                Some(dataset) => unseen_classes(dataset, path, predictions, for_test)?,
                None => predictions,
            }));
        }
        if path.is_file() {
            return Ok(match classes_alone(path, &truth.classes)? {
                Some(labels) => Judgement::Labels(labels),
                None => Judgement::Probabilities(Predictions::read(path)?),
            });
        }
        match (dataset, prediction.parse::<VersionId>()) {
            (Some(dataset), Ok(version)) => {
                let labels = ImageLabels::load(dataset, Some(version), self.source.as_deref())?;
                let classes = labels.classes();
                let labelled = dataset.images().iter().zip(classes);
                Ok(Judgement::Labels(
                    labelled
                        .filter_map(|(image, class)| Some((image.id.clone(), class?)))
                        .collect(),
                ))
            }
            _ => Err(Failure::input(format!("{prediction} does not exist")).help(
                "Give a run folder, a csv table of predictions, or a label version such as v2.",
            )),
        }
    }
}

/// One judged run, aligned with its truth.
struct JudgedRun {
    ids: Vec<String>,
    truth: Vec<usize>,
    predicted: Vec<usize>,
    cases: Vec<usize>,
    measures: Vec<Measure>,
}

fn judge(truth: &Truth, judgement: &Judgement, seed: u64) -> Result<JudgedRun> {
    match judgement {
        Judgement::Probabilities(predictions) => judge_probabilities(truth, predictions, seed),
        Judgement::Labels(labels) => judge_labels(truth, labels, seed),
    }
}

fn judge_probabilities(truth: &Truth, predictions: &Predictions, seed: u64) -> Result<JudgedRun> {
    if predictions.classes != truth.classes {
        return Err(Failure::input(format!(
            "the predictions have the classes {}, the truth has {}",
            predictions.classes.names().join(", "),
            truth.classes.names().join(", ")
        )));
    }
    let rows: Vec<usize> = (0..predictions.images.len())
        .filter(|&row| truth.images.contains_key(&predictions.images[row]))
        .collect();
    let ids: Vec<String> = rows
        .iter()
        .map(|&row| predictions.images[row].clone())
        .collect();
    let (classes, cases) = aligned(truth, &ids, predictions.images.first())?;
    let probabilities: Array2<f32> = predictions.probabilities.select(Axis(0), &rows);
    let judged = Judged {
        truth: &classes,
        probabilities: probabilities.view(),
        cases: &cases,
        classes: &truth.classes,
    };
    let measures = judged.measures(seed)?;
    let all = predictions.predicted();
    Ok(JudgedRun {
        predicted: rows.iter().map(|&row| all[row]).collect(),
        truth: classes,
        ids,
        cases,
        measures,
    })
}

fn judge_labels(truth: &Truth, labels: &BTreeMap<String, usize>, seed: u64) -> Result<JudgedRun> {
    let ids: Vec<String> = labels
        .keys()
        .filter(|id| truth.images.contains_key(*id))
        .cloned()
        .collect();
    let (classes, cases) = aligned(truth, &ids, labels.keys().next())?;
    let predicted: Vec<usize> = ids.iter().map(|id| labels[id]).collect();
    Ok(JudgedRun {
        measures: label_measures(&classes, &predicted, &cases, &truth.classes, seed)?,
        truth: classes,
        predicted,
        ids,
        cases,
    })
}

/// The classes of a table of predictions without probabilities; `None` if it has any, or no classes either.
fn classes_alone(path: &Path, classes: &Classes) -> Result<Option<BTreeMap<String, usize>>> {
    let table = Table::read(path)?;
    let mut header = table.header().iter();
    let columns = (
        table.find("image"),
        table.find_any(&["predicted", "class", "label"]),
    );
    let (Some(image), Some(class)) = columns else {
        return Ok(None);
    };
    if header.any(|name| name.starts_with("probability ")) {
        return Ok(None);
    }
    let mut labels = BTreeMap::new();
    for row in table.rows().iter().filter(|row| !row.get(class).is_empty()) {
        let index = classes.index(row.get(class)).map_err(|error| {
            let placed = table.error(row, error.to_string());
            match error.help() {
                Some(help) => placed.with_help(help),
                None => placed,
            }
        })?;
        if labels.insert(row.get(image).to_owned(), index).is_some() {
            let problem = format!("`{}` has a prediction above already", row.get(image));
            return Err(table.error(row, problem).into());
        }
    }
    Ok(Some(labels))
}

/// The truth and the case of each of these images; `first` is that of the predictions, whatever is known of it.
fn aligned(
    truth: &Truth,
    ids: &[String],
    first: Option<&String>,
) -> Result<(Vec<usize>, Vec<usize>)> {
    if ids.is_empty() {
        let failure = Failure::input(format!(
            "no image is both in the predictions and in the {}",
            truth.name
        ));
        let ids = "The ids of the images must be the same on both sides";
        return Err(failure.help(match (first, truth.images.keys().next()) {
            (Some(predicted), Some(true_one)) => {
                format!(
                    "{ids}: the predictions begin with `{predicted}`, the truth with `{true_one}`."
                )
            }
            (None, _) => "There are no predictions.".to_owned(),
            (_, None) => "There is no truth.".to_owned(),
        }));
    }
    Ok(ids.iter().map(|id| truth.images[id]).unzip())
}

/// Two predictions of the same images, in whatever order; nothing of one case, which cannot be resampled.
fn compare(
    first: &JudgedRun,
    second: &JudgedRun,
    classes: usize,
    seed: u64,
) -> Result<Option<PairedComparison>> {
    let groups = Groups::new(&first.cases)?;
    if groups.count() == 1 {
        return Ok(None);
    }
    let of_second: BTreeMap<&String, usize> =
        (second.ids.iter().zip(second.predicted.iter().copied())).collect();
    let of_second = first.ids.iter().map(|id| of_second[id]);
    let truth = first.truth.repeat(2);
    let predicted: Vec<usize> = (first.predicted.iter().copied()).chain(of_second).collect();
    let both = LabelPairs::new(&truth, &predicted, classes)?;
    let bootstrap = Bootstrap {
        seed,
        ..Bootstrap::default()
    };
    Ok(Some(bootstrap.compare(&groups, |weights| {
        both.confusion(weights)?.balanced_accuracy()
    })?))
}

/// How well an audit ranks the labels that are really wrong.
#[derive(Debug, Serialize)]
struct RankedIssues {
    truth: String,
    issues: String,
    labels: usize,
    wrong: usize,
    cases: usize,
    average_precision: Estimate,
    /// What a random order reaches: the share of wrong labels.
    chance: Estimate,
    auroc: Estimate,
    /// Share of wrong labels among as many of the first as are wrong in all.
    precision_among_first: f64,
}

/// Judges an audit's table of issues; `None` if the file is none.
fn rank_issues(path: &Path, truth: &Truth, seed: u64) -> Result<Option<RankedIssues>> {
    if !path.is_file() {
        return Ok(None);
    }
    let table = Table::read(path)?;
    let columns = ["image", "given", "suspicion"].map(|name| table.find(name));
    let [Some(image), Some(given), Some(suspicion)] = columns else {
        return Ok(None);
    };
    let (mut wrong, mut scores, mut cases) = (Vec::new(), Vec::new(), Vec::new());
    for row in table.rows() {
        let Some(&(class, case)) = truth.images.get(row.get(image)) else {
            continue;
        };
        wrong.push(truth.classes.index(row.get(given))? != class);
        let score: f64 = row
            .get(suspicion)
            .parse()
            .map_err(|_| table.error(row, format!("`{}` is not a number", row.get(suspicion))))?;
        scores.push(score);
        cases.push(case);
    }
    if !wrong.contains(&true) {
        return Err(Failure::input(format!(
            "none of the {} differs from the {}, so there is nothing to rank",
            count(wrong.len(), "label"),
            truth.name
        )));
    }
    let ranking = Ranking::new(&wrong, &scores)?;
    let groups = Groups::new(&cases)?;
    let bootstrap = Bootstrap {
        seed,
        ..Bootstrap::default()
    };
    let errors = wrong.iter().filter(|&&wrong| wrong).count();
    Ok(Some(RankedIssues {
        truth: truth.name.clone(),
        issues: path.display().to_string(),
        labels: wrong.len(),
        wrong: errors,
        cases: groups.count(),
        average_precision: bootstrap.estimate(&groups, |w| ranking.average_precision(w))?,
        chance: bootstrap.estimate(&groups, |w| ranking.prevalence(w))?,
        auroc: bootstrap.estimate(&groups, |w| ranking.auroc(w))?,
        precision_among_first: ranking.precision_at(errors, Weights::Equal)?,
    }))
}

impl Show for RankedIssues {
    fn text(&self) -> String {
        let mut table = TextTable::new(&["measure", "value [95 % interval]"]);
        table.row([
            "average precision".to_owned(),
            format!("{:.3}", self.average_precision),
        ]);
        table.row([
            "  of a random order".to_owned(),
            format!("{:.3}", self.chance),
        ]);
        table.row(["AUROC".to_owned(), format!("{:.3}", self.auroc)]);
        let among = format!("wrong among the first {}", thousands(self.wrong));
        table.row([among, format!("{:.3}", self.precision_among_first)]);
        format!(
            "{} against {}: {}, {} of them wrong, of {}\n{}",
            self.issues,
            self.truth,
            count(self.labels, "label"),
            thousands(self.wrong),
            count(self.cases, "independent case"),
            table.text()
        )
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut lines = vec![format!(
            "{} against {}: {} of {}",
            self.prediction,
            self.truth,
            count(self.images, "image"),
            count(self.cases, "independent case")
        )];
        if self.without_truth > 0 {
            lines.push(format!(
                "{} without truth left out",
                count(self.without_truth, "image")
            ));
        }
        if let (Some([first, second]), Some(other)) = (self.not_compared, &self.against) {
            lines.push(format!(
                "compared on the images that both predict; left out: {} of {} and {} of {other}",
                count(first, "image"),
                self.prediction,
                thousands(second)
            ));
        }
        match (&self.against, &self.measures_against) {
            (Some(other), Some(measures)) => {
                lines.push(table(
                    &[&self.prediction, other],
                    &[&self.measures, measures],
                ));
            }
            _ => lines.push(table(&["value"], &[&self.measures])),
        }
        if let Some(comparison) = &self.difference_in_balanced_accuracy {
            lines.push(format!(
                "difference in balanced accuracy: {:.3}, p = {:.3}",
                comparison.difference, comparison.p_value
            ));
        }
        let mut columns = vec!["truth ↓  predicted →".to_owned()];
        columns.extend(self.classes.iter().cloned());
        let mut confusion = TextTable::new(&columns.iter().map(String::as_str).collect::<Vec<_>>());
        for (name, row) in self.classes.iter().zip(&self.confusion) {
            let cells = row.iter().map(|&number| thousands(number as usize));
            confusion.row(std::iter::once(name.clone()).chain(cells));
        }
        lines.push(String::new());
        lines.push(confusion.text());
        lines.join("\n")
    }
}
