//! How densely cells lie in tissue, and where they form foci.
//!
//! Foci are clusters by DBSCAN (Ester, Kriegel, Sander and Xu, KDD 1996): a cell with at least so many cells within a
//! distance, itself counted, is in a focus, and so are all cells within that distance of it; foci that share such a cell
//! are one. All lengths are between the middles of cells.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use cleanslide_image::region::distance;
use ndarray::{Array2, ArrayView2};

use crate::error::{Error, Undefined};
use crate::weights::Weights;

/// What a focus is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FocusSettings {
    /// How far apart cells of a focus lie at most, in microns. Default 50.
    pub within: f64,
    /// How many cells there are within that distance of one of them at least, itself counted. Default 10.
    pub least: usize,
}

impl Default for FocusSettings {
    fn default() -> Self {
        Self {
            within: 50.0,
            least: 10,
        }
    }
}

/// Cells in an image, or in several together.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Infiltration {
    /// Tissue, in square millimetres.
    pub tissue: f64,
    /// Cells in it.
    pub cells: f64,
    /// Foci.
    pub foci: f64,
    /// Cells in foci.
    pub in_foci: f64,
    /// Tissue within half of the distance that links cells of a focus to one of its cells, in square millimetres: where
    /// cells are linked, their discs touch.
    pub tissue_in_foci: f64,
}

impl AddAssign for Infiltration {
    fn add_assign(&mut self, other: Self) {
        self.add(&other, 1.0);
    }
}

impl Infiltration {
    fn add(&mut self, other: &Self, times: f64) {
        self.tissue += times * other.tissue;
        self.cells += times * other.cells;
        self.foci += times * other.foci;
        self.in_foci += times * other.in_foci;
        self.tissue_in_foci += times * other.tissue_in_foci;
    }

    /// Several images together.
    ///
    /// # Errors
    /// Weights of another number of images.
    pub fn pool(images: &[Self], weights: Weights<'_>) -> Result<Self, Error> {
        weights.check(images.len())?;
        let mut sum = Self::default();
        for (index, image) in images.iter().enumerate() {
            sum.add(image, weights.of(index));
        }
        Ok(sum)
    }

    /// Cells per square millimetre of tissue.
    ///
    /// # Errors
    /// No tissue.
    pub fn density(&self) -> Result<f64, Error> {
        self.per_tissue(self.cells)
    }

    /// Foci per square millimetre of tissue.
    ///
    /// # Errors
    /// No tissue.
    pub fn foci_density(&self) -> Result<f64, Error> {
        self.per_tissue(self.foci)
    }

    /// The share of the tissue that is in foci.
    ///
    /// # Errors
    /// No tissue.
    pub fn share_of_tissue(&self) -> Result<f64, Error> {
        self.per_tissue(self.tissue_in_foci)
    }

    /// The share of the cells that is in foci.
    ///
    /// # Errors
    /// No cells.
    pub fn share_of_cells(&self) -> Result<f64, Error> {
        if self.cells > 0.0 {
            return Ok(self.in_foci / self.cells);
        }
        Err(Undefined::NoCells.into())
    }

    fn per_tissue(&self, amount: f64) -> Result<f64, Error> {
        if self.tissue > 0.0 {
            return Ok(amount / self.tissue);
        }
        Err(Undefined::NoTissue.into())
    }
}

/// The cells of one image: their infiltration, the focus of each, and which pixels are in foci.
#[derive(Debug, Clone, PartialEq)]
pub struct Foci {
    /// The figures.
    pub infiltration: Infiltration,
    /// The focus of each cell, from 0; `None` of those that are in none.
    pub of_cells: Vec<Option<usize>>,
    /// The pixels in foci, tissue or not, `[height, width]`.
    pub region: Array2<bool>,
}

