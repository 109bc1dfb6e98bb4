//! Splits and folds that never put one case on two sides.
//!
//! Images that share a case, a slide or a group belong together, and so do images that are
//! linked through others. These *units* are dealt out as a whole, so that every part gets close
//! to its share of the images of every class (stratified group folds, as scikit-learn's
//! `StratifiedGroupKFold` aims at).

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Result};
use crate::images::{ImageRecord, Split};

/// The unit of every image, numbered from 0 in order of first appearance.
///
/// Two images are in one unit when they have the same (non-empty) case, slide or group, or are
/// linked by a chain of such images. An image that names none of them is a unit of its own.
pub fn independent_units(images: &[ImageRecord]) -> Vec<usize> {
    let mut parents: Vec<usize> = (0..images.len()).collect();
    let mut first: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (index, image) in images.iter().enumerate() {
        for link in image.belongs_to() {
            let other = *first.entry(link).or_insert(index);
            let (a, b) = (root(&mut parents, index), root(&mut parents, other));
            parents[a.max(b)] = a.min(b);
        }
    }
    let mut numbers = BTreeMap::new();
    (0..images.len())
        .map(|index| {
            let next = numbers.len();
            *numbers.entry(root(&mut parents, index)).or_insert(next)
        })
        .collect()
}

fn root(parents: &mut [usize], mut index: usize) -> usize {
    while parents[index] != index {
        parents[index] = parents[parents[index]];
        index = parents[index];
    }
    index
}

/// Deals units into `folds` folds of about equal size and class composition.
///
/// `classes[i]` is the class of item `i`, `None` where it is unlabelled (such items count as a
/// class of their own, so that they spread too). Returns the fold of every item.
///
/// # Errors
/// Fewer than two folds, or fewer units than folds.
pub fn assign_folds(
    units: &[usize],
    classes: &[Option<usize>],
    folds: usize,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<usize>> {
    let count = units.iter().max().map_or(0, |last| last + 1);
    if folds < 2 {
        return Err(Error::request("cross-validation needs at least 2 folds"));
    }
    if count < folds {
        return Err(Error::split(format!(
            "{folds} folds need at least {folds} independent cases; there are {count}"
        ))
        .with_help("Use fewer folds, or check the case, slide and group columns of images.csv."));
    }
    Ok(deal(units, classes, &vec![1.0; folds], rng))
}

/// Shares of the images for training, validation and test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proportions {
    /// Share for training; the rest of the two others.
    pub train: f64,
    /// Share for validation; may be 0.
    pub validation: f64,
    /// Share for test; may be 0.
    pub test: f64,
}

/// Shares that add up to 1 in decimal numbers may miss it by so much in binary ones.
const ROUNDING: f64 = 1e-9;

impl Proportions {
    /// Training gets what validation and test leave.
    ///
    /// # Errors
    /// A share is negative or not a number, or nothing is left for training.
    pub fn new(validation: f64, test: f64) -> Result<Self> {
        let train = 1.0 - (validation + test);
        if validation >= 0.0 && test >= 0.0 && train > ROUNDING {
            Ok(Self {
                train,
                validation,
                test,
            })
        } else {
            Err(Error::request(format!(
                "shares of {validation} for validation and {test} for test leave nothing to train on"
            ))
            .with_help("Give shares such as `--validation 0.1 --test 0.2`."))
        }
    }
}

