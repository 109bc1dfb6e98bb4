//! `cleanslide cases`: from predicted classes of pixels to a call of each case.

pub mod amounts;
mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use cleanslide_data::store::write_file;
use cleanslide_data::{Dataset, Split, to_csv};
use cleanslide_eval::case_calls::{CallSettings, choose_threshold, score_of_two};
use cleanslide_eval::{Bootstrap, Groups, LabelPairs, Ranking, wilson_interval};
use serde::Serialize;

use self::amounts::{Amounts, Unit};
use crate::arguments::{DatasetArgument, LabelsArguments};
use crate::context::Context;
use crate::diagnoses::Diagnoses;
use crate::failure::{Failure, Result};
use crate::measures::{Measure, table};
use crate::new_folder::{publish, refuse_existing};
use crate::output::{Show, count, percent};
use crate::pipeline::refuse_leaks;
use crate::text_table::TextTable;

/// Call each case by how much of each tumour was predicted, and say when that is too little
///
/// The tumours, or whatever else diagnoses tell apart, are the classes that some diagnosis of the dataset excludes. Of two, a
/// case is called the second if its share of both is at least a threshold, which cases for validation choose; of more, the
/// one of which there is most. Cases for test are judged by their diagnoses, with intervals over cases.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cleanslide cases liver runs/complementary --out calls\n  \
cleanslide cases liver tumour/ --out calls\n\n\
The second takes the folder of `cleanslide predict RUN SLIDES`, whose slides the column `slide` of images.csv names.\n\
FOLDER gets cases.csv, report.html and a page of each case."
)]
pub struct Cases {
    #[command(flatten)]
    dataset: DatasetArgument,
    /// A run, or a folder of predicted slides
    #[arg(value_name = "RUN|FOLDER")]
    found: PathBuf,
    #[command(flatten)]
    labels: LabelsArguments,
    /// Of two tumours, the share of the second from which on it is called; by default cases for validation choose it, or it
    /// is 0.5 if there are none
    #[arg(long, value_name = "SHARE")]
    threshold: Option<f64>,
    /// The share of tumour in all that was looked at below which there is no call
    #[arg(long, value_name = "SHARE", default_value_t = CallSettings::default().least)]
    least: f64,
    /// Folder to write; it must not exist
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

/// A case and its call.
#[derive(Debug, Clone, Serialize)]
pub struct CaseLine {
    /// Its name.
    pub case: String,
    split: Option<String>,
    /// How much was looked at.
    pub looked_at: f64,
    /// How much of each tumour there is.
    pub amounts: Vec<f64>,
    /// Of two tumours, the share of the second.
    pub score: Option<f64>,
    /// None if too little tumour was seen.
    call: Option<String>,
    /// What the diagnosis says, if it leaves one tumour.
    pub diagnosis: Option<String>,
}

impl CaseLine {
    fn is_right(&self) -> Option<bool> {
        Some(self.call.as_ref()? == self.diagnosis.as_ref()?)
    }
}

/// Where the threshold is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum ThresholdOf {
    Given,
    Validation,
    Default,
}

#[derive(Debug, Serialize)]
struct Summary {
    folder: PathBuf,
    dataset: PathBuf,
    found: PathBuf,
    source: String,
    unit: Unit,
    tumours: Vec<String>,
    threshold: f64,
    threshold_of: ThresholdOf,
    /// Cases that chose it.
    chosen_by: usize,
    least: f64,
    /// Cases with a diagnosis by which calls are judged.
    judged: usize,
    /// Of these, those for test; false if there are none and all others were judged.
    judged_for_test: bool,
    abstained: usize,
    measures: Vec<Measure>,
    cases: Vec<CaseLine>,
}

