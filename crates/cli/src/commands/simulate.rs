//! `cleanslide simulate`: a dataset of simulated tissue with known truth.

mod pictures;

use std::path::{Path, PathBuf};

use clap::Args;
use cleanslide_data::store::{publish_folder, write_file};
use cleanslide_data::{
    Classes, Dataset, Evidence, FORMAT, ImageRecord, Labels, Manifest, NewVersion, Reference,
    Source, SourceKind, Target, Task, TryMap,
};
use cleanslide_weak::simulate::{
    Annotator, CellKind, LabelledPatch, PatchClass, PatchClassification, simulate_votes,
};
use image::RgbImage;
use rayon::prelude::*;
use serde::Serialize;

use super::inject::difficulty_table;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::new_folder::refuse_existing;
use crate::output::{Show, count};
use pictures::Told;

/// Make a dataset of simulated tissue with known truth
///
/// Patches of H&E-stained liver in four classes, from cases that differ in stain and focus, labelled
/// by three simulated annotators with habits and gaps. With `--cells`, pictures of 128 µm a side in which
/// the nuclei of some kinds are outlined rightly; with `--tissue`, pictures of 256 µm of two kinds of liver tumour in which every
/// pixel has its class and every case its diagnosis. `inject` makes mistakes of it. The truth is kept apart as
/// the reference `truth`. Simulated tissue is for trying things out; no claim about real tissue rests on it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cleanslide simulate liver --cases 24 --patches 40 --seed 1\n  \
cleanslide simulate immune-cells --cells immune --cases 12 --patches 6\n  \
cleanslide simulate tumours --tissue --cases 60 --patches 3"
)]
pub struct Simulate {
    /// Folder of the new dataset
    #[arg(value_name = "DATASET")]
    dataset: PathBuf,
    /// Number of cases
    #[arg(long, default_value_t = 24)]
    cases: usize,
    /// Patches of each case
    #[arg(long, default_value_t = 24)]
    patches: usize,
    /// One source with true labels, instead of three annotators who err
    #[arg(long)]
    clean: bool,
    /// Masks of the cells of these kinds, each a class, instead of classes of patches: hepatocyte, tumour, immune, and
    /// those that look like immune cells: pyknotic, endothelial, fibroblast
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "KINDS",
        conflicts_with = "clean",
        value_parser = pictures::kind
    )]
    cells: Vec<CellKind>,
    /// The class of every pixel and a diagnosis of every case, hepatocellular or cholangiocellular, instead of classes of
    /// patches
    #[arg(long, conflicts_with_all = ["clean", "cells"])]
    tissue: bool,
}

#[derive(Debug, Serialize)]
struct Summary {
    dataset: PathBuf,
    images: usize,
    cases: usize,
    sources: Vec<String>,
    labels: usize,
    #[serde(skip)]
    next: (&'static str, &'static str),
}

impl Simulate {
    pub fn run(self, context: &Context) -> Result<()> {
        if self.cases == 0 || self.patches == 0 {
            return Err(Failure::usage("there is nothing to simulate: 0 patches"));
        }
        let dataset = if self.cells.is_empty() && !self.tissue {
            let task = PatchClassification {
                seed: context.seed,
                cases: self.cases,
                patches_per_case: self.patches,
                ..PatchClassification::default()
            };
            simulate(context, &self.dataset, &task, self.clean)?
        } else {
            let told = match self.tissue {
                true => Told::Tissue,
                false => Told::Cells(&self.cells),
            };
            pictures::simulate(context, &self.dataset, self.cases, self.patches, &told)?
        };
        let labels = dataset.labels(dataset.latest()?)?;
        context.output.show(&Summary {
            dataset: self.dataset,
            images: dataset.images().len(),
            cases: self.cases,
            sources: dataset
                .manifest()
                .sources
                .iter()
                .map(|source| source.id.clone())
                .collect(),
            labels: match dataset.manifest().task {
                Task::Classification => labels.evidence().len(),
                Task::Segmentation | Task::Detection => labels
                    .evidence()
                    .iter()
                    .map(|piece| objects(&piece.target))
                    .sum(),
            },
            next: match dataset.manifest().task {
                Task::Classification if self.clean => ("inject uniform", " --rate 0.3"),
                Task::Classification => ("fuse", ""),
                Task::Segmentation | Task::Detection if self.tissue => {
                    ("inject unlabel", TAKE_AWAY)
                }
                Task::Segmentation | Task::Detection => ("inject add", " --rate 0.2"),
            },
        })
    }
}

/// The source that is right.
const SIMULATOR: &str = "simulator";

/// How much of the labels of simulated tissue `inject unlabel` is to take away.
const TAKE_AWAY: &str = " --source simulator --rate 0.9";

/// The reference.
const TRUTH: &str = "truth";

/// Where the difficulty of each patch is written, for `inject difficult`.
const DIFFICULTY: &str = "difficulty.csv";

