//! Methods side by side against one truth: means over seeds, and gains over the first. What is the same for boxes and for
//! objects in masks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cleanslide_data::{Dataset, Evidence, Family, ImageRecord, Labels, Reference};
use cleanslide_eval::{Bootstrap, Error, Estimate, Groups, Weights};
use cleanslide_learn::correction::{Background, Start};
use cleanslide_nn::devices::DeviceName;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::REPLICATES;
use super::cells::{Network, Request, Row, networks, publish, train_missing};
use crate::arguments::LabelsArguments;
use crate::commands::evaluate::shapes::{cases, of_images};
use crate::commands::train::networks::{Learner, SOURCE, check, test_images};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::network_run::{Chosen, NetworkRecipe, is_finished};
use crate::output::{Show, count};
use crate::pipeline::may_be_learned_from;
use crate::progress;
use crate::shape_labels::ShapeLabels;
use crate::text_table::TextTable;

/// The recipe that all cells share, in which label version and source are named, and the images that each cell predicts:
/// those for test, or in folds all that are learned from.
pub fn base<R: NetworkRecipe>(
    dataset: &Dataset,
    request: &Request,
) -> Result<(R, BTreeSet<String>)> {
    let recipe: R = request.recipe()?;
    let chosen = recipe.chosen();
    let asked = LabelsArguments {
        labels: chosen.labels,
        source: chosen.source.clone(),
    };
    let labels = ShapeLabels::load(dataset, &asked)?;
    let id = |image: &ImageRecord| image.id.clone();
    let for_test: BTreeSet<String> = test_images(dataset).map(id).collect();
    let whole = !for_test.is_empty();
    let recipe = recipe.with(Chosen {
        labels: Some(labels.version),
        source: Some(labels.source),
        folds: if whole {
            0
        } else {
            request.folds(chosen.folds)
        },
        whole,
        ..chosen
    });
    if whole {
        return Ok((recipe, for_test));
    }
    let learned = labels.images.iter();
    let in_folds = learned.filter(|image| may_be_learned_from(image)).map(id);
    Ok((recipe, in_folds.collect()))
}

/// How cells are judged, in words.
fn protocol(folds: usize) -> String {
    match folds {
        0 => "the images for test are judged".to_owned(),
        folds => format!("{folds} folds by case"),
    }
}

/// The networks that are asked for, or that of the recipe, whose cells are in the folder of the bench itself.
pub fn networks_or_own<R: NetworkRecipe>(request: &Request, base: &R) -> Result<Vec<Network<R>>> {
    match request.networks {
        [] => Ok(vec![Network {
            name: base.network().to_owned(),
            folder: request.out.to_owned(),
            recipe: base.clone(),
        }]),
        _ => networks(request, base),
    }
}

/// Trains what is missing of these rows, and compares them. What is wrong with finished runs is found before.
pub fn compare<L: Learner, T: Sync, const N: usize>(
    context: &Context,
    dataset: &Dataset,
    request: &Request,
    rows: &[Row<L::Recipe>],
    comparison: &Comparison<'_, T, N>,
    judged: Judged,
    read: impl Fn(&Path) -> Result<T>,
) -> Result<()> {
    for row in rows {
        check::<L>(context, dataset, &row.recipe, DeviceName::Cpu)?;
        for run in row.runs.iter().filter(|run| is_finished(run)) {
            read(run)?;
        }
    }
    train_missing::<L>(context, dataset, request, rows, &protocol(judged.folds))?;
    let summary = Summary {
        folder: request.out.to_owned(),
        judged,
        seeds: request.seeds,
        names: comparison.names.to_vec(),
        lines: comparison.lines(rows, read)?,
    };
    publish(context, request, rows, &summary)
}

/// What a recipe means by a name alone.
pub fn named<T: DeserializeOwned>(name: &str) -> Result<T> {
    toml::from_str(&format!("name = \"{name}\"")).map_err(|error| Failure::other(error.to_string()))
}

/// When labels begin to be corrected, by the name of a method: as it is asked for, if that is the same. None of a method
/// that corrects nothing.
pub fn start_by_name(method: &str, asked: Start) -> Result<Option<Start>> {
    Ok(match (method, asked) {
        ("self-training", start @ Start::Validation { .. })
        | ("adele", start @ Start::Deceleration { .. }) => Some(start),
        ("self-training", _) => Some(named("validation")?),
        ("adele", _) => Some(named("deceleration")?),
        _ => None,
    })
}

