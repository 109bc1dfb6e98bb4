//! Pictures of the places where experts differ.

use std::collections::BTreeMap;
use std::path::Path;

use cleanslide_data::{MAX_PIXELS, TryMap, read_image};
use cleanslide_eval::Error as EvalError;
use cleanslide_eval::agreement::FleissMap;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use ndarray::Array2;
use rayon::prelude::*;

use super::masks::read;
use super::{Labelled, Study};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::new_folder::{publish, save};
use crate::progress;

/// The share of pairs of experts who differ that is shown as red; with two classes, no more than
/// about so many can.
const RED: f64 = 0.5;
/// Where the colours begin and end.
const FIRST: [f64; 3] = [255.0, 225.0, 0.0];
const LAST: [f64; 3] = [225.0, 0.0, 60.0];

/// Writes a PNG of each image's name: the image in grey, in colour where experts differ.
pub fn write(context: &Context, study: &Study, radius: usize, folder: &Path) -> Result<()> {
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    for labelled in &study.images {
        if let Some(other) = names.insert(name(labelled), &labelled.image.id) {
            return Err(Failure::input(format!(
                "the images {other} and {} have files of one name, and so would their maps",
                labelled.image.id
            ))
            .help("Rename one of the files, and its path in images.csv."));
        }
    }
    let bar = progress::bar("drawing maps", study.images.len());
    let without_image = publish(folder, |folder| {
        let drawn: Vec<bool> = study.images.par_iter().try_map(|labelled| -> Result<_> {
            let about = |failure: Failure| failure.about(&format!("image {}", labelled.image.id));
            let (picture, has_image) = picture(study, labelled, radius).map_err(about)?;
            let mut png = std::io::Cursor::new(Vec::new());
            DynamicImage::ImageRgb8(picture)
                .write_to(&mut png, ImageFormat::Png)
                .map_err(|error| Failure::other(error.to_string()))?;
            save(&folder.join(name(labelled)), png.get_ref())?;
            bar.inc(1);
            Ok(has_image)
        })?;
        Ok(drawn.into_iter().filter(|has_image| !has_image).count())
    })?;
    bar.finish_and_clear();
    if without_image > 0 {
        context.output.warn(&format!(
            "{without_image} maps are drawn on black: the image could not be read or has another size"
        ));
    }
    Ok(())
}

fn name(labelled: &Labelled) -> String {
    let stem = Path::new(&labelled.image.path).file_stem();
    format!("{}.png", stem.unwrap_or_default().to_string_lossy())
}

/// The map, and whether the image is under it.
fn picture(study: &Study, labelled: &Labelled, radius: usize) -> Result<(RgbImage, bool)> {
    let masks = read(labelled)?;
    let views: Vec<_> = masks
        .iter()
        .map(|mask| mask.as_ref().map(|mask| mask.view()))
        .collect();
    let size = views
        .iter()
        .flatten()
        .next()
        .map_or((0, 0), |mask| mask.dim());
    let differing = match (FleissMap { radius }).measure(&views, study.dataset.classes().len()) {
        // Kappa says how much of the disagreement by chance is left.
        Ok(map) => map
            .local
            .mapv(|kappa| (1.0 - f64::from(kappa)) * (1.0 - map.chance)),
        // All agree on one class, or no pixel was labelled twice: nobody differs.
        Err(EvalError::Undefined(_)) => Array2::zeros(size),
        Err(error) => return Err(Failure::input(error.to_string())),
    };
    let path = study.dataset.image_path(labelled.image);
    let grey = read_image(&path, MAX_PIXELS)
        .map(|image| DynamicImage::ImageRgb8(image.pixels).into_luma8())
        .ok()
        .filter(|grey| (grey.height() as usize, grey.width() as usize) == size);
    let picture = RgbImage::from_fn(size.1 as u32, size.0 as u32, |x, y| {
        let level = grey.as_ref().map_or(0, |grey| grey.get_pixel(x, y).0[0]);
        colour(level, differing[(y as usize, x as usize)])
    });
    Ok((picture, grey.is_some()))
}

/// Grey where all agree; NaN is where nobody can differ.
fn colour(level: u8, differing: f64) -> Rgb<u8> {
    let strength = (differing / RED).clamp(0.0, 1.0);
    if strength.is_nan() || strength <= 0.0 {
        return Rgb([level; 3]);
    }
    let opacity = 0.35 + 0.5 * strength;
    Rgb(std::array::from_fn(|channel| {
        let ink = FIRST[channel] + strength * (LAST[channel] - FIRST[channel]);
        (opacity * ink + (1.0 - opacity) * f64::from(level)).round() as u8
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_mark_disagreement_only() {
        assert_eq!(colour(90, 0.0), Rgb([90; 3]));
        assert_eq!(colour(90, f64::NAN), Rgb([90; 3]));
        let Rgb([red, green, _]) = colour(0, 0.5);
        assert!(red > 180 && green == 0);
    }
}
