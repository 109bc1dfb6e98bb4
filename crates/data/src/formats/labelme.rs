//! LabelMe JSON: one file per image.
//!
//! Points are in pixels and refer to pixel corners: they are taken as they are. `polygon` (also where
//! the kind is not said, as in old files), `rectangle` (two corners in any order, or four),
//! `circle` (centre and a point on it), `point` and `points` are read. Lines have no area; masks
//! within the file are not read: both are left out with a warning, as is what is broken.
//!
//! `group_id` becomes a number, `flags` flags and `description` a text; the picture that may be in
//! `imageData` is neither read nor written.

use std::io::{self, Write};
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::annotation::{AnnotatedImage, Annotation, Attribute, Reading, Shape, Warning};
use super::annotation::{ring, shortened, text};
use super::geojson::{write_number, write_text};
use super::json_stream::problem;
use super::xml::refused;
use crate::error::{Error, Result};
use crate::geometry::{Point, Polygon, Rectangle};

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    shapes: Vec<&'a RawValue>,
    #[serde(rename = "imagePath", default)]
    image_path: Option<String>,
    #[serde(rename = "imageHeight", default)]
    height: Option<usize>,
    #[serde(rename = "imageWidth", default)]
    width: Option<usize>,
    #[serde(rename = "imageData", default)]
    _image: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct RawShape {
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    points: Vec<[f64; 2]>,
    #[serde(default)]
    shape_type: Option<String>,
    #[serde(default)]
    group_id: Option<Value>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    flags: Option<serde_json::Map<String, Value>>,
}

/// Reads a file; `path` is for messages only.
///
/// # Errors
/// The file is empty, not UTF-8, not JSON, or not of LabelMe.
pub fn read(path: &Path, bytes: &[u8]) -> Result<Reading<AnnotatedImage>> {
    let file: File<'_> = serde_json::from_str(text(path, bytes)?).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Error::format(path, place, problem(&error))
            .with_help("Check that it is a file of LabelMe that was copied to its end.")
    })?;
    let mut image = AnnotatedImage {
        file_name: file.image_path.unwrap_or_default(),
        size: file
            .height
            .zip(file.width)
            .filter(|&(height, width)| height > 0 && width > 0),
        annotations: Vec::new(),
    };
    let mut warnings = Vec::new();
    for (index, raw) in file.shapes.into_iter().enumerate() {
        match shape(raw) {
            Ok(annotation) => image.annotations.push(annotation),
            Err(problem) => warnings.push(Warning::left_out(
                format!("shape {}", index + 1),
                problem,
                Some(0),
            )),
        }
    }
    Ok(Reading {
        content: image,
        warnings,
    })
}

fn shape(raw: &RawValue) -> Result<Annotation, String> {
    let raw: RawShape = serde_json::from_str(raw.get()).map_err(|error| problem(&error))?;
    let points: Vec<Point> = raw.points.iter().map(|&[x, y]| Point { x, y }).collect();
    let kind = raw.shape_type.as_deref().unwrap_or("polygon");
    let count = points.len();
    let unfit = || Err(format!("a {kind} with {count} points"));
    let no_area = |_| format!("the {kind} has no area");
    let shape = match (kind, &points[..]) {
        ("polygon", _) => Shape::Polygon(Polygon {
            outline: ring(points)?,
            holes: Vec::new(),
        }),
        ("rectangle", [_, _] | [_, _, _, _]) => match Rectangle::around(points) {
            Some(rectangle) => Shape::Rectangle(rectangle),
            None => return Err("the rectangle has no area".into()),
        },
        ("circle", &[centre, edge]) => {
            let radius = (edge.x - centre.x).hypot(edge.y - centre.y);
            let (left, top) = (centre.x - radius, centre.y - radius);
            let (right, bottom) = (centre.x + radius, centre.y + radius);
            Shape::Ellipse(Rectangle::new(left, top, right, bottom).map_err(no_area)?)
        }
        ("point", &[point]) => Shape::Point(point),
        ("points", [_, ..]) => Shape::Points(points),
        ("rectangle" | "circle" | "point" | "points", _) => return unfit(),
        ("line" | "linestrip", _) => return Err("lines have no area and cannot be labels".into()),
        ("mask", _) => return Err("masks within LabelMe files are not read".into()),
        (other, _) => return Err(format!("the kind `{}` is not known", shortened(other))),
    };
    let mut annotation = Annotation::unclassified(shape);
    annotation.class = raw.label.filter(|label| !label.is_empty());
    let attributes = &mut annotation.attributes;
    if let Some(group) = raw.group_id.as_ref().and_then(Value::as_f64) {
        attributes.push((GROUP.into(), Attribute::Number(group)));
    }
    if let Some(text) = raw.description.filter(|text| !text.is_empty()) {
        attributes.push((DESCRIPTION.into(), Attribute::Text(text)));
    }
    for (name, value) in raw.flags.unwrap_or_default() {
        if let Value::Bool(flag) = value {
            attributes.push((name, Attribute::Flag(flag)));
        }
    }
    Ok(annotation)
}

