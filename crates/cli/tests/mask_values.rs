//! Experts who number classes differently share the classes of one dataset.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::{Lab, png};
use image::{GrayImage, Luma};
use insta::assert_snapshot;

const SIZE: u32 = 24;

/// A mask whose four quarters have these numbers, row by row.
fn mask(quarters: [u8; 4]) -> Vec<u8> {
    let half = SIZE / 2;
    let quarter = |x: u32, y: u32| (2 * (y / half) + x / half) as usize;
    png(&GrayImage::from_fn(SIZE, SIZE, |x, y| Luma([quarters[quarter(x, y)]])).into())
}

/// Three images; anna and ben say the same of the first with different numbers, ben alone labelled the second.
fn lab() -> Lab {
    let lab = Lab::new();
    for name in ["a", "b", "c"] {
        lab.picture(&format!("cores/{name}.png"), name.as_bytes()[0]);
    }
    lab.write("anna/a.png", mask([0, 1, 3, 4]));
    lab.write("ben/a.png", mask([10, 10, 30, 40]));
    lab.write("ben/b.png", mask([10, 30, 99, 255]));
    lab.write("later/c.png", mask([10, 40, 40, 40]));
    lab
}

const ANNA: &str = "0=benign,1=benign,3=grade-3,4=grade-4,5=grade-5";
const BEN: &str = "10=benign,30=grade-3,40=grade-4,*=unlabelled";

fn import<'a>(folder: &'a str, source: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let base = ["import", "masks", folder, "prostate", "--images", "cores"];
    [&base[..], &["--source", source], more].concat()
}

fn imported() -> Lab {
    let lab = lab();
    let said = lab.ok(&import("anna", "anna", &["--values", ANNA]));
    let classes = "benign / grade-3 / grade-4 / grade-5";
    assert!(said.contains(classes), "{said}");
    // The classes are those of the dataset, though ben has no grade 5.
    let said = lab.ok(&import("ben", "ben", &["--values", BEN]));
    assert!(said.contains(classes), "{said}");
    lab
}

/// The classes in the middle of the quarters of a mask in a version.
fn quarters(lab: &Lab, version: &str, source: &str, image: &str) -> [u8; 4] {
    let labels = format!("prostate/labels/{version}");
    let table = lab.read(&format!("{labels}/masks.csv"));
    let about = format!("image,{image},,{source},");
    let row = table.lines().find(|line| line.starts_with(&about)).unwrap();
    let file = row.split(',').nth(5).unwrap();
    let mask = image::open(lab.path(&format!("{labels}/{file}"))).unwrap();
    let mask = mask.into_luma8();
    let (near, far) = (SIZE / 4, 3 * SIZE / 4);
    [(near, near), (far, near), (near, far), (far, far)].map(|(x, y)| mask.get_pixel(x, y).0[0])
}

#[test]
fn numbers_become_the_classes_of_the_dataset() {
    let lab = imported();
    assert_eq!(quarters(&lab, "v2", "anna", "a"), [0, 0, 1, 2]);
    assert_eq!(quarters(&lab, "v2", "ben", "a"), [0, 0, 1, 2]);
    assert_eq!(quarters(&lab, "v2", "ben", "b"), [0, 1, 255, 255]);
    let says = lab.read("prostate/labels/v2/masks.csv");
    let (dense, partial) = (
        says.matches("dense").count(),
        says.matches("partial").count(),
    );
    assert_eq!((dense, partial), (2, 1));
}

#[test]
fn the_numbers_of_a_source_are_kept() {
    let lab = imported();
    assert_snapshot!(lab.read("prostate/dataset.toml"));
    // Further masks of the source are read by them, and others are refused.
    assert_snapshot!(lab.warns(&import("later", "ben", &[])));
    assert_eq!(quarters(&lab, "v3", "ben", "c"), [0, 2, 2, 2]);
    assert_snapshot!(lab.fails(&import("later", "anna", &["--values", BEN])));
    lab.ok(&import("later", "carla", &["--values", BEN]));
    // Those of a reference are its own.
    let said = lab.fails(&import("later", "ben", &["--as-reference", "truth"]));
    assert!(said.contains("Give the classes of the dataset"), "{said}");
    lab.ok(&import(
        "later",
        "ben",
        &["--as-reference", "truth", "--values", BEN],
    ));
}

#[test]
fn what_does_not_fit_is_told() {
    let lab = imported();
    let fails = |values: &str| lab.fails(&import("later", "dora", &["--values", values]));
    assert_snapshot!(fails("10=benign"));
    assert_snapshot!(fails("10=benin,40=grade-4"));
    assert_snapshot!(fails("10:benign"));
    assert_snapshot!(fails("10=benign,10=grade-3"));
    assert!(!lab.path("prostate/labels/v3").exists());
}
