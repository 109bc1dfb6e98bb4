//! Masks that a network gives in the place of those that it was given.

use cleanslide_data::mask::UNLABELLED_OBJECT;
use image::RgbImage;
use ndarray::{Array2, ArrayView3, Axis, Zip};
use serde::{Deserialize, Serialize};

use super::MaskCorrectionSettings;
use crate::correction::Background;
use crate::error::Result;
use crate::segment::{ObjectSettings, PredictSettings, Segmenter, objects_of_classes};

/// An object that a network found in the views of an image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CorrectedObject {
    /// Its class.
    pub class: usize,
    /// How probably its pixels belong to objects, on average over pixels and views, in [0, 1].
    pub score: f64,
    /// Its pixels.
    pub area: u64,
}

/// What a network says of an image in the place of its mask.
#[derive(Debug, Clone, PartialEq)]
pub struct CorrectedMask {
    /// Numbers of objects, `[height, width]`: 0 background, `i + 1` the object `i`, [`UNLABELLED_OBJECT`] what is not
    /// learned from.
    pub mask: Array2<u32>,
    /// The objects.
    pub objects: Vec<CorrectedObject>,
}

impl CorrectedMask {
    /// Finds the objects of an image: the network sees nothing but its pixels.
    pub(in crate::segment) fn find(
        segmenter: &Segmenter,
        image: &RgbImage,
        correction: &MaskCorrectionSettings,
        predict: &PredictSettings,
        objects: &ObjectSettings,
    ) -> Result<Self> {
        let probabilities = segmenter.predict(image, &correction.views(predict))?;
        Self::of_probabilities(probabilities.view(), correction, objects)
    }

    /// Those of the objects that are sure enough, by the probabilities `[classes, height, width]` of pixels. Of an image
    /// in which there is none nothing is known.
    fn of_probabilities(
        probabilities: ArrayView3<'_, f32>,
        correction: &MaskCorrectionSettings,
        settings: &ObjectSettings,
    ) -> Result<Self> {
        let (mut mask, classes) = objects_of_classes(probabilities, settings)?;
        let belongs = probabilities
            .index_axis(Axis(0), 0)
            .mapv(|background| 1.0 - background);
        let mut sums = vec![(0.0, 0); classes.len()];
        Zip::from(&mask).and(&belongs).for_each(|&object, &share| {
            if object > 0 {
                let (sum, area) = &mut sums[object as usize - 1];
                *sum += f64::from(share);
                *area += 1;
            }
        });
        let mut numbers = vec![0; classes.len() + 1];
        let mut objects = Vec::new();
        for (index, (&class, (sum, area))) in classes.iter().zip(sums).enumerate() {
            let score = sum / area as f64;
            if score >= correction.score {
                objects.push(CorrectedObject { class, score, area });
                numbers[index + 1] = objects.len() as u32;
            }
        }
        mask.mapv_inplace(|object| numbers[object as usize]);
        if objects.is_empty() {
            mask.fill(UNLABELLED_OBJECT);
        } else if let Background::Ignored { doubt } = correction.background {
            Zip::from(&mut mask)
                .and(&belongs)
                .for_each(|object, &share| {
                    if *object == 0 && f64::from(share) >= doubt {
                        *object = UNLABELLED_OBJECT;
                    }
                });
        }
        Ok(Self { mask, objects })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, s};

    use super::*;

    /// Background, one class, border: a sure object, an unsure one, and a place that may be one.
    fn probabilities() -> Array3<f32> {
        let mut inside = Array2::<f32>::zeros((12, 30));
        inside.slice_mut(s![2..10, 2..10]).fill(0.9);
        inside.slice_mut(s![2..10, 12..20]).fill(0.6);
        inside.slice_mut(s![2..10, 22..30]).fill(0.3);
        Array3::from_shape_fn((3, 12, 30), |(class, row, column)| match class {
            0 => 1.0 - inside[[row, column]],
            1 => inside[[row, column]],
            _ => 0.0,
        })
    }

    fn found(score: f64, background: Background) -> CorrectedMask {
        let correction = MaskCorrectionSettings {
            score,
            background,
            ..MaskCorrectionSettings::default()
        };
        let objects = ObjectSettings::default();
        CorrectedMask::of_probabilities(probabilities().view(), &correction, &objects).unwrap()
    }

    #[test]
    fn what_is_sure_is_an_object_and_what_is_doubtful_is_open() {
        let sure = found(0.8, Background::Kept);
        assert_eq!((sure.objects.len(), sure.objects[0].area), (1, 64));
        assert!((sure.objects[0].score - 0.9).abs() < 1e-6);
        assert_eq!([sure.mask[[5, 5]], sure.mask[[5, 15]]], [1, 0]);
        let both = found(0.5, Background::Kept);
        assert_eq!(both.objects.len(), 2);
        assert_eq!([both.mask[[5, 5]], both.mask[[5, 15]]], [1, 2]);
        let open = found(0.8, Background::Ignored { doubt: 0.2 });
        let at = |column: usize| open.mask[[5, column]];
        assert_eq!(
            [at(5), at(11), at(15), at(25)],
            [1, 0, UNLABELLED_OBJECT, UNLABELLED_OBJECT]
        );
        let nothing = found(0.95, Background::Kept);
        assert!(nothing.objects.is_empty());
        assert!(
            nothing
                .mask
                .iter()
                .all(|&object| object == UNLABELLED_OBJECT)
        );
    }
}
