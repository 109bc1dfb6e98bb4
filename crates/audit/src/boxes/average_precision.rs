//! Average precision of predictions against given labels, as ObjectLab uses it for its limits.

use rayon::prelude::*;

use super::BoxImage;

/// IoU thresholds from 0.5 to 0.95.
const THRESHOLDS: usize = 10;

/// Per class, the mean AP over the thresholds.
pub(super) fn per_class(images: &[BoxImage<'_>], classes: usize) -> Vec<f64> {
    (0..classes)
        .into_par_iter()
        .map(|class| {
            let found = Found::of(images, class);
            let sum: f64 = (0..THRESHOLDS).map(|step| found.at(threshold(step))).sum();
            sum / THRESHOLDS as f64
        })
        .collect()
}

/// Equal steps as NumPy's `linspace` makes them, because an IoU may be exactly one of them.
fn threshold(step: usize) -> f64 {
    let last = THRESHOLDS - 1;
    if step == last {
        0.95
    } else {
        0.5 + step as f64 * ((0.95 - 0.5) / last as f64)
    }
}

/// The predictions of one class, the surest first.
struct Found {
    /// The label that a prediction overlaps most, numbered through all images, and the IoU.
    best: Vec<Option<(usize, f64)>>,
    labels: usize,
}

impl Found {
    fn of(images: &[BoxImage<'_>], class: usize) -> Self {
        let mut predictions = Vec::new();
        let mut labels = 0;
        for image in images {
            let given: Vec<_> = image
                .labels
                .objects
                .iter()
                .filter(|label| label.class == class)
                .collect();
            for detection in image.predictions.iter().filter(|d| d.class == class) {
                let overlaps = given.iter().enumerate().map(|(label, object)| {
                    (labels + label, detection.rectangle.iou(&object.shape))
                });
                let best = overlaps.reduce(|best, next| if next.1 > best.1 { next } else { best });
                predictions.push((detection.score, best));
            }
            labels += given.len();
        }
        // Stable: of equally sure ones, the first comes first.
        predictions.sort_by(|a, b| b.0.total_cmp(&a.0));
        Self {
            best: predictions.into_iter().map(|(_, best)| best).collect(),
            labels,
        }
    }

    /// The area under the curve of precision over recall, made monotone from the right.
    fn at(&self, threshold: f64) -> f64 {
        let mut taken = vec![false; self.labels];
        let mut hits = 0usize;
        let mut curve = Vec::with_capacity(self.best.len());
        for (rank, best) in self.best.iter().enumerate() {
            if let &Some((label, iou)) = best
                && iou >= threshold
                && !taken[label]
            {
                taken[label] = true;
                hits += 1;
            }
            curve.push((hits, hits as f64 / (rank + 1) as f64));
        }
        let mut area = 0.0;
        let mut highest = 0.0f64;
        let mut above = hits;
        for &(hits, precision) in curve.iter().rev() {
            area += (above - hits) as f64 * highest;
            above = hits;
            highest = highest.max(precision);
        }
        area += above as f64 * highest;
        area / self.labels.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_counts_once_and_late_hits_count_less() {
        let found = Found {
            best: vec![Some((0, 0.8)), Some((0, 0.9)), None, Some((1, 0.5))],
            labels: 2,
        };
        assert_eq!(found.at(0.5), 0.5 * 1.0 + 0.5 * 0.5);
        assert_eq!(found.at(0.6), 0.5);
        // At 0.85 the first prediction misses, and the second finds its label.
        assert_eq!(found.at(0.85), 0.25);
        let none = Found {
            best: vec![None],
            labels: 0,
        };
        assert_eq!(none.at(0.5), 0.0);
    }

    #[test]
    fn steps_are_those_of_linspace() {
        assert_eq!(threshold(0), 0.5);
        assert_eq!(threshold(2), 0.6);
        assert_eq!(threshold(9), 0.95);
    }
}
