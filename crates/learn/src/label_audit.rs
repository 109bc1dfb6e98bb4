//! The audit of a dataset's class labels: all checks of the audit crate on one study.

use cleanslide_audit::confident_learning::{
    ConfidentLearning, FilterOptions, LabelHealth, NoiseEstimate,
};
use cleanslide_audit::duplicates::{self, DuplicateContext, DuplicateSet};
use cleanslide_audit::hoc::{Consensus, HocOptions, Transition};
use cleanslide_audit::issues::{Findings, Issue, join};
use cleanslide_audit::neighbour_reliability::{NeighbourReliability, label_agreement};
use cleanslide_audit::outliers::{self, DistanceOutliers};
use cleanslide_audit::{ArrayBlocks, AuditError, Metric, nearest_neighbours};
use ndarray::{Array2, ArrayView2};

use crate::directions::alike;

/// Rows of probabilities that are looked at together.
const BLOCK_ROWS: usize = 4096;

/// Neighbours that are asked for agreement; more are found for WANN and for duplicates.
const AGREEING_NEIGHBOURS: usize = 10;

/// Neighbours that WANN may need.
const NEIGHBOURS: usize = 50;

/// Below this many neighbours WANN has no neighbourhood.
const FEWEST_FOR_RELIABILITY: usize = 11;

/// What is known about the items whose labels are audited.
pub struct Audited<'a> {
    /// The given class of each item.
    pub given: &'a [usize],
    /// Number of classes.
    pub classes: usize,
    /// Out-of-sample probabilities, `[items, classes]`: by models that did not see the label.
    pub probabilities: ArrayView2<'a, f32>,
    /// Embeddings, `[items, features]`.
    pub features: ArrayView2<'a, f32>,
    /// Hash of each item's content.
    pub hashes: &'a [String],
    /// The independent case of each item.
    pub cases: &'a [usize],
}

/// What the audit found.
#[derive(Debug, Clone)]
pub struct LabelAudit {
    /// Every item, the most suspicious first.
    pub issues: Vec<Issue>,
    /// Noise by confident learning: prior, P(given | true), P(true | given).
    pub noise: NoiseEstimate,
    /// The share of wrong labels by confident learning.
    pub noise_rate: f64,
    /// The joint distribution of given and true class, `[given, true]`.
    pub joint: Array2<f64>,
    /// Noise by the consensus of neighbours (HOC); `None` for fewer than three items.
    pub neighbour_noise: Option<Transition>,
    /// Health of each class.
    pub health: LabelHealth,
    /// Sets of identical files.
    pub exact_duplicates: Vec<DuplicateSet>,
    /// Sets of nearly identical images.
    pub near_duplicates: Vec<DuplicateSet>,
    /// Number of images unlike all others.
    pub outliers: usize,
}

/// Runs all checks.
///
/// Checks that need neighbours are left out where there are too few items for them.
///
/// # Errors
/// Fewer than two classes among the labels, features that are not finite, or lengths that differ.
pub fn audit_labels(
    audited: &Audited<'_>,
    filter: FilterOptions,
) -> Result<LabelAudit, AuditError> {
    let blocks = ArrayBlocks::new(audited.probabilities, BLOCK_ROWS);
    let learning = ConfidentLearning::new(audited.given, &blocks)?;
    let flags = learning.issues(&filter)?;

    let labels: Vec<Option<usize>> = audited.given.iter().copied().map(Some).collect();
    let context = DuplicateContext {
        labels: Some(&labels),
        groups: Some(audited.cases),
    };
    let exact_duplicates = duplicates::exact_duplicates(audited.hashes, &context)?;

    let count = NEIGHBOURS.min(audited.given.len().saturating_sub(1));
    let (mut agreement, mut reliability, mut neighbour_noise) = (None, None, None);
    let (mut near_duplicates, mut outlier_flags) = (Vec::new(), None);
    if count > 0 {
        // What labels are asked of are images that are alike in all that is seen of them; duplicates and outliers are so as they
        // are.
        let alike = alike(audited.features, count)?;
        let near = cleanslide_audit::Neighbours {
            indices: first_columns(&alike.indices, AGREEING_NEIGHBOURS),
            distances: first_columns(&alike.distances, AGREEING_NEIGHBOURS),
        };
        agreement = Some(label_agreement(&near, audited.given, audited.classes)?);
        if count >= FEWEST_FOR_RELIABILITY {
            reliability = Some(NeighbourReliability::new(
                &alike,
                audited.given,
                audited.classes,
            )?);
        }
        if count >= 2 {
            let consensus = Consensus::count(&alike, audited.given, audited.classes)?;
            neighbour_noise = Some(consensus.solve(&HocOptions::default())?);
        }
        let nearest = nearest_neighbours(
            audited.features,
            count.min(AGREEING_NEIGHBOURS),
            Metric::Cosine,
        )?;
        near_duplicates =
            duplicates::near_duplicates(&nearest, duplicates::DEFAULT_THRESHOLD, &context)?.sets;
        let distances = DistanceOutliers::new(&nearest, Metric::Cosine, 1.0)?;
        outlier_flags = Some(distances.flags(outliers::DEFAULT_THRESHOLD)?);
    }
    let duplicate_sets: Vec<DuplicateSet> = exact_duplicates
        .iter()
        .chain(&near_duplicates)
        .cloned()
        .collect();
    let issues = join(
        audited.given,
        audited.classes,
        &Findings {
            confident_learning: Some((&blocks, &flags)),
            neighbours: agreement.as_ref(),
            reliability: reliability.as_ref(),
            duplicates: &duplicate_sets,
            outliers: outlier_flags.as_deref(),
        },
    )?;
    Ok(LabelAudit {
        issues,
        noise: learning.noise_estimate(true),
        noise_rate: learning.noise_rate(),
        joint: learning.joint(),
        neighbour_noise,
        health: learning.health(),
        exact_duplicates,
        near_duplicates,
        outliers: outlier_flags.map_or(0, |flags| flags.iter().filter(|&&flag| flag).count()),
    })
}

fn first_columns<T: Copy>(table: &Array2<T>, columns: usize) -> Array2<T> {
    table
        .slice(ndarray::s![.., ..columns.min(table.ncols())])
        .to_owned()
}
