//! Boxes on a feature pyramid against torchvision (`oracles/roi_align.py`).

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_nn::operators::{Region, RoiAlignOptions, multi_scale_roi_align};
use cleanslide_nn::weights::Weights;

/// Sixteen products of f32; gradients are sums of some hundred.
const TOLERANCE: f32 = 1e-5;

fn values(tensor: Tensor<4>) -> Vec<f32> {
    // Channels first, as the goldens have them.
    let tensor = tensor.permute([0, 3, 1, 2]);
    tensor.into_data().iter::<f32>().collect()
}

fn assert_close(what: &str, ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let scale = theirs.iter().fold(0.0f32, |most, v| most.max(v.abs()));
    for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let close = (ours - theirs).abs() <= TOLERANCE * scale;
        assert!(close, "{what} {index}: {ours} instead of {theirs}");
    }
}

#[test]
fn regions_of_a_pyramid_equal_torchvision_s() {
    let golden = Weights::read(Path::new("tests/goldens/roi_align.safetensors")).unwrap();
    let device = Device::flex().autodiff();
    let images = |name: &str| {
        let tensor = golden.tensor(name).unwrap();
        let data = TensorData::new(tensor.values.clone(), tensor.shape.clone());
        Tensor::<4>::from_data(data, &device).permute([0, 2, 3, 1])
    };
    let levels = [0, 1, 2, 3].map(|level| images(&format!("level.{level}")).require_grad());
    let mut regions = Vec::new();
    for image in 0..2 {
        let boxes = &golden.tensor(&format!("boxes.{image}")).unwrap().values;
        regions.extend(
            boxes
                .as_chunks::<4>()
                .0
                .iter()
                .map(|&[left, top, right, bottom]| Region {
                    image,
                    left,
                    top,
                    right,
                    bottom,
                }),
        );
    }
    let options = RoiAlignOptions::default();
    let pooled = multi_scale_roi_align(&levels, &[4, 8, 16, 32], &regions, options);
    let theirs = &golden.tensor("pooled").unwrap().values;
    assert_close("pooled", &values(pooled.clone()), theirs);
    let gradients = (pooled * images("probe")).sum().backward();
    for (number, level) in levels.iter().enumerate() {
        let ours = values(Tensor::from_inner(level.grad(&gradients).unwrap()));
        let name = format!("gradient.{number}");
        assert_close(&name, &ours, &golden.tensor(&name).unwrap().values);
    }
}
