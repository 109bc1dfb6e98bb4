//! Metrics with confidence intervals that resample cases, and paired comparisons.
