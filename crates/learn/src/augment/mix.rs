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

/// Mixes `second` into `first`, both `[size, size, channels]`: pixels, or weights.
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

/// Mixes what is said of the pixels of `second` into what is said of those of `first`, both `[size · size, values]`, before
/// their weights `[size · size]` are mixed themselves:
///
/// ```text
/// mixed = (s · w1 · said1 + (1 − s) · w2 · said2) / (s · w1 + (1 − s) · w2)
/// ```
///
/// A loss that is linear in what is said is then, times the mixed weight, the sum of the losses of both crops; and where one
/// of them says nothing (weight 0), the other alone is learned from, instead of a share of no class at all.
pub fn mix_labels(
    first: &mut [f32],
    second: &[f32],
    weights: [&[f32]; 2],
    size: usize,
    mixture: &Mixture,
) {
    let Mixture::Over(share) = mixture else {
        return mix(first, second, size, mixture);
    };
    let values = (first.len() / (size * size)).max(1);
    let first = first.chunks_exact_mut(values);
    let pixels = first.zip(second.chunks_exact(values));
    for ((first, second), (one, two)) in pixels.zip(weights[0].iter().zip(weights[1])) {
        let (one_counts, two_counts) = (share * one, (1.0 - share) * two);
        let counts = one_counts + two_counts;
        // Equal weights change no share, not even by rounding, and of nothing there is none.
        let share = if one == two || counts == 0.0 {
            *share
        } else {
            one_counts / counts
        };
        for (one, two) in first.iter_mut().zip(second) {
            *one = *one * share + two * (1.0 - share);
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
    fn labels_are_mixed_as_far_as_they_count() {
        // Pixels that both crops label, one of them, the other, none; and both, one of them half as much.
        let weights = [
            [1.0, 1.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0, 1.0],
            [1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        ];
        let said = |class: usize, weights: &[f32]| -> Vec<f32> {
            let row = |&weight: &f32| {
                let mut row = [0.0; 2];
                row[class] = f32::from(u8::from(weight > 0.0));
                row
            };
            weights.iter().flat_map(row).collect()
        };
        let (mut first, second) = (said(0, &weights[0]), said(1, &weights[1]));
        let mut plain = first.clone();
        let over = Mixture::Over(0.3);
        let of_both = [&weights[0][..], &weights[1]];
        mix_labels(&mut first, &second, of_both, 3, &over);
        mix(&mut plain, &second, 3, &over);
        let pixel = |at: usize| [first[2 * at], first[2 * at + 1]];
        assert_eq!(first[..2], plain[..2], "equal weights change no bit");
        assert_eq!(first[10..], plain[10..]);
        assert_eq!(
            [pixel(1), pixel(2), pixel(3)],
            [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
        );
        // 0.3 · 0.5 of the first against 0.7 of the second.
        assert!(
            (pixel(4)[0] - 0.15 / 0.85).abs() < 1e-6 && (pixel(4)[1] - 0.7 / 0.85).abs() < 1e-6
        );

        // All of one crop, which says nothing.
        let mut nothing = said(0, &weights[0]);
        mix_labels(&mut nothing, &second, of_both, 3, &Mixture::Over(0.0));
        assert!(nothing.iter().all(|value| value.is_finite()), "{nothing:?}");

        let mut beside = vec![0.0; 18];
        let half = Mixture::Beside([0, 1], [0, 3]);
        mix_labels(&mut beside, &second, of_both, 3, &half);
        assert_eq!(beside[..6], second[..6]);
        assert_eq!(beside[6..], [0.0; 12]);
        mix_labels(&mut [], &[], of_both, 3, &over);
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
