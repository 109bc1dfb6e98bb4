//! What is exported comes back as the same evidence, in every format that can hold it.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::Lab;
use image::{GrayImage, ImageBuffer, Luma, RgbImage};
use insta::assert_snapshot;

const SIZE: u32 = 60;

/// Three images, of which nobody labels the last.
fn lab() -> Lab {
    let lab = Lab::new();
    std::fs::create_dir_all(lab.path("images")).unwrap();
    for image in ["a", "b", "c"] {
        let picture = RgbImage::new(SIZE, SIZE);
        picture
            .save(lab.path(&format!("images/{image}.png")))
            .unwrap();
    }
    lab
}

/// The evidence of the first version of a dataset, as its tables have it.
fn evidence(lab: &Lab, dataset: &str) -> String {
    let folder = lab.path(&format!("{dataset}/labels/v1"));
    let mut tables = String::new();
    for (name, bytes) in common::tree(&folder) {
        if name.extension().is_some_and(|ending| ending == "csv") {
            let text = String::from_utf8(bytes).unwrap();
            tables.push_str(&format!("{}\n{text}\n", name.display()));
        }
    }
    tables
}

fn import(lab: &Lab, format: &str, input: &str, dataset: &str, more: &[&str]) {
    let base = ["import", format, input, dataset, "--images", "images"];
    lab.ok(&[&base[..], more].concat());
}

/// Exports the first dataset, imports that again, and compares.
fn comes_back(lab: &Lab, format: &str, more_out: &[&str], more_in: &[&str]) {
    let out = format!("out-{format}");
    let export = ["export", "first", &out, "--format", format];
    let warned = lab.warns(&[&export[..], more_out].concat());
    let again = format!("again-{format}");
    let names = format!("{out}/classes.txt");
    let names = if format == "yolo" {
        vec!["--names", &*names]
    } else {
        Vec::new()
    };
    import(lab, format, &out, &again, &[more_in, &names].concat());
    assert_eq!(
        evidence(lab, "first"),
        evidence(lab, &again),
        "{format}: {warned}"
    );
    assert_eq!(warned, "", "{format}");
}

/// Boxes of two classes, one with a trust, on image a; none on image b, which was looked at.
fn boxes() -> Lab {
    let lab = lab();
    lab.write("classes.txt", "living\ndead\n");
    lab.write(
        "first-yolo/a.txt",
        "0 0.25 0.5 0.125 0.25\n1 0.5 0.5 0.25 0.75\n",
    );
    lab.write("first-yolo/b.txt", "");
    let names = ["--names", "classes.txt", "--classes", "dead,living"];
    import(&lab, "yolo", "first-yolo", "first", &names);
    lab
}

#[test]
fn boxes_come_back() {
    let lab = boxes();
    let classes = ["--classes", "dead,living"];
    for format in ["voc", "coco", "yolo", "labelme", "imagej", "asap", "aperio"] {
        comes_back(&lab, format, &[], &classes);
    }
    // GeoJSON has no kind for rectangles.
    let as_boxes = [&["--as", "boxes"], &classes[..]].concat();
    comes_back(&lab, "geojson", &[], &as_boxes);
    // Nobody looked at image c, so no format speaks of it.
    assert!(lab.path("out-voc/b.xml").exists() && !lab.path("out-voc/c.xml").exists());
    assert!(!lab.read("out-coco").contains("c.png"));
    assert_snapshot!(lab.ok(&["export", "first", "more", "--format", "voc"]));
}