/// What becomes of all that is not found, by what follows the name of a method; what is doubtful is left open as it is asked
/// for, or as by default.
pub fn background_by_name(
    part: &str,
    asked: Background,
    by_default: Background,
) -> Option<Background> {
    match (part, asked) {
        ("weak", _) => Some(Background::WEAK),
        ("strong", _) => Some(Background::STRONG),
        ("ignored", Background::Ignored { .. }) => Some(asked),
        ("ignored", _) => Some(by_default),
        _ => None,
    }
}

/// The refusal of a method with more than one.
pub fn several_backgrounds(method: &str) -> Failure {
    Failure::usage(format!("`{method}` has several backgrounds"))
        .help("Choose one of +weak, +strong and +ignored.")
}

/// What the running average of `+average` keeps of itself in each step, where the recipe has none.
pub const AVERAGE: f64 = 0.99;

/// What is true of the images that are judged.
pub struct Truth<T> {
    /// By image, in the order of their names.
    pub images: BTreeMap<String, T>,
    /// Their cases, in the same order.
    pub groups: Groups,
    family: Family,
}

impl<T> Truth<T> {
    /// What a reference says of the images that are predicted, as far as it knows them.
    pub fn new(
        dataset: &Dataset,
        (name, reference): (&str, &Reference),
        family: Family,
        predicted: &BTreeSet<String>,
        of_image: impl Fn(&Evidence) -> Result<T>,
    ) -> Result<Self> {
        let known = of_images(reference.for_evaluation(), family);
        let images = predicted
            .iter()
            .filter_map(|id| Some((id, known.get(id.as_str())?)))
            .map(|(id, piece)| Ok((id.clone(), of_image(piece)?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        if images.is_empty() {
            return Err(Failure::input(format!(
                "the reference `{name}` has {} of no image that is predicted",
                family.name()
            ))
            .help("Images for test are, or where there are none all that are learned from."));
        }
        let of_images = cases(dataset);
        let units = images
            .keys()
            .filter_map(|id| of_images.get(id.as_str()).copied());
        Ok(Self {
            groups: Groups::new(&units.collect::<Vec<_>>())?,
            images,
            family,
        })
    }

    /// What a run predicted of each image that is judged, beside the truth.
    pub fn with_predictions<U>(
        &self,
        dataset: &Dataset,
        run: &Path,
        with: impl Fn(&T, &Evidence) -> Result<U>,
    ) -> Result<Vec<U>> {
        let predictions = Labels::read(&run.join("predictions"), dataset.classes())?;
        let predicted: BTreeMap<&str, &Evidence> = predictions.of_images(SOURCE, self.family);
        let of_image = |(id, truth): (&String, &T)| {
            match predicted.get(id.as_str()) {
            Some(piece) => with(truth, piece),
            None => Err(Failure::input(format!(
                "{} did not predict image {id}: the images were split otherwise when it was trained",
                run.display()
            ))
            .help("Choose another folder with `--out`, or restore the split.")),
        }
        };
        self.images.iter().map(of_image).collect()
    }
}

/// Values of measures, or why there are none.
pub type Statistics<const N: usize> = std::result::Result<[f64; N], Error>;

/// Compares runs by measures, of each method the mean over its runs.
pub struct Comparison<'a, T, const N: usize> {
    /// The cases of images.
    pub groups: &'a Groups,
    /// Resampling.
    pub bootstrap: Bootstrap,
    /// The measures.
    pub names: [&'static str; N],
    /// Their values of one run.
    pub of_run: &'a (dyn Fn(&T, Weights<'_>) -> Statistics<N> + Sync),
}

/// A measure of a method.
#[derive(Debug, Clone, Serialize)]
struct Measured {
    value: Estimate,
    /// To the first method with the same network, on the same resamples; none of the first itself.
    gain: Option<Estimate>,
}

#[derive(Debug, Clone, Serialize)]
struct Line {
    network: String,
    method: String,
    measures: BTreeMap<&'static str, Measured>,
}

impl<'a, T, const N: usize> Comparison<'a, T, N> {
    /// By these measures, on resamples of cases.
    pub fn new(
        context: &Context,
        groups: &'a Groups,
        names: [&'static str; N],
        of_run: &'a (dyn Fn(&T, Weights<'_>) -> Statistics<N> + Sync),
    ) -> Self {
        let bootstrap = Bootstrap {
            replicates: REPLICATES,
            seed: context.seed,
            ..Bootstrap::default()
        };
        Self {
            groups,
            bootstrap,
            names,
            of_run,
        }
    }

