//! The kinds of numbers that pixels are.

/// A pixel value: `u8`, `u16` or `f32`.
pub trait Sample: Copy + PartialOrd + Default + Send + Sync + 'static {
    /// The greatest value of an integer kind; 1 for `f32`, whose images are in [0, 1] by convention.
    const WHITE: f32;

    /// The value as `f32`, exact for all three kinds.
    fn to_f32(self) -> f32;

    /// The nearest value of this kind, halves to even as OpenCV rounds, beyond the range the range's
    /// end; `f32` as it is.
    fn from_f32(value: f32) -> Self;

    /// A whole number in the order of the values: of integers the value itself. What is not a number
    /// comes last; −0 is 0.
    fn rank(self) -> u32;
}

impl Sample for u8 {
    const WHITE: f32 = 255.0;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from(self)
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        // A cast saturates, and turns what is not a number into 0.
        value.round_ties_even() as Self
    }

    #[inline(always)]
    fn rank(self) -> u32 {
        u32::from(self)
    }
}

impl Sample for u16 {
    const WHITE: f32 = 65535.0;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from(self)
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value.round_ties_even() as Self
    }

    #[inline(always)]
    fn rank(self) -> u32 {
        u32::from(self)
    }
}

impl Sample for f32 {
    const WHITE: f32 = 1.0;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }

    #[inline(always)]
    fn rank(self) -> u32 {
        if self.is_nan() {
            return u32::MAX;
        }
        // Adding 0 turns −0 into 0.
        let bits = (self + 0.0).to_bits();
        if bits >> 31 == 1 {
            !bits
        } else {
            bits | 1 << 31
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_even_and_saturates() {
        assert_eq!(u8::from_f32(2.5), 2);
        assert_eq!(u8::from_f32(3.5), 4);
        assert_eq!(u8::from_f32(-7.0), 0);
        assert_eq!(u8::from_f32(300.0), 255);
        assert_eq!(u16::from_f32(70_000.0), 65_535);
        assert_eq!(f32::from_f32(-0.25), -0.25);
    }

    #[test]
    fn ranks_are_in_the_order_of_the_values() {
        let values = [
            f32::NEG_INFINITY,
            -2.5,
            -0.0,
            1e-40,
            3.0,
            f32::INFINITY,
            f32::NAN,
        ];
        assert!(values.is_sorted_by_key(|value| value.rank()));
        assert_eq!((-0.0_f32).rank(), 0.0_f32.rank());
        assert_eq!((7_u8.rank(), 700_u16.rank()), (7, 700));
    }
}
