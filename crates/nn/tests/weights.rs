//! Checkpoints that PyTorch has written (`oracles/weights.py`).
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use cleanslide_nn::layers::Start;
use cleanslide_nn::networks::{
    EncoderConfig, EncoderUNet, HighResolutionNetConfig, HrNetConfig, HrNetSize, PspNet,
    ResNetConfig,
};
use cleanslide_nn::weights::Weights;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{Dtype, TensorView};

fn golden(name: &str) -> PathBuf {
    Path::new("tests/goldens").join(name)
}

fn read(name: &str) -> Weights {
    Weights::read(&golden(name)).unwrap()
}

#[test]
fn all_kinds_of_checkpoints_hold_the_same_tensors() {
    let expected = read("weights/state.safetensors");
    assert_eq!(expected.names().count(), 8);
    for name in ["state", "legacy", "nested", "half"] {
        let found = read(&format!("weights/{name}.pth"));
        let names = |weights: &Weights| weights.names().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "{name}");
        for tensor in expected.names() {
            assert_eq!(
                found.tensor(tensor),
                expected.tensor(tensor),
                "{name}: {tensor}"
            );
        }
        assert_ne!(found.hash(), expected.hash());
    }
}

#[test]
fn a_damaged_checkpoint_says_so() {
    let bytes = std::fs::read(golden("weights/state.pth")).unwrap();
    let path = std::env::temp_dir().join(format!("cleanslide-{}.pth", std::process::id()));
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let message = Weights::read(&path).unwrap_err().to_string();
    std::fs::remove_file(&path).unwrap();
    assert!(
        message.contains("looks like a PyTorch checkpoint"),
        "{message}"
    );
}

#[test]
fn an_encoder_takes_the_parameters_of_a_file() {
    let config = |blocks| {
        EncoderConfig::ResNet(ResNetConfig {
            width: 4,
            blocks,
            ..ResNetConfig::resnet18()
        })
    };
    let network = |blocks| {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let device = Device::flex();
        let start = &mut Start::new(&mut rng, &device);
        EncoderUNet::new(&config(blocks), [8, 8, 8, 4, 4], 2, start)
    };
    let weights = read("networks/resnet_basic.safetensors").part("weights.");
    let loaded = network([1, 2, 1, 1]).load_encoder(&weights).unwrap();
    let bytes = Weights::to_bytes(&loaded, Default::default(), str::to_owned).unwrap();
    let saved = Weights::from_bytes(&bytes, "saved")
        .unwrap()
        .part("encoder.");
    for name in weights.names() {
        assert_eq!(saved.tensor(name), weights.tensor(name), "{name}");
    }
    let message = network([1, 1, 1, 1]).load_encoder(&weights).unwrap_err();
    assert!(
        message.to_string().contains("layer2.1.conv1.weight"),
        "{message}"
    );
}

/// The names are those of timm (`oracles/network_names.py`); the values are the place in the file.
#[test]
fn hrnet_takes_the_parameters_of_timms_and_leaves_its_classifier() {
    let json = std::fs::read(golden("weights/hrnet_w18_small.json")).unwrap();
    let shapes: BTreeMap<String, Vec<usize>> = serde_json::from_slice(&json).unwrap();
    let file = |shapes: &BTreeMap<String, Vec<usize>>| {
        let tensors: Vec<_> = shapes
            .iter()
            .enumerate()
            .map(|(place, (name, shape))| {
                let value = half::f16::from_f32(place as f32).to_le_bytes();
                (name, shape, value.repeat(shape.iter().product()))
            })
            .collect();
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F16, shape.to_vec(), bytes).unwrap();
            (name.as_str(), view)
        });
        Weights::from_bytes(&safetensors::serialize(views, None).unwrap(), "timm's").unwrap()
    };
    let network = || {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let device = Device::flex();
        let config = HrNetConfig {
            size: HrNetSize::W18Small,
            pretrained: None,
        };
        config.init(3, 2, &mut Start::new(&mut rng, &device))
    };
    let weights = file(&shapes);
    let loaded = network().load_encoder(&weights).unwrap();
    let bytes = Weights::to_bytes(&loaded, BTreeMap::new(), str::to_owned).unwrap();
    let saved = Weights::from_bytes(&bytes, "saved").unwrap();
    let saved = saved.part("backbone.");
    let classifier = [
        "incre_modules",
        "downsamp_modules",
        "final_layer",
        "classifier",
    ];
    for name in weights.names() {
        if classifier.iter().any(|part| name.starts_with(part)) {
            assert_eq!(saved.tensor(name), None, "{name}");
        } else {
            assert_eq!(saved.tensor(name), weights.tensor(name), "{name}");
        }
    }

    let mut others = shapes;
    others.remove("transition1.1.0.0.weight").unwrap();
    others.insert(
        "stage4.0.fuse_layers.3.0.2.0.weight".into(),
        vec![128, 32, 3, 3],
    );
    others.insert("stage5.weight".into(), vec![1]);
    let message = network()
        .load_encoder(&file(&others))
        .unwrap_err()
        .to_string();
    for line in [
        "missing: transition1.1.0.0.weight [32, 128, 3, 3]",
        "unexpected: stage5.weight [1]",
        "other shape: stage4.0.fuse_layers.3.0.2.0.weight is [128, 32, 3, 3], expected [128, 16, 3, 3]",
    ] {
        assert!(message.contains(line), "{message}");
    }
}

/// Parameters and running statistics, as `oracles/network_names.py` counts them.
#[test]
fn hrnets_are_as_large_as_timms() {
    for (config, values) in [
        (HighResolutionNetConfig::w18_small(), 1_484_672),
        (HighResolutionNetConfig::w18(), 9_596_196),
        (HighResolutionNetConfig::w48(), 65_409_216),
    ] {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let device = Device::flex();
        let network = config.init(&mut Start::new(&mut rng, &device));
        assert_eq!(network.num_params(), values, "{config:?}");
    }
}

#[test]
fn pspnet_takes_the_half_of_an_encoder_that_it_has() {
    let encoder = EncoderConfig::ResNet(ResNetConfig {
        width: 4,
        blocks: [1, 2, 1, 1],
        ..ResNetConfig::resnet18()
    });
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let device = Device::flex();
    let network = PspNet::new(encoder, 8, 2, &mut Start::new(&mut rng, &device));
    let weights = read("networks/resnet_basic.safetensors").part("weights.");
    let loaded = network.load_encoder(&weights).unwrap();
    let bytes = Weights::to_bytes(&loaded, BTreeMap::new(), str::to_owned).unwrap();
    let saved = Weights::from_bytes(&bytes, "saved").unwrap();
    let saved = saved.part("encoder.");
    for name in weights.names() {
        let beyond = name.starts_with("layer3.") || name.starts_with("layer4.");
        let expected = weights.tensor(name).filter(|_| !beyond);
        assert_eq!(saved.tensor(name), expected, "{name}");
    }
}
