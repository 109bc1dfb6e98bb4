//! Every part against torchvision's, and the whole from images to losses and boxes (`oracles/faster_rcnn.py`).

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_data::{Detection, Object, Rectangle, Trust};
use cleanslide_nn::layers::Start;
use cleanslide_nn::networks::{EncoderConfig, FasterRcnnOutput, ProposalSettings, ResNetConfig};
use cleanslide_nn::weights::Weights;

use super::*;
use crate::augment::{AugmentSettings, Placement};
use crate::detect::predict::suppressed;
use crate::detect::{DetectorPredictSettings, Unlabelled};

/// Sums of some thousand logarithms and offsets in f32.
const TOLERANCE: f32 = 1e-5;

/// The same behind a narrow network: as in `crates/nn/tests/networks.rs`.
const NETWORK_TOLERANCE: f32 = 1e-4;

const SIZE: [usize; 2] = [64, 96];
const CLASSES: usize = 3;

fn golden() -> Weights {
    Weights::read(Path::new("tests/goldens/faster_rcnn.safetensors")).unwrap()
}

fn values(golden: &Weights, name: &str) -> Vec<f32> {
    golden.tensor(name).unwrap().values.clone()
}

fn tensor<const D: usize>(golden: &Weights, name: &str, device: &Device) -> Tensor<D> {
    let tensor = golden.tensor(name).unwrap();
    let data = TensorData::new(tensor.values.clone(), tensor.shape.clone());
    Tensor::from_data(data, device)
}

fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn rectangles(golden: &Weights, name: &str) -> Vec<Rectangle> {
    let values = values(golden, name);
    let boxes = values.as_chunks::<4>().0.iter();
    boxes.map(|of| rectangle(of.map(f64::from))).collect()
}

fn rectangle([left, top, right, bottom]: [f64; 4]) -> Rectangle {
    Rectangle {
        left,
        top,
        right,
        bottom,
    }
}

fn sides(rectangles: &[Rectangle]) -> Vec<f32> {
    let sides = |of: &Rectangle| [of.left, of.top, of.right, of.bottom].map(|side| side as f32);
    rectangles.iter().flat_map(sides).collect()
}

fn assert_close(what: &str, ours: &[f32], theirs: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let scale = theirs.iter().fold(0.0f32, |most, v| most.max(v.abs()));
    for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let close = (ours - theirs).abs() <= tolerance * scale;
        assert!(close, "{what} {index}: {ours} instead of {theirs}");
    }
}

/// That of the goldens: with more samples than there are boxes, so that nothing is left to chance.
fn config() -> FasterRcnnConfig {
    let proposals = ProposalSettings {
        candidates: 300,
        kept: 150,
        ..ProposalSettings::default()
    };
    let all = FasterRcnnConfig::default();
    FasterRcnnConfig {
        width: 8,
        hidden: 16,
        anchor_samples: SamplingSettings {
            samples: 1_000_000,
            ..all.anchor_samples
        },
        box_samples: SamplingSettings {
            samples: 1_000_000,
            ..all.box_samples
        },
        train_proposals: proposals,
        predict_proposals: proposals,
        ..all
    }
}

fn labels(objects: Vec<Object<Rectangle>>) -> CropLabels {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    CropLabels {
        objects,
        unlabelled: Unlabelled::Within(Vec::new()),
        // The image as it is.
        placement: Placement::draw(&AugmentSettings::none(), [96; 2], 96, &mut rng),
        image: SIZE,
    }
}

fn object(shape: Rectangle, class: usize, trust: f32) -> Object<Rectangle> {
    Object {
        shape,
        class,
        trust: Trust::new(trust).unwrap(),
    }
}

fn crops(golden: &Weights) -> Vec<Crop> {
    let crop = |image: usize| {
        let boxes = rectangles(golden, &format!("boxes.{image}"));
        let classes = values(golden, &format!("labels.{image}"));
        let objects = boxes.into_iter().zip(classes);
        let objects = objects.map(|(shape, class)| object(shape, class as usize, 1.0));
        Crop {
            image: Vec::new(),
            labels: labels(objects.collect()),
            seed: 1,
        }
    };
    vec![crop(0), crop(1)]
}

