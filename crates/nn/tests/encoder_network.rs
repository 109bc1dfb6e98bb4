//! Vision transformers and ResNets as encoders against timm's and torchvision's, in files as they are published
//! (`oracles/encoders.py`), and what is said of files that are none.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use cleanslide_nn::encoders::{Card, Encoder, EncoderError, NetworkEncoder, Pooling, known, open};
use cleanslide_nn::layers::Start;
use cleanslide_nn::networks::VisionTransformerConfig;
use cleanslide_nn::weights::Weights;
use image::RgbImage;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{Dtype, TensorView};

/// Sums of at most some hundred products in f32 through two blocks of a transformer, or some ten convolutions of a
/// ResNet; the golden is of f64.
const TOLERANCE: f32 = 1e-5;

const FOLDER: &str = "tests/goldens/encoders";

fn file(name: &str) -> String {
    format!("{FOLDER}/{name}.safetensors")
}

fn reference() -> Weights {
    Weights::read(Path::new(&file("reference"))).unwrap()
}

/// The image of the goldens, so many times side by side and below each other: of the size that the network takes, so
/// that nothing is resampled.
fn picture(times: u32) -> RgbImage {
    let reference = reference();
    let values = &reference.tensor("image").unwrap().values;
    RgbImage::from_fn(32 * times, 32 * times, |x, y| {
        let place = ((y % 32 * 32 + x % 32) * 3) as usize;
        image::Rgb([0, 1, 2].map(|channel| values[place + channel] as u8))
    })
}

fn refusal(specification: &str) -> String {
    let result = open(specification, None).map(|encoder| encoder.name().to_owned());
    result.unwrap_err().to_string()
}

#[test]
fn embeddings_equal_those_of_timm_and_torchvision() {
    let reference = reference();
    for (before, golden, times) in [
        ("", "timm", 1),
        ("", "timm_registers", 1),
        ("", "timm_gated", 1),
        ("vit=", "dinov2", 1),
        ("vit=", "hugging_face_vit", 1),
        ("vit=", "hugging_face_dinov2", 1),
        ("resnet=", "resnet_basic", 7),
        ("resnet=", "resnet_bottleneck", 7),
    ] {
        let encoder = open(&format!("{before}{}", file(golden)), None).unwrap();
        let ours = encoder.embed(&[picture(times)]).unwrap();
        let theirs = &reference.tensor(golden).unwrap().values;
        assert_eq!(ours.dim(), (1, theirs.len()), "{golden}");
        assert_eq!(encoder.dimension(), theirs.len(), "{golden}");
        let largest = theirs
            .iter()
            .fold(0.0f32, |most, value| most.max(value.abs()));
        for (ours, theirs) in ours.iter().zip(theirs) {
            let error = (ours - theirs).abs() / largest;
            assert!(error < TOLERANCE, "{golden}: {ours} and not {theirs}");
        }
    }
}

#[test]
fn a_card_says_what_tensors_do_not() {
    let encoder = |name: &str, crop| {
        let weights = Weights::read(Path::new(&file(name))).unwrap();
        NetworkEncoder::new(weights, None, crop).unwrap()
    };
    let timm = encoder("timm", None);
    assert_eq!(timm.name(), "ours");
    assert_eq!(timm.card().pooling, Pooling::ClassToken);
    assert_eq!(timm.card().heads, Some(2));
    assert_eq!(timm.identity(), encoder("timm", None).identity());
    assert_ne!(timm.identity(), encoder("timm", Some(16)).identity());
    assert_ne!(timm.identity(), encoder("timm_gated", None).identity());
}

#[test]
fn neighbours_order_and_threads_do_not_matter() {
    let picture = |seed: u32| {
        RgbImage::from_fn(40 + 9 * seed, 50, |x, y| {
            image::Rgb([(x * seed) as u8, (y * 5) as u8, (x * y + seed) as u8])
        })
    };
    let images: Vec<RgbImage> = (0..7).map(picture).collect();
    let reversed: Vec<RgbImage> = images.iter().rev().cloned().collect();
    for specification in [
        file("timm_gated"),
        format!("vit={}", file("hugging_face_vit")),
        format!("resnet={}", file("resnet_bottleneck")),
    ] {
        let encoder = open(&specification, Some(32)).unwrap();
        let together = encoder.embed(&images).unwrap();
        assert!(together.iter().all(|value| value.is_finite()));
        assert_ne!(together.row(0), together.row(1));
        for (index, image) in images.iter().enumerate() {
            let alone = encoder.embed(std::slice::from_ref(image)).unwrap();
            assert_eq!(alone.row(0), together.row(index), "{specification}");
        }
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let pool = pool.build().unwrap();
            let others = pool.install(|| encoder.embed(&reversed)).unwrap();
            assert_eq!(
                others.slice(ndarray::s![..;-1, ..]),
                together,
                "{specification}"
            );
        }
        assert_eq!(encoder.embed(&[]).unwrap().dim(), (0, encoder.dimension()));
    }
}

