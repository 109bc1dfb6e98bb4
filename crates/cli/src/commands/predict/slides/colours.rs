//! Colours of classes on slides.

use image::Rgb;

/// Colours that are told apart with any eyes (Okabe and Ito, 2008), for classes by their number. The first is for what is none
/// of the others.
const COLOURS: [[u8; 3]; 8] = [
    [153, 153, 153],
    [230, 159, 0],
    [86, 180, 233],
    [0, 158, 115],
    [213, 94, 0],
    [0, 114, 178],
    [204, 121, 167],
    [240, 228, 66],
];

/// The colour of a class of pixels, of which the first is what is none of the others: grey.
pub fn of_pixels(class: usize) -> [u8; 3] {
    COLOURS[class % COLOURS.len()]
}

/// The colour of a class of objects, none of which is grey.
pub fn of_objects(class: usize) -> [u8; 3] {
    COLOURS[1 + class % (COLOURS.len() - 1)]
}

/// Mixes a share of a colour into a pixel.
pub fn mix(pixel: &mut Rgb<u8>, colour: [u8; 3], share: f32) {
    for (channel, over) in pixel.0.iter_mut().zip(colour) {
        let [under, over] = [*channel, over].map(f32::from);
        *channel = (under + share * (over - under)).round() as u8;
    }
}
