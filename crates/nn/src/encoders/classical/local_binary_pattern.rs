//! Local binary patterns, rotation invariant and uniform.
//!
//! Ojala, Pietikäinen and Mäenpää, *Multiresolution gray-scale and rotation invariant texture
//! classification with local binary patterns*, IEEE PAMI 24 (2002) 971–987,
//! doi 10.1109/TPAMI.2002.1017623; the operator LBP^{riu2}_{P,R}.
//!
//! ```text
//! s_p  = [value at R (cos 2πp/P, −sin 2πp/P) from the centre ≥ centre]     p = 0 … P−1
//! code = Σ s_p   if s changes at most twice around the circle,  P + 1 otherwise
//! ```
//!
//! Values between pixels are bilinear in whole numbers (coordinates in 1/2048 pixel), so that ties
//! in flat areas are decided alike in every direction and the histogram of an image does not change
//! at all when the image is turned by 90° or mirrored. Pixels nearer than R to the border have no
//! full circle and are left out.

use pulp::{Arch, Simd, WithSimd};

use super::plane::Plane;

/// Coordinates are multiples of 1/2048 pixel: 255 · 2048² still fits 31 bits.
const UNIT: i32 = 2048;

/// The relative frequencies of the `points + 2` codes; all 0 when no pixel has a full circle.
/// `points` is a multiple of 4, at most 32.
pub fn histogram(image: &Plane<u8>, points: u32, radius: usize) -> Vec<f32> {
    let pixels = image.map(|&value| i32::from(value));
    let counts = Arch::new().dispatch(Counts {
        pixels: &pixels,
        points,
        radius,
    });
    let total = counts.iter().sum::<u32>().max(1) as f32;
    counts
        .into_iter()
        .map(|count| count as f32 / total)
        .collect()
}

/// Counts the codes; a `WithSimd` so that the loops are compiled for the machine's vectors.
struct Counts<'a> {
    pixels: &'a Plane<i32>,
    points: u32,
    radius: usize,
}

impl WithSimd for Counts<'_> {
    type Output = Vec<u32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<u32> {
        let (pixels, points, radius) = (self.pixels, self.points, self.radius);
        let mut counts = vec![0u32; points as usize + 2];
        if pixels.width <= 2 * radius {
            return counts;
        }
        let circle = circle(points, radius);
        let mut codes = vec![0u32; pixels.width - 2 * radius];
        for y in radius..pixels.height.saturating_sub(radius) {
            codes.fill(0);
            for (bit, &offset) in circle.iter().enumerate() {
                mark(pixels, y, radius, offset, bit as u32, &mut codes);
            }
            for &code in &codes {
                counts[pattern(code, points) as usize] += 1;
            }
        }
        counts
    }
}

/// Offsets (right, down) in units of 1/2048 pixel. The first quadrant is computed, the others are
/// its turns, so that the circle is exactly symmetric.
fn circle(points: u32, radius: usize) -> Vec<(i32, i32)> {
    let quarter = points / 4;
    let scale = radius as f64 * f64::from(UNIT);
    let first = |p: u32| {
        let angle = std::f64::consts::TAU * f64::from(p) / f64::from(points);
        (
            (scale * angle.cos()).round() as i32,
            (-scale * angle.sin()).round() as i32,
        )
    };
    (0..points)
        .map(|p| {
            let (x, y) = first(p % quarter);
            match p / quarter {
                0 => (x, y),
                1 => (y, -x),
                2 => (-x, -y),
                _ => (-y, x),
            }
        })
        .collect()
}

/// Sets a bit in the codes of a row's pixels where the neighbour is not below the centre.
#[inline(always)]
fn mark(
    pixels: &Plane<i32>,
    y: usize,
    radius: usize,
    (dx, dy): (i32, i32),
    bit: u32,
    codes: &mut [u32],
) {
    let length = codes.len();
    let (right, down) = (dx.rem_euclid(UNIT), dy.rem_euclid(UNIT));
    let column = (radius as i32 + dx.div_euclid(UNIT)) as usize;
    let row = (y as i32 + dy.div_euclid(UNIT)) as usize;
    // Whole offsets need no second row or column, which may lie outside the image.
    let (next_column, next_row) = (column + usize::from(right > 0), row + usize::from(down > 0));
    let (top, bottom) = (pixels.row(row), pixels.row(next_row));
    let centres = &pixels.row(y)[radius..][..length];
    let (a, b) = (&top[column..][..length], &top[next_column..][..length]);
    let (c, d) = (
        &bottom[column..][..length],
        &bottom[next_column..][..length],
    );
    let weights = [
        (UNIT - right) * (UNIT - down),
        right * (UNIT - down),
        (UNIT - right) * down,
        right * down,
    ];
    for i in 0..length {
        let value = a[i] * weights[0] + b[i] * weights[1] + c[i] * weights[2] + d[i] * weights[3];
        codes[i] |= u32::from(value >= centres[i] * (UNIT * UNIT)) << bit;
    }
}

#[inline(always)]
fn pattern(code: u32, points: u32) -> u32 {
    let next = code >> 1 | (code & 1) << (points - 1);
    if (code ^ next).count_ones() <= 2 {
        code.count_ones()
    } else {
        points + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_image_has_all_bits_set() {
        let image = Plane {
            width: 9,
            height: 8,
            values: vec![7u8; 72],
        };
        for (points, radius) in [(8, 1), (16, 2), (24, 3)] {
            let histogram = histogram(&image, points, radius);
            assert_eq!(histogram.len(), points as usize + 2);
            assert_eq!(histogram[points as usize], 1.0);
        }
    }

    #[test]
    fn an_image_without_full_circles_is_all_zero() {
        let image = Plane {
            width: 2,
            height: 40,
            values: vec![7u8; 80],
        };
        assert_eq!(histogram(&image, 8, 1), vec![0.0; 10]);
    }

    #[test]
    fn patterns_count_bits_or_are_non_uniform() {
        assert_eq!(pattern(0b0000_0000, 8), 0);
        assert_eq!(pattern(0b1000_0011, 8), 3);
        assert_eq!(pattern(0b1111_1111, 8), 8);
        assert_eq!(pattern(0b0101_0000, 8), 9);
    }
}
