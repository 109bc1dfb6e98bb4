//! The eight ways to lay an image on the grid.

use cleanslide_data::{Point, Rectangle};
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis};

use super::map_corners;

/// One of the eight flips and turns that need no interpolation.
///
/// Turns are counterclockwise as seen, as `numpy.rot90` counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Turn {
    /// The image as it is.
    #[default]
    Identity,
    /// Left and right exchanged. `cv2.flip(image, 1)`.
    FlipHorizontal,
    /// Top and bottom exchanged. `cv2.flip(image, 0)`.
    FlipVertical,
    /// By 90° counterclockwise.
    Quarter,
    /// By 180°.
    Half,
    /// By 270° counterclockwise, that is 90° clockwise.
    ThreeQuarters,
    /// Rows and columns exchanged: flipped along the diagonal from the upper left.
    Transpose,
    /// Flipped along the diagonal from the upper right.
    Transverse,
}

impl Turn {
    /// All eight.
    pub const ALL: [Self; 8] = [
        Self::Identity,
        Self::FlipHorizontal,
        Self::FlipVertical,
        Self::Quarter,
        Self::Half,
        Self::ThreeQuarters,
        Self::Transpose,
        Self::Transverse,
    ];

    /// Whether rows and columns are exchanged first, then whether rows and whether columns are
    /// reversed.
    fn steps(self) -> (bool, bool, bool) {
        match self {
            Self::Identity => (false, false, false),
            Self::FlipHorizontal => (false, false, true),
            Self::FlipVertical => (false, true, false),
            Self::Half => (false, true, true),
            Self::Transpose => (true, false, false),
            Self::Quarter => (true, true, false),
            Self::ThreeQuarters => (true, false, true),
            Self::Transverse => (true, true, true),
        }
    }

    /// What undoes it.
    pub fn inverse(self) -> Self {
        match self {
            Self::Quarter => Self::ThreeQuarters,
            Self::ThreeQuarters => Self::Quarter,
            own => own,
        }
    }

    /// The height and width of the result for an image of this height and width.
    pub fn size(self, (height, width): (usize, usize)) -> (usize, usize) {
        if self.steps().0 {
            (width, height)
        } else {
            (height, width)
        }
    }

    /// A plane, mask or picture of labels.
    pub fn plane<T: Clone>(self, mut image: ArrayView2<T>) -> Array2<T> {
        let (swap, rows, columns) = self.steps();
        if swap {
            image.swap_axes(0, 1);
        }
        if rows {
            image.invert_axis(Axis(0));
        }
        if columns {
            image.invert_axis(Axis(1));
        }
        image.as_standard_layout().into_owned()
    }

    /// An image `[height, width, channels]`.
    pub fn colour<T: Clone>(self, mut image: ArrayView3<T>) -> Array3<T> {
        let (swap, rows, columns) = self.steps();
        if swap {
            image.swap_axes(0, 1);
        }
        if rows {
            image.invert_axis(Axis(0));
        }
        if columns {
            image.invert_axis(Axis(1));
        }
        image.as_standard_layout().into_owned()
    }

    /// Where a point of an image of the given height and width comes to lie.
    pub fn point(self, size: (usize, usize), Point { x, y }: Point) -> Point {
        let (swap, rows, columns) = self.steps();
        let (height, width) = self.size(size);
        let (x, y) = if swap { (y, x) } else { (x, y) };
        Point {
            x: if columns { width as f64 - x } else { x },
            y: if rows { height as f64 - y } else { y },
        }
    }

    /// Where a box on an image of the given height and width comes to lie.
    pub fn rectangle(self, size: (usize, usize), rectangle: Rectangle) -> Rectangle {
        map_corners(rectangle, |point| self.point(size, point))
    }
}
