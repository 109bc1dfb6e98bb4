//! Rows of tiles that are done, and what was found in each tile.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use cleanslide_data::store::write_file;
use cleanslide_data::{Error, to_csv};
use cleanslide_slide::PlannedTile;
use serde::{Deserialize, Serialize};

use super::Finder;
use super::tissue::SlideRecord;
use crate::failure::{Failure, Result};
use crate::json_file::{read_json, write_json};

/// What was found in the tissue of a tile, without its margins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TileLine {
    /// Its number in the plan.
    pub tile: u64,
    pub column: u64,
    pub row: u64,
    /// What was counted; nothing if it could not be decoded.
    pub counts: Vec<u64>,
}

impl TileLine {
    /// A tile that could not be decoded.
    pub fn left_out(tile: &PlannedTile) -> Self {
        Self {
            tile: tile.number,
            column: tile.column,
            row: tile.row,
            counts: Vec::new(),
        }
    }
}

/// The rows of a slide that are done, as files.
pub struct Rows<'a, F> {
    folder: PathBuf,
    finder: &'a F,
    /// Those with tiles, in their order.
    pub numbers: Vec<u64>,
}

impl<'a, F: Finder> Rows<'a, F> {
    /// In a folder, of which nothing is known yet.
    pub fn new(folder: PathBuf, finder: &'a F) -> Self {
        Self {
            folder,
            finder,
            numbers: Vec::new(),
        }
    }

    /// Begins with a slide, or goes on: what was done of another file of its name is removed.
    pub fn begin(&self, record: &SlideRecord) -> Result<()> {
        if self.folder.exists() && !record.is_of(&self.folder).unwrap_or(false) {
            self.remove()?;
        }
        record.write(&self.folder)
    }

    fn file(&self, row: u64) -> PathBuf {
        self.folder.join(format!("row-{row:06}"))
    }

    /// Whether a row is done, with all of its tiles: what could not be decoded is tried again.
    pub fn has(&self, row: u64) -> Result<bool> {
        if !self.file(row).with_extension("json").is_file() {
            return Ok(false);
        }
        let lines = self.lines(row)?;
        Ok(lines.iter().all(|line| !line.counts.is_empty()))
    }

    /// Says that a row is done: the table comes last.
    pub fn keep(&self, row: u64, lines: &[TileLine], found: &F::Found) -> Result<()> {
        self.finder.keep(&self.file(row), found)?;
        write_json(&self.file(row).with_extension("json"), &lines)
    }

    /// The tiles of a row that is done.
    pub fn lines(&self, row: u64) -> Result<Vec<TileLine>> {
        read_json(&self.file(row).with_extension("json"))
    }

    /// What was found in a row that is done.
    pub fn found(&self, row: u64) -> Result<F::Found> {
        self.finder.kept(&self.file(row))
    }

    /// The tiles of all rows.
    pub fn all_lines(&self) -> Result<Vec<TileLine>> {
        let rows = self.numbers.iter().map(|row| self.lines(*row));
        Ok(rows.collect::<Result<Vec<_>>>()?.concat())
    }

    /// Removes all of them.
    pub fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io("remove", &self.folder, error).into())
            }
            _ => Ok(()),
        }
    }
}

const PLACE: [&str; 3] = ["tile", "column", "row"];

/// Writes the table of tiles: the counts, nothing of one that could not be decoded.
pub fn write_tiles(
    path: &Path,
    columns: &[String],
    tiles: &[TileLine],
) -> cleanslide_data::Result<()> {
    let names = columns.iter().map(String::as_str);
    let header: Vec<&str> = PLACE.into_iter().chain(names).collect();
    let rows = tiles.iter().map(|line| {
        let place = [line.tile, line.column, line.row].map(|number| number.to_string());
        let counts = (0..columns.len()).map(|column| {
            let count = line.counts.get(column);
            count.map_or_else(String::new, u64::to_string)
        });
        place.into_iter().chain(counts).collect::<Vec<_>>()
    });
    write_file(path, &to_csv(&header, rows))
}

/// Reads the table of tiles of a slide that is done.
pub fn read_tiles(path: &Path, columns: &[String]) -> Result<Vec<TileLine>> {
    let text = fs::read_to_string(path).map_err(|error| Error::io("read", path, error))?;
    let damaged = |line: usize| {
        Failure::input(format!("{}, line {line}: no row of tiles", path.display()))
            .help("Remove the folder of this slide: it is predicted again.")
    };
    // Names of classes may have commas; numbers have none, and they come first on no line but the first.
    let lines = text.lines().enumerate().skip(1);
    lines
        .map(|(number, line)| {
            let damaged = || damaged(number + 1);
            let fields: Vec<&str> = line.split(',').collect();
            if fields.len() != PLACE.len() + columns.len() {
                return Err(damaged());
            }
            let number = |text: &&str| text.parse().map_err(|_| damaged());
            let counts: Vec<&&str> = fields[PLACE.len()..]
                .iter()
                .filter(|of| !of.is_empty())
                .collect();
            Ok(TileLine {
                tile: number(&fields[0])?,
                column: number(&fields[1])?,
                row: number(&fields[2])?,
                counts: counts.into_iter().map(number).collect::<Result<_>>()?,
            })
        })
        .collect()
}
