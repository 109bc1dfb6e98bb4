//! Embeddings as points of a Euclidean space that is scaled and centred for 32-bit products.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};

use ndarray::{ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

use crate::AuditError;

use super::Metric;

/// Unit roundoff of 32-bit numbers.
const ROUNDOFF: f64 = 1.0 / (1 << 24) as f64;

/// Rows per partial sum of the mean.
const MEAN_ROWS: usize = 1024;

/// Rows and what the bounds need to know of them.
///
/// Point `x` stands for the 32-bit vector `z = x · gain − centre`. Moving all points by the same
/// vector changes no distance, but keeps the squares small against the distances, and with them
/// the rounding errors.
pub(super) struct Space<'a> {
    rows: ArrayView2<'a, f32>,
    metric: Metric,
    /// The first of each set of identical rows.
    first_rows: Vec<usize>,
    /// For each row, its point.
    points: Vec<usize>,
    /// For each point, its rows in ascending order.
    members: Vec<Vec<usize>>,
    scale: f64,
    centre: Vec<f32>,
    bounds: Bounds,
}

/// Of each point, half the square of its length, and what rounding can do to products with it.
pub(super) struct Bounds {
    /// Factor before centring: 1 / length (cosine) or the common scale.
    gains: Vec<f64>,
    /// ½‖z‖² less the error: `z·w − reduced(z) − reduced(w)` is an upper bound of −½‖x − y‖².
    pub(super) reduced: Vec<f32>,
    /// The error of a product is at most the sum of those of its two points.
    pub(super) errors: Vec<f64>,
}

/// Query points in the space of a reference.
pub(super) struct Queries<'a> {
    rows: ArrayView2<'a, f32>,
    metric: Metric,
    centre: &'a [f32],
    pub(super) bounds: Bounds,
}

/// A set of points whose vectors can be written out block by block.
pub(super) trait Points: Sync {
    fn len(&self) -> usize;
    fn bounds(&self) -> &Bounds;
    /// Writes the vectors of the points from `first` on, row-major.
    fn write(&self, first: usize, vectors: &mut [f32]);
}

impl<'a> Space<'a> {
    pub(super) fn new(rows: ArrayView2<'a, f32>, metric: Metric) -> Result<Self, AuditError> {
        check_finite(rows)?;
        if rows.ncols() == 0 {
            return Err(AuditError::Empty { what: "features" });
        }
        let (first_rows, points, members) = identical_rows(rows);
        let scale = match metric {
            Metric::Cosine => 1.0,
            Metric::Euclidean => power_of_two_scale(rows),
        };
        let gains = gains(rows, &first_rows, metric, scale)?;
        let centre = mean(rows, &first_rows, &gains);
        let bounds = Bounds::new(rows, &first_rows, metric, gains, &centre);
        Ok(Self {
            rows,
            metric,
            first_rows,
            points,
            members,
            scale,
            centre,
            bounds,
        })
    }

    pub(super) fn with_queries<'q>(
        &'q self,
        rows: ArrayView2<'q, f32>,
    ) -> Result<Queries<'q>, AuditError> {
        check_finite(rows)?;
        let all: Vec<usize> = (0..rows.nrows()).collect();
        let gains = gains(rows, &all, self.metric, self.scale)?;
        let bounds = Bounds::new(rows, &all, self.metric, gains, &self.centre);
        Ok(Queries {
            rows,
            metric: self.metric,
            centre: &self.centre,
            bounds,
        })
    }

    /// Number of different rows.
    pub(super) fn points(&self) -> usize {
        self.first_rows.len()
    }

    pub(super) fn features(&self) -> usize {
        self.rows.ncols()
    }

    pub(super) fn point_of(&self, row: usize) -> usize {
        self.points[row]
    }

    /// Distance of two points in 64-bit arithmetic, and their closeness.
    pub(super) fn measure(&self, a: usize, b: usize) -> (f64, f64) {
        self.with_closeness(distance(self.metric, self.member(a), self.member(b)))
    }

    fn with_closeness(&self, distance: f64) -> (f64, f64) {
        match self.metric {
            Metric::Cosine => (distance, -distance),
            Metric::Euclidean => (distance, -(distance * self.scale).powi(2) / 2.0),
        }
    }

    fn member(&self, point: usize) -> (ArrayView1<'_, f32>, f64) {
        let row = self.rows.row(self.first_rows[point]);
        (row, self.bounds.gains[point])
    }

    /// The `count` nearest rows (fewer if there are not as many) of points at given distances.
    pub(super) fn nearest_rows(
        &self,
        points: impl Iterator<Item = (f64, usize)>,
        count: usize,
    ) -> Vec<(f64, usize)> {
        let mut rows: Vec<(f64, usize)> = points
            .flat_map(|(distance, point)| {
                let members = self.members[point].iter().take(count);
                members.map(move |&row| (distance, row))
            })
            .collect();
        rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        rows.truncate(count);
        rows
    }
}

