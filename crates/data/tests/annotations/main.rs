//! Formats of annotations: what they mean, that they come back as they were, and broken files.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests may panic and say that they skip"
)]

mod broken;
mod coco;
mod common;
mod geojson;
mod imagej;
mod masks;
mod slides;
mod text_files;
mod voc;