fn number(of: &Match) -> f32 {
    match of {
        Match::Object(index) => *index as f32,
        Match::Background => -1.0,
        Match::Neither => -2.0,
    }
}

#[test]
fn anchors_equal_torchvision_s() {
    let golden = golden();
    let anchors = Anchors::new(SIZE, &config());
    assert_eq!(sides(&anchors.boxes), values(&golden, "anchors"));
    assert_eq!(anchors.levels.iter().sum::<usize>(), anchors.boxes.len());
}

#[test]
fn matches_and_proposals_equal_torchvision_s() {
    let golden = golden();
    let config = config();
    let anchors = Anchors::new(SIZE, &config);
    let answers = values(&golden, "answers");
    let answers = answers.as_chunks::<5>().0.chunks_exact(anchors.boxes.len());
    for (image, (crop, answers)) in crops(&golden).iter().zip(answers).enumerate() {
        let found = matches(&anchors.boxes, &crop.labels, &config.anchor_samples, true);
        let found: Vec<f32> = found.iter().map(number).collect();
        assert_eq!(found, values(&golden, &format!("anchor_matches.{image}")));

        let mut boxes = proposals(answers, &anchors, SIZE, &config.train_proposals).unwrap();
        let theirs = values(&golden, &format!("proposals.{image}"));
        assert_close("proposals", &sides(&boxes), &theirs, TOLERANCE);

        boxes.extend(crop.labels.objects.iter().map(|object| object.shape));
        let found = matches(&boxes, &crop.labels, &config.box_samples, false);
        let found: Vec<f32> = found.iter().map(number).collect();
        assert_eq!(found, values(&golden, &format!("region_matches.{image}")));
    }
}

#[test]
fn offsets_equal_torchvision_s_and_lead_back() {
    let golden = golden();
    let objects = rectangles(&golden, "boxes.0");
    let from = rectangles(&golden, "proposals.0");
    for (coder, name) in [
        (BoxCoder::ANCHORS, "encoded.anchors"),
        (BoxCoder::REGIONS, "encoded.regions"),
    ] {
        let pairs = from.iter().zip(&objects);
        let ours: Vec<[f32; 4]> = pairs.map(|(from, to)| coder.encode(from, to)).collect();
        let theirs = values(&golden, name);
        assert_close(name, ours.as_flattened(), &theirs, TOLERANCE);
        for ((from, to), offsets) in from.iter().zip(&objects).zip(ours) {
            let back = coder.decode(from, offsets, SIZE).unwrap();
            assert_close("back", &sides(&[back]), &sides(&[*to]), TOLERANCE);
        }
    }
    let from = rectangle([10.0, 10.0, 12.0, 12.0]);
    let far = BoxCoder::ANCHORS.decode(&from, [60.0, 0.0, 0.0, 0.0], SIZE);
    assert_eq!(far, None, "right of the image");
    let wrong = BoxCoder::ANCHORS.decode(&from, [f32::NAN, 0.0, 0.0, 0.0], SIZE);
    assert_eq!(wrong, None);
}

