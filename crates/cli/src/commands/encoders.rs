//! `cleanslide encoders`: the published encoders whose files can be used.

use clap::Args;
use cleanslide_nn::encoders::known::{ENCODERS, Known};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Result;
use crate::output::{Show, thousands};
use crate::text_table::TextTable;

/// List the published encoders whose files can be used, and where to get them
///
/// Nothing is downloaded: get the file, mind its licence, and give it as `--encoder NAME=FILE`: the tensors alone do not
/// tell how images are to be made for it. `vit=FILE` and `resnet=FILE` take any vision transformer and any ResNet, with the
/// mean and deviation that stand beside the file (`preprocessor_config.json` of Hugging Face, or timm's `config.json`), or
/// else with those of ImageNet. Images of another size are resized whole (bilinear). Safetensors files and PyTorch
/// checkpoints are read.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cleanslide encoders\n  \
cleanslide embed mitoses --encoder phikon=model.safetensors")]
pub struct Encoders {}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Table(Vec<Row>);

#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    by: &'static str,
    network: String,
    /// `null` where it depends on the file.
    dimension: Option<usize>,
    size: u32,
    pooling: String,
    microns_per_pixel: Option<f64>,
    licence: &'static str,
    source: &'static str,
}

impl Encoders {
    pub fn run(self, context: &Context) -> Result<()> {
        context
            .output
            .show(&Table(ENCODERS.iter().map(Row::new).collect()))
    }
}

impl Row {
    fn new(known: &Known) -> Self {
        Self {
            name: known.name,
            by: known.by,
            network: known.describe(),
            dimension: known.dimension(),
            size: known.size,
            pooling: known.pooling.to_string(),
            microns_per_pixel: known.microns_per_pixel,
            licence: known.licence,
            source: known.source,
        }
    }
}

impl Show for Table {
    fn text(&self) -> String {
        let mut table = TextTable::new(&[
            "name",
            "<network",
            "features",
            "µm/pixel",
            "<licence",
            "<where",
        ]);
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
        for row in &self.0 {
            table.row([
                row.name.to_owned(),
                row.network.clone(),
                or_dash(row.dimension.map(thousands)),
                or_dash(row.microns_per_pixel.map(|scale| scale.to_string())),
                row.licence.to_owned(),
                row.source.to_owned(),
            ]);
        }
        format!(
            "{}\n\nWithout a file there is `classical`; files of EfficientNet-Lite0 and those that Cleanslide wrote \
             need no name.",
            table.text()
        )
    }
}
