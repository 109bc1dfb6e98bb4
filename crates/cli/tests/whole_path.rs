//! The whole path as a user walks it, and the promises that hold along it.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::fs;
use std::time::Duration;

use common::{Lab, tree};

/// A small simulated dataset with three annotators, fused.
fn liver(lab: &Lab) {
    lab.ok(&["simulate", "liver", "--cases", "8", "--patches", "12"]);
    lab.ok(&["fuse", "liver"]);
}

const TRAIN: [&str; 6] = ["train", "liver", "--method", "elr", "--folds", "3"];

fn train(lab: &Lab, out: &str, threads: &str) {
    lab.ok(&[&TRAIN[..], &["--out", out, "--threads", threads]].concat());
}

#[test]
fn from_votes_to_a_report() {
    let lab = Lab::new();
    liver(&lab);
    let status = lab.ok(&["status", "liver"]);
    assert!(
        status.contains("annotator2") && status.contains("dawid-skene"),
        "{status}"
    );
    lab.ok(&[
        "split",
        "liver",
        "--test",
        "0.25",
        "--source",
        "dawid-skene",
    ]);
    lab.ok(&["audit", "liver", "--folds", "3"]);
    let issues = lab.read("liver/audits/v2-dawid-skene/issues.csv");
    assert!(
        issues.starts_with("image,case,slide,given,suggested,suspicion,flagged,reasons,path\n")
    );
    let page = lab.read("liver/audits/v2-dawid-skene/report.html");
    assert!(page.contains("How images lie in the embedding"));
    assert!(page.contains("Neighbours with the same label"));
    lab.ok(&[
        "correct",
        "liver",
        "--policy",
        "relabel",
        "--threshold",
        "0.6",
    ]);
    let log = lab.ok(&["log", "liver"]);
    assert!(log.starts_with("v3 from v2"), "{log}");
    assert!(lab.path("liver/labels/v3/changes.csv").exists());
    train(&lab, "runs/robust", "2");
    lab.ok(&["train", "liver", "--folds", "3", "--out", "runs/plain"]);
    let measured = lab.ok(&[
        "evaluate",
        "liver",
        "runs/robust",
        "--against",
        "runs/plain",
        "--json",
    ]);
    let measured: serde_json::Value = serde_json::from_str(&measured).unwrap();
    let balanced = measured["measures"]
        .as_array()
        .unwrap()
        .iter()
        .find(|m| m["name"] == "balanced accuracy");
    let value = balanced.unwrap()["estimate"]["value"].as_f64().unwrap();
    assert!(value > 0.5, "four classes, so chance is 0.25: {value}");
    lab.ok(&["evaluate", "liver", "v3"]);
    lab.ok(&[
        "predict",
        "runs/robust",
        "liver/images/case001",
        "--out",
        "new.csv",
    ]);
    assert_eq!(lab.read("new.csv").lines().count(), 13);
    lab.ok(&["export", "liver", "corrected.csv"]);
    assert_eq!(lab.read("corrected.csv").lines().count(), 97);
    lab.ok(&[
        "report",
        "liver",
        "--run",
        "runs/plain",
        "--run",
        "runs/robust",
        "--reference",
        "truth",
        "--out",
        "report.html",
    ]);
    let page = lab.read("report.html");
    assert!(page.contains("annotator2") && page.contains("</html>"));
    assert!(
        page.contains("robust (elr)"),
        "runs by their folders and methods"
    );
    for scheme in ["http://", "https://"] {
        let foreign = page
            .match_indices(scheme)
            .any(|(at, _)| !page[at..].starts_with("http://www.w3.org/"));
        assert!(!foreign, "the page asks the network");
    }
}

/// A label is corrected by models that learned from the other cases, so across folds figures are too good.
#[test]
fn runs_on_corrected_labels_are_measured_on_images_for_test() {
    let lab = Lab::new();
    let correct_and_train = || {
        lab.ok(&["audit", "liver", "--folds", "3"]);
        lab.ok(&["correct", "liver", "--threshold", "0.6"]);
        let train = lab.ok(&["train", "liver", "--folds", "3", "--out", "run"]);
        assert!(
            train.contains("across folds against the corrected"),
            "{train}"
        );
    };
    let evaluate = ["evaluate", "liver", "run", "--reference", "truth"];
    let report = ["report", "liver", "--run", "run", "--out", "report.html"];
    liver(&lab);
    lab.ok(&["split", "liver", "--test", "0.25"]);
    correct_and_train();
    let told = lab.ok(&evaluate);
    assert!(told.contains("24 images of 2 independent cases"), "{told}");
    let told = lab.warns(&evaluate);
    assert!(told.contains("measured on images for test alone"), "{told}");
    lab.ok(&[&report[..], &["--reference", "truth"]].concat());
    assert!(lab.read("report.html").contains("on 24 images for test"));
    // Without images for test all that is left is a warning.
    let lab = Lab::new();
    liver(&lab);
    lab.ok(&["audit", "liver", "--folds", "3"]);
    lab.ok(&["correct", "liver", "--threshold", "0.6"]);
    lab.ok(&["train", "liver", "--folds", "3", "--out", "run"]);
    let too_good = "its figures are too good";
    assert!(lab.warns(&evaluate).contains(too_good));
    lab.ok(&[&report[..], &["--reference", "truth"]].concat());
    let page = lab.read("report.html");
    assert!(page.contains(too_good));
    assert!(!page.contains("How good is a classifier that I can trust?"));
    let bench = [
        "bench",
        "liver",
        "--labels-of",
        "corrected",
        "--methods",
        "gce",
    ];
    let small = ["--seeds", "1", "--folds", "3", "--out", "bench"];
    assert!(lab.warns(&[&bench[..], &small].concat()).contains(too_good));
    assert!(
        lab.warns(&["split", "liver"])
            .contains("may be for test now")
    );
}

