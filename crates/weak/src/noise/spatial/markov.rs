//! Borders that wander: the Markov noise of Spatial Correction.
//!
//! Yao et al., *Learning to segment from noisy annotations: a spatial correction approach*, ICLR 2023
//! (openreview Qc_OopMEBnC), definition 1. A mask `y` is changed in T steps, then roughened:
//!
//! ```text
//! step t: with probability θ₁   every pixel beside y, with probability θ₂, joins y
//!         else                  every pixel of y beside another, with probability θ₂, leaves y
//! then:   every pixel flips with probability θ₃
//!         y = the majority of the 5 × 5 pixels around, weighted by exp(−distance² / (2 · 2²))
//! ```
//!
//! *Beside* is sharing an edge, and all pixels of a step are judged by the mask before it. θ₁ above a
//! half lets objects grow, below a half shrink; borders move by 1.5 to 2 times θ₂ (2 θ₁ − 1) T
//! pixels, the more the rougher they get. The last line is the smoothing of the authors' program,
//! after which flips are mostly gone and borders are uneven; of θ₃ = 0.2 some specks remain in a class
//! mask. [`MarkovBorder::J1`] is their setting for lungs and hearts of some 100 pixels; nuclei of 20
//! pixels need some 30 steps.
//!
//! What the authors leave open, for masks with one class beside the background, is settled so:
//! - Of several classes each makes its step in turn, with a coin of its own. A pixel that joins may
//!   come from any other class; one that leaves goes to the class of a pixel beside it, all equally
//!   likely. A pixel that flips gets another class that is in the mask, all equally likely. The
//!   majority is the class of greatest weight, among equals the pixel's own if it is one of them, else
//!   the lowest.
//! - Unlabelled pixels and what is beyond the edge of the image are beside nothing and have no weight.
//! - A single instance grows over background only and leaves background behind; other instances count
//!   as background in the majority. A step that would take its last pixel is left out, and so is the
//!   roughening. Of several parts the largest stays (the first among equals, by eight neighbours).

use cleanslide_data::UNLABELLED_CLASS;
use cleanslide_data::mask::UNLABELLED_OBJECT;
use cleanslide_image::region::{Bounds, Neighbours, components_with_statistics};
use ndarray::{Array2, ArrayView2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::instances::{places, widened};
use super::{
    InstanceMask, Mistake, NoiseError, NoisyObjects, check_rate, check_setting, count, inject_each,
    sample_front,
};

/// How far and how unevenly borders wander.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MarkovBorder {
    /// T: number of steps.
    pub steps: usize,
    /// θ₁: share of the steps in which objects grow.
    pub growth: f64,
    /// θ₂: share of the border's pixels that change in a step.
    pub change: f64,
    /// θ₃: share of all pixels that flip in the end.
    pub flips: f64,
}

impl MarkovBorder {
    /// The authors' setting J1 for lungs and hearts, which lets them grow.
    pub const J1: Self = Self {
        steps: 180,
        growth: 0.8,
        change: 0.05,
        flips: 0.2,
    };

    fn check(&self) -> Result<(), NoiseError> {
        let shares = [
            ("growth", self.growth),
            ("change", self.change),
            ("flips", self.flips),
        ];
        shares.into_iter().try_for_each(|(name, value)| {
            let valid = (0.0..=1.0).contains(&value);
            check_setting(name, value, valid, "a share from 0 to 1")
        })
    }
}

/// Class masks with noise, and apart from them what was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoisyMasks {
    /// The masks with noise.
    pub masks: Vec<Array2<u8>>,
    /// The masks that were redrawn, with their index, as they truly are. For evaluation only.
    pub truth: Vec<(usize, Array2<u8>)>,
}

impl NoisyMasks {
    /// Share of the labelled pixels that are wrong; 0 without any.
    pub fn rate(&self) -> f64 {
        let labelled = |mask: &Array2<u8>| {
            mask.iter()
                .filter(|&&class| class != UNLABELLED_CLASS)
                .count()
        };
        let wrong = |(index, truth): &(usize, Array2<u8>)| {
            let pairs = self.masks[*index].iter().zip(truth);
            pairs.filter(|(given, truth)| given != truth).count()
        };
        let wrong: usize = self.truth.iter().map(wrong).sum();
        let labelled: usize = self.masks.iter().map(labelled).sum();
        wrong as f64 / labelled.max(1) as f64
    }
}

