//! Networks for objects and pixels, as a user trains, interrupts, moves and uses them.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::{Lab, png, tree};
use image::{ImageBuffer, Luma, Rgb, RgbImage};

const RECIPE: &str = "folds = 2
[network.unet]
widths = [4, 8]
[train]
epochs = 12
batch_size = 2
crop = 32
learning_rate = 0.02
checkpoint_every = 1
[objects]
border = 1
";

/// Six images with three squares each, as objects and as classes.
fn squares(lab: &Lab) {
    for image in 0..6u32 {
        let object = |x: u32, y: u32| -> u16 {
            let at = |left: u32, top: u32| {
                (left..left + 11).contains(&x) && (top..top + 11).contains(&y)
            };
            // The first two touch.
            if at(4 + image, 5) {
                1
            } else if at(15 + image, 5 + image) {
                2
            } else if at(30, 20 + image) {
                3
            } else {
                0
            }
        };
        let pixels = RgbImage::from_fn(48, 40, |x, y| {
            let noise = (x * 7 + y * 13 + image * 5) % 23;
            let level = if object(x, y) > 0 { 60 } else { 170 } + noise as u8;
            Rgb([level, level / 2, level])
        });
        lab.write(&format!("images/{image}.png"), png(&pixels.into()));
        let objects =
            ImageBuffer::<Luma<u16>, Vec<u16>>::from_fn(48, 40, |x, y| Luma([object(x, y)]));
        lab.write(&format!("objects/{image}.png"), png(&objects.into()));
        let classes = ImageBuffer::<Luma<u8>, Vec<u8>>::from_fn(48, 40, |x, y| {
            Luma([u8::from(object(x, y) > 0)])
        });
        lab.write(&format!("classes/{image}.png"), png(&classes.into()));
    }
    lab.write("recipe.toml", RECIPE);
}

fn objects() -> Lab {
    let lab = Lab::new();
    squares(&lab);
    let import = [
        "import",
        "instances",
        "objects",
        "data",
        "--images",
        "images",
        "--classes",
        "square",
    ];
    lab.ok(&import);
    lab.ok(&[&import[..], &["--as-reference", "truth"]].concat());
    lab
}

const TRAIN: [&str; 6] = ["train", "data", "--recipe", "recipe.toml", "--out", "run"];

/// Everything in a run that must not depend on interruptions.
fn results(run: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let changing = |name: &Path| {
        let name = name.to_string_lossy();
        name.contains("tfevents") || name == "manifest.json"
    };
    let mut files = tree(run);
    files.retain(|(name, _)| !changing(name));
    files
}

