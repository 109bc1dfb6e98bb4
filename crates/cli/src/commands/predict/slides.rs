//! What networks find on slides, tile by tile.
//!
//! ```text
//! OUT/request.json        what was asked; the same goes on where it stopped
//! OUT/areas.csv           classes of pixels: how much there is of each on each slide in the folder
//! OUT/counts.csv          objects: how many there are of each class on each of them, and how densely they lie in its tissue
//! OUT/report.html         all slides in the folder, small, with what was found, and these tables
//! OUT/NAME/               a slide that is done:
//!     regions.geojson     outlines of classes with their areas, as QuPath reads them: in pixels of level 0 from where the
//!                         scanned part begins
//!     map.png             the class of each small square; 255 where there is no tissue
//!     map.ome.tif         the same, with the size of the squares and where on the slide they are
//!     objects.geojson     outlines or boxes of objects with their areas and scores, as detections of QuPath
//!     objects.csv         their middles, areas and scores
//!     overlay.png         the slide, small, with what was found in colour
//!     tissue.ome.tif      where tissue is, and what of it was looked at, is out of focus or under ink
//!     slide.json          which slide it is, and how large
//!     tiles.csv           the tiles that were looked at, and what was counted in their tissue
//! OUT/lock                while a process predicts here
//! OUT/.NAME/              a slide that is not: each row of tiles that is
//! ```
//!
//! Memory is that of a tile, and of the map, whose squares are some microns wide, or of the objects of three rows of tiles.

mod classes;
pub mod colours;
mod map;
mod objects;
mod ome_tiff;
mod page;
mod seams;
pub mod stains;
pub mod tissue;
mod work;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use cleanslide_data::Error as DataError;
use cleanslide_learn::detect::DetectorPredictSettings;
use cleanslide_learn::segment::{ObjectSettings, PredictSettings};
use cleanslide_learn::views::TestAugmentation;
use cleanslide_nn::devices::DeviceName;
use cleanslide_slide::{OpenOptions, PlannedTile, Slide, TilePlan, TileSettings, TissueMask};
use image::RgbImage;
use serde::{Deserialize, Serialize};

use self::stains::{Reference, Tiles};
use self::tissue::{SlideRecord, tissue_of};
use self::work::{Rows, TileLine};
use super::inputs::Slides;
use super::networks::names;
use crate::arguments::microns;
use crate::begun::{begin, is_begun};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::held::Held;
use crate::network_run::{Labelled, NetworkManifest, read_manifest};
use crate::new_folder::publish;
use crate::output::count;
use crate::progress;

/// What is asked.
pub struct Request<'a> {
    /// The run.
    pub run: &'a Path,
    /// The slides: files, or folders in DICOM and OME-Zarr.
    pub slides: &'a [PathBuf],
    /// The folder to write into.
    pub out: &'a Path,
    /// Turns, if others than the run's.
    pub turns: Option<TestAugmentation>,
    /// Whether a tile that cannot be decoded ends the work.
    pub strict: bool,
    /// Where the network runs.
    pub device: DeviceName,
    /// How slides are cut and what of them is looked at.
    pub scale: Scale,
}

/// How large pixels are, and what of a slide is looked at.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Scale {
    /// Slides: the size of the pixels that the network sees, in microns; by default that of the images it was trained with
    #[arg(long, value_name = "MICRONS", value_parser = microns)]
    pub microns_per_pixel: Option<f64>,
    /// Slides: the size of their pixels, where they do not say it
    #[arg(long, value_name = "MICRONS", value_parser = microns)]
    pub slide_microns_per_pixel: Option<f64>,
    /// Slides: the share of a tile that must be tissue to be looked at, and only tissue counts; 0 looks and counts everywhere
    #[arg(long, value_name = "SHARE", default_value_t = TISSUE)]
    pub tissue: f64,
    /// Slides: tissue that is out of focus counts too
    #[arg(long)]
    pub with_blur: bool,
    /// Slides: an image in haematoxylin and eosin, such as one of the training; slides are given its stains before the network
    /// sees them
    #[arg(long, value_name = "IMAGE")]
    pub stain_reference: Option<PathBuf>,
}

