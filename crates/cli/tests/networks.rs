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
        // The page says which command made it, as the manifest does.
        name.contains("tfevents") || name == "manifest.json" || name == "report.html"
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
    // Not while another process trains there.
    let lock = fs::File::create(killed.path("run/lock")).unwrap();
    lock.lock().unwrap();
    let held = killed.fails(&TRAIN);
    assert!(
        held.starts_with("exit 4") && held.contains("another process trains in run"),
        "{held}"
    );
    drop(lock);
    // To another place, with a command that names no recipe: the run knows its own.
    if killed.path("run/manifest.json").exists() && !killed.path("run/model.safetensors").exists() {
        fs::rename(killed.path("run"), killed.path("moved")).unwrap();
        killed.ok(&["train", "data", "--out", "moved"]);
        fs::rename(killed.path("moved"), killed.path("run")).unwrap();
    }
    let (left, right) = (results(&killed.path("run")), results(&whole.path("run")));
    for (left, right) in left.iter().zip(&right) {
        assert_eq!(left.0, right.0);
        assert!(left.1 == right.1, "{} differs", left.0.display());
    }
    assert_eq!(left.len(), right.len());
}

#[test]
fn a_run_is_made_again_by_its_recipe_with_the_same_seed() {
    let lab = objects();
    let recipe = RECIPE.replace("epochs = 12", "epochs = 1");
    lab.write("plain.toml", &recipe);
    lab.write("seed.toml", format!("seed = 5\n{recipe}"));
    let train = |recipe: &str, out: &str, more: &[&str]| {
        lab.ok(&[&["train", "data", "--recipe", recipe, "--out", out], more].concat());
        results(&lab.path(out))
    };
    let flag = train("plain.toml", "flag", &["--seed", "5"]);
    assert!(flag == train("seed.toml", "recipe", &[]));
    assert!(flag == train("flag/config.toml", "again", &[]));
    assert!(flag != train("seed.toml", "zero", &["--seed", "0"]));
}

