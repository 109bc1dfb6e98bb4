//! Network weights from safetensors files and PyTorch checkpoints, by PyTorch names.
//!
//! Format: <https://github.com/huggingface/safetensors>. Values of type f32, f16 and bf16 are read
//! as f32. The counters `num_batches_tracked` of PyTorch's batch normalisation carry no weight and
//! are skipped. Loading is all or nothing: a file that does not fit names every tensor that
//! differs.

mod pytorch;

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData, TensorReadError};
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};

use crate::error::{Mismatch, WeightsError};

/// One tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightTensor {
    /// The length of each dimension.
    pub shape: Vec<usize>,
    /// The values.
    pub values: Vec<f32>,
}

/// The tensors of one file.
#[derive(Debug, Clone)]
pub struct Weights {
    file: String,
    hash: String,
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, WeightTensor>,
}

impl Weights {
    /// Reads a safetensors file, or a checkpoint that `torch.save` has written (`.pth`, `.pt`): of a state, of a
    /// whole module, or of such a thing among others, under a usual name such as `state_dict`.
    ///
    /// # Errors
    /// When the file cannot be read, is neither, is truncated or damaged, has tensors of another type than
    /// f32, f16 and bf16 (in checkpoints also f64), or holds NaN or infinite values.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let bytes = std::fs::read(path).map_err(|source| WeightsError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let file = path.display().to_string();
        if pytorch::is_checkpoint(&bytes) {
            return Ok(Self {
                hash: blake3::hash(&bytes).to_hex().to_string(),
                metadata: BTreeMap::new(),
                tensors: pytorch::read(path, &file)?,
                file,
            });
        }
        Self::from_bytes(&bytes, &file)
    }

    /// Reads the content of a safetensors file; `file` is its name in messages.
    ///
    /// # Errors
    /// As [`Weights::read`], without those of reading the file.
    pub fn from_bytes(bytes: &[u8], file: &str) -> Result<Self, WeightsError> {
        let damaged = |error: SafeTensorError| WeightsError::Damaged {
            file: file.to_owned(),
            reason: error.to_string(),
        };
        check_container(bytes, file)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let metadata = header
            .metadata()
            .clone()
            .unwrap_or_default()
            .into_iter()
            .collect();
        let mut tensors = BTreeMap::new();
        for (name, view) in SafeTensors::deserialize(bytes).map_err(damaged)?.tensors() {
            if name.ends_with("num_batches_tracked") {
                continue;
            }
            let values = to_f32(view.dtype(), view.data()).ok_or_else(|| WeightsError::Type {
                file: file.to_owned(),
                tensor: name.clone(),
                dtype: view.dtype().to_string(),
            })?;
            finite(file, &name, &values)?;
            tensors.insert(
                name,
                WeightTensor {
                    shape: view.shape().to_vec(),
                    values,
                },
            );
        }
        let hash = blake3::hash(bytes).to_hex().to_string();
        Ok(Self {
            file: file.to_owned(),
            hash,
            metadata,
            tensors,
        })
    }

    /// The file's name, for messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// BLAKE3 of the whole file, 64 hexadecimal digits.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// An entry of the header's `__metadata__`.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// A tensor by name.
    pub fn tensor(&self, name: &str) -> Option<&WeightTensor> {
        self.tensors.get(name)
    }

    /// The names of all tensors, in order.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.tensors.keys()
    }

    /// The parameters of a network, as a safetensors file; names and layouts as
    /// [`load_into`](Self::load_into) reads them.
    ///
    /// # Errors
    /// When the device cannot give the parameters back.
    pub fn to_bytes<M: Module>(
        module: &M,
        metadata: BTreeMap<String, String>,
        rename: impl Fn(&str) -> String,
    ) -> Result<Vec<u8>, WeightsError> {
        let mut saver = Saver::default();
        module.visit(&mut saver);
        let tensors = saver
            .tensors
            .map_err(|error| WeightsError::Device(error.to_string()))?;
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes)?;
            Ok((rename(name), view))
        });
        let unusable = |error: SafeTensorError| WeightsError::Device(error.to_string());
        let views = views.collect::<Result<Vec<_>, _>>().map_err(unusable)?;
        let metadata = (!metadata.is_empty()).then(|| metadata.into_iter().collect());
        safetensors::serialize(views, metadata).map_err(unusable)
    }

    /// The tensors whose names begin with `prefix`, under the rest of their names.
    pub fn part(&self, prefix: &str) -> Self {
        let tensors = self.tensors.iter();
        Self {
            tensors: tensors
                .filter_map(|(name, tensor)| {
                    Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
                })
                .collect(),
            ..self.clone()
        }
    }

    /// The tensors whose names do not begin with `prefix`, such as a classifier that is not wanted.
    pub fn without(mut self, prefix: &str) -> Self {
        self.tensors.retain(|name, _| !name.starts_with(prefix));
        self
    }

    /// The same file with other tensors, or the same under other names.
    pub(crate) fn with_tensors(
        mut self,
        change: impl FnOnce(BTreeMap<String, WeightTensor>) -> BTreeMap<String, WeightTensor>,
    ) -> Self {
        self.tensors = change(self.tensors);
        self
    }

    /// What the file seems to be, by the names of its tensors: a clause for messages.
    pub fn looks_like(&self) -> String {
        let has = |part: &str| self.tensors.keys().any(|name| name.contains(part));
        let kind = if self.tensors.is_empty() {
            return "it holds no tensors".to_owned();
        } else if has("_blocks.0._se_reduce") {
            "an EfficientNet with squeeze-and-excitation (efficientnet_pytorch names)"
        } else if has("_blocks.0._depthwise_conv") {
            "an EfficientNet-Lite (efficientnet_pytorch names)"
        } else if has("blocks.0.0.conv_dw") {
            "a timm EfficientNet or MobileNet"
        } else if has("relative_position_bias_table") {
            "a Swin transformer"
        } else if has("blocks.0.attn.qkv") {
            "a timm vision transformer"
        } else if has("encoder.layer.0.layer_scale1.lambda1") {
            "a Hugging Face vision transformer of DINOv2"
        } else if has("embeddings.patch_embeddings.projection") {
            "a Hugging Face vision transformer"
        } else if has("encoder.layer.0.attention") || has("encoder.layers.0.self_attn") {
            "a Hugging Face transformer"
        } else if has("layer1.0.conv1") {
            "a torchvision ResNet"
        } else if has("features.0.") {
            "a torchvision network with `features`"
        } else {
            "no network known here"
        };
        let first: Vec<_> = self.tensors.keys().take(3).map(String::as_str).collect();
        format!("it looks like {kind} (first tensors: {})", first.join(", "))
    }

    /// Puts the tensors into a network. `rename` turns the path of a parameter in the module, in
    /// PyTorch's terms (`blocks.0.norm.weight`), into its name in the file. PyTorch's [outputs,
    /// inputs] matrices of linear layers are transposed to Burn's layout.
    ///
    /// # Errors
    /// [`WeightsError::WrongNetwork`] when no name fits, [`WeightsError::Mismatch`] when some do
    /// not or when a shape differs.
    pub fn load_into<M: Module>(
        &self,
        module: M,
        network: &str,
        rename: impl Fn(&str) -> String,
    ) -> Result<M, WeightsError> {
        let mut expected = Expected {
            path: ParameterPath::default(),
            parameters: Vec::new(),
        };
        module.visit(&mut expected);
        let expected: BTreeMap<_, _> = expected
            .parameters
            .into_iter()
            .map(|(path, shape)| (rename(&path), shape))
            .collect();
        self.compare(network, &expected)?;
        let mut loader = Loader {
            path: ParameterPath::default(),
            weights: self,
            rename,
        };
        Ok(module.map(&mut loader))
    }

    fn compare(
        &self,
        network: &str,
        expected: &BTreeMap<String, Vec<usize>>,
    ) -> Result<(), WeightsError> {
        let shaped = |(name, shape): (&String, &Vec<usize>)| (name.clone(), shape.clone());
        let missing: Vec<_> = expected
            .iter()
            .filter(|(name, _)| !self.tensors.contains_key(*name))
            .map(shaped)
            .collect();
        if missing.len() == expected.len() {
            return Err(WeightsError::WrongNetwork {
                file: self.file.clone(),
                network: network.to_owned(),
                tensors: self.tensors.len(),
                looks: self.looks_like(),
            });
        }
        let unexpected: Vec<_> = self
            .tensors
            .iter()
            .filter(|(name, _)| !expected.contains_key(*name))
            .map(|(name, tensor)| shaped((name, &tensor.shape)))
            .collect();
        let reshaped: Vec<_> = expected
            .iter()
            .filter_map(|(name, shape)| Some((name, shape, &self.tensors.get(name)?.shape)))
            .filter(|(_, expected, found)| expected != found)
            .map(|(name, expected, found)| (name.clone(), expected.clone(), found.clone()))
            .collect();
        if missing.is_empty() && unexpected.is_empty() && reshaped.is_empty() {
            return Ok(());
        }
        Err(WeightsError::Mismatch(Box::new(Mismatch {
            file: self.file.clone(),
            network: network.to_owned(),
            looks: self.looks_like(),
            missing,
            unexpected,
            reshaped,
        })))
    }
}

