//! What networks say of an image and its labels.

use cleanslide_data::mask::UNLABELLED_OBJECT;
use cleanslide_data::{Rectangle, UNLABELLED_CLASS};
use cleanslide_eval::matching::Overlaps;
use cleanslide_image::region::statistics;
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, Zip};
use serde::{Deserialize, Serialize};

use super::RelabelSettings;
use crate::error::Result;
use crate::segment::{ObjectSettings, classes_of_objects, objects_of_classes};

/// Outlines that overlap by more may be of the same object.
const SAME_OBJECT: f64 = 0.3;
/// A proposal of which no more belongs to given objects is of another object.
const FREE: f64 = 0.2;
/// Probabilities below are taken for this, so that no loss is infinite.
const LEAST_PROBABILITY: f32 = 1e-7;

/// An image with a mask of objects, object `i` of which has the number `i + 1` and the class `classes[i]`.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) mask: ArrayView2<'a, u32>,
    pub(super) classes: &'a [usize],
}

/// What one or two networks say.
#[derive(Debug)]
pub(super) struct Opinion {
    /// Of the given objects that are in the mask, by their numbers.
    pub(super) objects: Vec<ObjectOpinion>,
    /// Objects that all networks see.
    pub(super) proposals: Vec<Proposal>,
    /// Their numbers from 1, `[height, width]`.
    pub(super) proposed: Array2<u32>,
    /// How probably each pixel that is labelled as background belongs to an object that nobody marked, from 0 to 255; 0
    /// elsewhere. All pixels of such an object have its mean.
    pub(super) belongs: Array2<u8>,
}

/// What is said of a given object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ObjectOpinion {
    pub(super) number: u32,
    pub(super) class: usize,
    pub(super) area: u64,
    /// The mean cross-entropy of its pixels by each network.
    pub(super) losses: [f64; 2],
    /// The mean of KL(p ‖ q) + KL(q ‖ p) of its pixels.
    pub(super) divergence: f64,
    /// How probably its pixels belong to an object of its class: mean of pixels and networks.
    pub(super) agreement: f64,
    /// How probably they are background, by each network.
    pub(super) background: [f64; 2],
    /// The proposal that is the same object, and by how much their outlines overlap.
    pub(super) proposal: Option<(usize, f64)>,
}

/// An object that all networks see.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Proposal {
    pub(super) class: usize,
    /// How probably its pixels belong to objects, by the less sure network.
    pub(super) probability: f64,
    /// The smallest rectangle around it.
    pub(super) bounds: Rectangle,
    /// Whether nobody marked anything there.
    pub(super) free: bool,
}

impl Opinion {
    /// By the probabilities `[classes, height, width]` of one or two networks, the background first and the border last.
    /// Without settings of relabelling nothing is proposed.
    pub(super) fn of(
        probabilities: &[Array3<f32>],
        given: Given<'_>,
        objects: &ObjectSettings,
        relabel: Option<&RelabelSettings>,
    ) -> Result<Self> {
        let views: Vec<_> = probabilities.iter().map(|of| of.view()).collect();
        let (first, second) = (views[0], views[views.len() - 1]);
        let (proposals, proposed) = match relabel {
            Some(relabel) => proposals([first, second], given.mask, objects, relabel)?,
            None => (Vec::new(), Array2::zeros(given.mask.dim())),
        };
        let mut of_objects = opinions([first, second], given, objects);
        match_proposals(&mut of_objects, given.mask, proposed.view())?;
        Ok(Self {
            objects: of_objects,
            proposals,
            proposed,
            belongs: unmarked([first, second], given.mask, objects)?,
        })
    }
}

/// Sums over the pixels of an object.
#[derive(Default, Clone)]
struct Sums {
    area: u64,
    losses: [f64; 2],
    divergence: f64,
    background: [f64; 2],
    own_class: [f64; 2],
    all_classes: [f64; 2],
}