const GROUP: &str = "group_id";
const DESCRIPTION: &str = "description";

/// Writes a file.
///
/// # Errors
/// The writer fails, or an object is a mask, an ellipse that is no circle, or has holes or several
/// outlines (`InvalidInput`).
pub fn write(writer: &mut impl Write, image: &AnnotatedImage) -> io::Result<()> {
    let mut text = br#"{"version":"5.0.0","flags":{},"shapes":["#.to_vec();
    for (index, annotation) in image.annotations.iter().enumerate() {
        text.extend_from_slice(if index > 0 { b",\n" } else { b"\n" });
        write_shape(&mut text, annotation)?;
    }
    text.extend_from_slice(b"\n],\"imagePath\":");
    write_text(&mut text, &image.file_name)?;
    text.extend_from_slice(b",\"imageData\":null");
    if let Some((height, width)) = image.size {
        write!(text, ",\"imageHeight\":{height},\"imageWidth\":{width}")?;
    }
    text.extend_from_slice(b"}\n");
    writer.write_all(&text)
}

fn write_shape(text: &mut Vec<u8>, annotation: &Annotation) -> io::Result<()> {
    let (kind, points) = match &annotation.shape {
        Shape::Polygon(polygon) if polygon.holes.is_empty() => ("polygon", polygon.outline.clone()),
        Shape::Rectangle(box_) => {
            let [from, _, to, _] = box_.corners();
            ("rectangle", vec![from, to])
        }
        Shape::Ellipse(bounds) if bounds.width() == bounds.height() => {
            let centre = bounds.centre();
            ("circle", vec![centre, Point::new(bounds.right, centre.y)])
        }
        Shape::Point(point) => ("point", vec![*point]),
        Shape::Points(points) => ("points", points.clone()),
        other => {
            let kind = other.kind();
            return Err(refused(format!(
                "LabelMe cannot hold a {kind} of this kind"
            )));
        }
    };
    text.extend_from_slice(b"{\"label\":");
    write_text(text, annotation.class.as_deref().unwrap_or(""))?;
    text.extend_from_slice(b",\"points\":[");
    for (index, point) in points.iter().enumerate() {
        text.extend_from_slice(if index > 0 { b",[" } else { b"[" });
        write_number(text, point.x)?;
        text.push(b',');
        write_number(text, point.y)?;
        text.push(b']');
    }
    text.extend_from_slice(b"],\"group_id\":");
    match annotation.attribute(GROUP) {
        Some(Attribute::Number(group)) => write_number(text, *group)?,
        _ => text.extend_from_slice(b"null"),
    }
    if let Some(Attribute::Text(description)) = annotation.attribute(DESCRIPTION) {
        text.extend_from_slice(b",\"description\":");
        write_text(text, description)?;
    }
    write!(text, ",\"shape_type\":\"{kind}\",\"flags\":{{")?;
    let flags = annotation
        .attributes
        .iter()
        .filter_map(|(name, value)| match value {
            Attribute::Flag(flag) => Some((name, flag)),
            _ => None,
        });
    for (index, (name, flag)) in flags.enumerate() {
        if index > 0 {
            text.push(b',');
        }
        write_text(text, name)?;
        write!(text, ":{flag}")?;
    }
    text.extend_from_slice(b"}}");
    Ok(())
}
