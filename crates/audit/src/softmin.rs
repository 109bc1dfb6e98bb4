//! A mean in which the lowest scores weigh most.

use pulp::{Arch, Simd, WithSimd};

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

    /// Of all these scores; infinite ones are none. On every processor the same to the last bit.
    pub(crate) fn of(scores: &[f32], temperature: f64) -> Self {
        Arch::new().dispatch(Scores {
            scores,
            rate: 1.0 / temperature,
        })
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

/// Scores that are added up side by side, in the order of their places.
const LANES: usize = 8;

/// Scores whose weights are computed before any is added: a loop that does nothing else is one of
/// vectors.
const BLOCK: usize = 64;

struct Scores<'a> {
    scores: &'a [f32],
    rate: f64,
}

impl WithSimd for Scores<'_> {
    type Output = Softmin;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Softmin {
        let (blocks, rest) = self.scores.as_chunks::<BLOCK>();
        let mut last = [f32::INFINITY; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        let blocks = || blocks.iter().chain((!rest.is_empty()).then_some(&last));
        let mut lowest = [f32::INFINITY; BLOCK];
        for block in blocks() {
            for (lowest, &score) in lowest.iter_mut().zip(block) {
                *lowest = if score < *lowest { score } else { *lowest };
            }
        }
        let lowest = f64::from(lowest.into_iter().fold(f32::INFINITY, f32::min));
        let (mut weights, mut weighted) = ([0.0; LANES], [0.0; LANES]);
        for block in blocks() {
            let (mut values, mut shares) = ([0.0; BLOCK], [0.0; BLOCK]);
            for ((value, share), &score) in values.iter_mut().zip(&mut shares).zip(block) {
                let exists = score < f32::INFINITY;
                *value = if exists { f64::from(score) } else { 0.0 };
                let weight = exponential((lowest - *value) * self.rate);
                *share = if exists { weight } else { 0.0 };
            }
            let values = values.as_chunks::<LANES>().0.iter();
            for (values, shares) in values.zip(shares.as_chunks::<LANES>().0) {
                for lane in 0..LANES {
                    weights[lane] += shares[lane];
                    weighted[lane] += shares[lane] * values[lane];
                }
            }
        }
        Softmin {
            lowest,
            weights: weights.iter().sum(),
            weighted: weighted.iter().sum(),
        }
    }
}

/// exp(x) for x of at most 0 without branches, so that it is computed for several numbers at a time;
/// right to 2 units in the last place. Below −700 it stays at 10⁻³⁰⁴, also for NaN.
#[inline(always)]
fn exponential(x: f64) -> f64 {
    /// ln 2 in two parts, of which products of the first with whole numbers up to 2¹¹ are exact.
    const LN_2: [f64; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];
    /// Adding it rounds to a whole number, which is then in the lowest bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    /// 1 / k! from k = 12 down to 0: the next term is below 2⁻⁵² for |r| of at most ln 2 / 2.
    const TERMS: [f64; 13] = [
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    let x = if x > -700.0 { x } else { -700.0 };
    // x = k ln 2 + r
    let rounded = x * std::f64::consts::LOG2_E + ROUND;
    let k = rounded - ROUND;
    let r = (x - k * LN_2[0]) - k * LN_2[1];
    let mut power = 0.0;
    for term in TERMS {
        power = power * r + term;
    }
    f64::from_bits(power.to_bits().wrapping_add(rounded.to_bits() << 52))
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

    #[test]
    fn exponentials_are_right() {
        assert_eq!(exponential(0.0), 1.0);
        for step in 0..100_000 {
            let x = -f64::from(step) * 0.006_999;
            let expected = x.exp();
            let difference = (exponential(x) - expected).abs();
            assert!(difference <= 4.0 * f64::EPSILON * expected, "{x}");
        }
        for far in [-701.0, -1e300, f64::NEG_INFINITY, f64::NAN] {
            assert!(exponential(far) > 0.0 && exponential(far) < 1e-300);
        }
    }

    #[test]
    fn many_at_once_are_as_one_by_one() {
        for count in 0..40_u16 {
            let scores: Vec<f32> = (0..count).map(|i| f32::from(i * 37 % 40) / 40.0).collect();
            let lowest = scores.iter().copied().fold(f32::INFINITY, f32::min);
            let mut single = Softmin::empty(f64::from(lowest));
            for &score in &scores {
                single.add(f64::from(score), 0.1);
            }
            let mut gaps = scores.clone();
            gaps.insert(scores.len() / 2, f32::INFINITY);
            for found in [&scores, &gaps].map(|scores| Softmin::of(scores, 0.1)) {
                assert_eq!(found.lowest, single.lowest);
                // A few roundings of at most 40 terms.
                assert!((found.weights - single.weights).abs() <= 1e-14 * single.weights);
                assert!((found.weighted - single.weighted).abs() <= 1e-14 * single.weights);
            }
        }
    }
}
