//! Boxes and masks of every source against a reference.

use std::collections::{BTreeMap, BTreeSet};

use cleanslide_data::{
    Dataset, Detection, Evidence, Family, Labels, Scope, Target, VersionId, independent_units, mask,
};
use cleanslide_eval::detection::{Coco, CocoSubset, TrueBox};
use cleanslide_eval::matching::{MatchCounts, Overlaps};
use cleanslide_eval::segmentation::{
    AggregatedJaccard, ClassOverlap, EmptyCase, Reuse, class_overlaps, instance_counts,
    panoptic_counts, pixel_confusion,
};
use cleanslide_eval::{Bootstrap, Groups, Weights};
use rayon::prelude::*;
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::measures::Measure;
use crate::output::{Show, count};
use crate::text_table::TextTable;

/// What is asked.
pub struct Request<'a> {
    /// The label version to judge; the latest if `None`.
    pub version: Option<VersionId>,
    /// One source; otherwise every one.
    pub source: Option<&'a str>,
    /// The reference.
    pub reference: &'a str,
    /// Whether any class matches any other.
    pub class_agnostic: bool,
}

/// The figures of one source.
#[derive(Debug, Serialize)]
struct OfSource {
    source: String,
    /// Images that both the source and the reference labelled.
    images: usize,
    cases: usize,
    measures: Vec<Measure>,
}

#[derive(Debug, Serialize)]
struct Summary {
    truth: String,
    labels: String,
    family: &'static str,
    sources: Vec<OfSource>,
    /// Sources that labelled no image of the reference.
    without_images: Vec<String>,
}

/// Pieces of evidence about one image: the truth and what is judged, with the image's case.
struct Pair<'a> {
    truth: &'a Evidence,
    judged: &'a Evidence,
    case: usize,
}

/// Measures the shapes of a version, and shows the result.
pub fn run(context: &Context, dataset: &Dataset, request: &Request) -> Result<()> {
    let version = match request.version {
        Some(version) => version,
        None => dataset.latest()?,
    };
    let labels = dataset.labels(version)?;
    let reference = dataset.reference(request.reference)?;
    let truth = reference.for_evaluation();
    let family = family(&labels, truth, request.source)?;
    let sources = match request.source {
        Some(source) => vec![source],
        None => labels.sources(family),
    };
    let truths = of_images(truth, family);
    let units = independent_units(dataset.images());
    let case_of: BTreeMap<&str, usize> = dataset
        .images()
        .iter()
        .zip(units)
        .map(|(image, unit)| (image.id.as_str(), unit))
        .collect();
    let mut summary = Summary {
        truth: format!("reference `{}`", request.reference),
        labels: version.to_string(),
        family: family.name(),
        sources: Vec::new(),
        without_images: Vec::new(),
    };
    for source in sources {
        let judged = labels.of_images(source, family);
        let pairs: Vec<Pair> = judged
            .into_iter()
            .filter_map(|(id, judged)| {
                Some(Pair {
                    truth: truths.get(id)?,
                    judged,
                    case: *case_of.get(id)?,
                })
            })
            .collect();
        if pairs.is_empty() {
            summary.without_images.push(source.to_owned());
            continue;
        }
        let cases: Vec<usize> = pairs.iter().map(|pair| pair.case).collect();
        let groups = Groups::new(&cases)?;
        let bootstrap = Bootstrap {
            seed: context.seed,
            ..Bootstrap::default()
        };
        let judge = Judge {
            pairs: &pairs,
            groups: &groups,
            bootstrap: &bootstrap,
        };
        let measures = match family {
            Family::Boxes => judge.boxes(dataset, request.class_agnostic)?,
            Family::Mask => judge.masks(dataset)?,
            Family::Instances => judge.instances()?,
            _ => return Err(cannot(family)),
        };
        summary.sources.push(OfSource {
            source: source.to_owned(),
            images: pairs.len(),
            cases: groups.count(),
            measures,
        });
    }
    if summary.sources.is_empty() {
        return Err(Failure::input(format!(
            "no image has both {} in {version} and in the {}",
            family.name(),
            summary.truth
        )));
    }
    context.output.show(&summary)
}

fn cannot(family: Family) -> Failure {
    Failure::usage(format!("{} cannot be measured yet", family.name()))
        .help("Boxes, class masks and instance masks can.")
}

