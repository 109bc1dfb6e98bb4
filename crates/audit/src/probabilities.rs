//! Class probabilities that are read block by block, so that they need not fit in memory.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use ndarray::{ArrayView2, s};
use rayon::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use crate::AuditError;

/// Numbers in one block by default: 4 MiB, which stays in the cache between two looks at it.
const BLOCK_NUMBERS: usize = 1 << 20;

/// Rows that one thread takes at a time within a block.
pub(crate) const CHUNK_ROWS: usize = 4096;

/// What is done with a block: its first row and its numbers, row-major.
pub type Visit<'a> = dyn FnMut(usize, &[f32]) -> Result<(), AuditError> + 'a;

/// Probabilities of shape `[items, classes]`, read in the order of the rows, as often as needed.
pub trait ProbabilityBlocks {
    /// Number of rows.
    fn items(&self) -> usize;

    /// Number of columns.
    fn classes(&self) -> usize;

    /// Calls `visit(first row, rows)` for one block of consecutive rows after the other; `rows`
    /// is row-major with `classes` numbers per row. Stops at the first error.
    ///
    /// # Errors
    /// What `visit` returns, or a failure to read.
    fn visit_blocks(&self, visit: &mut Visit<'_>) -> Result<(), AuditError>;
}

/// Probabilities in memory, visited in blocks of a chosen number of rows.
#[derive(Debug, Clone, Copy)]
pub struct ArrayBlocks<'a> {
    probabilities: ArrayView2<'a, f32>,
    block_rows: usize,
}

impl<'a> ArrayBlocks<'a> {
    /// Blocks of `block_rows` rows (at least 1).
    pub fn new(probabilities: ArrayView2<'a, f32>, block_rows: usize) -> Self {
        Self {
            probabilities,
            block_rows: block_rows.max(1),
        }
    }
}

impl ProbabilityBlocks for ArrayBlocks<'_> {
    fn items(&self) -> usize {
        self.probabilities.nrows()
    }

    fn classes(&self) -> usize {
        self.probabilities.ncols()
    }

    fn visit_blocks(&self, visit: &mut Visit<'_>) -> Result<(), AuditError> {
        let items = self.items();
        for first in (0..items).step_by(self.block_rows) {
            let last = (first + self.block_rows).min(items);
            let block = self.probabilities.slice(s![first..last, ..]);
            match block.as_slice() {
                Some(rows) => visit(first, rows)?,
                None => visit(first, &block.iter().copied().collect::<Vec<_>>())?,
            }
        }
        Ok(())
    }
}

/// In blocks of 4 MiB.
impl ProbabilityBlocks for ArrayView2<'_, f32> {
    fn items(&self) -> usize {
        self.nrows()
    }

    fn classes(&self) -> usize {
        self.ncols()
    }

    fn visit_blocks(&self, visit: &mut Visit<'_>) -> Result<(), AuditError> {
        ArrayBlocks::new(self.view(), default_block_rows(self.ncols())).visit_blocks(visit)
    }
}

/// A two-dimensional `F32` tensor of a safetensors file, read from disk on every pass.
///
/// Only one block is in memory at a time, so files larger than memory work.
#[derive(Debug, Clone)]
pub struct ProbabilityFile {
    path: PathBuf,
    offset: u64,
    items: usize,
    classes: usize,
    block_rows: usize,
}

