//! Where networks run: the processor, or a GPU in builds with the feature `vulkan`.

use std::fmt;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A kind of device, as people name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceName {
    /// The processor, with our own kernels: same inputs, seed and threads, same bytes.
    #[default]
    Cpu,
    /// The fastest GPU with a Vulkan driver, with Burn's kernels: sums have no fixed order, so bytes differ from run to
    /// run. Tested on a software driver (`just test-vulkan`).
    Vulkan,
}

/// A device that networks can run on.
#[derive(Debug, Clone)]
pub struct OpenDevice {
    /// What kind it is.
    pub name: DeviceName,
    /// What tensors are made on.
    pub device: Device,
    /// What it calls itself.
    pub model: String,
    /// Whether it only behaves like a GPU, on the processor and slowly.
    pub emulated: bool,
}

/// Why a device cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The program was built without it.
    #[error("this build cannot use the device `{0}`")]
    NotBuilt(DeviceName),
    /// The machine has none.
    #[error("this machine has no GPU with a Vulkan driver")]
    NoDriver,
    /// There is one that cannot be used.
    #[error("the Vulkan driver of this machine cannot be used: {0}")]
    Driver(String),
}

impl DeviceName {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Vulkan];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Vulkan => "vulkan",
        }
    }

    /// Those that this build can use, if the machine has them.
    pub fn of_build() -> impl Iterator<Item = Self> {
        let built = |name: &Self| *name == Self::Cpu || cfg!(feature = "vulkan");
        Self::ALL.into_iter().filter(built)
    }

    /// Opens a device of this kind: the same one each time.
    ///
    /// # Errors
    /// When this build or this machine has none.
    pub fn open(self) -> Result<OpenDevice, DeviceError> {
        match self {
            Self::Cpu => Ok(OpenDevice {
                name: self,
                device: Device::flex(),
                model: "the processor".to_owned(),
                emulated: false,
            }),
            Self::Vulkan => vulkan(),
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(not(feature = "vulkan"))]
fn vulkan() -> Result<OpenDevice, DeviceError> {
    Err(DeviceError::NotBuilt(DeviceName::Vulkan))
}

#[cfg(feature = "vulkan")]
fn vulkan() -> Result<OpenDevice, DeviceError> {
    use std::sync::OnceLock;

    use burn::tensor::wgpu::{WgpuBackend, WgpuInitError};

    // Burn opens a device once in a process, and refuses to do it again.
    static OPENED: OnceLock<Result<OpenDevice, DeviceError>> = OnceLock::new();
    let open = || {
        let options = Device::wgpu_options().graphics_api(WgpuBackend::Vulkan);
        let device = options.init().map_err(|error| match error {
            WgpuInitError::AdapterUnavailable { .. } => DeviceError::NoDriver,
            error => DeviceError::Driver(error.to_string()),
        })?;
        let identity = device.identity();
        Ok(OpenDevice {
            name: DeviceName::Vulkan,
            emulated: identity.as_ref().is_none_or(|of| of.physical.is_none()),
            model: identity.map_or_else(|| "unknown".to_owned(), |of| of.name),
            device,
        })
    };
    OPENED.get_or_init(open).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there() {
        let opened = DeviceName::Cpu.open().unwrap();
        assert_eq!(opened.device, Device::flex());
        assert!(!opened.emulated);
    }

    #[test]
    #[cfg(not(feature = "vulkan"))]
    fn a_build_without_vulkan_says_so() {
        let error = DeviceName::Vulkan.open().unwrap_err();
        assert_eq!(error, DeviceError::NotBuilt(DeviceName::Vulkan));
        assert!(error.to_string().contains("`vulkan`"));
    }
}
