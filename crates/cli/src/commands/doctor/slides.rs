//! What is known of slides before anything is done with them.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::commands::predict::inputs::{Inputs, Slides};
use crate::commands::predict::slides::open_slide;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::{Show, count, thousands};
use crate::text_table::TextTable;

/// A slide, or why it cannot be read.
#[derive(Debug, Serialize)]
struct SlideLine {
    slide: PathBuf,
    /// What kind it is and what reads it.
    format: Option<String>,
    /// Width and height of its levels in pixels, from large to small.
    levels: Vec<[u64; 2]>,
    /// Side of a pixel of the first.
    microns_per_pixel: Option<f64>,
    /// Images beside it.
    associated: Vec<String>,
    problem: Option<String>,
}

impl SlideLine {
    fn of(path: &Path) -> Self {
        match open_slide(path, None) {
            Ok(slide) => Self {
                slide: path.to_owned(),
                format: Some(slide.format().to_owned()),
                levels: slide.levels().iter().map(|level| level.size).collect(),
                microns_per_pixel: slide.microns_per_pixel().ok(),
                associated: slide.associated().to_vec(),
                problem: None,
            },
            Err(failure) => Self {
                slide: path.to_owned(),
                format: None,
                levels: Vec::new(),
                microns_per_pixel: None,
                associated: Vec::new(),
                problem: Some(failure.message().to_owned()),
            },
        }
    }

    /// Width and height in millimetres, where the size of pixels is known.
    fn size(&self) -> Option<String> {
        let [width, height] = self.levels.first()?.map(|side| side as f64);
        let microns = self.microns_per_pixel?;
        let [width, height] = [width, height].map(|side| side * microns / 1000.0);
        Some(format!("{width:.2} × {height:.2}"))
    }
}

#[derive(Debug, Serialize)]
struct Summary {
    slides: Vec<SlideLine>,
}

/// Shows what slides say of themselves; those that cannot be read are an error in the end.
pub fn run(context: &Context, files: &[PathBuf]) -> Result<()> {
    let slides = Inputs::read(context, files, Slides::All)?.slides;
    if slides.is_empty() {
        return Err(Failure::input("nothing of what is given is a slide"));
    }
    let summary = Summary {
        slides: slides.iter().map(|path| SlideLine::of(path)).collect(),
    };
    context.output.show(&summary)?;
    let problems = summary.slides.iter().filter_map(|of| of.problem.as_ref());
    let problems: Vec<&String> = problems.collect();
    let Some(first) = problems.first() else {
        return Ok(());
    };
    Err(Failure::input(format!(
        "{} cannot be read: {first}",
        count(problems.len(), "slide")
    )))
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut table =
            TextTable::new(&["slide", "size, px", "µm/px", "size, mm", "levels", "kind"]);
        let mut notes = String::new();
        for of in &self.slides {
            let unknown = || "-".to_owned();
            let pixels = of.levels.first().map(|size| {
                let [width, height] = size.map(|side| thousands(side as usize));
                format!("{width} × {height}")
            });
            table.row([
                of.slide.display().to_string(),
                pixels.unwrap_or_else(unknown),
                of.microns_per_pixel
                    .map_or_else(unknown, |microns| format!("{microns:.4}")),
                of.size().unwrap_or_else(unknown),
                of.levels.len().to_string(),
                of.format
                    .clone()
                    .unwrap_or_else(|| "cannot be read".to_owned()),
            ]);
            if let Some(problem) = &of.problem {
                notes.push_str(&format!("\n{problem}"));
            }
        }
        let without = self
            .slides
            .iter()
            .filter(|of| of.problem.is_none() && of.microns_per_pixel.is_none());
        if without.count() > 0 {
            notes.push_str("\nWhere the size of pixels is not known, commands take it by `--slide-microns-per-pixel`.");
        }
        format!("{}{}", table.text(), notes)
    }
}
