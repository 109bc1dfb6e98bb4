//! One nucleus: how each kind looks, and how it is put on the canvas.

use super::texture::{Texture, mix, smoothstep};
use super::{CaseStyle, CellKind, TissueClass};
use rand::{Rng, RngExt};
use std::f32::consts::TAU;

/// The maps that a picture is built from, row by row; lengths are `height · width`.
pub(super) struct Canvas {
    pub(super) height: usize,
    pub(super) width: usize,
    /// Pixels per micrometre.
    pub(super) scale: f32,
    pub(super) haematoxylin: Vec<f32>,
    pub(super) eosin: Vec<f32>,
    pub(super) class: Vec<TissueClass>,
    /// 0, or one more than the position in `cells`.
    pub(super) instances: Vec<u16>,
    pub(super) cells: Vec<PlacedCell>,
}

/// What is known about a nucleus when it is placed.
pub(super) struct PlacedCell {
    pub(super) kind: CellKind,
    pub(super) tissue: TissueClass,
    pub(super) infiltrating: bool,
}

impl Canvas {
    pub(super) fn new(height: usize, width: usize, scale: f32) -> Self {
        let area = height * width;
        Self {
            height,
            width,
            scale,
            haematoxylin: vec![0.0; area],
            eosin: vec![0.0; area],
            class: vec![TissueClass::Background; area],
            instances: vec![0; area],
            cells: Vec::new(),
        }
    }

    /// Position of the pixel that holds this point; `None` outside.
    pub(super) fn at(&self, row: f32, column: f32) -> Option<usize> {
        let inside =
            row >= 0.0 && column >= 0.0 && row < self.height as f32 && column < self.width as f32;
        inside.then(|| row as usize * self.width + column as usize)
    }

    /// Whether a nucleus may cover this pixel.
    fn is_free(&self, pixel: usize) -> bool {
        self.instances[pixel] == 0
            && !matches!(
                self.class[pixel],
                TissueClass::Fat | TissueClass::Background
            )
    }

    /// Rows and columns within `reach` pixels of a point, cut to the canvas.
    pub(super) fn window(
        &self,
        row: f32,
        column: f32,
        reach: f32,
    ) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        let span = |centre: f32, limit: usize| {
            let first = (centre - reach).floor().clamp(0.0, limit as f32) as usize;
            let last = (centre + reach + 1.0).ceil().clamp(0.0, limit as f32) as usize;
            first..last
        };
        (span(row, self.height), span(column, self.width))
    }
}

/// The look of one nucleus. Lengths are in micrometres, densities in stain concentration.
#[derive(Debug, Clone)]
pub(super) struct Nucleus {
    /// Radius of the circle of the same area.
    pub(super) radius: f32,
    /// Long axis over short axis.
    pub(super) aspect: f32,
    /// Direction of the long axis, from the column axis towards the row axis.
    pub(super) angle: f32,
    /// Size of the dents in the outline, relative to the radius.
    pub(super) irregularity: f32,
    /// Mean haematoxylin.
    pub(super) density: f32,
    /// Haematoxylin added along the nuclear membrane.
    pub(super) rim: f32,
    /// Contrast of the chromatin, relative to the density.
    pub(super) clumps: f32,
    /// Grain of the chromatin.
    pub(super) grain: f32,
    /// Number of nucleoli.
    pub(super) nucleoli: usize,
    /// Width over which the edge fades: far from the focal plane it is wide.
    pub(super) softness: f32,
    /// Change of the eosin just around the nucleus: below 1 a clear halo, above 1 dense cytoplasm.
    pub(super) halo: f32,
}

/// A factor around 1, bounded to two spreads.
pub(super) fn spread(rng: &mut impl Rng, amount: f32) -> f32 {
    // The sum of three uniform numbers is close to normal and bounded.
    let sum: f32 = (0..3).map(|_| rng.random_range(-1.0f32..1.0)).sum();
    (amount * sum.clamp(-2.0, 2.0)).exp()
}

impl Nucleus {
    /// Draws a nucleus of a parenchymal cell.
    ///
    /// `atypia` runs from 0 (a quiet hepatocyte) to 1 (frankly malignant): larger, darker, more
    /// irregular, coarser and above all more variable.
    pub(super) fn parenchymal(atypia: f32, style: &CaseStyle, rng: &mut impl Rng) -> Self {
        let variety = mix(0.07, 0.20, atypia);
        Self {
            radius: mix(3.9, 4.75, atypia) * spread(rng, variety),
            aspect: 1.0 + rng.random_range(0.02..mix(0.16, 0.65, atypia)),
            angle: rng.random_range(0.0..TAU),
            irregularity: mix(0.02, 0.085, atypia),
            density: mix(0.36, 0.68, atypia) * spread(rng, mix(0.10, 0.20, atypia)),
            rim: mix(0.30, 0.34, atypia),
            clumps: mix(0.34, 0.50, atypia),
            grain: mix(0.9, 1.5, atypia),
            nucleoli: 1 + usize::from(rng.random_bool(f64::from(mix(0.25, 0.5, atypia)))),
            softness: rng.random_range(0.35..0.9),
            halo: 1.0,
        }
        .styled(style)
    }

