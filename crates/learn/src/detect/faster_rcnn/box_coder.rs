//! Boxes as differences to others.

use cleanslide_data::{Point, Rectangle};

/// A side grows by no more than this factor.
const MOST: f64 = 1000.0 / 16.0;

/// Boxes as offsets (Girshick et al., arXiv 1311.2524): from a box with the middle (x, y), the width w and the height h
/// to one with x′, y′, w′ and h′,
///
/// ```text
/// (x′ − x) / w, (y′ − y) / h, log (w′ / w), log (h′ / h)       each times its factor
/// ```
#[derive(Debug, Clone, Copy)]
pub(in crate::detect) struct BoxCoder {
    factors: [f64; 4],
}

impl BoxCoder {
    /// From anchors to proposals.
    pub(in crate::detect) const ANCHORS: Self = Self { factors: [1.0; 4] };
    /// From regions to objects: factors that make offsets about as large as scores.
    pub(in crate::detect) const REGIONS: Self = Self {
        factors: [10.0, 10.0, 5.0, 5.0],
    };

    pub(in crate::detect) fn encode(self, from: &Rectangle, to: &Rectangle) -> [f32; 4] {
        let (one, other) = (from.centre(), to.centre());
        let offsets = [
            (other.x - one.x) / from.width(),
            (other.y - one.y) / from.height(),
            (to.width() / from.width()).ln(),
            (to.height() / from.height()).ln(),
        ];
        std::array::from_fn(|index| (offsets[index] * self.factors[index]) as f32)
    }

    /// The box, as far as it lies on an image of so many rows and columns; `None` if it does not, or is none.
    pub(in crate::detect) fn decode(
        self,
        from: &Rectangle,
        offsets: [f32; 4],
        size: [usize; 2],
    ) -> Option<Rectangle> {
        let [x, y, width, height] =
            std::array::from_fn(|index| f64::from(offsets[index]) / self.factors[index]);
        let half = |side: f64, growth: f64| side * growth.min(MOST.ln()).exp() / 2.0;
        let (half_width, half_height) = (half(from.width(), width), half(from.height(), height));
        let middle = from.centre();
        let middle = Point {
            x: middle.x + x * from.width(),
            y: middle.y + y * from.height(),
        };
        Rectangle::new(
            middle.x - half_width,
            middle.y - half_height,
            middle.x + half_width,
            middle.y + half_height,
        )
        .ok()?
        .on_image((size[0], size[1]))
    }
}