impl Cases {
    pub fn run(self, context: &Context) -> Result<()> {
        for (flag, value) in [
            ("--threshold", self.threshold),
            ("--least", Some(self.least)),
        ] {
            if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
                return Err(Failure::usage(format!("`{flag}` is a share from 0 to 1")));
            }
        }
        refuse_existing(&self.out)?;
        let dataset = context.open(&self.dataset.dataset)?;
        refuse_leaks(&dataset)?;
        let version = match self.labels.labels {
            Some(version) => version,
            None => dataset.latest()?,
        };
        let version = dataset.version(version)?;
        let labels = dataset.labels(version.id)?;
        let asked = self.labels.source.as_deref();
        let diagnoses = Diagnoses::read(&dataset, (&version, &labels), asked)?;
        let tumours: Vec<usize> = diagnoses.entities().into_iter().collect();
        if tumours.len() < 2 {
            return Err(Failure::input(format!(
                "`{}` excludes {} only, so there is nothing to tell apart",
                diagnoses.source,
                tumours
                    .first()
                    .map_or_else(String::new, |&class| dataset.classes().name(class)),
            ))
            .help("Diagnoses of other cases must exclude another class."));
        }
        let found = Amounts::read(context, &dataset, &self.found)?;
        let unjudged = lines(&dataset, &diagnoses, &tumours, &found);
        let (threshold, threshold_of, chosen_by) = self.threshold(&unjudged, &dataset, &tumours)?;
        let settings = CallSettings {
            threshold,
            least: self.least,
        };
        let cases: Vec<CaseLine> = unjudged
            .into_iter()
            .map(|case| {
                let call = settings.call(&case.amounts, case.looked_at);
                CaseLine {
                    call: call.map(|of| dataset.classes().name(tumours[of])),
                    ..case
                }
            })
            .collect();
        let names: Vec<String> = tumours
            .iter()
            .map(|&class| dataset.classes().name(class))
            .collect();
        let for_test = cases
            .iter()
            .any(|case| is(case, Split::Test) && case.diagnosis.is_some());
        let mut summary = Summary {
            dataset: self.dataset.dataset,
            source: format!("{} of {}", diagnoses.source, version.id),
            unit: found.unit,
            threshold,
            threshold_of,
            chosen_by,
            least: self.least,
            judged: 0,
            judged_for_test: for_test,
            abstained: 0,
            measures: Vec::new(),
            tumours: names,
            cases,
            found: self.found,
            folder: self.out,
        };
        summary.judge(context.seed)?;
        publish(&summary.folder, |folder| {
            write_file(&folder.join("cases.csv"), &summary.csv())?;
            pages::write(context, &summary, &dataset, &found, folder)
        })?;
        context.output.show(&summary)
    }

    /// The threshold, who chose it, and from how many cases.
    fn threshold(
        &self,
        cases: &[CaseLine],
        dataset: &Dataset,
        tumours: &[usize],
    ) -> Result<(f64, ThresholdOf, usize)> {
        let default = CallSettings::default().threshold;
        if let Some(threshold) = self.threshold {
            return match tumours.len() {
                2 => Ok((threshold, ThresholdOf::Given, 0)),
                more => Err(Failure::usage(format!(
                    "`--threshold` tells two tumours apart, and there are {more}"
                ))),
            };
        }
        let names: Vec<String> = tumours
            .iter()
            .map(|&class| dataset.classes().name(class))
            .collect();
        Ok(match chosen_threshold(cases, &names, self.least)? {
            Some((threshold, by)) => (threshold, ThresholdOf::Validation, by),
            None => (default, ThresholdOf::Default, 0),
        })
    }
}

/// The threshold of two tumours that is best for cases for validation, and how many there are; none if they are all of one.
pub fn chosen_threshold(
    cases: &[CaseLine],
    tumours: &[String],
    least: f64,
) -> Result<Option<(f64, usize)>> {
    let [_, second] = tumours else {
        return Ok(None);
    };
    let (scores, truth): (Vec<f64>, Vec<bool>) = cases
        .iter()
        .filter(|case| is(case, Split::Validation))
        .filter(|case| case.amounts.iter().sum::<f64>() >= least * case.looked_at)
        .filter_map(|case| Some((case.score?, case.diagnosis.as_ref()? == second)))
        .unzip();
    if !truth.contains(&true) || !truth.contains(&false) {
        return Ok(None);
    }
    Ok(Some((choose_threshold(&scores, &truth)?, scores.len())))
}

fn is(case: &CaseLine, split: Split) -> bool {
    case.split.as_deref() == Some(split.to_string().as_str())
}