/// Refuses values that are no numbers.
fn finite(file: &str, tensor: &str, values: &[f32]) -> Result<(), WeightsError> {
    match values.iter().filter(|value| !value.is_finite()).count() {
        0 => Ok(()),
        count => Err(WeightsError::NotFinite {
            file: file.to_owned(),
            tensor: tensor.to_owned(),
            count,
        }),
    }
}

/// Rules out what is not a complete safetensors file, with a remedy where the content is familiar.
fn check_container(bytes: &[u8], file: &str) -> Result<(), WeightsError> {
    let not = |reason: &str| {
        Err(WeightsError::NotSafetensors {
            file: file.to_owned(),
            reason: reason.to_owned(),
        })
    };
    if bytes.is_empty() {
        return not("it is empty");
    }
    if pytorch::is_checkpoint(bytes) {
        return not("it looks like a PyTorch checkpoint");
    }
    if bytes.starts_with(b"\x89HDF") {
        return not("it looks like HDF5 (Keras); convert it to safetensors");
    }
    if bytes.starts_with(b"version https://git-lfs") {
        return not("it is a Git LFS pointer; fetch the content with `git lfs pull`");
    }
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return not("it is shorter than the 8 bytes of the header's length");
    };
    let length = u64::from_le_bytes(*length);
    if rest.first().is_some_and(|&byte| byte != b'{') || length < 2 {
        return not("it does not begin with a header");
    }
    let truncated = |expected: u64| {
        let (file, found) = (file.to_owned(), bytes.len() as u64);
        Err(WeightsError::Truncated {
            file,
            expected,
            found,
        })
    };
    let header_end = length.saturating_add(8);
    let Some(header) = usize::try_from(length)
        .ok()
        .and_then(|length| rest.get(..length))
    else {
        return truncated(header_end);
    };
    match data_length(header) {
        Some(data) if header_end.saturating_add(data) > bytes.len() as u64 => {
            truncated(header_end.saturating_add(data))
        }
        _ => Ok(()),
    }
}

