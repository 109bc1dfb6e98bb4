//! Which of the given labels are learned from, and which are changed.

use std::collections::BTreeMap;

use cleanslide_data::Rectangle;
use serde::{Deserialize, Serialize};

use super::histology::{Likeness, Looks, support};
use super::opinion::{ObjectOpinion, Proposal};
use super::{DualSettings, Exchange, Prior, SelectionSettings};
use crate::gaussian_mixture::GaussianMixture;

/// What has been decided about a given object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is learned from.
    Kept,
    /// Nothing is learned from it.
    Doubted,
    /// It is probably false.
    Dropped,
    /// It is learned from with another outline.
    Redrawn,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Kept, Self::Doubted, Self::Dropped, Self::Redrawn];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Doubted => "doubted",
            Self::Dropped => "dropped",
            Self::Redrawn => "redrawn",
        }
    }
}

/// A given object, what speaks for it, and what has been decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgedObject {
    /// Its number in the given mask.
    pub number: u32,
    /// Its class.
    pub class: usize,
    /// Its pixels.
    pub area: u64,
    /// What has been decided.
    pub state: State,
    /// How probably its pixels belong to an object of its class, by the networks, in [0, 1].
    pub agreement: f64,
    /// How well it fits what the kept objects of its class look like, in [0, 1]; not before the first selection.
    pub likeness: Option<f64>,
    /// How well its border shows in the image, in [0, 1]; not before the first selection.
    pub border: Option<f64>,
    /// The scores that there are, by their shares.
    pub score: f64,
    /// How probably it is real, by the scores of all objects of its class.
    pub probability: f64,
    /// Whether each network learns from it as it is given, or redrawn.
    pub(super) clean: [bool; 2],
    /// Judgements in a row in which it was dropped and all networks were sure that there is nothing.
    pub(super) nothing: usize,
    /// Judgements in a row in which all networks saw the same other outline.
    pub(super) otherwise: usize,
    /// Whether background is learned in its place.
    pub removed: bool,
}

/// An object that nobody marked and all networks see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Candidate {
    /// Its place among the proposals of the judgement.
    pub(super) place: usize,
    pub(super) bounds: Rectangle,
    /// Judgements in a row in which it was seen.
    pub(super) times: usize,
    /// Whether it is learned from.
    pub(super) found: bool,
}

/// An object that is learned from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Believed {
    pub(super) class: usize,
    /// How probably it is real.
    pub(super) probability: f64,
}

/// What has been decided about the labels of an image.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct SelectedImage {
    pub(super) objects: Vec<JudgedObject>,
    pub(super) candidates: Vec<Candidate>,
    /// Each object of the mask that was written.
    pub(super) written: Vec<Believed>,
}

impl SelectedImage {
    /// A given object by its number.
    fn object(&self, number: u32) -> Option<&JudgedObject> {
        let place = (self.objects).binary_search_by_key(&number, |object| object.number);
        self.objects.get(place.ok()?)
    }
}

/// What has been decided about all labels.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Selection {
    /// The epoch after which; `None` before the first.
    pub(super) epoch: Option<usize>,
    /// Of each class what share of its objects is false, as it was estimated while little of it was left out.
    pub(super) estimates: Vec<Vec<f64>>,
    pub(super) images: BTreeMap<usize, SelectedImage>,
}

/// What networks say of the labels of an image, but the pixels.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) item: usize,
    pub(super) objects: Vec<ObjectOpinion>,
    pub(super) proposals: Vec<Proposal>,
    /// How much steeper the image is along the border of each proposal than beside it; nothing before the first selection.
    pub(super) edges: Vec<f64>,
    /// How many pixels that are labelled as background belong to an unmarked object with each probability, from 0 to 255.
    pub(super) belongs: Vec<u64>,
}

/// A judgement of all labels.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) selection: Selection,
    /// From how high a probability on, from 0 to 255, background is left open; nothing is as high as 256.
    pub(super) open_from: usize,
    /// The estimated share of objects that are false.
    pub(super) false_share: f64,
}

