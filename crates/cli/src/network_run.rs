//! The folder of a training of networks for pixels or boxes: it exists from the beginning, so that an interrupted
//! training goes on, here or on another machine.
//!
//! ```text
//! config.toml, manifest.json          what is trained, from what
//! split.csv                           what each network does with each image: learns, validates or predicts it
//! fold-1/, fold-2/, …, whole/         one network each: metrics.jsonl, model.safetensors, events for TensorBoard,
//!                                     and while it is trained checkpoints/
//! lock                                while a process trains here
//! model.safetensors, metrics.jsonl    in the end: the network of all images, all epochs
//! report.html                         in the end: pictures, measures, curves
//! predictions/                        in the end: labels by networks that did not see the image's case; images for test,
//!                                     and unlabelled ones for validation, are predicted by the network of all others
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cleanslide_data::store::{publish_folder, write_file};
use cleanslide_data::{Dataset, Family, Labels, VersionId};
use cleanslide_learn::augment::AugmentSettings;
use cleanslide_learn::correction::{Background, Start};
use cleanslide_learn::detect::correction::CorrectionSettings;
use cleanslide_learn::detect::{DetectorLossSettings, DetectorPredictSettings, DetectorSettings};
use cleanslide_learn::dual::{DualSettings, DualTraining};
use cleanslide_learn::experts::{ExpertMethod, ExpertSettings};
use cleanslide_learn::segment::correction::MaskCorrectionSettings;
use cleanslide_learn::segment::{
    ComplementarySettings, LossSettings, ObjectSettings, PredictSettings, SegmentSettings,
};
use cleanslide_learn::training::TrainSettings;
use cleanslide_nn::devices::DeviceName;
use cleanslide_nn::networks::{DetectionConfig, SegmentationConfig};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::held::Held;
use crate::output::count;
use crate::run_folder::read_recipe;

/// The method that corrects labels while they are learned from.
pub const SISSI: &str = "sissi";

/// The method that learns from diagnoses too.
pub const COMPLEMENTARY: &str = "complementary";

/// The method of two networks.
pub const DUAL: &str = "dual";

const CONFIG: &str = "config.toml";
const MANIFEST: &str = "manifest.json";
const SPLIT: &str = "split.csv";

/// Other data that a network learns from too, in the same batches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Also {
    /// The folder of another dataset.
    pub dataset: PathBuf,
    /// Its label version; the latest by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<VersionId>,
    /// Whose labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What its classes are called here; by default the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<String, String>,
}

/// Several experts that a network learns from at once.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Experts {
    /// Sources; by default all of kind expert with class masks.
    pub annotators: Vec<String>,
    /// How what they said becomes one loss.
    pub method: ExpertMethod,
}

/// Diagnoses that a network learns from too, in the same batches: of images that nobody drew anything on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Complementary {
    /// Whose; by default the only source of kind diagnosis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What they are compared by.
    pub loss: ComplementarySettings,
}

/// What a recipe says of the data, and its seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Seed of folds and training, unless `--seed` says another. Default 0.
    pub seed: u64,
    /// Label version; the latest by default.
    pub labels: Option<VersionId>,
    /// Whose labels.
    pub source: Option<String>,
    /// Folds of the out-of-sample prediction; 0, the default, is none.
    pub folds: usize,
    /// Whether a network learns from all images. Default true.
    pub whole: bool,
    /// Other data that it learns from too.
    pub also: Option<Also>,
}

/// Everything that decides a run, but the dataset.
pub trait NetworkRecipe: Serialize + DeserializeOwned + Default + Clone + PartialEq {
    /// The names of the networks that it may have, for messages.
    const NETWORKS: &'static str;

    /// What it says of the data.
    fn chosen(&self) -> Chosen;

    /// The same with other data.
    fn with(self, chosen: Chosen) -> Self;

    /// The experts that it learns from, if there are several.
    fn experts(&self) -> Option<&Experts> {
        None
    }

    /// The same for several experts.
    ///
    /// # Errors
    /// If it cannot learn from several.
    fn with_experts(self, experts: Experts) -> Result<Self>;

    /// What becomes of all that is not found, where labels are corrected while they are learned from.
    fn background(&self) -> Option<Background>;

    /// When labels begin to be corrected, where they are while they are learned from.
    fn start_of_correction(&self) -> Option<Start>;

