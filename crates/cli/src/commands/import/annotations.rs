//! Boxes, outlines and masks from files of other programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use cleanslide_data::formats::{
    AnnotatedImage, Annotation, Imported, Reading, Shape, Warning, aperio, asap, coco, geojson,
    imagej, labelme, mask_file, voc, yolo,
};
use cleanslide_data::{
    Classes, Evidence, ImageRecord, MAX_PIXELS, MaskFile, Object, Objects, Polygon, Scope, Source,
    Target, Task, Trust, image_size, looks_like_image,
};
use cleanslide_image::contour;

use super::Kind;
use super::numbering::Numbering;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::count;

/// What importers of shapes and masks take.
#[derive(Debug, Clone, Args)]
pub struct Shared {
    /// Folder of the dataset, new or existing
    pub dataset: PathBuf,
    /// Folder of the images
    #[arg(long, value_name = "FOLDER")]
    images: PathBuf,
    /// The classes, in order; by default all that occur, sorted by name
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub classes: Option<Vec<String>>,
    /// Name of whoever made the labels
    #[arg(long, default_value = "labels", value_name = "NAME")]
    pub source: String,
    /// What made the labels
    #[arg(long, value_enum, default_value = "expert")]
    kind: Kind,
    /// Keep the labels apart as a reference of this name, for evaluation only
    #[arg(long, value_name = "NAME")]
    pub as_reference: Option<String>,
    /// Not every object was marked: where none is, nobody looked
    #[arg(long)]
    incomplete: bool,
    /// Takes the case of each image from its id: the first group of this regular expression
    #[arg(long, value_name = "REGEX")]
    pub case_pattern: Option<String>,
}

/// Which format, with what it needs to be read.
#[derive(Debug, Clone)]
pub enum Format {
    /// A folder of XML files, one per image.
    Voc(Corners),
    /// One JSON file.
    Coco,
    /// A folder of text files, one per image, and the names of the classes.
    Yolo(PathBuf),
    /// A folder of JSON files, one per image.
    Labelme,
    /// A folder of GeoJSON files, one per image.
    Geojson,
    /// A folder of PNG files of numbers, one per image; without a numbering they are those of the classes.
    Masks(Option<Box<Numbering>>),
    /// A folder of PNG or TIFF files of object numbers, one per image.
    Instances {
        /// The number that means unlabelled.
        unlabelled: Option<u32>,
        /// The class of all objects; the only one if `None`.
        class: Option<String>,
    },
    /// A folder of zip or roi files, one per image.
    Imagej,
    /// A folder of XML files, one per image.
    Asap,
    /// A folder of XML files, one per image.
    Aperio,
}

/// What the corners in a Pascal VOC file mean.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Corners {
    /// First and last pixel inside, counted from 1, as in the challenge
    OneBased,
    /// First and last pixel inside, counted from 0
    ZeroBased,
    /// The edges themselves
    Edges,
}

impl From<Corners> for voc::Corners {
    fn from(corners: Corners) -> Self {
        match corners {
            Corners::OneBased => Self::OneBased,
            Corners::ZeroBased => Self::ZeroBased,
            Corners::Edges => Self::Edges,
        }
    }
}

/// An image of the folder, by the name without folder and ending.
struct Images {
    by_stem: BTreeMap<String, PathBuf>,
}

impl Images {
    fn of(folder: &Path) -> Result<Self> {
        let mut by_stem: BTreeMap<String, PathBuf> = BTreeMap::new();
        for path in files(folder, looks_like_image)? {
            if let Some(other) = by_stem.insert(stem(&path), path.clone()) {
                return Err(Failure::input(format!(
                    "{} and {} have one name but for the ending, so labels cannot tell them apart",
                    other.display(),
                    path.display()
                ))
                .help("Rename or remove one of them."));
            }
        }
        if by_stem.is_empty() {
            return Err(Failure::input(format!("no images in {}", folder.display()))
                .help("PNG, JPEG, TIFF and BMP files directly in this folder are images."));
        }
        Ok(Self { by_stem })
    }

    fn records(&self) -> Vec<ImageRecord> {
        let record = |(id, path): (&String, &PathBuf)| ImageRecord {
            id: id.clone(),
            path: path.to_string_lossy().into_owned(),
            ..ImageRecord::default()
        };
        self.by_stem.iter().map(record).collect()
    }

    fn find(&self, name: &str) -> Option<(&String, &PathBuf)> {
        self.by_stem.get_key_value(&stem(Path::new(name)))
    }
}

