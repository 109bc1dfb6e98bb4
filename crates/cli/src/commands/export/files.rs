//! Annotations and masks of a dataset as files that are called like its images.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cleanslide_data::formats::mask_file::{IndexedMask, write_indexed, write_instances_png};
use cleanslide_data::formats::{
    AnnotatedImage, Annotation, aperio, asap, coco, geojson, imagej, labelme, voc, yolo,
};
use cleanslide_data::mask::UNLABELLED_OBJECT;
use cleanslide_data::store::write_file_with;
use cleanslide_data::{
    Dataset, Evidence, Family, ImageRecord, Labels, Target, Trust, TryMap, UNLABELLED_CLASS,
};
use rayon::prelude::*;

use super::super::import::Corners;
use super::annotations::{Conversion, says_something};
use super::format::Format;
use super::losses::Losses;
use crate::failure::{Failure, Result};
use crate::new_folder::{publish, save};
use crate::progress;

/// What is to be written.
pub struct Request<'a> {
    /// The dataset.
    pub dataset: &'a Dataset,
    /// Its labels.
    pub labels: &'a Labels,
    /// Whose.
    pub source: &'a str,
    /// Which kinds of them.
    pub families: &'a [Family],
    /// How they become annotations.
    pub conversion: &'a Conversion<'a>,
    /// What the corners of Pascal VOC mean.
    pub corners: Corners,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Written {
    /// Images with a file, or an entry.
    pub images: usize,
    /// Objects on them.
    pub objects: usize,
    /// What the format could not hold.
    pub losses: Losses,
}

/// An image with what the source says about it.
struct Labelled<'a> {
    image: &'a ImageRecord,
    pieces: Vec<&'a Evidence>,
    /// The image's file below the folder that holds those of all images.
    file_name: String,
    /// What the file of its labels is called, without the ending.
    stem: String,
}

impl Labelled<'_> {
    fn about(&self, failure: Failure) -> Failure {
        failure.about(&format!("image {}", self.image.id))
    }
}

/// Writes a file or a folder that must not exist yet; it appears whole or not at all.
pub fn write(request: &Request, out: &Path) -> Result<Written> {
    let images = labelled(request)?;
    let format = request.conversion.format;
    if format == Format::Coco {
        return write_coco(request, &images, out);
    }
    publish(out, |folder| write_folder(request, &images, folder))
}

fn labelled<'a>(request: &Request<'a>) -> Result<Vec<Labelled<'a>>> {
    let said: Vec<BTreeMap<&str, &Evidence>> = request
        .families
        .iter()
        .map(|family| request.labels.of_images(request.source, *family))
        .collect();
    let root = common_folder(request.dataset.images());
    let mut images: Vec<Labelled> = Vec::new();
    for image in request.dataset.images() {
        let pieces: Vec<&Evidence> = said
            .iter()
            .filter_map(|said| said.get(image.id.as_str()).copied())
            .filter(|piece| says_something(&piece.target))
            .collect();
        if pieces.is_empty() {
            continue;
        }
        let path = Path::new(&image.path);
        let below = path.strip_prefix(&root).unwrap_or(path);
        let stem = path.file_stem();
        images.push(Labelled {
            image,
            pieces,
            file_name: below.to_string_lossy().replace('\\', "/"),
            stem: stem.map_or_else(|| image.id.clone(), |stem| stem.to_string_lossy().into()),
        });
    }
    if images.is_empty() {
        return Err(Failure::input(format!(
            "`{}` labels no image as a whole, so there is nothing to write",
            request.source
        )));
    }
    tell_apart(&mut images)?;
    Ok(images)
}

/// The folder that all files of images are below.
fn common_folder(images: &[ImageRecord]) -> PathBuf {
    let mut folders = images.iter().filter_map(|of| Path::new(&of.path).parent());
    let first = folders.next().unwrap_or(Path::new("")).to_owned();
    folders.fold(first, |common, folder| {
        let same = common.components().zip(folder.components());
        same.take_while(|(one, other)| one == other)
            .map(|(part, _)| part)
            .collect()
    })
}

