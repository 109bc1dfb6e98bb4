//! Which labels and predicted objects share how many pixels.

use cleanslide_data::mask::UNLABELLED_OBJECT;
use ndarray::ArrayView2;

/// An object of either mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Region {
    /// Its number.
    pub(super) object: u32,
    /// Its number of pixels.
    pub(super) area: u64,
    /// Those of them that are not unlabelled in the other mask; all that is judged.
    pub(super) known: u64,
    /// Its place among the pairs.
    pairs: (usize, usize),
}

/// The pairs of objects that overlap, and no others.
#[derive(Debug)]
pub(super) struct Overlaps {
    /// Ascending by number.
    pub(super) labels: Vec<Region>,
    /// Ascending by number.
    pub(super) predicted: Vec<Region>,
    /// For each label in turn, the place of a predicted object and the shared pixels.
    of_labels: Vec<(usize, u64)>,
    /// For each predicted object in turn, the place of a label and the shared pixels.
    of_predicted: Vec<(usize, u64)>,
}

impl Overlaps {
    /// Both masks have the same size.
    pub(super) fn new(labels: ArrayView2<'_, u32>, predicted: ArrayView2<'_, u32>) -> Self {
        let mut counts = count_pairs(labels, predicted);
        let (label_regions, of_labels) = regions(&counts);
        for ((label, predicted), _) in &mut counts {
            std::mem::swap(label, predicted);
        }
        counts.sort_unstable();
        let (predicted_regions, of_predicted) = regions(&counts);
        let places = |regions: &[Region], pairs: Vec<(u32, u64)>| {
            let place = |object| regions.binary_search_by_key(&object, |region| region.object);
            let pairs = pairs.into_iter();
            pairs
                .filter_map(|(object, area)| place(object).ok().map(|place| (place, area)))
                .collect()
        };
        Self {
            of_labels: places(&predicted_regions, of_labels),
            of_predicted: places(&label_regions, of_predicted),
            labels: label_regions,
            predicted: predicted_regions,
        }
    }

    /// The predicted objects that share pixels with a label, ascending by number.
    pub(super) fn of_label(&self, label: &Region) -> impl Iterator<Item = (&Region, u64)> {
        let pairs = &self.of_labels[label.pairs.0..label.pairs.1];
        pairs
            .iter()
            .map(|&(place, area)| (&self.predicted[place], area))
    }

    /// The labels that share pixels with a predicted object, ascending by number.
    pub(super) fn of_predicted(&self, predicted: &Region) -> impl Iterator<Item = (&Region, u64)> {
        let pairs = &self.of_predicted[predicted.pairs.0..predicted.pairs.1];
        pairs
            .iter()
            .map(|&(place, area)| (&self.labels[place], area))
    }
}

type PairCount = ((u32, u32), u64);

/// All pairs of numbers, those of background and unlabelled pixels too, in ascending order.
fn count_pairs(labels: ArrayView2<'_, u32>, predicted: ArrayView2<'_, u32>) -> Vec<PairCount> {
    let mut runs: Vec<PairCount> = Vec::new();
    for (&label, &predicted) in labels.iter().zip(predicted) {
        match runs.last_mut() {
            Some((pair, count)) if *pair == (label, predicted) => *count += 1,
            _ => runs.push(((label, predicted), 1)),
        }
    }
    runs.sort_unstable();
    runs.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    runs
}

/// The objects of the first number of the pairs, and their pairs with objects.
fn regions(counts: &[PairCount]) -> (Vec<Region>, Vec<(u32, u64)>) {
    let mut regions = Vec::new();
    let mut pairs = Vec::new();
    for counts in counts.chunk_by(|one, next| one.0.0 == next.0.0) {
        let object = counts[0].0.0;
        if object == 0 || object == UNLABELLED_OBJECT {
            continue;
        }
        let first = pairs.len();
        let mut region = Region {
            object,
            area: 0,
            known: 0,
            pairs: (first, first),
        };
        for &((_, other), count) in counts {
            region.area += count;
            if other == UNLABELLED_OBJECT {
                continue;
            }
            region.known += count;
            if other != 0 {
                pairs.push((other, count));
            }
        }
        region.pairs.1 = pairs.len();
        regions.push(region);
    }
    (regions, pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn pairs_and_known_pixels() {
        const U: u32 = UNLABELLED_OBJECT;
        let labels = array![[7, 7, 0, 2], [7, U, 2, 2], [0, U, U, 2]];
        let predicted = array![[1, 1, 1, 9], [U, 1, 9, 9], [1, 1, 9, U]];
        let overlaps = Overlaps::new(labels.view(), predicted.view());
        let area = |regions: &[Region]| {
            let areas = regions.iter().map(|r| (r.object, r.area, r.known));
            areas.collect::<Vec<_>>()
        };
        assert_eq!(area(&overlaps.labels), [(2, 4, 3), (7, 3, 2)]);
        assert_eq!(area(&overlaps.predicted), [(1, 6, 4), (9, 4, 3)]);
        let pairs = |region: &Region| {
            let pairs = overlaps
                .of_label(region)
                .map(|(other, area)| (other.object, area));
            pairs.collect::<Vec<_>>()
        };
        assert_eq!(pairs(&overlaps.labels[0]), [(9, 3)]);
        assert_eq!(pairs(&overlaps.labels[1]), [(1, 2)]);
        let of_predicted: Vec<_> = overlaps.of_predicted(&overlaps.predicted[0]).collect();
        assert_eq!(of_predicted, [(&overlaps.labels[1], 2)]);
    }
}
