//! What drawn objects are kept as: boxes, an instance mask, a class mask, outlines or points.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::{Args, ValueEnum};
use cleanslide_data::formats::{Annotation, Shape, mask_file};
use cleanslide_data::mask::UNLABELLED_OBJECT;
use cleanslide_data::{
    Classes, MaskFile, Object, Objects, Point, Polygon, Rectangle, Target, Trust, UNLABELLED_CLASS,
};
use cleanslide_image::contour;
use ndarray::Array2;

use crate::failure::{Failure, Result};
use crate::output::{Output, count};

/// What importers of drawn objects take.
#[derive(Debug, Clone, Default, Args)]
pub struct ObjectArguments {
    /// What the objects become. By default boxes where all are rectangles, instance masks where all are outlines;
    /// points stay points
    #[arg(long = "as", value_enum, value_name = "KIND")]
    kept_as: Option<KeptAs>,
    /// With `--as masks`: the class of what nobody outlined, which is otherwise unlabelled
    #[arg(long, value_name = "CLASS")]
    background: Option<String>,
    /// Not every object was marked: where none is, nobody looked
    #[arg(long)]
    incomplete: bool,
    /// Classes that have another name in the dataset, as `Tumor=tumour,Stroma=stroma`; objects without a class are of
    /// the class `object`
    #[arg(long, value_name = "OLD=NEW", value_delimiter = ',', value_parser = renaming)]
    map: Vec<(String, String)>,
}

/// A name of the files and that of the dataset.
fn renaming(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.trim().is_empty() && !new.trim().is_empty() => {
            Ok((old.trim().to_owned(), new.trim().to_owned()))
        }
        _ => Err("not OLD=NEW, such as `Tumor=tumour`".to_owned()),
    }
}

/// What drawn objects are kept as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KeptAs {
    /// A box around each object
    Boxes,
    /// An instance mask: the pixels of each object, with its class; where objects overlap the later one lies on top
    Instances,
    /// A class mask: outlined pixels have the class of the object, later ones on top, all others none
    Masks,
    /// As they were drawn, for export alone: nothing is learned from outlines
    Outlines,
    /// Places.
    #[value(skip)]
    Points,
}

/// The objects that one file draws on one image.
pub struct Drawing {
    /// All annotations, also those that are no objects.
    pub annotations: Vec<Annotation>,
    /// True if objects of the image are not among them, because they could not be read.
    pub lacks_objects: bool,
}

/// A region of many objects that nobody told apart.
fn is_crowd(annotation: &Annotation) -> bool {
    annotation.flag("iscrowd")
}

fn is_points(annotation: &Annotation) -> bool {
    matches!(annotation.shape, Shape::Point(_) | Shape::Points(_))
}

fn is_upright(shape: &Shape) -> bool {
    match shape {
        Shape::Polygon(polygon) => {
            polygon.holes.is_empty() && Rectangle::of_corners(&polygon.outline).is_some()
        }
        _ => false,
    }
}

/// How many objects of each kind there are.
#[derive(Default)]
struct Counts {
    rectangles: usize,
    outlines: usize,
    /// Of the outlines those that are upright rectangles, which GeoJSON and others have no kind of their own for.
    upright: usize,
    points: usize,
    crowds: usize,
}

impl Counts {
    fn of<'a>(drawings: impl Iterator<Item = &'a Drawing>) -> Self {
        let mut counts = Self::default();
        for annotation in drawings.flat_map(|drawing| &drawing.annotations) {
            match &annotation.shape {
                _ if is_crowd(annotation) => counts.crowds += 1,
                Shape::Rectangle(_) => counts.rectangles += 1,
                Shape::Point(_) => counts.points += 1,
                Shape::Points(all) => counts.points += all.len(),
                shape => {
                    counts.outlines += 1;
                    counts.upright += usize::from(is_upright(shape));
                }
            }
        }
        counts
    }
}

