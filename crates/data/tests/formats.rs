//! Importers: folders, tables and votes as people have them.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::fs;
use std::path::Path;

use cleanslide_data::formats::{
    ClassColumns, VoteColumns, read_class_folders, read_class_table, read_diagnoses, read_votes,
};
use cleanslide_data::{Scope, Source, Split, Target};

fn said(evidence: &[cleanslide_data::Evidence]) -> Vec<(String, String, usize)> {
    evidence
        .iter()
        .map(|piece| match (&piece.scope, &piece.target) {
            (Scope::Image(id), Target::Class(class)) => (piece.source.clone(), id.clone(), *class),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn table(folder: &Path, text: &str) -> std::path::PathBuf {
    let path = folder.join("table.csv");
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_folder_per_class() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for name in [
        "tumour/b.png",
        "tumour/deep/a.JPG",
        "normal/c.tif",
        "normal/notes.txt",
        ".hidden/d.png",
    ] {
        fs::create_dir_all(path.join(name).parent().unwrap()).unwrap();
        fs::write(path.join(name), "x").unwrap();
    }
    let found = read_class_folders(path, &Source::expert("lab"), None).unwrap();
    assert_eq!(found.classes.names(), ["normal", "tumour"]);
    let expected = [
        ("normal/c.tif", 0),
        ("tumour/b.png", 1),
        ("tumour/deep/a.JPG", 1),
    ];
    let expected: Vec<_> = expected
        .map(|(id, class)| ("lab".into(), id.into(), class))
        .into();
    assert_eq!(said(&found.evidence), expected);

    fs::write(path.join("loose.png"), "x").unwrap();
    let error = read_class_folders(path, &Source::expert("lab"), None).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("1 images lie beside the class folders")
    );
    fs::remove_file(path.join("loose.png")).unwrap();
    fs::create_dir(path.join("empty")).unwrap();
    let error = read_class_folders(path, &Source::expert("lab"), None).unwrap_err();
    assert!(error.to_string().ends_with("empty: has no images"));
}

#[test]
fn a_table_of_classes() {
    let folder = tempfile::tempdir().unwrap();
    let path = table(
        folder.path(),
        "file;label;patient;split;mpp;trust;gold\na.png;t;P1;train;0.5;0.25;t\nb.png;;P2;val;;;n\n",
    );
    let columns = ClassColumns {
        reference: Some("gold".into()),
        ..Default::default()
    };
    let found = read_class_table(&path, &Source::expert("lab"), &columns, None).unwrap();
    assert_eq!(found.classes.names(), ["n", "t"]);
    assert_eq!(
        said(&found.evidence),
        [("lab".to_owned(), "a.png".to_owned(), 1)]
    );
    assert_eq!(found.evidence[0].trust.value(), 0.25);
    assert_eq!(found.references[0].0, "gold");
    assert_eq!(found.references[0].1.len(), 2);
    assert_eq!(found.images[1].case, "P2");
    assert_eq!(found.images[1].split, Some(Split::Validation));
    assert_eq!(found.images[0].microns_per_pixel, Some(0.5));
    assert!(found.images[0].path.ends_with("a.png"));
}

#[test]
fn votes_with_holes() {
    let folder = tempfile::tempdir().unwrap();
    let path = table(
        folder.path(),
        "image,slide,anna,ben,majority\na.png,S1,x,y,x\nb.png,S1,,,y\n",
    );
    let columns = VoteColumns {
        reference: Some("majority".into()),
        ..Default::default()
    };
    let found = read_votes(&path, &columns, None).unwrap();
    let ids: Vec<&str> = found
        .sources
        .iter()
        .map(|source| source.id.as_str())
        .collect();
    assert_eq!(ids, ["anna", "ben"]);
    assert_eq!(found.images.len(), 2);
    let expected = [("anna", "a.png", 0), ("ben", "a.png", 1)];
    let expected: Vec<_> = expected
        .map(|(a, b, c)| (a.to_owned(), b.to_owned(), c))
        .into();
    assert_eq!(said(&found.evidence), expected);
}

#[test]
fn words_for_missing_values_are_no_labels_unless_declared() {
    let folder = tempfile::tempdir().unwrap();
    let text = "image,class\na.png,x\nb.png,NaN\nc.png,None\nd.png,NaN\ne.png,nana\nf.png,-\n";
    let path = table(folder.path(), text);
    let read = |declared: Option<&[String]>| {
        let source = Source::expert("lab");
        read_class_table(&path, &source, &ClassColumns::default(), declared).unwrap()
    };
    let found = read(None);
    assert_eq!(found.classes.names(), ["-", "nana", "x"]);
    assert_eq!(found.images.len(), 6);
    assert_eq!(found.evidence.len(), 3);
    let words = [("NaN".to_owned(), 2), ("None".to_owned(), 1)];
    assert_eq!(found.missing_words, words.into());
    let declared = ["-", "None", "nana", "x"].map(String::from);
    let found = read(Some(&declared));
    assert_eq!(found.evidence.len(), 4);
    assert_eq!(found.missing_words, [("NaN".to_owned(), 2)].into());
}

#[test]
fn words_for_missing_values_are_no_cases() {
    let folder = tempfile::tempdir().unwrap();
    let text = "image,class,case,slide,group,split,mpp\n\
        a.png,x,NA,n/a,NaN,NA,NA\nb.png,y,NA,None,,train,0.5\nc.png,x,NAN,s1,g,test,\n";
    let path = table(folder.path(), text);
    let source = Source::expert("lab");
    let found = read_class_table(&path, &source, &ClassColumns::default(), None).unwrap();
    let belongs: Vec<usize> = found
        .images
        .iter()
        .map(|image| image.belongs_to().count())
        .collect();
    assert_eq!(belongs, [0, 0, 3]);
    assert_eq!(found.images[0].split, None);
    assert_eq!(found.images[0].microns_per_pixel, None);
    assert_eq!(found.images[2].case, "NAN");
    let words = [("NA", 4), ("NaN", 1), ("None", 1), ("n/a", 1)];
    let words = words.map(|(word, fields)| (word.to_owned(), fields));
    assert_eq!(found.missing_words, words.into());
}

#[test]
fn backslashes_are_separators_where_no_file_has_them_in_its_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("patches")).unwrap();
    std::fs::write(folder.path().join("patches/1.png"), "").unwrap();
    let path = table(folder.path(), "image,class\npatches\\1.png,x\nb\\2.png,y\n");
    let read = || {
        let source = Source::expert("lab");
        let found = read_class_table(&path, &source, &ClassColumns::default(), None).unwrap();
        found.images
    };
    let images = read();
    assert_eq!(images[0].id, "patches/1.png");
    assert!(Path::new(&images[0].path).is_file());
    assert!(images[1].path.ends_with("b/2.png"));
    #[cfg(unix)]
    {
        std::fs::write(folder.path().join("b\\2.png"), "").unwrap();
        assert!(read()[1].path.ends_with("b\\2.png"));
    }
}

