//! The pages of cases.

use std::collections::BTreeMap;
use std::path::Path;

use cleanslide_data::store::{in_file_names, write_file};
use cleanslide_data::{Dataset, Evidence, Family};
use cleanslide_report::cases::{CaseReport, CaseRow, CasesReport, render, render_case};
use cleanslide_report::contact_sheet::Tile;
use cleanslide_report::key_figures::{KeyFigure, KeyValue};
use cleanslide_report::number::Format;
use cleanslide_report::page::Provenance;
use cleanslide_report::picture::Picture;
use cleanslide_report::thumbnail::{Ink, Outlines};

use super::amounts::{Amounts, OfCase, Unit};
use super::{CaseLine, Summary, ThresholdOf};
use crate::commands::evaluate::shape_measures::class_mask;
use crate::commands::predict::slides::colours::of_pixels;
use crate::commands::train::networks::SOURCE;
use crate::context::{Context, command_line, program};
use crate::failure::Result;
use crate::network_run::predictions_of_run;
use crate::output::count;
use crate::page::estimate;
use crate::progress;
use crate::sheet::{self, evenly};

/// Fewer judged cases than this are called few.
const FEW: usize = 30;

/// Judged cases with the nearest shares say how often such calls are right.
const NEAREST: usize = 10;

/// Images on the page of a case.
const IMAGES: usize = 9;

/// The colours of tumours; those of the third on are alike.
const INKS: [Ink; 3] = [Ink::Sky, Ink::Orange, Ink::Vermillion];

