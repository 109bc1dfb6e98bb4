//! The n lowest of very many probabilities in bounded memory, exactly.
//!
//! A probability from 0 to 1 is ordered as its bits are. Counts of the upper bits say within which
//! bin the n-th lowest lies; counts of the lower bits of that bin alone, on the next reading of the
//! same probabilities, say which number it is.

/// Bits of [`key`] below those that the first counts look at.
pub(super) const COARSE_SHIFT: u32 = 16;

/// Bins of the first counts: one more than the upper bits of 1.
pub(super) const COARSE_BINS: usize = (key(1.0) >> COARSE_SHIFT) as usize + 1;

/// Bins of later counts, at most: 4 MiB.
const FINE_BINS: u32 = 1 << 19;

/// A number that orders probabilities as they are; what lies beyond 0 and 1 by rounding counts as 0
/// and 1. Of integers alone, so that it is computed without branches: signs are hard to predict.
pub(super) const fn key(probability: f32) -> u32 {
    const ONE: i32 = 1.0f32.to_bits() as i32;
    let bits = probability.to_bits() as i32;
    let lowest = if bits > 0 { bits } else { 0 };
    (if lowest < ONE { lowest } else { ONE }) as u32
}

/// Counts of keys within a range, in bins of 2^shift keys.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    from: u32,
    shift: u32,
    /// Keys below the range.
    below: u64,
    bins: Vec<u64>,
}

/// Up to where the n lowest reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// All keys below are among the n.
    pub(super) key: u32,
    /// So many of those with this key are too: the first ones.
    pub(super) ties: u64,
}

impl Counts {
    /// Over all probabilities.
    pub(super) fn coarse() -> Self {
        Self {
            from: 0,
            shift: COARSE_SHIFT,
            below: 0,
            bins: vec![0; COARSE_BINS],
        }
    }

    pub(super) fn add(&mut self, key: u32) {
        // Below the range this wraps around to far above it.
        let offset = key.wrapping_sub(self.from);
        if let Some(bin) = self.bins.get_mut((offset >> self.shift) as usize) {
            *bin += 1;
        }
    }

    /// Adds the counts of the same range.
    pub(super) fn merge(&mut self, other: &Self) {
        for (bin, count) in self.bins.iter_mut().zip(&other.bins) {
            *bin += count;
        }
    }

    /// The bin with the n-th lowest (n from 1), and how many keys lie before it.
    fn bin_of(&self, n: u64) -> Option<(usize, u64)> {
        let mut before = self.below;
        if n <= before {
            return None;
        }
        for (bin, count) in self.bins.iter().enumerate() {
            if n <= before + count {
                return Some((bin, before));
            }
            before += count;
        }
        None
    }

    /// Empty finer counts of the range that holds the n-th lowest for every n from `least` to
    /// `most` (from 1). `None` if fewer than `most` were counted.
    pub(super) fn narrow(&self, least: u64, most: u64) -> Option<Self> {
        let (first, below) = self.bin_of(least)?;
        let (last, _) = self.bin_of(most)?;
        let bins = u32::try_from(last - first + 1).ok()?;
        // Bins of one key if there are few enough.
        let mut shift = 0;
        while (bins << self.shift) >> shift > FINE_BINS {
            shift += 1;
        }
        Some(Self {
            from: self.from + ((first as u32) << self.shift),
            shift,
            below,
            bins: vec![0; ((bins << self.shift) >> shift) as usize],
        })
    }

    /// Where the n lowest end, if the bins are fine enough to say.
    pub(super) fn cut(&self, n: u64) -> Option<Cut> {
        let (bin, before) = self.bin_of(n)?;
        (self.shift == 0).then(|| Cut {
            key: self.from + bin as u32,
            ties: n - before,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn count(counts: &mut Counts, values: &[f32]) {
        for &value in values {
            counts.add(key(value));
        }
    }

    proptest! {
        #[test]
        fn the_cut_is_that_of_sorting(
            values in prop::collection::vec(0.0f32..=1.0, 1..200),
            copies in 1usize..4,
            rank in 0usize..1000,
            uncertain in 0usize..100,
        ) {
            let values: Vec<f32> = values.iter().flat_map(|&v| vec![v; copies]).collect();
            let n = rank % values.len() + 1;
            let mut sorted = values.clone();
            sorted.sort_by(f32::total_cmp);
            let cut = sorted[n - 1];
            let below = sorted.iter().filter(|&&value| value < cut).count();

            let mut counts = Counts::coarse();
            count(&mut counts, &values);
            let most = (n + uncertain).min(values.len()) as u64;
            let mut least = n.saturating_sub(uncertain).max(1) as u64;
            let mut most = most;
            let mut readings = 0;
            let found = loop {
                counts = counts.narrow(least, most).unwrap();
                count(&mut counts, &values);
                (least, most) = (n as u64, n as u64);
                readings += 1;
                if let Some(found) = counts.cut(n as u64) {
                    break found;
                }
            };
            prop_assert!(readings <= 2);
            prop_assert_eq!(found, Cut { key: key(cut), ties: (n - below) as u64 });
        }
    }

    #[test]
    fn too_many_are_refused_and_rounding_counts_as_the_end() {
        let mut counts = Counts::coarse();
        count(&mut counts, &[-1e-7, 0.0, -0.0, 1.0, 1.0 + 1e-6]);
        assert!(counts.narrow(1, 6).is_none() && counts.narrow(0, 1).is_none());
        let mut fine = counts.narrow(5, 5).unwrap();
        count(&mut fine, &[-1e-7, 0.0, -0.0, 1.0, 1.0 + 1e-6]);
        assert_eq!(
            fine.cut(5),
            Some(Cut {
                key: key(1.0),
                ties: 2
            })
        );
    }
}
