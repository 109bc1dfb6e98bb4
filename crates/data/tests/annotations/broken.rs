//! Files that are valid but for a few bytes: no parser may panic, whatever it says of them.

use std::io::Cursor;
use std::path::Path;

use cleanslide_data::formats::coco::Coco;
use cleanslide_data::formats::mask_file::{self, IndexedMask};
use cleanslide_data::formats::{
    Annotation, Shape, aperio, asap, coco, geojson, imagej, labelme, voc, yolo,
};
use cleanslide_data::{Point, Polygon, Rectangle};
use ndarray::{Array2, array};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::common::*;
use crate::imagej::encoded;
use crate::masks::instances_tiff;

/// Reads bytes in the way of a parser; what it says is not of interest.
type Parser = fn(&[u8]);

fn path() -> &'static Path {
    Path::new("broken")
}

const PARSERS: [(&str, Parser); 10] = [
    ("voc", |bytes| {
        drop(voc::read(path(), bytes, voc::Corners::OneBased))
    }),
    ("coco", |bytes| drop(coco::read(path(), bytes))),
    ("geojson", |bytes| drop(geojson::read(path(), bytes))),
    ("yolo", |bytes| {
        drop(yolo::read(path(), bytes, "a", (480, 640), &["x".into()]))
    }),
    ("labelme", |bytes| drop(labelme::read(path(), bytes))),
    ("asap", |bytes| drop(asap::read(path(), bytes))),
    ("aperio", |bytes| drop(aperio::read(path(), bytes))),
    ("imagej", |bytes| drop(imagej::read(path(), bytes))),
    ("class mask", |bytes| {
        drop(mask_file::read_indexed(path(), bytes, 1 << 20))
    }),
    ("instances", |bytes| {
        drop(mask_file::read_instances(path(), bytes, None, 1 << 20))
    }),
];

fn shapes() -> Vec<Annotation> {
    let square = |from: f64, to: f64| Rectangle::new(from, from, to, to).unwrap();
    let ring = Polygon {
        outline: square(0.0, 9.5).corners().to_vec(),
        holes: vec![square(2.0, 4.0).corners().to_vec()],
    };
    let mut all = vec![
        Annotation::new("x", Shape::Rectangle(square(1.0, 5.0))),
        Annotation::new("x", Shape::Point(Point::new(1.5, 2.5))),
        Annotation::new("x", polygon(&[(0.0, 0.0), (8.0, 0.5), (3.0, 7.0)])),
        Annotation::new("x", Shape::Ellipse(square(1.0, 5.0))),
        Annotation::new("x", Shape::Polygon(ring)),
    ];
    all[2].nucleus = Some(Box::new(Shape::Point(Point::new(1.0, 2.0))));
    all[2].score = Some(0.5);
    all[2].name = "ü".into();
    all
}

fn sample_coco() -> Coco {
    let boxes = vec![shapes().remove(0), shapes().remove(2)];
    Coco::new(vec![image("a.png", boxes)], &["x".into()])
}

/// Valid files of every kind, in the order of the parsers, and some more.
fn valid_files() -> Vec<Vec<u8>> {
    let write = |write: &dyn Fn(&mut Vec<u8>) -> std::io::Result<()>| {
        let mut bytes = Vec::new();
        write(&mut bytes).unwrap();
        bytes
    };
    let one = image("a.png", vec![shapes().remove(0)]);
    let outlines = [shapes().remove(0), shapes().remove(1), shapes().remove(2)];
    let mut set = Cursor::new(Vec::new());
    imagej::write(&mut set, &shapes()).unwrap();
    let mask = IndexedMask {
        classes: Array2::from_shape_fn((9, 7), |(y, x)| ((x * y) % 3) as u8),
        palette: vec![[0, 0, 0], [9, 9, 9], [255, 0, 7]],
    };
    let tiff = instances_tiff(array![[0, 1, 70_000], [3, 3, 0]].view());
    vec![
        write(&|out| voc::write(out, &one, voc::Corners::OneBased)),
        write(&|out| coco::write(out, &sample_coco())),
        write(&|out| geojson::write(out, shapes())),
        b"0 0.5 0.5 0.25 0.5\n0 0 0 1 0 1 1 0.5\n".to_vec(),
        write(&|out| labelme::write(out, &image("a.png", shapes()[..4].to_vec()))),
        write(&|out| asap::write(out, &outlines)),
        write(&|out| aperio::write(out, &shapes())),
        set.into_inner(),
        write(&|out| mask_file::write_indexed(out, &mask)),
        tiff,
        encoded(&shapes()[4]),
        encoded(&shapes()[2]),
        write(&|out| mask_file::write_instances_png(out, array![[1_u32, 2]].view())),
    ]
}

