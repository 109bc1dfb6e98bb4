//! Embeddings of images and of the tiles of slides, in blocks that machines can share among them.
//!
//! ```text
//! OUT/request.json                             what was asked; the same goes on where it stopped
//! OUT/plan.csv                                 the blocks, with how many images or tiles each is to have
//! OUT/images/block-00000.safetensors           embeddings [n, d] of images, f32 or f16
//! OUT/images/block-00000.csv                   row, image; no row for one that could not be read
//! OUT/slides/NAME/block-00000.safetensors      embeddings of tiles
//! OUT/slides/NAME/block-00000.csv              row, tile, left, top: its upper left in pixels of level 0
//! OUT/lock-I-of-N/                             while a process works on that share
//! ```
//!
//! No file hangs on the share that made it: the folders of several machines, put together, are that of one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use cleanslide_data::store::write_file;
use cleanslide_data::{Error as DataError, MAX_PIXELS, Row, Table, read_image, to_csv};
use cleanslide_learn::embedding_blocks::{Precision, Share, embed_items, to_bytes};
use cleanslide_nn::encoders::{Encoder, open};
use cleanslide_slide::{PlannedTile, Slide, TilePlan, TileSettings};
use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::arguments::EncoderArguments;
use crate::begun::{begin, is_begun};
use crate::commands::predict::inputs::Inputs;
use crate::commands::predict::networks::names;
use crate::commands::predict::slides::stains::{Reference, Tiles};
use crate::commands::predict::slides::tissue::tissue_of;
use crate::commands::predict::slides::{Scale, open_slide};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::held::Held;
use crate::output::{Show, count, thousands};
use crate::progress;

/// What is for files and slides, not for datasets.
#[derive(Debug, clap::Args)]
pub struct FilesArguments {
    /// Folder to write embeddings into, of files instead of a dataset
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// With `--out`: do the I-th of N equal parts of the work; the others are for other machines or other times
    #[arg(long, value_name = "I/N", value_parser = str::parse::<Share>)]
    shard: Option<Share>,
    /// With `--out`: write numbers of 16 bits, which take half the room
    #[arg(long)]
    half: bool,
    /// Slides: the side of a tile in pixels; by default that of the images that the encoder was made for, or 224
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=8192))]
    tile: Option<u32>,
    #[command(flatten)]
    scale: Scale,
}

impl FilesArguments {
    /// Refuses all of them, of a dataset.
    pub fn refuse(&self) -> Result<()> {
        let given = [
            ("--shard", self.shard.is_some()),
            ("--half", self.half),
            ("--tile", self.tile.is_some()),
            ("the scale of slides", self.scale.is_given()),
        ];
        match given.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((what, _)) => Err(Failure::usage(format!(
                "{what} is for embeddings of files, and those of a dataset are kept below it"
            ))
            .help("Name a folder for them with `--out`.")),
        }
    }
}

/// What decides the result, but the files: a folder that was begun with another request is not gone on with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Asked {
    program: String,
    encoder: String,
    /// Hash of the encoder.
    identity: String,
    dimension: usize,
    /// Of a number of an embedding.
    bits: u32,
    /// How slides are cut; nothing without slides.
    slides: Option<AskedOfSlides>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct AskedOfSlides {
    microns_per_pixel: f64,
    slide_microns_per_pixel: Option<f64>,
    tile: u32,
    tissue: f64,
    with_blur: bool,
    stain_reference: Option<Reference>,
}

#[derive(Debug, Serialize)]
struct Summary {
    folder: PathBuf,
    encoder: String,
    dimension: usize,
    images: usize,
    slides: usize,
    slides_left_out: usize,
    blocks: usize,
    /// Blocks of other parts of the work.
    of_others: usize,
    done_before: usize,
    computed: usize,
    left_out: usize,
    seconds: f64,
}

/// What a process does in the folder.
const EMBEDS: &str = "embeds the same part of the work";

/// Images or tiles of a block: what a kill can lose.
const BLOCK: usize = 1024;

/// The side of a tile where the encoder takes any.
const TILE: u32 = 224;

/// How many messages of the same kind are shown.
const SHOWN: usize = 5;

/// What is embedded.
enum Source {
    Images(Vec<(PathBuf, String)>),
    Slide {
        name: String,
        slide: Box<Slide>,
        plan: TilePlan,
        tiles: Vec<PlannedTile>,
        pixels: Tiles,
    },
}

impl Source {
    fn folder(&self) -> PathBuf {
        match self {
            Self::Images(_) => PathBuf::from("images"),
            Self::Slide { name, .. } => Path::new("slides").join(name),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Images(images) => images.len(),
            Self::Slide { tiles, .. } => tiles.len(),
        }
    }

