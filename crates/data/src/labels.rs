//! The evidence of one label version, and its tables on disk.
//!
//! | file | what |
//! |---|---|
//! | `classes.csv` | class, distribution, one of, none of |
//! | `looked.csv` | who looked where for objects, whether everything was marked, how many |
//! | `boxes.csv`, `points.csv`, `polygons.csv` | the objects |
//! | `masks.csv`, `masks/` | class masks and instance masks, as PNG |

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::classes::{Classes, SEPARATOR};
use crate::error::{Error, Result};
use crate::evidence::{
    Evidence, Family, MaskFile, Object, Objects, Point, Polygon, Rectangle, Scope, Target, Trust,
};
use crate::images::ImageRecord;
use crate::table::{Row, Table, to_csv};
use crate::votes::Votes;

/// Evidence sorted by [`Evidence::key`], no key twice.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Labels(Vec<Evidence>);

impl Labels {
    /// Sorts the evidence and checks it.
    ///
    /// # Errors
    /// One source says two things of one family about one scope; a class that does not exist; an
    /// empty or improper distribution or class set; an instance without class.
    pub fn new(mut evidence: Vec<Evidence>, classes: &Classes) -> Result<Self> {
        for piece in &evidence {
            check_target(piece, classes.len())?;
        }
        evidence.sort_by(|a, b| a.key().cmp(&b.key()));
        if let Some(pair) = evidence
            .windows(2)
            .find(|pair| pair[0].key() == pair[1].key())
        {
            return Err(Error::labels(format!("{} is given twice", pair[0].key()))
                .with_help("Remove one of the two, or give the second a source of its own."));
        }
        Ok(Self(evidence))
    }

    /// All evidence, sorted.
    pub fn evidence(&self) -> &[Evidence] {
        &self.0
    }

    /// The evidence, to build another version from.
    pub fn into_evidence(self) -> Vec<Evidence> {
        self.0
    }

    /// The evidence of one source and family about images, by image id.
    pub fn of_images<'a>(
        &'a self,
        source: &str,
        family: Family,
    ) -> BTreeMap<&'a str, &'a Evidence> {
        self.0
            .iter()
            .filter(|piece| piece.source == source && piece.target.family() == family)
            .filter_map(|piece| match &piece.scope {
                Scope::Image(id) => Some((id.as_str(), piece)),
                _ => None,
            })
            .collect()
    }

    /// Ids of the sources that say something of this family, sorted.
    pub fn sources(&self, family: Family) -> Vec<&str> {
        let ids: BTreeSet<&str> = self
            .0
            .iter()
            .filter(|piece| piece.target.family() == family)
            .map(|piece| piece.source.as_str())
            .collect();
        ids.into_iter().collect()
    }

    /// The class votes of several sources on images: item `i` is `images[i]`, annotator `j` is
    /// `sources[j]`.
    ///
    /// # Errors
    /// A source says something about an image that is not one class, so it is no vote.
    pub fn votes(&self, images: &[ImageRecord], sources: &[&str], classes: usize) -> Result<Votes> {
        let items: BTreeMap<&str, usize> = images
            .iter()
            .enumerate()
            .map(|(item, image)| (image.id.as_str(), item))
            .collect();
        let mut triplets = Vec::new();
        for (annotator, source) in sources.iter().enumerate() {
            for (id, piece) in self.of_images(source, Family::Class) {
                let Target::Class(class) = piece.target else {
                    return Err(Error::labels(format!(
                        "{}: not a vote for one class",
                        piece.key()
                    )));
                };
                if let Some(&item) = items.get(id) {
                    triplets.push((item, annotator, class));
                }
            }
        }
        Votes::from_triplets(images.len(), sources.len(), classes, &triplets)
            .map_err(|error| Error::labels(error.to_string()))
    }

    /// Writes the tables, and copies the masks, into a version's folder.
    pub(crate) fn write(&self, folder: &Path, classes: &Classes) -> Result<()> {
        let mut tables = Tables::default();
        for piece in &self.0 {
            tables.add(piece, classes, folder)?;
        }
        tables.write(folder)
    }

    /// Reads the tables of a version's folder.
    pub(crate) fn read(folder: &Path, classes: &Classes) -> Result<Self> {
        let mut evidence = Vec::new();
        read_classes(folder, classes, &mut evidence)?;
        read_objects(folder, classes, &mut evidence)?;
        read_masks(folder, classes, &mut evidence)?;
        Self::new(evidence, classes)
    }
}

