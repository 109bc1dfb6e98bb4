//! Instance-dependent label noise: hard items get wrong labels, as people give them.
//!
//! ```text
//! changed = round(rate · items), an exact total
//! which   = Hardest:  the items of greatest difficulty
//!           Weighted: drawn without replacement, chances in proportion to difficulty
//! given   = the most probable class but the true one, where probabilities are given;
//!           else any class but the true one, all equally likely
//! ```
//!
//! `Hardest` with [`mislabelling_score`] and probabilities is the form of Chen et al., *Beyond
//! class-conditional assumption: a primary attempt to combat instance-dependent label noise*,
//! AAAI 2021, arXiv:2012.05458, where the probabilities are a network's softmax averaged over its
//! training epochs. `Weighted` keeps its target classes but lets easy items err too, so that
//! difficulty does not separate wrong labels from right ones; it stands in for Xia et al.,
//! *Part-dependent label noise*, NeurIPS 2020, arXiv:2006.07836, whose flip rate per item is
//! random around the mean and whose target comes from a random projection of the features, for
//! data where difficulties are known and features are not. Ours is not that algorithm.

use ndarray::ArrayView2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{NoiseError, Noisy, check_labels, check_rate, count, other_class};

/// Which items get a wrong label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Selection {
    /// Drawn without replacement with chances in proportion to difficulty (successive sampling);
    /// items of difficulty 0 never.
    #[default]
    Weighted,
    /// Those of greatest difficulty; equal ones in random order.
    Hardest,
}

/// Changes `round(rate · items)` labels, preferably of difficult items.
///
/// `difficulty` has one value of 0 or more per item, on any scale. `probabilities`, \[items,
/// classes\], are a model's; with them the wrong class is the runner-up (the most probable class
/// but the true one, the lowest among equals).
///
/// # Errors
/// A rate outside 0 to 1; fewer than two classes; a label outside them; difficulties or
/// probabilities of another length, negative, infinite or NaN; with [`Selection::Weighted`], fewer
/// items of difficulty above 0 than labels to change.
pub fn instance_dependent(
    labels: &[usize],
    classes: usize,
    rate: f64,
    difficulty: &[f64],
    probabilities: Option<ArrayView2<f32>>,
    selection: Selection,
    rng: &mut ChaCha8Rng,
) -> Result<Noisy, NoiseError> {
    check_rate(rate)?;
    check_labels(labels, classes)?;
    check_difficulty(labels, difficulty)?;
    if let Some(probabilities) = probabilities {
        check_probabilities(labels, classes, probabilities)?;
    }
    let wanted = count(rate, labels.len());
    let possible = difficulty.iter().filter(|&&value| value > 0.0).count();
    if selection == Selection::Weighted && possible < wanted {
        return Err(NoiseError::TooFewDifficult { wanted, possible });
    }

    let mut order: Vec<(f64, f64, usize)> = difficulty
        .iter()
        .enumerate()
        .map(|(item, &difficulty)| {
            // In (0, 1], so that the logarithm is finite.
            let drawn = 1.0 - rng.random::<f64>();
            let key = match selection {
                // The smallest of exponential waiting times with rates `difficulty` come first:
                // Efraimidis and Spirakis, doi:10.1016/j.ipl.2005.11.003.
                Selection::Weighted => -drawn.ln() / difficulty,
                Selection::Hardest => -difficulty,
            };
            // A weight of 0 and a draw of 1 make NaN; such an item comes last too.
            (if key.is_nan() { f64::INFINITY } else { key }, drawn, item)
        })
        .collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));

    let mut noisy = labels.to_vec();
    for &(_, _, item) in &order[..wanted] {
        noisy[item] = match probabilities {
            Some(probabilities) => runner_up(labels[item], probabilities, item).0,
            None => other_class(labels[item], classes, rng),
        };
    }
    Ok(Noisy::new(labels, noisy))
}

/// Difficulty of each item as the model's greatest probability of a class but the true one, from
/// 0 to 1: the score of Chen et al. 2021.
///
/// # Errors
/// Fewer than two classes; a label outside them; another number of items; a value outside 0 to 1.
pub fn mislabelling_score(
    labels: &[usize],
    probabilities: ArrayView2<f32>,
) -> Result<Vec<f64>, NoiseError> {
    let classes = probabilities.ncols();
    check_labels(labels, classes)?;
    check_probabilities(labels, classes, probabilities)?;
    Ok(labels
        .iter()
        .enumerate()
        .map(|(item, &label)| f64::from(runner_up(label, probabilities, item).1))
        .collect())
}

