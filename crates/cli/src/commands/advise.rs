//! `cleanslide advise`: which method to learn with, chosen by the noisy labels alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use cleanslide_data::{Dataset, Task, VersionId};
use cleanslide_eval::Estimate;
use cleanslide_learn::advise::{
    Advice, AdviseSettings, Doubt, Evidence, Failed, LEAST_GAIN, NoiseFinding, NoiseKind, advise,
    find_noise,
};
use cleanslide_learn::classify::EarlyStopping;
use cleanslide_learn::image_labels::ImageLabels;
use cleanslide_learn::methods::MethodSettings;
use cleanslide_learn::study::Study;
use cleanslide_report::classification::{
    Against, Comparison, MethodResult, Noise, NoiseEstimate, PLAIN, Setting, render,
};
use cleanslide_report::number;
use serde::Serialize;

use super::embed::embeddings;
use super::train::{tell_what_is_watched, with_validation};
use crate::arguments::{DatasetArgument, LabelsArguments};
use crate::context::Context;
use crate::corrected_labels::{self, is_corrected};
use crate::failure::{Failure, Result};
use crate::new_folder::{publish, refuse_existing, save};
use crate::output::{Show, count, percent, quoted};
use crate::page;
use crate::pipeline::{judge_labels, may_be_learned_from, method_by_name, refuse_leaks};
use crate::progress;
use crate::run_folder::{Recipe, RecipeFlags, refuse_method};
use crate::text_table::TextTable;

/// What `advise` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cleanslide advise mitoses --source expert1\n  \
cleanslide advise liver --methods mae,gce,elr --repeats 5 --out advice\n  \
cleanslide train liver --recipe advice/recipe.toml --out runs/advised"
)]
pub struct Advise {
    #[command(flatten)]
    dataset: DatasetArgument,
    #[command(flatten)]
    labels: LabelsArguments,
    /// `classical`, a file of weights, or NAME=FILE with a name that `cleanslide encoders` lists
    #[arg(long, value_name = "NAME|FILE|NAME=FILE")]
    encoder: Option<String>,
    /// Use only the central square of this many pixels of each image
    #[arg(long, value_name = "PIXELS")]
    crop: Option<u32>,
    /// Stop at the first image that cannot be used, instead of leaving it out
    #[arg(long)]
    strict: bool,
    /// Methods to try beside plain training; all by default
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    methods: Vec<String>,
    /// Folds of each cross-validation, by case
    #[arg(long)]
    folds: Option<usize>,
    /// Cross-validations, each with other folds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    repeats: u64,
    /// Settings of training as a TOML file, as for `train`; flags override it. Its method is tried with its settings
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// New folder for advice.json, recipe.toml and report.html
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Fewer cases than this make rough intervals.
const FEW_CASES: usize = 20;

/// `advice.json`.
#[derive(Debug, Serialize)]
struct Findings {
    labels: VersionId,
    source: String,
    images: usize,
    cases: usize,
    classes: Vec<String>,
    folds: usize,
    repeats: u64,
    seed: u64,
    noise: NoiseFinding,
    #[serde(flatten)]
    advice: Advice,
    sentence: String,
}

/// What the command prints.
#[derive(Debug, Serialize)]
struct Summary {
    #[serde(flatten)]
    findings: Findings,
    /// Seconds that one cross-validation of each method took.
    seconds: BTreeMap<&'static str, f64>,
    /// The command to run next.
    next: String,
}

impl Advise {
    pub fn run(self, context: &Context) -> Result<()> {
        refuse_method(self.recipe.as_deref(), "--methods")?;
        let dataset = context.open(&self.dataset.dataset)?;
        if dataset.manifest().task != Task::Classification {
            return Err(Failure::usage(
                "`advise` is for classes of images, and these labels are masks or boxes",
            )
            .help("Compare methods for them with `cleanslide bench`."));
        }
        if let Some(out) = &self.out {
            refuse_existing(out)?;
        }
        let recipe = self.recipe()?;
        let context = &context.with_seed_of_recipe(recipe.seed);
        let (plain, others) = self.candidates(&recipe)?;
        refuse_leaks(&dataset)?;
        let labels = ImageLabels::load(&dataset, recipe.labels, recipe.source.as_deref())?;
        if is_corrected(&dataset, &labels.source) {
            context
                .output
                .warn(&corrected_labels::warning(&labels.source));
        }
        let arguments = recipe.encoder_arguments(self.strict);
        let (_, embedded) = embeddings(context, &dataset, &arguments)?;
        let study = Study::new(&dataset, &embedded, &labels, may_be_learned_from)?;
        // As `train` does, so that what it makes by the recipe is what was tried.
        let (study, watched) = with_validation(study, &dataset, &embedded, &labels, &recipe)?;
        tell_what_is_watched(context, watched.as_deref());
        let cases = check(context, &study, &labels.source)?;
        let judgement = judge_labels(context, &study, recipe.folds)?;
        let noise = find_noise(&study, judgement.probabilities.view(), context.seed)?;
        let settings = AdviseSettings {
            folds: recipe.folds,
            repeats: self.repeats as usize,
            seed: context.seed,
        };
        let (advice, seconds) = try_methods(&study, &plain, &others, &recipe, &settings, &noise)?;
        for Failed { method, reason } in &advice.failed {
            context
                .output
                .warn(&format!("{method} could not be trained: {reason}"));
        }
        let recipe = Recipe {
            seed: context.seed,
            labels: Some(labels.version),
            source: Some(labels.source.clone()),
            method: advice.recommendation().method.clone(),
            ..recipe
        };
        let findings = Findings {
            labels: labels.version,
            source: labels.source.clone(),
            images: study.len(),
            cases,
            classes: study.classes.clone(),
            folds: recipe.folds,
            repeats: self.repeats,
            seed: context.seed,
            noise,
            sentence: sentence(&advice),
            advice,
        };
        if let Some(out) = &self.out {
            write(context, &dataset, &labels, &findings, &recipe, out)?;
        }
        context.output.show(&Summary {
            next: self.next(&recipe, context.asked_seed),
            findings,
            seconds,
        })
    }

