//! `cleanslide inject`: label noise of a known kind and rate.

mod classes;
mod objects;
mod unlabel;

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use cleanslide_data::{Dataset, Labels, Reference, difference};
use cleanslide_weak::generate::Plane;
use cleanslide_weak::noise::spatial::{Direction, Habit, MarkovBorder};
use serde::Serialize;

use crate::arguments::{DatasetArgument, LabelsArguments};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::quoted;
use crate::sheet;

pub use classes::difficulty_table;

/// Add label noise of a known kind and rate, keeping the truth apart
///
/// The noisy labels are a new version with a source of their own; the labels before become a
/// reference, for evaluation only. Classes of images: uniform, asymmetric, difficult. Boxes and
/// instance masks: drop, add, merge, split, swap, expert; boxes: shift, rescale; instance masks:
/// dilate-erode; instance and class masks: border. All of these: unlabel, which takes labels away.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cleanslide inject uniform liver --rate 0.3\n  \
cleanslide inject asymmetric liver --flip tumour:hepatocytes=0.4\n  \
cleanslide inject difficult liver --rate 0.2 --difficulty difficulty.csv\n  \
cleanslide inject drop nuclei --rate 0.2 --sheet dropped.html\n  \
cleanslide inject expert nuclei --outline -2 --miss-small 40"
)]
pub struct Inject {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// Images: any label may become any other class; the number of wrong labels is exact
    #[command(after_help = "Example:\n  cleanslide inject uniform liver --rate 0.3")]
    Uniform {
        #[command(flatten)]
        shared: Shared,
        #[command(flatten)]
        share: Share,
    },
    /// Images: labels of one class become another named class; the number is exact for each class
    #[command(
        after_help = "Example:\n  cleanslide inject asymmetric liver --flip tumour:hepatocytes=0.4 --flip hepatocytes:tumour=0.1"
    )]
    Asymmetric {
        #[command(flatten)]
        shared: Shared,
        /// FROM:TO=RATE, as often as needed
        #[arg(long = "flip", required = true, value_name = "FROM:TO=RATE")]
        flips: Vec<String>,
    },
    /// Images: difficult ones are likelier to become wrong; the number is exact
    #[command(
        after_help = "Example:\n  cleanslide inject difficult liver --rate 0.2 --difficulty liver/difficulty.csv"
    )]
    Difficult {
        #[command(flatten)]
        shared: Shared,
        #[command(flatten)]
        share: Share,
        /// Table with the columns image and difficulty (0 or more)
        #[arg(long, value_name = "CSV")]
        difficulty: PathBuf,
        /// Exactly the most difficult, instead of drawing in proportion to difficulty
        #[arg(long)]
        hardest: bool,
    },
    /// Objects are missed
    #[command(
        after_help = "Example:\n  cleanslide inject drop nuclei --rate 0.2 --sheet dropped.html"
    )]
    Drop {
        #[command(flatten)]
        shared: ObjectsShared,
        #[command(flatten)]
        share: Share,
    },
    /// Objects are marked where there are none, at places that look like one
    #[command(
        after_help = "Example:\n  cleanslide inject add nuclei --rate 0.2 --plane haematoxylin --sheet added.html"
    )]
    Add {
        #[command(flatten)]
        shared: ObjectsShared,
        #[command(flatten)]
        share: Share,
        /// Where objects stand out: grey, red, green, blue, saturation or haematoxylin
        #[arg(long, default_value = "grey", value_parser = plane, value_name = "PLANE")]
        plane: Plane,
    },
    /// Boxes are not where the objects are
    #[command(after_help = "Example:\n  cleanslide inject shift smears --rate 0.3 --by 0.1..0.2")]
    Shift {
        #[command(flatten)]
        shared: ObjectsShared,
        #[command(flatten)]
        share: Share,
        /// How far, in shares of the box's size
        #[arg(long, default_value = "0.1..0.3", value_parser = range, value_name = "FROM..TO")]
        by: RangeInclusive<f64>,
    },
    /// Boxes are too large or too small
    #[command(
        after_help = "Example:\n  cleanslide inject rescale smears --rate 0.3 --factor 1.2..1.4 --direction larger"
    )]
    Rescale {
        #[command(flatten)]
        shared: ObjectsShared,
        #[command(flatten)]
        share: Share,
        /// Factor for each side, or its inverse
        #[arg(long, default_value = "1.2..1.6", value_parser = range, value_name = "FROM..TO")]
        factor: RangeInclusive<f64>,
        /// Which way
        #[arg(long, value_enum, default_value = "either")]
        direction: DirectionName,
    },
    /// Neighbouring objects are marked as one; the share is that of the objects in the pairs
    #[command(after_help = "Example:\n  cleanslide inject merge nuclei --rate 0.2 --gap 10")]
    Merge {
        #[command(flatten)]
        shared: ObjectsShared,
        #[command(flatten)]
        share: Share,
        /// How far apart neighbours may be, in pixels
        #[arg(long, default_value_t = 3.0, value_name = "PIXELS")]
        gap: f64,
    },
    /// Objects are cut in two
    #[command(after_help = "Example:\n  cleanslide inject split nuclei --rate 0.2")]
    Split {
        #[command(flatten)]
        shared: ObjectsShared,
        #[command(flatten)]
        share: Share,
    },
    /// Instances are drawn too large or too small
    #[command(
        after_help = "Example:\n  cleanslide inject dilate-erode nuclei --rate 0.5 --radius 1..2 --direction smaller"
    )]
    DilateErode {
        #[command(flatten)]
        shared: ObjectsShared,
        #[command(flatten)]
        share: Share,
        /// How far borders move, in pixels
        #[arg(long, default_value = "1..3", value_parser = range, value_name = "FROM..TO")]
        radius: RangeInclusive<f64>,
        /// Which way
        #[arg(long, value_enum, default_value = "either")]
        direction: DirectionName,
    },
    /// Borders wander at random, of instances or of the regions of a class mask
    #[command(
        after_help = "Example:\n  cleanslide inject border nuclei --rate 0.5 --sheet borders.html"
    )]
    Border {
        #[command(flatten)]
        shared: ObjectsShared,
        #[command(flatten)]
        share: Share,
        /// Number of steps
        #[arg(long, default_value_t = 20)]
        steps: usize,
        /// Share of the steps in which objects grow; in the others they shrink
        #[arg(long, default_value_t = 0.5, value_name = "SHARE")]
        growth: f64,
        /// Share of the border's pixels that change in a step
        #[arg(long, default_value_t = 0.2, value_name = "SHARE")]
        change: f64,
        /// Share of all pixels near the border that flip in the end
        #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
        flips: f64,
    },
    /// Objects get another class; any other is as likely
    #[command(after_help = "Example:\n  cleanslide inject swap smears --rate 0.1")]
    Swap {
        #[command(flatten)]
        shared: ObjectsShared,
        #[command(flatten)]
        share: Share,
    },
    /// Nobody labelled some of the cases: their boxes and masks are taken away, and so are those of images for validation and
    /// test. Of what diagnoses tell apart, about the same share of each stays; what a smaller rate leaves has all that a
    /// larger one does
    #[command(
        after_help = "Example:\n  cleanslide inject unlabel liver --source simulator --rate 0.9"
    )]
    Unlabel {
        #[command(flatten)]
        shared: Shared,
        #[command(flatten)]
        share: Share,
    },
    /// All objects as an expert with these habits would draw them
    #[command(
        after_help = "Example:\n  cleanslide inject expert nuclei --outline -2 --miss-small 40"
    )]
    Expert {
        #[command(flatten)]
        shared: ObjectsShared,
        /// Draws borders so many pixels too far out, or in if negative
        #[arg(long, value_name = "PIXELS", allow_negative_numbers = true)]
        outline: Option<f64>,
        /// Draws everything so many pixels to the right and down: X,Y
        #[arg(long, value_name = "X,Y", value_parser = shift, allow_hyphen_values = true)]
        shift: Option<(i32, i32)>,
        /// Misses objects of a smaller area, in square pixels
        #[arg(long, value_name = "AREA")]
        miss_small: Option<f64>,
        /// Misses all objects of a class
        #[arg(long, value_name = "CLASS")]
        miss_class: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct Share {
    /// Share that becomes wrong, or is taken away, from 0 to 1
    #[arg(long)]
    rate: f64,
}

#[derive(Debug, Args)]
struct Shared {
    #[command(flatten)]
    dataset: DatasetArgument,
    #[command(flatten)]
    labels: LabelsArguments,
    /// Name of the noisy labels
    #[arg(long, default_value = "noisy", value_name = "SOURCE")]
    name: String,
    /// Name of the reference that keeps the labels as they were
    #[arg(long, default_value = "truth", value_name = "REFERENCE")]
    reference: String,
}

#[derive(Debug, Args)]
struct ObjectsShared {
    #[command(flatten)]
    shared: Shared,
    /// Write a contact sheet of what was changed, one HTML file
    #[arg(long, value_name = "HTML")]
    sheet: Option<PathBuf>,
    /// Images on the contact sheet, evenly from those that were changed
    #[arg(long, default_value_t = sheet::IMAGES, value_name = "IMAGES", requires = "sheet")]
    sheet_images: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DirectionName {
    Larger,
    Smaller,
    Either,
}

impl From<DirectionName> for Direction {
    fn from(name: DirectionName) -> Self {
        match name {
            DirectionName::Larger => Self::Larger,
            DirectionName::Smaller => Self::Smaller,
            DirectionName::Either => Self::Either,
        }
    }
}

fn plane(text: &str) -> std::result::Result<Plane, String> {
    text.parse()
}

fn range(text: &str) -> std::result::Result<RangeInclusive<f64>, String> {
    let ends = text.split_once("..").unwrap_or((text, text));
    let number = |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite());
    match (number(ends.0), number(ends.1)) {
        (Some(from), Some(to)) if from <= to => Ok(from..=to),
        _ => Err("write FROM..TO, such as 1..3, or one number".into()),
    }
}

fn shift(text: &str) -> std::result::Result<(i32, i32), String> {
    let parts = text.split_once(',');
    parts
        .and_then(|(x, y)| Some((x.trim().parse().ok()?, y.trim().parse().ok()?)))
        .ok_or_else(|| "write X,Y in whole pixels, such as 3,-2".into())
}

impl Inject {
    pub fn run(self, context: &Context) -> Result<()> {
        use objects::{Kind as Of, Noise};
        let (noise, rate, shared) = match self.kind {
            Kind::Uniform { shared, share } => {
                let noise = classes::Noise::Uniform { rate: share.rate };
                return classes::run(context, &noise, &shared);
            }
            Kind::Asymmetric { shared, flips } => {
                return classes::run(context, &classes::Noise::Asymmetric { flips }, &shared);
            }
            Kind::Difficult {
                shared,
                share,
                difficulty,
                hardest,
            } => {
                let noise = classes::Noise::Difficult {
                    rate: share.rate,
                    difficulty,
                    hardest,
                };
                return classes::run(context, &noise, &shared);
            }
            Kind::Unlabel { shared, share } => return unlabel::run(context, share.rate, &shared),
            Kind::Drop { shared, share } => (Of::Drop, Some(share.rate), shared),
            Kind::Add {
                shared,
                share,
                plane,
            } => (Of::Add { plane }, Some(share.rate), shared),
            Kind::Shift { shared, share, by } => (Of::Shift { by }, Some(share.rate), shared),
            Kind::Rescale {
                shared,
                share,
                factor,
                direction,
            } => {
                let direction = direction.into();
                (Of::Rescale { factor, direction }, Some(share.rate), shared)
            }
            Kind::Merge { shared, share, gap } => (Of::Merge { gap }, Some(share.rate), shared),
            Kind::Split { shared, share } => (Of::Split, Some(share.rate), shared),
            Kind::DilateErode {
                shared,
                share,
                radius,
                direction,
            } => {
                let direction = direction.into();
                (
                    Of::DilateErode { radius, direction },
                    Some(share.rate),
                    shared,
                )
            }
            Kind::Border {
                shared,
                share,
                steps,
                growth,
                change,
                flips,
            } => {
                let settings = MarkovBorder {
                    steps,
                    growth,
                    change,
                    flips,
                };
                (Of::Border(settings), Some(share.rate), shared)
            }
            Kind::Swap { shared, share } => (Of::Swap, Some(share.rate), shared),
            Kind::Expert {
                shared,
                outline,
                shift,
                miss_small,
                miss_class,
            } => {
                let dataset = context.open(&shared.shared.dataset.dataset)?;
                let habits = habits(&dataset, outline, shift, miss_small, &miss_class)?;
                (Of::Expert { habits }, None, shared)
            }
        };
        objects::run(context, &Noise { kind: noise, rate }, &shared)
    }
}

fn habits(
    dataset: &Dataset,
    outline: Option<f64>,
    shift: Option<(i32, i32)>,
    miss_small: Option<f64>,
    miss_class: &[String],
) -> Result<Vec<Habit>> {
    let classes = miss_class
        .iter()
        .map(|name| {
            let class = dataset.classes().index(name)?;
            Ok(Habit::MissClass { class })
        })
        .collect::<Result<Vec<_>>>()?;
    let habits: Vec<Habit> = classes
        .into_iter()
        // Whether an object is small is a matter of the object, not of how it is drawn.
        .chain(miss_small.map(|area| Habit::MissSmall { area }))
        .chain(outline.map(|pixels| Habit::Outline { pixels }))
        .chain(shift.map(|(x, y)| Habit::Shift { x, y }))
        .collect();
    if habits.is_empty() {
        return Err(Failure::usage("the expert has no habits")
            .help("Give `--outline`, `--shift`, `--miss-small` or `--miss-class`."));
    }
    Ok(habits)
}

/// Where the labels are as they were: they are not in the version that is trained on.
#[derive(Debug, Serialize)]
struct Untouched {
    labels: String,
    source: String,
}

impl Untouched {
    /// How to name them.
    fn line(&self) -> String {
        format!(
            "`{}` is as it was in {}: `--labels {} --source {}`",
            self.source,
            self.labels,
            self.labels,
            quoted(&self.source)
        )
    }
}

/// Keeps the labels as they were as a reference, unless it is there already.
fn keep_truth(dataset: &Dataset, name: &str, truth: Labels) -> Result<()> {
    if !dataset.references()?.iter().any(|known| known == name) {
        return Ok(dataset.add_reference(name, &Reference::new(truth))?);
    }
    let kept = dataset.reference(name)?;
    let (changes, _) = difference(kept.for_evaluation(), &truth);
    if changes.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "the reference `{name}` exists already and differs from these labels"
    ))
    .help("Choose another name with `--reference`."))
}
