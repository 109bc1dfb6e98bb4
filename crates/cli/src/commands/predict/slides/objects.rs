//! Objects on slides: outlines by networks for masks of objects, boxes by detectors.

use std::io;
use std::path::Path;

use cleanslide_data::formats::{Annotation, Attribute, Shape, geojson};
use cleanslide_data::store::{write_file, write_file_with};
use cleanslide_data::{Error, Point, Polygon, Rectangle, to_csv, write_csv};
use cleanslide_image::contour::{outlines, simplify};
use cleanslide_image::region::statistics;
use cleanslide_learn::detect::{Detector, DetectorPredictSettings};
use cleanslide_learn::segment::{ObjectSettings, PredictSettings, Segmenter, objects_of_classes};
use cleanslide_report::number::Format;
use cleanslide_report::table::{Cell, Column, Table};
use cleanslide_slide::{Slide, TilePlan};
use image::RgbImage;
use ndarray::{ArrayView3, Axis};
use serde::{Deserialize, Serialize};

use super::colours::{mix, of_objects};
use super::map::{OVERLAY, png};
use super::seams::{Seams, Whole};
use super::work::{Rows, TileLine};
use super::{Asked, Done, Finder, Looking, Predicts, Request, Tile, left_out, page};
use crate::commands::predict::networks::network;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::json_file::read_json;
use crate::network_run::{BoxRecipe, Labelled, NetworkManifest, PixelRecipe, read_config};
use crate::output::{Show, count, thousands};
use crate::text_table::TextTable;

/// Outlines leave the edges of pixels by at most so much of one.
const TOLERANCE: f64 = 0.5;
/// How much of the overlay is colour where an outline runs.
const OPACITY: f32 = 0.8;

/// An object on a slide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The number of its tile.
    pub tile: u64,
    pub class: usize,
    /// How sure the network is: the score of a box, or the mean probability of the pixels to belong to an object.
    pub score: f64,
    /// Its middle in pixels of level 0.
    pub middle: [f64; 2],
    /// By how many pixels of the network its middle lies within its tile without the margins; below 0 it lies in them.
    pub depth: f64,
    /// In square microns.
    pub area: f64,
    /// Its outline and holes, or the corners of its box, in pixels of level 0.
    pub rings: Vec<Vec<[f64; 2]>>,
}

impl Found {
    /// Its outline.
    pub fn polygon(&self) -> Polygon {
        let mut rings = self.rings.iter().map(|ring| {
            let points = ring.iter().map(|&[x, y]| Point { x, y });
            points.collect::<Vec<_>>()
        });
        Polygon {
            outline: rings.next().unwrap_or_default(),
            holes: rings.collect(),
        }
    }
}

/// A network that finds objects.
enum Network {
    Masks(Box<Segmenter>, PredictSettings, ObjectSettings),
    Boxes(Box<Detector>, DetectorPredictSettings),
}

impl Network {
    fn open(request: &Request, manifest: &NetworkManifest) -> Result<(Self, Vec<u8>)> {
        let (bytes, file) = network(request.run, manifest)?;
        let device = request.device.open()?.device;
        let opened = if manifest.kind == Labelled::Boxes {
            let recipe: BoxRecipe = read_config(request.run)?;
            let predict = DetectorPredictSettings {
                turns: request.turns.unwrap_or(recipe.predict.turns),
                ..recipe.predict
            };
            let detector = Detector::from_bytes(&bytes, &file, &device)?;
            Self::Boxes(Box::new(detector), predict)
        } else {
            let recipe: PixelRecipe = read_config(request.run)?;
            let predict = PredictSettings {
                turns: request.turns.unwrap_or(recipe.predict.turns),
                ..recipe.predict
            };
            let segmenter = Segmenter::from_bytes(&bytes, &file, &device)?;
            Self::Masks(Box::new(segmenter), predict, recipe.objects)
        };
        Ok((opened, bytes))
    }

    fn predicts(&self) -> Predicts {
        match self {
            Self::Masks(_, predict, objects) => Predicts::Objects {
                predict: predict.clone(),
                objects: objects.clone(),
            },
            Self::Boxes(_, predict) => Predicts::Boxes(predict.clone()),
        }
    }