/// Probabilities are stored as decimal text, so sums are allowed to be off by rounding.
const SUM_TOLERANCE: f32 = 1e-4;

fn check_target(piece: &Evidence, classes: usize) -> Result<()> {
    let fail = |problem: String| Err(Error::labels(format!("{}: {problem}", piece.key())));
    let used: Vec<usize> = match &piece.target {
        Target::Class(class) => vec![*class],
        Target::Distribution(probabilities) => {
            let sum: f32 = probabilities.iter().sum();
            let proper = probabilities.iter().all(|p| (0.0..=1.0).contains(p));
            if probabilities.len() != classes || !proper || (sum - 1.0).abs() > SUM_TOLERANCE {
                return fail(format!(
                    "{} probabilities that sum to {sum} are not a distribution over {classes} classes",
                    probabilities.len()
                ));
            }
            Vec::new()
        }
        Target::OneOf(set) | Target::NoneOf(set) => {
            if set.is_empty() || (matches!(piece.target, Target::NoneOf(_)) && set.len() >= classes)
            {
                return fail(format!(
                    "{} of {classes} classes say nothing, or exclude everything",
                    set.len()
                ));
            }
            set.iter().copied().collect()
        }
        Target::Boxes(objects) => objects.objects.iter().map(|object| object.class).collect(),
        Target::Points(objects) => objects.objects.iter().map(|object| object.class).collect(),
        Target::Polygons(objects) => {
            let rings = |polygon: &Polygon| {
                polygon.outline.len() >= 3 && polygon.holes.iter().all(|hole| hole.len() >= 3)
            };
            if !objects.objects.iter().all(|object| rings(&object.shape)) {
                return fail("a ring of a polygon has fewer than three points".into());
            }
            objects.objects.iter().map(|object| object.class).collect()
        }
        Target::Instances { classes, .. } => classes.clone(),
        Target::Dense(_) | Target::Partial(_) => Vec::new(),
    };
    match used.iter().find(|&&class| class >= classes) {
        Some(class) => fail(format!("class {class} does not exist; there are {classes}")),
        None => Ok(()),
    }
}

const CLASSES: [&str; 7] = [
    "scope", "item", "region", "source", "says", "classes", "trust",
];
const LOOKED: [&str; 8] = [
    "scope", "item", "region", "source", "for", "complete", "count", "trust",
];
const BOXES: [&str; 10] = [
    "scope", "item", "region", "source", "left", "top", "right", "bottom", "class", "trust",
];
const POINTS: [&str; 8] = [
    "scope", "item", "region", "source", "x", "y", "class", "trust",
];
/// Rings are "x y x y …", the outline first, holes after `|`.
const POLYGONS: [&str; 7] = [
    "scope", "item", "region", "source", "rings", "class", "trust",
];
const MASKS: [&str; 9] = [
    "scope", "item", "region", "source", "says", "file", "hash", "classes", "trust",
];

#[derive(Default)]
struct Tables {
    classes: Vec<Vec<String>>,
    looked: Vec<Vec<String>>,
    boxes: Vec<Vec<String>>,
    points: Vec<Vec<String>>,
    polygons: Vec<Vec<String>>,
    masks: Vec<Vec<String>>,
}

