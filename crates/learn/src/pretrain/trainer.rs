//! The training of an encoder by views.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_nn::encoders::Card;
use cleanslide_nn::layers::Start;
use cleanslide_nn::losses::{Dino, unit};
use cleanslide_nn::networks::{ImageEncoder, ViewNetwork};
use cleanslide_nn::weights::Weights;
use image::RgbImage;
use ndarray::{Array2, ArrayView1};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Objective, PretrainSettings};
use crate::augment::{CropPlan, MEAN, STANDARD_DEVIATION};
use crate::central;
use crate::error::{Error, Result};
use crate::training::{
    Compared, Epoch, Interlude, Moment, Near, Progress, Task, TrainSettings, Trainer, Watch,
};

/// The note of how far projections of different images differ: 0 where all point the same way, 1 where they have no
/// common direction.
const SPREAD: &str = "spread of projections";

/// Below this spread nothing is told apart.
const COLLAPSED: f64 = 0.02;

/// The note of how many directions embeddings vary in: (Σλ)² / Σλ² of the eigenvalues λ of their covariance.
const DIRECTIONS: &str = "directions of embeddings";

/// Images that are embedded at once.
const EMBEDDED: usize = 32;

/// The note of how far embeddings of different images differ, as [`SPREAD`]. What is never negative has a common
/// direction, so less is enough than of projections.
const SPREAD_OF_EMBEDDINGS: &str = "spread of embeddings";

/// Below this spread embeddings tell nothing apart: their cosines are above 0.9999.
const SAME: f64 = 1e-4;

/// So many directions are one, as of embeddings that differ in length alone.
const ONE_DIRECTION: f64 = 1.001;

/// The note of the largest value of embeddings, whatever its sign.
const LARGEST: &str = "largest value of embeddings";

/// Beyond this value small differences are lost.
const EXPLODED: f64 = 1e6;

/// The note of how many embeddings have a value that is no finite number, where there are any.
const NOT_FINITE: &str = "embeddings that are no numbers";

/// What makes an encoder useless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It says nearly the same of all images.
    Collapse,
    /// Its embeddings have values so large that differences are lost.
    Explosion,
    /// Its embeddings have values that are no finite numbers.
    NotFinite,
}

/// What an epoch shows that makes the encoder useless.
pub fn trouble(epoch: &Epoch) -> Option<Trouble> {
    let noted = |name: &str, is: &dyn Fn(f64) -> bool| {
        let value = epoch.notes.get(name);
        value.is_some_and(|&value| is(value))
    };
    if noted(NOT_FINITE, &|number| number > 0.0) {
        Some(Trouble::NotFinite)
    } else if has_collapsed(epoch) {
        Some(Trouble::Collapse)
    } else if noted(LARGEST, &|value| value > EXPLODED) {
        Some(Trouble::Explosion)
    } else {
        None
    }
}

/// Whether the encoder said nearly the same of all images in an epoch: by its projections, or by its embeddings, which
/// may be the same where projections are not.
pub fn has_collapsed(epoch: &Epoch) -> bool {
    let least = [
        (SPREAD, COLLAPSED),
        (SPREAD_OF_EMBEDDINGS, SAME),
        (DIRECTIONS, ONE_DIRECTION),
    ];
    least.iter().any(|(name, least)| {
        let value = epoch.notes.get(*name);
        value.is_some_and(|value| value < least)
    })
}

/// Images to learn from.
pub trait UnlabelledImages: Sync {
    /// What reading can fail with.
    type Failure: From<Error> + Send;

    /// What an image is called in messages.
    fn name(&self, item: usize) -> String;

    /// Its pixels.
    ///
    /// # Errors
    /// It cannot be read.
    fn read(&self, item: usize) -> Result<RgbImage, Self::Failure>;
}

/// A look at what was learned.
pub struct Probe<'a> {
    /// The images that are embedded: the central square of each, as large as a view.
    pub items: &'a [usize],
    /// What is noted of their embeddings, `[items, features]`: it cannot fail, so that no look ends a training.
    pub measure: &'a (dyn Fn(Array2<f32>) -> BTreeMap<String, f64> + Sync),
}

