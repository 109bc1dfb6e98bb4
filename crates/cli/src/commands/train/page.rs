//! Fills the page of a run of networks.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cleanslide_data::store::write_file;
use cleanslide_data::{Evidence, Family, Labels, Polygon, Target, UNLABELLED_CLASS};
use cleanslide_learn::experts::ExpertMethod;
use cleanslide_learn::training::Epoch;
use cleanslide_report::contact_sheet::Tile;
use cleanslide_report::learning_curves::LearningCurves;
use cleanslide_report::number::Estimate;
use cleanslide_report::page::Provenance;
use cleanslide_report::plots::Line;
use cleanslide_report::thumbnail::{Ink, Outlines};
use cleanslide_report::training::{BeliefRow, Beliefs, Corrections, TrainingReport, render};
use ndarray::ArrayView2;

use super::corrections::{agreement_curves, corrections};
use super::dual::selection_curves;
use super::experts::{believed_tiles, majority_of, publish_beliefs};
use super::networks::{self, Job, Part, SOURCE};
use crate::corrected_labels;
use crate::failure::{Failure, Result};
use crate::measures::Measure;
use crate::network_run::{NetworkManifest, NetworkRecipe};
use crate::output::{count, thousands};
use crate::page::estimate;
use crate::sheet::{self, evenly};

/// Fewer cases than this are called few.
const FEW: usize = 30;

/// A mean weight from which on an expert counts alone.
const COLLAPSED: f64 = 0.9;

/// Predicted boxes of lower scores are not drawn: they count in average precision, and hide the others.
const DRAWN: f32 = 0.5;

/// Corrected labels that have little to do with the given ones.
fn strayed(corrections: &Corrections) -> Option<String> {
    let last = corrections.rows.last()?;
    let given = last.kept + last.redrawn + last.dropped;
    let strays = last.added > given || 2 * last.dropped > given;
    strays.then(|| {
        format!(
            "Of {} that were given the network dropped {} in the end, and it added {}. Where most given labels are \
             right, these are worse: look at the pictures before you use them.",
            count(given, "object"),
            thousands(last.dropped),
            thousands(last.added)
        )
    })
}

/// A warning as it begins on a page.
fn sentence(warning: &str) -> String {
    format!("{}{}", warning[..1].to_uppercase(), &warning[1..])
}

/// What the page is of.
pub struct RunPage<'a, R> {
    /// What was trained, from what.
    pub job: &'a Job<'a, R>,
    /// The networks.
    pub parts: &'a [Part],
    /// What the run is made from.
    pub manifest: &'a NetworkManifest,
    /// Its recipe.
    pub config: &'a str,
    /// Which networks should have corrected labels and did not, and why.
    pub uncorrected: Option<&'a str>,
    /// Of predictions out of sample, where there are any.
    pub measured: Option<&'a [Measure]>,
    /// The folder of the run.
    pub run: &'a Path,
}

