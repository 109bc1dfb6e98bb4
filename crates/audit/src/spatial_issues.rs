//! The findings in pixels, boxes and instances as one kind of table, the most suspicious first, and as
//! outlines that can be looked at on the image.
//!
//! Suspicion is between 0 and 1, and high is bad:
//!
//! * **pixels** of an image: the share of its labelled pixels that are issues;
//! * **boxes**: 1 − the score of [`boxes`](crate::boxes);
//! * **instances**: the highest suspicion of [`instances`](crate::instances), one row per label.
//!
//! What is not suspicious at all has no row. Rows are *flagged* if they are issues by the rule of
//! their method: any issue among the pixels, ObjectLab's limit for boxes, and a suspicion of at least
//! ½ for instances.

use cleanslide_data::mask::UNLABELLED_OBJECT;
use cleanslide_data::{Polygon, Rectangle};
use cleanslide_image::contour::outlines;
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::AuditError;
use crate::boxes::{BoxAudit, BoxImage, BoxScore};
use crate::instances::{
    InstanceAudit, InstanceDefect, InstanceFinding, InstanceImage, MissedObject, predicted_mask,
};
use crate::pixels::PixelIssues;

/// From this suspicion on, instances are flagged.
const FLAGGED: f64 = 0.5;

/// What is probably wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SpatialKind {
    /// Pixels of an image have the wrong class.
    Pixels,
    /// A box is missing.
    Overlooked,
    /// A box lies elsewhere.
    BadlyLocated,
    /// A box has the wrong class.
    Swapped,
    /// There is nothing where an object is labelled.
    False,
    /// Several objects are labelled as one.
    Merged,
    /// One object is labelled as several.
    Split,
    /// A labelled object has the wrong class.
    WrongClass,
    /// The border of a labelled object lies elsewhere.
    BadBorder,
    /// An object is not labelled.
    Missed,
}

impl SpatialKind {
    /// Its name, which is the class of its outlines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pixels => "wrong pixels",
            Self::Overlooked => "overlooked box",
            Self::BadlyLocated => "badly located box",
            Self::Swapped => "swapped box",
            Self::False => "false object",
            Self::Merged => "merged objects",
            Self::Split => "split object",
            Self::WrongClass => "wrong class",
            Self::BadBorder => "bad border",
            Self::Missed => "missed object",
        }
    }
}

/// Where an issue is.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// In a box.
    Rectangle(Rectangle),
    /// Within an outline.
    Polygon(Polygon),
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct SpatialIssue {
    /// Index of the image.
    pub image: usize,
    /// What is probably wrong.
    pub kind: SpatialKind,
    /// The label: the index of a box, the number of an instance. `None` if it is missing or all pixels
    /// of an image are meant.
    pub object: Option<usize>,
    /// The prediction that speaks against it: the index of a box, the number of a missed object.
    pub prediction: Option<usize>,
    /// Suspicion from 0 to 1; high is bad.
    pub suspicion: f64,
    /// Whether it is an issue by the rule of its method.
    pub flagged: bool,
    /// The given class.
    pub given: Option<usize>,
    /// What the class may be instead, or that of what is missing.
    pub suggested: Option<usize>,
    /// Where it is: the label, or what is missing. For pixels, the rectangle around the issues.
    pub place: Place,
}

