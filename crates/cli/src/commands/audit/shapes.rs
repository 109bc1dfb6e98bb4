//! Boxes, instance masks and class masks that are probably wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cleanslide_audit::boxes::{BoxImage, BoxOptions, audit_boxes};
use cleanslide_audit::instances::{InstanceImage, Prediction, audit_instances};
use cleanslide_audit::pixels::{PixelAudit, ReadImages};
use cleanslide_audit::spatial_issues::{
    Place, SpatialIssue, SpatialKind, box_issues, instance_issues, pixel_issues, ranked,
};
use cleanslide_audit::{AuditError, PixelBlocks};
use cleanslide_data::formats::{Annotation, Attribute, Shape, geojson};
use cleanslide_data::store::{write_file, write_file_with};
use cleanslide_data::{
    Dataset, Detection, Evidence, Family, ImageRecord, MAX_PIXELS, Objects, Polygon, Rectangle,
    Target, TryMap, UNLABELLED_CLASS, assign_folds, mask, read_image, to_csv,
};
use cleanslide_eval::segmentation::{ClassOverlap, EmptyCase, class_overlaps, pixel_confusion};
use cleanslide_learn::pixels::{PixelClassifier, PixelImages, maps};
use cleanslide_learn::segment::most_probable;
use cleanslide_report::contact_sheet::Tile;
use cleanslide_report::thumbnail::{Ink, Outlines};
use image::RgbImage;
use ndarray::{Array2, Array3, Axis};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::json_file::write_json;
use crate::output::{Show, count, percent, thousands};
use crate::progress;
use crate::shape_labels::{ShapeLabels, about};
use crate::sheet::{self, Sheet};
use crate::text_table::TextTable;

/// What is asked.
pub struct Request<'a> {
    /// The labels.
    pub labels: ShapeLabels,
    /// A source whose labels are the predictions.
    pub against: Option<&'a str>,
    /// A folder of out-of-sample probabilities.
    pub probabilities: Option<&'a Path>,
    /// Folds of the pixel classifier.
    pub folds: usize,
    /// Where the results go.
    pub folder: PathBuf,
}

