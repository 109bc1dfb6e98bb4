//! Geometries of features, the bulk of a file.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny};
use serde_json::value::RawValue;

use super::super::annotation::{Shape, ring};
use super::super::json_text::Cursor;
use crate::geometry::{Point, Polygon};

/// A geometry as it is in the file.
#[derive(Default)]
pub(super) struct Geometry {
    kind: GeometryKind,
    coordinates: Nested,
    is_ellipse: bool,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
enum GeometryKind {
    Point,
    MultiPoint,
    Polygon,
    MultiPolygon,
    LineString,
    MultiLineString,
    GeometryCollection,
    #[default]
    #[serde(other)]
    Unknown,
}

impl Geometry {
    /// The next value, `None` if it is null. `places` is room for points that is used again.
    pub(super) fn read(
        json: &mut Cursor<'_>,
        places: &mut Vec<Point>,
    ) -> Result<Option<Self>, String> {
        if !json.pass(b'{') {
            return match json.parse::<Option<IgnoredAny>>()? {
                None => Ok(None),
                Some(_) => Err("a geometry is not an object".into()),
            };
        }
        let mut geometry = Self::default();
        let mut first = true;
        while let Some(key) = json.next_key(first)? {
            first = false;
            match &*key {
                b"type" => geometry.kind = json.parse()?,
                b"coordinates" => geometry.coordinates = Coordinates { json, places }.value()?,
                b"isEllipse" => geometry.is_ellipse = json.parse()?,
                _ => {
                    json.parse::<IgnoredAny>()?;
                }
            }
        }
        Ok(Some(geometry))
    }

    pub(super) fn shape(self) -> Result<Shape, String> {
        let shape = match (self.kind, self.coordinates) {
            (GeometryKind::Polygon, Nested::Rings(rings)) => Shape::Polygon(polygon(rings)?),
            (GeometryKind::MultiPolygon, Nested::Parts(parts)) => {
                let parts = parts.into_iter().map(polygon);
                Shape::Polygons(parts.collect::<Result<_, _>>()?)
            }
            (GeometryKind::Point, Nested::Point(point)) => Shape::Point(point),
            (GeometryKind::MultiPoint, Nested::Points(points)) => Shape::Points(points),
            (GeometryKind::LineString | GeometryKind::MultiLineString, _) => {
                return Err("lines have no area and cannot be labels".into());
            }
            (GeometryKind::GeometryCollection, _) => {
                return Err("collections of geometries are not read".into());
            }
            (GeometryKind::Unknown, _) => return Err("its kind of geometry is not known".into()),
            (_, Nested::Empty) => return Err("its geometry has no coordinates".into()),
            _ => return Err("its coordinates are not nested as its kind of geometry says".into()),
        };
        if self.is_ellipse
            && let Some(bounds) = shape.bounds()
        {
            return Ok(Shape::Ellipse(bounds));
        }
        Ok(shape)
    }
}

impl<'de> Deserialize<'de> for Geometry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        Self::read(&mut Cursor::new(text.as_bytes()), &mut Vec::new())
            .map(Option::unwrap_or_default)
            .map_err(D::Error::custom)
    }
}

fn polygon(rings: Vec<Vec<Point>>) -> Result<Polygon, String> {
    let mut rings = rings.into_iter().map(ring);
    let outline = rings
        .next()
        .unwrap_or_else(|| Err("a polygon has no outline".into()))?;
    Ok(Polygon {
        outline,
        holes: rings.collect::<Result<_, _>>()?,
    })
}

/// Coordinates, nested as deeply as the kind of geometry, which may come later, asks.
#[derive(Default)]
enum Nested {
    #[default]
    Empty,
    Point(Point),
    Points(Vec<Point>),
    Rings(Vec<Vec<Point>>),
    Parts(Vec<Vec<Vec<Point>>>),
}

/// Reads coordinates.
struct Coordinates<'c, 'a> {
    json: &'c mut Cursor<'a>,
    places: &'c mut Vec<Point>,
}

impl Coordinates<'_, '_> {
    fn value(&mut self) -> Result<Nested, String> {
        if self.json.pass(b'[') {
            return self.list(1);
        }
        match self.json.parse::<Option<IgnoredAny>>()? {
            None => Ok(Nested::Empty),
            Some(_) => Err("its coordinates are not a list".into()),
        }
    }

    /// The rest of a list, whose first bracket is passed.
    fn list(&mut self, depth: usize) -> Result<Nested, String> {
        match self.json.peek() {
            b']' => {
                self.json.pass(b']');
                return Ok(Nested::Empty);
            }
            b'[' if depth == 4 => return Err("its coordinates are nested too deeply".into()),
            b'[' => {}
            _ => return self.place().map(Nested::Point),
        }
        self.json.pass(b'[');
        match self.list(depth + 1)? {
            Nested::Point(first) => self.points(first).map(Nested::Points),
            Nested::Points(first) => {
                let mut rings = vec![first];
                while self.json.next_element()? {
                    match self.inner(depth)? {
                        Nested::Points(points) => rings.push(points),
                        _ => return Err(UNEVEN.into()),
                    }
                }
                Ok(Nested::Rings(rings))
            }
            Nested::Rings(first) => {
                let mut parts = vec![first];
                while self.json.next_element()? {
                    match self.inner(depth)? {
                        Nested::Rings(rings) => parts.push(rings),
                        _ => return Err(UNEVEN.into()),
                    }
                }
                Ok(Nested::Parts(parts))
            }
            Nested::Empty | Nested::Parts(_) => Err("its geometry has no coordinates".into()),
        }
    }

    /// A list within one of this depth.
    fn inner(&mut self, depth: usize) -> Result<Nested, String> {
        if self.json.pass(b'[') {
            self.list(depth + 1)
        } else {
            Err(UNEVEN.into())
        }
    }

    /// The rest of a list of places, without room for more.
    fn points(&mut self, first: Point) -> Result<Vec<Point>, String> {
        self.places.clear();
        self.places.push(first);
        while self.json.next_element()? {
            if !self.json.pass(b'[') {
                return Err(UNEVEN.into());
            }
            let place = self.place()?;
            self.places.push(place);
        }
        Ok(self.places.to_vec())
    }

    /// The rest of a place, whose first bracket is passed.
    #[inline]
    fn place(&mut self) -> Result<Point, String> {
        let x = self.number()?;
        if !self.json.next_element()? {
            return Err("a place has one coordinate only".into());
        }
        let y = self.number()?;
        while self.json.next_element()? {
            self.number()?;
        }
        Ok(Point { x, y })
    }

    #[inline]
    fn number(&mut self) -> Result<f64, String> {
        match self.json.peek() {
            b'-' | b'0'..=b'9' => self.json.number(),
            b'[' => Err(UNEVEN.into()),
            _ => Err("its coordinates are not all numbers".into()),
        }
    }
}

const UNEVEN: &str = "its coordinates are nested unevenly";
