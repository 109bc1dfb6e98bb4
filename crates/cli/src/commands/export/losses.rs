//! What a format cannot hold, counted so that it can be told.

use std::ops::AddAssign;

use super::format::Format;
use crate::output::count;

/// What was changed or lost on the way into a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    /// Outlines that became the boxes around them.
    pub boxed: usize,
    /// Objects of which each part became one.
    pub parted: usize,
    /// Objects whose holes were filled.
    pub filled: usize,
    /// Outlines with fractions that became pixels.
    pub rastered: usize,
    /// Objects whose trust is below 1 and is not kept.
    pub trusted: usize,
    /// Images on which not every object was marked.
    pub incomplete: usize,
    /// Images of which some pixels are unlabelled.
    pub open: usize,
    /// Images whose objects are of several classes, which are not kept.
    pub unclassified: usize,
}

impl AddAssign for Losses {
    fn add_assign(&mut self, other: Self) {
        self.boxed += other.boxed;
        self.parted += other.parted;
        self.filled += other.filled;
        self.rastered += other.rastered;
        self.trusted += other.trusted;
        self.incomplete += other.incomplete;
        self.open += other.open;
        self.unclassified += other.unclassified;
    }
}

impl Losses {
    /// A sentence for each thing that occurred.
    pub fn notices(&self, format: Format) -> Vec<String> {
        let name = format.name();
        let open = match format {
            Format::Masks => Vec::new(),
            Format::Instances => vec![(
                self.open,
                "image",
                "some pixels are unlabelled, number 65535: import with `--unlabelled 65535`".into(),
            )],
            _ => vec![(
                self.open,
                "image",
                format!("some pixels are unlabelled, which {name} cannot say"),
            )],
        };
        let object = |number, what: &str| (number, "object", what.to_owned());
        let image = |number, what: String| (number, "image", what);
        let all = [
            object(self.boxed, "the outline became the box around it"),
            object(self.parted, "each part became an object"),
            object(self.filled, "holes were filled"),
            object(
                self.rastered,
                "the outline has holes and became a mask of pixels",
            ),
            (
                self.trusted,
                if format.has_shapes() {
                    "object"
                } else {
                    "image"
                },
                format!("the trust is not kept: {name} has none"),
            ),
            image(
                self.incomplete,
                format!(
                    "not every object was marked, which {name} cannot say: import with `--incomplete`"
                ),
            ),
            image(
                self.unclassified,
                format!("the classes of objects are not kept: {name} has none"),
            ),
        ];
        all.into_iter()
            .chain(open)
            .filter(|(number, ..)| *number > 0)
            .map(|(number, noun, what)| format!("{}: {what}", count(number, noun)))
            .collect()
    }
}
