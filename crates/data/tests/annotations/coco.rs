use std::path::Path;

use cleanslide_data::formats::coco::{Coco, Id, read, write};
use cleanslide_data::formats::{Annotation, Attribute, RunLengths, Shape};
use ndarray::Array2;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use crate::common::*;

fn numbers(value: &Value) -> Vec<usize> {
    let all = value.as_array().unwrap().iter();
    all.map(|number| number.as_u64().unwrap() as usize)
        .collect()
}

#[test]
fn run_lengths_are_those_of_pycocotools() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../goldens/formats_coco.json")).unwrap();
    for case in cases {
        let name = &case["name"];
        let size = numbers(&case["size"]);
        let mut mask = Array2::zeros((size[0], size[1]));
        let mut changes = numbers(&case["changes"]).into_iter().peekable();
        let mut value = 0;
        for place in 0..mask.len() {
            if changes.next_if_eq(&place).is_some() {
                value = 1 - value;
            }
            mask[(place % size[0], place / size[0])] = value;
        }
        let runs = RunLengths::encode(mask.view()).unwrap();
        let text = case["text"].as_str().unwrap();
        assert_eq!(runs.text(), text, "{name}");
        assert_eq!(runs.area(), case["area"].as_u64().unwrap(), "{name}");
        let bounds = runs.bounds();
        let found = bounds.map_or([0.0; 4], |b| [b.left, b.top, b.width(), b.height()]);
        let expected: Vec<f64> = serde_json::from_value(case["bounds"].clone()).unwrap();
        assert_eq!(found[..], expected, "{name}");
        let back = RunLengths::parse((size[0], size[1]), text).unwrap();
        assert_eq!(back, runs, "{name}");
        assert_eq!(back.decode(), mask, "{name}");
    }
}

#[test]
fn broken_runs_are_refused() {
    let parse = |text: &str| RunLengths::parse((5, 7), text).unwrap_err().to_string();
    assert!(parse("Q1\u{7f}").contains("a character"));
    assert!(parse("ä").contains("a character"));
    assert!(parse("o").contains("ends within"));
    assert!(parse("oooooooooooooooooo0").contains("too large"));
    assert!(parse("O").contains("impossible run"));
    assert!(parse("1").contains("cover 1 pixels, but it has 7 × 5"));
    assert!(RunLengths::new((1 << 20, 1 << 20), vec![]).is_err());
    assert!(RunLengths::new((usize::MAX, 2), vec![]).is_err());
    let many = vec![u32::MAX; 3];
    assert!(RunLengths::new((5, 7), many).is_err());
    assert!(RunLengths::new((0, 7), vec![]).unwrap().bounds().is_none());
}

const FILE: &str = r#"{
 "info": {"description": "brackets ]}[{ \" in texts"},
 "annotations": [
  {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2.5, 10, 20], "segmentation": [], "area": 200, "iscrowd": 0},
  {"id": 2, "image_id": 7, "category_id": 1, "segmentation": [[0,0,4,0,4,4,0,0], [5,5,6,5,6,6]], "bbox": [0,0,6,6]},
  {"id": 3, "image_id": 8, "category_id": 1, "segmentation": {"size": [2,3], "counts": [1,2,3]}, "iscrowd": 1,
   "attributes": {"occluded": false, "track": 4, "who": "me"}},
  {"id": 4, "image_id": 8, "category_id": 1, "segmentation": {"counts": "12", "size": [2,3]}},
  {"id": 5, "image_id": 9, "category_id": 1, "bbox": [1,1,1,1]},
  {"id": 6, "image_id": 7, "category_id": 2, "bbox": [1,1,1,1]},
  {"id": 7, "image_id": 7, "category_id": 1, "bbox": [1,1,0,1]},
  {"id": 8, "image_id": 7, "category_id": 1, "bbox": [1,1,1]},
  {"id": 9, "image_id": 7, "category_id": 1},
  {"id": 1, "image_id": 7, "category_id": 1, "bbox": [1,1,1,1]},
  {"id": 10, "image_id": 8, "category_id": 1, "segmentation": {"size": [3,3], "counts": [9]}},
  {"id": 11, "image_id": 7, "category_id": 1, "segmentation": [[1,2,3]]},
  {"id": 12, "image_id": 7, "bbox": "x"}
 ],
 "images": [{"id": 7, "file_name": "a.png", "width": 0, "height": 0},
            {"id": 8, "file_name": "b.png", "width": 3, "height": 2}],
 "categories": [{"id": 3, "name": "nucleus", "supercategory": "x"}, {"id": 1, "name": "cell"}]
}"#;

