//! Which sources a command compares or joins, and what kind of labels it takes from them.

use std::collections::BTreeSet;

use clap::ValueEnum;
use cleanslide_data::{Dataset, Family, Labels, Scope, SourceKind};

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::count;

/// Kinds of labels, as they are named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FamilyName {
    /// Classes of images
    Class,
    /// Boxes around objects
    Boxes,
    /// Points in objects
    Points,
    /// Outlines of objects
    Polygons,
    /// Masks of object numbers
    Instances,
    /// Masks of classes
    Mask,
}

impl From<FamilyName> for Family {
    fn from(name: FamilyName) -> Self {
        match name {
            FamilyName::Class => Self::Class,
            FamilyName::Boxes => Self::Boxes,
            FamilyName::Points => Self::Points,
            FamilyName::Polygons => Self::Polygons,
            FamilyName::Instances => Self::Instances,
            FamilyName::Mask => Self::Mask,
        }
    }
}

/// What a kind of labels is called in a sentence.
pub fn words(family: Family) -> &'static str {
    match family {
        Family::Class => "classes",
        Family::Boxes => "boxes",
        Family::Points => "points",
        Family::Polygons => "outlines",
        Family::Instances => "instance masks",
        Family::Mask => "class masks",
    }
}

/// Several kinds in a sentence: `boxes and class masks`.
pub fn all_words(families: impl IntoIterator<Item = Family>) -> String {
    listed(&families.into_iter().map(words).collect::<Vec<_>>())
}

/// `a`, `a and b`, `a, b and c`.
pub fn listed(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// At least two sources that all hold labels of one kind.
pub struct Experts {
    /// The sources, in the order that was asked for, or that of the dataset.
    pub names: Vec<String>,
    /// The kind of labels.
    pub family: Family,
}

impl Experts {
    /// The sources that were asked for, or all of kind expert; the kind of labels that was asked
    /// for, or the only one that two of them hold. `work` says what is to be done with them.
    pub fn choose(
        dataset: &Dataset,
        labels: &Labels,
        annotators: Option<&[String]>,
        family: Option<FamilyName>,
        work: &str,
    ) -> Result<Self> {
        let all = sources(labels);
        let candidates: Vec<String> = match annotators {
            Some(names) => names.to_vec(),
            None => {
                let sources = dataset.manifest().sources.iter();
                let experts = sources.filter(|source| source.kind == SourceKind::Expert);
                experts.map(|source| source.id.clone()).collect()
            }
        };
        let known: Vec<&str> = all.iter().map(|(source, _)| *source).collect();
        if let Some(unknown) = unknown(annotators, &known) {
            return Err(Failure::usage(format!("`{unknown}` labels no image"))
                .help(format!("The sources are: {}.", known.join(", "))));
        }
        let family = match family {
            Some(family) => family.into(),
            None => only_family(&all, &candidates)?,
        };
        let known = labels.sources(family);
        if let Some(unknown) = unknown(annotators, &known) {
            let what = words(family);
            return Err(Failure::usage(format!("`{unknown}` has no {what}")).help(
                match known.len() {
                    0 => format!("No source has {what}."),
                    _ => format!("The sources of {what} are: {}.", known.join(", ")),
                },
            ));
        }
        let mut names: Vec<String> = Vec::new();
        for name in candidates {
            if known.contains(&name.as_str()) && !names.contains(&name) {
                names.push(name);
            }
        }
        if names.len() < 2 {
            let what = match annotators {
                Some(_) => count(names.len(), "source"),
                None => format!("{} of kind expert", count(names.len(), "source")),
            };
            let help = match known.len() {
                0 => "`cleanslide status` shows who labelled what.".to_owned(),
                _ => format!(
                    "Name sources with `--annotators`. There are: {}.",
                    known.join(", ")
                ),
            };
            return Err(Failure::usage(format!("there is nothing to {work}: {what}")).help(help));
        }
        Ok(Self { names, family })
    }

    /// Tells of labels that say something about a part of an image only, which nothing joins yet.
    pub fn warn_of_regions(&self, context: &Context, labels: &Labels) {
        let of_regions = labels.evidence().iter().filter(|piece| {
            matches!(piece.scope, Scope::Region(..))
                && piece.target.family() == self.family
                && self.names.contains(&piece.source)
        });
        let number = of_regions.count();
        if number > 0 {
            context.output.warn(&format!(
                "{} about a part of an image only: left out",
                count(number, "label")
            ));
        }
    }
}

fn unknown<'a>(asked: Option<&'a [String]>, known: &[&str]) -> Option<&'a String> {
    let mut asked = asked.unwrap_or_default().iter();
    asked.find(|name| !known.contains(&name.as_str()))
}

/// Every source with the kinds of labels that it holds about images.
fn sources(labels: &Labels) -> Vec<(&str, BTreeSet<Family>)> {
    let mut sources: std::collections::BTreeMap<&str, BTreeSet<Family>> = Default::default();
    for piece in labels.evidence() {
        let families = sources.entry(piece.source.as_str()).or_default();
        families.insert(piece.target.family());
    }
    sources.into_iter().collect()
}

/// The kind of labels that two candidates hold; where there is none, one that anybody holds, so that
/// what is missing can be told.
fn only_family(all: &[(&str, BTreeSet<Family>)], candidates: &[String]) -> Result<Family> {
    let chosen = || {
        let is_chosen = |source: &str| candidates.iter().any(|name| name == source);
        all.iter().filter(move |(source, _)| is_chosen(source))
    };
    let held = |family: &Family| chosen().filter(|(_, held)| held.contains(family)).count();
    let families: BTreeSet<Family> = chosen().flat_map(|(_, held)| held).copied().collect();
    let common: Vec<Family> = families.iter().copied().filter(|f| held(f) > 1).collect();
    match common.as_slice() {
        [only] => Ok(*only),
        [] => {
            let anybody = all.iter().flat_map(|(_, held)| held);
            let some = families.iter().chain(anybody).next();
            Ok(some.copied().unwrap_or(Family::Class))
        }
        several => {
            let flags: Vec<String> = several
                .iter()
                .map(|family| format!("`--family {}`", family.name()))
                .collect();
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            Err(Failure::usage(format!(
                "the sources hold {}",
                all_words(several.iter().copied())
            ))
            .help(format!("Choose one kind: {}.", flags.join(" or "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_well() {
        assert_eq!(
            all_words([Family::Boxes, Family::Mask]),
            "boxes and class masks"
        );
        assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
    }
}
