use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::WeightsError;
use crate::weights::Weights;

/// The entry of a safetensors file's `__metadata__` that holds a card, as JSON.
const ENTRY: &str = "cleanslide";
/// The field of the entry that says what a file is for, and what it says of encoders.
const KIND: &str = "kind";
const EMBEDDINGS: &str = "embeddings";

/// How the patches or positions of an image become one embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The mean of the last features over positions, of networks of convolutions.
    Average,
    /// The token of the whole image.
    ClassToken,
    /// The mean of the tokens of patches.
    MeanOfPatches,
    /// The token of the whole image, then the mean of the tokens of patches: twice as many components.
    ClassTokenAndMeanOfPatches,
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Average => "the mean over positions",
            Self::ClassToken => "the class token",
            Self::MeanOfPatches => "the mean of patches",
            Self::ClassTokenAndMeanOfPatches => "the class token and the mean of patches",
        })
    }
}

/// What an encoder's tensors do not say: what its images are made into, and what is taken of its features.
///
/// Files that Cleanslide writes carry it in the entry `cleanslide` of their metadata, as JSON with the field
/// `"kind": "embeddings"` besides those below.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Card {
    /// A short name for reports.
    pub name: String,
    /// The side of the network's input, in pixels.
    pub size: u32,
    /// The side that images are resized to before the middle of [`Card::size`] is cut out of them; by default they are
    /// resized to the network's input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resized: Option<u32>,
    /// Subtracted from values of the scale 0..=1; red, green, blue.
    pub mean: [f32; 3],
    /// Divided by after the subtraction.
    pub std: [f32; 3],
    /// How features become an embedding.
    pub pooling: Pooling,
    /// Heads of the attention of a transformer; one for each 64 values of a token by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heads: Option<usize>,
    /// The scale of the images that it was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub microns_per_pixel: Option<f64>,
}

impl Card {
    /// The metadata of a safetensors file that [`Card::of`] reads again.
    pub fn to_metadata(&self) -> BTreeMap<String, String> {
        let mut fields = json!(self);
        fields[KIND] = EMBEDDINGS.into();
        BTreeMap::from([(ENTRY.to_owned(), fields.to_string())])
    }

    /// The card of a file; `None` where it has none, as files of others.
    ///
    /// # Errors
    /// When Cleanslide wrote the file for another purpose, or the card is damaged.
    pub fn of(weights: &Weights) -> Result<Option<Self>, WeightsError> {
        let Some(text) = weights.metadata(ENTRY) else {
            return Ok(None);
        };
        let file = || weights.file().to_owned();
        let wrong = |problem: String| WeightsError::Card {
            file: file(),
            problem,
        };
        let mut fields: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        match fields.remove(KIND) {
            Some(Value::String(kind)) if kind == EMBEDDINGS => (),
            Some(Value::String(kind)) => return Err(WeightsError::Kind { file: file(), kind }),
            _ => return Err(wrong(format!("there is no text `{KIND}` in it"))),
        }
        let card: Self = serde_json::from_value(Value::Object(fields))
            .map_err(|error| wrong(error.to_string()))?;
        card.check().map_err(|problem| wrong(problem.to_owned()))?;
        Ok(Some(card))
    }

    fn check(&self) -> Result<(), &'static str> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        if self.size == 0 {
            return Err("`size` must be at least 1 pixel");
        }
        if self.resized.is_some_and(|side| side < self.size) {
            return Err("`resized` must be at least `size`");
        }
        if !self.mean.iter().all(|mean| mean.is_finite()) {
            return Err("`mean` must be finite");
        }
        if !self.std.iter().all(|&std| positive(std.into())) {
            return Err("`std` must be positive");
        }
        if self.heads == Some(0) {
            return Err("`heads` must be at least 1");
        }
        if !self.microns_per_pixel.is_none_or(positive) {
            return Err("`microns-per-pixel` must be positive");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> Card {
        Card {
            name: "ours".into(),
            size: 112,
            resized: Some(128),
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            pooling: Pooling::ClassTokenAndMeanOfPatches,
            heads: None,
            microns_per_pixel: Some(0.5),
        }
    }

    fn weights(entry: Option<&str>) -> Weights {
        let metadata = entry.map(|text| [(ENTRY.to_owned(), text.to_owned())].into());
        let none: [(&str, safetensors::tensor::TensorView<'_>); 0] = [];
        let bytes = safetensors::serialize(none, metadata).unwrap();
        Weights::from_bytes(&bytes, "w").unwrap()
    }

    fn refusal(entry: &str) -> String {
        Card::of(&weights(Some(entry))).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let entry = &card().to_metadata()[ENTRY];
        assert!(entry.contains(r#""kind":"embeddings""#), "{entry}");
        assert!(
            entry.contains(r#""pooling":"class-token-and-mean-of-patches""#),
            "{entry}"
        );
        assert_eq!(Card::of(&weights(Some(entry))).unwrap(), Some(card()));
        assert_eq!(Card::of(&weights(None)).unwrap(), None);
    }

    #[test]
    fn another_kind_is_named() {
        assert_eq!(
            refusal(r#"{"kind": "pixels of classes", "network": {}, "classes": []}"#),
            "w is a network of Cleanslide that predicts pixels of classes, and no encoder"
        );
    }

    #[test]
    fn a_damaged_card_is_refused() {
        let changed = |field: &str, value: Value| {
            let mut fields: Value = serde_json::from_str(&card().to_metadata()[ENTRY]).unwrap();
            fields[field] = value;
            refusal(&fields.to_string())
        };
        assert!(refusal("{").starts_with("w: its card (metadata entry cleanslide) is damaged"));
        assert!(refusal("{}").contains("no text `kind`"));
        assert!(changed("size", 0.into()).contains("`size` must be"));
        assert!(changed("resized", 111.into()).contains("`resized` must be"));
        assert!(changed("std", json!([1.0, 0.0, 1.0])).contains("`std` must be"));
        assert!(changed("mean", json!([1.0])).contains("length 1"));
        assert!(changed("heads", 0.into()).contains("`heads` must be"));
        assert!(changed("microns-per-pixel", (-1).into()).contains("`microns-per-pixel` must be"));
        assert!(changed("colour", 1.into()).contains("unknown field `colour`"));
    }
}
