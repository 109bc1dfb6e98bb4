//! Methods over kinds and rates of noise.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::{Lab, clean_liver};
use serde_json::Value;

fn liver(lab: &Lab) {
    clean_liver(lab, "10", "12");
}

fn bench(noise: &str, out: &str, more: &[&str]) -> Vec<String> {
    let flags = [
        "bench",
        "liver",
        "--labels-of",
        "reference:truth",
        "--methods",
        "cross-entropy,wann",
        "--seeds",
        "2",
        "--noise",
        noise,
        "--out",
        out,
    ];
    flags
        .iter()
        .chain(more)
        .map(|&flag| flag.to_owned())
        .collect()
}

fn run(lab: &Lab, flags: &[String]) -> Value {
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.push("--json");
    serde_json::from_str(&lab.ok(&flags)).unwrap()
}

#[test]
fn every_kind_of_noise_has_its_curve() {
    let lab = Lab::new();
    liver(&lab);
    let noises = "none,uniform:0.3,uniform:0.8,instance:0.3,instance:0.6,toward:tumour:0.3,toward:tumour:0.9,pair:0.4";
    let made = run(&lab, &bench(noises, "bench", &[]));
    let curves = made["robustness"].as_array().unwrap();
    let kinds: Vec<_> = curves
        .iter()
        .map(|curve| {
            (
                curve["noise"].as_str().unwrap(),
                curve["method"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = ["uniform", "instance", "toward:tumour"]
        .map(|noise| ["cross-entropy", "wann"].map(|method| (noise, method)));
    assert_eq!(kinds, expected.concat());
    for curve in curves {
        let rates = curve["balanced_accuracy"].as_array().unwrap();
        assert_eq!(rates.len(), 3);
        assert_eq!(rates[0][0].as_f64(), Some(0.0));
        let [start, end] = [0, 2].map(|at| rates[at][1]["value"].as_f64().unwrap());
        assert!(start > end, "{curve:#}");
        let skill = &curve["mean_skill"];
        let [value, low, high] = ["value", "low", "high"].map(|key| skill[key].as_f64().unwrap());
        assert!(low <= value && value <= high, "{curve:#}");
        let half = curve["half_lost_at"]["value"].as_f64().unwrap();
        assert!(
            half > 0.3 && half <= rates[2][0].as_f64().unwrap(),
            "{curve:#}"
        );
    }
    // The same seed makes the same noise for each method, and a bench goes on where it was.
    let again = run(&lab, &bench(noises, "bench", &[]));
    assert_eq!(made, again);
    let page = std::fs::read_to_string(lab.path("bench/report.html")).unwrap();
    assert!(page.contains("What noise costs") && page.contains("noise toward:tumour"));
}

#[test]
fn two_rates_have_a_curve_and_no_sum() {
    let lab = Lab::new();
    liver(&lab);
    let made = run(&lab, &bench("uniform:0.2,uniform:0.4", "bench", &[]));
    assert_eq!(made["robustness"], Value::Array(Vec::new()));
    let page = lab.read("bench/report.html");
    assert!(page.contains("over the share of added wrong labels, noise uniform"));
    assert!(!page.contains("What noise costs"));
}

#[test]
fn held_out_labels_are_noisy_or_clean_as_the_recipe_says() {
    let lab = Lab::new();
    liver(&lab);
    let stopping = |kind: &str| {
        let recipe = format!("[train.early_stopping.{kind}]\npatience = 5\n");
        std::fs::write(lab.path("recipe.toml"), recipe).unwrap();
        let made = run(
            &lab,
            &bench("uniform:0.6", kind, &["--recipe", "recipe.toml"]),
        );
        made["lines"][0]["balanced_accuracy"]["value"]
            .as_f64()
            .unwrap()
    };
    let (noisy, clean) = (stopping("noisy-validation"), stopping("clean-validation"));
    assert_ne!(noisy, clean);
}

#[test]
fn noise_that_cannot_be_is_refused() {
    let lab = Lab::new();
    liver(&lab);
    for (noise, told) in [
        ("toward:moon:0.2", "there is no class `moon`"),
        ("instance:1.2", "is not a noise"),
        ("sideways:0.2", "is not a noise"),
    ] {
        let flags = bench(noise, "bench", &[]);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let said = lab.fails(&flags);
        assert!(said.contains(told), "{said}");
    }
}
