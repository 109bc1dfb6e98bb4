//! How well an audit of boxes or instances found the labels that are wrong.
//!
//! A label is right if it is the best one, of an IoU from a limit on, for a true object of its class;
//! else it is wrong, and the mistake of all true objects without a right label that it overlaps most, if
//! their IoU is at least 0.1 (below, TIDE calls it background: Bolya et al. 2020,
//! [arXiv:2008.08115](https://arxiv.org/abs/2008.08115)) or they are at least half labelled. Other true
//! objects without a right label are missing.
//!
//! A row that names a label finds it if it is wrong. A row without a label finds the missing object or
//! the wrong label's object whose box shares at least half of the smaller of both boxes with it; if there
//! is none, or the object has a right label, it finds nothing.

use std::collections::BTreeMap;
use std::path::Path;

use cleanslide_data::{
    Dataset, Evidence, Family, Objects, Rectangle, Table, Target, VersionId, independent_units,
    mask,
};
use cleanslide_eval::matching::{MatchCounts, Overlaps, Pair, box_pairs};
use cleanslide_eval::{Bootstrap, Groups, Ranking, Weights};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::measures::{Measure, ONE_CASE};
use crate::output::{Show, count};
use crate::text_table::TextTable;

/// From this IoU on, a label is for an object, however badly.
const BACKGROUND: f64 = 0.1;

/// What `audit.json` says of the labels that were audited.
#[derive(Deserialize)]
struct Audited {
    labels: String,
    source: String,
    family: String,
}

#[derive(Debug, Serialize)]
struct Summary {
    truth: String,
    issues: String,
    labels: String,
    source: String,
    images: usize,
    cases: usize,
    /// Given objects, and those of them that are wrong.
    given: usize,
    wrong: usize,
    /// True objects, and those of them that no label is for.
    objects: usize,
    missing: usize,
    measures: Vec<Measure>,
}

/// One row of the audit.
struct Row {
    object: Option<usize>,
    suspicion: f64,
    flagged: bool,
    bounds: Rectangle,
}

/// A given label.
struct Label {
    number: usize,
    wrong: bool,
    /// The boxes of the true objects that it is for and gets wrong.
    mistaken: Vec<Rectangle>,
}

/// What is true of the labels of one image.
struct OnImage {
    case: usize,
    labels: Vec<Label>,
    /// The boxes of the true objects that no label is for.
    missing: Vec<Rectangle>,
    objects: usize,
    rows: Vec<Row>,
}

/// A label, a missing object, or something that the audit wrongly takes for missing.
struct Candidate {
    case: usize,
    is_error: bool,
    suspicion: f64,
    flagged: bool,
}

/// Measures the rows of an `issues.csv` against a reference.
pub fn run(
    context: &Context,
    dataset: &Dataset,
    table: &Path,
    reference: &str,
    same_from: f64,
) -> Result<()> {
    if !(same_from > 0.0 && same_from <= 1.0) {
        return Err(Failure::usage(format!(
            "an IoU of {same_from} is not above 0 and at most 1"
        )));
    }
    let audited = audited(table)?;
    let mut images = on_images(dataset, &audited, reference, same_from)?;
    read_rows(table, &mut images)?;
    let candidates: Vec<Candidate> = images.values().flat_map(OnImage::candidates).collect();
    let cases: Vec<usize> = candidates.iter().map(|candidate| candidate.case).collect();
    let groups = Groups::new(&cases)?;
    let bootstrap = Bootstrap {
        seed: context.seed,
        ..Bootstrap::default()
    };
    let counts: Vec<MatchCounts> = candidates.iter().map(Candidate::counts).collect();
    let errors: Vec<bool> = candidates
        .iter()
        .map(|candidate| candidate.is_error)
        .collect();
    let suspicion: Vec<f64> = candidates
        .iter()
        .map(|candidate| candidate.suspicion)
        .collect();
    let ranking = Ranking::new(&errors, &suspicion)?;
    let pooled = |weights: Weights<'_>| MatchCounts::pool(&counts, weights);
    let over = (&groups, &bootstrap);
    let measures = vec![
        Measure::over_cases("precision of flagged", over, None, |weights| {
            pooled(weights)?.precision()
        }),
        Measure::over_cases("recall of flagged", over, None, |weights| {
            pooled(weights)?.recall()
        }),
        Measure::over_cases("average precision", over, None, |weights| {
            ranking.average_precision(weights)
        }),
        Measure::over_cases("by chance", over, None, |weights| {
            ranking.prevalence(weights)
        }),
    ];
    let sum = |of: &dyn Fn(&OnImage) -> usize| images.values().map(of).sum();
    context.output.show(&Summary {
        truth: format!("reference `{reference}`"),
        issues: table.display().to_string(),
        labels: audited.labels.clone(),
        source: audited.source.clone(),
        images: images.len(),
        cases: groups.count(),
        given: sum(&|image| image.labels.len()),
        wrong: sum(&|image| image.labels.iter().filter(|label| label.wrong).count()),
        objects: sum(&|image| image.objects),
        missing: sum(&|image| image.missing.len()),
        measures,
    })
}

