//! Labels of whole cases taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use cleanslide_data::{Evidence, independent_units};
use cleanslide_weak::noise::stratified_order;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use super::objects::store;
use super::{Shared, Untouched};
use crate::context::Context;
use crate::diagnoses::strata;
use crate::failure::{Failure, Result};
use crate::output::{Show, count, percent};
use crate::pipeline::may_be_learned_from;
use crate::shape_labels::ShapeLabels;

#[derive(Debug, Serialize)]
struct Summary {
    dataset: PathBuf,
    labels: String,
    source: String,
    reference: String,
    untouched: Untouched,
    images: usize,
    images_kept: usize,
    /// Of those that may be learned from.
    cases: usize,
    cases_kept: usize,
}

/// Takes the labels of a share of the cases away, as a new version.
pub fn run(context: &Context, rate: f64, shared: &Shared) -> Result<()> {
    if !(0.0..1.0).contains(&rate) {
        return Err(Failure::usage(format!(
            "a share of {rate} of the cases, expected at least 0 and less than 1"
        )));
    }
    let mut dataset = context.open(&shared.dataset.dataset)?;
    let clean = ShapeLabels::load(&dataset, &shared.labels)?;
    let version = dataset.version(clean.version)?;
    let labels = dataset.labels(clean.version)?;
    let units = independent_units(dataset.images());
    let strata = strata(&dataset, &version, &labels)?;
    let mut of_strata: BTreeMap<Option<usize>, BTreeSet<usize>> = BTreeMap::new();
    for image in clean
        .images
        .iter()
        .filter(|image| may_be_learned_from(image))
    {
        if let Some(position) = dataset.position(&image.id) {
            of_strata
                .entry(strata[position])
                .or_default()
                .insert(units[position]);
        }
    }
    let mut rng = ChaCha8Rng::seed_from_u64(context.seed);
    let strata = of_strata.into_values().map(Vec::from_iter).collect();
    let ranked = stratified_order(strata, &mut rng);
    let kept = (((1.0 - rate) * ranked.len() as f64).round() as usize).max(1);
    let stays: BTreeSet<usize> = ranked.iter().take(kept).copied().collect();
    let pieces = clean.images.iter().zip(&clean.pieces).filter(|(image, _)| {
        let unit = dataset.position(&image.id).map(|position| units[position]);
        may_be_learned_from(image) && unit.is_some_and(|unit| stays.contains(&unit))
    });
    let few: Vec<Evidence> = pieces
        .map(|(_, piece)| Evidence {
            source: shared.name.clone(),
            ..piece.clone()
        })
        .collect();
    let mut summary = Summary {
        dataset: dataset.folder().to_owned(),
        labels: String::new(),
        source: shared.name.clone(),
        reference: shared.reference.clone(),
        untouched: Untouched {
            labels: clean.version.to_string(),
            source: clean.source.clone(),
        },
        images: clean.images.len(),
        images_kept: few.len(),
        cases: ranked.len(),
        cases_kept: kept.min(ranked.len()),
    };
    let told = ("of some cases", format!("kept {}", summary.what()));
    summary.labels = store(context, &mut dataset, (&clean, few), shared, told)?;
    context.output.show(&summary)
}

impl Summary {
    fn what(&self) -> String {
        format!(
            "the labels of {} of {} ({})",
            count(self.images_kept, "image"),
            count(self.cases_kept, "case"),
            percent(self.cases_kept as f64 / self.cases.max(1) as f64),
        )
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        format!(
            "{} of {}: {} are left of {} of {} for training; all are the reference `{}`\n{}",
            self.labels,
            self.dataset.display(),
            self.what(),
            count(self.images, "image"),
            count(self.cases, "case"),
            self.reference,
            self.untouched.line(),
        )
    }
}
