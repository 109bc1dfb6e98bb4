//! Buffers that a thread keeps, so that a step that repeats allocates nothing.

use std::cell::RefCell;

/// Vector loads that cross a cache line cost twice.
const ALIGNMENT: usize = 64;

thread_local! {
    static KEPT: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Lends a buffer of `length` values, aligned to a cache line. What is in it is left over from
/// earlier uses: write before you read.
///
/// Calls may nest; the buffers are handed out and taken back as a stack, so that a nest of calls
/// that repeats finds the buffers of its sizes again.
pub(crate) fn with<T>(length: usize, use_buffer: impl FnOnce(&mut [f32]) -> T) -> T {
    let mut buffer = KEPT.with_borrow_mut(Vec::pop).unwrap_or_default();
    let needed = length + ALIGNMENT / size_of::<f32>();
    if buffer.len() < needed {
        buffer.resize(needed, 0.0);
    }
    let start = buffer.as_ptr().align_offset(ALIGNMENT);
    let result = use_buffer(&mut buffer[start..start + length]);
    KEPT.with_borrow_mut(|kept| kept.push(buffer));
    result
}

#[cfg(test)]
mod tests {
    use super::with;

    #[test]
    fn nested_buffers_are_aligned_apart_and_found_again() {
        let place = |buffer: &[f32]| buffer.as_ptr().addr();
        let lent = || {
            with(1000, |outer| {
                outer.fill(1.0);
                with(500, |inner| {
                    inner.fill(2.0);
                    assert_eq!(place(inner) % 64, 0);
                    assert!(outer.iter().all(|&value| value == 1.0));
                    (place(outer), place(inner))
                })
            })
        };
        assert_eq!(lent(), lent());
    }
}
