//! Tables on a terminal: columns align, numbers to the right.

/// A table with a header.
#[derive(Debug, Clone)]
pub struct TextTable {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

/// To which side a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

impl TextTable {
    /// A table without rows; the first column holds text, the others numbers unless their name
    /// starts with `<`.
    pub fn new(columns: &[&str]) -> Self {
        let columns = columns
            .iter()
            .enumerate()
            .map(|(index, name)| match name.strip_prefix('<') {
                Some(name) => (name.to_owned(), Align::Left),
                None if index == 0 => ((*name).to_owned(), Align::Left),
                None => ((*name).to_owned(), Align::Right),
            })
            .collect();
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row with as many cells as there are columns.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The table as lines, each indented by two spaces.
    pub fn text(&self) -> String {
        let width = |column: usize| {
            let cells = self
                .rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count());
            cells
                .chain([self.columns[column].0.chars().count()])
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut text = String::from(" ");
            for ((cell, &width), (_, align)) in cells.zip(&widths).zip(&self.columns) {
                let padding = " ".repeat(width - cell.chars().count());
                text.push(' ');
                match align {
                    Align::Left => text.extend([cell, &padding]),
                    Align::Right => text.extend([padding.as_str(), cell]),
                }
                text.push(' ');
            }
            text.trim_end().to_owned()
        };
        let rule: Vec<String> = widths.iter().map(|&width| "─".repeat(width)).collect();
        let mut lines = vec![
            line(&mut self.columns.iter().map(|(name, _)| name.as_str())),
            line(&mut rule.iter().map(String::as_str)),
        ];
        lines.extend(
            self.rows
                .iter()
                .map(|row| line(&mut row.iter().map(String::as_str))),
        );
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align() {
        let mut table = TextTable::new(&["source", "labels", "<leaning"]);
        table.row(["expert1", "3,720", "misses µ"]);
        table.row(["ben", "12", ""]);
        let expected = "  source   labels  leaning\n  ───────  ──────  ────────\n  expert1   3,720  misses µ\n  ben          12";
        assert_eq!(table.text(), expected);
    }
}
