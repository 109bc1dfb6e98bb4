//! Forward correction: the head predicts the truth, and the estimated noise turns that into what
//! labels say before it is compared with them.

use burn::tensor::Tensor;
use cleanslide_nn::losses::{CrossEntropy, ForwardCorrection, Loss};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::{Batch, Build, Context, Learner, Method, Needs};
use crate::classify::Examples;
use crate::error::{Error, Result};

/// Settings of forward correction, Patrini et al. (arXiv 1609.03683); there are none. The
/// transition matrix is estimated from out-of-sample predictions and comes in the [`Context`]. See
/// [`ForwardCorrection`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ForwardCorrectionSettings {}

impl Build for ForwardCorrectionSettings {
    fn needs(&self) -> Needs {
        Needs {
            transition: true,
            ..Needs::default()
        }
    }

    fn build(&self, examples: &Examples, context: &Context) -> Result<Learner> {
        let transition = context.transition.as_ref().ok_or(Error::Missing {
            method: "forward",
            what: "the noise transition matrix",
            remedy: "estimate it from out-of-sample predictions first",
        })?;
        check_transition(transition, examples.targets.ncols())?;
        Ok(Forward(ForwardCorrection::new(transition.view())).into())
    }
}

/// Refuses what is not a square matrix of distributions over the labels.
fn check_transition(transition: &Array2<f64>, classes: usize) -> Result<()> {
    let wrong = |problem| {
        Err(Error::Context {
            what: "noise transition matrix",
            problem,
        })
    };
    if transition.dim() != (classes, classes) {
        let (rows, columns) = transition.dim();
        return wrong(format!(
            "is {rows} by {columns}, and there are {classes} classes"
        ));
    }
    for (i, row) in transition.rows().into_iter().enumerate() {
        let valid = row.iter().all(|t| (0.0..=1.0).contains(t)) && (row.sum() - 1.0).abs() < 1e-6;
        if !valid {
            return wrong(format!(
                "is not a distribution in the row of class {i}: {row}"
            ));
        }
    }
    Ok(())
}

struct Forward(ForwardCorrection);

impl Method for Forward {
    fn restrict(&self, logits: Tensor<2>) -> Tensor<2> {
        self.0.log_label_probabilities(logits)
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
