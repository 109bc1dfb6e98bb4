use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, RunningState};
use burn::tensor::Tensor;

use super::{ImageEncoder, ImageEncoderConfig};
use crate::layers::{BatchNorm, FullyConnected, Start};
use crate::losses::{standardized, unit};
use crate::operators::Activation;

/// The sizes of a [`ViewNetwork`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewNetworkConfig {
    /// The network that is wanted in the end.
    pub encoder: ImageEncoderConfig,
    /// Layers of the projection of its embeddings, at least 2.
    pub layers: usize,
    /// Values between these layers.
    pub hidden: usize,
    /// Values of a projection.
    pub features: usize,
    /// Whether projections are standardised over the batch.
    pub standardized: bool,
    /// Whether the student predicts the projection of its teacher.
    pub predicts: bool,
    /// Prototypes that projections are compared with; 0 is none.
    pub prototypes: usize,
    /// Whether there is a teacher, which follows the student.
    pub teacher: bool,
}

/// An encoder that learns to say the same of two views of an image, with what is thrown away afterwards: a projection of
/// its embeddings, and for some losses a prediction, prototypes, and a teacher that follows it.
#[derive(Module, Debug)]
pub struct ViewNetwork {
    student: Branch,
    predictor: Option<Perceptron>,
    teacher: Option<Branch>,
    /// The moving mean of what the teacher says of prototypes.
    centre: Option<RunningState<Tensor<1>>>,
}

/// What is said of views.
pub struct SaidOfViews {
    /// Projections, `[n, features]`.
    pub projections: Tensor<2>,
    /// What a loss compares: projections, predictions, or scores of prototypes, `[n, …]`.
    pub compared: Tensor<2>,
}

impl ViewNetworkConfig {
    /// The network with random parameters, for square images of this side; the teacher is like the student.
    pub fn init(&self, side: usize, start: &mut Start) -> ViewNetwork {
        let student = self.branch(side, start);
        let predictor = self
            .predicts
            .then(|| Perceptron::new([self.features, self.hidden, self.features], 2, false, start));
        let teacher = self.teacher.then(|| {
            let teacher = self.branch(side, start);
            follow(teacher, &student, 0.0)
        });
        ViewNetwork {
            student,
            predictor,
            teacher,
            centre: (self.prototypes > 0).then(|| start.running(0.0, self.prototypes)),
        }
    }

    fn branch(&self, side: usize, start: &mut Start) -> Branch {
        let sizes = [self.encoder.dimension(), self.hidden, self.features];
        Branch {
            encoder: self.encoder.init(side, start),
            projector: Perceptron::new(sizes, self.layers, self.standardized, start),
            prototypes: (self.prototypes > 0)
                .then(|| start.normal([self.prototypes, self.features], 1.0)),
        }
    }
}

impl ViewNetwork {
    /// What the student says of images `[n, height, width, 3]`.
    pub fn student(&self, images: Tensor<4>) -> SaidOfViews {
        let projections = self.student.project(images);
        let compared = match &self.predictor {
            Some(predictor) => predictor.forward(projections.clone()),
            None => self.student.compared(projections.clone()),
        };
        SaidOfViews {
            projections,
            compared,
        }
    }

    /// What the teacher says of images, `[n, …]`, without a gradient; `None` where there is none.
    pub fn teacher(&self, images: Tensor<4>) -> Option<Tensor<2>> {
        let teacher = self.teacher.clone()?.no_grad();
        let projections = teacher.project(images);
        Some(teacher.compared(projections).detach())
    }

    /// The moving mean of what the teacher says of prototypes, `[prototypes]`.
    pub fn centre(&self) -> Option<Tensor<1>> {
        self.centre.as_ref().map(RunningState::value_sync)
    }

    /// Sets this mean.
    pub fn set_centre(&self, centre: Tensor<1>) {
        if let Some(running) = &self.centre {
            running.update(centre);
        }
    }

