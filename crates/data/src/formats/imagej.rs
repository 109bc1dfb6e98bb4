//! ImageJ regions: `.roi` files and zip files of them (`RoiSet.zip`), as ImageJ 1.54 has them.
//!
//! Whole numbers are pixels counted from 0, and outlines run along pixel corners, so areas are taken
//! as they are; a *point* with whole coordinates stands for the centre of its pixel, so it is moved
//! by half a pixel, one with fractions (`SUB_PIXEL_RESOLUTION`) is taken as it is.
//! Corners below −5,000 are taken as numbers above 32,767 that did not fit into 16 bits.
//!
//! Rectangles (rounded corners are ignored), ovals, polygons, freehand and traced outlines, points
//! and composite shapes are read; the latter are polygons, with holes where their rings
//! lie in each other and curves in steps of a sixteenth. Lines, angles, texts and pictures have no
//! area and are refused, in a set with a warning.
//!
//! A region has no class in ImageJ: it is kept as the property `class`, which ImageJ shows among the
//! region's properties. The colour is that of the stroke, otherwise of the filling. Numbers:
//! `position`, `channel`, `slice`, `frame` and `group`, if they are not 0.
//!
//! Fractions are kept with 32 bits, so that coordinates beyond 16 million pixels are rounded.

use std::io::{self, Cursor, Read, Seek, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::annotation::{Annotation, Attribute, Reading, Shape, Warning, ring, shortened};
use super::rings::nest;
use super::xml::refused;
use crate::error::{Error, Result};
use crate::geometry::{Point, Polygon, Rectangle};

const MAGIC: &[u8] = b"Iout";
/// Version that is written, of ImageJ 1.53.
const VERSION: u16 = 228;
/// Corners below this have lost their 17th bit.
const LOWEST: f64 = -5000.0;
const SUB_PIXEL: u16 = 128;
const HEADER: usize = 64;
/// What all regions of a set may have together when unpacked, per byte of the zip file. Regions
/// shrink to a tenth; zip bombs have a thousand and more.
const MOST_EXPANSION: u64 = 200;

const TYPE_POLYGON: u8 = 0;
const TYPE_RECTANGLE: u8 = 1;
const TYPE_OVAL: u8 = 2;
const TYPE_FREEHAND: u8 = 7;
const TYPE_TRACED: u8 = 8;
const TYPE_POINT: u8 = 10;
const SUBTYPE_TEXT: u16 = 1;
const SUBTYPE_IMAGE: u16 = 4;

/// Numbers with their places: in the header (`true`) or in the second header.
const POSITIONS: [(&str, bool, usize); 4] = [
    ("position", true, 56),
    ("channel", false, 4),
    ("slice", false, 8),
    ("frame", false, 12),
];
const GROUP: &str = "group";

/// Reads a `.roi` file or a zip file of them, as its first bytes say; `path` is for messages only.
///
/// # Errors
/// The file is neither, is damaged, or unpacks to an absurd size; or it is a single region that
/// cannot be a label.
pub fn read(path: &Path, bytes: &[u8]) -> Result<Reading<Vec<Annotation>>> {
    if bytes.starts_with(MAGIC) {
        let annotation = region(bytes).map_err(|problem| {
            Error::file(path, problem).with_help("Save the region again with ImageJ.")
        })?;
        return Ok(Reading {
            content: vec![annotation],
            warnings: Vec::new(),
        });
    }
    if !bytes.starts_with(b"PK") {
        return Err(Error::file(
            path,
            "this is neither a region of ImageJ nor a zip file of them",
        )
        .with_help("Save the regions with ROI Manager > More > Save."));
    }
    let broken = |error: zip::result::ZipError| {
        Error::file(path, format!("the zip file is damaged: {error}"))
            .with_help("It was probably not copied to the end; copy it again.")
    };
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let mut budget = bytes.len() as u64 * MOST_EXPANSION;
    let (mut content, mut warnings) = (Vec::new(), Vec::new());
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).map_err(broken)?;
        let name = file.name().map_err(broken)?.into_owned();
        let Some(stem) = name
            .strip_suffix(".roi")
            .or_else(|| name.strip_suffix(".ROI"))
        else {
            continue;
        };
        let mut unpacked = Vec::new();
        let read = file.by_ref().take(budget + 1).read_to_end(&mut unpacked);
        let place = format!("region `{}`", shortened(&name));
        if unpacked.len() as u64 > budget {
            return Err(
                Error::format(path, place, "the zip file unpacks to an absurd size")
                    .with_help("It is not a set of regions that ImageJ saved."),
            );
        }
        budget -= unpacked.len() as u64;
        match read
            .map_err(|error| error.to_string())
            .and_then(|_| region(&unpacked))
        {
            Ok(mut annotation) => {
                if annotation.name.is_empty() {
                    stem.clone_into(&mut annotation.name);
                }
                content.push(annotation);
            }
            Err(problem) => warnings.push(Warning::left_out(place, problem, Some(0))),
        }
    }
    Ok(Reading { content, warnings })
}

