//! What fusing boxes and fusing instance masks have in common.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cleanslide_data::{Dataset, Evidence, Family, ImageRecord, Labels, TryMap};
use cleanslide_eval::matching::MatchCounts;
use rayon::prelude::*;
use serde::Serialize;

use crate::experts::{Experts, words};
use crate::failure::{Failure, Result};
use crate::output::{Show, count, percent, thousands};
use crate::progress;
use crate::text_table::TextTable;

/// An expert's object and one of the consensus are one in the summary if they overlap by this
/// (intersection over union), one to one.
pub const MATCH: f64 = 0.5;

/// What an image's experts became.
pub struct OneImage {
    /// The consensus.
    pub evidence: Evidence,
    /// How many objects it has.
    pub objects: usize,
    /// Whether it says that there are no other objects.
    pub complete: bool,
    /// The consensus as the truth of each expert; `None` for those who did not see the image.
    pub matches: Vec<Option<MatchCounts>>,
}

/// What was fused.
pub struct Fused {
    /// The consensus of each image that enough experts labelled.
    pub evidence: Vec<Evidence>,
    /// What to show.
    pub summary: Summary,
}

/// The result for people and machines.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The dataset.
    pub dataset: PathBuf,
    /// The new version.
    pub labels: String,
    source: String,
    family: &'static str,
    minimum_experts: usize,
    images: usize,
    objects: usize,
    /// Images that fewer experts labelled than an object needs; they stay unlabelled.
    images_with_too_few_experts: usize,
    /// Images that nobody labelled.
    unlabelled_images: usize,
    /// Images on which the consensus also says that there are no other objects.
    complete_images: usize,
    experts: Vec<ExpertLine>,
}

#[derive(Debug, Serialize)]
struct ExpertLine {
    expert: String,
    images: usize,
    objects: usize,
    /// Objects that are in the consensus too.
    matched: usize,
    /// Share of the expert's objects that are in the consensus; `None` without objects.
    precision: Option<f64>,
    /// Share of the consensus on their images that the expert has; `None` if it is empty.
    recall: Option<f64>,
}

/// What was asked for.
pub struct Request<'a> {
    /// The dataset.
    pub dataset: &'a Dataset,
    /// The labels of all.
    pub labels: &'a Labels,
    /// Whose are fused, and of what kind they are.
    pub experts: &'a Experts,
    /// How many experts an object needs.
    pub minimum_experts: usize,
    /// The name of the consensus.
    pub source: &'a str,
}

impl Request<'_> {
    /// Fuses image by image: `one` gets the image, its number and what each expert said.
    pub fn fuse(
        &self,
        one: impl Fn(&ImageRecord, usize, &[Option<&Evidence>]) -> Result<OneImage> + Sync,
    ) -> Result<Fused> {
        let Experts { names, family } = self.experts;
        let said: Vec<BTreeMap<&str, &Evidence>> = names
            .iter()
            .map(|name| self.labels.of_images(name, *family))
            .collect();
        let images = self.dataset.images();
        let views: Vec<(usize, Vec<Option<&Evidence>>)> = images
            .iter()
            .enumerate()
            .map(|(number, image)| {
                let said = said.iter().map(|said| said.get(image.id.as_str()).copied());
                (number, said.collect::<Vec<_>>())
            })
            .filter(|(_, views)| views.iter().any(Option::is_some))
            .collect();
        let labelled = views.len();
        let enough: Vec<_> = views
            .into_iter()
            .filter(|(_, views)| views.iter().flatten().count() >= self.minimum_experts)
            .collect();
        if enough.is_empty() {
            return Err(Failure::input(format!(
                "no image has {} of {} of these experts: {}",
                words(*family),
                self.minimum_experts,
                names.join(", ")
            ))
            .help("`cleanslide status` shows who labelled how many images."));
        }
        let bar = progress::bar(&format!("fusing {}", words(*family)), enough.len());
        let fused: Vec<OneImage> = enough.par_iter().try_map(|(number, views)| {
            let image = &images[*number];
            let fused = one(image, *number, views)
                .map_err(|failure| failure.about(&format!("image {}", image.id)));
            bar.inc(1);
            fused
        })?;
        bar.finish_and_clear();
        let summary = Summary {
            dataset: self.dataset.folder().to_owned(),
            labels: String::new(),
            source: self.source.to_owned(),
            family: family.name(),
            minimum_experts: self.minimum_experts,
            images: fused.len(),
            objects: fused.iter().map(|one| one.objects).sum(),
            images_with_too_few_experts: labelled - fused.len(),
            unlabelled_images: images.len() - labelled,
            complete_images: fused.iter().filter(|one| one.complete).count(),
            experts: names
                .iter()
                .enumerate()
                .map(|(expert, name)| expert_line(name, expert, &fused))
                .collect(),
        };
        Ok(Fused {
            evidence: fused.into_iter().map(|one| one.evidence).collect(),
            summary,
        })
    }
}

fn expert_line(name: &str, expert: usize, fused: &[OneImage]) -> ExpertLine {
    let seen = || fused.iter().filter_map(|one| one.matches[expert]);
    let sum = |part: fn(&MatchCounts) -> f64| -> f64 { seen().map(|counts| part(&counts)).sum() };
    let matched = sum(|counts| counts.true_positives);
    let objects = matched + sum(|counts| counts.false_positives);
    let of_consensus = matched + sum(|counts| counts.false_negatives);
    let share = |whole: f64| (whole > 0.0).then(|| matched / whole);
    ExpertLine {
        expert: name.to_owned(),
        images: seen().count(),
        objects: objects as usize,
        matched: matched as usize,
        precision: share(objects),
        recall: share(of_consensus),
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut lines = vec![format!(
            "{}: consensus `{}` of {} on {} as {}",
            self.dataset.display(),
            self.source,
            count(
                self.objects,
                if self.family == Family::Boxes.name() {
                    "box"
                } else {
                    "object"
                }
            ),
            count(self.images, "image"),
            self.labels,
        )];
        if self.images_with_too_few_experts > 0 {
            lines.push(format!(
                "{} with fewer than {} left unlabelled",
                count(self.images_with_too_few_experts, "image"),
                count(self.minimum_experts, "expert"),
            ));
        }
        if self.unlabelled_images > 0 {
            lines.push(format!(
                "{} nobody labelled",
                count(self.unlabelled_images, "image")
            ));
        }
        let open = self.images - self.complete_images;
        if open > 0 {
            lines.push(format!(
                "on {} there may be more: nobody says that all were marked, or half of those who \
                 looked drew one that was dropped",
                count(open, "image")
            ));
        }
        let mut table = TextTable::new(&[
            "expert",
            "images",
            "objects",
            "in consensus",
            "precision",
            "recall",
        ]);
        for line in &self.experts {
            let share = |share: Option<f64>| share.map_or_else(|| "–".into(), percent);
            table.row([
                line.expert.clone(),
                thousands(line.images),
                thousands(line.objects),
                thousands(line.matched),
                share(line.precision),
                share(line.recall),
            ]);
        }
        lines.push(table.text());
        lines.push(format!(
            "precision and recall: against the consensus, one to one at IoU {MATCH}"
        ));
        lines.join("\n")
    }
}