/// A pretraining of these images, into this folder.
pub struct Pretrainer<'a, I> {
    /// Images.
    pub images: &'a I,
    /// Those that are learned from.
    pub items: &'a [usize],
    /// All settings.
    pub settings: &'a PretrainSettings,
    /// What is looked at between epochs.
    pub probe: Option<Probe<'a>>,
    /// Where networks run.
    pub device: &'a Device,
    /// Where checkpoints and logs go.
    pub folder: &'a Path,
}

/// An encoder that has learned from images.
#[derive(Debug)]
pub struct Pretrained {
    encoder: ImageEncoder,
    card: Card,
}

impl Pretrained {
    /// The content of a safetensors file that [`cleanslide_nn::encoders::open`] reads. Parameters have torchvision's
    /// names, or timm's.
    ///
    /// # Errors
    /// When the device cannot give the parameters back.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(Weights::to_bytes(
            &self.encoder,
            self.card.to_metadata(),
            str::to_owned,
        )?)
    }
}

impl<I: UnlabelledImages> Pretrainer<'_, I> {
    /// Trains, or goes on after the last checkpoint in the folder: with the same result as without the interruption.
    /// `name` and the scale are for the encoder's card.
    ///
    /// # Errors
    /// Settings out of range, nothing to learn from, an image that cannot be used, a checkpoint of another training, a
    /// loss that is not finite (`diverged.json` then names the images of the step), or a file system that refuses.
    pub fn run(
        &self,
        name: &str,
        microns_per_pixel: Option<f64>,
        watch: &Watch,
    ) -> Result<Pretrained, I::Failure> {
        self.settings.check()?;
        if self.items.len() < self.settings.train.batch_size {
            return Err(Error::NothingToLearn {
                reason: format!(
                    "there are {} images, fewer than the batch of {}; set `batch_size` lower",
                    self.items.len(),
                    self.settings.train.batch_size
                ),
            }
            .into());
        }
        let task = Views { pretrainer: self };
        let trainer = Trainer {
            images: self.images,
            items: self.items,
            also: &[],
            validation: &[],
            classes: &[],
            settings: self.settings,
            seed: self.settings.seed,
            device: self.device,
            folder: self.folder,
        };
        let network = trainer.train(&task, watch)?;
        Ok(Pretrained {
            encoder: self.settings.learned(&network).clone(),
            card: Card {
                name: name.to_owned(),
                size: self.settings.train.crop as u32,
                resized: None,
                mean: MEAN,
                std: STANDARD_DEVIATION,
                pooling: self.settings.encoder.pooling(),
                heads: None,
                microns_per_pixel,
            },
        })
    }
}

impl PretrainSettings {
    /// The encoder that is wanted in the end: DINO's is the teacher's.
    fn learned<'a>(&self, network: &'a ViewNetwork) -> &'a ImageEncoder {
        match (&self.objective, network.teacher_encoder()) {
            (Objective::Dino(_), Some(teacher)) => teacher,
            _ => network.encoder(),
        }
    }

    /// Whether a batch of so many images is compared in parts.
    fn in_chunks(&self, images: usize) -> bool {
        self.chunk > 0 && self.chunk < images
    }
}

struct Views<'a, I> {
    pretrainer: &'a Pretrainer<'a, I>,
}

/// The views of an image, each `[side, side, 3]`.
struct ViewsOfImage(Vec<Vec<f32>>);

/// What is compared of a batch: by view.
struct Batch {
    images: Vec<Tensor<4>>,
    /// Of the first two views.
    teacher: Option<[Tensor<2>; 2]>,
    centre: Option<Tensor<1>>,
}

