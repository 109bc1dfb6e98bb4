//! Simulated pictures in which cells of some kinds are marked, or every pixel has a class.

use std::fs;
use std::path::Path;

use cleanslide_data::store::publish_folder;
use cleanslide_data::{
    Classes, Dataset, Evidence, FORMAT, ImageRecord, Labels, Manifest, MaskFile, NewVersion,
    Reference, Scope, Source, SourceKind, Target, Task, Trust,
};
use cleanslide_weak::simulate::{
    CaseSettings, CellKind, Entity, SimulatedImage, TissueClass, simulate_case,
};
use ndarray::Array2;

use super::{SIMULATOR, TRUTH, unpack, write_picture};
use crate::context::Context;
use crate::failure::{self, Failure};
use crate::new_folder::refuse_existing;
use crate::output::count;

/// A kind of cell by the first word of its name.
pub fn kind(name: &str) -> Result<CellKind, String> {
    let word = |kind: CellKind| kind.name().split(' ').next().unwrap_or_default();
    let found = CellKind::ALL.into_iter().find(|&kind| word(kind) == name);
    found.ok_or_else(|| format!("expected one of {}", CellKind::ALL.map(word).join(", ")))
}

/// What of a picture is told.
pub enum Told<'a> {
    /// The cells of these kinds, each a class.
    Cells(&'a [CellKind]),
    /// The class of each pixel, and the diagnosis of each case.
    Tissue,
}

/// Who says what a case is not.
const DIAGNOSIS: &str = "diagnosis";

impl Told<'_> {
    /// The diagnoses that take turns.
    fn diagnoses(&self) -> &[Entity] {
        match self {
            Self::Cells(_) => &Entity::ALL,
            Self::Tissue => &[Entity::Hepatocellular, Entity::Cholangiocellular],
        }
    }

    /// How large pictures are, and their pixels: tissue is told by its architecture, cells by their nuclei.
    fn settings(&self, images: usize) -> CaseSettings {
        let microns_per_pixel = match self {
            Self::Cells(_) => 0.5,
            Self::Tissue => 1.0,
        };
        CaseSettings {
            images,
            microns_per_pixel,
            ..CaseSettings::default()
        }
    }

    fn classes(&self) -> cleanslide_data::Result<Classes> {
        Classes::new(match self {
            Self::Cells(kinds) => kinds.iter().map(|kind| kind.name().to_owned()).collect(),
            Self::Tissue => {
                let all = TissueClass::ALL.iter();
                all.map(|class| class.name().to_owned()).collect()
            }
        })
    }

    fn sources(&self) -> Vec<Source> {
        let simulator = Source {
            kind: SourceKind::Algorithm,
            ..Source::expert(SIMULATOR)
        };
        let diagnosis = Source {
            kind: SourceKind::Diagnosis,
            ..Source::expert(DIAGNOSIS)
        };
        match self {
            Self::Cells(_) => vec![simulator],
            Self::Tissue => vec![simulator, diagnosis],
        }
    }

    /// What is said of a picture, with its mask in a file.
    fn target(&self, picture: &SimulatedImage, file: &Path) -> cleanslide_data::Result<Target> {
        Ok(match self {
            Self::Cells(kinds) => {
                let (mask, classes) = marked(picture, kinds);
                Target::Instances {
                    mask: MaskFile::write_instances(file, mask.view())?,
                    classes,
                }
            }
            Self::Tissue => {
                Target::Dense(MaskFile::write_classes(file, picture.pixel_class.view())?)
            }
        })
    }

    /// What a diagnosis says of a case: the tumours that it has not.
    fn excluded(&self, case: &str, diagnosis: Entity) -> Option<Evidence> {
        let Self::Tissue = self else {
            return None;
        };
        let others = self.diagnoses().iter().filter(|&&other| other != diagnosis);
        let classes = others.filter_map(|other| Some(other.tumour_class()? as usize));
        Some(Evidence {
            source: DIAGNOSIS.to_owned(),
            scope: Scope::Case(case.to_owned()),
            target: Target::NoneOf(classes.collect()),
            trust: Trust::FULL,
        })
    }
}

