//! What commands say of tables, images and labels as people have them, and the commands that they name next.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::Lab;

/// Twelve pictures, and a table of two annotators and a consensus; `case` is a column of cases, or none.
fn lab(case: &str) -> Lab {
    let lab = Lab::new();
    let mut table = format!("image{case},anna,ben,gold\n");
    for number in 0..12u8 {
        lab.picture(&format!("patches/{number}.png"), number * 20);
        let class = ["normal", "tumour"][usize::from(number % 2)];
        let case = if case.is_empty() {
            String::new()
        } else {
            format!(",P{number}")
        };
        table.push_str(&format!(
            "patches/{number}.png{case},{class},{class},{class}\n"
        ));
    }
    lab.write("votes.csv", table);
    lab
}

const IMPORT: [&str; 6] = [
    "import",
    "votes",
    "votes.csv",
    "liver",
    "--reference",
    "gold",
];

fn imported() -> Lab {
    let lab = lab(",case");
    lab.ok(&IMPORT);
    lab
}

/// Runs what a command said to run next, of which the first word is `cleanslide`.
fn run_next(lab: &Lab, said: &str) {
    let line = said
        .lines()
        .find(|line| line.starts_with("next: "))
        .unwrap();
    let words: Vec<&str> = line.split_whitespace().skip(2).collect();
    lab.ok(&words);
}

#[test]
fn words_for_missing_values_are_no_classes() {
    let lab = lab(",case");
    let table = lab.read("votes.csv").replacen("normal", "NaN", 1);
    lab.write("votes.csv", table.replacen("tumour", "n/a", 1));
    let said = lab.ok(&IMPORT);
    assert!(said.contains("normal / tumour by anna, ben"), "{said}");
    assert!(
        said.contains("2 fields `NaN` or `n/a` read as not known: not labelled, or"),
        "{said}"
    );
    let with = [
        &IMPORT[..3],
        &["all"],
        &IMPORT[4..],
        &["--classes", "NaN,n/a,normal,tumour"],
    ];
    let said = lab.ok(&with.concat());
    assert!(said.contains("NaN / n/a / normal / tumour"), "{said}");
    assert!(!said.contains("not labelled"), "{said}");
}

#[test]
fn classes_that_differ_in_case_and_images_without_cases_are_told() {
    let lab = lab("");
    let table = lab.read("votes.csv").replacen("tumour", "TUMOUR", 1);
    lab.write("votes.csv", table);
    let told = lab.warns(&IMPORT);
    assert!(
        told.contains("`TUMOUR` and `tumour` are 2 classes"),
        "{told}"
    );
    assert!(
        told.contains("each image counts as a case of its own"),
        "{told}"
    );
    assert!(told.contains("column `case` or `slide`"), "{told}");
    let told = self::lab(",case").warns(&IMPORT);
    assert!(!told.contains("case of its own"), "{told}");
}

#[test]
fn what_is_named_next_works() {
    let lab = lab(",case");
    let said = lab.ok(&IMPORT);
    assert!(
        said.contains("next: cleanslide audit liver --source anna"),
        "{said}"
    );
    run_next(&lab, &said);
    let train = [
        "train", "liver", "--source", "anna", "--folds", "2", "--out",
    ];
    let said = lab.ok(&[&train[..], &["run"]].concat());
    assert!(
        said.contains("evaluate liver run --reference gold"),
        "{said}"
    );
    run_next(&lab, &said);
    let _ = std::fs::remove_dir_all(lab.path("liver/reference"));
    let said = lab.ok(&[&train[..], &["other"]].concat());
    assert!(
        said.contains("next: cleanslide audit liver --run other"),
        "{said}"
    );
    run_next(&lab, &said);
    for kind in [&[][..], &["--clean"], &["--tissue"]] {
        let name = format!("simulated{}", kind.concat());
        let simulate = ["simulate", &name, "--cases", "4", "--patches", "2"];
        let said = lab.ok(&[&simulate[..], kind].concat());
        run_next(&lab, &said);
    }
}

