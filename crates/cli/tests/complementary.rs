//! Few masks and many diagnoses, as a user imports, trains, calls cases and compares.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::{Lab, png};
use image::{GrayImage, Luma, Rgb, RgbImage};

const RECIPE: &str = "labels = \"v3\"
source = \"few\"
[network.unet]
widths = [4, 8]
[train]
epochs = 30
batch_size = 4
crop = 32
learning_rate = 0.02
[complementary.loss]
form = { name = \"negative\" }
ramp = 0.5
";

const DIAGNOSES: [&str; 8] = [
    "import",
    "diagnoses",
    "cases.csv",
    "data",
    "--excludes",
    "red=blue tumour",
    "--excludes",
    "blue=red tumour",
];

const TRAIN: [&str; 6] = ["train", "data", "--recipe", "recipe.toml", "--out", "run"];

/// Twenty cases of two images: a red tumour, or a blue one, on a light ground; the last eight are for test, the four before
/// for validation.
fn tumours() -> Lab {
    let lab = Lab::new();
    let mut images = String::from("id,path,case,slide,group,split,microns_per_pixel\n");
    let mut cases = String::from("case,diagnosis\nnot here,red\n");
    for case in 0..20u32 {
        let is_red = case % 2 == 0;
        for image in 0..2u32 {
            let inside = |x: u32, y: u32| {
                let (left, top) = (4 + case % 7 + 9 * image, 6 + case % 5);
                (left..left + 14).contains(&x) && (top..top + 16).contains(&y)
            };
            let pixels = RgbImage::from_fn(40, 36, |x, y| {
                let noise = ((x * 7 + y * 13 + case * 5) % 23) as u8;
                match (inside(x, y), is_red) {
                    (false, _) => Rgb([190 + noise, 180 + noise, 190 + noise]),
                    (true, true) => Rgb([140 + noise, 70, 60 + noise]),
                    (true, false) => Rgb([60 + noise, 70, 140 + noise]),
                }
            });
            let id = format!("{case:02}-{image}");
            let name = format!("{id}.png");
            lab.write(&format!("images/{name}"), png(&pixels.into()));
            let class = if is_red { 1 } else { 2 };
            let mask =
                GrayImage::from_fn(40, 36, |x, y| Luma([if inside(x, y) { class } else { 0 }]));
            lab.write(&format!("masks/{name}"), png(&mask.into()));
            let split = match case {
                0..8 => "train",
                8..12 => "validation",
                _ => "test",
            };
            images += &format!("{id},../images/{name},case {case:02},,,{split},0.5\n");
        }
        cases += &format!("case {case:02},{}\n", if is_red { "red" } else { "blue" });
    }
    lab.write("cases.csv", cases);
    lab.write("recipe.toml", RECIPE);
    let shared = [
        "--images",
        "images",
        "--classes",
        "ground,red tumour,blue tumour",
    ];
    lab.ok(&[
        &["import", "masks", "masks", "data", "--source", "anna"][..],
        &shared,
    ]
    .concat());
    lab.write("data/images.csv", images);
    lab
}

fn diagnosed() -> Lab {
    let lab = tumours();
    let said = lab.ok(&DIAGNOSES);
    assert!(said.contains("red") && said.contains("as v2"), "{said}");
    let few = lab.ok(&[
        "inject", "unlabel", "data", "--source", "anna", "--rate", "0.75", "--name", "few",
    ]);
    assert!(few.contains("4 images of 2 cases (25"), "{few}");
    lab
}

#[test]
fn diagnoses_are_learned_from_and_cases_called() {
    let lab = diagnosed();
    let status = lab.ok(&["status", "data"]);
    assert!(
        status.contains("10 cases without blue tumour, by diagnosis"),
        "{status}"
    );
    let said = lab.ok(&TRAIN);
    assert!(said.contains("unet by complementary"), "{said}");
    // Of each kind one case is drawn; all others that may be learned from are known by their diagnosis.
    let split = lab.read("run/split.csv");
    let roles = |role: &str| split.lines().filter(|line| line.ends_with(role)).count();
    assert_eq!(
        (roles(",learns"), roles(",diagnosis"), roles(",predicts")),
        (4, 12, 24),
        "{split}"
    );
    assert!(
        lab.read("run/metrics.jsonl")
            .contains("probability against the diagnosis")
    );
    assert!(lab.read("run/manifest.json").contains("\"diagnosed\""));

    // Images for validation chose the threshold, so they measure nothing.
    let measured = lab.ok(&["evaluate", "data", "run", "--reference", "truth", "--json"]);
    assert!(measured.contains("\"images\": 16"), "{measured}");

    let called = lab.ok(&["cases", "data", "run", "--out", "calls", "--json"]);
    let called: serde_json::Value = serde_json::from_str(&called).unwrap();
    assert_eq!(called["threshold_of"], "validation");
    assert_eq!(
        (called["judged"].as_u64(), called["abstained"].as_u64()),
        (Some(8), Some(0))
    );
    assert_eq!(called["measures"][0]["estimate"]["value"], 1.0, "{called}");
    assert_eq!(called["measures"][1]["estimate"]["value"], 1.0);
    // A tumour of 14 by 16 pixels of half a micron on each of two images.
    let case = called["cases"].as_array().unwrap();
    let case = case.iter().find(|case| case["case"] == "case 12").unwrap();
    let area = case["amounts"][0].as_f64().unwrap();
    assert!(
        (area / (2.0 * 14.0 * 16.0 * 0.25e-6) - 1.0).abs() < 0.15,
        "{area}"
    );
    let table = lab.read("calls/cases.csv");
    assert!(
        table.starts_with("case,split,looked_at_mm2,red tumour_mm2,"),
        "{table}"
    );
    let page = lab.read("calls/report.html");
    assert!(
        page.contains("Only 8 cases were judged") && page.contains("case-0005-case_12.html"),
        "{page}"
    );
    let page = lab.read("calls/case-0005-case_12.html");
    assert!(
        page.contains("red tumour") && page.contains("no diagnosis"),
        "{page}"
    );

    // More than there is of tumour is asked for: nothing is called, and that is said.
    let none = lab.ok(&["cases", "data", "run", "--out", "none", "--least", "0.9"]);
    assert!(
        none.contains("8 without a call") && none.contains("no call"),
        "{none}"
    );
}

#[test]
fn an_interrupted_training_goes_on_to_the_same_bytes() {
    let lab = diagnosed();
    lab.ok(&TRAIN);
    let whole = std::fs::read(lab.path("run/model.safetensors")).unwrap();
    // The same to the third of its epochs, then on.
    let short = RECIPE.replace("[train]", "[train]\ncheckpoint_every = 10");
    lab.write("recipe.toml", &short);
    let mut train = TRAIN.to_vec();
    train[5] = "again";
    let mut child = lab.command(&train).spawn().unwrap();
    for _ in 0..600 {
        if lab.path("again/whole/checkpoints").is_dir() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    lab.ok(&train);
    assert_eq!(
        std::fs::read(lab.path("again/model.safetensors")).unwrap(),
        whole
    );
}

#[test]
fn methods_are_compared() {
    let lab = diagnosed();
    let table = lab.ok(&[
        "bench",
        "data",
        "--recipe",
        "recipe.toml",
        "--methods",
        "plain,forward,presumed",
        "--seeds",
        "1",
        "--reference",
        "truth",
        "--out",
        "bench",
    ]);
    assert!(
        table.contains("cases, balanced accuracy") && table.contains("false tumour"),
        "{table}"
    );
    let found: serde_json::Value = serde_json::from_str(&lab.read("bench/bench.json")).unwrap();
    assert_eq!(
        (found["images"].as_u64(), found["cases"].as_u64()),
        (Some(16), Some(8))
    );
    assert_eq!(found["lines"].as_array().unwrap().len(), 3);
    let dice = |line: usize| found["lines"][line]["measures"]["Dice"]["value"]["value"].as_f64();
    assert!(dice(0).unwrap() > 0.5, "{table}");
}

#[test]
fn what_cannot_be_learned_from_diagnoses_is_refused() {
    let lab = tumours();
    let few = RECIPE.replace("v3", "v1").replace("few", "anna");
    lab.write("recipe.toml", few);
    let none = lab.fails(&TRAIN);
    assert!(
        none.starts_with("exit 3") && none.contains("import diagnoses"),
        "{none}"
    );

    let unknown = lab.fails(&DIAGNOSES[..6]);
    assert!(
        unknown.contains("cases.csv, line 4") && unknown.contains("`blue`"),
        "{unknown}"
    );
    let text = lab.fails(&[
        "import",
        "diagnoses",
        "cases.csv",
        "data",
        "--excludes",
        "red",
    ]);
    assert!(
        text.starts_with("exit 2") && text.contains("DIAGNOSIS=CLASS"),
        "{text}"
    );

    lab.ok(&DIAGNOSES);
    // All images that may be learned from are drawn on.
    lab.write(
        "recipe.toml",
        RECIPE.replace("v3", "v2").replace("few", "anna"),
    );
    let drawn = lab.fails(&TRAIN);
    assert!(
        drawn.starts_with("exit 3")
            && drawn.contains("did not draw on")
            && drawn.contains("inject unlabel data --source anna"),
        "{drawn}"
    );

    lab.write(
        "recipe.toml",
        format!("{RECIPE}[also]\ndataset = \"other\"\n"),
    );
    let both = lab.fails(&TRAIN);
    assert!(
        both.starts_with("exit 2") && both.contains("exclude each other"),
        "{both}"
    );

    let run = lab.fails(&["cases", "data", "images", "--out", "calls"]);
    assert!(
        run.starts_with("exit 3") && run.contains("cleanslide predict"),
        "{run}"
    );
    lab.write(
        "counted/counts.csv",
        "slide,class,objects,tissue_mm2,per_mm2\n",
    );
    let counted = lab.fails(&["cases", "data", "counted", "--out", "calls"]);
    assert!(
        counted.starts_with("exit 3") && counted.contains("counts objects"),
        "{counted}"
    );
    let share = lab.fails(&["cases", "data", "images", "--out", "calls", "--least", "2"]);
    assert!(share.starts_with("exit 2"), "{share}");
}

/// Of slides, the areas that `predict` wrote are summed by case.
#[test]
fn slides_are_called() {
    let lab = diagnosed();
    let images = lab.read("data/images.csv");
    let slides: String = images
        .lines()
        .enumerate()
        .map(|(line, text)| match line {
            0 => format!("{text}\n"),
            _ => text.replacen(",,,", &format!(",slide {line},,"), 1) + "\n",
        })
        .collect();
    lab.write("data/images.csv", slides);
    lab.write(
        "found/areas.csv",
        "slide,class,area_mm2,share\nslide 25,ground,1.0,0.5\nslide 25,red tumour,0.9,0.4\nslide 25,blue tumour,0.1,0.1\n\
         slide 26,red tumour,0.1,1\nslide 27,blue tumour,2,1\nelsewhere,ground,1,1\n",
    );
    for slide in ["slide 25", "slide 26", "slide 27"] {
        let overlay = RgbImage::from_pixel(20, 10, Rgb([200, 100, 150]));
        lab.write(&format!("found/{slide}/overlay.png"), png(&overlay.into()));
    }
    let output = lab.run(&["cases", "data", "found", "--out", "calls", "--json"]);
    let warned = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && warned.contains("the first is elsewhere"),
        "{warned}"
    );
    let called: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let cases = called["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 2);
    assert_eq!(cases[0]["case"], "case 12");
    let amounts: Vec<f64> = (0..2)
        .map(|of| cases[0]["amounts"][of].as_f64().unwrap())
        .collect();
    assert!((amounts[0] - 1.0).abs() < 1e-9 && (amounts[1] - 0.1).abs() < 1e-9);
    assert_eq!(
        (&cases[0]["call"], &cases[1]["call"]),
        (&"red tumour".into(), &"blue tumour".into())
    );
    let page = lab.read("calls/case-0001-case_12.html");
    assert!(page.contains("slide 26"));
    // What is in colour on the overlay: all classes but the first.
    let colour = "fill=\"rgb(230,159,0)\"></circle></svg>red tumour";
    assert!(
        page.contains(colour) && page.contains("rgb(86,180,233)"),
        "{page}"
    );
}
