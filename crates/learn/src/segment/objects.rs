//! Objects told from each other by the classes of their pixels.
//!
//! A pixel is background, inside an object of some class, or on the border of an object. Borders keep objects
//! that touch apart: what is inside is connected within objects only. The idea is that of U-Net's authors
//! (arXiv 1505.04597) and of the winners of the Data Science Bowl 2018 (doi:10.1038/s41592-019-0612-7).

use cleanslide_data::UNLABELLED_CLASS;
use cleanslide_data::mask::UNLABELLED_OBJECT;
use cleanslide_image::region::{Neighbours, Watershed, components, watershed};
use ndarray::{Array2, ArrayView2, ArrayView3, Axis, Zip, s};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How objects are told from each other. Every field has a default, and unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectSettings {
    /// Width of the border inside an object, in pixels. Default 2.
    pub border: usize,
    /// The smallest object that is predicted, in pixels. Default 20.
    pub least_area: usize,
    /// The probability above which a pixel belongs to an object, and above which it is inside of one.
    /// Default 0.5.
    pub threshold: f32,
}

impl Default for ObjectSettings {
    fn default() -> Self {
        Self {
            border: 2,
            least_area: 20,
            threshold: 0.5,
        }
    }
}

impl ObjectSettings {
    /// Refuses settings out of their range.
    ///
    /// # Errors
    /// The first such setting.
    pub fn check(&self) -> Result<()> {
        let wrong = |name, value: String, reason: &str| {
            Err(Error::Setting {
                name,
                value,
                reason: reason.to_owned(),
            })
        };
        if self.border == 0 {
            return wrong("border", "0".into(), "expected at least 1");
        }
        if !(self.threshold > 0.0 && self.threshold < 1.0) {
            let reason = "expected a number between 0 and 1";
            return wrong("threshold", self.threshold.to_string(), reason);
        }
        Ok(())
    }
}

/// The classes of pixels for objects of these classes: background, the classes, border.
pub fn pixel_classes(objects: &[String]) -> Vec<String> {
    let first = std::iter::once("background".to_owned());
    let last = std::iter::once("border".to_owned());
    first.chain(objects.iter().cloned()).chain(last).collect()
}

/// The class of each pixel of an instance mask `[height, width]`: 0 background, 1 + c inside an object of class
/// c, `border` where another object or the background is within the width of a border, 255 where nobody said
/// anything. `classes[i]` is the class of object i + 1. An object that is all border keeps the pixels that
/// are farthest from its edge.
pub fn classes_of_objects(
    mask: ArrayView2<'_, u32>,
    classes: &[usize],
    border: u8,
    settings: &ObjectSettings,
) -> Array2<u8> {
    let (height, width) = mask.dim();
    // How far, in steps of a king, the nearest pixel of something else is, up to the width of a border.
    let depth = Array2::from_shape_fn((height, width), |(row, column)| {
        (1..=settings.border)
            .find(|&step| {
                let rows = row.saturating_sub(step)..(row + step + 1).min(height);
                let columns = column.saturating_sub(step)..(column + step + 1).min(width);
                let own = mask[[row, column]];
                mask.slice(s![rows, columns])
                    .iter()
                    .any(|&other| other != own && other != UNLABELLED_OBJECT)
            })
            .unwrap_or(settings.border + 1)
    });
    let mut deepest = vec![0; classes.len() + 1];
    Zip::from(&mask).and(&depth).for_each(|&object, &depth| {
        if let Some(deepest) = deepest.get_mut(object as usize) {
            *deepest = depth.max(*deepest);
        }
    });
    Zip::from(&mask)
        .and(&depth)
        .map_collect(|&object, &depth| match object {
            0 => 0,
            UNLABELLED_OBJECT => UNLABELLED_CLASS,
            _ => match classes.get(object as usize - 1) {
                Some(&class) if depth > settings.border || depth == deepest[object as usize] => {
                    1 + class as u8
                }
                Some(_) => border,
                None => UNLABELLED_CLASS,
            },
        })
}