/// Which labels were audited: the file that lies beside the issues says it.
fn audited(table: &Path) -> Result<Audited> {
    let path = table.with_file_name("audit.json");
    let bytes = std::fs::read(&path).map_err(|error| {
        Failure::input(format!("{}: {error}", path.display()))
            .help("Give the issues.csv in the folder that `cleanslide audit` wrote.")
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Failure::input(format!("{}: {error}", path.display()))
            .help("Give the issues.csv of an audit of boxes or instance masks.")
    })
}

/// The labels of every image that was audited and that the reference knows.
fn on_images(
    dataset: &Dataset,
    audited: &Audited,
    reference: &str,
    same_from: f64,
) -> Result<BTreeMap<String, OnImage>> {
    let version: VersionId = audited.labels.parse().map_err(|_| {
        Failure::input(format!("audit.json names the version `{}`", audited.labels))
    })?;
    let family = match audited.family.as_str() {
        "boxes" => Family::Boxes,
        "instances" => Family::Instances,
        other => {
            return Err(
                Failure::usage(format!("issues of {other} cannot be measured yet"))
                    .help("Issues of boxes and instance masks can."),
            );
        }
    };
    let labels = dataset.labels(version)?;
    let given = labels.of_images(&audited.source, family);
    let reference = dataset.reference(reference)?;
    let truth = reference.for_evaluation().evidence().iter();
    let truth: BTreeMap<&str, &Evidence> = truth
        .filter(|piece| piece.target.family() == family)
        .map(|piece| (piece.scope.item(), piece))
        .collect();
    let units = independent_units(dataset.images());
    let records = dataset.images().iter().zip(units);
    let images = records
        .filter_map(|(record, case)| {
            let id = record.id.as_str();
            let (given, truth) = (given.get(id)?, truth.get(id)?);
            Some((&record.id, case, given, truth))
        })
        .map(|(id, case, given, truth)| {
            let compared =
                Compared::of(truth, given).map_err(|error| error.about(&format!("image {id}")))?;
            Ok((id.clone(), compared.on_image(case, same_from)))
        })
        .collect::<Result<BTreeMap<_, _>>>()?;
    if images.is_empty() {
        return Err(Failure::input(format!(
            "no image has both {} of `{}` in {version} and a truth",
            family.name(),
            audited.source
        )));
    }
    Ok(images)
}

/// True and given objects of one image.
struct Compared {
    /// Number and class.
    given: Vec<(usize, usize)>,
    /// Class and box.
    truth: Vec<(usize, Rectangle)>,
    pairs: Vec<Pair>,
    /// Share of each true object that is labelled: by all labels together if they are masks, by the
    /// one that covers most if they are boxes.
    covered: Vec<f64>,
}

impl Compared {
    fn of(truth: &Evidence, given: &Evidence) -> Result<Self> {
        match (&truth.target, &given.target) {
            (Target::Boxes(truth), Target::Boxes(given)) => Ok(Self::of_boxes(truth, given)),
            (
                Target::Instances {
                    mask: truth,
                    classes: true_classes,
                },
                Target::Instances {
                    mask: given,
                    classes,
                },
            ) => {
                let truth = truth.read_instances()?;
                let given = given.read_instances()?;
                Self::of_masks(&truth, true_classes, &given, classes)
            }
            _ => Err(Failure::input("labels and truth are of different kinds")),
        }
    }

