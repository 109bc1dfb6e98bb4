use cleanslide_nn::losses::PrototypeContrast;
use cleanslide_nn::networks::{SegmentationConfig, UNetConfig};
use cleanslide_weak::generate::Plane;
use serde::{Deserialize, Serialize};

use super::{Prior, RefineSettings};
use crate::correction::{check_count, wrong};
use crate::error::Result;
use crate::segment::SegmentSettings;

/// All that decides a training of two networks that filter each other's labels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DualTraining {
    /// The network that predicts in the end, and how it is trained.
    pub segment: SegmentSettings,
    /// What is done beside.
    pub dual: DualSettings,
}

/// How two networks filter each other's labels. Every field has a default, and unknown fields are refused. Parts that are
/// not named are not done; [`DualSettings::whole`] is all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DualSettings {
    /// Whose losses decide what a network learns from. Default the other's.
    pub exchange: Exchange,
    /// The second network, which ought to learn less than the first. Default a U-Net of a quarter of the default's width.
    pub partner: SegmentationConfig,
    /// Epochs from one judgement of the labels to the next. Default 1.
    pub every: usize,
    /// Epochs in which the share of labels that is left out rises to what is estimated to be wrong. Default 10.
    pub gradual: usize,
    /// The share of all background that is left open at most, where networks see objects that nobody marked. Default 0.05.
    pub background: f64,
    /// Where losses are joint, the share of the divergence between what the two networks say, in the loss and in the ranking
    /// (Wei et al., arXiv 2003.02752). Default 0.1.
    pub agreement: f64,
    /// How labels are selected after the first epochs. Default: they are filtered by their losses to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<SelectionSettings>,
    /// How features of labels that are right are held apart from those of wrong ones. Default not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contrast: Option<ContrastSettings>,
    /// How labels are refined by what the networks say. Default not at all: nothing is learned from what is left out. It is
    /// another way than selection and contrast, and no part of [`DualSettings::whole`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refine: Option<RefineSettings>,
}

/// Whose losses decide what a network learns from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exchange {
    /// Those of the other network (co-teaching, Han et al., arXiv 1804.06872).
    #[default]
    Cross,
    /// The sum of both, and of the divergence between them (JoCoR).
    Joint,
    /// Its own, and there is no other network.
    Alone,
}

/// How labels are selected: each object by three scores, and more of them from epoch to epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SelectionSettings {
    /// Epochs in which labels are filtered by their losses alone, before. Default 10.
    pub after: usize,
    /// The shares of the three scores: what the networks say, how the object looks, how its border shows. Default 0.4, 0.3
    /// and 0.3.
    pub shares: [f64; 3],
    /// The plane on which objects are measured. Default haematoxylin.
    pub plane: Plane,
    /// The probability of being right that an object needs in the first selection and in the last. Default 0.7 and 0.5.
    pub probability: [f64; 2],
    /// Epochs from the first to the last. Default 10.
    pub gradual: usize,
    /// Objects within this distance of the needed probability are doubted: nothing is learned from them. Default 0.05.
    pub doubt: f64,
    /// The share of the robust loss (generalised cross-entropy, q = 0.7, Zhang and Sabuncu, arXiv 1805.07836) of objects that
    /// were dropped. Default 0.5.
    pub dropped: f64,
    /// When labels are changed. Default as [`RelabelSettings`].
    pub relabel: RelabelSettings,
    /// What is known of objects before: ranges of what is measured of them, by class. Default nothing.
    pub priors: Vec<Prior>,
}

/// When labels are changed: only if both networks say the same for some time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RelabelSettings {
    /// Judgements in a row in which they say it; 0 is never. Default 3.
    pub times: usize,
    /// How sure each of them is. Default 0.8.
    pub probability: f64,
    /// The least overlap (intersection over union) of their two outlines of an object. Default 0.7. A given outline that
    /// overlaps the first network's by less is replaced, if its border shows less in the image.
    pub overlap: f64,
}

/// How features of labels that are right are held apart from those of wrong ones: [`PrototypeContrast`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContrastSettings {
    /// The share of the contrast in the loss, in the end. Default 0.1.
    pub share: f64,
    /// Epochs in which it rises to that, as exp(−5 (1 − t)²). Default 10.
    pub gradual: usize,
    /// Features that are compared, which are a linear map of those of the last layer. Default 32.
    pub features: usize,
    /// One pixel of so many is compared, another one in each step: neighbours say nearly the same, and comparing all of them
    /// takes as long as the network. Default 4.
    pub sparse: usize,
    /// What similarities are divided by. Default 0.1.
    pub temperature: f64,
    /// How similar a pixel that is labelled wrongly may be to its class. Default 0.2.
    pub margin: f64,
    /// What prototypes keep of themselves in each step. Default 0.99.
    pub momentum: f64,
}

impl Default for DualSettings {
    fn default() -> Self {
        Self {
            exchange: Exchange::default(),
            partner: SegmentationConfig::Unet(UNetConfig {
                widths: UNetConfig::default()
                    .widths
                    .iter()
                    .map(|width| (width / 4).max(1))
                    .collect(),
            }),
            every: 1,
            gradual: 10,
            background: 0.05,
            agreement: 0.1,
            selection: None,
            contrast: None,
            refine: None,
        }
    }
}