fn stem(path: &Path) -> String {
    // Programs of other systems write their own separators.
    let name = path.to_string_lossy().replace('\\', "/");
    let name = Path::new(&name).file_stem().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn files(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(folder, &error))?.path();
        if path.is_file() && wanted(&path) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::input(format!("failed to read {}: {error}", path.display()))
        .help("Check the path; relative paths start at the current folder.")
}

fn with_ending<'a>(endings: &'a [&str]) -> impl Fn(&Path) -> bool + 'a {
    move |path| {
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        endings
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    }
}

/// What was said about one image: shapes, or a mask.
enum Said {
    Shapes(Vec<Annotation>),
    Classes(ndarray::Array2<u8>),
    Instances {
        mask: ndarray::Array2<u32>,
        class: Option<String>,
    },
}

/// The images of a folder, about which nobody has said anything.
pub fn without_labels(folder: &Path, classes: &[String]) -> Result<Imported> {
    Ok(Imported {
        images: Images::of(folder)?.records(),
        classes: Classes::new(classes.to_vec())?,
        sources: Vec::new(),
        evidence: Vec::new(),
        references: Vec::new(),
        missing_words: BTreeMap::new(),
    })
}

/// Reads everything; `masks` is a folder for masks until they are in a version.
pub fn read(
    context: &Context,
    format: &Format,
    input: &Path,
    shared: &Shared,
    masks: &Path,
) -> Result<(Imported, Task)> {
    let images = Images::of(&shared.images)?;
    let mut warnings = Warnings::default();
    let said = match format {
        Format::Coco => read_coco(input, &images, &mut warnings)?,
        _ => read_folder(format, input, &images, &mut warnings)?,
    };
    warnings.show(context);
    if said.is_empty() {
        return Err(Failure::input(format!(
            "no file in {} is about an image in {}",
            input.display(),
            shared.images.display()
        ))
        .help("Labels belong to the image of the same name but for the ending."));
    }
    let task = match format {
        Format::Voc(_) | Format::Yolo(_) => Task::Detection,
        Format::Masks(_) | Format::Instances { .. } => Task::Segmentation,
        _ if said.values().any(|said| matches!(said, Said::Shapes(all) if all.iter().any(|a| !matches!(a.shape, Shape::Rectangle(_) | Shape::Point(_))))) => {
            Task::Segmentation
        }
        _ => Task::Detection,
    };
    let numbering = match format {
        Format::Masks(numbering) => numbering.as_deref(),
        _ => None,
    };
    let classes = match numbering {
        Some(numbering) => numbering.classes.clone(),
        None => classes(shared, &said)?,
    };
    let source = Source {
        kind: shared.kind.into(),
        values: numbering.map(|numbering| numbering.values.clone()),
        ..Source::expert(shared.source.clone())
    };
    let mut evidence = Vec::new();
    for (number, (id, said)) in said.into_iter().enumerate() {
        let file = masks.join(format!("{number}.png"));
        for target in targets(said, &classes, !shared.incomplete, &file)
            .map_err(|failure| failure.about(&format!("image {id}")))?
        {
            evidence.push(Evidence {
                source: source.id.clone(),
                scope: Scope::Image(id.clone()),
                target,
                trust: Trust::FULL,
            });
        }
    }
    let mut imported = Imported {
        images: images.records(),
        classes,
        sources: vec![source],
        evidence,
        references: Vec::new(),
        missing_words: BTreeMap::new(),
    };
    if let Some(name) = &shared.as_reference {
        imported.sources.clear();
        let evidence = std::mem::take(&mut imported.evidence);
        imported.references.push((name.clone(), evidence));
    }
    Ok((imported, task))
}

