//! `cleanslide import`: labels that exist become a dataset.

mod annotations;
mod diagnoses;
mod existing;
mod gleason2019;
mod numbering;
mod objects;
mod slides;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use cleanslide_data::formats::{
    ClassColumns, Imported, VoteColumns, read_class_folders, read_class_table, read_votes,
};
use cleanslide_data::{
    Dataset, Evidence, FORMAT, Family, ImageRecord, Labels, Manifest, NewVersion, Reference, Scope,
    Source, SourceKind, Target, Task, ValueMap,
};
use serde::Serialize;

pub use annotations::Corners;
use annotations::Format;
use existing::Known;
use numbering::Numbering;
use objects::ObjectArguments;

use crate::context::Context;
use crate::experts::all_words;
use crate::failure::{Failure, Result};
use crate::output::{Show, count, quoted};
use crate::truth::knows_cases;

/// Make a dataset from labels that exist, or add them to one
///
/// Images stay where they are; the dataset names them. If DATASET exists already, the labels are
/// added to it as a new label version.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cleanslide import classes patches/ liver\n  \
cleanslide import votes votes.csv mitoses --annotators anna,ben,carla --reference majority\n  \
cleanslide import voc annotations/ smears --images images/\n  \
cleanslide import gleason2019 gleason2019/ prostate"
)]
pub struct Import {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One class per image: a folder per class, or a csv table; images of one patient share a column case
    #[command(
        after_help = "Examples:\n  cleanslide import classes patches/ liver\n  \
cleanslide import classes labels.csv liver --class-column diagnosis --source registry"
    )]
    Classes(Classes),
    /// Votes of several annotators: a csv table with one column per annotator, empty (or NaN, NA, None
    /// and the like) where an annotator did not label
    #[command(after_help = "Example:\n  cleanslide import votes votes.csv mitoses \
