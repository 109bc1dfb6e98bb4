//! Whatever is wrong with the input, the message names the place, the cause and the remedy, and the
//! exit code says whose turn it is. The snapshots are what users read.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::{Lab, png};
use insta::assert_snapshot;

/// Twelve pictures of twelve cases in two classes.
fn lab() -> Lab {
    let lab = Lab::new();
    let mut table = String::from("image,class,case\n");
    for number in 0..12u8 {
        lab.picture(&format!("patches/{number}.png"), number * 20);
        let class = if number % 2 == 0 { "normal" } else { "tumour" };
        table.push_str(&format!("patches/{number}.png,{class},P{number}\n"));
    }
    lab.write("labels.csv", table);
    lab
}

fn with_dataset() -> Lab {
    let lab = lab();
    lab.ok(&["import", "classes", "labels.csv", "liver"]);
    lab
}

#[test]
fn a_missing_file() {
    assert_snapshot!(Lab::new().fails(&["import", "classes", "nothing.csv", "liver"]));
}

#[test]
fn an_empty_folder() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path("empty")).unwrap();
    assert_snapshot!(lab.fails(&["import", "classes", "empty", "liver"]));
}

#[test]
fn a_ragged_table() {
    let lab = lab();
    lab.write(
        "labels.csv",
        "image,class\npatches/0.png,normal\npatches/1.png,tumour,sure\n",
    );
    assert_snapshot!(lab.fails(&["import", "classes", "labels.csv", "liver"]));
}

#[test]
fn a_byte_order_mark_is_no_error() {
    let lab = lab();
    let marked = [
        b"\xef\xbb\xbf".as_slice(),
        lab.read("labels.csv").as_bytes(),
    ]
    .concat();
    lab.write("marked.csv", marked);
    lab.ok(&["import", "classes", "marked.csv", "liver"]);
}

#[test]
fn a_table_in_utf_16() {
    let lab = lab();
    let wide: Vec<u8> = lab
        .read("labels.csv")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    lab.write("wide.csv", [b"\xff\xfe".as_slice(), &wide].concat());
    assert_snapshot!(lab.fails(&["import", "classes", "wide.csv", "liver"]));
}

#[test]
fn a_duplicated_id() {
    let lab = lab();
    lab.write(
        "labels.csv",
        "image,class\npatches/0.png,normal\npatches/1.png,tumour\npatches/0.png,tumour\n",
    );
    assert_snapshot!(lab.fails(&["import", "classes", "labels.csv", "liver"]));
}

#[test]
fn an_unknown_class() {
    let lab = lab();
    assert_snapshot!(lab.fails(&[
        "import",
        "classes",
        "labels.csv",
        "liver",
        "--classes",
        "normal,tumor"
    ]));
}

#[test]
fn all_labels_equal() {
    let lab = lab();
    lab.write(
        "labels.csv",
        "image,class\npatches/0.png,normal\npatches/1.png,normal\n",
    );
    assert_snapshot!(lab.fails(&["import", "classes", "labels.csv", "liver"]));
}

#[test]
fn a_class_with_one_case() {
    let lab = lab();
    lab.write(
        "labels.csv",
        "image,class,case\npatches/0.png,normal,A\npatches/1.png,tumour,B\npatches/2.png,tumour,C\n",
    );
    assert_snapshot!(lab.warns(&["import", "classes", "labels.csv", "liver"]));
}

#[test]
fn a_trust_that_is_not_a_number() {
    let lab = lab();
    lab.write(
        "labels.csv",
        "image,class,trust\npatches/0.png,normal,1\npatches/1.png,tumour,NaN\n",
    );
    assert_snapshot!(lab.fails(&["import", "classes", "labels.csv", "liver"]));
}

#[test]
fn missing_image_files() {
    let lab = lab();
    std::fs::remove_file(lab.path("patches/3.png")).unwrap();
    assert_snapshot!(lab.warns(&["import", "classes", "labels.csv", "liver"]));
    std::fs::remove_dir_all(lab.path("patches")).unwrap();
    assert_snapshot!(lab.fails(&["import", "classes", "labels.csv", "other"]));
}

