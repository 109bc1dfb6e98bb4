//! `cleanslide export`: a label version as a table.

use std::path::PathBuf;

use clap::Args;
use cleanslide_data::store::write_file;
use cleanslide_data::to_csv;
use cleanslide_learn::image_labels::ImageLabels;
use serde::Serialize;

use crate::arguments::{DatasetArgument, LabelsArguments};
use crate::context::Context;
use crate::failure::Result;
use crate::output::{Show, count};

/// Write a label version as a csv table: image, case, slide, class, trust and the probability of
/// each class
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cleanslide export mitoses corrected.csv --labels v3")]
pub struct Export {
    #[command(flatten)]
    dataset: DatasetArgument,
    /// The table to write
    table: PathBuf,
    #[command(flatten)]
    labels: LabelsArguments,
}

#[derive(Debug, Serialize)]
struct Summary {
    table: PathBuf,
    labels: String,
    source: String,
    labelled: usize,
    unlabelled: usize,
}

impl Export {
    pub fn run(self, context: &Context) -> Result<()> {
        let dataset = context.open(&self.dataset.dataset)?;
        let labels =
            ImageLabels::load(&dataset, self.labels.labels, self.labels.source.as_deref())?;
        let classes = dataset.classes();
        let probabilities: Vec<String> = classes
            .names()
            .iter()
            .map(|name| format!("probability {name}"))
            .collect();
        let mut header = vec!["image", "path", "case", "slide", "class", "trust"];
        header.extend(probabilities.iter().map(String::as_str));
        let rows = dataset
            .images()
            .iter()
            .zip(&labels.labels)
            .map(|(image, label)| {
                let mut row = vec![
                    image.id.clone(),
                    image.path.clone(),
                    image.case.clone(),
                    image.slide.clone(),
                ];
                match label {
                    Some(label) => {
                        row.push(classes.name(label.class()));
                        row.push(label.trust.to_string());
                        row.extend(label.distribution.iter().map(f32::to_string));
                    }
                    None => row.resize(header.len(), String::new()),
                }
                row
            });
        write_file(&self.table, &to_csv(&header, rows))?;
        let labelled = labels.labels.iter().flatten().count();
        context.output.show(&Summary {
            table: self.table,
            labels: labels.version.to_string(),
            source: labels.source,
            labelled,
            unlabelled: dataset.images().len() - labelled,
        })
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        format!(
            "{}: {} of `{}` in {}, {} unlabelled",
            self.table.display(),
            count(self.labelled, "label"),
            self.source,
            self.labels,
            count(self.unlabelled, "image")
        )
    }
}
