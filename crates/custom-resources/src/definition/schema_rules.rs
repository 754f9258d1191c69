//! What is wrong with the schema in a definition. Source: `ValidateCustomResourceDefinitionOpenAPISchema`.

use kube_types::dynamic::Value;
use object_rules::field::{Error, Errors, Kind};
use object_rules::tree::{Node, child, flag, items, text, texts};

use super::{default_rules, structural};
use crate::rules;
use crate::schema::Schema;

const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];

/// Fields that the root may have beside a status subresource, as upstream's Go names them.
const AT_ROOT: &[(&str, &str)] = &[
    ("description", "Description"),
    ("type", "Type"),
    ("format", "Format"),
    ("title", "Title"),
    ("maximum", "Maximum"),
    ("exclusiveMaximum", "ExclusiveMaximum"),
    ("minimum", "Minimum"),
    ("exclusiveMinimum", "ExclusiveMinimum"),
    ("maxLength", "MaxLength"),
    ("minLength", "MinLength"),
    ("pattern", "Pattern"),
    ("maxItems", "MaxItems"),
    ("minItems", "MinItems"),
    ("uniqueItems", "UniqueItems"),
    ("multipleOf", "MultipleOf"),
    ("required", "Required"),
    ("items", "Items"),
    ("properties", "Properties"),
    ("externalDocs", "ExternalDocs"),
    ("example", "Example"),
    ("x-kubernetes-preserve-unknown-fields", "XPreserveUnknownFields"),
    ("x-kubernetes-validations", "XValidations"),
];

/// Collects what is wrong with a whole schema.
pub(super) fn validate(document: &Node, has_status: bool, path: &str, errors: &mut Errors) {
    if has_status {
        beside_status(document, path, errors);
    }
    if flag(document, "nullable") {
        errors.forbidden(format!("{path}.nullable"), "nullable cannot be true at the root");
    }
    let before = errors.iter().count();
    structural::validate(document, path, errors);
    if errors.iter().count() == before {
        default_rules::validate(&Schema::parse(document), path, errors);
    }
    let mut found = Vec::new();
    let place = Place {
        path: path.to_owned(),
        root: true,
        in_meta: false,
        no_defaults: None,
    };
    check(document, &place, &mut found);
    let is_sound = found.is_empty() && errors.iter().count() == before;
    errors.extend(found);
    if is_sound {
        // Of a schema that is not sound, a compiler would complain in words that help nobody.
        let schema = Schema::parse(document);
        let (rules, problems) = rules::compile(&schema, path);
        errors.extend(problems);
        if let Some(rules) = rules {
            errors.extend(rules::check_costs(&schema, &rules, path));
        }
    }
}

fn beside_status(document: &Node, path: &str, errors: &mut Errors) {
    let of = text(document, "type");
    if document.contains_key("type") && of != "object" {
        let detail =
            "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        errors.invalid(format!("{path}.type"), of, detail);
    }
    let others = document
        .keys()
        .any(|field| AT_ROOT.iter().all(|(name, _)| name != field));
    if others {
        let listed: Vec<&str> = AT_ROOT.iter().map(|(_, name)| *name).collect();
        let detail = format!(
            "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
            listed.join(" ")
        );
        errors.invalid(path, Value::Object(document.clone()), detail);
    }
}

/// Where in a definition a schema stands, and what is forbidden there.
#[derive(Clone)]
struct Place {
    path: String,
    root: bool,
    in_meta: bool,
    /// Why defaults are forbidden.
    no_defaults: Option<String>,
}

impl Place {
    fn below(&self, step: &str) -> Self {
        Self {
            path: format!("{}{step}", self.path),
            root: false,
            ..self.clone()
        }
    }
}

fn push(found: &mut Vec<Error>, kind: Kind, field: String, value: Option<Value>, detail: impl Into<String>) {
    found.push(Error {
        kind,
        field,
        value,
        detail: detail.into(),
    });
}

