//! What the numbers in the masks of a source mean.
//!
//! Experts number one and the same classes in different ways, and programs number what is no class. A map from
//! numbers to names, applied when masks are read, lets all sources of a dataset share its classes. It is kept with the
//! source in `dataset.toml`:
//!
//! ```toml
//! [sources.values]
//! 0 = "benign"
//! 1 = "benign"
//! 3 = "grade-3"
//! "*" = "unlabelled"
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

use crate::classes::Classes;
use crate::error::{Error, Result};
use crate::evidence::UNLABELLED_CLASS;

/// The class of each number in a mask of 8 bits, [`UNLABELLED_CLASS`] for none; `None` where nothing is known of the
/// number.
pub type ClassTable = [Option<u8>; 256];

/// Stands for all numbers that are not named.
const REST: &str = "*";

/// Stands for no label.
const UNLABELLED: &str = "unlabelled";

/// Which class each number in the masks of a source stands for.
///
/// As text it is `0=benign,1=benign,3=grade-3,*=unlabelled`: numbers from 0 to 255, `unlabelled` for pixels without a
/// label, and `*` for all numbers that are not named. Without `*` these are errors, 255 not excepted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub struct ValueMap {
    named: BTreeMap<u8, String>,
    rest: Option<String>,
}

impl ValueMap {
    fn of_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let (mut named, mut rest) = (BTreeMap::new(), None);
        for (value, class) in pairs {
            let before = if value == REST {
                rest.replace(class.to_owned())
            } else {
                let number = value.parse().map_err(|_| {
                    Error::request(format!(
                        "`{value}` is neither a number from 0 to 255 nor `*`"
                    ))
                })?;
                named.insert(number, class.to_owned())
            };
            if let Some(before) = before {
                return Err(Error::request(format!(
                    "`{value}` is given twice, as {before} and as {class}"
                )));
            }
        }
        Ok(Self { named, rest })
    }

    fn pairs(&self) -> impl Iterator<Item = (String, &String)> {
        let named = self.named.iter();
        named
            .map(|(number, class)| (number.to_string(), class))
            .chain(self.rest.iter().map(|class| (REST.to_owned(), class)))
    }

    /// Names of the classes that occur, in the order of their first numbers; that of `*` is last.
    pub fn class_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (_, class) in self.pairs() {
            if class != UNLABELLED && !names.contains(class) {
                names.push(class.clone());
            }
        }
        names
    }

    /// The map for masks of a dataset with these classes.
    ///
    /// # Errors
    /// It names a class that is none of them, or one behind the 255th, which a mask of 8 bits cannot hold.
    pub fn table(&self, classes: &Classes) -> Result<ClassTable> {
        let index = |name: &String| match name.as_str() {
            UNLABELLED => Ok(UNLABELLED_CLASS),
            name => u8::try_from(classes.index(name)?)
                .ok()
                .filter(|&class| class != UNLABELLED_CLASS)
                .ok_or_else(|| {
                    Error::labels(format!(
                        "the class `{name}` is behind the 255th, the last that a mask can hold"
                    ))
                }),
        };
        let mut table = [self.rest.as_ref().map(index).transpose()?; 256];
        for (&number, class) in &self.named {
            table[usize::from(number)] = Some(index(class)?);
        }
        Ok(table)
    }
}

impl FromStr for ValueMap {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let pairs = text.split(',').map(|pair| {
            pair.split_once('=')
                .map(|(value, class)| (value.trim(), class.trim()))
                .ok_or_else(|| {
                    Error::request(format!("`{pair}` is not NUMBER=CLASS, such as `3=grade-3`"))
                })
        });
        Self::of_pairs(pairs.collect::<Result<Vec<_>>>()?.into_iter())
    }
}

impl TryFrom<BTreeMap<String, String>> for ValueMap {
    type Error = Error;

    fn try_from(pairs: BTreeMap<String, String>) -> Result<Self> {
        let pairs = pairs.iter();
        Self::of_pairs(pairs.map(|(value, class)| (value.as_str(), class.as_str())))
    }
}

impl Serialize for ValueMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.pairs())
    }
}

impl fmt::Display for ValueMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self
            .pairs()
            .map(|(value, class)| format!("{value}={class}"));
        f.write_str(&pairs.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Result<ValueMap> {
        text.parse()
    }

    #[test]
    fn numbers_are_looked_up() -> Result<()> {
        let values = map("10=c, 0=b,1=b,3=unlabelled,*=a")?;
        assert_eq!(values.class_names(), ["b", "c", "a"]);
        let classes = Classes::new(["a", "b", "c"].map(String::from).to_vec())?;
        let table = values.table(&classes)?;
        let found = [0, 1, 3, 10, 4, 255].map(|number: usize| table[number]);
        let unlabelled = Some(UNLABELLED_CLASS);
        assert_eq!(
            found,
            [Some(1), Some(1), unlabelled, Some(2), Some(0), Some(0)]
        );
        let error = map("0=bb")?.table(&classes).err();
        assert!(error.is_some_and(|error| error.to_string() == "there is no class `bb`"));
        assert_eq!(map("0=a")?.table(&classes)?[255], None);
        Ok(())
    }

    #[test]
    fn it_comes_back_as_text_and_as_a_table() -> Result<()> {
        let text = "0=b,2=b,10=with = sign,*=unlabelled";
        let values = map(text)?;
        assert_eq!(values.to_string(), text);
        let written = toml::to_string(&values).unwrap_or_default();
        assert_eq!(
            written,
            "0 = \"b\"\n2 = \"b\"\n10 = \"with = sign\"\n\"*\" = \"unlabelled\"\n"
        );
        assert_eq!(toml::from_str::<ValueMap>(&written), Ok(values));
        Ok(())
    }

    #[test]
    fn what_is_no_map_is_told() {
        let problem = |text: &str| map(text).err().map(|error| error.to_string());
        for (text, told) in [
            ("", "`` is not NUMBER=CLASS, such as `3=grade-3`"),
            ("0=a,b", "`b` is not NUMBER=CLASS, such as `3=grade-3`"),
            ("256=a", "`256` is neither a number from 0 to 255 nor `*`"),
            ("0=a,0=b", "`0` is given twice, as a and as b"),
            ("*=a,*=b", "`*` is given twice, as a and as b"),
        ] {
            assert_eq!(problem(text).as_deref(), Some(told));
        }
    }
}
