//! A student that says what its teacher says of another view.

use burn::tensor::Tensor;
use burn::tensor::activation::{log_softmax, softmax};

/// The loss of DINO (Caron et al., arXiv 2104.14294): the cross-entropy of a student's distribution over prototypes
/// with that of a teacher of another view of the same item.
///
/// ```text
/// L = mean over views a != b and items of - sum_k p_k log q_k
/// p = softmax((teacher_a - centre) / T_teacher)        q = softmax(student_b / T_student)
/// ```
///
/// The centre, a moving mean of what the teacher says ([`Dino::moved`]), and the lower temperature of the teacher
/// keep each other from making all items alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dino {
    /// Default 0.1.
    pub student_temperature: f64,
    /// Default 0.04.
    pub teacher_temperature: f64,
}

impl Default for Dino {
    fn default() -> Self {
        Self {
            student_temperature: 0.1,
            teacher_temperature: 0.04,
        }
    }
}

impl Dino {
    /// The share of itself that the centre keeps from a batch to the next.
    pub const MOMENTUM: f64 = 0.9;

    /// The loss, `[1]`, of scores of prototypes `[items, prototypes]`, view by view, and the centre `[prototypes]`. The
    /// views of the teacher are the first ones of the student. No gradient runs into the teacher and the centre.
    pub fn loss(
        &self,
        student: &[Tensor<2>],
        teacher: &[Tensor<2>],
        centre: Tensor<1>,
    ) -> Tensor<1> {
        let centre = centre.detach().unsqueeze_dim::<2>(0);
        let said = |scores: &Tensor<2>| {
            let scores = scores.clone().detach() - centre.clone();
            softmax(scores.div_scalar(self.teacher_temperature), 1)
        };
        let learned: Vec<Tensor<2>> = student
            .iter()
            .map(|scores| log_softmax(scores.clone().div_scalar(self.student_temperature), 1))
            .collect();
        let mut losses = Vec::new();
        for (of_teacher, said) in teacher.iter().map(said).enumerate() {
            for (of_student, learned) in learned.iter().enumerate() {
                if of_teacher != of_student {
                    let surprise = (said.clone() * learned.clone()).sum_dim(1).neg();
                    losses.push(surprise.mean());
                }
            }
        }
        Tensor::cat(losses, 0).mean()
    }

    /// The centre `[prototypes]` after a batch of the teacher's scores, view by view.
    #[must_use]
    pub fn moved(centre: Tensor<1>, teacher: &[Tensor<2>]) -> Tensor<1> {
        let batch = Tensor::cat(teacher.to_vec(), 0)
            .detach()
            .mean_dim(0)
            .squeeze_dim::<1>(0);
        centre.mul_scalar(Self::MOMENTUM) + batch.mul_scalar(1.0 - Self::MOMENTUM)
    }
}
