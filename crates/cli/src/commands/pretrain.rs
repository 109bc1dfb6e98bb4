//! `cleanslide pretrain`: an encoder from images without labels.

mod look;

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::Args;
use cleanslide_data::store::{publish_folder, write_file};
use cleanslide_data::{
    Dataset, Error as DataError, ImageRecord, MAX_PIXELS, Split, VersionId, read_image,
};
use cleanslide_learn::pretrain::{
    Objective, PretrainSettings, Pretrainer, Probe, Trouble, UnlabelledImages, trouble,
};
use cleanslide_learn::training::{Checkpoints, Epoch, Watch};
use cleanslide_nn::devices::DeviceName;
use cleanslide_nn::networks::ImageEncoderName;
use cleanslide_report::learning_curves::LearningCurves;
use cleanslide_report::number::Estimate;
use cleanslide_report::page::Provenance;
use cleanslide_report::plots::Line;
use cleanslide_report::training::{TrainingReport, render};
use image::RgbImage;
use serde::{Deserialize, Serialize};

use super::train::networks::one_scale;
use crate::arguments::{DatasetArgument, DeviceArgument, LabelsArguments};
use crate::context::{Context, command_line, now, program};
use crate::failure::{Failure, Result};
use crate::held::Held;
use crate::network_run::warn_of_threads;
use crate::output::{Show, count, thousands};
use crate::pipeline::refuse_leaks;
use crate::progress;
use crate::run_folder::{read_recipe, refuse_method};

use look::Look;

const CONFIG: &str = "config.toml";
const MANIFEST: &str = "manifest.json";
const MODEL: &str = "model.safetensors";

/// Train an encoder on images without labels, for embeddings that wrong labels can do little to
///
/// Two views of each image – turned, mirrored, moved, in other stains – shall look alike, and unlike those of other
/// images. Images for test are left out. Where the dataset has classes of images, the curves show how well the given
/// labels are found again by the embeddings (nearest neighbours and a linear classifier, by case); nothing is learned
/// from them. A training that is killed goes on where it was, to the same bytes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cleanslide pretrain mitoses --method simclr --view 64 --out runs/simclr\n  \
cleanslide embed mitoses --encoder runs/simclr/model.safetensors --crop 64\n\n\
A recipe is a TOML file with the keys seed, central_crop, chunk, probe_every, [encoder], [objective], [train] and [augment]. \
config.toml of any run is one, with all defaults."
)]
pub struct Pretrain {
    #[command(flatten)]
    dataset: DatasetArgument,
    /// Settings as a TOML file; flags override it
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// How views are compared, with default settings: `simclr`, `moco-v3`, and without contrast `dino` and `barlow-twins`
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// The network: `resnet18`, `resnet34`, `resnet50` or `vit-small`
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// The side of a view in pixels; images are never resized
    #[arg(long, value_name = "PIXELS")]
    view: Option<usize>,
    /// Take views from the central square of this many pixels of each image only
    #[arg(long, value_name = "PIXELS")]
    crop: Option<u32>,
    /// Passes over the images
    #[arg(long)]
    epochs: Option<usize>,
    /// Images of a batch, which are compared with each other
    #[arg(long)]
    batch: Option<usize>,
    /// Views that are in the network at once, where a batch does not fit into memory
    #[arg(long, value_name = "VIEWS")]
    chunk: Option<usize>,
    #[command(flatten)]
    labels: LabelsArguments,
    /// Folder of the run
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    #[command(flatten)]
    device: DeviceArgument,
}

/// `manifest.json`: what such a run is made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Manifest {
    /// Always [`KIND`].
    kind: String,
    program: String,
    command: String,
    created: String,
    finished: Option<String>,
    dataset: PathBuf,
    /// Images learned from.
    images: usize,
    /// Hash of their names.
    images_hash: String,
    /// The labels that the curves are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    looked_at: Option<LookedAt>,
    config_hash: String,
    seed: u64,
    threads: usize,
    device: DeviceName,
}

/// Labels that the curves are of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct LookedAt {
    labels: VersionId,
    source: String,
}

const KIND: &str = "encoder";

#[derive(Debug, Serialize)]
struct Summary {
    run: PathBuf,
    encoder: PathBuf,
    method: &'static str,
    images: usize,
    dimension: usize,
    view: usize,
    collapsed: bool,
    /// Why the encoder is not to be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    useless: Option<&'static str>,
    seconds: f64,
    last: Option<Epoch>,
    dataset: PathBuf,
}

