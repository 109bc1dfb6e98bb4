//! Boxes, instance masks and class masks made wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use cleanslide_data::{
    Dataset, Evidence, Family, ImageRecord, Labels, MAX_PIXELS, MaskFile, NewVersion, Objects,
    Polygon, Source, SourceKind, Target, TryMap, UNLABELLED_CLASS, read_image,
};
use cleanslide_report::contact_sheet::Tile;
use cleanslide_report::thumbnail::{Ink, Outlines};
use cleanslide_weak::generate::Plane;
use cleanslide_weak::noise::spatial::{
    Annotation, BoxedImage, Direction, Habit, InstanceMask, MarkovBorder, Mistake, NoisyMasks,
    NoisyObjects, add_objects, dilate_erode, drop_objects, expert_bias, jitter_boxes,
    markov_borders, markov_masks, merge_objects, object_classes, rescale_boxes, split_objects,
    swap_classes,
};
use cleanslide_weak::noise::{Uniform, uniform};
use ndarray::{Array2, ArrayView2, ArrayView3};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use serde::Serialize;

use super::{ObjectsShared, Untouched, keep_truth};
use crate::context::{Context, command_line};
use crate::failure::{Failure, Result};
use crate::output::{Show, count, percent};
use crate::shape_labels::{ShapeLabels, about};
use crate::sheet::{self, Sheet};
use crate::text_table::TextTable;

/// What is done, and to which share.
#[derive(Debug)]
pub struct Noise {
    /// What.
    pub kind: Kind,
    /// Share that becomes wrong; an expert's habits concern all.
    pub rate: Option<f64>,
}

/// What is done to objects.
#[derive(Debug)]
pub enum Kind {
    /// They are missed.
    Drop,
    /// False ones are marked.
    Add {
        /// Where objects stand out.
        plane: Plane,
    },
    /// Boxes lie elsewhere.
    Shift {
        /// Shares of their size.
        by: RangeInclusive<f64>,
    },
    /// Boxes have another size.
    Rescale {
        /// Factor for each side, or its inverse.
        factor: RangeInclusive<f64>,
        /// Which way.
        direction: Direction,
    },
    /// Neighbours are marked as one.
    Merge {
        /// Pixels between neighbours.
        gap: f64,
    },
    /// They are cut in two.
    Split,
    /// Instances are too large or too small.
    DilateErode {
        /// Pixels.
        radius: RangeInclusive<f64>,
        /// Which way.
        direction: Direction,
    },
    /// Borders wander.
    Border(MarkovBorder),
    /// They have another class.
    Swap,
    /// As an expert would draw them.
    Expert {
        /// In this order.
        habits: Vec<Habit>,
    },
}

