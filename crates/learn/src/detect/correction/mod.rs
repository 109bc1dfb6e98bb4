//! Labels that are corrected by the network that learns from them.

mod settings;

pub use settings::{Background, BoxTrust, CorrectionSettings, Start};
