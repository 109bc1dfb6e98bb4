//! Images in which nothing is to be seen but what is labelled.

use cleanslide_data::Rectangle;
use cleanslide_image::Border;
use cleanslide_image::cloning::{Gradients, seamless_clone};
use cleanslide_image::filter::{GaussianKernel, gaussian_blur_colour};
use image::RgbImage;
use ndarray::{Array2, s};

use crate::error::{Error, Result};
use crate::views::array;

/// An image like another one, with the content of boxes cloned into its blurred copy: of two gradients the stronger
/// one, so that no seam is to be seen (Pérez et al., doi 10.1145/882262.882269). `kernel` and `sigma` are the side and
/// the standard deviation of the blur, in pixels.
///
/// Boxes may reach beyond the border; without boxes the image is blurred all over.
pub(in crate::detect) fn synthetic(
    image: &RgbImage,
    boxes: impl Iterator<Item = Rectangle>,
    kernel: usize,
    sigma: Option<f64>,
) -> Result<RgbImage> {
    let (width, height) = image.dimensions();
    let pixels = array(image)?;
    let kernel = GaussianKernel::of_size(kernel, sigma)?;
    let blurred = gaussian_blur_colour(pixels.view(), &kernel, &kernel, Border::Mirror);
    let mask = union(boxes, [height as usize, width as usize]);
    let gradients = Gradients::Mixed;
    let cloned = seamless_clone(pixels.view(), blurred.view(), mask.view(), gradients)?;
    RgbImage::from_raw(width, height, cloned.into_raw_vec_and_offset().0)
        .ok_or_else(|| Error::Device("a cloned image has another size".to_owned()))
}

/// The pixels whose middle is in one of the boxes.
fn union(boxes: impl Iterator<Item = Rectangle>, [height, width]: [usize; 2]) -> Array2<bool> {
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

    fn around([column, row]: [f64; 2]) -> Rectangle {
        Rectangle::new(column - 6.0, row - 6.0, column + 6.0, row + 6.0).unwrap()
    }

    fn contrast(image: &RgbImage, [column, row]: [u32; 2]) -> i32 {
        i32::from(image[(column, row + 6)][0]) - i32::from(image[(column, row)][0])
    }

    #[test]
    fn what_is_in_a_box_is_seen_and_all_else_fades() {
        let image = with_squares(&[[12, 12], [34, 18]]);
        let boxes = [around([12.0, 12.0])];
        let made = synthetic(&image, boxes.into_iter(), 21, Some(20.0)).unwrap();
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
        let made = synthetic(&image, boxes.into_iter(), 71, Some(30.0)).unwrap();
        assert_eq!(made.dimensions(), (48, 32));
        assert!(contrast(&made, [2, 2]) > 100, "{}", contrast(&made, [2, 2]));
        let nothing = synthetic(&image, std::iter::empty(), 71, Some(30.0)).unwrap();
        assert!(contrast(&nothing, [2, 2]).abs() < 30);
        let all = Rectangle::new(-1.0, -1.0, 50.0, 50.0).unwrap();
        assert!(synthetic(&image, [all].into_iter(), 71, None).is_ok());
    }

    #[test]
    fn pixels_belong_to_the_box_that_their_middle_is_in() {
        let rectangle = Rectangle::new(0.4, 0.6, 2.6, 1.6).unwrap();
        let mask = union([rectangle].into_iter(), [3, 4]);
        let set: Vec<(usize, usize)> = mask
            .indexed_iter()
            .filter_map(|(at, &set)| set.then_some(at))
            .collect();
        assert_eq!(set, [(1, 0), (1, 1), (1, 2)]);
    }
}
