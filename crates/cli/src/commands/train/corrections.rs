//! What a network did to the labels that it learned from, for the page of its run.

use std::path::Path;

use cleanslide_data::mask::read_instance_mask;
use cleanslide_data::{Family, ImageRecord, Object, Polygon, Rectangle, Target};
use cleanslide_learn::correction::{AGREEMENT, ChangeCounts, Start};
use cleanslide_learn::deceleration::Deceleration;
use cleanslide_learn::detect::correction::{Cycle, CycleImage, changes};
use cleanslide_learn::segment::correction::{
    MaskCycle, MaskCycleImage, changes as object_changes, mask_path,
};
use cleanslide_learn::training::Epoch;
use cleanslide_report::contact_sheet::Tile;
use cleanslide_report::learning_curves::LearningCurves;
use cleanslide_report::number::Estimate;
use cleanslide_report::plots::Line;
use cleanslide_report::thumbnail::{Ink, Outlines};
use cleanslide_report::training::{CorrectionRow, Corrections};
use ndarray::ArrayView2;

use super::networks::{Job, Part};
use super::pixels::given_objects;
use crate::failure::{Failure, Result};
use crate::network_run::NetworkRecipe;
use crate::output::count;
use crate::shape_labels::about;
use crate::sheet::{self, evenly};

/// Points of a fitted curve between two epochs.
const SMOOTH: usize = 4;

/// The epochs after which a training corrected labels, by its folder.
fn corrected_after(family: Family, folder: &Path) -> Result<Vec<usize>> {
    Ok(match family {
        Family::Boxes => Cycle::epochs(folder)?,
        Family::Instances => MaskCycle::epochs(folder)?,
        _ => Vec::new(),
    })
}

/// Whether the network of all images has corrected labels.
pub fn has_corrected<R: NetworkRecipe>(job: &Job<R>, run: &Path) -> Result<bool> {
    let corrects = job.recipe.start_of_correction().is_some() && job.recipe.chosen().whole;
    Ok(corrects && !corrected_after(job.labels.family, &run.join("whole"))?.is_empty())
}

/// Which networks should have corrected labels and never began to, and why; none where all did.
pub fn uncorrected<R: NetworkRecipe>(
    job: &Job<R>,
    parts: &[Part],
    run: &Path,
) -> Result<Option<String>> {
    let Some(start) = job.recipe.start_of_correction() else {
        return Ok(None);
    };
    let mut names = Vec::new();
    for part in parts {
        if corrected_after(job.labels.family, &run.join(&part.name))?.is_empty() {
            names.push(part.name.as_str());
        }
    }
    Ok((!names.is_empty()).then(|| {
        let by = match names.len() == parts.len() {
            true => String::new(),
            false => format!(" by {}", names.join(", ")),
        };
        format!(
            "no label was corrected{by}: {}. Train for more epochs, or say when to begin: [correction] start = \
             {{ name = \"epoch\", epoch = 8 }}.",
            never(start, job.recipe.train().epochs)
        )
    }))
}

/// Why labels were not corrected within so many epochs.
fn never(start: Start, epochs: usize) -> String {
    let within = count(epochs, "epoch");
    match start {
        Start::Deceleration { threshold } => format!(
            "the fit to the given labels did not slow down by {:.0} % within {within}",
            100.0 * threshold
        ),
        Start::Validation { patience } => format!(
            "the validation did not stay without a better one for {} within {within}",
            count(patience, "epoch")
        ),
        Start::Epoch { epoch } => {
            format!("that was to begin after epoch {epoch}, and the training has {within}")
        }
    }
}

/// What became of the labels: of the network that learned from all images, or else of the last fold. Nothing if none
/// were corrected.
pub fn corrections<R>(job: &Job<R>, parts: &[Part], run: &Path) -> Result<Option<Corrections>> {
    let Some(part) = parts.last() else {
        return Ok(None);
    };
    let folder = &run.join(&part.name);
    let epochs = corrected_after(job.labels.family, folder)?;
    let Some(&last) = epochs.last() else {
        return Ok(None);
    };
    let (rows, tiles) = match job.labels.family {
        Family::Boxes => {
            let cycle = |epoch| Cycle::read(folder, epoch).map(|cycle| cycle.images);
            let changed = |image: &CycleImage| -> Result<_> {
                let given = given_boxes(job, &image.image)?;
                Ok(changes(given, &image.labels.objects).iter().collect())
            };
            let rows = rows(&epochs, |epoch| counts(&cycle(epoch)?, changed))?;
            let tile = |image: &CycleImage| tile_of_boxes(job, image);
            (rows, tiles(&cycle(last)?, tile)?)
        }
        _ => {
            let cycle = |epoch| MaskCycle::read(folder, epoch).map(|cycle| cycle.images);
            let rows = rows(&epochs, |epoch| {
                counts(&cycle(epoch)?, |image| {
                    let (mask, classes) = given_objects(job, image.item)?;
                    let corrected = read_instance_mask(&mask_path(folder, epoch, image.item))?;
                    let corrected = (corrected.view(), image.objects.as_slice());
                    Ok(object_changes((mask.view(), &classes), corrected)?
                        .iter()
                        .collect())
                })
            })?;
            let tile = |image: &MaskCycleImage| {
                let corrected = read_instance_mask(&mask_path(folder, last, image.item))?;
                tile_of_masks(job, image, corrected.view())
            };
            (rows, tiles(&cycle(last)?, tile)?)
        }
    };
    Ok(Some(Corrections {
        network: part.name.clone(),
        rows,
        tiles,
    }))
}

