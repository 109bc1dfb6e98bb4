//! What of a slide is tissue, and neither glass nor ink nor out of focus.

use cleanslide_image::Border;
use cleanslide_image::colour::rgb_to_hsv;
use cleanslide_image::filter::{GaussianKernel, gaussian_blur};
use cleanslide_image::morphology::{Element, dilate};
use cleanslide_image::region::{Neighbours, components_with_statistics};
use cleanslide_image::threshold::otsu;
use image::RgbImage;
use ndarray::{Array2, Array3, ArrayView2, Zip};

use crate::error::Result;
use crate::focus::Focus;
use crate::slide::Slide;
use crate::stains::colours;

/// How tissue is told from the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct TissueSettings {
    /// The size of a pixel of the mask, in microns. Default 8.
    pub microns_per_pixel: f64,
    /// Pieces of tissue and holes in it that are smaller are left out and filled, in square microns. Default 10,000.
    pub least_area: f64,
    /// Whether ink is left out: what is green, or black, or as blue as no stain is. Default true.
    pub without_ink: bool,
    /// Whether tissue that is out of focus is left out: blurred as by a Gaussian of 3 microns, or more. That is not
    /// looked for where the size of pixels is not known, or above 2 microns. Default true.
    pub without_blur: bool,
}

impl Default for TissueSettings {
    fn default() -> Self {
        Self {
            microns_per_pixel: 8.0,
            least_area: 10_000.0,
            without_ink: true,
            without_blur: true,
        }
    }
}

/// Tissue as a small picture of a slide.
#[derive(Debug, Clone, PartialEq)]
pub struct TissueMask {
    /// Pixels of level 0 beside each other in one of the mask.
    pub downsample: f64,
    /// Where there is tissue, `[height, width]`.
    pub tissue: Array2<bool>,
    /// Where there is ink.
    pub ink: Array2<bool>,
    /// What would be tissue, and is out of focus.
    pub blurred: Array2<bool>,
    /// The share of the slide that is as bright as glass.
    pub glass: f64,
}

/// Where the size of pixels is not known, the longer side of the mask has so many.
const SIDE: f64 = 1024.0;
/// Stained tissue has differences of its colours, of 255, that are larger than the first of these, even where it is faint (CLAM,
/// arXiv 2004.09666, takes 8), and glass none that are larger than the second: between them Otsu's threshold decides. On a slide
/// without glass it would divide tissue.
const CHROMA: [u8; 2] = [8, 20];
/// Blur before the threshold, in pixels of the mask.
const BLUR: f64 = 1.0;
/// Where all colours are above this, it may be glass.
const BRIGHT: u8 = 180;
/// Around ink its colour fades: so many pixels of the mask.
const INK_EDGE: usize = 2;

