use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};

use crate::layers::Start;

/// What annotators say by what is true, learned with the network that says what is true
/// ([`annotator_log_probabilities`](crate::losses::annotator_log_probabilities)): one matrix per annotator, the same
/// everywhere.
#[derive(Module, Debug)]
pub struct AnnotatorConfusion {
    /// `[annotators · classes · classes]`, added to [`log_confusion`]'s start.
    scores: Param<Tensor<1>>,
    #[module(skip)]
    annotators: usize,
    #[module(skip)]
    classes: usize,
}

impl AnnotatorConfusion {
    /// Annotators of whom nothing is known yet.
    pub fn new(annotators: usize, classes: usize, start: &mut Start) -> Self {
        Self {
            scores: start.constant(0.0, annotators * classes * classes),
            annotators,
            classes,
        }
    }

    /// The logarithms of the matrices, `[1, annotators, classes, classes]`, of annotators who are held for right with
    /// the probability `right` as long as nothing is known of them.
    pub fn log_matrices(&self, right: f64) -> Tensor<4> {
        let shape = [1, self.annotators, self.classes, self.classes];
        log_confusion(self.scores.val().reshape(shape), right)
    }
}

/// Logarithms of confusion matrices from scores of any size, both `[items, annotators, classes, classes]`, in the rows
/// the true classes: where scores are 0, annotators are right with the probability `right`, in (0, 1), and wrong in all
/// ways alike.
pub fn log_confusion(scores: Tensor<4>, right: f64) -> Tensor<4> {
    let [.., classes] = scores.dims();
    let wrong = (1.0 - right) / (classes as f64 - 1.0).max(1.0);
    let start: Vec<f32> = (0..classes * classes)
        .map(|entry| {
            let diagonal = entry / classes == entry % classes;
            (if diagonal { right } else { wrong }).ln() as f32
        })
        .collect();
    let start = TensorData::new(start, [1, 1, classes, classes]);
    let start = Tensor::<4>::from_data(start, &scores.device());
    log_softmax(scores + start, 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn annotators_are_mostly_right_at_first() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let confusion = AnnotatorConfusion::new(2, 3, &mut Start::new(&mut rng, &Device::flex()));
        let matrices = confusion.log_matrices(0.8).exp();
        assert_eq!(matrices.dims(), [1, 2, 3, 3]);
        let values: Vec<f32> = matrices.into_data().iter::<f32>().collect();
        for (entry, value) in values.iter().enumerate() {
            let expected = if entry % 9 % 4 == 0 { 0.8 } else { 0.1 };
            assert!((value - expected).abs() < 1e-6, "{values:?}");
        }
    }
}