    /// Names of the columns of a block's table, beside the row.
    fn columns(&self) -> &'static [&'static str] {
        match self {
            Self::Images(_) => &["image"],
            Self::Slide { .. } => &["tile", "left", "top"],
        }
    }

    /// What a block's table says of an item, beside its row.
    fn described(&self, item: usize) -> Vec<String> {
        match self {
            Self::Images(images) => vec![images[item].1.clone()],
            Self::Slide { tiles, .. } => {
                let tile = tiles[item];
                let [left, top] = [tile.left, tile.top].map(|place| format!("{place:.1}"));
                vec![tile.number.to_string(), left, top]
            }
        }
    }

    /// The pixels of an item.
    fn read(&self, item: usize, crop: Option<u32>) -> Result<RgbImage> {
        match self {
            Self::Slide {
                slide,
                plan,
                tiles,
                pixels,
                ..
            } => Ok(pixels.read(slide, plan, &tiles[item])?),
            Self::Images(images) => {
                let path = &images[item].0;
                let pixels = read_image(path, MAX_PIXELS)?.pixels;
                let (width, height) = pixels.dimensions();
                match crop.filter(|&crop| width.min(height) < crop) {
                    None => Ok(pixels),
                    Some(crop) => Err(Failure::input(format!(
                        "{}: it is {width}×{height} pixels, smaller than `--crop {crop}`",
                        path.display()
                    ))),
                }
            }
        }
    }
}

/// A block: its source, number in it, and items.
struct Planned {
    source: usize,
    number: usize,
    items: std::ops::Range<usize>,
}

impl Planned {
    /// Its file of this ending below a folder.
    fn file(&self, sources: &[Source], out: &Path, ending: &str) -> PathBuf {
        let folder = out.join(sources[self.source].folder());
        folder.join(format!("block-{:05}.{ending}", self.number))
    }

    /// Whether it is done.
    ///
    /// # Errors
    /// What is there is of other files or other tiles.
    fn is_done(&self, sources: &[Source], out: &Path) -> Result<bool> {
        let path = self.file(sources, out, "csv");
        if !path.exists() {
            return Ok(false);
        }
        let source = &sources[self.source];
        let table = Table::read(&path)?;
        let same = |(row, item): (&Row, usize)| {
            let told = source.described(item);
            let mut fields = told.iter().enumerate();
            fields.all(|(column, field)| row.get(column + 1) == field.trim())
        };
        let rows = table.rows();
        if rows.len() == self.items.len() && rows.iter().zip(self.items.clone()).all(same) {
            return Ok(true);
        }
        Err(
            Failure::usage(format!("{} is of other files than these", path.display())).help(
                "Blocks are made of files in the order of their names: embed these into another folder with `--out`.",
            ),
        )
    }
}

/// Embeds files into a folder; blocks that are done are kept.
pub fn run(
    context: &Context,
    inputs: &[PathBuf],
    encoder: &EncoderArguments,
    files: &FilesArguments,
    out: &Path,
) -> Result<()> {
    let start = Instant::now();
    let EncoderArguments { crop, strict, .. } = *encoder;
    let encoder = open(&encoder.encoder, crop)?;
    let inputs_of = Inputs::of(inputs, false)?;
    let asked = asked(encoder.as_ref(), crop, files, !inputs_of.slides.is_empty())?;
    let begun = is_begun(out, &asked, "another encoder or other settings")?;
    let slides = inputs_of.slides.len();
    let sources = sources(context, inputs, inputs_of, &asked, strict)?;
    let readable = sources
        .iter()
        .filter(|of| matches!(of, Source::Slide { .. }));
    let slides_left_out = slides - readable.count();
    let blocks = blocks(&sources);

    if !begun {
        begin(out, &asked)?;
    }
    let share = files.shard.unwrap_or(Share::WHOLE);
    let lock = out.join(format!("lock-{}-of-{}", share.part, share.of));
    fs::create_dir_all(&lock).map_err(|error| DataError::io("create", &lock, error))?;
    let held = Held::new(&lock, EMBEDS)?;
    let rows = blocks.iter().map(|block| {
        [
            block
                .file(&sources, Path::new(""), "safetensors")
                .to_string_lossy()
                .into_owned(),
            block.items.len().to_string(),
        ]
    });
    write_file(&out.join("plan.csv"), &to_csv(&["block", "items"], rows))?;

    let (mine, others): (Vec<_>, Vec<_>) = blocks
        .iter()
        .enumerate()
        .partition(|(number, _)| share.has(*number));
    let mut missing: Vec<&Planned> = Vec::new();
    for &(_, block) in &mine {
        if !block.is_done(&sources, out)? {
            missing.push(block);
        }
    }
    let mut work = Work {
        context,
        encoder: encoder.as_ref(),
        sources: &sources,
        out,
        precision: if files.half {
            Precision::Half
        } else {
            Precision::Single
        },
        crop,
        strict,
        told: BTreeSet::new(),
        computed: 0,
        left_out: 0,
        unreadable: Vec::new(),
    };
    let bar = progress::bar(
        "embedding",
        missing.iter().map(|block| block.items.len()).sum(),
    );
    for block in &missing {
        let before = bar.position();
        work.block(block, &|done| bar.set_position(before + done as u64))?;
    }
    bar.finish_and_clear();
    held.release()?;
    fs::remove_dir(&lock).map_err(|error| DataError::io("remove", &lock, error))?;
    if let Some(block) = work.unreadable.first() {
        return Err(Failure::input(format!(
            "{} could not be written, the first {}: nothing of what they are made of can be read",
            count(work.unreadable.len(), "block"),
            block.display()
        ))
        .help("All others are done. Mend the files, and run the same command again."));
    }
    context.output.show(&Summary {
        folder: out.to_owned(),
        encoder: encoder.name().to_owned(),
        dimension: encoder.dimension(),
        images: sources
            .iter()
            .map(|of| match of {
                Source::Images(images) => images.len(),
                Source::Slide { .. } => 0,
            })
            .sum(),
        slides: slides - slides_left_out,
        slides_left_out,
        blocks: blocks.len(),
        of_others: others.len(),
        done_before: mine.len() - missing.len(),
        computed: work.computed,
        left_out: work.left_out,
        seconds: start.elapsed().as_secs_f64(),
    })
}

