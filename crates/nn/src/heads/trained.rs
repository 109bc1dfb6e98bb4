//! Trained heads with all that is needed to use them, and their file.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor, TensorData, activation::softmax};
use ndarray::{Array2, ArrayView2, s};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use serde::{Deserialize, Serialize};

use super::Head;
use super::head::LayerValues;

/// The version of the file that [`TrainedHeads::to_bytes`] writes.
const FORMAT: &str = "cleanslide-heads-1";

/// Where the metadata are in the file.
const METADATA_KEY: &str = "cleanslide";

/// How features are shifted and scaled before they enter a head: `(x - mean) / sd`.
#[derive(Debug, Clone, PartialEq)]
pub struct Standardisation {
    /// One mean per feature.
    pub mean: Vec<f32>,
    /// One standard deviation per feature, above 0.
    pub sd: Vec<f32>,
}

impl Standardisation {
    /// The one that changes nothing.
    pub fn identity(features: usize) -> Self {
        Self {
            mean: vec![0.0; features],
            sd: vec![1.0; features],
        }
    }

    /// Mean and population standard deviation of every column of `features`
    /// `[items, features]`, in f64. A constant feature gets the standard deviation 1, as in
    /// scikit-learn's `StandardScaler`.
    pub fn of(features: ArrayView2<f32>) -> Self {
        let (items, columns) = features.dim();
        let count = items.max(1) as f64;
        let mut mean = vec![0.0f64; columns];
        for row in features.rows() {
            mean.iter_mut()
                .zip(row)
                .for_each(|(m, &x)| *m += f64::from(x));
        }
        mean.iter_mut().for_each(|m| *m /= count);
        let mut variance = vec![0.0f64; columns];
        for row in features.rows() {
            for ((v, &x), m) in variance.iter_mut().zip(row).zip(&mean) {
                *v += (f64::from(x) - m).powi(2);
            }
        }
        let sd = variance.iter().zip(&mean).map(|(v, m)| {
            let sd = (v / count).sqrt();
            // Rounding leaves a trace of variance in columns that are constant.
            if sd <= 1e-7 * m.abs() || sd == 0.0 {
                1.0
            } else {
                sd as f32
            }
        });
        Self {
            sd: sd.collect(),
            mean: mean.iter().map(|&m| m as f32).collect(),
        }
    }

    /// The standardised features, row-major, same shape.
    pub fn apply(&self, features: ArrayView2<f32>) -> Vec<f32> {
        let mut values = Vec::with_capacity(features.len());
        for row in features.rows() {
            let scaled = row
                .iter()
                .zip(&self.mean)
                .zip(&self.sd)
                .map(|((x, m), s)| (x - m) / s);
            values.extend(scaled);
        }
        values
    }
}

/// One or more trained heads over the same features, which predict together: their
/// probabilities are averaged. They are plain: without automatic differentiation.
#[derive(Debug, Clone)]
pub struct TrainedHeads {
    /// The heads; at least one. All have the same features and classes.
    pub heads: Vec<Head>,
    /// What is done to features first.
    pub standardisation: Standardisation,
    /// Names of the classes, in the order of the columns of predictions.
    pub classes: Vec<String>,
}

