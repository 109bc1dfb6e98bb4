//! One picture: what grows where, and its truth.

use super::architecture::{Fibres, Gland, Plates, Polygons, Region};
use super::nucleus::{Canvas, Nucleus, PlacedCell, spread};
use super::texture::{Texture, mix, smoothstep};
use super::{CaseStyle, Cell, CellKind, Entity, TissueClass};
use image::RgbImage;
use ndarray::Array2;
use rand::{Rng, RngExt};
use std::f32::consts::{PI, TAU};
use thiserror::Error;

/// What grows in a picture, and in which shares.
///
/// Shares are of the picture's area unless said otherwise and hold approximately. A tumour of
/// [`Entity::BenignLiver`] does not grow, whatever its share.
#[derive(Debug, Clone, PartialEq)]
pub struct Tissue {
    /// Height and width in pixels. Default 256 × 256.
    pub size: (usize, usize),
    /// Default 0.5, a scan with a 20× objective. Sensible from 0.2 to 1.
    pub microns_per_pixel: f32,
    /// Share of glass. Default 0.
    pub glass: f32,
    /// Share of tumour in the tissue. Default 0.
    pub tumour: f32,
    /// From 0, tumour cells that look like hepatocytes, to 1, frankly malignant ones. Default 1.
    pub atypia: f32,
    /// Share of fibrous bands in the tissue outside the tumour. Default 0.05.
    pub stroma: f32,
    /// From 0, quiet hepatocytes, to 1, hepatocytes that look malignant. Default 0.
    pub reactive: f32,
    /// Share of hepatocytes with fat vacuoles (tumour cells have a third of it). Default 0.03.
    pub fat: f32,
    /// Mean radius of large vacuoles in micrometres. Default 5.
    pub vacuole: f32,
    /// Share of the tissue in dense foci of immune cells. Default 0.
    pub foci: f32,
    /// Immune cells per mm² of tissue outside foci, most of them infiltrating. Default 150.
    pub scattered: f32,
    /// Pyknotic cells per mm² of tissue: look-alikes of immune cells. Default 60.
    pub pyknotic: f32,
}

impl Default for Tissue {
    fn default() -> Self {
        Self {
            size: (256, 256),
            microns_per_pixel: 0.5,
            glass: 0.0,
            tumour: 0.0,
            atypia: 1.0,
            stroma: 0.05,
            reactive: 0.0,
            fat: 0.03,
            vacuole: 5.0,
            foci: 0.0,
            scattered: 150.0,
            pyknotic: 60.0,
        }
    }
}

/// A setting of [`Tissue`] that no picture can be made from.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum TissueError {
    /// A number outside its range, or not a number.
    #[error("{setting} is {value}, but must lie between {low} and {high}")]
    OutOfRange {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        value: f32,
        /// The smallest value allowed.
        low: f32,
        /// The largest value allowed.
        high: f32,
    },
    /// A picture without pixels.
    #[error("the picture is {height} x {width} pixels, but must have at least one")]
    Empty {
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
    },
    /// More tissue than there are 16-bit numbers for its nuclei.
    #[error(
        "the picture shows {area:.1} mm² of tissue, but 16-bit masks can number the nuclei of \
         at most {limit} mm²; make several smaller pictures"
    )]
    TooLarge {
        /// Area of the picture in mm².
        area: f64,
        /// Largest area in mm².
        limit: f64,
    },
}

