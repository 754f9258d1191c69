//! `$(VAR)` references in commands, arguments, values and sub-paths.

/// Replaces `$(NAME)` by `lookup(NAME)`; a reference to nothing stays as it is, `$$` stands for one `$`.
pub fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        match rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            Some((name, after)) => {
                out.push_str(&lookup(name).unwrap_or_else(|| format!("$({name})")));
                rest = after;
            }
            None => out.push('$'),
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_expanded_as_upstream() {
        let lookup = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (text, expected) in [
            ("$(A)-$(B)", "a-$(B)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$a"),
            ("$(EMPTY)x", "x"),
            ("$A $( $(A", "$A $( $(A"),
            ("50$", "50$"),
            ("$$$$", "$$"),
            ("é$(A)", "éa"),
        ] {
            assert_eq!(expand(text, &lookup), expected, "{text}");
        }
    }
}
