//! Contrast-limited adaptive histogram equalisation.
//!
//! Zuiderveld, *Contrast limited adaptive histogram equalization*, in: Heckbert (ed.), Graphics Gems IV
//! (1994) 474–485, as OpenCV's `createCLAHE` computes it for `u8`, value for value.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::Border;
use crate::error::{Result, check};
use crate::rows::{by_row, samples};

/// Levels of grey.
const LEVELS: usize = 256;
/// Along a side; each tile has a table.
const MOST_TILES: usize = 256;

/// Equalises the histogram of each tile and blends between the four nearest tiles.
///
/// `clip_limit` is how many times the mean count a level may occur in a tile; what exceeds it is spread
/// over all levels. 0 is no limit; OpenCV's default is 40. `tiles` are (rows, columns) of tiles, 8 × 8
/// by default in OpenCV. An image that they do not divide is continued to the right and below as
/// [`Border::Mirror`] does; as in OpenCV, a side that is divided is then continued too, by as many
/// pixels as it has tiles, and so has tiles larger by one pixel.
///
/// # Errors
/// If `clip_limit` is negative or not finite, or there are not 1 to 256 tiles to a side.
pub fn clahe(
    image: ArrayView2<'_, u8>,
    clip_limit: f64,
    tiles: (usize, usize),
) -> Result<Array2<u8>> {
    let valid = clip_limit >= 0.0 && clip_limit.is_finite();
    check("clip_limit", clip_limit, valid, "a number of at least 0")?;
    for (name, tiles) in [("rows of tiles", tiles.0), ("columns of tiles", tiles.1)] {
        check(name, tiles, (1..=MOST_TILES).contains(&tiles), "1 to 256")?;
    }
    if image.is_empty() {
        return Ok(image.to_owned());
    }
    let (height, width) = image.dim();
    let fits = height % tiles.0 == 0 && width % tiles.1 == 0;
    let side = |length: usize, tiles: usize| {
        if fits {
            length / tiles
        } else {
            length / tiles + 1
        }
    };
    let tile = (side(height, tiles.0), side(width, tiles.1));
    let pixels = samples(image);
    let tables: Vec<[u8; LEVELS]> = (0..tiles.0 * tiles.1)
        .into_par_iter()
        .map(|number| {
            let corner = (number / tiles.1 * tile.0, number % tiles.1 * tile.1);
            table(
                &count(&pixels, (height, width), corner, tile),
                tile.0 * tile.1,
                clip_limit,
            )
        })
        .collect();
    let columns: Vec<Blend> = (0..width).map(|x| Blend::new(x, tile.1, tiles.1)).collect();
    Ok(by_row(
        image.raw_dim(),
        || (),
        |(), y, row| {
            let rows = Blend::new(y, tile.0, tiles.0);
            let first = &tables[rows.first * tiles.1..][..tiles.1];
            let second = &tables[rows.second * tiles.1..][..tiles.1];
            let values = &pixels[y * width..(y + 1) * width];
            for ((output, &value), columns) in row.iter_mut().zip(values).zip(&columns) {
                let level = usize::from(value);
                let between = |tables: &[[u8; LEVELS]]| {
                    f32::from(tables[columns.first][level]) * columns.first_weight
                        + f32::from(tables[columns.second][level]) * columns.second_weight
                };
                let blended =
                    between(first) * rows.first_weight + between(second) * rows.second_weight;
                *output = blended.round_ties_even() as u8;
            }
        },
    ))
}

fn count(
    pixels: &[u8],
    (height, width): (usize, usize),
    corner: (usize, usize),
    tile: (usize, usize),
) -> [usize; LEVELS] {
    let mirrored = |position: usize, length: usize| {
        Border::Mirror
            .index(position as isize, length)
            .unwrap_or_default()
    };
    let mut counts = [0; LEVELS];
    for y in corner.0..corner.0 + tile.0 {
        let row = &pixels[mirrored(y, height) * width..][..width];
        for x in corner.1..corner.1 + tile.1 {
            counts[usize::from(row[mirrored(x, width)])] += 1;
        }
    }
    counts
}

/// What each level becomes in one tile.
fn table(counts: &[usize; LEVELS], area: usize, clip_limit: f64) -> [u8; LEVELS] {
    let mut counts = *counts;
    if clip_limit > 0.0 {
        let limit = ((clip_limit * area as f64 / LEVELS as f64) as usize).max(1);
        let excess: usize = counts.iter().map(|count| count.saturating_sub(limit)).sum();
        for count in &mut counts {
            *count = (*count).min(limit) + excess / LEVELS;
        }
        // The rest goes to levels at equal distances.
        let rest = excess % LEVELS;
        if let Some(distance) = LEVELS.checked_div(rest) {
            for count in counts.iter_mut().step_by(distance).take(rest) {
                *count += 1;
            }
        }
    }
    let scale = (LEVELS - 1) as f32 / area as f32;
    let mut sum = 0;
    counts.map(|count| {
        sum += count;
        (sum as f32 * scale).round_ties_even() as u8
    })
}

/// The two tiles between whose centres a row or column lies, and how much each counts.
struct Blend {
    first: usize,
    second: usize,
    first_weight: f32,
    second_weight: f32,
}

impl Blend {
    fn new(position: usize, tile: usize, tiles: usize) -> Self {
        let place = position as f32 * (1.0 / tile as f32) - 0.5;
        let below = place.floor();
        let last = tiles - 1;
        Self {
            first: (below.max(0.0) as usize).min(last),
            second: ((below + 1.0) as usize).min(last),
            first_weight: 1.0 - (place - below),
            second_weight: place - below,
        }
    }
}
