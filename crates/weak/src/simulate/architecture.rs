//! How cells are arranged: regions, polygonal cells, glands, plates with sinusoids, fibres.
//!
//! Positions are (row, column) in micrometres.

use super::nucleus::spread;
use super::texture::{Field, Texture};
use rand::{Rng, RngExt};
use std::f32::consts::{PI, TAU};

/// A smooth map of the picture of which a wanted share lies above the threshold.
pub(super) struct Region {
    level: Field,
    threshold: f32,
}

impl Region {
    /// Lays out a region that takes up `share` (0..=1) of a picture of this extent: blobs around
    /// the peaks of the noise or, with `band`, bands along its zero level.
    pub(super) fn new(
        share: f32,
        band: bool,
        wavelength: f32,
        extent: (f32, f32),
        texture: &Texture,
        rng: &mut impl Rng,
    ) -> Self {
        let layer = rng.random_range(0..1 << 16);
        let level = Field::new(extent, |row, column| {
            let level = texture.octaves(layer, 3, row / wavelength, column / wavelength);
            if band { -level.abs() } else { level }
        });
        let mut sorted = level.values().to_vec();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        let inside = (share.clamp(0.0, 1.0) * sorted.len() as f32) as usize;
        let threshold = match inside {
            0 => f32::INFINITY,
            _ => sorted.get(inside).copied().unwrap_or(f32::NEG_INFINITY),
        };
        Self { level, threshold }
    }

    /// Whether the point lies in the region.
    pub(super) fn contains(&self, row: f32, column: f32) -> bool {
        self.threshold < f32::INFINITY && self.level.at(row, column) > self.threshold
    }
}

/// Polygonal cells: the Voronoi cells of a jittered hexagonal lattice.
pub(super) struct Polygons {
    /// Distance between the centres of neighbours.
    pub(super) pitch: f32,
    columns: usize,
    rows: usize,
    seeds: Vec<(f32, f32)>,
}

/// The cell that holds a point.
pub(super) struct Located {
    /// Index of the cell.
    pub(super) cell: usize,
    /// Distance to the border with the nearest neighbour.
    pub(super) border: f32,
}

impl Polygons {
    /// Covers a picture of this extent, with a margin. `disorder` is 0 for a perfect lattice and
    /// at most 0.5.
    pub(super) fn new(pitch: f32, disorder: f32, extent: (f32, f32), rng: &mut impl Rng) -> Self {
        let rows = (extent.0 / pitch).ceil() as usize + 4;
        let columns = (extent.1 / pitch).ceil() as usize + 4;
        let seeds = (0..rows * columns)
            .map(|i| {
                let (row, column) = ((i / columns) as f32, (i % columns) as f32);
                let shift = if (i / columns).is_multiple_of(2) {
                    0.25
                } else {
                    0.75
                };
                let mut jitter = || disorder * rng.random_range(-1.0f32..1.0);
                (
                    (row - 1.5 + jitter()) * pitch,
                    (column - 2.0 + shift + jitter()) * pitch,
                )
            })
            .collect();
        Self {
            pitch,
            columns,
            rows,
            seeds,
        }
    }

    /// Number of cells.
    pub(super) fn len(&self) -> usize {
        self.seeds.len()
    }

    /// Finds the cell at a point.
    pub(super) fn locate(&self, row: f32, column: f32) -> Located {
        let lattice_row = (row / self.pitch + 2.0) as usize;
        let lattice_column = (column / self.pitch + 2.0) as usize;
        let (mut cell, mut first, mut second) = (0, f32::INFINITY, f32::INFINITY);
        let mut neighbour = 0;
        for y in lattice_row.saturating_sub(1)..(lattice_row + 2).min(self.rows) {
            for x in lattice_column.saturating_sub(1)..(lattice_column + 2).min(self.columns) {
                let index = y * self.columns + x;
                let (seed_row, seed_column) = self.seeds[index];
                let squared = (row - seed_row).powi(2) + (column - seed_column).powi(2);
                if squared < first {
                    (neighbour, second) = (cell, first);
                    (cell, first) = (index, squared);
                } else if squared < second {
                    (neighbour, second) = (index, squared);
                }
            }
        }
        let (a, b) = (self.seeds[cell], self.seeds[neighbour]);
        let between = ((a.0 - b.0).powi(2) + (a.1 - b.1).powi(2)).sqrt();
        let border = if between > 0.0 && second.is_finite() {
            (second - first) / (2.0 * between)
        } else {
            f32::INFINITY
        };
        Located { cell, border }
    }
}

/// Plates of cells with sinusoids between them: warped stripes whose gaps open and close.
pub(super) struct Plates {
    period: f32,
    half_width: f32,
    /// Position across the plates.
    across: Field,
    /// How wide the sinusoids are, relative to their mean width.
    open: Field,
}

