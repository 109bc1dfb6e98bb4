//! YOLO labels: a text file per image, a line per object, all in shares of the image.
//!
//! A line is `class x y width height`, with the *centre* of a box, or `class x1 y1 x2 y2 x3 y3 …`, an
//! outline of at least three points; a last number more is a score. Classes are numbers from 0
//! into a list of names that is kept elsewhere. Shares refer to pixel corners: 1 is the right or
//! lower edge. Since they say nothing without the image, its size must be known.
//!
//! Numbers are mostly rounded to six digits, so shares may leave the image by up to 0.01 and are
//! then cut at its border, with a warning if that is more than half a pixel; an object further out
//! is left out with a warning, as it probably has pixels instead of shares. So is what is broken.

use std::io::{self, Write};
use std::path::Path;

use super::annotation::{AnnotatedImage, Annotation, Reading, Shape, Warning};
use super::annotation::{number, ring, shortened, text};
use super::xml::refused;
use crate::error::{Error, Result};
use crate::geometry::{Point, Polygon, Rectangle};

/// Shares may leave 0 … 1 by this much.
const TOLERANCE: f64 = 0.01;

/// Reads the list of class names: a name per line (`classes.txt`, `obj.names`), empty lines at the
/// end ignored; `path` is for messages only.
///
/// # Errors
/// The file is empty or not UTF-8, or a name is missing.
pub fn read_names(path: &Path, bytes: &[u8]) -> Result<Vec<String>> {
    let names: Vec<&str> = text(path, bytes)?
        .trim_end()
        .lines()
        .map(str::trim)
        .collect();
    match names.iter().position(|name| name.is_empty()) {
        Some(line) => Err(Error::format(
            path,
            format!("line {}", line + 1),
            "a class has no name, which would shift the numbers of the others",
        )
        .with_help("Give every class a name, one per line.")),
        None => Ok(names.into_iter().map(String::from).collect()),
    }
}

/// Reads the labels of one image, of the given height and width; `path` is for messages only. An
/// empty file says that there are no objects.
///
/// # Errors
/// The file is not UTF-8.
pub fn read(
    path: &Path,
    bytes: &[u8],
    file_name: &str,
    size: (usize, usize),
    names: &[String],
) -> Result<Reading<AnnotatedImage>> {
    let content = if bytes.is_empty() {
        ""
    } else {
        text(path, bytes)?
    };
    let mut image = AnnotatedImage {
        file_name: file_name.to_owned(),
        size: Some(size),
        annotations: Vec::new(),
    };
    let mut warnings = Vec::new();
    for (index, line) in content.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let place = format!("line {}", index + 1);
        match object(line, size, names) {
            Ok((annotation, cut)) => {
                image.annotations.push(annotation);
                if cut > 0.5 {
                    let text = format!("it reached {cut:.1} pixels beyond the image and was cut");
                    warnings.push(Warning::new(place, text));
                }
            }
            Err(problem) => warnings.push(Warning::left_out(place, problem, Some(0))),
        }
    }
    Ok(Reading {
        content: image,
        warnings,
    })
}

