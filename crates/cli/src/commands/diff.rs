//! `cleanslide diff`: what changed between two label versions.

use clap::Args;
use cleanslide_data::{Change, Classes, Counts, Evidence, Target, VersionId, difference};
use serde::Serialize;

use crate::arguments::DatasetArgument;
use crate::context::Context;
use crate::failure::Result;
use crate::output::{Show, thousands};
use crate::text_table::TextTable;

/// Show what changed between two label versions
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cleanslide diff mitoses v1 v2")]
pub struct Diff {
    #[command(flatten)]
    dataset: DatasetArgument,
    /// The old version
    old: VersionId,
    /// The new version; the latest by default
    new: Option<VersionId>,
    /// Show at most this many changes; all with `--json`
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

#[derive(Debug, Serialize)]
struct Summary {
    old: String,
    new: String,
    counts: Counts,
    changes: Vec<Line>,
    #[serde(skip)]
    limit: usize,
}

#[derive(Debug, Serialize)]
struct Line {
    scope: &'static str,
    item: String,
    source: String,
    before: String,
    after: String,
}

impl Diff {
    pub fn run(self, context: &Context) -> Result<()> {
        let dataset = context.open(&self.dataset.dataset)?;
        let new = match self.new {
            Some(new) => new,
            None => dataset.latest()?,
        };
        let (old_labels, new_labels) = (dataset.labels(self.old)?, dataset.labels(new)?);
        let (changes, counts) = difference(&old_labels, &new_labels);
        let classes = dataset.classes();
        let line = |about: &Evidence, before: Option<&Evidence>, after: Option<&Evidence>| Line {
            scope: about.scope.kind(),
            item: about.scope.item().to_owned(),
            source: about.source.clone(),
            before: before.map_or_else(String::new, |piece| describe(piece, classes)),
            after: after.map_or_else(String::new, |piece| describe(piece, classes)),
        };
        let changes = changes
            .into_iter()
            .map(|change| match change {
                Change::Added(new) => line(new, None, Some(new)),
                Change::Removed(old) => line(old, Some(old), None),
                Change::Changed(old, new) => line(new, Some(old), Some(new)),
            })
            .collect();
        let (old, new) = (self.old.to_string(), new.to_string());
        context.output.show(&Summary {
            old,
            new,
            counts,
            changes,
            limit: self.limit,
        })
    }
}

/// What a piece of evidence says, in a few words.
pub fn describe(piece: &Evidence, classes: &Classes) -> String {
    let names = |set: &std::collections::BTreeSet<usize>| {
        set.iter()
            .map(|&class| classes.name(class))
            .collect::<Vec<_>>()
            .join(" or ")
    };
    let objects = |number: usize, complete: bool| {
        format!(
            "{} objects{}",
            thousands(number),
            if complete { "" } else { ", not complete" }
        )
    };
    let said = match &piece.target {
        Target::Class(class) => classes.name(*class),
        Target::Distribution(probabilities) => {
            let parts = probabilities.iter().enumerate().filter(|(_, p)| **p > 0.0);
            parts
                .map(|(class, p)| format!("{} {p:.2}", classes.name(class)))
                .collect::<Vec<_>>()
                .join(", ")
        }
        Target::OneOf(set) => names(set),
        Target::NoneOf(set) => format!("not {}", names(set)),
        Target::Boxes(found) => objects(found.objects.len(), found.complete),
        Target::Points(found) => objects(found.objects.len(), found.complete),
        Target::Polygons(found) => objects(found.objects.len(), found.complete),
        Target::Instances { classes, .. } => objects(classes.len(), true),
        Target::Dense(mask) | Target::Partial(mask) => {
            format!("mask {}", &mask.hash[..8.min(mask.hash.len())])
        }
    };
    if piece.trust.value() < 1.0 {
        format!("{said} (trust {:.2})", piece.trust.value())
    } else {
        said
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let Counts {
            added,
            removed,
            changed,
            unchanged,
        } = self.counts;
        let mut lines = vec![format!(
            "{} → {}: {} added, {} changed, {} removed, {} unchanged",
            self.old,
            self.new,
            thousands(added),
            thousands(changed),
            thousands(removed),
            thousands(unchanged)
        )];
        if !self.changes.is_empty() {
            let mut table = TextTable::new(&["item", "<source", "<before", "<after"]);
            for line in self.changes.iter().take(self.limit) {
                table
                    .row([&line.item, &line.source, &line.before, &line.after].map(String::as_str));
            }
            lines.push(table.text());
        }
        if self.changes.len() > self.limit {
            let rest = self.changes.len() - self.limit;
            lines.push(format!(
                "  … and {} more; show them with --limit",
                thousands(rest)
            ));
        }
        lines.join("\n")
    }
}
