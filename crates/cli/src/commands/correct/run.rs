//! Labels that a network corrected while it learned from them, as a new label version.

use std::path::{Path, PathBuf};

use cleanslide_data::{Dataset, Evidence, Labels, NewVersion, Source, SourceKind};
use cleanslide_learn::correction::ChangeCounts;
use serde::Serialize;

use super::{boxes, masks};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::network_run::{Labelled, NetworkManifest, is_finished, labels_of_run, read_manifest};
use crate::output::{Show, count, thousands};
use crate::text_table::TextTable;

/// What is asked.
pub struct Request<'a> {
    /// A run that corrected labels.
    pub run: &'a Path,
    /// The epoch after which they were given; by default the last.
    pub epoch: Option<usize>,
    /// What they are called.
    pub name: &'a str,
}

/// A run whose corrected labels are asked for.
pub struct CorrectingRun<'a> {
    /// Its folder.
    pub run: &'a Path,
    /// What it was made from.
    pub manifest: NetworkManifest,
    /// What the corrected labels are called.
    pub name: &'a str,
    /// All labels that it was trained on.
    pub labels: Labels,
    asked: Option<usize>,
}

/// What became of the labels.
pub struct Corrected {
    /// The epoch after which they were given.
    pub epoch: usize,
    /// The epochs that there are corrected labels of.
    pub epochs: Vec<usize>,
    /// What they say.
    pub evidence: Vec<Evidence>,
    /// Every change, as a table.
    pub table: Vec<u8>,
    /// How many there are of each kind.
    pub counts: ChangeCounts,
    /// Images that the network learned from.
    pub images: usize,
    /// Those of them of which nothing is known: nothing was found in them.
    pub unlabelled: usize,
    /// Those of them with boxes, but not of every object.
    pub incomplete: usize,
}

/// What was changed.
#[derive(Debug, Serialize)]
struct Summary {
    dataset: PathBuf,
    labels: String,
    source: String,
    from: String,
    epoch: usize,
    /// The epochs that there are corrected labels of.
    epochs: Vec<usize>,
    images: usize,
    /// Images of which nothing is known: nothing was found in them.
    without_objects: usize,
    /// Images with boxes, but not of every object: what is in none is not background.
    incomplete: usize,
    /// Objects before: kept, redrawn and dropped ones.
    given: usize,
    /// Objects now: kept, redrawn and added ones.
    corrected: usize,
    kept: usize,
    redrawn: usize,
    added: usize,
    dropped: usize,
}

/// Writes the corrected labels of a run into its dataset.
pub fn run(context: &Context, dataset: &mut Dataset, request: &Request) -> Result<()> {
    let manifest = read_manifest(request.run)?;
    if !is_finished(request.run) {
        return Err(
            Failure::usage(format!("{} is not finished yet", request.run.display()))
                .help("Go on with the same command that began it."),
        );
    }
    if request.name == manifest.source {
        return Err(Failure::usage(format!(
            "the corrected labels cannot be called `{}` too",
            request.name
        ))
        .help("Choose another name with `--name`."));
    }
    let labels = labels_of_run(dataset, &manifest, request.run)?;
    let of = CorrectingRun {
        run: request.run,
        manifest,
        name: request.name,
        labels,
        asked: request.epoch,
    };
    let corrected = match of.manifest.kind {
        Labelled::Boxes => boxes::corrected(dataset, &of)?,
        Labelled::Instances => masks::corrected(dataset, &of)?,
        Labelled::Pixels => return Err(of.corrected_nothing()),
    };
    publish(context, dataset, of, corrected)
}

