//! Patches of slides, with what was outlined on them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use cleanslide_data::formats::geojson;
use cleanslide_data::{
    Classes, Dataset, Evidence, FORMAT, ImageRecord, Labels, Manifest, MaskFile, NewVersion, Point,
    Polygon, Scope, Source, Target, Task, Trust, UNLABELLED_CLASS,
};
use cleanslide_image::contour::paint_polygon;
use cleanslide_slide::{PlannedTile, Slide, TilePlan, TileSettings, TissueMask};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use serde::Serialize;

use super::cases_from_ids;
use cleanslide_weak::noise::stratified_order;

use crate::arguments::microns;
use crate::commands::predict::inputs::{self, Inputs};
use crate::commands::predict::networks::names;
use crate::commands::predict::slides::open_slide;
use crate::commands::predict::slides::stains::{Reference, Tiles};
use crate::commands::predict::slides::tissue::tissue_of;
use crate::commands::simulate::{unpack, write_picture};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::new_folder::{publish, refuse_existing};
use crate::output::{Show, count, thousands};
use crate::progress;
use crate::text_table::TextTable;

/// What `import slides` takes.
#[derive(Debug, Args)]
pub struct Slides {
    /// A slide, or a folder of slides
    input: PathBuf,
    /// Folder of the new dataset
    dataset: PathBuf,
    /// The classes that are to be told apart, in order
    #[arg(long, value_delimiter = ',', required = true, value_name = "NAMES")]
    classes: Vec<String>,
    /// Folder of outlines from QuPath: SLIDE.geojson for slides that have some. What is outside of them is not labelled;
    /// where they overlap, the last one holds
    #[arg(long, value_name = "FOLDER")]
    outlines: Option<PathBuf>,
    /// Name of whoever outlined
    #[arg(long, default_value = "outlines", value_name = "NAME")]
    source: String,
    /// Patches of each slide: first those with outlines, then others of tissue, at random places of a grid
    #[arg(long, default_value_t = 20)]
    patches: usize,
    /// Side of a patch in pixels
    #[arg(long, default_value_t = 512)]
    side: u32,
    /// Size of their pixels in microns
    #[arg(long, default_value_t = 0.5, value_name = "MICRONS", value_parser = microns)]
    microns_per_pixel: f64,
    /// Size of the slides' pixels, where they do not say it
    #[arg(long, value_name = "MICRONS", value_parser = microns)]
    slide_microns_per_pixel: Option<f64>,
    /// The share of a patch that must be tissue
    #[arg(long, default_value_t = 0.5, value_name = "SHARE")]
    tissue: f64,
    /// Also take patches of tissue that is out of focus
    #[arg(long)]
    with_blur: bool,
    /// An image in haematoxylin and eosin; patches are given its stains
    #[arg(long, value_name = "IMAGE")]
    stain_reference: Option<PathBuf>,
    /// Takes the case of each slide from its name: the first group of this regular expression
    #[arg(long, value_name = "REGEX")]
    case_pattern: Option<String>,
}

/// The share of a patch that must be outlined for it to count as one with outlines.
const OUTLINED: f64 = 0.02;

/// What was taken of a slide.
#[derive(Debug, Serialize)]
struct OfSlide {
    slide: String,
    patches: usize,
    /// Of these, with outlines.
    outlined: usize,
    /// Patches that could not be decoded.
    damaged: usize,
}

#[derive(Debug, Serialize)]
struct Summary {
    dataset: PathBuf,
    slides: Vec<OfSlide>,
    left_out: usize,
    labels: Option<String>,
}

/// An outline with the number of its class, in pixels of level 0.
type Outline = (Polygon, u8);

/// A slide and how it is cut.
struct Planned {
    slide: Slide,
    plan: TilePlan,
    tissue: TissueMask,
    pixels: Tiles,
}

/// What was taken of all slides.
#[derive(Default)]
struct Cut {
    images: Vec<ImageRecord>,
    evidence: Vec<Evidence>,
    slides: Vec<OfSlide>,
}

