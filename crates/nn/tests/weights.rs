//! Checkpoints that PyTorch has written (`oracles/weights.py`).
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use cleanslide_nn::layers::Start;
use cleanslide_nn::networks::{EncoderConfig, EncoderUNet, ResNetConfig};
use cleanslide_nn::weights::Weights;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

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