--annotators anna,ben,carla --reference majority")]
    Votes(Votes),
    /// Images that nobody labelled yet
    #[command(
        after_help = "Example:\n  cleanslide import images wells/ assay --classes living,dead"
    )]
    Images {
        /// Folder of the images
        input: PathBuf,
        /// Folder of the dataset, new or existing
        dataset: PathBuf,
        /// The classes that are to be told apart, in order
        #[arg(long, value_delimiter = ',', required = true, value_name = "NAMES")]
        classes: Vec<String>,
        /// What is to be learned
        #[arg(long, value_enum, default_value = "detection")]
        task: TaskName,
        /// Takes the case of each image from its id: the first group of this regular expression
        #[arg(long, value_name = "REGEX")]
        case_pattern: Option<String>,
    },
    /// Patches of slides, with what was outlined on them in QuPath
    #[command(
        after_help = "Examples:\n  cleanslide import slides archive/ liver --classes stroma,HCC,CCA --outlines qupath/ \\\n    \
--case-pattern '^([^-]+)-'\n  cleanslide import slides one.svs patches --classes tumour,other --patches 200 --side 256"
    )]
    Slides(slides::Slides),
    /// Pascal VOC: a folder of XML files, one per image, with boxes
    #[command(
        after_help = "Examples:\n  cleanslide import voc annotations/ smears --images images/\n  \
cleanslide import voc corrected/ smears --images images/ --as-reference corrected"
    )]
    Voc {
        /// Folder of the XML files
        input: PathBuf,
        #[command(flatten)]
        drawings: annotations::Drawings,
        /// What the corners of boxes mean
        #[arg(long, value_enum, default_value = "one-based")]
        corners: Corners,
    },
    /// COCO: one JSON file with boxes, outlines or masks of objects
    #[command(
        after_help = "Examples:\n  cleanslide import coco annotations.json nuclei --images images/ --source anna\n  \
cleanslide import coco annotations.json cells --images images/ --as boxes"
    )]
    Coco {
        /// JSON file
        input: PathBuf,
        #[command(flatten)]
        drawings: annotations::Drawings,
    },
    /// YOLO: a folder of text files, one per image, with boxes or outlines
    #[command(
        after_help = "Examples:\n  cleanslide import yolo labels/ smears --images images/ --names classes.txt\n  \
cleanslide import yolo outlines/ nuclei --images images/ --names classes.txt --as instances"
    )]
    Yolo {
        /// Folder of the text files
        input: PathBuf,
        #[command(flatten)]
        drawings: annotations::Drawings,
        /// File with the name of a class on each line
        #[arg(long, value_name = "FILE")]
        names: PathBuf,
    },
    /// LabelMe: a folder of JSON files, one per image
    #[command(
        after_help = "Example:\n  cleanslide import labelme anna/ nuclei --images images/ --source anna"
    )]
    Labelme {
        /// Folder of the JSON files
        input: PathBuf,
        #[command(flatten)]
        drawings: annotations::Drawings,
    },
    /// QuPath: a folder of GeoJSON files, one per image
    #[command(
        after_help = "Examples:\n  cleanslide import geojson qupath/ nuclei --images images/ --source anna\n  \
cleanslide import geojson reviewed/ nuclei --images images/ --as-reference gold\n  \
cleanslide import geojson qupath/ tumours --images images/ --as masks --background stroma"
    )]
    Geojson {
        /// Folder of the GeoJSON files
        input: PathBuf,
        #[command(flatten)]
        drawings: annotations::Drawings,
    },
    /// Class masks: a folder of PNG files, one per image, with a class number in each pixel; 255 is
    /// unlabelled
    #[command(
        after_help = "Examples:\n  cleanslide import masks anna/ cfos --images images/ \
--classes background,nucleus --source anna\n  \
cleanslide import masks ben/ cfos --images images/ --source ben \
--values 0=background,255=nucleus"
    )]
    Masks {
        /// Folder of the masks
        input: PathBuf,
        #[command(flatten)]
        shared: annotations::Shared,
        /// What the numbers mean; `unlabelled` is no class, `*` all other numbers. By default what
        /// dataset.toml has for the source, otherwise the numbers are those of the classes
        #[arg(long, value_name = "NUMBER=CLASS,...")]
        values: Option<ValueMap>,
    },
    /// Instance masks: a folder of PNG or TIFF files, one per image, with an object number in each
    /// pixel; 0 is background
    #[command(
        after_help = "Examples:\n  cleanslide import instances student/ nuclei --images images/ --classes nucleus --source student\n  \
cleanslide import instances gold/ nuclei --images images/ --classes nucleus --as-reference gold"
    )]
    Instances {
        /// Folder of the masks
        input: PathBuf,
        #[command(flatten)]
        shared: annotations::Shared,
        /// The object number that means that a pixel is not labelled; `export` writes 65535
        #[arg(long, value_name = "NUMBER")]
        unlabelled: Option<u32>,
        /// The class of the objects, where there are several
        #[arg(long, value_name = "CLASS")]
        class: Option<String>,
    },
    /// ImageJ: a folder of zip files of regions (RoiSet.zip), or of single regions, one per image
    #[command(
        after_help = "Example:\n  cleanslide import imagej rois/ nuclei --images images/ --classes nucleus --source anna"
    )]
    Imagej {
        /// Folder of the zip or roi files
        input: PathBuf,
        #[command(flatten)]
        drawings: annotations::Drawings,
    },
    /// ASAP: a folder of XML files, one per image
    #[command(
        after_help = "Example:\n  cleanslide import asap asap/ tumours --images images/ --source anna \
--as masks"
    )]
    Asap {
        /// Folder of the XML files
        input: PathBuf,
        #[command(flatten)]
        drawings: annotations::Drawings,
    },
    /// Aperio ImageScope: a folder of XML files, one per image
    #[command(
        after_help = "Example:\n  cleanslide import aperio imagescope/ tumours --images images/ --source anna \
--as masks"
    )]
    Aperio {
        /// Folder of the XML files
        input: PathBuf,
        #[command(flatten)]
        drawings: annotations::Drawings,
    },
    /// Diagnoses of the cases, slides or images of a dataset, and what they exclude: that a case has one tumour says that it
    /// does not show another
    #[command(
        after_help = "Example:\n  cleanslide import diagnoses cases.csv liver \\\n    \
--excludes \"HCC=cholangiocellular tumour\" --excludes \"CCA=hepatocellular tumour\""
    )]
    Diagnoses(diagnoses::Diagnoses),
    /// The Gleason 2019 challenge: cores of the prostate, the masks of six pathologists, and the
    /// split of Xiao et al. (arXiv 2104.02602)
    ///
    /// For the test are the cores that all six labelled; for training what is left of those that 1,
    /// 3 and 4 labelled, about a fifth of it, whole slides, for validation. All others are left out.
    /// A case is a core: the files do not say which cores are of one patient.
    #[command(
        after_help = "Example:\n  cleanslide import gleason2019 gleason2019/ prostate --seed 1"
    )]
    Gleason2019(gleason2019::Gleason2019),
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
enum TaskName {
    /// One class per image
    Classification,
    /// Boxes around objects
    Detection,
    /// Classes of pixels, or masks of objects
    Segmentation,
}

