//! A contact sheet as one HTML file.

use std::path::Path;

use cleanslide_data::mask::UNLABELLED_OBJECT;
use cleanslide_data::store::write_file;
use cleanslide_data::{Dataset, ImageRecord, MAX_PIXELS, Polygon, Rectangle, read_image};
use cleanslide_image::contour;
use cleanslide_report::contact_sheet::{Tile, contact_sheet};
use cleanslide_report::page::{Page, Provenance, Section, note};
use cleanslide_report::picture::Picture;
use cleanslide_report::thumbnail::{Ink, Outlines};
use image::DynamicImage;
use ndarray::ArrayView2;

use crate::context::{Context, command_line, program};
use crate::failure::Result;

/// Images on a contact sheet unless told otherwise.
pub const IMAGES: usize = 24;

/// What is on a contact sheet besides its tiles.
pub struct Sheet<'a> {
    /// The heading.
    pub title: String,
    /// What it shows, in a sentence or two.
    pub lead: String,
    /// What the colours mean.
    pub legend: &'a [(Ink, String)],
}

impl Sheet<'_> {
    /// Writes the file.
    pub fn write(self, context: &Context, tiles: &[Tile], path: &Path) -> Result<()> {
        let page = Page {
            title: self.title,
            lead: note(&self.lead),
            sections: vec![Section {
                anchor: "images",
                heading: "Images".into(),
                body: contact_sheet(self.legend, tiles),
            }],
            provenance: Provenance {
                label_version: None,
                seed: Some(context.seed),
                config_hash: None,
                command: Some(command_line()),
                build: Some(program()),
            },
        };
        Ok(write_file(path, page.render().as_bytes())?)
    }
}

/// One image with outlines.
pub fn tile(
    dataset: &Dataset,
    image: &ImageRecord,
    words: String,
    outlines: Vec<Outlines>,
) -> Result<Tile> {
    let pixels = read_image(&dataset.image_path(image), MAX_PIXELS)?.pixels;
    Ok(Tile {
        picture: Picture::from_image(&DynamicImage::ImageRgb8(pixels))?,
        image: image.id.clone(),
        words,
        outlines,
        microns_per_pixel: image.microns_per_pixel,
    })
}

/// About so many of them, at equal distances.
pub fn evenly<T: Copy>(all: &[T], wanted: usize) -> Vec<T> {
    let number = wanted.min(all.len());
    (0..number)
        .map(|index| all[index * all.len() / number])
        .collect()
}

/// A box as an outline.
pub fn of_box(rectangle: Rectangle) -> Polygon {
    Polygon {
        outline: rectangle.corners().to_vec(),
        holes: Vec::new(),
    }
}

/// The outlines of those objects of a mask that `keep` keeps.
pub fn of_mask(mask: ArrayView2<'_, u32>, keep: impl Fn(u32) -> bool) -> Result<Vec<Polygon>> {
    let outlines = contour::outlines(mask)?.into_iter();
    Ok(outlines
        .filter(|outline| outline.label != UNLABELLED_OBJECT && keep(outline.label))
        .map(|outline| outline.polygon)
        .collect())
}
