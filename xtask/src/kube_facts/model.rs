//! Messages and kinds as the sources declare them.

use std::collections::BTreeMap;
use std::path::Path;

use super::{failed, files};
use crate::command::TaskError;

/// What is known of all types.
#[derive(Default)]
pub struct Model {
    /// By name, as `core/v1.Pod`.
    pub messages: BTreeMap<String, Message>,
    /// Group, version and kind to the message, as `apps/v1/Deployment`.
    pub kinds: BTreeMap<String, String>,
}

/// One message.
#[derive(Default)]
pub struct Message {
    pub fields: Vec<Field>,
    /// Server-side apply replaces it as a whole.
    pub atomic: bool,
}

/// One field with its markers.
pub struct Field {
    /// Name in JSON; empty when the fields of the type stand in the message itself.
    pub json: String,
    pub shape: Shape,
    pub repeated: bool,
    pub patch_strategy: Vec<String>,
    pub patch_key: Option<String>,
    pub list_type: Option<String>,
    pub list_keys: Vec<String>,
    /// `atomic` or `granular`, where the field says so itself.
    pub map_type: Option<String>,
    /// The declared default, as JSON.
    pub default: Option<String>,
}

/// What a field holds.
pub enum Shape {
    /// What has no fields of its own.
    Plain,
    Message(String),
    MessageMap(String),
}

/// The JSON names of one struct by their letters alone.
type Names = BTreeMap<String, String>;

impl Model {
    pub fn read(protobuf: &Path, openapi: &Path) -> Result<Self, TaskError> {
        let mut model = Self::default();
        let mut names: BTreeMap<String, Names> = BTreeMap::new();
        for path in files(openapi)? {
            let text = std::fs::read_to_string(&path).map_err(|source| failed(&path, source))?;
            read_json_names(&module(openapi, &path), &text, &mut names, &mut model.kinds);
        }
        for path in files(protobuf)? {
            let text = std::fs::read_to_string(&path).map_err(|source| failed(&path, source))?;
            read_messages(&module(protobuf, &path), &text, &names, &mut model.messages)?;
        }
        model.name_kinds_as_messages();
        if model.messages.len() < 300 || model.kinds.len() < 80 {
            return Err(TaskError::Unexpected(
                "the sources hold fewer types than expected".to_owned(),
            ));
        }
        Ok(model)
    }
}

impl Model {
    /// The two crates spell acronyms differently (`CSIDriver`, `CsiDriver`); a kind without a message is left out.
    fn name_kinds_as_messages(&mut self) {
        let spelt: BTreeMap<String, &String> = self.messages.keys().map(|name| (letters(name), name)).collect();
        self.kinds.retain(|_, message| match spelt.get(&letters(message)) {
            Some(name) => {
                message.clone_from(name);
                true
            }
            None => false,
        });
    }
}

/// The module path of a file.
fn module(root: &Path, path: &Path) -> Vec<String> {
    let relative = path.strip_prefix(root).unwrap_or(path).with_extension("");
    let parts = relative
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned());
    parts.filter(|part| part != "mod").collect()
}

/// `api::core::v1` to `core/v1`, `apimachinery::pkg::apis::meta::v1` to `meta/v1`, `…::util::intstr` to `intstr`.
fn package(module: &[String]) -> String {
    const FRAMES: &[&str] = &[
        "api",
        "apis",
        "pkg",
        "apimachinery",
        "apiextensions_apiserver",
        "kube_aggregator",
        "util",
    ];
    let kept: Vec<&str> = module
        .iter()
        .map(String::as_str)
        .filter(|part| !FRAMES.contains(part))
        .collect();
    kept.join("/")
}

/// Letters and digits in lower case: `pod_i_ps` and `podIPs` are the same name.
fn letters(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_lowercase()
}

fn read_json_names(
    module: &[String],
    text: &str,
    names: &mut BTreeMap<String, Names>,
    kinds: &mut BTreeMap<String, String>,
) {
    let Some(name) = text.lines().find_map(|line| line.strip_prefix("pub struct ")) else {
        return;
    };
    let name = name.split([' ', '(', '<', ';']).next().unwrap_or_default();
    let message = format!("{}.{name}", package(&module[..module.len().saturating_sub(1)]));
    let fields = text.lines().filter_map(|line| {
        let (json, _) = line.trim().strip_prefix('"')?.split_once("\" => Field::Key_")?;
        Some((letters(json), json.to_owned()))
    });
    names.insert(letters(&message), fields.collect());
    let constant = |name: &str| {
        let start = format!("const {name}: &'static str = \"");
        text.lines()
            .find_map(|line| line.trim().strip_prefix(&start)?.strip_suffix("\";").map(str::to_owned))
    };
    if let (Some(group), Some(version), Some(kind)) = (constant("GROUP"), constant("VERSION"), constant("KIND")) {
        kinds.insert(format!("{group}/{version}/{kind}"), message);
    }
}

