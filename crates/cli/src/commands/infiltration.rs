//! `cleanslide infiltration`: how densely cells of a class lie in tissue, and where they form foci.

mod slides;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use cleanslide_data::formats::{Annotation, Attribute, Shape, geojson};
use cleanslide_data::store::{publish_folder, write_file, write_file_with};
use cleanslide_data::{
    Dataset, Evidence, ImageRecord, MAX_PIXELS, Point, Target, independent_units, read_image,
    to_csv,
};
use cleanslide_eval::infiltration::{Foci, FocusSettings, Infiltration as Figures};
use cleanslide_eval::{Bootstrap, Groups, Weights};
use cleanslide_image::contour::outlines;
use cleanslide_image::region::{Neighbours, components, statistics};
use cleanslide_learn::pixels::maps::file_of;
use cleanslide_slide::stained;
use ndarray::Array2;
use serde::Serialize;

use super::import::cases_from_ids;
use super::train::networks::SOURCE;
use crate::arguments::LabelsArguments;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::measures::{Measure, table};
use crate::network_run::predictions_of_run;
use crate::new_folder::refuse_existing;
use crate::output::{Show, count};
use crate::progress;
use crate::shape_labels::{ShapeLabels, about, dense};

/// Colours are blurred by a Gaussian of so many microns before they tell tissue from glass: what is pale between cells is tissue, too.
const BLUR: f64 = 2.0;