/// Judges all labels after an epoch.
pub(super) struct Judge<'a> {
    pub(super) settings: &'a DualSettings,
    /// Names of the classes of objects.
    pub(super) classes: &'a [String],
    pub(super) epoch: usize,
    pub(super) before: &'a Selection,
    /// What objects look like, by item and number; nothing is asked of it before the first selection.
    pub(super) looks: &'a BTreeMap<usize, Vec<(u32, Looks)>>,
}

/// Fewer objects than these say nothing of how many are false.
const LEAST_OBJECTS: usize = 20;
/// At most this share of a class is left out.
const MOST_FALSE: f64 = 0.9;
/// How far the share that is left out has risen to what is estimated when the estimate settles. Networks forget what they do not
/// learn from: the more is left out, the more looks false.
const SETTLED: f64 = 0.5;
/// Probabilities are as far as this from 0 and 1 before they are shifted.
const LEAST_PROBABILITY: f64 = 1e-12;

impl Judge<'_> {
    pub(super) fn judge(&self, heard: &[Heard]) -> Judgement {
        let ramp = (self.epoch as f64 / self.settings.gradual as f64).min(1.0);
        let mut images: Vec<SelectedImage> = heard.iter().map(|heard| self.begin(heard)).collect();
        let classes = 0..self.classes.len();
        let estimates: Vec<Vec<f64>> = (classes.clone())
            .map(|class| self.filter(class, heard, &mut images, ramp))
            .collect();
        if let Some(selection) = self.settings.selects(self.epoch) {
            for (class, estimates) in estimates.iter().enumerate() {
                self.select((selection, median(estimates)), class, heard, &mut images);
            }
            for (heard, image) in heard.iter().zip(&mut images) {
                self.relabel(selection, heard, image);
            }
        }
        let objects: usize = images.iter().map(|image| image.objects.len()).sum();
        let of_class = |class: usize| places(&images, class).len() as f64 / objects.max(1) as f64;
        let false_share = classes
            .map(|class| median(&estimates[class]).unwrap_or(0.0) * of_class(class))
            .sum();
        let open_from = open_from(heard, self.settings.background * ramp);
        let images = heard.iter().map(|heard| heard.item).zip(images);
        Judgement {
            selection: Selection {
                epoch: Some(self.epoch),
                estimates,
                images: images.collect(),
            },
            open_from,
            false_share,
        }
    }

    fn begin(&self, heard: &Heard) -> SelectedImage {
        let judged = |said: &ObjectOpinion| JudgedObject {
            number: said.number,
            class: said.class,
            area: said.area,
            state: State::Kept,
            agreement: said.agreement,
            likeness: None,
            border: None,
            score: said.agreement,
            probability: 1.0,
            clean: [true; 2],
            nothing: 0,
            otherwise: 0,
            removed: false,
        };
        SelectedImage {
            objects: heard.objects.iter().map(judged).collect(),
            ..SelectedImage::default()
        }
    }

    /// Leaves out the objects of a class with the largest losses, and gives all estimates of the share of them that is false.
    fn filter(
        &self,
        class: usize,
        heard: &[Heard],
        images: &mut [SelectedImage],
        ramp: f64,
    ) -> Vec<f64> {
        let places = places(images, class);
        let of = |&(image, object): &(usize, usize)| &heard[image].objects[object];
        let agreement: Vec<f64> = places.iter().map(|place| of(place).agreement).collect();
        let kinds = two_kinds(&agreement);
        let mut estimates = self
            .before
            .estimates
            .get(class)
            .cloned()
            .unwrap_or_default();
        if let Some(kinds) = kinds
            && (ramp < SETTLED || estimates.is_empty())
        {
            estimates.push(kinds.shares[0].min(MOST_FALSE));
        }
        let wrong = median(&estimates).unwrap_or(0.0);
        let kept = places.len() - (wrong * ramp * places.len() as f64).floor() as usize;
        for network in 0..2 {
            let loss = |place: &(usize, usize)| {
                let said = of(place);
                match self.settings.exchange {
                    Exchange::Cross => said.losses[1 - network],
                    Exchange::Alone => said.losses[network],
                    Exchange::Joint => {
                        let share = self.settings.agreement;
                        (1.0 - share) * (said.losses[0] + said.losses[1]) + share * said.divergence
                    }
                }
            };
            let mut order = places.clone();
            order.sort_by(|one, other| loss(one).total_cmp(&loss(other)));
            for &(image, object) in &order[kept..] {
                images[image].objects[object].clean[network] = false;
            }
        }
        for (&(image, object), agreement) in places.iter().zip(agreement) {
            let object = &mut images[image].objects[object];
            object.probability = kinds.map_or(1.0, |kinds| kinds.upper(agreement));
            if object.clean != [true; 2] {
                object.state = State::Doubted;
            }
        }
        estimates
    }

    /// Selects objects of a class by three scores, if it is known what share of them is false.
    fn select(
        &self,
        (selection, wrong): (&SelectionSettings, Option<f64>),
        class: usize,
        heard: &[Heard],
        images: &mut [SelectedImage],
    ) {
        let places = places(images, class);
        let looks = |(image, object): (usize, usize)| {
            let all = self.looks.get(&heard[image].item)?;
            let number = heard[image].objects[object].number;
            let place = all.binary_search_by_key(&number, |(number, _)| *number);
            Some(all[place.ok()?].1)
        };
        let accepted = places.iter().filter(|(image, object)| {
            self.was_accepted(heard[*image].item, &images[*image].objects[*object])
        });
        let usual: Vec<Looks> = accepted.filter_map(|place| looks(*place)).collect();
        let likeness = Likeness::of(usual.iter());
        let name = &self.classes[class];
        let priors = || {
            selection
                .priors
                .iter()
                .filter(|prior: &&Prior| prior.class == *name)
        };
        let mut scores = Vec::new();
        for &(image, object) in &places {
            let looks = looks((image, object));
            let judged = &mut images[image].objects[object];
            judged.likeness = looks.and_then(|looks| likeness.match_of(&looks, priors()));
            judged.border = looks.and_then(|looks| support(looks.edge));
            let [agreement, of_likeness, border] = selection.shares;
            judged.score = mean(&[
                (Some(judged.agreement), agreement),
                (judged.likeness, of_likeness),
                (judged.border, border),
            ])
            .unwrap_or(judged.agreement);
            scores.push(judged.score);
        }
        let probabilities = match (two_kinds(&scores), wrong) {
            (Some(kinds), Some(wrong)) => {
                let probabilities = scores.iter().map(|&score| kinds.upper(score));
                with_mean(probabilities.collect(), 1.0 - wrong)
            }
            _ => vec![1.0; scores.len()],
        };
        let needed = selection.needed(self.epoch);
        for (&(image, object), probability) in places.iter().zip(probabilities) {
            let judged = &mut images[image].objects[object];
            judged.probability = probability;
            judged.state = if judged.probability < needed - selection.doubt {
                State::Dropped
            } else if judged.probability < needed + selection.doubt && judged.probability < 1.0 {
                State::Doubted
            } else {
                State::Kept
            };
            judged.clean = [judged.state == State::Kept; 2];
        }
    }

    /// Whether an object was accepted so far: before the first selection, whether no network left it out.
    fn was_accepted(&self, item: usize, object: &JudgedObject) -> bool {
        let before = self.before.images.get(&item);
        match before.and_then(|image| image.object(object.number)) {
            Some(before) if before.likeness.is_some() => {
                matches!(before.state, State::Kept | State::Redrawn)
            }
            _ => object.clean == [true; 2],
        }
    }

    /// Changes labels of which all networks have said the same for long enough.
    fn relabel(&self, selection: &SelectionSettings, heard: &Heard, image: &mut SelectedImage) {
        let relabel = &selection.relabel;
        let due = |times: usize| relabel.times > 0 && times >= relabel.times;
        let before = self.before.images.get(&heard.item);
        for (object, said) in image.objects.iter_mut().zip(&heard.objects) {
            let old = before.and_then(|image| image.object(object.number));
            let times = |now: bool, old: Option<usize>| {
                if now { old.unwrap_or(0) + 1 } else { 0 }
            };
            let sure = said.background.iter().all(|&p| p >= relabel.probability);
            let dropped = object.state == State::Dropped;
            object.nothing = times(dropped && sure, old.map(|old| old.nothing));
            object.removed = due(object.nothing);
            let shows_less = |place: usize| {
                let edge = heard.edges.get(place).copied().and_then(support);
                edge > object.border
            };
            let other = said.proposal.filter(|&(place, overlap)| {
                overlap < relabel.overlap
                    && heard.proposals[place].class == object.class
                    && shows_less(place)
            });
            object.otherwise = times(other.is_some(), old.map(|old| old.otherwise));
            if due(object.otherwise) {
                object.state = State::Redrawn;
                object.clean = [true; 2];
                object.removed = false;
            }
        }
        let earlier = before.map_or(&[][..], |image| &image.candidates);
        let free = heard.proposals.iter().enumerate();
        let free = free.filter(|(_, proposal)| proposal.free);
        image.candidates = free
            .map(|(place, proposal)| {
                let old = earlier
                    .iter()
                    .filter(|old| old.bounds.iou(&proposal.bounds) >= 0.5);
                let times = 1 + old.map(|old| old.times).max().unwrap_or(0);
                Candidate {
                    place,
                    bounds: proposal.bounds,
                    times,
                    found: due(times),
                }
            })
            .collect();
    }
}

