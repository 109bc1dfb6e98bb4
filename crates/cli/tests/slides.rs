//! Slides, as a user predicts them, is interrupted and goes on.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::fs;
use std::time::Duration;

use cleanslide_slide::{OpenOptions, Slide};
use common::{Lab, png, slide, slide_of, stained, tree};
use image::{ImageBuffer, Luma, Rgb, RgbImage};

const RECIPE: &str = "[network.unet]
widths = [4, 8]
[train]
epochs = 12
batch_size = 2
crop = 32
learning_rate = 0.02
[predict]
tile = 64
overlap = 16
";

/// Pink tissue with purple squares, half a micron a pixel, as classes; and a network for them.
fn trained() -> Lab {
    trained_on(stained)
}

/// The same in other colours.
fn trained_on(stained: impl Fn(u32, u32, bool) -> Rgb<u8>) -> Lab {
    let lab = Lab::new();
    for image in 0..6u32 {
        let dark =
            |x: u32, y: u32| (4 + image..20 + image).contains(&x) && (5..25 + image).contains(&y);
        let pixels = RgbImage::from_fn(48, 40, |x, y| stained(x + image, y, dark(x, y)));
        lab.write(&format!("images/{image}.png"), png(&pixels.into()));
        let classes =
            ImageBuffer::<Luma<u8>, Vec<u8>>::from_fn(48, 40, |x, y| Luma([u8::from(dark(x, y))]));
        lab.write(&format!("classes/{image}.png"), png(&classes.into()));
    }
    lab.write("recipe.toml", RECIPE);
    lab.ok(&[
        "import",
        "masks",
        "classes",
        "data",
        "--images",
        "images",
        "--classes",
        "stroma,tumour",
    ]);
    let images = lab.read("data/images.csv");
    let mut lines = images.lines();
    let mut scaled = vec![lines.next().unwrap().to_owned()];
    assert!(scaled[0].ends_with("microns_per_pixel"));
    scaled.extend(lines.map(|line| format!("{line}0.5")));
    lab.write("data/images.csv", scaled.join("\n") + "\n");
    lab.ok(&["train", "data", "--recipe", "recipe.toml", "--out", "run"]);
    lab
}

const PREDICT: [&str; 7] = [
    "predict",
    "run",
    "slides/Fall 1.tif",
    "--slide-microns-per-pixel",
    "0.5",
    "--out",
    "found",
];

/// A folder of predictions without its page, which names the command and so the folder.
fn without_page(lab: &Lab, folder: &str) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files = tree(&lab.path(folder));
    // A command that failed leaves its lock, which holds nobody.
    let other = |name: &std::path::Path| ["report.html", "lock"].iter().all(|of| name != *of);
    files.retain(|(name, _)| other(name));
    files
}

#[test]
fn ome_zarr_is_predicted_as_the_same_pixels_in_a_tiff_file() {
    let lab = trained();
    let goldens = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../slide/tests/goldens");
    let [zarr, tiff] = ["zarr/shards.ome.zarr", "pyramid.ome.tif"].map(|name| goldens.join(name));
    for (slide, out) in [(&zarr, "of-zarr"), (&tiff, "of-tiff")] {
        lab.ok(&["predict", "run", slide.to_str().unwrap(), "--out", out]);
    }
    // The folder of results has the name without the ending.
    let of = |folder: &str| {
        let mut files = tree(&lab.path(folder));
        // It says which file was looked at.
        files.retain(|(name, _)| !name.ends_with("slide.json"));
        files
    };
    assert!(of("of-zarr/shards") == of("of-tiff/pyramid.ome"));
    assert!(lab.read("of-zarr/areas.csv").contains("shards,tumour,"));
}

#[test]
fn tissue_out_of_focus_is_left_out_and_said() {
    let lab = trained();
    // Squares of 8 microns in pink, without order, of which the right half is blurred by 4 microns.
    let spot = |x: u32, y: u32| {
        let mixed = (x / 16).wrapping_mul(374_761_393) ^ (y / 16).wrapping_mul(668_265_263);
        (mixed ^ (mixed >> 13)).wrapping_mul(1_274_126_177) >> 30 == 0
    };
    let sharp = RgbImage::from_fn(1200, 600, |x, y| stained(x, y, spot(x, y)));
    let right = image::imageops::crop_imm(&sharp, 600, 0, 600, 600).to_image();
    let right = image::imageops::fast_blur(&right, 8.0);
    let mut pixels = sharp;
    image::imageops::replace(&mut pixels, &right, 600, 0);
    fs::create_dir(lab.path("slides")).unwrap();
    pixels.save(lab.path("slides/half.tif")).unwrap();
    let scale = ["--slide-microns-per-pixel", "0.5"];
    let predict = ["predict", "run", "slides/half.tif"];
    let told = lab.warns(&[&predict[..], &scale, &["--out", "sharp"]].concat());
    assert!(
        told.contains("% of its tissue (0.0") && told.contains("`--with-blur` keeps it"),
        "{told}"
    );
    let told = lab.warns(&[&predict[..], &scale, &["--with-blur", "--out", "all"]].concat());
    assert!(!told.contains("focus"), "{told}");
    let area = |out: &str| -> f64 {
        let areas = lab.read(&format!("{out}/areas.csv"));
        let areas = areas.lines().skip(1);
        areas
            .map(|line| line.split(',').nth(2).unwrap().parse::<f64>().unwrap())
            .sum()
    };
    let (sharp, all) = (area("sharp"), area("all"));
    // The mask of 8 microns reaches half a pixel beyond the lower edge.
    assert!((all - 0.18).abs() < 0.003, "{all}");
    // The edge is looked at in squares of 64 microns.
    assert!((sharp - 0.09).abs() < 0.02, "{sharp}");
    // It is another request.
    let other = lab.fails(&[&predict[..], &scale, &["--out", "all"]].concat());
    assert!(other.contains("other settings"), "{other}");
}