impl Plates {
    /// `period` from sinusoid to sinusoid, `width` of a sinusoid, `warp` as the furthest shift.
    pub(super) fn new(
        (period, width, warp): (f32, f32, f32),
        extent: (f32, f32),
        texture: &Texture,
        rng: &mut impl Rng,
    ) -> Self {
        let (sin, cos) = rng.random_range(0.0..PI).sin_cos();
        let layer = rng.random_range(0..1 << 16);
        Self {
            period,
            half_width: width / 2.0,
            across: Field::new(extent, |row, column| {
                row * cos - column * sin
                    + warp * texture.octaves(layer, 2, row / 55.0, column / 55.0)
            }),
            open: Field::new(extent, |row, column| {
                0.75 + 0.9 * texture.value(layer + 5, row / 18.0, column / 18.0)
            }),
        }
    }

    /// Distance to the wall of the nearest sinusoid; negative inside the sinusoid.
    pub(super) fn distance(&self, row: f32, column: f32) -> f32 {
        let cycles = self.across.at(row, column) / self.period;
        // Shifted so that the conversion to an integer rounds down.
        let cycles = cycles + 512.0;
        let from_middle = (cycles - cycles as i32 as f32 - 0.5).abs() * self.period;
        from_middle - self.half_width * self.open.at(row, column)
    }

    /// The direction along the sinusoid at a point, from the column axis towards the row axis.
    pub(super) fn direction(&self, row: f32, column: f32) -> f32 {
        along(&self.across, row, column)
    }
}

/// The direction, from the column axis towards the row axis, in which the field stays the same.
fn along(across: &Field, row: f32, column: f32) -> f32 {
    let dy = across.at(row + 1.0, column) - across.at(row - 1.0, column);
    let dx = across.at(row, column + 1.0) - across.at(row, column - 1.0);
    dx.atan2(-dy)
}

/// Wavy bundles of collagen.
pub(super) struct Fibres {
    sin: f32,
    cos: f32,
    layer: u32,
    /// Position across the fibres.
    across: Field,
}

impl Fibres {
    pub(super) fn new(extent: (f32, f32), texture: &Texture, rng: &mut impl Rng) -> Self {
        let (sin, cos) = rng.random_range(0.0..PI).sin_cos();
        let layer = rng.random_range(0..1 << 16);
        let across = Field::new(extent, |row, column| {
            let swing = texture.octaves(layer, 2, row / 60.0, column / 60.0);
            let wave = texture.value(layer + 3, row / 16.0, column / 16.0);
            row * cos - column * sin + 26.0 * swing + 2.2 * wave
        });
        Self {
            sin,
            cos,
            layer,
            across,
        }
    }

    /// Density of the fibres at a point, about −1 (a gap) to 1 (a bundle).
    pub(super) fn density(&self, texture: &Texture, row: f32, column: f32) -> f32 {
        let across = self.across.at(row, column);
        let along = row * self.sin + column * self.cos;
        let bundles = texture.value(self.layer + 7, across / 5.5, along / 45.0);
        let strands = texture.value(self.layer + 9, across / 1.7, along / 22.0);
        let fine = texture.value(self.layer + 13, across / 0.8, along / 9.0);
        0.55 * bundles + 0.4 * strands + 0.2 * fine
    }

    /// The direction along the fibres at a point, from the column axis towards the row axis.
    pub(super) fn direction(&self, row: f32, column: f32) -> f32 {
        along(&self.across, row, column)
    }
}

/// A ring of cuboidal cells around a lumen.
pub(super) struct Gland {
    /// Centre.
    pub(super) centre: (f32, f32),
    /// Mean distance from the centre to the outside of the wall.
    pub(super) radius: f32,
    /// Height of the cells.
    pub(super) wall: f32,
    /// Number of cells around.
    pub(super) cells: usize,
    aspect: f32,
    sin: f32,
    cos: f32,
    waves: [f32; 4],
}

/// Where a point lies with respect to a gland.
pub(super) struct InGland {
    /// Distance to the outside; negative outside the gland.
    pub(super) depth: f32,
    /// Angle in 0..2π, in the gland's own frame.
    pub(super) angle: f32,
}

impl Gland {
    /// Places glands by throwing darts into the points where `allowed` holds, without overlap.
    pub(super) fn scatter(
        extent: (f32, f32),
        atypia: f32,
        allowed: impl Fn(f32, f32) -> bool,
        rng: &mut impl Rng,
    ) -> Vec<Self> {
        const MARGIN: f32 = 15.0;
        let area = (extent.0 + 2.0 * MARGIN) * (extent.1 + 2.0 * MARGIN);
        let mut glands: Vec<Self> = Vec::new();
        for _ in 0..(area / 20.0) as usize {
            let row = rng.random_range(-MARGIN..extent.0 + MARGIN);
            let column = rng.random_range(-MARGIN..extent.1 + MARGIN);
            let gland = Self::draw((row, column), atypia, rng);
            let apart = |other: &Self| {
                let distance =
                    ((row - other.centre.0).powi(2) + (column - other.centre.1).powi(2)).sqrt();
                distance > gland.reach() + other.reach() + 2.0
            };
            if allowed(row, column) && glands.iter().all(apart) {
                glands.push(gland);
            }
        }
        glands
    }

