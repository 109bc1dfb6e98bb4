//! Draws every spatial noise injector on an image, to look at.
//!
//! ```text
//! cargo run --release -p cleanslide-weak --example spatial_noise_sheet -- \
//!     image.png instances.png folder [--rate 0.3] [--seed N]
//! ```
//!
//! Writes one picture per injector: true outlines in sky blue, those of changed objects in vermilion,
//! of the other given objects in yellow (the colours of Okabe and Ito).

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

use cleanslide_data::mask::read_instance_mask;
use cleanslide_data::{Object, Rectangle, Trust};
use cleanslide_image::stain::{StainMatrix, separate_stains};
use cleanslide_weak::noise::spatial::{
    Annotation, BoxedImage, Direction, Habit, InstanceMask, MarkovBorder, NoisyObjects,
    add_objects, dilate_erode, drop_objects, expert_bias, jitter_boxes, markov_borders,
    markov_masks, merge_objects, rescale_boxes, split_objects,
};
use image::{Rgb, RgbImage};
use ndarray::{Array2, Array3, Axis};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const SCALE: usize = 4;
const TRUE: Rgb<u8> = Rgb([86, 180, 233]);
const CHANGED: Rgb<u8> = Rgb([213, 94, 0]);
const GIVEN: Rgb<u8> = Rgb([240, 228, 66]);

#[allow(clippy::print_stdout)]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [image, instances, folder, options @ ..] = arguments.as_slice() else {
        return Err("usage: spatial_noise_sheet IMAGE MASK FOLDER [--rate R] [--seed N]".into());
    };
    let option = |name: &str| {
        let at = options.iter().position(|option| option == name);
        at.and_then(|at| options.get(at + 1))
    };
    let rate: f64 = option("--rate").map_or(Ok(0.3), |text| text.parse())?;
    let seed: u64 = option("--seed").map_or(Ok(1), |text| text.parse())?;
    let picture = image::open(image)?.to_rgb8();
    let mask = read_instance_mask(Path::new(instances))?;
    let stem = Path::new(image)
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    let objects = mask
        .iter()
        .copied()
        .filter(|&value| value != u32::MAX)
        .max()
        .unwrap_or(0);
    let truth = [InstanceMask::new(mask.clone(), vec![0; objects as usize])?];
    let boxes = [boxes_of(&truth[0])?];
    let (height, width) = mask.dim();
    let colour = Array3::from_shape_vec((height, width, 3), picture.as_raw().clone())?;
    let stains = separate_stains(colour.view(), &StainMatrix::HED)?;
    let haematoxylin = stains.index_axis(Axis(2), 0);

    let path = |name: &str| Path::new(folder).join(format!("{stem}-{name}.png"));
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let markov = MarkovBorder {
        steps: 30,
        ..MarkovBorder::J1
    };
    let expert = [
        Habit::Outline { pixels: 2.0 },
        Habit::Shift { x: 2, y: -1 },
        Habit::MissSmall { area: 150.0 },
    ];
    let planes = [haematoxylin];
    for (name, noisy) in [
        ("drop", drop_objects(&truth, rate, rng)),
        ("add", add_objects(&truth, &planes, rate, rng)),
        ("merge", merge_objects(&truth, rate, 3.0, rng)),
        ("split", split_objects(&truth, rate, rng)),
        (
            "dilate-erode",
            dilate_erode(&truth, rate, 2.0..=4.0, Direction::Either, rng),
        ),
        ("markov", markov_borders(&truth, rate, &markov, rng)),
        ("expert", expert_bias(&truth, &expert)),
    ] {
        match noisy {
            Ok(noisy) => {
                println!("{name}: rate {:.3} for {rate}", noisy.rate());
                draw_instances(&picture, &mask, &noisy).save(path(name))?;
            }
            Err(error) => println!("{name}: {error}"),
        }
    }
    for (name, noisy) in [
        ("boxes-add", add_objects(&boxes, &planes, rate, rng)),
        ("boxes-jitter", jitter_boxes(&boxes, rate, 0.1..=0.4, rng)),
        (
            "boxes-rescale",
            rescale_boxes(&boxes, rate, 1.2..=1.6, Direction::Either, rng),
        ),
        ("boxes-merge", merge_objects(&boxes, rate, 3.0, rng)),
        ("boxes-split", split_objects(&boxes, rate, rng)),
    ] {
        match noisy {
            Ok(noisy) => {
                println!("{name}: rate {:.3} for {rate}", noisy.rate());
                draw_boxes(&picture, &boxes[0], &noisy).save(path(name))?;
            }
            Err(error) => println!("{name}: {error}"),
        }
    }
    let classes = mask.mapv(|value| u8::from(value != 0));
    let noisy = markov_masks(&[classes.view()], &[1], 1.0, &markov, rng)?;
    println!("class mask: rate {:.3} of the pixels", noisy.rate());
    let mut sheet = enlarged(&picture);
    outline(&mut sheet, &classes.mapv(u32::from), |_| TRUE);
    outline(&mut sheet, &noisy.masks[0].mapv(u32::from), |_| CHANGED);
    sheet.save(path("class-mask"))?;
    Ok(())
}

