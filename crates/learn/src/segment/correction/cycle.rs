//! Corrected masks as files.

use std::path::{Path, PathBuf};

use cleanslide_data::MaskFile;
use serde::{Deserialize, Serialize};

use super::{CorrectedMask, CorrectedObject};
use crate::correction::CORRECTIONS;
use crate::error::{Error, Result};
use crate::several::several;

/// The masks that a network gave after an epoch: `corrections/epoch-0012.json` in the folder of its training, and a mask
/// of each image in `corrections/epoch-0012`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaskCycle {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// The images that are learned from.
    pub images: Vec<MaskCycleImage>,
}

/// The corrected mask of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaskCycleImage {
    /// What it is called.
    pub image: String,
    /// Its number in the training, which is the name of its mask.
    pub item: usize,
    /// Its objects; object `i` has the number `i + 1` in the mask.
    pub objects: Vec<CorrectedObject>,
}

impl MaskCycle {
    /// Writes what `find` gives for each item, several at once, none of them kept in memory.
    pub(crate) fn write<F: From<Error> + Send>(
        training: &Path,
        epoch: usize,
        items: &[usize],
        name: impl Fn(usize) -> String + Sync,
        find: impl Fn(usize) -> Result<CorrectedMask, F> + Sync,
    ) -> Result<Self, F> {
        let images = several(items, |item| {
            let found = find(item)?;
            let path = mask_path(training, epoch, item);
            MaskFile::write_instances(&path, found.mask.view()).map_err(Error::from)?;
            Ok::<_, F>(MaskCycleImage {
                image: name(item),
                item,
                objects: found.objects,
            })
        })?;
        let cycle = Self { epoch, images };
        CORRECTIONS.write(training, epoch, &cycle)?;
        Ok(cycle)
    }

    /// The epochs after which masks were corrected in the folder of a training, ascending; none if there is no such
    /// folder.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn epochs(training: &Path) -> Result<Vec<usize>> {
        CORRECTIONS.epochs(training)
    }

    /// Reads what was found after an epoch, but the masks.
    ///
    /// # Errors
    /// A file that cannot be read, or is damaged.
    pub fn read(training: &Path, epoch: usize) -> Result<Self> {
        CORRECTIONS.read(training, epoch)
    }
}

/// The file of the mask of an item that was corrected after an epoch: 16-bit PNG, as in a label version.
pub fn mask_path(training: &Path, epoch: usize, item: usize) -> PathBuf {
    let folder = CORRECTIONS.folder(training, epoch);
    folder.join(format!("{item:06}.png"))
}
