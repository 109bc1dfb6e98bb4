//! Classes of images made wrong.

use std::path::{Path, PathBuf};

use cleanslide_data::{
    Classes, Dataset, Evidence, Family, Labels, NewVersion, Scope, Source, SourceKind, Table,
    Target, Trust, to_csv,
};
use cleanslide_learn::image_labels::{ALL_ANNOTATORS, ImageLabel, ImageLabels};
use cleanslide_weak::noise::{
    Noisy, Selection, Uniform, asymmetric, between, instance_dependent, uniform,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use super::{Shared, Untouched, keep_truth};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::{Show, count, percent};
use crate::text_table::TextTable;

/// What is done to the classes.
#[derive(Debug)]
pub enum Noise {
    /// Any label may become any other class.
    Uniform {
        /// Share of the labels.
        rate: f64,
    },
    /// FROM:TO=RATE.
    Asymmetric {
        /// As given.
        flips: Vec<String>,
    },
    /// Difficult images are likelier to become wrong.
    Difficult {
        /// Share of the labels.
        rate: f64,
        /// The table of difficulties.
        difficulty: PathBuf,
        /// Exactly the most difficult.
        hardest: bool,
    },
}

#[derive(Debug, Serialize)]
struct Summary {
    dataset: PathBuf,
    labels: String,
    source: String,
    reference: String,
    untouched: Untouched,
    images: usize,
    changed: usize,
    rate: f64,
    transitions: Vec<Vec<f64>>,
    #[serde(skip)]
    classes: Vec<String>,
}

/// Makes classes of images wrong, as a new version.
pub fn run(context: &Context, noise: &Noise, shared: &Shared) -> Result<()> {
    let mut dataset = context.open(&shared.dataset.dataset)?;
    let labels = ImageLabels::load(
        &dataset,
        shared.labels.labels,
        shared.labels.source.as_deref(),
    )?;
    let given = labels.classes();
    let labelled: Vec<usize> = (0..given.len())
        .filter(|&image| given[image].is_some())
        .collect();
    let truth: Vec<usize> = given.iter().copied().flatten().collect();
    let noisy = inject(context, &dataset, noise, &labelled, &truth)?;
    store(context, &mut dataset, &labels, &labelled, &noisy, shared)
}

fn inject(
    context: &Context,
    dataset: &Dataset,
    noise: &Noise,
    labelled: &[usize],
    truth: &[usize],
) -> Result<Noisy> {
    let classes = dataset.classes();
    let mut rng = ChaCha8Rng::seed_from_u64(context.seed);
    Ok(match noise {
        Noise::Uniform { rate } => {
            uniform(truth, classes.len(), *rate, Uniform::Anywhere, &mut rng)?
        }
        Noise::Asymmetric { flips } => {
            let flips = flips
                .iter()
                .map(|flip| parse_flip(flip, classes))
                .collect::<Result<Vec<_>>>()?;
            asymmetric(truth, between(classes.len(), &flips)?.view(), &mut rng)?
        }
        Noise::Difficult {
            rate,
            difficulty,
            hardest,
        } => {
            let difficulty = read_difficulty(difficulty, dataset, labelled)?;
            let selection = if *hardest {
                Selection::Hardest
            } else {
                Selection::Weighted
            };
            instance_dependent(
                truth,
                classes.len(),
                *rate,
                &difficulty,
                None,
                selection,
                &mut rng,
            )?
        }
    })
}

fn store(
    context: &Context,
    dataset: &mut Dataset,
    labels: &ImageLabels,
    labelled: &[usize],
    noisy: &Noisy,
    shared: &Shared,
) -> Result<()> {
    let class_count = dataset.classes().len();
    let mut classes = vec![None; labels.labels.len()];
    for (&image, &class) in labelled.iter().zip(&noisy.labels) {
        classes[image] = Some(class);
    }
    let given = labels.with_classes(&classes, class_count);
    let truth = evidence_of(dataset, labels, "reference", |label| {
        Target::Class(label.class())
    })?;
    let truth = Labels::new(truth, dataset.classes())?;
    let clean = clean_sources(dataset, &labels.source);
    let replaced = |piece: &Evidence| {
        matches!(piece.scope, Scope::Image(_))
            && piece.target.family() == Family::Class
            && (piece.source == shared.name || clean.contains(&piece.source))
    };
    let evidence = dataset
        .labels(labels.version)?
        .into_evidence()
        .into_iter()
        // The clean labels must not be in the version that is trained on.
        .filter(|piece| !replaced(piece))
        .chain(evidence_of(dataset, &given, &shared.name, target)?)
        .collect();
    let new = Labels::new(evidence, dataset.classes())?;
    keep_truth(dataset, &shared.reference, truth)?;
    let rate = noisy.rate();
    let version = dataset.add_version(NewVersion {
        parent: Some(labels.version),
        produced: Some(shared.name.clone()),
        sources: vec![Source {
            id: shared.name.clone(),
            kind: SourceKind::Algorithm,
            description: format!("{} with injected noise", labels.source),
            values: None,
        }],
        labels: new,
        provenance: context.provenance(format!(
            "injected noise into {} of the labels",
            percent(rate)
        )),
        notes: Vec::new(),
    })?;
    let classes = dataset.classes();
    let matrix = noisy.realised(class_count)?;
    context.output.show(&Summary {
        dataset: dataset.folder().to_owned(),
        labels: version.id.to_string(),
        source: shared.name.clone(),
        reference: shared.reference.clone(),
        untouched: Untouched {
            labels: labels.version.to_string(),
            source: labels.source.clone(),
        },
        images: labelled.len(),
        changed: noisy.changes.len(),
        rate,
        transitions: matrix.rows().into_iter().map(|row| row.to_vec()).collect(),
        classes: classes.names().to_vec(),
    })
}

/// The sources whose labels were made wrong.
fn clean_sources(dataset: &Dataset, source: &str) -> Vec<String> {
    if source != ALL_ANNOTATORS {
        return vec![source.to_owned()];
    }
    let sources = dataset.manifest().sources.iter();
    let experts = sources.filter(|source| source.kind == SourceKind::Expert);
    experts.map(|source| source.id.clone()).collect()
}

/// What is said of each labelled image, as far believed as before.
fn evidence_of(
    dataset: &Dataset,
    labels: &ImageLabels,
    source: &str,
    target: impl Fn(&ImageLabel) -> Target,
) -> Result<Vec<Evidence>> {
    let images = dataset.images().iter().zip(&labels.labels);
    let labelled = images.filter_map(|(image, label)| Some((image, label.as_ref()?)));
    labelled
        .map(|(image, label)| {
            Ok(Evidence {
                source: source.to_owned(),
                scope: Scope::Image(image.id.clone()),
                target: target(label),
                trust: Trust::new(label.trust)?,
            })
        })
        .collect()
}

/// A plain class where there is no doubt about it.
fn target(label: &ImageLabel) -> Target {
    match label.distribution[label.class()] < 1.0 {
        true => Target::Distribution(label.distribution.clone()),
        false => Target::Class(label.class()),
    }
}

fn parse_flip(text: &str, classes: &Classes) -> Result<(usize, usize, f64)> {
    let parts = text.rsplit_once('=').and_then(|(names, rate)| {
        let (from, to) = names.split_once(':')?;
        Some((from.trim(), to.trim(), rate.trim().parse().ok()?))
    });
    let Some((from, to, rate)) = parts else {
        return Err(Failure::usage(format!("`{text}` is not a flip"))
            .help("Write FROM:TO=RATE, such as tumour:hepatocytes=0.3."));
    };
    Ok((classes.index(from)?, classes.index(to)?, rate))
}

fn read_difficulty(path: &Path, dataset: &Dataset, labelled: &[usize]) -> Result<Vec<f64>> {
    let table = Table::read(path)?;
    let (image, difficulty) = (table.column("image")?, table.column("difficulty")?);
    let mut known = std::collections::BTreeMap::new();
    for row in table.rows() {
        let value: f64 = row
            .get(difficulty)
            .parse()
            .map_err(|_| table.error(row, format!("`{}` is not a number", row.get(difficulty))))?;
        known.insert(row.get(image), value);
    }
    labelled
        .iter()
        .map(|&index| {
            let id = dataset.images()[index].id.as_str();
            known.get(id).copied().ok_or_else(|| {
                Failure::input(format!(
                    "{} has no difficulty for the image {id}",
                    path.display()
                ))
            })
        })
        .collect()
}

/// The difficulty of every image as a table that `inject difficult` reads.
pub fn difficulty_table<'a>(rows: impl Iterator<Item = (&'a str, f64)>) -> Vec<u8> {
    to_csv(
        &["image", "difficulty"],
        rows.map(|(id, value)| [id.to_owned(), value.to_string()]),
    )
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut columns = vec!["true class"];
        columns.extend(self.classes.iter().map(String::as_str));
        let mut table = TextTable::new(&columns);
        for (name, row) in self.classes.iter().zip(&self.transitions) {
            let cells = row.iter().map(|&p| {
                if p.is_finite() {
                    percent(p)
                } else {
                    "–".into()
                }
            });
            table.row(std::iter::once(name.clone()).chain(cells));
        }
        format!(
            "{}: {} of {} ({}) made wrong, as `{}` in {}; the truth is the reference `{}`\n{}\n{}",
            self.dataset.display(),
            count(self.changed, "label"),
            count(self.images, "image"),
            percent(self.rate),
            self.source,
            self.labels,
            self.reference,
            self.untouched.line(),
            table.text()
        )
    }
}