impl Tissue {
    /// Says whether a picture can be made from these settings. Call it on settings that come
    /// from a user: [`simulate_image`] may panic on settings that this refuses.
    ///
    /// # Errors
    /// The first setting that is out of range, by name.
    pub fn check(&self) -> Result<(), TissueError> {
        // Immune cells in a focus, the densest tissue, reach about 25,000 per mm².
        const LIMIT: f64 = 2.0;
        let settings = [
            ("microns_per_pixel", self.microns_per_pixel, 0.1, 2.0),
            ("glass", self.glass, 0.0, 1.0),
            ("tumour", self.tumour, 0.0, 1.0),
            ("atypia", self.atypia, 0.0, 1.0),
            ("stroma", self.stroma, 0.0, 1.0),
            ("reactive", self.reactive, 0.0, 1.0),
            ("fat", self.fat, 0.0, 1.0),
            ("vacuole", self.vacuole, 0.5, 20.0),
            ("foci", self.foci, 0.0, 1.0),
            ("scattered", self.scattered, 0.0, 20_000.0),
            ("pyknotic", self.pyknotic, 0.0, 20_000.0),
        ];
        for (setting, value, low, high) in settings {
            if !(low..=high).contains(&value) {
                return Err(TissueError::OutOfRange {
                    setting,
                    value,
                    low,
                    high,
                });
            }
        }
        let (height, width) = self.size;
        if height == 0 || width == 0 {
            return Err(TissueError::Empty { height, width });
        }
        let pixel = f64::from(self.microns_per_pixel) / 1000.0;
        let area = height as f64 * width as f64 * pixel * pixel;
        if area > LIMIT {
            return Err(TissueError::TooLarge { area, limit: LIMIT });
        }
        Ok(())
    }
}

/// A picture and everything that is true about it.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatedImage {
    /// The picture.
    pub rgb: RgbImage,
    /// Of every pixel, its [`TissueClass`] as `u8`; shape [height, width].
    pub pixel_class: Array2<u8>,
    /// Of every pixel, the [`Cell::id`] of its nucleus or 0; shape [height, width].
    pub instances: Array2<u16>,
    /// The nuclei; cell `i` has id `i + 1`.
    pub cells: Vec<Cell>,
    /// Size of a pixel.
    pub microns_per_pixel: f32,
}

impl SimulatedImage {
    /// Share of the pixels of one class, 0..=1.
    pub fn share(&self, class: TissueClass) -> f64 {
        let count = self
            .pixel_class
            .iter()
            .filter(|&&c| c == class as u8)
            .count();
        count as f64 / self.pixel_class.len().max(1) as f64
    }

    /// Number of nuclei of one kind.
    pub fn count(&self, kind: CellKind) -> usize {
        self.cells.iter().filter(|cell| cell.kind == kind).count()
    }
}

/// Makes one picture of tissue of this entity. Settings must pass [`Tissue::check`].
pub fn simulate_image(
    entity: Entity,
    tissue: &Tissue,
    style: &CaseStyle,
    rng: &mut impl Rng,
) -> SimulatedImage {
    let mut builder = Builder::new(entity, tissue, style, rng);
    builder.lay_ground(rng);
    builder.add_fat(rng);
    builder.add_immune_foci(rng);
    builder.add_parenchymal_nuclei(rng);
    builder.add_gland_nuclei(rng);
    builder.add_scattered(rng);
    builder.add_lining(rng);
    builder.finish(rng)
}

/// Tissue around the picture that is simulated and cut away, in micrometres, so that cells at
/// the edge are cut as in a real picture.
const MARGIN: f32 = 8.0;

/// Sums over the pixels of one polygonal cell.
#[derive(Clone, Copy, Default)]
struct Patch {
    row: f32,
    column: f32,
    pixels: u32,
    class: Option<TissueClass>,
}

struct Builder<'a> {
    tissue: &'a Tissue,
    style: &'a CaseStyle,
    canvas: Canvas,
    margin: usize,
    texture: Texture,
    entity: Entity,
    glass: Region,
    tumour: Region,
    bands: Region,
    foci: Region,
    fibres: Fibres,
    /// Of hepatocytes and of the hepatocellular tumour.
    plates: [Plates; 2],
    polygons: [Polygons; 2],
    patches: [Vec<Patch>; 2],
    glands: Vec<Gland>,
}

