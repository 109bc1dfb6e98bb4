//! Embeddings of images and of the tiles of slides, in blocks that machines can share among them.
//!
//! ```text
//! OUT/request.json                             what was asked; the same goes on where it stopped
//! OUT/plan.csv                                 the blocks, with how many images or tiles each is to have
//! OUT/images/block-00000.safetensors           embeddings [n, d] of images, f32 or f16
//! OUT/images/block-00000.csv                   row, image, hash of its file; no row for one that could not be read
//! OUT/slides/NAME/slide.json                   which slide it is, and how large
//! OUT/slides/NAME/tiles.csv                    the numbers of its tiles with tissue
//! OUT/slides/NAME/block-00000.safetensors      embeddings of tiles
//! OUT/slides/NAME/block-00000.csv              row, tile, left, top: its upper left in pixels of level 0
//! OUT/lock-I-of-N/                             while a process works on that share
//! ```
//!
//! No file hangs on the share that made it: the folders of several machines, put together, are that of one. What hangs on images that
//! have changed since is made anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use cleanslide_data::store::write_file;
use cleanslide_data::{Error as DataError, MAX_PIXELS, Table, read_image, refuse_smaller, to_csv};
use cleanslide_learn::embedding_blocks::{Precision, Share, embed_items, to_bytes};
use cleanslide_nn::encoders::{Encoder, open};
use cleanslide_slide::{PlannedTile, Slide, TilePlan, TileSettings};
use image::RgbImage;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::arguments::EncoderArguments;
use crate::begun::{begin, is_begun};
use crate::commands::predict::inputs::{Inputs, Slides};
use crate::commands::predict::networks::names;
use crate::commands::predict::slides::stains::{Reference, Tiles};
use crate::commands::predict::slides::tissue::{SlideRecord, tissue_of};
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
    network: Option<String>,
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

/// What a folder may have been begun with, for messages.
const OTHERS: &str = "another encoder or other settings";
/// What a process does in the folder.
const EMBEDS: &str = "embeds the same part of the work";

/// Images or tiles of a block: what a kill can lose.
const BLOCK: usize = 1024;

/// The side of a tile where the encoder takes any.
const TILE: u32 = 224;

/// How many messages of the same kind are shown.
const SHOWN: usize = 5;

/// What is embedded.
enum Source<'a> {
    Images(Vec<OfImage>),
    Slide(Box<OfSlide<'a>>),
}

/// An image.
struct OfImage {
    path: PathBuf,
    name: String,
    /// Of its file, once it is known.
    hash: OnceLock<String>,
}

impl OfImage {
    fn read(&self, crop: Option<u32>) -> Result<RgbImage> {
        let image = read_image(&self.path, MAX_PIXELS)?;
        // Where it is known already, a file that changed in between is found to differ the next time.
        let _ = self.hash.set(image.hash);
        refuse_smaller(&self.path, &image.pixels, crop)?;
        Ok(image.pixels)
    }

    /// The hash of its file; nothing of one that cannot be read now: when it can, it differs.
    fn hash(&self) -> &str {
        self.hash.get_or_init(|| {
            let bytes = fs::read(&self.path);
            bytes.map_or_else(
                |_| String::new(),
                |bytes| blake3::hash(&bytes).to_hex().to_string(),
            )
        })
    }
}

/// A slide that is cut into tiles. It is opened block by block: of thousands neither files nor pixels are kept.
struct OfSlide<'a> {
    path: PathBuf,
    name: String,
    /// Its place among all that are given, whether they can be read or not.
    place: usize,
    record: SlideRecord,
    plan: TilePlan,
    tiles: Vec<PlannedTile>,
    asked: &'a AskedOfSlides,
    /// How its tiles are read, once its stains are estimated.
    pixels: OnceLock<Tiles>,
}

impl OfSlide<'_> {
    fn open(&self) -> Result<Slide> {
        open_slide(&self.path, self.asked.slide_microns_per_pixel)
    }

    /// How tiles are read: the stains of the slide are estimated once.
    fn pixels(&self, slide: &Slide) -> Result<&Tiles> {
        if let Some(known) = self.pixels.get() {
            return Ok(known);
        }
        let reference = self.asked.stain_reference.as_ref();
        let estimated = Tiles::new(reference, slide, &self.plan, &self.tiles)?;
        Ok(self.pixels.get_or_init(|| estimated))
    }
}