/// The objects of a class, by image and place in it.
fn places(images: &[SelectedImage], class: usize) -> Vec<(usize, usize)> {
    let mut places = Vec::new();
    for (number, image) in images.iter().enumerate() {
        let objects = image.objects.iter().enumerate();
        let of_class = objects.filter(|(_, object)| object.class == class);
        places.extend(of_class.map(|(object, _)| (number, object)));
    }
    places
}

/// Values that fall into two kinds; `None` of few, and where one kind explains them as well.
fn two_kinds(values: &[f64]) -> Option<GaussianMixture> {
    if values.len() < LEAST_OBJECTS {
        return None;
    }
    GaussianMixture::fit(values).filter(|kinds| kinds.evidence > 0.0)
}

/// The middle of some values; `None` of none.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let [low, high] = [sorted.len().checked_sub(1)? / 2, sorted.len() / 2];
    Some(f64::midpoint(sorted[low], sorted[high]))
}

/// Probabilities whose mean is `mean`, in the same order: the logarithms of all odds are moved by the same, as they are where two
/// kinds are more or less frequent than was thought (Saerens et al. 2002, 10.1162/089976602753284446).
fn with_mean(probabilities: Vec<f64>, mean: f64) -> Vec<f64> {
    let odds: Vec<f64> = (probabilities.into_iter())
        .map(|probability| probability.clamp(LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY))
        .map(|probability| (probability / (1.0 - probability)).ln())
        .collect();
    let moved = |by: f64| {
        odds.iter()
            .map(move |odds| 1.0 / (1.0 + (-odds - by).exp()))
    };
    // All odds lie within this, so that the mean for certain does at the ends.
    let end = -4.0 * LEAST_PROBABILITY.ln();
    let [mut low, mut high] = [-end, end];
    for _ in 0..64 {
        let middle = f64::midpoint(low, high);
        if moved(middle).sum::<f64>() < mean * odds.len() as f64 {
            low = middle;
        } else {
            high = middle;
        }
    }
    moved(low).collect()
}

