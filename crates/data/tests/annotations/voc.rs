use std::fs;
use std::path::Path;

use cleanslide_data::formats::voc::{Corners, read, write};
use cleanslide_data::formats::{Annotation, Attribute, Reading, Shape};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::*;

const FILE: &str = "<annotation>
  <filename>a &amp; b.png</filename>
  <size><width>100</width><height>50.0</height><depth>3</depth></size>
  <object>
    <name> Living Cell </name><truncated>1</truncated><difficult>0</difficult>
    <bndbox><xmin>1</xmin><ymin>11</ymin><xmax>10</xmax><ymax>20.5</ymax></bndbox>
    <part><name>head</name><bndbox><xmin>4</xmin></bndbox></part>
  </object>
  <object><name>x</name>
    <bndbox><xmax>101</xmax><ymin>1</ymin><xmin>91</xmin><ymax>50</ymax></bndbox></object>
  <object><name>x</name>
    <bndbox><xmin>101</xmin><ymin>1</ymin><xmax>120</xmax><ymax>50</ymax></bndbox></object>
  <object><name>x</name>
    <bndbox><xmin>20</xmin><ymin>1</ymin><xmax>10</xmax><ymax>50</ymax></bndbox></object>
  <object><name>x</name>
    <bndbox><xmin>NaN</xmin><ymin>1</ymin><xmax>10</xmax><ymax>50</ymax></bndbox></object>
  <object><name>x</name><polygon/></object>
  <object><bndbox><xmin>2</xmin><ymin>1</ymin><xmax>10</xmax><ymax>50</ymax></bndbox></object>
</annotation>";

#[test]
fn corners_and_warnings() {
    let read = |corners| read(Path::new("a.xml"), FILE.as_bytes(), corners).unwrap();
    let Reading { content, warnings } = read(Corners::OneBased);
    assert_eq!(content.file_name, "a & b.png");
    assert_eq!(content.size, Some((50, 100)));
    let first = &content.annotations[0];
    assert_eq!(first.class.as_deref(), Some("Living Cell"));
    assert_eq!(first.shape, box_of(0.0, 10.0, 10.0, 20.5));
    assert!(first.flag("truncated") && !first.flag("difficult"));
    assert_eq!(content.annotations[1].shape, box_of(90.0, 0.0, 100.0, 50.0));
    let texts: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "line 9: the box 91 1 101 50 was cut at the border of the image of 100 × 50 pixels",
            "line 11: left out: the box 101 1 120 50 is outside the image of 100 × 50 pixels",
            "line 13: left out: the box 20 1 10 50 has no area",
            "line 15: left out: `xmin`: \"NaN\" is not a number",
            "line 17: left out: it has no `bndbox` with xmin, ymin, xmax and ymax",
            "line 18: left out: it has no `name`",
        ]
    );
    let shape = |corners| read(corners).content.annotations[0].shape.clone();
    assert_eq!(shape(Corners::ZeroBased), box_of(1.0, 11.0, 11.0, 21.5));
    assert_eq!(shape(Corners::Edges), box_of(1.0, 11.0, 10.0, 20.5));
}

#[test]
fn a_file_of_something_else() {
    let error = |text: &[u8]| {
        let error = read(Path::new("a.xml"), text, Corners::default()).unwrap_err();
        (error.to_string(), error.help().unwrap_or_default())
    };
    assert_eq!(
        error(b"<annotation>\n<object>\n").0,
        "a.xml, line 3: the file ends within `object`"
    );
    assert_eq!(
        error(b"\n<ASAP_Annotations/>").0,
        "a.xml, line 2: the file starts with `ASAP_Annotations`, not with `annotation`"
    );
    let (problem, help) = error(b"<annotation><filename>\n\xe4</filename></annotation>");
    assert_eq!(problem, "a.xml, line 2: the text is not UTF-8");
    assert!(help.contains("iconv"));
    assert_eq!(error(b"\xff\xfe<\0a\0").0, "a.xml: the text is UTF-16");
    assert_eq!(error(b"").0, "a.xml: the file is empty (0 bytes)");
    assert!(
        error(b"<annotation>\n\n</size></annotation>")
            .0
            .starts_with("a.xml, line 3: ")
    );
    let deep = "<annotation>".repeat(10_000);
    assert!(error(deep.as_bytes()).0.ends_with("nested too deeply"));
}

