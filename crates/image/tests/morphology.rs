//! Morphology against OpenCV 5.0 and scikit-image 0.26 (`oracles/image_morphology.py`): exact.

#![allow(clippy::unwrap_used)]

mod planes;

use cleanslide_image::morphology::{
    Element, Ordered, Reach, black_top_hat, close, dilate, erode, gradient, open,
    reconstruct_by_dilation, reconstruct_by_erosion, white_top_hat,
};
use ndarray::{Array2, ArrayView2, array, s};
use planes::{any_plane, bits, bytes, cases, on_threads, pair, plane};
use proptest::prelude::*;
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("goldens/morphology.json")).unwrap()
}

fn size(value: &Value) -> (usize, usize) {
    pair(value, |n| n.as_u64().unwrap() as usize)
}

#[test]
fn elements_are_those_of_opencv_and_scikit_image() {
    for case in cases(&golden()["elements"]) {
        let element = match case["shape"].as_str().unwrap() {
            "ellipse" => {
                let (height, width) = size(&case["size"]);
                Element::ellipse(height, width)
            }
            _ => Element::disk(case["radius"].as_u64().unwrap() as usize),
        };
        assert_eq!(element.unwrap().mask(), bits(&case["mask"]), "{case}");
    }
}

fn element(case: &Value) -> Element {
    let (height, width) = size(&case["size"]);
    match case["shape"].as_str().unwrap() {
        "rectangle" => Element::rectangle(height, width),
        "ellipse" => Element::ellipse(height, width),
        _ => Element::from_mask(bits(&case["mask"]).view(), size(&case["anchor"])),
    }
    .unwrap()
}

fn apply<T: Ordered>(name: &str, image: ArrayView2<'_, T>, element: &Element) -> Array2<T> {
    match name {
        "erode" => erode(image, element),
        "dilate" => dilate(image, element),
        "open" => open(image, element),
        "close" => close(image, element),
        "gradient" => gradient(image, element),
        "white top hat" => white_top_hat(image, element),
        "black top hat" => black_top_hat(image, element),
        other => panic!("no operator {other}"),
    }
}

#[test]
fn operators_are_those_of_opencv() {
    let golden = golden();
    for case in cases(&golden["operators"]) {
        let plane = plane(&golden, case);
        let element = element(case);
        let name = case["operator"].as_str().unwrap();
        let ours = apply(name, plane.view(), &element);
        assert_eq!(ours, bytes(&case["result"]), "{case}");
        // Order is all that counts, so the other kinds of pixels follow, except where a value beyond
        // the image shows: there each kind has its own.
        if element.mask()[element.anchor()] {
            let wide = plane.mapv(|value| u16::from(value) * 256 + 3);
            let real = plane.mapv(|value| f32::from(value) / 8.0);
            let [wide, real] = [
                apply(name, wide.view(), &element).mapv(|value| f32::from(value / 256)),
                apply(name, real.view(), &element).mapv(|value| value.max(0.0) * 8.0),
            ];
            let ours = ours.mapv(f32::from);
            assert_eq!(wide, ours, "{case}");
            assert_eq!(real, ours, "{case}");
        }
    }
}

#[test]
fn reconstructions_are_those_of_scikit_image() {
    let golden = golden();
    for case in cases(&golden["reconstructions"]) {
        let mask = plane(&golden, case);
        let marker = bytes(&case["marker"]);
        let reach = if case["reach"] == 4 {
            Reach::Four
        } else {
            Reach::Eight
        };
        let by_dilation = case["method"] == "dilation";
        let ours = if by_dilation {
            reconstruct_by_dilation(marker.view(), mask.view(), reach)
        } else {
            reconstruct_by_erosion(marker.view(), mask.view(), reach)
        };
        assert_eq!(ours.unwrap(), bytes(&case["result"]), "{case}");
        let (marker, mask) = (marker.mapv(f32::from), mask.mapv(f32::from));
        let ours = if by_dilation {
            reconstruct_by_dilation(marker.view(), mask.view(), reach)
        } else {
            reconstruct_by_erosion(marker.view(), mask.view(), reach)
        };
        assert_eq!(
            ours.unwrap(),
            bytes(&case["result"]).mapv(f32::from),
            "{case}"
        );
    }
}

#[test]
fn reconstruction_says_what_is_wrong() {
    let mask = array![[3u8, 3], [3, 3]];
    let marker = array![[0u8, 0], [4, 0]];
    let error = reconstruct_by_dilation(marker.view(), mask.view(), Reach::Four).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the marker exceeds the mask at row 1, column 0"
    );
    let error = reconstruct_by_erosion(marker.view(), mask.view(), Reach::Four).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the marker is below the mask at row 0, column 0"
    );
    let error = reconstruct_by_erosion(marker.slice(s![..1, ..]), mask.view(), Reach::Four);
    let message = "the marker is (1, 2) (height, width), expected (2, 2)";
    assert_eq!(error.unwrap_err().to_string(), message);
}

