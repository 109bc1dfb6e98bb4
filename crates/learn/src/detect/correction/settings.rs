//! When and how labels are corrected while a detector is trained.

use serde::{Deserialize, Serialize};

use crate::correction::{Background, GivenLabels, Start, check_count, check_score};
use crate::detect::DetectorPredictSettings;
use crate::error::Result;
use crate::views::TestAugmentation;

/// When and how labels are corrected while a detector is trained (Elbatel, Bornberg et al., SISSI, DART at MICCAI 2022;
/// arXiv 2208.03327). Every field has a default, and unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorrectionSettings {
    /// When the given labels are no longer learned from. Default: when the fit to them slows down.
    pub start: Start,
    /// Epochs from one correction to the next. Default 1.
    pub every: usize,
    /// Sizes in which an image is predicted to correct its labels. Default 0.8, 0.9, 1, 1.1 and 1.2.
    pub scales: Vec<f64>,
    /// Turns in which it is predicted, in each size. Default the flips: with five sizes, 20 views.
    pub turns: TestAugmentation,
    /// The least score of a box in a view. Default 0.01.
    pub view_score: f64,
    /// Boxes of several views that overlap by more are of the same object. Default 0.5.
    pub agreement: f64,
    /// The least score of a box that all views together give. Default 0.25.
    pub score: f64,
    /// Of boxes that overlap by more, the one with the highest score stays. Default 0.2.
    pub suppression: f64,
    /// The most boxes of a tile of a view, those with the highest scores. Default 200.
    pub most: usize,
    /// What becomes of the given boxes. Default: they are replaced. Of a found box that overlaps one that stays by more
    /// than `suppression` nothing becomes.
    pub given: GivenLabels,
    /// What becomes of all that was not found. Default: it is blurred away.
    pub background: Background,
    /// How far a corrected box is trusted. Default wholly.
    pub trust: BoxTrust,
}

impl Default for CorrectionSettings {
    fn default() -> Self {
        Self {
            start: Start::default(),
            every: 1,
            scales: vec![0.8, 0.9, 1.0, 1.1, 1.2],
            turns: TestAugmentation::Flips,
            view_score: 0.01,
            agreement: 0.5,
            score: 0.25,
            suppression: 0.2,
            most: 200,
            given: GivenLabels::Replaced,
            background: Background::STRONG,
            trust: BoxTrust::Full,
        }
    }
}

/// How far a corrected box is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoxTrust {
    /// Wholly.
    Full,
    /// As its score says.
    Score,
}

impl CorrectionSettings {
    /// In how many views an image is predicted.
    pub fn views_of_an_image(&self) -> usize {
        self.scales.len() * self.turns.turns().len()
    }

    /// How the views of an image are predicted; tiles are those of `predict`.
    pub(super) fn views(&self, predict: &DetectorPredictSettings) -> DetectorPredictSettings {
        DetectorPredictSettings {
            turns: self.turns,
            scales: self.scales.clone(),
            score: self.view_score,
            suppression: self.suppression,
            agreement: self.agreement,
            most: self.most,
            ..predict.clone()
        }
    }

    /// Refuses settings out of their range.
    pub(in crate::detect) fn check(&self, predict: &DetectorPredictSettings) -> Result<()> {
        check_score("view_score", self.view_score)?;
        check_score("score", self.score)?;
        self.views(predict).check()?;
        check_count("every", self.every)?;
        check_count("most", self.most)?;
        self.start.check()?;
        self.background.check(("score", self.score))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_refused() {
        let message = |recipe: &str| {
            let settings: CorrectionSettings = toml::from_str(recipe).unwrap();
            let checked = settings.check(&DetectorPredictSettings::default());
            checked.err().map(|error| error.to_string())
        };
        for right in [
            "",
            "start = { name = \"validation\" }\nbackground = { name = \"kept\" }",
            "start = { name = \"deceleration\" }\nbackground = { name = \"ignored\" }",
            "start = { name = \"epoch\", epoch = 4 }\nbackground = { name = \"blurred\", kernel = 21 }",
        ] {
            assert_eq!(message(right), None, "{right}");
        }
        for (wrong, name) in [
            ("every = 0", "every"),
            ("most = 0", "most"),
            ("score = 1.0", "score"),
            ("view_score = -0.1", "`view_score`"),
            ("scales = []", "scales"),
            (
                "start = { name = \"deceleration\", threshold = 1.0 }",
                "threshold",
            ),
            (
                "start = { name = \"validation\", patience = 0 }",
                "patience",
            ),
            ("start = { name = \"epoch\", epoch = 0 }", "epoch"),
            ("background = { name = \"blurred\", kernel = 20 }", "kernel"),
            ("background = { name = \"blurred\", sigma = 0.0 }", "sigma"),
            ("background = { name = \"ignored\", doubt = 0.25 }", "doubt"),
        ] {
            assert!(message(wrong).unwrap().contains(name), "{wrong}");
        }
        let unknown = toml::from_str::<CorrectionSettings>("evry = 2").unwrap_err();
        assert!(unknown.to_string().contains("evry"), "{unknown}");
    }
}
