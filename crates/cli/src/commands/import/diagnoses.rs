//! Diagnoses of cases, slides or images that a dataset has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use cleanslide_data::formats::{Diagnosed, Meaning, read_diagnoses};
use cleanslide_data::{Evidence, Family, Labels, NewVersion, Source, SourceKind, difference};
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
    /// All of this was known, so nothing was changed.
    nothing_new: bool,
    /// Diagnoses of this source that were otherwise before.
    corrected: usize,
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
            scopes,
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
        let (before, produced) = match parent {
            Some(parent) => (dataset.labels(parent)?, dataset.version(parent)?.produced),
            None => (Labels::default(), None),
        };
        let scopes: BTreeSet<(&str, &str)> = scopes
            .iter()
            .map(|scope| (scope.kind(), scope.item()))
            .collect();
        // A later diagnosis of the same source corrects the one before.
        let corrected = |piece: &Evidence| {
            piece.source == self.source
                && piece.target.family() == Family::Class
                && scopes.contains(&(piece.scope.kind(), piece.scope.item()))
        };
        let kept = before.evidence().iter().filter(|piece| !corrected(piece));
        let labels = Labels::new(kept.cloned().chain(evidence).collect(), dataset.classes())?;
        let (changes, numbers) = difference(&before, &labels);
        let corrected = numbers.changed + numbers.removed;
        let known = parent.filter(|_| changes.is_empty());
        let version = match known {
            Some(known) => known,
            None => {
                dataset
                    .add_version(NewVersion {
                        parent,
                        produced,
                        sources: vec![Source {
                            kind: SourceKind::Diagnosis,
                            ..Source::expert(&self.source)
                        }],
                        labels,
                        provenance: context
                            .provenance(format!("imported {}", self.input.display())),
                        notes: Vec::new(),
                    })?
                    .id
            }
        };
        context.output.show(&Summary {
            dataset: self.dataset.dataset,
            labels: version.to_string(),
            source: self.source,
            nothing_new: known.is_some(),
            corrected,
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
        let known = match (self.nothing_new, self.corrected) {
            (true, _) => "; nothing new, so nothing was changed".to_owned(),
            (false, 0) => String::new(),
            (false, some) => format!("; {} of what it said before", count(some, "correction")),
        };
        format!(
            "{}: diagnoses by {}, as {}{known}\n{}\nnext: cleanslide train {} --method complementary",
            self.dataset.display(),
            self.source,
            self.labels,
            table.text(),
            self.dataset.display()
        )
    }
}
