//! Holes in masks.

use ndarray::{Array2, ArrayView2};

use super::{Neighbours, components};
use crate::error::Result;

/// The mask with its holes filled: background from which no path through background leads to the
/// border of the image.
///
/// `neighbours` are those of the background. `scipy.ndimage.binary_fill_holes` (whose default is
/// [`Neighbours::Four`]).
///
/// # Errors
/// More than 2³² − 2 pixels.
pub fn fill_holes(mask: ArrayView2<'_, bool>, neighbours: Neighbours) -> Result<Array2<bool>> {
    let background = mask.mapv(|inside| !inside);
    let parts = components(background.view(), neighbours)?;
    let (height, width) = mask.dim();
    let mut open = vec![false; parts.count + 1];
    for ((y, x), &part) in parts.labels.indexed_iter() {
        if y == 0 || x == 0 || y + 1 == height || x + 1 == width {
            open[part as usize] = true;
        }
    }
    open[0] = false;
    Ok(parts.labels.mapv(|part| !open[part as usize]))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn corners_are_gaps_for_eight_neighbours_only() -> Result<()> {
        // A ring that hangs together by corners.
        let ring = array![
            [0, 0, 0, 0, 0],
            [0, 0, 1, 0, 0],
            [0, 1, 0, 1, 0],
            [0, 0, 1, 0, 1],
            [0, 0, 0, 1, 1]
        ]
        .mapv(|value| value == 1);
        let filled = fill_holes(ring.view(), Neighbours::Four)?;
        let changed: Vec<_> = filled
            .indexed_iter()
            .filter(|(at, inside)| **inside && !ring[*at])
            .map(|(at, _)| at)
            .collect();
        // The pixel at (3, 3) lies between four others too.
        assert_eq!(changed, [(2, 2), (3, 3)]);
        assert_eq!(fill_holes(ring.view(), Neighbours::Eight)?, ring);
        Ok(())
    }

    #[test]
    fn nothing_and_everything_stay() -> Result<()> {
        for value in [false, true] {
            let mask = Array2::from_elem((3, 4), value);
            assert_eq!(fill_holes(mask.view(), Neighbours::Four)?, mask);
        }
        assert!(fill_holes(Array2::default((0, 4)).view(), Neighbours::Four)?.is_empty());
        Ok(())
    }
}
