//! Agreement on the pixels of class masks.

use std::collections::BTreeMap;

use cleanslide_data::{Evidence, Target, TryMap, UNLABELLED_CLASS};
use cleanslide_eval::segmentation::{
    ClassOverlap, Directions, EmptyCase, SurfaceDistances, class_overlaps, mean_over_images,
    pixel_confusion,
};
use cleanslide_eval::{Weights, fleiss_kappa_with_gaps};
use ndarray::Array2;
use rayon::prelude::*;

use super::{Agreed, Labelled, Study, all_scales, weight};
use crate::failure::{Failure, Result};
use crate::output::count;
use crate::progress;

/// What two experts have in common on an image, by class.
struct Common {
    overlaps: Vec<ClassOverlap>,
    /// Of the classes shown; `None` where one of the two did not draw it.
    distances: Vec<Option<f64>>,
}

/// All that is needed of an image.
struct OneImage {
    /// By pair; `None` where one of the two did not label it.
    common: Vec<Option<Common>>,
    /// How many experts gave each class, and of how many pixels that is so.
    ratings: BTreeMap<Vec<u32>, u64>,
}

/// Dice and mean surface distance of every two, class by class; Fleiss' kappa of all pixels.
pub fn measure(study: &Study) -> Result<Agreed> {
    let classes = study.dataset.classes();
    // Of two classes the first is the background of the second.
    let shown = if classes.len() == 2 {
        1..2
    } else {
        0..classes.len()
    };
    let scales = all_scales(&study.images);
    let unit = if scales.is_some() { "µm" } else { "pixels" };
    let pairs: Vec<(usize, usize)> = study.pairs().collect();
    let bar = progress::bar("comparing masks", study.images.len());
    let images: Vec<OneImage> =
        study
            .images
            .par_iter()
            .enumerate()
            .try_map(|(position, labelled)| -> Result<_> {
                let about =
                    |failure: Failure| failure.about(&format!("image {}", labelled.image.id));
                let masks = read(labelled).map_err(about)?;
                let scale = scales.as_ref().map_or(1.0, |scales| scales[&position]);
                let common = pairs
                    .iter()
                    .map(|&(one, other)| match (&masks[one], &masks[other]) {
                        (Some(one), Some(other)) => {
                            let common = compare(one, other, classes.len(), shown.clone(), scale);
                            common.map(Some).map_err(about)
                        }
                        _ => Ok(None),
                    });
                let common = common.collect::<Result<_>>()?;
                bar.inc(1);
                Ok(OneImage {
                    common,
                    ratings: ratings(&masks, classes.len()),
                })
            })?;
    bar.finish_and_clear();

    let mut of_pairs = Vec::new();
    let mut without_distance = 0;
    for (pair, &experts) in pairs.iter().enumerate() {
        let shared = study.shared(experts);
        let common: Vec<&Common> = images
            .iter()
            .filter_map(|image| image.common[pair].as_ref())
            .collect();
        let mut measures = Vec::new();
        for (at, class) in shown.clone().enumerate() {
            let name = classes.name(class);
            let overlaps: Vec<ClassOverlap> =
                common.iter().map(|common| common.overlaps[class]).collect();
            let distances: Vec<Option<f64>> =
                common.iter().map(|common| common.distances[at]).collect();
            without_distance += distances
                .iter()
                .filter(|distance| distance.is_none())
                .count();
            measures.push(study.measure(format!("Dice of {name}"), &shared, |w| {
                ClassOverlap::pool(&overlaps, w)?.dice(EmptyCase::Undefined)
            }));
            measures.push(study.measure(
                format!("surface distance of {name}, {unit}"),
                &shared,
                |w| mean_over_images(&distances, w),
            ));
        }
        of_pairs.push(measures);
    }
    let mut notes = vec![
        "Dice: of the pixels of all images; surface distance: mean over images of the mean over both \
         outlines"
            .to_owned(),
    ];
    if without_distance > 0 {
        notes.push(format!(
            "{} of an image by two experts without surface distance: one of the two did not draw the class",
            count(without_distance, "comparison")
        ));
    }
    Ok(Agreed {
        overall: vec![fleiss(study, &images, classes.len())],
        of_pairs,
        notes,
        drawn: None,
    })
}