impl Points for Space<'_> {
    fn len(&self) -> usize {
        self.points()
    }

    fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    fn write(&self, first: usize, vectors: &mut [f32]) {
        for (offset, vector) in vectors.chunks_exact_mut(self.features()).enumerate() {
            let (row, gain) = self.member(first + offset);
            write_vector(self.metric, row, gain, &self.centre, vector);
        }
    }
}

impl Queries<'_> {
    /// Distance of a query to a point in 64-bit arithmetic, and their closeness.
    pub(super) fn measure(&self, query: usize, space: &Space<'_>, point: usize) -> (f64, f64) {
        let own = (self.rows.row(query), self.bounds.gains[query]);
        space.with_closeness(distance(self.metric, own, space.member(point)))
    }
}

impl Points for Queries<'_> {
    fn len(&self) -> usize {
        self.rows.nrows()
    }

    fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    fn write(&self, first: usize, vectors: &mut [f32]) {
        for (offset, vector) in vectors.chunks_exact_mut(self.rows.ncols()).enumerate() {
            let query = first + offset;
            let gain = self.bounds.gains[query];
            write_vector(self.metric, self.rows.row(query), gain, self.centre, vector);
        }
    }
}

impl Bounds {
    /// With u = 2⁻²⁴ and h = ½‖z‖², per point:
    ///
    /// * a product of n terms errs by at most n u / (1 − n u) ‖z‖‖w‖ ≤ γ (h(z) + h(w));
    /// * rounding `x · gain − centre` moves z by at most u‖z‖, and by 2 u more where the gain is
    ///   not a power of two (cosine, ‖x · gain‖ = 1); movements m and n of two points change
    ///   ½‖z − w‖² by at most (‖z‖ + ‖w‖)(m + n) + ½(m + n)²;
    /// * the few 32-bit subtractions and roundings of h that follow are within 16 u h.
    fn new(
        rows: ArrayView2<'_, f32>,
        first_rows: &[usize],
        metric: Metric,
        gains: Vec<f64>,
        centre: &[f32],
    ) -> Self {
        let terms = (rows.ncols() + 32) as f64 * ROUNDOFF;
        // Beyond 2²³ features nothing can be ruled out, which is slow but right.
        let relative = if terms < 0.5 {
            terms / (1.0 - terms)
        } else {
            1.0
        };
        let moved = match metric {
            Metric::Cosine => 3.0 * ROUNDOFF,
            Metric::Euclidean => 0.0,
        };
        let (reduced, errors) = first_rows
            .par_iter()
            .zip(&gains)
            .map_init(
                || vec![0.0; rows.ncols()],
                |vector, (&row, &gain)| {
                    write_vector(metric, rows.row(row), gain, centre, vector);
                    let square: f64 = vector.iter().map(|&z| f64::from(z) * f64::from(z)).sum();
                    let half = square / 2.0;
                    let absolute = 2.0 * moved * (square.sqrt() + moved);
                    let underflow = rows.ncols() as f64 * f64::from(f32::MIN_POSITIVE);
                    let error = relative * half + absolute + underflow;
                    (((half - error) as f32).next_down(), error)
                },
            )
            .unzip();
        Self {
            gains,
            reduced,
            errors,
        }
    }
}

fn write_vector(
    metric: Metric,
    row: ArrayView1<'_, f32>,
    gain: f64,
    centre: &[f32],
    vector: &mut [f32],
) {
    match (metric, row.as_slice()) {
        // A power of two: the product is exact in 32 bits.
        (Metric::Euclidean, Some(row)) => {
            let gain = gain as f32;
            for ((z, x), centre) in vector.iter_mut().zip(row).zip(centre) {
                *z = x * gain - centre;
            }
        }
        _ => {
            for ((z, &x), centre) in vector.iter_mut().zip(row).zip(centre) {
                *z = (f64::from(x) * gain) as f32 - centre;
            }
        }
    }
}

