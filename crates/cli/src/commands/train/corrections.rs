//! What a detector did to the labels that it learned from, for the page of its run.

use std::path::Path;

use cleanslide_data::{Object, Rectangle, Target};
use cleanslide_learn::deceleration::Deceleration;
use cleanslide_learn::detect::correction::{AGREEMENT, ChangeCounts, Cycle, CycleImage, changes};
use cleanslide_learn::training::Epoch;
use cleanslide_report::contact_sheet::Tile;
use cleanslide_report::learning_curves::LearningCurves;
use cleanslide_report::number::Estimate;
use cleanslide_report::plots::Line;
use cleanslide_report::thumbnail::{Ink, Outlines};
use cleanslide_report::training::{CorrectionRow, Corrections};

use super::networks::{Job, Part};
use crate::failure::Result;
use crate::sheet::{self, evenly};

/// Points of a fitted curve between two epochs.
const SMOOTH: usize = 4;

/// What became of the labels: of the network that learned from all images, or else of the last fold. Nothing if none
/// were corrected.
pub fn corrections<R>(job: &Job<R>, parts: &[Part], run: &Path) -> Result<Option<Corrections>> {
    let Some(part) = parts.last() else {
        return Ok(None);
    };
    let folder = run.join(&part.name);
    let epochs = Cycle::epochs(&folder)?;
    let mut rows = Vec::new();
    let mut tiles = Vec::new();
    for &epoch in &epochs {
        let cycle = Cycle::read(&folder, epoch)?;
        rows.push(row(job, &cycle));
        if Some(&epoch) == epochs.last() {
            let images: Vec<&CycleImage> = cycle.images.iter().collect();
            for image in evenly(&images, sheet::IMAGES) {
                tiles.extend(tile(job, image)?);
            }
        }
    }
    Ok((!rows.is_empty()).then_some(Corrections {
        network: part.name.clone(),
        rows,
        tiles,
    }))
}

/// The given boxes of an image, by its name.
fn given<'a, R>(job: &'a Job<R>, image: &str) -> &'a [Object<Rectangle>] {
    let labels = job.labels;
    let place = labels.images.iter().position(|record| record.id == image);
    match place.map(|place| &labels.pieces[place].target) {
        Some(Target::Boxes(boxes)) => &boxes.objects,
        _ => &[],
    }
}

fn row<R>(job: &Job<R>, cycle: &Cycle) -> CorrectionRow {
    let images = cycle.images.iter();
    let all: Vec<_> = images
        .flat_map(|image| changes(given(job, &image.image), &image.labels.objects))
        .collect();
    let counts: ChangeCounts = all.iter().collect();
    CorrectionRow {
        epoch: cycle.epoch,
        kept: counts.kept,
        redrawn: counts.redrawn,
        dropped: counts.dropped,
        added: counts.added,
    }
}

fn tile<R>(job: &Job<R>, image: &CycleImage) -> Result<Option<Tile>> {
    let mut records = job.labels.images.iter();
    let Some(record) = records.find(|record| record.id == image.image) else {
        return Ok(None);
    };
    let given = given(job, &image.image);
    let corrected = &image.labels.objects;
    let words = format!("{} given, {} corrected", given.len(), corrected.len());
    let given = given.iter().map(|object| sheet::of_box(object.shape));
    let corrected = corrected.iter().map(|found| sheet::of_box(found.shape));
    let drawn = vec![
        Outlines {
            ink: Ink::Sky,
            polygons: given.collect(),
        },
        Outlines {
            ink: Ink::Orange,
            polygons: corrected.collect(),
        },
    ];
    Ok(Some(sheet::tile(job.dataset, record, words, drawn)?))
}

/// How well each network fitted the given labels before it gave them up, and the curve by which it decided to; `None`
/// where that decided nothing.
pub fn agreement_curves(parts: &[Part], epochs: &[Vec<Epoch>]) -> Option<LearningCurves> {
    let mut lines = Vec::new();
    for (part, epochs) in parts.iter().zip(epochs) {
        let noted = epochs.iter().map_while(|epoch| epoch.notes.get(AGREEMENT));
        let values: Vec<f64> = noted.copied().collect();
        if values.is_empty() {
            continue;
        }
        let point = |epoch: f64, value: f64| (epoch, Estimate::without_interval(value));
        lines.push(Line {
            name: part.name.clone(),
            points: (1..)
                .map(f64::from)
                .zip(values.iter().copied())
                .map(|(epoch, value)| point(epoch, value))
                .collect(),
        });
        let Some(fit) = Deceleration::fit(&values) else {
            continue;
        };
        let last = values.len() as f64;
        let steps = (values.len() - 1) * SMOOTH;
        lines.push(Line {
            name: format!(
                "{}, fitted: {:.0} % slower at the end",
                part.name,
                100.0 * fit.slowed(last)
            ),
            points: (0..=steps)
                .map(|step| {
                    let epoch = 1.0 + step as f64 / SMOOTH as f64;
                    point(epoch, fit.value(epoch))
                })
                .collect(),
        });
    }
    (!lines.is_empty()).then(|| LearningCurves {
        title: "When the given labels were given up".into(),
        quantity: "AP50 against the given labels, as long as they were learned from".into(),
        lines,
    })
}