impl TissueMask {
    /// Finds the tissue of a slide.
    ///
    /// A pixel is tissue if the difference between the largest and the smallest of its colours is above a threshold (Otsu's,
    /// within limits), and is no ink. What cannot be decoded is none.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn of(slide: &Slide, settings: &TissueSettings) -> Result<Self> {
        let [width, height] = slide.levels()[0].size.map(|side| side as f64);
        let microns = slide.microns_per_pixel().ok();
        let by_size = (width.max(height) / SIDE).max(1.0);
        let downsample = microns.map_or(by_size, |microns| settings.microns_per_pixel / microns);
        let downsample = downsample.max(1.0);
        let picture = slide.picture(downsample)?;
        let of_pixel = microns.map_or(settings.microns_per_pixel, |microns| microns * downsample);
        let least = (settings.least_area / (of_pixel * of_pixel)) as u64;
        let mut mask = Self::of_picture(&picture, downsample, least, settings.without_ink)?;
        if settings.without_blur {
            mask.leave_out_blurred(slide, least)?;
        }
        Ok(mask)
    }

    /// Tissue out of focus is none from now on, but pieces of fewer pixels.
    fn leave_out_blurred(&mut self, slide: &Slide, least: u64) -> Result<()> {
        let focus = Focus::of(slide, |part| self.share(part) > 0.0)?;
        let Some(Focus { side, blurred }) = focus else {
            return Ok(());
        };
        let squares = Array2::from_shape_fn(self.tissue.dim(), |(row, column)| {
            let [row, column] =
                [row, column].map(|at| ((at as f64 + 0.5) * self.downsample / side) as usize);
            // The last pixel may reach beyond the slide.
            blurred.get([row, column]).copied().unwrap_or(false)
        });
        self.blurred = without_small(squares.view(), least)?;
        Zip::from(&mut self.blurred)
            .and(&mut self.tissue)
            .for_each(|blurred, tissue| {
                *blurred &= *tissue;
                *tissue &= !*blurred;
            });
        Ok(())
    }

    fn of_picture(
        picture: &RgbImage,
        downsample: f64,
        least: u64,
        without_ink: bool,
    ) -> Result<Self> {
        let colours = colours(picture);
        let ink = match without_ink {
            true => ink(&colours)?,
            false => Array2::from_elem((colours.dim().0, colours.dim().1), false),
        };
        let tissue = Zip::from(&stained_of(&colours, BLUR)?)
            .and(&ink)
            .map_collect(|&stained, &ink| stained && !ink);
        let tissue = without_small(tissue.view(), least)?;
        // Small holes are pieces of what is no tissue; ink stays one.
        let holes = without_small(tissue.mapv(|is| !is).view(), least)?;
        let tissue = Zip::from(&holes)
            .and(&ink)
            .map_collect(|&hole, &ink| !hole && !ink);
        // The last row and column may reach beyond the slide, where it is white.
        let (width, height) = picture.dimensions();
        let inside = picture
            .enumerate_pixels()
            .filter(|(x, y, _)| x + 1 < width && y + 1 < height);
        let is_bright = inside.map(|(_, _, of)| of.0.iter().all(|value| *value > BRIGHT));
        let is_bright: Vec<bool> = is_bright.collect();
        let bright = is_bright.iter().filter(|is| **is).count();
        Ok(Self {
            downsample,
            glass: bright as f64 / is_bright.len().max(1) as f64,
            blurred: Array2::from_elem(tissue.dim(), false),
            tissue,
            ink,
        })
    }

    /// Whether there is tissue at a place (left, top, in pixels of level 0); outside there is none.
    pub fn at(&self, [left, top]: [f64; 2]) -> bool {
        let pixel = |at: f64| (at >= 0.0).then_some((at / self.downsample) as usize);
        let place = pixel(top).zip(pixel(left));
        place
            .and_then(|place| self.tissue.get(place))
            .copied()
            .unwrap_or(false)
    }

    /// The share of a part (left, top, width, height, in pixels of level 0) that is tissue; what is outside is none.
    pub fn share(&self, [left, top, width, height]: [f64; 4]) -> f64 {
        let (rows, columns) = self.tissue.dim();
        // Of each pixel of the mask along a side, how much is covered.
        let covered = |from: f64, length: f64, count: usize| {
            let [start, end] = [from, from + length].map(|at| at / self.downsample);
            let first = start.floor().max(0.0) as usize;
            let last = (end.ceil().max(0.0) as usize).min(count);
            let of = move |pixel: usize| {
                let covered = end.min(pixel as f64 + 1.0) - start.max(pixel as f64);
                (pixel, covered.max(0.0))
            };
            (first..last.max(first)).map(of).collect::<Vec<_>>()
        };
        let (x, y) = (covered(left, width, columns), covered(top, height, rows));
        let mut sum = 0.0;
        for &(row, high) in &y {
            let of_row = x.iter().filter(|(column, _)| self.tissue[[row, *column]]);
            sum += high * of_row.map(|(_, wide)| wide).sum::<f64>();
        }
        sum * self.downsample * self.downsample / (width * height)
    }

    /// How much of the slide is tissue, in square microns, if a pixel of level 0 is so many microns wide.
    pub fn area(&self, microns_per_pixel: f64) -> f64 {
        self.area_of(&self.tissue, microns_per_pixel)
    }

    /// How much of what would be tissue is out of focus, in square microns.
    pub fn blurred_area(&self, microns_per_pixel: f64) -> f64 {
        self.area_of(&self.blurred, microns_per_pixel)
    }

    fn area_of(&self, mask: &Array2<bool>, microns_per_pixel: f64) -> f64 {
        let pixels = mask.iter().filter(|is| **is).count() as f64;
        pixels * (self.downsample * microns_per_pixel).powi(2)
    }
}

