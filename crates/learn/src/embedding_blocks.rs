//! Embeddings of many images or tiles, in blocks that machines can share among them.
//!
//! A block is a safetensors file with one tensor `embeddings`, `[n, d]`, of `f32` or `f16`. Its bytes depend on its images, the
//! encoder and the precision alone: not on other blocks, on threads, or on which machine made it.

use std::sync::mpsc::sync_channel;
use std::{num::NonZeroUsize, str::FromStr, thread};

use cleanslide_nn::encoders::Encoder;
use half::f16;
use image::RgbImage;
use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;
use safetensors::tensor::{Dtype, TensorView};

use crate::embed::EmbedError;

/// The tensor of a block.
const TENSOR: &str = "embeddings";

/// Images that are read while as many are embedded; bounds the memory.
const READ_AT_ONCE: usize = 32;

/// How numbers of a block are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// `f32`.
    Single,
    /// `f16`, half as large: 11 bits, at most 65,504.
    Half,
}

/// One part of a work that is shared among several machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// From 1 to `of`.
    pub part: NonZeroUsize,
    /// How many parts there are.
    pub of: NonZeroUsize,
}

impl Share {
    /// All of the work.
    pub const WHOLE: Self = Self {
        part: NonZeroUsize::MIN,
        of: NonZeroUsize::MIN,
    };

    /// Whether the piece of this number, from 0, is in it.
    pub fn has(self, piece: usize) -> bool {
        piece % self.of == self.part.get() - 1
    }
}

impl FromStr for Share {
    type Err = String;

    /// Of `2/5`, the second of five.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once('/')
            .and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((part, of)) if part <= of => Ok(Self { part, of }),
            _ => Err("expected I/N, the part and the number of parts, such as 1/4".into()),
        }
    }
}

/// The embeddings of a block.
#[derive(Debug)]
pub struct Block<E> {
    /// `[n, d]`, of the items that could be read, in order.
    pub features: Array2<f32>,
    /// For each item its row, or why it has none.
    pub rows: Vec<Result<usize, E>>,
}

/// Embeds the items that can be read, in order: while some are embedded, the next are read.
///
/// # Errors
/// The encoder refuses an image.
pub fn embed_items<T: Sync, E: Send>(
    encoder: &dyn Encoder,
    items: &[T],
    read: &(dyn Fn(&T) -> Result<RgbImage, E> + Sync),
    mut done: impl FnMut(usize),
) -> Result<Block<E>, EmbedError> {
    let mut features = Array2::zeros((items.len(), encoder.dimension()));
    let mut rows = Vec::with_capacity(items.len());
    let mut filled = 0;
    thread::scope(|scope| {
        let (send, receive) = sync_channel(1);
        scope.spawn(move || {
            for items in items.chunks(READ_AT_ONCE) {
                let read: Vec<Result<RgbImage, E>> = items.par_iter().map(read).collect();
                // Nobody listens any more: the encoder failed.
                if send.send(read).is_err() {
                    return;
                }
            }
        });
        for read in receive {
            let mut images = Vec::with_capacity(read.len());
            for image in read {
                rows.push(image.map(|image| {
                    images.push(image);
                    filled + images.len() - 1
                }));
            }
            if !images.is_empty() {
                let embedded = encoder.embed(&images)?;
                let place = s![filled..filled + images.len(), ..];
                features.slice_mut(place).assign(&embedded);
                filled += images.len();
            }
            done(rows.len());
        }
        Ok::<(), EmbedError>(())
    })?;
    let features = features.slice_move(s![..filled, ..]);
    Ok(Block { features, rows })
}

/// The bytes of a block's file. `None` if a number is beyond what [`Precision::Half`] holds.
pub fn to_bytes(features: ArrayView2<'_, f32>, precision: Precision) -> Option<Vec<u8>> {
    let (bytes, dtype): (Vec<u8>, _) = match precision {
        Precision::Single => {
            let bytes = features.iter().flat_map(|value| value.to_le_bytes());
            (bytes.collect(), Dtype::F32)
        }
        Precision::Half => {
            let halves: Vec<f16> = features.iter().map(|&value| f16::from_f32(value)).collect();
            if halves.iter().any(|half| !half.is_finite()) {
                return None;
            }
            let bytes = halves.iter().flat_map(|half| half.to_le_bytes());
            (bytes.collect(), Dtype::F16)
        }
    };
    let view = TensorView::new(dtype, features.shape().to_vec(), &bytes).ok()?;
    safetensors::serialize([(TENSOR, view)], None).ok()
}

#[cfg(test)]
mod tests {
    use cleanslide_nn::encoders::ClassicalEncoder;
    use image::Rgb;
    use ndarray::{Axis, array};
    use safetensors::SafeTensors;

    use super::*;

    fn picture(&item: &usize) -> Result<RgbImage, usize> {
        if item % 7 == 3 {
            return Err(item);
        }
        let grey = |x: u32, y: u32| ((x * 7 + y * 13) as usize * (item + 1) % 251) as u8;
        Ok(RgbImage::from_fn(24, 24, |x, y| {
            Rgb([grey(x, y), grey(y, x), grey(x, x)])
        }))
    }

    #[test]
    fn blocks_are_what_one_by_one_gives_and_leave_out_what_cannot_be_read() {
        let encoder = ClassicalEncoder::new(None);
        let items: Vec<usize> = (0..75).collect();
        let mut seen = Vec::new();
        let block = embed_items(&encoder, &items, &picture, |done| seen.push(done)).unwrap();
        assert_eq!(seen, [32, 64, 75]);
        assert_eq!(block.features.nrows(), 64);
        let mut next = 0;
        for (item, row) in items.iter().zip(&block.rows) {
            match picture(item) {
                Err(problem) => assert_eq!(row, &Err(problem)),
                Ok(image) => {
                    assert_eq!(row, &Ok(next));
                    let alone = encoder.embed(&[image]).unwrap();
                    assert_eq!(block.features.row(next), alone.row(0));
                    next += 1;
                }
            }
        }
    }

    #[test]
    fn halves_are_the_nearest_ones_and_overflow_is_told() {
        let features = array![[1.0f32, 0.1], [-3.7, 65504.0]];
        let bytes = to_bytes(features.view(), Precision::Half).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensor = file.tensor(TENSOR).unwrap();
        assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::F16, &[2, 2][..]));
        let read = tensor.data().chunks_exact(2);
        for (bytes, &value) in read.zip(&features) {
            let half = f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
            // Half the distance of neighbours: 11 bits.
            assert!(
                (half - value).abs() <= value.abs() / 2048.0,
                "{value}: {half}"
            );
        }
        let single = to_bytes(features.view(), Precision::Single).unwrap();
        let file = SafeTensors::deserialize(&single).unwrap();
        let expected: Vec<u8> = features.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(file.tensor(TENSOR).unwrap().data(), expected);
        assert_eq!(to_bytes(array![[7e4f32]].view(), Precision::Half), None);
        assert!(to_bytes(features.select(Axis(0), &[]).view(), Precision::Single).is_some());
    }

    #[test]
    fn shares_have_every_piece_once() {
        let shares: Vec<Share> = (1..=3)
            .map(|part| format!("{part}/3").parse().unwrap())
            .collect();
        for piece in 0..20 {
            let having = shares.iter().filter(|share| share.has(piece)).count();
            assert_eq!(having, 1);
            assert!(Share::WHOLE.has(piece));
        }
        for wrong in ["", "0/2", "3/2", "1", "a/b", "1/0", "-1/2"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }
}
