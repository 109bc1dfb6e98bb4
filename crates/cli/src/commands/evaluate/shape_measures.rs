//! The figures by which boxes and masks are judged.

use cleanslide_data::{
    Classes, Detection, Evidence, Family, Target, TryMap, UNLABELLED_CLASS, mask,
};
use cleanslide_eval::detection::{Coco, CocoMatches, CocoSubset, FROC_RATES, TrueBox};
use cleanslide_eval::matching::{MatchCounts, Overlaps};
use cleanslide_eval::segmentation::{
    AggregatedJaccard, BoundaryCounts, ClassOverlap, Directions, EmptyCase, Reuse,
    SurfaceDistances, class_overlaps, instance_counts, mean_over_images, panoptic_counts,
    pixel_confusion,
};
use cleanslide_eval::{Bootstrap, Error, Groups, Weights};
use cleanslide_image::region::{Neighbours, components_of_labels};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::failure::{Failure, Result};
use crate::measures::Measure;

/// Findings that count per image and class, as in COCO; more where an image has more.
const DETECTIONS: usize = 100;
/// How far a border may be from the true one, in pixels, and still be right.
const BORDER: f64 = 2.0;
/// From 0.5 to 0.95, as instance segmentation is judged.
const INSTANCE_IOUS: [f64; 10] = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95];
/// Where 0.75 is among them.
const STRICT: usize = 5;

/// Pieces of evidence about one image: the truth and what is judged, with the image's case.
pub struct Pair<'a> {
    /// The reference.
    pub truth: &'a Evidence,
    /// What a source says.
    pub judged: &'a Evidence,
    /// The image's independent case.
    pub case: usize,
}

/// What is judged, and how intervals are found.
pub struct Judge<'a> {
    /// Every image that both labelled.
    pub pairs: &'a [Pair<'a>],
    /// The classes.
    pub classes: &'a Classes,
    /// The cases of the images.
    pub groups: &'a Groups,
    /// Resampling.
    pub bootstrap: &'a Bootstrap,
    /// Whether every measure is asked for, or the best known.
    pub all: bool,
}

/// Borders of one class on one image.
struct Borders {
    counts: BoundaryCounts,
    /// Pixels; `None` if truth or labels lack the class.
    hausdorff: Option<f64>,
    average: Option<f64>,
}

