//! Boxes, outlines and masks from files of other programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use cleanslide_data::formats::{
    AnnotatedImage, Annotation, Imported, Reading, Warning, aperio, asap, coco, geojson, imagej,
    labelme, mask_file, voc, yolo,
};
use cleanslide_data::{
    Classes, Evidence, ImageRecord, MAX_PIXELS, MaskFile, Scope, Source, Target, Task, Trust,
    UNLABELLED_CLASS, image_size, looks_like_image,
};

use super::Kind;
use super::numbering::Numbering;
use super::objects::{Drawing, Drawn, Keeper, KeptAs, OBJECT, ObjectArguments};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::{count, quoted};

/// What importers of shapes take.
#[derive(Debug, Clone, Args)]
pub struct Drawings {
    #[command(flatten)]
    pub shared: Shared,
    #[command(flatten)]
    pub objects: ObjectArguments,
}

/// What importers of shapes and masks take.
#[derive(Debug, Clone, Args)]
pub struct Shared {
    /// Folder of the dataset, new or existing
    pub dataset: PathBuf,
    /// Folder of the images
    #[arg(long, value_name = "FOLDER")]
    images: PathBuf,
    /// The classes, in order; by default all that occur, sorted by name. Objects have names, so in a dataset that exists
    /// its classes are their default
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

/// What a file says about an image.
struct Labelled {
    /// The file, with the image's name if it is of several images.
    origin: String,
    /// The file.
    path: PathBuf,
    /// The image.
    image: PathBuf,
    /// Height and width of the image.
    size: (usize, usize),
    /// What is drawn; `None` if the file is a mask, which is read when its turn comes.
    drawing: Option<Drawing>,
}

impl Labelled {
    /// Refuses a mask of another size than its image.
    fn check_size(&self, (height, width): (usize, usize)) -> Result<()> {
        if (height, width) == self.size {
            return Ok(());
        }
        let (image_height, image_width) = self.size;
        Err(Failure::input(format!(
            "{} has {width} × {height} pixels, but {} has {image_width} × {image_height}",
            self.origin,
            self.image.display()
        ))
        .help("A mask has the size of its image; export it again."))
    }
}

/// What the files of an import say.
#[derive(Default)]
struct Said {
    by_image: BTreeMap<String, Labelled>,
    /// The numbers that occur in class masks whose numbers are those of the classes.
    numbers: BTreeSet<u8>,
}

impl Said {
    fn add(&mut self, id: &str, labelled: Labelled) -> Result<()> {
        if let Some(other) = self.by_image.get(id) {
            return Err(Failure::input(format!(
                "{} and {} are both about the image {}",
                other.origin,
                labelled.origin,
                labelled.image.display()
            ))
            .help(
                "Labels belong to the image of the same name, whatever its folder and ending: keep one of them, or \
                 give every image a name of its own.",
            ));
        }
        self.by_image.insert(id.to_owned(), labelled);
        Ok(())
    }

    fn drawings(&self) -> impl Iterator<Item = &Drawing> {
        let all = self.by_image.values();
        all.filter_map(|labelled| labelled.drawing.as_ref())
    }

    fn drawings_mut(&mut self) -> impl Iterator<Item = &mut Drawing> {
        let all = self.by_image.values_mut();
        all.filter_map(|labelled| labelled.drawing.as_mut())
    }

    /// The names of the classes of all objects.
    fn class_names(&self, kept_as: KeptAs) -> BTreeSet<&str> {
        let names = self
            .drawings()
            .flat_map(|drawing| kept_as.class_names(drawing));
        names.collect()
    }