fn asked(
    encoder: &dyn Encoder,
    crop: Option<u32>,
    files: &FilesArguments,
    slides: bool,
) -> Result<Asked> {
    let of_slides = || {
        let tile = files.tile.or(encoder.native_side()).unwrap_or(TILE);
        if let Some(crop) = crop.filter(|&crop| crop > tile) {
            return Err(Failure::usage(format!(
                "`--crop {crop}` is more than a tile of {tile} pixels"
            ))
            .help("Choose a smaller crop, or larger tiles with `--tile`."));
        }
        Ok(AskedOfSlides {
            microns_per_pixel: files
                .scale
                .pixels(encoder.microns_per_pixel(), encoder.name())?,
            slide_microns_per_pixel: files.scale.slide_microns_per_pixel,
            tile,
            tissue: files.scale.tissue,
            with_blur: files.scale.with_blur,
            stain_reference: files.scale.reference()?,
        })
    };
    Ok(Asked {
        program: crate::context::program(),
        encoder: encoder.name().to_owned(),
        identity: encoder.identity(),
        dimension: encoder.dimension(),
        bits: if files.half { 16 } else { 32 },
        slides: if slides { Some(of_slides()?) } else { None },
    })
}

/// The images together and each slide, with its tiles. What cannot be read is said before hours of work.
fn sources(
    context: &Context,
    given: &[PathBuf],
    inputs: Inputs,
    asked: &Asked,
    strict: bool,
) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    if !inputs.images.is_empty() {
        sources.push(Source::Images(image_names(given, inputs.images)?));
    }
    let Some(of_slides) = &asked.slides else {
        return Ok(sources);
    };
    let names = names(&inputs.slides, "slides")?;
    let bar = progress::bar("looking for tissue", names.len());
    for (path, name) in inputs.slides.iter().zip(&names) {
        match source(context, path, name, of_slides) {
            Ok(source) if source.len() == 0 => context.output.warn(&format!(
                "{}: no tile has a share of {} of tissue",
                path.display(),
                of_slides.tissue
            )),
            Ok(source) => sources.push(source),
            Err(failure) if strict || names.len() == 1 => return Err(failure),
            Err(failure) => context.output.warn(&failure.warning()),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if sources.is_empty() {
        return Err(Failure::input("nothing of what is given can be embedded"));
    }
    Ok(sources)
}

fn source(context: &Context, path: &Path, name: &str, asked: &AskedOfSlides) -> Result<Source> {
    let slide = Box::new(open_slide(path, asked.slide_microns_per_pixel)?);
    let settings = TileSettings {
        microns_per_pixel: Some(asked.microns_per_pixel),
        side: asked.tile,
        margin: 0,
    };
    let plan = TilePlan::new(&slide, &settings)?;
    let tissue = tissue_of(context, &slide, asked.with_blur)?;
    let tiles = plan.with_tissue(&tissue, asked.tissue);
    Ok(Source::Slide {
        pixels: Tiles::new(asked.stain_reference.as_ref(), &slide, &plan, &tiles)?,
        name: name.to_owned(),
        slide,
        plan,
        tiles,
    })
}

/// Images with their names: within a folder that was given, with the folder's name, so that they are the same on every
/// machine.
fn image_names(given: &[PathBuf], images: Vec<PathBuf>) -> Result<Vec<(PathBuf, String)>> {
    let mut known = BTreeSet::new();
    let named = images.into_iter().map(|image| {
        let parent = given
            .iter()
            .filter(|input| image.starts_with(input))
            .find_map(|input| input.parent());
        let name = parent.map_or(image.as_path(), |parent| {
            image.strip_prefix(parent).unwrap_or(&image)
        });
        // Of the folder `.`, its name is no part.
        let parts = name.iter().filter(|part| *part != ".");
        let parts: Vec<_> = parts.map(|part| part.to_string_lossy()).collect();
        let name = parts.join("/");
        if known.insert(name.clone()) {
            return Ok((image, name));
        }
        Err(Failure::usage(format!("two images are called {name}"))
            .help("Embed their folders one by one, with a folder of results each."))
    });
    named.collect()
}

fn blocks(sources: &[Source]) -> Vec<Planned> {
    let mut blocks = Vec::new();
    for (source, of) in sources.iter().enumerate() {
        for (number, start) in (0..of.len()).step_by(BLOCK).enumerate() {
            let items = start..(start + BLOCK).min(of.len());
            blocks.push(Planned {
                source,
                number,
                items,
            });
        }
    }
    blocks
}

/// What is needed to do a block.
struct Work<'a> {
    context: &'a Context,
    encoder: &'a dyn Encoder,
    sources: &'a [Source],
    out: &'a Path,
    precision: Precision,
    crop: Option<u32>,
    strict: bool,
    /// Messages that were shown.
    told: BTreeSet<String>,
    computed: usize,
    left_out: usize,
    /// Blocks of which nothing could be read: they are not written, and tried again the next time.
    unreadable: Vec<PathBuf>,
}

