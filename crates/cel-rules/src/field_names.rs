//! The names by which expressions read fields of JSON.
//!
//! Source: `Escape` in `apiserver/pkg/cel/escaping.go`.

use crate::parse::RESERVED;

/// Words that are no names in any place.
const LITERALS: &[&str] = &["true", "false", "null", "in"];

/// The name by which expressions read a field; `None` when they cannot.
pub fn field_name(json: &str) -> Option<String> {
    if RESERVED.contains(&json) || LITERALS.contains(&json) {
        return Some(format!("__{json}__"));
    }
    let sound = json.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && json.chars().all(|c| c.is_ascii_alphanumeric() || "_.-/".contains(c));
    sound.then(|| {
        json.replace("__", "__underscores__")
            .replace('.', "__dot__")
            .replace('-', "__dash__")
            .replace('/', "__slash__")
    })
}
