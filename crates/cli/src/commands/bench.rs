//! `cleanslide bench`: methods over kinds of labels and rates of noise, over networks for several experts, or over ways to
//! learn from wrong boxes and masks of objects.

mod boxes;
mod cells;
mod comparison;
mod diagnoses;
mod folder;
mod networks;
mod objects;
mod robustness;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use cleanslide_data::store::{in_file_names, write_file};
use cleanslide_data::{Dataset, Family, Task, TryMap, VersionId, independent_units};
use cleanslide_eval::{Bootstrap, Estimate};
use cleanslide_learn::bench::{AddedNoise, Bench as Grid, Cell};
use cleanslide_learn::classify::{Classifier, EarlyStopping};
use cleanslide_learn::embed::Embeddings;
use cleanslide_learn::from_pixels::{FromPixels, FromPixelsSettings, is_possible};
use cleanslide_learn::image_labels::ImageLabels;
use cleanslide_learn::methods::MethodSettings;
use cleanslide_learn::predictions::Predictions;
use cleanslide_nn::devices::DeviceName;
use cleanslide_report::classification::{
    Against, Comparison, MethodResult, NoiseCurve, PLAIN, Setting, render,
};
use ndarray::{Array2, Axis};
use rayon::prelude::*;
use serde::Serialize;

use self::cells::Request;
use self::folder::Reported;
use self::robustness::{Robustness, robustness};
use super::embed::embeddings;
use crate::arguments::DatasetArgument;
use crate::context::Context;
use crate::corrected_labels::{self, is_corrected};
use crate::failure::{Failure, Result};
use crate::held::Held;
use crate::json_file::{read_json, write_json};
use crate::measures::Known;
use crate::network_run::{BoxRecipe, PixelRecipe};
use crate::output::{Show, count};
use crate::page;
use crate::pipeline::{method_by_name, reference_labels, unused_validation};
use crate::progress;
use crate::run_folder::{Recipe, RecipeFlags, read_recipe, refuse_method};
use crate::text_table::TextTable;
use crate::truth::Truth;

/// What `bench` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
cleanslide bench liver --labels-of reference:truth --noise none,uniform:0.2,uniform:0.4 \\\n    \
--methods cross-entropy,elr --out bench\n  \
cleanslide bench mitoses --labels-of expert1,expert3,all --out bench\n  \
cleanslide bench mitoses --labels-of all --from-pixels resnet18.toml \\\n    \
--methods gce,elr --out pixels\n  \
cleanslide bench cores --networks hrnet,unet --recipe recipe.toml \\\n    \
--methods majority,majority+gaf,reweight,reweight+gaf --out bench\n  \
cleanslide bench celllab --recipe recipe.toml --methods self-training,adele,adele+strong \\\n    \
--reference expert1 --class-agnostic --out bench\n  \
cleanslide bench nuclei --recipe recipe.toml --methods plain,co-teaching,dual \\\n    \
--reference truth --out bench")]
pub struct Bench {
    #[command(flatten)]
    dataset: DatasetArgument,
    /// Classes of images: sources whose labels are learned from; `all` is the votes of all annotators, and
    /// `reference:NAME` a reference, to which noise is to be added
    #[arg(long, value_delimiter = ',', value_name = "SOURCES")]
    labels_of: Vec<String>,
    /// Masks and boxes: networks by name, or recipes whose networks they are; the recipe's by default
    #[arg(long, value_delimiter = ',', value_name = "NAMES|FILES")]
    networks: Vec<String>,
    /// Noise to add: none; uniform:RATE, to any other class; pair:RATE, to the next class; toward:CLASS:RATE, of all
    /// others to this class; instance:RATE, of hard images to the likeliest wrong class. Rates are from 0 to 1. Of three
    /// rates and more of a kind, none among them, robustness is told
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "none",
        value_name = "NOISES"
    )]
    noise: Vec<String>,
    /// Methods to compare; all by default. Differences are to the first. For class masks of several experts, a method may
    /// be followed by +focal, +gaf (focal loss with Gaussian attention), +entropy, +undivided or +per-pixel. For boxes they are
    /// plain, self-training and adele; the last two may be followed by +weak, +strong or +ignored (what becomes of all
    /// that was not found), +trust (scores weigh corrected boxes) and +completed (given boxes stay), all by +average (a
    /// running average). For masks of objects they are these, sissi (as the recipe says), losses such as gce, and
    /// small-loss, co-teaching, jocor and dividemix, which may be followed by +selection, +contrast and +priors; dual is
    /// co-teaching+selection+contrast. For class masks beside diagnoses (the recipe has a table `complementary`) they are plain,
    /// shown, negative, partial, forward and presumed
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    methods: Vec<String>,
    /// Classes of images: train networks on pixels, and no heads on embeddings; a TOML file with the keys central_crop and
    /// class_balance and the tables encoder, train and augment. Folds and noise are those of the same bench without it
    #[arg(long, value_name = "FILE")]
    from_pixels: Option<PathBuf>,
    /// Number of seeds, counted up from --seed
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Number of folds, by case: those of the recipe by default, or 5; of boxes and of masks of objects, unless there are
    /// images for test
    #[arg(long)]
    folds: Option<usize>,
    /// What predictions are judged against; the only reference by default
    #[arg(long, value_name = "NAME")]
    reference: Option<String>,
    /// Boxes: any class matches any other
    #[arg(long)]
    class_agnostic: bool,
    /// Settings as a recipe, as for `train`; flags override it, and of classes of images its method and source are not used
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Classes of images: `classical`, a file of weights, or NAME=FILE with a name that `cleanslide encoders` lists
    #[arg(long, value_name = "NAME|FILE|NAME=FILE")]
    encoder: Option<String>,
    /// Classes of images: use only the central square of this many pixels of each image
    #[arg(long, value_name = "PIXELS")]
    crop: Option<u32>,
    /// Classes of images: stop at the first image that cannot be used, instead of leaving it out
    #[arg(long)]
    strict: bool,
    /// Folder of the bench; cells that are done are kept, and so is a report of more than is asked
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