const TISSUE: f64 = 0.05;

impl Scale {
    /// The size of the pixels that a network sees, in microns: what is asked, or that of its training.
    ///
    /// # Errors
    /// Neither is known, or there is no such share of tissue.
    pub fn pixels(&self, of_training: Option<f64>, network: impl Display) -> Result<f64> {
        let microns = self.microns_per_pixel.or(of_training).ok_or_else(|| {
            Failure::usage(format!(
                "{network} does not say how large the pixels were that it was trained with"
            ))
            .help("Give their size in microns with `--microns-per-pixel`.")
        })?;
        if !(0.0..=1.0).contains(&self.tissue) {
            return Err(Failure::usage(format!(
                "`--tissue {}` is no share from 0 to 1",
                self.tissue
            )));
        }
        Ok(microns)
    }

    /// Which files are slides: that anything is said of slides means that some are given.
    pub fn slides(&self) -> Slides {
        match (self.slide_microns_per_pixel, self.is_given()) {
            (Some(_), _) => Slides::All,
            (None, true) => Slides::Tiff,
            (None, false) => Slides::ByContent,
        }
    }

    /// Whether anything but the default was asked.
    pub fn is_given(&self) -> bool {
        let sizes = [self.microns_per_pixel, self.slide_microns_per_pixel];
        sizes.iter().any(Option::is_some)
            || self.tissue != TISSUE
            || self.with_blur
            || self.stain_reference.is_some()
    }

    /// The stains that slides are given.
    pub fn reference(&self) -> Result<Option<Reference>> {
        self.stain_reference
            .as_deref()
            .map(Reference::of)
            .transpose()
    }
}

/// What decides the result, but the slides: a folder that was begun with another request is not gone on with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Asked {
    program: String,
    /// Hash of the network.
    network: String,
    classes: Vec<String>,
    predict: Predicts,
    microns_per_pixel: f64,
    slide_microns_per_pixel: Option<f64>,
    tissue: f64,
    with_blur: bool,
    stain_reference: Option<Reference>,
}

/// How a network predicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Predicts {
    /// Classes of pixels.
    Classes(PredictSettings),
    /// Objects by the classes of their pixels.
    Objects {
        predict: PredictSettings,
        objects: ObjectSettings,
    },
    /// Boxes of objects.
    Boxes(DetectorPredictSettings),
}

impl Asked {
    fn new(
        request: &Request,
        manifest: &NetworkManifest,
        network: &[u8],
        predict: Predicts,
    ) -> Result<Self> {
        let network_name = request.run.display();
        Ok(Self {
            program: crate::context::program(),
            network: blake3::hash(network).to_hex().to_string(),
            classes: manifest.classes.clone(),
            predict,
            microns_per_pixel: (request.scale).pixels(manifest.microns_per_pixel, network_name)?,
            slide_microns_per_pixel: request.scale.slide_microns_per_pixel,
            tissue: request.scale.tissue,
            with_blur: request.scale.with_blur,
            stain_reference: request.scale.reference()?,
        })
    }
}

/// What a network finds in tiles, and how that is written.
trait Finder {
    /// What is kept of a row of tiles beside its table.
    type Found;

    /// Sides of tiles, and what neighbours share of them, in pixels.
    fn tiles(&self) -> (u32, u32);

    /// What is counted in each tile.
    fn columns(&self) -> Vec<String>;

    /// What is kept of a row of tiles that nobody has looked at.
    fn nothing(&self, plan: &TilePlan) -> Self::Found;

    /// Adds what there is in a tile; what was counted in it.
    fn look(&self, tile: &Tile, pixels: &RgbImage, found: &mut Self::Found) -> Result<Vec<u64>>;

    /// Keeps what was found in a row, in a file with this name and an ending of its own.
    fn keep(&self, file: &Path, found: &Self::Found) -> Result<()>;

    /// What was kept.
    fn kept(&self, file: &Path) -> Result<Self::Found>;

