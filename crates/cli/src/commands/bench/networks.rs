//! Networks and methods side by side, where several experts drew class masks: the layout of Table 2 of Xiao et al.
//! (arXiv 2104.02602).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use cleanslide_data::{Dataset, Evidence, Family, Labels, Reference, TryMap};
use cleanslide_eval::matching::MatchCounts;
use cleanslide_eval::segmentation::{ClassOverlap, EmptyCase, class_overlaps, pixel_confusion};
use cleanslide_eval::{Bootstrap, Estimate, Groups, Weights};
use cleanslide_learn::experts::ExpertMethod;
use cleanslide_learn::methods::FocalSettings;
use cleanslide_learn::segment::{GaussianAttention, PixelLoss};
use rayon::prelude::*;
use serde::Serialize;

use super::REPLICATES;
use super::cells::{Network, Request, Row, networks, publish, rows, train_missing};
use crate::commands::evaluate::shape_measures::{class_mask, connected_objects};
use crate::commands::evaluate::shapes::cases;
use crate::commands::train::experts::method_by_name;
use crate::commands::train::networks::SOURCE;
use crate::commands::train::pixels::Pixels;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::network_run::{Experts, NetworkRecipe, PixelRecipe};
use crate::output::{Show, count};
use crate::progress;
use crate::shape_labels::ShapeLabels;
use crate::text_table::TextTable;
use crate::truth::reference_name;

/// The methods by default: the table of the paper, and all others.
pub const METHODS: [&str; 11] = [
    "majority",
    "majority+focal",
    "majority+gaf",
    "reweight",
    "reweight+gaf",
    "reweight+entropy",
    "soft",
    "staple",
    "confusion",
    "confusion+per-pixel",
    "self-consensus",
];

/// The share of the loss of unequal weights in `+entropy`.
const ENTROPY: f64 = 0.1;

/// Figures against one truth.
#[derive(Debug, Clone, Serialize)]
struct Figures {
    /// A reference or an expert.
    truth: String,
    /// Of each class, the mean over seeds of the coefficient of all images together; none of a class that is nowhere.
    dice_of_classes: Vec<Option<Estimate>>,
    /// The mean over the classes; of two classes, that of the second.
    dice: Estimate,
    /// Objects are connected pixels of a class but the first.
    f1: Estimate,
    /// To the first method with the same network, on the same resamples.
    dice_gain: Option<Estimate>,
    f1_gain: Option<Estimate>,
}

#[derive(Debug, Clone, Serialize)]
struct Line {
    network: String,
    method: String,
    figures: Vec<Figures>,
}

#[derive(Debug, Serialize)]
struct Summary {
    folder: PathBuf,
    classes: Vec<String>,
    experts: Vec<String>,
    images: usize,
    cases: usize,
    folds: usize,
    seeds: u64,
    lines: Vec<Line>,
}

/// What a run says of an image against one truth.
#[derive(Debug, Clone)]
struct Counted {
    classes: Vec<ClassOverlap>,
    objects: MatchCounts,
}

/// Trains what is missing, and compares.
pub fn run(context: &Context, dataset: &Dataset, request: &Request) -> Result<()> {
    // What is wrong with what is asked is found before hours of training.
    let base = base(context, dataset, request)?;
    let reference = reference(dataset, request)?;
    let networks = match request.networks {
        [] => vec![Network {
            name: base.network().to_owned(),
            folder: request.out.join(base.network()),
            recipe: base.clone(),
        }],
        _ => networks(request, &base)?,
    };
    let rows = rows(request, &networks, &METHODS, context.seed, with_method)?;
    let protocol = format!("{} folds by case", base.folds);
    train_missing::<Pixels>(context, dataset, request, &rows, &protocol)?;
    let summary = judge(context, dataset, request, &base, reference.as_ref(), &rows)?;
    publish(context, request, &rows, &summary)
}