/// The cases of what was found, without calls.
pub fn lines(
    dataset: &Dataset,
    diagnoses: &Diagnoses,
    tumours: &[usize],
    found: &Amounts,
) -> Vec<CaseLine> {
    found
        .cases
        .iter()
        .map(|(case, of)| {
            let amounts: Vec<f64> = tumours.iter().map(|&class| of.classes[class]).collect();
            let split = of
                .images
                .first()
                .and_then(|&image| dataset.images()[image].split);
            CaseLine {
                case: case.clone(),
                split: split.map(|split| split.to_string()),
                looked_at: of.classes.iter().sum(),
                score: score_of_two(&amounts),
                amounts,
                call: None,
                diagnosis: diagnosis(dataset, diagnoses, tumours, &of.images),
            }
        })
        .collect()
}

/// The tumour that the diagnoses of images of a case leave, if that is one.
pub fn diagnosis(
    dataset: &Dataset,
    diagnoses: &Diagnoses,
    tumours: &[usize],
    images: &[usize],
) -> Option<String> {
    let said = images
        .iter()
        .filter_map(|&image| diagnoses.of_image(&dataset.images()[image]));
    let excluded: BTreeSet<usize> = said.flat_map(|said| said.classes).collect();
    let mut left = tumours.iter().filter(|tumour| !excluded.contains(tumour));
    match (left.next(), left.next()) {
        (Some(&only), None) => Some(dataset.classes().name(only)),
        _ => None,
    }
}

/// Balanced accuracy of the calls, AUROC of two tumours, and how many cases were called.
fn measures(cases: &[&CaseLine], tumours: &[String], seed: u64) -> Result<Vec<Measure>> {
    let place = |name: &Option<String>| {
        let name = name.as_ref()?;
        tumours.iter().position(|tumour| tumour == name)
    };
    let called: Vec<(usize, usize)> = cases
        .iter()
        .filter_map(|case| Some((place(&case.diagnosis)?, place(&case.call)?)))
        .collect();
    let (truth, call): (Vec<usize>, Vec<usize>) = called.into_iter().unzip();
    let bootstrap = Bootstrap {
        seed,
        ..Bootstrap::default()
    };
    let each = |items: usize| Groups::new(&(0..items).collect::<Vec<_>>());
    let mut measures = vec![Measure::new(
        "balanced accuracy of the calls",
        LabelPairs::new(&truth, &call, tumours.len()).and_then(|pairs| {
            bootstrap.estimate(&each(truth.len())?, |weights| {
                pairs.confusion(weights)?.balanced_accuracy()
            })
        }),
    )];
    if let [_, second] = tumours {
        let (scores, positive): (Vec<f64>, Vec<bool>) = cases
            .iter()
            .filter_map(|case| Some((case.score?, case.diagnosis.as_ref()? == second)))
            .unzip();
        measures.push(Measure::new(
            "AUROC of the share, called or not",
            Ranking::new(&positive, &scores).and_then(|ranking| {
                bootstrap.estimate(&each(scores.len())?, |weights| ranking.auroc(weights))
            }),
        ));
    }
    for (class, tumour) in tumours.iter().enumerate() {
        let of_class: Vec<bool> = truth
            .iter()
            .zip(&call)
            .filter(|(truth, _)| **truth == class)
            .map(|(truth, call)| truth == call)
            .collect();
        measures.push(Measure::new(
            format!("of {tumour}, called so"),
            share(&bootstrap, &of_class),
        ));
    }
    let was_called: Vec<bool> = cases.iter().map(|case| case.call.is_some()).collect();
    measures.push(Measure::new(
        "share of the cases that were called",
        share(&bootstrap, &was_called),
    ));
    Ok(measures)
}

/// A share with the interval of Wilson.
fn share(
    bootstrap: &Bootstrap,
    items: &[bool],
) -> std::result::Result<cleanslide_eval::Estimate, cleanslide_eval::Error> {
    let yes = items.iter().filter(|&&yes| yes).count();
    let interval = wilson_interval(yes as f64, items.len() as f64, bootstrap.level)?;
    Ok(cleanslide_eval::Estimate {
        value: yes as f64 / items.len() as f64,
        low: interval.low,
        high: interval.high,
        level: bootstrap.level,
        replicates: 0,
        undefined: 0,
        groups: items.len(),
        items: items.len(),
    })
}

