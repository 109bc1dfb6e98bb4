//! When and how masks of objects are corrected while a network is trained.

use serde::{Deserialize, Serialize};

use crate::correction::{Background, GivenLabels, Start, check_count, check_score};
use crate::error::Result;
use crate::segment::{ObjectSettings, PredictSettings};
use crate::views::TestAugmentation;

/// When and how masks of objects are corrected while a network is trained. Every field has a default, and unknown fields
/// are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaskCorrectionSettings {
    /// When the given masks are no longer learned from. Default: when the fit to them slows down.
    pub start: Start,
    /// Epochs from one correction to the next. Default 1.
    pub every: usize,
    /// Sizes in which an image is predicted to correct its mask. Default 0.8, 0.9, 1, 1.1 and 1.2.
    pub scales: Vec<f64>,
    /// Turns in which it is predicted, in each size. Default the flips: with five sizes, 20 views.
    pub turns: TestAugmentation,
    /// The least score of an object: how probably its pixels belong to objects, on average over pixels and views. Where
    /// one begins is a setting of objects, `threshold`. Default 0.7.
    pub score: f64,
    /// What becomes of the given objects. Default: they are replaced. Beside those that stay, what is found is an object
    /// if they have less than half of its pixels.
    pub given: GivenLabels,
    /// What becomes of all that was not found. Default: what is an object with a probability of 0.3 at least is left
    /// open, but for what touches an object. Blurring it away needs other data in the same batches: without images as they are, a network learns that
    /// all that is sharp is an object, and finds more and more of them.
    pub background: Background,
}

impl Default for MaskCorrectionSettings {
    fn default() -> Self {
        Self {
            start: Start::default(),
            every: 1,
            scales: vec![0.8, 0.9, 1.0, 1.1, 1.2],
            turns: TestAugmentation::Flips,
            score: 0.7,
            given: GivenLabels::Replaced,
            background: Background::Ignored { doubt: 0.3 },
        }
    }
}

impl MaskCorrectionSettings {
    /// How the views of an image are predicted; tiles are those of `predict`.
    pub(super) fn views(&self, predict: &PredictSettings) -> PredictSettings {
        PredictSettings {
            turns: self.turns,
            scales: self.scales.clone(),
            ..predict.clone()
        }
    }

    /// Refuses settings out of their range.
    pub(in crate::segment) fn check(
        &self,
        predict: &PredictSettings,
        objects: &ObjectSettings,
    ) -> Result<()> {
        check_score("score", self.score)?;
        self.views(predict).check()?;
        check_count("every", self.every)?;
        self.start.check()?;
        let threshold = f64::from(objects.threshold);
        self.background.check(("threshold", threshold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_refused() {
        let message = |recipe: &str| {
            let settings: MaskCorrectionSettings = toml::from_str(recipe).unwrap();
            let checked = settings.check(&PredictSettings::default(), &ObjectSettings::default());
            checked.err().map(|error| error.to_string())
        };
        for right in [
            "",
            "start = { name = \"validation\" }\nbackground = { name = \"kept\" }",
            "background = { name = \"ignored\", doubt = 0.2 }",
        ] {
            assert_eq!(message(right), None, "{right}");
        }
        for (wrong, name) in [
            ("every = 0", "every"),
            ("score = 1.0", "score"),
            ("scales = []", "scales"),
            ("start = { name = \"epoch\", epoch = 0 }", "epoch"),
            ("background = { name = \"blurred\", kernel = 20 }", "kernel"),
            ("background = { name = \"ignored\", doubt = 0.5 }", "doubt"),
        ] {
            assert!(message(wrong).unwrap().contains(name), "{wrong}");
        }
        let unknown = toml::from_str::<MaskCorrectionSettings>("suppression = 0.2").unwrap_err();
        assert!(unknown.to_string().contains("suppression"), "{unknown}");
    }
}
