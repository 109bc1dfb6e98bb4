//! What heads learn from.

use ndarray::{Array2, ArrayView2, Axis, CowArray, Ix2};

use crate::error::{Error, Result};

/// Rows of targets may miss the sum 1 by this much: what ten thousand classes in f32 can add up to.
const SUM_TOLERANCE: f32 = 1e-3;

/// Labelled items. Unlabelled ones are not in it: they say nothing.
#[derive(Debug, Clone)]
pub struct Examples<'a> {
    /// Embeddings, `[items, features]`.
    pub features: CowArray<'a, f32, Ix2>,
    /// What the labels say, `[items, classes]`; rows are distributions.
    pub targets: Array2<f32>,
    /// How far each label is trusted, `[items]`; at least 0, and 0 is ignored.
    pub weights: Vec<f32>,
}

impl<'a> Examples<'a> {
    /// Examples whose arrays fit one another.
    ///
    /// # Errors
    /// Arrays of different lengths, no items, fewer than two classes, features that are not
    /// finite, targets that are not distributions, weights that are negative or all 0; each error
    /// names the first item that is wrong.
    pub fn new(
        features: ArrayView2<'a, f32>,
        targets: Array2<f32>,
        weights: Vec<f32>,
    ) -> Result<Self> {
        Self::check(Self {
            features: features.into(),
            targets,
            weights,
        })
    }

    fn check(self) -> Result<Self> {
        let (features, targets) = (self.features.nrows(), self.targets.nrows());
        let weights = self.weights.len();
        if features != targets || features != weights {
            return Err(Error::Lengths {
                features,
                targets,
                weights,
            });
        }
        let nothing = |reason: &str| {
            Err(Error::NothingToLearn {
                reason: reason.to_owned(),
            })
        };
        if features == 0 {
            return nothing("there are no labelled items");
        }
        if self.features.ncols() == 0 {
            return nothing("items have no features");
        }
        if self.targets.ncols() < 2 {
            return nothing("there are fewer than two classes");
        }
        for (item, row) in self.features.rows().into_iter().enumerate() {
            if let Some((feature, &value)) = row.iter().enumerate().find(|(_, x)| !x.is_finite()) {
                return Err(Error::Feature {
                    item,
                    feature,
                    value,
                });
            }
        }
        for (item, row) in self.targets.rows().into_iter().enumerate() {
            let valid = row.iter().all(|t| (0.0..=1.0 + SUM_TOLERANCE).contains(t));
            if !valid || (row.sum() - 1.0).abs() > SUM_TOLERANCE {
                return Err(Error::Target {
                    item,
                    row: row.to_string(),
                });
            }
        }
        for (item, &value) in self.weights.iter().enumerate() {
            if !value.is_finite() || value < 0.0 {
                return Err(Error::Weight { item, value });
            }
        }
        if self.weights.iter().all(|&w| w == 0.0) {
            return nothing("every label has the trust 0");
        }
        Ok(self)
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// True if there are no items. [`Examples::new`] never gives that.
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// Number of features per item.
    pub fn feature_count(&self) -> usize {
        self.features.ncols()
    }

    /// Number of classes.
    pub fn class_count(&self) -> usize {
        self.targets.ncols()
    }

    /// Copies of these items, in this order.
    ///
    /// # Errors
    /// No items, or only items of trust 0.
    ///
    /// # Panics
    /// If an index is not that of an item.
    pub fn subset(&self, items: &[usize]) -> Result<Examples<'static>> {
        let examples = Examples {
            features: self.features.select(Axis(0), items).into(),
            targets: self.targets.select(Axis(0), items),
            weights: items.iter().map(|&i| self.weights[i]).collect(),
        };
        if examples.weights.iter().all(|&w| w == 0.0) {
            let reason = "no item of any trust is among them".to_owned();
            return Err(Error::NothingToLearn { reason });
        }
        Ok(examples)
    }

