//! What is counted while images are read.

use cleanslide_data::{TryMap, UNLABELLED_CLASS};
use rayon::prelude::*;

use crate::AuditError;
use crate::confident_learning::UNITS;
use crate::softmin::Softmin;

use super::NO_PIXELS;
use super::selection::{COARSE_BINS, COARSE_SHIFT, Counts, key};
use super::source::{PixelBlocks, Planes, RowScan};

/// Counts of the first reading. Only integers, so that the order of additions does not matter.
pub(super) struct Tally {
    label_counts: Vec<u64>,
    /// Per label, the sum of its own probability in multiples of 2⁻⁶⁰.
    sums: Vec<i128>,
    own: Counts,
    /// Pixels that are predicted as another class, `[predicted class, coarse bin of its
    /// probability]`.
    others: Vec<u64>,
}

impl Tally {
    fn new(classes: usize) -> Self {
        Self {
            label_counts: vec![0; classes],
            sums: vec![0; classes],
            own: Counts::coarse(),
            others: vec![0; classes * COARSE_BINS],
        }
    }

    /// Counts a row; gives its part of the score of the image.
    fn add_row(
        &mut self,
        planes: &Planes<'_>,
        row: usize,
        temperature: f64,
        scan: &mut RowScan,
    ) -> Result<Softmin, AuditError> {
        scan.predict_checked(planes, row, self.sums.len())?;
        let mut column = 0;
        // Neighbours mostly have one label: their sum does not wait for the one before.
        for run in planes.labels(row).chunk_by(|one, next| one == next) {
            let own = &scan.own[column..column + run.len()];
            let seen = scan.predicted[column..].iter().zip(&scan.highest[column..]);
            column += run.len();
            let label = run[0];
            if label == UNLABELLED_CLASS {
                continue;
            }
            let units = |&own: &f32| (f64::from(own) * UNITS) as i64;
            self.label_counts[usize::from(label)] += run.len() as u64;
            // Four probabilities of at most 1 and rounding fit in 64 bits.
            let (fours, rest) = own.as_chunks::<4>();
            self.sums[usize::from(label)] += fours
                .iter()
                .map(|four| i128::from(four.iter().map(units).sum::<i64>()))
                .sum::<i128>()
                + i128::from(rest.iter().map(units).sum::<i64>());
            for (&own, (&predicted, &highest)) in own.iter().zip(seen) {
                self.own.add(key(own));
                if predicted != u32::from(label) {
                    let bin = (key(highest) >> COARSE_SHIFT) as usize;
                    self.others[predicted as usize * COARSE_BINS + bin] += 1;
                }
            }
        }
        Ok(Softmin::of(&scan.own, temperature))
    }

    fn merge(&mut self, other: &Self) {
        for (sum, part) in self.label_counts.iter_mut().zip(&other.label_counts) {
            *sum += part;
        }
        for (sum, part) in self.sums.iter_mut().zip(&other.sums) {
            *sum += part;
        }
        for (sum, part) in self.others.iter_mut().zip(&other.others) {
            *sum += part;
        }
        self.own.merge(&other.own);
    }

    pub(super) fn label_counts(&self) -> Vec<u64> {
        self.label_counts.clone()
    }

    pub(super) fn thresholds(&self) -> Vec<f64> {
        self.sums
            .iter()
            .zip(&self.label_counts)
            .map(|(&sum, &count)| match count {
                0 => NO_PIXELS,
                count => (sum as f64 / UNITS / count as f64).max(NO_PIXELS),
            })
            .collect()
    }

    pub(super) fn own(&self) -> &Counts {
        &self.own
    }

    /// At least and at most how many pixels are predicted as another class with at least the
    /// `lowest` probability of that class: all in the bins above that of `lowest`, and perhaps
    /// those in its bin.
    pub(super) fn confident_others(&self, lowest: &[f32]) -> (u64, u64) {
        let mut range = (0, 0);
        for (bins, &lowest) in self.others.chunks_exact(COARSE_BINS).zip(lowest) {
            let bin = (key(lowest) >> COARSE_SHIFT) as usize;
            let above: u64 = bins[bin + 1..].iter().sum();
            range.0 += above;
            range.1 += above + bins[bin];
        }
        range
    }
}

