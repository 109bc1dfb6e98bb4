//! Regions, put together from tiles.

use std::sync::Arc;

use image::RgbImage;

use crate::cache::Place;
use crate::error::Result;
use crate::slide::Inside;

/// Reads a part of a level whose tiles have `tile` pixels, by what gives a tile without what of it lies beyond the edge.
pub(super) fn read(
    tile: [u32; 2],
    part: &Inside,
    region: &mut RgbImage,
    mut get: impl FnMut(Place) -> Result<Arc<RgbImage>>,
) -> Result<()> {
    let tile = tile.map(u64::from);
    let start = [part.left, part.top];
    let end = [0, 1].map(|side| start[side] + u64::from(part.size[side]));
    for row in start[1] / tile[1]..end[1].div_ceil(tile[1]) {
        for column in start[0] / tile[0]..end[0].div_ceil(tile[0]) {
            let pixels = get(Place {
                level: part.level,
                column,
                row,
            })?;
            copy(&pixels, [column * tile[0], row * tile[1]], part, region);
        }
    }
    Ok(())
}

/// Copies what a tile, which begins at `origin` of its level, has of a part of it.
fn copy(tile: &RgbImage, origin: [u64; 2], part: &Inside, region: &mut RgbImage) {
    let start = [part.left, part.top];
    let sides = [tile.width(), tile.height()];
    // First pixel of the tile, first pixel of the region, and how many.
    let along = |side: usize| {
        let from = start[side].max(origin[side]);
        let end =
            (start[side] + u64::from(part.size[side])).min(origin[side] + u64::from(sides[side]));
        let skipped = (from - start[side]) as usize + part.at[side] as usize;
        (
            (from - origin[side]) as usize,
            skipped,
            end.saturating_sub(from) as usize,
        )
    };
    let ((from_x, to_x, width), (from_y, to_y, height)) = (along(0), along(1));
    let (stride, tile_stride) = (3 * region.width() as usize, 3 * tile.width() as usize);
    let bytes: &mut [u8] = region;
    for row in 0..height {
        let from = (from_y + row) * tile_stride + 3 * from_x;
        let to = (to_y + row) * stride + 3 * to_x;
        bytes[to..to + 3 * width].copy_from_slice(&tile.as_raw()[from..from + 3 * width]);
    }
}
