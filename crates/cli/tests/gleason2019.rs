//! The Gleason 2019 challenge in small, as its archives unpack.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::{Lab, png};
use image::{GrayImage, Luma};
use insta::assert_snapshot;
use serde_json::Value;

/// Cores, and the pathologists who labelled them: two are for the test, four for training, one is left out, and nobody
/// labelled one.
const CORES: [(&str, &[usize]); 8] = [
    ("slide001_core003", &[1, 2, 3, 4, 5, 6]),
    ("slide001_core004", &[1, 3, 4]),
    ("slide001_core010", &[1, 3, 4, 5]),
    ("slide002_core001", &[1, 2, 3, 4, 5, 6]),
    ("slide002_core002", &[1, 3, 4]),
    ("slide003_core001", &[1, 2, 3, 4]),
    ("slide003_core005", &[2, 5]),
    ("slide003_core006", &[]),
];

/// Every number that the challenge has, each in a column of four pixels.
fn mask() -> GrayImage {
    GrayImage::from_fn(24, 24, |x, _| Luma([[0, 1, 6, 3, 4, 5][x as usize / 4]]))
}

fn mask_name(pathologist: usize, core: &str) -> String {
    format!("gleason/Maps{pathologist}_T/{core}_classimg_nonconvex.png")
}

fn lab() -> Lab {
    let lab = Lab::new();
    for (number, (core, pathologists)) in CORES.iter().enumerate() {
        // JPEG by its name, PNG by its content, which is what counts.
        lab.picture(&format!("gleason/Train_imgs/{core}.jpg"), 20 * number as u8);
        for &pathologist in *pathologists {
            lab.write(&mask_name(pathologist, core), png(&mask().into()));
        }
    }
    lab.write(&mask_name(2, "slide009_core001"), png(&mask().into()));
    lab.write("gleason/Maps2_T/Thumbs.db", "of another program");
    lab
}

const IMPORT: [&str; 4] = ["import", "gleason2019", "gleason", "prostate"];

/// Id, case, slide, group and split of every image.
fn images(lab: &Lab) -> Vec<[String; 5]> {
    let table = lab.read("prostate/images.csv");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        [0, 2, 3, 4, 5].map(|column: usize| cells[column].to_owned())
    };
    table.lines().skip(1).map(row).collect()
}

#[test]
fn the_challenge_becomes_a_dataset() {
    let lab = lab();
    assert_snapshot!(lab.ok(&IMPORT));
    assert_snapshot!(lab.read("prostate/dataset.toml"));
    for [id, case, slide, group, split] in images(&lab) {
        let labelled = CORES.iter().find(|(core, _)| *core == id).unwrap().1.len();
        assert_eq!(split == "test", labelled == 6, "{id}");
        assert_eq!((case, slide, group), (id, String::new(), String::new()));
    }
    let status = lab.ok(&["status", "prostate"]);
    assert!(!status.contains("leaks"), "{status}");
    // All who labelled a core say the same of it.
    let found: Value = serde_json::from_str(&lab.ok(&["agreement", "prostate", "--json"])).unwrap();
    let pairs = found["pairs"].as_array().unwrap();
    assert_eq!((pairs.len(), &pairs[0]["images"]), (15, &3.into()));
    let measures = pairs[0]["measures"].as_array().unwrap();
    let dice = measures.iter().find(|m| m["name"] == "Dice of grade-5");
    assert_eq!(dice.unwrap()["estimate"]["value"], 1.0);
}

#[test]
fn numbers_become_four_classes() {
    let lab = lab();
    lab.ok(&IMPORT);
    // All masks are the same, so one file holds them.
    let masks = std::fs::read_dir(lab.path("prostate/labels/v1/masks")).unwrap();
    let paths: Vec<_> = masks.map(|file| file.unwrap().path()).collect();
    assert_eq!(paths.len(), 1);
    let mask = image::open(&paths[0]).unwrap().into_luma8();
    for (x, _, class) in mask.enumerate_pixels() {
        assert_eq!(class.0[0], [0, 0, 0, 1, 2, 3][x as usize / 4]);
    }
    // Six may be taken for no label instead.
    let values = "0=benign,1=benign,3=grade-3,4=grade-4,5=grade-5,*=unlabelled";
    lab.ok(&[
        "import",
        "gleason2019",
        "gleason",
        "other",
        "--values",
        values,
    ]);
    let says = lab.read("other/labels/v1/masks.csv");
    assert!(
        says.contains("partial") && !says.contains("dense"),
        "{says}"
    );
}