impl Pretrain {
    pub fn run(self, context: &Context) -> Result<()> {
        refuse_method(self.recipe.as_deref(), "--method")?;
        let start = Instant::now();
        let dataset = context.open(&self.dataset.dataset)?;
        refuse_leaks(&dataset)?;
        let mut settings = self.settings()?;
        let context = &context.with_seed_of_recipe(settings.seed);
        settings.seed = context.seed;
        settings.check().map_err(Failure::from)?;
        let images: Vec<&ImageRecord> = dataset
            .images()
            .iter()
            .filter(|image| image.split != Some(Split::Test))
            .collect();
        let look = Look::new(&dataset, &images, &self.labels)?;
        let device = self.device.name().open()?;
        let config =
            toml::to_string_pretty(&settings).map_err(|error| Failure::other(error.to_string()))?;
        let manifest = self.manifest(context, &dataset, &images, &look, &config, device.name);
        let held = begin(context, &self.out, &manifest, &config)?;
        context.output.note(&format!(
            "pretraining {} by {} on {} ({})",
            name_of(&settings),
            settings.objective.name(),
            count(images.len(), "image"),
            match device.name {
                DeviceName::Cpu => count(context.threads, "thread"),
                DeviceName::Vulkan => device.model.clone(),
            },
        ));

        let steps = images.len().div_ceil(settings.train.batch_size) * settings.train.epochs;
        let bar = progress::bar("pretraining", steps);
        let warned_of = Cell::new(None);
        let items: Vec<usize> = (0..images.len()).collect();
        let warned = AtomicBool::new(false);
        let warn = |problem: &str| {
            if !warned.swap(true, Ordering::Relaxed) {
                let text = format!(
                    "how well the given labels are found again could not be measured, and is left out: {problem}"
                );
                bar.suspend(|| context.output.warn(&text));
            }
        };
        let measure = |embeddings| look.measure(embeddings, &warn);
        let pretrainer = Pretrainer {
            images: &Files {
                dataset: &dataset,
                images: &images,
            },
            items: &items,
            settings: &settings,
            probe: Some(Probe {
                items: &look.items,
                measure: &measure,
            }),
            device: &device.device,
            folder: &self.out,
        };
        let scale = one_scale(&images.iter().copied().cloned().collect::<Vec<_>>());
        let name = format!("{} by {}", name_of(&settings), settings.objective.name());
        let pretrained = pretrainer.run(
            &name,
            scale,
            &Watch {
                step: &|| bar.inc(1),
                epoch: &|epoch, _| {
                    let found = trouble(epoch);
                    if let Some(found) = found.filter(|_| found != warned_of.get()) {
                        bar.suspend(|| context.output.warn(&what_is_wrong(found, epoch.epoch)));
                    }
                    warned_of.set(found.or(warned_of.get()));
                },
            },
        );
        bar.finish_and_clear();
        let pretrained = pretrained?;
        write_file(&self.out.join(MODEL), &pretrained.to_bytes()?)?;
        let epochs = read_epochs(&self.out)?;
        let last = epochs.last().cloned();
        let found = last.as_ref().and_then(trouble);
        self.write_page(&manifest, &settings, &config, &epochs)?;
        let finished = Manifest {
            finished: Some(now()),
            ..manifest
        };
        write_manifest(held.folder(), &finished)?;
        // Not before: what is interrupted until then goes on after the last epoch.
        Checkpoints::of(&self.out).clear()?;
        held.release()?;
        context.output.show(&Summary {
            encoder: self.out.join(MODEL),
            method: settings.objective.name(),
            images: images.len(),
            dimension: settings.encoder.dimension(),
            view: settings.train.crop,
            collapsed: found == Some(Trouble::Collapse),
            useless: found.map(useless),
            seconds: start.elapsed().as_secs_f64(),
            last,
            dataset: self.dataset.dataset,
            run: self.out,
        })
    }

    /// The recipe, or what an unfinished run was begun with, with what the flags say.
    fn settings(&self) -> Result<PretrainSettings> {
        let begun = self.out.join(CONFIG);
        let mut settings: PretrainSettings = match &self.recipe {
            Some(path) => read_recipe(path)?,
            None if begun.exists() => read_recipe(&begun)?,
            None => PretrainSettings::default(),
        };
        if let Some(name) = &self.method {
            settings.objective = Objective::named(name).ok_or_else(|| {
                let close = cleanslide_data::nearest(name, &Objective::NAMES.map(String::from))
                    .map(|close| format!("Did you mean `{close}`? "))
                    .unwrap_or_default();
                Failure::usage(format!("`{name}` is no method of pretraining"))
                    .help(format!("{close}There are {}.", Objective::NAMES.join(", ")))
            })?;
        }
        if let Some(name) = &self.network {
            settings.encoder.name =
                serde_json::from_value::<ImageEncoderName>(name.as_str().into()).map_err(|_| {
                    Failure::usage(format!("`{name}` is no network that can be pretrained"))
                        .help("There are resnet18, resnet34, resnet50 and vit-small.")
                })?;
        }
        let train = &mut settings.train;
        train.crop = self.view.unwrap_or(train.crop);
        train.epochs = self.epochs.unwrap_or(train.epochs);
        train.batch_size = self.batch.unwrap_or(train.batch_size);
        settings.chunk = self.chunk.unwrap_or(settings.chunk);
        settings.central_crop = self.crop.or(settings.central_crop);
        Ok(settings)
    }

