//! Labels that are known to be wrong judge nothing.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use cleanslide_data::{Classes, Dataset, FORMAT, ImageRecord, Manifest, Task};
use cleanslide_learn::advise::{AdviseSettings, advise, find_noise};
use cleanslide_learn::classify::TrainSettings;
use cleanslide_learn::embed::Embeddings;
use cleanslide_learn::image_labels::{ImageLabel, ImageLabels};
use cleanslide_learn::methods::MethodSettings;
use cleanslide_learn::study::Study;
use ndarray::Array2;

const IMAGES: usize = 90;

/// Thirty cases of three images of two classes that features tell apart. The last image of each case has the wrong label,
/// of this trust; without it, none.
fn study(trust: Option<f32>) -> Study {
    let folder = tempfile::tempdir().unwrap();
    let images = (0..IMAGES).map(|image| ImageRecord {
        id: image.to_string(),
        path: format!("{image}.png"),
        case: (image / 3).to_string(),
        ..ImageRecord::default()
    });
    let manifest = Manifest {
        format: FORMAT,
        task: Task::Classification,
        classes: Classes::new(vec!["normal".into(), "tumour".into()]).unwrap(),
        sources: Vec::new(),
    };
    let path = folder.path().join("dataset");
    let dataset = Dataset::create(&path, manifest, images.collect(), None, &[]).unwrap();
    let features = Array2::from_shape_fn((IMAGES, 2), |(image, feature)| {
        let far = if truth(image) == feature { 3.0 } else { 1.0 };
        far + (image * (7 + feature) % 13) as f32 / 20.0
    });
    let embeddings = Embeddings {
        features,
        images: (0..IMAGES).collect(),
        hashes: vec![String::new(); IMAGES],
        problems: Vec::new(),
        notices: Vec::new(),
        computed: 0,
    };
    let label = |image: usize| {
        let wrong = image % 3 == 2;
        let class = truth(image) ^ usize::from(wrong);
        let mut distribution = vec![0.0; 2];
        distribution[class] = 1.0;
        Some(ImageLabel {
            distribution,
            trust: if wrong { trust? } else { 1.0 },
        })
    };
    let labels = ImageLabels {
        version: "v1".parse().unwrap(),
        source: "anna".to_owned(),
        labels: (0..IMAGES).map(label).collect(),
    };
    Study::new(&dataset, &embeddings, &labels, |_| true).unwrap()
}

fn truth(image: usize) -> usize {
    image / 3 % 2
}

/// What a judge that knows the truth, but not surely, would say.
fn probabilities(study: &Study) -> Array2<f32> {
    Array2::from_shape_fn((study.len(), 2), |(item, class)| {
        let image = study.images[item];
        let sure = 0.7 + (image * 5 % 11) as f32 / 50.0;
        if truth(image) == class {
            sure
        } else {
            1.0 - sure
        }
    })
}

#[test]
fn labels_of_trust_0_are_no_noise() {
    let found = |study: &Study| find_noise(study, probabilities(study).view(), 0).unwrap();
    let without = found(&study(None));
    assert_eq!(found(&study(Some(0.0))), without);
    assert!(found(&study(Some(1.0))).rate.value > without.rate.value + 0.1);
}

#[test]
fn methods_are_judged_by_labels_that_are_believed() {
    let score = |trust| {
        let settings = AdviseSettings {
            folds: 3,
            repeats: 1,
            seed: 0,
        };
        let (plain, train) = (MethodSettings::default(), TrainSettings::default());
        let advice = advise(
            &study(trust),
            &plain,
            &[],
            &train,
            &settings,
            None,
            &mut |_, _| {},
        );
        advice.unwrap().methods[0].score
    };
    let known_wrong = score(Some(0.0));
    assert_eq!((known_wrong.value, known_wrong.items), (1.0, 60));
    let believed = score(Some(1.0));
    assert!(believed.items == 90 && believed.value < 0.8, "{believed}");
    let hardly = score(Some(0.01));
    assert!((0.97..1.0).contains(&hardly.value), "{hardly}");
}
