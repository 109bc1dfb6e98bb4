//! How much noise the given labels hold, and of which kind, as far as labels and images can tell.

use cleanslide_audit::confident_learning::ConfidentLearning;
use cleanslide_audit::hoc::{Consensus, HocOptions, Transition};
use cleanslide_audit::{ArrayBlocks, AuditError};
use cleanslide_eval::{
    Bootstrap, Error as EvalError, Estimate, Groups, OneVsRest, Undefined, Weights,
};
use ndarray::{Array2, ArrayView2, Axis};
use serde::Serialize;

use super::estimate::interval;
use super::{Judges, SkillCorrection};
use crate::directions::alike;
use crate::error::Result;
use crate::study::Study;

/// Rows of probabilities that are looked at together.
const BLOCK_ROWS: usize = 4096;

/// Resamples of cases behind the interval of the rate and the certainty of the kind.
const REPLICATES: usize = 200;

/// The neighbours that the consensus looks at.
const NEIGHBOURS: usize = 2;

/// How far shares of wrong labels may lie from equal ones and still be called uniform, as half the sum of absolute
/// differences; and the share of the rates beyond which they lead to one class. Of two classes, both are one side
/// erring three times as often as the other.
const NEARLY_UNIFORM: f64 = 0.25;
const MOSTLY_ONE: f64 = 0.75;

/// Below this AUROC, halfway from chance to certainty, a model contradicts too many right labels.
const WEAK_AUROC: f64 = 0.75;

/// How far both estimates of the rate may differ: this, or this share of the greater.
const RATES_AGREE: (f64, f64) = (0.05, 0.25);

/// The share of resamples in which a kind must come back.
const CERTAIN: f64 = 0.8;

/// Of which kind the noise is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseKind {
    /// Every other class is about as likely a wrong label.
    Uniform,
    /// Most wrong labels say this class.
    Toward(usize),
    /// It cannot be told, and why.
    Unclear(Doubt),
}

/// Why the kind of the noise cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// The models that judge the labels know too little themselves.
    WeakJudge,
    /// Models and neighbours say different things.
    EstimatesDiffer,
    /// It changes with the cases that are looked at.
    FewCases,
    /// Wrong labels follow neither pattern.
    NoPattern,
}

/// What is known about the noise. Whether it depends on the image cannot be told from one label of each.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NoiseFinding {
    /// The share of wrong labels by confident learning, with its 95 % interval over cases. What the models cannot tell
    /// apart counts as wrong, so it is too high rather than too low.
    pub rate: Estimate,
    /// The same by the consensus of neighbours (HOC).
    pub neighbour_rate: f64,
    /// P(given label | true class) by confident learning; rows are true classes.
    pub transition: Vec<Vec<f64>>,
    /// Of which kind it is.
    pub kind: NoiseKind,
    /// The share of resamples of cases in which confident learning sees the same pattern.
    pub certainty: f64,
    /// AUROC of the models that judge the labels, against the labels.
    pub judge_auroc: f64,
    /// How skill against these labels becomes skill against the truth; `None` where too little of it is left.
    #[serde(skip)]
    pub correction: Option<SkillCorrection>,
}

/// What out-of-sample `probabilities` `[items, classes]` and the nearest neighbours say about the labels of a study that
/// are believed at all: whether one of trust 0 is wrong is no question.
///
/// # Errors
/// Labels of one class only, fewer than three items or two cases, or features without a direction.
pub fn find_noise(
    study: &Study,
    probabilities: ArrayView2<'_, f32>,
    seed: u64,
) -> Result<NoiseFinding> {
    let classes = study.classes.len();
    let Judges {
        items,
        given,
        cases,
        trust,
    } = Judges::of(study);
    let probabilities = probabilities.select(Axis(0), &items);
    let probabilities = probabilities.view();
    let blocks = ArrayBlocks::new(probabilities, BLOCK_ROWS);
    let learning = ConfidentLearning::new(&given, &blocks)?;
    let found = learning.noise_estimate(true);
    let transition = found.noise_matrix.reversed_axes();
    let features = study.features().select(Axis(0), &items);
    let neighbours = alike(features.view(), NEIGHBOURS)?;
    let consensus = Consensus::count(&neighbours, &given, classes)?;
    let consensus = consensus.solve(&HocOptions::default())?;
    let scores = OneVsRest::new(&given, probabilities)?.present_classes_only();
    let judge_auroc = scores.macro_auroc(Weights::Real(&trust))?;

    let groups = Groups::new(&cases)?;
    let bootstrap = Bootstrap {
        replicates: REPLICATES,
        seed,
        ..Bootstrap::default()
    };
    let drawn = bootstrap.resamples(&groups, |counts| {
        // Lengths and probabilities were checked above: what can fail is that all labels are of one class.
        resampled(&given, probabilities, counts).map_err(|_| EvalError::from(Undefined::NoNegative))
    })?;
    let pattern = pattern(&transition);
    let same = drawn.iter().filter(|(_, drawn)| *drawn == pattern).count();
    let certainty = same as f64 / drawn.len() as f64;
    let rates: Vec<f64> = drawn.iter().map(|(rate, _)| *rate).collect();
    let rate = learning.noise_rate();
    Ok(NoiseFinding {
        rate: interval(rate, &rates, &bootstrap, &groups)?,
        neighbour_rate: consensus.noise_rate(),
        kind: kind(pattern, rate, &consensus, judge_auroc, certainty),
        certainty,
        judge_auroc,
        correction: SkillCorrection::new(found.inverse_noise_matrix.t()),
        transition: transition
            .rows()
            .into_iter()
            .map(|row| row.to_vec())
            .collect(),
    })
}

