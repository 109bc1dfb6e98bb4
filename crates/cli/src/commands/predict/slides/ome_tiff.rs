//! Class masks that know where on a slide they lie, as QuPath, napari and ImageJ open them.

use std::fmt::Write;
use std::io::{self, Cursor};
use std::path::Path;

use cleanslide_data::Error;
use cleanslide_data::store::write_file;
use ndarray::ArrayView2;
use tiff::TiffResult;
use tiff::encoder::{Compression, DeflateLevel, TiffEncoder, colortype::Gray8};
use tiff::tags::Tag;

/// Where a mask lies.
pub struct Place {
    /// The side of a pixel, in microns; none where it is not known.
    pub microns_per_pixel: Option<f64>,
    /// The upper left corner (x, y), in pixels.
    pub origin: [f64; 2],
}

/// Writes a mask of classes; `names` say what its values mean.
pub fn write(
    path: &Path,
    classes: ArrayView2<'_, u8>,
    place: &Place,
    names: &[(u8, &str)],
) -> cleanslide_data::Result<()> {
    let bytes = bytes(classes, place, names)
        .map_err(|error| Error::io("write", path, io::Error::other(error)))?;
    write_file(path, &bytes)
}

/// The bytes of an OME-TIFF file (<https://docs.openmicroscopy.org/ome-model/>) of a mask.
fn bytes(classes: ArrayView2<'_, u8>, place: &Place, names: &[(u8, &str)]) -> TiffResult<Vec<u8>> {
    let (height, width) = classes.dim();
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes)?
        .with_compression(Compression::Deflate(DeflateLevel::Balanced));
    let mut image = encoder.new_image::<Gray8>(width as u32, height as u32)?;
    let described = described([width, height], place, names);
    image
        .encoder()
        .write_tag(Tag::ImageDescription, described.as_str())?;
    let pixels: Vec<u8> = classes.iter().copied().collect();
    image.write_data(&pixels)?;
    Ok(bytes.into_inner())
}

fn described([width, height]: [usize; 2], place: &Place, names: &[(u8, &str)]) -> String {
    let of_classes: Vec<String> = names
        .iter()
        .map(|(value, name)| format!("{value} {}", escaped(name)))
        .collect();
    // Lengths are in microns where no unit is given.
    let (mut size, mut plane) = (String::new(), String::new());
    if let Some(microns) = place.microns_per_pixel {
        // To a tenth of a nanometre: more digits are those of a product.
        let rounded = |value: f64| (value * 1e4).round() / 1e4;
        let [x, y] = place.origin.map(|at| rounded(at * microns));
        let microns = rounded(microns);
        size = format!(r#" PhysicalSizeX="{microns}" PhysicalSizeY="{microns}""#);
        plane = format!(
            r#"<Plane TheZ="0" TheT="0" TheC="0" PositionX="{x}" PositionXUnit="&#181;m" PositionY="{y}" PositionYUnit="&#181;m"/>"#
        );
    }
    format!(
        concat!(
            r#"<?xml version="1.0" encoding="UTF-8"?>"#,
            r#"<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" "#,
            r#"xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="#,
            r#""http://www.openmicroscopy.org/Schemas/OME/2016-06 "#,
            r#"http://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd">"#,
            r#"<Image ID="Image:0" Name="classes"><Description>{classes}</Description>"#,
            r#"<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="{width}" SizeY="{height}" "#,
            r#"SizeC="1" SizeZ="1" SizeT="1"{size}>"#,
            r#"<Channel ID="Channel:0:0" Name="class" SamplesPerPixel="1"/>"#,
            r#"<TiffData IFD="0" PlaneCount="1"/>{plane}</Pixels></Image></OME>"#,
        ),
        classes = of_classes.join(", "),
        width = width,
        height = height,
        size = size,
        plane = plane,
    )
}

/// Text in XML, of ASCII alone, as the description of a TIFF file must be.
fn escaped(text: &str) -> String {
    let mut all = String::new();
    for letter in text.chars() {
        match letter.is_ascii() && !r#"<>&""#.contains(letter) {
            true => all.push(letter),
            false => _ = write!(all, "&#{};", u32::from(letter)),
        }
    }
    all
}
