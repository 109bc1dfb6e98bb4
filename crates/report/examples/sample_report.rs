//! Writes a report with invented numbers, to look at while working on the page.
//!
//! `cargo run -p cleanslide-report --example sample_report -- OUTPUT.html [FOLDER OF IMAGES]`
//!
//! Without a folder, the gallery shows images that are drawn here.

use std::error::Error;
use std::f64::consts::TAU;
use std::path::{Path, PathBuf};

use cleanslide_report::classification::{
    Against, Calibration, ClassSkill, ClassificationReport, Comparison, Confusion, Correction,
    Dataset, Expert, Experts, HistoryLine, KappaPair, MethodResult, Noise, NoiseCurve,
    NoiseEstimate, Noun, PLAIN, Ranking, Setting, SourceCounts, Suspicious, render,
};
use cleanslide_report::gallery::Card;
use cleanslide_report::learning_curves::LearningCurves;
use cleanslide_report::number::Estimate;
use cleanslide_report::page::Provenance;
use cleanslide_report::picture::Picture;
use cleanslide_report::plots::{Line, PrecisionRecallCurve, ReliabilityBin};
use image::{DynamicImage, Rgb, RgbImage};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let output = arguments.next().ok_or("name the file to write")?;
    let report = sample(arguments.next().as_deref())?;
    std::fs::write(output, render(&report))?;
    Ok(())
}

fn estimate(value: f64, half: f64) -> Estimate {
    Estimate::new(value, value - half, (value + half).min(1.0))
}

fn sample(images: Option<&Path>) -> Result<ClassificationReport, Box<dyn Error>> {
    Ok(ClassificationReport {
        title: "Atypical mitoses: three pathologists (sample, invented numbers)".to_owned(),
        items: Noun {
            singular: "patch".to_owned(),
            plural: "patches".to_owned(),
        },
        dataset: dataset(),
        experts: Some(experts()),
        suspicious: Some(suspicious(images)?),
        ranking: Some(ranking()),
        embedding_map: None,
        noise: Some(noise()),
        confusions: vec![
            Confusion {
                title: "Given and suggested labels of expert 1".to_owned(),
                rows: "given label".to_owned(),
                columns: "suggested label".to_owned(),
                counts: vec![vec![2874.0, 307.0], vec![33.0, 506.0]],
            },
            Confusion {
                title: "Expert 1 and the majority".to_owned(),
                rows: "majority".to_owned(),
                columns: "expert 1".to_owned(),
                counts: vec![vec![2864.0, 22.0], vec![297.0, 537.0]],
            },
        ],
        comparison: Some(comparison()),
        learning_curves: learning_curves(),
        calibrations: ["Plain training", "ELR"]
            .iter()
            .zip([0.09, 0.01])
            .map(calibration)
            .collect(),
        correction: Some(Correction {
            policy: "relabel above .90, soften between .60 and .90".to_owned(),
            from: "expert1".to_owned(),
            to: "expert1-corrected".to_owned(),
            labels: 3720,
            relabelled: vec![(0, 1, 187), (1, 0, 21)],
            removed: 0,
            softened: 132,
        }),
        warnings: Vec::new(),
        provenance: Provenance {
            label_version: Some("expert1 (sha256 3f0c19ab77d2)".to_owned()),
            seed: Some(7),
            config_hash: Some("b3:9d41c2e07a55".to_owned()),
            command: Some("cleanslide report amibr --run runs/elr".to_owned()),
            build: Some("cleanslide 0.1.0 (a7c978d)".to_owned()),
        },
    })
}

fn dataset() -> Dataset {
    let source = |name: &str, atypical: usize, unlabelled: usize| SourceCounts {
        name: name.to_owned(),
        counts: vec![3720 - atypical - unlabelled, atypical],
        unlabelled,
    };
    let version = |version: &str, command: &str, changed| HistoryLine {
        version: version.to_owned(),
        command: command.to_owned(),
        changed,
    };
    Dataset {
        images: 3720,
        cases: None,
        slides: Some(223),
        classes: vec!["normal".to_owned(), "atypical".to_owned()],
        counts: vec![2886, 834],
        unlabelled: 0,
        sources: vec![
            source("expert 1", 539, 0),
            source("expert 2", 859, 0),
            source("expert 3", 1020, 166),
        ],
        version: "consensus".to_owned(),
        history: vec![
            version("votes", "cleanslide import votes votes.csv amibr", None),
            version(
                "consensus",
                "cleanslide fuse amibr --method dawid-skene",
                Some(812),
            ),
        ],
    }
}

