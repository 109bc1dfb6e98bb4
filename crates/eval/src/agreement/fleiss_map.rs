//! Fleiss' kappa of the pixels of an image, and where it comes from.
//!
//! Pixels are the items of [`fleiss_kappa_with_gaps`](crate::fleiss_kappa_with_gaps). The local kappa
//! of a pixel looks at the window around it:
//!
//! ```text
//! observed p_o(x) = mean over the window's pixels i with r_i ≥ 2 of Σ_k r_ik (r_ik − 1) / (r_i (r_i − 1))
//! chance   p_e    = Σ_k π_k², of the whole image
//! kappa(x)        = (p_o(x) − p_e) / (1 − p_e)
//! ```
//!
//! Chance is that of the whole image, for two reasons: the mean of the local kappas over single pixels
//! is then the image's kappa, and windows in which all agree on one class have a value (1), while with a
//! chance of their own they would have none.

use cleanslide_data::UNLABELLED_CLASS;
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::check;
use crate::error::{Error, Undefined};

/// Local agreement in windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleissMap {
    /// Windows reach this many pixels from their middle in each direction: 0 is single pixels.
    /// Windows are cut off at the image's border.
    pub radius: usize,
}

impl Default for FleissMap {
    /// Radius 7: windows of 15 × 15 pixels.
    fn default() -> Self {
        Self { radius: 7 }
    }
}

/// Fleiss' kappa of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct KappaMap {
    /// Kappa around each pixel, \[height, width\], at most 1; NaN where no pixel of the window has
    /// two labels.
    pub local: Array2<f32>,
    /// Kappa of the whole image.
    pub kappa: f64,
    /// The agreement that chance would give.
    pub chance: f64,
}

