//! The three weak labellers of SISSI, for bright-field images of a cytotoxicity assay at 640 × 480
//! pixels: living, dead and inhibited cells.
//!
//! M. Elbatel, C. Bornberg, M. Kattel, E. Almar, C. Marrocco, A. Bria, "Seamless iterative
//! semi-supervised correction of imperfect labels in microscopy images", 2022, arXiv:2208.03327. The
//! numbers are those of the published code, which the paper does not give. Sizes are in pixels of such
//! images.

mod alive;
mod dead;
mod inhibited;

pub use alive::Alive;
pub use dead::Dead;
pub use inhibited::Inhibited;

use cleanslide_data::Rectangle;

/// Drops boxes that overlap one kept before by an intersection over union of 0.15 or more; the last
/// come first, as with scores that are all equal in the published code.
fn apart(mut boxes: Vec<Rectangle>) -> Vec<Rectangle> {
    let mut kept: Vec<Rectangle> = Vec::new();
    while let Some(last) = boxes.pop() {
        if kept.iter().all(|other| other.iou(&last) < 0.15) {
            kept.push(last);
        }
    }
    kept
}