impl ProbabilityFile {
    /// Opens the tensor `name` of a safetensors file, in blocks of 4 MiB.
    ///
    /// # Errors
    /// The file is unreadable or truncated, is not safetensors, has no such tensor, or the tensor
    /// is not of type `F32` and shape `[items, classes]`.
    pub fn open(path: impl AsRef<Path>, name: &str) -> Result<Self, AuditError> {
        let path = path.as_ref();
        let problem = |problem: String| AuditError::File {
            path: path.to_owned(),
            problem,
        };
        let read = |source| AuditError::Read {
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(read)?;
        let size = file.metadata().map_err(read)?.len();
        let mut length = [0; 8];
        if size < 8 {
            return Err(problem(format!(
                "it has {size} bytes, too few for a safetensors file"
            )));
        }
        file.read_exact(&mut length).map_err(read)?;
        let header_length = u64::from_le_bytes(length);
        if header_length > size - 8 {
            return Err(problem(
                "it is truncated or not a safetensors file: its header is longer than the file"
                    .to_owned(),
            ));
        }
        let mut header = vec![0; header_length as usize];
        file.read_exact(&mut header).map_err(read)?;
        let metadata: Metadata = serde_json::from_slice(&header)
            .map_err(|error| problem(format!("it has no valid safetensors header: {error}")))?;
        let Some(tensor) = metadata.info(name) else {
            let mut names: Vec<_> = metadata.tensors().into_keys().collect();
            names.sort();
            return Err(problem(format!(
                "it has no tensor {name}, only: {}",
                names.join(", ")
            )));
        };
        let &[items, classes] = tensor.shape.as_slice() else {
            return Err(problem(format!(
                "{name} has shape {:?}, but probabilities have two dimensions [items, classes]",
                tensor.shape
            )));
        };
        if tensor.dtype != Dtype::F32 {
            return Err(problem(format!(
                "{name} has numbers of type {:?}, but probabilities must be F32",
                tensor.dtype
            )));
        }
        let (start, end) = tensor.data_offsets;
        let numbers = items.checked_mul(classes).and_then(|n| n.checked_mul(4));
        if numbers != end.checked_sub(start) {
            return Err(problem(format!(
                "the header gives {name} a shape that does not fit its number of bytes"
            )));
        }
        if 8 + header_length + end as u64 > size {
            return Err(problem(format!(
                "it is truncated: {name} ends at byte {}, but the file has {size}",
                8 + header_length + end as u64
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            offset: 8 + header_length + start as u64,
            items,
            classes,
            block_rows: default_block_rows(classes),
        })
    }

    /// The same file in blocks of another number of rows (at least 1).
    #[must_use]
    pub fn with_block_rows(mut self, block_rows: usize) -> Self {
        self.block_rows = block_rows.max(1);
        self
    }
}

impl ProbabilityBlocks for ProbabilityFile {
    fn items(&self) -> usize {
        self.items
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn visit_blocks(&self, visit: &mut Visit<'_>) -> Result<(), AuditError> {
        let failed = |source| AuditError::Read {
            path: self.path.clone(),
            source,
        };
        let mut file = File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(self.offset)).map_err(failed)?;
        let mut bytes = vec![0u8; 1 << 16];
        let mut rows = Vec::new();
        for first in (0..self.items).step_by(self.block_rows) {
            let last = first.saturating_add(self.block_rows).min(self.items);
            rows.clear();
            let mut left = (last - first) * self.classes * 4;
            while left > 0 {
                let part = left.min(bytes.len());
                file.read_exact(&mut bytes[..part]).map_err(failed)?;
                rows.extend(
                    bytes[..part]
                        .as_chunks::<4>()
                        .0
                        .iter()
                        .map(|&number| f32::from_le_bytes(number)),
                );
                left -= part;
            }
            visit(first, &rows)?;
        }
        Ok(())
    }
}

fn default_block_rows(classes: usize) -> usize {
    (BLOCK_NUMBERS / classes.max(1)).max(1)
}

/// What a row may miss of 0, 1 and a sum of 1. cleanlab allows the same beyond 0 and 1.
pub(crate) const VALUE_TOLERANCE: f32 = 1e-6;

/// Probabilities that went through 16-bit floats miss their sum by up to 2⁻¹¹ = 0.0005.
pub(crate) const SUM_TOLERANCE: f64 = 1e-3;

/// Refuses rows that are not probabilities; the error names the first bad row.
pub(crate) fn check_rows(first: usize, rows: &[f32], classes: usize) -> Result<(), AuditError> {
    let bad = rows
        .par_chunks(CHUNK_ROWS * classes)
        .enumerate()
        .find_map_first(|(chunk, rows)| {
            rows.chunks_exact(classes)
                .position(|row| !is_distribution(row))
                .map(|row| chunk * CHUNK_ROWS + row)
        });
    let Some(bad) = bad else { return Ok(()) };
    let row = &rows[bad * classes..(bad + 1) * classes];
    match row.iter().position(|&value| !in_range(value)) {
        Some(class) => Err(AuditError::ProbabilityOutOfRange {
            row: first + bad,
            class,
            value: row[class],
        }),
        None => Err(AuditError::ProbabilitySum {
            row: first + bad,
            sum: row.iter().map(|&value| f64::from(value)).sum(),
        }),
    }
}

fn in_range(value: f32) -> bool {
    (-VALUE_TOLERANCE..=1.0 + VALUE_TOLERANCE).contains(&value)
}

fn is_distribution(row: &[f32]) -> bool {
    let mut fits = true;
    let mut sum = 0.0;
    for &value in row {
        fits &= in_range(value);
        sum += f64::from(value);
    }
    fits && (sum - 1.0).abs() <= SUM_TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    fn collect(probabilities: &dyn ProbabilityBlocks) -> Vec<(usize, Vec<f32>)> {
        let mut blocks = Vec::new();
        probabilities
            .visit_blocks(&mut |first, rows| {
                blocks.push((first, rows.to_vec()));
                Ok(())
            })
            .unwrap();
        blocks
    }

    fn write(array: &Array2<f32>, name: &str) -> tempfile::NamedTempFile {
        let bytes: Vec<u8> = array.iter().flat_map(|value| value.to_le_bytes()).collect();
        let view = safetensors::tensor::TensorView::new(
            Dtype::F32,
            vec![array.nrows(), array.ncols()],
            &bytes,
        )
        .unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        safetensors::serialize_to_file([(name, view)], None, file.path()).unwrap();
        file
    }

    #[test]
    fn array_and_file_give_the_same_rows_in_any_block_size() {
        let array = Array2::from_shape_fn((10, 3), |(row, class)| (row * 3 + class) as f32);
        let file = write(&array, "probabilities");
        let file = ProbabilityFile::open(file.path(), "probabilities").map(|opened| (file, opened));
        let (_keep, file) = file.unwrap();
        assert_eq!((file.items(), file.classes()), (10, 3));
        for block_rows in [1, 7, 10, 100] {
            let blocks = collect(&ArrayBlocks::new(array.view(), block_rows));
            assert_eq!(blocks.len(), 10usize.div_ceil(block_rows));
            assert_eq!(blocks, collect(&file.clone().with_block_rows(block_rows)));
            let rows: Vec<f32> = blocks.into_iter().flat_map(|(_, rows)| rows).collect();
            assert_eq!(rows, array.iter().copied().collect::<Vec<_>>());
        }
        let columns_first = array.t().as_standard_layout().into_owned();
        assert_eq!(collect(&columns_first.t()), collect(&array.view()));
    }

    #[test]
    fn bad_files_are_named_with_their_problem() {
        let file = write(&array![[0.5, 0.5]], "probabilities");
        let message = |path: &Path, name: &str| {
            let error = ProbabilityFile::open(path, name).unwrap_err().to_string();
            error
                .split_once(": ")
                .map(|(_, problem)| problem.to_owned())
        };
        assert_eq!(
            message(file.path(), "logits").unwrap(),
            "it has no tensor logits, only: probabilities"
        );
        let bytes = std::fs::read(file.path()).unwrap();
        let broken = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(broken.path(), &bytes[..bytes.len() - 1]).unwrap();
        assert!(
            message(broken.path(), "probabilities")
                .unwrap()
                .starts_with("it is truncated: probabilities ends at byte")
        );
        std::fs::write(broken.path(), b"abc").unwrap();
        assert_eq!(
            message(broken.path(), "probabilities").unwrap(),
            "it has 3 bytes, too few for a safetensors file"
        );
        std::fs::write(broken.path(), b"not a safetensors file").unwrap();
        assert!(
            message(broken.path(), "probabilities")
                .unwrap()
                .starts_with("it is truncated or not a safetensors file")
        );
        assert!(matches!(
            ProbabilityFile::open("/nowhere/at/all", "probabilities"),
            Err(AuditError::Read { .. })
        ));
    }

    #[test]
    fn rows_that_are_no_probabilities_are_named() {
        let check = |rows: &[f32]| check_rows(5, rows, 2).map_err(|error| error.to_string());
        assert_eq!(check(&[0.5, 0.5, 1.0, 0.0]), Ok(()));
        assert_eq!(
            check(&[0.5, 0.5, f32::NAN, 0.0]).unwrap_err(),
            "the probability of class 0 in row 6 is NaN, not a number between 0 and 1"
        );
        assert_eq!(
            check(&[1.5, -0.5]).unwrap_err(),
            "the probability of class 0 in row 5 is 1.5, not a number between 0 and 1"
        );
        assert_eq!(
            check(&[0.5, 0.25]).unwrap_err(),
            "the probabilities in row 5 sum to 0.75, not to 1: are they logits? apply softmax first"
        );
    }
}