    /// The recipe that every method shares.
    fn recipe(&self) -> Result<Recipe> {
        let flags = RecipeFlags {
            file: self.recipe.as_deref(),
            encoder: self.encoder.as_deref(),
            crop: self.crop,
            labels: self.labels.labels,
            source: self.labels.source.as_deref(),
            folds: self.folds,
        };
        let recipe = flags.recipe()?;
        let stopping = recipe.train.early_stopping;
        if matches!(stopping, EarlyStopping::CleanValidation { .. })
            || recipe.validation_reference.is_some()
        {
            return Err(Failure::usage(
                "the recipe stops early by clean labels, and `advise` reads no reference",
            )
            .help(
                "Stop by `noisy-validation`, or not early, and leave `validation_reference` out.",
            ));
        }
        Ok(recipe)
    }

    /// Plain training, and the methods to try beside it; that of the recipe has its settings.
    fn candidates(&self, recipe: &Recipe) -> Result<(MethodSettings, Vec<MethodSettings>)> {
        let asked = if self.methods.is_empty() {
            MethodSettings::all()
        } else {
            let methods = self.methods.iter().map(|name| method_by_name(name));
            methods.collect::<Result<_>>()?
        };
        let with_settings = |method: MethodSettings| {
            if self.recipe.is_some() && method.name() == recipe.method.name() {
                recipe.method.clone()
            } else {
                method
            }
        };
        let plain = with_settings(MethodSettings::default());
        let mut names = BTreeSet::from([plain.name()]);
        let mut others = Vec::new();
        for method in asked {
            if names.insert(method.name()) {
                others.push(with_settings(method));
            }
        }
        if others.is_empty() {
            return Err(Failure::usage(format!(
                "there is nothing to choose from: {} is always tried",
                plain.name()
            ))
            .help("Name other methods with `--methods`, or leave it out to try all."));
        }
        Ok((plain, others))
    }

