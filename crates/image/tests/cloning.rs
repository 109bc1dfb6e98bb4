//! Seamless cloning against OpenCV, a direct solver, and its own symmetries.

#![allow(clippy::unwrap_used)]

use cleanslide_image::Error;
use cleanslide_image::cloning::{
    Gradients, seamless_clone, seamless_clone_at, seamless_clone_opencv,
};
use ndarray::{Array1, Array2, Array3, Axis, s};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    shape: (usize, usize),
    source: Vec<u8>,
    destination: Vec<u8>,
    mask: Vec<u8>,
    exact_normal: Vec<f32>,
    exact_mixed: Vec<f32>,
    opencv_normal: Option<Vec<u8>>,
    opencv_mixed: Option<Vec<u8>>,
}

impl Case {
    fn image<T: Copy>(&self, values: &[T]) -> Array3<T> {
        let (height, width) = self.shape;
        Array3::from_shape_vec((height, width, 3), values.to_vec()).unwrap()
    }

    fn mask(&self) -> Array2<bool> {
        Array2::from_shape_vec(self.shape, self.mask.clone())
            .unwrap()
            .mapv(|value| value == 1)
    }
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("goldens/cloning.json")).unwrap()
}

/// The solver promises a tenth of a grey level.
const PROMISED: f32 = 0.1;

/// Goldens are rounded to a hundredth.
const ROUNDED: f32 = 0.0051;

#[test]
fn equals_the_direct_solution() {
    for case in cases() {
        let (source, destination) = (case.image(&case.source), case.image(&case.destination));
        let mask = case.mask();
        for (gradients, exact) in [
            (Gradients::Normal, &case.exact_normal),
            (Gradients::Mixed, &case.exact_mixed),
        ] {
            let masked = mask.indexed_iter().filter(|(_, masked)| **masked);
            let places = masked.flat_map(|((y, x), _)| [[y, x, 0], [y, x, 1], [y, x, 2]]);
            let ours =
                seamless_clone(source.view(), destination.view(), mask.view(), gradients).unwrap();
            // The same numbers as f32: a grey level is a 255th there, so the promise is stricter.
            let float = seamless_clone(
                source.mapv(f32::from).view(),
                destination.mapv(f32::from).view(),
                mask.view(),
                gradients,
            )
            .unwrap();
            let count = mask.iter().filter(|masked| **masked).count();
            assert_eq!(exact.len(), 3 * count);
            for (place, exact) in places.zip(exact) {
                let gap = f32::from(ours[place]) - exact.clamp(0.0, 255.0);
                assert!(
                    gap.abs() <= 0.5 + PROMISED + ROUNDED,
                    "{}: {gap}",
                    case.name
                );
                let gap = float[place] - exact;
                assert!(
                    gap.abs() <= PROMISED / 255.0 + ROUNDED,
                    "{}: {gap}",
                    case.name
                );
            }
        }
    }
}

