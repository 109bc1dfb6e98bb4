//! Embeddings of a dataset's images, computed once and kept on disk.
//!
//! ```text
//! DATASET/embeddings/<encoder identity>/
//!     shard-00000.safetensors    embeddings f32 [n, d]; content hashes of the images in its metadata
//!     shard-00001.safetensors    …
//!     ids.csv                    image id → shard and row, for people and scripts
//! ```
//!
//! An embedding belongs to the content of an image file and to an encoder (its weights,
//! preprocessing and code version), so nothing is ever stale: another file or another encoder has
//! another key. Shards appear whole, and grow until they are full; a run that fails loses nothing that it computed, and
//! one that is killed what it computed since it last kept something. One process at a time works in the folder; others
//! wait (`lock`), and then find what it computed.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cleanslide_data::store::write_file_with;
use cleanslide_data::{Dataset, LoadedImage, Notice, read_image, refuse_smaller};
use cleanslide_nn::encoders::Encoder;
use cleanslide_nn::error::EncoderError;
use ndarray::{Array2, ArrayView1};
use rayon::prelude::*;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use thiserror::Error;

/// What can go wrong.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// The dataset or the disk.
    #[error(transparent)]
    Data(#[from] cleanslide_data::Error),
    /// The encoder refused an image.
    #[error("embed images: {0}")]
    Encoder(#[from] EncoderError),
    /// A cached shard is damaged.
    #[error("{path}: the cached embeddings are damaged: {reason}")]
    Damaged {
        /// The shard.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No image at all could be used.
    #[error("none of the {count} images could be read; the first: {first}")]
    Nothing {
        /// Number of images.
        count: usize,
        /// What was wrong with the first.
        first: Box<cleanslide_data::Error>,
    },
}

/// How to go about it.
#[derive(Debug, Clone, Copy)]
pub struct EmbedSettings {
    /// Images that are decoded and encoded together; bounds the memory. Default 32.
    pub batch: usize,
    /// Embeddings per shard. Default 1024.
    pub shard: usize,
    /// After how long what was computed is kept, be a shard full or not: what a kill can lose. Default 30 seconds.
    pub keep_after: Duration,
    /// Images with more pixels are refused.
    pub max_pixels: u64,
    /// End at the first bad image, instead of leaving it out and going on.
    pub strict: bool,
}

impl Default for EmbedSettings {
    fn default() -> Self {
        Self {
            batch: 32,
            shard: 1024,
            keep_after: Duration::from_secs(30),
            max_pixels: cleanslide_data::MAX_PIXELS,
            strict: false,
        }
    }
}

/// An image that could not be used, and why.
#[derive(Debug)]
pub struct Problem {
    /// Id of the image.
    pub id: String,
    /// What is wrong with it.
    pub error: cleanslide_data::Error,
}

/// The embeddings of a dataset.
#[derive(Debug)]
pub struct Embeddings {
    /// One row per usable image, `[n, d]`, in the order of the dataset's images.
    pub features: Array2<f32>,
    /// For each row, the position of its image in the dataset.
    pub images: Vec<usize>,
    /// For each row, the hash of the image file's content; equal hashes are identical files.
    pub hashes: Vec<String>,
    /// Images that could not be used.
    pub problems: Vec<Problem>,
    /// Conversions with loss among the images that were read now, and their number.
    pub notices: Vec<(Notice, usize)>,
    /// How many were computed now; the others were in the cache.
    pub computed: usize,
}

impl Embeddings {
    /// The row of each image of the dataset; `None` where the image could not be used.
    pub fn rows(&self, images: usize) -> Vec<Option<usize>> {
        let mut rows = vec![None; images];
        for (row, &image) in self.images.iter().enumerate() {
            rows[image] = Some(row);
        }
        rows
    }
}

/// Embeds all images of a dataset, taking from the cache what is there.
///
/// `progress(done, total)` is called after every batch.
///
/// # Errors
/// A damaged cache, a full disk, an encoder that fails, no usable image; with
/// [`EmbedSettings::strict`], the first bad image. Otherwise bad images are in
/// [`Embeddings::problems`].
pub fn embed(
    dataset: &Dataset,
    encoder: &dyn Encoder,
    settings: EmbedSettings,
    progress: impl FnMut(usize, usize),
) -> Result<Embeddings, EmbedError> {
    let folder = dataset.folder().join("embeddings").join(encoder.identity());
    // Two processes would give their shards the same names.
    let _lock = wait_for(&folder)?;
    let mut cache = Cache::open(&folder, encoder.dimension())?;
    let total = dataset.images().len();
    let mut result = Embeddings {
        features: Array2::zeros((0, encoder.dimension())),
        images: Vec::new(),
        hashes: Vec::new(),
        problems: Vec::new(),
        notices: Vec::new(),
        computed: 0,
    };
    let embedded = embed_all(
        dataset,
        encoder,
        settings,
        (&mut cache, &mut result),
        progress,
    );
    // What was computed before a failure is kept.
    let kept = cache.flush();
    embedded.and(kept)?;
    if result.images.is_empty() && !result.problems.is_empty() {
        let first = Box::new(result.problems.swap_remove(0).error);
        return Err(EmbedError::Nothing {
            count: total,
            first,
        });
    }
    result.features = cache.gather(&result.hashes);
    cache.write_ids(dataset, &result)?;
    Ok(result)
}

/// Embeds batch by batch, and keeps what is computed from time to time.
fn embed_all(
    dataset: &Dataset,
    encoder: &dyn Encoder,
    settings: EmbedSettings,
    (cache, result): (&mut Cache, &mut Embeddings),
    mut progress: impl FnMut(usize, usize),
) -> Result<(), EmbedError> {
    let total = dataset.images().len();
    let mut kept = Instant::now();
    for start in (0..total).step_by(settings.batch.max(1)) {
        let end = (start + settings.batch.max(1)).min(total);
        embed_batch(dataset, encoder, settings, start..end, cache, result)?;
        let is_full = cache.pending() >= settings.shard;
        if is_full || kept.elapsed() >= settings.keep_after {
            match is_full {
                true => cache.flush()?,
                false => cache.keep()?,
            }
            kept = Instant::now();
        }
        progress(end, total);
    }
    Ok(())
}

/// Waits until no other process works in a folder: none does as long as the file is open.
fn wait_for(folder: &Path) -> Result<File, cleanslide_data::Error> {
    let path = folder.join("lock");
    let failed = |action, error| cleanslide_data::Error::io(action, &path, error);
    fs::create_dir_all(folder).map_err(|error| failed("create the folder of", error))?;
    let lock = File::create(&path).map_err(|error| failed("create", error))?;
    match lock.lock() {
        // There are file systems without locks, on which nobody can be kept out.
        Err(error) if error.kind() != ErrorKind::Unsupported => Err(failed("lock", error)),
        _ => Ok(lock),
    }
}

/// Reads the images of a batch, and encodes those whose content is not in the cache.
fn embed_batch(
    dataset: &Dataset,
    encoder: &dyn Encoder,
    settings: EmbedSettings,
    range: std::ops::Range<usize>,
    cache: &mut Cache,
    result: &mut Embeddings,
) -> Result<(), EmbedError> {
    let read: Vec<(usize, cleanslide_data::Result<Content>)> = range
        .into_par_iter()
        .map(|position| {
            let path = dataset.image_path(&dataset.images()[position]);
            (
                position,
                content(&path, encoder.crop(), settings.max_pixels, cache),
            )
        })
        .collect();
    let (mut new_hashes, mut new_images) = (Vec::new(), Vec::new());
    for (position, content) in read {
        let hash = match content {
            Ok(Content::Known(hash)) => hash,
            Ok(Content::New(loaded)) => {
                for notice in loaded.notices {
                    match result
                        .notices
                        .iter_mut()
                        .find(|(known, _)| *known == notice)
                    {
                        Some((_, count)) => *count += 1,
                        None => result.notices.push((notice, 1)),
                    }
                }
                if !new_hashes.contains(&loaded.hash) {
                    new_hashes.push(loaded.hash.clone());
                    new_images.push(loaded.pixels);
                }
                loaded.hash
            }
            Err(error) if settings.strict => return Err(error.into()),
            Err(error) => {
                let id = dataset.images()[position].id.clone();
                result.problems.push(Problem { id, error });
                continue;
            }
        };
        result.images.push(position);
        result.hashes.push(hash);
    }
    if !new_images.is_empty() {
        let embeddings = encoder.embed(&new_images)?;
        result.computed += new_images.len();
        for (hash, row) in new_hashes.into_iter().zip(embeddings.rows()) {
            cache.insert(hash, row);
        }
    }
    Ok(())
}

enum Content {
    /// The embedding is in the cache.
    Known(String),
    /// It is not; here is the image.
    New(LoadedImage),
}

fn content(
    path: &Path,
    crop: Option<u32>,
    max_pixels: u64,
    cache: &Cache,
) -> cleanslide_data::Result<Content> {
    // Hashing is much cheaper than decoding, so known images are only hashed. A file that cannot
    // be read is left to `read_image`, which says why.
    if let Ok(bytes) = fs::read(path) {
        let hash = blake3::hash(&bytes).to_hex().to_string();
        if cache.positions.contains_key(&hash) {
            return Ok(Content::Known(hash));
        }
    }
    let image = read_image(path, max_pixels)?;
    refuse_smaller(path, &image.pixels, crop)?;
    Ok(Content::New(image))
}

/// All embeddings of one encoder, those that are not on disk yet among them.
struct Cache {
    folder: PathBuf,
    dimension: usize,
    /// Row-major embeddings, in order of insertion.
    values: Vec<f32>,
    hashes: Vec<String>,
    /// Position in `hashes`; only looked up, never iterated.
    positions: HashMap<String, usize>,
    /// Where each shard ends in `hashes`, but the one that is being filled.
    shard_ends: Vec<usize>,
    /// How many of `hashes` are on disk.
    kept: usize,
}

const TENSOR: &str = "embeddings";
const HASHES: &str = "image_hashes";

impl Cache {
    fn open(folder: &Path, dimension: usize) -> Result<Self, EmbedError> {
        let mut cache = Self {
            folder: folder.to_owned(),
            dimension,
            values: Vec::new(),
            hashes: Vec::new(),
            positions: HashMap::new(),
            shard_ends: Vec::new(),
            kept: 0,
        };
        loop {
            let path = cache.shard_path(cache.shard_ends.len());
            if !path.exists() {
                return Ok(cache);
            }
            cache.read_shard(&path)?;
        }
    }

    fn shard_path(&self, shard: usize) -> PathBuf {
        self.folder.join(format!("shard-{shard:05}.safetensors"))
    }

    fn read_shard(&mut self, path: &Path) -> Result<(), EmbedError> {
        let damaged = |reason: String| EmbedError::Damaged {
            path: path.to_owned(),
            reason,
        };
        let bytes =
            fs::read(path).map_err(|error| cleanslide_data::Error::io("read", path, error))?;
        let (_, metadata) =
            SafeTensors::read_metadata(&bytes).map_err(|error| damaged(error.to_string()))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
        let tensor = file
            .tensor(TENSOR)
            .map_err(|error| damaged(error.to_string()))?;
        let hashes: Vec<String> = metadata
            .metadata()
            .as_ref()
            .and_then(|texts| texts.get(HASHES))
            .map(|text| text.split(' ').map(String::from).collect())
            .unwrap_or_default();
        if tensor.dtype() != Dtype::F32 || tensor.shape() != [hashes.len(), self.dimension] {
            return Err(damaged(format!(
                "{:?} of {:?} for {} images and {} features",
                tensor.shape(),
                tensor.dtype(),
                hashes.len(),
                self.dimension
            )));
        }
        let values = tensor
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        self.values.extend(values);
        for hash in hashes {
            self.positions.insert(hash.clone(), self.hashes.len());
            self.hashes.push(hash);
        }
        self.shard_ends.push(self.hashes.len());
        self.kept = self.hashes.len();
        Ok(())
    }

    fn insert(&mut self, hash: String, embedding: ArrayView1<f32>) {
        if !self.positions.contains_key(&hash) {
            self.positions.insert(hash.clone(), self.hashes.len());
            self.hashes.push(hash);
            self.values.extend(embedding);
        }
    }

    /// How many are in shards that are full.
    fn written(&self) -> usize {
        self.shard_ends.last().copied().unwrap_or(0)
    }

    fn pending(&self) -> usize {
        self.hashes.len() - self.written()
    }

    /// Ends the shard that is being filled.
    fn flush(&mut self) -> Result<(), EmbedError> {
        self.keep()?;
        if self.pending() > 0 {
            self.shard_ends.push(self.hashes.len());
        }
        Ok(())
    }

    /// Writes the shard that is being filled as far as it is; it goes on to be filled, and is written again.
    fn keep(&mut self) -> Result<(), EmbedError> {
        let (start, end) = (self.written(), self.hashes.len());
        if end == self.kept {
            return Ok(());
        }
        let path = self.shard_path(self.shard_ends.len());
        let bytes: Vec<u8> = self.values[start * self.dimension..end * self.dimension]
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let damaged = |reason: String| EmbedError::Damaged {
            path: path.clone(),
            reason,
        };
        let view = TensorView::new(Dtype::F32, vec![end - start, self.dimension], &bytes)
            .map_err(|error| damaged(error.to_string()))?;
        let metadata = HashMap::from([(HASHES.to_owned(), self.hashes[start..end].join(" "))]);
        let file = safetensors::serialize([(TENSOR, view)], Some(metadata))
            .map_err(|error| damaged(error.to_string()))?;
        write_file_with(&path, |writer| writer.write_all(&file))?;
        self.kept = end;
        Ok(())
    }

    /// The embeddings of these contents, one row each; all of them are in the cache.
    fn gather(&self, hashes: &[String]) -> Array2<f32> {
        let mut features = Array2::zeros((hashes.len(), self.dimension));
        for (mut row, hash) in features.rows_mut().into_iter().zip(hashes) {
            let position = self.positions[hash];
            let values = &self.values[position * self.dimension..][..self.dimension];
            row.iter_mut()
                .zip(values)
                .for_each(|(to, &from)| *to = from);
        }
        features
    }

    fn write_ids(&self, dataset: &Dataset, result: &Embeddings) -> Result<(), EmbedError> {
        let rows = result
            .images
            .iter()
            .zip(&result.hashes)
            .map(|(&image, hash)| {
                let position = self.positions[hash];
                let shard = self.shard_ends.partition_point(|&end| end <= position);
                let row = position
                    - if shard == 0 {
                        0
                    } else {
                        self.shard_ends[shard - 1]
                    };
                [
                    dataset.images()[image].id.clone(),
                    shard.to_string(),
                    row.to_string(),
                    hash.clone(),
                ]
            });
        let bytes = cleanslide_data::to_csv(&["image", "shard", "row", "hash"], rows);
        cleanslide_data::store::write_file(&self.folder.join("ids.csv"), &bytes)?;
        Ok(())
    }
}
