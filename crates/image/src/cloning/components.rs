//! The parts of a mask that are connected by pixels' sides.

use ndarray::{Array2, ArrayView2};

/// The parts of a mask.
pub(super) struct Components {
    /// The pixels (row, column) of every part, each in reading order.
    pub parts: Vec<Vec<(u32, u32)>>,
    /// The position of a masked pixel within its part.
    pub positions: Array2<u32>,
}

const UNVISITED: u32 = u32::MAX;

pub(super) fn components(mask: ArrayView2<bool>) -> Components {
    let mut labels = Array2::from_elem(mask.dim(), UNVISITED);
    let mut count = 0;
    let mut stack = Vec::new();
    for (start, &masked) in mask.indexed_iter() {
        if !masked || labels[start] != UNVISITED {
            continue;
        }
        labels[start] = count;
        stack.push(start);
        while let Some(at) = stack.pop() {
            for next in neighbours(at, mask.dim()).into_iter().flatten() {
                if mask[next] && labels[next] == UNVISITED {
                    labels[next] = count;
                    stack.push(next);
                }
            }
        }
        count += 1;
    }
    let mut parts = vec![Vec::new(); count as usize];
    // The labels are turned into positions in place.
    for ((y, x), label) in labels.indexed_iter_mut() {
        if *label != UNVISITED {
            let part = &mut parts[*label as usize];
            *label = part.len() as u32;
            part.push((y as u32, x as u32));
        }
    }
    Components {
        parts,
        positions: labels,
    }
}

/// The pixels above, to the left, to the right and below, as far as they are in the image.
pub(super) fn neighbours(
    (y, x): (usize, usize),
    (height, width): (usize, usize),
) -> [Option<(usize, usize)>; 4] {
    [
        (y > 0).then(|| (y - 1, x)),
        (x > 0).then(|| (y, x - 1)),
        (x + 1 < width).then_some((y, x + 1)),
        (y + 1 < height).then_some((y + 1, x)),
    ]
}
