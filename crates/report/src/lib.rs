//! Plots and one-file HTML reports.
//!
//! A page is one file that needs no network: pictures, style and the few lines of script are inside
//! it. It is light or dark as the reader prefers, black on white on paper, and complete without its
//! script. Pages are made of blocks – [`key_figures`], [`table`], [`figure`], [`gallery`],
//! [`contact_sheet`],
//! [`page`] – and [`plots`]; [`classification`] is the page about class labels, [`training`] that of a run of networks
//! for pixels or boxes, [`cases`] those of cases that were called, and [`slides`] that of slides on which something was found.

pub mod cases;
pub mod classification;
pub mod contact_sheet;
pub mod figure;
pub mod gallery;
pub mod key_figures;
pub mod learning_curves;
mod measures;
pub mod number;
pub mod page;
pub mod picture;
pub mod plots;
pub mod slides;
pub mod table;
pub mod thumbnail;
pub mod training;
