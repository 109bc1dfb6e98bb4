//! Pascal VOC: one XML file per image, with boxes.
//!
//! The development kit of the challenge (Everingham et al., doi:10.1007/s11263-009-0275-4) counts
//! pixels from 1, and `xmax`, `ymax` are the last pixels *inside*: a box covers columns `xmin − 1`
//! to `xmax` in pixel corners. Many programs write VOC files otherwise without a word in them, so
//! [`Corners`] is an option of reader and writer. A wrong choice shifts all boxes by a pixel.
//!
//! `difficult`, `truncated` and `occluded` become flags, `pose` a text. Numbers may have fractions.
//! What is left out or changed, with a warning and the line: a box without area, one outside the
//! image, one that reaches beyond it (cut at its border), an object without a box or name. A missing
//! size, or one of 0, is not known; then nothing is cut. Parts of objects, rotated boxes and
//! segmentation masks are not read.

use std::io::{self, Write};
use std::path::Path;

use super::annotation::{AnnotatedImage, Annotation, Attribute, Reading, Shape, Warning};
use super::annotation::{number, shortened};
use super::xml::{Escaped, Node, Xml, refused, write_declaration};
use crate::error::Result;
use crate::geometry::Rectangle;

/// What `xmin`, `ymin`, `xmax` and `ymax` mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Corners {
    /// First and last pixel inside, counted from 1, as the challenge has it (the default): the box
    /// covers `xmin − 1` to `xmax`.
    #[default]
    OneBased,
    /// First and last pixel inside, counted from 0: the box covers `xmin` to `xmax + 1`.
    ZeroBased,
    /// The edges themselves: the box covers `xmin` to `xmax`.
    Edges,
}

impl Corners {
    /// What is added to the corners of a file to get edges.
    fn shift(self) -> (f64, f64) {
        match self {
            Self::OneBased => (-1.0, 0.0),
            Self::ZeroBased => (0.0, 1.0),
            Self::Edges => (0.0, 0.0),
        }
    }
}

const FLAGS: [&str; 3] = ["truncated", "difficult", "occluded"];
const SIDES: [&str; 4] = ["xmin", "ymin", "xmax", "ymax"];

/// An object while it is read.
#[derive(Default)]
struct Draft {
    line: u64,
    class: String,
    corners: [Option<f64>; 4],
    attributes: Vec<(String, Attribute)>,
    problem: Option<String>,
}

