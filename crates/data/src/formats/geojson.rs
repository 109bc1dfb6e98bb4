//! GeoJSON (RFC 7946) as QuPath writes and reads it: objects of one image, or of a whole slide.
//!
//! Coordinates are pixels of the full resolution, referred to pixel corners, y downwards, as
//! everywhere in this crate: they are taken as they are. A third coordinate is ignored.
//!
//! The file is a `FeatureCollection`, an array of features, or one feature. Of a feature:
//!
//! | in the file | here |
//! |---|---|
//! | `Polygon`, `MultiPolygon`, `Point`, `MultiPoint` | [`Shape`]; with `isEllipse`, [`Shape::Ellipse`] |
//! | `nucleusGeometry` (of the feature or its properties) | [`Annotation::nucleus`] |
//! | `id` | [`Annotation::id`]; QuPath 0.2's `PathCellObject` and its like are an `objectType` |
//! | `classification` with `name` or `names` (joined with `: `) | [`Annotation::class`] |
//! | its `color` or `colorRGB`, otherwise the `color` of the object | [`Annotation::colour`] |
//! | `name` | [`Annotation::name`] |
//! | `measurements`, an object or an array of `name` and `value` | numbers; one called `score` is [`Annotation::score`] |
//! | `objectType` other than `annotation`, texts in `metadata` and properties | texts |
//! | `isLocked` and other flags | flags |
//!
//! Boxes are written as polygons and come back as such; ellipses as polygons with `isEllipse`.
//! Measurements that are not finite are left out, as JSON cannot hold them. A feature that is
//! broken, or a line, is left out with a warning; a broken file is an error.
//!
//! Reading and writing take memory for a few megabytes of features, whatever the size of the file,
//! and as many threads as rayon has; the order is kept.

mod geometry;

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;

use rayon::prelude::*;
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::annotation::{Annotation, Attribute, Reading, Shape, Warning};
use super::json_stream::{Batch, Elements, Text};
use super::json_text::Cursor;
use super::xml::refused;
use crate::error::Result;
use crate::geometry::{Point, Polygon, Rectangle};

use geometry::Geometry;

/// Reads features one after the other. A broken feature is left out and noted in
/// [`Reader::warnings`]; after an error there is nothing more.
pub struct Reader<R> {
    elements: Elements<R>,
    ahead: Option<Result<Option<Batch>>>,
    ready: std::vec::IntoIter<Annotation>,
    warnings: Vec<Warning>,
    features: u64,
    done: bool,
}

impl<R: Read + Send> Reader<R> {
    /// Starts to read; `path` is for messages only. The reader needs no buffer.
    pub fn new(path: &Path, reader: R) -> Self {
        Self {
            elements: Elements::new(path, reader, &["features"], true),
            ahead: None,
            ready: Vec::new().into_iter(),
            warnings: Vec::new(),
            features: 0,
            done: false,
        }
    }

    /// What had to be left out so far.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Reads the next batch; false at the end. While it is taken apart, the one after it is read.
    fn more(&mut self) -> Result<bool> {
        let batch = match self.ahead.take() {
            Some(batch) => batch,
            None => self.elements.batch(),
        };
        let Some(batch) = batch? else {
            return Ok(false);
        };
        let (ahead, parsed) = rayon::join(|| self.elements.batch(), || parse(&batch));
        self.ahead = Some(ahead);
        self.elements.reuse(batch);
        let mut ready = Vec::with_capacity(parsed.len());
        for (line, feature) in parsed {
            self.features += 1;
            match feature {
                Ok(annotation) => ready.push(annotation),
                Err(problem) => self.warnings.push(Warning::left_out(
                    format!("feature {} (line {line})", self.features),
                    problem,
                    Some(0),
                )),
            }
        }
        self.ready = ready.into_iter();
        Ok(true)
    }
}

fn parse(batch: &Batch) -> Vec<(u64, Result<Annotation, String>)> {
    let elements = batch.elements();
    let features = elements.par_iter().with_min_len(32);
    features
        .map_init(Vec::new, |places, (text, line)| {
            (*line, feature(text, places))
        })
        .collect()
}

