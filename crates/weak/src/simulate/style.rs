//! How a laboratory and a scanner render the tissue of one case.

use super::texture::mix;
use image::RgbImage;
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use std::f32::consts::LN_10;

/// Two measured haematoxylins in optical density of red, green and blue: `H&E` and `H&E 2` of
/// the ImageJ plugin Colour Deconvolution.
const HAEMATOXYLIN: [[f32; 3]; 2] = [[0.644, 0.717, 0.267], [0.490, 0.769, 0.410]];
/// The eosins that were measured with them.
const EOSIN: [[f32; 3]; 2] = [[0.093, 0.954, 0.283], [0.046, 0.842, 0.537]];

/// Stain, scanner and patient: what all pictures of one case share and what sets cases apart.
///
/// Because patches of one case look alike, a split that puts one case on both sides flatters
/// every method. That is on purpose.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseStyle {
    /// Unit vector of haematoxylin in optical density of red, green, blue.
    pub haematoxylin: [f32; 3],
    /// Unit vector of eosin in optical density of red, green, blue.
    pub eosin: [f32; 3],
    /// Factor on the haematoxylin concentration; 1 is an average stain.
    pub haematoxylin_strength: f32,
    /// Factor on the eosin concentration; 1 is an average stain.
    pub eosin_strength: f32,
    /// Light through clear glass, of red, green, blue; 1 is the brightest grey value.
    pub white: [f32; 3],
    /// Standard deviation of the Gaussian blur in micrometres: how well the slide is in focus.
    pub blur: f32,
    /// Standard deviation of the camera's noise; 1 is the whole range of grey values.
    pub noise: f32,
    /// Factor on the diameter of all nuclei: fixation and thickness of the section.
    pub nuclear_size: f32,
    /// Factor on the haematoxylin of all nuclei.
    pub chromatin: f32,
    /// Factor on the number of cells per area.
    pub cellularity: f32,
}

impl Default for CaseStyle {
    /// An average stain, in focus.
    fn default() -> Self {
        Self {
            haematoxylin: between(HAEMATOXYLIN, 0.5),
            eosin: between(EOSIN, 0.5),
            haematoxylin_strength: 1.0,
            eosin_strength: 1.0,
            white: [0.95, 0.945, 0.95],
            blur: 0.3,
            noise: 0.008,
            nuclear_size: 1.0,
            chromatin: 1.0,
            cellularity: 1.0,
        }
    }
}

impl CaseStyle {
    /// Draws the style of a case.
    pub fn draw(rng: &mut impl Rng) -> Self {
        let protocol = rng.random_range(0.1..0.9);
        let mut batch = |stain: [f32; 3]| unit(stain.map(|v| v + 0.03 * normal(rng)));
        let haematoxylin = batch(between(HAEMATOXYLIN, protocol));
        let eosin = batch(between(EOSIN, protocol));
        let brightness = rng.random_range(0.90..0.97);
        Self {
            haematoxylin,
            eosin,
            haematoxylin_strength: factor(rng, 0.13),
            eosin_strength: factor(rng, 0.17),
            white: [(); 3].map(|()| brightness + rng.random_range(-0.02..0.02)),
            blur: rng.random_range(0.2..0.55),
            noise: rng.random_range(0.005..0.014),
            nuclear_size: factor(rng, 0.05),
            chromatin: factor(rng, 0.08),
            cellularity: factor(rng, 0.08),
        }
    }

    /// Concentrations of the stains → picture. Both maps hold `height · width` values by row.
    pub(super) fn render(
        &self,
        (height, width): (usize, usize),
        haematoxylin: &[f32],
        eosin: &[f32],
        microns_per_pixel: f32,
        rng: &mut impl Rng,
    ) -> RgbImage {
        let area = height * width;
        let mut picture = RgbImage::new(width as u32, height as u32);
        let kernel = gaussian(self.blur / microns_per_pixel);
        let (mut light, mut scratch) = (vec![0.0f32; area], vec![0.0f32; area]);
        for channel in 0..3 {
            let h = -LN_10 * self.haematoxylin_strength * self.haematoxylin[channel];
            let e = -LN_10 * self.eosin_strength * self.eosin[channel];
            for ((light, &haematoxylin), &eosin) in light.iter_mut().zip(haematoxylin).zip(eosin) {
                *light = self.white[channel] * (h * haematoxylin + e * eosin).exp();
            }
            blur(&mut light, &mut scratch, (height, width), &kernel);
            for (value, &light) in picture.as_mut()[channel..]
                .iter_mut()
                .step_by(3)
                .zip(&light)
            {
                let seen = light + self.noise * normal(rng);
                // The conversion cuts off and saturates at 0 and 255.
                *value = (255.0 * seen + 0.5) as u8;
            }
        }
        picture
    }
}

