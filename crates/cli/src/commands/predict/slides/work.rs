//! Rows of tiles that are done, and what was found in each tile.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use cleanslide_data::mask::read_class_mask;
use cleanslide_data::store::write_file;
use cleanslide_data::{Error, MaskFile, UNLABELLED_CLASS, to_csv};
use cleanslide_learn::segment::most_probable;
use cleanslide_slide::{PlannedTile, TilePlan};
use ndarray::{Array2, Array3, ArrayView3, Axis, s};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};

/// What was found in the tissue of a tile, without its margins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TileLine {
    /// Its number in the plan.
    pub tile: u64,
    pub column: u64,
    pub row: u64,
    /// Pixels of each class; nothing if it could not be decoded.
    pub pixels: Vec<u64>,
}

impl TileLine {
    /// A tile that could not be decoded.
    pub fn left_out(tile: &PlannedTile) -> Self {
        Self {
            tile: tile.number,
            column: tile.column,
            row: tile.row,
            pixels: Vec::new(),
        }
    }
}

/// A row of tiles.
pub struct Row {
    /// The class of each square of the map, `[squares of a tile, squares of a row]`.
    pub classes: Array2<u8>,
    pub tiles: Vec<TileLine>,
}

impl Row {
    /// Of tiles that nobody has looked at.
    pub fn new(plan: &TilePlan, square: usize) -> Self {
        let squares = plan.inner() as usize / square;
        let columns = squares * plan.columns as usize;
        Self {
            classes: Array2::from_elem((squares, columns), UNLABELLED_CLASS),
            tiles: Vec::new(),
        }
    }

    /// Puts what is said of a tile, `[classes, side, side]`, in its place, as far as its squares are in the tissue.
    pub fn put(
        &mut self,
        tile: &PlannedTile,
        plan: &TilePlan,
        said: ArrayView3<'_, f32>,
        square: usize,
        in_tissue: impl Fn([f64; 2]) -> bool,
    ) {
        let (margin, inner) = (plan.margin as usize, plan.inner() as usize);
        let inside = margin..margin + inner;
        let said = said.slice(s![.., inside.clone(), inside]);
        let mut squares = most_probable(sums(said, square).view());
        for ((row, column), class) in squares.indexed_iter_mut() {
            let middle = |begin: f64, place: usize| {
                let pixels = margin as f64 + (place as f64 + 0.5) * square as f64;
                begin + pixels * plan.downsample
            };
            if !in_tissue([middle(tile.left, column), middle(tile.top, row)]) {
                *class = UNLABELLED_CLASS;
            }
        }
        let mut pixels = vec![0; said.len_of(Axis(0))];
        for ((row, column), &class) in most_probable(said).indexed_iter() {
            if squares[[row / square, column / square]] != UNLABELLED_CLASS {
                pixels[usize::from(class)] += 1;
            }
        }
        let width = squares.ncols();
        let first = tile.column as usize * width;
        self.classes
            .slice_mut(s![.., first..first + width])
            .assign(&squares);
        self.tiles.push(TileLine {
            pixels,
            ..TileLine::left_out(tile)
        });
    }
}

/// The sums of squares of values `[classes, height, width]`.
fn sums(values: ArrayView3<'_, f32>, square: usize) -> Array3<f32> {
    let (classes, height, width) = values.dim();
    let size = (classes, height / square, width / square);
    Array3::from_shape_fn(size, |(class, row, column)| {
        let [row, column] = [row * square, column * square];
        values
            .slice(s![class, row..row + square, column..column + square])
            .sum()
    })
}

/// The rows of a slide that are done, as files.
pub struct Rows {
    pub folder: PathBuf,
}

impl Rows {
    fn files(&self, row: u64) -> [PathBuf; 2] {
        ["png", "json"].map(|ending| self.folder.join(format!("row-{row:06}.{ending}")))
    }

    /// A row, if it is done.
    pub fn read(&self, row: u64) -> Result<Option<Row>> {
        let [picture, table] = self.files(row);
        let text = match fs::read(&table) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| Error::io("read", &table, error))?,
        };
        let tiles = serde_json::from_slice(&text)
            .map_err(|error| Failure::input(format!("{}: {error}", table.display())))?;
        Ok(Some(Row {
            classes: read_class_mask(&picture)?,
            tiles,
        }))
    }

    /// Says that a row is done: the table comes last.
    pub fn write(&self, row: u64, done: &Row) -> Result<()> {
        let [picture, table] = self.files(row);
        MaskFile::write_classes(&picture, done.classes.view())?;
        let text = serde_json::to_vec(&done.tiles);
        let text = text.map_err(|error| Failure::other(error.to_string()))?;
        Ok(write_file(&table, &text)?)
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

/// Writes the table of tiles: the pixels of each class, nothing of one that could not be decoded.
pub fn write_tiles(
    path: &Path,
    classes: &[String],
    tiles: &[TileLine],
) -> cleanslide_data::Result<()> {
    let names = classes.iter().map(String::as_str);
    let header: Vec<&str> = PLACE.into_iter().chain(names).collect();
    let rows = tiles.iter().map(|line| {
        let place = [line.tile, line.column, line.row].map(|number| number.to_string());
        let pixels = (0..classes.len()).map(|class| {
            let pixels = line.pixels.get(class);
            pixels.map_or_else(String::new, u64::to_string)
        });
        place.into_iter().chain(pixels).collect::<Vec<_>>()
    });
    write_file(path, &to_csv(&header, rows))
}

/// Reads the table of tiles of a slide that is done.
pub fn read_tiles(path: &Path, classes: &[String]) -> Result<Vec<TileLine>> {
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
            if fields.len() != PLACE.len() + classes.len() {
                return Err(damaged());
            }
            let number = |text: &&str| text.parse().map_err(|_| damaged());
            let pixels: Vec<&&str> = fields[PLACE.len()..]
                .iter()
                .filter(|of| !of.is_empty())
                .collect();
            Ok(TileLine {
                tile: number(&fields[0])?,
                column: number(&fields[1])?,
                row: number(&fields[2])?,
                pixels: pixels.into_iter().map(number).collect::<Result<_>>()?,
            })
        })
        .collect()
}
