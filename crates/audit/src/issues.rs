//! The joined table: for every item how suspicious its label is, why, and what it may be instead.
//!
//! Suspicion is between 0 and 1, and high is bad:
//!
//! ```text
//! suspicion = 1 − normalized margin = (p(most probable other class) − p(given) + 1) / 2
//! ```
//!
//! from out-of-sample probabilities; above ½ another class is more probable than the given one.
//! Without probabilities it is 1 − the share of neighbours with the same label. Neighbours are a
//! second opinion otherwise: they add a reason, and the more of them disagree, the earlier an item
//! comes among those of equal suspicion.

use serde::{Deserialize, Serialize};

use crate::AuditError;
use crate::confident_learning::{Ranking, label_quality_scores};
use crate::duplicates::DuplicateSet;
use crate::error::count_labels;
use crate::neighbour_reliability::{LabelAgreement, NeighbourReliability};
use crate::probabilities::ProbabilityBlocks;

/// Which check speaks against a label or an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// A filter of confident learning flags the label.
    ConfidentLearning,
    /// Most neighbours have another label.
    Neighbours,
    /// No neighbourhood of up to 49 items supports the label (WANN).
    UnsupportedByNeighbours,
    /// An item with the same or nearly the same content has another label.
    DuplicateWithOtherLabel,
    /// The same or nearly the same content occurs in another split or case.
    DuplicateAcrossGroups,
    /// The item is unlike all others.
    Outlier,
}

impl Reason {
    /// Reasons that speak against the label, not just against the item.
    pub fn concerns_label(self) -> bool {
        !matches!(self, Self::DuplicateAcrossGroups | Self::Outlier)
    }
}

/// One item of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Issue {
    /// Index of the item.
    pub item: usize,
    /// Its label.
    pub given: usize,
    /// The most probable other class; without probabilities, the label of most neighbours if that
    /// is another one.
    pub suggested: Option<usize>,
    /// Suspicion from 0 to 1; high is bad.
    pub suspicion: f64,
    /// The checks that flagged the item, in the order of [`Reason`]; may be empty.
    pub reasons: Vec<Reason>,
}

/// What the checks found; each may be missing, but not both of the first two.
#[derive(Default, Clone, Copy)]
pub struct Findings<'a> {
    /// Out-of-sample probabilities, and the flags of a filter of confident learning.
    pub confident_learning: Option<(&'a dyn ProbabilityBlocks, &'a [bool])>,
    /// Agreement with the labels of the neighbours.
    pub neighbours: Option<&'a LabelAgreement>,
    /// Reliability by WANN.
    pub reliability: Option<&'a NeighbourReliability>,
    /// Sets of exact or near duplicates.
    pub duplicates: &'a [DuplicateSet],
    /// Flags of outliers.
    pub outliers: Option<&'a [bool]>,
}

/// Joins the findings into one table of all items, the most suspicious first; items that are
/// equally suspicious by probabilities and by neighbours come in order of index.
///
/// # Errors
/// Neither probabilities nor neighbours, lengths that differ, labels out of range, or rows that
/// are no probabilities.
pub fn join(
    labels: &[usize],
    classes: usize,
    findings: &Findings<'_>,
) -> Result<Vec<Issue>, AuditError> {
    count_labels(labels, labels.len(), classes)?;
    findings.check(labels.len(), classes)?;
    let disagreement: Vec<f64> = match findings.neighbours {
        Some(neighbours) => neighbours
            .agreement
            .iter()
            .map(|share| 1.0 - share)
            .collect(),
        None => vec![0.0; labels.len()],
    };
    let (suspicion, suggested) = match (findings.confident_learning, findings.neighbours) {
        (Some((probabilities, _)), _) => by_probabilities(labels, probabilities)?,
        (None, Some(neighbours)) => (
            disagreement.clone(),
            neighbours
                .majority
                .iter()
                .zip(labels)
                .map(|(majority, label)| (majority != label).then_some(*majority))
                .collect(),
        ),
        (None, None) => {
            return Err(AuditError::Empty {
                what: "probabilities or neighbours to judge labels by",
            });
        }
    };
    let reasons = findings.reasons(labels);
    let mut issues: Vec<Issue> = reasons
        .into_iter()
        .enumerate()
        .map(|(item, reasons)| Issue {
            item,
            given: labels[item],
            suggested: suggested[item],
            suspicion: suspicion[item],
            reasons,
        })
        .collect();
    issues.sort_by(|a, b| {
        b.suspicion
            .total_cmp(&a.suspicion)
            .then_with(|| disagreement[b.item].total_cmp(&disagreement[a.item]))
    });
    Ok(issues)
}

/// Suspicion, and the most probable other class; the first of equals.
fn by_probabilities(
    labels: &[usize],
    probabilities: &dyn ProbabilityBlocks,
) -> Result<(Vec<f64>, Vec<Option<usize>>), AuditError> {
    let margins = label_quality_scores(labels, probabilities, Ranking::NormalizedMargin, None)?;
    let classes = probabilities.classes();
    let mut suggested = Vec::with_capacity(labels.len());
    probabilities.visit_blocks(&mut |first, rows| {
        for (row, values) in rows.chunks_exact(classes).enumerate() {
            let own = labels[first + row];
            let others = (0..classes).filter(|&class| class != own);
            suggested.push(others.reduce(|best, class| {
                if values[class] > values[best] {
                    class
                } else {
                    best
                }
            }));
        }
        Ok(())
    })?;
    // Probabilities may exceed 0 and 1 by rounding; suspicion does not.
    let suspicion = margins.iter().map(|margin| (1.0 - margin).clamp(0.0, 1.0));
    Ok((suspicion.collect(), suggested))
}