    /// The teacher becomes `keep` parts of itself and `1 − keep` of the student.
    #[must_use]
    pub fn followed(self, keep: f64) -> Self {
        let teacher = self
            .teacher
            .map(|teacher| follow(teacher, &self.student, keep));
        Self { teacher, ..self }
    }

    /// The encoder of the student.
    pub fn encoder(&self) -> &ImageEncoder {
        &self.student.encoder
    }

    /// The encoder of the teacher, where there is one.
    pub fn teacher_encoder(&self) -> Option<&ImageEncoder> {
        self.teacher.as_ref().map(|teacher| &teacher.encoder)
    }
}

/// An encoder and what its embeddings are made into.
#[derive(Module, Debug)]
struct Branch {
    encoder: ImageEncoder,
    projector: Perceptron,
    /// `[prototypes, features]`; only their directions matter.
    prototypes: Option<Param<Tensor<2>>>,
}

impl Branch {
    fn project(&self, images: Tensor<4>) -> Tensor<2> {
        self.projector.forward(self.encoder.embed(images))
    }

    /// Cosines of projections with prototypes where there are any, otherwise the projections.
    fn compared(&self, projections: Tensor<2>) -> Tensor<2> {
        match &self.prototypes {
            Some(prototypes) => {
                let directions = unit(prototypes.val());
                unit(projections).matmul(directions.transpose())
            }
            None => projections,
        }
    }
}

/// Layers with batch normalisation and ReLU between them.
#[derive(Module, Debug)]
struct Perceptron {
    hidden: Vec<(FullyConnected, BatchNorm)>,
    last: FullyConnected,
    #[module(skip)]
    standardized: bool,
}

impl Perceptron {
    fn new(
        [inputs, hidden, outputs]: [usize; 3],
        layers: usize,
        standardized: bool,
        start: &mut Start,
    ) -> Self {
        let layer = |layer: usize, start: &mut Start| {
            let from = if layer == 0 { inputs } else { hidden };
            (
                FullyConnected::new([from, hidden], start),
                BatchNorm::new(hidden, start),
            )
        };
        Self {
            hidden: (0..layers - 1).map(|at| layer(at, start)).collect(),
            last: FullyConnected::new([hidden, outputs], start),
            standardized,
        }
    }

    fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        let hidden = self.hidden.iter().fold(rows, |rows, (layer, norm)| {
            let values = layer.forward(rows);
            let [n, channels] = values.dims();
            norm.forward(values.reshape([n, 1, 1, channels]), Activation::Relu)
                .reshape([n, channels])
        });
        let projections = self.last.forward(hidden);
        if self.standardized {
            standardized(projections)
        } else {
            projections
        }
    }
}

/// `keep` parts of a network and `1 − keep` of another of the same shape, without gradients.
fn follow<M: Module>(network: M, other: &M, keep: f64) -> M {
    let mut values = Values::default();
    other.visit(&mut values);
    let mut blend = Blend {
        values: values.0.into_iter(),
        keep,
    };
    network.map(&mut blend)
}

/// Parameters in their order, flat.
#[derive(Default)]
struct Values(Vec<Tensor<1>>);

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let value = parameter.val().inner();
        let length = value.shape().num_elements();
        self.0.push(value.reshape([length]));
    }
}

struct Blend {
    values: std::vec::IntoIter<Tensor<1>>,
    keep: f64,
}

impl ModuleMapper for Blend {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(other) = self.values.next() else {
            return parameter;
        };
        let recorded = parameter.val().is_autodiff();
        let id = parameter.id;
        let value = parameter.val().inner();
        let other = other.reshape(value.dims());
        let blended = value.mul_scalar(self.keep) + other.mul_scalar(1.0 - self.keep);
        let blended = if recorded {
            Tensor::from_inner(blended)
        } else {
            blended
        };
        Param::initialized(id, blended)
    }
}
