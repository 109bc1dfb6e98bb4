//! Conjugate gradients for Poisson's equation on any set of pixels, preconditioned by multigrid.
//!
//! The unknowns of several channels have the same equations and are solved side by side, `L` lanes
//! at once. The coarser grids join the pixels of 2 × 2 squares (aggregation; Braess 1995, doi
//! 10.1007/BF02238488). Each grid's equations are half the sums of the finer one's: sums alone are
//! twice as stiff as the same stencil on squares of double width.

/// What several channels have at one pixel.
pub(super) type Lanes<const L: usize> = [f64; L];

/// Equations `diagonal · u − Σ weight · neighbour = right side`, with the unknowns in reading
/// order.
pub(super) struct Level {
    /// Row and column.
    places: Vec<(u32, u32)>,
    /// The unknowns above, to the left, to the right and below; the pixel itself where there is
    /// none.
    neighbours: Vec<[u32; 4]>,
    /// 0 where there is no such unknown.
    weights: Vec<[f64; 4]>,
    diagonal: Vec<f64>,
    /// The reciprocal, 0 for an unknown without equation.
    inverse: Vec<f64>,
    /// The unknown of the next coarser level.
    parents: Vec<u32>,
}

const STEPS: [(i64, i64); 4] = [(-1, 0), (0, -1), (0, 1), (1, 0)];

impl Level {
    /// The five-point stencil on pixels in reading order, given their unknown neighbours (above,
    /// left, right, below) and the number of all neighbours that they have.
    pub fn new(
        places: &[(u32, u32)],
        neighbours: Vec<[Option<u32>; 4]>,
        degrees: Vec<f64>,
    ) -> Self {
        let weights = neighbours
            .iter()
            .map(|around| around.map(|neighbour| f64::from(u8::from(neighbour.is_some()))))
            .collect();
        let neighbours = (0..)
            .zip(&neighbours)
            .map(|(own, around)| around.map(|neighbour| neighbour.unwrap_or(own)))
            .collect();
        Self::assemble(places.to_vec(), neighbours, weights, degrees)
    }

    fn assemble(
        places: Vec<(u32, u32)>,
        neighbours: Vec<[u32; 4]>,
        weights: Vec<[f64; 4]>,
        diagonal: Vec<f64>,
    ) -> Self {
        let inverse = diagonal
            .iter()
            .map(|&value| if value > 0.0 { value.recip() } else { 0.0 })
            .collect();
        Self {
            places,
            neighbours,
            weights,
            diagonal,
            inverse,
            parents: Vec::new(),
        }
    }

    fn len(&self) -> usize {
        self.diagonal.len()
    }

    /// Joins the unknowns of each 2 × 2 square.
    fn coarser(&mut self) -> Self {
        let square = |&(y, x): &(u32, u32)| (y / 2, x / 2);
        let mut places: Vec<(u32, u32)> = self.places.iter().map(square).collect();
        places.sort();
        places.dedup();
        let find = |place: &(u32, u32)| places.binary_search(place).map(|at| at as u32);
        self.parents = self
            .places
            .iter()
            .map(|place| find(&square(place)).unwrap_or_default())
            .collect();
        let mut weights = vec![[0.0; 4]; places.len()];
        let mut diagonal = vec![0.0; places.len()];
        for own in 0..self.len() {
            let parent = self.parents[own];
            // What ties the unknown to fixed values.
            diagonal[parent as usize] +=
                0.5 * (self.diagonal[own] - self.weights[own].iter().sum::<f64>());
            let sums = &mut weights[parent as usize];
            for (side, sum) in sums.iter_mut().enumerate() {
                if self.parents[self.neighbours[own][side] as usize] != parent {
                    *sum += 0.5 * self.weights[own][side];
                    diagonal[parent as usize] += 0.5 * self.weights[own][side];
                }
            }
        }
        let neighbours = (0..)
            .zip(&places)
            .map(|(own, &(y, x))| {
                STEPS.map(|(down, right)| {
                    let place = (i64::from(y) + down, i64::from(x) + right);
                    match (u32::try_from(place.0), u32::try_from(place.1)) {
                        (Ok(y), Ok(x)) => find(&(y, x)).unwrap_or(own),
                        _ => own,
                    }
                })
            })
            .collect();
        Self::assemble(places, neighbours, weights, diagonal)
    }

    /// The weighted sum of the neighbours on the given sides.
    fn around<const L: usize>(
        &self,
        own: usize,
        sides: std::ops::Range<usize>,
        values: &[Lanes<L>],
    ) -> Lanes<L> {
        let mut sum = [0.0; L];
        for side in sides {
            let weight = self.weights[own][side];
            let neighbour = &values[self.neighbours[own][side] as usize];
            for lane in 0..L {
                sum[lane] += weight * neighbour[lane];
            }
        }
        sum
    }

    fn multiply<const L: usize>(&self, values: &[Lanes<L>], product: &mut [Lanes<L>]) {
        for (own, product) in product.iter_mut().enumerate() {
            let sum = self.around(own, 0..4, values);
            for lane in 0..L {
                product[lane] = self.diagonal[own] * values[own][lane] - sum[lane];
            }
        }
    }

