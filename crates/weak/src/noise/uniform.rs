//! Uniform (symmetric) label noise with an exact count.
//!
//! ```text
//! changed = round(rate · items), drawn without replacement
//! given   = any class but the true one, all equally likely
//! ```
//!
//! The form of Dedieu et al., arXiv:2404.07605, whose count is truncated instead of rounded. Note
//! that some papers flip to *any* class, the true one included: their rate `r` over `K` classes
//! is `r (K - 1) / K` here.

use rand_chacha::ChaCha8Rng;

use super::{
    NoiseError, Noisy, by_class, check_labels, check_rate, count, largest_remainder, other_class,
    sample_front,
};

/// Which items uniform noise may hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Uniform {
    /// Any items, so that rates per class vary by chance.
    #[default]
    Anywhere,
    /// The same share of every class, by largest remainder; the total is the same.
    PerClass,
}

/// Changes `round(rate · items)` labels to a different class.
///
/// # Errors
/// A rate outside 0 to 1; fewer than two classes; a label outside them.
pub fn uniform(
    labels: &[usize],
    classes: usize,
    rate: f64,
    spread: Uniform,
    rng: &mut ChaCha8Rng,
) -> Result<Noisy, NoiseError> {
    check_rate(rate)?;
    check_labels(labels, classes)?;
    let wanted = count(rate, labels.len());
    let (mut groups, counts) = match spread {
        Uniform::Anywhere => (vec![(0..labels.len()).collect()], vec![wanted]),
        Uniform::PerClass => {
            let groups = by_class(labels, classes);
            let shares: Vec<f64> = groups
                .iter()
                .map(|group| group.len() as f64 / labels.len().max(1) as f64)
                .collect();
            (groups, largest_remainder(wanted, &shares))
        }
    };
    let mut noisy = labels.to_vec();
    for (group, &wanted) in groups.iter_mut().zip(&counts) {
        sample_front(group, wanted, rng);
        for &item in &group[..wanted] {
            noisy[item] = other_class(labels[item], classes, rng);
        }
    }
    Ok(Noisy::new(labels, noisy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn run(labels: &[usize], classes: usize, rate: f64) -> Result<Noisy, NoiseError> {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        uniform(labels, classes, rate, Uniform::Anywhere, &mut rng)
    }

    #[test]
    fn every_wrong_class_is_equally_likely() {
        let labels = vec![1; 9000];
        let noisy = run(&labels, 4, 1.0).unwrap();
        assert_eq!(noisy.changes.len(), 9000);
        for class in [0, 2, 3] {
            let got = noisy.labels.iter().filter(|&&label| label == class).count();
            // Binomial(9000, 1/3) has a standard deviation of 45; five of them.
            assert!(got.abs_diff(3000) < 225, "class {class}: {got}");
        }
    }

    #[test]
    fn bad_input_is_refused() {
        let message =
            |labels: &[usize], classes, rate| run(labels, classes, rate).unwrap_err().to_string();
        assert_eq!(
            message(&[0, 1], 2, 20.0),
            "the noise rate is 20, but must be from 0 to 1 (0.2 for 20 %)"
        );
        assert!(message(&[0, 1], 2, f64::NAN).starts_with("the noise rate is NaN"));
        assert_eq!(
            message(&[0, 0], 1, 0.5),
            "there are 1 classes, but wrong labels need at least two"
        );
        assert_eq!(
            message(&[0, 3], 2, 0.5),
            "item 1 has class 3, but there are only 2 classes"
        );
    }

    #[test]
    fn no_items_no_noise() {
        assert_eq!(run(&[], 2, 0.5).unwrap().changes, []);
    }
}
