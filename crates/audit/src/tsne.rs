//! A map of embeddings in two dimensions, on which neighbours stay neighbours: exact t-SNE.
//!
//! Van der Maaten and Hinton, *Visualizing data using t-SNE*, JMLR 9 (2008), with the learning rate of Belkina et al.
//! (doi:10.1038/s41467-019-13055-y) and a start by principal components (Kobak and Berens,
//! doi:10.1038/s41467-019-13056-x), as scikit-learn's `TSNE(method="exact")` has them.
//!
//! ```text
//! p(j|i) ∝ exp(−|x_i − x_j|² β_i)      β_i such that the entropy of p(·|i) is ln(perplexity)
//! p(i,j) = (p(j|i) + p(i|j)) / 2n       q(i,j) ∝ 1 / (1 + |y_i − y_j|²)
//! gradient of KL(p | q) by y_i = 4 Σ_j (p(i,j) − q(i,j)) (y_i − y_j) / (1 + |y_i − y_j|²)
//! ```
//!
//! The time is proportional to iterations × items²: thousands of items take seconds. Distances on the map, sizes of its
//! islands and their order mean little; who lies beside whom means much. Same features, same map, on any number of threads.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

use crate::error::AuditError;

/// How a map is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Tsne {
    /// About as many neighbours have a say in where an item lies; of fewer than four times as many items, a quarter of
    /// these. Default 30.
    pub perplexity: f64,
    /// Steps. Default 750.
    pub iterations: usize,
    /// Steps, the first ones, in which attraction is [`Tsne::exaggeration`] times as strong. Default 250.
    pub exaggerated: usize,
    /// Default 12.
    pub exaggeration: f64,
}

impl Default for Tsne {
    fn default() -> Self {
        Self {
            perplexity: 30.0,
            iterations: 750,
            exaggerated: 250,
            exaggeration: 12.0,
        }
    }
}

/// By how much the entropy of a neighbourhood may differ from what is wanted.
const ENTROPY_TOLERANCE: f64 = 1e-5;

/// Halvings until the entropy is as wanted.
const MOST_HALVINGS: usize = 100;

/// Iterations for principal components.
const POWER_ITERATIONS: usize = 50;

/// Standard deviation of the first coordinate at the start.
const START: f64 = 1e-4;

impl Tsne {
    /// The places of items `[items, features]`: `[items, 2]`.
    ///
    /// # Errors
    /// Fewer than two items, or features that are not finite.
    pub fn map(&self, features: ArrayView2<'_, f32>) -> Result<Array2<f64>, AuditError> {
        let items = features.nrows();
        if items < 2 {
            return Err(AuditError::Empty { what: "items" });
        }
        for ((row, column), &value) in features.indexed_iter() {
            if !value.is_finite() {
                return Err(AuditError::NotFinite { row, column, value });
            }
        }
        let perplexity = self.perplexity.min((items as f64 / 4.0).max(1.0));
        let joint = joint_probabilities(features, perplexity);
        let mut map = Descent::new(principal_components(features));
        for iteration in 0..self.iterations {
            let (exaggeration, momentum) = if iteration < self.exaggerated {
                (self.exaggeration, 0.5)
            } else {
                (1.0, 0.8)
            };
            if iteration == self.exaggerated {
                map.rest();
            }
            map.step(&joint, exaggeration, momentum, self.learning_rate(items));
        }
        Ok(map.places)
    }

    /// As fast as is safe: items / exaggeration / 4, at least 50.
    fn learning_rate(&self, items: usize) -> f64 {
        (items as f64 / self.exaggeration / 4.0).max(50.0)
    }
}

/// p(i,j), symmetric, sums to 1.
fn joint_probabilities(features: ArrayView2<'_, f32>, perplexity: f64) -> Array2<f64> {
    let items = features.nrows();
    let rows: Vec<Vec<f64>> = (0..items)
        .into_par_iter()
        .map(|item| {
            let own = features.row(item);
            let distance = |other: usize| -> f64 {
                let pairs = own.iter().zip(features.row(other));
                pairs
                    .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
                    .sum()
            };
            let distances: Vec<f64> = (0..items).map(distance).collect();
            neighbourhood(&distances, item, perplexity.ln())
        })
        .collect();
    Array2::from_shape_fn((items, items), |(i, j)| {
        (rows[i][j] + rows[j][i]) / (2.0 * items as f64)
    })
}