/// The recipe that all cells share: experts and label version are named.
fn base(context: &Context, dataset: &Dataset, request: &Request) -> Result<PixelRecipe> {
    let recipe: PixelRecipe = request.recipe()?;
    let asked = recipe.experts.clone().unwrap_or_default();
    let labels = ShapeLabels::of_experts(context, dataset, recipe.labels, &asked.annotators)?;
    let names = labels.experts.into_iter().map(|expert| expert.name);
    Ok(PixelRecipe {
        labels: Some(labels.version),
        folds: request.folds(recipe.folds),
        whole: false,
        experts: Some(Experts {
            annotators: names.collect(),
            ..asked
        }),
        ..recipe
    })
}

/// The recipe with a method, and what it is named with.
fn with_method(base: &PixelRecipe, method: &str) -> Result<PixelRecipe> {
    let mut recipe = base.clone();
    let mut experts = recipe.experts.unwrap_or_default();
    let mut parts = method.split('+');
    let name = parts.next().unwrap_or_default();
    if name != experts.method.name() {
        let method = method_by_name(name)?;
        experts.method = match experts.method.weighting() {
            Some(network) => method.with_weighting(network),
            None => method,
        };
    }
    for part in parts {
        match (part, &mut experts.method) {
            ("focal", _) => recipe.loss.pixels = PixelLoss::Focal(FocalSettings::default()),
            ("gaf", _) => {
                recipe.loss.pixels = PixelLoss::Focal(FocalSettings::default());
                recipe.loss.attention = Some(GaussianAttention::default());
            }
            ("entropy", ExpertMethod::Reweight(settings)) => settings.entropy = ENTROPY,
            ("undivided", ExpertMethod::Reweight(settings)) => settings.divided = false,
            ("per-pixel", ExpertMethod::Confusion(settings)) => settings.per_pixel = true,
            _ => {
                return Err(
                    Failure::usage(format!("`+{part}` says nothing in `{method}`")).help(
                        "Any method may be followed by +focal (focal loss) or +gaf (focal loss with Gaussian \
                         attention), reweight by +entropy or +undivided, confusion by +per-pixel.",
                    ),
                );
            }
        }
    }
    recipe.experts = Some(experts);
    Ok(recipe)
}

/// The reference that is judged against, and its name; none if there is none.
fn reference(dataset: &Dataset, request: &Request) -> Result<Option<(Reference, String)>> {
    if request.reference.is_none() && dataset.references()?.is_empty() {
        return Ok(None);
    }
    let name = reference_name(dataset, request.reference)?;
    let reference = dataset.reference(&name)?;
    if reference.for_evaluation().sources(Family::Mask).is_empty() {
        return Err(Failure::input(format!(
            "the reference `{name}` has no class masks"
        )));
    }
    Ok(Some((reference, name)))
}

/// The masks of one truth by image.
struct Truth<'a> {
    name: String,
    masks: BTreeMap<&'a str, &'a Evidence>,
}

