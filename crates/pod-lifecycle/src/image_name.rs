//! Whether an image's name is one, by the grammar of `distribution/reference`, which kubelets ask before they ask the runtime.

/// Most characters of a repository's name, its registry included.
const LONGEST_NAME: usize = 255;

/// Most characters of a tag.
const LONGEST_TAG: usize = 128;

/// Fewest hexadecimal digits of a digest.
const SHORTEST_DIGEST: usize = 32;

const INVALID: &str = "invalid reference format";

/// Checks a name as containers give it, with or without registry, tag and digest.
///
/// # Errors
/// Upstream's words for what is wrong with it.
pub fn check(image: &str) -> Result<(), &'static str> {
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    if !digest.is_none_or(is_digest) {
        return Err(INVALID);
    }
    // A colon before the last slash belongs to the registry's port.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if !tag.is_none_or(is_tag) {
        return Err(INVALID);
    }
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" || has_upper_case(first) => {
            (Some(first), path)
        }
        _ => (None, name),
    };
    if has_upper_case(path) {
        return Err("repository name must be lowercase");
    }
    if !registry.is_none_or(is_registry) || !path.split('/').all(is_component) {
        return Err(INVALID);
    }
    if name.len() > LONGEST_NAME {
        return Err("repository name must not be more than 255 characters");
    }
    Ok(())
}

fn has_upper_case(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Letters and digits, with one dot, one or two underscores or any number of dashes between them.
fn is_component(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    let mut separators = text.split(|character: char| character.is_ascii() && is_word(character as u8));
    ends.into_iter().all(|end| end.is_some_and(|byte| is_word(*byte)))
        && separators
            .all(|between| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-'))
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_address = host.starts_with('[')
        && host.ends_with(']')
        && host
            .trim_matches(['[', ']'])
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b':');
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    (is_address || host.split('.').all(is_label)) && port.is_none_or(is_port)
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let rest = |byte: u8| is_word(byte) || byte == b'.' || byte == b'-';
    text.len() <= LONGEST_TAG && text.bytes().next().is_some_and(is_word) && text.bytes().all(rest)
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else {
        return false;
    };
    algorithm.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && algorithm
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-' | b'_'))
        && hex.len() >= SHORTEST_DIGEST
        && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_what_is_none() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        let good = [
            "nginx",
            "nginx:1.29",
            "library/nginx:latest",
            "registry.example.com/team/app__one:v1.2-3_4",
            "localhost:5000/app",
            "LocalHost.example/app",
            "[2001:db8::1]:5000/app",
            "a--b/c.d",
            &format!("nginx@{digest}"),
            &format!("nginx:1@{digest}"),
        ];
        for name in good {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        let bad = [
            ("", INVALID),
            ("busybox:no:such", INVALID),
            ("busybox:", INVALID),
            ("busybox:-a", INVALID),
            ("a..b", INVALID),
            ("a___b", INVALID),
            ("-a", INVALID),
            ("a//b", INVALID),
            ("a b", INVALID),
            ("nginx@sha256:12", INVALID),
            ("registry.example.com:x/app", INVALID),
            ("Nginx", "repository name must be lowercase"),
            ("docker.io/Nginx", "repository name must be lowercase"),
        ];
        for (name, said) in bad {
            assert_eq!(check(name), Err(said), "{name}");
        }
        let long = format!("{}/a", "b".repeat(255));
        assert_eq!(
            check(&long),
            Err("repository name must not be more than 255 characters")
        );
    }
}
