//! Products of blocks of points, and what they say about who can be near whom.

use std::sync::{Mutex, MutexGuard, PoisonError};

use gemm::Parallelism;
use rayon::prelude::*;

use super::candidates::Candidates;
use super::space::{Bounds, Points, Queries, Space};

/// Points on the long side of a tile. A block of the short side is written out once per tile, so
/// the longer the other side, the less that costs against the product.
const TALL: usize = 2048;

/// Points on the short side: the product (4 MiB) stays in the cache until it is looked through.
const WIDE: usize = 512;

/// Short sides that one task goes through with the same long side.
const RUN: usize = 8;

/// Products that are compared at once before looking at each.
const LANES: usize = 16;

/// For each point of a space, what may be among the `k` nearest others.
pub(super) fn among_themselves(space: &Space<'_>, k: usize) -> Vec<Candidates> {
    let groups: Vec<Mutex<Group>> = (0..space.len())
        .step_by(WIDE)
        .map(|first| {
            Mutex::new(Group::new(
                space.bounds(),
                first,
                (first + WIDE).min(space.len()),
                k,
            ))
        })
        .collect();
    // Tasks near the diagonal first: they give every point its first `k` candidates.
    let mut tasks: Vec<(usize, usize)> = (0..groups.len())
        .step_by(TALL / WIDE)
        .flat_map(|tall| {
            (tall..groups.len())
                .step_by(RUN)
                .map(move |wide| (tall, wide))
        })
        .collect();
    tasks.sort_by_key(|&(tall, wide)| (wide - tall, tall));
    tasks.into_par_iter().with_max_len(1).for_each_init(
        Buffers::default,
        |buffers, (tall, wide)| {
            symmetric_run(space, &groups, buffers, tall, wide);
        },
    );
    groups
        .into_iter()
        .flat_map(|group| {
            group
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner)
                .lists
        })
        .collect()
}

/// For each query, what may be among the `k` nearest points of a space.
pub(super) fn against(queries: &Queries<'_>, space: &Space<'_>, k: usize) -> Vec<Candidates> {
    let starts: Vec<usize> = (0..queries.len()).step_by(TALL / 4).collect();
    let groups: Vec<Group> = starts
        .into_par_iter()
        .with_max_len(1)
        .map_init(Buffers::default, |buffers, first| {
            let last = (first + TALL / 4).min(queries.len());
            let mut group = Group::new(queries.bounds(), first, last, k);
            let features = space.features();
            resize_and_write(queries, first, last, features, &mut buffers.tall);
            for start in (0..space.len()).step_by(WIDE) {
                let end = (start + WIDE).min(space.len());
                resize_and_write(space, start, end, features, &mut buffers.wide);
                multiply(
                    &buffers.tall,
                    &buffers.wide,
                    features,
                    &mut buffers.products,
                );
                let columns = Columns {
                    first: start,
                    reduced: &space.bounds().reduced[start..end],
                    errors: &space.bounds().errors[start..end],
                };
                group.look_through(&buffers.products, &columns, |query, point| {
                    queries.measure(query, space, point)
                });
            }
            group
        })
        .collect();
    groups.into_iter().flat_map(|group| group.lists).collect()
}

/// Multiplies the tall block that starts with group `tall` with up to [`RUN`] groups from `wide`
/// on, and tells both sides of each pair.
fn symmetric_run(
    space: &Space<'_>,
    groups: &[Mutex<Group>],
    buffers: &mut Buffers,
    tall: usize,
    wide: usize,
) {
    let features = space.features();
    let end_of = |group: usize| (group * WIDE).min(space.len());
    let tall_end = (tall + TALL / WIDE).min(groups.len());
    resize_and_write(
        space,
        tall * WIDE,
        end_of(tall_end),
        features,
        &mut buffers.tall,
    );
    for column_group in wide..(wide + RUN).min(groups.len()) {
        let (start, end) = (column_group * WIDE, end_of(column_group + 1));
        resize_and_write(space, start, end, features, &mut buffers.wide);
        multiply(
            &buffers.tall,
            &buffers.wide,
            features,
            &mut buffers.products,
        );
        let width = end - start;
        // Groups below the diagonal have seen these pairs from the other side.
        for row_group in tall..tall_end.min(column_group + 1) {
            let from = (row_group - tall) * WIDE * width;
            let rows = end_of(row_group + 1) - row_group * WIDE;
            let products = &buffers.products[from..from + rows * width];
            let measure = |a, b| space.measure(a, b);
            // Always the lower group first, so that two threads cannot wait for each other.
            let mut upper = lock(&groups[row_group]);
            if row_group == column_group {
                upper.look_through_own(products, measure);
            } else {
                let mut lower = lock(&groups[column_group]);
                upper.look_through_both(&mut lower, products, measure);
            }
        }
    }
}

fn lock<'a>(group: &'a Mutex<Group>) -> MutexGuard<'a, Group> {
    // A panic elsewhere ends the whole computation; what it left here is not used.
    group.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Buffers {
    tall: Vec<f32>,
    wide: Vec<f32>,
    products: Vec<f32>,
}

fn resize_and_write(
    points: &impl Points,
    first: usize,
    last: usize,
    features: usize,
    vectors: &mut Vec<f32>,
) {
    vectors.resize((last - first) * features, 0.0);
    points.write(first, vectors);
}

