//! Checkpoints of PyTorch: `torch.save` of a state or of a whole module, zip archives (since 1.6) and the pickles
//! before. Nothing in them is run: tensors are read, and all else is passed over.

use std::collections::BTreeMap;
use std::path::Path;

use pytorch_reader::{DType, PytorchReader, Tensor};

use super::{WeightTensor, finite};
use crate::error::WeightsError;

/// What training scripts call the parameters among other things that they save.
const NESTED: [&str; 5] = [
    "state_dict.",
    "model_state_dict.",
    "model.",
    "teacher.",
    "net.",
];

/// What `DataParallel` puts before every name.
const PARALLEL: &str = "module.";

/// Whether a file begins as PyTorch's do.
pub(super) fn is_checkpoint(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&[0x80, 0x02])
}

/// The tensors of a checkpoint by the names of the parameters.
pub(super) fn read(
    path: &Path,
    file: &str,
) -> Result<BTreeMap<String, WeightTensor>, WeightsError> {
    let damaged = |reason: String| WeightsError::Checkpoint {
        file: file.to_owned(),
        reason,
    };
    let reader = PytorchReader::new(path).map_err(|error| damaged(error.to_string()))?;
    let all: BTreeMap<String, Tensor> = reader.into_tensors().into_iter().collect();
    let nested = NESTED
        .iter()
        .find(|prefix| all.keys().any(|name| name.starts_with(**prefix)));
    let mut tensors = BTreeMap::new();
    for (name, tensor) in all {
        let name = match nested {
            Some(prefix) => name.strip_prefix(prefix),
            None => Some(name.as_str()),
        };
        let Some(name) = name.filter(|name| !name.ends_with("num_batches_tracked")) else {
            continue;
        };
        let name = name.strip_prefix(PARALLEL).unwrap_or(name).to_owned();
        let bytes = tensor.read().map_err(|error| damaged(error.to_string()))?;
        let values = to_f32(tensor.dtype(), &bytes).ok_or_else(|| WeightsError::Type {
            file: file.to_owned(),
            tensor: name.clone(),
            dtype: format!("{:?}", tensor.dtype()),
        })?;
        finite(file, &name, &values)?;
        let shape = tensor.shape().to_vec();
        tensors.insert(name, WeightTensor { shape, values });
    }
    Ok(tensors)
}

fn to_f32(dtype: DType, data: &[u8]) -> Option<Vec<f32>> {
    let pairs = || data.as_chunks::<2>().0.iter();
    Some(match dtype {
        DType::F64 => {
            let values = data.as_chunks::<8>().0.iter();
            values
                .map(|bytes| f64::from_le_bytes(*bytes) as f32)
                .collect()
        }
        DType::F32 => {
            let values = data.as_chunks::<4>().0.iter();
            values.map(|bytes| f32::from_le_bytes(*bytes)).collect()
        }
        DType::F16 => pairs()
            .map(|bytes| half::f16::from_le_bytes(*bytes).to_f32())
            .collect(),
        DType::BF16 => pairs()
            .map(|bytes| half::bf16::from_le_bytes(*bytes).to_f32())
            .collect(),
        _ => return None,
    })
}