impl<'a> Builder<'a> {
    fn new(entity: Entity, tissue: &'a Tissue, style: &'a CaseStyle, rng: &mut impl Rng) -> Self {
        let scale = 1.0 / tissue.microns_per_pixel;
        let margin = (MARGIN * scale).ceil() as usize;
        let (height, width) = (tissue.size.0 + 2 * margin, tissue.size.1 + 2 * margin);
        let extent = (height as f32 / scale, width as f32 / scale);
        let texture = Texture::new(rng);
        let tumour_share = match entity {
            Entity::BenignLiver => 0.0,
            _ => tissue.tumour,
        };
        let mut region =
            |share, band, wavelength| Region::new(share, band, wavelength, extent, &texture, rng);
        let glass = region(tissue.glass, false, 140.0);
        let tumour = region(tumour_share, false, 120.0);
        let bands = region(tissue.stroma, true, 110.0);
        let foci = region(tissue.foci, false, 45.0);
        let shrink = 1.0 / style.cellularity.sqrt();
        let pitches = [
            mix(18.5, 14.0, tissue.reactive),
            mix(18.5, 13.4, tissue.atypia),
        ];
        let polygons = [
            Polygons::new(shrink * pitches[0], 0.24, extent, rng),
            Polygons::new(
                shrink * pitches[1],
                mix(0.24, 0.32, tissue.atypia),
                extent,
                rng,
            ),
        ];
        let periods = [1.75, mix(1.75, 2.9, tissue.atypia)];
        let plates = [
            Plates::new((periods[0] * pitches[0], 4.2, 24.0), extent, &texture, rng),
            Plates::new((periods[1] * pitches[1], 6.5, 32.0), extent, &texture, rng),
        ];
        let glands = match entity {
            Entity::Cholangiocellular => {
                let allowed = |row: f32, column: f32| {
                    tumour.contains(row, column) && !glass.contains(row, column)
                };
                Gland::scatter(extent, tissue.atypia, allowed, rng)
            }
            _ => Vec::new(),
        };
        Self {
            tissue,
            style,
            canvas: Canvas::new(height, width, scale),
            margin,
            entity,
            glass,
            tumour,
            bands,
            foci,
            fibres: Fibres::new(extent, &texture, rng),
            patches: [0, 1].map(|i| vec![Patch::default(); polygons[i].len()]),
            plates,
            polygons,
            glands,
            texture,
        }
    }

    /// Micrometres of a pixel.
    fn position(&self, pixel: usize) -> (f32, f32) {
        let (row, column) = (pixel / self.canvas.width, pixel % self.canvas.width);
        (
            row as f32 / self.canvas.scale,
            column as f32 / self.canvas.scale,
        )
    }

    /// Everything but nuclei and fat: cytoplasm, sinusoids, fibres, glands, glass.
    fn lay_ground(&mut self, rng: &mut impl Rng) {
        let tones: [Vec<(f32, f32)>; 2] = [0, 1].map(|i| {
            (0..self.polygons[i].len())
                .map(|_| (spread(rng, 0.09), spread(rng, 0.16)))
                .collect()
        });
        let layer = rng.random_range(0..1 << 16);
        let warp_layer = rng.random_range(0..1 << 16);
        for pixel in 0..self.canvas.class.len() {
            let (row, column) = self.position(pixel);
            let ragged_row = row + 2.5 * self.texture.value(warp_layer, row / 9.0, column / 9.0);
            let ragged_column =
                column + 2.5 * self.texture.value(warp_layer + 1, row / 9.0, column / 9.0);
            let grain = self.texture.octaves(layer, 2, row / 1.9, column / 1.9);
            let cloud = self.texture.value(layer + 3, row / 11.0, column / 11.0);
            let (class, haematoxylin, eosin) = if self.glass.contains(ragged_row, ragged_column) {
                (TissueClass::Background, 0.0, 0.004)
            } else {
                let in_tumour = self.tumour.contains(ragged_row, ragged_column);
                let in_band = self.bands.contains(ragged_row, ragged_column);
                let fibrous = match self.entity {
                    Entity::Cholangiocellular if in_tumour => true,
                    _ => in_band && !in_tumour,
                };
                if fibrous {
                    self.fibrous(row, column, grain)
                } else {
                    self.parenchyma(
                        usize::from(in_tumour),
                        (row, column),
                        (ragged_row, ragged_column),
                        (grain, cloud),
                        &tones,
                        pixel,
                    )
                }
            };
            self.canvas.class[pixel] = class;
            self.canvas.haematoxylin[pixel] = haematoxylin;
            self.canvas.eosin[pixel] = eosin;
        }
        self.lay_glands(layer);
    }

