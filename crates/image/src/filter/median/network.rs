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
            vectorised(
                #[inline(always)]
                || match size {
                    3 => medians_of_row(padded, y, row, sort_three, median_of_nine),
                    _ => medians_of_row(padded, y, row, sort_five, median_of_25),
                },
            );
        },
    )
}

/// `median` gets the columns of a window, sorted by `sort`, by rank.
#[inline(always)]
// `array::map` and its like, which clippy prefers, are not always inlined.
#[allow(clippy::needless_range_loop)]
fn medians_of_row<T: Sample, const SIZE: usize>(
    padded: &Padded<T>,
    y: usize,
    row: &mut [T],
    sort: impl Fn([T; SIZE]) -> [T; SIZE],
    median: impl Fn([[T; SIZE]; SIZE]) -> T,
) {
    for (number, row) in row.chunks_mut(LANES).enumerate() {
        let start = number * LANES;
        let mut ranks = [[T::default(); COLUMNS]; SIZE];
        for (below, samples) in ranks.iter_mut().enumerate() {
            let from = &padded.row(y + below)[start..];
            let count = from.len().min(COLUMNS);
            samples[..count].copy_from_slice(&from[..count]);
        }
        for x in 0..COLUMNS {
            let mut column = [T::default(); SIZE];
            for rank in 0..SIZE {
                column[rank] = ranks[rank][x];
            }
            let column = sort(column);
            for rank in 0..SIZE {
                ranks[rank][x] = column[rank];
            }
        }
        let mut medians = [T::default(); LANES];
        for x in 0..LANES {
            let mut window = [[T::default(); SIZE]; SIZE];
            for rank in 0..SIZE {
                for right in 0..SIZE {
                    window[rank][right] = ranks[rank][x + right];
                }
            }
            medians[x] = median(window);
        }
        row.copy_from_slice(&medians[..row.len()]);
    }
}

#[inline(always)]
fn median_of_nine<T: Sample>([low, middle, high]: [[T; 3]; 3]) -> T {
    median_of_three([
        sort_three(low)[2],
        sort_three(middle)[1],
        sort_three(high)[0],
    ])
}

#[inline(always)]
fn median_of_25<T: Sample>([a, b, c, d, e]: [[T; 5]; 5]) -> T {
    let (a, b, c) = (sort_five(a), sort_five(b), sort_five(c));
    let (d, e) = (sort_five(d), sort_five(e));
    let above = greater(greater(a[3], b[2]), greater(c[1], d[0]));
    let middle = sort_five([a[4], b[3], c[2], d[1], e[0]])[2];
    let below = lesser(lesser(b[4], c[3]), lesser(d[2], e[1]));
    median_of_three([above, middle, below])
}

#[inline(always)]
fn lesser<T: Sample>(one: T, other: T) -> T {
    if other < one { other } else { one }
}

#[inline(always)]
fn greater<T: Sample>(one: T, other: T) -> T {
    if other < one { one } else { other }
}

#[inline(always)]
fn median_of_three<T: Sample>(values: [T; 3]) -> T {
    sort_three(values)[1]
}

#[inline(always)]
fn sort_three<T: Sample>(mut values: [T; 3]) -> [T; 3] {
    exchange(&mut values, 0, 1);
    exchange(&mut values, 1, 2);
    exchange(&mut values, 0, 1);
    values
}

/// The shortest network: nine comparisons (Knuth, vol. 3, 5.3.4).
#[inline(always)]
fn sort_five<T: Sample>(mut values: [T; 5]) -> [T; 5] {
    exchange(&mut values, 0, 3);
    exchange(&mut values, 1, 4);
    exchange(&mut values, 0, 2);
    exchange(&mut values, 1, 3);
    exchange(&mut values, 0, 1);
    exchange(&mut values, 2, 4);
    exchange(&mut values, 1, 2);
    exchange(&mut values, 3, 4);
    exchange(&mut values, 2, 3);
    values
}

#[inline(always)]
fn exchange<T: Sample, const N: usize>(values: &mut [T; N], first: usize, second: usize) {
    let (one, other) = (values[first], values[second]);
    values[first] = lesser(one, other);
    values[second] = greater(one, other);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network that sorts, or selects from, zeros and ones does so with all numbers; columns of zeros
    /// and ones are known by how many ones they have.
    #[test]
    fn networks_are_right_for_all_zeros_and_ones() {
        for ones in 0..32u8 {
            let values = std::array::from_fn(|place| ones >> place & 1);
            let sorted = sort_five(values);
            assert!(sorted.is_sorted());
            assert_eq!(
                sorted.iter().sum::<u8>(),
                ones.count_ones() as u8,
                "{values:?}"
            );
        }
        for counts in 0..6u32.pow(5) {
            let columns: [u32; 5] = std::array::from_fn(|x| counts / 6u32.pow(x as u32) % 6);
            let ranks =
                std::array::from_fn(|rank| columns.map(|ones| u8::from(rank as u32 + ones >= 5)));
            let most = u8::from(columns.iter().sum::<u32>() >= 13);
            assert_eq!(median_of_25(ranks), most, "{columns:?}");
        }
        for counts in 0..4u32.pow(3) {
            let columns: [u32; 3] = std::array::from_fn(|x| counts / 4u32.pow(x as u32) % 4);
            let ranks =
                std::array::from_fn(|rank| columns.map(|ones| u8::from(rank as u32 + ones >= 3)));
            let most = u8::from(columns.iter().sum::<u32>() >= 5);
            assert_eq!(median_of_nine(ranks), most, "{columns:?}");
        }
    }
}