/// Simulates pictures of cases, whose diagnoses take turns, and writes them as a dataset: one source that is right, and
/// the same as the reference.
pub fn simulate(
    context: &Context,
    folder: &Path,
    cases: usize,
    pictures: usize,
    told: &Told,
) -> failure::Result<Dataset> {
    refuse_existing(folder)?;
    let classes = told.classes()?;
    let settings = told.settings(pictures);
    let cases = u32::try_from(cases).map_err(|_| Failure::usage("there are too many cases"))?;
    publish_folder(folder, |temporary| {
        let inside = temporary.join("dataset");
        let masks = temporary.join("masks");
        let create = |path: &Path| {
            fs::create_dir_all(path)
                .map_err(|error| cleanslide_data::Error::io("create", path, error))
        };
        create(&masks)?;
        let (mut images, mut drawn, mut diagnosed) = (Vec::new(), Vec::new(), Vec::new());
        // Case by case: what is simulated need not fit into memory.
        for case in 0..cases {
            let diagnoses = told.diagnoses();
            let diagnosis = diagnoses[case as usize % diagnoses.len()];
            let simulated = simulate_case(context.seed, case, diagnosis, &settings);
            let case = format!("case{:03}", case + 1);
            diagnosed.extend(told.excluded(&case, diagnosis));
            for (index, picture) in simulated.images.iter().enumerate() {
                let path = format!("images/{case}/{:03}.png", index + 1);
                write_picture(&temporary.join(&path), &picture.rgb)?;
                let file = masks.join(format!("{}.png", images.len()));
                drawn.push(Evidence {
                    source: SIMULATOR.to_owned(),
                    scope: Scope::Image(path.clone()),
                    target: told.target(picture, &file)?,
                    trust: Trust::FULL,
                });
                images.push(ImageRecord {
                    id: path.clone(),
                    path,
                    case: case.clone(),
                    microns_per_pixel: Some(f64::from(settings.microns_per_pixel)),
                    ..ImageRecord::default()
                });
            }
        }
        let reference = drawn.iter().cloned().map(|piece| Evidence {
            source: "reference".to_owned(),
            ..piece
        });
        let reference = Reference::new(Labels::new(reference.collect(), &classes)?);
        let simulated = format!("simulated {}", count(images.len(), "picture"));
        let evidence = drawn.into_iter().chain(diagnosed).collect();
        let first = NewVersion {
            parent: None,
            produced: Some(SIMULATOR.to_owned()),
            sources: Vec::new(),
            labels: Labels::new(evidence, &classes)?,
            provenance: context.provenance(simulated),
            notes: Vec::new(),
        };
        let manifest = Manifest {
            format: FORMAT,
            task: Task::Segmentation,
            classes: classes.clone(),
            sources: told.sources(),
        };
        Dataset::create(
            &inside,
            manifest,
            images,
            Some(first),
            &[(TRUTH.into(), reference)],
        )?;
        unpack(&inside, temporary)?;
        fs::remove_dir_all(&masks)
            .map_err(|error| cleanslide_data::Error::io("remove", &masks, error))
    })?;
    Ok(Dataset::open(folder)?)
}

/// The nuclei of these kinds, by numbers from 1, and the place of each one's kind.
fn marked(picture: &SimulatedImage, kinds: &[CellKind]) -> (Array2<u32>, Vec<usize>) {
    let mut classes = Vec::new();
    let mut numbers = vec![0; picture.cells.len() + 1];
    for cell in &picture.cells {
        if let Some(class) = kinds.iter().position(|&kind| kind == cell.kind) {
            classes.push(class);
            numbers[usize::from(cell.id)] = classes.len() as u32;
        }
    }
    let mask = picture.instances.mapv(|cell| numbers[usize::from(cell)]);
    (mask, classes)
}
