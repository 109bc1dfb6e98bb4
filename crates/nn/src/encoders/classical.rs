//! The encoder without weights: 148 named measurements of stain, texture, nuclei and vacuoles.
//!
//! For brightfield tissue stained with haematoxylin and eosin; it runs on any RGB image. What is
//! measured, in order (sources in the submodules):
//!
//! ```text
//! colour        6  mean and standard deviation of red, green, blue (0..=1)
//! stain        25  mean, standard deviation, skewness, percentiles 5 25 50 75 95 of the optical
//!                  density of haematoxylin, eosin, residual; correlation of the first two
//! layout       12  haematoxylin mean and deviation, eosin mean in 4 rings from centre to border
//! pattern      54  uniform rotation-invariant local binary patterns at radius 1, 2, 3
//! texture      18  six co-occurrence properties at distances 1, 2, 4
//! scale         9  gradient and blob energy at σ = 1, 2, 4 pixels
//! nuclei       19  Otsu's threshold of smoothed haematoxylin; number, area, shape and density of
//!                  the regions above it; the region nearest to the centre
//! vacuoles      5  white regions: share, number, area, roundness
//! ```
//!
//! Pattern, texture and scale are those of haematoxylin. Areas enter as ln(1 + pixels), numbers per
//! 10,000 pixels. Where there is nothing to measure (no region, no pair of pixels) the value is 0;
//! every value is finite for every image.
//!
//! Scale rule: an image whose longer side exceeds 256 pixels is reduced to 256 with its aspect
//! ratio kept; smaller ones are used as they are, since enlarging adds nothing. Lengths are pixels
//! of this working image, so images of one dataset should share magnification and size.
//!
//! Turning an image by 90° or mirroring it changes no measurement beyond rounding. Measurements
//! have different units: standardise them before distances or linear models.

mod cooccurrence;
mod local_binary_pattern;
mod objects;
mod plane;
mod scale_space;
mod stain;
mod statistics;

use image::RgbImage;
use ndarray::Array2;

use self::objects::Region;
use self::plane::Plane;
use self::stain::Stains;
use self::statistics::{Sums, correlation, moments, quantiles};
use super::{Encoder, embed_each};
use crate::error::EncoderError;
use crate::preprocess::{central_crop, resize};

/// The name by which [`open`](super::open) finds this encoder.
pub const NAME: &str = "classical";
/// Part of the identity: raise it when measurements change.
const VERSION: u32 = 1;
/// The longest side of the working image in pixels.
const LONGEST_SIDE: u32 = 256;
/// Eight-bit haematoxylin has 100 steps per unit of optical density.
const DENSITY_STEPS: f32 = 100.0;
/// Steps per co-occurrence level: 16 levels cover densities up to 1.28.
const STEPS_PER_LEVEL: u8 = 8;
const RINGS: usize = 4;
/// (points, radius) as in Ojala et al.
const PATTERNS: [(u32, usize); 3] = [(8, 1), (16, 2), (24, 3)];
const DISTANCES: [usize; 3] = [1, 2, 4];
const SIGMAS: [f32; 3] = [1.0, 2.0, 4.0];
const PERCENTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
/// Smaller regions are noise, not nuclei or vacuoles.
const SMALLEST_REGION: u64 = 16;
/// A pixel is white when no channel is below: an optical density of at most 0.084.
const WHITE: u8 = 210;
/// A white region is a vacuole when it is at least this round and inside the image.
const VACUOLE_ROUNDNESS: f64 = 0.8;

/// Measures colour, texture and nuclei; see the [module](self).
#[derive(Debug, Clone)]
pub struct ClassicalEncoder {
    central_crop: Option<u32>,
    names: Vec<String>,
}

impl ClassicalEncoder {
    /// An encoder of whole images, or of their central `central_crop` × `central_crop` pixels.
    pub fn new(central_crop: Option<u32>) -> Self {
        Self {
            central_crop,
            names: names(),
        }
    }

    fn measure(&self, image: &RgbImage, index: usize) -> Result<Vec<f32>, EncoderError> {
        let image = central_crop(image, self.central_crop, index)?;
        let (width, height) = working_size(image.width(), image.height());
        Ok(measure(&*resize(&image, width, height, index)?))
    }
}

impl Encoder for ClassicalEncoder {
    fn name(&self) -> &str {
        NAME
    }

    fn identity(&self) -> String {
        let settings = format!("{NAME} {VERSION} {:?}", self.central_crop);
        blake3::hash(settings.as_bytes()).to_hex().to_string()
    }

    fn dimension(&self) -> usize {
        self.names.len()
    }

