//! Simulated pictures in which cells of some kinds are marked.

use std::fs;
use std::path::Path;

use cleanslide_data::store::publish_folder;
use cleanslide_data::{
    Classes, Dataset, Evidence, FORMAT, ImageRecord, Labels, Manifest, MaskFile, NewVersion,
    Reference, Scope, Source, SourceKind, Target, Task, Trust,
};
use cleanslide_weak::simulate::{CaseSettings, CellKind, Entity, SimulatedImage, simulate_case};
use ndarray::Array2;

use super::{SIMULATOR, TRUTH, refuse_existing, unpack, write_picture};
use crate::context::Context;
use crate::failure::{self, Failure};
use crate::output::count;

/// A kind of cell by the first word of its name.
pub fn kind(name: &str) -> Result<CellKind, String> {
    let word = |kind: CellKind| kind.name().split(' ').next().unwrap_or_default();
    let found = CellKind::ALL.into_iter().find(|&kind| word(kind) == name);
    found.ok_or_else(|| format!("expected one of {}", CellKind::ALL.map(word).join(", ")))
}

/// Simulates pictures of cases, whose diagnoses take turns, and writes them as a dataset: one source that is right, and
/// the same as the reference.
pub fn simulate(
    context: &Context,
    folder: &Path,
    cases: usize,
    pictures: usize,
    kinds: &[CellKind],
) -> failure::Result<Dataset> {
    refuse_existing(folder)?;
    let names: Vec<String> = kinds.iter().map(|kind| kind.name().to_owned()).collect();
    let classes = Classes::new(names)?;
    let settings = CaseSettings {
        images: pictures,
        ..CaseSettings::default()
    };
    let cases = u32::try_from(cases).map_err(|_| Failure::usage("there are too many cases"))?;
    publish_folder(folder, |temporary| {
        let inside = temporary.join("dataset");
        let masks = temporary.join("masks");
        let create = |path: &Path| {
            fs::create_dir_all(path)
                .map_err(|error| cleanslide_data::Error::io("create", path, error))
        };
        create(&masks)?;
        let (mut images, mut evidence) = (Vec::new(), Vec::new());
        // Case by case: what is simulated need not fit into memory.
        for case in 0..cases {
            let diagnosis = Entity::ALL[case as usize % Entity::ALL.len()];
            let simulated = simulate_case(context.seed, case, diagnosis, &settings);
            for (index, picture) in simulated.images.iter().enumerate() {
                let case = format!("case{:03}", case + 1);
                let path = format!("images/{case}/{:03}.png", index + 1);
                write_picture(&temporary.join(&path), &picture.rgb)?;
                let (mask, classes) = marked(picture, kinds);
                let file = masks.join(format!("{}.png", images.len()));
                evidence.push(Evidence {
                    source: SIMULATOR.to_owned(),
                    scope: Scope::Image(path.clone()),
                    target: Target::Instances {
                        mask: MaskFile::write_instances(&file, mask.view())?,
                        classes,
                    },
                    trust: Trust::FULL,
                });
                images.push(ImageRecord {
                    id: path.clone(),
                    path,
                    case,
                    microns_per_pixel: Some(f64::from(settings.microns_per_pixel)),
                    ..ImageRecord::default()
                });
            }
        }
        let reference = evidence.iter().cloned().map(|piece| Evidence {
            source: "reference".to_owned(),
            ..piece
        });
        let reference = Reference::new(Labels::new(reference.collect(), &classes)?);
        let simulated = format!("simulated {}", count(images.len(), "picture"));
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
            sources: vec![Source {
                kind: SourceKind::Algorithm,
                ..Source::expert(SIMULATOR)
            }],
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