impl Judge<'_> {
    fn measure(
        &self,
        name: impl Into<String>,
        statistic: impl Fn(Weights<'_>) -> std::result::Result<f64, Error> + Sync,
    ) -> Measure {
        Measure::over_cases(name, (self.groups, self.bootstrap), None, statistic)
    }

    /// COCO's figures, recall and precision.
    pub fn boxes(&self, class_agnostic: bool) -> Result<Vec<Measure>> {
        let images = self
            .pairs
            .iter()
            .map(|pair| Ok((true_boxes(pair.truth)?, found_boxes(pair.judged)?)))
            .collect::<Result<Vec<_>>>()?;
        let matches = match_boxes(&images, self.classes.len(), class_agnostic)?;
        let whole = CocoSubset::default();
        let counts = matches.counts(&at_iou(0.5), f64::NEG_INFINITY)?;
        let pooled = |weights: Weights<'_>| MatchCounts::pool(&counts, weights);
        let mut measures = vec![
            self.measure("AP", |w| matches.average_precision(&whole, w)),
            self.measure("AP50", |w| matches.average_precision(&at_iou(0.5), w)),
            self.measure("AP75", |w| matches.average_precision(&at_iou(0.75), w)),
            self.measure("AR", |w| matches.average_recall(&whole, w)),
            self.measure("recall at IoU 0.5", |w| pooled(w)?.recall()),
            self.measure("precision at IoU 0.5", |w| pooled(w)?.precision()),
        ];
        if self.all {
            measures.extend(self.more_of_boxes(&matches, class_agnostic));
        }
        Ok(measures)
    }

    /// The rest of COCO's twelve, AP of each class, and FROC.
    fn more_of_boxes(&self, matches: &CocoMatches, class_agnostic: bool) -> Vec<Measure> {
        let whole = CocoSubset::default();
        let mut measures = Vec::new();
        for limit in [1, 10, DETECTIONS] {
            let subset = CocoSubset {
                maximum_detections: Some(limit),
                ..whole
            };
            measures.push(self.measure(format!("AR of {limit} per image"), |w| {
                matches.average_recall(&subset, w)
            }));
        }
        for (area, size) in [(1, "small"), (2, "medium"), (3, "large")] {
            let subset = CocoSubset { area, ..whole };
            measures.push(self.measure(format!("AP, {size}"), |w| {
                matches.average_precision(&subset, w)
            }));
            measures.push(self.measure(format!("AR, {size}"), |w| {
                matches.average_recall(&subset, w)
            }));
        }
        let half = at_iou(0.5);
        if !class_agnostic {
            for (class, name) in self.classes.names().iter().enumerate() {
                let of_class = |subset: CocoSubset| CocoSubset {
                    class: Some(class),
                    ..subset
                };
                measures.push(self.measure(format!("AP of {name}"), |w| {
                    matches.average_precision(&of_class(whole), w)
                }));
                measures.push(self.measure(format!("AP50 of {name}"), |w| {
                    matches.average_precision(&of_class(half), w)
                }));
            }
        }
        measures.push(
            self.measure("FROC: mean sensitivity at 1/8 to 8 false alarms", |w| {
                matches.froc(&half, w)?.mean_sensitivity(&FROC_RATES)
            }),
        );
        measures
    }

    /// Dice and IoU of each class, and how far borders are off.
    pub fn masks(&self) -> Result<Vec<Measure>> {
        let classes = self.classes;
        // Of two classes the first is the background of the second.
        let shown = if classes.len() == 2 {
            1..2
        } else {
            0..classes.len()
        };
        let of_image = |pair: &Pair| -> Result<(Vec<ClassOverlap>, Vec<Borders>, MatchCounts)> {
            let truth = class_mask(&pair.truth.target)?;
            let judged = class_mask(&pair.judged.target)?;
            let confusion = pixel_confusion(truth.view(), judged.view(), classes.len())
                .map_err(|error| about(pair.judged, &error))?;
            let bordered = shown.clone().filter(|_| self.all);
            let borders = bordered.map(|class| {
                borders(&truth, &judged, class as u8).map_err(|error| about(pair.judged, &error))
            });
            let objects = if self.all {
                connected_objects(truth.view(), judged.view())?
            } else {
                MatchCounts::default()
            };
            Ok((
                class_overlaps(&confusion),
                borders.collect::<Result<_>>()?,
                objects,
            ))
        };
        let images: Vec<_> = self.pairs.par_iter().try_map(of_image)?;
        let mut measures = Vec::new();
        for (index, class) in shown.clone().enumerate() {
            let overlaps: Vec<ClassOverlap> = images.iter().map(|(all, ..)| all[class]).collect();
            let name = classes.name(class);
            measures.push(self.measure(format!("Dice of {name}"), |w| {
                ClassOverlap::pool(&overlaps, w)?.dice(EmptyCase::Undefined)
            }));
            measures.push(self.measure(format!("IoU of {name}"), |w| {
                ClassOverlap::pool(&overlaps, w)?.iou(EmptyCase::Undefined)
            }));
            if self.all {
                let borders = images.iter().map(|(_, all, _)| &all[index]).collect();
                measures.extend(self.more_of_masks(&name, &overlaps, borders)?);
            }
        }
        if self.all {
            let objects: Vec<MatchCounts> = images.iter().map(|(.., counts)| *counts).collect();
            measures.push(self.measure("F1 of connected objects at IoU 0.5", |w| {
                MatchCounts::pool(&objects, w)?.f1()
            }));
        }
        Ok(measures)
    }

    /// Means over images and distances; images without the class on either side are left out.
    fn more_of_masks(
        &self,
        class: &str,
        overlaps: &[ClassOverlap],
        borders: Vec<&Borders>,
    ) -> Result<Vec<Measure>> {
        let dice = overlaps
            .iter()
            .map(|overlap| defined(overlap.dice(EmptyCase::Undefined)))
            .collect::<std::result::Result<Vec<_>, Error>>()?;
        let counts: Vec<BoundaryCounts> = borders.iter().map(|image| image.counts).collect();
        let hausdorff: Vec<_> = borders.iter().map(|image| image.hausdorff).collect();
        let average: Vec<_> = borders.iter().map(|image| image.average).collect();
        Ok(vec![
            self.measure(format!("Dice of {class}, mean over images"), |w| {
                mean_over_images(&dice, w)
            }),
            self.measure(format!("boundary F1 of {class}, within {BORDER} px"), |w| {
                BoundaryCounts::pool(&counts, w)?.f1()
            }),
            self.measure(
                format!("Hausdorff 95 % of {class}, px, mean over images"),
                |w| mean_over_images(&hausdorff, w),
            ),
            self.measure(
                format!("surface distance of {class}, px, mean over images"),
                |w| mean_over_images(&average, w),
            ),
        ])
    }

    /// F1 of objects, panoptic quality, AJI.
    pub fn instances(&self) -> Result<Vec<Measure>> {
        let of_image = |pair: &Pair| compared_objects(pair.truth, pair.judged);
        let images: Vec<_> = self.pairs.par_iter().try_map(of_image)?;
        let at: Vec<Vec<MatchCounts>> = (0..INSTANCE_IOUS.len())
            .map(|iou| images.iter().map(|image| image.at[iou]).collect())
            .collect();
        let (half, strict) = (&at[0], &at[STRICT]);
        let panoptic: Vec<MatchCounts> = images.iter().map(|image| image.panoptic).collect();
        let reused: Vec<_> = images.iter().map(|image| image.jaccard).collect();
        let once: Vec<_> = images.iter().map(|image| image.jaccard_once).collect();
        let mut measures = vec![
            self.measure("F1 at IoU 0.5", |w| MatchCounts::pool(half, w)?.f1()),
            self.measure("recall at IoU 0.5", |w| {
                MatchCounts::pool(half, w)?.recall()
            }),
            self.measure("precision at IoU 0.5", |w| {
                MatchCounts::pool(half, w)?.precision()
            }),
            self.measure("F1 at IoU 0.75", |w| MatchCounts::pool(strict, w)?.f1()),
            self.measure("PQ", |w| {
                MatchCounts::pool(&panoptic, w)?.panoptic_quality()
            }),
            self.measure("AJI", |w| AggregatedJaccard::pool(&reused, w)?.index()),
        ];
        if self.all {
            let overlaps: Vec<ClassOverlap> = images.iter().map(|image| image.foreground).collect();
            measures.extend([
                self.measure("Dice of all objects together", |w| {
                    ClassOverlap::pool(&overlaps, w)?.dice(EmptyCase::Undefined)
                }),
                self.measure("SQ", |w| {
                    MatchCounts::pool(&panoptic, w)?.segmentation_quality()
                }),
                self.measure("RQ", |w| {
                    MatchCounts::pool(&panoptic, w)?.recognition_quality()
                }),
                self.measure("AJI+", |w| AggregatedJaccard::pool(&once, w)?.index()),
                self.measure("AP at IoU 0.5, TP / (TP + FP + FN)", |w| {
                    MatchCounts::pool(half, w)?.average_precision()
                }),
                self.measure("AP at IoU 0.75", |w| {
                    MatchCounts::pool(strict, w)?.average_precision()
                }),
                self.measure("AP, mean over IoU 0.5 to 0.95", |w| {
                    let sum = at.iter().try_fold(0.0, |sum, counts| {
                        Ok::<_, Error>(sum + MatchCounts::pool(counts, w)?.average_precision()?)
                    })?;
                    Ok(sum / at.len() as f64)
                }),
            ]);
        }
        Ok(measures)
    }
}

