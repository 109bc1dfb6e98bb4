//! Training of networks that give every pixel a class, or find objects.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use cleanslide_data::store::{publish_folder, write_file};
use cleanslide_data::{
    Dataset, Evidence, ImageRecord, Labels, MAX_PIXELS, Proportions, Scope, Split, Target, Trust,
    VersionId, assign_folds, assign_splits, independent_units, read_image, to_csv,
};
use cleanslide_learn::correction::Background;
use cleanslide_learn::training::{Checkpoints, Epoch, Speed, Watch};
use cleanslide_nn::devices::{DeviceName, OpenDevice};
use image::RgbImage;
use indicatif::ProgressBar;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use super::corrections::{has_corrected, uncorrected};
use super::page::RunPage;
use crate::arguments::LabelsArguments;
use crate::commands::evaluate::shapes::{Judged, cases, measures};
use crate::context::{Context, command_line, now, program};
use crate::corrected_labels::{across_folds, is_corrected};
use crate::diagnoses::{Diagnoses, Exclusion};
use crate::failure::{Failure, Result};
use crate::measures::{Measure, table};
use crate::network_run::{
    self, Also, AlsoManifest, Chosen, DiagnosedManifest, Experts, NetworkManifest, NetworkRecipe,
    begin, finish,
};
use crate::output::{Show, count, quoted};
use crate::pipeline::{may_be_learned_from, refuse_leaks};
use crate::progress;
use crate::run_folder::read_recipe;
use crate::shape_labels::{ShapeLabels, dense};
use crate::truth::how_to_evaluate;

/// The name of the source whose labels a run predicts.
pub const SOURCE: &str = "predicted";

/// What is asked.
pub struct Request<'a> {
    /// A recipe.
    pub recipe: Option<&'a Path>,
    /// Label version.
    pub labels: Option<VersionId>,
    /// Whose labels.
    pub source: Option<&'a str>,
    /// Folds.
    pub folds: Option<usize>,
    /// Another dataset to learn from too.
    pub also: Option<&'a Path>,
    /// How to learn, by name.
    pub method: Option<&'a str>,
    /// Those experts.
    pub annotators: Option<&'a [String]>,
    /// The folder of the run.
    pub out: &'a Path,
    /// Where networks run.
    pub device: DeviceName,
}

/// What a training gave.
#[derive(Debug, Serialize)]
pub struct Trained {
    run: PathBuf,
    dataset: PathBuf,
    network: String,
    labels: String,
    source: String,
    /// Whether a model corrected the labels, so that figures across folds are too good.
    corrected: bool,
    images: usize,
    cases: usize,
    /// Images that were predicted by a network that did not see their case.
    predicted: usize,
    seconds: f64,
    /// Of predictions out of sample, where there are folds.
    against_given_labels: Option<Vec<Measure>>,
    /// Which networks should have corrected labels and did not, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    uncorrected: Option<String>,
    /// The command to run next: one that takes the corrected labels, measures predictions by a reference, or predicts where
    /// nothing was predicted.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// Another one, where there are two.
    #[serde(skip_serializing_if = "Option::is_none")]
    or_next: Option<String>,
}

/// A network to train.
pub struct Part {
    /// The name of its folder in the run.
    pub name: String,
    /// Images that it learns from, by their place among the labelled ones.
    pub items: Vec<usize>,
    /// Images of other data that it learns from, or those of which only a diagnosis is known.
    pub also: Vec<usize>,
    /// Images that measure its progress.
    pub validation: Vec<usize>,
    /// Labelled images that it predicts, because it did not see them.
    pub held_out: Vec<usize>,
    /// Images for test, and others of which no label is known here, which it predicts too.
    pub test: Vec<usize>,
}

impl Part {
    /// All images that it predicts.
    fn predicts(&self) -> impl Iterator<Item = usize> {
        self.held_out.iter().chain(&self.test).copied()
    }

    /// The labelled images that say most about its network: those that it did not see, or else all that it learned
    /// from.
    pub fn shown(&self) -> &[usize] {
        if self.held_out.is_empty() {
            &self.items
        } else {
            &self.held_out
        }
    }

    /// Steps of its training, if it does not stop early.
    fn steps<R: NetworkRecipe>(&self, job: &Job<R>) -> usize {
        let train = job.recipe.train();
        let own = train.own_crops(!self.also.is_empty());
        self.items.len().div_ceil(own) * train.epochs
    }
}

/// What is trained, from what.
pub struct Job<'a, R> {
    /// The dataset.
    pub dataset: &'a Dataset,
    /// What is learned from.
    pub labels: &'a ShapeLabels,
    /// What is learned from besides.
    pub other: Option<&'a OtherData>,
    /// What is known of whole images, if that is learned from.
    pub diagnosed: Option<&'a Diagnosed>,
    /// The images for test, which a network of all images predicts.
    pub test: &'a [ImageRecord],
    /// All settings.
    pub recipe: &'a R,
    /// Where networks run.
    pub device: &'a OpenDevice,
}

/// Another dataset that is learned from.
pub struct OtherData {
    dataset: Dataset,
    labels: ShapeLabels,
    /// Which class of the dataset each of its classes is.
    classes: Vec<usize>,
}

