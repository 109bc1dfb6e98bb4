//! What must hold of every fusion of masks.
#![allow(clippy::unwrap_used)]

use cleanslide_weak::fusion::masks::{
    MaskConsensus, MaskDawidSkene, MaskMajority, MaskTie, MultiLabelStaple, SmoothDawidSkene,
    Staple, VotePatterns, WeightedMaskMajority,
};
use ndarray::Array2;
use proptest::prelude::*;

const CLASSES: usize = 3;
const UNLABELLED: u8 = 255;

fn patterns(masks: &[Option<Array2<u8>>]) -> (VotePatterns, Array2<u32>) {
    let views: Vec<_> = masks.iter().map(|m| m.as_ref().map(|m| m.view())).collect();
    let mut patterns = VotePatterns::new(masks.len(), CLASSES).unwrap();
    let map = patterns.add(&views).unwrap();
    (patterns, map)
}

/// Masks of one image; the first is always there and has a vote.
fn masks() -> impl Strategy<Value = Vec<Option<Array2<u8>>>> {
    let class = prop_oneof![3 => 0..CLASSES as u8, 1 => Just(UNLABELLED)];
    (1_usize..5, 1_usize..8, 1_usize..8).prop_flat_map(move |(experts, height, width)| {
        let pixels = prop::collection::vec(class.clone(), height * width);
        let mask = pixels.prop_map(move |p| Array2::from_shape_vec((height, width), p).unwrap());
        prop::collection::vec(prop::option::weighted(0.8, mask), experts).prop_map(
            move |mut masks| {
                let first = masks[0].get_or_insert_with(|| Array2::zeros((height, width)));
                first[[0, 0]] = 1;
                masks
            },
        )
    })
}

fn rules(patterns: &VotePatterns) -> Vec<MaskConsensus> {
    let tie = MaskTie::LowestClass;
    vec![
        MaskMajority { tie }.fuse(patterns).unwrap(),
        WeightedMaskMajority::per_expert(&vec![0.5; patterns.experts()], CLASSES)
            .fuse(patterns)
            .unwrap(),
        MultiLabelStaple {
            tie,
            iterations: 50,
            ..Default::default()
        }
        .fuse(patterns)
        .unwrap(),
        MaskDawidSkene::default().fuse(patterns).unwrap(),
    ]
}

/// The rules that take turns, after a few turns. Experts who contradict each other evenly are a
/// saddle of the likelihood, which rounding leaves: the more turns, the further from it, and when
/// the likelihood is so flat, rounding also decides when to stop.
fn few_turns(patterns: &VotePatterns) -> Vec<MaskConsensus> {
    let iterations = 8;
    vec![
        MultiLabelStaple {
            tie: MaskTie::LowestClass,
            iterations,
            tolerance: 0.0,
        }
        .fuse(patterns)
        .unwrap(),
        MaskDawidSkene {
            iterations,
            tolerance: 0.0,
            ..Default::default()
        }
        .fuse(patterns)
        .unwrap(),
    ]
}

proptest! {
    #[test]
    fn probabilities_are_probabilities(masks in masks()) {
        let (patterns, map) = patterns(&masks);
        for consensus in rules(&patterns) {
            let mask = consensus.mask(map.view());
            for (&pattern, &label) in map.iter().zip(&mask) {
                let votes = patterns.votes(pattern as usize);
                let row = consensus.posterior.row(pattern as usize);
                if votes.iter().all(|&vote| vote == UNLABELLED) {
                    prop_assert_eq!(label, UNLABELLED);
                    prop_assert_eq!(row.sum(), 0.0);
                } else {
                    prop_assert!((row.sum() - 1.0).abs() < 1e-9 || row.sum() == 0.0);
                    prop_assert!(row.iter().all(|p| (0.0..=1.0).contains(p)));
                }
            }
        }
        let staple = Staple { iterations: 50, ..Default::default() }.fuse(&patterns).unwrap();
        for (pattern, p) in staple.foreground.iter().enumerate() {
            let voted = patterns.votes(pattern).iter().any(|&vote| vote != UNLABELLED);
            prop_assert_eq!(voted, (0.0..=1.0).contains(p));
        }
        let smooth = SmoothDawidSkene::default().fuse(&patterns, map.view()).unwrap();
        prop_assert!(smooth.posterior.iter().all(|p| (0.0..=1.0).contains(p)));
    }

    #[test]
    fn experts_who_agree_are_right(mask in masks()) {
        let Some(Some(first)) = mask.first() else { return Ok(()); };
        let (patterns, map) = patterns(&[Some(first.clone()), None, Some(first.clone())]);
        for consensus in rules(&patterns) {
            prop_assert_eq!(&consensus.mask(map.view()), first);
        }
    }

    #[test]
    fn the_order_of_experts_does_not_matter(masks in masks()) {
        let (plain, map) = patterns(&masks);
        let mut turned = masks.clone();
        turned.reverse();
        let (reversed, turned_map) = patterns(&turned);
        let fused = |patterns: &VotePatterns| {
            let mut all = rules(patterns);
            all.truncate(2);
            all.extend(few_turns(patterns));
            all
        };
        for (one, other) in fused(&plain).into_iter().zip(fused(&reversed)) {
            for class in 0..CLASSES {
                let one = one.probability(map.view(), class);
                let other = other.probability(turned_map.view(), class);
                for (one, other) in one.iter().zip(&other) {
                    prop_assert!((one - other).abs() < 1e-6 || (one.is_nan() && other.is_nan()));
                }
            }
        }
    }

    #[test]
    fn a_twin_image_changes_nothing(masks in masks()) {
        let (mut patterns, map) = patterns(&masks);
        let once = rules(&patterns);
        let views: Vec<_> = masks.iter().map(|m| m.as_ref().map(|m| m.view())).collect();
        prop_assert_eq!(&patterns.add(&views).unwrap(), &map);
        // Counts are doubled exactly. Not for Dawid–Skene, whose floor under counts is fixed.
        for (once, twice) in once.iter().zip(rules(&patterns)).take(3) {
            prop_assert_eq!(&once.posterior, &twice.posterior);
        }
    }
}

#[test]
fn threads_do_not_matter() {
    // More pixels than one band.
    let masks: Vec<_> = (0..3_usize)
        .map(|expert| {
            Some(Array2::from_shape_fn((400, 300), |(y, x)| {
                match (x * 7 + y * 13 + expert * 5) % 97 {
                    0 => UNLABELLED,
                    n if n < 10 + expert => 1,
                    _ => ((x / 40 + y / 50) % CLASSES) as u8,
                }
            }))
        })
        .collect();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let (patterns, map) = patterns(&masks);
            let smooth = SmoothDawidSkene::default()
                .fuse(&patterns, map.view())
                .unwrap();
            (rules(&patterns), map, smooth)
        })
    };
    let one = run(1);
    for threads in [2, 5] {
        // Experts without reliability would be NaN, which is never equal.
        let other = run(threads);
        assert!(one == other, "{threads} threads");
    }
}
