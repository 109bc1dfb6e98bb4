//! Numbers as people in the field write them: proportions without the leading zero and with their
//! 95 % interval, counts with thousands separated, a true minus sign, and a dash for what could not
//! be computed.

/// What is written for a number that is not finite.
pub const MISSING: &str = "–";

/// A value with its 95 % interval.
///
/// Bounds that are not finite mean that no interval is known; a value that is not finite means that
/// the number could not be computed and is shown as [`MISSING`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The point estimate.
    pub value: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
}

impl Estimate {
    /// A value with its 95 % interval.
    pub fn new(value: f64, low: f64, high: f64) -> Self {
        Self { value, low, high }
    }

    /// A value of which no interval is known.
    pub fn without_interval(value: f64) -> Self {
        Self {
            value,
            low: f64::NAN,
            high: f64::NAN,
        }
    }

    /// The interval, where the value and both ends are finite.
    pub fn interval(&self) -> Option<(f64, f64)> {
        (self.value.is_finite() && self.low.is_finite() && self.high.is_finite())
            .then_some((self.low.min(self.high), self.low.max(self.high)))
    }

    /// `.58 [.53, .63]`; only the value where no interval is known; `–` where there is no value.
    pub fn write(&self, format: Format) -> String {
        let value = format.write(self.value);
        match format.write_interval(self) {
            Some(interval) => format!("{value} {interval}"),
            None => value,
        }
    }
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A whole number with thousands separated: `3,720`.
    Count,
    /// A number with this many decimals: `0.583`.
    Decimal(usize),
    /// A number that lies in [-1, 1], two decimals, no leading zero: `.58`, `−.03`, `1.00`.
    Proportion,
    /// As [`Format::Proportion`] with its sign always written: `+.04`.
    Difference,
    /// A proportion as percent with this many decimals: `11.2 %`.
    Percent(usize),
}

impl Format {
    /// The number as text; [`MISSING`] if it is not finite.
    pub fn write(self, number: f64) -> String {
        match self {
            Format::Percent(_) if number.is_finite() => {
                format!("{}\u{a0}%", self.write_bare(number))
            }
            _ => self.write_bare(number),
        }
    }

    /// The interval alone, `[.53, .63]`, where it is known.
    pub(crate) fn write_interval(self, estimate: &Estimate) -> Option<String> {
        let (low, high) = estimate.interval()?;
        Some(format!(
            "[{}, {}]",
            self.write_bare(low),
            self.write_bare(high)
        ))
    }

    /// The number without its unit, for the ends of an interval.
    fn write_bare(self, number: f64) -> String {
        if !number.is_finite() {
            return MISSING.to_owned();
        }
        match self {
            Format::Count => grouped(number, 0),
            Format::Decimal(decimals) => grouped(number, decimals),
            Format::Proportion => without_leading_zero(&grouped(number, 2)),
            Format::Difference => {
                let text = without_leading_zero(&grouped(number, 2));
                if text.starts_with('−') || text == ".00" {
                    text
                } else {
                    format!("+{text}")
                }
            }
            Format::Percent(decimals) => grouped(100.0 * number, decimals),
        }
    }
}

/// A whole number with thousands separated: `3,720`.
pub fn count(number: usize) -> String {
    group_thousands(&number.to_string())
}

/// A share of a whole as `412 of 3,720 labels (11.1 %)`; without the percentage where the whole is
/// empty.
pub fn share(part: usize, whole: usize, of_what: &str) -> String {
    if whole == 0 {
        return format!("{} of 0 {of_what}", count(part));
    }
    let percent = Format::Percent(1).write(part as f64 / whole as f64);
    format!("{} of {} {of_what} ({percent})", count(part), count(whole))
}

fn grouped(number: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", number.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let negative = number < 0.0 && text.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    let sign = if negative { "−" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", group_thousands(whole))
}

fn group_thousands(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn without_leading_zero(text: &str) -> String {
    match text.strip_prefix('−') {
        Some(rest) => format!("−{}", without_leading_zero(rest)),
        None => match text.strip_prefix("0.") {
            Some(fraction) => format!(".{fraction}"),
            None => text.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_in_the_field() {
        assert_eq!(Format::Proportion.write(0.583), ".58");
        assert_eq!(Format::Proportion.write(1.0), "1.00");
        assert_eq!(Format::Proportion.write(-0.031), "−.03");
        assert_eq!(Format::Proportion.write(-0.001), ".00");
        assert_eq!(Format::Difference.write(0.04), "+.04");
        assert_eq!(Format::Difference.write(0.001), ".00");
        assert_eq!(Format::Percent(1).write(0.1119), "11.2\u{a0}%");
        assert_eq!(Format::Count.write(1_234_567.0), "1,234,567");
        assert_eq!(Format::Decimal(3).write(1234.5), "1,234.500");
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(3720), "3,720");
        assert_eq!(
            share(412, 3720, "labels"),
            "412 of 3,720 labels (11.1\u{a0}%)"
        );
        assert_eq!(share(0, 0, "labels"), "0 of 0 labels");
    }

    #[test]
    fn what_could_not_be_computed_is_a_dash() {
        for format in [
            Format::Count,
            Format::Proportion,
            Format::Difference,
            Format::Percent(1),
        ] {
            assert_eq!(format.write(f64::NAN), MISSING);
            assert_eq!(format.write(f64::INFINITY), MISSING);
        }
        let nothing = Estimate::new(f64::NAN, 0.1, 0.2);
        assert_eq!(nothing.write(Format::Proportion), MISSING);
        assert_eq!(nothing.interval(), None);
    }

    #[test]
    fn an_estimate_carries_its_interval() {
        let sensitivity = Estimate::new(0.58, 0.53, 0.63);
        assert_eq!(sensitivity.write(Format::Proportion), ".58 [.53, .63]");
        assert_eq!(sensitivity.write(Format::Percent(0)), "58\u{a0}% [53, 63]");
        assert_eq!(
            Estimate::without_interval(0.5).write(Format::Proportion),
            ".50"
        );
    }
}
