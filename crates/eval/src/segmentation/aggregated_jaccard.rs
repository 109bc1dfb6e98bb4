//! Aggregated Jaccard index of instances.
//!
//! N. Kumar et al., "A Dataset and a Technique for Generalized Nuclear Segmentation for
//! Computational Pathology", 2017, doi:10.1109/TMI.2017.2677499; AJI+ with one-to-one pairs:
//! S. Graham et al., "HoVer-Net", 2019, doi:10.1016/j.media.2019.101563:
//!
//! ```text
//!       Σ over true instances of |t ∩ p(t)|
//! AJI = -----------------------------------------------------------------
//!       Σ over true instances of |t ∪ p(t)| + Σ of |p| over unused found ones
//! ```
//!
//! where p(t) is the found instance of highest IoU with t. A true instance that nothing overlaps adds
//! its area to the divisor.

use serde::{Deserialize, Serialize};

use crate::confusion::ratio;
use crate::error::{Error, Undefined};
use crate::matching::{Overlap, Overlaps, heaviest};
use crate::weights::Weights;

/// Whether a found instance may be the best of several true ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reuse {
    /// It may, as in the paper: AJI. Of equal IoU, the found instance with the lowest number is
    /// taken.
    #[default]
    Allowed,
    /// It may not: AJI+. The pairs are those with the highest sum of IoU.
    Never,
}

/// The two sums of the index; they add up over images.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct AggregatedJaccard {
    /// Pixels that paired instances share.
    pub intersection: f64,
    /// Pixels of the unions of the pairs, and of all instances without partner.
    pub union: f64,
}

impl AggregatedJaccard {
    /// The sums of one image.
    pub fn new(overlaps: &Overlaps, reuse: Reuse) -> Self {
        let chosen = match reuse {
            Reuse::Allowed => best_of_each(overlaps),
            Reuse::Never => one_to_one(overlaps),
        };
        let (truths, founds) = overlaps.counts();
        let mut alone = (vec![true; truths], vec![true; founds]);
        let (mut intersection, mut union) = (0, 0);
        for overlap in chosen {
            intersection += overlap.pixels;
            union += overlaps.union(&overlap);
            alone.0[overlap.truth] = false;
            alone.1[overlap.predicted] = false;
        }
        let missed = overlaps.truth.iter().zip(alone.0);
        let surplus = overlaps.predicted.iter().zip(alone.1);
        union += missed
            .chain(surplus)
            .filter(|(_, alone)| *alone)
            .map(|(instance, _)| instance.area)
            .sum::<u64>();
        AggregatedJaccard {
            intersection: intersection as f64,
            union: union as f64,
        }
    }

    /// The sums of several images.
    ///
    /// # Errors
    /// Weights that do not fit the images.
    pub fn pool(images: &[Self], weights: Weights<'_>) -> Result<Self, Error> {
        weights.check(images.len())?;
        let mut sum = AggregatedJaccard::default();
        for (item, image) in images.iter().enumerate() {
            sum.intersection += weights.of(item) * image.intersection;
            sum.union += weights.of(item) * image.union;
        }
        Ok(sum)
    }

    /// The index, from 0 to 1.
    ///
    /// # Errors
    /// Undefined without instances.
    pub fn index(&self) -> Result<f64, Error> {
        ratio(self.intersection, self.union).ok_or_else(|| Undefined::NoObjects.into())
    }
}

fn best_of_each(overlaps: &Overlaps) -> Vec<Overlap> {
    let of_one = overlaps.shared.chunk_by(|a, b| a.truth == b.truth);
    of_one
        .filter_map(|candidates| {
            candidates.iter().copied().reduce(|best, next| {
                // a / b < c / d, in whole numbers: equal fractions are equal.
                let product = |one: &Overlap, other: &Overlap| {
                    u128::from(one.pixels) * u128::from(overlaps.union(other))
                };
                if product(&best, &next) < product(&next, &best) {
                    next
                } else {
                    best
                }
            })
        })
        .collect()
}

fn one_to_one(overlaps: &Overlaps) -> Vec<Overlap> {
    let pairs = overlaps.pairs();
    let chosen = heaviest(overlaps.counts(), &pairs, false);
    chosen
        .iter()
        .filter_map(|pair| {
            let place = |overlap: &Overlap| (overlap.truth, overlap.predicted);
            let found = overlaps
                .shared
                .binary_search_by_key(&(pair.truth, pair.predicted), place);
            found.ok().map(|place| overlaps.shared[place])
        })
        .collect()
}
