//! `cleanslide embed`: embeddings of all images, computed once.

mod files;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use cleanslide_data::{Dataset, ImageRecord, image_size};
use cleanslide_learn::embed::{EmbedSettings, Embeddings, embed};
use cleanslide_nn::encoders::{Encoder, open};
use serde::Serialize;

use crate::arguments::EncoderArguments;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::{Show, count, thousands};
use crate::progress;

use self::files::FilesArguments;

/// Compute embeddings, once: of a dataset's images, or of any images and slides
///
/// Those of a dataset are kept below it, by the content of the encoder and of each image, and every other command finds
/// them there. With `--out`, images, folders and slides (as tiles) are embedded into a folder, in blocks that several
/// machines can share among them. A run that is killed goes on where it was.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cleanslide embed mitoses\n  \
cleanslide embed mitoses --encoder efficientnet-lite0.safetensors --crop 64\n  \
cleanslide embed slides/*.svs --encoder phikon=phikon.safetensors --out embeddings --half --shard 1/4")]
pub struct Embed {
    /// Folder of a dataset; with `--out` images, slides, or folders of them
    #[arg(required = true, value_name = "DATASET|FILES")]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    encoder: EncoderArguments,
    #[command(flatten)]
    files: FilesArguments,
}

#[derive(Debug, Serialize)]
struct Summary {
    encoder: String,
    /// What its tensors tell, such as ResNet-18.
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<String>,
    identity: String,
    folder: PathBuf,
    images: usize,
    dimension: usize,
    computed: usize,
    left_out: usize,
    seconds: f64,
}

impl Embed {
    pub fn run(self, context: &Context) -> Result<()> {
        if let Some(out) = &self.files.out {
            return files::run(context, &self.inputs, &self.encoder, &self.files, out);
        }
        self.files.refuse()?;
        let [dataset] = &self.inputs[..] else {
            return Err(Failure::usage(
                "several files are embedded into a folder, and none is named",
            )
            .help("Name it with `--out`; without it, the one thing to embed is a dataset."));
        };
        let dataset = context.open(dataset)?;
        let start = Instant::now();
        let (encoder, embeddings) = embeddings(context, &dataset, &self.encoder)?;
        context.output.show(&Summary {
            encoder: encoder.name().to_owned(),
            network: encoder.network(),
            identity: encoder.identity(),
            folder: dataset.folder().join("embeddings").join(encoder.identity()),
            images: embeddings.images.len(),
            dimension: encoder.dimension(),
            computed: embeddings.computed,
            left_out: embeddings.problems.len(),
            seconds: start.elapsed().as_secs_f64(),
        })
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let network = self.network.as_ref();
        let mut text = format!(
            "{} × {} features by {}{}: {} computed now, {} from the cache, in {:.1} s",
            count(self.images, "image"),
            thousands(self.dimension),
            self.encoder,
            network.map_or_else(String::new, |network| format!(" ({network})")),
            thousands(self.computed),
            thousands(self.images - self.computed.min(self.images)),
            self.seconds,
        );
        if self.left_out > 0 {
            text.push_str(&format!("\n{} left out", count(self.left_out, "bad image")));
        }
        text
    }
}

/// Opens the encoder and embeds the dataset, with a progress bar and warnings.
pub fn embeddings(
    context: &Context,
    dataset: &Dataset,
    arguments: &EncoderArguments,
) -> Result<(Box<dyn Encoder>, Embeddings)> {
    let encoder = open(&arguments.encoder, arguments.crop)?;
    let settings = EmbedSettings {
        strict: arguments.strict,
        ..EmbedSettings::default()
    };
    let bar = progress::bar("embedding images", dataset.images().len());
    let result = embed(dataset, encoder.as_ref(), settings, |done, _| {
        bar.set_position(done as u64)
    });
    bar.finish_and_clear();
    let embeddings = result?;
    for (notice, number) in &embeddings.notices {
        context
            .output
            .warn(&format!("{}: {}", count(*number, "image"), notice.text()));
    }
    const SHOWN: usize = 5;
    for problem in embeddings.problems.iter().take(SHOWN) {
        context.output.warn(&problem.error.to_string());
    }
    if !embeddings.problems.is_empty() {
        context.output.warn(&format!(
            "{} left out; `--strict` stops at the first",
            count(embeddings.problems.len(), "bad image")
        ));
    }
    if let Some(warning) = other_scale(dataset, encoder.as_ref(), &embeddings.images)? {
        context.output.warn(&warning);
    }
    Ok((encoder, embeddings))
}

/// Scales that differ by less than this share are the same to an encoder.
const SAME_SCALE: f64 = 0.1;

/// Says that an encoder sees images at another scale than those that it was trained on: images are resized to its size, and
/// all of one size of pixels are taken to be as large as the first of them.
fn other_scale(
    dataset: &Dataset,
    encoder: &dyn Encoder,
    images: &[usize],
) -> Result<Option<String>> {
    let (Some(trained), Some(native)) = (encoder.microns_per_pixel(), encoder.native_side()) else {
        return Ok(None);
    };
    let mut by_size: BTreeMap<u64, Vec<&ImageRecord>> = BTreeMap::new();
    for &image in images {
        let record = &dataset.images()[image];
        if let Some(microns) = record.microns_per_pixel {
            by_size.entry(microns.to_bits()).or_default().push(record);
        }
    }
    let mut others = Vec::new();
    for (bits, records) in by_size {
        let microns = f64::from_bits(bits);
        let side = match encoder.crop() {
            Some(crop) => f64::from(crop),
            None => {
                let (height, width) = image_size(&dataset.image_path(records[0]))?;
                height.min(width) as f64
            }
        };
        let seen = microns * side / f64::from(native);
        if (seen / trained - 1.0).abs() > SAME_SCALE {
            others.push((records, microns, seen));
        }
    }
    let Some((first, microns, seen)) = others.first() else {
        return Ok(None);
    };
    let number = others.iter().map(|(records, ..)| records.len()).sum();
    Ok(Some(format!(
        "{} at another scale than those that {} was trained on ({trained} microns per pixel), such as {} ({seen:.3} as it sees \
         it): its features may say less. Of images with pixels of {microns} microns, `--crop {:.0}` is at that scale.",
        count(number, "image"),
        encoder.name(),
        first[0].id,
        f64::from(native) * trained / microns
    )))
}