    /// When two objects of different tiles are one: masks never lie over each other, boxes may by a part.
    fn same(&self) -> Whole {
        match self {
            Self::Masks(..) => Whole::Masks,
            Self::Boxes(_, predict) => Whole::Boxes(predict.suppression),
        }
    }
}

struct Objects<'a> {
    network: Network,
    asked: &'a Asked,
}

/// How many objects of a class there are on a slide.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Count {
    slide: String,
    class: String,
    objects: u64,
    /// The tissue that was looked at, in square millimetres.
    tissue_mm2: f64,
    /// Objects in a square millimetre of it; nothing if there is none.
    per_mm2: Option<f64>,
    /// Tiles of the slide that could not be decoded, and are in no figure.
    left_out_tiles: usize,
}

#[derive(Debug, Serialize)]
struct Summary<'a> {
    folder: &'a Path,
    slides: usize,
    slides_left_out: usize,
    tiles: u64,
    left_out: u64,
    counts: Vec<Count>,
    #[serde(skip)]
    text: String,
}

/// Finds objects on slides; those that are done are kept.
pub fn run(context: &Context, request: &Request, manifest: &NetworkManifest) -> Result<()> {
    let (network, bytes) = Network::open(request, manifest)?;
    let asked = Asked::new(request, manifest, &bytes, network.predicts())?;
    let finder = Objects {
        network,
        asked: &asked,
    };
    let looking = Looking {
        context,
        request,
        asked: &asked,
        finder: &finder,
    };
    let done = looking.all()?;
    let of = |slides: &[(String, Vec<TileLine>)]| -> Vec<Count> {
        let slides = slides.iter();
        slides
            .flat_map(|(name, lines)| finder.counts(name, lines))
            .collect()
    };
    let in_folder = of(&done.in_folder);
    let rows = in_folder.iter().map(|of| {
        [
            of.slide.clone(),
            of.class.clone(),
            of.objects.to_string(),
            format!("{:.6}", of.tissue_mm2),
            of.per_mm2.map_or_else(String::new, |of| format!("{of:.3}")),
            of.left_out_tiles.to_string(),
        ]
    });
    let header = [
        "slide",
        "class",
        "objects",
        "tissue_mm2",
        "per_mm2",
        "left_out_tiles",
    ];
    write_file(&request.out.join("counts.csv"), &to_csv(&header, rows))?;
    page::write(request.out, shown(request, &asked, &done, &in_folder))?;
    let summary = Summary {
        folder: request.out,
        slides: done.slides.len(),
        slides_left_out: done.left_out,
        tiles: done.tiles(),
        left_out: done.damaged(),
        counts: of(&done.slides),
        text: done.text(),
    };
    done.held.release()?;
    context.output.show(&summary)
}

/// What the page shows.
fn shown<'a>(
    request: &'a Request,
    asked: &Asked,
    done: &'a Done,
    counts: &[Count],
) -> page::Shown<'a> {
    let row = |of: &Count| {
        vec![
            Cell::text(&of.slide),
            Cell::text(&of.class),
            Cell::Number(of.objects as f64),
            Cell::Number(of.per_mm2.unwrap_or(f64::NAN)),
            Cell::Number(of.tissue_mm2),
        ]
    };
    let colours = asked.classes.iter().enumerate();
    let of_slides = counts.chunks(asked.classes.len().max(1));
    page::Shown {
        run: request.run,
        slides: &done.in_folder,
        amounts: Table {
            title: "Objects".to_owned(),
            caption: "In the tissue that was looked at.".to_owned(),
            columns: vec![
                Column::text("slide"),
                Column::text("class"),
                Column::number("objects", Format::Count),
                Column::number("in 1 mm² of tissue", Format::Decimal(1)),
                Column::number("tissue, mm²", Format::Decimal(3)),
            ],
            rows: counts.iter().map(row).collect(),
            footnote: String::new(),
        },
        colours: colours
            .map(|(class, name)| (of_objects(class), name.clone()))
            .collect(),
        words: of_slides
            .map(|counts| {
                let all: u64 = counts.iter().map(|of| of.objects).sum();
                count(all as usize, "object")
            })
            .collect(),
    }
}