/// The end of the last tensor by the header; `None` when the header cannot be understood.
fn data_length(header: &[u8]) -> Option<u64> {
    let header: serde_json::Value = serde_json::from_slice(header).ok()?;
    let tensors = header.as_object()?.values();
    tensors
        .filter_map(|tensor| tensor.get("data_offsets")?.get(1)?.as_u64())
        .max()
}

fn to_f32(dtype: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    let pairs = || data.as_chunks::<2>().0.iter();
    match dtype {
        Dtype::F32 => Some(
            data.as_chunks::<4>()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect(),
        ),
        Dtype::F16 => Some(
            pairs()
                .map(|b| half::f16::from_le_bytes(*b).to_f32())
                .collect(),
        ),
        Dtype::BF16 => Some(
            pairs()
                .map(|b| half::bf16::from_le_bytes(*b).to_f32())
                .collect(),
        ),
        _ => None,
    }
}

/// The container of which network a module holds: its name is no part of a parameter's.
const VARIANT: &str = "Enum:";

/// The position of a traversal in a module, in PyTorch's terms.
#[derive(Default)]
struct ParameterPath {
    /// Names and container types, outermost first.
    parts: Vec<(String, String)>,
}

impl ParameterPath {
    fn enter(&mut self, name: &str, container: &str) {
        if !container.starts_with(VARIANT) {
            self.parts.push((name.to_owned(), container.to_owned()));
        }
    }

    fn leave(&mut self, container: &str) {
        if !container.starts_with(VARIANT) {
            self.parts.pop();
        }
    }

    fn name(&self) -> String {
        self.parts
            .iter()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>()
            .join(".")
    }

    fn is_linear_weight(&self) -> bool {
        let last = self.parts.last();
        last.is_some_and(|(name, container)| name == "weight" && container == "Struct:Linear")
    }
}

struct Expected {
    path: ParameterPath,
    parameters: Vec<(String, Vec<usize>)>,
}