/// The bytes of a region, read by their places.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn array<const N: usize>(self, at: usize) -> Result<[u8; N], String> {
        let bytes = self.0.get(at..).and_then(|rest| rest.first_chunk());
        bytes
            .copied()
            .ok_or_else(|| format!("it is cut off: byte {at} is missing"))
    }

    fn byte(self, at: usize) -> Result<u8, String> {
        self.array(at).map(|[byte]| byte)
    }

    fn u16(self, at: usize) -> Result<u16, String> {
        self.array(at).map(u16::from_be_bytes)
    }

    fn i32(self, at: usize) -> Result<i32, String> {
        self.array(at).map(i32::from_be_bytes)
    }

    /// A corner of 16 bits.
    fn corner(self, at: usize) -> Result<f64, String> {
        let corner = f64::from(self.u16(at)?.cast_signed());
        Ok(if corner < LOWEST {
            corner + 65_536.0
        } else {
            corner
        })
    }

    fn float(self, at: usize) -> Result<f64, String> {
        let value = self.array(at).map(f32::from_be_bytes)?;
        if value.is_finite() {
            Ok(f64::from(value))
        } else {
            Err(format!("{value} at byte {at} is not a number"))
        }
    }

    /// Checks that there are this many bytes from `at` before anything is allocated for them.
    fn holds(self, at: usize, count: usize, size: usize) -> Result<(), String> {
        let end = count
            .checked_mul(size)
            .and_then(|bytes| bytes.checked_add(at));
        if end.is_some_and(|end| end <= self.0.len()) {
            Ok(())
        } else {
            Err(format!("it is cut off: it should have {count} coordinates"))
        }
    }

    /// UTF-16 whose place and length in characters are given at two places.
    fn text(self, place: usize, length: usize) -> Result<String, String> {
        let (from, length) = (self.i32(place)?, self.i32(length)?);
        if from <= 0 || length <= 0 {
            return Ok(String::new());
        }
        let (from, length) = (from as usize, length as usize);
        self.holds(from, length, 2)?;
        let (pairs, _) = self.0[from..from + 2 * length].as_chunks::<2>();
        let units = pairs.iter().map(|&pair| u16::from_be_bytes(pair));
        Ok(char::decode_utf16(units)
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect())
    }
}

fn region(bytes: &[u8]) -> Result<Annotation, String> {
    if !bytes.starts_with(MAGIC) {
        return Err("it is not a region of ImageJ".into());
    }
    let data = Bytes(bytes);
    let mut annotation = Annotation::unclassified(shape(data)?);
    for at in [40, 44] {
        let [alpha, colour @ ..] = data.array::<4>(at)?;
        if annotation.colour.is_none() && (alpha, colour) != (0, [0; 3]) {
            annotation.colour = Some(colour);
        }
    }
    let second = usize::try_from(data.i32(60)?).unwrap_or(0);
    // Old versions have a shorter second header, or none.
    let has = |length: usize| second > 0 && second.saturating_add(length) <= bytes.len();
    for (name, first, at) in POSITIONS {
        let number = match first {
            true => data.i32(at)?,
            false if has(at + 4) => data.i32(second + at)?,
            false => 0,
        };
        if number > 0 {
            let number = Attribute::Number(f64::from(number));
            annotation.attributes.push((name.into(), number));
        }
    }
    if has(24) {
        annotation.name = data.text(second + 16, second + 20)?;
    }
    if has(31) {
        let group = data.byte(second + 30)?;
        if group > 0 {
            let group = Attribute::Number(f64::from(group));
            annotation.attributes.push((GROUP.into(), group));
        }
    }
    if has(48) {
        let properties = data.text(second + 40, second + 44)?;
        let class = properties
            .lines()
            .find_map(|line| line.strip_prefix("class:"));
        annotation.class = class.map(|class| plain(class.trim_start()));
    }
    Ok(annotation)
}