fn opinions(
    networks: [ArrayView3<'_, f32>; 2],
    given: Given<'_>,
    objects: &ObjectSettings,
) -> Vec<ObjectOpinion> {
    let classes = networks[0].len_of(Axis(0));
    let border = (classes - 1) as u8;
    let of_pixels = classes_of_objects(given.mask, given.classes, border, objects);
    let mut sums = vec![Sums::default(); given.classes.len()];
    for ((place, &object), &class) in given.mask.indexed_iter().zip(&of_pixels) {
        if object == 0 || object == UNLABELLED_OBJECT || class == UNLABELLED_CLASS {
            continue;
        }
        let (row, column) = place;
        let number = object as usize - 1;
        let at = |network: usize, class: usize| {
            networks[network][[class, row, column]].max(LEAST_PROBABILITY)
        };
        let sum = &mut sums[number];
        sum.area += 1;
        for network in 0..2 {
            sum.losses[network] -= f64::from(at(network, usize::from(class)).ln());
            sum.background[network] += f64::from(at(network, 0));
            sum.own_class[network] += f64::from(at(network, 1 + given.classes[number]));
            let inner = (1..classes - 1).map(|class| f64::from(at(network, class)));
            sum.all_classes[network] += inner.sum::<f64>();
        }
        let divergence = (0..classes).map(|class| {
            let [p, q] = [at(0, class), at(1, class)];
            (p - q) * (p.ln() - q.ln())
        });
        sum.divergence += f64::from(divergence.sum::<f32>());
    }
    let opinion = |(index, sum): (usize, Sums)| {
        if sum.area == 0 {
            return None;
        }
        let area = sum.area as f64;
        let background = sum.background.map(|sum| sum / area);
        let of_class: f64 = (0..2)
            .map(|network| {
                (1.0 - background[network]) * sum.own_class[network] / sum.all_classes[network]
            })
            .sum();
        Some(ObjectOpinion {
            number: index as u32 + 1,
            class: given.classes[index],
            area: sum.area,
            losses: sum.losses.map(|sum| sum / area),
            divergence: sum.divergence / area,
            agreement: (of_class / 2.0).clamp(0.0, 1.0),
            background,
            proposal: None,
        })
    };
    sums.into_iter().enumerate().filter_map(opinion).collect()
}

/// The objects that both networks see and are sure of, in the outlines of the first.
fn proposals(
    networks: [ArrayView3<'_, f32>; 2],
    given: ArrayView2<'_, u32>,
    objects: &ObjectSettings,
    relabel: &RelabelSettings,
) -> Result<(Vec<Proposal>, Array2<u32>)> {
    let [one, other] = networks.map(|network| objects_of_classes(network, objects));
    let ((mut one, of_one), (other, of_other)) = (one?, other?);
    let sure = [
        surely(networks[0], one.view(), of_one.len()),
        surely(networks[1], other.view(), of_other.len()),
    ];
    let overlaps = Overlaps::new(one.view(), other.view())?;
    let mut probability = vec![None; of_one.len()];
    for pair in overlaps.pairs() {
        let place = overlaps.truth[pair.truth].number as usize - 1;
        let partner = overlaps.predicted[pair.predicted].number as usize - 1;
        let least = sure[0][place].min(sure[1][partner]);
        let same_class = of_one[place] == of_other[partner];
        if pair.iou >= relabel.overlap && same_class && least >= relabel.probability {
            probability[place] = Some(least);
        }
    }
    let marked = shares_marked(one.view(), given, of_one.len());
    let mut numbers = vec![0; of_one.len() + 1];
    let mut found = Vec::new();
    for object in statistics(one.view()) {
        let place = object.label as usize - 1;
        let Some(probability) = probability[place] else {
            continue;
        };
        found.push(Proposal {
            class: of_one[place],
            probability,
            bounds: object.bounds.into(),
            free: marked[place] <= FREE,
        });
        numbers[place + 1] = found.len() as u32;
    }
    one.mapv_inplace(|object| numbers[object as usize]);
    Ok((found, one))
}

/// How probably the pixels of objects belong to one that nobody marked. Single pixels do not count: a network is unsure
/// along every border, and what lies between two cells must be learned as background if they are to be told apart.
fn unmarked(
    networks: [ArrayView3<'_, f32>; 2],
    given: ArrayView2<'_, u32>,
    objects: &ObjectSettings,
) -> Result<Array2<u8>> {
    let mean = (&networks[0] + &networks[1]) / 2.0;
    let (seen, classes) = objects_of_classes(mean.view(), objects)?;
    let sure = surely(mean.view(), seen.view(), classes.len());
    let marked = shares_marked(seen.view(), given, classes.len());
    let belongs = |place: usize| {
        if marked[place] <= FREE {
            (sure[place] * 255.0).round() as u8
        } else {
            0
        }
    };
    Ok(Zip::from(&seen)
        .and(&given)
        .map_collect(|&seen, &given| match (seen, given) {
            (0, _) | (_, 1..) => 0,
            (seen, 0) => belongs(seen as usize - 1),
        }))
}

/// How probably the pixels of each object belong to objects.
fn surely(network: ArrayView3<'_, f32>, mask: ArrayView2<'_, u32>, objects: usize) -> Vec<f64> {
    let background = network.index_axis(Axis(0), 0);
    means(mask, objects, |place| f64::from(1.0 - background[place]))
}

/// The share of each object that somebody marked or left open.
fn shares_marked(
    mask: ArrayView2<'_, u32>,
    given: ArrayView2<'_, u32>,
    objects: usize,
) -> Vec<f64> {
    means(mask, objects, |place| f64::from(u8::from(given[place] > 0)))
}

fn means(
    mask: ArrayView2<'_, u32>,
    objects: usize,
    value: impl Fn((usize, usize)) -> f64,
) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); objects];
    for (place, &object) in mask.indexed_iter() {
        if object > 0 {
            let (sum, count) = &mut sums[object as usize - 1];
            *sum += value(place);
            *count += 1.0;
        }
    }
    sums.into_iter().map(|(sum, count)| sum / count).collect()
}

