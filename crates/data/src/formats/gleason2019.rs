//! The training data of the Gleason 2019 challenge (<https://gleason2019.grand-challenge.org>), with the split of Xiao
//! et al. (arXiv 2104.02602): cores of tissue microarrays of the prostate, and the masks of six pathologists.
//!
//! | in the folder | what |
//! |---|---|
//! | `Train_imgs/` or `Train Imgs/` | the cores, such as `slide001_core003.jpg` |
//! | `Maps1_T/` to `Maps6_T/`, in an older release `Maps1/` to `Maps6/` | the masks of each pathologist, such as `slide001_core003_classimg_nonconvex.png` |
//!
//! Capitals, spaces and underscores in the names of folders do not matter. A mask is a grey PNG of 8 bits, as large as
//! its core. Not every pathologist labelled every core. The images for the challenge's own test have no masks and are
//! not read.
//!
//! **The split** is by core. What all six pathologists labelled is for the test (40 of 244 cores in the paper); what is
//! left and the pathologists 1, 3 and 4 labelled is for training and validation (195). The paper does not say how much
//! of it is for validation: about a fifth is taken, whole slides. All other cores are left out, since images without a
//! split would be learned from.
//!
//! **A case is a core.** A slide holds cores of many patients, and the paper's test shares slides with its training, so
//! the slide is not recorded: cores of one slide would have to stay together. Neither is the patient, whom nothing in
//! the folder names. Some patients have several cores (333 cores are of 231 patients, Nir et al. 2019,
//! doi:10.1001/jamanetworkopen.2019.0442), so patients may be on both sides of this split, and intervals that resample
//! cores are somewhat too narrow.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::mask_file::read_numbered;
use super::sorted_entries;
use crate::classes::Classes;
use crate::error::{Error, Result};
use crate::evidence::{Evidence, Scope, Source, Target, Trust};
use crate::image_file::{MAX_PIXELS, image_size, looks_like_image};
use crate::images::{ImageRecord, Split};
use crate::parallel::TryMap;
use crate::split::{Proportions, assign_splits};
use crate::value_map::{ClassTable, ValueMap};

/// What the challenge says that the numbers in masks mean: 0, 1 and 6 are benign, 3 to 5 Gleason grades.
pub const VALUES: &str = "0=benign,1=benign,3=grade-3,4=grade-4,5=grade-5,6=benign";

/// Pathologists, from 1.
pub const PATHOLOGISTS: usize = 6;

/// The pathologists who labelled what is for training.
const TRAINING: [usize; 3] = [1, 3, 4];

/// Share of the cores for training that is taken for validation.
const VALIDATION: f64 = 0.2;

/// What follows the name of the core in that of a mask.
const MASK_SUFFIX: &str = "_classimg_nonconvex.png";

/// What lies in the folder.
#[derive(Debug, Clone)]
pub struct Challenge {
    /// Cores of the paper's split, by name.
    pub cores: Vec<Core>,
    /// Cores that are labelled, but no part of the split.
    pub left_out: Vec<String>,
    /// Cores that nobody labelled.
    pub unlabelled: Vec<String>,
    /// Masks that are not called like a core.
    pub masks_without_core: Vec<PathBuf>,
}

/// A core, with the masks of those who labelled it.
#[derive(Debug, Clone)]
pub struct Core {
    name: String,
    image: PathBuf,
    /// By pathologist, from 1.
    masks: BTreeMap<usize, PathBuf>,
}

impl Core {
    /// Its part in the paper's split, in which validation is a part of training.
    fn part(&self) -> Option<Split> {
        let labelled_by = |pathologist: usize| self.masks.contains_key(&pathologist);
        if (1..=PATHOLOGISTS).all(labelled_by) {
            Some(Split::Test)
        } else if TRAINING.into_iter().all(labelled_by) {
            Some(Split::Train)
        } else {
            None
        }
    }

    /// What is before `_core`; all of a name that has no such part.
    fn slide(&self) -> &str {
        let parts = self.name.split_once("_core");
        parts.map_or(self.name.as_str(), |(slide, _)| slide)
    }

    fn read_mask(&self, path: &Path, table: &ClassTable) -> Result<ndarray::Array2<u8>> {
        let bytes = fs::read(path).map_err(|error| Error::io("read", path, error))?;
        let mask = read_numbered(path, &bytes, table, MAX_PIXELS)?;
        let (height, width) = image_size(&self.image)?;
        if mask.dim() != (height, width) {
            return Err(Error::image(
                path,
                format!(
                    "the mask has {} × {} pixels, its image {} has {width} × {height}",
                    mask.ncols(),
                    mask.nrows(),
                    self.image.display()
                ),
            )
            .with_help("Unpack both again: in the challenge they are of one size."));
        }
        Ok(mask)
    }
}

