//! Where each pixel of a crop comes from.

use cleanslide_data::{Point, Rectangle};
use cleanslide_image::Border;
use cleanslide_image::region::Bounds;
use image::RgbImage;
use ndarray::ArrayView2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::AugmentSettings;

/// Steps by which the way back through a bend is found: it converges as long as images do not fold.
const INVERSE_STEPS: usize = 30;

/// A map from the pixels of a square crop to places in an image, pixel centres at whole numbers. What lies
/// outside of the image is its mirror image.
#[derive(Debug, Clone)]
pub struct Placement {
    size: usize,
    /// Row and column in the image of the middle of the crop.
    centre: [f32; 2],
    /// What one row, and one column, of the crop are in the image.
    axes: [[f32; 2]; 2],
    bend: Option<Bend>,
}

/// Displacements of a grid of control points, smoothed by uniform cubic B-splines: the shares that four points have in a place
/// have squares of which the sum is 151/315 on average in each direction, so places are displaced by 0.48 of what points are.
#[derive(Debug, Clone)]
struct Bend {
    spacing: f32,
    points: usize,
    displacements: Vec<[f32; 2]>,
}

impl Placement {
    /// A random crop of `size` × `size` pixels of an image of so many rows and columns, turned and bent as the
    /// settings say.
    ///
    /// # Panics
    /// When the crop or the image has no pixels.
    pub fn draw(
        settings: &AugmentSettings,
        image: [usize; 2],
        size: usize,
        rng: &mut ChaCha8Rng,
    ) -> Self {
        assert!(
            size > 0 && image.iter().all(|&length| length > 0),
            "a crop of {size} pixels of an image of {image:?}"
        );
        let mut axes = [[1.0, 0.0], [0.0, 1.0]];
        if settings.flip && rng.random_bool(0.5) {
            axes[1] = [0.0, -1.0];
        }
        if settings.turn {
            for _ in 0..rng.random_range(0..4) {
                axes = axes.map(|[row, column]| [column, -row]);
            }
        }
        if settings.rotate > 0.0 {
            let angle = rng.random_range(-settings.rotate..=settings.rotate);
            let (sine, cosine) = (angle.to_radians() as f32).sin_cos();
            axes = axes
                .map(|[row, column]| [cosine * row - sine * column, sine * row + cosine * column]);
        }
        let mut scale = 1.0;
        if settings.scale > 0.0 {
            let most = settings.scale.ln_1p();
            scale = rng.random_range(-most..=most).exp() as f32;
            axes = axes.map(|axis| axis.map(|step| step * scale));
        }
        let shown = (size as f32 * scale).round() as usize;
        let centre = image.map(|length| {
            // A whole number of pixels, so that nothing is interpolated that need not be; an image that
            // is smaller than the crop may lie anywhere in it.
            let slack = length.abs_diff(shown);
            let first = rng.random_range(0..=slack) as f32;
            let first = if length < shown { -first } else { first };
            first + (shown as f32 - 1.0) / 2.0
        });
        let bend = (settings.elastic > 0.0).then(|| Bend::draw(settings, size, rng));
        Self {
            size,
            centre,
            axes,
            bend,
        }
    }

    /// The place in the image, row and column, of a place in the crop.
    fn source(&self, place: [f32; 2]) -> [f32; 2] {
        let middle = (self.size as f32 - 1.0) / 2.0;
        let [row, column] = place.map(|step| step - middle);
        let bend = self.displacement(place);
        std::array::from_fn(|axis| {
            self.centre[axis] + row * self.axes[0][axis] + column * self.axes[1][axis] + bend[axis]
        })
    }

    fn displacement(&self, place: [f32; 2]) -> [f32; 2] {
        self.bend.as_ref().map_or([0.0; 2], |bend| bend.at(place))
    }

    /// Whether a place in the crop, row and column, shows the image itself and not a mirror image.
    pub fn shows(&self, place: [f32; 2], image: [usize; 2]) -> bool {
        let source = self.source(place);
        (0..2).all(|axis| (-0.5..=image[axis] as f32 - 0.5).contains(&source[axis]))
    }