#[test]
fn a_file_with_everything() {
    let found = read(Path::new("a.json"), FILE.as_bytes()).unwrap();
    let coco = found.content;
    assert_eq!(coco.image_ids, [Id::Number(7), Id::Number(8)]);
    let [a, b] = &coco.images[..] else {
        panic!("{coco:?}");
    };
    assert_eq!((a.size, b.size), (None, Some((2, 3))));
    assert_eq!(a.annotations[0].shape, box_of(1.0, 2.5, 11.0, 22.5));
    assert_eq!(a.annotations[0].class.as_deref(), Some("nucleus"));
    let Shape::Polygons(parts) = &a.annotations[1].shape else {
        panic!("{a:?}");
    };
    assert_eq!((parts.len(), parts[0].outline.len()), (2, 3));
    let runs = RunLengths::new((2, 3), vec![1, 2, 3]).unwrap();
    assert_eq!(b.annotations[0].shape, Shape::Mask(runs));
    assert!(b.annotations[0].flag("iscrowd"));
    assert_eq!(
        b.annotations[0].attribute("track"),
        Some(&Attribute::Number(4.0))
    );
    let texts: Vec<String> = found.warnings.iter().map(ToString::to_string).collect();
    let expected = [
        ("annotation 4 (line 8)", "cover 3 pixels"),
        ("annotation 5 (line 9)", "there is no image 9"),
        ("annotation 6 (line 10)", "there is no category 2"),
        ("annotation 7 (line 11)", "the box 1 1 0 1 has no area"),
        ("annotation 8 (line 12)", "has 3 numbers, not 4"),
        ("annotation 9 (line 13)", "neither"),
        (
            "annotation 10 (line 14)",
            "the id 1 occurs twice; both are kept",
        ),
        (
            "annotation 11 (line 15)",
            "its mask has 3 × 3 pixels, the image 3 × 2",
        ),
        ("annotation 12 (line 16)", "not pairs"),
        ("annotation 13 (line 17)", "left out: "),
    ];
    assert_eq!(texts.len(), expected.len(), "{texts:#?}");
    for (text, (place, reason)) in texts.iter().zip(expected) {
        assert!(text.starts_with(place) && text.contains(reason), "{text}");
    }
    // The image that lacks each, though the annotation is broken.
    let of: Vec<Option<usize>> = found.warnings.iter().map(|w| w.incomplete).collect();
    let (a, b) = (Some(0), Some(1));
    assert_eq!(of, [b, None, a, a, a, a, None, b, a, a]);
}

#[test]
fn a_box_beside_an_outline_is_kept_if_it_is_another() {
    let triangle = "[[0,0,4,0,4,4]]";
    let annotations = [
        format!("\"segmentation\":{triangle},\"bbox\":[0,0,4,4]"),
        format!("\"segmentation\":{triangle},\"bbox\":[0,0,5,5]"),
        "\"segmentation\":[[]],\"bbox\":[1,1,2,2]".to_owned(),
    ];
    let annotations = annotations.map(|a| format!("{{\"image_id\":1,\"category_id\":1,{a}}}"));
    let text = format!(
        r#"{{"images":[{{"id":1,"file_name":"a"}}],"categories":[{{"id":1,"name":"x"}}],"annotations":[{}]}}"#,
        annotations.join(",")
    );
    let found = read(Path::new("a.json"), text.as_bytes()).unwrap();
    assert_eq!(found.warnings, []);
    let [same, other, without] = &found.content.images[0].annotations[..] else {
        panic!("{found:?}");
    };
    let whole = cleanslide_data::Rectangle::new(0.0, 0.0, 5.0, 5.0).unwrap();
    assert_eq!((same.bounding_box, other.bounding_box), (None, Some(whole)));
    assert_eq!(without.shape, box_of(1.0, 1.0, 3.0, 3.0));
    let mut bytes = Vec::new();
    write(&mut bytes, &found.content).unwrap();
    let back = read(Path::new("a.json"), &bytes[..]).unwrap().content;
    assert_eq!(back.images[0].annotations[1].bounding_box, Some(whole));
}

