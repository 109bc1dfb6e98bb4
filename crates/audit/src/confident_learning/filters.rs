//! Which labels to call wrong: the seven filters of cleanlab.

use ndarray::Array2;
use rayon::prelude::*;

use crate::AuditError;

use super::ConfidentLearning;
use super::joint::Verdict;
use super::ranking::{Ranking, visit_scores};

/// How label errors are chosen. cleanlab's names in parentheses.
///
/// Except for the two that go by rank alone, no filter flags an item whose given class is the most
/// probable one (within 10⁻⁶).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// For each pair of classes, as many items as the joint estimates to be confused so, those
    /// with the largest margin p(other) − p(given) (`prune_by_noise_rate`).
    #[default]
    PruneByNoiseRate,
    /// For each class, as many items as the joint estimates to be wrong, those with the lowest
    /// probability of their label (`prune_by_class`).
    PruneByClass,
    /// What both of the above flag (`both`).
    Both,
    /// What the confident joint counts beside its diagonal (`confident_learning`).
    ConfidentLearning,
    /// Whatever the model predicts otherwise (`predicted_neq_given`).
    PredictedNotGiven,
    /// As many as [`Filter::ConfidentLearning`], those of lowest normalized margin
    /// (`low_normalized_margin`).
    LowNormalizedMargin,
    /// As many as [`Filter::ConfidentLearning`], those of lowest self-confidence
    /// (`low_self_confidence`).
    LowSelfConfidence,
}

impl Filter {
    fn prunes(self) -> bool {
        matches!(
            self,
            Self::PruneByNoiseRate | Self::PruneByClass | Self::Both
        )
    }
}

/// Settings of a filter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FilterOptions {
    /// How label errors are chosen; default [`Filter::PruneByNoiseRate`].
    pub filter: Filter,
    /// Only for the pruning filters: this many items of each class stay unflagged, and a class
    /// with no more items than this is left alone; default 1.
    pub min_examples_per_class: usize,
    /// Only for the pruning filters: share of the estimated errors to flag, from 0 to 1;
    /// default 1.
    pub fraction_of_noise: f64,
}

impl Default for FilterOptions {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            min_examples_per_class: 1,
            fraction_of_noise: 1.0,
        }
    }
}

impl From<Filter> for FilterOptions {
    fn from(filter: Filter) -> Self {
        Self {
            filter,
            ..Self::default()
        }
    }
}