#[test]
fn labels_that_a_version_lacks_are_found_in_another() {
    let lab = imported();
    lab.ok(&["audit", "liver", "--source", "anna", "--folds", "3"]);
    let said = lab.ok(&[
        "inject", "uniform", "liver", "--source", "ben", "--rate", "0.25",
    ]);
    assert!(
        said.contains("`ben` is as it was in v1: `--labels v1 --source ben`"),
        "{said}"
    );
    let told = lab.fails(&["audit", "liver", "--source", "ben"]);
    assert!(told.contains("no class labels of `ben` in v2"), "{told}");
    assert!(told.contains("v1 has them: `--labels v1`"), "{told}");
    // The labels of anna are the same in v2, so their audit is.
    let said = lab.ok(&["correct", "liver", "--source", "anna", "--threshold", "0.5"]);
    assert!(said.contains("anna of v2"), "{said}");
    let told = lab.fails(&["correct", "liver", "--labels", "v2", "--source", "noisy"]);
    assert!(
        told.contains("the labels of noisy in v2 were not audited yet"),
        "{told}"
    );
}

#[test]
fn small_images_and_other_kinds_are_left_out_of_predictions() {
    let lab = imported();
    let train = [
        "train", "liver", "--source", "anna", "--folds", "2", "--crop", "20",
    ];
    lab.ok(&[&train[..], &["--out", "run"]].concat());
    let small: image::DynamicImage = image::RgbImage::new(12, 30).into();
    lab.write("new/a.png", common::png(&small));
    lab.picture("new/b.png", 7);
    lab.write("new/c.webp", "");
    let told = lab.warns(&["predict", "run", "new", "--out", "new.csv"]);
    assert!(
        told.contains("1 file is left out, such as new/c.webp"),
        "{told}"
    );
    let small = "new/a.png: it is 12 × 30 pixels, smaller than the crop of 20 × 20";
    assert!(told.contains(small), "{told}");
    assert_eq!(lab.read("new.csv").lines().count(), 2);
    let told = lab.fails(&["predict", "run", "new", "--strict", "--out", "strict.csv"]);
    assert!(told.contains(small), "{told}");

    // Of a dataset, too.
    lab.ok(&[
        "import",
        "images",
        "new",
        "mixed",
        "--classes",
        "normal,tumour",
    ]);
    let told = lab.warns(&["embed", "mixed", "--crop", "20"]);
    assert!(
        told.contains("12 × 30 pixels, smaller than the crop of 20 × 20"),
        "{told}"
    );
}

#[test]
fn classes_alone_are_judged_and_others_named() {
    let lab = Lab::new();
    let rows = |class: fn(usize) -> &'static str| {
        let row = |number| format!("{number}.png,{}\n", class(number));
        (0..12).map(row).collect::<String>()
    };
    let truth = rows(|number| ["normal", "tumour"][number % 2]);
    lab.write("truth.csv", format!("image,class\n{truth}"));
    let predicted = rows(|number| ["normal", "tumour"][usize::from(number > 5)]);
    lab.write("predicted.csv", format!("image,predicted\n{predicted}"));
    let judge = ["evaluate", "truth.csv", "predicted.csv"];
    let said = lab.ok(&judge);
    assert!(
        said.contains("balanced accuracy") && !said.contains("AUROC"),
        "{said}"
    );
    let told = lab.warns(&judge);
    assert!(
        told.contains("each image counts as a case of its own"),
        "{told}"
    );
    lab.write(
        "other.csv",
        format!("image,predicted\n{}", predicted.replace(".png", ".jpg")),
    );
    let told = lab.fails(&["evaluate", "truth.csv", "other.csv"]);
    assert!(
        told.contains("the predictions begin with `0.jpg`, the truth with `0.png`"),
        "{told}"
    );
    // A quarter of the resamples have the case of one image alone.
    let truth = truth.replace('\n', ",one\n").replacen(",one", ",two", 1);
    lab.write("truth.csv", format!("image,class,case\n{truth}"));
    let said = lab.ok(&judge);
    let footnote = "  – Cohen's kappa: too few cases: in ";
    assert!(said.contains(footnote), "{said}");
}

