//! How far experts agree, on masks, objects and classes.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::Lab;
use image::{GrayImage, Luma, RgbImage};
use insta::assert_snapshot;
use serde_json::Value;

const SIZE: u32 = 40;
const PICTURES: u32 = 4;

/// Squares of 10 pixels by three experts; the second is a pixel to the right, the third sees half as
/// many images.
fn masks() -> Lab {
    let lab = Lab::new();
    std::fs::create_dir_all(lab.path("images")).unwrap();
    for number in 0..PICTURES {
        let picture = RgbImage::from_pixel(SIZE, SIZE, image::Rgb([60, 60, 60]));
        picture
            .save(lab.path(&format!("images/{number}.png")))
            .unwrap();
    }
    for (expert, name) in ["anna", "ben", "carla"].iter().enumerate() {
        std::fs::create_dir_all(lab.path(name)).unwrap();
        for number in (0..PICTURES).filter(|number| expert < 2 || number % 2 == 0) {
            let left = 5 + number + u32::from(expert == 1);
            let mask = GrayImage::from_fn(SIZE, SIZE, |x, y| {
                Luma([u8::from(
                    (left..left + 10).contains(&x) && (5..15).contains(&y),
                )])
            });
            mask.save(lab.path(&format!("{name}/{number}.png")))
                .unwrap();
        }
        lab.ok(&[
            "import",
            "masks",
            name,
            "cells",
            "--images",
            "images",
            "--classes",
            "background,nucleus",
            "--source",
            name,
        ]);
    }
    lab
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn value(measures: &Value, name: &str) -> f64 {
    let all = measures.as_array().unwrap();
    let found = all.iter().find(|measure| measure["name"] == name).unwrap();
    found["estimate"]["value"].as_f64().unwrap()
}

#[test]
fn masks_are_compared_by_overlap_and_distance() {
    let lab = masks();
    let found = json(&lab.ok(&["agreement", "cells", "--json"]));
    let pairs = found["pairs"].as_array().unwrap();
    assert_eq!(pairs[0]["experts"], serde_json::json!(["anna", "ben"]));
    assert_eq!(
        (&pairs[0]["images"], &pairs[1]["images"]),
        (&4.into(), &2.into())
    );
    // 90 of 100 pixels are common.
    assert_eq!(value(&pairs[0]["measures"], "Dice of nucleus"), 0.9);
    assert_eq!(value(&pairs[1]["measures"], "Dice of nucleus"), 1.0);
    // Outlines of 36 pixels: of each, those 18 at the sides in the direction of the shift but for
    // what lies on the other's outline are a pixel off.
    let distance = value(&pairs[0]["measures"], "surface distance of nucleus, pixels");
    assert!((distance - 18.0 / 36.0).abs() < 1e-12, "{distance}");
    // By hand: of each image with two experts 20 of 1600 pixels differ, of those with three 20 in
    // two of three pairs.
    let observed = 1.0 - (20.0 / 1600.0 + 20.0 / 1600.0 * 2.0 / 3.0) / 2.0;
    let chance = (100.0_f64 / 1600.0).powi(2) + (1500.0_f64 / 1600.0).powi(2);
    let kappa = value(&found["overall"], "Fleiss' kappa of pixels");
    assert!(
        (kappa - (observed - chance) / (1.0 - chance)).abs() < 1e-12,
        "{kappa}"
    );
    assert_snapshot!(lab.ok(&["agreement", "cells"]));
}

#[test]
fn distances_are_in_microns_where_the_scale_is_known() {
    let lab = masks();
    let table = lab.read("cells/images.csv");
    let mut lines = table.lines();
    let mut scaled = format!("{}\n", lines.next().unwrap());
    assert!(scaled.ends_with("microns_per_pixel\n"), "{scaled}");
    for line in lines {
        scaled.push_str(&format!("{line}0.5\n"));
    }
    lab.write("cells/images.csv", scaled);
    let found = json(&lab.ok(&["agreement", "cells", "--json"]));
    let distance = value(
        &found["pairs"][0]["measures"],
        "surface distance of nucleus, µm",
    );
    assert!((distance - 0.25).abs() < 1e-12, "{distance}");
}

#[test]
fn maps_show_where_experts_differ() {
    let lab = masks();
    let map = ["agreement", "cells", "--map", "maps", "--radius", "0"];
    assert!(lab.ok(&map).contains("maps of disagreement: maps"));
    let picture = image::open(lab.path("maps/1.png")).unwrap().into_rgb8();
    assert_eq!(picture.dimensions(), (SIZE, SIZE));
    for (x, y, pixel) in picture.enumerate_pixels() {
        let differ = (x == 6 || x == 16) && (5..15).contains(&y);
        let grey = pixel.0 == [60; 3];
        assert_eq!(grey, !differ, "{x} {y}");
    }
    assert_snapshot!(lab.fails(&map));
}

#[test]
fn boxes_are_compared_by_matching() {
    let lab = masks();
    for (expert, shift) in [("dora", 0), ("emil", 2)] {
        for number in 0..PICTURES {
            let boxes: String = [5 + shift, 25]
                .iter()
                .take(if expert == "dora" { 2 } else { 1 })
                .map(|left| {
                    format!(
                        "<object><name>nucleus</name><bndbox><xmin>{}</xmin><ymin>1</ymin>\
                         <xmax>{}</xmax><ymax>10</ymax></bndbox></object>",
                        left + 1,
                        left + 10
                    )
                })
                .collect();
            lab.write(
                &format!("{expert}/{number}.xml"),
                format!("<annotation>{boxes}</annotation>"),
            );
        }
        lab.ok(&[
            "import",
            "voc",
            expert,
            "cells",
            "--images",
            "images",
            "--classes",
            "background,nucleus",
            "--source",
            expert,
        ]);
    }
    let boxes = ["agreement", "cells", "--family", "boxes"];
    let found = json(&lab.ok(&[&boxes[..], &["--json"]].concat()));
    let measures = &found["pairs"][0]["measures"];
    assert_eq!(value(measures, "F1 at IoU 0.5"), 2.0 / 3.0);
    assert_eq!(value(measures, "F1 at IoU 0.75"), 0.0);
    assert!((value(measures, "mean IoU of matches") - 80.0 / 120.0).abs() < 1e-12);
    assert_eq!(found["experts"][0]["objects"], 8);
    assert_snapshot!(lab.fails(&["agreement", "cells"]));
    assert_snapshot!(lab.fails(&[&boxes[..], &["--map", "maps"]].concat()));
    assert_snapshot!(lab.fails(&["agreement", "cells", "--annotators", "dora"]));
}

#[test]
fn votes_are_compared_by_kappa() {
    let lab = Lab::new();
    let mut table = String::from("image,case,anna,ben\n");
    for number in 0..8u8 {
        lab.picture(&format!("patches/{number}.png"), number * 20);
        let anna = if number % 2 == 0 { "normal" } else { "tumour" };
        let ben = if number < 6 { anna } else { "normal" };
        table.push_str(&format!("patches/{number}.png,P{number},{anna},{ben}\n"));
    }
    lab.write("votes.csv", table);
    lab.ok(&["import", "votes", "votes.csv", "liver"]);
    let found = json(&lab.ok(&["agreement", "liver", "--json"]));
    let measures = &found["pairs"][0]["measures"];
    assert_eq!(value(measures, "same class"), 7.0 / 8.0);
    // Chance of Cohen: 4/8 · 5/8 + 4/8 · 3/8.
    assert_eq!(value(measures, "Cohen's kappa"), 0.75);
    let chance = (9.0_f64 / 16.0).powi(2) + (7.0_f64 / 16.0).powi(2);
    let kappa = value(&found["overall"], "Fleiss' kappa");
    assert!((kappa - (7.0 / 8.0 - chance) / (1.0 - chance)).abs() < 1e-12);
}

#[test]
fn experts_without_a_common_image_are_told() {
    let lab = masks();
    std::fs::create_dir(lab.path("dora")).unwrap();
    std::fs::copy(lab.path("anna/1.png"), lab.path("dora/1.png")).unwrap();
    lab.ok(&[
        "import",
        "masks",
        "dora",
        "cells",
        "--images",
        "images",
        "--classes",
        "background,nucleus",
        "--source",
        "dora",
    ]);
    let pair = ["agreement", "cells", "--annotators", "carla,dora"];
    assert_snapshot!(lab.fails(&pair));
    // Beside others the pair has no figures.
    let said = lab.ok(&["agreement", "cells"]);
    assert!(said.contains("carla – dora"), "{said}");
    assert!(said.contains("undefined"), "{said}");
}