#[test]
fn images_in_several_folders_are_named_by_their_paths() {
    let lab = Lab::new();
    lab.write("classes.txt", "cell\n");
    for (folder, name) in [("one", "a"), ("two", "b")] {
        let image = lab.path(&format!("images/{folder}/{name}.png"));
        std::fs::create_dir_all(image.parent().unwrap()).unwrap();
        RgbImage::new(SIZE, SIZE).save(image).unwrap();
        let labels = format!("yolo/{folder}");
        lab.write(&format!("{labels}/{name}.txt"), "0 0.25 0.5 0.125 0.25\n");
        let images = format!("images/{folder}");
        let import = ["import", "yolo", &labels, "first", "--images", &images];
        lab.ok(&[&import[..], &["--names", "classes.txt"]].concat());
    }
    for format in ["voc", "coco", "labelme"] {
        let out = format!("out-{format}");
        lab.ok(&["export", "first", &out, "--format", format]);
    }
    let coco = lab.read("out-coco");
    for path in ["one/a.png", "two/b.png"] {
        let named = format!("\"file_name\":\"{path}\"");
        assert!(coco.contains(&named), "{coco}");
    }
    let voc = lab.read("out-voc/a.xml");
    assert!(voc.contains("<filename>one/a.png</filename>"), "{voc}");
    assert!(lab.read("out-labelme/b.json").contains("two/b.png"));
}

#[test]
fn places_are_written_in_few_digits() {
    let lab = lab();
    let sides = "<xmin>12.300000190734863</xmin><ymin>0.57</ymin><xmax>40.4</xmax><ymax>50</ymax>";
    lab.write(
        "first-voc/a.xml",
        format!(
            "<annotation><filename>a.png</filename><object><name>cell</name><bndbox>{sides}</bndbox></object></annotation>"
        ),
    );
    import(&lab, "voc", "first-voc", "first", &["--corners", "edges"]);
    for (corners, expected) in [
        ("edges", ["12.3", "0.57", "40.4", "50"]),
        ("one-based", ["13.3", "1.57", "40.4", "50"]),
        ("zero-based", ["12.3", "0.57", "39.4", "49"]),
    ] {
        let out = format!("out-{corners}");
        let export = [
            "export",
            "first",
            &out,
            "--format",
            "voc",
            "--corners",
            corners,
        ];
        lab.ok(&export);
        let written = lab.read(&format!("{out}/a.xml"));
        for (side, expected) in ["xmin", "ymin", "xmax", "ymax"].iter().zip(expected) {
            let line = format!("<{side}>{expected}</{side}>");
            assert!(written.contains(&line), "{corners}: {written}");
        }
    }
}

#[test]
fn corners_of_voc_are_an_option() {
    let lab = boxes();
    for corners in ["zero-based", "edges"] {
        let out = format!("out-{corners}");
        lab.ok(&[
            "export",
            "first",
            &out,
            "--format",
            "voc",
            "--corners",
            corners,
        ]);
        let again = format!("again-{corners}");
        let more = ["--corners", corners, "--classes", "dead,living"];
        import(&lab, "voc", &out, &again, &more);
        assert_eq!(evidence(&lab, "first"), evidence(&lab, &again), "{corners}");
    }
}

#[test]
fn scores_come_back_as_trust() {
    let lab = lab();
    lab.write("classes.txt", "cell\n");
    lab.write(
        "first-yolo/a.txt",
        "0 0.25 0.5 0.125 0.25 0.7\n0 0.5 0.5 0.25 0.75 0.123\n",
    );
    import(
        &lab,
        "yolo",
        "first-yolo",
        "first",
        &["--names", "classes.txt"],
    );
    assert!(evidence(&lab, "first").contains("0.123"));
    comes_back(&lab, "yolo", &[], &[]);
    comes_back(&lab, "coco", &[], &[]);
    assert!(
        lab.read("out-coco").contains("\"score\":0.7,")
            || lab.read("out-coco").contains("\"score\":0.7}")
    );
    assert_snapshot!(lab.warns(&["export", "first", "lossy", "--format", "voc"]));
}

