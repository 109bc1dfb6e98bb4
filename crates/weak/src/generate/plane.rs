//! The plane of an image on which objects stand out.

use std::str::FromStr;

use cleanslide_image::colour::{Grey, grey, rgb_to_hsv_u8};
use cleanslide_image::stain::{StainMatrix, separate_stains};
use ndarray::{Array2, ArrayView3, Axis};
use serde::{Deserialize, Serialize};

use super::GenerateError;

/// What a generator looks at, as 8 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plane {
    /// Brightness (Rec. 601).
    #[default]
    Grey,
    /// The red channel.
    Red,
    /// The green channel: what is red or purple is dark on it.
    Green,
    /// The blue channel.
    Blue,
    /// How far from grey, from 0 to 255.
    Saturation,
    /// The amount of haematoxylin (Ruifrok and Johnston's stains); the image's greatest is 255.
    Haematoxylin,
}

impl Plane {
    /// Their names, in the order of the variants.
    pub const NAMES: [&'static str; 6] =
        ["grey", "red", "green", "blue", "saturation", "haematoxylin"];

    /// The plane of an image.
    ///
    /// # Errors
    /// The image has not three channels.
    pub fn of(self, image: ArrayView3<'_, u8>) -> Result<Array2<u8>, GenerateError> {
        let channels = image.len_of(Axis(2));
        super::check("channels", channels as f64, channels == 3, "3")?;
        let channel = |number| image.index_axis(Axis(2), number).to_owned();
        Ok(match self {
            Self::Grey => grey(image, Grey::Rec601)?,
            Self::Red => channel(0),
            Self::Green => channel(1),
            Self::Blue => channel(2),
            Self::Saturation => rgb_to_hsv_u8(image)?.index_axis_move(Axis(2), 1),
            Self::Haematoxylin => to_bytes(&haematoxylin(image)?),
        })
    }
}

impl FromStr for Plane {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let planes = [
            Self::Grey,
            Self::Red,
            Self::Green,
            Self::Blue,
            Self::Saturation,
            Self::Haematoxylin,
        ];
        let named = Self::NAMES.iter().zip(planes);
        named
            .into_iter()
            .find(|(name, _)| **name == text)
            .map(|(_, plane)| plane)
            .ok_or_else(|| format!("there are {}", Self::NAMES.join(", ")))
    }
}

/// The amount of haematoxylin.
pub(super) fn haematoxylin(image: ArrayView3<'_, u8>) -> Result<Array2<f32>, GenerateError> {
    Ok(separate_stains(image, &StainMatrix::HED)?.index_axis_move(Axis(2), 0))
}

/// Amounts from 0 on as bytes, the greatest as 255.
fn to_bytes(amounts: &Array2<f32>) -> Array2<u8> {
    let greatest = amounts.iter().copied().fold(0.0_f32, f32::max);
    let scale = if greatest > 0.0 {
        255.0 / greatest
    } else {
        0.0
    };
    amounts.mapv(|amount| (amount * scale).round() as u8)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn planes_are_what_they_are_called() -> Result<(), GenerateError> {
        let image = array![
            [[255, 255, 255], [120, 60, 240]],
            [[10, 10, 10], [255, 0, 0]]
        ];
        let of = |plane: Plane| plane.of(image.view());
        assert_eq!(of(Plane::Green)?, array![[255, 60], [10, 0]]);
        assert_eq!(of(Plane::Saturation)?, array![[0, 191], [0, 255]]);
        assert_eq!(of(Plane::Haematoxylin)?[[0, 0]], 0);
        assert_eq!(of(Plane::Haematoxylin)?.iter().max(), Some(&255));
        for (name, expected) in Plane::NAMES.iter().zip([76, 255, 0, 0, 255]) {
            let plane: Plane = name.parse().unwrap_or_default();
            assert_eq!(of(plane)?[[1, 1]], expected, "{name}");
        }
        assert!("violet".parse::<Plane>().is_err());
        assert!(
            Plane::Grey
                .of(image.slice(ndarray::s![.., .., ..2]))
                .is_err()
        );
        Ok(())
    }
}