fn experts() -> Experts {
    let expert = |name: &str, labels, agreement, normal: (f64, f64), atypical: (f64, f64)| Expert {
        name: name.to_owned(),
        labels,
        agreement: estimate(agreement, 0.009),
        classes: vec![
            ClassSkill {
                sensitivity: estimate(normal.0, normal.1),
                specificity: estimate(atypical.0, atypical.1),
                images: 2886,
            },
            ClassSkill {
                sensitivity: estimate(atypical.0, atypical.1),
                specificity: estimate(normal.0, normal.1),
                images: 834,
            },
        ],
    };
    let pair = |first: &str, second: &str, kappa, images| KappaPair {
        first: first.to_owned(),
        second: second.to_owned(),
        kappa: estimate(kappa, 0.03),
        images,
    };
    Experts {
        reference: "the consensus (Dawid–Skene)".to_owned(),
        experts: vec![
            expert("expert 1", 3720, 0.914, (0.992, 0.004), (0.58, 0.05)),
            expert("expert 2", 3720, 0.941, (0.957, 0.008), (0.886, 0.04)),
            expert("expert 3", 3554, 0.927, (0.912, 0.011), (0.962, 0.013)),
        ],
        fleiss_kappa: Some(estimate(0.598, 0.021)),
        kappas: vec![
            pair("expert 1", "expert 2", 0.61, 3720),
            pair("expert 1", "expert 3", 0.52, 3554),
            pair("expert 2", "expert 3", 0.66, 3554),
        ],
    }
}

fn suspicious(images: Option<&Path>) -> Result<Suspicious, Box<dyn Error>> {
    const REASONS: [&str; 4] = [
        "18 of 20 nearest neighbours say otherwise",
        "probability of the given label .03",
        "two other experts disagree",
        "near-duplicate MIDOG21_1044 has another label",
    ];
    let pictures: Vec<(String, Picture)> = match images {
        Some(folder) => {
            let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<_, _>>()?;
            paths.sort();
            let chosen = paths.iter().step_by(paths.len().div_ceil(48).max(1));
            chosen
                .map(|path| {
                    let name = path
                        .file_name()
                        .unwrap_or_default()
                        .to_string_lossy()
                        .into_owned();
                    Ok((name, Picture::from_file(path)?))
                })
                .collect::<Result<_, Box<dyn Error>>>()?
        }
        None => (0..24)
            .map(|index| Ok((format!("drawn_{index:02}.png"), drawn(index)?)))
            .collect::<Result<_, Box<dyn Error>>>()?,
    };
    let cards = pictures
        .into_iter()
        .enumerate()
        .map(|(index, (image, picture))| Card {
            picture: (index != 7).then_some(picture),
            case: Some(format!("MIDOG21_{:03}", 2 + index / 3)),
            given: if index % 9 == 4 { "atypical" } else { "normal" }.to_owned(),
            suggested: if index % 9 == 4 { "normal" } else { "atypical" }.to_owned(),
            suspicion: 0.98 - 0.004 * index as f64,
            reasons: REASONS[index % 3..]
                .iter()
                .take(2)
                .map(|&reason| reason.to_owned())
                .collect(),
            microns_per_pixel: Some(0.25),
            image,
        });
    // Most labels are not in doubt; a tail is.
    let scores = (0..3720)
        .map(|rank| ((f64::from(rank) + 0.5) / 3720.0).powi(7))
        .collect();
    Ok(Suspicious {
        checked: 3720,
        flagged: 412,
        cards: cards.collect(),
        scores,
        threshold: Some(0.5),
        method: "Suspicion is one minus the probability of the given label, predicted by a \
                 classifier that has not seen the slide (confident learning, both)."
            .to_owned(),
    })
}

fn drawn(index: u32) -> Result<Picture, Box<dyn Error>> {
    let image = RgbImage::from_fn(128, 128, |x, y| {
        let (dx, dy) = (f64::from(x) - 64.0, f64::from(y) - 64.0);
        let edge = 26.0 + 6.0 * (dy.atan2(dx) * f64::from(3 + index % 4)).sin();
        let texture = 8.0 * ((f64::from(x * y + 37 * index)) / TAU).sin();
        let nucleus = if dx.hypot(dy) < edge { 1.0 } else { 0.0 };
        let mix = |tissue: f64, stained: f64| {
            (tissue + nucleus * (stained - tissue) + texture).clamp(0.0, 255.0) as u8
        };
        Rgb([mix(228.0, 92.0), mix(188.0, 52.0), mix(214.0, 132.0)])
    });
    Ok(Picture::from_image(&DynamicImage::ImageRgb8(image))?)
}

fn ranking() -> Ranking {
    let curve = |name: &str, sharpness: f64, average| PrecisionRecallCurve {
        name: name.to_owned(),
        points: (0..=400)
            .map(|step| {
                let recall = f64::from(step) / 400.0;
                let wobble = 0.03 * (40.0 * recall).sin() * (1.0 - recall);
                (
                    recall,
                    (0.086 + 0.82 * (1.0 - recall).powf(sharpness) + wobble).min(1.0),
                )
            })
            .collect(),
        average_precision: estimate(average, 0.03),
    };
    Ranking {
        truth: "expert 1 differs from the majority".to_owned(),
        errors: 319,
        checked: 3720,
        curves: vec![
            curve("confident learning", 1.2, 0.47),
            curve("nearest neighbours", 1.7, 0.38),
            curve("loss of plain training", 2.6, 0.29),
        ],
    }
}

