//! Scalars for TensorBoard.
//!
//! An event file is a sequence of records: length (u64), its checksum, the content, its checksum, little endian.
//! The content is the protocol buffer `tensorflow.Event`; a checksum is CRC-32C, turned by 15 bits, plus a
//! constant. Sources: tensorflow/core/lib/io/record_writer.h and tensorflow/core/util/event.proto.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use cleanslide_data::Error;

/// An event file that records are added to. It is made for watching: what decides about a run is
/// `metrics.jsonl`.
#[derive(Debug)]
pub struct EventFile(File);

impl EventFile {
    /// Opens a file of a folder, whose name TensorBoard looks for, or makes it. What it says of steps after `done` goes: a
    /// training that goes on after that step says it again.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn open(folder: &Path, done: usize) -> Result<Self, Error> {
        let path = folder.join("events.out.tfevents.cleanslide");
        let kept = match fs::read(&path) {
            Ok(content) => length_until(&content, done as u64),
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(Error::io("read", &path, error)),
        };
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.and_then(|file| file.set_len(kept as u64).map(|()| file));
        let mut events = Self(file.map_err(|error| Error::io("open", &path, error))?);
        if kept == 0 {
            let mut event = Vec::new();
            double(&mut event, 1, now());
            bytes(&mut event, 3, b"brain.Event:2");
            events.write(&event)?;
        }
        Ok(events)
    }

    /// Adds a value of a curve.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn scalar(&mut self, name: &str, step: usize, value: f64) -> Result<(), Error> {
        let mut entry = Vec::new();
        bytes(&mut entry, 1, name.as_bytes());
        key(&mut entry, 2, 5);
        entry.extend((value as f32).to_le_bytes());
        let mut summary = Vec::new();
        bytes(&mut summary, 1, &entry);
        let mut event = Vec::new();
        double(&mut event, 1, now());
        key(&mut event, 2, 0);
        number(&mut event, step as u64);
        bytes(&mut event, 5, &summary);
        self.write(&event)
    }

    fn write(&mut self, event: &[u8]) -> Result<(), Error> {
        let length = (event.len() as u64).to_le_bytes();
        let mut record = Vec::with_capacity(event.len() + 16);
        record.extend(length);
        record.extend(masked(checksum(&length)).to_le_bytes());
        record.extend(event);
        record.extend(masked(checksum(event)).to_le_bytes());
        self.0
            .write_all(&record)
            .map_err(|error| Error::io("write", Path::new("the events for TensorBoard"), error))
    }
}

/// The length of the whole records at the beginning of a file up to the first of a step after `done`.
fn length_until(content: &[u8], done: u64) -> usize {
    let mut kept = 0;
    while let Some((length, rest)) = content[kept..].split_first_chunk::<8>() {
        let length = u64::from_le_bytes(*length) as usize;
        // Behind the length is its checksum, behind the event another.
        let event = length
            .checked_add(4)
            .filter(|end| rest.len() >= end.saturating_add(4))
            .map(|end| &rest[4..end]);
        match event {
            Some(event) if step(event) <= done => kept += event.len() + 16,
            _ => break,
        }
    }
    kept
}

/// The step of an event, which stands behind its time; 0 of one without.
fn step(event: &[u8]) -> u64 {
    let Some((&STEP, digits)) = event.get(9..).and_then(<[u8]>::split_first) else {
        return 0;
    };
    let last = digits.iter().position(|digit| *digit < 0x80);
    let digits = digits.iter().take(last.map_or(0, |last| last + 1));
    digits
        .rev()
        .fold(0, |step, digit| step << 7 | u64::from(digit & 0x7f))
}

/// What comes before the step of an event: its field and wire type.
const STEP: u8 = 0x10;

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// The number and the wire type of a field.
fn key(message: &mut Vec<u8>, field: u64, wire: u64) {
    number(message, field << 3 | wire);
}

fn number(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

fn double(message: &mut Vec<u8>, field: u64, value: f64) {
    key(message, field, 1);
    message.extend(value.to_le_bytes());
}

fn bytes(message: &mut Vec<u8>, field: u64, content: &[u8]) {
    key(message, field, 2);
    number(message, content.len() as u64);
    message.extend(content);
}

/// CRC-32C (Castagnoli), bit by bit: records are short.
fn checksum(content: &[u8]) -> u32 {
    let mut remainder = u32::MAX;
    for byte in content {
        remainder ^= u32::from(*byte);
        for _ in 0..8 {
            let subtract = 0x82f6_3b78 * (remainder & 1);
            remainder = (remainder >> 1) ^ subtract;
        }
    }
    !remainder
}

fn masked(checksum: u32) -> u32 {
    checksum.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4.
        assert_eq!(checksum(&[0; 32]), 0x8a91_36aa);
        assert_eq!(checksum(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_file_is_continued() {
        let folder = tempfile::tempdir().unwrap();
        let content = || fs::read(folder.path().join("events.out.tfevents.cleanslide")).unwrap();
        let open = |done| EventFile::open(folder.path(), done).unwrap();
        open(0).scalar("loss", 1, 0.5).unwrap();
        let first = content();
        open(1).scalar("loss", 300, 0.25).unwrap();
        let both = content();
        assert!(both.starts_with(&first));
        let record = &both[first.len()..];
        let length = u64::from_le_bytes(record[..8].try_into().unwrap()) as usize;
        assert_eq!(record.len(), length + 16);
        let event = &record[12..12 + length];
        // Step 300 as a number of seven bits a byte, and the value at the end.
        assert_eq!(event[9..12], [0x10, 0xac, 0x02]);
        assert!(event.ends_with(&0.25f32.to_le_bytes()));
        assert_eq!(step(event), 300);
    }

    #[test]
    fn what_comes_after_the_step_that_a_training_goes_on_from_is_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.out.tfevents.cleanslide");
        let length = || fs::metadata(&path).unwrap().len();
        let mut events = EventFile::open(folder.path(), 0).unwrap();
        let header = length();
        for step in 1..4 {
            events.scalar("loss", step, 0.5).unwrap();
            events.scalar("validation Dice", step, 0.25).unwrap();
        }
        let a_step = (length() - header) / 3;
        // A process was killed while it wrote.
        events
            .0
            .write_all(&[40, 0, 0, 0, 0, 0, 0, 0, 1, 2])
            .unwrap();
        for (done, steps) in [(3, 3), (2, 2), (2, 2), (0, 0)] {
            EventFile::open(folder.path(), done).unwrap();
            assert_eq!(length(), header + steps * a_step, "{done}");
        }
    }
}
