//! Which of the inputs are images, and which are slides.

use std::path::{Path, PathBuf};

use cleanslide_data::{MAX_PIXELS, looks_like_image};
use cleanslide_slide::{OpenOptions, Slide, is_ome_zarr};

use crate::failure::{Failure, Result};

/// Files, those of folders by name.
#[derive(Debug, Default)]
pub struct Inputs {
    pub images: Vec<PathBuf>,
    /// Files, and folders of slides in DICOM and in OME-Zarr.
    pub slides: Vec<PathBuf>,
}

/// What files of slides end with.
const SLIDES: [&str; 9] = [
    "svs", "ndpi", "mrxs", "scn", "bif", "vms", "vmu", "svslide", "dcm",
];
/// Files that are slides if there is a pyramid in them, or if they are too large to be read at once.
const PERHAPS: [&str; 2] = ["tif", "tiff"];

impl Inputs {
    /// All files among what was given; where slides are asked for, any that may be one is one.
    pub fn of(given: &[PathBuf], slides: bool) -> Result<Self> {
        let mut inputs = Self::default();
        for input in given {
            if is_slide(input, slides) {
                inputs.slides.push(input.clone());
            } else if input.is_dir() {
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
        Ok(inputs)
    }

    fn count(&self) -> usize {
        self.images.len() + self.slides.len()
    }

    fn collect(&mut self, folder: &Path, slides: bool) -> Result<()> {
        let error = |error| cleanslide_data::Error::io("read", folder, error);
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(error)? {
            paths.push(entry.map_err(error)?.path());
        }
        paths.sort();
        for path in paths {
            if is_slide(&path, slides) {
                self.slides.push(path);
            } else if path.is_dir() {
                self.collect(&path, slides)?;
            } else if looks_like_image(&path) {
                self.images.push(path);
            }
        }
        Ok(())
    }
}

/// Whether a file is a slide by its name, or by what is in it where names do not tell; or a folder a slide in DICOM or
/// OME-Zarr.
fn is_slide(path: &Path, slides: bool) -> bool {
    let ends = |path: &Path, endings: &[&str]| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| endings.contains(&ending.to_ascii_lowercase().as_str()))
    };
    if path.is_dir() {
        let files = std::fs::read_dir(path).into_iter().flatten().flatten();
        let dicom = |file: std::fs::DirEntry| ends(&file.path(), &["dcm"]);
        return is_ome_zarr(path) || files.into_iter().any(dicom);
    }
    if !ends(path, &PERHAPS) {
        return ends(path, &SLIDES);
    }
    slides
        || Slide::open(path, &OpenOptions::default()).is_ok_and(|slide| {
            let [width, height] = slide.levels()[0].size;
            slide.levels().len() > 1 || width.saturating_mul(height) > MAX_PIXELS
        })
}
