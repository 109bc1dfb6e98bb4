//! Images in which nothing is to be seen but what is labelled.

use cleanslide_data::Rectangle;
use cleanslide_image::Border;
use cleanslide_image::cloning::{Gradients, seamless_clone};
use cleanslide_image::filter::{GaussianKernel, gaussian_blur_colour};
use cleanslide_image::region::{Bounds, Neighbours, components_with_statistics};
use image::RgbImage;
use image::imageops::{crop_imm, replace};
use ndarray::{Array2, ArrayView2, s};

use crate::error::Result;
use crate::views::{array, rgb_image};

/// An image like another one, with the pixels of a mask `[height, width]` cloned into its blurred copy: of two
/// gradients the stronger one, so that no seam is to be seen (Pérez et al., doi 10.1145/882262.882269). `kernel` and
/// `sigma` are the side and the standard deviation of the blur, in pixels.
///
/// Only the part that is `shown` is made, for a crop is often a small part of its image: nothing is said of pixels
/// beside it.
pub(crate) fn synthetic(
    image: &RgbImage,
    mask: ArrayView2<'_, bool>,
    (kernel, sigma): (usize, Option<f64>),
    shown: Bounds,
) -> Result<RgbImage> {
    let sides = [image.height() as usize, image.width() as usize];
    let weights = GaussianKernel::of_size(kernel, sigma)?;
    let (parts, of_parts) = components_with_statistics(mask, Neighbours::Four)?;
    // Parts that do not touch are cloned independently of each other, and each as a whole.
    let mut made = vec![false; parts.count + 1];
    let mut window = shown;
    for part in of_parts.iter().filter(|part| meet(part.bounds, shown)) {
        made[part.label as usize] = true;
        window = around(window, part.bounds);
    }
    // Cloning depends on one pixel around a part, and the blur of that pixel on half a kernel.
    let window = wider(window, 1 + kernel / 2, sides);
    let (left, top) = (window.left, window.top);
    let [height, width] = [window.bottom - top, window.right - left];
    let piece = crop_imm(image, left as u32, top as u32, width as u32, height as u32).to_image();
    let pixels = array(&piece)?;
    let mask = parts
        .labels
        .slice(s![top..window.bottom, left..window.right])
        .mapv(|part| made[part as usize]);
    let blurred = gaussian_blur_colour(pixels.view(), &weights, &weights, Border::Mirror);
    let gradients = Gradients::Mixed;
    let cloned = seamless_clone(pixels.view(), blurred.view(), mask.view(), gradients)?;
    let mut result = image.clone();
    replace(&mut result, &rgb_image(cloned)?, left as i64, top as i64);
    Ok(result)
}

fn meet(one: Bounds, other: Bounds) -> bool {
    one.left < other.right
        && other.left < one.right
        && one.top < other.bottom
        && other.top < one.bottom
}

fn around(one: Bounds, other: Bounds) -> Bounds {
    Bounds {
        left: one.left.min(other.left),
        top: one.top.min(other.top),
        right: one.right.max(other.right),
        bottom: one.bottom.max(other.bottom),
    }
}

/// With so many pixels more on each side, as far as the image has them.
fn wider(bounds: Bounds, by: usize, [height, width]: [usize; 2]) -> Bounds {
    Bounds {
        left: bounds.left.saturating_sub(by),
        top: bounds.top.saturating_sub(by),
        right: (bounds.right + by).min(width),
        bottom: (bounds.bottom + by).min(height),
    }
}