    fn fibrous(&self, row: f32, column: f32, grain: f32) -> (TissueClass, f32, f32) {
        let fibre = self.fibres.density(&self.texture, row, column);
        let eosin = 0.20 + 0.15 * fibre + 0.03 * grain;
        let gap = smoothstep(-0.35, -0.7, fibre);
        (
            TissueClass::Stroma,
            0.045 + 0.02 * grain.max(-1.0),
            mix(eosin, 0.05, gap).max(0.02),
        )
    }

    fn parenchyma(
        &mut self,
        which: usize,
        (row, column): (f32, f32),
        (ragged_row, ragged_column): (f32, f32),
        (grain, cloud): (f32, f32),
        tones: &[Vec<(f32, f32)>; 2],
        pixel: usize,
    ) -> (TissueClass, f32, f32) {
        let wall = self.plates[which].distance(row, column);
        if wall < 0.0 {
            // Plasma and, in places, red blood cells.
            let red = self.texture.value(91, row / 3.2, column / 3.2);
            let red = 0.42 * smoothstep(0.25, 0.5, red) * smoothstep(0.0, 0.7, -wall);
            return (TissueClass::BloodSpace, 0.01, 0.035 + red + 0.015 * grain);
        }
        // Cell borders are less ragged than regions.
        let soft = |ragged: f32, straight: f32| straight + 0.45 * (ragged - straight);
        let located =
            self.polygons[which].locate(soft(ragged_row, row), soft(ragged_column, column));
        let class = if which == 0 {
            TissueClass::NormalLiver
        } else {
            TissueClass::Hepatocellular
        };
        let patch = &mut self.patches[which][located.cell];
        patch.row += (pixel / self.canvas.width) as f32;
        patch.column += (pixel % self.canvas.width) as f32;
        patch.pixels += 1;
        patch.class = Some(class);
        let (eosin_tone, haematoxylin_tone) = tones[which][located.cell];
        let atypia = [self.tissue.reactive, self.tissue.atypia][which];
        let border = ridge(located.border / 0.55);
        let brush = ridge(wall / 0.6);
        let eosin = mix(0.235, 0.25, atypia) * eosin_tone * (1.0 + 0.30 * grain + 0.14 * cloud)
            + 0.07 * border
            + 0.06 * brush;
        let haematoxylin =
            mix(0.075, 0.115, atypia) * haematoxylin_tone * (1.0 + 0.45 * grain - 0.3 * cloud)
                + 0.03 * border;
        (class, haematoxylin.max(0.0), eosin.max(0.02))
    }

    fn lay_glands(&mut self, layer: u32) {
        let glands = std::mem::take(&mut self.glands);
        for gland in &glands {
            let scale = self.canvas.scale;
            let (centre_row, centre_column) = (gland.centre.0 * scale, gland.centre.1 * scale);
            let (rows, columns) =
                self.canvas
                    .window(centre_row, centre_column, (gland.reach() + 2.0) * scale);
            for y in rows {
                for x in columns.clone() {
                    let pixel = y * self.canvas.width + x;
                    let (row, column) = (y as f32 / scale, x as f32 / scale);
                    let place = gland.locate(row, column);
                    if place.depth < -1.2 || self.canvas.class[pixel] == TissueClass::Background {
                        continue;
                    }
                    let grain = self.texture.octaves(layer, 2, row / 1.9, column / 1.9);
                    let eosin = &mut self.canvas.eosin[pixel];
                    let haematoxylin = &mut self.canvas.haematoxylin[pixel];
                    if place.depth < 0.0 {
                        // Basement membrane, and a cleft where the gland pulls away.
                        *eosin += 0.10 * smoothstep(-1.2, 0.0, place.depth);
                        continue;
                    }
                    let to_lumen = gland.wall - place.depth;
                    if to_lumen < 0.0 {
                        self.canvas.class[pixel] = TissueClass::Background;
                        let mucin = self.texture.octaves(layer + 9, 2, row / 6.0, column / 6.0);
                        let mucin = smoothstep(0.15, 0.6, mucin);
                        *eosin = 0.012 + 0.05 * mucin;
                        *haematoxylin = 0.004 + 0.05 * mucin;
                        continue;
                    }
                    self.canvas.class[pixel] = TissueClass::Cholangiocellular;
                    let step = TAU / gland.cells as f32;
                    let cycle = place.angle / step;
                    let girth = (gland.radius - place.depth).max(1.0);
                    let side = ((cycle - cycle.floor()) - 0.5).abs() - 0.5;
                    let border = (-(side * step * girth / 0.5).powi(2)).exp();
                    let apex = (-(to_lumen / 0.7).powi(2)).exp();
                    *eosin = 0.205 * (1.0 + 0.25 * grain) + 0.05 * border + 0.12 * apex;
                    *haematoxylin = 0.125 * (1.0 + 0.35 * grain) + 0.02 * border;
                }
            }
        }
        self.glands = glands;
    }

