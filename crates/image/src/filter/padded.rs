//! A copy of an image with its border, for filters that look at whole windows.

use crate::{Border, Sample};

/// An image with `radius` pixels more on each side.
pub(super) struct Padded<T> {
    samples: Vec<T>,
    /// Samples in a row, with the border.
    stride: usize,
}

impl<T: Sample> Padded<T> {
    /// The image must have pixels.
    pub(super) fn new(
        samples: &[T],
        (height, width): (usize, usize),
        channels: usize,
        radius: usize,
        border: Border,
    ) -> Self {
        let beyond = match border {
            Border::Constant(value) => T::from_f32(value),
            _ => T::default(),
        };
        let reach = radius as isize;
        let stride = (width + 2 * radius) * channels;
        let mut padded = Vec::with_capacity((height + 2 * radius) * stride);
        for y in -reach..height as isize + reach {
            let Some(y) = border.index(y, height) else {
                padded.resize(padded.len() + stride, beyond);
                continue;
            };
            let row = &samples[y * width * channels..(y + 1) * width * channels];
            let side = |columns: std::ops::Range<isize>, padded: &mut Vec<T>| {
                for x in columns {
                    match border.index(x, width) {
                        Some(x) => padded.extend(&row[x * channels..(x + 1) * channels]),
                        None => padded.resize(padded.len() + channels, beyond),
                    }
                }
            };
            side(-reach..0, &mut padded);
            padded.extend(row);
            side(width as isize..width as isize + reach, &mut padded);
        }
        Self {
            samples: padded,
            stride,
        }
    }

    /// All samples, row by row.
    pub(super) fn samples(&self) -> &[T] {
        &self.samples
    }

    /// The row that lies `y` below the upper end of the border.
    pub(super) fn row(&self, y: usize) -> &[T] {
        &self.samples[y * self.stride..(y + 1) * self.stride]
    }
}