/// Writes `report.html`, a page of all cases, and `case-NUMBER-NAME.html` for each.
pub fn write(
    context: &Context,
    summary: &Summary,
    dataset: &Dataset,
    found: &Amounts,
    folder: &Path,
) -> Result<()> {
    let predictions = match found.cases.values().all(|of| of.slides.is_empty()) {
        true => Some(predictions_of_run(dataset, &summary.found)?),
        false => None,
    };
    let pages = Pages {
        context,
        summary,
        dataset,
        masks: predictions
            .as_ref()
            .map(|labels| labels.of_images(SOURCE, Family::Mask)),
    };
    write_file(
        &folder.join("report.html"),
        render(&pages.of_all()).as_bytes(),
    )?;
    let bar = progress::bar("pages", summary.cases.len());
    for (place, (case, of)) in summary.cases.iter().zip(found.cases.values()).enumerate() {
        let page = render_case(&pages.of_case(case, of)?);
        write_file(&folder.join(page_of(place, &case.case)), page.as_bytes())?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

/// The file of a case's page: its number, for two names may become the same, and what of its name a file may be called.
fn page_of(place: usize, case: &str) -> String {
    format!("case-{:04}-{}.html", place + 1, in_file_names(case))
}

struct Pages<'a> {
    context: &'a Context,
    summary: &'a Summary,
    dataset: &'a Dataset,
    /// What was predicted of images of a dataset; none of slides.
    masks: Option<BTreeMap<&'a str, &'a Evidence>>,
}

impl Pages<'_> {
    fn of_all(&self) -> CasesReport {
        let summary = self.summary;
        let measures = summary.measures.iter();
        CasesReport {
            title: format!("Calls of {}", count(summary.cases.len(), "case")),
            lead: format!(
                "By what {} predicts: {}.",
                summary.found.display(),
                summary.rule()
            ),
            warnings: self.warnings(),
            measures: measures
                .filter_map(|measure| {
                    Some((measure.name.clone(), estimate(measure.estimate.as_ref()?)))
                })
                .collect(),
            against: summary.what(),
            tumours: summary.tumours.clone(),
            threshold: (summary.tumours.len() == 2).then_some(summary.threshold),
            cases: summary.cases.iter().enumerate().map(row).collect(),
            unit: self.unit().to_owned(),
            provenance: self.provenance(),
        }
    }

    fn unit(&self) -> &'static str {
        match self.summary.unit {
            Unit::SquareMillimetres => "mm²",
            Unit::Pixels => "pixels",
        }
    }

    fn provenance(&self) -> Provenance {
        Provenance {
            label_version: Some(self.summary.source.clone()),
            seed: Some(self.context.seed),
            config_hash: None,
            command: Some(command_line()),
            build: Some(program()),
        }
    }

    /// What is to be known of all calls.
    fn warnings(&self) -> Vec<String> {
        let summary = self.summary;
        let mut warnings = Vec::new();
        if summary.judged == 0 {
            warnings.push(
                "No case with a diagnosis was judged, so nobody knows how often calls are right."
                    .to_owned(),
            );
        } else if summary.judged < FEW {
            warnings.push(format!(
                "Only {} were judged: all intervals are wide.",
                count(summary.judged, "case")
            ));
        }
        if !summary.judged_for_test && summary.judged > 0 {
            warnings.push(
                "No case is set apart for test: if the network learned from these cases or their diagnoses, calls look \
                 better than they are."
                    .to_owned(),
            );
        }
        if summary.tumours.len() == 2 && summary.threshold_of == ThresholdOf::Default {
            warnings.push(
                "No cases for validation chose the threshold: it is 0.5, which need not suit this network.".to_owned(),
            );
        }
        warnings
    }

    fn of_case(&self, case: &CaseLine, of: &OfCase) -> Result<CaseReport> {
        let summary = self.summary;
        let share = share_of_tumour(case);
        let mut warnings = Vec::new();
        if case.call.is_none() {
            warnings.push(format!(
                "There is no call: tumour is {} of what was looked at, and {} is the least.",
                Format::Percent(1).write(share),
                Format::Percent(1).write(summary.least)
            ));
        }
        if case.is_right() == Some(false) {
            warnings.push(format!(
                "The call is not what is diagnosed: {}.",
                case.diagnosis.clone().unwrap_or_default()
            ));
        }
        warnings.extend(self.warnings());
        let classes = self.dataset.classes().names().iter().zip(&of.classes);
        // Images get outlines; slides are coloured already.
        let (legend, colours) = match of.slides.is_empty() {
            true => (self.legend(), Vec::new()),
            false => (Vec::new(), self.colours()),
        };
        Ok(CaseReport {
            case: case.case.clone(),
            call: case.call.clone(),
            rule: summary.rule(),
            warnings,
            answers: self.answers(case),
            areas: classes
                .map(|(class, &area)| {
                    (
                        class.clone(),
                        area,
                        area / case.looked_at.max(f64::MIN_POSITIVE),
                    )
                })
                .collect(),
            unit: self.unit().to_owned(),
            legend,
            colours,
            tiles: self.tiles(of)?,
            provenance: self.provenance(),
        })
    }

    /// How sure the call is, how often such calls are right, and how much tumour there is.
    fn answers(&self, case: &CaseLine) -> Vec<KeyFigure> {
        let summary = self.summary;
        let mut answers = Vec::new();
        if let (Some(score), [_, second]) = (case.score, summary.tumours.as_slice()) {
            answers.push(KeyFigure {
                question: "How clear is it?".to_owned(),
                value: KeyValue::Text(Format::Decimal(3).write(score)),
                what: format!(
                    "share of {second} in all tumour; called from {:.3}",
                    summary.threshold
                ),
                prose: Vec::new(),
            });
            answers.extend(self.such_calls(case, score));
        }
        let area = case.amounts.iter().sum();
        answers.push(KeyFigure {
            question: "How much tumour?".to_owned(),
            value: KeyValue::Text(Format::Percent(1).write(share_of_tumour(case))),
            what: format!(
                "of what was looked at: {} of {} {}",
                self.amount(area),
                self.amount(case.looked_at),
                self.unit()
            ),
            prose: Vec::new(),
        });
        answers
    }

    fn amount(&self, amount: f64) -> String {
        match self.summary.unit {
            Unit::SquareMillimetres => Format::Decimal(3).write(amount),
            Unit::Pixels => Format::Count.write(amount),
        }
    }

    /// How often the judged cases with the nearest shares were called rightly.
    fn such_calls(&self, case: &CaseLine, score: f64) -> Option<KeyFigure> {
        let others = self
            .summary
            .judged_cases()
            .filter(|other| other.case != case.case);
        let mut others: Vec<(f64, bool)> = others
            .filter_map(|other| Some(((other.score? - score).abs(), other.is_right()?)))
            .collect();
        if others.len() < NEAREST {
            return None;
        }
        others.sort_by(|one, other| one.0.total_cmp(&other.0));
        let right = others[..NEAREST].iter().filter(|(_, right)| *right).count();
        Some(KeyFigure {
            question: "How often are such calls right?".to_owned(),
            value: KeyValue::Text(format!("{right} of {NEAREST}")),
            what: "of the judged cases whose shares are nearest".to_owned(),
            prose: Vec::new(),
        })
    }

    fn legend(&self) -> Vec<(Ink, String)> {
        let tumours = self.summary.tumours.iter().enumerate();
        tumours
            .map(|(place, tumour)| (ink(place), tumour.clone()))
            .collect()
    }

    /// The colours of classes on slides, but of the first, which is left as it is.
    fn colours(&self) -> Vec<([u8; 3], String)> {
        let classes = self.dataset.classes().names().iter().enumerate().skip(1);
        classes
            .map(|(class, name)| (of_pixels(class), name.clone()))
            .collect()
    }

    fn tiles(&self, of: &OfCase) -> Result<Vec<Tile>> {
        if let Some(masks) = &self.masks {
            let images = evenly(&of.images, IMAGES).into_iter();
            return images
                .filter_map(|image| {
                    let piece = masks.get(self.dataset.images()[image].id.as_str())?;
                    Some(self.tile(image, piece))
                })
                .collect();
        }
        evenly(&of.slides.iter().collect::<Vec<_>>(), IMAGES)
            .into_iter()
            .map(|slide| {
                Ok(Tile {
                    picture: Picture::from_file(&slide.join("overlay.png"))?,
                    image: slide
                        .file_name()
                        .unwrap_or_default()
                        .to_string_lossy()
                        .into_owned(),
                    words: "classes on the slide".to_owned(),
                    outlines: Vec::new(),
                    microns_per_pixel: None,
                })
            })
            .collect()
    }

    /// An image with the outlines of its tumours.
    fn tile(&self, image: usize, piece: &Evidence) -> Result<Tile> {
        let mask = class_mask(&piece.target)?;
        let names = &self.summary.tumours;
        let mut outlines = Vec::new();
        for (place, tumour) in names.iter().enumerate() {
            let class = self.dataset.classes().index(tumour)? as u8;
            let regions = mask.mapv(|of| u32::from(of == class));
            outlines.push(Outlines {
                ink: ink(place),
                polygons: sheet::of_mask(regions.view(), |_| true)?,
            });
        }
        let record = &self.dataset.images()[image];
        sheet::tile(
            self.dataset,
            record,
            "outlines of tumour".to_owned(),
            outlines,
        )
    }
}

fn ink(place: usize) -> Ink {
    INKS[place.min(INKS.len() - 1)]
}

/// The share of all tumours in what was looked at.
fn share_of_tumour(case: &CaseLine) -> f64 {
    case.amounts.iter().sum::<f64>() / case.looked_at.max(f64::MIN_POSITIVE)
}

fn row((place, case): (usize, &CaseLine)) -> CaseRow {
    CaseRow {
        case: case.case.clone(),
        page: page_of(place, &case.case),
        split: case.split.clone().unwrap_or_default(),
        areas: case.amounts.clone(),
        tumour: share_of_tumour(case),
        score: case.score,
        call: case.call.clone(),
        diagnosis: case.diagnosis.clone(),
    }
}