impl Default for SelectionSettings {
    fn default() -> Self {
        Self {
            after: 10,
            shares: [0.4, 0.3, 0.3],
            plane: Plane::Haematoxylin,
            probability: [0.7, 0.5],
            gradual: 10,
            doubt: 0.05,
            dropped: 0.5,
            relabel: RelabelSettings::default(),
            priors: Vec::new(),
        }
    }
}

impl Default for RelabelSettings {
    fn default() -> Self {
        Self {
            times: 3,
            probability: 0.8,
            overlap: 0.7,
        }
    }
}

impl Default for ContrastSettings {
    fn default() -> Self {
        let PrototypeContrast {
            temperature,
            margin,
        } = PrototypeContrast::default();
        Self {
            share: 0.1,
            gradual: 10,
            features: 32,
            sparse: 4,
            temperature,
            margin,
            momentum: PrototypeContrast::MOMENTUM,
        }
    }
}

impl DualSettings {
    /// The same with every part: those that are not there get their default.
    #[must_use]
    pub fn whole(self) -> Self {
        Self {
            selection: Some(self.selection.unwrap_or_default()),
            contrast: Some(self.contrast.unwrap_or_default()),
            ..self
        }
    }

    /// How labels are selected after an epoch, if they are.
    pub(super) fn selects(&self, epoch: usize) -> Option<&SelectionSettings> {
        let selection = self.selection.as_ref();
        selection.filter(|selection| epoch >= selection.after)
    }

    /// How many networks there are.
    pub(super) fn networks(&self) -> usize {
        match self.exchange {
            Exchange::Cross | Exchange::Joint => 2,
            Exchange::Alone => 1,
        }
    }
}

impl DualTraining {
    /// Refuses settings out of their range, and those that exclude each other.
    ///
    /// # Errors
    /// The first such setting.
    pub fn check(&self) -> Result<()> {
        let Self { segment, dual } = self;
        segment.check()?;
        if segment.train.patience > 0 {
            let reason = "the validation is of labels that may be wrong, and the last selection counts; leave `patience` out";
            return wrong("patience", segment.train.patience, reason);
        }
        SegmentSettings {
            network: dual.partner.clone(),
            ..segment.clone()
        }
        .check()?;
        check_count("every", dual.every)?;
        check_count("gradual", dual.gradual)?;
        check_share("agreement", dual.agreement)?;
        if !(0.0..1.0).contains(&dual.background) {
            let reason = "expected at least 0 and less than 1";
            return wrong("background", dual.background, reason);
        }
        if let Some(selection) = &dual.selection {
            selection.check()?;
        }
        if let Some(contrast) = &dual.contrast {
            contrast.check()?;
        }
        if let Some(refine) = &dual.refine {
            refine.check()?;
        }
        Ok(())
    }
}

impl SelectionSettings {
    fn check(&self) -> Result<()> {
        check_count("after", self.after)?;
        check_count("gradual", self.gradual)?;
        for share in self.shares {
            check_share("shares", share)?;
        }
        if self.shares.iter().sum::<f64>() <= 0.0 {
            return wrong("shares", "0, 0, 0", "one must be above 0");
        }
        for probability in self.probability {
            check_probability("probability", probability)?;
        }
        if !(0.0..0.5).contains(&self.doubt) {
            return wrong("doubt", self.doubt, "expected at least 0 and less than 0.5");
        }
        check_share("dropped", self.dropped)?;
        check_probability("probability", self.relabel.probability)?;
        check_probability("overlap", self.relabel.overlap)?;
        self.priors.iter().try_for_each(Prior::check)
    }

    /// The probability of being right that an object needs after an epoch.
    pub(super) fn needed(&self, epoch: usize) -> f64 {
        let [first, last] = self.probability;
        let done = epoch.saturating_sub(self.after) as f64 / self.gradual as f64;
        first + (last - first) * done.min(1.0)
    }
}

impl ContrastSettings {
    fn check(&self) -> Result<()> {
        check_share("share", self.share)?;
        check_count("gradual", self.gradual)?;
        check_count("features", self.features)?;
        check_count("sparse", self.sparse)?;
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return wrong("temperature", self.temperature, "expected more than 0");
        }
        if !(-1.0..=1.0).contains(&self.margin) {
            return wrong("margin", self.margin, "expected a number from -1 to 1");
        }
        if !(0.0..1.0).contains(&self.momentum) {
            let reason = "expected at least 0 and less than 1";
            return wrong("momentum", self.momentum, reason);
        }
        Ok(())
    }

    /// The loss itself.
    pub(super) fn loss(&self) -> PrototypeContrast {
        PrototypeContrast {
            temperature: self.temperature,
            margin: self.margin,
        }
    }

    /// Its share after so many epochs, which need not be whole.
    pub(super) fn share(&self, epochs: f64) -> f64 {
        let left = (1.0 - epochs / self.gradual as f64).max(0.0);
        self.share * (-5.0 * left * left).exp()
    }
}

fn check_share(name: &'static str, share: f64) -> Result<()> {
    if share >= 0.0 && share.is_finite() {
        return Ok(());
    }
    wrong(name, share, "expected at least 0")
}

fn check_probability(name: &'static str, probability: f64) -> Result<()> {
    if probability > 0.0 && probability < 1.0 {
        return Ok(());
    }
    wrong(name, probability, "expected a number between 0 and 1")
}