    fn add_fat(&mut self, rng: &mut impl Rng) {
        for which in 0..2 {
            let share = [self.tissue.fat, self.tissue.fat / 3.0][which].clamp(0.0, 1.0);
            let pitch = self.polygons[which].pitch;
            for cell in 0..self.patches[which].len() {
                let patch = self.patches[which][cell];
                let hit = rng.random_bool(f64::from(share));
                let small = rng.random_bool(0.3);
                if !hit || patch.pixels == 0 || patch.class.is_none() {
                    continue;
                }
                let centre = (
                    patch.row / patch.pixels as f32,
                    patch.column / patch.pixels as f32,
                );
                let droplets = if small { rng.random_range(3..8) } else { 1 };
                for _ in 0..droplets {
                    let (radius, off) = if small {
                        (
                            rng.random_range(0.8..1.9),
                            rng.random_range(0.1..0.38) * pitch,
                        )
                    } else {
                        let largest = 0.62 * pitch;
                        let radius = (self.tissue.vacuole * spread(rng, 0.22)).min(largest);
                        (radius, rng.random_range(0.0..0.16) * pitch)
                    };
                    let (sin, cos) = rng.random_range(0.0..TAU).sin_cos();
                    let off = off * self.canvas.scale;
                    self.add_vacuole((centre.0 + off * sin, centre.1 + off * cos), radius, rng);
                }
            }
        }
    }

    /// A round hole with a thin rim, slightly out of round.
    fn add_vacuole(&mut self, (row, column): (f32, f32), radius: f32, rng: &mut impl Rng) {
        let scale = self.canvas.scale;
        let (squash, lean) = (
            rng.random_range(-0.05..0.05f32),
            rng.random_range(-0.05..0.05f32),
        );
        let (rows, columns) = self.canvas.window(row, column, (radius + 1.5) * scale);
        for y in rows {
            for x in columns.clone() {
                let pixel = y * self.canvas.width + x;
                let (dy, dx) = ((y as f32 - row) / scale, (x as f32 - column) / scale);
                let distance =
                    (dy * dy * (1.0 + squash) + dx * dx * (1.0 - squash) + lean * dy * dx).sqrt();
                let depth = radius - distance;
                let host = matches!(
                    self.canvas.class[pixel],
                    TissueClass::NormalLiver | TissueClass::Hepatocellular
                );
                if !host || depth < -1.5 {
                    continue;
                }
                if depth > 0.0 {
                    self.canvas.class[pixel] = TissueClass::Fat;
                    let edge = 1.0 - smoothstep(0.0, 0.5, depth);
                    self.canvas.eosin[pixel] = 0.008 + 0.12 * edge;
                    self.canvas.haematoxylin[pixel] = 0.002 + 0.02 * edge;
                } else {
                    self.canvas.eosin[pixel] += 0.07 * (-(depth / 0.6).powi(2)).exp();
                }
            }
        }
    }

