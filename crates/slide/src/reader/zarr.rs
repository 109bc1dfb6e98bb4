//! Slides in OME-Zarr: folders of chunks, of versions 0.4 (Zarr 2) and 0.5 (Zarr 3), and those of bioformats2raw.
//!
//! What is read of the metadata: <https://ngff.openmicroscopy.org/0.5/#multiscale-md>. A chunk that is not there has the value
//! that its array gives to what was never written, so that a copy that lacks chunks cannot be told from a whole one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::RgbImage;
use serde_json::{Map, Value};
use zarrs::array::{Array, ArrayShardedExt, ArraySubset, CodecOptions, data_type};
use zarrs::filesystem::FilesystemStore;
use zarrs::group::Group;

use super::{Reader, mosaic, pyramid};
use crate::cache::{Place, Tiles};
use crate::error::{Error, Result};
use crate::slide::{Description, Inside, OpenOptions};

/// Whether a path is a folder with the metadata of a group of Zarr.
pub fn is_ome_zarr(path: &Path) -> bool {
    ["zarr.json", ".zgroup"]
        .iter()
        .any(|name| path.join(name).is_file())
}

struct ZarrSlide {
    path: PathBuf,
    levels: Vec<Pixels>,
    description: Description,
    tiles: Tiles,
}

/// The array of a level.
struct Pixels {
    array: Array<FilesystemStore>,
    axes: Axes,
    /// Width and height.
    size: [u64; 2],
    /// Of a chunk, or of a part of a shard: what is decoded at once.
    tile: [u32; 2],
    /// 1 or 3.
    channels: usize,
}

/// Which axis of an array is which.
#[derive(Debug, Clone, Copy)]
struct Axes {
    x: usize,
    y: usize,
    channel: Option<usize>,
}

/// Opens the first image of a folder.
pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn Reader>> {
    let refused = |problem: String| Error::file(path, problem);
    let store = FilesystemStore::new(path).map_err(|error| Error::file(path, error))?;
    let store = Arc::new(store);
    let (place, attributes) = image(&store).map_err(refused)?;
    let multiscale = multiscale(&attributes).map_err(refused)?;
    let axes = axes(multiscale).map_err(refused)?;
    let datasets = list(multiscale, "datasets");
    let mut levels = Vec::with_capacity(datasets.len());
    for dataset in datasets {
        let name = dataset["path"].as_str().unwrap_or_default();
        let level = Pixels::open(&store, &format!("{place}/{name}"), &axes);
        levels.push(level.map_err(|problem| refused(format!("its array `{name}` {problem}")))?);
    }
    if levels.is_empty() {
        return Err(refused("its `multiscales` have no `datasets`".to_owned()));
    }
    if let Some(at) = levels
        .windows(2)
        .position(|of| of[1].size[0] > of[0].size[0])
    {
        let problem = format!("its level {} is larger than the one before", at + 1);
        return Err(refused(problem));
    }
    let largest = levels.iter().map(Pixels::tile_bytes).max().unwrap_or(0);
    let description = Description {
        levels: pyramid(levels.iter().map(|level| (level.size, level.tile))),
        microns_per_pixel: microns_per_pixel(multiscale),
        properties: properties(multiscale, &attributes),
        format: "OME-Zarr".to_owned(),
        ..Description::default()
    };
    Ok(Box::new(ZarrSlide {
        path: path.to_owned(),
        levels,
        description,
        tiles: Tiles::new(options.cache, largest),
    }))
}

type Attributes = Map<String, Value>;

