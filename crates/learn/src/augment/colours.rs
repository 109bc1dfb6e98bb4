//! Other colours of the same tissue.

use cleanslide_image::filter::{GaussianKernel, gaussian_blur_colour};
use cleanslide_image::stain::{StainMatrix, combine_stains, separate_stains};
use cleanslide_image::{Border, Error};
use ndarray::{Array3, ArrayView3};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::AugmentSettings;

/// The brightness of a colour: ITU-R BT.601.
const GREY: [f32; 3] = [0.299, 0.587, 0.114];

/// A change of colours that was drawn once and can be applied to any crop.
#[derive(Debug, Clone)]
pub struct Colours {
    stains: Option<[f32; 3]>,
    brightness: f32,
    contrast: f32,
    saturation: f32,
    /// In radians.
    hue: f32,
    channels: [usize; 3],
    blur: f64,
    noise: f32,
}

impl Colours {
    /// Draws a change as the settings say.
    pub fn draw(settings: &AugmentSettings, rng: &mut ChaCha8Rng) -> Self {
        let stains = (settings.stain > 0.0)
            .then(|| std::array::from_fn(|_| 1.0 + within(settings.stain, rng)));
        let [brightness, contrast, saturation] =
            [settings.brightness, settings.contrast, settings.saturation]
                .map(|most| 1.0 + within(most, rng));
        let hue = within(settings.hue, rng) * std::f32::consts::TAU;
        let mut channels = [0, 1, 2];
        if settings.channel_shuffle > 0.0 && rng.random_bool(settings.channel_shuffle) {
            channels.shuffle(rng);
        }
        let blurs = settings.blur > 0.0 && rng.random_bool(0.5);
        let blur = if blurs {
            rng.random_range(0.0..=settings.blur)
        } else {
            0.0
        };
        Self {
            stains,
            brightness,
            contrast,
            saturation,
            hue,
            channels,
            blur,
            noise: within(settings.noise, rng).abs(),
        }
    }

