//! Probabilities of the pixels of an image of any size, tile by tile.

use std::ops::Range;

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_image::transform::Turn;
use image::RgbImage;
use ndarray::{Array2, Array3, ArrayView3, Axis};
use serde::{Deserialize, Serialize};

use super::Segmenter;
use crate::error::{Error, Result};
use crate::views::{TestAugmentation, array, check, scaled, starts, tile};

/// How a network predicts. Every field has a default, and unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PredictSettings {
    /// Side of a tile, in pixels; what bounds the memory. Default 512.
    pub tile: usize,
    /// Pixels in which neighbouring tiles overlap; there each counts the less the nearer its edge is.
    /// Default 64.
    pub overlap: usize,
    /// In which turns an image is predicted; the mean of the probabilities counts. Default as it is.
    pub turns: TestAugmentation,
    /// In which sizes an image is predicted. Default 1.
    pub scales: Vec<f64>,
}

impl Default for PredictSettings {
    fn default() -> Self {
        Self {
            tile: 512,
            overlap: 64,
            turns: TestAugmentation::None,
            scales: vec![1.0],
        }
    }
}

impl PredictSettings {
    /// Refuses settings out of their range.
    ///
    /// # Errors
    /// The first such setting.
    pub fn check(&self) -> Result<()> {
        check(self.tile, self.overlap, &self.scales)
    }
}

impl Segmenter {
    /// The probabilities `[classes, height, width]` of the pixels of an image; they sum to 1.
    ///
    /// Memory beyond the image and the result is that of one tile. What lies outside of the image is its mirror
    /// image.
    ///
    /// # Errors
    /// When a setting is out of range, the image has no pixels, or the device fails.
    pub fn predict(&self, image: &RgbImage, settings: &PredictSettings) -> Result<Array3<f32>> {
        let views = Views {
            settings,
            multiple: self.config().multiple(),
            outputs: self.classes().len(),
            device: &self.device,
        };
        views.join(image, &|images| softmax(self.network.forward(images), 3))
    }
}

/// How an image is seen: in sizes, turns and tiles.
pub(crate) struct Views<'a> {
    pub(crate) settings: &'a PredictSettings,
    /// What height and width of tiles are multiples of.
    pub(crate) multiple: usize,
    /// What is said of each pixel.
    pub(crate) outputs: usize,
    pub(crate) device: &'a Device,
}

impl Views<'_> {
    /// What `say` says of the pixels of an image, `[outputs, height, width]`, where it takes tiles `[1, rows, columns,
    /// 3]` to `[1, rows, columns, outputs]`: the mean of all sizes and turns.
    pub(crate) fn join(
        &self,
        image: &RgbImage,
        say: &dyn Fn(Tensor<4>) -> Tensor<4>,
    ) -> Result<Array3<f32>> {
        self.settings.check()?;
        let (width, height) = image.dimensions();
        if width == 0 || height == 0 {
            return Err(Error::PixelLabels {
                image: "to predict".into(),
                problem: "it has no pixels".into(),
            });
        }
        let turns = self.settings.turns.turns();
        let mut sum: Option<Array3<f32>> = None;
        for &scale in &self.settings.scales {
            let scaled = scaled(image, scale);
            let pixels = array(&scaled)?;
            for &turn in turns {
                let turned = turn.colour(pixels.view());
                let said = turned_back(self.tiles(turned.view(), say)?, turn);
                let said = resized(said, [height as usize, width as usize], self.device)?;
                sum = Some(match sum {
                    Some(sum) => sum + said,
                    None => said,
                });
            }
        }
        let count = self.settings.scales.len() * turns.len();
        let mean = sum.map(|sum| sum / count as f32);
        mean.ok_or_else(|| Error::Device("nothing was predicted".into()))
    }

    /// The same of an image as it is, tile by tile. Where tiles overlap, each counts the less the nearer its edge is.
    fn tiles(
        &self,
        image: ArrayView3<'_, u8>,
        say: &dyn Fn(Tensor<4>) -> Tensor<4>,
    ) -> Result<Array3<f32>> {
        let (settings, outputs) = (self.settings, self.outputs);
        let (height, width, _) = image.dim();
        let side = |length: usize| length.min(settings.tile).next_multiple_of(self.multiple);
        let size = [side(height), side(width)];
        let mut sums = Array3::<f32>::zeros((height, width, outputs));
        let mut shares = Array2::<f32>::zeros((height, width));
        for top in starts(height, size[0], settings.overlap) {
            for left in starts(width, size[1], settings.overlap) {
                let rows = top..(top + size[0]).min(height);
                let columns = left..(left + size[1]).min(width);
                let data =
                    TensorData::new(tile(image, [top, left], size), [1, size[0], size[1], 3]);
                let said = say(Tensor::from_data(data, self.device)).try_into_vec_as::<f32>()?;
                for row in rows.clone() {
                    let down = share(row, &rows, height, settings.overlap);
                    for column in columns.clone() {
                        let share = down * share(column, &columns, width, settings.overlap);
                        shares[[row, column]] += share;
                        let at = ((row - top) * size[1] + column - left) * outputs;
                        for (output, value) in said[at..at + outputs].iter().enumerate() {
                            sums[[row, column, output]] += share * value;
                        }
                    }
                }
            }
        }
        for (mut pixel, share) in sums.rows_mut().into_iter().zip(&shares) {
            pixel.mapv_inplace(|sum| sum / share);
        }
        Ok(sums
            .permuted_axes([2, 0, 1])
            .as_standard_layout()
            .into_owned())
    }
}