#[test]
fn a_dataset_that_exists_with_other_classes() {
    let lab = with_dataset();
    lab.write(
        "more.csv",
        "image,class\npatches/0.png,fat\npatches/1.png,tumour\n",
    );
    assert_snapshot!(lab.fails(&[
        "import", "classes", "more.csv", "liver", "--source", "second"
    ]));
}

#[test]
fn not_a_dataset() {
    let lab = Lab::new();
    assert_snapshot!(lab.fails(&["status", "nowhere"]));
    std::fs::create_dir(lab.path("folder")).unwrap();
    assert_snapshot!(lab.fails(&["audit", "folder"]));
}

#[test]
fn bad_images_are_left_out_and_counted() {
    let lab = lab();
    let deep: image::DynamicImage =
        image::ImageBuffer::from_pixel(24, 24, image::Rgb([40000u16, 20000, 60000])).into();
    let whole = std::fs::read(lab.path("patches/4.png")).unwrap();
    lab.write("patches/0.png", "");
    lab.write("patches/1.png", "this is a text");
    lab.write("patches/2.png", &whole[..whole.len() / 2]);
    lab.write("patches/3.png", png(&deep));
    let glass: image::DynamicImage =
        image::RgbaImage::from_pixel(24, 24, image::Rgba([9, 9, 9, 9])).into();
    lab.write("patches/5.png", png(&glass));
    lab.ok(&["import", "classes", "labels.csv", "liver"]);
    assert_snapshot!(lab.warns(&["embed", "liver"]));
    assert_snapshot!(lab.fails(&["embed", "liver", "--strict"]));
}

#[test]
fn no_readable_image_at_all() {
    let lab = with_dataset();
    for number in 0..12 {
        lab.write(&format!("patches/{number}.png"), "");
    }
    assert_snapshot!(lab.fails(&["embed", "liver"]));
}

#[test]
fn several_sources_and_no_choice() {
    let lab = lab();
    let rows: String = (0..12)
        .map(|n| {
            format!(
                "patches/{n}.png,P{n},normal,{}\n",
                ["normal", "tumour"][n % 2]
            )
        })
        .collect();
    lab.write("votes.csv", format!("image,case,anna,ben\n{rows}"));
    lab.ok(&["import", "votes", "votes.csv", "liver"]);
    assert_snapshot!(lab.fails(&["audit", "liver"]));
    assert_snapshot!(lab.fails(&["audit", "liver", "--source", "bem"]));
}

#[test]
fn more_folds_than_cases() {
    let lab = lab();
    let table = lab.read("labels.csv").replace(",P1\n", ",P0\n");
    lab.write("labels.csv", table);
    lab.ok(&["import", "classes", "labels.csv", "liver"]);
    assert_snapshot!(lab.fails(&["audit", "liver", "--folds", "12"]));
}

#[test]
fn a_split_that_leaks() {
    let lab = lab();
    lab.write(
        "labels.csv",
        "image,class,case,split\npatches/0.png,normal,A,train\npatches/1.png,tumour,A,test\npatches/2.png,normal,B,train\n",
    );
    lab.ok(&["import", "classes", "labels.csv", "liver"]);
    assert_snapshot!(lab.fails(&["train", "liver", "--out", "run"]));
}

#[test]
fn an_image_without_a_split_leaks_from_a_case_for_test() {
    let lab = lab();
    lab.write(
        "labels.csv",
        "image,class,case,split\npatches/0.png,normal,A,test\npatches/1.png,tumour,A,\npatches/2.png,normal,B,train\n",
    );
    lab.ok(&["import", "classes", "labels.csv", "liver"]);
    let leak = "the split leaks: case A is on two sides, with the images patches/0.png and patches/1.png (which has no \
                split, so it is learned from)";
    let refused = lab.fails(&["train", "liver", "--out", "run"]);
    assert!(
        refused.starts_with(&format!("exit 3\nerror: {leak}\n")),
        "{refused}"
    );
    assert!(refused.contains("in images.csv"), "{refused}");
    let status = lab.ok(&["status", "liver"]);
    assert!(status.contains(&format!("warning: {leak}")), "{status}");
    let refused = lab.fails(&["pretrain", "liver", "--out", "encoder"]);
    assert!(refused.contains(leak), "{refused}");
    assert!(!lab.path("encoder").exists());
}

