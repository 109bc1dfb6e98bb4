//! The training loop.

use burn::optim::momentum::MomentumConfig;
use burn::optim::{
    AdamWConfig, GradientsParams, LBFGSConfig, LineSearchFn, ModuleOptimizer, SgdConfig,
};
use burn::tensor::{Device, Tensor, TensorData, activation::softmax};
use cleanslide_nn::heads::{Head, Standardisation, TrainedHeads};
use cleanslide_nn::losses::{CrossEntropy, Loss, weighted_mean};
use ndarray::{Array2, ArrayView1, Axis};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use super::argmax;
use super::examples::{Examples, Labels, Validation};
use super::fitted::{Fitted, Model};
use super::settings::{EarlyStopping, Optimiser, TrainSettings};
use crate::error::{Error, Result};
use crate::methods::{Batch, Context, Learner, Method, MethodSettings, Voters};

/// A head (or two, or none) and the method by which it learns.
///
/// Training is deterministic: the same settings, examples and number of threads give the same
/// bytes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Classifier {
    /// The method and its settings. Default the cross-entropy.
    pub method: MethodSettings,
    /// How heads are trained.
    pub train: TrainSettings,
}

/// What happened in one epoch. Metrics of the training items are measured during the epoch, each
/// batch before its step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// The epoch, counted from 1; with L-BFGS, the evaluation of the loss.
    pub epoch: usize,
    /// The learning rate.
    pub learning_rate: f64,
    /// The mean over steps of the loss that was minimised, penalty included, summed over heads.
    pub loss: f64,
    /// Balanced accuracy on the training items against their given labels, weighted by trust.
    pub accuracy_given: f64,
    /// The share of the training weight that the method let take part, mean over heads.
    pub kept: f64,
    /// Class-balanced cross-entropy of the validation items, if there are any.
    pub validation_loss: Option<f64>,
    /// Balanced accuracy on the validation items against the labels they came with.
    pub validation_accuracy: Option<f64>,
}

/// How training went.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// The epochs in order; none for a method that does not train.
    pub epochs: Vec<Epoch>,
    /// The epoch, counted from 1, whose heads were kept; the last one unless it was stopped early.
    pub best_epoch: usize,
}

impl Classifier {
    /// Trains on `examples` of the named `classes`. What the method needs to know beforehand comes
    /// in `context` (see [`Context::estimate`]), and `progress` is called after every epoch.
    ///
    /// # Errors
    /// Settings out of range, a context that lacks what the method needs, examples of one class
    /// only, validation items that do not fit the early stopping of the settings, or a loss that
    /// is no longer a finite number.
    pub fn fit(
        &self,
        examples: &Examples,
        classes: &[String],
        context: &Context,
        validation: Option<&Validation>,
        progress: &dyn Fn(&Epoch),
    ) -> Result<Fitted> {
        self.train.check()?;
        if classes.len() != examples.class_count() {
            let columns = examples.class_count();
            return Err(Error::ClassCount {
                names: classes.len(),
                columns,
            });
        }
        check_validation(&self.train, examples, validation)?;
        let method = match self.method.build(examples, context)? {
            Learner::Heads(method) => method,
            Learner::Neighbours(settings) => {
                let model =
                    Model::Neighbours(Voters::new(&settings, &self.train, examples, classes)?);
                return Ok(Fitted {
                    model,
                    history: History::default(),
                });
            }
        };
        let mut training = Training::new(&self.train, examples, method)?;
        let history = if self.train.optimiser == Optimiser::Lbfgs {
            training.minimise(self.method.name(), progress)?
        } else {
            training.run(validation, progress)?
        };
        let model = Model::Heads(TrainedHeads {
            heads: training.heads.iter().map(Head::plain).collect(),
            standardisation: training.standardisation,
            classes: classes.to_vec(),
        });
        Ok(Fitted { model, history })
    }
}

