//! What must hold for every fusion rule, on any votes: posteriors are probabilities, silence stays
//! unlabelled and without influence, names of annotators, items and classes do not matter, and
//! neither does the number of threads.
#![allow(clippy::unwrap_used)]

use cleanslide_data::Votes;
use cleanslide_weak::fusion::{Consensus, DawidSkene, Glad, Mace, Majority, OneCoin};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Triplets = Vec<(usize, usize, usize)>;

const ITEMS: usize = 12;
const ANNOTATORS: usize = 5;
const CLASSES: usize = 4;

/// At least one vote, with holes of every kind.
fn triplets() -> impl Strategy<Value = Triplets> {
    prop::collection::vec(prop::option::weighted(0.4, 0..CLASSES), ITEMS * ANNOTATORS)
        .prop_filter("no votes", |cells| cells.iter().any(Option::is_some))
        .prop_map(|cells| {
            let votes = cells.iter().enumerate();
            votes
                .filter_map(|(i, cell)| cell.map(|class| (i / ANNOTATORS, i % ANNOTATORS, class)))
                .collect()
        })
}

fn fuse_all(votes: &Votes) -> Vec<(&'static str, Consensus)> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    vec![
        ("majority", Majority::default().fuse(votes).unwrap()),
        ("dawid_skene", DawidSkene::default().fuse(votes).unwrap()),
        ("one_coin", OneCoin::default().fuse(votes).unwrap()),
        ("glad", Glad::default().fuse(votes).unwrap()),
        ("mace", Mace::default().fuse(votes, &mut rng).unwrap()),
    ]
}

fn build(triplets: &Triplets, items: usize, annotators: usize, classes: usize) -> Votes {
    Votes::from_triplets(items, annotators, classes, triplets).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn posteriors_are_probabilities_and_silence_is_none(triplets in triplets()) {
        let votes = build(&triplets, ITEMS, ANNOTATORS, CLASSES);
        for (name, consensus) in fuse_all(&votes) {
            for item in 0..ITEMS {
                let row = consensus.posterior.row(item);
                if votes.of(item).is_empty() {
                    prop_assert_eq!(consensus.label(item), None);
                    prop_assert!(row.iter().all(|&value| value == 0.0));
                } else {
                    let label = consensus.label(item).unwrap();
                    prop_assert!((row.sum() - 1.0).abs() < 1e-9, "{}", name);
                    prop_assert!(row.iter().all(|&value| (0.0..=1.0).contains(&value)));
                    prop_assert!(row.iter().all(|&value| value <= row[label]));
                }
            }
        }
    }

    #[test]
    fn items_annotators_and_classes_without_votes_change_nothing(triplets in triplets()) {
        let votes = build(&triplets, ITEMS, ANNOTATORS, CLASSES);
        let padded = build(&triplets, ITEMS + 3, ANNOTATORS, CLASSES + 2);
        for ((name, plain), (_, padded)) in fuse_all(&votes).iter().zip(fuse_all(&padded)) {
            // The tree of sums is another one, so equal to rounding only.
            for ((item, class), value) in plain.posterior.indexed_iter() {
                let other = padded.posterior[[item, class]];
                prop_assert!((value - other).abs() < 1e-9, "{}: {} {}", name, value, other);
            }
        }
    }

    #[test]
    fn renaming_classes_renames_the_result(triplets in triplets()) {
        // Not for MACE, whose random starts go by the index of the class.
        let turned: Triplets =
            triplets.iter().map(|&(i, a, class)| (i, a, (class + 1) % CLASSES)).collect();
        let plain = fuse_all(&build(&triplets, ITEMS, ANNOTATORS, CLASSES));
        let turned = fuse_all(&build(&turned, ITEMS, ANNOTATORS, CLASSES));
        for ((name, plain), (_, turned)) in plain.iter().zip(turned).take(4) {
            for ((item, class), value) in plain.posterior.indexed_iter() {
                let other = turned.posterior[[item, (class + 1) % CLASSES]];
                // Rounding decides at most when to stop, which moves less than the tolerance.
                prop_assert!((value - other).abs() < 1e-3, "{}: {} {}", name, value, other);
            }
        }
    }
}

#[test]
fn threads_do_not_matter() {
    // More items than one block, so that sums are merged.
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let triplets: Triplets = (0..5_000)
        .flat_map(|item| [(item, 0), (item, 1), (item, 2)])
        .map(|(item, annotator)| (item, annotator, rng.random_range(0..3)))
        .collect();
    let votes = build(&triplets, 5_000, 3, 3);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| fuse_all(&votes))
    };
    let one = with(1);
    for threads in [2, 3, 8] {
        assert!(one == with(threads), "{threads} threads");
    }
}
