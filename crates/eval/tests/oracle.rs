//! Every metric against scikit-learn, statsmodels, scipy, krippendorff and irrCAC
//! (`oracles/eval_metrics.py`).
//!
//! Tolerance: all references compute in f64. Sums of at most 200 terms of order 1 differ by at
//! most a few hundred units in the last place (2e-16 each) when the order of summation differs,
//! hence 1e-12; where something else limits the agreement, the test says what.

// Helpers of tests are not seen as tests by clippy.
#![allow(clippy::unwrap_used)]

use cleanslide_eval::{
    Bins, Bootstrap, Calibration, ConfusionMatrix, Error, Groups, IntervalMethod, KappaWeights,
    LabelPairs, MeasurementLevel, OneVsRest, Ranking, Weights, ZeroDivision, bca_interval,
    fleiss_kappa, fleiss_kappa_with_gaps, krippendorff_alpha, midranks, most_probable,
    percentile_interval, wilson_interval,
};
use ndarray::{Array2, array};
use serde_json::Value;

const TOLERANCE: f64 = 1e-12;

fn goldens(family: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("goldens/metrics.json")).unwrap();
    let cases = all[family].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn classes(value: &Value) -> Vec<usize> {
    numbers(value)
        .into_iter()
        .map(|class| class as usize)
        .collect()
}

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

fn with_weights<T>(case: &Value, test: impl FnOnce(Weights<'_>) -> T) -> T {
    match &case["weights"] {
        Value::Null => test(Weights::Equal),
        weights => test(Weights::Real(&numbers(weights))),
    }
}

#[track_caller]
fn close(ours: f64, theirs: &Value, tolerance: f64) {
    let theirs = number(theirs);
    assert!((ours - theirs).abs() <= tolerance, "{ours} is not {theirs}");
}

#[track_caller]
fn all_close(ours: &[Option<f64>], theirs: &Value) {
    let theirs = theirs.as_array().unwrap();
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        match ours {
            Some(ours) => close(*ours, theirs, TOLERANCE),
            None => assert!(theirs.is_null(), "ours is undefined, theirs {theirs}"),
        }
    }
}

fn confusion(case: &Value) -> ConfusionMatrix {
    let (truth, predicted) = (classes(&case["truth"]), classes(&case["predicted"]));
    let count = case["classes"].as_u64().unwrap() as usize;
    let labels = LabelPairs::new(&truth, &predicted, count).unwrap();
    with_weights(case, |weights| labels.confusion(weights)).unwrap()
}

#[test]
fn metrics_of_hard_labels_equal_scikit_learn() {
    for case in goldens("hard") {
        let ours = confusion(&case);
        let difference = &ours.counts() - &matrix(&case["confusion"]);
        assert!(difference.iter().all(|d| d.abs() <= TOLERANCE));
        close(ours.accuracy().unwrap(), &case["accuracy"], TOLERANCE);
        close(
            ours.balanced_accuracy().unwrap(),
            &case["balanced_accuracy"],
            TOLERANCE,
        );
        all_close(&ours.sensitivity(), &case["sensitivity"]);
        all_close(&ours.precision(), &case["precision"]);
        all_close(&ours.specificity(), &case["specificity"]);
        all_close(&ours.f1(), &case["f1"]);
        for (rule, name) in [
            (ZeroDivision::Skip, "f1_macro_skip"),
            (ZeroDivision::Zero, "f1_macro_zero"),
            (ZeroDivision::One, "f1_macro_one"),
        ] {
            close(ours.macro_f1(rule).unwrap(), &case[name], TOLERANCE);
        }
        close(ours.weighted_f1().unwrap(), &case["f1_weighted"], TOLERANCE);
    }
}

#[test]
fn cohen_kappa_equals_statsmodels() {
    for case in goldens("hard") {
        for (weights, name) in [
            (KappaWeights::Unweighted, "unweighted"),
            (KappaWeights::Linear, "linear"),
            (KappaWeights::Quadratic, "quadratic"),
        ] {
            let ours = confusion(&case).cohen_kappa(weights).unwrap();
            let theirs = &case["kappa"][name];
            close(ours.kappa, &theirs["kappa"], TOLERANCE);
            close(ours.standard_error, &theirs["standard_error"], TOLERANCE);
            close(
                ours.standard_error_if_zero,
                &theirs["standard_error_if_zero"],
                TOLERANCE,
            );
            let interval = ours.interval(0.95).unwrap();
            close(interval.low, &theirs["low"], TOLERANCE);
            close(interval.high, &theirs["high"], TOLERANCE);
            close(ours.p_value(), &theirs["p_value"], TOLERANCE);
        }
    }
}

