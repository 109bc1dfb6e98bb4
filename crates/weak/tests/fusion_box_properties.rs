//! What must hold of every fusion of boxes.
#![allow(clippy::unwrap_used)]

use cleanslide_data::geometry::{Detection, Rectangle};
use cleanslide_weak::fusion::FusionError;
use cleanslide_weak::fusion::boxes::{
    Confidence, Decay, FusedDetection, Member, NonMaximumSuppression, NonMaximumWeighted, SoftNms,
    WeightedBoxesFusion,
};
use proptest::prelude::*;

fn detection(left: f64, top: f64, width: f64, height: f64, class: usize, score: f64) -> Detection {
    Detection {
        rectangle: Rectangle::new(left, top, left + width, top + height).unwrap(),
        class,
        score,
    }
}

/// Few corners and scores, so that equal ones are common; some boxes are very large.
fn views() -> impl Strategy<Value = Vec<Vec<Detection>>> {
    let size = prop_oneof![9 => 1..6, 1 => Just(500)];
    let detection = (-5..20, -5..20, size.clone(), size, 0..2_usize, 0..5).prop_map(
        |(left, top, width, height, class, score)| {
            let [left, top, width, height] = [left, top, width, height].map(f64::from);
            detection(left, top, width, height, class, f64::from(score) / 4.0)
        },
    );
    prop::collection::vec(prop::collection::vec(detection, 0..25), 0..5)
}

type Fuse = fn(&[Vec<Detection>]) -> Result<Vec<FusedDetection>, FusionError>;

const RULES: [Fuse; 5] = [
    |views| WeightedBoxesFusion::default().fuse(views),
    |views| {
        let confidence = Confidence::BoxAndModelAverage;
        WeightedBoxesFusion {
            confidence,
            overlap: 0.2,
            ..Default::default()
        }
        .fuse(views)
    },
    |views| NonMaximumWeighted::default().fuse(views),
    |views| NonMaximumSuppression::default().fuse(views),
    |views| {
        SoftNms {
            lowest_score: -1.0,
            ..Default::default()
        }
        .fuse(views)
    },
];

/// Suppression by definition, without a grid.
fn plain_suppression(views: &[Vec<Detection>], overlap: f64) -> Vec<Detection> {
    let mut boxes: Vec<Detection> = views.concat();
    boxes.sort_by(|one, other| {
        other
            .score
            .total_cmp(&one.score)
            .then(one.class.cmp(&other.class))
    });
    let mut kept: Vec<Detection> = Vec::new();
    for one in boxes {
        let beaten = |other: &Detection| {
            other.class == one.class && other.rectangle.iou(&one.rectangle) > overlap
        };
        if !kept.iter().any(beaten) {
            kept.push(one);
        }
    }
    kept
}

proptest! {
    #[test]
    fn every_box_supports_exactly_one(views in views()) {
        let mut all: Vec<Member> = Vec::new();
        for (view, boxes) in views.iter().enumerate() {
            all.extend((0..boxes.len()).map(|index| Member { view, index }));
        }
        for rule in RULES {
            let fused = rule(&views).unwrap();
            let mut members: Vec<Member> = fused.iter().flat_map(|f| f.members.clone()).collect();
            members.sort_unstable();
            prop_assert_eq!(&members, &all);
            for pair in fused.windows(2) {
                prop_assert!(pair[0].detection.score >= pair[1].detection.score);
            }
            for fused in fused {
                prop_assert!(fused.views() >= 1 && fused.views() <= views.len());
                let Rectangle { left, top, right, bottom } = fused.detection.rectangle;
                let boxes = fused.members.iter().map(|m| views[m.view][m.index]);
                prop_assert!(boxes.clone().all(|b| b.class == fused.detection.class));
                // Within the box around its members, but for rounding.
                let least = |side: fn(&Rectangle) -> f64| {
                    boxes.clone().map(|b| side(&b.rectangle)).fold(f64::INFINITY, f64::min)
                };
                prop_assert!(left >= least(|r| r.left) - 1e-9 && top >= least(|r| r.top) - 1e-9);
                prop_assert!(-right >= least(|r| -r.right) - 1e-9);
                prop_assert!(-bottom >= least(|r| -r.bottom) - 1e-9);
            }
        }
    }

    #[test]
    fn the_grid_misses_nothing(views in views(), overlap in 0.0..0.9) {
        let fused = NonMaximumSuppression { overlap }.fuse(&views).unwrap();
        let found: Vec<Detection> = fused.iter().map(|fused| fused.detection).collect();
        prop_assert_eq!(found, plain_suppression(&views, overlap));
    }

    #[test]
    fn suppressing_twice_changes_nothing(views in views()) {
        let rule = NonMaximumSuppression::default();
        let once = rule.fuse(&views).unwrap();
        let kept: Vec<Detection> = once.iter().map(|fused| fused.detection).collect();
        let twice = rule.fuse(&[&kept]).unwrap();
        prop_assert_eq!(kept, twice.iter().map(|fused| fused.detection).collect::<Vec<_>>());
    }

    #[test]
    fn scale_does_not_matter(views in views()) {
        // A power of two, so that nothing is rounded.
        let scaled: Vec<Vec<Detection>> = views
            .iter()
            .map(|boxes| {
                boxes
                    .iter()
                    .map(|b| {
                        let Rectangle { left, top, .. } = b.rectangle;
                        let (width, height) = (b.rectangle.width(), b.rectangle.height());
                        let [l, t, w, h] = [left, top, width, height].map(|v| v * 8.0);
                        detection(l, t, w, h, b.class, b.score)
                    })
                    .collect()
            })
            .collect();
        for rule in RULES {
            let (one, other) = (rule(&views).unwrap(), rule(&scaled).unwrap());
            prop_assert_eq!(one.len(), other.len());
            for (one, other) in one.iter().zip(&other) {
                prop_assert_eq!(&one.members, &other.members);
                prop_assert_eq!(one.detection.rectangle.left * 8.0, other.detection.rectangle.left);
                prop_assert_eq!(one.detection.score, other.detection.score);
            }
        }
    }
}

