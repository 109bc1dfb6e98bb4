//! What objects look like, and how well an object fits what others of its class look like.

use std::fmt;

use cleanslide_data::mask::UNLABELLED_OBJECT;
use cleanslide_image::Border;
use cleanslide_image::edge::sobel;
use cleanslide_image::region::{Bounds, Statistics, distance, intensities, shapes, statistics};
use cleanslide_image::stain::{StainMatrix, separate_stains};
use cleanslide_weak::generate::Plane;
use image::RgbImage;
use ndarray::{Array2, ArrayView2, Axis, s};
use serde::{Deserialize, Serialize};

use crate::correction::wrong;
use crate::error::{Error, Result};
use crate::views::array;

/// What is measured of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// Pixels.
    Area,
    /// Of the ellipse with the same second moments: 0 for a circle, towards 1 for a line.
    Eccentricity,
    /// Area over that of the convex hull.
    Solidity,
    /// The mean of the plane inside: with haematoxylin, how dark a nucleus is stained.
    Stain,
    /// The standard deviation of the plane inside: how coarse the texture is.
    Texture,
    /// The mean slope of the plane inside.
    Gradient,
    /// The mean of the plane inside less that within three pixels outside, other objects left out.
    Contrast,
}

impl Feature {
    /// All of them, in the order in which they are measured.
    pub const ALL: [Self; 7] = [
        Self::Area,
        Self::Eccentricity,
        Self::Solidity,
        Self::Stain,
        Self::Texture,
        Self::Gradient,
        Self::Contrast,
    ];

    /// What is compared in the place of a value: areas by their logarithms, for twice as large is as far as half as large.
    fn compared(self, value: f64) -> f64 {
        match self {
            Self::Area => value.max(1.0).ln(),
            _ => value,
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Area => "area",
            Self::Eccentricity => "eccentricity",
            Self::Solidity => "solidity",
            Self::Stain => "stain",
            Self::Texture => "texture",
            Self::Gradient => "gradient",
            Self::Contrast => "contrast",
        })
    }
}

/// What is known of the objects of a class before any is seen: the range of something that is measured of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prior {
    /// The name of the class.
    pub class: String,
    /// What is measured.
    pub feature: Feature,
    /// The least that is usual, in the unit of the feature.
    pub least: f64,
    /// The most.
    pub most: f64,
    /// What areas are counted in. Default pixels.
    #[serde(default, skip_serializing_if = "AreaUnit::is_pixels")]
    pub unit: AreaUnit,
}

/// What areas of objects are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AreaUnit {
    /// Pixels of the image.
    #[default]
    Pixels,
    /// Square microns, which needs the size of the pixels of each image.
    Microns,
}

impl AreaUnit {
    fn is_pixels(&self) -> bool {
        *self == Self::Pixels
    }
}

impl Prior {
    pub(super) fn check(&self) -> Result<()> {
        if self.unit == AreaUnit::Microns && self.feature != Feature::Area {
            return wrong(
                "unit",
                "microns",
                &format!(
                    "only areas have a unit, and this is the range of {}",
                    self.feature
                ),
            );
        }
        if self.least < self.most && self.least.is_finite() && self.most.is_finite() {
            return Ok(());
        }
        let range = format!("{} to {} of {}", self.least, self.most, self.class);
        wrong("priors", range, "expected `least` below `most`")
    }

    /// What an object is compared by; not a number where it cannot be.
    fn value(&self, looks: &Looks) -> f64 {
        match self.unit {
            AreaUnit::Pixels => looks.features[self.feature as usize],
            AreaUnit::Microns => looks.square_microns,
        }
    }

    /// How far a value is out of the range, in quarters of its width; 0 within.
    fn excess(&self, value: f64) -> f64 {
        let [least, most, value] =
            [self.least, self.most, value].map(|value| self.feature.compared(value));
        let out = (least - value).max(value - most).max(0.0);
        4.0 * out / (most - least)
    }
}

/// What is measured of one object; what cannot be is not a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Looks {
    /// Of each [`Feature::ALL`].
    pub(super) features: [f64; 7],
    /// Its area.
    pub(super) square_microns: f64,
    /// How much steeper the plane is along the border than beside it, in standard deviations of the image's slope.
    pub(super) edge: f64,
}