fn read_messages(
    module: &[String],
    text: &str,
    names: &BTreeMap<String, Names>,
    messages: &mut BTreeMap<String, Message>,
) -> Result<(), TaskError> {
    let mut current: Option<(String, Message)> = None;
    let mut markers: Vec<String> = Vec::new();
    let mut attribute: Option<String> = None;
    for line in logical_lines(text) {
        let line = line.as_str();
        if let Some(rest) = line.strip_prefix("pub struct ") {
            let name = rest.split([' ', '{']).next().unwrap_or_default();
            let message = Message {
                atomic: markers.iter().any(|marker| marker == "structType=atomic"),
                ..Message::default()
            };
            markers.clear();
            current = Some((format!("{}.{name}", package(module)), message));
        } else if let Some(marker) = line.strip_prefix("/// +") {
            markers.push(marker.to_owned());
        } else if let Some(text) = line.strip_prefix("#[prost(") {
            attribute = Some(text.to_owned());
        } else if let (Some(rest), Some(prost), Some((name, message))) =
            (line.strip_prefix("pub "), attribute.take(), &mut current)
        {
            let known = names.get(&letters(name));
            message.fields.push(field(module, rest, &prost, &markers, known)?);
            markers.clear();
        } else if line == "}" {
            if let Some((name, message)) = current.take() {
                messages.insert(name, message);
            }
            markers.clear();
        } else if !line.starts_with("///") && !line.starts_with('#') {
            markers.clear();
        }
    }
    Ok(())
}

/// Trimmed lines, with declarations that the formatter has broken put together again.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines().map(str::trim) {
        match lines.last_mut().filter(|_| open) {
            Some(last) => {
                last.push(' ');
                last.push_str(line);
            }
            None => lines.push(line.to_owned()),
        }
        let begun = lines.last().map_or("", String::as_str);
        open = begun.starts_with("pub ")
            && (begun.ends_with(':') || begun.matches('<').count() != begun.matches('>').count());
    }
    lines
}

fn field(
    module: &[String],
    declaration: &str,
    prost: &str,
    markers: &[String],
    known: Option<&Names>,
) -> Result<Field, TaskError> {
    let (name, of) = declaration.split_once(": ").unwrap_or((declaration, ""));
    let name = name.trim_start_matches("r#").trim_end_matches('_');
    let shape = shape(module, of.trim_end_matches(','), prost)?;
    let json = match known.map(|names| names.get(&letters(name))) {
        Some(Some(json)) => json.clone(),
        // A struct that JSON does not know by that name is written inline.
        Some(None) if matches!(shape, Shape::Message(_)) && !prost.contains("repeated") => String::new(),
        _ => camel(name),
    };
    let values = |key: &str| {
        let start = format!("{key}=");
        markers
            .iter()
            .filter_map(|marker| marker.strip_prefix(&start).map(str::to_owned))
            .collect::<Vec<_>>()
    };
    Ok(Field {
        json,
        shape,
        repeated: prost.contains("repeated"),
        patch_strategy: values("patchStrategy")
            .iter()
            .flat_map(|all| all.split(',').map(str::to_owned))
            .collect(),
        patch_key: values("patchMergeKey").pop(),
        list_type: values("listType").pop(),
        list_keys: values("listMapKey"),
        map_type: values("mapType").pop().or_else(|| values("structType").pop()),
        default: values("default").pop().map(|text| constant(&text)),
    })
}

fn shape(module: &[String], of: &str, prost: &str) -> Result<Shape, TaskError> {
    let inner = |of: &str| {
        let mut names = of.split(['<', '>', ',', ' ']).filter(|part| !part.is_empty());
        names.next_back().unwrap_or_default().to_owned()
    };
    let kind = prost.split([',', ' ']).next().unwrap_or_default();
    Ok(match kind {
        "string" | "int32" | "int64" | "bool" | "bytes" | "double" => Shape::Plain,
        "message" => Shape::Message(resolve(module, &inner(of))),
        "btree_map" if prost.contains("\"string, string\"") || prost.contains("\"string, bytes\"") => Shape::Plain,
        "btree_map" => Shape::MessageMap(resolve(module, &inner(of))),
        other => return Err(TaskError::Unexpected(format!("unknown field type {other} in {prost}"))),
    })
}

/// A Rust path, relative to `module`, to a message name.
fn resolve(module: &[String], path: &str) -> String {
    let mut parts: Vec<&str> = path.split("::").collect();
    let name = parts.pop().unwrap_or_default();
    let ups = parts.iter().take_while(|part| **part == "super").count();
    let mut target: Vec<String> = module[..module.len().saturating_sub(ups)].to_vec();
    target.extend(parts[ups..].iter().map(|part| (*part).to_owned()));
    format!("{}.{name}", package(&target))
}

/// A default that is given as the name of a constant, as the constant's value.
fn constant(text: &str) -> String {
    match text {
        "ref(AzureDataDiskCachingReadWrite)" => "\"ReadWrite\"".to_owned(),
        "ref(AzureSharedBlobDisk)" => "\"Shared\"".to_owned(),
        literal => literal.to_owned(),
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| {
        let mut letters = word.chars();
        let head = letters
            .next()
            .map(|letter| letter.to_ascii_uppercase().to_string())
            .unwrap_or_default();
        format!("{text}{head}{}", letters.as_str())
    })
}
