//! Files of pretrained encoders, as training frameworks write them: which tensors are the encoder, and what each is
//! called in timm or torchvision.

use std::collections::{BTreeMap, BTreeSet};

use super::EncoderError;
use crate::weights::{WeightTensor, Weights};

/// Whose names the tensors of an encoder have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Vision transformers of timm, and DINOv2's own.
    Timm,
    /// Hugging Face's `ViTModel`.
    HuggingFaceVit,
    /// Hugging Face's `Dinov2Model`, with or without registers.
    HuggingFaceDinov2,
    /// ResNets of torchvision and timm.
    Torchvision,
}

/// The tensor that each kind of encoder has, and whose it is. Hugging Face's two differ in another one.
const ANCHORS: [(&str, Naming); 3] = [
    ("patch_embed.proj.weight", Naming::Timm),
    (
        "embeddings.patch_embeddings.projection.weight",
        Naming::HuggingFaceVit,
    ),
    ("layer1.0.conv1.weight", Naming::Torchvision),
];

/// What only Hugging Face's Dinov2 has in its blocks.
const DINOV2: &str = ".layer_scale1.lambda1";

/// What only Swin transformers have in blocks that are in layers.
const SWIN: &str = ".attn.relative_position_bias_table";

/// What frameworks put before the names of an encoder, in any order.
const WRAPPERS: [&str; 14] = [
    "backbone",
    "base_encoder",
    "dinov2",
    "encoder",
    "encoder_k",
    "encoder_q",
    "model",
    "module",
    "momentum_encoder",
    "net",
    "state_dict",
    "student",
    "teacher",
    "vit",
];

/// Two networks that learn from each other: the first is the one to embed with.
const TWINS: [[&str; 2]; 3] = [
    ["teacher", "student"],
    ["encoder_q", "encoder_k"],
    ["base_encoder", "momentum_encoder"],
];

/// What belongs to the task that an encoder was trained on, and not to the encoder.
const HEADS: [&str; 13] = [
    "classifier.",
    "dino_head.",
    "embeddings.mask_token",
    "fc.",
    "groupDis.",
    "head.",
    "ibot_head.",
    "mask_token",
    "pooler.",
    "predictor.",
    "projection_head.",
    "projector.",
    "prototypes.",
];

/// The tensors of one encoder, under timm's or torchvision's names.
pub(super) struct Checkpoint {
    pub(super) naming: Naming,
    pub(super) weights: Weights,
}

impl Checkpoint {
    /// Finds the encoder in a file.
    ///
    /// # Errors
    /// When there is none, or several, or one of another kind.
    pub(super) fn of(weights: Weights) -> Result<Self, EncoderError> {
        let (wrapper, naming) = find(&weights)?;
        let naming = match naming {
            Naming::HuggingFaceVit if weights.names().any(|name| name.contains(DINOV2)) => {
                Naming::HuggingFaceDinov2
            }
            naming => naming,
        };
        let weights = weights.with_tensors(|tensors| {
            let inside = tensors.into_iter().filter_map(|(name, tensor)| {
                let name = name.strip_prefix(&wrapper)?;
                let wanted = !HEADS.iter().any(|head| name.starts_with(head));
                wanted.then(|| (of_timm(name, naming), tensor))
            });
            fused(inside.collect())
        });
        Ok(Self { naming, weights })
    }
}

/// What is before the names of the encoder, and whose these are.
fn find(weights: &Weights) -> Result<(String, Naming), EncoderError> {
    let file = || weights.file().to_owned();
    let of_swin = |name: &String| name.contains("layers.") && name.ends_with(SWIN);
    if weights.names().any(of_swin) {
        return Err(EncoderError::Swin { file: file() });
    }
    let all: BTreeSet<(&str, usize)> = weights
        .names()
        .flat_map(|name| {
            let anchors = ANCHORS.iter().enumerate();
            anchors
                .filter_map(move |(index, (anchor, _))| Some((name.strip_suffix(anchor)?, index)))
        })
        .filter(|(before, _)| before.is_empty() || before.ends_with('.'))
        .collect();
    if all.is_empty() {
        return Err(EncoderError::NoEncoder {
            file: file(),
            looks: weights.looks_like(),
        });
    }
    let known: Vec<_> = all
        .iter()
        .filter(|(before, _)| is_wrapper(before))
        .collect();
    let chosen: Vec<_> = known
        .iter()
        .filter(|(before, index)| {
            !first_twins(before).any(|twin| all.contains(&(twin.as_str(), *index)))
        })
        .collect();
    match chosen.as_slice() {
        [(before, index)] => Ok(((*before).to_owned(), ANCHORS[*index].1)),
        _ => {
            let before = all.iter().map(|(before, _)| format!("{before:?}"));
            Err(EncoderError::Wrappers {
                file: file(),
                found: before.collect::<Vec<_>>().join(", "),
            })
        }
    }
}

