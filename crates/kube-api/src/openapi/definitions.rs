//! The schemas of all served kinds, with everything that clients of OpenAPI look for: how lists merge, defaults, kinds.
//!
//! Built-in kinds come from the published types; custom resources bring their schemas along ([`own_schema`]). Both
//! versions of the document are written from these ([`Dialect`]).

use std::collections::BTreeSet;

use custom_resources::openapi::{self, Form};
use kube_types::schema;
use object_merge::{FieldRule, ListType, always_present, definition_rules, is_atomic};
use registry::KindTable;
use registry::kinds::ResourceKind;
use serde_json::{Map, Value, json};

/// Where the generator of the schemas keeps them.
const GENERATED: &str = "#/$defs/";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";

/// A version of OpenAPI, as far as schemas differ between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Swagger 2: `#/definitions/`, no alternatives.
    V2,
    /// 3.0: `#/components/schemas/`, siblings of references stand beside `allOf`.
    V3,
}

impl Dialect {
    fn form(self) -> Form {
        match self {
            Self::V2 => Form::V2,
            Self::V3 => Form::V3,
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::V2 => "#/definitions/",
            Self::V3 => "#/components/schemas/",
        }
    }

    /// A reference to a schema.
    pub fn reference(self, name: &str) -> Value {
        json!({"$ref": format!("{}{name}", self.prefix())})
    }
}

/// Schemas by name, with references as the generator writes them.
pub(super) struct Definitions {
    schemas: Map<String, Value>,
    dialect: Dialect,
}

impl Definitions {
    /// The schemas of all served kinds and of what requests for them carry.
    pub fn of(kinds: &KindTable, dialect: Dialect) -> Self {
        let (mut schemas, _) = schema::definitions();
        for (name, schema) in &mut schemas {
            annotate(name, schema);
        }
        let mut definitions = Self { schemas, dialect };
        for kind in kinds.iter() {
            definitions.add_kind(kind);
        }
        definitions.add_requests(kinds);
        definitions
    }

    fn add_kind(&mut self, kind: &ResourceKind) {
        let Some(name) = name_of(kind) else { return };
        if let Some(own) = own_schema(kind, self.dialect) {
            self.schemas.insert(name.clone(), own);
        }
        let gvk = |kind_name: &str| json!([{"group": kind.group, "kind": kind_name, "version": kind.version}]);
        if let Some(Value::Object(schema)) = self.schemas.get_mut(&name) {
            schema.insert("x-kubernetes-group-version-kind".to_owned(), gvk(&kind.kind));
        }
        if kind.storage.is_some() {
            let list = json!({
                "description": format!("{} is a list of {}", kind.list_kind, kind.kind),
                "type": "object",
                "required": ["items"],
                "properties": {
                    "apiVersion": {"type": "string", "description": API_VERSION},
                    "items": {"type": "array", "description": format!("List of {}.", kind.plural),
                        "items": {"default": {}, "$ref": format!("{GENERATED}{name}")}},
                    "kind": {"type": "string", "description": KIND},
                    "metadata": {"default": {}, "description": "Metadata of the list.",
                        "$ref": format!("{GENERATED}{META}ListMeta")},
                },
                "x-kubernetes-group-version-kind": gvk(&kind.list_kind),
            });
            self.schemas.insert(list_name(kind, &name), list);
        }
    }

    /// What the bodies of patches and deletions are; every version has its own name for them.
    fn add_requests(&mut self, kinds: &KindTable) {
        self.schemas.insert(
            patch_name(),
            json!({"type": "object", "description": "What is to change, in the form that the media type names."}),
        );
        let versions: BTreeSet<(String, String)> = kinds
            .iter()
            .map(|kind| (kind.group.to_string(), kind.version.to_string()))
            .collect();
        let gvks: Vec<Value> = versions
            .into_iter()
            .map(|(group, version)| json!({"group": group, "kind": "DeleteOptions", "version": version}))
            .collect();
        if let Some(Value::Object(options)) = self.schemas.get_mut(&delete_options_name()) {
            options.insert("x-kubernetes-group-version-kind".to_owned(), Value::Array(gvks));
        }
        if let Some(Value::Object(status)) = self.schemas.get_mut(&status_name()) {
            let gvk = json!([{"group": "", "kind": "Status", "version": "v1"}]);
            status.insert("x-kubernetes-group-version-kind".to_owned(), gvk);
        }
    }

    /// These schemas and all that they refer to, in the version's form, sorted by name.
    pub fn written<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Map<String, Value> {
        let mut open: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let mut found: BTreeSet<String> = BTreeSet::new();
        while let Some(name) = open.pop() {
            let Some(schema) = self.schemas.get(&name).filter(|_| !found.contains(&name)) else {
                continue;
            };
            references(schema, &mut open);
            found.insert(name);
        }
        let written = found.into_iter().map(|name| {
            let schema = write(&name, &self.schemas[&name], self.dialect);
            (name, schema)
        });
        written.collect()
    }
}

const API_VERSION: &str = "APIVersion is the version of the schema of this object.";
const KIND: &str = "Kind is the kind of this object.";

/// Name of a kind's schema.
pub(super) fn name_of(kind: &ResourceKind) -> Option<String> {
    if let Some(schema) = schema::lookup(&kind.gvk()) {
        return Some(schema.shape().definition().to_owned());
    }
    kind.custom.as_ref()?;
    // `example.com`, `v1`, `Thing`: `com.example.v1.Thing`.
    let group: Vec<&str> = kind.group.rsplit('.').collect();
    Some(format!("{}.{}.{}", group.join("."), kind.version, kind.kind))
}