/// An outline with fractions, one with a hole, and a point.
fn outlines(hole: bool) -> Lab {
    let lab = lab();
    let rings = if hole {
        "[[10,10],[30,10],[30,30],[10,30],[10,10]],[[15,15],[15,20],[20,20],[20,15],[15,15]]"
    } else {
        "[[10,10],[30,10.25],[30.5,30],[10,10]]"
    };
    let feature = |geometry: &str| {
        format!(
            "{{\"type\":\"Feature\",\"geometry\":{geometry},\"properties\":\
             {{\"classification\":{{\"name\":\"cell\"}}}}}}"
        )
    };
    let polygon = format!("{{\"type\":\"Polygon\",\"coordinates\":[{rings}]}}");
    let point = "{\"type\":\"Point\",\"coordinates\":[40.5,3.5]}";
    lab.write(
        "first-geojson/a.geojson",
        format!(
            "{{\"type\":\"FeatureCollection\",\"features\":[{},{}]}}",
            feature(&polygon),
            feature(point)
        ),
    );
    import(&lab, "geojson", "first-geojson", "first", &AS_OUTLINES);
    lab
}

const AS_OUTLINES: [&str; 2] = ["--as", "outlines"];

#[test]
fn outlines_and_points_come_back() {
    let lab = outlines(false);
    for format in ["geojson", "labelme", "imagej", "asap", "aperio"] {
        comes_back(&lab, format, &[], &AS_OUTLINES);
    }
    let warned = lab.warns(&["export", "first", "out.json", "--format", "coco"]);
    assert_eq!(warned, "warning: the points of `labels` are left out");
    let lab = outlines(true);
    for format in ["geojson", "imagej", "aperio"] {
        comes_back(&lab, format, &[], &AS_OUTLINES);
    }
    assert_snapshot!(lab.fails(&["export", "first", "out-asap", "--format", "asap"]));
    let filled = [
        "export",
        "first",
        "out-asap",
        "--format",
        "asap",
        "--fill-holes",
    ];
    assert_snapshot!(lab.warns(&filled));
    assert_snapshot!(lab.warns(&["export", "first", "out-voc", "--format", "voc"]));
    assert!(lab.read("out-voc/a.xml").contains("<xmin>11</xmin>"));
}

/// Two objects, one of two parts with a hole.
fn instances(lab: &Lab, unlabelled: bool) {
    std::fs::create_dir_all(lab.path("masks")).unwrap();
    let mask = ImageBuffer::from_fn(SIZE, SIZE, |x, y| {
        let ring = (10..20).contains(&x) && (10..20).contains(&y) && (x, y) != (15, 15);
        Luma([match (x, y) {
            _ if ring => 1_u16,
            (30..40, 30..50) => 2,
            (45, 45) => 1,
            (50.., _) if unlabelled => u16::MAX,
            _ => 0,
        }])
    });
    mask.save(lab.path("masks/a.png")).unwrap();
}

#[test]
fn instances_come_back() {
    let lab = lab();
    instances(&lab, false);
    import(
        &lab,
        "instances",
        "masks",
        "first",
        &["--classes", "nucleus"],
    );
    comes_back(&lab, "instances", &[], &["--classes", "nucleus"]);

    // As outlines they are the same in all formats that hold them exactly.
    for format in ["geojson", "imagej", "coco"] {
        let out = format!("out-{format}");
        assert_eq!(
            lab.warns(&["export", "first", &out, "--format", format]),
            ""
        );
        import(&lab, format, &out, &format!("again-{format}"), &AS_OUTLINES);
        // And as instance masks they are what they were, numbers and classes.
        import(&lab, format, &out, &format!("masks-{format}"), &[]);
        let masks = evidence(&lab, &format!("masks-{format}"));
        assert_eq!(masks, evidence(&lab, "first"), "{format}");
    }
    let traced = evidence(&lab, "again-geojson");
    assert!(traced.contains("20 10 20 20 10 20 10 10|16 16"), "{traced}");
    assert_eq!(traced, evidence(&lab, "again-imagej"));
    assert_eq!(traced, evidence(&lab, "again-coco"));
    assert_snapshot!(lab.warns(&["export", "first", "out-aperio", "--format", "aperio"]));
    assert_snapshot!(lab.warns(&["export", "first", "out-yolo", "--format", "yolo", "--boxes"]));
    assert_snapshot!(lab.read("out-yolo/a.txt"));
}