    fn add_immune_foci(&mut self, rng: &mut impl Rng) {
        if self.tissue.foci <= 0.0 {
            return;
        }
        // Darts at 1 per 20 µm² fill a focus to about the density of a real infiltrate.
        let area = self.canvas.class.len() as f32 / self.canvas.scale.powi(2);
        for _ in 0..(area / 20.0) as usize {
            let pixel = rng.random_range(0..self.canvas.class.len());
            let (row, column) = self.position(pixel);
            if self.foci.contains(row, column) {
                self.add_immune(pixel, 0.9, rng);
            }
        }
    }

    fn add_immune(&mut self, pixel: usize, visible: f32, rng: &mut impl Rng) -> bool {
        let centre = (pixel / self.canvas.width, pixel % self.canvas.width);
        let infiltrating = self.canvas.class[pixel] != TissueClass::BloodSpace;
        Nucleus::immune(self.style, rng).place(
            (centre.0 as f32, centre.1 as f32),
            PlacedCell {
                kind: CellKind::Immune,
                tissue: TissueClass::Immune,
                infiltrating,
            },
            visible,
            &mut self.canvas,
            &self.texture,
            rng,
        )
    }

    fn add_parenchymal_nuclei(&mut self, rng: &mut impl Rng) {
        for which in 0..2 {
            let atypia = [self.tissue.reactive, self.tissue.atypia][which];
            let kind = [CellKind::Hepatocyte, CellKind::Tumour][which];
            let whole = (self.polygons[which].pitch * self.canvas.scale).powi(2);
            for cell in 0..self.patches[which].len() {
                let patch = self.patches[which][cell];
                let Some(tissue) = patch.class else { continue };
                if (patch.pixels as f32) < 0.33 * whole {
                    continue;
                }
                let row = patch.row / patch.pixels as f32;
                let column = patch.column / patch.pixels as f32;
                let two = rng.random_bool(0.14);
                // A section misses some nuclei.
                if rng.random_bool(0.07) {
                    continue;
                }
                let turn = rng.random_range(0.0..TAU);
                let off = self.canvas.scale * if two { 4.0 } else { rng.random_range(0.0..1.6) };
                for side in [1.0, -1.0].into_iter().take(1 + usize::from(two)) {
                    let mut nucleus = Nucleus::parenchymal(atypia, self.style, rng);
                    nucleus.radius *= if two { 0.88 } else { 1.0 };
                    let centre = (
                        row + side * off * turn.sin(),
                        column + side * off * turn.cos(),
                    );
                    self.place_beside_fat(&nucleus, centre, kind, tissue, rng);
                }
            }
        }
    }

    /// Fat pushes the nucleus aside: tries the centre, then points around it further and further.
    fn place_beside_fat(
        &mut self,
        nucleus: &Nucleus,
        (row, column): (f32, f32),
        kind: CellKind,
        tissue: TissueClass,
        rng: &mut impl Rng,
    ) {
        let start = rng.random_range(0..8);
        let ring = (0..8).map(|i| (start + i) as f32 * PI / 4.0);
        let around = [3.0f32, 5.5, 8.0]
            .into_iter()
            .flat_map(|off| ring.clone().map(move |turn| (off, turn)));
        for (off, turn) in std::iter::once((0.0, 0.0)).chain(around) {
            let off = off * self.canvas.scale;
            let point = (row + off * turn.sin(), column + off * turn.cos());
            let Some(pixel) = self.canvas.at(point.0, point.1) else {
                continue;
            };
            if self.canvas.class[pixel] != tissue {
                continue;
            }
            let cell = PlacedCell {
                kind,
                tissue,
                infiltrating: false,
            };
            if nucleus.place(point, cell, 0.8, &mut self.canvas, &self.texture, rng) {
                return;
            }
        }
    }

