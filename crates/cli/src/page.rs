//! Fills the report pages from datasets, audits and runs.

use cleanslide_audit::issues::{Issue, Reason};
use cleanslide_audit::sources::{Rate, source_confusions};
use cleanslide_data::{Dataset, Family, ImageRecord, Labels, SourceKind, Target, VersionId};
use cleanslide_eval::{
    Bootstrap, Groups, KappaWeights, LabelPairs, fleiss_kappa_with_gaps, wilson_interval,
};
use cleanslide_learn::classify::Epoch;
use cleanslide_learn::image_labels::ImageLabels;
use cleanslide_learn::label_audit::LabelAudit;
use cleanslide_learn::study::Study;
use cleanslide_report::classification::{
    Against, Calibration, ClassSkill, ClassificationReport, Confusion, Dataset as DataPart, Expert,
    Experts, HistoryLine, KappaPair, Noise, NoiseEstimate, SourceCounts, Suspicious,
};
use cleanslide_report::gallery::Card;
use cleanslide_report::learning_curves::LearningCurves;
use cleanslide_report::number::Estimate;
use cleanslide_report::page::Provenance;
use cleanslide_report::picture::Picture;
use cleanslide_report::plots::{Line, PrecisionRecallCurve, ReliabilityBin};
use ndarray::Array2;

use crate::context::{Context, command_line, program};
use crate::failure::Result;
use crate::measures::{Judged, Known};
use crate::run_folder::MetricsLine;

/// Pictures in the gallery.
const GALLERY: usize = 100;

/// An interval of the eval crate, for a page.
pub fn estimate(estimate: &cleanslide_eval::Estimate) -> Estimate {
    Estimate::new(estimate.value, estimate.low, estimate.high)
}

/// A page with title, data and provenance.
pub fn start(
    context: &Context,
    dataset: &Dataset,
    version: VersionId,
    labels: &ImageLabels,
) -> Result<ClassificationReport> {
    let name = dataset
        .folder()
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(ClassificationReport {
        title: format!("{name}: labels of {} in {version}", labels.source),
        dataset: data_part(dataset, version, labels)?,
        provenance: Provenance {
            label_version: Some(version.to_string()),
            seed: Some(context.seed),
            config_hash: None,
            command: Some(command_line()),
            build: Some(program()),
        },
        ..ClassificationReport::default()
    })
}

fn data_part(dataset: &Dataset, version: VersionId, labels: &ImageLabels) -> Result<DataPart> {
    let images = dataset.images();
    let distinct = |key: fn(&ImageRecord) -> &str| {
        let names: std::collections::BTreeSet<&str> = images
            .iter()
            .map(key)
            .filter(|name| !name.is_empty())
            .collect();
        (!names.is_empty()).then_some(names.len())
    };
    let classes = labels.classes();
    let count = |classes: &mut dyn Iterator<Item = usize>| {
        let mut counts = vec![0; dataset.classes().len()];
        classes.for_each(|class| counts[class] += 1);
        counts
    };
    let all = dataset.labels(version)?;
    let mut sources = Vec::new();
    for source in all.sources(Family::Class) {
        let said = all.of_images(source, Family::Class);
        let plain = said.values().filter_map(|piece| match piece.target {
            Target::Class(class) => Some(class),
            _ => None,
        });
        sources.push(SourceCounts {
            name: source.to_owned(),
            counts: count(&mut plain.into_iter()),
            unlabelled: images.len() - said.len(),
        });
    }
    let mut history = Vec::new();
    for id in dataset.versions()? {
        let version = dataset.version(id)?;
        let counts = version.counts;
        history.push(HistoryLine {
            version: id.to_string(),
            command: version.provenance.command,
            changed: version
                .parent
                .map(|_| counts.added + counts.changed + counts.removed),
        });
    }
    Ok(DataPart {
        images: images.len(),
        cases: distinct(|image| &image.case),
        slides: distinct(|image| &image.slide),
        classes: dataset.classes().names().to_vec(),
        counts: count(&mut classes.iter().copied().flatten()),
        unlabelled: classes.iter().filter(|class| class.is_none()).count(),
        sources,
        version: version.to_string(),
        history,
    })
}