impl<I: UnlabelledImages> Views<'_, I> {
    fn settings(&self) -> &PretrainSettings {
        self.pretrainer.settings
    }

    /// The sides of the views of an image, in pixels.
    fn sides(&self) -> Vec<usize> {
        let PretrainSettings {
            objective,
            encoder,
            train,
            ..
        } = self.settings();
        objective.sides(train.crop, encoder)
    }

    /// The views of a batch and what the teacher says of the first two.
    fn batch(&self, network: &ViewNetwork, crops: Vec<ViewsOfImage>, device: &Device) -> Batch {
        let count = crops.len();
        let sides = self.sides();
        let mut views: Vec<Vec<f32>> = vec![Vec::new(); sides.len()];
        for ViewsOfImage(crops) in crops {
            for (all, view) in views.iter_mut().zip(crops) {
                all.extend(view);
            }
        }
        let images: Vec<Tensor<4>> = views
            .into_iter()
            .zip(sides)
            .map(|(view, side)| {
                Tensor::from_data(TensorData::new(view, [count, side, side, 3]), device)
            })
            .collect();
        let said = |images: &Tensor<4>| {
            let parts = self
                .chunks(count)
                .map(|(start, length)| network.teacher(images.clone().narrow(0, start, length)));
            let parts: Option<Vec<Tensor<2>>> = parts.collect();
            parts.map(|parts| Tensor::cat(parts, 0))
        };
        let teacher = match [0, 1].map(|view| said(&images[view])) {
            [Some(first), Some(second)] => Some([first, second]),
            _ => None,
        };
        Batch {
            images,
            teacher,
            centre: network.centre(),
        }
    }

    /// The beginning and length of each part of a batch that is in a network at once. The last may be longer, so that
    /// none has a single view.
    fn chunks(&self, count: usize) -> impl Iterator<Item = (usize, usize)> + use<I> {
        let settings = self.settings();
        let chunk = if settings.in_chunks(count) {
            settings.chunk
        } else {
            count
        };
        let chunks = (count / chunk).max(1);
        (0..chunks).map(move |at| {
            let start = at * chunk;
            let end = if at + 1 == chunks {
                count
            } else {
                start + chunk
            };
            (start, end - start)
        })
    }

    /// The loss of what is said of the views, and the centre moves.
    fn loss(
        &self,
        network: &ViewNetwork,
        compared: &[Tensor<2>],
        batch: &Batch,
    ) -> Result<Tensor<1>> {
        let objective = &self.settings().objective;
        let teacher = batch.teacher.as_ref();
        let loss = objective.loss(compared, teacher, batch.centre.clone())?;
        if let (Some(centre), Some(teacher)) = (&batch.centre, teacher) {
            network.set_centre(Dino::moved(centre.clone(), teacher));
        }
        Ok(loss)
    }
}

/// The note of a batch of projections of views, `[1, 2]`.
fn spread(projections: Vec<Tensor<2>>) -> Tensor<2> {
    let directions = unit(Tensor::cat(projections, 0).inner());
    let common = directions.mean_dim(0).square().sum().reshape([1, 1]);
    let spread = common.neg().add_scalar(1.0);
    Tensor::cat(vec![spread.clone(), spread.ones_like()], 1)
}

