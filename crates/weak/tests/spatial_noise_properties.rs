//! What must hold for every spatial injector, on any input: counts are exact, what is not in the
//! record is untouched, the record rebuilds the truth, objects stay consistent and apart, unlabelled
//! pixels stay, and the same seed gives the same noise on any number of threads.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use cleanslide_data::mask::UNLABELLED_OBJECT;
use cleanslide_data::{Object, Rectangle, Trust};
use cleanslide_weak::noise::spatial::{
    Annotation, BoxedImage, Direction, Habit, InstanceMask, MarkovBorder, Mistake, NoisyObjects,
    add_objects, dilate_erode, drop_objects, expert_bias, jitter_boxes, markov_borders,
    markov_masks, merge_objects, object_classes, rescale_boxes, split_objects, swap_classes,
};
use cleanslide_weak::noise::{NoiseError, Uniform, uniform};
use ndarray::{Array2, ArrayView2};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Ellipses that may touch each other and the border, and an unlabelled rectangle.
fn instances() -> impl Strategy<Value = InstanceMask> {
    let ellipse = (
        0.0..30.0f64,
        0.0..30.0f64,
        0.6..6.0f64,
        0.6..6.0f64,
        0..3usize,
    );
    let size = (1..30usize, 1..30usize);
    let unlabelled = prop::option::of((0..30usize, 0..30usize, 1..12usize, 1..12usize));
    (size, prop::collection::vec(ellipse, 0..10), unlabelled).prop_map(
        |(size, ellipses, unlabelled)| {
            let mut mask = Array2::<u32>::zeros(size);
            for (number, &(y, x, tall, wide, _)) in (1..).zip(&ellipses) {
                for ((row, column), value) in mask.indexed_iter_mut() {
                    let offset = ((row as f64 - y) / tall, (column as f64 - x) / wide);
                    if offset.0.powi(2) + offset.1.powi(2) <= 1.0 {
                        *value = number;
                    }
                }
            }
            if let Some((top, left, height, width)) = unlabelled {
                for ((row, column), value) in mask.indexed_iter_mut() {
                    if (top..top + height).contains(&row) && (left..left + width).contains(&column)
                    {
                        *value = UNLABELLED_OBJECT;
                    }
                }
            }
            let present: BTreeSet<u32> = mask.iter().copied().collect();
            let present: Vec<u32> = present
                .into_iter()
                .filter(|&value| value != 0 && value != UNLABELLED_OBJECT)
                .collect();
            let classes = present
                .iter()
                .map(|&value| ellipses[value as usize - 1].4)
                .collect();
            let mask = mask.mapv(|value| match present.binary_search(&value) {
                Ok(object) => object as u32 + 1,
                Err(_) => value,
            });
            InstanceMask::new(mask, classes).unwrap()
        },
    )
}

fn boxes() -> impl Strategy<Value = BoxedImage> {
    let size = (1..60usize, 1..60usize);
    let raw = (
        0.0..1.0f64,
        0.0..1.0f64,
        0.01..0.4f64,
        0.01..0.4f64,
        0..3usize,
        0.0..=1.0f32,
    );
    (size, prop::collection::vec(raw, 0..12)).prop_map(|(size, raw)| {
        let (height, width) = (size.0 as f64, size.1 as f64);
        let objects = raw.into_iter().map(|(x, y, wide, tall, class, trust)| {
            let (left, top) = (x * 0.99 * width, y * 0.99 * height);
            let (right, bottom) = (left + wide * width, top + tall * height);
            Object {
                shape: Rectangle::new(left, top, right.min(width), bottom.min(height)).unwrap(),
                class,
                trust: Trust::new(trust).unwrap(),
            }
        });
        BoxedImage::new(size, objects.collect()).unwrap()
    })
}

/// What any noise keeps: the record names each object once, and the rest is untouched.
fn sound<A: Annotation>(truth: &[A], noisy: &NoisyObjects<A>) {
    assert_eq!(truth.len(), noisy.images().len());
    let objects: usize = truth.iter().map(A::count).sum();
    assert_eq!(noisy.true_objects(), objects);
    for (index, (before, after)) in truth.iter().zip(noisy.images()).enumerate() {
        let own = || {
            noisy
                .changes()
                .iter()
                .filter(|change| change.image == index)
        };
        let gone: Vec<usize> = own()
            .flat_map(|change| &change.truth)
            .map(|was| was.index)
            .collect();
        let come: Vec<usize> = own().flat_map(|change| change.given.clone()).collect();
        let [gone_set, come_set] =
            [&gone, &come].map(|list| list.iter().copied().collect::<BTreeSet<_>>());
        assert_eq!((gone.len(), come.len()), (gone_set.len(), come_set.len()));
        let kept: Vec<_> = (0..before.count())
            .filter(|object| !gone_set.contains(object))
            .map(|object| before.object(object))
            .collect();
        let rest: Vec<_> = (0..after.count())
            .filter(|object| !come_set.contains(object))
            .map(|object| after.object(object))
            .collect();
        assert_eq!(kept, rest);
        for was in own().flat_map(|change| &change.truth) {
            assert_eq!(was.object, before.object(was.index));
        }
        for change in own() {
            assert!(!change.mistakes.is_empty());
            assert!(!change.truth.is_empty() || !change.given.is_empty());
            if let ([was], [given]) = (change.truth.as_slice(), change.given.as_slice()) {
                assert!(
                    was.object != after.object(*given),
                    "{change:?} changed nothing"
                );
            }
        }
    }
}

