//! COCO JSON: images, categories and annotations (boxes, polygons, run-length masks) in one file.
//!
//! A `bbox` is left, top, width and height, and all coordinates refer to pixel corners counted from
//! 0 (Lin et al., doi:10.1007/978-3-319-10602-1_48): they are taken as they are. The shape of an
//! annotation is its `segmentation`, which is polygons that together are one object, or runs
//! ([`RunLengths`], compressed or not); where it is empty or absent, the `bbox`, which is otherwise kept beside
//! it if it is another box than the smallest one around the shape. A raised `iscrowd`
//! and what stands in `attributes` become attributes. `area` is worked out again in writing;
//! keypoints, captions and licences are not read, nor are results files, which are arrays of annotations.
//!
//! Ids may be whole numbers or texts. Writing numbers all from 1. Annotations of an image or
//! category that the file does not have, and broken ones, are left out with a warning; an image or
//! category whose id occurs twice is an error.
//!
//! Files are read in batches; the memory is that of the annotations kept, not of the text.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;

use rayon::prelude::*;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::annotation::{
    AnnotatedImage, Annotation, Attribute, Reading, Shape, Warning, ring, shortened,
};
use super::geojson::{write_number, write_text};
use super::json_stream::{Elements, Text, problem};
use super::run_length::RunLengths;
use super::xml::refused;
use crate::error::{Error, Result};
use crate::geometry::{Point, Polygon, Rectangle};

/// The id of an image, category or annotation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(untagged)]
pub enum Id {
    /// As COCO has it.
    Number(i64),
    /// As some programs have it.
    Text(String),
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "\"{}\"", shortened(text)),
        }
    }
}

/// A category, which is a class.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Category {
    /// What annotations call it.
    pub id: Id,
    /// Its name.
    pub name: String,
}

/// A file of COCO.
#[derive(Debug, Clone, PartialEq)]
pub struct Coco {
    /// The images, with their annotations in the order of the file.
    pub images: Vec<AnnotatedImage>,
    /// The id of every image.
    pub image_ids: Vec<Id>,
    /// The categories, in the order of the file.
    pub categories: Vec<Category>,
}

impl Coco {
    /// A file of these images, all numbered from 1, with these classes.
    pub fn new(images: Vec<AnnotatedImage>, classes: &[String]) -> Self {
        let number = |index: usize| Id::Number(index as i64 + 1);
        let category = |(index, name): (usize, &String)| Category {
            id: number(index),
            name: name.clone(),
        };
        Self {
            image_ids: (0..images.len()).map(number).collect(),
            images,
            categories: classes.iter().enumerate().map(category).collect(),
        }
    }
}

const KEYS: [&str; 3] = ["images", "categories", "annotations"];
const IMAGES: usize = 0;
const CATEGORIES: usize = 1;
const ANNOTATIONS: usize = 2;

#[derive(Deserialize)]
struct RawImage {
    id: Id,
    file_name: String,
    #[serde(default)]
    width: Option<f64>,
    #[serde(default)]
    height: Option<f64>,
}

#[derive(Deserialize)]
struct RawAnnotation<'a> {
    #[serde(default)]
    id: Option<Id>,
    image_id: Id,
    category_id: Id,
    #[serde(default)]
    bbox: Option<Vec<f64>>,
    #[serde(borrow, default)]
    segmentation: Option<Segmentation<'a>>,
    #[serde(default)]
    iscrowd: Option<serde_json::Value>,
    #[serde(default)]
    score: Option<f64>,
    #[serde(default)]
    attributes: Option<serde_json::Map<String, serde_json::Value>>,
}

/// An annotation with the ids of its image, its category and its own.
struct Parsed {
    image: Id,
    category: Id,
    id: Option<Id>,
    annotation: Annotation,
}

/// What is wrong with an annotation, and the id of its image as far as it is known.
struct Broken {
    image: Option<Id>,
    problem: String,
}

/// An annotation where it stands in the file.
type Found = (String, Result<Parsed, Broken>);

