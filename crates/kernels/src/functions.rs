//! Exponentials and what is made of them, vector by vector.

use pulp::Simd;

/// e^x, with a relative error below 2e-7: 0 below −87.3, infinite above 88.7; what is no number stays none.
///
/// x = n ln 2 + r, and e^r by the polynomial of the Cephes library (S. L. Moshier, expf).
#[inline(always)]
pub(crate) fn exponential<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |value: f32| simd.splat_f32s(value);
    // Adding 1.5 · 2²³ leaves the nearest whole number in the lowest bits.
    let shifter = splat(12_582_912.0);
    let shifted = simd.mul_add_e_f32s(x, splat(std::f32::consts::LOG2_E), shifter);
    let whole = simd.sub_f32s(shifted, shifter);
    let rest = simd.mul_add_e_f32s(whole, splat(-0.693_359_4), x);
    let rest = simd.mul_add_e_f32s(whole, splat(2.121_944_4e-4), rest);
    let mut sum = splat(1.987_569_2e-4);
    for coefficient in [
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        sum = simd.mul_add_e_f32s(sum, rest, splat(coefficient));
    }
    let squared = simd.mul_f32s(rest, rest);
    let sum = simd.mul_add_e_f32s(sum, squared, simd.add_f32s(rest, splat(1.0)));
    let bits = simd.transmute_u32s_f32s(shifted);
    let exponent = simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(23));
    let scale = simd.add_u32s(exponent, simd.splat_u32s(127 << 23));
    let result = simd.mul_f32s(sum, simd.transmute_f32s_u32s(scale));
    let low = simd.less_than_f32s(x, splat(-87.336_54));
    let result = simd.select_f32s(low, splat(0.0), result);
    let high = simd.greater_than_f32s(x, splat(88.376_26));
    simd.select_f32s(high, splat(f32::INFINITY), result)
}

/// The distribution function and the density of the standard normal distribution, with an absolute error below
/// 2e-7 (Abramowitz and Stegun, 7.1.26).
#[inline(always)]
pub(crate) fn normal<S: Simd>(simd: S, x: S::f32s) -> [S::f32s; 2] {
    let splat = |value: f32| simd.splat_f32s(value);
    let size = simd.abs_f32s(x);
    let half_square = simd.mul_f32s(simd.mul_f32s(x, x), splat(-0.5));
    let bell = exponential(simd, half_square);
    let slope = splat(0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2);
    let t = simd.div_f32s(splat(1.0), simd.mul_add_e_f32s(size, slope, splat(1.0)));
    let mut sum = splat(1.061_405_4);
    for coefficient in [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6] {
        sum = simd.mul_add_e_f32s(sum, t, splat(coefficient));
    }
    let tail = simd.mul_f32s(simd.mul_f32s(sum, t), simd.mul_f32s(bell, splat(0.5)));
    let negative = simd.less_than_f32s(x, splat(0.0));
    let below = simd.select_f32s(negative, tail, simd.sub_f32s(splat(1.0), tail));
    // 1 / √(2π).
    [below, simd.mul_f32s(bell, splat(0.398_942_3))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Instructions;
    use pulp::WithSimd;

    /// The first value of each of the three functions.
    struct At(f32);

    impl WithSimd for At {
        type Output = [f32; 3];

        fn with_simd<S: Simd>(self, simd: S) -> [f32; 3] {
            let x = simd.splat_f32s(self.0);
            let [below, density] = normal(simd, x);
            [exponential(simd, x), below, density].map(|value| simd.reduce_max_f32s(value))
        }
    }

    #[test]
    fn functions_are_as_near_as_they_say() {
        for step in -8700..8800 {
            let x = step as f32 / 100.0 + 0.001;
            let wide = f64::from(x);
            let [exponential, _, density] = Instructions::new().dispatch(At(x)).map(f64::from);
            let exact = wide.exp();
            assert!(
                (exponential / exact - 1.0).abs() < 2e-7,
                "e^{x}: {exponential}"
            );
            let exact = (-wide * wide / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
            assert!((density - exact).abs() < 2e-7, "{x}: {density}");
        }
        let [least, below, _] = Instructions::new().dispatch(At(-200.0));
        assert_eq!([least, below], [0.0, 0.0]);
        assert_eq!(Instructions::new().dispatch(At(200.0))[0], f32::INFINITY);
    }
}
