//! Instances that several experts drew.
//!
//! The overlap of two objects is counted on the pixels that both experts labelled. The shape of a kept
//! group is where more than half of those members drew it who labelled the pixel; what happens to
//! ties is [`ShapeTie`]. A pixel of several kept groups goes to the one that more experts drew
//! there, then to the first. Elsewhere a pixel is background, unless nobody labelled it, or at least
//! half of those who did drew an object there that was dropped: then it is unlabelled.

use std::borrow::Cow;

use cleanslide_data::mask::UNLABELLED_OBJECT;
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::matching::{Pair, groups};
use super::{Drawn, FusedObject, check};
use crate::fusion::FusionError;

/// The objects that one expert drew on an image.
#[derive(Debug, Clone, Copy)]
pub struct ExpertInstances<'a> {
    /// Object numbers, \[height, width\]: 0 is background, [`UNLABELLED_OBJECT`] unlabelled.
    pub mask: ArrayView2<'a, u32>,
    /// Class of object i + 1. Numbers without pixels are no objects.
    pub classes: &'a [usize],
}

/// What a pixel is that half of a group's members drew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ShapeTie {
    /// Unlabelled.
    #[default]
    Unlabelled,
    /// Part of the object: for two members, their union.
    Inside,
    /// Not part of the object: for two members, their intersection.
    Outside,
}

/// Instances that enough experts drew.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InstanceConsensus {
    /// Objects of two experts are one if they overlap by at least this (intersection over union), above 0.
    pub overlap: f64,
    /// How many experts must have drawn an object, at least 1.
    pub votes: usize,
    /// What happens to ties.
    pub tie: ShapeTie,
}

impl Default for InstanceConsensus {
    /// Overlap 0.5, two votes, ties unlabelled.
    fn default() -> Self {
        Self {
            overlap: 0.5,
            votes: 2,
            tie: ShapeTie::default(),
        }
    }
}

/// The instances of the consensus.
#[derive(Debug, Clone, PartialEq)]
pub struct FusedInstances {
    /// Object numbers, \[height, width\]: 0 is background, [`UNLABELLED_OBJECT`] unlabelled.
    pub mask: Array2<u32>,
    /// What the experts said about object i + 1; each has at least one pixel.
    pub objects: Vec<FusedObject>,
}

