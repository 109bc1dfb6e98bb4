//! `cleanslide weak`: labels from image processing.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use cleanslide_data::{
    Dataset, Evidence, ImageRecord, Labels, MAX_PIXELS, MaskFile, NewVersion, Object, Objects,
    Scope, Source, SourceKind, Target, Trust, TryMap, mask, read_image,
};
use cleanslide_report::contact_sheet::Tile;
use cleanslide_report::thumbnail::{Ink, Outlines};
use cleanslide_weak::generate::{
    self, Blobs, Diameters, Found, Generator, HoughCircles, Level, Nuclei, Plane, Side, sissi,
};
use image::RgbImage;
use ndarray::ArrayView3;
use rayon::prelude::*;
use serde::Serialize;

use crate::arguments::DatasetArgument;
use crate::context::{Context, command_line};
use crate::failure::{Failure, Result};
use crate::output::{Show, count};
use crate::progress;
use crate::sheet::{self, Sheet, evenly};

/// Label images by image processing
///
/// What is found becomes a new label version, from a source of the kind algorithm. Look at a
/// contact sheet first: `--sheet FILE --only-sheet` adds nothing to the dataset.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cleanslide weak hough smears --diameter 40..90px --plane saturation \\\n    \
--sheet sheet.html --only-sheet\n  \
cleanslide weak nuclei liver --diameter 5..15um\n  \
cleanslide weak blobs cfos --diameter 8..30px --side bright --level local:20"
)]
pub struct Weak {
    #[command(subcommand)]
    generator: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// Round objects by their outline, as boxes
    #[command(
        after_help = "Example:\n  cleanslide weak hough smears --diameter 40..90px --plane saturation --sheet sheet.html"
    )]
    Hough {
        #[command(flatten)]
        shared: Shared,
        #[command(flatten)]
        size: Size,
        /// What to look at
        #[arg(long, default_value = "grey", value_parser = plane, value_name = "PLANE")]
        plane: Plane,
        /// How steep an edge must be; a step from black to white is 1020
        #[arg(long, default_value_t = 100.0, value_name = "LEVELS")]
        edge: f64,
        /// Share of the circle that must be edge
        #[arg(long, default_value_t = 0.33, value_name = "SHARE")]
        support: f64,
        /// Least distance of two centres, as a share of the smallest diameter
        #[arg(long, default_value_t = 0.5, value_name = "SHARE")]
        distance: f64,
    },
    /// What is brighter or darker than the rest, as instances
    #[command(
        after_help = "Example:\n  cleanslide weak blobs cfos --diameter 8..30px --side bright --level local:20"
    )]
    Blobs {
        #[command(flatten)]
        shared: Shared,
        #[command(flatten)]
        size: Size,
        /// What to look at
        #[arg(long, default_value = "grey", value_parser = plane, value_name = "PLANE")]
        plane: Plane,
        /// Which side of the threshold
        #[arg(long, value_enum, default_value = "dark")]
        side: SideName,
        /// The threshold: otsu, local:LEVELS (against the surroundings) or fixed:LEVEL
        #[arg(long, default_value = "otsu", value_parser = level, value_name = "THRESHOLD")]
        level: Level,
        /// Leave touching objects together
        #[arg(long)]
        keep_together: bool,
    },
    /// Nuclei stained with haematoxylin, clusters cut apart, as instances
    #[command(after_help = "Example:\n  cleanslide weak nuclei liver --diameter 5..15um")]
    Nuclei {
        #[command(flatten)]
        shared: Shared,
        #[command(flatten)]
        size: Size,
        /// Above 1 finds paler nuclei, below 1 only dark ones
        #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
        sensitivity: f64,
    },
    /// What closed edges surround, as instances
    #[command(
        after_help = "Example:\n  cleanslide weak outlines wells --diameter 20..60px --plane green --edge 60"
    )]
    Outlines {
        #[command(flatten)]
        shared: Shared,
        #[command(flatten)]
        size: Size,
        /// What to look at
        #[arg(long, default_value = "grey", value_parser = plane, value_name = "PLANE")]
        plane: Plane,
        /// How steep an edge must be; a step from black to white is 1020
        #[arg(long, default_value_t = 100.0, value_name = "LEVELS")]
        edge: f64,
    },
    /// Living cells of a cytotoxicity assay at 640 x 480, as boxes (SISSI)
    #[command(
        after_help = "Example:\n  cleanslide weak sissi-alive assay --class living --sheet alive.html"
    )]
    SissiAlive {
        #[command(flatten)]
        shared: Shared,
    },
    /// Dead cells of a cytotoxicity assay at 640 x 480, as boxes (SISSI)
    #[command(
        after_help = "Example:\n  cleanslide weak sissi-dead assay --class dead --sheet dead.html"
    )]
    SissiDead {
        #[command(flatten)]
        shared: Shared,
    },
    /// Inhibited cells of a cytotoxicity assay at 640 x 480, as boxes (SISSI)
    #[command(
        after_help = "Example:\n  cleanslide weak sissi-inhibited assay --class inhibited --sheet inhibited.html"
    )]
    SissiInhibited {
        #[command(flatten)]
        shared: Shared,
    },
}

