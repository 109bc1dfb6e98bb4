//! Wilson's score interval of a proportion.
//!
//! E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal
//! of the American Statistical Association 22 (1927), doi:10.1080/01621459.1927.10502953.
//!
//! ```text
//! z = normal quantile of (1 + level) / 2
//! (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n)
//! ```

use serde::{Deserialize, Serialize};

use crate::error::{Error, check_level};
use crate::normal;

/// A closed interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Wilson's interval of `successes / trials` at a confidence `level`, without continuity
/// correction.
///
/// It assumes independent trials: for patches of cases use the bootstrap over cases instead.
///
/// # Errors
/// No trials, numbers that are no proportion, or a level outside 0 to 1.
pub fn wilson_interval(successes: f64, trials: f64, level: f64) -> Result<Interval, Error> {
    check_level(level)?;
    if !(trials > 0.0 && trials.is_finite() && successes >= 0.0 && successes <= trials) {
        return Err(Error::InvalidProportion { successes, trials });
    }
    let z2 = normal::quantile((1.0 + level) / 2.0).powi(2);
    let proportion = successes / trials;
    let centre = proportion + z2 / (2.0 * trials);
    let half = (z2 * (proportion * (1.0 - proportion) + z2 / (4.0 * trials)) / trials).sqrt();
    let scale = 1.0 + z2 / trials;
    // At 0 and n successes an end is exactly 0 or 1; rounding must not push it outside.
    Ok(Interval {
        low: ((centre - half) / scale).max(0.0),
        high: ((centre + half) / scale).min(1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_proportions_are_errors() {
        for (successes, trials, level) in [
            (1.0, 0.0, 0.95),
            (3.0, 2.0, 0.95),
            (-1.0, 2.0, 0.95),
            (f64::NAN, 2.0, 0.95),
        ] {
            assert!(matches!(
                wilson_interval(successes, trials, level),
                Err(Error::InvalidProportion { .. })
            ));
        }
        assert!(matches!(
            wilson_interval(1.0, 2.0, 1.0),
            Err(Error::InvalidLevel { .. })
        ));
    }
}