/// The experts of a version against a consensus; `None` with fewer than two of them.
pub fn experts(
    context: &Context,
    dataset: &Dataset,
    all: &Labels,
    consensus: &[Option<usize>],
    name: &str,
    cases: &[usize],
) -> Result<Option<Experts>> {
    let known = all.sources(Family::Class);
    let ids: Vec<&str> = dataset
        .manifest()
        .sources
        .iter()
        .filter(|source| source.kind == SourceKind::Expert && known.contains(&source.id.as_str()))
        .map(|source| source.id.as_str())
        .collect();
    if ids.len() < 2 {
        return Ok(None);
    }
    let classes = dataset.classes().len();
    let votes = all.votes(dataset.images(), &ids, classes)?;
    let confusions = source_confusions(&votes, consensus)?;
    let mut experts = Vec::new();
    for (id, source) in ids.iter().zip(&confusions) {
        let skills = (0..classes)
            .map(|class| {
                let sensitivity = source.sensitivity(class);
                Ok(ClassSkill {
                    sensitivity: wilson(sensitivity)?,
                    specificity: wilson(source.specificity(class))?,
                    images: sensitivity.trials as usize,
                })
            })
            .collect::<Result<_>>()?;
        experts.push(Expert {
            name: (*id).to_owned(),
            labels: source.labelled as usize,
            agreement: wilson(source.accuracy())?,
            classes: skills,
        });
    }
    let bootstrap = Bootstrap {
        seed: context.seed,
        replicates: 1000,
        ..Bootstrap::default()
    };
    let mut kappas = Vec::new();
    for first in 0..ids.len() {
        for second in first + 1..ids.len() {
            let (a, b) = (votes.by(first), votes.by(second));
            let both: Vec<usize> = (0..a.len())
                .filter(|&item| a[item].is_some() && b[item].is_some())
                .collect();
            let pick = |said: &[Option<usize>]| -> Vec<usize> {
                both.iter().filter_map(|&item| said[item]).collect()
            };
            let unit: Vec<usize> = both.iter().map(|&item| cases[item]).collect();
            let kappa = LabelPairs::new(&pick(&a), &pick(&b), classes).and_then(|pairs| {
                bootstrap.estimate(&Groups::new(&unit)?, |w| {
                    Ok(pairs
                        .confusion(w)?
                        .cohen_kappa(KappaWeights::Unweighted)?
                        .kappa)
                })
            });
            kappas.push(KappaPair {
                first: ids[first].to_owned(),
                second: ids[second].to_owned(),
                kappa: kappa
                    .as_ref()
                    .map_or(Estimate::without_interval(f64::NAN), estimate),
                images: both.len(),
            });
        }
    }
    let counts = ndarray::Array2::from_shape_fn((votes.items(), classes), |(item, class)| {
        votes
            .of(item)
            .iter()
            .filter(|vote| vote.class as usize == class)
            .count() as u32
    });
    let fleiss = Groups::new(cases).and_then(|groups| {
        bootstrap.estimate(&groups, |w| fleiss_kappa_with_gaps(counts.view(), w))
    });
    Ok(Some(Experts {
        reference: name.to_owned(),
        experts,
        fleiss_kappa: fleiss.ok().as_ref().map(estimate),
        kappas,
    }))
}

fn wilson(rate: Rate) -> Result<Estimate> {
    let Some(value) = rate.value() else {
        return Ok(Estimate::without_interval(f64::NAN));
    };
    let interval = wilson_interval(rate.successes as f64, rate.trials as f64, 0.95)?;
    Ok(Estimate::new(value, interval.low, interval.high))
}