/// Deals units into training, validation and test. Returns the split of every item.
///
/// # Errors
/// There are fewer units than parts with a share above 0.
pub fn assign_splits(
    units: &[usize],
    classes: &[Option<usize>],
    proportions: Proportions,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Split>> {
    let parts: Vec<(Split, f64)> = [
        (Split::Train, proportions.train),
        (Split::Validation, proportions.validation),
        (Split::Test, proportions.test),
    ]
    .into_iter()
    .filter(|(_, share)| *share > 0.0)
    .collect();
    let count = units.iter().max().map_or(0, |last| last + 1);
    if count < parts.len() {
        return Err(Error::split(format!(
            "{} parts need at least {} independent cases; there are {count}",
            parts.len(),
            parts.len()
        )));
    }
    let shares: Vec<f64> = parts.iter().map(|(_, share)| *share).collect();
    Ok(deal(units, classes, &shares, rng)
        .into_iter()
        .map(|part| parts[part].0)
        .collect())
}

/// Greedy dealing, largest and least balanced units first: each unit goes to the part where the
/// squared deviation of all class counts from their targets grows least; an empty part is filled
/// before units run out. Ties fall to the part that is furthest below its target, then to the
/// lower number.
fn deal(
    units: &[usize],
    classes: &[Option<usize>],
    shares: &[f64],
    rng: &mut ChaCha8Rng,
) -> Vec<usize> {
    let unit_count = units.iter().max().map_or(0, |last| last + 1);
    // Unlabelled items are the last class.
    let class_count = classes.iter().flatten().max().map_or(0, |last| last + 1) + 1;
    let mut content = vec![vec![0.0f64; class_count]; unit_count];
    let mut totals = vec![0.0f64; class_count];
    for (&unit, class) in units.iter().zip(classes) {
        let class = class.unwrap_or(class_count - 1);
        content[unit][class] += 1.0;
        totals[class] += 1.0;
    }
    let mut order: Vec<usize> = (0..unit_count).collect();
    order.shuffle(rng);
    // Rare classes weigh as much as common ones, so deviations are relative to the class total.
    let weight: Vec<f64> = totals
        .iter()
        .map(|&total| if total > 0.0 { 1.0 / total } else { 0.0 })
        .collect();
    let heaviness = |unit: usize| -> f64 {
        content[unit]
            .iter()
            .zip(&weight)
            .map(|(count, weight)| (count * weight).powi(2))
            .sum()
    };
    order.sort_by(|&a, &b| heaviness(b).total_cmp(&heaviness(a)));

    let share_sum: f64 = shares.iter().sum();
    let mut filled = vec![vec![0.0f64; class_count]; shares.len()];
    let mut units_in = vec![0usize; shares.len()];
    let mut part_of_unit = vec![0usize; unit_count];
    for (done, &unit) in order.iter().enumerate() {
        let empty = units_in.iter().filter(|&&count| count == 0).count();
        let must_fill = unit_count - done <= empty;
        let cost = |part: usize| -> (f64, f64) {
            let (mut growth, mut fill) = (0.0, 0.0);
            for class in 0..class_count {
                let target = totals[class] * shares[part] / share_sum;
                let (now, added) = (filled[part][class], content[unit][class]);
                let scale = weight[class] * share_sum / shares[part];
                growth +=
                    ((now + added - target) * scale).powi(2) - ((now - target) * scale).powi(2);
                fill += now * scale;
            }
            (growth, fill)
        };
        let part = (0..shares.len())
            .filter(|&part| !must_fill || units_in[part] == 0)
            .map(|part| (cost(part), part))
            .min_by(|(a, x), (b, y)| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(x.cmp(y)))
            .map_or(0, |(_, part)| part);
        for class in 0..class_count {
            filled[part][class] += content[unit][class];
        }
        units_in[part] += 1;
        part_of_unit[unit] = part;
    }
    units.iter().map(|&unit| part_of_unit[unit]).collect()
}

/// One case, slide or group that is on more than one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// `case`, `slide` or `group`.
    pub level: &'static str,
    /// Which one.
    pub name: String,
    /// An image on one side.
    pub first: String,
    /// An image on another side.
    pub second: String,
}