/// Tables and numbers of statsmodels' own tests, computed with SAS and R to the digits shown.
#[test]
fn kappas_equal_published_numbers() {
    let table = ConfusionMatrix::new(array![[0., 4., 1.], [0., 8., 0.], [0., 1., 5.]]).unwrap();
    let simple = table.cohen_kappa(KappaWeights::Unweighted).unwrap();
    assert_eq!(
        format!("{:.4} {:.4}", simple.kappa, simple.standard_error),
        "0.4842 0.1380"
    );
    let weighted = table.cohen_kappa(KappaWeights::Linear).unwrap();
    assert_eq!(
        format!("{:.4} {:.4}", weighted.kappa, weighted.standard_error),
        "0.4701 0.1457"
    );
    let ratings: Array2<u32> = array![
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7]
    ];
    let fleiss = fleiss_kappa(ratings.view(), Weights::Equal).unwrap();
    assert_eq!(format!("{fleiss:.3}"), "0.210");
}

#[test]
fn agreement_of_many_raters_equals_the_references() {
    for case in goldens("ratings") {
        let ratings = matrix(&case["ratings"]).mapv(|count| count as u32);
        let ours = fleiss_kappa(ratings.view(), Weights::Equal);
        match case.get("fleiss") {
            Some(theirs) => close(ours.unwrap(), theirs, TOLERANCE),
            None => assert!(matches!(ours, Err(Error::UnequalRatings { .. }))),
        }
        let ours = fleiss_kappa_with_gaps(ratings.view(), Weights::Equal).unwrap();
        close(ours, &case["fleiss_with_gaps"], TOLERANCE);
        for (level, name) in [
            (MeasurementLevel::Nominal, "nominal"),
            (MeasurementLevel::Ordinal, "ordinal"),
            (MeasurementLevel::Interval, "interval"),
        ] {
            let ours = krippendorff_alpha(ratings.view(), level, Weights::Equal).unwrap();
            close(ours, &case[name], TOLERANCE);
        }
    }
}

#[test]
fn rankings_equal_scikit_learn() {
    for case in goldens("binary") {
        let positive: Vec<bool> = case["positive"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p.as_bool().unwrap())
            .collect();
        let scores = numbers(&case["score"]);
        let ranking = Ranking::new(&positive, &scores).unwrap();
        with_weights(&case, |weights| {
            close(ranking.auroc(weights).unwrap(), &case["auroc"], TOLERANCE);
            let ours = ranking.average_precision(weights).unwrap();
            close(ours, &case["average_precision"], TOLERANCE);
        });
        assert_eq!(midranks(&scores).unwrap(), numbers(&case["midranks"]));
    }
}

#[test]
fn metrics_of_probabilities_equal_scikit_learn() {
    for case in goldens("probability") {
        let truth = classes(&case["truth"]);
        // Written as exact f32 values, so the conversion loses nothing.
        let probabilities = matrix(&case["probabilities"]).mapv(|p| p as f32);
        let rest = OneVsRest::new(&truth, probabilities.view()).unwrap();
        let calibration = Calibration::new(&truth, probabilities.view()).unwrap();
        assert_eq!(
            most_probable(probabilities.view()).unwrap(),
            classes(&case["most_probable"])
        );
        with_weights(&case, |weights| {
            all_close(
                &rest.auroc_per_class(weights).unwrap(),
                &case["auroc_per_class"],
            );
            let ours = rest.average_precision_per_class(weights).unwrap();
            all_close(&ours, &case["average_precision_per_class"]);
            close(
                rest.macro_auroc(weights).unwrap(),
                &case["macro_auroc"],
                TOLERANCE,
            );
            let ours = rest.macro_average_precision(weights).unwrap();
            close(ours, &case["macro_average_precision"], TOLERANCE);
            // scikit-learn keeps f32 probabilities in f32 here: 6e-8 relative for each term.
            close(calibration.brier(weights).unwrap(), &case["brier"], 1e-6);
            let ours = calibration.negative_log_likelihood(weights).unwrap();
            close(ours, &case["negative_log_likelihood"], 1e-6);
        });
    }
}