fn normal(rng: &mut impl Rng) -> f32 {
    StandardNormal.sample(rng)
}

/// A positive factor around 1 with the given spread, never beyond 2.5 spreads.
fn factor(rng: &mut impl Rng, spread: f32) -> f32 {
    (spread * normal(rng).clamp(-2.5, 2.5)).exp()
}

/// The unit vector at `share` (0..=1) of the way between two stains.
fn between([a, b]: [[f32; 3]; 2], share: f32) -> [f32; 3] {
    unit([0, 1, 2].map(|c| mix(a[c], b[c], share)))
}

fn unit(v: [f32; 3]) -> [f32; 3] {
    let length = v.iter().map(|x| x * x).sum::<f32>().sqrt();
    v.map(|x| (x / length).max(0.01))
}

/// One half of a Gaussian kernel, centre first, so that the whole sums to one.
fn gaussian(sigma: f32) -> Vec<f32> {
    let reach = (2.5 * sigma).ceil() as usize;
    let mut half: Vec<f32> = (0..=reach)
        .map(|i| (-0.5 * (i as f32 / sigma.max(1e-3)).powi(2)).exp())
        .collect();
    let sum = half[0] + 2.0 * half[1..].iter().sum::<f32>();
    half.iter_mut().for_each(|v| *v /= sum);
    half
}

/// Separable blur in place; the edge is repeated outwards.
fn blur(map: &mut [f32], scratch: &mut [f32], (height, width): (usize, usize), kernel: &[f32]) {
    for (row, out) in map.chunks_exact(width).zip(scratch.chunks_exact_mut(width)) {
        for (column, out) in out.iter_mut().enumerate() {
            let mut sum = kernel[0] * row[column];
            for (i, &k) in kernel.iter().enumerate().skip(1) {
                sum += k * (row[column.saturating_sub(i)] + row[(column + i).min(width - 1)]);
            }
            *out = sum;
        }
    }
    for (y, out) in map.chunks_exact_mut(width).enumerate() {
        let row = |y: usize| &scratch[y * width..(y + 1) * width];
        for (out, &centre) in out.iter_mut().zip(row(y)) {
            *out = kernel[0] * centre;
        }
        for (i, &k) in kernel.iter().enumerate().skip(1) {
            let (above, below) = (row(y.saturating_sub(i)), row((y + i).min(height - 1)));
            for ((out, &above), &below) in out.iter_mut().zip(above).zip(below) {
                *out += k * (above + below);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn density_of_a_known_concentration_comes_back() {
        let style = CaseStyle {
            noise: 0.0,
            ..CaseStyle::default()
        };
        let size = (4, 4);
        let picture = style.render(
            size,
            &[0.5; 16],
            &[0.2; 16],
            0.5,
            &mut ChaCha8Rng::seed_from_u64(0),
        );
        for (channel, &value) in picture.get_pixel(2, 2).0.iter().enumerate() {
            let density = -(f32::from(value) / 255.0 / style.white[channel]).log10();
            let expected = 0.5 * style.haematoxylin[channel] + 0.2 * style.eosin[channel];
            // Rounding to grey values: half a step of 255 at about 40 % light.
            assert!((density - expected).abs() < 0.5 / 255.0 / 0.3 / 2.3 + 1e-4);
        }
    }

    #[test]
    fn blur_keeps_a_constant_and_the_sum() {
        let kernel = gaussian(1.1);
        let mut map = vec![0.0; 15 * 15];
        map[7 * 15 + 7] = 1.0;
        let mut scratch = map.clone();
        blur(&mut map, &mut scratch, (15, 15), &kernel);
        assert!((map.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!((map[7 * 15 + 6] - map[6 * 15 + 7]).abs() < 1e-7);
        let mut flat = vec![0.3; 6 * 5];
        let mut scratch = flat.clone();
        blur(&mut flat, &mut scratch, (6, 5), &kernel);
        assert!(flat.iter().all(|v| (v - 0.3).abs() < 1e-6));
    }

    #[test]
    fn drawn_styles_are_sane_and_differ() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let styles: Vec<_> = (0..200).map(|_| CaseStyle::draw(&mut rng)).collect();
        for style in &styles {
            let length: f32 = style.haematoxylin.iter().map(|v| v * v).sum();
            assert!((length - 1.0).abs() < 0.05);
            assert!(style.white.iter().all(|w| (0.85..1.0).contains(w)));
            assert!((0.6..1.7).contains(&style.eosin_strength));
        }
        assert!(styles.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
