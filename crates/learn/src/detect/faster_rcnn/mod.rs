//! How a [`FasterRcnn`] learns and finds: what is done with boxes between and behind its two parts.
//!
//! Proposals are chosen on the CPU, so that a step reads once what all anchors of a batch say; nothing else of a step
//! is read. Proposals are given, not learned: gradients do not go through their sides.

mod anchors;
mod box_coder;
mod matching;
mod proposals;
#[cfg(test)]
mod tests;

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_data::{Detection, Object, Rectangle};
use cleanslide_nn::losses::{AnchorTargets, FasterRcnnLoss, RegionTargets};
use cleanslide_nn::networks::{
    FasterRcnn, FasterRcnnConfig, FasterRcnnProposals, SamplingSettings,
};
use cleanslide_nn::operators::Region;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use self::anchors::Anchors;
use self::box_coder::BoxCoder;
use self::matching::{Match, matches, sample};
use self::proposals::proposals;
use super::labels::CropLabels;
use super::trainer::Crop;
use crate::error::Result;

/// The least side of an object that is found, in pixels: torchvision's.
const LEAST_SIDE: f64 = 1e-2;

/// The losses of crops and their images `[n, size, size, 3]`, `[4]`: objectness and offsets of anchors, classes and
/// offsets of regions; the last two are missing where no region is known to be anything.
pub(super) fn losses(
    network: &FasterRcnn,
    loss: &FasterRcnnLoss,
    images: Tensor<4>,
    crops: &[Crop],
) -> Result<Tensor<1>> {
    let [_, height, width, _] = images.dims();
    let device = images.device();
    let config = network.config();
    let proposed = network.propose(images);
    let anchors = Anchors::new([height, width], config);
    let answers = answers(&proposed)?;
    let chosen: Vec<Chosen> = crops
        .par_iter()
        .zip(answers.par_chunks_exact(anchors.boxes.len()))
        .map(|(crop, answers)| choose(crop, answers, &anchors, [height, width], config))
        .collect::<Result<_>>()?;
    let targets = anchor_targets(&chosen, &anchors, crops, &device);
    let losses = loss.of_anchors(proposed.objectness, proposed.offsets, targets);
    let (regions, targets) = region_targets(&chosen, crops, network.classes(), &device);
    if regions.is_empty() {
        return Ok(losses);
    }
    let output = network.classify(&proposed.levels, &regions);
    Ok(Tensor::cat(
        vec![losses, loss.of_regions(output, targets)],
        0,
    ))
}

/// What is learned from, of one crop.
struct Chosen {
    /// By their places.
    anchors: Vec<(usize, Match)>,
    regions: Vec<(Rectangle, Match)>,
}

fn choose(
    crop: &Crop,
    answers: &[[f32; 5]],
    anchors: &Anchors,
    size: [usize; 2],
    config: &FasterRcnnConfig,
) -> Result<Chosen> {
    let mut rng = ChaCha8Rng::seed_from_u64(crop.seed);
    let mut choose = |boxes: &[Rectangle], settings: &SamplingSettings, closest: bool| {
        let matches = matches(boxes, &crop.labels, settings, closest);
        let chosen = sample(&matches, settings, &mut rng).into_iter();
        let chosen: Vec<(usize, Match)> = chosen.map(|place| (place, matches[place])).collect();
        chosen
    };
    let of_anchors = choose(&anchors.boxes, &config.anchor_samples, true);
    let mut boxes = proposals(answers, anchors, size, &config.train_proposals)?;
    // What is there is looked at too: at first hardly any proposal is an object.
    boxes.extend(crop.labels.objects.iter().map(|object| object.shape));
    let of_boxes = choose(&boxes, &config.box_samples, false).into_iter();
    Ok(Chosen {
        anchors: of_anchors,
        regions: of_boxes.map(|(place, of)| (boxes[place], of)).collect(),
    })
}

fn anchor_targets(
    chosen: &[Chosen],
    anchors: &Anchors,
    crops: &[Crop],
    device: &Device,
) -> AnchorTargets {
    let count = anchors.boxes.len();
    let all = crops.len() * count;
    let (mut objects, mut weights) = (vec![0.0; all], vec![0.0; all]);
    let mut offsets = vec![[0.0; 4]; all];
    for (image, (chosen, crop)) in chosen.iter().zip(crops).enumerate() {
        for &(place, of) in &chosen.anchors {
            let at = image * count + place;
            weights[at] = weight(of, &crop.labels);
            if let Some(object) = object(of, &crop.labels) {
                objects[at] = 1.0;
                offsets[at] = BoxCoder::ANCHORS.encode(&anchors.boxes[place], &object.shape);
            }
        }
    }
    let total = total(&weights);
    let tensor = |values: Vec<f32>, width: usize| {
        Tensor::from_data(TensorData::new(values, [crops.len(), count, width]), device)
    };
    AnchorTargets {
        objects: tensor(objects, 1),
        weights: tensor(weights, 1),
        offsets: tensor(offsets.into_flattened(), 4),
        total,
    }
}