impl ObjectArguments {
    /// Gives the objects the names of `--map`. Returns those of its old names that no object has.
    pub fn rename<'a>(
        &self,
        drawings: impl Iterator<Item = &'a mut Drawing>,
    ) -> Result<BTreeSet<&str>> {
        let mut names: BTreeMap<&str, &str> = BTreeMap::new();
        for (old, new) in &self.map {
            if let Some(before) = names.insert(old, new) {
                return Err(Failure::usage(format!(
                    "`--map` renames `{old}` twice, to `{before}` and to `{new}`"
                )));
            }
        }
        let mut unused: BTreeSet<&str> = names.keys().copied().collect();
        for annotation in drawings.flat_map(|drawing| &mut drawing.annotations) {
            if let Some((&old, &new)) = names.get_key_value(class_name(annotation)) {
                unused.remove(old);
                annotation.class = Some(new.to_owned());
            }
        }
        Ok(unused)
    }

    /// What all drawings of an import are kept as.
    pub fn choose<'a>(
        &self,
        output: Output,
        drawings: impl Iterator<Item = &'a Drawing>,
    ) -> Result<KeptAs> {
        if self.background.is_some() && self.kept_as != Some(KeptAs::Masks) {
            return Err(Failure::usage("`--background` is for `--as masks` alone"));
        }
        if self.background.is_some() && self.incomplete {
            return Err(Failure::usage(
                "`--incomplete` says that nobody looked beside the objects, `--background` that it is a class",
            )
            .help("Leave out one of them."));
        }
        let counts = Counts::of(drawings);
        let only_points = counts.points > 0 && counts.rectangles + counts.outlines == 0;
        match self.kept_as {
            Some(KeptAs::Boxes | KeptAs::Instances | KeptAs::Masks) if only_points => {
                Err(Failure::usage("the labels are points, which have no area")
                    .help("Leave out `--as`: points are kept as points."))
            }
            Some(kept_as) => Ok(kept_as),
            None if counts.rectangles > 0 && counts.outlines > 0 => Err(Failure::usage(format!(
                "there are {} and {}",
                count(counts.rectangles, "rectangle"),
                count(counts.outlines, "outline")
            ))
            .help(
                "Say what they become: `--as boxes` puts a box around each outline, `--as instances` takes \
                 rectangles as outlines.",
            )),
            None if only_points => Ok(KeptAs::Points),
            None if counts.outlines > 0 => {
                if counts.upright == counts.outlines {
                    output.note(
                        "all outlines are upright rectangles: if they are boxes around objects, import them with \
                         `--as boxes`",
                    );
                }
                Ok(KeptAs::Instances)
            }
            None if counts.rectangles == 0 && counts.crowds > 0 => Ok(KeptAs::Instances),
            None => Ok(KeptAs::Boxes),
        }
    }

    /// The class of what nobody outlined.
    pub fn background(&self) -> Option<&str> {
        self.background.as_deref()
    }
}

/// The name of the class of objects that have none.
pub const OBJECT: &str = "object";

/// The name of the class of an object.
fn class_name(annotation: &Annotation) -> &str {
    annotation.class.as_deref().unwrap_or(OBJECT)
}

impl KeptAs {
    /// Whether an annotation becomes an object.
    fn keeps(self, annotation: &Annotation) -> bool {
        match self {
            _ if is_crowd(annotation) => false,
            Self::Boxes | Self::Instances | Self::Masks => !is_points(annotation),
            Self::Points => is_points(annotation),
            Self::Outlines => true,
        }
    }

    /// The names of the classes of the objects that are kept of a drawing.
    pub fn class_names(self, drawing: &Drawing) -> impl Iterator<Item = &str> {
        let kept = drawing.annotations.iter();
        kept.filter(move |annotation| self.keeps(annotation))
            .map(class_name)
    }
}

/// What became of objects that is not seen in what was kept.
#[derive(Default)]
pub struct Told {
    /// A line for each object that was left out.
    pub left_out: Vec<String>,
    unclassified: usize,
    incomplete: usize,
    points: usize,
    crowds: usize,
    overlapping: usize,
    scores: usize,
}

impl Told {
    /// Tells of each kind of thing that happened.
    pub fn show(&self, output: Output) {
        if self.unclassified > 0 {
            output.note(&format!(
                "{} without a class, called `{OBJECT}`; `--map {OBJECT}=NAME` gives another name",
                count(self.unclassified, "object")
            ));
        }
        let tell = |number: usize, noun: &str, what: &str| {
            if number > 0 {
                output.warn(&format!("{} {what}", count(number, noun)));
            }
        };
        tell(
            self.incomplete,
            "image",
            "of which objects could not be read: what is not marked there counts as unlabelled",
        );
        tell(
            self.points,
            "point",
            "left out: what is not marked on their images counts as unlabelled",
        );
        tell(
            self.crowds,
            "region",
            "of crowds (`iscrowd`) left out: no single objects, and no background either",
        );
        tell(
            self.overlapping,
            "object",
            "drawn over parts of earlier ones, which end there",
        );
        tell(
            self.scores,
            "score",
            "left out: masks keep no trust of single objects",
        );
    }
}