/// Reads a file; `path` is for messages only. The reader needs no buffer.
///
/// # Errors
/// The reader fails, the file is empty, cut off or not JSON, it lacks images or categories, or an
/// id occurs twice.
pub fn read(path: &Path, reader: impl Read) -> Result<Reading<Coco>> {
    let mut coco = Coco::new(Vec::new(), &[]);
    let mut found = Vec::new();
    let mut elements = Elements::new(path, reader, &KEYS, false);
    let mut annotations = 0;
    while let Some(batch) = elements.batch()? {
        match batch.key {
            Some(IMAGES) => {
                for (text, line) in batch.elements() {
                    let image: RawImage = essential(path, "image", text, line)?;
                    coco.image_ids.push(image.id);
                    coco.images.push(AnnotatedImage {
                        file_name: image.file_name,
                        size: side(image.height).zip(side(image.width)),
                        annotations: Vec::new(),
                    });
                }
            }
            Some(CATEGORIES) => {
                for (text, line) in batch.elements() {
                    coco.categories
                        .push(essential(path, "category", text, line)?);
                }
            }
            Some(ANNOTATIONS) => {
                parse_all(&batch.elements(), &mut annotations, &mut found);
            }
            _ => {
                return Err(
                    Error::file(path, "this is an array, as results files are").with_help(
                        "Add the `images` and `categories` of the file whose images these results are of.",
                    ),
                );
            }
        }
    }
    if coco.images.is_empty() || coco.categories.is_empty() {
        return Err(Error::file(path, "it has no `images` or no `categories`")
            .with_help("Check that it is a COCO file of objects, not of captions or results."));
    }
    let ids = coco.categories.iter().map(|category| &category.id);
    check_unique(path, "categories", ids)?;
    check_unique(path, "images", coco.image_ids.iter())?;
    let warnings = distribute(&mut coco, found);
    Ok(Reading {
        content: coco,
        warnings,
    })
}

fn essential<'a, T: Deserialize<'a>>(
    path: &Path,
    what: &str,
    text: &'a [u8],
    line: u64,
) -> Result<T> {
    serde_json::from_slice(text).map_err(|error| {
        let place = format!("line {line}");
        Error::format(
            path,
            place,
            format!("the {what} is broken: {}", problem(&error)),
        )
        .with_help("Without it its annotations cannot be placed; export the file again.")
    })
}

/// A number of pixels; 0 and nonsense are unknown.
fn side(length: Option<f64>) -> Option<usize> {
    let whole =
        |length: &f64| length.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(length);
    length.filter(whole).map(|length| length as usize)
}

fn check_unique<'a>(path: &Path, what: &str, ids: impl Iterator<Item = &'a Id>) -> Result<()> {
    let mut known = BTreeSet::new();
    for id in ids {
        if !known.insert(id) {
            return Err(Error::file(path, format!("two {what} have the id {id}"))
                .with_help("Files that were joined need new ids; number one of them anew."));
        }
    }
    Ok(())
}

fn parse_all(elements: &[(&[u8], u64)], number: &mut u64, found: &mut Vec<Found>) {
    let parsed: Vec<_> = elements
        .par_iter()
        .with_min_len(32)
        .map(|(text, _)| parse(text).map_err(|problem| broken(text, problem)))
        .collect();
    for (parsed, (_, line)) in parsed.into_iter().zip(elements) {
        *number += 1;
        found.push((format!("annotation {number} (line {line})"), parsed));
    }
}

fn broken(text: &[u8], problem: String) -> Broken {
    #[derive(Deserialize)]
    struct Of {
        image_id: Id,
    }
    let of: Option<Of> = serde_json::from_slice(text).ok();
    Broken {
        image: of.map(|of| of.image_id),
        problem,
    }
}