impl Objects<'_> {
    fn counts(&self, name: &str, lines: &[TileLine]) -> Vec<Count> {
        let sum = |column: usize| -> u64 {
            let of = lines.iter().filter_map(|line| line.counts.get(column));
            of.sum()
        };
        let tissue = sum(0) as f64 * (self.asked.microns_per_pixel / 1000.0).powi(2);
        let classes = self.asked.classes.iter().enumerate();
        classes
            .map(|(class, of)| Count {
                slide: name.to_owned(),
                class: of.clone(),
                objects: sum(class + 1),
                tissue_mm2: tissue,
                per_mm2: (tissue > 0.0).then(|| sum(class + 1) as f64 / tissue),
                left_out_tiles: left_out(lines),
            })
            .collect()
    }

    /// All objects of a tile, also those of other tiles, in its own pixels.
    fn in_pixels(&self, pixels: &RgbImage, side: usize) -> Result<Vec<InPixels>> {
        match &self.network {
            Network::Masks(segmenter, predict, objects) => {
                let predict = PredictSettings {
                    tile: side,
                    ..predict.clone()
                };
                let said = segmenter.predict(pixels, &predict)?;
                outlined(said.view(), objects)
            }
            Network::Boxes(detector, predict) => {
                let predict = DetectorPredictSettings {
                    tile: side,
                    ..predict.clone()
                };
                let found = detector.predict(pixels, &predict)?.into_iter();
                let boxed = found.map(|found| InPixels {
                    class: found.class,
                    score: found.score,
                    middle: found.rectangle.centre(),
                    area: found.rectangle.area(),
                    rings: vec![found.rectangle.corners().to_vec()],
                });
                Ok(boxed.collect())
            }
        }
    }
}

/// An object in the pixels of a tile.
struct InPixels {
    class: usize,
    score: f64,
    middle: Point,
    area: f64,
    rings: Vec<Vec<Point>>,
}

/// Objects by the probabilities of the classes of pixels.
fn outlined(said: ArrayView3<'_, f32>, settings: &ObjectSettings) -> Result<Vec<InPixels>> {
    let (mask, classes) = objects_of_classes(said, settings)?;
    let mut sums = vec![0.0; classes.len()];
    let background = said.index_axis(Axis(0), 0);
    for (&object, &background) in mask.iter().zip(background) {
        if object > 0 {
            sums[object as usize - 1] += 1.0 - f64::from(background);
        }
    }
    let mut polygons: Vec<Option<Polygon>> = vec![None; classes.len()];
    for outline in outlines(mask.view())? {
        // An object that hangs together at corners only is outlined by its largest part.
        let known = &mut polygons[outline.label as usize - 1];
        let area = known.as_ref().map_or(0.0, Polygon::area);
        if outline.polygon.area() > area {
            *known = Some(outline.polygon);
        }
    }
    let mut found = Vec::new();
    for object in statistics(mask.view()) {
        let place = object.label as usize - 1;
        let Some(polygon) = &polygons[place] else {
            continue;
        };
        let rings = polygon.rings().map(|ring| simplify(ring, TOLERANCE));
        let (x, y) = object.centroid;
        found.push(InPixels {
            class: classes[place],
            score: sums[place] / object.area as f64,
            middle: Point { x, y },
            area: object.area as f64,
            rings: rings.collect::<std::result::Result<_, _>>()?,
        });
    }
    Ok(found)
}

