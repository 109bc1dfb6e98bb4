//! The bias of a whole expert: the same habit on every object of every image.
//!
//! Unlike the other injectors nothing is drawn: who draws too large draws everything too large.
//! Habits follow one another ([`NoisyObjects::then`]), so that an expert can draw everything larger,
//! a little to the left, and overlook what is small then.

use cleanslide_data::Rectangle;
use ndarray::Array2;

use super::dilate_erode::{eroded, grow, keep};
use super::instances::widened;
use super::{
    Annotation, BoxedImage, Draft, InstanceMask, Mistake, NoiseError, NoisyObjects, change_all,
    check_setting,
};
use cleanslide_data::mask::UNLABELLED_OBJECT;

/// What an expert does to every object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Habit {
    /// Draws borders this many pixels too far out, or too far in if negative. Instances are dilated
    /// and eroded as [`dilate_erode`](super::dilate_erode()) does, which needs 1 pixel or more; the
    /// sides of boxes move. What vanishes is missed.
    Outline {
        /// Pixels outwards.
        pixels: f64,
    },
    /// Draws everything this many pixels to the right and further down. What comes to lie beyond the
    /// edge of the image, or of an instance mask on unlabelled pixels, is cut off; what vanishes is
    /// missed.
    Shift {
        /// Pixels to the right.
        x: i32,
        /// Pixels downwards.
        y: i32,
    },
    /// Misses objects of a smaller area than this.
    MissSmall {
        /// Square pixels.
        area: f64,
    },
    /// Misses all objects of a class.
    MissClass {
        /// The class.
        class: usize,
    },
}

/// The images as an expert with these habits, in this order, would give them.
///
/// # Errors
/// An outline or area that is not finite.
pub fn expert_bias<A: Annotation>(
    images: &[A],
    habits: &[Habit],
) -> Result<NoisyObjects<A>, NoiseError> {
    for habit in habits {
        match *habit {
            Habit::Outline { pixels: value } => {
                check_setting("pixels", value, value.is_finite(), "a finite number")?;
            }
            Habit::MissSmall { area: value } => {
                check_setting("area", value, value.is_finite(), "a finite number")?;
            }
            Habit::Shift { .. } | Habit::MissClass { .. } => {}
        }
    }
    let unbiased = change_all(images, |_| {})?;
    habits.iter().try_fold(unbiased, |noisy, &habit| {
        noisy.then(|images| change_all(images, |draft| apply(draft, habit)))
    })
}

fn apply<A: Annotation>(draft: &mut Draft<A>, habit: Habit) {
    let changes = match habit {
        Habit::Outline { pixels } => draft.given.redraw(pixels),
        Habit::Shift { x, y } => draft.given.shift(i64::from(x), i64::from(y)),
        Habit::MissSmall { area } => {
            let small = |&object: &usize| draft.given.area(object) < area;
            let small = (0..draft.given.count()).filter(small);
            small.map(|object| (object, Mistake::Missed)).collect()
        }
        Habit::MissClass { class } => {
            let of_class = |&object: &usize| draft.given.class(object) == class;
            let of_class = (0..draft.given.count()).filter(of_class);
            of_class.map(|object| (object, Mistake::Missed)).collect()
        }
    };
    for (object, mistake) in changes {
        if mistake == Mistake::Missed {
            draft.given.remove(object);
            draft.record(mistake, &[object], &[]);
        } else {
            draft.record_in_place(mistake, object);
        }
    }
}

/// What can be drawn anew as a whole. Both say which objects changed, and how.
pub trait Redraw {
    /// Moves all borders outwards, or inwards if negative.
    fn redraw(&mut self, pixels: f64) -> Vec<(usize, Mistake)>;

    /// Moves all objects.
    fn shift(&mut self, x: i64, y: i64) -> Vec<(usize, Mistake)>;
}

impl BoxedImage {
    /// Gives every box a new place; `None` is nowhere.
    fn replace(
        &mut self,
        mistake: Mistake,
        new: impl Fn(Rectangle) -> Option<Rectangle>,
    ) -> Vec<(usize, Mistake)> {
        let size = self.size;
        let replaced = self.objects.iter_mut().enumerate().map(|(object, given)| {
            let new = new(given.shape).and_then(|new| new.on_image(size));
            match new {
                None => Some((object, Mistake::Missed)),
                Some(new) if new == given.shape => None,
                Some(new) => {
                    given.shape = new;
                    Some((object, mistake))
                }
            }
        });
        replaced.flatten().collect()
    }
}

impl Redraw for BoxedImage {
    fn redraw(&mut self, pixels: f64) -> Vec<(usize, Mistake)> {
        let mistake = if pixels > 0.0 {
            Mistake::Larger
        } else {
            Mistake::Smaller
        };
        self.replace(mistake, |old| {
            Rectangle::new(
                old.left - pixels,
                old.top - pixels,
                old.right + pixels,
                old.bottom + pixels,
            )
            .ok()
        })
    }

