//! Aperio ImageScope XML: the annotations of one slide, in layers.
//!
//! Coordinates are pixels of the slide's full resolution and refer to pixel corners: they are taken
//! as they are. The class is the name of the layer or, if that is empty, the first value among
//! its attributes; its `LineColor` (blue, green and red from the highest byte) is the colour. The
//! `Text` of a region is the object's name.
//!
//! Regions of type 0 are polygons, of type 1 boxes (if the sides are along the image's), of type 2
//! ellipses by the corners of their box, of type 5 points. Arrows and rulers (3, 4) have no
//! area and are left out with a warning, as is what is broken. A region with `NegativeROA` is a hole of
//! the region of its layer in which most of its points lie, the smallest if there are several.
//!
//! Writing makes a layer per class and colour, in the order in which they occur.

use std::io::{self, Write};
use std::path::Path;

use super::annotation::{Annotation, Reading, Shape, Warning};
use super::annotation::{number, ring, shortened};
use super::rings::mostly_inside;
use super::xml::{Element, Escaped, Node, Xml, refused, write_declaration};
use crate::error::Result;
use crate::geometry::{Point, Polygon, Rectangle};

const POLYGON: u8 = 0;
const RECTANGLE: u8 = 1;
const ELLIPSE: u8 = 2;
const PIN: u8 = 5;

/// A layer while it is read.
#[derive(Default)]
struct Layer {
    name: String,
    colour: Option<[u8; 3]>,
    annotations: Vec<Annotation>,
    holes: Vec<(u64, Vec<Point>)>,
}

/// A region while it is read.
struct Draft {
    line: u64,
    kind: String,
    text: String,
    negative: bool,
    points: Vec<Point>,
    problem: Option<String>,
}

/// Reads a file; `path` is for messages only.
///
/// # Errors
/// The file is empty, not UTF-8, not well-formed XML, or of another format.
pub fn read(path: &Path, bytes: &[u8]) -> Result<Reading<Vec<Annotation>>> {
    let mut xml = Xml::new(path, bytes)?;
    xml.root("Annotations", "Aperio ImageScope")?;
    let mut layer = Layer::default();
    let mut draft: Option<Draft> = None;
    let (mut content, mut warnings) = (Vec::new(), Vec::new());
    while let Some(node) = xml.advance()? {
        match node {
            Node::Open(element) => match element.name() {
                "Annotation" => layer = Layer::open(&xml, &element)?,
                "Attribute" if layer.name.is_empty() && draft.is_none() => {
                    layer.name = xml.attribute(&element, "Value")?.unwrap_or_default();
                }
                "Region" => draft = Some(Draft::open(&xml, &element)?),
                "Vertex" => {
                    let place = vertex(&xml, &element)?;
                    match (&mut draft, place) {
                        (Some(draft), Ok(place)) => draft.points.push(place),
                        (Some(draft), Err(problem)) => draft.problem = Some(problem),
                        (None, _) => {}
                    }
                }
                _ => {}
            },
            Node::Close(name) if name == "Region" => {
                if let Some(draft) = draft.take() {
                    let place = format!("line {}", draft.line);
                    if let Err(problem) = layer.take(draft) {
                        warnings.push(Warning::left_out(place, problem, Some(0)));
                    }
                }
            }
            Node::Close(name) if name == "Annotation" => {
                std::mem::take(&mut layer).finish(&mut content, &mut warnings);
            }
            Node::Close(_) | Node::Text(_) => {}
        }
    }
    Ok(Reading { content, warnings })
}

/// A place; the inner error is of this vertex only.
fn vertex(xml: &Xml<'_>, element: &Element<'_>) -> Result<Result<Point, String>> {
    let (x, y) = (xml.attribute(element, "X")?, xml.attribute(element, "Y")?);
    let value = |text: Option<String>, name: &str| match text {
        Some(text) => number(&text.replacen(',', ".", 1))
            .map_err(|problem| format!("line {}: `{name}`: {problem}", element.line)),
        None => Err(format!("line {}: a vertex has no `{name}`", element.line)),
    };
    Ok(value(x, "X").and_then(|x| Ok(Point::new(x, value(y, "Y")?))))
}

