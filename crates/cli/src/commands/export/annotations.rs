//! Evidence in the neutral form of annotations, fit for a format.

use cleanslide_data::formats::{Annotation, RunLengths, Shape};
use cleanslide_data::mask::UNLABELLED_OBJECT;
use cleanslide_data::{
    Classes, Evidence, Object, Point, Polygon, Rectangle, Target, Trust, UNLABELLED_CLASS,
};
use cleanslide_image::contour::{outlines, polygon_mask};
use cleanslide_image::region::{Neighbours, components_of_labels};
use ndarray::{Array2, ArrayView2};

use super::format::Format;
use super::losses::Losses;
use crate::failure::{Failure, Result};

/// How evidence becomes annotations.
pub struct Conversion<'a> {
    /// The format they must fit.
    pub format: Format,
    /// The classes of the dataset.
    pub classes: &'a Classes,
    /// The class of masks that is what is left between outlines.
    pub background: Option<usize>,
    /// Only the boxes around outlines.
    pub boxes: bool,
    /// Whether holes are filled where the format has none.
    pub fill_holes: bool,
}

/// An object on its way.
struct Draft {
    shape: Shape,
    class: usize,
    trust: f64,
}

impl Conversion<'_> {
    /// The annotations of one image, from all that a source says about it; its size is height and
    /// width.
    pub fn annotations(
        &self,
        pieces: &[&Evidence],
        size: Option<(usize, usize)>,
    ) -> Result<(Vec<Annotation>, Losses)> {
        let mut losses = Losses::default();
        let mut annotations = Vec::new();
        for piece in pieces {
            for draft in self.drafts(piece, &mut losses)? {
                let parts = self.fit(draft, size, &mut losses)?;
                annotations.extend(
                    parts
                        .into_iter()
                        .map(|part| self.annotation(part, &mut losses)),
                );
            }
        }
        losses.incomplete = usize::from(pieces.iter().any(|piece| !is_complete(&piece.target)));
        Ok((annotations, losses))
    }

    fn drafts(&self, piece: &Evidence, losses: &mut Losses) -> Result<Vec<Draft>> {
        let drafts = match &piece.target {
            Target::Boxes(boxes) => all(&boxes.objects, piece, |shape| {
                Shape::Rectangle(short_rectangle(shape))
            }),
            Target::Points(points) => all(&points.objects, piece, |shape| {
                Shape::Point(short_point(shape))
            }),
            Target::Polygons(polygons) => all(&polygons.objects, piece, |shape| {
                Shape::Polygon(short_polygon(shape))
            }),
            Target::Instances { mask, classes } => {
                let mut mask = mask.read_instances()?;
                losses.open += usize::from(clear(&mut mask));
                self.traced(mask.view(), piece.trust, |label| {
                    classes.get(label as usize - 1).copied()
                })?
            }
            Target::Dense(mask) | Target::Partial(mask) => {
                let mask = mask.read_classes()?;
                let open = mask.iter().any(|&class| class == UNLABELLED_CLASS);
                losses.open += usize::from(open);
                let labels = mask.mapv(|class| {
                    let nothing =
                        class == UNLABELLED_CLASS || self.background == Some(usize::from(class));
                    if nothing { 0 } else { u32::from(class) + 1 }
                });
                let parts = components_of_labels(labels.view(), Neighbours::Four)?;
                let mut class_of = vec![0; parts.count];
                for (&part, &label) in parts.labels.iter().zip(&labels) {
                    if part > 0 {
                        class_of[part as usize - 1] = label as usize - 1;
                    }
                }
                self.traced(parts.labels.view(), piece.trust, |label| {
                    class_of.get(label as usize - 1).copied()
                })?
            }
            _ => return Err(Failure::input(format!("{}: no shapes", piece.key()))),
        };
        Ok(drafts)
    }

    /// Objects of a picture of labels: runs where the format holds masks, otherwise outlines.
    fn traced(
        &self,
        labels: ArrayView2<'_, u32>,
        trust: Trust,
        class: impl Fn(u32) -> Option<usize>,
    ) -> Result<Vec<Draft>> {
        let draft = |(label, shape): (u32, Shape)| {
            Some(Draft {
                shape,
                class: class(label)?,
                trust: decimal(trust),
            })
        };
        if self.format == Format::Coco && !self.boxes {
            let masks = runs(labels)?.into_iter();
            let shapes = masks.map(|(label, runs)| (label, Shape::Mask(runs)));
            return Ok(shapes.filter_map(draft).collect());
        }
        let mut found: Vec<(u32, Polygon)> = outlines(labels)?
            .into_iter()
            .map(|outline| (outline.label, outline.polygon))
            .collect();
        found.sort_by_key(|(label, _)| *label);
        let objects = found.chunk_by(|one, other| one.0 == other.0);
        let shapes = objects.map(|parts| {
            let mut polygons: Vec<Polygon> = parts.iter().map(|(_, part)| part.clone()).collect();
            let shape = match polygons.len() {
                1 => Shape::Polygon(polygons.remove(0)),
                _ => Shape::Polygons(polygons),
            };
            (parts[0].0, shape)
        });
        Ok(shapes.filter_map(draft).collect())
    }

    /// The object in shapes that the format has.
    fn fit(
        &self,
        draft: Draft,
        size: Option<(usize, usize)>,
        losses: &mut Losses,
    ) -> Result<Vec<Draft>> {
        let Draft {
            shape,
            class,
            trust,
        } = draft;
        let with = |shape| Draft {
            shape,
            class,
            trust,
        };
        if self.boxes && !matches!(shape, Shape::Rectangle(_)) {
            losses.boxed += 1;
            let bounds = shape.bounds().map(Shape::Rectangle);
            return Ok(bounds.map(with).into_iter().collect());
        }
        let shapes = match shape {
            Shape::Polygons(parts) if !self.format.has_parts() => {
                losses.parted += 1;
                parts.into_iter().map(Shape::Polygon).collect()
            }
            shape => vec![shape],
        };
        let mut fitting = Vec::new();
        for shape in shapes {
            let shape = match shape {
                Shape::Polygon(polygon) if !polygon.holes.is_empty() => {
                    self.holes(polygon, size, losses)?
                }
                shape => shape,
            };
            fitting.push(with(shape));
        }
        Ok(fitting)
    }

    fn holes(
        &self,
        polygon: Polygon,
        size: Option<(usize, usize)>,
        losses: &mut Losses,
    ) -> Result<Shape> {
        match (self.format, size) {
            // Its outlines have no holes, its masks do.
            (Format::Coco, Some(size)) => {
                let whole = |ring: &[cleanslide_data::Point]| {
                    ring.iter()
                        .all(|point| point.x.fract() == 0.0 && point.y.fract() == 0.0)
                };
                losses.rastered += usize::from(!polygon.rings().all(whole));
                let mask = polygon_mask(size, &polygon).mapv(u8::from);
                Ok(Shape::Mask(RunLengths::encode(mask.view())?))
            }
            (format, _) if format.has_holes() => Ok(Shape::Polygon(polygon)),
            _ if self.fill_holes => {
                losses.filled += 1;
                Ok(Shape::Polygon(Polygon {
                    outline: polygon.outline,
                    holes: Vec::new(),
                }))
            }
            (format, _) => Err(Failure::input(format!(
                "an object has a hole, which {} cannot hold",
                format.name()
            ))
            .help("Fill holes with `--fill-holes`; coco, geojson, imagej and aperio hold them.")),
        }
    }

    fn annotation(&self, draft: Draft, losses: &mut Losses) -> Annotation {
        let trusted = draft.trust < 1.0;
        if trusted && !self.format.has_scores() {
            losses.trusted += 1;
        }
        Annotation {
            score: trusted.then_some(draft.trust),
            ..Annotation::new(self.classes.name(draft.class), draft.shape)
        }
    }
}