/// `audit.json`, and what the command prints.
#[derive(Debug, Serialize)]
struct Summary {
    folder: PathBuf,
    labels: String,
    source: String,
    family: &'static str,
    images: usize,
    /// Objects, or labelled pixels.
    checked: u64,
    /// Who judged.
    judge: String,
    /// Mean over the classes, without the background, of the Dice of the judge's predictions with
    /// the given labels.
    agreement: Option<f64>,
    kinds: Vec<KindLine>,
    /// Share of the labelled pixels that are issues; class masks only.
    pixel_issues: Option<f64>,
    first: Vec<FirstLine>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct KindLine {
    kind: &'static str,
    flagged: usize,
    listed: usize,
}

#[derive(Debug, Serialize)]
struct FirstLine {
    image: String,
    kind: &'static str,
    object: Option<usize>,
    suspicion: f64,
}

/// What was found, whoever judged.
struct Found {
    issues: Vec<SpatialIssue>,
    checked: u64,
    judge: String,
    agreement: Option<f64>,
    pixel_issues: Option<f64>,
    /// Further tables: file name and content.
    tables: Vec<(&'static str, Vec<u8>)>,
}

/// Audits, writes the results and shows them.
pub fn run(context: &Context, dataset: &Dataset, request: &Request) -> Result<()> {
    let found = match request.labels.family {
        Family::Boxes => boxes(dataset, request)?,
        Family::Instances => instances(context, dataset, request)?,
        _ => class_masks(context, dataset, request)?,
    };
    let folder = &request.folder;
    for (name, content) in &found.tables {
        write_file(&folder.join(name), content)?;
    }
    write_file(
        &folder.join("issues.csv"),
        &issues_table(dataset, &request.labels, &found.issues),
    )?;
    if request.labels.family != Family::Mask {
        write_outlines(&request.labels, &found.issues, folder)?;
    }
    write_sheet(context, dataset, request, &found.issues)?;
    let summary = summarise(request, found);
    write_json(&folder.join("audit.json"), &summary)?;
    context.output.show(&summary)
}

/// The labels of the source that speaks against those that are audited, by image.
fn against<'a>(
    labels: &'a cleanslide_data::Labels,
    request: &Request,
) -> Result<Option<BTreeMap<&'a str, &'a Evidence>>> {
    let Some(source) = request.against else {
        return Ok(None);
    };
    let family = request.labels.family;
    let pieces = labels.of_images(source, family);
    if pieces.is_empty() {
        let known = labels.sources(family).join(", ");
        return Err(Failure::usage(format!(
            "`{source}` has no {} in {}",
            family.name(),
            request.labels.version
        ))
        .help(format!("Those of {known} are there.")));
    }
    Ok(Some(pieces))
}

fn boxes(dataset: &Dataset, request: &Request) -> Result<Found> {
    let labels = &request.labels;
    if request.probabilities.is_some() {
        return Err(
            Failure::usage("`--probabilities` is for masks, not for boxes")
                .help("Name a source of predicted boxes with `--against`."),
        );
    }
    let all = dataset.labels(labels.version)?;
    let Some(predicted) = against(&all, request)? else {
        return Err(
            Failure::usage("boxes are judged by boxes that a detector predicts").help(
                "Import its predictions, made for images that it did not learn from, and name that \
             source with `--against`.",
            ),
        );
    };
    let of = |piece: &Evidence| -> Result<Objects<Rectangle>> {
        match &piece.target {
            Target::Boxes(boxes) => Ok(boxes.clone()),
            _ => Err(Failure::other("boxes are no boxes")),
        }
    };
    let nothing = Objects {
        objects: Vec::new(),
        complete: true,
    };
    let mut pairs = Vec::new();
    for (image, piece) in labels.images.iter().zip(&labels.pieces) {
        let predictions = match predicted.get(image.id.as_str()) {
            Some(piece) => of(piece)?,
            None => nothing.clone(),
        };
        let detections: Vec<Detection> = predictions
            .objects
            .iter()
            .map(|object| Detection {
                rectangle: object.shape,
                class: object.class,
                score: f64::from(object.trust.value()),
            })
            .collect();
        pairs.push((of(piece)?, detections));
    }
    let images: Vec<BoxImage> = pairs
        .iter()
        .map(|(labels, predictions)| BoxImage {
            labels,
            predictions,
        })
        .collect();
    let classes = dataset.classes().len();
    let audit = audit_boxes(&images, classes, &BoxOptions::default())
        .map_err(|error| named(&labels.images, error))?;
    let issues = box_issues(&audit, &images)?;
    let header = [
        "image",
        "quality",
        "overlooked",
        "badly_located",
        "swapped",
        "is_issue",
    ];
    let rows = labels
        .images
        .iter()
        .zip(&audit.images)
        .map(|(image, found)| {
            let scores = [
                found.quality(),
                found.overlooked_score,
                found.badly_located_score,
                found.swapped_score,
            ];
            std::iter::once(image.id.clone())
                .chain(scores.map(|score| format!("{score:.6}")))
                .chain([yes(found.is_issue()).to_owned()])
                .collect::<Vec<_>>()
        });
    Ok(Found {
        issues,
        checked: pairs
            .iter()
            .map(|(given, _)| given.objects.len() as u64)
            .sum(),
        judge: format!("boxes of {}", request.against.unwrap_or_default()),
        agreement: None,
        pixel_issues: None,
        tables: vec![("images.csv", to_csv(&header, rows))],
    })
}

fn instances(context: &Context, dataset: &Dataset, request: &Request) -> Result<Found> {
    let labels = &request.labels;
    let all = dataset.labels(labels.version)?;
    let predicted = against(&all, request)?;
    let (judge, maps_folder) = match (&predicted, request.probabilities) {
        (Some(_), Some(_)) => {
            return Err(
                Failure::usage("both `--against` and `--probabilities` say who judges")
                    .help("Give one of them."),
            );
        }
        (Some(_), None) => (
            format!("instances of {}", request.against.unwrap_or_default()),
            None,
        ),
        (None, Some(folder)) => (
            format!("probabilities in {}", folder.display()),
            Some(folder.to_owned()),
        ),
        (None, None) => {
            let folder = request.folder.join("probabilities");
            classify_pixels(context, dataset, request, &folder)?;
            (classifier_name(request.folds), Some(folder))
        }
    };
    let common = common_area(&labels.pieces)?;
    let bar = progress::bar("judging objects", labels.images.len());
    // Each thread has the masks of one image at a time.
    let judge_image = |image: usize| -> Result<JudgedImage> {
        let (record, piece) = (&labels.images[image], &labels.pieces[image]);
        let (given, classes) = instance_mask(piece)?;
        let judgement = match (&maps_folder, &predicted) {
            (Some(folder), _) => foreground(folder, record, given.dim())?,
            (None, Some(predicted)) => objects(predicted.get(record.id.as_str()), given.dim())?,
            (None, None) => return Err(Failure::other("nobody judges")),
        };
        let judged = [InstanceImage {
            labels: given.view(),
            classes: &classes,
            prediction: judgement.prediction(),
        }];
        let named = |error| named(std::slice::from_ref(record), error);
        let mut audits = audit_instances(&judged).map_err(named)?;
        for audit in &mut audits {
            audit.doubt_small_objects(common);
        }
        let found = instance_issues(&audits, &judged).map_err(named)?;
        bar.inc(1);
        Ok(JudgedImage {
            issues: found
                .into_iter()
                .map(|issue| SpatialIssue { image, ..issue })
                .collect(),
            checked: classes.len() as u64,
            overlap: judgement.overlap(&given),
        })
    };
    let images = (0..labels.images.len())
        .into_par_iter()
        .try_map(judge_image)?;
    bar.finish_and_clear();
    let overlap = (images.iter().map(|image| image.overlap)).fold(ClassOverlap::default(), add);
    let checked = images.iter().map(|image| image.checked).sum();
    let issues = images.into_iter().flat_map(|image| image.issues).collect();
    Ok(Found {
        issues: ranked(issues),
        checked,
        judge,
        agreement: overlap.dice(EmptyCase::Undefined).ok(),
        pixel_issues: None,
        tables: Vec::new(),
    })
}

/// What was found in the objects of one image.
struct JudgedImage {
    issues: Vec<SpatialIssue>,
    checked: u64,
    overlap: ClassOverlap,
}

/// The probability of every pixel of an image that it belongs to an object.
fn foreground(folder: &Path, record: &ImageRecord, size: (usize, usize)) -> Result<Judgement> {
    let probabilities = read_map(folder, &record.id)?;
    check_map(record.id.as_str(), &probabilities, size, None)?;
    let background = probabilities.index_axis(Axis(0), 0);
    Ok(Judgement::Foreground(
        background.mapv(|p| (1.0 - p).clamp(0.0, 1.0)),
    ))
}

/// What the judge says of one image.
enum Judgement {
    Foreground(Array2<f32>),
    Objects { mask: Array2<u32>, scores: Vec<f64> },
}

impl Judgement {
    fn prediction(&self) -> Prediction<'_> {
        match self {
            Self::Foreground(probabilities) => Prediction::Foreground(probabilities.view()),
            Self::Objects { mask, scores } => Prediction::Objects {
                mask: mask.view(),
                scores,
                class_probabilities: None,
            },
        }
    }