    fn of_boxes(truth: &Objects<Rectangle>, given: &Objects<Rectangle>) -> Self {
        let shapes = |objects: &Objects<Rectangle>| -> Vec<Rectangle> {
            objects.objects.iter().map(|object| object.shape).collect()
        };
        let (true_boxes, boxes) = (shapes(truth), shapes(given));
        let covered = true_boxes.iter().map(|truth| {
            let most = boxes.iter().map(|label| label.overlap(truth));
            most.fold(0.0, f64::max) / truth.area()
        });
        Self {
            covered: covered.collect(),
            pairs: box_pairs(&true_boxes, &boxes),
            given: (1..)
                .zip(&given.objects)
                .map(|(number, object)| (number, object.class))
                .collect(),
            truth: truth
                .objects
                .iter()
                .map(|object| (object.class, object.shape))
                .collect(),
        }
    }

    fn of_masks(
        truth: &Array2<u32>,
        true_classes: &[usize],
        given: &Array2<u32>,
        classes: &[usize],
    ) -> Result<Self> {
        let overlaps = Overlaps::new(truth.view(), given.view())?;
        let mut covered = vec![0.0; overlaps.truth.len()];
        for shared in &overlaps.shared {
            covered[shared.truth] += shared.pixels as f64;
        }
        for (covered, object) in covered.iter_mut().zip(&overlaps.truth) {
            *covered /= object.area as f64;
        }
        let boxes = boxes_around(truth);
        let class =
            |classes: &[usize], number: u32| classes.get(number as usize - 1).copied().unwrap_or(0);
        let given = overlaps.predicted.iter();
        let truth = overlaps.truth.iter();
        Ok(Self {
            covered,
            pairs: overlaps.pairs(),
            given: given
                .map(|object| (object.number as usize, class(classes, object.number)))
                .collect(),
            truth: truth
                .filter_map(|object| {
                    let bounds = boxes.get(&object.number)?;
                    Some((class(true_classes, object.number), *bounds))
                })
                .collect(),
        })
    }

    /// Gives every true object the best label that is the same, each label once.
    fn on_image(&self, case: usize, same_from: f64) -> OnImage {
        let mut pairs: Vec<&Pair> = self
            .pairs
            .iter()
            .filter(|pair| {
                pair.iou >= same_from && self.truth[pair.truth].0 == self.given[pair.predicted].1
            })
            .collect();
        // Stable: of equal pairs the first.
        pairs.sort_by(|a, b| b.iou.total_cmp(&a.iou));
        let mut found = vec![false; self.truth.len()];
        let mut labels: Vec<Label> = self
            .given
            .iter()
            .map(|&(number, _)| Label {
                number,
                wrong: true,
                mistaken: Vec::new(),
            })
            .collect();
        for pair in pairs {
            if !found[pair.truth] && labels[pair.predicted].wrong {
                found[pair.truth] = true;
                labels[pair.predicted].wrong = false;
            }
        }
        let mut missing = Vec::new();
        for (object, &(_, bounds)) in self.truth.iter().enumerate() {
            if found[object] {
                continue;
            }
            let wrong = self
                .pairs
                .iter()
                .filter(|pair| pair.truth == object && labels[pair.predicted].wrong);
            let closest = wrong.max_by(|a, b| a.iou.total_cmp(&b.iou));
            match closest {
                Some(pair) if pair.iou >= BACKGROUND || self.covered[object] >= 0.5 => {
                    labels[pair.predicted].mistaken.push(bounds);
                }
                _ if self.covered[object] >= 0.5 => {}
                _ => missing.push(bounds),
            }
        }
        OnImage {
            case,
            labels,
            missing,
            objects: self.truth.len(),
            rows: Vec::new(),
        }
    }
}

/// The box of every object of a mask.
fn boxes_around(mask: &Array2<u32>) -> BTreeMap<u32, Rectangle> {
    let mut boxes: BTreeMap<u32, Rectangle> = BTreeMap::new();
    for ((row, column), &object) in mask.indexed_iter() {
        if object == 0 || object == mask::UNLABELLED_OBJECT {
            continue;
        }
        let (x, y) = (column as f64, row as f64);
        let bounds = boxes.entry(object).or_insert(Rectangle {
            left: x,
            top: y,
            right: x,
            bottom: y,
        });
        bounds.left = bounds.left.min(x);
        bounds.right = bounds.right.max(x + 1.0);
        bounds.bottom = bounds.bottom.max(y + 1.0);
    }
    boxes
}