#[test]
fn losses_and_gradients_equal_torchvision_s() {
    let golden = golden();
    let device = Device::flex().autodiff();
    let config = config();
    let crops = crops(&golden);
    let anchors = Anchors::new(SIZE, &config);
    let read_answers = values(&golden, "answers");
    let read_answers = read_answers.as_chunks::<5>().0;
    let of_images = read_answers.chunks_exact(anchors.boxes.len());
    let chosen: Vec<Chosen> = crops
        .iter()
        .zip(of_images)
        .map(|(crop, answers)| choose(crop, answers, &anchors, SIZE, &config).unwrap())
        .collect();
    let loss = FasterRcnnLoss::default();

    let answers: Tensor<3> = tensor(&golden, "answers", &device).require_grad();
    let part = |from: usize, to: usize| {
        answers
            .clone()
            .slice([0..2, 0..anchors.boxes.len(), from..to])
    };
    let targets = anchor_targets(&chosen, &anchors, &crops, &device);
    let losses = loss.of_anchors(part(0, 1), part(1, 5), targets);
    let theirs = values(&golden, "anchor_losses");
    assert_close("anchor losses", &read(losses.clone()), &theirs, TOLERANCE);
    let gradients = losses.sum().backward();
    let theirs = values(&golden, "anchor_gradient");
    let ours = read(answers.grad(&gradients).unwrap());
    assert_close("anchor gradient", &ours, &theirs, TOLERANCE);

    let said: Tensor<2> = tensor(&golden, "regions", &device).require_grad();
    let (regions, targets) = region_targets(&chosen, &crops, CLASSES, &device);
    let count = regions.len();
    let output = FasterRcnnOutput {
        classes: said.clone().slice([0..count, 0..4]),
        offsets: said.clone().slice([0..count, 4..20]).reshape([count, 4, 4]),
    };
    let losses = loss.of_regions(output, targets);
    let theirs = values(&golden, "region_losses");
    assert_close("region losses", &read(losses.clone()), &theirs, TOLERANCE);
    let gradients = losses.sum().backward();
    let theirs = values(&golden, "region_gradient");
    let ours = read(said.grad(&gradients).unwrap());
    assert_close("region gradient", &ours, &theirs, TOLERANCE);
}

fn network(golden: &Weights, device: &Device) -> FasterRcnn {
    let encoder = EncoderConfig::ResNet(ResNetConfig {
        blocks: [1; 4],
        width: 4,
        ..ResNetConfig::resnet18()
    });
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let network = FasterRcnn::new(
        &encoder,
        &config(),
        CLASSES,
        &mut Start::new(&mut rng, device),
    );
    network.load_encoder(&golden.part("weights.")).unwrap()
}

#[test]
fn a_whole_network_learns_and_finds_as_torchvision_s() {
    let golden = golden();
    let images = |device: &Device| tensor(&golden, "images", device).permute([0, 2, 3, 1]);

    let device = Device::flex();
    let predicting = network(&golden, &device);
    for image in 0..2 {
        let one = images(&device).slice(image..image + 1);
        let settings = DetectorPredictSettings {
            exclusive: false,
            ..DetectorPredictSettings::default()
        };
        let found = find(&predicting, one, 0.1).unwrap();
        let found = suppressed(&found, &settings).unwrap();
        let theirs = values(&golden, &format!("found.{image}"));
        let ours = |Detection {
                        rectangle: at,
                        class,
                        score,
                    }: &Detection| {
            [at.left, at.top, at.right, at.bottom, *class as f64, *score].map(|value| value as f32)
        };
        let ours: Vec<f32> = found.iter().flat_map(ours).collect();
        assert_close("found", &ours, &theirs, NETWORK_TOLERANCE);
    }

    let device = Device::flex().autodiff();
    let training = network(&golden, &device);
    let loss = FasterRcnnLoss::default();
    let losses = losses(&training, &loss, images(&device), &crops(&golden)).unwrap();
    let theirs = values(&golden, "losses");
    for (ours, theirs) in read(losses).into_iter().zip(theirs) {
        assert!(
            (ours - theirs).abs() <= NETWORK_TOLERANCE * theirs,
            "{ours} {theirs}"
        );
    }
}

