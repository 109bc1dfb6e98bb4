//! Masks as arrays, and as the PNG files of a label version.
//!
//! In memory a class mask is a picture of `u8` in which [`UNLABELLED_CLASS`] is unlabelled, and an
//! instance mask a picture of `u32` object numbers in which 0 is background and
//! [`UNLABELLED_OBJECT`] is unlabelled. In files they are 8-bit and 16-bit grey PNG, the latter with
//! [`UNLABELLED_INSTANCE`] for unlabelled.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageBuffer, ImageFormat, ImageReader, Luma};
use ndarray::{Array2, ArrayView2};

use crate::error::{Error, Result};
use crate::evidence::{MaskFile, Target, UNLABELLED_CLASS, UNLABELLED_INSTANCE};
use crate::store::write_file;

/// Pixels of an instance mask in memory with this value are unlabelled.
pub const UNLABELLED_OBJECT: u32 = u32::MAX;

/// Reads a class mask, `[height, width]`.
///
/// # Errors
/// The file is missing, damaged, or not an 8-bit grey PNG.
pub fn read_class_mask(path: &Path) -> Result<Array2<u8>> {
    class_mask(path, read_bytes(path)?)
}

fn class_mask(path: &Path, bytes: Vec<u8>) -> Result<Array2<u8>> {
    match decode_png(path, bytes)? {
        DynamicImage::ImageLuma8(mask) => Ok(picture(mask)),
        other => Err(wrong_kind(
            path,
            &other,
            "8-bit grey, one class number per pixel",
        )),
    }
}

/// Reads an instance mask, `[height, width]`; 8-bit masks are accepted too, without unlabelled
/// pixels.
///
/// # Errors
/// The file is missing, damaged, or not a grey PNG of 8 or 16 bits.
pub fn read_instance_mask(path: &Path) -> Result<Array2<u32>> {
    instance_mask(path, read_bytes(path)?)
}

fn instance_mask(path: &Path, bytes: Vec<u8>) -> Result<Array2<u32>> {
    match decode_png(path, bytes)? {
        DynamicImage::ImageLuma16(mask) => Ok(picture(mask).mapv(|object| {
            if object == UNLABELLED_INSTANCE {
                UNLABELLED_OBJECT
            } else {
                u32::from(object)
            }
        })),
        DynamicImage::ImageLuma8(mask) => Ok(picture(mask).mapv(u32::from)),
        other => Err(wrong_kind(
            path,
            &other,
            "16-bit grey, one object number per pixel",
        )),
    }
}

impl MaskFile {
    /// A mask that was written before.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn at(path: PathBuf) -> Result<Self> {
        let hash = hash_of(&read_bytes(&path)?);
        Ok(Self { path, hash })
    }

    /// The bytes of the file: what was written, or an error.
    ///
    /// # Errors
    /// The file cannot be read, or it was changed since its hash was taken.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        let bytes = read_bytes(&self.path)?;
        if hash_of(&bytes) == self.hash {
            return Ok(bytes);
        }
        Err(
            Error::file(&self.path, "the mask has changed since its hash was taken")
                .with_help("Labels do not change: restore it from a backup, or import it again as labels of another name."),
        )
    }

    /// Reads it as a class mask, `[height, width]`.
    ///
    /// # Errors
    /// The file is missing, was changed since its hash was taken, or is not an 8-bit grey PNG.
    pub fn read_classes(&self) -> Result<Array2<u8>> {
        class_mask(&self.path, self.bytes()?)
    }

    /// Reads it as an instance mask, `[height, width]`, as [`read_instance_mask`] does.
    ///
    /// # Errors
    /// The file is missing, was changed since its hash was taken, or is not a grey PNG of 8 or 16 bits.
    pub fn read_instances(&self) -> Result<Array2<u32>> {
        instance_mask(&self.path, self.bytes()?)
    }

    /// Writes a class mask as a PNG file.
    ///
    /// # Errors
    /// The mask has no pixels, or the file system refuses.
    pub fn write_classes(path: &Path, mask: ArrayView2<'_, u8>) -> Result<Self> {
        let pixels = mask.iter().copied().collect();
        let buffer = buffer(path, mask.dim(), pixels)?;
        Self::write(path, &DynamicImage::ImageLuma8(buffer))
    }

    /// Writes an instance mask as a PNG file.
    ///
    /// # Errors
    /// The mask has no pixels or an object number above 65,534, or the file system refuses.
    pub fn write_instances(path: &Path, mask: ArrayView2<'_, u32>) -> Result<Self> {
        let pixels = mask.iter().map(|&object| file_number(path, object));
        let buffer = buffer(path, mask.dim(), pixels.collect::<Result<_>>()?)?;
        Self::write(path, &DynamicImage::ImageLuma16(buffer))
    }

    fn write(path: &Path, image: &DynamicImage) -> Result<Self> {
        let mut bytes = Vec::new();
        image
            .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
            .map_err(|error| Error::image(path, error.to_string()))?;
        write_file(path, &bytes)?;
        Ok(Self {
            path: path.to_owned(),
            hash: hash_of(&bytes),
        })
    }
}

