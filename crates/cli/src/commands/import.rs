//! `cleanslide import`: labels that exist become a dataset.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use cleanslide_data::formats::{
    ClassColumns, Imported, VoteColumns, read_class_folders, read_class_table, read_votes,
};
use cleanslide_data::{
    Dataset, FORMAT, ImageRecord, Labels, Manifest, NewVersion, Reference, Source, SourceKind, Task,
};
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::{Show, count};

/// Make a dataset from labels that exist, or add them to one
///
/// Images stay where they are; the dataset names them. If DATASET exists already, the labels are
/// added to it as a new label version.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cleanslide import classes patches/ liver\n  \
cleanslide import votes votes.csv mitoses --annotators anna,ben,carla --reference majority"
)]
pub struct Import {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One class per image: a folder per class, or a csv table
    #[command(
        after_help = "Examples:\n  cleanslide import classes patches/ liver\n  \
cleanslide import classes labels.csv liver --class-column diagnosis --source registry"
    )]
    Classes(Classes),
    /// Votes of several annotators: a csv table with one column per annotator, empty where an
    /// annotator did not label
    #[command(after_help = "Example:\n  cleanslide import votes votes.csv mitoses \
--annotators anna,ben,carla --reference majority")]
    Votes(Votes),
}

#[derive(Debug, Args)]
struct Shared {
    /// The classes, in order; by default all that occur, sorted by name
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    classes: Option<Vec<String>>,
    /// Column of the image files; by default image, path, file or filename
    #[arg(long, value_name = "COLUMN")]
    image_column: Option<String>,
    /// Column whose classes are kept apart as a reference for evaluation
    #[arg(long, value_name = "COLUMN")]
    reference: Option<String>,
    /// Takes the case of each image from its id: the first group of this regular expression
    #[arg(long, value_name = "REGEX")]
    case_pattern: Option<String>,
}

#[derive(Debug, Args)]
struct Classes {
    /// Folder with a folder per class, or csv table
    input: PathBuf,
    /// Folder of the dataset, new or existing
    dataset: PathBuf,
    /// Column of the class; by default class or label
    #[arg(long, value_name = "COLUMN")]
    class_column: Option<String>,
    /// Name of whoever made the labels
    #[arg(long, default_value = "labels", value_name = "NAME")]
    source: String,
    /// What made the labels
    #[arg(long, value_enum, default_value = "expert")]
    kind: Kind,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Expert,
    Algorithm,
    Diagnosis,
    Model,
}

#[derive(Debug, Args)]
struct Votes {
    /// csv table
    input: PathBuf,
    /// Folder of the dataset, new or existing
    dataset: PathBuf,
    /// Columns of the annotators; by default all that do not describe the image
    #[arg(long, value_delimiter = ',', value_name = "COLUMNS")]
    annotators: Option<Vec<String>>,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Debug, Serialize)]
struct Summary {
    dataset: PathBuf,
    labels: String,
    images: usize,
    missing_images: usize,
    cases: usize,
    classes: Vec<String>,
    sources: Vec<String>,
    pieces_of_evidence: usize,
    unlabelled_images: usize,
    references: Vec<String>,
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut lines = vec![format!(
            "{}: {}{}, {} of {} by {}, as {}",
            self.dataset.display(),
            count(self.images, "image"),
            if self.cases > 0 {
                format!(" of {}", count(self.cases, "case"))
            } else {
                String::new()
            },
            count(self.pieces_of_evidence, "label"),
            self.classes.join(" / "),
            self.sources.join(", "),
            self.labels,
        )];
        if self.unlabelled_images > 0 {
            lines.push(format!(
                "{} nobody labelled",
                count(self.unlabelled_images, "image")
            ));
        }
        for reference in &self.references {
            lines.push(format!("`{reference}` is kept apart, for evaluation only"));
        }
        lines.push(format!("next: cleanslide audit {}", self.dataset.display()));
        lines.join("\n")
    }
}

impl Import {
    pub fn run(self, context: &Context) -> Result<()> {
        let (imported, dataset, shared, input) = match self.what {
            What::Classes(arguments) => {
                let kind = match arguments.kind {
                    Kind::Expert => SourceKind::Expert,
                    Kind::Algorithm => SourceKind::Algorithm,
                    Kind::Diagnosis => SourceKind::Diagnosis,
                    Kind::Model => SourceKind::Model,
                };
                let source = Source {
                    kind,
                    ..Source::expert(arguments.source)
                };
                let shared = arguments.shared;
                let imported = if arguments.input.is_dir() {
                    read_class_folders(&arguments.input, &source, shared.classes.as_deref())?
                } else {
                    let columns = ClassColumns {
                        image: shared.image_column.clone(),
                        class: arguments.class_column,
                        reference: shared.reference.clone(),
                    };
                    read_class_table(
                        &arguments.input,
                        &source,
                        &columns,
                        shared.classes.as_deref(),
                    )?
                };
                (imported, arguments.dataset, shared, arguments.input)
            }
            What::Votes(arguments) => {
                let shared = arguments.shared;
                let columns = VoteColumns {
                    image: shared.image_column.clone(),
                    annotators: arguments.annotators,
                    reference: shared.reference.clone(),
                };
                let imported = read_votes(&arguments.input, &columns, shared.classes.as_deref())?;
                (imported, arguments.dataset, shared, arguments.input)
            }
        };
        let summary = store(context, imported, &dataset, &shared, &input)?;
        context.output.show(&summary)
    }
}