    /// Whether labels are corrected while they are learned from, so that they measure no progress.
    fn corrects_labels(&self) -> bool {
        self.background().is_some()
    }

    /// The diagnoses that it learns from too, if there are any.
    fn complementary(&self) -> Option<&Complementary> {
        None
    }

    /// The name of its network.
    fn network(&self) -> &'static str;

    /// The name of the method, if it is not to learn from the labels as they are.
    fn method(&self) -> Option<&'static str> {
        self.background().map(|_| SISSI)
    }

    /// The same with the network of another.
    fn with_network_of(self, other: Self) -> Self;

    /// The file whose weights its network begins with, if there is one.
    fn pretrained(&self) -> Option<&Path>;

    /// How its network is trained.
    fn train(&self) -> &TrainSettings;

    /// Refuses settings out of their range, and those that exclude each other.
    fn check(&self) -> Result<()>;
}

/// The fields that all recipes share, there and back. TOML wants them beside the others, so they are no struct.
macro_rules! what_is_chosen {
    () => {
        fn chosen(&self) -> Chosen {
            Chosen {
                seed: self.seed,
                labels: self.labels,
                source: self.source.clone(),
                folds: self.folds,
                whole: self.whole,
                also: self.also.clone(),
            }
        }

        fn with(self, chosen: Chosen) -> Self {
            let Chosen {
                seed,
                labels,
                source,
                folds,
                whole,
                also,
            } = chosen;
            Self {
                seed,
                labels,
                source,
                folds,
                whole,
                also,
                ..self
            }
        }

        fn network(&self) -> &'static str {
            self.network.name()
        }

        fn with_network_of(self, other: Self) -> Self {
            Self {
                network: other.network,
                ..self
            }
        }

        fn pretrained(&self) -> Option<&Path> {
            self.network.pretrained()
        }

        fn train(&self) -> &TrainSettings {
            &self.train
        }
    };
}

/// The recipe of a network for pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PixelRecipe {
    /// Seed of folds and training, unless `--seed` says another. Default 0.
    pub seed: u64,
    /// Label version; the latest by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<VersionId>,
    /// Whose labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Folds of the out-of-sample prediction; 0, the default, is none.
    pub folds: usize,
    /// Whether a network learns from all images. Default true.
    pub whole: bool,
    /// Other data that it learns from too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub also: Option<Also>,
    /// Several experts that it learns from, in the place of one source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experts: Option<Experts>,
    /// The network.
    pub network: SegmentationConfig,
    /// What it is compared by.
    pub loss: LossSettings,
    /// How it is trained.
    pub train: TrainSettings,
    /// What is done to images in training.
    pub augment: AugmentSettings,
    /// How it predicts.
    pub predict: PredictSettings,
    /// How objects are told from each other.
    pub objects: ObjectSettings,
    /// When and how masks of objects are corrected meanwhile; never by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correction: Option<MaskCorrectionSettings>,
    /// How a second network filters masks of objects; there is none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dual: Option<DualSettings>,
    /// Diagnoses that are learned from too; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complementary: Option<Complementary>,
}

impl Default for PixelRecipe {
    fn default() -> Self {
        let settings = SegmentSettings::default();
        Self {
            seed: 0,
            labels: None,
            source: None,
            folds: 0,
            whole: true,
            also: None,
            experts: None,
            network: settings.network,
            loss: settings.loss,
            train: settings.train,
            augment: settings.augment,
            predict: settings.predict,
            objects: settings.objects,
            correction: settings.correction,
            dual: None,
            complementary: None,
        }
    }
}

impl NetworkRecipe for PixelRecipe {
    const NETWORKS: &'static str = "unet, encoder-unet, hrnet, deeplabv3-plus and pspnet";

    what_is_chosen!();

    fn experts(&self) -> Option<&Experts> {
        self.experts.as_ref()
    }

    fn with_experts(self, experts: Experts) -> Result<Self> {
        Ok(Self {
            experts: Some(experts),
            ..self
        })
    }

    fn background(&self) -> Option<Background> {
        Some(self.correction.as_ref()?.background)
    }

    fn start_of_correction(&self) -> Option<Start> {
        Some(self.correction.as_ref()?.start)
    }

    fn corrects_labels(&self) -> bool {
        self.correction.is_some() || self.dual.is_some()
    }

