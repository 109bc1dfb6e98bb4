//! An encoder from images without labels, used as any other.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::{Lab, tree};

const RECIPE: &str = "\
probe_every = 1
[encoder]
width = 8
[objective.simclr]
hidden = 16
features = 8
[train]
epochs = 2
batch_size = 12
crop = 32
";

fn lab() -> Lab {
    let lab = Lab::new();
    lab.ok(&["simulate", "liver", "--cases", "8", "--patches", "3"]);
    lab.write("recipe.toml", RECIPE);
    lab
}

#[test]
fn from_images_to_embeddings() {
    let lab = lab();
    let pretrain = |out: &str, more: &[&str]| {
        let arguments = ["pretrain", "liver", "--recipe", "recipe.toml", "--out", out];
        lab.ok(&[&arguments, more].concat())
    };
    let text = pretrain("runs/one", &[]);
    assert!(
        text.contains("64 features by simclr from 24 images"),
        "{text}"
    );
    assert!(text.contains("directions of embeddings"), "{text}");
    assert!(
        text.contains("--encoder runs/one/model.safetensors --crop 32"),
        "{text}"
    );
    assert!(
        lab.read("runs/one/report.html")
            .contains("ResNet-18 by simclr")
    );
    assert!(!lab.path("runs/one/checkpoints").exists());
    assert!(!lab.path("runs/one/lock").exists());

    // The same again gives the same bytes; another method another encoder.
    pretrain("runs/two", &[]);
    let model = |run: &str| std::fs::read(lab.path(run).join("model.safetensors")).unwrap();
    assert!(model("runs/one") == model("runs/two"));
    pretrain("runs/other", &["--method", "barlow-twins"]);
    pretrain("runs/seed", &["--seed", "5"]);
    lab.ok(&[
        "pretrain",
        "liver",
        "--recipe",
        "runs/seed/config.toml",
        "--out",
        "runs/again",
    ]);
    assert!(model("runs/seed") == model("runs/again") && model("runs/one") != model("runs/seed"));
    assert!(model("runs/one") != model("runs/other"));

    let encoder = "runs/one/model.safetensors";
    let text = lab.ok(&[
        "embed",
        "liver",
        "--encoder",
        encoder,
        "--crop",
        "32",
        "--json",
    ]);
    let embedded: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(embedded["encoder"], "ResNet-18 by simclr");
    assert_eq!(embedded["network"], "ResNet, blocks 2-2-2-2, 8 wide");
    assert_eq!(embedded["dimension"], 64);
    assert_eq!(embedded["images"], 24);
}

#[test]
fn what_is_wrong_is_said() {
    let lab = lab();
    let fails = |more: &[&str]| {
        let arguments = [
            "pretrain",
            "liver",
            "--recipe",
            "recipe.toml",
            "--out",
            "runs/x",
        ];
        let output = lab.run(&[&arguments, more].concat());
        assert!(!output.status.success());
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, text) = fails(&["--method", "moco"]);
    assert!(
        code == 2 && text.contains("simclr, moco-v3, dino, barlow-twins"),
        "{text}"
    );
    let (code, text) = fails(&["--network", "vgg"]);
    assert!(code == 2 && text.contains("vit-small"), "{text}");
    let (_, text) = fails(&["--batch", "25"]);
    assert!(text.contains("there are 24 images"), "{text}");
}

#[test]
fn a_finished_run_is_not_overwritten() {
    let lab = lab();
    let arguments = [
        "pretrain",
        "liver",
        "--recipe",
        "recipe.toml",
        "--out",
        "runs/x",
    ];
    lab.ok(&arguments);
    let output = lab.run(&arguments);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("is a finished run"), "{text}");

    // One that is not goes on, and says so if it is with other threads.
    let mut manifest: serde_json::Value =
        serde_json::from_str(&lab.read("runs/x/manifest.json")).unwrap();
    manifest["finished"] = serde_json::Value::Null;
    manifest["threads"] = 77.into();
    let unfinished = manifest.to_string();
    lab.write("runs/x/manifest.json", &unfinished);
    let told = lab.warns(&[&arguments[..], &["--threads", "1"]].concat());
    let warning = "runs/x was begun with 77 threads and goes on with 1:";
    assert!(told.contains(warning), "{told}");

    // What ends it before it is done leaves what it goes on from; what ends it then leaves nothing for long.
    lab.write("runs/x/manifest.json", &unfinished);
    std::fs::remove_file(lab.path("runs/x/report.html")).unwrap();
    lab.write("runs/x/report.html/in-the-way", "");
    assert!(!lab.run(&arguments).status.success());
    assert!(lab.path("runs/x/checkpoints").exists());
    let copied = tree(&lab.path("runs/x/checkpoints"));
    std::fs::remove_dir_all(lab.path("runs/x/report.html")).unwrap();
    lab.ok(&arguments);
    assert!(!lab.path("runs/x/checkpoints").exists());
    for (name, bytes) in copied {
        lab.write(&format!("runs/x/checkpoints/{}", name.display()), bytes);
    }
    assert!(lab.fails(&arguments).contains("is a finished run"));
    assert!(!lab.path("runs/x/checkpoints").exists());
}

#[test]
fn a_look_at_labels_that_fails_ends_nothing() {
    let lab = Lab::new();
    lab.write("recipe.toml", RECIPE);
    // Of the folds of a linear classifier, one is left without the only image of its class.
    let header = "image,class,case\n";
    let rows: String = (0..12u8)
        .map(|number| {
            let image = image::RgbImage::from_fn(40, 40, |x, y| {
                image::Rgb([number * 20, (x * 6) as u8, (y * 6) as u8])
            });
            lab.write(&format!("patches/{number}.png"), common::png(&image.into()));
            let class = if number == 3 { "tumour" } else { "normal" };
            format!("patches/{number}.png,{class},P{number}\n")
        })
        .collect();
    lab.write("labels.csv", format!("{header}{rows}"));
    lab.ok(&["import", "classes", "labels.csv", "rare"]);
    let arguments = ["pretrain", "rare", "--recipe", "recipe.toml", "--out", "x"];
    let told = lab.warns(&arguments);
    let warnings = told.matches("could not be measured").count();
    assert!(warnings == 1 && told.contains("of one class"), "{told}");
    assert!(lab.path("x/model.safetensors").exists());
}
