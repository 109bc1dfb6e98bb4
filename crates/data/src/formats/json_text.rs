//! JSON in memory, value by value: for long lists of numbers, which serde takes several times as long
//! for. What is not such a list is left to serde.

use std::borrow::Cow;

use serde::de::Deserialize;

use super::annotation::shortened;
use super::json_stream::problem;

/// Reads one value after the other. Every error is about the text itself, and nothing is read after it.
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is not white space, which is not passed; 0, which no JSON has, at the end.
    #[inline]
    pub fn peek(&mut self) -> u8 {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(&byte) => return byte,
                None => return 0,
            }
        }
    }

    /// Passes this byte if it is the next.
    #[inline]
    pub fn pass(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        self.at += usize::from(found);
        found
    }

    /// Passes to the next element of a list, or its end: true if there is an element.
    #[inline]
    pub fn next_element(&mut self) -> Result<bool, String> {
        match self.peek() {
            b',' => {
                self.at += 1;
                Ok(true)
            }
            b']' => {
                self.at += 1;
                Ok(false)
            }
            _ => Err("a comma is missing in a list".into()),
        }
    }

    /// Passes the next key of an object and its colon; `None` is the end of the object.
    pub fn next_key(&mut self, first: bool) -> Result<Option<Cow<'a, [u8]>>, String> {
        if self.pass(b'}') {
            return Ok(None);
        }
        if !first && !self.pass(b',') {
            return Err("a comma is missing in an object".into());
        }
        if self.peek() != b'"' {
            return Err("a key in quotes is missing in an object".into());
        }
        let rest = &self.text[self.at + 1..];
        let key = match memchr::memchr2(b'"', b'\\', rest) {
            Some(end) if rest[end] == b'"' => {
                self.at += end + 2;
                Cow::Borrowed(&rest[..end])
            }
            _ => Cow::Owned(self.parse::<String>()?.into_bytes()),
        };
        if !self.pass(b':') {
            return Err("a colon is missing after a key".into());
        }
        Ok(Some(key))
    }

    /// What serde makes of the next value.
    pub fn parse<T: Deserialize<'a>>(&mut self) -> Result<T, String> {
        let rest = serde_json::Deserializer::from_slice(&self.text[self.at..]);
        let mut values = rest.into_iter();
        let value = values.next();
        self.at += values.byte_offset();
        match value {
            Some(value) => value.map_err(|error| problem(&error)),
            None => Err("it ends before its content does".into()),
        }
    }

    /// A number, rounded to the nearest as JSON and Rust ask; not one that is out of range.
    pub fn number(&mut self) -> Result<f64, String> {
        self.peek();
        let rest = &self.text[self.at..];
        let number = Number::of(rest).ok_or_else(|| {
            let end = rest.iter().position(|byte| b",[]{}\"\n".contains(byte));
            let found = String::from_utf8_lossy(&rest[..end.unwrap_or(rest.len())]);
            format!("\"{}\" is not a number", shortened(&found))
        })?;
        self.at += number.length;
        number.value(&rest[..number.length])
    }
}

/// What a number looks like.
struct Number {
    negative: bool,
    /// All digits before an exponent, without the point; wrong if there are more than 19.
    digits: u64,
    count: usize,
    decimals: usize,
    has_exponent: bool,
    length: usize,
}

impl Number {
    /// The number at the start of a text; `None` if it has none by JSON's grammar.
    #[inline]
    fn of(text: &[u8]) -> Option<Self> {
        let negative = text.first() == Some(&b'-');
        let (mut digits, start) = (0, usize::from(negative));
        let mut end = start;
        pass_digits(text, &mut end, &mut digits);
        let mut count = end - start;
        if count == 0 || count > 1 && text[start] == b'0' {
            return None;
        }
        let mut decimals = 0;
        if text.get(end) == Some(&b'.') {
            end += 1;
            let point = end;
            pass_digits(text, &mut end, &mut digits);
            decimals = end - point;
            count += decimals;
            if decimals == 0 {
                return None;
            }
        }
        let has_exponent = matches!(text.get(end), Some(b'e' | b'E'));
        if has_exponent {
            end += 1;
            end += usize::from(matches!(text.get(end), Some(b'+' | b'-')));
            let start = end;
            pass_digits(text, &mut end, &mut 0);
            if end == start {
                return None;
            }
        }
        Some(Self {
            negative,
            digits,
            count,
            decimals,
            has_exponent,
            length: end,
        })
    }