/// What diagnoses say of images that may be learned from.
pub struct Diagnosed {
    /// The source.
    pub source: String,
    /// The images on which nobody drew anything.
    pub images: Vec<ImageRecord>,
    /// What is said of each labelled image, and then of these.
    said: Vec<Option<Exclusion>>,
    /// The case of each of all these, numbered from 0.
    units: Vec<usize>,
}

impl Diagnosed {
    fn read(dataset: &Dataset, labels: &ShapeLabels, source: Option<&str>) -> Result<Self> {
        let version = dataset.version(labels.version)?;
        let all = dataset.labels(labels.version)?;
        let diagnoses = Diagnoses::read(dataset, (&version, &all), source)?;
        let drawn: BTreeSet<&str> = labels
            .images
            .iter()
            .map(|image| image.id.as_str())
            .collect();
        let images: Vec<ImageRecord> = dataset
            .images()
            .iter()
            .filter(|image| may_be_learned_from(image) && !drawn.contains(image.id.as_str()))
            .filter(|image| diagnoses.of_image(image).is_some())
            .cloned()
            .collect();
        if images.is_empty() {
            return Err(Failure::input(format!(
                "`{}` says nothing of an image that may be learned from and that `{}` did not draw on",
                diagnoses.source, labels.source
            ))
            .help(format!(
                "It learns from images without masks whose diagnoses are known: import some (`cleanslide import diagnoses --help`), \
                 take masks away by `cleanslide inject unlabel {} --source {} --rate 0.9`, or train without diagnoses.",
                quoted(&dataset.folder().to_string_lossy()),
                quoted(&labels.source)
            )));
        }
        let both = || labels.images.iter().chain(&images);
        let of_all = independent_units(dataset.images());
        let units = both().filter_map(|image| Some(of_all[dataset.position(&image.id)?]));
        Ok(Self {
            units: dense(&units.collect::<Vec<_>>()),
            said: both().map(|image| diagnoses.of_image(image)).collect(),
            source: diagnoses.source,
            images,
        })
    }

    /// What is said of a labelled image, or of one on which nobody drew, by its number.
    pub fn of(&self, image: usize) -> Option<&Exclusion> {
        self.said.get(image)?.as_ref()
    }
}

/// A labelled image.
pub struct Labelled<'a> {
    /// The image.
    pub record: &'a ImageRecord,
    /// What is said of it.
    pub piece: &'a Evidence,
    /// Of another dataset, which class of the dataset each of its classes is.
    classes: Option<&'a [usize]>,
}

/// Images are numbered: those that are labelled here, those of other data or those of which only a diagnosis is known, those
/// for test.
impl<R> Job<'_, R> {
    /// A labelled image by its number.
    pub fn image(&self, image: usize) -> Labelled<'_> {
        let own = self.labels.images.len();
        match self.other {
            Some(other) if image >= own => Labelled {
                record: &other.labels.images[image - own],
                piece: &other.labels.pieces[image - own],
                classes: Some(&other.classes),
            },
            _ => Labelled {
                record: &self.labels.images[image],
                piece: &self.labels.pieces[image],
                classes: None,
            },
        }
    }

    /// An image by its number, labelled or not.
    pub fn record(&self, image: usize) -> &ImageRecord {
        match image.checked_sub(self.test_from()) {
            Some(place) => &self.test[place],
            None => match self.undrawn(image) {
                Some(record) => record,
                None => self.image(image).record,
            },
        }
    }

    /// An image of which only a diagnosis is known, by its number.
    pub fn undrawn(&self, image: usize) -> Option<&ImageRecord> {
        let place = image.checked_sub(self.labels.images.len())?;
        self.diagnosed?.images.get(place)
    }

    /// The pixels of an image, labelled or not.
    pub fn pixels(&self, image: usize) -> Result<RgbImage> {
        let of_other = self.labels.images.len()..self.test_from();
        let dataset = match self.other {
            Some(other) if of_other.contains(&image) => &other.dataset,
            _ => self.dataset,
        };
        let path = dataset.image_path(self.record(image));
        Ok(read_image(&path, MAX_PIXELS)?.pixels)
    }

    /// The numbers of the images of other data, or of those of which only a diagnosis is known.
    pub fn also(&self) -> Vec<usize> {
        (self.labels.images.len()..self.test_from()).collect()
    }

    /// The numbers of the images for test.
    fn test(&self) -> Range<usize> {
        self.test_from()..self.test_from() + self.test.len()
    }

    fn test_from(&self) -> usize {
        let others = self.other.map_or(0, |other| other.labels.images.len());
        let undrawn = self.diagnosed.map_or(0, |of| of.images.len());
        self.labels.images.len() + others + undrawn
    }
}

impl Labelled<'_> {
    /// What a class of its labels is in the dataset.
    pub fn class(&self, class: usize) -> usize {
        self.classes.map_or(class, |classes| classes[class])
    }
}

/// What kinds of networks differ in.
pub trait Learner {
    /// Its recipe.
    type Recipe: NetworkRecipe;
    /// A trained network.
    type Model;

