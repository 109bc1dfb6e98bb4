//! The folder of a bench: what it holds, and what the report in it is of.
//!
//! ```text
//! plan.toml        what all cells share: another bench does not go on here
//! bench.json       in the end: the figures; of classes of images beside report.html
//! reported.json    the cells that these are of
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use cleanslide_data::Error;
use cleanslide_data::store::{is_partial, write_file};

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::json_file::{read_json, write_json};
use crate::output::count;

/// What all cells share.
pub const PLAN: &str = "plan.toml";

/// The figures.
pub const FIGURES: &str = "bench.json";

const REPORTED: &str = "reported.json";

/// The plan of cells that are runs of `train`.
const OF_NETWORKS: &str = "# Each cell is a run of `train`, with a config.toml of its own.\n";

/// Refuses a folder that holds something, and none of these files: it is no bench.
pub fn refuse_other(out: &Path, files: &[&str]) -> Result<()> {
    if files.iter().any(|file| out.join(file).exists()) {
        return Ok(());
    }
    let refused = |error| Error::io("read", out, error);
    let entries = match fs::read_dir(out) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(refused)?,
    };
    for entry in entries {
        if !is_partial(&entry.map_err(refused)?.file_name().to_string_lossy()) {
            return Err(Failure::usage(format!(
                "{} is not empty, and is no bench that could go on",
                out.display()
            ))
            .help("Choose another folder with `--out`; a bench removes and replaces files in its own."));
        }
    }
    Ok(())
}

/// Finds the bench of a plan in a folder, or begins it; `others` is what another bench there would be, for messages.
pub fn begin(out: &Path, plan: &str, others: &str) -> Result<()> {
    let path = out.join(PLAN);
    match fs::read_to_string(&path) {
        Ok(known) if known == plan => Ok(()),
        Ok(_) => Err(
            Failure::usage(format!("{} holds a bench of {others}", out.display()))
                .help("Choose another folder with `--out`."),
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Ok(write_file(&path, plan.as_bytes())?)
        }
        Err(error) => Err(Error::io("read", &path, error).into()),
    }
}

/// The same for cells that are runs of `train`.
pub fn begin_networks(out: &Path) -> Result<()> {
    begin(out, OF_NETWORKS, "classes of images")
}

/// What the report in a folder is of, beside what is asked.
pub struct Reported {
    cells: BTreeSet<String>,
    /// Cells that the report has, and that are not asked for.
    others: Vec<String>,
}

impl Reported {
    /// Of these cells, each by its file or folder.
    pub fn new<'a>(out: &Path, cells: impl IntoIterator<Item = &'a Path>) -> Result<Self> {
        let names = cells.into_iter().map(|cell| {
            let name = cell.strip_prefix(out).unwrap_or(cell);
            name.to_string_lossy().into_owned()
        });
        let cells: BTreeSet<String> = names.collect();
        let path = out.join(REPORTED);
        let known: BTreeSet<String> = match path.exists() && out.join(FIGURES).exists() {
            true => read_json(&path)?,
            false => BTreeSet::new(),
        };
        Ok(Self {
            others: known.difference(&cells).cloned().collect(),
            cells,
        })
    }

    /// True if the report is of more than what is asked: it is kept then, and that is told.
    pub fn is_kept(&self, context: &Context, out: &Path) -> bool {
        let Some(other) = self.others.first() else {
            return false;
        };
        context.output.warn(&format!(
            "the report in {} is kept: it has {} that {} not asked for here, such as {other}. Ask for these too to have it \
             written anew, or choose another folder with `--out`.",
            out.display(),
            count(self.others.len(), "cell"),
            if self.others.len() == 1 { "is" } else { "are" },
        ));
        true
    }

    /// Says what the report that is to be written is of.
    pub fn write(&self, out: &Path) -> Result<()> {
        write_json(&out.join(REPORTED), &self.cells)
    }
}
