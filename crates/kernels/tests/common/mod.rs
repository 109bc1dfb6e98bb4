//! What the tests share.

use cleanslide_kernels::Instructions;

/// All that this machine has.
pub fn instruction_sets() -> Vec<Instructions> {
    let mut sets = vec![Instructions::Scalar];
    #[cfg(target_arch = "x86_64")]
    {
        sets.extend(pulp::x86::V3::try_new().map(Instructions::V3));
        sets.extend(pulp::x86::V4::try_new().map(Instructions::V4));
    }
    #[cfg(target_arch = "aarch64")]
    sets.push(Instructions::new());
    sets
}
