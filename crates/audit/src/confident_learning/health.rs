//! Label health: how good the labels of a dataset and of each class are.

use serde::Serialize;

use super::ConfidentLearning;

/// Rounding of a denominator that may be zero, as in cleanlab.
const SMALLEST_SHARE: f64 = 1e-6;

/// How good the labels are, as a whole and class by class (cleanlab's `health_summary`).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelHealth {
    /// 1 − the share of items that [`Filter::ConfidentLearning`](super::Filter) flags.
    pub score: f64,
    /// The classes, the worst first; equal quality by index.
    pub classes: Vec<ClassHealth>,
    /// Pairs of classes, the most confused first; equal ones by index.
    pub overlaps: Vec<ClassOverlap>,
}

/// How good the labels of one class are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassHealth {
    /// Index of the class.
    pub class: usize,
    /// Estimated number of items labelled so that belong to another class.
    pub label_issues: usize,
    /// Estimated number of items of this class that are labelled otherwise.
    pub inverse_label_issues: usize,
    /// P(another class is true | this label).
    pub label_noise: f64,
    /// P(another label is given | this class is true).
    pub inverse_label_noise: f64,
    /// 1 − `label_noise`.
    pub quality: f64,
}

/// How often two classes are taken for each other, in either direction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassOverlap {
    /// Index of the first class.
    pub first: usize,
    /// Index of the second class, above the first.
    pub second: usize,
    /// Estimated number of items with one of the labels that belong to the other class.
    pub items: usize,
    /// Their share of all items.
    pub share: f64,
}

impl ConfidentLearning<'_> {
    /// Sums up the estimated joint.
    pub fn health(&self) -> LabelHealth {
        let items = self.labels.len() as f64;
        let joint = self.joint();
        let count = |share: f64| (share * items).round_ties_even() as usize;
        let mut classes: Vec<ClassHealth> = (0..joint.nrows())
            .map(|class| {
                let correct = joint[[class, class]];
                let given = joint.row(class).sum();
                let truth = joint.column(class).sum();
                let label_noise = (given - correct) / given.max(SMALLEST_SHARE);
                ClassHealth {
                    class,
                    label_issues: count(given - correct),
                    inverse_label_issues: count(truth - correct),
                    label_noise,
                    inverse_label_noise: (truth - correct) / truth.max(SMALLEST_SHARE),
                    quality: 1.0 - label_noise,
                }
            })
            .collect();
        classes.sort_by(|a, b| a.quality.total_cmp(&b.quality));
        let mut overlaps: Vec<ClassOverlap> = (0..joint.nrows())
            .flat_map(|first| (first + 1..joint.nrows()).map(move |second| (first, second)))
            .map(|(first, second)| {
                let share = joint[[first, second]] + joint[[second, first]];
                ClassOverlap {
                    first,
                    second,
                    items: count(share),
                    share,
                }
            })
            .collect();
        overlaps.sort_by(|a, b| b.share.total_cmp(&a.share));
        LabelHealth {
            score: 1.0 - self.issue_count() as f64 / items,
            classes,
            overlaps,
        }
    }
}
