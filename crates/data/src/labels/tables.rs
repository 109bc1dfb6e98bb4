//! The tables of a label version, readable by people and scripts.
//!
//! | file | what |
//! |---|---|
//! | `classes.csv` | class, distribution, one of, none of |
//! | `looked.csv` | who looked where for objects, whether everything was marked, how many |
//! | `boxes.csv`, `points.csv`, `polygons.csv` | the objects |
//! | `masks.csv`, `masks/` | class masks and instance masks, as PNG |

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::classes::{Classes, SEPARATOR};
use crate::error::{Error, Result};
use crate::evidence::{Evidence, MaskFile, Object, Objects, Scope, Target, Trust};
use crate::geometry::{Point, Polygon, Rectangle};
use crate::table::{Row, Table, to_csv};

/// Columns that every table begins with: what the evidence is about, and whose it is.
const ABOUT: [&str; 4] = ["scope", "item", "region", "source"];

const CLASSES: [&str; 3] = ["says", "classes", "trust"];
const LOOKED: [&str; 4] = ["for", "complete", "count", "trust"];
const BOXES: [&str; 6] = ["left", "top", "right", "bottom", "class", "trust"];
const POINTS: [&str; 4] = ["x", "y", "class", "trust"];
/// Rings are "x y x y …", the outline first, holes after `|`.
const POLYGONS: [&str; 3] = ["rings", "class", "trust"];
const MASKS: [&str; 5] = ["says", "file", "hash", "classes", "trust"];

/// Writes the tables of evidence, and copies its masks, into a version's folder.
pub(super) fn write(evidence: &[Evidence], folder: &Path, classes: &Classes) -> Result<()> {
    let mut tables = Tables::default();
    for piece in evidence {
        tables.add(piece, classes, folder)?;
    }
    tables.write(folder)
}

/// Reads the tables of a version's folder.
pub(super) fn read(folder: &Path, classes: &Classes) -> Result<Vec<Evidence>> {
    let mut evidence = Vec::new();
    read_classes(folder, classes, &mut evidence)?;
    read_objects(folder, classes, &mut evidence)?;
    read_masks(folder, classes, &mut evidence)?;
    Ok(evidence)
}

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
    let header: Vec<&str> = ABOUT.iter().chain(header).copied().collect();
    fs::write(&path, to_csv(&header, rows)).map_err(|error| Error::io("write", &path, error))
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
    let bytes = mask.bytes()?;
    let name = format!("masks/{}.png", mask.hash);
    let path = folder.join(&name);
    let parent = folder.join("masks");
    fs::create_dir_all(&parent).map_err(|error| Error::io("create", &parent, error))?;
    fs::write(&path, bytes).map_err(|error| Error::io("write", &path, error))?;
    Ok(name)
}

/// What a row is about, and whose it is, as it stands in the table.
struct Place<'a> {
    scope: &'a str,
    item: &'a str,
    region: &'a str,
    source: &'a str,
}

impl Place<'_> {
    /// The evidence of this row.
    fn says(&self, target: Target, trust: &str) -> Result<Evidence> {
        Ok(Evidence {
            source: self.source.into(),
            scope: parse_scope(self.scope, self.item, self.region)?,
            target,
            trust: parse_trust(trust)?,
        })
    }

    fn key(&self) -> [String; 4] {
        [self.scope, self.item, self.region, self.source].map(String::from)
    }
}

/// Reads one table if it is there; `header` names its columns after [`ABOUT`], in any order.
fn read_table<const N: usize>(
    folder: &Path,
    name: &str,
    header: [&str; N],
    mut each: impl FnMut(&Place, &[&str; N]) -> Result<()>,
) -> Result<()> {
    let path = folder.join(name);
    if !path.exists() {
        return Ok(());
    }
    let table = Table::read(&path)?;
    let (mut about, mut columns) = ([0; 4], [0; N]);
    for (column, name) in about.iter_mut().zip(ABOUT) {
        *column = table.column(name)?;
    }
    for (column, name) in columns.iter_mut().zip(header) {
        *column = table.column(name)?;
    }
    for row in table.rows() {
        let [scope, item, region, source] = about.map(|column| row.get(column));
        let place = Place {
            scope,
            item,
            region,
            source,
        };
        each(&place, &columns.map(|column| row.get(column)))
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
    let name = "classes.csv";
    read_table(folder, name, CLASSES, |place, &[says, what, trust]| {
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
        evidence.push(place.says(target, trust)?);
        Ok(())
    })
}

/// Objects of one kind, by what they are about and whose they are.
type ObjectsByPlace<Shape> = BTreeMap<[String; 4], Vec<Object<Shape>>>;

fn read_objects(folder: &Path, classes: &Classes, evidence: &mut Vec<Evidence>) -> Result<()> {
    let (mut boxes, mut points, mut polygons) = (
        ObjectsByPlace::<Rectangle>::new(),
        ObjectsByPlace::<Point>::new(),
        ObjectsByPlace::<Polygon>::new(),
    );
    read_table(folder, "boxes.csv", BOXES, |place, cells| {
        let &[left, top, right, bottom, class, trust] = cells;
        let [left, top, right, bottom] = parse_numbers([left, top, right, bottom])?;
        let shape = Rectangle::new(left, top, right, bottom)?;
        push(&mut boxes, place, shape, classes.index(class)?, trust)
    })?;
    read_table(folder, "points.csv", POINTS, |place, cells| {
        let &[x, y, class, trust] = cells;
        let [x, y] = parse_numbers([x, y])?;
        let shape = Point { x, y };
        push(&mut points, place, shape, classes.index(class)?, trust)
    })?;
    read_table(folder, "polygons.csv", POLYGONS, |place, cells| {
        let &[rings, class, trust] = cells;
        let shape = parse_rings(rings)?;
        push(&mut polygons, place, shape, classes.index(class)?, trust)
    })?;
    read_table(folder, "looked.csv", LOOKED, |place, cells| {
        let &[family, complete, count, trust] = cells;
        let key = place.key();
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
        evidence.push(place.says(target, trust)?);
        Ok(())
    })?;
    let mut left_over = boxes.keys().chain(points.keys()).chain(polygons.keys());
    match left_over.next() {
        Some([scope, item, _, source]) => Err(Error::file(
            folder,
            format!("{source} has objects in {scope} {item}, but `looked.csv` has no line for it"),
        )
        .with_help("Add a line that says whether every object was marked.")),
        None => Ok(()),
    }
}

fn push<Shape>(
    objects: &mut ObjectsByPlace<Shape>,
    place: &Place,
    shape: Shape,
    class: usize,
    trust: &str,
) -> Result<()> {
    let trust = parse_trust(trust)?;
    objects.entry(place.key()).or_default().push(Object {
        shape,
        class,
        trust,
    });
    Ok(())
}

fn take<Shape>(
    from: &mut ObjectsByPlace<Shape>,
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
    read_table(folder, "masks.csv", MASKS, |place, cells| {
        let &[says, file, hash, of_objects, trust] = cells;
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
        evidence.push(place.says(target, trust)?);
        Ok(())
    })
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