#[test]
fn what_an_interrupted_end_left_is_removed() {
    let lab = objects();
    lab.write("recipe.toml", RECIPE.replace("epochs = 12", "epochs = 1"));
    lab.ok(&TRAIN);
    let made = results(&lab.path("run"));
    // As if the process had been killed once the predictions were there.
    let manifest = lab.read("run/manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    manifest["finished"] = serde_json::Value::Null;
    lab.write("run/manifest.json", manifest.to_string());
    lab.write("run/fold-1/predicted/000000.png", "left");
    lab.ok(&TRAIN);
    assert!(results(&lab.path("run")) == made);
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

/// The squares in boxes.
fn boxes() -> Lab {
    boxes_of(0..6)
}

/// The squares of some images in boxes, in files of the format YOLO: class, middle, size, as shares of the image.
fn boxes_of(images: std::ops::Range<u32>) -> Lab {
    let lab = Lab::new();
    squares(&lab);
    for image in images {
        let corners = [(4 + image, 5), (15 + image, 5 + image), (30, 20 + image)];
        let lines = corners.map(|(left, top)| {
            let middle = |from: u32, side: f64| (f64::from(from) + 5.5) / side;
            format!(
                "0 {} {} {} {}\n",
                middle(left, 48.0),
                middle(top, 40.0),
                11.0 / 48.0,
                11.0 / 40.0
            )
        });
        lab.write(&format!("boxes/{image}.txt"), lines.concat());
    }
    lab.write("names.txt", "square\n");
    let import = [
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
    ];
    lab.ok(&import);
    lab.ok(&[&import[..], &["--as-reference", "truth"]].concat());
    lab.write(
        "recipe.toml",
        "folds = 2
[network.fcos]
encoder_width = 4
width = 8
groups = 4
convolutions = 1
[train]
epochs = 60
batch_size = 2
crop = 64
learning_rate = 0.01
",
    );
    lab
}

#[test]
fn a_detector_is_trained_evaluated_and_finds_objects() {
    let lab = boxes();
    let trained = lab.ok(&TRAIN);
    assert!(
        trained.contains("recall at IoU 0.5") && trained.contains("run/report.html"),
        "{trained}"
    );
    let evaluated = lab.ok(&["evaluate", "data", "run", "--reference", "truth", "--json"]);
    let evaluated: serde_json::Value = serde_json::from_str(&evaluated).unwrap();
    assert_eq!(evaluated["sources"][0]["images"], 6);
    let page = lab.read("run/report.html");
    for shown in [
        "What is predicted",
        "How training went",
        "encoder_width = 4",
    ] {
        assert!(page.contains(shown), "{shown}");
    }

    let compared = lab.fails(&["report", "data", "--run", "run", "--out", "page.html"]);
    assert!(
        compared.starts_with("exit 2") && compared.contains("run/report.html"),
        "{compared}"
    );

    let predicted = lab.ok(&[
        "predict", "run", "images", "--turns", "flips", "--out", "found", "--json",
    ]);
    let predicted: serde_json::Value = serde_json::from_str(&predicted).unwrap();
    assert_eq!(predicted["images"], 6);
    let table = lab.read("found/boxes.csv");
    let mut lines = table.lines();
    assert_eq!(
        lines.next(),
        Some("image,class,score,left,top,right,bottom")
    );
    let objects = lines.count();
    assert_eq!(predicted["per_class"][0][1], objects);
    let outlined: usize = (0..6)
        .map(|image| {
            let text = lab.read(&format!("found/{image}.geojson"));
            let found: serde_json::Value = serde_json::from_str(&text).unwrap();
            found["features"].as_array().unwrap().len()
        })
        .sum();
    assert_eq!(outlined, objects);
    assert!(objects > 0, "it has learnt nothing");
}

#[test]
fn other_data_are_learnt_from_too() {
    let lab = boxes();
    // The same images under a class of another name, two of them.
    lab.write("others/a.png", fs::read(lab.path("images/0.png")).unwrap());
    lab.write("others/b.png", fs::read(lab.path("images/1.png")).unwrap());
    for (from, to) in [("0", "a"), ("1", "b")] {
        let text = lab.read(&format!("boxes/{from}.txt"));
        lab.write(&format!("others-boxes/{to}.txt"), text);
    }
    lab.write("other-names.txt", "cell\n");
    lab.ok(&[
        "import",
        "yolo",
        "others-boxes",
        "other",
        "--names",
        "other-names.txt",
        "--images",
        "others",
        "--classes",
        "cell",
    ]);
    let unknown = lab.fails(&[&TRAIN[..], &["--also", "other"]].concat());
    assert!(
        unknown.starts_with("exit 3")
            && unknown.contains("data has no class `cell`, which is one of other")
            && unknown.contains("[also.classes]"),
        "{unknown}"
    );
    let same = lab.fails(&[&TRAIN[..], &["--also", "data"]].concat());
    assert!(same.contains("is what is learned from already"), "{same}");

    let recipe = lab.read("recipe.toml").replace("epochs = 60", "epochs = 2");
    let also = "[also]\ndataset = \"other\"\nclasses = { cell = \"square\" }\n";
    lab.write("recipe.toml", format!("{recipe}{also}"));
    lab.ok(&TRAIN);
    let manifest: serde_json::Value = serde_json::from_str(&lab.read("run/manifest.json")).unwrap();
    assert_eq!(manifest["also"]["images"], 2);
    // Other data belong to no fold.
    let split = lab.read("run/split.csv");
    assert_eq!(split.lines().count(), 7, "{split}");
}

#[test]
fn what_is_wrong_with_boxes_is_said() {
    let lab = boxes();
    let fails = |recipe: &str| {
        lab.write("recipe.toml", recipe);
        lab.fails(&TRAIN)
    };
    let network = fails("[network.unet]\n");
    assert!(
        network.starts_with("exit 2") && network.contains("unet"),
        "{network}"
    );
    let groups = fails("[network.fcos]\nwidth = 24\n");
    assert!(
        groups.contains("`groups` is 32: expected a divisor of `width`"),
        "{groups}"
    );
    let mixed = fails("[augment]\nmix_up = 0.4\n");
    assert!(mixed.contains("images with boxes are not mixed"), "{mixed}");
    let method = lab.fails(&["train", "data", "--method", "gce", "--out", "run"]);
    assert!(method.contains("no method `gce` for boxes"), "{method}");

    let none = Lab::new();
    none.picture("images/1.png", 3);
    none.write("boxes/1.txt", "");
    none.write("names.txt", "cell\n");
    none.ok(&[
        "import",
        "yolo",
        "boxes",
        "data",
        "--names",
        "names.txt",
        "--images",
        "images",
        "--classes",
        "cell",
    ]);
    let nothing = none.fails(&["train", "data", "--out", "run"]);
    assert!(
        nothing.starts_with("exit 3") && nothing.contains("marked no object on any image"),
        "{nothing}"
    );
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
        method.contains("`--method gce` is for classes of images"),
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
    manifest["device"] = "vulkan".into();
    lab.write("run/manifest.json", manifest.to_string());
    let elsewhere = lab.fails(&TRAIN);
    assert!(
        elsewhere.contains("unfinished run of another device"),
        "{elsewhere}"
    );
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
    assert_eq!(found["devices"][0]["name"], "cpu");
    assert_eq!(found["devices"][0]["usable"], true);
    assert_eq!(found["devices"][1]["name"], "vulkan");
    assert_eq!(found["devices"][1]["usable"], cfg!(feature = "vulkan"));
    assert!(found["openslide"]["usable"].is_boolean());
    let mut elsewhere = lab.command(&["doctor", "--quick"]);
    let elsewhere = elsewhere
        .env("CLEANSLIDE_OPENSLIDE", "/nowhere/lib.so")
        .output()
        .unwrap();
    let elsewhere = String::from_utf8(elsewhere.stdout).unwrap();
    assert!(
        elsewhere.contains("cannot be loaded from /nowhere/lib.so")
            && elsewhere.contains("SVS, TIFF, OME-TIFF and OME-Zarr")
    );
    assert!(
        lab.ok(&["doctor", "--quick"])
            .contains("vector instructions")
    );
}

#[test]
#[cfg(not(feature = "vulkan"))]
fn a_build_without_gpus_says_how_to_get_one() {
    let lab = objects();
    lab.ok(&TRAIN);
    for command in [
        &["train", "data", "--recipe", "recipe.toml", "--out", "other"][..],
        &["predict", "run", "images", "--out", "masks"][..],
    ] {
        let refused = lab.fails(&[command, &["--device", "vulkan"]].concat());
        assert!(
            refused.starts_with("exit 4") && refused.contains("--features vulkan"),
            "{refused}"
        );
    }
    assert!(!lab.path("other").exists() && !lab.path("masks").exists());
}

#[test]
#[cfg(feature = "vulkan")]
fn a_gpu_trains_goes_on_and_predicts() {
    let lab = objects();
    let on_gpu = [&TRAIN[..], &["--device", "vulkan"]].concat();
    // As if it had been interrupted after the folds.
    lab.ok(&on_gpu);
    let manifest = lab.read("run/manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["device"], "vulkan");
    manifest["finished"] = serde_json::Value::Null;
    lab.write("run/manifest.json", manifest.to_string());
    fs::remove_dir_all(lab.path("run/whole")).unwrap();
    let elsewhere = lab.fails(&TRAIN);
    assert!(
        elsewhere.contains("unfinished run of another device"),
        "{elsewhere}"
    );
    let trained = lab.ok(&on_gpu);
    assert!(trained.contains("F1 at IoU 0.5"), "{trained}");

    let predict = |device: &str, out: &str| {
        lab.ok(&["predict", "run", "images", "--device", device, "--out", out]);
        let mask = lab.path(out).join("2.png");
        image::open(mask).unwrap().into_luma16()
    };
    let [on_cpu, on_gpu] = ["cpu", "vulkan"].map(|device| predict(device, device));
    let differ = on_cpu.pixels().zip(on_gpu.pixels()).filter(|(a, b)| a != b);
    // A probability that is a half but for rounding may fall on either side.
    assert!(differ.count() <= 2);
    assert!(on_cpu.pixels().any(|pixel| pixel.0[0] > 0));

    let gone = lab
        .command(&[
            "predict", "run", "images", "--device", "vulkan", "--out", "gone",
        ])
        .env("VK_ICD_FILENAMES", "/nowhere.json")
        .env("VK_DRIVER_FILES", "/nowhere.json")
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&gone.stderr);
    assert_eq!(gone.status.code(), Some(4), "{message}");
    assert!(message.contains("no GPU with a Vulkan driver"), "{message}");
}

/// Class masks of three experts: two who are right, and one who also marks the other half of image 0 and did not see
/// image 1.
fn experts(seen: impl Fn(&str, u32) -> bool) -> Lab {
    let lab = Lab::new();
    squares(&lab);
    for expert in ["anna", "ben", "carla"] {
        for image in (0..6).filter(|&image| seen(expert, image)) {
            let mask = fs::read(lab.path(&format!("classes/{image}.png"))).unwrap();
            let mut mask = image::load_from_memory(&mask).unwrap().to_luma8();
            if expert == "carla" {
                (0..48).for_each(|x| mask.put_pixel(x, 0, Luma([1])));
            }
            lab.write(&format!("{expert}/{image}.png"), png(&mask.into()));
        }
        lab.ok(&[
            "import",
            "masks",
            expert,
            "data",
            "--images",
            "images",
            "--classes",
            "background,square",
            "--source",
            expert,
        ]);
    }
    let base = ["import", "masks", "classes", "data", "--images", "images"];
    let truth = ["--classes", "background,square", "--as-reference", "truth"];
    lab.ok(&[&base[..], &truth].concat());
    let recipe = RECIPE.split("[objects]").next().unwrap();
    let weighting = "weighting = { encoder_width = 8 }";
    lab.write(
        "recipe.toml",
        format!("{recipe}\n[experts.method]\nname = \"reweight\"\n{weighting}\n"),
    );
    lab
}

fn all_but_one(expert: &str, image: u32) -> bool {
    (expert, image) != ("carla", 1)
}

#[test]
fn networks_learn_from_several_experts() {
    let lab = experts(all_but_one);
    let text = lab.ok(&TRAIN);
    assert!(text.contains("unet by reweight on 6 images"), "{text}");
    assert!(text.contains("Dice of square, carla"), "{text}");
    let page = fs::read_to_string(lab.path("run/report.html")).unwrap();
    assert!(page.contains("anna, ben and carla"));

    // Where each is believed, out of sample and by the network of all images.
    for (part, images) in [("fold-1", 3), ("whole", 6)] {
        let believed = fs::read_dir(lab.path("run").join(part).join("believed")).unwrap();
        assert_eq!(believed.count(), 3 * images, "{part}");
    }
    let table = fs::read_to_string(lab.path("run/experts.csv")).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|row| row.split(',').collect::<Vec<_>>())
        .collect();
    assert_eq!(rows.len(), 4, "{table}");
    // Carla did not see one image, and says more than the others in the first row of each of hers.
    let pixels = |row: &[&str]| row[5].parse::<usize>().unwrap();
    assert_eq!(pixels(&rows[1]) - pixels(&rows[3]), 48 * 40);
    assert_eq!((rows[1][4], rows[3][4]), ("0.0000", "0.0250"));
    assert!(
        page.contains("Whom the network believes")
            && page.contains("When each expert was believed")
    );
    let config = fs::read_to_string(lab.path("run/config.toml")).unwrap();
    assert!(
        config.contains("annotators = [\"anna\", \"ben\", \"carla\"]"),
        "{config}"
    );

    let text = lab.ok(&["evaluate", "data", "run", "--given", "all"]);
    for expert in ["anna", "ben", "carla"] {
        assert!(
            text.contains(&format!("predicted against {expert}")),
            "{text}"
        );
    }
    let text = lab.ok(&["evaluate", "data", "run", "--reference", "truth", "--all"]);
    assert!(text.contains("F1 of connected objects"), "{text}");
    lab.ok(&["predict", "run", "images", "--out", "found"]);

    // Flags override the recipe, and what they leave out stays.
    let flags = ["--method", "soft", "--annotators", "ben,anna"];
    let other = ["train", "data", "--recipe", "recipe.toml", "--out", "soft"];
    let text = lab.ok(&[&other[..], &flags].concat());
    assert!(text.contains("unet by soft on 6 images"), "{text}");
    assert!(text.contains("(ben and anna of v3)"), "{text}");
}

/// What an expert says of the images that a network predicts changes nothing in that network.
#[test]
fn masks_of_test_images_are_not_seen() {
    let lab = experts(all_but_one);
    lab.ok(&TRAIN);
    let split = fs::read_to_string(lab.path("run/split.csv")).unwrap();
    let held_out = |fold: usize| -> Vec<u32> {
        let rows = split
            .lines()
            .skip(1)
            .map(|row| row.split(',').collect::<Vec<_>>());
        rows.filter(|row| row[fold] == "predicts")
            .map(|row| row[0].parse().unwrap())
            .collect()
    };
    assert_eq!((held_out(1).len(), held_out(2).len()), (3, 3));
    // Garbage in the place of all masks of the first fold's images.
    let garbage = Lab::new();
    squares(&garbage);
    for expert in ["anna", "ben", "carla"] {
        for image in (0..6).filter(|&image| all_but_one(expert, image)) {
            let file = format!("{expert}/{image}.png");
            if held_out(1).contains(&image) {
                let checks = ImageBuffer::<Luma<u8>, Vec<u8>>::from_fn(48, 40, |x, y| {
                    Luma([((x + y) % 2) as u8])
                });
                garbage.write(&file, png(&checks.into()));
            } else {
                garbage.write(&file, fs::read(lab.path(&file)).unwrap());
            }
        }
        let base = ["import", "masks", expert, "data", "--images", "images"];
        let whose = ["--classes", "background,square", "--source", expert];
        garbage.ok(&[&base[..], &whose].concat());
    }
    let recipe = fs::read_to_string(lab.path("recipe.toml")).unwrap();
    garbage.write("recipe.toml", recipe);
    garbage.ok(&TRAIN);
    let network = |lab: &Lab, part: &str| {
        fs::read(lab.path("run").join(part).join("model.safetensors")).unwrap()
    };
    assert!(network(&lab, "fold-1") == network(&garbage, "fold-1"));
    assert!(network(&lab, "fold-2") != network(&garbage, "fold-2"));
}

#[test]
fn networks_and_methods_are_compared() {
    let lab = experts(all_but_one);
    let recipe = fs::read_to_string(lab.path("recipe.toml")).unwrap();
    lab.write("recipe.toml", recipe.replace("epochs = 12", "epochs = 2"));
    lab.write("small.toml", "[network.unet]\nwidths = [4]\n");
    let bench = [
        "bench",
        "data",
        "--networks",
        "small.toml",
        "--methods",
        "majority,majority+gaf,reweight,reweight+gaf",
        "--recipe",
        "recipe.toml",
        "--seeds",
        "1",
        "--out",
        "bench",
    ];
    let text = lab.ok(&bench);
    assert!(text.contains("against reference truth"), "{text}");
    assert!(text.contains("2 folds by case"), "{text}");
    for words in ["reweight+gaf", "F1 of objects", "gain", "carla"] {
        assert!(text.contains(words), "{text}");
    }
    let read = || -> serde_json::Value {
        serde_json::from_slice(&fs::read(lab.path("bench/bench.json")).unwrap()).unwrap()
    };
    let found = read();
    assert_eq!(found["lines"].as_array().unwrap().len(), 4);
    assert!(found["lines"][0]["figures"][0]["dice_gain"].is_null());
    assert!(found["lines"][3]["figures"][3]["dice_gain"]["value"].is_number());
    assert!(
        lab.path("bench/small/reweight+gaf/seed-0/report.html")
            .exists()
    );

    // What is done is not done again, and another recipe does not mix with it.
    fs::remove_dir_all(lab.path("bench/small/reweight")).unwrap();
    lab.ok(&bench);
    assert_eq!(read(), found);
    // The seed of the recipe is that of the first run, and the figures of more are kept.
    let short = lab.read("recipe.toml");
    lab.write("recipe.toml", format!("seed = 3\n{short}"));
    let fewer = bench.map(|word| {
        if word.starts_with("majority,") {
            "reweight"
        } else {
            word
        }
    });
    let told = lab.warns(&[&fewer[..], &["--seed", "0"]].concat());
    assert!(
        told.contains("0 cells to train, 1 done") && told.contains("the report in bench is kept"),
        "{told}"
    );
    assert_eq!(read(), found);
    lab.write("recipe.toml", short);
    // Nor does another dataset, of the same recipe.
    let manifest = "bench/small/majority/seed-0/manifest.json";
    let known = lab.read(manifest);
    let mut other: serde_json::Value = serde_json::from_str(&known).unwrap();
    other["labels_hash"] = "of other labels".into();
    lab.write(manifest, other.to_string());
    let told = lab.fails(&bench);
    assert!(told.contains("another dataset"), "{told}");
    lab.write(manifest, known);
    lab.write("recipe.toml", recipe.clone());
    assert!(lab.fails(&bench).contains("another recipe"));

    let wrong = |flags: &[&str]| lab.fails(&[&["bench", "data", "--out", "other"], flags].concat());
    assert!(wrong(&["--methods", "majority+magic"]).contains("+magic"));
    assert!(wrong(&["--networks", "lenet"]).contains("there is no network `lenet`"));
    assert!(wrong(&["--labels-of", "anna"]).contains("[experts]"));
    assert!(wrong(&["--crop", "64"]).contains("`--crop` is for classes of images"));
    assert!(wrong(&["--reference", "nobody", "--recipe", "recipe.toml"]).contains("`nobody`"));
    lab.write("odd.toml", recipe.replace("crop = 32", "crop = 24"));
    let odd = wrong(&["--recipe", "odd.toml", "--methods", "majority,reweight"]);
    assert!(odd.contains("multiple of 32"), "{odd}");
    assert!(!lab.path("other").exists(), "nothing was trained");
    lab.write("other/notes.txt", "of somebody else");
    assert!(wrong(&["--methods", "majority"]).contains("other is not empty, and is no bench"));
}

#[test]
fn what_is_wrong_with_experts_is_said() {
    let lab = experts(all_but_one);
    let wrong = |flags: &[&str]| lab.fails(&[&["train", "data", "--out", "other"], flags].concat());
    assert!(wrong(&["--method", "reweigh"]).contains("no method `reweigh`"));
    assert!(wrong(&["--method", "gce"]).contains("[loss]"));
    assert!(
        wrong(&["--method", "soft", "--annotators", "anna"])
            .contains("nothing to learn from together")
    );
    assert!(wrong(&["--method", "soft", "--annotators", "anna,dora"]).contains("`dora`"));
    let both = wrong(&["--method", "soft", "--source", "anna"]);
    assert!(
        both.starts_with("exit 2") && both.contains("`source` and `experts`"),
        "{both}"
    );
    assert!(
        lab.fails(&["evaluate", "data", "v1", "--given", "dora"])
            .contains("`dora`")
    );
}

const TINY: &str = "[network.fcos]
encoder_width = 4
width = 8
groups = 4
convolutions = 1
[train]
epochs = 1
batch_size = 2
crop = 64
learning_rate = 0.01
[predict]
score = 0.0
most = 20
";

/// The last two of the six images are for test.
fn split(lab: &Lab) {
    let table = lab.read("data/images.csv");
    let mut lines = table.lines().map(str::to_owned);
    let header = lines.next().unwrap();
    let column = header.split(',').position(|name| name == "split").unwrap();
    let rows = lines.enumerate().map(|(image, row)| {
        let mut cells: Vec<&str> = row.split(',').collect();
        cells[column] = if image < 4 { "train" } else { "test" };
        cells.join(",")
    });
    let table = std::iter::once(header.clone()).chain(rows);
    lab.write(
        "data/images.csv",
        table.collect::<Vec<_>>().join("\n") + "\n",
    );
}

#[test]
fn images_for_test_are_predicted_and_their_labels_not_read() {
    let lab = boxes();
    split(&lab);
    lab.write("recipe.toml", format!("folds = 2\n{TINY}"));
    let train = |lab: &Lab| -> serde_json::Value {
        serde_json::from_str(&lab.ok(&[&TRAIN[..], &["--json"]].concat())).unwrap()
    };
    let trained = train(&lab);
    assert_eq!(
        (&trained["images"], &trained["predicted"]),
        (&4.into(), &6.into())
    );
    let table = lab.read("run/split.csv");
    assert!(table.contains("4,,,predicts\n5,,,predicts"), "{table}");
    let judged = lab.ok(&["evaluate", "data", "run", "--reference", "truth", "--json"]);
    let judged: serde_json::Value = serde_json::from_str(&judged).unwrap();
    assert_eq!(judged["sources"][0]["images"], 6);

    // The same without labels of these images.
    let blind = boxes_of(0..4);
    blind.write("data/images.csv", lab.read("data/images.csv"));
    blind.write("recipe.toml", lab.read("recipe.toml"));
    let trained_blind = train(&blind);
    assert_eq!(
        trained["against_given_labels"],
        trained_blind["against_given_labels"]
    );
    for file in ["predictions/boxes.csv", "split.csv"] {
        let file = format!("run/{file}");
        assert_eq!(lab.read(&file), blind.read(&file), "{file}");
    }
    let network = |lab: &Lab| fs::read(lab.path("run/model.safetensors")).unwrap();
    assert!(network(&lab) == network(&blind));

    // A network of all images alone predicts these, and nothing is measured by given labels.
    lab.write("recipe.toml", TINY);
    let text = lab.ok(&["train", "data", "--recipe", "recipe.toml", "--out", "whole"]);
    assert!(
        text.contains("2 images predicted") && text.contains("cleanslide evaluate"),
        "{text}"
    );
    assert!(!text.contains("given labels"), "{text}");
    let judged = lab.ok(&[
        "evaluate",
        "data",
        "whole",
        "--reference",
        "truth",
        "--json",
    ]);
    let judged: serde_json::Value = serde_json::from_str(&judged).unwrap();
    assert_eq!(judged["sources"][0]["images"], 2);

    // Another split is another training.
    let manifest = lab.read("whole/manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    manifest["finished"] = serde_json::Value::Null;
    lab.write("whole/manifest.json", manifest.to_string());
    let table = lab
        .read("data/images.csv")
        .replace(",test,", ",validation,");
    lab.write("data/images.csv", table);
    let other = lab.fails(&["train", "data", "--out", "whole"]);
    assert!(other.contains("unfinished run of another"), "{other}");
}

#[test]
fn images_for_test_are_predicted_by_networks_for_pixels() {
    let lab = objects();
    split(&lab);
    let recipe = RECIPE
        .replace("folds = 2", "folds = 0")
        .replace("epochs = 12", "epochs = 1");
    lab.write("recipe.toml", recipe);
    lab.ok(&TRAIN);
    let judged = lab.ok(&["evaluate", "data", "run", "--reference", "truth", "--json"]);
    let judged: serde_json::Value = serde_json::from_str(&judged).unwrap();
    assert_eq!(judged["sources"][0]["images"], 2);

    // Where experts are believed is shown of the images that they drew on.
    let lab = experts(|_, image| image < 4);
    let known = lab.read("data/images.csv");
    let first = known.lines().find(|line| line.starts_with("0,")).unwrap();
    let more: Vec<String> = [4, 5]
        .into_iter()
        .filter(|image| !known.contains(&format!("\n{image},")))
        .map(|image| {
            first
                .replace("0,", &format!("{image},"))
                .replace("0.png", &format!("{image}.png"))
                + "\n"
        })
        .collect();
    lab.write("data/images.csv", known + &more.concat());
    split(&lab);
    let recipe = lab.read("recipe.toml").replace("folds = 2", "folds = 0");
    lab.write("recipe.toml", recipe.replace("epochs = 12", "epochs = 1"));
    lab.ok(&TRAIN);
    let judged = lab.ok(&["evaluate", "data", "run", "--reference", "truth", "--json"]);
    let judged: serde_json::Value = serde_json::from_str(&judged).unwrap();
    assert_eq!(judged["sources"][0]["images"], 2);
    let believed = fs::read_dir(lab.path("run/whole/believed")).unwrap();
    assert_eq!(believed.count(), 3 * 4);
}

#[test]
fn a_bench_compares_corrections_of_boxes() {
    let lab = boxes();
    split(&lab);
    let validated = TINY.replace("crop = 64", "crop = 64\nvalidation = 0.25");
    let recipe = format!("{validated}[correction]\nevery = 2\n");
    lab.write("recipe.toml", &recipe);
    let methods = "plain,self-training,adele+strong+trust+average";
    let bench = [
        "bench",
        "data",
        "--recipe",
        "recipe.toml",
        "--methods",
        methods,
        "--seeds",
        "2",
        "--class-agnostic",
        "--out",
        "bench",
    ];
    let text = lab.ok(&bench);
    for words in [
        "2 images of 2 cases, the images for test are judged, 2 seeds",
        "against reference truth, any class matching any other",
        "AP75",
        "self-training",
    ] {
        assert!(text.contains(words), "{text}");
    }
    let read = || -> serde_json::Value {
        serde_json::from_slice(&fs::read(lab.path("bench/bench.json")).unwrap()).unwrap()
    };
    let found = read();
    let measured = |line: usize, name: &str| &found["lines"][line]["measures"][name];
    assert_eq!(found["lines"].as_array().unwrap().len(), 3);
    assert!(measured(0, "AP50")["gain"].is_null());
    assert!(measured(2, "AP75")["gain"]["low"].is_number());

    // The mean over seeds of what `evaluate` says of each run.
    let of_run = |seed: u64| -> f64 {
        let run = format!("bench/adele+strong+trust+average/seed-{seed}");
        let flags = ["--reference", "truth", "--class-agnostic", "--json"];
        let judged = lab.ok(&[&["evaluate", "data", &run][..], &flags].concat());
        let judged: serde_json::Value = serde_json::from_str(&judged).unwrap();
        let recall = &judged["sources"][0]["measures"][3];
        assert_eq!(recall["name"], "AR");
        recall["estimate"]["value"].as_f64().unwrap()
    };
    let recall = measured(2, "AR")["value"]["value"].as_f64().unwrap();
    assert!((recall - (of_run(0) + of_run(1)) / 2.0).abs() < 1e-12);

    let config = |method: &str| -> toml::Table {
        toml::from_str(&lab.read(&format!("bench/{method}/seed-1/config.toml"))).unwrap()
    };
    assert!(!config("plain").contains_key("correction"));
    let correction = |method: &str| config(method)["correction"].clone();
    let trained = correction("self-training");
    assert_eq!(trained["start"]["patience"].as_integer(), Some(3));
    assert_eq!(trained["background"]["name"].as_str(), Some("kept"));
    assert_eq!(trained["every"].as_integer(), Some(2));
    let adele = correction("adele+strong+trust+average");
    assert_eq!(adele["start"]["threshold"].as_float(), Some(0.9));
    assert_eq!(adele["background"]["kernel"].as_integer(), Some(71));
    assert_eq!(adele["trust"].as_str(), Some("score"));
    let train = &config("adele+strong+trust+average")["train"];
    assert_eq!(train["average"].as_float(), Some(0.99));

    // What is done is not done again, and another recipe does not mix with it, not even where it was begun only.
    let before = lab.read("bench/plain/seed-0/manifest.json");
    fs::remove_dir_all(lab.path("bench/plain/seed-1")).unwrap();
    let json: serde_json::Value =
        serde_json::from_str(&lab.ok(&[&bench[..], &["--json"]].concat())).unwrap();
    assert_eq!((&json, &read()), (&found, &found));
    assert_eq!(lab.read("bench/plain/seed-0/manifest.json"), before);
    lab.write("recipe.toml", recipe.replace("epochs = 1", "epochs = 2"));
    assert!(lab.fails(&bench).contains("another recipe"));

    // More images for test than were predicted: that is found before what is missing is trained.
    fs::remove_dir_all(lab.path("bench/plain")).unwrap();
    lab.write("recipe.toml", recipe);
    let table = lab.read("data/images.csv").replacen(",train,", ",test,", 1);
    lab.write("data/images.csv", table);
    let missing = lab.fails(&bench);
    assert!(missing.contains("did not predict image 0"), "{missing}");
    assert!(!lab.path("bench/plain").exists());
}

#[test]
fn a_bench_of_boxes_in_folds_and_of_several_networks() {
    let lab = boxes();
    // Nothing is found with such scores.
    lab.write("recipe.toml", TINY.replace("score = 0.0", "score = 0.999"));
    lab.write("small.toml", TINY.replace("width = 8", "width = 4"));
    lab.write(
        "smaller.toml",
        TINY.replace("encoder_width = 4", "encoder_width = 2"),
    );
    let text = lab.ok(&[
        "bench",
        "data",
        "--recipe",
        "recipe.toml",
        "--networks",
        "small.toml,smaller.toml",
        "--methods",
        "plain,adele+ignored",
        "--folds",
        "2",
        "--seeds",
        "1",
        "--out",
        "bench",
    ]);
    assert!(
        text.contains("6 images of 6 cases, 2 folds by case, 1 seed"),
        "{text}"
    );
    assert!(text.contains("0.000 [0.000, 0.000]"), "{text}");
    assert!(text.contains("smaller"), "{text}");
    assert!(
        lab.path("bench/smaller/adele+ignored/seed-0/report.html")
            .exists()
    );
}

#[test]
fn a_bench_of_boxes_finds_what_is_wrong_before_it_trains() {
    let lab = boxes();
    lab.write("tiny.toml", TINY);
    let recipe = ["--recipe", "tiny.toml"];
    let wrong = |flags: &[&str]| lab.fails(&[&["bench", "data", "--out", "other"], flags].concat());
    for (methods, words) in [
        ("plain,plain+weak", "`+weak` says nothing in `plain+weak`"),
        (
            "plain,adele+magic",
            "`+magic` says nothing in `adele+magic`",
        ),
        ("plain,adele+weak+strong", "several backgrounds"),
        ("plain,sissi", "there is no method `sissi` for boxes"),
        ("plain,plain", "plain of fcos is asked for twice"),
        (
            "plain,self-training",
            "self-training: the setting `validation` is 0: [correction] starts by a validation",
        ),
    ] {
        let message = wrong(&[&recipe[..], &["--methods", methods]].concat());
        assert!(
            message.starts_with("exit 2") && message.contains(words),
            "{message}"
        );
    }
    for (flags, words) in [
        (
            &["--labels-of", "anna"][..],
            "`--labels-of` and `--noise` are for classes of images",
        ),
        (
            &["--crop", "64"],
            "`--crop` is for classes of images, and these labels are boxes",
        ),
        (
            &["--networks", "unet"],
            "The networks are fcos and faster-rcnn",
        ),
        (&["--reference", "nobody"], "`nobody`"),
        (&["--folds", "1", "--methods", "plain"], "fold"),
    ] {
        let message = wrong(&[&recipe[..], flags].concat());
        assert!(message.contains(words), "{message}");
    }
    lab.write(
        "weights.toml",
        TINY.replace(
            "convolutions = 1",
            "convolutions = 1\npretrained = \"nowhere.pth\"",
        ),
    );
    let weights = wrong(&["--recipe", "weights.toml", "--methods", "plain"]);
    assert!(weights.contains("nowhere.pth"), "{weights}");

    split(&lab);
    let table = lab.read("data/images.csv").replacen(",test,", ",train,", 1);
    lab.write("data/images.csv", table);
    let one = wrong(&recipe);
    assert!(
        one.starts_with("exit 3")
            && one.contains("the reference `truth`")
            && one.contains("two cases"),
        "{one}"
    );
    assert!(!lab.path("other").exists(), "nothing was trained");

    let masks = objects();
    let refused = masks.fails(&["bench", "data", "--class-agnostic", "--out", "other"]);
    assert!(
        refused.contains("`--class-agnostic` is for boxes"),
        "{refused}"
    );
}