impl Target {
    /// Writes a class mask as a PNG file: partial if a pixel is unlabelled, otherwise dense.
    ///
    /// # Errors
    /// As [`MaskFile::write_classes`].
    pub fn class_mask(path: &Path, mask: ArrayView2<'_, u8>) -> Result<Self> {
        let file = MaskFile::write_classes(path, mask)?;
        let partial = mask.iter().any(|&class| class == UNLABELLED_CLASS);
        Ok(if partial {
            Self::Partial(file)
        } else {
            Self::Dense(file)
        })
    }
}

fn file_number(path: &Path, object: u32) -> Result<u16> {
    match u16::try_from(object) {
        _ if object == UNLABELLED_OBJECT => Ok(UNLABELLED_INSTANCE),
        Ok(number) if number != UNLABELLED_INSTANCE => Ok(number),
        _ => Err(Error::image(
            path,
            format!("object {object} does not fit into a 16-bit instance mask"),
        )
        .with_help("Number the objects from 1, at most 65,534 per image, or cut it into tiles.")),
    }
}

fn buffer<T: image::Primitive>(
    path: &Path,
    (height, width): (usize, usize),
    pixels: Vec<T>,
) -> Result<ImageBuffer<Luma<T>, Vec<T>>>
where
    Luma<T>: image::Pixel<Subpixel = T>,
{
    let sides = (u32::try_from(width), u32::try_from(height));
    match sides {
        (Ok(width @ 1..), Ok(height @ 1..)) => ImageBuffer::from_raw(width, height, pixels),
        _ => None,
    }
    .ok_or_else(|| {
        Error::image(
            path,
            format!("a mask of {width} × {height} pixels cannot be kept"),
        )
    })
}

fn picture<T: image::Primitive>(mask: ImageBuffer<Luma<T>, Vec<T>>) -> Array2<T>
where
    Luma<T>: image::Pixel<Subpixel = T>,
{
    let size = (mask.height() as usize, mask.width() as usize);
    Array2::from_shape_vec(size, mask.into_raw())
        .unwrap_or_else(|_| unreachable!("a grey image has one value per pixel"))
}

fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::io("read", path, error))
}

fn hash_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn decode_png(path: &Path, bytes: Vec<u8>) -> Result<DynamicImage> {
    ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png)
        .decode()
        .map_err(|error| {
            Error::image(path, format!("not a PNG file that can be read: {error}"))
                .with_help("Masks are PNG files; restore it from a backup, or import it again.")
        })
}

fn wrong_kind(path: &Path, found: &DynamicImage, wanted: &str) -> Error {
    Error::image(
        path,
        format!("the mask is {:?}, but {wanted}, is needed", found.color()),
    )
    .with_help("Import masks with `cleanslide import`, which converts them.")
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn masks_come_back_as_they_were() -> Result<()> {
        let folder = tempfile::tempdir().map_err(|e| Error::io("create", Path::new("."), e))?;
        let path = folder.path().join("mask.png");
        let classes = array![[0, 1, UNLABELLED_CLASS], [2, 254, 0]];
        let file = MaskFile::write_classes(&path, classes.view())?;
        assert_eq!(read_class_mask(&file.path)?, classes);
        assert_eq!(read_instance_mask(&path)?[(1, 1)], 254);

        let objects = array![[0, 1], [UNLABELLED_OBJECT, 65_534]];
        let other = MaskFile::write_instances(&path, objects.view())?;
        assert_eq!(read_instance_mask(&path)?, objects);
        assert_ne!(file.hash, other.hash);
        assert!(read_class_mask(&path).is_err_and(|e| e.to_string().contains("8-bit grey")));
        Ok(())
    }

    #[test]
    fn a_mask_that_was_changed_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.png");
        let file = MaskFile::write_classes(&path, array![[0, 1]].view()).unwrap();
        assert_eq!(file.read_classes().unwrap(), array![[0, 1]]);
        MaskFile::write_classes(&path, array![[1, 1]].view()).unwrap();
        for error in [
            file.read_classes().unwrap_err(),
            file.read_instances().unwrap_err(),
        ] {
            assert!(error.to_string().starts_with(&path.display().to_string()));
            assert!(error.help().unwrap().contains("restore it from a backup"));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let path = Path::new("mask.png");
        let refused = |objects: Array2<u32>| {
            let error = MaskFile::write_instances(path, objects.view());
            error.err().map(|error| error.to_string())
        };
        assert!(refused(array![[65_535]]).is_some_and(|text| text.contains("object 65535")));
        assert!(refused(Array2::zeros((0, 4))).is_some());
        assert!(read_class_mask(path).is_err());
    }
}
