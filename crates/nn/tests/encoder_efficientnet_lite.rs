//! EfficientNet-Lite against the PyTorch implementation it takes its weights from.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests may panic and say that they skip"
)]

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_nn::encoders::efficientnet_lite::inference::{Inference, Scratch};
use cleanslide_nn::encoders::efficientnet_lite::{EfficientNetLiteEncoder, EmbeddingNetwork};
use cleanslide_nn::encoders::open;
use cleanslide_nn::layers::Start;
use cleanslide_nn::networks::{
    EfficientNetLiteConfig, EncoderName, EncoderUNetConfig, FcosConfig, Origin, Stage,
};
use cleanslide_nn::weights::{WeightTensor, Weights};
use image::RgbImage;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// max |a − b| / max |b|, and the largest |a − b| / |b| where |b| is at least a thousandth of
/// max |b|.
fn relative_errors(ours: &[f32], reference: &[f32]) -> (f32, f32) {
    assert_eq!(ours.len(), reference.len());
    let largest = reference
        .iter()
        .fold(0.0f32, |max, value| max.max(value.abs()));
    let pairs = || {
        ours.iter()
            .zip(reference)
            .map(|(a, b)| ((a - b).abs(), b.abs()))
    };
    let overall = pairs().fold(0.0f32, |max, (error, _)| max.max(error)) / largest;
    let each = pairs()
        .filter(|(_, size)| *size >= 1e-3 * largest)
        .fold(0.0f32, |max, (error, size)| max.max(error / size));
    (overall, each)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// Images [n, 3, height, width] as [n, height, width, 3].
fn channels_last(images: &WeightTensor) -> Tensor<4> {
    let data = TensorData::new(images.values.clone(), images.shape.clone());
    Tensor::<4>::from_data(data, &Device::flex()).permute([0, 2, 3, 1])
}

/// The fast path on a batch [n, 3, height, width].
fn infer(network: &Inference, images: &WeightTensor) -> Vec<f32> {
    let [_, channels, height, width] = images.shape[..] else {
        panic!("not a batch of images")
    };
    let mut scratch = Scratch::default();
    let embed = |image: &[f32]| {
        let pixels = height * width;
        let interleaved: Vec<f32> = (0..pixels * channels)
            .map(|i| image[i % channels * pixels + i / channels])
            .collect();
        network.embed(&interleaved, height, width, &mut scratch)
    };
    images
        .values
        .chunks_exact(channels * height * width)
        .flat_map(embed)
        .collect()
}

fn golden(name: &str) -> Weights {
    Weights::read(&Path::new("tests/goldens").join(name)).unwrap()
}

fn narrow_body() -> EfficientNetLiteConfig {
    let stage = |repeats, kernel, stride, expansion, outputs| Stage {
        repeats,
        kernel,
        stride,
        expansion,
        outputs,
    };
    EfficientNetLiteConfig {
        stem: 8,
        stages: vec![
            stage(1, 3, 1, 1, 16),
            stage(2, 3, 2, 6, 8),
            stage(2, 5, 2, 3, 16),
            stage(1, 5, 1, 6, 24),
        ],
        ..EfficientNetLiteConfig::lite0(Origin::TensorFlow)
    }
}

/// A network whose random parameters do not matter.
fn start<N>(init: impl FnOnce(&mut Start) -> N) -> N {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    init(&mut Start::new(&mut rng, &Device::flex()))
}

fn narrow() -> EmbeddingNetwork {
    let weights = golden("efficientnet_lite_narrow.safetensors");
    start(|start| EmbeddingNetwork::new(&narrow_body(), 320, Some(5), start))
        .load(&weights, "the narrow network")
        .unwrap()
}

/// Both are f32 with sums of at most a few hundred terms through 20 layers: 1e-5 of the largest
/// value is about a hundred roundings.
const ROUNDING: f32 = 1e-5;

#[test]
fn a_narrow_network_equals_pytorch() {
    let network = narrow();
    let reference = golden("efficientnet_lite_narrow_reference.safetensors");
    let tensor = |name: &str| reference.tensor(name).unwrap();
    let embedding = network.forward(channels_last(tensor("input")));
    let logits = network.classify(embedding.clone()).unwrap();
    assert!(relative_errors(&values(embedding), &tensor("embedding").values).0 < ROUNDING);
    assert!(relative_errors(&values(logits), &tensor("logits").values).0 < ROUNDING);
    let fast = infer(&Inference::new(&network).unwrap(), tensor("input"));
    assert!(relative_errors(&fast, &tensor("embedding").values).0 < ROUNDING);
}

#[test]
fn the_fast_path_equals_the_module_for_every_size() {
    let network = narrow();
    let fast = Inference::new(&network).unwrap();
    for (height, width) in [(1, 1), (2, 5), (7, 3), (16, 16), (33, 18), (64, 129)] {
        let values_of = |i: usize| ((i * 7919 % 1009) as f32 / 504.5) - 1.0;
        let images = WeightTensor {
            shape: vec![2, 3, height, width],
            values: (0..2 * 3 * height * width).map(values_of).collect(),
        };
        let module = values(network.forward(channels_last(&images)));
        let (error, _) = relative_errors(&infer(&fast, &images), &module);
        assert!(error < ROUNDING, "{height}×{width}: {error}");
    }
}

fn saved<M: Module>(network: &M) -> Weights {
    let bytes = Weights::to_bytes(network, Default::default(), str::to_owned).unwrap();
    Weights::from_bytes(&bytes, "saved").unwrap()
}

#[test]
fn parameters_have_the_names_of_either_package() {
    let body = narrow_body();
    let load = |body: &EfficientNetLiteConfig, weights: &Weights| {
        start(|start| body.init(start)).load(weights, "the encoder")
    };
    let package = golden("efficientnet_lite_narrow.safetensors");
    let timm = saved(&load(&body, &package).unwrap());
    let blocks = |prefix: &str| {
        let of_blocks = package.names().filter(|name| name.starts_with(prefix));
        of_blocks.count()
    };
    let [stem, in_blocks] = [blocks("_conv_stem.") + blocks("_bn0."), blocks("_blocks.")];
    assert_eq!(timm.names().count(), stem + in_blocks);
    let again = saved(&load(&body, &timm).unwrap());
    for name in timm.names() {
        assert_eq!(again.tensor(name), timm.tensor(name), "{name}");
    }

    let mut longer = body;
    longer.stages[3].repeats = 2;
    for (weights, missing) in [
        (&package, "_blocks.6._expand_conv.weight [144, 24, 1, 1]"),
        (&timm, "blocks.3.1.conv_pw.weight [144, 24, 1, 1]"),
    ] {
        let message = load(&longer, weights).unwrap_err().to_string();
        assert!(
            message.contains("does not fit the encoder: 15 missing, 0 unexpected, 0 of another"),
            "{message}"
        );
        let line = format!("\n  missing: {missing}");
        assert!(message.contains(&line), "{message}");
    }
}

/// The shared data folder beside the checkout; tests that need it skip with a line without it.
fn shared_encoders() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/encoders");
    if folder.exists() {
        return Some(folder);
    }
    eprintln!("skipped: no {}", folder.display());
    None
}