impl InstanceConsensus {
    /// Joins the instances of the experts on one image; `None` for those who did not see it.
    ///
    /// # Errors
    /// No mask at all; masks of different sizes; an object without a class; an option outside its
    /// range.
    pub fn fuse(
        &self,
        experts: &[Option<ExpertInstances<'_>>],
    ) -> Result<FusedInstances, FusionError> {
        check(self.overlap, self.votes)?;
        let size = check_masks(experts)?;
        let masks: Vec<Option<Cow<'_, [u32]>>> = experts
            .iter()
            .map(|expert| expert.map(|expert| raster(expert.mask)))
            .collect();
        let masks: Vec<Option<&[u32]>> = masks.iter().map(Option::as_deref).collect();

        let objects: Vec<Vec<Drawn>> = masks
            .iter()
            .enumerate()
            .map(|(expert, mask)| present(expert, *mask))
            .collect();
        let groups = groups(&objects, pairs(&masks, self.overlap));
        let (kept, dropped): (Vec<_>, Vec<_>) = groups
            .into_iter()
            .partition(|group| group.len() >= self.votes);

        let mut canvas = Canvas::new(&masks, &kept, &dropped, self.tie);
        let mut pixels = canvas.paint(size.0 * size.1);
        let looked = looked(&masks, &kept, &pixels);
        // Numbers without pixels are closed up.
        let mut numbers = vec![0; kept.len() + 1];
        let mut fused = Vec::new();
        for (group, members) in kept.iter().enumerate() {
            let Some(looked) = looked[group] else {
                continue;
            };
            let class = |drawn: &Drawn| {
                let classes = experts[drawn.expert].map_or(&[][..], |expert| expert.classes);
                classes.get(drawn.object).copied().unwrap_or_default()
            };
            fused.push(FusedObject::new(members, looked, class));
            numbers[group + 1] = fused.len() as u32;
        }
        for pixel in &mut pixels {
            if let Some(&number) = numbers.get(*pixel as usize) {
                *pixel = number;
            }
        }
        Ok(FusedInstances {
            mask: Array2::from_shape_vec(size, pixels).unwrap_or_default(),
            objects: fused,
        })
    }
}

fn check_masks(experts: &[Option<ExpertInstances<'_>>]) -> Result<(usize, usize), FusionError> {
    let mut size = None;
    for (expert, instances) in experts.iter().enumerate() {
        let Some(ExpertInstances { mask, classes }) = instances else {
            continue;
        };
        let expected = *size.get_or_insert(mask.dim());
        if mask.dim() != expected {
            return Err(FusionError::MaskSize {
                expert,
                found: mask.dim(),
                expected,
            });
        }
        let labelled = |object: &&u32| **object != UNLABELLED_OBJECT;
        let highest = mask.iter().filter(labelled).copied().max().unwrap_or(0);
        if highest as usize > classes.len() {
            return Err(FusionError::ObjectClass {
                expert,
                object: highest,
                classes: classes.len(),
            });
        }
    }
    size.ok_or(FusionError::NoMasks {
        experts: experts.len(),
    })
}

/// The objects of a mask that have pixels.
fn present(expert: usize, mask: Option<&[u32]>) -> Vec<Drawn> {
    let mut numbers: Vec<u32> = mask
        .unwrap_or_default()
        .chunk_by(u32::eq)
        .map(|run| run[0])
        .filter(|&number| is_object(number))
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
        .into_iter()
        .map(|number| drawn(expert, number))
        .collect()
}

fn is_object(number: u32) -> bool {
    number != 0 && number != UNLABELLED_OBJECT
}

fn drawn(expert: usize, number: u32) -> Drawn {
    Drawn {
        expert,
        object: number as usize - 1,
    }
}

/// All pairs of objects that overlap enough.
fn pairs(masks: &[Option<&[u32]>], limit: f64) -> Vec<Pair> {
    let experts = 0..masks.len();
    let both: Vec<(usize, usize)> = experts
        .clone()
        .flat_map(|one| (one + 1..experts.end).map(move |other| (one, other)))
        .collect();
    let found: Vec<Vec<Pair>> = both
        .into_par_iter()
        .map(|(one, other)| match (masks[one], masks[other]) {
            (Some(first), Some(second)) => pairs_of((one, first), (other, second), limit),
            _ => Vec::new(),
        })
        .collect();
    found.concat()
}

fn pairs_of(
    (one, first): (usize, &[u32]),
    (other, second): (usize, &[u32]),
    limit: f64,
) -> Vec<Pair> {
    // How many pixels are of which two objects, or background, from runs of pixels.
    let mut runs: Vec<((u32, u32), u64)> = Vec::new();
    for pixel in first.iter().copied().zip(second.iter().copied()) {
        match runs.last_mut() {
            Some((last, length)) if *last == pixel => *length += 1,
            _ => runs.push((pixel, 1)),
        }
    }
    runs.retain(|((one, other), _)| {
        *one != UNLABELLED_OBJECT && *other != UNLABELLED_OBJECT && (*one, *other) != (0, 0)
    });
    runs.sort_unstable();
    let highest = |of: fn(&(u32, u32)) -> u32| runs.iter().map(|(pair, _)| of(pair)).max();
    let mut first_areas = vec![0; highest(|pair| pair.0).unwrap_or(0) as usize + 1];
    let mut second_areas = vec![0; highest(|pair| pair.1).unwrap_or(0) as usize + 1];
    let mut common: Vec<((u32, u32), u64)> = Vec::new();
    for same in runs.chunk_by(|one, other| one.0 == other.0) {
        let (pair, area) = (
            same[0].0,
            same.iter().map(|(_, length)| length).sum::<u64>(),
        );
        first_areas[pair.0 as usize] += area;
        second_areas[pair.1 as usize] += area;
        if pair.0 > 0 && pair.1 > 0 {
            common.push((pair, area));
        }
    }
    common
        .into_iter()
        .filter_map(|((a, b), area)| {
            let union = first_areas[a as usize] + second_areas[b as usize] - area;
            let overlap = area as f64 / union as f64;
            (overlap >= limit).then(|| Pair {
                one: drawn(one, a),
                other: drawn(other, b),
                overlap,
            })
        })
        .collect()
}

/// Decides about pixels.
struct Canvas<'a> {
    masks: &'a [Option<&'a [u32]>],
    kept: &'a [Vec<Drawn>],
    /// The kept group of each object, by expert and place; none if it was dropped.
    groups: Vec<Vec<Option<usize>>>,
    tie: ShapeTie,
    /// Votes for the kept groups at one pixel: group and number of experts.
    votes: Vec<(usize, usize)>,
}