/// What is stained in a picture, `[height, width]`: where the difference between the largest and the smallest of the colours, blurred
/// by a Gaussian of so many pixels, is above a threshold (Otsu's, within limits).
///
/// # Errors
/// A blur that is not positive.
pub fn stained(picture: &RgbImage, blur: f64) -> Result<Array2<bool>> {
    stained_of(&colours(picture), blur)
}

fn stained_of(colours: &Array3<u8>, blur: f64) -> Result<Array2<bool>> {
    let chroma = colours.map_axis(ndarray::Axis(2), |pixel| {
        let [low, high] = pixel.iter().fold([u8::MAX, 0], |[low, high], &value| {
            [low.min(value), high.max(value)]
        });
        high - low
    });
    let kernel = GaussianKernel::of_sigma(blur, 4.0)?;
    let chroma = gaussian_blur(chroma.view(), &kernel, &kernel, Border::Reflect);
    let threshold = otsu(chroma.view()).map_or(CHROMA[0], |of| of.clamp(CHROMA[0], CHROMA[1]));
    Ok(chroma.mapv(|chroma| chroma > threshold))
}

/// Ink of felt pens, and what is so dark that it is none of tissue: hues that neither haematoxylin and eosin nor
/// diaminobenzidine have, where they are saturated.
fn ink(colours: &Array3<u8>) -> Result<Array2<bool>> {
    let hsv = rgb_to_hsv(colours.view())?;
    let is_ink = hsv.map_axis(ndarray::Axis(2), |pixel| {
        let [hue, saturation, value] = [pixel[0], pixel[1], pixel[2]];
        let green = (75.0..190.0).contains(&hue) && saturation > 0.2;
        let blue = (190.0..245.0).contains(&hue) && saturation > 0.6;
        let black = value < 0.25 && saturation < 0.5;
        green || blue || black
    });
    // A pixel alone is noise.
    let element = Element::disk(1)?;
    let is_ink = cleanslide_image::morphology::open(is_ink.mapv(u8::from).view(), &element);
    let around = dilate(is_ink.view(), &Element::disk(INK_EDGE)?);
    Ok(around.mapv(|of| of > 0))
}