#[test]
fn the_middle_of_a_resized_image_is_seen_where_a_card_says_so() {
    let small = |resized| {
        let card = Card {
            name: "ours".into(),
            size: 32,
            resized,
            mean: [0.5; 3],
            std: [0.5; 3],
            pooling: Pooling::ClassToken,
            heads: None,
            microns_per_pixel: None,
        };
        let config = VisionTransformerConfig {
            size: [32; 2],
            width: 16,
            heads: 1,
            depth: 1,
            patch: 8,
            ..VisionTransformerConfig::small()
        };
        let mut rng = ChaCha8Rng::seed_from_u64(20);
        let network = config.init(&mut Start::new(&mut rng, &Device::flex()));
        let bytes = Weights::to_bytes(&network, card.to_metadata(), str::to_owned).unwrap();
        let weights = Weights::from_bytes(&bytes, "ours").unwrap();
        NetworkEncoder::new(weights, None, None).unwrap()
    };
    let (whole, middle) = (small(None), small(Some(64)));
    assert_ne!(whole.identity(), middle.identity());
    assert_eq!(
        [whole.native_side(), middle.native_side()],
        [Some(32), Some(64)]
    );
    let image = picture(2);
    let seen = image::imageops::crop_imm(&image, 16, 16, 32, 32).to_image();
    assert_eq!(
        middle.embed(&[image]).unwrap(),
        whole.embed(&[seen]).unwrap()
    );

    // As the README of Prov-GigaPath has it.
    let gigapath = known::ENCODERS
        .iter()
        .find(|known| known.name == "prov-gigapath");
    let gigapath = gigapath.unwrap();
    assert_eq!((gigapath.resized, gigapath.size), (Some(256), 224));
    let others = known::ENCODERS
        .iter()
        .filter(|known| known.resized.is_some());
    assert_eq!(others.count(), 1);
}

#[test]
fn threads_do_not_matter_to_many_tokens() {
    // More tokens than a thread multiplies alone, so that the rows of a product are divided among threads.
    let card = Card {
        name: "ours".into(),
        size: 224,
        resized: None,
        mean: [0.5; 3],
        std: [0.5; 3],
        pooling: Pooling::ClassTokenAndMeanOfPatches,
        heads: None,
        microns_per_pixel: None,
    };
    let config = VisionTransformerConfig {
        width: 64,
        heads: 1,
        depth: 2,
        patch: 8,
        ..VisionTransformerConfig::small()
    };
    let mut rng = ChaCha8Rng::seed_from_u64(20);
    let network = config.init(&mut Start::new(&mut rng, &Device::flex()));
    let bytes = Weights::to_bytes(&network, card.to_metadata(), str::to_owned).unwrap();
    let weights = Weights::from_bytes(&bytes, "ours").unwrap();
    let encoder = NetworkEncoder::new(weights, None, None).unwrap();
    assert_eq!(encoder.card(), &card);
    let images = [picture(7), picture(3), picture(1)];
    let embed = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build()
            .unwrap()
            .install(|| encoder.embed(&images))
            .unwrap()
    };
    let one = embed(1);
    for threads in [2, 3, 5, 8] {
        assert_eq!(embed(threads), one, "{threads} threads");
    }
}

/// Tensors of zeros, as a file in a folder of its own.
struct Zeros(PathBuf);