fn store(
    context: &Context,
    mut imported: Imported,
    folder: &Path,
    shared: &Shared,
    input: &Path,
) -> Result<Summary> {
    if imported.classes.len() < 2 {
        let names = imported.classes.names();
        return Err(Failure::input(match names {
            [only] => format!("all labels of {} are equal: `{only}`", input.display()),
            _ => format!("{} has no labels", input.display()),
        })
        .help("Classification needs at least two classes; declare those that do not occur with `--classes`."));
    }
    if let Some(pattern) = &shared.case_pattern {
        cases_from_ids(&mut imported.images, pattern)?;
    }
    let missing = leave_out_missing(context, &mut imported, input)?;
    warn_of_lonely_classes(context, &imported);
    let exists = folder.join("dataset.toml").exists();
    relate_paths(&mut imported.images, folder)?;
    let provenance = context.provenance(format!("imported {}", input.display()));
    let dataset = if exists {
        add_to(context, folder, &imported, provenance)?
    } else {
        create(folder, &imported, provenance)?
    };
    let labelled: std::collections::BTreeSet<&str> = imported
        .evidence
        .iter()
        .map(|piece| piece.scope.item())
        .collect();
    let cases: std::collections::BTreeSet<&str> = imported
        .images
        .iter()
        .map(|image| image.case.as_str())
        .filter(|case| !case.is_empty())
        .collect();
    Ok(Summary {
        dataset: folder.to_owned(),
        labels: dataset.latest()?.to_string(),
        images: imported.images.len(),
        missing_images: missing,
        cases: cases.len(),
        classes: imported.classes.names().to_vec(),
        sources: imported
            .sources
            .iter()
            .map(|source| source.id.clone())
            .collect(),
        pieces_of_evidence: imported.evidence.len(),
        unlabelled_images: imported.images.len() - labelled.len(),
        references: imported
            .references
            .iter()
            .map(|(name, _)| name.clone())
            .collect(),
    })
}

fn create(
    folder: &Path,
    imported: &Imported,
    provenance: cleanslide_data::Provenance,
) -> Result<Dataset> {
    let manifest = Manifest {
        format: FORMAT,
        task: Task::Classification,
        classes: imported.classes.clone(),
        sources: imported.sources.clone(),
    };
    let labels = Labels::new(imported.evidence.clone(), &imported.classes)?;
    let mut references = Vec::new();
    for (name, evidence) in &imported.references {
        let labels = Labels::new(evidence.clone(), &imported.classes)?;
        references.push((name.clone(), Reference::new(labels)));
    }
    let produced = match imported.sources.as_slice() {
        [only] => Some(only.id.clone()),
        _ => None,
    };
    let first = NewVersion {
        parent: None,
        produced,
        sources: Vec::new(),
        labels,
        provenance,
        notes: Vec::new(),
    };
    Ok(Dataset::create(
        folder,
        manifest,
        imported.images.clone(),
        Some(first),
        &references,
    )?)
}

/// Adds labels, and images that are new, to a dataset that exists.
fn add_to(
    context: &Context,
    folder: &Path,
    imported: &Imported,
    provenance: cleanslide_data::Provenance,
) -> Result<Dataset> {
    let mut dataset = context.open(folder)?;
    if dataset.classes() != &imported.classes {
        return Err(Failure::input(format!(
            "{} has the classes {}, the labels have {}",
            folder.display(),
            dataset.classes().names().join(", "),
            imported.classes.names().join(", ")
        ))
        .help("Give the classes of the dataset with `--classes`, in their order."));
    }
    let parent = dataset.latest()?;
    let mut evidence = dataset.labels(parent)?.into_evidence();
    evidence.extend(imported.evidence.iter().cloned());
    let labels = Labels::new(evidence, dataset.classes())?;
    let new: Vec<ImageRecord> = imported
        .images
        .iter()
        .filter(|image| dataset.position(&image.id).is_none())
        .cloned()
        .collect();
    if !new.is_empty() {
        dataset.add_images(new)?;
    }
    for (name, evidence) in &imported.references {
        let labels = Labels::new(evidence.clone(), dataset.classes())?;
        dataset.add_reference(name, &Reference::new(labels))?;
    }
    let parent = Some(parent);
    dataset.add_version(NewVersion {
        parent,
        produced: None,
        sources: imported.sources.clone(),
        labels,
        provenance,
        notes: Vec::new(),
    })?;
    Ok(dataset)
}

