//! The audit of pixels against cleanlab 2.9 (`oracles/audit_pixels.py`).

#![allow(clippy::unwrap_used)]

use cleanslide_audit::pixels::{PixelArrays, PixelAudit, PixelBlocks, PixelIssues, ReadImages};
use cleanslide_data::Rectangle;
use ndarray::{Array2, Array3, ArrayView2, ArrayView3};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// Both sides compute in 64 bits; the sums of at most 156 weights differ in order only.
const TOLERANCE: f64 = 1e-12;

struct Case {
    name: String,
    labels: Vec<Array2<u8>>,
    probabilities: Vec<Array3<f32>>,
    golden: Value,
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(|v| v.as_f64().unwrap()).collect()
}

fn cases() -> Vec<Case> {
    let golden: Value = serde_json::from_str(include_str!("goldens/pixels.json")).unwrap();
    let mask = |image: &Value| {
        let rows: Vec<Vec<f64>> = list(image).iter().map(numbers).collect();
        Array2::from_shape_fn((rows.len(), rows[0].len()), |(y, x)| rows[y][x])
    };
    list(&golden["cases"])
        .iter()
        .map(|golden| {
            let units = golden["units"].as_f64().unwrap();
            let planes = |image: &Value| {
                let planes: Vec<Array2<f64>> = list(image).iter().map(mask).collect();
                let (height, width) = planes[0].dim();
                Array3::from_shape_fn((planes.len(), height, width), |(class, y, x)| {
                    (planes[class][(y, x)] / units) as f32
                })
            };
            Case {
                name: golden["name"].as_str().unwrap().to_owned(),
                labels: list(&golden["labels"])
                    .iter()
                    .map(|image| mask(image).mapv(|label| label as u8))
                    .collect(),
                probabilities: list(&golden["numerators"]).iter().map(planes).collect(),
                golden: golden.clone(),
            }
        })
        .collect()
}

fn views<'a>(
    labels: &'a [Array2<u8>],
    probabilities: &'a [Array3<f32>],
) -> (Vec<ArrayView2<'a, u8>>, Vec<ArrayView3<'a, f32>>) {
    (
        labels.iter().map(|mask| mask.view()).collect(),
        probabilities.iter().map(|planes| planes.view()).collect(),
    )
}

/// The places of all issues, counted through all images.
fn marked(audit: &PixelAudit, images: &dyn PixelBlocks) -> (Vec<u64>, PixelIssues) {
    let mut place = 0;
    let mut found = Vec::new();
    let issues = audit
        .mark(images, &mut |_, marks| {
            for &mark in marks {
                if mark {
                    found.push(place);
                }
                place += 1;
            }
            Ok(())
        })
        .unwrap();
    (found, issues)
}

fn assert_close(found: &[Option<f64>], expected: &Value, what: &str) {
    let expected = numbers(expected);
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let found = found.unwrap();
        assert!(
            (found - expected).abs() <= TOLERANCE,
            "{what}: {found} is not {expected}"
        );
    }
}

#[test]
fn issues_and_scores_equal_cleanlab_in_blocks_of_any_size() {
    for case in cases() {
        let (labels, probabilities) = views(&case.labels, &case.probabilities);
        let whole = PixelArrays::new(&labels, &probabilities).unwrap();
        let expected = PixelAudit::new(&whole).unwrap();
        for rows in [1, 2, 3, 100] {
            let images = whole.with_block_rows(rows);
            let audit = PixelAudit::new(&images).unwrap();
            assert_eq!(audit, expected, "{}", case.name);
            assert_close(audit.softmin(), &case.golden["softmin"], &case.name);
            let (found, issues) = marked(&audit, &images);
            assert_eq!(Value::from(found), case.golden["issues"], "{}", case.name);
            let scores: Vec<_> = issues.images.iter().map(|image| image.score()).collect();
            assert_close(&scores, &case.golden["issue_scores"], &case.name);
            let mut pairs = Array2::<u64>::zeros(issues.confusion.dim());
            for pair in list(&case.golden["pairs"]) {
                let at = |i: usize| pair[i].as_u64().unwrap() as usize;
                pairs[(at(0), at(1))] = pair[2].as_u64().unwrap();
            }
            assert_eq!(issues.confusion, pairs, "{}", case.name);
        }
        let warm = PixelAudit::with_temperature(&whole, 0.5).unwrap();
        assert_close(warm.softmin(), &case.golden["softmin_half"], &case.name);
    }
}

