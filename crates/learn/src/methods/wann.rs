//! WANN: no training; neighbours vote, by how far their own neighbours support their labels.

use std::collections::HashMap;

use cleanslide_audit::neighbour_reliability::{LARGEST_NEIGHBOURHOOD, NeighbourReliability};
use cleanslide_audit::{Metric, nearest_neighbours, nearest_neighbours_of};
use cleanslide_nn::heads::{HeadError, Standardisation};
use ndarray::{Array2, ArrayView2};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::{Build, Context, Learner};
use crate::classify::{Examples, TrainSettings, argmax};
use crate::error::{Error, Result};

/// Settings of WANN, Di Salvo et al. (arXiv 2408.14358); see [`NeighbourReliability`]. The share
/// that class `c` gets of the votes on an item is
///
/// ```text
/// sum_j eta_j * w_j * y_jc / sum_j eta_j * w_j        over the first k_n neighbours j
/// ```
///
/// with the reliability `eta`, weight `w` and soft target `y` of a neighbour, and `k_n` the
/// neighbourhood of the nearest one. Reliability is that of the class of the greatest target.
/// The weight is the trust times the class balance of the training settings, which is ours: without
/// it, neighbours of a rare class are outvoted almost everywhere. Items of trust 0 are no
/// neighbours. There are no heads or epochs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WannSettings {
    /// How far apart items are. Default cosine.
    pub metric: Metric,
}

impl Build for WannSettings {
    fn build(&self, _: &Examples, _: &Context) -> Result<Learner> {
        Ok(Learner::Neighbours(self.clone()))
    }
}

/// The training items and how reliable each is: what votes.
#[derive(Debug, Clone)]
pub struct Voters {
    /// How far apart items are.
    metric: Metric,
    standardisation: Standardisation,
    /// Standardised features, `[items, features]`.
    features: Array2<f32>,
    targets: Array2<f32>,
    weights: Vec<f32>,
    reliability: NeighbourReliability,
    classes: Vec<String>,
}

/// The version of the file that [`Voters::to_bytes`] writes.
const FORMAT: &str = "cleanslide-voters-1";

/// Where the metadata are in the file, as in a file of heads.
const METADATA_KEY: &str = "cleanslide";

/// What the metadata say.
#[derive(Serialize, Deserialize)]
struct About {
    format: String,
    metric: Metric,
    classes: Vec<String>,
}

impl Voters {
    /// Finds the reliability of every example. Of the training settings it follows
    /// `standardise` and `class_balance`.
    pub(crate) fn new(
        settings: &WannSettings,
        train: &TrainSettings,
        examples: &Examples,
        classes: &[String],
    ) -> Result<Self> {
        let balanced = examples.training_weights(None, train.class_balance)?;
        let trusted: Vec<usize> = (0..examples.len())
            .filter(|&item| examples.weights[item] > 0.0)
            .collect();
        let weights = trusted.iter().map(|&item| balanced[item]).collect();
        let trusted = examples.subset(&trusted)?;
        let standardisation = if train.standardise {
            Standardisation::of(trusted.features.view())
        } else {
            Standardisation::identity(trusted.feature_count())
        };
        let features = standardised(&standardisation, trusted.features.view());
        let k = (LARGEST_NEIGHBOURHOOD - 1).min(trusted.len().saturating_sub(1));
        let neighbours = nearest_neighbours(features.view(), k, settings.metric)?;
        let label = |row: ndarray::ArrayView1<f32>| argmax(row.iter().copied());
        let labels: Vec<usize> = trusted.targets.rows().into_iter().map(label).collect();
        let reliability = NeighbourReliability::new(&neighbours, &labels, trusted.class_count())?;
        let targets = trusted.targets;
        let metric = settings.metric;
        let classes = classes.to_vec();
        Ok(Self {
            metric,
            standardisation,
            features,
            targets,
            weights,
            reliability,
            classes,
        })
    }

    /// Names of the classes, in the order of the columns of predictions.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Number of features per item.
    pub fn features(&self) -> usize {
        self.features.ncols()
    }

    /// Shares of the votes `[items, classes]`.
    ///
    /// # Errors
    /// Features of another width, or (cosine) an item whose features are all zero.
    pub fn predict(&self, features: ArrayView2<f32>) -> Result<Array2<f32>> {
        let queries = standardised(&self.standardisation, features);
        let k = LARGEST_NEIGHBOURHOOD.min(self.weights.len());
        let neighbours =
            nearest_neighbours_of(queries.view(), self.features.view(), k, self.metric)?;
        let mut shares = Array2::zeros((features.nrows(), self.targets.ncols()));
        for (nearest, mut shares) in neighbours.indices.rows().into_iter().zip(shares.rows_mut()) {
            let voters = self.reliability.neighbourhoods[nearest[0]];
            let mut votes = vec![0.0f64; self.targets.ncols()];
            for &voter in nearest.iter().take(voters) {
                let reliability = 1.0 / self.reliability.neighbourhoods[voter] as f64;
                let weight = reliability * f64::from(self.weights[voter]);
                let target = self.targets.row(voter);
                votes
                    .iter_mut()
                    .zip(target)
                    .for_each(|(v, &t)| *v += weight * f64::from(t));
            }
            let total: f64 = votes.iter().sum();
            shares
                .iter_mut()
                .zip(votes)
                .for_each(|(share, vote)| *share = (vote / total) as f32);
        }
        Ok(shares)
    }

