//! Co-teaching: two heads, each of which learns from the items that the other finds easy.

use burn::tensor::{Tensor, TensorData};
use cleanslide_nn::heads::HeadKind;
use cleanslide_nn::losses::{CrossEntropy, Loss};
use serde::{Deserialize, Serialize};

use super::{Batch, Build, Context, Learner, Method, Needs, check};
use crate::classify::Examples;
use crate::error::{Error, Result};

/// Settings of co-teaching, Han et al. (arXiv 1804.06872). In epoch `e`, counted from 0, each head
/// learns from this share of a batch, the items of least loss under the other head:
///
/// ```text
/// R(e) = 1 - forget_rate * min(e / gradual, 1)
/// ```
///
/// Items of weight 0 are not counted. Ties go to the earlier item of the batch. The two heads
/// differ in their random start and predict together. On frozen features the losses of right and
/// wrong labels overlap, and methods that select by agreement do better (arXiv 2605.22591).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CoTeachingSettings {
    /// The share of items that is left out in the end, in [0, 1). Default: the estimated noise rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forget_rate: Option<f64>,
    /// Epochs until that share is reached, at least 1. Default 10.
    pub gradual: usize,
}

impl Default for CoTeachingSettings {
    fn default() -> Self {
        Self {
            forget_rate: None,
            gradual: 10,
        }
    }
}

impl Build for CoTeachingSettings {
    fn needs(&self) -> Needs {
        Needs {
            noise_rate: self.forget_rate.is_none(),
            ..Needs::default()
        }
    }

    fn build(&self, _: &Examples, context: &Context) -> Result<Learner> {
        let forget_rate = self
            .forget_rate
            .or(context.noise_rate)
            .ok_or(Error::Missing {
                method: "co-teaching",
                what: "the noise rate",
                remedy: "estimate it from out-of-sample predictions first, or set `forget_rate`",
            })?;
        let valid = (0.0..1.0).contains(&forget_rate);
        check(
            "forget_rate",
            forget_rate,
            valid,
            "expected at least 0 and less than 1",
        )?;
        check(
            "gradual",
            self.gradual as f64,
            self.gradual > 0,
            "expected at least 1",
        )?;
        Ok(CoTeaching {
            forget_rate,
            gradual: self.gradual,
        }
        .into())
    }
}

struct CoTeaching {
    forget_rate: f64,
    gradual: usize,
}

impl CoTeaching {
    fn kept_share(&self, epoch: usize) -> f64 {
        1.0 - self.forget_rate * (epoch as f64 / self.gradual as f64).min(1.0)
    }
}

impl Method for CoTeaching {
    fn heads(&self, chosen: HeadKind) -> Vec<HeadKind> {
        vec![chosen; 2]
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

    fn select(&mut self, batch: &Batch, head: usize, losses: &[Tensor<1>]) -> Result<Tensor<1>> {
        let losses: Vec<f32> = losses[1 - head].clone().try_into_vec_as()?;
        let weights: Vec<f32> = batch.weights.clone().try_into_vec_as()?;
        let kept = smallest(&losses, &weights, self.kept_share(batch.epoch));
        let data = TensorData::new(kept, [weights.len()]);
        Ok(Tensor::from_data(data, &batch.weights.device()))
    }

    fn is_stationary(&self) -> bool {
        false
    }
}

/// The weights with 0 for all but the `share` of the items of positive weight with the smallest
/// losses; at least one is kept.
fn smallest(losses: &[f32], weights: &[f32], share: f64) -> Vec<f32> {
    let mut order: Vec<usize> = (0..losses.len()).filter(|&i| weights[i] > 0.0).collect();
    order.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]));
    let count = ((share * order.len() as f64).round() as usize).max(1);
    let mut kept = vec![0.0; losses.len()];
    order.iter().take(count).for_each(|&i| kept[i] = weights[i]);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_smallest_losses_among_items_that_count() {
        let kept = smallest(&[3.0, 1.0, 2.0, 0.0], &[1.0, 0.5, 2.0, 0.0], 2.0 / 3.0);
        assert_eq!(kept, [0.0, 0.5, 2.0, 0.0]);
    }

    #[test]
    fn forgets_gradually() {
        let method = CoTeaching {
            forget_rate: 0.4,
            gradual: 10,
        };
        assert_eq!(method.kept_share(0), 1.0);
        assert!((method.kept_share(5) - 0.8).abs() < 1e-12);
        assert!((method.kept_share(99) - 0.6).abs() < 1e-12);
    }
}