    /// The crop of an image, `[size, size, 3]`, values as shares of white, bilinear.
    pub fn image(&self, image: &RgbImage) -> Vec<f32> {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let (pixels, _) = image.as_raw().as_chunks::<3>();
        let mut crop = Vec::with_capacity(self.size * self.size * 3);
        for [row, column] in self.places() {
            let ([above, below], down) = between(row, height);
            let ([left, right], across) = between(column, width);
            let pixel = |row: usize, column: usize| pixels[row * width + column].map(f32::from);
            let [one, two] = [pixel(above, left), pixel(above, right)];
            let [three, four] = [pixel(below, left), pixel(below, right)];
            for channel in 0..3 {
                let upper = one[channel] + (two[channel] - one[channel]) * across;
                let lower = three[channel] + (four[channel] - three[channel]) * across;
                crop.push((upper + (lower - upper) * down) / 255.0);
            }
        }
        crop
    }

    /// The smallest rectangle of pixels of an image that all pixels are in which its crop is made of.
    pub fn shown(&self, [height, width]: [usize; 2]) -> Bounds {
        let [mut rows, mut columns] = [(usize::MAX, 0); 2];
        let widen = |(least, most): &mut (usize, usize), [one, other]: [usize; 2]| {
            *least = one.min(other).min(*least);
            *most = one.max(other).max(*most);
        };
        for [row, column] in self.places() {
            widen(&mut rows, between(row, height).0);
            widen(&mut columns, between(column, width).0);
        }
        Bounds {
            left: columns.0,
            top: rows.0,
            right: columns.1 + 1,
            bottom: rows.1 + 1,
        }
    }

    /// The crop of a mask, `[size, size]`: the nearest pixels.
    pub fn mask<T: Copy>(&self, mask: ArrayView2<'_, T>) -> Vec<T> {
        let (height, width) = mask.dim();
        self.places()
            .map(|[row, column]| {
                let nearest = |at: f32, length| mirrored(at.round() as isize, length);
                mask[[nearest(row, height), nearest(column, width)]]
            })
            .collect()
    }

    fn places(&self) -> impl Iterator<Item = [f32; 2]> {
        let pixels = (0..self.size).flat_map(|row| (0..self.size).map(move |column| [row, column]));
        pixels.map(|place| self.source(place.map(|at| at as f32)))
    }

    /// Where a point of the image is in the crop. Coordinates are those of labels: the middle of the first
    /// pixel is (0.5, 0.5).
    pub fn point(&self, point: Point) -> Point {
        let target = [point.y as f32 - 0.5, point.x as f32 - 0.5];
        let [[a, b], [c, d]] = self.axes;
        let determinant = a * d - b * c;
        let middle = (self.size as f32 - 1.0) / 2.0;
        let mut place = [middle; 2];
        for _ in 0..INVERSE_STEPS {
            let bend = self.displacement(place);
            let [row, column] =
                std::array::from_fn(|axis| target[axis] - self.centre[axis] - bend[axis]);
            place = [
                middle + (row * d - column * c) / determinant,
                middle + (column * a - row * b) / determinant,
            ];
            if self.bend.is_none() {
                break;
            }
        }
        Point {
            x: f64::from(place[1]) + 0.5,
            y: f64::from(place[0]) + 0.5,
        }
    }

    /// The smallest upright rectangle in the crop around an object that fills a rectangle of the image, cut off at the
    /// edges of the crop; `None` if nothing of it is left.
    ///
    /// The object is taken for an ellipse, as cells nearly are. A rectangle around a turned rectangle would be larger
    /// than the turned object, by a tenth at ten degrees, and a network would learn boxes that are too large.
    pub fn rectangle(&self, rectangle: Rectangle) -> Option<Rectangle> {
        // Exactly the side at its end.
        let along =
            |from: f64, to: f64, at: f64| from * ((1.0 - at) / 2.0) + to * ((1.0 + at) / 2.0);
        let outline = (0..OUTLINE).map(|step| {
            let [across, down] = direction(step);
            let x = along(rectangle.left, rectangle.right, across);
            (x, along(rectangle.top, rectangle.bottom, down))
        });
        let side = self.size as f64;
        let points: Vec<Point> = outline.map(|(x, y)| self.point(Point { x, y })).collect();
        let least = |of: fn(&Point) -> f64| {
            points
                .iter()
                .map(of)
                .fold(f64::INFINITY, f64::min)
                .clamp(0.0, side)
        };
        let most = |of: fn(&Point) -> f64| {
            points
                .iter()
                .map(of)
                .fold(f64::NEG_INFINITY, f64::max)
                .clamp(0.0, side)
        };
        let found = Rectangle {
            left: least(|point| point.x),
            top: least(|point| point.y),
            right: most(|point| point.x),
            bottom: most(|point| point.y),
        };
        (found.right > found.left && found.bottom > found.top).then_some(found)
    }
}

