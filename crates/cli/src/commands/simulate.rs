//! `cleanslide simulate`: a dataset of simulated tissue with known truth.

use std::path::{Path, PathBuf};

use clap::Args;
use cleanslide_data::store::{publish_folder, write_file};
use cleanslide_data::{
    Classes, Dataset, Evidence, FORMAT, ImageRecord, Labels, Manifest, NewVersion, Reference,
    Source, SourceKind, Task, TryMap,
};
use cleanslide_weak::simulate::{
    Annotator, LabelledPatch, PatchClass, PatchClassification, simulate_votes,
};
use rayon::prelude::*;
use serde::Serialize;

use super::inject::difficulty_table;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::{Show, count};

/// Make a dataset of simulated tissue with known truth
///
/// Patches of H&E-stained liver in four classes, from cases that differ in stain and focus, labelled
/// by three simulated annotators with habits and gaps. The truth is kept apart as the reference
/// `truth`. Simulated tissue is for trying things out; no claim about real tissue rests on it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cleanslide simulate liver --cases 24 --patches 40 --seed 1")]
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
}

#[derive(Debug, Serialize)]
struct Summary {
    dataset: PathBuf,
    images: usize,
    cases: usize,
    sources: Vec<String>,
    labels: usize,
}

impl Simulate {
    pub fn run(self, context: &Context) -> Result<()> {
        if self.cases == 0 || self.patches == 0 {
            return Err(Failure::usage("there is nothing to simulate: 0 patches"));
        }
        let task = PatchClassification {
            seed: context.seed,
            cases: self.cases,
            patches_per_case: self.patches,
            ..PatchClassification::default()
        };
        let dataset = simulate(context, &self.dataset, &task, self.clean)?;
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
            labels: labels.evidence().len(),
        })
    }
}

/// Where the difficulty of each patch is written, for `inject difficult`.
const DIFFICULTY: &str = "difficulty.csv";

/// Simulates patches and writes them as a dataset.
pub fn simulate(
    context: &Context,
    folder: &Path,
    task: &PatchClassification,
    clean: bool,
) -> Result<Dataset> {
    if folder.exists() {
        return Err(
            Failure::usage(format!("{} exists already", folder.display()))
                .help("Choose another folder for the dataset, or remove this one."),
        );
    }
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
            ..Source::expert("simulator")
        };
        let evidence = images
            .iter()
            .zip(&truth)
            .map(|(image, &class)| Evidence::class("simulator", &image.id, class));
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
        produced: clean.then(|| "simulator".to_owned()),
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
            &[("truth".into(), reference)],
        )?;
        for entry in ["dataset.toml", "images.csv", "labels", "reference"] {
            std::fs::rename(inside.join(entry), temporary.join(entry)).map_err(|error| {
                cleanslide_data::Error::io("rename", &inside.join(entry), error)
            })?;
        }
        std::fs::remove_dir(&inside)
            .map_err(|error| cleanslide_data::Error::io("remove", &inside, error))?;
        let rows = images.iter().zip(&patches);
        let rows = rows.map(|(image, patch)| (image.id.as_str(), f64::from(patch.difficulty)));
        write_file(&temporary.join(DIFFICULTY), &difficulty_table(rows))?;
        images
            .par_iter()
            .zip(&patches)
            .try_map(|(image, patch)| write_patch(&temporary.join(&image.path), patch))?;
        Ok(())
    })?;
    Ok(Dataset::open(folder)?)
}

fn write_patch(path: &Path, patch: &LabelledPatch) -> cleanslide_data::Result<()> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    patch
        .image
        .rgb
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
            "{}: {} of {}, {} by {}; the truth is the reference `truth`\nnext: cleanslide fuse {}",
            self.dataset.display(),
            count(self.images, "simulated image"),
            count(self.cases, "case"),
            count(self.labels, "label"),
            self.sources.join(", "),
            self.dataset.display()
        )
    }
}