impl ConfidentLearning<'_> {
    /// One flag per item: true where the label is probably wrong. Equal scores at the edge of what
    /// is flagged are decided by the lowest index.
    ///
    /// # Errors
    /// A `fraction_of_noise` outside 0 to 1, or not 1 for a filter that has no use for it; a
    /// failure to read the probabilities.
    pub fn issues(&self, options: &FilterOptions) -> Result<Vec<bool>, AuditError> {
        self.check(options)?;
        let filter = options.filter;
        match filter {
            Filter::PruneByNoiseRate | Filter::PruneByClass | Filter::Both => {
                let kept = self.counts_to_keep(options);
                let mut flags = self.prune(filter, &kept, options.min_examples_per_class)?;
                for (flag, verdict) in flags.iter_mut().zip(&self.verdicts) {
                    *flag &= !verdict.is_predicted();
                }
                Ok(flags)
            }
            Filter::ConfidentLearning => Ok(self.by_verdict(Verdict::is_confident_issue)),
            Filter::PredictedNotGiven => Ok(self.by_verdict(|verdict| !verdict.is_predicted())),
            Filter::LowNormalizedMargin => self.lowest(Ranking::NormalizedMargin),
            Filter::LowSelfConfidence => self.lowest(Ranking::SelfConfidence),
        }
    }

    fn check(&self, options: &FilterOptions) -> Result<(), AuditError> {
        let refuse = |expected| {
            Err(AuditError::Option {
                option: "fraction_of_noise",
                value: options.fraction_of_noise.to_string(),
                expected,
            })
        };
        if !(0.0..=1.0).contains(&options.fraction_of_noise) {
            return refuse("between 0 and 1");
        }
        if options.fraction_of_noise != 1.0 && !options.filter.prunes() {
            return refuse("1 for a filter that does not prune by the estimated joint");
        }
        Ok(())
    }

    fn by_verdict(&self, flag: impl Fn(Verdict) -> bool) -> Vec<bool> {
        self.verdicts.iter().map(|&verdict| flag(verdict)).collect()
    }

    fn lowest(&self, ranking: Ranking) -> Result<Vec<bool>, AuditError> {
        let mut lowest = Lowest::new(self.issue_count());
        visit_scores(
            self.labels,
            self.probabilities,
            ranking,
            None,
            &mut |first, scores| {
                for (row, &score) in scores.iter().enumerate() {
                    lowest.offer(score, first + row);
                }
            },
        )?;
        let mut flags = vec![false; self.labels.len()];
        for item in lowest.into_items() {
            flags[item] = true;
        }
        Ok(flags)
    }

    /// The calibrated joint `[given, true]` after `min_examples_per_class` and
    /// `fraction_of_noise`: beside the diagonal how many to flag, on it how many to keep.
    fn counts_to_keep(&self, options: &FilterOptions) -> Array2<u64> {
        let mut counts = self.calibrated_joint.clone();
        for (given, mut row) in counts.rows_mut().into_iter().enumerate() {
            let correct = row[given];
            let kept = correct.max(options.min_examples_per_class as u64);
            let confused = row.iter().filter(|&&count| count != 0).count();
            let taken = (kept - correct) as f64 / (confused as f64 - 1.0).max(1.0);
            let mut released = 0.0;
            for (truth, count) in row.iter_mut().enumerate() {
                if truth != given {
                    let before = (*count as f64 - taken).max(0.0);
                    let after = before * options.fraction_of_noise;
                    released += before - after;
                    *count = after as u64;
                }
            }
            row[given] = (kept as f64 + released) as u64;
        }
        counts
    }

    fn prune(
        &self,
        filter: Filter,
        kept: &Array2<u64>,
        min_examples_per_class: usize,
    ) -> Result<Vec<bool>, AuditError> {
        let classes = self.label_counts.len();
        let mut quotas: Vec<ClassQuotas> = (0..classes)
            .map(|given| {
                let count = self.label_counts[given];
                let left_alone = count <= min_examples_per_class || count <= 1;
                ClassQuotas::new(given, count, kept, filter, left_alone)
            })
            .collect();
        let mut rows_by_label = RowsByLabel::default();
        self.probabilities.visit_blocks(&mut |first, rows| {
            let labels = &self.labels[first..first + rows.len() / classes];
            rows_by_label.sort(labels, classes);
            quotas
                .par_iter_mut()
                .enumerate()
                .for_each(|(given, quotas)| {
                    for &row in rows_by_label.of(given) {
                        let values = &rows[row * classes..(row + 1) * classes];
                        quotas.offer(values, first + row);
                    }
                });
            Ok(())
        })?;
        let mut flags = vec![false; self.labels.len()];
        for quotas in quotas {
            for item in quotas.flagged(filter) {
                flags[item] = true;
            }
        }
        Ok(flags)
    }
}

/// The items of one given class that are to be flagged.
struct ClassQuotas {
    given: usize,
    /// Lowest p(given), for pruning by class.
    improbable: Lowest,
    /// True class and lowest p(given) − p(true), for pruning by noise rate.
    confused: Vec<(usize, Lowest)>,
    /// For each true class, what p(given) − p(true) must not exceed to be of interest.
    cuts: Vec<f64>,
}

impl ClassQuotas {
    fn new(
        given: usize,
        items: usize,
        kept: &Array2<u64>,
        filter: Filter,
        left_alone: bool,
    ) -> Self {
        let row = kept.row(given);
        let by_class = match filter {
            Filter::PruneByClass | Filter::Both if !left_alone => {
                items.saturating_sub(row[given] as usize)
            }
            _ => 0,
        };
        let confused: Vec<(usize, Lowest)> = match filter {
            Filter::PruneByNoiseRate | Filter::Both if !left_alone => row
                .iter()
                .enumerate()
                .filter(|&(truth, &count)| truth != given && count > 0)
                .map(|(truth, &count)| (truth, Lowest::new(count as usize)))
                .collect(),
            _ => Vec::new(),
        };
        let mut cuts = vec![f64::NEG_INFINITY; row.len()];
        for (truth, lowest) in &confused {
            cuts[*truth] = lowest.cut();
        }
        Self {
            given,
            improbable: Lowest::new(by_class),
            confused,
            cuts,
        }
    }