    /// The weight of each item in training: its trust, 0 if not `kept`, and, if `balanced`, times
    /// the factor that gives every class that occurs the same total, and all together the same as
    /// without: scikit-learn's `class_weight="balanced"` for hard labels and trust 1. A soft
    /// target's factor is the mean of its classes' factors.
    ///
    /// # Errors
    /// Fewer than two classes have any weight.
    pub(crate) fn training_weights(
        &self,
        kept: Option<&[bool]>,
        balanced: bool,
    ) -> Result<Vec<f32>> {
        let kept = |item: usize| kept.is_none_or(|kept| kept[item]);
        let mut weights: Vec<f32> = self.weights.clone();
        weights
            .iter_mut()
            .enumerate()
            .filter(|(i, _)| !kept(*i))
            .for_each(|(_, w)| *w = 0.0);
        let totals = self.totals(&weights);
        let present = totals.iter().filter(|&&total| total > 0.0).count();
        if present < 2 {
            let class = totals.iter().position(|&total| total > 0.0);
            let reason = match class {
                Some(class) => format!("all labels that count are of one class, number {class}"),
                None => "no label counts".to_owned(),
            };
            return Err(Error::NothingToLearn { reason });
        }
        if balanced {
            let share = totals.iter().sum::<f64>() / present as f64;
            let factor = |k: usize| {
                if totals[k] > 0.0 {
                    share / totals[k]
                } else {
                    0.0
                }
            };
            let factors: Vec<f64> = (0..totals.len()).map(factor).collect();
            for (row, weight) in self.targets.rows().into_iter().zip(&mut weights) {
                let mean: f64 = row
                    .iter()
                    .zip(&factors)
                    .map(|(&t, f)| f64::from(t) * f)
                    .sum();
                *weight = (f64::from(*weight) * mean) as f32;
            }
        }
        Ok(weights)
    }
}

impl Examples<'_> {
    /// How much the labels say of each class: targets times trust.
    pub(crate) fn class_totals(&self) -> Vec<f64> {
        self.totals(&self.weights)
    }

    fn totals(&self, weights: &[f32]) -> Vec<f64> {
        let mut totals = vec![0.0; self.class_count()];
        for (row, &weight) in self.targets.rows().into_iter().zip(weights) {
            for (total, &target) in totals.iter_mut().zip(row) {
                *total += f64::from(weight) * f64::from(target);
            }
        }
        totals
    }
}

/// Whose labels the validation items have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// The given ones, which may be wrong.
    Given,
    /// Clean ones, which are to be had only where somebody made them.
    Clean,
}

impl Labels {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Clean => "clean",
        }
    }
}

/// Items that are watched during training and not learnt from.
#[derive(Debug, Clone)]
pub struct Validation<'a> {
    /// The items.
    pub examples: Examples<'a>,
    /// Whose labels they have.
    pub labels: Labels,
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn examples(targets: Array2<f32>, weights: Vec<f32>) -> Examples<'static> {
        let features = Array2::zeros((targets.nrows(), 2));
        Examples {
            features: features.into(),
            targets,
            weights,
        }
    }

    #[test]
    fn balances_as_scikit_learn_does() {
        // compute_class_weight("balanced", classes=[0, 1], y=[0, 0, 0, 1]) is [2/3, 2].
        let targets = array![[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]];
        let weights = examples(targets, vec![1.0; 4])
            .training_weights(None, true)
            .unwrap();
        let expected = [2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 2.0];
        assert!(
            weights
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b as f32).abs() < 1e-6)
        );
    }

    #[test]
    fn trust_and_selection_count_in_the_balance() {
        let targets = array![[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]];
        let all = examples(targets, vec![0.5, 1.0, 1.0, 0.0]);
        let weights = all
            .training_weights(Some(&[true, false, true, true]), true)
            .unwrap();
        // Left are 0.5 of class 0 and 1 of class 1; each class is to have 0.75.
        assert_eq!(weights, [0.75, 0.0, 0.75, 0.0]);
    }

    #[test]
    fn one_class_alone_is_refused() {
        let one = examples(array![[1.0, 0.0], [1.0, 0.0]], vec![1.0; 2]);
        let message = one.training_weights(None, true).unwrap_err().to_string();
        assert!(
            message.ends_with("all labels that count are of one class, number 0"),
            "{message}"
        );
    }

    #[test]
    fn wrong_input_is_refused_with_its_item() {
        let features = array![[0.0, 1.0], [f32::NAN, 0.0]];
        let targets = array![[1.0, 0.0], [0.0, 1.0]];
        let message = |features: &Array2<f32>, targets: &Array2<f32>, weights: &[f32]| {
            let result = Examples::new(features.view(), targets.clone(), weights.to_vec());
            result.unwrap_err().to_string()
        };
        assert!(message(&features, &targets, &[1.0, 1.0]).contains("feature 0 of item 1 is NaN"));
        let good = array![[0.0, 1.0], [2.0, 0.0]];
        let half = array![[1.0, 0.0], [0.5, 0.4]];
        assert!(message(&good, &half, &[1.0, 1.0]).contains("item 1 is not a distribution"));
        assert!(message(&good, &targets, &[1.0, -1.0]).contains("weight of item 1 is -1"));
        assert!(message(&good, &targets, &[0.0, 0.0]).contains("trust 0"));
        assert!(message(&good, &targets, &[1.0]).contains("2 with targets and 1 with weights"));
    }
}