#[test]
fn unlabelled_pixels_stay_unlabelled() {
    let lab = lab();
    instances(&lab, true);
    let more = ["--classes", "nucleus", "--unlabelled", "65535"];
    import(&lab, "instances", "masks", "first", &more);
    let warned = lab.warns(&["export", "first", "out", "--format", "instances"]);
    assert_snapshot!(warned);
    import(&lab, "instances", "out", "again", &more);
    assert_eq!(evidence(&lab, "first"), evidence(&lab, "again"));
    assert_snapshot!(lab.warns(&["export", "first", "out-geojson", "--format", "geojson"]));
}

#[test]
fn class_masks_come_back_and_become_outlines() {
    let lab = lab();
    std::fs::create_dir_all(lab.path("masks")).unwrap();
    let mask = GrayImage::from_fn(SIZE, SIZE, |x, y| {
        Luma([match (x, y) {
            (5..15, 5..15) => 1_u8,
            (15..25, 5..15) => 2,
            (40..50, 40..50) => 1,
            (_, 58..) => 255,
            _ => 0,
        }])
    });
    mask.save(lab.path("masks/a.png")).unwrap();
    let classes = ["--classes", "background,tumour,stroma"];
    import(&lab, "masks", "masks", "first", &classes);
    comes_back(&lab, "masks", &[], &classes);
    assert_eq!(
        lab.read("out-masks/classes.txt"),
        "background\ntumour\nstroma\n"
    );
    let geojson = ["export", "first", "out-geojson", "--format", "geojson"];
    assert_snapshot!(lab.warns(&geojson));
    let written = lab.read("out-geojson/a.geojson");
    assert_eq!(
        written.matches("\"name\":\"tumour\"").count(),
        2,
        "{written}"
    );
    assert!(!written.contains("\"name\":\"background\""), "{written}");
    let all = [
        "export",
        "first",
        "out-all",
        "--format",
        "geojson",
        "--background",
        "stroma",
    ];
    lab.ok(&all);
    assert!(
        lab.read("out-all/a.geojson")
            .contains("\"name\":\"background\"")
    );
}

#[test]
fn incomplete_lists_are_told_and_empty_ones_not_written() {
    let lab = boxes();
    lab.write("some/a.txt", "0 0.25 0.5 0.125 0.25\n");
    lab.write("some/b.txt", "");
    let more = [
        "--names",
        "classes.txt",
        "--classes",
        "dead,living",
        "--source",
        "some",
        "--incomplete",
    ];
    import(&lab, "yolo", "some", "first", &more);
    let export = ["export", "first", "out", "--format", "voc"];
    assert_snapshot!(lab.fails(&export));
    assert_snapshot!(lab.warns(&[&export[..], &["--source", "some"]].concat()));
    assert!(lab.path("out/a.xml").exists() && !lab.path("out/b.xml").exists());
}

#[test]
fn what_cannot_be_written_is_told() {
    let lab = boxes();
    lab.write("file", "");
    assert_snapshot!(lab.fails(&["export", "first", "table.csv"]));
    assert_snapshot!(lab.fails(&["export", "first", "out", "--format", "masks"]));
    assert_snapshot!(lab.fails(&["export", "first", "out", "--format", "vok"]));
    assert_snapshot!(lab.fails(&["export", "first", "file", "--format", "voc"]));
    assert_snapshot!(lab.fails(&["export", "first", "images", "--format", "voc"]));
    assert_snapshot!(lab.fails(&["export", "first", "file/out", "--format", "voc"]));
    assert_snapshot!(lab.fails(&[
        "export", "first", "out", "--format", "voc", "--source", "label"
    ]));
    assert_snapshot!(lab.fails(&["export", "first", "out", "--format", "masks", "--boxes"]));
    // Nothing of a failed export stays.
    std::fs::remove_file(lab.path("images/a.png")).unwrap();
    assert_snapshot!(lab.fails(&["export", "first", "out", "--format", "yolo"]));
    assert!(!lab.path("out").exists());
}
