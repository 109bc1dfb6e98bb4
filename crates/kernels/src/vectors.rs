//! Loops over vectors.

/// Places in memory that loops go through at a time. The processor fetches ahead of each of them, but of none far
/// enough to use all that memory can give.
pub(crate) const STREAMS: usize = 4;

/// Replaces each vector of a slice by a function of itself and of the vectors at its place in other
/// slices of the same length; the last, incomplete vectors are padded with zeros.
macro_rules! each_vector {
    ($simd:expr, $S:ty, $out:ident in $places:expr, $($name:ident in $values:expr),+ => $body:expr) => {{
        let simd = $simd;
        let places = $places;
        let length = places.len();
        let (whole, rest) = <$S>::as_mut_simd_f32s(places);
        $(let $name = <$S>::as_simd_f32s(&$values[..length]);)+
        let count = whole.len();
        $(let $name = (&$name.0[..count], $name.1);)+
        for index in 0..count {
            let result = {
                let $out = whole[index];
                $(let $name = $name.0[index];)+
                $body
            };
            whole[index] = result;
        }
        if !rest.is_empty() {
            let result = {
                let $out = simd.partial_load_f32s(rest);
                $(let $name = simd.partial_load_f32s($name.1);)+
                $body
            };
            simd.partial_store_f32s(rest, result);
        }
    }};
}
