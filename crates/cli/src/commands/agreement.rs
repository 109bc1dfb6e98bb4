//! `cleanslide agreement`: how far experts agree with each other.

mod classes;
mod disagreement_map;
mod masks;
mod objects;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use cleanslide_data::{Dataset, Evidence, Family, ImageRecord, VersionId, independent_units};
use cleanslide_eval::{Bootstrap, Error, Groups, Weights};
use serde::Serialize;

use crate::arguments::DatasetArgument;
use crate::context::Context;
use crate::experts::{Experts, FamilyName, words};
use crate::failure::{Failure, Result};
use crate::measures::Measure;
use crate::output::{Show, count, thousands};
use crate::text_table::TextTable;

/// Measure how far experts agree with each other, with 95 % intervals
///
/// No truth is needed, and none is assumed: every two experts are compared on the images that both
/// labelled. Class masks by Dice and surface distance, boxes and instance masks by matching, classes
/// by Cohen's kappa; classes and class masks of all experts at once by Fleiss' kappa. Intervals
/// resample cases, not images. Pixels that one of two experts left unlabelled are not compared.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cleanslide agreement mitoses\n  \
cleanslide agreement cfos --map disagreement/\n  \
cleanslide agreement smears --annotators anna,hough --labels v3")]
pub struct Agreement {
    #[command(flatten)]
    dataset: DatasetArgument,
    /// Only these sources; all experts by default
    #[arg(long, value_delimiter = ',', value_name = "SOURCES")]
    annotators: Option<Vec<String>>,
    /// Which kind of labels, where the experts gave several
    #[arg(long, value_enum)]
    family: Option<FamilyName>,
    /// Label version; the latest by default
    #[arg(long, value_name = "VERSION")]
    labels: Option<VersionId>,
    /// Class masks: write a picture of each image with the places where experts differ
    #[arg(long, value_name = "FOLDER")]
    map: Option<PathBuf>,
    /// The pictures show the mean of windows that reach this many pixels in each direction; 0 is
    /// single pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 3, requires = "map")]
    radius: usize,
}

/// What is compared.
struct Study<'a> {
    dataset: &'a Dataset,
    experts: &'a Experts,
    /// The images that at least two experts labelled.
    images: Vec<Labelled<'a>>,
    bootstrap: Bootstrap,
}

/// What the experts say about an image.
struct Labelled<'a> {
    image: &'a ImageRecord,
    /// The independent case.
    case: usize,
    /// By expert; `None` for those who did not label it.
    views: Vec<Option<&'a Evidence>>,
}

