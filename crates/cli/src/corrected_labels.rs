//! Labels that a model corrected, and what folds do not show of them.
//!
//! A label is corrected by models that learned from the labels of the other cases. Across folds a training therefore learns
//! from labels that depend on those of the cases it is then judged by, and its figures are too good: even coin tosses, once
//! corrected so, are predicted better than chance. Images for test take no part in corrections.

use std::path::Path;

use cleanslide_data::{Dataset, SourceKind, Split};

use crate::network_run::read_manifest;
use crate::run_folder::read_run;

/// Whether a model corrected the labels of a source.
pub fn is_corrected(dataset: &Dataset, source: &str) -> bool {
    let mut sources = dataset.manifest().sources.iter();
    sources.any(|known| known.id == source && known.kind == SourceKind::Model)
}

/// The first source of a dataset whose labels a model corrected.
pub fn of_a_dataset(dataset: &Dataset) -> Option<&str> {
    let mut sources = dataset.manifest().sources.iter();
    let corrected = sources.find(|known| known.kind == SourceKind::Model)?;
    Some(&corrected.id)
}

/// Whose labels a run learned from, if a model corrected them.
pub fn source_if_corrected(run: &Path) -> Option<String> {
    if let Ok(manifest) = read_manifest(run) {
        return manifest.corrected.then_some(manifest.source);
    }
    let (manifest, _) = read_run(run).ok()?;
    manifest.corrected.then_some(manifest.source)
}

/// Whether this is an image for test.
pub fn is_for_test(dataset: &Dataset, id: &str) -> bool {
    let image = dataset.position(id);
    image.is_some_and(|image| dataset.images()[image].split == Some(Split::Test))
}

/// Why figures of these labels across folds are too good, and what to do about it; `source` is theirs.
pub fn warning(source: &str) -> String {
    format!(
        "A model corrected the labels of {source}, each by the labels of the other cases: what is predicted across folds is not \
         out of sample, and its figures are too good. Set images apart for test (`cleanslide split`) before labels are \
         corrected, and measure on them."
    )
}

/// What figures across folds are; `corrected` says whether a model corrected the labels.
pub fn across_folds(corrected: bool) -> &'static str {
    if corrected {
        "across folds against the corrected labels, each corrected by the labels of the other cases, so too good"
    } else {
        "out of sample against the given labels, which may be wrong"
    }
}
