//! Datasets on disk: what is written is read back, and nothing half-written is ever seen.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cleanslide_data::{
    Addition, Classes, Counts, Dataset, Evidence, Family, ImageRecord, Labels, Manifest, MaskFile,
    NewVersion, Object, Objects, Point, Polygon, Provenance, Rectangle, Reference, Scope, Source,
    SourceKind, Split, Target, Task, Trust, VersionId,
};
use proptest::prelude::*;

fn classes() -> Classes {
    Classes::new(vec![
        "normal".into(),
        "atypical, rare".into(),
        "a:b \"c\"".into(),
    ])
    .unwrap()
}

fn manifest() -> Manifest {
    let source = |id: &str, kind| Source {
        id: id.into(),
        kind,
        description: String::new(),
        values: None,
    };
    Manifest {
        format: 1,
        task: Task::Classification,
        classes: classes(),
        sources: vec![
            source("expert1", SourceKind::Expert),
            source("hough", SourceKind::Algorithm),
        ],
    }
}

fn images() -> Vec<ImageRecord> {
    (0..4)
        .map(|number| ImageRecord {
            id: format!("image {number}"),
            path: format!("../patches/{number}.png"),
            case: format!("case{}", number / 2),
            slide: format!("slide{}", number / 2),
            split: Some(if number < 2 {
                Split::Train
            } else {
                Split::Test
            }),
            microns_per_pixel: Some(0.25),
            ..Default::default()
        })
        .collect()
}

fn provenance() -> Provenance {
    Provenance {
        summary: "test".into(),
        created: "2026-01-01T00:00:00Z".into(),
        command: "cleanslide test".into(),
        program: "cleanslide 0".into(),
        seed: 1,
    }
}

fn version(parent: Option<u32>, evidence: Vec<Evidence>) -> NewVersion {
    NewVersion {
        parent: parent.map(VersionId),
        produced: None,
        sources: Vec::new(),
        labels: Labels::new(evidence, &classes()).unwrap(),
        provenance: provenance(),
        notes: Vec::new(),
    }
}

/// One piece of evidence of every kind.
fn everything(mask: &Path) -> Vec<Evidence> {
    fs::write(mask, b"not really a PNG, the store does not care").unwrap();
    let mask = MaskFile {
        path: mask.to_owned(),
        hash: blake3::hash(&fs::read(mask).unwrap()).to_hex().to_string(),
    };
    let square = |side: f64| {
        vec![
            Point { x: 0.5, y: 0.0 },
            Point { x: side, y: 0.0 },
            Point { x: side, y: side },
        ]
    };
    let targets = [
        Target::Distribution(vec![0.25, 0.5, 0.25]),
        Target::Boxes(Objects {
            objects: vec![Object {
                shape: Rectangle::new(0.1, 2.0, 3.25, 4.0).unwrap(),
                class: 1,
                trust: Trust::new(0.3).unwrap(),
            }],
            complete: false,
        }),
        Target::Points(Objects {
            objects: vec![Object {
                shape: Point { x: 1.5, y: -2.0 },
                class: 2,
                trust: Trust::FULL,
            }],
            complete: true,
        }),
        Target::Polygons(Objects {
            objects: vec![Object {
                shape: Polygon {
                    outline: square(9.0),
                    holes: vec![square(2.0)],
                },
                class: 0,
                trust: Trust::FULL,
            }],
            complete: true,
        }),
        Target::Instances {
            mask: mask.clone(),
            classes: vec![1, 1, 0],
        },
        Target::Partial(mask),
    ];
    let mut evidence: Vec<Evidence> = targets
        .into_iter()
        .map(|target| Evidence {
            source: "expert1".into(),
            scope: Scope::Image("image 0".into()),
            target,
            trust: Trust::new(0.7).unwrap(),
        })
        .collect();
    let about = |scope: Scope, target: Target| Evidence {
        source: "hough".into(),
        scope,
        target,
        trust: Trust::FULL,
    };
    evidence.push(about(
        Scope::Case("case1".into()),
        Target::NoneOf(BTreeSet::from([0, 2])),
    ));
    evidence.push(about(
        Scope::Slide("slide0".into()),
        Target::OneOf(BTreeSet::from([0, 1])),
    ));
    evidence.push(about(
        Scope::Region(
            "image 3".into(),
            Rectangle::new(0.0, 0.0, 8.0, 8.5).unwrap(),
        ),
        Target::Boxes(Objects {
            objects: Vec::new(),
            complete: true,
        }),
    ));
    evidence.push(Evidence::class("hough", "image 2", 2));
    evidence
}

