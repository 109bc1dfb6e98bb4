use serde::{Deserialize, Serialize};

/// What becomes of the given labels when correction has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GivenLabels {
    /// They are given up: all labels are what was found. For labels of which many are wrong.
    Replaced,
    /// They stay, and what is found beside them is added. For labels that are right and incomplete.
    Completed,
}