impl<I: UnlabelledImages> Task for Views<'_, I> {
    type Network = ViewNetwork;
    type Example = RgbImage;
    type Crop = ViewsOfImage;
    type Failure = I::Failure;

    const MEASURE: &'static str = "nothing";

    fn settings(&self) -> &TrainSettings {
        &self.settings().train
    }

    fn identity(&self) -> Result<serde_json::Value> {
        let PretrainSettings {
            central_crop,
            chunk,
            probe_every,
            encoder,
            objective,
            augment,
            train: _,
            seed: _,
        } = self.settings();
        serde_json::to_value((
            central_crop,
            chunk,
            probe_every,
            encoder,
            objective,
            augment,
        ))
        .map_err(|error| Error::Device(error.to_string()))
    }

    fn network_name(&self) -> &'static str {
        "the pretraining network"
    }

    fn init(&self, seed: u64, device: &Device) -> ViewNetwork {
        let settings = self.settings();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let config = settings.objective.network(&settings.encoder);
        config.init(settings.train.crop, &mut Start::new(&mut rng, device))
    }

    fn name(&self, item: usize) -> String {
        self.pretrainer.images.name(item)
    }

    fn read(&self, item: usize) -> Result<(RgbImage, usize), I::Failure> {
        let image = self.pretrainer.images.read(item)?;
        let unusable = |problem: String| Error::PixelLabels {
            image: self.name(item),
            problem,
        };
        let PretrainSettings {
            central_crop,
            train,
            ..
        } = self.settings();
        let image = central::part(image, *central_crop, train.crop).map_err(|problem| {
            unusable(format!("{problem}; choose a smaller `--crop` or `--view`"))
        })?;
        let bytes = image.as_raw().len();
        Ok((image, bytes))
    }

    fn crop(&self, near: &Near<Self>, rng: &mut ChaCha8Rng) -> Result<ViewsOfImage, I::Failure> {
        let (_, image) = near(0)?;
        let augment = &self.settings().augment;
        let sides = self.sides().into_iter();
        let views =
            sides.map(|side| CropPlan::draw(augment, &image, side, rng).pixels(&image, rng));
        Ok(ViewsOfImage(views.collect::<Result<_>>()?))
    }

    fn notes(&self) -> Vec<String> {
        vec![SPREAD.to_owned()]
    }

    fn compare(
        &self,
        network: &ViewNetwork,
        crops: Vec<ViewsOfImage>,
        _: Moment,
        device: &Device,
    ) -> Result<Compared> {
        let batch = self.batch(network, crops, device);
        let said = batch
            .images
            .iter()
            .map(|view| network.student(view.clone()));
        let (compared, projections): (Vec<_>, Vec<_>) =
            said.map(|said| (said.compared, said.projections)).unzip();
        Ok(Compared {
            loss: self.loss(network, &compared, &batch)?,
            notes: Some(spread(projections)),
        })
    }

    /// Where a batch is too large: what is said of all views without a graph, the gradient of the loss by that, and
    /// then part by part the gradients of the parameters by it.
    fn gradients(
        &self,
        network: &ViewNetwork,
        crops: Vec<ViewsOfImage>,
        at: Moment,
        parts: f64,
        device: &Device,
    ) -> Result<(Compared, GradientsParams)> {
        let count = crops.len();
        if !self.settings().in_chunks(count) {
            let Compared { loss, notes } = self.compare(network, crops, at, device)?;
            let gradients = loss.clone().div_scalar(parts).backward();
            let loss = loss.inner();
            let gradients = GradientsParams::from_grads(gradients, network);
            return Ok((Compared { loss, notes }, gradients));
        }
        let batch = self.batch(network, crops, device);
        let part = |view: &Tensor<4>, (start, length): (usize, usize)| {
            view.clone().narrow(0, start, length)
        };
        let still = network.clone().no_grad();
        let said = batch.images.iter().map(|view| {
            let said: Vec<_> = self
                .chunks(count)
                .map(|chunk| still.student(part(view, chunk)))
                .collect();
            let all = |of: fn(&cleanslide_nn::networks::SaidOfViews) -> Tensor<2>| {
                Tensor::cat(said.iter().map(of).collect(), 0).detach()
            };
            let compared = all(|said| said.compared.clone()).require_grad();
            (all(|said| said.projections.clone()), compared)
        });
        let (projections, compared): (Vec<_>, Vec<_>) = said.unzip();
        let notes = spread(projections);
        let loss = self.loss(network, &compared, &batch)?;
        let by_compared = loss.clone().div_scalar(parts).backward();

        let mut accumulator = GradientsAccumulator::new();
        for chunk @ (start, length) in self.chunks(count) {
            for (view, compared) in batch.images.iter().zip(&compared) {
                let Some(gradient) = compared.grad(&by_compared) else {
                    continue;
                };
                let gradient = Tensor::from_inner(gradient.narrow(0, start, length));
                let said = network.student(part(view, chunk)).compared;
                let gradients = (said * gradient).sum().backward();
                let gradients = GradientsParams::from_grads(gradients, network);
                accumulator.accumulate(network, gradients);
            }
        }
        let compared = Compared {
            loss: loss.inner(),
            notes: Some(notes),
        };
        Ok((compared, accumulator.grads()))
    }

    /// The teacher follows.
    fn moved(&self, network: ViewNetwork, at: Moment) -> ViewNetwork {
        let Some(momentum) = self.settings().objective.momentum() else {
            return network;
        };
        let done = at.step as f64 / at.steps as f64;
        let rest = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
        network.followed(1.0 - (1.0 - momentum) * rest)
    }

    fn between_epochs(
        &self,
        network: &ViewNetwork,
        progress: Progress,
    ) -> Result<Interlude, I::Failure> {
        let mut interlude = Interlude::default();
        let settings = self.settings();
        let Some(probe) = &self.pretrainer.probe else {
            return Ok(interlude);
        };
        let every = settings.probe_every;
        let last = progress.epoch == settings.train.epochs;
        if every > 0 && (progress.epoch.is_multiple_of(every) || last) {
            let embeddings = self.embed(settings.learned(network), probe.items)?;
            interlude.notes.extend(seen_in(&embeddings));
            interlude.notes.extend((probe.measure)(embeddings));
        }
        Ok(interlude)
    }
}

