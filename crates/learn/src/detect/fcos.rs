//! How an [`Fcos`] learns and finds.

use burn::tensor::Tensor;
use cleanslide_data::{Detection, Rectangle};
use cleanslide_nn::losses::FcosLoss;
use cleanslide_nn::networks::{Fcos, FcosOutput};
use rayon::prelude::*;

use super::targets::{CropTargets, Location, locations};
use super::trainer::Crop;
use crate::error::Result;

/// The losses of crops and their images `[n, size, size, 3]`, `[3]`: of the classes, the boxes and the centredness.
pub(super) fn losses(
    network: &Fcos,
    loss: &FcosLoss,
    classes: usize,
    images: Tensor<4>,
    crops: &[Crop],
) -> Tensor<1> {
    let [_, height, width, _] = images.dims();
    let targets = crops.par_iter().map(|Crop { labels, .. }| {
        CropTargets::new(
            &labels.objects,
            &labels.unlabelled,
            [height, width],
            network.strides(),
            classes,
            |point| labels.shows(point),
        )
    });
    let targets = CropTargets::batch(targets.collect(), classes, &images.device());
    loss.parts(network.forward(images), targets)
}

/// What is found in an image of so many rows and columns, by what a network says of it, with a score of at least
/// `least`. Boxes lie on the image; they may overlap.
pub(super) fn decode(
    output: FcosOutput,
    strides: &[usize],
    size: [usize; 2],
    least: f64,
) -> Result<Vec<Detection>> {
    let [_, _, count] = output.classes.dims();
    let classes = output.classes.try_into_vec_as::<f32>()?;
    let distances = output.distances.try_into_vec_as::<f32>()?;
    let centredness = output.centredness.try_into_vec_as::<f32>()?;
    let places = locations(size, strides)
        .zip(classes.chunks_exact(count))
        .zip(distances.as_chunks::<4>().0)
        .zip(&centredness);
    let mut found = Vec::new();
    for (((location, scores), sides), centred) in places {
        for (class, &score) in scores.iter().enumerate() {
            let score = (sigmoid(score) * sigmoid(*centred)).sqrt();
            if score >= least {
                found.extend(decoded(location, sides, size).map(|rectangle| Detection {
                    rectangle,
                    class,
                    score,
                }));
            }
        }
    }
    Ok(found)
}

fn sigmoid(score: f32) -> f64 {
    1.0 / (1.0 + f64::from(-score).exp())
}

/// The box around a location, cut off at the edges; `None` if nothing is left.
fn decoded(location: Location, sides: &[f32; 4], size: [usize; 2]) -> Option<Rectangle> {
    let [left, top, right, bottom] = sides.map(|side| f64::from(side) * location.stride);
    let (x, y) = (location.point.x, location.point.y);
    let rectangle = Rectangle::new(x - left, y - top, x + right, y + bottom).ok()?;
    rectangle.on_image((size[0], size[1]))
}
