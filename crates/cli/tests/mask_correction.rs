//! Masks of objects that a network corrects while it learns from them, as a user trains, looks and publishes.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::{Lab, corrected, png, refuses_wrong_corrections};
use image::{ImageBuffer, Luma, Rgb, RgbImage};

const RECIPE: &str = "[network.unet]
widths = [4, 8]
[train]
epochs = 16
batch_size = 2
crop = 32
learning_rate = 0.02
[objects]
border = 1
[correction]
start = { name = \"epoch\", epoch = 12 }
every = 2
scales = [1.0]
score = 0.6
";

const TRAIN: [&str; 6] = ["train", "data", "--recipe", "recipe.toml", "--out", "run"];

/// Eight images with three squares each; on every fourth one is not marked.
fn squares() -> Lab {
    let lab = Lab::new();
    for image in 0..8u32 {
        let corners = [(4 + image, 5), (17 + image, 5 + image), (30, 22 + image)];
        let object = |x: u32, y: u32| -> u16 {
            let inside = |(left, top): &(u32, u32)| {
                (*left..left + 11).contains(&x) && (*top..top + 11).contains(&y)
            };
            corners
                .iter()
                .position(inside)
                .map_or(0, |at| at as u16 + 1)
        };
        let pixels = RgbImage::from_fn(48, 40, |x, y| {
            let noise = (x * 7 + y * 13 + image * 5) % 23;
            let level = if object(x, y) > 0 { 60 } else { 170 } + noise as u8;
            Rgb([level, level / 2, level])
        });
        lab.write(&format!("images/{image}.png"), png(&pixels.into()));
        let missing = image % 4 == 1;
        let marked =
            ImageBuffer::<Luma<u16>, Vec<u16>>::from_fn(48, 40, |x, y| match object(x, y) {
                3 if missing => Luma([0]),
                object => Luma([object]),
            });
        lab.write(&format!("objects/{image}.png"), png(&marked.into()));
        let classes = ImageBuffer::<Luma<u8>, Vec<u8>>::from_fn(48, 40, |x, y| {
            Luma([u8::from(object(x, y) > 0)])
        });
        lab.write(&format!("classes/{image}.png"), png(&classes.into()));
    }
    lab.ok(&[
        "import",
        "instances",
        "objects",
        "data",
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
fn a_network_corrects_the_masks_that_it_learns_from() {
    let lab = squares();
    let begun = lab.fails(&["correct", "data"]);
    assert!(
        begun.starts_with("exit 2") && begun.contains("masks are corrected by the network"),
        "{begun}"
    );
    let trained = lab.ok(&TRAIN);
    assert!(
        trained.contains("next: cleanslide correct data --run run\n"),
        "{trained}"
    );
    refuses_wrong_corrections(&lab, "masks", "13", "12, 14, 16");
    lab.write("blurred.toml", "[correction]\nbackground = { name = \"blurred\" }\n[network.unet]\nwidths = [4]\n[train]\nepochs = 1\ncrop = 32\n");
    let blurred = lab.warns(&[
        "train",
        "data",
        "--recipe",
        "blurred.toml",
        "--out",
        "blurred",
    ]);
    assert!(
        blurred.contains("no other data shows images as they are"),
        "{blurred}"
    );
    let (corrected, number, changes) = corrected(&lab);
    assert_eq!(corrected["given"], 22);
    assert!(number("added") >= 1, "{corrected}\n{changes}");
    assert!(changes.contains("found, and not marked"), "{changes}");
    // The student's masks are there still, and the new ones can be looked at and learned from.
    let status = lab.ok(&["status", "data"]);
    assert!(
        status.contains("student") && status.contains("corrected"),
        "{status}"
    );
    lab.write("plain.toml", RECIPE.split("[correction]").next().unwrap());
    lab.ok(&[
        "train",
        "data",
        "--recipe",
        "plain.toml",
        "--source",
        "corrected",
        "--out",
        "again",
    ]);
    let plain = lab.fails(&["correct", "data", "--run", "again", "--name", "more"]);
    assert!(plain.contains("corrected no labels"), "{plain}");
}

#[test]
fn a_run_that_corrected_nothing_says_so() {
    let lab = squares();
    lab.write("recipe.toml", RECIPE.replace("epochs = 16", "epochs = 1"));
    let trained = lab.ok(&TRAIN);
    let why =
        "o label was corrected: that was to begin after epoch 12, and the training has 1 epoch";
    assert!(
        trained.contains(why) && !trained.contains("cleanslide correct"),
        "{trained}"
    );
    assert!(lab.read("run/report.html").contains(why));
    let start = "start = { name = \"epoch\", epoch = 12 }\n";
    let recipe = RECIPE
        .replace("epochs = 16", "epochs = 1")
        .replace(start, "");
    lab.write("recipe.toml", format!("folds = 2\nwhole = false\n{recipe}"));
    std::fs::remove_dir_all(lab.path("run")).unwrap();
    let trained = lab.ok(&TRAIN);
    let why = "no label was corrected: the fit to the given labels did not slow down by 90 % within 1 epoch";
    assert!(trained.contains(why), "{trained}");
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
    let boxes = fails("[correction]\nsuppression = 0.2\n");
    assert!(
        boxes.starts_with("exit 2") && boxes.contains("suppression"),
        "{boxes}"
    );
    let experts = fails("[correction]\n[experts]\n");
    assert!(experts.contains("exclude each other"), "{experts}");
    lab.ok(&[
        "import",
        "masks",
        "classes",
        "areas",
        "--images",
        "images",
        "--classes",
        "background,square",
    ]);
    let classes = lab.fails(&["train", "areas", "--method", "sissi", "--out", "run"]);
    assert!(
        classes.starts_with("exit 3") && classes.contains("only boxes and masks of objects"),
        "{classes}"
    );
}
