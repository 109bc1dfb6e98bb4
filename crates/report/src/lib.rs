//! Plots and one-file HTML reports.