/// Objects by the probabilities `[classes, height, width]` of pixels, whose first class is the background and
/// whose last is the border: an instance mask, and the class of each object.
///
/// Connected pixels that are probably inside are the cores of objects. They grow over the pixels that probably
/// belong to objects, those first that are most probably inside. What no core reaches is an object of its
/// own. Objects below the least area are left out.
///
/// # Errors
/// Fewer than three classes, or more pixels than can be numbered.
pub fn objects_of_classes(
    probabilities: ArrayView3<'_, f32>,
    settings: &ObjectSettings,
) -> Result<(Array2<u32>, Vec<usize>)> {
    let classes = probabilities.len_of(Axis(0));
    if classes < 3 {
        return Err(Error::ObjectClasses(classes));
    }
    let last = classes - 1;
    let inner = probabilities.slice(s![1..last, .., ..]);
    let inside = inner.sum_axis(Axis(0));
    let belongs = probabilities
        .index_axis(Axis(0), 0)
        .mapv(|background| 1.0 - background > settings.threshold);
    let cores = inside.mapv(|probability| probability > settings.threshold);
    let cores = components(cores.view(), Neighbours::Four)?.labels;
    let grown = watershed(
        inside.mapv(|probability| 1.0 - probability).view(),
        cores.view(),
        &Watershed {
            mask: Some(belongs.view()),
            ..Watershed::default()
        },
    )?;
    let unreached = Zip::from(&grown)
        .and(&belongs)
        .map_collect(|&object, &belongs| object == 0 && belongs);
    let count = grown.iter().copied().max().unwrap_or(0);
    let alone = components(unreached.view(), Neighbours::Four)?.labels;
    let all = Zip::from(&grown)
        .and(&alone)
        .map_collect(|&grown, &alone| if alone > 0 { count + alone } else { grown });
    Ok(numbered(all, inner, settings.least_area))
}

/// Numbers objects that are large enough from 1, in the order of their first pixels, and finds the class that
/// their pixels have most.
fn numbered(
    mut mask: Array2<u32>,
    inner: ArrayView3<'_, f32>,
    least_area: usize,
) -> (Array2<u32>, Vec<usize>) {
    let highest = mask.iter().copied().max().unwrap_or(0) as usize;
    let classes = inner.len_of(Axis(0));
    let mut areas = vec![0; highest + 1];
    let mut sums = vec![0.0f64; (highest + 1) * classes];
    for ((row, column), &object) in mask.indexed_iter() {
        let object = object as usize;
        areas[object] += 1;
        for class in 0..classes {
            sums[object * classes + class] += f64::from(inner[[class, row, column]]);
        }
    }
    let mut numbers = vec![0; highest + 1];
    let mut found = Vec::new();
    mask.mapv_inplace(|object| {
        let object = object as usize;
        if object == 0 || areas[object] < least_area {
            return 0;
        }
        if numbers[object] == 0 {
            let sums = &sums[object * classes..(object + 1) * classes];
            let best = (1..classes).fold(0, |best, class| {
                if sums[class] > sums[best] {
                    class
                } else {
                    best
                }
            });
            found.push(best);
            numbers[object] = found.len() as u32;
        }
        numbers[object]
    });
    (mask, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    /// Two objects side by side, a large one, a thin one, and a stripe that nobody labelled.
    fn mask() -> Array2<u32> {
        let mut mask = Array2::zeros((20, 30));
        mask.slice_mut(s![2..12, 2..12]).fill(1);
        mask.slice_mut(s![2..12, 12..24]).fill(2);
        mask.slice_mut(s![15..17, 3..20]).fill(3);
        mask.slice_mut(s![.., 28..]).fill(UNLABELLED_OBJECT);
        mask
    }

    #[test]
    fn borders_part_what_touches() {
        let settings = ObjectSettings::default();
        let classes = classes_of_objects(mask().view(), &[0, 1, 1], 3, &settings);
        assert_eq!(classes[[7, 7]], 1);
        assert_eq!(classes[[7, 15]], 2);
        for column in [2, 3, 10, 11, 12, 13, 22, 23] {
            assert_eq!(classes[[7, column]], 3, "column {column}");
        }
        assert_eq!(classes[[0, 0]], 0);
        assert_eq!(classes[[7, 28]], UNLABELLED_CLASS);
        // The edge of the image is no border of an object, and a thin object is not all border.
        assert_eq!(classes[[15, 10]], 2);
    }

    #[test]
    fn certain_probabilities_give_the_objects_back() {
        let settings = ObjectSettings::default();
        let mask = mask().mapv(|object| {
            if object == UNLABELLED_OBJECT {
                0
            } else {
                object
            }
        });
        let classes = classes_of_objects(mask.view(), &[0, 1, 1], 3, &settings);
        let probabilities = Array3::from_shape_fn((4, 20, 30), |(class, row, column)| {
            if usize::from(classes[[row, column]]) == class {
                0.97
            } else {
                0.01
            }
        });
        let (found, of) = objects_of_classes(probabilities.view(), &settings).unwrap();
        assert_eq!(found, mask);
        assert_eq!(of, [0, 1, 1]);
        let large = ObjectSettings {
            least_area: 50,
            ..settings
        };
        let (found, of) = objects_of_classes(probabilities.view(), &large).unwrap();
        assert_eq!(of, [0, 1]);
        assert_eq!(found[[15, 10]], 0);
    }
}