#[derive(Debug, Clone, Args)]
struct Size {
    /// Diameters to look for, such as 40..60px, or 5..12um where the scale is known
    #[arg(long, value_name = "FROM..TO", value_parser = diameters)]
    diameter: Diameters,
}

#[derive(Debug, Clone, Args)]
struct Shared {
    #[command(flatten)]
    dataset: DatasetArgument,
    /// The class of what is found; the only one by default
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    /// Name of the labels; by default that of the generator
    #[arg(long, value_name = "SOURCE")]
    name: Option<String>,
    /// Keep the boxes around what is found, instead of its outlines
    #[arg(long)]
    boxes: bool,
    /// How far the labels are believed, from 0 to 1
    #[arg(long, default_value_t = 0.5)]
    trust: f32,
    /// Where nothing is found there is nothing: background, not unlabelled
    #[arg(long)]
    complete: bool,
    /// Write a contact sheet, one HTML file
    #[arg(long, value_name = "HTML")]
    sheet: Option<PathBuf>,
    /// Images on the contact sheet, evenly from all
    #[arg(long, default_value_t = sheet::IMAGES, value_name = "IMAGES", requires = "sheet")]
    sheet_images: usize,
    /// Write the contact sheet and leave the dataset as it is
    #[arg(long, requires = "sheet")]
    only_sheet: bool,
    /// Stop at the first image that cannot be used, instead of leaving it out
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SideName {
    Bright,
    Dark,
}

fn diameters(text: &str) -> std::result::Result<Diameters, String> {
    text.parse()
        .map_err(|error: generate::GenerateError| error.to_string())
}

fn plane(text: &str) -> std::result::Result<Plane, String> {
    text.parse()
}

fn level(text: &str) -> std::result::Result<Level, String> {
    let number = |text: &str| {
        text.parse::<u8>()
            .map_err(|_| format!("`{text}` is not a grey level from 0 to 255"))
    };
    match text.split_once(':') {
        None if text == "otsu" => Ok(Level::Otsu),
        Some(("local", difference)) => Ok(Level::Local(number(difference)?)),
        Some(("fixed", level)) => Ok(Level::Fixed(number(level)?)),
        _ => Err("there are otsu, local:LEVELS and fixed:LEVEL".into()),
    }
}

impl Kind {
    fn parts(self) -> (Box<dyn Generator>, Shared) {
        match self {
            Self::Hough {
                shared,
                size,
                plane,
                edge,
                support,
                distance,
            } => {
                let generator = HoughCircles {
                    diameters: size.diameter,
                    plane,
                    edge,
                    support,
                    distance,
                };
                (Box::new(generator), shared)
            }
            Self::Blobs {
                shared,
                size,
                plane,
                side,
                level,
                keep_together,
            } => {
                let generator = Blobs {
                    diameters: size.diameter,
                    plane,
                    side: match side {
                        SideName::Bright => Side::Bright,
                        SideName::Dark => Side::Dark,
                    },
                    level,
                    split: !keep_together,
                };
                (Box::new(generator), shared)
            }
            Self::Nuclei {
                shared,
                size,
                sensitivity,
            } => {
                let generator = Nuclei {
                    diameters: size.diameter,
                    sensitivity,
                };
                (Box::new(generator), shared)
            }
            Self::Outlines {
                shared,
                size,
                plane,
                edge,
            } => {
                let generator = generate::Outlines {
                    diameters: size.diameter,
                    plane,
                    edge,
                };
                (Box::new(generator), shared)
            }
            Self::SissiAlive { shared } => (Box::new(sissi::Alive), shared),
            Self::SissiDead { shared } => (Box::new(sissi::Dead), shared),
            Self::SissiInhibited { shared } => (Box::new(sissi::Inhibited), shared),
        }
    }
}

#[derive(Debug, Serialize)]
struct Summary {
    dataset: PathBuf,
    /// `None` if only a contact sheet was made.
    labels: Option<String>,
    source: String,
    class: String,
    images: usize,
    left_out: usize,
    objects: usize,
    images_without_objects: usize,
    sheet: Option<PathBuf>,
}

/// What was found on one image, in the order of the dataset. A mask lies in a file, so that one for each thread is in
/// memory.
struct OnImage<'a> {
    image: &'a ImageRecord,
    target: Target,
    objects: usize,
}

