//! What the labels say about each image of a dataset, ready to learn from.

use cleanslide_data::{Dataset, Error, Family, Result, SourceKind, Target, VersionId};

/// Takes the votes of all annotators together, as soft labels.
pub const ALL_ANNOTATORS: &str = "all";

/// The label of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageLabel {
    /// Probability of each class; one of them is 1 where the label is a plain class.
    pub distribution: Vec<f32>,
    /// How far it is believed, in [0, 1].
    pub trust: f32,
}

impl ImageLabel {
    /// A plain class.
    fn of_class(class: usize, class_count: usize, trust: f32) -> Self {
        Self {
            distribution: one_hot(class, class_count),
            trust,
        }
    }

    /// The likeliest class, the lowest of several.
    pub fn class(&self) -> usize {
        let best = self.distribution.iter().copied().fold(f32::MIN, f32::max);
        self.distribution
            .iter()
            .position(|&p| p == best)
            .unwrap_or(0)
    }
}

/// The labels of one source in one version, image by image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageLabels {
    /// The version they come from.
    pub version: VersionId,
    /// The source, or [`ALL_ANNOTATORS`].
    pub source: String,
    /// One entry per image of the dataset; `None` is unlabelled.
    pub labels: Vec<Option<ImageLabel>>,
}

impl ImageLabels {
    /// Reads the class labels of a source about the images of a dataset.
    ///
    /// `version` is the latest by default; `source` is what the version is about, or the only
    /// source. With [`ALL_ANNOTATORS`] an image's label is the share of each class among the votes
    /// of all experts who labelled it.
    ///
    /// # Errors
    /// No such version or source, no labels, or labels that are not classes or distributions.
    pub fn load(
        dataset: &Dataset,
        version: Option<VersionId>,
        source: Option<&str>,
    ) -> Result<Self> {
        let id = match version {
            Some(id) => id,
            None => dataset.latest()?,
        };
        let version = dataset.version(id)?;
        let labels = dataset.labels(id)?;
        if source == Some(ALL_ANNOTATORS) {
            let experts: Vec<&str> = dataset
                .manifest()
                .sources
                .iter()
                .filter(|source| source.kind == SourceKind::Expert)
                .map(|source| source.id.as_str())
                .collect();
            let votes = labels.votes(dataset.images(), &experts, dataset.classes().len())?;
            let labels = (0..votes.items())
                .map(|item| shares(&votes.counts(item)))
                .collect();
            return Self {
                version: id,
                source: ALL_ANNOTATORS.to_owned(),
                labels,
            }
            .check();
        }
        let source = dataset.choose_source(&version, &labels, Family::Class, source)?;
        let said = labels.of_images(&source, Family::Class);
        let classes = dataset.classes().len();
        let mut image_labels = Vec::with_capacity(dataset.images().len());
        for image in dataset.images() {
            let label = match said.get(image.id.as_str()) {
                None => None,
                Some(piece) => {
                    let distribution = match &piece.target {
                        Target::Class(class) => one_hot(*class, classes),
                        Target::Distribution(probabilities) => probabilities.clone(),
                        _ => {
                            return Err(Error::Labels {
                                problem: format!(
                                    "{}: not one class, nor a distribution",
                                    piece.key()
                                ),
                                help: Some(
                                    "A plain classifier learns from classes and distributions."
                                        .into(),
                                ),
                            });
                        }
                    };
                    Some(ImageLabel {
                        distribution,
                        trust: piece.trust.value(),
                    })
                }
            };
            image_labels.push(label);
        }
        Self {
            version: id,
            source,
            labels: image_labels,
        }
        .check()
    }

    fn check(self) -> Result<Self> {
        if self.labels.iter().all(Option::is_none) {
            return Err(Error::Labels {
                problem: format!("`{}` labels no image in {}", self.source, self.version),
                help: Some("`cleanslide status` shows who labelled how much.".into()),
            });
        }
        Ok(self)
    }

    /// The likeliest class of each image; `None` where it is unlabelled.
    pub fn classes(&self) -> Vec<Option<usize>> {
        self.labels
            .iter()
            .map(|label| label.as_ref().map(ImageLabel::class))
            .collect()
    }

    /// Plain, fully trusted classes, one entry per image of the dataset; `None` is unlabelled.
    pub fn of_classes(
        version: VersionId,
        source: String,
        classes: &[Option<usize>],
        class_count: usize,
    ) -> Self {
        let label = |class| ImageLabel::of_class(class, class_count, 1.0);
        let labels = classes.iter().map(|class| class.map(label)).collect();
        Self {
            version,
            source,
            labels,
        }
    }

    /// The same where some images are of another class. Those that keep their class keep all that is said of them, and
    /// none is believed more or less than before, so that nothing but classes differs.
    #[must_use]
    pub fn with_classes(&self, classes: &[Option<usize>], class_count: usize) -> Self {
        let changed = |(label, class): (&Option<ImageLabel>, &Option<usize>)| {
            let (label, class) = (label.as_ref()?, (*class)?);
            Some(if label.class() == class {
                label.clone()
            } else {
                ImageLabel::of_class(class, class_count, label.trust)
            })
        };
        Self {
            labels: self.labels.iter().zip(classes).map(changed).collect(),
            ..self.clone()
        }
    }

    /// A hash of what is said of each image, by whomever and in whatever version.
    pub fn content_hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for label in &self.labels {
            let numbers = label.iter().flat_map(|label| {
                let trust = std::iter::once(&label.trust);
                label.distribution.iter().chain(trust)
            });
            hasher.update(&[u8::from(label.is_some())]);
            for number in numbers {
                hasher.update(&number.to_le_bytes());
            }
        }
        hasher.finalize().to_hex().to_string()
    }
}

fn one_hot(class: usize, classes: usize) -> Vec<f32> {
    (0..classes)
        .map(|other| if other == class { 1.0 } else { 0.0 })
        .collect()
}

fn shares(counts: &[usize]) -> Option<ImageLabel> {
    let total: usize = counts.iter().sum();
    (total > 0).then(|| ImageLabel {
        distribution: counts
            .iter()
            .map(|&count| count as f32 / total as f32)
            .collect(),
        trust: 1.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_keep_their_class_keep_their_label() {
        let label = |distribution: [f32; 2], trust| {
            let distribution = distribution.to_vec();
            Some(ImageLabel {
                distribution,
                trust,
            })
        };
        let labels = ImageLabels {
            version: "v1".parse().unwrap(),
            source: ALL_ANNOTATORS.to_owned(),
            labels: vec![
                label([0.75, 0.25], 0.5),
                label([0.75, 0.25], 0.5),
                None,
                label([0.0, 1.0], 0.0),
            ],
        };
        let same = labels.with_classes(&labels.classes(), 2);
        assert_eq!(same, labels);
        assert_eq!(same.content_hash(), labels.content_hash());
        let noisy = labels.with_classes(&[Some(0), Some(1), None, Some(0)], 2);
        assert_eq!(noisy.labels[0], labels.labels[0]);
        assert_eq!(noisy.labels[1], label([0.0, 1.0], 0.5));
        assert_eq!(noisy.labels[2], None);
        assert_eq!(noisy.labels[3], label([1.0, 0.0], 0.0));
        assert_ne!(noisy.content_hash(), labels.content_hash());
    }
}
