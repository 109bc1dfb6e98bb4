//! The images of a dataset: `images.csv`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::table::{Table, to_csv};

/// One image and where it belongs. Empty text means *not known*.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImageRecord {
    /// Unique name in the dataset.
    pub id: String,
    /// The file, relative to the dataset's folder or absolute.
    pub path: String,
    /// Patient or animal.
    pub case: String,
    /// Slide.
    pub slide: String,
    /// Any other reason why images belong together (centre, batch, duplicate set).
    pub group: String,
    /// Training, validation or test, if it is decided.
    pub split: Option<Split>,
    /// Side of a pixel in microns, if it is known.
    pub microns_per_pixel: Option<f64>,
}

impl ImageRecord {
    /// What ties this image to others, as (level, name): its case, slide and group where known.
    pub fn belongs_to(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("case", &self.case),
            ("slide", &self.slide),
            ("group", &self.group),
        ]
        .into_iter()
        .filter(|(_, name)| !name.is_empty())
        .map(|(level, name)| (level, name.as_str()))
    }
}

/// The part of the data that an image belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Split {
    /// Learned from.
    Train,
    /// Used to choose settings and when to stop.
    Validation,
    /// Used once, for the final figures.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        })
    }
}

impl FromStr for Split {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "train" | "training" => Ok(Self::Train),
            "validation" | "val" | "valid" => Ok(Self::Validation),
            "test" => Ok(Self::Test),
            _ => Err(Error::labels(format!(
                "the split `{text}` is none of train, validation and test"
            ))),
        }
    }
}

const HEADER: [&str; 7] = [
    "id",
    "path",
    "case",
    "slide",
    "group",
    "split",
    "microns_per_pixel",
];

/// Reads `images.csv`.
///
/// # Errors
/// A malformed table, an id given twice (with both lines), an unknown split, or a scale that is
/// not above 0.
pub fn read_images(path: &Path) -> Result<Vec<ImageRecord>> {
    let table = Table::read(path)?;
    let mut columns = [0; HEADER.len()];
    for (column, name) in columns.iter_mut().zip(HEADER) {
        *column = table.column(name)?;
    }
    let mut images = Vec::with_capacity(table.rows().len());
    for row in table.rows() {
        let [id, path, case, slide, group, split, scale] = columns.map(|column| row.get(column));
        images.push(ImageRecord {
            id: id.to_owned(),
            path: path.to_owned(),
            case: case.to_owned(),
            slide: slide.to_owned(),
            group: group.to_owned(),
            split: parse_split(split).map_err(|error| table.error(row, error.to_string()))?,
            microns_per_pixel: parse_scale(scale)
                .map_err(|error| table.error(row, error.to_string()))?,
        });
    }
    check_unique(
        &images,
        |index| table.error(&table.rows()[index], ""),
        |index| format!("in line {}", table.rows()[index].line),
    )?;
    Ok(images)
}

/// An optional split: empty is *not decided*.
///
/// # Errors
/// The text is none of train, validation and test.
pub fn parse_split(text: &str) -> Result<Option<Split>> {
    if text.is_empty() {
        Ok(None)
    } else {
        text.parse().map(Some)
    }
}

/// Optional microns per pixel: empty is *not known*.
///
/// # Errors
/// The text is not a number above 0.
pub fn parse_scale(text: &str) -> Result<Option<f64>> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(Some(value)),
        _ => Err(Error::labels(format!(
            "`{text}` microns per pixel is not a number above 0"
        ))),
    }
}

/// Refuses an empty id, and an id given twice.
pub(crate) fn check_unique(
    images: &[ImageRecord],
    error_at: impl Fn(usize) -> Error,
    place: impl Fn(usize) -> String,
) -> Result<()> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, image) in images.iter().enumerate() {
        let problem = if image.id.is_empty() {
            "an image without an id".to_owned()
        } else if let Some(first) = seen.insert(&image.id, index) {
            format!(
                "the id `{}` is given twice, first {}",
                image.id,
                place(first)
            )
        } else {
            continue;
        };
        let mut error = error_at(index);
        if let Error::Table { problem: slot, .. } | Error::File { problem: slot, .. } = &mut error {
            *slot = problem;
        }
        return Err(error.with_help("Every image needs an id of its own."));
    }
    Ok(())
}

/// `images.csv` as bytes.
pub(crate) fn images_to_csv(images: &[ImageRecord]) -> Vec<u8> {
    to_csv(
        &HEADER,
        images.iter().map(|image| {
            [
                image.id.clone(),
                image.path.clone(),
                image.case.clone(),
                image.slide.clone(),
                image.group.clone(),
                image
                    .split
                    .map_or_else(String::new, |split| split.to_string()),
                image
                    .microns_per_pixel
                    .map_or_else(String::new, |scale| scale.to_string()),
            ]
        }),
    )
}