fn boxes_of(image: &InstanceMask) -> Result<BoxedImage, Box<dyn Error>> {
    let boxes: Result<Vec<_>, Box<dyn Error>> = (0..image.count())
        .map(|object| {
            let shape = image.object(object).shape;
            let (left, top) = (shape.left as f64, shape.top as f64);
            let (rows, columns) = shape.mask.dim();
            Ok(Object {
                shape: Rectangle::new(left, top, left + columns as f64, top + rows as f64)?,
                class: 0,
                trust: Trust::FULL,
            })
        })
        .collect();
    Ok(BoxedImage::new(image.mask().dim(), boxes?)?)
}

fn changed<A: Annotation>(noisy: &NoisyObjects<A>) -> BTreeSet<usize> {
    noisy
        .changes()
        .iter()
        .flat_map(|change| change.given.clone())
        .collect()
}

fn enlarged(picture: &RgbImage) -> RgbImage {
    let scale = SCALE as u32;
    let (width, height) = (picture.width() * scale, picture.height() * scale);
    RgbImage::from_fn(width, height, |x, y| {
        *picture.get_pixel(x / scale, y / scale)
    })
}

fn draw_instances(
    picture: &RgbImage,
    truth: &Array2<u32>,
    noisy: &NoisyObjects<InstanceMask>,
) -> RgbImage {
    let mut sheet = enlarged(picture);
    let changed = changed(noisy);
    let given = noisy.images()[0].mask().to_owned();
    outline(&mut sheet, truth, |_| TRUE);
    outline(&mut sheet, &given, |value| {
        if changed.contains(&(value as usize - 1)) {
            CHANGED
        } else {
            GIVEN
        }
    });
    sheet
}

/// The innermost enlarged pixels of each object.
fn outline(sheet: &mut RgbImage, mask: &Array2<u32>, colour: impl Fn(u32) -> Rgb<u8>) {
    let (height, width) = mask.dim();
    let at = |y: usize, x: usize| mask[(y / SCALE, x / SCALE)];
    for y in 0..height * SCALE {
        for x in 0..width * SCALE {
            let own = at(y, x);
            let same =
                |y: usize, x: usize| y >= height * SCALE || x >= width * SCALE || at(y, x) == own;
            let inside = same(y.wrapping_sub(1), x)
                && same(y + 1, x)
                && same(y, x.wrapping_sub(1))
                && same(y, x + 1);
            if own != 0 && own != u32::MAX && !inside {
                sheet.put_pixel(x as u32, y as u32, colour(own));
            }
        }
    }
}

fn draw_boxes(
    picture: &RgbImage,
    truth: &BoxedImage,
    noisy: &NoisyObjects<BoxedImage>,
) -> RgbImage {
    let mut sheet = enlarged(picture);
    let changed = changed(noisy);
    for object in truth.objects() {
        frame(&mut sheet, &object.shape, TRUE);
    }
    for (index, object) in noisy.images()[0].objects().iter().enumerate() {
        let colour = if changed.contains(&index) {
            CHANGED
        } else {
            GIVEN
        };
        frame(&mut sheet, &object.shape, colour);
    }
    sheet
}

fn frame(sheet: &mut RgbImage, shape: &Rectangle, colour: Rgb<u8>) {
    let place = |value: f64, side: u32| ((value * SCALE as f64) as u32).min(side - 1);
    let [left, right] = [shape.left, shape.right].map(|x| place(x, sheet.width()));
    let [top, bottom] = [shape.top, shape.bottom].map(|y| place(y, sheet.height()));
    for x in left..=right {
        sheet.put_pixel(x, top, colour);
        sheet.put_pixel(x, bottom, colour);
    }
    for y in top..=bottom {
        sheet.put_pixel(left, y, colour);
        sheet.put_pixel(right, y, colour);
    }
}