/// Redraws the borders of the classes `moving` in `round(rate · masks)` class masks, all equally
/// likely; the background is not one of them.
///
/// # Errors
/// A rate or a share of the settings outside 0 to 1; 255 among the moving classes.
pub fn markov_masks(
    masks: &[ArrayView2<'_, u8>],
    moving: &[u8],
    rate: f64,
    settings: &MarkovBorder,
    rng: &mut ChaCha8Rng,
) -> Result<NoisyMasks, NoiseError> {
    check_rate(rate)?;
    settings.check()?;
    let labelled = !moving.contains(&UNLABELLED_CLASS);
    check_setting("moving", UNLABELLED_CLASS, labelled, "classes below 255")?;
    let mut order: Vec<usize> = (0..masks.len()).collect();
    let wanted = count(rate, masks.len());
    sample_front(&mut order, wanted, rng);
    let mut chosen = order[..wanted].to_vec();
    chosen.sort_unstable();
    let seed = rng.random();
    let redrawn: Vec<(usize, Array2<u8>)> = chosen
        .into_par_iter()
        .map(|index| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(index as u64);
            (
                index,
                redrawn_mask(masks[index], moving, settings, &mut rng),
            )
        })
        .collect();
    let mut noisy = NoisyMasks {
        masks: masks.iter().map(ArrayView2::to_owned).collect(),
        truth: Vec::new(),
    };
    for (index, mask) in redrawn {
        let truth = std::mem::replace(&mut noisy.masks[index], mask);
        noisy.truth.push((index, truth));
    }
    Ok(noisy)
}

fn redrawn_mask(
    mask: ArrayView2<'_, u8>,
    moving: &[u8],
    settings: &MarkovBorder,
    rng: &mut ChaCha8Rng,
) -> Array2<u8> {
    let (height, width) = mask.dim();
    let mut field = Field {
        classes: mask.to_owned(),
        active: Bounds {
            left: 0,
            top: 0,
            right: width,
            bottom: height,
        },
    };
    for _ in 0..settings.steps {
        for &class in moving {
            let frontier = if rng.random::<f64>() < settings.growth {
                field.joining(class, |_| true)
            } else {
                field.leaving(class)
            };
            for (at, other) in drawn(frontier, settings.change, rng) {
                field.classes[at] = other.choose(rng);
            }
        }
    }
    let mut present = [false; 256];
    for &class in &field.classes {
        present[usize::from(class)] = class != UNLABELLED_CLASS;
    }
    let present: Vec<u8> = (0..=u8::MAX)
        .filter(|&class| present[usize::from(class)])
        .collect();
    for class in &mut field.classes {
        if *class != UNLABELLED_CLASS && rng.random::<f64>() < settings.flips && present.len() > 1 {
            let own = present.partition_point(|other| other < class);
            *class = present[(own + rng.random_range(1..present.len())) % present.len()];
        }
    }
    let mut smooth = field.classes.clone();
    for at in places(field.active) {
        if field.classes[at] != UNLABELLED_CLASS {
            smooth[at] = field.majority(at, |class| class);
        }
    }
    smooth
}

/// Redraws the borders of `round(rate · objects)` instances.
///
/// # Errors
/// A rate or a share of the settings outside 0 to 1; fewer objects than that come out otherwise than
/// they were, because they have no room or the settings leave them as they are.
pub fn markov_borders(
    images: &[InstanceMask],
    rate: f64,
    settings: &MarkovBorder,
    rng: &mut ChaCha8Rng,
) -> Result<NoisyObjects<InstanceMask>, NoiseError> {
    settings.check()?;
    inject_each(images, rate, "redrawn borders", rng, |draft, object| {
        let changed = redraw_instance(&mut draft.given, object, settings, &mut draft.rng);
        if changed {
            draft.record_in_place(Mistake::Border, object);
        }
        changed
    })
}

const FREE: u8 = 0;
const OWN: u8 = 1;
const TAKEN: u8 = 2;

