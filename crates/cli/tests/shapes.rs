//! Boxes and masks from import to evaluation, as a user walks the path.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::Lab;
use image::{GrayImage, Luma, Rgb, RgbImage};
use serde_json::Value;

/// Centres and radii of dark disks on picture `number`; they do not touch.
fn disks(number: u32) -> Vec<(f32, f32, f32)> {
    (0..4)
        .map(|index| {
            let (row, column) = (index / 2, index % 2);
            let shift = (number * 7 + index * 3) % 9;
            let place = |at: u32| 34.0 + 60.0 * at as f32 + shift as f32;
            (
                place(column),
                place(row),
                13.0 + (index + number) as f32 % 4.0,
            )
        })
        .collect()
}

fn inside(number: u32, x: u32, y: u32) -> Option<usize> {
    disks(number)
        .iter()
        .position(|(cx, cy, r)| (x as f32 + 0.5 - cx).hypot(y as f32 + 0.5 - cy) <= *r)
}

const SIZE: u32 = 140;
const PICTURES: u32 = 6;

/// Six pictures of four disks each, with their boxes as Pascal VOC.
fn lab() -> Lab {
    let lab = Lab::new();
    for number in 0..PICTURES {
        let picture = RgbImage::from_fn(SIZE, SIZE, |x, y| {
            Rgb(match inside(number, x, y) {
                Some(_) => [120, 60, 140],
                None => [235, 225, 235],
            })
        });
        std::fs::create_dir_all(lab.path("images")).unwrap();
        picture
            .save(lab.path(&format!("images/case{number}.png")))
            .unwrap();
        let objects: String = disks(number)
            .iter()
            .map(|(x, y, r)| {
                let low = |v: f32| (v - r).floor() as i32 + 1;
                let high = |v: f32| (v + r).ceil() as i32;
                format!(
                    "<object><name>cell</name><bndbox><xmin>{}</xmin><ymin>{}</ymin>\
                     <xmax>{}</xmax><ymax>{}</ymax></bndbox></object>",
                    low(*x),
                    low(*y),
                    high(*x),
                    high(*y)
                )
            })
            .collect();
        lab.write(
            &format!("voc/case{number}.xml"),
            format!("<annotation><filename>case{number}.png</filename>{objects}</annotation>"),
        );
    }
    lab
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The value of a measure of a source.
fn value(measured: &Value, source: &str, measure: &str) -> f64 {
    let sources = measured["sources"].as_array().unwrap();
    let of_source = sources.iter().find(|s| s["source"] == source).unwrap();
    let measures = of_source["measures"].as_array().unwrap();
    let found = measures.iter().find(|m| m["name"] == measure).unwrap();
    found["estimate"]["value"].as_f64().unwrap()
}

#[test]
fn weak_boxes_are_measured_against_a_reference() {
    let lab = lab();
    let import = [
        "import",
        "voc",
        "voc",
        "smears",
        "--images",
        "images",
        "--as-reference",
        "corrected",
        "--case-pattern",
        "^(case.)",
    ];
    let said = lab.ok(&import);
    assert!(said.contains("24 objects as boxes of cell"), "{said}");
    assert!(lab.ok(&["status", "smears"]).contains("labels: none yet"));

    let sheet = ["--sheet", "sheet.html", "--only-sheet"];
    let hough = ["weak", "hough", "smears", "--diameter", "20..40px"];
    let said = lab.ok(&[&hough[..], &sheet].concat());
    assert!(said.contains("not kept"), "{said}");
    assert!(lab.read("sheet.html").contains("4 boxes"));
    assert!(lab.ok(&["status", "smears"]).contains("labels: none yet"));

    lab.ok(&hough);
    let nuclei = [
        "weak",
        "nuclei",
        "smears",
        "--diameter",
        "20..40px",
        "--boxes",
    ];
    lab.ok(&nuclei);
    let measured = json(&lab.ok(&["evaluate", "smears", "v2", "--json"]));
    for source in ["hough", "nuclei"] {
        assert_eq!(
            value(&measured, source, "recall at IoU 0.5"),
            1.0,
            "{source}"
        );
        assert!(value(&measured, source, "AP50") > 0.99, "{source}");
    }
    let all = json(&lab.ok(&["evaluate", "smears", "v2", "--all", "--json"]));
    for (measure, same) in [("AP of cell", "AP"), ("AR of 100 per image", "AR")] {
        let same = value(&measured, "hough", same);
        assert_eq!(value(&all, "hough", measure), same, "{measure}");
    }
    let best = "FROC: mean sensitivity at 1/8 to 8 false alarms";
    assert_eq!(value(&all, "hough", best), 1.0);
    let table = lab.ok(&["evaluate", "smears", "v2", "--all"]);
    assert!(table.contains("AP, large"), "{table}");
    // A smaller range finds nothing, which is refused.
    let none = ["weak", "blobs", "smears", "--diameter", "4..9px", "--boxes"];
    let told = lab.fails(&none);
    assert!(
        told.contains("blobs found nothing on 6 images, so no labels were written"),
        "{told}"
    );
    let status = lab.ok(&["status", "smears"]);
    assert!(
        status.contains("labels: v2 (2 versions in all)"),
        "{status}"
    );
}

#[test]
fn sizes_in_microns_need_a_scale() {
    let lab = lab();
    lab.ok(&["import", "voc", "voc", "smears", "--images", "images"]);
    let said = lab.fails(&["weak", "nuclei", "smears", "--diameter", "5..12um"]);
    assert!(said.contains("its scale is unknown"), "{said}");
    let said = lab.fails(&["weak", "hough", "smears", "--diameter", "12..5px"]);
    assert!(
        said.contains("not a range of positive numbers that grows"),
        "{said}"
    );
}

#[test]
fn masks_of_experts_are_fused_and_measured() {
    let lab = lab();
    // Expert `one` draws right, `two` forgets a disk, `three` paints everything left of the middle.
    for (expert, name) in ["one", "two", "three"].iter().enumerate() {
        std::fs::create_dir_all(lab.path(name)).unwrap();
        for number in 0..PICTURES {
            let mask = GrayImage::from_fn(SIZE, SIZE, |x, y| {
                let object = inside(number, x, y);
                let drawn = match expert {
                    0 => object.is_some(),
                    1 => object.is_some_and(|object| object != 0),
                    _ => object.is_some() || x < SIZE / 4,
                };
                Luma([u8::from(drawn)])
            });
            mask.save(lab.path(&format!("{name}/case{number}.png")))
                .unwrap();
        }
    }
    let import = |name: &str, more: &[&str]| {
        let base = ["import", "masks", name, "cells", "--images", "images"];
        let classes = ["--classes", "background,cell", "--case-pattern", "^(case.)"];
        lab.ok(&[&base[..], &classes, more].concat())
    };
    import("one", &["--as-reference", "truth"]);
    for name in ["one", "two", "three"] {
        import(name, &["--source", name]);
    }
    let said = lab.ok(&["fuse", "cells", "--rule", "majority"]);
    assert!(
        said.contains("consensus `majority` of 6 masks as v4"),
        "{said}"
    );
    lab.ok(&["fuse", "cells", "--rule", "staple", "--per-image"]);
    lab.ok(&["fuse", "cells", "--rule", "smooth"]);
    let measured = json(&lab.ok(&["evaluate", "cells", "v6", "--json"]));
    assert_eq!(value(&measured, "one", "Dice of cell"), 1.0);
    assert_eq!(value(&measured, "majority", "Dice of cell"), 1.0);
    assert!(value(&measured, "two", "Dice of cell") < 0.9);
    assert!(value(&measured, "three", "Dice of cell") < 0.8);
    for rule in ["staple", "smooth"] {
        assert!(value(&measured, rule, "Dice of cell") > 0.98, "{rule}");
    }
    // The word of `three` against two others: false pixels on the left.
    let weighted = ["fuse", "cells", "--annotators", "one,two,three"];
    let majority = ["--rule", "majority", "--name", "weighted"];
    lab.ok(&[&weighted[..], &majority, &["--weights", "1,1,3"]].concat());
    let measured = json(&lab.ok(&["evaluate", "cells", "v7", "--all", "--json"]));
    let of = |source: &str, measure: &str| value(&measured, source, measure);
    for measure in ["Dice of cell", "boundary F1 of cell, within 2 px"] {
        assert_eq!(of("weighted", measure), of("three", measure), "{measure}");
        assert!(
            of("weighted", measure) < of("majority", measure),
            "{measure}"
        );
    }
    assert_eq!(of("majority", "boundary F1 of cell, within 2 px"), 1.0);
    assert_eq!(
        of("majority", "surface distance of cell, px, mean over images"),
        0.0
    );
    // What `three` paints is at most a quarter of the picture away from the disks.
    let far = of("three", "Hausdorff 95 % of cell, px, mean over images");
    assert!((5.0..f64::from(SIZE)).contains(&far), "{far}");
    let said = lab.fails(&[
        "fuse",
        "cells",
        "--rule",
        "staple",
        "--annotators",
        "one,two",
        "--weights",
        "1,1",
    ]);
    assert!(
        said.contains("`--weights` is not an option of the rule `staple`"),
        "{said}"
    );

    let said = lab.fails(&["fuse", "cells", "--rule", "glad"]);
    assert!(
        said.contains("For class masks there are dawid-skene, majority"),
        "{said}"
    );
}

#[test]
fn labels_without_images_and_broken_files_are_told() {
    let lab = lab();
    lab.write("voc/case9.xml", "<annotation></annotation>");
    let output = lab.run(&["import", "voc", "voc", "smears", "--images", "images"]);
    let warned = String::from_utf8_lossy(&output.stderr);
    assert!(
        warned.contains("1 file of labels without an image of its name"),
        "{warned}"
    );
    lab.write("voc/case0.xml", "<annotation><object>");
    let said = lab.fails(&["import", "voc", "voc", "other", "--images", "images"]);
    assert!(said.contains("case0.xml"), "{said}");
    assert!(!lab.path("other").exists());
}

#[test]
fn images_without_labels_are_labelled_weakly() {
    let lab = lab();
    let said = lab.ok(&[
        "import",
        "images",
        "images",
        "assay",
        "--classes",
        "living,dead",
    ]);
    assert!(said.contains("6 images nobody labelled"), "{said}");
    let blobs = ["weak", "blobs", "assay", "--diameter", "20..40px"];
    let said = lab.fails(&blobs);
    assert!(
        said.contains("Name it with `--class`: living, dead."),
        "{said}"
    );
    let said = lab.ok(&[&blobs[..], &["--class", "living"]].concat());
    assert!(
        said.contains("24 objects of class `living` on 6 images by blobs, as v1"),
        "{said}"
    );
}
