//! How fast networks run on this machine.

use std::time::{Duration, Instant};

use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::layers::Start;
use crate::losses::{CrossEntropy, Loss};
use crate::networks::UNetConfig;
use crate::operators::{ConvolutionOptions, convolution, linear};

/// How long a job took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// What was done.
    pub job: Job,
    /// The median of its runs.
    pub median: Duration,
    /// How often it ran.
    pub runs: usize,
}

/// Jobs whose speed says how long training will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// The product of two matrices of 1024 × 1024 values.
    Product,
    /// A 3×3 convolution of 4 images of 128 × 128 pixels, from 64 to 64 channels.
    Convolution,
    /// A step of training of the default U-Net on 4 crops of 256 × 256 pixels.
    TrainingStep,
    /// The default U-Net on an image of 512 × 512 pixels.
    Prediction,
}

impl Job {
    /// All jobs.
    pub const ALL: [Self; 4] = [
        Self::Product,
        Self::Convolution,
        Self::TrainingStep,
        Self::Prediction,
    ];

    /// What one run does, and in which unit: operations are multiplications and additions by definition.
    pub fn work(self) -> (f64, &'static str) {
        match self {
            Self::Product => (2.0 * 1024.0 * 1024.0 * 1024.0 / 1e9, "GFLOP"),
            Self::Convolution => (2.0 * 4.0 * 128.0 * 128.0 * 64.0 * 64.0 * 9.0 / 1e9, "GFLOP"),
            Self::TrainingStep => (4.0, "crops"),
            Self::Prediction => (512.0 * 512.0 / 1e6, "megapixels"),
        }
    }

    /// Runs the job for some time, three times at least, after a run that is not counted.
    pub fn measure(self, device: &Device, time: Duration) -> Speed {
        let mut run = self.prepare(device);
        run();
        let (started, mut runs) = (Instant::now(), Vec::new());
        while runs.len() < 3 || started.elapsed() < time {
            let started = Instant::now();
            run();
            runs.push(started.elapsed());
        }
        runs.sort_unstable();
        Speed {
            job: self,
            median: runs[runs.len() / 2],
            runs: runs.len(),
        }
    }

    fn prepare(self, device: &Device) -> Box<dyn FnMut()> {
        let wait = |tensor: Tensor<1>| {
            // Reading a value waits for the device.
            let _ = tensor.try_into_data();
        };
        match self {
            Self::Product => {
                let [left, right]: [Tensor<2>; 2] =
                    [1, 2].map(|seed| random(seed, [1024; 2], device));
                Box::new(move || wait(linear(left.clone(), right.clone(), None).sum()))
            }
            Self::Convolution => {
                let images: Tensor<4> = random(1, [4, 128, 128, 64], device);
                let filters: Tensor<4> = random(2, [64, 64, 3, 3], device);
                let options = ConvolutionOptions {
                    padding: [[1; 2]; 2],
                    ..Default::default()
                };
                Box::new(move || {
                    let result = convolution(images.clone(), filters.clone(), None, options);
                    wait(result.slice([0..1, 0..1, 0..1, 0..1]).reshape([1]));
                })
            }
            Self::TrainingStep => {
                let device = device.clone().autodiff();
                let mut rng = ChaCha8Rng::seed_from_u64(0);
                let start = &mut Start::new(&mut rng, &device);
                let mut network = Some(UNetConfig::default().init(3, 2, start));
                let mut optimiser = AdamWConfig::new().init();
                let images: Tensor<4> = random(1, [4, 256, 256, 3], &device);
                let pixels = 4 * 256 * 256;
                let targets = Tensor::<2>::ones([pixels, 2], &device).mul_scalar(0.5);
                let weights = Tensor::<1>::ones([pixels], &device);
                Box::new(move || {
                    if let Some(trained) = network.take() {
                        let scores = trained.forward(images.clone()).reshape([pixels, 2]);
                        let loss = CrossEntropy::default();
                        let loss = loss.mean(scores, targets.clone(), weights.clone());
                        let gradients = GradientsParams::from_grads(loss.backward(), &trained);
                        network = Some(optimiser.step(1e-4, trained, gradients));
                        wait(loss.inner());
                    }
                })
            }
            Self::Prediction => {
                let mut rng = ChaCha8Rng::seed_from_u64(0);
                let start = &mut Start::new(&mut rng, device);
                let network = UNetConfig::default().init(3, 2, start);
                let images: Tensor<4> = random(1, [1, 512, 512, 3], device);
                Box::new(move || {
                    let scores = network.forward(images.clone());
                    wait(scores.slice([0..1, 0..1, 0..1, 0..1]).reshape([1]));
                })
            }
        }
    }
}

fn random<const D: usize>(seed: usize, shape: [usize; D], device: &Device) -> Tensor<D> {
    // Any values will do, as long as none is so small that it costs more.
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|place: usize| (place * (7919 + seed) % 1000) as f32 / 500.0 - 0.999)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}
