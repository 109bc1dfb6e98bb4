//! Whom to believe: each expert against the consensus, and experts against one another.

use super::{ClassificationReport, Noun, SMALL, join};
use crate::figure::{Size, figure};
use crate::key_figures::{KeyFigure, KeyValue};
use crate::number::{Estimate, Format};
use crate::page::Section;
use crate::page::capitalised;
use crate::plots::{Axis, Forest, ForestGroup, ForestRow};
use crate::table::{Cell, Column, Table, table};
use maud::{Markup, html};

/// What the experts are compared with, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Experts {
    /// What they are compared with, as in `the consensus (Dawid–Skene)`.
    pub reference: String,
    /// The experts.
    pub experts: Vec<Expert>,
    /// Agreement of all of them beyond chance (Fleiss kappa).
    pub fleiss_kappa: Option<Estimate>,
    /// Agreement of each two of them beyond chance.
    pub kappas: Vec<KappaPair>,
}

/// One expert.
#[derive(Clone, Debug, PartialEq)]
pub struct Expert {
    /// The name.
    pub name: String,
    /// How many labels the expert gave.
    pub labels: usize,
    /// Share of those labels that are the reference's.
    pub agreement: Estimate,
    /// Per class, measured against the reference.
    pub classes: Vec<ClassSkill>,
}

/// How well an expert recognises a class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassSkill {
    /// Of the images that are of the class by the reference, the share that the expert calls so.
    pub sensitivity: Estimate,
    /// Of the other images, the share that the expert does not call so.
    pub specificity: Estimate,
    /// Images of the class by the reference among those that the expert labelled.
    pub images: usize,
}

/// Agreement of two experts beyond chance (Cohen kappa).
#[derive(Clone, Debug, PartialEq)]
pub struct KappaPair {
    /// The one.
    pub first: String,
    /// The other.
    pub second: String,
    /// Cohen kappa.
    pub kappa: Estimate,
    /// Images that both labelled.
    pub images: usize,
}

impl Expert {
    /// How the expert errs, as in `misses atypical patches: sensitivity .58 [.53, .63]`.
    ///
    /// A leaning is stated where the 95 % intervals of the highest and the lowest sensitivity do not
    /// overlap. With two classes, missing the more frequent one is called what it is: calling too
    /// much the rarer one. `rarer` is the class with the fewest images by the reference.
    pub fn leaning(&self, classes: &[String], items: &Noun) -> Option<String> {
        let known: Vec<(usize, (f64, f64), f64)> = self
            .classes
            .iter()
            .enumerate()
            .filter_map(|(class, skill)| {
                let interval = skill.sensitivity.interval()?;
                Some((class, interval, skill.sensitivity.value))
            })
            .collect();
        let lowest = known.iter().min_by(|a, b| a.2.total_cmp(&b.2))?;
        let highest = known.iter().max_by(|a, b| a.2.total_cmp(&b.2))?;
        if lowest.1.1 >= highest.1.0 {
            return None;
        }
        let rarer = rarer_of_two(&self.classes);
        let many = &items.plural;
        if let Some(rarer) = rarer.filter(|&rarer| rarer != lowest.0) {
            let specificity = self.classes[rarer].specificity.write(Format::Proportion);
            let class = classes.get(rarer)?;
            return Some(format!(
                "calls too many {many} {class}: specificity {specificity}"
            ));
        }
        let class = classes.get(lowest.0)?;
        let sensitivity = self.classes[lowest.0].sensitivity.write(Format::Proportion);
        Some(format!("misses {class} {many}: sensitivity {sensitivity}"))
    }
}

/// Of two classes the one with fewer images; the second of two equal ones.
pub(super) fn rarer_of_two(classes: &[ClassSkill]) -> Option<usize> {
    match classes {
        [first, second] => Some(usize::from(second.images <= first.images)),
        _ => None,
    }
}

