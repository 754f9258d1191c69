//! Wildcards and policy variables.

use super::Facts;

/// Whether a text fits a pattern in which `*` stands for any letters and `?` for one.
#[must_use]
pub fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at + 1, seen));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == text[seen] => {
                at += 1;
                seen += 1;
            }
            // The last star takes one letter more.
            _ => match star {
                Some((after, taken)) => {
                    at = after;
                    seen = taken + 1;
                    star = Some((after, taken + 1));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

/// The same, whatever the case.
pub(super) fn like_ignoring_case(pattern: &str, text: &str) -> bool {
    like(&pattern.to_lowercase(), &text.to_lowercase())
}

/// Whether an ARN fits a pattern part by part, so that a wildcard does not reach over a colon of the first five parts.
pub(super) fn like_arn(pattern: &str, arn: &str) -> bool {
    let (patterns, parts): (Vec<&str>, Vec<&str>) = (pattern.splitn(6, ':').collect(), arn.splitn(6, ':').collect());
    patterns.len() == parts.len() && patterns.iter().zip(&parts).all(|(pattern, part)| like(pattern, part))
}

/// A pattern with its `${…}` variables filled in; one that has no value stays as it is, and so fits nothing.
pub(super) fn filled(pattern: &str, facts: &Facts) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(begin) = rest.find("${") {
        out.push_str(&rest[..begin]);
        let Some(length) = rest[begin..].find('}') else { break };
        let whole = &rest[begin..=begin + length];
        let inner = &whole[2..whole.len() - 1];
        let (name, default) = match inner.split_once(',') {
            Some((name, default)) => (name.trim(), Some(default.trim().trim_matches('\''))),
            None => (inner.trim(), None),
        };
        match name {
            "*" | "?" | "$" => out.push_str(name),
            _ => match facts.get(&name.to_lowercase()).and_then(|values| values.first()) {
                Some(value) => out.push_str(value),
                None => out.push_str(default.unwrap_or(whole)),
            },
        }
        rest = &rest[begin + length + 1..];
    }
    out + rest
}