impl Source<'_> {
    fn folder(&self) -> PathBuf {
        match self {
            Self::Images(_) => PathBuf::from("images"),
            Self::Slide(of) => Path::new(SLIDES).join(&of.name),
        }
    }

    /// A number that all machines give it, whatever they can read.
    fn place(&self) -> usize {
        match self {
            Self::Images(_) => 0,
            Self::Slide(of) => of.place,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Images(images) => images.len(),
            Self::Slide(of) => of.tiles.len(),
        }
    }

    /// Names of the columns of a block's table, beside the row.
    fn columns(&self) -> &'static [&'static str] {
        match self {
            Self::Images(_) => &["image", "hash"],
            Self::Slide(_) => &["tile", "left", "top"],
        }
    }

    /// How many of the columns say which item it is; the others are of its content.
    fn names(&self) -> usize {
        match self {
            Self::Images(_) => 1,
            Self::Slide(_) => 3,
        }
    }

    /// What a block's table says of an item, beside its row.
    fn described(&self, item: usize) -> Vec<String> {
        match self {
            Self::Images(images) => {
                let image = &images[item];
                vec![image.name.clone(), image.hash().to_owned()]
            }
            Self::Slide(of) => {
                let tile = of.tiles[item];
                let [left, top] = [tile.left, tile.top].map(|place| format!("{place:.1}"));
                vec![tile.number.to_string(), left, top]
            }
        }
    }
}