    /// Writes what was found on a slide into a folder; what is counted of whole slides goes into the lines of the tiles.
    fn publish(
        &self,
        folder: &Path,
        slide: &Slide,
        plan: &TilePlan,
        rows: &Rows<Self>,
    ) -> Result<Vec<TileLine>>
    where
        Self: Sized;
}

/// A tile, and where there is tissue.
struct Tile<'a> {
    plan: &'a TilePlan,
    tile: &'a PlannedTile,
    /// None if all counts.
    tissue: Option<&'a TissueMask>,
}

impl Tile<'_> {
    /// A place of the tile, in its pixels, in pixels of level 0.
    fn on_slide(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let Self { plan, tile, .. } = self;
        [
            tile.left + x * plan.downsample,
            tile.top + y * plan.downsample,
        ]
    }

    /// Whether what is there counts: it is on the slide, and tissue if that is asked for.
    fn counts(&self, place: [f64; 2]) -> bool {
        let place = self.on_slide(place);
        self.plan.covers(place) && self.tissue.is_none_or(|tissue| tissue.at(place))
    }
}

/// How many tiles could not be decoded.
fn left_out(lines: &[TileLine]) -> usize {
    lines.iter().filter(|line| line.counts.is_empty()).count()
}

/// A slide, and what of it is looked at.
struct LookedAt {
    slide: Slide,
    record: SlideRecord,
    plan: TilePlan,
    tissue: TissueMask,
    tiles: Vec<PlannedTile>,
    pixels: Tiles,
}

/// What was done.
struct Done {
    /// The names of the slides, with the tiles that were looked at.
    slides: Vec<(String, Vec<TileLine>)>,
    /// The same of all slides in the folder, also those of other calls, by name.
    in_folder: Vec<(String, Vec<TileLine>)>,
    /// Slides that cannot be read.
    left_out: usize,
    /// Others do not predict here until it is released.
    held: Held,
}

impl Done {
    fn tiles(&self) -> u64 {
        self.slides
            .iter()
            .map(|(_, lines)| lines.len() as u64)
            .sum()
    }

    fn damaged(&self) -> u64 {
        let slides = self.slides.iter();
        slides.map(|(_, lines)| left_out(lines) as u64).sum()
    }

    /// How many slides and tiles there are, and how many could not be read.
    fn text(&self) -> String {
        let damaged = match self.damaged() {
            0 => String::new(),
            some => format!(", {} left out", count(some as usize, "damaged tile")),
        };
        let slides_left_out = match self.left_out {
            0 => String::new(),
            some => format!(" ({some} left out)"),
        };
        format!(
            "{}{slides_left_out}, {} with tissue{damaged}",
            count(self.slides.len(), "slide"),
            count(self.tiles() as usize, "tile")
        )
    }
}

/// The table of the tiles of a slide that is done.
const TILES: &str = "tiles.csv";
/// What a process does in the folder.
const PREDICTS: &str = "predicts slides";

/// A network, and how it looks at slides.
struct Looking<'a, F> {
    context: &'a Context,
    request: &'a Request<'a>,
    asked: &'a Asked,
    finder: &'a F,
}

/// Predicts slides; those that are done are kept.
pub fn run(context: &Context, request: &Request) -> Result<()> {
    let manifest = read_manifest(request.run)?;
    match manifest.kind {
        Labelled::Pixels => classes::run(context, request, &manifest),
        Labelled::Instances | Labelled::Boxes => objects::run(context, request, &manifest),
    }
}