/// What came out.
#[derive(Default)]
struct Agreed {
    /// Figures of all experts together.
    overall: Vec<Measure>,
    /// Figures of every two, in the order of [`Study::pairs`].
    of_pairs: Vec<Vec<Measure>>,
    /// What figures are about that needs to be said.
    notes: Vec<String>,
    /// What was drawn by each expert: a noun and numbers.
    drawn: Option<(&'static str, Vec<usize>)>,
}

#[derive(Debug, Serialize)]
struct Summary {
    dataset: PathBuf,
    labels: String,
    family: &'static str,
    images: usize,
    cases: usize,
    overall: Vec<Measure>,
    pairs: Vec<PairLine>,
    experts: Vec<ExpertLine>,
    notes: Vec<String>,
    map: Option<PathBuf>,
    #[serde(skip)]
    what: &'static str,
    #[serde(skip)]
    drawn: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct PairLine {
    experts: [String; 2],
    /// Images that both labelled.
    images: usize,
    measures: Vec<Measure>,
}

#[derive(Debug, Serialize)]
struct ExpertLine {
    expert: String,
    images: usize,
    /// Boxes or objects drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<usize>,
    /// The mean of the first measure over the pairs with the others; `None` if none has a value.
    mean_with_others: Option<f64>,
}

impl Agreement {
    pub fn run(self, context: &Context) -> Result<()> {
        let dataset = context.open(&self.dataset.dataset)?;
        let version = match self.labels {
            Some(version) => version,
            None => dataset.latest()?,
        };
        let labels = dataset.labels(version)?.believed();
        let experts = Experts::choose(
            &dataset,
            &labels,
            self.annotators.as_deref(),
            self.family,
            "compare",
        )?;
        experts.warn_of_regions(context, &labels);
        let said: Vec<_> = experts
            .names
            .iter()
            .map(|name| labels.of_images(name, experts.family))
            .collect();
        let units = independent_units(dataset.images());
        let images: Vec<Labelled> = dataset
            .images()
            .iter()
            .zip(units)
            .map(|(image, case)| Labelled {
                image,
                case,
                views: said
                    .iter()
                    .map(|said| said.get(image.id.as_str()).copied())
                    .collect(),
            })
            .filter(|labelled| labelled.views.iter().flatten().count() > 1)
            .collect();
        let what = words(experts.family);
        if images.is_empty() {
            return Err(Failure::input(format!(
                "no image has {what} of two of these experts: {}",
                experts.names.join(", ")
            ))
            .help("`cleanslide status` shows who labelled how many images."));
        }
        let study = Study {
            dataset: &dataset,
            experts: &experts,
            images,
            bootstrap: Bootstrap {
                seed: context.seed,
                ..Bootstrap::default()
            },
        };
        if self.map.is_some() && experts.family != Family::Mask {
            return Err(Failure::usage(format!("`--map` is not for {what}"))
                .help("Maps show the pixels of class masks."));
        }
        if let Some(folder) = &self.map {
            crate::new_folder::refuse_existing(folder)?;
        }
        let agreed = match experts.family {
            Family::Class => classes::measure(&study, &labels)?,
            Family::Mask => masks::measure(&study)?,
            Family::Boxes => objects::boxes(&study)?,
            Family::Instances => objects::instances(&study)?,
            Family::Points | Family::Polygons => {
                return Err(Failure::usage(format!("{what} cannot be compared yet"))
                    .help("Classes, class masks, boxes and instance masks can."));
            }
        };
        if let Some(folder) = &self.map {
            disagreement_map::write(context, &study, self.radius, folder)?;
        }
        context
            .output
            .show(&study.summary(version, agreed, self.map))
    }
}

impl Study<'_> {
    /// Every two experts.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let experts = self.experts.names.len();
        (0..experts).flat_map(move |one| (one + 1..experts).map(move |other| (one, other)))
    }

    /// The images that both labelled, by position.
    fn shared(&self, (one, other): (usize, usize)) -> Vec<usize> {
        let both = |image: &usize| {
            let views = &self.images[*image].views;
            views[one].is_some() && views[other].is_some()
        };
        (0..self.images.len()).filter(both).collect()
    }

