//! How well two networks told false labels of objects from true ones, epoch by epoch.
//!
//! A given object is true if it is matched with a true object of its class at an intersection over union above 0.5.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cleanslide_data::{Dataset, Evidence, Family, Target, independent_units};
use cleanslide_eval::matching::{Assignment, MatchCounts, Overlaps, match_objects};
use cleanslide_eval::{Bootstrap, Estimate, Groups, Weights};
use cleanslide_learn::dual::{JudgedObject, SelectionCycle, State};
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::network_run::{Labelled, labels_of_run, read_manifest};
use crate::output::{Show, count};
use crate::text_table::TextTable;

/// The name of the table that is judged.
pub const TABLE: &str = "selection.csv";

/// Objects that overlap by more are the same.
const SAME_OBJECT: f64 = 0.5;

#[derive(Debug, Serialize)]
struct Summary {
    truth: String,
    selection: String,
    labels: String,
    source: String,
    images: usize,
    cases: usize,
    /// Given objects, and those of them that are false.
    given: usize,
    #[serde(rename = "false")]
    wrong: usize,
    epochs: Vec<AtEpoch>,
}

/// What was decided after an epoch. Shares of nothing are not given.
#[derive(Debug, Serialize)]
struct AtEpoch {
    epoch: usize,
    /// The share of false objects that was estimated.
    estimated: f64,
    /// Objects that were dropped or doubted, and the share of them that is false.
    left_out: usize,
    precision: Option<Estimate>,
    /// The share of the false ones that was dropped or doubted.
    recall: Option<Estimate>,
    /// The share of the kept or redrawn ones that is true, and of the true ones that was kept or redrawn.
    kept_precision: Option<Estimate>,
    kept_recall: Option<Estimate>,
}

/// Measures what was decided in a training, whose folder has the table, against a reference.
pub fn run(context: &Context, dataset: &Dataset, table: &Path, reference: &str) -> Result<()> {
    let whole = std::path::absolute(table).unwrap_or_else(|_| table.to_owned());
    let folder = whole.parent().unwrap_or(Path::new("."));
    let epochs = SelectionCycle::epochs(folder)?;
    let manifest = read_manifest(folder.parent().unwrap_or(Path::new(".")));
    let (Ok(manifest), Some(&last)) = (manifest, epochs.last()) else {
        return Err(Failure::input(format!(
            "{} does not lie in the folder of a training that selected labels",
            table.display()
        ))
        .help("Give RUN/whole/selection.csv of a run by `cleanslide train DATASET --method dual --out RUN`."));
    };
    if manifest.kind != Labelled::Instances {
        return Err(Failure::input(format!(
            "{} is not of masks of objects",
            table.display()
        )));
    }
    let labels = labels_of_run(dataset, &manifest, table)?;
    let given = labels.of_images(&manifest.source, Family::Instances);
    let true_ones = dataset.reference(reference)?;
    let pieces = true_ones.for_evaluation().evidence().iter();
    let truth: BTreeMap<&str, &Evidence> = pieces
        .filter(|piece| piece.target.family() == Family::Instances)
        .map(|piece| (piece.scope.item(), piece))
        .collect();
    let units = independent_units(dataset.images());
    let units: BTreeMap<&str, usize> = (dataset.images().iter())
        .zip(units)
        .map(|(image, unit)| (image.id.as_str(), unit))
        .collect();
    let all = SelectionCycle::read(folder, last)?;
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    for image in &all.images {
        let id = image.image.as_str();
        if let (Some(given), Some(truth), Some(&case)) =
            (given.get(id), truth.get(id), units.get(id))
        {
            let right = right_ones(given, truth)?;
            known.insert(id.to_owned(), Known { case, right });
        }
    }
    let bootstrap = Bootstrap {
        seed: context.seed,
        ..Bootstrap::default()
    };
    let mut rows = Vec::new();
    for &epoch in &epochs {
        let cycle = SelectionCycle::read(folder, epoch)?;
        rows.push(at_epoch(&cycle, &known, &bootstrap)?);
    }
    let judged = judged(&all, &known);
    let given = judged.iter().map(|(objects, _)| objects.len()).sum();
    let is_wrong = |objects: &[JudgedObject], of: &Known| {
        let wrong = objects
            .iter()
            .filter(|object| !of.right.contains(&object.number));
        wrong.count()
    };
    let wrong = judged
        .iter()
        .map(|(objects, of)| is_wrong(objects, of))
        .sum();
    let cases: BTreeSet<usize> = known.values().map(|of| of.case).collect();
    context.output.show(&Summary {
        truth: format!("reference `{reference}`"),
        selection: table.display().to_string(),
        labels: manifest.labels.to_string(),
        source: manifest.source,
        images: judged.len(),
        cases: cases.len(),
        given,
        wrong,
        epochs: rows,
    })
}