impl CorrectingRun<'_> {
    /// The epoch whose labels are asked for, and all that there are some of, which `of` lists by the folder of a
    /// training. `corrects` says whether the recipe asks for any.
    pub fn epoch(
        &self,
        corrects: bool,
        of: impl Fn(&Path) -> cleanslide_learn::error::Result<Vec<usize>>,
    ) -> Result<(usize, Vec<usize>)> {
        if !corrects {
            return Err(self.corrected_nothing());
        }
        let run = self.run.display();
        let folder = self.folder();
        if !folder.is_dir() {
            return Err(Failure::usage(format!(
                "{run} has no network that learned from all images"
            ))
            .help("Its folds corrected different images each; train without `whole = false`."));
        }
        let epochs = of(&folder)?;
        let Some(&last) = epochs.last() else {
            return Err(Failure::input(format!(
                "{run} never began to correct labels: its training ended before"
            ))
            .help("Train for more epochs, or say when to begin: [correction] start = { name = \"epoch\", epoch = 8 }."));
        };
        let epoch = self.asked.unwrap_or(last);
        if !epochs.contains(&epoch) {
            let epochs: Vec<String> = epochs.iter().map(usize::to_string).collect();
            return Err(
                Failure::usage(format!("{run} corrected no labels after epoch {epoch}"))
                    .help(format!("It did after the epochs {}.", epochs.join(", "))),
            );
        }
        Ok((epoch, epochs))
    }

    /// The folder of the network that learned from all images.
    pub fn folder(&self) -> PathBuf {
        self.run.join("whole")
    }

    fn corrected_nothing(&self) -> Failure {
        Failure::usage(format!("{} corrected no labels", self.run.display()))
            .help("Train with [correction] in the recipe, or with `--method sissi`.")
    }
}

/// All that was said before, and the corrected labels.
fn publish(
    context: &Context,
    dataset: &mut Dataset,
    run: CorrectingRun,
    corrected: Corrected,
) -> Result<()> {
    let CorrectingRun { manifest, name, .. } = run;
    let mut evidence = run.labels.into_evidence();
    evidence.retain(|piece| piece.source != name);
    evidence.extend(corrected.evidence);
    let version = dataset.add_version(NewVersion {
        parent: Some(manifest.labels),
        produced: Some(name.to_owned()),
        sources: vec![Source {
            id: name.to_owned(),
            kind: SourceKind::Model,
            description: format!(
                "labels of {} as {} corrected them, after epoch {}",
                manifest.source,
                run.run.display(),
                corrected.epoch
            ),
            values: None,
        }],
        labels: Labels::new(evidence, dataset.classes())?,
        provenance: context.provenance(format!(
            "corrected {} of {}",
            count(corrected.images, "image"),
            manifest.source
        )),
        notes: vec![("changes.csv".into(), corrected.table)],
    })?;
    let counts = corrected.counts;
    context.output.show(&Summary {
        dataset: dataset.folder().to_owned(),
        labels: version.id.to_string(),
        source: name.to_owned(),
        from: format!("{} of {}", manifest.source, manifest.labels),
        epoch: corrected.epoch,
        epochs: corrected.epochs,
        images: corrected.images,
        without_objects: corrected.unlabelled,
        incomplete: corrected.incomplete,
        given: counts.kept + counts.redrawn + counts.dropped,
        corrected: counts.kept + counts.redrawn + counts.added,
        kept: counts.kept,
        redrawn: counts.redrawn,
        added: counts.added,
        dropped: counts.dropped,
    })
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut table = TextTable::new(&["<objects", "number", "<what became of them"]);
        for (what, number, meaning) in [
            (
                "kept",
                self.kept,
                "overlap by 0.9 at least, of the same class",
            ),
            (
                "redrawn",
                self.redrawn,
                "the same object has another shape or class",
            ),
            ("dropped", self.dropped, "nothing was found in their place"),
            ("added", self.added, "nobody had marked them"),
        ] {
            table.row([what.to_owned(), thousands(number), meaning.to_owned()]);
        }
        let mut lines = vec![
            format!(
                "{}: {} given on {}, and {} as `{}` in {}, by the labels after epoch {}",
                self.dataset.display(),
                count(self.given, "object"),
                count(self.images, "image"),
                thousands(self.corrected),
                self.source,
                self.labels,
                self.epoch
            ),
            format!("from {}", self.from),
            table.text(),
        ];
        if self.without_objects > 0 {
            lines.push(format!(
                "nothing was found on {}: unlabelled from now on",
                count(self.without_objects, "image")
            ));
        }
        if self.incomplete > 0 {
            lines.push(format!(
                "not every object may be marked on {}: what is in no box there is unlabelled, not background",
                count(self.incomplete, "image")
            ));
        }
        lines.push(format!(
            "see every change: labels/{}/changes.csv",
            self.labels
        ));
        lines.join("\n")
    }
}