impl Bend {
    fn draw(settings: &AugmentSettings, size: usize, rng: &mut ChaCha8Rng) -> Self {
        let spacing = settings.elastic_spacing as f32;
        // Four points have a share in each place.
        let points = (size as f32 / spacing).ceil() as usize + 4;
        let mut normal = || {
            let value: f32 = StandardNormal.sample(rng);
            value * settings.elastic as f32
        };
        Self {
            spacing,
            points,
            displacements: (0..points * points).map(|_| [normal(), normal()]).collect(),
        }
    }

    fn at(&self, place: [f32; 2]) -> [f32; 2] {
        let [(row, rows), (column, columns)] = place.map(|at| {
            let at = (at / self.spacing).clamp(0.0, (self.points - 4) as f32);
            let cell = (at as usize).min(self.points - 4);
            (cell, cubic(at - cell as f32))
        });
        let mut sum = [0.0; 2];
        for (i, down) in rows.iter().enumerate() {
            let from = (row + i) * self.points + column;
            for (across, displacement) in columns.iter().zip(&self.displacements[from..from + 4]) {
                for axis in 0..2 {
                    sum[axis] += down * across * displacement[axis];
                }
            }
        }
        sum
    }
}

/// The shares of four neighbours, for a place between the second (0) and the third (1).
fn cubic(t: f32) -> [f32; 4] {
    let rest = 1.0 - t;
    [
        rest * rest * rest / 6.0,
        (3.0 * t * t * t - 6.0 * t * t + 4.0) / 6.0,
        (3.0 * rest * rest * rest - 6.0 * rest * rest + 4.0) / 6.0,
        t * t * t / 6.0,
    ]
}

/// The pixels before and after a place, and the share of the latter.
fn between(place: f32, length: usize) -> ([usize; 2], f32) {
    let before = place.floor();
    let index = before as isize;
    let pixels = [mirrored(index, length), mirrored(index + 1, length)];
    (pixels, place - before)
}

/// The pixel that stands for a place inside or outside of an image, which is not empty.
pub(crate) fn mirrored(place: isize, length: usize) -> usize {
    // A mirror shows a pixel everywhere.
    Border::Mirror.index(place, length).unwrap_or_default()
}

/// Points on the outline of an object: the rectangle around them misses at most a thousandth of its sides.
const OUTLINE: usize = 64;

