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
        ("nfs", "server"),
        ("nfs", "path"),
        ("iscsi", "targetPortal"),
        ("iscsi", "iqn"),
        ("awsElasticBlockStore", "volumeID"),
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
    let host_type = child(volume, "hostPath").map_or("", |host| text(host, "type"));
    if !HOST_PATH_TYPES.contains(&host_type) {
        errors.not_supported(format!("{path}.hostPath.type"), host_type, HOST_PATH_TYPES);
    }
    if let Some(nfs) = child(volume, "nfs")
        && !text(nfs, "path").is_empty()
        && !text(nfs, "path").starts_with('/')
    {
        let detail = "must be an absolute path";
        errors.invalid(format!("{path}.nfs.path"), text(nfs, "path"), detail);
    }
    if child(volume, "ephemeral").is_some_and(|source| child(source, "volumeClaimTemplate").is_none()) {
        errors.required(format!("{path}.ephemeral.volumeClaimTemplate"), "");
    }
    for (index, source) in child(volume, "projected")
        .into_iter()
        .flat_map(|projected| items(projected, "sources"))
        .enumerate()
    {
        projection(source, &format!("{path}.projected.sources[{index}]"), errors);
    }
    for kind in ["configMap", "secret"] {
        if let Some(source) = child(volume, kind) {
            files(source, &format!("{path}.{kind}"), errors);
        }
    }
}

const HOST_PATH_TYPES: &[&str] = &[
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];

/// One source of a projected volume.
fn projection(source: &Node, path: &str, errors: &mut Errors) {
    for more in source.keys().skip(1) {
        errors.forbidden(format!("{path}.{more}"), "may not specify more than 1 volume type");
    }
    for kind in ["configMap", "secret"] {
        let Some(given) = child(source, kind) else { continue };
        if text(given, "name").is_empty() {
            errors.required(format!("{path}.{kind}.name"), "");
        }
        files(given, &format!("{path}.{kind}"), errors);
    }
    if let Some(token) = child(source, "serviceAccountToken") {
        if text(token, "path").is_empty() {
            errors.required(format!("{path}.serviceAccountToken.path"), "");
        }
        let seconds = crate::tree::int(token, "expirationSeconds").unwrap_or(3600);
        if seconds < 600 {
            let detail = "may not specify a duration less than 10 minutes";
            errors.invalid(format!("{path}.serviceAccountToken.expirationSeconds"), seconds, detail);
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
