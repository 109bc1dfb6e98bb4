//! The training loop.

use burn::optim::momentum::MomentumConfig;
use burn::optim::{
    AdamWConfig, GradientsParams, LBFGSConfig, LineSearchFn, ModuleOptimizer, SgdConfig,
};
use burn::tensor::{Device, Tensor, TensorData, activation::softmax};
use cleanslide_nn::heads::{Head, Standardisation};
use cleanslide_nn::losses::weighted_mean;
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::examples::{Examples, Validation};
use super::history::{Epoch, History};
use super::measure::{HeldOut, Tally};
use super::random::{Stream, drop_out};
use super::settings::{Optimiser, TrainSettings};
use crate::error::{Error, Result};
use crate::methods::{Batch, Method};

/// Everything that changes in training.
pub(super) struct Training<'a, 'b> {
    settings: &'a TrainSettings,
    examples: &'a Examples<'b>,
    method: Box<dyn Method>,
    pub(super) standardisation: Standardisation,
    /// Trust, class balance and the selection before training.
    weights: Vec<f32>,
    /// The items that have a weight.
    items: Vec<usize>,
    pub(super) heads: Vec<Head>,
    device: Device,
}

/// What one step leaves to be read at the end of its epoch.
struct Step {
    items: Vec<usize>,
    /// The loss of every item, and its weight after the selection, per head.
    losses: Vec<(Tensor<1>, Tensor<1>)>,
    /// The penalties of the heads.
    penalty: Tensor<1>,
    /// Mean probabilities of the heads.
    probabilities: Tensor<2>,
}

impl<'a, 'b> Training<'a, 'b> {
    pub(super) fn new(
        settings: &'a TrainSettings,
        examples: &'a Examples<'b>,
        method: Box<dyn Method>,
    ) -> Result<Self> {
        let weights = examples.training_weights(method.kept(), settings.class_balance)?;
        let items = (0..examples.len()).filter(|&i| weights[i] > 0.0).collect();
        let standardisation = if settings.standardise {
            Standardisation::of(examples.features.view())
        } else {
            Standardisation::identity(examples.feature_count())
        };
        let device = Device::flex().autodiff();
        let (features, classes) = (examples.feature_count(), examples.class_count());
        let heads = method
            .heads(settings.head)
            .into_iter()
            .enumerate()
            .map(|(h, kind)| {
                let mut rng = Stream::Weights(h).rng(settings.seed);
                Head::new(kind, features, classes, &mut rng, &device)
            });
        let heads = heads.collect();
        Ok(Self {
            settings,
            examples,
            method,
            standardisation,
            weights,
            items,
            heads,
            device,
        })
    }

    /// Trains epoch by epoch.
    pub(super) fn run(
        &mut self,
        validation: Option<&Validation>,
        progress: &dyn Fn(&Epoch),
    ) -> Result<History> {
        let balance = self.settings.class_balance;
        let held_out = |v| HeldOut::new(v, &self.standardisation, balance);
        let validation = validation.map(held_out).transpose()?;
        let patience = self.settings.early_stopping.patience();
        let mut optimisers: Vec<ModuleOptimizer> = self
            .heads
            .iter()
            .filter_map(|_| optimiser(&self.settings.optimiser))
            .collect();
        let whole = self.whole_batch()?;
        let mut history = History::default();
        let mut best = (f64::INFINITY, self.heads.clone());
        for number in 0..self.settings.epochs {
            let mut epoch = self.epoch(number, &mut optimisers, whole.as_ref())?;
            if let Some(held_out) = &validation {
                let (loss, accuracy) = held_out.measure(&self.heads, self.method.as_ref())?;
                epoch.validation_loss = Some(loss);
                epoch.validation_accuracy = Some(accuracy);
                if patience.is_some() && loss < best.0 {
                    best = (loss, self.heads.clone());
                    history.best_epoch = epoch.epoch;
                }
            }
            progress(&epoch);
            history.epochs.push(epoch);
            if patience.is_some_and(|patience| number + 1 - history.best_epoch >= patience) {
                break;
            }
        }
        if patience.is_some() {
            self.heads = best.1;
        } else {
            history.best_epoch = history.epochs.len();
        }
        Ok(history)
    }

