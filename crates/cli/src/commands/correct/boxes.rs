//! Boxes that a detector corrected while it learned from them, as a new label version.

use std::path::{Path, PathBuf};

use cleanslide_data::{
    Dataset, Evidence, Family, Labels, NewVersion, Object, Rectangle, Scope, Source, SourceKind,
    Target, to_csv,
};
use cleanslide_learn::detect::correction::{
    BoxTrust, Change, ChangeCounts, CorrectedBox, Cycle, CycleImage, changes,
};
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::network_run::{BoxRecipe, is_finished, read_config, read_manifest};
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
    /// Images in which nothing was found: they are unlabelled.
    without_boxes: usize,
    given: usize,
    kept: usize,
    redrawn: usize,
    added: usize,
    dropped: usize,
}

/// An image with what became of its boxes.
struct Compared<'a> {
    image: &'a CycleImage,
    changes: Vec<Change>,
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
    let recipe: BoxRecipe = read_config(request.run)?;
    let (cycle, epochs) = cycle(request, &recipe)?;
    if request.name == manifest.source {
        return Err(Failure::usage(format!(
            "the corrected labels cannot be called `{}` too",
            request.name
        ))
        .help("Choose another name with `--name`."));
    }
    let labels = dataset.labels(manifest.labels)?;
    if dataset.version(manifest.labels)?.hash != manifest.labels_hash {
        return Err(Failure::input(format!(
            "{} is of other labels than {} of {} has",
            request.run.display(),
            manifest.labels,
            dataset.folder().display()
        ))
        .help("Name the dataset that the run was trained on."));
    }
    let given = labels.of_images(&manifest.source, Family::Boxes);
    let compared: Vec<Compared> = cycle
        .images
        .iter()
        .map(|image| Compared {
            changes: changes(
                objects(given.get(image.image.as_str())),
                &image.labels.objects,
            ),
            image,
        })
        .collect();
    let views = recipe
        .correction
        .as_ref()
        .map_or(1, |correction| correction.views_of_an_image());
    let table = changes_table(dataset, &compared, views);
    let version = dataset.add_version(NewVersion {
        parent: Some(manifest.labels),
        produced: Some(request.name.to_owned()),
        sources: vec![Source {
            id: request.name.to_owned(),
            kind: SourceKind::Model,
            description: format!(
                "boxes of {} as {} corrected them, after epoch {}",
                manifest.source,
                request.run.display(),
                cycle.epoch
            ),
            values: None,
        }],
        labels: corrected_labels(dataset, labels.clone(), &cycle, request.name)?,
        provenance: context.provenance(format!(
            "corrected {} of {}",
            count(compared.len(), "image"),
            manifest.source
        )),
        notes: vec![("changes.csv".into(), table)],
    })?;
    let counts: ChangeCounts = compared.iter().flat_map(|of| &of.changes).collect();
    let empty = |of: &&Compared| of.image.labels.objects.is_empty();
    context.output.show(&Summary {
        dataset: dataset.folder().to_owned(),
        labels: version.id.to_string(),
        source: request.name.to_owned(),
        from: format!("{} of {}", manifest.source, manifest.labels),
        epoch: cycle.epoch,
        epochs,
        images: compared.len(),
        without_boxes: compared.iter().filter(empty).count(),
        given: counts.kept + counts.redrawn + counts.dropped,
        kept: counts.kept,
        redrawn: counts.redrawn,
        added: counts.added,
        dropped: counts.dropped,
    })
}

/// The corrected labels that are asked for, and the epochs that there are some of.
fn cycle(request: &Request, recipe: &BoxRecipe) -> Result<(Cycle, Vec<usize>)> {
    let run = request.run.display();
    if recipe.correction.is_none() {
        return Err(Failure::usage(format!("{run} corrected no labels"))
            .help("Train with [correction] in the recipe, or with `--method sissi`."));
    }
    let folder = request.run.join("whole");
    if !folder.is_dir() {
        return Err(
            Failure::usage(format!("{run} has no network that learned from all images"))
                .help("Its folds corrected different images each; train without `whole = false`."),
        );
    }
    let epochs = Cycle::epochs(&folder)?;
    let Some(&last) = epochs.last() else {
        return Err(Failure::input(format!(
            "{run} never began to correct labels: its training ended before"
        ))
        .help("Train for more epochs, or say when to begin: [correction] start = { name = \"epoch\", epoch = 8 }."));
    };
    let epoch = request.epoch.unwrap_or(last);
    if !epochs.contains(&epoch) {
        let epochs: Vec<String> = epochs.iter().map(usize::to_string).collect();
        return Err(
            Failure::usage(format!("{run} corrected no labels after epoch {epoch}"))
                .help(format!("It did after the epochs {}.", epochs.join(", "))),
        );
    }
    Ok((Cycle::read(&folder, epoch)?, epochs))
}