    fn complementary(&self) -> Option<&Complementary> {
        self.complementary.as_ref()
    }

    fn method(&self) -> Option<&'static str> {
        match (&self.experts, &self.dual, &self.correction) {
            (Some(experts), ..) => Some(experts.method.name()),
            (_, Some(_), _) => Some(DUAL),
            (.., Some(_)) => Some(SISSI),
            (None, None, None) => self.complementary.as_ref().map(|_| COMPLEMENTARY),
        }
    }

    fn check(&self) -> Result<()> {
        if self.correction.is_some() && self.dual.is_some() {
            return Err(Failure::usage(
                "`correction` and `dual` exclude each other: both decide what is learned from",
            )
            .help("Leave [correction] out, or [dual]."));
        }
        self.check_complementary()?;
        let Some(experts) = &self.experts else {
            match &self.dual {
                Some(dual) => self.of_two(dual).check()?,
                None => self.settings().check()?,
            }
            return Ok(());
        };
        refuse_beside(
            "experts",
            &[
                ("source", self.source.is_some()),
                ("also", self.also.is_some()),
                ("correction", self.correction.is_some()),
                ("dual", self.dual.is_some()),
            ],
            "several experts are learned from in the place of one source, as they are",
        )?;
        Ok(self.of_experts(experts).check()?)
    }
}

impl PixelRecipe {
    /// What the training is told.
    pub fn settings(&self) -> SegmentSettings {
        SegmentSettings {
            network: self.network.clone(),
            loss: self.loss.clone(),
            train: self.train.clone(),
            augment: self.augment.clone(),
            predict: self.predict.clone(),
            objects: self.objects.clone(),
            correction: self.correction.clone(),
            complementary: self.complementary.as_ref().map(|of| of.loss.clone()),
        }
    }

    /// Refuses what cannot be learned from beside diagnoses.
    fn check_complementary(&self) -> Result<()> {
        if self.complementary.is_none() {
            return Ok(());
        }
        refuse_beside(
            "complementary",
            &[
                ("experts", self.experts.is_some()),
                ("also", self.also.is_some()),
                ("correction", self.correction.is_some()),
                ("dual", self.dual.is_some()),
            ],
            "diagnoses are learned from beside one source of class masks",
        )
    }

    /// What a training of two networks is told.
    pub fn of_two(&self, dual: &DualSettings) -> DualTraining {
        DualTraining {
            segment: self.settings(),
            dual: dual.clone(),
        }
    }

    /// What a training of several experts is told.
    pub fn of_experts(&self, experts: &Experts) -> ExpertSettings {
        ExpertSettings {
            method: experts.method.clone(),
            segment: self.settings(),
        }
    }
}

/// Refuses the first of these keys that is given beside a table of a recipe, and says why.
fn refuse_beside(table: &str, keys: &[(&str, bool)], why: &str) -> Result<()> {
    match keys.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((key, _)) => Err(Failure::usage(format!(
            "`{key}` and `{table}` exclude each other: {why}"
        ))
        .help(format!("Leave `{key}` out, or [{table}]."))),
    }
}

/// The recipe of a detector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BoxRecipe {
    /// Seed of folds and training, unless `--seed` says another. Default 0.
    pub seed: u64,
    /// Label version; the latest by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<VersionId>,
    /// Whose labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Folds of the out-of-sample prediction; 0, the default, is none.
    pub folds: usize,
    /// Whether a network learns from all images. Default true.
    pub whole: bool,
    /// Other data that it learns from too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub also: Option<Also>,
    /// The network.
    pub network: DetectionConfig,
    /// What it is compared by.
    pub loss: DetectorLossSettings,
    /// How it is trained.
    pub train: TrainSettings,
    /// What is done to images in training.
    pub augment: AugmentSettings,
    /// How it predicts.
    pub predict: DetectorPredictSettings,
    /// When and how labels are corrected meanwhile; never by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correction: Option<CorrectionSettings>,
}

impl Default for BoxRecipe {
    fn default() -> Self {
        let settings = DetectorSettings::default();
        Self {
            seed: 0,
            labels: None,
            source: None,
            folds: 0,
            whole: true,
            also: None,
            network: settings.network,
            loss: settings.loss,
            train: settings.train,
            augment: settings.augment,
            predict: settings.predict,
            correction: settings.correction,
        }
    }
}

