//! Spatial noise against scikit-image, and Markov border noise against its formula in numpy
//! (`oracles/spatial_noise.py`).
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use cleanslide_weak::noise::spatial::{
    Habit, InstanceMask, MarkovBorder, Mistake, expert_bias, markov_borders, markov_masks,
    split_objects,
};
use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("goldens/spatial_noise.json")).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn picture(value: &Value) -> Array2<u32> {
    let rows = list(value);
    let pixels = rows.iter().flat_map(list);
    let pixels = pixels.map(|pixel| pixel.as_u64().unwrap() as u32).collect();
    Array2::from_shape_vec((rows.len(), list(&rows[0]).len()), pixels).unwrap()
}

fn places(value: &Value) -> BTreeSet<(usize, usize)> {
    let pair = |at: &Value| {
        let number = |index: usize| list(at)[index].as_u64().unwrap() as usize;
        (number(0), number(1))
    };
    list(value).iter().map(pair).collect()
}

fn instances(labels: &Array2<u32>) -> InstanceMask {
    let count = labels.iter().copied().max().unwrap() as usize;
    InstanceMask::new(labels.clone(), vec![0; count]).unwrap()
}

#[test]
fn larger_objects_are_those_of_expand_labels() {
    for case in list(&golden()["cases"]) {
        let images = [instances(&picture(&case["labels"]))];
        for expected in list(&case["expanded"]) {
            let pixels = expected["radius"].as_f64().unwrap();
            let noisy = expert_bias(&images, &[Habit::Outline { pixels }]).unwrap();
            let (ties, labels) = (places(&expected["ties"]), picture(&expected["labels"]));
            for (at, &found) in noisy.images()[0].mask().indexed_iter() {
                let same = found == labels[at];
                assert!(
                    same || (ties.contains(&at) && found != 0),
                    "radius {pixels} at {at:?}"
                );
            }
        }
    }
}

#[test]
fn smaller_objects_are_those_of_erosion_with_a_disk() {
    for case in list(&golden()["cases"]) {
        let images = [instances(&picture(&case["labels"]))];
        for expected in list(&case["eroded"]) {
            let pixels = -expected["radius"].as_f64().unwrap();
            let noisy = expert_bias(&images, &[Habit::Outline { pixels }]).unwrap();
            let labels = picture(&expected["labels"]);
            let missed: Vec<u32> = noisy
                .changes()
                .iter()
                .filter(|change| change.mistakes == [Mistake::Missed])
                .map(|change| change.truth[0].index as u32 + 1)
                .collect();
            let all = 1..=images[0].classes().len() as u32;
            let gone = |number: &u32| labels.iter().all(|label| label != number);
            assert_eq!(missed, all.clone().filter(gone).collect::<Vec<_>>());
            // What remains is numbered anew, in the same order.
            let left: Vec<u32> = all.filter(|number| !gone(number)).collect();
            let found = noisy.images()[0].mask().mapv(|value| match value {
                0 => 0,
                value => left[value as usize - 1],
            });
            assert_eq!(found, labels, "radius {pixels}");
        }
    }
}

#[test]
fn objects_are_cut_across_their_long_axis() {
    for case in list(&golden()["cases"]) {
        let labels = picture(&case["labels"]);
        let images = [instances(&labels)];
        let objects = images[0].classes().len();
        let two = (0..objects as u32)
            .all(|object| labels.iter().filter(|&&label| label == object + 1).count() > 1);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let noisy = split_objects(&images, 1.0, &mut rng);
        if !two {
            let message = noisy.unwrap_err().to_string();
            assert!(
                message.starts_with("the rate asks for 1 split objects, but"),
                "{message}"
            );
            continue;
        }
        let noisy = noisy.unwrap();
        let (side, unsure) = (
            picture(&case["split"]["side"]),
            places(&case["split"]["unsure"]),
        );
        for number in list(&case["split"]["clear"]) {
            let index = number.as_u64().unwrap() as usize - 1;
            let change = &noisy.changes()[index];
            let second = change.given[1] as u32 + 1;
            let shape = &change.truth[0].object.shape;
            let sides: BTreeSet<bool> = shape
                .pixels()
                .filter(|at| !unsure.contains(at))
                .map(|at| (noisy.images()[0].mask()[at] == second) == (side[at] == 1))
                .collect();
            assert_eq!(sides.len(), 1, "object {index}");
        }
    }
}

