//! Boxes and masks of every source against a reference.

use std::collections::{BTreeMap, BTreeSet};

use cleanslide_data::{Dataset, Evidence, Family, Labels, Scope, independent_units};
use cleanslide_eval::{Bootstrap, Groups};
use serde::Serialize;

use super::shape_measures::{Judge, Pair, cannot};
use crate::context::Context;
use crate::experts::listed;
use crate::failure::{Failure, Result};
use crate::measures::{Measure, ONE_CASE};
use crate::output::{Show, count};
use crate::text_table::TextTable;

/// What shapes are measured against.
pub enum Truth<'a> {
    /// A reference.
    Reference(&'a str),
    /// What sources of the labels say, each on its own.
    Given {
        /// The labels.
        labels: &'a Labels,
        /// The sources.
        sources: Vec<String>,
    },
}

/// What is asked.
pub struct Request<'a> {
    /// What is judged.
    pub labels: &'a Labels,
    /// Its name: a label version or a run.
    pub name: String,
    /// One source; otherwise every one.
    pub source: Option<&'a str>,
    /// What is true.
    pub truth: Truth<'a>,
    /// Whether any class matches any other.
    pub class_agnostic: bool,
    /// Whether every measure is asked for, or the best known.
    pub all: bool,
}

/// The figures of one source.
#[derive(Debug, Serialize)]
struct OfSource {
    source: String,
    /// Of several, the one that it is measured against.
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<String>,
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
    #[serde(skip)]
    all: bool,
    /// Sources that labelled no image of the reference.
    without_images: Vec<String>,
}

/// Measures the shapes of a version, and shows the result.
pub fn run(context: &Context, dataset: &Dataset, request: &Request) -> Result<()> {
    let labels = request.labels;
    let reference;
    let (truth, given) = match &request.truth {
        Truth::Reference(name) => {
            reference = dataset.reference(name)?;
            (reference.for_evaluation(), None)
        }
        Truth::Given { labels, sources } => (*labels, Some(sources)),
    };
    let family = family(labels, truth, request.source)?;
    let sources = match request.source {
        Some(source) => vec![source],
        None => labels.sources(family),
    };
    let truths = match given {
        None => vec![(None, of_images(truth, family))],
        // A source may have labels of another kind alone.
        Some(names) => names
            .iter()
            .map(|name| (Some(name.clone()), truth.of_images(name, family)))
            .filter(|(_, of_images)| !of_images.is_empty())
            .collect(),
    };
    let cases = cases(dataset);
    let mut summary = Summary {
        truth: request.truth.name(),
        labels: request.name.clone(),
        family: family.name(),
        sources: Vec::new(),
        all: request.all,
        without_images: Vec::new(),
    };
    for source in sources {
        for (against, truth) in &truths {
            let judged = Judged {
                judged: &labels.of_images(source, family),
                truth,
                cases: &cases,
                family,
                class_agnostic: request.class_agnostic,
                all: request.all,
            };
            match measures(context, dataset, &judged)? {
                Some((images, cases, measures)) => summary.sources.push(OfSource {
                    source: source.to_owned(),
                    against: against.clone(),
                    images,
                    cases,
                    measures,
                }),
                None => summary.without_images.push(source.to_owned()),
            }
        }
    }
    if summary.sources.is_empty() {
        return Err(Failure::input(format!(
            "no image has both {} in {} and in the {}",
            family.name(),
            summary.labels,
            summary.truth
        )));
    }
    context.output.show(&summary)
}

impl Truth<'_> {
    fn name(&self) -> String {
        match self {
            Self::Reference(name) => format!("reference `{name}`"),
            Self::Given { sources, .. } => {
                let names: Vec<&str> = sources.iter().map(String::as_str).collect();
                format!("given labels of {}, which may be wrong", listed(&names))
            }
        }
    }
}

impl OfSource {
    fn title(&self) -> String {
        match &self.against {
            Some(against) => format!("{} against {against}", self.source),
            None => self.source.clone(),
        }
    }
}

/// The independent case of each image.
pub fn cases(dataset: &Dataset) -> BTreeMap<&str, usize> {
    let units = independent_units(dataset.images());
    let images = dataset.images().iter();
    images
        .zip(units)
        .map(|(image, unit)| (image.id.as_str(), unit))
        .collect()
}

