//! Loops compiled for the processor's vector instructions.

use pulp::{Arch, Simd, WithSimd};

/// Runs `work`, compiled for the widest vectors that the processor has. `work` and all that it calls in
/// its loops must be `#[inline(always)]`: what is called instead is compiled for the oldest processor.
pub(crate) fn vectorised<R>(work: impl FnMut() -> R) -> R {
    Arch::new().dispatch(Inlined(work))
}

/// A closure given to `dispatch` itself is called as `FnOnce`, through a function that is not always
/// inlined; as `FnMut` it is called directly.
struct Inlined<W>(W);

impl<R, W: FnMut() -> R> WithSimd for Inlined<W> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> R {
        (self.0)()
    }
}