#[test]
fn the_split_depends_on_the_seed_alone() {
    let lab = lab();
    lab.ok(&IMPORT);
    let first = images(&lab);
    let validation = |images: &[[String; 5]]| -> Vec<String> {
        let chosen = images.iter().filter(|image| image[4] == "validation");
        chosen.map(|image| image[0].clone()).collect()
    };
    // One of four cores, and the only one for training of its slide.
    assert_eq!(validation(&first).len(), 1);
    std::fs::remove_dir_all(lab.path("prostate")).unwrap();
    lab.ok(&IMPORT);
    assert_eq!(images(&lab), first);
    let another = (1..20).any(|seed| {
        std::fs::remove_dir_all(lab.path("prostate")).unwrap();
        lab.ok(&[&IMPORT[..], &["--seed", &seed.to_string()]].concat());
        validation(&images(&lab)) != validation(&first)
    });
    assert!(another);
}

#[test]
fn folders_of_other_releases_are_known() {
    let lab = lab();
    let folder = |name: &str| lab.path(&format!("gleason/{name}"));
    std::fs::rename(folder("Train_imgs"), folder("Train Imgs")).unwrap();
    for number in 1..=6 {
        std::fs::rename(
            folder(&format!("Maps{number}_T")),
            folder(&format!("maps{number}")),
        )
        .unwrap();
    }
    let said = lab.ok(&IMPORT);
    assert!(said.contains("6 images of 6 cases"), "{said}");
}

#[test]
fn a_folder_that_is_missing_or_doubled() {
    let lab = lab();
    std::fs::create_dir(lab.path("gleason/Maps5")).unwrap();
    assert_snapshot!(lab.fails(&IMPORT));
    std::fs::remove_dir(lab.path("gleason/Maps5")).unwrap();
    std::fs::remove_dir_all(lab.path("gleason/Maps5_T")).unwrap();
    assert_snapshot!(lab.fails(&IMPORT));
    std::fs::remove_dir_all(lab.path("gleason/Train_imgs")).unwrap();
    assert_snapshot!(lab.fails(&IMPORT));
    assert_snapshot!(lab.fails(&["import", "gleason2019", "nowhere", "prostate"]));
}

#[test]
fn masks_that_lie_too_deep() {
    let lab = lab();
    for number in 1..=6 {
        let maps = lab.path(&format!("gleason/Maps{number}_T"));
        std::fs::rename(&maps, lab.path("deeper")).unwrap();
        std::fs::create_dir(&maps).unwrap();
        std::fs::rename(lab.path("deeper"), maps.join("Maps")).unwrap();
    }
    assert_snapshot!(lab.fails(&IMPORT));
}

#[test]
fn two_images_of_one_name() {
    let lab = lab();
    lab.picture("gleason/Train_imgs/slide001_core003.png", 1);
    assert_snapshot!(lab.fails(&IMPORT));
}

#[test]
fn a_mask_of_another_size() {
    let lab = lab();
    let small = GrayImage::from_pixel(20, 16, Luma([3]));
    lab.write(&mask_name(4, "slide002_core002"), png(&small.into()));
    assert_snapshot!(lab.fails(&IMPORT));
    assert!(!lab.path("prostate").exists());
}

#[test]
fn a_number_that_means_nothing() {
    let lab = lab();
    let mut strange = mask();
    strange.put_pixel(5, 7, Luma([2]));
    strange.put_pixel(6, 7, Luma([255]));
    lab.write(&mask_name(3, "slide002_core001"), png(&strange.into()));
    assert_snapshot!(lab.fails(&IMPORT));
}

#[test]
fn broken_files() {
    let lab = lab();
    lab.write("gleason/Train_imgs/slide003_core001.jpg", "this is a text");
    assert_snapshot!(lab.fails(&IMPORT));
    let whole = png(&mask().into());
    lab.write(&mask_name(1, "slide001_core010"), &whole[..whole.len() / 2]);
    assert_snapshot!(lab.fails(&IMPORT));
}