impl NetworkRecipe for BoxRecipe {
    const NETWORKS: &'static str = "fcos and faster-rcnn";

    what_is_chosen!();

    fn with_experts(self, _: Experts) -> Result<Self> {
        Err(Failure::usage(
            "networks learn from several experts by their class masks, and these labels are boxes",
        )
        .help("`cleanslide fuse` makes one set of boxes of several."))
    }

    fn background(&self) -> Option<Background> {
        Some(self.correction.as_ref()?.background)
    }

    fn start_of_correction(&self) -> Option<Start> {
        Some(self.correction.as_ref()?.start)
    }

    fn check(&self) -> Result<()> {
        Ok(self.settings().check()?)
    }
}

impl BoxRecipe {
    /// What the training is told.
    pub fn settings(&self) -> DetectorSettings {
        DetectorSettings {
            network: self.network.clone(),
            loss: self.loss.clone(),
            train: self.train.clone(),
            augment: self.augment.clone(),
            predict: self.predict.clone(),
            correction: self.correction.clone(),
        }
    }
}

/// What the labels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Labelled {
    /// A class for each pixel.
    Pixels,
    /// Objects told from each other.
    Instances,
    /// Objects in boxes.
    Boxes,
}

impl Labelled {
    /// Of masks, instances or boxes.
    pub fn of(family: Family) -> Option<Self> {
        match family {
            Family::Mask => Some(Self::Pixels),
            Family::Instances => Some(Self::Instances),
            Family::Boxes => Some(Self::Boxes),
            _ => None,
        }
    }
}

/// `manifest.json`: what such a run is made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkManifest {
    /// What kind of run it is.
    pub kind: Labelled,
    /// The program and its version.
    pub program: String,
    /// The command line.
    pub command: String,
    /// When it began, in UTC.
    pub created: String,
    /// When it was done.
    pub finished: Option<String>,
    /// Folder of the dataset, as it was given.
    pub dataset: PathBuf,
    /// Classes of the dataset.
    pub classes: Vec<String>,
    /// The size of a pixel of the images, in microns, if all are known and nearly the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub microns_per_pixel: Option<f64>,
    /// Label version.
    pub labels: VersionId,
    /// Hash of the label version's content.
    pub labels_hash: String,
    /// Whose labels; of several experts, their names.
    pub source: String,
    /// Whether a model corrected any of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub corrected: bool,
    /// The method by which several experts were learned from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Hash of `config.toml`.
    pub config_hash: String,
    /// Seed.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
    /// Where the networks were trained.
    #[serde(default)]
    pub device: DeviceName,
    /// What the device calls itself.
    #[serde(default)]
    pub device_model: String,
    /// Images learned from.
    pub images: usize,
    /// Independent cases among them.
    pub cases: usize,
    /// Other data that were learned from too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub also: Option<AlsoManifest>,
    /// Diagnoses that were learned from too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosed: Option<DiagnosedManifest>,
}

/// Whole images of which a run learned what they do not show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiagnosedManifest {
    /// Whose diagnoses.
    pub source: String,
    /// Images on which nobody drew anything.
    pub images: usize,
}

/// What a run learned from besides its dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlsoManifest {
    /// Folder of the dataset, as it was given.
    pub dataset: PathBuf,
    /// Label version.
    pub labels: VersionId,
    /// Hash of the label version's content.
    pub labels_hash: String,
    /// Whose labels.
    pub source: String,
    /// Images learned from.
    pub images: usize,
}

/// True if a folder is a run of this kind, finished or not.
pub fn is_network_run(folder: &Path) -> bool {
    read_manifest(folder).is_ok()
}

/// True if a folder is a run of this kind that was finished.
pub fn is_finished(folder: &Path) -> bool {
    read_manifest(folder).is_ok_and(|manifest| manifest.finished.is_some())
}

/// Reads how a run is configured.
pub fn read_config<R: NetworkRecipe>(folder: &Path) -> Result<R> {
    read_recipe(&folder.join(CONFIG))
}

/// Reads what a run is made from.
pub fn read_manifest(folder: &Path) -> Result<NetworkManifest> {
    let path = folder.join(MANIFEST);
    let text = fs::read_to_string(&path)
        .map_err(|error| cleanslide_data::Error::io("read", &path, error))?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::input(format!("{}: {error}", path.display())))
}