fn parse(text: &[u8]) -> Result<Parsed, String> {
    let raw: RawAnnotation = serde_json::from_slice(text).map_err(|error| problem(&error))?;
    let given = bounding_box(raw.bbox.as_deref());
    let mut annotation = match raw.segmentation {
        Some(segmentation) if !segmentation.is_empty() => {
            let shape = segmentation.shape()?;
            let is_same = shape.bounds().map(|around| sides(&around).to_vec()) == raw.bbox;
            Annotation {
                bounding_box: given.ok().filter(|_| !is_same),
                ..Annotation::unclassified(shape)
            }
        }
        _ => Annotation::unclassified(Shape::Rectangle(given?)),
    };
    annotation.score = raw.score;
    let crowd = match raw.iscrowd {
        Some(serde_json::Value::Bool(crowd)) => crowd,
        Some(serde_json::Value::Number(crowd)) => crowd.as_f64() != Some(0.0),
        _ => false,
    };
    if crowd {
        let crowd = ("iscrowd".to_owned(), Attribute::Flag(true));
        annotation.attributes.push(crowd);
    }
    for (name, value) in raw.attributes.unwrap_or_default() {
        let value = match value {
            serde_json::Value::Bool(flag) => Attribute::Flag(flag),
            serde_json::Value::Number(number) => match number.as_f64() {
                Some(number) => Attribute::Number(number),
                None => continue,
            },
            serde_json::Value::String(text) => Attribute::Text(text),
            _ => continue,
        };
        annotation.attributes.push((name, value));
    }
    Ok(Parsed {
        image: raw.image_id,
        category: raw.category_id,
        id: raw.id,
        annotation,
    })
}

/// A box as COCO has it: left, top, width and height.
fn sides(rectangle: &Rectangle) -> [f64; 4] {
    let Rectangle { left, top, .. } = *rectangle;
    [left, top, rectangle.width(), rectangle.height()]
}

fn bounding_box(bbox: Option<&[f64]>) -> Result<Rectangle, String> {
    match bbox {
        Some(&[left, top, width, height]) => Rectangle::new(left, top, left + width, top + height)
            .map_err(|_| format!("the box {left} {top} {width} {height} has no area")),
        Some(other) => Err(format!("its `bbox` has {} numbers, not 4", other.len())),
        None => Err("it has neither `segmentation` nor `bbox`".into()),
    }
}

/// Gives the annotations to their images; tells of those that are left out.
fn distribute(coco: &mut Coco, found: Vec<Found>) -> Vec<Warning> {
    let ids = coco.image_ids.iter().enumerate();
    let images: BTreeMap<&Id, usize> = ids.map(|(index, id)| (id, index)).collect();
    let categories = coco.categories.iter();
    let names: BTreeMap<&Id, &str> = categories.map(|c| (&c.id, c.name.as_str())).collect();
    let mut known = BTreeSet::new();
    let mut warnings = Vec::new();
    for (place, parsed) in found {
        let mut left_out = |problem: String, image: Option<usize>| {
            warnings.push(Warning::left_out(&*place, problem, image));
        };
        let Parsed {
            image,
            category,
            id,
            mut annotation,
        } = match parsed {
            Ok(parsed) => parsed,
            Err(Broken { image, problem }) => {
                left_out(problem, image.and_then(|id| images.get(&id).copied()));
                continue;
            }
        };
        let Some(&index) = images.get(&image) else {
            left_out(format!("there is no image {image}"), None);
            continue;
        };
        let Some(&name) = names.get(&category) else {
            left_out(format!("there is no category {category}"), Some(index));
            continue;
        };
        let image = &mut coco.images[index];
        if let (Shape::Mask(mask), Some((height, width))) = (&annotation.shape, image.size)
            && mask.size() != (height, width)
        {
            let (mask_height, mask_width) = mask.size();
            let problem = format!(
                "its mask has {mask_width} × {mask_height} pixels, the image {width} × {height}"
            );
            left_out(problem, Some(index));
            continue;
        }
        if let Some(id) = id {
            annotation.id = match &id {
                Id::Number(number) => number.to_string(),
                Id::Text(text) => text.clone(),
            };
            if known.contains(&id) {
                let problem = format!("the id {id} occurs twice; both are kept");
                warnings.push(Warning::new(&*place, problem));
            }
            known.insert(id);
        }
        annotation.class = Some(name.to_owned());
        image.annotations.push(annotation);
    }
    warnings
}

/// Polygons as flat lists of x and y, or runs.
enum Segmentation<'a> {
    Polygons(Vec<Vec<f64>>),
    Runs {
        size: (usize, usize),
        counts: Counts<'a>,
    },
}

enum Counts<'a> {
    Text(Cow<'a, str>),
    Numbers(Vec<u32>),
}