    /// The value of this number, of which this is the text.
    #[inline]
    fn value(&self, text: &[u8]) -> Result<f64, String> {
        /// Powers of ten that 64 bits hold exactly, as many as digits can follow the point here.
        const POWERS: [f64; 20] = [
            1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
            1e16, 1e17, 1e18, 1e19,
        ];
        // Digits and power are exact, so that their quotient is rounded once, as it must be (W. Clinger,
        // How to read floating point numbers accurately, 1990, doi:10.1145/93542.93557).
        if !self.has_exponent
            && self.count < POWERS.len()
            && self.digits <= 1 << f64::MANTISSA_DIGITS
        {
            let value = self.digits as f64 / POWERS[self.decimals];
            return Ok(if self.negative { -value } else { value });
        }
        let text = String::from_utf8_lossy(text);
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(format!("the number {} is out of range", shortened(&text))),
        }
    }
}

/// Passes digits and appends them to a number, which is wrong if it gets more than 19.
#[inline]
fn pass_digits(text: &[u8], at: &mut usize, digits: &mut u64) {
    while let Some(digit @ b'0'..=b'9') = text.get(*at) {
        *digits = digits
            .wrapping_mul(10)
            .wrapping_add(u64::from(digit - b'0'));
        *at += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Result<f64, String> {
        let mut cursor = Cursor::new(text.as_bytes());
        let number = cursor.number()?;
        match cursor.peek() {
            0 => Ok(number),
            _ => Err(format!("the end of {text} is left")),
        }
    }

    fn check(text: &str) {
        let expected: f64 = text.parse().unwrap();
        match number(text) {
            Ok(found) => assert_eq!(found.to_bits(), expected.to_bits(), "{text}"),
            Err(problem) => assert!(expected.is_infinite() && problem.contains("out of range")),
        }
    }

    proptest! {
        #[test]
        fn every_number_is_as_the_standard_library_reads_it(
            text in "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?",
        ) {
            check(&text);
        }

        #[test]
        fn coordinates_are_as_the_standard_library_reads_them(
            text in "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,14})?",
        ) {
            check(&text);
        }

        #[test]
        fn every_double_comes_back(number in any::<f64>().prop_filter("finite", |n| n.is_finite())) {
            check(&format!("{number:e}"));
            check(&number.to_string());
        }

        #[test]
        fn what_serde_takes_for_no_number_is_none(text in "[-+.eE0-9]{0,6}") {
            let other = serde_json::from_str::<f64>(&text);
            prop_assert_eq!(number(&text).ok(), other.ok(), "{}", text);
        }
    }

    #[test]
    fn ends_of_the_fast_path() {
        for text in [
            "9007199254740992",
            "9007199254740993",
            "-9007199254740993.5",
            "0.9007199254740992",
            "0.0000000000000000001",
            "0.9007199254740993",
            "9999999999999999999",
            "18446744073709551616",
            "18446744073709551617.5",
            "0.00000000000000000001",
            "-0",
            "-0.0",
            "1e-400",
            "1e400",
        ] {
            check(text);
        }
    }

    #[test]
    fn objects_and_lists() {
        let mut cursor = Cursor::new(b" {\"a\" : [ 1 , -2.5e0], \"\\u0062\":null}");
        assert!(cursor.pass(b'{'));
        assert_eq!(cursor.next_key(true).unwrap().as_deref(), Some(&b"a"[..]));
        assert!(cursor.pass(b'['));
        assert_eq!(cursor.number(), Ok(1.0));
        assert_eq!(cursor.next_element(), Ok(true));
        assert_eq!(cursor.number(), Ok(-2.5));
        assert_eq!(cursor.next_element(), Ok(false));
        assert_eq!(cursor.next_key(false).unwrap().as_deref(), Some(&b"b"[..]));
        assert_eq!(cursor.parse::<Option<u8>>(), Ok(None));
        assert_eq!(cursor.next_key(false), Ok(None));
        assert_eq!(cursor.peek(), 0);
    }

    #[test]
    fn what_is_missing_is_named() {
        let key = |text: &'static str, first| Cursor::new(text.as_bytes()).next_key(first);
        assert!(key("7:8", true).unwrap_err().contains("key in quotes"));
        assert!(key(",\"a\":8", true).unwrap_err().contains("key in quotes"));
        assert!(key("\"a\":8", false).unwrap_err().contains("comma"));
        assert!(key("\"a\" 8", true).unwrap_err().contains("colon"));
        assert!(key("\"a", true).is_err() && key("\"a\\", true).is_err());
        assert!(Cursor::new(b"1").next_element().is_err());
        assert!(Cursor::new(b"").parse::<f64>().is_err());
        let problem = Cursor::new(b" x1\",").number().unwrap_err();
        assert_eq!(problem, "\"x1\" is not a number");
    }
}