/// The result for people and machines.
#[derive(Debug, Serialize)]
struct Summary {
    dataset: PathBuf,
    labels: String,
    source: String,
    reference: String,
    untouched: Untouched,
    family: &'static str,
    images: usize,
    images_changed: usize,
    /// True objects; pixels of class masks have none.
    objects: Option<usize>,
    /// Share that was asked for.
    requested_rate: Option<f64>,
    /// Share of the true objects that were made wrong (false ones count too), or of the labelled
    /// pixels of class masks.
    realised_rate: f64,
    mistakes: Vec<MistakeLine>,
    sheet: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct MistakeLine {
    mistake: &'static str,
    /// How often.
    times: usize,
    /// True objects that were concerned.
    true_objects: usize,
}

/// True and given outlines of what was changed on an image.
type ChangedOutlines = (Vec<Polygon>, Vec<Polygon>);

/// What came out: for each image the new target, and what to show of it.
struct Outcome {
    targets: Vec<Target>,
    /// True and given outlines of what was changed, by image.
    changed: BTreeMap<usize, ChangedOutlines>,
    objects: Option<usize>,
    rate: f64,
    mistakes: Vec<MistakeLine>,
}

/// Makes objects or masks wrong, as a new version.
pub fn run(context: &Context, noise: &Noise, arguments: &ObjectsShared) -> Result<()> {
    let shared = &arguments.shared;
    let mut dataset = context.open(&shared.dataset.dataset)?;
    let clean = ShapeLabels::load(&dataset, &shared.labels)?;
    let folder = tempfile::tempdir().map_err(|error| {
        Failure::environment(format!("failed to make a temporary folder: {error}"))
    })?;
    let mut rng = ChaCha8Rng::seed_from_u64(context.seed);
    let outcome = match clean.family {
        Family::Boxes => boxes(&dataset, &clean, noise, &mut rng)?,
        Family::Instances => instances(&dataset, &clean, noise, folder.path(), &mut rng)?,
        _ => class_masks(&dataset, &clean, noise, folder.path(), &mut rng)?,
    };
    if let Some(path) = &arguments.sheet {
        write_sheet(context, &dataset, &clean, &outcome, arguments, path)?;
    }
    let mut summary = Summary {
        dataset: dataset.folder().to_owned(),
        labels: String::new(),
        source: shared.name.clone(),
        reference: shared.reference.clone(),
        untouched: Untouched {
            labels: clean.version.to_string(),
            source: clean.source.clone(),
        },
        family: clean.family.name(),
        images: clean.images.len(),
        images_changed: outcome.changed.len(),
        objects: outcome.objects,
        requested_rate: noise.rate,
        realised_rate: outcome.rate,
        mistakes: outcome.mistakes,
        sheet: arguments.sheet.clone(),
    };
    let noisy = clean.pieces.iter().zip(outcome.targets);
    let noisy = noisy.map(|(piece, target)| Evidence {
        source: shared.name.clone(),
        target,
        ..piece.clone()
    });
    let told = (
        "with injected noise",
        format!("made {} wrong", summary.what()),
    );
    let labels = (&clean, noisy.collect());
    summary.labels = store(context, &mut dataset, labels, shared, told)?;
    context.output.show(&summary)
}

/// Adds noisy labels in the place of the clean ones, which become a reference: `noise` says in the source what was done, and
/// `summary` in the version. Gives the version's name.
pub fn store(
    context: &Context,
    dataset: &mut Dataset,
    (clean, noisy): (&ShapeLabels, Vec<Evidence>),
    shared: &super::Shared,
    (noise, summary): (&str, String),
) -> Result<String> {
    let truth = clean.pieces.iter().map(|piece| Evidence {
        source: "reference".to_owned(),
        ..piece.clone()
    });
    let truth = Labels::new(truth.collect(), dataset.classes())?;
    keep_truth(dataset, &shared.reference, truth)?;
    let replaced = |piece: &Evidence| {
        piece.target.family() == clean.family
            && (piece.source == clean.source || piece.source == shared.name)
    };
    let evidence = dataset
        .labels(clean.version)?
        .into_evidence()
        .into_iter()
        // The clean labels must not be in the version that is trained on.
        .filter(|piece| !replaced(piece))
        .chain(noisy)
        .collect();
    let labels = Labels::new(evidence, dataset.classes())?;
    let version = dataset.add_version(NewVersion {
        parent: Some(clean.version),
        produced: Some(shared.name.clone()),
        sources: vec![Source {
            id: shared.name.clone(),
            kind: SourceKind::Algorithm,
            description: format!("{} {noise}: {}", clean.source, command_line()),
            values: None,
        }],
        labels,
        provenance: context.provenance(summary),
        notes: Vec::new(),
    })?;
    Ok(version.id.to_string())
}

/// Noise that boxes and instances have in common; `None` for the others.
fn common<A: Annotation>(
    images: &[A],
    noise: &Noise,
    clean: &ShapeLabels,
    dataset: &Dataset,
    rng: &mut ChaCha8Rng,
) -> Result<Option<NoisyObjects<A>>> {
    let rate = noise.rate.unwrap_or(1.0);
    Ok(Some(match &noise.kind {
        Kind::Drop => drop_objects(images, rate, rng)?,
        Kind::Add { plane } => {
            let planes = planes(dataset, clean, *plane)?;
            let views: Vec<ArrayView2<f32>> = planes.iter().map(|plane| plane.view()).collect();
            add_objects(images, &views, rate, rng)?
        }
        Kind::Merge { gap } => merge_objects(images, rate, *gap, rng)?,
        Kind::Split => split_objects(images, rate, rng)?,
        Kind::Swap => {
            let truth = object_classes(images);
            let classes = dataset.classes().len();
            let noisy = uniform(&truth, classes, rate, Uniform::Anywhere, rng)?;
            swap_classes(images, &noisy)?
        }
        Kind::Expert { habits } => expert_bias(images, habits)?,
        _ => return Ok(None),
    }))
}

fn does_not_fit(noise: &Noise, family: Family) -> Failure {
    let (name, fitting) = match noise.kind {
        Kind::Shift { .. } => ("shift", "boxes"),
        Kind::Rescale { .. } => ("rescale", "boxes"),
        Kind::DilateErode { .. } => ("dilate-erode", "instance masks"),
        Kind::Border(_) => ("border", "instance masks and class masks"),
        _ => ("this noise", "boxes and instance masks"),
    };
    let help = match family {
        Family::Boxes => "Boxes take drop, add, shift, rescale, merge, split, swap and expert.",
        Family::Instances => {
            "Instance masks take drop, add, merge, split, dilate-erode, border, swap and expert."
        }
        _ => "Class masks take border.",
    };
    Failure::usage(format!(
        "{name} is for {fitting}, and these labels are {}",
        family.name()
    ))
    .help(help)
}

fn boxes(
    dataset: &Dataset,
    clean: &ShapeLabels,
    noise: &Noise,
    rng: &mut ChaCha8Rng,
) -> Result<Outcome> {
    let images = clean
        .images
        .par_iter()
        .zip(&clean.pieces)
        .try_map(|(image, piece)| {
            let Target::Boxes(boxes) = &piece.target else {
                return Err(Failure::other("boxes are no boxes"));
            };
            let pixels = read_image(&dataset.image_path(image), MAX_PIXELS)?.pixels;
            let size = (pixels.height() as usize, pixels.width() as usize);
            BoxedImage::new(size, boxes.objects.clone()).map_err(|error| about(image, error))
        })?;
    let rate = noise.rate.unwrap_or(1.0);
    let noisy = match (common(&images, noise, clean, dataset, rng)?, &noise.kind) {
        (Some(noisy), _) => noisy,
        (None, Kind::Shift { by }) => jitter_boxes(&images, rate, by.clone(), rng)?,
        (None, Kind::Rescale { factor, direction }) => {
            rescale_boxes(&images, rate, factor.clone(), *direction, rng)?
        }
        (None, _) => return Err(does_not_fit(noise, clean.family)),
    };
    let mut changed: BTreeMap<usize, ChangedOutlines> = BTreeMap::new();
    for change in noisy.changes() {
        let (truth, given) = changed.entry(change.image).or_default();
        let were = change.truth.iter();
        truth.extend(were.map(|was| sheet::of_box(was.object.shape)));
        let now = noisy.images()[change.image].objects();
        let are = change.given.iter();
        given.extend(are.map(|&index| sheet::of_box(now[index].shape)));
    }
    let (objects, rate, mistakes) = statistics(&noisy);
    let complete = clean.pieces.iter().map(|piece| match &piece.target {
        Target::Boxes(boxes) => boxes.complete,
        _ => false,
    });
    let (images, _) = noisy.into_parts();
    let boxes = images.into_iter().zip(complete);
    Ok(Outcome {
        targets: boxes
            .map(|(image, complete)| {
                let objects = image.into_objects();
                Target::Boxes(Objects { objects, complete })
            })
            .collect(),
        changed,
        objects: Some(objects),
        rate,
        mistakes,
    })
}

fn instances(
    dataset: &Dataset,
    clean: &ShapeLabels,
    noise: &Noise,
    folder: &Path,
    rng: &mut ChaCha8Rng,
) -> Result<Outcome> {
    let images = clean
        .images
        .par_iter()
        .zip(&clean.pieces)
        .try_map(|(image, piece)| {
            let Target::Instances {
                mask: file,
                classes,
            } = &piece.target
            else {
                return Err(Failure::other("instances are no instances"));
            };
            let mask = file.read_instances()?;
            InstanceMask::new(mask, classes.clone()).map_err(|error| about(image, error))
        })?;
    let rate = noise.rate.unwrap_or(1.0);
    let noisy = match (common(&images, noise, clean, dataset, rng)?, &noise.kind) {
        (Some(noisy), _) => noisy,
        (None, Kind::DilateErode { radius, direction }) => {
            dilate_erode(&images, rate, radius.clone(), *direction, rng)?
        }
        (None, Kind::Border(settings)) => markov_borders(&images, rate, settings, rng)?,
        (None, _) => return Err(does_not_fit(noise, clean.family)),
    };
    let mut concerned: BTreeMap<usize, (BTreeSet<u32>, BTreeSet<u32>)> = BTreeMap::new();
    for change in noisy.changes() {
        let (truth, given) = concerned.entry(change.image).or_default();
        truth.extend(change.truth.iter().map(|was| was.index as u32 + 1));
        given.extend(change.given.iter().map(|&index| index as u32 + 1));
    }
    let concerned: Vec<_> = concerned.into_iter().collect();
    let changed = concerned
        .into_par_iter()
        .try_map(|(image, (truth, given))| -> Result<_> {
            let was = sheet::of_mask(images[image].mask(), |object| truth.contains(&object))?;
            let is = noisy.images()[image].mask();
            let is = sheet::of_mask(is, |object| given.contains(&object))?;
            Ok((image, (was, is)))
        })?
        .into_iter()
        .collect();
    let targets =
        noisy
            .images()
            .par_iter()
            .enumerate()
            .try_map(|(number, image)| -> Result<_> {
                let path = folder.join(format!("{number}.png"));
                Ok(Target::Instances {
                    mask: MaskFile::write_instances(&path, image.mask())?,
                    classes: image.classes().to_vec(),
                })
            })?;
    let (objects, rate, mistakes) = statistics(&noisy);
    Ok(Outcome {
        targets,
        changed,
        objects: Some(objects),
        rate,
        mistakes,
    })
}

fn class_masks(
    dataset: &Dataset,
    clean: &ShapeLabels,
    noise: &Noise,
    folder: &Path,
    rng: &mut ChaCha8Rng,
) -> Result<Outcome> {
    let Kind::Border(settings) = &noise.kind else {
        return Err(does_not_fit(noise, clean.family));
    };
    let masks = clean
        .pieces
        .par_iter()
        .try_map(|piece| match &piece.target {
            Target::Dense(file) | Target::Partial(file) => Ok(file.read_classes()?),
            _ => Err(Failure::other("masks are no masks")),
        })?;
    let views: Vec<ArrayView2<u8>> = masks.iter().map(|mask| mask.view()).collect();
    // The first class is the background: it gives way to the others.
    let moving: Vec<u8> = (1..dataset.classes().len().min(usize::from(UNLABELLED_CLASS)))
        .map(|class| class as u8)
        .collect();
    let noisy = markov_masks(&views, &moving, noise.rate.unwrap_or(1.0), settings, rng)?;
    let rate = noisy.rate();
    let NoisyMasks { masks, truth } = noisy;
    let regions = |mask: &Array2<u8>| {
        let objects = mask.mapv(|class| match class {
            UNLABELLED_CLASS => 0,
            class => u32::from(class),
        });
        sheet::of_mask(objects.view(), |_| true)
    };
    let changed = truth
        .iter()
        .map(|(index, was)| Ok((*index, (regions(was)?, regions(&masks[*index])?))))
        .collect::<Result<BTreeMap<_, _>>>()?;
    let targets = masks
        .par_iter()
        .enumerate()
        .try_map(|(number, mask)| -> Result<_> {
            let path = folder.join(format!("{number}.png"));
            Ok(Target::class_mask(&path, mask.view())?)
        })?;
    Ok(Outcome {
        mistakes: vec![MistakeLine {
            mistake: "redrawn masks",
            times: changed.len(),
            true_objects: changed.len(),
        }],
        targets,
        changed,
        objects: None,
        rate,
    })
}

/// The plane of each image on which objects stand out.
fn planes(dataset: &Dataset, clean: &ShapeLabels, plane: Plane) -> Result<Vec<Array2<f32>>> {
    let one = |image: &ImageRecord| {
        let pixels = read_image(&dataset.image_path(image), MAX_PIXELS)?.pixels;
        let size = (pixels.height() as usize, pixels.width() as usize, 3);
        let array = ArrayView3::from_shape(size, pixels.as_raw())
            .map_err(|error| Failure::other(error.to_string()))?;
        let plane = plane.of(array).map_err(|error| about(image, error))?;
        Ok(plane.mapv(f32::from))
    };
    clean.images.par_iter().map(one).collect()
}

/// Number of true objects, share that was made wrong, and how.
fn statistics<A: Annotation>(noisy: &NoisyObjects<A>) -> (usize, f64, Vec<MistakeLine>) {
    let of = |mistake: Mistake| {
        let all = noisy.changes().iter();
        let changes: Vec<_> = all
            .filter(|change| change.mistakes.contains(&mistake))
            .collect();
        MistakeLine {
            mistake: mistake.name(),
            times: changes.len(),
            true_objects: changes.iter().map(|change| change.truth.len()).sum(),
        }
    };
    let lines = Mistake::ALL.into_iter().map(of);
    let lines = lines.filter(|line| line.times > 0).collect();
    (noisy.true_objects(), noisy.rate(), lines)
}

fn write_sheet(
    context: &Context,
    dataset: &Dataset,
    clean: &ShapeLabels,
    outcome: &Outcome,
    arguments: &ObjectsShared,
    path: &Path,
) -> Result<()> {
    let changed: Vec<(usize, &ChangedOutlines)> = outcome
        .changed
        .iter()
        .map(|(&image, outlines)| (image, outlines))
        .collect();
    let shown = sheet::evenly(&changed, arguments.sheet_images);
    let tiles: Vec<Tile> = shown.par_iter().try_map(|(image, (truth, given))| {
        let outlines = |ink, polygons: &Vec<Polygon>| Outlines {
            ink,
            polygons: polygons.clone(),
        };
        sheet::tile(
            dataset,
            &clean.images[*image],
            format!("{} true, {} given", truth.len(), given.len()),
            vec![outlines(Ink::Sky, truth), outlines(Ink::Vermillion, given)],
        )
    })?;
    let legend = [
        (Ink::Sky, "as it truly is".to_owned()),
        (Ink::Vermillion, "as it is given".to_owned()),
    ];
    Sheet {
        title: "What was made wrong".into(),
        lead: format!(
            "{} of {} changed; {} shown, with the outlines that were changed. Choose one to see it \
             at full size.",
            changed.len(),
            count(clean.images.len(), "image"),
            tiles.len()
        ),
        legend: &legend,
    }
    .write(context, &tiles, path)
}

impl Summary {
    /// What was made wrong, in a few words.
    fn what(&self) -> String {
        match self.objects {
            Some(objects) => format!(
                "{} of {}",
                percent(self.realised_rate),
                count(objects, "object")
            ),
            None => format!("{} of the labelled pixels", percent(self.realised_rate)),
        }
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let requested = match (self.requested_rate, self.objects) {
            (Some(rate), Some(_)) => format!(" ({} requested)", percent(rate)),
            (Some(rate), None) => format!(" (in {} of the masks)", percent(rate)),
            (None, _) => String::new(),
        };
        let mut lines = vec![format!(
            "{}: {}{requested} made wrong on {} of {}, as `{}` in {}; the truth is the reference `{}`",
            self.dataset.display(),
            self.what(),
            self.images_changed,
            count(self.images, "image"),
            self.source,
            self.labels,
            self.reference
        )];
        lines.push(self.untouched.line());
        let mut table = TextTable::new(&["<mistake", "times", "true objects"]);
        for line in &self.mistakes {
            let numbers = [line.times.to_string(), line.true_objects.to_string()];
            table.row(std::iter::once(line.mistake.to_owned()).chain(numbers));
        }
        lines.push(table.text());
        if let Some(sheet) = &self.sheet {
            lines.push(format!("contact sheet: {}", sheet.display()));
        }
        lines.join("\n")
    }
}
