use std::path::Path;

use cleanslide_data::formats::geojson::{Reader, read, write};
use cleanslide_data::formats::{Annotation, Attribute, Reading, Shape};
use cleanslide_data::{Point, Polygon, Rectangle};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::common::*;

fn read_text(text: &str) -> Reading<Vec<Annotation>> {
    read(Path::new("a.geojson"), text.as_bytes()).unwrap()
}

fn error(text: &[u8]) -> String {
    let error = read(Path::new("a.geojson"), text).unwrap_err();
    error.to_string()
}

/// As QuPath 0.5 exports a cell and an ellipse, with its line ends and order of keys.
const QUPATH: &str = r#"{
  "type": "FeatureCollection",
  "features": [
    {
      "type": "Feature",
      "id": "7c5bc1e8-38b1-4d2c-a5a6-d1a1b7f1b1a0",
      "geometry": {
        "type": "Polygon",
        "coordinates": [
          [[10, 10], [20.5, 10], [20.5, 20], [10, 20], [10, 10]],
          [[12, 12], [14, 12], [14, 14], [12, 12]]
        ]
      },
      "nucleusGeometry": {"type": "Point", "coordinates": [15.0, 16.0]},
      "properties": {
        "objectType": "cell",
        "isLocked": true,
        "classification": {"names": ["Tumor", "Positive"], "color": [200, 0, 17]},
        "measurements": {"Area µm²": 12.5, "Missing": null, "score": 0.75},
        "metadata": {"ANNOTATION_DESCRIPTION": "a \"doubtful\" one"}
      }
    },
    {
      "type": "Feature",
      "id": "PathDetectionObject",
      "geometry": {"coordinates": [[[0,5],[4,0],[8,5],[4,10],[0,5]]], "isEllipse": true, "type": "Polygon"},
      "properties": {
        "color": [1, 2, 3], "name": "e",
        "classification": {"name": "Stroma", "colorRGB": -3670016},
        "measurements": [{"name": "Area", "value": 3}]
      }
    }
  ]
}
"#;

#[test]
fn what_qupath_writes() {
    let Reading { content, warnings } = read_text(QUPATH);
    assert_eq!(warnings, []);
    let cell = &content[0];
    assert_eq!(cell.id, "7c5bc1e8-38b1-4d2c-a5a6-d1a1b7f1b1a0");
    assert_eq!(cell.class.as_deref(), Some("Tumor: Positive"));
    assert_eq!(cell.colour, Some([200, 0, 17]));
    assert_eq!(cell.score, Some(0.75));
    assert!(cell.flag("isLocked"));
    assert_eq!(cell.attribute("Area µm²"), Some(&Attribute::Number(12.5)));
    assert_eq!(cell.attribute("Missing"), None);
    assert_eq!(
        cell.nucleus,
        Some(Box::new(Shape::Point(Point::new(15.0, 16.0))))
    );
    let Shape::Polygon(outline) = &cell.shape else {
        panic!("{cell:?}");
    };
    assert_eq!(outline.outline.len(), 4);
    assert_eq!(
        outline.holes,
        [points(&[(12.0, 12.0), (14.0, 12.0), (14.0, 14.0)])]
    );

    let other = &content[1];
    assert_eq!(
        other.shape,
        Shape::Ellipse(Rectangle::new(0.0, 0.0, 8.0, 10.0).unwrap())
    );
    assert_eq!((other.name.as_str(), other.id.as_str()), ("e", ""));
    assert_eq!(other.colour, Some([200, 0, 0]));
    let kind = Attribute::Text("detection".into());
    assert_eq!(other.attribute("objectType"), Some(&kind));
    assert_eq!(other.attribute("Area"), Some(&Attribute::Number(3.0)));
}

