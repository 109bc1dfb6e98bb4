//! How good classifiers are, method by method.

use super::ClassificationReport;
use crate::figure::{Size, figure};
use crate::key_figures::{KeyFigure, KeyValue};
use crate::number::{Estimate, Format};
use crate::page::{Section, capitalised, note};
use crate::plots::{Axis, Forest, ForestGroup, ForestRow, Line, LineChart, Reference, Unit};
use crate::table::{Cell, Column, Table, table};
use maud::{Markup, html};

/// How good classifiers are that were trained on these labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The metric, as in `balanced accuracy`. A proportion.
    pub metric: String,
    /// What it was measured against.
    pub against: Against,
    /// How it was measured, as in `5 slide-wise folds × 3 seeds`.
    pub protocol: String,
    /// The value of a classifier that guesses.
    pub chance: Option<f64>,
    /// Methods under each kind of training label.
    pub settings: Vec<Setting>,
    /// Values over the noise rate.
    pub noise_curves: Vec<NoiseCurve>,
    /// What differences are to, as in [`PLAIN`].
    pub baseline: String,
    /// The result to quote on the first screen: index of the setting, index of the method.
    pub quoted: Option<(usize, usize)>,
    /// How the quoted result was chosen, as a sentence; empty where nothing must be known of that.
    pub quoted_because: String,
}

/// What differences are to where the baseline is cross-entropy.
pub const PLAIN: &str = "plain training";

/// The labels that a metric was measured against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Against {
    /// Labels that can be trusted.
    Truth(String),
    /// Labels that are wrong in part; every metric against them says so.
    NoisyLabels(String),
}

impl Against {
    pub(super) fn words(&self) -> String {
        match self {
            Against::Truth(name) => format!("against {name}"),
            Against::NoisyLabels(name) => format!("against {name} (noisy labels)"),
        }
    }
}

/// Training labels of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// What they are, as in `labels of expert 1 alone`.
    pub name: String,
    /// What was trained on them.
    pub methods: Vec<MethodResult>,
}

/// What one method reached.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodResult {
    /// Its name.
    pub method: String,
    /// The metric.
    pub value: Estimate,
    /// Paired difference to the baseline; `None` for the baseline itself.
    pub difference: Option<Estimate>,
}

/// What one method reached at several rates of one kind of noise.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseCurve {
    /// The noise, as in `noise uniform`.
    pub noise: String,
    /// Its name.
    pub method: String,
    /// (share of wrong labels, metric).
    pub points: Vec<(f64, Estimate)>,
    /// Mean skill over the rates: 1 is never wrong, 0 is a guess. Curves without it are not in the table.
    pub mean_skill: Option<Estimate>,
    /// The rate at which half of the skill is lost; the greatest rate where it never is.
    pub half_lost_at: Option<Estimate>,
}

impl NoiseCurve {
    fn greatest_rate(&self) -> f64 {
        let rates = self.points.iter().map(|point| point.0);
        rates.fold(0.0, f64::max)
    }
}

pub(super) fn how_good(report: &ClassificationReport) -> Option<KeyFigure> {
    let comparison = report.comparison.as_ref()?;
    let (setting, method) = comparison.quoted?;
    let setting = comparison.settings.get(setting)?;
    let result = setting.methods.get(method)?;
    let difference = result.difference.map(|difference| {
        let verdict = match difference.interval() {
            Some((low, _)) if low > 0.0 => "better than",
            Some((_, high)) if high < 0.0 => "worse than",
            _ => "not clearly different from",
        };
        let difference = difference.write(Format::Difference);
        format!(", {verdict} {} ({difference})", comparison.baseline)
    });
    let because = Some(&comparison.quoted_because).filter(|because| !because.is_empty());
    Some(KeyFigure {
        question: "How good is a classifier that I can trust?".to_owned(),
        value: KeyValue::Estimate(result.value, Format::Proportion),
        what: format!("{} {}", comparison.metric, comparison.against.words()),
        prose: std::iter::once(format!(
            "By {} on {}{}.",
            result.method,
            setting.name,
            difference.unwrap_or_default()
        ))
        .chain(because.cloned())
        .collect(),
    })
}

