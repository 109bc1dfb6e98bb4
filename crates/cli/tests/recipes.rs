//! What a recipe says is done, by every command that takes one, and a run's own recipe makes it again.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::{Lab, clean_liver};
use serde_json::Value;

fn lab() -> Lab {
    let lab = Lab::new();
    clean_liver(&lab, "6", "4");
    lab
}

fn train(lab: &Lab, out: &str, more: &[&str]) {
    lab.ok(&[&["train", "liver", "--folds", "3", "--out", out], more].concat());
}

/// What a run is, but when and how it was made.
fn made(lab: &Lab, run: &str) -> [Vec<u8>; 3] {
    ["config.toml", "model.safetensors", "predictions.csv"]
        .map(|file| std::fs::read(lab.path(run).join(file)).unwrap())
}

#[test]
fn a_run_is_made_again_by_its_recipe_with_the_same_seed() {
    let lab = lab();
    train(&lab, "none", &[]);
    train(&lab, "flag", &["--seed", "5"]);
    let flag = made(&lab, "flag");
    assert!(made(&lab, "none") != flag);
    assert!(lab.read("flag/config.toml").starts_with("seed = 5\n"));
    assert_eq!(lab.read("flag/config.toml").matches("seed").count(), 1);
    lab.write("seed.toml", "seed = 5\n");
    lab.write("of-train.toml", "[train]\nseed = 5\n");
    for recipe in ["seed.toml", "of-train.toml", "flag/config.toml"] {
        train(&lab, "again", &["--recipe", recipe]);
        assert!(made(&lab, "again") == flag, "{recipe}");
        std::fs::remove_dir_all(lab.path("again")).unwrap();
    }
    // The flag overrides it.
    train(&lab, "zero", &["--recipe", "seed.toml", "--seed", "0"]);
    assert!(made(&lab, "zero") == made(&lab, "none"));
    lab.write("two.toml", "seed = 5\n[train]\nseed = 6\n");
    let two = lab.fails(&["train", "liver", "--recipe", "two.toml", "--out", "two"]);
    assert!(
        two.starts_with("exit 2") && two.contains("`seed` is 5 and 6 in [train]"),
        "{two}"
    );
}

#[test]
fn a_method_that_is_named_again_keeps_its_settings() {
    let lab = lab();
    lab.write("gce.toml", "[method]\nname = \"gce\"\nq = 0.25\n");
    train(&lab, "same", &["--recipe", "gce.toml", "--method", "gce"]);
    assert!(lab.read("same/config.toml").contains("q = 0.25"));
    train(&lab, "other", &["--recipe", "gce.toml", "--method", "mae"]);
    let other = lab.read("other/config.toml");
    assert!(other.contains("name = \"mae\"") && !other.contains("q = "));
}

#[test]
fn a_run_says_which_command_writes_its_page() {
    let lab = lab();
    let said = lab.ok(&["train", "liver", "--folds", "3", "--out", "a run"]);
    let page = "page: cleanslide report liver --run 'a run' --out report.html";
    assert!(said.contains(page), "{said}");
    lab.ok(&["report", "liver", "--run", "a run", "--out", "report.html"]);
}

#[test]
fn a_method_is_no_file() {
    let lab = lab();
    for (command, method, flag) in [
        ("train", "sissi", "--method"),
        ("train", "elr", "--method"),
        ("train", "staple", "--method"),
        ("bench", "dual", "--methods"),
        ("advise", "gce", "--methods"),
        ("pretrain", "barlow-twins", "--method"),
    ] {
        let said = lab.fails(&[command, "liver", "--recipe", method, "--out", "out"]);
        let meant = format!("did you mean `{flag} {method}`?");
        assert!(
            said.starts_with("exit 2") && said.contains(&meant),
            "{said}"
        );
    }
    let other = lab.fails(&["train", "liver", "--recipe", "none.toml", "--out", "out"]);
    assert!(!other.contains("did you mean"), "{other}");
    // A file may be called so.
    lab.write("gce", "seed = 3\n");
    train(&lab, "out", &["--recipe", "gce"]);
}

/// What `advise` measured is what the command measures that it prints, by its flags and by its recipe.
#[test]
fn what_is_advised_is_what_is_trained() {
    let lab = lab();
    lab.ok(&["split", "liver", "--validation", "0.3", "--test", "0.0"]);
    lab.write(
        "stop.toml",
        "[method]\nname = \"gce\"\nq = 0.25\n[train.early_stopping.noisy-validation]\npatience = 2\n",
    );
    let advise = [
        "advise",
        "liver",
        "--recipe",
        "stop.toml",
        "--methods",
        "gce",
        "--repeats",
        "1",
        "--folds",
        "3",
        "--seed",
        "7",
        "--json",
    ];
    let trains_as_told = |more: &[&str], run: &str| {
        let told: Value = serde_json::from_str(&lab.ok(&[&advise[..], more].concat())).unwrap();
        let place = told["recommended"].as_u64().unwrap() as usize;
        let next = told["next"].as_str().unwrap();
        let words: Vec<&str> = next.split(' ').skip(1).collect();
        let (_, words) = words.split_last().unwrap();
        let trained = lab.ok(&[words, &[run, "--json"]].concat());
        let trained: Value = serde_json::from_str(&trained).unwrap();
        let measures = trained["against_given_labels"].as_array().unwrap();
        let measured = measures
            .iter()
            .find(|measure| measure["name"] == "balanced accuracy")
            .unwrap();
        assert_eq!(
            told["methods"][place]["score"]["value"], measured["estimate"]["value"],
            "{next}"
        );
        lab.read(&format!("{run}/config.toml"))
    };
    let by_flags = trains_as_told(&[], "by-flags");
    let by_recipe = trains_as_told(&["--out", "advice"], "by-recipe");
    assert_eq!(by_flags, by_recipe);
    assert!(lab.read("advice/recipe.toml").contains("seed = 7"));
}

