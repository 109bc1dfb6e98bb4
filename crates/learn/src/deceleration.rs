//! Where the fit of a network to labels slows down: networks learn what most labels agree on first, and what is wrong
//! with single ones later (ADELE, Liu et al., arXiv 2110.03740).
//!
//! A curve is fitted to how well a network agreed with the labels after each epoch x = 1, 2, …,
//!
//! ```text
//! f(x) = a (1 − exp(−x^b / c))        0 ≤ a ≤ 1, 0 ≤ b ≤ 1, c > 0
//! ```
//!
//! by least squares, in which later epochs weigh more: the standard deviation of the values falls geometrically from 1
//! to 0.1. The fit has slowed down by 1 − f′(x) / f′(1).
//!
//! ADELE's code takes the n epochs for n numbers from 0 to n; here the value after an epoch stands at the number of
//! that epoch. Where it fits by local steps from one start, this searches all curves: it finds the same curve or a
//! nearer one.

/// Epochs without which no curve is determined: it has three unknowns.
const FEWEST: usize = 3;

/// The starting points of the search: shapes b, and logarithms of c.
const SHAPES: usize = 21;
const SPREADS: usize = 31;
const SPREAD: [f64; 2] = [-5.0, 10.0];

/// The search ends when it can no longer go by so much.
const STEP: f64 = 1e-9;

/// A curve that rises ever more slowly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deceleration {
    /// The height that it rises to, a, in [0, 1].
    pub height: f64,
    /// Its shape, b, in [0, 1].
    pub shape: f64,
    /// How slowly it rises, c.
    pub spread: f64,
    /// The weighted sum of squares of what it misses the values by.
    pub residual: f64,
}

impl Deceleration {
    /// Fits the curve to the values after the epochs 1, 2, …; `None` for fewer than 3.
    pub fn fit(values: &[f64]) -> Option<Self> {
        if values.len() < FEWEST {
            return None;
        }
        let points: Vec<Point> = points(values).collect();
        let mut best = Self::nearest(&points, 1.0, 0.0);
        let [least, most] = SPREAD;
        for shape in 0..SHAPES {
            let shape = shape as f64 / (SHAPES - 1) as f64;
            for spread in 0..SPREADS {
                let spread = least + (most - least) * spread as f64 / (SPREADS - 1) as f64;
                best = best.better(Self::nearest(&points, shape, spread));
            }
        }
        let mut step = 1.0 / (SHAPES - 1) as f64;
        while step > STEP {
            let here = best;
            for (across, along) in NEIGHBOURS {
                let shape = (here.shape + across * step).clamp(0.0, 1.0);
                let spread = here.spread.ln() + along * step * 10.0;
                best = best.better(Self::nearest(&points, shape, spread));
            }
            if best == here {
                step /= 2.0;
            }
        }
        Some(best)
    }

    /// The curve of a shape and a spread, whose logarithm is given, that is nearest to the points: its height alone
    /// is open, and follows from a linear equation.
    fn nearest(points: &[Point], shape: f64, log_spread: f64) -> Self {
        let rise = |point: &Point| -(-(shape * point.epoch.ln() - log_spread).exp()).exp_m1();
        let sum = |of: &dyn Fn(&Point) -> f64| -> f64 {
            points.iter().map(|point| point.weight * of(point)).sum()
        };
        let square = sum(&|point| rise(point).powi(2));
        let height = match square > 0.0 {
            true => (sum(&|point| rise(point) * point.value) / square).clamp(0.0, 1.0),
            false => 0.0,
        };
        Self {
            height,
            shape,
            spread: log_spread.exp(),
            residual: sum(&|point| (point.value - height * rise(point)).powi(2)),
        }
    }

    fn better(self, other: Self) -> Self {
        if other.residual < self.residual {
            other
        } else {
            self
        }
    }

    /// The value of the curve after an epoch.
    pub fn value(&self, epoch: f64) -> f64 {
        self.height * (1.0 - (-epoch.powf(self.shape) / self.spread).exp())
    }

    fn slope(&self, epoch: f64) -> f64 {
        let power = epoch.powf(self.shape);
        self.height * self.shape / self.spread * (-power / self.spread).exp() * power / epoch
    }

    /// The share of the slope after the first epoch by which the slope is smaller after another; 0 of a curve that
    /// does not rise.
    pub fn slowed(&self, epoch: f64) -> f64 {
        let first = self.slope(1.0);
        if first > 0.0 {
            1.0 - self.slope(epoch) / first
        } else {
            0.0
        }
    }
}

const NEIGHBOURS: [(f64, f64); 8] = [
    (-1.0, -1.0),
    (-1.0, 0.0),
    (-1.0, 1.0),
    (0.0, -1.0),
    (0.0, 1.0),
    (1.0, -1.0),
    (1.0, 0.0),
    (1.0, 1.0),
];

struct Point {
    epoch: f64,
    value: f64,
    weight: f64,
}

fn points(values: &[f64]) -> impl Iterator<Item = Point> + '_ {
    let last = (values.len() - 1) as f64;
    values.iter().enumerate().map(move |(index, &value)| Point {
        epoch: index as f64 + 1.0,
        value,
        // One over the square of a standard deviation that falls to a tenth.
        weight: 100f64.powf(index as f64 / last),
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        values: Vec<f64>,
        residual: f64,
        change: Vec<f64>,
    }

    #[test]
    fn curves_equal_scipy_s() {
        let cases = include_str!("../tests/goldens/deceleration.json");
        let cases: Vec<Case> = serde_json::from_str(cases).unwrap();
        assert_eq!(cases.len(), 24);
        for case in cases {
            let fit = Deceleration::fit(&case.values).unwrap();
            let Case {
                values,
                residual,
                change,
            } = case;
            // Both end where steps of parameters no longer matter; of points without noise what is left is rounding.
            let most = residual * (1.0 + 1e-9) + 1e-12;
            assert!(
                fit.residual <= most,
                "{values:?}: {} {residual}",
                fit.residual
            );
            if fit.residual < residual * 0.99 - 1e-12 {
                continue;
            }
            for (epoch, change) in change.iter().enumerate() {
                let slowed = fit.slowed(epoch as f64 + 1.0);
                // Near its minimum a sum of squares is flat: what it leaves open of the slopes.
                assert!(
                    (slowed - change).abs() < 1e-4,
                    "{values:?}: {slowed} {change}"
                );
            }
        }
    }

    #[test]
    fn few_epochs_and_flat_curves_tell_nothing() {
        assert_eq!(Deceleration::fit(&[0.1, 0.4]), None);
        let nothing = Deceleration::fit(&[0.0; 6]).unwrap();
        assert_eq!(nothing.height, 0.0);
        assert_eq!(nothing.slowed(6.0), 0.0);
        let risen = Deceleration::fit(&[0.1, 0.5, 0.6, 0.62, 0.62, 0.62, 0.62]).unwrap();
        assert!(risen.slowed(7.0) > 0.9);
        let rising = Deceleration::fit(&[0.1, 0.2, 0.3, 0.4]).unwrap();
        assert!(rising.slowed(4.0) < 0.5, "{rising:?}");
    }
}
