//! YOLO and LabelMe.

use std::path::Path;

use cleanslide_data::formats::{Annotation, Attribute, Shape, labelme, yolo};
use cleanslide_data::{Point, Rectangle};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::*;

fn names() -> Vec<String> {
    yolo::read_names(Path::new("names"), b"cell\r\nnucleus, large\n\n").unwrap()
}

#[test]
fn lines_of_yolo() {
    assert_eq!(names(), ["cell", "nucleus, large"]);
    let names_error = yolo::read_names(Path::new("names"), b"a\n\nb").unwrap_err();
    assert!(
        names_error
            .to_string()
            .starts_with("names, line 2: a class has no name")
    );
    let text = "1 0.5 0.5 0.25 0.5\n\
        0 0.5 0.5 0.25 0.5 0.75\n\n\
        0 0 0 1 0 1 1\n\
        0 0 0 1 0 1 1 0.5\n\
        0 0.1 0.5 0.205 0.5\n\
        2 0.5 0.5 0.25 0.5\n\
        0 120 80 20 20\n\
        0 0.5 0.5 0 0.5\n\
        0 0.5 0.5 nan 0.5\n\
        0 0.5 0.5\n";
    let found = yolo::read(
        Path::new("a"),
        text.as_bytes(),
        "a.png",
        (200, 400),
        &names(),
    )
    .unwrap();
    let all = &found.content.annotations;
    assert_eq!(found.content.size, Some((200, 400)));
    assert_eq!(all[0].class.as_deref(), Some("nucleus, large"));
    assert_eq!(
        (&all[0].shape, all[0].score),
        (&box_of(150.0, 50.0, 250.0, 150.0), None)
    );
    assert_eq!(all[1].score, Some(0.75));
    let triangle = polygon(&[(0.0, 0.0), (400.0, 0.0), (400.0, 200.0)]);
    assert_eq!((&all[2].shape, all[2].score), (&triangle, None));
    assert_eq!((&all[3].shape, all[3].score), (&triangle, Some(0.5)));
    assert_eq!(all[4].shape.bounds().unwrap().left, 0.0);
    assert_eq!(all.len(), 5);
    let texts: Vec<String> = found.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "line 6: it reached 1.0 pixels beyond the image and was cut",
            "line 7: left out: \"2\" is not the number of a class, 0 to 1",
            "line 8: left out: 120 is not a share of the image, from 0 to 1",
            "line 9: left out: the box has no area",
            "line 10: left out: \"nan\" is not a number",
            "line 11: left out: 2 numbers are neither a box nor an outline",
        ]
    );
    let nothing = yolo::read(Path::new("a"), b"", "a.png", (200, 400), &names()).unwrap();
    assert_eq!(nothing.content.annotations, []);
    assert!(yolo::read(Path::new("a"), b"\xff\xfe0\0", "a", (1, 1), &names()).is_err());
}

const LABELME: &str = r#"{
  "version": "5.4.1", "flags": {}, "imagePath": "..\\a.png", "imageData": "iVBORw0KGgo=",
  "imageHeight": 50, "imageWidth": 100,
  "shapes": [
    {"label": "cell", "points": [[1, 2], [5.5, 2], [5, 9]], "group_id": 3, "shape_type": "polygon",
     "flags": {"doubtful": true}, "description": "left \"one\""},
    {"label": "cell", "points": [[9, 8], [3, 4]], "group_id": null, "shape_type": "rectangle", "flags": {}},
    {"label": "", "points": [[10, 10], [13, 14]], "shape_type": "circle"},
    {"label": "old", "points": [[1, 2], [5.5, 2], [5, 9]], "line_color": null},
    {"label": "p", "points": [[1, 2]], "shape_type": "point"},
    {"label": "l", "points": [[1, 2], [3, 4]], "shape_type": "linestrip"},
    {"label": "l", "points": [[1, 2]], "shape_type": "circle"},
    {"label": "l", "points": [["1", 2]], "shape_type": "point"},
    {"label": "l", "points": [[1, 2], [1, 9]], "shape_type": "rectangle"},
    7
  ]
}"#;

#[test]
fn a_file_of_labelme() {
    let found = labelme::read(Path::new("a.json"), LABELME.as_bytes()).unwrap();
    assert_eq!(found.content.file_name, "..\\a.png");
    assert_eq!(found.content.size, Some((50, 100)));
    let all = &found.content.annotations;
    assert_eq!(all.len(), 5);
    assert_eq!(all[0].attribute("group_id"), Some(&Attribute::Number(3.0)));
    assert_eq!(
        all[0].attribute("description"),
        Some(&Attribute::Text("left \"one\"".into()))
    );
    assert!(all[0].flag("doubtful"));
    assert_eq!(all[1].shape, box_of(3.0, 4.0, 9.0, 8.0));
    let circle = Rectangle::new(5.0, 5.0, 15.0, 15.0).unwrap();
    assert_eq!(
        (&all[2].shape, &all[2].class),
        (&Shape::Ellipse(circle), &None)
    );
    assert_eq!(all[3].shape, polygon(&[(1.0, 2.0), (5.5, 2.0), (5.0, 9.0)]));
    assert_eq!(all[4].shape, Shape::Point(Point::new(1.0, 2.0)));
    let texts: Vec<String> = found.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts[0],
        "shape 6: left out: lines have no area and cannot be labels"
    );
    assert_eq!(texts[1], "shape 7: left out: a circle with 1 points");
    assert!(texts[2].starts_with("shape 8: left out: invalid type: string"));
    assert_eq!(texts[3], "shape 9: left out: the rectangle has no area");
    assert_eq!(texts.len(), 5);

    let error = |text: &str| {
        labelme::read(Path::new("a"), text.as_bytes())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(error("{}"), "a, line 1, column 2: missing field `shapes`");
    assert!(error(&LABELME[..300]).contains("EOF"));
    assert!(error("{\"shapes\":\n3}").starts_with("a, line 2"));
}