/// Refuses validation items that are not what the settings name.
fn check_validation(
    settings: &TrainSettings,
    examples: &Examples,
    validation: Option<&Validation>,
) -> Result<()> {
    let wanted = match settings.early_stopping {
        EarlyStopping::None => None,
        EarlyStopping::NoisyValidation { .. } => Some(Labels::Given),
        EarlyStopping::CleanValidation { .. } => Some(Labels::Clean),
    };
    let given = validation.map(|validation| validation.labels);
    if let Some(wanted) = wanted
        && given != Some(wanted)
    {
        let given = given.map_or("none", Labels::name);
        return Err(Error::Validation {
            wanted: wanted.name(),
            given,
        });
    }
    if let Some(Validation {
        examples: held_out, ..
    }) = validation
    {
        let (expected, found) = (examples.feature_count(), held_out.feature_count());
        if expected != found {
            return Err(Error::FeatureCount {
                what: "a validation item",
                expected,
                found,
            });
        }
        let (names, columns) = (examples.class_count(), held_out.class_count());
        if names != columns {
            return Err(Error::ClassCount { names, columns });
        }
    }
    Ok(())
}

/// The streams of random numbers of one training; each is independent of the others.
enum Stream {
    Weights(usize),
    Epoch(usize),
}

impl Stream {
    fn rng(self, seed: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(match self {
            Self::Weights(head) => head as u64,
            Self::Epoch(epoch) => (1 << 32) + epoch as u64,
        });
        rng
    }
}

/// Everything that changes in training.
struct Training<'a, 'b> {
    settings: &'a TrainSettings,
    examples: &'a Examples<'b>,
    method: Box<dyn Method>,
    standardisation: Standardisation,
    /// Trust, class balance and the selection before training.
    weights: Vec<f32>,
    /// The items that have a weight.
    items: Vec<usize>,
    heads: Vec<Head>,
    device: Device,
}

/// What one step leaves to be read at the end of its epoch.
struct Step {
    items: Vec<usize>,
    loss: Tensor<1>,
    /// Mean probabilities of the heads.
    probabilities: Tensor<2>,
    /// The share of the weight that was selected.
    kept: Tensor<1>,
}

