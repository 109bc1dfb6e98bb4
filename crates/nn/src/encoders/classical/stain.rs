//! Optical density and colour deconvolution.
//!
//! Ruifrok and Johnston, *Quantification of histochemical staining by color deconvolution*,
//! Analytical and Quantitative Cytology and Histology 23 (2001) 291–299.
//!
//! ```text
//! od      = −log10(max(value, 1) / 255)                per channel, so 0 ≤ od ≤ 2.41
//! od      = h · H + e · E + r · R                      H, E: published unit vectors; R = H × E
//! (h e r) = od · M⁻¹                                   rows of M: H, E, R
//! ```

use image::RgbImage;

use super::plane::Plane;

const HAEMATOXYLIN: [f64; 3] = [0.65, 0.70, 0.29];
const EOSIN: [f64; 3] = [0.07, 0.99, 0.11];

/// Stain concentrations in units of optical density; negative where a colour is not a mixture.
pub struct Stains {
    /// Haematoxylin: nuclei.
    pub haematoxylin: Plane<f32>,
    /// Eosin: cytoplasm, fibres.
    pub eosin: Plane<f32>,
    /// What the two stains do not explain.
    pub residual: Plane<f32>,
}

/// Separates haematoxylin, eosin and a residual.
pub fn separate(image: &RgbImage) -> Stains {
    let density: Vec<f32> = (0..256)
        .map(|value| -(f64::from(value.max(1)) / 255.0).log10() as f32)
        .collect();
    let unmixing = unmixing().map(|row| row.map(|value| value as f32));
    let (width, height) = (image.width() as usize, image.height() as usize);
    let pixels = image.as_raw().as_chunks::<3>().0;
    let channel = |stain: usize| Plane {
        width,
        height,
        values: pixels
            .iter()
            .map(|pixel| {
                (0..3)
                    .map(|c| density[usize::from(pixel[c])] * unmixing[c][stain])
                    .sum()
            })
            .collect(),
    };
    Stains {
        haematoxylin: channel(0),
        eosin: channel(1),
        residual: channel(2),
    }
}

/// The inverse of the matrix of unit stain vectors.
fn unmixing() -> [[f64; 3]; 3] {
    let (h, e) = (unit(HAEMATOXYLIN), unit(EOSIN));
    let r = unit(cross(h, e));
    // The inverse by columns: cross products of the rows over the determinant.
    let determinant = (0..3).map(|i| cross(h, e)[i] * r[i]).sum::<f64>();
    let columns = [cross(e, r), cross(r, h), cross(h, e)];
    std::array::from_fn(|row| std::array::from_fn(|column| columns[column][row] / determinant))
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|i| {
        let (j, k) = ((i + 1) % 3, (i + 2) % 3);
        a[j] * b[k] - a[k] * b[j]
    })
}

fn unit(vector: [f64; 3]) -> [f64; 3] {
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    vector.map(|value| value / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pure_stain_is_found_alone() {
        // Haematoxylin of concentration 1: value = 255 · 10^(−vector).
        let values = unit(HAEMATOXYLIN).map(|v| (255.0 * 10f64.powf(-v)).round() as u8);
        let stains = separate(&RgbImage::from_pixel(1, 1, image::Rgb(values)));
        assert!((stains.haematoxylin.values[0] - 1.0).abs() < 0.02);
        assert!(stains.eosin.values[0].abs() < 0.02 && stains.residual.values[0].abs() < 0.02);
    }

    #[test]
    fn white_has_no_stain_and_black_is_finite() {
        let white = separate(&RgbImage::from_pixel(1, 1, image::Rgb([255; 3])));
        assert_eq!(white.haematoxylin.values[0], 0.0);
        let black = separate(&RgbImage::new(1, 1));
        assert!(black.haematoxylin.values[0].is_finite());
    }
}
