//! `cleanslide embed`: embeddings of all images, computed once.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use cleanslide_data::Dataset;
use cleanslide_learn::embed::{EmbedSettings, Embeddings, embed};
use cleanslide_nn::encoders::{Encoder, open};
use serde::Serialize;

use crate::arguments::{DatasetArgument, EncoderArguments};
use crate::context::Context;
use crate::failure::Result;
use crate::output::{Show, count, thousands};
use crate::progress;

/// Compute the embeddings of a dataset's images, once
///
/// They are kept below the dataset, by the content of the encoder and of each image, and every
/// other command finds them there. A run that is killed goes on where it was.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cleanslide embed mitoses\n  \
cleanslide embed mitoses --encoder efficientnet-lite0.safetensors --crop 64")]
pub struct Embed {
    #[command(flatten)]
    dataset: DatasetArgument,
    #[command(flatten)]
    encoder: EncoderArguments,
}

#[derive(Debug, Serialize)]
struct Summary {
    encoder: String,
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
        let dataset = context.open(&self.dataset.dataset)?;
        let start = Instant::now();
        let (encoder, embeddings) = embeddings(context, &dataset, &self.encoder)?;
        context.output.show(&Summary {
            encoder: encoder.name().to_owned(),
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
        let mut text = format!(
            "{} × {} features by {}: {} computed now, {} from the cache, in {:.1} s",
            count(self.images, "image"),
            thousands(self.dimension),
            self.encoder,
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
    Ok((encoder, embeddings))
}
