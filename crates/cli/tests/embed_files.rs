//! Embeddings of files and slides, in blocks that machines share.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::fs;
use std::path::Path;

use common::{Lab, slide, tree};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

/// Two slides and a folder of pictures, one of which is damaged.
fn files() -> Lab {
    let lab = Lab::new();
    slide(&lab, "slides/Fall 1.tif");
    slide(&lab, "slides/Fäll 2.tif");
    for image in 0..4 {
        lab.picture(&format!("patches/a/{image}.png"), image * 40);
    }
    lab.write("patches/damaged.png", b"\x89PNG\r\n\x1a\nnot really");
    lab
}

const EMBED: [&str; 9] = [
    "embed",
    "patches",
    "slides",
    "--slide-microns-per-pixel",
    "0.5",
    "--microns-per-pixel",
    "0.5",
    "--tile",
    "48",
];

fn embed(lab: &Lab, out: &str, more: &[&str]) -> String {
    lab.warns(&[&EMBED[..], &["--out", out], more].concat())
}

/// Type, shape and values of a block.
fn block(lab: &Lab, path: &str) -> (Dtype, Vec<usize>) {
    let bytes = fs::read(lab.path(path)).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor("embeddings").unwrap();
    (tensor.dtype(), tensor.shape().to_vec())
}

/// The rows of the first block of images, without the hashes of their files.
fn rows(lab: &Lab, folder: &str) -> Vec<String> {
    let table = lab.read(&format!("{folder}/images/block-00000.csv"));
    let rows = table.lines().map(|line| {
        let (row, hash) = line.rsplit_once(',').unwrap();
        assert!(hash == "hash" || hash.len() == 64, "{line}");
        row.to_owned()
    });
    rows.collect()
}