pub(super) fn comparison_section(report: &ClassificationReport) -> Option<Section> {
    let comparison = report.comparison.as_ref()?;
    let metric = format!("{} {}", comparison.metric, comparison.against.words());
    let group = |setting: &Setting, row: &dyn Fn(&MethodResult) -> Option<ForestRow>| ForestGroup {
        heading: setting.name.clone(),
        rows: setting.methods.iter().filter_map(row).collect(),
    };
    let values = |result: &MethodResult| {
        Some(ForestRow {
            label: result.method.clone(),
            estimate: result.value,
            baseline: result.difference.is_none(),
        })
    };
    let differences = |result: &MethodResult| {
        let estimate = result.difference?;
        Some(ForestRow {
            label: result.method.clone(),
            estimate,
            baseline: false,
        })
    };
    let by_value = Forest {
        title: "Methods".to_owned(),
        axis: Axis::proportion(&metric),
        groups: comparison
            .settings
            .iter()
            .map(|setting| group(setting, &values))
            .collect(),
        reference: comparison.chance.map(|value| Reference {
            value,
            label: "chance".to_owned(),
        }),
    };
    let by_difference = Forest {
        title: format!("Difference to {}", comparison.baseline),
        axis: Axis {
            unit: Unit::Difference,
            ..Axis::number(format!("difference to {}", comparison.baseline))
        },
        groups: comparison
            .settings
            .iter()
            .map(|setting| group(setting, &differences))
            .filter(|group| !group.rows.is_empty())
            .collect(),
        reference: Some(Reference {
            value: 0.0,
            label: format!("as {}", comparison.baseline),
        }),
    };
    let baseline = format!("The square is {}.", comparison.baseline);
    let any_difference = !by_difference.groups.is_empty();
    let mut noises: Vec<&str> = Vec::new();
    for curve in &comparison.noise_curves {
        if !noises.contains(&curve.noise.as_str()) {
            noises.push(&curve.noise);
        }
    }
    let over_noise = noises.iter().map(|&noise| {
        let curves = comparison.noise_curves.iter();
        LineChart {
            title: format!(
                "{} over the share of added wrong labels, {noise}",
                capitalised(&comparison.metric)
            ),
            x: Axis::percent("added wrong labels"),
            y: Axis::proportion(&metric),
            lines: curves
                .filter(|curve| curve.noise == noise)
                .map(|curve| Line {
                    name: curve.method.clone(),
                    points: curve.points.clone(),
                })
                .collect(),
            reference: comparison.chance.map(|value| Reference {
                value,
                label: "chance".to_owned(),
            }),
        }
    });
    let paired = "Paired: both were tested on the same cases. An interval that leaves out 0 is a \
                  difference that chance does not explain.";
    Some(Section {
        anchor: "methods",
        heading: "How good a classifier is".to_owned(),
        body: html! {
            (note(&format!("{}. {}.", capitalised(&metric), comparison.protocol)))
            @for chart in over_noise {
                (figure(&chart, "Bands and whiskers are 95 % intervals.", Size::Full))
            }
            @if comparison.noise_curves.iter().any(|curve| curve.mean_skill.is_some()) {
                (robustness_table(comparison))
            }
            @if !comparison.settings.is_empty() {
                (figure(&by_value, &baseline, Size::Full))
            }
            @if any_difference { (figure(&by_difference, paired, Size::Full)) }
            (method_table(comparison, &metric))
        },
    })
}

fn robustness_table(comparison: &Comparison) -> Markup {
    let half = |curve: &NoiseCurve| match curve.half_lost_at {
        Some(half) if half.value < curve.greatest_rate() => {
            Cell::text(half.write(Format::Percent(0)))
        }
        Some(_) => Cell::text(format!(
            "beyond {}",
            Format::Percent(0).write(curve.greatest_rate())
        )),
        None => Cell::Number(f64::NAN),
    };
    let rows = comparison.noise_curves.iter().filter_map(|curve| {
        Some(vec![
            Cell::text(&curve.method),
            Cell::text(&curve.noise),
            Cell::Estimate(curve.mean_skill?),
            half(curve),
        ])
    });
    table(&Table {
        title: "What noise costs".to_owned(),
        caption: format!(
            "Skill is how far {} is above chance, as a share of the whole way to 1.",
            comparison.metric
        ),
        columns: vec![
            Column::text("method"),
            Column::text("noise"),
            Column::number("mean skill over all rates", Format::Proportion),
            Column::text("added wrong labels that cost half of it"),
        ],
        rows: rows.collect(),
        footnote: comparison.protocol.clone(),
    })
}

fn method_table(comparison: &Comparison, metric: &str) -> Markup {
    let rows = comparison.settings.iter().flat_map(|setting| {
        setting.methods.iter().map(|result| {
            vec![
                Cell::text(&result.method),
                Cell::text(&setting.name),
                Cell::Estimate(result.value),
                match result.difference {
                    Some(difference) => Cell::Estimate(difference),
                    None => Cell::Number(f64::NAN),
                },
            ]
        })
    });
    table(&Table {
        title: "Methods in numbers".to_owned(),
        caption: format!("{}.", capitalised(metric)),
        columns: vec![
            Column::text("method"),
            Column::text("trained on"),
            Column::number(comparison.metric.as_str(), Format::Proportion),
            Column::number(
                format!("difference to {}", comparison.baseline),
                Format::Difference,
            ),
        ],
        rows: rows.collect(),
        footnote: comparison.protocol.clone(),
    })
}
