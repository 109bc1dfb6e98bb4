//! The page about class labels: whom to believe, what to look at again, and how good a classifier
//! is that was trained in spite of the labels.
//!
//! The caller fills [`ClassificationReport`] with what it knows; parts that it leaves out do not
//! appear, nor do their headings.

use maud::{Markup, html};

use crate::figure::{Size, figure, figures};
use crate::gallery::{Card, gallery};
use crate::key_figures::{KeyFigure, KeyValue, key_figures};
use crate::number::{Estimate, Format, count, share};
use crate::page::{Page, Provenance, Section, note, warnings};
use crate::plots::{
    Axis, Bar, Forest, ForestGroup, ForestRow, HeatMap, Histogram, Line, LineChart,
    PrecisionRecall, PrecisionRecallCurve, Reference, Reliability, ReliabilityBin, Shading,
    StackedBars, Unit,
};
use crate::table::{Cell, Column, Table, table};

/// Fewer items or cases than this are called few.
const SMALL: usize = 30;

/// Everything that the page can show.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassificationReport {
    /// The title of the page.
    pub title: String,
    /// What an image is called.
    pub items: Noun,
    /// What the data are.
    pub dataset: Dataset,
    /// Who gives labels, and how each of them errs.
    pub experts: Option<Experts>,
    /// Which labels are in doubt.
    pub suspicious: Option<Suspicious>,
    /// How well suspicion ranks known errors.
    pub ranking: Option<Ranking>,
    /// How many labels are wrong.
    pub noise: Option<Noise>,
    /// Which classes are taken for which.
    pub confusions: Vec<Confusion>,
    /// How good classifiers are.
    pub comparison: Option<Comparison>,
    /// How training went.
    pub learning_curves: Vec<LearningCurves>,
    /// Whether probabilities mean what they say.
    pub calibrations: Vec<Calibration>,
    /// What was changed.
    pub correction: Option<Correction>,
    /// What the reader must know first. Small samples are added by the page itself.
    pub warnings: Vec<String>,
    /// Where the numbers come from.
    pub provenance: Provenance,
}

/// A word with its plural.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noun {
    /// As in `patch`.
    pub singular: String,
    /// As in `patches`.
    pub plural: String,
}

impl Default for Noun {
    fn default() -> Self {
        Self {
            singular: "image".to_owned(),
            plural: "images".to_owned(),
        }
    }
}

/// What the data are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dataset {
    /// How many images.
    pub images: usize,
    /// How many cases they come from, where that is known.
    pub cases: Option<usize>,
    /// How many slides they come from, where that is known.
    pub slides: Option<usize>,
    /// Names of the classes. Every vector over classes in the report has their order.
    pub classes: Vec<String>,
    /// Images per class in the label version that the report is about.
    pub counts: Vec<usize>,
    /// Images without a label in that version.
    pub unlabelled: usize,
    /// The labels of each source.
    pub sources: Vec<SourceCounts>,
    /// Name of the label version.
    pub version: String,
    /// Its history, the oldest version first.
    pub history: Vec<HistoryLine>,
}

/// What one source says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceCounts {
    /// Its name.
    pub name: String,
    /// Images per class.
    pub counts: Vec<usize>,
    /// Images that it does not label.
    pub unlabelled: usize,
}

/// One label version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryLine {
    /// Its name.
    pub version: String,
    /// The command that made it.
    pub command: String,
    /// How many labels differ from its parent; `None` for the first.
    pub changed: Option<usize>,
}

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

/// Which labels are in doubt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suspicious {
    /// How many labels were checked.
    pub checked: usize,
    /// How many of them are suspicious.
    pub flagged: usize,
    /// The most suspicious, in any order.
    pub cards: Vec<Card>,
    /// Suspicion of every checked label, from 0 to 1.
    pub scores: Vec<f64>,
    /// Suspicion from which a label counts as suspicious, where it is one number.
    pub threshold: Option<f64>,
    /// How suspicion was computed, in one sentence.
    pub method: String,
}

/// How well suspicion ranks labels that are known to be wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// What is taken for an error, as in `expert 1 differs from the majority`.
    pub truth: String,
    /// How many labels are wrong.
    pub errors: usize,
    /// Out of how many.
    pub checked: usize,
    /// The ways of ranking.
    pub curves: Vec<PrecisionRecallCurve>,
}