#[test]
fn equals_opencv_but_for_one_grey_level() {
    let mut compared = 0;
    for case in cases() {
        for (gradients, opencv) in [
            (Gradients::Normal, &case.opencv_normal),
            (Gradients::Mixed, &case.opencv_mixed),
        ] {
            let Some(opencv) = opencv else { continue };
            let ours = seamless_clone_opencv(
                case.image(&case.source).view(),
                case.image(&case.destination).view(),
                case.mask().view(),
                gradients,
            )
            .unwrap();
            for (ours, opencv) in ours.iter().zip(opencv) {
                assert!(
                    ours.abs_diff(*opencv) <= 1,
                    "{}: {ours} {opencv}",
                    case.name
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 10_000);
}

fn random(seed: u64, height: usize, width: usize) -> (Array3<u8>, Array3<u8>, Array2<bool>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut image = || Array3::from_shape_simple_fn((height, width, 3), || random.random());
    let (source, destination) = (image(), image());
    let mask = Array2::from_shape_simple_fn((height, width), || random.random_bool(0.7));
    (source, destination, mask)
}

const BOTH: [Gradients; 2] = [Gradients::Normal, Gradients::Mixed];

#[test]
fn a_source_that_differs_by_a_constant_changes_nothing() {
    let (_, destination, mask) = random(5, 23, 18);
    let destination = destination.mapv(|value| value / 2);
    let source = destination.mapv(|value| value + 90);
    for gradients in BOTH {
        let run = [seamless_clone::<u8>, seamless_clone_opencv]
            .map(|f| f(source.view(), destination.view(), mask.view(), gradients).unwrap());
        assert_eq!(run, [destination.clone(), destination.clone()]);
    }
}

#[test]
fn every_number_of_channels_gives_what_single_channels_give() {
    let (source, destination, mask) = random(6, 14, 17);
    let wide = |image: &Array3<u8>| {
        let flipped = image.slice(s![.., ..;-1, ..]);
        ndarray::concatenate(Axis(2), &[image.view(), flipped]).unwrap()
    };
    let (source, destination) = (wide(&source), wide(&destination));
    let all = seamless_clone(
        source.view(),
        destination.view(),
        mask.view(),
        Gradients::Mixed,
    )
    .unwrap();
    for channel in 0..6 {
        let one = s![.., .., channel..channel + 1];
        let single = seamless_clone(
            source.slice(one),
            destination.slice(one),
            mask.view(),
            Gradients::Mixed,
        )
        .unwrap();
        let close = |(a, b): (&u8, &u8)| a.abs_diff(*b) <= 1;
        assert!(single.iter().zip(all.slice(one)).all(close));
    }
}

#[test]
fn a_patch_is_the_same_as_a_source_of_full_size() {
    let (source, destination, _) = random(7, 20, 24);
    let mut mask = Array2::from_elem((20, 24), false);
    mask.slice_mut(s![5..12, 8..17]).fill(true);
    let expected = seamless_clone(
        source.view(),
        destination.view(),
        mask.view(),
        Gradients::Normal,
    )
    .unwrap();
    let ours = seamless_clone_at(
        source.slice(s![4..13, 7..18, ..]),
        mask.slice(s![4..13, 7..18]),
        destination.view(),
        (4, 7),
        Gradients::Normal,
    )
    .unwrap();
    assert_eq!(ours, expected);
}

#[test]
fn a_patch_may_leave_the_image() {
    let (patch, destination, mask) = random(8, 9, 9);
    let mask = mask.mapv(|_| true);
    for offset in [(-4, 3), (5, -8), (7, 7)] {
        let ours = seamless_clone_at(
            patch.view(),
            mask.view(),
            destination.view(),
            offset,
            Gradients::Normal,
        )
        .unwrap();
        assert_ne!(ours, destination);
    }
    for offset in [(-9, 0), (0, 9), (isize::MIN, isize::MAX), (isize::MAX, 0)] {
        let ours = seamless_clone_at(
            patch.view(),
            mask.view(),
            destination.view(),
            offset,
            Gradients::Normal,
        )
        .unwrap();
        assert_eq!(ours, destination);
    }
}

#[test]
fn refuses_what_does_not_fit() {
    let (image, _, mask) = random(1, 6, 5);
    let normal = Gradients::Normal;
    let other = image.slice(s![..5, .., ..]);
    assert_eq!(
        seamless_clone(other, image.view(), mask.view(), normal).unwrap_err(),
        Error::Size {
            what: "source",
            expected: (6, 5),
            found: (5, 5)
        }
    );
    let small = mask.slice(s![.., ..4]);
    let error = seamless_clone(image.view(), image.view(), small, normal).unwrap_err();
    assert!(matches!(error, Error::Size { what: "mask", .. }));
    let grey = image.slice(s![.., .., ..1]);
    let error = seamless_clone(grey, image.view(), mask.view(), normal).unwrap_err();
    assert!(matches!(error, Error::Setting { .. }));
    let nothing = image.slice(s![..0, .., ..]);
    let error = seamless_clone(nothing, nothing, mask.slice(s![..0, ..]), normal).unwrap_err();
    assert!(matches!(error, Error::Empty { .. }));
    let mut bad = image.mapv(f32::from);
    bad[[2, 2, 1]] = f32::NAN;
    let error = seamless_clone(bad.view(), bad.view(), mask.view(), normal).unwrap_err();
    assert!(matches!(error, Error::Undefined(_)));
}

/// Large rectangles are solved by sine transforms: a mask that lacks one corner, whose corner is
/// given the rectangle's solution, has the same solution by rounds.
#[test]
fn a_rectangle_is_solved_like_any_shape() {
    let (source, destination, _) = random(10, 71, 80);
    let mut mask = Array2::from_elem((71, 80), false);
    mask.slice_mut(s![1..70, 2..78]).fill(true);
    let float = |image: &Array3<u8>| image.mapv(|value| f32::from(value) / 255.0);
    let (source, mut destination) = (float(&source), float(&destination));
    let run = |destination: &Array3<f32>, mask: &Array2<bool>| {
        let normal = Gradients::Normal;
        seamless_clone(source.view(), destination.view(), mask.view(), normal).unwrap()
    };
    let whole = run(&destination, &mask);
    mask[[1, 2]] = false;
    destination
        .slice_mut(s![1, 2, ..])
        .assign(&whole.slice(s![1, 2, ..]));
    for (a, b) in run(&destination, &mask).iter().zip(&whole) {
        assert!((a - b).abs() <= PROMISED / 255.0);
    }
}

/// A spiral one pixel wide is the hardest shape for a multigrid method.
#[test]
fn a_winding_mask_is_solved() {
    let n = 61;
    let mut mask = Array2::from_elem((n, n), false);
    for ring in (2..n / 2).step_by(4) {
        for at in ring..n - ring {
            mask[[ring, at]] = true;
            mask[[n - 1 - ring, at]] = true;
            mask[[at, n - 1 - ring]] = true;
            mask[[at, ring]] = at != ring + 1;
        }
    }
    let (source, destination, _) = random(9, n, n);
    let once = seamless_clone(
        source.view(),
        destination.view(),
        mask.view(),
        Gradients::Normal,
    )
    .unwrap();
    assert_ne!(once, destination);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn flips_and_transposition_commute(
        seed in any::<u64>(), height in 1_usize..20, width in 1_usize..20,
    ) {
        let (source, destination, mask) = random(seed, height, width);
        for gradients in BOTH {
            let plain =
                seamless_clone(source.view(), destination.view(), mask.view(), gradients).unwrap();
            let flip = s![..;-1, .., ..];
            let flipped = seamless_clone(
                source.slice(flip),
                destination.slice(flip),
                mask.slice(s![..;-1, ..]),
                gradients,
            )
            .unwrap();
            let swap = |image: &Array3<u8>| image.view().permuted_axes([1, 0, 2]).to_owned();
            let swapped = seamless_clone(
                swap(&source).view(),
                swap(&destination).view(),
                mask.t(),
                gradients,
            )
            .unwrap();
            // Each is within a tenth of the solution before rounding.
            for (other, back) in [(flipped.slice(flip), plain.view()), (swapped.view(), swap(&plain).view())] {
                prop_assert!(other.iter().zip(back).all(|(a, b)| a.abs_diff(*b) <= 1));
            }
            for ((y, x), &masked) in mask.indexed_iter() {
                if !masked {
                    prop_assert_eq!(plain.slice(s![y, x, ..]), destination.slice(s![y, x, ..]));
                }
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing(seed in any::<u64>()) {
        let (source, destination, mask) = random(seed, 37, 41);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mixed = Gradients::Mixed;
                let (source, destination) = (source.view(), destination.view());
                (
                    seamless_clone(source, destination, mask.view(), mixed).unwrap(),
                    seamless_clone_opencv(source, destination, mask.view(), mixed).unwrap(),
                )
            })
        };
        prop_assert_eq!(run(1), run(3));
    }

    /// Between equal ends a row is the source's detail without its slope.
    #[test]
    fn a_row_is_solved_in_closed_form(values in prop::collection::vec(0.0_f32..0.5, 3..12)) {
        let last = values.len() - 1;
        let source = Array1::from(values);
        let column = |row: &Array1<f32>| row.clone().insert_axis(Axis(0)).insert_axis(Axis(2));
        let destination = column(&source.mapv(|_| 0.25));
        let mask = Array2::from_shape_fn((1, last + 1), |(_, x)| x > 0 && x < last);
        let ours = seamless_clone(
            column(&source).view(), destination.view(), mask.view(), Gradients::Normal,
        )
        .unwrap();
        for x in 0..=last {
            let along = x as f32 / last as f32;
            let line = source[0] + along * (source[last] - source[0]);
            let gap = 255.0 * (ours[[0, x, 0]] - (0.25 + source[x] - line));
            prop_assert!(gap.abs() <= PROMISED, "{x}: {gap}");
        }
    }
}