/// The rate and pattern by confident learning, where items count as often as they were drawn.
fn resampled(
    given: &[usize],
    probabilities: ArrayView2<'_, f32>,
    counts: &[u32],
) -> std::result::Result<(f64, Pattern), AuditError> {
    let items: Vec<usize> = (0..given.len())
        .flat_map(|item| std::iter::repeat_n(item, counts[item] as usize))
        .collect();
    let given: Vec<usize> = items.iter().map(|&item| given[item]).collect();
    let probabilities = probabilities.select(Axis(0), &items);
    let blocks = ArrayBlocks::new(probabilities.view(), BLOCK_ROWS);
    let learning = ConfidentLearning::new(&given, &blocks)?;
    let transition = learning.noise_estimate(true).noise_matrix.reversed_axes();
    Ok((learning.noise_rate(), pattern(&transition)))
}

/// Where wrong labels lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pattern {
    Uniform,
    Toward(usize),
    Neither,
}

/// The pattern of a transition matrix `[true, given]`.
fn pattern(transition: &Array2<f64>) -> Pattern {
    let classes = transition.nrows();
    let wrong = transition.sum() - transition.diag().sum();
    if wrong <= 0.0 {
        return Pattern::Neither;
    }
    let equal = 1.0 / (classes * (classes - 1)) as f64;
    let (mut distance, mut into) = (0.0, vec![0.0; classes]);
    for ((truth, given), &rate) in transition.indexed_iter() {
        if truth != given {
            distance += (rate / wrong - equal).abs() / 2.0;
            into[given] += rate / wrong;
        }
    }
    match into.iter().position(|&share| share > MOSTLY_ONE) {
        Some(class) => Pattern::Toward(class),
        None if distance <= NEARLY_UNIFORM => Pattern::Uniform,
        None => Pattern::Neither,
    }
}

/// A pattern is believed that both estimators see, of about as many labels, and that stays on other cases.
fn kind(
    seen: Pattern,
    rate: f64,
    neighbours: &Transition,
    judge_auroc: f64,
    certainty: f64,
) -> NoiseKind {
    let neighbour_rate = neighbours.noise_rate();
    let (apart, share) = RATES_AGREE;
    let differ = (rate - neighbour_rate).abs() > apart.max(share * rate.max(neighbour_rate));
    let known = match seen {
        Pattern::Uniform => NoiseKind::Uniform,
        Pattern::Toward(class) => NoiseKind::Toward(class),
        Pattern::Neither => NoiseKind::Unclear(Doubt::NoPattern),
    };
    if judge_auroc < WEAK_AUROC {
        NoiseKind::Unclear(Doubt::WeakJudge)
    } else if differ || pattern(&neighbours.matrix) != seen {
        NoiseKind::Unclear(Doubt::EstimatesDiffer)
    } else if certainty < CERTAIN {
        NoiseKind::Unclear(Doubt::FewCases)
    } else {
        known
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, array};

    use super::*;

    #[test]
    fn patterns_are_told_by_where_wrong_labels_lead() {
        let uniform = array![[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.12, 0.08, 0.8]];
        assert_eq!(pattern(&uniform), Pattern::Uniform);
        let toward = array![[1.0, 0.0, 0.0], [0.3, 0.65, 0.05], [0.2, 0.02, 0.78]];
        assert_eq!(pattern(&toward), Pattern::Toward(0));
        let pairs = array![[0.7, 0.3, 0.0], [0.0, 0.7, 0.3], [0.3, 0.0, 0.7]];
        assert_eq!(pattern(&pairs), Pattern::Neither);
        assert_eq!(pattern(&Array2::eye(3)), Pattern::Neither);
        // Of two classes, the border is one side erring three times as often.
        assert_eq!(pattern(&array![[0.71, 0.29], [0.1, 0.9]]), Pattern::Uniform);
        assert_eq!(
            pattern(&array![[0.69, 0.31], [0.1, 0.9]]),
            Pattern::Toward(1)
        );
    }

    #[test]
    fn doubt_is_told_before_a_pattern() {
        let transition = |matrix: Array2<f64>| Transition {
            prior: Array1::from_elem(2, 0.5),
            matrix,
            loss: 0.0,
        };
        let uniform = transition(array![[0.8, 0.2], [0.2, 0.8]]);
        let seen = Pattern::Uniform;
        assert_eq!(kind(seen, 0.22, &uniform, 0.8, 0.9), NoiseKind::Uniform);
        let doubt = |rate, neighbours: &Transition, auroc, certainty| match kind(
            seen, rate, neighbours, auroc, certainty,
        ) {
            NoiseKind::Unclear(doubt) => doubt,
            kind => panic!("{kind:?}"),
        };
        assert_eq!(doubt(0.22, &uniform, 0.7, 0.9), Doubt::WeakJudge);
        assert_eq!(doubt(0.3, &uniform, 0.8, 0.9), Doubt::EstimatesDiffer);
        assert_eq!(doubt(0.22, &uniform, 0.8, 0.7), Doubt::FewCases);
        let toward = transition(array![[0.6, 0.4], [0.0, 1.0]]);
        assert_eq!(doubt(0.2, &toward, 0.8, 0.9), Doubt::EstimatesDiffer);
        let neither = kind(Pattern::Neither, 0.0, &transition(Array2::eye(2)), 0.9, 1.0);
        assert_eq!(neither, NoiseKind::Unclear(Doubt::NoPattern));
    }
}