impl Draft {
    fn open(xml: &Xml<'_>, element: &Element<'_>) -> Result<Self> {
        let text = |name| xml.attribute(element, name).map(Option::unwrap_or_default);
        Ok(Self {
            line: element.line,
            kind: text("Type")?,
            text: text("Text")?,
            negative: !matches!(text("NegativeROA")?.as_str(), "" | "0"),
            points: Vec::new(),
            problem: None,
        })
    }
}

impl Layer {
    fn open(xml: &Xml<'_>, element: &Element<'_>) -> Result<Self> {
        let text = |name| xml.attribute(element, name).map(Option::unwrap_or_default);
        let colour = text("LineColor")?.trim().parse::<u32>().ok().map(|packed| {
            let [red, green, blue, _] = packed.to_le_bytes();
            [red, green, blue]
        });
        Ok(Self {
            name: text("Name")?,
            colour,
            ..Self::default()
        })
    }

    fn take(&mut self, draft: Draft) -> Result<(), String> {
        if let Some(problem) = draft.problem {
            return Err(problem);
        }
        if draft.negative {
            self.holes.push((draft.line, ring(draft.points)?));
            return Ok(());
        }
        let around = |points: &[Point]| Rectangle::around(points.iter().copied());
        let no_area = || "it has no area".to_owned();
        let shape = match draft.kind.as_str() {
            "0" | "" => polygon(draft.points)?,
            "1" => {
                let bounds = around(&draft.points).ok_or_else(no_area)?;
                let corners = bounds.corners();
                let upright = draft.points.iter().all(|point| corners.contains(point));
                if upright {
                    Shape::Rectangle(bounds)
                } else {
                    polygon(draft.points)?
                }
            }
            "2" => Shape::Ellipse(around(&draft.points).ok_or_else(no_area)?),
            "5" => match draft.points[..] {
                [point, ..] => Shape::Point(point),
                [] => return Err("a point without a vertex".into()),
            },
            "3" | "4" => return Err("arrows and rulers have no area".into()),
            other => return Err(format!("the type `{}` is not known", shortened(other))),
        };
        self.annotations.push(Annotation {
            class: Some(self.name.clone()).filter(|name| !name.is_empty()),
            name: draft.text,
            colour: self.colour,
            ..Annotation::unclassified(shape)
        });
        Ok(())
    }

    /// Gives the holes to their regions.
    fn finish(mut self, content: &mut Vec<Annotation>, warnings: &mut Vec<Warning>) {
        for (line, hole) in self.holes {
            let bounds = Rectangle::around(hole.iter().copied());
            let mut host: Option<(f64, &mut Annotation)> = None;
            for annotation in &mut self.annotations {
                let near = annotation.shape.bounds().zip(bounds);
                if near.is_some_and(|(outer, inner)| outer.overlap(&inner) > 0.0)
                    && let Some([outer]) = annotation.shape.polygons().as_deref()
                    && mostly_inside(&hole, &outer.outline)
                    && host
                        .as_ref()
                        .is_none_or(|(smallest, _)| outer.area() < *smallest)
                {
                    host = Some((outer.area(), annotation));
                }
            }
            match host {
                Some((_, annotation)) => cut_out(&mut annotation.shape, hole),
                // What it was to be cut from is not known, so nothing is sure to be background.
                None => warnings.push(Warning::left_out(
                    format!("line {line}"),
                    "a negative region that is in no other",
                    Some(0),
                )),
            }
        }
        content.append(&mut self.annotations);
    }
}

/// Makes a hole in a shape, which becomes a polygon.
fn cut_out(shape: &mut Shape, hole: Vec<Point>) {
    if let Some(polygon) = shape.polygons().and_then(|parts| parts.into_iter().next()) {
        let mut polygon = polygon;
        polygon.holes.push(hole);
        *shape = Shape::Polygon(polygon);
    }
}