impl Slides {
    pub fn run(self, context: &Context) -> Result<()> {
        self.check()?;
        refuse_existing(&self.dataset)?;
        let classes = Classes::new(self.classes.clone())?;
        let of = match self.slide_microns_per_pixel {
            Some(_) => inputs::Slides::All,
            None => inputs::Slides::Tiff,
        };
        let slides = Inputs::read(context, std::slice::from_ref(&self.input), of)?.slides;
        if slides.is_empty() {
            return Err(Failure::input(format!(
                "{} has no slides",
                self.input.display()
            ))
            .help("SVS, pyramids in TIFF and OME-Zarr can be read, and with OpenSlide NDPI, MRXS, DICOM and others."));
        }
        let names = names(&slides, "slides")?;
        let reference = self
            .stain_reference
            .as_deref()
            .map(Reference::of)
            .transpose()?;
        // What cannot be used is told before slides are cut; a slide among hundreds does not end the work.
        let cases = self.cases(&names)?;
        let outlines = names
            .iter()
            .map(|name| self.outlines_of(context, name, &classes));
        let outlines: Vec<Option<Vec<Outline>>> = outlines.collect::<Result<_>>()?;
        self.check_outlines(context, &names, &outlines)?;
        let bar = progress::bar("cutting", slides.len());
        let (of_slides, left_out) = publish(&self.dataset, |folder| {
            let mut cut = Cut::default();
            let mut left_out = 0;
            for ((path, name), outlines) in slides.iter().zip(&names).zip(&outlines) {
                match self.plan(context, path, reference.as_ref()) {
                    Ok(planned) => {
                        // QuPath counts from where the scanned part begins.
                        let outlines = outlines.as_deref().unwrap_or_default();
                        let outlines = moved(outlines, planned.plan.origin());
                        let tiles = self.chosen(name, &planned, &outlines, context.seed);
                        let of = (path.as_path(), name.as_str());
                        self.cut(context, of, &planned, (tiles, &outlines), folder, &mut cut)?;
                    }
                    Err(failure) if slides.len() == 1 => return Err(failure),
                    Err(failure) => {
                        left_out += 1;
                        context.output.warn(&failure.warning());
                    }
                }
                bar.inc(1);
            }
            if cut.images.is_empty() {
                return Err(Failure::input("no patch could be taken of any slide")
                    .help("Ask for a smaller share of `--tissue`, or smaller patches."));
            }
            for image in &mut cut.images {
                image.case = cases.get(&image.slide).cloned().unwrap_or_default();
            }
            self.write(context, &classes, folder, cut.images, cut.evidence)?;
            Ok((cut.slides, left_out))
        })?;
        bar.finish_and_clear();
        let versions = Dataset::open(&self.dataset)?.versions()?;
        context.output.show(&Summary {
            dataset: self.dataset,
            slides: of_slides,
            left_out,
            labels: versions.last().map(ToString::to_string),
        })
    }

    fn check(&self) -> Result<()> {
        if self.patches == 0 || self.side == 0 {
            return Err(Failure::usage("there is nothing to take: 0 patches"));
        }
        if !(0.0..=1.0).contains(&self.tissue) {
            return Err(Failure::usage("`--tissue` is a share from 0 to 1"));
        }
        Ok(())
    }

    /// The cases of slides, by their names.
    fn cases(&self, names: &[String]) -> Result<BTreeMap<String, String>> {
        let Some(pattern) = &self.case_pattern else {
            return Ok(BTreeMap::new());
        };
        let record = |name: &String| ImageRecord {
            id: name.clone(),
            ..ImageRecord::default()
        };
        let mut slides: Vec<ImageRecord> = names.iter().map(record).collect();
        cases_from_ids(&mut slides, pattern)?;
        Ok(slides.into_iter().map(|of| (of.id, of.case)).collect())
    }

    /// Refuses outlines that are of none of the slides, and says which are of others.
    fn check_outlines(
        &self,
        context: &Context,
        names: &[String],
        outlines: &[Option<Vec<Outline>>],
    ) -> Result<()> {
        let Some(folder) = &self.outlines else {
            return Ok(());
        };
        let read = |error| cleanslide_data::Error::io("read", folder, error);
        let mut others = Vec::new();
        for entry in fs::read_dir(folder).map_err(read)? {
            let path = entry.map_err(read)?.path();
            let is_geojson = path.extension().is_some_and(|ending| ending == "geojson");
            let name = path
                .file_stem()
                .map(|name| name.to_string_lossy().into_owned());
            if let Some(name) = name.filter(|name| is_geojson && !names.contains(name)) {
                others.push(format!("{name}.geojson"));
            }
        }
        others.sort();
        let Some(first) = others.first() else {
            return Ok(());
        };
        let number = count(others.len(), "file");
        let told = format!(
            "{}: {number} of no slide, such as {first}",
            folder.display()
        );
        if outlines.iter().all(Option::is_none) {
            return Err(Failure::usage(told).help(format!(
                "Outlines have the name of their slide without its ending: {}.geojson.",
                names[0]
            )));
        }
        context.output.warn(&told);
        Ok(())
    }

