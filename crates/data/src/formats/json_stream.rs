//! JSON files of gigabytes: the elements of their long arrays, one after the other.
//!
//! Only brackets and strings are looked at here, so that the elements can be taken apart by
//! several threads, and so that a bad element does not spoil the file. The memory is that of a
//! batch of elements, or of the longest one.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, Visitor};

use crate::error::{Error, Result};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 18;
/// A batch ends after the element that fills it to this many bytes.
const BATCH_BYTES: usize = 1 << 22;

/// Bytes that are looked at together, without branches.
const BLOCK: usize = 32;

/// Some elements of one array.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Index of the array's key among those wanted; `None` for the elements of an array that is
    /// the file itself, or for the whole file if it has none of the keys.
    pub key: Option<usize>,
    text: Vec<u8>,
    places: Vec<(Range<usize>, u64)>,
}

impl Batch {
    /// The text of the elements, each with the line it starts in, counted from 1.
    pub fn elements(&self) -> Vec<(&[u8], u64)> {
        let element = |(range, line): &(Range<usize>, u64)| (&self.text[range.clone()], *line);
        self.places.iter().map(element).collect()
    }

    fn clear(&mut self) {
        self.text.clear();
        self.places.clear();
    }
}

/// Where in the file the reader stands.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Start,
    /// In the root object, before a key; the flag is true for the first.
    Keys(bool),
    /// In an array, before an element; the flag is true for the first.
    Array(Option<usize>, bool),
    End,
}

/// Reads a file in batches.
pub(super) struct Elements<R> {
    path: PathBuf,
    keys: &'static [&'static str],
    reader: R,
    chunk: Vec<u8>,
    at: usize,
    /// Bytes before the chunk.
    passed: u64,
    line: u64,
    state: State,
    /// The members of the root object that are not wanted, as an object.
    rest: Option<Vec<u8>>,
    found: bool,
    /// Room for a batch.
    used: Batch,
}

