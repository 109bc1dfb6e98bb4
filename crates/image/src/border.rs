//! What lies beyond the border of an image.

/// What lies beyond the border of an image.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Border {
    /// The image mirrored at its outermost pixels, which are not repeated: `c b | a b c | b a`.
    /// OpenCV's default (`BORDER_REFLECT_101`).
    #[default]
    Mirror,
    /// The image mirrored at its edge, outermost pixels repeated: `b a | a b c | c b`.
    /// `scipy.ndimage`'s default (`reflect`).
    Reflect,
    /// The outermost pixels repeated: `a a | a b c | c c`. OpenCV's `BORDER_REPLICATE`.
    Replicate,
    /// This value everywhere.
    Constant(f32),
}

impl Border {
    /// The pixel in `0..length` that stands for `position`; `None` where that is a constant.
    ///
    /// `length` must not be 0.
    pub fn index(self, position: isize, length: usize) -> Option<usize> {
        let n = length as isize;
        if (0..n).contains(&position) {
            return Some(position as usize);
        }
        match self {
            Self::Constant(_) => None,
            Self::Replicate => Some(position.clamp(0, n - 1) as usize),
            Self::Reflect => {
                let folded = position.rem_euclid(2 * n);
                Some(folded.min(2 * n - 1 - folded) as usize)
            }
            Self::Mirror if n == 1 => Some(0),
            Self::Mirror => {
                let folded = position.rem_euclid(2 * (n - 1));
                Some(folded.min(2 * (n - 1) - folded) as usize)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(border: Border, length: usize) -> Vec<Option<usize>> {
        (-5..8).map(|at| border.index(at, length)).collect()
    }

    #[test]
    fn borders_continue_as_numpy_pads() {
        // numpy.pad(range(3), 5, mode) for "reflect", "symmetric" and "edge".
        let some = |values: [usize; 13]| values.map(Some).to_vec();
        assert_eq!(
            row(Border::Mirror, 3),
            some([1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1])
        );
        assert_eq!(
            row(Border::Reflect, 3),
            some([1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1])
        );
        assert_eq!(
            row(Border::Replicate, 3),
            some([0, 0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2])
        );
        assert_eq!(Border::Constant(7.0).index(-1, 3), None);
        assert_eq!(row(Border::Mirror, 1), vec![Some(0); 13]);
    }
}
