//! Images laid over each other: MixUp and CutMix.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution};

use super::AugmentSettings;
use crate::error::{Error, Result};

/// What a crop and what is said of it are mixed of.
#[derive(Debug, Clone, PartialEq)]
pub enum Mixture {
    /// The first crop alone.
    Alone,
    /// So much of the first crop, and the rest of the second, everywhere.
    Over(f32),
    /// The second crop in these rows and columns, the first elsewhere.
    Beside([usize; 2], [usize; 2]),
}

impl Mixture {
    /// Draws a mixture as the settings say; of MixUp and CutMix one at a time.
    ///
    /// # Errors
    /// When a parameter is no parameter of a beta distribution.
    pub fn draw(settings: &AugmentSettings, size: usize, rng: &mut ChaCha8Rng) -> Result<Self> {
        let (up, cut) = (settings.mix_up > 0.0, settings.cut_mix > 0.0);
        Ok(match (up, cut) {
            (false, false) => Self::Alone,
            (true, cut) if !cut || rng.random_bool(0.5) => {
                Self::Over(share("mix_up", settings.mix_up, rng)?)
            }
            _ => {
                let side = (1.0 - share("cut_mix", settings.cut_mix, rng)?).sqrt() * size as f32;
                let mut part = || {
                    let middle = rng.random_range(0..=size) as f32;
                    [middle - side / 2.0, middle + side / 2.0]
                        .map(|end| end.round().clamp(0.0, size as f32) as usize)
                };
                Self::Beside(part(), part())
            }
        })
    }
}

fn share(name: &'static str, parameter: f64, rng: &mut ChaCha8Rng) -> Result<f32> {
    let beta = Beta::new(parameter, parameter).map_err(|error| Error::Setting {
        name,
        value: parameter.to_string(),
        reason: error.to_string(),
    })?;
    Ok(beta.sample(rng) as f32)
}

/// Mixes `second` into `first`, both `[size, size, channels]`: pixels, targets or weights alike.
pub fn mix(first: &mut [f32], second: &[f32], size: usize, mixture: &Mixture) {
    match mixture {
        Mixture::Alone => {}
        Mixture::Over(share) => {
            for (one, two) in first.iter_mut().zip(second) {
                *one = *one * share + two * (1.0 - share);
            }
        }
        Mixture::Beside(rows, columns) => {
            let channels = first.len() / (size * size);
            for row in rows[0]..rows[1] {
                let from = (row * size + columns[0]) * channels;
                let to = (row * size + columns[1]) * channels;
                first[from..to].copy_from_slice(&second[from..to]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn mixtures_are_of_both() {
        let (first, second) = (vec![1.0; 4 * 4 * 2], vec![0.0; 4 * 4 * 2]);
        let mixed = |mixture| {
            let mut first = first.clone();
            mix(&mut first, &second, 4, &mixture);
            first
        };
        assert_eq!(mixed(Mixture::Alone), first);
        assert_eq!(mixed(Mixture::Over(0.25)), vec![0.25; 32]);
        let beside = mixed(Mixture::Beside([1, 3], [0, 2]));
        assert_eq!(beside.iter().sum::<f32>(), 32.0 - 8.0);
        assert_eq!(beside[8..12], [0.0; 4]);
    }

    #[test]
    fn shares_follow_the_settings() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let settings = AugmentSettings {
            cut_mix: 1.0,
            ..AugmentSettings::none()
        };
        let mut area = 0.0;
        for _ in 0..2000 {
            match Mixture::draw(&settings, 64, &mut rng).unwrap() {
                Mixture::Beside([top, bottom], [left, right]) => {
                    assert!(top <= bottom && bottom <= 64 && left <= right && right <= 64);
                    area += ((bottom - top) * (right - left)) as f64 / 4096.0;
                }
                other => panic!("{other:?}"),
            }
        }
        // Half of the area on average, less what the edges cut off.
        assert!((0.25..0.5).contains(&(area / 2000.0)), "{}", area / 2000.0);
        assert_eq!(
            Mixture::draw(&AugmentSettings::none(), 64, &mut rng).unwrap(),
            Mixture::Alone
        );
    }
}
