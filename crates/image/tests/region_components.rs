//! Components and what is measured of them against scikit-image (`oracles/image_region.py`).

#![allow(clippy::unwrap_used)]

mod common;

use cleanslide_image::region::{
    Neighbours, components, components_of_labels, components_with_statistics, intensities, shapes,
    statistics,
};
use common::{cases, close, labels, list, mask, numbers, on_threads, picture, text};
use ndarray::{Array2, s};
use proptest::prelude::*;
use proptest::{collection, prop_assert_eq, proptest};

const BOTH: [(&str, Neighbours); 2] = [("four", Neighbours::Four), ("eight", Neighbours::Eight)];

#[test]
fn components_are_scikit_images() {
    for case in cases(include_str!("goldens/region_components.json")) {
        let mask = mask(&case["mask"]);
        for (key, neighbours) in BOTH {
            let name = format!("{} {key}", text(&case["name"]));
            let (found, of_runs) = components_with_statistics(mask.view(), neighbours).unwrap();
            assert_eq!(found.labels, labels(&case[key]), "{name}");
            assert_eq!(
                found,
                components(mask.view(), neighbours).unwrap(),
                "{name}"
            );
            let of_labels = statistics(found.labels.view());
            assert_eq!(of_runs, of_labels, "{name}");
            let golden = list(&case[format!("{key} statistics")]);
            assert_eq!(found.count, golden.len(), "{name}");
            for (found, golden) in of_runs.iter().zip(golden) {
                let golden = numbers(golden);
                assert_eq!(f64::from(found.label), golden[0], "{name}");
                assert_eq!(found.area as f64, golden[1], "{name}");
                let bounds = found.bounds;
                let bounds = [bounds.top, bounds.left, bounds.bottom, bounds.right];
                assert_eq!(bounds.map(|at| at as f64), golden[2..6], "{name}");
                // Pixel centres are at half pixels here; both divide two sums once.
                close(found.centroid.1 - 0.5, golden[6], 1e-9, &name);
                close(found.centroid.0 - 0.5, golden[7], 1e-9, &name);
            }
        }
    }
}

#[test]
fn components_of_labels_are_scikit_images() {
    for case in cases(include_str!("goldens/region_several.json")) {
        for (key, neighbours) in BOTH {
            let image = labels(&case["labels"]);
            let found = components_of_labels(image.view(), neighbours).unwrap();
            assert_eq!(found.labels, labels(&case[key]));
        }
    }
}

#[test]
fn shapes_and_intensities_are_scikit_images() {
    for case in cases(include_str!("goldens/region_properties.json")) {
        let name = text(&case["name"]);
        let labels = labels(&case["labels"]);
        let plane = picture(&case["plane"]).mapv(|pixel| pixel as u8);
        let shapes = shapes(labels.view());
        let intensities = intensities(labels.view(), plane.view()).unwrap();
        let golden = list(&case["regions"]);
        assert_eq!(shapes.len(), golden.len());
        for ((shape, intensity), golden) in shapes.iter().zip(&intensities).zip(golden) {
            let golden = numbers(golden);
            let name = format!("{name} {}", shape.label);
            assert_eq!(f64::from(shape.label), golden[0], "{name}");
            assert_eq!(shape.label, intensity.label);
            close(shape.perimeter, golden[1], 1e-9, &name);
            // The root of 1 minus a ratio near 1 turns rounding of 1e-16 into 1e-8.
            close(shape.eccentricity, golden[2], 1e-7, &name);
            close(shape.solidity, golden[3], 1e-12, &name);
            close(shape.equivalent_diameter, golden[4], 1e-9, &name);
            // Likewise the root of a variance that is 0 but for rounding.
            close(shape.major_axis, golden[5], 1e-6, &name);
            close(shape.minor_axis, golden[6], 1e-6, &name);
            if shape.major_axis > shape.minor_axis + 1e-3 {
                close(shape.orientation, golden[7], 1e-9, &name);
            }
            close(intensity.mean, golden[8], 1e-9, &name);
            close(intensity.deviation, golden[9], 1e-9, &name);
            assert_eq!(intensity.minimum, golden[10], "{name}");
            assert_eq!(intensity.maximum, golden[11], "{name}");
        }
    }
}

#[test]
fn a_plane_of_another_size_is_refused() {
    let plane = Array2::<u8>::zeros((3, 4));
    let error = intensities(Array2::zeros((4, 3)).view(), plane.view()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the plane is (3, 4) (height, width), expected (4, 3)"
    );
}

#[test]
fn images_without_pixels_have_no_components() {
    for size in [(0, 0), (0, 5), (5, 0)] {
        let found = components(Array2::default(size).view(), Neighbours::Four).unwrap();
        assert_eq!((found.labels.dim(), found.count), (size, 0));
        assert!(statistics(Array2::zeros(size).view()).is_empty());
    }
}

fn any_mask() -> impl Strategy<Value = Array2<bool>> {
    (1_usize..90, 1_usize..150).prop_flat_map(|(height, width)| {
        collection::vec(any::<bool>(), height * width)
            .prop_map(move |pixels| Array2::from_shape_vec((height, width), pixels).unwrap())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn labels_do_not_depend_on_threads_or_layout(mask in any_mask()) {
        for (_, neighbours) in BOTH {
            let [one, three] = on_threads(|| components(mask.view(), neighbours).unwrap());
            prop_assert_eq!(&one, &three);
            let turned = mask.t().as_standard_layout().into_owned();
            prop_assert_eq!(components(turned.t(), neighbours).unwrap(), one);
        }
    }

    #[test]
    fn pixels_share_a_label_iff_they_touch(mask in any_mask()) {
        let found = components(mask.view(), Neighbours::Four).unwrap();
        prop_assert_eq!(&found.labels.mapv(|label| label > 0), &mask);
        let columns = found.labels.dim().1;
        let pairs = found.labels.slice(s![.., 1..]);
        for (left, right) in found.labels.slice(s![.., ..columns - 1]).iter().zip(pairs) {
            prop_assert!(left == right || *left == 0 || *right == 0);
        }
        // Every component of four neighbours lies in one of eight.
        let wide = components(mask.view(), Neighbours::Eight).unwrap();
        let mut parts = vec![0; found.count + 1];
        for (&narrow, &wide) in found.labels.iter().zip(&wide.labels) {
            let part = &mut parts[narrow as usize];
            prop_assert!(*part == 0 || *part == wide);
            *part = wide;
        }
    }

    #[test]
    fn mirroring_keeps_the_areas(mask in any_mask()) {
        let areas = |mask| {
            let (_, list) = components_with_statistics(mask, Neighbours::Eight).unwrap();
            let mut areas: Vec<u64> = list.iter().map(|entry| entry.area).collect();
            areas.sort_unstable();
            areas
        };
        prop_assert_eq!(areas(mask.view()), areas(mask.slice(s![..;-1, ..;-1])));
    }
}