#[test]
fn truth_for_evaluation_never_reaches_training_audit_or_correction() {
    let results = |garbage: bool| {
        let lab = Lab::new();
        liver(&lab);
        if garbage {
            let path = "liver/reference/truth/classes.csv";
            let text = lab
                .read(path)
                .replace(",tumour,", ",fat,")
                .replace(",hepatocytes,", ",tumour,");
            lab.write(path, text);
        }
        lab.ok(&["audit", "liver", "--folds", "3"]);
        lab.ok(&["correct", "liver", "--threshold", "0.5"]);
        train(&lab, "run", "2");
        let mut files = tree(&lab.path("liver/labels"));
        files.extend(tree(&lab.path("liver/audits")));
        files.extend(tree(&lab.path("run")));
        files
    };
    let (honest, garbage) = (results(false), results(true));
    assert_eq!(honest.len(), garbage.len());
    for ((name, a), (other, b)) in honest.iter().zip(&garbage) {
        assert_eq!(name, other);
        assert!(a == b, "{} changed with the truth", name.display());
    }
}

#[test]
fn the_number_of_threads_changes_no_prediction() {
    let lab = Lab::new();
    liver(&lab);
    train(&lab, "one", "1");
    fs::remove_dir_all(lab.path("liver/embeddings")).unwrap();
    train(&lab, "two", "2");
    for file in ["predictions.csv", "model.safetensors", "metrics.jsonl"] {
        let (one, two) = (
            fs::read(lab.path("one").join(file)),
            fs::read(lab.path("two").join(file)),
        );
        assert!(
            one.unwrap() == two.unwrap(),
            "{file} depends on the number of threads"
        );
    }
}

#[test]
fn a_run_is_never_overwritten() {
    let lab = Lab::new();
    liver(&lab);
    train(&lab, "run", "2");
    let before = tree(&lab.path("run"));
    let message = lab.fails(&[&TRAIN[..], &["--out", "run"]].concat());
    assert!(message.starts_with("exit 2"), "{message}");
    assert!(tree(&lab.path("run")) == before);
}

