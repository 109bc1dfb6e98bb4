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
    // Without tiles nothing tells levels from what lies beside them.
    if first.starts_with("Aperio") && pages.iter().any(|page| page.tiled) {
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

/// The largest image and its smaller versions; channels in images of their own are not read here.
fn ome(mut pages: Vec<Page>) -> Result<Pages, String> {
    let described = OmePixels::all(&pages[0].description);
    let area = |page: &Page| page.size[0].saturating_mul(page.size[1]);
    // Of several of one size the first.
    let largest = (0..pages.len())
        .rev()
        .max_by_key(|&page| area(&pages[page]));
    let largest = largest.unwrap_or(0);
    let known = described.iter().find(|of| of.page == largest as u64);
    if let Some(of) = known.or(described.first()) {
        let planes = of.channels * of.depths * of.times;
        if planes > pages[largest].coding.samples as u64 {
            return Err(format!(
                "it has {} channels in {} depths at {} times as separate images, which is not read here",
                of.channels, of.depths, of.times
            ));
        }
    }
    let mut associated = BTreeMap::new();
    let mut levels = std::mem::take(&mut pages[largest].smaller);
    levels.extend(pages);
    Ok(Pages {
        maker: Maker::Ome,
        levels: pyramid(levels, &mut associated),
        associated,
        microns_per_pixel: known.and_then(|of| of.microns),
        properties: BTreeMap::new(),
    })
}

/// What OME-XML says of an image.
struct OmePixels {
    /// Its number in the file, from 0.
    page: u64,
    channels: u64,
    depths: u64,
    times: u64,
    microns: Option<f64>,
}

impl OmePixels {
    /// Of all images: each is in the file where it says, or in their order.
    fn all(xml: &str) -> Vec<Self> {
        let mut reader = quick_xml::Reader::from_str(xml);
        let mut all: Vec<Self> = Vec::new();
        let mut placed = false;
        while let Ok(event) = reader.read_event() {
            match event {
                Event::Start(tag) | Event::Empty(tag) => {
                    let mut attributes = BTreeMap::new();
                    for attribute in tag.attributes().flatten() {
                        let name: &str = attribute.key.as_ref();
                        attributes.insert(name.to_owned(), attribute.value.into_owned());
                    }
                    match (tag.local_name().as_ref(), all.last_mut()) {
                        ("Pixels", _) => {
                            all.push(Self::new(all.len() as u64, &attributes));
                            placed = false;
                        }
                        ("TiffData", Some(last)) if !placed => {
                            let page = attributes.get("IFD").and_then(|text| text.parse().ok());
                            last.page = page.unwrap_or(last.page);
                            placed = true;
                        }
                        _ => {}
                    }
                }
                Event::Eof => break,
                _ => {}
            }
        }
        all
    }

    fn new(page: u64, attributes: &BTreeMap<String, String>) -> Self {
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
            page,
            channels: count("SizeC").unwrap_or(1),
            depths: count("SizeZ").unwrap_or(1),
            times: count("SizeT").unwrap_or(1),
            microns: length("X")
                .zip(length("Y"))
                .map(|(x, y)| f64::midpoint(x, y)),
        }
    }
}

/// The largest image, and those of its shape that are smaller.
fn nobodys(pages: Vec<Page>) -> Pages {
    let mut associated = BTreeMap::new();
    let pages = pages.into_iter().flat_map(|mut page| {
        let smaller = std::mem::take(&mut page.smaller);
        std::iter::once(page).chain(smaller)
    });
    let levels = pyramid(pages.collect(), &mut associated);
    Pages {
        maker: Maker::Nobody,
        microns_per_pixel: levels[0].microns,
        levels,
        associated,
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
