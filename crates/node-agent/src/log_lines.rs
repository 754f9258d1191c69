//! One line of a CRI log file: time, stream, whether it is partial, and what was written.

/// A parsed line, borrowed from the file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// RFC 3339 with nanoseconds.
    pub(crate) time: &'a str,
    /// Standard error rather than output.
    pub(crate) stderr: bool,
    /// The program's line goes on in the next one.
    pub(crate) partial: bool,
    /// Without the line's end.
    pub(crate) text: &'a [u8],
}

impl Line<'_> {
    /// What the program wrote, its newline included unless the line is partial.
    pub(crate) fn content(&self) -> Vec<u8> {
        let mut bytes = self.text.to_vec();
        if !self.partial {
            bytes.push(b'\n');
        }
        bytes
    }
}

/// Parses a whole line (with or without its newline); `None` if it is not in CRI's format.
pub(crate) fn parse(line: &[u8]) -> Option<Line<'_>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let time = std::str::from_utf8(parts.next()?).ok()?;
    let stderr = match parts.next()? {
        b"stdout" => false,
        b"stderr" => true,
        _ => return None,
    };
    // Tags are separated by colons; only the first has a meaning so far.
    let partial = parts.next()?.split(|byte| *byte == b':').next()? == b"P";
    Some(Line {
        time,
        stderr,
        partial,
        text: parts.next().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_parsed() {
        let line = parse(b"2026-11-23T04:00:00.000000001Z stdout F hello world\n").unwrap();
        assert_eq!(
            (line.stderr, line.partial, line.text),
            (false, false, &b"hello world"[..])
        );
        assert_eq!(parse(b"t stderr P half").unwrap().content(), b"half");
        assert_eq!(parse(b"t stdout F \n").unwrap().content(), b"\n");
        assert_eq!(parse(b"t stdout F\n").unwrap().content(), b"\n");
        assert_eq!(parse(b"garbage\n"), None);
    }
}