impl Segmentation<'_> {
    /// Some programs write `[[]]` where there is none.
    fn is_empty(&self) -> bool {
        matches!(self, Self::Polygons(polygons) if polygons.iter().all(Vec::is_empty))
    }

    fn shape(self) -> Result<Shape, String> {
        match self {
            Self::Runs { size, counts } => match counts {
                Counts::Text(text) => RunLengths::parse(size, &text),
                Counts::Numbers(counts) => RunLengths::new(size, counts),
            }
            .map(Shape::Mask)
            .map_err(|error| error.to_string()),
            Self::Polygons(polygons) => {
                let mut polygons = polygons
                    .iter()
                    .filter(|flat| !flat.is_empty())
                    .map(|flat| polygon(flat))
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(if polygons.len() == 1 {
                    Shape::Polygon(polygons.remove(0))
                } else {
                    Shape::Polygons(polygons)
                })
            }
        }
    }
}

fn polygon(flat: &[f64]) -> Result<Polygon, String> {
    let (pairs, []) = flat.as_chunks::<2>() else {
        return Err(format!(
            "a polygon has {} numbers, which are not pairs",
            flat.len()
        ));
    };
    let outline = pairs.iter().map(|&[x, y]| Point { x, y }).collect();
    Ok(Polygon {
        outline: ring(outline)?,
        holes: Vec::new(),
    })
}

impl<'de: 'a, 'a> Deserialize<'de> for Segmentation<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Segmentation<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("polygons (lists of numbers) or runs with size and counts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut polygons = Vec::new();
                while let Some(polygon) = seq.next_element()? {
                    polygons.push(polygon);
                }
                Ok(Segmentation::Polygons(polygons))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut size, mut counts) = (None, None);
                while let Some(Text(key)) = map.next_key()? {
                    match &*key {
                        "size" => size = Some(map.next_value()?),
                        "counts" => counts = Some(map.next_value()?),
                        _ => {
                            map.next_value::<de::IgnoredAny>()?;
                        }
                    }
                }
                match (size, counts) {
                    (Some(size), Some(counts)) => Ok(Segmentation::Runs { size, counts }),
                    _ => Err(de::Error::custom("runs need `size` and `counts`")),
                }
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Counts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Counts<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("run lengths as a text or as numbers")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Counts::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Counts::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut counts = Vec::new();
                while let Some(count) = seq.next_element()? {
                    counts.push(count);
                }
                Ok(Counts::Numbers(counts))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// Writes a file. Ids are those of `coco`; annotations are numbered from 1.
///
/// # Errors
/// The writer fails, or an object has a class that is not among the categories or a shape that
/// COCO does not have: a point, an ellipse, or an outline with holes (`InvalidInput`).
pub fn write(writer: &mut impl Write, coco: &Coco) -> io::Result<()> {
    let categories = category_ids(coco);
    let mut text = b"{\"images\":[".to_vec();
    for (index, (image, id)) in coco.images.iter().zip(&coco.image_ids).enumerate() {
        text.extend_from_slice(if index > 0 {
            b",\n{\"id\":"
        } else {
            b"\n{\"id\":"
        });
        write_id(&mut text, id)?;
        text.extend_from_slice(b",\"file_name\":");
        write_text(&mut text, &image.file_name)?;
        if let Some((height, width)) = image.size {
            write!(text, ",\"width\":{width},\"height\":{height}")?;
        }
        text.push(b'}');
        pass(writer, &mut text)?;
    }
    text.extend_from_slice(b"\n],\"categories\":[");
    for (index, category) in coco.categories.iter().enumerate() {
        text.extend_from_slice(if index > 0 {
            b",\n{\"id\":"
        } else {
            b"\n{\"id\":"
        });
        write_id(&mut text, &category.id)?;
        text.extend_from_slice(b",\"name\":");
        write_text(&mut text, &category.name)?;
        text.push(b'}');
    }
    text.extend_from_slice(b"\n],\"annotations\":[");
    let mut number = 0;
    for (image, id) in coco.images.iter().zip(&coco.image_ids) {
        for annotation in &image.annotations {
            text.extend_from_slice(if number > 0 {
                b",\n{\"id\":"
            } else {
                b"\n{\"id\":"
            });
            number += 1;
            write!(text, "{number},")?;
            write_annotation(&mut text, annotation, id, &categories)?;
            write_extras(&mut text, annotation)?;
            text.push(b'}');
            pass(writer, &mut text)?;
        }
    }
    text.extend_from_slice(b"\n]}\n");
    pass(writer, &mut text)
}

