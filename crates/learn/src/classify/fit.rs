//! A classifier: settings in, something that predicts out.

use cleanslide_nn::heads::{Head, TrainedHeads};
use serde::{Deserialize, Serialize};

use super::examples::{Examples, Labels, Validation};
use super::fitted::{Fitted, Model};
use super::history::{Epoch, History};
use super::settings::{EarlyStopping, Optimiser, TrainSettings};
use super::training::Training;
use crate::error::{Error, Result};
use crate::methods::{Context, Learner, MethodSettings, Voters};

/// A head (or two, or none) and the method by which it learns.
///
/// Training is deterministic: the same settings, examples and number of threads give the same
/// bytes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Classifier {
    /// The method and its settings. Default the cross-entropy.
    pub method: MethodSettings,
    /// How heads are trained.
    pub train: TrainSettings,
}

impl Classifier {
    /// Trains on `examples` of the named `classes`. What the method needs to know beforehand comes
    /// in `context` (see [`Context::estimate`]), and `progress` is called after every epoch.
    ///
    /// # Errors
    /// Settings out of range, a context that lacks what the method needs, examples of one class
    /// only, validation items that do not fit the early stopping of the settings, or a loss that
    /// is no longer a finite number.
    pub fn fit(
        &self,
        examples: &Examples,
        classes: &[String],
        context: &Context,
        validation: Option<&Validation>,
        progress: &dyn Fn(&Epoch),
    ) -> Result<Fitted> {
        self.train.check()?;
        if classes.len() != examples.class_count() {
            let columns = examples.class_count();
            return Err(Error::ClassCount {
                names: classes.len(),
                columns,
            });
        }
        check_validation(&self.train, examples, validation)?;
        let method = match self.method.build(examples, context)? {
            Learner::Heads(method) => method,
            Learner::Neighbours(settings) => {
                let model =
                    Model::Neighbours(Voters::new(&settings, &self.train, examples, classes)?);
                return Ok(Fitted {
                    model,
                    history: History::default(),
                });
            }
        };
        let mut training = Training::new(&self.train, examples, method)?;
        let history = if self.train.optimiser == Optimiser::Lbfgs {
            training.minimise(self.method.name(), progress)?
        } else {
            training.run(validation, progress)?
        };
        let model = Model::Heads(TrainedHeads {
            heads: training.heads.iter().map(Head::plain).collect(),
            standardisation: training.standardisation,
            classes: classes.to_vec(),
        });
        Ok(Fitted { model, history })
    }
}

/// Refuses validation items that are not what the settings name.
fn check_validation(
    settings: &TrainSettings,
    examples: &Examples,
    validation: Option<&Validation>,
) -> Result<()> {
    let wanted = match settings.early_stopping {
        EarlyStopping::None => None,
        EarlyStopping::NoisyValidation { .. } => Some(Labels::Given),
        EarlyStopping::CleanValidation { .. } => Some(Labels::Clean),
    };
    let given = validation.map(|validation| validation.labels);
    if let Some(wanted) = wanted
        && given != Some(wanted)
    {
        let given = given.map_or("none", Labels::name);
        return Err(Error::Validation {
            wanted: wanted.name(),
            given,
        });
    }
    if let Some(Validation {
        examples: held_out, ..
    }) = validation
    {
        let (expected, found) = (examples.feature_count(), held_out.feature_count());
        if expected != found {
            return Err(Error::FeatureCount {
                what: "a validation item",
                expected,
                found,
            });
        }
        let (names, columns) = (examples.class_count(), held_out.class_count());
        if names != columns {
            return Err(Error::ClassCount { names, columns });
        }
    }
    Ok(())
}
