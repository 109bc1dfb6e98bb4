//! The command line: one file per verb.

pub mod advise;
pub mod agreement;
pub mod audit;
pub mod bench;
pub mod cases;
pub mod correct;
pub mod demo;
pub mod diff;
pub mod doctor;
pub mod embed;
pub mod encoders;
pub mod evaluate;
pub mod export;
pub mod fuse;
pub mod import;
pub mod infiltration;
pub mod inject;
pub mod log;
pub mod predict;
pub mod pretrain;
pub mod report;
pub mod simulate;
pub mod split;
pub mod status;
pub mod train;
pub mod weak;

use clap::{Parser, Subcommand};

use crate::arguments::Common;
use crate::context::Context;
use crate::failure::Result;

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

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// See the whole path on simulated tissue with known truth, in under two minutes
    Demo(demo::Demo),
    /// Make a dataset from labels that exist, or add them to one
    Import(import::Import),
    /// Show what is in a dataset
    Status(status::Status),
    /// List the label versions of a dataset and how each came about
    Log(log::Log),
    /// Show what changed between two label versions
    Diff(diff::Diff),
    /// Divide a dataset into training, validation and test, by case
    Split(split::Split),
    /// Make a dataset of simulated tissue with known truth
    Simulate(simulate::Simulate),
    /// Add label noise of a known kind and rate, keeping the truth apart
    Inject(inject::Inject),
    /// Label images by image processing: circles, blobs, nuclei, outlines
    Weak(weak::Weak),
    /// Combine the labels of several annotators into one consensus
    Fuse(fuse::Fuse),
    /// Measure how far experts agree with each other, with 95 % intervals
    Agreement(agreement::Agreement),
    /// Train an encoder on images without labels
    Pretrain(pretrain::Pretrain),
    /// Compute the embeddings of a dataset's images, once
    Embed(embed::Embed),
    /// List the published encoders whose files can be used, and where to get them
    Encoders(encoders::Encoders),
    /// Find the labels that are probably wrong, and say how much noise there is
    Audit(audit::Audit),
    /// Choose a method that suits the noise of your labels, by these labels alone
    ///
    /// Says how much noise there is and of which kind, tries methods by repeated cross-validation over cases, and
    /// recommends one: plain training (cross-entropy), unless another gains at least half a point of balanced accuracy
    /// against the given labels of cases that were not seen, and does so in five of six resamples of the cases. Methods
    /// that are clearly worse after the first repeat are not tried again. No reference is read. With `--out`, writes
    /// advice.json, recipe.toml for `train --recipe` and report.html.
    Advise(advise::Advise),
    /// Train a model in spite of wrong labels
    ///
    /// Classes of images: every labelled image is predicted once by a model that did not see its case (out of
    /// sample); then a final model learns from all of them. The run folder appears when all is done.
    ///
    /// Masks, instances and boxes: a network learns from all labelled images, and one for each fold predicts
    /// what it did not see. The run folder exists from the beginning: the same command goes on after an
    /// interruption, here or on another machine.
    ///
    /// Images for test are not learned from: the model of all other images predicts them, and `evaluate` measures it.
    Train(train::Train),
    /// Correct suspicious labels, as a new label version
    Correct(correct::Correct),
    /// Predict classes, masks, objects or boxes of images with a trained model
    ///
    /// Classes of images go into a table. Classes of pixels go into a folder, as a mask NAME.png for each image;
    /// objects as an instance mask NAME.png and their outlines NAME.geojson, which QuPath reads; boxes as
    /// NAME.geojson and, of all images, boxes.csv.
    Predict(predict::Predict),
    /// Measure predictions or labels against a reference, with 95 % intervals
    Evaluate(evaluate::Evaluate),
    /// Measure how densely cells of a class lie in tissue, and where they form foci
    Infiltration(infiltration::Infiltration),
    /// Call each case by how much of each tumour was predicted, and say when that is too little
    Cases(cases::Cases),
    /// Compare methods over kinds and rates of noise, or over networks; every cell with seeds and intervals
    ///
    /// Each cell predicts every image by models that did not see its case, and is judged against the reference; where
    /// several experts drew class masks, against each of them too. Of boxes and of masks of objects, where there are
    /// images for test, each cell is one network of all others, and these are judged. A bench that is killed goes on
    /// where it was.
    Bench(bench::Bench),
    /// Write what runs found as one HTML file
    Report(report::Report),
    /// Write labels as a csv table, or in the formats of other programs
    Export(export::Export),
    /// Show what this machine and this build can do, with a speed test of ten seconds
    Doctor(doctor::Doctor),
}

/// Runs a command.
pub fn run(arguments: Cleanslide) -> Result<()> {
    let context = Context::new(&arguments.common)?;
    match arguments.command {
        Command::Demo(command) => command.run(&context),
        Command::Import(command) => command.run(&context),
        Command::Status(command) => command.run(&context),
        Command::Log(command) => command.run(&context),
        Command::Diff(command) => command.run(&context),
        Command::Split(command) => command.run(&context),
        Command::Simulate(command) => command.run(&context),
        Command::Inject(command) => command.run(&context),
        Command::Weak(command) => command.run(&context),
        Command::Fuse(command) => command.run(&context),
        Command::Agreement(command) => command.run(&context),
        Command::Embed(command) => command.run(&context),
        Command::Pretrain(command) => command.run(&context),
        Command::Encoders(command) => command.run(&context),
        Command::Audit(command) => command.run(&context),
        Command::Advise(command) => command.run(&context),
        Command::Train(command) => command.run(&context),
        Command::Correct(command) => command.run(&context),
        Command::Predict(command) => command.run(&context),
        Command::Evaluate(command) => command.run(&context),
        Command::Infiltration(command) => command.run(&context),
        Command::Cases(command) => command.run(&context),
        Command::Bench(command) => command.run(&context),
        Command::Report(command) => command.run(&context),
        Command::Export(command) => command.run(&context),
        Command::Doctor(command) => command.run(&context),
    }
}
