//! Which method to learn with, by the noisy labels alone.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::{Lab, clean_liver, tree};
use serde_json::Value;

/// Simulated tissue whose labels are right, and the same of which four in ten are wrong, as `noisy`.
fn liver(lab: &Lab) {
    clean_liver(lab, "12", "16");
    lab.ok(&[
        "inject",
        "uniform",
        "liver",
        "--rate",
        "0.4",
        "--reference",
        "kept",
    ]);
}

const ADVISE: [&str; 8] = [
    "advise",
    "liver",
    "--methods",
    "elr,wann,focal",
    "--repeats",
    "2",
    "--folds",
    "4",
];

fn advise(lab: &Lab, more: &[&str]) -> Value {
    let printed = lab.ok(&[&ADVISE[..], more, &["--json"]].concat());
    serde_json::from_str(&printed).unwrap()
}

fn recommended(advice: &Value) -> &str {
    let place = advice["recommended"].as_u64().unwrap() as usize;
    advice["methods"][place]["method"]["name"].as_str().unwrap()
}

#[test]
fn plain_training_for_right_labels_and_a_robust_method_for_wrong_ones() {
    let lab = Lab::new();
    liver(&lab);
    let clean = advise(&lab, &["--labels", "v1"]);
    assert_eq!(recommended(&clean), "cross-entropy", "{clean:#}");
    let noisy = advise(&lab, &["--out", "advice"]);
    assert_eq!(recommended(&noisy), "elr", "{noisy:#}");
    let gain = &noisy["methods"][1]["gain"];
    assert!(gain["low"].as_f64().unwrap() > 0.0, "{gain}");
    assert!(noisy["noise"]["rate"]["value"].as_f64() > clean["noise"]["rate"]["value"].as_f64());

    let printed = noisy["next"].as_str().unwrap();
    assert_eq!(
        printed,
        "cleanslide train liver --recipe advice/recipe.toml --out runs/elr"
    );
    let words: Vec<&str> = printed.split(' ').skip(1).collect();
    lab.ok(&words);
    assert!(lab.read("runs/elr/config.toml").contains("name = \"elr\""));
    let page = lab.read("advice/report.html");
    for shown in [
        "Difference to plain training",
        "Advice: use elr",
        "noisy labels",
    ] {
        assert!(page.contains(shown), "{shown}");
    }
}

#[test]
fn people_read_a_table_and_a_sentence() {
    let lab = Lab::new();
    liver(&lab);
    let text = lab.ok(&ADVISE);
    for line in [
        "192 images of 12 cases, labels of noisy (v2)",
        "noise  up to ",
        "kind   ",
        "4 folds by case, against the given labels",
        "  elr ←",
        "advice  use elr: +",
        "next    cleanslide train liver --labels v2 --source noisy --folds 4 --method elr --out runs/elr",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn no_reference_is_read_and_the_same_labels_give_the_same_bytes() {
    let results = |garbage: bool| {
        let lab = Lab::new();
        liver(&lab);
        if garbage {
            for reference in ["truth", "kept"] {
                lab.write(
                    &format!("liver/reference/{reference}/classes.csv"),
                    "garbage\n",
                );
            }
        }
        lab.ok(&[&ADVISE[..], &["--out", "advice"]].concat());
        tree(&lab.path("advice"))
    };
    let (honest, garbage) = (results(false), results(true));
    let names: Vec<_> = honest
        .iter()
        .map(|(name, _)| name.to_str().unwrap())
        .collect();
    assert_eq!(names, ["advice.json", "recipe.toml", "report.html"]);
    assert!(honest == garbage);
}

#[test]
fn what_cannot_be_advised_is_told() {
    let lab = Lab::new();
    let mut table = String::from("image,case,ann,ben,carla\n");
    for number in 0..12u8 {
        lab.picture(&format!("patches/{number}.png"), number * 20);
        let ben = if number == 3 { "tumour" } else { "normal" };
        let carla = if number % 2 == 0 { "tumour" } else { "normal" };
        table.push_str(&format!(
            "patches/{number}.png,P{},normal,{ben},{carla}\n",
            number / 3
        ));
    }
    lab.write("votes.csv", table);
    lab.ok(&["import", "votes", "votes.csv", "liver"]);
    let refused = |arguments: &[&str], code: &str, said: &[&str]| {
        let message = lab.fails(&[&["advise", "liver"], arguments].concat());
        assert!(message.starts_with(code), "{message}");
        for said in said {
            assert!(message.contains(said), "{said}: {message}");
        }
    };
    refused(
        &["--source", "ann"],
        "exit 3",
        &[
            "all 12 labels of `ann` are `normal`",
            "help: A method is chosen",
        ],
    );
    refused(
        &["--source", "ben"],
        "exit 3",
        &[
            "gives `tumour` in one case alone",
            "help: Label images of more cases",
        ],
    );
    refused(&["--source", "carla"], "exit 3", &["5 folds", "4"]);
    refused(
        &["--source", "dora"],
        "exit 2",
        &["dora", "ann, ben, carla"],
    );
    refused(
        &["--methods", "elf"],
        "exit 2",
        &["no method `elf`", "Did you mean `elr`?"],
    );
    refused(
        &["--methods", "cross-entropy"],
        "exit 2",
        &["nothing to choose from"],
    );
    lab.write("recipe.toml", "validation_reference = \"truth\"\n");
    refused(
        &["--recipe", "recipe.toml"],
        "exit 2",
        &["`advise` reads no reference"],
    );
    lab.write("taken/file", "");
    refused(&["--out", "taken"], "exit 2", &["taken exists already"]);
}
