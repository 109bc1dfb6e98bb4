//! Every label is evidence: what one source says about one scope, and how far it is trusted.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::geometry::{Point, Polygon, Rectangle};
use crate::value_map::ValueMap;

/// Who or what made a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Short name, unique in the dataset: `expert1`, `hough`, `consensus`.
    pub id: String,
    /// What kind of source it is.
    pub kind: SourceKind,
    /// Anything a reader should know.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What the numbers in its masks meant where they were not those of the classes. Labels have the numbers of the
    /// classes whatever this says; further masks of the source are read by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<ValueMap>,
}

impl Source {
    /// A person who labels.
    pub fn expert(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            kind: SourceKind::Expert,
            description: String::new(),
            values: None,
        }
    }
}

/// Kinds of sources. They differ in what may be concluded from them, not in how they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A person who looked at the image.
    Expert,
    /// Image processing, a fusion rule, or a simulated error process.
    Algorithm,
    /// A clinical diagnosis: it holds for the case, not for every place in it.
    Diagnosis,
    /// A trained model, including corrections that follow a model.
    Model,
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expert => "expert",
            Self::Algorithm => "algorithm",
            Self::Diagnosis => "diagnosis",
            Self::Model => "model",
        })
    }
}

/// How far a label is believed, from 0 (ignore it) to 1 (take it as it is; the default).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Trust(f32);

impl Trust {
    /// Full trust.
    pub const FULL: Self = Self(1.0);

    /// Checks the range.
    ///
    /// # Errors
    /// The value is not a number, below 0 or above 1.
    pub fn new(value: f32) -> Result<Self> {
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(Error::labels(format!(
                "a trust of {value} is not between 0 and 1"
            )))
        }
    }

    /// The value.
    pub fn value(self) -> f32 {
        self.0
    }
}

impl Default for Trust {
    fn default() -> Self {
        Self::FULL
    }
}

/// What a piece of evidence is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Scope {
    /// A whole case (patient, animal).
    Case(String),
    /// A whole slide.
    Slide(String),
    /// One image of the dataset.
    Image(String),
    /// A part of one image: the source looked nowhere else, so the rest is unlabelled.
    Region(String, Rectangle),
}

impl Scope {
    /// The case, slide or image.
    pub fn item(&self) -> &str {
        match self {
            Self::Case(item) | Self::Slide(item) | Self::Image(item) | Self::Region(item, _) => {
                item
            }
        }
    }

    /// `case`, `slide`, `image` or `region`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Case(_) => "case",
            Self::Slide(_) => "slide",
            Self::Image(_) => "image",
            Self::Region(..) => "region",
        }
    }
}

/// One object with its class and trust.
#[derive(Debug, Clone, PartialEq)]
pub struct Object<Shape> {
    /// Where it is.
    pub shape: Shape,
    /// Its class.
    pub class: usize,
    /// How far this object is believed.
    pub trust: Trust,
}

/// Objects of one image or region.
///
/// An empty list is a statement: the source looked and found nothing. Where nobody looked there
/// is no evidence at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Objects<Shape> {
    /// The objects, in the order in which they were given.
    pub objects: Vec<Object<Shape>>,
    /// True when every object of the scope was meant to be marked: then the rest is background.
    /// False when some were: then the rest is unlabelled.
    pub complete: bool,
}

impl<Shape> Objects<Shape> {
    /// Leaves out the others; then these are not all there are.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&Object<Shape>) -> bool) {
        let before = self.objects.len();
        self.objects.retain(wanted);
        self.complete &= self.objects.len() == before;
    }
}

/// A mask that is kept as a PNG file of a label version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskFile {
    /// The file.
    pub path: PathBuf,
    /// Hash of its bytes (BLAKE3, hexadecimal).
    pub hash: String,
}

/// What is said.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// It is this class.
    Class(usize),
    /// It is each class with this probability; they sum to 1.
    Distribution(Vec<f32>),
    /// It is one of these classes, unknown which (partial label).
    OneOf(BTreeSet<usize>),
    /// It is none of these classes (complementary label).
    NoneOf(BTreeSet<usize>),
    /// Boxes around objects.
    Boxes(Objects<Rectangle>),
    /// Points in objects.
    Points(Objects<Point>),
    /// Outlines of objects.
    Polygons(Objects<Polygon>),
    /// 16-bit mask of object numbers: 0 is background, 65535 unlabelled. `classes[i]` is the
    /// class of object i + 1.
    Instances {
        /// The mask.
        mask: MaskFile,
        /// Class of every object.
        classes: Vec<usize>,
    },
    /// 8-bit mask of classes in which every pixel is labelled.
    Dense(MaskFile),
    /// 8-bit mask of classes in which 255 is unlabelled.
    Partial(MaskFile),
}

/// Pixels of a class mask with this value are unlabelled.
pub const UNLABELLED_CLASS: u8 = u8::MAX;

/// Pixels of an instance mask with this value are unlabelled.
pub const UNLABELLED_INSTANCE: u16 = u16::MAX;

impl Target {
    /// The family of the target. One source says at most one thing of a family about one scope.
    pub fn family(&self) -> Family {
        match self {
            Self::Class(_) | Self::Distribution(_) | Self::OneOf(_) | Self::NoneOf(_) => {
                Family::Class
            }
            Self::Boxes(_) => Family::Boxes,
            Self::Points(_) => Family::Points,
            Self::Polygons(_) => Family::Polygons,
            Self::Instances { .. } => Family::Instances,
            Self::Dense(_) | Self::Partial(_) => Family::Mask,
        }
    }
}

/// Families of targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Class, distribution, one of, none of.
    Class,
    /// Boxes.
    Boxes,
    /// Points.
    Points,
    /// Polygons.
    Polygons,
    /// Instance masks.
    Instances,
    /// Class masks, dense or partial.
    Mask,
}

impl Family {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Boxes => "boxes",
            Self::Points => "points",
            Self::Polygons => "polygons",
            Self::Instances => "instances",
            Self::Mask => "mask",
        }
    }
}

/// What one source says about one scope, and how far it is trusted.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Id of the [`Source`].
    pub source: String,
    /// What it is about.
    pub scope: Scope,
    /// What is said.
    pub target: Target,
    /// How far it is believed, on top of the trust of single objects.
    pub trust: Trust,
}

impl Evidence {
    /// A fully trusted class of an image.
    pub fn class(source: impl Into<String>, image: impl Into<String>, class: usize) -> Self {
        Self {
            source: source.into(),
            scope: Scope::Image(image.into()),
            target: Target::Class(class),
            trust: Trust::FULL,
        }
    }

    /// Identifies the evidence within a label version: no two pieces share it. Versions are
    /// sorted by it.
    pub fn key(&self) -> Key<'_> {
        Key {
            scope: self.scope.kind(),
            item: self.scope.item(),
            region: match &self.scope {
                Scope::Region(_, rectangle) => rectangle.to_string(),
                _ => String::new(),
            },
            source: &self.source,
            family: self.target.family(),
        }
    }
}

/// See [`Evidence::key`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key<'a> {
    scope: &'static str,
    item: &'a str,
    region: String,
    source: &'a str,
    family: Family,
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scope,
            item,
            region,
            source,
            family,
        } = self;
        write!(f, "{} of {scope} {item}", family.name())?;
        if !region.is_empty() {
            write!(f, " [{region}]")?;
        }
        write!(f, " by {source}")
    }
}
