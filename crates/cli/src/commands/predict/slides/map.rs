//! The classes of a whole slide, small: as a picture, as outlines, and on the slide.

use std::path::Path;

use cleanslide_data::formats::{Annotation, Attribute, Shape, geojson};
use cleanslide_data::geometry::signed_area;
use cleanslide_data::store::{write_file, write_file_with};
use cleanslide_data::{Error, MaskFile, Point, Polygon, UNLABELLED_CLASS};
use cleanslide_image::contour::{outlines, simplify};
use cleanslide_slide::{Slide, TilePlan};
use image::{ImageFormat, RgbImage};
use ndarray::{Array2, ArrayView2, s};

use super::colours::{mix, of_pixels};
use super::ome_tiff;

/// Outlines leave their squares by at most so much of one.
const TOLERANCE: f64 = 0.75;
/// Pixels of the longer side of the overlay.
pub const OVERLAY: u32 = 2048;
/// How much of the overlay is colour.
const OPACITY: f32 = 0.4;

/// The class of each square.
pub struct ClassMap {
    classes: Array2<u8>,
    /// Pixels of level 0 along a square.
    square: f64,
}

impl ClassMap {
    /// Of squares that nobody has looked at.
    pub fn new(plan: &TilePlan, square: usize) -> Self {
        let square = square as f64 * plan.downsample;
        // Tiles at the edge reach beyond what was scanned.
        let [width, height] = plan.scanned();
        let size = [height, width].map(|length| (length / square).ceil() as usize);
        Self {
            classes: Array2::from_elem(size, UNLABELLED_CLASS),
            square,
        }
    }

    /// Puts a row of tiles in its place.
    pub fn put(&mut self, row: u64, classes: ArrayView2<'_, u8>) {
        let first = row as usize * classes.nrows();
        let rows = classes.nrows().min(self.classes.nrows() - first);
        let columns = self.classes.ncols();
        self.classes
            .slice_mut(s![first..first + rows, ..])
            .assign(&classes.slice(s![..rows, ..columns]));
    }

    /// Writes all of them.
    pub fn write(
        &self,
        folder: &Path,
        slide: &Slide,
        plan: &TilePlan,
        names: &[String],
    ) -> cleanslide_data::Result<()> {
        let failed = |path: &Path, error: &dyn ToString| {
            Error::io("write", path, std::io::Error::other(error.to_string()))
        };
        MaskFile::write_classes(&folder.join("map.png"), self.classes.view())?;
        let place = ome_tiff::Place {
            microns_per_pixel: (slide.microns_per_pixel().ok())
                .map(|microns| microns * self.square),
            origin: plan.origin().map(|at| at / self.square),
        };
        let classes = names.iter().map(String::as_str);
        let classes = (0..).zip(classes).chain([(UNLABELLED_CLASS, "no tissue")]);
        let classes: Vec<_> = classes.collect();
        let path = folder.join("map.ome.tif");
        ome_tiff::write(&path, self.classes.view(), &place, &classes)?;
        let path = folder.join("regions.geojson");
        let regions = self.regions(slide, plan, names);
        let regions = regions.map_err(|error| failed(&path, &error))?;
        write_file_with(&path, |file| geojson::write(file, &regions))?;
        let path = folder.join("overlay.png");
        let overlay = self
            .overlay(slide, plan)
            .map_err(|error| failed(&path, &error))?;
        write_file(&path, &overlay)
    }

    /// The outlines of all classes, with their areas, in pixels of level 0 from where the scanned part begins, as QuPath counts.
    fn regions(
        &self,
        slide: &Slide,
        plan: &TilePlan,
        names: &[String],
    ) -> cleanslide_image::Result<Vec<Annotation>> {
        let labels = self.classes.mapv(|class| match class {
            UNLABELLED_CLASS => 0,
            class => u32::from(class) + 1,
        });
        let microns = slide.microns_per_pixel().ok();
        let [width, height] = plan.scanned();
        let ring = |ring: &[Point]| -> cleanslide_image::Result<Vec<Point>> {
            let points = simplify(ring, TOLERANCE)?.into_iter();
            let placed = points.map(|point| Point {
                x: (point.x * self.square).min(width),
                y: (point.y * self.square).min(height),
            });
            Ok(placed.collect())
        };
        let mut regions = Vec::new();
        for outline in outlines(labels.view())? {
            let class = outline.label as usize - 1;
            let Polygon { outline, holes } = outline.polygon;
            let squares: f64 = std::iter::once(&outline)
                .chain(&holes)
                .map(|ring| signed_area(ring))
                .sum();
            let polygon = Polygon {
                outline: ring(&outline)?,
                holes: holes.iter().map(|of| ring(of)).collect::<Result<_, _>>()?,
            };
            let mut region = Annotation::new(&names[class], Shape::Polygon(polygon));
            region.colour = Some(of_pixels(class));
            if let Some(microns) = microns {
                let area = squares.abs() * (self.square * microns).powi(2);
                region
                    .attributes
                    .push(("Area µm^2".to_owned(), Attribute::Number(area)));
            }
            regions.push(region);
        }
        Ok(regions)
    }

    /// The slide with the classes in colour, as the bytes of a PNG file.
    fn overlay(
        &self,
        slide: &Slide,
        plan: &TilePlan,
    ) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let mut picture = slide.thumbnail(OVERLAY)?;
        let [width, height] = slide.levels()[0].size.map(|side| side as f64);
        let scale = [
            width / f64::from(picture.width()),
            height / f64::from(picture.height()),
        ];
        let origin = plan.origin();
        for (x, y, pixel) in picture.enumerate_pixels_mut() {
            let square = |at: u32, side: usize| {
                let place = ((f64::from(at) + 0.5) * scale[side] - origin[side]) / self.square;
                (place >= 0.0).then_some(place as usize)
            };
            let class = square(y, 1).zip(square(x, 0));
            let class = class.and_then(|place| self.classes.get(place)).copied();
            if let Some(class) = class.filter(|class| ![0, UNLABELLED_CLASS].contains(class)) {
                mix(pixel, of_pixels(usize::from(class)), OPACITY);
            }
        }
        Ok(png(&picture)?)
    }
}

/// The bytes of a PNG file.
pub fn png(picture: &RgbImage) -> image::ImageResult<Vec<u8>> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}
