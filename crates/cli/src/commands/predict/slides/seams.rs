//! Objects that two tiles saw, once.

use std::collections::BTreeMap;

use cleanslide_data::{Point, Polygon, Rectangle};
use cleanslide_image::contour::polygon_mask;
use cleanslide_slide::TilePlan;
use ndarray::Zip;

use super::objects::Found;
use crate::failure::Result;

/// When two objects of different tiles are one.
#[derive(Debug, Clone, Copy)]
pub enum Whole {
    /// Half of the smaller one lies in the other.
    Masks,
    /// Their boxes overlap by more (intersection over union).
    Boxes(f64),
}

/// Of masks of one object, half of the smaller lies in the other.
const SHARED: f64 = 0.5;

/// Which objects of rows of tiles stay, row by row. Of those of several tiles that are one, the one stays whose middle lies deepest
/// in its tile, as far as possible from where the tile was cut off; one that goes takes no other with it.
pub struct Seams<'a, R> {
    rows: &'a [u64],
    read: R,
    plan: &'a TilePlan,
    whole: Whole,
    next: usize,
    /// The next row and two on either side, as far as they have been read.
    window: BTreeMap<u64, Vec<Found>>,
}

/// Rows on either side of one that have a say in what stays of it: those beside it, and those beside them.
const NEAR: u64 = 2;

/// The objects at seams of the rows in the window.
struct Near<'a> {
    objects: Vec<(&'a Found, Rectangle)>,
    /// Their places by their tiles.
    of_tiles: BTreeMap<u64, Vec<usize>>,
    /// Whether each stays, as far as it was asked.
    stays: Vec<Option<bool>>,
}

impl<'a, R: Fn(u64) -> Result<Vec<Found>>> Seams<'a, R> {
    /// Of rows with tiles, in their order, which are read one after the other.
    pub fn new(rows: &'a [u64], read: R, plan: &'a TilePlan, whole: Whole) -> Self {
        Self {
            rows,
            read,
            plan,
            whole,
            next: 0,
            window: BTreeMap::new(),
        }
    }

    fn row(&mut self, row: u64) -> Result<Vec<bool>> {
        self.window.retain(|&known, _| known + NEAR >= row);
        for near in row..=row + NEAR {
            if self.rows.binary_search(&near).is_ok() && !self.window.contains_key(&near) {
                self.window.insert(near, (self.read)(near)?);
            }
        }
        let mut near = Near {
            objects: Vec::new(),
            of_tiles: BTreeMap::new(),
            stays: Vec::new(),
        };
        // What becomes of those of this row: it is known, or asked by their places among those at seams.
        let mut of_row = Vec::new();
        for (&number, objects) in &self.window {
            for object in objects {
                let bounds = object.polygon().bounds();
                let at_seam = bounds.filter(|bounds| self.at_seam(object, bounds));
                if number == row {
                    of_row.push(match at_seam {
                        Some(_) => Err(near.objects.len()),
                        // What has no extent is no object.
                        None => Ok(bounds.is_some()),
                    });
                }
                if let Some(bounds) = at_seam {
                    let of_tile = near.of_tiles.entry(object.tile).or_default();
                    of_tile.push(near.objects.len());
                    near.objects.push((object, bounds));
                }
            }
        }
        near.stays = vec![None; near.objects.len()];
        let of_row = of_row.into_iter();
        Ok(of_row
            .map(|known| known.unwrap_or_else(|place| self.stays(place, &mut near)))
            .collect())
    }

    /// Whether an object stays: no other that is one with it lies deeper, or those that do go themselves.
    fn stays(&self, place: usize, near: &mut Near) -> bool {
        if let Some(known) = near.stays[place] {
            return known;
        }
        let (object, _) = near.objects[place];
        let beside: Vec<usize> = self
            .beside(object.tile)
            .filter_map(|tile| near.of_tiles.get(&tile))
            .flatten()
            .copied()
            .collect();
        let goes = beside.into_iter().any(|other| {
            let [this, that] = [place, other].map(|of| (near.objects[of].0, near.objects[of].1));
            deeper(that.0, this.0)
                && self.is_one((this.0, &this.1), (that.0, &that.1))
                && self.stays(other, near)
        });
        near.stays[place] = Some(!goes);
        !goes
    }