/// Where files in several folders have one name, calls the labels of all of them by the ids of their images.
fn tell_apart(images: &mut [Labelled]) -> Result<()> {
    let stems: BTreeSet<&str> = images.iter().map(|of| of.stem.as_str()).collect();
    if stems.len() == images.len() {
        return Ok(());
    }
    let mut known: BTreeMap<String, &str> = BTreeMap::new();
    for of in images {
        let ending = Path::new(&of.image.path).extension();
        let ending = ending.map_or_else(String::new, |of| format!(".{}", of.to_string_lossy()));
        let id = of.image.id.strip_suffix(&ending).unwrap_or(&of.image.id);
        of.stem = id.replace(['/', '\\'], "-");
        if let Some(other) = known.insert(of.stem.clone(), &of.image.id) {
            return Err(Failure::input(format!(
                "the images {other} and {} have files of one name, `{}`, and so would their labels",
                of.image.id, of.stem
            ))
            .help("Rename one of the files, and its path in images.csv."));
        }
    }
    Ok(())
}

fn write_coco(request: &Request, images: &[Labelled], out: &Path) -> Result<Written> {
    let bar = progress::bar("converting labels", images.len());
    let converted: Vec<(AnnotatedImage, Losses)> =
        images.par_iter().try_map(|labelled| -> Result<_> {
            let converted = annotated(request, labelled);
            bar.inc(1);
            converted.map_err(|failure| labelled.about(failure))
        })?;
    bar.finish_and_clear();
    let mut written = Written::default();
    let mut annotated = Vec::new();
    for (image, losses) in converted {
        written.add(image.annotations.len(), losses);
        annotated.push(image);
    }
    let file = coco::Coco::new(annotated, request.dataset.classes().names());
    write_file_with(out, |writer| coco::write(writer, &file))?;
    Ok(written)
}

impl Written {
    fn add(&mut self, objects: usize, losses: Losses) {
        self.images += 1;
        self.objects += objects;
        self.losses += losses;
    }
}

fn write_folder(request: &Request, images: &[Labelled], folder: &Path) -> Result<Written> {
    let format = request.conversion.format;
    let names = request.dataset.classes().names();
    if matches!(format, Format::Yolo | Format::Masks) {
        let mut list = Vec::new();
        yolo::write_names(&mut list, names)
            .map_err(|error| Failure::input(format!("the classes: {error}")))?;
        save(&folder.join("classes.txt"), &list)?;
    }
    let bar = progress::bar("writing labels", images.len());
    let results: Vec<(usize, Losses)> = images.par_iter().try_map(|labelled| -> Result<_> {
        let ending = format.ending().unwrap_or_default();
        let path = folder.join(format!("{}.{ending}", labelled.stem));
        let mut bytes = Vec::new();
        let result = match format {
            Format::Masks | Format::Instances => {
                picture(request, labelled, &mut bytes).map(|losses| (0, losses))
            }
            _ => shapes(request, labelled, &mut bytes),
        };
        let result = result.map_err(|failure| labelled.about(failure))?;
        save(&path, &bytes)?;
        bar.inc(1);
        Ok(result)
    })?;
    bar.finish_and_clear();
    let mut written = Written::default();
    for (objects, losses) in results {
        written.add(objects, losses);
    }
    Ok(written)
}

fn annotated(request: &Request, labelled: &Labelled) -> Result<(AnnotatedImage, Losses)> {
    let conversion = request.conversion;
    let size = if conversion.format.needs_size() {
        let path = request.dataset.image_path(labelled.image);
        let (width, height) = image::image_dimensions(&path).map_err(|error| {
            Failure::input(format!("{}: {error}", path.display()))
                .help("The size of the image is needed; check that its file still lies there.")
        })?;
        Some((height as usize, width as usize))
    } else {
        None
    };
    let (annotations, losses) = conversion.annotations(&labelled.pieces, size)?;
    let image = AnnotatedImage {
        file_name: labelled.file_name.clone(),
        size,
        annotations,
    };
    Ok((image, losses))
}

