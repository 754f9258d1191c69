//! Kinds that hold data: config maps, secrets, service accounts, events, leases.

use kube_types::dynamic::{Object, Value};

use crate::field::Errors;
use crate::names;
use crate::rules::Rules;
use crate::tree::{Node, child, default, ensure, flag, int, text};

#[cfg(test)]
mod tests;

/// Bytes of all values together. Source: `MaxSecretSize`.
const DATA_LIMIT: usize = 1024 * 1024;

pub(crate) static CONFIG_MAP: Rules = Rules {
    validate: |map, errors| {
        let mut size = 0;
        for field in ["data", "binaryData"] {
            for (key, value) in child(&map.0, field).into_iter().flatten() {
                for problem in names::config_key(key) {
                    errors.invalid(format!("{field}[{key}]"), key.as_str(), problem);
                }
                size += value.as_str().map_or(0, str::len);
            }
        }
        let both = child(&map.0, "data").into_iter().flatten();
        for (key, _) in both.filter(|(key, _)| child(&map.0, "binaryData").is_some_and(|b| b.contains_key(*key))) {
            errors.invalid(
                format!("data[{key}]"),
                key.as_str(),
                "duplicate of key present in binaryData",
            );
        }
        if size > DATA_LIMIT {
            errors.too_long("", DATA_LIMIT);
        }
    },
    validate_update: |new, old, errors| keep_immutable(new, old, &["data", "binaryData"], errors),
    ..Rules::NAMED
};

/// Keys that a type of secret must have.
const REQUIRED_KEYS: &[(&str, &[&str])] = &[
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("kubernetes.io/dockercfg", &[".dockercfg"]),
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"]),
];

pub(crate) static SECRET: Rules = Rules {
    defaults: |secret| {
        default(&mut secret.0, "type", "Opaque");
        merge_text(secret);
    },
    validate: |secret, errors| {
        let empty = Node::new();
        let data = child(&secret.0, "data").unwrap_or(&empty);
        let mut size = 0;
        for (key, value) in data {
            for problem in names::config_key(key) {
                errors.invalid(format!("data[{key}]"), key.as_str(), problem);
            }
            size += value.as_str().map_or(0, |text| text.len() / 4 * 3);
        }
        if size > DATA_LIMIT {
            errors.too_long("data", DATA_LIMIT);
        }
        let kind = text(&secret.0, "type");
        let required = REQUIRED_KEYS
            .iter()
            .filter(|(of, _)| *of == kind)
            .flat_map(|(_, keys)| *keys);
        for key in required.filter(|key| !data.contains_key(**key)) {
            errors.required(format!("data[{key}]"), "");
        }
    },
    validate_update: |new, old, errors| {
        if text(&new.0, "type") != text(&old.0, "type") {
            errors.invalid("type", text(&new.0, "type"), "field is immutable");
        }
        keep_immutable(new, old, &["data"], errors);
    },
    ..Rules::NAMED
};

/// `stringData` is how clients write `data` without encoding it; it is never kept.
fn merge_text(secret: &mut Object) {
    let Some(Value::Object(texts)) = secret.0.remove("stringData") else {
        return;
    };
    let data = ensure(&mut secret.0, "data");
    for (key, value) in texts {
        data.insert(key, encode(value.as_str().unwrap_or_default().as_bytes()).into());
    }
}

/// Base64 with padding.
fn encode(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let digit = (group >> (18 - 6 * at) & 63) as usize;
            text.push(if at <= chunk.len() {
                char::from(ALPHABET[digit])
            } else {
                '='
            });
        }
    }
    text
}

/// Once immutable, data stays, and so does being immutable.
fn keep_immutable(new: &Object, old: &Object, fields: &[&str], errors: &mut Errors) {
    if !flag(&old.0, "immutable") {
        return;
    }
    if !flag(&new.0, "immutable") {
        errors.forbidden("immutable", "field is immutable when `immutable` is set");
    }
    for field in fields.iter().filter(|field| new.0.get(**field) != old.0.get(**field)) {
        errors.forbidden(*field, "field is immutable when `immutable` is set");
    }
}

pub(crate) static SERVICE_ACCOUNT: Rules = Rules {
    returns_deleted: true,
    ..Rules::NAMED
};

pub(crate) static EVENT: Rules = Rules {
    validate: |event, errors| {
        let involved = child(&event.0, "involvedObject").or_else(|| child(&event.0, "regarding"));
        let of = involved.map_or("", |object| text(object, "namespace"));
        let namespace = event.namespace().unwrap_or_default();
        if of != namespace && !(of.is_empty() && matches!(namespace, "default" | "kube-system")) {
            errors.invalid("involvedObject.namespace", of, "does not match event.namespace");
        }
    },
    create_on_update: true,
    ..Rules::NAMED
};

pub(crate) static LEASE: Rules = Rules {
    validate: |lease, errors| {
        let empty = Node::new();
        let spec = child(&lease.0, "spec").unwrap_or(&empty);
        if let Some(seconds) = int(spec, "leaseDurationSeconds").filter(|seconds| *seconds <= 0) {
            errors.invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0");
        }
        if let Some(count) = int(spec, "leaseTransitions").filter(|count| *count < 0) {
            errors.invalid("spec.leaseTransitions", count, "must be greater than or equal to 0");
        }
    },
    create_on_update: true,
    unconditional_update: false,
    ..Rules::NAMED
};