    /// Whether another tile may have seen an object too.
    fn at_seam(&self, object: &Found, bounds: &Rectangle) -> bool {
        let size = bounds.width().max(bounds.height());
        object.depth <= 2.0 * f64::from(self.plan.margin) + size / self.plan.downsample
    }

    /// The tiles around one.
    fn beside(&self, tile: u64) -> impl Iterator<Item = u64> {
        let columns = self.plan.columns as i64;
        let (column, row) = (tile as i64 % columns, tile as i64 / columns);
        let around = (-1..=1).flat_map(|down| (-1..=1).map(move |across| [across, down]));
        around.filter_map(move |[across, down]| {
            let [column, row] = [column + across, row + down];
            let is_other = [across, down] != [0, 0];
            (is_other && (0..columns).contains(&column) && row >= 0)
                .then_some((row * columns + column) as u64)
        })
    }

    fn is_one(&self, one: (&Found, &Rectangle), other: (&Found, &Rectangle)) -> bool {
        match self.whole {
            Whole::Boxes(most) => one.1.iou(other.1) > most,
            Whole::Masks => {
                one.1.intersection(other.1).is_some() && self.shared(one, other) >= SHARED
            }
        }
    }

    /// The share of the smaller of two outlines that lies in the other, by pixels of the network.
    fn shared(&self, one: (&Found, &Rectangle), other: (&Found, &Rectangle)) -> f64 {
        let scale = self.plan.downsample;
        let corner = [one.1.left.min(other.1.left), one.1.top.min(other.1.top)];
        let size = |end: f64, start: f64| ((end - start) / scale).ceil() as usize;
        let size = (
            size(one.1.bottom.max(other.1.bottom), corner[1]),
            size(one.1.right.max(other.1.right), corner[0]),
        );
        let masks = [one.0, other.0].map(|object| {
            let placed = |ring: &[Point]| -> Vec<Point> {
                let ring = ring.iter();
                ring.map(|at| Point {
                    x: (at.x - corner[0]) / scale,
                    y: (at.y - corner[1]) / scale,
                })
                .collect()
            };
            let Polygon { outline, holes } = object.polygon();
            let polygon = Polygon {
                outline: placed(&outline),
                holes: holes.iter().map(|hole| placed(hole)).collect(),
            };
            polygon_mask(size, &polygon)
        });
        let (mut both, mut areas) = (0u64, [0u64; 2]);
        Zip::from(&masks[0])
            .and(&masks[1])
            .for_each(|&one, &other| {
                both += u64::from(one && other);
                areas[0] += u64::from(one);
                areas[1] += u64::from(other);
            });
        both as f64 / areas[0].min(areas[1]).max(1) as f64
    }
}

/// Whether the first lies deeper in its tile; of equal ones the one of the first tile.
fn deeper(one: &Found, other: &Found) -> bool {
    match one.depth.total_cmp(&other.depth) {
        std::cmp::Ordering::Equal => one.tile < other.tile,
        order => order.is_gt(),
    }
}

impl<R: Fn(u64) -> Result<Vec<Found>>> Iterator for Seams<'_, R> {
    /// Which of the objects of a row stay.
    type Item = Result<Vec<bool>>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = *self.rows.get(self.next)?;
        self.next += 1;
        Some(self.row(row))
    }
}

#[cfg(test)]
mod tests {
    use cleanslide_slide::{OpenOptions, Slide, TileSettings};
    use image::{Rgb, RgbImage};

    use super::*;

    /// Tiles of 60 pixels, of which neighbours share 20, on a picture of 200 x 200: four in a row, 40 apart.
    fn plan() -> TilePlan {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("white.png");
        RgbImage::from_pixel(200, 200, Rgb([255; 3]))
            .save(&path)
            .unwrap();
        let options = OpenOptions {
            microns_per_pixel: Some(1.0),
            ..OpenOptions::default()
        };
        let settings = TileSettings {
            microns_per_pixel: Some(1.0),
            side: 60,
            margin: 10,
        };
        TilePlan::new(&Slide::open(&path, &options).unwrap(), &settings).unwrap()
    }