fn check(schema: &Node, place: &Place, found: &mut Vec<Error>) {
    allowed(schema, place, found);
    let path = &place.path;
    if let Some(Value::Object(below)) = schema.get("additionalProperties") {
        let mut place = place.below(".additionalProperties");
        if place.in_meta {
            place.no_defaults = Some("inside additionalProperties applying to object metadata".to_owned());
        }
        check(below, &place, found);
    }
    if child(schema, "properties").is_some_and(|properties| !properties.is_empty())
        && schema
            .get("additionalProperties")
            .is_some_and(|value| *value != Value::Bool(true))
    {
        let detail = "additionalProperties and properties are mutual exclusive";
        push(
            found,
            Kind::Forbidden,
            format!("{path}.additionalProperties"),
            None,
            detail,
        );
    }
    let embedded = flag(schema, "x-kubernetes-embedded-resource");
    for (name, below) in child(schema, "properties").into_iter().flatten() {
        let Some(below) = below.as_object() else { continue };
        let mut inner = place.below(&format!(".properties[{name}]"));
        if (place.root || embedded) && matches!(name.as_str(), "metadata" | "kind" | "apiVersion") {
            inner.in_meta = true;
            if place.root {
                inner.no_defaults = Some(format!("in top-level {name}"));
            }
        }
        check(below, &inner, found);
    }
    if let Some(below) = child(schema, "not") {
        check(below, &place.below(".not"), found);
    }
    for list in ["allOf", "oneOf", "anyOf"] {
        for (index, below) in items(schema, list).enumerate() {
            check(below, &place.below(&format!(".{list}[{index}]")), found);
        }
    }
    if let Some(below) = child(schema, "items") {
        check(below, &place.below(".items"), found);
    }
    lists_and_maps(schema, path, found);
    rule_forms(schema, path, found);
}

/// Parts of JSON Schema that are not allowed.
fn allowed(schema: &Node, place: &Place, found: &mut Vec<Error>) {
    let path = &place.path;
    let of = text(schema, "type");
    if !of.is_empty() && !TYPES.contains(&of) {
        let listed: Vec<String> = TYPES.iter().map(|name| format!("\"{name}\"")).collect();
        let detail = format!("supported values: {}", listed.join(", "));
        push(
            found,
            Kind::NotSupported,
            format!("{path}.type"),
            Some(of.into()),
            detail,
        );
    }
    if let (Some(reason), true) = (&place.no_defaults, schema.contains_key("default")) {
        let detail = format!("must not be set {reason}");
        push(found, Kind::Forbidden, format!("{path}.default"), None, detail);
    }
    for (field, forbidden) in [
        ("id", "id is not supported"),
        ("additionalItems", "additionalItems is not supported"),
        ("patternProperties", "patternProperties is not supported"),
        ("definitions", "definitions is not supported"),
        ("dependencies", "dependencies is not supported"),
        ("$ref", "$ref is not supported"),
    ] {
        if schema.contains_key(field) {
            push(found, Kind::Forbidden, format!("{path}.{field}"), None, forbidden);
        }
    }
    if of == "null" {
        let detail = "type cannot be set to null, use nullable as an alternative";
        push(found, Kind::Forbidden, format!("{path}.type"), None, detail);
    }
    if schema.get("items").is_some_and(Value::is_array) {
        let detail = "items must be a schema object and not an array";
        push(found, Kind::Forbidden, format!("{path}.items"), None, detail);
    }
    if place.in_meta && flag(schema, "x-kubernetes-embedded-resource") {
        let detail = "must not be used inside of resource meta";
        let field = format!("{path}.x-kubernetes-embedded-resource");
        push(found, Kind::Forbidden, field, None, detail);
    }
    if flag(schema, "uniqueItems") {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        push(found, Kind::Forbidden, format!("{path}.uniqueItems"), None, detail);
    }
    let preserve = "x-kubernetes-preserve-unknown-fields";
    if schema.get(preserve) == Some(&Value::Bool(false)) {
        let detail = "must be true or undefined";
        push(
            found,
            Kind::Invalid,
            format!("{path}.{preserve}"),
            Some(false.into()),
            detail,
        );
    }
}

