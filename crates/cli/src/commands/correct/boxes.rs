//! Boxes that a detector corrected while it learned from them.

use cleanslide_data::{Dataset, Evidence, Family, Object, Rectangle, Scope, Target, Trust, to_csv};
use cleanslide_learn::correction::Change;
use cleanslide_learn::detect::correction::{
    BoxChange, BoxTrust, CorrectedBox, Cycle, CycleImage, changes,
};

use super::run::{Corrected, CorrectingRun};
use crate::failure::Result;
use crate::network_run::{BoxRecipe, read_config};

/// An image with what became of its boxes.
struct Compared<'a> {
    image: &'a CycleImage,
    changes: Vec<BoxChange>,
}

/// What became of the boxes of a run.
pub fn corrected(dataset: &Dataset, run: &CorrectingRun) -> Result<Corrected> {
    let recipe: BoxRecipe = read_config(run.run)?;
    let (epoch, epochs) = run.epoch(recipe.correction.is_some(), Cycle::epochs)?;
    let cycle = Cycle::read(&run.folder(), epoch)?;
    let given = run.labels.of_images(&run.manifest.source, Family::Boxes);
    let compared: Vec<Compared> = (cycle.images.iter())
        .map(|image| {
            let given = objects(given.get(image.image.as_str()));
            Compared {
                changes: changes(given, &image.labels.objects),
                image,
            }
        })
        .collect();
    let views = recipe
        .correction
        .as_ref()
        .map_or(1, |correction| correction.views_of_an_image());
    let published = (cycle.images.iter())
        .map(|image| (&image.image, image.labels.published(BoxTrust::Score)))
        .filter(|(_, boxes)| boxes.complete || !boxes.objects.is_empty());
    let mut incomplete = 0;
    let evidence: Vec<Evidence> = published
        .map(|(image, boxes)| {
            incomplete += usize::from(!boxes.complete);
            Evidence {
                source: run.name.to_owned(),
                scope: Scope::Image(image.clone()),
                target: Target::Boxes(boxes),
                trust: Trust::FULL,
            }
        })
        .collect();
    Ok(Corrected {
        epoch,
        epochs,
        table: changes_table(dataset, &compared, views),
        counts: compared.iter().flat_map(|of| &of.changes).collect(),
        images: compared.len(),
        unlabelled: compared.len() - evidence.len(),
        incomplete,
        evidence,
    })
}

fn objects<'a>(piece: Option<&&'a Evidence>) -> &'a [Object<Rectangle>] {
    match piece.map(|piece| &piece.target) {
        Some(Target::Boxes(boxes)) => &boxes.objects,
        _ => &[],
    }
}

fn changes_table(dataset: &Dataset, compared: &[Compared], views: usize) -> Vec<u8> {
    let class = |class: usize| dataset.classes().name(class);
    let sides = |shape: Rectangle| <[f64; 4]>::from(shape).map(|side| format!("{side:.1}"));
    let row = |image: &str, change: &BoxChange| -> Vec<String> {
        let (what, given, found, reason) = match change {
            Change::Kept(given, found) => (
                "kept",
                Some(given),
                Some(found),
                match found.views {
                    0 => "given, and kept".to_owned(),
                    of => format!("found in {of} of {views} views"),
                },
            ),
            Change::Redrawn(given, found) => (
                "redrawn",
                Some(given),
                Some(found),
                redrawn_because(given, found, views),
            ),
            Change::Added(found) => (
                "added",
                None,
                Some(found),
                format!("found in {} of {views} views, and not marked", found.views),
            ),
            Change::Dropped(given) => (
                "dropped",
                Some(given),
                None,
                "nothing was found here that is sure enough".to_owned(),
            ),
        };
        let mut cells = vec![image.to_owned(), what.to_owned()];
        cells.push(given.map_or_else(String::new, |given| class(given.class)));
        cells.extend(given.map_or_else(Default::default, |given| sides(given.shape)));
        cells.push(found.map_or_else(String::new, |found| class(found.class)));
        cells.extend(found.map_or_else(Default::default, |found| sides(found.shape)));
        cells.push(found.map_or_else(String::new, |found| format!("{:.4}", found.score)));
        cells.push(found.map_or_else(String::new, |found| found.views.to_string()));
        cells.push(reason);
        cells
    };
    to_csv(
        &[
            "image",
            "change",
            "given class",
            "given left",
            "given top",
            "given right",
            "given bottom",
            "class",
            "left",
            "top",
            "right",
            "bottom",
            "score",
            "views",
            "reason",
        ],
        compared.iter().flat_map(|of| {
            let image = &of.image.image;
            of.changes.iter().map(move |change| row(image, change))
        }),
    )
}

fn redrawn_because(given: &Object<Rectangle>, found: &CorrectedBox, views: usize) -> String {
    let overlap = given.shape.iou(&found.shape);
    let class = if given.class == found.class {
        ""
    } else {
        ", of another class"
    };
    format!(
        "{} of {views} views agree on a box that overlaps the given one by {overlap:.2}{class}",
        found.views
    )
}