fn read_folder(
    format: &Format,
    folder: &Path,
    images: &Images,
    warnings: &mut Warnings,
) -> Result<BTreeMap<String, Said>> {
    let endings: &[&str] = match format {
        Format::Voc(_) | Format::Asap | Format::Aperio => &["xml"],
        Format::Yolo(_) => &["txt"],
        Format::Labelme | Format::Coco => &["json"],
        Format::Geojson => &["geojson", "json"],
        Format::Masks(_) => &["png"],
        Format::Instances { .. } => &["png", "tif", "tiff"],
        Format::Imagej => &["zip", "roi"],
    };
    let names = match format {
        Format::Yolo(file) => yolo::read_names(file, &bytes(file)?)?,
        _ => Vec::new(),
    };
    let mut said = BTreeMap::new();
    for path in files(folder, with_ending(endings))? {
        let Some((id, image)) = images.find(&path.to_string_lossy()) else {
            // The list of classes may lie among the labels.
            if !matches!(format, Format::Yolo(names) if *names == path) {
                warnings.without_image(&path);
            }
            continue;
        };
        let bytes = bytes(&path)?;
        let shapes = |reading: Reading<AnnotatedImage>| Reading {
            content: reading.content.annotations,
            warnings: reading.warnings,
        };
        let reading = match format {
            Format::Voc(corners) => shapes(voc::read(&path, &bytes, (*corners).into())?),
            Format::Labelme => shapes(labelme::read(&path, &bytes)?),
            Format::Geojson => geojson::read(&path, bytes.as_slice())?,
            Format::Yolo(_) => {
                let size = image_size(image)?;
                shapes(yolo::read(&path, &bytes, id, size, &names)?)
            }
            Format::Masks(numbering) => {
                let mask = match numbering {
                    Some(numbering) => {
                        mask_file::read_numbered(&path, &bytes, &numbering.table, MAX_PIXELS)?
                    }
                    None => mask_file::read_indexed(&path, &bytes, MAX_PIXELS)?.classes,
                };
                said.insert(id.clone(), Said::Classes(mask));
                continue;
            }
            Format::Imagej => imagej::read(&path, &bytes)?,
            Format::Asap => asap::read(&path, &bytes)?,
            Format::Aperio => aperio::read(&path, &bytes)?,
            Format::Instances { unlabelled, class } => {
                let mask = mask_file::read_instances(&path, &bytes, *unlabelled, MAX_PIXELS)?;
                let class = class.clone();
                said.insert(id.clone(), Said::Instances { mask, class });
                continue;
            }
            Format::Coco => unreachable!("COCO is one file"),
        };
        warnings.of_file(&path, reading.warnings);
        said.insert(id.clone(), Said::Shapes(reading.content));
    }
    Ok(said)
}

fn read_coco(
    file: &Path,
    images: &Images,
    warnings: &mut Warnings,
) -> Result<BTreeMap<String, Said>> {
    let reader = fs::File::open(file).map_err(|error| unreadable(file, &error))?;
    let reading = coco::read(file, reader)?;
    warnings.of_file(file, reading.warnings);
    let mut said = BTreeMap::new();
    for image in reading.content.images {
        match images.find(&image.file_name) {
            Some((id, _)) => {
                said.insert(id.clone(), Said::Shapes(image.annotations));
            }
            None => warnings.without_image(Path::new(&image.file_name)),
        }
    }
    Ok(said)
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| unreadable(path, &error))
}

/// The name of the class of objects that have none.
const OBJECT: &str = "object";

fn classes(shared: &Shared, said: &BTreeMap<String, Said>) -> Result<Classes> {
    if let Some(names) = &shared.classes {
        return Ok(Classes::new(names.clone())?);
    }
    let mut names = BTreeSet::new();
    let mut greatest = None;
    for said in said.values() {
        match said {
            Said::Shapes(annotations) => names.extend(
                annotations
                    .iter()
                    .map(|a| a.class.clone().unwrap_or_else(|| OBJECT.to_owned())),
            ),
            Said::Classes(mask) => {
                let labelled = mask
                    .iter()
                    .filter(|&&c| c != cleanslide_data::UNLABELLED_CLASS);
                greatest = greatest.max(labelled.max().copied());
            }
            Said::Instances { class, .. } => {
                names.insert(class.clone().unwrap_or_else(|| OBJECT.to_owned()));
            }
        }
    }
    if let Some(greatest) = greatest {
        names.extend((0..=greatest).map(|class| class.to_string()));
        let mut numbers: Vec<String> = (0..=greatest).map(|class| class.to_string()).collect();
        numbers.extend(names.into_iter().filter(|name| name.parse::<u8>().is_err()));
        return Ok(Classes::new(numbers)?);
    }
    if names.is_empty() {
        return Err(
            Failure::input("the labels have no objects, so no class occurs")
                .help("Declare the classes with `--classes`."),
        );
    }
    Ok(Classes::new(names.into_iter().collect())?)
}