/// Whether that changed it.
fn redraw_instance(
    image: &mut InstanceMask,
    object: usize,
    settings: &MarkovBorder,
    rng: &mut ChaCha8Rng,
) -> bool {
    // It grows by at most a pixel each step, and the smoothing looks two pixels further.
    let window = image.window(object, settings.steps.saturating_add(SMOOTHING));
    let own = InstanceMask::value(object);
    let old = image.cut_out(window, |value| match value {
        0 => FREE,
        UNLABELLED_OBJECT => UNLABELLED_CLASS,
        value if value == own => OWN,
        _ => TAKEN,
    });
    let bounds = image.bounds[object];
    let mut field = Field {
        classes: old,
        active: Bounds {
            left: bounds.left - window.left,
            top: bounds.top - window.top,
            right: bounds.right - window.left,
            bottom: bounds.bottom - window.top,
        },
    };
    let mut pixels = image.pixels(object).count();
    for _ in 0..settings.steps {
        if rng.random::<f64>() < settings.growth {
            field.active = widened(field.active, 1, field.classes.dim());
            let joining = drawn(
                field.joining(OWN, |class| class == FREE),
                settings.change,
                rng,
            );
            pixels += joining.len();
            for (at, _) in joining {
                field.classes[at] = OWN;
            }
        } else {
            let leaving = drawn(field.leaving(OWN), settings.change, rng);
            if leaving.len() < pixels {
                pixels -= leaving.len();
                for (at, _) in leaving {
                    field.classes[at] = FREE;
                }
            }
        }
    }
    let new = largest_part(&roughened(&mut field, settings.flips, rng));
    let mut changed = false;
    for ((y, x), &inside) in new.indexed_iter() {
        let value = &mut image.mask[(window.top + y, window.left + x)];
        if inside != (*value == own) {
            *value = if inside { own } else { 0 };
            changed = true;
        }
    }
    image.bounds[object] = window;
    changed
}

/// The pixels of an instance after flips and smoothing, unless none are left then.
fn roughened(field: &mut Field, flips: f64, rng: &mut ChaCha8Rng) -> Array2<bool> {
    let before = field.classes.mapv(|class| class == OWN);
    let active = widened(field.active, SMOOTHING, field.classes.dim());
    for at in places(active) {
        let class = &mut field.classes[at];
        if (*class == FREE || *class == OWN) && rng.random::<f64>() < flips {
            *class = OWN - *class;
        }
    }
    let mut after = Array2::default(before.dim());
    for at in places(active) {
        let free = |class| if class == TAKEN { FREE } else { class };
        let movable = field.classes[at] == FREE || field.classes[at] == OWN;
        after[at] = movable && field.majority(at, free) == OWN;
    }
    if after.iter().any(|&inside| inside) {
        after
    } else {
        before
    }
}

fn largest_part(mask: &Array2<bool>) -> Array2<bool> {
    let Ok((parts, list)) = components_with_statistics(mask.view(), Neighbours::Eight) else {
        return mask.clone();
    };
    let larger = |one: u32, other: u32| {
        let area = |label: u32| list[label as usize - 1].area;
        if area(other) > area(one) { other } else { one }
    };
    let largest = list.iter().map(|part| part.label).reduce(larger);
    parts.labels.mapv(|label| Some(label) == largest)
}

/// Pixels from one to the other end of the smoothing's neighbourhood, from its middle.
const SMOOTHING: usize = 2;

/// Classes that change; only pixels within `active` are looked at.
struct Field {
    classes: Array2<u8>,
    active: Bounds,
}

impl Field {
    /// The classes of the labelled pixels that share an edge with one: above, left, right, below.
    fn beside(&self, (y, x): (usize, usize)) -> impl Iterator<Item = u8> + '_ {
        [
            (y.wrapping_sub(1), x),
            (y, x.wrapping_sub(1)),
            (y, x + 1),
            (y + 1, x),
        ]
        .into_iter()
        .filter_map(|at| self.classes.get(at).copied())
        .filter(|&class| class != UNLABELLED_CLASS)
    }

    /// Pixels beside a class that may join it.
    fn joining(&self, class: u8, may: impl Fn(u8) -> bool) -> Vec<((usize, usize), Others)> {
        let joins = |&at: &(usize, usize)| {
            let own = self.classes[at];
            own != class
                && own != UNLABELLED_CLASS
                && may(own)
                && self.beside(at).any(|other| other == class)
        };
        let joining = places(self.active).filter(joins);
        joining.map(|at| (at, Others::one(class))).collect()
    }

    /// Pixels of a class beside others, with these.
    fn leaving(&self, class: u8) -> Vec<((usize, usize), Others)> {
        let own = places(self.active).filter(|&at| self.classes[at] == class);
        own.filter_map(|at| {
            let mut others = Others::default();
            for other in self.beside(at).filter(|&other| other != class) {
                others.push(other);
            }
            (others.count > 0).then_some((at, others))
        })
        .collect()
    }

    /// The class of greatest weight around a pixel, each counted as `as_class` says.
    fn majority(&self, (y, x): (usize, usize), as_class: impl Fn(u8) -> u8) -> u8 {
        let own = as_class(self.classes[(y, x)]);
        let (height, width) = self.classes.dim();
        let mut weights: [(u8, f64); 25] = [(0, 0.0); 25];
        let mut count = 0;
        for row in y.saturating_sub(SMOOTHING)..(y + SMOOTHING + 1).min(height) {
            for column in x.saturating_sub(SMOOTHING)..(x + SMOOTHING + 1).min(width) {
                let class = self.classes[(row, column)];
                if class == UNLABELLED_CLASS {
                    continue;
                }
                let class = as_class(class);
                let weight = WEIGHTS[y.abs_diff(row)] * WEIGHTS[x.abs_diff(column)];
                match weights[..count].iter_mut().find(|entry| entry.0 == class) {
                    Some(entry) => entry.1 += weight,
                    None => {
                        weights[count] = (class, weight);
                        count += 1;
                    }
                }
            }
        }
        let rank = |&(class, weight): &(u8, f64)| {
            // Sums of the same weights in another order differ by rounding only.
            let weight = (weight * 1e9).round() as i64;
            (weight, class == own, std::cmp::Reverse(class))
        };
        weights[..count]
            .iter()
            .max_by_key(|entry| rank(entry))
            .map_or(own, |entry| entry.0)
    }
}