/// Objects that were found in an image, against the true ones.
pub struct ComparedObjects {
    /// Matches by intersection over union, from 0.5 on.
    at: Vec<MatchCounts>,
    panoptic: MatchCounts,
    /// An object that was found may be of several true ones.
    pub jaccard: AggregatedJaccard,
    jaccard_once: AggregatedJaccard,
    /// Pixels in any object.
    pub foreground: ClassOverlap,
}

impl ComparedObjects {
    /// Matches at an intersection over union of 0.5.
    pub fn at_half(&self) -> MatchCounts {
        self.at[0]
    }
}

/// Objects of an image against the true ones. What was left unlabelled was not marked: it counts as nothing found.
///
/// # Errors
/// Labels that are no masks of objects, masks of different sizes.
pub fn compared_objects(truth: &Evidence, judged: &Evidence) -> Result<ComparedObjects> {
    let truth = instance_mask(&truth.target)?;
    let mask = instance_mask(&judged.target)?.mapv(|object| match object {
        mask::UNLABELLED_OBJECT => 0,
        object => object,
    });
    let overlaps =
        Overlaps::new(truth.view(), mask.view()).map_err(|error| about(judged, &error))?;
    Ok(ComparedObjects {
        at: instance_counts(&overlaps, &INSTANCE_IOUS)?,
        panoptic: panoptic_counts(&overlaps),
        jaccard: AggregatedJaccard::new(&overlaps, Reuse::Allowed),
        jaccard_once: AggregatedJaccard::new(&overlaps, Reuse::Never),
        foreground: foreground(&truth, &mask),
    })
}