#[test]
fn slides_of_another_stain_are_given_that_of_a_reference() {
    // Haematoxylin and eosin, and how much there is of them.
    let stained = |densities: [[f64; 3]; 2], strength: f64| {
        move |x: u32, y: u32, dark: bool| {
            let noise = f64::from((x * 7 + y * 13) % 23) / 40.0;
            let [haematoxylin, eosin] = match dark {
                true => [1.0 + noise, 0.3],
                false => [0.2, 0.7 + noise],
            };
            Rgb([0, 1, 2].map(|channel| {
                let density = haematoxylin * densities[0][channel] + eosin * densities[1][channel];
                (240.0 * (-strength * density).exp()).round() as u8
            }))
        }
    };
    let lab = trained_on(stained([[0.65, 0.70, 0.29], [0.17, 0.95, 0.26]], 1.0));
    let other = stained([[0.55, 0.75, 0.36], [0.25, 0.80, 0.55]], 0.5);
    let pixels = RgbImage::from_fn(400, 300, |x, y| {
        other(x, y, (100..220).contains(&x) && (80..180).contains(&y))
    });
    fs::create_dir(lab.path("slides")).unwrap();
    pixels.save(lab.path("slides/pale.tif")).unwrap();
    let predict = "predict run slides/pale.tif --slide-microns-per-pixel 0.5";
    let predict: Vec<&str> = predict.split(' ').collect();
    lab.ok(&[&predict[..], &["--out", "as-it-is"]].concat());
    let reference = ["--stain-reference", "images/3.png"];
    lab.ok(&[&predict[..], &reference, &["--out", "stained"]].concat());
    let tumour = |out: &str| -> f64 {
        let areas = lab.read(&format!("{out}/areas.csv"));
        let line = areas.lines().find(|line| line.contains("tumour"));
        line.unwrap().split(',').nth(2).unwrap().parse().unwrap()
    };
    // 60 x 50 microns.
    let (before, after) = (tumour("as-it-is"), tumour("stained"));
    assert!((after - 0.003).abs() < 0.0003, "{after}");
    assert!((before - 0.003).abs() > 0.001, "{before}");

    lab.write(
        "white.png",
        png(&RgbImage::from_pixel(50, 50, image::Rgb([240; 3])).into()),
    );
    // A slide without stains is left out, and no other hangs on it.
    let white = RgbImage::from_pixel(400, 300, Rgb([240; 3]));
    white.save(lab.path("slides/white.tif")).unwrap();
    let both = "predict run slides --slide-microns-per-pixel 0.5 --tissue 0 --stain-reference images/3.png --out both";
    let both: Vec<&str> = both.split(' ').collect();
    let told = lab.warns(&both);
    assert!(
        told.contains("white.tif: its stains cannot be estimated"),
        "{told}"
    );
    assert!(lab.ok(&both).contains("1 slide (1 left out)"));
    assert!(lab.path("both/pale").exists() && !lab.path("both/white").exists());

    let white = ["--stain-reference", "white.png", "--out", "white"];
    let white = lab.fails(&[&predict[..], &white].concat());
    assert!(
        white.contains("white.png: the image has 0 stained pixels"),
        "{white}"
    );
    assert!(
        white.starts_with("exit 3") && white.contains("haematoxylin"),
        "{white}"
    );
}

