//! The median of 3 × 3 and 5 × 5 pixels by networks of comparisons, without branches.
//!
//! The columns of a window are sorted, then its rows, which leaves the columns sorted (D. Gale and R. Karp,
//! *A phenomenon in the theory of sorting*, Journal of Computer and System Sciences 6 (1972) 103–115).
//! Of most pixels it is then known that too many others are no greater, or no less. The median of 5 × 5 is the
//! median of three: of the middle antidiagonal's median, the greatest of the antidiagonal before it, and
//! the least of that after it. Neighbouring windows share their sorted columns.

use ndarray::{Array2, Ix2};

use super::Padded;
use crate::Sample;
use crate::rows::by_row;
use crate::vectors::vectorised;

/// How many medians are found at once.
const LANES: usize = 128;
/// How many columns are sorted for them: at least 4 more, and whole registers.
const COLUMNS: usize = LANES + 32;

/// The median of the `size` × `size` pixels around each pixel; `size` is 3 or 5, and all samples are
/// numbers.
pub(super) fn medians<T: Sample>(padded: &Padded<T>, shape: Ix2, size: usize) -> Array2<T> {
    by_row(
        shape,
        || (),
        |(), y, row| {
            // A function given as it is would be called through another that is not always inlined.
            vectorised(
                #[inline(always)]
                || match size {
                    3 => medians_of_row(
                        padded,
                        y,
                        row,
                        #[inline(always)]
                        |ranks| sort_three(ranks),
                        #[inline(always)]
                        |ranks| median_of_nine(ranks),
                    ),
                    _ => medians_of_row(
                        padded,
                        y,
                        row,
                        #[inline(always)]
                        |ranks| sort_five(ranks),
                        #[inline(always)]
                        |ranks| median_of_25(ranks),
                    ),
                },
            );
        },
    )
}

/// `sort` orders columns, and `median` gets them so, by rank.
#[inline(always)]
fn medians_of_row<T: Sample, const SIZE: usize>(
    padded: &Padded<T>,
    y: usize,
    row: &mut [T],
    sort: impl Fn(&mut [[T; COLUMNS]; SIZE]),
    median: impl Fn(&[[T; COLUMNS]; SIZE]) -> [T; LANES],
) {
    for (number, row) in row.chunks_mut(LANES).enumerate() {
        let start = number * LANES;
        let mut ranks = [[T::default(); COLUMNS]; SIZE];
        for (below, samples) in ranks.iter_mut().enumerate() {
            let from = &padded.row(y + below)[start..];
            let count = from.len().min(COLUMNS);
            samples[..count].copy_from_slice(&from[..count]);
        }
        sort(&mut ranks);
        row.copy_from_slice(&median(&ranks)[..row.len()]);
    }
}

// From here on an array of samples is one of vectors: each step is done to all of them before the next.

#[inline(always)]
fn median_of_nine<T: Sample, const FROM: usize, const TO: usize>(
    ranks: &[[T; FROM]; 3],
) -> [T; TO] {
    let (mut low, mut middle, mut high) =
        (windows(&ranks[0]), windows(&ranks[1]), windows(&ranks[2]));
    sort_three(&mut low);
    sort_three(&mut middle);
    sort_three(&mut high);
    median_of_three([low[2], middle[1], high[0]])
}

#[inline(always)]
fn median_of_25<T: Sample, const FROM: usize, const TO: usize>(ranks: &[[T; FROM]; 5]) -> [T; TO] {
    let (mut a, mut b, mut c) = (windows(&ranks[0]), windows(&ranks[1]), windows(&ranks[2]));
    let (mut d, mut e) = (windows(&ranks[3]), windows(&ranks[4]));
    for rank in [&mut a, &mut b, &mut c, &mut d, &mut e] {
        sort_five(rank);
    }
    let above = greater(&greater(&a[3], &b[2]), &greater(&c[1], &d[0]));
    let mut middle = [a[4], b[3], c[2], d[1], e[0]];
    sort_five(&mut middle);
    let below = lesser(&lesser(&b[4], &c[3]), &lesser(&d[2], &e[1]));
    median_of_three([above, middle[2], below])
}