fn noise() -> Noise {
    let by = |name: &str, overall, normal, atypical, transition: Vec<Vec<f64>>| NoiseEstimate {
        estimator: name.to_owned(),
        overall: estimate(overall, 0.011),
        per_class: vec![estimate(normal, 0.012), estimate(atypical, 0.02)],
        transition,
    };
    Noise {
        doubt: None,
        labels: "labels of expert 1".to_owned(),
        estimators: vec![
            by(
                "confident joint",
                0.091,
                0.097,
                0.061,
                vec![vec![0.99, 0.01], vec![0.38, 0.62]],
            ),
            by(
                "HOC",
                0.084,
                0.091,
                0.048,
                vec![vec![0.99, 0.01], vec![0.41, 0.59]],
            ),
            by(
                "Dawid–Skene",
                0.086,
                0.094,
                0.039,
                vec![vec![0.99, 0.01], vec![0.42, 0.58]],
            ),
        ],
    }
}

fn comparison() -> Comparison {
    let result = |method: &str, value, difference: Option<f64>| MethodResult {
        method: method.to_owned(),
        value: estimate(value, 0.022),
        difference: difference.map(|difference| estimate(difference, 0.018)),
    };
    let setting = |name: &str, plain: f64, gains: [f64; 4]| Setting {
        name: name.to_owned(),
        methods: std::iter::once(result("plain (cross-entropy)", plain, None))
            .chain(
                ["ELR", "co-teaching", "forward correction", "WANN"]
                    .iter()
                    .zip(gains)
                    .map(|(method, gain)| result(method, plain + gain, Some(gain))),
            )
            .collect(),
    };
    let curve = |method: &str, drop: f64| NoiseCurve {
        noise: "noise uniform".to_owned(),
        mean_skill: Some(estimate(0.60 - 0.2 * drop, 0.02)),
        half_lost_at: Some(estimate(0.4f64.min(0.52 - 0.2 * drop), 0.02)),
        method: method.to_owned(),
        points: [0.0, 0.1, 0.2, 0.3, 0.4]
            .iter()
            .map(|&rate| {
                (
                    rate,
                    estimate(0.80 - drop * rate * rate - 0.02 * rate, 0.012 + 0.03 * rate),
                )
            })
            .collect(),
    };
    Comparison {
        metric: "balanced accuracy".to_owned(),
        against: Against::NoisyLabels("the majority of three experts".to_owned()),
        protocol: "5 slide-wise folds × 3 seeds; intervals by bootstrap over slides".to_owned(),
        chance: Some(0.5),
        settings: vec![
            setting(
                "labels of expert 1 alone",
                0.704,
                [0.049, 0.021, 0.058, 0.012],
            ),
            setting(
                "labels of expert 3 alone",
                0.771,
                [0.004, -0.003, 0.007, -0.031],
            ),
            setting("all three experts", 0.792, [0.006, 0.002, 0.001, f64::NAN]),
        ],
        noise_curves: vec![
            curve("plain", 1.3),
            curve("ELR", 0.6),
            curve("co-teaching", 0.7),
            curve("GCE", 0.9),
        ],
        baseline: PLAIN.into(),
        quoted: Some((0, 1)),
        quoted_because: String::new(),
    }
}

fn learning_curves() -> Vec<LearningCurves> {
    let line = |name: &str, value: &dyn Fn(f64) -> f64| Line {
        name: name.to_owned(),
        points: (1..=60)
            .map(|epoch| (f64::from(epoch), estimate(value(f64::from(epoch)), 0.015)))
            .collect(),
    };
    vec![
        LearningCurves {
            title: "Loss".to_owned(),
            quantity: "cross-entropy against noisy labels".to_owned(),
            lines: vec![
                line("training", &|epoch| 0.12 + 0.6 * (-epoch / 14.0).exp()),
                line("validation", &|epoch| {
                    0.31 + 0.4 * (-epoch / 8.0).exp() + 0.0018 * epoch
                }),
            ],
        },
        LearningCurves {
            title: "Balanced accuracy".to_owned(),
            quantity: "balanced accuracy against noisy labels".to_owned(),
            lines: vec![
                line("plain", &|epoch| {
                    0.73 - 0.25 * (-epoch / 6.0).exp() - 0.0006 * epoch
                }),
                line("ELR", &|epoch| 0.76 - 0.26 * (-epoch / 8.0).exp()),
            ],
        },
    ]
}

fn calibration((name, overconfidence): (&&str, f64)) -> Calibration {
    let bins = (5..10).map(|bin| {
        let (from, to) = (f64::from(bin) / 10.0, f64::from(bin + 1) / 10.0);
        let predicted = (from + to) / 2.0;
        ReliabilityBin {
            from,
            to,
            predicted,
            observed: estimate(predicted - overconfidence, 0.14 - 0.012 * f64::from(bin)),
            count: [96, 143, 218, 540, 2723][bin as usize - 5],
        }
    });
    Calibration {
        classifier: (*name).to_owned(),
        against: Against::NoisyLabels("the majority".to_owned()),
        expected_error: estimate(overconfidence, 0.006),
        bins: bins.collect(),
    }
}