    /// Draws the nucleus of an immune cell (lymphocyte).
    pub(super) fn immune(style: &CaseStyle, rng: &mut impl Rng) -> Self {
        Self {
            radius: 2.95 * spread(rng, 0.07),
            aspect: 1.0 + rng.random_range(0.02..0.22),
            angle: rng.random_range(0.0..TAU),
            irregularity: 0.03,
            density: 0.98 * spread(rng, 0.09),
            rim: 0.12,
            clumps: 0.34,
            grain: 1.7,
            nucleoli: 0,
            softness: rng.random_range(0.35..0.8),
            halo: rng.random_range(0.45..0.85),
        }
        .styled(style)
    }

    /// Draws the shrunken nucleus of a dying cell: as small and dark as an immune cell's, but
    /// smooth inside and set in dense pink cytoplasm.
    pub(super) fn pyknotic(style: &CaseStyle, rng: &mut impl Rng) -> Self {
        Self {
            radius: 2.75 * spread(rng, 0.12),
            aspect: 1.0 + rng.random_range(0.02..0.4),
            angle: rng.random_range(0.0..TAU),
            irregularity: 0.07,
            density: 1.12 * spread(rng, 0.12),
            rim: 0.0,
            clumps: 0.10,
            grain: 2.0,
            nucleoli: 0,
            softness: rng.random_range(0.4..1.0),
            halo: rng.random_range(1.15..1.7),
        }
        .styled(style)
    }

    /// Draws the nucleus of a cell that lines a sinusoid along `angle`.
    pub(super) fn endothelial(angle: f32, style: &CaseStyle, rng: &mut impl Rng) -> Self {
        Self {
            radius: 2.2 * spread(rng, 0.10),
            aspect: rng.random_range(1.3..3.4),
            angle: angle + rng.random_range(-0.2..0.2),
            irregularity: 0.06,
            density: 0.86 * spread(rng, 0.12),
            rim: 0.08,
            clumps: 0.22,
            grain: 1.3,
            nucleoli: 0,
            softness: rng.random_range(0.35..0.9),
            halo: 1.0,
        }
        .styled(style)
    }

    /// Draws a nucleus of the stroma along the fibres; one in five is cut across and round.
    pub(super) fn fibroblast(angle: f32, style: &CaseStyle, rng: &mut impl Rng) -> Self {
        let across = rng.random_bool(0.2);
        Self {
            radius: 2.5 * spread(rng, 0.10),
            aspect: if across {
                rng.random_range(1.05..1.4)
            } else {
                rng.random_range(2.2..4.5)
            },
            angle: angle + rng.random_range(-0.25..0.25),
            irregularity: 0.06,
            density: 0.80 * spread(rng, 0.14),
            rim: 0.10,
            clumps: 0.26,
            grain: 1.2,
            nucleoli: 0,
            softness: rng.random_range(0.35..1.0),
            halo: 1.0,
        }
        .styled(style)
    }

    fn styled(mut self, style: &CaseStyle) -> Self {
        self.radius *= style.nuclear_size;
        self.density *= style.chromatin;
        self
    }