/// Measure how densely cells of a class lie in tissue, and where they form foci
///
/// A focus is a cluster of cells (DBSCAN): a cell with at least so many cells within a distance, itself counted, all cells
/// within that distance of it, and what else hangs together with them in this way. Intervals resample cases.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cleanslide infiltration liver --class lymphocyte --out foci\n  \
cleanslide infiltration liver --run runs/dual --class lymphocyte --within 30 --least 5 --out foci\n  \
cleanslide predict runs/nuclei slides/*.svs --out nuclei\n  cleanslide infiltration nuclei --out foci\n\n\
FOLDER gets images.csv, cases.csv and, for each image, an IMAGE.geojson with the cells and the foci, which QuPath reads;\n\
of slides, whose cells are in their objects.geojson, with the foci alone."
)]
pub struct Infiltration {
    /// Folder of the dataset, or of what `predict` found on slides
    #[arg(value_name = "DATASET|FOUND")]
    dataset: PathBuf,
    #[command(flatten)]
    labels: LabelsArguments,
    /// What a run predicted, in the place of labels
    #[arg(long, value_name = "RUN", conflicts_with_all = ["labels", "source"])]
    run: Option<PathBuf>,
    /// The class of the cells; the only one by default
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// How far apart cells of a focus lie at most, in microns
    #[arg(long, default_value_t = FocusSettings::default().within, value_name = "MICRONS")]
    within: f64,
    /// How many cells there are within that distance of one of them at least, itself counted
    #[arg(long, default_value_t = FocusSettings::default().least, value_name = "CELLS")]
    least: usize,
    /// Side of a pixel in microns, for images of which the dataset does not know it
    #[arg(long, value_name = "MICRONS")]
    microns_per_pixel: Option<f64>,
    /// What is tissue; by default what is stained. On slides it is what `predict` took for it
    #[arg(long, value_enum)]
    tissue: Option<Tissue>,
    /// Slides: takes the case of each from its name, the first group of this regular expression; by default each is its own
    #[arg(long, value_name = "REGEX")]
    case_pattern: Option<String>,
    /// Folder to write; it must not exist
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

/// What is tissue.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Tissue {
    /// What has colour, as on slides
    Stained,
    /// The whole image
    All,
}

#[derive(Debug, Serialize)]
struct Summary {
    folder: PathBuf,
    class: String,
    labels: String,
    images: usize,
    cases: usize,
    within_microns: f64,
    least_cells: usize,
    cells: usize,
    foci: usize,
    measures: Vec<Measure>,
}

/// An image and what was found on it.
struct Measured {
    image: ImageRecord,
    case: usize,
    figures: Figures,
    annotations: Vec<Annotation>,
}

impl Infiltration {
    pub fn run(self, context: &Context) -> Result<()> {
        for (flag, value) in [
            ("--within", Some(self.within)),
            ("--microns-per-pixel", self.microns_per_pixel),
        ] {
            if value.is_some_and(|value| !(value > 0.0 && value.is_finite())) {
                return Err(Failure::usage(format!("`{flag}` must be above 0")));
            }
        }
        if self.least == 0 {
            return Err(Failure::usage("`--least` must be at least 1"));
        }
        refuse_existing(&self.out)?;
        let (class, labels, measured) = match slides::has_found(&self.dataset) {
            true => self.of_slides()?,
            false => self.of_dataset(context)?,
        };
        publish_folder(&self.out, |folder| write(folder, &measured))?;
        let all: Vec<Figures> = measured.iter().map(|of| of.figures).collect();
        let total = Figures::pool(&all, Weights::Equal)?;
        let cases = dense(&measured.iter().map(|of| of.case).collect::<Vec<_>>());
        context.output.show(&Summary {
            class,
            labels,
            images: measured.len(),
            cases: Groups::new(&cases)?.count(),
            within_microns: self.within,
            least_cells: self.least,
            cells: total.cells as usize,
            foci: total.foci as usize,
            measures: measures(&all, &cases, context.seed)?,
            folder: self.out,
        })
    }

    fn settings(&self) -> FocusSettings {
        FocusSettings {
            within: self.within,
            least: self.least,
        }
    }

    /// The class, whose cells they are, and what was found on each slide.
    fn of_slides(&self) -> Result<(String, String, Vec<Measured>)> {
        let of_datasets = [
            ("--labels", self.labels.labels.is_some()),
            ("--source", self.labels.source.is_some()),
            ("--run", self.run.is_some()),
            ("--microns-per-pixel", self.microns_per_pixel.is_some()),
            ("--tissue", self.tissue.is_some()),
        ];
        if let Some((flag, _)) = of_datasets.iter().find(|(_, given)| *given) {
            return Err(Failure::usage(format!(
                "`{flag}` is for datasets, and {} has what was found on slides",
                self.dataset.display()
            ))
            .help("What `predict` was asked decides that."));
        }
        let found = slides::Found::read(&self.dataset)?;
        if found.classes.is_empty() {
            return Err(Failure::input(format!(
                "{} has no slides on which something was looked for",
                self.dataset.display()
            ))
            .help("Predict some with `cleanslide predict RUN SLIDES`."));
        }
        let class = found.classes[self.class_of(&found.classes)?].clone();
        let mut images = found.images();
        if let Some(pattern) = &self.case_pattern {
            cases_from_ids(&mut images, pattern)?;
        }
        let measured = found.measure(images, &class, self.settings())?;
        Ok((class, self.dataset.display().to_string(), measured))
    }

    /// The class, whose labels they are, and what is said of each image.
    fn of_dataset(&self, context: &Context) -> Result<(String, String, Vec<Measured>)> {
        if self.case_pattern.is_some() {
            return Err(Failure::usage(
                "`--case-pattern` is for slides, and images of a dataset have cases",
            ));
        }
        let dataset = context.open(&self.dataset)?;
        let class = self.class_of(dataset.classes().names())?;
        let (labels, pieces) = self.pieces(&dataset)?;
        let units = independent_units(dataset.images());
        let bar = progress::bar("measuring", pieces.len());
        let mut measured = Vec::new();
        for (image, piece) in pieces {
            let case = dataset
                .position(&image.id)
                .map_or(0, |position| units[position]);
            measured.push(self.measure(&dataset, image, case, &piece, class)?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok((dataset.classes().name(class), labels, measured))
    }

    /// The place of the class among these.
    fn class_of(&self, names: &[String]) -> Result<usize> {
        let Some(name) = &self.class else {
            return match names {
                [_] => Ok(0),
                _ => Err(Failure::usage("there are several classes of cells")
                    .help(format!("Choose one with `--class`: {}.", names.join(", ")))),
            };
        };
        let place = names.iter().position(|known| known == name);
        place.ok_or_else(|| {
            Failure::usage(format!("there is no class `{name}`"))
                .help(format!("The classes are {}.", names.join(", ")))
        })
    }

    /// What is said of each image, and who says it.
    fn pieces(&self, dataset: &Dataset) -> Result<(String, Vec<(ImageRecord, Evidence)>)> {
        let Some(run) = &self.run else {
            let labels = ShapeLabels::load(dataset, &self.labels)?;
            let name = format!("{} of {}", labels.source, labels.version);
            return Ok((name, labels.images.into_iter().zip(labels.pieces).collect()));
        };
        let labels = predictions_of_run(dataset, run)?;
        let mut of_images: BTreeMap<String, Evidence> = BTreeMap::new();
        for piece in labels
            .evidence()
            .iter()
            .filter(|piece| piece.source == SOURCE)
        {
            of_images.insert(piece.scope.item().to_owned(), piece.clone());
        }
        let images = dataset.images().iter();
        let pieces = images.filter_map(|image| Some((image.clone(), of_images.remove(&image.id)?)));
        Ok((run.display().to_string(), pieces.collect()))
    }

    fn measure(
        &self,
        dataset: &Dataset,
        image: ImageRecord,
        case: usize,
        piece: &Evidence,
        class: usize,
    ) -> Result<Measured> {
        let microns = image.microns_per_pixel.or(self.microns_per_pixel);
        let microns = microns.ok_or_else(|| {
            about(&image, "nobody knows how large its pixels are")
                .help("Give `--microns-per-pixel`, or fill in the column of images.csv.")
        })?;
        let pixels = read_image(&dataset.image_path(&image), MAX_PIXELS)?.pixels;
        let (cells, shapes) = cells(&image, piece, class)?;
        let which = self.tissue.unwrap_or(Tissue::Stained);
        let tissue = match which {
            Tissue::Stained => stained(&pixels, BLUR / microns).map_err(Failure::from)?,
            Tissue::All => {
                Array2::from_elem((pixels.height() as usize, pixels.width() as usize), true)
            }
        };
        let foci = Foci::of(&cells, tissue.view(), microns, self.settings());
        let name = dataset.classes().name(class);
        let mut annotations = Vec::new();
        for (shape, focus) in shapes.into_iter().zip(&foci.of_cells) {
            let number =
                focus.map(|focus| ("focus".to_owned(), Attribute::Number(focus as f64 + 1.0)));
            annotations.push(Annotation {
                attributes: number.into_iter().collect(),
                ..Annotation::new(name.clone(), shape)
            });
        }
        let regions = components(foci.region.view(), Neighbours::Four)?.labels;
        for outline in outlines(regions.view())? {
            annotations.push(Annotation::new("focus", Shape::Polygon(outline.polygon)));
        }
        Ok(Measured {
            image,
            case,
            figures: foci.infiltration,
            annotations,
        })
    }
}

/// The middles of the cells of a class, row and column, and their shapes.
fn cells(
    image: &ImageRecord,
    piece: &Evidence,
    class: usize,
) -> Result<(Vec<[f64; 2]>, Vec<Shape>)> {
    let middle = |point: Point| [point.y, point.x];
    Ok(match &piece.target {
        Target::Boxes(boxes) => {
            let boxes = boxes.objects.iter().filter(|object| object.class == class);
            boxes
                .map(|object| {
                    (
                        middle(object.shape.centre()),
                        Shape::Rectangle(object.shape),
                    )
                })
                .unzip()
        }
        Target::Instances {
            mask: file,
            classes,
        } => {
            let objects = file.read_instances()?;
            let of_class =
                objects.mapv(
                    |object| match classes.get((object as usize).wrapping_sub(1)) {
                        Some(&of) if of == class => object,
                        _ => 0,
                    },
                );
            let middles = statistics(of_class.view()).into_iter().map(|object| {
                let (x, y) = object.centroid;
                (object.label, [y, x])
            });
            let middles: BTreeMap<u32, [f64; 2]> = middles.collect();
            // A cell in several parts is one cell, in the shape of its first part.
            let mut shapes: BTreeMap<u32, Shape> = BTreeMap::new();
            for outline in outlines(of_class.view())? {
                shapes
                    .entry(outline.label)
                    .or_insert(Shape::Polygon(outline.polygon));
            }
            middles.into_values().zip(shapes.into_values()).unzip()
        }
        _ => {
            return Err(about(
                image,
                "its labels are neither boxes nor masks of objects",
            ));
        }
    })
}

fn measures(images: &[Figures], cases: &[usize], seed: u64) -> Result<Vec<Measure>> {
    let groups = Groups::new(cases)?;
    let bootstrap = Bootstrap {
        seed,
        ..Bootstrap::default()
    };
    let of =
        |name: &str, figure: fn(&Figures) -> std::result::Result<f64, cleanslide_eval::Error>| {
            let pooled = |weights: Weights<'_>| figure(&Figures::pool(images, weights)?);
            Measure::over_cases(name, (&groups, &bootstrap), None, pooled)
        };
    Ok(vec![
        of("cells per mm² of tissue", Figures::density),
        of("foci per mm² of tissue", Figures::foci_density),
        of("share of the cells in foci", Figures::share_of_cells),
        of("share of the tissue in foci", Figures::share_of_tissue),
    ])
}

/// Tables of images and cases, and shapes for QuPath.
fn write(folder: &Path, measured: &[Measured]) -> std::result::Result<(), cleanslide_data::Error> {
    let rows = measured.iter().map(|of| {
        row(
            [of.image.id.clone(), case_name(&of.image, of.case)],
            &of.figures,
        )
    });
    let header = header(["image", "case"]);
    write_file(&folder.join("images.csv"), &to_csv(&header, rows))?;
    let mut cases: BTreeMap<usize, (String, usize, Figures)> = BTreeMap::new();
    for of in measured {
        let name = || (case_name(&of.image, of.case), 0, Figures::default());
        let (_, images, figures) = cases.entry(of.case).or_insert_with(name);
        *images += 1;
        *figures += of.figures;
    }
    let rows = (cases.into_values())
        .map(|(name, images, figures)| row([name, images.to_string()], &figures));
    let header = self::header(["case", "images"]);
    write_file(&folder.join("cases.csv"), &to_csv(&header, rows))?;
    for of in measured {
        let path = file_of(folder, &of.image.id).with_extension("geojson");
        write_file_with(&path, |file| geojson::write(file, &of.annotations))?;
    }
    Ok(())
}

/// The animal or patient, where it is known.
fn case_name(image: &ImageRecord, case: usize) -> String {
    if image.case.is_empty() {
        format!("{}", case + 1)
    } else {
        image.case.clone()
    }
}

const FIGURES: [&str; 9] = [
    "tissue mm²",
    "cells",
    "cells per mm²",
    "foci",
    "foci per mm²",
    "cells in foci",
    "share of cells in foci",
    "tissue in foci mm²",
    "share of tissue in foci",
];

fn header(first: [&'static str; 2]) -> Vec<&'static str> {
    first.into_iter().chain(FIGURES).collect()
}

fn row(first: [String; 2], figures: &Figures) -> Vec<String> {
    let number = |value: f64| format!("{value:.6}");
    let share = |value: std::result::Result<f64, cleanslide_eval::Error>| {
        value.map_or_else(|_| String::new(), number)
    };
    let cells = [
        number(figures.tissue),
        figures.cells.to_string(),
        share(figures.density()),
        figures.foci.to_string(),
        share(figures.foci_density()),
        figures.in_foci.to_string(),
        share(figures.share_of_cells()),
        number(figures.tissue_in_foci),
        share(figures.share_of_tissue()),
    ];
    first.into_iter().chain(cells).collect()
}

impl Show for Summary {
    fn text(&self) -> String {
        format!(
            "{} of {} in {} of {} ({}){}\n{} of at least {} within {} µm\n{}\n\
             tables and shapes for QuPath: {}",
            count(self.cells, "cell"),
            self.class,
            count(self.images, "image"),
            count(self.cases, "case"),
            self.labels,
            match self.cases {
                1 => "",
                _ => ", 95 % intervals over cases",
            },
            match self.foci {
                1 => "1 focus".to_owned(),
                foci => format!("{foci} foci"),
            },
            count(self.least_cells, "cell"),
            self.within_microns,
            table(&["value"], &[&self.measures]),
            self.folder.display()
        )
    }
}