/// Measures all objects of a mask `[height, width]`, with their numbers, ascending; pixels have this size if it is known.
pub(super) fn looks(
    image: &RgbImage,
    mask: ArrayView2<'_, u32>,
    plane: Plane,
    microns_per_pixel: Option<f64>,
) -> Result<Vec<(u32, Looks)>> {
    let plane = amounts(image, plane)?;
    let slope = Slope::of(plane.view());
    let measured = |plane: ArrayView2<'_, f32>| {
        intensities(mask, plane).map_err(|error| Error::Device(error.to_string()))
    };
    let (inside, slopes) = (measured(plane.view())?, measured(slope.steepness.view())?);
    let objects = statistics(mask);
    let each = objects.iter().zip(shapes(mask)).zip(inside).zip(slopes);
    Ok(each
        .filter(|(((object, _), _), _)| object.label != UNLABELLED_OBJECT)
        .map(|(((object, shape), inside), slopes)| {
            let around = Around::of(mask, object);
            let beside = around.mean(plane.view(), |inside, distance| !inside && distance <= 3.0);
            let looks = Looks {
                features: [
                    object.area as f64,
                    shape.eccentricity,
                    shape.solidity,
                    inside.mean,
                    inside.deviation,
                    slopes.mean,
                    inside.mean - beside,
                ],
                square_microns: object.area as f64
                    * microns_per_pixel.map_or(f64::NAN, |side| side * side),
                edge: slope.edge(&around),
            };
            (object.label, looks)
        })
        .collect())
}

/// How much steeper the image is along the border of each object of a mask than beside it, by their numbers: what
/// [`looks`] says of that.
pub(super) fn edges(image: &RgbImage, mask: ArrayView2<'_, u32>, plane: Plane) -> Result<Vec<f64>> {
    let slope = Slope::of(amounts(image, plane)?.view());
    let objects = statistics(mask);
    let edge = |object: &Statistics| slope.edge(&Around::of(mask, object));
    Ok(objects.iter().map(edge).collect())
}

/// How steep a plane is.
struct Slope {
    steepness: Array2<f32>,
    /// Its standard deviation.
    spread: f64,
}

impl Slope {
    fn of(plane: ArrayView2<'_, f32>) -> Self {
        let steepness = sobel(plane, Border::Mirror).magnitude();
        let spread = f64::from(steepness.std(0.0)).max(f64::MIN_POSITIVE);
        Self { steepness, spread }
    }

    fn edge(&self, around: &Around) -> f64 {
        let on = around.mean(self.steepness.view(), |_, distance| distance <= 1.0);
        let off = around.mean(self.steepness.view(), |_, distance| distance > 2.0);
        (on - off) / self.spread
    }
}

/// A plane in its own unit; of haematoxylin that of the image, not of its greatest amount.
fn amounts(image: &RgbImage, plane: Plane) -> Result<Array2<f32>> {
    let pixels = array(image)?;
    let failed = |error: String| Error::Device(error);
    if plane == Plane::Haematoxylin {
        let stains = separate_stains(pixels.view(), &StainMatrix::HED);
        let stains = stains.map_err(|error| failed(error.to_string()))?;
        return Ok(stains.index_axis_move(Axis(2), 0));
    }
    let plane = plane.of(pixels.view());
    let plane = plane.map_err(|error| failed(error.to_string()))?;
    Ok(plane.mapv(f32::from))
}

/// The pixels near the border of an object, on both sides; those of other objects are left out.
struct Around {
    /// Row, column, whether it is inside, and its distance to the nearest pixel on the other side.
    pixels: Vec<([usize; 2], bool, f32)>,
}

impl Around {
    /// How far from the border they are at most.
    const REACH: f32 = 4.0;

    fn of(mask: ArrayView2<'_, u32>, object: &Statistics) -> Self {
        let (height, width) = mask.dim();
        let margin = Self::REACH as usize + 1;
        let Bounds {
            left,
            top,
            right,
            bottom,
        } = object.bounds;
        let (top, left) = (top.saturating_sub(margin), left.saturating_sub(margin));
        let (bottom, right) = ((bottom + margin).min(height), (right + margin).min(width));
        let part = mask.slice(s![top..bottom, left..right]);
        let inside = part.mapv(|label| label == object.label);
        let depth = distance(inside.view());
        let reach = distance(inside.mapv(|inside| !inside).view());
        let pixels = part.indexed_iter().filter_map(|(place, &label)| {
            let inside = label == object.label;
            let distance = if inside { depth[place] } else { reach[place] };
            let counts = (inside || label == 0) && distance <= Self::REACH;
            counts.then_some(([top + place.0, left + place.1], inside, distance))
        });
        Self {
            pixels: pixels.collect(),
        }
    }

