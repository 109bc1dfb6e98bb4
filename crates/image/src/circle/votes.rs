//! The accumulator: how many edge pixels vote for each centre.

use std::ops::{Range, RangeInclusive};

use rayon::prelude::*;

use super::{HoughCircles, Voter};

/// Positions are in units of 1/1024 cell.
const BITS: i64 = 10;

/// Votes per cell. One column and one row more than cells at the right and bottom stay 0, and another of
/// each, as in OpenCV.
pub(super) struct Votes {
    columns: usize,
    rows: usize,
    parts: Vec<Part>,
}

/// The votes of some of the voters, in the rows that these reach.
struct Part {
    columns: usize,
    rows: Range<usize>,
    votes: Vec<u32>,
}

impl Votes {
    pub(super) fn count(size: (usize, usize), voters: &[Voter], settings: &HoughCircles) -> Self {
        let inverse = 1.0 / settings.cell;
        let [rows, columns] = [size.0, size.1].map(|side| (side as f32 * inverse).ceil() as usize);
        // Sums of integers: the share of each thread does not matter.
        let share = voters.len().div_ceil(rayon::current_num_threads()).max(1);
        let parts = voters.par_chunks(share).map(|voters| {
            let mut part = Part::new(voters, (rows, columns), inverse, &settings.radii);
            for voter in voters {
                part.vote(voter, inverse, &settings.radii);
            }
            part
        });
        Self {
            columns,
            rows,
            parts: parts.collect(),
        }
    }

    /// Cells (column, row) with more votes than `threshold`, than those to the left and above, and no
    /// fewer than those to the right and below. Cells of the first column and row are none.
    pub(super) fn peaks(&self, threshold: u32) -> Vec<(usize, usize)> {
        /// Rows of one piece of work, which sums up two more.
        const BAND: usize = 64;
        (0..self.rows.div_ceil(BAND))
            .into_par_iter()
            .flat_map_iter(|band| {
                let first = 1 + band * BAND;
                let mut sums = [first - 1, first, first].map(|row| self.row(row));
                let mut peaks = Vec::new();
                for row in first..(first + BAND).min(self.rows + 1) {
                    self.sum(row + 1, &mut sums[2]);
                    find_peaks(&sums, threshold, |column| peaks.push((column, row)));
                    sums.rotate_left(1);
                }
                peaks
            })
            .collect()
    }

    fn row(&self, row: usize) -> Vec<u32> {
        let mut sums = vec![0; self.columns + 2];
        self.sum(row, &mut sums);
        sums
    }

    /// All votes of a row.
    fn sum(&self, row: usize, sums: &mut [u32]) {
        sums.fill(0);
        for part in self.parts.iter().filter(|part| part.rows.contains(&row)) {
            let start = (row - part.rows.start) * self.columns;
            let votes = &part.votes[start..start + self.columns];
            for (sum, votes) in sums.iter_mut().zip(votes) {
                *sum += votes;
            }
        }
    }
}

/// The peaks of the middle one of three rows.
fn find_peaks([above, here, below]: &[Vec<u32>; 3], threshold: u32, mut found: impl FnMut(usize)) {
    /// Most cells have few votes: so many at a time.
    const TOGETHER: usize = 16;
    let columns = 1..here.len() - 1;
    for start in columns.clone().step_by(TOGETHER) {
        let end = (start + TOGETHER).min(columns.end);
        if here[start..end]
            .iter()
            .fold(0, |most, &votes| votes.max(most))
            <= threshold
        {
            continue;
        }
        for column in start..end {
            let votes = here[column];
            if votes > threshold
                && votes > here[column - 1]
                && votes >= here[column + 1]
                && votes > above[column]
                && votes >= below[column]
            {
                found(column);
            }
        }
    }
}

impl Part {
    /// For voters in raster order.
    fn new(
        voters: &[Voter],
        (rows, columns): (usize, usize),
        inverse: f32,
        radii: &RangeInclusive<u32>,
    ) -> Self {
        let reach = f64::from(*radii.end());
        // Steps and places are rounded to units, a step as often as the radius is long.
        let reach = reach * f64::from(inverse) + reach / (1 << BITS) as f64 + 2.0;
        let row = |voter: Option<&Voter>, reach: f64| {
            let y = voter.map_or(0.0, |voter| f64::from(voter.y));
            ((y * f64::from(inverse) + reach).max(0.0) as usize).min(rows)
        };
        let rows = row(voters.first(), -reach)..row(voters.last(), reach + 1.0);
        Self {
            columns,
            votes: vec![0; rows.len() * columns],
            rows,
        }
    }

    fn vote(&mut self, voter: &Voter, inverse: f32, radii: &RangeInclusive<u32>) {
        let unit = (1 << BITS) as f32;
        let length = voter.length();
        let step = |along: f32| ((along * inverse) * unit / length).round_ties_even() as i64;
        let place = |at: u32| ((at as f32 * inverse) * unit).round_ties_even() as i64;
        let (step_x, step_y) = (step(voter.dx), step(voter.dy));
        let (x, y) = (
            place(voter.x),
            place(voter.y) - ((self.rows.start as i64) << BITS),
        );
        let steps = i64::from(radii.end() - radii.start());
        for side in [1, -1] {
            let (step_x, step_y) = (side * step_x, side * step_y);
            let first = i64::from(*radii.start());
            let (mut x, mut y) = (x + first * step_x, y + first * step_y);
            // Where a line leaves the accumulator it does not come back.
            let within =
                self.contains(x, y) && self.contains(x + steps * step_x, y + steps * step_y);
            for _ in 0..=steps {
                if !within && !self.contains(x, y) {
                    break;
                }
                self.votes[(y >> BITS) as usize * self.columns + (x >> BITS) as usize] += 1;
                x += step_x;
                y += step_y;
            }
        }
    }

    fn contains(&self, x: i64, y: i64) -> bool {
        let is_in = |at: i64, length: usize| ((at >> BITS) as usize) < length;
        is_in(x, self.columns) && is_in(y, self.rows.len())
    }
}