impl<R: Read + Send> Iterator for Reader<R> {
    type Item = Result<Annotation>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(annotation) = self.ready.next() {
                return Some(Ok(annotation));
            }
            if self.done {
                return None;
            }
            match self.more() {
                Ok(true) => {}
                Ok(false) => self.done = true,
                Err(error) => {
                    self.done = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Reads a whole file; `path` is for messages only.
///
/// # Errors
/// The reader fails, or the file is empty, cut off, not UTF-8 or not JSON.
pub fn read(path: &Path, reader: impl Read + Send) -> Result<Reading<Vec<Annotation>>> {
    let mut features = Reader::new(path, reader);
    let content = features.by_ref().collect::<Result<Vec<_>>>()?;
    Ok(Reading {
        content,
        warnings: features.warnings,
    })
}

/// `places` is room for points that is used again.
fn feature(text: &[u8], places: &mut Vec<Point>) -> Result<Annotation, String> {
    let mut json = Cursor::new(text);
    if !json.pass(b'{') {
        return Err("it is not an object".into());
    }
    let (mut kind, mut id) = (None, None);
    let (mut geometry, mut nucleus) = (None, None);
    let mut properties = None;
    let mut first = true;
    while let Some(key) = json.next_key(first)? {
        first = false;
        match &*key {
            b"type" => kind = json.parse::<Option<Text>>()?,
            b"id" => id = json.parse::<Option<Scalar>>()?,
            b"geometry" => geometry = Geometry::read(&mut json, places)?,
            b"nucleusGeometry" => nucleus = Geometry::read(&mut json, places)?,
            b"properties" => properties = json.parse::<Option<Properties>>()?,
            _ => {
                json.parse::<IgnoredAny>()?;
            }
        }
    }
    if let Some(Text(kind)) = kind.filter(|Text(kind)| kind != "Feature") {
        return Err(format!("it is a `{kind}`, not a `Feature`"));
    }
    let mut annotation = properties.unwrap_or_default().0;
    annotation.shape = geometry.ok_or("it has no geometry")?.shape()?;
    let nucleus = nucleus.map(Geometry::shape).transpose();
    if let Some(nucleus) = nucleus.map_err(|problem| format!("its nucleus: {problem}"))? {
        annotation.nucleus = Some(Box::new(nucleus));
    }
    annotation.id = match id {
        Some(Scalar::Text(id)) => match OLD_TYPES.iter().find(|(old, _)| *old == id) {
            Some(&(_, kind)) => {
                if kind != DEFAULT_TYPE && annotation.attribute(OBJECT_TYPE).is_none() {
                    let kind = (OBJECT_TYPE.into(), Attribute::Text(kind.into()));
                    annotation.attributes.insert(0, kind);
                }
                String::new()
            }
            None => id.into_owned(),
        },
        Some(Scalar::Number(id)) => id.to_string(),
        _ => String::new(),
    };
    Ok(annotation)
}

const OBJECT_TYPE: &str = "objectType";
const DEFAULT_TYPE: &str = "annotation";
const OLD_TYPES: [(&str, &str); 5] = [
    ("PathAnnotationObject", DEFAULT_TYPE),
    ("PathDetectionObject", "detection"),
    ("PathCellObject", "cell"),
    ("PathTileObject", "tile"),
    ("TMACoreObject", "tma_core"),
];

/// A value that is not an array or object, which are ignored.
enum Scalar<'a> {
    Flag(bool),
    Number(f64),
    Text(Cow<'a, str>),
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Scalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Flag(value))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Number(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Number(value as f64))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Number(value as f64))
            }

            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Borrowed(value)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Owned(value.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar<'de>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }
        }

        deserializer.deserialize_any(Any)
    }
}

impl Scalar<'_> {
    fn attribute(self) -> Option<Attribute> {
        match self {
            Self::Flag(flag) => Some(Attribute::Flag(flag)),
            Self::Number(number) => Some(Attribute::Number(number)),
            Self::Text(text) => Some(Attribute::Text(text.into_owned())),
            Self::Other => None,
        }
    }

    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.into_owned()),
            _ => None,
        }
    }
}

/// Values by name, in their order: of an object, or of an array of `name` and `value`.
struct Named(Vec<(String, Attribute)>);

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;

        #[derive(Deserialize)]
        struct Entry<'a> {
            name: String,
            #[serde(borrow, default)]
            value: Option<Scalar<'a>>,
        }

        impl<'de> Visitor<'de> for Values {
            type Value = Named;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("values by name")
            }

            fn visit_unit<E>(self) -> Result<Named, E> {
                Ok(Named(Vec::new()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named, A::Error> {
                let mut all = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Scalar<'de>>()? {
                    all.extend(value.attribute().map(|value| (name, value)));
                }
                Ok(Named(all))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Named, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = seq.next_element::<Entry<'de>>()? {
                    let value = entry.value.and_then(Scalar::attribute);
                    all.extend(value.map(|value| (entry.name, value)));
                }
                Ok(Named(all))
            }
        }

        deserializer.deserialize_any(Values)
    }
}

