//! The page of all slides in a folder of predictions.

use std::path::Path;

use cleanslide_data::store::write_file;
use cleanslide_report::contact_sheet::Tile;
use cleanslide_report::page::Provenance;
use cleanslide_report::picture::Picture;
use cleanslide_report::slides::{SlidesReport, render};
use cleanslide_report::table::Table;

use super::left_out;
use super::work::TileLine;
use crate::context::{command_line, program};
use crate::failure::Result;
use crate::output::count;
use crate::sheet::evenly;

/// Slides that are shown.
const PICTURES: usize = 60;

/// What of slides is shown.
pub struct Shown<'a> {
    /// The network.
    pub run: &'a Path,
    /// The slides in the folder with their tiles, by name.
    pub slides: &'a [(String, Vec<TileLine>)],
    /// How much there is on each.
    pub amounts: Table,
    /// What colours mean.
    pub colours: Vec<([u8; 3], String)>,
    /// What is said of each slide, in a few words.
    pub words: Vec<String>,
}

/// Writes `report.html`.
pub fn write(folder: &Path, shown: Shown) -> Result<()> {
    let mut warnings = Vec::new();
    for (name, lines) in shown.slides {
        match left_out(lines) {
            0 => {}
            some => warnings.push(format!(
                "{name}: {some} of {} could not be decoded, and are in no figure.",
                count(lines.len(), "tile")
            )),
        }
    }
    let places: Vec<usize> = (0..shown.slides.len()).collect();
    let pictures = evenly(&places, PICTURES);
    if pictures.len() < places.len() {
        warnings.push(format!(
            "{} of {} are shown; all of them are in the table.",
            pictures.len(),
            count(places.len(), "slide")
        ));
    }
    let mut tiles = Vec::new();
    for place in pictures {
        let (name, _) = &shown.slides[place];
        match Picture::from_file(&folder.join(name).join("overlay.png")) {
            Ok(picture) => tiles.push(Tile {
                picture,
                image: name.clone(),
                words: shown.words[place].clone(),
                outlines: Vec::new(),
                microns_per_pixel: None,
            }),
            // Of a slide of another day somebody may have removed it.
            Err(error) => warnings.push(format!("{name} is not shown: {error}.")),
        }
    }
    let report = SlidesReport {
        title: format!("What {} finds on {}", shown.run.display(), count(places.len(), "slide")),
        lead: "Of each slide there are outlines for QuPath (GeoJSON), tables and a mask of the tissue in the folder of its name.".to_owned(),
        warnings,
        amounts: shown.amounts,
        colours: shown.colours,
        slides: tiles,
        provenance: Provenance {
            label_version: None,
            seed: None,
            config_hash: None,
            command: Some(command_line()),
            build: Some(program()),
        },
    };
    Ok(write_file(
        &folder.join("report.html"),
        render(&report).as_bytes(),
    )?)
}