/// What can be wrong with a file of heads, or with features given to them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// Not a safetensors file.
    #[error("this is not a safetensors file: {0}")]
    NotSafetensors(#[source] safetensors::SafeTensorError),
    /// A safetensors file, but of something else.
    #[error("this safetensors file does not hold trained heads: {0}")]
    NotHeads(String),
    /// Features of another width.
    #[error("the heads were trained on {expected} features per item, and these have {found}")]
    FeatureCount {
        /// Features the heads take.
        expected: usize,
        /// Features that were given.
        found: usize,
    },
    /// The device could not give back what it computed.
    #[error("the device failed: {0}")]
    Device(String),
    /// The safetensors library refused to write.
    #[error("the heads cannot be written as safetensors: {0}")]
    Write(#[source] safetensors::SafeTensorError),
}

impl TrainedHeads {
    /// Number of features per item that the heads take.
    pub fn features(&self) -> usize {
        self.standardisation.mean.len()
    }

    /// The probabilities `[items, classes]` of `features` `[items, features]`: the mean over the
    /// heads of the softmax of their logits.
    ///
    /// # Errors
    /// [`HeadError::FeatureCount`] if the features are not as wide as those of the training.
    pub fn predict(&self, features: ArrayView2<f32>) -> Result<Array2<f32>, HeadError> {
        let (items, columns) = features.dim();
        if columns != self.features() {
            return Err(HeadError::FeatureCount {
                expected: self.features(),
                found: columns,
            });
        }
        let device = Device::flex();
        let mut result = Array2::zeros((items, self.classes.len()));
        // Blocks bound the memory; rows do not depend on one another.
        const BLOCK: usize = 4096;
        for start in (0..items).step_by(BLOCK) {
            let rows = start..items.min(start + BLOCK);
            let block = features.slice(s![rows.clone(), ..]);
            let values = self.standardisation.apply(block);
            let data = TensorData::new(values, [rows.len(), columns]);
            let input = Tensor::<2>::from_data(data, &device);
            let each = self
                .heads
                .iter()
                .map(|head| softmax(head.forward(input.clone()), 1));
            let Some(sum) = each.reduce(|a, b| a + b) else {
                continue;
            };
            let mean = sum.div_scalar(self.heads.len() as f64).inner();
            let mean = mean
                .try_into_vec_as()
                .map_err(|e| HeadError::Device(e.to_string()))?;
            let to = result.slice_mut(s![rows, ..]);
            to.into_iter().zip(mean).for_each(|(to, from)| *to = from);
        }
        Ok(result)
    }

    /// The heads as a safetensors file: `heads.<h>.layers.<l>.weight` `[outputs, inputs]` and
    /// `.bias` as PyTorch has them, `feature_mean` and `feature_sd`, and in the metadata, under
    /// `cleanslide`, JSON with the class names. Equal heads give equal bytes.
    ///
    /// # Errors
    /// [`HeadError::Write`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, HeadError> {
        let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        let mut add = |name: String, shape: Vec<usize>, values: &[f32]| {
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            tensors.push((name, shape, bytes));
        };
        for (h, head) in self.heads.iter().enumerate() {
            for (l, layer) in head.to_layers()?.into_iter().enumerate() {
                let shape = vec![layer.outputs, layer.inputs];
                let name = layer_name(h, l);
                add(
                    format!("{name}.weight"),
                    shape,
                    &transpose(&layer.weight, layer.inputs),
                );
                add(format!("{name}.bias"), vec![layer.outputs], &layer.bias);
            }
        }
        add(
            "feature_mean".into(),
            vec![self.features()],
            &self.standardisation.mean,
        );
        add(
            "feature_sd".into(),
            vec![self.features()],
            &self.standardisation.sd,
        );
        let views = tensors
            .iter()
            .map(|(name, shape, data)| {
                TensorView::new(Dtype::F32, shape.clone(), data).map(|view| (name, view))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(HeadError::Write)?;
        // One key only: the library writes keys in the random order of a hash map.
        let about = About {
            format: FORMAT.into(),
            classes: self.classes.clone(),
        };
        let about = serde_json::to_string(&about).unwrap_or_default();
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), about)]);
        safetensors::serialize(views, Some(metadata)).map_err(HeadError::Write)
    }

    /// Reads what [`TrainedHeads::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`HeadError::NotSafetensors`] for a damaged or foreign file, and [`HeadError::NotHeads`],
    /// which names the tensor, if something is missing, has the wrong shape or type, or is not
    /// finite.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HeadError> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(HeadError::NotSafetensors)?;
        let file = SafeTensors::deserialize(bytes).map_err(HeadError::NotSafetensors)?;
        let about = metadata
            .metadata()
            .as_ref()
            .and_then(|map| map.get(METADATA_KEY));
        let about = about.ok_or_else(|| not_heads(format!("no `{METADATA_KEY}` metadata")))?;
        let about: About =
            serde_json::from_str(about).map_err(|e| not_heads(format!("its metadata: {e}")))?;
        if about.format != FORMAT {
            let found = &about.format;
            return Err(not_heads(format!(
                "its format is `{found}`, expected `{FORMAT}`"
            )));
        }
        let mean = read(&file, "feature_mean", None)?;
        let width = mean.len();
        let sd = read(&file, "feature_sd", Some(&[width]))?;
        if let Some(at) = sd.iter().position(|&s| s <= 0.0) {
            return Err(not_heads(format!("`feature_sd` is not positive at {at}")));
        }
        let mut heads = Vec::new();
        while file
            .tensor(&format!("{}.weight", layer_name(heads.len(), 0)))
            .is_ok()
        {
            heads.push(read_head(&file, heads.len(), width, about.classes.len())?);
        }
        if heads.is_empty() {
            return Err(not_heads(
                "there is no tensor `heads.0.layers.0.weight`".into(),
            ));
        }
        let standardisation = Standardisation { mean, sd };
        Ok(Self {
            heads,
            standardisation,
            classes: about.classes,
        })
    }
}

/// What the metadata say.
#[derive(Serialize, Deserialize)]
struct About {
    format: String,
    classes: Vec<String>,
}

fn not_heads(reason: String) -> HeadError {
    HeadError::NotHeads(reason)
}

fn layer_name(head: usize, layer: usize) -> String {
    format!("heads.{head}.layers.{layer}")
}

/// One head whose first layer takes `width` features and whose last one gives `classes`.
fn read_head(
    file: &SafeTensors,
    head: usize,
    width: usize,
    classes: usize,
) -> Result<Head, HeadError> {
    let mut layers = Vec::new();
    let mut inputs = width;
    loop {
        let name = layer_name(head, layers.len());
        let weight_name = format!("{name}.weight");
        let Ok(view) = file.tensor(&weight_name) else {
            break;
        };
        let outputs = view.shape().first().copied().unwrap_or(0);
        let weight = read(file, &weight_name, Some(&[outputs, inputs]))?;
        let bias = read(file, &format!("{name}.bias"), Some(&[outputs]))?;
        layers.push(LayerValues {
            inputs,
            outputs,
            weight: transpose(&weight, outputs),
            bias,
        });
        inputs = outputs;
    }
    if inputs != classes {
        let reason = format!("head {head} ends in {inputs} classes, and {classes} are named");
        return Err(not_heads(reason));
    }
    Ok(Head::from_layers(layers.into_iter(), &Device::flex()))
}