impl Foci {
    /// By the middles of cells, row and column in pixels (the middle of the first pixel is at 0.5), and the pixels that are
    /// tissue, `[height, width]`, of so many microns each. Cells count wherever they lie.
    pub fn of(
        cells: &[[f64; 2]],
        tissue: ArrayView2<'_, bool>,
        microns_per_pixel: f64,
        settings: FocusSettings,
    ) -> Self {
        let within = settings.within / microns_per_pixel;
        let of_cells = dbscan(cells, within, settings.least);
        let (height, width) = tissue.dim();
        let mut elsewhere = Array2::from_elem((height, width), true);
        for (cell, focus) in cells.iter().zip(&of_cells) {
            let place = cell.map(|at| at.floor().max(0.0) as usize);
            let inside = focus.is_some() && place[0] < height && place[1] < width;
            if inside {
                elsewhere[place] = false;
            }
        }
        let reach = (within / 2.0) as f32;
        let region = distance(elsewhere.view()).mapv(|distance| distance <= reach);
        let square_millimetre = (microns_per_pixel / 1000.0).powi(2);
        let pixels = |count: usize| count as f64 * square_millimetre;
        let both = tissue
            .iter()
            .zip(&region)
            .filter(|(tissue, region)| **tissue && **region);
        let infiltration = Infiltration {
            tissue: pixels(tissue.iter().filter(|tissue| **tissue).count()),
            cells: cells.len() as f64,
            foci: of_cells
                .iter()
                .flatten()
                .max()
                .map_or(0.0, |last| *last as f64 + 1.0),
            in_foci: of_cells.iter().flatten().count() as f64,
            tissue_in_foci: pixels(both.count()),
        };
        Self {
            infiltration,
            of_cells,
            region,
        }
    }
}

/// The cluster of each point, from 0 in the order of the first dense point of each; `None` of points that are in none. A
/// point is dense if there are `least` points within the distance `within` of it, itself counted. Points that are not
/// dense belong to the first cluster that has a dense point within that distance: the answers of
/// `sklearn.cluster.DBSCAN`.
pub fn dbscan(points: &[[f64; 2]], within: f64, least: usize) -> Vec<Option<usize>> {
    let grid = Grid::new(points, within);
    // Neighbours are found again where a cluster grows: lists of all of them may not fit into memory.
    let dense: Vec<bool> = (0..points.len())
        .map(|point| grid.near(point).len() >= least)
        .collect();
    let mut clusters = vec![None; points.len()];
    let mut count = 0;
    for first in 0..points.len() {
        if clusters[first].is_some() || !dense[first] {
            continue;
        }
        clusters[first] = Some(count);
        let mut waiting = vec![first];
        while let Some(point) = waiting.pop() {
            for other in grid.near(point) {
                if clusters[other].is_none() {
                    clusters[other] = Some(count);
                    if dense[other] {
                        waiting.push(other);
                    }
                }
            }
        }
        count += 1;
    }
    clusters
}

/// Points in squares with sides of a distance, so that points within it are in neighbouring squares.
struct Grid<'a> {
    points: &'a [[f64; 2]],
    within: f64,
    squares: BTreeMap<[i64; 2], Vec<usize>>,
}

impl<'a> Grid<'a> {
    fn new(points: &'a [[f64; 2]], within: f64) -> Self {
        let mut squares: BTreeMap<[i64; 2], Vec<usize>> = BTreeMap::new();
        for (index, point) in points.iter().enumerate() {
            let square = point.map(|at| (at / within).floor() as i64);
            squares.entry(square).or_default().push(index);
        }
        Self {
            points,
            within,
            squares,
        }
    }

