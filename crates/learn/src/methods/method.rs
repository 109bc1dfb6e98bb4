//! The interface of a method: four verbs over evidence.

use burn::tensor::Tensor;
use cleanslide_nn::heads::HeadKind;

use super::{Context, Needs, WannSettings};
use crate::classify::Examples;
use crate::error::Result;

/// A few items that are learnt from in one step.
pub struct Batch<'a> {
    /// Indices of the items in the examples.
    pub items: &'a [usize],
    /// What their labels say, `[items, classes]`.
    pub targets: Tensor<2>,
    /// How far they count, `[items]`: trust times class balance; 0 is ignored.
    pub weights: Tensor<1>,
    /// The epoch, counted from 0.
    pub epoch: usize,
}

/// A way to learn from labels of which some are wrong. In every step the loop asks it, for each
/// head, what the head is to be compared with and how far each item counts:
///
/// ```text
/// said    = restrict(logits)            what labels would say if the head were right
/// targets = correct(batch, logits)      what labels should have said
/// losses  = weigh(said, targets)        how much each label is to move the head
/// weights = select(batch, losses)       which labels take part at all
/// loss    = sum(weights * losses) / sum(weights), plus the L2 penalty
/// ```
///
/// Tensors that a method returns from what it remembers or computes on the side are constants: only
/// `restrict` and `weigh` are differentiated.
pub trait Method: Send {
    /// The heads that learn side by side when the settings choose this kind.
    fn heads(&self, chosen: HeadKind) -> Vec<HeadKind> {
        vec![chosen]
    }

    /// Items that take part in training, decided before it; `None` is all.
    fn kept(&self) -> Option<&[bool]> {
        None
    }

    /// *Restrict*: from logits `[items, classes]` of the truth to logits of what labels say.
    fn restrict(&self, logits: Tensor<2>) -> Tensor<2> {
        logits
    }

    /// *Correct*: the targets `[items, classes]` that replace what the labels say; `logits`
    /// `[items, classes]` are the head's, without gradient.
    fn correct(&mut self, batch: &Batch, _head: usize, _logits: Tensor<2>) -> Result<Tensor<2>> {
        Ok(batch.targets.clone())
    }

    /// *Weigh*: the loss `[items]` by which each label moves the head; `logits` after
    /// [`Method::restrict`].
    fn weigh(
        &mut self,
        batch: &Batch,
        head: usize,
        logits: Tensor<2>,
        targets: Tensor<2>,
    ) -> Result<Tensor<1>>;

    /// *Select*: the weights `[items]` of the items for one head; `losses` `[items]` of every
    /// head, without gradient.
    fn select(&mut self, batch: &Batch, _head: usize, _losses: &[Tensor<1>]) -> Result<Tensor<1>> {
        Ok(batch.weights.clone())
    }

    /// True if the loss depends on the head alone, and not on the epoch or on what was seen
    /// before. Then an optimiser may evaluate it as often as it likes (L-BFGS).
    fn is_stationary(&self) -> bool {
        true
    }
}

/// Settings that build a method.
pub trait Build {
    /// What the method wants to find in its context; nothing by default.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// The method, ready to learn from `examples`.
    ///
    /// # Errors
    /// A setting out of its range, or a context that lacks what the method needs or does not fit
    /// the examples.
    fn build(&self, examples: &Examples, context: &Context) -> Result<Learner>;
}

/// What settings build.
pub enum Learner {
    /// A method that trains heads.
    Heads(Box<dyn Method>),
    /// Neighbours that vote, without training.
    Neighbours(WannSettings),
}

impl<M: Method + 'static> From<M> for Learner {
    fn from(method: M) -> Self {
        Self::Heads(Box::new(method))
    }
}