/// How much a tile counts at a place: less towards an edge that is not the image's.
fn share(place: usize, tile: &Range<usize>, length: usize, overlap: usize) -> f32 {
    let whole = overlap + 1;
    let from_start = if tile.start == 0 {
        whole
    } else {
        place - tile.start + 1
    };
    let from_end = if tile.end == length {
        whole
    } else {
        tile.end - place
    };
    from_start.min(from_end).min(whole) as f32 / whole as f32
}

/// The most probable class of each pixel by probabilities `[classes, height, width]`; of equals the lowest.
pub fn most_probable(probabilities: ArrayView3<'_, f32>) -> Array2<u8> {
    probabilities.map_axis(Axis(0), |of| {
        let best = (1..of.len()).fold(
            0,
            |best, class| {
                if of[class] > of[best] { class } else { best }
            },
        );
        best as u8
    })
}

fn turned_back(predicted: Array3<f32>, turn: Turn) -> Array3<f32> {
    if turn == Turn::Identity {
        return predicted;
    }
    let back = turn.inverse();
    let planes: Vec<Array2<f32>> = predicted
        .axis_iter(Axis(0))
        .map(|plane| back.plane(plane))
        .collect();
    let (height, width) = planes.first().map_or((0, 0), Array2::dim);
    let mut result = Array3::zeros((planes.len(), height, width));
    for (mut target, plane) in result.axis_iter_mut(Axis(0)).zip(planes) {
        target.assign(&plane);
    }
    result
}

/// Probabilities in another size, bilinear.
fn resized(probabilities: Array3<f32>, size: [usize; 2], device: &Device) -> Result<Array3<f32>> {
    let (classes, height, width) = probabilities.dim();
    if [height, width] == size {
        return Ok(probabilities);
    }
    // Each class is an image of one channel.
    let values: Vec<f32> = probabilities.iter().copied().collect();
    let images =
        Tensor::<4>::from_data(TensorData::new(values, [classes, height, width, 1]), device);
    let values = cleanslide_nn::operators::resize(images, size, false).try_into_vec_as::<f32>()?;
    Array3::from_shape_vec((classes, size[0], size[1]), values)
        .map_err(|error| Error::Device(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cleanslide_nn::networks::{SegmentationConfig, UNetConfig};

    fn segmenter() -> Segmenter {
        let config = SegmentationConfig::Unet(UNetConfig { widths: vec![4, 8] });
        let device = Device::flex();
        let network = super::super::model::init(&config, 3, 1, &device);
        let classes = ["a", "b", "c"].map(String::from).to_vec();
        Segmenter::new(config, classes, network, device)
    }

    fn image(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([
                (x * 7 % 256) as u8,
                (y * 5 % 256) as u8,
                ((x * y) % 256) as u8,
            ])
        })
    }

    fn difference(one: &Array3<f32>, two: &Array3<f32>) -> f32 {
        assert_eq!(one.dim(), two.dim());
        one.iter()
            .zip(two)
            .fold(0.0, |most, (a, b)| most.max((a - b).abs()))
    }

    #[test]
    fn tiles_agree_with_the_whole_where_they_see_enough() {
        let (segmenter, image) = (segmenter(), image(70, 50));
        let whole = segmenter
            .predict(&image, &PredictSettings::default())
            .unwrap();
        assert!(
            whole
                .sum_axis(Axis(0))
                .iter()
                .all(|sum| (sum - 1.0).abs() < 1e-5)
        );
        let tiled = PredictSettings {
            tile: 32,
            overlap: 16,
            ..PredictSettings::default()
        };
        let tiled = segmenter.predict(&image, &tiled).unwrap();
        assert_eq!(tiled.dim(), (3, 50, 70));
        // Tiles see zeros beyond their edges, which weigh little there.
        assert!(difference(&whole, &tiled) < 0.05);
    }

    #[test]
    fn the_mean_of_all_turns_turns_with_the_image() {
        let (segmenter, image) = (segmenter(), image(40, 24));
        let settings = PredictSettings {
            turns: TestAugmentation::All,
            scales: vec![1.0, 1.5],
            ..PredictSettings::default()
        };
        let upright = segmenter.predict(&image, &settings).unwrap();
        let turned = image::imageops::rotate90(&image);
        let turned = segmenter.predict(&turned, &settings).unwrap();
        // Clockwise by 90°, and back.
        let back = turned_back(turned, Turn::ThreeQuarters);
        assert!(difference(&upright, &back) < 1e-4);
    }

    #[test]
    fn a_file_gives_the_same_network_back() {
        let (segmenter, image) = (segmenter(), image(17, 1));
        let bytes = segmenter.to_bytes().unwrap();
        let read = Segmenter::from_bytes(&bytes, "model", &Device::flex()).unwrap();
        assert_eq!(read.classes(), segmenter.classes());
        let settings = PredictSettings::default();
        let [one, two] = [&segmenter, &read].map(|s| s.predict(&image, &settings).unwrap());
        assert_eq!(one, two);
        let other = Segmenter::from_bytes(b"{}", "model", &Device::flex());
        assert!(other.is_err());
    }
}
