//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use cleanslide_data::VersionId;

use crate::commands;

/// Trains trustworthy models on untrustworthy labels, in microscopy and histopathology.
///
/// Finds wrong labels, learns in spite of them, proposes corrections and says how sure it is.
/// Start with `cleanslide demo`.
#[derive(Debug, Parser)]
#[command(
    name = "cleanslide",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cleanslide {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Print the result as JSON on standard output
    #[arg(long, global = true, help_heading = "Common options")]
    pub json: bool,
    /// Seed of every random choice: same inputs, seed and threads, same bytes
    #[arg(
        long,
        global = true,
        default_value_t = 0,
        help_heading = "Common options"
    )]
    pub seed: u64,
    /// Processor threads; 0 is all there are
    #[arg(
        long,
        global = true,
        default_value_t = 0,
        help_heading = "Common options"
    )]
    pub threads: usize,
    /// Where networks run; this build knows `cpu`
    #[arg(
        long,
        global = true,
        default_value = "cpu",
        help_heading = "Common options"
    )]
    pub device: String,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// See the whole path on simulated tissue with known truth, in under two minutes
    Demo(commands::demo::Demo),
    /// Make a dataset from labels that exist, or add them to one
    Import(commands::import::Import),
    /// Show what is in a dataset
    Status(commands::status::Status),
    /// List the label versions of a dataset and how each came about
    Log(commands::log::Log),
    /// Show what changed between two label versions
    Diff(commands::diff::Diff),
    /// Divide a dataset into training, validation and test, by case
    Split(commands::split::Split),
    /// Make a dataset of simulated tissue with known truth
    Simulate(commands::simulate::Simulate),
    /// Add label noise of a known kind and rate, keeping the truth apart
    Inject(commands::inject::Inject),
    /// Combine the labels of several annotators into one consensus
    Fuse(commands::fuse::Fuse),
    /// Compute the embeddings of a dataset's images, once
    Embed(commands::embed::Embed),
    /// Find the labels that are probably wrong, and say how much noise there is
    Audit(commands::audit::Audit),
    /// Train a classifier in spite of wrong labels
    Train(commands::train::Train),
    /// Correct suspicious labels, as a new label version
    Correct(commands::correct::Correct),
    /// Classify images with a trained classifier
    Predict(commands::predict::Predict),
    /// Measure predictions or labels against a reference, with 95 % intervals
    Evaluate(commands::evaluate::Evaluate),
    /// Compare methods over kinds and rates of noise, every cell with seeds and intervals
    Bench(commands::bench::Bench),
    /// Write what runs found as one HTML file
    Report(commands::report::Report),
    /// Write a label version as a csv table
    Export(commands::export::Export),
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
    /// `classical` (stain, texture and nuclei; needs no weights) or a safetensors file of
    /// EfficientNet-Lite0
    #[arg(long, default_value = "classical", value_name = "NAME|FILE")]
    pub encoder: String,
    /// Use only the central square of this many pixels of each image
    #[arg(long, value_name = "PIXELS")]
    pub crop: Option<u32>,
    /// Stop at the first image that cannot be used, instead of leaving it out
    #[arg(long)]
    pub strict: bool,
}