#[test]
fn predictions_of_other_images_in_another_order_are_compared_by_id() {
    let lab = Lab::new();
    let truth = |case: fn(usize) -> usize| {
        let row = |number| {
            let class = ["normal", "tumour"][number % 2];
            format!("{number}.png,{class},{}\n", case(number))
        };
        let rows: String = (0..12).map(row).collect();
        format!("image,class,case\n{rows}")
    };
    lab.write("truth.csv", truth(|number| number));
    let probabilities = |numbers: Vec<usize>| {
        let row = |number: usize| {
            let tumour = [0.25, 0.75][usize::from(number % 2 == 1 && number != 3)];
            format!("{number}.png,{},{tumour}\n", 1.0 - tumour)
        };
        let rows: String = numbers.into_iter().map(row).collect();
        format!("image,probability normal,probability tumour\n{rows}")
    };
    lab.write("first.csv", probabilities((0..12).collect()));
    lab.write("second.csv", probabilities((1..12).rev().collect()));
    let judge = ["evaluate", "truth.csv", "first.csv", "--against"];
    let said = lab.ok(&[&judge[..], &["second.csv"]].concat());
    let left_out = "left out: 1 image of first.csv and 0 of second.csv";
    assert!(said.contains(left_out), "{said}");
    let difference = "difference in balanced accuracy: 0.000";
    assert!(said.contains(difference), "{said}");
    lab.write(
        "labels.csv",
        "image,predicted\n11.png,tumour\n3.png,tumour\n0.png,normal\n",
    );
    let said = lab.ok(&[&judge[..], &["labels.csv", "--json"]].concat());
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["images"], 3);
    assert_eq!(said["not_compared"], serde_json::json!([9, 0]));
    lab.write("none.csv", probabilities(vec![20, 21]));
    let told = lab.fails(&[&judge[..], &["none.csv"]].concat());
    assert!(
        told.contains("the predictions begin with `20.png`"),
        "{told}"
    );
    lab.write("twice.csv", probabilities(vec![4, 5, 4]));
    let told = lab.fails(&[&judge[..], &["twice.csv"]].concat());
    assert!(
        told.contains("line 4: `4.png` has a prediction in line 2 already"),
        "{told}"
    );

    // One case cannot be resampled: values alone, and no test.
    lab.write("truth.csv", truth(|_| 7));
    let said = lab.ok(&[&judge[..], &["second.csv"]].concat());
    assert_eq!(
        said.matches("one independent case: no intervals").count(),
        1,
        "{said}"
    );
    assert!(!said.contains("difference in balanced accuracy"), "{said}");
}

#[test]
fn how_boxes_get_a_reference_is_told() {
    let lab = Lab::new();
    lab.picture("patches/1.png", 7);
    lab.write("boxes/1.txt", "0 0.5 0.5 0.5 0.5\n");
    lab.write("names.txt", "cell\n");
    let import = [
        "import",
        "yolo",
        "boxes",
        "cells",
        "--names",
        "names.txt",
        "--images",
        "patches",
    ];
    lab.ok(&import);
    for more in [&[][..], &["--reference", "gold"]] {
        let told = lab.fails(&[&["evaluate", "cells", "v1"], more].concat());
        assert!(told.contains("`--as-reference NAME`"), "{told}");
    }
    lab.ok(&[&import[..], &["--as-reference", "gold"]].concat());
    lab.ok(&["evaluate", "cells", "v1"]);
}

#[test]
fn a_bench_of_one_seed_says_so_and_refuses_what_is_named_twice() {
    let lab = imported();
    let bench = "bench liver --labels-of anna --seeds 1 --folds 3 --out out --methods";
    let with = |methods: &'static str| -> Vec<&str> { bench.split(' ').chain([methods]).collect() };
    let told = lab.fails(&with("gce,gce"));
    assert!(
        told.starts_with("exit 2") && told.contains("gce is asked for twice"),
        "{told}"
    );
    lab.ok(&with("gce"));
    let page = lab.read("out/report.html");
    assert!(page.contains("3 folds by case × 1 seed."), "protocol");
}

#[test]
fn a_report_names_runs_and_what_is_doubtful() {
    let lab = imported();
    for (method, out) in [("gce", "first"), ("cross-entropy", "second")] {
        let train = [
            "train", "liver", "--source", "anna", "--folds", "2", "--method", method,
        ];
        lab.ok(&[&train[..], &["--out", out]].concat());
    }
    lab.ok(&[
        "report",
        "liver",
        "--run",
        "first",
        "--run",
        "second",
        "--out",
        "page.html",
    ]);
    let page = lab.read("page.html");
    assert!(page.contains("second (cross-entropy)") && page.contains("first (gce)"));
    assert!(page.contains("ifference to first (gce)") && !page.contains("plain training"));
    assert!(page.contains("on labels of anna in v1"));
    assert!(page.contains("The best of 2 runs by the same labels that measure it"));
    let doubts = ["normal has only 6 labels", "the models know little"];
    assert!(doubts.iter().any(|doubt| page.contains(doubt)));
}
