//! What is wrong with the `spec` of a definition. Source: `apis/apiextensions/validation/validation.go`.
//!
//! Upstream keeps what all versions have in common at the top of `spec`, and names it there in its errors.

use std::collections::BTreeSet;

use kube_types::dynamic::{Object, Value};
use object_rules::field::Errors;
use object_rules::names;
use object_rules::tree::{Node, at, child, flag, items, text, texts};

use super::schema_rules;
use crate::json_path::JsonPath;
use crate::schema::Schema;

/// More selectable fields than this are refused.
const MOST_SELECTABLE: usize = 8;
const COLUMN_TYPES: &[&str] = &["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: &[&str] = &[
    "byte",
    "date",
    "date-time",
    "double",
    "float",
    "int32",
    "int64",
    "password",
];

/// Collects what is wrong.
pub(super) fn validate(definition: &Object, errors: &mut Errors) {
    let empty = Node::new();
    let spec = child(&definition.0, "spec").unwrap_or(&empty);
    group_and_scope(spec, errors);
    let versions: Vec<&Node> = items(spec, "versions").collect();
    let hoisted = Hoisted::of(&versions);
    schemas_given(&versions, errors);
    for (index, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{index}]");
        if let Some(problem) = joined(names::dns1035_label(text(version, "name"))) {
            errors.invalid(format!("{path}.name"), text(version, "name"), problem);
        }
        deprecation(version, &path, errors);
        if !hoisted.schema {
            schema(version, &format!("{path}.schema"), errors);
        }
        if !hoisted.subresources {
            subresources(version, &format!("{path}.subresources"), errors);
        }
        if !hoisted.columns {
            columns(version, &path, errors);
        }
        if !hoisted.selectable {
            selectable(version, &path, errors);
        }
    }
    distinct(spec, &versions, errors);
    let empty_names = Node::new();
    let given = child(spec, "names").unwrap_or(&empty_names);
    for field in ["plural", "singular", "kind", "listKind"] {
        if text(given, field).is_empty() {
            errors.required(format!("spec.names.{field}"), "");
        }
    }
    check_names(given, "spec.names", errors);
    if let Some(first) = versions.first() {
        if hoisted.schema {
            schema(first, "spec.validation", errors);
        }
        if hoisted.subresources {
            subresources(first, "spec.subresources", errors);
        }
        if hoisted.columns {
            columns(first, "spec", errors);
        }
        if hoisted.selectable {
            selectable(first, "spec", errors);
        }
    }
    conversion(spec, errors);
    if flag(spec, "preserveUnknownFields") {
        let detail =
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.invalid("spec.preserveUnknownFields", true, detail);
    }
    stored_versions(definition, &versions, errors);
}

/// What all versions have in common.
struct Hoisted {
    schema: bool,
    subresources: bool,
    columns: bool,
    selectable: bool,
}

impl Hoisted {
    fn of(versions: &[&Node]) -> Self {
        let common = |field: &str| {
            let first = versions.first().and_then(|version| version.get(field));
            first.is_some() && versions.iter().all(|version| version.get(field) == first)
        };
        Self {
            schema: common("schema"),
            subresources: common("subresources"),
            columns: common("additionalPrinterColumns"),
            selectable: common("selectableFields"),
        }
    }
}

/// Upstream tells all that is wrong with such a name in one error.
fn joined(problems: Vec<String>) -> Option<String> {
    (!problems.is_empty()).then(|| problems.join(","))
}

fn group_and_scope(spec: &Node, errors: &mut Errors) {
    let group = text(spec, "group");
    if group.is_empty() {
        errors.required("spec.group", "");
    } else if let Some(problem) = joined(names::dns_subdomain(group)) {
        errors.invalid("spec.group", group, problem);
    } else if !group.contains('.') {
        errors.invalid("spec.group", group, "should be a domain with at least one dot");
    }
    match text(spec, "scope") {
        "" => errors.required("spec.scope", ""),
        "Cluster" | "Namespaced" => {}
        other => errors.not_supported("spec.scope", other, &["Cluster", "Namespaced"]),
    }
}

fn schemas_given(versions: &[&Node], errors: &mut Errors) {
    for (index, version) in versions.iter().enumerate() {
        if at(version, &["schema", "openAPIV3Schema"]).is_none() {
            errors.required(format!("spec.versions[{index}].schema.openAPIV3Schema"), "");
        }
    }
}

fn distinct(spec: &Node, versions: &[&Node], errors: &mut Errors) {
    let shown = || spec.get("versions").cloned().unwrap_or(Value::Null);
    let different: BTreeSet<&str> = versions.iter().map(|version| text(version, "name")).collect();
    if different.len() != versions.len() {
        errors.invalid("spec.versions", shown(), "must contain unique version names");
    }
    if versions.iter().filter(|version| flag(version, "storage")).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.invalid("spec.versions", shown(), detail);
    }
}