fn any_shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        any_rectangle().prop_map(Shape::Rectangle),
        any_polygon(0).prop_map(Shape::Polygon),
        any_point().prop_map(Shape::Point),
        vec(any_point(), 1..4).prop_map(Shape::Points),
        (any_point(), 1..400_i32).prop_map(|(centre, radius)| {
            let radius = f64::from(radius);
            let (left, top) = (centre.x - radius, centre.y - radius);
            let (right, bottom) = (centre.x + radius, centre.y + radius);
            Shape::Ellipse(Rectangle::new(left, top, right, bottom).unwrap())
        }),
    ]
}

proptest! {
    #[test]
    fn labelme_round_trip(
        objects in vec((any_shape(), any_name(), any::<bool>()), 0..5),
        name in any_name(),
    ) {
        let annotation = |(shape, class, more): (Shape, String, bool)| {
            let mut annotation = Annotation::new(class, shape);
            if more {
                annotation.attributes = vec![
                    ("group_id".into(), Attribute::Number(2.0)),
                    ("description".into(), Attribute::Text("[\"".into())),
                    ("a flag".into(), Attribute::Flag(false)),
                ];
            }
            annotation
        };
        let image = image(&name, objects.into_iter().map(annotation).collect());
        let mut bytes = Vec::new();
        labelme::write(&mut bytes, &image).unwrap();
        let back = labelme::read(Path::new("a"), &bytes).unwrap();
        prop_assert_eq!(&back.warnings, &[]);
        prop_assert_eq!(back.content, image);
    }

    #[test]
    fn yolo_round_trip(
        objects in vec((any_rectangle(), any_ring(), 0..2_usize, any::<bool>()), 0..5),
        size in (1600..3000_usize, 1600..3000_usize),
    ) {
        let annotation = |(rectangle, ring, class, is_box): (Rectangle, Vec<Point>, usize, bool)| {
            let shape = if is_box {
                Shape::Rectangle(rectangle)
            } else {
                Shape::Polygon(cleanslide_data::Polygon { outline: ring, holes: Vec::new() })
            };
            Annotation { score: is_box.then_some(0.5), ..Annotation::new(&names()[class], shape) }
        };
        let mut image = image("a", objects.into_iter().map(annotation).collect());
        image.size = Some(size);
        let mut bytes = Vec::new();
        yolo::write(&mut bytes, &image, &names()).unwrap();
        let back = yolo::read(Path::new("a"), &bytes, "a", size, &names()).unwrap();
        prop_assert_eq!(&back.warnings, &[]);
        prop_assert_eq!(back.content.annotations.len(), image.annotations.len());
        for (back, given) in back.content.annotations.iter().zip(&image.annotations) {
            prop_assert_eq!((&back.class, back.score), (&given.class, given.score));
            let outline = |a: &Annotation| a.shape.polygons().unwrap().remove(0).outline;
            for (found, given) in outline(back).iter().zip(outline(given)) {
                // Divided by and multiplied with the size: a few units in the last of 16 digits.
                prop_assert!((found.x - given.x).abs() < 1e-9 && (found.y - given.y).abs() < 1e-9);
            }
        }
    }
}

#[test]
fn what_cannot_be_said() {
    let mut image = image("a", vec![Annotation::new("x", box_of(0.0, 0.0, 1.0, 1.0))]);
    let mut refused = |size| {
        image.size = size;
        yolo::write(&mut Vec::new(), &image, &names())
            .unwrap_err()
            .to_string()
    };
    assert!(refused(None).contains("size"));
    assert_eq!(refused(Some((5, 5))), "the class \"x\" has no number");
    assert!(yolo::write_names(&mut Vec::new(), &["a\nb".into()]).is_err());
    let mut bytes = Vec::new();
    yolo::write_names(&mut bytes, &names()).unwrap();
    assert_eq!(yolo::read_names(Path::new("n"), &bytes).unwrap(), names());
    let oval = Shape::Ellipse(Rectangle::new(0.0, 0.0, 1.0, 2.0).unwrap());
    let image = crate::common::image("a", vec![Annotation::new("x", oval)]);
    assert!(labelme::write(&mut Vec::new(), &image).is_err());
}