    fn add_gland_nuclei(&mut self, rng: &mut impl Rng) {
        let glands = std::mem::take(&mut self.glands);
        for gland in &glands {
            let atypia = self.tissue.atypia;
            for cell in 0..gland.cells {
                let jitter = rng.random_range(-0.18..0.18);
                let angle = (cell as f32 + 0.5 + jitter) * TAU / gland.cells as f32;
                let rise = rng.random_range(-0.06..mix(0.06, 0.2, atypia));
                let ((row, column), outward) = gland.point(angle, (0.46 + rise) * gland.wall);
                let mut nucleus = Nucleus::parenchymal(atypia, self.style, rng);
                nucleus.radius *= 0.76;
                nucleus.aspect = rng.random_range(1.05..1.5);
                nucleus.angle = outward + rng.random_range(-0.3..0.3);
                let point = (row * self.canvas.scale, column * self.canvas.scale);
                let cell = PlacedCell {
                    kind: CellKind::Tumour,
                    tissue: TissueClass::Cholangiocellular,
                    infiltrating: false,
                };
                nucleus.place(point, cell, 0.72, &mut self.canvas, &self.texture, rng);
            }
        }
        self.glands = glands;
    }

    /// Immune cells and pyknotic cells one by one, anywhere in the tissue.
    fn add_scattered(&mut self, rng: &mut impl Rng) {
        let square_millimetres =
            self.canvas.class.len() as f32 / (self.canvas.scale * 1000.0).powi(2);
        let mut darts = |density: f32| {
            let mean = density.max(0.0) * square_millimetres;
            mean.floor() as usize + usize::from(rng.random_bool(f64::from(mean.fract())))
        };
        let (immune, pyknotic) = (darts(self.tissue.scattered), darts(self.tissue.pyknotic));
        const TRIES: usize = 6;
        for _ in 0..immune {
            for _ in 0..TRIES {
                let pixel = rng.random_range(0..self.canvas.class.len());
                if self.add_immune(pixel, 0.9, rng) {
                    break;
                }
            }
        }
        for _ in 0..pyknotic {
            for _ in 0..TRIES {
                let pixel = rng.random_range(0..self.canvas.class.len());
                let tissue = self.canvas.class[pixel];
                let host = matches!(
                    tissue,
                    TissueClass::NormalLiver
                        | TissueClass::Hepatocellular
                        | TissueClass::Cholangiocellular
                );
                let centre = (pixel / self.canvas.width, pixel % self.canvas.width);
                let cell = PlacedCell {
                    kind: CellKind::Pyknotic,
                    tissue,
                    infiltrating: false,
                };
                if host
                    && Nucleus::pyknotic(self.style, rng).place(
                        (centre.0 as f32, centre.1 as f32),
                        cell,
                        0.9,
                        &mut self.canvas,
                        &self.texture,
                        rng,
                    )
                {
                    break;
                }
            }
        }
    }

    /// Cells that line sinusoids, and the nuclei of the stroma.
    fn add_lining(&mut self, rng: &mut impl Rng) {
        let square_microns = self.canvas.class.len() as f32 / self.canvas.scale.powi(2);
        for _ in 0..(square_microns / 100.0) as usize {
            let pixel = rng.random_range(0..self.canvas.class.len());
            let (row, column) = self.position(pixel);
            let tissue = self.canvas.class[pixel];
            let centre = (
                (pixel / self.canvas.width) as f32,
                (pixel % self.canvas.width) as f32,
            );
            let (kind, nucleus, visible) = match tissue {
                TissueClass::BloodSpace => {
                    let which = usize::from(self.tumour.contains(row, column));
                    let along = self.plates[which].direction(row, column);
                    let nucleus = Nucleus::endothelial(along, self.style, rng);
                    (CellKind::Endothelial, nucleus, 0.8)
                }
                TissueClass::Stroma if rng.random_bool(0.6) => {
                    let along = self.fibres.direction(row, column);
                    let nucleus = Nucleus::fibroblast(along, self.style, rng);
                    (CellKind::Fibroblast, nucleus, 0.9)
                }
                _ => continue,
            };
            let cell = PlacedCell {
                kind,
                tissue,
                infiltrating: false,
            };
            nucleus.place(centre, cell, visible, &mut self.canvas, &self.texture, rng);
        }
    }

