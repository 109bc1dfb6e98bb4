//! Resizing against Pillow.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use cleanslide_nn::preprocess::resize;
use image::RgbImage;
use safetensors::SafeTensors;

fn image(file: &SafeTensors<'_>, name: &str) -> RgbImage {
    let tensor = file.tensor(name).unwrap();
    let [height, width, 3] = *tensor.shape() else {
        panic!("{name} is not an image")
    };
    RgbImage::from_raw(width as u32, height as u32, tensor.data().to_vec()).unwrap()
}

#[test]
fn resizing_equals_pillow_within_one_grey_level() {
    let bytes = std::fs::read("tests/goldens/resize.safetensors").unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    for name in ["reduced", "enlarged", "mixed"] {
        let expected = image(&file, &format!("{name}.resized"));
        let original = image(&file, &format!("{name}.image"));
        let resized = resize(&original, expected.width(), expected.height(), 0).unwrap();
        let differences = resized.as_raw().iter().zip(expected.as_raw());
        let largest = differences.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(largest <= 1, "{name}: {largest} grey levels");
    }
}