impl Challenge {
    /// Looks what is there; nothing is read yet.
    ///
    /// # Errors
    /// A folder is missing or there twice, two images have one name, or no core is part of the split.
    pub fn find(folder: &Path) -> Result<Self> {
        let mut cores = cores(&folder_called(folder, &["Train_imgs"])?)?;
        let mut masks_without_core = Vec::new();
        for pathologist in 1..=PATHOLOGISTS {
            let names = [format!("Maps{pathologist}_T"), format!("Maps{pathologist}")];
            let maps = folder_called(folder, &names.each_ref().map(String::as_str))?;
            for mask in sorted_entries(&maps)?
                .into_iter()
                .filter(|path| is_png(path))
            {
                let file = mask.file_name().unwrap_or_default().to_string_lossy();
                let core = file.strip_suffix(MASK_SUFFIX);
                match core.and_then(|core| cores.get_mut(core)) {
                    Some(core) => {
                        core.masks.insert(pathologist, mask);
                    }
                    None => masks_without_core.push(mask),
                }
            }
        }
        let (used, others): (Vec<Core>, Vec<Core>) =
            cores.into_values().partition(|core| core.part().is_some());
        if used.is_empty() {
            return Err(Error::file(
                folder,
                "no core has masks of all six pathologists, or of 1, 3 and 4",
            )
            .with_help(format!(
                "Masks are called like their core, with {MASK_SUFFIX} in place of the ending, and lie directly in Maps1_T to Maps6_T."
            )));
        }
        let (unlabelled, left_out): (Vec<Core>, Vec<Core>) =
            others.into_iter().partition(|core| core.masks.is_empty());
        let names = |cores: Vec<Core>| cores.into_iter().map(|core| core.name).collect();
        Ok(Self {
            cores: used,
            left_out: names(left_out),
            unlabelled: names(unlabelled),
            masks_without_core,
        })
    }

    /// How many masks the cores of the split have.
    pub fn masks(&self) -> usize {
        self.cores.iter().map(|core| core.masks.len()).sum()
    }

    /// The pathologists, with what the numbers in their masks mean.
    pub fn sources(&self, values: &ValueMap) -> Vec<Source> {
        let source = |pathologist| Source {
            values: Some(values.clone()),
            ..Source::expert(source_id(pathologist))
        };
        (1..=PATHOLOGISTS).map(source).collect()
    }

    /// The cores as images, with their split. The generator decides between slides of one size which are for
    /// validation; where all training is of one slide, nothing is.
    ///
    /// # Errors
    /// The slides cannot be divided.
    pub fn images(&self, rng: &mut ChaCha8Rng) -> Result<Vec<ImageRecord>> {
        let mut training = self.divide_training(rng)?.into_iter();
        let image = |core: &Core| ImageRecord {
            id: core.name.clone(),
            path: core.image.to_string_lossy().into_owned(),
            case: core.name.clone(),
            split: match core.part() {
                Some(Split::Train) => training.next(),
                other => other,
            },
            ..ImageRecord::default()
        };
        Ok(self.cores.iter().map(image).collect())
    }

    /// Training or validation, for each core that is not for the test.
    fn divide_training(&self, rng: &mut ChaCha8Rng) -> Result<Vec<Split>> {
        let mut slides = BTreeMap::new();
        let units: Vec<usize> = self
            .cores
            .iter()
            .filter(|core| core.part() == Some(Split::Train))
            .map(|core| {
                let next = slides.len();
                *slides.entry(core.slide()).or_insert(next)
            })
            .collect();
        if slides.len() < 2 {
            return Ok(vec![Split::Train; units.len()]);
        }
        let shares = Proportions::new(VALIDATION, 0.0)?;
        assign_splits(&units, &vec![None; units.len()], shares, rng)
    }

    /// Reads the masks and writes them into a folder, with the numbers of the classes; `done` is called after each.
    /// One mask is in memory for each thread.
    ///
    /// # Errors
    /// A mask is damaged, of another size than its image, or has a number that the values do not name; the head of an
    /// image cannot be read; a class of the values is none of these; the file system refuses.
    pub fn evidence(
        &self,
        values: &ValueMap,
        classes: &Classes,
        folder: &Path,
        done: impl Fn() + Sync + Send,
    ) -> Result<Vec<Evidence>> {
        let table = values.table(classes)?;
        let masks: Vec<(&Core, usize, &PathBuf)> = self
            .cores
            .iter()
            .flat_map(|core| core.masks.iter().map(move |(&by, path)| (core, by, path)))
            .collect();
        masks.par_iter().try_map(|&(core, pathologist, path)| {
            let mask = core.read_mask(path, &table)?;
            let source = source_id(pathologist);
            let file = folder.join(format!("{}-{source}.png", core.name));
            let target = Target::class_mask(&file, mask.view())?;
            done();
            Ok(Evidence {
                source,
                scope: Scope::Image(core.name.clone()),
                target,
                trust: Trust::FULL,
            })
        })
    }
}

