//! What must hold for any input.

// Helpers of tests are not seen as tests by clippy.
#![allow(clippy::unwrap_used)]

use cleanslide_eval::{
    Bins, Bootstrap, Calibration, Error, Groups, IntervalMethod, KappaWeights, LabelPairs,
    MeasurementLevel, OneVsRest, Ranking, Weights, ZeroDivision, fleiss_kappa_with_gaps,
    krippendorff_alpha, wilson_interval,
};
use ndarray::Array2;
use proptest::prelude::*;

const CLASSES: usize = 4;

/// Sums of a few dozen terms of order 1 in another order.
const SUMMATION: f64 = 1e-12;

/// Truth, prediction, score (with ties), multiplicity, group.
type Item = (usize, usize, i8, u32, usize);

fn items() -> impl Strategy<Value = Vec<Item>> {
    prop::collection::vec((0..CLASSES, 0..CLASSES, -6i8..6, 0u32..4, 0usize..8), 1..60)
}

fn column<T>(items: &[Item], field: impl Fn(&Item) -> T) -> Vec<T> {
    items.iter().map(field).collect()
}

fn ranking(items: &[Item], score: impl Fn(f64) -> f64) -> Ranking {
    let positive = column(items, |item| item.0 == 0);
    Ranking::new(&positive, &column(items, |item| score(f64::from(item.2)))).unwrap()
}

/// Every scalar metric, by name. Probabilities are made from the score and the prediction.
fn all_metrics(items: &[Item], weights: Weights<'_>) -> Vec<(&'static str, Result<f64, Error>)> {
    let truth = column(items, |item| item.0);
    let labels = LabelPairs::new(&truth, &column(items, |item| item.1), CLASSES).unwrap();
    let ranking = ranking(items, |score| score);
    let probabilities = Array2::from_shape_fn((items.len(), CLASSES), |(i, k)| {
        let peak = 0.25 + 0.05 * (f32::from(items[i].2) + 6.0);
        if k == items[i].1 {
            peak
        } else {
            (1.0 - peak) / 3.0
        }
    });
    let rest = OneVsRest::new(&truth, probabilities.view())
        .unwrap()
        .present_classes_only();
    let calibration = Calibration::new(&truth, probabilities.view()).unwrap();
    let ratings = Array2::from_shape_fn((items.len(), CLASSES), |(i, k)| {
        u32::from(items[i].0 == k) + u32::from(items[i].1 == k)
    });
    let confusion = labels.confusion(weights).unwrap();
    let error = |bins| {
        calibration
            .reliability(bins, weights)
            .map(|diagram| diagram.expected_calibration_error())
    };
    vec![
        ("accuracy", confusion.accuracy()),
        ("balanced accuracy", confusion.balanced_accuracy()),
        ("macro f1", confusion.macro_f1(ZeroDivision::Skip)),
        ("weighted f1", confusion.weighted_f1()),
        (
            "kappa",
            confusion
                .cohen_kappa(KappaWeights::Unweighted)
                .map(|kappa| kappa.kappa),
        ),
        (
            "quadratic kappa",
            confusion
                .cohen_kappa(KappaWeights::Quadratic)
                .map(|k| k.kappa),
        ),
        ("auroc", ranking.auroc(weights)),
        ("average precision", ranking.average_precision(weights)),
        ("prevalence", ranking.prevalence(weights)),
        ("precision at 3", ranking.precision_at(3, weights)),
        ("recall at 3", ranking.recall_at(3, weights)),
        ("macro auroc", rest.macro_auroc(weights)),
        (
            "macro average precision",
            rest.macro_average_precision(weights),
        ),
        ("brier", calibration.brier(weights)),
        ("log loss", calibration.negative_log_likelihood(weights)),
        ("ece, equal width", error(Bins::EqualWidth(5))),
        ("ece, equal mass", error(Bins::EqualMass(3))),
        ("fleiss", fleiss_kappa_with_gaps(ratings.view(), weights)),
        (
            "alpha",
            krippendorff_alpha(ratings.view(), MeasurementLevel::Ordinal, weights),
        ),
    ]
}