    fn draw(centre: (f32, f32), atypia: f32, rng: &mut impl Rng) -> Self {
        let wall = 10.0 * spread(rng, 0.08);
        // Small nests have no lumen; the poorer the differentiation the more of them.
        let radius = rng.random_range(8.5..27.0 - 5.0 * atypia);
        let (sin, cos) = rng.random_range(0.0..PI).sin_cos();
        let waves = [(); 4].map(|()| rng.random_range(-1.0f32..1.0) * (0.04 + 0.06 * atypia));
        let middle = radius - 0.5 * wall;
        Self {
            centre,
            radius,
            wall,
            cells: ((TAU * middle.max(3.0) / (8.6 - 1.6 * atypia)).round() as usize).max(3),
            aspect: 1.0 + rng.random_range(0.0..0.55),
            sin,
            cos,
            waves,
        }
    }

    /// The furthest that the wall can be from the centre.
    pub(super) fn reach(&self) -> f32 {
        self.radius * self.aspect.sqrt() * 1.12
    }

    /// Locates a point that is within [`Self::reach`].
    pub(super) fn locate(&self, row: f32, column: f32) -> InGland {
        let (dy, dx) = (row - self.centre.0, column - self.centre.1);
        let stretch = self.aspect.sqrt();
        let u = (dx * self.cos + dy * self.sin) / stretch;
        let v = (dy * self.cos - dx * self.sin) * stretch;
        let length = (u * u + v * v).sqrt();
        let angle = v.atan2(u);
        InGland {
            depth: self.outline(angle) - length,
            angle: if angle < 0.0 { angle + TAU } else { angle },
        }
    }

    /// The point at an angle and depth, and the direction from the lumen to the outside there.
    pub(super) fn point(&self, angle: f32, depth: f32) -> ((f32, f32), f32) {
        let stretch = self.aspect.sqrt();
        let length = (self.outline(angle) - depth).max(0.0);
        let u = length * angle.cos() * stretch;
        let v = length * angle.sin() / stretch;
        let (dy, dx) = (u * self.sin + v * self.cos, u * self.cos - v * self.sin);
        ((self.centre.0 + dy, self.centre.1 + dx), dy.atan2(dx))
    }

    fn outline(&self, angle: f32) -> f32 {
        let [a, b, c, d] = self.waves;
        let wave = a * (2.0 * angle).cos()
            + b * (3.0 * angle).sin()
            + c * (4.0 * angle + 1.0).cos()
            + d * (5.0 * angle + 2.0).sin();
        self.radius * (1.0 + 0.6 * wave)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn regions_take_up_their_share() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let texture = Texture::new(&mut rng);
        for band in [false, true] {
            for share in [0.0, 0.2, 0.7, 1.0] {
                let extent = (200.0, 300.0);
                let region = Region::new(share, band, 90.0, extent, &texture, &mut rng);
                let inside = (0..100)
                    .flat_map(|y| (0..100).map(move |x| (y as f32 * 2.0, x as f32 * 3.0)))
                    .filter(|&(y, x)| region.contains(y, x))
                    .count();
                // The threshold comes from a coarser grid than the one counted here.
                assert!(
                    (inside as f32 / 1e4 - share).abs() < 0.03,
                    "{share} {inside}"
                );
            }
        }
    }

    #[test]
    fn the_located_cell_is_the_nearest() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let polygons = Polygons::new(14.0, 0.25, (100.0, 120.0), &mut rng);
        for _ in 0..500 {
            let (row, column) = (rng.random_range(0.0..100.0), rng.random_range(0.0..120.0));
            let distance = |i: usize| {
                let (y, x) = polygons.seeds[i];
                (row - y).powi(2) + (column - x).powi(2)
            };
            let nearest = (0..polygons.len())
                .min_by(|&a, &b| distance(a).total_cmp(&distance(b)))
                .unwrap();
            let located = polygons.locate(row, column);
            assert_eq!(located.cell, nearest);
            assert!(located.border >= 0.0);
        }
    }

    #[test]
    fn points_of_a_gland_are_found_where_they_were_put() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let gland = Gland::draw((50.0, 40.0), 0.8, &mut rng);
        for step in 0..20 {
            let angle = step as f32 * TAU / 20.0;
            let ((row, column), _) = gland.point(angle, 4.0);
            let found = gland.locate(row, column);
            assert!((found.depth - 4.0).abs() < 1e-3);
            let turn = (found.angle - angle).abs();
            assert!(turn < 1e-3 || (TAU - turn) < 1e-3);
        }
    }
}