/// A mask without the pieces of fewer pixels.
fn without_small(mask: ArrayView2<'_, bool>, least: u64) -> Result<Array2<bool>> {
    let (parts, statistics) = components_with_statistics(mask, Neighbours::Eight)?;
    Ok(parts.labels.mapv(|part| {
        let statistics = (part as usize)
            .checked_sub(1)
            .and_then(|at| statistics.get(at));
        statistics.is_some_and(|of| of.area >= least)
    }))
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    const PINK: Rgb<u8> = Rgb([220, 150, 190]);
    const GLASS: Rgb<u8> = Rgb([240, 238, 241]);

    /// A disc of tissue with a hole of 5 × 5, a speck, and marks of pens.
    fn picture() -> RgbImage {
        RgbImage::from_fn(200, 120, |x, y| {
            let [dx, dy] = [i64::from(x) - 60, i64::from(y) - 60];
            match () {
                () if (150..190).contains(&x) && (10..14).contains(&y) => Rgb([40, 150, 70]),
                () if (150..190).contains(&x) && (30..34).contains(&y) => Rgb([30, 28, 33]),
                () if (150..190).contains(&x) && (50..54).contains(&y) => Rgb([40, 70, 190]),
                () if (170..173).contains(&x) && (90..93).contains(&y) => PINK,
                () if (58..63).contains(&x) && (58..63).contains(&y) => GLASS,
                () if dx * dx + dy * dy < 45 * 45 => PINK,
                () => GLASS,
            }
        })
    }

    #[test]
    fn tissue_is_found_and_ink_glass_and_specks_are_not() -> Result<()> {
        let mask = TissueMask::of_picture(&picture(), 4.0, 100, true)?;
        let disc = std::f64::consts::PI * 45.0 * 45.0;
        let found = mask.tissue.iter().filter(|is| **is).count() as f64;
        // The blur moves the edge by less than a pixel.
        assert!(
            (found - disc).abs() < std::f64::consts::TAU * 45.0,
            "{found} of {disc}"
        );
        assert!(mask.tissue[[60, 60]], "the hole is filled");
        assert!(!mask.tissue[[91, 171]], "the speck is left out");
        for row in [11, 31, 51] {
            assert!(mask.ink[[row, 170]] && !mask.tissue[[row, 170]], "{row}");
        }
        assert!(!mask.ink[[60, 30]]);
        let with_ink = TissueMask::of_picture(&picture(), 4.0, 100, false)?;
        assert!(with_ink.tissue[[11, 170]]);
        let glass = 1.0 - (found + 3.0 * 160.0) / (200.0 * 120.0);
        assert!((mask.glass - glass).abs() < 0.01, "{} {glass}", mask.glass);
        Ok(())
    }

    #[test]
    fn a_picture_of_tissue_alone_is_all_tissue_and_one_of_glass_none() -> Result<()> {
        let two = RgbImage::from_fn(50, 50, |x, _| match x < 25 {
            true => Rgb([230, 190, 210]),
            false => Rgb([120, 60, 150]),
        });
        let mask = TissueMask::of_picture(&two, 1.0, 1, true)?;
        assert!(mask.tissue.iter().all(|is| *is));
        let glass = RgbImage::from_pixel(50, 50, GLASS);
        let mask = TissueMask::of_picture(&glass, 1.0, 1, true)?;
        assert!(!mask.tissue.iter().any(|is| *is));
        assert_eq!(mask.glass, 1.0);
        let dark = RgbImage::from_fn(50, 50, |x, y| match x < 49 && y < 49 {
            true => Rgb([90, 0, 0]),
            false => Rgb([255; 3]),
        });
        assert_eq!(TissueMask::of_picture(&dark, 1.0, 1, true)?.glass, 0.0);
        Ok(())
    }

    #[test]
    fn shares_are_those_of_the_part_that_is_covered() {
        let mask = TissueMask {
            downsample: 10.0,
            tissue: ndarray::array![[true, false], [false, false]],
            ink: Array2::from_elem((2, 2), false),
            blurred: Array2::from_elem((2, 2), false),
            glass: 0.75,
        };
        assert_eq!(mask.share([0.0, 0.0, 10.0, 10.0]), 1.0);
        assert_eq!(mask.share([0.0, 0.0, 20.0, 20.0]), 0.25);
        assert_eq!(mask.share([5.0, 5.0, 10.0, 10.0]), 0.25);
        assert_eq!(mask.share([-10.0, 0.0, 20.0, 10.0]), 0.5);
        assert_eq!(mask.share([40.0, 40.0, 10.0, 10.0]), 0.0);
        assert_eq!(mask.area(0.5), 25.0);
        let places = [[9.9, 9.9], [10.0, 0.0], [-0.1, 0.0], [100.0, 0.0]];
        assert_eq!(
            places.map(|place| mask.at(place)),
            [true, false, false, false]
        );
    }
}