#[test]
fn a_slide_is_predicted_and_measured_and_a_killed_prediction_goes_on_to_the_same_bytes() {
    let lab = trained();
    slide(&lab, "slides/Fall 1.tif");
    let told = lab.ok(&PREDICT);
    assert!(
        told.contains("found: 1 slide, ") && told.contains("tumour"),
        "{told}"
    );
    let folder = lab.path("found/Fall 1");
    let names = tree(&folder);
    let names: Vec<_> = names
        .iter()
        .map(|(name, _)| name.to_string_lossy())
        .collect();
    assert_eq!(
        names,
        [
            "map.ome.tif",
            "map.png",
            "overlay.png",
            "regions.geojson",
            "slide.json",
            "tiles.csv",
            "tissue.ome.tif"
        ]
    );
    assert!(!lab.path("found/.Fall 1").exists());

    // A purple part of 60 x 50 microns.
    let areas = lab.read("found/areas.csv");
    let area = |class: &str| -> f64 {
        let line = areas.lines().find(|line| line.contains(class)).unwrap();
        line.split(',').nth(2).unwrap().parse().unwrap()
    };
    assert!((area("tumour") - 0.003).abs() < 0.0003, "{areas}");
    let regions: serde_json::Value =
        serde_json::from_str(&lab.read("found/Fall 1/regions.geojson")).unwrap();
    let regions = regions["features"].as_array().unwrap();
    let of = |class: &str| {
        let named =
            |region: &&serde_json::Value| region["properties"]["classification"]["name"] == class;
        regions.iter().filter(named).collect::<Vec<_>>()
    };
    let tumour = of("tumour");
    let largest = tumour
        .iter()
        .map(|region| {
            region["properties"]["measurements"]["Area µm^2"]
                .as_f64()
                .unwrap()
        })
        .fold(0.0, f64::max);
    // Squares of 4 microns count whole: half of one along the edge of 220 microns.
    assert!((largest - 3000.0).abs() < 440.0, "{largest}");
    let rings = tumour[0]["geometry"]["coordinates"].as_array().unwrap();
    for point in rings[0].as_array().unwrap() {
        let [x, y] = [0, 1].map(|side| point[side].as_f64().unwrap());
        assert!(
            (85.0..235.0).contains(&x) && (65.0..195.0).contains(&y),
            "{point}"
        );
    }
    let map = image::open(folder.join("map.png")).unwrap().into_luma8();
    // Squares of 4 microns, 8 pixels: the purple part, the pink one, glass in a tile that was looked at, and in one that was not.
    let of = [(18, 15), (8, 10), (2, 10), (49, 34)].map(|(x, y)| map[(x, y)].0[0]);
    assert_eq!(of, [1, 0, 255, 255]);
    let ome = Slide::open(&folder.join("map.ome.tif"), &OpenOptions::default()).unwrap();
    assert_eq!(
        (ome.format(), ome.microns_per_pixel().unwrap()),
        ("OME-TIFF", 4.0)
    );
    let size = [map.width(), map.height()];
    let pixels = ome.region(0, 0, 0, size).unwrap();
    assert_eq!(ome.levels()[0].size, size.map(u64::from));
    assert!(
        pixels
            .pixels()
            .zip(map.pixels())
            .all(|(ome, class)| ome.0 == [class.0[0]; 3])
    );
    let page = lab.read("found/report.html");
    assert!(
        page.contains("What run finds on 1 slide") && page.contains("mm² looked at"),
        "{}",
        page.len()
    );
    // Of the tissue, 150 x 100 microns; the mask of 8 microns may be a pixel larger on each side.
    let tissue = area("tumour") + area("stroma");
    assert!((tissue - 0.015).abs() < 0.004, "{areas}");

    // The same again does nothing, and says the same.
    let before = without_page(&lab, "found");
    assert_eq!(lab.ok(&PREDICT), told);
    assert_eq!(without_page(&lab, "found"), before);

    // Not while another process predicts there.
    let lock = fs::File::create(lab.path("found/lock")).unwrap();
    lock.lock().unwrap();
    let held = lab.fails(&PREDICT);
    assert!(
        held.starts_with("exit 4") && held.contains("predicts slides in found"),
        "{held}"
    );
    drop(lock);

    // Another file of the same name is not taken for this one.
    let path = lab.path("slides/Fall 1.tif");
    let same = fs::read(&path).unwrap();
    fs::write(&path, [&same[..], &[0]].concat()).unwrap();
    let other = lab.fails(&PREDICT);
    assert!(
        other.starts_with("exit 2") && other.contains("found/Fall 1 was predicted of another file"),
        "{other}"
    );
    // Nor among others, which are not begun.
    slide(&lab, "slides/Fall 2.tif");
    let mut both = PREDICT.to_vec();
    both[2] = "slides";
    let other = lab.fails(&both);
    assert!(
        other.starts_with("exit 2") && other.contains("found/Fall 1 was predicted of another file"),
        "{other}"
    );
    fs::remove_file(lab.path("slides/Fall 2.tif")).unwrap();
    assert_eq!(without_page(&lab, "found"), before);
    fs::write(&path, &same).unwrap();
    // What was begun of another one is not gone on with.
    lab.write("anew/request.json", lab.read("found/request.json"));
    let record = lab.read("found/Fall 1/slide.json");
    lab.write(
        "anew/.Fall 1/slide.json",
        record.replace("\"fingerprint\": \"", "\"fingerprint\": \"0"),
    );
    lab.write("anew/.Fall 1/row-000000.json", "of the other");
    let mut anew = PREDICT;
    anew[6] = "anew";
    lab.ok(&anew);
    assert_eq!(without_page(&lab, "anew"), before);

    let mut again = PREDICT;
    again[6] = "again";
    let row = lab.path("again/.Fall 1/row-000000.json");
    let mut child = lab.command(&again).spawn().unwrap();
    while !row.exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(row.exists() || lab.path("again/Fall 1").exists());
    lab.ok(&again);
    assert_eq!(without_page(&lab, "again"), before);
}

