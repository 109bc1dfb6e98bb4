//! One channel of an image.

/// Values by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane<T> {
    /// Pixels per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Row by row.
    pub values: Vec<T>,
}

impl<T> Plane<T> {
    /// The values of a row.
    pub fn row(&self, y: usize) -> &[T] {
        &self.values[y * self.width..][..self.width]
    }

    /// Each value mapped.
    pub fn map<U>(&self, map: impl FnMut(&T) -> U) -> Plane<U> {
        Plane {
            width: self.width,
            height: self.height,
            values: self.values.iter().map(map).collect(),
        }
    }
}
