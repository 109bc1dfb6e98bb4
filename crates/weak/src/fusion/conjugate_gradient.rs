//! Minimisation of a smooth function by non-linear conjugate gradients.
//!
//! Polak–Ribière+ directions (Nocedal and Wright, *Numerical Optimization*, 2nd edition, 5.2)
//! with the line search of Moré and Thuente, *Line search algorithms with guaranteed sufficient
//! decrease*, ACM TOMS 20 (1994), doi:10.1145/192115.192132, and the condition of sufficient
//! descent of Gilbert and Nocedal, SIAM J. Optim. 2 (1992), doi:10.1137/0802003.
//!
//! The constants (c1 = 1e-4, c2 = 0.4, σ = 0.01, first step as if the last one had gained half
//! the norm of the gradient) are those of `scipy.optimize.minimize(method="CG")`, so that both
//! take the same steps. They part only where SciPy would try a second kind of line search: when the
//! first finds no step, this one stops at the point it has; when the new direction does not
//! descend enough, it goes on along the gradient.

/// Sufficient decrease.
const C1: f64 = 1e-4;
/// Curvature.
const C2: f64 = 0.4;
/// Sufficient descent of the new direction.
const DESCENT: f64 = 0.01;
/// Greatest number of evaluations in one line search.
const EVALUATIONS: usize = 100;

/// Value and gradient at a point.
pub(super) struct Evaluation {
    pub(super) value: f64,
    pub(super) gradient: Vec<f64>,
}