/// The suspicious labels, with pictures of the first hundred.
pub fn suspicious(dataset: &Dataset, study: &Study, audit: &LabelAudit) -> Suspicious {
    let flagged = audit
        .issues
        .iter()
        .filter(|issue| issue.reasons.contains(&Reason::ConfidentLearning));
    let cards = flagged
        .clone()
        .take(GALLERY)
        .map(|issue| card(dataset, study, issue))
        .collect();
    Suspicious {
        checked: study.len(),
        flagged: flagged.count(),
        cards,
        scores: audit.issues.iter().map(|issue| issue.suspicion).collect(),
        threshold: None,
        method: "Suspicion is how far another class is more probable than the given one, by models \
                 that did not see the case (1 − normalised margin); labels are flagged by confident learning."
            .into(),
    }
}

fn card(dataset: &Dataset, study: &Study, issue: &Issue) -> Card {
    let image = &dataset.images()[study.images[issue.item]];
    let case = [&image.case, &image.slide]
        .into_iter()
        .find(|name| !name.is_empty())
        .cloned();
    Card {
        // A picture that cannot be shown is left out; the card says which image it is.
        picture: Picture::from_file(&dataset.image_path(image)).ok(),
        image: image.id.clone(),
        case,
        given: dataset.classes().name(issue.given),
        suggested: issue
            .suggested
            .map_or_else(String::new, |class| dataset.classes().name(class)),
        suspicion: issue.suspicion,
        reasons: issue
            .reasons
            .iter()
            .map(|&reason| reason_text(reason).to_owned())
            .collect(),
        microns_per_pixel: image.microns_per_pixel,
    }
}

/// A reason in words.
pub fn reason_text(reason: Reason) -> &'static str {
    match reason {
        Reason::ConfidentLearning => "the model is confident of another class",
        Reason::Neighbours => "most similar images have another label",
        Reason::UnsupportedByNeighbours => "no neighbourhood supports the label",
        Reason::DuplicateWithOtherLabel => "a duplicate has another label",
        Reason::DuplicateAcrossGroups => "a duplicate is in another case",
        Reason::Outlier => "unlike all other images",
        _ => "flagged",
    }
}

/// How many labels are wrong, by confident learning and by neighbours.
pub fn noise(labels: &str, audit: &LabelAudit) -> Noise {
    let classes = audit.joint.nrows();
    let wrong_given = |class: usize| 1.0 - audit.noise.inverse_noise_matrix[[class, class]];
    let rows =
        |matrix: &ndarray::Array2<f64>| matrix.rows().into_iter().map(|row| row.to_vec()).collect();
    let mut estimators = vec![NoiseEstimate {
        estimator: "confident learning".into(),
        overall: Estimate::without_interval(audit.noise_rate),
        per_class: (0..classes)
            .map(|class| Estimate::without_interval(wrong_given(class)))
            .collect(),
        transition: rows(&audit.noise.noise_matrix.t().to_owned()),
    }];
    if let Some(transition) = &audit.neighbour_noise {
        let given: ndarray::Array1<f64> = transition.prior.dot(&transition.matrix);
        let wrong = |class: usize| {
            1.0 - transition.prior[class] * transition.matrix[[class, class]] / given[class]
        };
        estimators.push(NoiseEstimate {
            estimator: "consensus of neighbours (HOC)".into(),
            overall: Estimate::without_interval(transition.noise_rate()),
            per_class: (0..classes)
                .map(|class| Estimate::without_interval(wrong(class)))
                .collect(),
            transition: rows(&transition.matrix),
        });
    }
    Noise {
        doubt: None,
        labels: labels.to_owned(),
        estimators,
    }
}