impl FleissMap {
    /// Measures the experts' masks of one image; `None` for those who did not see it.
    ///
    /// # Errors
    /// Masks of different sizes; a class that does not exist; undefined: no pixel with two labels, or all
    /// labels of one class.
    pub fn measure(
        &self,
        masks: &[Option<ArrayView2<'_, u8>>],
        classes: usize,
    ) -> Result<KappaMap, Error> {
        let size = check(masks, classes)?.ok_or(Undefined::NoPairs)?;
        let masks: Vec<ArrayView2<'_, u8>> = masks.iter().copied().flatten().collect();
        let ratings = Ratings::count(&masks, classes, size);
        if ratings.pairs.iter().all(|&pairs| pairs == 0.0) {
            return Err(Undefined::NoPairs.into());
        }
        if ratings.shares.iter().filter(|&&share| share > 0.0).count() == 1 {
            return Err(Undefined::CertainChance.into());
        }
        let total: f64 = ratings.shares.iter().sum();
        let chance: f64 = ratings
            .shares
            .iter()
            .map(|share| (share / total).powi(2))
            .sum();
        let kappa = |observed: f64| (observed - chance) / (1.0 - chance);
        let whole = kappa(ratings.agreeing.sum() / ratings.pairs.sum());
        let mut local = box_sums(ratings.agreeing, self.radius);
        let pairs = box_sums(ratings.pairs, self.radius);
        // Counts are whole numbers, so 0 is exact; 0 / 0 is NaN.
        local.zip_mut_with(&pairs, |local, pairs| *local = kappa(*local / pairs));
        Ok(KappaMap {
            local: local.mapv(|kappa| kappa as f32),
            kappa: whole,
            chance,
        })
    }
}

/// What kappa needs of the pixels.
struct Ratings {
    /// Share of agreeing pairs of labels of each pixel; 0 without pairs.
    agreeing: Array2<f64>,
    /// 1 for pixels with pairs of labels, 0 for others.
    pairs: Array2<f64>,
    /// Σ over the pixels of the shares of the classes.
    shares: Vec<f64>,
}

impl Ratings {
    fn count(masks: &[ArrayView2<'_, u8>], classes: usize, size: (usize, usize)) -> Self {
        let mut agreeing = Array2::zeros(size);
        let mut pairs = Array2::zeros(size);
        let rows: Vec<Vec<f64>> = agreeing
            .axis_iter_mut(Axis(0))
            .into_par_iter()
            .zip(pairs.axis_iter_mut(Axis(0)))
            .enumerate()
            .map(|(y, (mut agreeing, mut pairs))| {
                let mut shares = vec![0.0; classes];
                let mut votes = vec![0_u32; classes];
                for x in 0..size.1 {
                    votes.fill(0);
                    for mask in masks {
                        if mask[[y, x]] != UNLABELLED_CLASS {
                            votes[usize::from(mask[[y, x]])] += 1;
                        }
                    }
                    let total = f64::from(votes.iter().sum::<u32>());
                    if total >= 1.0 {
                        for (share, &votes) in shares.iter_mut().zip(&votes) {
                            *share += f64::from(votes) / total;
                        }
                    }
                    if total >= 2.0 {
                        let equal = |&votes: &u32| f64::from(votes) * (f64::from(votes) - 1.0);
                        agreeing[x] =
                            votes.iter().map(equal).sum::<f64>() / (total * (total - 1.0));
                        pairs[x] = 1.0;
                    }
                }
                shares
            })
            .collect();
        // In the order of the rows, whatever the number of threads.
        let mut shares = vec![0.0; classes];
        for row in rows {
            for (sum, share) in shares.iter_mut().zip(row) {
                *sum += share;
            }
        }
        Self {
            agreeing,
            pairs,
            shares,
        }
    }
}

/// Sums over windows that are cut off at the border, by differences of running sums.
fn box_sums(mut values: Array2<f64>, radius: usize) -> Array2<f64> {
    values
        .axis_iter_mut(Axis(0))
        .into_par_iter()
        .for_each(|mut row| {
            let mut sum = 0.0;
            let running: Vec<f64> = std::iter::once(0.0)
                .chain(row.iter().map(|value| {
                    sum += value;
                    sum
                }))
                .collect();
            let width = row.len();
            for (x, value) in row.iter_mut().enumerate() {
                let end = x.saturating_add(radius).saturating_add(1).min(width);
                *value = running[end] - running[x.saturating_sub(radius)];
            }
        });
    let height = values.nrows();
    for y in 1..height {
        let (above, mut below) = values.view_mut().split_at(Axis(0), y);
        below
            .row_mut(0)
            .zip_mut_with(&above.row(y - 1), |value, above| *value += above);
    }
    let mut sums = Array2::zeros(values.dim());
    sums.axis_iter_mut(Axis(0))
        .into_par_iter()
        .enumerate()
        .for_each(|(y, mut sums)| {
            let end = y.saturating_add(radius).min(height - 1);
            sums.assign(&values.row(end));
            if y > radius {
                sums -= &values.row(y - radius - 1);
            }
        });
    sums
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::{Weights, fleiss_kappa_with_gaps};

    /// One mask per rater, with one pixel per item, from numbers of ratings [items, classes].
    fn masks(ratings: &Array2<u32>) -> Vec<Array2<u8>> {
        let raters = ratings.row(0).sum() as usize;
        let items: Vec<Vec<u8>> = ratings
            .rows()
            .into_iter()
            .map(|row| {
                row.iter()
                    .enumerate()
                    .flat_map(|(class, &n)| vec![class as u8; n as usize])
                    .collect()
            })
            .collect();
        (0..raters)
            .map(|rater| Array2::from_shape_fn((1, items.len()), |(_, item)| items[item][rater]))
            .collect()
    }

    #[test]
    fn the_example_of_statsmodels() {
        // statsmodels/stats/tests/test_inter_rater.py, from Fleiss: 0.210.
        let ratings = array![
            [0, 0, 0, 0, 14],
            [0, 2, 6, 4, 2],
            [0, 0, 3, 5, 6],
            [0, 3, 9, 2, 0],
            [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0],
            [3, 2, 6, 3, 0],
            [2, 5, 3, 2, 2],
            [6, 5, 2, 1, 0],
            [0, 2, 2, 3, 7]
        ];
        let masks = masks(&ratings);
        let views: Vec<_> = masks.iter().map(|mask| Some(mask.view())).collect();
        let map = FleissMap { radius: 0 }.measure(&views, 5).unwrap();
        assert!((map.kappa - 0.210).abs() < 5e-4, "{}", map.kappa);
        let plain = fleiss_kappa_with_gaps(ratings.view(), Weights::Equal).unwrap();
        assert!((map.kappa - plain).abs() < 1e-12);
        let mean = map.local.mapv(f64::from).mean().unwrap();
        // Local kappas are in single precision.
        assert!((mean - map.kappa).abs() < 1e-6);
        let wide = FleissMap { radius: usize::MAX }.measure(&views, 5).unwrap();
        assert!(
            wide.local
                .iter()
                .all(|&local| (f64::from(local) - map.kappa).abs() < 1e-6)
        );
    }

    #[test]
    fn windows_are_what_they_say() {
        let class = |seed: usize| {
            Array2::from_shape_fn((9, 11), |(y, x)| match (x * 5 + y * 3 + seed * x * y) % 7 {
                0 => 255,
                n => (n % 3) as u8,
            })
        };
        let masks = [class(1), class(2), class(3)];
        let views = [
            Some(masks[0].view()),
            None,
            Some(masks[1].view()),
            Some(masks[2].view()),
        ];
        let single = FleissMap { radius: 0 }.measure(&views, 3).unwrap();
        for radius in [1, 2, 20] {
            let map = FleissMap { radius }.measure(&views, 3).unwrap();
            assert_eq!(map.kappa, single.kappa);
            for ((y, x), &local) in map.local.indexed_iter() {
                let near = |at: usize, other: usize| at.abs_diff(other) <= radius;
                let window: Vec<f64> = single
                    .local
                    .indexed_iter()
                    .filter(|&((v, u), kappa)| near(y, v) && near(x, u) && !kappa.is_nan())
                    .map(|(_, &kappa)| f64::from(kappa))
                    .collect();
                let mean = window.iter().sum::<f64>() / window.len() as f64;
                assert!((f64::from(local) - mean).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn agreement_is_one_and_unknown_is_nan() {
        let one = array![[0, 0, 1, 255], [0, 1, 1, 255]];
        let map = FleissMap { radius: 0 }
            .measure(&[Some(one.view()), Some(one.view())], 2)
            .unwrap();
        assert_eq!(map.kappa, 1.0);
        assert!(map.local[[1, 3]].is_nan() && map.local[[0, 2]] == 1.0);

        let measure = |masks: &[Option<ArrayView2<'_, u8>>]| FleissMap::default().measure(masks, 2);
        assert_eq!(measure(&[]), Err(Undefined::NoPairs.into()));
        assert_eq!(
            measure(&[Some(one.view()), None]),
            Err(Undefined::NoPairs.into())
        );
        let flat = Array2::zeros((2, 2));
        assert_eq!(
            measure(&[Some(flat.view()), Some(flat.view())]),
            Err(Undefined::CertainChance.into())
        );
        let empty = Array2::zeros((0, 3));
        assert_eq!(
            measure(&[Some(empty.view())]),
            Err(Undefined::NoPairs.into())
        );
    }
}
