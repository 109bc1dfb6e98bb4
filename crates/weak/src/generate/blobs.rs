//! Blobs: what is brighter or darker than the rest.

use cleanslide_image::threshold::{Side as Adaptive, Surroundings, adaptive_threshold, otsu};
use ndarray::{Array2, ArrayView2, ArrayView3};

use super::{Diameters, Found, GenerateError, Generator, Plane, shape};

/// Which pixels are object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Side {
    /// Those above the threshold, as in fluorescence.
    Bright,
    /// Those below, as in bright field.
    #[default]
    Dark,
}

/// Where objects are told from the rest.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Level {
    /// Otsu's threshold of the image (N. Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9,
    /// 1979, doi:10.1109/TSMC.1979.4310076). An image of one grey level has no blobs.
    #[default]
    Otsu,
    /// The mean around each pixel, in a square of three of the greatest diameters, with at least this
    /// many grey levels of difference: for uneven light.
    Local(u8),
    /// This grey level, which belongs to the brighter side.
    Fixed(u8),
}

/// Finds blobs by a threshold.
///
/// 1. The threshold on a plane.
/// 2. What is thinner than a third of the smallest diameter is removed (opening with a disk of a
///    sixth of it as radius), holes are filled.
/// 3. Touching objects are cut apart by a watershed of the distance transform, unless they are to
///    stay together.
/// 4. Objects outside the range of diameters are dropped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Blobs {
    /// Sizes to look for.
    pub diameters: Diameters,
    /// What to look at.
    pub plane: Plane,
    /// Which side of the threshold.
    pub side: Side,
    /// The threshold.
    pub level: Level,
    /// Whether touching objects are cut apart.
    pub split: bool,
}

impl Blobs {
    /// Dark blobs on the grey image by Otsu's threshold, touching ones cut apart.
    pub fn new(diameters: Diameters) -> Self {
        Self {
            diameters,
            plane: Plane::default(),
            side: Side::default(),
            level: Level::default(),
            split: true,
        }
    }
}

impl Generator for Blobs {
    fn name(&self) -> &'static str {
        "blobs"
    }

    fn find(
        &self,
        image: ArrayView3<'_, u8>,
        microns_per_pixel: Option<f64>,
    ) -> Result<Found, GenerateError> {
        let diameters = self.diameters.in_pixels(microns_per_pixel, 3.0)?;
        let plane = self.plane.of(image)?;
        let mask = self.foreground(plane.view(), *diameters.end())?;
        let mask = shape::tidy(mask.view(), *diameters.start())?;
        let objects = if self.split {
            shape::apart(mask.view(), *diameters.start())?
        } else {
            shape::whole(mask.view())?
        };
        Ok(Found::Instances(shape::sized(objects, &diameters)))
    }
}

impl Blobs {
    fn foreground(
        &self,
        plane: ArrayView2<'_, u8>,
        largest: f64,
    ) -> Result<Array2<bool>, GenerateError> {
        let level = match self.level {
            Level::Local(difference) => {
                let block = 2 * (1.5 * largest).ceil() as usize + 1;
                let (side, offset) = match self.side {
                    Side::Bright => (Adaptive::Bright, -f64::from(difference)),
                    Side::Dark => (Adaptive::Dark, f64::from(difference)),
                };
                return Ok(adaptive_threshold(
                    plane,
                    Surroundings::Mean,
                    side,
                    block,
                    offset,
                )?);
            }
            Level::Fixed(level) => u16::from(level),
            Level::Otsu => match plane.iter().min() == plane.iter().max() {
                true => return Ok(Array2::default(plane.dim())),
                // Otsu's level is the brightest of the dark side.
                false => u16::from(otsu(plane)?) + 1,
            },
        };
        Ok(plane.mapv(|value| (u16::from(value) >= level) == (self.side == Side::Bright)))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    /// Disks of radius 8 that are darker than what is around them by 60, under light that falls off
    /// by 100 grey levels from left to right.
    fn uneven() -> Array3<u8> {
        Array3::from_shape_fn((60, 200, 3), |(y, x, _)| {
            let inside = (x as f64 % 40.0 - 20.0).hypot(y as f64 - 30.0) <= 8.0;
            (220 - x / 2 - if inside { 60 } else { 0 }) as u8
        })
    }

    #[test]
    fn a_local_level_finds_what_uneven_light_hides() -> Result<(), GenerateError> {
        let blobs = Blobs::new("10..20px".parse()?);
        let image = uneven();
        assert!(blobs.find(image.view(), None)?.len() < 5);
        let local = Blobs {
            level: Level::Local(20),
            ..blobs
        };
        assert_eq!(local.find(image.view(), None)?.len(), 5);
        let bright = Blobs {
            side: Side::Bright,
            ..local
        };
        let inverted = image.mapv(|value| 255 - value);
        assert_eq!(
            bright.find(inverted.view(), None)?,
            local.find(image.view(), None)?
        );
        Ok(())
    }

    #[test]
    fn a_flat_image_has_no_blobs() -> Result<(), GenerateError> {
        let blobs = Blobs::new("10..20px".parse()?);
        let flat = Array3::from_elem((30, 30, 3), 77);
        assert!(blobs.find(flat.view(), None)?.is_empty());
        assert!(
            blobs
                .find(Array3::zeros((0, 0, 3)).view(), None)?
                .is_empty()
        );
        Ok(())
    }
}
