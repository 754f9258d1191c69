//! What is wrong with a pod's volumes.

use crate::field::Errors;
use crate::names;
use crate::tree::{Node, child, items, text};

/// Checks the volumes of a spec; answers their names.
pub(super) fn validate<'a>(spec: &'a Node, path: &str, errors: &mut Errors) -> Vec<&'a str> {
    let mut known: Vec<&str> = Vec::new();
    for (index, volume) in items(spec, "volumes").enumerate() {
        let at = format!("{path}.volumes[{index}]");
        let name = text(volume, "name");
        if name.is_empty() {
            errors.required(format!("{at}.name"), "");
        } else {
            for problem in names::dns_label(name) {
                errors.invalid(format!("{at}.name"), name, problem);
            }
            if known.contains(&name) {
                errors.duplicate(format!("{at}.name"), name);
            }
        }
        known.push(name);
        source(volume, &at, errors);
    }
    known
}

fn source(volume: &Node, path: &str, errors: &mut Errors) {
    let mut sources = volume.keys().filter(|field| *field != "name");
    if sources.next().is_none() {
        errors.required(path, "must specify a volume type");
    }
    for more in sources {
        errors.forbidden(format!("{path}.{more}"), "may not specify more than 1 volume type");
    }
    for (kind, field) in [
        ("configMap", "name"),
        ("secret", "secretName"),
        ("persistentVolumeClaim", "claimName"),
        ("hostPath", "path"),
        ("csi", "driver"),
    ] {
        if child(volume, kind).is_some_and(|source| text(source, field).is_empty()) {
            errors.required(format!("{path}.{kind}.{field}"), "");
        }
    }
    if let Some(host) = child(volume, "hostPath")
        && text(host, "path").split('/').any(|part| part == "..")
    {
        errors.invalid(
            format!("{path}.hostPath.path"),
            text(host, "path"),
            "must not contain '..'",
        );
    }
    for kind in ["configMap", "secret"] {
        if let Some(source) = child(volume, kind) {
            files(source, &format!("{path}.{kind}"), errors);
        }
    }
}

fn files(source: &Node, path: &str, errors: &mut Errors) {
    if let Some(mode) = crate::tree::int(source, "defaultMode").filter(|mode| !(0..=0o777).contains(mode)) {
        let detail = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.invalid(format!("{path}.defaultMode"), mode, detail);
    }
    for (index, item) in items(source, "items").enumerate() {
        let at = format!("{path}.items[{index}]");
        for field in ["key", "path"] {
            if text(item, field).is_empty() {
                errors.required(format!("{at}.{field}"), "");
            }
        }
        let target = text(item, "path");
        if target.starts_with('/') {
            errors.invalid(format!("{at}.path"), target, "must be a relative path");
        } else if target.split('/').any(|part| part == "..") {
            errors.invalid(format!("{at}.path"), target, "must not contain '..'");
        }
    }
}