/// p(·|item), whose entropy is `wanted`.
fn neighbourhood(distances: &[f64], item: usize, wanted: f64) -> Vec<f64> {
    // The nearest one sets the scale, so that exponentials neither vanish nor overflow.
    let others = distances
        .iter()
        .enumerate()
        .filter(|&(other, _)| other != item);
    let nearest = others.map(|(_, &d)| d).fold(f64::INFINITY, f64::min);
    let (mut beta, mut low, mut high) = (1.0, f64::NEG_INFINITY, f64::INFINITY);
    let mut chances = vec![0.0; distances.len()];
    for _ in 0..MOST_HALVINGS {
        let (mut sum, mut mean) = (0.0, 0.0);
        for (other, (chance, &distance)) in chances.iter_mut().zip(distances).enumerate() {
            *chance = if other == item {
                0.0
            } else {
                (-beta * (distance - nearest)).exp()
            };
            sum += *chance;
            mean += *chance * (distance - nearest);
        }
        let entropy: f64 = sum.ln() + beta * mean / sum;
        chances.iter_mut().for_each(|chance| *chance /= sum);
        let excess = entropy - wanted;
        if excess.abs() <= ENTROPY_TOLERANCE {
            break;
        }
        if excess > 0.0 {
            low = beta;
            beta = if high.is_finite() {
                (beta + high) / 2.0
            } else {
                beta * 2.0
            };
        } else {
            high = beta;
            beta = if low.is_finite() {
                (beta + low) / 2.0
            } else {
                beta / 2.0
            };
        }
    }
    chances
}

/// The first two principal components of items, scaled to a small first coordinate.
fn principal_components(features: ArrayView2<'_, f32>) -> Array2<f64> {
    let values = features.mapv(f64::from);
    let mean = values.mean_axis(Axis(0)).unwrap_or_default();
    let centred = &values - &mean;
    let columns = centred.ncols();
    let mut places = Array2::zeros((centred.nrows(), 2));
    let mut first: Option<Array1<f64>> = None;
    for component in 0..2 {
        // Any start will do that is not orthogonal to the answer.
        let mut axis =
            Array1::from_shape_fn(columns, |at| 1.0 + ((at + component) % 7) as f64 / 7.0);
        for _ in 0..POWER_ITERATIONS {
            if let Some(first) = &first {
                axis = &axis - &(first * first.dot(&axis));
            }
            let turned = centred.t().dot(&centred.dot(&axis));
            let length = turned.dot(&turned).sqrt();
            if length == 0.0 {
                break;
            }
            axis = turned / length;
        }
        places.column_mut(component).assign(&centred.dot(&axis));
        first.get_or_insert(axis);
    }
    let deviation = places.column(0).std(0.0);
    if deviation > 0.0 {
        places *= START / deviation;
    } else {
        // All items are the same.
        let spread = |(item, axis)| START * ((item * (axis + 2)) % 11) as f64;
        places = Array2::from_shape_fn(places.dim(), spread);
    }
    places
}

/// A map that is being drawn.
struct Descent {
    places: Array2<f64>,
    velocity: Array2<f64>,
    gains: Array2<f64>,
}

/// The least gain of a coordinate.
const LEAST_GAIN: f64 = 0.01;

impl Descent {
    fn new(places: Array2<f64>) -> Self {
        let mut descent = Self {
            velocity: Array2::zeros(places.dim()),
            gains: Array2::ones(places.dim()),
            places,
        };
        descent.rest();
        descent
    }

    /// Forgets how it moved.
    fn rest(&mut self) {
        self.velocity.fill(0.0);
        self.gains.fill(1.0);
    }

    fn step(&mut self, joint: &Array2<f64>, exaggeration: f64, momentum: f64, rate: f64) {
        let gradient = self.gradient(joint, exaggeration);
        let moves = self.velocity.iter_mut().zip(&mut self.gains);
        for ((velocity, gain), &slope) in moves.zip(&gradient) {
            // The gain of a coordinate grows while it goes on in the same direction.
            *gain = if *velocity * slope < 0.0 {
                *gain + 0.2
            } else {
                *gain * 0.8
            };
            *gain = gain.max(LEAST_GAIN);
            *velocity = momentum * *velocity - rate * *gain * slope;
        }
        self.places += &self.velocity;
    }

