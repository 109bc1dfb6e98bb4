//! `cleanslide log`: the history of the labels.

use clap::Args;
use cleanslide_data::Version;
use serde::Serialize;

use crate::arguments::DatasetArgument;
use crate::context::Context;
use crate::failure::Result;
use crate::output::{Show, thousands};

/// List the label versions of a dataset and how each came about
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cleanslide log mitoses")]
pub struct Log {
    #[command(flatten)]
    dataset: DatasetArgument,
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct History(Vec<Version>);

impl Log {
    pub fn run(self, context: &Context) -> Result<()> {
        let dataset = context.open(&self.dataset.dataset)?;
        let mut versions = Vec::new();
        for id in dataset.versions()? {
            versions.push(dataset.version(id)?);
        }
        versions.reverse();
        context.output.show(&History(versions))
    }
}

impl Show for History {
    fn text(&self) -> String {
        let versions: Vec<String> = self.0.iter().map(describe).collect();
        versions.join("\n\n")
    }
}

fn describe(version: &Version) -> String {
    let from = version
        .parent
        .map_or_else(String::new, |parent| format!(" from {parent}"));
    let about = version
        .produced
        .as_ref()
        .map_or_else(String::new, |source| format!(", about `{source}`"));
    let counts = &version.counts;
    let changes = [
        (counts.added, "added"),
        (counts.changed, "changed"),
        (counts.removed, "removed"),
        (counts.unchanged, "unchanged"),
    ]
    .map(|(number, what)| format!("{} {what}", thousands(number)))
    .join(", ");
    format!(
        "{}{from}  {}  {}{about}\n  {changes}\n  {}\n  {}, seed {}, content {}",
        version.id,
        version.provenance.created,
        version.provenance.summary,
        version.provenance.command,
        version.provenance.program,
        version.provenance.seed,
        &version.hash[..12.min(version.hash.len())],
    )
}