impl<'a> Canvas<'a> {
    fn new(
        masks: &'a [Option<&'a [u32]>],
        kept: &'a [Vec<Drawn>],
        dropped: &[Vec<Drawn>],
        tie: ShapeTie,
    ) -> Self {
        let mut lengths = vec![0; masks.len()];
        for drawn in kept.iter().chain(dropped).flatten() {
            lengths[drawn.expert] = lengths[drawn.expert].max(drawn.object + 1);
        }
        let mut groups: Vec<Vec<Option<usize>>> = lengths
            .into_iter()
            .map(|length| vec![None; length])
            .collect();
        for (group, members) in kept.iter().enumerate() {
            for drawn in members {
                groups[drawn.expert][drawn.object] = Some(group);
            }
        }
        Self {
            masks,
            kept,
            groups,
            tie,
            votes: Vec::new(),
        }
    }

    /// Kept groups, numbered from 1.
    fn paint(&mut self, pixels: usize) -> Vec<u32> {
        let mut last: Vec<u32> = Vec::new();
        let mut now = vec![UNLABELLED_OBJECT; self.masks.len()];
        let mut decided = UNLABELLED_OBJECT;
        (0..pixels)
            .map(|pixel| {
                for (number, mask) in now.iter_mut().zip(self.masks) {
                    *number = mask.map_or(UNLABELLED_OBJECT, |mask| mask[pixel]);
                }
                // Most pixels are as the one before.
                if now != last {
                    decided = self.decide(&now);
                    last.clone_from(&now);
                }
                decided
            })
            .collect()
    }

    fn decide(&mut self, numbers: &[u32]) -> u32 {
        let (mut labelled, mut dropped) = (0, 0);
        self.votes.clear();
        for (expert, &number) in numbers.iter().enumerate() {
            if number == UNLABELLED_OBJECT {
                continue;
            }
            labelled += 1;
            if number == 0 {
                continue;
            }
            match self.groups[expert][number as usize - 1] {
                None => dropped += 1,
                Some(group) => match self.votes.iter_mut().find(|vote| vote.0 == group) {
                    Some(vote) => vote.1 += 1,
                    None => self.votes.push((group, 1)),
                },
            }
        }
        self.votes
            .sort_unstable_by_key(|&(group, votes)| (std::cmp::Reverse(votes), group));
        let mut tied = None;
        for &(group, votes) in &self.votes {
            let members = self.kept[group].iter();
            let said = members
                .filter(|drawn| numbers[drawn.expert] != UNLABELLED_OBJECT)
                .count();
            if 2 * votes > said {
                return group as u32 + 1;
            }
            if 2 * votes == said && tied.is_none() {
                tied = Some(group as u32 + 1);
            }
        }
        match (tied, self.tie) {
            (Some(group), ShapeTie::Inside) => return group,
            (Some(_), ShapeTie::Unlabelled) => return UNLABELLED_OBJECT,
            _ => {}
        }
        if labelled == 0 || (dropped > 0 && 2 * dropped >= labelled) {
            UNLABELLED_OBJECT
        } else {
            0
        }
    }
}

