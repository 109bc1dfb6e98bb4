//! Axes: where the ticks stand, how they are labelled, and how values become pixels.

use crate::number::Format;

/// What an axis shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The quantity with its unit, as in `area (µm²)`.
    pub label: String,
    /// How its numbers are written.
    pub unit: Unit,
    /// First and last value; taken from the data where there is none.
    pub range: Option<(f64, f64)>,
}

impl Axis {
    /// An axis of plain numbers.
    pub fn number(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            unit: Unit::Number,
            range: None,
        }
    }

    /// An axis of proportions, written `.8`.
    pub fn proportion(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            unit: Unit::Proportion,
            range: None,
        }
    }

    /// An axis of proportions, written `80 %`.
    pub fn percent(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            unit: Unit::Percent,
            range: None,
        }
    }

    /// The same axis from this value to that.
    pub fn from_to(mut self, first: f64, last: f64) -> Self {
        self.range = Some((first, last));
        self
    }

    /// A position on the axis as a tooltip names it.
    pub(crate) fn tick_text(&self, value: f64) -> String {
        let whole = self.unit == Unit::Number && value.fract() == 0.0;
        if whole {
            Format::Count.write(value)
        } else {
            self.format().write(value)
        }
    }

    /// How the values themselves are written, beside a mark or in a tooltip.
    pub(crate) fn format(&self) -> Format {
        match self.unit {
            Unit::Number => Format::Decimal(2),
            Unit::Count => Format::Count,
            Unit::Proportion => Format::Proportion,
            Unit::Difference => Format::Difference,
            Unit::Percent => Format::Percent(1),
        }
    }
}

/// How the numbers of an axis are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Plain numbers: `0.25`.
    Number,
    /// Whole numbers: `1,200`. Ticks never stand at fractions.
    Count,
    /// Proportions: `.25`.
    Proportion,
    /// Differences of proportions: `+.05`.
    Difference,
    /// Proportions as percent: `25 %`.
    Percent,
}

/// Values on an axis as positions in the drawing.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    first: f64,
    last: f64,
    from: f64,
    to: f64,
    unit: Unit,
    /// `None` for a linear axis; otherwise positions follow the logarithm.
    logarithmic: bool,
}

impl Scale {
    /// An axis over the data, widened to whole ticks, or over the range that the axis asks for.
    /// `from` and `to` are the pixels of its two ends.
    pub(crate) fn new(
        axis: &Axis,
        data: impl Iterator<Item = f64>,
        (from, to): (f64, f64),
        ticks: usize,
    ) -> Self {
        let asked = axis
            .range
            .filter(|(first, last)| first.is_finite() && last.is_finite() && first < last);
        let (first, last) = match asked {
            Some(range) => range,
            None => {
                let (lowest, highest) = extent(data);
                let step = round_step((highest - lowest) / ticks.max(1) as f64, axis.unit);
                let (mut first, mut last) = (
                    (lowest / step).floor() * step,
                    (highest / step).ceil() * step,
                );
                if axis.unit == Unit::Proportion || axis.unit == Unit::Percent {
                    if lowest >= 0.0 {
                        first = first.max(0.0);
                    }
                    if highest <= 1.0 {
                        last = last.min(1.0);
                    }
                }
                (first, last)
            }
        };
        Self {
            first,
            last,
            from,
            to,
            unit: axis.unit,
            logarithmic: false,
        }
    }

    /// A logarithmic axis of counts from just below 1.
    pub(crate) fn counts_logarithmic(highest: usize, (from, to): (f64, f64)) -> Self {
        let last = 10_f64
            .powf((highest.max(1) as f64).log10().ceil())
            .max(10.0);
        Self {
            first: 0.6,
            last,
            from,
            to,
            unit: Unit::Count,
            logarithmic: true,
        }
    }

    /// Where the value lies in the drawing; not finite if the value is not.
    pub(crate) fn position(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            (value.max(self.first) / self.first).ln() / (self.last / self.first).ln()
        } else {
            (value - self.first) / (self.last - self.first)
        };
        self.from + share * (self.to - self.from)
    }

    /// As [`Scale::position`], held inside the axis.
    pub(crate) fn position_inside(&self, value: f64) -> f64 {
        // `clamp` keeps NaN.
        self.position(value.clamp(self.first, self.last))
    }

    /// Ticks with their labels, at most about `most` of them.
    pub(crate) fn ticks(&self, most: usize) -> Vec<(f64, String)> {
        if self.logarithmic {
            let decades = self.last.log10().round() as i32;
            return (0..=decades)
                .map(|power| 10_f64.powi(power))
                .map(|value| (value, Format::Count.write(value)))
                .collect();
        }
        let step = round_step((self.last - self.first) / most.max(1) as f64, self.unit);
        ticks(self.first, self.last, step)
            .into_iter()
            .map(|value| (value, tick_label(value, step, self.unit)))
            .collect()
    }
}

