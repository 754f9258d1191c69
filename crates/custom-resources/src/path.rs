//! Where in an object a value is, written down only when it must be named.

use std::fmt;

/// A path: steps linked back to the root.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    before: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    /// Where the path begins; possibly a text that stands before everything.
    Root(&'a str),
    Field(&'a str),
    /// A key in brackets.
    Key(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    /// The beginning; the text is empty for the object itself.
    pub const fn root(text: &'a str) -> Self {
        Self {
            before: None,
            step: Step::Root(text),
        }
    }

    /// A field below.
    pub const fn field(&'a self, name: &'a str) -> Self {
        Self {
            before: Some(self),
            step: Step::Field(name),
        }
    }

    /// A key below, as `[name]`.
    pub const fn key(&'a self, name: &'a str) -> Self {
        Self {
            before: Some(self),
            step: Step::Key(name),
        }
    }

    /// An item below.
    pub const fn index(&'a self, index: usize) -> Self {
        Self {
            before: Some(self),
            step: Step::Index(index),
        }
    }

    /// Whether this is the object itself.
    pub fn is_root(&self) -> bool {
        matches!(self.step, Step::Root(""))
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(before) = self.before {
            write!(f, "{before}")?;
        }
        match self.step {
            Step::Root(text) => f.write_str(text),
            Step::Field(name) if self.before.is_none_or(Path::is_root) => f.write_str(name),
            Step::Field(name) => write!(f, ".{name}"),
            Step::Key(name) => write!(f, "[{name}]"),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}
