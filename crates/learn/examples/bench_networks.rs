//! Times networks for `benches/peers/networks.py` on the device that is named, `cpu` or `vulkan`: reads lines `network
//! images size`, and prints for each the seconds of its third run and the most memory that the process has had, in MiB.

use std::io::{BufRead, Write};
use std::time::Instant;

use burn::optim::{AdamConfig, AdamWConfig, GradientsParams};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_data::{Object, Rectangle, Trust};
use cleanslide_learn::detect::{CropTargets, Unlabelled};
use cleanslide_nn::devices::DeviceName;
use cleanslide_nn::layers::Start;
use cleanslide_nn::losses::{FcosLoss, NtXent};
use cleanslide_nn::networks::{
    FcosConfig, ImageEncoderConfig, UNetConfig, ViewNetworkConfig, VisionTransformerConfig,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let wanted = std::env::args().nth(1).unwrap_or("cpu".to_owned());
    let name = DeviceName::ALL
        .into_iter()
        .find(|name| name.name() == wanted)
        .ok_or_else(|| format!("unknown device {wanted}"))?;
    let device = name.open()?.device;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let &[network, images, size] = words.as_slice() else {
            return Err("network, images and size".into());
        };
        let (images, size) = (images.parse()?, size.parse()?);
        let seconds = match network {
            "unet-step" => unet_step(&device, images, size)?,
            "fcos-step" => fcos_step(&device, images, size)?,
            "simclr-step" => simclr_step(&device, images, size)?,
            "vit-forward" => vit_forward(&device, images, size)?,
            _ => return Err(format!("unknown network {network}").into()),
        };
        writeln!(out, "{seconds} {}", peak_memory()?)?;
        out.flush()?;
    }
    Ok(())
}

/// Forward, cross-entropy, backward and a step of Adam.
fn unet_step(device: &Device, images: usize, size: usize) -> Result<f64> {
    let device = device.clone().autodiff();
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut network = UNetConfig::default().init(3, 2, &mut Start::new(&mut rng, &device));
    let mut optimizer = AdamConfig::new().init();
    let pixels = values(images * size * size * 3);
    let classes: Vec<i64> = (0..images * size * size).map(|i| (i % 2) as i64).collect();
    let mut seconds = 0.0;
    for _ in 0..3 {
        let start = Instant::now();
        let pixels = Tensor::<4>::from_data(
            TensorData::new(pixels.clone(), [images, size, size, 3]),
            &device,
        );
        let classes = Tensor::<2, burn::tensor::Int>::from_data(
            TensorData::new(classes.clone(), [images * size * size, 1]),
            &device,
        );
        let scores = network.forward(pixels);
        let chances = log_softmax(scores.reshape([images * size * size, 2]), 1);
        let loss = chances.gather(1, classes).mean().neg();
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(1e-3, network, gradients);
        device.sync()?;
        seconds = start.elapsed().as_secs_f64();
    }
    Ok(seconds)
}

/// What each location answers for, forward, the three losses, backward and a step of Adam.
fn fcos_step(device: &Device, images: usize, size: usize) -> Result<f64> {
    let device = device.clone().autodiff();
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let config = FcosConfig::default();
    let mut network = config.init(3, 1, &mut Start::new(&mut rng, &device));
    let mut optimizer = AdamConfig::new().init();
    let pixels = values(images * size * size * 3);
    let cells = cells(size);
    let mut seconds = 0.0;
    for _ in 0..3 {
        let start = Instant::now();
        let of_image = || {
            let nothing = Unlabelled::Within(Vec::new());
            CropTargets::new(&cells, &nothing, [size; 2], &config.strides(), 1, |_| true)
        };
        let targets = (0..images).map(|_| of_image()).collect();
        let targets = CropTargets::batch(targets, 1, &device);
        let pixels = TensorData::new(pixels.clone(), [images, size, size, 3]);
        let output = network.forward(Tensor::from_data(pixels, &device));
        let loss = FcosLoss::default().parts(output, targets).sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(1e-3, network, gradients);
        device.sync()?;
        seconds = start.elapsed().as_secs_f64();
    }
    Ok(seconds)
}

/// Boxes of 24 to 40 pixels, 48 pixels apart.
fn cells(size: usize) -> Vec<Object<Rectangle>> {
    let places = (0..size / 48).flat_map(|row| (0..size / 48).map(move |column| (row, column)));
    places
        .enumerate()
        .map(|(number, (row, column))| {
            let side = 24.0 + (number % 5 * 4) as f64;
            let [top, left] = [row, column].map(|place| (place * 48 + 4) as f64);
            Object {
                shape: Rectangle {
                    left,
                    top,
                    right: left + side,
                    bottom: top + side,
                },
                class: 0,
                trust: Trust::FULL,
            }
        })
        .collect()
}

/// Two views of each image through ResNet-18 and a projection, NT-Xent, backward and a step of AdamW, as `pretrain` does.
fn simclr_step(device: &Device, images: usize, size: usize) -> Result<f64> {
    let device = device.clone().autodiff();
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let config = ViewNetworkConfig {
        encoder: ImageEncoderConfig::default(),
        layers: 2,
        hidden: 512,
        features: 128,
        standardized: false,
        predicts: false,
        prototypes: 0,
        teacher: false,
    };
    let mut network = config.init(size, &mut Start::new(&mut rng, &device));
    let mut optimizer = AdamWConfig::new().init();
    let pixels = values(2 * images * size * size * 3);
    let mut seconds = 0.0;
    for _ in 0..3 {
        let start = Instant::now();
        let views = TensorData::new(pixels.clone(), [2 * images, size, size, 3]);
        let said = network.student(Tensor::from_data(views, &device)).compared;
        let [first, second] = [0, 1].map(|view| said.clone().narrow(0, view * images, images));
        let weights = Tensor::ones([images], &device);
        let loss = NtXent { temperature: 0.2 }.loss(first, second, weights);
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(1e-3, network, gradients);
        device.sync()?;
        seconds = start.elapsed().as_secs_f64();
    }
    Ok(seconds)
}

/// ViT-S/16 without gradients.
fn vit_forward(device: &Device, images: usize, size: usize) -> Result<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let network = VisionTransformerConfig::small().init(&mut Start::new(&mut rng, device));
    let pixels = values(images * size * size * 3);
    let data = TensorData::new(pixels, [images, size, size, 3]);
    let pixels = Tensor::<4>::from_data(data, device);
    let mut seconds = 0.0;
    for _ in 0..3 {
        let start = Instant::now();
        let tokens = network.forward(pixels.clone());
        device.sync()?;
        seconds = start.elapsed().as_secs_f64();
        assert_eq!(tokens.dims(), [images, 197, 384]);
    }
    Ok(seconds)
}

fn values(length: usize) -> Vec<f32> {
    (0..length)
        .map(|index| (index * 7919 % 1000) as f32 / 500.0 - 1.0)
        .collect()
}

/// The most memory that this process has had, in MiB.
fn peak_memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes: u64 = line
        .and_then(|line| line.split_whitespace().nth(1))
        .ok_or("no peak memory")?
        .parse()?;
    Ok(kilobytes / 1024)
}