fn deprecation(version: &Node, path: &str, errors: &mut Errors) {
    let Some(Value::String(warning)) = version.get("deprecationWarning") else {
        return;
    };
    let path = format!("{path}.deprecationWarning");
    if !flag(version, "deprecated") {
        errors.invalid(path, warning.as_str(), "can only be set for deprecated versions");
        return;
    }
    if warning.len() > 256 {
        errors.invalid(path.as_str(), warning.as_str(), "must be <= 256 characters long");
    }
    if let Some((index, _)) = warning.char_indices().find(|(_, letter)| letter.is_control()) {
        let detail =
            format!("must only contain printable UTF-8 characters; non-printable character found at index {index}");
        errors.invalid(path, warning.as_str(), detail);
    }
}

fn schema(version: &Node, path: &str, errors: &mut Errors) {
    let Some(document) = at(version, &["schema", "openAPIV3Schema"]) else {
        return;
    };
    let has_status = at(version, &["subresources", "status"]).is_some();
    schema_rules::validate(document, has_status, &format!("{path}.openAPIV3Schema"), errors);
}

fn subresources(version: &Node, path: &str, errors: &mut Errors) {
    let Some(scale) = at(version, &["subresources", "scale"]) else {
        return;
    };
    for (field, roots, wanted) in [
        ("specReplicasPath", &[".spec."][..], "should be a json path under .spec"),
        (
            "statusReplicasPath",
            &[".status."],
            "should be a json path under .status",
        ),
        (
            "labelSelectorPath",
            &[".spec.", ".status."],
            "should be a json path under either .spec or .status",
        ),
    ] {
        let (given, path) = (text(scale, field), format!("{path}.scale.{field}"));
        if given.is_empty() {
            if field != "labelSelectorPath" {
                errors.required(path, "");
            }
        } else if !given.starts_with('.') {
            errors.invalid(path, given, "must be a simple json path starting with .");
        } else if !roots.iter().any(|root| given.starts_with(root)) {
            errors.invalid(path, given, wanted);
        }
    }
}

fn columns(version: &Node, path: &str, errors: &mut Errors) {
    for (index, column) in items(version, "additionalPrinterColumns").enumerate() {
        let path = format!("{path}.additionalPrinterColumns[{index}]");
        if text(column, "name").is_empty() {
            errors.required(format!("{path}.name"), "");
        }
        let types = format!("must be one of {}", COLUMN_TYPES.join(","));
        match text(column, "type") {
            "" => errors.required(format!("{path}.type"), types),
            known if COLUMN_TYPES.contains(&known) => {}
            other => errors.invalid(format!("{path}.type"), other, types),
        }
        let format = text(column, "format");
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
            let detail = format!("must be one of {}", COLUMN_FORMATS.join(","));
            errors.invalid(format!("{path}.format"), format, detail);
        }
        match text(column, "jsonPath") {
            "" => errors.required(format!("{path}.JSONPath"), ""),
            given if !given.starts_with('.') => {
                let detail = "must be a simple json path starting with .";
                errors.invalid(format!("{path}.JSONPath"), given, detail);
            }
            _ => {}
        }
    }
}

fn selectable(version: &Node, path: &str, errors: &mut Errors) {
    let Some(document) = at(version, &["schema", "openAPIV3Schema"]) else {
        return;
    };
    let schema = Schema::parse(document);
    let mut seen = BTreeSet::new();
    for (index, field) in items(version, "selectableFields").enumerate() {
        let (given, path) = (
            text(field, "jsonPath"),
            format!("{path}.selectableFields[{index}].jsonPath"),
        );
        if given.is_empty() {
            errors.required(path, "");
            continue;
        }
        let parts = given.strip_prefix('.').filter(|_| JsonPath::parse(given).is_ok());
        let found = parts.map(|parts| {
            parts
                .split('.')
                .try_fold(&schema, |schema, part| schema.properties.get(part))
        });
        let Some(found) = found else {
            let detail = "is an invalid path: must be a simple path of field names starting with .";
            errors.invalid(path, given, detail);
            continue;
        };
        if given.starts_with(".metadata") {
            errors.invalid(path.as_str(), given, "must not point to fields in metadata");
        } else if found.is_none() {
            let detail = format!("is an invalid path: does not refer to a valid field {given}");
            errors.invalid(path.as_str(), given, detail);
            continue;
        }
        if !found.is_some_and(|found| matches!(&*found.of, "string" | "boolean" | "integer")) {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with \
                          formats are allowed.";
            errors.invalid(path.as_str(), given, detail);
        }
        if !seen.insert(given) {
            errors.duplicate(path, given);
        }
    }
    if seen.len() > MOST_SELECTABLE {
        errors.too_many(format!("{path}.selectableFields"), seen.len(), MOST_SELECTABLE);
    }
}