fn is_wrapper(before: &str) -> bool {
    let mut parts = before.split_terminator('.');
    parts.all(|part| WRAPPERS.contains(&part))
}

/// Where the network would be that is to be taken instead of this one.
fn first_twins(before: &str) -> impl Iterator<Item = String> {
    TWINS.iter().filter_map(move |[first, second]| {
        let mut parts: Vec<&str> = before.split('.').collect();
        let place = parts.iter().position(|part| part == second)?;
        parts[place] = first;
        Some(parts.join("."))
    })
}

/// The name of a tensor in timm or torchvision.
fn of_timm(name: &str, naming: Naming) -> String {
    match naming {
        Naming::Torchvision => name.to_owned(),
        Naming::Timm => match name {
            "register_tokens" => "reg_token".to_owned(),
            _ => name
                .replace(".mlp.w12.", ".mlp.fc1.")
                .replace(".mlp.w3.", ".mlp.fc2."),
        },
        Naming::HuggingFaceVit | Naming::HuggingFaceDinov2 => of_hugging_face(name),
    }
}

fn of_hugging_face(name: &str) -> String {
    const OUTSIDE: [(&str, &str); 5] = [
        ("embeddings.cls_token", "cls_token"),
        ("embeddings.register_tokens", "reg_token"),
        ("embeddings.position_embeddings", "pos_embed"),
        (
            "embeddings.patch_embeddings.projection.",
            "patch_embed.proj.",
        ),
        ("layernorm.", "norm."),
    ];
    const INSIDE: [(&str, &str); 10] = [
        ("attention.attention.", "attn."),
        ("attention.output.dense.", "attn.proj."),
        ("layernorm_before.", "norm1."),
        ("layernorm_after.", "norm2."),
        ("intermediate.dense.", "mlp.fc1."),
        ("output.dense.", "mlp.fc2."),
        ("layer_scale1.lambda1", "ls1.gamma"),
        ("layer_scale2.lambda1", "ls2.gamma"),
        ("mlp.weights_in.", "mlp.fc1."),
        ("mlp.weights_out.", "mlp.fc2."),
    ];
    let renamed = |name: &str, names: &[(&str, &str)]| {
        names.iter().find_map(|(theirs, ours)| {
            name.strip_prefix(theirs)
                .map(|rest| format!("{ours}{rest}"))
        })
    };
    let block = name.strip_prefix("encoder.layer.");
    match block.and_then(|name| name.split_once('.')) {
        Some((index, name)) => {
            let name = renamed(name, &INSIDE).unwrap_or_else(|| name.to_owned());
            format!("blocks.{index}.{name}")
        }
        None => renamed(name, &OUTSIDE).unwrap_or_else(|| name.to_owned()),
    }
}

/// With queries, keys and values of each block in one tensor, where there are all three.
fn fused(mut tensors: BTreeMap<String, WeightTensor>) -> BTreeMap<String, WeightTensor> {
    let queries: Vec<String> = tensors
        .keys()
        .filter(|name| name.contains(".attn.query."))
        .cloned()
        .collect();
    for query in queries {
        let parts = ["query", "key", "value"].map(|part| query.replace("query", part));
        if !parts.iter().all(|part| tensors.contains_key(part)) {
            continue;
        }
        let parts = parts.iter().filter_map(|part| tensors.remove(part));
        let joined = parts.reduce(|mut joined, next| {
            joined.shape[0] += next.shape[0];
            joined.values.extend(next.values);
            joined
        });
        tensors.extend(joined.map(|joined| (query.replace("query", "qkv"), joined)));
    }
    tensors
}