impl Work<'_> {
    /// Embeds the items of a block and writes it; its table, by which it counts as done, comes last.
    fn block(&mut self, block: &Planned, done: &dyn Fn(usize)) -> Result<()> {
        let source = &self.sources[block.source];
        let items: Vec<usize> = block.items.clone().collect();
        let read = |&item: &usize| source.read(item, self.crop);
        let made = embed_items(self.encoder, &items, &read, done)?;
        let mut lines = Vec::new();
        for (item, row) in items.into_iter().zip(made.rows) {
            let row = match row {
                Ok(row) => row.to_string(),
                Err(failure) if self.strict => return Err(failure),
                Err(failure) => {
                    self.tell(failure.message());
                    String::new()
                }
            };
            let mut line = vec![row];
            line.extend(source.described(item));
            lines.push(line);
        }
        let path = block.file(self.sources, self.out, "safetensors");
        if made.features.is_empty() {
            self.unreadable.push(path);
            return Ok(());
        }
        let bytes = to_bytes(made.features.view(), self.precision).ok_or_else(|| {
            Failure::input(format!(
                "{} gives numbers that 16 bits do not hold",
                self.encoder.name()
            ))
            .help("Leave `--half` out.")
        })?;
        write_file(&path, &bytes)?;
        let header = [&["row"], source.columns()].concat();
        write_file(
            &block.file(self.sources, self.out, "csv"),
            &to_csv(&header, lines),
        )?;
        self.computed += made.features.nrows();
        Ok(())
    }

    /// Says that an item is left out, as long as there are few.
    fn tell(&mut self, problem: &str) {
        self.left_out += 1;
        if self.told.len() < SHOWN && self.told.insert(problem.to_owned()) {
            self.context.output.warn(problem);
        }
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut what = Vec::new();
        if self.images > 0 {
            what.push(count(self.images, "image"));
        }
        if self.slides > 0 {
            what.push(count(self.slides, "slide"));
        }
        let mut text = format!(
            "{}: {} × {} features of {} by {}, in {:.1} s",
            self.folder.display(),
            thousands(self.computed),
            thousands(self.dimension),
            what.join(" and "),
            self.encoder,
            self.seconds
        );
        if self.done_before > 0 {
            text.push_str(&format!(
                "; {} done before",
                count(self.done_before, "block")
            ));
        }
        if self.of_others > 0 {
            text.push_str(&format!(
                "\n{} of {} for other shards",
                thousands(self.of_others),
                count(self.blocks, "block")
            ));
        }
        if self.left_out > 0 {
            text.push_str(&format!(
                "\n{} left out; `--strict` stops at the first",
                count(self.left_out, "unreadable item")
            ));
        }
        if self.slides_left_out > 0 {
            text.push_str(&format!(
                "\n{} left out",
                count(self.slides_left_out, "slide")
            ));
        }
        text
    }
}