/// How many labels are wrong, by several estimators.
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    /// Which labels, as in `labels of expert 1`.
    pub labels: String,
    /// The estimates; the first one is the one to quote.
    pub estimators: Vec<NoiseEstimate>,
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
    /// The result to quote on the first screen: index of the setting, index of the method.
    pub quoted: Option<(usize, usize)>,
}

/// The labels that a metric was measured against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Against {
    /// Labels that can be trusted.
    Truth(String),
    /// Labels that are wrong in part; every metric against them says so.
    NoisyLabels(String),
}

impl Against {
    fn words(&self) -> String {
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
    /// Paired difference to plain training; `None` for plain training itself.
    pub difference: Option<Estimate>,
}

/// What one method reached at several noise rates.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseCurve {
    /// Its name.
    pub method: String,
    /// (share of wrong labels, metric).
    pub points: Vec<(f64, Estimate)>,
}

/// How one quantity developed in training.
#[derive(Clone, Debug, PartialEq)]
pub struct LearningCurves {
    /// What is shown.
    pub title: String,
    /// The quantity with its unit; names the labels if they are noisy.
    pub quantity: String,
    /// One line per part or method, over epochs.
    pub lines: Vec<Line>,
}

/// Whether the probabilities of one classifier mean what they say.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// The classifier.
    pub classifier: String,
    /// What it was measured against.
    pub against: Against,
    /// Expected calibration error.
    pub expected_error: Estimate,
    /// Bins of the reliability diagram.
    pub bins: Vec<ReliabilityBin>,
}

/// What a correction changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// The policy in words, as in `relabel above .90`.
    pub policy: String,
    /// The version that it read.
    pub from: String,
    /// The version that it wrote.
    pub to: String,
    /// How many labels it read.
    pub labels: usize,
    /// (class before, class after, how many); only those that changed.
    pub relabelled: Vec<(usize, usize, usize)>,
    /// Labels that were taken away.
    pub removed: usize,
    /// Labels that were made soft or given less weight.
    pub softened: usize,
}

