//! `cleanslide predict`: classes, masks or objects of new images, and classes or objects of slides.

mod boxes;
pub mod inputs;
pub mod networks;
mod pixels;
pub mod slides;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use cleanslide_data::{Classes, MAX_PIXELS, read_image, refuse_smaller};
use cleanslide_learn::classify::Model;
use cleanslide_learn::predictions::Predictions;
use cleanslide_learn::views::TestAugmentation;
use cleanslide_nn::encoders::open;
use image::RgbImage;
use ndarray::{Axis, concatenate};
use serde::Serialize;

use self::inputs::Inputs;
use crate::arguments::DeviceArgument;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::network_run::is_network_run;
use crate::new_folder::refuse_existing;
use crate::output::{Show, count, thousands};
use crate::progress;
use crate::run_folder::read_run;
use crate::text_table::TextTable;

/// What `predict` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cleanslide predict runs/robust new-patches/ --out predictions.csv\n  \
cleanslide predict runs/unet new-images/ --turns all --out masks/\n  \
cleanslide predict runs/fcos new-images/ --out boxes/\n  \
cleanslide predict runs/tumour slides/*.svs --microns-per-pixel 0.5 --out tumour/\n  \
cleanslide predict runs/nuclei slides/*.svs --out nuclei/"
)]
pub struct Predict {
    /// Folder of the run
    run: PathBuf,
    /// Images or slides, or folders of them. Slides (SVS, pyramids in TIFF, OME-Zarr, and with OpenSlide NDPI, MRXS, DICOM and others) are
    /// for networks; if that is stopped, the same command goes on
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Table to write (image, predicted class, probability of each class), or folder of masks, of boxes, or of what is found on
    /// slides
    #[arg(long, value_name = "CSV|FOLDER")]
    out: PathBuf,
    /// Masks and objects: predict each image in these turns, and bring them together; by default as the recipe
    /// says
    #[arg(long, value_name = "TURNS")]
    turns: Option<Turns>,
    /// Stop at the first image or tile that cannot be used, instead of leaving it out
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    scale: slides::Scale,
    #[command(flatten)]
    device: DeviceArgument,
}

#[derive(Debug, Serialize)]
struct Summary {
    table: PathBuf,
    images: usize,
    left_out: usize,
    per_class: Vec<(String, usize)>,
}

/// Images that are decoded and encoded together; bounds the memory.
const BATCH: usize = 32;

/// In which turns an image is predicted.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Turns {
    /// As it is
    None,
    /// Also mirrored left to right, top to bottom, and both
    Flips,
    /// All eight flips and quarter turns
    All,
}

impl From<Turns> for TestAugmentation {
    fn from(turns: Turns) -> Self {
        match turns {
            Turns::None => Self::None,
            Turns::Flips => Self::Flips,
            Turns::All => Self::All,
        }
    }
}

impl Predict {
    pub fn run(self, context: &Context) -> Result<()> {
        let Inputs {
            images: files,
            slides,
            ..
        } = Inputs::read(context, &self.inputs, self.scale.slides())?;
        if !slides.is_empty() {
            return self.slides(context, &files, &slides);
        }
        if self.scale.is_given() {
            return Err(Failure::usage(
                "`--microns-per-pixel`, `--slide-microns-per-pixel`, `--tissue`, `--with-blur` and `--stain-reference` are for slides, and \
                 these are images",
            ));
        }
        refuse_existing(&self.out)?;
        if is_network_run(&self.run) {
            let request = networks::Request {
                run: &self.run,
                files: &files,
                out: &self.out,
                turns: self.turns.map(TestAugmentation::from),
                strict: self.strict,
                device: self.device.name(),
            };
            return networks::run(context, &request);
        }
        let (manifest, recipe) = read_run(&self.run)?;
        self.device.refuse_gpu()?;
        if self.turns.is_some() {
            return Err(Failure::usage(
                "`--turns` is for masks and objects, and this run predicts classes of images",
            ));
        }
        let path = self.run.join("model.safetensors");
        let bytes = std::fs::read(&path)
            .map_err(|error| cleanslide_data::Error::io("read", &path, error))?;
        let model = Model::from_bytes(&bytes)?;
        let encoder = open(&recipe.encoder, recipe.crop)?;
        if encoder.identity() != manifest.encoder_identity {
            return Err(Failure::input(format!(
                "the encoder {} is not the one that the run was trained with",
                recipe.encoder
            ))
            .help("Use the same weights file and the same build, or train again."));
        }
        let classes = Classes::new(model.classes().to_vec())?;
        let bar = progress::bar("predicting", files.len());
        let (mut images, mut blocks, mut left_out) = (Vec::new(), Vec::new(), 0);
        for batch in files.chunks(BATCH) {
            let mut pixels = Vec::new();
            for file in batch {
                match readable(file, recipe.crop) {
                    Ok(image) => {
                        images.push(file.to_string_lossy().into_owned());
                        pixels.push(image);
                    }
                    Err(error) if self.strict => return Err(error.into()),
                    Err(error) => {
                        left_out += 1;
                        context.output.warn(&error.to_string());
                    }
                }
            }
            if !pixels.is_empty() {
                blocks.push(model.predict(encoder.embed(&pixels)?.view())?);
            }
            bar.inc(batch.len() as u64);
        }
        bar.finish_and_clear();
        if images.is_empty() {
            return Err(nothing_read(files.len()));
        }
        let views: Vec<_> = blocks.iter().map(|block| block.view()).collect();
        let probabilities =
            concatenate(Axis(0), &views).map_err(|error| Failure::other(error.to_string()))?;
        let parts = vec!["final".to_owned(); images.len()];
        let predictions = Predictions {
            classes,
            images,
            parts,
            probabilities,
        };
        predictions.write(&self.out)?;
        let predicted = predictions.predicted();
        let per_class = predictions
            .classes
            .names()
            .iter()
            .enumerate()
            .map(|(class, name)| {
                (
                    name.clone(),
                    predicted.iter().filter(|&&p| p == class).count(),
                )
            })
            .collect();
        context.output.show(&Summary {
            table: self.out,
            images: predictions.images.len(),
            left_out,
            per_class,
        })
    }

    fn slides(&self, context: &Context, images: &[PathBuf], slides: &[PathBuf]) -> Result<()> {
        if let (Some(image), Some(slide)) = (images.first(), slides.first()) {
            return Err(Failure::usage(format!(
                "{} is an image and {} a slide",
                image.display(),
                slide.display()
            ))
            .help("Predict images and slides apart, into folders of their own."));
        }
        if !is_network_run(&self.run) {
            return Err(Failure::usage(format!(
                "{} says the classes of images, and slides are predicted by networks for pixels or objects",
                self.run.display()
            )));
        }
        slides::run(
            context,
            &slides::Request {
                run: &self.run,
                slides,
                out: &self.out,
                turns: self.turns.map(TestAugmentation::from),
                strict: self.strict,
                device: self.device.name(),
                scale: self.scale.clone(),
            },
        )
    }
}

/// The pixels of an image, of which the encoder sees so many in the middle.
fn readable(file: &Path, crop: Option<u32>) -> cleanslide_data::Result<RgbImage> {
    let image = read_image(file, MAX_PIXELS)?.pixels;
    refuse_smaller(file, &image, crop)?;
    Ok(image)
}

fn nothing_read(files: usize) -> Failure {
    Failure::input(match files {
        1 => "the image could not be read".to_owned(),
        _ => format!("none of the {} could be read", count(files, "image")),
    })
}

/// Where results went, of how many images, and what they are.
fn predicted(out: &Path, images: usize, left_out: usize, table: &TextTable) -> String {
    let left_out = if left_out > 0 {
        format!(", {} left out", count(left_out, "bad image"))
    } else {
        String::new()
    };
    format!(
        "{}: {}{left_out}\n{}",
        out.display(),
        count(images, "image"),
        table.text()
    )
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut table = TextTable::new(&["predicted class", "images"]);
        for (class, number) in &self.per_class {
            table.row([class.clone(), thousands(*number)]);
        }
        predicted(&self.table, self.images, self.left_out, &table)
    }
}