#[test]
fn a_tile_that_is_damaged_is_left_out_and_said() {
    let lab = trained();
    slide(&lab, "slides/Fall 1.tif");
    let path = lab.path("slides/Fall 1.tif");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let cut = lab.fails(&PREDICT);
    assert!(
        cut.starts_with("exit 3") && cut.contains("cut off"),
        "{cut}"
    );
    // In the middle of the whole level.
    let mut damaged = bytes.clone();
    let middle = bytes.len() * 2 / 5;
    damaged[middle..middle + 60].fill(0xff);
    fs::write(&path, damaged).unwrap();
    let strict = lab.fails(&[&PREDICT[..], &["--strict"]].concat());
    assert!(
        strict.starts_with("exit 3") && strict.contains("level 0, tile in column 0"),
        "{strict}"
    );
    let warned = lab.warns(&PREDICT);
    assert!(warned.contains("level 0, tile in column 0"), "{warned}");
    let told = lab.warns(&PREDICT);
    assert!(
        told.contains("could not be decoded when this slide was predicted")
            && told.contains("Remove that folder to predict the slide again"),
        "{told}"
    );
    assert!(
        lab.fails(&[&PREDICT[..], &["--strict"]].concat())
            .contains("could not be decoded when this slide")
    );
    assert!(
        lab.read("found/Fall 1/tiles.csv")
            .lines()
            .any(|line| line.ends_with(",,"))
    );
    assert!(
        lab.read("found/areas.csv")
            .lines()
            .skip(1)
            .all(|line| !line.ends_with(",0"))
    );

    // A row with such a tile is not taken for done: mended, and the same bytes where a fingerprint looks.
    lab.write("begun/request.json", lab.read("found/request.json"));
    lab.write(
        "begun/.Fall 1/slide.json",
        lab.read("found/Fall 1/slide.json"),
    );
    lab.write(
        "begun/.Fall 1/row-000000.json",
        r#"[{"tile":0,"column":0,"row":0,"counts":[]}]"#,
    );
    fs::write(&path, &bytes).unwrap();
    let mut begun = PREDICT;
    begun[6] = "begun";
    lab.ok(&begun);
    assert!(
        lab.read("begun/areas.csv")
            .lines()
            .skip(1)
            .all(|line| line.ends_with(",0"))
    );
}

#[test]
fn slides_of_several_calls_and_of_one_name_are_all_counted() {
    let lab = trained();
    for path in [
        "archive/A/HE.tif",
        "archive/B/HE.tif",
        "archive/B/K.tif",
        "archive/B/K.tiff",
    ] {
        slide(&lab, path);
    }
    let size = ["--slide-microns-per-pixel", "0.5", "--out", "found"];
    lab.ok(&[&["predict", "run", "archive/B/K.tif"][..], &size].concat());
    fs::remove_file(lab.path("found/K/overlay.png")).unwrap();
    lab.ok(&[&["predict", "run", "archive"][..], &size].concat());
    assert!(lab.read("found/report.html").contains("K is not shown: "));
    let areas = lab.read("found/areas.csv");
    let slides: Vec<&str> = areas
        .lines()
        .filter_map(|line| line.strip_suffix(",0")?.split_once(",tumour"))
        .map(|(slide, _)| slide)
        .collect();
    assert_eq!(slides, ["A-HE", "B-HE", "K", "K.tif", "K.tiff"]);
    let twice = lab.fails(
        &[
            &["predict", "run", "archive/A/HE.tif", "archive/A/HE.tif"][..],
            &size,
        ]
        .concat(),
    );
    assert!(
        twice.starts_with("exit 2") && twice.contains("archive/A/HE.tif and archive/A/HE.tif"),
        "{twice}"
    );
}

#[test]
fn without_a_mask_of_tissue_the_slide_counts_and_nothing_beyond_it() {
    let lab = trained();
    slide(&lab, "slides/Fall 1.tif");
    lab.ok(&[&PREDICT[..], &["--tissue", "0"]].concat());
    let areas = lab.read("found/areas.csv");
    let areas = areas
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(2).unwrap());
    let all: f64 = areas.map(|area| area.parse::<f64>().unwrap()).sum();
    // 400 x 280 pixels of half a micron.
    assert!((all - 0.028).abs() < 1e-5, "{all}");
}

#[test]
fn images_of_another_scale_than_the_training_are_told() {
    let lab = trained();
    let config = lab.read("run/manifest.json");
    let goldens = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../slide/tests/goldens");
    lab.write(
        "other/sized.tif",
        fs::read(goldens.join("sized.tif")).unwrap(),
    );
    lab.write(
        "other/strips.tif",
        fs::read(goldens.join("strips.tif")).unwrap(),
    );
    let predict = |out: &str| lab.warns(&["predict", "run", "other", "--out", out]);
    // Half a micron, as in the training; of the other nobody knows.
    let told = predict("same");
    assert!(!told.contains("another size"), "{told}");
    let larger = config.replace("\"microns_per_pixel\": 0.5", "\"microns_per_pixel\": 1.0");
    assert_ne!(larger, config);
    lab.write("run/manifest.json", larger);
    let told = predict("larger");
    assert!(
        told.contains("1 image with pixels of another size") && told.contains("sized.tif (0.500)"),
        "{told}"
    );
}