/// Resamples behind each interval.
const REPLICATES: usize = 1000;

/// Whether a label version, by default the latest, has masks of objects.
fn has_objects(dataset: &Dataset, version: Option<VersionId>) -> Result<bool> {
    let labels = dataset.labels(match version {
        Some(version) => version,
        None => dataset.latest()?,
    })?;
    Ok(!labels.sources(Family::Instances).is_empty())
}

/// One line of the result.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    labels: String,
    noise: String,
    rate: f64,
    method: String,
    seeds: usize,
    balanced_accuracy: Estimate,
    auroc: Estimate,
    /// Difference in balanced accuracy to the first method; none for the first itself.
    difference: Option<Estimate>,
    p_value: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Summary {
    folder: PathBuf,
    reference: String,
    folds: usize,
    lines: Vec<Line>,
    robustness: Vec<Robustness>,
    /// Whether the report in the folder is another, of more than these lines.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    kept: bool,
}

/// Refuses what is named twice, as benches of networks do.
fn refuse_twice(names: &[String]) -> Result<()> {
    let mut known = BTreeSet::new();
    match names.iter().find(|name| !known.insert(*name)) {
        None => Ok(()),
        Some(name) => Err(Failure::usage(format!("{name} is asked for twice"))),
    }
}

impl Bench {
    pub fn run(self, context: &Context) -> Result<()> {
        refuse_method(self.recipe.as_deref(), "--methods")?;
        let dataset = context.open(&self.dataset.dataset)?;
        let files: &[&str] = match dataset.manifest().task {
            Task::Classification => &[folder::PLAN],
            // Benches of networks had no plan once.
            Task::Segmentation | Task::Detection => &[folder::PLAN, folder::FIGURES],
        };
        folder::refuse_other(&self.out, files)?;
        match dataset.manifest().task {
            Task::Classification => self.classes(context, &dataset),
            Task::Segmentation => self.masks(context, &dataset),
            Task::Detection => self.boxes(context, &dataset),
        }
    }

    fn masks(self, context: &Context, dataset: &Dataset) -> Result<()> {
        let whose = "Whose masks are learned from is `source` in the recipe; of several experts, [experts].";
        self.refuse_of_classes("masks", whose)?;
        self.refuse_of_boxes("masks")?;
        let request = self.request();
        let recipe: PixelRecipe = request.recipe()?;
        let context = &context.with_seed_of_recipe(recipe.seed);
        if recipe.experts.is_none() && has_objects(dataset, recipe.labels)? {
            objects::run(context, dataset, &request)
        } else if recipe.complementary.is_some() {
            diagnoses::run(context, dataset, &request)
        } else {
            networks::run(context, dataset, &request)
        }
    }