fn shapes(request: &Request, labelled: &Labelled, bytes: &mut Vec<u8>) -> Result<(usize, Losses)> {
    let (image, losses) = annotated(request, labelled)?;
    let all: &[Annotation] = &image.annotations;
    let names = request.dataset.classes().names();
    match request.conversion.format {
        Format::Voc => voc::write(bytes, &image, request.corners.into()),
        Format::Yolo => yolo::write(bytes, &image, names),
        Format::Labelme => labelme::write(bytes, &image),
        Format::Geojson => geojson::write(bytes, all),
        Format::Imagej => imagej::write(io::Cursor::new(&mut *bytes), all),
        Format::Asap => asap::write(bytes, all),
        Format::Aperio => aperio::write(bytes, all),
        Format::Csv | Format::Coco | Format::Masks | Format::Instances => bytes.flush(),
    }
    .map_err(|error| Failure::input(error.to_string()))?;
    Ok((all.len(), losses))
}

fn picture(request: &Request, labelled: &Labelled, bytes: &mut Vec<u8>) -> Result<Losses> {
    let mut losses = Losses::default();
    for piece in &labelled.pieces {
        losses.trusted += usize::from(piece.trust < Trust::FULL);
        let result = match &piece.target {
            Target::Dense(file) | Target::Partial(file) => {
                let classes = file.read_classes()?;
                let palette = palette(request.dataset.classes().len(), &classes);
                write_indexed(&mut *bytes, &IndexedMask { classes, palette })
            }
            Target::Instances { mask, classes } => {
                let mask = mask.read_instances()?;
                let open = mask.iter().any(|&object| object == UNLABELLED_OBJECT);
                losses.open += usize::from(open);
                let several = request.dataset.classes().len() > 1 && !classes.is_empty();
                losses.unclassified += usize::from(several);
                write_instances_png(&mut *bytes, mask.view())
            }
            _ => return Err(Failure::input(format!("{}: no mask", piece.key()))),
        };
        result.map_err(|error| Failure::input(error.to_string()))?;
    }
    Ok(losses)
}

/// The colours of Pascal VOC's masks, in which three bits of the number at a time are the highest
/// that are left of red, green and blue; up to 255 if pixels are unlabelled.
fn palette(classes: usize, mask: &ndarray::Array2<u8>) -> Vec<[u8; 3]> {
    let open = mask.iter().any(|&class| class == UNLABELLED_CLASS);
    let colours = if open { 256 } else { classes.min(256) };
    let colour = |number: usize| {
        let channel = |first: usize| {
            (0..8).fold(0, |value, place| {
                let bit = (number >> (3 * place + first)) & 1;
                value | ((bit as u8) << (7 - place))
            })
        };
        [channel(0), channel(1), channel(2)]
    };
    (0..colours).map(colour).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_folder_is_the_deepest_of_all_images() {
        let common = |paths: &[&str]| {
            let record = |path: &&str| ImageRecord {
                path: (*path).to_owned(),
                ..ImageRecord::default()
            };
            let images: Vec<ImageRecord> = paths.iter().map(record).collect();
            common_folder(&images)
        };
        assert_eq!(common(&["../images/a.png"]), Path::new("../images"));
        let nested = ["images/1/a.png", "images/1/b.png", "images/12/a.png"];
        assert_eq!(common(&nested), Path::new("images"));
        assert_eq!(common(&["a.png", "images/b.png"]), Path::new(""));
        assert_eq!(common(&["/data/x/a.png", "/else/b.png"]), Path::new("/"));
        assert_eq!(common(&[]), Path::new(""));
    }

    #[test]
    fn colours_are_those_of_pascal_voc() {
        let mask = ndarray::array![[0, 255]];
        let colours = palette(2, &mask);
        assert_eq!(colours[..3], [[0, 0, 0], [128, 0, 0], [0, 128, 0]]);
        assert_eq!((colours.len(), colours[255]), (256, [224, 224, 192]));
    }
}