    /// Each row is a thread's alone, and sums over rows are in order.
    fn gradient(&self, joint: &Array2<f64>, exaggeration: f64) -> Array2<f64> {
        let items = self.places.nrows();
        let place = |item: usize| [self.places[[item, 0]], self.places[[item, 1]]];
        let places: Vec<[f64; 2]> = (0..items).map(place).collect();
        let of_row = |item: usize| {
            let [x, y] = places[item];
            let (mut total, mut pull, mut push) = (0.0, [0.0; 2], [0.0; 2]);
            for (other, (&[ox, oy], &p)) in places.iter().zip(joint.row(item)).enumerate() {
                if other == item {
                    continue;
                }
                let (dx, dy) = (x - ox, y - oy);
                let near = 1.0 / (1.0 + dx * dx + dy * dy);
                total += near;
                let (attract, repel) = (p * near, near * near);
                pull[0] += attract * dx;
                pull[1] += attract * dy;
                push[0] += repel * dx;
                push[1] += repel * dy;
            }
            (total, pull, push)
        };
        let rows: Vec<(f64, [f64; 2], [f64; 2])> = (0..items).into_par_iter().map(of_row).collect();
        let total: f64 = rows.iter().map(|row| row.0).sum();
        Array2::from_shape_fn((items, 2), |(item, axis)| {
            let (_, pull, push) = &rows[item];
            4.0 * (exaggeration * pull[axis] - push[axis] / total)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde::Deserialize;

    use super::*;

    /// Of scikit-learn; see oracles/audit_tsne.py.
    #[derive(Deserialize)]
    struct Golden {
        perplexity: f64,
        features: Vec<Vec<f32>>,
        joint: Vec<Vec<f64>>,
        start: Vec<[f64; 2]>,
        /// After some steps with and then without exaggeration.
        exaggerated: Vec<[f64; 2]>,
        places: Vec<[f64; 2]>,
        steps: usize,
        learning_rate: f64,
        components: Vec<[f64; 2]>,
        /// The worst of several starts.
        divergence: f64,
    }

    fn golden() -> Golden {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tsne.json");
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    }

    fn array<const N: usize>(rows: &[[f64; N]]) -> Array2<f64> {
        Array2::from_shape_fn((rows.len(), N), |(row, column)| rows[row][column])
    }

    fn features(golden: &Golden) -> Array2<f32> {
        let columns = golden.features[0].len();
        Array2::from_shape_fn((golden.features.len(), columns), |(row, column)| {
            golden.features[row][column]
        })
    }

    fn largest(values: &Array2<f64>) -> f64 {
        values.iter().fold(0.0, |most, value| value.abs().max(most))
    }

    #[test]
    fn probabilities_are_those_of_scikit_learn() {
        let golden = golden();
        let joint = joint_probabilities(features(&golden).view(), golden.perplexity);
        assert!((joint.sum() - 1.0).abs() < 1e-12);
        for ((row, column), &p) in joint.indexed_iter() {
            let expected = golden.joint[row][column];
            // Both searches end within 1e-5 of the entropy; theirs is in 32 bits.
            assert!(
                (p - expected).abs() <= 1e-4 * expected.max(1e-4),
                "{p} {expected}"
            );
        }
    }

    #[test]
    fn steps_are_those_of_scikit_learn() {
        let golden = golden();
        let items = golden.joint.len();
        let joint = Array2::from_shape_fn((items, items), |(i, j)| golden.joint[i][j]);
        let mut descent = Descent::new(array(&golden.start));
        for _ in 0..golden.steps {
            descent.step(&joint, 12.0, 0.5, golden.learning_rate);
        }
        let expected = array(&golden.exaggerated);
        let off = largest(&(&descent.places - &expected));
        // Rounding grows with the steps, which expand.
        assert!(off < 1e-6 * largest(&expected), "{off}");
        descent.places = expected;
        descent.rest();
        for _ in 0..golden.steps {
            descent.step(&joint, 1.0, 0.8, golden.learning_rate);
        }
        let expected = array(&golden.places);
        let off = largest(&(&descent.places - &expected));
        assert!(off < 1e-6 * largest(&expected), "{off}");
    }

    #[test]
    fn the_start_is_by_principal_components_but_for_their_signs() {
        let golden = golden();
        let places = principal_components(features(&golden).view());
        for axis in 0..2 {
            let ours = places.column(axis).to_owned();
            let theirs = array(&golden.components).column(axis).to_owned();
            let sign = (&ours * &theirs).sum().signum();
            let off = (&ours * sign - &theirs).mapv(f64::abs).sum();
            assert!(
                off < 1e-3 * theirs.mapv(f64::abs).sum(),
                "axis {axis}: {off}"
            );
        }
    }

    #[test]
    fn a_map_is_as_good_as_that_of_scikit_learn() {
        let golden = golden();
        let tsne = Tsne {
            perplexity: golden.perplexity,
            iterations: 1000,
            ..Tsne::default()
        };
        let map = tsne.map(features(&golden).view()).unwrap();
        let joint = joint_probabilities(features(&golden).view(), golden.perplexity);
        let items = map.nrows();
        let near = Array2::from_shape_fn((items, items), |(i, j)| {
            let difference = &map.row(i) - &map.row(j);
            if i == j {
                0.0
            } else {
                1.0 / (1.0 + difference.dot(&difference))
            }
        });
        let total = near.sum();
        let divergence: f64 = joint
            .indexed_iter()
            .filter(|&(_, &p)| p > 0.0)
            .map(|(place, &p)| p * (p * total / near[place]).ln())
            .sum();
        assert!(
            divergence < 1.1 * golden.divergence,
            "{divergence} {}",
            golden.divergence
        );
    }

    #[test]
    fn few_items_and_equal_ones_have_a_map_and_wrong_ones_a_reason() {
        for (items, spread) in [(2, 1.0), (5, 1.0), (40, 0.0)] {
            let features = Array2::from_shape_fn((items, 3), |(item, column)| {
                spread * ((item * 7 + column * 3) % 5) as f32
            });
            let map = Tsne::default().map(features.view()).unwrap();
            assert!(map.iter().all(|place| place.is_finite()), "{items}");
        }
        assert!(Tsne::default().map(Array2::zeros((1, 3)).view()).is_err());
        let mut features = Array2::<f32>::zeros((4, 3));
        features[[2, 1]] = f32::NAN;
        let told = Tsne::default()
            .map(features.view())
            .unwrap_err()
            .to_string();
        assert!(told.contains("row 2"), "{told}");
    }
}