    /// The recipe with a method, by its name.
    fn with_method(recipe: Self::Recipe, name: &str) -> Result<Self::Recipe>;

    /// Refuses labels that it cannot learn from.
    fn check(job: &Job<Self::Recipe>) -> Result<()>;

    /// Trains a network in a folder.
    fn train(
        job: &Job<Self::Recipe>,
        part: &Part,
        seed: u64,
        folder: &Path,
        watch: &Watch,
    ) -> Result<Self::Model>;

    /// The file of a network.
    fn bytes(model: &Self::Model) -> Result<Vec<u8>>;

    /// Writes what else a training found out into its folder.
    fn show(_: &Job<Self::Recipe>, _: &Self::Model, _: &Part, _: &Path) -> Result<()> {
        Ok(())
    }

    /// Writes what a network says of an image, labelled or not, for [`Learner::predicted`]: files with this name and
    /// endings of their own.
    fn predict(
        job: &Job<Self::Recipe>,
        model: &Self::Model,
        image: usize,
        name: &Path,
    ) -> Result<()>;

    /// Reads it.
    fn predicted(job: &Job<Self::Recipe>, name: &Path) -> Result<Target>;
}

/// Trains, and shows how well.
pub fn run<L: Learner>(context: &Context, dataset: &Dataset, request: &Request) -> Result<()> {
    let recipe = recipe::<L>(request)?;
    let context = &context.with_seed_of_recipe(recipe.chosen().seed);
    let trained = train::<L>(context, dataset, recipe, request.out, request.device)?;
    context.output.show(&trained)
}

/// Trains by a recipe and the seed of the context into a folder, or goes on there.
pub fn train<L: Learner>(
    context: &Context,
    dataset: &Dataset,
    recipe: L::Recipe,
    run: &Path,
    device: DeviceName,
) -> Result<Trained> {
    let start = Instant::now();
    let data = Data::read(context, dataset, &recipe)?;
    let device = device.open()?;
    let job = data.job(dataset, &recipe, &device);
    L::check(&job)?;
    let labels = job.labels;
    let units = labels.cases(dataset);
    let parts = parts(&job, &units, context.seed)?;
    let (config, manifest) = manifest(context, &job, &units)?;
    let split = split_table(&job, &parts);
    let held = begin(context, run, &manifest, &config, &split)?;
    context.output.note(&format!(
        "training {} on {} of {} ({} of {}){}: {}, {}",
        name(&recipe),
        count(labels.images.len(), "image"),
        count(manifest.cases, "case"),
        labels.source,
        labels.version,
        beside(&manifest),
        parts
            .iter()
            .map(|part| part.name.as_str())
            .collect::<Vec<_>>()
            .join(", "),
        match device.name {
            DeviceName::Cpu => count(context.threads, "thread"),
            DeviceName::Vulkan => device.model.clone(),
        },
    ));
    if let Some(warning) = only_blurred(&job) {
        context.output.warn(warning);
    }
    if let Some(note) = unlabelled_validation(&job) {
        context.output.note(&note);
    }
    let bar = progress::bar("training", parts.iter().map(|part| part.steps(&job)).sum());
    for part in &parts {
        train_part::<L>(context, &job, part, run, &bar)?;
    }
    bar.finish_and_clear();
    publish::<L>(&job, &parts, run)?;
    let measured = match recipe.chosen().folds {
        0 => None,
        _ => Some(measure(context, dataset, labels, run)?),
    };
    let uncorrected = uncorrected(&job, &parts, run)?;
    RunPage {
        uncorrected: uncorrected.as_deref(),
        job: &job,
        parts: &parts,
        manifest: &manifest,
        config: &config,
        measured: measured.as_deref(),
        run,
    }
    .write()?;
    finish(held, manifest.clone(), now())?;
    let predicted = parts.iter().map(|part| part.predicts().count()).sum();
    let mut commands = Vec::new();
    if has_corrected(&job, run)? {
        commands.push(how_to_correct(dataset, run));
    }
    match predicted {
        0 => commands.push(how_to_predict(run)),
        _ => commands.extend(how_to_evaluate(dataset, run)?),
    }
    let mut commands = commands.into_iter();
    Ok(Trained {
        run: run.to_owned(),
        dataset: dataset.folder().to_owned(),
        network: name(&recipe),
        labels: labels.version.to_string(),
        source: labels.source.clone(),
        corrected: manifest.corrected,
        images: labels.images.len(),
        cases: manifest.cases,
        predicted,
        seconds: start.elapsed().as_secs_f64(),
        against_given_labels: measured,
        uncorrected,
        next: commands.next(),
        or_next: commands.next(),
    })
}

/// Refuses what [`train`] would refuse before it trains, and makes nothing.
pub fn check<L: Learner>(
    context: &Context,
    dataset: &Dataset,
    recipe: &L::Recipe,
    device: DeviceName,
) -> Result<()> {
    let data = Data::read(context, dataset, recipe)?;
    let device = device.open()?;
    let job = data.job(dataset, recipe, &device);
    L::check(&job)?;
    if let Some(path) = recipe.pretrained() {
        fs::File::open(path).map_err(|error| cleanslide_data::Error::io("read", path, error))?;
    }
    parts(&job, &job.labels.cases(dataset), context.seed).map(drop)
}

