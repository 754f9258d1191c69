//! The log file of a container, in the form that kubelets read.
//!
//! Each line is `<RFC 3339 time with nanoseconds> <stdout|stderr> <F|P> <text>`: F for a whole line, P for a part of one that is longer than
//! 16 KiB or that the container left unfinished when it ended.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Most bytes of a line's text; a longer line is split (containerd's limit).
const MOST_LINE_BYTES: usize = 16 * 1024;

/// Turns what a stream yields into lines.
pub struct LineCutter {
    stream: &'static str,
    unfinished: Vec<u8>,
}

impl LineCutter {
    /// For `stdout` or `stderr`.
    pub fn new(stream: &'static str) -> Self {
        Self {
            stream,
            unfinished: Vec::new(),
        }
    }

    /// Appends to `log` the lines that `bytes` complete, all with the time `now`.
    pub fn cut(&mut self, bytes: &[u8], now: &str, log: &mut Vec<u8>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.unfinished.extend_from_slice(piece);
            let whole = self.unfinished.last() == Some(&b'\n');
            if whole {
                self.unfinished.pop();
            }
            let line = std::mem::take(&mut self.unfinished);
            let mut rest = line.as_slice();
            while rest.len() > MOST_LINE_BYTES {
                let (part, later) = rest.split_at(MOST_LINE_BYTES);
                self.append(part, "P", now, log);
                rest = later;
            }
            if whole {
                self.append(rest, "F", now, log);
            } else {
                self.unfinished = rest.to_vec();
            }
        }
    }

    /// Appends what is left at the end of the stream.
    pub fn finish(&mut self, now: &str, log: &mut Vec<u8>) {
        let rest = std::mem::take(&mut self.unfinished);
        if !rest.is_empty() {
            self.append(&rest, "P", now, log);
        }
    }

    fn append(&self, text: &[u8], tag: &str, now: &str, log: &mut Vec<u8>) {
        for part in [
            now.as_bytes(),
            b" ",
            self.stream.as_bytes(),
            b" ",
            tag.as_bytes(),
            b" ",
            text,
            b"\n",
        ] {
            log.extend_from_slice(part);
        }
    }
}

/// An open log file, or none when the container's output is not kept.
pub struct Log(Option<File>);

impl Log {
    /// Opens or makes the file; an empty path keeps nothing.
    pub fn open(path: &str) -> io::Result<Self> {
        if path.is_empty() {
            return Ok(Self(None));
        }
        if let Some(directory) = Path::new(path).parent() {
            std::fs::create_dir_all(directory)?;
        }
        Ok(Self(Some(OpenOptions::new().create(true).append(true).open(path)?)))
    }

    /// Writes whole lines in one call, so that a reader never sees half of one.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            Some(file) if !lines.is_empty() => file.write_all(lines),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
