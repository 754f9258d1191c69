//! Every kind with every field filled, in JSON, YAML and protobuf, as the repository kubernetes/api publishes them.
//!
//! `ONDOL_TEST_KUBERNETES_FIXTURES` names their directory; `cargo xtask test` sets it. They are not part of this
//! repository: `registry`'s test of every kind fills every field by itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kube_types::dynamic::{Map, Object, Value};
use kube_types::{decode, protobuf, schema};

/// One kind in its three forms.
struct Fixture {
    name: String,
    json: Map<String, Value>,
    yaml: Map<String, Value>,
    protobuf: Vec<u8>,
}

fn directory() -> Option<PathBuf> {
    let beside = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/testdata/kubernetes-api-v1.36"
    ));
    let named = std::env::var_os("ONDOL_TEST_KUBERNETES_FIXTURES").map(PathBuf::from);
    named.or_else(|| beside.is_dir().then(|| beside.to_path_buf()))
}

fn fixtures() -> Vec<Fixture> {
    let Some(directory) = directory() else {
        println!("skipped: ONDOL_TEST_KUBERNETES_FIXTURES is not set");
        return Vec::new();
    };
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "pb") {
            found.insert(path.file_stem().unwrap().to_string_lossy().into_owned(), path);
        }
    }
    assert!(
        found.len() >= 185,
        "{} fixtures in {}",
        found.len(),
        directory.display()
    );
    let read = |path: &Path, extension: &str| std::fs::read(path.with_extension(extension)).unwrap();
    let object = |value| Object::from_value(value).unwrap().0;
    found
        .into_iter()
        .map(|(name, path)| Fixture {
            name,
            json: object(decode::json(&read(&path, "json")).unwrap().value),
            yaml: object(decode::yaml(&read(&path, "yaml")).unwrap().value),
            protobuf: read(&path, "pb"),
        })
        // The envelope of an event of a watch names no kind: on the wire it stands in a frame instead.
        .filter(|fixture| fixture.name != "core.v1.WatchEvent")
        .collect()
}

#[test]
fn every_kind_reads_the_same_from_json_yaml_and_protobuf() {
    let mut failures = Vec::new();
    for fixture in fixtures() {
        if fixture.yaml != fixture.json {
            failures.push(format!("{}: YAML differs from JSON", fixture.name));
        }
        match protobuf::decode(&fixture.protobuf) {
            Ok(read) if read == fixture.json => {}
            Ok(read) => failures.push(format!(
                "{}: {}",
                fixture.name,
                difference("", &Value::Object(fixture.json), &Value::Object(read))
            )),
            Err(error) => failures.push(format!("{}: {error}", fixture.name)),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_kind_is_written_in_protobuf_byte_for_byte_as_upstream_does() {
    let mut failures = Vec::new();
    for fixture in fixtures() {
        match protobuf::encode(&fixture.json) {
            Ok(written) if written.bytes == fixture.protobuf => {}
            Ok(written) => {
                let at = written
                    .bytes
                    .iter()
                    .zip(&fixture.protobuf)
                    .take_while(|(a, b)| a == b)
                    .count();
                let around = |bytes: &[u8]| {
                    String::from_utf8_lossy(&bytes[at.saturating_sub(30)..(at + 20).min(bytes.len())]).into_owned()
                };
                failures.push(format!(
                    "{}: at byte {at}: {:?} and not {:?}",
                    fixture.name,
                    around(&written.bytes),
                    around(&fixture.protobuf)
                ));
            }
            Err(error) => failures.push(format!("{}: {error}", fixture.name)),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Fields that came after 1.36, which the fixtures may already have.
const LATER: &[&str] = &[
    "attestations",
    "bindMountOptions",
    "defaultUser",
    "healthStatus",
    "mode",
    "nodeAllocatableResources",
    "observedGeneration",
    "partitionTypeAttribute",
    "podPreemptionPolicy",
    "skipNodeOperations",
    "status",
    "user",
];

#[test]
fn no_schema_of_a_served_kind_loses_a_field() {
    let mut failures = Vec::new();
    for fixture in fixtures() {
        let mut object = Object(fixture.json.clone());
        let Some(schema) = schema::lookup(&object.gvk()) else {
            continue;
        };
        match schema.normalize(&mut object.0) {
            Ok(unknown) if !unknown.0.is_empty() => {
                let lost = unknown
                    .0
                    .iter()
                    .find(|path| !LATER.contains(&path.rsplit('.').next().unwrap_or(path)));
                failures.extend(lost.map(|path| format!("{}: unknown field {path}", fixture.name)));
            }
            Ok(_) if object.0 == fixture.json => {}
            Ok(_) => {
                let difference = difference("", &Value::Object(fixture.json), &Value::Object(object.0));
                failures.push(format!("{}: {difference}", fixture.name));
            }
            Err(error) => failures.push(format!("{}: {error}", fixture.name)),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The first place where two values differ.
fn difference(path: &str, wanted: &Value, found: &Value) -> String {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            let names = wanted.keys().chain(found.keys());
            let differing = names
                .map(|name| (name, wanted.get(name), found.get(name)))
                .find(|(_, a, b)| a != b);
            match differing {
                Some((name, Some(wanted), Some(found))) => difference(&format!("{path}.{name}"), wanted, found),
                Some((name, wanted, found)) => format!("{path}.{name}: wanted {wanted:?}, found {found:?}"),
                None => format!("{path}: equal"),
            }
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            let index = wanted.iter().zip(found).position(|(a, b)| a != b).unwrap_or_default();
            difference(&format!("{path}[{index}]"), &wanted[index], &found[index])
        }
        _ => format!("{path}: wanted {wanted}, found {found}"),
    }
}
