//! `cleanslide inject`: label noise of a known kind and rate.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use cleanslide_data::{
    Classes, Dataset, Evidence, Labels, NewVersion, Reference, Source, SourceKind, Table, to_csv,
};
use cleanslide_learn::image_labels::ImageLabels;
use cleanslide_weak::noise::{
    Noisy, Selection, Uniform, asymmetric, between, instance_dependent, uniform,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use crate::arguments::{DatasetArgument, LabelsArguments};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::{Show, count, percent};
use crate::text_table::TextTable;

/// Add label noise of a known kind and rate, keeping the truth apart
///
/// The noisy labels are a new version with a source of their own; the labels before become a
/// reference, for evaluation only.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cleanslide inject uniform liver --rate 0.3\n  \
cleanslide inject asymmetric liver --flip tumour:hepatocytes=0.4\n  \
cleanslide inject difficult liver --rate 0.2 --difficulty difficulty.csv"
)]
pub struct Inject {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// Any label may become any other class; the number of wrong labels is exact
    Uniform {
        #[command(flatten)]
        shared: Shared,
        /// Share of the labels that become wrong
        #[arg(long)]
        rate: f64,
    },
    /// Labels of one class become another named class; the number is exact for each class
    Asymmetric {
        #[command(flatten)]
        shared: Shared,
        /// FROM:TO=RATE, as often as needed
        #[arg(long = "flip", required = true, value_name = "FROM:TO=RATE")]
        flips: Vec<String>,
    },
    /// Difficult images are likelier to become wrong; the number is exact
    Difficult {
        #[command(flatten)]
        shared: Shared,
        /// Share of the labels that become wrong
        #[arg(long)]
        rate: f64,
        /// Table with the columns image and difficulty (0 or more)
        #[arg(long, value_name = "CSV")]
        difficulty: PathBuf,
        /// Exactly the most difficult, instead of drawing in proportion to difficulty
        #[arg(long)]
        hardest: bool,
    },
}

#[derive(Debug, Args)]
struct Shared {
    #[command(flatten)]
    dataset: DatasetArgument,
    #[command(flatten)]
    labels: LabelsArguments,
    /// Name of the noisy labels
    #[arg(long, default_value = "noisy", value_name = "SOURCE")]
    name: String,
    /// Name of the reference that keeps the labels as they were
    #[arg(long, default_value = "truth", value_name = "REFERENCE")]
    reference: String,
}

#[derive(Debug, Serialize)]
struct Summary {
    dataset: PathBuf,
    labels: String,
    source: String,
    reference: String,
    images: usize,
    changed: usize,
    rate: f64,
    transitions: Vec<Vec<f64>>,
    #[serde(skip)]
    classes: Vec<String>,
}

impl Inject {
    pub fn run(self, context: &Context) -> Result<()> {
        let shared = match &self.kind {
            Kind::Uniform { shared, .. }
            | Kind::Asymmetric { shared, .. }
            | Kind::Difficult { shared, .. } => shared,
        };
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
        let noisy = self.inject(context, &dataset, &labelled, &truth)?;
        store(context, &mut dataset, &labels, &labelled, &noisy, shared)
    }

    fn inject(
        &self,
        context: &Context,
        dataset: &Dataset,
        labelled: &[usize],
        truth: &[usize],
    ) -> Result<Noisy> {
        let classes = dataset.classes();
        let mut rng = ChaCha8Rng::seed_from_u64(context.seed);
        Ok(match &self.kind {
            Kind::Uniform { rate, .. } => {
                uniform(truth, classes.len(), *rate, Uniform::Anywhere, &mut rng)?
            }
            Kind::Asymmetric { flips, .. } => {
                let flips = flips
                    .iter()
                    .map(|flip| parse_flip(flip, classes))
                    .collect::<Result<Vec<_>>>()?;
                asymmetric(truth, between(classes.len(), &flips)?.view(), &mut rng)?
            }
            Kind::Difficult {
                rate,
                difficulty,
                hardest,
                ..
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
}

fn store(
    context: &Context,
    dataset: &mut Dataset,
    labels: &ImageLabels,
    labelled: &[usize],
    noisy: &Noisy,
    shared: &Shared,
) -> Result<()> {
    let ids: Vec<String> = labelled
        .iter()
        .map(|&image| dataset.images()[image].id.clone())
        .collect();
    let as_evidence = |source: &str, classes: &[usize]| -> Vec<Evidence> {
        ids.iter()
            .zip(classes)
            .map(|(id, &class)| Evidence::class(source, id, class))
            .collect()
    };
    let truth = Labels::new(as_evidence("reference", &noisy.truth()), dataset.classes())?;
    let evidence = dataset
        .labels(labels.version)?
        .into_evidence()
        .into_iter()
        // The clean labels must not be in the version that is trained on.
        .filter(|piece| piece.source != labels.source && piece.source != shared.name)
        .chain(as_evidence(&shared.name, &noisy.labels))
        .collect();
    let new = Labels::new(evidence, dataset.classes())?;
    let known = dataset.references()?.contains(&shared.reference);
    if known && dataset.reference(&shared.reference)?.for_evaluation() != &truth {
        return Err(Failure::usage(format!(
            "the reference `{}` exists already and differs from these labels",
            shared.reference
        ))
        .help("Choose another name with `--reference`."));
    }
    if !known {
        dataset.add_reference(&shared.reference, &Reference::new(truth))?;
    }
    let rate = noisy.rate();
    let version = dataset.add_version(NewVersion {
        parent: Some(labels.version),
        produced: Some(shared.name.clone()),
        sources: vec![Source {
            id: shared.name.clone(),
            kind: SourceKind::Algorithm,
            description: format!("{} with injected noise", labels.source),
        }],
        labels: new,
        provenance: context.provenance(format!(
            "injected noise into {} of the labels",
            percent(rate)
        )),
        notes: Vec::new(),
    })?;
    let classes = dataset.classes();
    let matrix = noisy.realised(classes.len())?;
    context.output.show(&Summary {
        dataset: dataset.folder().to_owned(),
        labels: version.id.to_string(),
        source: shared.name.clone(),
        reference: shared.reference.clone(),
        images: labelled.len(),
        changed: noisy.changes.len(),
        rate,
        transitions: matrix.rows().into_iter().map(|row| row.to_vec()).collect(),
        classes: classes.names().to_vec(),
    })
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

fn read_difficulty(
    path: &std::path::Path,
    dataset: &Dataset,
    labelled: &[usize],
) -> Result<Vec<f64>> {
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
            "{}: {} of {} ({}) made wrong, as `{}` in {}; the truth is the reference `{}`\n{}",
            self.dataset.display(),
            count(self.changed, "label"),
            count(self.images, "image"),
            percent(self.rate),
            self.source,
            self.labels,
            self.reference,
            table.text()
        )
    }
}
