//! Poisson's equation on the pixels of a mask.

use cleanslide_data::TryMap;
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis};
use rayon::prelude::*;

use super::Gradients;
use super::components::{Components, components, neighbours};
use super::multigrid::{Grids, Lanes, Level, greatest};
use super::rectangle;
use crate::error::{Error, Result};
use crate::sample::Sample;

/// The greatest error of a result, in grey levels.
const ERROR: f64 = 0.1;

/// The images of one call.
struct Images<'a, T> {
    source: ArrayView3<'a, T>,
    destination: ArrayView3<'a, T>,
    mask: ArrayView2<'a, bool>,
    gradients: Gradients,
}

/// What a channel's value becomes, at each pixel of a part.
type Values = Vec<f64>;

pub(super) fn clone<T: Sample>(
    source: ArrayView3<T>,
    destination: ArrayView3<T>,
    mask: ArrayView2<bool>,
    gradients: Gradients,
) -> Result<Array3<T>> {
    let images = Images {
        source,
        destination,
        mask,
        gradients,
    };
    images.check_finite()?;
    let Components { parts, positions } = components(mask);
    // Greatest parts first, so that no thread is left with one at the end.
    let mut order: Vec<&Vec<(u32, u32)>> = parts.iter().collect();
    order.sort_by_key(|part| std::cmp::Reverse(part.len()));
    let solved: Vec<Vec<Values>> = order
        .par_iter()
        .with_max_len(1)
        .try_map(|part| images.solve(part, positions.view()))?;
    let mut result = destination.to_owned();
    for (part, channels) in order.into_iter().zip(solved) {
        for (channel, values) in channels.into_iter().enumerate() {
            for (&(y, x), value) in part.iter().zip(values) {
                result[[y as usize, x as usize, channel]] = T::from_f32(value as f32);
            }
        }
    }
    Ok(result)
}

