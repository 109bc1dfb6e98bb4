//! How images lie in the embedding: a map of them, and how often neighbours have the same label.

use cleanslide_audit::issues::Reason;
use cleanslide_audit::tsne::Tsne;
use cleanslide_audit::{Metric, nearest_neighbours};
use cleanslide_data::Dataset;
use cleanslide_eval::{Bootstrap, Error, Estimate, Groups, Undefined, Weights};
use cleanslide_learn::directions::directions;
use cleanslide_learn::label_audit::LabelAudit;
use cleanslide_learn::study::Study;
use cleanslide_report::classification::{ClassPurity, EmbeddingMap};
use cleanslide_report::plots::Mark;
use ndarray::{Array2, Axis};

use crate::failure::Result;
use crate::page;

/// More images are not drawn.
const MOST: usize = 1500;

/// Fewer have no neighbourhoods.
const FEWEST: usize = 50;

/// Neighbours that are found, and how many of other cases are asked.
const FOUND: usize = 100;
const ASKED: usize = 20;

/// The map of a study's images, at most 1,500 of them, evenly chosen; `None` of too few, or where one has no direction.
pub fn embedding_map(
    dataset: &Dataset,
    study: &Study,
    audit: &LabelAudit,
    encoder: &str,
    seed: u64,
) -> Result<Option<EmbeddingMap>> {
    let every = study.len().div_ceil(MOST).max(1);
    let items: Vec<usize> = (0..study.len()).step_by(every).collect();
    if items.len() < FEWEST {
        return Ok(None);
    }
    let Some(directions) = directions(study.features().select(Axis(0), &items).view()) else {
        return Ok(None);
    };
    let places = Tsne::default().map(directions.view())?;
    let mut flagged = vec![false; study.len()];
    for issue in &audit.issues {
        flagged[issue.item] = issue.reasons.contains(&Reason::ConfidentLearning);
    }
    let mark = |(row, &item): (usize, &usize)| {
        let image = &dataset.images()[study.images[item]];
        Mark {
            place: (places[[row, 0]], places[[row, 1]]),
            series: study.given[item],
            ring: flagged[item],
            name: format!("{}, {}", image.id, study.classes[study.given[item]]),
        }
    };
    Ok(Some(EmbeddingMap {
        encoder: encoder.to_owned(),
        of: study.len(),
        classes: study.classes.clone(),
        marks: items.iter().enumerate().map(mark).collect(),
        neighbours: ASKED,
        purity: purity(study, &items, &directions, seed)?,
    }))
}

/// For each class with images, the share of the neighbours from other cases that have the same given label.
fn purity(
    study: &Study,
    items: &[usize],
    directions: &Array2<f32>,
    seed: u64,
) -> Result<Vec<ClassPurity>> {
    let found = FOUND.min(items.len() - 1);
    let near = nearest_neighbours(directions.view(), found, Metric::Cosine)?;
    let given: Vec<usize> = items.iter().map(|&item| study.given[item]).collect();
    let cases: Vec<usize> = items.iter().map(|&item| study.cases[item]).collect();
    let same = |row: usize| {
        let others: Vec<usize> = near.of_other_groups(row, &cases, ASKED).collect();
        let same = others.iter().filter(|&&other| given[other] == given[row]);
        same.count() as f64 / others.len() as f64
    };
    let shares: Vec<f64> = (0..items.len()).map(same).collect();
    let groups = Groups::new(&cases)?;
    let bootstrap = Bootstrap {
        seed,
        ..Bootstrap::default()
    };
    let mut purity = Vec::new();
    for (class, name) in study.classes.iter().enumerate() {
        let of_class = |row: usize| given[row] == class && shares[row].is_finite();
        let rows: Vec<usize> = (0..items.len()).filter(|&row| of_class(row)).collect();
        let mean = |weights: Weights<'_>| {
            let weight = |row: usize| match weights {
                Weights::Equal => 1.0,
                Weights::Counts(counts) => f64::from(counts[row]),
                Weights::Real(weights) => weights[row],
            };
            let total: f64 = rows.iter().map(|&row| weight(row)).sum();
            if total == 0.0 {
                return Err(Error::Undefined(Undefined::NoItems));
            }
            let sum: f64 = rows.iter().map(|&row| weight(row) * shares[row]).sum();
            Ok(sum / total)
        };
        let share: Estimate = match bootstrap.estimate(&groups, mean) {
            Ok(share) => share,
            Err(Error::Undefined(_) | Error::TooManyUndefined { .. } | Error::OneGroup { .. }) => {
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        purity.push(ClassPurity {
            class: name.clone(),
            images: rows.len(),
            share: page::estimate(&share),
            by_chance: rows.len() as f64 / items.len() as f64,
        });
    }
    Ok(purity)
}
