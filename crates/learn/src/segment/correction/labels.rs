//! Masks that a network gives in the place of those that it was given.

use cleanslide_data::mask::UNLABELLED_OBJECT;
use cleanslide_image::morphology::{Element, dilate};
use cleanslide_image::region::{Neighbours, components};
use image::RgbImage;
use ndarray::{Array2, ArrayView2, ArrayView3, Axis, Zip};
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

    /// Those of the objects that are sure enough, by the probabilities `[classes, height, width]` of pixels.
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
        if let Background::Ignored { doubt } = correction.background {
            Zip::from(&mut mask)
                .and(&belongs)
                .for_each(|object, &share| {
                    if *object == 0 && f64::from(share) >= doubt {
                        *object = UNLABELLED_OBJECT;
                    }
                });
            let open = mask.mapv(|object| object == UNLABELLED_OBJECT);
            close_beside_objects(&mut mask, open.view())?;
        }
        Ok(Self { mask, objects })
    }

    /// What is known of an image in which nothing was found: nothing, but where the given mask says too that there is no
    /// object in it.
    pub(in crate::segment) fn finding_nothing(mut self, given: ArrayView2<'_, u32>) -> Self {
        let agrees = !(given.iter()).any(|&object| object != 0 && object != UNLABELLED_OBJECT);
        Zip::from(&mut self.mask)
            .and(&given)
            .for_each(|object, &given| {
                if !agrees || given != 0 {
                    *object = UNLABELLED_OBJECT;
                }
            });
        self
    }

    /// The given objects, object `i` of which has the number `i + 1` and the class `classes[i]`, and beside them what was
    /// found: an object is theirs if they have half of its pixels, and too small if less than the least area is left of it.
    /// What nobody labelled stays open but for what was found there.
    pub(in crate::segment) fn completing(
        self,
        given: ArrayView2<'_, u32>,
        classes: &[usize],
        settings: &ObjectSettings,
    ) -> Result<Self> {
        let is_given = |number: u32| (1..=classes.len()).contains(&(number as usize));
        let mut objects: Vec<_> = classes
            .iter()
            .map(|&class| CorrectedObject {
                class,
                score: 1.0,
                area: 0,
            })
            .collect();
        let mut beside = vec![0; self.objects.len()];
        Zip::from(&given)
            .and(&self.mask)
            .for_each(|&given, &found| {
                if is_given(given) {
                    objects[given as usize - 1].area += 1;
                } else if let Some(beside) = beside.get_mut((found as usize).wrapping_sub(1)) {
                    *beside += 1;
                }
            });
        let mut numbers = Vec::with_capacity(beside.len());
        for (found, area) in self.objects.into_iter().zip(beside) {
            let is_added = 2 * area > found.area && area >= settings.least_area as u64;
            if is_added {
                objects.push(CorrectedObject { area, ..found });
            }
            numbers.push(if is_added { objects.len() as u32 } else { 0 });
        }
        let mut mask =
            Zip::from(&given)
                .and(&self.mask)
                .map_collect(|&given, &found| {
                    match numbers.get((found as usize).wrapping_sub(1)) {
                        _ if is_given(given) => given,
                        Some(&number) if given == 0 || number > 0 => number,
                        None if given == 0 => found,
                        _ => UNLABELLED_OBJECT,
                    }
                });
        let open = Zip::from(&given)
            .and(&mask)
            .map_collect(|&given, &object| given == 0 && object == UNLABELLED_OBJECT);
        close_beside_objects(&mut mask, open.view())?;
        Ok(Self { mask, objects })
    }
}

