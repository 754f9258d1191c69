//! Errors that name a field, worded as upstream's `apimachinery/pkg/util/validation/field`.

use std::fmt;

use kube_types::dynamic::Value;

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It must be given.
    Required,
    /// Its value breaks a rule.
    Invalid,
    /// Its value is of another type.
    TypeInvalid,
    /// Its value occurs twice.
    Duplicate,
    /// It must not be given, or not be changed.
    Forbidden,
    /// Its value is not among those that exist.
    NotSupported,
    /// It is too long.
    TooLong,
    /// It has too many items.
    TooMany,
    /// What it refers to does not exist.
    NotFound,
}

impl Kind {
    /// Reason of the cause in a `Status`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::NotSupported => "FieldValueNotSupported",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::NotFound => "FieldValueNotFound",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::Duplicate => "Duplicate value",
            Self::Forbidden => "Forbidden",
            Self::NotSupported => "Unsupported value",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::NotFound => "Not found",
        }
    }
}

/// One thing wrong with one field.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// What is wrong.
    pub kind: Kind,
    /// Dotted path of the field, as `spec.containers[0].name`.
    pub field: String,
    /// The offending value, where it is worth showing.
    pub value: Option<Value>,
    /// The rule that is broken.
    pub detail: String,
}

impl Error {
    /// The error without the field's name.
    pub fn body(&self) -> String {
        let mut text = self.kind.text().to_owned();
        let shown = !matches!(self.kind, Kind::Required | Kind::Forbidden | Kind::TooLong);
        if let Some(value) = self.value.as_ref().filter(|_| shown) {
            text.push_str(": ");
            match value {
                Value::Null => text.push_str("\"null\""),
                value => text.push_str(&value.to_string()),
            }
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}",
            if self.field.is_empty() { "<nil>" } else { &self.field },
            self.body()
        )
    }
}

/// All that is wrong with an object, in the order it was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Errors(Vec<Error>);

impl Errors {
    /// Nothing wrong yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// True while nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The errors found.
    pub fn iter(&self) -> std::slice::Iter<'_, Error> {
        self.0.iter()
    }

    /// Adds an error of any kind.
    pub fn push(&mut self, kind: Kind, field: impl Into<String>, value: Option<Value>, detail: impl Into<String>) {
        self.0.push(Error {
            kind,
            field: field.into(),
            value,
            detail: detail.into(),
        });
    }

    /// The field must be given.
    pub fn required(&mut self, field: impl Into<String>, detail: impl Into<String>) {
        self.push(Kind::Required, field, None, detail);
    }

    /// The value breaks a rule.
    pub fn invalid(&mut self, field: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) {
        self.push(Kind::Invalid, field, Some(value.into()), detail);
    }

    /// The field must not be given or changed.
    pub fn forbidden(&mut self, field: impl Into<String>, detail: impl Into<String>) {
        self.push(Kind::Forbidden, field, None, detail);
    }

    /// The value occurs twice.
    pub fn duplicate(&mut self, field: impl Into<String>, value: impl Into<Value>) {
        self.push(Kind::Duplicate, field, Some(value.into()), "");
    }

    /// The value is none of those that exist.
    pub fn not_supported(&mut self, field: impl Into<String>, value: impl Into<Value>, supported: &[&str]) {
        let list: Vec<String> = supported.iter().map(|value| format!("\"{value}\"")).collect();
        let detail = if list.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", list.join(", "))
        };
        self.push(Kind::NotSupported, field, Some(value.into()), detail);
    }

    /// The value is longer than `limit` bytes.
    pub fn too_long(&mut self, field: impl Into<String>, limit: usize) {
        self.push(
            Kind::TooLong,
            field,
            None,
            format!("may not be more than {limit} bytes"),
        );
    }

    /// There are more than `limit` items.
    pub fn too_many(&mut self, field: impl Into<String>, actual: usize, limit: usize) {
        let detail = format!("must have at most {limit} items");
        self.push(Kind::TooMany, field, Some(actual.into()), detail);
    }
}

impl IntoIterator for Errors {
    type Item = Error;
    type IntoIter = std::vec::IntoIter<Error>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Extend<Error> for Errors {
    fn extend<I: IntoIterator<Item = Error>>(&mut self, errors: I) {
        self.0.extend(errors);
    }
}