/// What a recipe learns from and predicts.
struct Data {
    labels: ShapeLabels,
    other: Option<OtherData>,
    diagnosed: Option<Diagnosed>,
    test: Vec<ImageRecord>,
}

impl Data {
    /// Reads it, and refuses recipes and splits that make no sense.
    fn read<R: NetworkRecipe>(context: &Context, dataset: &Dataset, recipe: &R) -> Result<Self> {
        refuse_leaks(dataset)?;
        recipe.check()?;
        let chosen = recipe.chosen();
        if chosen.folds == 0 && !chosen.whole {
            return Err(
                Failure::usage("neither folds nor a network of all images are asked for")
                    .help("Give `folds` of at least 2, or leave `whole` out."),
            );
        }
        let asked = LabelsArguments {
            labels: chosen.labels,
            source: chosen.source,
        };
        let labels = labels(context, dataset, &asked, recipe.experts())?;
        let other = match &chosen.also {
            Some(also) => Some(other_data(context, dataset, &labels, also)?),
            None => None,
        };
        let diagnosed = match recipe.complementary() {
            Some(of) => Some(Diagnosed::read(dataset, &labels, of.source.as_deref())?),
            None => None,
        };
        let test = if chosen.whole {
            unknown_images(dataset, &labels).cloned().collect()
        } else {
            Vec::new()
        };
        Ok(Self {
            labels,
            other,
            diagnosed,
            test,
        })
    }

    fn job<'a, R>(
        &'a self,
        dataset: &'a Dataset,
        recipe: &'a R,
        device: &'a OpenDevice,
    ) -> Job<'a, R> {
        Job {
            dataset,
            labels: &self.labels,
            other: self.other.as_ref(),
            diagnosed: self.diagnosed.as_ref(),
            test: &self.test,
            recipe,
            device,
        }
    }
}

/// The images for test, in the order of the dataset.
pub fn test_images(dataset: &Dataset) -> impl Iterator<Item = &ImageRecord> {
    let images = dataset.images().iter();
    images.filter(|image| image.split == Some(Split::Test))
}

/// What is learned from besides, in words.
fn beside(manifest: &NetworkManifest) -> String {
    let also = manifest.also.as_ref().map(|also| {
        let dataset = also.dataset.display();
        format!(" and {} of {dataset}", count(also.images, "image"))
    });
    let diagnosed = manifest.diagnosed.as_ref().map(|of| {
        let images = count(of.images, "image");
        format!(" and {images} of which only `{}` is known", of.source)
    });
    also.or(diagnosed).unwrap_or_default()
}

/// The images of which a network of all others learns nothing: those for test, and of those for validation the ones that
/// nobody labelled, which choose the threshold of a call.
fn unknown_images<'a>(
    dataset: &'a Dataset,
    labels: &ShapeLabels,
) -> impl Iterator<Item = &'a ImageRecord> {
    let labelled: BTreeSet<String> = labels.images.iter().map(|image| image.id.clone()).collect();
    dataset
        .images()
        .iter()
        .filter(move |image| match image.split {
            Some(Split::Test) => true,
            Some(Split::Validation) => !labelled.contains(&image.id),
            Some(Split::Train) | None => false,
        })
}

/// What may go wrong where a network is shown nothing but objects on blurred grounds.
pub fn only_blurred<R: NetworkRecipe>(job: &Job<R>) -> Option<&'static str> {
    let blurs = matches!(job.recipe.background(), Some(Background::Blurred { .. }));
    (blurs && job.other.is_none()).then_some(
        "what is not found is blurred away, and no other data shows images as they are: a network may then take all \
         that is sharp for objects, and find more and more. Learn from other data too (`--also`), or choose \
         [correction] background = { name = \"ignored\" }.",
    )
}

/// What is trained, in words.
pub fn name<R: NetworkRecipe>(recipe: &R) -> String {
    match recipe.method() {
        Some(method) => format!("{} by {method}", recipe.network()),
        None => recipe.network().to_owned(),
    }
}

fn recipe<L: Learner>(request: &Request) -> Result<L::Recipe> {
    // An unfinished run knows what it was begun with.
    let begun = request.out.join("config.toml");
    let mut recipe: L::Recipe = match request.recipe {
        Some(path) => read_recipe(path)?,
        None if begun.exists() => read_recipe(&begun)?,
        None => L::Recipe::default(),
    };
    if let Some(method) = request.method {
        recipe = L::with_method(recipe, method)?;
    }
    if let Some(annotators) = request.annotators {
        let experts = recipe.experts().cloned().unwrap_or_default();
        recipe = recipe.with_experts(Experts {
            annotators: annotators.to_vec(),
            ..experts
        })?;
    }
    let chosen = recipe.chosen();
    Ok(recipe.with(Chosen {
        seed: chosen.seed,
        labels: request.labels.or(chosen.labels),
        source: request.source.map(String::from).or(chosen.source),
        folds: request.folds.unwrap_or(chosen.folds),
        whole: chosen.whole,
        also: match request.also {
            Some(dataset) => Some(Also {
                dataset: dataset.to_owned(),
                labels: None,
                source: None,
                classes: BTreeMap::new(),
            }),
            None => chosen.also,
        },
    }))
}