/// The kind of labels that both sides have.
fn family(labels: &Labels, truth: &Labels, source: Option<&str>) -> Result<Family> {
    let families = |labels: &Labels, source: Option<&str>| -> BTreeSet<Family> {
        let all = labels.evidence().iter();
        all.filter(|piece| source.is_none_or(|source| piece.source == source))
            .map(|piece| piece.target.family())
            .collect()
    };
    let (given, known) = (families(labels, source), families(truth, None));
    let both: Vec<Family> = given.intersection(&known).copied().collect();
    match both.as_slice() {
        [only] => Ok(*only),
        [] => {
            let names = |families: &BTreeSet<Family>| match families.len() {
                0 => "nothing".to_owned(),
                _ => families
                    .iter()
                    .map(|f| f.name())
                    .collect::<Vec<_>>()
                    .join(", "),
            };
            Err(Failure::input(format!(
                "the labels are {}, the reference has {}",
                names(&given),
                names(&known)
            ))
            .help("Both must be of one kind: boxes, class masks or instance masks."))
        }
        several => Err(Failure::usage(format!(
            "labels and reference have {} kinds in common",
            several.len()
        ))
        .help("Choose one source with `--source`.")),
    }
}

fn of_images(labels: &Labels, family: Family) -> BTreeMap<&str, &Evidence> {
    let about = labels.evidence().iter().filter_map(|piece| {
        let right = piece.target.family() == family;
        match &piece.scope {
            Scope::Image(id) if right => Some((id.as_str(), piece)),
            _ => None,
        }
    });
    about.collect()
}

struct Judge<'a> {
    pairs: &'a [Pair<'a>],
    groups: &'a Groups,
    bootstrap: &'a Bootstrap,
}

/// Findings that count per image and class, as in COCO; more where an image has more.
const DETECTIONS: usize = 100;

impl Judge<'_> {
    fn measure(
        &self,
        name: impl Into<String>,
        statistic: impl Fn(Weights<'_>) -> std::result::Result<f64, cleanslide_eval::Error> + Sync,
    ) -> Measure {
        Measure::new(name, self.bootstrap.estimate(self.groups, statistic))
    }

    fn boxes(&self, dataset: &Dataset, class_agnostic: bool) -> Result<Vec<Measure>> {
        let mut images: Vec<(Vec<TrueBox>, Vec<Detection>)> = Vec::new();
        for pair in self.pairs {
            let (Target::Boxes(truth), Target::Boxes(judged)) =
                (&pair.truth.target, &pair.judged.target)
            else {
                return Err(cannot(Family::Boxes));
            };
            let truth = truth.objects.iter();
            let judged = judged.objects.iter();
            images.push((
                truth
                    .map(|object| TrueBox::new(object.shape, object.class))
                    .collect(),
                judged
                    .map(|object| Detection {
                        rectangle: object.shape,
                        class: object.class,
                        score: f64::from(object.trust.value()),
                    })
                    .collect(),
            ));
        }
        let most = images
            .iter()
            .map(|(_, found)| found.len())
            .max()
            .unwrap_or(0);
        let coco = Coco {
            class_agnostic,
            maximum_detections: vec![1, 10, most.max(DETECTIONS)],
            ..Coco::new(dataset.classes().len())
        };
        let views: Vec<_> = images
            .iter()
            .map(|(t, f)| (t.as_slice(), f.as_slice()))
            .collect();
        let matches = coco.match_images(&views)?;
        let whole = CocoSubset::default();
        let at = |iou| CocoSubset {
            iou: Some(iou),
            ..whole
        };
        let counts = matches.counts(&at(0.5), f64::NEG_INFINITY)?;
        let pooled = |weights: Weights<'_>| MatchCounts::pool(&counts, weights);
        Ok(vec![
            self.measure("AP", |w| matches.average_precision(&whole, w)),
            self.measure("AP50", |w| matches.average_precision(&at(0.5), w)),
            self.measure("AP75", |w| matches.average_precision(&at(0.75), w)),
            self.measure("AR", |w| matches.average_recall(&whole, w)),
            self.measure("recall at IoU 0.5", |w| pooled(w)?.recall()),
            self.measure("precision at IoU 0.5", |w| pooled(w)?.precision()),
        ])
    }

    fn masks(&self, dataset: &Dataset) -> Result<Vec<Measure>> {
        let classes = dataset.classes();
        let of_image = |pair: &Pair| -> Result<Vec<ClassOverlap>> {
            let truth = class_mask(&pair.truth.target)?;
            let judged = class_mask(&pair.judged.target)?;
            let confusion = pixel_confusion(truth.view(), judged.view(), classes.len())
                .map_err(|error| about(pair, &error))?;
            Ok(class_overlaps(&confusion))
        };
        let images: Vec<Vec<ClassOverlap>> =
            self.pairs.par_iter().map(of_image).collect::<Result<_>>()?;
        // Of two classes the first is the background of the second.
        let shown = if classes.len() == 2 {
            1..2
        } else {
            0..classes.len()
        };
        let mut measures = Vec::new();
        for class in shown {
            let overlaps: Vec<ClassOverlap> = images.iter().map(|image| image[class]).collect();
            let name = classes.name(class);
            measures.push(self.measure(format!("Dice of {name}"), |w| {
                ClassOverlap::pool(&overlaps, w)?.dice(EmptyCase::Undefined)
            }));
            measures.push(self.measure(format!("IoU of {name}"), |w| {
                ClassOverlap::pool(&overlaps, w)?.iou(EmptyCase::Undefined)
            }));
        }
        Ok(measures)
    }

    fn instances(&self) -> Result<Vec<Measure>> {
        const THRESHOLDS: [f64; 2] = [0.5, 0.75];
        let of_image = |pair: &Pair| -> Result<(Vec<MatchCounts>, MatchCounts, AggregatedJaccard)> {
            let truth = instance_mask(&pair.truth.target)?;
            // What a source left unlabelled it did not mark: it counts as nothing found.
            let judged = instance_mask(&pair.judged.target)?.mapv(|object| match object {
                mask::UNLABELLED_OBJECT => 0,
                object => object,
            });
            let overlaps =
                Overlaps::new(truth.view(), judged.view()).map_err(|error| about(pair, &error))?;
            Ok((
                instance_counts(&overlaps, &THRESHOLDS)?,
                panoptic_counts(&overlaps),
                AggregatedJaccard::new(&overlaps, Reuse::Allowed),
            ))
        };
        let images: Vec<_> = self.pairs.par_iter().map(of_image).collect::<Result<_>>()?;
        let at = |threshold: usize| -> Vec<MatchCounts> {
            images
                .iter()
                .map(|(counts, ..)| counts[threshold])
                .collect()
        };
        let (half, strict) = (at(0), at(1));
        let panoptic: Vec<MatchCounts> = images.iter().map(|image| image.1).collect();
        let jaccard: Vec<AggregatedJaccard> = images.iter().map(|image| image.2).collect();
        Ok(vec![
            self.measure("F1 at IoU 0.5", |w| MatchCounts::pool(&half, w)?.f1()),
            self.measure("recall at IoU 0.5", |w| {
                MatchCounts::pool(&half, w)?.recall()
            }),
            self.measure("precision at IoU 0.5", |w| {
                MatchCounts::pool(&half, w)?.precision()
            }),
            self.measure("F1 at IoU 0.75", |w| MatchCounts::pool(&strict, w)?.f1()),
            self.measure("PQ", |w| {
                MatchCounts::pool(&panoptic, w)?.panoptic_quality()
            }),
            self.measure("AJI", |w| AggregatedJaccard::pool(&jaccard, w)?.index()),
        ])
    }
}