/// What is wrong with names, wanted or accepted.
pub(super) fn check_names(given: &Node, path: &str, errors: &mut Errors) {
    for field in ["plural", "singular"] {
        let name = text(given, field);
        if let Some(problem) = joined(names::dns1035_label(name)).filter(|_| !name.is_empty()) {
            errors.invalid(format!("{path}.{field}"), name, problem);
        }
    }
    for field in ["kind", "listKind"] {
        let name = text(given, field);
        if let Some(problem) = joined(names::dns1035_label(&name.to_lowercase())).filter(|_| !name.is_empty()) {
            let detail = format!("may have mixed case, but should otherwise match: {problem}");
            errors.invalid(format!("{path}.{field}"), name, detail);
        }
    }
    let list_kind = text(given, "listKind");
    if !list_kind.is_empty() && text(given, "kind") == list_kind {
        errors.invalid(
            format!("{path}.listKind"),
            list_kind,
            "kind and listKind may not be the same",
        );
    }
    for field in ["shortNames", "categories"] {
        for (index, name) in texts(given, field).enumerate() {
            if let Some(problem) = joined(names::dns1035_label(name)) {
                errors.invalid(format!("{path}.{field}[{index}]"), name, problem);
            }
        }
    }
}

fn conversion(spec: &Node, errors: &mut Errors) {
    let Some(conversion) = child(spec, "conversion") else {
        return;
    };
    let path = "spec.conversion";
    match text(conversion, "strategy") {
        "Webhook" => {}
        "None" => {
            if conversion.contains_key("webhook") {
                let detail = "should not be set when strategy is not set to Webhook";
                errors.forbidden(format!("{path}.webhookClientConfig"), detail);
            }
            return;
        }
        "" => return errors.required(format!("{path}.strategy"), ""),
        other => return errors.not_supported(format!("{path}.strategy"), other, &["None", "Webhook"]),
    }
    let webhook = child(conversion, "webhook");
    let config = format!("{path}.webhookClientConfig");
    match webhook.and_then(|webhook| child(webhook, "clientConfig")) {
        None => errors.required(config, "required when strategy is set to Webhook"),
        Some(client) => match (client.get("url").and_then(Value::as_str), child(client, "service")) {
            (Some(url), None) if !url.starts_with("https://") => {
                let detail = format!(
                    "'https' is the only allowed URL scheme{}; desired format: https://host[/path]",
                    url.split_once("://").map_or("", |_| "")
                );
                errors.invalid(format!("{config}.url"), url, detail);
            }
            (Some(_), None) => {}
            (None, Some(service)) => {
                for field in ["name", "namespace"] {
                    if text(service, field).is_empty() {
                        let detail = format!("service {field} is required");
                        errors.required(format!("{config}.service.{field}"), detail);
                    }
                }
            }
            _ => errors.required(config, "exactly one of url or service is required"),
        },
    }
    review_versions(webhook, &format!("{path}.conversionReviewVersions"), errors);
}

fn review_versions(webhook: Option<&Node>, path: &str, errors: &mut Errors) {
    let given: Vec<&str> = webhook
        .into_iter()
        .flat_map(|webhook| texts(webhook, "conversionReviewVersions"))
        .collect();
    if given.is_empty() {
        return errors.required(path, "");
    }
    for (index, version) in given.iter().enumerate() {
        if given[..index].contains(version) {
            errors.invalid(format!("{path}[{index}]"), *version, "duplicate version");
            continue;
        }
        for problem in names::dns1035_label(version) {
            errors.invalid(format!("{path}[{index}]"), *version, problem);
        }
    }
    if !given.iter().any(|version| matches!(*version, "v1" | "v1beta1")) {
        let detail = "must include at least one of v1, v1beta1";
        let shown: Vec<Value> = given.into_iter().map(Value::from).collect();
        errors.invalid(path, shown, detail);
    }
}

fn stored_versions(definition: &Object, versions: &[&Node], errors: &mut Errors) {
    let path = "status.storedVersions";
    let empty = Node::new();
    let status = child(&definition.0, "status").unwrap_or(&empty);
    let stored: Vec<&str> = texts(status, "storedVersions").collect();
    let shown = || status.get("storedVersions").cloned().unwrap_or(Value::Null);
    if stored.is_empty() {
        errors.invalid(path, shown(), "must have at least one stored version");
        return;
    }
    for version in versions.iter().filter(|version| flag(version, "storage")) {
        let name = text(version, "name");
        if !stored.contains(&name) {
            errors.invalid(path, shown(), format!("must have the storage version {name}"));
        }
    }
    for (index, name) in stored.iter().enumerate() {
        if !versions.iter().any(|version| text(version, "name") == *name) {
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions \
                 until a storage migration ensures no data remains persisted in {name} and removes {name} from \
                 status.storedVersions"
            );
            errors.invalid(format!("{path}[{index}]"), *name, detail);
        }
    }
}

/// What may not change: scope and kind once the resource is served, the resource's name never.
pub(super) fn immutable(new: &Object, old: &Object, established: bool, errors: &mut Errors) {
    let value = |object: &Object, path: &[&str]| {
        let (last, way) = path.split_last()?;
        at(&object.0, way)?.get(*last).cloned()
    };
    let served: &[&[&str]] = &[&["spec", "scope"], &["spec", "names", "kind"]];
    let always: &[&[&str]] = &[&["spec", "group"], &["spec", "names", "plural"]];
    for path in served.iter().filter(|_| established).chain(always) {
        let wanted = value(new, path);
        if wanted != value(old, path) {
            errors.invalid(path.join("."), wanted.unwrap_or(Value::Null), "field is immutable");
        }
    }
}