/// The schema of a custom resource as its definition has it, with `metadata` and references as the generator of built-in
/// schemas writes them (`#/$defs/io.k8s.…`).
pub(super) fn own_schema(kind: &ResourceKind, dialect: Dialect) -> Option<Value> {
    let custom = kind.custom.as_ref()?;
    Some(openapi::document(&custom.definition, custom.version(), dialect.form()))
}

/// Name of the schema of a kind's lists.
pub(super) fn list_name(kind: &ResourceKind, name: &str) -> String {
    match name.rsplit_once('.') {
        Some((package, _)) => format!("{package}.{}", kind.list_kind),
        None => kind.list_kind.to_string(),
    }
}

pub(super) fn delete_options_name() -> String {
    format!("{META}DeleteOptions")
}

pub(super) fn status_name() -> String {
    format!("{META}Status")
}

pub(super) fn patch_name() -> String {
    format!("{META}Patch")
}

/// Adds to a generated schema what the types say besides.
fn annotate(name: &str, schema: &mut Value) {
    let Value::Object(members) = schema else { return };
    members.shift_remove("title");
    members.shift_remove("$schema");
    if is_atomic(name) {
        members.insert("x-kubernetes-map-type".to_owned(), "atomic".into());
    }
    let required: BTreeSet<String> = members
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|field| field.as_str().map(str::to_owned))
        .collect();
    let (rules, always) = (definition_rules(name), always_present(name));
    let properties = members.get_mut("properties").and_then(Value::as_object_mut);
    for (field, property) in properties.into_iter().flatten() {
        let Value::Object(property) = property else { continue };
        let rule = rules.field(field);
        let default = match rule.and_then(|rule| rule.default.clone()) {
            Some(declared) => Some(declared),
            None if always.contains(&field.as_str()) => Some(json!({})),
            None if required.contains(field) => zero(property),
            None => None,
        };
        if let Some(default) = default {
            property.insert("default".to_owned(), default);
        }
        if let Some(rule) = rule {
            annotate_field(property, rule);
        }
    }
}

/// What Go makes of a scalar that is not given.
fn zero(property: &Map<String, Value>) -> Option<Value> {
    match property.get("type").and_then(Value::as_str)? {
        "string" => Some("".into()),
        "integer" | "number" => Some(0.into()),
        "boolean" => Some(false.into()),
        _ => None,
    }
}

fn annotate_field(property: &mut Map<String, Value>, rule: &FieldRule) {
    let names = [
        (rule.merge, "merge"),
        (rule.retain_keys, "retainKeys"),
        (rule.replace, "replace"),
    ];
    let strategies: Vec<&str> = names
        .into_iter()
        .filter(|(set, _)| *set)
        .map(|(_, name)| name)
        .collect();
    if !strategies.is_empty() {
        property.insert("x-kubernetes-patch-strategy".to_owned(), strategies.join(",").into());
    }
    if let Some(key) = rule.patch_key {
        property.insert("x-kubernetes-patch-merge-key".to_owned(), key.into());
    }
    if let Some(atomic) = rule.atomic {
        let kind = if atomic { "atomic" } else { "granular" };
        property.insert("x-kubernetes-map-type".to_owned(), kind.into());
    }
    if !rule.list {
        return;
    }
    let kind = match &rule.list_type {
        ListType::Atomic => "atomic",
        ListType::Set => "set",
        ListType::Map(keys) => {
            property.insert("x-kubernetes-list-map-keys".to_owned(), json!(keys));
            "map"
        }
    };
    property.insert("x-kubernetes-list-type".to_owned(), kind.into());
}

/// The names that a schema refers to.
fn references(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            let reference = members.get("$ref").and_then(Value::as_str);
            found.extend(reference.and_then(|reference| Some(reference.strip_prefix(GENERATED)?.to_owned())));
            members.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// A schema in a version's form.
fn write(name: &str, schema: &Value, dialect: Dialect) -> Value {
    let alternatives = match (name, dialect) {
        (QUANTITY, Dialect::V3) => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        (INT_OR_STRING, Dialect::V3) => {
            json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
        }
        (QUANTITY, Dialect::V2) => json!({"type": "string"}),
        (INT_OR_STRING, Dialect::V2) => json!({"format": "int-or-string", "type": "string"}),
        _ => return rewrite(schema, dialect),
    };
    let mut written = alternatives;
    if let Some(description) = schema.get("description") {
        written["description"] = description.clone();
    }
    written
}

fn rewrite(schema: &Value, dialect: Dialect) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(|item| rewrite(item, dialect)).collect(),
        Value::Object(members) => {
            let mut written: Map<String, Value> = members
                .iter()
                // A field of an object may have that name too.
                .filter(|(key, value)| *key != "$ref" || !value.is_string())
                .map(|(key, value)| (key.clone(), rewrite(value, dialect)))
                .collect();
            let reference = members.get("$ref").and_then(Value::as_str);
            if let Some(name) = reference.and_then(|reference| reference.strip_prefix(GENERATED)) {
                let reference = dialect.reference(name);
                match dialect {
                    Dialect::V3 if !written.is_empty() => written.insert("allOf".to_owned(), json!([reference])),
                    _ => written.insert("$ref".to_owned(), reference["$ref"].clone()),
                };
            }
            Value::Object(written)
        }
        scalar => scalar.clone(),
    }
}