#[test]
fn views_that_agree_raise_the_score() {
    let one = detection(0.0, 0.0, 10.0, 10.0, 0, 0.8);
    let fuse = |views: &[Vec<Detection>]| WeightedBoxesFusion::default().fuse(views).unwrap();
    let alone = fuse(&[vec![one], vec![], vec![]]);
    assert!((alone[0].detection.score - 0.8 / 3.0).abs() < 1e-12);
    let all = fuse(&[vec![one], vec![one], vec![one]]);
    assert_eq!((all.len(), all[0].views()), (1, 3));
    assert!((all[0].detection.score - 0.8).abs() < 1e-12);
}

#[test]
fn boxes_without_a_score_stay() {
    let boxes = vec![
        detection(0.0, 0.0, 10.0, 10.0, 0, 0.0),
        detection(1.0, 0.0, 10.0, 10.0, 0, 0.0),
    ];
    let fused = WeightedBoxesFusion::default()
        .fuse(std::slice::from_ref(&boxes))
        .unwrap();
    assert_eq!(fused[0].detection, boxes[0]);
    let fused = NonMaximumWeighted::default()
        .fuse(std::slice::from_ref(&boxes))
        .unwrap();
    assert_eq!((fused[0].detection, fused[0].members.len()), (boxes[0], 2));
}

#[test]
fn errors_say_what_is_wrong() {
    let good = detection(0.0, 0.0, 1.0, 1.0, 0, 0.5);
    let mut flat = good;
    flat.rectangle.right = 0.0;
    let negative = Detection {
        score: -0.1,
        ..good
    };
    let fuse = |boxes| WeightedBoxesFusion::default().fuse(&[vec![good], boxes]);
    let message = |boxes| fuse(boxes).unwrap_err().to_string();
    assert_eq!(message(vec![good, flat]), "box 1 of view 1 has no area");
    assert_eq!(
        message(vec![negative]),
        "box 0 of view 1 has a score that is negative or not finite"
    );
    let rule = WeightedBoxesFusion {
        weights: Some(vec![1.0]),
        ..Default::default()
    };
    assert_eq!(
        rule.fuse(&[vec![good], vec![good]])
            .unwrap_err()
            .to_string(),
        "there are 1 weights of views, but 2 are needed"
    );
    let rule = WeightedBoxesFusion {
        overlap: 1.0,
        ..Default::default()
    };
    assert!(rule.fuse(&[vec![good]]).is_err());
    let rule = WeightedBoxesFusion {
        weights: Some(vec![0.0]),
        ..Default::default()
    };
    assert!(rule.fuse(&[vec![good]]).is_err());
    let decay = Decay::Gaussian { sigma: 0.0 };
    assert!(
        SoftNms {
            decay,
            lowest_score: 0.0
        }
        .fuse(&[vec![good]])
        .is_err()
    );
    assert_eq!(
        WeightedBoxesFusion::default().fuse::<Vec<Detection>>(&[]),
        Ok(vec![])
    );
}