/// Given against probably true classes, in numbers of images.
pub fn joint_confusion(audit: &LabelAudit, items: usize) -> Confusion {
    Confusion {
        title: "Given and estimated true labels".into(),
        rows: "given label".into(),
        columns: "estimated true label".into(),
        counts: audit
            .joint
            .rows()
            .into_iter()
            .map(|row| {
                row.iter()
                    .map(|share| (share * items as f64).round())
                    .collect()
            })
            .collect(),
    }
}

/// Learning curves of a run: one line per part.
pub fn learning_curves(title: &str, lines: &[MetricsLine]) -> Vec<LearningCurves> {
    let mut parts: Vec<&str> = Vec::new();
    for line in lines {
        if !parts.contains(&line.part.as_str()) {
            parts.push(&line.part);
        }
    }
    let curves = |what: &str, quantity: &str, value: fn(&Epoch) -> Option<f64>| LearningCurves {
        title: format!("{title}: {what}"),
        quantity: quantity.into(),
        lines: parts
            .iter()
            .map(|part| Line {
                name: (*part).to_owned(),
                points: lines
                    .iter()
                    .filter(|line| line.part == *part)
                    .filter_map(|MetricsLine { epoch, .. }| {
                        let value = Estimate::without_interval(value(epoch)?);
                        Some((epoch.epoch as f64, value))
                    })
                    .collect(),
            })
            .collect(),
    };
    let mut all = vec![
        curves("loss", "training loss", |epoch| Some(epoch.loss)),
        curves(
            "fit to the given labels",
            "balanced accuracy on training items, against given (noisy) labels",
            |epoch| Some(epoch.accuracy_given),
        ),
    ];
    if lines
        .iter()
        .any(|line| line.epoch.validation_loss.is_some())
    {
        all.push(curves(
            "loss on what was watched for early stopping",
            "cross-entropy of the validation items",
            |epoch| epoch.validation_loss,
        ));
    }
    all
}

/// How well the probabilities of a classifier are calibrated.
pub fn calibration(
    context: &Context,
    dataset: &Dataset,
    known: &Known,
    classifier: &str,
    against: &Against,
    probabilities: &Array2<f32>,
) -> Result<Calibration> {
    let judged = Judged {
        truth: &known.truth,
        probabilities: probabilities.view(),
        cases: &known.cases,
        classes: dataset.classes(),
    };
    Ok(Calibration {
        classifier: classifier.to_owned(),
        against: against.clone(),
        expected_error: estimate(&judged.expected_calibration_error(context.seed)?),
        bins: bins(&judged.reliability()?)?,
    })
}

/// The bins of a reliability diagram with Wilson intervals; empty bins are left out.
fn bins(diagram: &cleanslide_eval::ReliabilityDiagram) -> Result<Vec<ReliabilityBin>> {
    let mut bins = Vec::new();
    for bin in &diagram.bins {
        let (Some(predicted), Some(accuracy)) = (bin.confidence, bin.accuracy) else {
            continue;
        };
        let interval = wilson_interval(accuracy * bin.weight, bin.weight, 0.95)?;
        bins.push(ReliabilityBin {
            from: bin.low,
            to: bin.high,
            predicted,
            observed: Estimate::new(accuracy, interval.low, interval.high),
            count: bin.weight as usize,
        });
    }
    Ok(bins)
}

/// The precision–recall curve of items that are ranked by suspicion, the first the most
/// suspicious; with the interval of its average precision over cases.
pub fn precision_recall(
    name: &str,
    ranked: &[bool],
    average_precision: Estimate,
) -> PrecisionRecallCurve {
    let errors = ranked.iter().filter(|&&wrong| wrong).count().max(1) as f64;
    let mut hits = 0.0;
    let points = ranked
        .iter()
        .enumerate()
        .map(|(index, &wrong)| {
            hits += f64::from(u8::from(wrong));
            (hits / errors, hits / (index + 1) as f64)
        })
        .collect();
    PrecisionRecallCurve {
        name: name.to_owned(),
        points,
        average_precision,
    }
}