    /// What is outlined on a slide; `None` if there is no file.
    fn outlines_of(
        &self,
        context: &Context,
        name: &str,
        classes: &Classes,
    ) -> Result<Option<Vec<Outline>>> {
        let Some(folder) = &self.outlines else {
            return Ok(None);
        };
        let path = folder.join(format!("{name}.geojson"));
        if !path.exists() {
            return Ok(None);
        }
        let file = fs::File::open(&path)
            .map_err(|error| cleanslide_data::Error::io("read", &path, error))?;
        let mut outlines = Vec::new();
        let mut without_class = 0;
        for annotation in geojson::read(&path, file)?.content {
            let Some(class) = &annotation.class else {
                without_class += 1;
                continue;
            };
            let class = classes.index(class).map_err(|error| {
                Failure::input(format!("{}: {error}", path.display()))
                    .help(error.help().unwrap_or_default())
            })?;
            let polygons = annotation.shape.polygons().unwrap_or_default();
            outlines.extend(polygons.into_iter().map(|polygon| (polygon, class as u8)));
        }
        if without_class > 0 {
            context.output.warn(&format!(
                "{}: {} without a class left out",
                path.display(),
                count(without_class, "outline")
            ));
        }
        Ok(Some(outlines))
    }

    fn plan(
        &self,
        context: &Context,
        path: &Path,
        reference: Option<&Reference>,
    ) -> Result<Planned> {
        let slide = open_slide(path, self.slide_microns_per_pixel)?;
        let settings = TileSettings {
            microns_per_pixel: Some(self.microns_per_pixel),
            side: self.side,
            margin: 0,
        };
        let plan = TilePlan::new(&slide, &settings)?;
        let tissue = tissue_of(context, &slide, self.with_blur)?;
        let tiles = plan.with_tissue(&tissue, self.tissue);
        Ok(Planned {
            pixels: Tiles::new(reference, &slide, &plan, &tiles)?,
            plan,
            tissue,
            slide,
        })
    }

    /// The patches that are taken of a slide, in the order of the slide: of those with outlines and of the others as many as
    /// are asked for, which the seed and the slide's name alone decide.
    fn chosen(
        &self,
        name: &str,
        Planned { plan, tissue, .. }: &Planned,
        outlines: &[Outline],
        seed: u64,
    ) -> Vec<PlannedTile> {
        let tiles = plan.with_tissue(tissue, self.tissue);
        // Masks are made again for the patches that are taken: those of all may not fit into memory.
        let is_outlined = tiles
            .par_iter()
            .map(|tile| drawn(plan, tile, outlines).is_some());
        let is_outlined: Vec<bool> = is_outlined.collect();
        let strata = [true, false].map(|outlined| -> Vec<usize> {
            let of = (0..tiles.len()).filter(|&tile| is_outlined[tile] == outlined);
            of.collect()
        });
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let hash = blake3::hash(name.as_bytes());
        let stream = hash.as_bytes().iter().take(8);
        rng.set_stream(stream.fold(0, |sum, &byte| sum << 8 | u64::from(byte)));
        let shuffled = strata
            .map(|of| stratified_order(vec![of], &mut rng))
            .concat();
        let wanted: BTreeSet<usize> = shuffled.into_iter().take(self.patches).collect();
        wanted.into_iter().map(|tile| tiles[tile]).collect()
    }

    /// Writes the patches of a slide; one that is damaged is left out and told.
    fn cut(
        &self,
        context: &Context,
        (path, name): (&Path, &str),
        Planned {
            plan,
            slide,
            pixels,
            ..
        }: &Planned,
        (tiles, outlines): (Vec<PlannedTile>, &[Outline]),
        folder: &Path,
        cut: &mut Cut,
    ) -> Result<()> {
        let mut of_slide = OfSlide {
            slide: name.to_owned(),
            patches: 0,
            outlined: 0,
            damaged: 0,
        };
        if tiles.is_empty() {
            context.output.warn(&format!(
                "{}: no patch has a share of {} of tissue",
                path.display(),
                self.tissue
            ));
        }
        let masks = folder.join("masks").join(name);
        fs::create_dir_all(&masks)
            .map_err(|error| cleanslide_data::Error::io("create", &masks, error))?;
        for tile in tiles {
            let pixels = match pixels.read(slide, plan, &tile) {
                Ok(pixels) => pixels,
                Err(error) => {
                    of_slide.damaged += 1;
                    context.output.warn(&error.to_string());
                    continue;
                }
            };
            // Where it is on the slide, as QuPath counts: also files of several slides are told apart by their names.
            let [x, y] = [tile.left - plan.origin()[0], tile.top - plan.origin()[1]];
            let stem = format!("{name}-x{x:.0}-y{y:.0}");
            let id = format!("{name}/{stem}.png");
            let file = format!("images/{id}");
            write_picture(&folder.join(&file), &pixels)?;
            of_slide.patches += 1;
            if let Some(mask) = drawn(plan, &tile, outlines) {
                let path = masks.join(format!("{stem}.png"));
                cut.evidence.push(Evidence {
                    source: self.source.clone(),
                    scope: Scope::Image(id.clone()),
                    target: Target::Partial(MaskFile::write_classes(&path, mask.view())?),
                    trust: Trust::FULL,
                });
                of_slide.outlined += 1;
            }
            cut.images.push(ImageRecord {
                id,
                path: file,
                slide: name.to_owned(),
                microns_per_pixel: Some(self.microns_per_pixel),
                ..ImageRecord::default()
            });
        }
        cut.slides.push(of_slide);
        Ok(())
    }

