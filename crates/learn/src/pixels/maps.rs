//! Probabilities of the pixels of an image in a safetensors file: one tensor `probabilities` of 32-bit
//! floats, `[classes, height, width]`. From Python:
//! `safetensors.numpy.save_file({"probabilities": array}, "image.safetensors")`.

use std::path::{Path, PathBuf};

use cleanslide_data::store::write_file;
use ndarray::{Array3, ArrayView3};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use thiserror::Error;

const NAME: &str = "probabilities";

/// Why a file of probabilities cannot be written or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MapError {
    /// The file cannot be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] cleanslide_data::Error),
}

/// The file of an image in a folder: its id, whose `/` are folders. What no name of a file may hold is replaced by `_`, and then a hash
/// of the id follows, so that every image has a file of its own.
pub fn file_of(folder: &Path, image: &str) -> PathBuf {
    let safe = |c: char| match c.is_alphanumeric() || "-_. ".contains(c) {
        true => c,
        false => '_',
    };
    let parts = image.split('/').map(|part| match part {
        "" | "." | ".." => "_".to_owned(),
        part => part.chars().map(safe).collect(),
    });
    let mut name = parts.collect::<Vec<_>>().join("/");
    if name != image {
        let hash = blake3::hash(image.as_bytes()).to_hex();
        name = format!("{name}-{}", &hash[..8]);
    }
    folder.join(format!("{name}.safetensors"))
}

/// Writes the probabilities `[classes, height, width]` of an image.
///
/// # Errors
/// The file system refuses.
pub fn write(path: &Path, probabilities: ArrayView3<'_, f32>) -> Result<(), MapError> {
    let bytes: Vec<u8> = probabilities.iter().flat_map(|p| p.to_le_bytes()).collect();
    let shape = probabilities.shape().to_vec();
    let wrong = |error: safetensors::SafeTensorError| content(path, error.to_string());
    let tensor = TensorView::new(Dtype::F32, shape, &bytes).map_err(wrong)?;
    let file = safetensors::serialize([(NAME, tensor)], None).map_err(wrong)?;
    Ok(write_file(path, &file)?)
}

/// Reads the probabilities `[classes, height, width]` of an image.
///
/// # Errors
/// No such file, or one without a tensor `probabilities` of three axes and 32-bit floats.
pub fn read(path: &Path) -> Result<Array3<f32>, MapError> {
    let bytes = std::fs::read(path).map_err(|error| MapError::Read {
        path: path.to_owned(),
        error,
    })?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|error| content(path, format!("not a safetensors file: {error}")))?;
    let tensor = file
        .tensor(NAME)
        .map_err(|_| content(path, format!("there is no tensor `{NAME}`")))?;
    let (Dtype::F32, &[classes, height, width]) = (tensor.dtype(), tensor.shape()) else {
        let problem = format!(
            "`{NAME}` has {:?} of shape {:?}, expected F32 of shape [classes, height, width]",
            tensor.dtype(),
            tensor.shape()
        );
        return Err(content(path, problem));
    };
    let (numbers, _) = tensor.data().as_chunks::<4>();
    let values = numbers.iter().map(|&bytes| f32::from_le_bytes(bytes));
    Array3::from_shape_vec((classes, height, width), values.collect())
        .map_err(|error| content(path, error.to_string()))
}

fn content(path: &Path, problem: String) -> MapError {
    MapError::Content {
        path: path.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_back_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_of(folder.path(), "slide_1_tile");
        assert!(path.ends_with("slide_1_tile.safetensors"));
        let probabilities = Array3::from_shape_fn((2, 3, 4), |(c, y, x)| (c + y * x) as f32 / 9.0);
        write(&path, probabilities.view()).unwrap();
        assert_eq!(read(&path).unwrap(), probabilities);
    }

    #[test]
    fn every_image_has_a_file_of_its_own_in_the_folder() {
        let name = |image| file_of(Path::new("maps"), image);
        assert_eq!(
            name("slide 1/tile"),
            Path::new("maps/slide 1/tile.safetensors")
        );
        let ids = ["a/b", "a_b", "a:b", "a?b", "../a", "/a", "_/a", "a//b"];
        let names: std::collections::BTreeSet<PathBuf> = ids.into_iter().map(name).collect();
        assert_eq!(names.len(), ids.len());
        let inside = |path: &PathBuf| {
            let parts = path.components();
            path.starts_with("maps") && !parts.into_iter().any(|part| part.as_os_str() == "..")
        };
        assert!(names.iter().all(inside), "{names:?}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let message = || read(&path).unwrap_err().to_string();
        assert!(message().contains("a.safetensors"), "{}", message());
        std::fs::write(&path, b"no").unwrap();
        assert!(
            message().contains("not a safetensors file"),
            "{}",
            message()
        );
        let bytes = [0; 8];
        let tensor = TensorView::new(Dtype::F64, vec![1], &bytes).unwrap();
        let other = safetensors::serialize([("logits", tensor.clone())], None).unwrap();
        std::fs::write(&path, other).unwrap();
        assert!(message().ends_with("there is no tensor `probabilities`"));
        let flat = safetensors::serialize([(NAME, tensor)], None).unwrap();
        std::fs::write(&path, flat).unwrap();
        assert!(
            message().contains("F64 of shape [1], expected F32"),
            "{}",
            message()
        );
    }
}
