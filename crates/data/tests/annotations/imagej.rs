use std::io::{Cursor, Read, Write};
use std::path::Path;

use cleanslide_data::formats::imagej::{read, write};
use cleanslide_data::formats::{Annotation, Attribute, Shape};
use cleanslide_data::{Point, Polygon, Rectangle};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use crate::common::*;

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let (pairs, _) = hexadecimal.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.iter().map(byte).collect()
}

fn one(bytes: &[u8]) -> Annotation {
    let found = read(Path::new("a.roi"), bytes).unwrap();
    assert_eq!(found.warnings, []);
    found.content.into_iter().next().unwrap()
}

/// A single region, taken out of a set.
pub fn encoded(annotation: &Annotation) -> Vec<u8> {
    let mut set = Cursor::new(Vec::new());
    write(&mut set, [annotation]).unwrap();
    let mut archive = zip::ZipArchive::new(set).unwrap();
    let mut bytes = Vec::new();
    let mut region = archive.by_index(0).unwrap();
    region.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn regions_of_roifile() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../goldens/formats_imagej.json")).unwrap();
    for case in cases {
        let (name, expected) = (&case["name"], &case["expected"]);
        let bytes = bytes(case["bytes"].as_str().unwrap());
        if expected["refused"] == true {
            let error = read(Path::new("a.roi"), &bytes).unwrap_err().to_string();
            assert!(error.contains("no area"), "{name} {error}");
            continue;
        }
        let found = one(&bytes);
        let sides = |key: &str| {
            let sides: [f64; 4] = serde_json::from_value(expected[key].clone()).unwrap();
            Rectangle::new(sides[0], sides[1], sides[2], sides[3]).unwrap()
        };
        let places = |key: &str, shift: f64| -> Vec<Point> {
            let places: Vec<[f64; 2]> = serde_json::from_value(expected[key].clone()).unwrap();
            places
                .into_iter()
                .map(|[x, y]| Point::new(x + shift, y + shift))
                .collect()
        };
        let shape = if expected.get("rectangle").is_some() {
            Shape::Rectangle(sides("rectangle"))
        } else if expected.get("ellipse").is_some() {
            Shape::Ellipse(sides("ellipse"))
        } else if expected.get("points").is_some() {
            let shift = if expected["sub_pixel"] == true {
                0.0
            } else {
                0.5
            };
            Shape::Points(places("points", shift))
        } else {
            Shape::Polygon(Polygon {
                outline: places("polygon", 0.0),
                holes: Vec::new(),
            })
        };
        assert_eq!(found.shape, shape, "{name}");
        if let Some(text) = expected.get("name") {
            assert_eq!(found.name, text.as_str().unwrap());
            assert_eq!(found.colour, Some([10, 20, 30]));
            for key in ["position", "channel", "slice", "frame", "group"] {
                let number = Attribute::Number(expected[key].as_f64().unwrap());
                assert_eq!(found.attribute(key), Some(&number), "{key}");
            }
        }
    }
}

#[test]
fn a_set_keeps_what_can_be_read() {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    let good = encoded(&Annotation::new("x", box_of(1.0, 2.0, 3.0, 4.0)));
    let mut line = good.clone();
    line[6] = 3;
    for (name, content) in [
        ("a.roi", &good[..]),
        ("readme.txt", b"no"),
        ("line.roi", &line),
        ("cut.roi", &good[..50]),
        ("empty.roi", b""),
    ] {
        archive.start_file(name, options).unwrap();
        archive.write_all(content).unwrap();
    }
    let bytes = archive.finish().unwrap().into_inner();
    let found = read(Path::new("RoiSet.zip"), &bytes).unwrap();
    assert_eq!(found.content.len(), 1);
    assert_eq!(found.content[0].name, "a");
    let texts: Vec<String> = found.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts[0],
        "region `line.roi`: left out: lines and angles have no area and cannot be labels"
    );
    assert!(texts[1].starts_with("region `cut.roi`: left out: it is cut off"));
    assert_eq!(
        texts[2],
        "region `empty.roi`: left out: it is not a region of ImageJ"
    );

    let error = |bytes: &[u8]| read(Path::new("a.zip"), bytes).unwrap_err().to_string();
    assert!(error(&bytes[..bytes.len() / 2]).contains("the zip file is damaged"));
    assert!(error(b"PK\x03\x04").contains("damaged"));
    assert!(error(b"").contains("neither a region"));
    assert!(error(&good[..40]).contains("cut off"));
}

