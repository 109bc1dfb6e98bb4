//! Our side of `benches/peers/geojson.py`: reads a GeoJSON file or writes it anew and prints
//! wall time, number of features and the sum of the areas as JSON.
//!
//! Arguments: `make COUNT FILE` (a seeded field of polygons), `read FILE` (one feature after the other;
//! the objects are dropped), `write FROM TO` (the time is that of writing alone).

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::f64::consts::TAU;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use cleanslide_data::formats::geojson::{Reader, read, write};
use cleanslide_data::formats::{Annotation, Attribute, Shape};
use cleanslide_data::{Point, Polygon};

/// Points of an outline: about as many as a nucleus has.
const POINTS: u32 = 16;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["make", count, to] => {
            let count = count.parse().unwrap();
            save(to, (0..count).map(nucleus));
        }
        ["read", from] => {
            let start = Instant::now();
            let mut reader = Reader::new(Path::new(from), File::open(from).unwrap());
            let (mut features, mut area) = (0_u64, 0.0);
            for annotation in reader.by_ref() {
                features += 1;
                if let Shape::Polygon(polygon) = &annotation.unwrap().shape {
                    area += polygon.area();
                }
            }
            assert!(reader.warnings().is_empty());
            report(start, features, area);
        }
        ["write", from, to] => {
            let all = read(Path::new(from), File::open(from).unwrap()).unwrap();
            let start = Instant::now();
            save(to, &all.content);
            report(start, all.content.len() as u64, 0.0);
        }
        _ => panic!("make COUNT FILE, read FILE or write FROM TO"),
    }
}

fn save<A: std::borrow::Borrow<Annotation> + Send + Sync>(
    to: &str,
    annotations: impl IntoIterator<Item = A>,
) {
    let mut writer = BufWriter::new(File::create(to).unwrap());
    write(&mut writer, annotations).unwrap();
    writer.flush().unwrap();
}

fn report(start: Instant, features: u64, area: f64) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{{\"seconds\": {seconds}, \"features\": {features}, \"area\": {area}}}");
}

/// A cell whose numbers have two decimals, as QuPath's do.
fn nucleus(index: u32) -> Annotation {
    let (column, row) = (index % 1000, index / 1000);
    let rounded = |value: f64| (value * 100.0).round() / 100.0;
    let point = |step: u32| {
        let angle = f64::from(step) / f64::from(POINTS) * TAU;
        let radius = 6.0 + f64::from((index * 31 + step * 17) % 97) / 40.0;
        Point {
            x: rounded(f64::from(column) * 20.0 + radius * angle.cos() + 10.0),
            y: rounded(f64::from(row) * 20.0 + radius * angle.sin() + 10.0),
        }
    };
    let outline = Polygon {
        outline: (0..POINTS).map(point).collect(),
        holes: Vec::new(),
    };
    let area = rounded(outline.area());
    let class = if index.is_multiple_of(3) {
        "Tumor"
    } else {
        "Stroma"
    };
    Annotation {
        id: format!("{index:08x}-0000-4000-8000-000000000000"),
        colour: Some([200, 0, 0]),
        attributes: vec![
            ("objectType".into(), Attribute::Text("detection".into())),
            ("Area".into(), Attribute::Number(area)),
        ],
        ..Annotation::new(class, Shape::Polygon(outline))
    }
}