impl Tables {
    fn add(&mut self, piece: &Evidence, classes: &Classes, folder: &Path) -> Result<()> {
        let about = about(piece);
        let trust = piece.trust.value().to_string();
        let row = |rest: Vec<String>| about.iter().cloned().chain(rest).collect::<Vec<String>>();
        let names = |set: &mut dyn Iterator<Item = usize>| {
            set.map(|class| classes.name(class))
                .collect::<Vec<_>>()
                .join(&SEPARATOR.to_string())
        };
        let mut says = |says: &str, what: String| {
            self.classes
                .push(row(vec![says.into(), what, trust.clone()]));
        };
        match &piece.target {
            Target::Class(class) => says("is", classes.name(*class)),
            Target::Distribution(probabilities) => {
                let parts: Vec<String> = probabilities
                    .iter()
                    .enumerate()
                    .map(|(class, p)| format!("{}:{p}", classes.name(class)))
                    .collect();
                says("distribution", parts.join(&SEPARATOR.to_string()));
            }
            Target::OneOf(set) => says("one-of", names(&mut set.iter().copied())),
            Target::NoneOf(set) => says("none-of", names(&mut set.iter().copied())),
            Target::Boxes(objects) => {
                self.looked.push(row(looked("boxes", objects, trust)));
                self.boxes.extend(objects.objects.iter().map(|object| {
                    let r = &object.shape;
                    let place = [r.left, r.top, r.right, r.bottom].map(|v| v.to_string());
                    row(place
                        .into_iter()
                        .chain(class_and_trust(object, classes))
                        .collect())
                }));
            }
            Target::Points(objects) => {
                self.looked.push(row(looked("points", objects, trust)));
                self.points.extend(objects.objects.iter().map(|object| {
                    let place = [object.shape.x, object.shape.y].map(|v| v.to_string());
                    row(place
                        .into_iter()
                        .chain(class_and_trust(object, classes))
                        .collect())
                }));
            }
            Target::Polygons(objects) => {
                self.looked.push(row(looked("polygons", objects, trust)));
                self.polygons.extend(objects.objects.iter().map(|object| {
                    let rings = rings_to_text(&object.shape);
                    row(std::iter::once(rings)
                        .chain(class_and_trust(object, classes))
                        .collect())
                }));
            }
            Target::Instances {
                mask,
                classes: of_objects,
            } => {
                let file = keep_mask(mask, folder)?;
                let of_objects = names(&mut of_objects.iter().copied());
                self.masks.push(row(vec![
                    "instances".into(),
                    file,
                    mask.hash.clone(),
                    of_objects,
                    trust,
                ]));
            }
            Target::Dense(mask) | Target::Partial(mask) => {
                let says = if matches!(piece.target, Target::Dense(_)) {
                    "dense"
                } else {
                    "partial"
                };
                let file = keep_mask(mask, folder)?;
                self.masks.push(row(vec![
                    says.into(),
                    file,
                    mask.hash.clone(),
                    String::new(),
                    trust,
                ]));
            }
        }
        Ok(())
    }

    fn write(self, folder: &Path) -> Result<()> {
        write_table(folder, "classes.csv", &CLASSES, self.classes)?;
        write_table(folder, "looked.csv", &LOOKED, self.looked)?;
        write_table(folder, "boxes.csv", &BOXES, self.boxes)?;
        write_table(folder, "points.csv", &POINTS, self.points)?;
        write_table(folder, "polygons.csv", &POLYGONS, self.polygons)?;
        write_table(folder, "masks.csv", &MASKS, self.masks)
    }
}

/// Writes a table unless it is empty.
fn write_table(folder: &Path, name: &str, header: &[&str], rows: Vec<Vec<String>>) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let path = folder.join(name);
    fs::write(&path, to_csv(header, rows)).map_err(|error| Error::io("write", &path, error))
}

fn about(piece: &Evidence) -> [String; 4] {
    let region = match &piece.scope {
        Scope::Region(_, rectangle) => rectangle.to_string(),
        _ => String::new(),
    };
    [
        piece.scope.kind().into(),
        piece.scope.item().into(),
        region,
        piece.source.clone(),
    ]
}