#[test]
fn lite0_equals_the_reference_embeddings() {
    let Some(folder) = shared_encoders() else {
        return;
    };
    let weights = Weights::read(&folder.join("efficientnet-lite0-imagenet.safetensors")).unwrap();
    let reference =
        Weights::read(&folder.join("efficientnet-lite0-reference.safetensors")).unwrap();
    let tensor = |name: &str| reference.tensor(name).unwrap();
    let network = EmbeddingNetwork::lite0(&weights, &Device::flex()).unwrap();

    let embedding = network.forward(channels_last(tensor("input")));
    let logits = values(network.classify(embedding.clone()).unwrap());
    let fast = infer(&Inference::new(&network).unwrap(), tensor("input"));
    for (name, ours, reference) in [
        ("module embedding", values(embedding), "embedding"),
        ("module logits", logits, "logits"),
        ("fast embedding", fast, "embedding"),
    ] {
        let (overall, each) = relative_errors(&ours, &tensor(reference).values);
        eprintln!("{name}: max error / max {overall:.1e}, largest per element {each:.1e}");
        // 16 blocks of f32 sums of up to a thousand terms; small values are what is left of larger ones.
        assert!(overall < 1e-4 && each < 1e-3, "{name}: {overall} {each}");
    }
}

#[test]
fn larger_networks_begin_with_the_parameters_of_lite0() {
    let Some(folder) = shared_encoders() else {
        return;
    };
    let weights = Weights::read(&folder.join("efficientnet-lite0-imagenet.safetensors")).unwrap();
    let check = |saved: Weights| {
        for (timm, package) in [
            ("conv_stem.weight", "_conv_stem.weight"),
            ("bn1.running_var", "_bn0.running_var"),
            (
                "blocks.0.0.conv_pw.weight",
                "_blocks.0._project_conv.weight",
            ),
            ("blocks.4.1.bn1.bias", "_blocks.9._bn0.bias"),
            ("blocks.6.0.bn3.weight", "_blocks.15._bn2.weight"),
        ] {
            assert_eq!(saved.tensor(timm), weights.tensor(package), "{timm}");
            assert!(saved.tensor(timm).is_some(), "{timm}");
        }
    };
    for encoder in [
        EncoderName::EfficientnetLite0,
        EncoderName::TimmEfficientnetLite0,
    ] {
        let unet = EncoderUNetConfig {
            encoder,
            ..Default::default()
        };
        let unet = start(|start| unet.init(3, 2, start));
        check(saved(&unet.load_encoder(&weights).unwrap()).part("encoder."));
        let fcos = FcosConfig {
            encoder,
            ..Default::default()
        };
        let fcos = start(|start| fcos.init(3, 2, start));
        check(saved(&fcos.load_encoder(&weights).unwrap()).part("backbone.body."));
    }
    let resnet = EncoderUNetConfig::default();
    let resnet = start(|start| resnet.init(3, 2, start));
    let message = resnet.load_encoder(&weights).unwrap_err().to_string();
    assert!(
        message.contains("looks like an EfficientNet-Lite"),
        "{message}"
    );
}

