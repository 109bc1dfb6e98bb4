//! Diagnoses of cases, slides or images that a dataset has.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use cleanslide_data::formats::{Diagnosed, Meaning, read_diagnoses};
use cleanslide_data::{Labels, NewVersion, Source, SourceKind};
use serde::Serialize;

use crate::arguments::DatasetArgument;
use crate::context::Context;
use crate::failure::Result;
use crate::output::{Show, count, thousands};
use crate::text_table::TextTable;

/// What `import diagnoses` takes.
#[derive(Debug, Args)]
pub struct Diagnoses {
    /// csv table with the columns case (or slide, or image) and diagnosis
    input: PathBuf,
    #[command(flatten)]
    dataset: DatasetArgument,
    /// Classes that no pixel of a case with this diagnosis is of, for each diagnosis that occurs; none after `=` where it
    /// excludes nothing
    #[arg(long, required = true, value_name = "DIAGNOSIS=CLASS,...")]
    excludes: Vec<Meaning>,
    /// Column of the diagnosis
    #[arg(long, value_name = "COLUMN")]
    column: Option<String>,
    /// Name of whoever diagnosed
    #[arg(long, default_value = "diagnosis", value_name = "NAME")]
    source: String,
}

#[derive(Debug, Serialize)]
struct Summary {
    dataset: PathBuf,
    labels: String,
    source: String,
    /// How many have each diagnosis.
    counts: BTreeMap<String, usize>,
    #[serde(skip)]
    excludes: Vec<Meaning>,
    /// Of the table, that the dataset does not know.
    unknown: usize,
}

impl Diagnoses {
    pub fn run(self, context: &Context) -> Result<()> {
        let mut dataset = context.open(&self.dataset.dataset)?;
        let Diagnosed {
            evidence,
            counts,
            unknown,
        } = read_diagnoses(
            &self.input,
            self.column.as_deref(),
            &self.excludes,
            (&dataset, &self.source),
        )?;
        if let Some(first) = unknown.first() {
            context.output.warn(&format!(
                "{}: {} of the table left out, because the dataset has none; the first is {first}",
                self.input.display(),
                count(unknown.len(), "item")
            ));
        }
        let parent = dataset.versions()?.last().copied();
        let before = match parent {
            Some(parent) => dataset.labels(parent)?.into_evidence(),
            None => Vec::new(),
        };
        let produced = match parent {
            Some(parent) => dataset.version(parent)?.produced,
            None => None,
        };
        let labels = Labels::new(
            before.into_iter().chain(evidence).collect(),
            dataset.classes(),
        )?;
        let version = dataset.add_version(NewVersion {
            parent,
            produced,
            sources: vec![Source {
                kind: SourceKind::Diagnosis,
                ..Source::expert(&self.source)
            }],
            labels,
            provenance: context.provenance(format!("imported {}", self.input.display())),
            notes: Vec::new(),
        })?;
        context.output.show(&Summary {
            dataset: self.dataset.dataset,
            labels: version.id.to_string(),
            source: self.source,
            counts,
            excludes: self.excludes,
            unknown: unknown.len(),
        })
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut table = TextTable::new(&["diagnosis", "number", "<excludes"]);
        for meaning in &self.excludes {
            let number = self.counts.get(&meaning.diagnosis).copied().unwrap_or(0);
            table.row([
                meaning.diagnosis.clone(),
                thousands(number),
                match meaning.excludes.as_slice() {
                    [] => "nothing".to_owned(),
                    some => some.join(", "),
                },
            ]);
        }
        format!(
            "{}: diagnoses by {}, as {}\n{}\nnext: cleanslide train {} --method complementary",
            self.dataset.display(),
            self.source,
            self.labels,
            table.text(),
            self.dataset.display()
        )
    }
}