#[test]
fn a_class_without_pixels_has_the_lowest_threshold() {
    let case = cases()
        .into_iter()
        .find(|case| case.name == "missing class")
        .unwrap();
    let (labels, probabilities) = views(&case.labels, &case.probabilities);
    let audit = PixelAudit::new(&PixelArrays::new(&labels, &probabilities).unwrap()).unwrap();
    assert_eq!(audit.label_counts()[2], 0);
    assert_eq!(audit.thresholds()[2], 2e-6);
}

fn random_images(seed: u64, classes: usize) -> (Vec<Array2<u8>>, Vec<Array3<f32>>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let sizes = [(5, 7), (1, 1), (9, 4), (2, 0), (33, 65)];
    sizes
        .iter()
        .map(|&(height, width)| {
            let labels = Array2::from_shape_simple_fn((height, width), || {
                match rng.random_range(0..=classes as u8) {
                    label if usize::from(label) == classes => 255,
                    label => label,
                }
            });
            let mut planes = Array3::from_shape_simple_fn((classes, height, width), || {
                // Few values, so that many are equal.
                f32::from(rng.random_range(1..20u8))
            });
            for y in 0..height {
                for x in 0..width {
                    let mut pixel = planes.slice_mut(ndarray::s![.., y, x]);
                    let sum = pixel.sum();
                    pixel.mapv_inplace(|value| value / sum);
                }
            }
            (labels, planes)
        })
        .unzip()
}

/// The definition, with everything in memory and sorted.
fn by_sorting(
    labels: &[Array2<u8>],
    probabilities: &[Array3<f32>],
    thresholds: &[f64],
) -> Vec<u64> {
    let mut pixels = Vec::new();
    let mut place = 0;
    let mut selected = 0;
    for (labels, planes) in labels.iter().zip(probabilities) {
        for ((y, x), &label) in labels.indexed_iter() {
            if label != 255 {
                let pixel = planes.slice(ndarray::s![.., y, x]);
                let highest = pixel.iter().copied().fold(0.0f32, f32::max);
                let predicted = pixel.iter().position(|&value| value == highest).unwrap();
                let own = pixel[usize::from(label)];
                let is_other = predicted != usize::from(label);
                selected +=
                    usize::from(is_other && f64::from(highest) >= thresholds[predicted] - 1e-6);
                pixels.push((own, place, is_other));
            }
            place += 1;
        }
    }
    pixels.sort_by(|a, b| a.0.total_cmp(&b.0));
    pixels.truncate(selected);
    let mut issues: Vec<u64> = pixels
        .into_iter()
        .filter(|pixel| pixel.2)
        .map(|pixel| pixel.1)
        .collect();
    issues.sort_unstable();
    issues
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn issues_are_those_of_the_definition_for_any_threads_and_blocks(
        seed in 0u64..1000,
        classes in 2usize..6,
        rows in 1usize..40,
    ) {
        let (labels, probabilities) = random_images(seed, classes);
        let (label_views, planes) = views(&labels, &probabilities);
        let whole = PixelArrays::new(&label_views, &planes).unwrap();
        let audit = PixelAudit::new(&whole).unwrap();
        let found = marked(&audit, &whole);
        prop_assert_eq!(&found.0, &by_sorting(&labels, &probabilities, audit.thresholds()));
        let total: u64 = found.1.images.iter().map(|image| image.issues).sum();
        prop_assert_eq!(total as usize, found.0.len());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let bands = whole.with_block_rows(rows);
        let again = pool.install(|| (PixelAudit::new(&bands).unwrap(), marked(&audit, &bands)));
        prop_assert_eq!(again, (audit, found));
    }
}

#[test]
fn views_of_any_layout_and_images_that_are_read_give_the_same() {
    let (labels, probabilities) = random_images(3, 3);
    let (label_views, planes) = views(&labels, &probabilities);
    let expected = PixelAudit::new(&PixelArrays::new(&label_views, &planes).unwrap()).unwrap();
    let read = ReadImages::new(labels.len(), 3, |image| {
        Ok((labels[image].clone(), probabilities[image].clone()))
    });
    assert_eq!(PixelAudit::new(&read).unwrap(), expected);
    let turned: Vec<Array3<f32>> = probabilities
        .iter()
        .map(|planes| {
            planes
                .view()
                .permuted_axes([1, 2, 0])
                .as_standard_layout()
                .into_owned()
        })
        .collect();
    let planes: Vec<_> = turned
        .iter()
        .map(|planes| planes.view().permuted_axes([2, 0, 1]))
        .collect();
    let arrays = PixelArrays::new(&label_views, &planes).unwrap();
    assert_eq!(PixelAudit::new(&arrays).unwrap(), expected);
}