/// How many experts looked at each painted group; `None` if it has no pixels.
fn looked(masks: &[Option<&[u32]>], kept: &[Vec<Drawn>], painted: &[u32]) -> Vec<Option<usize>> {
    let mut areas = vec![0_u64; kept.len() + 1];
    let mut seen = vec![0_u64; (kept.len() + 1) * masks.len()];
    for (pixel, &number) in painted.iter().enumerate() {
        if !is_object(number) {
            continue;
        }
        areas[number as usize] += 1;
        for (expert, mask) in masks.iter().enumerate() {
            let labelled = mask.is_some_and(|mask| mask[pixel] != UNLABELLED_OBJECT);
            seen[number as usize * masks.len() + expert] += u64::from(labelled);
        }
    }
    kept.iter()
        .zip(1..)
        .map(|(members, number): (_, usize)| {
            let looked = |expert: &usize| {
                let drew = members.iter().any(|drawn| drawn.expert == *expert);
                drew || 2 * seen[number * masks.len() + expert] >= areas[number]
            };
            (areas[number] > 0).then(|| (0..masks.len()).filter(looked).count())
        })
        .collect()
}

/// The pixels in raster order, copied only if the view is not contiguous.
fn raster(mask: ArrayView2<'_, u32>) -> Cow<'_, [u32]> {
    match mask.to_slice() {
        Some(pixels) => Cow::Borrowed(pixels),
        None => Cow::Owned(mask.iter().copied().collect()),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use proptest::prelude::*;

    use super::*;

    const OPEN: u32 = UNLABELLED_OBJECT;

    fn expert<'a>(mask: &'a Array2<u32>, classes: &'a [usize]) -> Option<ExpertInstances<'a>> {
        Some(ExpertInstances {
            mask: mask.view(),
            classes,
        })
    }

    #[test]
    fn shapes_are_what_most_members_drew() {
        // One object that all drew, one that one drew, one that two of two drew where one did not look.
        let one = array![[1, 1, 1, 0, 0, 2, 0, 4, 4]];
        let other = array![[7, 7, 0, 0, 0, 0, 0, 3, 3]];
        let third = array![[0, 5, 5, 0, 0, 0, OPEN, OPEN, OPEN]];
        let experts = [
            expert(&one, &[0, 1, 9, 2]),
            expert(&other, &[9, 9, 2, 9, 9, 9, 1]),
            expert(&third, &[9, 9, 9, 9, 1]),
        ];
        let rule = InstanceConsensus {
            overlap: 0.4,
            ..Default::default()
        };
        let fused = rule.fuse(&experts).unwrap();
        assert_eq!(fused.mask, array![[1, 1, 1, 0, 0, 0, 0, 2, 2]]);
        let [first, second] = &fused.objects[..] else {
            panic!("{:?}", fused.objects);
        };
        assert_eq!((first.class, first.class_votes, first.looked), (1, 2, 3));
        assert_eq!(
            first.members[2],
            Drawn {
                expert: 2,
                object: 4
            }
        );
        assert_eq!(
            (second.class, second.looked, second.trust.value()),
            (2, 2, 1.0)
        );

        let rule = InstanceConsensus { votes: 1, ..rule };
        let fused = rule.fuse(&experts).unwrap();
        assert_eq!(fused.mask, array![[1, 1, 1, 0, 0, 2, 0, 3, 3]]);
        assert!((fused.objects[1].trust.value() - 1.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn each_tie_rule_does_what_it_says() {
        let one = array![[0, 1, 1, 1, 0, OPEN, 2]];
        let other = array![[1, 1, 1, 0, 0, OPEN, OPEN]];
        let mask = |tie| {
            let rule = InstanceConsensus {
                tie,
                ..Default::default()
            };
            let experts = [expert(&one, &[0, 0]), None, expert(&other, &[0])];
            rule.fuse(&experts).unwrap().mask
        };
        // The last object was drawn by the only one who looked: one vote is not enough to keep it,
        // nor to call it background.
        assert_eq!(
            mask(ShapeTie::Unlabelled),
            array![[OPEN, 1, 1, OPEN, 0, OPEN, OPEN]]
        );
        assert_eq!(mask(ShapeTie::Inside), array![[1, 1, 1, 1, 0, OPEN, OPEN]]);
        assert_eq!(mask(ShapeTie::Outside), array![[0, 1, 1, 0, 0, OPEN, OPEN]]);
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let mask = array![[0, 3]];
        let fuse = |experts: &[Option<ExpertInstances<'_>>]| {
            InstanceConsensus::default()
                .fuse(experts)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            fuse(&[None, expert(&mask, &[0, 0])]),
            "expert 1 drew object 3, but gave the classes of 2 objects"
        );
        let tall = array![[0], [0]];
        assert!(fuse(&[expert(&mask, &[0; 3]), expert(&tall, &[])]).contains("(2, 1)"));
        assert!(fuse(&[None]).contains("none of the 1 experts gave a mask"));
    }

    #[test]
    fn masks_without_objects_or_pixels() {
        let rule = InstanceConsensus::default();
        let empty = Array2::zeros((3, 4));
        let fused = rule
            .fuse(&[expert(&empty, &[]), expert(&empty, &[])])
            .unwrap();
        assert_eq!((fused.mask, fused.objects.len()), (empty, 0));
        let nothing = Array2::zeros((0, 4));
        assert_eq!(rule.fuse(&[expert(&nothing, &[])]).unwrap().mask, nothing);
        let open = Array2::from_elem((2, 2), OPEN);
        assert_eq!(rule.fuse(&[expert(&open, &[])]).unwrap().mask, open);
    }

    proptest! {
        #[test]
        fn masks_and_lists_belong_together(
            pixels in prop::collection::vec(
                prop::collection::vec(prop_oneof![0_u32..5, Just(OPEN)], 42), 1..5,
            ),
            votes in 1_usize..4,
            overlap in 0.05..1.0,
        ) {
            let masks: Vec<_> = pixels
                .into_iter()
                .map(|pixels| Array2::from_shape_vec((6, 7), pixels).unwrap())
                .collect();
            let experts: Vec<_> = masks.iter().map(|mask| expert(mask, &[0, 1, 2, 1])).collect();
            let rule = InstanceConsensus { overlap, votes, ..Default::default() };
            let fused = rule.fuse(&experts).unwrap();
            let number = fused.objects.len() as u32;
            for object in 1..=number {
                prop_assert!(fused.mask.iter().any(|&pixel| pixel == object));
                let members = &fused.objects[object as usize - 1].members;
                prop_assert!(members.len() >= votes);
                prop_assert!(members.windows(2).all(|pair| pair[0].expert < pair[1].expert));
            }
            for ((y, x), &pixel) in fused.mask.indexed_iter() {
                prop_assert!(pixel <= number || pixel == OPEN);
                let all_open = masks.iter().all(|mask| mask[[y, x]] == OPEN);
                prop_assert!(!all_open || pixel == OPEN);
            }
        }

        #[test]
        fn experts_who_agree_are_right(
            pixels in prop::collection::vec(prop_oneof![0_u32..5, Just(OPEN)], 42),
        ) {
            let mask = Array2::from_shape_vec((6, 7), pixels).unwrap();
            let experts = [expert(&mask, &[0; 4]), expert(&mask, &[0; 4])];
            let fused = InstanceConsensus::default().fuse(&experts).unwrap();
            let mut numbers: Vec<u32> =
                mask.iter().copied().filter(|&n| is_object(n)).collect();
            numbers.sort_unstable();
            numbers.dedup();
            let renumbered = mask.mapv(|n| match numbers.binary_search(&n) {
                Ok(index) => index as u32 + 1,
                Err(_) => n,
            });
            prop_assert_eq!(fused.mask, renumbered);
        }
    }
}