impl Summary {
    /// The cases by which calls are judged: those for test, or all but those that chose the threshold, which suits them.
    fn judged_cases(&self) -> impl Iterator<Item = &CaseLine> {
        let known = self.cases.iter().filter(|case| case.diagnosis.is_some());
        known.filter(|case| match self.judged_for_test {
            true => is(case, Split::Test),
            false => !is(case, Split::Validation),
        })
    }

    fn judge(&mut self, seed: u64) -> Result<()> {
        let judged: Vec<&CaseLine> = self.judged_cases().collect();
        let measures = measures(&judged, &self.tumours, seed)?;
        let abstained = judged.iter().filter(|case| case.call.is_none()).count();
        (self.judged, self.abstained) = (judged.len(), abstained);
        self.measures = measures;
        Ok(())
    }

    fn csv(&self) -> Vec<u8> {
        let unit = self.unit.column();
        let amounts = self.tumours.iter().map(|tumour| format!("{tumour}{unit}"));
        let looked_at = format!("looked_at{unit}");
        let columns: Vec<String> = ["case".to_owned(), "split".to_owned(), looked_at]
            .into_iter()
            .chain(amounts)
            .chain(["score", "call", "diagnosis", "right"].map(String::from))
            .collect();
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let number = |value: f64| match self.unit {
            Unit::SquareMillimetres => format!("{value:.6}"),
            Unit::Pixels => format!("{value:.0}"),
        };
        let rows = self.cases.iter().map(|case| {
            let mut row = vec![
                case.case.clone(),
                case.split.clone().unwrap_or_default(),
                number(case.looked_at),
            ];
            row.extend(case.amounts.iter().map(|&amount| number(amount)));
            row.extend([
                case.score
                    .map_or_else(String::new, |score| format!("{score:.4}")),
                case.call.clone().unwrap_or_default(),
                case.diagnosis.clone().unwrap_or_default(),
                case.is_right().map_or_else(String::new, |right| {
                    (if right { "yes" } else { "no" }).to_owned()
                }),
            ]);
            row
        });
        to_csv(&columns, rows)
    }

    /// How the calls were made, in words.
    fn rule(&self) -> String {
        let least = format!("no call below {} of tumour", percent(self.least));
        match self.tumours.as_slice() {
            [_, second] => format!(
                "{second} is called from a share of {:.3} on, {}; {least}",
                self.threshold,
                match self.threshold_of {
                    ThresholdOf::Given => "as given".to_owned(),
                    ThresholdOf::Validation =>
                        format!("chosen by {} for validation", count(self.chosen_by, "case")),
                    ThresholdOf::Default => "as no case for validation chose another".to_owned(),
                }
            ),
            _ => format!("the tumour of which there is most is called; {least}"),
        }
    }

    /// What was judged, in words.
    fn what(&self) -> String {
        format!(
            "{}{} with a diagnosis by {}, {} without a call",
            count(self.judged, "case"),
            if self.judged_for_test {
                " for test"
            } else {
                ""
            },
            self.source,
            self.abstained,
        )
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut calls: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
        for case in &self.cases {
            let diagnosis = case.diagnosis.as_deref().unwrap_or("not known");
            let call = case.call.as_deref().unwrap_or("no call");
            *calls.entry(diagnosis).or_default().entry(call).or_default() += 1;
        }
        let known = calls.values().flat_map(|of| of.keys().copied());
        let columns: BTreeSet<&str> = known.collect();
        let header: Vec<&str> = std::iter::once("diagnosis")
            .chain(columns.iter().copied())
            .collect();
        let mut counts = TextTable::new(&header);
        for (diagnosis, of) in &calls {
            let cells = columns
                .iter()
                .map(|call| of.get(call).copied().unwrap_or(0).to_string());
            counts.row(std::iter::once((*diagnosis).to_owned()).chain(cells));
        }
        format!(
            "{} of {}\n{}\n{}\n{}:\n{}\npages: {}",
            count(self.cases.len(), "case"),
            self.found.display(),
            counts.text(),
            self.rule(),
            self.what(),
            table(&["value"], &[&self.measures]),
            self.folder.join("report.html").display()
        )
    }
}