impl ModuleVisitor for Expected {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        self.path.leave(container_type);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let mut shape: Vec<usize> = param.lazy_shape().to_vec();
        if self.path.is_linear_weight() {
            shape.reverse();
        }
        self.parameters.push((self.path.name(), shape));
    }
}

/// Name, shape and bytes.
type Saved = (String, Vec<usize>, Vec<u8>);

struct Saver {
    path: ParameterPath,
    tensors: Result<Vec<Saved>, TensorReadError>,
}

impl Default for Saver {
    fn default() -> Self {
        Self {
            path: ParameterPath::default(),
            tensors: Ok(Vec::new()),
        }
    }
}

impl ModuleVisitor for Saver {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        self.path.leave(container_type);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Ok(tensors) = &mut self.tensors else {
            return;
        };
        let value = param.val();
        let value = if self.path.is_linear_weight() {
            value.transpose()
        } else {
            value
        };
        let shape = value.dims().to_vec();
        match value.try_into_data_as::<f32>() {
            Ok(data) => {
                let bytes = data.iter::<f32>().flat_map(f32::to_le_bytes).collect();
                tensors.push((self.path.name(), shape, bytes));
            }
            Err(error) => self.tensors = Err(error),
        }
    }
}

struct Loader<'a, F> {
    path: ParameterPath,
    weights: &'a Weights,
    rename: F,
}

