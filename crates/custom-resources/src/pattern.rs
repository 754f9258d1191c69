//! Regular expressions as Go writes them, matched by Rust's engine: both are RE2's language but for some letters.

use regex::Regex;

/// An expression and its text.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Box<str>,
    compiled: Option<Regex>,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// Why it is none.
    pub fn new(text: &str) -> Result<Self, String> {
        let compiled = Regex::new(&translate(text)).map_err(|error| error.to_string())?;
        Ok(Self {
            text: text.into(),
            compiled: Some(compiled),
        })
    }

    /// Compiles an expression; what is none matches everything, as it was refused before.
    pub fn lenient(text: &str) -> Self {
        Self::new(text).unwrap_or_else(|_refused_before| Self {
            text: text.into(),
            compiled: None,
        })
    }

    /// The expression.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a text has a match in it.
    pub fn matches(&self, text: &str) -> bool {
        self.compiled.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

/// Go's `\d`, `\w`, `\s` and `\b` are about ASCII, a brace that repeats nothing stands for itself, and in a class `[`,
/// `&&`, `--` and `~~` mean nothing particular.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern.chars().peekable();
    let mut class: Option<usize> = None;
    let mut previous = '\0';
    while let Some(letter) = rest.next() {
        match (class, letter) {
            (_, '\\') => {
                let escaped = rest.next().unwrap_or('\\');
                push_escape(&mut out, escaped, class.is_some());
                class = class.map(|length| length + 1);
                previous = '\0';
                continue;
            }
            (None, '[') => {
                class = Some(0);
                out.push('[');
                if rest.peek() == Some(&'^') {
                    rest.next();
                    out.push('^');
                }
            }
            (None, '{') if !repeats(rest.clone()) => out.push_str("\\{"),
            (Some(0), ']') => {
                out.push_str("\\]");
                class = Some(1);
            }
            (Some(_), ']') => {
                out.push(']');
                class = None;
            }
            (Some(length), '[') if rest.peek() == Some(&':') => {
                out.push('[');
                for inner in rest.by_ref() {
                    out.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
                class = Some(length + 1);
            }
            (Some(length), '[') => {
                out.push_str("\\[");
                class = Some(length + 1);
            }
            (Some(length), '&' | '~' | '-') if previous == letter => {
                out.push('\\');
                out.push(letter);
                class = Some(length + 1);
            }
            (Some(length), other) => {
                out.push(other);
                class = Some(length + 1);
            }
            (None, other) => out.push(other),
        }
        previous = letter;
    }
    out
}

fn push_escape(out: &mut String, escaped: char, in_class: bool) {
    let ascii = match escaped {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => "\\t\\n\\f\\r ",
        'D' => "^0-9",
        'W' => "^0-9A-Za-z_",
        'S' => "^\\t\\n\\f\\r ",
        'b' if !in_class => return out.push_str("(?-u:\\b)"),
        other => {
            out.push('\\');
            return out.push(other);
        }
    };
    if in_class && !ascii.starts_with('^') {
        out.push_str(ascii);
    } else {
        out.push('[');
        out.push_str(ascii);
        out.push(']');
    }
}

/// Whether `n}`, `n,}` or `n,m}` follows.
fn repeats(mut rest: impl Iterator<Item = char>) -> bool {
    let mut digits = 0;
    let mut commas = 0;
    loop {
        match rest.next() {
            Some(digit) if digit.is_ascii_digit() => digits += 1,
            Some(',') if digits > 0 && commas == 0 => commas = 1,
            Some('}') => return digits > 0,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_go_mean_the_same() {
        for (pattern, text, matches) in [
            (r"^[A-Za-z0-9!#$%&'*+/=?^_{|}~[\]-]+$", "a[b]-c", true),
            (r"^{{.*}}$", "{{ x }}", true),
            (r"^a{2,3}$", "aaa", true),
            (r"^\d+$", "١٢", false),
            (r"^[\w.]+$", "a_b.c", true),
            (r"^[[:alpha:]]+$", "abc", true),
            (r"^[+--]+$", "+,-", true),
            (r"^([a-zA-Z]{1}[a-zA-Z0-9]*)/([0-9]+)$", "a1/2", true),
            (r"^[^\s]+$", "a b", false),
            (r"^[]a]+$", "]a", true),
        ] {
            let compiled = Pattern::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(compiled.matches(text), matches, "{pattern} on {text}");
        }
        assert!(Pattern::new("(").is_err());
    }
}
