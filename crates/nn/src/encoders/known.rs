//! Published encoders whose files can be opened, and how images are to be made for them.
//!
//! Networks, means and deviations are those with which their authors load them, as repeated by TRIDENT
//! (<https://github.com/mahmoodlab/TRIDENT>, `trident/patch_encoder_models/load.py`), LazySlide
//! (<https://github.com/rendeirolab/LazySlide>, `models/vision/`) and slide2vec
//! (<https://github.com/clemsgrs/slide2vec>, `encoders/models/`), where scales and licences are from, too; of RetCCL
//! and Prov-GigaPath from the README and licence of their own repositories; of Lunit's transformers from eva
//! (<https://github.com/kaiko-ai/eva>, `backbones/pathology/lunit.py`). With which mean and deviation Lunit's ResNets
//! were trained no source tells, so they are not in the table: `resnet` opens them, with those of ImageNet. Resizing
//! is bicubic with some authors, and here always bilinear, which matters only where images have another size.

use std::path::Path;

use super::Shape::{ResNet, VisionTransformer};
use super::beside::colours_beside;
use super::{Card, EncoderError, Naming, Pooling, Shape, TransformerShape};

const IMAGENET: Colours = Colours {
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
};
const LUNIT: Colours = Colours {
    mean: [0.703_229_9, 0.536_064_87, 0.660_966_31],
    std: [0.217_165_36, 0.260_815_74, 0.207_234_64],
};
const BIOPTIMUS: Colours = Colours {
    mean: [0.707_223, 0.578_729, 0.703_617],
    std: [0.211_883, 0.230_117, 0.177_517],
};

/// What is subtracted from values of the scale 0..=1, and what they are divided by; red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Colours {
    /// Subtracted.
    pub mean: [f32; 3],
    /// Divided by, after that.
    pub std: [f32; 3],
}

/// Which networks an entry is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// This one alone.
    Published(Shape),
    /// Any vision transformer, on images of the size that its positions are for.
    AnyVisionTransformer,
    /// Any ResNet.
    AnyResNet,
}

/// A published encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The name to give before a file's.
    pub name: &'static str,
    /// Who published it.
    pub by: &'static str,
    /// What its file holds.
    pub network: Network,
    /// The side of the images that the network sees, in pixels.
    pub size: u32,
    /// The side that images are resized to, where only their middle of [`Known::size`] is seen; by default all of them is.
    pub resized: Option<u32>,
    /// How values become its input.
    pub colours: Colours,
    /// How its features become an embedding.
    pub pooling: Pooling,
    /// Heads of its attention, where they are not one for each 64 values.
    pub heads: Option<usize>,
    /// The scale of the images that it is meant for, where that is one.
    pub microns_per_pixel: Option<f64>,
    /// Under which terms it may be used.
    pub licence: &'static str,
    /// Where its file is.
    pub source: &'static str,
}

const NON_COMMERCIAL: &str = "CC-BY-NC-ND 4.0";

const TRANSFORMER: TransformerShape = TransformerShape {
    naming: Naming::Timm,
    width: 384,
    depth: 12,
    patch: 16,
    registers: 0,
    gated: false,
    layer_scale: false,
};

const ENTRY: Known = Known {
    name: "vit",
    by: "anyone, on photographs of ImageNet",
    network: Network::AnyVisionTransformer,
    size: 224,
    resized: None,
    colours: IMAGENET,
    pooling: Pooling::ClassToken,
    heads: None,
    microns_per_pixel: None,
    licence: "that of the file",
    source: "timm or Hugging Face transformers",
};

const LUNIT_ENTRY: Known = Known {
    by: "Lunit",
    colours: LUNIT,
    microns_per_pixel: Some(0.5),
    licence: "Lunit's Public License, research only",
    ..ENTRY
};