fn judge(
    context: &Context,
    dataset: &Dataset,
    request: &Request,
    base: &PixelRecipe,
    reference: Option<&(Reference, String)>,
    rows: &[Row<PixelRecipe>],
) -> Result<Summary> {
    let version = match base.labels {
        Some(version) => version,
        None => dataset.latest()?,
    };
    let given = dataset.labels(version)?;
    let names = base.experts.clone().unwrap_or_default().annotators;
    let mut truths = Vec::new();
    if let Some((reference, name)) = reference {
        let labels = reference.for_evaluation();
        let sources = labels.sources(Family::Mask);
        let source = sources.first().copied().unwrap_or_default();
        truths.push(Truth {
            name: format!("reference {name}"),
            masks: labels.of_images(source, Family::Mask),
        });
    }
    truths.extend(names.iter().map(|name| Truth {
        name: name.clone(),
        masks: given.of_images(name, Family::Mask),
    }));
    let of_images = cases(dataset);
    let bar = progress::bar("judging", rows.len() * request.seeds as usize);
    let mut lines: Vec<Line> = Vec::new();
    // By network and truth: what the first method counted.
    let mut first: Vec<Vec<Vec<Counted>>> = Vec::new();
    let mut images = BTreeSet::new();
    for row in rows {
        let starts = lines.last().is_none_or(|last| last.network != row.network);
        let predicted: Vec<Labels> = row
            .runs
            .iter()
            .map(|run| Ok(Labels::read(&run.join("predictions"), dataset.classes())?))
            .collect::<Result<_>>()?;
        let mut counted: Vec<Vec<Vec<Counted>>> = truths.iter().map(|_| Vec::new()).collect();
        for labels in &predicted {
            let masks = labels.of_images(SOURCE, Family::Mask);
            images.extend(masks.keys().map(|id| (*id).to_owned()));
            for (truth, counted) in truths.iter().zip(&mut counted) {
                counted.push(count_images(dataset, &masks, truth)?);
            }
            bar.inc(1);
        }
        if starts {
            first = counted.clone();
        }
        let mut figures = Vec::new();
        for ((truth, counted), first) in truths.iter().zip(&counted).zip(&first) {
            let ids = truth.masks.keys().filter(|id| images.contains(**id));
            let units: Vec<usize> = ids.filter_map(|id| of_images.get(id).copied()).collect();
            let bench = Comparison {
                groups: Groups::new(&units)?,
                bootstrap: Bootstrap {
                    replicates: REPLICATES,
                    seed: context.seed,
                    ..Bootstrap::default()
                },
                classes: dataset.classes().len(),
            };
            figures.push(bench.figures(&truth.name, counted, (!starts).then_some(first))?);
        }
        lines.push(Line {
            network: row.network.clone(),
            method: row.method.clone(),
            figures,
        });
    }
    bar.finish_and_clear();
    let units: BTreeSet<usize> = images
        .iter()
        .filter_map(|id| of_images.get(id.as_str()).copied())
        .collect();
    Ok(Summary {
        folder: request.out.to_owned(),
        classes: dataset.classes().names().to_vec(),
        experts: names,
        images: images.len(),
        cases: units.len(),
        folds: base.folds,
        seeds: request.seeds,
        lines,
    })
}

/// What a run says of each image that the truth has, in the truth's order.
fn count_images(
    dataset: &Dataset,
    predicted: &BTreeMap<&str, &Evidence>,
    truth: &Truth,
) -> Result<Vec<Counted>> {
    let classes = dataset.classes().len();
    let pairs: Vec<(&str, &Evidence, &Evidence)> = truth
        .masks
        .iter()
        .filter_map(|(id, truth)| Some((*id, *truth, *predicted.get(id)?)))
        .collect();
    pairs.par_iter().try_map(|(id, truth, predicted)| {
        let about = |error: cleanslide_eval::Error| Failure::input(format!("image {id}: {error}"));
        let (truth, predicted) = (class_mask(&truth.target)?, class_mask(&predicted.target)?);
        let confusion = pixel_confusion(truth.view(), predicted.view(), classes).map_err(about)?;
        Ok(Counted {
            classes: class_overlaps(&confusion),
            objects: connected_objects(truth.view(), predicted.view())?,
        })
    })
}

struct Comparison {
    groups: Groups,
    bootstrap: Bootstrap,
    classes: usize,
}

impl Comparison {
    /// Figures of the runs of all seeds, and their differences to those of the first method.
    fn figures(
        &self,
        truth: &str,
        runs: &[Vec<Counted>],
        first: Option<&Vec<Vec<Counted>>>,
    ) -> Result<Figures> {
        let estimate = |statistic: &(dyn Fn(Weights<'_>) -> Statistic + Sync)| {
            self.bootstrap.estimate(&self.groups, statistic)
        };
        let dice_of_classes = (0..self.classes)
            .map(
                |class| match estimate(&|weights| mean(runs, |run| dice(run, class, weights))) {
                    Ok(found) => Ok(Some(found)),
                    Err(cleanslide_eval::Error::Undefined(_)) => Ok(None),
                    Err(error) => Err(error),
                },
            )
            .collect::<std::result::Result<_, _>>()?;
        let dice = |runs: &[Vec<Counted>], weights: Weights<'_>| {
            mean(runs, |run| self.mean_dice(run, weights))
        };
        let f1 = |runs: &[Vec<Counted>], weights: Weights<'_>| {
            mean(runs, |run| {
                let counts: Vec<MatchCounts> = run.iter().map(|image| image.objects).collect();
                MatchCounts::pool(&counts, weights)?.f1()
            })
        };
        let gain = |of: &(dyn Fn(&[Vec<Counted>], Weights<'_>) -> Statistic + Sync)| {
            first
                .map(|first| estimate(&|weights| Ok(of(runs, weights)? - of(first, weights)?)))
                .transpose()
        };
        Ok(Figures {
            truth: truth.to_owned(),
            dice_of_classes,
            dice: estimate(&|weights| dice(runs, weights))?,
            f1: estimate(&|weights| f1(runs, weights))?,
            dice_gain: gain(&dice)?,
            f1_gain: gain(&f1)?,
        })
    }