fn rows(
    epochs: &[usize],
    counts: impl Fn(usize) -> Result<ChangeCounts>,
) -> Result<Vec<CorrectionRow>> {
    let row = |&epoch: &usize| {
        let counts = counts(epoch)?;
        Ok(CorrectionRow {
            epoch,
            kept: counts.kept,
            redrawn: counts.redrawn,
            dropped: counts.dropped,
            added: counts.added,
        })
    };
    epochs.iter().map(row).collect()
}

fn counts<I>(images: &[I], of: impl Fn(&I) -> Result<ChangeCounts>) -> Result<ChangeCounts> {
    images.iter().map(of).sum()
}

fn tiles<I>(images: &[I], tile: impl Fn(&I) -> Result<Tile>) -> Result<Vec<Tile>> {
    let images: Vec<&I> = images.iter().collect();
    let shown = evenly(&images, sheet::IMAGES).into_iter();
    shown.map(tile).collect()
}

/// An image that is learned from, by its name.
fn labelled<'a, R>(job: &'a Job<R>, image: &str) -> Result<(&'a ImageRecord, &'a Target)> {
    let labels = job.labels;
    let place = labels.images.iter().position(|record| record.id == image);
    let place = place.ok_or_else(|| Failure::other(format!("{image} is not learned from")))?;
    Ok((&labels.images[place], &labels.pieces[place].target))
}

fn given_boxes<'a, R>(job: &'a Job<R>, image: &str) -> Result<&'a [Object<Rectangle>]> {
    match labelled(job, image)? {
        (_, Target::Boxes(boxes)) => Ok(&boxes.objects),
        (record, _) => Err(about(record, "its labels are no boxes")),
    }
}

fn tile_of_boxes<R>(job: &Job<R>, image: &CycleImage) -> Result<Tile> {
    let given = given_boxes(job, &image.image)?;
    let corrected = &image.labels.objects;
    let words = format!("{} given, {} corrected", given.len(), corrected.len());
    let given = given.iter().map(|object| sheet::of_box(object.shape));
    let corrected = corrected.iter().map(|found| sheet::of_box(found.shape));
    let (record, _) = labelled(job, &image.image)?;
    let drawn = before_and_after(given.collect(), corrected.collect());
    sheet::tile(job.dataset, record, words, drawn)
}

fn tile_of_masks<R>(
    job: &Job<R>,
    image: &MaskCycleImage,
    corrected: ArrayView2<'_, u32>,
) -> Result<Tile> {
    let (mask, classes) = given_objects(job, image.item)?;
    let corrected = sheet::of_mask(corrected, |_| true)?;
    let words = format!("{} given, {} corrected", classes.len(), image.objects.len());
    let drawn = before_and_after(sheet::of_mask(mask.view(), |_| true)?, corrected);
    sheet::tile(job.dataset, job.image(image.item).record, words, drawn)
}

/// What is as it was given lies on top: what is seen of the corrected objects is new.
fn before_and_after(given: Vec<Polygon>, corrected: Vec<Polygon>) -> Vec<Outlines> {
    vec![
        Outlines {
            ink: Ink::Orange,
            polygons: corrected,
        },
        Outlines {
            ink: Ink::Sky,
            polygons: given,
        },
    ]
}

/// How well each network fitted the given labels before it gave them up, and the curve by which it decided to; `None`
/// where that decided nothing.
pub fn agreement_curves(
    family: Family,
    parts: &[Part],
    epochs: &[Vec<Epoch>],
) -> Option<LearningCurves> {
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
        quantity: format!(
            "{} against the given labels, as long as they were learned from",
            if family == Family::Boxes {
                "AP50"
            } else {
                "Dice"
            }
        ),
        lines,
    })
}