/// What the items of a source are read from.
enum Reader<'a> {
    Images(&'a [OfImage], Option<u32>),
    Slide(&'a OfSlide<'a>, Box<Slide>, &'a Tiles),
}

impl<'a> Reader<'a> {
    fn open(source: &'a Source, crop: Option<u32>) -> Result<Self> {
        Ok(match source {
            Source::Images(images) => Self::Images(images, crop),
            Source::Slide(of) => {
                let slide = of.open()?;
                let pixels = of.pixels(&slide)?;
                Self::Slide(of, Box::new(slide), pixels)
            }
        })
    }

    /// The pixels of an item.
    fn read(&self, item: usize) -> Result<RgbImage> {
        match self {
            Self::Images(images, crop) => images[item].read(*crop),
            Self::Slide(of, slide, pixels) => Ok(pixels.read(slide, &of.plan, &of.tiles[item])?),
        }
    }
}

/// Whether what cannot be read ends the work, and how much of images is read to know.
#[derive(Clone, Copy)]
enum Strict {
    No,
    Yes { crop: Option<u32> },
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

    /// Whether it is done, and of the same content.
    ///
    /// # Errors
    /// What is there is of other files or other tiles; if `strict`, an image in it still cannot be read.
    fn is_done(&self, sources: &[Source], out: &Path, strict: Strict) -> Result<bool> {
        let path = self.file(sources, out, "csv");
        if !path.exists() {
            return Ok(false);
        }
        let source = &sources[self.source];
        let table = Table::read(&path)?;
        let items: Vec<usize> = self.items.clone().collect();
        let told: Vec<Vec<String>> = items
            .par_iter()
            .map(|item| source.described(*item))
            .collect();
        let rows = table.rows();
        let same = |columns: usize| {
            let mut pairs = rows.iter().zip(&told);
            pairs.all(|(row, told)| {
                let mut fields = told.iter().take(columns).enumerate();
                fields.all(|(column, field)| row.get(column + 1) == field.trim())
            })
        };
        if rows.len() == told.len() && same(source.names()) {
            let left_out = || {
                rows.iter()
                    .zip(&items)
                    .filter(|(row, _)| row.get(0).is_empty())
            };
            return match (source, strict) {
                // Tiles that could not be decoded are tried again; of images the content tells.
                (Source::Slide(_), _) => Ok(left_out().next().is_none()),
                (Source::Images(_), Strict::No) => Ok(same(source.columns().len())),
                (Source::Images(images), Strict::Yes { crop }) => {
                    for (_, &item) in left_out() {
                        images[item].read(crop)?;
                    }
                    Ok(left_out().next().is_none() && same(source.columns().len()))
                }
            };
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
    let inputs_of = Inputs::read(context, inputs, slides_among(files))?;
    let asked = asked(encoder.as_ref(), crop, files, !inputs_of.slides.is_empty())?;
    let begun = is_begun(out, &asked, OTHERS)?;
    let share = files.shard.unwrap_or(Share::WHOLE);
    let slides = openable(context, &inputs_of.slides, &asked, strict)?;
    let slides_left_out = inputs_of.slides.len() - slides.len();
    let images = image_names(inputs, inputs_of.images)?;
    if images.is_empty() && slides.is_empty() {
        return Err(Failure::input("nothing of what is given can be embedded"));
    }
    if !begun {
        begin(out, &asked)?;
        // Another process may have begun with another request at the same time.
        is_begun(out, &asked, OTHERS)?;
    }
    let lock = out.join(format!("lock-{}-of-{}", share.part, share.of));
    fs::create_dir_all(&lock).map_err(|error| DataError::io("create", &lock, error))?;
    let held = Held::new(&lock, EMBEDS)?;
    let mut sources = Vec::new();
    if !images.is_empty() {
        sources.push(Source::Images(images));
    }
    let searched = slides.len();
    let slides = with_tiles(context, slides, out, (share, strict))?;
    let slides_left_out = slides_left_out + searched - slides.len();
    sources.extend(slides.into_iter().map(|of| Source::Slide(Box::new(of))));
    let blocks = blocks(&sources);
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

    // By what all machines know, even of a slide that only some of them can read.
    let piece = |block: &Planned| sources[block.source].place() + block.number;
    let (mine, others): (Vec<&Planned>, Vec<&Planned>) =
        blocks.iter().partition(|block| share.has(piece(block)));
    let reading = match strict {
        true => Strict::Yes { crop },
        false => Strict::No,
    };
    let mut missing: Vec<&Planned> = Vec::new();
    for &block in &mine {
        if !block.is_done(&sources, out, reading)? {
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
        network: encoder.network(),
        dimension: encoder.dimension(),
        images: sources
            .iter()
            .map(|of| match of {
                Source::Images(images) => images.len(),
                Source::Slide(_) => 0,
            })
            .sum(),
        slides: sources
            .iter()
            .filter(|of| matches!(of, Source::Slide(_)))
            .count(),
        slides_left_out,
        blocks: blocks.len(),
        of_others: others.len(),
        done_before: mine.len() - missing.len(),
        computed: work.computed,
        left_out: work.left_out,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// Which files are slides: folders of images may have TIFF files of any kind.
fn slides_among(files: &FilesArguments) -> Slides {
    match files.scale.slides() {
        Slides::All => Slides::Tiff,
        others => others,
    }
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

/// The slides that can be opened, with their places among all, names and plans. What cannot be read is said before hours of work.
fn openable<'a>(
    context: &Context,
    slides: &[PathBuf],
    asked: &'a Asked,
    strict: bool,
) -> Result<Vec<OfSlide<'a>>> {
    let Some(asked) = &asked.slides else {
        return Ok(Vec::new());
    };
    let names = names(slides, "slides")?;
    let mut opened = Vec::new();
    for (place, (path, name)) in slides.iter().zip(&names).enumerate() {
        match planned(path, asked) {
            Ok((record, plan)) => opened.push(OfSlide {
                path: path.clone(),
                name: name.clone(),
                place,
                record,
                plan,
                tiles: Vec::new(),
                asked,
                pixels: OnceLock::new(),
            }),
            Err(failure) if strict || names.len() == 1 => return Err(failure),
            Err(failure) => context.output.warn(&failure.warning()),
        }
    }
    Ok(opened)
}

fn planned(path: &Path, asked: &AskedOfSlides) -> Result<(SlideRecord, TilePlan)> {
    let slide = open_slide(path, asked.slide_microns_per_pixel)?;
    let settings = TileSettings {
        microns_per_pixel: Some(asked.microns_per_pixel),
        side: asked.tile,
        margin: 0,
    };
    let plan = TilePlan::new(&slide, &settings)?;
    Ok((SlideRecord::of(&slide)?, plan))
}

/// The slides with their tiles with tissue, each kept as soon as it is known. Every share begins with other slides, so that those that
/// work in one folder at the same time find what the others have found.
fn with_tiles<'a>(
    context: &Context,
    mut slides: Vec<OfSlide<'a>>,
    out: &Path,
    (share, strict): (Share, bool),
) -> Result<Vec<OfSlide<'a>>> {
    let bar = progress::bar("looking for tissue", slides.len());
    let first = slides.len() * (share.part.get() - 1) / share.of.get();
    slides.rotate_left(first);
    let strict = strict || slides.len() == 1;
    let mut found = Vec::new();
    for mut of in slides {
        let folder = out.join(SLIDES).join(&of.name);
        match known_tiles(&folder, &of)? {
            Some(tiles) => of.tiles = tiles,
            None => match search(context, &mut of) {
                Ok(()) => keep_tiles(&folder, &of)?,
                Err(failure) if strict => return Err(failure),
                Err(failure) => {
                    context.output.warn(&failure.warning());
                    continue;
                }
            },
        }
        if of.tiles.is_empty() {
            context.output.warn(&format!(
                "{}: no tile has a share of {} of tissue",
                of.path.display(),
                of.asked.tissue
            ));
        }
        bar.inc(1);
        found.push(of);
    }
    bar.finish_and_clear();
    found.sort_by_key(|of| of.place);
    Ok(found)
}

/// Finds the tiles of a slide that have tissue. That its stains cannot be told is found out here, too.
fn search(context: &Context, of: &mut OfSlide) -> Result<()> {
    let slide = of.open()?;
    let tissue = tissue_of(context, &slide, of.asked.with_blur)?;
    of.tiles = of.plan.with_tissue(&tissue, of.asked.tissue);
    of.pixels(&slide).map(drop)
}

/// The folder of the slides.
const SLIDES: &str = "slides";
/// The table of the tiles of a slide.
const TILES: &str = "tiles.csv";

/// The tiles with tissue that another share of the work, or an earlier run of this one, has found.
///
/// # Errors
/// They are of another slide.
fn known_tiles(folder: &Path, of: &OfSlide) -> Result<Option<Vec<PlannedTile>>> {
    let path = folder.join(TILES);
    if !path.exists() {
        return Ok(None);
    }
    let other = || {
        Failure::usage(format!(
            "{} is of another slide than {}",
            path.display(),
            of.path.display()
        ))
        .help("Remove that folder to embed this slide, or choose another with `--out`.")
    };
    if !of.record.is_of(folder)? {
        return Err(other());
    }
    let table = Table::read(&path)?;
    let numbers = table.rows().iter().map(|row| {
        let number = row.get(0).parse().ok();
        number.filter(|number| *number < of.plan.count())
    });
    let numbers: Option<Vec<u64>> = numbers.collect();
    let numbers = numbers.ok_or_else(other)?.into_iter();
    Ok(Some(numbers.map(|number| of.plan.tile(number)).collect()))
}

/// Keeps the tiles of a slide; their table, by which they count as known, comes last.
fn keep_tiles(folder: &Path, of: &OfSlide) -> Result<()> {
    of.record.write(folder)?;
    let numbers = of.tiles.iter().map(|tile| [tile.number.to_string()]);
    Ok(write_file(
        &folder.join(TILES),
        &to_csv(&["tile"], numbers),
    )?)
}

/// Images with their names: within a folder that was given, with the folder's name, so that they are the same on every
/// machine.
fn image_names(given: &[PathBuf], images: Vec<PathBuf>) -> Result<Vec<OfImage>> {
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
            return Ok(OfImage {
                path: image,
                name,
                hash: OnceLock::new(),
            });
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
    sources: &'a [Source<'a>],
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
        let reader = Reader::open(source, self.crop)?;
        let read = |&item: &usize| reader.read(item);
        let made = embed_items(self.encoder, &items, &read, done)?;
        let mut lines = Vec::new();
        let mut refused = None;
        for (item, row) in items.into_iter().zip(made.rows) {
            let row = match row {
                Ok(row) => row.to_string(),
                Err(failure) if self.strict => {
                    refused = refused.or(Some(failure));
                    String::new()
                }
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
            return refused.map_or(Ok(()), Err);
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
        // What was computed beside it is kept.
        refused.map_or(Ok(()), Err)
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
        let network = self.network.as_ref();
        let mut text = format!(
            "{}: {} × {} features of {} by {}{}, in {:.1} s",
            self.folder.display(),
            thousands(self.computed),
            thousands(self.dimension),
            what.join(" and "),
            self.encoder,
            network.map_or_else(String::new, |network| format!(" ({network})")),
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