/// Reads a file; `path` is for messages only.
///
/// # Errors
/// The file is empty, not UTF-8, not well-formed XML, or of another format.
pub fn read(path: &Path, bytes: &[u8], corners: Corners) -> Result<Reading<AnnotatedImage>> {
    let mut xml = Xml::new(path, bytes)?;
    xml.root("annotation", "Pascal VOC")?;
    let mut image = AnnotatedImage::default();
    let (mut width, mut height) = (None, None);
    let mut drafts: Vec<Draft> = Vec::new();
    let mut warnings = Vec::new();
    let mut content = String::new();
    while let Some(node) = xml.advance()? {
        match node {
            Node::Open(element) => {
                if xml.place() == ["object"] {
                    drafts.push(Draft {
                        line: element.line,
                        ..Draft::default()
                    });
                }
                content.clear();
            }
            Node::Text(text) => content.push_str(&text),
            Node::Close(name) => {
                let value = std::mem::take(&mut content);
                let value = value.trim();
                let place = xml.place();
                let side = |value: &str| {
                    whole(value).map_err(|problem| {
                        let problem = format!("the size is taken as unknown: {problem}");
                        Warning::new(format!("line {}", xml.line()), problem)
                    })
                };
                match (place.as_slice(), name.as_str()) {
                    ([], "filename") => image.file_name = value.to_owned(),
                    (["size"], "width") => keep(side(value), &mut width, &mut warnings),
                    (["size"], "height") => keep(side(value), &mut height, &mut warnings),
                    (["object", inside @ ..], name) => {
                        if let Some(draft) = drafts.last_mut() {
                            draft.take(inside, name, value);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    image.size = height
        .zip(width)
        .filter(|&(height, width)| height > 0 && width > 0);
    for draft in drafts {
        let place = format!("line {}", draft.line);
        match draft.finish(corners, image.size) {
            Ok((annotation, cut)) => {
                image.annotations.push(annotation);
                warnings.extend(cut.map(|cut| Warning::new(place, cut)));
            }
            Err(problem) => warnings.push(Warning::left_out(place, problem, Some(0))),
        }
    }
    Ok(Reading {
        content: image,
        warnings,
    })
}

fn keep(found: Result<usize, Warning>, into: &mut Option<usize>, warnings: &mut Vec<Warning>) {
    match found {
        Ok(value) => *into = Some(value),
        Err(warning) => warnings.push(warning),
    }
}

/// A number of pixels; some programs write it with a fraction of zero.
fn whole(text: &str) -> Result<usize, String> {
    let value = number(text)?;
    if value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value) {
        Ok(value as usize)
    } else {
        Err(format!("\"{}\" is not a number of pixels", shortened(text)))
    }
}

impl Draft {
    fn take(&mut self, inside: &[&str], name: &str, value: &str) {
        match inside {
            [] if name == "name" => self.class = value.to_owned(),
            [] if FLAGS.contains(&name) => {
                let flag = match value {
                    "0" | "" => Attribute::Flag(false),
                    "1" => Attribute::Flag(true),
                    other => Attribute::Text(other.to_owned()),
                };
                self.attributes.push((name.to_owned(), flag));
            }
            [] if name == "pose" && !value.is_empty() && value != "Unspecified" => {
                let pose = Attribute::Text(value.to_owned());
                self.attributes.push((name.to_owned(), pose));
            }
            ["bndbox"] => {
                if let Some(side) = SIDES.iter().position(|&side| side == name) {
                    match number(value) {
                        Ok(number) => self.corners[side] = Some(number),
                        Err(problem) => self.problem = Some(format!("`{name}`: {problem}")),
                    }
                }
            }
            _ => {}
        }
    }

    /// The object, and what was cut from it.
    fn finish(
        self,
        corners: Corners,
        size: Option<(usize, usize)>,
    ) -> Result<(Annotation, Option<String>), String> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        if self.class.is_empty() {
            return Err("it has no `name`".into());
        }
        let [Some(xmin), Some(ymin), Some(xmax), Some(ymax)] = self.corners else {
            return Err("it has no `bndbox` with xmin, ymin, xmax and ymax".into());
        };
        let (first, last) = corners.shift();
        let given = Rectangle::new(xmin + first, ymin + first, xmax + last, ymax + last)
            .map_err(|_| format!("the box {xmin} {ymin} {xmax} {ymax} has no area"))?;
        let mut cut = None;
        let mut rectangle = given;
        if let Some((height, width)) = size {
            let image = format!("the image of {width} × {height} pixels");
            rectangle = given
                .on_image((height, width))
                .ok_or_else(|| format!("the box {xmin} {ymin} {xmax} {ymax} is outside {image}"))?;
            if rectangle != given {
                cut = Some(format!(
                    "the box {xmin} {ymin} {xmax} {ymax} was cut at the border of {image}"
                ));
            }
        }
        let annotation = Annotation {
            attributes: self.attributes,
            ..Annotation::new(self.class, Shape::Rectangle(rectangle))
        };
        Ok((annotation, cut))
    }
}

/// The shortest decimal of a corner that is read as this edge again. Of edges that no sum gives, one that is read as the edge
/// but for rounding: 0.57 from 1 on is 1.57, where the sum itself is 1.5699999999999998.
fn shifted(edge: f64, shift: f64) -> String {
    let sum = edge - shift;
    let rounding = f64::EPSILON * edge.abs().max(sum.abs());
    let shortest = |error: f64| {
        let mut texts = (0..=17).map(|digits| format!("{sum:.digits$}"));
        texts.find(|text| {
            let read: Result<f64, _> = text.parse();
            read.is_ok_and(|read| (read + shift - edge).abs() <= error)
        })
    };
    shortest(0.0)
        .or_else(|| shortest(rounding))
        .unwrap_or_else(|| sum.to_string())
}

/// Writes a file. The depth is given as 3, as Cleanslide reads all images.
///
/// # Errors
/// The writer fails, or an object is not a box or has no class (`InvalidInput`).
pub fn write(writer: &mut impl Write, image: &AnnotatedImage, corners: Corners) -> io::Result<()> {
    write_declaration(writer)?;
    writeln!(writer, "<annotation>")?;
    let file_name = Escaped(&image.file_name);
    writeln!(writer, "\t<filename>{file_name}</filename>")?;
    if let Some((height, width)) = image.size {
        writeln!(
            writer,
            "\t<size>\n\t\t<width>{width}</width>\n\t\t<height>{height}</height>\n\t\t<depth>3</depth>\n\t</size>"
        )?;
    }
    writeln!(writer, "\t<segmented>0</segmented>")?;
    for annotation in &image.annotations {
        write_object(writer, annotation, corners)?;
    }
    writeln!(writer, "</annotation>")
}

fn write_object(
    writer: &mut impl Write,
    annotation: &Annotation,
    corners: Corners,
) -> io::Result<()> {
    let Shape::Rectangle(rectangle) = &annotation.shape else {
        let kind = annotation.shape.kind();
        return Err(refused(format!("Pascal VOC has boxes only, no {kind}")));
    };
    let Some(class) = &annotation.class else {
        return Err(refused("an object of Pascal VOC needs a class".into()));
    };
    let pose = match annotation.attribute("pose") {
        Some(Attribute::Text(pose)) => pose.as_str(),
        _ => "Unspecified",
    };
    writeln!(writer, "\t<object>\n\t\t<name>{}</name>", Escaped(class))?;
    writeln!(writer, "\t\t<pose>{}</pose>", Escaped(pose))?;
    for flag in FLAGS {
        match annotation.attribute(flag) {
            Some(Attribute::Text(text)) => {
                writeln!(writer, "\t\t<{flag}>{}</{flag}>", Escaped(text))?;
            }
            Some(Attribute::Flag(value)) => {
                writeln!(writer, "\t\t<{flag}>{}</{flag}>", u8::from(*value))?;
            }
            _ => {}
        }
    }
    let (first, last) = corners.shift();
    let sides = [
        (rectangle.left, first),
        (rectangle.top, first),
        (rectangle.right, last),
        (rectangle.bottom, last),
    ];
    writeln!(writer, "\t\t<bndbox>")?;
    for (name, (edge, shift)) in SIDES.iter().zip(sides) {
        let value = shifted(edge, shift);
        writeln!(writer, "\t\t\t<{name}>{value}</{name}>")?;
    }
    writeln!(writer, "\t\t</bndbox>\n\t</object>")
}
