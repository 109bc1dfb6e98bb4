//! A mean in which the lowest scores weigh most.

/// The mean of scores weighted by exp(−score / temperature), of parts that are joined in order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Softmin {
    lowest: f64,
    /// Relative to that of the lowest score, so that it neither overflows nor vanishes.
    weights: f64,
    weighted: f64,
}

impl Softmin {
    pub(crate) fn empty(lowest: f64) -> Self {
        Self {
            lowest,
            weights: 0.0,
            weighted: 0.0,
        }
    }

    pub(crate) fn add(&mut self, score: f64, temperature: f64) {
        let weight = ((self.lowest - score) / temperature).exp();
        self.weights += weight;
        self.weighted += weight * score;
    }

    pub(crate) fn join(&mut self, other: &Self, temperature: f64) {
        if other.weights == 0.0 {
            return;
        }
        if self.weights == 0.0 {
            *self = *other;
            return;
        }
        let lowest = self.lowest.min(other.lowest);
        let mine = ((lowest - self.lowest) / temperature).exp();
        let theirs = ((lowest - other.lowest) / temperature).exp();
        self.lowest = lowest;
        self.weights = self.weights * mine + other.weights * theirs;
        self.weighted = self.weighted * mine + other.weighted * theirs;
    }

    /// `None` if nothing was added.
    pub(crate) fn score(&self) -> Option<f64> {
        (self.weights > 0.0).then(|| self.weighted / self.weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_join_to_the_whole_and_low_scores_weigh_most() {
        let scores = [0.9, 0.1, 0.5, 0.5, 0.0, 1.0];
        let of = |scores: &[f64]| {
            let lowest = scores.iter().copied().fold(f64::INFINITY, f64::min);
            let mut softmin = Softmin::empty(lowest);
            for &score in scores {
                softmin.add(score, 0.1);
            }
            softmin
        };
        let whole = of(&scores).score().unwrap();
        let mut joined = of(&scores[..2]);
        joined.join(&of(&[]), 0.1);
        joined.join(&of(&scores[2..]), 0.1);
        assert!((joined.score().unwrap() - whole).abs() < 1e-15);
        assert!(whole < 0.1 && of(&[]).score().is_none());
        assert_eq!(of(&[0.25]).score(), Some(0.25));
    }
}