#[test]
fn doctor_says_what_slides_are() {
    let lab = Lab::new();
    slide(&lab, "slides/Fall 1.tif");
    let told = lab.ok(&["doctor", "slides"]);
    assert!(
        told.contains("400 × 280") && told.contains("--slide-microns-per-pixel"),
        "{told}"
    );
    lab.write("slides/no.svs", "II*\0no");
    let told = lab.fails(&["doctor", "slides"]);
    assert!(
        told.starts_with("exit 3") && told.contains("1 slide cannot be read"),
        "{told}"
    );
}

#[test]
fn what_is_wrong_is_said() {
    let lab = trained();
    slide(&lab, "slides/Fall 1.tif");
    let dark = RgbImage::from_pixel(400, 300, Rgb([30, 0, 0]));
    fs::create_dir(lab.path("dark")).unwrap();
    dark.save(lab.path("dark/tritc.tif")).unwrap();
    let scale = ["--slide-microns-per-pixel", "0.5", "--out", "black"];
    let told = lab.warns(&[&["predict", "run", "dark/tritc.tif"][..], &scale].concat());
    assert!(
        told.contains("as bright as glass") && told.contains("`--tissue 0`"),
        "{told}"
    );
    for size in ["0", "-1", "nan"] {
        let scale = format!("--slide-microns-per-pixel={size}");
        let told = lab.fails(&["predict", "run", "slides", "--out", "no", &scale]);
        assert!(
            told.starts_with("exit 2") && told.contains("above 0"),
            "{told}"
        );
    }
    let fails = |arguments: &[&str]| lab.fails(arguments);
    let unknown = fails(&["predict", "run", "slides", "--out", "other", "--strict"]);
    assert!(
        unknown.starts_with("exit 2")
            && unknown.contains("how large its pixels are")
            && unknown.contains("--slide-microns-per-pixel"),
        "{unknown}"
    );
    // What was begun so far is gone on with, if it is told.
    let size = ["--slide-microns-per-pixel", "0.5"];
    lab.ok(&[&["predict", "run", "slides", "--out", "found"][..], &size].concat());
    let other = fails(
        &[
            &[
                "predict", "run", "slides", "--out", "found", "--tissue", "0.5",
            ][..],
            &size,
        ]
        .concat(),
    );
    assert!(
        other.starts_with("exit 2") && other.contains("request.json"),
        "{other}"
    );
    let mixed = fails(&["predict", "run", "slides", "images", "--out", "mixed"]);
    assert!(
        mixed.starts_with("exit 2") && mixed.contains("apart"),
        "{mixed}"
    );
    let images = fails(&[
        "predict", "run", "images", "--tissue", "0.5", "--out", "masks",
    ]);
    assert!(
        images.starts_with("exit 2") && images.contains("for slides"),
        "{images}"
    );
    let taken = fails(&[&["predict", "run", "slides", "--out", "data"][..], &size].concat());
    assert!(
        taken.starts_with("exit 2") && taken.contains("exists already"),
        "{taken}"
    );
    let share = fails(
        &[
            &["predict", "run", "slides", "--out", "new", "--tissue", "2"][..],
            &size,
        ]
        .concat(),
    );
    assert!(
        share.starts_with("exit 2") && share.contains("no share"),
        "{share}"
    );
    lab.write("slides/no.svs", b"II*\0no");
    let both = lab.warns(&[&["predict", "run", "slides", "--out", "both"][..], &size].concat());
    assert!(both.contains("no.svs"), "{both}");
    assert!(lab.read("both/areas.csv").contains("Fall 1,tumour"));
    let broken = fails(
        &[
            &["predict", "run", "slides/no.svs", "--out", "no"][..],
            &size,
        ]
        .concat(),
    );
    assert!(
        broken.starts_with("exit 3") && broken.contains("no.svs"),
        "{broken}"
    );
    lab.write("slides/scan.ndpi", b"no slide");
    let foreign = fails(
        &[
            &["predict", "run", "slides/scan.ndpi", "--out", "no"][..],
            &size,
        ]
        .concat(),
    );
    assert!(
        foreign.starts_with("exit 3") && foreign.contains("cleanslide doctor"),
        "{foreign}"
    );
}

/// Where cells lie: 12 x 12 pixels each, closely in rows, some across every border of tiles.
fn cells() -> Vec<(u32, u32)> {
    let rows = (0..9u32).flat_map(|row| (0..13u32).map(move |column| (row, column)));
    rows.map(|(row, column)| (48 + 22 * column + row, 36 + 21 * row + column % 3))
        .collect()
}