#[test]
fn what_nobody_knows_is_neither_object_nor_background() {
    let config = config();
    let shape = rectangle([20.0, 20.0, 36.0, 36.0]);
    let boxes = [
        shape,
        // Elsewhere.
        rectangle([70.0, 40.0, 86.0, 56.0]),
        // The middle is in a place without labels; a box around one; one that has little of it.
        rectangle([0.0, 0.0, 10.0, 10.0]),
        rectangle([2.0, 2.0, 16.0, 16.0]),
        rectangle([2.0, 2.0, 40.0, 16.0]),
        // The middle is below the image.
        rectangle([70.0, 58.0, 86.0, 74.0]),
    ];
    let found = |unlabelled: Unlabelled| {
        let labels = CropLabels {
            unlabelled,
            ..labels(vec![object(shape, 0, 1.0)])
        };
        let matches = matches(&boxes, &labels, &config.anchor_samples, false);
        matches.iter().map(number).collect::<Vec<f32>>()
    };
    let none = Unlabelled::Within(Vec::new());
    assert_eq!(found(none), [0.0, -1.0, -1.0, -1.0, -1.0, -2.0]);
    let within = Unlabelled::Within(vec![rectangle([0.0, 0.0, 8.5, 8.5])]);
    assert_eq!(found(within), [0.0, -1.0, -2.0, -1.0, -1.0, -2.0]);
    let within = Unlabelled::Within(vec![rectangle([4.0, 4.0, 8.5, 16.0])]);
    assert_eq!(found(within), [0.0, -1.0, -2.0, -1.0, -1.0, -2.0]);
    let within = Unlabelled::Within(vec![rectangle([1.0, 1.0, 12.0, 12.0])]);
    assert_eq!(found(within), [0.0, -1.0, -2.0, -2.0, -1.0, -2.0]);
    let everywhere = [0.0, -2.0, -2.0, -2.0, -2.0, -2.0];
    assert_eq!(found(Unlabelled::Everywhere), everywhere);
}

#[test]
fn samples_are_drawn_by_the_seed_and_objects_up_to_their_share() {
    let matches: Vec<Match> = (0..100)
        .map(|place| match place % 4 {
            0 => Match::Object(place),
            1 => Match::Neither,
            _ => Match::Background,
        })
        .collect();
    let settings = SamplingSettings {
        samples: 20,
        objects: 0.25,
        ..config().anchor_samples
    };
    let draw = |seed| sample(&matches, &settings, &mut ChaCha8Rng::seed_from_u64(seed));
    let chosen = draw(1);
    assert_eq!(chosen, draw(1));
    assert_ne!(chosen, draw(2));
    assert!(chosen.is_sorted());
    let count = |residues: &[usize]| {
        let of = |place: &&usize| residues.contains(&(*place % 4));
        chosen.iter().filter(of).count()
    };
    assert_eq!([count(&[0]), count(&[1]), count(&[2, 3])], [5, 0, 15]);
    // Where objects are few, background takes their places.
    let few = sample(&matches[..9], &settings, &mut ChaCha8Rng::seed_from_u64(1));
    assert_eq!(few, [0, 2, 3, 4, 6, 7, 8]);
}

#[test]
fn an_object_counts_as_far_as_it_is_trusted() {
    let config = config();
    let anchors = Anchors::new(SIZE, &config);
    let shape = rectangle([20.0, 20.0, 36.0, 36.0]);
    let of_trust = |trust: f32| {
        let crop = Crop {
            image: Vec::new(),
            labels: labels(vec![object(shape, 1, trust)]),
            seed: 1,
        };
        let answers = vec![[0.0; 5]; anchors.boxes.len()];
        let chosen = [choose(&crop, &answers, &anchors, SIZE, &config).unwrap()];
        let device = Device::flex();
        let crops = [crop];
        let anchor = anchor_targets(&chosen, &anchors, &crops, &device);
        let (_, region) = region_targets(&chosen, &crops, CLASSES, &device);
        (anchor, region)
    };
    let (anchor, region) = of_trust(0.25);
    let objects = read(anchor.objects);
    let weights = read(anchor.weights);
    let of_objects: Vec<f32> = objects
        .iter()
        .zip(&weights)
        .filter(|(object, _)| **object == 1.0)
        .map(|(_, weight)| *weight)
        .collect();
    assert!(!of_objects.is_empty() && of_objects.iter().all(|&weight| weight == 0.25));
    let total: f32 = weights.iter().sum();
    assert!((f64::from(total) - anchor.total).abs() < 1e-3);
    // The last region is the object itself.
    let weights = read(region.weights);
    assert_eq!(weights.last(), Some(&0.25));
    let classes = read(region.classes);
    assert_eq!(classes[classes.len() - 4..], [0.0, 0.0, 1.0, 0.0]);
}
