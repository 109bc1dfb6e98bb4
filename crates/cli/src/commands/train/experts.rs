//! Networks that learn from several experts, and what they find out about them.

use std::io::{Cursor, ErrorKind};
use std::path::{Path, PathBuf};

use cleanslide_data::store::{in_file_names, write_file};
use cleanslide_data::{Dataset, ImageRecord, Target, to_csv};
use cleanslide_learn::experts::{
    Belief, ExpertImages, ExpertMask, ExpertMethod, ExpertModel, ExpertTrainer, majority,
};
use cleanslide_learn::training::Watch;
use cleanslide_report::contact_sheet::Tile;
use cleanslide_report::picture::Picture;
use cleanslide_report::thumbnail::{Ink, Outlines};
use image::{GrayImage, ImageFormat, Luma, RgbImage};
use ndarray::{Array2, ArrayView2, Axis};

use super::networks::{Job, Part};
use super::page::outlines;
use super::pixels::classes;
use crate::failure::{Failure, Result};
use crate::network_run::{Experts, PixelRecipe, SISSI};
use crate::pipeline::method_by_name as of_classes;
use crate::shape_labels::{ExpertLabels, ShapeLabels, about};
use crate::sheet::{self, evenly};

/// Images of which the page shows where experts are believed.
const IMAGES: usize = 4;

/// A method for several experts, with default settings.
pub fn method_by_name(name: &str) -> Result<ExpertMethod> {
    let known = ExpertMethod::all();
    let found = known.iter().find(|method| method.name() == name);
    found.cloned().ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(ExpertMethod::name).collect();
        let listed = format!(
            "Of several experts, networks learn by {}; masks of objects are corrected by {SISSI}.",
            names.join(", ")
        );
        if of_classes(name).is_ok() {
            return Failure::usage(format!(
                "`--method {name}` is for classes of images, and these labels are masks"
            ))
            .help(format!(
                "A robust loss of pixels is in the recipe, [loss] pixels = {{ name = \"gce\" }}. {listed}"
            ));
        }
        Failure::usage(format!("there is no method `{name}` for several experts")).help(listed)
    })
}

/// Trains a network in a folder.
pub fn train_of_experts(
    job: &Job<PixelRecipe>,
    experts: &Experts,
    part: &Part,
    seed: u64,
    folder: &Path,
    watch: &Watch,
) -> Result<ExpertModel> {
    let names = job.labels.experts.iter().map(|expert| expert.name.clone());
    ExpertTrainer {
        images: &OfExperts(job),
        items: &part.items,
        validation: &part.validation,
        experts: &names.collect::<Vec<_>>(),
        classes: &classes(job),
        settings: &job.recipe.of_experts(experts),
        seed,
        device: &job.device.device,
        folder,
    }
    .run(watch)
}

/// The masks of all experts.
struct OfExperts<'a, 'b>(&'a Job<'b, PixelRecipe>);

impl ExpertImages for OfExperts<'_, '_> {
    type Failure = Failure;

    fn name(&self, image: usize) -> String {
        self.0.record(image).id.clone()
    }

    fn read(&self, image: usize) -> Result<(RgbImage, Vec<Option<ExpertMask>>)> {
        let masks = masks(self.0.labels, image)?;
        Ok((self.0.pixels(image)?, masks))
    }
}

/// What each expert says of an image.
fn masks(labels: &ShapeLabels, image: usize) -> Result<Vec<Option<ExpertMask>>> {
    let mask = |expert: &ExpertLabels| {
        let Some(piece) = &expert.pieces[image] else {
            return Ok(None);
        };
        let (Target::Dense(file) | Target::Partial(file)) = &piece.target else {
            return Err(about(&labels.images[image], "its labels are no class mask"));
        };
        Ok(Some(ExpertMask {
            classes: file.read_classes()?,
            trust: piece.trust.value(),
        }))
    };
    labels.experts.iter().map(mask).collect()
}

/// The class that most experts gave each pixel of an image.
pub fn majority_of(dataset: &Dataset, labels: &ShapeLabels, image: usize) -> Result<Array2<u8>> {
    let masks = masks(labels, image)?;
    majority(&masks, dataset.classes().len()).map_err(|error| about(&labels.images[image], error))
}

/// The folder of the pictures of a part.
const BELIEVED: &str = "believed";
/// The sums of a part, expert by expert.
const SUMS: &str = "believed.json";

/// Writes where each expert is believed: for each image a picture per expert in `believed/`, from black (not at all) to
/// white (wholly), and sums in `believed.json`. Images are those that the network did not see; if it saw all, these.
pub fn write_beliefs(
    job: &Job<PixelRecipe>,
    model: &ExpertModel,
    part: &Part,
    folder: &Path,
) -> Result<()> {
    let mut sums = vec![Belief::default(); model.experts().len()];
    for &image in part.shown() {
        let (pixels, masks) = OfExperts(job).read(image)?;
        let Some(believed) = model.believed(&pixels)? else {
            return Ok(());
        };
        let record = job.record(image);
        let majority =
            majority(&masks, classes(job).len()).map_err(|error| about(record, error))?;
        for (expert, believed) in believed.axis_iter(Axis(0)).enumerate() {
            let file = believed_file(folder, record, &model.experts()[expert]);
            write_file(&file, &picture(believed)?)?;
            if let Some(mask) = &masks[expert] {
                let of_image = Belief::of(believed, mask.classes.view(), majority.view());
                sums[expert] = sums[expert].plus(of_image);
            }
        }
    }
    let text = serde_json::to_vec(&sums).map_err(|error| Failure::other(error.to_string()))?;
    Ok(write_file(&folder.join(SUMS), &text)?)
}

