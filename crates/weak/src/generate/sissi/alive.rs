//! Living cells: bright, round, touching.

use cleanslide_data::{Rectangle, Trust};
use cleanslide_image::Border;
use cleanslide_image::colour::{Grey, grey, hsv_to_rgb_u8, rgb_to_hsv_u8};
use cleanslide_image::edge::sobel_u8;
use cleanslide_image::filter::{Rounding, bilateral, clahe, gamma, median};
use cleanslide_image::morphology::{
    Element, Reach, dilate, erode, open, reconstruct_by_dilation, reconstruct_by_erosion,
};
use cleanslide_image::region::{
    FindMaxima, Neighbours, Watershed, components, find_maxima, skeleton, statistics, watershed,
};
use cleanslide_image::threshold::{Side, Surroundings, adaptive_threshold, otsu};
use ndarray::{Array2, ArrayView2, ArrayView3, Axis, Zip};

use super::super::{Found, FoundBox, GenerateError, Generator};

/// A watershed of the gradient from the image's maxima, as boxes of 400 to 1,500 square pixels.
///
/// 1. Contrast: gamma 1.5, then CLAHE (clip limit 15, 20 × 20 tiles) on the value of HSV.
/// 2. Borders between cells: the skeleton of an adaptive threshold (Gaussian, 29 pixels) of the grey
///    image after a median (5) and a bilateral filter (9 pixels, 75, 75).
/// 3. Foreground: Otsu's threshold after opening and closing by reconstruction with an ellipse of
///    20 pixels and an opening with a square of 3.
/// 4. Floods the Sobel magnitude, with minima imposed on borders and foreground, from ImageJ's maxima
///    (prominence 50) of the mean of the channels, within the foreground.
/// 5. Boxes reach 2 pixels beyond the basins; those over the image's border or of another size are
///    dropped; of those that overlap, one stays.
///
/// Where the published code reconstructs, it joins grey levels bit by bit, which is not the
/// reconstruction that it names; here it is. It also takes blue for red: here grey is grey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Alive;

impl Generator for Alive {
    fn name(&self) -> &'static str {
        "sissi-alive"
    }

    fn find(
        &self,
        image: ArrayView3<'_, u8>,
        _microns_per_pixel: Option<f64>,
    ) -> Result<Found, GenerateError> {
        if image.is_empty() {
            return Ok(Found::Boxes(Vec::new()));
        }
        let mut hsv = rgb_to_hsv_u8(gamma(image, 1.5, Rounding::Down)?.view())?;
        let value = clahe(hsv.index_axis(Axis(2), 2), 15.0, (20, 20))?;
        hsv.index_axis_mut(Axis(2), 2).assign(&value);
        let colour = hsv_to_rgb_u8(hsv.view())?;
        let plane = grey(colour.view(), Grey::Rec601)?;

        let cells = foreground(plane.view())?;
        let borders = borders(plane.view())?;
        let minima = Zip::from(&borders)
            .and(&cells)
            .map_collect(|border, cell| border | cell);
        let relief = impose_minima(&magnitude(plane.view()), minima.view())?;

        let mean = colour.map_axis(Axis(2), |pixel| {
            pixel.iter().map(|&value| f32::from(value)).sum::<f32>() / 3.0
        });
        let settings = FindMaxima {
            prominence: 50.0,
            ..FindMaxima::default()
        };
        let mut seeds = Array2::from_elem(plane.dim(), false);
        for peak in find_maxima(mean.view(), &settings)? {
            seeds[(peak.y, peak.x)] = true;
        }
        let seeds = components(seeds.view(), Neighbours::Four)?.labels;
        let within = Watershed {
            mask: Some(cells.view()),
            ..Watershed::default()
        };
        let basins = watershed(relief.view(), seeds.view(), &within)?;
        Ok(Found::Boxes(boxes(basins.view())))
    }
}

/// Lines where neighbouring cells meet.
fn borders(plane: ArrayView2<'_, u8>) -> Result<Array2<bool>, GenerateError> {
    let smooth = median(plane, 5, Border::Replicate)?;
    let smooth = bilateral(smooth.view(), 4, 75.0, 75.0, Border::Mirror)?;
    let dark = adaptive_threshold(smooth.view(), Surroundings::Gaussian, Side::Dark, 29, 0.0)?;
    Ok(skeleton(dark.view()))
}

/// The length of the gradient, from 0 to 1.
fn magnitude(plane: ArrayView2<'_, u8>) -> Array2<f32> {
    let lengths = sobel_u8(plane, Border::Mirror).magnitude();
    let range = |start: f32, pick: fn(f32, f32) -> f32| lengths.iter().copied().fold(start, pick);
    let (least, greatest) = (range(f32::MAX, f32::min), range(f32::MIN, f32::max));
    let scale = if greatest > least {
        255.0 / (greatest - least)
    } else {
        0.0
    };
    lengths.mapv(|length| ((length - least) * scale).floor() / 255.0)
}

/// What is brighter than its surroundings after small structures are gone.
fn foreground(plane: ArrayView2<'_, u8>) -> Result<Array2<bool>, GenerateError> {
    let ellipse = Element::ellipse(20, 20)?;
    let opened = reconstruct_by_dilation(erode(plane, &ellipse).view(), plane, Reach::Eight)?;
    let dilated = dilate(opened.view(), &ellipse);
    // An ellipse of even size is lopsided, so that a dilation can be below the image in places.
    let marker = Zip::from(&dilated)
        .and(plane)
        .map_collect(|dilated, value| dilated.max(value).to_owned());
    let closed = reconstruct_by_erosion(marker.view(), plane, Reach::Eight)?;
    let smooth = open(closed.view(), &Element::rectangle(3, 3)?);
    if smooth.iter().min() == smooth.iter().max() {
        return Ok(Array2::default(plane.dim()));
    }
    let level = otsu(smooth.view())?;
    Ok(smooth.mapv(|value| value > level))
}

/// A relief whose only minima are the given pixels (P. Soille, "Morphological Image Analysis", 2003,
/// section 6.3.6).
fn impose_minima(
    relief: &Array2<f32>,
    minima: ArrayView2<'_, bool>,
) -> Result<Array2<f32>, GenerateError> {
    let marker = minima.mapv(|minimum| if minimum { 0.0 } else { f32::INFINITY });
    let mask = Zip::from(relief)
        .and(&marker)
        .map_collect(|relief, marker: &f32| (relief + 1.0).min(*marker));
    Ok(reconstruct_by_erosion(
        marker.view(),
        mask.view(),
        Reach::Eight,
    )?)
}

fn boxes(basins: ArrayView2<'_, u32>) -> Vec<FoundBox> {
    let (height, width) = basins.dim();
    let around = statistics(basins).into_iter().filter_map(|basin| {
        let bounds = basin.bounds;
        // Two pixels beyond the first and the last pixel.
        let (left, top) = (bounds.left as f64 - 2.0, bounds.top as f64 - 2.0);
        let (right, bottom) = (bounds.right as f64 + 1.0, bounds.bottom as f64 + 1.0);
        let inside = left >= 0.0 && top >= 0.0 && right < width as f64 && bottom < height as f64;
        let rectangle = Rectangle::new(left, top, right, bottom).ok()?;
        (inside && (400.0..=1500.0).contains(&rectangle.area())).then_some(rectangle)
    });
    super::apart(around.collect())
        .into_iter()
        .map(|rectangle| FoundBox {
            rectangle,
            trust: Trust::FULL,
        })
        .collect()
}
