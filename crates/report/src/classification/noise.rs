//! How many labels are wrong, and which classes are taken for which.

use super::ClassificationReport;
use crate::figure::{Size, figure, figures};
use crate::number::{Estimate, Format};
use crate::page::Section;
use crate::plots::{Axis, Forest, ForestGroup, ForestRow, HeatMap, Shading};
use crate::table::{Cell, Column, Table, table};
use maud::{Markup, html};

/// How many labels are wrong, by several estimators.
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    /// Which labels, as in `labels of expert 1`.
    pub labels: String,
    /// The estimates; the first one is the one to quote.
    pub estimators: Vec<NoiseEstimate>,
    /// Why none of them can be relied on, as in `the models know little`; then all of them are quoted.
    pub doubt: Option<String>,
}

impl Noise {
    /// How many labels are wrong: by the first estimator, and where there is doubt by the lowest and the highest.
    pub(super) fn sentence(&self, few: Option<&str>) -> Option<String> {
        let known = self.estimators.iter();
        let known: Vec<&NoiseEstimate> = known
            .filter(|estimate| estimate.overall.value.is_finite())
            .collect();
        let first = *known.first()?;
        let by_rate =
            |a: &&&NoiseEstimate, b: &&&NoiseEstimate| a.overall.value.total_cmp(&b.overall.value);
        let (low, high) = (known.iter().min_by(by_rate)?, known.iter().max_by(by_rate)?);
        let doubt = self.doubt.as_deref().or(few);
        Some(match doubt {
            Some(doubt) if known.len() > 1 => format!(
                "Between about {} ({}) and {} ({}) of the {} are wrong; {doubt}.",
                Format::Percent(0).write(low.overall.value),
                low.estimator,
                Format::Percent(0).write(high.overall.value),
                high.estimator,
                self.labels
            ),
            doubt => format!(
                "About {} of the {} are wrong ({}){}.",
                first.overall.write(Format::Percent(1)),
                self.labels,
                first.estimator,
                doubt.map_or_else(String::new, |doubt| format!("; {doubt}"))
            ),
        })
    }
}

/// The answer of one estimator.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseEstimate {
    /// Its name, as in `confident joint`.
    pub estimator: String,
    /// Share of labels that are wrong.
    pub overall: Estimate,
    /// The same among images whose given label is this class.
    pub per_class: Vec<Estimate>,
    /// Row: true class; column: given label; rows sum to 1. Empty if not estimated.
    pub transition: Vec<Vec<f64>>,
}

/// How often labels of one kind meet labels of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Confusion {
    /// What is compared.
    pub title: String,
    /// What the rows are, as in `given label`.
    pub rows: String,
    /// What the columns are, as in `suggested label`.
    pub columns: String,
    /// Counts, one vector per row.
    pub counts: Vec<Vec<f64>>,
}

pub(super) fn noise_section(report: &ClassificationReport) -> Option<Section> {
    let noise = report
        .noise
        .as_ref()
        .filter(|noise| !noise.estimators.is_empty())?;
    let classes = &report.dataset.classes;
    let mut columns = vec![
        Column::text("estimator"),
        Column::number("all", Format::Percent(1)),
    ];
    columns.extend(
        classes
            .iter()
            .map(|class| Column::number(format!("given {class}"), Format::Percent(1))),
    );
    let rows = noise.estimators.iter().map(|estimate| {
        let mut row = vec![
            Cell::text(&estimate.estimator),
            Cell::Estimate(estimate.overall),
        ];
        row.extend(estimate.per_class.iter().map(|rate| Cell::Estimate(*rate)));
        row
    });
    let rates = Table {
        title: format!("Share of wrong {}", noise.labels),
        caption: "Estimated without knowing the truth: over all labels, and among those of each \
                  given class. Estimators differ in what they assume; their spread is part of the \
                  uncertainty."
            .to_owned(),
        columns,
        rows: rows.collect(),
        footnote: String::new(),
    };
    let forest = Forest {
        title: format!("How many of the {} are wrong", noise.labels),
        axis: Axis::percent("share of wrong labels"),
        groups: vec![ForestGroup {
            heading: String::new(),
            rows: noise
                .estimators
                .iter()
                .map(|estimate| ForestRow {
                    label: estimate.estimator.clone(),
                    estimate: estimate.overall,
                    baseline: false,
                })
                .collect(),
        }],
        reference: None,
    };
    let matrices: Vec<Markup> = noise
        .estimators
        .iter()
        .filter(|estimate| !estimate.transition.is_empty())
        .map(|estimate| {
            let matrix = HeatMap {
                title: format!("Transition matrix by {}", estimate.estimator),
                row_axis: "true class".to_owned(),
                column_axis: "given label".to_owned(),
                rows: classes.clone(),
                columns: classes.clone(),
                values: estimate.transition.clone(),
                shading: Shading::Proportion,
            };
            figure(
                &matrix,
                "How often a class is given each label; rows sum to 1.",
                Size::Half,
            )
        })
        .collect();
    Some(Section {
        anchor: "noise",
        heading: "How many labels are wrong".to_owned(),
        body: html! {
            (figure(&forest, "Estimates without knowing the truth.", Size::Full))
            (table(&rates))
            (figures(&matrices))
        },
    })
}

pub(super) fn confusion_section(report: &ClassificationReport) -> Option<Section> {
    let classes = &report.dataset.classes;
    let matrices: Vec<Markup> = report
        .confusions
        .iter()
        .map(|confusion| {
            let matrix = HeatMap {
                title: confusion.title.clone(),
                row_axis: confusion.rows.clone(),
                column_axis: confusion.columns.clone(),
                rows: classes.clone(),
                columns: classes.clone(),
                values: confusion.counts.clone(),
                shading: Shading::ShareOfRow,
            };
            let caption = format!("Number of {} and share of the row.", report.items.plural);
            figure(&matrix, &caption, Size::Half)
        })
        .collect();
    (!matrices.is_empty()).then(|| Section {
        anchor: "confusion",
        heading: "What is taken for what".to_owned(),
        body: figures(&matrices),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubtful_estimates_are_a_range() {
        let estimate = |estimator: &str, rate: f64| NoiseEstimate {
            estimator: estimator.to_owned(),
            overall: Estimate::without_interval(rate),
            per_class: Vec::new(),
            transition: Vec::new(),
        };
        let mut noise = Noise {
            labels: "labels of anna".to_owned(),
            estimators: vec![estimate("models", 0.355), estimate("neighbours", 0.103)],
            doubt: None,
        };
        let percent = |text: &str| text.replace(" %", "\u{a0}%");
        assert_eq!(
            noise.sentence(None).unwrap(),
            percent("About 35.5 % of the labels of anna are wrong (models).")
        );
        let range = |doubt| {
            percent(&format!(
                "Between about 10 % (neighbours) and 36 % (models) of the labels of anna are wrong; {doubt}."
            ))
        };
        assert_eq!(
            noise.sentence(Some("few labels")).unwrap(),
            range("few labels")
        );
        noise.doubt = Some("the models know little".to_owned());
        assert_eq!(
            noise.sentence(None).unwrap(),
            range("the models know little")
        );
    }
}