#[test]
fn a_bench_of_other_labels_or_images() {
    let lab = lab();
    // Two sources whose names would be one in the names of files.
    let import = |last: &str| {
        let row = |number: usize| match number {
            3 => format!("patches/3.png,P3,tumour,normal,{last}\n"),
            _ => {
                let class = ["normal", "tumour"][number % 2];
                format!("patches/{number}.png,P{number},{class},{class},{class}\n")
            }
        };
        let rows: String = (0..12).map(row).collect();
        lab.write("votes.csv", format!("image,case,anna,b n,b_n\n{rows}"));
        let _ = std::fs::remove_dir_all(lab.path("liver"));
        let import = ["import", "votes", "votes.csv", "liver"];
        lab.ok(&[&import[..], &["--reference", "anna"]].concat());
    };
    let bench = |labels| {
        let more = "--methods cross-entropy --seeds 1 --folds 3 --out out".split(' ');
        let asked = ["bench", "liver", "--labels-of", labels].into_iter();
        asked.chain(more).collect::<Vec<&str>>()
    };
    import("tumour");
    let told = lab.fails(&bench("b_n,b n"));
    assert!(
        told.starts_with("exit 2") && told.contains("other labels called `b_n` than `b n`"),
        "{told}"
    );
    lab.ok(&bench("b_n"));
    import("tumour");
    let again = lab.warns(&bench("b_n"));
    assert!(again.contains("0 cells to compute, 1 done"), "{again}");
    import("normal");
    let told = lab.fails(&bench("b_n"));
    assert!(
        told.contains("other labels called `b_n`") && told.contains("--out"),
        "{told}"
    );
    lab.picture("patches/5.png", 77);
    let told = lab.fails(&bench("b_n"));
    assert!(told.contains("a bench of other images"), "{told}");
}

#[test]
fn wrong_usage() {
    let lab = with_dataset();
    assert_snapshot!(lab.fails(&["train", "liver", "--method", "coteaching", "--out", "run"]));
    assert_snapshot!(lab.fails(&["inject", "uniform", "liver", "--rate", "1.5"]));
    assert_snapshot!(lab.fails(&["inject", "asymmetric", "liver", "--flip", "normal>tumour"]));
    assert_snapshot!(lab.fails(&["evaluate", "liver", "v1"]));
    assert_snapshot!(lab.fails(&["correct", "liver"]));
    assert_snapshot!(lab.fails(&["diff", "liver", "v1", "v7"]));
    assert_snapshot!(lab.fails(&["embed", "liver", "--encoder", "missing.safetensors"]));
    assert_snapshot!(lab.fails(&["fuse", "liver"]));
    assert_snapshot!(lab.fails(&["train", "liver", "--device", "vulkan", "--out", "run"]));
}

#[test]
fn an_unknown_key_in_a_recipe() {
    let lab = with_dataset();
    lab.write("recipe.toml", "folds = 3\n\n[train]\nepohcs = 5\n");
    assert_snapshot!(lab.fails(&["train", "liver", "--recipe", "recipe.toml", "--out", "run"]));
}

#[test]
fn labels_that_were_edited_by_hand() {
    let lab = with_dataset();
    let edited = lab
        .read("liver/labels/v1/classes.csv")
        .replacen("normal", "tumour", 1);
    lab.write("liver/labels/v1/classes.csv", edited);
    assert_snapshot!(lab.fails(&["audit", "liver"]));
}
