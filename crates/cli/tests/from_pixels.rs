//! Classes of images from pixels, beside those from embeddings.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::Lab;

const RECIPE: &str = "\
[encoder]
width = 8
[train]
epochs = 30
batch_size = 12
crop = 48
learning_rate = 0.005
";

fn lab() -> Lab {
    let lab = Lab::new();
    lab.ok(&["simulate", "liver", "--cases", "12", "--patches", "6"]);
    lab.write("pixels.toml", RECIPE);
    lab
}

const BENCH: &str = "bench liver --labels-of reference:truth --seeds 1 --folds 3";

fn bench(more: &str) -> Vec<&str> {
    BENCH.split(' ').chain(more.split(' ')).collect()
}

#[test]
fn networks_learn_from_pixels_what_labels_say() {
    let lab = lab();
    let told = lab.ok(&bench(
        "--from-pixels pixels.toml --methods cross-entropy --noise none,uniform:0.75 --json --out bench",
    ));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let accuracy = |line: usize| {
        let of = &told["lines"][line]["balanced_accuracy"]["value"];
        of.as_f64().unwrap()
    };
    // Of four classes, of images of other cases; with three quarters of the labels wrong they say nothing.
    assert!(accuracy(0) > 0.5, "{told}");
    assert!(accuracy(1) < 0.4, "{told}");
    assert!(!lab.path("bench/training").exists());
}

#[test]
fn the_same_again_gives_the_same_bytes_also_by_a_method_with_a_memory() {
    let lab = lab();
    lab.write("short.toml", RECIPE.replace("epochs = 30", "epochs = 2"));
    let asked = "--from-pixels short.toml --methods mae,elr --noise uniform:0.2 --out";
    lab.ok(&bench(&format!("{asked} one")));
    // What a killed training has left is no part of another.
    lab.write("two/plan.toml", lab.read("one/plan.toml"));
    lab.write("two/training/checkpoints/left", "nothing");
    lab.ok(&bench(&format!("{asked} two")));
    let mut cells = Vec::new();
    for cell in std::fs::read_dir(lab.path("one/cells")).unwrap() {
        let name = cell.unwrap().file_name().into_string().unwrap();
        let [one, two] = ["one", "two"].map(|out| lab.read(&format!("{out}/cells/{name}")));
        assert!(one == two, "{name}");
        cells.push(one);
    }
    assert!(cells.len() == 2 && cells[0] != cells[1]);
    let again = lab.warns(&bench(&format!("{asked} two")));
    assert!(
        again.contains("0 cells to compute, 2 done before"),
        "{again}"
    );
    // Heads do not meet networks in a folder.
    let heads = lab.fails(&bench("--methods mae --out two"));
    // Nor do two processes that train: they would share a folder.
    std::fs::remove_dir_all(lab.path("one/cells")).unwrap();
    let lock = std::fs::File::create(lab.path("one/lock")).unwrap();
    lock.lock().unwrap();
    let held = lab.fails(&bench(&format!("{asked} one")));
    assert!(
        held.contains("another process trains networks in one"),
        "{held}"
    );
    let other = "another encoder, other folds or other settings";
    assert!(heads.contains(other), "{heads}");
}

#[test]
fn what_cannot_be_trained_on_pixels_is_said_before_work() {
    let lab = lab();
    let all = lab.fails(&bench("--from-pixels pixels.toml --out x"));
    assert!(
        all.starts_with("exit 2") && all.contains("by `forward`"),
        "{all}"
    );
    assert!(
        all.contains("cross-entropy, focal, mae, gce, sce, nce-rce, elr, bootstrap"),
        "{all}"
    );
    let both = "--from-pixels pixels.toml --recipe pixels.toml --methods mae --out x";
    let both = lab.fails(&bench(both));
    assert!(
        both.starts_with("exit 2") && both.contains("`--recipe` is for heads"),
        "{both}"
    );
    lab.write("large.toml", "[train]\ncrop = 900\n");
    let large = lab.fails(&bench("--from-pixels large.toml --methods mae --out x"));
    assert!(large.contains("pixels, and 900 are looked at"), "{large}");
    lab.write("mixed.toml", "[augment]\nmix_up = 0.4\n");
    let mixed = lab.fails(&bench("--from-pixels mixed.toml --methods mae --out x"));
    assert!(mixed.contains("labels of images are not mixed"), "{mixed}");
}