    /// The features of all items at once, if every step uses just these.
    fn whole_batch(&self) -> Result<Option<Tensor<2>>> {
        let whole = self.batch_size() >= self.items.len() && self.settings.feature_jitter == 0.0;
        Ok(whole.then(|| self.features(&self.items, None)))
    }

    fn batch_size(&self) -> usize {
        match self.settings.batch_size {
            0 => self.items.len(),
            size => size,
        }
    }

    fn epoch(
        &mut self,
        number: usize,
        optimisers: &mut [ModuleOptimizer],
        whole: Option<&Tensor<2>>,
    ) -> Result<Epoch> {
        let settings = self.settings;
        let rate = settings.schedule;
        let rate = rate.learning_rate(settings.start_rate(), number, settings.epochs);
        let mut rng = Stream::Epoch(number).rng(settings.seed);
        let mut order = self.items.clone();
        if whole.is_none() {
            order.shuffle(&mut rng);
        }
        let mut steps = Vec::new();
        for items in order.chunks(self.batch_size()) {
            let features = match whole {
                Some(features) => features.clone(),
                None => self.features(items, Some(&mut rng)),
            };
            let (loss, step) = self.loss(items, number, features, &mut rng)?;
            let mut gradients = loss.backward();
            for (head, optimiser) in self.heads.iter_mut().zip(optimisers.iter_mut()) {
                let gradients = GradientsParams::from_module(&mut gradients, head);
                *head = optimiser.step(rate, head.clone(), gradients);
            }
            steps.push(step);
        }
        self.summarise(number, rate, steps)
    }

    /// The standardised features of `items`, with jitter if it is on.
    fn features(&self, items: &[usize], rng: Option<&mut ChaCha8Rng>) -> Tensor<2> {
        let width = self.examples.feature_count();
        let Standardisation { mean, sd } = &self.standardisation;
        let scale: Vec<f32> = sd.iter().map(|sd| 1.0 / sd).collect();
        let mut values = Vec::with_capacity(items.len() * width);
        for &item in items {
            let row = self.examples.features.row(item);
            values.extend(
                row.iter()
                    .zip(mean)
                    .zip(&scale)
                    .map(|((x, m), s)| (x - m) * s),
            );
        }
        let jitter = self.settings.feature_jitter as f32;
        if let Some(rng) = rng
            && jitter > 0.0
        {
            for row in values.chunks_exact_mut(width) {
                let sd = rng.random_range(0.0..=jitter);
                for value in row {
                    *value += sd * rng.sample::<f32, _>(StandardNormal);
                }
            }
        }
        Tensor::from_data(
            TensorData::new(values, [items.len(), width]),
            &self.device.clone().inner(),
        )
    }

    /// The loss of a batch, summed over the heads, and what is to be remembered of the step.
    fn loss(
        &mut self,
        items: &[usize],
        epoch: usize,
        features: Tensor<2>,
        rng: &mut ChaCha8Rng,
    ) -> Result<(Tensor<1>, Step)> {
        let batch = self.batch(items, epoch);
        let dropout = self.settings.dropout;
        let logits: Vec<Tensor<2>> = self
            .heads
            .iter()
            .map(|head| {
                head.forward_with(features.clone(), |hidden| drop_out(hidden, dropout, rng))
            })
            .collect();
        let mut losses = Vec::with_capacity(logits.len());
        for (h, logits) in logits.iter().enumerate() {
            let targets = self.method.correct(&batch, h, logits.clone().inner())?;
            let said = self.method.restrict(logits.clone());
            losses.push(self.method.weigh(&batch, h, said, targets)?);
        }
        let seen: Vec<Tensor<1>> = losses.iter().map(|losses| losses.clone().inner()).collect();
        let mut penalty = Tensor::zeros([1], &self.device);
        let mut loss = Tensor::zeros([1], &self.device);
        let mut weighed = Vec::with_capacity(losses.len());
        for (h, losses) in losses.into_iter().enumerate() {
            let weights = self.method.select(&batch, h, &seen)?;
            weighed.push((seen[h].clone(), weights.clone()));
            loss = loss + weighted_mean(losses, weights);
            penalty = penalty + self.penalty(&self.heads[h]);
        }
        let loss = loss + penalty.clone();
        let count = logits.len() as f64;
        let each = logits.into_iter().map(|logits| softmax(logits.inner(), 1));
        let sum = each
            .reduce(|a, b| a + b)
            .unwrap_or_else(|| batch.targets.clone());
        let probabilities = sum.div_scalar(count);
        let (items, penalty) = (items.to_vec(), penalty.inner());
        Ok((
            loss,
            Step {
                items,
                losses: weighed,
                penalty,
                probabilities,
            },
        ))
    }

