//! Labels as people have them, one file per format.
//!
//! Formats of shapes (boxes, outlines, points) are read into and written from one neutral form,
//! [`AnnotatedImage`], whose coordinates are those of [`crate::geometry`]: pixel corners. What each
//! format means by a number is said at the head of its module. A broken *file* is an error; a
//! broken *object* is left out and listed in [`Reading::warnings`].

mod annotation;
pub mod aperio;
pub mod asap;
mod classes;
pub mod coco;
mod diagnoses;
pub mod geojson;
pub mod gleason2019;
pub mod imagej;
mod json_stream;
mod json_text;
pub mod labelme;
pub mod mask_file;
mod missing;
mod rings;
mod run_length;
pub mod voc;
mod votes;
mod xml;
pub mod yolo;

pub use annotation::{AnnotatedImage, Annotation, Attribute, Reading, Shape, Warning};
pub use classes::{ClassColumns, read_class_folders, read_class_table};
pub use diagnoses::{Diagnosed, Meaning, read_diagnoses};
pub use run_length::RunLengths;
pub use votes::{VoteColumns, read_votes};

use missing::is_missing;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::classes::Classes;
use crate::error::{Error, Result};
use crate::evidence::{Evidence, Source};
use crate::images::{ImageRecord, parse_scale, parse_split};
use crate::store::is_partial;
use crate::table::{Row, Table};

/// What an importer found: everything that a dataset needs.
///
/// Paths of images are as the user gave them, joined to the folder that they are relative to.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The images, in the order of the input.
    pub images: Vec<ImageRecord>,
    /// The classes: as given, otherwise sorted by name.
    pub classes: Classes,
    /// Who labelled.
    pub sources: Vec<Source>,
    /// What they said.
    pub evidence: Vec<Evidence>,
    /// Labels to be kept apart for evaluation: name and evidence.
    pub references: Vec<(String, Vec<Evidence>)>,
    /// Words for missing values that were read as *not known* (no label, no case and so on), with how many fields had each.
    pub missing_words: BTreeMap<String, usize>,
}

/// Names of columns that describe the image, whatever the format.
pub(crate) const IMAGE_NAMES: [&str; 5] = ["image", "path", "file", "filename", "file_name"];
pub(crate) const DESCRIBING: [&str; 8] = [
    "id",
    "case",
    "patient",
    "slide",
    "group",
    "split",
    "microns_per_pixel",
    "mpp",
];

/// Where a table describes its images.
pub(crate) struct ImageColumns {
    path: usize,
    id: Option<usize>,
    case: Option<usize>,
    slide: Option<usize>,
    group: Option<usize>,
    split: Option<usize>,
    scale: Option<usize>,
}

impl ImageColumns {
    pub(crate) fn find(table: &Table, image_column: Option<&str>) -> Result<Self> {
        let path = match image_column {
            Some(name) => table.column(name)?,
            None => table.find_any(&IMAGE_NAMES).ok_or_else(|| {
                Error::file(table.path(), "no column names the image files").with_help(format!(
                    "Name it with `--image-column`. The columns are: {}.",
                    table.header().join(", ")
                ))
            })?,
        };
        Ok(Self {
            path,
            id: table.find("id"),
            case: table.find_any(&["case", "patient"]),
            slide: table.find("slide"),
            group: table.find("group"),
            split: table.find("split"),
            scale: table.find_any(&["microns_per_pixel", "mpp"]),
        })
    }

    /// The columns that say what is known of an image.
    fn known_of_image(&self) -> impl Iterator<Item = usize> {
        let columns = [self.case, self.slide, self.group, self.split, self.scale];
        columns.into_iter().flatten()
    }

    /// The columns in use.
    pub(crate) fn used(&self) -> Vec<usize> {
        std::iter::once(self.path)
            .chain(self.id)
            .chain(self.known_of_image())
            .collect()
    }

    pub(crate) fn read(&self, table: &Table, row: &Row, folder: &Path) -> Result<ImageRecord> {
        let text = |column: Option<usize>| {
            let field = column.map_or("", |column| row.get(column));
            let known = if is_missing(field) { "" } else { field };
            known.to_owned()
        };
        let given = row.get(self.path);
        if given.is_empty() {
            return Err(table.error(row, "no image file is named"));
        }
        let id = self.id.map_or("", |column| row.get(column)).to_owned();
        let at_row = |error: Error| table.error(row, error.to_string());
        Ok(ImageRecord {
            id: if id.is_empty() {
                given.replace('\\', "/")
            } else {
                id
            },
            path: image_file(folder, given).to_string_lossy().into_owned(),
            case: text(self.case),
            slide: text(self.slide),
            group: text(self.group),
            split: parse_split(&text(self.split)).map_err(at_row)?,
            microns_per_pixel: parse_scale(&text(self.scale)).map_err(at_row)?,
        })
    }
}

/// The file that a table names. Tables from Windows have backslashes between folders, which elsewhere are part of a name:
/// they are only if there is such a file.
fn image_file(folder: &Path, given: &str) -> PathBuf {
    let written = folder.join(given);
    match given.contains('\\') && !written.exists() {
        true => folder.join(given.replace('\\', "/")),
        false => written,
    }
}

/// Entries of a folder by name, without hidden files.
pub(crate) fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| Error::io("read", folder, error))? {
        let entry = entry.map_err(|error| Error::io("read", folder, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && !is_partial(&name) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Refuses an image that a table names twice, with both lines.
pub(crate) fn check_rows_unique(table: &Table, images: &[ImageRecord]) -> Result<()> {
    crate::images::check_unique(
        images,
        |index| table.error(&table.rows()[index], ""),
        |index| format!("in line {}", table.rows()[index].line),
    )
}

/// The classes that the user declared, or all that occur, sorted by name.
pub(crate) fn classes_of<'a>(
    declared: Option<&[String]>,
    occurring: impl Iterator<Item = &'a str>,
) -> Result<Classes> {
    match declared {
        Some(names) => Classes::new(names.to_vec()),
        None => {
            let names: std::collections::BTreeSet<&str> =
                occurring.filter(|name| !name.is_empty()).collect();
            Classes::new(names.into_iter().map(String::from).collect())
        }
    }
}