#[test]
fn every_kind_of_evidence_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let evidence = everything(&folder.path().join("mask.png"));
    let path = folder.path().join("dataset");
    let made = Dataset::create(
        &path,
        manifest(),
        images(),
        Some(version(None, evidence.clone())),
        &[],
    )
    .unwrap();
    assert_eq!(made.folder(), path);
    let dataset = Dataset::open(&path).unwrap();
    assert_eq!(dataset.images(), images());
    assert_eq!(dataset.manifest(), &manifest());
    let mut read = dataset
        .labels(dataset.latest().unwrap())
        .unwrap()
        .into_evidence();
    // Masks are copied into the version; all else is the same.
    for piece in &mut read {
        if let Target::Instances { mask, .. } | Target::Partial(mask) = &mut piece.target {
            assert!(mask.path.starts_with(&path));
            mask.path = folder.path().join("mask.png");
        }
    }
    assert_eq!(
        read,
        Labels::new(evidence, &classes()).unwrap().into_evidence()
    );
}

#[test]
fn versions_are_numbered_immutable_and_count_their_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dataset");
    let class = |id: usize, class| Evidence::class("expert1", format!("image {id}"), class);
    let first = version(None, vec![class(0, 0), class(1, 0), class(2, 1)]);
    let mut dataset = Dataset::create(&path, manifest(), images(), Some(first), &[]).unwrap();
    let second = dataset
        .add_version(version(
            Some(1),
            vec![class(1, 1), class(2, 1), class(3, 0)],
        ))
        .unwrap();
    assert_eq!(second.id, VersionId(2));
    assert_eq!(
        second.counts,
        Counts {
            added: 1,
            removed: 1,
            changed: 1,
            unchanged: 1
        }
    );
    assert_eq!(dataset.versions().unwrap(), [VersionId(1), VersionId(2)]);
    assert_eq!(dataset.version(VersionId(2)).unwrap(), second);

    let table = path.join("labels/v1/classes.csv");
    let edited = fs::read_to_string(&table)
        .unwrap()
        .replace("normal", "\"atypical, rare\"");
    fs::write(&table, edited).unwrap();
    let error = dataset.labels(VersionId(1)).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("the labels of v1 were edited after they were written"),
        "{error}"
    );
    let error = dataset.labels(VersionId(7)).unwrap_err();
    assert_eq!(error.help().unwrap(), "There are: v1, v2.");
}

#[test]
fn what_a_killed_process_leaves_is_not_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dataset");
    let evidence = vec![Evidence::class("expert1", "image 0", 0)];
    let mut dataset = Dataset::create(
        &path,
        manifest(),
        images(),
        Some(version(None, evidence.clone())),
        &[],
    )
    .unwrap();
    fs::create_dir(path.join("labels/.partial-abc")).unwrap();
    fs::write(path.join("labels/.partial-abc/classes.csv"), "scope,it").unwrap();
    assert_eq!(dataset.versions().unwrap(), [VersionId(1)]);
    assert_eq!(
        dataset.add_version(version(Some(1), evidence)).unwrap().id,
        VersionId(2)
    );
}

#[test]
fn references_are_kept_apart_from_versions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dataset");
    let truth = Labels::new(vec![Evidence::class("reference", "image 0", 1)], &classes()).unwrap();
    let dataset = Dataset::create(
        &path,
        manifest(),
        images(),
        Some(version(
            None,
            vec![Evidence::class("expert1", "image 0", 0)],
        )),
        &[("majority".into(), Reference::new(truth.clone()))],
    )
    .unwrap();
    assert_eq!(dataset.references().unwrap(), ["majority"]);
    assert_eq!(
        dataset.reference("majority").unwrap().for_evaluation(),
        &truth
    );
    assert_eq!(
        dataset.labels(VersionId(1)).unwrap().sources(Family::Class),
        ["expert1"]
    );
    assert!(
        dataset
            .add_reference("majority", &Reference::new(truth.clone()))
            .is_err()
    );
    assert!(
        dataset
            .add_reference("../escape", &Reference::new(truth))
            .is_err()
    );
    assert_eq!(
        dataset.reference("truth").unwrap_err().help().unwrap(),
        "There are: majority."
    );
}