impl<R: Read> Elements<R> {
    /// Elements of the arrays of these keys of the root object, or of the root array. If `whole`,
    /// a root object without any of the keys is itself an element.
    pub fn new(path: &Path, reader: R, keys: &'static [&'static str], whole: bool) -> Self {
        Self {
            path: path.to_owned(),
            keys,
            reader,
            chunk: Vec::new(),
            at: 0,
            passed: 0,
            line: 1,
            state: State::Start,
            rest: whole.then(Vec::new),
            found: false,
            used: Batch::default(),
        }
    }

    /// Takes back a batch whose elements are done, so that its memory is used again.
    pub fn reuse(&mut self, mut batch: Batch) {
        batch.clear();
        self.used = batch;
    }

    /// The next elements; `None` at the end of the file.
    pub fn batch(&mut self) -> Result<Option<Batch>> {
        loop {
            match self.state {
                State::Start => self.start()?,
                State::Keys(first) => {
                    if let Some(whole) = self.key(first)? {
                        return Ok(Some(whole));
                    }
                }
                State::Array(key, first) => {
                    let batch = self.elements(key, first)?;
                    if !batch.places.is_empty() {
                        return Ok(Some(batch));
                    }
                }
                State::End => {
                    return match self.significant()? {
                        None => Ok(None),
                        Some(_) => Err(self.error("something follows after the end of the JSON")),
                    };
                }
            }
        }
    }

    fn start(&mut self) -> Result<()> {
        self.fill()?;
        if self.chunk.starts_with(b"\xff\xfe") || self.chunk.starts_with(b"\xfe\xff") {
            return Err(Error::file(&self.path, "the text is UTF-16").with_help(
                "Save it as UTF-8 with a text editor, or with `iconv -f UTF-16 -t UTF-8`.",
            ));
        }
        if self.chunk.starts_with(b"\xef\xbb\xbf") {
            self.at = 3;
        }
        self.state = match self.significant()? {
            Some(b'{') => State::Keys(true),
            Some(b'[') => {
                self.found = true;
                State::Array(None, true)
            }
            Some(_) => {
                return Err(self
                    .error("this is not JSON: it starts with neither { nor [")
                    .with_help("Check that it is the file you meant."));
            }
            None => {
                return Err(Error::file(&self.path, "the file is empty")
                    .with_help("It was probably not copied to the end; copy it again."));
            }
        };
        self.at += 1;
        Ok(())
    }

    /// One member of the root object; the whole object, if that is what was asked for.
    fn key(&mut self, first: bool) -> Result<Option<Batch>> {
        let line = self.line;
        if !self.goes_on(b'}', first)? {
            self.state = State::End;
            let whole = self.rest.take().filter(|_| !self.found);
            return Ok(whole.map(|mut text| {
                match text.first_mut() {
                    Some(comma) => *comma = b'{',
                    None => text.push(b'{'),
                }
                text.push(b'}');
                let places = vec![(0..text.len(), line)];
                Batch {
                    key: None,
                    text,
                    places,
                }
            }));
        }
        if self.significant()? != Some(b'"') {
            return Err(self.error("a key in quotes is missing"));
        }
        let mut text = Vec::new();
        self.value(&mut text)?;
        let key: Option<String> = serde_json::from_slice(&text).ok();
        if self.significant()? != Some(b':') {
            return Err(self.error("a colon is missing after a key"));
        }
        self.at += 1;
        let wanted = key.and_then(|key| self.keys.iter().position(|&known| known == key));
        let next = self.significant()?;
        if wanted.is_some() && next == Some(b'[') {
            self.at += 1;
            self.found = true;
            self.state = State::Array(wanted, true);
            return Ok(None);
        }
        self.state = State::Keys(false);
        let mut rest = self.rest.take();
        if let Some(rest) = &mut rest {
            // The first comma is replaced by the opening bracket in the end.
            rest.push(b',');
            rest.append(&mut text);
            rest.push(b':');
        }
        self.value(rest.as_mut().unwrap_or(&mut text))?;
        self.rest = rest;
        Ok(None)
    }

    fn elements(&mut self, key: Option<usize>, mut first: bool) -> Result<Batch> {
        let mut batch = std::mem::take(&mut self.used);
        batch.key = key;
        while batch.text.len() < BATCH_BYTES {
            if !self.goes_on(b']', first)? {
                self.state = if key.is_some() {
                    State::Keys(false)
                } else {
                    State::End
                };
                return Ok(batch);
            }
            first = false;
            self.significant()?;
            let (start, line) = (batch.text.len(), self.line);
            self.value(&mut batch.text)?;
            batch.places.push((start..batch.text.len(), line));
        }
        self.state = State::Array(key, false);
        Ok(batch)
    }

    /// Passes the comma before the next member, or the bracket that closes them.
    fn goes_on(&mut self, close: u8, first: bool) -> Result<bool> {
        match self.significant()? {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            Some(b',') if !first => {
                self.at += 1;
                match self.significant()? {
                    Some(byte) if byte == close => Err(self.error("a comma too many")),
                    _ => Ok(true),
                }
            }
            Some(_) if first => Ok(true),
            Some(_) => Err(self.error("a comma is missing")),
            None => Err(self.cut()),
        }
    }

    /// Appends the text of one value, at whose first byte the reader stands.
    fn value(&mut self, out: &mut Vec<u8>) -> Result<()> {
        match self.significant()? {
            Some(b'{' | b'[' | b'"') => self.enclosed(out),
            Some(b'}' | b']' | b',' | b':') => Err(self.error("a value is missing")),
            Some(_) => self.word(out),
            None => Err(self.cut()),
        }
    }

    /// Appends an object, an array or a string.
    fn enclosed(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let mut nesting = Nesting::default();
        loop {
            let rest = &self.chunk[self.at..];
            let closed = nesting.closed(rest);
            let taken = closed.unwrap_or(rest.len());
            self.line += memchr::memchr_iter(b'\n', &rest[..taken]).count() as u64;
            out.extend_from_slice(&rest[..taken]);
            self.at += taken;
            if closed.is_some() {
                return Ok(());
            }
            if !self.fill()? {
                return Err(self.cut());
            }
        }
    }

    /// Appends a number, `true`, `false` or `null`, or what stands in their place.
    fn word(&mut self, out: &mut Vec<u8>) -> Result<()> {
        const ENDS: &[u8] = b"{}[],:\" \t\r\n";
        loop {
            let rest = &self.chunk[self.at..];
            let end = rest.iter().position(|byte| ENDS.contains(byte));
            let taken = end.unwrap_or(rest.len());
            out.extend_from_slice(&rest[..taken]);
            self.at += taken;
            if end.is_some() || !self.fill()? {
                return Ok(());
            }
        }
    }

    /// The next byte that is not white space, which is not passed.
    fn significant(&mut self) -> Result<Option<u8>> {
        loop {
            while let Some(&byte) = self.chunk.get(self.at) {
                match byte {
                    b'\n' => self.line += 1,
                    b' ' | b'\t' | b'\r' => {}
                    _ => return Ok(Some(byte)),
                }
                self.at += 1;
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Replaces the chunk, which is used up; false at the end of the file.
    fn fill(&mut self) -> Result<bool> {
        self.passed += self.chunk.len() as u64;
        self.chunk.resize(CHUNK, 0);
        self.at = 0;
        let mut filled = 0;
        while filled < CHUNK {
            match self.reader.read(&mut self.chunk[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", &self.path, error)),
            }
        }
        self.chunk.truncate(filled);
        Ok(filled > 0)
    }

    fn error(&self, problem: &str) -> Error {
        let place = format!("line {}, byte {}", self.line, self.passed + self.at as u64);
        Error::format(&self.path, place, problem)
            .with_help("It may be edited by hand or damaged; export it again.")
    }

    fn cut(&self) -> Error {
        self.error("the file ends before its content does (truncated)")
            .with_help("It was probably not copied to the end; copy or export it again.")
    }
}

/// How deep in brackets, and whether in a string, the text is that was looked at so far.
#[derive(Default)]
struct Nesting {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Nesting {
    /// Goes on with a text up to where all brackets and the string are closed, and says where that is.
    fn closed(&mut self, text: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            if self.in_string {
                at += self.string(&text[at..])?;
                if self.depth == 0 {
                    return Some(at);
                }
            }
            at += self.blocks(&text[at..]);
            let block = &text[at..text.len().min(at + BLOCK)];
            if block.is_empty() {
                return None;
            }
            for &byte in block {
                at += 1;
                match byte {
                    b'"' => {
                        self.in_string = true;
                        break;
                    }
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => {
                        self.depth = self.depth.saturating_sub(1);
                        if self.depth == 0 {
                            return Some(at);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// The length of the rest of a string with its quote; `None` if it goes on after the text.
    fn string(&mut self, text: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            if self.escaped {
                text.get(at)?;
                self.escaped = false;
                at += 1;
            }
            at += memchr::memchr2(b'"', b'\\', &text[at..])? + 1;
            if text[at - 1] == b'"' {
                self.in_string = false;
                return Some(at);
            }
            self.escaped = true;
        }
    }

    /// The length of the blocks, outside of strings, that have no quotes and do not close everything:
    /// such are lists of numbers, the bulk of large files.
    fn blocks(&mut self, text: &[u8]) -> usize {
        let blocks = text.as_chunks::<BLOCK>().0;
        for (index, block) in blocks.iter().enumerate() {
            let (mut quotes, mut opened, mut closed) = (0_u8, 0_u8, 0_u8);
            for &byte in block {
                quotes += u8::from(byte == b'"');
                // Both kinds of brackets: they differ in this bit alone.
                opened += u8::from(byte | 0x20 == b'{');
                closed += u8::from(byte | 0x20 == b'}');
            }
            if quotes > 0 || usize::from(closed) >= self.depth {
                return index * BLOCK;
            }
            self.depth = self.depth + usize::from(opened) - usize::from(closed);
        }
        blocks.len() * BLOCK
    }
}

/// What is wrong with an element, without the place in it, which would be mistaken for one in the
/// file.
pub(super) fn problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// A text that is not copied if it has no escapes (serde copies every `Cow` in an `Option` or key).
pub(super) struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Any)
    }
}
