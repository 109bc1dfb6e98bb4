//! The cache of embeddings: nothing is computed twice, nothing stale or damaged is believed.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cleanslide_data::{Classes, Dataset, FORMAT, ImageRecord, Manifest, Task};
use cleanslide_learn::embed::{EmbedError, EmbedSettings, Embeddings, embed};
use cleanslide_nn::encoders::Encoder;
use cleanslide_nn::error::EncoderError;
use image::RgbImage;
use ndarray::Array2;

/// The first pixel as embedding; counts what it embeds, and fails after `last` images.
struct FirstPixel {
    seen: AtomicUsize,
    last: usize,
}

impl FirstPixel {
    fn new(last: usize) -> Self {
        let seen = AtomicUsize::new(0);
        Self { seen, last }
    }
}

impl Encoder for FirstPixel {
    fn name(&self) -> &str {
        "first-pixel"
    }

    fn identity(&self) -> String {
        "0".repeat(64)
    }

    fn dimension(&self) -> usize {
        3
    }

    fn embed(&self, images: &[RgbImage]) -> Result<Array2<f32>, EncoderError> {
        if self.seen.fetch_add(images.len(), Ordering::SeqCst) + images.len() > self.last {
            return Err(EncoderError::EmptyCrop);
        }
        let pixel = |image: &RgbImage| image.get_pixel(0, 0).0.map(f32::from);
        Ok(images.iter().map(pixel).collect::<Vec<_>>().into())
    }
}

const IMAGES: usize = 10;

/// Ten pictures, the last two of them with the same content.
fn dataset(folder: &Path) -> Dataset {
    let images = (0..IMAGES).map(|i| {
        let path = folder.join(format!("{i}.png"));
        paint(&path, i.min(IMAGES - 2) as u8);
        ImageRecord {
            id: i.to_string(),
            path: path.to_str().unwrap().to_owned(),
            case: i.to_string(),
            slide: String::new(),
            group: String::new(),
            split: None,
            microns_per_pixel: None,
        }
    });
    let manifest = Manifest {
        format: FORMAT,
        task: Task::Classification,
        classes: Classes::new(vec!["normal".into(), "tumour".into()]).unwrap(),
        sources: Vec::new(),
    };
    let path = folder.join("dataset");
    Dataset::create(&path, manifest, images.collect(), None, &[]).unwrap()
}

fn paint(path: &Path, value: u8) {
    let image = RgbImage::from_pixel(4, 4, image::Rgb([value, 7, 255 - value]));
    image.save(path).unwrap();
}

fn run(dataset: &Dataset, encoder: &FirstPixel) -> Result<Embeddings, EmbedError> {
    let settings = EmbedSettings {
        batch: 2,
        shard: 4,
        ..EmbedSettings::default()
    };
    embed(dataset, encoder, settings, |_, _| {})
}

fn shard(dataset: &Dataset, number: usize) -> PathBuf {
    let folder = dataset.folder().join("embeddings").join("0".repeat(64));
    folder.join(format!("shard-{number:05}.safetensors"))
}

#[test]
fn what_is_cached_is_not_computed_again() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let first = run(&dataset, &FirstPixel::new(usize::MAX)).unwrap();
    assert_eq!(first.computed, IMAGES - 1, "two files are the same");
    assert_eq!(first.features.column(0)[IMAGES - 1], (IMAGES - 2) as f32);
    let second = run(&dataset, &FirstPixel::new(0)).unwrap();
    assert_eq!(second.computed, 0);
    assert_eq!(first.features, second.features);

    // Another content is another image, whatever its name.
    paint(&folder.path().join("3.png"), 200);
    let third = run(&dataset, &FirstPixel::new(usize::MAX)).unwrap();
    assert_eq!(third.computed, 1);
    assert_eq!(third.features[[3, 0]], 200.0);
}

#[test]
fn one_process_at_a_time_embeds() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let cache = shard(&dataset, 0).parent().unwrap().to_owned();
    fs::create_dir_all(&cache).unwrap();
    let other = fs::File::create(cache.join("lock")).unwrap();
    other.lock().unwrap();
    let encoder = FirstPixel::new(usize::MAX);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| run(&dataset, &encoder));
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(encoder.seen.load(Ordering::SeqCst), 0, "it waits");
        drop(other);
        assert_eq!(waits.join().unwrap().unwrap().computed, IMAGES - 1);
    });
}

#[test]
fn an_interrupted_run_goes_on_with_the_same_result() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = run(&dataset(whole.path()), &FirstPixel::new(usize::MAX)).unwrap();
    let dataset = dataset(parts.path());
    let stopped = run(&dataset, &FirstPixel::new(7));
    assert!(matches!(stopped, Err(EmbedError::Encoder(_))));
    assert!(shard(&dataset, 0).exists() && shard(&dataset, 1).exists());
    let resumed = run(&dataset, &FirstPixel::new(usize::MAX)).unwrap();
    assert_eq!(resumed.computed, IMAGES - 1 - 6, "all that was computed");
    assert_eq!(resumed.features, expected.features);
}

#[test]
fn an_image_that_cannot_be_read_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let bad = folder.path().join("7.png");
    fs::write(&bad, "no picture").unwrap();
    let settings = EmbedSettings {
        batch: 2,
        strict: true,
        ..EmbedSettings::default()
    };
    let refused = embed(&dataset, &FirstPixel::new(usize::MAX), settings, |_, _| {});
    assert!(matches!(refused, Err(EmbedError::Data(_))));
    paint(&bad, 7);
    let resumed = run(&dataset, &FirstPixel::new(usize::MAX)).unwrap();
    assert_eq!(resumed.computed, IMAGES - 1 - 6);
}

#[test]
fn a_kill_loses_what_was_computed_since_something_was_kept() {
    // A panic leaves as little time as a kill.
    for (keep_after, kept) in [(Duration::ZERO, 6), (Duration::MAX, 4)] {
        let folder = tempfile::tempdir().unwrap();
        let dataset = dataset(folder.path());
        let settings = EmbedSettings {
            batch: 2,
            shard: 4,
            keep_after,
            ..EmbedSettings::default()
        };
        let encoder = FirstPixel::new(usize::MAX);
        let killed = std::panic::AssertUnwindSafe(|| {
            embed(&dataset, &encoder, settings, |done, _| {
                assert!(done < 6, "killed")
            })
        });
        assert!(std::panic::catch_unwind(killed).is_err());
        let resumed = run(&dataset, &encoder).unwrap();
        assert_eq!(resumed.computed, IMAGES - 1 - kept);
        let again = run(&dataset, &FirstPixel::new(0)).unwrap();
        assert_eq!(again.features, resumed.features);
    }
}

#[test]
fn damaged_shards_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    run(&dataset, &FirstPixel::new(usize::MAX)).unwrap();
    let path = shard(&dataset, 1);
    let whole = fs::read(&path).unwrap();
    for damaged in [&whole[..whole.len() - 5], &whole[..3], b""] {
        fs::write(&path, damaged).unwrap();
        let Err(EmbedError::Damaged { path: named, .. }) =
            run(&dataset, &FirstPixel::new(usize::MAX))
        else {
            panic!("a shard of {} bytes was read", damaged.len());
        };
        assert_eq!(named, path);
    }
    fs::remove_file(&path).unwrap();
    let again = run(&dataset, &FirstPixel::new(usize::MAX)).unwrap();
    assert_eq!(again.computed, IMAGES - 1 - 4, "the first shard was kept");
}
