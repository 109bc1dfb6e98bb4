//! Methods that learn from labels of which some are wrong, one file each.
//!
//! A method is a settings struct with defaults (read from the recipe) that builds something
//! that implements [`Method`]: four verbs, of which it writes only those that it changes. To add
//! one: write its file, name it below in `mod`, and add one line to the list in `methods!`.

use serde::{Deserialize, Serialize};

use crate::classify::Examples;
use crate::error::{Error, Result};

mod agreement;
mod bootstrap;
mod co_teaching;
mod context;
mod cross_entropy;
mod early_learning;
mod focal;
mod forward_correction;
mod generalized_cross_entropy;
mod mean_absolute_error;
mod method;
mod nce_rce;
mod symmetric_cross_entropy;
mod wann;

pub use agreement::AgreementSettings;
pub use bootstrap::BootstrapSettings;
pub(crate) use bootstrap::bootstrapping;
pub use co_teaching::CoTeachingSettings;
pub use context::{Context, Needs};
pub use cross_entropy::CrossEntropySettings;
pub use early_learning::EarlyLearningSettings;
pub use focal::FocalSettings;
pub use forward_correction::ForwardCorrectionSettings;
pub use generalized_cross_entropy::GeneralizedCrossEntropySettings;
pub use mean_absolute_error::MeanAbsoluteErrorSettings;
pub use method::{Batch, Build, Learner, Method};
pub use nce_rce::NceRceSettings;
pub use symmetric_cross_entropy::SymmetricCrossEntropySettings;
pub use wann::{Voters, WannSettings};

macro_rules! methods {
    ($($(#[doc = $doc:literal])* $name:literal => $variant:ident: $settings:path,)*) => {
        /// A method and its settings; `name` chooses it in a recipe.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name")]
        pub enum MethodSettings {
            $($(#[doc = $doc])* #[serde(rename = $name)] $variant($settings),)*
        }

        impl MethodSettings {
            /// Every method with its default settings, in the order of the list.
            pub fn all() -> Vec<Self> {
                vec![$(Self::$variant(<$settings>::default()),)*]
            }

            /// The name of the method in recipes.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            /// What it wants to find in its context.
            pub fn needs(&self) -> Needs {
                match self { $(Self::$variant(settings) => settings.needs(),)* }
            }

            /// The method, ready to learn from `examples`.
            pub(crate) fn build(
                &self,
                examples: &Examples,
                context: &Context,
            ) -> Result<Learner> {
                match self { $(Self::$variant(settings) => settings.build(examples, context),)* }
            }
        }
    };
}

methods! {
    /// Cross-entropy: every label is believed.
    "cross-entropy" => CrossEntropy: cross_entropy::CrossEntropySettings,
    /// Focal loss: attention to hard items.
    "focal" => Focal: focal::FocalSettings,
    /// Mean absolute error: a bounded, symmetric loss.
    "mae" => MeanAbsoluteError: mean_absolute_error::MeanAbsoluteErrorSettings,
    /// Generalised cross-entropy: between the two.
    "gce" => GeneralizedCrossEntropy: generalized_cross_entropy::GeneralizedCrossEntropySettings,
    /// Symmetric cross-entropy: cross-entropy and its reverse.
    "sce" => SymmetricCrossEntropy: symmetric_cross_entropy::SymmetricCrossEntropySettings,
    /// Normalised and reverse cross-entropy: an active and a passive loss.
    "nce-rce" => NceRce: nce_rce::NceRceSettings,
    /// Early-learning regularisation: hold on to what was learnt before the noise.
    "elr" => EarlyLearning: early_learning::EarlyLearningSettings,
    /// Bootstrapping: targets mixed with the head's own predictions.
    "bootstrap" => Bootstrap: bootstrap::BootstrapSettings,
    /// Forward correction by the estimated transition matrix.
    "forward" => ForwardCorrection: forward_correction::ForwardCorrectionSettings,
    /// Co-teaching: two heads choose small-loss items for each other.
    "co-teaching" => CoTeaching: co_teaching::CoTeachingSettings,
    /// Agreement: only labels that heads which did not see them predict.
    "agreement" => Agreement: agreement::AgreementSettings,
    /// WANN: weighted adaptive nearest neighbours, without training.
    "wann" => Wann: wann::WannSettings,
}

impl Default for MethodSettings {
    fn default() -> Self {
        Self::CrossEntropy(cross_entropy::CrossEntropySettings::default())
    }
}

/// Checks that a setting lies in a range.
fn check(name: &'static str, value: f64, valid: bool, reason: &str) -> Result<()> {
    if valid {
        return Ok(());
    }
    Err(Error::Setting {
        name,
        value: value.to_string(),
        reason: reason.to_owned(),
    })
}