fn objects<'a>(piece: Option<&&'a Evidence>) -> &'a [Object<Rectangle>] {
    match piece.map(|piece| &piece.target) {
        Some(Target::Boxes(boxes)) => &boxes.objects,
        _ => &[],
    }
}

/// All that was said before, and the corrected boxes; of images without any nothing is said.
fn corrected_labels(
    dataset: &Dataset,
    labels: Labels,
    cycle: &Cycle,
    name: &str,
) -> Result<Labels> {
    let mut evidence = labels.into_evidence();
    evidence.retain(|piece| piece.source != name);
    let found = cycle
        .images
        .iter()
        .filter(|image| !image.labels.objects.is_empty());
    evidence.extend(found.map(|image| Evidence {
        source: name.to_owned(),
        scope: Scope::Image(image.image.clone()),
        target: Target::Boxes(image.labels.labels(BoxTrust::Score)),
        trust: cleanslide_data::Trust::FULL,
    }));
    Ok(Labels::new(evidence, dataset.classes())?)
}

fn changes_table(dataset: &Dataset, compared: &[Compared], views: usize) -> Vec<u8> {
    let class = |class: usize| dataset.classes().name(class);
    let sides = |shape: Rectangle| <[f64; 4]>::from(shape).map(|side| format!("{side:.1}"));
    let row = |image: &str, change: &Change| -> Vec<String> {
        let (what, given, found, reason) = match change {
            Change::Kept(given, found) => (
                "kept",
                Some(given),
                Some(found),
                format!("found in {} of {views} views", found.views),
            ),
            Change::Redrawn(given, found) => (
                "redrawn",
                Some(given),
                Some(found),
                redrawn_because(given, found, views),
            ),
            Change::Added(found) => (
                "added",
                None,
                Some(found),
                format!("found in {} of {views} views, and not marked", found.views),
            ),
            Change::Dropped(given) => (
                "dropped",
                Some(given),
                None,
                "nothing was found here that is sure enough".to_owned(),
            ),
        };
        let mut cells = vec![image.to_owned(), what.to_owned()];
        cells.push(given.map_or_else(String::new, |given| class(given.class)));
        cells.extend(given.map_or_else(Default::default, |given| sides(given.shape)));
        cells.push(found.map_or_else(String::new, |found| class(found.class)));
        cells.extend(found.map_or_else(Default::default, |found| sides(found.shape)));
        cells.push(found.map_or_else(String::new, |found| format!("{:.4}", found.score)));
        cells.push(found.map_or_else(String::new, |found| found.views.to_string()));
        cells.push(reason);
        cells
    };
    to_csv(
        &[
            "image",
            "change",
            "given class",
            "given left",
            "given top",
            "given right",
            "given bottom",
            "class",
            "left",
            "top",
            "right",
            "bottom",
            "score",
            "views",
            "reason",
        ],
        compared.iter().flat_map(|of| {
            let image = &of.image.image;
            of.changes.iter().map(move |change| row(image, change))
        }),
    )
}

fn redrawn_because(given: &Object<Rectangle>, found: &CorrectedBox, views: usize) -> String {
    let overlap = given.shape.iou(&found.shape);
    let class = if given.class == found.class {
        ""
    } else {
        ", of another class"
    };
    format!(
        "{} of {views} views agree on a box that overlaps the given one by {overlap:.2}{class}",
        found.views
    )
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut table = TextTable::new(&["<boxes", "number", "<what became of them"]);
        for (what, number, meaning) in [
            (
                "kept",
                self.kept,
                "overlap by 0.9 at least, of the same class",
            ),
            (
                "redrawn",
                self.redrawn,
                "the same object has another box or class",
            ),
            ("dropped", self.dropped, "nothing was found in their place"),
            ("added", self.added, "nobody had marked them"),
        ] {
            table.row([what.to_owned(), thousands(number), meaning.to_owned()]);
        }
        let mut lines = vec![
            format!(
                "{}: {} on {}, corrected as `{}` in {}, by the labels after epoch {}",
                self.dataset.display(),
                count(self.given, "box"),
                count(self.images, "image"),
                self.source,
                self.labels,
                self.epoch
            ),
            format!("from {}", self.from),
            table.text(),
        ];
        if self.without_boxes > 0 {
            lines.push(format!(
                "nothing was found on {}: unlabelled from now on",
                count(self.without_boxes, "image")
            ));
        }
        lines.push(format!(
            "see every change: labels/{}/changes.csv",
            self.labels
        ));
        lines.join("\n")
    }
}