#[test]
fn files_without_images_or_with_ids_twice() {
    let error = |text: &str| {
        read(Path::new("a.json"), text.as_bytes())
            .unwrap_err()
            .to_string()
    };
    assert!(error("{}").contains("no `images`"));
    assert!(error("[{}]").contains("an array, as results"));
    let images = r#"{"images":[{"id":1,"file_name":"a"},{"id":1,"file_name":"b"}],"categories":[{"id":1,"name":"x"}]}"#;
    assert_eq!(error(images), "a.json: two images have the id 1");
    let broken = r#"{"images":[{"id":1}]}"#;
    assert_eq!(
        error(broken),
        "a.json, line 1: the image is broken: missing field `file_name`"
    );
    assert!(error(&FILE[..FILE.len() - 30]).contains("truncated"));
}

fn any_shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        any_rectangle().prop_map(Shape::Rectangle),
        any_polygon(0).prop_map(Shape::Polygon),
        vec(any_polygon(0), 2..4).prop_map(Shape::Polygons),
        vec(0..40_u32, 0..9).prop_map(|mut runs| {
            let rest = 2000 * 1800 - runs.iter().sum::<u32>();
            runs.push(rest);
            Shape::Mask(RunLengths::new((2000, 1800), runs).unwrap())
        }),
    ]
}

fn any_annotation() -> impl Strategy<Value = Annotation> {
    (
        any_shape(),
        0..2_usize,
        any::<bool>(),
        proptest::option::of(coordinate()),
    )
        .prop_map(|(shape, class, crowd, score)| {
            let mut annotation = Annotation::new(["a b", "ü\""][class], shape);
            annotation.score = score;
            if crowd {
                let attributes = &mut annotation.attributes;
                attributes.push(("iscrowd".into(), Attribute::Flag(true)));
                attributes.push(("occluded".into(), Attribute::Flag(false)));
                attributes.push(("remark".into(), Attribute::Text("[{".into())));
            }
            annotation
        })
}

proptest! {
    #[test]
    fn round_trip(images in vec((any_name(), vec(any_annotation(), 0..4)), 1..4)) {
        let images = images.into_iter().map(|(name, all)| image(&name, all)).collect();
        let classes = ["ü\"".to_owned(), "a b".to_owned()];
        let mut coco = Coco::new(images, &classes);
        let mut bytes = Vec::new();
        write(&mut bytes, &coco).unwrap();
        let back = read(Path::new("a.json"), &bytes[..]).unwrap();
        prop_assert_eq!(&back.warnings, &[]);
        let all = coco.images.iter_mut().flat_map(|image| &mut image.annotations);
        for (index, annotation) in all.enumerate() {
            annotation.id = (index + 1).to_string();
        }
        prop_assert_eq!(back.content, coco);
    }

    #[test]
    fn masks_come_back(pixels in vec(0..2_u8, 1..200), height in 1..20_usize) {
        let width = pixels.len() / height;
        let pixels = pixels[..width * height].to_vec();
        let mask = Array2::from_shape_vec((height, width), pixels).unwrap();
        let runs = RunLengths::encode(mask.view()).unwrap();
        prop_assert_eq!(&RunLengths::parse((height, width), &runs.text()).unwrap(), &runs);
        prop_assert_eq!(&RunLengths::new((height, width), runs.counts().to_vec()).unwrap(), &runs);
        prop_assert_eq!(runs.area(), mask.iter().map(|&value| u64::from(value)).sum::<u64>());
        prop_assert_eq!(runs.decode(), mask);
    }
}

#[test]
fn what_cannot_be_said() {
    let refused = |annotation| {
        let coco = Coco::new(vec![image("a", vec![annotation])], &["x".into()]);
        write(&mut Vec::new(), &coco).unwrap_err().to_string()
    };
    let shape = box_of(0.0, 0.0, 1.0, 1.0);
    assert_eq!(
        refused(Annotation::new("y", shape)),
        "the class \"y\" is not a category"
    );
    let ellipse = Shape::Ellipse(cleanslide_data::Rectangle::new(0.0, 0.0, 1.0, 1.0).unwrap());
    assert!(refused(Annotation::new("x", ellipse)).contains("no ellipse"));
}