const BENCH: &str = "bench liver --methods cross-entropy,gce --seeds 1";

fn bench(more: &str) -> Vec<&str> {
    BENCH.split(' ').chain(more.split(' ')).collect()
}

#[test]
fn a_bench_heeds_its_recipe() {
    let lab = lab();
    lab.write("recipe.toml", "seed = 4\nfolds = 3\ncrop = 48\n");
    let asked = "--labels-of simulator --recipe recipe.toml --out";
    lab.ok(&bench(&format!("{asked} recipe")));
    let flags = "--labels-of simulator --seed 4 --folds 3 --crop 48 --out flags";
    lab.ok(&bench(flags));
    for file in [
        "plan.toml",
        "cells/simulator__none__gce__seed4.csv",
        "bench.json",
    ] {
        let [recipe, flags] = ["recipe", "flags"].map(|out| lab.read(&format!("{out}/{file}")));
        assert_eq!(recipe, flags, "{file}");
    }
    // Flags override it.
    lab.ok(&bench(&format!("{asked} more --folds 2 --seed 1")));
    assert!(lab.read("more/plan.toml").contains("folds = 2"));
    assert!(
        lab.path("more/cells/simulator__none__gce__seed1.csv")
            .exists()
    );
    lab.write("encoder.toml", "encoder = \"none.safetensors\"\n");
    let none = lab.fails(&bench(
        "--labels-of simulator --recipe encoder.toml --out x",
    ));
    assert!(none.contains("none.safetensors"), "{none}");
    // Labels of the version that it names.
    lab.ok(&[
        "inject",
        "uniform",
        "liver",
        "--rate",
        "0.9",
        "--source",
        "simulator",
    ]);
    lab.write(
        "first.toml",
        "labels = \"v1\"\nfolds = 3\ncrop = 48\nseed = 4\n",
    );
    let first = "--labels-of simulator --recipe first.toml --out recipe";
    let again = lab.warns(&bench(first));
    assert!(again.contains("0 cells to compute, 2 done"), "{again}");
}

#[test]
fn clean_labels_are_those_of_a_reference() {
    let lab = lab();
    let stopping = "[train.early_stopping.clean-validation]\npatience = 3\n";
    lab.write("clean.toml", stopping);
    lab.write(
        "other.toml",
        format!("validation_reference = \"x\"\n{stopping}"),
    );
    lab.write("unused.toml", "validation_reference = \"truth\"\n");
    let refused = |flags: &str, said: &str| {
        let told = lab.fails(&bench(&format!("--folds 3 --out x {flags}")));
        assert!(told.starts_with("exit 2") && told.contains(said), "{told}");
    };
    refused(
        "--labels-of reference:truth,annotator1 --recipe clean.toml",
        "those of `annotator1` may be wrong",
    );
    refused(
        "--labels-of all --recipe clean.toml",
        "those of `all` may be wrong",
    );
    refused(
        "--labels-of reference:truth --recipe other.toml",
        "by the reference `x`",
    );
    refused(
        "--labels-of reference:truth --recipe unused.toml",
        "nothing uses it",
    );
    assert!(!lab.path("x").exists());
}

#[test]
fn a_bench_touches_no_folder_that_is_not_its_own() {
    let lab = lab();
    lab.write("pixels.toml", "[train]\nepochs = 1\ncrop = 32\n");
    lab.write("mine/training/notes.txt", "years of work");
    for more in ["", " --from-pixels pixels.toml"] {
        let told = lab.fails(&bench(&format!(
            "--labels-of simulator --folds 3 --out mine{more}"
        )));
        assert!(
            told.starts_with("exit 2") && told.contains("mine is not empty, and is no bench"),
            "{told}"
        );
    }
    assert_eq!(lab.read("mine/training/notes.txt"), "years of work");
    assert_eq!(std::fs::read_dir(lab.path("mine")).unwrap().count(), 1);
    // What a killed process leaves behind is nobody's.
    lab.write("empty/.partial-x", "");
    lab.ok(&bench("--labels-of simulator --folds 3 --out empty"));
}

#[test]
fn a_report_of_more_is_kept() {
    let lab = lab();
    let asked = |more: &str| {
        let words = "bench liver --labels-of simulator --folds 3 --out bench".split(' ');
        let words: Vec<&str> = words.chain(more.split(' ')).collect();
        lab.warns(&words)
    };
    let reports = || ["bench.json", "report.html"].map(|file| lab.read(&format!("bench/{file}")));
    asked("--methods cross-entropy,gce --seeds 2");
    let more = reports();
    for fewer in [
        "--methods gce --seeds 2",
        "--methods cross-entropy,gce --seeds 1",
        "--methods mae --seeds 1",
    ] {
        let told = asked(fewer);
        assert!(told.contains("the report in bench is kept"), "{told}");
        assert!(reports() == more, "{fewer}");
    }
    // One of all, and more, takes its place.
    let told = asked("--methods cross-entropy,gce,mae --seeds 2");
    assert!(!told.contains("kept") && reports() != more, "{told}");
}
