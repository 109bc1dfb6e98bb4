//! `cleanslide split`: training, validation and test, by case.

use clap::Args;
use cleanslide_data::{Dataset, Proportions, Task, assign_splits, independent_units};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use crate::arguments::{DatasetArgument, LabelsArguments};
use crate::context::Context;
use crate::corrected_labels;
use crate::diagnoses::strata;
use crate::failure::{Failure, Result};
use crate::output::{Show, count, thousands};
use crate::text_table::TextTable;
use cleanslide_learn::image_labels::ImageLabels;

/// Divide a dataset into training, validation and test, by case
///
/// Images that share a case, a slide or a group stay together; where images have classes, or their cases diagnoses, every
/// part gets about its share of each.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cleanslide split mitoses --test 0.2 --validation 0.1 --seed 1")]
pub struct Split {
    #[command(flatten)]
    dataset: DatasetArgument,
    #[command(flatten)]
    labels: LabelsArguments,
    /// Share of the images for the test
    #[arg(long, default_value_t = 0.2)]
    test: f64,
    /// Share of the images for validation
    #[arg(long, default_value_t = 0.0)]
    validation: f64,
    /// Replace the split that is there
    #[arg(long)]
    replace: bool,
}

#[derive(Debug, Serialize)]
struct Summary {
    independent_cases: usize,
    parts: Vec<Part>,
    #[serde(skip)]
    classes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Part {
    split: String,
    images: usize,
    cases: usize,
    per_class: Vec<usize>,
}

impl Split {
    pub fn run(self, context: &Context) -> Result<()> {
        let mut dataset = context.open(&self.dataset.dataset)?;
        if !self.replace && dataset.images().iter().any(|image| image.split.is_some()) {
            return Err(Failure::usage(format!("{} is split already", dataset.folder().display()))
                .help("Results that were measured on the old split cannot be compared with new ones. Replace it with `--replace`."));
        }
        if let Some(source) = corrected_labels::of_a_dataset(&dataset) {
            context.output.warn(&format!(
                "a model corrected the labels of {source}, by those of images that may be for test now: predictions of runs that learn \
                 from them are not out of sample"
            ));
        }
        let classes = self.classes(&dataset)?;
        let units = independent_units(dataset.images());
        let proportions = Proportions::new(self.validation, self.test)?;
        let splits = assign_splits(
            &units,
            &classes,
            proportions,
            &mut ChaCha8Rng::seed_from_u64(context.seed),
        )?;
        let mut images = dataset.images().to_vec();
        for (image, &split) in images.iter_mut().zip(&splits) {
            image.split = Some(split);
        }
        dataset.replace_images(images)?;

        let shown = match dataset.manifest().task {
            Task::Classification => dataset.classes().names().to_vec(),
            Task::Detection | Task::Segmentation => Vec::new(),
        };
        use cleanslide_data::Split::{Test, Train, Validation};
        let parts = [Train, Validation, Test].into_iter().filter_map(|split| {
            let members: Vec<usize> = (0..splits.len())
                .filter(|&index| splits[index] == split)
                .collect();
            let cases: std::collections::BTreeSet<usize> =
                members.iter().map(|&index| units[index]).collect();
            let per_class = (0..shown.len())
                .map(|class| {
                    members
                        .iter()
                        .filter(|&&index| classes[index] == Some(class))
                        .count()
                })
                .collect();
            (!members.is_empty()).then(|| Part {
                split: split.to_string(),
                images: members.len(),
                cases: cases.len(),
                per_class,
            })
        });
        let parts = parts.collect();
        context.output.show(&Summary {
            independent_cases: units.iter().max().map_or(0, |last| last + 1),
            parts,
            classes: shown,
        })
    }

    /// The class of each image, where images have classes.
    fn classes(&self, dataset: &Dataset) -> Result<Vec<Option<usize>>> {
        let LabelsArguments { labels, source } = &self.labels;
        if dataset.manifest().task == Task::Classification {
            return Ok(ImageLabels::load(dataset, *labels, source.as_deref())?.classes());
        }
        if labels.is_some() || source.is_some() {
            return Err(Failure::usage(
                "`--labels` and `--source` are for classes of images; boxes and masks are divided by case alone",
            ));
        }
        if dataset.versions()?.is_empty() {
            return Ok(vec![None; dataset.images().len()]);
        }
        let version = dataset.version(dataset.latest()?)?;
        let labels = dataset.labels(version.id)?;
        strata(dataset, &version, &labels)
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut columns = vec!["part", "images", "cases"];
        columns.extend(self.classes.iter().map(String::as_str));
        let mut table = TextTable::new(&columns);
        for part in &self.parts {
            let numbers = [part.images, part.cases]
                .into_iter()
                .chain(part.per_class.iter().copied());
            table.row(std::iter::once(part.split.clone()).chain(numbers.map(thousands)));
        }
        format!(
            "{}\n{}",
            count(self.independent_cases, "independent case"),
            table.text()
        )
    }
}
