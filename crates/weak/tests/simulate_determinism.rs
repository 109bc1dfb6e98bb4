//! The same seed gives the same bytes, on any number of threads and in any order.

use cleanslide_weak::simulate::{
    CaseSettings, Entity, LabelledPatch, PatchClassification, SimulatedCase, simulate_case,
};

#[allow(clippy::unwrap_used)]
fn threads<T: Send>(count: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new()
        .num_threads(count)
        .build()
        .unwrap()
        .install(work)
}

fn case() -> SimulatedCase {
    let settings = CaseSettings {
        size: (96, 128),
        ..CaseSettings::default()
    };
    simulate_case(7, 3, Entity::Cholangiocellular, &settings)
}

fn task() -> PatchClassification {
    PatchClassification {
        seed: 11,
        cases: 4,
        patches_per_case: 6,
        size: (64, 64),
        ..PatchClassification::default()
    }
}

#[test]
fn one_and_two_threads_give_the_same_case() {
    let one = threads(1, case);
    assert_eq!(one, threads(2, case));
    assert_eq!(one.id, "case-0003");
}

#[test]
fn one_and_two_threads_give_the_same_patches() {
    let one: Vec<LabelledPatch> = threads(1, || task().simulate());
    assert_eq!(one, threads(2, || task().simulate()));
}

#[test]
fn a_patch_alone_is_the_patch_in_its_series() {
    let all = task().simulate();
    for at in [23, 0, 13] {
        assert_eq!(all[at], task().patch(at / 6, at % 6));
    }
}

#[test]
fn a_longer_series_keeps_its_beginning() {
    let longer = CaseSettings {
        size: (96, 128),
        images: 8,
        ..CaseSettings::default()
    };
    let longer = simulate_case(7, 3, Entity::Cholangiocellular, &longer);
    assert_eq!(longer.images[..6], case().images[..]);
}

#[test]
fn seeds_cases_and_images_differ() {
    let settings = CaseSettings {
        size: (48, 48),
        ..CaseSettings::default()
    };
    let first = simulate_case(7, 3, Entity::BenignLiver, &settings);
    let other_case = simulate_case(7, 4, Entity::BenignLiver, &settings);
    let other_seed = simulate_case(8, 3, Entity::BenignLiver, &settings);
    assert_ne!(first.style, other_case.style);
    assert_ne!(first.style, other_seed.style);
    assert_ne!(first.images[0].rgb, first.images[1].rgb);
}