    /// A figure of some images, given by position, with its interval.
    fn measure(
        &self,
        name: impl Into<String>,
        images: &[usize],
        statistic: impl Fn(Weights<'_>) -> std::result::Result<f64, Error> + Sync,
    ) -> Measure {
        let cases: Vec<usize> = images
            .iter()
            .map(|&image| self.images[image].case)
            .collect();
        let estimate =
            Groups::new(&cases).and_then(|groups| self.bootstrap.estimate(&groups, statistic));
        Measure::new(name, estimate)
    }

    fn summary(&self, version: VersionId, agreed: Agreed, map: Option<PathBuf>) -> Summary {
        let names = &self.experts.names;
        let pairs: Vec<PairLine> = self
            .pairs()
            .zip(agreed.of_pairs)
            .map(|(pair, measures)| PairLine {
                experts: [names[pair.0].clone(), names[pair.1].clone()],
                images: self.shared(pair).len(),
                measures,
            })
            .collect();
        let experts = names.iter().enumerate().map(|(expert, name)| {
            let values: Vec<f64> = pairs
                .iter()
                .filter(|pair| pair.experts.contains(name))
                .filter_map(|pair| pair.measures.first()?.estimate.map(|found| found.value))
                .collect();
            let labelled = self
                .images
                .iter()
                .filter(|image| image.views[expert].is_some());
            ExpertLine {
                expert: name.clone(),
                images: labelled.count(),
                objects: agreed.drawn.as_ref().map(|(_, numbers)| numbers[expert]),
                mean_with_others: (!values.is_empty())
                    .then(|| values.iter().sum::<f64>() / values.len() as f64),
            }
        });
        let cases: BTreeSet<usize> = self.images.iter().map(|image| image.case).collect();
        Summary {
            dataset: self.dataset.folder().to_owned(),
            labels: version.to_string(),
            family: self.experts.family.name(),
            images: self.images.len(),
            cases: cases.len(),
            overall: agreed.overall,
            experts: experts.collect(),
            pairs,
            notes: agreed.notes,
            map,
            what: words(self.experts.family),
            drawn: agreed.drawn.map(|(noun, _)| noun),
        }
    }
}

/// How often an image counts.
fn weight(weights: Weights<'_>, image: usize) -> f64 {
    match weights {
        Weights::Equal => 1.0,
        Weights::Counts(counts) => f64::from(counts[image]),
        Weights::Real(weights) => weights[image],
    }
}

/// The scale of the images if all have one: then distances are in microns.
fn all_scales(images: &[Labelled]) -> Option<BTreeMap<usize, f64>> {
    let scale = |(position, labelled): (usize, &Labelled)| {
        Some((position, labelled.image.microns_per_pixel?))
    };
    images.iter().enumerate().map(scale).collect()
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut lines = vec![format!(
            "{}: {} on {} by {} in {}, 95 % intervals over {}",
            self.dataset.display(),
            self.what,
            count(self.images, "image"),
            count(self.experts.len(), "expert"),
            self.labels,
            count(self.cases, "independent case"),
        )];
        let figure = |measure: &Measure| match &measure.estimate {
            Some(estimate) => format!("{estimate:.3}"),
            None => "undefined".to_owned(),
        };
        for measure in &self.overall {
            lines.push(match &measure.undefined {
                Some(reason) => format!("{}: undefined, {reason}", measure.name),
                None => format!("{}: {}", measure.name, figure(measure)),
            });
        }
        let measures = self.pairs.first().map_or(&[][..], |pair| &pair.measures);
        let mut columns = vec!["experts", "images"];
        columns.extend(measures.iter().map(|measure| measure.name.as_str()));
        let mut table = TextTable::new(&columns);
        for pair in &self.pairs {
            let start = [pair.experts.join(" – "), thousands(pair.images)];
            table.row(start.into_iter().chain(pair.measures.iter().map(figure)));
        }
        lines.push(String::new());
        lines.push(table.text());
        let mean = measures
            .first()
            .map(|measure| format!("mean {} with the others", measure.name))
            .unwrap_or_default();
        let mut columns = vec!["expert", "images"];
        columns.extend(self.drawn);
        columns.push(&mean);
        let mut table = TextTable::new(&columns);
        for line in &self.experts {
            let mut row = vec![line.expert.clone(), thousands(line.images)];
            row.extend(line.objects.map(thousands));
            row.push(
                line.mean_with_others
                    .map_or_else(|| "–".into(), |mean| format!("{mean:.3}")),
            );
            table.row(row);
        }
        lines.push(String::new());
        lines.push(table.text());
        lines.extend(self.notes.iter().cloned());
        if self.cases < 10 {
            lines.push(format!(
                "only {}: intervals from so few are rough",
                count(self.cases, "independent case")
            ));
        }
        if let Some(map) = &self.map {
            lines.push(format!(
                "maps of disagreement: {}; red is where half of the pairs of experts differ",
                map.display()
            ));
        }
        lines.join("\n")
    }
}