fn source_id(pathologist: usize) -> String {
    format!("pathologist-{pathologist}")
}

/// The images of a folder as cores that nobody labelled yet, by name.
fn cores(folder: &Path) -> Result<BTreeMap<String, Core>> {
    let mut cores: BTreeMap<String, Core> = BTreeMap::new();
    let entries = sorted_entries(folder)?.into_iter();
    for image in entries.filter(|path| looks_like_image(path)) {
        let name = image.file_stem().unwrap_or_default().to_string_lossy();
        let name = name.into_owned();
        let core = Core {
            name: name.clone(),
            image,
            masks: BTreeMap::new(),
        };
        if let Some(other) = cores.insert(name, core) {
            return Err(Error::file(
                &other.image,
                "another image has this name but for the ending",
            )
            .with_help("Rename or remove one of them."));
        }
    }
    Ok(cores)
}

/// The only folder in another that has one of these names, whatever its capitals, spaces and underscores.
fn folder_called(parent: &Path, names: &[&str]) -> Result<PathBuf> {
    let plain = |name: &str| name.to_lowercase().replace([' ', '_'], "");
    let wanted: Vec<String> = names.iter().map(|name| plain(name)).collect();
    let found: Vec<PathBuf> = sorted_entries(parent)?
        .into_iter()
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            path.is_dir() && wanted.contains(&plain(&name))
        })
        .collect();
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(
            Error::file(parent, format!("has no folder {}", names.join(" or "))).with_help(
                "Unpack the challenge's archives into one folder: Train_imgs, and Maps1_T to Maps6_T.",
            ),
        ),
        [first, second, ..] => {
            let names = [first, second].map(|path| path.file_name().unwrap_or_default().display());
            let [first, second] = names;
            Err(
                Error::file(parent, format!("has {first} and {second}, which mean the same"))
                    .with_help("Move one of them out of the way."),
            )
        }
    }
}

fn is_png(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("png"))
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn core(name: String, pathologists: &[usize]) -> Core {
        let masks = pathologists.iter().map(|&by| (by, PathBuf::new()));
        Core {
            name,
            image: PathBuf::new(),
            masks: masks.collect(),
        }
    }

    fn challenge(cores: Vec<Core>) -> Challenge {
        Challenge {
            cores,
            left_out: Vec::new(),
            unlabelled: Vec::new(),
            masks_without_core: Vec::new(),
        }
    }

    fn splits(challenge: &Challenge, seed: u64) -> Vec<Option<Split>> {
        let images = challenge.images(&mut ChaCha8Rng::seed_from_u64(seed));
        images
            .unwrap_or_default()
            .iter()
            .map(|image| image.split)
            .collect()
    }

    #[test]
    fn the_split_is_that_of_the_paper() {
        let part = |pathologists: &[usize]| core("a".into(), pathologists).part();
        assert_eq!(part(&[1, 2, 3, 4, 5, 6]), Some(Split::Test));
        assert_eq!(part(&[1, 3, 4]), Some(Split::Train));
        assert_eq!(part(&[1, 2, 3, 4, 5]), Some(Split::Train));
        assert_eq!(part(&[1, 2, 3, 5, 6]), None);
        assert_eq!(part(&[]), None);
    }

    #[test]
    fn whole_slides_are_for_validation() {
        let cores = (0..40).map(|number| {
            let all: &[usize] = if number % 8 == 0 {
                &[1, 2, 3, 4, 5, 6]
            } else {
                &[1, 3, 4]
            };
            core(format!("slide{}_core{number}", number % 5), all)
        });
        let challenge = challenge(cores.collect());
        let found = splits(&challenge, 0);
        for (first, core) in found.iter().zip(&challenge.cores) {
            for (second, other) in found.iter().zip(&challenge.cores) {
                let trained = *first != Some(Split::Test) && *second != Some(Split::Test);
                if trained && core.slide() == other.slide() {
                    assert_eq!(first, second);
                }
            }
        }
        // One of five slides of seven cores that are not for the test.
        let count = |split| found.iter().filter(|&&part| part == Some(split)).count();
        let counts = [Split::Train, Split::Validation, Split::Test].map(count);
        assert_eq!(counts, [28, 7, 5]);
        assert_eq!(found, splits(&challenge, 0));
        assert!((1..20).any(|seed| splits(&challenge, seed) != found));
    }

    #[test]
    fn of_one_slide_nothing_is_for_validation() {
        let cores = ["slide1_core1", "slide1_core2"].map(|name| core(name.into(), &[1, 3, 4]));
        assert_eq!(
            splits(&challenge(cores.to_vec()), 0),
            [Some(Split::Train); 2]
        );
    }
}