impl<R: NetworkRecipe> RunPage<'_, R> {
    /// Writes `report.html`.
    pub fn write(&self) -> Result<()> {
        let manifest = self.manifest;
        let network = networks::name(self.job.recipe);
        let name = self.run.file_name().unwrap_or_default().to_string_lossy();
        let measures = self.measured.unwrap_or_default().iter();
        let beliefs = self.beliefs()?;
        let corrections = corrections(self.job, self.parts, self.run)?;
        let report = TrainingReport {
            title: format!("{name}: {network}"),
            lead: format!(
                "{network} on {} of {}, labels of {} in {}.",
                count(manifest.images, "image"),
                count(manifest.cases, "case"),
                manifest.source,
                manifest.labels,
            ),
            warnings: self.warnings(beliefs.as_ref(), corrections.as_ref()),
            measures: measures
                .filter_map(|measure| {
                    let found = estimate(measure.estimate.as_ref()?);
                    Some((measure.name.clone(), found))
                })
                .collect(),
            protocol: if manifest.corrected {
                format!("across folds, against the labels of {}", manifest.source)
            } else {
                format!(
                    "out of sample, against the given labels of {}",
                    manifest.source
                )
            },
            legend: vec![(Ink::Sky, self.given()), (Ink::Orange, self.predicted())],
            tiles: match self.measured {
                Some(_) => self.tiles()?,
                None => Vec::new(),
            },
            beliefs,
            corrections,
            learning_curves: self.curves()?,
            recipe: self.config.to_owned(),
            provenance: Provenance {
                label_version: Some(manifest.labels.to_string()),
                seed: Some(manifest.seed),
                config_hash: Some(manifest.config_hash.clone()),
                command: Some(manifest.command.clone()),
                build: Some(manifest.program.clone()),
            },
        };
        Ok(write_file(
            &self.run.join("report.html"),
            render(&report).as_bytes(),
        )?)
    }

    /// How far experts are believed, where that was found out.
    fn beliefs(&self) -> Result<Option<Beliefs>> {
        let labels = self.job.labels;
        if labels.experts.is_empty() {
            return Ok(None);
        }
        let sums = publish_beliefs(labels, self.parts, self.run)?;
        if sums.is_empty() {
            return Ok(None);
        }
        let experts = labels.experts.iter().zip(&sums);
        Ok(Some(Beliefs {
            experts: experts
                .map(|(expert, of)| BeliefRow {
                    expert: expert.name.clone(),
                    believed: [
                        of.mean(),
                        of.mean_with_majority(),
                        of.mean_against_majority(),
                        of.share_against_majority(),
                    ],
                })
                .collect(),
            tiles: believed_tiles(self.job.dataset, labels, self.parts, self.run)?,
        }))
    }

    fn given(&self) -> String {
        let source = &self.manifest.source;
        if self.job.labels.experts.is_empty() {
            format!("given by {source}")
        } else {
            format!("given by the majority of {source}")
        }
    }

    fn predicted(&self) -> String {
        let scores = match self.job.labels.family {
            Family::Boxes => format!(", of scores from {DRAWN} on"),
            _ => String::new(),
        };
        format!("predicted by a network that did not see the case{scores}")
    }

    fn warnings(
        &self,
        beliefs: Option<&Beliefs>,
        corrections: Option<&Corrections>,
    ) -> Vec<String> {
        let mut all = Vec::new();
        all.extend(self.collapse(beliefs));
        all.extend(corrections.and_then(strayed));
        if let (Some(_), Some(warning)) = (corrections, networks::only_blurred(self.job)) {
            all.push(sentence(warning));
        }
        all.extend(self.uncorrected.map(sentence));
        if self.measured.is_some() && self.manifest.corrected {
            all.push(corrected_labels::warning(&self.manifest.source));
        }
        if self.measured.is_some() {
            all.push(format!(
                "Predictions are measured against the labels of {}, which may be wrong: the figures say how well \
                 the network agrees with them, not how often it is right.",
                self.manifest.source
            ));
        }
        if self.manifest.cases < FEW {
            all.push(format!(
                "Small sample: only {}; intervals that resample cases are rough.",
                count(self.manifest.cases, "case")
            ));
        }
        all
    }

    /// Learned weights that left one expert alone.
    fn collapse(&self, beliefs: Option<&Beliefs>) -> Option<String> {
        let method = &self.job.recipe.experts()?.method;
        let alone = beliefs?.experts.iter().find(|row| {
            let [everywhere, ..] = row.believed;
            everywhere.is_some_and(|weight| weight > COLLAPSED)
        })?;
        matches!(method, ExpertMethod::Reweight(_)).then(|| {
            format!(
                "Nearly all weight is on {}: the loss is least where the expert alone counts with whom the network \
                 agrees anyway, right or not. The others count through the majority only. A term against that is \
                 `entropy` in [experts.method]; another method may serve better.",
                alone.expert
            )
        })
    }

    /// Images with what is given and what is predicted.
    fn tiles(&self) -> Result<Vec<Tile>> {
        let labels = self.job.labels;
        let predictions = Labels::read(&self.run.join("predictions"), self.job.dataset.classes())?;
        let predicted = predictions.of_images(SOURCE, labels.family);
        let both: Vec<(usize, &Evidence)> = (0..labels.images.len())
            .filter_map(|image| {
                let id = labels.images[image].id.as_str();
                Some((image, *predicted.get(id)?))
            })
            .collect();
        evenly(&both, sheet::IMAGES)
            .into_iter()
            .map(|(image, predicted)| self.tile(image, predicted))
            .collect()
    }

    fn tile(&self, image: usize, predicted: &Evidence) -> Result<Tile> {
        let labels = self.job.labels;
        let given = if labels.experts.is_empty() {
            outlines(&labels.pieces[image].target, 0.0)?
        } else {
            of_classes(majority_of(self.job.dataset, labels, image)?.view())?
        };
        let predicted = outlines(&predicted.target, DRAWN)?;
        let words = match labels.family {
            Family::Mask => "borders given and predicted".to_owned(),
            _ => format!("{} given, {} predicted", given.len(), predicted.len()),
        };
        let drawn = [(Ink::Sky, given), (Ink::Orange, predicted)]
            .map(|(ink, polygons)| Outlines { ink, polygons });
        sheet::tile(self.job.dataset, &labels.images[image], words, drawn.into())
    }

    /// Whose labels measured progress.
    fn validated_by(&self) -> &'static str {
        if self.job.recipe.corrects_labels() && self.job.other.is_some() {
            "labels of the other data"
        } else {
            "given labels"
        }
    }

    fn curves(&self) -> Result<Vec<LearningCurves>> {
        let parts: Vec<Vec<Epoch>> = self
            .parts
            .iter()
            .map(|part| epochs(&self.run.join(&part.name).join("metrics.jsonl")))
            .collect::<Result<_>>()?;
        let lines = |value: fn(&Epoch) -> Option<f64>| -> Vec<Line> {
            let parts = self.parts.iter().zip(&parts);
            let line = |(part, epochs): (&Part, &Vec<Epoch>)| Line {
                name: part.name.clone(),
                points: epochs
                    .iter()
                    .filter_map(|epoch| {
                        let value = Estimate::without_interval(value(epoch)?);
                        Some((epoch.epoch as f64, value))
                    })
                    .collect(),
            };
            parts.map(line).collect()
        };
        let validations = lines(|epoch| epoch.validation);
        let measure = match self.job.labels.family {
            Family::Boxes => "AP50",
            _ => "Dice",
        };
        let mut curves = vec![LearningCurves {
            title: "Loss".into(),
            quantity: "mean loss of an epoch".into(),
            lines: lines(|epoch| Some(epoch.loss)),
        }];
        if validations.iter().any(|line| !line.points.is_empty()) {
            curves.push(LearningCurves {
                title: "Validation".into(),
                quantity: format!("{measure}, {}", self.validated_by()),
                lines: validations,
            });
        }
        curves.extend(agreement_curves(self.job.labels.family, self.parts, &parts));
        if self.job.labels.experts.is_empty() {
            curves.extend(selection_curves(&parts));
        } else {
            curves.extend(belief_curves(&parts));
        }
        Ok(curves)
    }
}