    /// Writes the dataset around the patches that lie in the folder.
    fn write(
        &self,
        context: &Context,
        classes: &Classes,
        folder: &Path,
        images: Vec<ImageRecord>,
        evidence: Vec<Evidence>,
    ) -> Result<()> {
        let sources = match evidence.is_empty() {
            true => Vec::new(),
            false => vec![Source::expert(&self.source)],
        };
        let first = (!evidence.is_empty()).then_some(NewVersion {
            parent: None,
            produced: Some(self.source.clone()),
            sources: Vec::new(),
            labels: Labels::new(evidence, classes)?,
            provenance: context.provenance(format!("cut {}", self.input.display())),
            notes: Vec::new(),
        });
        let manifest = Manifest {
            format: FORMAT,
            task: Task::Segmentation,
            classes: classes.clone(),
            sources,
        };
        let inside = folder.join("dataset");
        Dataset::create(&inside, manifest, images, first, &[])?;
        unpack(&inside, folder)?;
        let masks = folder.join("masks");
        Ok(fs::remove_dir_all(&masks)
            .map_err(|error| cleanslide_data::Error::io("remove", &masks, error))?)
    }
}

/// Outlines by pixels of level 0, whose own begin at `origin`.
fn moved(outlines: &[Outline], origin: [f64; 2]) -> Vec<Outline> {
    let ring = |ring: &Vec<Point>| -> Vec<Point> {
        let points = ring.iter().map(|point| Point {
            x: point.x + origin[0],
            y: point.y + origin[1],
        });
        points.collect()
    };
    let polygon = |of: &Polygon| Polygon {
        outline: ring(&of.outline),
        holes: of.holes.iter().map(ring).collect(),
    };
    let outlines = outlines.iter();
    outlines.map(|(of, class)| (polygon(of), *class)).collect()
}

/// The classes of the pixels of a tile by outlines; none if hardly anything of it is outlined.
fn drawn(plan: &TilePlan, tile: &PlannedTile, outlines: &[Outline]) -> Option<Array2<u8>> {
    let side = plan.side as usize;
    let length = side as f64 * plan.downsample;
    let [left, top] = [tile.left, tile.top];
    let near = |polygon: &Polygon| {
        polygon.bounds().is_some_and(|bounds| {
            bounds.left < left + length
                && bounds.right > left
                && bounds.top < top + length
                && bounds.bottom > top
        })
    };
    let mut mask = Array2::from_elem((side, side), UNLABELLED_CLASS);
    for (polygon, class) in outlines.iter().filter(|(polygon, _)| near(polygon)) {
        let ring = |ring: &Vec<Point>| {
            let placed = ring.iter().map(|point| Point {
                x: (point.x - left) / plan.downsample,
                y: (point.y - top) / plan.downsample,
            });
            placed.collect()
        };
        let placed = Polygon {
            outline: ring(&polygon.outline),
            holes: polygon.holes.iter().map(ring).collect(),
        };
        paint_polygon(mask.view_mut(), &placed, *class);
    }
    let outlined = mask
        .iter()
        .filter(|&&class| class != UNLABELLED_CLASS)
        .count();
    (outlined as f64 >= OUTLINED * mask.len() as f64).then_some(mask)
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut table = TextTable::new(&["slide", "patches", "with outlines", "damaged"]);
        for of in &self.slides {
            let numbers = [of.patches, of.outlined, of.damaged].map(thousands);
            table.row(std::iter::once(of.slide.clone()).chain(numbers));
        }
        let all = self.slides.iter().map(|of| of.patches).sum();
        let left_out = match self.left_out {
            0 => String::new(),
            some => format!(" ({some} left out)"),
        };
        format!(
            "{}: {} of {}{left_out}{}\n{}\nnext: cleanslide import diagnoses TABLE {} --excludes DIAGNOSIS=CLASS",
            self.dataset.display(),
            count(all, "patch"),
            count(self.slides.len(), "slide"),
            self.labels
                .as_ref()
                .map_or_else(String::new, |version| format!(", outlines as {version}")),
            table.text(),
            self.dataset.display()
        )
    }
}