    fn crop(&self) -> Option<u32> {
        self.central_crop
    }

    fn feature_names(&self) -> Option<&[String]> {
        Some(&self.names)
    }

    fn embed(&self, images: &[RgbImage]) -> Result<Array2<f32>, EncoderError> {
        embed_each(
            images,
            self.dimension(),
            || (),
            |(), index, image| self.measure(image, index),
        )
    }
}

fn working_size(width: u32, height: u32) -> (u32, u32) {
    let longest = width.max(height);
    if longest <= LONGEST_SIDE {
        return (width, height);
    }
    let scaled = |side: u32| {
        let scaled = f64::from(side) * f64::from(LONGEST_SIDE) / f64::from(longest);
        (scaled.round() as u32).max(1)
    };
    (scaled(width), scaled(height))
}

fn names() -> Vec<String> {
    let mut names = Vec::new();
    for channel in ["red", "green", "blue"] {
        names.extend(["mean", "standard deviation"].map(|n| format!("{channel} {n}")));
    }
    for stain in ["haematoxylin", "eosin", "residual"] {
        names.extend(["mean", "standard deviation", "skewness"].map(|n| format!("{stain} {n}")));
        names.extend(PERCENTILES.map(|p| format!("{stain} percentile {:.0}", 100.0 * p)));
    }
    names.push("haematoxylin-eosin correlation".to_owned());
    for ring in 1..=RINGS {
        let measures = [
            "haematoxylin mean",
            "haematoxylin standard deviation",
            "eosin mean",
        ];
        names.extend(measures.map(|n| format!("ring {ring} {n}")));
    }
    for (points, radius) in PATTERNS {
        names.extend((0..=points).map(|bits| format!("pattern radius {radius} bits {bits}")));
        names.push(format!("pattern radius {radius} non-uniform"));
    }
    for distance in DISTANCES {
        names.extend(
            cooccurrence::PROPERTIES.map(|property| format!("texture {distance} {property}")),
        );
    }
    for sigma in SIGMAS {
        names.extend(scale_space::ENERGIES.map(|energy| format!("scale {sigma} {energy}")));
    }
    let nuclei = [
        "threshold",
        "separability",
        "area fraction",
        "per 10,000 pixels",
        "log area median",
        "log area interquartile range",
        "log area percentile 90",
        "roundness median",
        "roundness interquartile range",
        "eccentricity median",
        "haematoxylin inside",
        "haematoxylin standard deviation inside",
        "eosin inside",
        "haematoxylin outside",
        "eosin outside",
        "central log area",
        "central roundness",
        "central eccentricity",
        "central distance",
    ];
    names.extend(nuclei.map(|n| format!("nuclei {n}")));
    let vacuoles = [
        "white fraction",
        "area fraction",
        "per 10,000 pixels",
        "log area median",
        "roundness median",
    ];
    names.extend(vacuoles.map(|n| format!("vacuoles {n}")));
    names
}

fn measure(image: &RgbImage) -> Vec<f32> {
    let stains = stain::separate(image);
    let density = stains
        .haematoxylin
        .map(|&value| (value * DENSITY_STEPS).round() as u8);
    let levels =
        density.map(|&value| (value / STEPS_PER_LEVEL).min(cooccurrence::LEVELS as u8 - 1));
    let mut features = Vec::new();
    colour(image, &mut features);
    stain_statistics(&stains, &mut features);
    rings(&stains, &mut features);
    for (points, radius) in PATTERNS {
        features.extend(local_binary_pattern::histogram(&density, points, radius));
    }
    for distance in DISTANCES {
        features.extend(cooccurrence::properties(&levels, distance));
    }
    for sigma in SIGMAS {
        features.extend(scale_space::energies(&stains.haematoxylin, sigma));
    }
    nuclei(&stains, &density, &mut features);
    vacuoles(image, &mut features);
    features
}

fn colour(image: &RgbImage, features: &mut Vec<f32>) {
    let mut sums = [Sums::default(); 3];
    for pixel in image.as_raw().as_chunks::<3>().0 {
        for (sums, &value) in sums.iter_mut().zip(pixel) {
            sums.add(f32::from(value) / 255.0);
        }
    }
    features.extend(
        sums.iter()
            .flat_map(|sums| [sums.mean() as f32, sums.deviation() as f32]),
    );
}

fn stain_statistics(stains: &Stains, features: &mut Vec<f32>) {
    for plane in [&stains.haematoxylin, &stains.eosin, &stains.residual] {
        let moments = moments(plane.values.iter().copied());
        features.extend([moments.mean, moments.deviation, moments.skewness].map(|m| m as f32));
        features.extend(quantiles(&plane.values, PERCENTILES));
    }
    features.push(correlation(&stains.haematoxylin.values, &stains.eosin.values) as f32);
}

