//! ASAP XML (computationalpathologygroup/ASAP): the annotations of one slide.
//!
//! Coordinates are pixels of the slide's full resolution and refer to pixel corners: they are taken
//! as they are. A comma for the decimal point, which ASAP writes in some languages, is understood.
//! Coordinates are sorted by their `Order`.
//!
//! `Polygon` and `Spline` (by its points, without the curve between them) are polygons, `Rectangle`
//! is a box if its sides are along the image's and otherwise a polygon, `Dot` a point, `PointSet`
//! several. `Measurement` is left out with a warning, as is what is broken. The class is the group
//! that an annotation is part of, unless that is `None`; groups within groups are not resolved.
//! The colour is that of the annotation, otherwise that of the group.
//!
//! Holes are not known: polygons with holes are refused in writing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;

use super::annotation::{Annotation, Reading, Shape, Warning};
use super::annotation::{number, ring, shortened};
use super::xml::{Element, Escaped, Node, Xml, refused, write_declaration};
use crate::error::Result;
use crate::geometry::{Point, Polygon, Rectangle};

/// The group of what has no class.
const NO_GROUP: &str = "None";

/// An annotation while it is read.
struct Draft {
    line: u64,
    name: String,
    kind: String,
    group: String,
    colour: Option<[u8; 3]>,
    points: Vec<(f64, Point)>,
    problem: Option<String>,
}

/// Reads a file; `path` is for messages only.
///
/// # Errors
/// The file is empty, not UTF-8, not well-formed XML, or of another format.
pub fn read(path: &Path, bytes: &[u8]) -> Result<Reading<Vec<Annotation>>> {
    let mut xml = Xml::new(path, bytes)?;
    xml.root("ASAP_Annotations", "ASAP")?;
    let mut draft: Option<Draft> = None;
    let mut groups: BTreeMap<String, Option<[u8; 3]>> = BTreeMap::new();
    let (mut content, mut warnings) = (Vec::new(), Vec::new());
    while let Some(node) = xml.advance()? {
        match node {
            Node::Open(element) => match element.name() {
                "Annotation" => {
                    let text = |name| xml.attribute(&element, name).map(Option::unwrap_or_default);
                    draft = Some(Draft {
                        line: element.line,
                        name: text("Name")?,
                        kind: text("Type")?,
                        group: text("PartOfGroup")?,
                        colour: colour(&text("Color")?),
                        points: Vec::new(),
                        problem: None,
                    });
                }
                "Coordinate" => {
                    if let Some(draft) = &mut draft {
                        match coordinate(&xml, &element, draft.points.len())? {
                            Ok(place) => draft.points.push(place),
                            Err(problem) => draft.problem = Some(problem),
                        }
                    }
                }
                "Group" => {
                    let name = xml.attribute(&element, "Name")?.unwrap_or_default();
                    let shown = xml.attribute(&element, "Color")?.unwrap_or_default();
                    groups.insert(name, colour(&shown));
                }
                _ => {}
            },
            Node::Close(name) if name == "Annotation" => {
                if let Some(draft) = draft.take() {
                    let place = format!("line {}", draft.line);
                    match draft.finish() {
                        Ok(annotation) => content.push(annotation),
                        Err(problem) => {
                            warnings.push(Warning::left_out(place, problem, Some(0)));
                        }
                    }
                }
            }
            Node::Close(_) | Node::Text(_) => {}
        }
    }
    for annotation in &mut content {
        let group = annotation
            .class
            .as_ref()
            .and_then(|class| groups.get(class));
        annotation.colour = annotation.colour.or(group.copied().flatten());
    }
    Ok(Reading { content, warnings })
}

/// A place with its order; the inner error is of this coordinate only.
fn coordinate(
    xml: &Xml<'_>,
    element: &Element<'_>,
    before: usize,
) -> Result<Result<(f64, Point), String>> {
    let text = |name| xml.attribute(element, name);
    let (order, x, y) = (text("Order")?, text("X")?, text("Y")?);
    let value = |text: Option<String>, name: &str| match text {
        Some(text) => number(&text.replacen(',', ".", 1))
            .map_err(|problem| format!("line {}: `{name}`: {problem}", element.line)),
        None => Err(format!(
            "line {}: a coordinate has no `{name}`",
            element.line
        )),
    };
    let order = match order {
        Some(_) => value(order, "Order"),
        None => Ok(before as f64),
    };
    let place = value(x, "X").and_then(|x| Ok(Point::new(x, value(y, "Y")?)));
    Ok(order.and_then(|order| Ok((order, place?))))
}