    /// The mean over the classes; of two, that of the second.
    fn mean_dice(&self, run: &[Counted], weights: Weights<'_>) -> Statistic {
        if self.classes == 2 {
            return dice(run, 1, weights);
        }
        let mut of_classes = Vec::new();
        for class in 0..self.classes {
            match dice(run, class, weights) {
                Ok(value) => of_classes.push(value),
                Err(cleanslide_eval::Error::Undefined(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(of_classes.iter().sum::<f64>() / of_classes.len().max(1) as f64)
    }
}

type Statistic = std::result::Result<f64, cleanslide_eval::Error>;

fn dice(run: &[Counted], class: usize, weights: Weights<'_>) -> Statistic {
    let overlaps: Vec<ClassOverlap> = run.iter().map(|image| image.classes[class]).collect();
    ClassOverlap::pool(&overlaps, weights)?.dice(EmptyCase::Undefined)
}

fn mean(runs: &[Vec<Counted>], of: impl Fn(&[Counted]) -> Statistic) -> Statistic {
    let mut sum = 0.0;
    for run in runs {
        sum += of(run)?;
    }
    Ok(sum / runs.len().max(1) as f64)
}

impl Summary {
    /// The table against one truth.
    fn table(&self, truth: usize) -> String {
        let several = self.classes.len() > 2;
        let mut columns = vec!["<network", "<method", "Dice"];
        let of_classes: Vec<String> = self
            .classes
            .iter()
            .map(|class| format!("Dice of {class}"))
            .collect();
        if several {
            columns.extend(of_classes.iter().map(String::as_str));
        }
        columns.extend(["gain", "F1 of objects", "gain"]);
        let mut table = TextTable::new(&columns);
        for line in &self.lines {
            let figures = &line.figures[truth];
            let gain = |gain: &Option<Estimate>| {
                gain.map_or_else(String::new, |gain| format!("{gain:+.3}"))
            };
            let mut row = vec![
                line.network.clone(),
                line.method.clone(),
                format!("{:.3}", figures.dice),
            ];
            if several {
                row.extend(figures.dice_of_classes.iter().map(|dice| match dice {
                    Some(dice) => format!("{dice:.3}"),
                    None => "undefined".to_owned(),
                }));
            }
            row.extend([
                gain(&figures.dice_gain),
                format!("{:.3}", figures.f1),
                gain(&figures.f1_gain),
            ]);
            table.row(row);
        }
        table.text()
    }

    /// Dice against every truth.
    fn against_all(&self) -> String {
        let truths: Vec<&str> = self.lines[0]
            .figures
            .iter()
            .map(|figures| figures.truth.as_str())
            .collect();
        let columns: Vec<&str> = ["<network", "<method"].into_iter().chain(truths).collect();
        let mut table = TextTable::new(&columns);
        for line in &self.lines {
            let start = [line.network.clone(), line.method.clone()];
            let figures = line.figures.iter();
            let dice = figures.map(|figures| format!("{:.3}", figures.dice));
            table.row(start.into_iter().chain(dice));
        }
        table.text()
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let first = self.lines.first().and_then(|line| line.figures.first());
        format!(
            "{} of {}, {} folds by case, {}; 95 % intervals over cases; gains are to the first method\n\
             against {}:\n{}\nDice against each:\n{}\nall figures: {}",
            count(self.images, "image"),
            count(self.cases, "case"),
            self.folds,
            count(self.seeds as usize, "seed"),
            first.map_or("nothing", |figures| figures.truth.as_str()),
            self.table(0),
            self.against_all(),
            self.folder.join("bench.json").display()
        )
    }
}