impl<F: Fn(&str) -> String> ModuleMapper for Loader<'_, F> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        self.path.leave(container_type);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        // `compare` has shown that every name is present with its shape.
        let Some(tensor) = self.weights.tensor(&(self.rename)(&self.path.name())) else {
            return param;
        };
        let data = TensorData::new(tensor.values.clone(), tensor.shape.clone());
        let transposed = self.path.is_linear_weight();
        let id = param.id;
        let value = Tensor::<D>::from_data(data, &param.lazy_device());
        param.transform_for_load(if transposed { value.transpose() } else { value }, id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use crate::layers::{BatchNorm, Start};

    #[derive(Module, Debug)]
    struct Small {
        norm: BatchNorm,
        fc: Linear,
    }

    fn small() -> Small {
        let device = Device::flex();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        Small {
            norm: BatchNorm::new(2, &mut Start::new(&mut rng, &device)),
            fc: LinearConfig::new(2, 3).init(&device),
        }
    }

    type Entry = (&'static str, Dtype, Vec<usize>, Vec<u8>);

    fn entry(name: &'static str, shape: &[usize]) -> Entry {
        let count: usize = shape.iter().product();
        let data = (0..count).flat_map(|i| (i as f32).to_le_bytes()).collect();
        (name, Dtype::F32, shape.to_vec(), data)
    }

    fn file(entries: &[Entry]) -> Vec<u8> {
        let views = entries.iter().map(|(name, dtype, shape, data)| {
            (*name, TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }

    fn complete() -> Vec<Entry> {
        vec![
            entry("norm.weight", &[2]),
            entry("norm.bias", &[2]),
            entry("norm.running_mean", &[2]),
            entry("norm.running_var", &[2]),
            entry("fc.weight", &[3, 2]),
            entry("fc.bias", &[3]),
        ]
    }

    fn load(entries: &[Entry]) -> Result<Small, WeightsError> {
        let weights = Weights::from_bytes(&file(entries), "w.safetensors")?;
        weights.load_into(small(), "a small network", str::to_owned)
    }

    #[test]
    fn a_fitting_file_loads_with_pytorch_layout() {
        let mut entries = complete();
        entries.push(("norm.num_batches_tracked", Dtype::I64, vec![], vec![0; 8]));
        let loaded = load(&entries).unwrap();
        // PyTorch's rows [[0, 1], [2, 3], [4, 5]] are outputs; Burn's rows are inputs.
        let weight: Vec<f32> = loaded.fc.weight.val().into_data().try_to_vec().unwrap();
        assert_eq!(weight, [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
        let mean: Vec<f32> = loaded
            .norm
            .running_mean
            .value()
            .into_data()
            .try_to_vec()
            .unwrap();
        assert_eq!(mean, [0.0, 1.0]);
    }

    #[test]
    fn half_precision_is_widened() {
        let mut entries = complete();
        entries[0].1 = Dtype::F16;
        entries[0].3 = [1.5f32, -2.0]
            .iter()
            .flat_map(|&x| half::f16::from_f32(x).to_le_bytes())
            .collect();
        entries[1].1 = Dtype::BF16;
        entries[1].3 = [0.25f32, 8.0]
            .iter()
            .flat_map(|&x| half::bf16::from_f32(x).to_le_bytes())
            .collect();
        let loaded = load(&entries).unwrap();
        let weight: Vec<f32> = loaded.norm.weight.val().into_data().try_to_vec().unwrap();
        let bias: Vec<f32> = loaded.norm.bias.val().into_data().try_to_vec().unwrap();
        assert_eq!((weight, bias), (vec![1.5, -2.0], vec![0.25, 8.0]));
    }

    #[test]
    fn a_mismatch_names_every_tensor() {
        let mut entries = complete();
        entries[0].0 = "norm.scale";
        entries[4] = entry("fc.weight", &[4, 2]);
        entries[5] = entry("fc.bias", &[4]);
        let message = load(&entries).unwrap_err().to_string();
        assert_eq!(
            message,
            "w.safetensors does not fit a small network: 1 missing, 1 unexpected, 2 of another \
             shape; it looks like no network known here (first tensors: fc.bias, fc.weight, norm.bias)\
             \n  missing: norm.weight [2]\
             \n  unexpected: norm.scale [2]\
             \n  other shape: fc.bias is [4], expected [3]\
             \n  other shape: fc.weight is [4, 2], expected [3, 2]"
        );
    }

    #[test]
    fn another_network_is_recognised() {
        let message = load(&[entry("blocks.0.attn.qkv.weight", &[6, 2])])
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "w.safetensors does not hold a small network: none of its 1 tensors belongs to it; it \
             looks like a timm vision transformer (first tensors: blocks.0.attn.qkv.weight)"
        );
        for (name, kind) in [
            (
                "layers.0.blocks.0.attn.relative_position_bias_table",
                "a Swin transformer",
            ),
            (
                "embeddings.patch_embeddings.projection.weight",
                "a Hugging Face vision transformer",
            ),
            (
                "encoder.layer.0.layer_scale1.lambda1",
                "a Hugging Face vision transformer of DINOv2",
            ),
        ] {
            let message = load(&[entry(name, &[2])]).unwrap_err().to_string();
            let says = format!("it looks like {kind} (first tensors: {name})");
            assert!(message.ends_with(&says), "{message}");
        }
    }

    #[test]
    fn another_type_is_refused() {
        let mut entries = complete();
        entries[5] = ("fc.bias", Dtype::F64, vec![3], vec![0; 24]);
        assert_eq!(
            load(&entries).unwrap_err().to_string(),
            "w.safetensors: tensor fc.bias has type F64; convert the weights to f32, f16 or bf16"
        );
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        let mut entries = complete();
        entries[5].3[..4].copy_from_slice(&f32::NAN.to_le_bytes());
        assert_eq!(
            load(&entries).unwrap_err().to_string(),
            "w.safetensors: tensor fc.bias has 1 values that are NaN or infinite"
        );
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = file(&complete());
        for length in 0..bytes.len() {
            assert!(
                Weights::from_bytes(&bytes[..length], "w").is_err(),
                "{length} bytes"
            );
        }
        let message = Weights::from_bytes(&bytes[..bytes.len() - 1], "w")
            .unwrap_err()
            .to_string();
        let (all, cut) = (bytes.len(), bytes.len() - 1);
        assert_eq!(
            message,
            format!(
                "w is truncated: its header describes {all} bytes, the file has {cut}; copy or \
                 download it again"
            )
        );
    }

    #[test]
    fn other_formats_are_named() {
        let message = |bytes: &[u8]| Weights::from_bytes(bytes, "w").unwrap_err().to_string();
        assert_eq!(message(b""), "w is not a safetensors file: it is empty");
        assert!(message(b"PK\x03\x04 and more bytes").contains("PyTorch checkpoint"));
        assert!(message(b"\x89HDF\r\n\x1a\n and more").contains("HDF5"));
        assert!(message(b"version https://git-lfs.github.com/spec/v1").contains("git lfs pull"));
        assert!(message(b"\x10\0\0\0\0\0\0\0hello, world").contains("does not begin with"));
        assert!(message(b"\x04\0\0\0\0\0\0\0{{}}").contains("is damaged"));
        assert!(
            Weights::read(Path::new("no/such/file"))
                .unwrap_err()
                .to_string()
                .contains("no/such/file")
        );
    }
}
