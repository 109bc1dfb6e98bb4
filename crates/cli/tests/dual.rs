//! Two networks that filter each other's labels of objects, as a user trains, looks, measures and publishes.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::{Lab, png};
use image::{ImageBuffer, Luma, Rgb, RgbImage};

const RECIPE: &str = "[network.unet]
widths = [4, 8]
[train]
epochs = 14
batch_size = 2
crop = 32
learning_rate = 0.02
[objects]
border = 1
[dual]
partner = { unet = { widths = [4, 4] } }
every = 2
gradual = 4
[dual.selection]
after = 8
gradual = 4
plane = \"grey\"
relabel = { times = 1, probability = 0.6, overlap = 0.6 }
[[dual.selection.priors]]
class = \"square\"
feature = \"area\"
least = 60.0
most = 200.0
[dual.contrast]
gradual = 4
";

const TRAIN: [&str; 6] = ["train", "data", "--recipe", "recipe.toml", "--out", "run"];

/// Eight images with three dark squares each, all of them marked, and a place where there is nothing.
fn squares() -> Lab {
    let lab = Lab::new();
    for image in 0..8u32 {
        let corners = [(4 + image, 5), (17 + image, 5 + image), (30, 22 + image)];
        let inside = |(left, top): &(u32, u32), x: u32, y: u32| {
            (*left..left + 11).contains(&x) && (*top..top + 11).contains(&y)
        };
        let object = |x: u32, y: u32| -> u16 {
            let place = corners.iter().position(|corner| inside(corner, x, y));
            place.map_or(0, |place| place as u16 + 1)
        };
        let pixels = RgbImage::from_fn(48, 40, |x, y| {
            let noise = (x * 7 + y * 13 + image * 5) % 23;
            let level = if object(x, y) > 0 { 60 } else { 170 } + noise as u8;
            Rgb([level, level / 2, level])
        });
        lab.write(&format!("images/{image}.png"), png(&pixels.into()));
        let mask = |with_false: bool| {
            ImageBuffer::<Luma<u16>, Vec<u16>>::from_fn(48, 40, |x, y| {
                let is_false = with_false && inside(&(3 + image, 28), x, y);
                Luma([if is_false { 4 } else { object(x, y) }])
            })
        };
        lab.write(&format!("objects/{image}.png"), png(&mask(true).into()));
        lab.write(&format!("truth/{image}.png"), png(&mask(false).into()));
    }
    for (folder, flag, name) in [
        ("objects", "--source", "hasty"),
        ("truth", "--as-reference", "truth"),
    ] {
        lab.ok(&[
            "import",
            "instances",
            folder,
            "data",
            "--images",
            "images",
            "--classes",
            "square",
            flag,
            name,
        ]);
    }
    lab.write("recipe.toml", RECIPE);
    lab
}

#[test]
fn false_objects_are_dropped_and_the_selection_is_measured_and_published() {
    let lab = squares();
    lab.ok(&TRAIN);
    let table = lab.read("run/whole/selection.csv");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split(',').collect())
        .collect();
    assert_eq!(rows.len(), 1 + 8 * 4);
    assert_eq!(
        rows[0][..6],
        ["image", "object", "class", "pixels", "state", "removed"]
    );
    let judged = lab.ok(&["evaluate", "data", "run/whole/selection.csv", "--json"]);
    let judged: serde_json::Value = serde_json::from_str(&judged).unwrap();
    assert_eq!([&judged["given"], &judged["false"]], [32, 8]);
    let epochs = judged["epochs"].as_array().unwrap();
    assert_eq!(epochs.len(), 7);
    let last = &epochs[6];
    assert_eq!(last["epoch"], 14);
    assert!(last["recall"]["value"].as_f64() > Some(0.8), "{last:#}");
    assert!(last["precision"]["value"].as_f64() > Some(0.7), "{last:#}");
    let told = lab.ok(&["evaluate", "data", "run/whole/selection.csv"]);
    assert!(told.contains("8 of 32 given objects false"), "{told}");
    let page = lab.read("run/report.html");
    assert!(page.contains("What was decided about the labels"));
    assert!(page.contains("unet by dual on 8 images"));
    // The masks that were learned from in the end become a version.
    lab.ok(&["correct", "data", "--run", "run"]);
    let status = lab.ok(&["status", "data"]);
    assert!(status.contains("corrected"), "{status}");
    let again = lab.fails(&["evaluate", "data", "run/selection.csv"]);
    assert!(
        again.starts_with("exit 2") && again.contains("when a training by `dual` is done"),
        "{again}"
    );
}