impl<T: Sample> Images<'_, T> {
    fn check_finite(&self) -> Result<()> {
        let finite = |image: &ArrayView3<T>| image.iter().all(|value| value.to_f32().is_finite());
        if finite(&self.source) && finite(&self.destination) {
            return Ok(());
        }
        Err(Error::Undefined(
            "an image to be cloned has values that are not finite".into(),
        ))
    }

    /// The values of each channel at the pixels of a part.
    fn solve(&self, part: &[(u32, u32)], positions: ArrayView2<u32>) -> Result<Vec<Values>> {
        if let Some(size) = self.rectangle(part) {
            return Ok(self.solve_rectangle(part, size));
        }
        let mut links = Vec::with_capacity(part.len());
        let mut degrees = Vec::with_capacity(part.len());
        for &(y, x) in part {
            let around = neighbours((y as usize, x as usize), self.mask.dim());
            links.push(around.map(|place| {
                place
                    .filter(|&place| self.mask[place])
                    .map(|place| positions[place])
            }));
            degrees.push(around.iter().flatten().count() as f64);
        }
        let grids = Grids::new(Level::new(part, links, degrees));
        let reach = self.reach(part, &grids)?;
        let tolerance = ERROR * f64::from(T::WHITE) / 255.0 / reach;
        let channels = self.destination.len_of(Axis(2));
        let mut values = Vec::with_capacity(channels);
        while values.len() < channels {
            let first = values.len();
            match channels - first {
                1 => self.channels::<1>(part, &grids, first, tolerance, &mut values)?,
                // Four numbers fill whole vector registers, so three channels take four lanes.
                _ => self.channels::<4>(part, &grids, first, tolerance, &mut values)?,
            }
        }
        Ok(values)
    }

    /// The height and width of a part that is a rectangle with fixed pixels all around, if it is
    /// large enough for sine transforms to be faster than rounds.
    fn rectangle(&self, part: &[(u32, u32)]) -> Option<(usize, usize)> {
        const LARGE: usize = 4096;
        let (&(top, left), &(bottom, right)) = (part.first()?, part.last()?);
        let (height, width) = self.mask.dim();
        let inside = top > 0
            && left > 0
            && (bottom as usize) + 1 < height
            && (right as usize) + 1 < width
            && left <= right;
        if !inside || part.len() < LARGE {
            return None;
        }
        let size = ((bottom - top + 1) as usize, (right - left + 1) as usize);
        let full = size.0 * size.1 == part.len()
            && part.iter().all(|place| (left..=right).contains(&place.1));
        full.then_some(size)
    }

    /// The exact solution on a rectangle.
    fn solve_rectangle(&self, part: &[(u32, u32)], size: (usize, usize)) -> Vec<Values> {
        let channels = self.destination.len_of(Axis(2));
        let mut planes = vec![Array2::zeros(size); channels];
        let mut right = vec![0.0; channels];
        for (at, &(y, x)) in part.iter().enumerate() {
            right.fill(0.0);
            self.excess((y as usize, x as usize), 0, &mut right);
            for (plane, right) in planes.iter_mut().zip(&right) {
                // The transform solves for the Laplacian, whose sign is the other one.
                plane[[at / size.1, at % size.1]] = -right;
            }
        }
        rectangle::solve(&mut planes);
        let values = |(channel, plane): (usize, Array2<f64>)| {
            let value = |(&(y, x), change): (&(u32, u32), &f64)| {
                let place = [y as usize, x as usize, channel];
                f64::from(self.destination[place].to_f32()) + change
            };
            part.iter().zip(&plane).map(value).collect()
        };
        planes.into_iter().enumerate().map(values).collect()
    }

    /// Solves up to `L` channels from `first` on and appends their values.
    fn channels<const L: usize>(
        &self,
        part: &[(u32, u32)],
        grids: &Grids,
        first: usize,
        tolerance: f64,
        values: &mut Vec<Values>,
    ) -> Result<()> {
        let count = L.min(self.destination.len_of(Axis(2)) - first);
        let mut right = vec![[0.0; L]; part.len()];
        for (&(y, x), right) in part.iter().zip(&mut right) {
            self.excess((y as usize, x as usize), first, &mut right[..count]);
        }
        let mut change = grids.solve(right, tolerance).ok_or_else(unsolved)?;
        if part.len() == self.mask.len() {
            keep_mean(&mut change);
        }
        for lane in 0..count {
            let value = |(&(y, x), change): (&(u32, u32), &Lanes<L>)| {
                let place = [y as usize, x as usize, first + lane];
                f64::from(self.destination[place].to_f32()) + change[lane]
            };
            values.push(part.iter().zip(&change).map(value).collect());
        }
        Ok(())
    }

    /// By how much the wanted differences to a pixel's neighbours exceed the destination's: the
    /// right side of the equations for what cloning adds to the destination, which is 0 outside the
    /// mask.
    fn excess(&self, at: (usize, usize), first: usize, right: &mut [f64]) {
        for next in neighbours(at, self.mask.dim()).into_iter().flatten() {
            for (lane, right) in right.iter_mut().enumerate() {
                let difference = |image: &ArrayView3<T>| {
                    let value = |(y, x)| f64::from(image[[y, x, first + lane]].to_f32());
                    value(at) - value(next)
                };
                let destination = difference(&self.destination);
                *right +=
                    self.gradients.choose(difference(&self.source), destination) - destination;
            }
        }
    }

    /// A bound on the error of a solution whose equations are all off by at most 1: the greatest
    /// row sum of the inverse.
    ///
    /// By the discrete maximum principle it is at most that of any larger region. For a strip of n
    /// pixels between two fixed ones it is (n + 1)² / 8, the top of a parabola; at the border of
    /// the image the strip goes on as its mirror image. Where the part reaches from border to
    /// border in both directions, the bound is computed.
    fn reach(&self, part: &[(u32, u32)], grids: &Grids) -> Result<f64> {
        let (height, width) = self.mask.dim();
        let strip = |positions: &mut dyn Iterator<Item = u32>, length: usize| {
            let (low, high) = positions.fold((u32::MAX, 0), |(low, high), position| {
                (low.min(position), high.max(position))
            });
            let pixels = f64::from(high - low + 1);
            let between = match (low == 0, high as usize + 1 == length) {
                (false, false) => pixels + 1.0,
                (true, true) => f64::INFINITY,
                _ => 2.0 * pixels + 1.0,
            };
            between * between / 8.0
        };
        let rows = strip(&mut part.iter().map(|place| place.0), height);
        let columns = strip(&mut part.iter().map(|place| place.1), width);
        let reach = rows.min(columns);
        if reach.is_finite() {
            return Ok(reach.max(1.0));
        }
        if part.len() == height * width {
            // No fixed pixel: the smallest eigenvalue but 0 of the rectangle bounds the Euclidean
            // norm.
            let angle = std::f64::consts::FRAC_PI_2 / height.max(width) as f64;
            return Ok((part.len() as f64).sqrt() / (4.0 * angle.sin().powi(2)));
        }
        // If A u lies within 1/2 of 1 everywhere, then the row sums are at most twice u.
        let sums = grids.solve(vec![[1.0]; part.len()], 0.5);
        Ok(2.0 * greatest(&sums.ok_or_else(unsolved)?))
    }
}

/// Takes away each lane's mean.
fn keep_mean<const L: usize>(change: &mut [Lanes<L>]) {
    for lane in 0..L {
        let mean = change.iter().map(|values| values[lane]).sum::<f64>() / change.len() as f64;
        for values in change.iter_mut() {
            values[lane] -= mean;
        }
    }
}

fn unsolved() -> Error {
    Error::Undefined("the equations of seamless cloning did not converge".into())
}
