//! Boxes of some sizes and shapes at every location.

use cleanslide_data::Rectangle;
use cleanslide_nn::networks::FasterRcnnConfig;

/// The anchors of an image, in the order in which
/// [`FasterRcnnProposals`](cleanslide_nn::networks::FasterRcnnProposals) has them.
#[derive(Debug, Clone)]
pub(in crate::detect) struct Anchors {
    pub(in crate::detect) boxes: Vec<Rectangle>,
    /// How many of them each level has.
    pub(in crate::detect) levels: Vec<usize>,
}

impl Anchors {
    /// The anchors of an image of so many rows and columns, as torchvision 0.24 places them: half sides are rounded
    /// to whole pixels (halves to even numbers), and locations are as many whole pixels apart as the image has for
    /// each, which is less than the side of a cell in levels whose cells do not divide the image.
    pub(in crate::detect) fn new(size: [usize; 2], config: &FasterRcnnConfig) -> Self {
        let (mut boxes, mut levels) = (Vec::new(), Vec::new());
        for (level, stride) in config.strides().into_iter().enumerate() {
            let shapes = half_sides((config.anchor_size << level) as f32, &config.anchor_ratios);
            let cells = size.map(|length| length.div_ceil(stride));
            let [down, across] = [size[0] / cells[0], size[1] / cells[1]];
            levels.push(cells[0] * cells[1] * shapes.len());
            for row in 0..cells[0] {
                for column in 0..cells[1] {
                    let (x, y) = ((column * across) as f64, (row * down) as f64);
                    boxes.extend(shapes.iter().map(|[width, height]| Rectangle {
                        left: x - width,
                        top: y - height,
                        right: x + width,
                        bottom: y + height,
                    }));
                }
            }
        }
        Self { boxes, levels }
    }
}

/// Half the width and height of the anchors of a location: all of the same area, but for rounding.
fn half_sides(side: f32, ratios: &[f64]) -> Vec<[f64; 2]> {
    let half = |length: f32| f64::from((length / 2.0).round_ties_even());
    ratios
        .iter()
        .map(|&ratio| {
            // In f32 as there, so that what lies between two pixels goes to the same one.
            let height = (ratio as f32).sqrt();
            [half(1.0 / height * side), half(height * side)]
        })
        .collect()
}
