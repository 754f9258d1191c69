//! EC2's filters: names and values, all names must fit, one value of each suffices, `*` and `?` are wildcards.

use std::collections::BTreeMap;

use aws_types::ec2::Filter;

use super::invalid;
use crate::error::ApiError;

/// What a resource has to say to a filter.
pub struct Subject<'a> {
    /// Values by filter name, for example `vpc-id`.
    pub values: &'a [(&'a str, String)],
    /// Its tags, for `tag-key`, `tag-value` and `tag:<key>`.
    pub tags: &'a BTreeMap<String, String>,
}

/// Whether a resource passes all filters.
///
/// # Errors
/// When a filter's name is not known for this kind of resource.
pub fn passes(filters: Option<&[Filter]>, subject: &Subject<'_>) -> Result<bool, ApiError> {
    for filter in filters.unwrap_or_default() {
        let name = filter.name.as_deref().unwrap_or_default();
        let own: Vec<&str> = if name == "tag-key" {
            subject.tags.keys().map(String::as_str).collect()
        } else if name == "tag-value" {
            subject.tags.values().map(String::as_str).collect()
        } else if let Some(key) = name.strip_prefix("tag:") {
            subject.tags.get(key).map(String::as_str).into_iter().collect()
        } else {
            let known: Vec<&str> = subject
                .values
                .iter()
                .filter(|(known, _)| *known == name)
                .map(|(_, value)| value.as_str())
                .collect();
            if known.is_empty() {
                return Err(invalid(format!("The filter '{name}' is invalid")));
            }
            known
        };
        let wanted = filter.values.as_deref().unwrap_or_default();
        if !wanted
            .iter()
            .any(|pattern| own.iter().any(|value| matches(pattern, value)))
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a value is what a pattern with `*` and `?` means.
pub fn matches(pattern: &str, value: &str) -> bool {
    let mut pattern_chars = pattern.chars();
    match pattern_chars.next() {
        None => value.is_empty(),
        Some('*') => {
            let rest = pattern_chars.as_str();
            value
                .char_indices()
                .map(|(index, _)| &value[index..])
                .chain([""])
                .any(|tail| matches(rest, tail))
        }
        Some(first) => {
            let mut value_chars = value.chars();
            value_chars.next().is_some_and(|letter| {
                (first == '?' || first == letter) && matches(pattern_chars.as_str(), value_chars.as_str())
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_letters() {
        for (pattern, value, fits) in [
            ("a*c", "abbc", true),
            ("a?c", "abbc", false),
            ("*", "", true),
            ("a", "b", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, value), fits, "{pattern} {value}");
        }
    }
}