#[test]
fn elements_without_meaning_are_refused() {
    assert!(Element::rectangle(0, 3).is_err());
    assert!(Element::ellipse(3, 10_001).is_err());
    assert!(Element::disk(5_000).is_err());
    assert!(Element::disk(usize::MAX).is_err());
    let none = array![[false, false]];
    assert!(Element::from_mask(none.view(), (0, 0)).is_err());
    let some = array![[true, false]];
    assert!(Element::from_mask(some.view(), (0, 2)).is_err());
}

#[test]
fn morphology_of_an_empty_plane_is_empty() {
    for shape in [(0, 4), (4, 0), (0, 0)] {
        let empty = Array2::<u8>::zeros(shape);
        for element in [Element::rectangle(3, 3).unwrap(), Element::disk(2).unwrap()] {
            assert_eq!(gradient(empty.view(), &element), empty);
        }
        let grown = reconstruct_by_dilation(empty.view(), empty.view(), Reach::Eight);
        assert_eq!(grown.unwrap(), empty);
    }
}

fn any_element() -> impl Strategy<Value = Element> {
    let sides = (1usize..9, 1usize..12);
    prop_oneof![
        sides
            .clone()
            .prop_map(|(height, width)| Element::rectangle(height, width).unwrap()),
        sides.prop_map(|(height, width)| Element::ellipse(height, width).unwrap()),
        (0usize..5).prop_map(|radius| Element::disk(radius).unwrap()),
        (
            prop::collection::vec(any::<bool>(), 24),
            0usize..4,
            0usize..6
        )
            .prop_map(|(bits, y, x)| {
                let mut mask = Array2::from_shape_vec((4, 6), bits).unwrap();
                mask[[2, 3]] = true;
                Element::from_mask(mask.view(), (y, x)).unwrap()
            }),
    ]
}

/// The definition.
fn slow_erosion(plane: &Array2<u8>, element: &Element) -> Array2<u8> {
    Array2::from_shape_fn(plane.dim(), |(y, x)| {
        let around = element.mask();
        let set = around.indexed_iter().filter(|(_, set)| **set);
        let values = set.filter_map(|((dy, dx), _)| {
            let y = (y + dy).checked_sub(element.anchor().0)?;
            let x = (x + dx).checked_sub(element.anchor().1)?;
            plane.get((y, x)).copied()
        });
        values.min().unwrap_or(255)
    })
}

proptest! {
    #[test]
    fn erosion_is_the_least_and_dilation_its_complement(
        plane in any_plane(150, 40), element in any_element(),
    ) {
        let eroded = erode(plane.view(), &element);
        prop_assert_eq!(&eroded, &slow_erosion(&plane, &element));
        let negative = dilate(plane.mapv(|value| 255 - value).view(), &element);
        prop_assert_eq!(&eroded, &negative.mapv(|value| 255 - value));
        // A mask is its own grey level.
        let mask = plane.mapv(|value| value > 99);
        prop_assert_eq!(erode(mask.view(), &element), eroded.mapv(|value| value > 99));
        prop_assert_eq!(on_threads(1, || erode(plane.view(), &element)), eroded);
    }

    #[test]
    fn a_strict_opening_is_below_the_image_and_idempotent(
        plane in any_plane(30, 40), element in any_element(),
    ) {
        let opened = |plane: &Array2<u8>| {
            dilate(erode(plane.view(), &element).view(), &element.turned())
        };
        let once = opened(&plane);
        prop_assert!(once.iter().zip(&plane).all(|(opened, value)| opened <= value));
        prop_assert_eq!(&opened(&once), &once);
    }

    #[test]
    fn reconstruction_is_the_limit_of_dilations_under_the_mask(
        mask in any_plane(14, 18), noise in any_plane(15, 19), eight in any::<bool>(),
    ) {
        let marker = Array2::from_shape_fn(mask.dim(), |(y, x)| {
            mask[[y, x]].saturating_sub(noise[[y % noise.nrows(), x % noise.ncols()]])
        });
        let (reach, around) = if eight {
            (Reach::Eight, Element::rectangle(3, 3).unwrap())
        } else {
            (Reach::Four, Element::disk(1).unwrap())
        };
        let mut slow = marker.clone();
        loop {
            let mut next = dilate(slow.view(), &around);
            next.zip_mut_with(&mask, |value, &limit| *value = limit.min(*value));
            if next == slow {
                break;
            }
            slow = next;
        }
        let ours = reconstruct_by_dilation(marker.view(), mask.view(), reach).unwrap();
        prop_assert_eq!(&ours, &slow);
        let flip = |plane: &Array2<u8>| plane.mapv(|value| 255 - value);
        let dual = reconstruct_by_erosion(flip(&marker).view(), flip(&mask).view(), reach);
        prop_assert_eq!(ours, flip(&dual.unwrap()));
    }
}