/// Makes background of the open regions that touch an object: what is doubtful there is how far it reaches, not whether it
/// is one. Left open, the gaps between objects would be forgotten, and they would grow together.
fn close_beside_objects(mask: &mut Array2<u32>, open: ArrayView2<'_, bool>) -> Result<()> {
    let regions = components(open, Neighbours::Eight)?;
    let objects = mask.mapv(|object| object != 0 && object != UNLABELLED_OBJECT);
    let near = dilate(objects.view(), &Element::disk(1)?);
    let mut touches = vec![false; regions.count + 1];
    Zip::from(&regions.labels)
        .and(&near)
        .for_each(|&region, &near| touches[region as usize] |= near);
    touches[0] = false;
    Zip::from(mask)
        .and(&regions.labels)
        .for_each(|object, &region| {
            if touches[region as usize] {
                *object = 0;
            }
        });
    Ok(())
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
    }

    #[test]
    fn where_nothing_is_found_nothing_is_known_but_that_both_find_nothing() {
        let nothing = |given: &Array2<u32>, background| {
            let found = found(0.95, background);
            assert!(found.objects.is_empty());
            found.finding_nothing(given.view()).mask
        };
        let nobody = Array2::from_elem((12, 30), UNLABELLED_OBJECT);
        let mut given = Array2::zeros((12, 30));
        assert_eq!(nothing(&given, Background::Kept), given);
        let open = nothing(&given, Background::Ignored { doubt: 0.2 });
        assert_eq!([open[[5, 0]], open[[5, 25]]], [0, UNLABELLED_OBJECT]);
        given.slice_mut(s![10..12, ..]).fill(UNLABELLED_OBJECT);
        assert_eq!(nothing(&given, Background::Kept), given);
        given[[0, 0]] = 1;
        assert_eq!(nothing(&given, Background::Kept), nobody);
    }

    #[test]
    fn what_is_doubtful_beside_an_object_is_background() {
        let mut given = Array2::zeros((12, 30));
        let mut open = Array2::from_elem((12, 30), false);
        given.slice_mut(s![2..10, 2..10]).fill(1);
        for columns in [10..12, 20..24] {
            given
                .slice_mut(s![4..6, columns.clone()])
                .fill(UNLABELLED_OBJECT);
            open.slice_mut(s![4..6, columns]).fill(true);
        }
        let mut mask = given.clone();
        close_beside_objects(&mut mask, open.view()).unwrap();
        let at = |column: usize| mask[[5, column]];
        assert_eq!(
            [at(5), at(10), at(11), at(22)],
            [1, 0, 0, UNLABELLED_OBJECT]
        );
    }

    #[test]
    fn what_is_found_beside_the_given_objects_is_added() {
        let mut given = Array2::zeros((12, 30));
        // Five of the eight columns of the first object that is found, and one of those of the second.
        given.slice_mut(s![2..10, 0..7]).fill(1);
        given.slice_mut(s![2..10, 19..20]).fill(2);
        given.slice_mut(s![10..12, ..]).fill(UNLABELLED_OBJECT);
        let completed = |background, least_area| {
            let settings = ObjectSettings {
                least_area,
                ..ObjectSettings::default()
            };
            let found = found(0.5, background);
            found.completing(given.view(), &[4, 5], &settings).unwrap()
        };
        let kept = completed(Background::Kept, 20);
        let areas: Vec<_> = kept.objects.iter().map(|of| (of.class, of.area)).collect();
        assert_eq!(areas, [(4, 56), (5, 8), (0, 56)]);
        let row = |mask: &Array2<u32>| [1, 8, 15, 19, 25].map(|column| mask[[5, column]]);
        assert_eq!(row(&kept.mask), [1, 0, 3, 2, 0]);
        assert_eq!(kept.mask[[11, 15]], UNLABELLED_OBJECT);
        let open = completed(Background::Ignored { doubt: 0.2 }, 20);
        assert_eq!(row(&open.mask), [1, 0, 3, 2, UNLABELLED_OBJECT]);
        let large = completed(Background::Kept, 60);
        assert_eq!(row(&large.mask), [1, 0, 0, 2, 0]);
    }

    #[test]
    fn where_nothing_is_found_all_stays_as_it_was_given() {
        let completed = |given: &Array2<u32>, classes: &[usize], background| {
            found(0.95, background)
                .completing(given.view(), classes, &ObjectSettings::default())
                .unwrap()
                .mask
        };
        let mut given = Array2::zeros((12, 30));
        given.slice_mut(s![2..10, 0..7]).fill(1);
        given.slice_mut(s![10..12, ..]).fill(UNLABELLED_OBJECT);
        assert_eq!(completed(&given, &[4], Background::Kept), given);
        // That there is no object is known, but where something is doubted.
        let empty = Array2::zeros((12, 30));
        assert_eq!(completed(&empty, &[], Background::Kept), empty);
        let open = completed(&empty, &[], Background::Ignored { doubt: 0.2 });
        assert_eq!([open[[5, 0]], open[[5, 25]]], [0, UNLABELLED_OBJECT]);
        let nobody = Array2::from_elem((12, 30), UNLABELLED_OBJECT);
        assert_eq!(completed(&nobody, &[], Background::Kept), nobody);
    }
}
