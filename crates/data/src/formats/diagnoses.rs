//! A table of diagnoses: what each case, slide or image was called, and which classes that excludes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;

use super::missing::is_missing;
use crate::classes::{Classes, nearest};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::evidence::{Evidence, Scope, Target, Trust};
use crate::table::Table;

/// What a diagnosis means: classes that nothing diagnosed so shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// The diagnosis, as the table has it.
    pub diagnosis: String,
    /// Names of the classes that it excludes; none of a diagnosis that excludes nothing.
    pub excludes: Vec<String>,
}

impl FromStr for Meaning {
    type Err = String;

    /// Reads `DIAGNOSIS=CLASS,CLASS,…`.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let Some((diagnosis, classes)) = text.split_once('=') else {
            return Err("write DIAGNOSIS=CLASS,…; nothing after `=` excludes nothing".to_owned());
        };
        let names = classes
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        Ok(Self {
            diagnosis: diagnosis.trim().to_owned(),
            excludes: names.map(String::from).collect(),
        })
    }
}

/// What a table of diagnoses says.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnosed {
    /// [`Target::NoneOf`] of each case, slide or image with a diagnosis that excludes something.
    pub evidence: Vec<Evidence>,
    /// All that have a diagnosis, in the order of the table: also those of one that excludes nothing.
    pub scopes: Vec<Scope>,
    /// How many have each diagnosis.
    pub counts: BTreeMap<String, usize>,
    /// Those that the dataset does not know, in the order of the table.
    pub unknown: Vec<String>,
}

/// Reads a table with the column `case`, `slide` or `image`, the first of these that it has, and the column `diagnosis` or
/// another that is named. A diagnosis that is empty, or a word for missing values whose meaning is not given, says nothing; an
/// item may occur several times with the same one.
///
/// # Errors
/// A malformed table, a diagnosis whose meaning is not given, a class that does not exist, two diagnoses of one item, or not
/// one item that the dataset knows.
pub fn read_diagnoses(
    path: &Path,
    column: Option<&str>,
    meanings: &[Meaning],
    (dataset, source): (&Dataset, &str),
) -> Result<Diagnosed> {
    let meanings = excluded_by(meanings, dataset.classes())?;
    let table = Table::read(path)?;
    let (kind, items) = ["case", "slide", "image"]
        .into_iter()
        .find_map(|kind| Some((kind, table.find(kind)?)))
        .ok_or_else(|| {
            Error::file(path, "no column is called `case`, `slide` or `image`").with_help(format!(
                "One of them says what is diagnosed. The columns are: {}.",
                table.header().join(", ")
            ))
        })?;
    let diagnoses = table.column(column.unwrap_or("diagnosis"))?;
    let known = known_items(dataset, kind);
    let mut said: BTreeMap<&str, (&str, u64)> = BTreeMap::new();
    let (mut order, mut unknown) = (Vec::new(), Vec::new());
    for row in table.rows() {
        let (item, diagnosis) = (row.get(items), row.get(diagnoses));
        if !meanings.contains_key(diagnosis) && is_missing(diagnosis) {
            continue;
        }
        if !meanings.contains_key(diagnosis) {
            let names: Vec<String> = meanings.keys().map(|name| (*name).to_owned()).collect();
            let close = nearest(diagnosis, &names)
                .map_or_else(String::new, |close| format!(" Did you mean `{close}`?"));
            return Err(table
                .error(row, format!("it is not said what `{diagnosis}` excludes"))
                .with_help(format!(
                    "Give `--excludes \"{diagnosis}=CLASS,…\"`, with nothing after `=` if it excludes nothing.{close}"
                )));
        }
        let Some(&item) = known.get(item) else {
            unknown.push(item.to_owned());
            continue;
        };
        match said.insert(item, (diagnosis, row.line)) {
            Some((other, line)) if other != diagnosis => {
                let problem = format!(
                    "{kind} `{item}` is given twice: `{diagnosis}` here, `{other}` in line {line}"
                );
                return Err(table.error(row, problem));
            }
            Some(_) => {}
            None => order.push(item),
        }
    }
    if order.is_empty() {
        return Err(Error::file(
            path,
            format!("names no {kind} of the dataset that has a diagnosis"),
        )
        .with_help(format!(
            "The column `{kind}` must say what images.csv of the dataset says."
        )));
    }
    let mut found = Diagnosed {
        evidence: Vec::new(),
        scopes: Vec::new(),
        counts: BTreeMap::new(),
        unknown,
    };
    for item in order {
        let (diagnosis, _) = said[item];
        *found.counts.entry(diagnosis.to_owned()).or_default() += 1;
        let item = item.to_owned();
        let scope = match kind {
            "case" => Scope::Case(item),
            "slide" => Scope::Slide(item),
            _ => Scope::Image(item),
        };
        found.scopes.push(scope.clone());
        let excludes = &meanings[diagnosis];
        if !excludes.is_empty() {
            found.evidence.push(Evidence {
                source: source.to_owned(),
                scope,
                target: Target::NoneOf(excludes.clone()),
                trust: Trust::FULL,
            });
        }
    }
    Ok(found)
}

/// What a table may call the cases, slides or images of a dataset, and what they are called there: images also by the names of
/// their files, where these are unique.
fn known_items<'a>(dataset: &'a Dataset, kind: &str) -> BTreeMap<&'a str, &'a str> {
    let images = dataset.images();
    let names: Vec<&str> = images
        .iter()
        .map(|image| match kind {
            "case" => image.case.as_str(),
            "slide" => image.slide.as_str(),
            _ => image.id.as_str(),
        })
        .collect();
    let mut known = BTreeMap::new();
    if kind == "image" {
        let mut several = BTreeSet::new();
        for image in images {
            let file = image.path.rsplit(['/', '\\']).next().unwrap_or_default();
            if known.insert(file, image.id.as_str()).is_some() {
                several.insert(file);
            }
        }
        known.retain(|file, _| !several.contains(file));
    }
    let named = names.into_iter().filter(|name| !name.is_empty());
    known.extend(named.map(|name| (name, name)));
    known
}

fn excluded_by<'a>(
    meanings: &'a [Meaning],
    classes: &Classes,
) -> Result<BTreeMap<&'a str, BTreeSet<usize>>> {
    let mut excluded = BTreeMap::new();
    for Meaning {
        diagnosis,
        excludes,
    } in meanings
    {
        let of: BTreeSet<usize> = excludes
            .iter()
            .map(|name| classes.index(name))
            .collect::<Result<_>>()?;
        if of.len() == classes.len() {
            return Err(Error::request(format!(
                "`{diagnosis}` excludes every class"
            )));
        }
        if excluded.insert(diagnosis.as_str(), of).is_some() {
            return Err(Error::request(format!(
                "it is said twice what `{diagnosis}` excludes"
            )));
        }
    }
    Ok(excluded)
}
