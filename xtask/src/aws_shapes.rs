//! Extracts the facts of AWS's published service models (names, wire locations, types, limits; no prose) into the compact
//! tables of `aws-types`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value};

use crate::command::{self, TaskError};

/// One service a line, or several lines: its folder in botocore and operations whose shapes are kept, `*` for all.
const WANTED: &str = include_str!("aws_operations.txt");

fn wanted() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in WANTED.lines() {
        let mut words = line.split_whitespace();
        let Some(folder) = words.next() else { continue };
        wanted
            .entry(folder)
            .or_default()
            .extend(words.filter(|word| *word != "*"));
    }
    wanted
}

const METADATA: &[&str] = &[
    "apiVersion",
    "endpointPrefix",
    "jsonVersion",
    "protocol",
    "serviceId",
    "signingName",
    "targetPrefix",
    "xmlNamespace",
];
const SHAPE: &[&str] = &[
    "type",
    "required",
    "members",
    "member",
    "key",
    "value",
    "enum",
    "min",
    "max",
    "flattened",
    "locationName",
    "timestampFormat",
    "exception",
    "error",
];
const MEMBER: &[&str] = &[
    "shape",
    "location",
    "locationName",
    "queryName",
    "flattened",
    "timestampFormat",
];

/// Rewrites every table below `crates/aws-types/shapes` from the newest botocore of the package index.
pub fn extract() -> Result<(), TaskError> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let folder = root.join("target/botocore");
    command::run(
        Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target"])
            .arg(&folder)
            .arg("botocore"),
    )?;
    let data = folder.join("botocore/data");
    for (folder_name, operations) in wanted() {
        let (version, model) = read_model(&data.join(folder_name))?;
        let table = table(&format!("botocore {folder_name}/{version}"), &model, &operations);
        let path = root.join("crates/aws-types/shapes").join(format!("{folder_name}.json"));
        fs::write(&path, table).map_err(|source| TaskError::File {
            path: path.display().to_string(),
            source,
        })?;
    }
    Ok(())
}

fn read_model(folder: &Path) -> Result<(String, Value), TaskError> {
    let file_error = |path: &Path| {
        let path = path.display().to_string();
        move |source| TaskError::File { path, source }
    };
    let mut versions: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(file_error(folder))?;
    versions.sort();
    let newest = versions
        .pop()
        .ok_or_else(|| TaskError::Missing(format!("{} holds no version", folder.display())))?;
    let packed = newest.join("service-2.json.gz");
    let text = if packed.exists() {
        let mut text = String::new();
        let file = fs::File::open(&packed).map_err(file_error(&packed))?;
        flate2::read::GzDecoder::new(file)
            .read_to_string(&mut text)
            .map_err(file_error(&packed))?;
        text
    } else {
        let plain = newest.join("service-2.json");
        fs::read_to_string(&plain).map_err(file_error(&plain))?
    };
    let model =
        serde_json::from_str(&text).map_err(|error| TaskError::Unexpected(format!("{}: {error}", newest.display())))?;
    let version = newest
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    Ok((version, model))
}

/// One line for each operation and shape, so that a change of the model reads well as a difference.
fn table(source: &str, model: &Value, operations: &[&str]) -> String {
    let keep = |name: &str| operations.is_empty() || operations.contains(&name);
    let mut kept = Vec::new();
    let mut others = Vec::new();
    for (name, operation) in model["operations"].as_object().into_iter().flatten() {
        if keep(name) {
            kept.push((name.clone(), compact_operation(operation)))
        } else {
            others.push(Value::from(name.as_str()))
        }
    }
    let mut reachable = BTreeSet::new();
    for (_, operation) in &kept {
        for shape in [&operation["input"], &operation["output"]]
            .into_iter()
            .chain(operation["errors"].as_array().into_iter().flatten())
        {
            if let Some(shape) = shape.as_str() {
                reach(model, shape, &mut reachable);
            }
        }
    }
    let shapes: Vec<(String, Value)> = reachable
        .iter()
        .map(|name| (name.clone(), compact_shape(&model["shapes"][name])))
        .collect();
    let metadata = metadata(&model["metadata"]);
    format!(
        "{{\"source\":{},\n\"metadata\":{metadata},\n\"otherOperations\":{},\n\"operations\":{{\n{}\n}},\n\"shapes\":{{\n{}\n}}}}\n",
        Value::from(source),
        Value::Array(others),
        lines(&kept),
        lines(&shapes)
    )
}

/// A service that speaks several protocols is described by the first that is served here.
fn metadata(metadata: &Value) -> Value {
    const SERVED: &[&str] = &["ec2", "query", "json", "rest-json", "rest-xml"];
    let mut picked = pick(metadata, METADATA);
    let spoken = metadata["protocols"].as_array().into_iter().flatten();
    let chosen = spoken.filter_map(Value::as_str).find(|name| SERVED.contains(name));
    if let Some(chosen) = chosen.filter(|_| !SERVED.contains(&metadata["protocol"].as_str().unwrap_or_default())) {
        picked["protocol"] = chosen.into();
    }
    picked
}

fn lines(entries: &[(String, Value)]) -> String {
    let lines: Vec<String> = entries
        .iter()
        .map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())))
        .collect();
    lines.join(",\n")
}

fn compact_operation(operation: &Value) -> Value {
    let mut out = Map::new();
    out.insert("method".into(), operation["http"]["method"].clone());
    out.insert("uri".into(), operation["http"]["requestUri"].clone());
    for key in ["input", "output"] {
        if let Some(shape) = operation[key]["shape"].as_str() {
            out.insert(key.into(), shape.into());
        }
    }
    if let Some(wrapper) = operation["output"]["resultWrapper"].as_str() {
        out.insert("resultWrapper".into(), wrapper.into());
    }
    let errors: Vec<Value> = operation["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|error| error["shape"].clone())
        .collect();
    if !errors.is_empty() {
        out.insert("errors".into(), errors.into());
    }
    Value::Object(out)
}

fn reach(model: &Value, name: &str, seen: &mut BTreeSet<String>) {
    if !seen.insert(name.to_owned()) {
        return;
    }
    let shape = &model["shapes"][name];
    let members = shape["members"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(_, member)| member);
    for part in members.chain([&shape["member"], &shape["key"], &shape["value"]]) {
        if let Some(next) = part["shape"].as_str() {
            reach(model, next, seen);
        }
    }
}

fn compact_shape(shape: &Value) -> Value {
    let mut out = pick(shape, SHAPE);
    let Some(map) = out.as_object_mut() else { return out };
    for key in ["member", "key", "value"] {
        if let Some(part) = map.get_mut(key) {
            *part = pick(part, MEMBER);
        }
    }
    if let Some(members) = map.get_mut("members").and_then(Value::as_object_mut) {
        for (_, member) in members.iter_mut() {
            *member = pick(member, MEMBER);
        }
    }
    if let Some(error) = map.get_mut("error") {
        *error = pick(error, &["code", "httpStatusCode"]);
    }
    out
}

fn pick(value: &Value, keys: &[&str]) -> Value {
    let picked = value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| keys.contains(&key.as_str()));
    Value::Object(picked.map(|(key, value)| (key.clone(), value.clone())).collect())
}