fn distance(
    metric: Metric,
    (a, gain_a): (ArrayView1<'_, f32>, f64),
    (b, gain_b): (ArrayView1<'_, f32>, f64),
) -> f64 {
    let square = |gain_a: f64, gain_b: f64| -> f64 {
        let difference = |a: f32, b: f32| f64::from(a) * gain_a - f64::from(b) * gain_b;
        match (a.as_slice(), b.as_slice()) {
            (Some(a), Some(b)) => sum_of_squares(a, b, difference),
            _ => a
                .iter()
                .zip(b)
                .map(|(&a, &b)| difference(a, b).powi(2))
                .sum(),
        }
    };
    match metric {
        Metric::Cosine => square(gain_a, gain_b) / 2.0,
        Metric::Euclidean => square(1.0, 1.0).sqrt(),
    }
}

/// Eight sums side by side, which the compiler keeps in vector registers.
fn sum_of_squares(a: &[f32], b: &[f32], difference: impl Fn(f32, f32) -> f64) -> f64 {
    let (a_eights, a_rest) = a.as_chunks::<8>();
    let (b_eights, b_rest) = b.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for (a, b) in a_eights.iter().zip(b_eights) {
        for lane in 0..8 {
            let difference = difference(a[lane], b[lane]);
            lanes[lane] += difference * difference;
        }
    }
    let rest = a_rest.iter().zip(b_rest);
    let rest = rest.map(|(&a, &b)| difference(a, b).powi(2)).sum::<f64>();
    lanes.iter().sum::<f64>() + rest
}

fn check_finite(rows: ArrayView2<'_, f32>) -> Result<(), AuditError> {
    let bad = (0..rows.nrows()).into_par_iter().find_map_first(|row| {
        let column = rows.row(row).iter().position(|value| !value.is_finite())?;
        Some((row, column))
    });
    match bad {
        Some((row, column)) => Err(AuditError::NotFinite {
            row,
            column,
            value: rows[[row, column]],
        }),
        None => Ok(()),
    }
}

/// For each point its first row, for each row its point, and for each point all its rows.
fn identical_rows(rows: ArrayView2<'_, f32>) -> (Vec<usize>, Vec<usize>, Vec<Vec<usize>>) {
    let hashes: Vec<u64> = (0..rows.nrows())
        .into_par_iter()
        .map(|row| {
            let mut hasher = DefaultHasher::new();
            for &value in rows.row(row) {
                // Adding zero makes −0 the 0 that it equals.
                hasher.write_u32((value + 0.0).to_bits());
            }
            hasher.finish()
        })
        .collect();
    let mut by_hash: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    let mut first_rows: Vec<usize> = Vec::new();
    let mut points = Vec::with_capacity(rows.nrows());
    let mut members: Vec<Vec<usize>> = Vec::new();
    for (row, hash) in hashes.into_iter().enumerate() {
        let same_hash = by_hash.entry(hash).or_default();
        let known = same_hash
            .iter()
            .copied()
            .find(|&point| rows.row(first_rows[point]) == rows.row(row));
        let point = known.unwrap_or_else(|| {
            let point = first_rows.len();
            first_rows.push(row);
            members.push(Vec::new());
            same_hash.push(point);
            point
        });
        members[point].push(row);
        points.push(point);
    }
    (first_rows, points, members)
}

/// A power of two that brings the largest feature to at most 1 / features, so that no square
/// overflows.
fn power_of_two_scale(rows: ArrayView2<'_, f32>) -> f64 {
    let largest = rows
        .axis_iter(Axis(0))
        .into_par_iter()
        .map(|row| {
            row.iter()
                .fold(0.0f32, |largest, value| largest.max(value.abs()))
        })
        .reduce(|| 0.0, f32::max);
    if largest == 0.0 {
        return 1.0;
    }
    let exponent = (f64::from(largest) * rows.ncols() as f64).log2().ceil();
    // Within the range in which the scale itself is a 32-bit number.
    (-exponent).clamp(-126.0, 126.0).exp2()
}

fn gains(
    rows: ArrayView2<'_, f32>,
    first_rows: &[usize],
    metric: Metric,
    scale: f64,
) -> Result<Vec<f64>, AuditError> {
    match metric {
        Metric::Euclidean => Ok(vec![scale; first_rows.len()]),
        Metric::Cosine => first_rows
            .par_iter()
            .map(|&row| {
                let square: f64 = rows
                    .row(row)
                    .iter()
                    .map(|&value| f64::from(value) * f64::from(value))
                    .sum();
                if square == 0.0 {
                    Err(AuditError::ZeroVector { row })
                } else {
                    Ok(1.0 / square.sqrt())
                }
            })
            .collect(),
    }
}

fn mean(rows: ArrayView2<'_, f32>, first_rows: &[usize], gains: &[f64]) -> Vec<f32> {
    let partial: Vec<Vec<f64>> = first_rows
        .par_chunks(MEAN_ROWS)
        .zip(gains.par_chunks(MEAN_ROWS))
        .map(|(first_rows, gains)| {
            let mut sum = vec![0.0; rows.ncols()];
            for (&row, gain) in first_rows.iter().zip(gains) {
                for (sum, &value) in sum.iter_mut().zip(rows.row(row)) {
                    *sum += f64::from(value) * gain;
                }
            }
            sum
        })
        .collect();
    let mut mean = vec![0.0; rows.ncols()];
    for part in partial {
        for (mean, part) in mean.iter_mut().zip(part) {
            *mean += part / first_rows.len() as f64;
        }
    }
    mean.into_iter().map(|value| value as f32).collect()
}