/// An outline for a viewer, such as an annotation of QuPath.
#[derive(Debug, Clone, PartialEq)]
pub struct IssueOutline {
    /// Index of the image.
    pub image: usize,
    /// Where it is.
    pub polygon: Polygon,
    /// The name of its [kind](SpatialKind::name).
    pub class: &'static str,
    /// Names and values: the suspicion, and whether it is flagged (1) or not (0).
    pub measurements: Vec<(&'static str, f64)>,
}

impl SpatialIssue {
    /// The issue as an outline.
    pub fn outline(&self) -> IssueOutline {
        let polygon = match &self.place {
            Place::Rectangle(rectangle) => Polygon {
                outline: rectangle.corners().to_vec(),
                holes: Vec::new(),
            },
            Place::Polygon(polygon) => polygon.clone(),
        };
        IssueOutline {
            image: self.image,
            polygon,
            class: self.kind.name(),
            measurements: vec![
                ("suspicion", self.suspicion),
                ("flagged", f64::from(u8::from(self.flagged))),
            ],
        }
    }
}

/// Rows of images with wrong pixels. Given and suggested are the classes of most of them.
pub fn pixel_issues(found: &PixelIssues) -> Vec<SpatialIssue> {
    let rows = found
        .images
        .iter()
        .enumerate()
        .filter_map(|(image, issues)| {
            Some(SpatialIssue {
                image,
                kind: SpatialKind::Pixels,
                object: None,
                prediction: None,
                suspicion: 1.0 - issues.score()?,
                flagged: true,
                given: issues.most_common.map(|(given, _)| given),
                suggested: issues.most_common.map(|(_, predicted)| predicted),
                place: Place::Rectangle(issues.bounds?),
            })
        });
    ranked(rows.collect())
}

/// Rows of boxes: one for each label and kind of error, and one for each overlooked object.
///
/// # Errors
/// Another number of images or boxes than was audited.
pub fn box_issues(
    audit: &BoxAudit,
    images: &[BoxImage<'_>],
) -> Result<Vec<SpatialIssue>, AuditError> {
    same_number("the audit of boxes", images.len(), audit.images.len())?;
    let mut rows = Vec::new();
    for (image, (found, given)) in audit.images.iter().zip(images).enumerate() {
        let (labels, predictions) = (&given.labels.objects, given.predictions);
        let overlooked = found.overlooked.len();
        same_number(
            "the scores of overlooked boxes",
            predictions.len(),
            overlooked,
        )?;
        let row = |kind, score: &BoxScore, object: Option<usize>, place| SpatialIssue {
            image,
            kind,
            object,
            prediction: score.prediction,
            suspicion: 1.0 - score.score,
            flagged: score.is_issue,
            given: object.map(|label| labels[label].class),
            suggested: score
                .prediction
                .filter(|_| kind != SpatialKind::BadlyLocated)
                .map(|prediction| predictions[prediction].class),
            place: Place::Rectangle(place),
        };
        for (kind, scores) in [
            (SpatialKind::BadlyLocated, &found.badly_located),
            (SpatialKind::Swapped, &found.swapped),
        ] {
            same_number("the scores of labelled boxes", labels.len(), scores.len())?;
            for (label, score) in scores.iter().enumerate() {
                rows.push(row(kind, score, Some(label), labels[label].shape));
            }
        }
        for (score, detection) in found.overlooked.iter().zip(predictions) {
            if let Some(score) = score {
                rows.push(row(
                    SpatialKind::Overlooked,
                    score,
                    None,
                    detection.rectangle,
                ));
            }
        }
    }
    Ok(ranked(rows))
}

/// Rows of instances: the worst of every label, and missed objects. Of an object in several parts,
/// the outline is that of the largest.
///
/// # Errors
/// Another number of images than was audited, or predictions that cannot be used.
pub fn instance_issues(
    audits: &[InstanceAudit],
    images: &[InstanceImage<'_>],
) -> Result<Vec<SpatialIssue>, AuditError> {
    same_number("the audit of instances", images.len(), audits.len())?;
    let mut rows = Vec::new();
    for (image, (audit, given)) in audits.iter().zip(images).enumerate() {
        let labels = Outlines::of(image, given.labels)?;
        for finding in &audit.labelled {
            let place = labels.place(finding.object, finding.bounds);
            rows.push(labelled_row(image, finding, place));
        }
        if audit.missed.is_empty() {
            continue;
        }
        let mask = predicted_mask(image, given)?;
        let predicted = Outlines::of(image, mask.view())?;
        for missed in &audit.missed {
            let place = predicted.place(missed.object, missed.bounds);
            rows.push(missed_row(image, missed, place));
        }
    }
    Ok(ranked(rows))
}

fn labelled_row(image: usize, finding: &InstanceFinding, place: Place) -> SpatialIssue {
    let (defect, suspicion) = finding.worst();
    let kind = match defect {
        InstanceDefect::False => SpatialKind::False,
        InstanceDefect::Merged => SpatialKind::Merged,
        InstanceDefect::Split => SpatialKind::Split,
        InstanceDefect::WrongClass => SpatialKind::WrongClass,
        InstanceDefect::BadBorder => SpatialKind::BadBorder,
    };
    SpatialIssue {
        image,
        kind,
        object: Some(finding.object as usize),
        prediction: None,
        suspicion,
        flagged: suspicion >= FLAGGED,
        given: finding.class,
        suggested: finding
            .suggested_class
            .filter(|_| kind == SpatialKind::WrongClass),
        place,
    }
}

fn missed_row(image: usize, missed: &MissedObject, place: Place) -> SpatialIssue {
    SpatialIssue {
        image,
        kind: SpatialKind::Missed,
        object: None,
        prediction: Some(missed.object as usize),
        suspicion: missed.suspicion,
        flagged: missed.suspicion >= FLAGGED,
        given: None,
        suggested: missed.class,
        place,
    }
}

/// The largest outline of every object, ascending by number.
struct Outlines(Vec<(u32, Polygon)>);

impl Outlines {
    fn of(image: usize, mask: ArrayView2<'_, u32>) -> Result<Self, AuditError> {
        let mut all: Vec<(u32, Polygon)> = outlines(mask)
            .map_err(|error| AuditError::image(image, error.to_string()))?
            .into_iter()
            .filter(|outline| outline.label != UNLABELLED_OBJECT)
            .map(|outline| (outline.label, outline.polygon))
            .collect();
        // Stable: of equally large parts, the first stays.
        all.sort_by(|a, b| {
            let by_area = || b.1.area().total_cmp(&a.1.area());
            a.0.cmp(&b.0).then_with(by_area)
        });
        all.dedup_by_key(|outline| outline.0);
        Ok(Self(all))
    }

    fn place(&self, object: u32, bounds: Rectangle) -> Place {
        match self.0.binary_search_by_key(&object, |outline| outline.0) {
            Ok(place) => Place::Polygon(self.0[place].1.clone()),
            Err(_) => Place::Rectangle(bounds),
        }
    }
}

/// The most suspicious first; of equals, by image, kind, label and prediction. What is not suspicious
/// is left out.
pub fn ranked(mut rows: Vec<SpatialIssue>) -> Vec<SpatialIssue> {
    rows.retain(|row| row.suspicion > 0.0);
    rows.sort_by(|a, b| {
        let by_place = || {
            let key = |row: &SpatialIssue| (row.image, row.kind, row.object, row.prediction);
            key(a).cmp(&key(b))
        };
        b.suspicion.total_cmp(&a.suspicion).then_with(by_place)
    });
    rows
}

fn same_number(what: &'static str, expected: usize, found: usize) -> Result<(), AuditError> {
    if expected == found {
        return Ok(());
    }
    Err(AuditError::Length {
        what,
        expected,
        found,
    })
}