    /// Refuses a truth that nothing can be told from, by a run that is made up: before anything is trained.
    pub fn check(&self, made_up: T, reference: &str) -> Result<()>
    where
        T: Sync,
    {
        self.measures(&[made_up], None).map(drop).map_err(|error| {
            error
                .about(&format!("the reference `{reference}`"))
                .help("Its images must be of several cases, and have objects.")
        })
    }

    /// A line of each row, in their order.
    fn lines<R>(&self, rows: &[Row<R>], read: impl Fn(&Path) -> Result<T>) -> Result<Vec<Line>>
    where
        T: Sync,
    {
        let bar = progress::bar("judging", rows.len());
        let mut lines: Vec<Line> = Vec::new();
        // Of the network, the runs of the first method.
        let mut first = Vec::new();
        for row in rows {
            let runs = row.runs.iter().map(|run| read(run));
            let runs: Vec<T> = runs.collect::<Result<_>>()?;
            let starts = lines.last().is_none_or(|last| last.network != row.network);
            let measures = self.measures(&runs, (!starts).then_some(first.as_slice()))?;
            if starts {
                first = runs;
            }
            lines.push(Line {
                network: row.network.clone(),
                method: row.method.clone(),
                measures,
            });
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(lines)
    }

    /// The measures of the runs of all seeds, and their differences to those of the first method.
    fn measures(&self, runs: &[T], first: Option<&[T]>) -> Result<BTreeMap<&'static str, Measured>>
    where
        T: Sync,
    {
        let values = self.estimates(|weights| self.mean(runs, weights))?;
        let gains = first
            .map(|first| {
                self.estimates(|weights| {
                    let (of, to) = (self.mean(runs, weights)?, self.mean(first, weights)?);
                    Ok(std::array::from_fn(|place| of[place] - to[place]))
                })
            })
            .transpose()?;
        let measured = |place: usize| Measured {
            value: values[place],
            gain: gains.map(|gains| gains[place]),
        };
        let names = self.names.into_iter().enumerate();
        Ok(names.map(|(place, name)| (name, measured(place))).collect())
    }

    fn estimates(
        &self,
        statistics: impl Fn(Weights<'_>) -> Statistics<N> + Sync,
    ) -> Result<[Estimate; N]> {
        Ok(self.bootstrap.estimates(self.groups, statistics)?)
    }

    /// The measures, the mean over the runs.
    fn mean(&self, runs: &[T], weights: Weights<'_>) -> Statistics<N> {
        let mut means = [0.0; N];
        for run in runs {
            for (mean, value) in means.iter_mut().zip((self.of_run)(run, weights)?) {
                *mean += value / runs.len() as f64;
            }
        }
        Ok(means)
    }
}

/// What is judged, and how.
#[derive(Debug, Serialize)]
pub struct Judged {
    /// What is judged against.
    pub reference: String,
    /// Whether any class matches any other.
    pub class_agnostic: bool,
    /// Images that are judged.
    pub images: usize,
    /// Their cases.
    pub cases: usize,
    /// None where images for test are judged.
    pub folds: usize,
}

#[derive(Debug, Serialize)]
struct Summary {
    folder: PathBuf,
    #[serde(flatten)]
    judged: Judged,
    seeds: u64,
    /// The measures, in the order of the table.
    #[serde(skip)]
    names: Vec<&'static str>,
    lines: Vec<Line>,
}

impl Summary {
    fn table(&self) -> String {
        let of_first = |line: &Line| line.network == self.lines[0].network;
        let several = !self.lines.iter().all(of_first);
        let mut columns = vec!["<method"];
        if several {
            columns.insert(0, "<network");
        }
        columns.extend(self.names.iter().flat_map(|&name| [name, "gain"]));
        let mut table = TextTable::new(&columns);
        for line in &self.lines {
            let network = several.then(|| line.network.clone());
            let measures = self.names.iter().flat_map(|name| {
                let measured = &line.measures[name];
                let gain = measured.gain.map(|gain| format!("{gain:+.3}"));
                [format!("{:.3}", measured.value), gain.unwrap_or_default()]
            });
            table.row(
                network
                    .into_iter()
                    .chain([line.method.clone()])
                    .chain(measures),
            );
        }
        table.text()
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        format!(
            "{} of {}, {}, {}; 95 % intervals over cases; gains are to the first method\n\
             against reference {}{}:\n{}\nall figures: {}",
            count(self.judged.images, "image"),
            count(self.judged.cases, "case"),
            protocol(self.judged.folds),
            count(self.seeds as usize, "seed"),
            self.judged.reference,
            if self.judged.class_agnostic {
                ", any class matching any other"
            } else {
                ""
            },
            self.table(),
            self.folder.join("bench.json").display()
        )
    }
}