/// Minimises `function` from `point` until the greatest entry of the gradient is at most
/// `tolerance`, or `iterations` directions were searched. Returns the point.
pub(super) fn minimise(
    function: impl Fn(&[f64]) -> Evaluation,
    mut point: Vec<f64>,
    tolerance: f64,
    iterations: usize,
) -> Vec<f64> {
    let mut here = function(&point);
    let mut value_before = here.value + dot(&here.gradient, &here.gradient).sqrt() / 2.0;
    let mut direction: Vec<f64> = here.gradient.iter().map(|g| -g).collect();
    for _ in 0..iterations {
        if greatest(&here.gradient) <= tolerance {
            break;
        }
        let slope = dot(&here.gradient, &direction);
        let guess = 1.01 * 2.0 * (here.value - value_before) / slope;
        // Also catches a slope of zero, which makes the guess NaN or infinite.
        let first = if guess >= 0.0 { guess.min(1.0) } else { 1.0 };
        let at = |step: f64| -> (Vec<f64>, Evaluation) {
            let moved: Vec<f64> = point
                .iter()
                .zip(&direction)
                .map(|(x, d)| x + step * d)
                .collect();
            let evaluation = function(&moved);
            (moved, evaluation)
        };
        let Some((moved, there)) = search(at, &direction, here.value, slope, first) else {
            break;
        };
        let change: f64 = there
            .gradient
            .iter()
            .zip(&here.gradient)
            .map(|(new, old)| (new - old) * new)
            .sum();
        let beta = (change / dot(&here.gradient, &here.gradient)).max(0.0);
        let next: Vec<f64> = there
            .gradient
            .iter()
            .zip(&direction)
            .map(|(g, d)| beta * d - g)
            .collect();
        let descends = dot(&next, &there.gradient)
            <= -DESCENT * dot(&there.gradient, &there.gradient)
            || greatest(&there.gradient) <= tolerance;
        value_before = here.value;
        point = moved;
        here = there;
        direction = if descends {
            next
        } else {
            here.gradient.iter().map(|g| -g).collect()
        };
    }
    point
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn greatest(gradient: &[f64]) -> f64 {
    gradient.iter().fold(0.0, |most, g| g.abs().max(most))
}

/// A step on the line with the function's value and slope there.
#[derive(Debug, Clone, Copy)]
struct Trial {
    step: f64,
    value: f64,
    slope: f64,
}

impl Trial {
    /// The same trial for the function minus the line of sufficient decrease.
    fn tilted(self, slope: f64) -> Self {
        Self {
            step: self.step,
            value: self.value - self.step * slope,
            slope: self.slope - slope,
        }
    }
}

/// Finds a step with sufficient decrease and curvature along `direction`.
fn search(
    at: impl Fn(f64) -> (Vec<f64>, Evaluation),
    direction: &[f64],
    value: f64,
    slope: f64,
    first: f64,
) -> Option<(Vec<f64>, Evaluation)> {
    if slope >= 0.0 || first <= 0.0 {
        return None;
    }
    let decrease = C1 * slope;
    let start = Trial {
        step: 0.0,
        value,
        slope,
    };
    let mut best = start;
    let mut other = start;
    let mut bracketed = false;
    let mut tilt = true;
    let mut width = f64::INFINITY;
    let mut width_before = f64::INFINITY;
    let mut lowest = 0.0;
    let mut highest = 5.0 * first;
    let mut step = first;
    for _ in 0..EVALUATIONS {
        let (moved, evaluation) = at(step);
        let trial = Trial {
            step,
            value: evaluation.value,
            slope: dot(&evaluation.gradient, direction),
        };
        let enough = value + step * decrease;
        if trial.value <= enough && trial.slope.abs() <= -C2 * slope {
            return Some((moved, evaluation));
        }
        let exhausted = bracketed && (step <= lowest || step >= highest);
        if exhausted || (bracketed && highest - lowest <= 1e-14 * highest) {
            return None;
        }
        if tilt && trial.value <= enough && trial.slope >= 0.0 {
            tilt = false;
        }
        let line = if tilt && trial.value <= best.value && trial.value > enough {
            decrease
        } else {
            0.0
        };
        let trial_step = next_step(
            best.tilted(line),
            other.tilted(line),
            trial.tilted(line),
            &mut bracketed,
            (lowest, highest),
        );
        // The interval keeps the lower of the two ends as `best`.
        if trial.tilted(line).value > best.tilted(line).value {
            other = trial;
        } else {
            if trial.tilted(line).slope * best.tilted(line).slope < 0.0 {
                other = best;
            }
            best = trial;
        }
        step = trial_step;
        if bracketed {
            if (other.step - best.step).abs() >= 0.66 * width_before {
                step = best.step + 0.5 * (other.step - best.step);
            }
            width_before = width;
            width = (other.step - best.step).abs();
            lowest = best.step.min(other.step);
            highest = best.step.max(other.step);
        } else {
            lowest = step + 1.1 * (step - best.step);
            highest = step + 4.0 * (step - best.step);
        }
        if bracketed && (step <= lowest || step >= highest || highest - lowest <= 1e-14 * highest) {
            step = best.step;
        }
        if !step.is_finite() {
            return None;
        }
    }
    None
}

/// The next trial step from cubic and quadratic models through the ends of the interval and the
/// trial: the four cases of Moré and Thuente, section 4.
fn next_step(
    best: Trial,
    other: Trial,
    trial: Trial,
    bracketed: &mut bool,
    (lowest, highest): (f64, f64),
) -> f64 {
    let secant = trial.step + trial.slope / (trial.slope - best.slope) * (best.step - trial.step);
    if trial.value > best.value {
        // The function went up: a minimum lies between.
        *bracketed = true;
        let cubic = cubic_minimum(best, trial, false);
        let width = trial.step - best.step;
        let fall = (best.value - trial.value) / width + best.slope;
        let quadratic = best.step + best.slope / fall / 2.0 * width;
        if (cubic - best.step).abs() <= (quadratic - best.step).abs() {
            cubic
        } else {
            cubic + (quadratic - cubic) / 2.0
        }
    } else if trial.slope * best.slope < 0.0 {
        // Lower, and the slope changed sign: a minimum lies between.
        *bracketed = true;
        farther(cubic_minimum(trial, best, false), secant, trial.step)
    } else if trial.slope.abs() < best.slope.abs() {
        // Lower, and flatter.
        let forwards = trial.step > best.step;
        let cubic = cubic_minimum(trial, best, true);
        let beyond = (cubic > trial.step) == forwards && cubic.is_finite();
        let cubic = match (beyond, forwards) {
            (true, _) => cubic,
            (false, true) => highest,
            (false, false) => lowest,
        };
        if !*bracketed {
            return farther(cubic, secant, trial.step).clamp(lowest, highest);
        }
        let nearer = if (cubic - trial.step).abs() < (secant - trial.step).abs() {
            cubic
        } else {
            secant
        };
        let limit = trial.step + 0.66 * (other.step - trial.step);
        if forwards {
            nearer.min(limit)
        } else {
            nearer.max(limit)
        }
    } else if *bracketed {
        cubic_minimum(trial, other, false)
    } else if trial.step > best.step {
        highest
    } else {
        lowest
    }
}

fn farther(cubic: f64, secant: f64, from: f64) -> f64 {
    if (cubic - from).abs() > (secant - from).abs() {
        cubic
    } else {
        secant
    }
}

/// Minimum of the cubic with the values and slopes of both trials, seen from `near`. With
/// `may_lack` the cubic may have no minimum, and the result is then NaN or lies on the wrong side
/// of `near`.
fn cubic_minimum(near: Trial, far: Trial, may_lack: bool) -> f64 {
    let theta = 3.0 * (near.value - far.value) / (far.step - near.step) + near.slope + far.slope;
    let scale = theta.abs().max(near.slope.abs()).max(far.slope.abs());
    let square = (theta / scale).powi(2) - (near.slope / scale) * (far.slope / scale);
    if may_lack && square <= 0.0 {
        return f64::NAN;
    }
    let gamma = scale * square.sqrt() * (far.step - near.step).signum();
    let p = (gamma - near.slope) + theta;
    let q = ((gamma - near.slope) + gamma) + far.slope;
    near.step + p / q * (far.step - near.step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rosenbrock_reaches_its_minimum() {
        let function = |x: &[f64]| Evaluation {
            value: (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0] * x[0]).powi(2),
            gradient: vec![
                -2.0 * (1.0 - x[0]) - 400.0 * x[0] * (x[1] - x[0] * x[0]),
                200.0 * (x[1] - x[0] * x[0]),
            ],
        };
        let found = minimise(function, vec![-1.2, 1.0], 1e-6, 200);
        assert!(found.iter().all(|x| (x - 1.0).abs() < 1e-5), "{found:?}");
    }

    #[test]
    fn a_minimum_stays() {
        let function = |x: &[f64]| Evaluation {
            value: x[0] * x[0],
            gradient: vec![2.0 * x[0]],
        };
        assert_eq!(minimise(function, vec![0.0], 1e-9, 10), [0.0]);
    }
}
