//! Noise in instances and boxes, from injection to the audit that finds it.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::Lab;
use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage};
use serde_json::Value;

const SIZE: u32 = 120;
const PICTURES: u32 = 6;
/// Disks on each picture, four by four.
const DISKS: u32 = 16;

/// The number of the disk at a pixel, from 1; 0 for none.
fn disk(number: u32, x: u32, y: u32) -> u16 {
    let (column, row) = (x / 30, y / 30);
    let centre = |at: u32| 30.0 * at as f32 + 13.0 + ((number + at) % 4) as f32;
    let radius = 7.0 + ((column + 2 * row + number) % 3) as f32;
    let distance = (x as f32 + 0.5 - centre(column)).hypot(y as f32 + 0.5 - centre(row));
    if distance <= radius {
        (row * 4 + column + 1) as u16
    } else {
        0
    }
}

/// Purple disks on pink as instance masks, imported with their reference.
fn nuclei() -> Lab {
    let lab = Lab::new();
    for folder in ["images", "masks"] {
        std::fs::create_dir_all(lab.path(folder)).unwrap();
    }
    for number in 0..PICTURES {
        let picture = RgbImage::from_fn(SIZE, SIZE, |x, y| {
            let wave = ((x * 7 + y * 5 + number) % 13) as u8;
            Rgb(if disk(number, x, y) > 0 {
                [120 + wave, 60, 140]
            } else {
                [230, 215 - wave, 230]
            })
        });
        picture
            .save(lab.path(&format!("images/case{number}.png")))
            .unwrap();
        let mask: ImageBuffer<Luma<u16>, Vec<u16>> =
            ImageBuffer::from_fn(SIZE, SIZE, |x, y| Luma([disk(number, x, y)]));
        mask.save(lab.path(&format!("masks/case{number}.png")))
            .unwrap();
    }
    let import = [
        "import",
        "instances",
        "masks",
        "nuclei",
        "--images",
        "images",
    ];
    let more = ["--classes", "nucleus", "--source", "expert"];
    lab.ok(&[&import[..], &more, &["--case-pattern", "^(case.)"]].concat());
    lab
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn what_is_injected_is_counted_kept_apart_and_found() {
    let lab = nuclei();
    let objects = f64::from(PICTURES * DISKS);
    let inject = [
        "inject",
        "drop",
        "nuclei",
        "--rate",
        "0.25",
        "--sheet",
        "dropped.html",
    ];
    let said = json(&lab.ok(&[&inject[..], &["--json"]].concat()));
    assert_eq!(said["objects"], PICTURES * DISKS);
    assert_eq!(said["realised_rate"], 0.25);
    assert_eq!(said["mistakes"][0]["mistake"], "missed");
    assert_eq!(said["mistakes"][0]["times"], 24);
    assert!(lab.read("dropped.html").contains("as it truly is"));
    // The clean labels are in the reference alone.
    let status = lab.ok(&["status", "nuclei"]);
    let labelled = |source: &str| -> Vec<String> {
        let mut lines = status.lines().map(str::split_whitespace);
        let line = lines.find_map(|mut words| (words.next() == Some(source)).then_some(words));
        line.unwrap().skip(1).map(str::to_owned).collect()
    };
    assert_eq!(labelled("noisy"), ["6", "72"], "{status}");
    assert_eq!(labelled("expert"), ["0", "0"], "{status}");

    let audit = lab.ok(&["audit", "nuclei", "--folds", "3", "--out", "audit"]);
    assert!(
        audit.contains("72 objects of noisy in v2 on 6 images"),
        "{audit}"
    );
    assert!(audit.contains("missed object"), "{audit}");
    assert!(
        lab.read("audit/issues/case0.geojson")
            .contains("missed object")
    );
    assert!(lab.read("audit/issues.html").contains("probably missing"));
    let measured = json(&lab.ok(&[
        "evaluate",
        "nuclei",
        "audit/issues.csv",
        "--same-from",
        "1",
        "--json",
    ]));
    assert_eq!(measured["missing"], 24);
    assert_eq!(measured["wrong"], 0);
    let value = |name: &str| -> f64 {
        let measures = measured["measures"].as_array().unwrap();
        let found = measures
            .iter()
            .find(|measure| measure["name"] == name)
            .unwrap();
        found["estimate"]["value"].as_f64().unwrap()
    };
    assert!(value("recall of flagged") > 0.9, "{measured}");
    assert!(value("precision of flagged") > 0.9, "{measured}");
    assert!(
        (value("by chance") - 24.0 / objects).abs() < 0.05,
        "{measured}"
    );
}

#[test]
fn every_kind_of_noise_in_instances_is_exact() {
    let lab = nuclei();
    let kinds: [(&str, &[&str], &str); 6] = [
        ("add", &["--plane", "haematoxylin"], "false"),
        ("merge", &["--gap", "30"], "merged"),
        ("split", &[], "split"),
        ("dilate-erode", &["--direction", "larger"], "larger"),
        ("border", &["--steps", "10"], "border"),
        ("drop", &[], "missed"),
    ];
    for (kind, more, mistake) in kinds {
        let inject = [
            "inject", kind, "nuclei", "--labels", "v1", "--rate", "0.125",
        ];
        let said = json(&lab.ok(&[&inject[..], &["--json", "--name", kind], more].concat()));
        assert_eq!(said["realised_rate"], 0.125, "{kind}: {said}");
        assert_eq!(said["mistakes"][0]["mistake"], mistake, "{kind}");
        assert_eq!(said["reference"], "truth");
    }
    // The same truth is kept once, and what is known is measured.
    let measured = lab.ok(&["evaluate", "nuclei", "v7", "--reference", "truth"]);
    assert!(measured.contains("drop"), "{measured}");
    let expert = [
        "inject",
        "expert",
        "nuclei",
        "--labels",
        "v1",
        "--outline",
        "-2",
    ];
    let said = lab.ok(&[&expert[..], &["--miss-small", "160"]].concat());
    assert!(
        said.contains("smaller") && said.contains("missed"),
        "{said}"
    );
}

#[test]
fn boxes_are_made_wrong_and_judged_by_a_detector() {
    let lab = nuclei();
    for (folder, class) in [("voc", "nucleus"), ("found", "nucleus")] {
        for number in 0..PICTURES {
            let mut objects = String::new();
            for index in 1..=DISKS as u16 {
                let places = (0..SIZE * SIZE).map(|at| (at % SIZE, at / SIZE));
                let inside: Vec<(u32, u32)> = places
                    .filter(|&(x, y)| disk(number, x, y) == index)
                    .collect();
                let side = |of: fn(&(u32, u32)) -> u32| {
                    let all = inside.iter().map(of);
                    (all.clone().min().unwrap() + 1, all.max().unwrap() + 1)
                };
                let ((left, right), (top, bottom)) = (side(|at| at.0), side(|at| at.1));
                objects += &format!(
                    "<object><name>{class}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin>\
                     <xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
                );
            }
            lab.write(
                &format!("{folder}/case{number}.xml"),
                format!("<annotation><filename>case{number}.png</filename>{objects}</annotation>"),
            );
        }
    }
    let import = |folder: &str, source: &str| {
        let base = ["import", "voc", folder, "boxes", "--images", "images"];
        lab.ok(&[
            &base[..],
            &["--source", source, "--case-pattern", "^(case.)"],
        ]
        .concat());
    };
    import("voc", "expert");
    import("found", "detector");
    let inject = |kind: &str, more: &[&str]| {
        let base = [
            "inject", kind, "boxes", "--labels", "v2", "--source", "expert",
        ];
        json(
            &lab.ok(&[
                &base[..],
                &["--rate", "0.25", "--name", kind, "--json"],
                more,
            ]
            .concat()),
        )
    };
    for kind in ["rescale", "drop", "shift"] {
        let more: &[&str] = if kind == "shift" {
            &["--by", "0.5..0.6"]
        } else {
            &[]
        };
        assert_eq!(inject(kind, more)["realised_rate"], 0.25, "{kind}");
    }
    let audit = |more: &[&str]| {
        let base = ["audit", "boxes", "--source", "shift", "--out", "audit"];
        [&base[..], more]
            .concat()
            .into_iter()
            .map(String::from)
            .collect::<Vec<_>>()
    };
    let run =
        |arguments: Vec<String>| lab.ok(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let said = run(audit(&["--against", "detector"]));
    assert!(said.contains("badly located box"), "{said}");
    let measured = run(["evaluate", "boxes", "audit/issues.csv", "--json"]
        .map(String::from)
        .to_vec());
    let measured = json(&measured);
    // All shifted boxes still have an IoU of a fifth at least: they are wrong, and nothing is missing.
    assert_eq!(measured["wrong"], 24);
    assert_eq!(measured["missing"], 0);
    let measures = measured["measures"].as_array().unwrap();
    let ap = measures
        .iter()
        .find(|m| m["name"] == "average precision")
        .unwrap();
    assert_eq!(ap["estimate"]["value"], 1.0, "{measured}");

    let arguments = audit(&[]);
    let said = lab.fails(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(
        said.contains("judged by boxes that a detector predicts"),
        "{said}"
    );
}

#[test]
fn class_masks_have_borders_and_pixels() {
    let lab = nuclei();
    std::fs::create_dir_all(lab.path("classes")).unwrap();
    for number in 0..PICTURES {
        let mask = GrayImage::from_fn(SIZE, SIZE, |x, y| Luma([u8::from(disk(number, x, y) > 0)]));
        mask.save(lab.path(&format!("classes/case{number}.png")))
            .unwrap();
    }
    let base = ["import", "masks", "classes", "tissue", "--images", "images"];
    let more = ["--classes", "background,nucleus", "--source", "expert"];
    lab.ok(&[&base[..], &more, &["--case-pattern", "^(case.)"]].concat());
    let border = [
        "inject", "border", "tissue", "--rate", "1", "--growth", "0.8",
    ];
    let said = json(&lab.ok(&[&border[..], &["--json"]].concat()));
    assert_eq!(said["images_changed"], PICTURES);
    let rate = said["realised_rate"].as_f64().unwrap();
    assert!(rate > 0.01, "{said}");

    let said = lab.ok(&["audit", "tissue", "--folds", "3", "--out", "audit"]);
    assert!(said.contains("86,400 labelled pixels of noisy"), "{said}");
    assert!(
        lab.read("audit/images.csv")
            .starts_with("image,labelled_pixels,issues,score,softmin")
    );
    // The probabilities that it wrote can be given to it, with the same result.
    let again = [
        "audit",
        "tissue",
        "--probabilities",
        "audit/probabilities",
        "--out",
        "again",
    ];
    lab.ok(&again);
    assert_eq!(lab.read("audit/issues.csv"), lab.read("again/issues.csv"));
    let said = lab.fails(&[
        "inject", "drop", "tissue", "--source", "noisy", "--rate", "0.1",
    ]);
    assert!(said.contains("Class masks take border."), "{said}");
}

#[test]
fn what_cannot_be_done_is_said() {
    let lab = nuclei();
    let messages = [
        (
            vec!["inject", "drop", "nuclei", "--rate", "2"],
            "must be from 0 to 1",
        ),
        (
            vec!["inject", "shift", "nuclei", "--rate", "0.1"],
            "shift is for boxes",
        ),
        (
            vec!["inject", "swap", "nuclei", "--rate", "0.1"],
            "need at least two",
        ),
        (vec!["inject", "expert", "nuclei"], "has no habits"),
        (
            vec!["inject", "merge", "nuclei", "--rate", "1"],
            "these images allow",
        ),
        (
            vec!["inject", "shift", "nuclei", "--rate", "1", "--by", "x"],
            "write FROM..TO",
        ),
        (
            vec!["audit", "nuclei", "--against", "model"],
            "`model` has no instances in v1",
        ),
        (
            vec!["audit", "nuclei", "--probabilities", "nowhere"],
            "case0.safetensors",
        ),
        (
            vec!["audit", "nuclei", "--folds", "9"],
            "9 folds need at least 9",
        ),
        (vec!["audit", "nuclei", "--source", "nobody"], "of `nobody`"),
    ];
    for (arguments, expected) in messages {
        let said = lab.fails(&arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    // Nothing was written.
    assert!(lab.ok(&["status", "nuclei"]).contains("labels: v1"));
}
