//! The cells of a bench of networks, each a run of `train`: what is the same for masks and for boxes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cleanslide_data::Dataset;
use cleanslide_nn::devices::DeviceName;

use super::folder::{self, Reported};
use crate::commands::train::networks::{Learner, train};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::json_file::write_json;
use crate::network_run::{Chosen, NetworkRecipe, read_config, read_manifest};
use crate::output::{Show, count};
use crate::pipeline::DEFAULT_FOLDS;
use crate::run_folder::read_recipe;

/// What is asked.
pub struct Request<'a> {
    /// Names of networks, or recipes whose networks they are; nothing for the recipe's.
    pub networks: &'a [String],
    /// Methods, such as `reweight+gaf`.
    pub methods: &'a [String],
    /// All other settings, and whose labels.
    pub recipe: Option<&'a Path>,
    /// How many seeds.
    pub seeds: u64,
    /// How many folds; by default those of the recipe, or 5.
    pub folds: Option<usize>,
    /// What is judged against; by default the only reference, if there is one.
    pub reference: Option<&'a str>,
    /// The folder.
    pub out: &'a Path,
}

impl Request<'_> {
    /// The recipe that is given, or all defaults.
    pub fn recipe<R: NetworkRecipe>(&self) -> Result<R> {
        match self.recipe {
            Some(path) => read_recipe(path),
            None => Ok(R::default()),
        }
    }

    /// How many folds there are, where the recipe has so many: none is not meant for a bench.
    pub fn folds(&self, of_recipe: usize) -> usize {
        match (self.folds, of_recipe) {
            (Some(folds), _) => folds,
            (None, 0) => DEFAULT_FOLDS,
            (None, folds) => folds,
        }
    }
}

/// A network by its name in the table.
pub struct Network<R> {
    /// Its name.
    pub name: String,
    /// The recipe that all cells share, with this network.
    pub recipe: R,
    /// Where its cells are.
    pub folder: PathBuf,
}

/// The networks that are asked for by name.
pub fn networks<R: NetworkRecipe>(request: &Request, base: &R) -> Result<Vec<Network<R>>> {
    let names = request.networks.iter();
    names
        .map(|name| {
            let (name, other) = network::<R>(name)?;
            Ok(Network {
                folder: request.out.join(&name),
                name,
                recipe: base.clone().with_network_of(other),
            })
        })
        .collect()
}

/// A network with its usual sizes, or that of a recipe: its name, and a recipe that has it.
fn network<R: NetworkRecipe>(name: &str) -> Result<(String, R)> {
    let path = Path::new(name);
    if path.is_file() {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        return Ok((stem.into_owned(), read_recipe(path)?));
    }
    match toml::from_str(&format!("[network.{name}]")) {
        Ok(recipe) => Ok((name.to_owned(), recipe)),
        Err(_) => Err(
            Failure::usage(format!("there is no network `{name}`")).help(format!(
                "The networks are {}; a recipe gives one of any size.",
                R::NETWORKS
            )),
        ),
    }
}

/// A network and a method, with the runs of all seeds.
pub struct Row<R> {
    /// The name of the network.
    pub network: String,
    /// The method.
    pub method: String,
    /// What its runs are trained by.
    pub recipe: R,
    /// The folders of its runs, in the order of the seeds.
    pub runs: Vec<PathBuf>,
}

/// The rows of the table: of each network all methods that are asked for, or those by default.
pub fn rows<R: NetworkRecipe>(
    request: &Request,
    networks: &[Network<R>],
    default: &[&str],
    seed: u64,
    with_method: impl Fn(&R, &str) -> Result<R>,
) -> Result<Vec<Row<R>>> {
    let methods: Vec<&str> = match request.methods {
        [] => default.to_vec(),
        asked => asked.iter().map(String::as_str).collect(),
    };
    let mut rows = Vec::new();
    let mut folders = BTreeSet::new();
    for network in networks {
        for &method in &methods {
            let recipe = with_method(&network.recipe, method)?;
            recipe.check().map_err(|failure| failure.about(method))?;
            let folder = network.folder.join(method);
            if !folders.insert(folder.clone()) {
                return Err(Failure::usage(format!(
                    "{} of {} is asked for twice",
                    method, network.name
                )));
            }
            rows.push(Row {
                network: network.name.clone(),
                method: method.to_owned(),
                recipe,
                runs: (seed..seed + request.seeds)
                    .map(|seed| folder.join(format!("seed-{seed}")))
                    .collect(),
            });
        }
    }
    Ok(rows)
}

/// Trains the cells that are not done; `protocol` says in words how they are judged.
pub fn train_missing<L: Learner>(
    context: &Context,
    dataset: &Dataset,
    request: &Request,
    rows: &[Row<L::Recipe>],
    protocol: &str,
) -> Result<()> {
    folder::begin_networks(request.out)?;
    let cells = rows.iter().flat_map(|row| {
        row.runs
            .iter()
            .zip(context.seed..)
            .map(move |run| (row, run))
    });
    let (mut missing, mut done) = (Vec::new(), 0);
    for (row, (run, seed)) in cells {
        if is_done(dataset, run, &row.recipe)? {
            done += 1;
        } else {
            missing.push((row, run, seed));
        }
    }
    context.output.note(&format!(
        "{} to train, {done} done before; {protocol}",
        count(missing.len(), "cell"),
    ));
    for (place, (row, run, seed)) in missing.iter().enumerate() {
        context.output.note(&format!(
            "{} of {}: {}, {}, seed {seed}",
            place + 1,
            missing.len(),
            row.network,
            row.method
        ));
        let of_seed = Context {
            seed: *seed,
            ..context.clone()
        };
        train::<L>(&of_seed, dataset, row.recipe.clone(), run, DeviceName::Cpu)?;
    }
    Ok(())
}

/// Whether a cell is done. Cells of different settings or datasets must not meet in one folder, not even begun ones.
fn is_done<R: NetworkRecipe>(dataset: &Dataset, run: &Path, recipe: &R) -> Result<bool> {
    if !run.exists() {
        return Ok(false);
    }
    let other = |what: &str| {
        let text = format!("{} is a run of another {what}", run.display());
        Err(Failure::usage(text).help("Choose another folder with `--out`."))
    };
    // Which seed it has its folder says.
    let without_seed = |recipe: R| {
        let chosen = recipe.chosen();
        recipe.with(Chosen { seed: 0, ..chosen })
    };
    if without_seed(read_config(run)?) != without_seed(recipe.clone()) {
        return other("recipe, with other labels, other folds or another network");
    }
    // A version of the same name may be of another dataset.
    let manifest = read_manifest(run)?;
    if dataset.version(manifest.labels)?.hash != manifest.labels_hash {
        return other("dataset, whose labels are others");
    }
    Ok(manifest.finished.is_some())
}

/// Writes what a bench found of these rows into its folder, unless there is more already, and shows it.
pub fn publish<R>(
    context: &Context,
    request: &Request,
    rows: &[Row<R>],
    summary: &impl Show,
) -> Result<()> {
    let runs = rows.iter().flat_map(|row| &row.runs);
    let reported = Reported::new(request.out, runs.map(PathBuf::as_path))?;
    if !reported.is_kept(context, request.out) {
        reported.write(request.out)?;
        write_json(&request.out.join(folder::FIGURES), summary)?;
    }
    context.output.show(summary)
}
