//! Boxes that a detector corrects while it learns from them, as a user trains, looks and publishes.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::{Lab, corrected, png, refuses_wrong_corrections};
use image::{Rgb, RgbImage};

const RECIPE: &str = "[network.fcos]
encoder_width = 4
width = 8
groups = 4
convolutions = 1
[train]
epochs = 60
batch_size = 2
crop = 64
learning_rate = 0.01
[correction]
start = { name = \"epoch\", epoch = 56 }
every = 2
scales = [1.0]
";

const TRAIN: [&str; 6] = ["train", "data", "--recipe", "recipe.toml", "--out", "run"];

/// Where the squares of an image are.
fn corners(image: u32) -> [(u32, u32); 3] {
    [(4 + image, 5), (17 + image, 5 + image), (30, 22 + image)]
}

/// Eight images with three squares each; on odd ones one is not marked.
fn squares() -> Lab {
    let lab = Lab::new();
    for image in 0..8u32 {
        let squares = corners(image);
        let inside = |x: u32, y: u32| {
            squares
                .iter()
                .any(|(left, top)| (*left..left + 11).contains(&x) && (*top..top + 11).contains(&y))
        };
        let pixels = RgbImage::from_fn(48, 40, |x, y| {
            let noise = (x * 7 + y * 13 + image * 5) % 23;
            let level = if inside(x, y) { 60 } else { 170 } + noise as u8;
            Rgb([level, level / 2, level])
        });
        lab.write(&format!("images/{image}.png"), png(&pixels.into()));
        let marked = if image % 2 == 1 { 2 } else { 3 };
        let lines: Vec<String> = squares[..marked]
            .iter()
            .map(|(left, top)| {
                let middle = |from: u32, side: f64| (f64::from(from) + 5.5) / side;
                let (x, y) = (middle(*left, 48.0), middle(*top, 40.0));
                format!("0 {x} {y} {} {}\n", 11.0 / 48.0, 11.0 / 40.0)
            })
            .collect();
        lab.write(&format!("boxes/{image}.txt"), lines.concat());
    }
    lab.write("names.txt", "square\n");
    lab.ok(&[
        "import",
        "yolo",
        "boxes",
        "data",
        "--names",
        "names.txt",
        "--images",
        "images",
        "--classes",
        "square",
        "--source",
        "student",
    ]);
    lab.write("recipe.toml", RECIPE);
    lab
}

#[test]
fn a_detector_corrects_what_it_learns_from() {
    let lab = squares();
    let begun = lab.fails(&["correct", "data"]);
    assert!(
        begun.starts_with("exit 2") && begun.contains("--method sissi"),
        "{begun}"
    );
    lab.ok(&TRAIN);
    refuses_wrong_corrections(&lab, "boxes", "57", "56, 58, 60");
    let (corrected, number, changes) = corrected(&lab);
    assert_eq!(corrected["given"], 20);
    // The four squares that nobody had marked.
    assert!(number("added") >= 3, "{corrected}\n{changes}");
    assert!(changes.contains("of 4 views, and not marked"), "{changes}");

    let text = lab.ok(&[
        "correct", "data", "--run", "run", "--epoch", "56", "--name", "first",
    ]);
    assert!(text.contains("`first` in v3"), "{text}");
    let given = "data: 20 objects given on 8 images, and ";
    assert!(text.starts_with(given), "{text}");
    // The student's boxes are there still.
    let status = lab.ok(&["status", "data"]);
    assert!(
        status.contains("student") && status.contains("first"),
        "{status}"
    );
}

#[test]
fn what_is_wrong_with_corrections_is_said() {
    let lab = squares();
    let fails = |recipe: &str| {
        lab.write("recipe.toml", recipe);
        lab.fails(&TRAIN)
    };
    let every = fails("[correction]\nevery = 0\n");
    assert!(
        every.starts_with("exit 2") && every.contains("`every` is 0"),
        "{every}"
    );
    let validation = fails("[correction]\nstart = { name = \"validation\" }\n");
    assert!(
        validation.contains("keep a share of the cases"),
        "{validation}"
    );
    let method = lab.fails(&["train", "data", "--method", "reweight", "--out", "run"]);
    assert!(
        method.starts_with("exit 2") && method.contains("`sissi` corrects boxes"),
        "{method}"
    );

    // A training that is over before labels were corrected, and one that corrects none.
    let short = "[network.fcos]\nencoder_width = 4\nwidth = 8\ngroups = 4\n[train]\nepochs = 1\ncrop = 64\n";
    lab.write("recipe.toml", short);
    lab.ok(&["train", "data", "--recipe", "recipe.toml", "--out", "plain"]);
    let plain = lab.fails(&["correct", "data", "--run", "plain"]);
    assert!(plain.contains("corrected no labels"), "{plain}");
    lab.ok(&[
        "train",
        "data",
        "--recipe",
        "recipe.toml",
        "--method",
        "sissi",
        "--out",
        "early",
    ]);
    let early = lab.fails(&["correct", "data", "--run", "early"]);
    assert!(
        early.starts_with("exit 3") && early.contains("never began to correct"),
        "{early}"
    );
}

#[test]
fn images_with_boxes_are_split_by_case() {
    let lab = squares();
    let split = lab.ok(&["split", "data", "--test", "0.25", "--json"]);
    let split: serde_json::Value = serde_json::from_str(&split).unwrap();
    let parts: Vec<_> = (0..2)
        .map(|part| {
            (
                split["parts"][part]["split"].clone(),
                split["parts"][part]["images"].clone(),
            )
        })
        .collect();
    assert_eq!(
        parts,
        [("train".into(), 6.into()), ("test".into(), 2.into())]
    );
    let labels = lab.fails(&["split", "data", "--replace", "--source", "student"]);
    assert!(
        labels.starts_with("exit 2") && labels.contains("divided by case alone"),
        "{labels}"
    );
}
