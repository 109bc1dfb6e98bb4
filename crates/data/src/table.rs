//! Tables as people save them: csv with a header, commas or semicolons, with or without a
//! byte-order mark. Every complaint names file and line.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A csv table in memory.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    header: Vec<String>,
    rows: Vec<Row>,
}

/// One row with the line of the file where it starts.
#[derive(Debug)]
pub struct Row {
    /// Line in the file, counted from 1.
    pub line: u64,
    fields: csv::StringRecord,
}

impl Row {
    /// The field of a column, without surrounding white space.
    pub fn get(&self, column: usize) -> &str {
        self.fields.get(column).unwrap_or("").trim()
    }
}

impl Table {
    /// Reads a table.
    ///
    /// The delimiter is a comma, or a semicolon when the header has semicolons and no comma (as
    /// spreadsheets write it in much of Europe). Empty lines are skipped.
    ///
    /// # Errors
    /// The file cannot be read, is empty, is not UTF-8, names a column twice, or has a row with
    /// more or fewer fields than the header.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|error| Error::io("read", path, error))?;
        Self::parse(path, &bytes)
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Err(Error::file(path, "the table is UTF-16, not UTF-8")
                .with_help("Save it as \"CSV UTF-8\" from the spreadsheet program."));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = 1 + bytes[..error.valid_up_to()]
                .iter()
                .filter(|&&b| b == b'\n')
                .count();
            table_error(path, line as u64, "the text is not UTF-8")
                .with_help("Save it as \"CSV UTF-8\" from the spreadsheet program.")
        })?;
        let first = text.lines().next().unwrap_or("");
        if first.trim().is_empty() {
            return Err(Error::file(path, "the table is empty")
                .with_help("It needs a header line that names the columns."));
        }
        let delimiter = if first.contains(';') && !first.contains(',') {
            b';'
        } else {
            b','
        };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .from_reader(text.as_bytes());
        let header: Vec<String> = reader
            .headers()
            .map_err(|error| table_error(path, 1, error.to_string()))?
            .iter()
            .map(|name| name.trim().to_owned())
            .collect();
        check_header(path, &header)?;
        let mut rows = Vec::new();
        let mut lines = LineCounter {
            text,
            counted: 0,
            line: 1,
        };
        for record in reader.records() {
            let fields = record.map_err(|error| {
                let line = lines.at(error.position().map_or(0, csv::Position::byte));
                table_error(path, line, error.to_string())
            })?;
            let line = lines.at(fields.position().map_or(0, csv::Position::byte));
            if fields.len() != header.len() {
                return Err(table_error(
                    path,
                    line,
                    format!(
                        "{} fields, but the header has {}",
                        fields.len(),
                        header.len()
                    ),
                )
                .with_help("Quote fields that contain the delimiter, and keep empty fields."));
            }
            rows.push(Row { line, fields });
        }
        Ok(Self {
            path: path.to_owned(),
            header,
            rows,
        })
    }

    /// Names of the columns, in order.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The rows, in order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Position of a column, if it is there.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    /// Position of the first of several names that is there.
    pub fn find_any(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.find(name))
    }

    /// Position of a column that must be there.
    ///
    /// # Errors
    /// No column has this name; the message lists those there are.
    pub fn column(&self, name: &str) -> Result<usize> {
        self.find(name).ok_or_else(|| {
            table_error(&self.path, 1, format!("there is no column `{name}`"))
                .with_help(format!("The columns are: {}.", self.header.join(", ")))
        })
    }

    /// An error at a row of this table.
    pub fn error(&self, row: &Row, problem: impl Into<String>) -> Error {
        table_error(&self.path, row.line, problem)
    }

    /// Where the table was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Lines of ascending byte positions. The csv reader's own count stands before the empty lines and
/// line ends that it skips ahead of a record.
struct LineCounter<'a> {
    text: &'a str,
    counted: usize,
    line: u64,
}

impl LineCounter<'_> {
    fn at(&mut self, position: u64) -> u64 {
        let bytes = self.text.as_bytes();
        let mut end = (position as usize).clamp(self.counted, bytes.len());
        end += bytes[end..]
            .iter()
            .take_while(|byte| matches!(byte, b'\n' | b'\r'))
            .count();
        self.line += bytes[self.counted..end]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count() as u64;
        self.counted = end;
        self.line
    }
}

fn check_header(path: &Path, header: &[String]) -> Result<()> {
    for (index, name) in header.iter().enumerate() {
        if header[..index].contains(name) {
            let shown = if name.is_empty() {
                "without a name"
            } else {
                name
            };
            return Err(
                table_error(path, 1, format!("two columns are called `{shown}`"))
                    .with_help("Give every column a name of its own."),
            );
        }
    }
    Ok(())
}

fn table_error(path: &Path, line: u64, problem: impl Into<String>) -> Error {
    Error::Table {
        path: path.to_owned(),
        line,
        problem: problem.into(),
        help: None,
    }
}

/// Rows as csv with `\n` line ends, the same bytes on every platform.
pub fn to_csv<R, F>(header: &[&str], rows: R) -> Vec<u8>
where
    R: IntoIterator<Item = F>,
    F: IntoIterator<Item = String>,
{
    let mut bytes = Vec::new();
    // Writing to memory cannot fail, and every row is as long as the header by construction.
    let _ = write_csv(&mut bytes, header, rows);
    bytes
}

/// Writes rows as csv, as [`to_csv`], one after the other.
///
/// # Errors
/// The writer fails, or a row is not as long as the header.
pub fn write_csv<R, F>(writer: &mut impl Write, header: &[&str], rows: R) -> io::Result<()>
where
    R: IntoIterator<Item = F>,
    F: IntoIterator<Item = String>,
{
    let mut writer = csv::WriterBuilder::new().from_writer(writer);
    writer.write_record(header)?;
    for row in rows {
        writer.write_record(row)?;
    }
    writer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<Table> {
        Table::parse(Path::new("votes.csv"), text)
    }

    #[test]
    fn byte_order_mark_semicolons_and_windows_line_ends_are_read() {
        let table = parse(b"\xef\xbb\xbfimage;class\r\na.png;tumour, solid\r\n").unwrap();
        assert_eq!(table.header(), ["image", "class"]);
        assert_eq!(table.rows()[0].get(1), "tumour, solid");
        assert_eq!(table.rows()[0].line, 2);
    }

    #[test]
    fn complaints_name_the_line() {
        let says = |text: &[u8]| parse(text).unwrap_err().to_string();
        assert_eq!(
            says(b"a,b\n1,2\n\n3\n"),
            "votes.csv, line 4: 1 fields, but the header has 2"
        );
        assert_eq!(says(b""), "votes.csv: the table is empty");
        assert_eq!(
            says(b"a,a\n"),
            "votes.csv, line 1: two columns are called `a`"
        );
        assert_eq!(
            says(b"a,b\n1,\xff\n"),
            "votes.csv, line 2: the text is not UTF-8"
        );
        assert_eq!(
            says(b"\xff\xfea\0"),
            "votes.csv: the table is UTF-16, not UTF-8"
        );
        let error = parse(b"image,class\n")
            .unwrap()
            .column("label")
            .unwrap_err();
        assert_eq!(error.help().unwrap(), "The columns are: image, class.");
    }
}
