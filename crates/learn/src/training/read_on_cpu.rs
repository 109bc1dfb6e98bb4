use burn::optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor};

/// An optimiser whose saved state, or the state itself, is read onto the CPU; the next step moves it to where the
/// parameters are. Burn would read it onto its default device: in a build with the feature `vulkan` that is a GPU,
/// whether the training is on one or not, and whether there is one or not.
#[derive(Debug, Clone)]
pub(super) struct ReadOnCpu<T>(pub(super) T);

impl<O: Optimizer> Optimizer for ReadOnCpu<O> {
    type State<const D: usize> = ReadOnCpu<O::State<D>>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let state = state.map(|ReadOnCpu(state)| state);
        let (tensor, state) = self.0.step(rate, tensor, gradient, state);
        (tensor, state.map(ReadOnCpu))
    }

    fn to_device<const D: usize>(
        ReadOnCpu(state): Self::State<D>,
        device: &Device,
    ) -> Self::State<D> {
        ReadOnCpu(O::to_device(state, device))
    }
}

impl<S: RecordState> RecordState for ReadOnCpu<S> {
    fn state_flatten(&self, prefix: &str, sink: &mut StateSink) {
        self.0.state_flatten(prefix, sink);
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, _: &Device) -> Option<Self> {
        S::state_unflatten(prefix, source, &Device::flex()).map(Self)
    }
}