impl Finder for Objects<'_> {
    type Found = Vec<Found>;

    /// An object that is no longer than the overlap is whole in the tile that its middle is in.
    fn tiles(&self) -> (u32, u32) {
        let (tile, overlap) = match &self.network {
            Network::Masks(_, predict, _) => (predict.tile, predict.overlap),
            Network::Boxes(_, predict) => (predict.tile, predict.overlap),
        };
        (tile as u32, (overlap / 2) as u32)
    }

    fn columns(&self) -> Vec<String> {
        let first = std::iter::once("tissue_pixels".to_owned());
        first.chain(self.asked.classes.iter().cloned()).collect()
    }

    fn nothing(&self, _: &TilePlan) -> Vec<Found> {
        Vec::new()
    }

    /// Pixels of tissue; objects are counted when all tiles are done.
    fn look(&self, tile: &Tile, pixels: &RgbImage, found: &mut Vec<Found>) -> Result<Vec<u64>> {
        let (margin, side) = (tile.plan.margin, tile.plan.side);
        let [first, last] = [margin, side - margin].map(f64::from);
        // What two tiles place a little differently is in both, and one of them stays.
        let least = -f64::from(margin) / 2.0;
        for object in self.in_pixels(pixels, side as usize)? {
            let middle = [object.middle.x, object.middle.y];
            let depth = middle
                .map(|at| (at - first).min(last - at))
                .into_iter()
                .fold(f64::INFINITY, f64::min);
            if depth < least || !tile.counts(middle) {
                continue;
            }
            let on_slide = |place| tile.on_slide(place).map(hundredths);
            let ring = |ring: &Vec<Point>| ring.iter().map(|at| on_slide([at.x, at.y])).collect();
            found.push(Found {
                tile: tile.tile.number,
                class: object.class,
                score: object.score,
                middle: on_slide(middle),
                depth,
                area: object.area * self.asked.microns_per_pixel.powi(2),
                rings: object.rings.iter().map(ring).collect(),
            });
        }
        let inner = margin..side - margin;
        let places = inner
            .clone()
            .flat_map(|y| inner.clone().map(move |x| [x, y]));
        let tissue = places.filter(|place| tile.counts(place.map(|at| f64::from(at) + 0.5)));
        let mut counts = vec![0; self.columns().len()];
        counts[0] = tissue.count() as u64;
        Ok(counts)
    }

    fn keep(&self, file: &Path, found: &Vec<Found>) -> Result<()> {
        let text = serde_json::to_vec(found).map_err(|error| Failure::other(error.to_string()))?;
        Ok(write_file(&file.with_extension("objects"), &text)?)
    }

    fn kept(&self, file: &Path) -> Result<Vec<Found>> {
        read_json(&file.with_extension("objects"))
    }

    fn publish(
        &self,
        folder: &Path,
        slide: &Slide,
        plan: &TilePlan,
        rows: &Rows<Self>,
    ) -> Result<Vec<TileLine>> {
        let read = |row| rows.found(row);
        let seams = Seams::new(&rows.numbers, read, plan, self.network.same());
        let stays: Vec<Vec<bool>> = seams.collect::<Result<_>>()?;
        let found = || {
            let of_rows = rows.numbers.iter().zip(&stays);
            of_rows.map(|(row, stays)| {
                let mut stays = stays.iter();
                let mut found = rows.found(*row)?;
                found.retain(|_| stays.next() == Some(&true));
                Ok(found)
            })
        };
        let mut lines = rows.all_lines()?;
        let mut overlay = Overlay::of(slide)?;
        let mut failure = None;
        write_file_with(&folder.join("objects.geojson"), |file| {
            let annotations = each(found(), &mut failure).map(|object| {
                overlay.draw(&object);
                let line = lines.binary_search_by_key(&object.tile, |line| line.tile);
                let line = line.ok().and_then(|line| lines.get_mut(line));
                if let Some(count) = line.and_then(|line| line.counts.get_mut(object.class + 1)) {
                    *count += 1;
                }
                self.annotation(&object, plan)
            });
            geojson::write(file, annotations)
        })?;
        let path = folder.join("overlay.png");
        let picture = png(&overlay.picture)
            .map_err(|error| Error::io("write", &path, io::Error::other(error.to_string())))?;
        write_file(&path, &picture)?;
        let header = ["class", "x", "y", "area_um2", "score"];
        write_file_with(&folder.join("objects.csv"), |file| {
            let rows = each(found(), &mut failure).map(|object| self.row(&object));
            write_csv(file, &header, rows)
        })?;
        failure.map_or(Ok(lines), Err)
    }
}

