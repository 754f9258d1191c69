//! Protobuf facts of Kubernetes' types as their Go structs declare them: number, wire type, JSON name, and whether the
//! zero value differs from absence.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{failed, files};
use crate::command::TaskError;

/// Messages and kinds.
#[derive(Default)]
pub struct GoTypes {
    /// By name, as `core/v1.Pod`.
    pub messages: BTreeMap<String, Vec<GoField>>,
    /// Group, version and kind to the message, as `apps/v1/Deployment`.
    pub kinds: BTreeMap<String, String>,
}

/// One field of a message.
pub struct GoField {
    /// Name in JSON; empty when the fields of its type stand in the message itself.
    pub json: String,
    pub tag: u32,
    /// As the table's head explains.
    pub letter: char,
    /// The message that it holds.
    pub of: Option<String>,
    /// Absence differs from the zero value.
    pub pointer: bool,
    /// JSON has it even when it is the zero value.
    pub always: bool,
}

/// A declared type.
enum Declared {
    Struct {
        fields: Vec<RawField>,
        is_kind: bool,
    },
    /// Another name for a type; `true` when protobuf wraps it in a message.
    Named(String, bool),
}

struct RawField {
    of: String,
    json: Option<String>,
    protobuf: String,
}

/// The declarations of one Go package.
#[derive(Default)]
struct Package {
    group: Option<String>,
    imports: BTreeMap<String, String>,
    types: BTreeMap<String, Declared>,
}

/// What a type expression stands for.
struct Shape {
    letter: char,
    of: Option<String>,
    pointer: bool,
}

impl GoTypes {
    /// Reads the modules of several releases. What an earlier one declares counts; fields of later ones are added as
    /// pointers, so that they are written for those who have them and for nobody else.
    pub fn read(releases: &[Vec<PathBuf>]) -> Result<Self, TaskError> {
        let mut types = Self::default();
        for modules in releases {
            types.add(&packages(modules)?)?;
        }
        if types.messages.len() < 600 || types.kinds.len() < 180 {
            return Err(TaskError::Unexpected(
                "the sources hold fewer types than expected".into(),
            ));
        }
        Ok(types)
    }

    fn add(&mut self, packages: &BTreeMap<String, Package>) -> Result<(), TaskError> {
        for (package, content) in packages {
            for (name, declared) in &content.types {
                let message = format!("{package}.{name}");
                let fields = fields(packages, package, content, declared)?;
                if fields.is_empty() {
                    continue;
                }
                if let Declared::Struct { is_kind: true, .. } = declared {
                    self.add_kind(package, content, name, &message);
                }
                match self.messages.get_mut(&message) {
                    Some(known) => add_later(known, fields),
                    None => drop(self.messages.insert(message, fields)),
                }
            }
        }
        Ok(())
    }

    fn add_kind(&mut self, package: &str, content: &Package, name: &str, message: &str) {
        let version = package.rsplit('/').next().unwrap_or_default();
        let groups: &[&str] = match &content.group {
            // What belongs to no group is of the core group too.
            _ if package == "meta/v1" => &["", "meta.k8s.io"],
            Some(group) => &[group.as_str()],
            None => &[],
        };
        for group in groups {
            let kind = format!("{group}/{version}/{name}");
            self.kinds.entry(kind).or_insert_with(|| message.to_owned());
        }
    }
}

/// Every package of the modules by its short name.
fn packages(modules: &[PathBuf]) -> Result<BTreeMap<String, Package>, TaskError> {
    const READ: &[&str] = &[
        "types.go",
        "types_jsonschema.go",
        "register.go",
        "group_version.go",
        "watch.go",
    ];
    let mut packages: BTreeMap<String, Package> = BTreeMap::new();
    for module in modules {
        for path in files(module)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let directory = path.parent().map(|dir| dir.to_string_lossy().into_owned());
            let short = directory.and_then(|dir| short_name(&dir));
            if let Some(short) = short.filter(|_| READ.contains(&&*name)) {
                let text = std::fs::read_to_string(&path).map_err(|source| failed(&path, source))?;
                read_file(&text, packages.entry(short).or_default());
            }
        }
    }
    Ok(packages)
}