fn read_rows(path: &Path, images: &mut BTreeMap<String, OnImage>) -> Result<()> {
    let table = Table::read(path)?;
    let image = table.column("image")?;
    let [object, suspicion, flagged] = [
        table.column("object")?,
        table.column("suspicion")?,
        table.column("flagged")?,
    ];
    let sides = [
        table.column("left")?,
        table.column("top")?,
        table.column("right")?,
        table.column("bottom")?,
    ];
    for row in table.rows() {
        let number = |column: usize| -> Result<f64> {
            let text = row.get(column);
            let value = text.parse().ok().filter(|value: &f64| value.is_finite());
            Ok(value.ok_or_else(|| table.error(row, format!("`{text}` is not a number")))?)
        };
        let Some(on) = images.get_mut(row.get(image)) else {
            continue;
        };
        let named = match row.get(object) {
            "" => None,
            _ => Some(number(object)? as usize),
        };
        on.rows.push(Row {
            object: named,
            suspicion: number(suspicion)?,
            flagged: row.get(flagged) == "yes",
            bounds: Rectangle {
                left: number(sides[0])?,
                top: number(sides[1])?,
                right: number(sides[2])?,
                bottom: number(sides[3])?,
            },
        });
    }
    Ok(())
}

impl OnImage {
    fn candidates(&self) -> Vec<Candidate> {
        let candidate = |is_error: bool, rows: &mut dyn Iterator<Item = &Row>| {
            let mut candidate = Candidate {
                case: self.case,
                is_error,
                // What is not listed comes after all that is.
                suspicion: 0.0,
                flagged: false,
            };
            for row in rows {
                candidate.suspicion = candidate.suspicion.max(row.suspicion);
                candidate.flagged |= row.flagged;
            }
            candidate
        };
        let hits = |row: &Row, object: &Rectangle| {
            row.object.is_none()
                && row.bounds.overlap(object) >= 0.5 * row.bounds.area().min(object.area())
        };
        let labels = self.labels.iter().map(|label| {
            let mut about = self.rows.iter().filter(|row| {
                row.object == Some(label.number)
                    || label.mistaken.iter().any(|object| hits(row, object))
            });
            candidate(label.wrong, &mut about)
        });
        let missing = self.missing.iter().map(|object| {
            let mut found = self.rows.iter().filter(|row| hits(row, object));
            candidate(true, &mut found)
        });
        let mistaken = self.labels.iter().flat_map(|label| &label.mistaken);
        let errors: Vec<&Rectangle> = self.missing.iter().chain(mistaken).collect();
        let nothing = self
            .rows
            .iter()
            .filter(|row| row.object.is_none() && !errors.iter().any(|object| hits(row, object)));
        let nothing = nothing.map(|row| candidate(false, &mut std::iter::once(row)));
        labels.chain(missing).chain(nothing).collect()
    }
}

impl Candidate {
    fn counts(&self) -> MatchCounts {
        let one = |counts: bool| f64::from(u8::from(counts));
        MatchCounts {
            true_positives: one(self.flagged && self.is_error),
            false_positives: one(self.flagged && !self.is_error),
            false_negatives: one(!self.flagged && self.is_error),
            summed_iou: 0.0,
        }
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut lines = vec![
            format!(
                "{} of `{}` in {} against the {}, 95 % intervals over {}",
                self.issues,
                self.source,
                self.labels,
                self.truth,
                count(self.cases, "case")
            ),
            format!(
                "{} of {} wrong, {} of {} missing, on {}",
                self.wrong,
                count(self.given, "label"),
                self.missing,
                count(self.objects, "true object"),
                count(self.images, "image")
            ),
        ];
        let mut table = TextTable::new(&["measure", "value"]);
        for measure in &self.measures {
            let value = measure.figure();
            let value = value.unwrap_or_else(|| "undefined".to_owned());
            table.row([measure.name.clone(), value]);
        }
        lines.push(table.text());
        if self.cases == 1 {
            lines.push(ONE_CASE.to_owned());
        }
        lines.join("\n")
    }
}