/// The object of a line, and how many pixels it was cut.
fn object(
    line: &str,
    (height, width): (usize, usize),
    names: &[String],
) -> Result<(Annotation, f64), String> {
    let mut words = line.split_ascii_whitespace();
    let class = words.next().unwrap_or_default();
    let name = class
        .parse::<usize>()
        .ok()
        .and_then(|class| names.get(class))
        .ok_or_else(|| {
            let last = names.len().saturating_sub(1);
            format!(
                "\"{}\" is not the number of a class, 0 to {last}",
                shortened(class)
            )
        })?;
    let mut numbers = words.map(number).collect::<Result<Vec<f64>, _>>()?;
    let has_score = numbers.len() % 2 == 1;
    let score = if has_score { numbers.pop() } else { None };
    if let Some(far) = numbers
        .iter()
        .find(|v| !(-TOLERANCE..=1.0 + TOLERANCE).contains(*v))
    {
        return Err(format!("{far} is not a share of the image, from 0 to 1"));
    }
    let (width, height) = (width as f64, height as f64);
    let points = match numbers[..] {
        [x, y, across, down] => vec![
            Point::new((x - across / 2.0) * width, (y - down / 2.0) * height),
            Point::new((x + across / 2.0) * width, (y + down / 2.0) * height),
        ],
        [_, _, _, _, _, _, ..] => {
            let (pairs, _) = numbers.as_chunks::<2>();
            pairs
                .iter()
                .map(|&[x, y]| Point::new(x * width, y * height))
                .collect()
        }
        _ => {
            return Err(format!(
                "{} numbers are neither a box nor an outline",
                numbers.len()
            ));
        }
    };
    let inside = |point: &Point| Point::new(point.x.clamp(0.0, width), point.y.clamp(0.0, height));
    let kept: Vec<Point> = points.iter().map(inside).collect();
    let moved = |(from, to): (&Point, &Point)| (from.x - to.x).abs().max((from.y - to.y).abs());
    let cut = points.iter().zip(&kept).map(moved).fold(0.0, f64::max);
    let shape = match kept[..] {
        [from, to] => Rectangle::new(from.x, from.y, to.x, to.y)
            .map(Shape::Rectangle)
            .map_err(|_| "the box has no area".to_owned())?,
        _ => Shape::Polygon(Polygon {
            outline: ring(kept)?,
            holes: Vec::new(),
        }),
    };
    let annotation = Annotation {
        score,
        ..Annotation::new(name, shape)
    };
    Ok((annotation, cut))
}

/// Writes the list of class names.
///
/// # Errors
/// The writer fails, or a name is empty or has a line end (`InvalidInput`).
pub fn write_names(writer: &mut impl Write, names: &[String]) -> io::Result<()> {
    for name in names {
        if name.trim() != name || name.is_empty() || name.contains(['\n', '\r']) {
            return Err(refused(format!(
                "\"{}\" does not fit on a line",
                shortened(name)
            )));
        }
        writeln!(writer, "{name}")?;
    }
    Ok(())
}

/// Writes the labels of one image. Numbers have all their digits, so that nothing is lost.
///
/// # Errors
/// The writer fails, or the image has no known size, or an object a class that is not among the
/// names or a shape that is neither a box nor a single outline without holes (`InvalidInput`).
pub fn write(writer: &mut impl Write, image: &AnnotatedImage, names: &[String]) -> io::Result<()> {
    let Some((height, width)) = image.size else {
        return Err(refused("YOLO needs the size of the image".into()));
    };
    let (width, height) = (width as f64, height as f64);
    for annotation in &image.annotations {
        let class = annotation.class.as_deref().unwrap_or("");
        let Some(class) = names.iter().position(|name| name == class) else {
            return Err(refused(format!(
                "the class \"{}\" has no number",
                shortened(class)
            )));
        };
        write!(writer, "{class}")?;
        match &annotation.shape {
            Shape::Rectangle(rectangle) => {
                let centre = rectangle.centre();
                let (x, y) = (centre.x / width, centre.y / height);
                let (across, down) = (rectangle.width() / width, rectangle.height() / height);
                write!(writer, " {x} {y} {across} {down}")?;
            }
            Shape::Polygon(polygon) if polygon.holes.is_empty() => {
                for point in &polygon.outline {
                    write!(writer, " {} {}", point.x / width, point.y / height)?;
                }
            }
            other => {
                let kind = other.kind();
                return Err(refused(format!(
                    "YOLO has boxes and outlines without holes, no {kind} of this kind"
                )));
            }
        }
        match annotation.score {
            Some(score) => writeln!(writer, " {score}")?,
            None => writeln!(writer)?,
        }
    }
    Ok(())
}