/// Gives each object the proposal that overlaps it most, if no other object overlaps that one more.
fn match_proposals(
    objects: &mut [ObjectOpinion],
    given: ArrayView2<'_, u32>,
    proposed: ArrayView2<'_, u32>,
) -> Result<()> {
    let overlaps = Overlaps::new(given, proposed)?;
    let mut pairs = overlaps.pairs();
    pairs.retain(|pair| pair.iou > SAME_OBJECT);
    pairs.sort_by(|one, other| other.iou.total_cmp(&one.iou));
    let mut taken = vec![false; overlaps.predicted.len()];
    for pair in pairs {
        let number = overlaps.truth[pair.truth].number;
        let object = objects.iter_mut().find(|object| object.number == number);
        if let Some(object) = object
            && object.proposal.is_none()
            && !taken[pair.predicted]
        {
            let place = overlaps.predicted[pair.predicted].number as usize - 1;
            object.proposal = Some((place, pair.iou));
            taken[pair.predicted] = true;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::s;

    use super::*;

    /// Background, two classes, border; objects of these rows, columns and classes.
    fn sees(objects: &[([usize; 4], usize)], sure: f32) -> Array3<f32> {
        let rest = (1.0 - sure) / 3.0;
        let mut probabilities = Array3::from_elem((4, 24, 40), rest);
        probabilities.slice_mut(s![0, .., ..]).fill(sure);
        for ([top, left, bottom, right], class) in objects {
            let place = s![.., *top..*bottom, *left..*right];
            probabilities.slice_mut(place).fill(rest);
            let place = s![1 + class, *top..*bottom, *left..*right];
            probabilities.slice_mut(place).fill(sure);
        }
        probabilities
    }

    fn marked(objects: &[[usize; 4]]) -> Array2<u32> {
        let mut mask = Array2::zeros((24, 40));
        for (number, [top, left, bottom, right]) in objects.iter().enumerate() {
            mask.slice_mut(s![*top..*bottom, *left..*right])
                .fill(number as u32 + 1);
        }
        mask
    }

    #[test]
    fn what_both_see_is_proposed_and_false_objects_are_background() {
        let one = sees(
            &[
                ([2, 2, 10, 10], 0),
                ([2, 20, 10, 28], 1),
                ([14, 2, 22, 10], 0),
            ],
            0.94,
        );
        let two = sees(&[([2, 2, 10, 10], 0), ([2, 20, 10, 28], 1)], 0.97);
        // The first is drawn too small, the second of the wrong class, the third does not exist.
        let mask = marked(&[[2, 2, 10, 7], [2, 20, 10, 28], [14, 25, 22, 33]]);
        let given = Given {
            mask: mask.view(),
            classes: &[0, 0, 1],
        };
        let objects = ObjectSettings::default();
        let relabel = RelabelSettings::default();
        let said = Opinion::of(&[one, two], given, &objects, Some(&relabel)).unwrap();
        assert_eq!(said.proposals.len(), 2);
        assert!((said.proposals[0].probability - 0.98).abs() < 1e-6);
        assert_eq!(said.proposals[1].class, 1);
        assert!(said.proposals.iter().all(|proposal| !proposal.free));
        let [small, class, false_object] = [0, 1, 2].map(|object| &said.objects[object]);
        let overlap = |object: &ObjectOpinion| object.proposal.map(|(place, _)| place);
        assert_eq!(
            [small, class, false_object].map(overlap),
            [Some(0), Some(1), None]
        );
        assert!((small.proposal.unwrap().1 - 5.0 / 8.0).abs() < 1e-9);
        assert!(small.agreement > 0.9 && class.agreement < 0.05);
        assert!(false_object.agreement < 0.05);
        assert!(false_object.background[0] > 0.9 && false_object.background[1] > 0.9);
        assert!(small.losses[0] < false_object.losses[0]);
        // What is left of a marked object stays background; what one network sees is an object by half.
        assert_eq!([said.belongs[[5, 8]], said.belongs[[5, 3]]], [0; 2]);
        assert!((100..150).contains(&said.belongs[[18, 5]]));
    }

    #[test]
    fn one_network_agrees_with_itself() {
        let one = sees(&[([2, 2, 10, 10], 0)], 0.9);
        let mask = marked(&[]);
        let given = Given {
            mask: mask.view(),
            classes: &[],
        };
        let objects = ObjectSettings::default();
        let said = Opinion::of(&[one], given, &objects, Some(&RelabelSettings::default())).unwrap();
        assert!(said.objects.is_empty());
        assert_eq!(said.proposals.len(), 1);
        assert!(said.proposals[0].free);
        assert_eq!(
            said.proposals[0].bounds,
            Rectangle::new(2.0, 2.0, 10.0, 10.0).unwrap()
        );
        assert!(said.belongs[[5, 5]] > 230);
        assert_eq!(said.belongs[[15, 15]], 0);
    }
}