/// All that are known, by name.
pub const ENCODERS: &[Known] = &[
    Known {
        name: "h-optimus-0",
        by: "Bioptimus",
        network: Network::Published(VisionTransformer(TransformerShape {
            width: 1536,
            depth: 40,
            patch: 14,
            registers: 4,
            gated: true,
            layer_scale: true,
            ..TRANSFORMER
        })),
        colours: BIOPTIMUS,
        microns_per_pixel: Some(0.5),
        licence: "Apache 2.0",
        source: "huggingface.co/bioptimus/H-optimus-0, gated",
        ..ENTRY
    },
    Known {
        name: "h-optimus-1",
        by: "Bioptimus",
        network: Network::Published(VisionTransformer(TransformerShape {
            width: 1536,
            depth: 40,
            patch: 14,
            registers: 4,
            gated: true,
            layer_scale: true,
            ..TRANSFORMER
        })),
        colours: BIOPTIMUS,
        microns_per_pixel: Some(0.5),
        licence: NON_COMMERCIAL,
        source: "huggingface.co/bioptimus/H-optimus-1, gated",
        ..ENTRY
    },
    Known {
        name: "lunit-dino-vits16",
        network: Network::Published(VisionTransformer(TRANSFORMER)),
        source: "github.com/lunit-io/benchmark-ssl-pathology, release pretrained-weights: \
                 dino_vit_small_patch16_ep200.torch",
        ..LUNIT_ENTRY
    },
    Known {
        name: "lunit-dino-vits8",
        network: Network::Published(VisionTransformer(TransformerShape {
            patch: 8,
            ..TRANSFORMER
        })),
        source: "github.com/lunit-io/benchmark-ssl-pathology, release pretrained-weights: \
                 dino_vit_small_patch8_ep200.torch",
        ..LUNIT_ENTRY
    },
    Known {
        name: "phikon",
        by: "Owkin",
        network: Network::Published(VisionTransformer(TransformerShape {
            naming: Naming::HuggingFaceVit,
            width: 768,
            ..TRANSFORMER
        })),
        microns_per_pixel: Some(0.5),
        licence: "Owkin's, non-commercial",
        source: "huggingface.co/owkin/phikon",
        ..ENTRY
    },
    Known {
        name: "phikon-v2",
        by: "Owkin",
        network: Network::Published(VisionTransformer(TransformerShape {
            naming: Naming::HuggingFaceDinov2,
            width: 1024,
            depth: 24,
            layer_scale: true,
            ..TRANSFORMER
        })),
        microns_per_pixel: Some(0.5),
        licence: "Owkin's, non-commercial",
        source: "huggingface.co/owkin/phikon-v2",
        ..ENTRY
    },
    Known {
        name: "prov-gigapath",
        by: "Microsoft and Providence",
        network: Network::Published(VisionTransformer(TransformerShape {
            width: 1536,
            depth: 40,
            gated: true,
            layer_scale: true,
            ..TRANSFORMER
        })),
        resized: Some(256),
        microns_per_pixel: Some(0.5),
        licence: "Prov-GigaPath's, non-commercial research",
        source: "huggingface.co/prov-gigapath/prov-gigapath (the tile encoder), gated",
        ..ENTRY
    },
    Known {
        name: "resnet",
        network: Network::AnyResNet,
        pooling: Pooling::Average,
        source: "torchvision or timm",
        ..ENTRY
    },
    Known {
        name: "retccl",
        by: "Wang et al.",
        network: Network::Published(ResNet {
            width: 64,
            blocks: [3, 4, 6, 3],
            bottleneck: true,
        }),
        size: 256,
        pooling: Pooling::Average,
        microns_per_pixel: Some(1.0),
        licence: "GPL 3.0, non-commercial academic",
        source: "github.com/Xiyue-Wang/RetCCL: best_ckpt.pth",
        ..ENTRY
    },
    Known {
        name: "uni",
        by: "Mahmood Lab",
        network: Network::Published(VisionTransformer(TransformerShape {
            width: 1024,
            depth: 24,
            layer_scale: true,
            ..TRANSFORMER
        })),
        microns_per_pixel: Some(0.5),
        licence: NON_COMMERCIAL,
        source: "huggingface.co/MahmoodLab/UNI, gated",
        ..ENTRY
    },
    Known {
        name: "uni2-h",
        by: "Mahmood Lab",
        network: Network::Published(VisionTransformer(TransformerShape {
            width: 1536,
            depth: 24,
            patch: 14,
            registers: 8,
            gated: true,
            layer_scale: true,
            ..TRANSFORMER
        })),
        microns_per_pixel: Some(0.5),
        licence: NON_COMMERCIAL,
        source: "huggingface.co/MahmoodLab/UNI2-h, gated",
        ..ENTRY
    },
    Known {
        name: "virchow",
        by: "Paige",
        network: Network::Published(VisionTransformer(TransformerShape {
            width: 1280,
            depth: 32,
            patch: 14,
            gated: true,
            layer_scale: true,
            ..TRANSFORMER
        })),
        pooling: Pooling::ClassTokenAndMeanOfPatches,
        heads: Some(16),
        microns_per_pixel: Some(0.5),
        licence: "Apache 2.0",
        source: "huggingface.co/paige-ai/Virchow, gated",
        ..ENTRY
    },
    Known {
        name: "virchow2",
        by: "Paige",
        network: Network::Published(VisionTransformer(TransformerShape {
            width: 1280,
            depth: 32,
            patch: 14,
            registers: 4,
            gated: true,
            layer_scale: true,
            ..TRANSFORMER
        })),
        pooling: Pooling::ClassTokenAndMeanOfPatches,
        heads: Some(16),
        licence: NON_COMMERCIAL,
        source: "huggingface.co/paige-ai/Virchow2, gated",
        ..ENTRY
    },
    ENTRY,
];

impl Known {
    /// The network in words.
    pub fn describe(&self) -> String {
        match &self.network {
            Network::Published(shape) => shape.to_string(),
            Network::AnyVisionTransformer => "any vision transformer".to_owned(),
            Network::AnyResNet => "any ResNet".to_owned(),
        }
    }

    /// Components of its embeddings; `None` where it depends on the file.
    pub fn dimension(&self) -> Option<usize> {
        match &self.network {
            Network::Published(shape) => Some(shape.dimension(self.pooling)),
            Network::AnyVisionTransformer | Network::AnyResNet => None,
        }
    }

