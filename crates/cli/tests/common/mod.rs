//! Runs the command as a user does.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "shared by several tests, which may panic"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::{Rgb, RgbImage, imageops};
use tiff::encoder::compression::DeflateLevel;
use tiff::encoder::{Compression, TiffEncoder, colortype::RGB8};

/// A folder of its own for each test, and the command run inside it.
pub struct Lab(tempfile::TempDir);

impl Lab {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// A small RGB picture as PNG whose colours depend on `seed`.
    pub fn picture(&self, name: &str, seed: u8) -> PathBuf {
        let image = image::RgbImage::from_fn(24, 24, |x, y| {
            image::Rgb([seed, (x * 9) as u8 ^ seed, (y * 9) as u8])
        });
        self.write(name, png(&image.into()))
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("cleanslide"));
        command
            .current_dir(self.0.path())
            .args(arguments)
            .env("SOURCE_DATE_EPOCH", "1767225600");
        command
            .env("NO_COLOR", "1")
            .env("COLUMNS", "100")
            .env_remove("RUST_BACKTRACE");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed; returns standard output.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cleanslide {arguments:?}: {text}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Exit code and message of a command that must fail, as a user sees it.
    pub fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            !output.status.success(),
            "cleanslide {arguments:?} succeeded"
        );
        let text = String::from_utf8_lossy(&output.stderr);
        format!(
            "exit {}\n{}",
            output.status.code().unwrap(),
            self.neutral(&text)
        )
    }

    /// Standard error of a command that must succeed.
    pub fn warns(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cleanslide {arguments:?}: {text}");
        self.neutral(&text)
    }

    /// Text without what differs from machine to machine.
    fn neutral(&self, text: &str) -> String {
        let folder = self.0.path().to_string_lossy();
        let text = text.replace(folder.as_ref(), "LAB");
        let lines = text.lines().map(str::trim_end);
        lines
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// What the page of a run shows that corrected the labels of `student`, and what `correct` refuses of it: an epoch
/// without corrections, a name that is taken, what is for other labels than these.
pub fn refuses_wrong_corrections(lab: &Lab, labels: &str, never: &str, epochs: &str) {
    let page = lab.read("run/report.html");
    for shown in ["What became of the labels", "corrected in the end"] {
        assert!(page.contains(shown), "{shown}");
    }
    let never = lab.fails(&["correct", "data", "--run", "run", "--epoch", never]);
    assert!(
        never.starts_with("exit 2") && never.contains(&format!("after the epochs {epochs}")),
        "{never}"
    );
    let name = lab.fails(&["correct", "data", "--run", "run", "--name", "student"]);
    assert!(name.starts_with("exit 2"), "{name}");
    let policy = lab.fails(&["correct", "data", "--run", "run", "--policy", "prune"]);
    assert!(
        policy.contains(&format!("these labels are {labels}")),
        "{policy}"
    );
}

/// The corrected labels of a run as a new version: what is printed, how many of a kind there are, and their table.
pub fn corrected(lab: &Lab) -> (serde_json::Value, impl Fn(&str) -> u64, String) {
    let corrected = lab.ok(&["correct", "data", "--run", "run", "--json"]);
    let corrected: serde_json::Value = serde_json::from_str(&corrected).unwrap();
    assert_eq!(corrected["labels"], "v2");
    let printed = corrected.clone();
    let number = move |what: &str| printed[what].as_u64().unwrap();
    let changes = lab.read("data/labels/v2/changes.csv");
    let kinds = ["kept", "redrawn", "added", "dropped"];
    for kind in kinds {
        let of_kind = |line: &&str| line.split(',').nth(1) == Some(kind);
        let rows = changes.lines().filter(of_kind).count();
        assert_eq!(rows as u64, number(kind), "{kind}");
    }
    assert_eq!(
        changes.lines().count() as u64 - 1,
        kinds.map(&number).iter().sum::<u64>()
    );
    assert_eq!(
        number("corrected"),
        number("given") - number("dropped") + number("added")
    );
    (corrected, number, changes)
}

pub fn png(image: &image::DynamicImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// All files below a folder with their content, by name.
pub fn tree(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in fs::read_dir(current).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_owned();
                files.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// The colour of a slide where there is no tissue.
pub const GLASS: Rgb<u8> = Rgb([243, 242, 244]);

/// The colour of stained tissue.
pub fn stained(x: u32, y: u32, dark: bool) -> Rgb<u8> {
    let noise = ((x * 7 + y * 13) % 23) as u8;
    if dark {
        Rgb([90 + noise, 50, 130 + noise])
    } else {
        Rgb([200 + noise, 130 + noise, 170])
    }
}

/// Tissue of 300 x 200 pixels on glass, a purple part of 120 x 100 in it, with a level of half the size.
pub fn slide(lab: &Lab, name: &str) {
    slide_of(lab, name, |x, y| {
        (100..220).contains(&x) && (80..180).contains(&y)
    });
}

/// The same with other purple parts.
pub fn slide_of(lab: &Lab, name: &str, is_dark: impl Fn(u32, u32) -> bool) {
    let whole = RgbImage::from_fn(400, 280, |x, y| {
        let tissue = (40..340).contains(&x) && (30..230).contains(&y);
        if tissue {
            stained(x, y, is_dark(x, y))
        } else {
            GLASS
        }
    });
    let half = imageops::resize(&whole, 200, 140, imageops::FilterType::Triangle);
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
    encoder = encoder.with_compression(Compression::Deflate(DeflateLevel::Fast));
    for level in [whole, half] {
        let mut image = encoder
            .new_image::<RGB8>(level.width(), level.height())
            .unwrap();
        image.rows_per_strip(16).unwrap();
        image.write_data(&level).unwrap();
    }
    lab.write(name, bytes.into_inner());
}

/// Simulated tissue as the dataset `liver`, with labels that are all right.
pub fn clean_liver(lab: &Lab, cases: &str, patches: &str) {
    lab.ok(&[
        "simulate",
        "liver",
        "--clean",
        "--cases",
        cases,
        "--patches",
        patches,
    ]);
}