/// A type that an extension asks for.
fn needs_type(schema: &Node, path: &str, wanted: &str, detail: &str, found: &mut Vec<Error>) {
    let of = text(schema, "type");
    let field = format!("{path}.type");
    if of.is_empty() {
        push(found, Kind::Required, field, None, detail);
    } else if of != wanted {
        push(found, Kind::Invalid, field, Some(of.into()), detail);
    }
}

fn lists_and_maps(schema: &Node, path: &str, found: &mut Vec<Error>) {
    const LIST: &str = "x-kubernetes-list-type";
    const MAP: &str = "x-kubernetes-map-type";
    let unknown = |found: &mut Vec<Error>, field: &str, given: &str, known: &[&str]| {
        let listed: Vec<String> = known.iter().map(|name| format!("\"{name}\"")).collect();
        let detail = format!("supported values: {}", listed.join(", "));
        push(
            found,
            Kind::NotSupported,
            format!("{path}.{field}"),
            Some(given.into()),
            detail,
        );
    };
    if let Some(Value::String(given)) = schema.get(MAP) {
        let detail = "must be object if x-kubernetes-map-type is specified";
        needs_type(schema, path, "object", detail, found);
        if !matches!(given.as_str(), "atomic" | "granular") {
            unknown(found, MAP, given, &["atomic", "granular"]);
        }
    }
    let list_type = schema.get(LIST).and_then(Value::as_str);
    if let Some(given) = list_type {
        let detail = "must be array if x-kubernetes-list-type is specified";
        needs_type(schema, path, "array", detail, found);
        if !matches!(given, "atomic" | "set" | "map") {
            unknown(found, LIST, given, &["atomic", "set", "map"]);
        }
    }
    if list_type == Some("set") {
        set_items(schema, path, found);
    }
    let keys: Vec<&str> = texts(schema, "x-kubernetes-list-map-keys").collect();
    if !keys.is_empty() && list_type != Some("map") {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        match list_type {
            None => push(found, Kind::Required, format!("{path}.{LIST}"), None, detail),
            Some(other) => push(
                found,
                Kind::Invalid,
                format!("{path}.{LIST}"),
                Some(other.into()),
                detail,
            ),
        }
    }
    if list_type == Some("map") {
        keyed_items(schema, &keys, path, found);
    }
    if let (Some(of @ ("set" | "map")), Some(below)) = (list_type, child(schema, "items"))
        && flag(below, "nullable")
    {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {of}");
        push(found, Kind::Forbidden, format!("{path}.items.nullable"), None, detail);
    }
}

fn set_items(schema: &Node, path: &str, found: &mut Vec<Error>) {
    let Some(below) = child(schema, "items") else { return };
    let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let (field, sound) = match text(below, "type") {
        "array" => {
            let field = "x-kubernetes-list-type";
            (field, matches!(text(below, field), "" | "atomic"))
        }
        "object" => {
            let field = "x-kubernetes-map-type";
            (field, text(below, field) == "atomic")
        }
        _ => return,
    };
    if !sound {
        let given = below.get(field).cloned().unwrap_or(Value::Null);
        push(
            found,
            Kind::Invalid,
            format!("{path}.items.{field}"),
            Some(given),
            detail,
        );
    }
}