/// Where the image is in a store, and what is said of it: the first one where the store has several.
fn image(store: &Arc<FilesystemStore>) -> Result<(&'static str, Attributes), String> {
    let group = |place: &'static str| {
        let group = Group::open(store.clone(), if place.is_empty() { "/" } else { place });
        let group = group.map_err(|error| format!("its group `{place}/`: {error}"))?;
        let mut attributes = group.attributes().clone();
        // Version 0.5 has all of it below a name of its own.
        Ok(match attributes.remove("ome") {
            Some(Value::Object(ome)) => (place, ome),
            _ => (place, attributes),
        })
    };
    let root: (_, Attributes) = group("")?;
    for (name, what) in [
        ("plate", "a plate of many images"),
        ("well", "a well of many images"),
    ] {
        if root.1.contains_key(name) {
            return Err(format!(
                "it is {what}, not a slide: name the folder of one of them"
            ));
        }
    }
    match root.1.contains_key("bioformats2raw.layout") {
        true => group("/0"),
        false => Ok(root),
    }
}

/// The first pyramid.
fn multiscale(attributes: &Attributes) -> Result<&Value, String> {
    let first = attributes
        .get("multiscales")
        .and_then(|multiscales| multiscales.get(0));
    first.ok_or_else(|| "it is Zarr without `multiscales`, and so no image of OME-Zarr".to_owned())
}

/// A list of a value, which may have none.
fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// Names of the axes; before version 0.3 they were always these.
fn axes(multiscale: &Value) -> Result<Vec<String>, String> {
    let Some(axes) = multiscale["axes"].as_array() else {
        return Ok(["t", "c", "z", "y", "x"].map(str::to_owned).to_vec());
    };
    let names = axes.iter().map(|axis| {
        let name = axis.as_str().or_else(|| axis["name"].as_str());
        name.map(str::to_lowercase)
            .ok_or_else(|| "an axis of its `multiscales` has no name".to_owned())
    });
    names.collect()
}

/// The mean of width and height of a pixel of level 0, where it is given in a unit of length.
fn microns_per_pixel(multiscale: &Value) -> Option<f64> {
    let scale = |of: &Value, axis: usize| {
        let transformations = list(of, "coordinateTransformations").iter();
        let scales = transformations.filter_map(|of| of["scale"].get(axis)?.as_f64());
        scales.product::<f64>()
    };
    let of_axis = |name: &str| {
        let axes = list(multiscale, "axes");
        let at = axes.iter().position(|axis| axis["name"] == name)?;
        let microns = match axes[at]["unit"].as_str()? {
            "angstrom" => 1e-4,
            "nanometer" => 1e-3,
            "micrometer" => 1.0,
            "millimeter" => 1e3,
            "centimeter" => 1e4,
            "meter" => 1e6,
            _ => return None,
        };
        let of_level = list(multiscale, "datasets").first()?;
        Some(microns * scale(of_level, at) * scale(multiscale, at))
    };
    let microns = f64::midpoint(of_axis("x")?, of_axis("y")?);
    (microns.is_finite() && microns > 0.0).then_some(microns)
}

fn properties(multiscale: &Value, attributes: &Attributes) -> BTreeMap<String, String> {
    let version = multiscale.get("version").or(attributes.get("version"));
    let said = [("name", multiscale.get("name")), ("version", version)];
    said.into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.as_str()?.to_owned())))
        .collect()
}

