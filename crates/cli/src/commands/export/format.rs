//! The formats that labels are written in, and what each can hold.

use clap::ValueEnum;
use cleanslide_data::Family;

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Classes of images as a table
    Csv,
    /// Pascal VOC: a folder of XML files with boxes
    Voc,
    /// COCO: one JSON file with boxes, outlines and run-length masks
    Coco,
    /// YOLO: a folder of text files with boxes and outlines, and classes.txt
    Yolo,
    /// LabelMe: a folder of JSON files
    Labelme,
    /// QuPath: a folder of GeoJSON files
    Geojson,
    /// ImageJ: a folder of zip files of regions
    Imagej,
    /// ASAP: a folder of XML files
    Asap,
    /// Aperio ImageScope: a folder of XML files
    Aperio,
    /// Class masks: a folder of PNG files with a colour table, and classes.txt
    Masks,
    /// Instance masks: a folder of PNG files of 16 bits
    Instances,
}

impl Format {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Voc => "voc",
            Self::Coco => "coco",
            Self::Yolo => "yolo",
            Self::Labelme => "labelme",
            Self::Geojson => "geojson",
            Self::Imagej => "imagej",
            Self::Asap => "asap",
            Self::Aperio => "aperio",
            Self::Masks => "masks",
            Self::Instances => "instances",
        }
    }

    /// The labels that it can hold, as they are or by an exact conversion; of `voc`, the boxes
    /// around outlines and instances too.
    pub fn holds(self) -> &'static [Family] {
        match self {
            Self::Csv => &[Family::Class],
            Self::Voc => &[Family::Boxes, Family::Polygons, Family::Instances],
            Self::Coco | Self::Yolo => &[
                Family::Boxes,
                Family::Polygons,
                Family::Instances,
                Family::Mask,
            ],
            Self::Labelme | Self::Geojson | Self::Imagej | Self::Asap | Self::Aperio => &[
                Family::Boxes,
                Family::Points,
                Family::Polygons,
                Family::Instances,
                Family::Mask,
            ],
            Self::Masks => &[Family::Mask],
            Self::Instances => &[Family::Instances],
        }
    }

    /// The formats that hold such labels.
    pub fn holding(family: Family) -> Vec<&'static str> {
        let all = Self::value_variants().iter();
        all.filter(|format| format.holds().contains(&family))
            .map(|format| format.name())
            .collect()
    }

    /// Whether objects are outlines, boxes and points, not pictures or a table.
    pub fn has_shapes(self) -> bool {
        !matches!(self, Self::Csv | Self::Masks | Self::Instances)
    }

    /// Whether an outline can have holes, or a mask holds them.
    pub fn has_holes(self) -> bool {
        matches!(
            self,
            Self::Coco | Self::Geojson | Self::Imagej | Self::Aperio
        )
    }

    /// Whether one object can be several outlines, or a mask of several parts.
    pub fn has_parts(self) -> bool {
        matches!(self, Self::Coco | Self::Geojson | Self::Imagej)
    }

    /// Whether each object can have a score.
    pub fn has_scores(self) -> bool {
        matches!(self, Self::Coco | Self::Yolo | Self::Geojson)
    }

    /// Whether the size of the image is written, or needed to write.
    pub fn needs_size(self) -> bool {
        matches!(self, Self::Voc | Self::Coco | Self::Yolo | Self::Labelme)
    }

    /// The ending of its files; none where one file holds everything.
    pub fn ending(self) -> Option<&'static str> {
        match self {
            Self::Csv | Self::Coco => None,
            Self::Voc | Self::Asap | Self::Aperio => Some("xml"),
            Self::Yolo => Some("txt"),
            Self::Labelme => Some("json"),
            Self::Geojson => Some("geojson"),
            Self::Imagej => Some("zip"),
            Self::Masks | Self::Instances => Some("png"),
        }
    }
}