    fn manifest(
        &self,
        context: &Context,
        dataset: &Dataset,
        images: &[&ImageRecord],
        look: &Look,
        config: &str,
        device: DeviceName,
    ) -> Manifest {
        let names: Vec<&str> = images.iter().map(|image| image.id.as_str()).collect();
        Manifest {
            kind: KIND.to_owned(),
            program: program(),
            command: command_line(),
            created: now(),
            finished: None,
            dataset: dataset.folder().to_owned(),
            images: images.len(),
            images_hash: blake3::hash(names.join("\n").as_bytes())
                .to_hex()
                .to_string(),
            looked_at: look.labels().map(|labels| LookedAt {
                labels: labels.version,
                source: labels.source.clone(),
            }),
            config_hash: blake3::hash(config.as_bytes()).to_hex().to_string(),
            seed: context.seed,
            threads: context.threads,
            device,
        }
    }

    /// Writes `report.html`.
    fn write_page(
        &self,
        manifest: &Manifest,
        settings: &PretrainSettings,
        config: &str,
        epochs: &[Epoch],
    ) -> Result<()> {
        let mut found = epochs
            .iter()
            .filter_map(|epoch| Some((trouble(epoch)?, epoch.epoch)));
        let report = TrainingReport {
            title: format!("{} by {}", name_of(settings), settings.objective.name()),
            lead: format!(
                "An encoder of {} features that learned from {} without their labels, in views of {} pixels.",
                thousands(settings.encoder.dimension()),
                count(manifest.images, "image"),
                settings.train.crop
            ),
            warnings: found
                .next()
                .map(|(found, epoch)| what_is_wrong(found, epoch))
                .into_iter()
                .collect(),
            learning_curves: curves(epochs, manifest.looked_at.as_ref()),
            recipe: config.to_owned(),
            provenance: Provenance {
                label_version: None,
                seed: Some(manifest.seed),
                config_hash: Some(manifest.config_hash.clone()),
                command: Some(manifest.command.clone()),
                build: Some(manifest.program.clone()),
            },
            ..TrainingReport::default()
        };
        Ok(write_file(
            &self.out.join("report.html"),
            render(&report).as_bytes(),
        )?)
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut text = format!(
            "{} features by {} from {}, in {:.0} s",
            thousands(self.dimension),
            self.method,
            count(self.images, "image"),
            self.seconds
        );
        let notes = self.last.iter().flat_map(|epoch| &epoch.notes);
        let width = notes
            .clone()
            .map(|(name, _)| name.chars().count())
            .max()
            .unwrap_or(0);
        for (name, value) in notes {
            let value = match value.abs() {
                size if size < 1e6 => format!("{value:.3}"),
                _ => format!("{value:.1e}"),
            };
            text.push_str(&format!("\n  {name:width$}  {value}"));
        }
        if let Some(why) = self.useless {
            text.push_str(&format!("\nThe encoder {why}: do not use it."));
        }
        text.push_str(&format!(
            "\nNext: cleanslide embed {} --encoder {} --crop {}",
            self.dataset.display(),
            self.encoder.display(),
            self.view
        ));
        text
    }
}

/// What went wrong, and what to do.
fn what_is_wrong(found: Trouble, epoch: usize) -> String {
    match found {
        Trouble::Collapse => format!(
            "in epoch {epoch} the network says nearly the same of all images (collapse); lower the learning rate, take a \
             larger batch, or choose a method with contrast (simclr, moco-v3)"
        ),
        Trouble::Explosion | Trouble::NotFinite => format!(
            "in epoch {epoch} the network {}; lower the learning rate",
            useless(found)
        ),
    }
}

/// The same as what is said of an encoder.
fn useless(found: Trouble) -> &'static str {
    match found {
        Trouble::Collapse => "says nearly the same of all images",
        Trouble::Explosion => "gives values beyond a million, beside which differences are lost",
        Trouble::NotFinite => "gives values that are no finite numbers",
    }
}