/// The command that predicts by the network of a run.
fn how_to_predict(run: &Path) -> String {
    format!(
        "cleanslide predict {} IMAGES --out FOLDER",
        quoted(&run.to_string_lossy())
    )
}

/// The command that makes a label version of what a run corrected.
fn how_to_correct(dataset: &Dataset, run: &Path) -> String {
    format!(
        "cleanslide correct {} --run {}",
        quoted(&dataset.folder().to_string_lossy()),
        quoted(&run.to_string_lossy())
    )
}

/// The labels of the images that may be learned from, or measure progress.
fn labels(
    context: &Context,
    dataset: &Dataset,
    asked: &LabelsArguments,
    experts: Option<&Experts>,
) -> Result<ShapeLabels> {
    let mut labels = match experts {
        Some(experts) => {
            ShapeLabels::of_experts(context, dataset, asked.labels, &experts.annotators)?
        }
        None => ShapeLabels::load(dataset, asked)?,
    };
    labels.keep(|image| may_be_learned_from(image) || image.split == Some(Split::Validation));
    if labels.images.is_empty() {
        return Err(Failure::input(format!(
            "`{}` labelled no image that may be learned from",
            labels.source
        ))
        .help("Images for test are predicted only; `cleanslide status` shows the split."));
    }
    Ok(labels)
}

/// Opens other data, and finds what its classes are called here.
fn other_data(
    context: &Context,
    dataset: &Dataset,
    labels: &ShapeLabels,
    also: &Also,
) -> Result<OtherData> {
    let other = context.open(&also.dataset)?;
    let folder = |dataset: &Dataset| dataset.folder().canonicalize().ok();
    if folder(&other) == folder(dataset) {
        return Err(Failure::usage(format!(
            "{} is what is learned from already",
            also.dataset.display()
        ))
        .help("`also` names another dataset, so that no image is on both sides of a fold."));
    }
    let mut found = ShapeLabels::load(
        &other,
        &LabelsArguments {
            labels: also.labels,
            source: also.source.clone(),
        },
    )?;
    found.keep(may_be_learned_from);
    if found.family != labels.family {
        return Err(Failure::input(format!(
            "{} has {}, and {} {}",
            also.dataset.display(),
            found.family.name(),
            dataset.folder().display(),
            labels.family.name()
        ))
        .help("Data that are learned from together have labels of one kind."));
    }
    if found.images.is_empty() {
        return Err(Failure::input(format!(
            "{} has no labelled image that may be learned from",
            also.dataset.display()
        )));
    }
    let names = other.classes().names();
    if let Some(unknown) = also.classes.keys().find(|name| !names.contains(name)) {
        return Err(Failure::usage(format!(
            "{} has no class `{unknown}`",
            also.dataset.display()
        ))
        .help(format!("Its classes are {}.", names.join(", "))));
    }
    let here = dataset.classes().names();
    let classes = names
        .iter()
        .map(|name| {
            let called = also.classes.get(name).unwrap_or(name);
            here.iter().position(|known| known == called).ok_or_else(|| {
                Failure::input(format!(
                    "{} has no class `{called}`, which is one of {}",
                    dataset.folder().display(),
                    also.dataset.display()
                ))
                .help(format!(
                    "Say in the recipe what it is here, one of {}: [also.classes] with \"{name}\" = \"…\".",
                    here.join(", ")
                ))
            })
        })
        .collect::<Result<_>>()?;
    Ok(OtherData {
        dataset: other,
        labels: found,
        classes,
    })
}

fn parts<R: NetworkRecipe>(job: &Job<R>, units: &[usize], seed: u64) -> Result<Vec<Part>> {
    let (labels, chosen) = (job.labels, job.recipe.chosen());
    let all: Vec<usize> = (0..labels.images.len())
        .filter(|&image| may_be_learned_from(&labels.images[image]))
        .collect();
    let mut parts = Vec::new();
    if chosen.folds > 0 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Nothing is learned of a case that is held out, not even its diagnosis.
        let (units, undrawn) = match job.diagnosed {
            Some(diagnosed) => (diagnosed.units.as_slice(), job.also()),
            None => (units, Vec::new()),
        };
        let both: Vec<usize> = all.iter().chain(&undrawn).copied().collect();
        let of_both: Vec<usize> = both.iter().map(|&image| units[image]).collect();
        let folds = assign_folds(
            &dense(&of_both),
            &vec![None; both.len()],
            chosen.folds,
            &mut rng,
        )?;
        for fold in 0..chosen.folds {
            let mut part = Part {
                name: format!("fold-{}", fold + 1),
                items: Vec::new(),
                also: if undrawn.is_empty() {
                    job.also()
                } else {
                    Vec::new()
                },
                validation: Vec::new(),
                held_out: Vec::new(),
                test: Vec::new(),
            };
            for (&image, &of) in both.iter().zip(&folds) {
                let kind = match (job.undrawn(image), of == fold) {
                    (None, true) => &mut part.held_out,
                    (None, false) => &mut part.items,
                    (Some(_), true) => &mut part.test,
                    (Some(_), false) => &mut part.also,
                };
                kind.push(image);
            }
            parts.push(part);
        }
    }
    if chosen.whole {
        parts.push(Part {
            name: "whole".into(),
            items: all,
            also: job.also(),
            validation: Vec::new(),
            held_out: Vec::new(),
            test: job.test().collect(),
        });
    }
    let share = job.recipe.train().validation;
    match job.other {
        _ if share == 0.0 => {}
        Some(other) if job.recipe.corrects_labels() => {
            // The labels of the dataset are the ones that are doubted: other data measure progress.
            let units = other.labels.cases(&other.dataset);
            let (also, validation) = divide(&job.also(), &units, share, seed)?;
            for part in &mut parts {
                (part.also, part.validation) = (also.clone(), validation.clone());
            }
        }
        _ => {
            for part in &mut parts {
                validate(labels, units, share, seed, part)?;
                if let Some(Diagnosed { units, .. }) = job.diagnosed {
                    let validated: BTreeSet<usize> =
                        part.validation.iter().map(|&image| units[image]).collect();
                    part.also
                        .retain(|&image| !validated.contains(&units[image]));
                }
            }
        }
    }
    Ok(parts)
}

