//! What commands print: text for people, or JSON for machines.

use std::io::{self, Write};

use serde::Serialize;

use crate::failure::{Failure, Result};

/// A result that can be shown both ways.
pub trait Show: Serialize {
    /// The text for people, without a final line end.
    fn text(&self) -> String;
}

/// Where results go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Print JSON instead of text.
    pub json: bool,
}

impl Output {
    /// Prints a command's result on standard output.
    pub fn show(self, result: &impl Show) -> Result<()> {
        let text = if self.json {
            serde_json::to_string_pretty(result)
                .map_err(|error| Failure::other(error.to_string()))?
        } else {
            result.text()
        };
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{text}")
            .and_then(|()| stdout.flush())
            .map_err(|error| Failure::output(&error))
    }

    /// Tells what is going on, on standard error, so that results can be piped.
    pub fn note(self, text: &str) {
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Tells of something that went wrong but did not end the work.
    pub fn warn(self, text: &str) {
        self.note(&format!("warning: {text}"));
    }
}

/// A count with its noun: `1 image`, `2 images`.
pub fn count(number: usize, singular: &str) -> String {
    let digits = thousands(number);
    if number == 1 {
        return format!("{digits} {singular}");
    }
    match singular.strip_suffix('y') {
        Some(stem) => format!("{digits} {stem}ies"),
        None if singular.ends_with(['s', 'x']) || singular.ends_with("ch") => {
            format!("{digits} {singular}es")
        }
        None => format!("{digits} {singular}s"),
    }
}

/// A number with its thousands set apart: `12,345`.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A word of a command line, in quotes where it has blanks.
pub fn quoted(word: &str) -> String {
    if word.contains(char::is_whitespace) {
        format!("'{word}'")
    } else {
        word.to_owned()
    }
}

/// A share as a percentage: `12.3 %`.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_well() {
        assert_eq!(count(1, "image"), "1 image");
        assert_eq!(count(1234567, "case"), "1,234,567 cases");
        assert_eq!(count(0, "class"), "0 classes");
        assert_eq!(count(2, "entry"), "2 entries");
        assert_eq!(count(3, "patch"), "3 patches");
        assert_eq!(count(4, "box"), "4 boxes");
    }
}