impl Findings<'_> {
    fn check(&self, items: usize, classes: usize) -> Result<(), AuditError> {
        let flags = self.confident_learning.map(|(_, flags)| flags.len());
        let rows = self.confident_learning.map(|(rows, _)| rows.items());
        let lengths = [
            ("the flags of confident learning", flags),
            ("the probability matrix", rows),
            (
                "the neighbour agreement",
                self.neighbours.map(|n| n.agreement.len()),
            ),
            (
                "the neighbour majority",
                self.neighbours.map(|n| n.majority.len()),
            ),
            (
                "the reliability",
                self.reliability.map(|r| r.neighbourhoods.len()),
            ),
            ("the list of outliers", self.outliers.map(<[bool]>::len)),
        ];
        for (what, found) in lengths {
            if let Some(found) = found.filter(|&found| found != items) {
                return Err(AuditError::Length {
                    what,
                    expected: items,
                    found,
                });
            }
        }
        let columns = self.confident_learning.map(|(rows, _)| rows.classes());
        if columns.is_some_and(|columns| columns != classes) {
            return Err(AuditError::Option {
                option: "the number of columns of the probabilities",
                value: columns.unwrap_or_default().to_string(),
                expected: "the number of classes",
            });
        }
        let last = self
            .duplicates
            .iter()
            .filter_map(|set| set.items.last())
            .max();
        match last {
            Some(&last) if last >= items => Err(AuditError::Option {
                option: "an item in a set of duplicates",
                value: last.to_string(),
                expected: "below the number of items",
            }),
            _ => Ok(()),
        }
    }

    fn reasons(&self, labels: &[usize]) -> Vec<Vec<Reason>> {
        let mut reasons = vec![Vec::new(); labels.len()];
        for (item, reasons) in reasons.iter_mut().enumerate() {
            let mut add = |applies: bool, reason| {
                if applies {
                    reasons.push(reason);
                }
            };
            add(
                self.confident_learning
                    .is_some_and(|(_, flags)| flags[item]),
                Reason::ConfidentLearning,
            );
            add(
                self.neighbours
                    .is_some_and(|n| n.majority[item] != labels[item]),
                Reason::Neighbours,
            );
            add(
                self.reliability.is_some_and(|r| r.is_unsupported(item)),
                Reason::UnsupportedByNeighbours,
            );
            add(
                self.outliers.is_some_and(|flags| flags[item]),
                Reason::Outlier,
            );
        }
        for set in self.duplicates {
            for &item in &set.items {
                if set.labels_differ {
                    reasons[item].push(Reason::DuplicateWithOtherLabel);
                }
                if set.crosses_groups {
                    reasons[item].push(Reason::DuplicateAcrossGroups);
                }
            }
        }
        for reasons in &mut reasons {
            reasons.sort_unstable();
            reasons.dedup();
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_most_suspicious_comes_first_with_all_its_reasons() {
        let labels = [0, 1, 0, 0];
        let probabilities = array![[0.75f32, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.25]];
        let view = probabilities.view();
        let neighbours = LabelAgreement {
            agreement: vec![1.0, 0.0, 0.5, 0.25],
            majority: vec![0, 0, 0, 1],
        };
        let reliability = NeighbourReliability {
            neighbourhoods: vec![11, 51, 13, 49],
        };
        let duplicates = [DuplicateSet {
            items: vec![1, 3],
            labels_differ: true,
            crosses_groups: false,
        }];
        let findings = Findings {
            confident_learning: Some((&view, &[false, true, true, false])),
            neighbours: Some(&neighbours),
            reliability: Some(&reliability),
            duplicates: &duplicates,
            outliers: Some(&[false, false, false, true]),
        };
        let table = join(&labels, 2, &findings).unwrap();
        let order: Vec<usize> = table.iter().map(|issue| issue.item).collect();
        // Equal suspicion within {1, 2} and {0, 3}: more disagreeing neighbours come first.
        assert_eq!(order, [1, 2, 3, 0]);
        assert_eq!(
            table[0],
            Issue {
                item: 1,
                given: 1,
                suggested: Some(0),
                suspicion: 0.75,
                reasons: vec![
                    Reason::ConfidentLearning,
                    Reason::Neighbours,
                    Reason::UnsupportedByNeighbours,
                    Reason::DuplicateWithOtherLabel
                ],
            }
        );
        assert_eq!(
            table[2].reasons,
            [
                Reason::Neighbours,
                Reason::DuplicateWithOtherLabel,
                Reason::Outlier
            ]
        );
        assert!(table[3].reasons.is_empty() && table[3].suspicion == 0.25);
    }

    #[test]
    fn neighbours_alone_are_enough_and_nothing_is_not() {
        let neighbours = LabelAgreement {
            agreement: vec![0.5, 0.25],
            majority: vec![0, 0],
        };
        let findings = Findings {
            neighbours: Some(&neighbours),
            ..Findings::default()
        };
        let table = join(&[0, 1], 2, &findings).unwrap();
        assert_eq!(
            (table[0].item, table[0].suggested, table[0].suspicion),
            (1, Some(0), 0.75)
        );
        assert_eq!(table[1].suggested, None);
        assert_eq!(
            join(&[0, 1], 2, &Findings::default())
                .unwrap_err()
                .to_string(),
            "there are no probabilities or neighbours to judge labels by"
        );
        let short = LabelAgreement {
            agreement: vec![0.5],
            majority: vec![0],
        };
        let findings = Findings {
            neighbours: Some(&short),
            ..Findings::default()
        };
        assert_eq!(
            join(&[0, 1], 2, &findings).unwrap_err().to_string(),
            "the neighbour agreement has 1 entries, but there are 2 items"
        );
    }
}
