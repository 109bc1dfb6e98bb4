//! Boxes and instance masks of several experts become one consensus.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::Lab;
use image::{ImageBuffer, Luma};
use insta::assert_snapshot;
use serde_json::Value;

/// Left, top, right, bottom.
type Sides = [u32; 4];

const SIZE: u32 = 100;

fn voc(lab: &Lab, folder: &str, image: &str, boxes: &[Sides]) {
    let objects: String = boxes
        .iter()
        .map(|[left, top, right, bottom]| {
            format!(
                "<object><name>cell</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{right}</xmax>\
                 <ymax>{bottom}</ymax></bndbox></object>",
                left + 1,
                top + 1
            )
        })
        .collect();
    lab.write(
        &format!("{folder}/{image}.xml"),
        format!("<annotation>{objects}</annotation>"),
    );
}

fn pictures(lab: &Lab) {
    std::fs::create_dir_all(lab.path("images")).unwrap();
    for image in ["a", "b", "c"] {
        let picture = image::RgbImage::new(SIZE, SIZE);
        picture
            .save(lab.path(&format!("images/{image}.png")))
            .unwrap();
    }
}

/// Three experts on image a, one of them alone on b, nobody on c.
fn boxes() -> Lab {
    let lab = Lab::new();
    pictures(&lab);
    voc(&lab, "anna", "a", &[[0, 0, 10, 10], [50, 50, 60, 60]]);
    voc(&lab, "anna", "b", &[[5, 5, 25, 25]]);
    voc(&lab, "ben", "a", &[[1, 0, 11, 10]]);
    voc(&lab, "carla", "a", &[[2, 0, 12, 10], [80, 80, 95, 90]]);
    for expert in ["anna", "ben", "carla"] {
        lab.ok(&[
            "import", "voc", expert, "smears", "--images", "images", "--source", expert,
        ]);
    }
    lab
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn boxes_that_two_experts_drew() {
    let lab = boxes();
    assert_snapshot!(lab.ok(&["fuse", "smears"]));
    let table = lab.read("smears/labels/v4/boxes.csv");
    let consensus: Vec<&str> = table.lines().filter(|l| l.contains("consensus")).collect();
    assert_eq!(consensus.len(), 1, "{table}");
    assert!(
        consensus[0].contains("1,0,11,10,cell,1"),
        "{}",
        consensus[0]
    );
    // Each of the dropped ones was drawn by one of three who looked: there is nothing.
    let looked = lab.read("smears/labels/v4/looked.csv");
    let line = looked.lines().find(|l| l.contains("consensus")).unwrap();
    assert!(line.contains("boxes,yes,1"), "{line}");

    // Of two, one is half: nobody knows. A second consensus stands beside the first.
    let two = [
        "fuse",
        "smears",
        "--annotators",
        "anna,carla",
        "--name",
        "pair",
        "--overlap",
        "0.6",
        "--json",
    ];
    let pair = json(&lab.ok(&two));
    assert_eq!(
        (&pair["objects"], &pair["complete_images"]),
        (&1.into(), &0.into())
    );
    assert_eq!(pair["experts"][0]["precision"], 0.5);
    assert_eq!(pair["experts"][0]["recall"], 1.0);
    let status = lab.ok(&["status", "smears"]);
    assert!(
        status.contains("pair") && status.contains("consensus"),
        "{status}"
    );
}

#[test]
fn rules_of_detectors_weigh_by_trust() {
    let lab = boxes();
    let objects = |arguments: &[&str]| {
        let all = [&["fuse", "smears", "--json", "--rule"], arguments].concat();
        json(&lab.ok(&all))["objects"].as_u64().unwrap()
    };
    // One box of three, two alone, and the one of the image that one expert saw.
    assert_eq!(objects(&["wbf"]), 4);
    assert_eq!(objects(&["wbf", "--minimum-experts", "2"]), 1);
    assert_eq!(
        objects(&["wbf", "--confidence", "max", "--allow-overflow"]),
        4
    );
    assert_eq!(objects(&["nmw", "--overlap", "0.9"]), 6);
    assert_eq!(objects(&["nms"]), 4);
    assert_eq!(objects(&["soft-nms", "--sigma", "0.3"]), 6);
    assert_eq!(
        objects(&["soft-nms", "--decay", "linear", "--lowest-score", "0.4"]),
        4
    );
    let weighted = [
        "wbf",
        "--annotators",
        "anna,ben,carla",
        "--weights",
        "2,1,1",
    ];
    assert_eq!(objects(&weighted), 4);
    let table = lab.read("smears/labels/v11/boxes.csv");
    let line = table.lines().find(|l| l.contains(",wbf,0.75,")).unwrap();
    assert!(line.contains("0.75,0,10.75,10,cell,1"), "{line}");
    // Two of three views have no box in the corner, and those of weight 2 have.
    assert!(table.contains("wbf,50,50,60,60,cell,0.5"), "{table}");
}

#[test]
fn instances_that_two_experts_drew() {
    let lab = Lab::new();
    pictures(&lab);
    // Two touching objects by all, with another border; a third by one only.
    for (shift, expert) in ["anna", "ben", "carla"].iter().enumerate() {
        std::fs::create_dir_all(lab.path(expert)).unwrap();
        let middle = 30 + shift as u32;
        let mask = ImageBuffer::from_fn(SIZE, SIZE, |x, y| {
            let inside = (10..50).contains(&x) && (10..40).contains(&y);
            Luma([match inside {
                true if x < middle => 7_u16,
                true => 9,
                false if shift == 1 && x >= 80 && y >= 80 => 300,
                false => 0,
            }])
        });
        mask.save(lab.path(&format!("{expert}/a.png"))).unwrap();
        lab.ok(&[
            "import",
            "instances",
            expert,
            "nuclei",
            "--images",
            "images",
            "--classes",
            "nucleus",
            "--source",
            expert,
        ]);
    }
    assert_snapshot!(lab.ok(&["fuse", "nuclei"]));
    let all = json(&lab.ok(&["fuse", "nuclei", "--minimum-experts", "1", "--json"]));
    assert_eq!(all["objects"], 3);
    assert_eq!(all["complete_images"], 1);
    let said = lab.fails(&["fuse", "nuclei", "--ties", "lowest-class"]);
    assert!(said.contains("unlabelled, inside and outside"), "{said}");
}

#[test]
fn what_does_not_fit_is_told() {
    let lab = boxes();
    assert_snapshot!(lab.fails(&["fuse", "smears", "--rule", "glad"]));
    assert_snapshot!(lab.fails(&["fuse", "smears", "--rule", "wpf"]));
    assert_snapshot!(lab.fails(&["fuse", "smears", "--rule", "nms", "--corners", "median"]));
    assert_snapshot!(lab.fails(&["fuse", "smears", "--annotators", "anna"]));
    assert_snapshot!(lab.fails(&["fuse", "smears", "--annotators", "anna,bob"]));
    assert_snapshot!(lab.fails(&["fuse", "smears", "--family", "instances"]));
    assert_snapshot!(lab.fails(&["fuse", "smears", "--minimum-experts", "4"]));
    assert_snapshot!(lab.fails(&["fuse", "smears", "--overlap", "1.5"]));
    assert_snapshot!(lab.fails(&["fuse", "smears", "--name", "ben"]));
    let two = [
        "fuse",
        "smears",
        "--rule",
        "wbf",
        "--annotators",
        "anna,ben",
        "--weights",
        "1",
    ];
    assert_snapshot!(lab.fails(&two));
    // Anna and ben also drew outlines.
    for expert in ["anna", "ben"] {
        lab.write(
            "outlines/a.geojson",
            r#"{"type":"FeatureCollection","features":[{"type":"Feature","geometry":{"type":"Polygon",
            "coordinates":[[[1,1],[5,1],[5,5],[1,1]]]},"properties":{"classification":{"name":"cell"}}}]}"#,
        );
        lab.ok(&[
            "import", "geojson", "outlines", "smears", "--images", "images", "--source", expert,
            "--as", "outlines",
        ]);
    }
    assert_snapshot!(lab.fails(&["fuse", "smears"]));
    assert_snapshot!(lab.fails(&["fuse", "smears", "--family", "polygons"]));
}