    /// Pixels in objects, given and predicted.
    fn overlap(&self, given: &Array2<u32>) -> ClassOverlap {
        let mut overlap = ClassOverlap::default();
        for (at, &label) in given.indexed_iter() {
            let predicted = match self {
                Self::Foreground(probabilities) => Some(probabilities[at] >= 0.5),
                Self::Objects { mask, .. } => match mask[at] {
                    mask::UNLABELLED_OBJECT => None,
                    object => Some(object > 0),
                },
            };
            let (Some(predicted), true) = (predicted, label != mask::UNLABELLED_OBJECT) else {
                continue;
            };
            let share = |inside: bool| f64::from(u8::from(inside));
            overlap.truth += share(label > 0);
            overlap.predicted += share(predicted);
            overlap.both += share(label > 0 && predicted);
        }
        overlap
    }
}

fn add(one: ClassOverlap, other: ClassOverlap) -> ClassOverlap {
    ClassOverlap {
        both: one.both + other.both,
        truth: one.truth + other.truth,
        predicted: one.predicted + other.predicted,
    }
}

/// The objects that another source gives; on an image that it did not label, it says nothing.
fn objects(piece: Option<&&Evidence>, size: (usize, usize)) -> Result<Judgement> {
    let Some(piece) = piece else {
        return Ok(Judgement::Objects {
            mask: Array2::from_elem(size, mask::UNLABELLED_OBJECT),
            scores: Vec::new(),
        });
    };
    let (mask, classes) = instance_mask(piece)?;
    Ok(Judgement::Objects {
        mask,
        scores: vec![f64::from(piece.trust.value()); classes.len()],
    })
}