    /// A square as a tile saw it.
    fn square(plan: &TilePlan, tile: u64, [left, top]: [f64; 2], side: f64) -> Found {
        let (right, bottom) = (left + side, top + side);
        let middle = [left + side / 2.0, top + side / 2.0];
        let place = plan.tile(tile);
        let depths =
            [middle[0] - place.left, middle[1] - place.top].map(|at| (at - 10.0).min(50.0 - at));
        Found {
            tile,
            class: 0,
            score: 0.9,
            middle,
            depth: depths[0].min(depths[1]),
            area: side * side,
            rings: vec![vec![
                [left, top],
                [right, top],
                [right, bottom],
                [left, bottom],
            ]],
        }
    }

    fn kept(plan: &TilePlan, whole: Whole, found: Vec<Found>) -> Vec<(u64, [f64; 2])> {
        let row = |object: &Found| object.tile / plan.columns;
        let mut rows: Vec<u64> = found.iter().map(row).collect();
        rows.dedup();
        let of_row = |number| -> Vec<Found> {
            let of_row = found.iter().filter(|of| row(of) == number);
            of_row.cloned().collect()
        };
        let seams = Seams::new(&rows, |row| Ok(of_row(row)), plan, whole);
        let kept = rows.iter().zip(seams).flat_map(|(row, stays)| {
            let of_row = of_row(*row).into_iter().zip(stays.unwrap());
            of_row.filter(|(_, stays)| *stays).map(|(of, _)| of)
        });
        kept.map(|of| (of.tile, of.middle)).collect()
    }

    #[test]
    fn what_two_tiles_saw_stays_once_and_what_one_saw_stays() {
        let plan = plan();
        assert_eq!((plan.columns, plan.rows), (5, 5));
        let of = |tile, place| square(&plan, tile, place, 10.0);
        // At the seam between the first two tiles, whose middles differ by a pixel, and two beside each other.
        let found = vec![
            of(0, [34.0, 10.0]),
            of(0, [36.0, 25.0]),
            of(1, [35.5, 10.0]),
            of(1, [46.5, 25.0]),
        ];
        let all = kept(&plan, Whole::Masks, found);
        assert_eq!(
            all,
            [(0, [39.0, 15.0]), (0, [41.0, 30.0]), (1, [51.5, 30.0])]
        );
        // At a corner four tiles see it; the one that it lies in stays, in whatever row.
        let corner = [(0, 35.0), (1, 35.5), (5, 35.0), (6, 36.5)];
        let found = corner.map(|(tile, at)| of(tile, [at, at]));
        assert_eq!(
            kept(&plan, Whole::Masks, found.to_vec()),
            [(6, [41.5, 41.5])]
        );
    }

    #[test]
    fn what_goes_takes_nothing_with_it() {
        let plan = plan();
        // The first tile sees two nuclei beside each other, the second both as one, less deep than the first of them.
        let mut left = square(&plan, 0, [35.0, 10.0], 8.0);
        let mut right = square(&plan, 0, [43.5, 10.0], 8.0);
        let mut both = square(&plan, 1, [35.0, 10.0], 17.0);
        (left.depth, both.depth, right.depth) = (5.0, 1.0, -3.0);
        let middles = [left.middle, right.middle];
        let all = kept(&plan, Whole::Masks, vec![left, right, both]);
        assert_eq!(all, middles.map(|middle| (0, middle)));
    }

    #[test]
    fn masks_are_one_where_the_smaller_lies_in_the_other_and_boxes_where_they_are_nearly_the_same()
    {
        let plan = plan();
        let found = || {
            vec![
                square(&plan, 0, [30.0, 10.0], 6.0),
                square(&plan, 1, [31.0, 8.0], 18.0),
            ]
        };
        // The large one lies as deep; the first tile counts.
        assert_eq!(kept(&plan, Whole::Masks, found()).len(), 1);
        assert_eq!(kept(&plan, Whole::Boxes(0.5), found()).len(), 2);
    }
}