    fn batch<'c>(&self, items: &'c [usize], epoch: usize) -> Batch<'c> {
        let device = self.device.clone().inner();
        let targets: Vec<f32> = items
            .iter()
            .flat_map(|&i| self.examples.targets.row(i))
            .copied()
            .collect();
        let shape = [items.len(), self.examples.class_count()];
        let weights: Vec<f32> = items.iter().map(|&i| self.weights[i]).collect();
        Batch {
            items,
            targets: Tensor::from_data(TensorData::new(targets, shape), &device),
            weights: Tensor::from_data(TensorData::new(weights, [items.len()]), &device),
            epoch,
        }
    }

    /// The penalty `l2 / 2 * sum(w^2)` on the weights of a head, biases excepted.
    fn penalty(&self, head: &Head) -> Tensor<1> {
        if self.settings.l2 == 0.0 {
            return Tensor::zeros([1], &self.device);
        }
        let squares = head
            .layers()
            .iter()
            .map(|layer| layer.weight.val().square().sum());
        let zero = Tensor::zeros([1], &self.device);
        squares
            .fold(zero, |a, b| a + b)
            .mul_scalar(0.5 * self.settings.l2)
    }

    /// Reads what the steps of an epoch left.
    fn summarise(&self, number: usize, rate: f64, steps: Vec<Step>) -> Result<Epoch> {
        let classes = self.examples.class_count();
        let count = steps.len().max(1) as f64;
        let (mut loss, mut kept) = (0.0, 0.0);
        let mut tally = Tally::new(classes);
        for step in steps {
            let probabilities: Vec<f32> = step.probabilities.try_into_vec_as()?;
            let mut step_loss = f64::from(step.penalty.try_into_scalar::<f32>()?);
            let total: f64 = step.items.iter().map(|&i| f64::from(self.weights[i])).sum();
            let heads = step.losses.len() as f64;
            for (losses, weights) in step.losses {
                let (losses, weights) = (losses.try_into_vec_as()?, weights.try_into_vec_as()?);
                let (mean, selected) = mean(&losses, &weights);
                step_loss += mean;
                kept += selected / (total * heads * count);
            }
            if !step_loss.is_finite() {
                let items = &step.items;
                return Err(diverged(number + 1, rate, items, &probabilities, classes));
            }
            loss += step_loss / count;
            for (&item, row) in step.items.iter().zip(probabilities.chunks_exact(classes)) {
                tally.add(
                    self.examples.targets.row(item),
                    row,
                    self.examples.weights[item],
                );
            }
        }
        Ok(Epoch {
            epoch: number + 1,
            learning_rate: rate,
            loss,
            accuracy_given: tally.balanced_accuracy(),
            kept,
            validation_loss: None,
            validation_accuracy: None,
        })
    }

    /// Minimises the loss of all items by L-BFGS.
    pub(super) fn minimise(
        &mut self,
        method: &'static str,
        progress: &dyn Fn(&Epoch),
    ) -> Result<History> {
        if !self.method.is_stationary() || self.heads.len() != 1 {
            let reason = format!(
                "the loss of the method `{method}` changes as it learns; choose adamw or sgd"
            );
            return Err(Error::Setting {
                name: "optimiser",
                value: "lbfgs".into(),
                reason,
            });
        }
        let items = self.items.clone();
        let features = self.features(&items, None);
        let mut rng = Stream::Epoch(0).rng(self.settings.seed);
        let config = LBFGSConfig::new()
            .with_max_iter(self.settings.epochs)
            .with_max_eval(Some(2 * self.settings.epochs + 10))
            .with_history_size(10)
            .with_tolerance_grad(1e-6)
            .with_tolerance_change(1e-9)
            .with_line_search_fn(LineSearchFn::StrongWolfe);
        let mut history = History::default();
        let mut failure = None;
        let start = self.heads[0].clone();
        let (head, _) = config.init().step(1.0, start, |head: Head| {
            self.heads[0] = head;
            match self.evaluate(&items, &features, history.epochs.len(), &mut rng) {
                Ok((epoch, gradients)) => {
                    let loss = epoch.loss;
                    progress(&epoch);
                    history.epochs.push(epoch);
                    (loss, gradients)
                }
                Err(error) => {
                    failure.get_or_insert(error);
                    // A gradient of zero ends the search.
                    (0.0, zero_gradients(&self.heads[0]))
                }
            }
        });
        if let Some(error) = failure {
            return Err(error);
        }
        self.heads[0] = head;
        history.best_epoch = history.epochs.len();
        Ok(history)
    }

    /// The loss of all items and its gradients.
    fn evaluate(
        &mut self,
        items: &[usize],
        features: &Tensor<2>,
        number: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<(Epoch, GradientsParams)> {
        let (loss, step) = self.loss(items, number, features.clone(), rng)?;
        let gradients = GradientsParams::from_grads(loss.backward(), &self.heads[0]);
        Ok((self.summarise(number, 1.0, vec![step])?, gradients))
    }
}