#[test]
fn complaints_name_file_line_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let votes = |text: &str, declared: Option<&[String]>| {
        let error = read_votes(
            &table(folder.path(), text),
            &VoteColumns::default(),
            declared,
        )
        .unwrap_err();
        let text = format!("{error} | {}", error.help().unwrap_or_default());
        text.replace(&folder.path().display().to_string(), "DIR")
    };
    assert_eq!(
        votes("image,anna\na.png,x\nb.png,y\na.png,x\n", None),
        "DIR/table.csv, line 4: the id `a.png` is given twice, first in line 2 | Every image needs an id of its own."
    );
    assert_eq!(
        votes(
            "image,anna\na.png,atypcal\n",
            Some(&["normal".into(), "atypical".into()])
        ),
        "DIR/table.csv, line 2: there is no class `atypcal` | Did you mean `atypical`? The classes are: normal, atypical."
    );
    assert_eq!(
        votes("picture,anna\na.png,x\n", None),
        "DIR/table.csv: no column names the image files | Name it with `--image-column`. The columns are: picture, anna."
    );
    let rows: String = (0..150).map(|n| format!("{n}.png,{n},x\n")).collect();
    assert_eq!(
        votes(&format!("image,position,anna\n{rows}"), None),
        "DIR/table.csv: the column `position` has 150 different values: not the votes of an annotator | Name the annotators, for example `--annotators anna`."
    );
    let rows: String = (0..150)
        .map(|n| {
            let class = ["x", "y"][n % 2];
            format!(
                "{n}.png,{n},{},site {},{class},{class},{class}\n",
                n % 90,
                n % 7
            )
        })
        .collect();
    assert_eq!(
        votes(
            &format!("image,left,top,site,anna,ben,majority\n{rows}"),
            None
        ),
        "DIR/table.csv: the column `left` has 150 different values: not the votes of an annotator | Name the annotators, for example `--annotators anna,ben`."
    );
    assert_eq!(
        votes("image,split,anna\na.png,tset,x\n", None),
        "DIR/table.csv, line 2: the split `tset` is none of train, validation and test | "
    );
}