#[test]
fn real_files() {
    let count = |folder: &str, class: &str| {
        let folder = real_data(folder)?;
        let (mut boxes, mut of_class, mut warnings) = (0, 0, 0);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let read = read(&path, &fs::read(&path).unwrap(), Corners::default()).unwrap();
            assert!(read.content.size.is_some() && !read.content.file_name.is_empty());
            boxes += read.content.annotations.len();
            let named = |found: &&Annotation| found.class.as_deref() == Some(class);
            of_class += read.content.annotations.iter().filter(named).count();
            warnings += read.warnings.len();
        }
        Some((boxes, of_class, warnings))
    };
    if let Some(original) = count("bccd/annotations_original", "RBC") {
        assert_eq!(original, (3854, 3854, 0));
    }
    if let Some(corrected) = count("bccd/annotations_corrected", "RBC") {
        assert_eq!(corrected, (4789, 4105, 0));
    }
    if let Some(cells) = count("live-dead-cells/annotations", "Dead Cell") {
        assert_eq!(cells, (1413, 259, 0));
    }
}

#[test]
fn corners_have_few_digits() {
    for (edge, corners, expected) in [
        (0.57, Corners::OneBased, "1.57"),
        (0.57, Corners::Edges, "0.57"),
        (12.3, Corners::OneBased, "13.3"),
        (50.0 / 3.0, Corners::OneBased, "17.666666666666668"),
        (-0.5, Corners::OneBased, "0.5"),
        (1e9 + 0.25, Corners::OneBased, "1000000001.25"),
    ] {
        let rectangle = box_of(edge, 0.0, 2e9, 20.0);
        let image = image("a.png", vec![Annotation::new("x".to_owned(), rectangle)]);
        let mut bytes = Vec::new();
        write(&mut bytes, &image, corners).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let line = format!("<xmin>{expected}</xmin>");
        assert!(text.contains(&line), "{edge}: {text}");
    }
}

fn any_object() -> impl Strategy<Value = Annotation> {
    (any_rectangle(), any_name(), vec(any_flag(), 3)).prop_map(|(rectangle, class, flags)| {
        let names = ["truncated", "difficult", "occluded"].map(String::from);
        Annotation {
            attributes: names.into_iter().zip(flags).collect(),
            ..Annotation::new(class, Shape::Rectangle(rectangle))
        }
    })
}

proptest! {
    #[test]
    fn round_trip(
        objects in vec(any_object(), 0..6),
        name in any_name(),
        corners in prop_oneof![
            Just(Corners::OneBased), Just(Corners::ZeroBased), Just(Corners::Edges)
        ],
    ) {
        let image = image(&name, objects);
        let mut bytes = Vec::new();
        write(&mut bytes, &image, corners).unwrap();
        let back = read(Path::new("a.xml"), &bytes, corners).unwrap();
        prop_assert_eq!(&back.warnings, &[]);
        prop_assert_eq!(back.content, image);
    }
}

#[test]
fn what_cannot_be_said() {
    let refused = |annotation| {
        let image = image("a.png", vec![annotation]);
        let error = write(&mut Vec::new(), &image, Corners::default()).unwrap_err();
        error.to_string()
    };
    let outline = polygon(&[(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]);
    let text = refused(Annotation::new("x", outline));
    assert_eq!(text, "Pascal VOC has boxes only, no polygon");
    assert!(refused(Annotation::unclassified(box_of(0.0, 0.0, 1.0, 1.0))).contains("class"));
    let mut pose = Annotation::new("x", box_of(0.0, 0.0, 1.0, 1.0));
    pose.attributes = vec![("pose".into(), Attribute::Text("Left".into()))];
    let mut bytes = Vec::new();
    write(
        &mut bytes,
        &image("a", vec![pose.clone()]),
        Corners::default(),
    )
    .unwrap();
    let back = read(Path::new("a.xml"), &bytes, Corners::default()).unwrap();
    assert_eq!(back.content.annotations, [pose]);
}