    /// Refuses objects of other classes than those of the dataset, all of them at once.
    fn check_names(&self, kept_as: KeptAs, classes: &Classes, input: &Path) -> Result<()> {
        let mut strange = self.class_names(kept_as);
        strange.retain(|name| classes.find(name).is_none());
        let (Some(first), [class, ..]) = (strange.first(), classes.names()) else {
            return Ok(());
        };
        let listed: Vec<&str> = strange.iter().copied().collect();
        Err(Failure::input(format!(
            "{} has objects of the classes {}, but the classes of the dataset are {}",
            input.display(),
            listed.join(", "),
            classes.names().join(", ")
        ))
        .help(format!(
            "Say which of these classes each one is, as in `--map {}`, or name all classes of a new dataset with \
             `--classes`.",
            quoted(&format!("{first}={class}"))
        )))
    }
}

/// Refuses annotations of an image of another size.
fn check_declared(
    origin: &str,
    declared: Option<(usize, usize)>,
    image: &Path,
    size: (usize, usize),
) -> Result<()> {
    match declared {
        Some((height, width)) if (height, width) != size => Err(Failure::input(format!(
            "{origin} is about an image of {width} × {height} pixels, but {} has {} × {}",
            image.display(),
            size.1,
            size.0
        ))
        .help("Give the images that were annotated, in their own size.")),
        _ => Ok(()),
    }
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
    objects: &ObjectArguments,
    masks: &Path,
) -> Result<(Imported, Task)> {
    let images = Images::of(&shared.images)?;
    let mut said = said(context, format, input, &images, shared)?;
    for name in objects.rename(said.drawings_mut())? {
        context
            .output
            .warn(&format!("no object has the class `{name}` of `--map`"));
    }
    let kept_as = objects
        .choose(context.output, said.drawings())
        .map_err(|failure| failure.about(&input.display().to_string()))?;
    let numbering = match format {
        Format::Masks(numbering) => numbering.as_deref(),
        _ => None,
    };
    let classes = match numbering {
        Some(numbering) => numbering.classes.clone(),
        None => classes(context, format, shared, objects, kept_as, &said)?,
    };
    said.check_names(kept_as, &classes, input)?;
    let source = Source {
        kind: shared.kind.into(),
        values: numbering.map(|numbering| numbering.values.clone()),
        ..Source::expert(shared.source.clone())
    };
    let mut keeper = Keeper::new(objects, kept_as, &classes)?;
    let evidence = evidence(format, &said, &source.id, &mut keeper, masks)?;
    keeper.told.show(context.output);
    Warnings {
        objects: keeper.told.left_out,
        files: Vec::new(),
    }
    .show(context);
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
    Ok((imported, task(format, kept_as)))
}

/// What the files say about the images of the folder.
fn said(
    context: &Context,
    format: &Format,
    input: &Path,
    images: &Images,
    shared: &Shared,
) -> Result<Said> {
    let mut warnings = Warnings::default();
    let said = match format {
        Format::Coco => read_coco(input, images, &mut warnings)?,
        _ => read_folder(format, input, images, &mut warnings)?,
    };
    warnings.show(context);
    if said.by_image.is_empty() {
        return Err(Failure::input(format!(
            "no file in {} is about an image in {}",
            input.display(),
            shared.images.display()
        ))
        .help("Labels belong to the image of the same name but for the ending."));
    }
    if matches!(format, Format::Masks(None)) {
        check_numbers(input, &said.numbers, shared)?;
    }
    Ok(said)
}

/// What was said as evidence of a source; masks go to a folder.
fn evidence(
    format: &Format,
    said: &Said,
    source: &str,
    keeper: &mut Keeper<'_>,
    masks: &Path,
) -> Result<Vec<Evidence>> {
    let mut evidence = Vec::new();
    for (number, (id, labelled)) in said.by_image.iter().enumerate() {
        let file = masks.join(format!("{number}.png"));
        let targets = match &labelled.drawing {
            Some(drawing) => {
                let drawn = Drawn {
                    origin: &labelled.origin,
                    size: labelled.size,
                    drawing,
                };
                keeper.targets(&drawn, &file)
            }
            None => mask(format, labelled, keeper.classes, &file).map(|target| vec![target]),
        };
        let targets = targets.map_err(|failure| failure.about(&format!("image {id}")))?;
        evidence.extend(targets.into_iter().map(|target| Evidence {
            source: source.to_owned(),
            scope: Scope::Image(id.clone()),
            target,
            trust: Trust::FULL,
        }));
    }
    Ok(evidence)
}

fn task(format: &Format, kept_as: KeptAs) -> Task {
    match (format, kept_as) {
        (Format::Masks(_) | Format::Instances { .. }, _) => Task::Segmentation,
        (_, KeptAs::Boxes | KeptAs::Points) => Task::Detection,
        (_, KeptAs::Instances | KeptAs::Masks | KeptAs::Outlines) => Task::Segmentation,
    }
}

fn read_folder(
    format: &Format,
    folder: &Path,
    images: &Images,
    warnings: &mut Warnings,
) -> Result<Said> {
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
    let mut said = Said::default();
    for path in files(folder, with_ending(endings))? {
        let Some((id, image)) = images.find(&path.to_string_lossy()) else {
            // The list of classes may lie among the labels.
            if !matches!(format, Format::Yolo(names) if *names == path) {
                warnings.without_image(&path);
            }
            continue;
        };
        let mut labelled = Labelled {
            origin: path.display().to_string(),
            size: image_size(image)?,
            image: image.clone(),
            path,
            drawing: None,
        };
        match format {
            Format::Instances { .. } | Format::Masks(Some(_)) => {}
            Format::Masks(None) => {
                let mask =
                    mask_file::read_indexed(&labelled.path, &bytes(&labelled.path)?, MAX_PIXELS)?;
                said.numbers.extend(numbers(&mask.classes));
            }
            _ => {
                let reading = read_drawing(format, id, &labelled, &names)?;
                labelled.drawing = Some(Drawing {
                    lacks_objects: reading.warnings.iter().any(|w| w.incomplete.is_some()),
                    annotations: reading.content,
                });
                warnings.of_file(&labelled.path, reading.warnings);
            }
        }
        said.add(id, labelled)?;
    }
    Ok(said)
}

/// The annotations of a file about one image.
fn read_drawing(
    format: &Format,
    id: &str,
    labelled: &Labelled,
    names: &[String],
) -> Result<Reading<Vec<Annotation>>> {
    let (path, size) = (&labelled.path, labelled.size);
    let bytes = bytes(path)?;
    let of_image = |reading: Reading<AnnotatedImage>| {
        let AnnotatedImage {
            annotations,
            size: declared,
            ..
        } = reading.content;
        check_declared(&labelled.origin, declared, &labelled.image, size)?;
        Ok(Reading {
            content: annotations,
            warnings: reading.warnings,
        })
    };
    match format {
        Format::Voc(corners) => of_image(voc::read(path, &bytes, (*corners).into())?),
        Format::Labelme => of_image(labelme::read(path, &bytes)?),
        Format::Yolo(_) => of_image(yolo::read(path, &bytes, id, size, names)?),
        Format::Geojson => Ok(geojson::read(path, bytes.as_slice())?),
        Format::Imagej => Ok(imagej::read(path, &bytes)?),
        Format::Asap => Ok(asap::read(path, &bytes)?),
        Format::Aperio => Ok(aperio::read(path, &bytes)?),
        Format::Coco | Format::Masks(_) | Format::Instances { .. } => {
            unreachable!("COCO is one file, and masks are not drawn")
        }
    }
}

fn read_coco(file: &Path, images: &Images, warnings: &mut Warnings) -> Result<Said> {
    let reader = fs::File::open(file).map_err(|error| unreadable(file, &error))?;
    let reading = coco::read(file, reader)?;
    let incomplete: BTreeSet<usize> = reading
        .warnings
        .iter()
        .filter_map(|warning| warning.incomplete)
        .collect();
    warnings.of_file(file, reading.warnings);
    let mut said = Said::default();
    for (index, image) in reading.content.images.into_iter().enumerate() {
        let Some((id, path)) = images.find(&image.file_name) else {
            warnings.without_image(Path::new(&image.file_name));
            continue;
        };
        let origin = format!("{}, image {}", file.display(), image.file_name);
        let size = image_size(path)?;
        check_declared(&origin, image.size, path, size)?;
        let labelled = Labelled {
            origin,
            path: file.to_owned(),
            image: path.clone(),
            size,
            drawing: Some(Drawing {
                annotations: image.annotations,
                lacks_objects: incomplete.contains(&index),
            }),
        };
        said.add(id, labelled)?;
    }
    Ok(said)
}

/// The numbers that occur in a mask.
fn numbers(mask: &ndarray::Array2<u8>) -> impl Iterator<Item = u8> {
    let mut occurs = [false; 256];
    for &number in mask {
        occurs[usize::from(number)] = true;
    }
    (0..=u8::MAX).filter(move |&number| occurs[usize::from(number)])
}

/// Refuses masks of black and white: their white is an object, not what nobody labelled.
fn check_numbers(input: &Path, numbers: &BTreeSet<u8>, shared: &Shared) -> Result<()> {
    if !numbers.iter().eq([&0, &UNLABELLED_CLASS]) {
        return Ok(());
    }
    let (black, white) = match shared.classes.as_deref() {
        Some([black, white]) => (black.as_str(), white.as_str()),
        _ => ("background", "nucleus"),
    };
    Err(Failure::input(format!(
        "the masks in {} have the numbers 0 and 255 alone, and 255 means unlabelled",
        input.display()
    ))
    .help(format!(
        "If 255 is a class, as in binary masks of ImageJ, say which: `--values 0={black},255={white}`; if it is none: \
         `--values 0={black},255=unlabelled`."
    )))
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| unreadable(path, &error))
}