/// How far each expert was believed when, the mean of all networks; `None` where nothing was noted.
fn belief_curves(parts: &[Vec<Epoch>]) -> Option<LearningCurves> {
    let noted = parts.iter().flatten().flat_map(|epoch| epoch.notes.keys());
    let names: BTreeSet<&String> = noted.collect();
    (!names.is_empty()).then(|| LearningCurves {
        title: "When each expert was believed".into(),
        quantity: "mean over the pixels that the expert labelled".into(),
        lines: names
            .into_iter()
            .map(|name| Line {
                name: name.clone(),
                points: mean_notes(parts, name),
            })
            .collect(),
    })
}

/// The mean of the notes of a name over the parts, epoch by epoch.
pub fn mean_notes(parts: &[Vec<Epoch>], name: &str) -> Vec<(f64, Estimate)> {
    let most = parts.iter().map(Vec::len).max().unwrap_or(0);
    let at = |epoch: usize| {
        let noted = parts
            .iter()
            .filter_map(|epochs| epochs.get(epoch)?.notes.get(name));
        let noted: Vec<f64> = noted.copied().collect();
        let mean = noted.iter().sum::<f64>() / noted.len() as f64;
        (!noted.is_empty()).then(|| (epoch as f64 + 1.0, Estimate::without_interval(mean)))
    };
    (0..most).filter_map(at).collect()
}

fn epochs(path: &Path) -> Result<Vec<Epoch>> {
    let text = fs::read_to_string(path)
        .map_err(|error| cleanslide_data::Error::io("read", path, error))?;
    text.lines()
        .map(|line| {
            serde_json::from_str(line)
                .map_err(|error| Failure::input(format!("{}: {error}", path.display())))
        })
        .collect()
}

/// Boxes that are trusted so far at least, or the borders of objects or of all classes but the first.
pub fn outlines(target: &Target, trust: f32) -> Result<Vec<Polygon>> {
    match target {
        Target::Boxes(boxes) => {
            let boxes = boxes.objects.iter();
            let drawn = boxes.filter(|object| object.trust.value() >= trust);
            Ok(drawn.map(|object| sheet::of_box(object.shape)).collect())
        }
        Target::Instances { mask: file, .. } => {
            sheet::of_mask(file.read_instances()?.view(), |_| true)
        }
        Target::Dense(file) | Target::Partial(file) => of_classes(file.read_classes()?.view()),
        _ => Ok(Vec::new()),
    }
}

/// The borders of all classes but the first.
fn of_classes(mask: ArrayView2<'_, u8>) -> Result<Vec<Polygon>> {
    let regions = mask.mapv(|class| match class {
        UNLABELLED_CLASS => 0,
        class => u32::from(class),
    });
    sheet::of_mask(regions.view(), |_| true)
}

#[cfg(test)]
mod tests {
    use cleanslide_report::training::CorrectionRow;

    use super::*;

    #[test]
    fn labels_that_stray_from_the_given_ones_are_told() {
        let told = |kept, added, dropped| {
            let row = CorrectionRow {
                epoch: 9,
                kept,
                redrawn: 10,
                dropped,
                added,
            };
            strayed(&Corrections {
                rows: vec![CorrectionRow::default(), row],
                ..Corrections::default()
            })
        };
        assert_eq!(told(60, 100, 30), None);
        assert_eq!(told(40, 0, 50), None);
        assert!(told(60, 101, 30).is_some_and(|text| text.contains("it added 101")));
        assert!(told(39, 0, 51).is_some_and(|text| text.contains("dropped 51")));
        assert_eq!(strayed(&Corrections::default()), None);
    }
}
