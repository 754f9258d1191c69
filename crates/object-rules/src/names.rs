//! What may be a name, a label, a key, a port: `apimachinery/pkg/util/validation` with its messages.

#[cfg(test)]
mod tests;

/// Why a text is not allowed; empty = it is.
pub type Problems = Vec<String>;

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const DNS1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} bytes")
}

fn lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = bytes.first().copied().is_some_and(lower) && bytes.last().copied().is_some_and(lower);
    ends && bytes.iter().all(|b| lower(*b) || *b == b'-')
}

fn is_qualified(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alphanumeric = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    alphanumeric(bytes.first())
        && alphanumeric(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn collect(limit: usize, text: &str, sound: bool, message: &str) -> Problems {
    let mut problems = Problems::new();
    if text.len() > limit {
        problems.push(too_long(limit));
    }
    if !sound {
        problems.push(message.to_owned());
    }
    problems
}

/// A DNS label: names of namespaces, containers, volumes.
pub fn dns_label(text: &str) -> Problems {
    collect(63, text, is_label(text), LABEL)
}

/// Labels joined by dots: names of most objects.
pub fn dns_subdomain(text: &str) -> Problems {
    collect(253, text, text.split('.').all(is_label), SUBDOMAIN)
}

/// A label that begins with a letter: names of services.
pub fn dns1035_label(text: &str) -> Problems {
    let sound = is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase());
    collect(63, text, sound, DNS1035)
}

/// An optional DNS prefix, a slash and a name: keys of labels, annotations, finalizers.
pub fn qualified_name(text: &str) -> Problems {
    let mut problems = Problems::new();
    let name = match text.split_once('/') {
        Some((_, rest)) if rest.contains('/') => {
            problems.push(
                "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
                    .to_owned(),
            );
            return problems;
        }
        Some(("", _)) => {
            problems.push("prefix part must be non-empty".to_owned());
            return problems;
        }
        Some((prefix, name)) => {
            problems.extend(
                dns_subdomain(prefix)
                    .into_iter()
                    .map(|problem| format!("prefix part {problem}")),
            );
            name
        }
        None => text,
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        problems.push(format!("name part {}", too_long(63)));
    }
    if !is_qualified(name) {
        problems.push(QUALIFIED.to_owned());
    }
    problems
}

/// The value of a label.
pub fn label_value(text: &str) -> Problems {
    collect(63, text, text.is_empty() || is_qualified(text), LABEL_VALUE)
}

/// A name that is one segment of a path: names of roles.
pub fn path_segment(text: &str, prefix: bool) -> Problems {
    if !prefix && (text == "." || text == "..") {
        return vec![format!("may not be '{text}'")];
    }
    ["/", "%"]
        .iter()
        .filter(|part| text.contains(**part))
        .map(|part| format!("may not contain '{part}'"))
        .collect()
}

/// A key of a ConfigMap or Secret.
pub fn config_key(text: &str) -> Problems {
    let sound = !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let mut problems = collect(253, text, sound, CONFIG_KEY);
    match text {
        "." => problems.push("must not be '.'".to_owned()),
        ".." => problems.push("must not be '..'".to_owned()),
        _ if text.starts_with("..") => problems.push("must not start with '..'".to_owned()),
        _ => {}
    }
    problems
}

/// The name of an environment variable.
pub fn environment_name(text: &str) -> Problems {
    let sound = !text.is_empty() && text.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=');
    if sound {
        return Problems::new();
    }
    vec!["a valid environment variable name must consist only of printable ASCII characters other than '='".to_owned()]
}

/// The name of a port (`IANA_SVC_NAME`).
pub fn port_name(text: &str) -> Problems {
    let mut problems = Problems::new();
    if text.len() > 15 {
        problems.push("must be no more than 15 bytes".to_owned());
    }
    if !text.bytes().all(|b| lower(b) || b == b'-') {
        problems.push("must contain only alphanumeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !text.bytes().any(|b| b.is_ascii_lowercase()) {
        problems.push("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        problems.push("must not contain consecutive hyphens".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        problems.push("must not begin or end with a hyphen".to_owned());
    }
    problems
}

/// A port number.
pub fn port_number(port: i64) -> Problems {
    if (1..=65535).contains(&port) {
        Problems::new()
    } else {
        vec!["must be between 1 and 65535, inclusive".to_owned()]
    }
}

/// An IP address of either family.
pub fn ip_address(text: &str) -> Problems {
    match text.parse::<std::net::IpAddr>() {
        Ok(_) => Problems::new(),
        Err(_not_an_address) => {
            vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()]
        }
    }
}

/// A rule for whole names as a rule that takes prefixes too: a trailing dash may stand before what is generated.
pub fn with_prefix(rule: fn(&str) -> Problems, text: &str, prefix: bool) -> Problems {
    match text.strip_suffix('-') {
        Some(rest) if prefix => rule(&format!("{rest}a")),
        _ => rule(text),
    }
}