    /// The mean of a plane over some of them; not a number if there are none.
    fn mean(&self, plane: ArrayView2<'_, f32>, of: impl Fn(bool, f32) -> bool) -> f64 {
        let chosen = self.pixels.iter();
        let chosen = chosen.filter(|(_, inside, distance)| of(*inside, *distance));
        let (sum, count) = chosen.fold((0.0, 0.0), |(sum, count), (place, ..)| {
            (sum + f64::from(plane[*place]), count + 1.0)
        });
        sum / count
    }
}

/// What objects of one class look like: the median of each feature, and a robust standard deviation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Likeness {
    /// `None` of a feature that nothing can be said of.
    usual: [Option<[f64; 2]>; 7],
}

/// 1 over the 0.75 quantile of the standard normal distribution: what makes a median absolute deviation a standard
/// deviation of values with a normal distribution.
const DEVIATIONS: f64 = 1.482_602_218_505_602;

impl Likeness {
    /// As many objects are needed to say what is usual.
    const LEAST: usize = 10;

    /// By the looks of some objects.
    pub(super) fn of<'a>(looks: impl Iterator<Item = &'a Looks>) -> Self {
        let looks: Vec<&Looks> = looks.collect();
        let usual = std::array::from_fn(|feature| {
            let values = looks
                .iter()
                .map(|looks| Feature::ALL[feature].compared(looks.features[feature]));
            let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
            if values.len() < Self::LEAST {
                return None;
            }
            let middle = median(&mut values);
            let mut distances: Vec<f64> =
                values.iter().map(|value| (value - middle).abs()).collect();
            let deviation = DEVIATIONS * median(&mut distances);
            (deviation > 0.0).then_some([middle, deviation])
        });
        Self { usual }
    }

    /// How well an object fits: exp(−d² / 2), with d² the mean square of its distances to the medians, in standard
    /// deviations, and to the ranges that are known, in quarters of their width. `None` if nothing can be said.
    pub(super) fn match_of<'a>(
        &self,
        looks: &Looks,
        priors: impl Iterator<Item = &'a Prior>,
    ) -> Option<f64> {
        let (mut sum, mut count) = (0.0, 0.0);
        for ((feature, value), usual) in Feature::ALL.iter().zip(looks.features).zip(self.usual) {
            if let (Some([middle, deviation]), true) = (usual, value.is_finite()) {
                sum += ((feature.compared(value) - middle) / deviation).powi(2);
                count += 1.0;
            }
        }
        for prior in priors {
            let value = prior.value(looks);
            if value.is_finite() {
                sum += prior.excess(value).powi(2);
                count += 1.0;
            }
        }
        (count > 0.0).then(|| (-0.5 * sum / count).exp())
    }
}

/// How well an object's border shows, in (0, 1): the logistic function of how much steeper the plane is there than beside
/// it. One half where there is no border.
pub(super) fn support(edge: f64) -> Option<f64> {
    edge.is_finite().then(|| 1.0 / (1.0 + (-2.0 * edge).exp()))
}