    fn boxes(self, context: &Context, dataset: &Dataset) -> Result<()> {
        let whose = "Whose boxes are learned from is `source` in the recipe.";
        self.refuse_of_classes("boxes", whose)?;
        let request = self.request();
        let recipe: BoxRecipe = request.recipe()?;
        let context = &context.with_seed_of_recipe(recipe.seed);
        boxes::run(context, dataset, &request, self.class_agnostic)
    }

    /// What is asked of networks.
    fn request(&self) -> Request<'_> {
        Request {
            networks: &self.networks,
            methods: &self.methods,
            recipe: self.recipe.as_deref(),
            seeds: self.seeds,
            folds: self.folds,
            reference: self.reference.as_deref(),
            out: &self.out,
        }
    }

    /// Refuses what is for classes of images alone; `whose` says what takes the place of `--labels-of`.
    fn refuse_of_classes(&self, labels: &str, whose: &str) -> Result<()> {
        if !self.labels_of.is_empty() || self.noise != ["none"] {
            return Err(Failure::usage(format!(
                "`--labels-of` and `--noise` are for classes of images, and these labels are {labels}"
            ))
            .help(whose));
        }
        let of_classes = [
            ("--encoder", self.encoder.is_some()),
            ("--crop", self.crop.is_some()),
            ("--strict", self.strict),
            ("--from-pixels", self.from_pixels.is_some()),
        ];
        match of_classes.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((flag, _)) => Err(Failure::usage(format!(
                "`{flag}` is for classes of images, and these labels are {labels}"
            ))
            .help("What decides the training of a network is in its recipe.")),
        }
    }

    fn refuse_of_boxes(&self, labels: &str) -> Result<()> {
        if self.class_agnostic {
            return Err(Failure::usage(format!(
                "`--class-agnostic` is for boxes, and these labels are {labels}"
            ))
            .help("Leave it out."));
        }
        Ok(())
    }

    fn classes(self, context: &Context, dataset: &Dataset) -> Result<()> {
        self.refuse_of_boxes("classes of images")?;
        if self.labels_of.is_empty() || !self.networks.is_empty() {
            return Err(Failure::usage(
                "of classes of images, `--labels-of` says whose labels are learned from, and there are no `--networks`",
            )
            .help("For example `--labels-of expert1,all`; `cleanslide status` lists the sources."));
        }
        for names in [&self.labels_of, &self.noise, &self.methods] {
            refuse_twice(names)?;
        }
        let truth = Truth::of_dataset(dataset, self.reference.as_deref())?;
        let classes = dataset.classes().names();
        let noises: Vec<AddedNoise> = self
            .noise
            .iter()
            .map(|text| {
                text.parse()
                    .and_then(|noise: AddedNoise| noise.check(classes).map(|()| noise))
                    .map_err(|error| Failure::usage(format!("{error}")))
            })
            .collect::<Result<_>>()?;
        let methods: Vec<MethodSettings> = if self.methods.is_empty() {
            MethodSettings::all()
        } else {
            self.methods
                .iter()
                .map(|name| method_by_name(name))
                .collect::<Result<_>>()?
        };
        let from_pixels = self.settings_of_pixels(&methods)?;
        let recipe = self.recipe()?;
        let context = &context.with_seed_of_recipe(recipe.seed);
        let labels: Vec<(String, ImageLabels)> = self
            .labels_of
            .iter()
            .map(|name| Ok((name.clone(), labels_of(dataset, recipe.labels, name)?)))
            .collect::<Result<_>>()?;
        for warning in self.too_good(dataset) {
            context.output.warn(&warning);
        }
        let cells = self.cells(&noises, &methods, context.seed);
        self.compute(
            context,
            dataset,
            &recipe,
            &labels,
            &cells,
            from_pixels.as_ref(),
        )?;
        let (lines, curves) = self.judge(dataset, &truth, &cells, context.seed)?;
        let files: Vec<PathBuf> = cells.iter().map(|cell| cell.path(&self.out)).collect();
        let reported = Reported::new(&self.out, files.iter().map(PathBuf::as_path))?;
        let kept = reported.is_kept(context, &self.out);
        if !kept {
            reported.write(&self.out)?;
            let labels = &labels[0].1;
            self.write(
                context,
                dataset,
                labels,
                &truth,
                recipe.folds,
                (&lines, &curves),
            )?;
        }
        context.output.show(&Summary {
            folder: self.out,
            reference: truth.name,
            folds: recipe.folds,
            lines,
            robustness: summed_up(curves),
            kept,
        })
    }

    /// What heads are trained by, and on what.
    fn recipe(&self) -> Result<Recipe> {
        let flags = RecipeFlags {
            file: self.recipe.as_deref(),
            encoder: self.encoder.as_deref(),
            crop: self.crop,
            folds: self.folds,
            ..RecipeFlags::default()
        };
        let recipe = flags.recipe()?;
        let watched = recipe.validation_reference.as_deref();
        if !matches!(
            recipe.train.early_stopping,
            EarlyStopping::CleanValidation { .. }
        ) {
            return match watched {
                None => Ok(recipe),
                Some(name) => Err(unused_validation(name)),
            };
        }
        // Clean labels are those that noise is added to.
        for name in &self.labels_of {
            let Some(reference) = name.strip_prefix("reference:") else {
                return Err(Failure::usage(format!(
                    "the recipe stops early by clean labels, and those of `{name}` may be wrong"
                ))
                .help(
                    "Stop by `noisy-validation`, or learn from a reference, to which noise is added: \
                     `--labels-of reference:NAME`.",
                ));
            };
            if let Some(watched) = watched.filter(|watched| *watched != reference) {
                return Err(Failure::usage(format!(
                    "the recipe stops early by the reference `{watched}`, and a bench by the labels to which it adds noise, \
                     those of `{reference}`"
                ))
                .help("Leave `validation_reference` out, or learn from that reference."));
            }
        }
        Ok(recipe)
    }

    /// How networks are trained on pixels, if they are.
    fn settings_of_pixels(&self, methods: &[MethodSettings]) -> Result<Option<FromPixelsSettings>> {
        let Some(path) = &self.from_pixels else {
            return Ok(None);
        };
        if self.recipe.is_some() {
            return Err(Failure::usage(
                "`--recipe` is for heads on embeddings, and `--from-pixels` trains networks",
            )
            .help("Give one of them."));
        }
        if let Some(method) = methods.iter().find(|method| !is_possible(method)) {
            let possible = MethodSettings::all();
            let possible: Vec<_> = possible
                .iter()
                .filter(|method| is_possible(method))
                .collect();
            let names: Vec<&str> = possible.iter().map(|method| method.name()).collect();
            return Err(Failure::usage(format!(
                "networks are not trained on pixels by `{}`",
                method.name()
            ))
            .help(format!(
                "Choose among {} with `--methods`.",
                names.join(", ")
            )));
        }
        let settings: FromPixelsSettings = read_recipe(path)?;
        settings.check().map_err(Failure::from)?;
        Ok(Some(settings))
    }

    /// Warnings of labels that a model corrected.
    fn too_good(&self, dataset: &Dataset) -> Vec<String> {
        let corrected = (self.labels_of.iter()).filter(|name| is_corrected(dataset, name));
        corrected
            .map(|name| corrected_labels::warning(name))
            .collect()
    }

    fn cells(&self, noises: &[AddedNoise], methods: &[MethodSettings], seed: u64) -> Vec<Cell> {
        let mut cells = Vec::new();
        for labels in &self.labels_of {
            for noise in noises {
                for method in methods {
                    for seed in seed..seed + self.seeds {
                        cells.push(Cell {
                            labels: labels.clone(),
                            noise: noise.clone(),
                            method: method.clone(),
                            seed,
                        });
                    }
                }
            }
        }
        cells
    }

    fn compute(
        &self,
        context: &Context,
        dataset: &Dataset,
        recipe: &Recipe,
        labels: &[(String, ImageLabels)],
        cells: &[Cell],
        from_pixels: Option<&FromPixelsSettings>,
    ) -> Result<()> {
        let classifier = Classifier {
            train: recipe.train.clone(),
            ..Classifier::default()
        };
        let arguments = recipe.encoder_arguments(self.strict);
        let (encoder, embeddings) = embeddings(context, dataset, &arguments)?;
        let images = images_hash(dataset, &embeddings);
        self.begin(&encoder.identity(), &images, recipe, from_pixels)?;
        self.check_labels(labels)?;
        let missing: Vec<&Cell> = cells
            .iter()
            .filter(|cell| !cell.path(&self.out).exists())
            .collect();
        context.output.note(&format!(
            "{} to compute, {} done before; {} folds by case",
            count(missing.len(), "cell"),
            cells.len() - missing.len(),
            recipe.folds
        ));
        let device = DeviceName::Cpu.open()?.device;
        let training = self.out.join("training");
        // Networks are trained in one folder, where another process would disturb them.
        let held = from_pixels
            .map(|_| Held::new(&self.out, "trains networks"))
            .transpose()?;
        let from_pixels = from_pixels.map(|settings| FromPixels {
            dataset,
            settings,
            seed: context.seed,
            device: &device,
            folder: &training,
        });
        let grid = Grid {
            dataset,
            embeddings: &embeddings,
            classifier: &classifier,
            folds: recipe.folds,
            from_pixels: from_pixels.as_ref(),
        };
        let bar = progress::bar("bench", missing.len());
        let compute = |cell: &&Cell| {
            let found = labels.iter().find(|(name, _)| *name == cell.labels);
            if let Some((_, labels)) = found {
                grid.run(cell, labels, &self.out)?;
            }
            bar.inc(1);
            Ok(())
        };
        // A network has all threads for itself, and memory is that of one.
        let result: Result<()> = match grid.from_pixels {
            Some(_) => missing.iter().try_for_each(compute),
            None => missing.par_iter().try_map(compute).map(drop),
        };
        bar.finish_and_clear();
        result?;
        held.map_or(Ok(()), Held::release)
    }

    /// Cells of different settings must not meet in one folder.
    fn begin(
        &self,
        encoder: &str,
        images: &str,
        recipe: &Recipe,
        from_pixels: Option<&FromPixelsSettings>,
    ) -> Result<()> {
        let failed = |error: toml::ser::Error| Failure::other(error.to_string());
        let train = match from_pixels {
            None => format!(
                "[train]\n{}",
                toml::to_string(&recipe.train).map_err(failed)?
            ),
            Some(settings) => toml::to_string(settings).map_err(failed)?,
        };
        let plan = format!(
            "encoder = \"{encoder}\"\nimages = \"{images}\"\nfolds = {}\n\n{train}",
            recipe.folds
        );
        let others = "other images or cases, with another encoder, other folds or other settings";
        folder::begin(&self.out, &plan, others)
    }

    /// Nor must cells of different labels, one file being named as the other.
    fn check_labels(&self, labels: &[(String, ImageLabels)]) -> Result<()> {
        let path = self.out.join("labels.json");
        let mut known: BTreeMap<String, String> = if path.exists() {
            read_json(&path)?
        } else {
            BTreeMap::new()
        };
        for (name, labels) in labels {
            let in_files = in_file_names(name);
            let content = format!("{name} {}", labels.content_hash());
            let hash = blake3::hash(content.as_bytes()).to_hex().to_string();
            if *known.entry(in_files.clone()).or_insert(hash.clone()) != hash {
                return Err(Failure::usage(format!(
                    "{} holds cells of other labels called `{in_files}` than `{name}` is now",
                    self.out.display()
                ))
                .help("Choose another folder with `--out`."));
            }
        }
        write_json(&path, &known)
    }

    fn judge(
        &self,
        dataset: &Dataset,
        truth: &Truth,
        cells: &[Cell],
        seed: u64,
    ) -> Result<(Vec<Line>, Vec<Robustness>)> {
        let bootstrap = Bootstrap {
            seed,
            replicates: REPLICATES,
            ..Bootstrap::default()
        };
        let images = self.images(&cells[0], dataset, truth)?;
        let bar = progress::bar("intervals", cells.len() / self.seeds as usize);
        let mut lines: Vec<Line> = Vec::new();
        let mut first = Vec::new();
        for repeats in cells.chunks(self.seeds as usize) {
            let predicted = repeats
                .iter()
                .map(|cell| images.read(&cell.path(&self.out)))
                .collect::<Result<Vec<_>>>()?;
            let cell = &repeats[0];
            let (labels, noise) = (cell.labels.clone(), cell.noise.to_string());
            let starts = lines
                .last()
                .is_none_or(|last| last.labels != labels || last.noise != noise);
            if starts {
                first.clone_from(&predicted);
            }
            let difference = if starts {
                None
            } else {
                Some(images.known.difference(&predicted, &first, &bootstrap)?)
            };
            lines.push(Line {
                labels,
                noise,
                rate: cell.noise.rate(),
                method: cell.method.name().to_owned(),
                seeds: repeats.len(),
                balanced_accuracy: images.known.balanced_accuracy(&predicted, &bootstrap)?,
                auroc: images.known.auroc(&predicted, &bootstrap)?,
                difference: difference.as_ref().map(|comparison| comparison.difference),
                p_value: difference.as_ref().map(|comparison| comparison.p_value),
            });
            bar.inc(1);
        }
        bar.finish_and_clear();
        let seeds = self.seeds as usize;
        let read = |repeats: &[Cell]| -> Result<Vec<Array2<f32>>> {
            let files = repeats
                .iter()
                .map(|cell| images.read(&cell.path(&self.out)));
            files.collect()
        };
        let robustness = robustness(&lines, cells, seeds, &images.known, &read, &bootstrap)?;
        Ok((lines, robustness))
    }

    /// The images with truth, in the order of the cells' files.
    fn images(&self, cell: &Cell, dataset: &Dataset, truth: &Truth) -> Result<JudgedImages> {
        let predictions = Predictions::read(&cell.path(&self.out))?;
        let rows: Vec<usize> = (0..predictions.images.len())
            .filter(|&row| truth.images.contains_key(&predictions.images[row]))
            .collect();
        let (classes, cases) = rows
            .iter()
            .map(|&row| truth.images[&predictions.images[row]])
            .unzip();
        Ok(JudgedImages {
            ids: predictions.images,
            rows,
            known: Known {
                truth: classes,
                cases,
                classes: dataset.classes().len(),
            },
        })
    }

    fn write(
        &self,
        context: &Context,
        dataset: &Dataset,
        labels: &ImageLabels,
        truth: &Truth,
        folds: usize,
        (lines, curves): (&[Line], &[Robustness]),
    ) -> Result<()> {
        write_json(&self.out.join(folder::FIGURES), lines)?;
        let robustness = summed_up(curves.to_vec());
        write_json(&self.out.join("robustness.json"), &robustness)?;
        let mut report = page::start(context, dataset, labels.version, labels)?;
        report.title = format!("{}: comparison of methods", self.dataset.dataset.display());
        report.warnings.extend(self.too_good(dataset));
        report.comparison = Some(Comparison {
            metric: "balanced accuracy".into(),
            against: Against::Truth(truth.name.clone()),
            protocol: format!(
                "{} by case × {}",
                count(folds, "fold"),
                count(self.seeds as usize, "seed")
            ),
            chance: Some(1.0 / dataset.classes().len() as f64),
            settings: settings(lines),
            noise_curves: noise_curves(curves),
            baseline: name_of_baseline(&lines[0].method),
            quoted: None,
            quoted_because: String::new(),
        });
        Ok(write_file(
            &self.out.join("report.html"),
            render(&report).as_bytes(),
        )?)
    }
}