impl<I: UnlabelledImages> Views<'_, I> {
    /// Embeddings of the central squares of images, `[items, features]`.
    fn embed(&self, encoder: &ImageEncoder, items: &[usize]) -> Result<Array2<f32>, I::Failure> {
        let size = self.settings().train.crop;
        let mut values: Vec<f32> = Vec::new();
        for items in items.chunks(EMBEDDED) {
            let images = items.iter().map(|&item| Ok(self.read(item)?.0));
            let images = images.collect::<Result<Vec<_>, I::Failure>>()?;
            let images = central::batch(&images, size, self.pretrainer.device)?;
            let embedded = encoder.embed(images).try_into_vec_as::<f32>();
            values.extend(embedded.map_err(Error::from)?);
        }
        let features = values.len() / items.len().max(1);
        Array2::from_shape_vec((items.len(), features), values)
            .map_err(|error| Error::Device(error.to_string()).into())
    }
}

/// What is noted of embeddings `[items, features]`; nothing of fewer than two.
fn seen_in(embeddings: &Array2<f32>) -> BTreeMap<String, f64> {
    let mut notes = BTreeMap::new();
    let rows = || embeddings.rows().into_iter();
    let finite = |row: &ArrayView1<'_, f32>| row.iter().all(|value| value.is_finite());
    let wrong = rows().filter(|row| !finite(row)).count();
    if wrong > 0 {
        notes.insert(NOT_FINITE.to_owned(), wrong as f64);
    } else if embeddings.nrows() > 1 {
        let largest = embeddings
            .iter()
            .fold(0.0f32, |most, value| most.max(value.abs()));
        notes.insert(DIRECTIONS.to_owned(), directions(embeddings));
        notes.insert(SPREAD_OF_EMBEDDINGS.to_owned(), spread_of(embeddings));
        notes.insert(LARGEST.to_owned(), f64::from(largest));
    }
    notes
}

/// How far embeddings `[items, features]` are from having one direction: 1 − |mean of the directions|².
fn spread_of(embeddings: &Array2<f32>) -> f64 {
    let mut directions = embeddings.mapv(f64::from);
    for mut row in directions.rows_mut() {
        let length = row.dot(&row).sqrt();
        row /= length.max(f64::MIN_POSITIVE);
    }
    let common = directions.mean_axis(ndarray::Axis(0));
    1.0 - common.map_or(0.0, |common| common.dot(&common))
}