fn shape(data: Bytes<'_>) -> Result<Shape, String> {
    let version = data.u16(4)?;
    let kind = data.byte(6)?;
    // Reading the last field checks that the header is whole.
    data.i32(60)?;
    let subtype = data.u16(48)?;
    if subtype == SUBTYPE_TEXT || subtype == SUBTYPE_IMAGE {
        return Err("a text or picture is not a label".into());
    }
    let sub_pixel = version >= 222 && data.u16(50)? & SUB_PIXEL != 0;
    let composite = data.i32(36)?;
    match kind {
        TYPE_RECTANGLE if composite > 0 => composite_shape(data, composite as usize),
        TYPE_RECTANGLE | TYPE_OVAL => {
            let bounds = bounds(data, sub_pixel && version >= 223)?;
            Ok(if kind == TYPE_OVAL {
                Shape::Ellipse(bounds)
            } else {
                Shape::Rectangle(bounds)
            })
        }
        TYPE_POLYGON | TYPE_FREEHAND | TYPE_TRACED => {
            let points = coordinates(data, sub_pixel)?;
            Ok(Shape::Polygon(Polygon {
                outline: ring(points)?,
                holes: Vec::new(),
            }))
        }
        TYPE_POINT => {
            let mut points = coordinates(data, sub_pixel)?;
            if !sub_pixel {
                for point in &mut points {
                    point.x += 0.5;
                    point.y += 0.5;
                }
            }
            match points[..] {
                [] => Err("it has no points".into()),
                [point] => Ok(Shape::Point(point)),
                _ => Ok(Shape::Points(points)),
            }
        }
        3..=5 | 9 => Err("lines and angles have no area and cannot be labels".into()),
        other => Err(format!("its type {other} is not known")),
    }
}

fn bounds(data: Bytes<'_>, sub_pixel: bool) -> Result<Rectangle, String> {
    let (left, top, mut right, mut bottom);
    if sub_pixel {
        (left, top) = (data.float(18)?, data.float(22)?);
        (right, bottom) = (left + data.float(26)?, top + data.float(30)?);
    } else {
        (top, left) = (data.corner(8)?, data.corner(10)?);
        (bottom, right) = (data.corner(12)?, data.corner(14)?);
        // The far corner may have passed 32,767 alone.
        for (near, far) in [(left, &mut right), (top, &mut bottom)] {
            if *far <= near && *far <= 0.0 && near > 0.0 {
                *far += 65_536.0;
            }
        }
    }
    Rectangle::new(left, top, right, bottom).map_err(|_| "it has no area".to_owned())
}

fn coordinates(data: Bytes<'_>, sub_pixel: bool) -> Result<Vec<Point>, String> {
    let count = match data.u16(16)? {
        0 => usize::try_from(data.i32(18)?).unwrap_or(0),
        count => usize::from(count),
    };
    let size = if sub_pixel { 12 } else { 4 };
    data.holds(HEADER, count, size)?;
    let (top, left) = (data.corner(8)?, data.corner(10)?);
    (0..count)
        .map(|index| {
            Ok(if sub_pixel {
                let x = HEADER + 4 * count + 4 * index;
                Point::new(data.float(x)?, data.float(x + 4 * count)?)
            } else {
                let x = HEADER + 2 * index;
                let (x, y) = (data.u16(x)?, data.u16(x + 2 * count)?);
                Point::new(left + f64::from(x), top + f64::from(y))
            })
        })
        .collect()
}