/// The area, in pixels, that 19 of 20 labelled objects have at least; 1 if there are none.
fn common_area(pieces: &[Evidence]) -> Result<u64> {
    let of_image = |piece: &Evidence| -> Result<Vec<u64>> {
        let (mask, classes) = instance_mask(piece)?;
        let mut areas = vec![0; classes.len() + 1];
        for &object in &mask {
            if let Some(area) = areas.get_mut(object as usize) {
                *area += 1;
            }
        }
        Ok(areas.split_off(1))
    };
    let mut areas = pieces.par_iter().try_map(of_image)?.concat();
    areas.sort_unstable();
    Ok(areas.get(areas.len() / 20).copied().unwrap_or(1))
}

fn instance_mask(piece: &Evidence) -> Result<(Array2<u32>, Vec<usize>)> {
    match &piece.target {
        Target::Instances {
            mask: file,
            classes,
        } => Ok((file.read_instances()?, classes.clone())),
        _ => Err(Failure::other("instances are no instances")),
    }
}

fn class_masks(context: &Context, dataset: &Dataset, request: &Request) -> Result<Found> {
    let labels = &request.labels;
    if request.against.is_some() {
        return Err(
            Failure::usage("class masks are judged by probabilities, not by other masks").help(
                "Leave `--against` out, or name a folder of probabilities with `--probabilities`.",
            ),
        );
    }
    let (judge, maps_folder) = match request.probabilities {
        Some(folder) => (
            format!("probabilities in {}", folder.display()),
            folder.to_owned(),
        ),
        None => {
            let folder = request.folder.join("probabilities");
            classify_pixels(context, dataset, request, &folder)?;
            (classifier_name(request.folds), folder)
        }
    };
    let classes = dataset.classes().len();
    let read = |image: usize| {
        let both = || -> Result<(Array2<u8>, Array3<f32>)> {
            let given = class_mask(&labels.pieces[image])?;
            let probabilities = read_map(&maps_folder, &labels.images[image].id)?;
            let id = labels.images[image].id.as_str();
            check_map(id, &probabilities, given.dim(), Some(classes))?;
            Ok((given, probabilities))
        };
        both().map_err(|error| AuditError::image(image, error.message()))
    };
    let images = ReadImages::new(labels.images.len(), classes, read);
    let audit = PixelAudit::new(&images).map_err(|error| named(&labels.images, error))?;
    let mut overlaps = vec![ClassOverlap::default(); classes];
    let mut failure = None;
    let bar = progress::bar("marking pixels", images.images());
    let marked = audit.mark(&images, &mut |block, marks| {
        bar.inc(1);
        let predicted = most_probable(block.probabilities);
        let stored = outlines_of_marks(marks).and_then(|polygons| {
            let confusion = pixel_confusion(block.labels, predicted.view(), classes)?;
            for (sum, overlap) in overlaps.iter_mut().zip(class_overlaps(&confusion)) {
                *sum = add(*sum, overlap);
            }
            let annotations = polygons
                .into_iter()
                .map(|polygon| outline(SpatialKind::Pixels.name(), polygon, &[]));
            let path = outlines_file(&request.folder, &labels.images[block.image].id);
            write_annotations(&path, &annotations.collect::<Vec<_>>())
        });
        stored.map_err(|error| {
            let message = AuditError::image(block.image, error.message());
            failure = Some(error);
            message
        })
    });
    bar.finish_and_clear();
    let found = match (marked, failure) {
        (_, Some(failure)) => return Err(failure),
        (Err(error), None) => return Err(named(&labels.images, error)),
        (Ok(found), None) => found,
    };
    let header = ["image", "labelled_pixels", "issues", "score", "softmin"];
    let scores = found.images.iter().zip(audit.softmin());
    let rows = labels
        .images
        .iter()
        .zip(scores)
        .map(|(image, (issues, softmin))| {
            let number = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:.6}"));
            [
                image.id.clone(),
                issues.labelled.to_string(),
                issues.issues.to_string(),
                number(issues.score()),
                number(*softmin),
            ]
        });
    let table = to_csv(&header, rows);
    let labelled: u64 = audit.label_counts().iter().sum();
    let wrong: u64 = found.images.iter().map(|image| image.issues).sum();
    let dice: Vec<f64> = overlaps[1.min(classes - 1)..]
        .iter()
        .filter_map(|overlap| overlap.dice(EmptyCase::Undefined).ok())
        .collect();
    Ok(Found {
        issues: pixel_issues(&found),
        checked: labelled,
        judge,
        agreement: (!dice.is_empty()).then(|| dice.iter().sum::<f64>() / dice.len() as f64),
        pixel_issues: Some(wrong as f64 / labelled as f64),
        tables: vec![("images.csv", table)],
    })
}