/// A direction, exact for those along the axes: a quarter turn of a box is a box to the last digit.
fn direction(step: usize) -> [f64; 2] {
    const QUARTER: usize = OUTLINE / 4;
    let angle = (step % QUARTER) as f64 / QUARTER as f64 * std::f64::consts::FRAC_PI_2;
    let (sine, cosine) = angle.sin_cos();
    match step / QUARTER {
        0 => [cosine, sine],
        1 => [-sine, cosine],
        2 => [-cosine, -sine],
        _ => [sine, -cosine],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use ndarray::Array2;
    use rand::SeedableRng;

    /// An image that says where each of its pixels is.
    fn map(height: u32, width: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([y as u8, x as u8, 0]))
    }

    fn rng(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    #[test]
    fn pixels_of_turned_crops_are_pixels_of_the_image() {
        let settings = AugmentSettings::default();
        let image = map(40, 50);
        for seed in 0..40 {
            let placement = Placement::draw(&settings, [40, 50], 16, &mut rng(seed));
            let crop = placement.image(&image);
            for (pixel, place) in crop.chunks_exact(3).zip(placement.places()) {
                let found = [pixel[0], pixel[1]].map(|value| value * 255.0);
                assert!((found[0] - place[0]).abs() < 1e-4 && (found[1] - place[1]).abs() < 1e-4);
                assert_eq!(place, place.map(f32::round));
                assert!((0.0..40.0).contains(&place[0]) && (0.0..50.0).contains(&place[1]));
            }
        }
    }

    #[test]
    fn a_crop_is_made_of_what_it_shows_and_nothing_else() {
        let settings = AugmentSettings {
            rotate: 30.0,
            scale: 0.3,
            elastic: 2.0,
            ..AugmentSettings::default()
        };
        let image = map(40, 90);
        let mut small = 0;
        for seed in 0..40 {
            let placement = Placement::draw(&settings, [40, 90], 16, &mut rng(seed));
            let shown = placement.shown([40, 90]);
            let without = |part: Bounds| {
                RgbImage::from_fn(90, 40, |x, y| {
                    let inside = (part.left..part.right).contains(&(x as usize))
                        && (part.top..part.bottom).contains(&(y as usize));
                    if inside {
                        *image.get_pixel(x, y)
                    } else {
                        Rgb([255; 3])
                    }
                })
            };
            assert_eq!(placement.image(&without(shown)), placement.image(&image));
            let narrower = Bounds {
                right: shown.right - 1,
                ..shown
            };
            assert_ne!(placement.image(&without(narrower)), placement.image(&image));
            let area = (shown.right - shown.left) * (shown.bottom - shown.top);
            small += usize::from(area < 40 * 90 / 2);
        }
        assert!(small > 30, "only {small} of 40 crops are small parts");
    }

    #[test]
    fn a_crop_larger_than_its_image_shows_mirror_images() {
        let settings = AugmentSettings::none();
        let mask = Array2::from_shape_fn((3, 5), |(row, column)| row * 5 + column);
        let placement = Placement::draw(&settings, [3, 5], 8, &mut rng(1));
        let crop = placement.mask(mask.view());
        let at = |row: usize, column: usize| crop[row * 8 + column];
        // Wherever the image lies, neighbours in the crop are neighbours in the image.
        for row in 0..8 {
            for column in 0..7 {
                let (one, two) = (at(row, column), at(row, column + 1));
                assert_eq!(one.abs_diff(two), 1, "{one} beside {two}");
            }
        }
        let mut seen: Vec<usize> = crop.clone();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 15, "the whole image is in the crop");
        assert_eq!(mirrored(-7, 1), 0);
    }

    #[test]
    fn points_and_rectangles_go_where_the_pixels_go() {
        let settings = AugmentSettings {
            rotate: 40.0,
            scale: 0.3,
            elastic: 3.0,
            ..AugmentSettings::default()
        };
        for seed in 0..20 {
            let placement = Placement::draw(&settings, [90, 100], 64, &mut rng(seed));
            for place in [[3.0, 60.0], [31.0, 12.5], [50.0, 50.0]] {
                let [row, column] = placement.source(place).map(f64::from);
                let found = placement.point(Point {
                    x: column + 0.5,
                    y: row + 0.5,
                });
                let error = (found.x - 0.5 - f64::from(place[1])).abs()
                    + (found.y - 0.5 - f64::from(place[0])).abs();
                assert!(error < 1e-2, "seed {seed}: off by {error}");
                let around = Rectangle {
                    left: column - 2.0,
                    top: row - 2.0,
                    right: column + 3.0,
                    bottom: row + 3.0,
                };
                let found = placement.rectangle(around).unwrap();
                let inside = |low: f64, at: f32, high: f64| {
                    low <= f64::from(at) + 0.5 && f64::from(at) + 0.5 <= high
                };
                assert!(inside(found.left, place[1], found.right));
                assert!(inside(found.top, place[0], found.bottom));
            }
        }
        let turned = Placement::draw(&AugmentSettings::default(), [90, 100], 64, &mut rng(3));
        let outside = Rectangle {
            left: -500.0,
            top: -500.0,
            right: -400.0,
            bottom: -450.0,
        };
        assert_eq!(turned.rectangle(outside), None);
    }

    #[test]
    fn boxes_of_turned_cells_do_not_grow() {
        let round = Rectangle {
            left: 40.0,
            top: 45.0,
            right: 60.0,
            bottom: 65.0,
        };
        for seed in 0..20 {
            let turned = AugmentSettings {
                rotate: 45.0,
                ..AugmentSettings::none()
            };
            let placement = Placement::draw(&turned, [100, 100], 100, &mut rng(seed));
            let found = placement.rectangle(round).unwrap();
            for side in [found.width(), found.height()] {
                assert!((side / 20.0 - 1.0).abs() < 2e-3, "seed {seed}: {side}");
            }
            let upright = AugmentSettings {
                flip: true,
                turn: true,
                ..AugmentSettings::none()
            };
            let placement = Placement::draw(&upright, [100, 100], 100, &mut rng(seed));
            let found = placement.rectangle(round).unwrap();
            let sides = [found.left, found.top, found.right, found.bottom];
            let whole = |side: &f64| side.fract() == 0.0;
            assert!(
                sides.iter().all(whole) && found.area() == 400.0,
                "{found:?}"
            );
        }
    }
}