/// What a file draws on an image.
pub struct Drawn<'a> {
    /// The file, for messages.
    pub origin: &'a str,
    /// Height and width of the image.
    pub size: (usize, usize),
    /// The objects.
    pub drawing: &'a Drawing,
}

/// Makes labels of drawings.
pub struct Keeper<'a> {
    kept_as: KeptAs,
    /// The classes of the dataset.
    pub classes: &'a Classes,
    complete: bool,
    /// The class in class masks of what nobody outlined.
    background: u8,
    /// What happened so far.
    pub told: Told,
}

impl<'a> Keeper<'a> {
    /// Keeps objects of these classes.
    pub fn new(arguments: &ObjectArguments, kept_as: KeptAs, classes: &'a Classes) -> Result<Self> {
        if kept_as == KeptAs::Masks && classes.len() > usize::from(UNLABELLED_CLASS) {
            let number = count(classes.len(), "class");
            return Err(Failure::input(format!(
                "there are {number}; a class mask keeps at most 255"
            )));
        }
        let background = match &arguments.background {
            Some(name) => classes.index(name)? as u8,
            None => UNLABELLED_CLASS,
        };
        Ok(Self {
            kept_as,
            classes,
            complete: !arguments.incomplete,
            background,
            told: Told::default(),
        })
    }

    /// What is said of an image: one thing at most, but for outlines beside points. A mask goes to `file`.
    pub fn targets(&mut self, drawn: &Drawn<'_>, file: &Path) -> Result<Vec<Target>> {
        check_masks(drawn)?;
        let all = || drawn.drawing.annotations.iter();
        let crowds = all().filter(|annotation| is_crowd(annotation)).count();
        let points = match self.kept_as {
            KeptAs::Points | KeptAs::Outlines => 0,
            _ => all().filter(|annotation| is_points(annotation)).count(),
        };
        self.told.crowds += crowds;
        self.told.points += points;
        let is_unclassified = |a: &&Annotation| self.kept_as.keeps(a) && a.class.is_none();
        self.told.unclassified += all().filter(is_unclassified).count();
        self.told.incomplete += usize::from(drawn.drawing.lacks_objects);
        let seen = self.complete && !drawn.drawing.lacks_objects && points == 0;
        match self.kept_as {
            // Masks show what crowds cover, lists cannot.
            KeptAs::Instances => self.instance_mask(drawn, seen, file),
            KeptAs::Masks => self.class_mask(drawn, seen, file),
            KeptAs::Boxes => self.boxes(drawn, seen && crowds == 0),
            KeptAs::Outlines | KeptAs::Points => self.lists(drawn, seen && crowds == 0),
        }
    }

