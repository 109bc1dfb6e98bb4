//! How images were made for weights, as the configuration beside their file tells: downloads of timm and of Hugging Face
//! transformers are folders that hold both.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;

use super::EncoderError;
use super::known::Colours;

/// `preprocessor_config.json` of Hugging Face transformers, as far as it is about colours.
#[derive(Debug, Deserialize)]
struct Preprocessor {
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
    do_normalize: Option<bool>,
    rescale_factor: Option<f64>,
}

/// `config.json` of timm.
#[derive(Debug, Deserialize)]
struct Timm {
    pretrained_cfg: Option<Pretrained>,
}

#[derive(Debug, Deserialize)]
struct Pretrained {
    mean: Option<[f32; 3]>,
    std: Option<[f32; 3]>,
}

/// The mean and deviation that stand beside a file of weights; `None` where nothing does.
///
/// # Errors
/// When a configuration cannot be read, or is damaged, or asks for values of another scale than 0..=1.
pub(super) fn colours_beside(weights: &Path) -> Result<Option<Colours>, EncoderError> {
    let path = weights.with_file_name("preprocessor_config.json");
    if let Some(found) = read::<Preprocessor>(&path)? {
        let wrong = |problem: &str| Err(problem_with(&path, problem));
        // Written as 1 / 255, in as many digits as somebody liked.
        if (found.rescale_factor).is_some_and(|factor| (255.0 * factor - 1.0).abs() > 1e-3) {
            return wrong("`rescale_factor` is not 1 / 255");
        }
        if found.do_normalize == Some(false) {
            let as_they_are = Colours {
                mean: [0.0; 3],
                std: [1.0; 3],
            };
            return Ok(Some(as_they_are));
        }
        match (found.image_mean, found.image_std) {
            (Some(mean), Some(std)) => return checked(&path, mean, std).map(Some),
            (None, None) => (),
            _ => return wrong("it has one of `image_mean` and `image_std`, and not the other"),
        }
    }
    let path = weights.with_file_name("config.json");
    let timm = read::<Timm>(&path)?.and_then(|found| found.pretrained_cfg);
    match timm.map(|found| (found.mean, found.std)) {
        Some((Some(mean), Some(std))) => checked(&path, mean, std).map(Some),
        _ => Ok(None),
    }
}

fn checked(path: &Path, mean: [f32; 3], std: [f32; 3]) -> Result<Colours, EncoderError> {
    let positive = std.iter().all(|std| std.is_finite() && *std > 0.0);
    if !positive || !mean.iter().all(|mean| mean.is_finite()) {
        let problem = "means must be finite, and deviations positive";
        return Err(problem_with(path, problem));
    }
    Ok(Colours { mean, std })
}

/// The content of a JSON file; `None` if there is no such file.
fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, EncoderError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(problem_with(path, &error.to_string())),
    };
    let found = serde_json::from_str(&text);
    found
        .map(Some)
        .map_err(|error| problem_with(path, &error.to_string()))
}

fn problem_with(path: &Path, problem: &str) -> EncoderError {
    EncoderError::Configuration {
        file: path.display().to_string(),
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a folder with these files says beside weights.
    fn beside(files: &[(&str, &str)]) -> Result<Option<Colours>, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let weights = folder.path().join("model.safetensors");
        colours_beside(&weights).map_err(|error| error.to_string())
    }

    const HUGGING_FACE: &str = r#"{"do_normalize": true, "do_resize": true, "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.25, 0.25, 0.25], "rescale_factor": 0.00392156862745098, "size": {"height": 224, "width": 224}}"#;
    const TIMM: &str = r#"{"architecture": "vit_small_patch16_224", "num_features": 384,
        "pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "input_size": [3, 224, 224]}}"#;

    #[test]
    fn both_kinds_are_read_and_the_preprocessor_first() {
        let of_timm = Colours {
            mean: [0.1, 0.2, 0.3],
            std: [0.4, 0.5, 0.6],
        };
        let of_hugging_face = Colours {
            mean: [0.5; 3],
            std: [0.25; 3],
        };
        assert_eq!(beside(&[]), Ok(None));
        assert_eq!(beside(&[("config.json", TIMM)]), Ok(Some(of_timm)));
        let both = [
            ("config.json", TIMM),
            ("preprocessor_config.json", HUGGING_FACE),
        ];
        assert_eq!(beside(&both), Ok(Some(of_hugging_face)));
        // The configuration of a model of Hugging Face has none.
        let other = r#"{"architectures": ["ViTModel"], "hidden_size": 384}"#;
        assert_eq!(beside(&[("config.json", other)]), Ok(None));
    }

    #[test]
    fn colours_that_are_left_as_they_are_are_so() {
        let plain = r#"{"do_normalize": false}"#;
        let as_they_are = Colours {
            mean: [0.0; 3],
            std: [1.0; 3],
        };
        let found = beside(&[("preprocessor_config.json", plain)]);
        assert_eq!(found, Ok(Some(as_they_are)));
    }

    #[test]
    fn what_cannot_be_followed_is_refused_by_file_and_cause() {
        for (text, problem) in [
            ("{", "EOF"),
            (r#"{"image_mean": [0.5, 0.5, 0.5]}"#, "and not the other"),
            (r#"{"image_mean": [0.5], "image_std": [0.5]}"#, "length 1"),
            (r#"{"rescale_factor": 1.0}"#, "`rescale_factor` is not"),
            (
                r#"{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.0, 0.5]}"#,
                "deviations positive",
            ),
        ] {
            let told = beside(&[("preprocessor_config.json", text)]).unwrap_err();
            assert!(told.contains("preprocessor_config.json"), "{told}");
            assert!(told.contains(problem), "{told}");
        }
    }
}