    fn offer(&mut self, row: &[f32], item: usize) {
        let own = f64::from(row[self.given]);
        if own <= self.improbable.cut() {
            self.improbable.offer(own, item);
        }
        // Most rows interest no pair; comparing all pairs without a branch finds that out fast.
        let mut interesting = false;
        for (&other, &cut) in row.iter().zip(&self.cuts) {
            interesting |= own - f64::from(other) <= cut;
        }
        if interesting {
            for (truth, lowest) in &mut self.confused {
                let margin = own - f64::from(row[*truth]);
                if margin <= self.cuts[*truth] {
                    lowest.offer(margin, item);
                    self.cuts[*truth] = lowest.cut();
                }
            }
        }
    }

    /// Ascending.
    fn flagged(self, filter: Filter) -> Vec<usize> {
        let mut confused: Vec<usize> = self
            .confused
            .into_iter()
            .flat_map(|(_, lowest)| lowest.into_items())
            .collect();
        confused.sort_unstable();
        confused.dedup();
        let mut improbable = self.improbable.into_items();
        improbable.sort_unstable();
        match filter {
            Filter::PruneByClass => improbable,
            Filter::Both => {
                confused.retain(|item| improbable.binary_search(item).is_ok());
                confused
            }
            _ => confused,
        }
    }
}

/// Keeps the lowest scores of a stream, and of equal scores those with the lowest index.
///
/// The result does not depend on the order of the stream. At most twice `capacity` entries are
/// held, so that throwing the upper half away costs constant time per entry.
struct Lowest {
    capacity: usize,
    entries: Vec<(f64, usize)>,
    /// The highest entry that is kept, once there are `capacity`.
    highest: Option<(f64, usize)>,
}

impl Lowest {
    fn new(capacity: usize) -> Self {
        Self {
            capacity,
            entries: Vec::new(),
            highest: None,
        }
    }

    /// Scores above this are not kept.
    fn cut(&self) -> f64 {
        match self.highest {
            Some((score, _)) => score,
            None if self.capacity == 0 => f64::NEG_INFINITY,
            None => f64::INFINITY,
        }
    }

    fn offer(&mut self, score: f64, item: usize) {
        match self.highest {
            Some(highest) if compare(&(score, item), &highest).is_ge() => {}
            None if self.capacity == 0 => {}
            _ => {
                self.entries.push((score, item));
                if self.entries.len() >= 2 * self.capacity {
                    self.shrink();
                }
            }
        }
    }

    fn shrink(&mut self) {
        if self.entries.len() > self.capacity {
            self.entries
                .select_nth_unstable_by(self.capacity - 1, compare);
            self.entries.truncate(self.capacity);
            self.highest = self.entries.last().copied();
        }
    }

    /// In no particular order.
    fn into_items(mut self) -> Vec<usize> {
        self.shrink();
        self.entries.into_iter().map(|(_, item)| item).collect()
    }
}

fn compare(a: &(f64, usize), b: &(f64, usize)) -> std::cmp::Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}

/// The rows of a block, by label; buffers are reused from block to block.
#[derive(Default)]
struct RowsByLabel {
    offsets: Vec<usize>,
    rows: Vec<usize>,
}

impl RowsByLabel {
    fn sort(&mut self, labels: &[usize], classes: usize) {
        self.offsets.clear();
        self.offsets.resize(classes + 1, 0);
        for &label in labels {
            self.offsets[label + 1] += 1;
        }
        for class in 0..classes {
            self.offsets[class + 1] += self.offsets[class];
        }
        let mut next = self.offsets.clone();
        self.rows.resize(labels.len(), 0);
        for (row, &label) in labels.iter().enumerate() {
            self.rows[next[label]] = row;
            next[label] += 1;
        }
    }