    /// The command that trains as recommended.
    fn next(&self, recipe: &Recipe, seed: Option<u64>) -> String {
        let path = |path: &Path| quoted(&path.to_string_lossy());
        let name = recipe.method.name();
        let mut command = format!("cleanslide train {}", path(&self.dataset.dataset));
        if let Some(out) = &self.out {
            command.push_str(&format!(" --recipe {}", path(&out.join(RECIPE))));
        } else {
            if let Some(recipe) = &self.recipe {
                command.push_str(&format!(" --recipe {}", path(recipe)));
            }
            if let Some(version) = recipe.labels {
                command.push_str(&format!(" --labels {version}"));
            }
            if let Some(source) = &recipe.source {
                command.push_str(&format!(" --source {}", quoted(source)));
            }
            if self.encoder.is_some() {
                command.push_str(&format!(" --encoder {}", quoted(&recipe.encoder)));
            }
            if let (Some(_), Some(crop)) = (self.crop, recipe.crop) {
                command.push_str(&format!(" --crop {crop}"));
            }
            if let Some(folds) = self.folds {
                command.push_str(&format!(" --folds {folds}"));
            }
            if let Some(seed) = seed {
                command.push_str(&format!(" --seed {seed}"));
            }
            command.push_str(&format!(" --method {name}"));
        }
        command + &format!(" --out runs/{name}")
    }
}

/// The recipe's file.
const RECIPE: &str = "recipe.toml";

/// Refuses labels by which no method can be chosen, and warns of few cases; the number of cases.
fn check(context: &Context, study: &Study, source: &str) -> Result<usize> {
    let mut cases_of: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (&class, &case) in study.given.iter().zip(&study.cases) {
        cases_of.entry(class).or_default().insert(case);
    }
    if let [class] = cases_of.keys().copied().collect::<Vec<_>>()[..] {
        return Err(Failure::input(format!(
            "all {} of `{source}` are `{}`",
            count(study.len(), "label"),
            study.classes[class]
        ))
        .help("A method is chosen by how well it tells classes apart; label images of another one too."));
    }
    if let Some((&class, _)) = cases_of.iter().find(|(_, cases)| cases.len() < 2) {
        return Err(Failure::input(format!(
            "`{source}` gives `{}` in one case alone, so no model that has not seen this case knows the class",
            study.classes[class]
        ))
        .help("Label images of more cases, or join the class to another."));
    }
    let cases = study.cases.iter().collect::<BTreeSet<_>>().len();
    if cases < FEW_CASES {
        context.output.warn(&format!(
            "only {}: intervals and chances are rough",
            count(cases, "case")
        ));
    }
    Ok(cases)
}

/// Tries the methods, with a progress bar, and measures how long one cross-validation of each takes.
fn try_methods(
    study: &Study,
    plain: &MethodSettings,
    others: &[MethodSettings],
    recipe: &Recipe,
    settings: &AdviseSettings,
    noise: &NoiseFinding,
) -> Result<(Advice, BTreeMap<&'static str, f64>)> {
    let bar = progress::bar("trying methods", settings.repeats * (1 + others.len()));
    let mut spent: BTreeMap<&'static str, (f64, f64)> = BTreeMap::new();
    let mut last = Instant::now();
    let advice = advise(
        study,
        plain,
        others,
        &recipe.train,
        settings,
        noise.correction.as_ref(),
        &mut |method, left| {
            let (seconds, times) = spent.entry(method.name()).or_default();
            *seconds += last.elapsed().as_secs_f64();
            *times += 1.0;
            last = Instant::now();
            bar.inc(1);
            bar.set_length(bar.position() + left as u64);
        },
    );
    bar.finish_and_clear();
    let mean = |(name, (seconds, times)): (&'static str, (f64, f64))| (name, seconds / times);
    Ok((advice?, spent.into_iter().map(mean).collect()))
}

/// The recommendation with what speaks for it.
fn sentence(advice: &Advice) -> String {
    let plain = advice.methods[0].method.name();
    let chosen = advice.recommendation();
    if advice.recommended == 0 {
        let least = 100.0 * LEAST_GAIN;
        return match advice.runner_up() {
            None => format!("keep {plain}: no other method could be trained."),
            Some(other) => format!(
                "keep {plain}: no other method is likely to gain {least} points; the next, {}, is at {}.",
                other.method.name(),
                points(&other.gain)
            ),
        };
    }
    let truth = chosen.gain_against_truth.map_or_else(String::new, |gain| {
        format!(
            ", about {} against the truth if the noise is as estimated",
            points(&gain)
        )
    });
    format!(
        "use {}: {} of balanced accuracy over {plain} against the given labels{truth}; it gains in {:.0} of 100 resamples \
         of the cases.",
        chosen.method.name(),
        points(&chosen.gain),
        100.0 * chosen.chance_of_gain
    )
}

/// A difference in points of a hundred: `+1.2 points [+0.3, +2.0]`.
fn points(gain: &Estimate) -> String {
    let [value, low, high] = [gain.value, gain.low, gain.high].map(|part| 100.0 * part);
    format!("{value:+.1} points [{low:+.1}, {high:+.1}]")
}

/// The kind of the noise in words.
fn kind_in_words(noise: &NoiseFinding, classes: &[String]) -> String {
    let certainty = format!(
        "in {:.0} of 100 resamples of the cases",
        100.0 * noise.certainty
    );
    match noise.kind {
        NoiseKind::Uniform => format!("about as likely to any other class, {certainty}"),
        NoiseKind::Toward(class) => format!("mostly wrongly `{}`, {certainty}", classes[class]),
        NoiseKind::Unclear(doubt) => {
            let reason = match doubt {
                Doubt::WeakJudge => "the models behind it know too little themselves",
                Doubt::EstimatesDiffer => "models and neighbours say different things",
                Doubt::FewCases => "it changes with the cases that are looked at",
                Doubt::NoPattern => "wrong labels are neither uniform nor mostly of one class",
            };
            format!("cannot be told: {reason}")
        }
    }
}

/// Writes the folder.
fn write(
    context: &Context,
    dataset: &Dataset,
    labels: &ImageLabels,
    findings: &Findings,
    recipe: &Recipe,
    out: &Path,
) -> Result<()> {
    let json =
        serde_json::to_vec_pretty(findings).map_err(|error| Failure::other(error.to_string()))?;
    let config = toml::to_string(recipe).map_err(|error| Failure::other(error.to_string()))?;
    let page = report(context, dataset, labels, findings)?;
    publish(out, |folder| {
        save(&folder.join("advice.json"), &json)?;
        save(&folder.join(RECIPE), config.as_bytes())?;
        save(&folder.join("report.html"), page.as_bytes())
    })
}

/// The page: noise, and every method with its gain.
fn report(
    context: &Context,
    dataset: &Dataset,
    labels: &ImageLabels,
    findings: &Findings,
) -> Result<String> {
    let mut report = page::start(context, dataset, findings.labels, labels)?;
    report.title = format!("{}: which method to learn with", report.title);
    let noise = &findings.noise;
    report.noise = Some(Noise {
        doubt: None,
        labels: format!("labels of {}", findings.source),
        estimators: vec![
            NoiseEstimate {
                estimator: "confident learning".into(),
                overall: page::estimate(&noise.rate),
                per_class: Vec::new(),
                transition: noise.transition.clone(),
            },
            NoiseEstimate {
                estimator: "consensus of neighbours (HOC)".into(),
                overall: number::Estimate::without_interval(noise.neighbour_rate),
                per_class: Vec::new(),
                transition: Vec::new(),
            },
        ],
    });
    let result = |(place, evidence): (usize, &Evidence)| MethodResult {
        method: evidence.method.name().to_owned(),
        value: page::estimate(&evidence.score),
        difference: (place > 0).then(|| page::estimate(&evidence.gain)),
    };
    let advice = &findings.advice;
    let protocol = format!(
        "Out of sample: {} folds by case × up to {} repeats. Advice: {} Kind of noise: {}",
        findings.folds,
        findings.repeats,
        findings.sentence,
        kind_in_words(noise, &findings.classes)
    );
    report.comparison = Some(Comparison {
        metric: "balanced accuracy".into(),
        against: Against::NoisyLabels(format!("labels of {}", findings.source)),
        protocol,
        chance: Some(1.0 / findings.classes.len() as f64),
        settings: vec![Setting {
            name: format!("labels of {}", findings.source),
            methods: advice.methods.iter().enumerate().map(result).collect(),
        }],
        noise_curves: Vec::new(),
        baseline: PLAIN.into(),
        quoted: Some((0, advice.recommended)),
        quoted_because: String::new(),
    });
    let failed = advice.failed.iter();
    if is_corrected(dataset, &findings.source) {
        report
            .warnings
            .push(corrected_labels::warning(&findings.source));
    }
    report.warnings.extend(
        failed.map(|Failed { method, reason }| format!("{method} could not be trained: {reason}")),
    );
    Ok(render(&report))
}

impl Summary {
    fn table(&self) -> String {
        let mut table = TextTable::new(&[
            "method",
            "balanced accuracy",
            "gain over plain",
            "best",
            "within a point",
            "repeats",
            "seconds",
        ]);
        let advice = &self.findings.advice;
        for (place, evidence) in advice.methods.iter().enumerate() {
            let name = evidence.method.name();
            let mark = if place == advice.recommended {
                " ←"
            } else {
                ""
            };
            let share = |share: f64| format!("{:.0} %", 100.0 * share);
            let gain = (place > 0).then(|| format!("{:+.3}", evidence.gain));
            table.row([
                format!("{name}{mark}"),
                format!("{:.3}", evidence.score),
                gain.unwrap_or_default(),
                share(evidence.chance_of_best),
                share(evidence.chance_within_a_point),
                evidence.repeats.to_string(),
                format!("{:.1}", self.seconds[name]),
            ]);
        }
        table.text()
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let Findings { noise, .. } = &self.findings;
        let rate = &noise.rate;
        format!(
            "{} of {}, labels of {} ({})\n\
             noise  up to {} [{}, {}] wrong by models (AUROC {:.2}), {} by neighbours\n\
             kind   {}\n\n\
             {} folds by case, against the given labels, 95 % intervals over cases\n{}\n\n\
             advice  {}\nnext    {}",
            count(self.findings.images, "image"),
            count(self.findings.cases, "case"),
            self.findings.source,
            self.findings.labels,
            percent(rate.value),
            percent(rate.low),
            percent(rate.high),
            noise.judge_auroc,
            percent(noise.neighbour_rate),
            kind_in_words(noise, &self.findings.classes),
            self.findings.folds,
            self.table(),
            self.findings.sentence,
            self.next
        )
    }
}
