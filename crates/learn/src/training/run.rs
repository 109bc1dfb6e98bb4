//! The training loop.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Bytes, Device, Tensor};
use cleanslide_data::store::write_file;
use cleanslide_nn::weights::Weights;
use serde::{Deserialize, Serialize};

use super::loader::{Batch, Items, Loader};
use super::{
    Average, Checkpoint, Checkpoints, Compared, EventFile, Interlude, Moment, Progress, Schedule,
    Task, TrainSettings, clip, mebibytes,
};
use crate::error::{Error, Result};

const NETWORK: &str = "network.safetensors";
const AVERAGE: &str = "average.safetensors";
const BEST: &str = "best.safetensors";
const OPTIMISER: &str = "optimiser.burnpack";
const STATE: &str = "state.json";
const MEMORY: &str = "memory.json";

/// What happened in an epoch: the same for the same inputs, seed and threads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: usize,
    /// The learning rate of its last step.
    pub learning_rate: f64,
    /// The mean loss of its steps.
    pub loss: f64,
    /// What was measured on the items for validation: of pixels the Dice coefficient of all images together,
    /// averaged over the classes but the first; of boxes the average precision at an overlap of 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<f64>,
    /// What else was noted, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, f64>,
}

/// How fast an epoch went: different each time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Crops per second.
    pub crops_per_second: f64,
    /// Memory of the process, in MiB; `None` where the system does not tell.
    pub memory: Option<f64>,
}

/// Who is told of the progress.
pub struct Watch<'a> {
    /// After every step.
    pub step: &'a dyn Fn(),
    /// After every epoch.
    pub epoch: &'a dyn Fn(&Epoch, Speed),
}

/// A training: of these items, into this folder.
pub(crate) struct Run<'a, T> {
    /// What is learned.
    pub(crate) task: &'a T,
    /// The items that are learned from.
    pub(crate) items: Items<'a>,
    /// Those that measure progress.
    pub(crate) validation: &'a [usize],
    /// The seed of everything random.
    pub(crate) seed: u64,
    /// Where networks run.
    pub(crate) device: &'a Device,
    /// Where checkpoints and logs go.
    pub(crate) folder: &'a Path,
}

/// What changes from epoch to epoch, but the networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    /// What the training is of: settings, classes, items, seed.
    identity: String,
    epochs: Vec<Epoch>,
    averaged_steps: usize,
    best: Option<Best>,
    plateaus: usize,
    /// Epochs since the best one or the last plateau.
    waited: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Best {
    value: f64,
    /// The first epoch that was as good.
    epoch: usize,
}

struct Training<N> {
    network: N,
    average: Option<Average<N>>,
    optimiser: ModuleOptimizer,
    /// The parameters of the best epoch.
    best: Option<Vec<u8>>,
    state: State,
}

impl<N: Module> Training<N> {
    /// The network that predicts: the average, where there is one.
    fn predicting(&self) -> &N {
        match &self.average {
            Some(average) => &average.network,
            None => &self.network,
        }
    }
}

/// What a step leaves behind until its epoch is over.
struct Step {
    compared: Compared,
    items: Vec<usize>,
}