/// One half of 255, rounded up.
const HALF: usize = 128;

/// From how high a probability on background is left open: so that what is more probably an object is left out, but no
/// more than a share of all background. Without that bound networks that take everything for objects, as they may in
/// the first epochs, would never see any background.
fn open_from(heard: &[Heard], share: f64) -> usize {
    let mut counts = vec![0u64; 256];
    for heard in heard {
        for (sum, count) in counts.iter_mut().zip(&heard.belongs) {
            *sum += count;
        }
    }
    let most = (counts.iter().sum::<u64>() as f64 * share).floor() as u64;
    let (mut sum, mut from) = (0, 256);
    while from > HALF && sum + counts[from - 1] <= most {
        from -= 1;
        sum += counts[from];
    }
    from
}

/// The mean of the values that there are, by their shares; `None` if they have none.
fn mean(values: &[(Option<f64>, f64)]) -> Option<f64> {
    let known = values
        .iter()
        .filter_map(|(value, share)| Some(((*value)?, share)));
    let (sum, shares) = known.fold((0.0, 0.0), |(sum, shares), (value, share)| {
        (sum + value * share, shares + share)
    });
    (shares > 0.0).then(|| sum / shares)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dual::RelabelSettings;

    fn said(number: u32, agreement: f64, losses: [f64; 2]) -> ObjectOpinion {
        ObjectOpinion {
            number,
            class: 0,
            area: 50,
            losses,
            divergence: 0.0,
            agreement,
            background: [1.0 - agreement; 2],
            proposal: None,
        }
    }

    /// Thirty objects that networks see and ten that they do not; the second network minds the last of them less.
    fn heard() -> Heard {
        let object = |number: u32| {
            let step = f64::from(number % 10) / 100.0;
            if number <= 30 {
                said(number, 0.8 + step, [0.1 + step; 2])
            } else {
                said(
                    number,
                    0.05 + step,
                    [2.0, if number == 40 { 0.05 } else { 2.0 }],
                )
            }
        };
        Heard {
            item: 7,
            objects: (1..=40).map(object).collect(),
            proposals: Vec::new(),
            edges: Vec::new(),
            belongs: vec![0; 256],
        }
    }

    fn judged(
        settings: &DualSettings,
        epoch: usize,
        before: &Selection,
        heard: Heard,
    ) -> Judgement {
        // The border of the third object shows well.
        let looks = Looks {
            features: [f64::NAN; 7],
            square_microns: f64::NAN,
            edge: 0.9,
        };
        Judge {
            settings,
            classes: &["nucleus".to_owned()],
            epoch,
            before,
            looks: &BTreeMap::from([(7, vec![(3, looks)])]),
        }
        .judge(&[heard])
    }

    fn of(judgement: &Judgement) -> &[JudgedObject] {
        &judgement.selection.images[&7].objects
    }

    #[test]
    fn a_network_learns_from_what_the_other_finds_easy() {
        let filter = |exchange, epoch| {
            let settings = DualSettings {
                exchange,
                ..DualSettings::default()
            };
            judged(&settings, epoch, &Selection::default(), heard())
        };
        let clean = |judgement: &Judgement, network: usize| -> Vec<u32> {
            let left_out = of(judgement).iter().filter(|object| !object.clean[network]);
            left_out.map(|object| object.number).collect()
        };
        let late = filter(Exchange::Cross, 20);
        assert!(
            (late.false_share - 0.25).abs() < 0.01,
            "{}",
            late.false_share
        );
        // By the second network's losses object 40 is easy: the first one keeps it, and leaves out a harder one.
        assert!(!clean(&late, 0).contains(&40) && clean(&late, 1).contains(&40));
        let alone = filter(Exchange::Alone, 20);
        assert!(clean(&alone, 0).contains(&40));
        let joint = filter(Exchange::Joint, 20);
        assert_eq!(clean(&joint, 0), clean(&joint, 1));
        // Half of the way only half of them are left out.
        let early = filter(Exchange::Cross, 5);
        assert_eq!(clean(&early, 1).len(), clean(&late, 1).len() / 2);
        let states = of(&late)
            .iter()
            .filter(|object| object.state == State::Doubted);
        assert!(states.count() >= clean(&late, 1).len());
    }

    #[test]
    fn where_all_are_alike_all_are_kept() {
        let mut heard = heard();
        for object in &mut heard.objects {
            object.agreement = 0.7 + f64::from(object.number % 7) / 100.0;
        }
        let settings = DualSettings::default().whole();
        let all = judged(&settings, 30, &Selection::default(), heard);
        assert_eq!(all.false_share, 0.0);
        assert!(of(&all).iter().all(|object| object.state == State::Kept));
        assert!(of(&all).iter().all(|object| object.probability == 1.0));
    }

    #[test]
    fn what_is_false_is_estimated_while_little_is_left_out() {
        let settings = DualSettings {
            gradual: 20,
            ..DualSettings::default().whole()
        };
        // The more is left out, the fewer objects the networks see.
        let forgetful = |seen: u32| {
            let mut heard = heard();
            for object in heard.objects.iter_mut().filter(|of| of.number > seen) {
                object.agreement = 0.05 + f64::from(object.number % 10) / 100.0;
            }
            heard
        };
        let mut before = Selection::default();
        let mut told = Vec::new();
        for (epoch, seen) in [(4, 30), (8, 28), (12, 20), (16, 12), (20, 12)] {
            let now = judged(&settings, epoch, &before, forgetful(seen));
            told.push(now.false_share);
            before = now.selection;
        }
        for (told, expected) in told.iter().zip([0.25, 0.275, 0.275, 0.275, 0.275]) {
            assert!((told - expected).abs() < 0.01, "{told} for {expected}");
        }
        let objects = &before.images[&7].objects;
        let sum: f64 = objects.iter().map(|object| object.probability).sum();
        assert!((sum / 40.0 - 0.725).abs() < 0.01, "{sum}");
        // One that estimates late believes what it finds then.
        let late = judged(&settings, 20, &Selection::default(), forgetful(12));
        assert!(
            (late.false_share - 0.7).abs() < 0.01,
            "{}",
            late.false_share
        );
    }

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[3.0, 1.0]), Some(2.0));
        assert_eq!(median(&[3.0, 1.0, 1.5]), Some(1.5));
    }

    proptest! {
        #[test]
        fn probabilities_are_moved_to_a_mean_and_keep_their_order(
            probabilities in prop::collection::vec(0.0..=1.0f64, 1..50),
            mean in 0.1..=1.0f64,
        ) {
            let moved = with_mean(probabilities.clone(), mean);
            prop_assert!((moved.iter().sum::<f64>() / moved.len() as f64 - mean).abs() < 1e-9);
            for (one, now) in probabilities.iter().zip(&moved) {
                for (other, then) in probabilities.iter().zip(&moved) {
                    prop_assert!(one > other || now <= then);
                }
            }
        }
    }

    #[test]
    fn labels_change_only_if_all_networks_say_so_for_long_enough() {
        let settings = DualSettings::default().whole();
        let proposal = Proposal {
            class: 0,
            probability: 0.9,
            bounds: Rectangle::new(2.0, 2.0, 9.0, 9.0).unwrap(),
            free: true,
        };
        let heard = |free: bool| {
            let mut heard = heard();
            heard.proposals = vec![
                proposal,
                Proposal {
                    free: false,
                    ..proposal
                },
            ];
            heard.proposals[0].free = free;
            heard.edges = vec![0.2, 0.2];
            heard.objects[2].proposal = Some((1, 0.5));
            // Another outline of the first object; as good a one of the third, whose own shows better; and one network that is
            // not sure of the last one.
            heard.objects[0].proposal = Some((1, 0.5));
            heard.objects[1].proposal = Some((1, 0.9));
            heard.objects[39].background = [0.95, 0.7];
            heard
        };
        let mut before = Selection::default();
        let mut told = Vec::new();
        for epoch in 10..15 {
            let now = judged(&settings, epoch, &before, heard(epoch != 11));
            let (objects, image) = (of(&now), &now.selection.images[&7]);
            told.push((
                objects[0].state == State::Redrawn,
                objects[1].state == State::Redrawn || objects[2].state == State::Redrawn,
                objects[30].removed,
                objects[39].removed,
                image.candidates.iter().any(|candidate| candidate.found),
            ));
            assert_eq!(objects[30].state, State::Dropped);
            before = now.selection;
        }
        let RelabelSettings { times, .. } = RelabelSettings::default();
        assert_eq!(times, 3);
        let seen = |which: fn(&(bool, bool, bool, bool, bool)) -> bool| -> Vec<bool> {
            told.iter().map(which).collect()
        };
        assert_eq!(seen(|of| of.0), [false, false, true, true, true]);
        assert_eq!(seen(|of| of.1), [false; 5]);
        assert_eq!(seen(|of| of.2), [false, false, true, true, true]);
        assert_eq!(seen(|of| of.3), [false; 5]);
        // It was not seen in the second epoch.
        assert_eq!(seen(|of| of.4), [false, false, false, false, true]);
    }

    #[test]
    fn background_is_left_open_as_far_as_it_is_probably_an_object() {
        let mut heard = heard();
        heard.belongs[0] = 900;
        heard.belongs[140] = 50;
        heard.belongs[250] = 50;
        let from = |ramp| open_from(std::slice::from_ref(&heard), ramp);
        assert_eq!([from(1.0), from(0.1)], [HALF; 2]);
        assert!((141..=250).contains(&from(0.05)));
        assert_eq!(from(0.04), 251);
    }
}