impl From<TaskName> for Task {
    fn from(task: TaskName) -> Self {
        match task {
            TaskName::Classification => Self::Classification,
            TaskName::Detection => Self::Detection,
            TaskName::Segmentation => Self::Segmentation,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Expert,
    Algorithm,
    Diagnosis,
    Model,
}

impl From<Kind> for SourceKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Expert => Self::Expert,
            Kind::Algorithm => Self::Algorithm,
            Kind::Diagnosis => Self::Diagnosis,
            Kind::Model => Self::Model,
        }
    }
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
    #[serde(skip)]
    task: Task,
    /// `None` if all labels are kept apart.
    labels: Option<String>,
    images: usize,
    missing_images: usize,
    cases: usize,
    classes: Vec<String>,
    sources: Vec<String>,
    pieces_of_evidence: usize,
    objects: usize,
    /// What the labels are: boxes, instances, a mask, ….
    #[serde(serialize_with = "names_of_families")]
    families: BTreeSet<Family>,
    unlabelled_images: usize,
    /// What the dataset knew before.
    known: Known,
    /// Words for missing values that were read as not known, with how many fields had each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    missing_words: BTreeMap<String, usize>,
    references: Vec<String>,
    /// The source to name where several label these images.
    #[serde(skip)]
    audited: Option<String>,
}

impl Summary {
    /// What was imported.
    fn lines(&self) -> Vec<String> {
        if self.known.is_all() {
            let what = match &self.labels {
                Some(version) if !self.sources.is_empty() => version.as_str(),
                _ => "the dataset",
            };
            let told = format!(
                "{}: nothing new: all of this is in {what} already, so nothing was changed",
                self.dataset.display()
            );
            return std::iter::once(told).chain(self.known.lines()).collect();
        }
        let labels = match self.task {
            _ if self.pieces_of_evidence == 0 && self.references.is_empty() => "classes".to_owned(),
            Task::Classification => format!("{} of", count(self.pieces_of_evidence, "label")),
            _ if self.families.contains(&Family::Mask) => "class masks of".to_owned(),
            _ => format!(
                "{} as {} of",
                count(self.objects, "object"),
                all_words(self.families.iter().copied())
            ),
        };
        let mut lines = vec![format!(
            "{}: {}{}, {labels} {}{}",
            self.dataset.display(),
            count(self.images, "image"),
            if self.cases > 0 {
                format!(" of {}", count(self.cases, "case"))
            } else {
                String::new()
            },
            self.classes.join(" / "),
            match &self.labels {
                Some(version) if !self.sources.is_empty() =>
                    format!(" by {}, as {version}", self.sources.join(", ")),
                _ => String::new(),
            },
        )];
        if self.unlabelled_images > 0 {
            lines.push(format!(
                "{} nobody labelled",
                count(self.unlabelled_images, "image")
            ));
        }
        lines.extend(self.missing());
        lines.extend(self.known.lines());
        let references = self.references.iter();
        for reference in references.filter(|name| !self.known.references.contains(name)) {
            lines.push(format!("`{reference}` is kept apart, for evaluation only"));
        }
        lines
    }