/// `#rrggbb`, as ASAP writes colours.
fn colour(text: &str) -> Option<[u8; 3]> {
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
    let [_, colour @ ..] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some(colour)
}

impl Draft {
    fn finish(mut self) -> Result<Annotation, String> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        self.points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let points: Vec<Point> = self.points.into_iter().map(|(_, point)| point).collect();
        let simple = |points: Vec<Point>| {
            ring(points).map(|outline| {
                Shape::Polygon(Polygon {
                    outline,
                    holes: Vec::new(),
                })
            })
        };
        let shape = match (self.kind.as_str(), &points[..]) {
            ("Polygon" | "Spline", _) => simple(points)?,
            ("Rectangle", corners) => match Rectangle::of_corners(corners) {
                Some(rectangle) => Shape::Rectangle(rectangle),
                None => simple(points)?,
            },
            ("Dot", &[point]) => Shape::Point(point),
            ("PointSet", [_, ..]) => Shape::Points(points),
            ("Dot" | "PointSet", _) => {
                return Err(format!("a {} with {} coordinates", self.kind, points.len()));
            }
            (kind, _) => {
                return Err(format!(
                    "the kind `{}` has no area or is not known",
                    shortened(kind)
                ));
            }
        };
        let class = Some(self.group).filter(|group| !group.is_empty() && group != NO_GROUP);
        Ok(Annotation {
            class,
            name: self.name,
            colour: self.colour,
            ..Annotation::unclassified(shape)
        })
    }
}

/// Writes a file. Objects without a colour are yellow, as ASAP draws new ones.
///
/// # Errors
/// The writer fails, or an object is a mask, an ellipse, or has holes or several outlines, or its
/// class is called `None` (`InvalidInput`).
pub fn write<'a>(
    writer: &mut impl Write,
    annotations: impl IntoIterator<Item = &'a Annotation>,
) -> io::Result<()> {
    write_declaration(writer)?;
    writeln!(writer, "<ASAP_Annotations>\n\t<Annotations>")?;
    let mut groups = BTreeSet::new();
    for annotation in annotations {
        let (kind, points) = match &annotation.shape {
            Shape::Polygon(polygon) if polygon.holes.is_empty() => {
                ("Polygon", polygon.outline.clone())
            }
            Shape::Rectangle(rectangle) => ("Rectangle", rectangle.corners().to_vec()),
            Shape::Point(point) => ("Dot", vec![*point]),
            Shape::Points(points) => ("PointSet", points.clone()),
            other => {
                let kind = other.kind();
                return Err(refused(format!("ASAP cannot hold a {kind} of this kind")));
            }
        };
        let group = annotation.class.as_deref().unwrap_or(NO_GROUP);
        if annotation.class.as_deref() == Some(NO_GROUP) {
            return Err(refused(format!(
                "`{NO_GROUP}` means without a class to ASAP"
            )));
        }
        let colour = Hexadecimal(annotation.colour);
        if annotation.class.is_some() {
            groups.insert((group, annotation.colour));
        }
        let (name, escaped) = (Escaped(&annotation.name), Escaped(group));
        writeln!(
            writer,
            "\t\t<Annotation Name=\"{name}\" Type=\"{kind}\" PartOfGroup=\"{escaped}\" Color=\"{colour}\">\n\t\t\t<Coordinates>"
        )?;
        for (order, Point { x, y }) in points.iter().enumerate() {
            if !x.is_finite() || !y.is_finite() {
                return Err(refused(format!("{x} {y} is not a place")));
            }
            writeln!(
                writer,
                "\t\t\t\t<Coordinate Order=\"{order}\" X=\"{x}\" Y=\"{y}\" />"
            )?;
        }
        writeln!(writer, "\t\t\t</Coordinates>\n\t\t</Annotation>")?;
    }
    writeln!(writer, "\t</Annotations>\n\t<AnnotationGroups>")?;
    let mut last = None;
    for (group, colour) in groups {
        if last != Some(group) {
            let (escaped, colour) = (Escaped(group), Hexadecimal(colour));
            writeln!(
                writer,
                "\t\t<Group Name=\"{escaped}\" PartOfGroup=\"{NO_GROUP}\" Color=\"{colour}\">\n\t\t\t<Attributes />\n\t\t</Group>"
            )?;
        }
        last = Some(group);
    }
    writeln!(writer, "\t</AnnotationGroups>\n</ASAP_Annotations>")
}

/// A colour as `#rrggbb`.
struct Hexadecimal(Option<[u8; 3]>);

impl std::fmt::Display for Hexadecimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [red, green, blue] = self.0.unwrap_or([0xf4, 0xfa, 0x58]);
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}
