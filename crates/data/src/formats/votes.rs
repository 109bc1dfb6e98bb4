//! Votes of several annotators: a table with one image per line and one column per annotator.

use std::collections::BTreeSet;
use std::path::Path;

use super::classes::with_place;
use super::missing::{Missing, is_missing};
use super::{ImageColumns, Imported, check_rows_unique, classes_of};
use crate::error::{Error, Result};
use crate::evidence::{Evidence, Source};
use crate::table::Table;

/// Which columns of a vote table mean what; `None` takes the usual names.
#[derive(Debug, Clone, Default)]
pub struct VoteColumns {
    /// The image file: `image`, `path`, `file`, `filename`.
    pub image: Option<String>,
    /// The annotators; by default every column that does not describe the image.
    pub annotators: Option<Vec<String>>,
    /// A class that is kept apart for evaluation, such as a published consensus.
    pub reference: Option<String>,
}

/// More different answers than this in one column are a sign that it holds no classes.
const MOST_CLASSES: usize = 100;

/// Reads votes. A field that is empty, or has a word for missing values that is no declared class, is *not labelled*; an image without any vote is kept, unlabelled.
///
/// # Errors
/// A malformed table, an image given twice, a vote for a class that was not declared, no
/// annotator columns, or a column that does not look like classes.
pub fn read_votes(
    path: &Path,
    columns: &VoteColumns,
    declared: Option<&[String]>,
) -> Result<Imported> {
    let table = Table::read(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let image_columns = ImageColumns::find(&table, columns.image.as_deref())?;
    let reference = columns
        .reference
        .as_ref()
        .map(|name| table.column(name))
        .transpose()?;
    let annotators = annotator_columns(&table, &image_columns, reference, columns)?;

    let votes: Vec<usize> = annotators.iter().copied().chain(reference).collect();
    let missing = Missing::new(declared);
    let rows = table.rows().iter();
    let occurring = rows.flat_map(|row| {
        let votes = votes.iter();
        votes.filter_map(|&column| missing.class(row, column))
    });
    let classes = classes_of(declared, occurring)?;
    let mut images = Vec::with_capacity(table.rows().len());
    let (mut evidence, mut truth) = (Vec::new(), Vec::new());
    for row in table.rows() {
        let image = image_columns.read(&table, row, folder)?;
        let vote = |column: usize, source: &str, into: &mut Vec<Evidence>| {
            if let Some(name) = missing.class(row, column) {
                let class = classes
                    .index(name)
                    .map_err(|error| with_place(&table, row, &error))?;
                into.push(Evidence::class(source, &image.id, class));
            }
            Ok::<(), Error>(())
        };
        for &column in &annotators {
            vote(column, &table.header()[column], &mut evidence)?;
        }
        if let Some(column) = reference {
            vote(column, "reference", &mut truth)?;
        }
        images.push(image);
    }
    check_rows_unique(&table, &images)?;
    let sources = annotators
        .iter()
        .map(|&column| Source::expert(&table.header()[column]))
        .collect();
    let references = columns
        .reference
        .iter()
        .map(|name| (name.clone(), truth.clone()))
        .collect();
    Ok(Imported {
        images,
        classes,
        sources,
        evidence,
        references,
        missing_words: missing.words(&table, &votes, &image_columns),
    })
}

fn annotator_columns(
    table: &Table,
    image_columns: &ImageColumns,
    reference: Option<usize>,
    columns: &VoteColumns,
) -> Result<Vec<usize>> {
    if let Some(names) = &columns.annotators {
        return names.iter().map(|name| table.column(name)).collect();
    }
    let used = image_columns.used();
    let rest: Vec<usize> = (0..table.header().len())
        .filter(|column| !used.contains(column) && Some(*column) != reference)
        .collect();
    if rest.is_empty() {
        return Err(Error::file(table.path(), "no column is left for annotators").with_help(
            "A table of votes has the image file and one column per annotator; name them with `--annotators`.",
        ));
    }
    let answers: Vec<BTreeSet<&str>> = rest
        .iter()
        .map(|&column| {
            let fields = table.rows().iter().map(|row| row.get(column));
            fields.filter(|field| !is_missing(field)).collect()
        })
        .collect();
    let Some(strange) = (0..rest.len()).find(|&at| answers[at].len() > MOST_CLASSES) else {
        return Ok(rest);
    };
    let name = |at: usize| table.header()[rest[at]].as_str();
    let likely: Vec<&str> = (0..rest.len())
        .filter(|&at| look_like_votes(&answers, at) && !CONSENSUS_NAMES.contains(&name(at)))
        .map(name)
        .collect();
    Err(Error::file(
        table.path(),
        format!(
            "the column `{}` has {} different values: not the votes of an annotator",
            name(strange),
            answers[strange].len()
        ),
    )
    .with_help(match likely.as_slice() {
        [] => "Name the columns of the annotators with `--annotators`.".to_owned(),
        _ => format!(
            "Name the annotators, for example `--annotators {}`.",
            likely.join(",")
        ),
    }))
}

/// Usual names of columns that say what is held for right, which is no annotator's vote.
const CONSENSUS_NAMES: [&str; 9] = [
    "consensus",
    "gold",
    "ground_truth",
    "label",
    "class",
    "majority",
    "reference",
    "target",
    "truth",
];

/// Whether a column has few different values, at least half of which another such column has too, if there is one.
fn look_like_votes(answers: &[BTreeSet<&str>], column: usize) -> bool {
    let few = |answers: &&BTreeSet<&str>| answers.len() <= MOST_CLASSES;
    let others = || {
        let others = answers.iter().enumerate().filter(|(at, _)| *at != column);
        others.map(|(_, answers)| answers).filter(few)
    };
    let own = &answers[column];
    let shared = own
        .iter()
        .filter(|&answer| others().any(|other| other.contains(answer)));
    let is_alone = others().next().is_none();
    few(&own) && !own.is_empty() && (is_alone || 2 * shared.count() >= own.len())
}
