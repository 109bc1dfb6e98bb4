//! Every drawing and page is read back by a parser that we did not write, with data as they come:
//! hostile names, nothing at all, one point, numbers that are not numbers.

// The helpers of these tests are not themselves marked as tests.
#![allow(clippy::unwrap_used)]

use cleanslide_report::classification::{
    Against, Calibration, ClassPurity, ClassSkill, ClassificationReport, Comparison, Confusion,
    Correction, Dataset, EmbeddingMap, Expert, Experts, HistoryLine, KappaPair, MethodResult,
    Noise, NoiseCurve, NoiseEstimate, Ranking, Setting, SourceCounts, Suspicious, render,
};
use cleanslide_report::gallery::Card;
use cleanslide_report::learning_curves::LearningCurves;
use cleanslide_report::number::Estimate;
use cleanslide_report::page::Provenance;
use cleanslide_report::picture::Picture;
use cleanslide_report::plots::{
    Axis, Bar, Forest, ForestGroup, ForestRow, HeatMap, Histogram, Line, LineChart, Mark, Plot,
    PrecisionRecall, PrecisionRecallCurve, Reference, Reliability, ReliabilityBin, Shading,
    StackedBars, standalone,
};
use image::{DynamicImage, RgbImage};

const HOSTILE: &str = "<script>alert('x')</script> & \"quoted\" \u{7}]]>";
const NOT_A_NUMBER: Estimate = Estimate {
    value: f64::NAN,
    low: f64::NAN,
    high: f64::NAN,
};

/// One of each plot, over these values and this name.
fn plots(values: &[f64], name: &str) -> Vec<Box<dyn Plot>> {
    let text = || name.to_owned();
    let estimates = || {
        values
            .iter()
            .map(|&value| Estimate::new(value, value - 0.1, value + 0.1))
    };
    let reference = || {
        Some(Reference {
            value: 0.5,
            label: text(),
        })
    };
    let lines = || {
        let points = estimates()
            .enumerate()
            .map(|(index, y)| (index as f64, y))
            .collect();
        Line {
            name: text(),
            points,
        }
    };
    let rows = estimates().map(|estimate| ForestRow {
        label: text(),
        estimate,
        baseline: true,
    });
    vec![
        Box::new(LineChart {
            title: text(),
            x: Axis::number(name),
            y: Axis::proportion(name),
            lines: vec![lines(), lines()],
            reference: reference(),
        }),
        Box::new(LineChart {
            title: text(),
            x: Axis::number(name),
            y: Axis::proportion(name),
            lines: (0..11).map(|_| lines()).collect(),
            reference: None,
        }),
        Box::new(Forest {
            title: text(),
            axis: Axis::proportion(name),
            groups: vec![ForestGroup {
                heading: text(),
                rows: rows.collect(),
            }],
            reference: reference(),
        }),
        Box::new(HeatMap {
            title: text(),
            row_axis: text(),
            column_axis: text(),
            rows: values.iter().map(|_| text()).collect(),
            columns: values.iter().map(|_| text()).collect(),
            values: vec![values.to_vec()],
            shading: Shading::ShareOfRow,
        }),
        Box::new(HeatMap {
            title: text(),
            row_axis: text(),
            column_axis: text(),
            rows: vec![text(); 40],
            columns: vec![text(); 40],
            values: vec![values.to_vec(); 40],
            shading: Shading::Proportion,
        }),
        Box::new(Histogram {
            title: text(),
            axis: Axis::proportion(name),
            counted: text(),
            from: 0.0,
            to: 1.0,
            counts: Histogram::count(values, (0.0, 1.0), values.len()),
            threshold: Some(Reference {
                value: 0.9,
                label: text(),
            }),
        }),
        Box::new(PrecisionRecall {
            title: text(),
            curves: vec![PrecisionRecallCurve {
                name: text(),
                points: values.iter().map(|&value| (value, value)).collect(),
                average_precision: NOT_A_NUMBER,
            }],
            chance: values.first().copied().unwrap_or(f64::NAN),
        }),
        Box::new(Reliability {
            title: text(),
            predicted: text(),
            observed: text(),
            counted: text(),
            bins: estimates()
                .map(|observed| ReliabilityBin {
                    from: observed.low,
                    to: observed.high,
                    predicted: observed.value,
                    observed,
                    count: 3,
                })
                .collect(),
        }),
        Box::new(StackedBars {
            title: text(),
            counted: text(),
            parts: vec![text(), text()],
            bars: values
                .iter()
                .map(|_| Bar {
                    name: text(),
                    counts: vec![3, 0],
                    unlabelled: 2,
                })
                .collect(),
        }),
    ]
}