fn copy(from: &Path, to: &Path) {
    for (path, bytes) in tree(from) {
        let path = to.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn shares_of_machines_together_are_the_whole() {
    let lab = files();
    let told = embed(&lab, "whole", &[]);
    assert!(told.contains("damaged.png"), "{told}");
    for part in ["1/3", "2/3", "3/3"] {
        let out = format!("part{}", &part[..1]);
        embed(&lab, &out, &["--shard", part, "--threads", "1"]);
        copy(&lab.path(&out), &lab.path("together"));
    }
    assert!(tree(&lab.path("whole")) == tree(&lab.path("together")));
    // In one folder too, one after the other.
    for part in ["1/2", "2/2"] {
        embed(&lab, "shared", &["--shard", part]);
    }
    assert!(tree(&lab.path("whole")) == tree(&lab.path("shared")));

    let expected = [
        "row,image",
        "0,patches/a/0.png",
        "1,patches/a/1.png",
        "2,patches/a/2.png",
        "3,patches/a/3.png",
        ",patches/damaged.png",
    ];
    assert_eq!(rows(&lab, "whole"), expected);
    let (kind, shape) = block(&lab, "whole/images/block-00000.safetensors");
    assert_eq!((kind, shape[0]), (Dtype::F32, 4));
    let tiles = lab.read("whole/slides/Fäll 2/block-00000.csv");
    let (_, shape) = block(&lab, "whole/slides/Fäll 2/block-00000.safetensors");
    assert_eq!(shape[0], tiles.lines().count() - 1);
    // The slide has 9 x 6 tiles of 48 pixels, and not all are on tissue.
    assert!((20..54).contains(&shape[0]), "{shape:?}");
    assert!(
        tiles.starts_with("row,tile,left,top\n0,0,0.0,0.0\n"),
        "{tiles}"
    );
}

#[test]
fn what_is_done_is_kept_and_what_is_missing_is_done() {
    let lab = files();
    embed(&lab, "out", &[]);
    let before = tree(&lab.path("out"));
    // A kill between a block and its table.
    fs::remove_file(lab.path("out/images/block-00000.csv")).unwrap();
    fs::write(
        lab.path("out/slides/Fall 1/block-00000.safetensors"),
        b"old",
    )
    .unwrap();
    fs::remove_file(lab.path("out/slides/Fall 1/block-00000.csv")).unwrap();
    let told = embed(&lab, "out", &[]);
    assert!(told.contains("damaged.png"), "{told}");
    assert!(tree(&lab.path("out")) == before);
    let told = lab.ok(&[&EMBED[..], &["--out", "out"]].concat());
    assert!(
        told.contains("0 × ") && told.contains("3 blocks done before"),
        "{told}"
    );
}

#[test]
fn halves_take_half_the_room() {
    let lab = files();
    embed(&lab, "single", &[]);
    embed(&lab, "half", &["--half"]);
    let name = "slides/Fall 1/block-00000.safetensors";
    let (single, shape) = block(&lab, &format!("single/{name}"));
    let (half, same) = block(&lab, &format!("half/{name}"));
    assert_eq!((single, half), (Dtype::F32, Dtype::F16));
    assert_eq!(shape, same);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let lab = files();
    let told = lab.fails(&["embed", "slides", "--out", "out", "--tile", "48"]);
    assert!(told.contains("--microns-per-pixel"), "{told}");
    let told = lab.fails(&["embed", "patches", "slides"]);
    assert!(told.contains("--out"), "{told}");
    let told = lab.fails(&["embed", "patches", "--half"]);
    assert!(told.contains("--half"), "{told}");
    let told = lab.fails(&[&EMBED[..], &["--out", "out", "--shard", "3/2"]].concat());
    assert!(told.contains("I/N"), "{told}");
    let told = lab.fails(&[&EMBED[..], &["--out", "out", "--strict"]].concat());
    assert!(told.contains("damaged.png"), "{told}");
    embed(&lab, "begun", &[]);
    let told = lab.fails(&[&EMBED[..], &["--out", "begun", "--half"]].concat());
    assert!(told.contains("begun with"), "{told}");
    let told = lab.fails(&[&EMBED[..], &["--out", "patches"]].concat());
    assert!(told.contains("exists already"), "{told}");
}

#[test]
fn blocks_of_other_files_are_not_taken_for_these() {
    let lab = files();
    embed(&lab, "out", &[]);
    let before = tree(&lab.path("out"));
    lab.picture("patches/a/00.png", 7);
    let told = lab.fails(&[&EMBED[..], &["--out", "out"]].concat());
    assert!(
        told.contains("images/block-00000.csv is of other files"),
        "{told}"
    );
    for (path, bytes) in before.iter().filter(|(path, _)| path.starts_with("images")) {
        assert!(&fs::read(lab.path("out").join(path)).unwrap() == bytes);
    }
    fs::remove_file(lab.path("patches/a/00.png")).unwrap();
    // Another slide only adds its own.
    slide(&lab, "slides/Fall 3.tif");
    let told = lab.ok(&[&EMBED[..], &["--out", "out"]].concat());
    assert!(told.contains("3 blocks done before"), "{told}");
    assert!(lab.path("out/slides/Fall 3/block-00000.csv").exists());
}

#[test]
fn what_has_changed_is_embedded_anew() {
    let lab = files();
    embed(&lab, "out", &[]);
    let before = tree(&lab.path("out"));
    // Another picture of the same name, and one that is mended.
    lab.picture("patches/a/2.png", 9);
    lab.picture("patches/damaged.png", 200);
    let told = lab.ok(&[&EMBED[..], &["--out", "out"]].concat());
    assert!(
        told.contains("5 × ") && told.contains("2 blocks done before"),
        "{told}"
    );
    let after = tree(&lab.path("out"));
    assert_eq!(block(&lab, "out/images/block-00000.safetensors").1[0], 5);
    let changed = before
        .iter()
        .zip(&after)
        .filter(|(before, after)| before != after);
    let changed: Vec<_> = changed
        .map(|(before, _)| before.0.to_string_lossy())
        .collect();
    assert_eq!(
        changed,
        ["images/block-00000.csv", "images/block-00000.safetensors"]
    );

    let path = lab.path("slides/Fall 1.tif");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, [&bytes[..], &[0]].concat()).unwrap();
    let told = lab.fails(&[&EMBED[..], &["--out", "out"]].concat());
    assert!(
        told.starts_with("exit 2")
            && told.contains("out/slides/Fall 1/tiles.csv is of another slide"),
        "{told}"
    );
    assert!(
        tree(&lab.path("out"))
            .iter()
            .filter(|(path, _)| path.starts_with("slides"))
            .eq(after.iter().filter(|(path, _)| path.starts_with("slides")))
    );
}

#[test]
fn a_slide_that_only_some_machines_can_read_leaves_no_gap_in_others() {
    let lab = files();
    slide(&lab, "slides/Fall 0.tif");
    let bytes = fs::read(lab.path("slides/Fall 0.tif")).unwrap();
    embed(&lab, "out", &["--shard", "1/2"]);
    lab.write("slides/Fall 0.tif", "");
    embed(&lab, "out", &["--shard", "2/2"]);
    for name in ["images", "slides/Fall 1", "slides/Fäll 2"] {
        assert!(
            lab.path(&format!("out/{name}/block-00000.csv")).exists(),
            "{name}"
        );
    }
    fs::write(lab.path("slides/Fall 0.tif"), bytes).unwrap();
    embed(&lab, "out", &[]);
    embed(&lab, "whole", &[]);
    assert_eq!(tree(&lab.path("out")), tree(&lab.path("whole")));
}

#[test]
fn what_cannot_be_read_at_all_is_an_error_and_tried_again() {
    let lab = Lab::new();
    lab.write("bad/a.png", b"\x89PNG\r\n\x1a\nnot really");
    let embed = ["embed", "bad", "--out", "out"];
    for _ in 0..2 {
        let told = lab.fails(&embed);
        assert!(
            told.contains("1 block could not be written") && told.contains("a.png"),
            "{told}"
        );
    }
    lab.picture("bad/a.png", 3);
    let told = lab.ok(&embed);
    assert!(told.contains("1 × "), "{told}");
}

#[test]
fn what_was_left_out_is_refused_when_that_is_asked_later() {
    let lab = Lab::new();
    for image in 0..3 {
        lab.picture(&format!("patches/{image}.png"), image * 40);
    }
    lab.write("patches/damaged.png", b"\x89PNG\r\n\x1a\nnot really");
    let embed = ["embed", "patches", "--out", "out"];
    let strict = [&embed[..], &["--strict"]].concat();
    lab.ok(&embed);
    let before = tree(&lab.path("out"));
    let told = lab.fails(&strict);
    assert!(told.contains("damaged.png"), "{told}");
    let blocks = |folder: &str| lab.path(&format!("{folder}/images"));
    assert!(
        before
            .iter()
            .filter(|(path, _)| path.starts_with("images"))
            .all(|(path, bytes)| &fs::read(lab.path("out").join(path)).unwrap() == bytes)
    );
    // What a strict run has computed is kept for one that is not.
    let told = lab.fails(&["embed", "patches", "--out", "other", "--strict"]);
    assert!(told.contains("damaged.png"), "{told}");
    assert_eq!(tree(&blocks("other")), tree(&blocks("out")));
    let told = lab.ok(&["embed", "patches", "--out", "other"]);
    assert!(told.contains("1 block done before"), "{told}");
    lab.picture("patches/damaged.png", 200);
    assert!(lab.ok(&strict).contains("4 × "));
    assert!(lab.ok(&strict).contains("1 block done before"));
}

#[test]
fn images_smaller_than_the_crop_are_left_out_by_name() {
    let lab = Lab::new();
    lab.picture("pictures/small.png", 3);
    let large = image::RgbImage::from_pixel(40, 40, image::Rgb([200, 120, 160]));
    lab.write("pictures/large.png", common::png(&large.into()));
    lab.write("pictures/other.webp", "");
    let embed = ["embed", "pictures", "--out", "out", "--crop", "32"];
    let told = lab.warns(&embed);
    assert!(
        told.contains("1 file is left out, such as pictures/other.webp"),
        "{told}"
    );
    assert!(
        told.contains("small.png: it is 24 × 24 pixels, smaller than the crop of 32 × 32"),
        "{told}"
    );
    assert_eq!(
        rows(&lab, "out"),
        ["row,image", "0,pictures/large.png", ",pictures/small.png"]
    );
    let told = lab.fails(&[
        "embed", "pictures", "--out", "other", "--crop", "32", "--strict",
    ]);
    assert!(told.contains("small.png"), "{told}");
}