fn about(pair: &Pair, error: &cleanslide_eval::Error) -> Failure {
    Failure::input(format!("{}: {error}", pair.judged.key()))
}

fn class_mask(target: &Target) -> Result<ndarray::Array2<u8>> {
    match target {
        Target::Dense(file) | Target::Partial(file) => Ok(mask::read_class_mask(&file.path)?),
        _ => Err(cannot(target.family())),
    }
}

fn instance_mask(target: &Target) -> Result<ndarray::Array2<u32>> {
    match target {
        Target::Instances { mask: file, .. } => Ok(mask::read_instance_mask(&file.path)?),
        _ => Err(cannot(target.family())),
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut lines = vec![format!(
            "{} in {} against the {}, 95 % intervals over cases",
            self.family, self.labels, self.truth
        )];
        let mut columns = vec!["source".to_owned(), "images".to_owned()];
        if let Some(first) = self.sources.first() {
            columns.extend(first.measures.iter().map(|measure| measure.name.clone()));
        }
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        let mut table = TextTable::new(&names);
        for source in &self.sources {
            let figures = source
                .measures
                .iter()
                .map(|measure| match &measure.estimate {
                    Some(estimate) => format!("{estimate:.3}"),
                    None => "undefined".to_owned(),
                });
            let start = [source.source.clone(), source.images.to_string()];
            table.row(start.into_iter().chain(figures));
        }
        lines.push(table.text());
        if !self.without_images.is_empty() {
            lines.push(format!(
                "without an image of the {}: {}",
                self.truth,
                self.without_images.join(", ")
            ));
        }
        let fewest = self
            .sources
            .iter()
            .map(|source| source.cases)
            .min()
            .unwrap_or(0);
        if fewest < 10 {
            lines.push(format!(
                "only {}: intervals from so few are rough",
                count(fewest, "independent case")
            ));
        }
        lines.join("\n")
    }
}
