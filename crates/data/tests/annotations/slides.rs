//! ASAP and Aperio.

use std::path::Path;

use cleanslide_data::formats::{Annotation, Shape, aperio, asap};
use cleanslide_data::{Point, Polygon, Rectangle};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::*;

const ASAP: &str = r##"<?xml version="1.0"?>
<ASAP_Annotations><Annotations>
 <Annotation Name="A &quot;0&quot;" Type="Polygon" PartOfGroup="Tumor" Color="#F4FA58"><Coordinates>
  <Coordinate Order="1" X="20" Y="10.5"/><Coordinate Order="0" X="10,25" Y="10"/>
  <Coordinate Order="2" X="20" Y="30"/></Coordinates></Annotation>
 <Annotation Name="B" Type="Dot" PartOfGroup="None" Color="nonsense"><Coordinates>
  <Coordinate Order="0" X="1" Y="2"/></Coordinates></Annotation>
 <Annotation Name="C" Type="Rectangle" PartOfGroup="Stroma"><Coordinates>
  <Coordinate Order="0" X="5" Y="1"/><Coordinate Order="1" X="9" Y="1"/>
  <Coordinate Order="2" X="9" Y="3"/><Coordinate Order="3" X="5" Y="3"/></Coordinates></Annotation>
 <Annotation Name="D" Type="Measurement" PartOfGroup="None"><Coordinates/></Annotation>
 <Annotation Name="E" Type="Polygon" PartOfGroup="None"><Coordinates>
  <Coordinate Order="0" X="inf" Y="2"/></Coordinates></Annotation>
</Annotations><AnnotationGroups>
 <Group Name="Stroma" PartOfGroup="Tumor" Color="#010203"/>
 <Group Name="Tumor" PartOfGroup="Stroma" Color="#ffffff"/>
</AnnotationGroups></ASAP_Annotations>"##;

#[test]
fn a_file_of_asap() {
    let found = asap::read(Path::new("a.xml"), ASAP.as_bytes()).unwrap();
    let [a, b, c] = &found.content[..] else {
        panic!("{found:?}");
    };
    assert_eq!(
        a.shape,
        polygon(&[(10.25, 10.0), (20.0, 10.5), (20.0, 30.0)])
    );
    assert_eq!(
        (a.name.as_str(), a.class.as_deref()),
        ("A \"0\"", Some("Tumor"))
    );
    assert_eq!(a.colour, Some([0xf4, 0xfa, 0x58]));
    assert_eq!(
        (&b.shape, &b.class, b.colour),
        (&Shape::Point(Point::new(1.0, 2.0)), &None, None)
    );
    assert_eq!(
        (&c.shape, c.colour),
        (&box_of(5.0, 1.0, 9.0, 3.0), Some([1, 2, 3]))
    );
    let texts: Vec<String> = found.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "line 11: left out: the kind `Measurement` has no area or is not known",
            "line 12: left out: line 13: `X`: \"inf\" is not a number",
        ]
    );
}

const APERIO: &str = r#"<Annotations MicronsPerPixel="0.25">
 <Annotation Id="1" Name="" Type="4" LineColor="65535">
  <Attributes><Attribute Name="Description" Id="0" Value="tumour"/></Attributes>
  <Regions><RegionAttributeHeaders/>
   <Region Id="1" Type="0" Text="big" NegativeROA="0"><Attributes/><Vertices>
    <Vertex X="0" Y="0" Z="0"/><Vertex X="100" Y="0"/><Vertex X="100" Y="100"/><Vertex X="0" Y="100"/>
   </Vertices></Region>
   <Region Id="2" Type="0" NegativeROA="1"><Vertices>
    <Vertex X="12" Y="12"/><Vertex X="14" Y="12"/><Vertex X="14" Y="14"/></Vertices></Region>
   <Region Id="3" Type="1" NegativeROA="0"><Vertices>
    <Vertex X="10" Y="10"/><Vertex X="20" Y="10"/><Vertex X="20" Y="20"/><Vertex X="10" Y="20"/>
   </Vertices></Region>
   <Region Id="4" Type="0" NegativeROA="1"><Vertices>
    <Vertex X="512" Y="12"/><Vertex X="514" Y="12"/><Vertex X="514" Y="14"/></Vertices></Region>
   <Region Id="5" Type="4"><Vertices><Vertex X="1" Y="1"/><Vertex X="2" Y="2"/></Vertices></Region>
  </Regions>
 </Annotation>
 <Annotation Id="2" Name="stroma" LineColor="255"><Regions>
   <Region Id="1" Type="2"><Vertices><Vertex X="1" Y="2"/><Vertex X="5" Y="9"/></Vertices></Region>
   <Region Id="2" Type="0"><Vertices><Vertex X="1"/></Vertices></Region>
 </Regions></Annotation>
</Annotations>"#;

#[test]
fn a_file_of_aperio() {
    let found = aperio::read(Path::new("a.xml"), APERIO.as_bytes()).unwrap();
    let [big, small, other] = &found.content[..] else {
        panic!("{found:?}");
    };
    assert_eq!(
        (big.name.as_str(), big.class.as_deref()),
        ("big", Some("tumour"))
    );
    assert_eq!(big.colour, Some([255, 255, 0]));
    assert_eq!(
        big.shape,
        polygon(&[(0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0)])
    );
    // The hole is in both; the smaller one has it.
    let with_hole = Polygon {
        outline: Rectangle::new(10.0, 10.0, 20.0, 20.0)
            .unwrap()
            .corners()
            .to_vec(),
        holes: vec![points(&[(12.0, 12.0), (14.0, 12.0), (14.0, 14.0)])],
    };
    assert_eq!(small.shape, Shape::Polygon(with_hole));
    assert_eq!(
        (other.class.as_deref(), other.colour),
        (Some("stroma"), Some([255, 0, 0]))
    );
    assert_eq!(
        other.shape,
        Shape::Ellipse(Rectangle::new(1.0, 2.0, 5.0, 9.0).unwrap())
    );
    let texts: Vec<String> = found.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "line 15: left out: arrows and rulers have no area",
            "line 13: left out: a negative region that is in no other",
            "line 20: left out: line 20: a vertex has no `Y`",
        ]
    );
}

