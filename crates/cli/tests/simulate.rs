//! Simulated tissue as a user makes it.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::Lab;

const CELLS: [&str; 8] = [
    "simulate",
    "cells",
    "--cells",
    "immune,pyknotic",
    "--cases",
    "3",
    "--patches",
    "2",
];

#[test]
fn cells_of_some_kinds_are_marked_rightly() {
    let lab = Lab::new();
    let told = lab.ok(&CELLS);
    assert!(
        told.starts_with("cells: 6 simulated images of 3 cases, "),
        "{told}"
    );
    assert!(
        told.ends_with("next: cleanslide inject add cells --rate 0.2\n"),
        "{told}"
    );
    let judged = lab.run(&["evaluate", "cells", "v1", "--reference", "truth", "--json"]);
    let judged: serde_json::Value = serde_json::from_slice(&judged.stdout).unwrap();
    let measures = judged["sources"][0]["measures"].as_array().unwrap();
    assert_eq!(measures[0]["name"], "F1 at IoU 0.5");
    assert_eq!(measures[0]["estimate"]["value"], 1.0);
    let status = lab.ok(&["status", "cells"]);
    assert!(
        status.contains("immune cell") && status.contains("pyknotic cell"),
        "{status}"
    );
    // Nothing is left of what it was made with, and the same seed makes the same bytes.
    assert!(!lab.path("cells/masks").exists());
    let again = Lab::new();
    again.ok(&CELLS);
    for file in [
        "images/case001/001.png",
        "images.csv",
        "reference/truth/masks.csv",
    ] {
        let [one, other] =
            [&lab, &again].map(|lab| std::fs::read(lab.path("cells").join(file)).unwrap());
        assert_eq!(one, other, "{file}");
    }
    // Cells have a size in microns, and mistakes can be made of them.
    lab.ok(&[
        "infiltration",
        "cells",
        "--class",
        "immune cell",
        "--out",
        "foci",
    ]);
    let injected = lab.ok(&[
        "inject",
        "add",
        "cells",
        "--rate",
        "0.3",
        "--plane",
        "haematoxylin",
        "--name",
        "hasty",
        "--reference",
        "marked",
    ]);
    assert!(injected.contains("false"), "{injected}");
}

#[test]
fn what_cannot_be_simulated_is_refused() {
    let lab = Lab::new();
    let unknown = lab.fails(&["simulate", "cells", "--cells", "neutrophil"]);
    assert!(
        unknown.starts_with("exit 2") && unknown.contains("pyknotic"),
        "{unknown}"
    );
    let clean = lab.fails(&["simulate", "cells", "--cells", "immune", "--clean"]);
    assert!(
        clean.starts_with("exit 2") && clean.contains("--clean"),
        "{clean}"
    );
    let nothing = lab.fails(&["simulate", "cells", "--cells", "immune", "--cases", "0"]);
    assert!(nothing.contains("nothing to simulate"), "{nothing}");
    lab.write("cells/file", "");
    let exists = lab.fails(&CELLS);
    assert!(
        exists.starts_with("exit 2") && exists.contains("exists already"),
        "{exists}"
    );
    let twice = lab.fails(&["simulate", "twice", "--cells", "immune,immune"]);
    assert!(twice.contains("immune cell"), "{twice}");
}