fn odd_values() -> Vec<Vec<f64>> {
    vec![
        vec![],
        vec![0.4],
        vec![0.0, 0.0],
        vec![f64::NAN],
        vec![0.2, f64::NAN, 0.7, 0.8, f64::INFINITY],
        vec![f64::NEG_INFINITY, 1e300, -1e300],
        vec![1e-300, 2e-300],
        (0..60).map(|index| f64::from(index) / 59.0).collect(),
    ]
}

/// Checks a drawing and returns the words in it.
fn check_svg(svg: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{error}\n{svg}"));
    let root = document.root_element();
    assert!(
        root.children()
            .any(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "title")))
    );
    assert!(
        root.children()
            .any(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "desc")))
    );
    let numbers = [
        "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "width", "height",
    ];
    let mut words = Vec::new();
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        assert!(!["script", "image", "use", "foreignObject"].contains(&node.tag_name().name()));
        for attribute in node.attributes() {
            let value = attribute.value();
            assert!(!value.contains("NaN") && !value.contains("inf"), "{value}");
            assert!(!attribute.name().starts_with("on") && attribute.name() != "href");
            if numbers.contains(&attribute.name()) {
                assert!(value.parse::<f64>().unwrap().is_finite());
            }
            if attribute.name() == "d" {
                let plain = |c: char| c.is_ascii_digit() || "MLZ .-".contains(c);
                assert!(
                    value.starts_with('M') && value.chars().all(plain),
                    "{value}"
                );
            }
        }
        if node.tag_name().name() == "text" {
            words.push(node.text().unwrap_or_default().to_owned());
        }
    }
    words
}

#[test]
fn every_drawing_is_well_formed_whatever_the_data() {
    for name in [
        "atypical",
        HOSTILE,
        "",
        "非典型有丝分裂",
        "a name that is much too long for any plot to hold",
    ] {
        for values in odd_values() {
            for plot in plots(&values, name) {
                for width in [350.0, 460.0, 760.0] {
                    let svg = plot.svg(width);
                    let words = check_svg(&svg);
                    assert!(words.iter().all(|word| !word.contains("NaN")), "{words:?}");
                    assert_eq!(svg, plot.svg(width), "the same data give the same bytes");
                }
                check_svg(&standalone(plot.as_ref(), 760.0));
                assert_eq!(standalone(plot.as_ref(), 760.0).matches("http").count(), 1);
            }
        }
    }
}

#[test]
fn a_metric_against_noisy_labels_says_so_on_a_phone_too() {
    let name = "balanced accuracy against the majority of three experts (noisy labels)";
    for plot in plots(&[0.25, 0.75], name) {
        let words = check_svg(&plot.svg(350.0)).join(" ");
        assert!(words.contains("(noisy labels)"), "{words}");
    }
}

#[test]
fn a_plot_says_its_values_in_words() {
    let values = [0.25, 0.75];
    for plot in plots(&values, "name") {
        let svg = plot.svg(760.0);
        let document = roxmltree::Document::parse(&svg).unwrap();
        let description = document
            .descendants()
            .find(|node| node.tag_name().name() == "desc")
            .and_then(|node| node.text())
            .unwrap();
        assert_eq!(description, plot.description());
        assert!(
            description
                .chars()
                .any(|character| character.is_ascii_digit()),
            "{description}"
        );
    }
}