/// A network for masks of cells and one for their boxes, and a slide of cells.
fn of_cells() -> Lab {
    let lab = Lab::new();
    let all = cells();
    let is_cell = |x: u32, y: u32| {
        let of = all.iter().position(|&(left, top)| {
            (left..left + 12).contains(&x) && (top..top + 12).contains(&y)
        });
        of.map_or(0, |cell| cell as u16 + 1)
    };
    for image in 0..6u32 {
        let (left, top) = (44 + 30 * image, 34 + 9 * image);
        let pixels = RgbImage::from_fn(64, 64, |x, y| {
            stained(x + left, y + top, is_cell(x + left, y + top) > 0)
        });
        lab.write(&format!("images/{image}.png"), png(&pixels.into()));
        let objects = ImageBuffer::<Luma<u16>, Vec<u16>>::from_fn(64, 64, |x, y| {
            Luma([is_cell(x + left, y + top)])
        });
        lab.write(&format!("objects/{image}.png"), png(&objects.into()));
    }
    lab.write(
        "masks.toml",
        format!("{RECIPE}[objects]\nborder = 1\n").replace("epochs = 12", "epochs = 30"),
    );
    lab.ok(&[
        "import",
        "instances",
        "objects",
        "data",
        "--images",
        "images",
        "--classes",
        "cell",
    ]);
    lab.ok(&["train", "data", "--recipe", "masks.toml", "--out", "run"]);
    slide_of(&lab, "slides/Fall 1.tif", |x, y| is_cell(x, y) > 0);
    lab
}

#[test]
fn each_object_of_a_slide_is_found_once_also_between_tiles_and_after_a_kill() {
    let lab = of_cells();
    let size = ["--microns-per-pixel", "0.5"];
    let predict = [&PREDICT[..], &size].concat();
    let told = lab.ok(&predict);
    let all = cells();
    let number = all.len();
    assert!(
        told.contains("found: 1 slide, ") && told.contains(&format!(" {number} ")),
        "{told}"
    );
    let folder = lab.path("found/Fall 1");
    let names = tree(&folder);
    let names: Vec<_> = names
        .iter()
        .map(|(name, _)| name.to_string_lossy())
        .collect();
    assert_eq!(
        names,
        [
            "objects.csv",
            "objects.geojson",
            "overlay.png",
            "slide.json",
            "tiles.csv",
            "tissue.ome.tif"
        ]
    );
    let table = lab.read("found/Fall 1/objects.csv");
    let mut middles: Vec<[f64; 2]> = (table.lines().skip(1))
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            // 144 pixels of half a micron.
            let area: f64 = fields[3].parse().unwrap();
            assert!(
                fields[0] == "cell" && (18.0..54.0).contains(&area),
                "{line}"
            );
            [1, 2].map(|field| fields[field].parse().unwrap())
        })
        .collect();
    assert_eq!(middles.len(), number);
    for (left, top) in all {
        let at = middles
            .iter()
            .position(|[x, y]| (x - f64::from(left) - 6.0).hypot(y - f64::from(top) - 6.0) < 3.0);
        middles.swap_remove(at.unwrap_or_else(|| panic!("no cell at {left}, {top}: {middles:?}")));
    }
    let shapes: serde_json::Value =
        serde_json::from_str(&lab.read("found/Fall 1/objects.geojson")).unwrap();
    let shapes = shapes["features"].as_array().unwrap();
    assert_eq!(shapes.len(), number);
    assert!(
        shapes
            .iter()
            .all(|of| of["properties"]["objectType"] == "detection")
    );
    // 117 cells in tissue of 0.015 mm².
    let counts = lab.read("found/counts.csv");
    let line = counts.lines().nth(1).unwrap();
    let fields: Vec<&str> = line.split(',').collect();
    assert_eq!(fields[..3], ["Fall 1", "cell", &number.to_string()]);
    let tissue: f64 = fields[3].parse().unwrap();
    assert!((tissue - 0.015).abs() < 0.004, "{line}");

    infiltrate(&lab, number, tissue);

    let before = without_page(&lab, "found");
    assert_eq!(lab.ok(&predict), told);
    let mut again = predict.clone();
    again[6] = "again";
    let row = lab.path("again/.Fall 1/row-000000.json");
    let mut child = lab.command(&again).spawn().unwrap();
    while !row.exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(row.exists() || lab.path("again/Fall 1").exists());
    lab.ok(&again);
    assert_eq!(without_page(&lab, "again"), before);
}