#[test]
fn all_parts_are_there_by_name_and_what_is_wrong_is_said() {
    let lab = squares();
    let short = "[network.unet]\nwidths = [4, 8]\n[train]\nepochs = 1\ncrop = 32\n[dual]\npartner = { unet = { widths = [4, 4] } }\n";
    lab.write("short.toml", short);
    lab.ok(&[
        "train",
        "data",
        "--recipe",
        "short.toml",
        "--method",
        "dual",
        "--out",
        "whole",
    ]);
    let config = lab.read("whole/config.toml");
    assert!(
        config.contains("[dual.selection") && config.contains("[dual.contrast]"),
        "{config}"
    );
    let fails = |recipe: &str| {
        lab.write("recipe.toml", recipe);
        lab.fails(&TRAIN)
    };
    let both = fails("[dual]\n[correction]\n");
    assert!(
        both.starts_with("exit 2") && both.contains("exclude each other"),
        "{both}"
    );
    let every = fails("[dual]\nevery = 0\n");
    assert!(
        every.starts_with("exit 2") && every.contains("`every` is 0"),
        "{every}"
    );
    let range = fails(
        "[[dual.selection.priors]]\nclass = \"square\"\nfeature = \"area\"\nleast = 9.0\nmost = 9.0\n",
    );
    assert!(
        range.starts_with("exit 2") && range.contains("9 to 9 of square"),
        "{range}"
    );
    let class = fails(
        "[[dual.selection.priors]]\nclass = \"circle\"\nfeature = \"area\"\nleast = 9.0\nmost = 19.0\n",
    );
    assert!(
        class.starts_with("exit 2") && class.contains("`circle`"),
        "{class}"
    );
    let unit = fails(
        "[[dual.selection.priors]]\nclass = \"square\"\nfeature = \"area\"\nleast = 9.0\nmost = 19.0\nunit = \"microns\"\n",
    );
    assert!(
        unit.starts_with("exit 3") && unit.contains("image 0") && unit.contains("images.csv"),
        "{unit}"
    );
    let feature = fails(
        "[[dual.selection.priors]]\nclass = \"square\"\nfeature = \"smell\"\nleast = 9.0\nmost = 19.0\n",
    );
    assert!(
        feature.contains("smell") && feature.contains("eccentricity"),
        "{feature}"
    );
    let crop =
        fails("[train]\ncrop = 36\n[dual]\npartner = { unet = { widths = [4, 4, 4, 4] } }\n");
    assert!(crop.contains("multiple of 8"), "{crop}");
}

#[test]
fn methods_are_compared_side_by_side() {
    let lab = squares();
    let short = RECIPE.replace("epochs = 14", "epochs = 4");
    lab.write("recipe.toml", short);
    let bench = |methods: &str| {
        lab.ok(&[
            "bench",
            "data",
            "--recipe",
            "recipe.toml",
            "--folds",
            "2",
            "--seeds",
            "1",
            "--methods",
            methods,
            "--out",
            "bench",
        ])
    };
    let told = bench("plain,gce,dual+priors,sissi+ignored+completed");
    assert!(
        told.contains("8 images of 8 cases, 2 folds by case, 1 seed"),
        "{told}"
    );
    let summary: serde_json::Value = serde_json::from_str(&lab.read("bench/bench.json")).unwrap();
    let lines = summary["lines"].as_array().unwrap();
    let methods: Vec<_> = lines.iter().map(|line| &line["method"]).collect();
    assert_eq!(
        methods,
        ["plain", "gce", "dual+priors", "sissi+ignored+completed"]
    );
    for (place, line) in lines.iter().enumerate() {
        for measure in ["F1", "recall", "precision", "AJI", "Dice"] {
            let measured = &line["measures"][measure];
            assert!(measured["value"]["value"].is_number(), "{line:#}");
            assert_eq!(measured["gain"].is_null(), place == 0, "{line:#}");
        }
    }
    let config = |method: &str| lab.read(&format!("bench/{method}/seed-0/config.toml"));
    assert!(!config("plain").contains("[dual"), "{}", config("plain"));
    assert!(config("gce").contains("name = \"gce\""));
    assert!(config("dual+priors").contains("[[dual.selection.priors]]"));
    let completed = config("sissi+ignored+completed");
    assert!(completed.contains("given = \"completed\"") && completed.contains("doubt = 0.3"));
    // What is done stays, and its figures are those of `evaluate`.
    let model = std::fs::read(lab.path("bench/plain/seed-0/fold-1/model.safetensors")).unwrap();
    bench("plain,small-loss+selection,dividemix");
    assert_eq!(
        std::fs::read(lab.path("bench/plain/seed-0/fold-1/model.safetensors")).unwrap(),
        model
    );
    assert!(config("dividemix").contains("[dual.refine]"));
    let config = config("small-loss+selection");
    assert!(config.contains("exchange = \"alone\"") && !config.contains("priors]]"));
    let judged = lab.ok(&["evaluate", "data", "bench/plain/seed-0", "--json"]);
    let judged: serde_json::Value = serde_json::from_str(&judged).unwrap();
    let measures = judged["sources"][0]["measures"].as_array().unwrap();
    let f1 = measures
        .iter()
        .find(|measure| measure["name"] == "F1 at IoU 0.5")
        .unwrap();
    let of_bench = &lines[0]["measures"]["F1"]["value"]["value"];
    assert_eq!(f1["estimate"]["value"], *of_bench);
}

#[test]
fn methods_that_mean_nothing_are_refused() {
    let lab = squares();
    let refused = |methods: &str, recipe: &str| {
        lab.write("recipe.toml", recipe);
        let flags = [
            "bench",
            "data",
            "--recipe",
            "recipe.toml",
            "--methods",
            methods,
        ];
        let told = lab.fails(&[flags.as_slice(), &["--out", "bench"]].concat());
        assert!(told.starts_with("exit 2"), "{told}");
        told
    };
    assert!(refused("teaching", "").contains("co-teaching"));
    assert!(refused("plain+selection", "").contains("`+selection` says nothing"));
    assert!(refused("sissi+weak+strong", "").contains("several backgrounds"));
    assert!(refused("dual+priors", "").contains("nothing is known before"));
    assert!(refused("co-teaching+priors", RECIPE).contains("without a selection"));
    assert!(refused("plain,plain", "").contains("twice"));
}
