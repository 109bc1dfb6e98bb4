//! Affine maps of images, boxes and points.

use cleanslide_data::{Point, Rectangle};
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, Zip};

use super::map_corners;
use crate::border::Border;
use crate::error::{Error, Result, check};
use crate::sample::Sample;

/// An affine map of points: x' = a x + b y + c, y' = d x + e y + f, in pixel corner coordinates.
///
/// OpenCV counts from the centre of the first pixel: [`Affine::from_pixel_centres`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// `[[a, b, c], [d, e, f]]`.
    pub matrix: [[f64; 3]; 2],
}

impl Affine {
    /// Leaves every point where it is.
    pub const IDENTITY: Self = Self {
        matrix: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
    };

    /// Moves right by x and down by y.
    pub fn translation(x: f64, y: f64) -> Self {
        Self {
            matrix: [[1.0, 0.0, x], [0.0, 1.0, y]],
        }
    }

    /// Multiplies x and y by factors; the upper left corner stays.
    pub fn scaling(x: f64, y: f64) -> Self {
        Self {
            matrix: [[x, 0.0, 0.0], [0.0, y, 0.0]],
        }
    }

    /// Turns counterclockwise as seen, by an angle in degrees, around a point.
    pub fn rotation(degrees: f64, centre: Point) -> Self {
        let (sine, cosine) = degrees.to_radians().sin_cos();
        let turn = Self {
            matrix: [[cosine, sine, 0.0], [-sine, cosine, 0.0]],
        };
        Self::translation(-centre.x, -centre.y)
            .then(turn)
            .then(Self::translation(centre.x, centre.y))
    }

    /// The map whose matrix refers to pixel centres, as that of `cv2.warpAffine` or
    /// `cv2.getRotationMatrix2D` does.
    pub fn from_pixel_centres(matrix: [[f64; 3]; 2]) -> Self {
        Self::translation(-0.5, -0.5)
            .then(Self { matrix })
            .then(Self::translation(0.5, 0.5))
    }

    /// The matrix that refers to pixel centres, as `cv2.warpAffine` takes it.
    pub fn to_pixel_centres(self) -> [[f64; 3]; 2] {
        Self::translation(0.5, 0.5)
            .then(self)
            .then(Self::translation(-0.5, -0.5))
            .matrix
    }

    /// This map, then another.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        let [[a, b, c], [d, e, f]] = self.matrix;
        let matrix = next
            .matrix
            .map(|[p, q, r]| [p * a + q * d, p * b + q * e, p * c + q * f + r]);
        Self { matrix }
    }

    /// What undoes it.
    ///
    /// # Errors
    /// A map that squeezes the plane into a line or a point, or is not finite.
    pub fn inverse(self) -> Result<Self> {
        let [[a, b, c], [d, e, f]] = self.matrix;
        let determinant = a * e - b * d;
        let inverse = Self {
            matrix: [
                [e, -b, b * f - c * e].map(|value| value / determinant),
                [-d, a, c * d - a * f].map(|value| value / determinant),
            ],
        };
        if inverse
            .matrix
            .iter()
            .flatten()
            .all(|value| value.is_finite())
        {
            return Ok(inverse);
        }
        Err(Error::Undefined(
            "the affine map has no inverse: it squeezes the image into a line".into(),
        ))
    }

    /// Where a point comes to lie.
    pub fn point(self, Point { x, y }: Point) -> Point {
        let [x, y] = self.matrix.map(|[a, b, c]| a * x + b * y + c);
        Point { x, y }
    }

    /// The smallest box around what becomes of a box.
    pub fn rectangle(self, rectangle: Rectangle) -> Rectangle {
        map_corners(rectangle, |point| self.point(point))
    }
}

/// How a value between pixel centres is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interpolation {
    /// The pixel in which the point lies; on an edge the one to the right or below.
    Nearest,
    /// The four nearest pixels, weighted linearly in both directions. The weights are exact; OpenCV
    /// up to version 4 rounds positions to 1/32 pixel.
    #[default]
    Bilinear,
}

/// A plane under an affine map: the point p of `image` comes to lie at `map` p of the result, which
/// is `[height, width]`, as with `cv2.warpAffine` (whose matrix refers to pixel centres).
///
/// `border` says what lies beyond `image`; integers are rounded by [`Sample::from_f32`]. Shrinking
/// does not average: blur first.
///
/// # Errors
/// An image without pixels, a map without inverse.
pub fn warp_affine<T: Sample>(
    image: ArrayView2<T>,
    map: Affine,
    size: (usize, usize),
    interpolation: Interpolation,
    border: Border,
) -> Result<Array2<T>> {
    let colour = image.insert_axis(Axis(2));
    let warped = warp_affine_colour(colour, map, size, interpolation, border)?;
    Ok(warped.index_axis_move(Axis(2), 0))
}

