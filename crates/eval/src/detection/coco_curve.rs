//! The findings of one class in all images, ranked by score, and their precision and recall.

use super::coco::Selected;
use super::coco_match::{ClassMatches, Outcome, descending};
use crate::weights::Weights;

/// Recall levels at which the precision is read: numpy's `linspace(0, 1, 101)`.
const LEVELS: usize = 101;

/// A finding in the ranking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Finding {
    pub(crate) image: u32,
    /// How many findings of its class and image come before it.
    pub(crate) rank: u32,
    pub(crate) score: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ClassRanking {
    /// From the highest score down.
    findings: Vec<Finding>,
    /// `[range of sizes, IoU threshold, finding]`.
    outcomes: Vec<Outcome>,
    ious: usize,
    /// Of each range of sizes, the images with required objects and how many these are.
    pub(crate) required: Vec<Vec<(u32, u32)>>,
}

impl ClassRanking {
    /// Ranks the findings of one class; images ascend.
    pub(crate) fn new(images: &[(usize, &ClassMatches)], areas: usize, ious: usize) -> Self {
        let number = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        // Of each finding its image's matches and its place there.
        let mut ranked: Vec<(Finding, &ClassMatches)> = images
            .iter()
            .flat_map(|&(image, matches)| {
                let findings = matches.scores.iter().enumerate();
                findings.map(move |(rank, &score)| {
                    let finding = Finding {
                        image: number(image),
                        rank: number(rank),
                        score,
                    };
                    (finding, matches)
                })
            })
            .collect();
        ranked.sort_by(|a, b| descending(a.0.score, b.0.score));
        let mut outcomes = Vec::with_capacity(areas * ious * ranked.len());
        for setting in 0..areas * ious {
            outcomes.extend(ranked.iter().map(|(finding, matches)| {
                matches.outcomes[setting * matches.scores.len() + finding.rank as usize]
            }));
        }
        let required_in = |area: usize| {
            images
                .iter()
                .map(|&(image, matches)| (number(image), matches.required[area]))
                .filter(|&(_, required)| required > 0)
                .collect()
        };
        ClassRanking {
            findings: ranked.into_iter().map(|(finding, _)| finding).collect(),
            outcomes,
            ious,
            required: (0..areas).map(required_in).collect(),
        }
    }

    /// Calls `visit` with every finding that counts, from the highest score down.
    pub(crate) fn each(
        &self,
        selected: &Selected,
        iou: usize,
        mut visit: impl FnMut(Finding, Outcome),
    ) {
        let start = (selected.area * self.ious + iou) * self.findings.len();
        for (&finding, &outcome) in self.findings.iter().zip(&self.outcomes[start..]) {
            if finding.rank < selected.limit {
                visit(finding, outcome);
            }
        }
    }

    /// Mean over the IoU thresholds; `None` without required objects.
    pub(crate) fn precision_and_recall(
        &self,
        selected: &Selected,
        weights: Weights<'_>,
    ) -> Option<(f64, f64)> {
        let required: f64 = self.required[selected.area]
            .iter()
            .map(|&(image, required)| weights.of(image as usize) * f64::from(required))
            .sum();
        if required <= 0.0 {
            return None;
        }
        let mut curve = Curve::new(required, weights);
        let mut sum = (0.0, 0.0);
        for iou in selected.ious.clone() {
            curve.restart();
            self.each(selected, iou, |finding, outcome| {
                curve.step(outcome, weights.of(finding.image as usize));
            });
            sum = (sum.0 + curve.precision(), sum.1 + curve.recall());
        }
        let count = selected.ious.len() as f64;
        Some((sum.0 / count, sum.1 / count))
    }

    /// The same of each image by itself.
    pub(crate) fn per_image(&self, selected: &Selected, images: usize) -> Vec<Option<(f64, f64)>> {
        // The findings of one image after another, in the order of the ranking.
        let mut order: Vec<usize> = (0..self.findings.len())
            .filter(|&place| self.findings[place].rank < selected.limit)
            .collect();
        order.sort_by_key(|&place| self.findings[place].image);
        let mut results = vec![None; images];
        let mut from = 0;
        for &(image, required) in &self.required[selected.area] {
            from += order[from..].partition_point(|&place| self.findings[place].image < image);
            let until =
                from + order[from..].partition_point(|&place| self.findings[place].image == image);
            let mut curve = Curve::new(f64::from(required), Weights::Equal);
            let mut sum = (0.0, 0.0);
            for iou in selected.ious.clone() {
                let start = (selected.area * self.ious + iou) * self.findings.len();
                curve.restart();
                for &place in &order[from..until] {
                    curve.step(self.outcomes[start + place], 1.0);
                }
                sum = (sum.0 + curve.precision(), sum.1 + curve.recall());
            }
            let count = selected.ious.len() as f64;
            results[image as usize] = Some((sum.0 / count, sum.1 / count));
            from = until;
        }
        results
    }
}

/// Precision over recall, kept at the hits: between them recall stands still and precision falls.
struct Curve {
    required: f64,
    hits: f64,
    false_alarms: f64,
    /// Recall and precision after each hit.
    points: Vec<(f64, f64)>,
    /// By how much rounding may lower a recall.
    slack: f64,
}

impl Curve {
    fn new(required: f64, weights: Weights<'_>) -> Self {
        Curve {
            required,
            hits: 0.0,
            false_alarms: 0.0,
            points: Vec::new(),
            // Sums of whole numbers are exact, sums of real weights depend on their order.
            slack: match weights {
                Weights::Real(_) => 1e-12,
                Weights::Equal | Weights::Counts(_) => 0.0,
            },
        }
    }

    fn restart(&mut self) {
        self.hits = 0.0;
        self.false_alarms = 0.0;
        self.points.clear();
    }

    #[inline]
    fn step(&mut self, outcome: Outcome, weight: f64) {
        match outcome {
            Outcome::Hit if weight > 0.0 => {
                self.hits += weight;
                let precision = self.hits / (self.hits + self.false_alarms);
                self.points.push((self.hits / self.required, precision));
            }
            Outcome::FalseAlarm => self.false_alarms += weight,
            Outcome::Hit | Outcome::Ignored => {}
        }
    }

    /// Mean over the recall levels of the highest precision at that recall or beyond.
    fn precision(&self) -> f64 {
        let mut level = LEVELS;
        let (mut sum, mut highest) = (0.0, 0.0);
        for (place, &(_, precision)) in self.points.iter().enumerate().rev() {
            highest = precision.max(highest);
            // The levels that this point reaches and the one before does not.
            let before = match place.checked_sub(1) {
                Some(before) => self.points[before].0 + self.slack,
                None => f64::NEG_INFINITY,
            };
            let here = self.points[place].0 + self.slack;
            while level > 0 && level_of(level - 1) > here {
                level -= 1;
            }
            while level > 0 && level_of(level - 1) > before {
                level -= 1;
                sum += highest;
            }
        }
        sum / LEVELS as f64
    }

    fn recall(&self) -> f64 {
        self.points.last().map_or(0.0, |point| point.0)
    }
}

fn level_of(place: usize) -> f64 {
    // The last is exact in numpy, and so it is here: 100 · 0.01 rounds to 1.
    place as f64 * 0.01
}