fn cases_from_ids(images: &mut [ImageRecord], pattern: &str) -> Result<()> {
    let regex = regex_lite::Regex::new(pattern).map_err(|error| {
        Failure::usage(format!("`{pattern}` is not a regular expression: {error}"))
    })?;
    for image in images {
        let case = regex.captures(&image.id).and_then(|found| found.get(1));
        let Some(case) = case else {
            return Err(Failure::usage(format!(
                "`{pattern}` finds no case in the id `{}`",
                image.id
            ))
            .help("The pattern needs one group in parentheses, such as '^([^_]+)_'."));
        };
        image.case = case.as_str().to_owned();
    }
    Ok(())
}

/// Leaves out images whose file is not there, and says so.
fn leave_out_missing(context: &Context, imported: &mut Imported, input: &Path) -> Result<usize> {
    let missing: std::collections::BTreeSet<String> = imported
        .images
        .iter()
        .filter(|image| !Path::new(&image.path).is_file())
        .map(|image| image.id.clone())
        .collect();
    let Some(first) = missing.first() else {
        return Ok(0);
    };
    let path = imported
        .images
        .iter()
        .find(|image| image.id == *first)
        .map(|image| image.path.clone());
    let path = path.unwrap_or_default();
    if missing.len() == imported.images.len() {
        return Err(Failure::input(format!(
            "none of the {} named in {} exists; the first is {path}",
            count(missing.len(), "image"),
            input.display()
        ))
        .help("Paths in a table are relative to the folder of the table."));
    }
    context.output.warn(&format!(
        "{} left out, because the file does not exist; the first is {path}",
        count(missing.len(), "image")
    ));
    imported.images.retain(|image| !missing.contains(&image.id));
    imported
        .evidence
        .retain(|piece| !missing.contains(piece.scope.item()));
    for (_, evidence) in &mut imported.references {
        evidence.retain(|piece| !missing.contains(piece.scope.item()));
    }
    Ok(missing.len())
}

/// A class whose images all come from one case can be trained on or tested on, never both.
fn warn_of_lonely_classes(context: &Context, imported: &Imported) {
    let units = cleanslide_data::independent_units(&imported.images);
    let unit_of: std::collections::BTreeMap<&str, usize> = imported
        .images
        .iter()
        .zip(&units)
        .map(|(image, &unit)| (image.id.as_str(), unit))
        .collect();
    for (class, name) in imported.classes.names().iter().enumerate() {
        let cases: std::collections::BTreeSet<usize> = imported
            .evidence
            .iter()
            .filter(|piece| piece.target == cleanslide_data::Target::Class(class))
            .filter_map(|piece| unit_of.get(piece.scope.item()).copied())
            .collect();
        match cases.len() {
            0 => context.output.warn(&format!("the class `{name}` has no images")),
            1 => context.output.warn(&format!(
                "the class `{name}` comes from one case only: it cannot be trained and tested at once"
            )),
            _ => {}
        }
    }
}

/// Makes the paths relative to the dataset's folder where both lie below one folder, so that they
/// can be moved together.
fn relate_paths(images: &mut [ImageRecord], folder: &Path) -> Result<()> {
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|error| {
            Failure::environment(format!("failed to find {}: {error}", path.display()))
        })
    };
    let base = absolute(folder)?;
    for image in images {
        let path = absolute(Path::new(&image.path))?;
        image.path = relative(&path, &base).to_string_lossy().replace('\\', "/");
    }
    Ok(())
}

fn relative(path: &Path, base: &Path) -> PathBuf {
    let shared = path
        .components()
        .zip(base.components())
        .take_while(|(a, b)| a == b)
        .count();
    // Paths that share no more than the root are on different disks, or might as well be.
    if shared < 2 {
        return path.to_owned();
    }
    let up = base.components().skip(shared).map(|_| "..");
    up.map(PathBuf::from)
        .chain(
            path.components()
                .skip(shared)
                .map(|part| PathBuf::from(part.as_os_str())),
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_where_that_helps() {
        let case = |path: &str, base: &str| relative(Path::new(path), Path::new(base));
        assert_eq!(
            case("/lab/liver/a.png", "/lab/sets/liver"),
            Path::new("../../liver/a.png")
        );
        assert_eq!(
            case("/lab/sets/liver/a.png", "/lab/sets/liver"),
            Path::new("a.png")
        );
        assert_eq!(
            case("/other/a.png", "/lab/liver"),
            Path::new("/other/a.png")
        );
    }
}