/// The pixels whose middle is in one of some boxes, which may reach beyond the border.
pub(crate) fn inside(
    boxes: impl Iterator<Item = Rectangle>,
    [height, width]: [usize; 2],
) -> Array2<bool> {
    let mut mask = Array2::from_elem((height, width), false);
    for rectangle in boxes {
        let within = |from: f64, to: f64, length: usize| {
            // The middle of pixel i is at i + 0.5; a cast from f64 ends at 0 and at the largest number.
            let pixel = |side: f64| ((side - 0.5).ceil() as usize).min(length);
            let (from, to) = (pixel(from), pixel(to));
            from..to.max(from)
        };
        let rows = within(rectangle.top, rectangle.bottom, height);
        let columns = within(rectangle.left, rectangle.right, width);
        mask.slice_mut(s![rows, columns]).fill(true);
    }
    mask
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    /// Light, with dark squares of 8 pixels around some places.
    fn with_squares(places: &[[u32; 2]]) -> RgbImage {
        RgbImage::from_fn(48, 32, |x, y| {
            let inside = |[column, row]: &[u32; 2]| x.abs_diff(*column) < 4 && y.abs_diff(*row) < 4;
            let value = if places.iter().any(inside) { 40 } else { 220 };
            Rgb([value; 3])
        })
    }

    fn box_around([column, row]: [f64; 2]) -> Rectangle {
        Rectangle::new(column - 6.0, row - 6.0, column + 6.0, row + 6.0).unwrap()
    }

    fn contrast(image: &RgbImage, [column, row]: [u32; 2]) -> i32 {
        i32::from(image[(column, row + 6)][0]) - i32::from(image[(column, row)][0])
    }

    fn all_of(image: &RgbImage) -> Bounds {
        Bounds {
            left: 0,
            top: 0,
            right: image.width() as usize,
            bottom: image.height() as usize,
        }
    }

    fn mask(image: &RgbImage, boxes: &[Rectangle]) -> Array2<bool> {
        let sides = [image.height() as usize, image.width() as usize];
        inside(boxes.iter().copied(), sides)
    }

    fn whole(image: &RgbImage, boxes: &[Rectangle], blur: (usize, Option<f64>)) -> RgbImage {
        synthetic(image, mask(image, boxes).view(), blur, all_of(image)).unwrap()
    }

    #[test]
    fn what_is_in_a_box_is_seen_and_all_else_fades() {
        let image = with_squares(&[[12, 12], [34, 18]]);
        let made = whole(&image, &[box_around([12.0, 12.0])], (21, Some(20.0)));
        assert!(
            contrast(&made, [12, 12]) > 120,
            "{}",
            contrast(&made, [12, 12])
        );
        assert!(
            contrast(&made, [34, 18]) < 30,
            "{}",
            contrast(&made, [34, 18])
        );
    }

    #[test]
    fn boxes_at_and_beyond_the_border_and_none_at_all() {
        let image = with_squares(&[[2, 2], [46, 30]]);
        let boxes = [
            Rectangle::new(-5.0, -5.0, 8.0, 8.0).unwrap(),
            Rectangle::new(40.0, 24.0, 60.0, 40.0).unwrap(),
            Rectangle::new(70.0, 70.0, 80.0, 80.0).unwrap(),
            Rectangle::new(-9.0, -9.0, -2.0, -2.0).unwrap(),
        ];
        let made = whole(&image, &boxes, (71, Some(30.0)));
        assert_eq!(made.dimensions(), (48, 32));
        assert!(contrast(&made, [2, 2]) > 100, "{}", contrast(&made, [2, 2]));
        let nothing = whole(&image, &[], (71, Some(30.0)));
        assert!(contrast(&nothing, [2, 2]).abs() < 30);
        let all = Rectangle::new(-1.0, -1.0, 50.0, 50.0).unwrap();
        let made = whole(&image, &[all], (71, None));
        assert!(contrast(&made, [2, 2]) > 150, "there is nothing to blur");
    }

    /// Each colour may be rounded to the other side: equations are solved to a tenth of a grey level.
    #[test]
    fn a_part_of_an_image_is_that_part_of_the_whole() {
        let places = [
            [9, 9],
            [22, 40],
            [45, 12],
            [50, 60],
            [88, 14],
            [90, 50],
            [60, 33],
        ];
        let image = RgbImage::from_fn(97, 71, |x, y| {
            let inside = |[column, row]: &[u32; 2]| x.abs_diff(*column) < 4 && y.abs_diff(*row) < 4;
            let dark = places.iter().any(inside);
            Rgb([
                (x * 7 + y * 3) as u8 / 4,
                if dark { 30 } else { 200 },
                (x * y % 251) as u8,
            ])
        });
        let mut boxes: Vec<Rectangle> = places
            .iter()
            .map(|place| box_around(place.map(f64::from)))
            .collect();
        // Two that touch, one of them far from the parts that are shown.
        boxes.push(Rectangle::new(49.0, 16.0, 80.0, 22.0).unwrap());
        for blur in [(5, None), (21, Some(20.0)), (71, Some(30.0))] {
            let all = whole(&image, &boxes, blur);
            for shown in [
                [0, 0, 20, 20],
                [30, 20, 60, 50],
                [38, 5, 52, 30],
                [70, 40, 97, 71],
                [96, 70, 97, 71],
                [12, 0, 80, 71],
            ] {
                let [left, top, right, bottom] = shown;
                let bounds = Bounds {
                    left,
                    top,
                    right,
                    bottom,
                };
                let made = synthetic(&image, mask(&image, &boxes).view(), blur, bounds).unwrap();
                for (x, y) in (left..right).flat_map(|x| (top..bottom).map(move |y| (x, y))) {
                    let [one, other] = [&made, &all].map(|image| image[(x as u32, y as u32)].0);
                    let off = (0..3)
                        .map(|channel| one[channel].abs_diff(other[channel]))
                        .max();
                    assert!(
                        off <= Some(1),
                        "{blur:?} {shown:?} ({x}, {y}): {one:?} {other:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn pixels_belong_to_the_box_that_their_middle_is_in() {
        let rectangle = Rectangle::new(0.4, 0.6, 2.6, 1.6).unwrap();
        let mask = inside([rectangle].into_iter(), [3, 4]);
        let set: Vec<(usize, usize)> = mask
            .indexed_iter()
            .filter_map(|(at, &set)| set.then_some(at))
            .collect();
        assert_eq!(set, [(1, 0), (1, 1), (1, 2)]);
    }
}