/// The most probable class but the true one, with its probability.
fn runner_up(label: usize, probabilities: ArrayView2<f32>, item: usize) -> (usize, f32) {
    let first = usize::from(label == 0);
    let row = probabilities.row(item);
    let others = (0..row.len()).filter(|&class| class != label);
    let best = others.fold(
        first,
        |best, class| if row[class] > row[best] { class } else { best },
    );
    (best, row[best])
}

fn check_difficulty(labels: &[usize], difficulty: &[f64]) -> Result<(), NoiseError> {
    if difficulty.len() != labels.len() {
        return Err(NoiseError::Shape {
            what: "difficulties",
            found: vec![difficulty.len()],
            expected: vec![labels.len()],
        });
    }
    match difficulty
        .iter()
        .position(|&value| !(value >= 0.0 && value.is_finite()))
    {
        None => Ok(()),
        Some(item) => Err(NoiseError::Difficulty {
            item,
            value: difficulty[item],
        }),
    }
}

fn check_probabilities(
    labels: &[usize],
    classes: usize,
    probabilities: ArrayView2<f32>,
) -> Result<(), NoiseError> {
    let (rows, columns) = probabilities.dim();
    if (rows, columns) != (labels.len(), classes) {
        return Err(NoiseError::Shape {
            what: "probabilities",
            found: vec![rows, columns],
            expected: vec![labels.len(), classes],
        });
    }
    for ((item, class), &value) in probabilities.indexed_iter() {
        if !(0.0..=1.0).contains(&value) {
            return Err(NoiseError::Probability {
                item,
                class,
                value: f64::from(value),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use rand::SeedableRng;

    fn rng() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(5)
    }

    #[test]
    fn the_hardest_go_to_their_runner_up() {
        let labels = [0, 1, 2, 0];
        let probabilities = array![
            [0.9f32, 0.06, 0.04],
            [0.1, 0.4, 0.5],
            [0.3, 0.3, 0.4],
            [0.2, 0.0, 0.8]
        ];
        let difficulty = mislabelling_score(&labels, probabilities.view()).unwrap();
        assert_eq!(difficulty, [0.06f32, 0.5, 0.3, 0.8].map(f64::from));
        let noisy = instance_dependent(
            &labels,
            3,
            0.75,
            &difficulty,
            Some(probabilities.view()),
            Selection::Hardest,
            &mut rng(),
        );
        assert_eq!(noisy.unwrap().labels, [0, 2, 0, 2]);
    }

    #[test]
    fn chances_follow_difficulty() {
        // Half of the items are three times as difficult: at a low rate, three times as often.
        let labels = vec![0; 40_000];
        let difficulty: Vec<f64> = (0..40_000)
            .map(|i| if i % 2 == 0 { 3.0 } else { 1.0 })
            .collect();
        let noisy = instance_dependent(
            &labels,
            2,
            0.02,
            &difficulty,
            None,
            Selection::Weighted,
            &mut rng(),
        )
        .unwrap();
        assert_eq!(noisy.changes.len(), 800);
        let hard = noisy
            .changes
            .iter()
            .filter(|change| change.item % 2 == 0)
            .count();
        // Close to Binomial(800, 3/4): standard deviation 12; five of them.
        assert!(hard.abs_diff(600) < 61, "{hard}");
    }

    #[test]
    fn bad_input_is_refused() {
        let message = |difficulty: &[f64], rate| {
            let selection = Selection::Weighted;
            instance_dependent(&[0, 1], 2, rate, difficulty, None, selection, &mut rng())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            message(&[1.0], 0.5),
            "difficulties: the shape is [1], but [2] is needed"
        );
        assert_eq!(
            message(&[1.0, f64::NAN], 0.5),
            "the difficulty of item 1 is NaN, but must be 0 or more and finite"
        );
        assert!(message(&[1.0, 0.0], 1.0).starts_with("2 labels should change, but only 1 items"));
        let logits = array![[0.5f32, 0.5], [7.0, 0.1]];
        assert_eq!(
            mislabelling_score(&[0, 1], logits.view())
                .unwrap_err()
                .to_string(),
            "the probability of class 0 on item 1 is 7, but must be from 0 to 1"
        );
    }
}