fn class_mask(piece: &Evidence) -> Result<Array2<u8>> {
    match &piece.target {
        Target::Dense(file) | Target::Partial(file) => Ok(file.read_classes()?),
        _ => Err(Failure::other("masks are no masks")),
    }
}

fn outlines_of_marks(marks: ndarray::ArrayView2<'_, bool>) -> Result<Vec<Polygon>> {
    sheet::of_mask(marks.mapv(u32::from).view(), |_| true)
}

fn classifier_name(folds: usize) -> String {
    format!("a pixel classifier, {folds}-fold cross-validation by case")
}

/// The audited labels as class masks to learn from.
struct Images<'a> {
    dataset: &'a Dataset,
    labels: &'a ShapeLabels,
}

impl PixelImages for Images<'_> {
    type Failure = Failure;

    fn count(&self) -> usize {
        self.labels.images.len()
    }

    fn name(&self, image: usize) -> String {
        self.labels.images[image].id.clone()
    }

    fn read(&self, image: usize) -> Result<(RgbImage, Array2<u8>)> {
        let (record, piece) = (&self.labels.images[image], &self.labels.pieces[image]);
        let pixels = read_image(&self.dataset.image_path(record), MAX_PIXELS)?.pixels;
        let given = match piece.target.family() {
            Family::Mask => class_mask(piece)?,
            _ => instance_mask(piece)?.0.mapv(|object| match object {
                mask::UNLABELLED_OBJECT => UNLABELLED_CLASS,
                object => u8::from(object > 0),
            }),
        };
        let size = (pixels.height() as usize, pixels.width() as usize);
        if size != given.dim() {
            return Err(about(
                record,
                format!(
                    "its mask is {} × {} pixels, the image {} × {}",
                    given.ncols(),
                    given.nrows(),
                    size.1,
                    size.0
                ),
            ));
        }
        Ok((pixels, given))
    }
}