    /// The annotations that become objects, with their places in the file.
    fn objects<'d>(&self, drawn: &Drawn<'d>) -> Vec<(usize, &'d Annotation)> {
        let all = drawn.drawing.annotations.iter().enumerate();
        all.filter(|(_, annotation)| self.kept_as.keeps(annotation))
            .collect()
    }

    fn boxes(&mut self, drawn: &Drawn<'_>, complete: bool) -> Result<Vec<Target>> {
        let mut objects = Vec::new();
        for (place, annotation) in self.objects(drawn) {
            let rectangle = match &annotation.shape {
                Shape::Rectangle(rectangle) => Some(*rectangle),
                shape => {
                    let around = annotation.bounding_box.or_else(|| shape.bounds());
                    around.and_then(|around| around.on_image(drawn.size))
                }
            };
            match rectangle {
                Some(rectangle) => objects.push(self.object(annotation, rectangle)?),
                None => self.leave_out(drawn, place, "no part of the image lies in it"),
            }
        }
        Ok(vec![Target::Boxes(Objects { objects, complete })])
    }

    /// Outlines and points as they were drawn.
    fn lists(&self, drawn: &Drawn<'_>, complete: bool) -> Result<Vec<Target>> {
        let mut points: Vec<Object<Point>> = Vec::new();
        let mut polygons: Vec<Object<Polygon>> = Vec::new();
        for (_, annotation) in self.objects(drawn) {
            match &annotation.shape {
                Shape::Point(point) => points.push(self.object(annotation, *point)?),
                Shape::Points(all) => {
                    for point in all {
                        points.push(self.object(annotation, *point)?);
                    }
                }
                shape => {
                    for part in outlines(shape)? {
                        polygons.push(self.object(annotation, part)?);
                    }
                }
            }
        }
        let mut targets = Vec::new();
        let only_points = self.kept_as == KeptAs::Points;
        if !polygons.is_empty() || (points.is_empty() && !only_points) {
            targets.push(Target::Polygons(Objects {
                objects: polygons,
                complete,
            }));
        }
        if !points.is_empty() || only_points {
            targets.push(Target::Points(Objects {
                objects: points,
                complete,
            }));
        }
        Ok(targets)
    }

    fn instance_mask(
        &mut self,
        drawn: &Drawn<'_>,
        complete: bool,
        file: &Path,
    ) -> Result<Vec<Target>> {
        let outside = if complete { 0 } else { UNLABELLED_OBJECT };
        let mut mask = Array2::from_elem(drawn.size, outside);
        let mut canvas = Canvas::new(drawn.size);
        for crowd in drawn.drawing.annotations.iter().filter(|a| is_crowd(a)) {
            canvas.visit(&crowd.shape, |pixel| mask[pixel] = UNLABELLED_OBJECT);
        }
        let objects = self.objects(drawn);
        let mut classes = Vec::new();
        let mut areas = Vec::new();
        for (number, (_, annotation)) in (1..).zip(&objects) {
            let mut overlaps = false;
            let area = canvas.visit(&annotation.shape, |pixel| {
                overlaps |= !matches!(mask[pixel], 0 | UNLABELLED_OBJECT);
                mask[pixel] = number;
            });
            self.told.overlapping += usize::from(overlaps);
            self.count_score(annotation);
            areas.push(area);
            classes.push(self.classes.index(class_name(annotation))?);
        }
        let seen = mask_file::renumber(&mut mask)?;
        for (number, ((place, _), area)) in (1..).zip(objects.iter().zip(&areas)) {
            if seen.binary_search(&number).is_err() {
                let why = match area {
                    0 => "no pixel of the image lies in it",
                    _ => "later ones cover it",
                };
                self.leave_out(drawn, *place, why);
            }
        }
        if mask.iter().all(|&object| object == UNLABELLED_OBJECT) {
            return Ok(Vec::new());
        }
        Ok(vec![Target::Instances {
            mask: MaskFile::write_instances(file, mask.view())?,
            classes: seen.iter().map(|&n| classes[n as usize - 1]).collect(),
        }])
    }

    fn class_mask(
        &mut self,
        drawn: &Drawn<'_>,
        complete: bool,
        file: &Path,
    ) -> Result<Vec<Target>> {
        let outside = if complete {
            self.background
        } else {
            UNLABELLED_CLASS
        };
        let mut mask = Array2::from_elem(drawn.size, outside);
        let mut canvas = Canvas::new(drawn.size);
        for crowd in drawn.drawing.annotations.iter().filter(|a| is_crowd(a)) {
            canvas.visit(&crowd.shape, |pixel| mask[pixel] = UNLABELLED_CLASS);
        }
        for (place, annotation) in self.objects(drawn) {
            let class = self.classes.index(class_name(annotation))? as u8;
            let area = canvas.visit(&annotation.shape, |pixel| mask[pixel] = class);
            if area == 0 {
                self.leave_out(drawn, place, "no pixel of the image lies in it");
            }
            self.count_score(annotation);
        }
        if mask.iter().all(|&class| class == UNLABELLED_CLASS) {
            return Ok(Vec::new());
        }
        Ok(vec![Target::class_mask(file, mask.view())?])
    }

    fn object<S>(&self, annotation: &Annotation, shape: S) -> Result<Object<S>> {
        Ok(Object {
            shape,
            class: self.classes.index(class_name(annotation))?,
            trust: trust(annotation)?,
        })
    }

    fn count_score(&mut self, annotation: &Annotation) {
        let trusted = trust(annotation).is_ok_and(|trust| trust == Trust::FULL);
        self.told.scores += usize::from(!trusted);
    }

    fn leave_out(&mut self, drawn: &Drawn<'_>, place: usize, why: &str) {
        let annotation = &drawn.drawing.annotations[place];
        let called = [class_name(annotation), &annotation.name, &annotation.id];
        let called: Vec<&str> = called.into_iter().filter(|name| !name.is_empty()).collect();
        self.told.left_out.push(format!(
            "{}, object {} ({}): left out: {why}",
            drawn.origin,
            place + 1,
            called.join(", ")
        ));
    }
}