pub(super) fn whom_to_believe(report: &ClassificationReport) -> Option<KeyFigure> {
    let experts = report.experts.as_ref()?;
    let known = experts
        .experts
        .iter()
        .filter(|expert| expert.agreement.value.is_finite());
    let best = known.max_by(|a, b| a.agreement.value.total_cmp(&b.agreement.value))?;
    let overlap = |expert: &&Expert| match (expert.agreement.interval(), best.agreement.interval())
    {
        (Some((_, high)), Some((low, _))) => high >= low,
        _ => true,
    };
    let others = experts
        .experts
        .iter()
        .filter(|expert| expert.name != best.name);
    let equals: Vec<&str> = others
        .filter(overlap)
        .map(|expert| expert.name.as_str())
        .collect();
    let mut prose = match equals[..] {
        _ if experts.experts.len() < 2 => Vec::new(),
        [] => vec![format!("No other is as near to {}.", experts.reference)],
        [one] => vec![format!(
            "{} is as near, within the intervals.",
            capitalised(one)
        )],
        _ => {
            let names = capitalised(&join(&equals));
            vec![format!("{names} are as near, within the intervals.")]
        }
    };
    prose.extend(experts.experts.iter().filter_map(|expert| {
        let leaning = expert.leaning(&report.dataset.classes, &report.items)?;
        Some(format!("{} {leaning}.", capitalised(&expert.name)))
    }));
    Some(KeyFigure {
        question: "Whom do I believe?".to_owned(),
        value: KeyValue::Text(capitalised(&best.name)),
        what: format!(
            "agrees with {} on {} of the labels",
            experts.reference,
            best.agreement.write(Format::Percent(1))
        ),
        prose,
    })
}

pub(super) fn expert_section(report: &ClassificationReport) -> Option<Section> {
    let experts = report
        .experts
        .as_ref()
        .filter(|experts| !experts.experts.is_empty())?;
    let classes = &report.dataset.classes;
    let skills = Forest {
        title: format!(
            "What each expert recognises, measured against {}",
            experts.reference
        ),
        axis: Axis::proportion("sensitivity"),
        groups: classes
            .iter()
            .enumerate()
            .map(|(class, name)| ForestGroup {
                heading: name.clone(),
                rows: experts
                    .experts
                    .iter()
                    .filter_map(|expert| {
                        let skill = expert.classes.get(class)?;
                        Some(ForestRow {
                            label: expert.name.clone(),
                            estimate: skill.sensitivity,
                            baseline: false,
                        })
                    })
                    .collect(),
            })
            .collect(),
        reference: None,
    };
    let caption = format!(
        "Of the {} that are of a class by {}, the share that the expert calls so.",
        report.items.plural, experts.reference
    );
    Some(Section {
        anchor: "experts",
        heading: "Whom to believe".to_owned(),
        body: html! {
            (figure(&skills, &caption, Size::Full))
            (expert_table(experts, report))
            @if classes.len() > 2 { (class_skill_table(experts, classes)) }
            (kappa_table(experts))
        },
    })
}

fn expert_table(experts: &Experts, report: &ClassificationReport) -> Markup {
    let classes = &report.dataset.classes;
    let first = experts
        .experts
        .first()
        .map(|expert| expert.classes.as_slice());
    let rarer = first.and_then(rarer_of_two);
    let mut columns = vec![
        Column::text("expert"),
        Column::number("labels given", Format::Count),
        Column::number("agreement", Format::Proportion),
    ];
    if let Some(class) = rarer.and_then(|class| classes.get(class)) {
        columns.push(Column::number(
            format!("sensitivity for {class}"),
            Format::Proportion,
        ));
        columns.push(Column::number(
            format!("specificity for {class}"),
            Format::Proportion,
        ));
    }
    columns.push(Column::text("leaning"));
    let rows = experts.experts.iter().map(|expert| {
        let mut row = vec![
            Cell::text(&expert.name),
            Cell::count(expert.labels),
            Cell::Estimate(expert.agreement),
        ];
        if let Some(class) = rarer {
            let unknown = Estimate::without_interval(f64::NAN);
            let skill = expert.classes.get(class);
            row.push(Cell::Estimate(
                skill.map_or(unknown, |skill| skill.sensitivity),
            ));
            row.push(Cell::Estimate(
                skill.map_or(unknown, |skill| skill.specificity),
            ));
        }
        let leaning = expert.leaning(classes, &report.items);
        row.push(Cell::Text(
            leaning.unwrap_or_else(|| "no clear leaning".to_owned()),
        ));
        row
    });
    table(&Table {
        title: "Experts".to_owned(),
        caption: format!("Measured against {}.", experts.reference),
        columns,
        rows: rows.collect(),
        footnote: "A leaning is named where the intervals of the sensitivities for two classes do \
                   not overlap."
            .to_owned(),
    })
}

