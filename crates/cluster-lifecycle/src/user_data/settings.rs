//! Bottlerocket's settings: the part of TOML that its user data is written in (tables, keys, texts, numbers, lists of texts).

use super::Bootstrap;

/// Reads settings below `settings.kubernetes`.
pub(super) fn read(text: &str, found: &mut Bootstrap) {
    let mut table = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = name.replace('"', "");
            continue;
        }
        let Some((key, value)) = split(line) else { continue };
        let path = if table.is_empty() {
            key.clone()
        } else {
            format!("{table}.{key}")
        };
        let Some(setting) = path.strip_prefix("settings.kubernetes.") else {
            continue;
        };
        match setting {
            "cluster-name" => found.cluster = texts(value).concat(),
            "api-server" => found.endpoint = Some(texts(value).concat()),
            "max-pods" => found.max_pods = value.parse().ok(),
            _ => match setting.split_once('.') {
                Some(("node-labels", label)) => drop(found.labels.insert(label.to_owned(), texts(value).concat())),
                Some(("node-taints", key)) => {
                    // A value holds value and effect: `"dedicated:NoSchedule"`, or a list of such.
                    let given = texts(value).into_iter();
                    let split = given.filter_map(|one| one.rsplit_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())));
                    found
                        .taints
                        .extend(split.map(|(value, effect)| (key.to_owned(), value, effect)));
                }
                _ => {}
            },
        }
    }
}

/// Key and value of a line; quotes around a key are not part of it.
fn split(line: &str) -> Option<(String, &str)> {
    if line.starts_with('#') {
        return None;
    }
    let end = match line.strip_prefix('"') {
        Some(rest) => rest.find('"')? + 2,
        None => line.find('=')?,
    };
    let (key, rest) = line.split_at(end);
    let value = rest.trim_start().strip_prefix('=')?.trim();
    Some((key.trim().replace('"', ""), value))
}

/// The texts in quotes of a value.
fn texts(value: &str) -> Vec<String> {
    let inside = value.split('"').enumerate().filter(|(index, _)| index % 2 == 1);
    inside.map(|(_, text)| text.to_owned()).collect()
}