/// Finds cases, slides and groups that `side` puts on more than one side; each is named once,
/// sorted by level and name. Images with side `None` take no part.
pub fn leaks<T: PartialEq>(images: &[ImageRecord], side: &[Option<T>]) -> Vec<Leak> {
    let mut leaks = Vec::new();
    let mut seen: BTreeMap<(&str, &str), (usize, bool)> = BTreeMap::new();
    for (index, image) in images
        .iter()
        .enumerate()
        .filter(|(index, _)| side[*index].is_some())
    {
        for link @ (level, name) in image.belongs_to() {
            let (first, reported) = seen.entry(link).or_insert((index, false));
            if side[*first] != side[index] && !*reported {
                *reported = true;
                leaks.push(Leak {
                    level,
                    name: name.to_owned(),
                    first: images[*first].id.clone(),
                    second: image.id.clone(),
                });
            }
        }
    }
    leaks.sort_by(|a, b| (a.level, &a.name).cmp(&(b.level, &b.name)));
    leaks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::rand_core::SeedableRng;

    fn image(id: usize, case: &str, slide: &str) -> ImageRecord {
        ImageRecord {
            id: id.to_string(),
            case: case.into(),
            slide: slide.into(),
            ..Default::default()
        }
    }

    #[test]
    fn units_follow_chains_of_cases_and_slides() {
        let images = [
            image(0, "a", "1"),
            image(1, "", "1"),
            image(2, "b", ""),
            image(3, "", ""),
            image(4, "b", "2"),
        ];
        assert_eq!(independent_units(&images), [0, 0, 1, 2, 1]);
    }

    #[test]
    fn leaks_are_named() {
        let images = [
            image(0, "a", ""),
            image(1, "a", ""),
            image(2, "b", ""),
            image(3, "a", ""),
        ];
        let sides = [Some(0), Some(1), Some(1), Some(0)];
        let found = leaks(&images, &sides);
        assert_eq!(
            found,
            [Leak {
                level: "case",
                name: "a".into(),
                first: "0".into(),
                second: "1".into()
            }]
        );
        assert!(leaks(&images, &[Some(0), None, Some(1), Some(0)]).is_empty());
    }

    #[test]
    fn rounding_leaves_nothing_to_train_on() {
        for (validation, test) in [(0.7, 0.3), (0.3, 0.7), (0.1, 0.9), (0.9, 0.1), (0.4, 0.6)] {
            let error = Proportions::new(validation, test).unwrap_err();
            assert!(error.to_string().contains("nothing to train on"), "{error}");
        }
        for (validation, test) in [(0.2, 0.1), (0.1, 0.2), (0.0, 0.2), (0.3, 0.69)] {
            let shares = Proportions::new(validation, test).unwrap();
            assert!((shares.train + validation + test - 1.0).abs() < ROUNDING);
        }
    }

    #[test]
    fn too_few_cases_are_refused() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let error = assign_folds(&[0, 0, 1], &[Some(0), Some(1), None], 3, &mut rng).unwrap_err();
        assert_eq!(
            error.to_string(),
            "3 folds need at least 3 independent cases; there are 2"
        );
    }

    proptest! {
        #[test]
        fn folds_keep_units_whole_fill_every_fold_and_balance_classes(
            sizes in prop::collection::vec((1usize..12, 0usize..3), 12..60), folds in 2usize..6, seed: u64,
        ) {
            let (mut units, mut classes) = (Vec::new(), Vec::new());
            for (unit, &(size, class)) in sizes.iter().enumerate() {
                for item in 0..size {
                    units.push(unit);
                    classes.push(if item % 5 == 4 { None } else { Some(class) });
                }
            }
            let dealt = assign_folds(&units, &classes, folds, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
            let again = assign_folds(&units, &classes, folds, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
            prop_assert_eq!(&dealt, &again);
            let mut fold_of_unit = vec![None; sizes.len()];
            let mut filled = vec![0usize; folds];
            for (&unit, &fold) in units.iter().zip(&dealt) {
                prop_assert!(fold_of_unit[unit].is_none_or(|known| known == fold));
                fold_of_unit[unit] = Some(fold);
                filled[fold] += 1;
            }
            prop_assert!(filled.iter().all(|&count| count > 0));
            // A greedy deal is never further from even than about one largest unit per class.
            let largest = sizes.iter().map(|s| s.0).max().unwrap();
            for class in 0..3 {
                let counts: Vec<usize> = (0..folds).map(|fold| {
                    dealt.iter().zip(&classes).filter(|&(&f, &c)| f == fold && c == Some(class)).count()
                }).collect();
                let spread = counts.iter().max().unwrap() - counts.iter().min().unwrap();
                prop_assert!(spread <= 3 * largest, "class {class}: {counts:?}");
            }
        }
    }
}