    fn fits(&self, shape: &Shape) -> bool {
        match &self.network {
            Network::Published(published) => published == shape,
            Network::AnyVisionTransformer => matches!(shape, VisionTransformer(_)),
            Network::AnyResNet => matches!(shape, ResNet { .. }),
        }
    }

    /// The card that its file lacks; `native_size` is what a vision transformer's positions are for. How images are made
    /// for any transformer or ResNet may stand beside the file.
    fn card(&self, file: &str, native_size: Option<u32>) -> Result<Card, EncoderError> {
        let beside = match self.network {
            Network::Published(_) => None,
            Network::AnyVisionTransformer | Network::AnyResNet => colours_beside(Path::new(file))?,
        };
        let Colours { mean, std } = beside.unwrap_or(self.colours);
        let size = match self.network {
            Network::AnyVisionTransformer => native_size.unwrap_or(self.size),
            _ => self.size,
        };
        Ok(Card {
            name: self.name.to_owned(),
            size,
            mean,
            std,
            resized: self.resized,
            pooling: self.pooling,
            heads: self.heads,
            microns_per_pixel: self.microns_per_pixel,
        })
    }
}

/// How images are made for the encoder in a file without a card: by the name that the user gave. Its tensors alone do not
/// tell, for many networks that were trained on other images have the same shapes.
pub(super) fn card(
    file: &str,
    shape: &Shape,
    native_size: Option<u32>,
    name: Option<&str>,
) -> Result<Card, EncoderError> {
    if shape.is_of_no_published_depth() {
        return Err(EncoderError::Depth {
            file: file.to_owned(),
            found: shape.to_string(),
        });
    }
    let Some(name) = name else {
        return Err(nameless(file, shape));
    };
    let Some(known) = ENCODERS.iter().find(|known| known.name == name) else {
        let names = ENCODERS.iter().map(|known| known.name);
        return Err(EncoderError::Name {
            name: name.to_owned(),
            known: names.collect::<Vec<_>>().join(", "),
        });
    };
    if !known.fits(shape) {
        return Err(EncoderError::NotPublished {
            file: file.to_owned(),
            name: name.to_owned(),
            expected: match &known.network {
                Network::Published(shape) => format!("a {shape}"),
                _ => known.describe(),
            },
            found: shape.to_string(),
        });
    }
    known.card(file, native_size)
}

/// What is said of a file that nobody named: whose it may be.
fn nameless(file: &str, shape: &Shape) -> EncoderError {
    let fitting = ENCODERS.iter().filter(|known| known.fits(shape));
    let (published, any): (Vec<&Known>, Vec<&Known>) =
        fitting.partition(|known| matches!(known.network, Network::Published(_)));
    let names = |entries: &[&Known]| {
        let names = entries.iter().map(|known| known.name);
        names.collect::<Vec<_>>().join(", ")
    };
    let published = match published.as_slice() {
        [] => "no published encoder known here has this network".to_owned(),
        some => format!("published ones are {}", names(some)),
    };
    EncoderError::Ambiguous {
        file: file.to_owned(),
        found: shape.to_string(),
        candidates: format!(
            "{published}; {} takes the mean and deviation beside the file (preprocessor_config.json, or timm's config.json), or \
             ImageNet's",
            names(&any)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(shape: &Shape, name: Option<&str>) -> String {
        card("some.pth", shape, None, name).unwrap_err().to_string()
    }

    #[test]
    fn a_shape_alone_is_taken_for_no_published_encoder() {
        let published = ENCODERS.iter().filter_map(|known| match &known.network {
            Network::Published(shape) => Some((known.name, shape)),
            _ => None,
        });
        for (name, shape) in published {
            let told = card("some.pth", shape, Some(224), None).unwrap_err();
            assert!(told.to_string().contains(name), "{told}");
            let named = card("some.pth", shape, Some(224), Some(name)).unwrap();
            assert_eq!(named.name, name);
        }
    }

    #[test]
    fn incomplete_resnets_are_refused() {
        let resnet = |blocks, bottleneck| ResNet {
            width: 64,
            blocks,
            bottleneck,
        };
        for name in [None, Some("resnet")] {
            let told = refusal(&resnet([2, 2, 2, 1], false), name);
            assert!(
                told.contains("holds a ResNet, blocks 2-2-2-1, and no published"),
                "{told}"
            );
        }
        let whole = resnet([3, 4, 23, 3], true);
        assert_eq!(whole.to_string(), "ResNet-101");
        assert!(card("some.pth", &whole, None, Some("resnet")).is_ok());
    }

    #[test]
    fn what_another_network_is_not_is_said_in_words() {
        let told = refusal(&VisionTransformer(TRANSFORMER), Some("resnet"));
        assert!(
            told.contains("is not resnet, which is any ResNet: it holds a ViT"),
            "{told}"
        );
        let told = refusal(&VisionTransformer(TRANSFORMER), Some("retccl"));
        assert!(
            told.contains("is not retccl, which is a ResNet-50: it holds"),
            "{told}"
        );
    }
}
