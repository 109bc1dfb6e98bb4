//! How an operator of our own joins Burn's graph.
//!
//! An [`Operator`] says what it does with tensors of the CPU device, and what their gradients are; this
//! file alone knows the rest.

use std::fmt::Debug;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Device, Shape, Tensor, TensorData};
use cleanslide_kernels::Instructions;

use super::memory;

/// A function of N tensors with a gradient, on the CPU device.
pub(super) trait Operator<const N: usize>: Clone + Debug + Send + 'static {
    /// What the gradient is worked out from: it is kept until then.
    const KEEPS: Keeps = Keeps::Inputs;

    fn forward(&self, inputs: [&[f32]; N]) -> Values;

    /// The gradients of the inputs that are `needed`, in their shapes.
    fn backward(
        &self,
        kept: Kept<'_, N>,
        gradient: &[f32],
        needed: [bool; N],
    ) -> [Option<Vec<f32>>; N];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeps {
    Inputs,
    Result,
    Nothing,
}

/// What an operator kept, as [`Operator::KEEPS`] says; all else is empty.
#[derive(Clone, Copy)]
pub(super) struct Kept<'a, const N: usize> {
    pub(super) inputs: [&'a [f32]; N],
    pub(super) result: &'a [f32],
}

/// The values of a tensor and its shape.
pub(super) struct Values {
    pub(super) values: Vec<f32>,
    pub(super) shape: Vec<usize>,
}

/// The instructions that this machine has.
pub(super) fn instructions() -> Instructions {
    Instructions::new()
}

/// What the vector instructions are called that operators use on the CPU device of this machine.
pub fn instructions_name() -> &'static str {
    cleanslide_kernels::instructions_name(instructions())
}

/// Whether our kernels run there.
pub(super) fn is_cpu(device: &Device) -> bool {
    *device == Device::flex()
}

pub(super) fn unary<O: Operator<1>, const D: usize, const R: usize>(
    operator: O,
    input: Tensor<D>,
) -> Tensor<R> {
    Tensor::from_dispatch(<Dispatch as Operators>::unary(
        input.into_dispatch(),
        operator,
    ))
}

pub(super) fn binary<O: Operator<2>, const D: usize, const E: usize, const R: usize>(
    operator: O,
    first: Tensor<D>,
    second: Tensor<E>,
) -> Tensor<R> {
    Tensor::from_dispatch(<Dispatch as Operators>::binary(
        first.into_dispatch(),
        second.into_dispatch(),
        operator,
    ))
}

pub(super) fn ternary<
    O: Operator<3>,
    const D: usize,
    const E: usize,
    const F: usize,
    const R: usize,
>(
    operator: O,
    first: Tensor<D>,
    second: Tensor<E>,
    third: Tensor<F>,
) -> Tensor<R> {
    Tensor::from_dispatch(<Dispatch as Operators>::ternary(
        first.into_dispatch(),
        second.into_dispatch(),
        third.into_dispatch(),
        operator,
    ))
}

#[backend_extension(Flex, Autodiff)]
trait Operators: Backend {
    fn unary<O>(input: FloatTensor<Self>, operator: O) -> FloatTensor<Self>
    where
        O: Operator<1>;

    fn binary<O>(
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        operator: O,
    ) -> FloatTensor<Self>
    where
        O: Operator<2>;

    fn ternary<O>(
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        third: FloatTensor<Self>,
        operator: O,
    ) -> FloatTensor<Self>
    where
        O: Operator<3>;
}

impl Operators for Flex {
    fn unary<O>(input: FlexTensor, operator: O) -> FlexTensor
    where
        O: Operator<1>,
    {
        infer(&operator, [input])
    }

    fn binary<O>(first: FlexTensor, second: FlexTensor, operator: O) -> FlexTensor
    where
        O: Operator<2>,
    {
        infer(&operator, [first, second])
    }

    fn ternary<O>(
        first: FlexTensor,
        second: FlexTensor,
        third: FlexTensor,
        operator: O,
    ) -> FlexTensor
    where
        O: Operator<3>,
    {
        infer(&operator, [first, second, third])
    }
}

