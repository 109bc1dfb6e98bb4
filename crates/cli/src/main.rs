//! The command `cleanslide`.

// Types of wgpu nest deeper than the default.
#![recursion_limit = "256"]

mod arguments;
mod begun;
mod commands;
mod context;
mod corrected_labels;
mod diagnoses;
mod embedding_map;
mod experts;
mod failure;
mod held;
mod json_file;
mod measures;
mod network_run;
mod new_folder;
mod output;
mod page;
mod pipeline;
mod progress;
mod run_folder;
mod shape_labels;
mod sheet;
mod text_table;
mod truth;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = commands::Cleanslide::parse();
    match commands::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
