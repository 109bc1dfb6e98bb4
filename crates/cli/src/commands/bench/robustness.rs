//! How well methods bear noise, over all its rates.

use cleanslide_eval::{Bootstrap, Error, Estimate, NoiseRates};
use cleanslide_learn::bench::{AddedNoise, Cell};
use ndarray::Array2;
use serde::Serialize;

use super::Line;
use crate::failure::{Failure, Result};
use crate::measures::Known;

/// Rates, that without noise among them, of which a curve is summed up.
const FEWEST_RATES: usize = 3;

/// The predictions of a method, `[images, classes]` for each seed.
pub type OfSeeds = Vec<Array2<f32>>;

/// What one method lost to one kind of noise.
#[derive(Debug, Clone, Serialize)]
pub struct Robustness {
    /// Name of the labels.
    pub labels: String,
    /// Kind of the noise.
    pub noise: String,
    /// The method.
    pub method: String,
    /// Rate and balanced accuracy, from no noise to the most.
    pub balanced_accuracy: Vec<(f64, Estimate)>,
    /// Mean skill over all rates; none of fewer than three rates, or without that of no noise.
    pub mean_skill: Option<Estimate>,
    /// The rate at which half of the skill is lost, the greatest where it never is; none without skill, or
    /// without a mean skill.
    pub half_lost_at: Option<Estimate>,
}

/// The curve of each kind of labels, noise and method of which there are several rates. Cells come in blocks of seeds, a
/// line for each; `read` gives the predictions of such a block.
pub fn robustness(
    lines: &[Line],
    cells: &[Cell],
    seeds: usize,
    known: &Known,
    read: &dyn Fn(&[Cell]) -> Result<OfSeeds>,
    bootstrap: &Bootstrap,
) -> Result<Vec<Robustness>> {
    let blocks: Vec<&[Cell]> = cells.chunks(seeds).collect();
    let mut kinds: Vec<(&str, String, &str)> = Vec::new();
    for cell in blocks.iter().map(|block| &block[0]) {
        let kind = (cell.labels.as_str(), cell.noise.kind(), cell.method.name());
        if cell.noise != AddedNoise::None && !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let mut curves = Vec::new();
    for (labels, noise, method) in kinds {
        let belongs = |cell: &Cell| {
            let kind = cell.noise.kind();
            cell.labels == labels
                && cell.method.name() == method
                && (kind == noise || cell.noise == AddedNoise::None)
        };
        let mut points: Vec<usize> = (0..blocks.len())
            .filter(|&at| belongs(&blocks[at][0]))
            .collect();
        points.sort_by(|&a, &b| lines[a].rate.total_cmp(&lines[b].rate));
        if points.len() < 2 {
            continue;
        }
        let rates: Vec<f64> = points.iter().map(|&at| lines[at].rate).collect();
        let chance = 1.0 / known.classes as f64;
        // Without a rate of zero, nothing says how much skill there was to lose.
        let summed_up = rates.len() >= FEWEST_RATES && rates[0] == 0.0;
        let rates = NoiseRates::new(rates, chance).filter(|_| summed_up);
        let (mean_skill, half_lost_at) = match rates {
            Some(rates) => {
                let predicted = points.iter().map(|&at| read(blocks[at]));
                let curve = known.over_noise(&predicted.collect::<Result<Vec<_>>>()?)?;
                let half = curve.estimate(bootstrap, |values| rates.half_lost_at(values));
                let half = match half {
                    Ok(half) => Some(half),
                    Err(Error::Undefined(_) | Error::TooManyUndefined { .. }) => None,
                    Err(error) => return Err(Failure::from(error)),
                };
                let mean = curve.estimate(bootstrap, |values| rates.mean_skill(values))?;
                (Some(mean), half)
            }
            None => (None, None),
        };
        curves.push(Robustness {
            labels: labels.to_owned(),
            noise: noise.clone(),
            method: method.to_owned(),
            balanced_accuracy: points
                .iter()
                .map(|&at| (lines[at].rate, lines[at].balanced_accuracy))
                .collect(),
            mean_skill,
            half_lost_at,
        });
    }
    Ok(curves)
}
