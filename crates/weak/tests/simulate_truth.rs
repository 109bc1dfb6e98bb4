//! The truth of simulated tissue is consistent with itself and with the pixels.

use cleanslide_weak::simulate::{
    CaseSettings, CaseStyle, CellKind, Entity, PatchClass, PatchClassification, SimulatedImage,
    Tissue, TissueClass, simulate_case, simulate_image,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

fn image(entity: Entity, tissue: &Tissue, seed: u64) -> SimulatedImage {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let style = CaseStyle::draw(&mut rng);
    simulate_image(entity, tissue, &style, &mut rng)
}

fn rich() -> Tissue {
    Tissue {
        glass: 0.08,
        tumour: 0.4,
        stroma: 0.15,
        fat: 0.3,
        foci: 0.1,
        scattered: 500.0,
        pyknotic: 200.0,
        ..Tissue::default()
    }
}

/// Optical density of red, the channel in which haematoxylin absorbs and eosin hardly does.
fn red_density(image: &SimulatedImage, y: usize, x: usize) -> f64 {
    let red = f64::from(image.rgb.get_pixel(x as u32, y as u32).0[0]);
    -((red + 1.0) / 256.0).log10()
}

fn assert_consistent(image: &SimulatedImage) {
    let (height, width) = image.pixel_class.dim();
    assert_eq!(image.instances.dim(), (height, width));
    assert_eq!(image.rgb.dimensions(), (width as u32, height as u32));
    let mut seen = vec![(0usize, 0.0f64, 0.0f64); image.cells.len()];
    for ((y, x), &id) in image.instances.indexed_iter() {
        let class = image.pixel_class[(y, x)];
        assert!(usize::from(class) < TissueClass::ALL.len());
        if id == 0 {
            // A pixel is immune only where an immune nucleus is.
            assert_ne!(class, TissueClass::Immune as u8);
            continue;
        }
        let cell = &image.cells[usize::from(id) - 1];
        assert_eq!(class, cell.tissue as u8, "under {:?}", cell.kind);
        let (top, left, bottom, right) = cell.bounding_box;
        assert!((top..bottom).contains(&y) && (left..right).contains(&x));
        let sum = &mut seen[usize::from(id) - 1];
        sum.0 += 1;
        sum.1 += y as f64;
        sum.2 += x as f64;
    }
    for (index, (cell, (area, row, column))) in image.cells.iter().zip(seen).enumerate() {
        assert_eq!(usize::from(cell.id), index + 1);
        assert!(area > 0, "a cell without pixels");
        assert_eq!(cell.area, area);
        assert!((f64::from(cell.centre.0) - row / area as f64).abs() < 1e-3);
        assert!((f64::from(cell.centre.1) - column / area as f64).abs() < 1e-3);
        let home: &[TissueClass] = match cell.kind {
            CellKind::Hepatocyte => &[TissueClass::NormalLiver],
            CellKind::Tumour => &[TissueClass::Hepatocellular, TissueClass::Cholangiocellular],
            CellKind::Immune => &[TissueClass::Immune],
            CellKind::Endothelial => &[TissueClass::BloodSpace],
            CellKind::Fibroblast => &[TissueClass::Stroma],
            CellKind::Pyknotic => &[
                TissueClass::NormalLiver,
                TissueClass::Hepatocellular,
                TissueClass::Cholangiocellular,
            ],
        };
        assert!(
            home.contains(&cell.tissue),
            "{:?} in {:?}",
            cell.kind,
            cell.tissue
        );
        assert!(!cell.infiltrating || cell.kind == CellKind::Immune);
    }
}

#[test]
fn pixels_nuclei_and_cells_tell_the_same_story() {
    for entity in Entity::ALL {
        for seed in 0..6 {
            let image = image(entity, &rich(), seed);
            assert_consistent(&image);
            for other in Entity::ALL {
                let foreign = other != entity;
                if let (true, Some(class)) = (foreign, other.tumour_class()) {
                    assert_eq!(image.share(class), 0.0, "{entity:?} shows {class:?}");
                }
            }
        }
    }
}

#[test]
fn odd_sizes_and_scales_work() {
    let sizes = [(1, 1), (7, 200), (64, 33), (100, 400)];
    for (size, microns_per_pixel) in sizes.into_iter().zip([0.5, 0.25, 1.0, 0.4]) {
        for entity in Entity::ALL {
            let tissue = Tissue {
                size,
                microns_per_pixel,
                ..rich()
            };
            let image = image(entity, &tissue, 9);
            assert_eq!(image.pixel_class.dim(), size);
            assert_consistent(&image);
        }
    }
}

#[test]
fn no_class_and_no_kind_is_empty() {
    let mut classes = [0usize; TissueClass::ALL.len()];
    let mut kinds = BTreeMap::new();
    let (mut infiltrating, mut circulating) = (0, 0);
    for (case, entity) in Entity::ALL.into_iter().enumerate() {
        for image in simulate_case(1, case as u32, entity, &CaseSettings::default()).images {
            assert_consistent(&image);
            image
                .pixel_class
                .iter()
                .for_each(|&c| classes[usize::from(c)] += 1);
            for cell in &image.cells {
                *kinds.entry(cell.kind).or_insert(0usize) += 1;
                if cell.kind == CellKind::Immune {
                    infiltrating += usize::from(cell.infiltrating);
                    circulating += usize::from(!cell.infiltrating);
                }
            }
        }
    }
    assert!(classes.iter().all(|&count| count > 500), "{classes:?}");
    assert_eq!(kinds.len(), CellKind::ALL.len(), "{kinds:?}");
    assert!(kinds.values().all(|&count| count >= 10), "{kinds:?}");
    assert!(
        infiltrating > 5 * circulating && circulating > 3,
        "{infiltrating} {circulating}"
    );
}

#[test]
fn a_diagnosis_excludes_the_other_tumour_in_every_picture() {
    for (case, entity) in Entity::ALL.into_iter().enumerate() {
        let case = simulate_case(2, case as u32, entity, &CaseSettings::default());
        let shares: Vec<[f64; 2]> = case
            .images
            .iter()
            .map(|image| {
                [TissueClass::Hepatocellular, TissueClass::Cholangiocellular]
                    .map(|class| image.share(class))
            })
            .collect();
        let largest = |which: usize| shares.iter().map(|s| s[which]).fold(0.0, f64::max);
        assert_eq!(largest(0) > 0.3, entity == Entity::Hepatocellular);
        // Glands are set in stroma, so they take less of the picture.
        assert_eq!(largest(1) > 0.12, entity == Entity::Cholangiocellular);
        assert_eq!(largest(0) == 0.0, entity != Entity::Hepatocellular);
        assert_eq!(largest(1) == 0.0, entity != Entity::Cholangiocellular);
    }
}

/// Mean area in µm² and mean red density per kind, over nuclei away from the edge.
fn measure(images: &[SimulatedImage]) -> BTreeMap<CellKind, (f64, f64)> {
    let mut sums: BTreeMap<CellKind, (f64, f64, f64)> = BTreeMap::new();
    for image in images {
        let (height, width) = image.pixel_class.dim();
        for cell in &image.cells {
            let (top, left, bottom, right) = cell.bounding_box;
            if top == 0 || left == 0 || bottom == height || right == width {
                continue;
            }
            let mut density = 0.0;
            for y in top..bottom {
                for x in left..right {
                    if image.instances[(y, x)] == cell.id {
                        density += red_density(image, y, x);
                    }
                }
            }
            let sum = sums.entry(cell.kind).or_default();
            sum.0 += 1.0;
            sum.1 += cell.area as f64 * f64::from(image.microns_per_pixel).powi(2);
            sum.2 += density / cell.area as f64;
        }
    }
    sums.into_iter()
        .map(|(kind, (count, area, density))| (kind, (area / count, density / count)))
        .collect()
}

#[test]
fn nuclei_look_the_way_their_kind_does() {
    let images: Vec<_> = (0..8)
        .map(|seed| image(Entity::Hepatocellular, &rich(), seed))
        .collect();
    let looks = measure(&images);
    let (hepatocyte, tumour) = (looks[&CellKind::Hepatocyte], looks[&CellKind::Tumour]);
    let (immune, pyknotic) = (looks[&CellKind::Immune], looks[&CellKind::Pyknotic]);
    assert!(immune.0 < 0.75 * hepatocyte.0, "{looks:?}");
    assert!(immune.1 > 1.3 * hepatocyte.1, "{looks:?}");
    assert!(
        tumour.0 > 1.2 * hepatocyte.0 && tumour.1 > 1.2 * hepatocyte.1,
        "{looks:?}"
    );
    // Look-alikes are alike: neither size nor density tells them apart on average.
    assert!((pyknotic.0 / immune.0 - 1.0).abs() < 0.3, "{looks:?}");
    assert!((pyknotic.1 / immune.1 - 1.0).abs() < 0.3, "{looks:?}");
}

#[test]
fn fat_is_as_bright_as_glass_and_brighter_than_tissue() {
    let image = image(Entity::BenignLiver, &rich(), 3);
    let brightness = |class: TissueClass| {
        let (mut sum, mut count) = (0.0, 0.0);
        for ((y, x), &c) in image.pixel_class.indexed_iter() {
            if c == class as u8 {
                sum += f64::from(image.rgb.get_pixel(x as u32, y as u32).0[1]);
                count += 1.0;
            }
        }
        sum / count
    };
    let (fat, glass) = (
        brightness(TissueClass::Fat),
        brightness(TissueClass::Background),
    );
    assert!(fat > 190.0 && (fat - glass).abs() < 30.0, "{fat} {glass}");
    assert!(fat > brightness(TissueClass::NormalLiver) + 40.0);
}

#[test]
fn shares_are_followed() {
    let tissue = Tissue {
        size: (512, 512),
        glass: 0.2,
        tumour: 0.5,
        foci: 0.0,
        ..Tissue::default()
    };
    let image = image(Entity::Hepatocellular, &tissue, 4);
    assert!((image.share(TissueClass::Background) - 0.2).abs() < 0.05);
    // Tumour takes half of the picture less glass, and within it sinusoids take some.
    let tumour = image.share(TissueClass::Hepatocellular);
    assert!((0.25..0.55).contains(&tumour), "{tumour}");
    let bare = Tissue {
        scattered: 0.0,
        pyknotic: 0.0,
        fat: 0.0,
        stroma: 0.0,
        ..Tissue::default()
    };
    assert_eq!(bare.check(), Ok(()));
    let bare = self::image(Entity::BenignLiver, &bare, 5);
    assert_eq!(
        bare.count(CellKind::Immune) + bare.count(CellKind::Pyknotic),
        0
    );
    assert_eq!(
        bare.share(TissueClass::Fat) + bare.share(TissueClass::Stroma),
        0.0
    );
}

/// A one-number statistic for each class that grows with how clearly a patch shows it: from the
/// truth, since it is the truth's composition that difficulty turns.
fn evidence(class: PatchClass, image: &SimulatedImage) -> f64 {
    let area = image.pixel_class.len() as f64;
    match class {
        PatchClass::Hepatocytes => -area_of(image, CellKind::Hepatocyte),
        PatchClass::Tumour => {
            image.share(TissueClass::Hepatocellular) + image.share(TissueClass::Cholangiocellular)
        }
        PatchClass::ImmuneInfiltrate => image.count(CellKind::Immune) as f64 / area,
        PatchClass::Fat => image.share(TissueClass::Fat),
    }
}

fn area_of(image: &SimulatedImage, kind: CellKind) -> f64 {
    let cells = image.cells.iter().filter(|cell| cell.kind == kind);
    let (count, area) = cells.fold((0.0, 0.0), |(n, a), cell| (n + 1.0, a + cell.area as f64));
    area / f64::max(count, 1.0)
}

#[test]
fn difficulty_lowers_the_evidence_for_each_class_step_by_step() {
    const CASES: usize = 36;
    let mean = |class: usize, difficulty: f32| {
        let task = PatchClassification {
            seed: 6,
            difficulty: (difficulty, difficulty),
            ..PatchClassification::default()
        };
        let sum: f64 = (0..CASES)
            .map(|case| evidence(PatchClass::ALL[class], &task.patch(case, class + 4).image))
            .sum();
        sum / CASES as f64
    };
    for class in 0..PatchClass::ALL.len() {
        let steps = [0.0, 0.5, 1.0].map(|difficulty| mean(class, difficulty));
        assert!(
            steps[0] > steps[1] && steps[1] > steps[2],
            "{class} {steps:?}"
        );
    }
}

#[test]
fn patches_mostly_show_their_class() {
    let patches = PatchClassification {
        cases: 10,
        ..PatchClassification::default()
    }
    .simulate();
    for patch in &patches {
        assert_consistent(&patch.image);
        assert!((0.0..=1.0).contains(&patch.difficulty));
        let fat = patch.image.share(TissueClass::Fat);
        let tumour = evidence(PatchClass::Tumour, &patch.image);
        match patch.class {
            PatchClass::Hepatocytes => assert!(tumour == 0.0 && fat < 0.12, "{fat}"),
            PatchClass::Tumour if patch.difficulty < 0.3 => assert!(tumour > 0.12, "{tumour}"),
            PatchClass::ImmuneInfiltrate => {
                assert!(patch.image.count(CellKind::Immune) >= 4);
            }
            PatchClass::Fat if patch.difficulty < 0.3 => assert!(fat > 0.05, "{fat}"),
            PatchClass::Tumour | PatchClass::Fat => {}
        }
    }
    for class in PatchClass::ALL {
        assert_eq!(patches.iter().filter(|p| p.class == class).count(), 60);
    }
}

#[test]
fn the_corners_of_the_allowed_settings_work() {
    let none = Tissue {
        size: (96, 96),
        atypia: 0.0,
        stroma: 0.0,
        fat: 0.0,
        vacuole: 0.5,
        scattered: 0.0,
        pyknotic: 0.0,
        ..Tissue::default()
    };
    let all = Tissue {
        size: (96, 96),
        tumour: 1.0,
        stroma: 1.0,
        reactive: 1.0,
        fat: 1.0,
        vacuole: 20.0,
        foci: 1.0,
        scattered: 20_000.0,
        pyknotic: 20_000.0,
        ..Tissue::default()
    };
    let glass = Tissue {
        glass: 1.0,
        ..all.clone()
    };
    for tissue in [none, all, glass] {
        assert_eq!(tissue.check(), Ok(()));
        for microns_per_pixel in [0.1, 2.0] {
            let tissue = Tissue {
                microns_per_pixel,
                ..tissue.clone()
            };
            for entity in Entity::ALL {
                assert_consistent(&image(entity, &tissue, 1));
            }
        }
    }
}
