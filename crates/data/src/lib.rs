//! Labels and images in, labels out: datasets, evidence, label versions, splits and formats.
//!
//! Every label is *evidence*: what one [`Source`] says about one [`Scope`] with a [`Trust`].
//! Evidence lives in immutable, numbered label versions of a [`Dataset`]. What nobody labelled
//! has no evidence, which is not the same as background.

mod classes;
mod dataset;
mod difference;
mod error;
mod evidence;
pub mod formats;
pub mod geometry;
mod image_file;
mod images;
mod labels;
pub mod mask;
mod parallel;
mod split;
pub mod store;
mod table;
mod value_map;
mod version;
mod votes;

pub use classes::{Classes, nearest};
pub use dataset::{Added, Addition, Dataset, FORMAT, Manifest, NewVersion, Reference, Task};
pub use difference::{Change, Counts, difference};
pub use error::{Blame, Error, Result};
pub use evidence::{
    Evidence, Family, Key, MaskFile, Object, Objects, Scope, Source, SourceKind, Target, Trust,
    UNLABELLED_CLASS, UNLABELLED_INSTANCE,
};
pub use geometry::{Detection, Point, Polygon, Rectangle};
pub use image_file::{
    ENDINGS, LoadedImage, MAX_PIXELS, Notice, image_size, looks_like_image, read_image,
    refuse_smaller,
};
pub use images::{ImageRecord, Split, parse_scale, parse_split};
pub use labels::{Labels, parse_trust};
pub use parallel::TryMap;
pub use split::{Leak, Proportions, assign_folds, assign_splits, independent_units, leaks};
pub use table::{Row, Table, to_csv, write_csv};
pub use value_map::{ClassTable, ValueMap};
pub use version::{Provenance, Version, VersionId};
pub use votes::{Vote, Votes, VotesError};
