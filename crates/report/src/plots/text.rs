//! How wide a text will be, without the font at hand.
//!
//! The widths are those of DejaVu Sans, the widest of the common system fonts, rounded up: a label
//! that is thought too wide wastes a little room; one that is thought too narrow overlaps.

/// Width of the text in pixels at this font size in pixels.
pub(crate) fn width_of(text: &str, size: f64) -> f64 {
    text.chars().map(character_width).sum::<f64>() * size
}

/// The text, shortened with an ellipsis until it fits the width.
pub(crate) fn fitted(text: &str, size: f64, width: f64) -> String {
    if width_of(text, size) <= width {
        return text.to_owned();
    }
    let room = width - width_of("…", size);
    let mut used = 0.0;
    let mut short: String = text
        .chars()
        .take_while(|&character| {
            used += character_width(character) * size;
            used <= room
        })
        .collect();
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}

/// How much wider bold text is.
pub(crate) const BOLD: f64 = 1.1;

/// The text in lines that fit the width, broken at spaces; a word that does not fit is shortened.
pub(crate) fn wrapped(text: &str, size: f64, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width_of(&format!("{line} {word}"), size) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(fitted(word, size, width)),
        }
    }
    lines
}

/// Width of a character in units of the font size.
fn character_width(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | '\'' => 0.29,
        '.' | ',' | ' ' | '\u{a0}' | 'I' => 0.33,
        ':' | ';' | '|' | '/' | '-' | 'f' => 0.37,
        '[' | ']' | '(' | ')' | 't' | 'r' | '!' => 0.42,
        'm' | 'M' | 'W' | '%' | '@' | '…' => 1.0,
        'w' | '+' | '−' | '=' | '<' | '>' | '~' | '→' | 'O' | 'Q' | 'G' | 'D' | 'N' | 'H' => {
            0.85
        }
        'c' | 's' | 'z' | '–' => 0.56,
        'a'..='z' | '0'..='9' | '"' | '*' => 0.64,
        'A'..='Z' | '&' => 0.74,
        // Wide scripts: Hangul, kana, Chinese characters, full-width forms, emoji.
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 1.05,
        _ => 0.7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_broken_rather_than_cut() {
        let label = "balanced accuracy against the majority of three experts (noisy labels)";
        let lines = wrapped(label, 12.0, 200.0);
        assert!(lines.len() > 1);
        assert!(lines.iter().all(|line| width_of(line, 12.0) <= 200.0));
        assert_eq!(lines.join(" "), label);
        assert!(wrapped("", 12.0, 200.0).is_empty());
    }

    #[test]
    fn a_long_text_is_shortened_to_its_room() {
        assert_eq!(fitted("atypical", 12.0, 100.0), "atypical");
        let short = fitted("a very long name of a class", 12.0, 60.0);
        assert!(short.ends_with('…'), "{short}");
        assert!(width_of(&short, 12.0) <= 60.0);
        assert_eq!(fitted("anything", 12.0, 0.0), "…");
    }
}
