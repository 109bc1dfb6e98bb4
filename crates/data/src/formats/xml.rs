//! XML as a stream of elements with line numbers, for the formats that are XML.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::annotation::{shortened, text};
use crate::error::{Error, Result};

/// No format nests deeper than a few elements.
const DEEPEST: usize = 32;

/// A piece of a file.
pub(super) enum Node<'a> {
    /// The start of an element.
    Open(Element<'a>),
    /// The end of the element of this name, which is open no more.
    Close(String),
    /// Text between elements, perhaps one of several pieces.
    Text(String),
}

/// The start of an element.
pub(super) struct Element<'a> {
    start: BytesStart<'a>,
    /// Line in the file, counted from 1.
    pub line: u64,
}

/// A file of XML, read from its start to its end.
pub(super) struct Xml<'a> {
    path: &'a Path,
    text: &'a str,
    reader: Reader<&'a [u8]>,
    /// Names of the elements that are open, the root first.
    open: Vec<String>,
    line: u64,
    counted: usize,
}

impl<'a> Xml<'a> {
    /// Checks the encoding and the name of the root element.
    pub fn new(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let text = text(path, bytes)?;
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        Ok(Self {
            path,
            text,
            reader,
            open: Vec::new(),
            line: 1,
            counted: 0,
        })
    }

    /// The names of the open elements below the root.
    pub fn place(&self) -> Vec<&str> {
        self.open.iter().skip(1).map(String::as_str).collect()
    }

    /// The line that was read last.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// An error at the line that was read last.
    pub fn error(&self, problem: impl Into<String>) -> Error {
        Error::format(self.path, format!("line {}", self.line), problem)
    }

    /// The next piece; `None` at the end of the file.
    pub fn advance(&mut self) -> Result<Option<Node<'a>>> {
        loop {
            let before = self.reader.buffer_position();
            let event = self.reader.read_event();
            self.count_lines(before);
            let event = event.map_err(|error| {
                self.count_lines(self.reader.error_position());
                self.error(format!("this is not well-formed XML: {error}"))
                    .with_help("It may be cut off or edited by hand; export it again.")
            })?;
            match event {
                Event::Start(start) => {
                    let name = start.local_name().into_inner().to_owned();
                    self.open.push(name);
                    if self.open.len() > DEEPEST {
                        return Err(self.error("the elements are nested too deeply"));
                    }
                    let line = self.line;
                    return Ok(Some(Node::Open(Element { start, line })));
                }
                Event::End(_) => {
                    let name = self.open.pop().unwrap_or_default();
                    return Ok(Some(Node::Close(name)));
                }
                Event::Text(text) => {
                    return Ok(Some(Node::Text(text.xml10_content().into_owned())));
                }
                Event::CData(text) => {
                    return Ok(Some(Node::Text(text.xml10_content().into_owned())));
                }
                Event::GeneralRef(reference) => {
                    let text = format!("&{};", reference.xml10_content());
                    return match quick_xml::escape::unescape(&text) {
                        Ok(text) => Ok(Some(Node::Text(text.into_owned()))),
                        Err(error) => Err(self.error(error.to_string())),
                    };
                }
                Event::Eof if self.open.is_empty() => return Ok(None),
                Event::Eof => {
                    let open = self.open.last().map_or("", String::as_str);
                    return Err(self
                        .error(format!("the file ends within `{}`", shortened(open)))
                        .with_help("It is cut off; copy or export it again."));
                }
                Event::Empty(_)
                | Event::Comment(_)
                | Event::Decl(_)
                | Event::PI(_)
                | Event::DocType(_) => {}
            }
        }
    }

    /// Opens the root, which must have this name.
    pub fn root(&mut self, name: &str, format: &str) -> Result<Element<'a>> {
        while let Some(node) = self.advance()? {
            if let Node::Open(root) = node {
                if root.name() == name {
                    return Ok(root);
                }
                return Err(self
                    .error(format!(
                        "the file starts with `{}`, not with `{name}`",
                        shortened(root.name())
                    ))
                    .with_help(format!("It is not a file of {format}.")));
            }
        }
        Err(Error::file(
            self.path,
            format!("there is no element `{name}`: this is not a file of {format}"),
        ))
    }

    /// An attribute of an element.
    pub fn attribute(&self, element: &Element<'_>, name: &str) -> Result<Option<String>> {
        let at = |problem: String| {
            Error::format(self.path, format!("line {}", element.line), problem)
                .with_help("It may be edited by hand; export it again.")
        };
        let found = element.start.try_get_attribute(name);
        let found = found.map_err(|error| at(error.to_string()))?;
        found
            .map(|found| found.normalized_value(XmlVersion::Explicit1_0))
            .transpose()
            .map(|value| value.map(|value| value.into_owned()))
            .map_err(|error| at(error.to_string()))
    }

    fn count_lines(&mut self, from: u64) {
        // The position is that of the text without its byte order mark.
        let start = usize::try_from(from)
            .unwrap_or(usize::MAX)
            .max(self.counted);
        let bytes = self.text.as_bytes();
        let start = start.min(bytes.len());
        if start > self.counted {
            self.line += memchr::memchr_iter(b'\n', &bytes[self.counted..start]).count() as u64;
            self.counted = start;
        }
    }
}

impl Element<'_> {
    /// Its name, without a prefix.
    pub fn name(&self) -> &str {
        self.start.local_name().into_inner()
    }
}

/// Text for XML. What XML cannot hold (control characters) becomes U+FFFD; line ends and tabs
/// are written as references, which readers do not touch.
pub(super) struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\n' | '\r' | '\t' => write!(f, "&#{};", character as u32)?,
                '\0'..' ' | '\u{fffe}' | '\u{ffff}' => f.write_str("\u{fffd}")?,
                _ => write!(f, "{character}")?,
            }
        }
        Ok(())
    }
}

/// A failure of what a writer was given, as what writers return.
pub(super) fn refused(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}

/// The first line of a file.
pub(super) fn write_declaration(writer: &mut impl Write) -> io::Result<()> {
    writeln!(writer, r#"<?xml version="1.0" encoding="UTF-8"?>"#)
}