    /// Puts the nucleus at a point (in pixels), unless the point is taken or less than `visible`
    /// (0..=1) of the nucleus would show: nuclei never cover each other, a vacuole or glass. Says
    /// whether it was placed.
    pub(super) fn place(
        &self,
        (row, column): (f32, f32),
        cell: PlacedCell,
        visible: f32,
        canvas: &mut Canvas,
        texture: &Texture,
        rng: &mut impl Rng,
    ) -> bool {
        if canvas.cells.len() >= usize::from(u16::MAX) {
            return false;
        }
        let middle = canvas.at(row, column);
        if middle.is_some_and(|pixel| !canvas.is_free(pixel)) {
            return false;
        }
        let outline = Outline::draw(self, canvas.scale, rng);
        let layer = rng.random_range(0..1 << 16);
        let reach = outline.reach() + 2.0 * canvas.scale;
        let (rows, columns) = canvas.window(row, column, reach);
        // Beyond these squared distances a pixel needs no closer look.
        let (edge, far) = (outline.reach().powi(2), reach.powi(2));
        let deep = 0.35 * self.radius * canvas.scale;
        let (mut covered, mut shown) = (0usize, 0usize);
        for y in rows.clone() {
            for x in columns.clone() {
                let pixel = y * canvas.width + x;
                let (dy, dx) = (y as f32 - row, x as f32 - column);
                if dy * dy + dx * dx >= edge {
                    continue;
                }
                let depth = outline.depth(dy, dx);
                // A vacuole may dent a nucleus, but not lie within it.
                if depth > deep && canvas.class[pixel] == TissueClass::Fat {
                    return false;
                }
                if depth > 0.0 {
                    covered += 1;
                    shown += usize::from(canvas.is_free(pixel));
                }
            }
        }
        if shown == 0 || (shown as f32) < visible * covered as f32 {
            return false;
        }

        let nucleoli: Vec<(f32, f32, f32)> = (0..self.nucleoli)
            .map(|_| {
                let (sin, cos) = rng.random_range(0.0..TAU).sin_cos();
                let off = rng.random_range(0.0..0.5) * self.radius * canvas.scale;
                let size = rng.random_range(0.13..0.22) * self.radius * canvas.scale;
                (off * sin, off * cos, size)
            })
            .collect();
        let tissue = cell.tissue;
        canvas.cells.push(cell);
        let id = canvas.cells.len() as u16;
        let soft = self.softness * canvas.scale;
        let grain = 1.0 / (self.grain * canvas.scale);
        for y in rows {
            for x in columns.clone() {
                let pixel = y * canvas.width + x;
                let (dy, dx) = (y as f32 - row, x as f32 - column);
                if dy * dy + dx * dx > far || !canvas.is_free(pixel) {
                    continue;
                }
                let depth = outline.depth(dy, dx);
                if depth < -1.6 * canvas.scale {
                    continue;
                }
                let inside = smoothstep(-0.5 * soft, 0.5 * soft, depth);
                let ring = 1.0 - smoothstep(0.2, 1.6, (-depth / canvas.scale).max(0.0));
                let eosin = canvas.eosin[pixel] * mix(1.0, self.halo, ring);
                if inside > 0.0 {
                    let clump = texture.octaves(layer, 2, dy * grain, dx * grain);
                    let membrane = (-(depth / (0.55 * canvas.scale)).powi(2)).exp();
                    // A sphere is thickest in the middle; vesicular nuclei hide that.
                    let thickness = 0.85 + 0.2 * smoothstep(0.0, 2.5 * canvas.scale, depth);
                    let mut density = self.density * thickness * (1.0 + 1.6 * self.clumps * clump)
                        + self.rim * membrane;
                    for &(ny, nx, size) in &nucleoli {
                        let squared = ((dy - ny).powi(2) + (dx - nx).powi(2)) / (size * size);
                        density += 0.55 * (-squared).exp();
                    }
                    canvas.haematoxylin[pixel] =
                        mix(canvas.haematoxylin[pixel], density.max(0.08), inside);
                    canvas.eosin[pixel] = mix(eosin, 0.55 * eosin + 0.03, inside);
                } else {
                    canvas.eosin[pixel] = eosin;
                }
                if depth > 0.0 {
                    canvas.instances[pixel] = id;
                    canvas.class[pixel] = tissue;
                }
            }
        }
        true
    }
}

/// The outline of a nucleus in pixels: an ellipse with dents.
struct Outline {
    long: f32,
    short: f32,
    sin: f32,
    cos: f32,
    waves: [f32; 6],
}

impl Outline {
    fn draw(nucleus: &Nucleus, scale: f32, rng: &mut impl Rng) -> Self {
        let (sin, cos) = nucleus.angle.sin_cos();
        let stretch = nucleus.aspect.sqrt();
        // Two-, three- and four-fold waves, the coarse ones larger.
        let mut waves = [0.0; 6];
        for (i, wave) in waves.iter_mut().enumerate() {
            let size = nucleus.irregularity / (1.0 + 0.4 * (i / 2) as f32);
            *wave = rng.random_range(-1.0f32..1.0) * size;
        }
        Self {
            long: nucleus.radius * scale * stretch,
            short: nucleus.radius * scale / stretch,
            sin,
            cos,
            waves,
        }
    }

    /// The furthest that the outline can be from the centre.
    fn reach(&self) -> f32 {
        self.long * (1.0 + self.waves.iter().map(|w| w.abs()).sum::<f32>())
    }

    /// Distance to the outline in pixels, roughly; positive inside.
    #[inline]
    fn depth(&self, dy: f32, dx: f32) -> f32 {
        let u = (dx * self.cos + dy * self.sin) / self.long;
        let v = (dy * self.cos - dx * self.sin) / self.short;
        let length = (u * u + v * v).sqrt();
        if length < 1e-4 {
            return self.short;
        }
        let (c, s) = (u / length, v / length);
        let (c2, s2) = (c * c - s * s, 2.0 * c * s);
        let (c3, s3) = (c2 * c - s2 * s, s2 * c + c2 * s);
        let (c4, s4) = (c2 * c2 - s2 * s2, 2.0 * c2 * s2);
        let [a, b, d, e, f, g] = self.waves;
        let edge = 1.0 + a * c2 + b * s2 + d * c3 + e * s3 + f * c4 + g * s4;
        // How many pixels one unit of `length` is in this direction: the ellipse's gradient.
        let slope = ((u / self.long).powi(2) + (v / self.short).powi(2)).sqrt() / length;
        (edge - length) / slope
    }
}
