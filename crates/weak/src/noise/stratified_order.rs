//! An order in which some of many are chosen: more of them always include fewer.

use rand::Rng;
use rand::seq::SliceRandom;

/// Shuffles the members of strata, and merges them so that any beginning has about its share of each stratum: of `k` members,
/// a stratum of the share `s` has `k · s` but for rounding. The same generator gives the same order, so that choosing 20 %
/// keeps all that choosing 10 % does.
///
/// Member `i` of `n` of a stratum, counted from 0, comes at `(i + 0.5) / n`; of equals that of the earlier stratum is first.
pub fn stratified_order(strata: Vec<Vec<usize>>, rng: &mut impl Rng) -> Vec<usize> {
    let mut placed = Vec::new();
    for (stratum, mut members) in strata.into_iter().enumerate() {
        members.shuffle(rng);
        let of = members.len() as f64;
        for (place, member) in members.into_iter().enumerate() {
            placed.push(((place as f64 + 0.5) / of, stratum, member));
        }
    }
    placed.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
    placed.into_iter().map(|(.., member)| member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn beginnings_have_their_share_of_each_stratum() {
        let order = |seed| {
            let strata = vec![(0..20).collect(), (20..30).collect()];
            stratified_order(strata, &mut ChaCha8Rng::seed_from_u64(seed))
        };
        let of_seed = order(4);
        let of_second = |first: usize| of_seed[..first].iter().filter(|&&case| case >= 20).count();
        for first in [3, 6, 15, 30] {
            assert_eq!(of_second(first), first / 3, "of the first {first}");
        }
        let mut all = of_seed.clone();
        all.sort_unstable();
        assert_eq!(all, (0..30).collect::<Vec<_>>());
        assert_ne!(of_seed, order(5));
    }
}