/// The classes of `--classes`, otherwise, as drawn objects name theirs, of the dataset, otherwise all that occur.
fn classes(
    context: &Context,
    format: &Format,
    shared: &Shared,
    objects: &ObjectArguments,
    kept_as: KeptAs,
    said: &Said,
) -> Result<Classes> {
    if let Some(names) = &shared.classes {
        return Ok(Classes::new(names.clone())?);
    }
    let is_mask = matches!(format, Format::Masks(_) | Format::Instances { .. });
    if !is_mask && shared.dataset.join("dataset.toml").exists() {
        return Ok(context.open(&shared.dataset)?.classes().clone());
    }
    let names: Vec<String> = match format {
        Format::Masks(_) => {
            let labelled = said.numbers.iter().filter(|&&n| n != UNLABELLED_CLASS);
            let past = labelled.max().map_or(0, |greatest| greatest + 1);
            (0..past).map(|class| class.to_string()).collect()
        }
        Format::Instances { class, .. } => vec![class.clone().unwrap_or_else(|| OBJECT.to_owned())],
        _ => {
            let background = objects.background();
            let occurring = said.class_names(kept_as).into_iter();
            let others = occurring.filter(|&name| Some(name) != background);
            let names = background.into_iter().chain(others);
            names.map(String::from).collect()
        }
    };
    if names.is_empty() {
        return Err(
            Failure::input("the labels have no objects, so no class occurs")
                .help("Declare the classes with `--classes`."),
        );
    }
    Ok(Classes::new(names)?)
}