/// Rows that one thread takes of a block: the same number for each.
pub(super) fn rows_per_thread(rows: usize) -> usize {
    rows.div_ceil(rayon::current_num_threads()).max(1)
}

/// Counts everything that does not need thresholds, and the score of every image.
pub(super) fn first_reading(
    images: &dyn PixelBlocks,
    temperature: f64,
) -> Result<(Tally, Vec<Softmin>), AuditError> {
    let classes = images.classes();
    let mut tallies: Vec<Tally> = (0..rayon::current_num_threads())
        .map(|_| Tally::new(classes))
        .collect();
    let mut scores = vec![Softmin::empty(f64::INFINITY); images.images()];
    let mut latest = (0, 0);
    images.visit_blocks(&mut |block| {
        let planes = Planes::new(block, images.images(), classes)?;
        if (block.image, block.first_row) < latest {
            return Err(AuditError::image(
                block.image,
                format!(
                    "row {} was read after later ones: read images in ascending order and their \
                     rows from top to bottom",
                    block.first_row
                ),
            ));
        }
        latest = (block.image, block.first_row + planes.rows);
        let mut parts = vec![Softmin::empty(f64::INFINITY); planes.rows];
        let rows = rows_per_thread(planes.rows);
        tallies
            .par_iter_mut()
            .zip(parts.par_chunks_mut(rows))
            .enumerate()
            .try_map(|(thread, (tally, parts))| {
                let mut scan = RowScan::default();
                for (row, part) in (thread * rows..).zip(parts) {
                    *part = tally.add_row(&planes, row, temperature, &mut scan)?;
                }
                Ok(())
            })?;
        for part in &parts {
            scores[block.image].join(part, temperature);
        }
        Ok(())
    })?;
    let mut all = Tally::new(classes);
    for tally in &tallies {
        all.merge(tally);
    }
    Ok((all, scores))
}

/// Counts the pixels that are confidently predicted as another class, and fills the counts of p_y.
pub(super) fn count(
    images: &dyn PixelBlocks,
    lowest: &[f32],
    empty: Counts,
) -> Result<(u64, Counts), AuditError> {
    let classes = images.classes();
    let mut counts = vec![(0, empty); rayon::current_num_threads()];
    images.visit_blocks(&mut |block| {
        let planes = Planes::new(block, images.images(), classes)?;
        let rows = rows_per_thread(planes.rows);
        counts
            .par_iter_mut()
            .enumerate()
            .for_each(|(thread, (confident, counts))| {
                let mut scan = RowScan::default();
                let last = ((thread + 1) * rows).min(planes.rows);
                for row in thread * rows..last {
                    *confident += count_row(&planes, row, lowest, &mut scan, counts);
                }
            });
        Ok(())
    })?;
    let mut counts = counts.into_iter();
    let (mut confident, mut all) = counts.next().unwrap_or((0, Counts::coarse()));
    for (part, counts) in counts {
        confident += part;
        all.merge(&counts);
    }
    Ok((confident, all))
}

fn count_row(
    planes: &Planes<'_>,
    row: usize,
    lowest: &[f32],
    scan: &mut RowScan,
    counts: &mut Counts,
) -> u64 {
    scan.predict(planes, row);
    let mut confident = 0;
    let seen = scan.predicted.iter().zip(&scan.highest).zip(&scan.own);
    for (&label, ((&predicted, &highest), &own)) in planes.labels(row).iter().zip(seen) {
        // Labels were checked at the first reading; a source that changes is not to cause a panic.
        if usize::from(label) < lowest.len() {
            counts.add(key(own));
            let is_other = predicted != u32::from(label);
            confident += u64::from(is_other && highest >= lowest[predicted as usize]);
        }
    }
    confident
}