    fn of(&self, label: usize) -> &[usize] {
        &self.rows[self.offsets[label]..self.offsets[label + 1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probabilities::ArrayBlocks;
    use ndarray::Array2;
    use proptest::prelude::*;

    const FILTERS: [Filter; 7] = [
        Filter::PruneByNoiseRate,
        Filter::PruneByClass,
        Filter::Both,
        Filter::ConfidentLearning,
        Filter::PredictedNotGiven,
        Filter::LowNormalizedMargin,
        Filter::LowSelfConfidence,
    ];

    proptest! {
        #[test]
        fn the_lowest_are_kept_whatever_the_order(
            scores in prop::collection::vec(0u8..20, 0..200),
            capacity in 0usize..50,
        ) {
            let mut expected: Vec<(f64, usize)> = scores
                .iter()
                .enumerate()
                .map(|(item, &score)| (f64::from(score), item))
                .collect();
            expected.sort_by(compare);
            expected.truncate(capacity);
            let mut expected: Vec<usize> = expected.into_iter().map(|(_, item)| item).collect();
            expected.sort_unstable();
            for backwards in [false, true] {
                let mut lowest = Lowest::new(capacity);
                let mut order: Vec<usize> = (0..scores.len()).collect();
                if backwards {
                    order.reverse();
                }
                for item in order {
                    lowest.offer(f64::from(scores[item]), item);
                }
                let mut items = lowest.into_items();
                items.sort_unstable();
                prop_assert_eq!(&items, &expected);
            }
        }

        #[test]
        fn the_size_of_the_blocks_changes_nothing(
            rows in prop::collection::vec((prop::collection::vec(1u8..20, 3), 0usize..3), 2..60),
        ) {
            let labels: Vec<usize> = rows.iter().map(|(_, label)| *label).collect();
            prop_assume!(labels.iter().any(|&label| label != labels[0]));
            let probabilities = Array2::from_shape_fn((rows.len(), 3), |(row, class)| {
                let row = &rows[row].0;
                f32::from(row[class]) / row.iter().map(|&v| f32::from(v)).sum::<f32>()
            });
            let whole = ArrayBlocks::new(probabilities.view(), rows.len());
            let whole = ConfidentLearning::new(&labels, &whole).unwrap();
            for block_rows in [1, 7] {
                let blocks = ArrayBlocks::new(probabilities.view(), block_rows);
                let blocks = ConfidentLearning::new(&labels, &blocks).unwrap();
                prop_assert_eq!(blocks.thresholds(), whole.thresholds());
                prop_assert_eq!(blocks.confident_joint(), whole.confident_joint());
                for filter in FILTERS {
                    let flags = blocks.issues(&filter.into()).unwrap();
                    prop_assert_eq!(&flags, &whole.issues(&filter.into()).unwrap());
                }
            }
        }
    }

    #[test]
    fn options_out_of_range_are_refused() {
        let probabilities = ndarray::array![[0.75f32, 0.25], [0.25, 0.75]];
        let view = probabilities.view();
        let learning = ConfidentLearning::new(&[0, 1], &view).unwrap();
        let message = |filter, fraction_of_noise| {
            let options = FilterOptions {
                filter,
                fraction_of_noise,
                ..FilterOptions::default()
            };
            learning.issues(&options).unwrap_err().to_string()
        };
        assert_eq!(
            message(Filter::Both, f64::NAN),
            "fraction_of_noise is NaN, but must be between 0 and 1"
        );
        assert_eq!(
            message(Filter::ConfidentLearning, 0.5),
            "fraction_of_noise is 0.5, but must be 1 for a filter that does not prune by the estimated joint"
        );
    }

    #[test]
    fn labels_that_do_not_fit_are_refused() {
        let probabilities = ndarray::array![[0.75f32, 0.25], [0.25, 0.75]];
        let view = probabilities.view();
        let message = |labels: &[usize]| {
            ConfidentLearning::new(labels, &view)
                .err()
                .map(|error| error.to_string())
        };
        assert_eq!(
            message(&[0]).unwrap(),
            "the list of labels has 1 entries, but there are 2 items"
        );
        assert_eq!(message(&[]).unwrap(), "there are no items");
        assert_eq!(
            message(&[0, 2]).unwrap(),
            "item 1 has label 2, but there are only 2 classes (0 to 1)"
        );
        assert_eq!(
            message(&[1, 1]).unwrap(),
            "every item has label 1: at least two classes need items to find label errors"
        );
    }
}