#[test]
fn a_killed_training_goes_on_elsewhere_to_the_same_bytes() {
    let whole = objects();
    whole.ok(&TRAIN);
    let names: Vec<String> = results(&whole.path("run"))
        .iter()
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .collect();
    for name in [
        "config.toml",
        "model.safetensors",
        "metrics.jsonl",
        "predictions/masks.csv",
    ] {
        assert!(
            names.iter().any(|other| other == name),
            "{name} in {names:?}"
        );
    }
    assert!(!names.iter().any(|name| name.contains("checkpoints")));

    let killed = objects();
    let mut interruptions = 0;
    // A network of its own is interrupted each time.
    for part in ["fold-1", "fold-2", "whole"] {
        let mut child = killed
            .command(&TRAIN)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let checkpoints = killed.path("run").join(part).join("checkpoints");
        while child.try_wait().unwrap().is_none() {
            if fs::read_dir(&checkpoints).is_ok_and(|mut found| found.next().is_some()) {
                child.kill().unwrap();
                interruptions += 1;
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        child.wait().unwrap();
    }
    assert!(
        interruptions > 0,
        "no kill came in time: the test shows nothing"
    );
    // To another place, with a command that names no recipe: the run knows its own.
    if killed.path("run/manifest.json").exists() && !killed.path("run/model.safetensors").exists() {
        fs::rename(killed.path("run"), killed.path("moved")).unwrap();
        killed.ok(&["train", "data", "--out", "moved"]);
        fs::rename(killed.path("moved"), killed.path("run")).unwrap();
    }
    assert_eq!(results(&killed.path("run")), results(&whole.path("run")));
}

#[test]
fn a_run_is_evaluated_and_predicts() {
    let lab = objects();
    let trained = lab.ok(&TRAIN);
    assert!(trained.contains("F1 at IoU 0.5"), "{trained}");
    let evaluated = lab.ok(&["evaluate", "data", "run", "--reference", "truth", "--json"]);
    let evaluated: serde_json::Value = serde_json::from_str(&evaluated).unwrap();
    assert_eq!(evaluated["sources"][0]["images"], 6);
    assert_eq!(evaluated["sources"][0]["source"], "predicted");

    let predicted = lab.ok(&[
        "predict", "run", "images", "--turns", "all", "--out", "masks",
    ]);
    assert!(predicted.contains("square"), "{predicted}");
    // Not even beside the images, where masks would have their names.
    let image = fs::read(lab.path("images/0.png")).unwrap();
    let beside = lab.fails(&["predict", "run", "images", "--out", "images"]);
    assert!(beside.contains("images exists already"), "{beside}");
    assert_eq!(fs::read(lab.path("images/0.png")).unwrap(), image);
    let mask = image::open(lab.path("masks/3.png")).unwrap();
    assert_eq!((mask.width(), mask.height()), (48, 40));
    let outlines: serde_json::Value = serde_json::from_str(&lab.read("masks/3.geojson")).unwrap();
    let objects = mask.into_luma16().into_raw().into_iter().max().unwrap();
    assert_eq!(
        outlines["features"].as_array().unwrap().len(),
        usize::from(objects)
    );
    // The masks are labels that can be imported.
    lab.ok(&[
        "import",
        "instances",
        "masks",
        "data",
        "--images",
        "images",
        "--source",
        "unet",
        "--kind",
        "model",
        "--classes",
        "square",
    ]);
}

#[test]
fn pixels_of_classes_are_learnt_too() {
    let lab = Lab::new();
    squares(&lab);
    lab.ok(&[
        "import",
        "masks",
        "classes",
        "data",
        "--images",
        "images",
        "--classes",
        "ground,square",
    ]);
    let trained = lab.ok(&TRAIN);
    assert!(trained.contains("Dice"), "{trained}");
    lab.ok(&["predict", "run", "images/0.png", "--out", "masks"]);
    let mask = image::open(lab.path("masks/0.png")).unwrap().into_luma8();
    assert!(mask.pixels().all(|pixel| pixel.0[0] < 2));
}

#[test]
fn what_is_wrong_is_said() {
    let lab = objects();
    let fails = |recipe: &str, more: &[&str]| {
        lab.write("recipe.toml", recipe);
        lab.fails(&[&TRAIN[..], more].concat())
    };
    let unknown = fails("[train]\nepoch = 3\n", &[]);
    assert!(
        unknown.starts_with("exit 2") && unknown.contains("Did you mean `epochs`?"),
        "{unknown}"
    );
    let multiple = fails("[train]\ncrop = 36\n", &[]);
    assert!(
        multiple.starts_with("exit 2") && multiple.contains("multiple of 8"),
        "{multiple}"
    );
    let nothing = fails("whole = false\n", &[]);
    assert!(nothing.contains("neither folds nor a network"), "{nothing}");
    let method = fails(RECIPE, &["--method", "gce"]);
    assert!(
        method.contains("`--method` is for classes of images"),
        "{method}"
    );
    let unread = lab.fails(&["evaluate", "data", "images", "--reference", "truth"]);
    assert!(
        unread.contains("predicted no image out of sample"),
        "{unread}"
    );

    lab.write("recipe.toml", RECIPE);
    lab.ok(&TRAIN);
    let finished = lab.fails(&TRAIN);
    assert!(finished.contains("run is a finished run"), "{finished}");
    // As if it had been interrupted.
    let manifest = lab.read("run/manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    manifest["finished"] = serde_json::Value::Null;
    lab.write("run/manifest.json", manifest.to_string());
    let other = lab.fails(&[&TRAIN[..], &["--seed", "9"]].concat());
    assert!(other.contains("unfinished run of another seed"), "{other}");
    lab.write("run/config.toml", "");
    fs::remove_file(lab.path("run/model.safetensors")).unwrap();
    let early = lab.fails(&["predict", "run", "images", "--out", "masks"]);
    assert!(
        early.contains("`cleanslide train` goes on with it"),
        "{early}"
    );
}

#[test]
fn doctor_tells_what_there_is() {
    let lab = Lab::new();
    let found = lab.ok(&["doctor", "--quick", "--threads", "1", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found["threads_in_use"], 1);
    assert_eq!(found["devices"][0], "cpu");
    assert!(
        lab.ok(&["doctor", "--quick"])
            .contains("vector instructions")
    );
}