/// Divides images, each of which is of a case, by case: those that are learned from, and a share that measures
/// progress.
fn divide(
    images: &[usize],
    units: &[usize],
    share: f64,
    seed: u64,
) -> Result<(Vec<usize>, Vec<usize>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let splits = assign_splits(
        &dense(units),
        &vec![None; images.len()],
        Proportions::new(share, 0.0)?,
        &mut rng,
    )?;
    let (mut items, mut validation) = (Vec::new(), Vec::new());
    for (&image, split) in images.iter().zip(splits) {
        if split == Split::Validation {
            validation.push(image);
        } else {
            items.push(image);
        }
    }
    Ok((items, validation))
}

/// What each network does with each image of the dataset.
fn split_table<R>(job: &Job<R>, parts: &[Part]) -> Vec<u8> {
    let names = parts.iter().map(|part| part.name.as_str());
    let header: Vec<&str> = std::iter::once("image").chain(names).collect();
    let undrawn = (0..job.test_from()).filter(|&image| job.undrawn(image).is_some());
    let images = (0..job.labels.images.len())
        .chain(undrawn)
        .chain(job.test());
    let rows = images.map(|image| {
        let role = |part: &Part| {
            if part.items.contains(&image) {
                "learns"
            } else if job.undrawn(image).is_some() && part.also.contains(&image) {
                "diagnosis"
            } else if part.validation.contains(&image) {
                "validates"
            } else if part.predicts().any(|other| other == image) {
                "predicts"
            } else {
                ""
            }
        };
        let roles = parts.iter().map(|part| role(part).to_owned());
        std::iter::once(job.record(image).id.clone())
            .chain(roles)
            .collect::<Vec<_>>()
    });
    to_csv(&header, rows)
}

/// Gives a part what measures its progress: the labelled images of the dataset's validation split, or a share of the
/// cases that it would learn from.
fn validate(
    labels: &ShapeLabels,
    units: &[usize],
    share: f64,
    seed: u64,
    part: &mut Part,
) -> Result<()> {
    part.validation = (0..labels.images.len())
        .filter(|&image| labels.images[image].split == Some(Split::Validation))
        .collect();
    if part.validation.is_empty() {
        let of_items: Vec<usize> = part.items.iter().map(|&image| units[image]).collect();
        (part.items, part.validation) = divide(&part.items, &of_items, share, seed)?;
    }
    Ok(())
}

/// What measures progress where the dataset has images for validation, but none with a label.
fn unlabelled_validation<R: NetworkRecipe>(job: &Job<R>) -> Option<String> {
    let share = job.recipe.train().validation;
    let by_others = job.other.is_some() && job.recipe.corrects_labels();
    let any = |images: &[ImageRecord]| {
        let mut images = images.iter();
        images.any(|image| image.split == Some(Split::Validation))
    };
    let unlabelled = any(job.dataset.images()) && !any(&job.labels.images);
    (unlabelled && share > 0.0 && !by_others).then(|| {
        format!(
            "`{}` labelled no image of the validation split: progress is measured on {:.0} % of the training cases",
            job.labels.source,
            100.0 * share
        )
    })
}

