//! One list of objects from those that several experts drew.
//!
//! Objects of different experts that overlap enough are held for one object, and objects that enough
//! experts drew are kept: [`InstanceConsensus`] for masks of instances, [`BoxConsensus`] for boxes.
//!
//! Rules that both share:
//!
//! - **Matching.** Pairs of objects of different experts whose intersection over union is at least
//!   the limit are taken by descending overlap (equal ones by their experts and places), and the
//!   groups of the two are joined unless both hold an object of the same expert. So a group has
//!   at most one object per expert, and no object is in two groups. Classes do not matter.
//! - **Votes.** Groups of fewer experts than asked for are dropped.
//! - **Class.** The one that most members gave; the lowest among equals.
//! - **Trust.** The share of those who drew the object among the experts who looked at its place. An
//!   expert who drew it looked; of the others, those looked who labelled at least half of its
//!   area. Where nobody looked, nobody said that there is nothing.
//! - The result is in the order of the first members, by expert and place.

mod boxes;
mod instances;
mod matching;

use cleanslide_data::Trust;

pub use boxes::{BoxConsensus, Corners, ExpertBoxes, FusedBox, Looked};
pub use instances::{ExpertInstances, FusedInstances, InstanceConsensus, ShapeTie};

/// An object of one expert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drawn {
    /// Index of the expert.
    pub expert: usize,
    /// Index in the expert's list; object number less 1 in a mask.
    pub object: usize,
}

/// What the experts said together about one object.
#[derive(Debug, Clone, PartialEq)]
pub struct FusedObject {
    /// The class that most of those gave who drew it.
    pub class: usize,
    /// How many gave that class.
    pub class_votes: usize,
    /// How many experts looked at its place.
    pub looked: usize,
    /// The share of the experts who drew it, of those who looked.
    pub trust: Trust,
    /// The experts' objects that it stands for, ascending.
    pub members: Vec<Drawn>,
}

impl FusedObject {
    fn new(members: &[Drawn], looked: usize, class: impl Fn(&Drawn) -> usize) -> Self {
        let mut classes: Vec<usize> = members.iter().map(class).collect();
        classes.sort_unstable();
        let (mut best, mut class_votes) = (0, 0);
        for same in classes.chunk_by(usize::eq) {
            if same.len() > class_votes {
                (best, class_votes) = (same[0], same.len());
            }
        }
        let share = members.len() as f32 / looked.max(members.len()).max(1) as f32;
        Self {
            class: best,
            class_votes,
            looked,
            trust: Trust::new(share).unwrap_or_default(),
            members: members.to_vec(),
        }
    }
}

/// Limits that both rules have.
fn check(overlap: f64, votes: usize) -> Result<(), super::FusionError> {
    let valid = |limit: f64| limit > 0.0 && limit <= 1.0;
    super::check_option("overlap", overlap, valid, "above 0 and at most 1")?;
    super::check_iterations("votes", votes)
}
