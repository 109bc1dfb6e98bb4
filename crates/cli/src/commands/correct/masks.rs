//! Masks of objects that a network corrected while it learned from them.

use cleanslide_data::mask::{UNLABELLED_OBJECT, read_instance_mask};
use cleanslide_data::{Dataset, Evidence, Family, MaskFile, Scope, Target, Trust, to_csv};
use cleanslide_learn::correction::Change;
use cleanslide_learn::segment::correction::{
    CorrectedObject, GivenObject, MaskCycle, ObjectChange, changes, mask_path,
};

use super::run::{Corrected, CorrectingRun};
use crate::failure::{Failure, Result};
use crate::network_run::{NetworkRecipe, PixelRecipe, read_config};

/// What became of the masks of a run.
pub fn corrected(dataset: &Dataset, run: &CorrectingRun) -> Result<Corrected> {
    let recipe: PixelRecipe = read_config(run.run)?;
    let (epoch, epochs) = run.epoch(recipe.corrects_labels(), MaskCycle::epochs)?;
    let folder = run.folder();
    let cycle = MaskCycle::read(&folder, epoch)?;
    let given = run
        .labels
        .of_images(&run.manifest.source, Family::Instances);
    let mut compared: Vec<(&str, Vec<ObjectChange>)> = Vec::new();
    let mut evidence = Vec::new();
    for image in &cycle.images {
        let path = mask_path(&folder, epoch, image.item);
        let corrected = read_instance_mask(&path)?;
        let Some(Target::Instances { mask, classes }) =
            given.get(image.image.as_str()).map(|piece| &piece.target)
        else {
            return Err(Failure::input(format!(
                "`{}` has no mask of {}",
                run.manifest.source, image.image
            )));
        };
        let given = mask.read_instances()?;
        let changed = changes(
            (given.view(), classes),
            (corrected.view(), image.objects.as_slice()),
        )?;
        compared.push((&image.image, changed));
        if corrected.iter().all(|&object| object == UNLABELLED_OBJECT) {
            continue;
        }
        evidence.push(Evidence {
            source: run.name.to_owned(),
            scope: Scope::Image(image.image.clone()),
            target: Target::Instances {
                mask: MaskFile::at(path)?,
                classes: image.objects.iter().map(|object| object.class).collect(),
            },
            trust: Trust::FULL,
        });
    }
    Ok(Corrected {
        epoch,
        epochs,
        table: changes_table(dataset, &compared),
        counts: compared.iter().flat_map(|(_, changes)| changes).collect(),
        images: compared.len(),
        unlabelled: compared.len() - evidence.len(),
        incomplete: 0,
        evidence,
    })
}

fn changes_table(dataset: &Dataset, compared: &[(&str, Vec<ObjectChange>)]) -> Vec<u8> {
    let class = |class: usize| dataset.classes().name(class);
    let row = |image: &str, change: &ObjectChange| -> Vec<String> {
        let (what, given, found, reason) = match change {
            Change::Kept(given, found) => ("kept", Some(given), Some(found), "found"),
            Change::Redrawn(given, found) => {
                let reason = redrawn_because(given, &found.1);
                ("redrawn", Some(given), Some(found), reason)
            }
            Change::Added(found) => ("added", None, Some(found), "found, and not marked"),
            Change::Dropped(given) => {
                let reason = "nothing was found here that is sure enough";
                ("dropped", Some(given), None, reason)
            }
        };
        let of_given = |cell: &dyn Fn(&GivenObject) -> String| given.map_or_else(String::new, cell);
        let of_found =
            |cell: &dyn Fn(&(u32, CorrectedObject)) -> String| found.map_or_else(String::new, cell);
        vec![
            image.to_owned(),
            what.to_owned(),
            of_given(&|given| given.number.to_string()),
            of_given(&|given| class(given.class)),
            of_given(&|given| given.area.to_string()),
            of_found(&|(number, _)| number.to_string()),
            of_found(&|(_, found)| class(found.class)),
            of_found(&|(_, found)| found.area.to_string()),
            of_found(&|(_, found)| format!("{:.4}", found.score)),
            reason.to_owned(),
        ]
    };
    to_csv(
        &[
            "image",
            "change",
            "given object",
            "given class",
            "given pixels",
            "object",
            "class",
            "pixels",
            "score",
            "reason",
        ],
        (compared.iter())
            .flat_map(|(image, changes)| changes.iter().map(move |change| row(image, change))),
    )
}

fn redrawn_because(given: &GivenObject, found: &CorrectedObject) -> &'static str {
    if given.class == found.class {
        "its outline overlaps the given one by less than 0.9"
    } else {
        "it is of another class"
    }
}
