//! What right and wrong labels of each class look like to each network, as it moves with the batches.

use std::sync::{Mutex, PoisonError};

use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_nn::losses::Prototypes;
use serde::{Deserialize, Serialize};

use super::ContrastSettings;
use crate::error::{Error, Result};

/// Of each network those of pixels that are kept, and those of pixels that were dropped.
#[derive(Debug, Default)]
pub(super) struct AllPrototypes(Mutex<Vec<Known>>);

/// Those of a network.
#[derive(Debug, Clone)]
enum Known {
    /// As a checkpoint had them, until there is a batch, and with it a device.
    Stored([Stored; 2]),
    Now(Box<[Prototypes; 2]>),
}

/// A batch as its features are compared.
pub(super) struct Compared {
    /// `[pixels, features]`.
    pub(super) features: Tensor<2>,
    /// `[pixels, classes]`.
    pub(super) targets: Tensor<2>,
    /// Of pixels that are kept, and of those that were dropped, `[pixels]`.
    pub(super) weights: [Tensor<1>; 2],
}

/// As they are stored; numbers by their bits, so that nothing is rounded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Stored {
    means: Vec<u32>,
    seen: Vec<bool>,
}

impl AllPrototypes {
    /// The contrast of a batch of a network, `[1]`; its prototypes move first.
    pub(super) fn loss(
        &self,
        network: usize,
        compared: Compared,
        contrast: &ContrastSettings,
    ) -> Tensor<1> {
        let Compared {
            features,
            targets,
            weights,
        } = compared;
        let device = features.device();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while all.len() <= network {
            let none = || Prototypes::new(targets.dims()[1], contrast.features, &device);
            all.push(Known::Now(Box::new([none(), none()])));
        }
        let known = match all[network].clone() {
            Known::Stored(stored) => stored.map(|stored| stored.on(&device)),
            Known::Now(known) => *known,
        };
        let mut weights_of = weights.iter();
        let moved = known.map(|prototypes| match weights_of.next() {
            Some(weights) => prototypes.moved(
                contrast.momentum,
                features.clone(),
                targets.clone(),
                weights.clone(),
            ),
            None => prototypes,
        });
        all[network] = Known::Now(Box::new(moved.clone()));
        let [clean, noisy] = &moved;
        (contrast.loss()).loss([clean, noisy], features, targets, weights)
    }

    /// For a checkpoint.
    pub(super) fn stored(&self) -> Result<Vec<[Stored; 2]>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = |known: &Known| match known {
            Known::Stored(stored) => Ok(stored.clone()),
            Known::Now(known) => Ok([Stored::of(&known[0])?, Stored::of(&known[1])?]),
        };
        all.iter().map(stored).collect()
    }

    /// Goes on with what [`AllPrototypes::stored`] gave.
    pub(super) fn restore(&self, stored: Vec<[Stored; 2]>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all = stored.into_iter().map(Known::Stored).collect();
    }
}

impl Stored {
    fn of(prototypes: &Prototypes) -> Result<Self> {
        let numbers = |data: TensorData| -> Result<Vec<f32>> {
            let numbers = data.try_to_vec();
            numbers.map_err(|error| Error::Device(error.to_string()))
        };
        let means = numbers(prototypes.means.clone().into_data())?;
        let seen = numbers(prototypes.seen.clone().float().into_data())?;
        Ok(Self {
            means: means.into_iter().map(f32::to_bits).collect(),
            seen: seen.into_iter().map(|seen| seen > 0.0).collect(),
        })
    }

    fn on(self, device: &Device) -> Prototypes {
        let Self { means, seen } = self;
        let classes = seen.len();
        let features = means.len().checked_div(classes).unwrap_or(0);
        let means: Vec<f32> = means.into_iter().map(f32::from_bits).collect();
        let seen: Vec<f32> = seen.iter().map(|&seen| f32::from(u8::from(seen))).collect();
        let seen = Tensor::<1>::from_data(TensorData::new(seen, [classes]), device);
        Prototypes {
            means: Tensor::from_data(TensorData::new(means, [classes, features]), device),
            seen: seen.greater_scalar(0.5),
        }
    }
}