/// A report with everything in it, all names and all estimates as given.
fn full_report(name: &str, estimate: Estimate) -> ClassificationReport {
    let text = || name.to_owned();
    let skill = ClassSkill {
        sensitivity: estimate,
        specificity: estimate,
        images: 12,
    };
    let picture = Picture::from_image(&DynamicImage::ImageRgb8(RgbImage::new(8, 8))).unwrap();
    let card = |picture, suspicion| Card {
        picture,
        image: text(),
        case: Some(text()),
        given: text(),
        suggested: text(),
        suspicion,
        reasons: vec![text(), text()],
        microns_per_pixel: Some(0.25),
    };
    let line = || Line {
        name: text(),
        points: vec![(0.0, estimate), (0.2, estimate)],
    };
    let noisy = || Against::NoisyLabels(text());
    ClassificationReport {
        title: text(),
        dataset: Dataset {
            images: 20,
            cases: Some(1),
            slides: Some(2),
            classes: vec![text(), text()],
            counts: vec![12, 1],
            unlabelled: 7,
            sources: vec![SourceCounts {
                name: text(),
                counts: vec![1, 2],
                unlabelled: 17,
            }],
            version: text(),
            history: vec![HistoryLine {
                version: text(),
                command: text(),
                changed: None,
            }],
        },
        experts: Some(Experts {
            reference: text(),
            experts: vec![Expert {
                name: text(),
                labels: 13,
                agreement: estimate,
                classes: vec![skill; 2],
            }],
            fleiss_kappa: Some(estimate),
            kappas: vec![KappaPair {
                first: text(),
                second: text(),
                kappa: estimate,
                images: 9,
            }],
        }),
        suspicious: Some(Suspicious {
            checked: 13,
            flagged: 3,
            cards: vec![card(None, f64::NAN), card(Some(picture), 0.4)],
            scores: vec![0.1, f64::NAN, 0.9],
            threshold: Some(0.5),
            method: text(),
        }),
        ranking: Some(Ranking {
            truth: text(),
            errors: 2,
            checked: 13,
            curves: vec![PrecisionRecallCurve {
                name: text(),
                points: vec![(0.0, 1.0), (1.0, 0.1)],
                average_precision: estimate,
            }],
        }),
        noise: Some(Noise {
            doubt: Some(text()),
            labels: text(),
            estimators: vec![NoiseEstimate {
                estimator: text(),
                overall: estimate,
                per_class: vec![estimate; 2],
                transition: vec![vec![0.9, 0.1], vec![f64::NAN, 0.8]],
            }],
        }),
        confusions: vec![Confusion {
            title: text(),
            rows: text(),
            columns: text(),
            counts: vec![vec![3.0, 0.0], vec![0.0, 0.0]],
        }],
        embedding_map: Some(EmbeddingMap {
            encoder: text(),
            of: 20,
            classes: vec![text(), text()],
            marks: vec![Mark {
                place: (0.0, 1.0),
                series: 1,
                ring: true,
                name: text(),
            }],
            neighbours: 20,
            purity: vec![ClassPurity {
                class: text(),
                images: 1,
                share: estimate,
                by_chance: 0.5,
            }],
        }),
        comparison: Some(Comparison {
            metric: "balanced accuracy".to_owned(),
            against: noisy(),
            protocol: text(),
            chance: Some(0.5),
            settings: vec![Setting {
                name: text(),
                methods: vec![
                    MethodResult {
                        method: text(),
                        value: estimate,
                        difference: None,
                    },
                    MethodResult {
                        method: text(),
                        value: estimate,
                        difference: Some(estimate),
                    },
                ],
            }],
            noise_curves: vec![NoiseCurve {
                noise: text(),
                mean_skill: Some(estimate),
                half_lost_at: Some(estimate),
                method: text(),
                points: line().points,
            }],
            baseline: text(),
            quoted: Some((0, 1)),
            quoted_because: String::new(),
        }),
        learning_curves: vec![LearningCurves {
            title: text(),
            quantity: text(),
            lines: vec![line()],
        }],
        calibrations: vec![Calibration {
            classifier: text(),
            against: noisy(),
            expected_error: estimate,
            bins: Vec::new(),
        }],
        correction: Some(Correction {
            policy: text(),
            from: text(),
            to: text(),
            labels: 13,
            relabelled: vec![(0, 1, 2), (5, 0, 1)],
            removed: 1,
            softened: 1,
        }),
        warnings: vec![text()],
        provenance: Provenance {
            label_version: Some(text()),
            seed: Some(7),
            config_hash: Some(text()),
            command: Some(text()),
            build: Some(text()),
        },
        ..ClassificationReport::default()
    }
}

fn headings(page: &str) -> Vec<usize> {
    let openings = page
        .match_indices("<h")
        .map(|(at, _)| page.as_bytes()[at + 2]);
    openings
        .filter(u8::is_ascii_digit)
        .map(|digit| usize::from(digit - b'0'))
        .collect()
}

#[test]
fn a_page_needs_no_network_and_lets_no_markup_in() {
    for estimate in [Estimate::new(0.5, 0.4, 0.6), NOT_A_NUMBER] {
        let page = render(&full_report(HOSTILE, estimate));
        let names = page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count();
        assert!(names > 10);
        assert_eq!(page.matches("http:").count(), names);
        assert!(!page.contains("https:") && !page.contains("//cdn") && !page.contains("@import"));
        assert!(!page.contains("url("));
        assert_eq!(page.matches("<script>").count(), 1, "only our own");
        assert!(!page.contains("alert('x')</script>"));
        assert!(page.contains("&lt;script&gt;"));
        assert!(!page.contains("NaN"));
        for (start, _) in page.match_indices("<svg") {
            let end = start + page[start..].find("</svg>").unwrap() + "</svg>".len();
            check_svg(&page[start..end]);
        }
        assert_eq!(
            page,
            render(&full_report(HOSTILE, estimate)),
            "the same bytes"
        );
    }
}

