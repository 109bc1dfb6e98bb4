//! One class per image, as a folder per class or as a table.

use std::collections::BTreeMap;
use std::path::Path;

use super::missing::Missing;
use super::{
    DESCRIBING, IMAGE_NAMES, ImageColumns, Imported, check_rows_unique, classes_of, sorted_entries,
};
use crate::error::{Error, Result};
use crate::evidence::{Evidence, Scope, Source, Target};
use crate::image_file::looks_like_image;
use crate::images::ImageRecord;
use crate::labels::parse_trust;
use crate::table::Table;

/// Which columns of a class table mean what; `None` takes the usual names.
#[derive(Debug, Clone, Default)]
pub struct ClassColumns {
    /// The image file: `image`, `path`, `file`, `filename`.
    pub image: Option<String>,
    /// The class: `class`, `label`.
    pub class: Option<String>,
    /// A class that is kept apart for evaluation.
    pub reference: Option<String>,
}

/// Reads a folder with one folder of images per class. Every image has the class of its folder;
/// deeper folders belong to the class above them.
///
/// # Errors
/// The folder cannot be read, has no class folders, has images beside them, or a class folder is
/// empty.
pub fn read_class_folders(
    folder: &Path,
    source: &Source,
    declared: Option<&[String]>,
) -> Result<Imported> {
    let mut names = Vec::new();
    let mut loose = 0;
    for path in sorted_entries(folder)? {
        if path.is_dir() {
            names.push(
                path.file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
            );
        } else if looks_like_image(&path) {
            loose += 1;
        }
    }
    if names.is_empty() {
        return Err(Error::file(folder, "has no folders of classes").with_help(
            "Put the images of each class into a folder with its name, or import a csv table.",
        ));
    }
    if loose > 0 {
        return Err(Error::file(
            folder,
            format!("{loose} images lie beside the class folders"),
        )
        .with_help("Move them into the folder of their class, or out of the way."));
    }
    let classes = classes_of(declared, names.iter().map(String::as_str))?;
    let (mut images, mut evidence) = (Vec::new(), Vec::new());
    for name in &names {
        let class = classes.index(name)?;
        let before = images.len();
        collect_images(&folder.join(name), name, &mut images)?;
        if images.len() == before {
            return Err(Error::file(&folder.join(name), "has no images")
                .with_help("Remove the folder, or add PNG, JPEG, TIFF or BMP images."));
        }
        evidence.extend(
            images[before..]
                .iter()
                .map(|image| Evidence::class(&source.id, &image.id, class)),
        );
    }
    Ok(Imported {
        images,
        classes,
        sources: vec![source.clone()],
        evidence,
        references: Vec::new(),
        missing_words: BTreeMap::new(),
    })
}

fn collect_images(folder: &Path, name: &str, images: &mut Vec<ImageRecord>) -> Result<()> {
    for path in sorted_entries(folder)? {
        let id = format!(
            "{name}/{}",
            path.file_name().unwrap_or_default().to_string_lossy()
        );
        if path.is_dir() {
            collect_images(&path, &id, images)?;
        } else if looks_like_image(&path) {
            let path = path.to_string_lossy().into_owned();
            images.push(ImageRecord {
                id,
                path,
                ..ImageRecord::default()
            });
        }
    }
    Ok(())
}

/// Reads a table with one image and its class per line. A class that is empty, or a word for missing
/// values that is no declared class, is *not labelled*. A column `trust` (0 to 1) is taken where there is one.
///
/// # Errors
/// A malformed table, an image given twice, a class that was not declared, a bad trust.
pub fn read_class_table(
    path: &Path,
    source: &Source,
    columns: &ClassColumns,
    declared: Option<&[String]>,
) -> Result<Imported> {
    let table = Table::read(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let image_columns = ImageColumns::find(&table, columns.image.as_deref())?;
    let class_column = match &columns.class {
        Some(name) => table.column(name)?,
        None => table.find_any(&["class", "label"]).ok_or_else(|| {
            let candidates: Vec<&str> = table
                .header()
                .iter()
                .map(String::as_str)
                .filter(|name| !IMAGE_NAMES.contains(name) && !DESCRIBING.contains(name))
                .collect();
            Error::file(path, "no column is called `class` or `label`").with_help(format!(
                "Name it with `--class-column`; perhaps one of: {}.",
                candidates.join(", ")
            ))
        })?,
    };
    let reference_column = columns
        .reference
        .as_ref()
        .map(|name| table.column(name))
        .transpose()?;
    let trust_column = table.find("trust");

    let labels: Vec<usize> = std::iter::once(class_column)
        .chain(reference_column)
        .collect();
    let missing = Missing::new(declared);
    let rows = table.rows().iter();
    let occurring = rows.flat_map(|row| {
        let labels = labels.iter();
        labels.filter_map(|&column| missing.class(row, column))
    });
    let classes = classes_of(declared, occurring)?;
    let mut images = Vec::with_capacity(table.rows().len());
    let (mut evidence, mut reference) = (Vec::new(), Vec::new());
    for row in table.rows() {
        let image = image_columns.read(&table, row, folder)?;
        let class_at = |column: usize| {
            let name = missing.class(row, column);
            let class = name.map(|name| classes.index(name)).transpose();
            class.map_err(|error| with_place(&table, row, &error))
        };
        if let Some(class) = class_at(class_column)? {
            let trust = parse_trust(trust_column.map_or("", |column| row.get(column)))
                .map_err(|error| with_place(&table, row, &error))?;
            let scope = Scope::Image(image.id.clone());
            evidence.push(Evidence {
                source: source.id.clone(),
                scope,
                target: Target::Class(class),
                trust,
            });
        }
        if let Some(class) = reference_column.map(class_at).transpose()?.flatten() {
            reference.push(Evidence::class("reference", &image.id, class));
        }
        images.push(image);
    }
    check_rows_unique(&table, &images)?;
    let references = columns
        .reference
        .iter()
        .map(|name| (name.clone(), reference.clone()))
        .collect();
    Ok(Imported {
        images,
        classes,
        sources: vec![source.clone()],
        evidence,
        references,
        missing_words: missing.words(&table, &labels, &image_columns),
    })
}

pub(super) fn with_place(table: &Table, row: &crate::table::Row, error: &Error) -> Error {
    let placed = table.error(row, error.to_string());
    match error.help() {
        Some(help) => placed.with_help(help),
        None => placed,
    }
}