fn polygon(points: Vec<Point>) -> Result<Shape, String> {
    ring(points).map(|outline| {
        Shape::Polygon(Polygon {
            outline,
            holes: Vec::new(),
        })
    })
}

/// Writes a file. Objects without a colour are green, as ImageScope draws new ones.
///
/// # Errors
/// The writer fails, or an object is a mask, a set of points or has several outlines
/// (`InvalidInput`).
pub fn write<'a>(
    writer: &mut impl Write,
    annotations: impl IntoIterator<Item = &'a Annotation>,
) -> io::Result<()> {
    let mut layers: Vec<Vec<&Annotation>> = Vec::new();
    for annotation in annotations {
        let same = |layer: &&mut Vec<&Annotation>| {
            (&layer[0].class, layer[0].colour) == (&annotation.class, annotation.colour)
        };
        match layers.iter_mut().find(same) {
            Some(layer) => layer.push(annotation),
            None => layers.push(vec![annotation]),
        }
    }
    write_declaration(writer)?;
    writeln!(writer, "<Annotations>")?;
    for (index, layer) in layers.into_iter().enumerate() {
        let [red, green, blue] = layer[0].colour.unwrap_or([0, 255, 0]);
        let colour = u32::from_le_bytes([red, green, blue, 0]);
        let (id, name) = (index + 1, Escaped(layer[0].class.as_deref().unwrap_or("")));
        writeln!(
            writer,
            "\t<Annotation Id=\"{id}\" Name=\"{name}\" Type=\"4\" LineColor=\"{colour}\" Visible=\"1\">\n\t\t<Regions>"
        )?;
        let mut region = 0;
        for annotation in layer {
            write_regions(writer, annotation, &mut region)?;
        }
        writeln!(writer, "\t\t</Regions>\n\t</Annotation>")?;
    }
    writeln!(writer, "</Annotations>")
}

fn write_regions(
    writer: &mut impl Write,
    annotation: &Annotation,
    id: &mut usize,
) -> io::Result<()> {
    let name = annotation.name.as_str();
    match &annotation.shape {
        Shape::Rectangle(bounds) => write_region(writer, RECTANGLE, name, &bounds.corners(), id),
        Shape::Ellipse(bounds) => write_region(writer, ELLIPSE, name, &bounds.corners(), id),
        Shape::Point(point) => write_region(writer, PIN, name, &[*point], id),
        Shape::Polygon(polygon) => {
            write_region(writer, POLYGON, name, &polygon.outline, id)?;
            for hole in &polygon.holes {
                write_negative(writer, hole, id)?;
            }
            Ok(())
        }
        other => {
            let kind = other.kind();
            Err(refused(format!(
                "ImageScope cannot hold a {kind} as one object"
            )))
        }
    }
}

fn write_region(
    writer: &mut impl Write,
    kind: u8,
    name: &str,
    points: &[Point],
    id: &mut usize,
) -> io::Result<()> {
    *id += 1;
    let name = Escaped(name);
    writeln!(
        writer,
        "\t\t\t<Region Id=\"{id}\" Type=\"{kind}\" Text=\"{name}\" NegativeROA=\"0\">"
    )?;
    write_vertices(writer, points)
}

fn write_negative(writer: &mut impl Write, hole: &[Point], id: &mut usize) -> io::Result<()> {
    *id += 1;
    writeln!(
        writer,
        "\t\t\t<Region Id=\"{id}\" Type=\"{POLYGON}\" Text=\"\" NegativeROA=\"1\">"
    )?;
    write_vertices(writer, hole)
}

fn write_vertices(writer: &mut impl Write, points: &[Point]) -> io::Result<()> {
    writeln!(writer, "\t\t\t\t<Vertices>")?;
    for Point { x, y } in points {
        if !x.is_finite() || !y.is_finite() {
            return Err(refused(format!("{x} {y} is not a place")));
        }
        writeln!(writer, "\t\t\t\t\t<Vertex X=\"{x}\" Y=\"{y}\" Z=\"0\" />")?;
    }
    writeln!(writer, "\t\t\t\t</Vertices>\n\t\t\t</Region>")
}
