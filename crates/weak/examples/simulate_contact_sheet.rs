//! Writes a contact sheet of simulated tissue, to look at.
//!
//! ```text
//! cargo run --release -p cleanslide-weak --example simulate_contact_sheet -- \
//!     patches sheet.png [--outlines] [--seed N]
//! ```
//!
//! `patches`: a row for each class, columns of rising difficulty, each of another case.
//! `cases`: a row for each case (three of every entity), its images as columns.
//! `--outlines` draws the border of every nucleus: green immune and infiltrating, blue immune in
//! the blood, yellow look-alike, black the rest.

use cleanslide_weak::simulate::{
    CaseSettings, CellKind, Entity, PatchClass, PatchClassification, SimulatedImage, simulate_case,
};
use image::{Rgb, RgbImage};
use std::error::Error;
use std::time::Instant;

const GAP: u32 = 4;

#[allow(clippy::print_stdout)]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, path, options @ ..] = arguments.as_slice() else {
        return Err(
            "usage: simulate_contact_sheet patches|cases FILE.png [--outlines] [--seed N]".into(),
        );
    };
    let outlines = options.iter().any(|option| option == "--outlines");
    let seed = match options.iter().position(|option| option == "--seed") {
        Some(at) => options
            .get(at + 1)
            .ok_or("--seed needs a number")?
            .parse()?,
        None => 0,
    };
    let start = Instant::now();
    let rows = match kind.as_str() {
        "patches" => patches(seed),
        "cases" => cases(seed),
        other => return Err(format!("unknown sheet {other}; choose patches or cases").into()),
    };
    let images: usize = rows.iter().map(Vec::len).sum();
    println!(
        "{images} images in {:.0} ms",
        start.elapsed().as_secs_f64() * 1e3
    );
    sheet(&rows, outlines).save(path)?;
    Ok(())
}

fn patches(seed: u64) -> Vec<Vec<SimulatedImage>> {
    const COLUMNS: usize = 10;
    let row = |class: usize| {
        (0..COLUMNS)
            .map(|column| {
                let difficulty = column as f32 / (COLUMNS - 1) as f32;
                let task = PatchClassification {
                    seed,
                    difficulty: (difficulty, difficulty),
                    ..PatchClassification::default()
                };
                let turn = column * PatchClass::ALL.len();
                task.patch(column, turn + class).image
            })
            .collect()
    };
    (0..PatchClass::ALL.len()).map(row).collect()
}

fn cases(seed: u64) -> Vec<Vec<SimulatedImage>> {
    (0..9)
        .map(|case| {
            let entity = Entity::ALL[case as usize / 3];
            simulate_case(seed, case, entity, &CaseSettings::default()).images
        })
        .collect()
}

fn sheet(rows: &[Vec<SimulatedImage>], outlines: bool) -> RgbImage {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0) as u32;
    let Some(first) = rows.first().and_then(|row| row.first()) else {
        return RgbImage::new(1, 1);
    };
    let (width, height) = (first.rgb.width() + GAP, first.rgb.height() + GAP);
    let mut sheet = RgbImage::new(columns * width, rows.len() as u32 * height);
    for (y, row) in rows.iter().enumerate() {
        for (x, simulated) in row.iter().enumerate() {
            let mut picture = simulated.rgb.clone();
            if outlines {
                draw_outlines(simulated, &mut picture);
            }
            let (left, top) = (x as u32 * width, y as u32 * height);
            image::imageops::replace(&mut sheet, &picture, left.into(), top.into());
        }
    }
    sheet
}

fn draw_outlines(simulated: &SimulatedImage, picture: &mut RgbImage) {
    let ids = &simulated.instances;
    for ((y, x), &id) in ids.indexed_iter() {
        if id == 0 {
            continue;
        }
        let differs = |dy: isize, dx: isize| {
            let (y, x) = (y as isize + dy, x as isize + dx);
            y >= 0 && x >= 0 && ids.get((y as usize, x as usize)).is_some_and(|&i| i != id)
        };
        if [(0, 1), (1, 0), (0, -1), (-1, 0)]
            .iter()
            .any(|&(dy, dx)| differs(dy, dx))
        {
            let cell = &simulated.cells[usize::from(id) - 1];
            let colour = match cell.kind {
                CellKind::Immune if cell.infiltrating => [0, 255, 0],
                CellKind::Immune => [0, 120, 255],
                kind if kind.is_look_alike() => [255, 230, 0],
                _ => [0, 0, 0],
            };
            picture.put_pixel(x as u32, y as u32, Rgb(colour));
        }
    }
}
