use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What is done to images in training, each time anew. Every field has a default, and unknown fields are
/// refused. Amounts are drawn evenly between plus and minus the setting unless it says otherwise; 0 leaves
/// the change out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentSettings {
    /// Mirrors half of the images left to right. Default true.
    pub flip: bool,
    /// Turns images by a random multiple of 90°. Default true.
    pub turn: bool,
    /// The largest turn on top of that, in degrees. Default 0.
    pub rotate: f64,
    /// The largest change of size: 0.25 shows between 1 / 1.25 and 1.25 times as much of an image. Default 0.
    pub scale: f64,
    /// The standard deviation, in pixels, of the random displacements of control points by which an image is bent. A cubic
    /// B-spline smooths them: pixels are displaced by about 0.48 of it (151/315) in each direction. Default 0.
    pub elastic: f64,
    /// Pixels from one control point to the next. Default 32.
    pub elastic_spacing: f64,
    /// The largest relative change of brightness. Default 0.1.
    pub brightness: f64,
    /// The largest relative change of contrast. Default 0.1.
    pub contrast: f64,
    /// The largest relative change of saturation. Default 0.1.
    pub saturation: f64,
    /// The largest turn of the hue, as a share of the colour circle. Default 0.
    pub hue: f64,
    /// The largest relative change of the amount of each stain: haematoxylin, eosin and what is left (Tellez
    /// et al., arXiv 1902.06543). Default 0.
    pub stain: f64,
    /// The largest standard deviation of a Gaussian blur, in pixels; half of the images are blurred.
    /// Default 0.
    pub blur: f64,
    /// The largest standard deviation of Gaussian noise, as a share of white. Default 0.
    pub noise: f64,
    /// The probability of shuffling the three channels. Default 0.
    pub channel_shuffle: f64,
    /// The parameter of the beta distribution of MixUp's shares (Zhang et al., arXiv 1710.09412). Default 0.
    pub mix_up: f64,
    /// The parameter of the beta distribution of CutMix's areas (Yun et al., arXiv 1905.04899). Default 0.
    pub cut_mix: f64,
}

impl Default for AugmentSettings {
    fn default() -> Self {
        Self {
            flip: true,
            turn: true,
            brightness: 0.1,
            contrast: 0.1,
            saturation: 0.1,
            ..Self::none()
        }
    }
}

impl AugmentSettings {
    /// Only the place of a crop is random.
    pub fn none() -> Self {
        Self {
            flip: false,
            turn: false,
            rotate: 0.0,
            scale: 0.0,
            elastic: 0.0,
            elastic_spacing: 32.0,
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            hue: 0.0,
            stain: 0.0,
            blur: 0.0,
            noise: 0.0,
            channel_shuffle: 0.0,
            mix_up: 0.0,
            cut_mix: 0.0,
        }
    }

    /// Refuses settings out of their range.
    ///
    /// # Errors
    /// The first such setting.
    pub fn check(&self) -> Result<()> {
        let check = |name, value: f64, valid: bool, reason: &str| {
            if valid {
                return Ok(());
            }
            Err(Error::Setting {
                name,
                value: value.to_string(),
                reason: reason.to_owned(),
            })
        };
        for (name, value) in [
            ("rotate", self.rotate),
            ("scale", self.scale),
            ("elastic", self.elastic),
            ("blur", self.blur),
            ("noise", self.noise),
            ("mix_up", self.mix_up),
            ("cut_mix", self.cut_mix),
        ] {
            let valid = value >= 0.0 && value.is_finite();
            check(name, value, valid, "expected at least 0")?;
        }
        for (name, value) in [
            ("brightness", self.brightness),
            ("contrast", self.contrast),
            ("saturation", self.saturation),
            ("stain", self.stain),
            ("channel_shuffle", self.channel_shuffle),
        ] {
            let valid = (0.0..=1.0).contains(&value);
            check(name, value, valid, "expected a number from 0 to 1")?;
        }
        let valid = (0.0..=0.5).contains(&self.hue);
        check("hue", self.hue, valid, "expected a number from 0 to 0.5")?;
        let spacing = self.elastic_spacing;
        let valid = spacing >= 1.0 && spacing.is_finite();
        check("elastic_spacing", spacing, valid, "expected at least 1")
    }

    /// Refuses mixtures of two images, for a reason.
    pub(crate) fn refuse_mixtures(&self, reason: &str) -> Result<()> {
        let mixtures = [("mix_up", self.mix_up), ("cut_mix", self.cut_mix)];
        match mixtures.into_iter().find(|(_, share)| *share > 0.0) {
            None => Ok(()),
            Some((name, share)) => Err(Error::Setting {
                name,
                value: share.to_string(),
                reason: reason.to_owned(),
            }),
        }
    }
}