    /// A Gauss–Seidel sweep in reading order that starts from 0: later neighbours count nothing.
    fn sweep_forward<const L: usize>(&self, right: &[Lanes<L>], values: &mut [Lanes<L>]) {
        for own in 0..self.len() {
            let sum = self.around(own, 0..2, values);
            for lane in 0..L {
                values[own][lane] = (right[own][lane] + sum[lane]) * self.inverse[own];
            }
        }
    }

    fn sweep_backward<const L: usize>(&self, right: &[Lanes<L>], values: &mut [Lanes<L>]) {
        for own in (0..self.len()).rev() {
            let sum = self.around(own, 0..4, values);
            for lane in 0..L {
                values[own][lane] = (right[own][lane] + sum[lane]) * self.inverse[own];
            }
        }
    }
}

/// The equations and their coarser versions, the last with one unknown.
pub(super) struct Grids {
    levels: Vec<Level>,
}

/// A right side and a solution of one coarser level.
struct Scratch<const L: usize> {
    right: Vec<Lanes<L>>,
    values: Vec<Lanes<L>>,
}

impl Grids {
    /// `finest` must not be empty.
    pub fn new(finest: Level) -> Self {
        let mut levels = vec![finest];
        while let Some(last) = levels.last_mut()
            && last.len() > 1
        {
            let next = last.coarser();
            levels.push(next);
        }
        Self { levels }
    }

    /// Solves until no equation is off by more than `tolerance`; `None` if that fails, which takes
    /// equations without a solution or values that are not finite.
    pub fn solve<const L: usize>(
        &self,
        right: Vec<Lanes<L>>,
        tolerance: f64,
    ) -> Option<Vec<Lanes<L>>> {
        /// Some ten rounds suffice for a disc; thin winding shapes take more.
        const ROUNDS: usize = 10_000;
        let finest = self.levels.first()?;
        let zero = vec![[0.0; L]; finest.len()];
        let mut scratch: Vec<Scratch<L>> = self
            .levels
            .iter()
            .skip(1)
            .map(|level| Scratch {
                right: vec![[0.0; L]; level.len()],
                values: vec![[0.0; L]; level.len()],
            })
            .collect();
        let mut solution = zero.clone();
        let mut residual = right;
        let mut smoothed = zero.clone();
        let mut direction = zero.clone();
        let mut product = zero;
        let mut before = [0.0; L];
        for _ in 0..ROUNDS {
            if greatest(&residual) <= tolerance {
                return Some(solution);
            }
            precondition(&self.levels, &residual, &mut smoothed, &mut scratch);
            let now = dot(&residual, &smoothed);
            let keep = divide(now, before);
            before = now;
            for (direction, smoothed) in direction.iter_mut().zip(&smoothed) {
                for lane in 0..L {
                    direction[lane] = smoothed[lane] + keep[lane] * direction[lane];
                }
            }
            finest.multiply(&direction, &mut product);
            let step = divide(now, dot(&direction, &product));
            for own in 0..finest.len() {
                for lane in 0..L {
                    solution[own][lane] += step[lane] * direction[own][lane];
                    residual[own][lane] -= step[lane] * product[own][lane];
                }
            }
        }
        None
    }
}

/// One V-cycle from 0, which is symmetric: a sweep forward, the coarser level's correction, a sweep
/// backward.
fn precondition<const L: usize>(
    levels: &[Level],
    right: &[Lanes<L>],
    values: &mut [Lanes<L>],
    scratch: &mut [Scratch<L>],
) {
    let Some((level, coarser)) = levels.split_first() else {
        return;
    };
    level.sweep_forward(right, values);
    let Some((next, rest)) = scratch.split_first_mut() else {
        return;
    };
    next.right.fill([0.0; L]);
    for own in 0..level.len() {
        // After the sweep an equation is off by what its later neighbours have gained.
        let left_over = level.around(own, 2..4, values);
        let sum = &mut next.right[level.parents[own] as usize];
        for lane in 0..L {
            sum[lane] += left_over[lane];
        }
    }
    precondition(coarser, &next.right, &mut next.values, rest);
    for (value, &parent) in values.iter_mut().zip(&level.parents) {
        let correction = &next.values[parent as usize];
        for (value, correction) in value.iter_mut().zip(correction) {
            *value += correction;
        }
    }
    level.sweep_backward(right, values);
}

fn dot<const L: usize>(a: &[Lanes<L>], b: &[Lanes<L>]) -> Lanes<L> {
    let mut sum = [0.0; L];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..L {
            sum[lane] += a[lane] * b[lane];
        }
    }
    sum
}

/// Lane by lane; 0 where there is nothing left to divide.
fn divide<const L: usize>(numerator: Lanes<L>, denominator: Lanes<L>) -> Lanes<L> {
    std::array::from_fn(|lane| {
        if denominator[lane] > 0.0 {
            numerator[lane] / denominator[lane]
        } else {
            0.0
        }
    })
}

/// The greatest magnitude.
pub(super) fn greatest<const L: usize>(values: &[Lanes<L>]) -> f64 {
    values
        .iter()
        .flatten()
        .fold(0.0, |greatest, value| value.abs().max(greatest))
}
