//! Predictions for images, and their table.

use std::collections::BTreeMap;
use std::path::Path;

use cleanslide_data::store::write_file;
use cleanslide_data::{Classes, Error, Result, Table, to_csv};
use ndarray::Array2;

/// The probability of each class for each image.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// Names of the classes, in the order of the columns.
    pub classes: Classes,
    /// Ids of the images.
    pub images: Vec<String>,
    /// How each prediction was made: `fold 1`, `fold 2`, … by a model that did not see the fold,
    /// or `final` by the final model, for images that took no part in training.
    pub parts: Vec<String>,
    /// Probabilities, `[images, classes]`.
    pub probabilities: Array2<f32>,
}

/// Names of the columns before those of the classes.
const HEADER: [&str; 3] = ["image", "part", "predicted"];

/// The column of a class is its name after this.
const PROBABILITY: &str = "probability ";

impl Predictions {
    /// The likeliest class of each image, the lowest of several.
    pub fn predicted(&self) -> Vec<usize> {
        self.probabilities
            .rows()
            .into_iter()
            .map(|row| {
                let best = row.iter().copied().fold(f32::MIN, f32::max);
                row.iter().position(|&p| p == best).unwrap_or(0)
            })
            .collect()
    }

    /// Writes the table.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_file(path, &self.to_bytes())
    }

    /// The table as csv: image, part, predicted class, and the probability of each class.
    pub fn to_bytes(&self) -> Vec<u8> {
        let columns: Vec<String> = self
            .classes
            .names()
            .iter()
            .map(|name| format!("{PROBABILITY}{name}"))
            .collect();
        let header: Vec<&str> = HEADER
            .into_iter()
            .chain(columns.iter().map(String::as_str))
            .collect();
        let predicted = self.predicted();
        let rows = (0..self.images.len()).map(|row| {
            let mut cells = vec![
                self.images[row].clone(),
                self.parts[row].clone(),
                self.classes.name(predicted[row]),
            ];
            cells.extend(self.probabilities.row(row).iter().map(f32::to_string));
            cells
        });
        to_csv(&header, rows)
    }

    /// Reads a table with a column `image` and one column `probability NAME` per class; a column
    /// `part` is optional.
    ///
    /// # Errors
    /// A malformed table, no probabilities, one that is not between 0 and 1, or an image given twice.
    pub fn read(path: &Path) -> Result<Self> {
        let table = Table::read(path)?;
        let image = table.column("image")?;
        let part = table.find("part");
        let names: Vec<String> = table
            .header()
            .iter()
            .filter_map(|name| name.strip_prefix(PROBABILITY))
            .map(String::from)
            .collect();
        if names.is_empty() {
            return Err(Error::File {
                path: path.to_owned(),
                problem: "no column holds probabilities".into(),
                help: Some(format!("Each class needs a column `{PROBABILITY}NAME`.")),
            });
        }
        let columns: Vec<usize> = names
            .iter()
            .map(|name| table.column(&format!("{PROBABILITY}{name}")))
            .collect::<Result<_>>()?;
        let mut lines = BTreeMap::new();
        for row in table.rows() {
            let id = row.get(image);
            if let Some(before) = lines.insert(id, row.line) {
                let problem = format!("`{id}` has a prediction in line {before} already");
                return Err(table.error(row, problem));
            }
        }
        let mut probabilities = Array2::zeros((table.rows().len(), names.len()));
        for (row, mut to) in table.rows().iter().zip(probabilities.rows_mut()) {
            for (&column, to) in columns.iter().zip(&mut to) {
                *to = match row.get(column).parse::<f32>() {
                    Ok(p) if (0.0..=1.0 + f32::EPSILON).contains(&p) => p,
                    _ => {
                        let text = row.get(column);
                        return Err(table.error(row, format!("`{text}` is not a probability")));
                    }
                };
            }
        }
        Ok(Self {
            classes: Classes::new(names)?,
            images: table
                .rows()
                .iter()
                .map(|row| row.get(image).to_owned())
                .collect(),
            parts: table
                .rows()
                .iter()
                .map(|row| part.map_or("", |column| row.get(column)).to_owned())
                .collect(),
            probabilities,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_back() {
        let predictions = Predictions {
            classes: Classes::new(vec!["a".into(), "b, c".into()]).unwrap(),
            images: vec!["1.png".into(), "2.png".into()],
            parts: vec!["fold 1".into(), "final".into()],
            probabilities: ndarray::array![[0.25, 0.75], [0.5, 0.5]],
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.csv");
        predictions.write(&path).unwrap();
        assert_eq!(Predictions::read(&path).unwrap(), predictions);
        assert_eq!(predictions.predicted(), [1, 0]);
        std::fs::write(&path, "image,probability a\nx,1.5\n").unwrap();
        let error = Predictions::read(&path).unwrap_err().to_string();
        assert!(
            error.ends_with("line 2: `1.5` is not a probability"),
            "{error}"
        );
        std::fs::write(&path, "image,probability a\nx,1\ny,1\nx,1\n").unwrap();
        let error = Predictions::read(&path).unwrap_err().to_string();
        assert!(
            error.ends_with("line 4: `x` has a prediction in line 2 already"),
            "{error}"
        );
    }
}