#[test]
fn a_bomb_is_not_unpacked() {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated);
    archive.start_file("a.roi", options).unwrap();
    archive.write_all(&vec![0; 20_000_000]).unwrap();
    let bytes = archive.finish().unwrap().into_inner();
    let error = read(Path::new("a.zip"), &bytes).unwrap_err().to_string();
    assert_eq!(
        error,
        "a.zip, region `a.roi`: the zip file unpacks to an absurd size"
    );
}

#[test]
fn counts_are_not_believed() {
    let triangle = polygon(&[(0.0, 0.0), (4.0, 0.0), (0.0, 4.0)]);
    let mut bytes = encoded(&Annotation::new("x", triangle));
    bytes[16..22].copy_from_slice(&[0, 0, 0x7f, 0xff, 0xff, 0xff]);
    let error = read(Path::new("a.roi"), &bytes).unwrap_err().to_string();
    assert_eq!(
        error,
        "a.roi: it is cut off: it should have 2147483647 coordinates"
    );
}

#[test]
fn composite_shapes_find_their_holes() {
    let square = |from: f64, to: f64| {
        Rectangle::new(from, from, to, to)
            .unwrap()
            .corners()
            .to_vec()
    };
    let ring = Polygon {
        outline: square(0.0, 10.5),
        holes: vec![square(2.0, 8.0)],
    };
    let island = Polygon {
        outline: square(4.0, 5.0),
        holes: Vec::new(),
    };
    for shape in [
        Shape::Polygon(ring.clone()),
        Shape::Polygons(vec![ring, island]),
    ] {
        assert_eq!(
            one(&encoded(&Annotation::new("x", shape.clone()))).shape,
            shape
        );
    }
}

fn any_shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        any_rectangle().prop_map(Shape::Rectangle),
        any_rectangle().prop_map(Shape::Ellipse),
        any_polygon(0).prop_map(Shape::Polygon),
        any_point().prop_map(Shape::Point),
        vec(any_point(), 2..5).prop_map(Shape::Points),
        vec((-4000..32_000, -4000..32_000), 3..6)
            .prop_map(|places: Vec<(i32, i32)>| {
                let outline = places.iter().map(|&(x, y)| Point::new(x.into(), y.into()));
                Shape::Polygon(Polygon {
                    outline: outline.collect(),
                    holes: Vec::new(),
                })
            })
            .prop_filter("closed", |shape| match shape {
                Shape::Polygon(polygon) => polygon.outline.first() != polygon.outline.last(),
                _ => true,
            }),
    ]
}

fn any_annotation() -> impl Strategy<Value = Annotation> {
    let colour = proptest::option::of(any::<[u8; 3]>());
    let class = proptest::option::of(any_name());
    (any_shape(), class, any_name(), colour, 0..9_u8).prop_map(
        |(shape, class, name, colour, position)| {
            let numbers = [("position", position), ("slice", 3), ("group", position)];
            let numbers = numbers.into_iter().filter(|(_, number)| *number > 0);
            let number =
                |(name, value): (&str, u8)| (name.to_owned(), Attribute::Number(value.into()));
            Annotation {
                class,
                name,
                colour,
                attributes: numbers.map(number).collect(),
                ..Annotation::unclassified(shape)
            }
        },
    )
}

proptest! {
    #[test]
    fn round_trip(annotations in vec(any_annotation(), 0..5)) {
        let mut bytes = Cursor::new(Vec::new());
        write(&mut bytes, &annotations).unwrap();
        let back = read(Path::new("a.zip"), bytes.get_ref()).unwrap();
        prop_assert_eq!(&back.warnings, &[]);
        prop_assert_eq!(&back.content, &annotations);
        for annotation in annotations {
            prop_assert_eq!(one(&encoded(&annotation)), annotation);
        }
    }
}

#[test]
fn what_cannot_be_said() {
    let far = Annotation::new("x", Shape::Point(Point::new(f64::NAN, 0.0)));
    assert!(write(Cursor::new(Vec::new()), [&far]).is_err());
}