impl Pixels {
    fn open(store: &Arc<FilesystemStore>, place: &str, names: &[String]) -> Result<Self, String> {
        let array = Array::open(store.clone(), place);
        let array = array.map_err(|error| format!("cannot be read: {error}"))?;
        if *array.data_type() != data_type::uint8() {
            return Err("has no channels of 8 bits, which alone are read".to_owned());
        }
        let shape = array.shape();
        if shape.len() != names.len() {
            let (dimensions, axes) = (shape.len(), names.len());
            return Err(format!(
                "has {dimensions} dimensions, and {axes} axes are named"
            ));
        }
        let axis = |wanted: &str| names.iter().position(|name| name == wanted);
        let (Some(x), Some(y)) = (axis("x"), axis("y")) else {
            return Err(format!("has no axes x and y, only: {}", names.join(", ")));
        };
        let channel = axis("c");
        let axes = Axes { x, y, channel };
        let more = names.iter().zip(shape).enumerate();
        for (at, (name, &length)) in more {
            if !axes.has(at) && length != 1 {
                return Err(format!(
                    "has {length} planes along {name}, of which a slide has one"
                ));
            }
        }
        let channels = channel.map_or(1, |channel| shape[channel]);
        if channels != 1 && channels != 3 {
            return Err(format!("has {channels} channels; 1 and 3 are read"));
        }
        let size = [shape[x], shape[y]];
        let chunk = array
            .effective_subchunk_shape()
            .map_or_else(|| array.chunk_shape(&vec![0; shape.len()]), Ok);
        let chunk = chunk.map_err(|error| format!("has no chunks: {error}"))?;
        let tile = [x, y].map(|axis| u32::try_from(chunk[axis].get().min(shape[axis])));
        let [Ok(width), Ok(height)] = tile else {
            return Err("has chunks that are too large".to_owned());
        };
        if size.contains(&0) {
            return Err("has no pixels".to_owned());
        }
        Ok(Self {
            axes,
            size,
            tile: [width, height],
            channels: channels as usize,
            array,
        })
    }

    fn tile_bytes(&self) -> u64 {
        3 * self
            .tile
            .iter()
            .map(|&side| u64::from(side))
            .product::<u64>()
    }

    /// A tile, without what of it lies beyond the edge of its level.
    fn tile(&self, [column, row]: [u64; 2]) -> Result<RgbImage, String> {
        let Axes { x, y, channel } = self.axes;
        let start = [0, 1].map(|side| [column, row][side] * u64::from(self.tile[side]));
        let end =
            [0, 1].map(|side| (start[side] + u64::from(self.tile[side])).min(self.size[side]));
        let mut ranges = vec![0..1; self.array.dimensionality()];
        (ranges[x], ranges[y]) = (start[0]..end[0], start[1]..end[1]);
        if let Some(channel) = channel {
            ranges[channel] = 0..self.channels as u64;
        }
        // Tiles are read by many threads; a tile by one.
        let options = CodecOptions::default().with_concurrent_target(1);
        let subset = ArraySubset::new_with_ranges(&ranges);
        let values: Vec<u8> = (self.array.retrieve_array_subset_opt(&subset, &options))
            .map_err(|error| error.to_string())?;
        // How far apart neighbours along an axis are.
        let step = |axis: usize| {
            let inner = ranges[axis + 1..].iter();
            inner
                .map(|range| (range.end - range.start) as usize)
                .product::<usize>()
        };
        let (step_x, step_y) = (step(x), step(y));
        let step_channel = channel.filter(|_| self.channels == 3).map_or(0, step);
        let [width, height] = [0, 1].map(|side| (end[side] - start[side]) as u32);
        Ok(RgbImage::from_fn(width, height, |column, row| {
            let at = column as usize * step_x + row as usize * step_y;
            image::Rgb([0, 1, 2].map(|channel| values[at + channel * step_channel]))
        }))
    }
}

impl Axes {
    fn has(&self, axis: usize) -> bool {
        axis == self.x || axis == self.y || Some(axis) == self.channel
    }
}

impl Reader for ZarrSlide {
    fn description(&self) -> &Description {
        &self.description
    }

    fn read(&self, part: &Inside, region: &mut RgbImage) -> Result<()> {
        let level = &self.levels[part.level];
        let tile = |place: Place| {
            let pixels = level.tile([place.column, place.row]);
            pixels.map_err(|problem| Error::tile(&self.path, place, problem))
        };
        mosaic::read(level.tile, part, region, |place| {
            self.tiles.get(place, || tile(place))
        })
    }

    fn associated(&self, name: &str) -> Result<RgbImage> {
        // None are described.
        Err(Error::NoAssociated {
            path: self.path.clone(),
            name: name.to_owned(),
            present: "none".to_owned(),
        })
    }
}
