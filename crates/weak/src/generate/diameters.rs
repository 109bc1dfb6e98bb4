//! Sizes of objects.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::GenerateError;

/// What diameters are measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Pixels of the image.
    Pixels,
    /// Microns; the image must know its scale.
    Microns,
}

/// A range of diameters, as in `40..60px` or `5..12um`.
///
/// The diameter of an object that is not round is that of the circle of its area.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Diameters {
    from: f64,
    to: f64,
    unit: Unit,
}

impl Diameters {
    /// Diameters between two, both included.
    ///
    /// # Errors
    /// They are not finite and positive, or do not grow.
    pub fn new(from: f64, to: f64, unit: Unit) -> Result<Self, GenerateError> {
        if from > 0.0 && from < to && to.is_finite() {
            Ok(Self { from, to, unit })
        } else {
            Err(GenerateError::Range { from, to })
        }
    }

    /// In pixels of an image.
    ///
    /// # Errors
    /// They are in microns and the image's scale is unknown; fewer than `least` pixels.
    pub(super) fn in_pixels(
        self,
        microns_per_pixel: Option<f64>,
        least: f64,
    ) -> Result<RangeInclusive<f64>, GenerateError> {
        let Self { from, to, unit } = self;
        let pixel = match (unit, microns_per_pixel) {
            (Unit::Pixels, _) => 1.0,
            (Unit::Microns, Some(microns)) if microns > 0.0 => microns,
            (Unit::Microns, _) => return Err(GenerateError::NoScale { from, to }),
        };
        let (from, to) = (from / pixel, to / pixel);
        if from < least {
            return Err(GenerateError::TooSmall { from, to, least });
        }
        Ok(from..=to)
    }
}

impl fmt::Display for Diameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Pixels => "px",
            Unit::Microns => "um",
        };
        write!(f, "{}..{}{unit}", self.from, self.to)
    }
}

impl FromStr for Diameters {
    type Err = GenerateError;

    fn from_str(text: &str) -> Result<Self, GenerateError> {
        let wrong = || GenerateError::Diameters {
            text: text.to_owned(),
        };
        let text = text.trim();
        let units = [
            ("px", Unit::Pixels),
            ("um", Unit::Microns),
            ("µm", Unit::Microns),
            // Greek mu, which looks the same.
            ("μm", Unit::Microns),
        ];
        let (range, unit) = units
            .iter()
            .find_map(|(name, unit)| text.strip_suffix(name).map(|range| (range, *unit)))
            .ok_or_else(wrong)?;
        let (from, to) = range.split_once("..").ok_or_else(wrong)?;
        let number = |part: &str| part.trim().parse::<f64>().map_err(|_| wrong());
        Self::new(number(from)?, number(to)?, unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_people_write_them() {
        for (text, shown) in [
            ("40..60px", "40..60px"),
            (" 5.5 .. 12 um ", "5.5..12um"),
            ("5..12µm", "5..12um"),
        ] {
            let read: Result<Diameters, _> = text.parse();
            assert_eq!(read.map(|range| range.to_string()), Ok(shown.to_owned()));
        }
        for text in [
            "", "40px", "40..60", "a..bpx", "60..40px", "0..5um", "1..infpx", "5..NaNpx",
        ] {
            assert!(text.parse::<Diameters>().is_err(), "{text}");
        }
    }

    #[test]
    fn microns_need_a_scale() -> Result<(), GenerateError> {
        let range: Diameters = "5..10um".parse()?;
        assert_eq!(range.in_pixels(Some(0.25), 3.0)?, 20.0..=40.0);
        let error = range.in_pixels(None, 3.0);
        assert_eq!(
            error,
            Err(GenerateError::NoScale {
                from: 5.0,
                to: 10.0
            })
        );
        assert!(range.in_pixels(Some(2.0), 3.0).is_err());
        assert!(range.in_pixels(Some(f64::NAN), 3.0).is_err());
        Ok(())
    }
}