#[test]
fn broken_files() {
    type Read = fn(&[u8]) -> String;
    let asap: Read = |text| asap::read(Path::new("a"), text).unwrap_err().to_string();
    let aperio: Read = |text| aperio::read(Path::new("a"), text).unwrap_err().to_string();
    for (read, text) in [(asap, ASAP), (aperio, APERIO)] {
        assert!(read(b"").contains("empty"));
        assert!(read(b"{}").contains("there is no element"));
        assert!(read(b"\xfe\xff\0<").contains("UTF-16"));
        assert!(read(b"<a></a>").contains("starts with `a`"));
        let cut = &text.as_bytes()[..text.len() - 30];
        assert!(read(cut).contains(", line "), "{}", read(cut));
        let bad = text.replace("X=\"20\"", "X=\"20");
        assert!(read(bad.as_bytes()).contains(", line "));
    }
    let laughs =
        "<!DOCTYPE a [<!ENTITY b \"bb\"><!ENTITY c \"&b;&b;\">]><Annotations>&c;</Annotations>";
    assert!(aperio(laughs.as_bytes()).contains("line 1"));
}

/// Annotations with names and colours, far apart from each other, with holes inside.
fn any_annotations(ellipses: bool, holes: bool) -> impl Strategy<Value = Vec<Annotation>> {
    let one = (
        0..5_u8,
        any_name(),
        proptest::option::of(0..2_usize),
        coordinate(),
    );
    vec(one, 0..6).prop_map(move |all| {
        let square = |from: f64, to: f64| Rectangle::new(from, from, to, to).unwrap();
        let annotation =
            |(index, (kind, name, class, side)): (usize, (u8, String, Option<usize>, f64))| {
                let from = index as f64 * 10_000.0;
                let whole = square(from, from + 8.0 + side);
                let shape = match kind {
                    0 => Shape::Rectangle(whole),
                    1 => Shape::Point(whole.centre()),
                    2 if ellipses => Shape::Ellipse(whole),
                    3 if holes => Shape::Polygon(Polygon {
                        outline: whole.corners().to_vec(),
                        holes: vec![
                            square(from + 1.0, from + 3.0).corners().to_vec(),
                            square(from + 4.0, from + 7.5).corners()[..3].to_vec(),
                        ],
                    }),
                    _ => Shape::Polygon(Polygon {
                        outline: whole.corners()[..3].to_vec(),
                        holes: Vec::new(),
                    }),
                };
                Annotation {
                    name,
                    class: class.map(|class| ["a & \"b\"", "größer\t<"][class].into()),
                    colour: Some([10, class.unwrap_or(7) as u8, 200]),
                    ..Annotation::unclassified(shape)
                }
            };
        all.into_iter().enumerate().map(annotation).collect()
    })
}

proptest! {
    #[test]
    fn asap_round_trip(annotations in any_annotations(false, false)) {
        let mut bytes = Vec::new();
        asap::write(&mut bytes, &annotations).unwrap();
        let back = asap::read(Path::new("a"), &bytes).unwrap();
        prop_assert_eq!(&back.warnings, &[]);
        prop_assert_eq!(back.content, annotations);
    }

    #[test]
    fn aperio_round_trip(mut annotations in any_annotations(true, true)) {
        let mut bytes = Vec::new();
        aperio::write(&mut bytes, &annotations).unwrap();
        let back = aperio::read(Path::new("a"), &bytes).unwrap();
        prop_assert_eq!(&back.warnings, &[]);
        // Layers are written in the order of their first objects.
        let first = |class: &Option<String>| annotations.iter().position(|a| a.class == *class);
        let order: Vec<_> = annotations.iter().map(|a| first(&a.class)).collect();
        let mut order: Vec<usize> = (0..order.len()).map(|i| order[i].unwrap() * 100 + i).collect();
        order.sort_unstable();
        annotations = order.into_iter().map(|place| annotations[place % 100].clone()).collect();
        prop_assert_eq!(back.content, annotations);
    }
}

#[test]
fn what_cannot_be_said() {
    let with_hole = Shape::Polygon(Polygon {
        outline: points(&[(0.0, 0.0), (9.0, 0.0), (0.0, 9.0)]),
        holes: vec![points(&[(1.0, 1.0), (2.0, 1.0), (1.0, 2.0)])],
    });
    let refused = |annotation| {
        asap::write(&mut Vec::new(), [&annotation])
            .unwrap_err()
            .to_string()
    };
    assert!(refused(Annotation::new("x", with_hole)).contains("cannot hold a polygon"));
    let place = Shape::Point(Point::new(f64::NAN, 0.0));
    assert_eq!(
        refused(Annotation::new("x", place.clone())),
        "NaN 0 is not a place"
    );
    assert!(refused(Annotation::new("None", place)).contains("without a class"));
    let several = Annotation::new("x", Shape::Points(Vec::new()));
    assert!(aperio::write(&mut Vec::new(), [&several]).is_err());
}