#[test]
fn killed_at_any_instant_nothing_half_written_is_seen() {
    let lab = Lab::new();
    lab.ok(&["simulate", "liver", "--cases", "6", "--patches", "12"]);
    let expected = {
        lab.ok(&["fuse", "liver"]);
        lab.ok(&["log", "liver"])
    };
    fs::remove_dir_all(lab.path("liver/labels/v2")).unwrap();
    let mut finished = 0;
    for delay in (0..40).map(Duration::from_millis) {
        let mut child = lab
            .command(&["fuse", "liver"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(delay);
        // It may have ended by itself.
        let _ = child.kill();
        child.wait().unwrap();
        if lab.path("liver/labels/v2").exists() {
            finished += 1;
            assert_eq!(lab.ok(&["log", "liver"]), expected);
            fs::remove_dir_all(lab.path("liver/labels/v2")).unwrap();
        }
        lab.ok(&["status", "liver"]);
    }
    lab.ok(&["fuse", "liver"]);
    assert_eq!(lab.ok(&["log", "liver"]), expected);
    assert!(
        finished < 40,
        "no kill came in time: the test shows nothing"
    );
}

#[test]
fn a_killed_bench_goes_on_to_the_same_result() {
    let bench = |lab: &Lab| {
        lab.command(&[
            "bench",
            "liver",
            "--labels-of",
            "annotator3",
            "--noise",
            "none,uniform:0.2",
            "--methods",
            "cross-entropy,gce",
            "--seeds",
            "2",
            "--folds",
            "3",
            "--out",
            "bench",
        ])
    };
    let whole = Lab::new();
    liver(&whole);
    assert!(bench(&whole).output().unwrap().status.success());
    let killed = Lab::new();
    liver(&killed);
    let mut child = bench(&killed)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // Killed as soon as the first cell is there.
    while child.try_wait().unwrap().is_none() {
        let cells = fs::read_dir(killed.path("bench/cells"));
        if cells.is_ok_and(|mut cells| {
            cells.any(|cell| {
                cell.unwrap()
                    .file_name()
                    .to_string_lossy()
                    .ends_with(".csv")
            })
        }) {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = child.kill();
    child.wait().unwrap();
    assert!(bench(&killed).output().unwrap().status.success());
    for file in ["bench/bench.json", "bench/report.html"] {
        assert!(whole.read(file) == killed.read(file), "{file} differs");
    }
}

#[test]
fn json_goes_to_standard_output_alone() {
    let lab = Lab::new();
    let output = lab.ok(&[
        "simulate",
        "liver",
        "--cases",
        "4",
        "--patches",
        "8",
        "--json",
    ]);
    serde_json::from_str::<serde_json::Value>(&output).unwrap();
    for arguments in [
        &["status", "liver"][..],
        &["log", "liver"],
        &["fuse", "liver"],
        &["diff", "liver", "v1"],
        &["embed", "liver"],
        &["audit", "liver", "--folds", "3"],
    ] {
        let output = lab.ok(&[arguments, &["--json"]].concat());
        serde_json::from_str::<serde_json::Value>(&output).unwrap();
    }
}

#[test]
fn early_stopping_watches_what_the_recipe_names() {
    let lab = Lab::new();
    liver(&lab);
    let recipe = |stopping: &str, more: &str| {
        let text = format!(
            "folds = 3\n{more}\n[train]\nlearning_rate = 0.03\n\
             early_stopping = {{ {stopping} = {{ patience = 3 }} }}\n"
        );
        lab.write("recipe.toml", text);
    };
    let train = |out: &str| {
        lab.warns(&["train", "liver", "--recipe", "recipe.toml", "--out", out]);
        let manifest: serde_json::Value =
            serde_json::from_str(&lab.read(&format!("{out}/manifest.json"))).unwrap();
        manifest["validation"].as_str().unwrap().to_owned()
    };
    recipe("noisy-validation", "");
    let watched = train("held-out");
    assert_eq!(
        watched,
        "a fifth of the training cases, with their given labels"
    );
    let lines = lab.read("held-out/metrics.jsonl");
    assert!(!lines.contains("\"validation_loss\":null"), "{lines}");
    let last = lines.lines().last().unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert!(
        last["epoch"].as_u64().unwrap() < 100,
        "it ran to the end: {last}"
    );

    lab.ok(&["split", "liver", "--validation", "0.25", "--test", "0.25"]);
    let watched = train("split");
    assert_eq!(
        watched,
        "24 images of the validation split with their given labels"
    );
    // 8 cases of 12 images, of which 2 cases chose when the training stopped.
    let judged = |prediction: &str| -> serde_json::Value {
        let judged = lab.ok(&["evaluate", "liver", prediction, "--json"]);
        serde_json::from_str(&judged).unwrap()
    };
    assert_eq!(judged("split")["images"], 72);
    assert_eq!(judged("split/predictions.csv")["images"], 96);

    recipe("clean-validation", "validation_reference = \"truth\"\n");
    let watched = train("clean");
    assert_eq!(
        watched,
        "24 images of the validation split with the clean labels of reference `truth`"
    );
    recipe("clean-validation", "");
    let refused = lab.fails(&["train", "liver", "--recipe", "recipe.toml", "--out", "none"]);
    assert!(
        refused.starts_with("exit 2") && refused.contains("validation_reference"),
        "{refused}"
    );
}

/// The kernel refuses to let any file grow beyond a few kilobytes, as a full disk does.
#[cfg(unix)]
#[test]
fn a_disk_that_is_full_loses_nothing_that_was_finished() {
    let lab = Lab::new();
    liver(&lab);
    lab.ok(&["audit", "liver", "--folds", "3"]);
    let before = tree(&lab.path("liver"));
    let binary = lab.command(&[]).get_program().to_owned();
    let limited = |arguments: &str| {
        // Blocks of 1024 bytes in bash; an ignored SIGXFSZ turns into an error of `write`.
        let script = format!("trap '' XFSZ; ulimit -f 2; exec \"$0\" {arguments}");
        std::process::Command::new("bash")
            .args(["-c", &script])
            .arg(&binary)
            .current_dir(lab.path(""))
            .env("SOURCE_DATE_EPOCH", "1767225600")
            .output()
            .unwrap()
    };
    for command in [
        "correct liver --threshold 0.5",
        "fuse liver --rule majority",
        "train liver --folds 3 --out run",
    ] {
        let output = limited(command);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{command}: {message}");
        assert!(message.contains("failed to write"), "{command}: {message}");
        assert!(
            tree(&lab.path("liver")) == before,
            "{command} left something behind"
        );
        assert!(!lab.path("run").exists());
    }
    lab.ok(&["correct", "liver", "--threshold", "0.5"]);
}