/// `products[i, j] = tall[i] · wide[j]`, all row-major with `features` numbers per vector.
fn multiply(tall: &[f32], wide: &[f32], features: usize, products: &mut Vec<f32>) {
    let (rows, columns) = (tall.len() / features, wide.len() / features);
    products.resize(rows * columns, 0.0);
    let stride = features as isize;
    // SAFETY: the slices hold rows × features, columns × features and rows × columns numbers, and
    // the strides are those of these row-major matrices (the second one transposed), so every
    // access is in bounds; `products` is borrowed mutably and aliases nothing.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            rows,
            columns,
            features,
            products.as_mut_ptr(),
            1,
            columns as isize,
            false,
            tall.as_ptr(),
            1,
            stride,
            wide.as_ptr(),
            stride,
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// What the columns of a tile stand for.
struct Columns<'a> {
    first: usize,
    reduced: &'a [f32],
    errors: &'a [f64],
}

/// Consecutive points with their candidates.
struct Group {
    first: usize,
    lists: Vec<Candidates>,
    reduced: Vec<f32>,
    errors: Vec<f64>,
    /// A product less the other's `reduced` must reach this to be of interest.
    cuts: Vec<f32>,
}

impl Group {
    fn new(bounds: &Bounds, first: usize, last: usize, k: usize) -> Self {
        let points = last - first;
        Self {
            first,
            lists: vec![Candidates::new(k); points],
            reduced: bounds.reduced[first..last].to_vec(),
            errors: bounds.errors[first..last].to_vec(),
            cuts: vec![f32::NEG_INFINITY; points],
        }
    }

    fn columns(&self) -> Columns<'_> {
        Columns {
            first: self.first,
            reduced: &self.reduced,
            errors: &self.errors,
        }
    }

    fn consider(
        &mut self,
        row: usize,
        product: f32,
        (other, reduced, error): (usize, f32, f64),
        measure: impl Fn(usize, usize) -> (f64, f64),
    ) {
        let upper = f64::from(product) - f64::from(self.reduced[row]) - f64::from(reduced);
        let lower = upper - 2.0 * (self.errors[row] + error);
        let own = self.first + row;
        let list = &mut self.lists[row];
        list.add(other, upper, lower, |other| measure(own, other));
        let cut = list.needed() + f64::from(self.reduced[row]);
        self.cuts[row] = (cut as f32).next_down();
    }

    /// One side of each pair.
    fn look_through(
        &mut self,
        products: &[f32],
        columns: &Columns<'_>,
        measure: impl Fn(usize, usize) -> (f64, f64),
    ) {
        let width = columns.reduced.len();
        for (row, products) in products.chunks_exact(width).enumerate() {
            let lanes = products.chunks(LANES).zip(columns.reduced.chunks(LANES));
            for (chunk, (products, reduced)) in lanes.enumerate() {
                let cut = self.cuts[row];
                if !any(products, reduced, |product, reduced| {
                    product - reduced >= cut
                }) {
                    continue;
                }
                for (lane, (&product, &reduced)) in products.iter().zip(reduced).enumerate() {
                    if product - reduced >= self.cuts[row] {
                        let column = chunk * LANES + lane;
                        let other = (columns.first + column, reduced, columns.errors[column]);
                        self.consider(row, product, other, &measure);
                    }
                }
            }
        }
    }

    /// Pairs within the group; the products are symmetric, so each side looks at its own row.
    fn look_through_own(&mut self, products: &[f32], measure: impl Fn(usize, usize) -> (f64, f64)) {
        let width = self.reduced.len();
        for row in 0..width {
            for column in 0..width {
                let (product, reduced) = (products[row * width + column], self.reduced[column]);
                if column != row && product - reduced >= self.cuts[row] {
                    let other = (self.first + column, reduced, self.errors[column]);
                    self.consider(row, product, other, &measure);
                }
            }
        }
    }

    /// Both sides of each pair of two groups.
    fn look_through_both(
        &mut self,
        other: &mut Group,
        products: &[f32],
        measure: impl Fn(usize, usize) -> (f64, f64),
    ) {
        self.look_through(products, &other.columns(), &measure);
        let width = other.reduced.len();
        for (row, products) in products.chunks_exact(width).enumerate() {
            let own = (self.first + row, self.reduced[row], self.errors[row]);
            for (chunk, products) in products.chunks(LANES).enumerate() {
                let start = chunk * LANES;
                let cuts = &other.cuts[start..start + products.len()];
                if !any(products, cuts, |product, cut| product - own.1 >= cut) {
                    continue;
                }
                for (lane, &product) in products.iter().enumerate() {
                    if product - own.1 >= other.cuts[start + lane] {
                        other.consider(start + lane, product, own, &measure);
                    }
                }
            }
        }
    }
}

/// Written without an early end, so that the compiler compares all lanes at once.
#[inline]
fn any(a: &[f32], b: &[f32], test: impl Fn(f32, f32) -> bool) -> bool {
    let (Some(a), Some(b)) = (a.as_array::<LANES>(), b.as_array::<LANES>()) else {
        return a.iter().zip(b).any(|(&a, &b)| test(a, b));
    };
    let mut found = false;
    for lane in 0..LANES {
        found |= test(a[lane], b[lane]);
    }
    found
}