/// What is said of objects that are found.
struct Saying<'a> {
    shared: &'a Shared,
    class: usize,
    /// Folder of masks until they are in a version.
    masks: &'a Path,
}

impl Weak {
    pub fn run(self, context: &Context) -> Result<()> {
        let (generator, shared) = self.generator.parts();
        let mut dataset = context.open(&shared.dataset.dataset)?;
        let class = class(&dataset, shared.class.as_deref())?;
        let source = shared
            .name
            .clone()
            .unwrap_or_else(|| generator.name().to_owned());
        let all: Vec<&ImageRecord> = dataset.images().iter().collect();
        let images = if shared.only_sheet {
            evenly(&all, shared.sheet_images)
        } else {
            all
        };
        let masks = tempfile::tempdir().map_err(|error| {
            Failure::environment(format!("failed to make a temporary folder: {error}"))
        })?;
        let saying = Saying {
            shared: &shared,
            class,
            masks: masks.path(),
        };
        let (findings, left_out) = find(context, &dataset, &images, generator.as_ref(), &saying)?;
        if let Some(path) = &shared.sheet {
            write_sheet(context, &dataset, &findings, &shared, &source, path)?;
        }
        let mut summary = Summary {
            dataset: shared.dataset.dataset.clone(),
            labels: None,
            source: source.clone(),
            class: dataset.classes().name(class),
            images: findings.len(),
            left_out,
            objects: findings.iter().map(|on| on.objects).sum(),
            images_without_objects: findings.iter().filter(|on| on.objects == 0).count(),
            sheet: shared.sheet.clone(),
        };
        if summary.objects == 0 && !shared.only_sheet {
            return Err(found_nothing(&summary));
        }
        if !shared.only_sheet {
            let trust = Trust::new(shared.trust)?;
            let evidence = findings.into_iter().map(|on| Evidence {
                source: source.clone(),
                scope: Scope::Image(on.image.id.clone()),
                target: on.target,
                trust,
            });
            let evidence = evidence.collect();
            let version = store(context, &mut dataset, evidence, &shared, &source)?;
            summary.labels = Some(version);
        }
        context.output.show(&summary)
    }
}

/// Labels without one object are of no use, and settings are to blame.
fn found_nothing(summary: &Summary) -> Failure {
    let told = format!(
        "{} found nothing on {}, so no labels were written",
        summary.source,
        count(summary.images, "image")
    );
    Failure::input(told).help(
        "Try other diameters, another `--plane` or, where there is one, a lower `--edge`, and look with `--sheet FILE \
         --only-sheet` at what is found.",
    )
}

fn class(dataset: &Dataset, asked: Option<&str>) -> Result<usize> {
    let classes = dataset.classes();
    match (asked, classes.len()) {
        (Some(name), _) => Ok(classes.index(name)?),
        (None, 1) => Ok(0),
        (None, _) => {
            Err(
                Failure::usage("the dataset has several classes, so what is found needs one").help(
                    format!("Name it with `--class`: {}.", classes.names().join(", ")),
                ),
            )
        }
    }
}

/// Runs the generator on images; those that cannot be read are told of and left out.
fn find<'a>(
    context: &Context,
    dataset: &Dataset,
    images: &[&'a ImageRecord],
    generator: &dyn Generator,
    saying: &Saying,
) -> Result<(Vec<OnImage<'a>>, usize)> {
    let shared = saying.shared;
    let bar = progress::bar("labelling images", images.len());
    let results: Vec<Result<OnImage>> = images
        .par_iter()
        .enumerate()
        .map(|(number, &image)| {
            let pixels = read_image(&dataset.image_path(image), MAX_PIXELS)?.pixels;
            let found = generator
                .find(array(&pixels)?, image.microns_per_pixel)
                .map_err(|error| Failure::usage(format!("image {}: {error}", image.id)));
            bar.inc(1);
            let found = if shared.boxes {
                found?.into_boxes()
            } else {
                found?
            };
            Ok(OnImage {
                image,
                objects: found.len(),
                target: saying.of(found, number)?,
            })
        })
        .collect();
    bar.finish_and_clear();
    let mut findings = Vec::new();
    let mut left_out = 0;
    for result in results {
        match result {
            Ok(found) => findings.push(found),
            Err(failure) if shared.strict || failure.is_usage() => return Err(failure),
            Err(failure) => {
                left_out += 1;
                context.output.warn(&failure.warning());
            }
        }
    }
    if findings.is_empty() {
        return Err(Failure::input("not one image could be used")
            .help("Check that the image files still lie where images.csv says."));
    }
    Ok((findings, left_out))
}