/// Predicts the pixels of every image out of sample, into files of a folder.
fn classify_pixels(
    context: &Context,
    dataset: &Dataset,
    request: &Request,
    folder: &Path,
) -> Result<()> {
    let labels = &request.labels;
    let images = Images { dataset, labels };
    let classes = match labels.family {
        Family::Mask => dataset.classes().names().to_vec(),
        _ => vec!["background".to_owned(), "object".to_owned()],
    };
    if classes.len() < 2 {
        return Err(Failure::input(
            "the masks have one class only, so no pixel can be wrong",
        ));
    }
    let cases = labels.cases(dataset);
    let mut rng = ChaCha8Rng::seed_from_u64(context.seed);
    let folds = assign_folds(&cases, &vec![None; cases.len()], request.folds, &mut rng)?;
    let mut classifier = PixelClassifier::default();
    classifier.classifier.train.seed = context.seed;
    let bar = progress::bar("classifying pixels", 2 * labels.images.len());
    let write = |image: usize, probabilities: Array3<f32>| {
        let path = maps::file_of(folder, &labels.images[image].id);
        maps::write(&path, probabilities.view()).map_err(failed)
    };
    let done = classifier.out_of_sample(&images, &classes, &folds, &write, &|| bar.inc(1));
    bar.finish_and_clear();
    done
}

fn failed(error: maps::MapError) -> Failure {
    match error {
        maps::MapError::Write(error) => error.into(),
        other => Failure::input(other.to_string()),
    }
}

fn read_map(folder: &Path, image: &str) -> Result<Array3<f32>> {
    maps::read(&maps::file_of(folder, image)).map_err(|error| {
        failed(error).help(
            "Probabilities of an image are in FOLDER/<its id>.safetensors, the tensor \
             `probabilities`: 32-bit floats [classes, height, width].",
        )
    })
}

fn check_map(
    image: &str,
    probabilities: &Array3<f32>,
    (height, width): (usize, usize),
    classes: Option<usize>,
) -> Result<()> {
    let found = probabilities.dim();
    let expected = (classes.unwrap_or(found.0), height, width);
    if found == expected && found.0 > 1 {
        return Ok(());
    }
    Err(Failure::input(format!(
        "image {image}: its probabilities have the shape {found:?}, but {} is needed",
        match classes {
            Some(_) => format!("{expected:?}"),
            None => format!("(2 or more, {height}, {width})"),
        }
    )))
}

/// An error of the audit with the id of its image.
fn named(images: &[cleanslide_data::ImageRecord], error: AuditError) -> Failure {
    match error {
        AuditError::Image { image, problem } if image < images.len() => {
            about(&images[image], problem)
        }
        other => other.into(),
    }
}

fn yes(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}

fn issues_table(dataset: &Dataset, labels: &ShapeLabels, issues: &[SpatialIssue]) -> Vec<u8> {
    let header = [
        "image",
        "case",
        "slide",
        "kind",
        "object",
        "given",
        "suggested",
        "suspicion",
        "flagged",
        "left",
        "top",
        "right",
        "bottom",
        "path",
    ];
    let classes = dataset.classes();
    // Only of the labels: the classes of the pixel classifier of instances are its own.
    let name = |class: Option<usize>| {
        class
            .filter(|&class| class < classes.len())
            .map_or_else(String::new, |class| classes.name(class))
    };
    let rows = issues.iter().map(|issue| {
        let image = &labels.images[issue.image];
        let bounds = bounds(&issue.place);
        let sides = [bounds.left, bounds.top, bounds.right, bounds.bottom];
        [
            image.id.clone(),
            image.case.clone(),
            image.slide.clone(),
            issue.kind.name().to_owned(),
            object_number(labels.family, issue.object)
                .map_or_else(String::new, |object| object.to_string()),
            name(issue.given),
            name(issue.suggested),
            format!("{:.6}", issue.suspicion),
            yes(issue.flagged).to_owned(),
        ]
        .into_iter()
        .chain(sides.map(|side| side.to_string()))
        .chain([image.path.clone()])
        .collect::<Vec<_>>()
    });
    to_csv(&header, rows)
}

/// Objects are counted from 1, as in instance masks.
fn object_number(family: Family, object: Option<usize>) -> Option<usize> {
    object.map(|object| match family {
        Family::Boxes => object + 1,
        _ => object,
    })
}

/// The bounds of an outline without points; the audit gives none.
const NOWHERE: Rectangle = Rectangle {
    left: 0.0,
    top: 0.0,
    right: 0.0,
    bottom: 0.0,
};

