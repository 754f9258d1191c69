//! What a component says of what it does, as Kubernetes' components log: a message, and keys with values after it.
//!
//! Whoever keeps the log adds the time. Where nobody wants lines, none is worded.

use std::fmt::{self, Display, Write};
use std::sync::Arc;

/// How bad what a line tells is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The ordinary course.
    Info,
    /// Something went wrong.
    Error,
}

impl Severity {
    /// The letter that a line begins with.
    pub fn letter(self) -> char {
        match self {
            Self::Info => 'I',
            Self::Error => 'E',
        }
    }
}

/// Keeps a component's log.
pub trait LogKeeper: Send + Sync {
    /// Whether anybody wants lines now.
    fn is_wanted(&self) -> bool;
    /// Takes a line: where upstream's code says such a thing, and the text.
    fn write(&self, severity: Severity, place: &str, text: String);
}

/// The log of a component, which may have no keeper. Cheap to clone.
#[derive(Clone, Default)]
pub struct ComponentLog(Option<Arc<dyn LogKeeper>>);

impl ComponentLog {
    /// One that is kept.
    pub fn kept_by(keeper: Arc<dyn LogKeeper>) -> Self {
        Self(Some(keeper))
    }

    /// Says something of the ordinary course.
    pub fn info(&self, place: &str, line: impl FnOnce() -> LogLine) {
        self.say(Severity::Info, place, line);
    }

    /// Says that something went wrong.
    pub fn error(&self, place: &str, line: impl FnOnce() -> LogLine) {
        self.say(Severity::Error, place, line);
    }

    fn say(&self, severity: Severity, place: &str, line: impl FnOnce() -> LogLine) {
        if let Some(keeper) = self.0.as_ref().filter(|keeper| keeper.is_wanted()) {
            keeper.write(severity, place, line().0);
        }
    }
}

/// The text of a line: `"Too few replicas" replicaSet="default/web" need=3 creating=3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine(String);

impl LogLine {
    /// A line with that message.
    pub fn new(message: &str) -> Self {
        Self(quoted(message))
    }

    /// Adds a key with a text.
    #[must_use]
    pub fn with(self, key: &str, value: impl Display) -> Self {
        let value = quoted(&value.to_string());
        self.with_bare(key, value)
    }

    /// Adds a key with a number.
    #[must_use]
    pub fn with_number(self, key: &str, value: usize) -> Self {
        self.with_bare(key, value)
    }

    fn with_bare(mut self, key: &str, value: impl Display) -> Self {
        // Writing to a string cannot fail.
        if write!(self.0, " {key}={value}").is_err() {
            return self;
        }
        self
    }
}

impl Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As Go quotes: what cannot be printed is escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            other if other.is_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(other))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Kept {
        is_wanted: bool,
        lines: Mutex<Vec<String>>,
    }

    impl LogKeeper for Kept {
        fn is_wanted(&self) -> bool {
            self.is_wanted
        }

        fn write(&self, severity: Severity, place: &str, text: String) {
            let line = format!("{} {place}] {text}", severity.letter());
            self.lines.lock().unwrap().push(line);
        }
    }

    #[test]
    fn lines_are_worded_when_somebody_wants_them_and_quoted_as_go_does() {
        let kept = Arc::new(Kept {
            is_wanted: true,
            ..Kept::default()
        });
        ComponentLog::kept_by(kept.clone()).error("a.go:1", || {
            LogLine::new("it failed")
                .with("err", "no \"b\"\nhere")
                .with_number("left", 2)
        });
        let lines = kept.lines.lock().unwrap();
        assert_eq!(*lines, [r#"E a.go:1] "it failed" err="no \"b\"\nhere" left=2"#]);
        let worded = || -> LogLine { panic!("nobody wants it") };
        ComponentLog::kept_by(Arc::new(Kept::default())).info("a.go:1", worded);
        ComponentLog::default().info("a.go:1", worded);
    }
}