/// An image as an array, without a copy.
fn array(pixels: &RgbImage) -> Result<ArrayView3<'_, u8>> {
    let size = (pixels.height() as usize, pixels.width() as usize, 3);
    ArrayView3::from_shape(size, pixels.as_raw()).map_err(|error| Failure::other(error.to_string()))
}

impl Saying<'_> {
    fn of(&self, found: Found, number: usize) -> Result<Target> {
        let objects = found.len();
        Ok(match found {
            Found::Boxes(boxes) => Target::Boxes(Objects {
                objects: boxes
                    .iter()
                    .map(|found| Object {
                        shape: found.rectangle,
                        class: self.class,
                        trust: found.trust,
                    })
                    .collect(),
                complete: self.shared.complete,
            }),
            Found::Instances(mut labels) => {
                if !self.shared.complete {
                    labels.mapv_inplace(|label| match label {
                        0 => mask::UNLABELLED_OBJECT,
                        object => object,
                    });
                }
                let file = self.masks.join(format!("{number}.png"));
                Target::Instances {
                    mask: MaskFile::write_instances(&file, labels.view())?,
                    classes: vec![self.class; objects],
                }
            }
        })
    }
}

/// Adds the evidence as a new version, in the place of what the same source said before.
fn store(
    context: &Context,
    dataset: &mut Dataset,
    evidence: Vec<Evidence>,
    shared: &Shared,
    source: &str,
) -> Result<String> {
    let parent = dataset.versions()?.last().copied();
    let mut all = match parent {
        Some(parent) => dataset.labels(parent)?.into_evidence(),
        None => Vec::new(),
    };
    let new: std::collections::BTreeSet<_> = evidence
        .iter()
        .map(|piece| (piece.scope.item().to_owned(), piece.target.family()))
        .collect();
    all.retain(|piece| {
        piece.source != source
            || !new.contains(&(piece.scope.item().to_owned(), piece.target.family()))
    });
    all.extend(evidence);
    let labels = Labels::new(all, dataset.classes())?;
    let version = dataset.add_version(NewVersion {
        parent,
        produced: Some(source.to_owned()),
        sources: vec![Source {
            id: source.to_owned(),
            kind: SourceKind::Algorithm,
            description: command_line(),
            values: None,
        }],
        labels,
        provenance: context.provenance(format!(
            "labelled by {source}, {}",
            if shared.complete {
                "complete"
            } else {
                "the rest unlabelled"
            }
        )),
        notes: Vec::new(),
    })?;
    Ok(version.id.to_string())
}

fn write_sheet(
    context: &Context,
    dataset: &Dataset,
    findings: &[OnImage],
    shared: &Shared,
    source: &str,
    path: &Path,
) -> Result<()> {
    let shown: Vec<&OnImage> = evenly(&findings.iter().collect::<Vec<_>>(), shared.sheet_images);
    let tiles: Vec<Tile> = shown.par_iter().try_map(|on| tile(dataset, on))?;
    let objects: usize = findings.iter().map(|on| on.objects).sum();
    let lead = format!(
        "{} on {}; {} shown. Choose one to see it at full size.",
        count(objects, "object"),
        count(findings.len(), "image"),
        count(tiles.len(), "image"),
    );
    Sheet {
        title: format!("What {source} finds"),
        lead,
        legend: &[(Ink::Sky, format!("found by {source}"))],
    }
    .write(context, &tiles, path)
}

fn tile(dataset: &Dataset, on: &OnImage) -> Result<Tile> {
    let (polygons, noun) = match &on.target {
        Target::Boxes(boxes) => {
            let boxes = boxes.objects.iter();
            let boxes = boxes.map(|object| sheet::of_box(object.shape));
            (boxes.collect(), "box")
        }
        Target::Instances { mask, .. } => {
            let labels = mask.read_instances()?;
            (sheet::of_mask(labels.view(), |_| true)?, "object")
        }
        _ => {
            return Err(Failure::other(
                "what is found is neither boxes nor instances",
            ));
        }
    };
    let outlines = Outlines {
        ink: Ink::Sky,
        polygons,
    };
    sheet::tile(dataset, on.image, count(on.objects, noun), vec![outlines])
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut lines = vec![format!(
            "{} of class `{}` on {} by {}{}",
            count(self.objects, "object"),
            self.class,
            count(self.images, "image"),
            self.source,
            match &self.labels {
                Some(version) => format!(", as {version}"),
                None => ", not kept".to_owned(),
            }
        )];
        if self.images_without_objects > 0 {
            lines.push(format!(
                "nothing found on {}",
                count(self.images_without_objects, "image")
            ));
        }
        if self.left_out > 0 {
            lines.push(format!("{} left out", count(self.left_out, "bad image")));
        }
        if let Some(sheet) = &self.sheet {
            lines.push(format!("contact sheet: {}", sheet.display()));
        }
        lines.join("\n")
    }
}