/// What breaks careless readers.
static NASTY: [&[u8]; 24] = [
    b"",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"NaN",
    b"1e999",
    b"-1",
    b"99999999999999999999",
    b"null",
    b"\"\"",
    b"[]",
    b"{}",
    b"[[[[[[[[",
    b"]",
    b"}",
    b"<a>",
    b"</a>",
    b"&x;",
    b"&#0;",
    b"<![CDATA[",
    b"\xc3",
    b"\n",
];

#[derive(Debug, Clone)]
enum Change {
    Cut(Index),
    Set(Index, u8),
    Insert(Index, &'static [u8]),
    Remove(Index, usize),
    Repeat(Index, usize, usize),
}

fn any_change() -> impl Strategy<Value = Change> {
    let place = any::<Index>;
    prop_oneof![
        1 => place().prop_map(Change::Cut),
        4 => (place(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        4 => (place(), select(&NASTY[..])).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        2 => (place(), 1..20_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => (place(), 1..60_usize, 1..9_usize)
            .prop_map(|(at, count, times)| Change::Repeat(at, count, times)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let length = bytes.len();
    let end = |from: usize, count: usize| (from + count).min(length);
    match change {
        _ if bytes.is_empty() => {}
        Change::Cut(at) => bytes.truncate(at.index(length)),
        Change::Set(at, byte) => bytes[at.index(length)] = *byte,
        Change::Insert(at, nasty) => {
            let at = at.index(length);
            bytes.splice(at..at, nasty.iter().copied());
        }
        Change::Remove(at, count) => {
            let from = at.index(length);
            bytes.drain(from..end(from, *count));
        }
        Change::Repeat(at, count, times) => {
            let from = at.index(length);
            let part = bytes[from..end(from, *count)].repeat(*times);
            bytes.splice(from..from, part);
        }
    }
}

#[test]
fn valid_files_are_read_and_cut_ones_do_not_panic() {
    let files = valid_files();
    assert!(voc::read(path(), &files[0], voc::Corners::OneBased).is_ok());
    assert!(coco::read(path(), &files[1][..]).is_ok());
    assert!(geojson::read(path(), &files[2][..]).is_ok());
    assert!(labelme::read(path(), &files[4]).is_ok());
    assert!(asap::read(path(), &files[5]).is_ok());
    assert!(aperio::read(path(), &files[6]).is_ok());
    assert!(imagej::read(path(), &files[7]).is_ok());
    assert!(mask_file::read_indexed(path(), &files[8], 1 << 20).is_ok());
    assert!(mask_file::read_instances(path(), &files[9], None, 1 << 20).is_ok());
    for file in &files {
        for (_, parser) in PARSERS {
            for length in (0..file.len()).step_by(7) {
                parser(&file[..length]);
            }
        }
    }
}

#[test]
fn nasty_pieces_alone() {
    for (_, parser) in PARSERS {
        for nasty in NASTY {
            parser(nasty);
            parser(&nasty.repeat(5000));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn changed_files_do_not_panic(
        file in select(valid_files()),
        changes in vec(any_change(), 1..4),
    ) {
        let mut bytes = file;
        for change in &changes {
            apply(&mut bytes, change);
        }
        for (_, parser) in PARSERS {
            parser(&bytes);
        }
    }
}