/// Rings are bounded by similar rectangles, so that they turn with the image.
fn rings(stains: &Stains, features: &mut Vec<f32>) {
    let (width, height) = (stains.eosin.width, stains.eosin.height);
    let part =
        |position: usize, length: usize| (2 * position + 1).abs_diff(length) * RINGS / length;
    let columns: Vec<usize> = (0..width).map(|x| part(x, width)).collect();
    let mut haematoxylin = [Sums::default(); RINGS];
    let mut eosin = [Sums::default(); RINGS];
    for y in 0..height {
        let vertical = part(y, height);
        let rows = stains.haematoxylin.row(y).iter().zip(stains.eosin.row(y));
        for ((&h, &e), &horizontal) in rows.zip(&columns) {
            let ring = horizontal.max(vertical);
            haematoxylin[ring].add(h);
            eosin[ring].add(e);
        }
    }
    for (h, e) in haematoxylin.iter().zip(&eosin) {
        features.extend([h.mean(), h.deviation(), e.mean()].map(|value| value as f32));
    }
}

fn nuclei(stains: &Stains, density: &Plane<u8>, features: &mut Vec<f32>) {
    let smooth = objects::smooth(density);
    let otsu = objects::otsu(&smooth);
    let mask = smooth.map(|&value| value > otsu.threshold);
    let regions = objects::regions(&mask, SMALLEST_REGION);
    let pixels = mask.values.len() as f32;
    let inside = mask.values.iter().filter(|inside| **inside).count() as f32;
    let areas: Vec<f32> = regions.iter().map(log_area).collect();
    let roundness: Vec<f32> = regions.iter().map(|r| r.roundness() as f32).collect();
    let eccentricity: Vec<f32> = regions.iter().map(|r| r.eccentricity() as f32).collect();
    let [area_low, area, area_high, area_90] = quantiles(&areas, [0.25, 0.5, 0.75, 0.9]);
    let [round_low, round, round_high] = quantiles(&roundness, [0.25, 0.5, 0.75]);
    let [elongated] = quantiles(&eccentricity, [0.5]);
    // [outside, inside]
    let (mut haematoxylin, mut eosin) = ([Sums::default(); 2], [Sums::default(); 2]);
    let densities = stains.haematoxylin.values.iter().zip(&stains.eosin.values);
    for ((&h, &e), &inside) in densities.zip(&mask.values) {
        haematoxylin[usize::from(inside)].add(h);
        eosin[usize::from(inside)].add(e);
    }
    features.extend([
        f32::from(otsu.threshold) / DENSITY_STEPS,
        otsu.separability as f32,
        inside / pixels,
        regions.len() as f32 * 1e4 / pixels,
        area,
        area_high - area_low,
        area_90,
        round,
        round_high - round_low,
        elongated,
        haematoxylin[1].mean() as f32,
        haematoxylin[1].deviation() as f32,
        eosin[1].mean() as f32,
        haematoxylin[0].mean() as f32,
        eosin[0].mean() as f32,
    ]);
    features.extend(match objects::central(&regions, &mask) {
        Some(region) => [
            log_area(&region),
            region.roundness() as f32,
            region.eccentricity() as f32,
            region.distance_from_centre(mask.width, mask.height) as f32,
        ],
        None => [0.0; 4],
    });
}

fn log_area(region: &Region) -> f32 {
    (region.area as f32).ln_1p()
}

fn vacuoles(image: &RgbImage, features: &mut Vec<f32>) {
    let pixels = image.as_raw().as_chunks::<3>().0;
    let white = Plane {
        width: image.width() as usize,
        height: image.height() as usize,
        values: pixels
            .iter()
            .map(|pixel| pixel.iter().all(|&v| v >= WHITE))
            .collect(),
    };
    let mut regions = objects::regions(&white, SMALLEST_REGION);
    regions.retain(|r| !r.touches_border && r.roundness() >= VACUOLE_ROUNDNESS);
    let count = pixels.len() as f32;
    let area = regions.iter().map(|region| region.area).sum::<u64>() as f32;
    let areas: Vec<f32> = regions.iter().map(log_area).collect();
    let roundness: Vec<f32> = regions.iter().map(|r| r.roundness() as f32).collect();
    features.extend([
        white.values.iter().filter(|white| **white).count() as f32 / count,
        area / count,
        regions.len() as f32 * 1e4 / count,
        quantiles(&areas, [0.5])[0],
        quantiles(&roundness, [0.5])[0],
    ]);
}
