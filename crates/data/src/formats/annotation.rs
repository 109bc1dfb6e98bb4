//! Shapes on an image in the neutral form that all formats of annotations share.

use std::fmt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::geometry::{Point, Polygon, Rectangle};

/// What a file says about one image.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AnnotatedImage {
    /// The image as the file calls it; empty if it does not say.
    pub file_name: String,
    /// Height and width in pixels, if the file says.
    pub size: Option<(usize, usize)>,
    /// The objects, in the order of the file.
    pub annotations: Vec<Annotation>,
}

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    /// Where it is.
    pub shape: Shape,
    /// The name of its class; `None` if it has none.
    pub class: Option<String>,
    /// The name of this very object; empty if it has none.
    pub name: String,
    /// An identifier that is unique in the file; empty if it has none.
    pub id: String,
    /// How sure who marked it is.
    pub score: Option<f64>,
    /// The colour (RGB) in which it, or its class, is shown.
    pub colour: Option<[u8; 3]>,
    /// The box that the file gives besides the shape, where it is not the smallest one around it.
    pub bounding_box: Option<Rectangle>,
    /// The nucleus of a cell whose outline is `shape`.
    pub nucleus: Option<Box<Shape>>,
    /// Anything else that the file says about it, in its order and by its names.
    pub attributes: Vec<(String, Attribute)>,
}

impl Annotation {
    /// An object of a class, without anything else.
    pub fn new(class: impl Into<String>, shape: Shape) -> Self {
        Self {
            class: Some(class.into()),
            ..Self::unclassified(shape)
        }
    }

    /// An object without a class.
    pub fn unclassified(shape: Shape) -> Self {
        Self {
            shape,
            class: None,
            name: String::new(),
            id: String::new(),
            score: None,
            colour: None,
            bounding_box: None,
            nucleus: None,
            attributes: Vec::new(),
        }
    }

    /// The attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        let mut all = self.attributes.iter();
        all.find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// True if the attribute of this name is a raised flag.
    pub fn flag(&self, name: &str) -> bool {
        self.attribute(name) == Some(&Attribute::Flag(true))
    }
}

/// Where an object is, in pixel corners.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A box.
    Rectangle(Rectangle),
    /// The ellipse that touches the four sides of a box.
    Ellipse(Rectangle),
    /// A place.
    Point(Point),
    /// Several places that are one object.
    Points(Vec<Point>),
    /// An outline, perhaps with holes.
    Polygon(Polygon),
    /// Several outlines that are one object.
    Polygons(Vec<Polygon>),
    /// A mask as large as the image.
    Mask(super::RunLengths),
}

impl Shape {
    /// What it is called in messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Rectangle(_) => "box",
            Self::Ellipse(_) => "ellipse",
            Self::Point(_) => "point",
            Self::Points(_) => "set of points",
            Self::Polygon(_) => "polygon",
            Self::Polygons(_) => "set of polygons",
            Self::Mask(_) => "mask",
        }
    }

    /// The smallest box around it; `None` if it has no area.
    pub fn bounds(&self) -> Option<Rectangle> {
        match self {
            Self::Rectangle(bounds) | Self::Ellipse(bounds) => Some(*bounds),
            Self::Point(_) => None,
            Self::Points(points) => Rectangle::around(points.iter().copied()),
            Self::Polygon(polygon) => polygon.bounds(),
            Self::Polygons(polygons) => Rectangle::around(
                polygons
                    .iter()
                    .flat_map(|part| part.outline.iter().copied()),
            ),
            Self::Mask(mask) => mask.bounds(),
        }
    }

    /// Outlines of the same place: a box has four points, an ellipse 64. `None` for points,
    /// which have no outline, and masks, whose outlines are to be traced.
    pub fn polygons(&self) -> Option<Vec<Polygon>> {
        let simple = |outline: Vec<Point>| {
            Some(vec![Polygon {
                outline,
                holes: Vec::new(),
            }])
        };
        match self {
            Self::Rectangle(rectangle) => simple(rectangle.corners().to_vec()),
            Self::Ellipse(bounds) => simple(ellipse(bounds)),
            Self::Polygon(polygon) => Some(vec![polygon.clone()]),
            Self::Polygons(polygons) => Some(polygons.clone()),
            Self::Point(_) | Self::Points(_) | Self::Mask(_) => None,
        }
    }
}

/// Points on the outline of an ellipse; the polygon has 0.2 % less area than the ellipse.
const ELLIPSE_POINTS: usize = 64;

fn ellipse(bounds: &Rectangle) -> Vec<Point> {
    let centre = bounds.centre();
    (0..ELLIPSE_POINTS)
        .map(|index| {
            let angle = index as f64 / ELLIPSE_POINTS as f64 * std::f64::consts::TAU;
            Point {
                x: centre.x + bounds.width() / 2.0 * angle.cos(),
                y: centre.y + bounds.height() / 2.0 * angle.sin(),
            }
        })
        .collect()
}

/// A value beside an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// Yes or no.
    Flag(bool),
    /// A measurement.
    Number(f64),
    /// Anything else.
    Text(String),
}

/// What was read from a file, and what had to be left out of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading<T> {
    /// What was read.
    pub content: T,
    /// Objects that were left out or changed. A user should see them all.
    pub warnings: Vec<Warning>,
}

/// One object of a file was left out or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where in the file: `line 12`, `object 3 (mitosis)`.
    pub place: String,
    /// What is wrong there, and what was done.
    pub problem: String,
    /// The image that lacks an object because it was left out, by its place among the images of the file: 0 in files of
    /// one image. `None` if nothing was left out, or what was left out is of no image of the file.
    pub incomplete: Option<usize>,
}

impl Warning {
    pub(super) fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            problem: problem.into(),
            incomplete: None,
        }
    }

    /// An object was left out of an image.
    pub(super) fn left_out(
        place: impl Into<String>,
        problem: impl fmt::Display,
        image: Option<usize>,
    ) -> Self {
        Self {
            incomplete: image,
            ..Self::new(place, format!("left out: {problem}"))
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// The text of a file: UTF-8, with or without a byte order mark.
pub(super) fn text<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.is_empty() {
        return Err(Error::file(path, "the file is empty (0 bytes)")
            .with_help("It was probably not copied to the end; copy it again."));
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Error::file(path, "the text is UTF-16").with_help(
            "Save it as UTF-8 with a text editor, or with `iconv -f UTF-16 -t UTF-8`.",
        ));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + memchr::memchr_iter(b'\n', &bytes[..error.valid_up_to()]).count();
        Error::format(path, format!("line {line}"), "the text is not UTF-8")
            .with_help("Save it as UTF-8 with a text editor, or with `iconv -f LATIN1 -t UTF-8`.")
    })
}

/// A finite number as people write it.
pub(super) fn number(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(format!("\"{}\" is not a number", shortened(text))),
    }
}

/// The polygon of a ring: a repeated first point is dropped.
///
/// # Errors
/// Fewer than three points are left.
pub(super) fn ring(mut points: Vec<Point>) -> Result<Vec<Point>, String> {
    if points.len() > 1 && points.first() == points.last() {
        points.pop();
    }
    match points.len() {
        0..3 => Err(format!("an outline of {} points has no area", points.len())),
        _ => Ok(points),
    }
}

/// Foreign text for a message, not longer than a line.
pub(super) fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    let text = text.trim();
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short.escape_debug().to_string()
}