/// How densely the cells of the slide lie, all of which are near others.
fn infiltrate(lab: &Lab, number: usize, tissue: f64) {
    let infiltration = ["infiltration", "found", "--within", "30", "--least", "5"];
    let told = lab.ok(&[&infiltration[..], &["--out", "foci"]].concat());
    assert!(told.contains("1 focus of at least 5 cells"), "{told}");
    assert!(
        told.contains("one independent case: no intervals"),
        "{told}"
    );
    let table = lab.read("foci/images.csv");
    let fields: Vec<&str> = table.lines().nth(1).unwrap().split(',').collect();
    assert_eq!(fields[..2], ["Fall 1", "Fall 1"]);
    let number_of = |field: usize| -> f64 { fields[field].parse().unwrap() };
    // The tissue of whole squares of 8 microns, and by the pixels of the network.
    assert!((number_of(2) - tissue).abs() < 0.1 * tissue, "{table}");
    assert_eq!([number_of(3), number_of(5)], [number as f64, 1.0]);
    // The focus lies around the cells, in pixels of level 0, of half a micron.
    let shapes: serde_json::Value = serde_json::from_str(&lab.read("foci/Fall 1.geojson")).unwrap();
    let rings = shapes["features"][0]["geometry"]["coordinates"].as_array();
    let corners: Vec<[f64; 2]> = rings.unwrap()[0]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| [0, 1].map(|side| point[side].as_f64().unwrap()))
        .collect();
    for side in [0, 1] {
        let of_cells = cells()
            .into_iter()
            .map(|(left, top)| f64::from([left, top][side]));
        let (first, last) = (
            of_cells.clone().fold(f64::INFINITY, f64::min),
            of_cells.fold(0.0, f64::max),
        );
        let least = corners
            .iter()
            .map(|at| at[side])
            .fold(f64::INFINITY, f64::min);
        let most = corners.iter().map(|at| at[side]).fold(0.0, f64::max);
        // Middles of cells are 6 pixels further; the focus reaches 15 microns beyond them, up to a square or the edge.
        let beyond = [first + 6.0 - 30.0, last + 6.0 + 30.0];
        assert!(
            (least - beyond[0].max(0.0)).abs() <= 17.0,
            "{least}, {beyond:?}"
        );
        assert!((most - beyond[1]).abs() <= 17.0, "{most}, {beyond:?}");
    }

    let cases = ["--case-pattern", "^(Fall)", "--out", "cases"];
    lab.ok(&[&infiltration[..], &cases].concat());
    assert!(
        lab.read("cases/cases.csv")
            .lines()
            .nth(1)
            .unwrap()
            .starts_with("Fall,1,")
    );
    let scale = ["--microns-per-pixel", "1", "--out", "x"];
    let refused = lab.fails(&[&infiltration[..], &scale].concat());
    assert!(
        refused.starts_with("exit 2") && refused.contains("is for datasets"),
        "{refused}"
    );
    let class = lab.fails(&[&infiltration[..], &["--class", "dog", "--out", "x"]].concat());
    assert!(
        class.contains("there is no class `dog`") && class.contains("are cell."),
        "{class}"
    );
}

#[test]
fn boxes_on_a_slide_are_found_once() {
    let lab = of_cells();
    lab.ok(&["export", "data", "boxes", "--format", "voc"]);
    lab.ok(&[
        "import",
        "voc",
        "boxes",
        "boxed",
        "--images",
        "images",
        "--classes",
        "cell",
    ]);
    lab.write(
        "boxes.toml",
        "[network.fcos]\nencoder_width = 4\nwidth = 8\ngroups = 4\nconvolutions = 1\n\
         [train]\nepochs = 60\nbatch_size = 2\ncrop = 64\nlearning_rate = 0.01\n\
         [predict]\ntile = 128\noverlap = 48\nsuppression = 0.1\n",
    );
    lab.ok(&[
        "train",
        "boxed",
        "--recipe",
        "boxes.toml",
        "--out",
        "detector",
    ]);
    let mut predict = [&PREDICT[..], &["--microns-per-pixel", "0.5"]].concat();
    predict[1] = "detector";
    lab.ok(&predict);
    let table = lab.read("found/Fall 1/objects.csv");
    let middles: Vec<[f64; 2]> = (table.lines().skip(1))
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            [1, 2].map(|field| fields[field].parse().unwrap())
        })
        .collect();
    // So small a detector misses some; what it finds it finds once.
    let near = |left: u32, top: u32| {
        let at = [left, top].map(|at| f64::from(at) + 6.0);
        let near = middles
            .iter()
            .filter(|[x, y]| (x - at[0]).hypot(y - at[1]) < 5.0);
        near.count()
    };
    let found: Vec<usize> = cells().iter().map(|&(left, top)| near(left, top)).collect();
    assert!(found.iter().all(|&times| times <= 1), "{found:?}");
    assert!(found.iter().sum::<usize>() > 80, "{found:?}");
    assert!(lab.read("found/counts.csv").contains("Fall 1,cell,"));
}

const CUT: [&str; 16] = [
    "import",
    "slides",
    "slides",
    "patches",
    "--classes",
    "stroma,tumour",
    "--outlines",
    "qupath",
    "--slide-microns-per-pixel",
    "0.5",
    "--side",
    "40",
    "--patches",
    "12",
    "--case-pattern",
    "^([^ ]+) ",
];

/// A rectangle of a class, as QuPath writes it.
fn outline(class: &str, [left, top, right, bottom]: [u32; 4]) -> String {
    format!(
        r#"{{"type":"Feature","geometry":{{"type":"Polygon","coordinates":[[[{left},{top}],[{right},{top}],[{right},{bottom}],[{left},{bottom}],[{left},{top}]]]}},"properties":{{"objectType":"annotation","classification":{{"name":"{class}"}}}}}}"#
    )
}

