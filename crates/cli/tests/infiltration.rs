//! How densely cells lie in tissue, and where they form foci, as a user measures them.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::{Lab, png};
use image::{ImageBuffer, Luma, Rgb, RgbImage};

/// Two images of two animals, each 100 × 80 pixels: tissue but for a bright stripe of 20 columns. On the first five cells
/// are 10 pixels apart, on the second two cells are far from each other.
fn liver() -> Lab {
    let lab = Lab::new();
    let cells: [&[(u32, u32)]; 2] = [
        &[(40, 40), (50, 40), (60, 40), (50, 30), (50, 50)],
        &[(30, 20), (80, 60)],
    ];
    for (image, cells) in cells.iter().enumerate() {
        let picture = RgbImage::from_fn(100, 80, |x, _| {
            Rgb(if x < 20 { [250; 3] } else { [150, 90, 170] })
        });
        lab.write(&format!("images/animal{image}.png"), png(&picture.into()));
        let mask = ImageBuffer::<Luma<u16>, Vec<u16>>::from_fn(100, 80, |x, y| {
            let near = |(left, top): &(u32, u32)| x.abs_diff(*left) < 3 && y.abs_diff(*top) < 3;
            let place = cells.iter().position(near);
            Luma([place.map_or(0, |place| place as u16 + 1)])
        });
        lab.write(&format!("objects/animal{image}.png"), png(&mask.into()));
    }
    lab.ok(&[
        "import",
        "instances",
        "objects",
        "data",
        "--images",
        "images",
        "--classes",
        "lymphocyte",
        "--source",
        "student",
    ]);
    lab
}

#[test]
fn a_folder_without_slides_says_so() {
    let lab = Lab::new();
    lab.write(
        "found/counts.csv",
        "slide,class,objects,tissue_mm2,per_mm2\n",
    );
    let none = lab.fails(&["infiltration", "found", "--out", "foci"]);
    assert!(
        none.starts_with("exit 3") && none.contains("found has no slides"),
        "{none}"
    );
}

#[test]
fn cells_and_foci_are_counted_per_tissue() {
    let lab = liver();
    let unknown = lab.fails(&["infiltration", "data", "--out", "foci"]);
    assert!(
        unknown.contains("how large its pixels are") && unknown.contains("--microns-per-pixel"),
        "{unknown}"
    );
    let measured = lab.ok(&[
        "infiltration",
        "data",
        "--microns-per-pixel",
        "2",
        "--within",
        "21",
        "--least",
        "4",
        "--out",
        "foci",
        "--json",
    ]);
    let measured: serde_json::Value = serde_json::from_str(&measured).unwrap();
    assert_eq!([&measured["cells"], &measured["foci"]], [7, 1]);
    let density = measured["measures"][0]["estimate"]["value"]
        .as_f64()
        .unwrap();
    // 2 × 81 × 80 pixels of 4 µm²: the blur that joins what is pale between cells reaches a column into the glass.
    assert!((density - 7.0 / 0.05184).abs() < 1e-9, "{density}");
    let table = lab.read("foci/images.csv");
    let first: Vec<&str> = table.lines().nth(1).unwrap().split(',').collect();
    assert_eq!(first[..4], ["animal0", "1", "0.025920", "5"]);
    assert_eq!([first[5], first[7], first[8]], ["1", "5", "1.000000"]);
    assert_eq!(lab.read("foci/cases.csv").lines().count(), 3);
    // What QuPath reads is read again: five cells and their focus.
    let shapes: serde_json::Value =
        serde_json::from_str(&lab.read("foci/animal0.geojson")).unwrap();
    let shapes = shapes["features"].as_array().unwrap();
    let of = |class: &str| {
        let named =
            |shape: &&serde_json::Value| shape["properties"]["classification"]["name"] == class;
        shapes.iter().filter(named).count()
    };
    assert_eq!([of("lymphocyte"), of("focus")], [5, 1]);
    // The focus lies around its cells: 40 to 60 across and 30 to 50 down, and half a link of 10.5 pixels.
    let focus = shapes
        .iter()
        .find(|shape| shape["properties"]["classification"]["name"] == "focus");
    let ring = focus.unwrap()["geometry"]["coordinates"][0]
        .as_array()
        .unwrap();
    for (side, [first, last]) in [[35.0, 66.0], [25.0, 56.0]].into_iter().enumerate() {
        let places = ring.iter().map(|point| point[side].as_f64().unwrap());
        assert_eq!(places.clone().fold(f64::INFINITY, f64::min), first);
        assert_eq!(places.fold(0.0, f64::max), last);
    }
    let again = lab.fails(&[
        "infiltration",
        "data",
        "--microns-per-pixel",
        "2",
        "--out",
        "foci",
    ]);
    assert!(again.contains("exists already"), "{again}");
}

#[test]
fn what_cannot_be_measured_is_said() {
    let lab = liver();
    let fails = |more: &[&str]| {
        let mut all = vec!["infiltration", "data", "--out", "foci"];
        all.extend(more);
        lab.fails(&all)
    };
    let class = fails(&["--class", "neutrophil"]);
    assert!(
        class.starts_with("exit 2") && class.contains("lymphocyte"),
        "{class}"
    );
    let within = fails(&["--within", "0"]);
    assert!(within.contains("`--within` must be above 0"), "{within}");
    let least = fails(&["--least", "0"]);
    assert!(least.contains("`--least` must be at least 1"), "{least}");
    let run = fails(&["--run", "nowhere"]);
    assert!(run.contains("nowhere has predicted no image"), "{run}");
}