impl<T: Task> Run<'_, T> {
    /// Trains, or goes on after the last checkpoint in the folder: with the same result as without the
    /// interruption. Afterwards the folder has `metrics.jsonl`, events for TensorBoard and the last checkpoint, with which
    /// another call is done at once: it goes when the network is saved ([`Checkpoints::of`]).
    ///
    /// # Errors
    /// Nothing to learn from, an item that cannot be used, a checkpoint of another training, a loss that is not
    /// finite (`diverged.json` then names the items of the step), or a file system that refuses.
    pub(crate) fn run(&self, watch: &Watch) -> Result<T::Network, T::Failure> {
        if self.items.own.is_empty() {
            let reason = "no image is left for training".into();
            return Err(Error::NothingToLearn { reason }.into());
        }
        let train = self.task.settings();
        if !self.items.also.is_empty() {
            train.check_mixed()?;
        }
        let loader = Loader::new(self.task, self.items, self.seed);
        let checkpoints = Checkpoints::of(self.folder);
        let mut training = self.begin(checkpoints.latest().map_err(Error::from)?)?;
        let done = training.state.epochs.len() * loader.batches();
        (0..done).for_each(|_| (watch.step)());
        let mut events =
            EventFile::open(self.folder, training.state.epochs.len()).map_err(Error::from)?;
        while !self.is_over(&training.state) {
            let started = Instant::now();
            let epoch = self.epoch(&mut training, &loader, watch)?;
            let speed = Speed {
                crops_per_second: (loader.batches() * train.batch_size) as f64
                    / started.elapsed().as_secs_f64(),
                memory: mebibytes("/proc/self/status", "VmRSS:"),
            };
            self.log(&mut events, &epoch, speed).map_err(Error::from)?;
            (watch.epoch)(&epoch, speed);
            training.state.epochs.push(epoch);
            let number = training.state.epochs.len();
            let is_over = self.is_over(&training.state);
            if is_over || number.is_multiple_of(train.checkpoint_every) {
                self.save(&training, &checkpoints)?;
            }
        }
        let network = self.finished(&training)?;
        self.write_metrics(&training.state)?;
        Ok(network)
    }

    fn begin(&self, checkpoint: Option<Checkpoint>) -> Result<Training<T::Network>> {
        let device = self.device.clone().autodiff();
        let pretrained = match self.task.pretrained() {
            Some(path) => Some(Weights::read(path)?),
            None => None,
        };
        let mut network = self.task.init(self.seed, &device);
        if let Some(weights) = &pretrained {
            network = self.task.load_encoder(network, weights)?;
        }
        let state = State {
            identity: self.identity(pretrained.as_ref())?,
            epochs: Vec::new(),
            averaged_steps: 0,
            best: None,
            plateaus: 0,
            waited: 0,
        };
        let mut training = Training {
            average: self.average(&network, 0),
            network,
            optimiser: self.task.settings().optimiser.build(),
            best: None,
            state,
        };
        if let Some(checkpoint) = checkpoint {
            self.go_on(&mut training, &checkpoint)?;
        }
        Ok(training)
    }

    fn average(&self, network: &T::Network, steps: usize) -> Option<Average<T::Network>> {
        let keep = self.task.settings().average;
        (keep > 0.0).then(|| Average::new(network.valid(), keep, steps))
    }

    fn go_on(&self, training: &mut Training<T::Network>, checkpoint: &Checkpoint) -> Result<()> {
        let wrong = |problem: String| Error::Checkpoint {
            folder: checkpoint.folder.clone(),
            problem,
        };
        let file = |name: &str| -> Result<Vec<u8>> {
            checkpoint
                .read(name)?
                .ok_or_else(|| wrong(format!("has no {name}; remove it to begin anew")))
        };
        let state: State = serde_json::from_slice(&file(STATE)?)
            .map_err(|error| wrong(format!("is damaged ({error}); remove it to begin anew")))?;
        if state.identity != training.state.identity {
            return Err(wrong(
                "is of other settings, classes, images or seed; train with those, or into another folder"
                    .into(),
            ));
        }
        let load = |network: T::Network, name: &str| -> Result<_> {
            let weights = Weights::from_bytes(&file(name)?, name)?;
            Ok(weights.load_into(network, self.task.network_name(), str::to_owned)?)
        };
        training.network = load(training.network.clone(), NETWORK)?;
        if let Some(average) = &training.average {
            let network = load(average.network.clone(), AVERAGE)?;
            let keep = self.task.settings().average;
            training.average = Some(Average::new(network, keep, state.averaged_steps));
        }
        training.best = checkpoint.read(BEST)?;
        if let Some(memory) = checkpoint.read(MEMORY)? {
            self.task.remember(&memory)?;
        }
        let optimiser = self.task.settings().optimiser.build();
        training.optimiser = optimiser
            .from_bytes(Bytes::from_bytes_vec(file(OPTIMISER)?))
            .map_err(|error| wrong(format!("is damaged ({error}); remove it to begin anew")))?;
        training.state = state;
        Ok(())
    }

    fn save(&self, training: &Training<T::Network>, checkpoints: &Checkpoints) -> Result<()> {
        let network = parameters(&training.network)?;
        let average = match &training.average {
            Some(average) => Some(parameters(&average.network)?),
            None => None,
        };
        let failed = |error: String| Error::Device(error);
        let optimiser = training
            .optimiser
            .into_bytes()
            .map_err(|error| failed(error.to_string()))?;
        let state =
            serde_json::to_vec(&training.state).map_err(|error| failed(error.to_string()))?;
        let mut files: Vec<(&str, &[u8])> = vec![
            (NETWORK, &network),
            (OPTIMISER, &optimiser),
            (STATE, &state),
        ];
        if let Some(average) = &average {
            files.push((AVERAGE, average));
        }
        if let Some(best) = &training.best {
            files.push((BEST, best));
        }
        let memory = self.task.memory()?;
        if let Some(memory) = &memory {
            files.push((MEMORY, memory));
        }
        Ok(checkpoints.write(training.state.epochs.len(), &files)?)
    }

    fn identity(&self, pretrained: Option<&Weights>) -> Result<String> {
        // How often checkpoints are written changes nothing.
        let settings = TrainSettings {
            checkpoint_every: 1,
            ..self.task.settings().clone()
        };
        let items = [self.items.own, self.items.also, self.validation];
        let names = items.map(|items| -> Vec<String> {
            items.iter().map(|&item| self.task.name(item)).collect()
        });
        let pretrained = pretrained.map(Weights::hash);
        let all = (
            &settings,
            self.task.identity()?,
            pretrained,
            names,
            self.seed,
        );
        let text = serde_json::to_vec(&all).map_err(|error| Error::Device(error.to_string()))?;
        Ok(blake3::hash(&text).to_hex().to_string())
    }

    fn is_over(&self, state: &State) -> bool {
        let train = self.task.settings();
        let waited = state
            .best
            .is_some_and(|best| state.epochs.len() - best.epoch >= train.patience);
        state.epochs.len() >= train.epochs || (train.patience > 0 && waited)
    }

    fn epoch(
        &self,
        training: &mut Training<T::Network>,
        loader: &Loader<T>,
        watch: &Watch,
    ) -> Result<Epoch, T::Failure> {
        let train = self.task.settings();
        let number = training.state.epochs.len();
        let batches = loader.batches();
        let mut steps = Vec::with_capacity(batches);
        let mut rate = 0.0;
        let mut accumulator = GradientsAccumulator::new();
        loader.epoch(number, |batch| {
            let at = Moment {
                step: number * batches + steps.len(),
                steps: train.epochs * batches,
            };
            rate = train.rate(at.step, batches, training.state.plateaus);
            let gathered = gathered(steps.len(), batches, train.accumulate);
            let (step, gradients) = self.step(&training.network, batch, at, gathered)?;
            steps.push(step);
            accumulator.accumulate(&training.network, gradients);
            if steps.len().is_multiple_of(train.accumulate) || steps.len() == batches {
                let gradients = accumulator.grads();
                self.update(training, gradients, rate, at);
            }
            (watch.step)();
            Ok(())
        })?;
        let loss = self.mean_loss(&steps, number, rate)?;
        let validation = self.validate(training)?;
        if let Some(value) = validation {
            self.judge(training, number + 1, value)?;
        }
        let mut notes = self.notes(&steps)?;
        let interlude = self.between_epochs(training, number + 1)?;
        notes.extend(interlude.notes);
        if interlude.read_again {
            loader.forget();
        }
        Ok(Epoch {
            epoch: number + 1,
            learning_rate: rate,
            loss,
            validation,
            notes,
        })
    }

    fn between_epochs(
        &self,
        training: &mut Training<T::Network>,
        epoch: usize,
    ) -> Result<Interlude, T::Failure> {
        let progress = Progress {
            epoch,
            best: training.state.best.map(|best| best.epoch),
        };
        if self.task.returns_to_best(progress) {
            self.return_to_best(training)?;
        }
        let network = training.predicting().valid();
        self.task.between_epochs(&network, progress)
    }

    /// Goes on from the parameters of the best epoch, with an optimiser that has no past.
    fn return_to_best(&self, training: &mut Training<T::Network>) -> Result<()> {
        let Some(best) = &training.best else {
            return Ok(());
        };
        let weights = Weights::from_bytes(best, BEST)?;
        let network = training.network.clone();
        let name = self.task.network_name();
        training.network = weights.load_into(network, name, str::to_owned)?;
        training.average = self.average(&training.network, training.state.averaged_steps);
        training.optimiser = self.task.settings().optimiser.build();
        Ok(())
    }

    /// Compares the network with a batch; gradients are divided by the batches that are gathered.
    fn step(
        &self,
        network: &T::Network,
        batch: Batch<T::Crop>,
        at: Moment,
        gathered: usize,
    ) -> Result<(Step, GradientsParams)> {
        let device = self.device.clone().autodiff();
        let (compared, gradients) =
            self.task
                .gradients(network, batch.crops, at, gathered as f64, &device)?;
        let step = Step {
            compared,
            items: batch.items,
        };
        Ok((step, gradients))
    }

    fn update(
        &self,
        training: &mut Training<T::Network>,
        gradients: GradientsParams,
        rate: f64,
        at: Moment,
    ) {
        let network = training.network.clone();
        let most = self.task.settings().clip;
        let gradients = if most > 0.0 {
            clip(&network, gradients, most)
        } else {
            gradients
        };
        let network = training.optimiser.step(rate, network, gradients);
        training.network = self.task.moved(network, at);
        if let Some(average) = training.average.take() {
            let average = average.follow(&training.network.valid());
            training.state.averaged_steps = average.steps();
            training.average = Some(average);
        }
    }

    /// Reads the losses of an epoch back, all at once, so that no step waits for the device.
    fn mean_loss(&self, steps: &[Step], epoch: usize, learning_rate: f64) -> Result<f64> {
        let losses = steps.iter().map(|step| step.compared.loss.clone());
        let losses: Vec<Tensor<1>> = losses.collect();
        let losses = Tensor::cat(losses, 0).try_into_vec_as::<f32>()?;
        let wrong = losses.iter().position(|loss| !loss.is_finite());
        if let Some(step) = wrong {
            let items = &steps[step].items;
            let names: Vec<String> = items.iter().map(|&item| self.task.name(item)).collect();
            let note = serde_json::json!({
                "epoch": epoch + 1, "step": step + 1, "images": names, "learning_rate": learning_rate,
            });
            let path = self.folder.join("diverged.json");
            write_file(&path, note.to_string().as_bytes())?;
            return Err(Error::Diverged {
                epoch: epoch + 1,
                items: names.join(", "),
                learning_rate,
            });
        }
        Ok(losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64)
    }

    /// The notes of an epoch; of nothing there is no note.
    fn notes(&self, steps: &[Step]) -> Result<BTreeMap<String, f64>> {
        let noted = steps.iter().filter_map(|step| step.compared.notes.clone());
        let noted: Vec<Tensor<2>> = noted.collect();
        let names = self.task.notes();
        if noted.is_empty() {
            return Ok(BTreeMap::new());
        }
        let sums: Vec<f32> = Tensor::stack::<3>(noted, 0).sum_dim(0).try_into_vec_as()?;
        let (sums, _) = sums.as_chunks::<2>();
        let of_something = names.into_iter().zip(sums).filter(|(_, [_, of])| *of > 0.0);
        let means = of_something.map(|(name, [sum, of])| (name, f64::from(sum / of)));
        Ok(means.collect())
    }

    fn validate(&self, training: &Training<T::Network>) -> Result<Option<f64>, T::Failure> {
        if self.validation.is_empty() {
            return Ok(None);
        }
        let network = training.predicting().valid();
        self.task.measure(&network, self.validation).map(Some)
    }

    /// Keeps the best epoch, of equals the last, and counts how long none has been better.
    fn judge(&self, training: &mut Training<T::Network>, epoch: usize, value: f64) -> Result<()> {
        let state = &mut training.state;
        if state.best.is_none_or(|best| value > best.value) {
            state.best = Some(Best { value, epoch });
            state.waited = 0;
            training.best = Some(parameters(training.predicting())?);
            return Ok(());
        }
        // Of equally good epochs the last has learnt longest, at the lowest rate.
        if state.best.is_some_and(|best| value == best.value) {
            training.best = Some(parameters(training.predicting())?);
        }
        let state = &mut training.state;
        state.waited += 1;
        if let Schedule::Plateau { patience, .. } = self.task.settings().schedule
            && state.waited >= patience
        {
            state.plateaus += 1;
            state.waited = 0;
        }
        Ok(())
    }

    /// The best epoch's network where progress was measured and the task keeps it, otherwise the last.
    fn finished(&self, training: &Training<T::Network>) -> Result<T::Network> {
        let network = training.predicting().valid();
        let Some(best) = training.best.as_ref().filter(|_| self.task.keeps_best()) else {
            return Ok(network);
        };
        let weights = Weights::from_bytes(best, BEST)?;
        Ok(weights.load_into(network, self.task.network_name(), str::to_owned)?)
    }

    fn log(
        &self,
        events: &mut EventFile,
        epoch: &Epoch,
        speed: Speed,
    ) -> Result<(), cleanslide_data::Error> {
        events.scalar("loss", epoch.epoch, epoch.loss)?;
        events.scalar("learning rate", epoch.epoch, epoch.learning_rate)?;
        if let Some(value) = epoch.validation {
            let name = format!("validation {}", T::MEASURE);
            events.scalar(&name, epoch.epoch, value)?;
        }
        for (name, value) in &epoch.notes {
            events.scalar(name, epoch.epoch, *value)?;
        }
        events.scalar("crops per second", epoch.epoch, speed.crops_per_second)?;
        match speed.memory {
            Some(memory) => events.scalar("memory in MiB", epoch.epoch, memory),
            None => Ok(()),
        }
    }

    fn write_metrics(&self, state: &State) -> Result<()> {
        let mut lines = String::new();
        for epoch in &state.epochs {
            let line =
                serde_json::to_string(epoch).map_err(|error| Error::Device(error.to_string()))?;
            lines.push_str(&line);
            lines.push('\n');
        }
        Ok(write_file(
            &self.folder.join("metrics.jsonl"),
            lines.as_bytes(),
        )?)
    }
}

/// Of how many batches gradients are gathered for the update that a batch is part of: the last of an epoch may be of
/// fewer than the others.
fn gathered(batch: usize, batches: usize, accumulate: usize) -> usize {
    let first = batch - batch % accumulate;
    accumulate.min(batches - first)
}

/// The parameters of a network, to go on from.
fn parameters<N: Module>(network: &N) -> Result<Vec<u8>> {
    // What follows the batches is only up to date in a copy that predicts.
    let network = network.valid();
    Ok(Weights::to_bytes(&network, BTreeMap::new(), str::to_owned)?)
}

#[cfg(test)]
mod tests {
    use super::gathered;

    #[test]
    fn the_last_update_of_an_epoch_is_of_the_batches_that_are_left() {
        let of = |batches, accumulate| -> Vec<usize> {
            let all = 0..batches;
            all.map(|batch| gathered(batch, batches, accumulate))
                .collect()
        };
        assert_eq!(of(5, 3), [3, 3, 3, 2, 2]);
        assert_eq!(of(4, 2), [2; 4]);
        assert_eq!(of(2, 8), [2; 2]);
        assert_eq!(of(3, 1), [1; 3]);
    }
}