fn manifest<R: NetworkRecipe>(
    context: &Context,
    job: &Job<R>,
    units: &[usize],
) -> Result<(String, NetworkManifest)> {
    let (dataset, labels) = (job.dataset, job.labels);
    let chosen = Chosen {
        seed: context.seed,
        labels: Some(labels.version),
        source: labels.experts.is_empty().then(|| labels.source.clone()),
        ..job.recipe.chosen()
    };
    let mut recipe = job.recipe.clone().with(chosen);
    let experts = recipe.experts().cloned();
    if let Some(experts) = &experts {
        let names = labels.experts.iter().map(|expert| expert.name.clone());
        recipe = recipe.with_experts(Experts {
            annotators: names.collect(),
            ..experts.clone()
        })?;
    }
    let config = toml::to_string(&recipe).map_err(|error| Failure::other(error.to_string()))?;
    let kind =
        network_run::Labelled::of(labels.family).ok_or_else(|| Failure::other("no shapes"))?;
    let manifest = NetworkManifest {
        kind,
        program: program(),
        command: command_line(),
        created: now(),
        finished: None,
        dataset: dataset.folder().to_owned(),
        classes: dataset.classes().names().to_vec(),
        microns_per_pixel: one_scale(&labels.images),
        labels: labels.version,
        labels_hash: dataset.version(labels.version)?.hash,
        source: labels.source.clone(),
        corrected: is_corrected(dataset, &labels.source)
            || (labels.experts.iter()).any(|expert| is_corrected(dataset, &expert.name)),
        method: experts.map(|experts| experts.method.name().to_owned()),
        config_hash: blake3::hash(config.as_bytes()).to_hex().to_string(),
        seed: context.seed,
        threads: context.threads,
        device: job.device.name,
        device_model: job.device.model.clone(),
        images: labels.images.len(),
        cases: units.iter().max().map_or(0, |last| last + 1),
        diagnosed: job.diagnosed.map(|of| DiagnosedManifest {
            source: of.source.clone(),
            images: of.images.len(),
        }),
        also: match job.other {
            Some(other) => Some(AlsoManifest {
                dataset: other.dataset.folder().to_owned(),
                labels: other.labels.version,
                labels_hash: other.dataset.version(other.labels.version)?.hash,
                source: other.labels.source.clone(),
                images: other.labels.images.len(),
            }),
            None => None,
        },
    };
    Ok((config, manifest))
}

/// Sizes of pixels that differ by less than this share are the same to a network.
const SAME_SCALE: f64 = 0.05;

/// The mean size of the pixels of images, if all are known and nearly the same.
pub fn one_scale(images: &[ImageRecord]) -> Option<f64> {
    let sizes: Vec<f64> =
        (images.iter().map(|image| image.microns_per_pixel)).collect::<Option<_>>()?;
    let mean = sizes.iter().sum::<f64>() / sizes.len() as f64;
    let same = |size: &f64| (size / mean - 1.0).abs() <= SAME_SCALE;
    sizes.iter().all(same).then_some(mean)
}

/// Trains one network, unless it is there, and predicts what it did not see.
fn train_part<L: Learner>(
    context: &Context,
    job: &Job<L::Recipe>,
    part: &Part,
    run: &Path,
    bar: &ProgressBar,
) -> Result<()> {
    let folder = run.join(&part.name);
    let file = folder.join("model.safetensors");
    let checkpoints = Checkpoints::of(&folder);
    if file.exists() {
        bar.inc(part.steps(job) as u64);
        return Ok(checkpoints.clear()?);
    }
    fs::create_dir_all(&folder)
        .map_err(|error| cleanslide_data::Error::io("create", &folder, error))?;
    let tell = |epoch: &Epoch, speed: Speed| {
        let memory = speed
            .memory
            .map_or_else(String::new, |memory| format!(", {memory:.0} MiB"));
        let validation = epoch
            .validation
            .map_or_else(String::new, |value| format!(", validation {value:.3}"));
        bar.set_message(format!(
            "{} loss {:.4}{validation}, {:.1} crops/s{memory}",
            part.name, epoch.loss, speed.crops_per_second
        ));
    };
    let watch = Watch {
        step: &|| bar.inc(1),
        epoch: &tell,
    };
    let model = L::train(job, part, context.seed, &folder, &watch)?;
    for image in part.predicts() {
        L::predict(job, &model, image, &predicted(&folder, image))?;
    }
    L::show(job, &model, part, &folder)?;
    write_file(&file, &L::bytes(&model)?)?;
    Ok(checkpoints.clear()?)
}

/// The name, without ending, of the files of a predicted image.
fn predicted(folder: &Path, image: usize) -> PathBuf {
    folder.join("predicted").join(format!("{image:06}"))
}

/// Gathers what the parts have made.
fn publish<L: Learner>(job: &Job<L::Recipe>, parts: &[Part], run: &Path) -> Result<()> {
    let chosen = job.recipe.chosen();
    let refused = |path: &Path, error| cleanslide_data::Error::io("read", path, error);
    let read = |path: PathBuf| fs::read(&path).map_err(|error| refused(&path, error));
    let mut metrics = String::new();
    for part in parts {
        let text = read(run.join(&part.name).join("metrics.jsonl"))?;
        for line in String::from_utf8_lossy(&text).lines() {
            // A line is an object; the part is its first entry.
            metrics.push_str(&format!("{{\"part\":\"{}\",{}\n", part.name, &line[1..]));
        }
    }
    write_file(&run.join("metrics.jsonl"), metrics.as_bytes())?;
    if chosen.whole {
        let model = read(run.join("whole/model.safetensors"))?;
        write_file(&run.join("model.safetensors"), &model)?;
    }
    let predictions = run.join("predictions");
    let nothing = parts.iter().all(|part| part.predicts().next().is_none());
    if !nothing && !predictions.exists() {
        publish_predictions::<L>(job, parts, run, &predictions)?;
    }
    // Also what a run that was interrupted here has left.
    for part in parts {
        let folder = run.join(&part.name).join("predicted");
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .map_err(|error| cleanslide_data::Error::io("remove", &folder, error))?;
        }
    }
    Ok(())
}

