//! Words that tables write where nothing is known.

use std::collections::BTreeMap;

use super::ImageColumns;
use crate::table::{Row, Table};

/// What the `read_csv` of pandas takes as missing by default, beside the empty field.
const WORDS: [&str; 18] = [
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
    "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// Whether a field is empty or has a word for missing values.
pub(super) fn is_missing(field: &str) -> bool {
    field.is_empty() || WORDS.contains(&field)
}

/// Which fields of a table name no class: those that are empty, and those with a word for missing values that is not among
/// the declared classes.
pub(super) struct Missing<'a> {
    declared: &'a [String],
}

impl<'a> Missing<'a> {
    pub(super) fn new(declared: Option<&'a [String]>) -> Self {
        Self {
            declared: declared.unwrap_or_default(),
        }
    }

    /// The class that a field names, if it does.
    pub(super) fn class<'r>(&self, row: &'r Row, column: usize) -> Option<&'r str> {
        let field = row.get(column);
        (!field.is_empty() && !self.is_word(field)).then_some(field)
    }

    /// The words for missing values in the columns of classes and in those that describe images, with how many fields have
    /// each.
    pub(super) fn words(
        &self,
        table: &Table,
        columns: &[usize],
        images: &ImageColumns,
    ) -> BTreeMap<String, usize> {
        let mut words = BTreeMap::new();
        for row in table.rows() {
            let classes = columns.iter().map(|&column| row.get(column));
            let known = images.known_of_image();
            let described = known.map(|column| row.get(column));
            let missing = classes
                .filter(|field| self.is_word(field))
                .chain(described.filter(|field| WORDS.contains(field)));
            for word in missing {
                *words.entry(word.to_owned()).or_default() += 1;
            }
        }
        words
    }

    fn is_word(&self, field: &str) -> bool {
        WORDS.contains(&field) && self.declared.iter().all(|class| class != field)
    }
}