/// An image `[height, width, channels]` under an affine map; see [`warp_affine`].
///
/// # Errors
/// As [`warp_affine`]; an image without channels.
pub fn warp_affine_colour<T: Sample>(
    image: ArrayView3<T>,
    map: Affine,
    (height, width): (usize, usize),
    interpolation: Interpolation,
    border: Border,
) -> Result<Array3<T>> {
    let channels = image.len_of(Axis(2));
    check_pixels(image.len_of(Axis(0)), image.len_of(Axis(1)))?;
    check("channels", channels, channels > 0, "at least 1")?;
    let back = map.inverse()?;
    let mut result = Array3::from_elem((height, width, channels), T::default());
    Zip::indexed(result.axis_iter_mut(Axis(0))).par_for_each(|y, mut row| {
        for (x, mut pixel) in row.axis_iter_mut(Axis(0)).enumerate() {
            let at = back.point(Point::new(x as f64 + 0.5, y as f64 + 0.5));
            match interpolation {
                Interpolation::Nearest => {
                    let (x, y) = (whole(at.x), whole(at.y));
                    for (channel, value) in pixel.iter_mut().enumerate() {
                        *value = match place(image.view(), border, y, x) {
                            Some((y, x)) => image[[y, x, channel]],
                            None => outside(border),
                        };
                    }
                }
                Interpolation::Bilinear => {
                    let corners = Corners::new(image.view(), border, at);
                    for (channel, value) in pixel.iter_mut().enumerate() {
                        *value = corners.blend(image.view(), border, channel);
                    }
                }
            }
        }
    });
    Ok(result)
}

/// A mask or a picture of labels under an affine map, by [`Interpolation::Nearest`]; see
/// [`warp_affine`]. `outside` is what lies beyond the image: `false` or 0 as a rule.
///
/// # Errors
/// As [`warp_affine`].
pub fn warp_affine_labels<L: Copy + Send + Sync>(
    labels: ArrayView2<L>,
    map: Affine,
    size: (usize, usize),
    outside: L,
) -> Result<Array2<L>> {
    let (height, width) = labels.dim();
    check_pixels(height, width)?;
    let back = map.inverse()?;
    let mut result = Array2::from_elem(size, outside);
    Zip::indexed(result.rows_mut()).par_for_each(|y, mut row| {
        for (x, label) in row.iter_mut().enumerate() {
            let at = back.point(Point::new(x as f64 + 0.5, y as f64 + 0.5));
            let (x, y) = (whole(at.x), whole(at.y));
            if (0..height as isize).contains(&y) && (0..width as isize).contains(&x) {
                *label = labels[[y as usize, x as usize]];
            }
        }
    });
    Ok(result)
}

fn check_pixels(height: usize, width: usize) -> Result<()> {
    if height > 0 && width > 0 {
        return Ok(());
    }
    Err(Error::Empty {
        what: "image",
        height,
        width,
    })
}

/// The whole number below. Far beyond every image positions are cut off, so that the border's
/// folding cannot overflow.
fn whole(position: f64) -> isize {
    const FAR: f64 = 1e18;
    position.floor().clamp(-FAR, FAR) as isize
}

/// The pixel that stands for a position.
fn place<T>(image: ArrayView3<T>, border: Border, y: isize, x: isize) -> Option<(usize, usize)> {
    let y = border.index(y, image.len_of(Axis(0)))?;
    Some((y, border.index(x, image.len_of(Axis(1)))?))
}

/// The value beyond the image.
fn outside<T: Sample>(border: Border) -> T {
    match border {
        Border::Constant(value) => T::from_f32(value),
        _ => T::default(),
    }
}

/// The four pixels around a point, with their weights.
struct Corners {
    places: [Option<(usize, usize)>; 4],
    weights: [f64; 4],
}

impl Corners {
    fn new<T>(image: ArrayView3<T>, border: Border, Point { x, y }: Point) -> Self {
        let (left, top) = (whole(x - 0.5), whole(y - 0.5));
        let (right_share, low_share) = (x - 0.5 - left as f64, y - 0.5 - top as f64);
        let (left_share, top_share) = (1.0 - right_share, 1.0 - low_share);
        let at = |down, right| place(image.view(), border, top + down, left + right);
        Self {
            places: [at(0, 0), at(0, 1), at(1, 0), at(1, 1)],
            weights: [
                top_share * left_share,
                top_share * right_share,
                low_share * left_share,
                low_share * right_share,
            ],
        }
    }

    fn blend<T: Sample>(&self, image: ArrayView3<T>, border: Border, channel: usize) -> T {
        let beyond = match border {
            Border::Constant(value) => value,
            _ => 0.0,
        };
        let mut sum = 0.0;
        for (place, weight) in self.places.iter().zip(self.weights) {
            let value = place.map_or(beyond, |(y, x)| image[[y, x, channel]].to_f32());
            sum += weight * f64::from(value);
        }
        T::from_f32(sum as f32)
    }
}