/// The class masks of the experts; `None` for those who did not label the image.
pub fn read(labelled: &Labelled) -> Result<Vec<Option<Array2<u8>>>> {
    let one = |piece: &Evidence| match &piece.target {
        Target::Dense(file) | Target::Partial(file) => Ok(file.read_classes()?),
        _ => Err(Failure::input(format!("{}: not a class mask", piece.key()))),
    };
    labelled
        .views
        .iter()
        .map(|view| view.map(one).transpose())
        .collect()
}

fn compare(
    one: &Array2<u8>,
    other: &Array2<u8>,
    classes: usize,
    shown: std::ops::Range<usize>,
    scale: f64,
) -> Result<Common> {
    let confusion = pixel_confusion(one.view(), other.view(), classes)?;
    let distance = |class: usize| -> Result<Option<f64>> {
        let spacing = (scale, scale);
        let distances = SurfaceDistances::new(one.view(), other.view(), class as u8, spacing)?;
        // Undefined is where one of them did not draw the class.
        Ok(distances.average(Directions::Together).ok())
    };
    Ok(Common {
        overlaps: class_overlaps(&confusion),
        distances: shown.map(distance).collect::<Result<_>>()?,
    })
}

fn ratings(masks: &[Option<Array2<u8>>], classes: usize) -> BTreeMap<Vec<u32>, u64> {
    let masks: Vec<&Array2<u8>> = masks.iter().flatten().collect();
    let pixels = masks.first().map_or(0, |mask| mask.len());
    let mut rows: Vec<_> = masks.iter().map(|mask| mask.iter()).collect();
    let mut ratings = BTreeMap::new();
    let (mut last, mut run): (Vec<u8>, u64) = (Vec::new(), 0);
    let mut count_run = |said: &[u8], run: u64| {
        let mut rating = vec![0; classes];
        for &class in said.iter().filter(|&&class| class != UNLABELLED_CLASS) {
            rating[usize::from(class)] += 1;
        }
        if run > 0 {
            *ratings.entry(rating).or_insert(0) += run;
        }
    };
    let mut now = Vec::with_capacity(masks.len());
    for _ in 0..pixels {
        now.clear();
        now.extend(rows.iter_mut().filter_map(|row| row.next().copied()));
        // Most pixels are as the one before.
        if now != last {
            count_run(&last, run);
            last.clone_from(&now);
            run = 0;
        }
        run += 1;
    }
    count_run(&last, run);
    ratings
}

/// Fleiss' kappa of all pixels, in which an image counts as often as it is drawn.
fn fleiss(study: &Study, images: &[OneImage], classes: usize) -> crate::measures::Measure {
    let rows: Vec<(usize, &Vec<u32>, f64)> = images
        .iter()
        .enumerate()
        .flat_map(|(position, image)| {
            let ratings = image.ratings.iter();
            ratings.map(move |(rating, &pixels)| (position, rating, pixels as f64))
        })
        .collect();
    let table = Array2::from_shape_fn((rows.len(), classes), |(row, class)| rows[row].1[class]);
    let all: Vec<usize> = (0..images.len()).collect();
    study.measure("Fleiss' kappa of pixels", &all, |weights| {
        let of_rows: Vec<f64> = rows
            .iter()
            .map(|(position, _, pixels)| weight(weights, *position) * pixels)
            .collect();
        fleiss_kappa_with_gaps(table.view(), Weights::Real(&of_rows))
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn pixels_are_counted_by_what_was_said() {
        let masks = [
            Some(array![[0, 0, 1], [1, 255, 255]]),
            None,
            Some(array![[0, 1, 1], [1, 1, 255]]),
        ];
        let counted: Vec<_> = ratings(&masks, 2).into_iter().collect();
        let expected = [
            (vec![0, 0], 1),
            (vec![0, 1], 1),
            (vec![0, 2], 2),
            (vec![1, 1], 1),
            (vec![2, 0], 1),
        ];
        assert_eq!(counted, expected);
    }
}