/// What is true of the labels of an image.
struct Known {
    case: usize,
    /// The numbers of the given objects that are true.
    right: BTreeSet<u32>,
}

/// The given objects of each image of which the truth is known.
fn judged<'a>(
    cycle: &'a SelectionCycle,
    known: &'a BTreeMap<String, Known>,
) -> Vec<(&'a [JudgedObject], &'a Known)> {
    let images = cycle.images.iter();
    images
        .filter_map(|image| Some((image.objects.as_slice(), known.get(&image.image)?)))
        .collect()
}

/// The numbers of the given objects that are true.
fn right_ones(given: &Evidence, truth: &Evidence) -> Result<BTreeSet<u32>> {
    let (
        Target::Instances { mask, classes },
        Target::Instances {
            mask: of_truth,
            classes: true_classes,
        },
    ) = (&given.target, &truth.target)
    else {
        return Ok(BTreeSet::new());
    };
    let (given, truth) = (mask.read_instances()?, of_truth.read_instances()?);
    let overlaps = Overlaps::new(truth.view(), given.view())?;
    let class = |classes: &[usize], number: u32| classes.get(number as usize - 1).copied();
    let mut pairs = overlaps.pairs();
    pairs.retain(|pair| {
        let truth = overlaps.truth[pair.truth].number;
        let given = overlaps.predicted[pair.predicted].number;
        pair.iou > SAME_OBJECT && class(true_classes, truth) == class(classes, given)
    });
    let matching = match_objects(overlaps.counts(), &pairs, SAME_OBJECT, Assignment::Optimal)?;
    let matched = matching.pairs.iter();
    Ok(matched
        .map(|pair| overlaps.predicted[pair.predicted].number)
        .collect())
}

fn at_epoch(
    cycle: &SelectionCycle,
    known: &BTreeMap<String, Known>,
    bootstrap: &Bootstrap,
) -> Result<AtEpoch> {
    let images = judged(cycle, known);
    let cases: Vec<usize> = images.iter().map(|(_, of)| of.case).collect();
    let groups = Groups::new(&cases)?;
    let left_out = |object: &JudgedObject| matches!(object.state, State::Dropped | State::Doubted);
    let counts = |wanted: &dyn Fn(&JudgedObject, bool) -> [bool; 2]| -> Vec<MatchCounts> {
        let of_image = |(objects, of): &(&[JudgedObject], &Known)| {
            let mut counts = MatchCounts::default();
            for object in *objects {
                match wanted(object, of.right.contains(&object.number)) {
                    [true, true] => counts.true_positives += 1.0,
                    [true, false] => counts.false_positives += 1.0,
                    [false, true] => counts.false_negatives += 1.0,
                    [false, false] => {}
                }
            }
            counts
        };
        images.iter().map(of_image).collect()
    };
    let dropping = counts(&|object, right| [left_out(object), !right]);
    let keeping = counts(&|object, right| [!left_out(object), right]);
    let share =
        |counts: &[MatchCounts],
         of: fn(&MatchCounts) -> std::result::Result<f64, cleanslide_eval::Error>| {
            let pooled = |weights: Weights<'_>| of(&MatchCounts::pool(counts, weights)?);
            bootstrap.estimate(&groups, pooled).ok()
        };
    Ok(AtEpoch {
        epoch: cycle.epoch,
        estimated: cycle.false_share,
        left_out: images
            .iter()
            .map(|(objects, _)| objects.iter().filter(|object| left_out(object)).count())
            .sum(),
        precision: share(&dropping, MatchCounts::precision),
        recall: share(&dropping, MatchCounts::recall),
        kept_precision: share(&keeping, MatchCounts::precision),
        kept_recall: share(&keeping, MatchCounts::recall),
    })
}

impl Show for Summary {
    fn text(&self) -> String {
        let share = |estimate: &Option<Estimate>| {
            (estimate.as_ref()).map_or_else(|| "–".to_owned(), |estimate| format!("{estimate:.3}"))
        };
        let mut table = TextTable::new(&[
            "after epoch",
            "estimated false",
            "left out",
            "false of these",
            "of all false",
            "true of the kept",
            "of all true",
        ]);
        for row in &self.epochs {
            table.row([
                row.epoch.to_string(),
                format!("{:.3}", row.estimated),
                row.left_out.to_string(),
                share(&row.precision),
                share(&row.recall),
                share(&row.kept_precision),
                share(&row.kept_recall),
            ]);
        }
        format!(
            "{} of `{}` in {} against the {}, 95 % intervals over {}\n{} of {} false, on {}\n{}",
            self.selection,
            self.source,
            self.labels,
            self.truth,
            count(self.cases, "case"),
            self.wrong,
            count(self.given, "given object"),
            count(self.images, "image"),
            table.text()
        )
    }
}
