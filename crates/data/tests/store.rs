//! Datasets on disk: what is written is read back, and nothing half-written is ever seen.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cleanslide_data::{
    Classes, Counts, Dataset, Evidence, Family, ImageRecord, Labels, Manifest, MaskFile,
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
            .ends_with("the id `image 0` was already given at image 1")
    );
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