fn region_targets(
    chosen: &[Chosen],
    crops: &[Crop],
    classes: usize,
    device: &Device,
) -> (Vec<Region>, RegionTargets) {
    let (mut regions, mut weights) = (Vec::new(), Vec::new());
    let (mut is, mut offsets) = (Vec::new(), Vec::new());
    for (image, (chosen, crop)) in chosen.iter().zip(crops).enumerate() {
        for &(rectangle, of) in &chosen.regions {
            let object = object(of, &crop.labels);
            // The background is the first.
            let class = object.map_or(0, |object| 1 + object.class);
            regions.push(region(image, &rectangle));
            weights.push(weight(of, &crop.labels));
            is.extend((0..=classes).map(|index| f32::from(index == class)));
            offsets.extend(object.map_or([0.0; 4], |object| {
                BoxCoder::REGIONS.encode(&rectangle, &object.shape)
            }));
        }
    }
    let count = regions.len();
    let total = total(&weights);
    let table = |values: Vec<f32>, width: usize| {
        Tensor::from_data(TensorData::new(values, [count, width]), device)
    };
    let targets = RegionTargets {
        classes: table(is, 1 + classes),
        weights: Tensor::from_data(TensorData::new(weights, [count]), device),
        offsets: table(offsets, 4),
        total,
    };
    (regions, targets)
}

fn object(of: Match, labels: &CropLabels) -> Option<&Object<Rectangle>> {
    match of {
        Match::Object(index) => Some(&labels.objects[index]),
        Match::Background | Match::Neither => None,
    }
}

fn weight(of: Match, labels: &CropLabels) -> f32 {
    object(of, labels).map_or(1.0, |object| object.trust.value())
}

fn total(weights: &[f32]) -> f64 {
    let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    total.max(1.0)
}

/// The score and the offsets of each anchor, image after image.
fn answers(proposed: &FasterRcnnProposals) -> Result<Vec<[f32; 5]>> {
    let both = vec![proposed.objectness.clone(), proposed.offsets.clone()];
    let values = Tensor::cat(both, 2).detach().try_into_vec_as::<f32>()?;
    Ok(values.as_chunks::<5>().0.to_vec())
}

fn region(image: usize, rectangle: &Rectangle) -> Region {
    Region {
        image,
        left: rectangle.left as f32,
        top: rectangle.top as f32,
        right: rectangle.right as f32,
        bottom: rectangle.bottom as f32,
    }
}

/// What is found in an image `[1, height, width, 3]` with a score of at least `least`: every proposal as each class
/// that it may be, in the order of the proposals. Boxes lie on the image; they may overlap.
pub(super) fn find(network: &FasterRcnn, image: Tensor<4>, least: f64) -> Result<Vec<Detection>> {
    let [_, height, width, _] = image.dims();
    let size = [height, width];
    let proposed = network.propose(image);
    let anchors = Anchors::new(size, network.config());
    let settings = &network.config().predict_proposals;
    let boxes = proposals(&answers(&proposed)?, &anchors, size, settings)?;
    if boxes.is_empty() {
        return Ok(Vec::new());
    }
    let regions: Vec<Region> = boxes.iter().map(|rectangle| region(0, rectangle)).collect();
    let output = network.classify(&proposed.levels, &regions);
    let classes = 1 + network.classes();
    let scores = softmax(output.classes, 1).try_into_vec_as::<f32>()?;
    let offsets = output.offsets.try_into_vec_as::<f32>()?;
    let offsets = offsets.as_chunks::<4>().0.chunks_exact(classes);
    let mut found = Vec::new();
    for ((rectangle, scores), offsets) in
        boxes.iter().zip(scores.chunks_exact(classes)).zip(offsets)
    {
        let of_classes = scores.iter().zip(offsets).enumerate().skip(1);
        found.extend(of_classes.filter_map(|(class, (&score, &offsets))| {
            let score = f64::from(score);
            let rectangle = BoxCoder::REGIONS.decode(rectangle, offsets, size)?;
            let side = rectangle.width().min(rectangle.height());
            (score >= least && side >= LEAST_SIDE).then_some(Detection {
                rectangle,
                class: class - 1,
                score,
            })
        }));
    }
    Ok(found)
}
