//! Published encoders: the table of them, and embeddings by a file under one of their names.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::path::Path;

use common::Lab;

/// A file of a narrow encoder (`oracles/encoders.py`).
fn golden(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nn/tests/goldens/encoders");
    let file = folder.canonicalize().unwrap().join(name);
    format!("{}.safetensors", file.display())
}

#[test]
fn the_table_of_published_encoders() {
    let lab = Lab::new();
    let text = lab.ok(&["encoders"]);
    assert!(text.starts_with("  name "), "{text}");
    let line = |name: &str| {
        text.lines()
            .find(|line| line.trim().starts_with(name))
            .unwrap()
    };
    let phikon = line("phikon ");
    for part in [
        "ViT 768 × 12, patch 16",
        "768",
        "0.5",
        "non-commercial",
        "owkin/phikon",
    ] {
        assert!(phikon.contains(part), "{phikon}");
    }
    let json: serde_json::Value = serde_json::from_str(&lab.ok(&["encoders", "--json"])).unwrap();
    let rows = json.as_array().unwrap();
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap();
    assert_eq!(row("retccl")["size"], 256);
    assert_eq!(row("retccl")["microns_per_pixel"], 1.0);
    assert_eq!(row("virchow2")["dimension"], 2560);
    assert!(row("vit")["dimension"].is_null());
    assert_eq!(text.lines().count(), rows.len() + 4);
}

#[test]
fn embeddings_by_a_file_under_a_name() {
    let lab = Lab::new();
    lab.ok(&["simulate", "liver", "--cases", "2", "--patches", "2"]);
    let embed = |encoder: &str| {
        let text = lab.ok(&["embed", "liver", "--encoder", encoder, "--json"]);
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    let named = format!("vit={}", golden("hugging_face_vit"));
    let first = embed(&named);
    assert_eq!(first["encoder"], "vit");
    assert_eq!(first["dimension"], 16);
    assert_eq!(first["images"], 4);
    assert_eq!(first["computed"], 4);
    assert_eq!(embed(&named)["computed"], 0);
    let own = embed(&golden("timm_gated"));
    assert_eq!(
        (&own["encoder"], &own["dimension"]),
        (&"ours".into(), &32.into())
    );
    assert_ne!(own["identity"], first["identity"]);
    let message = lab.fails(&["embed", "liver", "--encoder", &golden("resnet_bottleneck")]);
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        message.contains("resnet takes the mean and deviation beside the file"),
        "{message}"
    );
}