fn sound_instances(truth: &[InstanceMask], noisy: &NoisyObjects<InstanceMask>) {
    sound(truth, noisy);
    assert_eq!(noisy.truth().unwrap(), truth);
    for (before, after) in truth.iter().zip(noisy.images()) {
        // Consecutive numbers, each with pixels; pixels have one value, so masks cannot overlap.
        InstanceMask::new(after.mask().to_owned(), after.classes().to_vec()).unwrap();
        let unlabelled = |value: &u32| *value == UNLABELLED_OBJECT;
        assert_eq!(
            before.mask().mapv(|v| unlabelled(&v)),
            after.mask().mapv(|v| unlabelled(&v))
        );
    }
}

fn sound_boxes(truth: &[BoxedImage], noisy: &NoisyObjects<BoxedImage>) {
    sound(truth, noisy);
    assert_eq!(noisy.truth(), truth);
    for image in noisy.images() {
        for object in image.objects() {
            let on_image = object.shape.on_image(image.size());
            assert_eq!(on_image, Some(object.shape), "beyond the image");
        }
    }
}

/// Runs an injector twice, on one thread and on several: the same, and the count is exact. `None` if
/// the images do not allow as many changes.
fn twice<A: Annotation>(
    wanted: usize,
    run: impl Fn(&mut ChaCha8Rng) -> Result<NoisyObjects<A>, NoiseError> + Sync,
    seed: u64,
) -> Option<NoisyObjects<A>> {
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| run(&mut rng(seed)))
    };
    let noisy = on(1);
    assert_eq!(noisy, on(3));
    match noisy {
        Ok(noisy) => {
            assert_eq!(noisy.changes().len(), wanted);
            Some(noisy)
        }
        Err(NoiseError::TooFewObjects {
            wanted: asked,
            possible,
            ..
        }) => {
            assert_eq!(asked, wanted);
            assert!(possible < wanted);
            None
        }
        Err(other) => panic!("{other}"),
    }
}

fn count<A: Annotation>(images: &[A]) -> usize {
    images.iter().map(A::count).sum()
}

fn only<A: Annotation>(noisy: &NoisyObjects<A>, mistakes: &[Mistake]) -> bool {
    let mut changes = noisy.changes().iter();
    changes.all(|change| change.mistakes.len() == 1 && mistakes.contains(&change.mistakes[0]))
}

fn round(share: f64) -> usize {
    share.round() as usize
}

fn area(image: &InstanceMask, object: usize) -> usize {
    image.object(object).shape.area()
}