fn looked<Shape>(family: &str, objects: &Objects<Shape>, trust: String) -> Vec<String> {
    let complete = if objects.complete { "yes" } else { "no" };
    vec![
        family.into(),
        complete.into(),
        objects.objects.len().to_string(),
        trust,
    ]
}

fn class_and_trust<Shape>(object: &Object<Shape>, classes: &Classes) -> [String; 2] {
    [classes.name(object.class), object.trust.value().to_string()]
}

fn rings_to_text(polygon: &Polygon) -> String {
    let ring = |points: &[Point]| {
        points
            .iter()
            .map(|p| format!("{} {}", p.x, p.y))
            .collect::<Vec<_>>()
            .join(" ")
    };
    std::iter::once(&polygon.outline)
        .chain(&polygon.holes)
        .map(|points| ring(points))
        .collect::<Vec<_>>()
        .join(&SEPARATOR.to_string())
}

/// Copies a mask into the version under the hash of its content: equal masks are kept once, and
/// no image id has to be a legal file name.
fn keep_mask(mask: &MaskFile, folder: &Path) -> Result<String> {
    let bytes = fs::read(&mask.path).map_err(|error| Error::io("read", &mask.path, error))?;
    if blake3::hash(&bytes).to_hex().as_str() != mask.hash {
        return Err(
            Error::file(&mask.path, "the mask has changed since its hash was taken")
                .with_help("Restore it from a backup, or import it again."),
        );
    }
    let name = format!("masks/{}.png", mask.hash);
    let path = folder.join(&name);
    let parent = folder.join("masks");
    fs::create_dir_all(&parent).map_err(|error| Error::io("create", &parent, error))?;
    fs::write(&path, bytes).map_err(|error| Error::io("write", &path, error))?;
    Ok(name)
}

/// Reads one table if it is there; `header` names its columns, in any order.
fn read_table<const N: usize>(
    folder: &Path,
    name: &str,
    header: [&str; N],
    mut each: impl FnMut(&[&str; N]) -> Result<()>,
) -> Result<()> {
    let path = folder.join(name);
    if !path.exists() {
        return Ok(());
    }
    let table = Table::read(&path)?;
    let mut columns = [0; N];
    for (column, name) in columns.iter_mut().zip(header) {
        *column = table.column(name)?;
    }
    for row in table.rows() {
        each(&columns.map(|column| row.get(column)))
            .map_err(|error| at_row(&table, row, &error))?;
    }
    Ok(())
}

fn at_row(table: &Table, row: &Row, error: &Error) -> Error {
    let placed = table.error(row, error.to_string());
    match error.help() {
        Some(help) => placed.with_help(help),
        None => placed,
    }
}

fn read_classes(folder: &Path, classes: &Classes, evidence: &mut Vec<Evidence>) -> Result<()> {
    read_table(
        folder,
        "classes.csv",
        CLASSES,
        |&[scope, item, region, source, says, what, trust]| {
            let target = match says {
                "is" => Target::Class(classes.index(what)?),
                "distribution" => Target::Distribution(parse_distribution(what, classes)?),
                "one-of" => Target::OneOf(parse_set(what, classes)?.into_iter().collect()),
                "none-of" => Target::NoneOf(parse_set(what, classes)?.into_iter().collect()),
                _ => {
                    return Err(Error::labels(format!(
                        "`{says}` is not a statement about classes"
                    )));
                }
            };
            evidence.push(Evidence {
                source: source.into(),
                scope: parse_scope(scope, item, region)?,
                target,
                trust: parse_trust(trust)?,
            });
            Ok(())
        },
    )
}

