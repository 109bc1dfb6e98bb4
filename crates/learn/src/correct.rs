//! Correcting labels: from an audit to new labels, every change recorded.
//!
//! Policies follow the literature's four ways to treat a doubtful label:
//!
//! | policy | a flagged label becomes | others |
//! |---|---|---|
//! | prune | unlabelled (Northcutt et al. 2021, arXiv 1911.00068) | stay |
//! | relabel | the suggested class, if its probability reaches the threshold; otherwise it stays | stay |
//! | soften | the mean of the given label and the model's probabilities (Reed et al. 2015, arXiv 1412.6596, with β = ½) | stay |
//! | weigh | the given class with the trust 1 − suspicion | stay |

use cleanslide_audit::issues::{Issue, Reason};
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::image_labels::ImageLabel;

/// What is done to flagged labels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// They become unlabelled.
    Prune,
    /// They become the suggested class where its probability is at least this high.
    Relabel {
        /// Between 0 and 1.
        threshold: f32,
    },
    /// They become the mean of the given label and the model's probabilities.
    Soften,
    /// Their trust becomes 1 − suspicion.
    Weigh,
}

/// One changed label.
#[derive(Debug, Clone, PartialEq)]
pub struct Correction {
    /// Index of the item.
    pub item: usize,
    /// The label as it was given.
    pub before: ImageLabel,
    /// The label now; `None` is unlabelled.
    pub after: Option<ImageLabel>,
    /// The class that the audit suggests.
    pub suggested: Option<usize>,
    /// How suspicious the given label was, in [0, 1].
    pub suspicion: f64,
    /// Why it was flagged.
    pub reasons: Vec<Reason>,
}

/// Applies a policy to the labels that confident learning flagged. `labels` and `probabilities`
/// `[items, classes]` are indexed by the items of the issues.
///
/// Labels that the policy leaves as they are do not appear. Corrections come in order of items.
pub fn correct(
    labels: &[ImageLabel],
    issues: &[Issue],
    probabilities: ArrayView2<'_, f32>,
    policy: Policy,
) -> Vec<Correction> {
    let mut corrections: Vec<Correction> = issues
        .iter()
        .filter(|issue| issue.reasons.contains(&Reason::ConfidentLearning))
        .filter_map(|issue| {
            let before = &labels[issue.item];
            let row = probabilities.row(issue.item);
            let after = match policy {
                Policy::Prune => None,
                Policy::Relabel { threshold } => {
                    let class = issue.suggested.filter(|&class| row[class] >= threshold)?;
                    Some(plain(class, row.len()))
                }
                Policy::Soften => {
                    let mix = before
                        .distribution
                        .iter()
                        .zip(row)
                        .map(|(given, p)| 0.5 * (given + p));
                    let sum: f32 = mix.clone().sum();
                    Some(ImageLabel {
                        distribution: mix.map(|p| p / sum).collect(),
                        trust: before.trust,
                    })
                }
                Policy::Weigh => Some(ImageLabel {
                    trust: before.trust * (1.0 - issue.suspicion as f32).clamp(0.0, 1.0),
                    ..before.clone()
                }),
            };
            Some(Correction {
                item: issue.item,
                before: before.clone(),
                after,
                suggested: issue.suggested,
                suspicion: issue.suspicion,
                reasons: issue.reasons.clone(),
            })
        })
        .collect();
    corrections.sort_by_key(|correction| correction.item);
    corrections
}

fn plain(class: usize, classes: usize) -> ImageLabel {
    let distribution = (0..classes)
        .map(|other| if other == class { 1.0 } else { 0.0 })
        .collect();
    ImageLabel {
        distribution,
        trust: 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn issue(item: usize, suspicion: f64, flagged: bool) -> Issue {
        let reasons = if flagged {
            vec![Reason::ConfidentLearning]
        } else {
            vec![Reason::Neighbours]
        };
        Issue {
            item,
            given: 0,
            suggested: Some(1),
            suspicion,
            reasons,
        }
    }

    #[test]
    fn each_policy_does_what_its_name_says_to_flagged_labels_only() {
        let labels = vec![plain(0, 2); 3];
        let issues = [
            issue(2, 0.9, true),
            issue(0, 0.75, true),
            issue(1, 0.6, false),
        ];
        let probabilities = array![[0.25, 0.75], [0.4, 0.6], [0.1, 0.9]];
        let after = |policy| -> Vec<(usize, Option<ImageLabel>)> {
            correct(&labels, &issues, probabilities.view(), policy)
                .into_iter()
                .map(|correction| (correction.item, correction.after))
                .collect()
        };
        assert_eq!(after(Policy::Prune), [(0, None), (2, None)]);
        assert_eq!(
            after(Policy::Relabel { threshold: 0.8 }),
            [(2, Some(plain(1, 2)))]
        );
        let soft = |a: f32, b: f32| {
            Some(ImageLabel {
                distribution: vec![a, b],
                trust: 1.0,
            })
        };
        assert_eq!(after(Policy::Soften)[0], (0, soft(0.625, 0.375)));
        let weighed = Some(ImageLabel {
            trust: 0.25,
            ..plain(0, 2)
        });
        assert_eq!(after(Policy::Weigh)[0], (0, weighed));
    }
}
