//! Which of the inputs are images, and which are slides.

use std::path::{Path, PathBuf};

use cleanslide_data::{MAX_PIXELS, looks_like_image};
use cleanslide_slide::{OpenOptions, Slide, is_ome_zarr};

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::count;

/// Files, those of folders by name.
#[derive(Debug, Default)]
pub struct Inputs {
    pub images: Vec<PathBuf>,
    /// Files, and folders of slides in DICOM and in OME-Zarr.
    pub slides: Vec<PathBuf>,
    /// Files in TIFF that are damaged.
    damaged: Vec<PathBuf>,
    /// Images in folders, of kinds that are not read.
    unread: Vec<PathBuf>,
}

/// What of files may be slides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slides {
    /// What its name or its content says.
    ByContent,
    /// All files in TIFF too.
    Tiff,
    /// All files that can be read: it is told how large their pixels are.
    All,
}

/// What a file is.
enum Kind {
    Image,
    Slide,
    /// It is damaged, so that nobody knows.
    Either,
}

/// What files of slides end with.
const SLIDES: [&str; 9] = [
    "svs", "ndpi", "mrxs", "scn", "bif", "vms", "vmu", "svslide", "dcm",
];
/// Files that are slides if there is a pyramid in them, or if they are too large to be read at once.
const PERHAPS: [&str; 2] = ["tif", "tiff"];
/// Plain images, which are slides of one level where that is asked for.
const PLAIN: [&str; 4] = ["png", "jpg", "jpeg", "bmp"];
/// Images that are not read.
const UNREAD: [&str; 9] = [
    "webp", "gif", "heic", "heif", "avif", "jp2", "j2k", "jxl", "psd",
];

impl Inputs {
    /// All files among what was given; says once which images of folders are left out because their kind is not read.
    pub fn read(context: &Context, given: &[PathBuf], slides: Slides) -> Result<Self> {
        let inputs = Self::of(given, slides)?;
        if let Some(first) = inputs.unread.first() {
            let (files, are) = match inputs.unread.len() {
                1 => ("1 file".to_owned(), "is"),
                number => (count(number, "file"), "are"),
            };
            context.output.warn(&format!(
                "{files} {are} left out, such as {}: PNG, JPEG, TIFF and BMP can be read",
                first.display()
            ));
        }
        Ok(inputs)
    }

    /// All files among what was given.
    fn of(given: &[PathBuf], slides: Slides) -> Result<Self> {
        let mut inputs = Self::default();
        for input in given {
            if inputs.add(input, slides) {
                continue;
            }
            if input.is_dir() {
                let before = inputs.count();
                inputs.collect(input, slides)?;
                if inputs.count() == before {
                    let message = format!("{} has no images", input.display());
                    return Err(Failure::input(message)
                        .help("PNG, JPEG, TIFF and BMP can be read, and slides."));
                }
            } else if input.exists() {
                inputs.images.push(input.clone());
            } else {
                return Err(Failure::input(format!(
                    "{} does not exist",
                    input.display()
                )));
            }
        }
        // Its own error will be told by whoever reads it, as one of the others.
        match inputs.images.is_empty() && !inputs.slides.is_empty() {
            true => inputs.slides.append(&mut inputs.damaged),
            false => inputs.images.append(&mut inputs.damaged),
        }
        Ok(inputs)
    }

    fn count(&self) -> usize {
        self.images.len() + self.slides.len() + self.damaged.len()
    }

    /// Adds a slide, or what may be one; whether it was added.
    fn add(&mut self, path: &Path, slides: Slides) -> bool {
        match kind(path, slides) {
            Kind::Slide => self.slides.push(path.to_owned()),
            Kind::Either => self.damaged.push(path.to_owned()),
            Kind::Image => return false,
        }
        true
    }

    fn collect(&mut self, folder: &Path, slides: Slides) -> Result<()> {
        let error = |error| cleanslide_data::Error::io("read", folder, error);
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(error)? {
            paths.push(entry.map_err(error)?.path());
        }
        paths.sort();
        for path in paths {
            if self.add(&path, slides) {
                continue;
            }
            if path.is_dir() {
                self.collect(&path, slides)?;
            } else if looks_like_image(&path) {
                self.images.push(path);
            } else if ends(&path, &UNREAD) {
                self.unread.push(path);
            }
        }
        Ok(())
    }
}

fn ends(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| endings.contains(&ending.to_ascii_lowercase().as_str()))
}

/// Whether a file is a slide by its name, or by what is in it where names do not tell; or a folder a slide in DICOM or
/// OME-Zarr.
fn kind(path: &Path, slides: Slides) -> Kind {
    let by = |is_slide: bool| match is_slide {
        true => Kind::Slide,
        false => Kind::Image,
    };
    if path.is_dir() {
        let files = std::fs::read_dir(path).into_iter().flatten().flatten();
        let dicom = |file: std::fs::DirEntry| ends(&file.path(), &["dcm"]);
        return by(is_ome_zarr(path) || files.into_iter().any(dicom));
    }
    let may_be = match slides {
        Slides::ByContent => false,
        Slides::Tiff => ends(path, &PERHAPS),
        Slides::All => ends(path, &PERHAPS) || ends(path, &PLAIN),
    };
    if may_be || !ends(path, &PERHAPS) {
        return by(may_be || ends(path, &SLIDES));
    }
    match Slide::open(path, &OpenOptions::default()) {
        Ok(slide) => {
            let [width, height] = slide.levels()[0].size;
            by(slide.levels().len() > 1 || width.saturating_mul(height) > MAX_PIXELS)
        }
        Err(cleanslide_slide::Error::File { .. }) => Kind::Either,
        Err(_) => Kind::Image,
    }
}