    /// Renders, cuts the margin away and numbers what is still visible.
    fn finish(self, rng: &mut impl Rng) -> SimulatedImage {
        let (height, width) = self.tissue.size;
        let cut = |map: &[f32]| -> Vec<f32> {
            (0..height)
                .flat_map(|y| {
                    let start = (y + self.margin) * self.canvas.width + self.margin;
                    &map[start..start + width]
                })
                .copied()
                .collect()
        };
        let rgb = self.style.render(
            (height, width),
            &cut(&self.canvas.haematoxylin),
            &cut(&self.canvas.eosin),
            self.tissue.microns_per_pixel,
            rng,
        );
        let whole = |y: usize, x: usize| (y + self.margin) * self.canvas.width + x + self.margin;
        let pixel_class = Array2::from_shape_fn((height, width), |(y, x)| {
            self.canvas.class[whole(y, x)] as u8
        });
        let mut instances =
            Array2::from_shape_fn((height, width), |(y, x)| self.canvas.instances[whole(y, x)]);
        let cells = number_visible(&mut instances, &self.canvas.cells);
        SimulatedImage {
            rgb,
            pixel_class,
            instances,
            cells,
            microns_per_pixel: self.tissue.microns_per_pixel,
        }
    }
}

/// A line with soft sides: 1 at 0, and 0 from a distance of 2.5 on.
fn ridge(distance: f32) -> f32 {
    if distance < 2.5 {
        (-distance * distance).exp()
    } else {
        0.0
    }
}

/// Renumbers the nuclei that are visible to 1, 2, … in the order in which they were placed and
/// measures them.
fn number_visible(instances: &mut Array2<u16>, placed: &[PlacedCell]) -> Vec<Cell> {
    struct Sums {
        area: usize,
        row: f64,
        column: f64,
        bounds: (usize, usize, usize, usize),
    }
    let mut sums: Vec<Option<Sums>> = placed.iter().map(|_| None).collect();
    for ((y, x), &id) in instances.indexed_iter() {
        if id == 0 {
            continue;
        }
        let sum = sums[usize::from(id) - 1].get_or_insert(Sums {
            area: 0,
            row: 0.0,
            column: 0.0,
            bounds: (y, x, y + 1, x + 1),
        });
        sum.area += 1;
        sum.row += y as f64;
        sum.column += x as f64;
        let (top, left, bottom, right) = sum.bounds;
        sum.bounds = (top.min(y), left.min(x), bottom.max(y + 1), right.max(x + 1));
    }
    let mut new_ids = vec![0u16; placed.len() + 1];
    let mut cells = Vec::new();
    for (index, (sum, cell)) in sums.into_iter().zip(placed).enumerate() {
        let Some(sum) = sum else { continue };
        let id = cells.len() as u16 + 1;
        new_ids[index + 1] = id;
        cells.push(Cell {
            id,
            kind: cell.kind,
            tissue: cell.tissue,
            centre: (
                (sum.row / sum.area as f64) as f32,
                (sum.column / sum.area as f64) as f32,
            ),
            area: sum.area,
            bounding_box: sum.bounds,
            infiltrating: cell.infiltrating,
        });
    }
    instances.mapv_inplace(|id| new_ids[usize::from(id)]);
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_settings_are_named() {
        let message = |tissue: Tissue| tissue.check().unwrap_err().to_string();
        assert_eq!(Tissue::default().check(), Ok(()));
        assert_eq!(
            message(Tissue {
                fat: f32::NAN,
                ..Tissue::default()
            }),
            "fat is NaN, but must lie between 0 and 1"
        );
        assert_eq!(
            message(Tissue {
                size: (0, 8),
                ..Tissue::default()
            }),
            "the picture is 0 x 8 pixels, but must have at least one"
        );
        assert_eq!(
            message(Tissue {
                size: (8000, 8000),
                ..Tissue::default()
            }),
            "the picture shows 16.0 mm² of tissue, but 16-bit masks can number the nuclei of at \
             most 2 mm²; make several smaller pictures"
        );
    }
}
