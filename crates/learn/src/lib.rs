//! Methods that learn in spite of noise, the training loop, embeddings and corrections.

pub mod advise;
pub mod augment;
pub mod bench;
mod central;
pub mod classify;
pub mod correct;
pub mod correction;
pub mod cross_validation;
mod current;
pub mod deceleration;
pub mod detect;
pub mod directions;
pub mod dual;
pub mod embed;
pub mod embedding_blocks;
pub mod error;
pub mod experts;
pub mod from_pixels;
pub mod gaussian_mixture;
pub mod image_labels;
pub mod label_audit;
pub mod methods;
pub mod penalty;
pub mod pixels;
pub mod predictions;
pub mod pretrain;
pub mod segment;
mod several;
pub mod study;
pub mod training;
pub mod views;

/// Where networks run.
pub use burn::tensor::Device;
pub use error::Error;