/// `[red, green, blue]`, perhaps with more, or QuPath's packed number.
struct Colour(Option<[u8; 3]>);

impl<'de> Deserialize<'de> for Colour {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Channels;

        impl<'de> Visitor<'de> for Channels {
            type Value = Colour;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a colour")
            }

            fn visit_unit<E>(self) -> Result<Colour, E> {
                Ok(Colour(None))
            }

            fn visit_str<E>(self, _: &str) -> Result<Colour, E> {
                Ok(Colour(None))
            }

            fn visit_i64<E>(self, packed: i64) -> Result<Colour, E> {
                let [_, colour @ ..] = (packed as u32).to_be_bytes();
                Ok(Colour(Some(colour)))
            }

            fn visit_u64<E: de::Error>(self, packed: u64) -> Result<Colour, E> {
                self.visit_i64(packed as i64)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Colour, A::Error> {
                let mut colour = [0; 3];
                for channel in &mut colour {
                    match seq.next_element::<f64>()? {
                        // Rounds toward zero and keeps to 0 … 255.
                        Some(value) => *channel = value as u8,
                        None => return Ok(Colour(None)),
                    }
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Colour(Some(colour)))
            }
        }

        deserializer.deserialize_any(Channels)
    }
}

/// A class: its name, or an object with name and colour.
#[derive(Default)]
struct Classification {
    name: Option<String>,
    colour: Option<[u8; 3]>,
}

impl<'de> Deserialize<'de> for Classification {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Class;

        impl<'de> Visitor<'de> for Class {
            type Value = Classification;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a classification with a name")
            }

            fn visit_unit<E>(self) -> Result<Classification, E> {
                Ok(Classification::default())
            }

