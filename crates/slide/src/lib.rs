//! Pixels of big images.
//!
//! A [`Slide`] is a pyramid of levels, of which level 0 has the smallest pixels. Regions are read as
//! 8-bit RGB by coordinates of the level, from its upper left; what lies outside is white, as glass is. One slide serves many
//! threads, and keeps decoded tiles up to a number of bytes.
//!
//! Aperio SVS, tiled TIFF, OME-TIFF, OME-Zarr and plain images are read here ([`Slide::open`]); all else by OpenSlide, if it is found at
//! run time ([`openslide`]).
//!
//! What of a slide is looked at is planned: a [`TissueMask`] tells tissue from glass, ink and what is out of focus, and a [`TilePlan`] numbers the tiles
//! of one scale, whatever was done before. [`SlideStains`] give tiles the colours of a reference.

mod cache;
pub mod error;
mod fingerprint;
mod focus;
pub mod openslide;
mod reader;
mod slide;
mod stains;
mod tiles;
mod tissue;

pub use error::{Error, Result};
pub use reader::is_ome_zarr;
pub use slide::{Level, OpenOptions, Slide, UseOpenSlide};
pub use stains::{SlideStains, stains_of};
pub use tiles::{PlannedTile, TilePlan, TileSettings};
pub use tissue::{TissueMask, TissueSettings, stained};