fn bounds(place: &Place) -> Rectangle {
    match place {
        Place::Rectangle(rectangle) => *rectangle,
        Place::Polygon(polygon) => polygon.bounds().unwrap_or(NOWHERE),
    }
}

fn outline(class: &str, polygon: Polygon, measurements: &[(&str, f64)]) -> Annotation {
    let attributes = measurements
        .iter()
        .map(|&(name, value)| (name.to_owned(), Attribute::Number(value)));
    Annotation {
        attributes: attributes.collect(),
        ..Annotation::new(class, Shape::Polygon(polygon))
    }
}

fn outlines_file(folder: &Path, image: &str) -> PathBuf {
    maps::file_of(&folder.join("issues"), image).with_extension("geojson")
}

fn write_annotations(path: &Path, annotations: &[Annotation]) -> Result<()> {
    Ok(write_file_with(path, |file| {
        geojson::write(file, annotations)
    })?)
}

/// One GeoJSON file for each image with flagged issues, for QuPath.
fn write_outlines(labels: &ShapeLabels, issues: &[SpatialIssue], folder: &Path) -> Result<()> {
    for (image, issues) in by_image(issues) {
        let annotations: Vec<Annotation> = issues
            .into_iter()
            .map(|issue| {
                let outlined = issue.outline();
                outline(outlined.class, outlined.polygon, &outlined.measurements)
            })
            .collect();
        write_annotations(
            &outlines_file(folder, &labels.images[image].id),
            &annotations,
        )?;
    }
    Ok(())
}

/// The flagged issues of each image, the most suspicious first.
fn by_image(issues: &[SpatialIssue]) -> BTreeMap<usize, Vec<&SpatialIssue>> {
    let mut images: BTreeMap<usize, Vec<&SpatialIssue>> = BTreeMap::new();
    for issue in issues.iter().filter(|issue| issue.flagged) {
        images.entry(issue.image).or_default().push(issue);
    }
    images
}

/// A contact sheet of the images with the most suspicious labels.
fn write_sheet(
    context: &Context,
    dataset: &Dataset,
    request: &Request,
    issues: &[SpatialIssue],
) -> Result<()> {
    let labels = &request.labels;
    let flagged = by_image(issues);
    let mut order: Vec<usize> = Vec::new();
    for issue in issues.iter().filter(|issue| issue.flagged) {
        if !order.contains(&issue.image) && order.len() < sheet::IMAGES {
            order.push(issue.image);
        }
    }
    let tiles: Vec<Tile> = order.par_iter().try_map(|&image| {
        let record = &labels.images[image];
        let found = &flagged[&image];
        let polygons = |missing: bool| -> Vec<Polygon> {
            let of = found.iter().filter(|issue| {
                let is = matches!(issue.kind, SpatialKind::Missed | SpatialKind::Overlooked);
                is == missing
            });
            of.map(|issue| issue.outline().polygon).collect()
        };
        let (wrong, missing, words) = if labels.family == Family::Mask {
            let share = found.first().map_or(0.0, |issue| issue.suspicion);
            let words = format!("{} of the pixels", percent(share));
            (
                read_outlines(&request.folder, &record.id)?,
                Vec::new(),
                words,
            )
        } else {
            let (wrong, missing) = (polygons(false), polygons(true));
            let words = format!("{} doubtful, {} missing", wrong.len(), missing.len());
            (wrong, missing, words)
        };
        let outlines = vec![
            Outlines {
                ink: Ink::Vermillion,
                polygons: wrong,
            },
            Outlines {
                ink: Ink::Sky,
                polygons: missing,
            },
        ];
        sheet::tile(dataset, record, words, outlines)
    })?;
    let mut legend = vec![(Ink::Vermillion, "probably wrong".to_owned())];
    if labels.family != Family::Mask {
        legend.push((Ink::Sky, "probably missing".to_owned()));
    }
    Sheet {
        title: format!("Labels of {} to look at", labels.source),
        lead: format!(
            "The {} with the most suspicious labels, of {} with any. Choose one to see it at full \
             size.",
            count(tiles.len(), "image"),
            thousands(flagged.len())
        ),
        legend: &legend,
    }
    .write(context, &tiles, &request.folder.join("issues.html"))
}