#[test]
fn contradictions_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dataset");
    let refused = |evidence: Vec<Evidence>| match Labels::new(evidence.clone(), &classes()) {
        Err(error) => error.to_string(),
        Ok(_) => {
            let made = Dataset::create(
                &path,
                manifest(),
                images(),
                Some(version(None, evidence)),
                &[],
            );
            assert!(!path.exists(), "a refused dataset left something behind");
            made.unwrap_err().to_string()
        }
    };
    let with = |target: Target| Evidence {
        target,
        ..Evidence::class("expert1", "image 0", 0)
    };
    assert_eq!(
        refused(vec![with(Target::Class(0)), with(Target::Class(1))]),
        "class of image image 0 by expert1 is given twice"
    );
    assert_eq!(
        refused(vec![with(Target::Class(3))]),
        "class of image image 0 by expert1: class 3 does not exist; there are 3"
    );
    assert_eq!(
        refused(vec![with(Target::Distribution(vec![0.5, 0.0, 0.0]))]),
        "class of image image 0 by expert1: 3 probabilities that sum to 0.5 are not a distribution over 3 classes"
    );
    assert_eq!(
        refused(vec![with(Target::NoneOf(BTreeSet::from([0, 1, 2])))]),
        "class of image image 0 by expert1: 3 of 3 classes say nothing, or exclude everything"
    );
    assert_eq!(
        refused(vec![Evidence::class("expert1", "image 9", 0)]),
        "class of image image 9 by expert1: there is no such image"
    );
    assert_eq!(
        refused(vec![Evidence::class("expert9", "image 0", 0)]),
        "class of image image 0 by expert9: the source is not in dataset.toml"
    );
    let twice = Dataset::create(&path, manifest(), [images(), images()].concat(), None, &[]);
    assert!(
        twice
            .unwrap_err()
            .to_string()
            .ends_with("the id `image 0` is given twice, first as image 1")
    );
}

/// A dataset of four images, one labelled, whose files are there.
fn with_files(folder: &Path) -> Dataset {
    fs::create_dir(folder.join("patches")).unwrap();
    for number in 0..4 {
        fs::write(folder.join(format!("patches/{number}.png")), [number; 9]).unwrap();
    }
    let first = version(None, vec![Evidence::class("expert1", "image 0", 0)]);
    Dataset::create(&folder.join("data"), manifest(), images(), Some(first), &[]).unwrap()
}

/// All that a reader sees.
fn state(folder: &Path) -> (Vec<ImageRecord>, Vec<VersionId>, Vec<String>) {
    let dataset = Dataset::open(folder).unwrap();
    let (versions, references) = (dataset.versions().unwrap(), dataset.references().unwrap());
    (dataset.images().to_vec(), versions, references)
}

fn gold(image: &str) -> (String, Reference) {
    let truth = vec![Evidence::class("reference", image, 1)];
    let labels = Labels::new(truth, &classes()).unwrap();
    ("gold".to_owned(), Reference::new(labels))
}

#[test]
fn an_addition_is_made_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let mut dataset = with_files(folder.path());
    let before = state(dataset.folder());
    let new = ImageRecord {
        id: "image 4".into(),
        path: "../patches/4.png".into(),
        ..ImageRecord::default()
    };
    let addition = |evidence| Addition {
        images: vec![new.clone()],
        references: vec![gold("image 1")],
        version: Some(version(Some(1), vec![evidence])),
    };
    // The last part of it cannot be written.
    let missing = MaskFile {
        path: folder.path().join("none.png"),
        hash: String::new(),
    };
    let masked = Evidence {
        target: Target::Dense(missing),
        ..Evidence::class("expert1", "image 4", 0)
    };
    assert!(dataset.add(addition(masked)).is_err());
    assert_eq!(state(dataset.folder()), before);
    assert_eq!(dataset.images(), before.0);

    let labelled = Evidence::class("expert1", "image 4", 0);
    let added = dataset.add(addition(labelled.clone())).unwrap();
    assert_eq!((added.new_images, added.completed_images), (1, 0));
    assert_eq!(added.version.unwrap().id, VersionId(2));
    assert_eq!(state(dataset.folder()).2, ["gold"]);
    assert_eq!(state(dataset.folder()).0.len(), 5);

    // The same reference once more is no news; another one of the name is refused, and nothing is added.
    let again = |reference| Addition {
        references: vec![reference],
        version: Some(version(Some(2), vec![labelled.clone()])),
        ..Addition::default()
    };
    let added = dataset.add(again(gold("image 1"))).unwrap();
    assert_eq!(added.known_references, ["gold"]);
    let refused = dataset.add(again(gold("image 2"))).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the reference `gold` exists already, with other labels"
    );
    assert_eq!(state(dataset.folder()).1.len(), 3);
}