/// In how many directions embeddings `[items, features]` vary.
fn directions(embeddings: &Array2<f32>) -> f64 {
    let embeddings = embeddings.mapv(f64::from);
    let Some(mean) = embeddings.mean_axis(ndarray::Axis(0)) else {
        return 0.0;
    };
    let centred = embeddings - mean;
    let covariance = centred.t().dot(&centred);
    let trace = covariance.diag().sum();
    let squares = covariance.iter().map(|value| value * value).sum::<f64>();
    if squares > 0.0 {
        trace * trace / squares
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::{ModuleVisitor, Param};
    use cleanslide_nn::networks::{ImageEncoderConfig, ImageEncoderName};
    use rand::RngExt;

    struct Noise;

    impl UnlabelledImages for Noise {
        type Failure = Error;

        fn name(&self, item: usize) -> String {
            format!("noise {item}")
        }

        fn read(&self, item: usize) -> Result<RgbImage> {
            let mut rng = ChaCha8Rng::seed_from_u64(item as u64);
            let pixel = |_, _| image::Rgb(std::array::from_fn(|_| rng.random_range(0..=255)));
            Ok(RgbImage::from_fn(34, 34, pixel))
        }
    }

    #[derive(Default)]
    struct Flat(Vec<Vec<f32>>);

    struct Gradients<'a>(&'a GradientsParams, Flat);

    impl ModuleVisitor for Gradients<'_> {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            let gradient = self.0.get::<D>(parameter.id);
            let values = gradient.map(|gradient| gradient.into_data().try_to_vec().unwrap());
            self.1.0.push(values.unwrap_or_default());
        }
    }

    fn flat(gradients: &GradientsParams, network: &ViewNetwork) -> Vec<Vec<f32>> {
        let mut visitor = Gradients(gradients, Flat::default());
        network.visit(&mut visitor);
        visitor.1.0
    }

    fn settings(name: &str) -> PretrainSettings {
        let mut objective = Objective::named(name).unwrap();
        match &mut objective {
            Objective::Simclr(settings) => (settings.hidden, settings.features) = (12, 6),
            Objective::MocoV3(settings) => (settings.hidden, settings.features) = (12, 6),
            Objective::Dino(settings) => {
                (settings.hidden, settings.features, settings.prototypes) = (12, 6, 10);
            }
            Objective::BarlowTwins(settings) => (settings.hidden, settings.features) = (12, 6),
        }
        PretrainSettings {
            objective,
            encoder: ImageEncoderConfig {
                name: ImageEncoderName::Resnet18,
                width: Some(4),
                ..ImageEncoderConfig::default()
            },
            train: TrainSettings {
                crop: 32,
                batch_size: 8,
                ..PretrainSettings::default().train
            },
            chunk: 3,
            ..PretrainSettings::default()
        }
    }

    /// Against one graph of all parts, in which batch normalisation sees the same parts. Sums are of the same numbers in
    /// another order, in single precision.
    #[test]
    fn gradients_of_parts_are_those_of_the_whole_batch() {
        for name in Objective::NAMES {
            let settings = settings(name);
            let device = Device::flex();
            let pretrainer = Pretrainer {
                images: &Noise,
                items: &[],
                settings: &settings,
                probe: None,
                device: &device,
                folder: Path::new(""),
            };
            let task = Views {
                pretrainer: &pretrainer,
            };
            let recorded = device.clone().autodiff();
            let network = task.init(3, &recorded);
            let crops = || -> Vec<ViewsOfImage> {
                let mut rng = ChaCha8Rng::seed_from_u64(5);
                (0..8)
                    .map(|item| {
                        let image = std::sync::Arc::new(Noise.read(item).unwrap());
                        let near = |_: usize| Ok((item, std::sync::Arc::clone(&image)));
                        task.crop(&near, &mut rng).unwrap()
                    })
                    .collect()
            };
            let at = Moment { step: 0, steps: 10 };
            let (ours, by_parts) = task
                .gradients(&network, crops(), at, 2.0, &recorded)
                .unwrap();
            if let Some(centre) = network.centre() {
                network.set_centre(centre.zeros_like());
            }

            let batch = task.batch(&network, crops(), &recorded);
            let compared = batch.images.iter().map(|images| {
                let parts = [(0, 3), (3, 5)].map(|(start, length)| {
                    network
                        .student(images.clone().narrow(0, start, length))
                        .compared
                });
                Tensor::cat(parts.to_vec(), 0)
            });
            let compared: Vec<_> = compared.collect();
            let loss = task.loss(&network, &compared, &batch).unwrap();
            let whole = loss.clone().div_scalar(2.0).backward();
            let whole = GradientsParams::from_grads(whole, &network);

            let value = |loss: Tensor<1>| loss.into_scalar::<f32>();
            let (ours, loss) = (value(ours.loss), value(loss));
            assert!(
                (ours - loss).abs() <= 1e-5 * loss.abs(),
                "{name}: {ours}, {loss}"
            );
            let (by_parts, whole) = (flat(&by_parts, &network), flat(&whole, &network));
            assert!(whole.iter().filter(|gradient| !gradient.is_empty()).count() > 40);
            // A bias before a standardisation has a gradient of 0, but for rounding: what is small is compared with what
            // is large elsewhere.
            let most = |values: &[f32]| {
                values
                    .iter()
                    .fold(0f32, |most, value| most.max(value.abs()))
            };
            let everywhere = whole.iter().map(|values| most(values)).fold(0.0, f32::max);
            for (part, whole) in by_parts.iter().zip(&whole) {
                assert_eq!(part.len(), whole.len(), "{name}");
                let size = most(whole).max(0.01 * everywhere);
                for (a, b) in part.iter().zip(whole) {
                    assert!((a - b).abs() <= 1e-5 * size, "{name}: {a}, {b}");
                }
            }
        }
    }

    #[test]
    fn a_teacher_has_no_gradient_and_follows() {
        let settings = settings("moco-v3");
        let device = Device::flex().autodiff();
        let config = settings.objective.network(&settings.encoder);
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let network = config.init(32, &mut Start::new(&mut rng, &device));
        let encoder = |encoder: &ImageEncoder| {
            Weights::to_bytes(&encoder.valid(), BTreeMap::new(), str::to_owned).unwrap()
        };
        let teacher = encoder(network.teacher_encoder().unwrap());
        assert_eq!(teacher, encoder(network.encoder()));

        let images = || Tensor::<4>::ones([2, 32, 32, 3], &device);
        let said = network.teacher(images()).unwrap() * network.student(images()).compared;
        let gradients = GradientsParams::from_grads(said.sum().backward(), &network);
        let gradients = flat(&gradients, &network);
        let without = gradients.iter().filter(|gradient| gradient.is_empty());
        // Those of the teacher and the running statistics.
        assert!(without.count() > gradients.len() / 2);
    }

    #[test]
    fn spread_and_directions_tell_collapse() {
        let device = Device::flex();
        let spread = |rows: [[f32; 2]; 2]| {
            let rows = Tensor::<2>::from_floats(rows, &device);
            let note: Vec<f32> = spread(vec![rows.clone(), rows])
                .into_data()
                .try_to_vec()
                .unwrap();
            note[0] / note[1]
        };
        assert!(spread([[1.0, 2.0], [2.0, 4.0]]).abs() < 1e-6);
        assert!((spread([[1.0, 0.0], [-3.0, 0.0]]) - 1.0).abs() < 1e-6);

        let line = Array2::from_shape_fn((9, 3), |(item, feature)| (item * (feature + 1)) as f32);
        assert!((directions(&line) - 1.0).abs() < 1e-9);
        let square = ndarray::array![[1.0f32, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]];
        assert!((directions(&square) - 2.0).abs() < 1e-9);
        assert_eq!(directions(&Array2::ones((4, 3))), 0.0);

        let epoch = |spread: f64| Epoch {
            epoch: 1,
            learning_rate: 0.1,
            loss: 1.0,
            validation: None,
            notes: BTreeMap::from([(SPREAD.to_owned(), spread)]),
        };
        assert!(has_collapsed(&epoch(0.001)) && !has_collapsed(&epoch(0.5)));
    }

    #[test]
    fn embeddings_tell_trouble_that_projections_do_not() {
        let told = |embeddings: Array2<f32>| {
            let mut notes = seen_in(&embeddings);
            notes.insert(SPREAD.to_owned(), 0.9);
            trouble(&Epoch {
                epoch: 1,
                learning_rate: 0.1,
                loss: 1.0,
                validation: None,
                notes,
            })
        };
        let differ = ndarray::array![[1.0f32, 0.2, 0.1], [0.3, 1.0, 0.2], [0.2, 0.3, 1.0]];
        assert_eq!(told(differ.clone()), None);
        assert_eq!(told(&differ * 1e-4 + 1.0), Some(Trouble::Collapse));
        // One direction, and lengths that differ.
        let lengths = ndarray::array![[1.0f32, 2.0, 3.0], [2.0, 4.0, 6.0], [4.0, 8.0, 12.0]];
        assert_eq!(told(lengths), Some(Trouble::Collapse));
        assert_eq!(told(&differ * 1e9), Some(Trouble::Explosion));
        let mut broken = differ;
        broken[[1, 1]] = f32::NAN;
        assert_eq!(told(broken), Some(Trouble::NotFinite));
        assert!(seen_in(&Array2::ones((1, 3))).is_empty());
    }
}