#[test]
fn arrays_and_single_features() {
    let feature =
        r#"{"type":"Feature","geometry":{"type":"Point","coordinates":[1,2,3]},"properties":null}"#;
    let one = read_text(feature);
    assert_eq!(one.content[0].shape, Shape::Point(Point::new(1.0, 2.0)));
    let several = read_text(&format!("\u{feff} [{feature} , {feature}]\n"));
    assert_eq!(several.content.len(), 2);
    assert_eq!(read_text("[]").content, []);
    assert_eq!(read_text(r#"{"features":[]}"#).content, []);
    // The collection's own members may come anywhere.
    let text =
        format!(r#"{{"crs":{{"a":[1,"]"]}},"features":[{feature}],"type":"FeatureCollection"}}"#);
    assert_eq!(read_text(&text).content.len(), 1);
    assert_eq!(read_text("{}").content, []);
    assert_eq!(read_text("{}").warnings.len(), 1);
}

#[test]
fn broken_features_do_not_lose_the_file() {
    let good = r#"{"type":"Feature","geometry":{"type":"Point","coordinates":[1,2]}}"#;
    let reason = |geometry: &str| {
        let bad = format!(r#"{{"type":"Feature","geometry":{geometry}}}"#);
        let found = read_text(&format!("[\n{good},\n{bad},\n{good}]"));
        assert_eq!(found.content.len(), 2);
        let [warning] = &found.warnings[..] else {
            panic!("{found:?}");
        };
        assert_eq!(warning.place, "feature 2 (line 3)");
        warning
            .problem
            .strip_prefix("left out: ")
            .unwrap()
            .to_owned()
    };
    let shape = |kind: &str, coordinates: &str| {
        reason(&format!(
            r#"{{"type":"{kind}","coordinates":{coordinates}}}"#
        ))
    };
    assert_eq!(reason("null"), "it has no geometry");
    assert_eq!(
        shape("LineString", "[[0,0],[1,1]]"),
        "lines have no area and cannot be labels"
    );
    assert_eq!(
        shape("Polygon", "[[[0,0],[1,1],[0,0]]]"),
        "an outline of 2 points has no area"
    );
    assert_eq!(shape("Polygon", "[]"), "its geometry has no coordinates");
    assert_eq!(shape("Point", "[1]"), "a place has one coordinate only");
    assert_eq!(shape("Blob", "[1,2]"), "its kind of geometry is not known");
    assert!(shape("Polygon", "[[0,0],[1,1]]").contains("not nested as"));
    assert!(shape("Polygon", "[[[0,0],7]]").contains("unevenly"));
    assert!(shape("Polygon", "[[[[[[0,0]]]]]]").contains("too deeply"));
    assert!(shape("Point", "[NaN,0]").contains("not all numbers"));
    assert!(shape("Point", "[1e999,0]").contains("out of range"));
    assert!(shape("Point", "[\"1\",0]").contains("not all numbers"));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(shape("Polygon", &deep).contains("too deeply"));
}

#[test]
fn broken_files_are_refused() {
    let place = "a.geojson, line 2, byte ";
    assert!(error(b"[\n{\"type\":").starts_with(place));
    assert!(error(b"[\n{\"type\":").contains("truncated"));
    assert!(error(b"{\"features\":[{}\n{}]}").contains("a comma is missing"));
    assert!(error(b"[\n{},]").contains("a comma too many"));
    assert!(error(b"{}x").contains("something follows"));
    assert!(error(b"{7:8}").contains("key in quotes"));
    assert!(error(b"{\"a\" 8}").contains("colon"));
    assert!(error(b"{\"a\":}").contains("a value is missing"));
    assert!(error(b"").contains("empty"));
    assert!(error(b"  ").contains("empty"));
    assert!(error(b"\xff\xfe[\0]\0").contains("UTF-16"));
    assert!(error(b"<xml/>").contains("not JSON"));
    assert!(error(&b"[".repeat(100_000)).contains("truncated"));
}

#[test]
fn masks_and_infinite_places_are_refused() {
    let refused = |shape| write(&mut Vec::new(), [Annotation::new("x", shape)]).unwrap_err();
    let far = Shape::Point(Point::new(f64::INFINITY, 0.0));
    assert_eq!(refused(far).to_string(), "inf cannot be written as JSON");
}

#[test]
fn long_files_come_in_batches() {
    // More than a batch of bytes and than a chunk, with features across the borders.
    let annotations = (0..60_000_u32).map(|index| {
        let corner = Point::new(f64::from(index) / 8.0, f64::from(index % 977));
        Annotation {
            name: format!("cell [{index}] \\\""),
            ..Annotation::new("x", Shape::Point(corner))
        }
    });
    let mut bytes = Vec::new();
    write(&mut bytes, annotations.clone()).unwrap();
    assert!(bytes.len() > 5_000_000);
    let mut reader = Reader::new(Path::new("a"), &bytes[..]);
    assert!(annotations.eq(reader.by_ref().map(Result::unwrap)));
    assert_eq!(reader.warnings(), []);
}

fn any_shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        any_polygon(2).prop_map(Shape::Polygon),
        vec(any_polygon(1), 1..3).prop_map(Shape::Polygons),
        any_point().prop_map(Shape::Point),
        vec(any_point(), 1..4).prop_map(Shape::Points),
        any_rectangle().prop_map(Shape::Ellipse),
    ]
}

fn any_annotation() -> impl Strategy<Value = Annotation> {
    let number = prop_oneof![
        any::<f64>().prop_filter("finite", |v| v.is_finite()),
        coordinate()
    ];
    (
        (
            any_shape(),
            option::of(any_shape()),
            option::of(any_name()),
            any_name(),
        ),
        (option::of(number.clone()), option::of(any::<[u8; 3]>())),
        (any::<bool>(), number, any_name()),
    )
        .prop_map(
            |((shape, nucleus, class, name), (score, colour), (flag, number, text))| {
                let kind = if nucleus.is_some() {
                    "cell"
                } else {
                    "detection"
                };
                Annotation {
                    class,
                    id: format!("id {name}"),
                    name,
                    score,
                    colour,
                    nucleus: nucleus.map(Box::new),
                    attributes: vec![
                        ("objectType".into(), Attribute::Text(kind.into())),
                        ("isLocked".into(), Attribute::Flag(flag)),
                        ("Area µm²".into(), Attribute::Number(number)),
                        ("note".into(), Attribute::Text(text)),
                    ],
                    ..Annotation::unclassified(shape)
                }
            },
        )
}

proptest! {
    #[test]
    fn round_trip(annotations in vec(any_annotation(), 0..5)) {
        let mut bytes = Vec::new();
        write(&mut bytes, &annotations).unwrap();
        let back = read(Path::new("a"), &bytes[..]).unwrap();
        prop_assert_eq!(&back.warnings, &[]);
        prop_assert_eq!(back.content, annotations);
    }

    #[test]
    fn all_numbers_come_back(x in any::<f64>(), y in any::<f64>()) {
        prop_assume!(x.is_finite() && y.is_finite());
        let place = Annotation::new("x", Shape::Point(Point::new(x, y)));
        let mut bytes = Vec::new();
        write(&mut bytes, [&place]).unwrap();
        prop_assert_eq!(read(Path::new("a"), &bytes[..]).unwrap().content, [place]);
    }
}

#[test]
fn boxes_become_polygons() {
    let mut bytes = Vec::new();
    write(
        &mut bytes,
        [Annotation::new("x", box_of(0.0, 1.0, 2.0, 3.0))],
    )
    .unwrap();
    let back = read(Path::new("a"), &bytes[..]).unwrap().content;
    let corners = points(&[(0.0, 1.0), (2.0, 1.0), (2.0, 3.0), (0.0, 3.0)]);
    let outline = Polygon {
        outline: corners,
        holes: Vec::new(),
    };
    assert_eq!(back[0].shape, Shape::Polygon(outline));
}
