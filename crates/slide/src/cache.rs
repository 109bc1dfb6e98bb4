//! Decoded tiles, up to a number of bytes.

use std::sync::Arc;

use image::RgbImage;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::error::Result;

/// A tile of a level, by column and row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) level: usize,
    pub(crate) column: u64,
    pub(crate) row: u64,
}

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Place, Arc<RgbImage>> for Bytes {
    fn weight(&self, _: &Place, tile: &Arc<RgbImage>) -> u64 {
        tile.as_raw().len() as u64
    }
}

/// Tiles that were read last; those that are asked for often stay longer.
#[derive(Debug)]
pub(crate) struct Tiles(Cache<Place, Arc<RgbImage>, Bytes>);

impl Tiles {
    /// Of at most so many bytes in all.
    pub(crate) fn new(bytes: u64, of_tile: u64) -> Self {
        let count = (bytes / of_tile.max(1)).max(1) as usize;
        Self(Cache::with_weighter(count, bytes, Bytes))
    }

    /// A tile; where several threads ask for one, one of them decodes it.
    pub(crate) fn get(
        &self,
        place: Place,
        decode: impl FnOnce() -> Result<RgbImage>,
    ) -> Result<Arc<RgbImage>> {
        self.0.get_or_insert_with(&place, || decode().map(Arc::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn place(column: u64) -> Place {
        Place {
            level: 0,
            column,
            row: 0,
        }
    }

    #[test]
    fn it_keeps_no_more_than_it_may_and_decodes_nothing_twice_that_it_keeps() {
        let tiles = Tiles::new(10 * 300, 300);
        let mut decoded = 0;
        for round in 0..2 {
            for column in 0..100 {
                let tile = tiles.get(place(column), || {
                    decoded += 1;
                    Ok(RgbImage::new(10, 10))
                });
                assert!(tile.is_ok());
                assert!(tiles.0.weight() <= 10 * 300, "{}", tiles.0.weight());
            }
            assert!(decoded >= 100 * (round + 1) - 10 * round);
        }
        let before = decoded;
        for _ in 0..5 {
            let again = tiles.get(place(7), || {
                decoded += 1;
                Ok(RgbImage::new(10, 10))
            });
            assert!(again.is_ok());
        }
        assert!(decoded <= before + 1);
    }

    #[test]
    fn what_cannot_be_decoded_is_tried_again() {
        let tiles = Tiles::new(1000, 300);
        let failure = tiles.get(place(0), || Err(Error::OpenSlide("no".to_owned())));
        assert!(failure.is_err());
        assert!(tiles.get(place(0), || Ok(RgbImage::new(1, 1))).is_ok());
    }
}