/// The picture of an image and an expert: their names, and a hash, as different names may be the same in files.
fn believed_file(folder: &Path, image: &ImageRecord, expert: &str) -> PathBuf {
    let hash = blake3::hash(format!("{}\n{expert}", image.id).as_bytes()).to_hex();
    let name = in_file_names(&format!("{}.{expert}", image.id));
    let name = format!("{name}-{}.png", &hash[..8]);
    folder.join(BELIEVED).join(name)
}

/// What a run found out about its experts: the sums of all images that networks did not see, or of all images if there
/// is one network that saw all. Nothing where the method finds out nothing. Written as `experts.csv`.
pub fn publish_beliefs(labels: &ShapeLabels, parts: &[Part], run: &Path) -> Result<Vec<Belief>> {
    let mut sums = vec![Belief::default(); labels.experts.len()];
    for part in telling(parts) {
        let path = run.join(&part.name).join(SUMS);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(cleanslide_data::Error::io("read", &path, error).into()),
        };
        let of_part: Vec<Belief> = serde_json::from_slice(&text)
            .map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
        for (sum, of_part) in sums.iter_mut().zip(of_part) {
            *sum = sum.plus(of_part);
        }
    }
    let header = [
        "expert",
        "believed",
        "with the majority",
        "against the majority",
        "share against the majority",
        "pixels",
    ];
    let rows = labels.experts.iter().zip(&sums).map(|(expert, belief)| {
        let number = |of: Option<f64>| of.map_or_else(String::new, |of| format!("{of:.4}"));
        vec![
            expert.name.clone(),
            number(belief.mean()),
            number(belief.mean_with_majority()),
            number(belief.mean_against_majority()),
            number(belief.share_against_majority()),
            belief.pixels().to_string(),
        ]
    });
    write_file(&run.join("experts.csv"), &to_csv(&header, rows))?;
    Ok(sums)
}

/// The parts that say most about experts.
fn telling(parts: &[Part]) -> impl Iterator<Item = &Part> {
    let folds = parts.iter().any(|part| !part.held_out.is_empty());
    let chosen = parts.iter();
    chosen.filter(move |part| !folds || !part.held_out.is_empty())
}

/// Pictures of where experts are believed, with what they drew: some images, each with all experts.
pub fn believed_tiles(
    dataset: &Dataset,
    labels: &ShapeLabels,
    parts: &[Part],
    run: &Path,
) -> Result<Vec<Tile>> {
    let images: Vec<(&str, usize)> = telling(parts)
        .flat_map(|part| {
            part.shown()
                .iter()
                .map(|&image| (part.name.as_str(), image))
        })
        .collect();
    let mut tiles = Vec::new();
    for (part, image) in evenly(&images, IMAGES) {
        let record = &labels.images[image];
        tiles.push(sheet::tile(
            dataset,
            record,
            "the image".into(),
            Vec::new(),
        )?);
        for expert in &labels.experts {
            let file = believed_file(&run.join(part), record, &expert.name);
            let drawn = match &expert.pieces[image] {
                Some(piece) => outlines(&piece.target, 0.0)?,
                None => Vec::new(),
            };
            tiles.push(Tile {
                picture: Picture::from_file(&file)?,
                image: record.id.clone(),
                words: expert.name.clone(),
                outlines: vec![Outlines {
                    ink: Ink::Sky,
                    polygons: drawn,
                }],
                microns_per_pixel: record.microns_per_pixel,
            });
        }
    }
    Ok(tiles)
}

fn picture(believed: ArrayView2<'_, f32>) -> Result<Vec<u8>> {
    let (height, width) = believed.dim();
    let grey = GrayImage::from_fn(width as u32, height as u32, |column, row| {
        let share = believed[[row as usize, column as usize]];
        Luma([(share * 255.0).round() as u8])
    });
    let mut bytes = Cursor::new(Vec::new());
    grey.write_to(&mut bytes, ImageFormat::Png)
        .map_err(|error| Failure::other(error.to_string()))?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_and_expert_has_a_picture_of_its_own() {
        let file = |id: &str, expert: &str| {
            let image = ImageRecord {
                id: id.into(),
                ..ImageRecord::default()
            };
            believed_file(Path::new("run"), &image, expert)
        };
        let files = [
            file("a/b", "anna"),
            file("a_b", "anna"),
            file("a b", "anna"),
            file("a", "b.anna"),
            file("a.b", "anna"),
        ];
        let different: std::collections::BTreeSet<&PathBuf> = files.iter().collect();
        assert_eq!(different.len(), files.len(), "{files:?}");
        assert_eq!(files[0].parent(), Some(Path::new("run/believed")));
    }
}