fn same(
    first: &[(&str, Result<f64, Error>)],
    second: &[(&str, Result<f64, Error>)],
    except: &[&str],
) -> Result<(), TestCaseError> {
    for ((name, first), (_, second)) in first.iter().zip(second) {
        match (first, second) {
            _ if except.contains(name) => {}
            (Ok(first), Ok(second)) => {
                prop_assert!(
                    (first - second).abs() < SUMMATION,
                    "{name}: {first} {second}"
                );
            }
            (first, second) => prop_assert_eq!(first, second, "{}", name),
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn order_of_items_is_irrelevant(
        (items, shuffled) in items().prop_flat_map(|items| {
            (Just(items.clone()), Just(items).prop_shuffle())
        })
    ) {
        let first = all_metrics(&items, Weights::Counts(&column(&items, |item| item.3)));
        let second = all_metrics(&shuffled, Weights::Counts(&column(&shuffled, |item| item.3)));
        same(&first, &second, &[])?;
    }

    /// The bootstrap rests on this: weight n is n copies, and weight 0 is absence.
    #[test]
    fn multiplicity_is_repetition(items in items()) {
        let counts = column(&items, |item| item.3);
        let copies: Vec<Item> =
            items.iter().flat_map(|&item| vec![item; item.3 as usize]).collect();
        prop_assume!(!copies.is_empty());
        let weighted = all_metrics(&items, Weights::Counts(&counts));
        let repeated = all_metrics(&copies, Weights::Equal);
        // With a class of weight 0, the macro averages stay averages over the classes of the
        // complete data (undefined), whereas copies of the others know nothing of that class.
        let lost = items.iter().any(|item| copies.iter().all(|copy| copy.0 != item.0));
        same(&weighted, &repeated, if lost {
            &["macro auroc", "macro average precision"]
        } else {
            &[]
        })?;
        let real = counts.iter().map(|&n| f64::from(n)).collect::<Vec<_>>();
        prop_assert_eq!(weighted, all_metrics(&items, Weights::Real(&real)));
    }

    #[test]
    fn metrics_stay_in_their_range(items in items()) {
        for (name, value) in all_metrics(&items, Weights::Equal) {
            let Ok(value) = value else { continue };
            let (low, high) = match name {
                "kappa" | "quadratic kappa" | "fleiss" | "alpha" => (-1.0, 1.0),
                "brier" => (0.0, 2.0),
                "log loss" => (0.0, 16.0),
                _ => (0.0, 1.0),
            };
            prop_assert!((low - SUMMATION..=high + SUMMATION).contains(&value), "{name} {value}");
        }
    }

    #[test]
    fn rankings_depend_on_order_only(items in items()) {
        let (plain, transformed) =
            (ranking(&items, |score| score), ranking(&items, |score| (score / 3.0).exp() - 7.0));
        prop_assert_eq!(plain.auroc(Weights::Equal), transformed.auroc(Weights::Equal));
        prop_assert_eq!(
            plain.average_precision(Weights::Equal),
            transformed.average_precision(Weights::Equal)
        );
    }

    #[test]
    fn reversing_the_score_mirrors_the_auroc(items in items()) {
        let (plain, reversed) = (ranking(&items, |score| score), ranking(&items, |score| -score));
        if let (Ok(plain), Ok(reversed)) =
            (plain.auroc(Weights::Equal), reversed.auroc(Weights::Equal))
        {
            prop_assert!((plain + reversed - 1.0).abs() < SUMMATION);
        }
    }

    #[test]
    fn auroc_is_the_share_of_ordered_pairs(items in items()) {
        let mut pairs = (0.0, 0.0);
        for positive in items.iter().filter(|item| item.0 == 0) {
            for negative in items.iter().filter(|item| item.0 != 0) {
                pairs.1 += 1.0;
                pairs.0 += match positive.2.cmp(&negative.2) {
                    std::cmp::Ordering::Greater => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Less => 0.0,
                };
            }
        }
        match ranking(&items, |score| score).auroc(Weights::Equal) {
            Ok(auroc) => prop_assert_eq!(auroc, pairs.0 / pairs.1),
            Err(_) => prop_assert_eq!(pairs.1, 0.0),
        }
    }

    #[test]
    fn perfect_agreement_has_kappa_one(truth in prop::collection::vec(0..CLASSES, 1..60)) {
        let confusion = LabelPairs::new(&truth, &truth, CLASSES)
            .unwrap()
            .confusion(Weights::Equal)
            .unwrap();
        for weights in [KappaWeights::Unweighted, KappaWeights::Linear, KappaWeights::Quadratic] {
            match confusion.cohen_kappa(weights) {
                Ok(kappa) => prop_assert!((kappa.kappa - 1.0).abs() < SUMMATION),
                Err(_) => prop_assert!(truth.iter().all(|&class| class == truth[0])),
            }
        }
    }

    #[test]
    fn merging_confusions_is_pooling_items(items in items(), cut in 0usize..60) {
        let cut = cut.min(items.len() - 1).max(1).min(items.len());
        let confusion = |items: &[Item]| {
            LabelPairs::new(&column(items, |item| item.0), &column(items, |item| item.1), CLASSES)
                .and_then(|labels| labels.confusion(Weights::Equal))
        };
        let mut merged = confusion(&items[..cut]).unwrap();
        if cut < items.len() {
            merged.merge(&confusion(&items[cut..]).unwrap()).unwrap();
        }
        prop_assert_eq!(merged, confusion(&items).unwrap());
    }

    #[test]
    fn wilson_interval_contains_the_proportion(trials in 1u32..5000, share in 0.0..=1.0f64) {
        let successes = (f64::from(trials) * share).floor();
        let interval = wilson_interval(successes, f64::from(trials), 0.95).unwrap();
        let proportion = successes / f64::from(trials);
        prop_assert!(0.0 <= interval.low && interval.high <= 1.0);
        prop_assert!(interval.low <= proportion + 1e-15 && proportion - 1e-15 <= interval.high);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Bytes, because equal numbers are not enough: a printed table must not change either.
    #[test]
    fn intervals_do_not_depend_on_threads_or_order(
        (items, shuffled) in items().prop_flat_map(|items| {
            (Just(items.clone()), Just(items).prop_shuffle())
        }),
        seed: u64,
    ) {
        let groups = Groups::new(&column(&items, |item| item.4)).unwrap();
        prop_assume!(groups.count() > 1);
        let run = |threads, items: &[Item], method| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let truth = column(items, |item| item.0);
            let predicted = column(items, |item| item.1);
            let other = column(items, |item| (item.1 + usize::from(item.2 > 0)) % CLASSES);
            let labels = LabelPairs::new(&truth, &predicted, CLASSES).unwrap();
            let both = LabelPairs::new(
                &[truth.as_slice(), &truth].concat(),
                &[predicted, other].concat(),
                CLASSES,
            )
            .unwrap();
            let groups = Groups::new(&column(items, |item| item.4)).unwrap();
            let bootstrap = Bootstrap { replicates: 200, seed, method, ..Bootstrap::default() };
            pool.install(|| {
                let estimate = bootstrap
                    .estimate(&groups, |weights| labels.confusion(weights)?.balanced_accuracy())
                    .map_err(|error| error.to_string());
                let comparison = bootstrap
                    .compare(&groups, |weights| both.confusion(weights)?.balanced_accuracy())
                    .map_err(|error| error.to_string());
                serde_json::to_string(&(estimate, comparison)).unwrap()
            })
        };
        for method in [IntervalMethod::Percentile, IntervalMethod::Bca] {
            let one = run(1, &items, method);
            prop_assert_eq!(&one, &run(2, &items, method));
            prop_assert_eq!(&one, &run(3, &shuffled, method));
        }
    }
}