/// Steps in which curves of composite shapes are followed.
const CURVE_STEPS: u32 = 16;

/// A path of moves (0), lines (1), quadratic (2) and cubic (3) curves, and closings (4).
fn composite_shape(data: Bytes<'_>, count: usize) -> Result<Shape, String> {
    data.holds(HEADER, count, 4)?;
    let mut rings: Vec<Vec<Point>> = Vec::new();
    let mut at = HEADER;
    let end = HEADER + 4 * count;
    let place = |at: usize| Ok::<_, String>(Point::new(data.float(at)?, data.float(at + 4)?));
    while at < end {
        let kind = data.float(at)?;
        at += 4;
        if kind == 0.0 {
            rings.push(vec![place(at)?]);
            at += 8;
            continue;
        }
        if kind == 4.0 {
            continue;
        }
        let points = match kind {
            1.0 => 1,
            2.0 => 2,
            3.0 => 3,
            _ => return Err(format!("its path has a part of unknown kind {kind}")),
        };
        let Some(from) = rings.last().and_then(|ring| ring.last()).copied() else {
            return Err("its path does not start with a move".into());
        };
        let mut controls = [from; 4];
        for control in &mut controls[1..=points] {
            *control = place(at)?;
            at += 8;
        }
        if let Some(ring) = rings.last_mut() {
            let steps = if points == 1 { 1 } else { CURVE_STEPS };
            let step = |step| bezier(&controls[..=points], f64::from(step) / f64::from(steps));
            ring.extend((1..=steps).map(step));
        }
    }
    let closed: Vec<Vec<Point>> = rings
        .into_iter()
        .filter_map(|points| ring(points).ok())
        .collect();
    let mut polygons = nest(closed);
    match polygons.len() {
        0 => Err("it has no area".into()),
        1 => Ok(Shape::Polygon(polygons.remove(0))),
        _ => Ok(Shape::Polygons(polygons)),
    }
}

/// A place on a curve (de Casteljau's algorithm).
fn bezier(controls: &[Point], share: f64) -> Point {
    let mut points = [Point::default(); 4];
    points[..controls.len()].copy_from_slice(controls);
    let between = |from: f64, to: f64| from * (1.0 - share) + to * share;
    for rest in (1..controls.len()).rev() {
        for index in 0..rest {
            let (from, to) = (points[index], points[index + 1]);
            points[index] = Point::new(between(from.x, to.x), between(from.y, to.y));
        }
    }
    points[0]
}

/// Writes a set: a zip file with a region per object, in the way of ImageJ's ROI Manager. The files
/// are named by their number, so that the order is kept, and the object's name.
///
/// # Errors
/// The writer fails, or an object is a mask or has a place that is not finite (`InvalidInput`).
pub fn write<'a>(
    writer: impl Write + Seek,
    annotations: impl IntoIterator<Item = &'a Annotation>,
) -> io::Result<()> {
    let mut archive = ZipWriter::new(writer);
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (index, annotation) in annotations.into_iter().enumerate() {
        let harmless = |c: char| {
            if c.is_alphanumeric() || "-_ ".contains(c) {
                c
            } else {
                '_'
            }
        };
        let name: String = annotation.name.chars().map(harmless).take(100).collect();
        let separator = if name.is_empty() { "" } else { "-" };
        archive.start_file(format!("{:06}{separator}{name}.roi", index + 1), options)?;
        archive.write_all(&encode(annotation)?)?;
    }
    archive.finish()?;
    Ok(())
}

/// The parts of a region that depend on its shape.
struct Encoded {
    kind: u8,
    bounds: [f64; 4],
    count: usize,
    /// Bytes 18 to 33 of the header.
    place: [u8; 16],
    composite: usize,
    sub_pixel: bool,
    coordinates: Vec<u8>,
}