/// Area, area of the largest part, Dice coefficient with the truth, border pixels.
fn measures(truth: &Array2<bool>, noisy: &Array2<bool>) -> [f64; 4] {
    let area = |mask: &Array2<bool>| mask.iter().filter(|&&inside| inside).count() as f64;
    let both = truth
        .iter()
        .zip(noisy)
        .filter(|(truth, noisy)| **truth && **noisy);
    let (_, parts) = cleanslide_image::region::components_with_statistics(
        noisy.view(),
        cleanslide_image::region::Neighbours::Eight,
    )
    .unwrap();
    let largest = parts.iter().map(|part| part.area).max().unwrap_or(0) as f64;
    let outside = |y: usize, x: usize| noisy.get((y, x)) == Some(&false);
    let border = noisy.indexed_iter().filter(|&((y, x), &inside)| {
        inside
            && (outside(y.wrapping_sub(1), x)
                || outside(y, x.wrapping_sub(1))
                || outside(y + 1, x)
                || outside(y, x + 1))
    });
    let dice = 2.0 * both.count() as f64 / (area(truth) + area(noisy));
    [area(noisy), largest, dice, border.count() as f64]
}

/// Means and standard deviations agree with the oracle's as those of samples of this size do.
fn assert_alike(name: &str, expected: &Value, runs: &[[f64; 4]], which: &[usize]) {
    for &measure in which {
        let count = runs.len() as f64;
        let mean = runs.iter().map(|run| run[measure]).sum::<f64>() / count;
        let squares: f64 = runs.iter().map(|run| (run[measure] - mean).powi(2)).sum();
        let deviation = (squares / (count - 1.0)).sqrt();
        let theirs = |key: &str| expected[key][measure].as_f64().unwrap();
        let their_runs = expected["runs"].as_f64().unwrap();
        let error = (deviation.powi(2) / count + theirs("deviations").powi(2) / their_runs).sqrt();
        let off = (mean - theirs("means")) / error;
        // Chance exceeds four and a half standard errors once in 150,000 comparisons.
        assert!(
            off.abs() < 4.5,
            "{name}, measure {measure}: mean {mean}, {off} standard errors off"
        );
        // The standard error of the ratio is near sqrt(1 / 240 + 1 / 800) = 0.07 for normal values.
        let ratio = deviation / theirs("deviations");
        assert!(
            (0.75..1.33).contains(&ratio),
            "{name}, measure {measure}: deviations {ratio}"
        );
    }
}

#[test]
fn markov_borders_wander_as_published() {
    for expected in list(&golden()["markov"]) {
        let number = |key: &str| expected[key].as_f64().unwrap();
        let settings = MarkovBorder {
            steps: number("steps") as usize,
            growth: number("growth"),
            change: number("change"),
            flips: number("flips"),
        };
        let side = number("side") as usize;
        let middle = (side as f64 - 1.0) / 2.0;
        let disc = Array2::from_shape_fn((side, side), |(y, x)| {
            let (down, right) = (y as f64 - middle, x as f64 - middle);
            down * down + right * right <= number("radius").powi(2)
        });
        let mut rng = ChaCha8Rng::seed_from_u64(17);

        let mask = disc.mapv(u8::from);
        let masks = vec![mask.view(); 120];
        let noisy = markov_masks(&masks, &[1], 1.0, &settings, &mut rng).unwrap();
        let runs: Vec<_> = noisy
            .masks
            .iter()
            .map(|mask| measures(&disc, &mask.mapv(|class| class == 1)))
            .collect();
        assert_alike("class mask", expected, &runs, &[0, 1, 2, 3]);

        let images = vec![InstanceMask::new(disc.mapv(u32::from), vec![0]).unwrap(); 120];
        let noisy = markov_borders(&images, 1.0, &settings, &mut rng).unwrap();
        let runs: Vec<_> = noisy
            .images()
            .iter()
            .map(|image| measures(&disc, &image.mask().mapv(|value| value == 1)))
            .collect();
        // An instance is its largest part.
        assert_alike("instance", expected, &runs, &[1]);
    }
}
