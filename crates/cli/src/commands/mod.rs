//! One file per verb.

pub mod audit;
pub mod bench;
pub mod correct;
pub mod demo;
pub mod diff;
pub mod embed;
pub mod evaluate;
pub mod export;
pub mod fuse;
pub mod import;
pub mod inject;
pub mod log;
pub mod predict;
pub mod report;
pub mod simulate;
pub mod split;
pub mod status;
pub mod train;

use crate::arguments::{Cleanslide, Command};
use crate::context::Context;
use crate::failure::Result;

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
        Command::Fuse(command) => command.run(&context),
        Command::Embed(command) => command.run(&context),
        Command::Audit(command) => command.run(&context),
        Command::Train(command) => command.run(&context),
        Command::Correct(command) => command.run(&context),
        Command::Predict(command) => command.run(&context),
        Command::Evaluate(command) => command.run(&context),
        Command::Bench(command) => command.run(&context),
        Command::Report(command) => command.run(&context),
        Command::Export(command) => command.run(&context),
    }
}
