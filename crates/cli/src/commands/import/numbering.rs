//! What the numbers in masks mean.

use cleanslide_data::{ClassTable, Classes, Dataset, ValueMap};

use super::annotations::Shared;
use crate::context::Context;
use crate::failure::Result;

/// Numbers that stand for the classes of a dataset.
#[derive(Debug, Clone)]
pub struct Numbering {
    pub values: ValueMap,
    pub classes: Classes,
    pub table: ClassTable,
}

impl Numbering {
    /// The numbers as `--values` gave them, otherwise as the dataset knows them of the source. None where neither says
    /// anything: then they are those of the classes.
    ///
    /// The classes are those of `--classes`, otherwise of the dataset, otherwise those that the numbers stand for.
    pub fn of(context: &Context, given: Option<ValueMap>, shared: &Shared) -> Result<Option<Self>> {
        let exists = shared.dataset.join("dataset.toml").exists();
        let dataset = exists.then(|| context.open(&shared.dataset)).transpose()?;
        let Some(values) = given.or_else(|| known(context, dataset.as_ref()?, shared)) else {
            return Ok(None);
        };
        let classes = match (&shared.classes, dataset) {
            (Some(names), _) => Classes::new(names.clone())?,
            (None, Some(dataset)) => dataset.classes().clone(),
            (None, None) => Classes::new(values.class_names())?,
        };
        let table = values.table(&classes)?;
        Ok(Some(Self {
            values,
            classes,
            table,
        }))
    }
}

/// What the dataset knows of the source, which the user is told. A reference has no source.
fn known(context: &Context, dataset: &Dataset, shared: &Shared) -> Option<ValueMap> {
    if shared.as_reference.is_some() {
        return None;
    }
    let mut sources = dataset.manifest().sources.iter();
    let source = sources.find(|source| source.id == shared.source)?;
    let values = source.values.clone()?;
    context.output.note(&format!(
        "the numbers of `{}` mean {values}, as dataset.toml says",
        source.id
    ));
    Some(values)
}
