//! Which images of a TIFF file are levels of the slide, and which lie beside it.

use std::collections::BTreeMap;

use quick_xml::events::Event;

use super::page::Page;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    Aperio,
    Ome,
    Nobody,
}

impl Maker {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Aperio => "Aperio SVS",
            Self::Ome => "OME-TIFF",
            Self::Nobody => "TIFF",
        }
    }
}

/// The images of a file by what they are for.
pub(super) struct Pages {
    pub(super) maker: Maker,
    /// From large to small.
    pub(super) levels: Vec<Page>,
    pub(super) associated: BTreeMap<String, Page>,
    pub(super) microns_per_pixel: Option<f64>,
    pub(super) properties: BTreeMap<String, String>,
}

/// Levels have the same shape, but for rounding: each side of a smaller one is that of the largest by the same factor to this
/// many pixels.
const ROUNDING: f64 = 2.0;

const APERIO_LABEL: u64 = 1;
const APERIO_MACRO: u64 = 9;

/// Sorts all images of a file; or says why they are left to another reader.
pub(super) fn sorted(pages: Vec<Page>) -> Result<Pages, String> {
    if let Some(foreign) = pages.iter().find_map(|page| page.foreign) {
        return Err(format!("it is {foreign}"));
    }
    let first = &pages[0].description;
    if first.starts_with("Aperio") {
        Ok(aperio(pages))
    } else if first.contains("<OME ") || first.contains("<OME>") {
        ome(pages)
    } else {
        Ok(nobodys(pages))
    }
}

/// Tiled images are levels; the one after the first is the thumbnail, others say what they are by a number, or on their second
/// line.
fn aperio(pages: Vec<Page>) -> Pages {
    let properties = aperio_properties(&pages[0].description);
    let microns = properties.get("MPP").and_then(|text| text.parse().ok());
    let (mut levels, mut associated) = (Vec::new(), BTreeMap::new());
    for (number, page) in pages.into_iter().enumerate() {
        if page.tiled {
            levels.push(page);
        } else if number == 1 {
            associated.insert("thumbnail".to_owned(), page);
        } else {
            let second = page.description.lines().nth(1).unwrap_or_default();
            let name = match page.subfile {
                APERIO_LABEL => "label",
                APERIO_MACRO => "macro",
                _ => second.split(' ').next().unwrap_or_default(),
            };
            associated.insert(name.to_owned(), page);
        }
    }
    Pages {
        maker: Maker::Aperio,
        levels: pyramid(levels, &mut associated),
        associated,
        microns_per_pixel: microns.filter(|microns: &f64| *microns > 0.0),
        properties,
    }
}

/// `Name = value` between bars.
fn aperio_properties(description: &str) -> BTreeMap<String, String> {
    let parts = description.split('|').skip(1);
    let pairs = parts.filter_map(|part| part.split_once('='));
    pairs
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// The first image and its smaller versions; channels in images of their own are not read here.
fn ome(mut pages: Vec<Page>) -> Result<Pages, String> {
    let described = OmePixels::of(&pages[0].description);
    let planes = described.channels * described.depths * described.times;
    let of_pixel = pages[0].coding.samples as u64;
    if planes > of_pixel {
        return Err(format!(
            "it has {} channels in {} depths at {} times as separate images, which is not read here",
            described.channels, described.depths, described.times
        ));
    }
    let mut associated = BTreeMap::new();
    let mut levels = std::mem::take(&mut pages[0].smaller);
    levels.extend(pages);
    Ok(Pages {
        maker: Maker::Ome,
        levels: pyramid(levels, &mut associated),
        associated,
        microns_per_pixel: described.microns,
        properties: BTreeMap::new(),
    })
}

/// What OME-XML says of the first image.
struct OmePixels {
    channels: u64,
    depths: u64,
    times: u64,
    microns: Option<f64>,
}

impl OmePixels {
    fn of(xml: &str) -> Self {
        let mut reader = quick_xml::Reader::from_str(xml);
        let mut attributes = BTreeMap::new();
        while let Ok(event) = reader.read_event() {
            match event {
                Event::Start(tag) | Event::Empty(tag) if tag.local_name().as_ref() == "Pixels" => {
                    for attribute in tag.attributes().flatten() {
                        let name: &str = attribute.key.as_ref();
                        attributes.insert(name.to_owned(), attribute.value.into_owned());
                    }
                    break;
                }
                Event::Eof => break,
                _ => {}
            }
        }
        let count = |name: &str| attributes.get(name).and_then(|text| text.parse().ok());
        let length = |side: &str| -> Option<f64> {
            let size: f64 = attributes
                .get(&format!("PhysicalSize{side}"))?
                .parse()
                .ok()?;
            let unit = attributes.get(&format!("PhysicalSize{side}Unit"));
            let factor = match unit.map_or("µm", String::as_str) {
                "µm" | "μm" | "um" => 1.0,
                "nm" => 1e-3,
                "mm" => 1e3,
                "cm" => 1e4,
                _ => return None,
            };
            (size > 0.0).then_some(size * factor)
        };
        Self {
            channels: count("SizeC").unwrap_or(1),
            depths: count("SizeZ").unwrap_or(1),
            times: count("SizeT").unwrap_or(1),
            microns: length("X")
                .zip(length("Y"))
                .map(|(x, y)| f64::midpoint(x, y)),
        }
    }
}

/// The first image, and those of its shape that are smaller.
fn nobodys(pages: Vec<Page>) -> Pages {
    let microns = pages[0].microns;
    let mut associated = BTreeMap::new();
    Pages {
        maker: Maker::Nobody,
        levels: pyramid(pages, &mut associated),
        associated,
        microns_per_pixel: microns,
        properties: BTreeMap::new(),
    }
}

/// The largest image and those of its shape, from large to small; others lie beside them by number.
fn pyramid(mut pages: Vec<Page>, associated: &mut BTreeMap<String, Page>) -> Vec<Page> {
    // Stable: of two of one size the first is a level.
    pages.sort_by_key(|page| std::cmp::Reverse(page.size[0] * page.size[1]));
    let mut levels: Vec<Page> = Vec::new();
    for (number, page) in pages.into_iter().enumerate() {
        match levels.first().zip(levels.last()) {
            Some((whole, last)) if !is_smaller(whole, last, &page) => {
                associated.insert(format!("image-{number}"), page);
            }
            _ => levels.push(page),
        }
    }
    levels
}

/// Whether an image is a smaller version of the whole than the last one is.
fn is_smaller(whole: &Page, last: &Page, page: &Page) -> bool {
    let factor = whole.size[0] as f64 / page.size[0] as f64;
    let height = whole.size[1] as f64 / factor;
    let same = (height - page.size[1] as f64).abs() <= ROUNDING * (1.0 + 1.0 / factor);
    same && page.size[0] < last.size[0]
}