#[test]
fn where_issues_lie_and_which_are_most_common() {
    let mut labels = Array2::<u8>::zeros((6, 8));
    labels.slice_mut(ndarray::s![3.., ..]).fill(1);
    labels[(0, 0)] = 255;
    let truth = labels.clone();
    labels.slice_mut(ndarray::s![1..3, 5..7]).fill(1);
    let planes = Array3::from_shape_fn((2, 6, 8), |(class, y, x)| {
        if usize::from(truth[(y, x)]) == class {
            0.9
        } else {
            0.1f32
        }
    });
    let (label_views, planes) = (
        [labels.view(), truth.view()],
        [planes.view(), planes.view()],
    );
    let images = PixelArrays::new(&label_views, &planes).unwrap();
    let audit = PixelAudit::new(&images).unwrap();
    let (found, issues) = marked(&audit, &images);
    assert_eq!(found, [13, 14, 21, 22]);
    let image = issues.images[0];
    assert_eq!((image.size, image.labelled, image.issues), ((6, 8), 47, 4));
    assert_eq!(
        image.bounds,
        Some(Rectangle::new(5.0, 1.0, 7.0, 3.0).unwrap())
    );
    assert_eq!(image.most_common, Some((1, 0)));
    assert_eq!(image.score(), Some(1.0 - 4.0 / 47.0));
    assert_eq!(
        (issues.images[1].issues, issues.images[1].bounds),
        (0, None)
    );
    assert!(audit.softmin()[0] < audit.softmin()[1]);
}

#[test]
fn bad_input_is_named_with_image_place_and_remedy() {
    let audit = |labels: &Array2<u8>, planes: &Array3<f32>| {
        let (labels, planes) = ([labels.view()], [planes.view()]);
        PixelArrays::new(&labels, &planes)
            .and_then(|images| PixelAudit::new(&images))
            .map_err(|error| error.to_string())
    };
    let labels = Array2::<u8>::zeros((2, 3));
    let good = Array3::from_elem((2, 2, 3), 0.5f32);
    assert!(audit(&labels, &good).is_ok());
    let mut bad = labels.clone();
    bad[(1, 2)] = 2;
    assert_eq!(
        audit(&bad, &good).unwrap_err(),
        "image 0: the label at row 1, column 2 is 2, but there are only 2 classes (0 to 1): mark \
         unlabelled pixels with 255, or add the class"
    );
    for (value, problem) in [
        (
            f32::NAN,
            "the probability of class 1 at row 1, column 0 is NaN, not a number between",
        ),
        (
            -0.5,
            "the probability of class 1 at row 1, column 0 is -0.5, not a number between",
        ),
        (
            0.75,
            "the probabilities at row 1, column 0 sum to 1.25, not to 1: are they logits?",
        ),
    ] {
        let mut planes = good.clone();
        planes[(1, 1, 0)] = value;
        let message = audit(&labels, &planes).unwrap_err();
        assert!(
            message.starts_with(&format!("image 0: {problem}")),
            "{message}"
        );
        let mut unlabelled = labels.clone();
        unlabelled[(1, 0)] = 255;
        assert!(audit(&unlabelled, &planes).is_ok());
    }
    let wide = Array3::from_elem((2, 3, 2), 0.5f32);
    assert_eq!(
        audit(&labels, &wide).unwrap_err(),
        "image 0: the probabilities have shape (2, 3, 2) (classes, height, width), but (2, 2, 3) is \
         expected: predict at the size of the label mask, one plane per class"
    );
    let nothing = Array2::from_elem((2, 3), 255);
    assert_eq!(
        audit(&nothing, &good).unwrap_err(),
        "there are no labelled pixels"
    );
    let single = Array3::from_elem((1, 2, 3), 1.0f32);
    assert_eq!(
        audit(&labels, &single).unwrap_err(),
        "there are 1 classes: at least two are needed"
    );
    assert_eq!(
        PixelArrays::new(&[], &[]).unwrap_err().to_string(),
        "there are no images"
    );
    let (labels, planes) = ([labels.view()], [good.view()]);
    let images = PixelArrays::new(&labels, &planes).unwrap();
    assert!(PixelAudit::with_temperature(&images, 0.0).is_err());
}