/// Evidence of one image: a target for each kind of shape that occurs. No shapes at all say that
/// there are no boxes.
fn targets(said: Said, classes: &Classes, complete: bool, file: &Path) -> Result<Vec<Target>> {
    let annotations = match said {
        Said::Classes(mask) => return class_mask(&mask, classes, file),
        Said::Instances { mask, class } => {
            return instance_mask(mask, class.as_deref(), classes, file);
        }
        Said::Shapes(annotations) => annotations,
    };
    let (mut boxes, mut points, mut polygons) = (Vec::new(), Vec::new(), Vec::new());
    for annotation in annotations {
        let class = classes.index(annotation.class.as_deref().unwrap_or(OBJECT))?;
        let trust = match annotation.score {
            Some(score) if (0.0..=1.0).contains(&score) => Trust::new(score as f32)?,
            _ => Trust::FULL,
        };
        match annotation.shape {
            Shape::Rectangle(shape) => boxes.push(Object {
                shape,
                class,
                trust,
            }),
            Shape::Point(shape) => points.push(Object {
                shape,
                class,
                trust,
            }),
            Shape::Points(all) => {
                points.extend(all.into_iter().map(|shape| Object {
                    shape,
                    class,
                    trust,
                }));
            }
            shape => {
                let parts = outlines(&shape)?;
                polygons.extend(parts.into_iter().map(|shape| Object {
                    shape,
                    class,
                    trust,
                }));
            }
        }
    }
    let mut targets = Vec::new();
    if !boxes.is_empty() || (points.is_empty() && polygons.is_empty()) {
        targets.push(Target::Boxes(Objects {
            objects: boxes,
            complete,
        }));
    }
    if !points.is_empty() {
        targets.push(Target::Points(Objects {
            objects: points,
            complete,
        }));
    }
    if !polygons.is_empty() {
        targets.push(Target::Polygons(Objects {
            objects: polygons,
            complete,
        }));
    }
    Ok(targets)
}

fn outlines(shape: &Shape) -> Result<Vec<Polygon>> {
    if let Shape::Mask(mask) = shape {
        let labels = mask.decode().mapv(u32::from);
        let outlines = contour::outlines(labels.view())?;
        return Ok(outlines
            .into_iter()
            .map(|outline| outline.polygon)
            .collect());
    }
    Ok(shape.polygons().unwrap_or_default())
}

fn class_mask(mask: &ndarray::Array2<u8>, classes: &Classes, file: &Path) -> Result<Vec<Target>> {
    let unlabelled = cleanslide_data::UNLABELLED_CLASS;
    let strange = mask
        .iter()
        .find(|&&class| class != unlabelled && usize::from(class) >= classes.len());
    if let Some(class) = strange {
        return Err(Failure::input(format!(
            "the mask has the class {class}, but the classes are numbered 0 to {}",
            classes.len() - 1
        ))
        .help("Declare all classes in their order with `--classes`."));
    }
    Ok(vec![Target::class_mask(file, mask.view())?])
}

fn instance_mask(
    mut mask: ndarray::Array2<u32>,
    class: Option<&str>,
    classes: &Classes,
    file: &Path,
) -> Result<Vec<Target>> {
    let class = match class {
        Some(name) => classes.index(name)?,
        None if classes.len() == 1 => 0,
        None => {
            return Err(Failure::usage(
                "instance masks say nothing of classes, and there are several",
            )
            .help("Name that of these objects with `--class NAME`."));
        }
    };
    let objects = mask_file::renumber(&mut mask)?;
    Ok(vec![Target::Instances {
        mask: MaskFile::write_instances(file, mask.view())?,
        classes: vec![class; objects.len()],
    }])
}

/// What is told of, not more than a screen.
#[derive(Default)]
struct Warnings {
    objects: Vec<String>,
    files: Vec<String>,
}

impl Warnings {
    fn of_file(&mut self, path: &Path, warnings: Vec<Warning>) {
        let lines = warnings
            .iter()
            .map(|warning| format!("{}, {warning}", path.display()));
        self.objects.extend(lines);
    }

    fn without_image(&mut self, path: &Path) {
        self.files.push(path.display().to_string());
    }

    fn show(&self, context: &Context) {
        const SHOWN: usize = 10;
        for line in self.objects.iter().take(SHOWN) {
            context.output.warn(line);
        }
        if self.objects.len() > SHOWN {
            let more = self.objects.len() - SHOWN;
            context
                .output
                .warn(&format!("and {} of this kind", count(more, "more warning")));
        }
        if let Some(first) = self.files.first() {
            context.output.warn(&format!(
                "{} without an image of its name; the first is {first}",
                count(self.files.len(), "file of labels")
            ));
        }
    }
}
