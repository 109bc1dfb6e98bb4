//! Which items belong together: the units that the bootstrap resamples.

use crate::error::Error;

/// The group (case, slide, patient) of each item.
///
/// Items of one group resemble each other, so only whole groups are drawn, left out or exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// Group of each item, numbered 0, 1, … in the order of the given identifiers.
    of_item: Vec<usize>,
    count: usize,
}

impl Groups {
    /// The groups of items; identifiers may be any numbers.
    ///
    /// # Errors
    /// No items.
    pub fn new(groups: &[usize]) -> Result<Self, Error> {
        if groups.is_empty() {
            return Err(Error::Empty {
                what: "list of groups",
            });
        }
        let mut identifiers = groups.to_vec();
        identifiers.sort_unstable();
        identifiers.dedup();
        let of_item = groups
            .iter()
            .map(|group| identifiers.partition_point(|id| id < group))
            .collect();
        Ok(Groups {
            of_item,
            count: identifiers.len(),
        })
    }

    /// Every item is a group of its own, as when each item is a case.
    ///
    /// # Errors
    /// No items.
    pub fn single_items(items: usize) -> Result<Self, Error> {
        if items == 0 {
            return Err(Error::Empty {
                what: "list of groups",
            });
        }
        Ok(Groups {
            of_item: (0..items).collect(),
            count: items,
        })
    }

    /// The number of items.
    pub fn items(&self) -> usize {
        self.of_item.len()
    }

    /// The number of groups.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Writes the value of each item's group to `of_items`.
    pub(crate) fn spread<T: Copy>(&self, of_groups: &[T], of_items: &mut Vec<T>) {
        of_items.clear();
        of_items.extend(self.of_item.iter().map(|&group| of_groups[group]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_may_be_any_numbers() {
        let groups = Groups::new(&[70, 3, 70, 12]).unwrap();
        assert_eq!((groups.count(), groups.items()), (3, 4));
        let mut of_items = Vec::new();
        groups.spread(&['a', 'b', 'c'], &mut of_items);
        assert_eq!(of_items, ['c', 'a', 'c', 'b']);
        assert_eq!(
            Groups::new(&[]).unwrap_err().to_string(),
            "list of groups is empty"
        );
        assert!(Groups::single_items(0).is_err());
    }
}
