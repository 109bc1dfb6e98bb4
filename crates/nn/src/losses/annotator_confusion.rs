//! Annotators whose confusions are learned.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;

use super::log_sum_exp;

/// What each annotator would say, as log-probabilities `[items, annotators, classes]`, of items whose true class has
/// these logits `[items, classes]` (Zhang et al., arXiv 2007.15963; Tanno et al., arXiv 1902.03680):
///
/// ```text
/// q_nj = sum_i p_i * A_nij        A_nij = P(annotator n says j | truth i)
/// ```
///
/// `log_confusion` holds log A, `[items or 1, annotators, classes, classes]`, rows are the true classes. The
/// cross-entropy of q with what the annotators said is the loss; since q is normalised, these are also logits, and any
/// loss will do. (Published code hands q to a function that takes its softmax once more; that is another loss.)
///
/// # Panics
/// When the shapes do not fit.
pub fn annotator_log_probabilities(logits: Tensor<2>, log_confusion: Tensor<4>) -> Tensor<3> {
    let log_p: Tensor<4> = log_softmax(logits, 1)
        .unsqueeze_dim::<3>(1)
        .unsqueeze_dim::<4>(3);
    log_sum_exp(log_p + log_confusion, 2).squeeze_dim(2)
}

/// The mean over items and annotators of the trace of the confusion matrices `[items or 1, annotators, classes,
/// classes]`, `[1]`: the probability that an annotator is right, summed over the classes. Among all pairs of a
/// network and confusions that explain what was said, the smallest trace leads to the true ones if annotators are
/// right more often than not (same papers), so it is added to the loss.
pub fn mean_trace(log_confusion: Tensor<4>) -> Tensor<1> {
    let [items, annotators, classes, _] = log_confusion.dims();
    let identity = Tensor::<2>::eye(classes, &log_confusion.device());
    let diagonal = log_confusion.exp() * identity.unsqueeze::<4>();
    diagonal.sum().div_scalar((items * annotators) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    fn assert_close(ours: &[f32], expected: &[f64]) {
        assert_eq!(ours.len(), expected.len());
        for (ours, expected) in ours.iter().zip(expected) {
            assert!(
                (f64::from(*ours) - expected).abs() < 1e-6,
                "{ours} {expected}"
            );
        }
    }

    /// Worked out by hand.
    #[test]
    fn annotators_say_what_their_confusions_make_of_the_truth() {
        let device = Device::flex();
        // p is (3/4, 1/4) and (1/2, 1/2).
        let logits = Tensor::<2>::from_floats([[3f32.ln(), 0.0], [5.0, 5.0]], &device);
        let confusion = Tensor::<4>::from_floats(
            [[[[0.8, 0.2], [0.4, 0.6]], [[1.0, 0.0], [0.0, 1.0]]]],
            &device,
        );
        let said = annotator_log_probabilities(logits, confusion.clone().log());
        assert_eq!(said.dims(), [2, 2, 2]);
        assert_close(
            &values(said.exp()),
            &[0.7, 0.3, 0.75, 0.25, 0.6, 0.4, 0.5, 0.5],
        );
        assert_close(&values(mean_trace(confusion.log())), &[(1.4 + 2.0) / 2.0]);
    }

    #[test]
    fn confusions_may_differ_from_item_to_item() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_floats([[0.0, 0.0], [100.0, 0.0]], &device);
        let confusion = Tensor::<4>::from_floats(
            [[[[0.9, 0.1], [0.3, 0.7]]], [[[0.4, 0.6], [0.2, 0.8]]]],
            &device,
        );
        let said = annotator_log_probabilities(logits, confusion.log());
        assert_close(&values(said.exp()), &[0.6, 0.4, 0.4, 0.6]);
    }

    #[test]
    fn gradients_are_finite_where_a_class_is_impossible() {
        let device = Device::flex().autodiff();
        let logits = Tensor::<2>::from_floats([[200.0, -200.0]], &device).require_grad();
        let confusion = Tensor::<4>::from_floats([[[[0.99, 0.01], [0.5, 0.5]]]], &device);
        let loss = annotator_log_probabilities(logits.clone(), confusion.log())
            .slice([0..1, 0..1, 1..2])
            .sum()
            .neg();
        let gradient = logits
            .grad(&loss.backward())
            .map(values)
            .unwrap_or_default();
        assert!(gradient.len() == 2 && gradient.iter().all(|of| of.is_finite()));
        assert_close(&values(loss), &[-(0.01f64.ln())]);
    }
}