fn read_outlines(folder: &Path, image: &str) -> Result<Vec<Polygon>> {
    let path = outlines_file(folder, image);
    let file = std::fs::File::open(&path)
        .map_err(|error| Failure::environment(format!("{}: {error}", path.display())))?;
    let read = geojson::read(&path, file)?.content;
    Ok(read
        .into_iter()
        .flat_map(|annotation| match annotation.shape {
            Shape::Polygon(polygon) => vec![polygon],
            Shape::Polygons(polygons) => polygons,
            _ => Vec::new(),
        })
        .collect())
}

/// Below this Dice with the given labels a judge knows too little to be followed.
const WEAK_DICE: f64 = 0.5;

fn summarise(request: &Request, found: Found) -> Summary {
    let labels = &request.labels;
    let mut kinds: BTreeMap<SpatialKind, KindLine> = BTreeMap::new();
    for issue in &found.issues {
        let line = kinds.entry(issue.kind).or_insert(KindLine {
            kind: issue.kind.name(),
            flagged: 0,
            listed: 0,
        });
        line.flagged += usize::from(issue.flagged);
        line.listed += 1;
    }
    const SHOWN: usize = 5;
    let first = found.issues.iter().take(SHOWN);
    let weak = found.agreement.filter(|&dice| dice < WEAK_DICE);
    Summary {
        folder: request.folder.clone(),
        labels: labels.version.to_string(),
        source: labels.source.clone(),
        family: labels.family.name(),
        images: labels.images.len(),
        checked: found.checked,
        judge: found.judge,
        agreement: found.agreement,
        kinds: kinds.into_values().collect(),
        pixel_issues: found.pixel_issues,
        first: first
            .map(|issue| FirstLine {
                image: labels.images[issue.image].id.clone(),
                kind: issue.kind.name(),
                object: object_number(labels.family, issue.object),
                suspicion: issue.suspicion,
            })
            .collect(),
        warnings: weak
            .map(|dice| {
                format!(
                    "The judge finds little of what is labelled (Dice {dice:.2}): trust the order \
                     of the list more than its length, or bring better predictions."
                )
            })
            .into_iter()
            .collect(),
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let checked = usize::try_from(self.checked).unwrap_or(usize::MAX);
        let noun = if self.pixel_issues.is_some() {
            "labelled pixel"
        } else {
            "object"
        };
        let mut lines = vec![format!(
            "{} of {} in {} on {}, judged by {}",
            count(checked, noun),
            self.source,
            self.labels,
            count(self.images, "image"),
            self.judge
        )];
        if let Some(dice) = self.agreement {
            lines.push(format!("the judge's Dice with these labels: {dice:.3}"));
        }
        if let Some(share) = self.pixel_issues {
            lines.push(format!("probably wrong: {} of the pixels", percent(share)));
        }
        let mut table = TextTable::new(&["kind", "flagged", "listed"]);
        for line in &self.kinds {
            let numbers = [thousands(line.flagged), thousands(line.listed)];
            table.row(std::iter::once(line.kind.to_owned()).chain(numbers));
        }
        lines.push(table.text());
        let mut table = TextTable::new(&["most suspicious", "<kind", "object", "suspicion"]);
        for line in &self.first {
            table.row([
                line.image.clone(),
                line.kind.to_owned(),
                line.object
                    .map_or_else(|| "–".into(), |object| object.to_string()),
                format!("{:.3}", line.suspicion),
            ]);
        }
        lines.push(table.text());
        lines.extend(
            self.warnings
                .iter()
                .map(|warning| format!("warning: {warning}")),
        );
        lines.push(format!(
            "to look at: {}",
            self.folder.join("issues.html").display()
        ));
        lines.push(format!(
            "for QuPath: {}",
            self.folder.join("issues").join("*.geojson").display()
        ));
        lines.join("\n")
    }
}