/// Matches of objects at an IoU of 0.5, where these are connected pixels of one class but the first.
///
/// # Errors
/// Masks of different sizes, or with too many pixels.
pub fn connected_objects(
    truth: ArrayView2<'_, u8>,
    judged: ArrayView2<'_, u8>,
) -> Result<MatchCounts> {
    let objects = |classes: ArrayView2<'_, u8>| {
        let regions = classes.mapv(|class| match class {
            UNLABELLED_CLASS => 0,
            class => u32::from(class),
        });
        components_of_labels(regions.view(), Neighbours::Eight)
    };
    let (truth, judged) = (objects(truth)?, objects(judged)?);
    let overlaps = Overlaps::new(truth.labels.view(), judged.labels.view())?;
    let counts = instance_counts(&overlaps, &INSTANCE_IOUS[..1])?;
    Ok(counts.into_iter().next().unwrap_or_default())
}

/// Pixels in any object, where the truth is known.
fn foreground(truth: &Array2<u32>, judged: &Array2<u32>) -> ClassOverlap {
    let mut overlap = ClassOverlap::default();
    let pairs = truth.iter().zip(judged);
    for (&truth, &judged) in pairs.filter(|(truth, _)| **truth != mask::UNLABELLED_OBJECT) {
        let count = |inside: bool| f64::from(u8::from(inside));
        overlap.truth += count(truth > 0);
        overlap.predicted += count(judged > 0);
        overlap.both += count(truth > 0 && judged > 0);
    }
    overlap
}

/// COCO's matches of the true boxes and the findings of images. All findings count, even more than COCO's 100 of an
/// image and class.
///
/// # Errors
/// No images, or boxes that cannot be.
pub fn match_boxes(
    images: &[(Vec<TrueBox>, Vec<Detection>)],
    classes: usize,
    class_agnostic: bool,
) -> Result<CocoMatches> {
    let most = images.iter().map(|(_, found)| found.len()).max();
    let mut maximum_detections = vec![1, 10, DETECTIONS];
    maximum_detections.extend(most.filter(|most| *most > DETECTIONS));
    let coco = Coco {
        class_agnostic,
        maximum_detections,
        ..Coco::new(classes)
    };
    let views: Vec<_> = images
        .iter()
        .map(|(truth, found)| (truth.as_slice(), found.as_slice()))
        .collect();
    Ok(coco.match_images(&views)?)
}

/// COCO's figures at one overlap.
pub fn at_iou(iou: f64) -> CocoSubset {
    CocoSubset {
        iou: Some(iou),
        ..CocoSubset::default()
    }
}

/// The boxes of an image, as what is true.
pub fn true_boxes(piece: &Evidence) -> Result<Vec<TrueBox>> {
    let Target::Boxes(boxes) = &piece.target else {
        return Err(cannot(piece.target.family()));
    };
    let boxes = boxes.objects.iter();
    Ok(boxes
        .map(|object| TrueBox::new(object.shape, object.class))
        .collect())
}

/// The boxes of an image, as what was found; the trust in them is their score.
pub fn found_boxes(piece: &Evidence) -> Result<Vec<Detection>> {
    let Target::Boxes(boxes) = &piece.target else {
        return Err(cannot(piece.target.family()));
    };
    let boxes = boxes.objects.iter();
    Ok(boxes
        .map(|object| Detection {
            rectangle: object.shape,
            class: object.class,
            score: f64::from(object.trust.value()),
        })
        .collect())
}

fn borders(
    truth: &Array2<u8>,
    judged: &Array2<u8>,
    class: u8,
) -> std::result::Result<Borders, Error> {
    let surfaces = SurfaceDistances::new(truth.view(), judged.view(), class, (1.0, 1.0))?;
    Ok(Borders {
        counts: surfaces.boundary(BORDER)?,
        hausdorff: defined(surfaces.hausdorff_quantile(0.95, Directions::Separate))?,
        average: defined(surfaces.average(Directions::Separate))?,
    })
}

/// `None` where a figure has no value.
fn defined(figure: std::result::Result<f64, Error>) -> std::result::Result<Option<f64>, Error> {
    match figure {
        Ok(value) => Ok(Some(value)),
        Err(Error::Undefined(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A kind of labels that has no measures.
pub fn cannot(family: Family) -> Failure {
    Failure::usage(format!("{} cannot be measured yet", family.name()))
        .help("Boxes, class masks and instance masks can.")
}

fn about(judged: &Evidence, error: &Error) -> Failure {
    Failure::input(format!("{}: {error}", judged.key()))
}

/// The class of each pixel.
pub fn class_mask(target: &Target) -> Result<Array2<u8>> {
    match target {
        Target::Dense(file) | Target::Partial(file) => Ok(file.read_classes()?),
        _ => Err(cannot(target.family())),
    }
}

fn instance_mask(target: &Target) -> Result<Array2<u32>> {
    match target {
        Target::Instances { mask: file, .. } => Ok(file.read_instances()?),
        _ => Err(cannot(target.family())),
    }
}