/// `…/k8s.io/api@v0.36.3/core/v1` and `k8s.io/api/core/v1` to `core/v1`; `None` for what declares no API types.
fn short_name(path: &str) -> Option<String> {
    let inside = path.split("k8s.io/").last()?;
    let (module, rest) = inside.split_once('/')?;
    let module = module.split('@').next()?;
    let short = match module {
        "api" => rest,
        "apimachinery" => match rest {
            "pkg/runtime" => "runtime",
            "pkg/types" => "types",
            "pkg/util/intstr" => "intstr",
            "pkg/api/resource" => "resource",
            _ => rest.strip_prefix("pkg/apis/")?,
        },
        "apiextensions-apiserver" | "kube-aggregator" => rest.strip_prefix("pkg/apis/")?,
        _ => return None,
    };
    // Internal versions and upstream's own test types are on no wire.
    let foreign = short.ends_with("apiextensions") || short.ends_with("apiregistration") || short.starts_with("test");
    (!foreign).then(|| short.to_owned())
}

fn read_file(text: &str, package: &mut Package) {
    let mut nullable = false;
    let mut open: Option<(String, Vec<RawField>, bool)> = None;
    for line in text.lines() {
        if let Some((name, fields, is_kind)) = &mut open {
            if line == "}" {
                let declared = Declared::Struct {
                    fields: std::mem::take(fields),
                    is_kind: *is_kind,
                };
                package.types.insert(name.clone(), declared);
                open = None;
            } else {
                let line = line.trim();
                let first = line.split_whitespace().next().unwrap_or_default();
                *is_kind |= first == "TypeMeta" || first.ends_with(".TypeMeta");
                fields.extend(raw_field(line));
            }
            continue;
        }
        if let Some(rest) = line.strip_prefix("type ") {
            let mut words = rest.split_whitespace();
            let name = words.next().unwrap_or_default().to_owned();
            match words.next() {
                Some("struct") if !rest.ends_with('}') => open = Some((name, Vec::new(), false)),
                Some("struct" | "struct{}") => {
                    let (fields, is_kind) = (Vec::new(), false);
                    package.types.insert(name, Declared::Struct { fields, is_kind });
                }
                None | Some("interface") => {}
                Some(of) => {
                    let of = words.next().filter(|_| of == "=").unwrap_or(of);
                    package.types.insert(name, Declared::Named(of.to_owned(), nullable));
                }
            }
            nullable = false;
        } else if line.contains("+protobuf.nullable=true") {
            nullable = true;
        } else if let Some(group) = line.strip_prefix("const GroupName = \"") {
            package.group = Some(group.trim_end_matches('"').to_owned());
        } else if let Some(import) = line.trim().strip_suffix('"').filter(|line| line.contains("k8s.io/")) {
            let (alias, path) = import.split_once('"').unwrap_or(("", import));
            if let Some(short) = short_name(path) {
                let alias = alias.trim();
                let last = path.rsplit('/').next().unwrap_or_default();
                let alias = if alias.is_empty() { last } else { alias };
                package.imports.insert(alias.to_owned(), short);
            }
        }
    }
}

/// A line `Name Type `json:"…" protobuf:"…"``; an embedded field has no name.
fn raw_field(line: &str) -> Option<RawField> {
    let (declaration, tags) = line.split_once('`').filter(|_| !line.starts_with("//"))?;
    let tag = |name: &str| {
        let (_, rest) = tags.split_once(&format!("{name}:\""))?;
        rest.split('"').next().map(str::to_owned)
    };
    let protobuf = tag("protobuf").filter(|tag| tag != "-")?;
    let json = tag("json");
    // Types that are written in JSON in a way of their own.
    if json.as_deref() == Some("-") {
        return None;
    }
    Some(RawField {
        of: declaration.split_whitespace().last()?.to_owned(),
        json,
        protobuf,
    })
}

fn add_later(known: &mut Vec<GoField>, later: Vec<GoField>) {
    for field in later {
        if !known.iter().any(|one| one.tag == field.tag || one.json == field.json) {
            known.push(GoField {
                pointer: true,
                always: false,
                ..field
            });
        }
    }
    known.sort_by_key(|field| field.tag);
}

