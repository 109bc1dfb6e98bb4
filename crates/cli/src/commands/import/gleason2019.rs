//! The Gleason 2019 challenge: six pathologists, and the split of a paper.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use cleanslide_data::formats::Imported;
use cleanslide_data::formats::gleason2019::{Challenge, VALUES};
use cleanslide_data::{Classes, Split, Task, ValueMap};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Result;
use crate::output::{Show, count, thousands};
use crate::progress;
use crate::text_table::TextTable;

#[derive(Debug, Args)]
pub struct Gleason2019 {
    /// Folder with Train_imgs and Maps1_T to Maps6_T
    input: PathBuf,
    /// Folder of the dataset, new or existing
    dataset: PathBuf,
    /// What the numbers in the masks mean; `unlabelled` is no class, `*` all other numbers
    #[arg(long, default_value = VALUES, value_name = "NUMBER=CLASS,...")]
    values: ValueMap,
}

#[derive(Debug, Serialize)]
struct Summary {
    #[serde(flatten)]
    imported: super::Summary,
    pathologists: Vec<Pathologist>,
    splits: Vec<(String, usize)>,
    /// Cores that are labelled, but no part of the split.
    left_out: Vec<String>,
    unlabelled: Vec<String>,
    masks_without_core: Vec<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Pathologist {
    source: String,
    /// How many cores they labelled, of those in the dataset.
    cores: usize,
}

impl Gleason2019 {
    pub fn run(self, context: &Context) -> Result<()> {
        let challenge = Challenge::find(&self.input)?;
        let masks = super::temporary_folder()?;
        let imported = self.read(context, &challenge, masks.path())?;
        let pathologists = pathologists(&imported);
        let splits = splits(&imported);
        let task = Task::Segmentation;
        let imported = super::store(context, imported, task, &self.dataset, &self.input, 0)?;
        context.output.show(&Summary {
            imported,
            pathologists,
            splits,
            left_out: challenge.left_out,
            unlabelled: challenge.unlabelled,
            masks_without_core: challenge.masks_without_core,
        })
    }

    /// Reads everything; `masks` is a folder for masks until they are in a version.
    fn read(&self, context: &Context, challenge: &Challenge, masks: &Path) -> Result<Imported> {
        let classes = Classes::new(self.values.class_names())?;
        let images = challenge.images(&mut ChaCha8Rng::seed_from_u64(context.seed))?;
        let bar = progress::bar("masks", challenge.masks());
        let evidence = challenge.evidence(&self.values, &classes, masks, || bar.inc(1));
        bar.finish_and_clear();
        Ok(Imported {
            images,
            classes,
            sources: challenge.sources(&self.values),
            evidence: evidence?,
            references: Vec::new(),
            missing_words: BTreeMap::new(),
        })
    }
}

fn pathologists(imported: &Imported) -> Vec<Pathologist> {
    let cores = |source: &str| {
        let pieces = imported.evidence.iter();
        pieces.filter(|piece| piece.source == source).count()
    };
    let sources = imported.sources.iter();
    sources
        .map(|source| Pathologist {
            cores: cores(&source.id),
            source: source.id.clone(),
        })
        .collect()
}

fn splits(imported: &Imported) -> Vec<(String, usize)> {
    let cores = |split| {
        let images = imported.images.iter();
        images.filter(|image| image.split == Some(split)).count()
    };
    [Split::Train, Split::Validation, Split::Test]
        .map(|split| (split.to_string(), cores(split)))
        .to_vec()
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut lines = self.imported.lines();
        let mut table = TextTable::new(&["source", "cores"]);
        for pathologist in &self.pathologists {
            table.row([pathologist.source.clone(), thousands(pathologist.cores)]);
        }
        lines.extend([String::new(), table.text(), String::new()]);
        let splits = self.splits.iter();
        let splits = splits.map(|(name, cores)| format!("{} {name}", thousands(*cores)));
        lines.push(format!(
            "split of Xiao et al. (arXiv 2104.02602), who had 195 cores for training and validation and 40 for the \
             test: {}",
            splits.collect::<Vec<_>>().join(", ")
        ));
        lines.push("a case is a core: nothing here says which cores are of one patient".to_owned());
        lines.extend(self.left_out());
        lines.push(self.imported.next());
        lines.join("\n")
    }
}

impl Summary {
    /// What was not imported, and why.
    fn left_out(&self) -> Vec<String> {
        let told = |what: &str, names: &[String], why: &str| {
            names.first().map(|first| {
                format!(
                    "left out: {}, {why}; the first is {first}",
                    count(names.len(), what)
                )
            })
        };
        let masks = self.masks_without_core.iter();
        let masks: Vec<String> = masks.map(|path| path.display().to_string()).collect();
        [
            told(
                "core",
                &self.left_out,
                "labelled neither by all six pathologists nor by 1, 3 and 4",
            ),
            told("core", &self.unlabelled, "labelled by nobody"),
            told("mask", &masks, "not called like a core"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