impl Zeros {
    fn new(name: &str, tensors: &[(&str, &[usize])], metadata: BTreeMap<String, String>) -> Self {
        let bytes: Vec<_> = tensors
            .iter()
            .map(|(_, shape)| vec![0u8; 4 * shape.iter().product::<usize>()])
            .collect();
        let views = tensors.iter().zip(&bytes).map(|((name, shape), bytes)| {
            let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap();
            (*name, view)
        });
        let metadata = (!metadata.is_empty()).then(|| metadata.into_iter().collect());
        let path = std::env::temp_dir().join(format!("cleanslide-{}-{name}", std::process::id()));
        std::fs::write(&path, safetensors::serialize(views, metadata).unwrap()).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Zeros {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// What tells the shape of a transformer of timm, and no more.
const TELLING: [(&str, &[usize]); 5] = [
    ("patch_embed.proj.weight", &[384, 3, 16, 16]),
    ("pos_embed", &[1, 197, 384]),
    ("blocks.0.mlp.fc1.weight", &[1536, 384]),
    ("blocks.0.mlp.fc2.weight", &[384, 1536]),
    ("blocks.11.norm1.weight", &[384]),
];

/// The same with twelve blocks.
fn small_transformer() -> Vec<(String, &'static [usize])> {
    let blocks = (1..11).map(|block| (format!("blocks.{block}.norm1.weight"), &[384][..]));
    let telling = TELLING.map(|(name, shape)| (name.to_owned(), shape));
    telling.into_iter().chain(blocks).collect()
}

fn zeros(name: &str, tensors: &[(String, &[usize])]) -> Zeros {
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(n, shape)| (n.as_str(), *shape))
        .collect();
    Zeros::new(name, &tensors, BTreeMap::new())
}

#[test]
fn a_network_of_several_encoders_needs_a_name() {
    let small = zeros("small", &small_transformer());
    let path = small.path();
    assert_eq!(
        refusal(path),
        format!(
            "{path} holds a ViT 384 × 12, patch 16, and nothing in it says how images are to be made for it; \
             published ones are lunit-dino-vits16; vit takes the mean and deviation beside the file \
             (preprocessor_config.json, or timm's config.json), or ImageNet's: say which by NAME={path}"
        )
    );
    let narrow = file("resnet_basic");
    let message = refusal(&narrow);
    assert!(
        message.contains("no published encoder known here has this network; resnet takes the mean"),
        "{message}"
    );
    assert_eq!(
        refusal(&format!("uni={path}")),
        format!(
            "{path} is not uni, which is a ViT 1024 × 24, patch 16, LayerScale: it holds a ViT 384 × 12, patch 16"
        )
    );
    let message = refusal(&format!("unj={path}"));
    assert!(
        message
            .starts_with("no published encoder is called \"unj\"; these are known: h-optimus-0, "),
        "{message}"
    );
    let own = file("timm");
    assert_eq!(
        refusal(&format!("vit={own}")),
        format!("{own} has a card of its own, by which it is \"ours\": give its path without vit=")
    );
}

#[test]
fn missing_and_further_tensors_are_named() {
    let mut tensors = small_transformer();
    tensors.push(("norm_pre.weight".into(), &[384]));
    let small = zeros("further", &tensors);
    let message = refusal(&format!("lunit-dino-vits16={}", small.path()));
    let head = format!("{} does not fit a ViT 384 × 12, patch 16: ", small.path());
    assert!(message.starts_with(&head), "{message}");
    for line in [
        "\n  missing: blocks.3.attn.qkv.weight [1152, 384]",
        "\n  missing: cls_token [1, 1, 384]",
        "\n  unexpected: norm_pre.weight [384]",
    ] {
        assert!(message.contains(line), "{message}");
    }
    let cut: Vec<_> = tensors
        .iter()
        .filter(|(name, _)| name != "pos_embed")
        .cloned()
        .collect();
    let cut = zeros("cut", &cut);
    let message = refusal(&format!("vit={}", cut.path()));
    assert_eq!(
        message,
        format!(
            "{}: the network cannot be told without tensor pos_embed of 3 dimensions (found: None)",
            cut.path()
        )
    );
}

#[test]
fn positions_of_another_size_are_refused() {
    let mut tensors = small_transformer();
    tensors[1].1 = &[1, 577, 384];
    let large = zeros("large", &tensors);
    assert_eq!(
        refusal(&format!("lunit-dino-vits16={}", large.path())),
        format!(
            "{} has 577 positions, which are not those of images of 224 pixels in patches of 16, but of 384 pixels; \
             positions are not interpolated: state the size that it was trained on",
            large.path()
        )
    );
}

#[test]
fn other_networks_are_named() {
    let swin = Zeros::new(
        "swin",
        &[
            ("patch_embed.proj.0.weight", &[12, 3, 3, 3]),
            (
                "layers.0.blocks.0.attn.relative_position_bias_table",
                &[169, 3],
            ),
        ],
        BTreeMap::new(),
    );
    assert_eq!(
        refusal(swin.path()),
        format!(
            "{} holds a Swin transformer, as CTransPath is one: its blocks are not supported; take a vision \
             transformer or a ResNet (`cleanslide encoders`)",
            swin.path()
        )
    );
    let other = Zeros::new("other", &[("rnn.weight", &[2])], BTreeMap::new());
    assert_eq!(
        refusal(other.path()),
        format!(
            "{} holds no encoder known here: it looks like no network known here (first tensors: rnn.weight); \
             vision transformers, ResNets and EfficientNet-Lite0 are (`cleanslide encoders`)",
            other.path()
        )
    );
    let entry = r#"{"kind": "boxes of objects", "network": {}, "classes": []}"#;
    let metadata = BTreeMap::from([("cleanslide".to_owned(), entry.to_owned())]);
    let ours = Zeros::new(
        "ours",
        &[("layer1.0.conv1.weight", &[2, 2, 3, 3])],
        metadata,
    );
    assert_eq!(
        refusal(ours.path()),
        format!(
            "{} is a network of Cleanslide that predicts boxes of objects, and no encoder",
            ours.path()
        )
    );
    let two = Zeros::new(
        "two",
        &[
            ("model.layer1.0.conv1.weight", &[2, 2, 3, 3]),
            ("backbone.layer1.0.conv1.weight", &[2, 2, 3, 3]),
        ],
        BTreeMap::new(),
    );
    let message = refusal(two.path());
    assert!(
        message.contains("its names begin with \"backbone.\", \"model.\": write"),
        "{message}"
    );
}

#[test]
fn a_card_must_fit_its_network() {
    let card = |pooling, heads, size| Card {
        resized: None,
        name: "ours".into(),
        size,
        mean: [0.5; 3],
        std: [0.5; 3],
        pooling,
        heads,
        microns_per_pixel: None,
    };
    let tensors = small_transformer();
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(n, shape)| (n.as_str(), *shape))
        .collect();
    for (name, card, says) in [
        (
            "average",
            card(Pooling::Average, None, 224),
            "embeddings of a ViT 384 × 12, patch 16 cannot be the mean over positions",
        ),
        (
            "heads",
            card(Pooling::ClassToken, Some(5), 224),
            "5 heads of the attention do not divide tokens of 384 values",
        ),
        (
            "size",
            card(Pooling::ClassToken, None, 225),
            "not those of images of 225 pixels in patches of 16, but of 224 pixels",
        ),
    ] {
        let file = Zeros::new(name, &tensors, card.to_metadata());
        let message = refusal(file.path());
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn a_truncated_file_is_refused() {
    let bytes = std::fs::read(file("timm")).unwrap();
    let path = std::env::temp_dir().join(format!("cleanslide-{}-truncated", std::process::id()));
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let message = refusal(path.to_str().unwrap());
    std::fs::remove_file(&path).unwrap();
    assert!(message.contains("is truncated"), "{message}");
}

#[test]
fn the_table_is_in_order_and_tells_networks_apart() {
    let names: Vec<_> = known::ENCODERS.iter().map(|known| known.name).collect();
    assert!(names.is_sorted(), "{names:?}");
    let dimensions: BTreeMap<_, _> = known::ENCODERS
        .iter()
        .filter_map(|known| Some((known.name, known.dimension()?)))
        .collect();
    // As their authors state them.
    for (name, dimension) in [
        ("h-optimus-0", 1536),
        ("lunit-dino-vits8", 384),
        ("phikon", 768),
        ("phikon-v2", 1024),
        ("prov-gigapath", 1536),
        ("retccl", 2048),
        ("uni", 1024),
        ("uni2-h", 1536),
        ("virchow", 2560),
        ("virchow2", 2560),
    ] {
        assert_eq!(dimensions[name], dimension, "{name}");
    }
    assert!(matches!(
        open("nowhere", None).map(|_| ()),
        Err(EncoderError::Unknown { .. })
    ));
}