/// The samples of a row at each place of the windows that start at each sample.
#[inline(always)]
fn windows<T: Sample, const FROM: usize, const TO: usize, const SIZE: usize>(
    row: &[T; FROM],
) -> [[T; TO]; SIZE] {
    let mut windows = [[T::default(); TO]; SIZE];
    for (right, samples) in windows.iter_mut().enumerate() {
        samples.copy_from_slice(&row[right..right + TO]);
    }
    windows
}

#[inline(always)]
fn lesser<T: Sample, const N: usize>(one: &[T; N], other: &[T; N]) -> [T; N] {
    let mut values = *one;
    for (value, &other) in values.iter_mut().zip(other) {
        *value = if other < *value { other } else { *value };
    }
    values
}

#[inline(always)]
fn greater<T: Sample, const N: usize>(one: &[T; N], other: &[T; N]) -> [T; N] {
    let mut values = *one;
    for (value, &other) in values.iter_mut().zip(other) {
        *value = if other < *value { *value } else { other };
    }
    values
}

#[inline(always)]
fn median_of_three<T: Sample, const N: usize>(mut values: [[T; N]; 3]) -> [T; N] {
    sort_three(&mut values);
    values[1]
}

#[inline(always)]
fn sort_three<T: Sample, const N: usize>(values: &mut [[T; N]; 3]) {
    exchange(values, 0, 1);
    exchange(values, 1, 2);
    exchange(values, 0, 1);
}

/// The shortest network: nine comparisons (Knuth, vol. 3, 5.3.4).
#[inline(always)]
fn sort_five<T: Sample, const N: usize>(values: &mut [[T; N]; 5]) {
    exchange(values, 0, 3);
    exchange(values, 1, 4);
    exchange(values, 0, 2);
    exchange(values, 1, 3);
    exchange(values, 0, 1);
    exchange(values, 2, 4);
    exchange(values, 1, 2);
    exchange(values, 3, 4);
    exchange(values, 2, 3);
}

#[inline(always)]
// Two of the vectors change at once: by index neither is borrowed.
#[allow(clippy::needless_range_loop)]
fn exchange<T: Sample, const N: usize, const SIZE: usize>(
    values: &mut [[T; N]; SIZE],
    first: usize,
    second: usize,
) {
    for lane in 0..N {
        let (one, other) = (values[first][lane], values[second][lane]);
        values[first][lane] = if other < one { other } else { one };
        values[second][lane] = if other < one { one } else { other };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network that sorts, or selects from, zeros and ones does so with all numbers; columns of zeros
    /// and ones are known by how many ones they have.
    #[test]
    fn networks_are_right_for_all_zeros_and_ones() {
        for ones in 0..32u8 {
            let values: [[u8; 1]; 5] = std::array::from_fn(|place| [ones >> place & 1]);
            let mut sorted = values;
            sort_five(&mut sorted);
            assert!(sorted.is_sorted());
            assert_eq!(
                sorted.concat().iter().sum::<u8>(),
                ones.count_ones() as u8,
                "{values:?}"
            );
        }
        for counts in 0..6u32.pow(5) {
            let columns: [u32; 5] = std::array::from_fn(|x| counts / 6u32.pow(x as u32) % 6);
            let ranks =
                std::array::from_fn(|rank| columns.map(|ones| u8::from(rank as u32 + ones >= 5)));
            let most = u8::from(columns.iter().sum::<u32>() >= 13);
            assert_eq!(median_of_25(&ranks), [most], "{columns:?}");
        }
        for counts in 0..4u32.pow(3) {
            let columns: [u32; 3] = std::array::from_fn(|x| counts / 4u32.pow(x as u32) % 4);
            let ranks =
                std::array::from_fn(|rank| columns.map(|ones| u8::from(rank as u32 + ones >= 3)));
            let most = u8::from(columns.iter().sum::<u32>() >= 5);
            assert_eq!(median_of_nine(&ranks), [most], "{columns:?}");
        }
    }
}
