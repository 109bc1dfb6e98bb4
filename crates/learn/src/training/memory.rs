//! What Linux tells of memory.

/// An entry of a file such as `/proc/self/status`, in MiB; `None` where there is no such file or entry.
pub fn mebibytes(file: &str, entry: &str) -> Option<f64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(entry))?;
    let kibibytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes / 1024.0)
}
