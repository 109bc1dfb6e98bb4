//! Filters as panels, `[tap, source channel]` by result channels, and back.
//!
//! Both go over a few channels at a time, so that what is strided stays in the first-level cache.

use rayon::prelude::*;

use super::Convolution;
use super::gather::Tap;
use crate::Instructions;
use crate::tiles::{PanelPlaces, PanelWidths, panels};

/// Channels that are packed together.
const TOGETHER: usize = 8;

/// Packs `value(place in the filter, source channel, result channel)`.
pub(super) fn pack(
    instructions: Instructions,
    taps: &[Tap],
    [channels, columns]: [usize; 2],
    packed: &mut [f32],
    value: impl Fn([usize; 2], usize, usize) -> f32 + Sync,
) {
    let pack = |panel: PanelPlaces| {
        for start in (0..channels).step_by(TOGETHER) {
            for column in 0..panel.width {
                let result = panel.first + column;
                for channel in start..channels.min(start + TOGETHER) {
                    for (row, tap) in taps.iter().enumerate() {
                        let place = (row * channels + channel) * panel.width + column;
                        panel.values[place] = if result < columns {
                            value(tap.filter, channel, result)
                        } else {
                            0.0
                        };
                    }
                }
            }
        }
    };
    panels(instructions, taps.len() * channels, columns, packed)
        .into_par_iter()
        .for_each(pack);
}

/// Writes packed sums for all taps, inputs and outputs to the filters.
pub(super) fn unpack(
    sizes: &Convolution,
    instructions: Instructions,
    packed: &[f32],
    filters: &mut [f32],
) {
    let inputs = sizes.inputs;
    let area = sizes.kernel[0] * sizes.kernel[1];
    let depth = inputs * area;
    let mut panels = Vec::new();
    let (mut packed, mut filters) = (packed, filters);
    for width in instructions.dispatch(PanelWidths(sizes.outputs)) {
        let here = filters.len().min(width * depth);
        let (panel, places);
        (panel, packed) = packed.split_at(width * depth);
        (places, filters) = filters.split_at_mut(here);
        panels.push((width, panel, places));
    }
    panels.into_par_iter().for_each(|(width, panel, filters)| {
        for start in (0..inputs).step_by(TOGETHER) {
            for (output, filter) in filters.chunks_exact_mut(depth).enumerate() {
                for input in start..inputs.min(start + TOGETHER) {
                    for tap in 0..area {
                        filter[input * area + tap] = panel[(tap * inputs + input) * width + output];
                    }
                }
            }
        }
    });
}
