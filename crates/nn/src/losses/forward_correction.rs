//! Forward correction with a noise transition matrix.

use burn::tensor::{Tensor, activation::log_softmax};
use ndarray::ArrayView2;

use super::{CrossEntropy, Loss, log_sum_exp};

/// Entries of the transition matrix below this are raised to it, so that their logarithm is finite.
const FLOOR: f64 = 1e-30;

/// Forward correction of Patrini et al. (arXiv 1609.03683): the network predicts the true class,
/// the transition matrix turns that into what the label would say, and the loss compares labels
/// with labels:
///
/// ```text
/// l(p, y) = - sum_j y_j * log q_j        q_j = sum_i p_i * T_ij        T_ij = P(label j | truth i)
/// ```
///
/// It is the cross-entropy of `q`, so soft targets need no extension. `log q` is computed by
/// log-sum-exp and stays finite where `p` underflows.
#[derive(Debug, Clone)]
pub struct ForwardCorrection {
    /// `log T`, row-major `[classes, classes]`, rows are the true classes.
    log_transition: Vec<f32>,
    classes: usize,
}

impl ForwardCorrection {
    /// A correction by the matrix `transition` `[classes, classes]`, whose rows are the true
    /// classes and sum to 1.
    pub fn new(transition: ArrayView2<f64>) -> Self {
        let log_transition = transition
            .iter()
            .map(|&t| t.max(FLOOR).ln() as f32)
            .collect();
        Self {
            log_transition,
            classes: transition.nrows(),
        }
    }

    /// What labels would say, as log-probabilities `[items, classes]`, of items whose true class
    /// has these logits `[items, classes]`. Since they are normalised, they are also logits, and
    /// any loss can be corrected this way.
    pub fn log_label_probabilities(&self, logits: Tensor<2>) -> Tensor<2> {
        let device = logits.device();
        let k = self.classes;
        let transition = burn::tensor::TensorData::new(self.log_transition.clone(), [1, k, k]);
        let transition = Tensor::<3>::from_data(transition, &device);
        let log_p: Tensor<3> = log_softmax(logits, 1).unsqueeze_dim(2);
        log_sum_exp(log_p + transition, 1).squeeze_dim(1)
    }
}

impl Loss for ForwardCorrection {
    fn per_item(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        // The log-probabilities are normalised up to rounding, and normalising them again is what
        // makes the gradient that of the cross-entropy of q.
        CrossEntropy::default().per_item(self.log_label_probabilities(logits), targets)
    }
}