fn encode(annotation: &Annotation) -> io::Result<Vec<u8>> {
    let encoded = encode_shape(&annotation.shape)?;
    let number = |name: &str| match annotation.attribute(name) {
        Some(Attribute::Number(number)) => *number as i32,
        _ => 0,
    };
    let mut header = [0_u8; HEADER];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, MAGIC);
    put(4, &VERSION.to_be_bytes());
    put(6, &[encoded.kind]);
    let [left, top, right, bottom] = encoded.bounds;
    for (at, corner) in [(8, top), (10, left), (12, bottom), (14, right)] {
        // What does not fit is said by the fractions, which are then written too.
        put(at, &(corner as i16).to_be_bytes());
    }
    put(18, &encoded.place);
    match u16::try_from(encoded.count) {
        Ok(count) => put(16, &count.to_be_bytes()),
        Err(_) => put(18, &(encoded.count as u32).to_be_bytes()),
    }
    put(36, &(encoded.composite as u32).to_be_bytes());
    if let Some([red, green, blue]) = annotation.colour {
        put(40, &[255, red, green, blue]);
    }
    put(
        50,
        &if encoded.sub_pixel { SUB_PIXEL } else { 0 }.to_be_bytes(),
    );
    put(56, &number("position").to_be_bytes());
    let second = HEADER + encoded.coordinates.len();
    put(60, &(second as u32).to_be_bytes());

    let name: Vec<u16> = annotation.name.encode_utf16().collect();
    let class = annotation.class.as_ref();
    let properties = class
        .map(|class| format!("class: {}\n", escaped(class)))
        .unwrap_or_default();
    let properties: Vec<u16> = properties.encode_utf16().collect();
    let mut tail = [0_u8; HEADER];
    let mut put = |at: usize, number: usize| {
        tail[at..at + 4].copy_from_slice(&(number as u32).to_be_bytes());
    };
    for (name, first, at) in POSITIONS {
        if !first {
            put(at, number(name).max(0) as usize);
        }
    }
    put(16, second + HEADER);
    put(20, name.len());
    put(40, second + HEADER + 2 * name.len());
    put(44, properties.len());
    tail[30] = u8::try_from(number(GROUP)).unwrap_or(0);

    let mut bytes = header.to_vec();
    bytes.extend(encoded.coordinates);
    bytes.extend(tail);
    bytes.extend(
        name.into_iter()
            .chain(properties)
            .flat_map(u16::to_be_bytes),
    );
    Ok(bytes)
}

fn encode_shape(shape: &Shape) -> io::Result<Encoded> {
    match shape {
        Shape::Rectangle(bounds) => encode_bounds(TYPE_RECTANGLE, bounds),
        Shape::Ellipse(bounds) => encode_bounds(TYPE_OVAL, bounds),
        Shape::Point(point) => encode_points(TYPE_POINT, &[*point]),
        Shape::Points(points) => encode_points(TYPE_POINT, points),
        Shape::Polygon(polygon) if polygon.holes.is_empty() => {
            encode_points(TYPE_POLYGON, &polygon.outline)
        }
        Shape::Polygon(polygon) => encode_rings(std::slice::from_ref(polygon)),
        Shape::Polygons(polygons) => encode_rings(polygons),
        Shape::Mask(_) => Err(refused(
            "ImageJ has outlines, no masks: trace them first".into(),
        )),
    }
}

/// Fits into 16 bits and is not taken for a number that did not.
fn is_short(value: f64) -> bool {
    value.fract() == 0.0 && (LOWEST..=f64::from(i16::MAX)).contains(&value)
}

fn float(value: f64) -> io::Result<[u8; 4]> {
    let narrow = value as f32;
    if narrow.is_finite() {
        Ok(narrow.to_be_bytes())
    } else {
        Err(refused(format!(
            "{value} is not a place that ImageJ can hold"
        )))
    }
}