    /// The voters as a safetensors file: `features` (standardised) `[items, features]`, `targets`
    /// `[items, classes]`, `weights` and `neighbourhoods` `[items]`, `feature_mean` and
    /// `feature_sd`, and in the metadata, under `cleanslide`, JSON with metric and class names.
    /// Equal voters give equal bytes.
    ///
    /// # Errors
    /// The library refuses to write.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let (items, width) = self.features.dim();
        let neighbourhoods: Vec<f32> = self
            .reliability
            .neighbourhoods
            .iter()
            .map(|&k| k as f32)
            .collect();
        let tensors = [
            (
                "feature_mean",
                vec![width],
                bytes(&self.standardisation.mean),
            ),
            ("feature_sd", vec![width], bytes(&self.standardisation.sd)),
            ("features", vec![items, width], bytes(&self.features)),
            ("neighbourhoods", vec![items], bytes(&neighbourhoods)),
            (
                "targets",
                vec![items, self.classes.len()],
                bytes(&self.targets),
            ),
            ("weights", vec![items], bytes(&self.weights)),
        ];
        let views = tensors
            .iter()
            .map(|(name, shape, data)| {
                TensorView::new(Dtype::F32, shape.clone(), data).map(|view| (name, view))
            })
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(HeadError::Write)?;
        let (metric, classes) = (self.metric, self.classes.clone());
        let about = About {
            format: FORMAT.to_owned(),
            metric,
            classes,
        };
        let about = serde_json::to_string(&about).unwrap_or_default();
        // One key only: the library writes keys in the random order of a hash map.
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), about)]);
        Ok(safetensors::serialize(views, Some(metadata)).map_err(HeadError::Write)?)
    }

    /// Reads what [`Voters::to_bytes`] wrote; `None` if the file is of something else.
    ///
    /// # Errors
    /// A damaged file; the message names the tensor.
    pub fn from_bytes(file: &[u8]) -> Result<Option<Self>> {
        let (_, metadata) = SafeTensors::read_metadata(file).map_err(HeadError::NotSafetensors)?;
        let about = metadata
            .metadata()
            .as_ref()
            .and_then(|map| map.get(METADATA_KEY));
        let Some(about) = about.and_then(|about| serde_json::from_str::<About>(about).ok()) else {
            return Ok(None);
        };
        if about.format != FORMAT {
            return Ok(None);
        }
        let file = SafeTensors::deserialize(file).map_err(HeadError::NotSafetensors)?;
        let (mean, width) = read(&file, "feature_mean", None)?;
        let (sd, _) = read(&file, "feature_sd", Some(width))?;
        let (weights, items) = read(&file, "weights", None)?;
        let (neighbourhoods, _) = read(&file, "neighbourhoods", Some(items))?;
        let (features, _) = read(&file, "features", Some(items * width))?;
        let (targets, _) = read(&file, "targets", Some(items * about.classes.len()))?;
        let shape = |_| Error::Voters("its shapes do not fit".to_owned());
        Ok(Some(Self {
            metric: about.metric,
            standardisation: Standardisation { mean, sd },
            features: Array2::from_shape_vec((items, width), features).map_err(shape)?,
            targets: Array2::from_shape_vec((items, about.classes.len()), targets)
                .map_err(shape)?,
            weights,
            reliability: NeighbourReliability {
                neighbourhoods: neighbourhoods.iter().map(|&k| k as usize).collect(),
            },
            classes: about.classes,
        }))
    }
}

fn bytes<'a>(values: impl IntoIterator<Item = &'a f32>) -> Vec<u8> {
    values.into_iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The values of a tensor and their number, which must be `count` if that is given.
fn read(file: &SafeTensors, name: &str, count: Option<usize>) -> Result<(Vec<f32>, usize)> {
    let wrong = |reason: String| Error::Voters(format!("`{name}` {reason}"));
    let view = file
        .tensor(name)
        .map_err(|_| wrong("is missing".to_owned()))?;
    if view.dtype() != Dtype::F32 {
        return Err(wrong(format!("is {:?}, expected F32", view.dtype())));
    }
    let (words, _) = view.data().as_chunks::<4>();
    let values: Vec<f32> = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
    let found = values.len();
    if count.is_some_and(|count| count != found) {
        return Err(wrong(format!(
            "has {found} values, expected {}",
            count.unwrap_or_default()
        )));
    }
    match values.iter().position(|v| !v.is_finite()) {
        Some(at) => Err(wrong(format!("is not finite at {at}"))),
        None => Ok((values, found)),
    }
}

fn standardised(standardisation: &Standardisation, features: ArrayView2<f32>) -> Array2<f32> {
    let mut result = features.to_owned();
    for mut row in result.rows_mut() {
        let scale = standardisation.mean.iter().zip(&standardisation.sd);
        row.iter_mut()
            .zip(scale)
            .for_each(|(x, (m, s))| *x = (*x - m) / s);
    }
    result
}
