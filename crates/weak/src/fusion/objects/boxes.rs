//! Boxes that several experts drew.

use cleanslide_data::Object;
use cleanslide_data::geometry::Rectangle;

use super::matching::{Pair, groups};
use super::{Drawn, FusedObject, check};
use crate::fusion::FusionError;
use crate::fusion::boxes::grid::Grid;

/// The boxes that one expert drew on an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpertBoxes<'a> {
    /// The boxes with their classes; trusts are not read.
    pub boxes: &'a [Object<Rectangle>],
    /// Where no box means that there is nothing.
    pub looked: Looked,
}

/// Where an expert looked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Looked {
    /// On the whole image: the boxes are complete.
    Everywhere,
    /// In this region.
    Within(Rectangle),
    /// Nobody knows: only where they drew a box.
    WhereDrawn,
}

/// How the corners of a group become one box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Corners {
    /// The mean of each side.
    #[default]
    Mean,
    /// The median of each side; the mean of the middle two of an even number.
    Median,
}

/// Boxes that enough experts drew.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxConsensus {
    /// Boxes of two experts are one if they overlap by at least this (intersection over union), above 0.
    pub overlap: f64,
    /// How many experts must have drawn a box, at least 1.
    pub votes: usize,
    /// How corners are joined.
    pub corners: Corners,
}

impl Default for BoxConsensus {
    /// Overlap 0.5, two votes, means.
    fn default() -> Self {
        Self {
            overlap: 0.5,
            votes: 2,
            corners: Corners::default(),
        }
    }
}

/// A box of the consensus.
#[derive(Debug, Clone, PartialEq)]
pub struct FusedBox {
    /// Where.
    pub rectangle: Rectangle,
    /// What the experts said about it.
    pub object: FusedObject,
}