fn class_skill_table(experts: &Experts, classes: &[String]) -> Markup {
    let rows = experts.experts.iter().flat_map(|expert| {
        expert.classes.iter().zip(classes).map(|(skill, class)| {
            vec![
                Cell::text(&expert.name),
                Cell::text(class),
                Cell::count(skill.images),
                Cell::Estimate(skill.sensitivity),
                Cell::Estimate(skill.specificity),
            ]
        })
    });
    table(&Table {
        title: "Experts by class".to_owned(),
        caption: format!("Measured against {}.", experts.reference),
        columns: vec![
            Column::text("expert"),
            Column::text("class"),
            Column::number("of the class", Format::Count),
            Column::number("sensitivity", Format::Proportion),
            Column::number("specificity", Format::Proportion),
        ],
        rows: rows.collect(),
        footnote: String::new(),
    })
}

fn kappa_table(experts: &Experts) -> Markup {
    let few = experts.kappas.iter().any(|pair| pair.images < SMALL);
    let fleiss = experts.fleiss_kappa.map(|kappa| {
        format!(
            " All experts together: Fleiss kappa {}.",
            kappa.write(Format::Proportion)
        )
    });
    table(&Table {
        title: "Agreement of experts beyond chance".to_owned(),
        caption: format!(
            "Cohen kappa: 1 is full agreement, 0 is what chance gives.{}",
            fleiss.unwrap_or_default()
        ),
        columns: vec![
            Column::text("experts"),
            Column::number("kappa", Format::Proportion),
            Column::number("labelled by both", Format::Count),
        ],
        rows: experts
            .kappas
            .iter()
            .map(|pair| {
                vec![
                    Cell::Text(format!("{} and {}", pair.first, pair.second)),
                    Cell::Estimate(pair.kappa),
                    Cell::count(pair.images),
                ]
            })
            .collect(),
        footnote: if few {
            format!("Fewer than {SMALL} are a small sample.")
        } else {
            String::new()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expert(sensitivities: [(f64, f64, f64); 2]) -> Expert {
        let skill = |(value, low, high), images| ClassSkill {
            sensitivity: Estimate::new(value, low, high),
            specificity: Estimate::new(0.92, 0.91, 0.93),
            images,
        };
        Expert {
            name: "expert 1".to_owned(),
            labels: 3720,
            agreement: Estimate::new(0.914, 0.905, 0.923),
            classes: vec![skill(sensitivities[0], 2886), skill(sensitivities[1], 834)],
        }
    }

    fn leaning(sensitivities: [(f64, f64, f64); 2]) -> Option<String> {
        let classes = ["normal".to_owned(), "atypical".to_owned()];
        let patches = Noun {
            singular: "patch".to_owned(),
            plural: "patches".to_owned(),
        };
        expert(sensitivities).leaning(&classes, &patches)
    }

    #[test]
    fn a_leaning_is_named_only_where_intervals_part() {
        assert_eq!(
            leaning([(0.99, 0.98, 1.0), (0.58, 0.53, 0.63)]).unwrap(),
            "misses atypical patches: sensitivity .58 [.53, .63]"
        );
        assert_eq!(
            leaning([(0.92, 0.91, 0.93), (0.97, 0.95, 0.99)]).unwrap(),
            "calls too many patches atypical: specificity .92 [.91, .93]"
        );
        assert_eq!(leaning([(0.92, 0.90, 0.96), (0.97, 0.95, 0.99)]), None);
        assert_eq!(leaning([(f64::NAN, 0.0, 0.0), (0.5, 0.4, 0.6)]), None);
    }
}