/// Writes what the parts predict as labels.
fn publish_predictions<L: Learner>(
    job: &Job<L::Recipe>,
    parts: &[Part],
    run: &Path,
    predictions: &Path,
) -> Result<()> {
    let mut evidence = Vec::new();
    for part in parts {
        for image in part.predicts() {
            evidence.push(Evidence {
                source: SOURCE.into(),
                scope: Scope::Image(job.record(image).id.clone()),
                target: L::predicted(job, &predicted(&run.join(&part.name), image))?,
                trust: Trust::FULL,
            });
        }
    }
    let classes = job.dataset.classes();
    let labels = Labels::new(evidence, classes)?;
    Ok(publish_folder(predictions, |folder| {
        labels.write(folder, classes)
    })?)
}

/// What was predicted against what was given: by the source, or by each of several experts, who are then named. What
/// is said of images for test is left alone.
fn measure(
    context: &Context,
    dataset: &Dataset,
    labels: &ShapeLabels,
    run: &Path,
) -> Result<Vec<Measure>> {
    let predicted = Labels::read(&run.join("predictions"), dataset.classes())?;
    let mut judged = predicted.of_images(SOURCE, labels.family);
    let labelled: BTreeSet<&str> = labels
        .images
        .iter()
        .map(|image| image.id.as_str())
        .collect();
    judged.retain(|id, _| labelled.contains(id));
    let given = dataset.labels(labels.version)?;
    let against = |source: &str| {
        let judged = Judged {
            judged: &judged,
            truth: &given.of_images(source, labels.family),
            cases: &cases(dataset),
            family: labels.family,
            class_agnostic: false,
            all: false,
        };
        let found = measures(context, dataset, &judged)?;
        Ok(found.map_or_else(Vec::new, |(.., measures)| measures))
    };
    if labels.experts.is_empty() {
        return against(&labels.source);
    }
    let of_experts: Vec<Vec<Measure>> = labels
        .experts
        .iter()
        .map(|expert| against(&expert.name))
        .collect::<Result<_>>()?;
    let kinds = of_experts.iter().map(Vec::len).max().unwrap_or(0);
    let all = (0..kinds).flat_map(|kind| {
        let experts = labels.experts.iter().zip(&of_experts);
        experts.filter_map(move |(expert, measures)| {
            let measure = measures.get(kind)?.clone();
            Some(Measure {
                name: format!("{}, {}", measure.name, expert.name),
                ..measure
            })
        })
    });
    Ok(all.collect())
}

impl Show for Trained {
    fn text(&self) -> String {
        let mut text = format!(
            "{}: {} on {} of {} ({} of {}), {}\n",
            self.run.display(),
            self.network,
            count(self.images, "image"),
            count(self.cases, "case"),
            self.source,
            self.labels,
            duration(self.seconds),
        );
        if let Some(measures) = &self.against_given_labels {
            text.push_str(&format!(
                "{}:\n{}\n",
                across_folds(self.corrected),
                table(&["value"], &[measures]),
            ));
        }
        if self.predicted > 0 {
            text.push_str(&format!(
                "{} predicted by networks that did not see their cases\n",
                count(self.predicted, "image"),
            ));
        }
        if let Some(uncorrected) = &self.uncorrected {
            text.push_str(&format!("{uncorrected}\n"));
        }
        if let Some(next) = &self.next {
            text.push_str(&format!("next: {next}\n"));
        }
        if let Some(other) = &self.or_next {
            text.push_str(&format!("or:   {other}\n"));
        }
        text.push_str(&format!(
            "pictures and curves: {}",
            self.run.join("report.html").display()
        ));
        text
    }
}

fn duration(seconds: f64) -> String {
    if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{:.1} min", seconds / 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_cases_measures_progress_where_no_image_for_validation_is_labelled() {
        let validation_of = |split| {
            let image = |number: usize| ImageRecord {
                id: number.to_string(),
                split: if number == 9 { split } else { None },
                ..ImageRecord::default()
            };
            let labels = ShapeLabels {
                version: "v1".parse().unwrap(),
                source: "anna".into(),
                family: cleanslide_data::Family::Mask,
                images: (0..10).map(image).collect(),
                pieces: Vec::new(),
                experts: Vec::new(),
            };
            let mut part = Part {
                name: "whole".into(),
                items: (0..9).collect(),
                also: Vec::new(),
                validation: Vec::new(),
                held_out: Vec::new(),
                test: Vec::new(),
            };
            let units: Vec<usize> = (0..10).collect();
            validate(&labels, &units, 0.3, 0, &mut part).unwrap();
            (part.items.len(), part.validation)
        };
        assert_eq!(validation_of(Some(Split::Validation)), (9, vec![9]));
        let (items, validation) = validation_of(None);
        assert!(!validation.is_empty() && items + validation.len() == 9);
    }
}