/// Images of different sizes, from a fixed formula.
fn images() -> Vec<RgbImage> {
    (0..5u32)
        .map(|seed| {
            RgbImage::from_fn(70 + 31 * seed, 64 + 13 * seed, |x, y| {
                let value = |channel: u32| ((x * (3 + seed) + y * (5 + channel)) * 37 % 251) as u8;
                image::Rgb([value(0), value(1), value(2)])
            })
        })
        .collect()
}

#[test]
fn an_embedding_does_not_depend_on_its_batch_or_the_threads() {
    let Some(folder) = shared_encoders() else {
        return;
    };
    let path = folder.join("efficientnet-lite0-imagenet.safetensors");
    let encoder = open(path.to_str().unwrap(), Some(64)).unwrap();
    let images = images();
    let together = encoder.embed(&images).unwrap();
    assert_eq!(together.dim(), (images.len(), 1280));
    for (index, image) in images.iter().enumerate() {
        let alone = encoder.embed(std::slice::from_ref(image)).unwrap();
        assert_eq!(alone.row(0), together.row(index));
    }
    let reversed: Vec<_> = images.iter().rev().cloned().collect();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let single = pool.install(|| encoder.embed(&reversed)).unwrap();
    assert_eq!(single.slice(ndarray::s![..;-1, ..]), together);
    assert_eq!(encoder.embed(&[]).unwrap().dim(), (0, 1280));
}

#[test]
fn the_identity_covers_weights_and_settings() {
    let Some(folder) = shared_encoders() else {
        return;
    };
    let path = folder.join("efficientnet-lite0-imagenet.safetensors");
    let identity = |crop| open(path.to_str().unwrap(), crop).unwrap().identity();
    assert_eq!(identity(None), identity(None));
    assert_ne!(identity(None), identity(Some(64)));
    assert_ne!(identity(Some(64)), identity(Some(65)));
    let weights = Weights::read(&path).unwrap();
    let encoder = EfficientNetLiteEncoder::new(&weights, None).unwrap();
    // The reference's input is (value − 127) / 128: its range is −127/128 ..= 1.
    let preprocessing = encoder.preprocessing();
    assert!((preprocessing.mean[0] * 255.0 - 127.0).abs() < 0.1);
    assert!((preprocessing.std[0] * 255.0 - 128.0).abs() < 0.1);
}

#[test]
fn other_weights_are_refused() {
    let file = "tests/goldens/efficientnet_lite_narrow.safetensors";
    let message = open(file, None).map(|_| ()).unwrap_err().to_string();
    assert!(
        message.starts_with(&format!("{file} does not fit EfficientNet-Lite0: ")),
        "{message}"
    );
    assert!(
        message.contains("\n  missing: _blocks.9._bn0.bias [672]"),
        "{message}"
    );
    assert!(
        message
            .contains("\n  other shape: _conv_stem.weight is [8, 3, 3, 3], expected [32, 3, 3, 3]"),
        "{message}"
    );
    let file = "tests/goldens/efficientnet_lite_narrow_reference.safetensors";
    let message = open(file, None).map(|_| ()).unwrap_err().to_string();
    assert!(
        message.contains(
            "holds no encoder known here: it looks like no network known here (first tensors: embedding, input, logits)"
        ),
        "{message}"
    );
    let named = format!(
        "uni={}",
        "tests/goldens/efficientnet_lite_narrow.safetensors"
    );
    assert_eq!(
        open(&named, None).map(|_| ()).unwrap_err().to_string(),
        "tests/goldens/efficientnet_lite_narrow.safetensors holds EfficientNet-Lite0, not uni: give its path without uni="
    );
    assert_eq!(
        open("effnet", None).map(|_| ()).unwrap_err().to_string(),
        "no encoder \"effnet\": give \"classical\", the path of a file (there is no such file), or NAME=FILE with a \
         name that `cleanslide encoders` lists"
    );
}