/// The page as one HTML file. The same report gives the same bytes.
pub fn render(report: &ClassificationReport) -> String {
    let sections = [
        data_section(report),
        expert_section(report),
        suspicious_section(report),
        ranking_section(report),
        noise_section(report),
        confusion_section(report),
        comparison_section(report),
        learning_section(report),
        calibration_section(report),
        correction_section(report),
    ];
    let lead = html! {
        p class="lead" { (summary(report)) }
        (key_figures(&answers(report)))
        (warnings(&all_warnings(report)))
    };
    Page {
        title: report.title.clone(),
        lead,
        sections: sections.into_iter().flatten().collect(),
        provenance: report.provenance.clone(),
    }
    .render()
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
fn rarer_of_two(classes: &[ClassSkill]) -> Option<usize> {
    match classes {
        [first, second] => Some(usize::from(second.images <= first.images)),
        _ => None,
    }
}

fn summary(report: &ClassificationReport) -> String {
    let data = &report.dataset;
    let mut parts = vec![format!("{} {}", count(data.images), report.items.plural)];
    let mut counted = |number: Option<usize>, one: &str, many: &str| {
        if let Some(number) = number {
            parts.push(format!(
                "{} {}",
                count(number),
                if number == 1 { one } else { many }
            ));
        }
    };
    counted(data.cases, "case", "cases");
    counted(data.slides, "slide", "slides");
    counted(
        Some(data.sources.len()).filter(|&n| n > 0),
        "source of labels",
        "sources of labels",
    );
    let mut text = parts.join(", ");
    if !data.version.is_empty() {
        text.push_str(&format!("; label version {}", data.version));
    }
    text.push('.');
    text
}

fn answers(report: &ClassificationReport) -> Vec<KeyFigure> {
    [
        whom_to_believe(report),
        what_to_look_at(report),
        how_good(report),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn whom_to_believe(report: &ClassificationReport) -> Option<KeyFigure> {
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

fn what_to_look_at(report: &ClassificationReport) -> Option<KeyFigure> {
    let suspicious = report.suspicious.as_ref()?;
    let many = &report.items.plural;
    let mut prose = match suspicious.cards.len() {
        0 => Vec::new(),
        shown => vec![format!(
            "Start with the {} most suspicious, shown below.",
            count(shown)
        )],
    };
    if let Some(noise) = &report.noise
        && let Some(estimate) = noise.estimators.first()
        && estimate.overall.value.is_finite()
    {
        prose.push(format!(
            "About {} of the {} are wrong ({}).",
            estimate.overall.write(Format::Percent(1)),
            noise.labels,
            estimate.estimator
        ));
    }
    Some(KeyFigure {
        question: format!("Which {many} must we look at again?"),
        value: KeyValue::Text(format!("{} {many}", count(suspicious.flagged))),
        what: format!(
            "have a suspicious label: {}",
            share(suspicious.flagged, suspicious.checked, "labels")
        ),
        prose,
    })
}

fn how_good(report: &ClassificationReport) -> Option<KeyFigure> {
    let comparison = report.comparison.as_ref()?;
    let (setting, method) = comparison.quoted?;
    let setting = comparison.settings.get(setting)?;
    let result = setting.methods.get(method)?;
    let difference = result.difference.map(|difference| {
        let verdict = match difference.interval() {
            Some((low, _)) if low > 0.0 => "better than plain training",
            Some((_, high)) if high < 0.0 => "worse than plain training",
            _ => "not clearly different from plain training",
        };
        format!(", {verdict} ({})", difference.write(Format::Difference))
    });
    Some(KeyFigure {
        question: "How good is a classifier that I can trust?".to_owned(),
        value: KeyValue::Estimate(result.value, Format::Proportion),
        what: format!("{} {}", comparison.metric, comparison.against.words()),
        prose: vec![format!(
            "{}, trained on {}{}.",
            capitalised(&result.method),
            setting.name,
            difference.unwrap_or_default()
        )],
    })
}

fn all_warnings(report: &ClassificationReport) -> Vec<String> {
    let mut all = report.warnings.clone();
    let data = &report.dataset;
    for (class, &images) in data.classes.iter().zip(&data.counts) {
        if images < SMALL {
            all.push(format!(
                "Small sample: class {class} has only {} labelled {}; whatever is said of it is \
                 uncertain.",
                count(images),
                if images == 1 {
                    &report.items.singular
                } else {
                    &report.items.plural
                }
            ));
        }
    }
    let groups = data.cases.map(|cases| (cases, "case", "cases"));
    let groups = groups.or(data.slides.map(|slides| (slides, "slide", "slides")));
    if let Some((number, one, many)) = groups.filter(|(number, _, _)| *number < SMALL) {
        let name = if number == 1 { one } else { many };
        all.push(format!(
            "Small sample: only {} {name}; intervals that resample {many} are rough.",
            count(number)
        ));
    }
    if let Some(comparison) = &report.comparison
        && let Against::NoisyLabels(name) = &comparison.against
    {
        all.push(format!(
            "Classifiers are measured against {name}, which is wrong in part: the figures say how \
             well they agree with it, not how often they are right."
        ));
    }
    all
}

fn data_section(report: &ClassificationReport) -> Option<Section> {
    let data = &report.dataset;
    let used = Bar {
        name: if data.version.is_empty() {
            "labels used".to_owned()
        } else {
            data.version.clone()
        },
        counts: data.counts.clone(),
        unlabelled: data.unlabelled,
    };
    let sources = data.sources.iter().map(|source| Bar {
        name: source.name.clone(),
        counts: source.counts.clone(),
        unlabelled: source.unlabelled,
    });
    let bars = StackedBars {
        title: "Labels by source".to_owned(),
        counted: report.items.plural.clone(),
        parts: data.classes.clone(),
        bars: std::iter::once(used).chain(sources).collect(),
    };
    let caption = format!(
        "Number of {} per class: the label version that this report is about{}.",
        report.items.plural,
        if data.sources.is_empty() {
            ""
        } else {
            ", then what each source says"
        }
    );
    let history = Table {
        title: "History of the labels".to_owned(),
        caption: "Versions are never edited; each correction adds one.".to_owned(),
        columns: vec![
            Column::text("version"),
            Column::text("made by"),
            Column::number("labels changed", Format::Count),
        ],
        rows: data
            .history
            .iter()
            .map(|line| {
                let changed = line.changed.map_or(f64::NAN, |changed| changed as f64);
                vec![
                    Cell::text(&line.version),
                    Cell::text(&line.command),
                    Cell::Number(changed),
                ]
            })
            .collect(),
        footnote: String::new(),
    };
    (!data.classes.is_empty()).then(|| Section {
        anchor: "data",
        heading: "The data".to_owned(),
        body: html! { (figure(&bars, &caption, Size::Full)) (table(&history)) },
    })
}

fn expert_section(report: &ClassificationReport) -> Option<Section> {
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

fn suspicious_section(report: &ClassificationReport) -> Option<Section> {
    let suspicious = report.suspicious.as_ref()?;
    let many = &report.items.plural;
    let shown = suspicious.cards.len();
    let histogram = Histogram {
        title: "Suspicion of all labels".to_owned(),
        axis: Axis::proportion("suspicion"),
        counted: many.clone(),
        from: 0.0,
        to: 1.0,
        counts: Histogram::count(&suspicious.scores, (0.0, 1.0), 40),
        threshold: suspicious.threshold.map(|value| Reference {
            value,
            label: "suspicious from".to_owned(),
        }),
    };
    Some(Section {
        anchor: "suspicious",
        heading: format!("Which {many} to look at again"),
        body: html! {
            (note(&format!(
                "{} are suspicious. {}",
                share(suspicious.flagged, suspicious.checked, "labels"),
                suspicious.method
            )))
            @if !suspicious.scores.is_empty() {
                (figure(
                    &histogram,
                    "0: nothing speaks against the given label. 1: everything does.",
                    Size::Full,
                ))
            }
            @if shown > 0 {
                h3 {
                    "The " (count(shown)) " most suspicious " (many)
                }
                (note("The most suspicious first. Choose an image to see it large."))
                (gallery(&suspicious.cards))
            }
        },
    })
}

fn ranking_section(report: &ClassificationReport) -> Option<Section> {
    let ranking = report
        .ranking
        .as_ref()
        .filter(|ranking| !ranking.curves.is_empty())?;
    let chance = if ranking.checked > 0 {
        ranking.errors as f64 / ranking.checked as f64
    } else {
        f64::NAN
    };
    let plot = PrecisionRecall {
        title: "Errors found by looking at the most suspicious first".to_owned(),
        curves: ranking.curves.clone(),
        chance,
    };
    let rows = ranking.curves.iter().map(|curve| {
        vec![
            Cell::text(&curve.name),
            Cell::Estimate(curve.average_precision),
        ]
    });
    let scores = Table {
        title: "Average precision".to_owned(),
        caption: format!("A random order has {}.", Format::Proportion.write(chance)),
        columns: vec![
            Column::text("ranked by"),
            Column::number("average precision", Format::Proportion),
        ],
        rows: rows.collect(),
        footnote: String::new(),
    };
    Some(Section {
        anchor: "ranking",
        heading: "How well suspicion finds known errors".to_owned(),
        body: html! {
            (note(&format!(
                "Counted as an error where {}: {}.",
                ranking.truth,
                share(ranking.errors, ranking.checked, "labels")
            )))
            (figure(&plot, "", Size::Full))
            (table(&scores))
        },
    })
}

fn noise_section(report: &ClassificationReport) -> Option<Section> {
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

fn confusion_section(report: &ClassificationReport) -> Option<Section> {
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

fn comparison_section(report: &ClassificationReport) -> Option<Section> {
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
        title: "Difference to plain training".to_owned(),
        axis: Axis {
            unit: Unit::Difference,
            ..Axis::number("difference to plain training")
        },
        groups: comparison
            .settings
            .iter()
            .map(|setting| group(setting, &differences))
            .collect(),
        reference: Some(Reference {
            value: 0.0,
            label: "as plain training".to_owned(),
        }),
    };
    let any_difference = by_difference
        .groups
        .iter()
        .any(|group| !group.rows.is_empty());
    let over_noise = LineChart {
        title: format!(
            "{} over the share of wrong training labels",
            capitalised(&comparison.metric)
        ),
        x: Axis::percent("wrong training labels"),
        y: Axis::proportion(&metric),
        lines: comparison
            .noise_curves
            .iter()
            .map(|curve| Line {
                name: curve.method.clone(),
                points: curve.points.clone(),
            })
            .collect(),
        reference: comparison.chance.map(|value| Reference {
            value,
            label: "chance".to_owned(),
        }),
    };
    let paired = "Paired: both were tested on the same cases. An interval that leaves out 0 is a \
                  difference that chance does not explain.";
    Some(Section {
        anchor: "methods",
        heading: "How good a classifier is".to_owned(),
        body: html! {
            (note(&format!("{}. {}.", capitalised(&metric), comparison.protocol)))
            @if !comparison.noise_curves.is_empty() {
                (figure(&over_noise, "Bands and whiskers are 95 % intervals.", Size::Full))
            }
            @if !comparison.settings.is_empty() {
                (figure(&by_value, "Squares are plain training.", Size::Full))
            }
            @if any_difference { (figure(&by_difference, paired, Size::Full)) }
            (method_table(comparison, &metric))
        },
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
            Column::number("difference to plain", Format::Difference),
        ],
        rows: rows.collect(),
        footnote: comparison.protocol.clone(),
    })
}

fn learning_section(report: &ClassificationReport) -> Option<Section> {
    let charts: Vec<Markup> = report
        .learning_curves
        .iter()
        .map(|curves| {
            let chart = LineChart {
                title: curves.title.clone(),
                x: Axis::number("epoch"),
                y: Axis::number(&curves.quantity),
                lines: curves.lines.clone(),
                reference: None,
            };
            figure(&chart, "", Size::Half)
        })
        .collect();
    (!charts.is_empty()).then(|| Section {
        anchor: "learning",
        heading: "How training went".to_owned(),
        body: figures(&charts),
    })
}

fn calibration_section(report: &ClassificationReport) -> Option<Section> {
    let diagrams: Vec<Markup> = report
        .calibrations
        .iter()
        .map(|calibration| {
            let against = calibration.against.words();
            let diagram = Reliability {
                title: calibration.classifier.clone(),
                predicted: "predicted probability".to_owned(),
                observed: format!("share correct {against}"),
                counted: report.items.plural.clone(),
                bins: calibration.bins.clone(),
            };
            let caption = format!(
                "Expected calibration error {} {against}.",
                calibration.expected_error.write(Format::Decimal(3))
            );
            figure(&diagram, &caption, Size::Half)
        })
        .collect();
    (!diagrams.is_empty()).then(|| Section {
        anchor: "calibration",
        heading: "Whether probabilities mean what they say".to_owned(),
        body: figures(&diagrams),
    })
}

fn correction_section(report: &ClassificationReport) -> Option<Section> {
    let correction = report.correction.as_ref()?;
    let classes = &report.dataset.classes;
    let name = |class: usize| classes.get(class).map_or("unknown class", String::as_str);
    let relabelled: usize = correction
        .relabelled
        .iter()
        .map(|(_, _, number)| number)
        .sum();
    let changed = relabelled + correction.removed + correction.softened;
    let of_all = |number: usize| number as f64 / correction.labels.max(1) as f64;
    let line = |what: String, number: usize| {
        vec![
            Cell::Text(what),
            Cell::count(number),
            Cell::Number(of_all(number)),
        ]
    };
    let mut rows: Vec<Vec<Cell>> = correction
        .relabelled
        .iter()
        .map(|&(from, to, number)| {
            line(format!("relabelled {} → {}", name(from), name(to)), number)
        })
        .collect();
    for (what, number) in [
        ("removed", correction.removed),
        ("softened or given less weight", correction.softened),
    ] {
        if number > 0 {
            rows.push(line(what.to_owned(), number));
        }
    }
    let changes = Table {
        title: "Changes".to_owned(),
        caption: String::new(),
        columns: vec![
            Column::text("what"),
            Column::number("labels", Format::Count),
            Column::number("of all", Format::Percent(1)),
        ],
        rows,
        footnote: String::new(),
    };
    Some(Section {
        anchor: "correction",
        heading: "What was corrected".to_owned(),
        body: html! {
            (note(&format!(
                "{} changed from version {} to version {} by the policy “{}”. Version {} \
                 is kept as it was.",
                share(changed, correction.labels, "labels"),
                correction.from,
                correction.to,
                correction.policy,
                correction.from
            )))
            (table(&changes))
        },
    })
}

/// `a`, `a and b`, `a, b and c`.
fn join(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
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

    #[test]
    fn names_are_joined_as_in_prose() {
        assert_eq!(join(&["a"]), "a");
        assert_eq!(join(&["a", "b", "c"]), "a, b and c");
    }
}