            fn visit_str<E>(self, name: &str) -> Result<Classification, E> {
                Ok(Classification {
                    name: Some(name.to_owned()),
                    colour: None,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Classification, A::Error> {
                let mut class = Classification::default();
                while let Some(Text(key)) = map.next_key()? {
                    match &*key {
                        "name" => class.name = map.next_value()?,
                        "names" => {
                            let names = map.next_value::<Option<Vec<String>>>()?;
                            class.name = class.name.or(names.map(|names| names.join(": ")));
                        }
                        "color" | "colorRGB" => {
                            class.colour = map.next_value::<Colour>()?.0.or(class.colour);
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(class)
            }
        }

        deserializer.deserialize_any(Class)
    }
}

/// All that is said about a feature but its place.
struct Properties(Annotation);

impl Default for Properties {
    fn default() -> Self {
        Self(Annotation::unclassified(Shape::Points(Vec::new())))
    }
}

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Properties;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("properties")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Properties, A::Error> {
                let mut properties = Properties::default();
                let into = &mut properties.0;
                let mut own_colour = None;
                while let Some(Text(key)) = map.next_key()? {
                    match &*key {
                        "classification" => {
                            let class: Classification = map.next_value()?;
                            (into.class, into.colour) = (class.name, class.colour);
                        }
                        "color" | "colorRGB" => own_colour = map.next_value::<Colour>()?.0,
                        "name" => {
                            into.name = map.next_value::<Scalar>()?.text().unwrap_or_default();
                        }
                        "measurements" => {
                            let Named(values) = map.next_value()?;
                            for (name, value) in values {
                                match value {
                                    Attribute::Number(score) if name == "score" => {
                                        into.score = Some(score);
                                    }
                                    value => into.attributes.push((name, value)),
                                }
                            }
                        }
                        "metadata" => into.attributes.extend(map.next_value::<Named>()?.0),
                        "nucleusGeometry" => {
                            let nucleus = map.next_value::<Option<Geometry>>()?;
                            let nucleus = nucleus.map(Geometry::shape).transpose();
                            into.nucleus = nucleus.map_err(de::Error::custom)?.map(Box::new);
                        }
                        _ => {
                            let key = if key == "object_type" {
                                OBJECT_TYPE.to_owned()
                            } else {
                                key.into_owned()
                            };
                            let value = map.next_value::<Scalar>()?.attribute();
                            let default = Attribute::Text(DEFAULT_TYPE.into());
                            let value = value.filter(|v| key != OBJECT_TYPE || *v != default);
                            into.attributes.extend(value.map(|value| (key, value)));
                        }
                    }
                }
                into.colour = into.colour.or(own_colour);
                Ok(properties)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// Features that are written at once.
const BATCH: usize = 4096;

/// Writes a `FeatureCollection` with one feature per line.
///
/// # Errors
/// The writer fails, or an object is a mask or has a coordinate that is not finite
/// (`InvalidInput`).
pub fn write<A: Borrow<Annotation> + Send + Sync>(
    writer: &mut impl Write,
    annotations: impl IntoIterator<Item = A>,
) -> io::Result<()> {
    writer.write_all(b"{\"type\":\"FeatureCollection\",\"features\":[")?;
    let mut annotations = annotations.into_iter();
    let mut first = true;
    loop {
        let batch: Vec<A> = annotations.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        let texts = batch.par_chunks(256).map(|some| {
            let mut text = Vec::with_capacity(512 * some.len());
            for annotation in some {
                text.extend_from_slice(b",\n");
                write_feature(&mut text, annotation.borrow())?;
            }
            io::Result::Ok(text)
        });
        for text in texts.collect::<io::Result<Vec<_>>>()? {
            writer.write_all(&text[usize::from(first)..])?;
            first = false;
        }
    }
    writer.write_all(b"\n]}\n")
}

fn write_feature(text: &mut Vec<u8>, annotation: &Annotation) -> io::Result<()> {
    text.extend_from_slice(b"{\"type\":\"Feature\"");
    if !annotation.id.is_empty() {
        text.extend_from_slice(b",\"id\":");
        write_text(text, &annotation.id)?;
    }
    text.extend_from_slice(b",\"geometry\":");
    write_shape(text, &annotation.shape)?;
    if let Some(nucleus) = &annotation.nucleus {
        text.extend_from_slice(b",\"nucleusGeometry\":");
        write_shape(text, nucleus)?;
    }
    text.extend_from_slice(b",\"properties\":{\"objectType\":");
    let object_type = match annotation.attribute(OBJECT_TYPE) {
        Some(Attribute::Text(kind)) => kind,
        _ if annotation.nucleus.is_some() => "cell",
        _ => DEFAULT_TYPE,
    };
    write_text(text, object_type)?;
    if !annotation.name.is_empty() {
        text.extend_from_slice(b",\"name\":");
        write_text(text, &annotation.name)?;
    }
    if let Some(class) = &annotation.class {
        text.extend_from_slice(b",\"classification\":{\"name\":");
        write_text(text, class)?;
        write_colour(text, annotation.colour)?;
        text.push(b'}');
    } else {
        write_colour(text, annotation.colour)?;
    }
    write_attributes(text, annotation)?;
    text.extend_from_slice(b"}}");
    Ok(())
}

fn write_colour(text: &mut Vec<u8>, colour: Option<[u8; 3]>) -> io::Result<()> {
    match colour {
        Some([red, green, blue]) => write!(text, ",\"color\":[{red},{green},{blue}]"),
        None => Ok(()),
    }
}

fn write_attributes(text: &mut Vec<u8>, annotation: &Annotation) -> io::Result<()> {
    let (mut measurements, mut metadata) = (Vec::new(), Vec::new());
    let mut measure = |name: &str, value: f64| {
        write_member(&mut measurements, name)?;
        write_number(&mut measurements, value)
    };
    if let Some(score) = annotation.score.filter(|score| score.is_finite()) {
        measure("score", score)?;
    }
    for (name, value) in &annotation.attributes {
        match value {
            Attribute::Number(value) if value.is_finite() => measure(name, *value)?,
            Attribute::Number(_) => {}
            Attribute::Text(_) if name == OBJECT_TYPE => {}
            Attribute::Text(value) => {
                write_member(&mut metadata, name)?;
                write_text(&mut metadata, value)?;
            }
            Attribute::Flag(value) => {
                text.push(b',');
                write_text(text, name)?;
                write!(text, ":{value}")?;
            }
        }
    }
    for (key, members) in [("measurements", measurements), ("metadata", metadata)] {
        if !members.is_empty() {
            write!(text, ",\"{key}\":{{")?;
            text.extend_from_slice(&members);
            text.push(b'}');
        }
    }
    Ok(())
}

fn write_member(members: &mut Vec<u8>, name: &str) -> io::Result<()> {
    if !members.is_empty() {
        members.push(b',');
    }
    write_text(members, name)?;
    members.push(b':');
    Ok(())
}

fn write_shape(text: &mut Vec<u8>, shape: &Shape) -> io::Result<()> {
    let mut geometry = |kind: &str| write!(text, "{{\"type\":\"{kind}\",\"coordinates\":");
    match shape {
        Shape::Point(point) => {
            geometry("Point")?;
            write_point(text, *point)?;
        }
        Shape::Points(points) => {
            geometry("MultiPoint")?;
            write_list(text, points, |text, &point| write_point(text, point))?;
        }
        Shape::Polygon(polygon) => {
            geometry("Polygon")?;
            write_polygon(text, polygon)?;
        }
        Shape::Polygons(polygons) => {
            geometry("MultiPolygon")?;
            write_list(text, polygons, write_polygon)?;
        }
        Shape::Rectangle(rectangle) => {
            geometry("Polygon")?;
            write_outline(text, &rectangle.corners())?;
        }
        Shape::Ellipse(bounds) => {
            geometry("Polygon")?;
            write_outline(text, &ellipse(bounds))?;
            text.extend_from_slice(b",\"isEllipse\":true");
        }
        Shape::Mask(_) => {
            return Err(refused(
                "GeoJSON has outlines, no masks: trace them first".into(),
            ));
        }
    }
    text.push(b'}');
    Ok(())
}

/// An ellipse whose bounds are exactly those given.
fn ellipse(bounds: &Rectangle) -> Vec<Point> {
    let outline = Shape::Ellipse(*bounds).polygons().unwrap_or_default();
    let mut outline: Vec<Point> = outline.into_iter().flat_map(|part| part.outline).collect();
    let (centre, quarter) = (bounds.centre(), outline.len() / 4);
    let extremes = [
        Point::new(bounds.right, centre.y),
        Point::new(centre.x, bounds.bottom),
        Point::new(bounds.left, centre.y),
        Point::new(centre.x, bounds.top),
    ];
    for (point, extreme) in outline.iter_mut().step_by(quarter.max(1)).zip(extremes) {
        *point = extreme;
    }
    outline
}

fn write_outline(text: &mut Vec<u8>, outline: &[Point]) -> io::Result<()> {
    text.push(b'[');
    write_ring(text, outline)?;
    text.push(b']');
    Ok(())
}

fn write_polygon(text: &mut Vec<u8>, polygon: &Polygon) -> io::Result<()> {
    text.push(b'[');
    for (index, ring) in polygon.rings().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        write_ring(text, ring)?;
    }
    text.push(b']');
    Ok(())
}

/// A ring, with its first point again at the end.
fn write_ring(text: &mut Vec<u8>, ring: &[Point]) -> io::Result<()> {
    write_list(text, ring, |text, &point| write_point(text, point))?;
    if let Some(first) = ring.first() {
        text.pop();
        text.push(b',');
        write_point(text, *first)?;
        text.push(b']');
    }
    Ok(())
}

fn write_list<T>(
    text: &mut Vec<u8>,
    items: &[T],
    write: impl Fn(&mut Vec<u8>, &T) -> io::Result<()>,
) -> io::Result<()> {
    text.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        write(text, item)?;
    }
    text.push(b']');
    Ok(())
}

fn write_point(text: &mut Vec<u8>, point: Point) -> io::Result<()> {
    text.push(b'[');
    write_number(text, point.x)?;
    text.push(b',');
    write_number(text, point.y)?;
    text.push(b']');
    Ok(())
}

/// Whole numbers have no `.0`, as others write them too.
pub(super) fn write_number(text: &mut Vec<u8>, number: f64) -> io::Result<()> {
    /// Whole numbers up to here are exact.
    const EXACT: f64 = 9e15;
    if !number.is_finite() {
        return Err(refused(format!("{number} cannot be written as JSON")));
    }
    if number.fract() == 0.0 && number.abs() < EXACT {
        serde_json::to_writer(text, &(number as i64)).map_err(Into::into)
    } else {
        serde_json::to_writer(text, &number).map_err(Into::into)
    }
}

pub(super) fn write_text(text: &mut Vec<u8>, value: &str) -> io::Result<()> {
    serde_json::to_writer(text, value).map_err(Into::into)
}