/// What a mask says.
fn mask(format: &Format, labelled: &Labelled, classes: &Classes, file: &Path) -> Result<Target> {
    let (path, bytes) = (&labelled.path, bytes(&labelled.path)?);
    match format {
        Format::Instances { unlabelled, class } => {
            let mask = mask_file::read_instances(path, &bytes, *unlabelled, MAX_PIXELS)?;
            labelled.check_size(mask.dim())?;
            instance_mask(mask, class.as_deref(), classes, file)
        }
        Format::Masks(Some(numbering)) => {
            let mask = mask_file::read_numbered(path, &bytes, &numbering.table, MAX_PIXELS)?;
            labelled.check_size(mask.dim())?;
            Ok(Target::class_mask(file, mask.view())?)
        }
        _ => {
            let mask = mask_file::read_indexed(path, &bytes, MAX_PIXELS)?.classes;
            labelled.check_size(mask.dim())?;
            class_mask(&mask, classes, file)
        }
    }
}

fn class_mask(mask: &ndarray::Array2<u8>, classes: &Classes, file: &Path) -> Result<Target> {
    let strange = mask
        .iter()
        .find(|&&class| class != UNLABELLED_CLASS && usize::from(class) >= classes.len());
    if let Some(class) = strange {
        return Err(Failure::input(format!(
            "the mask has the class {class}, but the classes are numbered 0 to {}",
            classes.len() - 1
        ))
        .help("Declare all classes in their order with `--classes`."));
    }
    Ok(Target::class_mask(file, mask.view())?)
}

fn instance_mask(
    mut mask: ndarray::Array2<u32>,
    class: Option<&str>,
    classes: &Classes,
    file: &Path,
) -> Result<Target> {
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
    Ok(Target::Instances {
        mask: MaskFile::write_instances(file, mask.view())?,
        classes: vec![class; objects.len()],
    })
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