impl<C: CheckpointStrategy> Operators for Autodiff<Flex, C> {
    fn unary<O>(input: FloatTensor<Self>, operator: O) -> FloatTensor<Self>
    where
        O: Operator<1>,
    {
        record::<O, C, 1>(operator, [input])
    }

    fn binary<O>(
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        operator: O,
    ) -> FloatTensor<Self>
    where
        O: Operator<2>,
    {
        record::<O, C, 2>(operator, [first, second])
    }

    fn ternary<O>(
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        third: FloatTensor<Self>,
        operator: O,
    ) -> FloatTensor<Self>
    where
        O: Operator<3>,
    {
        record::<O, C, 3>(operator, [first, second, third])
    }
}

/// The result, and the inputs as they were read: contiguous.
fn forward<O: Operator<N>, const N: usize>(
    operator: &O,
    inputs: [FlexTensor; N],
) -> (FlexTensor, [FlexTensor; N]) {
    let inputs = inputs.map(|input| input.to_contiguous());
    let Values { values, shape } = operator.forward(inputs.each_ref().map(values));
    (
        FlexTensor::from_data(TensorData::new(values, shape)),
        inputs,
    )
}

/// The result alone: the inputs have served.
fn infer<O: Operator<N>, const N: usize>(operator: &O, inputs: [FlexTensor; N]) -> FlexTensor {
    let (result, inputs) = forward(operator, inputs);
    inputs.into_iter().for_each(memory::give);
    result
}

/// The values of a contiguous tensor.
fn values(tensor: &FlexTensor) -> &[f32] {
    // Only a tensor of another type has none, and networks are made of f32.
    tensor.as_slice().unwrap_or_default()
}

fn record<O: Operator<N>, C: CheckpointStrategy, const N: usize>(
    operator: O,
    inputs: [FloatTensor<Autodiff<Flex, C>>; N],
) -> FloatTensor<Autodiff<Flex, C>> {
    let nodes = inputs.each_ref().map(|input| input.node());
    let (output, inputs) = forward(&operator, inputs.map(|input| input.into_primitive()));
    let step = Step::<O>(std::marker::PhantomData);
    match step.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => {
            let shapes = inputs.each_ref().map(|input| input.shape());
            let kept = match O::KEEPS {
                Keeps::Inputs => SavedTensors::Inputs(inputs),
                Keeps::Result => SavedTensors::Result(output.clone()),
                Keeps::Nothing => SavedTensors::Nothing,
            };
            let saved = Saved {
                operator,
                shapes,
                kept,
            };
            prepared.finish(saved, output)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    }
}

/// What a step back needs.
#[derive(Clone, Debug)]
struct Saved<O, const N: usize> {
    operator: O,
    /// Those of the inputs.
    shapes: [Shape; N],
    kept: SavedTensors<N>,
}

#[derive(Clone, Debug)]
enum SavedTensors<const N: usize> {
    Inputs([FlexTensor; N]),
    Result(FlexTensor),
    Nothing,
}

#[derive(Debug)]
struct Step<O>(std::marker::PhantomData<O>);

impl<O: Operator<N>, const N: usize> Backward<Flex, N> for Step<O> {
    type State = Saved<O, N>;

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let Saved {
            operator,
            shapes,
            kept,
        } = ops.state;
        let needed = ops.parents.each_ref().map(Option::is_some);
        let empty: &[f32] = &[];
        let mut given = Kept {
            inputs: [empty; N],
            result: empty,
        };
        match &kept {
            SavedTensors::Inputs(inputs) => given.inputs = inputs.each_ref().map(values),
            SavedTensors::Result(result) => given.result = values(result),
            SavedTensors::Nothing => {}
        }
        let results = operator.backward(given, values(&gradient), needed);
        for ((parent, shape), result) in ops.parents.iter().zip(shapes).zip(results) {
            if let (Some(parent), Some(result)) = (parent, result) {
                let result = FlexTensor::from_data(TensorData::new(result, shape));
                gradients.register::<Flex>(parent.id, result);
            }
        }
        memory::give(gradient);
        match kept {
            SavedTensors::Inputs(inputs) => inputs.into_iter().for_each(memory::give),
            SavedTensors::Result(result) => memory::give(result),
            SavedTensors::Nothing => {}
        }
    }
}