fn keyed_items(schema: &Node, keys: &[&str], path: &str, found: &mut Vec<Error>) {
    let keys_path = format!("{path}.x-kubernetes-list-map-keys");
    if keys.is_empty() {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        push(found, Kind::Required, keys_path.clone(), None, detail);
    }
    let Some(below) = child(schema, "items") else {
        let detail = "must have a schema if x-kubernetes-list-type is map";
        return push(found, Kind::Required, format!("{path}.items"), None, detail);
    };
    let of = text(below, "type");
    if of != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        return push(
            found,
            Kind::Invalid,
            format!("{path}.items.type"),
            Some(of.into()),
            detail,
        );
    }
    let shown = || {
        Some(Value::from(
            keys.iter().map(|key| Value::from(*key)).collect::<Vec<_>>(),
        ))
    };
    for (index, key) in keys.iter().enumerate() {
        let item = format!("{path}.items.properties[{key}]");
        match child(below, "properties").and_then(|properties| child(properties, key)) {
            None => {
                let detail = "entries must all be names of item properties";
                push(found, Kind::Invalid, keys_path.clone(), shown(), detail);
            }
            Some(property) => {
                if matches!(text(property, "type"), "array" | "object") {
                    let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                    push(found, Kind::Invalid, format!("{item}.type"), Some(of.into()), detail);
                }
                if !texts(below, "required").any(|name| name == *key) && !property.contains_key("default") {
                    let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
                    push(found, Kind::Required, format!("{item}.default"), None, detail);
                }
                if flag(property, "nullable") {
                    let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
                    push(found, Kind::Forbidden, format!("{item}.nullable"), None, detail);
                }
            }
        }
        if keys[..index].contains(key) {
            let detail = "must not contain duplicate entries";
            push(found, Kind::Invalid, keys_path.clone(), shown(), detail);
        }
    }
}

const REASONS: &[&str] = &[
    "FieldValueRequired",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueDuplicate",
];

/// The form of validation rules, before they are compiled.
fn rule_forms(schema: &Node, path: &str, found: &mut Vec<Error>) {
    for (index, rule) in items(schema, "x-kubernetes-validations").enumerate() {
        let path = format!("{path}.x-kubernetes-validations[{index}]");
        rule_and_message(rule, &path, found);
        let reason = text(rule, "reason");
        if !reason.is_empty() && !REASONS.contains(&reason) {
            let mut listed: Vec<String> = REASONS.iter().map(|name| format!("\"{name}\"")).collect();
            listed.sort();
            let detail = format!("supported values: {}", listed.join(", "));
            push(
                found,
                Kind::NotSupported,
                format!("{path}.reason"),
                Some(reason.into()),
                detail,
            );
        }
        let given = text(rule, "fieldPath");
        if !given.is_empty() && !field_path_is_known(schema, given) {
            let shown = Some(given.into());
            push(
                found,
                Kind::Invalid,
                format!("{path}.fieldPath"),
                shown,
                "must be a valid path",
            );
        }
    }
}

fn rule_and_message(rule: &Node, path: &str, found: &mut Vec<Error>) {
    let breaks = |text: &str| text.contains(['\n', '\r']);
    let own = |field: &str| text(rule, field);
    let trimmed = own("message").trim();
    let message = Some(Value::from(own("message")));
    if own("rule").trim().is_empty() {
        push(
            found,
            Kind::Required,
            format!("{path}.rule"),
            None,
            "rule is not specified",
        );
    } else if !own("message").is_empty() && trimmed.is_empty() {
        push(
            found,
            Kind::Invalid,
            format!("{path}.message"),
            message,
            "must be non-empty if specified",
        );
    } else if breaks(trimmed) {
        push(
            found,
            Kind::Invalid,
            format!("{path}.message"),
            message,
            "must not contain line breaks",
        );
    } else if breaks(own("rule").trim()) && trimmed.is_empty() {
        let detail = "message must be specified if rule contains line breaks";
        push(found, Kind::Required, format!("{path}.message"), None, detail);
    }
    if !own("messageExpression").is_empty() && own("messageExpression").trim().is_empty() {
        let detail = "messageExpression must be non-empty if specified";
        push(found, Kind::Required, format!("{path}.messageExpression"), None, detail);
    }
}

/// Whether the path of a rule's error leads to a field of the schema.
fn field_path_is_known(schema: &Node, path: &str) -> bool {
    let schema = Schema::parse(schema);
    let Some(steps) = crate::field_path::parse(path) else {
        return false;
    };
    steps
        .iter()
        .try_fold(&schema, |schema, step| schema.field(step))
        .is_some()
}