    /// Words that were read as missing values.
    fn missing(&self) -> Option<String> {
        let fields: usize = self.missing_words.values().sum();
        let words: Vec<String> = self
            .missing_words
            .keys()
            .map(|word| format!("`{word}`"))
            .collect();
        (fields > 0).then(|| {
            format!(
                "{} {} read as not known: not labelled, or of no known case, slide and so on; if that is a class, name all \
                 classes with `--classes`",
                count(fields, "field"),
                words.join(" or ")
            )
        })
    }

    /// What to do next.
    fn next(&self) -> String {
        let next = match self.task {
            Task::Classification => "audit",
            _ if self.labels.is_none() => "weak --help; cleanslide status",
            _ => "status",
        };
        let audited = self.audited.as_ref();
        let source = audited.map(|source| format!(" --source {}", quoted(source)));
        format!(
            "next: cleanslide {next} {}{}",
            self.dataset.display(),
            source.unwrap_or_default()
        )
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut lines = self.lines();
        lines.push(self.next());
        lines.join("\n")
    }
}

impl Import {
    pub fn run(self, context: &Context) -> Result<()> {
        let no_objects = ObjectArguments::default();
        let summary = match self.what {
            What::Classes(arguments) => import_classes(context, arguments)?,
            What::Votes(arguments) => import_votes(context, arguments)?,
            What::Images {
                input,
                dataset,
                classes,
                task,
                case_pattern,
            } => {
                let mut imported = annotations::without_labels(&input, &classes)?;
                if let Some(pattern) = &case_pattern {
                    cases_from_ids(&mut imported.images, pattern)?;
                }
                store(context, imported, task.into(), &dataset, &input, 0)?
            }
            What::Voc {
                input,
                drawings,
                corners,
            } => import_drawings(context, &Format::Voc(corners), &input, &drawings)?,
            What::Coco { input, drawings } => {
                import_drawings(context, &Format::Coco, &input, &drawings)?
            }
            What::Yolo {
                input,
                drawings,
                names,
            } => import_drawings(context, &Format::Yolo(names), &input, &drawings)?,
            What::Labelme { input, drawings } => {
                import_drawings(context, &Format::Labelme, &input, &drawings)?
            }
            What::Geojson { input, drawings } => {
                import_drawings(context, &Format::Geojson, &input, &drawings)?
            }
            What::Masks {
                input,
                shared,
                values,
            } => {
                let numbering = Numbering::of(context, values, &shared)?;
                let format = Format::Masks(numbering.map(Box::new));
                import_shapes(context, &format, &input, &shared, &no_objects)?
            }
            What::Instances {
                input,
                shared,
                unlabelled,
                class,
            } => {
                let format = Format::Instances { unlabelled, class };
                import_shapes(context, &format, &input, &shared, &no_objects)?
            }
            What::Imagej { input, drawings } => {
                import_drawings(context, &Format::Imagej, &input, &drawings)?
            }
            What::Asap { input, drawings } => {
                import_drawings(context, &Format::Asap, &input, &drawings)?
            }
            What::Aperio { input, drawings } => {
                import_drawings(context, &Format::Aperio, &input, &drawings)?
            }
            What::Slides(command) => return command.run(context),
            What::Diagnoses(command) => return command.run(context),
            What::Gleason2019(command) => return command.run(context),
        };
        context.output.show(&summary)
    }
}