#[test]
fn what_is_known_of_images_is_completed_and_never_contradicted() {
    let folder = tempfile::tempdir().unwrap();
    let mut dataset = with_files(folder.path());
    let images = |image: ImageRecord| Addition {
        images: vec![image],
        ..Addition::default()
    };
    let known = dataset.images()[0].clone();
    let told = ImageRecord {
        group: "lab 1".into(),
        case: String::new(),
        split: None,
        ..known.clone()
    };
    let added = dataset.add(images(told.clone())).unwrap();
    assert_eq!((added.new_images, added.completed_images), (0, 1));
    let completed = ImageRecord {
        group: "lab 1".into(),
        ..known.clone()
    };
    assert_eq!(state(dataset.folder()).0[0], completed);
    let added = dataset.add(images(told)).unwrap();
    assert_eq!(added.completed_images, 0);

    let mut refused = |image: ImageRecord| {
        let error = dataset.add(images(image)).unwrap_err();
        assert!(error.help().unwrap().contains("images.csv"));
        error.to_string()
    };
    assert_eq!(
        refused(ImageRecord {
            case: "case7".into(),
            ..known.clone()
        }),
        "image `image 0`: the case is `case0` in the dataset and `case7` here"
    );
    assert_eq!(
        refused(ImageRecord {
            microns_per_pixel: Some(0.5),
            ..known.clone()
        }),
        "image `image 0`: the size of a pixel in microns is `0.25` in the dataset and `0.5` here"
    );
    // Another file is the same image only if it has the same content.
    let copy = folder.path().join("copy.png");
    let at = |path: &Path| ImageRecord {
        path: path.to_string_lossy().into_owned(),
        ..known.clone()
    };
    fs::write(&copy, [1; 9]).unwrap();
    let told = refused(at(&copy));
    for named in [
        "`image 0`",
        "patches/0.png in the dataset",
        "copy.png is another",
    ] {
        assert!(told.contains(named), "{told}");
    }
    assert!(refused(at(Path::new("/none.png"))).contains("/none.png is another image"));
    fs::write(&copy, [0; 9]).unwrap();
    let mut dataset = Dataset::open(&folder.path().join("data")).unwrap();
    dataset.add(images(at(&copy))).unwrap();
    let same = folder.path().join("patches/../patches/0.png");
    dataset.add(images(at(&same))).unwrap();
    assert_eq!(dataset.images()[0], completed);
}

proptest! {
    // Every case makes a dataset and waits for the disk several times.
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any class evidence survives the disk, whatever the ids, and reading does not depend on the
    /// order of writing.
    #[test]
    fn class_evidence_round_trips(
        ids in prop::collection::btree_set("[^\\s\\p{C}][^\\p{C}]{0,12}[^\\s\\p{C}]", 1..12),
        choices in prop::collection::vec((0usize..4, 0.0f32..=1.0), 12),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dataset");
        let images: Vec<ImageRecord> =
            ids.iter().map(|id| ImageRecord { id: id.clone(), ..Default::default() }).collect();
        let evidence: Vec<Evidence> = ids
            .iter()
            .zip(&choices)
            .map(|(id, &(kind, number))| Evidence {
                source: "expert1".into(),
                scope: Scope::Image(id.clone()),
                target: match kind {
                    0 => Target::Class(1),
                    1 => Target::Distribution(vec![number, 1.0 - number, 0.0]),
                    2 => Target::OneOf(BTreeSet::from([0, 2])),
                    _ => Target::NoneOf(BTreeSet::from([1])),
                },
                trust: Trust::new(number).unwrap(),
            })
            .collect();
        let mut reversed = evidence.clone();
        reversed.reverse();
        let dataset =
            Dataset::create(&path, manifest(), images, Some(version(None, reversed)), &[]).unwrap();
        let read = Dataset::open(&path).unwrap().labels(dataset.latest().unwrap()).unwrap();
        prop_assert_eq!(read, Labels::new(evidence, &classes()).unwrap());
    }
}
