//! Patterns of votes: which experts gave a pixel which classes.

use std::borrow::Cow;
use std::collections::HashMap;

use cleanslide_data::{UNLABELLED_CLASS, Votes};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::fusion::{FusionError, check_option};

/// Pixels that one thread takes at a time; fixed, so that results never depend on the threads.
const BAND: usize = 1 << 16;

/// The different patterns of votes in class masks, and how many pixels have each.
///
/// Patterns are numbered in the order in which they first appear: image after image, each in
/// raster order. Memory is in the order of the number of patterns.
#[derive(Debug, Clone)]
pub struct VotePatterns {
    experts: usize,
    classes: usize,
    /// The votes of each pattern, \[patterns, experts\].
    votes: Vec<u8>,
    counts: Vec<u64>,
    /// Only for finding: nothing iterates over it.
    numbers: HashMap<Box<[u8]>, u32>,
}

impl VotePatterns {
    /// No patterns yet.
    ///
    /// # Errors
    /// No experts, or a number of classes that is not from 1 to 255.
    pub fn new(experts: usize, classes: usize) -> Result<Self, FusionError> {
        check_option("experts", experts as f64, |n| n >= 1.0, "at least 1")?;
        let fits = |n: f64| (1.0..=255.0).contains(&n);
        check_option("classes", classes as f64, fits, "from 1 to 255")?;
        Ok(Self {
            experts,
            classes,
            votes: Vec::new(),
            counts: Vec::new(),
            numbers: HashMap::new(),
        })
    }