fn import_classes(context: &Context, arguments: Classes) -> Result<Summary> {
    let source = Source {
        kind: arguments.kind.into(),
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
    import_table(
        context,
        imported,
        &arguments.dataset,
        &shared,
        &arguments.input,
    )
}

fn import_votes(context: &Context, arguments: Votes) -> Result<Summary> {
    let shared = arguments.shared;
    let columns = VoteColumns {
        image: shared.image_column.clone(),
        annotators: arguments.annotators,
        reference: shared.reference.clone(),
    };
    let imported = read_votes(&arguments.input, &columns, shared.classes.as_deref())?;
    import_table(
        context,
        imported,
        &arguments.dataset,
        &shared,
        &arguments.input,
    )
}

/// Stores the class labels of a table or of folders.
fn import_table(
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
    let known = existing::known_images(context, folder, &imported.images)?;
    warn_of_lonely_classes(context, &imported, &known);
    warn_of_similar_classes(context, imported.classes.names());
    if !folder.join("dataset.toml").exists() {
        warn_without_cases(context, &imported.images, input);
    }
    store(
        context,
        imported,
        Task::Classification,
        folder,
        input,
        missing,
    )
}

/// Stores objects that somebody drew.
fn import_drawings(
    context: &Context,
    format: &Format,
    input: &Path,
    drawings: &annotations::Drawings,
) -> Result<Summary> {
    import_shapes(context, format, input, &drawings.shared, &drawings.objects)
}

/// Stores objects that somebody drew, or masks.
fn import_shapes(
    context: &Context,
    format: &Format,
    input: &Path,
    shared: &annotations::Shared,
    objects: &ObjectArguments,
) -> Result<Summary> {
    let masks = temporary_folder()?;
    let (mut imported, task) =
        annotations::read(context, format, input, shared, objects, masks.path())?;
    if let Some(pattern) = &shared.case_pattern {
        cases_from_ids(&mut imported.images, pattern)?;
    }
    store(context, imported, task, &shared.dataset, input, 0)
}

/// A folder for masks until they are in a version.
fn temporary_folder() -> Result<tempfile::TempDir> {
    tempfile::tempdir().map_err(|error| {
        Failure::environment(format!("failed to make a temporary folder: {error}"))
    })
}

fn store(
    context: &Context,
    mut imported: Imported,
    task: Task,
    folder: &Path,
    input: &Path,
    missing_images: usize,
) -> Result<Summary> {
    let exists = folder.join("dataset.toml").exists();
    relate_paths(&mut imported.images, folder)?;
    let provenance = context.provenance(format!("imported {}", input.display()));
    let (dataset, known) = if exists {
        existing::add(context, folder, &imported, provenance)?
    } else {
        let dataset = create(folder, &imported, task, provenance)?;
        (dataset, Known::default())
    };
    let apart = || imported.references.iter().flat_map(|(_, said)| said);
    let said = || imported.evidence.iter().chain(apart());
    let latest = dataset.versions()?.last().copied();
    let in_dataset = match latest {
        Some(latest) => dataset.labels(latest)?,
        None => Labels::default(),
    };
    let known_labels = in_dataset.evidence().iter().chain(apart());
    let labelled: BTreeSet<&str> = known_labels.filter_map(image_of).collect();
    let unlabelled = imported.images.iter();
    let unlabelled = unlabelled.filter(|image| !labelled.contains(image.id.as_str()));
    let cases: BTreeSet<&str> = imported
        .images
        .iter()
        .filter_map(|image| dataset.position(&image.id))
        .map(|position| dataset.images()[position].case.as_str())
        .filter(|case| !case.is_empty())
        .collect();
    Ok(Summary {
        dataset: folder.to_owned(),
        task,
        labels: latest.map(|latest| latest.to_string()),
        known,
        images: imported.images.len(),
        missing_images,
        cases: cases.len(),
        classes: imported.classes.names().to_vec(),
        sources: imported
            .sources
            .iter()
            .map(|source| source.id.clone())
            .collect(),
        pieces_of_evidence: imported.evidence.len(),
        objects: said().map(objects).sum(),
        families: said().map(|piece| piece.target.family()).collect(),
        unlabelled_images: unlabelled.count(),
        references: imported
            .references
            .iter()
            .map(|(name, _)| name.clone())
            .collect(),
        missing_words: imported.missing_words,
        audited: match task {
            Task::Classification => source_to_audit(&dataset, &imported.sources)?,
            _ => None,
        },
    })
}

/// The source that an audit must name, because several label the images of the latest version.
fn source_to_audit(dataset: &Dataset, imported: &[Source]) -> Result<Option<String>> {
    let Some(version) = dataset.versions()?.last().copied() else {
        return Ok(None);
    };
    let labels = dataset.labels(version)?;
    let known = labels.sources(Family::Class);
    let mut sources = imported.iter().map(|source| &source.id);
    let first = sources.find(|id| known.contains(&id.as_str()));
    Ok(first.filter(|_| known.len() > 1).cloned())
}

/// The families by their names in tables.
fn names_of_families<S: serde::Serializer>(
    families: &BTreeSet<Family>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_seq(families.iter().map(|family| family.name()))
}

/// The image that a piece of evidence is about, or a part of it.
fn image_of(piece: &Evidence) -> Option<&str> {
    match &piece.scope {
        Scope::Image(image) | Scope::Region(image, _) => Some(image),
        Scope::Case(_) | Scope::Slide(_) => None,
    }
}

/// How many objects a piece of evidence names.
fn objects(piece: &Evidence) -> usize {
    match &piece.target {
        Target::Boxes(boxes) => boxes.objects.len(),
        Target::Points(points) => points.objects.len(),
        Target::Polygons(polygons) => polygons.objects.len(),
        Target::Instances { classes, .. } => classes.len(),
        _ => 0,
    }
}

fn create(
    folder: &Path,
    imported: &Imported,
    task: Task,
    provenance: cleanslide_data::Provenance,
) -> Result<Dataset> {
    let manifest = Manifest {
        format: FORMAT,
        task,
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
    let first = (!imported.sources.is_empty()).then_some(NewVersion {
        parent: None,
        produced,
        sources: Vec::new(),
        labels,
        provenance,
        notes: Vec::new(),
    });
    Ok(Dataset::create(
        folder,
        manifest,
        imported.images.clone(),
        first,
        &references,
    )?)
}

pub fn cases_from_ids(images: &mut [ImageRecord], pattern: &str) -> Result<()> {
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
    let missing: BTreeSet<String> = imported
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
fn warn_of_lonely_classes(context: &Context, imported: &Imported, images: &[ImageRecord]) {
    let units = cleanslide_data::independent_units(images);
    let unit_of: BTreeMap<&str, usize> = images
        .iter()
        .zip(&units)
        .map(|(image, &unit)| (image.id.as_str(), unit))
        .collect();
    for (class, name) in imported.classes.names().iter().enumerate() {
        let cases: BTreeSet<usize> = imported
            .evidence
            .iter()
            .filter(|piece| piece.target == Target::Class(class))
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

/// Names that differ in case or blanks alone are usually one class, misspelt.
fn warn_of_similar_classes(context: &Context, names: &[String]) {
    let mut spellings: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in names {
        let words: Vec<&str> = name.split_whitespace().collect();
        let spelling = words.join(" ").to_lowercase();
        spellings.entry(spelling).or_default().push(name);
    }
    for spelled in spellings.values().filter(|spelled| spelled.len() > 1) {
        let names: Vec<String> = spelled.iter().map(|name| format!("`{name}`")).collect();
        context.output.warn(&format!(
            "{} are {} classes; if they are one, spell them alike",
            names.join(" and "),
            spelled.len()
        ));
    }
}

/// Images without a case count as independent, whoever they are of.
fn warn_without_cases(context: &Context, images: &[ImageRecord], input: &Path) {
    if knows_cases(images) {
        return;
    }
    let column = if input.is_dir() {
        ""
    } else {
        "add a column `case` or `slide`, or "
    };
    context.output.warn(&format!(
        "each image counts as a case of its own: if images share a patient, intervals are too narrow and folds leak; \
         {column}take the cases from ids with `--case-pattern`"
    ));
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