/// A score is a trust if it is a share.
fn trust(annotation: &Annotation) -> Result<Trust> {
    Ok(match annotation.score {
        Some(score) if (0.0..=1.0).contains(&score) => Trust::new(score as f32)?,
        _ => Trust::FULL,
    })
}

/// Masks of single objects are as large as the image.
fn check_masks(drawn: &Drawn<'_>) -> Result<()> {
    for annotation in &drawn.drawing.annotations {
        if let Shape::Mask(mask) = &annotation.shape
            && mask.size() != drawn.size
        {
            let ((height, width), (image_height, image_width)) = (mask.size(), drawn.size);
            return Err(Failure::input(format!(
                "{}: the mask of an object has {width} × {height} pixels, the image {image_width} × {image_height}",
                drawn.origin
            ))
            .help("Give the images that were annotated, in their own size."));
        }
    }
    Ok(())
}

fn outlines(shape: &Shape) -> Result<Vec<Polygon>> {
    if let Shape::Mask(mask) = shape {
        let labels = mask.decode().mapv(u32::from);
        let outlines = contour::outlines(labels.view())?;
        return Ok(outlines
            .into_iter()
            .map(|outline| outline.polygon)
            .collect());
    }
    Ok(shape.polygons().unwrap_or_default())
}

/// Room in which the parts of a shape are joined.
struct Canvas {
    inside: Array2<bool>,
}

impl Canvas {
    fn new(size: (usize, usize)) -> Self {
        Self {
            inside: Array2::default(size),
        }
    }

    /// Visits each pixel of a shape once, and says how many there are.
    fn visit(&mut self, shape: &Shape, mut visit: impl FnMut((usize, usize))) -> usize {
        let mut area = 0;
        if let Shape::Mask(mask) = shape {
            let height = mask.size().0;
            for place in mask.foreground().flat_map(|(from, to)| from..to) {
                visit((place % height, place / height));
                area += 1;
            }
            return area;
        }
        let parts = shape.polygons().unwrap_or_default();
        let points = parts.iter().flat_map(Polygon::rings).flatten().copied();
        let size = self.inside.dim();
        let Some(around) = Rectangle::around(points).and_then(|around| around.on_image(size))
        else {
            return 0;
        };
        for part in &parts {
            contour::paint_polygon(self.inside.view_mut(), part, true);
        }
        for row in around.top.floor() as usize..around.bottom.ceil() as usize {
            for column in around.left.floor() as usize..around.right.ceil() as usize {
                if std::mem::take(&mut self.inside[(row, column)]) {
                    visit((row, column));
                    area += 1;
                }
            }
        }
        area
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(from: f64, to: f64) -> Vec<Point> {
        let square = Rectangle {
            left: from,
            top: from,
            right: to,
            bottom: to,
        };
        square.corners().to_vec()
    }

    #[test]
    fn a_shape_of_parts_with_a_hole_is_visited_once_and_leaves_nothing_behind() {
        let ring = Polygon {
            outline: square(1.0, 5.0),
            holes: vec![square(2.0, 4.0)],
        };
        let overlapping = Polygon {
            outline: square(4.0, 7.0),
            holes: Vec::new(),
        };
        let shape = Shape::Polygons(vec![ring, overlapping]);
        let mut canvas = Canvas::new((6, 9));
        let mut visits = Array2::<u8>::zeros((6, 9));
        let area = canvas.visit(&shape, |pixel| visits[pixel] += 1);
        // 12 of the ring, 6 of the square on the image, one of which is of both.
        assert_eq!(area, 12 + 6 - 1);
        assert_eq!(visits.iter().filter(|&&times| times == 1).count(), area);
        assert_eq!(visits[(2, 2)], 0);
        assert!(canvas.inside.iter().all(|inside| !inside));
    }
}