/// False if the rest of the image is unlabelled.
fn is_complete(target: &Target) -> bool {
    match target {
        Target::Boxes(boxes) => boxes.complete,
        Target::Points(points) => points.complete,
        Target::Polygons(polygons) => polygons.complete,
        _ => true,
    }
}

/// Whether there is anything to write: an empty list that is not complete says nothing.
pub fn says_something(target: &Target) -> bool {
    let empty = match target {
        Target::Boxes(boxes) => boxes.objects.is_empty(),
        Target::Points(points) => points.objects.is_empty(),
        Target::Polygons(polygons) => polygons.objects.is_empty(),
        _ => false,
    };
    !empty || is_complete(target)
}

fn all<S>(objects: &[Object<S>], piece: &Evidence, shape: impl Fn(&S) -> Shape) -> Vec<Draft> {
    let draft = |object: &Object<S>| Draft {
        shape: shape(&object.shape),
        class: object.class,
        trust: decimal(object.trust) * decimal(piece.trust),
    };
    objects.iter().map(draft).collect()
}

/// The shortest decimal number that is this trust, so that 0.7 is not written as 0.699999988.
fn decimal(trust: Trust) -> f64 {
    let value = trust.value();
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// Decimals with so many characters are no noise.
const SHORT: usize = 12;

/// The shortest decimal that is this place in the 32 bits that networks count in, so that 12.3 is not written as
/// 12.300000190734863. Places of more bits, and those that are short anyway, stay as they are.
fn short(value: f64) -> f64 {
    let single = value as f32;
    if f64::from(single) != value || value.to_string().len() <= SHORT {
        return value;
    }
    single.to_string().parse().unwrap_or(value)
}

fn short_point(point: &Point) -> Point {
    Point {
        x: short(point.x),
        y: short(point.y),
    }
}

fn short_rectangle(rectangle: &Rectangle) -> Rectangle {
    Rectangle {
        left: short(rectangle.left),
        top: short(rectangle.top),
        right: short(rectangle.right),
        bottom: short(rectangle.bottom),
    }
}

fn short_polygon(polygon: &Polygon) -> Polygon {
    let ring = |ring: &Vec<Point>| ring.iter().map(short_point).collect();
    Polygon {
        outline: ring(&polygon.outline),
        holes: polygon.holes.iter().map(ring).collect(),
    }
}

/// Makes unlabelled pixels background; true if there are some.
fn clear(mask: &mut Array2<u32>) -> bool {
    let mut open = false;
    for object in mask {
        if *object == UNLABELLED_OBJECT {
            *object = 0;
            open = true;
        }
    }
    open
}

/// Every label's pixels as runs, by label, from one pass over the columns.
fn runs(labels: ArrayView2<'_, u32>) -> Result<Vec<(u32, RunLengths)>> {
    struct Runs {
        counts: Vec<u32>,
        /// Where the last run ended.
        end: u32,
    }
    let pixels = u32::try_from(labels.len())
        .map_err(|_| Failure::input("the mask has too many pixels for runs"))?;
    let highest = labels.iter().copied().max().unwrap_or(0) as usize;
    let mut objects: Vec<Option<Runs>> = (0..=highest).map(|_| None).collect();
    // The transposed array is walked in its rows, which are the mask's columns.
    for (place, &label) in (0..pixels).zip(labels.t().iter()) {
        if label == 0 {
            continue;
        }
        let Runs { counts, end } = objects[label as usize].get_or_insert_with(|| Runs {
            counts: Vec::new(),
            end: 0,
        });
        match counts.last_mut() {
            Some(last) if *end == place => *last += 1,
            _ => counts.extend([place - *end, 1]),
        }
        *end = place + 1;
    }
    let mut found = Vec::new();
    for (label, runs) in (0..).zip(objects) {
        let Some(Runs { mut counts, end }) = runs else {
            continue;
        };
        if end < pixels {
            counts.push(pixels - end);
        }
        found.push((label, RunLengths::new(labels.dim(), counts)?));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn runs_are_those_of_each_label() {
        let labels = array![[2, 2, 0], [2, 0, 3], [0, 0, 3]];
        let found = runs(labels.view()).unwrap();
        for (label, runs) in found {
            let mask = labels.mapv(|other| u8::from(other == label));
            assert_eq!(runs, RunLengths::encode(mask.view()).unwrap(), "{label}");
        }
    }

    #[test]
    fn trusts_and_places_are_written_short() {
        assert_eq!(decimal(Trust::new(0.7).unwrap()), 0.7);
        assert_eq!(short(f64::from(12.3_f32)), 12.3);
        for stays in [12.3, 1.0 / 3.0, 100_000.062_5, -0.5, 0.0] {
            assert_eq!(short(stays), stays);
        }
    }
}
