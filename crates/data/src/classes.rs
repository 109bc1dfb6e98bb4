//! The names of the classes of a dataset.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Class names in their fixed order; a class is its position in this list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Classes(Vec<String>);

/// Separates classes in tables, so no name may contain it.
pub(crate) const SEPARATOR: char = '|';

impl Classes {
    /// Checks and keeps the names.
    ///
    /// # Errors
    /// A name is empty, surrounded by white space, given twice, or contains `|` or a control
    /// character.
    pub fn new(names: Vec<String>) -> Result<Self> {
        for (index, name) in names.iter().enumerate() {
            if name.is_empty() || name.trim() != name {
                return Err(Error::labels(format!(
                    "class {} is called \"{name}\"; a name needs text without spaces around it",
                    index + 1
                )));
            }
            if name.chars().any(|c| c == SEPARATOR || c.is_control()) {
                return Err(Error::labels(format!(
                    "class \"{}\" contains `|` or a control character, which tables need",
                    name.escape_default()
                )));
            }
            if names[..index].contains(name) {
                return Err(Error::labels(format!("two classes are called \"{name}\"")));
            }
        }
        Ok(Self(names))
    }

    /// Number of classes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is no class.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, in order.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The name of a class. A class beyond the last is shown by its number.
    pub fn name(&self, class: usize) -> String {
        self.0
            .get(class)
            .cloned()
            .unwrap_or_else(|| format!("class {class}"))
    }

    /// The class of this name, if there is one.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|known| known == name)
    }

    /// The class of this name.
    ///
    /// # Errors
    /// There is none; the message lists those there are and suggests the nearest.
    pub fn index(&self, name: &str) -> Result<usize> {
        self.find(name).ok_or_else(|| {
            let help = match nearest(name, &self.0) {
                Some(close) => format!(
                    "Did you mean `{close}`? The classes are: {}.",
                    self.0.join(", ")
                ),
                None => format!("The classes are: {}.", self.0.join(", ")),
            };
            Error::labels(format!("there is no class `{name}`")).with_help(help)
        })
    }
}

impl TryFrom<Vec<String>> for Classes {
    type Error = Error;

    fn try_from(names: Vec<String>) -> Result<Self> {
        Self::new(names)
    }
}

impl From<Classes> for Vec<String> {
    fn from(classes: Classes) -> Self {
        classes.0
    }
}

/// The name that was probably meant, for messages.
pub fn nearest<'a>(given: &str, known: &'a [String]) -> Option<&'a str> {
    let given = given.to_lowercase();
    known
        .iter()
        .map(|name| (strsim::jaro_winkler(&given, &name.to_lowercase()), name))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_unknown_ones_get_a_suggestion() {
        let classes = Classes::new(vec!["normal".into(), "atypical".into()]).unwrap();
        assert_eq!(classes.index("atypical").unwrap(), 1);
        let error = classes.index("Atypcal").unwrap_err();
        assert_eq!(error.to_string(), "there is no class `Atypcal`");
        assert!(
            error
                .help()
                .unwrap()
                .starts_with("Did you mean `atypical`?")
        );
        for bad in [
            vec!["a", "a"],
            vec![""],
            vec![" a"],
            vec!["a|b"],
            vec!["a\n"],
        ] {
            assert!(Classes::new(bad.into_iter().map(String::from).collect()).is_err());
        }
    }
}