/// The optimiser that the settings name; `None` for L-BFGS, which does not go step by step.
fn optimiser(settings: &Optimiser) -> Option<ModuleOptimizer> {
    match settings {
        Optimiser::Sgd(sgd) => {
            // The library's default dampening is 0.1; PyTorch's and the papers' is 0.
            let momentum = MomentumConfig::new()
                .with_momentum(sgd.momentum)
                .with_dampening(0.0);
            let momentum = (sgd.momentum > 0.0).then_some(momentum);
            Some(SgdConfig::new().with_momentum(momentum).init())
        }
        Optimiser::AdamW(adam) => {
            let decay = adam.weight_decay as f32;
            Some(
                AdamWConfig::new()
                    .with_epsilon(1e-8)
                    .with_weight_decay(decay)
                    .init(),
            )
        }
        Optimiser::Lbfgs => None,
    }
}

/// Gradients of zero for all parameters of a head.
fn zero_gradients(head: &Head) -> GradientsParams {
    let mut gradients = GradientsParams::new();
    for layer in head.layers() {
        gradients.register(layer.weight.id, layer.weight.val().inner().zeros_like());
        if let Some(bias) = &layer.bias {
            gradients.register(bias.id, bias.val().inner().zeros_like());
        }
    }
    gradients
}

/// The mean of losses by weight, and the sum of the weights, in f64: what L-BFGS compares must
/// be finer than the rounding of an f32 sum.
fn mean(losses: &[f32], weights: &[f32]) -> (f64, f64) {
    let counted = losses
        .iter()
        .zip(weights)
        .filter(|(_, weight)| **weight > 0.0);
    let (sum, total) = counted.fold((0.0, 0.0), |(sum, total), (&loss, &weight)| {
        (
            sum + f64::from(loss) * f64::from(weight),
            total + f64::from(weight),
        )
    });
    (if total > 0.0 { sum / total } else { 0.0 }, total)
}

/// The error of a loss that is not finite, naming up to five items that are to blame.
fn diverged(
    epoch: usize,
    learning_rate: f64,
    items: &[usize],
    probabilities: &[f32],
    classes: usize,
) -> Error {
    let broken = |row: &&[f32]| row.iter().any(|p| !p.is_finite());
    let rows: Vec<&[f32]> = probabilities.chunks_exact(classes).collect();
    let mut blamed: Vec<usize> = items
        .iter()
        .zip(&rows)
        .filter(|(_, row)| broken(row))
        .map(|(&item, _)| item)
        .collect();
    if blamed.is_empty() {
        blamed = items.to_vec();
    }
    let more = if blamed.len() > 5 { ", …" } else { "" };
    let names: Vec<String> = blamed.iter().take(5).map(usize::to_string).collect();
    Error::Diverged {
        epoch,
        items: format!("{}{more}", names.join(", ")),
        learning_rate,
    }
}
