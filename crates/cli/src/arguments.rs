//! Arguments that commands share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use cleanslide_data::VersionId;
use cleanslide_nn::devices::DeviceName;

use crate::failure::{Failure, Result};

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Print the result as JSON on standard output
    #[arg(long, global = true, help_heading = "Common options")]
    pub json: bool,
    /// Seed of every random choice: same inputs, seed and threads, same bytes; by default that of the recipe, or 0
    #[arg(long, global = true, help_heading = "Common options")]
    pub seed: Option<u64>,
    /// Processor threads; 0 is all there are
    #[arg(
        long,
        global = true,
        default_value_t = 0,
        help_heading = "Common options"
    )]
    pub threads: usize,
}

/// Where networks for pixels and objects run.
#[derive(Debug, Clone, Copy, Args)]
pub struct DeviceArgument {
    /// Where a network for pixels or objects runs: `cpu`, the same bytes each time, or in builds with the feature
    /// `vulkan` also a GPU
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    device: Device,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Device {
    Cpu,
    Vulkan,
}

impl DeviceArgument {
    /// The device that was asked for.
    pub fn name(self) -> DeviceName {
        match self.device {
            Device::Cpu => DeviceName::Cpu,
            Device::Vulkan => DeviceName::Vulkan,
        }
    }

    /// Refuses a GPU where no network for pixels or objects runs.
    pub fn refuse_gpu(self) -> Result<()> {
        match self.device {
            Device::Cpu => Ok(()),
            Device::Vulkan => Err(Failure::usage(
                "`--device vulkan` is for networks for pixels and objects; classes of images need the processor alone",
            )),
        }
    }
}

/// The dataset of a command.
#[derive(Debug, Clone, Args)]
pub struct DatasetArgument {
    /// Folder of the dataset
    #[arg(value_name = "DATASET")]
    pub dataset: PathBuf,
}

/// Which labels a command uses.
#[derive(Debug, Clone, Args)]
pub struct LabelsArguments {
    /// Label version, such as v2; the latest by default
    #[arg(long, value_name = "VERSION")]
    pub labels: Option<VersionId>,
    /// Whose labels; `all` takes the votes of all annotators as soft labels. By default what the
    /// version is about, or the only source
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
}

/// Which encoder turns images into embeddings.
#[derive(Debug, Clone, Args)]
pub struct EncoderArguments {
    /// `classical` (stain, texture and nuclei; needs no weights), a file of weights, or NAME=FILE
    /// with a name that `cleanslide encoders` lists
    #[arg(long, default_value = "classical", value_name = "NAME|FILE|NAME=FILE")]
    pub encoder: String,
    /// Use only the central square of this many pixels of each image
    #[arg(long, value_name = "PIXELS")]
    pub crop: Option<u32>,
    /// Stop at the first image that cannot be used, instead of leaving it out
    #[arg(long)]
    pub strict: bool,
}

/// The size of a pixel, in microns.
pub fn microns(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(size) if size > 0.0 && size.is_finite() => Ok(size),
        _ => Err("expected a size in microns above 0, such as 0.5".to_owned()),
    }
}