/// What differences to a method are to.
fn name_of_baseline(method: &str) -> String {
    if method == MethodSettings::default().name() {
        PLAIN.to_owned()
    } else {
        method.to_owned()
    }
}

/// A hash of the images that are embedded, and of the cases by which folds are dealt.
fn images_hash(dataset: &Dataset, embeddings: &Embeddings) -> String {
    let cases = independent_units(dataset.images());
    let mut hasher = blake3::Hasher::new();
    for (&image, hash) in embeddings.images.iter().zip(&embeddings.hashes) {
        let (id, case) = (&dataset.images()[image].id, cases[image]);
        hasher.update(format!("{id}\t{hash}\t{case}\n").as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Labels by name: a source or all annotators, of a label version or the latest, or a reference.
fn labels_of(dataset: &Dataset, version: Option<VersionId>, name: &str) -> Result<ImageLabels> {
    match name.strip_prefix("reference:") {
        Some(reference) => reference_labels(dataset, reference),
        None => Ok(ImageLabels::load(dataset, version, Some(name))?),
    }
}

/// The images that the cells predict.
struct JudgedImages {
    /// Ids of all, in the order of the files.
    ids: Vec<String>,
    /// The rows with truth.
    rows: Vec<usize>,
    /// Their truth.
    known: Known,
}

impl JudgedImages {
    /// The probabilities of the images with truth, `[images, classes]`.
    fn read(&self, path: &Path) -> Result<Array2<f32>> {
        let predictions = Predictions::read(path)?;
        if predictions.images != self.ids {
            return Err(Failure::input(format!(
                "{} predicts other images than the other cells of this bench",
                path.display()
            ))
            .help("Remove the file, and run the same command again."));
        }
        Ok(predictions.probabilities.select(Axis(0), &self.rows))
    }
}

/// Labels and noise, as one heading.
fn heading(line: &Line) -> String {
    if line.noise == "none" {
        line.labels.clone()
    } else {
        format!("{} + {}", line.labels, line.noise)
    }
}

fn settings(lines: &[Line]) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    for line in lines {
        let result = MethodResult {
            method: line.method.clone(),
            value: page::estimate(&line.balanced_accuracy),
            difference: line.difference.as_ref().map(page::estimate),
        };
        match settings.last_mut() {
            Some(last) if last.name == heading(line) => last.methods.push(result),
            _ => settings.push(Setting {
                name: heading(line),
                methods: vec![result],
            }),
        }
    }
    settings
}

/// The curves of enough rates.
fn summed_up(mut curves: Vec<Robustness>) -> Vec<Robustness> {
    curves.retain(|curve| curve.mean_skill.is_some());
    curves
}

/// The curves of the page.
fn noise_curves(robustness: &[Robustness]) -> Vec<NoiseCurve> {
    let several = robustness
        .iter()
        .any(|other| other.labels != robustness[0].labels);
    let curve = |of: &Robustness| NoiseCurve {
        noise: format!("noise {}", of.noise),
        method: if several {
            format!("{}, {}", of.method, of.labels)
        } else {
            of.method.clone()
        },
        points: of
            .balanced_accuracy
            .iter()
            .map(|(rate, estimate)| (*rate, page::estimate(estimate)))
            .collect(),
        mean_skill: of.mean_skill.as_ref().map(page::estimate),
        half_lost_at: of.half_lost_at.as_ref().map(page::estimate),
    };
    robustness.iter().map(curve).collect()
}

impl Summary {
    fn robustness(&self) -> String {
        let mut table = TextTable::new(&[
            "labels",
            "<noise",
            "<method",
            "mean skill",
            "half of it lost at",
        ]);
        for of in &self.robustness {
            let Some(mean_skill) = of.mean_skill else {
                continue;
            };
            let greatest = of.balanced_accuracy.last().map_or(0.0, |point| point.0);
            table.row([
                of.labels.clone(),
                of.noise.clone(),
                of.method.clone(),
                format!("{mean_skill:.3}"),
                match of.half_lost_at {
                    Some(half) if half.value < greatest => format!("{half:.2}"),
                    Some(_) => format!("beyond {greatest:.2}"),
                    None => "no skill".to_owned(),
                },
            ]);
        }
        if self.robustness.is_empty() {
            return String::new();
        }
        format!(
            "\n\nrobustness: skill is 0 for a guess and 1 without error; its mean over all rates\n{}",
            table.text()
        )
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut table = TextTable::new(&[
            "labels",
            "<noise",
            "<method",
            "balanced accuracy",
            "AUROC",
            "difference to the first",
            "p",
        ]);
        for line in &self.lines {
            table.row([
                line.labels.clone(),
                line.noise.clone(),
                line.method.clone(),
                format!("{:.3}", line.balanced_accuracy),
                format!("{:.3}", line.auroc),
                line.difference
                    .map_or_else(String::new, |difference| format!("{difference:+.3}")),
                line.p_value.map_or_else(String::new, |p| format!("{p:.3}")),
            ]);
        }
        format!(
            "against {}, {} folds by case, 95 % intervals over cases\n{}{}\nreport: {}{}",
            self.reference,
            self.folds,
            table.text(),
            self.robustness(),
            report_path(&self.folder).display(),
            if self.kept {
                " (of more than this)"
            } else {
                ""
            },
        )
    }
}

fn report_path(folder: &Path) -> PathBuf {
    folder.join("report.html")
}