/// The fields of a declared type in the order of their numbers; none for what is no message.
fn fields(
    packages: &BTreeMap<String, Package>,
    package: &str,
    content: &Package,
    declared: &Declared,
) -> Result<Vec<GoField>, TaskError> {
    match declared {
        Declared::Struct { fields, .. } => {
            let read = fields.iter().map(|raw| field(packages, package, content, raw));
            let mut fields = read.collect::<Result<Vec<GoField>, TaskError>>()?;
            fields.sort_by_key(|field| field.tag);
            Ok(fields)
        }
        Declared::Named(_, true) => Ok(vec![GoField {
            json: "items".to_owned(),
            tag: 1,
            letter: 'S',
            of: None,
            pointer: false,
            always: false,
        }]),
        Declared::Named(_, false) => Ok(Vec::new()),
    }
}

fn field(
    packages: &BTreeMap<String, Package>,
    package: &str,
    content: &Package,
    raw: &RawField,
) -> Result<GoField, TaskError> {
    let unexpected = |what: &str| TaskError::Unexpected(format!("{package}: {what} in {}", raw.protobuf));
    let parts: Vec<&str> = raw.protobuf.split(',').collect();
    let tag = parts.get(1).and_then(|tag| tag.parse().ok());
    let tag = tag.ok_or_else(|| unexpected("no number"))?;
    let shape = shape(packages, package, content, &raw.of).ok_or_else(|| unexpected(&raw.of))?;
    let named = parts.iter().find_map(|part| part.strip_prefix("name="));
    let (json, flags) = match &raw.json {
        None => (named.unwrap_or_default(), "omitempty"),
        Some(json) => json.split_once(',').unwrap_or((json, "")),
    };
    let letter = if json.is_empty() { 'x' } else { shape.letter };
    let always = !flags.split(',').any(|flag| flag == "omitempty");
    Ok(GoField {
        json: json.to_owned(),
        tag,
        letter,
        of: shape.of,
        pointer: shape.pointer,
        always: always && !shape.pointer && "sibd".contains(letter),
    })
}

/// What a type expression stands for; `None` when it is none of protobuf's.
fn shape(packages: &BTreeMap<String, Package>, package: &str, content: &Package, of: &str) -> Option<Shape> {
    let plain = |letter| {
        Some(Shape {
            letter,
            of: None,
            pointer: false,
        })
    };
    if let Some(inner) = of.strip_prefix('*') {
        let inner = shape(packages, package, content, inner)?;
        return Some(Shape { pointer: true, ..inner });
    }
    if of == "[]byte" {
        return plain('y');
    }
    if let Some(inner) = of.strip_prefix("[]") {
        let inner = shape(packages, package, content, inner)?;
        return Some(Shape {
            letter: inner.letter.to_ascii_uppercase(),
            pointer: false,
            ..inner
        });
    }
    if let Some(rest) = of.strip_prefix("map[") {
        let (_, values) = rest.split_once(']')?;
        let values = shape(packages, package, content, values)?;
        let letter = match values.letter {
            's' => 't',
            'y' => 'u',
            'o' => 'v',
            _ => return None,
        };
        return Some(Shape { letter, ..values });
    }
    match of {
        "string" => return plain('s'),
        "bool" => return plain('b'),
        "float64" => return plain('d'),
        "int" | "int8" | "int16" | "int32" | "int64" | "uint32" | "uint64" => return plain('i'),
        _ => {}
    }
    let (home, name) = match of.split_once('.') {
        Some((alias, name)) => (content.imports.get(alias)?.as_str(), name),
        None => (package, of),
    };
    let message = || {
        Some(Shape {
            letter: 'o',
            of: Some(format!("{home}.{name}")),
            pointer: false,
        })
    };
    match packages.get(home).and_then(|package| package.types.get(name)) {
        Some(Declared::Struct { .. } | Declared::Named(_, true)) => message(),
        Some(Declared::Named(of, false)) => shape(packages, home, packages.get(home)?, of),
        None if home == "types" => plain('s'),
        // Types that this reader does not look into have a form of their own.
        None => message(),
    }
}