const BOTH: [Mistake; 2] = [Mistake::Larger, Mistake::Smaller];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn instances_keep_their_promises(
        images in prop::collection::vec(instances(), 0..4),
        rate in 0.0..=1.0f64,
        seed: u64,
    ) {
        let wanted = round(rate * count(&images) as f64);

        let noisy = twice(wanted, |rng| drop_objects(&images, rate, rng), seed).unwrap();
        sound_instances(&images, &noisy);
        prop_assert!(only(&noisy, &[Mistake::Missed]));
        prop_assert_eq!(noisy.rate(), wanted as f64 / count(&images).max(1) as f64);

        if let Some(noisy) = twice(wanted, |rng| split_objects(&images, rate, rng), seed) {
            sound_instances(&images, &noisy);
            for change in noisy.changes() {
                let image = &noisy.images()[change.image];
                let parts: usize = change.given.iter().map(|&object| area(image, object)).sum();
                prop_assert_eq!(change.given.len(), 2);
                prop_assert_eq!(parts, change.truth[0].object.shape.area());
            }
        }

        let pairs = round(rate / 2.0 * count(&images) as f64);
        for gap in [0.0, 4.0] {
            let Some(noisy) = twice(pairs, |rng| merge_objects(&images, rate, gap, rng), seed) else {
                continue;
            };
            sound_instances(&images, &noisy);
            for change in noisy.changes() {
                let image = &noisy.images()[change.image];
                let whole = area(image, change.given[0]);
                let parts: usize = change.truth.iter().map(|was| was.object.shape.area()).sum();
                prop_assert!(whole == parts || (gap > 0.0 && whole > parts));
                let merged = image.object(change.given[0]);
                let pixels: BTreeSet<_> = merged.shape.pixels().collect();
                for was in &change.truth {
                    prop_assert!(was.object.shape.pixels().all(|at| pixels.contains(&at)));
                }
            }
        }

        for direction in [Direction::Larger, Direction::Smaller, Direction::Either] {
            let run = |rng: &mut ChaCha8Rng| dilate_erode(&images, rate, 1.0..=3.0, direction, rng);
            let Some(noisy) = twice(wanted, run, seed) else { continue };
            sound_instances(&images, &noisy);
            prop_assert!(only(&noisy, &BOTH));
            for change in noisy.changes() {
                let now = area(&noisy.images()[change.image], change.given[0]);
                let before = change.truth[0].object.shape.area();
                prop_assert_eq!(now > before, change.mistakes == [Mistake::Larger]);
            }
        }

        for settings in [
            MarkovBorder { steps: 12, growth: 0.5, change: 0.3, flips: 0.2 },
            MarkovBorder { steps: 9, growth: 0.0, change: 1.0, flips: 0.0 },
        ] {
            let run = |rng: &mut ChaCha8Rng| markov_borders(&images, rate, &settings, rng);
            if let Some(noisy) = twice(wanted, run, seed) {
                sound_instances(&images, &noisy);
                prop_assert!(only(&noisy, &[Mistake::Border]));
            }
        }

        let pictures: Vec<Array2<f32>> = images
            .iter()
            .map(|image| image.mask().mapv(|value| if value == 0 { 0.2 } else { 0.7 }))
            .collect();
        let pictures: Vec<ArrayView2<f32>> = pictures.iter().map(|plane| plane.view()).collect();
        if let Some(noisy) = twice(wanted, |rng| add_objects(&images, &pictures, rate, rng), seed) {
            sound_instances(&images, &noisy);
            prop_assert!(only(&noisy, &[Mistake::False]));
            for (before, after) in images.iter().zip(noisy.images()) {
                for (&before, &after) in before.mask().iter().zip(after.mask()) {
                    prop_assert!(before == 0 || before == after);
                }
            }
        }

        let labels = uniform(&object_classes(&images), 4, rate, Uniform::Anywhere, &mut rng(seed));
        let noisy = twice(wanted, |_| swap_classes(&images, labels.as_ref().unwrap()), seed);
        sound_instances(&images, &noisy.unwrap());
    }

    #[test]
    fn boxes_keep_their_promises(
        images in prop::collection::vec(boxes(), 0..4),
        rate in 0.0..=1.0f64,
        seed: u64,
    ) {
        let wanted = round(rate * count(&images) as f64);

        let noisy = twice(wanted, |rng| drop_objects(&images, rate, rng), seed).unwrap();
        sound_boxes(&images, &noisy);

        if let Some(noisy) = twice(wanted, |rng| jitter_boxes(&images, rate, 0.1..=0.5, rng), seed) {
            sound_boxes(&images, &noisy);
            prop_assert!(only(&noisy, &[Mistake::Shifted]));
        }
        for direction in [Direction::Larger, Direction::Smaller, Direction::Either] {
            let run =
                |rng: &mut ChaCha8Rng| rescale_boxes(&images, rate, 1.2..=1.6, direction, rng);
            if let Some(noisy) = twice(wanted, run, seed) {
                sound_boxes(&images, &noisy);
                prop_assert!(only(&noisy, &BOTH));
            }
        }
        if let Some(noisy) = twice(wanted, |rng| split_objects(&images, rate, rng), seed) {
            sound_boxes(&images, &noisy);
            for change in noisy.changes() {
                let image = &noisy.images()[change.image];
                let parts: f64 = change
                    .given
                    .iter()
                    .map(|&object| image.objects()[object].shape.area())
                    .sum();
                let whole = change.truth[0].object.shape.area();
                prop_assert!((parts - whole).abs() <= 1e-9 * whole);
            }
        }
        let pairs = round(rate / 2.0 * count(&images) as f64);
        if let Some(noisy) = twice(pairs, |rng| merge_objects(&images, rate, 5.0, rng), seed) {
            sound_boxes(&images, &noisy);
            prop_assert!(only(&noisy, &[Mistake::Merged]));
        }
        let pictures: Vec<Array2<f32>> =
            images.iter().map(|image| Array2::from_elem(image.size(), 0.5)).collect();
        let pictures: Vec<ArrayView2<f32>> = pictures.iter().map(|plane| plane.view()).collect();
        if let Some(noisy) = twice(wanted, |rng| add_objects(&images, &pictures, rate, rng), seed) {
            sound_boxes(&images, &noisy);
            for change in noisy.changes() {
                let boxes = &noisy.images()[change.image].objects();
                let added = &boxes[change.given[0]];
                let overlapping = boxes.iter().filter(|one| one.shape.overlap(&added.shape) > 0.0);
                prop_assert_eq!(overlapping.count(), 1);
            }
        }
        let labels = uniform(&object_classes(&images), 4, rate, Uniform::Anywhere, &mut rng(seed));
        let noisy = twice(wanted, |_| swap_classes(&images, labels.as_ref().unwrap()), seed);
        sound_boxes(&images, &noisy.unwrap());
    }

    #[test]
    fn noise_upon_noise_has_one_record(
        masks in prop::collection::vec(instances(), 0..4),
        boxed in prop::collection::vec(boxes(), 0..4),
        rate in 0.0..=0.6f64,
        seed: u64,
    ) {
        let mut rng = rng(seed);
        let habits = [
            Habit::Outline { pixels: 1.5 },
            Habit::Shift { x: 3, y: -2 },
            Habit::MissSmall { area: 12.0 },
            Habit::Outline { pixels: -1.0 },
            Habit::MissClass { class: 1 },
        ];
        let biased = expert_bias(&masks, &habits).unwrap();
        sound_chain(&masks, &biased);
        prop_assert_eq!(biased.truth().unwrap(), masks.clone());
        // An erosion can leave a dilation without a trace, so objects need not differ in the end.
        let noisy = biased
            .then(|images| drop_objects(images, rate, &mut rng))
            .and_then(|noisy| noisy.then(|images| split_objects(images, 0.0, &mut rng)))
            .unwrap();
        let split = noisy.clone().then(|images| split_objects(images, rate, &mut rng));
        let noisy = split.unwrap_or(noisy);
        let merged = noisy.clone().then(|images| merge_objects(images, rate, 9.0, &mut rng));
        let noisy = merged.unwrap_or(noisy);
        sound_chain(&masks, &noisy);
        prop_assert_eq!(noisy.truth().unwrap(), masks.clone());

        let noisy = expert_bias(&boxed, &habits).unwrap();
        let noisy = noisy.then(|images| split_objects(images, rate, &mut rng)).unwrap();
        let merged = noisy.clone().then(|images| merge_objects(images, rate, 9.0, &mut rng));
        let noisy = merged.unwrap_or(noisy);
        let noisy = noisy.then(|images| drop_objects(images, rate, &mut rng)).unwrap();
        sound_chain(&boxed, &noisy);
        prop_assert_eq!(noisy.truth(), boxed);

        let other = BoxedImage::new((9, 9), Vec::new()).unwrap();
        let other = vec![other; masks.len() + 1];
        let clean = expert_bias(&other, &[]).unwrap();
        let fewer = clean.then(|_| expert_bias(&other[1..], &[]));
        let shape = matches!(fewer, Err(NoiseError::Shape { .. }));
        prop_assert!(shape);
    }

    #[test]
    fn class_masks_keep_what_is_unlabelled(
        masks in prop::collection::vec(
            (1..20usize, 1..20usize, prop::collection::vec(prop::sample::select(vec![0u8, 0, 1, 2, 255]), 400)),
            0..5,
        ),
        rate in 0.0..=1.0f64,
        seed: u64,
    ) {
        let masks: Vec<Array2<u8>> = masks
            .into_iter()
            .map(|(height, width, values)| {
                Array2::from_shape_fn((height, width), |(y, x)| values[y * 20 + x])
            })
            .collect();
        let views: Vec<_> = masks.iter().map(|mask| mask.view()).collect();
        let settings = MarkovBorder { steps: 5, ..MarkovBorder::J1 };
        let run = || markov_masks(&views, &[1, 2], rate, &settings, &mut rng(seed)).unwrap();
        let noisy = run();
        prop_assert_eq!(&run(), &noisy);
        prop_assert_eq!(noisy.truth.len(), round(rate * masks.len() as f64));
        let mut rebuilt = noisy.masks.clone();
        for (index, truth) in &noisy.truth {
            rebuilt[*index] = truth.clone();
        }
        prop_assert_eq!(&rebuilt, &masks);
        for (mask, noisy) in masks.iter().zip(&noisy.masks) {
            prop_assert_eq!(mask.mapv(|class| class == 255), noisy.mapv(|class| class == 255));
            prop_assert!(noisy.iter().all(|class| mask.iter().any(|other| other == class)));
        }
    }
}

/// As [`sound`], without asking that every change leaves a trace: one may undo another.
fn sound_chain<A: Annotation>(truth: &[A], noisy: &NoisyObjects<A>) {
    let objects: usize = truth.iter().map(A::count).sum();
    assert_eq!(noisy.true_objects(), objects);
    for change in noisy.changes() {
        for was in &change.truth {
            assert_eq!(was.object, truth[change.image].object(was.index));
        }
    }
}