/// The values of a tensor, which must have the `shape` if one is given, and else one axis.
fn read(file: &SafeTensors, name: &str, shape: Option<&[usize]>) -> Result<Vec<f32>, HeadError> {
    let view = file
        .tensor(name)
        .map_err(|_| not_heads(format!("there is no tensor `{name}`")))?;
    if view.dtype() != Dtype::F32 {
        return Err(not_heads(format!(
            "`{name}` is {:?}, expected F32",
            view.dtype()
        )));
    }
    let fits = shape.map_or(view.shape().len() == 1, |shape| view.shape() == shape);
    if !fits {
        let expected = shape.map_or("one axis".to_owned(), |shape| format!("{shape:?}"));
        let found = view.shape();
        return Err(not_heads(format!(
            "`{name}` has the shape {found:?}, expected {expected}"
        )));
    }
    let (words, _) = view.data().as_chunks::<4>();
    let values: Vec<f32> = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
    match values.iter().position(|v| !v.is_finite()) {
        Some(at) => Err(not_heads(format!("`{name}` is not finite at {at}"))),
        None => Ok(values),
    }
}

/// The transpose of a row-major matrix with this many `rows`.
fn transpose(values: &[f32], rows: usize) -> Vec<f32> {
    let columns = values.len() / rows.max(1);
    (0..columns)
        .flat_map(|c| (0..rows).map(move |r| values[r * columns + c]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::HeadKind;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn trained() -> TrainedHeads {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let device = Device::flex();
        let heads = [HeadKind::Linear, HeadKind::Mlp]
            .map(|kind| Head::new(kind, 3, 2, &mut rng, &device))
            .to_vec();
        let standardisation = Standardisation {
            mean: vec![1.0, 0.0, -1.0],
            sd: vec![2.0, 1.0, 0.5],
        };
        TrainedHeads {
            heads,
            standardisation,
            classes: vec!["a".into(), "b".into()],
        }
    }

    #[test]
    fn a_file_gives_back_the_same_predictions_and_bytes() {
        let heads = trained();
        let bytes = heads.to_bytes().unwrap();
        let read = TrainedHeads::from_bytes(&bytes).unwrap();
        let features = ndarray::array![[0.3, 0.1, 5.0], [9.0, -1.0, 0.0]];
        let predicted = heads.predict(features.view()).unwrap();
        assert_eq!(predicted, read.predict(features.view()).unwrap());
        assert_eq!(bytes, read.to_bytes().unwrap());
        for row in predicted.rows() {
            assert!((row.sum() - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn predicts_nothing_for_no_items_and_blocks_do_not_matter() {
        let heads = trained();
        assert_eq!(
            heads.predict(Array2::zeros((0, 3)).view()).unwrap().dim(),
            (0, 2)
        );
        let many = Array2::from_shape_fn((5000, 3), |(i, j)| ((i * 7 + j * 3) % 11) as f32);
        let all = heads.predict(many.view()).unwrap();
        let last = heads.predict(many.slice(ndarray::s![4999.., ..])).unwrap();
        for (a, b) in all.row(4999).iter().zip(last.row(0)) {
            assert!((a - b).abs() < 1e-6);
        }
    }

    #[test]
    fn features_of_another_width_are_refused() {
        let error = trained().predict(Array2::zeros((1, 4)).view()).unwrap_err();
        let message = "the heads were trained on 3 features per item, and these have 4";
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn damaged_and_foreign_files_are_refused_with_the_reason() {
        let bytes = trained().to_bytes().unwrap();
        let message = |bytes: &[u8]| TrainedHeads::from_bytes(bytes).unwrap_err().to_string();
        assert!(message(&[]).starts_with("this is not a safetensors file"));
        assert!(message(&bytes[..bytes.len() - 1]).starts_with("this is not a safetensors file"));
        let mut broken = bytes.clone();
        let end = broken.len();
        broken[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(
            message(&broken).contains("is not finite at"),
            "{}",
            message(&broken)
        );
        let foreign = safetensors::serialize(Vec::<(&str, TensorView)>::new(), None).unwrap();
        assert!(message(&foreign).contains("no `cleanslide` metadata"));
    }

    #[test]
    fn standardises_as_scikit_learn_does() {
        // StandardScaler().fit([[1, 5], [3, 5]]) has mean_ [2, 5] and scale_ [1, 1].
        let features = ndarray::array![[1.0, 5.0], [3.0, 5.0]];
        let standardisation = Standardisation::of(features.view());
        assert_eq!(standardisation.mean, [2.0, 5.0]);
        assert_eq!(standardisation.sd, [1.0, 1.0]);
        assert_eq!(
            standardisation.apply(features.view()),
            [-1.0, 0.0, 1.0, 0.0]
        );
    }
}