/// The smallest of 1, 2, 5 × 10ⁿ that is at least `least`; a whole number for counts.
pub(crate) fn round_step(least: f64, unit: Unit) -> f64 {
    let least = if least.is_finite() && least > 0.0 {
        least
    } else {
        f64::MIN_POSITIVE
    };
    let least = if unit == Unit::Count {
        least.max(1.0)
    } else {
        least.max(1e-12)
    };
    let power = 10_f64.powi(least.log10().floor() as i32);
    // The small factor forgives the rounding of the division, so that 0.2 does not become 0.5.
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|&step| step >= least * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

/// The multiples of `step` from `first` to `last`.
pub(crate) fn ticks(first: f64, last: f64, step: f64) -> Vec<f64> {
    let (lowest, highest) = ((first / step - 1e-6).ceil(), (last / step + 1e-6).floor());
    if !(highest - lowest).is_finite() || highest < lowest || highest - lowest > 1000.0 {
        return Vec::new();
    }
    // Multiples of the step rather than sums of it: no drift, and a zero that is zero.
    (0..=(highest - lowest) as usize)
        .map(|index| (lowest + index as f64) * step + 0.0)
        .collect()
}

fn tick_label(value: f64, step: f64, unit: Unit) -> String {
    let decimals = |step: f64| (-(step.log10() + 1e-9).floor()).clamp(0.0, 12.0) as usize;
    match unit {
        Unit::Number => Format::Decimal(decimals(step)).write(value),
        Unit::Count => Format::Count.write(value),
        Unit::Percent => Format::Percent(decimals(100.0 * step)).write(value),
        Unit::Proportion | Unit::Difference => {
            if value == 0.0 {
                return "0".to_owned();
            }
            let text = Format::Decimal(decimals(step)).write(value.abs());
            let text = text
                .strip_prefix("0.")
                .map_or(text.clone(), |rest| format!(".{rest}"));
            match (value < 0.0, unit) {
                (true, _) => format!("−{text}"),
                (false, Unit::Difference) => format!("+{text}"),
                (false, _) => text,
            }
        }
    }
}

/// Lowest and highest finite value, drawn apart where they are the same; 0 to 1 without any.
fn extent(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (lowest, highest) = values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
    if lowest > highest {
        (0.0, 1.0)
    } else if highest - lowest <= 1e-9 * highest.abs().max(1e-3) {
        let room = if lowest == 0.0 {
            1.0
        } else {
            0.1 * lowest.abs()
        };
        (lowest - room, highest + room)
    } else {
        (lowest, highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(axis: Axis, data: &[f64]) -> Vec<String> {
        let scale = Scale::new(&axis, data.iter().copied(), (0.0, 100.0), 5);
        scale.ticks(5).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_stand_at_round_numbers() {
        assert_eq!(
            labels(Axis::percent("noise"), &[0.0, 0.4]),
            [
                "0\u{a0}%",
                "10\u{a0}%",
                "20\u{a0}%",
                "30\u{a0}%",
                "40\u{a0}%"
            ]
        );
        assert_eq!(
            labels(Axis::proportion("accuracy"), &[0.61, 0.83]),
            [".60", ".65", ".70", ".75", ".80", ".85"]
        );
        let difference = Axis {
            unit: Unit::Difference,
            ..Axis::number("difference")
        };
        assert_eq!(
            labels(difference, &[-0.04, 0.08]),
            ["−.05", "0", "+.05", "+.10"]
        );
        let count = Axis {
            unit: Unit::Count,
            ..Axis::number("images")
        };
        assert_eq!(labels(count, &[0.0, 2.0]), ["0", "1", "2"]);
        assert_eq!(
            labels(Axis::number("loss"), &[]),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(
            labels(Axis::number("loss"), &[f64::NAN, 3.0]),
            ["2.6", "2.8", "3.0", "3.2", "3.4"]
        );
    }

    #[test]
    fn a_logarithmic_axis_has_its_decades() {
        let scale = Scale::counts_logarithmic(3100, (100.0, 0.0));
        let values: Vec<f64> = scale.ticks(5).into_iter().map(|(value, _)| value).collect();
        assert_eq!(values, [1.0, 10.0, 100.0, 1000.0, 10000.0]);
        assert!((scale.position(0.0) - 100.0).abs() < 1e-9);
        assert!(scale.position(10_000.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn ticks_are_few_even_inside_and_at_multiples_of_a_round_step(
            low in -1e6_f64..1e6, width in 1e-3_f64..1e6, most in 2_usize..12,
        ) {
            let high = low + width;
            let step = round_step(width / most as f64, Unit::Number);
            let mantissa = step / 10_f64.powf(step.log10().floor());
            prop_assert!([1.0, 2.0, 5.0, 10.0].iter().any(|round| (mantissa - round).abs() < 1e-6));
            let ticks = ticks(low, high, step);
            prop_assert!(ticks.len() <= most + 1);
            // The step is less than 2.5 times the least one, so ticks cannot be too few either.
            prop_assert!(ticks.len() as f64 >= (most as f64 / 2.5).floor());
            for pair in ticks.windows(2) {
                prop_assert!(((pair[1] - pair[0]) / step - 1.0).abs() < 1e-6);
            }
            for tick in ticks {
                prop_assert!(tick >= low - 1e-5 * step && tick <= high + 1e-5 * step);
                prop_assert!((tick / step - (tick / step).round()).abs() < 1e-6);
            }
        }

        #[test]
        fn a_scale_holds_its_data(values in prop::collection::vec(-1e5_f64..1e5, 1..20)) {
            let axis = Axis::number("value");
            let scale = Scale::new(&axis, values.iter().copied(), (40.0, 400.0), 6);
            for value in values {
                let position = scale.position(value);
                prop_assert!((39.9..=400.1).contains(&position), "{value} at {position}");
            }
        }

        #[test]
        fn labels_of_ticks_differ(low in -1e3_f64..1e3, width in 1e-2_f64..1e3) {
            let axis = Axis::number("value").from_to(low, low + width);
            let ticks = Scale::new(&axis, std::iter::empty(), (0.0, 1.0), 6).ticks(6);
            let mut labels: Vec<_> = ticks.into_iter().map(|(_, label)| label).collect();
            let all = labels.len();
            labels.dedup();
            prop_assert_eq!(labels.len(), all);
        }
    }
}