fn category_ids(coco: &Coco) -> BTreeMap<&str, &Id> {
    let categories = coco.categories.iter().rev();
    categories
        .map(|category| (category.name.as_str(), &category.id))
        .collect()
}

fn pass(writer: &mut impl Write, text: &mut Vec<u8>) -> io::Result<()> {
    writer.write_all(text)?;
    text.clear();
    Ok(())
}

fn write_id(text: &mut Vec<u8>, id: &Id) -> io::Result<()> {
    match id {
        Id::Number(number) => write!(text, "{number}"),
        Id::Text(value) => write_text(text, value),
    }
}

/// Image, category and place, without brackets.
fn write_annotation(
    text: &mut Vec<u8>,
    annotation: &Annotation,
    image: &Id,
    categories: &BTreeMap<&str, &Id>,
) -> io::Result<()> {
    let class = annotation.class.as_deref().unwrap_or("");
    let Some(category) = categories.get(class) else {
        return Err(refused(format!(
            "the class \"{}\" is not a category",
            shortened(class)
        )));
    };
    text.extend_from_slice(b"\"image_id\":");
    write_id(text, image)?;
    text.extend_from_slice(b",\"category_id\":");
    write_id(text, category)?;
    let area = write_segmentation(text, &annotation.shape)?;
    let around = annotation.bounding_box.or(annotation.shape.bounds());
    let sides = around.map_or([0.0; 4], |around| sides(&around));
    text.extend_from_slice(b",\"bbox\":");
    write_numbers(text, &sides)?;
    text.extend_from_slice(b",\"area\":");
    write_number(text, area)
}

/// The shape but for a box, and its area.
fn write_segmentation(text: &mut Vec<u8>, shape: &Shape) -> io::Result<f64> {
    let parts = match shape {
        Shape::Rectangle(rectangle) => return Ok(rectangle.area()),
        Shape::Mask(mask) => {
            let (height, width) = mask.size();
            write!(
                text,
                ",\"segmentation\":{{\"size\":[{height},{width}],\"counts\":"
            )?;
            write_text(text, &mask.text())?;
            text.push(b'}');
            return Ok(mask.area() as f64);
        }
        Shape::Polygon(polygon) => std::slice::from_ref(polygon),
        Shape::Polygons(polygons) => polygons.as_slice(),
        other => {
            let kind = other.kind();
            return Err(refused(format!(
                "COCO has boxes, polygons and masks, no {kind}"
            )));
        }
    };
    text.extend_from_slice(b",\"segmentation\":[");
    for (index, part) in parts.iter().enumerate() {
        if !part.holes.is_empty() {
            return Err(refused(
                "polygons of COCO have no holes: write a mask".into(),
            ));
        }
        if index > 0 {
            text.push(b',');
        }
        let flat: Vec<f64> = part
            .outline
            .iter()
            .flat_map(|point| [point.x, point.y])
            .collect();
        write_numbers(text, &flat)?;
    }
    text.push(b']');
    Ok(parts.iter().map(Polygon::area).sum())
}

fn write_numbers(text: &mut Vec<u8>, numbers: &[f64]) -> io::Result<()> {
    text.push(b'[');
    for (index, &number) in numbers.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        write_number(text, number)?;
    }
    text.push(b']');
    Ok(())
}

fn write_extras(text: &mut Vec<u8>, annotation: &Annotation) -> io::Result<()> {
    write!(
        text,
        ",\"iscrowd\":{}",
        u8::from(annotation.flag("iscrowd"))
    )?;
    if let Some(score) = annotation.score {
        text.extend_from_slice(b",\"score\":");
        write_number(text, score)?;
    }
    let others = annotation
        .attributes
        .iter()
        .filter(|(name, _)| name != "iscrowd");
    for (index, (name, value)) in others.clone().enumerate() {
        text.extend_from_slice(if index > 0 {
            b","
        } else {
            b",\"attributes\":{"
        });
        write_text(text, name)?;
        text.push(b':');
        match value {
            Attribute::Flag(flag) => write!(text, "{flag}")?,
            Attribute::Number(number) => write_number(text, *number)?,
            Attribute::Text(value) => write_text(text, value)?,
        }
    }
    if others.count() > 0 {
        text.push(b'}');
    }
    Ok(())
}