    /// All points within the distance of one, itself among them, ascending.
    fn near(&self, point: usize) -> Vec<usize> {
        let [y, x] = self.points[point];
        let [row, column] = self.points[point].map(|at| (at / self.within).floor() as i64);
        let mut near = Vec::new();
        for square in (row - 1..=row + 1)
            .flat_map(|row| (column - 1..=column + 1).map(move |column| [row, column]))
        {
            let there = self.squares.get(&square).into_iter().flatten();
            near.extend(there.filter(|&&other| {
                let [other_y, other_x] = self.points[other];
                (other_y - y).hypot(other_x - x) <= self.within
            }));
        }
        near.sort_unstable();
        near
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(serde::Deserialize)]
    struct Golden {
        points: Vec<[f64; 2]>,
        within: f64,
        least: usize,
        clusters: Vec<i64>,
    }

    #[test]
    fn clusters_are_those_of_scikit_learn() {
        let goldens = include_str!("../tests/goldens/dbscan.json");
        let goldens: Vec<Golden> = serde_json::from_str(goldens).unwrap();
        for golden in goldens {
            let ours = dbscan(&golden.points, golden.within, golden.least);
            let ours: Vec<i64> = ours
                .iter()
                .map(|of| of.map_or(-1, |of| of as i64))
                .collect();
            assert_eq!(ours, golden.clusters);
        }
    }

    #[test]
    fn figures_are_those_worked_out_by_hand() {
        // 2 µm a pixel: three cells 20 µm apart in a row are a focus of at least three within 20 µm; one is alone.
        let cells = [[50.5, 20.5], [50.5, 30.5], [50.5, 40.5], [50.5, 90.5]];
        let mut tissue = Array2::from_elem((100, 100), true);
        tissue.slice_mut(ndarray::s![..50, ..]).fill(false);
        let settings = FocusSettings {
            within: 20.0,
            least: 3,
        };
        let foci = Foci::of(&cells, tissue.view(), 2.0, settings);
        assert_eq!(foci.of_cells, [Some(0), Some(0), Some(0), None]);
        let found = foci.infiltration;
        assert_eq!([found.cells, found.foci, found.in_foci], [4.0, 1.0, 3.0]);
        // 5,000 pixels of 4 µm² each.
        assert!((found.tissue - 0.02).abs() < 1e-12);
        assert!((found.density().unwrap() - 200.0).abs() < 1e-9);
        assert!((found.foci_density().unwrap() - 50.0).abs() < 1e-9);
        assert_eq!(found.share_of_cells().unwrap(), 0.75);
        // Discs of 5 pixels around the three: 81 pixels each, which share one column's middle pixel between neighbours; the
        // lower halves, with the row of the middles, are tissue.
        assert_eq!(
            foci.region.iter().filter(|inside| **inside).count(),
            3 * 81 - 2
        );
        let lower = 3 * (81 + 11) / 2 - 2;
        assert!((found.tissue_in_foci - lower as f64 * 4e-6).abs() < 1e-12);
        assert!(Infiltration::default().density().is_err());
        assert!(Infiltration::default().share_of_cells().is_err());
    }

    #[test]
    fn images_are_pooled_by_their_weights() {
        let one = Infiltration {
            tissue: 1.0,
            cells: 10.0,
            ..Infiltration::default()
        };
        let two = Infiltration {
            tissue: 3.0,
            cells: 0.0,
            ..Infiltration::default()
        };
        let pooled = |weights| Infiltration::pool(&[one, two], weights).unwrap();
        assert_eq!(pooled(Weights::Equal).density().unwrap(), 2.5);
        assert_eq!(pooled(Weights::Counts(&[3, 1])).density().unwrap(), 5.0);
    }

    proptest! {
        #[test]
        fn the_grid_finds_what_a_look_at_all_pairs_finds(
            points in prop::collection::vec([-9.0..9.0f64, -9.0..9.0f64], 0..60),
            within in 0.3..4.0f64,
        ) {
            let grid = Grid::new(&points, within);
            for (index, [y, x]) in points.iter().enumerate() {
                let near: Vec<usize> = (0..points.len())
                    .filter(|&other| (points[other][0] - y).hypot(points[other][1] - x) <= within)
                    .collect();
                prop_assert_eq!(grid.near(index), near);
            }
        }
    }
}