/// Shapes of one source, image by image, and what is true of them.
pub struct Judged<'a> {
    /// What is judged.
    pub judged: &'a BTreeMap<&'a str, &'a Evidence>,
    /// What is true.
    pub truth: &'a BTreeMap<&'a str, &'a Evidence>,
    /// The independent case of each image, from [`cases`].
    pub cases: &'a BTreeMap<&'a str, usize>,
    /// Boxes, class masks or instance masks.
    pub family: Family,
    /// Whether any class matches any other.
    pub class_agnostic: bool,
    /// Whether every measure is asked for, or the best known.
    pub all: bool,
}

/// The images and cases that both sides labelled, and the measures; `None` if there is no such image.
pub fn measures(
    context: &Context,
    dataset: &Dataset,
    judged: &Judged,
) -> Result<Option<(usize, usize, Vec<Measure>)>> {
    let pairs: Vec<Pair> = judged
        .judged
        .iter()
        .filter_map(|(id, piece)| {
            Some(Pair {
                truth: judged.truth.get(id)?,
                judged: piece,
                case: *judged.cases.get(id)?,
            })
        })
        .collect();
    if pairs.is_empty() {
        return Ok(None);
    }
    let cases: Vec<usize> = pairs.iter().map(|pair| pair.case).collect();
    let groups = Groups::new(&cases)?;
    let bootstrap = Bootstrap {
        seed: context.seed,
        ..Bootstrap::default()
    };
    let judge = Judge {
        pairs: &pairs,
        classes: dataset.classes(),
        groups: &groups,
        bootstrap: &bootstrap,
        all: judged.all,
    };
    let measures = match judged.family {
        Family::Boxes => judge.boxes(judged.class_agnostic)?,
        Family::Mask => judge.masks()?,
        Family::Instances => judge.instances()?,
        family => return Err(cannot(family)),
    };
    Ok(Some((pairs.len(), groups.count(), measures)))
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

/// What is said of each image, by whatever source.
pub fn of_images(labels: &Labels, family: Family) -> BTreeMap<&str, &Evidence> {
    let about = labels.evidence().iter().filter_map(|piece| {
        let right = piece.target.family() == family;
        match &piece.scope {
            Scope::Image(id) if right => Some((id.as_str(), piece)),
            _ => None,
        }
    });
    about.collect()
}

impl Summary {
    fn sources_in_rows(&self) -> String {
        let mut columns = vec!["source".to_owned(), "images".to_owned()];
        if let Some(first) = self.sources.first() {
            columns.extend(first.measures.iter().map(|measure| measure.name.clone()));
        }
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        let mut table = TextTable::new(&names);
        for source in &self.sources {
            let start = [source.title(), source.images.to_string()];
            table.row(start.into_iter().chain(source.measures.iter().map(figure)));
        }
        table.text()
    }

    fn measures_in_rows(&self) -> String {
        let names: Vec<String> = self.sources.iter().map(OfSource::title).collect();
        let names = names.iter().map(String::as_str);
        let columns: Vec<&str> = std::iter::once("measure").chain(names).collect();
        let mut table = TextTable::new(&columns);
        let images = self.sources.iter().map(|source| source.images.to_string());
        table.row(std::iter::once("images".to_owned()).chain(images));
        let measures = self.sources.first().map_or(0, |first| first.measures.len());
        for index in 0..measures {
            let name = self.sources[0].measures[index].name.clone();
            let of_source = self.sources.iter().map(|source| &source.measures[index]);
            table.row(std::iter::once(name).chain(of_source.map(figure)));
        }
        table.text()
    }
}

fn figure(measure: &Measure) -> String {
    measure.figure().unwrap_or_else(|| "undefined".to_owned())
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut lines = vec![format!(
            "{} in {} against the {}, 95 % intervals over cases",
            self.family, self.labels, self.truth
        )];
        lines.push(if self.all {
            self.measures_in_rows()
        } else {
            self.sources_in_rows()
        });
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
        match fewest {
            1 => lines.push(ONE_CASE.to_owned()),
            2..10 => lines.push(format!(
                "only {}: intervals from so few are rough",
                count(fewest, "independent case")
            )),
            _ => {}
        }
        lines.join("\n")
    }
}