fn read_objects(folder: &Path, classes: &Classes, evidence: &mut Vec<Evidence>) -> Result<()> {
    type Place = [String; 4];
    let mut boxes: BTreeMap<Place, Vec<Object<Rectangle>>> = BTreeMap::new();
    let mut points: BTreeMap<Place, Vec<Object<Point>>> = BTreeMap::new();
    let mut polygons: BTreeMap<Place, Vec<Object<Polygon>>> = BTreeMap::new();
    let place = |a: &str, b: &str, c: &str, d: &str| [a, b, c, d].map(String::from);
    read_table(
        folder,
        "boxes.csv",
        BOXES,
        |&[
            scope,
            item,
            region,
            source,
            left,
            top,
            right,
            bottom,
            class,
            trust,
        ]| {
            let [left, top, right, bottom] = parse_numbers([left, top, right, bottom])?;
            let shape = Rectangle::new(left, top, right, bottom)?;
            let object = Object {
                shape,
                class: classes.index(class)?,
                trust: parse_trust(trust)?,
            };
            boxes
                .entry(place(scope, item, region, source))
                .or_default()
                .push(object);
            Ok(())
        },
    )?;
    read_table(
        folder,
        "points.csv",
        POINTS,
        |&[scope, item, region, source, x, y, class, trust]| {
            let [x, y] = parse_numbers([x, y])?;
            let object = Object {
                shape: Point { x, y },
                class: classes.index(class)?,
                trust: parse_trust(trust)?,
            };
            points
                .entry(place(scope, item, region, source))
                .or_default()
                .push(object);
            Ok(())
        },
    )?;
    read_table(
        folder,
        "polygons.csv",
        POLYGONS,
        |&[scope, item, region, source, rings, class, trust]| {
            let shape = parse_rings(rings)?;
            let object = Object {
                shape,
                class: classes.index(class)?,
                trust: parse_trust(trust)?,
            };
            polygons
                .entry(place(scope, item, region, source))
                .or_default()
                .push(object);
            Ok(())
        },
    )?;
    read_table(
        folder,
        "looked.csv",
        LOOKED,
        |&[scope, item, region, source, family, complete, count, trust]| {
            let key = place(scope, item, region, source);
            let complete = match complete {
                "yes" => true,
                "no" => false,
                other => return Err(Error::labels(format!("`{other}` is neither yes nor no"))),
            };
            let target = match family {
                "boxes" => Target::Boxes(take(&mut boxes, &key, complete, count)?),
                "points" => Target::Points(take(&mut points, &key, complete, count)?),
                "polygons" => Target::Polygons(take(&mut polygons, &key, complete, count)?),
                other => return Err(Error::labels(format!("`{other}` is not a kind of object"))),
            };
            evidence.push(Evidence {
                source: source.into(),
                scope: parse_scope(scope, item, region)?,
                target,
                trust: parse_trust(trust)?,
            });
            Ok(())
        },
    )?;
    match boxes
        .keys()
        .chain(points.keys())
        .chain(polygons.keys())
        .next()
    {
        Some([scope, item, _, source]) => Err(Error::file(
            folder,
            format!("{source} has objects in {scope} {item}, but `looked.csv` has no line for it"),
        )
        .with_help("Add a line that says whether every object was marked.")),
        None => Ok(()),
    }
}

fn take<Shape>(
    from: &mut BTreeMap<[String; 4], Vec<Object<Shape>>>,
    key: &[String; 4],
    complete: bool,
    count: &str,
) -> Result<Objects<Shape>> {
    let objects = from.remove(key).unwrap_or_default();
    if count.parse() != Ok(objects.len()) {
        return Err(Error::labels(format!(
            "{count} objects are announced, {} are there",
            objects.len()
        )));
    }
    Ok(Objects { objects, complete })
}

