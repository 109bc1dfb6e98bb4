//! The radius around a centre.

use super::{Circle, HoughCircles, Voter};

/// Finds the radius around a centre.
pub(super) struct Finder {
    /// The voters' columns, in raster order.
    columns: Vec<u32>,
    /// Where the voters of each block of a row start, and one more.
    starts: Vec<u32>,
    blocks: usize,
    rows: usize,
    cell: f32,
    smallest: f32,
    largest: f32,
    bins: usize,
    votes: u32,
    /// The bin of each whole number of squared pixels, and one for all that are greater.
    table: Option<Vec<u16>>,
}

/// Columns of a block.
const BLOCK: usize = 32;

/// Bins of the histogram of radii per accumulator cell.
const BINS_PER_CELL: usize = 10;

impl Finder {
    /// `voters` in raster order.
    pub(super) fn new(
        voters: &[Voter],
        (rows, width): (usize, usize),
        settings: &HoughCircles,
    ) -> Self {
        let (smallest, largest) = (*settings.radii.start() as f32, *settings.radii.end() as f32);
        let bins = (largest - smallest) / settings.cell * BINS_PER_CELL as f32;
        let blocks = width.div_ceil(BLOCK);
        let mut starts = Vec::with_capacity(rows * blocks + 1);
        for (number, voter) in (0..).zip(voters) {
            let block = voter.y as usize * blocks + voter.x as usize / BLOCK;
            starts.resize(starts.len().max(block + 1), number);
        }
        starts.resize(rows * blocks + 1, voters.len() as u32);
        let mut finder = Self {
            columns: voters.iter().map(|voter| voter.x).collect(),
            starts,
            blocks,
            rows,
            cell: settings.cell,
            smallest,
            largest,
            bins: (bins.round_ties_even() as usize).max(1),
            votes: settings.votes,
            table: None,
        };
        // Up to these lengths 32-bit coordinates and squares are exact.
        if largest.max(settings.cell) <= 1000.0 && rows.max(width) < 1 << 20 {
            finder.table = finder.tabulate();
        }
        finder
    }

    /// With cells of whole pixels all squared distances have the same fraction: 0, or 1/2 where the
    /// cells' middles are middles of pixels.
    fn tabulate(&self) -> Option<Vec<u16>> {
        if self.cell.fract() != 0.0 {
            return None;
        }
        let fraction = if self.cell % 2.0 == 0.0 { 0.0 } else { 0.5 };
        let squares = 0..=(self.largest * self.largest) as u32 + 1;
        let bin = |square| self.bin(square as f32 + fraction).unwrap_or(self.bins) as u16;
        Some(squares.map(bin).collect())
    }

    /// The bin of a squared distance.
    fn bin(&self, squared: f32) -> Option<usize> {
        let (least, most) = (self.smallest * self.smallest, self.largest * self.largest);
        (least..=most).contains(&squared).then(|| {
            let bin = (squared.sqrt() - self.smallest) / self.cell * BINS_PER_CELL as f32;
            (bin.round_ties_even() as usize).min(self.bins - 1)
        })
    }

    /// The circle around the middle of a cell; `bins` is left over from another.
    pub(super) fn circle(&self, column: usize, row: usize, bins: &mut Vec<u32>) -> Option<Circle> {
        bins.clear();
        bins.resize(self.bins + 1, 0);
        let middle = |cell: usize| (cell as f32 + 0.5) * self.cell;
        let (x, y) = (middle(column), middle(row));
        match &self.table {
            Some(table) => self.look_up(column, row, table, bins),
            None => self.measure(x, y, bins),
        }
        let (radius, votes) = self.radius(&bins[..self.bins]);
        (votes > self.votes).then_some(Circle {
            x,
            y,
            radius,
            votes,
        })
    }

    /// Counts how many edge pixels are how far from a centre.
    fn measure(&self, x: f32, y: f32, bins: &mut [u32]) {
        for (row, columns) in self.around(x, y) {
            let down = y - row as f32;
            for &column in columns {
                let right = x - column as f32;
                if let Some(bin) = self.bin(right * right + down * down) {
                    bins[bin] += 1;
                }
            }
        }
    }

    /// The same, in quarters of squared pixels.
    fn look_up(&self, column: usize, row: usize, table: &[u16], bins: &mut [u32]) {
        let twice = |cell: usize| (2 * cell as i32 + 1) * self.cell as i32;
        let (x, y) = (twice(column), twice(row));
        for (row, columns) in self.around(x as f32 / 2.0, y as f32 / 2.0) {
            let down = y - 2 * row as i32;
            for &column in columns {
                let right = x - 2 * column as i32;
                let square = (right * right + down * down) as usize / 4;
                bins[usize::from(table[square.min(table.len() - 1)])] += 1;
            }
        }
    }

    /// The rows within reach of a centre, and in each the columns of voters, some out of reach.
    fn around(&self, x: f32, y: f32) -> impl Iterator<Item = (usize, &[u32])> {
        let reach = |at: f32, reach: f32| (at + reach).max(0.0) as usize;
        let first = reach(y, -self.largest).min(self.rows);
        let last = (reach(y, self.largest) + 1).min(self.rows);
        let left = (reach(x, -self.largest) / BLOCK).min(self.blocks);
        let right = (reach(x, self.largest) / BLOCK + 1).min(self.blocks);
        (first..last).map(move |row| {
            let start = |block: usize| self.starts[row * self.blocks + block] as usize;
            (row, &self.columns[start(left)..start(right)])
        })
    }
    /// The radius with the most edge pixels per length, and how many these are. Windows of one cell are
    /// taken from the largest radius down, each from the next bin that is not empty; one bin between
    /// two windows is passed over, as in OpenCV.
    fn radius(&self, bins: &[u32]) -> (f32, u32) {
        let (mut best, mut most) = (0.0, 0);
        let mut upper = bins.len() - 1;
        while upper > 0 {
            if bins[upper] == 0 {
                upper -= 1;
                continue;
            }
            // One before the window's last bin; −1 where the window is cut off.
            let lower = upper as i64 - (BINS_PER_CELL as i64).min(upper as i64 + 1);
            let count: u32 = bins[(lower + 1) as usize..=upper].iter().sum();
            let middle = (upper as i64 + lower) as f32 / 2.0;
            let radius = middle / BINS_PER_CELL as f32 * self.cell + self.smallest;
            if count as f32 * best >= most as f32 * radius || (best < f32::EPSILON && count >= most)
            {
                (best, most) = (radius, count);
            }
            upper = (lower - 1).max(0) as usize;
        }
        (best, most)
    }
}