impl BoxConsensus {
    /// Joins the boxes of the experts on one image; `None` for those who did not see it.
    ///
    /// # Errors
    /// A box without area; an option outside its range.
    pub fn fuse(&self, experts: &[Option<ExpertBoxes<'_>>]) -> Result<Vec<FusedBox>, FusionError> {
        check(self.overlap, self.votes)?;
        let boxes: Vec<&[Object<Rectangle>]> = experts
            .iter()
            .map(|expert| expert.map_or(&[][..], |expert| expert.boxes))
            .collect();
        let objects = list(&boxes)?;
        let pairs = pairs(&boxes, &objects.concat(), self.overlap);
        let of = |drawn: &Drawn| &boxes[drawn.expert][drawn.object];
        let fused = groups(&objects, pairs)
            .into_iter()
            .filter(|group| group.len() >= self.votes)
            .map(|group| {
                let rectangles: Vec<Rectangle> = group.iter().map(|d| of(d).shape).collect();
                let rectangle = self.corners.join(&rectangles);
                let looked = looked(experts, &group, &rectangle);
                FusedBox {
                    rectangle,
                    object: FusedObject::new(&group, looked, |drawn| of(drawn).class),
                }
            });
        Ok(fused.collect())
    }
}

/// Every box by expert.
fn list(boxes: &[&[Object<Rectangle>]]) -> Result<Vec<Vec<Drawn>>, FusionError> {
    let mut objects = Vec::new();
    for (expert, boxes) in boxes.iter().enumerate() {
        for (object, drawn) in boxes.iter().enumerate() {
            let Rectangle {
                left,
                top,
                right,
                bottom,
            } = drawn.shape;
            if Rectangle::new(left, top, right, bottom).is_err() || !drawn.shape.area().is_finite()
            {
                return Err(FusionError::Box {
                    view: expert,
                    index: object,
                    what: "no area",
                });
            }
        }
        objects.push(
            (0..boxes.len())
                .map(|object| Drawn { expert, object })
                .collect(),
        );
    }
    Ok(objects)
}

fn pairs(boxes: &[&[Object<Rectangle>]], objects: &[Drawn], limit: f64) -> Vec<Pair> {
    let shape = |drawn: &Drawn| &boxes[drawn.expert][drawn.object].shape;
    let mut grid = Grid::over(objects.iter().map(shape));
    let mut pairs = Vec::new();
    for (index, other) in objects.iter().enumerate() {
        let mut near: Vec<usize> = grid.near(shape(other)).collect();
        near.sort_unstable();
        near.dedup();
        for one in near.into_iter().map(|near| objects[near]) {
            let overlap = shape(&one).iou(shape(other));
            if one.expert != other.expert && overlap >= limit {
                pairs.push(Pair {
                    one,
                    other: *other,
                    overlap,
                });
            }
        }
        grid.insert(index, shape(other));
    }
    pairs
}

/// How many experts looked at the place of a box.
fn looked(experts: &[Option<ExpertBoxes<'_>>], group: &[Drawn], rectangle: &Rectangle) -> usize {
    let looked = |(expert, boxes): &(usize, &Option<ExpertBoxes<'_>>)| {
        let drew = group.iter().any(|drawn| drawn.expert == *expert);
        drew || boxes.is_some_and(|boxes| match boxes.looked {
            Looked::Everywhere => true,
            Looked::Within(region) => 2.0 * region.overlap(rectangle) >= rectangle.area(),
            Looked::WhereDrawn => false,
        })
    };
    experts.iter().enumerate().filter(looked).count()
}

impl Corners {
    fn join(self, boxes: &[Rectangle]) -> Rectangle {
        let join = |side: fn(&Rectangle) -> f64| {
            let mut sides: Vec<f64> = boxes.iter().map(side).collect();
            match self {
                Self::Mean => sides.iter().sum::<f64>() / sides.len() as f64,
                Self::Median => {
                    sides.sort_by(f64::total_cmp);
                    let middle = sides.len() / 2;
                    if sides.len() % 2 == 1 {
                        sides[middle]
                    } else {
                        f64::midpoint(sides[middle - 1], sides[middle])
                    }
                }
            }
        };
        Rectangle {
            left: join(|r| r.left),
            top: join(|r| r.top),
            right: join(|r| r.right),
            bottom: join(|r| r.bottom),
        }
    }
}

#[cfg(test)]
mod tests {
    use cleanslide_data::Trust;

    use super::*;

    fn object(left: f64, top: f64, class: usize) -> Object<Rectangle> {
        Object {
            shape: Rectangle::new(left, top, left + 10.0, top + 10.0).unwrap(),
            class,
            trust: Trust::FULL,
        }
    }

    fn everywhere(boxes: &[Object<Rectangle>]) -> Option<ExpertBoxes<'_>> {
        Some(ExpertBoxes {
            boxes,
            looked: Looked::Everywhere,
        })
    }

    #[test]
    fn boxes_that_enough_experts_drew() {
        let one = [object(0.0, 0.0, 1), object(50.0, 50.0, 0)];
        let other = [object(90.0, 0.0, 0), object(2.0, 0.0, 2)];
        let third = [object(1.0, 1.5, 2), object(50.0, 51.0, 0)];
        let fourth = Some(ExpertBoxes {
            boxes: &[],
            looked: Looked::Within(Rectangle::new(0.0, 0.0, 40.0, 40.0).unwrap()),
        });
        let experts = [
            everywhere(&one),
            everywhere(&other),
            everywhere(&third),
            None,
            fourth,
        ];
        let fused = BoxConsensus::default().fuse(&experts).unwrap();
        assert_eq!(fused.len(), 2);
        assert_eq!(
            fused[0].rectangle,
            Rectangle::new(1.0, 0.5, 11.0, 10.5).unwrap()
        );
        let object = &fused[0].object;
        assert_eq!((object.class, object.class_votes, object.looked), (2, 2, 4));
        assert_eq!(object.trust.value(), 0.75);
        assert_eq!(
            object.members[1],
            Drawn {
                expert: 1,
                object: 1
            }
        );
        assert_eq!((fused[1].object.looked, fused[1].object.class), (3, 0));

        let corners = Corners::Median;
        let rule = BoxConsensus {
            corners,
            votes: 1,
            ..Default::default()
        };
        let fused = rule.fuse(&experts).unwrap();
        assert_eq!(fused.len(), 3);
        assert_eq!(
            fused[0].rectangle,
            Rectangle::new(1.0, 0.0, 11.0, 10.0).unwrap()
        );
        assert_eq!(fused[1].rectangle.top, 50.5);
    }

    #[test]
    fn unknown_places_count_for_nothing() {
        let one = [object(0.0, 0.0, 1)];
        let silent = ExpertBoxes {
            boxes: &[],
            looked: Looked::WhereDrawn,
        };
        let rule = BoxConsensus {
            votes: 1,
            ..Default::default()
        };
        let fused = rule.fuse(&[everywhere(&one), Some(silent)]).unwrap();
        assert_eq!(fused[0].object.trust, Trust::FULL);
        let fused = rule.fuse(&[everywhere(&one), everywhere(&[])]).unwrap();
        assert_eq!(fused[0].object.trust.value(), 0.5);
        assert_eq!(rule.fuse(&[]), Ok(vec![]));
    }

    #[test]
    fn bad_input_is_refused() {
        let mut flat = object(0.0, 0.0, 0);
        flat.shape.bottom = 0.0;
        let error = BoxConsensus::default().fuse(&[None, everywhere(&[flat])]);
        assert_eq!(
            error.unwrap_err().to_string(),
            "box 0 of view 1 has no area"
        );
        let rule = BoxConsensus {
            overlap: 0.0,
            ..Default::default()
        };
        assert!(rule.fuse(&[]).is_err());
        let rule = BoxConsensus {
            votes: 0,
            ..Default::default()
        };
        assert!(rule.fuse(&[]).is_err());
    }
}