fn read_masks(folder: &Path, classes: &Classes, evidence: &mut Vec<Evidence>) -> Result<()> {
    read_table(
        folder,
        "masks.csv",
        MASKS,
        |&[
            scope,
            item,
            region,
            source,
            says,
            file,
            hash,
            of_objects,
            trust,
        ]| {
            let mask = MaskFile {
                path: folder.join(file),
                hash: hash.into(),
            };
            if !mask.path.is_file() {
                return Err(Error::labels(format!("the mask `{file}` is missing")));
            }
            let target = match says {
                "instances" => Target::Instances {
                    mask,
                    classes: parse_set(of_objects, classes)?,
                },
                "dense" => Target::Dense(mask),
                "partial" => Target::Partial(mask),
                other => return Err(Error::labels(format!("`{other}` is not a kind of mask"))),
            };
            evidence.push(Evidence {
                source: source.into(),
                scope: parse_scope(scope, item, region)?,
                target,
                trust: parse_trust(trust)?,
            });
            Ok(())
        },
    )
}

fn parse_scope(kind: &str, item: &str, region: &str) -> Result<Scope> {
    match kind {
        "case" => Ok(Scope::Case(item.into())),
        "slide" => Ok(Scope::Slide(item.into())),
        "image" => Ok(Scope::Image(item.into())),
        "region" => {
            let corners: Vec<&str> = region.split(' ').collect();
            let Ok(corners) = <[&str; 4]>::try_from(corners) else {
                return Err(Error::labels(format!(
                    "the region `{region}` is not \"left top right bottom\""
                )));
            };
            let [left, top, right, bottom] = parse_numbers(corners)?;
            Ok(Scope::Region(
                item.into(),
                Rectangle::new(left, top, right, bottom)?,
            ))
        }
        other => Err(Error::labels(format!(
            "`{other}` is none of case, slide, image and region"
        ))),
    }
}

fn parse_numbers<const N: usize>(texts: [&str; N]) -> Result<[f64; N]> {
    let mut numbers = [0.0; N];
    for (number, text) in numbers.iter_mut().zip(texts) {
        *number = match text.parse::<f64>() {
            Ok(value) if value.is_finite() => value,
            _ => return Err(Error::labels(format!("`{text}` is not a number"))),
        };
    }
    Ok(numbers)
}

/// Trust as text; empty is full trust.
///
/// # Errors
/// Not a number from 0 to 1.
pub fn parse_trust(text: &str) -> Result<Trust> {
    if text.is_empty() {
        return Ok(Trust::FULL);
    }
    let value = text
        .parse()
        .map_err(|_| Error::labels(format!("the trust `{text}` is not a number")))?;
    Trust::new(value)
}

fn parse_set(text: &str, classes: &Classes) -> Result<Vec<usize>> {
    text.split(SEPARATOR)
        .filter(|name| !name.is_empty())
        .map(|name| classes.index(name))
        .collect()
}

fn parse_distribution(text: &str, classes: &Classes) -> Result<Vec<f32>> {
    let mut probabilities = vec![0.0; classes.len()];
    for part in text.split(SEPARATOR) {
        let (name, probability) = part
            .rsplit_once(':')
            .ok_or_else(|| Error::labels(format!("`{part}` is not \"class:probability\"")))?;
        probabilities[classes.index(name)?] = probability.parse().map_err(|_| {
            Error::labels(format!("the probability `{probability}` is not a number"))
        })?;
    }
    Ok(probabilities)
}

fn parse_rings(text: &str) -> Result<Polygon> {
    let mut rings = text.split(SEPARATOR).map(|ring| {
        let numbers: Vec<f64> = ring
            .split(' ')
            .map(|number| parse_numbers([number]).map(|[value]| value))
            .collect::<Result<_>>()?;
        if !numbers.len().is_multiple_of(2) {
            return Err(Error::labels("a ring has an x without a y"));
        }
        Ok(numbers
            .chunks_exact(2)
            .map(|pair| Point {
                x: pair[0],
                y: pair[1],
            })
            .collect::<Vec<Point>>())
    });
    let outline = rings.next().transpose()?.unwrap_or_default();
    Ok(Polygon {
        outline,
        holes: rings.collect::<Result<_>>()?,
    })
}