impl<'a, 'b> Training<'a, 'b> {
    fn new(
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
    fn run(
        &mut self,
        validation: Option<&Validation>,
        progress: &dyn Fn(&Epoch),
    ) -> Result<History> {
        let validation = validation.map(|v| HeldOut::new(self, v)).transpose()?;
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
                let (loss, accuracy) = held_out.measure(&self.heads)?;
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
        let rate = rate.learning_rate(settings.learning_rate, number, settings.epochs);
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
        let total = batch.weights.clone().sum().mul_scalar(losses.len() as f64);
        let mut kept = Tensor::zeros([1], &self.device.clone().inner());
        let mut loss: Option<Tensor<1>> = None;
        for (h, losses) in losses.into_iter().enumerate() {
            let weights = self.method.select(&batch, h, &seen)?;
            kept = kept + weights.clone().sum() / total.clone();
            let mean = weighted_mean(losses, weights) + self.penalty(&self.heads[h]);
            loss = Some(match loss {
                Some(sum) => sum + mean,
                None => mean,
            });
        }
        let loss = loss.unwrap_or_else(|| Tensor::zeros([1], &self.device));
        let count = logits.len() as f64;
        let mut probabilities = logits.into_iter().map(|logits| softmax(logits.inner(), 1));
        let first = probabilities
            .next()
            .unwrap_or_else(|| batch.targets.clone());
        let probabilities = probabilities.fold(first, |a, b| a + b).div_scalar(count);
        let items = items.to_vec();
        Ok((
            loss.clone(),
            Step {
                items,
                loss: loss.inner(),
                probabilities,
                kept,
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
            let step_loss: f32 = step.loss.try_into_scalar()?;
            if !step_loss.is_finite() {
                return Err(diverged(
                    number + 1,
                    rate,
                    &step.items,
                    &probabilities,
                    classes,
                ));
            }
            loss += f64::from(step_loss) / count;
            kept += f64::from(step.kept.try_into_scalar::<f32>()?) / count;
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
    fn minimise(&mut self, method: &'static str, progress: &dyn Fn(&Epoch)) -> Result<History> {
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
            .with_tolerance_grad(1e-5)
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

/// Sets each value to 0 with probability `share` and scales the others up to keep the mean.
fn drop_out(hidden: Tensor<2>, share: f64, rng: &mut ChaCha8Rng) -> Tensor<2> {
    if share == 0.0 {
        return hidden;
    }
    let [items, width] = hidden.dims();
    let scale = (1.0 / (1.0 - share)) as f32;
    let draw = |_| if rng.random_bool(share) { 0.0 } else { scale };
    let mask: Vec<f32> = (0..items * width).map(draw).collect();
    let mask = TensorData::new(mask, [items, width]);
    let device = hidden.device().inner();
    hidden * Tensor::from_data(mask, &device)
}

/// Counts predictions against labels.
struct Tally(Array2<f64>);

impl Tally {
    fn new(classes: usize) -> Self {
        Self(Array2::zeros((classes, classes)))
    }

    /// Counts an item by `weight` under the class of its greatest target.
    fn add(&mut self, target: ArrayView1<f32>, probabilities: &[f32], weight: f32) {
        let given = argmax(target.iter().copied());
        let predicted = argmax(probabilities.iter().copied());
        self.0[[given, predicted]] += f64::from(weight);
    }

    /// The mean recall of the classes that occur.
    fn balanced_accuracy(&self) -> f64 {
        let recalls = self
            .0
            .axis_iter(Axis(0))
            .enumerate()
            .filter(|(_, row)| row.sum() > 0.0);
        let recalls: Vec<f64> = recalls.map(|(k, row)| row[k] / row.sum()).collect();
        recalls.iter().sum::<f64>() / recalls.len().max(1) as f64
    }
}

/// Validation items, ready to be measured.
struct HeldOut<'a, 'b> {
    examples: &'a Examples<'b>,
    features: Tensor<2>,
    targets: Tensor<2>,
    weights: Tensor<1>,
}

impl<'a, 'b> HeldOut<'a, 'b> {
    fn new(training: &Training, validation: &'a Validation<'b>) -> Result<Self> {
        let examples = &validation.examples;
        let device = Device::flex();
        let (items, width) = examples.features.dim();
        let features = training.standardisation.apply(examples.features.view());
        let targets: Vec<f32> = examples.targets.iter().copied().collect();
        let weights = examples.training_weights(None, training.settings.class_balance)?;
        Ok(Self {
            examples,
            features: Tensor::from_data(TensorData::new(features, [items, width]), &device),
            targets: Tensor::from_data(
                TensorData::new(targets, [items, examples.class_count()]),
                &device,
            ),
            weights: Tensor::from_data(TensorData::new(weights, [items]), &device),
        })
    }

    /// Cross-entropy and balanced accuracy of the mean prediction of `heads`.
    fn measure(&self, heads: &[Head]) -> Result<(f64, f64)> {
        let each = heads
            .iter()
            .map(|head| softmax(head.plain().forward(self.features.clone()), 1));
        let Some(sum) = each.reduce(|a, b| a + b) else {
            return Ok((0.0, 0.0));
        };
        let mean = sum.div_scalar(heads.len() as f64);
        // The logarithm of probabilities is one of their logits.
        let logits = mean.clone().clamp_min(f32::MIN_POSITIVE).log();
        let loss = CrossEntropy::default();
        let loss = loss.mean(logits, self.targets.clone(), self.weights.clone());
        let mut tally = Tally::new(self.examples.class_count());
        let probabilities: Vec<f32> = mean.try_into_vec_as()?;
        let rows = probabilities.chunks_exact(self.examples.class_count());
        for (item, row) in rows.enumerate() {
            tally.add(
                self.examples.targets.row(item),
                row,
                self.examples.weights[item],
            );
        }
        Ok((
            f64::from(loss.try_into_scalar::<f32>()?),
            tally.balanced_accuracy(),
        ))
    }
}