    fn shift(&mut self, x: i64, y: i64) -> Vec<(usize, Mistake)> {
        let (x, y) = (x as f64, y as f64);
        self.replace(Mistake::Shifted, |old| {
            Rectangle::new(old.left + x, old.top + y, old.right + x, old.bottom + y).ok()
        })
    }
}

impl Redraw for InstanceMask {
    fn redraw(&mut self, pixels: f64) -> Vec<(usize, Mistake)> {
        let objects = 0..self.classes.len();
        if pixels > 0.0 {
            let objects: Vec<_> = objects.map(|object| (object, pixels)).collect();
            let grown = grow(self, &objects).into_iter();
            return grown.map(|object| (object, Mistake::Larger)).collect();
        }
        let rests: Vec<_> = objects
            .map(|object| eroded(self, object, -pixels))
            .collect();
        let mut changes = Vec::new();
        for (object, rest) in rests.into_iter().enumerate() {
            match rest {
                None => {}
                Some(rest) if rest.is_empty() => changes.push((object, Mistake::Missed)),
                Some(rest) => {
                    keep(self, object, &rest);
                    changes.push((object, Mistake::Smaller));
                }
            }
        }
        changes
    }

    fn shift(&mut self, x: i64, y: i64) -> Vec<(usize, Mistake)> {
        if (x, y) == (0, 0) {
            return Vec::new();
        }
        let mut remains = vec![false; self.classes.len()];
        let source = |(row, column): (usize, usize)| {
            let row = usize::try_from(row as i64 - y).ok()?;
            let column = usize::try_from(column as i64 - x).ok()?;
            self.mask.get((row, column)).copied()
        };
        let shifted = Array2::from_shape_fn(self.mask.dim(), |at| {
            if self.mask[at] == UNLABELLED_OBJECT {
                return UNLABELLED_OBJECT;
            }
            let value = source(at).filter(|&value| value != UNLABELLED_OBJECT);
            let value = value.unwrap_or(0);
            if let Some(object) = (value as usize).checked_sub(1) {
                remains[object] = true;
            }
            value
        });
        self.mask = shifted;
        let margin = x.unsigned_abs().max(y.unsigned_abs()) as usize;
        for bounds in &mut self.bounds {
            *bounds = widened(*bounds, margin, self.mask.dim());
        }
        let mistake = |remains| {
            if remains {
                Mistake::Shifted
            } else {
                Mistake::Missed
            }
        };
        remains.into_iter().map(mistake).enumerate().collect()
    }
}

#[cfg(test)]
mod tests {
    use cleanslide_data::{Object, Trust};
    use ndarray::array;

    use super::*;

    #[test]
    fn habits_follow_one_another() {
        let mask = array![
            [1, 1, 0, 0, 0],
            [0, 0, 0, 2, 2],
            [0, 0, 0, 2, UNLABELLED_OBJECT]
        ];
        let truth = [InstanceMask::new(mask, vec![0, 1]).unwrap()];
        let habits = [Habit::Shift { x: 0, y: -1 }, Habit::MissSmall { area: 3.0 }];
        let noisy = expert_bias(&truth, &habits).unwrap();
        let found = array![
            [0, 0, 0, 1, 1],
            [0, 0, 0, 1, 0],
            [0, 0, 0, 0, UNLABELLED_OBJECT]
        ];
        assert_eq!(noisy.images()[0].mask(), found);
        let mistakes: Vec<_> = noisy
            .changes()
            .iter()
            .map(|change| &change.mistakes[..])
            .collect();
        assert_eq!(mistakes, [&[Mistake::Missed][..], &[Mistake::Shifted]]);
        assert_eq!(noisy.rate(), 1.0);
        assert_eq!(noisy.truth().unwrap(), truth);
        assert!(expert_bias(&truth, &[Habit::Outline { pixels: f64::NAN }]).is_err());
    }

    #[test]
    fn boxes_move_their_sides() {
        let shape = Rectangle::new(1.0, 2.0, 5.0, 5.0).unwrap();
        let object = Object {
            shape,
            class: 0,
            trust: Trust::FULL,
        };
        let truth = [BoxedImage::new((6, 8), vec![object]).unwrap()];
        let biased = |habit| {
            let noisy = expert_bias(&truth, &[habit]).unwrap();
            let boxes = noisy.images()[0].objects();
            boxes.first().map(|object| object.shape.to_string())
        };
        let outline = |pixels| biased(Habit::Outline { pixels });
        assert_eq!(outline(1.5).as_deref(), Some("0 0.5 6.5 6"));
        assert_eq!(outline(-1.0).as_deref(), Some("2 3 4 4"));
        assert_eq!(outline(-1.5), None);
        assert_eq!(outline(0.0).as_deref(), Some("1 2 5 5"));
        assert_eq!(biased(Habit::Shift { x: 8, y: 0 }), None);
        assert_eq!(biased(Habit::MissClass { class: 0 }), None);
    }
}