/// Simulates patches and writes them as a dataset.
pub fn simulate(
    context: &Context,
    folder: &Path,
    task: &PatchClassification,
    clean: bool,
) -> Result<Dataset> {
    refuse_existing(folder)?;
    let patches = task.simulate();
    let images: Vec<ImageRecord> = patches
        .iter()
        .enumerate()
        .map(|(index, patch)| {
            let case = format!("case{:03}", patch.case + 1);
            let path = format!("images/{case}/{:03}.png", index % task.patches_per_case + 1);
            ImageRecord {
                id: path.clone(),
                path,
                case,
                microns_per_pixel: Some(f64::from(task.microns_per_pixel)),
                ..ImageRecord::default()
            }
        })
        .collect();
    let classes = Classes::new(
        PatchClass::ALL
            .iter()
            .map(|class| class.name().to_owned())
            .collect(),
    )?;
    let truth: Vec<usize> = patches.iter().map(|patch| patch.class as usize).collect();
    let (sources, evidence) = if clean {
        let source = Source {
            kind: SourceKind::Algorithm,
            ..Source::expert(SIMULATOR)
        };
        let evidence = images
            .iter()
            .zip(&truth)
            .map(|(image, &class)| Evidence::class(SIMULATOR, &image.id, class));
        (vec![source], evidence.collect())
    } else {
        annotate(&images, &patches, &truth, context.seed)?
    };
    let reference = images
        .iter()
        .zip(&truth)
        .map(|(image, &class)| Evidence::class("reference", &image.id, class))
        .collect();
    let reference = Reference::new(Labels::new(reference, &classes)?);
    let first = NewVersion {
        parent: None,
        produced: clean.then(|| SIMULATOR.to_owned()),
        sources: Vec::new(),
        labels: Labels::new(evidence, &classes)?,
        provenance: context.provenance(format!("simulated {}", count(images.len(), "patch"))),
        notes: Vec::new(),
    };
    let manifest = Manifest {
        format: FORMAT,
        task: Task::Classification,
        classes,
        sources,
    };

    // The pictures come first, under a temporary name: the dataset appears whole.
    publish_folder(folder, |temporary| {
        let inside = temporary.join("dataset");
        Dataset::create(
            &inside,
            manifest,
            images.clone(),
            Some(first),
            &[(TRUTH.into(), reference)],
        )?;
        unpack(&inside, temporary)?;
        let rows = images.iter().zip(&patches);
        let rows = rows.map(|(image, patch)| (image.id.as_str(), f64::from(patch.difficulty)));
        write_file(&temporary.join(DIFFICULTY), &difficulty_table(rows))?;
        images.par_iter().zip(&patches).try_map(|(image, patch)| {
            write_picture(&temporary.join(&image.path), &patch.image.rgb)
        })?;
        Ok(())
    })?;
    Ok(Dataset::open(folder)?)
}

/// Moves what a dataset consists of into the folder around it.
pub fn unpack(inside: &Path, around: &Path) -> cleanslide_data::Result<()> {
    let refused = |action, path: &Path, error| cleanslide_data::Error::io(action, path, error);
    for entry in std::fs::read_dir(inside).map_err(|error| refused("read", inside, error))? {
        let entry = entry.map_err(|error| refused("read", inside, error))?;
        let from = entry.path();
        std::fs::rename(&from, around.join(entry.file_name()))
            .map_err(|error| refused("rename", &from, error))?;
    }
    std::fs::remove_dir(inside).map_err(|error| refused("remove", inside, error))
}

/// So many objects are marked; a class mask and a diagnosis are one label each.
fn objects(target: &Target) -> usize {
    match target {
        Target::Instances { classes, .. } => classes.len(),
        _ => 1,
    }
}

pub fn write_picture(path: &Path, picture: &RgbImage) -> cleanslide_data::Result<()> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(|error| cleanslide_data::Error::io("write", path, std::io::Error::other(error)))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .map_err(|error| cleanslide_data::Error::io("create", folder, error))?;
    std::fs::write(path, bytes.into_inner())
        .map_err(|error| cleanslide_data::Error::io("write", path, error))
}

/// Votes of a panel of three.
fn annotate(
    images: &[ImageRecord],
    patches: &[LabelledPatch],
    truth: &[usize],
    seed: u64,
) -> Result<(Vec<Source>, Vec<Evidence>)> {
    let difficulty: Vec<f32> = patches.iter().map(|patch| patch.difficulty).collect();
    let panel = Annotator::panel(PatchClass::ALL.len())?;
    let votes = simulate_votes(truth, &difficulty, &panel, seed)?;
    let names: Vec<String> = (1..=panel.len())
        .map(|number| format!("annotator{number}"))
        .collect();
    let evidence = images
        .iter()
        .enumerate()
        .flat_map(|(item, image)| {
            votes.of(item).iter().map(|vote| {
                Evidence::class(
                    names[vote.annotator as usize].clone(),
                    &image.id,
                    vote.class as usize,
                )
            })
        })
        .collect();
    Ok((names.iter().map(Source::expert).collect(), evidence))
}

impl Show for Summary {
    fn text(&self) -> String {
        format!(
            "{}: {} of {}, {} by {}; the truth is the reference `truth`\nnext: cleanslide {} {}{}",
            self.dataset.display(),
            count(self.images, "simulated image"),
            count(self.cases, "case"),
            count(self.labels, "label"),
            self.sources.join(", "),
            self.next.0,
            self.dataset.display(),
            self.next.1
        )
    }
}
