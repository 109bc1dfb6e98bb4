//! Finds boxes that may overlap one.

use cleanslide_data::geometry::Rectangle;

/// Cells per side at most: enough for some thousands of boxes.
const CELLS: f64 = 64.0;

/// Boxes by the cells of a grid that they touch.
pub(in crate::fusion) struct Grid {
    left: f64,
    top: f64,
    cell: f64,
    columns: usize,
    rows: usize,
    cells: Vec<Vec<usize>>,
}

impl Grid {
    /// A grid over these boxes, empty. Boxes outside it go to its outermost cells.
    pub(in crate::fusion) fn over<'a>(boxes: impl Iterator<Item = &'a Rectangle>) -> Self {
        let (mut left, mut top) = (f64::INFINITY, f64::INFINITY);
        let (mut right, mut bottom) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        let (mut number, mut sides) = (0_usize, 0.0);
        for rectangle in boxes {
            left = left.min(rectangle.left);
            top = top.min(rectangle.top);
            right = right.max(rectangle.right);
            bottom = bottom.max(rectangle.bottom);
            sides += rectangle.width().max(rectangle.height());
            number += 1;
        }
        // A box touches about four cells of its own size.
        let size = (right - left).max(bottom - top);
        let cell = (sides / number as f64).max(size / CELLS);
        let count = |extent: f64| ((extent / cell).ceil().clamp(1.0, CELLS)) as usize;
        let (columns, rows) = (count(right - left), count(bottom - top));
        Self {
            left,
            top,
            cell,
            columns,
            rows,
            cells: vec![Vec::new(); columns * rows],
        }
    }

    /// Adds a box. A box that moves may be added again: it stays where it was, too.
    pub(in crate::fusion) fn insert(&mut self, index: usize, rectangle: &Rectangle) {
        let (columns, rows) = self.touched(rectangle);
        for row in rows {
            for column in columns.clone() {
                let cell = &mut self.cells[row * self.columns + column];
                if !cell.contains(&index) {
                    cell.push(index);
                }
            }
        }
    }

    /// Every box that may overlap this one, and others; some several times.
    pub(in crate::fusion) fn near(&self, rectangle: &Rectangle) -> impl Iterator<Item = usize> {
        let (columns, rows) = self.touched(rectangle);
        rows.flat_map(move |row| {
            columns
                .clone()
                .flat_map(move |column| &self.cells[row * self.columns + column])
                .copied()
        })
    }

    /// Columns and rows of cells.
    fn touched(
        &self,
        rectangle: &Rectangle,
    ) -> (
        std::ops::RangeInclusive<usize>,
        std::ops::RangeInclusive<usize>,
    ) {
        // A cast from a float saturates, and takes NaN as 0.
        let column = |x: f64| (((x - self.left) / self.cell) as usize).min(self.columns - 1);
        let row = |y: f64| (((y - self.top) / self.cell) as usize).min(self.rows - 1);
        (
            column(rectangle.left)..=column(rectangle.right),
            row(rectangle.top)..=row(rectangle.bottom),
        )
    }
}
