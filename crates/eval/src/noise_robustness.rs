//! How well skill bears wrong labels, in two numbers over a curve of rates of noise.
//!
//! ```text
//! skill(r)     = (m(r) − c) / (1 − c)       m = metric, at most 1;  c = its value by chance
//! mean skill   = ∫ skill(r) dr / (last rate − first rate)            by the trapezoid rule
//! half of skill lost at the least r with skill(r) ≤ skill(first rate) / 2     between rates by a line
//! ```

use crate::error::{Error, Undefined};

/// The rates of noise at which a metric was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseRates {
    rates: Vec<f64>,
    chance: f64,
}

impl NoiseRates {
    /// At these rates, from the least to the greatest, of a metric that is `chance` by guessing and at most 1. `None`
    /// unless there are two rates, they rise, and chance is below 1.
    pub fn new(rates: Vec<f64>, chance: f64) -> Option<Self> {
        let rising = rates.windows(2).all(|pair| pair[0] < pair[1]);
        (rates.len() >= 2 && rising && chance < 1.0).then_some(Self { rates, chance })
    }

    /// The greatest rate.
    pub fn greatest(&self) -> f64 {
        self.rates[self.rates.len() - 1]
    }

    /// Skill over all rates: 1 is never wrong, 0 is as good as a guess. `values` are the metric at each rate.
    ///
    /// # Errors
    /// Another number of values.
    pub fn mean_skill(&self, values: &[f64]) -> Result<f64, Error> {
        let skill = self.skill(values)?;
        let area: f64 = self
            .rates
            .windows(2)
            .zip(skill.windows(2))
            .map(|(rates, skill)| (rates[1] - rates[0]) * (skill[0] + skill[1]) / 2.0)
            .sum();
        Ok(area / (self.greatest() - self.rates[0]))
    }

    /// The rate at which half of the skill at the first rate is lost; the greatest where it never is.
    ///
    /// # Errors
    /// Another number of values; undefined where there is no skill at the first rate.
    pub fn half_lost_at(&self, values: &[f64]) -> Result<f64, Error> {
        let skill = self.skill(values)?;
        let half = skill[0] / 2.0;
        if skill[0] <= 0.0 {
            return Err(Undefined::NoSkill.into());
        }
        let Some(at) = skill.iter().position(|&skill| skill <= half) else {
            return Ok(self.greatest());
        };
        let along = (skill[at - 1] - half) / (skill[at - 1] - skill[at]);
        Ok(self.rates[at - 1] + along * (self.rates[at] - self.rates[at - 1]))
    }

    fn skill(&self, values: &[f64]) -> Result<Vec<f64>, Error> {
        if values.len() != self.rates.len() {
            return Err(Error::LengthsDiffer {
                what: "the values",
                found: values.len(),
                expected: self.rates.len(),
            });
        }
        let skill = |value| (value - self.chance) / (1.0 - self.chance);
        Ok(values.iter().map(|&value| skill(value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates() -> NoiseRates {
        NoiseRates::new(vec![0.0, 0.2, 0.6], 0.5).unwrap()
    }

    #[test]
    fn a_constant_is_its_skill_and_loses_nothing() {
        let values = [0.8; 3];
        assert!((rates().mean_skill(&values).unwrap() - 0.6).abs() < 1e-12);
        assert_eq!(rates().half_lost_at(&values).unwrap(), 0.6);
    }

    #[test]
    fn a_line_to_chance_is_half_of_its_start_and_half_lost_in_the_middle() {
        let values = [0.9, 0.9 - 0.4 / 3.0, 0.5];
        assert!((rates().mean_skill(&values).unwrap() - 0.4).abs() < 1e-12);
        assert!((rates().half_lost_at(&values).unwrap() - 0.3).abs() < 1e-12);
    }

    #[test]
    fn the_first_loss_counts_even_if_skill_comes_back() {
        let lost = rates().half_lost_at(&[1.0, 0.6, 0.95]).unwrap();
        // Skill falls from 1 to 0.2, and is a half at 5/8 of the way.
        assert!((lost - 0.125).abs() < 1e-12);
    }

    #[test]
    fn what_has_no_answer_is_refused() {
        assert!(matches!(
            rates().half_lost_at(&[0.5, 0.5, 0.5]),
            Err(Error::Undefined(Undefined::NoSkill))
        ));
        assert!(rates().mean_skill(&[0.5]).is_err());
        for (rates, chance) in [
            (vec![0.1], 0.5),
            (vec![0.2, 0.2], 0.5),
            (vec![0.0, 1.0], 1.0),
        ] {
            assert_eq!(NoiseRates::new(rates, chance), None);
        }
    }
}