#[test]
fn headings_are_in_order_and_addresses_unique() {
    let page = render(&full_report("name", Estimate::new(0.5, 0.4, 0.6)));
    let levels = headings(&page);
    assert_eq!(levels[0], 1);
    assert_eq!(levels.iter().filter(|&&level| level == 1).count(), 1);
    assert!(
        levels.windows(2).all(|pair| pair[1] <= pair[0] + 1),
        "{levels:?}"
    );
    let mut addresses: Vec<&str> = page
        .split(" id=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    let all = addresses.len();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), all);
    for address in page
        .split("href=\"#")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
    {
        assert!(addresses.contains(&address), "{address}");
    }
    assert_eq!(page.matches("<img").count(), page.matches("alt=\"").count());
    assert_eq!(
        page.matches("<table").count(),
        page.matches("<caption>").count()
    );
}

#[test]
fn what_is_missing_is_left_out_with_its_heading() {
    let empty = render(&ClassificationReport {
        title: "nothing yet".to_owned(),
        ..ClassificationReport::default()
    });
    assert_eq!(
        headings(&empty),
        [1, 2],
        "the title, and where the numbers come from"
    );
    assert!(!empty.contains("<svg") && !empty.contains("<table") && !empty.contains("<nav"));
    assert!(!empty.contains("class=\"warnings\"") && !empty.contains("class=\"key-figures\""));

    let mut report = full_report("name", Estimate::new(0.5, 0.4, 0.6));
    assert!(render(&report).contains("Whom do I believe?"));
    report.experts = None;
    let page = render(&report);
    assert!(!page.contains("Whom do I believe?") && !page.contains("Whom to believe"));
    assert!(page.contains("How many labels are wrong"));
}

#[test]
fn metrics_against_noisy_labels_and_small_samples_say_so() {
    let mut report = full_report("votes", Estimate::new(0.5, 0.4, 0.6));
    let page = render(&report);
    assert!(page.contains("balanced accuracy against votes (noisy labels)"));
    assert!(page.contains("which is wrong in part"));
    assert!(page.contains("Small sample: only 1 case;"));
    assert!(page.contains("Small sample: class votes has only 12 labelled images;"));

    if let Some(comparison) = &mut report.comparison {
        comparison.against = Against::Truth("truth".to_owned());
    }
    assert!(render(&report).contains("balanced accuracy against truth"));
    assert!(!render(&report).contains("balanced accuracy against truth (noisy"));
}

#[test]
fn a_gallery_is_sorted_and_a_missing_image_says_so() {
    let page = render(&full_report("name", Estimate::new(0.5, 0.4, 0.6)));
    let shown = page.find("<img").unwrap();
    let missing = page.find("This image could not be read.").unwrap();
    assert!(shown < missing, "suspicion that is not a number comes last");
    assert!(page.contains("10\u{a0}µm") || page.contains("0.5\u{a0}µm"));
}

/// Contrast of two colours by WCAG 2.
fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let luminance = |colour: [f64; 3]| {
        let [red, green, blue] = colour.map(|value| {
            let value = value / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    };
    let (a, b) = (luminance(one), luminance(other));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn text_has_enough_contrast_in_light_and_in_dark() {
    let style = include_str!("../src/colours.css");
    let (light, dark) = style.split_once("@media").unwrap();
    let colour = |block: &str, name: &str| -> [f64; 3] {
        // What dark does not name, it has from light.
        let key = format!("--{name}:#");
        let found = block
            .split(&key)
            .nth(1)
            .or_else(|| light.split(&key).nth(1))
            .unwrap();
        let digits: String = found.chars().take_while(char::is_ascii_hexdigit).collect();
        let wide = if digits.len() == 3 {
            digits.chars().flat_map(|digit| [digit, digit]).collect()
        } else {
            digits
        };
        [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&wide[at..at + 2], 16).unwrap()))
    };
    let over = |top: [f64; 3], opacity: f64, below: [f64; 3]| {
        [0, 1, 2].map(|at| opacity * top[at] + (1.0 - opacity) * below[at])
    };
    for block in [light, dark] {
        let paper = colour(block, "paper");
        for text in ["ink", "soft", "accent"] {
            for ground in ["paper", "panel"] {
                let ratio = contrast(colour(block, text), colour(block, ground));
                assert!(ratio >= 4.5, "{text} on {ground}: {ratio:.2}");
            }
        }
        // The darkest cell of a heat map, and the parts of a bar.
        let cell = over(colour(block, "heat"), 0.75, paper);
        let ratio = contrast(colour(block, "ink"), cell);
        assert!(ratio >= 4.5, "ink on the darkest cell: {ratio:.2}");
        for part in ["blue", "vermillion", "purple", "orange", "sky", "ink"] {
            let ratio = contrast(colour(block, "ink"), over(colour(block, part), 0.38, paper));
            assert!(ratio >= 4.5, "ink on a part in {part}: {ratio:.2}");
        }
    }
}
