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
        let label = |class| ImageLabel {
            distribution: one_hot(class, class_count),
            trust: 1.0,
        };
        let labels = classes.iter().map(|class| class.map(label)).collect();
        Self {
            version,
            source,
            labels,
        }
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