impl<F: Finder> Looking<'_, F> {
    /// Predicts all slides.
    fn all(&self) -> Result<Done> {
        let Self {
            context, request, ..
        } = *self;
        let names = names(request.slides, "slides")?;
        // What cannot be read is said before hours of work.
        let mut readable = Vec::new();
        for (path, name) in request.slides.iter().zip(&names) {
            match self.open(path).and_then(|slide| self.plan(&slide)) {
                Ok(_) => readable.push((path, name)),
                Err(failure) if request.strict || names.len() == 1 => return Err(failure),
                Err(failure) => context.output.warn(&failure.warning()),
            }
        }
        if readable.is_empty() {
            return Err(Failure::input("none of the slides can be predicted"));
        }
        let held = self.begin()?;
        // A folder that is of another slide is told before hours of work, too: its figures would be taken for this one's.
        let readable: Vec<_> = readable
            .into_iter()
            .map(|(path, name)| Ok((path, name, self.is_done(path, name)?)))
            .collect::<Result<_>>()?;
        let mut slides = Vec::new();
        for (path, name, is_done) in readable {
            if is_done {
                slides.push((name.clone(), self.done_before(name)?));
                continue;
            }
            let lines = match self.prepare(path) {
                Ok(looked_at) => self.slide(name, &looked_at)?,
                Err(failure) if request.strict || names.len() == 1 => return Err(failure),
                Err(failure) => {
                    context.output.warn(&failure.warning());
                    continue;
                }
            };
            slides.push((name.clone(), lines));
        }
        if slides.is_empty() {
            return Err(Failure::input("none of the slides could be predicted"));
        }
        Ok(Done {
            left_out: names.len() - slides.len(),
            slides,
            in_folder: self.in_folder()?,
            held,
        })
    }

    /// All slides in the folder that are done, by name.
    fn in_folder(&self) -> Result<Vec<(String, Vec<TileLine>)>> {
        let out = self.request.out;
        let mut names = Vec::new();
        for entry in fs::read_dir(out).map_err(|error| DataError::io("read", out, error))? {
            let entry = entry.map_err(|error| DataError::io("read", out, error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') && entry.path().join(TILES).is_file() {
                names.push(name);
            }
        }
        names.sort();
        let named = names.into_iter();
        named
            .map(|name| self.lines(&name).map(|lines| (name, lines)))
            .collect()
    }

    /// Makes the folder, or goes on with one that was begun with the same request.
    fn begin(&self) -> Result<Held> {
        let out = self.request.out;
        if !is_begun(out, self.asked, "another network or other settings")? {
            begin(out, self.asked)?;
        }
        Held::new(out, PREDICTS)
    }

    fn open(&self, path: &Path) -> Result<Slide> {
        open_slide(path, self.asked.slide_microns_per_pixel)
    }

    fn plan(&self, slide: &Slide) -> Result<TilePlan> {
        let (side, margin) = self.finder.tiles();
        let settings = TileSettings {
            microns_per_pixel: Some(self.asked.microns_per_pixel),
            side,
            margin,
        };
        Ok(TilePlan::new(slide, &settings)?)
    }

    /// What there is in each tile of a slide that was done before; that some could not be decoded then is told again.
    fn done_before(&self, name: &str) -> Result<Vec<TileLine>> {
        let lines = self.lines(name)?;
        let damaged = left_out(&lines);
        if damaged == 0 {
            return Ok(lines);
        }
        let folder = self.request.out.join(name);
        let failure = Failure::input(format!(
            "{}: {} could not be decoded when this slide was predicted",
            folder.display(),
            count(damaged, "tile"),
        ))
        .help("Remove that folder to predict the slide again.");
        if self.request.strict {
            return Err(failure);
        }
        self.context.output.warn(&failure.warning());
        Ok(lines)
    }

    /// What there is in each tile of a slide that is done.
    fn lines(&self, name: &str) -> Result<Vec<TileLine>> {
        let path = self.request.out.join(name).join(TILES);
        work::read_tiles(&path, &self.finder.columns())
    }

    /// Whether a slide is done.
    ///
    /// # Errors
    /// What is done is another one of its name.
    fn is_done(&self, path: &Path, name: &str) -> Result<bool> {
        let done = self.request.out.join(name);
        if !done.exists() {
            return Ok(false);
        }
        if SlideRecord::of(&self.open(path)?)?.is_of(&done)? {
            return Ok(true);
        }
        Err(Failure::usage(format!(
            "{} was predicted of another file than {}",
            done.display(),
            path.display()
        ))
        .help("Remove that folder to predict this one, or choose another with `--out`."))
    }

    /// What is known of a slide before its tiles are looked at.
    fn prepare(&self, path: &Path) -> Result<LookedAt> {
        let slide = self.open(path)?;
        let record = SlideRecord::of(&slide)?;
        let plan = self.plan(&slide)?;
        let tissue = tissue_of(self.context, &slide, self.asked.with_blur)?;
        let tiles = plan.with_tissue(&tissue, self.asked.tissue);
        if tiles.is_empty() {
            self.context.output.warn(&format!(
                "{}: no tile has a share of {} of tissue",
                path.display(),
                self.asked.tissue
            ));
        }
        let reference = self.asked.stain_reference.as_ref();
        let pixels = Tiles::new(reference, &slide, &plan, &tiles)?;
        Ok(LookedAt {
            slide,
            record,
            plan,
            tissue,
            tiles,
            pixels,
        })
    }

    /// Looks at the tiles of a slide; what there is in each.
    fn slide(&self, name: &str, looked_at: &LookedAt) -> Result<Vec<TileLine>> {
        let LookedAt {
            slide,
            record,
            plan,
            tissue,
            tiles,
            pixels,
        } = looked_at;
        let done = self.request.out.join(name);
        let columns = self.finder.columns();
        let mut said = BTreeSet::new();
        let bar = progress::bar(name, tiles.len());
        let mut done_tiles = 0;
        let mut rows = Rows::new(self.request.out.join(format!(".{name}")), self.finder);
        rows.begin(record)?;
        for row in tiles.chunk_by(|one, other| one.row == other.row) {
            let number = row[0].row;
            if !rows.has(number)? {
                let mut found = self.finder.nothing(plan);
                let mut lines = Vec::new();
                for tile in row {
                    let tile = Tile {
                        plan,
                        tile,
                        tissue: (self.asked.tissue > 0.0).then_some(tissue),
                    };
                    let read = pixels.read(slide, plan, tile.tile);
                    lines.push(self.look(&tile, read, &mut found, &mut said)?);
                    bar.inc(1);
                }
                rows.keep(number, &lines, &found)?;
            }
            rows.numbers.push(number);
            done_tiles += row.len() as u64;
            bar.set_position(done_tiles);
        }
        bar.finish_and_clear();
        let lines = publish(&done, |folder| {
            let lines = self.finder.publish(folder, slide, plan, &rows)?;
            work::write_tiles(&folder.join(TILES), &columns, &lines)?;
            let everywhere = self.asked.tissue == 0.0;
            record.write(folder)?;
            tissue::write(folder, record, plan, tissue, everywhere, &lines)?;
            Ok(lines)
        })?;
        rows.remove()?;
        match left_out(&lines) {
            0 => {}
            some => self.context.output.warn(&format!(
                "{name}: {some} of {} ({:.0} %) could not be decoded, and are in no figure",
                count(lines.len(), "tile"),
                100.0 * some as f64 / lines.len() as f64
            )),
        }
        Ok(lines)
    }

    /// Looks at a tile; one that cannot be decoded is left out, and said once.
    fn look(
        &self,
        tile: &Tile,
        pixels: cleanslide_slide::Result<RgbImage>,
        found: &mut F::Found,
        said: &mut BTreeSet<String>,
    ) -> Result<TileLine> {
        let pixels = match pixels {
            Ok(pixels) => pixels,
            Err(error) if self.request.strict => return Err(error.into()),
            Err(error) => {
                let problem = error.to_string();
                if said.insert(problem.clone()) {
                    self.context.output.warn(&problem);
                }
                return Ok(TileLine::left_out(tile.tile));
            }
        };
        Ok(TileLine {
            counts: self.finder.look(tile, &pixels, found)?,
            ..TileLine::left_out(tile.tile)
        })
    }
}

/// Opens a slide; what is told of the size of its pixels holds where it does not say it itself.
pub fn open_slide(path: &Path, microns_per_pixel: Option<f64>) -> Result<Slide> {
    let options = OpenOptions::default();
    let slide = Slide::open(path, &options)?;
    if slide.microns_per_pixel().is_ok() {
        return Ok(slide);
    }
    let told = OpenOptions {
        microns_per_pixel,
        ..options
    };
    Ok(Slide::open(path, &told)?)
}