/// The median of values, of which there is at least one; of an even number the mean of the middle two.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        (values[middle - 1] + values[middle]) / 2.0
    } else {
        values[middle]
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    /// A dark disc of this radius on light, and its mask as object 1, shifted by some columns.
    fn disc(radius: f64, shift: f64) -> (RgbImage, Array2<u32>) {
        let inside = |x: f64, y: f64| (x - 20.0).hypot(y - 16.0) < radius;
        let image = RgbImage::from_fn(40, 32, |x, y| {
            let level = if inside(f64::from(x), f64::from(y)) {
                60
            } else {
                200
            };
            Rgb([level; 3])
        });
        let mask = Array2::from_shape_fn((32, 40), |(row, column)| {
            u32::from(inside(column as f64 - shift, row as f64))
        });
        (image, mask)
    }

    fn only((image, mask): &(RgbImage, Array2<u32>)) -> Looks {
        looks(image, mask.view(), Plane::Grey, None).unwrap()[0].1
    }

    #[test]
    fn a_disc_is_measured() {
        let looks = only(&disc(6.0, 0.0));
        let [area, eccentricity, solidity, stain, texture, _, contrast] = looks.features;
        assert!((area - std::f64::consts::PI * 36.0).abs() < 6.0, "{area}");
        assert!(eccentricity < 0.1 && solidity > 0.9);
        assert_eq!([stain, texture, contrast], [60.0, 0.0, -140.0]);
        assert!(support(looks.edge).unwrap() > 0.9);
        let (image, mask) = disc(6.0, 0.0);
        assert_eq!(
            edges(&image, mask.view(), Plane::Grey).unwrap(),
            [looks.edge]
        );
    }

    #[test]
    fn a_border_beside_the_disc_has_no_support() {
        let [on, off] = [0.0, 5.0].map(|shift| support(only(&disc(6.0, shift)).edge).unwrap());
        assert!(on > off + 0.3, "{on} {off}");
        let flat = RgbImage::from_pixel(40, 32, Rgb([90; 3]));
        let looks = looks(&flat, disc(6.0, 0.0).1.view(), Plane::Grey, None).unwrap();
        assert_eq!(support(looks[0].1.edge), Some(0.5));
    }

    fn of_area(area: f64) -> Looks {
        let mut looks = Looks {
            features: [f64::NAN; 7],
            square_microns: f64::NAN,
            edge: 0.0,
        };
        looks.features[0] = area;
        looks
    }

    #[test]
    fn what_differs_from_the_others_fits_less_and_a_few_do_not_change_that() {
        let mut usual: Vec<Looks> = (0..40)
            .map(|step| of_area(90.0 + f64::from(step)))
            .collect();
        usual.extend([9000.0; 5].map(of_area));
        let likeness = Likeness::of(usual.iter());
        let fits = |area| likeness.match_of(&of_area(area), [].iter()).unwrap();
        assert!(fits(108.0) > 0.95, "{}", fits(108.0));
        assert!(fits(60.0) < fits(90.0));
        assert!(fits(9000.0) < 1e-6);
        let few = Likeness::of(usual[..5].iter());
        assert_eq!(few.match_of(&of_area(100.0), [].iter()), None);
    }

    #[test]
    fn a_range_that_is_known_counts_as_one_more_feature() {
        let likeness = Likeness::of([].iter());
        let prior = Prior {
            class: "lymphocyte".into(),
            feature: Feature::Solidity,
            least: 0.8,
            most: 1.0,
            unit: AreaUnit::Pixels,
        };
        let of = |solidity| {
            let mut looks = of_area(f64::NAN);
            looks.features[2] = solidity;
            likeness.match_of(&looks, [&prior].into_iter()).unwrap()
        };
        assert_eq!(of(0.9), 1.0);
        // A quarter of the width below.
        assert!((of(0.75) - (-0.5f64).exp()).abs() < 1e-9);
        assert!(
            Prior {
                least: 1.0,
                ..prior
            }
            .check()
            .is_err()
        );
    }

    #[test]
    fn a_range_in_microns_knows_the_size_of_pixels_and_is_of_areas() {
        let prior = Prior {
            class: "lymphocyte".into(),
            feature: Feature::Area,
            least: 20.0,
            most: 40.0,
            unit: AreaUnit::Microns,
        };
        let (image, mask) = disc(6.0, 0.0);
        let fit = |microns_per_pixel| {
            let looks = looks(&image, mask.view(), Plane::Grey, microns_per_pixel).unwrap();
            Likeness::of([].iter()).match_of(&looks[0].1, [&prior].into_iter())
        };
        // 113 pixels are 28 µm² at half a micron.
        assert_eq!(fit(Some(0.5)), Some(1.0));
        assert!(fit(Some(0.25)) < Some(0.1));
        assert_eq!(fit(None), None);
        assert!(prior.check().is_ok());
        let solidity = Prior {
            feature: Feature::Solidity,
            ..prior
        };
        assert!(solidity.check().is_err());
    }
}