fn name_of(settings: &PretrainSettings) -> &'static str {
    match settings.encoder.name {
        ImageEncoderName::Resnet18 => "ResNet-18",
        ImageEncoderName::Resnet34 => "ResNet-34",
        ImageEncoderName::Resnet50 => "ResNet-50",
        ImageEncoderName::VitSmall => "ViT-S",
    }
}

/// One chart of the loss, and one of each note.
fn curves(epochs: &[Epoch], looked_at: Option<&LookedAt>) -> Vec<LearningCurves> {
    let line = |value: &dyn Fn(&Epoch) -> Option<f64>| {
        let points = epochs.iter().filter_map(|epoch| {
            let value = Estimate::without_interval(value(epoch)?);
            Some((epoch.epoch as f64, value))
        });
        vec![Line {
            name: "all images".to_owned(),
            points: points.collect(),
        }]
    };
    let mut names: Vec<&String> = epochs.iter().flat_map(|epoch| epoch.notes.keys()).collect();
    names.sort();
    names.dedup();
    let of = looked_at.map_or(String::new(), |of| {
        format!(" (given labels of {} in {}, by case)", of.source, of.labels)
    });
    let mut all = vec![LearningCurves {
        title: "loss".into(),
        quantity: "loss".into(),
        lines: line(&|epoch| Some(epoch.loss)),
    }];
    all.extend(names.into_iter().map(|name| LearningCurves {
        title: name.clone(),
        quantity: if look::is_of_labels(name) {
            format!("balanced accuracy{of}")
        } else {
            name.clone()
        },
        lines: line(&|epoch| epoch.notes.get(name).copied()),
    }));
    all
}

/// Images of a dataset, by their place.
struct Files<'a> {
    dataset: &'a Dataset,
    images: &'a [&'a ImageRecord],
}

impl UnlabelledImages for Files<'_> {
    type Failure = Failure;

    fn name(&self, item: usize) -> String {
        self.images[item].id.clone()
    }

    fn read(&self, item: usize) -> Result<RgbImage> {
        let path = self.dataset.image_path(self.images[item]);
        Ok(read_image(&path, MAX_PIXELS)?.pixels)
    }
}

/// Makes the folder of a run, or finds the one that it goes on in, and keeps other processes out.
fn begin(context: &Context, folder: &Path, manifest: &Manifest, config: &str) -> Result<Held> {
    const TRAINS: &str = "trains";
    if !folder.exists() {
        publish_folder(folder, |folder| {
            write_file(&folder.join(CONFIG), config.as_bytes())?;
            write_manifest(folder, manifest)
        })?;
        return Held::new(folder, TRAINS);
    }
    let path = folder.join(MANIFEST);
    let other: Option<Manifest> = fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let Some(other) = other else {
        return Err(Failure::usage(format!(
            "{} exists already, and is no pretraining that could go on",
            folder.display()
        ))
        .help("Choose another folder with `--out`."));
    };
    if other.finished.is_some() {
        // What was interrupted when it was done has left what it would have gone on from.
        let checkpoints = Checkpoints::of(folder);
        if checkpoints.latest()?.is_some() {
            let held = Held::new(folder, TRAINS)?;
            checkpoints.clear()?;
            held.release()?;
        }
        return Err(
            Failure::usage(format!("{} is a finished run", folder.display()))
                .help("Choose another folder with `--out`; a run is never overwritten."),
        );
    }
    let differs = [
        // The recipe names it too.
        ("seed", other.seed != manifest.seed),
        ("set of images", other.images_hash != manifest.images_hash),
        ("set of labels", other.looked_at != manifest.looked_at),
        ("recipe", other.config_hash != manifest.config_hash),
        ("device", other.device != manifest.device),
    ];
    match differs.iter().find(|(_, differs)| *differs) {
        None => {
            warn_of_threads(context, folder, other.threads);
            Held::new(folder, TRAINS)
        }
        Some((what, _)) => Err(Failure::usage(format!(
            "{} is an unfinished run of another {what}",
            folder.display()
        ))
        .help("Go on with what it was begun with, or choose another folder with `--out`.")),
    }
}

fn write_manifest(folder: &Path, manifest: &Manifest) -> cleanslide_data::Result<()> {
    let path = folder.join(MANIFEST);
    let text = serde_json::to_vec_pretty(manifest)
        .map_err(|error| DataError::io("write", &path, std::io::Error::other(error)))?;
    write_file(&path, &text)
}

fn read_epochs(folder: &Path) -> Result<Vec<Epoch>> {
    let path = folder.join("metrics.jsonl");
    let text = fs::read_to_string(&path).map_err(|error| DataError::io("read", &path, error))?;
    text.lines()
        .map(|line| {
            serde_json::from_str(line)
                .map_err(|error| Failure::input(format!("{}: {error}", path.display())))
        })
        .collect()
}