#[test]
fn reliability_equals_scikit_learn() {
    let mut compared = 0;
    for case in goldens("probability")
        .iter()
        .filter(|case| case["weights"].is_null())
    {
        let probabilities = matrix(&case["probabilities"]).mapv(|p| p as f32);
        let calibration = Calibration::new(&classes(&case["truth"]), probabilities.view()).unwrap();
        let diagram = |bins| calibration.reliability(bins, Weights::Equal).unwrap();
        let bins_equal = |bins, theirs: &Value| {
            let filled = diagram(bins)
                .bins
                .into_iter()
                .filter(|bin| bin.weight > 0.0);
            let (accuracy, confidence): (Vec<_>, Vec<_>) =
                filled.map(|bin| (bin.accuracy, bin.confidence)).unzip();
            all_close(&accuracy, &theirs["accuracy"]);
            all_close(&confidence, &theirs["confidence"]);
        };
        let equal_width = diagram(Bins::EqualWidth(10));
        bins_equal(Bins::EqualWidth(10), &case["reliability"]["equal_width"]);
        close(
            equal_width.expected_calibration_error(),
            &case["expected_calibration_error"],
            TOLERANCE,
        );
        close(
            equal_width.maximum_calibration_error(),
            &case["maximum_calibration_error"],
            TOLERANCE,
        );
        // Ties are divided by another rule there, so bins of equal mass are compared without.
        if let Some(theirs) = case.get("expected_calibration_error_equal_mass") {
            bins_equal(Bins::EqualMass(10), &case["reliability"]["equal_mass"]);
            let ours = diagram(Bins::EqualMass(10)).expected_calibration_error();
            close(ours, theirs, TOLERANCE);
            compared += 1;
        }
    }
    assert_eq!(compared, 2);
}

#[test]
fn wilson_interval_equals_statsmodels() {
    for case in goldens("proportion") {
        let [successes, trials, level] =
            ["successes", "trials", "level"].map(|name| number(&case[name]));
        let ours = wilson_interval(successes, trials, level).unwrap();
        close(ours.low, &case["low"], TOLERANCE);
        close(ours.high, &case["high"], TOLERANCE);
    }
}

/// Scipy's own replicates, so that only the interval is compared.
#[test]
fn bootstrap_intervals_of_given_replicates_equal_scipy() {
    for case in goldens("interval") {
        let (replicates, level) = (numbers(&case["replicates"]), number(&case["level"]));
        let ours = match case["method"].as_str().unwrap() {
            "percentile" => percentile_interval(&replicates, level),
            _ => {
                let jackknife = numbers(&case["jackknife"]);
                bca_interval(number(&case["value"]), &replicates, &jackknife, level)
            }
        };
        let ours = ours.unwrap();
        // The position among replicates inherits the error of two normal quantiles, some 1e-14,
        // times 999; neighbouring replicates are less than 1 apart.
        close(ours.low, &case["low"], 1e-10);
        close(ours.high, &case["high"], 1e-10);
    }
}

/// From data to interval, with our random numbers.
#[test]
fn whole_bootstrap_agrees_with_scipy() {
    for case in goldens("whole_interval") {
        let data = numbers(&case["data"]);
        let method = match case["method"].as_str().unwrap() {
            "percentile" => IntervalMethod::Percentile,
            _ => IntervalMethod::Bca,
        };
        let level = number(&case["level"]);
        let bootstrap = Bootstrap {
            replicates: 100_000,
            level,
            method,
            seed: 3,
            ..Bootstrap::default()
        };
        let ours = bootstrap
            .estimate(&Groups::single_items(data.len()).unwrap(), |weights| {
                let Weights::Counts(counts) = weights else {
                    panic!("the bootstrap counts")
                };
                let sum: f64 = counts
                    .iter()
                    .zip(&data)
                    .map(|(&n, x)| f64::from(n) * x)
                    .sum();
                Ok(sum / data.len() as f64)
            })
            .unwrap();
        // A 5 % quantile of 100,000 replicates has the standard error
        // √(0.05 · 0.95 / 100,000) / φ(1.645) = 0.0067 standard errors of the statistic; the
        // difference of two of them √2 times that. Four such are allowed.
        let tolerance = 4.0 * 2f64.sqrt() * 0.0067 * number(&case["standard_error"]);
        close(ours.low, &case["low"], tolerance);
        close(ours.high, &case["high"], tolerance);
    }
}