    /// Changes a crop `[size, size, 3]` of shares of white, in this order: stains, brightness, contrast,
    /// saturation, hue, order of the channels, blur, noise. Values stay between 0 and 1.
    ///
    /// # Errors
    /// When the crop is not of that size.
    pub fn apply(
        &self,
        crop: Vec<f32>,
        size: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<f32>, Error> {
        let mut crop = match self.stains {
            Some(factors) => stained(&crop, size, factors)?,
            None => crop,
        };
        let (pixels, _) = crop.as_chunks_mut::<3>();
        let mean = pixels.iter().map(grey).sum::<f32>() / pixels.len().max(1) as f32;
        let hue = self.hue_matrix();
        for pixel in pixels {
            let bright = pixel.map(|value| (value * self.brightness).clamp(0.0, 1.0));
            let middle = (mean * self.brightness).clamp(0.0, 1.0);
            let contrasted = towards(bright, middle, self.contrast);
            let saturated = towards(contrasted, grey(&contrasted), self.saturation);
            let turned: [f32; 3] = std::array::from_fn(|channel| {
                let sum: f32 = (0..3).map(|at| hue[channel][at] * saturated[at]).sum();
                sum.clamp(0.0, 1.0)
            });
            *pixel = self.channels.map(|channel| turned[channel]);
        }
        if self.blur > 0.0 {
            crop = blurred(&crop, size, self.blur)?;
        }
        if self.noise > 0.0 {
            for value in &mut crop {
                let normal: f32 = StandardNormal.sample(rng);
                *value = (*value + normal * self.noise).clamp(0.0, 1.0);
            }
        }
        Ok(crop)
    }

    /// A turn about the grey axis, in the plane of equal brightness (YIQ).
    fn hue_matrix(&self) -> [[f32; 3]; 3] {
        if self.hue == 0.0 {
            return [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        }
        let (sine, cosine) = self.hue.sin_cos();
        const TO_YIQ: [[f32; 3]; 3] = [GREY, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]];
        const FROM_YIQ: [[f32; 3]; 3] = [
            [1.0, 0.956, 0.619],
            [1.0, -0.272, -0.647],
            [1.0, -1.106, 1.703],
        ];
        let turn = [[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]];
        product(&FROM_YIQ, &product(&turn, &TO_YIQ))
    }
}

fn product(left: &[[f32; 3]; 3], right: &[[f32; 3]; 3]) -> [[f32; 3]; 3] {
    std::array::from_fn(|row| {
        std::array::from_fn(|column| (0..3).map(|at| left[row][at] * right[at][column]).sum())
    })
}

fn within(most: f64, rng: &mut ChaCha8Rng) -> f32 {
    if most > 0.0 {
        rng.random_range(-most..=most) as f32
    } else {
        0.0
    }
}

fn grey(pixel: &[f32; 3]) -> f32 {
    (0..3).map(|channel| pixel[channel] * GREY[channel]).sum()
}

/// Moves a colour away from a grey, or towards it.
fn towards(pixel: [f32; 3], middle: f32, factor: f32) -> [f32; 3] {
    pixel.map(|value| (middle + (value - middle) * factor).clamp(0.0, 1.0))
}

fn stained(crop: &[f32], size: usize, factors: [f32; 3]) -> Result<Vec<f32>, Error> {
    let mut stains = separate_stains(view(crop, size)?, &StainMatrix::HED)?;
    for mut pixel in stains.rows_mut() {
        for (amount, factor) in pixel.iter_mut().zip(factors) {
            *amount *= factor;
        }
    }
    let changed: Array3<f32> = combine_stains(stains.view(), &StainMatrix::HED)?;
    Ok(changed.into_iter().collect())
}

fn blurred(crop: &[f32], size: usize, sigma: f64) -> Result<Vec<f32>, Error> {
    let kernel = GaussianKernel::of_sigma(sigma, 3.0)?;
    let blurred = gaussian_blur_colour(view(crop, size)?, &kernel, &kernel, Border::Mirror);
    Ok(blurred.into_iter().collect())
}

fn view(crop: &[f32], size: usize) -> Result<ArrayView3<'_, f32>, Error> {
    ArrayView3::from_shape((size, size, 3), crop)
        .map_err(|error| Error::Undefined(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn crop(rng: &mut ChaCha8Rng) -> Vec<f32> {
        (0..8 * 8 * 3)
            .map(|_| rng.random_range(0.05..0.95))
            .collect()
    }

    #[test]
    fn no_change_changes_nothing() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let before = crop(&mut rng);
        let colours = Colours::draw(&AugmentSettings::none(), &mut rng);
        let after = colours.apply(before.clone(), 8, &mut rng).unwrap();
        let most = before
            .iter()
            .zip(&after)
            .fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(most < 1e-6, "{most}");
    }

    #[test]
    fn changes_stay_within_white_and_keep_what_they_should() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let before = crop(&mut rng);
        let all = AugmentSettings {
            hue: 0.2,
            stain: 0.3,
            blur: 1.5,
            noise: 0.1,
            channel_shuffle: 0.5,
            brightness: 0.5,
            contrast: 0.5,
            saturation: 1.0,
            ..AugmentSettings::none()
        };
        for _ in 0..20 {
            let colours = Colours::draw(&all, &mut rng);
            let after = colours.apply(before.clone(), 8, &mut rng).unwrap();
            assert!(after.iter().all(|value| (0.0..=1.0).contains(value)));
        }
        // Turning the hue keeps greys grey.
        let hue = AugmentSettings {
            hue: 0.5,
            ..AugmentSettings::none()
        };
        let colours = Colours::draw(&hue, &mut rng);
        let grey = vec![0.4; 8 * 8 * 3];
        let after = colours.apply(grey, 8, &mut rng).unwrap();
        assert!(after.iter().all(|value| (value - 0.4).abs() < 2e-3));
        // One more stain of a single colour darkens it.
        let more = Colours {
            stains: Some([1.5, 1.0, 1.0]),
            ..Colours::draw(&AugmentSettings::none(), &mut rng)
        };
        let haematoxylin = [0.45, 0.35, 0.65].repeat(64);
        let darker = more.apply(haematoxylin.clone(), 8, &mut rng).unwrap();
        assert!(darker.iter().zip(&haematoxylin).all(|(a, b)| a < b));
    }
}