/// A dataset of two cases of two slides with the classes stroma, first and second.
fn cases(folder: &Path) -> cleanslide_data::Dataset {
    let classes = ["stroma", "first", "second"].map(String::from).to_vec();
    let manifest = cleanslide_data::Manifest {
        format: cleanslide_data::FORMAT,
        task: cleanslide_data::Task::Segmentation,
        classes: cleanslide_data::Classes::new(classes).unwrap(),
        sources: Vec::new(),
    };
    let images = (0..4).map(|image| cleanslide_data::ImageRecord {
        id: format!("{image}.png"),
        path: format!("../scans/scan {image}.png"),
        case: format!("case {}", image / 2),
        slide: format!("slide {image}"),
        ..cleanslide_data::ImageRecord::default()
    });
    cleanslide_data::Dataset::create(&folder.join("data"), manifest, images.collect(), None, &[])
        .unwrap()
}

#[test]
fn diagnoses_exclude_classes() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = cases(folder.path());
    let meanings = ["A=second", "B = first, stroma", "unclear="].map(|text| text.parse().unwrap());
    let read = |text: &str| {
        read_diagnoses(
            &table(folder.path(), text),
            None,
            &meanings,
            (&dataset, "registry"),
        )
    };
    let found = read("case,diagnosis\ncase 1,B\ncase 0,A\ncase 9,A\ncase 0,A\n").unwrap();
    let said: Vec<_> = found
        .evidence
        .iter()
        .map(|piece| {
            (
                piece.source.as_str(),
                piece.scope.clone(),
                piece.target.clone(),
            )
        })
        .collect();
    let none_of = |classes: &[usize]| Target::NoneOf(classes.iter().copied().collect());
    assert_eq!(
        said,
        [
            ("registry", Scope::Case("case 1".into()), none_of(&[0, 1])),
            ("registry", Scope::Case("case 0".into()), none_of(&[2])),
        ]
    );
    assert_eq!(found.unknown, ["case 9"]);
    assert_eq!(found.counts["A"], 1);
    assert_eq!(found.scopes.len(), 2);
    // What excludes nothing, and an empty field, say nothing.
    let found =
        read("slide,diagnosis\nslide 3,A\nslide 2,unclear\nslide 1,\nslide 0,NA\n").unwrap();
    assert_eq!(found.evidence.len(), 1);
    assert_eq!(found.scopes.len(), 2);
    assert_eq!(found.evidence[0].scope, Scope::Slide("slide 3".into()));
    assert_eq!(found.counts["unclear"], 1);
    // Images are known by the names of their files too.
    let found = read("image,diagnosis\n1.png,A\nscan 2.png,B\nscan 9.png,A\n").unwrap();
    let scopes: Vec<_> = found
        .evidence
        .iter()
        .map(|piece| piece.scope.item())
        .collect();
    assert_eq!((scopes, found.unknown.len()), (vec!["1.png", "2.png"], 1));
}

#[test]
fn diagnoses_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = cases(folder.path());
    let problem = |text: &str, meanings: &[&str]| {
        let meanings: Vec<_> = meanings.iter().map(|text| text.parse().unwrap()).collect();
        let path = table(folder.path(), text);
        let error = read_diagnoses(&path, None, &meanings, (&dataset, "registry")).unwrap_err();
        format!("{error} {}", error.help().unwrap_or_default())
    };
    for (text, meanings, expected) in [
        (
            "case,diagnosis\ncase 0,C\n",
            vec!["A=second"],
            "line 2: it is not said what `C` excludes",
        ),
        (
            "case,diagnosis\ncase 0,A\ncase 0,B\n",
            vec!["A=second", "B=first"],
            "case `case 0` is given twice: `B` here, `A` in line 2",
        ),
        (
            "case,diagnosis\ncase 7,A\n",
            vec!["A=second"],
            "names no case of the dataset",
        ),
        (
            "patient,diagnosis\n0,A\n",
            vec!["A=second"],
            "no column is called",
        ),
        (
            "case,finding\ncase 0,A\n",
            vec!["A=second"],
            "no column `diagnosis`",
        ),
        (
            "case,diagnosis\ncase 0,A\n",
            vec!["A=secnd"],
            "Did you mean `second`",
        ),
        (
            "case,diagnosis\ncase 0,A\n",
            vec!["A=first", "A=second"],
            "said twice",
        ),
        (
            "case,diagnosis\ncase 0,A\n",
            vec!["A=first,second,stroma"],
            "excludes every class",
        ),
    ] {
        let found = problem(text, &meanings);
        assert!(found.contains(expected), "{found}");
    }
}
