//! What every command has: common flags, and how to record what was done.

use std::path::Path;

use cleanslide_data::{Dataset, Provenance};
use jiff::Timestamp;

use crate::arguments::Common;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// The surroundings of a command.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where results go.
    pub output: Output,
    /// Seed of every random choice.
    pub seed: u64,
    /// That of `--seed`, if it was given.
    pub asked_seed: Option<u64>,
    /// Threads in use.
    pub threads: usize,
}

impl Context {
    /// Checks the common flags and starts the threads.
    pub fn new(common: &Common) -> Result<Self> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(common.threads)
            .build_global()
            .map_err(|error| Failure::environment(format!("failed to start threads: {error}")))?;
        Ok(Self {
            output: Output { json: common.json },
            seed: common.seed.unwrap_or_default(),
            asked_seed: common.seed,
            threads: rayon::current_num_threads(),
        })
    }

    /// The same with the seed of a recipe, unless `--seed` says another.
    pub fn with_seed_of_recipe(&self, seed: u64) -> Self {
        Self {
            seed: self.asked_seed.unwrap_or(seed),
            ..self.clone()
        }
    }

    /// How a label version comes about, for its record.
    pub fn provenance(&self, summary: impl Into<String>) -> Provenance {
        Provenance {
            summary: summary.into(),
            created: now(),
            command: command_line(),
            program: program(),
            seed: self.seed,
        }
    }

    /// Opens a dataset.
    pub fn open(&self, folder: &Path) -> Result<Dataset> {
        Ok(Dataset::open(folder)?)
    }
}

/// Name and version of this program.
pub fn program() -> String {
    format!("cleanslide {}", env!("CARGO_PKG_VERSION"))
}

/// The command as it was given.
pub fn command_line() -> String {
    let quote = |argument: String| {
        if argument.is_empty() || argument.contains(char::is_whitespace) {
            format!("'{argument}'")
        } else {
            argument
        }
    };
    let arguments = std::env::args_os()
        .skip(1)
        .map(|text| quote(text.to_string_lossy().into_owned()));
    std::iter::once("cleanslide".to_owned())
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The time in UTC, to the second. `SOURCE_DATE_EPOCH` replaces it where outputs must be the same
/// bytes each time.
pub fn now() -> String {
    let fixed = std::env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|text| text.parse().ok())
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    let time = fixed.unwrap_or_else(Timestamp::now);
    Timestamp::from_second(time.as_second())
        .unwrap_or(time)
        .to_string()
}
