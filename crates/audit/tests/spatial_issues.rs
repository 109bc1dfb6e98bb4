//! The one table of pixels, boxes and instances.

#![allow(clippy::unwrap_used)]

use cleanslide_audit::boxes::{BoxImage, BoxOptions, audit_boxes};
use cleanslide_audit::instances::{InstanceImage, Prediction, audit_instances};
use cleanslide_audit::pixels::{PixelArrays, PixelAudit};
use cleanslide_audit::spatial_issues::{
    Place, SpatialKind, box_issues, instance_issues, pixel_issues,
};
use cleanslide_data::{Detection, Object, Objects, Rectangle, Trust};
use ndarray::{Array2, Array3, s};

#[test]
fn images_with_more_wrong_pixels_come_first() {
    let truth = Array2::from_shape_fn((6, 8), |(y, _)| u8::from(y >= 3));
    let planes = Array3::from_shape_fn((2, 6, 8), |(class, y, x)| {
        if usize::from(truth[(y, x)]) == class {
            0.9
        } else {
            0.1f32
        }
    });
    let wrong = |columns: usize| {
        let mut labels = truth.clone();
        labels.slice_mut(s![0..2, 0..columns]).fill(1);
        labels
    };
    let labels = [wrong(1), wrong(0), wrong(3)];
    let views: Vec<_> = labels.iter().map(|labels| labels.view()).collect();
    let planes = [planes.view(), planes.view(), planes.view()];
    let images = PixelArrays::new(&views, &planes).unwrap();
    let audit = PixelAudit::new(&images).unwrap();
    let rows = pixel_issues(&audit.mark(&images, &mut |_, _| Ok(())).unwrap());
    let order: Vec<_> = rows.iter().map(|row| (row.image, row.suspicion)).collect();
    assert_eq!(order[0].0, 2);
    assert_eq!(order.len(), 2);
    assert!((order[0].1 - 6.0 / 48.0).abs() < 1e-12);
    let row = &rows[0];
    assert_eq!(
        (row.kind, row.given, row.suggested),
        (SpatialKind::Pixels, Some(1), Some(0))
    );
    assert_eq!(
        row.place,
        Place::Rectangle(Rectangle::new(0.0, 0.0, 3.0, 2.0).unwrap())
    );
}

#[test]
fn boxes_become_rows_and_outlines() {
    let object = |left: f64, class| Object {
        shape: Rectangle::new(left, 0.0, left + 10.0, 10.0).unwrap(),
        class,
        trust: Trust::FULL,
    };
    let detection = |left: f64, class| Detection {
        rectangle: Rectangle::new(left, 0.0, left + 10.0, 10.0).unwrap(),
        class,
        score: 0.99,
    };
    let labels = Objects {
        objects: vec![object(0.0, 0), object(40.0, 1), object(80.0, 0)],
        complete: true,
    };
    let predictions = [
        detection(0.0, 1),
        detection(43.0, 1),
        detection(80.0, 0),
        detection(200.0, 0),
    ];
    let images = [BoxImage {
        labels: &labels,
        predictions: &predictions,
    }];
    let audit = audit_boxes(&images, 2, &BoxOptions::default()).unwrap();
    let rows = box_issues(&audit, &images).unwrap();
    assert!(rows.is_sorted_by(|a, b| a.suspicion >= b.suspicion));
    let find = |kind, object| {
        rows.iter()
            .find(|row| row.kind == kind && row.object == object)
            .unwrap()
    };
    let swapped = find(SpatialKind::Swapped, Some(0));
    assert_eq!(
        (swapped.given, swapped.suggested, swapped.prediction),
        (Some(0), Some(1), Some(0))
    );
    assert!(swapped.flagged && swapped.suspicion > 0.95);
    let moved = find(SpatialKind::BadlyLocated, Some(1));
    assert_eq!(
        (moved.given, moved.suggested, moved.prediction),
        (Some(1), None, Some(1))
    );
    let overlooked = find(SpatialKind::Overlooked, None);
    assert_eq!(
        (overlooked.suggested, overlooked.prediction),
        (Some(0), Some(3))
    );
    assert_eq!(overlooked.place, Place::Rectangle(predictions[3].rectangle));
    let outline = overlooked.outline();
    assert_eq!(outline.class, "overlooked box");
    assert_eq!(outline.polygon.area(), 100.0);
    assert_eq!(outline.measurements[0], ("suspicion", overlooked.suspicion));
    let fewer = [BoxImage {
        labels: &labels,
        predictions: &predictions[1..],
    }];
    assert!(box_issues(&audit, &fewer).is_err() && box_issues(&audit, &[]).is_err());
}

#[test]
fn instances_have_their_outlines() {
    let mut truth = Array2::<u32>::zeros((20, 20));
    truth.slice_mut(s![2..8, 2..8]).fill(1);
    truth.slice_mut(s![12..18, 3..7]).fill(2);
    let mut labels = truth.clone();
    labels.slice_mut(s![12.., ..]).fill(0);
    labels.slice_mut(s![2..6, 12..18]).fill(5);
    // A second, smaller part of the same label.
    labels[(8, 15)] = 5;
    let images = [InstanceImage {
        labels: labels.view(),
        classes: &[],
        prediction: Prediction::Objects {
            mask: truth.view(),
            scores: &[1.0, 0.75],
            class_probabilities: None,
        },
    }];
    let audits = audit_instances(&images).unwrap();
    let rows = instance_issues(&audits, &images).unwrap();
    let found: Vec<_> = rows
        .iter()
        .map(|row| (row.kind, row.object, row.prediction, row.suspicion))
        .collect();
    assert_eq!(
        found,
        [
            (SpatialKind::False, Some(5), None, 1.0),
            (SpatialKind::Missed, None, Some(2), 0.75),
        ]
    );
    let outlines: Vec<_> = rows.iter().map(|row| row.outline()).collect();
    assert_eq!(outlines[0].class, "false object");
    assert_eq!(
        outlines[0].polygon.bounds(),
        Rectangle::new(12.0, 2.0, 18.0, 6.0).ok()
    );
    assert_eq!(outlines[1].polygon.area(), 24.0);
    // Probabilities of foreground say the same of what is missing.
    let probabilities = truth.mapv(|object| if object > 0 { 1.0f32 } else { 0.0 });
    let images = [InstanceImage {
        prediction: Prediction::Foreground(probabilities.view()),
        ..images[0]
    }];
    let audits = audit_instances(&images).unwrap();
    let rows = instance_issues(&audits, &images).unwrap();
    assert_eq!(
        (rows[1].kind, rows[1].outline().polygon.area()),
        (SpatialKind::Missed, 24.0)
    );
    assert!(instance_issues(&[], &images).is_err());
}