    /// Adds one image: the mask of each expert, `None` for those who did not see it. Returns the
    /// picture of pattern numbers, \[height, width\]. Nothing is added if it fails.
    ///
    /// # Errors
    /// Another number of masks than of experts, no mask at all, masks of different sizes, or a
    /// class that does not exist.
    pub fn add(
        &mut self,
        masks: &[Option<ArrayView2<'_, u8>>],
    ) -> Result<Array2<u32>, FusionError> {
        let size = self.check(masks)?;
        let masks: Vec<Option<Cow<'_, [u8]>>> = masks.iter().map(|mask| mask.map(raster)).collect();
        let mut map = Array2::<u32>::zeros(size);
        let pixels = map.as_slice_mut().unwrap_or_default();
        // Each band numbers its own patterns; then these get their numbers among all.
        let bands: Vec<Band> = pixels
            .par_chunks_mut(BAND)
            .enumerate()
            .map(|(band, pixels)| Band::count(&masks, band * BAND, pixels))
            .collect();
        let numbers: Vec<Vec<u32>> = bands.into_iter().map(|band| self.merge(band)).collect();
        pixels
            .par_chunks_mut(BAND)
            .zip(&numbers)
            .for_each(|(pixels, numbers)| {
                for pixel in pixels {
                    *pixel = numbers[*pixel as usize];
                }
            });
        Ok(map)
    }

    /// Number of experts.
    pub fn experts(&self) -> usize {
        self.experts
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of patterns.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The class that each expert gave; 255 is none.
    ///
    /// # Panics
    /// If there is no such pattern.
    pub fn votes(&self, pattern: usize) -> &[u8] {
        &self.votes[pattern * self.experts..][..self.experts]
    }

    /// How many pixels have the pattern.
    ///
    /// # Panics
    /// If there is no such pattern.
    pub fn count(&self, pattern: usize) -> u64 {
        self.counts[pattern]
    }

    /// The given votes of a pattern: expert and class.
    pub(super) fn given(&self, pattern: usize) -> impl Iterator<Item = (usize, usize)> {
        self.votes(pattern)
            .iter()
            .enumerate()
            .filter(|&(_, &vote)| vote != UNLABELLED_CLASS)
            .map(|(expert, &vote)| (expert, usize::from(vote)))
    }

    /// Number of pixels with at least one vote.
    pub(super) fn labelled(&self) -> u64 {
        (0..self.len())
            .filter(|&pattern| self.given(pattern).next().is_some())
            .map(|pattern| self.count(pattern))
            .sum()
    }

    /// Fails if there is not one vote.
    pub(super) fn check_votes(&self) -> Result<(), FusionError> {
        if self.labelled() > 0 {
            return Ok(());
        }
        let items = self.counts.iter().sum::<u64>() as usize;
        Err(FusionError::NoVotes { items })
    }

    /// The patterns as items to vote on.
    pub(super) fn as_votes(&self) -> Result<Votes, FusionError> {
        let triplets: Vec<_> = (0..self.len())
            .flat_map(|pattern| {
                self.given(pattern)
                    .map(move |(e, class)| (pattern, e, class))
            })
            .collect();
        Votes::from_triplets(self.len(), self.experts, self.classes, &triplets)
            .map_err(|_| FusionError::NoVotes { items: self.len() })
    }

    fn check(&self, masks: &[Option<ArrayView2<'_, u8>>]) -> Result<(usize, usize), FusionError> {
        if masks.len() != self.experts {
            return Err(FusionError::Count {
                what: "masks (one per expert, or none)",
                found: masks.len(),
                expected: self.experts,
            });
        }
        let mut size = None;
        for (expert, mask) in masks.iter().enumerate() {
            let Some(mask) = mask else { continue };
            let expected = *size.get_or_insert(mask.dim());
            if mask.dim() != expected {
                return Err(FusionError::MaskSize {
                    expert,
                    found: mask.dim(),
                    expected,
                });
            }
            self.check_classes(expert, mask)?;
        }
        size.ok_or(FusionError::NoMasks {
            experts: self.experts,
        })
    }

    fn check_classes(&self, expert: usize, mask: &ArrayView2<'_, u8>) -> Result<(), FusionError> {
        let unknown = |class: u8| class != UNLABELLED_CLASS && usize::from(class) >= self.classes;
        // The fold is without branches: much faster than a search, which only errors need.
        if !mask.fold(false, |found, &class| found | unknown(class)) {
            return Ok(());
        }
        match mask.indexed_iter().find(|&(_, &class)| unknown(class)) {
            Some(((row, column), &class)) => Err(FusionError::MaskClass {
                expert,
                row,
                column,
                class,
                classes: self.classes,
            }),
            None => Ok(()),
        }
    }

    /// Adds the patterns of a band; returns their numbers among all.
    fn merge(&mut self, band: Band) -> Vec<u32> {
        let patterns = band.votes.chunks_exact(self.experts).zip(band.counts);
        patterns
            .map(|(votes, count)| {
                let number = match self.numbers.get(votes) {
                    Some(&number) => number,
                    None => {
                        let number = self.counts.len() as u32;
                        self.numbers.insert(votes.into(), number);
                        self.votes.extend_from_slice(votes);
                        self.counts.push(0);
                        number
                    }
                };
                self.counts[number as usize] += count;
                number
            })
            .collect()
    }
}

/// The patterns of some consecutive pixels.
#[derive(Default)]
struct Band {
    votes: Vec<u8>,
    counts: Vec<u64>,
}

impl Band {
    /// Writes the number of its pattern into each pixel.
    fn count(masks: &[Option<Cow<'_, [u8]>>], start: usize, pixels: &mut [u32]) -> Self {
        let masks: Vec<Option<&[u8]>> = masks
            .iter()
            .map(|mask| mask.as_ref().map(|mask| &mask[start..start + pixels.len()]))
            .collect();
        let mut band = Self::default();
        let mut numbers: HashMap<Box<[u8]>, u32> = HashMap::new();
        let mut votes = vec![UNLABELLED_CLASS; masks.len()];
        let mut last = None;
        for (index, pixel) in pixels.iter_mut().enumerate() {
            // Most pixels have the votes of the pixel before: no search for those.
            let mut changed = false;
            for (vote, mask) in votes.iter_mut().zip(&masks) {
                let now = mask.map_or(UNLABELLED_CLASS, |mask| mask[index]);
                changed |= now != *vote;
                *vote = now;
            }
            let number = match last {
                Some(number) if !changed => number,
                _ => match numbers.get(votes.as_slice()) {
                    Some(&number) => number,
                    None => {
                        let number = band.counts.len() as u32;
                        numbers.insert(votes.as_slice().into(), number);
                        band.votes.extend_from_slice(&votes);
                        band.counts.push(0);
                        number
                    }
                },
            };
            last = Some(number);
            band.counts[number as usize] += 1;
            *pixel = number;
        }
        band
    }
}

/// The pixels in raster order, copied only if the view is not contiguous.
fn raster(mask: ArrayView2<'_, u8>) -> Cow<'_, [u8]> {
    match mask.to_slice() {
        Some(pixels) => Cow::Borrowed(pixels),
        None => Cow::Owned(mask.iter().copied().collect()),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn patterns_are_numbered_as_they_appear() {
        let mut patterns = VotePatterns::new(2, 3).unwrap();
        let one = array![[0, 2, 2], [0, 255, 255]];
        let other = array![[0, 2, 1], [0, 0, 255]];
        let map = patterns
            .add(&[Some(one.view()), Some(other.view())])
            .unwrap();
        assert_eq!(map, array![[0, 1, 2], [0, 3, 4]]);
        assert_eq!((patterns.votes(3), patterns.count(0)), (&[255, 0][..], 2));
        assert_eq!(patterns.labelled(), 5);

        // A second image, seen by one expert only, and turned: not contiguous.
        let map = patterns.add(&[None, Some(other.t())]).unwrap();
        assert_eq!(map, array![[3, 3], [5, 3], [6, 4]]);
        assert_eq!((patterns.len(), patterns.count(3)), (7, 4));
    }

    #[test]
    fn bands_are_joined() {
        let mut patterns = VotePatterns::new(1, 254).unwrap();
        let mask = Array2::from_shape_fn((300, 500), |(y, x)| ((x / 50 + y / 7) % 254) as u8);
        let map = patterns.add(&[Some(mask.view())]).unwrap();
        for (&pattern, &class) in map.iter().zip(&mask) {
            assert_eq!(patterns.votes(pattern as usize), [class]);
        }
        let total: u64 = (0..patterns.len())
            .map(|pattern| patterns.count(pattern))
            .sum();
        assert_eq!(total, 150_000);
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let mut patterns = VotePatterns::new(2, 2).unwrap();
        let (one, other) = (array![[0, 1]], array![[0], [1]]);
        let mut add =
            |masks: &[Option<ArrayView2<'_, u8>>]| patterns.add(masks).unwrap_err().to_string();
        assert_eq!(
            add(&[Some(one.view())]),
            "there are 1 masks (one per expert, or none), but 2 are needed"
        );
        assert_eq!(
            add(&[None, None]),
            "none of the 2 experts gave a mask: leave the image out"
        );
        assert_eq!(
            add(&[Some(one.view()), Some(other.view())]),
            "the mask of expert 1 is (2, 1) (height, width), but those before are (1, 2): masks \
             of one image must have one size"
        );
        let high = array![[0, 2]];
        assert_eq!(
            add(&[None, Some(high.view())]),
            "expert 1 gave class 2 to row 0, column 1, but there are 2 classes (0 to 1; 255 is \
             unlabelled)"
        );
        assert!(patterns.is_empty() && patterns.check_votes().is_err());
        assert!(VotePatterns::new(0, 2).is_err() && VotePatterns::new(1, 256).is_err());
    }

    #[test]
    fn masks_without_pixels_have_no_patterns() {
        let mut patterns = VotePatterns::new(1, 2).unwrap();
        let map = patterns.add(&[Some(Array2::zeros((0, 5)).view())]).unwrap();
        assert_eq!(map.dim(), (0, 5));
        assert!(patterns.is_empty());
    }
}