fn encode_bounds(kind: u8, bounds: &Rectangle) -> io::Result<Encoded> {
    let sides = [bounds.left, bounds.top, bounds.right, bounds.bottom];
    let sub_pixel = !sides.iter().all(|&side| is_short(side));
    let mut place = [0; 16];
    if sub_pixel {
        let values = [bounds.left, bounds.top, bounds.width(), bounds.height()];
        for (bytes, value) in place.as_chunks_mut::<4>().0.iter_mut().zip(values) {
            *bytes = float(value)?;
        }
    }
    Ok(Encoded {
        kind,
        bounds: sides,
        count: 0,
        place,
        composite: 0,
        sub_pixel,
        coordinates: Vec::new(),
    })
}

/// Left, top, right and bottom of points.
fn extent(points: &[Point]) -> [f64; 4] {
    points.iter().fold(
        [
            f64::INFINITY,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NEG_INFINITY,
        ],
        |[left, top, right, bottom], &Point { x, y }| {
            [left.min(x), top.min(y), right.max(x), bottom.max(y)]
        },
    )
}

fn encode_points(kind: u8, points: &[Point]) -> io::Result<Encoded> {
    let centre = if kind == TYPE_POINT { 0.5 } else { 0.0 };
    let whole = |point: &Point| is_short(point.x - centre) && is_short(point.y - centre);
    let sub_pixel = !points.iter().all(whole);
    let shift = if sub_pixel { 0.0 } else { centre };
    let moved: Vec<Point> = points
        .iter()
        .map(|point| Point::new(point.x - shift, point.y - shift))
        .collect();
    let bounds = extent(&moved).map(f64::floor);
    let mut coordinates = Vec::with_capacity(12 * points.len());
    for (axis, from) in [(0, bounds[0]), (1, bounds[1])] {
        for point in &moved {
            let value = if axis == 0 { point.x } else { point.y };
            // From −5,000 to 32,767 the difference fits; otherwise the fractions count.
            coordinates.extend(((value - from) as u16).to_be_bytes());
        }
    }
    if sub_pixel {
        for axis in 0..2 {
            for point in &moved {
                coordinates.extend(float(if axis == 0 { point.x } else { point.y })?);
            }
        }
    }
    Ok(Encoded {
        kind,
        bounds,
        count: points.len(),
        place: [0; 16],
        composite: 0,
        sub_pixel,
        coordinates,
    })
}

fn encode_rings(polygons: &[Polygon]) -> io::Result<Encoded> {
    let mut coordinates = Vec::new();
    let rings = || polygons.iter().flat_map(Polygon::rings);
    for ring in rings() {
        for (index, point) in ring.iter().enumerate() {
            coordinates.extend(float(if index == 0 { 0.0 } else { 1.0 })?);
            coordinates.extend(float(point.x)?);
            coordinates.extend(float(point.y)?);
        }
        coordinates.extend(float(4.0)?);
    }
    let all: Vec<Point> = rings().flatten().copied().collect();
    Ok(Encoded {
        kind: TYPE_RECTANGLE,
        bounds: extent(&all),
        count: 0,
        place: [0; 16],
        composite: coordinates.len() / 4,
        sub_pixel: false,
        coordinates,
    })
}

/// A value for ImageJ's properties, which are read as Java reads them.
fn escaped(value: &str) -> String {
    let mut text = String::new();
    for unit in value.encode_utf16() {
        match char::from_u32(u32::from(unit)) {
            Some('\\') => text.push_str("\\\\"),
            Some(character @ ' '..='~') => text.push(character),
            _ => text.push_str(&format!("\\u{unit:04x}")),
        }
    }
    text
}

fn plain(escaped: &str) -> String {
    let mut units: Vec<u16> = Vec::new();
    let mut rest = escaped.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            units.extend(character.encode_utf16(&mut [0; 2]).iter());
            continue;
        }
        let after = rest.as_str();
        let code = after.strip_prefix('u').and_then(|code| code.get(..4));
        match code.and_then(|code| u16::from_str_radix(code, 16).ok()) {
            Some(unit) => {
                units.push(unit);
                rest = after[5..].chars();
            }
            None => units.extend(
                rest.next()
                    .map(|c| c.encode_utf16(&mut [0; 2]).to_vec())
                    .into_iter()
                    .flatten(),
            ),
        }
    }
    String::from_utf16_lossy(&units)
}