/// All labels of the version that a run learned from; `what` is of the run, for messages.
pub fn labels_of_run(dataset: &Dataset, manifest: &NetworkManifest, what: &Path) -> Result<Labels> {
    let labels = dataset.labels(manifest.labels)?;
    if dataset.version(manifest.labels)?.hash == manifest.labels_hash {
        return Ok(labels);
    }
    Err(Failure::input(format!(
        "{} is of other labels than {} of {} has",
        what.display(),
        manifest.labels,
        dataset.folder().display()
    ))
    .help("Name the dataset that the run was trained on."))
}

/// What a run predicted out of sample.
pub fn predictions_of_run(dataset: &Dataset, run: &Path) -> Result<Labels> {
    let folder = run.join("predictions");
    if folder.is_dir() {
        return Ok(Labels::read(&folder, dataset.classes())?);
    }
    Err(Failure::input(format!(
        "{} has predicted no image out of sample",
        run.display()
    ))
    .help(
        "Train with folds, such as `--folds 5`, or set images apart for test; an unfinished run goes on.",
    ))
}

/// What a process does in the folder of a run.
const TRAINS: &str = "trains";

/// Makes the folder of a run, or finds the one that it goes on in, and keeps other processes out.
pub fn begin(
    context: &Context,
    folder: &Path,
    manifest: &NetworkManifest,
    config: &str,
    split: &[u8],
) -> Result<Held> {
    if !folder.exists() {
        publish_folder(folder, |folder| {
            write_file(&folder.join(CONFIG), config.as_bytes())?;
            write_file(&folder.join(SPLIT), split)?;
            write_manifest(folder, manifest)
        })?;
        return Held::new(folder, TRAINS);
    }
    let other = read_manifest(folder).map_err(|_| {
        Failure::usage(format!(
            "{} exists already, and is no training that could go on",
            folder.display()
        ))
        .help("Choose another folder with `--out`.")
    })?;
    if other.finished.is_some() {
        return Err(
            Failure::usage(format!("{} is a finished run", folder.display()))
                .help("Choose another folder with `--out`; a run is never overwritten."),
        );
    }
    let path = folder.join(SPLIT);
    let same_split =
        fs::read(&path).map_err(|error| cleanslide_data::Error::io("read", &path, error))? == split;
    let differs = [
        // The recipe names them too.
        ("seed", other.seed != manifest.seed),
        ("label version", other.labels_hash != manifest.labels_hash),
        ("source", other.source != manifest.source),
        ("recipe", other.config_hash != manifest.config_hash),
        // A run says where it was made, and its figures are those of one device.
        ("device", other.device != manifest.device),
        ("images", other.images != manifest.images),
        ("set of other data", !same(&other.also, &manifest.also)),
        ("set of diagnoses", other.diagnosed != manifest.diagnosed),
        ("split", !same_split),
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

/// Tells that a training goes on with another number of threads than it was begun with.
pub fn warn_of_threads(context: &Context, folder: &Path, begun_with: usize) {
    if begun_with != context.threads {
        context.output.warn(&format!(
            "{} was begun with {} and goes on with {}: the last digits of its results may differ from those of one \
             number throughout",
            folder.display(),
            count(begun_with, "thread"),
            context.threads
        ));
    }
}

/// True if the same was learned from besides, wherever it lies now.
fn same(one: &Option<AlsoManifest>, other: &Option<AlsoManifest>) -> bool {
    let content =
        |also: &AlsoManifest| (also.labels_hash.clone(), also.source.clone(), also.images);
    one.as_ref().map(content) == other.as_ref().map(content)
}

/// Says that a run is done.
pub fn finish(held: Held, manifest: NetworkManifest, now: String) -> Result<()> {
    let manifest = NetworkManifest {
        finished: Some(now),
        ..manifest
    };
    write_manifest(held.folder(), &manifest)?;
    held.release()
}

fn write_manifest(folder: &Path, manifest: &NetworkManifest) -> cleanslide_data::Result<()> {
    let path = folder.join(MANIFEST);
    let text = serde_json::to_vec_pretty(manifest).map_err(|error| {
        cleanslide_data::Error::io("write", &path, std::io::Error::other(error))
    })?;
    write_file(&path, &text)
}
