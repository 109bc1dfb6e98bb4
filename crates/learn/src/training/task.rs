use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use cleanslide_nn::weights::Weights;
use rand_chacha::ChaCha8Rng;

use super::TrainSettings;
use crate::error::{Error, Result};

/// A network, what it learns from and what it is compared with: all that the loop does not know.
pub(crate) trait Task: Sync {
    /// What is trained.
    type Network: Module;
    /// An item as it is read.
    type Example: Send + Sync;
    /// A part of an example, changed at random, with what is said of it.
    type Crop: Send;
    /// What reading can fail with.
    type Failure: From<Error> + Send;

    /// What is measured on the items for validation; more is better.
    const MEASURE: &'static str;

    /// How the network is trained.
    fn settings(&self) -> &TrainSettings;

    /// All that decides what is learned, but `settings`, items and seed.
    fn identity(&self) -> Result<serde_json::Value>;

    /// What the network is called.
    fn network_name(&self) -> &'static str;

    /// A network with random parameters.
    fn init(&self, seed: u64, device: &Device) -> Self::Network;

    /// A file of parameters of its encoder that the training begins with; none by default.
    fn pretrained(&self) -> Option<&Path> {
        None
    }

    /// Replaces the parameters of the encoder by those of [`Task::pretrained`].
    fn load_encoder(&self, network: Self::Network, _: &Weights) -> Result<Self::Network> {
        Ok(network)
    }

    /// What an item is called in messages.
    fn name(&self, item: usize) -> String;

    /// An item, and how many bytes it takes.
    fn read(&self, item: usize) -> Result<(Self::Example, usize), Self::Failure>;

    /// A crop of the item that `near(0)` gives; `near(1)` is the one after it in the epoch.
    fn crop(&self, near: &Near<Self>, rng: &mut ChaCha8Rng) -> Result<Self::Crop, Self::Failure>;

    /// What is noted of the training beside the loss; see [`Compared::notes`].
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Compares a network with a batch.
    fn compare(
        &self,
        network: &Self::Network,
        crops: Vec<Self::Crop>,
        at: Moment,
        device: &Device,
    ) -> Result<Compared>;

    /// The loss of a batch, without a gradient, and the gradients of `1 / parts` of it.
    fn gradients(
        &self,
        network: &Self::Network,
        crops: Vec<Self::Crop>,
        at: Moment,
        parts: f64,
        device: &Device,
    ) -> Result<(Compared, GradientsParams)> {
        let Compared { loss, notes } = self.compare(network, crops, at, device)?;
        let gradients = loss.clone().div_scalar(parts).backward();
        let compared = Compared {
            loss: loss.inner(),
            notes,
        };
        Ok((compared, GradientsParams::from_grads(gradients, network)))
    }

    /// The network after its parameters have moved by a step.
    fn moved(&self, network: Self::Network, _: Moment) -> Self::Network {
        network
    }

    /// The measure of progress, of a network that predicts. A task whose settings have no validation needs none.
    fn measure(&self, _: &Self::Network, _: &[usize]) -> Result<f64, Self::Failure> {
        let name = self.network_name();
        Err(Error::Device(format!("nothing measures the progress of {name}")).into())
    }

    /// Whether the network of the best epoch is the result, where progress is measured, or that of the last.
    fn keeps_best(&self) -> bool {
        true
    }

    /// Whether the training goes on from the best epoch so far.
    fn returns_to_best(&self, _: Progress) -> bool {
        false
    }

    /// What is done between two epochs, by a network that predicts. What is learned from may change.
    fn between_epochs(&self, _: &Self::Network, _: Progress) -> Result<Interlude, Self::Failure> {
        Ok(Interlude::default())
    }

    /// All that has changed in the task since the training began, for a checkpoint; `None` of a task that does not
    /// change.
    fn memory(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Goes on with what [`Task::memory`] gave.
    fn remember(&self, _: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// How far a training is after an epoch; epochs are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The epoch.
    pub(crate) epoch: usize,
    /// The first epoch that was as good as the best, where progress is measured.
    pub(crate) best: Option<usize>,
}

/// What was done between two epochs.
#[derive(Debug, Default)]
pub(crate) struct Interlude {
    /// What is noted of it.
    pub(crate) notes: BTreeMap<String, f64>,
    /// Whether items are read again from now on, because something else is said of them.
    pub(crate) read_again: bool,
}

impl Interlude {
    pub(crate) fn note(&mut self, name: &str, value: f64) {
        self.notes.insert(name.to_owned(), value);
    }
}

/// What comes of a batch.
pub(crate) struct Compared {
    /// The loss, `[1]`.
    pub(crate) loss: Tensor<1>,
    /// Sums and the weights that they are of, `[notes, 2]`, without gradients: an epoch's note is the sum of the first
    /// over the sum of the second.
    pub(crate) notes: Option<Tensor<2>>,
}

impl From<Tensor<1>> for Compared {
    fn from(loss: Tensor<1>) -> Self {
        Self { loss, notes: None }
    }
}

/// Where in a training a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The step, counted from 0.
    pub(crate) step: usize,
    /// The steps of the whole training, if it does not stop early.
    pub(crate) steps: usize,
}

/// Items near a place in an epoch, with their numbers.
pub(crate) type Near<'a, T> =
    dyn Fn(usize) -> Result<(usize, Arc<<T as Task>::Example>), <T as Task>::Failure> + 'a;
