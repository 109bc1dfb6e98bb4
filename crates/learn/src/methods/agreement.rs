//! Agreement: a label is learnt from only if heads that did not see it predict it.

use burn::tensor::Tensor;
use cleanslide_nn::heads::HeadKind;
use cleanslide_nn::losses::{CrossEntropy, Loss};
use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};

use super::{Batch, Build, Context, Learner, Method, Needs, check};
use crate::classify::Examples;
use crate::error::{Error, Result};

/// Settings of agreement. It is ours; the nearest published method is CUFIT (arXiv 2412.00150),
/// which chooses items by the agreement of a linear probe with the label while both train. Here
/// the experts are cross-validated, because a head that saw a label agrees with it.
///
/// An item is kept if the class that each expert finds likeliest has the greatest target of the
/// item, so that for a tie between two classes either will do. Should that keep less than
/// `minimum_share` of the items of a class (the class of the greatest target, the lowest index of
/// several), the items with the highest mean probability of the class are kept as well, so that
/// no class disappears.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgreementSettings {
    /// The heads that must agree, at least one. Default linear and mlp.
    pub experts: Vec<HeadKind>,
    /// Passes over the items in the training of these heads. Default 20: a head that stops early has
    /// learnt what labels have in common and not yet by heart what is wrong with some (arXiv
    /// 2007.00151), and agreement is cross-validated, so it is what the method's time goes into.
    pub epochs: usize,
    /// The least share of a class that is kept, in [0, 1]. Default 0.1.
    pub minimum_share: f64,
}

impl Default for AgreementSettings {
    fn default() -> Self {
        Self {
            experts: vec![HeadKind::Linear, HeadKind::Mlp],
            epochs: 20,
            minimum_share: 0.1,
        }
    }
}

impl Build for AgreementSettings {
    fn needs(&self) -> Needs {
        Needs {
            out_of_sample: self.experts.clone(),
            epochs: Some(self.epochs),
            ..Needs::default()
        }
    }

    fn build(&self, examples: &Examples, context: &Context) -> Result<Learner> {
        check(
            "experts",
            0.0,
            !self.experts.is_empty(),
            "expected at least one kind of head",
        )?;
        check(
            "epochs",
            self.epochs as f64,
            self.epochs > 0,
            "expected at least 1",
        )?;
        let valid = (0.0..=1.0).contains(&self.minimum_share);
        check(
            "minimum_share",
            self.minimum_share,
            valid,
            "expected between 0 and 1",
        )?;
        if context.out_of_sample.len() != self.experts.len() {
            return Err(Error::Missing {
                method: "agreement",
                what: "out-of-sample probabilities by each of its experts",
                remedy: "cross-validate them on the training items first",
            });
        }
        for probabilities in &context.out_of_sample {
            if probabilities.dim() != examples.targets.dim() {
                let (expected, found) = (examples.targets.dim(), probabilities.dim());
                let problem =
                    format!("are {found:?} items by classes, and the targets {expected:?}");
                return Err(Error::Context {
                    what: "out-of-sample probabilities",
                    problem,
                });
            }
        }
        let experts = &context.out_of_sample;
        Ok(Agreement {
            kept: agreeing(&examples.targets, experts, self.minimum_share),
        }
        .into())
    }
}

struct Agreement {
    kept: Vec<bool>,
}

impl Method for Agreement {
    fn kept(&self) -> Option<&[bool]> {
        Some(&self.kept)
    }

    fn weigh(
        &mut self,
        _: &Batch,
        _: usize,
        logits: Tensor<2>,
        targets: Tensor<2>,
    ) -> Result<Tensor<1>> {
        Ok(CrossEntropy::default().per_item(logits, targets))
    }
}

/// The items whose label every expert predicts, topped up to the minimum share of each class.
fn agreeing(targets: &Array2<f32>, experts: &[Array2<f32>], minimum_share: f64) -> Vec<bool> {
    let (items, classes) = targets.dim();
    let agree = |i: usize| {
        let target = targets.row(i);
        let greatest = target[argmax(target)];
        experts
            .iter()
            .all(|expert| target[argmax(expert.row(i))] == greatest)
    };
    let mut kept: Vec<bool> = (0..items).map(agree).collect();
    for class in 0..classes {
        let members: Vec<usize> = (0..items)
            .filter(|&i| argmax(targets.row(i)) == class)
            .collect();
        let minimum = (minimum_share * members.len() as f64).ceil() as usize;
        let missing = minimum.saturating_sub(members.iter().filter(|&&i| kept[i]).count());
        let belief = |i: usize| experts.iter().map(|expert| expert[[i, class]]).sum::<f32>();
        let mut rest: Vec<usize> = members.into_iter().filter(|&i| !kept[i]).collect();
        rest.sort_by(|&a, &b| belief(b).total_cmp(&belief(a)));
        rest.iter().take(missing).for_each(|&i| kept[i] = true);
    }
    kept
}

/// The index of the greatest value, the lowest of several.
fn argmax(values: ArrayView1<f32>) -> usize {
    crate::classify::argmax(values.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn keeps_items_on_which_all_experts_say_the_label() {
        let targets = array![[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]];
        let linear = array![[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.2, 0.8]];
        let mlp = array![[0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.6, 0.4]];
        let kept = agreeing(&targets, &[linear, mlp], 0.0);
        assert_eq!(kept, [true, false, true, true]);
    }

    #[test]
    fn no_class_disappears() {
        let targets = array![[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]];
        let expert = array![[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.8, 0.2]];
        assert_eq!(
            agreeing(&targets, &[expert], 0.1),
            [true, false, true, false]
        );
    }
}