/// exp(−d² / 8) for d of 0, 1 and 2.
const WEIGHTS: [f64; 3] = [1.0, 0.882_496_902_584_595_4, 0.606_530_659_712_633_4];

/// Up to four classes.
#[derive(Debug, Clone, Copy, Default)]
struct Others {
    classes: [u8; 4],
    count: usize,
}

impl Others {
    fn one(class: u8) -> Self {
        let mut others = Self::default();
        others.push(class);
        others
    }

    fn push(&mut self, class: u8) {
        self.classes[self.count] = class;
        self.count += 1;
    }

    fn choose(&self, rng: &mut ChaCha8Rng) -> u8 {
        match self.count {
            1 => self.classes[0],
            several => self.classes[rng.random_range(0..several)],
        }
    }
}

/// The pixels that change in a step.
fn drawn(
    mut frontier: Vec<((usize, usize), Others)>,
    share: f64,
    rng: &mut ChaCha8Rng,
) -> Vec<((usize, usize), Others)> {
    frontier.retain(|_| rng.random::<f64>() < share);
    frontier
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn rng() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(6)
    }

    #[test]
    fn an_instance_keeps_to_its_room_and_never_vanishes() {
        let mask = array![[1, 2, 0, 0, 0, 0], [1, 2, 0, 0, UNLABELLED_OBJECT, 0]];
        let images = [InstanceMask::new(mask, vec![0, 0]).unwrap()];
        let away = MarkovBorder {
            steps: 100,
            growth: 0.0,
            change: 0.5,
            flips: 0.0,
        };
        let noisy = markov_borders(&images, 1.0, &away, &mut rng()).unwrap();
        let found = &noisy.images()[0];
        for value in [1, 2] {
            assert!(found.mask().iter().any(|&pixel| pixel == value));
        }
        assert_eq!(noisy.truth().unwrap(), images);

        let full = [InstanceMask::new(array![[1, 1], [1, 2]], vec![0, 0]).unwrap()];
        let grow = MarkovBorder {
            growth: 1.0,
            flips: 0.0,
            ..away
        };
        let error = markov_borders(&full, 0.5, &grow, &mut rng()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the rate asks for 1 redrawn borders, but")
        );
    }

    #[test]
    fn settings_are_shares() {
        let wrong = MarkovBorder {
            change: 5.0,
            ..MarkovBorder::J1
        };
        let error = markov_masks(&[], &[1], 1.0, &wrong, &mut rng()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the setting `change` is 5: expected a share from 0 to 1"
        );
        assert!(markov_masks(&[], &[255], 1.0, &MarkovBorder::J1, &mut rng()).is_err());
    }

    #[test]
    fn without_steps_and_flips_a_straight_border_stays() {
        let mask = Array2::from_shape_fn((9, 12), |(_, x)| match x {
            0..4 => 0,
            4..7 => 1,
            7..9 => 3,
            _ => UNLABELLED_CLASS,
        });
        let still = MarkovBorder {
            steps: 0,
            flips: 0.0,
            ..MarkovBorder::J1
        };
        let noisy = markov_masks(&[mask.view()], &[1, 3], 1.0, &still, &mut rng()).unwrap();
        assert_eq!(noisy.masks, std::slice::from_ref(&mask));
        assert_eq!(noisy.rate(), 0.0);
        let noisy = markov_masks(&[mask.view()], &[1, 3], 1.0, &MarkovBorder::J1, &mut rng());
        assert!(noisy.unwrap().rate() > 0.1);
    }
}