/// The objects of all rows, up to the first failure, which is kept.
fn each<'a>(
    rows: impl Iterator<Item = Result<Vec<Found>>> + 'a,
    failure: &'a mut Option<Failure>,
) -> impl Iterator<Item = Found> + 'a {
    let read = rows.map_while(|row| match row {
        Ok(found) => Some(found),
        Err(error) => {
            *failure = Some(error);
            None
        }
    });
    read.flatten()
}

impl Objects<'_> {
    /// An object as QuPath reads it, which counts from where the scanned part of a slide begins.
    fn annotation(&self, object: &Found, plan: &TilePlan) -> Annotation {
        let [left, top] = plan.origin();
        let mut polygon = object.polygon();
        for ring in std::iter::once(&mut polygon.outline).chain(&mut polygon.holes) {
            for point in ring {
                *point = Point {
                    x: point.x - left,
                    y: point.y - top,
                };
            }
        }
        let shape = match (
            &self.network,
            Rectangle::around(polygon.outline.iter().copied()),
        ) {
            (Network::Boxes(..), Some(rectangle)) => Shape::Rectangle(rectangle),
            _ => Shape::Polygon(polygon),
        };
        Annotation {
            score: Some((object.score * 1e4).round() / 1e4),
            colour: Some(of_objects(object.class)),
            attributes: vec![
                (
                    "objectType".to_owned(),
                    Attribute::Text("detection".to_owned()),
                ),
                (
                    "Area µm^2".to_owned(),
                    Attribute::Number(hundredths(object.area)),
                ),
            ],
            ..Annotation::new(&self.asked.classes[object.class], shape)
        }
    }

    fn row(&self, object: &Found) -> [String; 5] {
        let [x, y] = object.middle.map(|at| format!("{at:.2}"));
        [
            self.asked.classes[object.class].clone(),
            x,
            y,
            format!("{:.2}", object.area),
            format!("{:.4}", object.score),
        ]
    }
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The slide, small, with outlines of objects.
struct Overlay {
    picture: RgbImage,
    /// Pixels of level 0 beside each other in one of the picture.
    scale: [f64; 2],
}

impl Overlay {
    fn of(slide: &Slide) -> Result<Self> {
        let picture = slide.thumbnail(OVERLAY)?;
        let [width, height] = slide.levels()[0].size.map(|side| side as f64);
        let scale = [
            width / f64::from(picture.width()),
            height / f64::from(picture.height()),
        ];
        Ok(Self { picture, scale })
    }

    /// Colours the pixels that the outline runs through, each once.
    fn draw(&mut self, object: &Found) {
        let colour = of_objects(object.class);
        let mut through = Vec::new();
        for ring in &object.rings {
            for (place, &from) in ring.iter().enumerate() {
                let to = ring[(place + 1) % ring.len()];
                let [from, to] = [from, to].map(|[x, y]| [x / self.scale[0], y / self.scale[1]]);
                let steps = (to[0] - from[0]).abs().max((to[1] - from[1]).abs()).ceil();
                for step in 0..=steps as usize {
                    let share = step as f64 / steps.max(1.0);
                    let at = [0, 1].map(|side| from[side] + share * (to[side] - from[side]));
                    through.push(at.map(|at| at.floor() as i64));
                }
            }
        }
        through.sort_unstable();
        through.dedup();
        for [x, y] in through {
            let place = u32::try_from(x).ok().zip(u32::try_from(y).ok());
            if let Some(pixel) = place.and_then(|(x, y)| self.picture.get_pixel_mut_checked(x, y)) {
                mix(pixel, colour, OPACITY);
            }
        }
    }
}

impl Show for Summary<'_> {
    fn text(&self) -> String {
        let header = ["slide", "class", "objects", "in 1 mm² of tissue"];
        let mut table = TextTable::new(&header);
        for of in &self.counts {
            table.row([
                of.slide.clone(),
                of.class.clone(),
                thousands(of.objects as usize),
                of.per_mm2
                    .map_or_else(|| "-".to_owned(), |of| format!("{of:.1}")),
            ]);
        }
        format!("{}: {}\n{}", self.folder.display(), self.text, table.text())
    }
}