#[test]
fn slides_are_cut_into_patches_with_their_outlines() {
    let lab = Lab::new();
    slide(&lab, "slides/K1 a.tif");
    slide(&lab, "slides/K2 b.tif");
    lab.write("slides/K3 c.tif", "no slide");
    // Tiles are 40 pixels wide: the outlines cover two of them wholly, and the half of a third.
    let outlines = [
        outline("stroma", [80, 80, 120, 160]),
        outline("tumour", [120, 80, 140, 120]),
    ];
    lab.write("qupath/K1 a.geojson", format!("[{}]", outlines.join(",")));
    let output = lab.run(&CUT);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let warned = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && warned.contains("K3 c.tif"),
        "{warned}"
    );
    assert!(
        told.contains("24 patches of 2 slides (1 left out), outlines as v1"),
        "{told}"
    );
    let images = lab.read("patches/images.csv");
    assert_eq!(
        images
            .lines()
            .filter(|line| line.contains(",K1,K1 a,"))
            .count(),
        12,
        "{images}"
    );
    assert!(
        images.lines().skip(1).all(|line| line.ends_with(",0.5")),
        "{images}"
    );
    // Ten tiles in a row. Those with outlines are among the twelve; what is outside of the outlines is unlabelled.
    let masks = lab.read("patches/labels/v1/masks.csv");
    assert_eq!(
        masks
            .lines()
            .filter(|line| line.contains("K1 a/K1 a-x"))
            .count(),
        3,
        "{masks}"
    );
    let mask = |x: u32, y: u32| {
        let line = masks
            .lines()
            .find(|line| line.contains(&format!("K1 a/K1 a-x{x}-y{y}.png")))
            .unwrap();
        let file = line
            .split(',')
            .find(|field| field.ends_with(".png") && !field.starts_with("K1"))
            .unwrap();
        image::open(lab.path(&format!("patches/labels/v1/{file}")))
            .unwrap()
            .into_luma8()
    };
    assert!(mask(80, 80).pixels().all(|pixel| pixel.0 == [0]));
    let half = mask(120, 80);
    assert!(
        half.enumerate_pixels()
            .all(|(x, _, pixel)| pixel.0 == [if x < 20 { 1 } else { 255 }])
    );
    // The patch is what the slide shows there.
    let patch = image::open(lab.path("patches/images/K1 a/K1 a-x80-y80.png"))
        .unwrap()
        .into_rgb8();
    assert!(patch.enumerate_pixels().all(|(x, y, pixel)| {
        let place = (80 + x, 80 + y);
        let dark = (100..220).contains(&place.0);
        *pixel == stained(place.0, place.1, dark)
    }));

    // Patches of several slides have files of several names.
    lab.ok(&["export", "patches", "exported", "--format", "masks"]);
    assert!(lab.path("exported/K1 a-x80-y80.png").exists());

    // The same seed takes the same patches, another takes others.
    let into = |folder: &'static str| CUT.map(|text| if text == "patches" { folder } else { text });
    lab.ok(&into("again"));
    assert_eq!(lab.read("again/images.csv"), images);
    lab.ok(&[&into("other")[..], &["--seed", "1"]].concat());
    assert_ne!(lab.read("other/images.csv"), images);
}

#[test]
fn slides_that_cannot_be_cut_are_told() {
    let lab = Lab::new();
    slide(&lab, "slides/K1 a.tif");
    lab.write(
        "qupath/K1 a.geojson",
        format!("[{}]", outline("tumor", [80, 80, 120, 160])),
    );
    let class = lab.fails(&CUT);
    assert!(
        class.starts_with("exit 3") && class.contains("Did you mean `tumour`"),
        "{class}"
    );
    let of_none = outline("tumour", [80, 80, 120, 160]);
    fs::remove_file(lab.path("qupath/K1 a.geojson")).unwrap();
    lab.write("qupath/K1 a.tif.geojson", format!("[{of_none}]"));
    let of_none = lab.fails(&CUT);
    assert!(
        of_none.starts_with("exit 2")
            && of_none.contains("1 file of no slide, such as K1 a.tif.geojson")
            && of_none.contains("K1 a.geojson"),
        "{of_none}"
    );
    let pattern = lab.fails(&CUT.map(|text| if text == "^([^ ]+) " { "^(.)$" } else { text }));
    assert!(
        pattern.contains("finds no case in the id `K1 a`"),
        "{pattern}"
    );
    fs::remove_file(lab.path("qupath/K1 a.tif.geojson")).unwrap();
    lab.write("qupath/K1 a.geojson", "[]");
    let tissue = lab.fails(&[&CUT[..], &["--tissue", "1.5"]].concat());
    assert!(tissue.starts_with("exit 2"), "{tissue}");
    let unknown: Vec<&str> = CUT
        .iter()
        .copied()
        .filter(|text| !["--slide-microns-per-pixel", "0.5"].contains(text))
        .collect();
    let unknown = lab.fails(&unknown);
    assert!(
        unknown.starts_with("exit 2") && unknown.contains("how large its pixels are"),
        "{unknown}"
    );
    let large = lab.fails(
        &[
            &CUT[..10],
            &["--side", "4000", "--case-pattern", "^([^ ]+) "],
        ]
        .concat(),
    );
    assert!(
        large.starts_with("exit 3") && large.contains("--tissue"),
        "{large}"
    );
    assert!(!lab.path("patches").exists());
    lab.write("empty/notes.txt", "");
    let none = lab.fails(&["import", "slides", "empty", "patches", "--classes", "a,b"]);
    assert!(none.starts_with("exit 3"), "{none}");
}
