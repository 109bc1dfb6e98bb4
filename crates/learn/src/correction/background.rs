use serde::{Deserialize, Serialize};

use super::wrong;
use crate::error::Result;

/// What becomes of all that was not found; `name` chooses it in a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum Background {
    /// The image stays as it is, and all of it that is in no object is background.
    Kept,
    /// The objects are cloned into the blurred image, so that those that were not found are not to be seen.
    Blurred {
        /// Side of the Gaussian kernel, in pixels, an odd number. Default 71.
        #[serde(default = "kernel")]
        kernel: usize,
        /// Its standard deviation, in pixels; by default 0.15 of the side and 0.35 more, as OpenCV has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sigma: Option<f64>,
    },
    /// The image stays as it is, and what is too unsure to be an object is not background either.
    Ignored {
        /// The least score of such a box, or the least probability of such a pixel. Default 0.05.
        #[serde(default = "doubt")]
        doubt: f64,
    },
}

fn kernel() -> usize {
    71
}

fn doubt() -> f64 {
    0.05
}

impl Background {
    /// The paper's weak blur (SISSI: Elbatel, Bornberg et al., arXiv 2208.03327).
    pub const WEAK: Self = Self::Blurred {
        kernel: 21,
        sigma: None,
    };
    /// The strong blur of the paper's code; the paper has an even kernel, which there is none of.
    pub const STRONG: Self = Self::Blurred {
        kernel: 71,
        sigma: Some(30.0),
    };

    /// Refuses settings out of their range; `least` is the setting from which on something is an object, by its name.
    pub(crate) fn check(self, (name, least): (&str, f64)) -> Result<()> {
        match self {
            Self::Blurred { kernel, .. } if kernel.is_multiple_of(2) || kernel > 1001 => {
                let reason = "expected an odd number of at most 1001";
                wrong("kernel", kernel, reason)
            }
            Self::Blurred {
                sigma: Some(sigma), ..
            } if !(sigma > 0.0 && sigma.is_finite()) => {
                wrong("sigma", sigma, "expected more than 0")
            }
            Self::Ignored { doubt } if !(doubt >= 0.0 && doubt < least) => {
                let reason =
                    format!("expected at least 0 and less than `{name}`, which is {least}");
                wrong("doubt", doubt, &reason)
            }
            _ => Ok(()),
        }
    }
}
