//! FlowSchemas and priority levels.
//!
//! Source: `pkg/apis/flowcontrol/v1/defaults.go` and `validation/validation.go`.

#[cfg(test)]
mod tests;

use kube_types::dynamic::{Object, Value, json};

use crate::extensions::COUNTED;
use crate::field::Errors;
use crate::names;
use crate::rules::Rules;
use crate::tree::{self, Node, child, child_mut, default, ensure, flag, int, items, text};

/// The highest precedence; lower numbers match first.
const LAST_PRECEDENCE: i64 = 10_000;
const MOST_QUEUES: i64 = 10_000_000;
/// Bits of the hash from which the hand of queues is dealt.
const HASH_BITS: f64 = 60.0;
/// The name that the rules of what is never limited hang on.
const EXEMPT: &str = "exempt";

const VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "proxy",
    "update",
    "watch",
];

pub(crate) static FLOW_SCHEMA: Rules = Rules {
    defaults: |schema| default(ensure(&mut schema.0, "spec"), "matchingPrecedence", 1000),
    validate: flow_schema,
    validate_status: |new, _, errors| conditions(new, errors),
    status: true,
    ..COUNTED
};

pub(crate) static PRIORITY_LEVEL: Rules = Rules {
    defaults: |level| {
        let spec = ensure(&mut level.0, "spec");
        if text(spec, "type") == "Exempt" {
            let exempt = ensure(spec, "exempt");
            default(exempt, "nominalConcurrencyShares", 0);
            default(exempt, "lendablePercent", 0);
        }
        let Some(limited) = child_mut(spec, "limited") else {
            return;
        };
        default(limited, "nominalConcurrencyShares", 30);
        default(limited, "lendablePercent", 0);
        let response = child_mut(limited, "limitResponse");
        if let Some(queuing) = response.and_then(|response| child_mut(response, "queuing")) {
            default(queuing, "handSize", 8);
            default(queuing, "queues", 64);
            default(queuing, "queueLengthLimit", 50);
        }
    },
    validate: priority_level,
    validate_status: |new, _, errors| conditions(new, errors),
    status: true,
    ..COUNTED
};

fn flow_schema(schema: &Object, errors: &mut Errors) {
    let (name, none) = (schema.name().unwrap_or_default(), Node::new());
    let spec = child(&schema.0, "spec").unwrap_or(&none);
    let precedence = int(spec, "matchingPrecedence").unwrap_or(0);
    let field = "spec.matchingPrecedence";
    if precedence <= 0 {
        errors.invalid(field, precedence, "must be a positive value");
    }
    if precedence > LAST_PRECEDENCE {
        errors.invalid(field, precedence, format!("must not be greater than {LAST_PRECEDENCE}"));
    }
    if precedence == 1 && name != EXEMPT {
        let detail = "only the schema named 'exempt' may have matchingPrecedence 1";
        errors.invalid(field, precedence, detail);
    }
    if let Some(method) = child(spec, "distinguisherMethod") {
        let kind = text(method, "type");
        if !matches!(kind, "ByNamespace" | "ByUser") {
            errors.not_supported("spec.distinguisherMethod.type", kind, &["ByNamespace", "ByUser"]);
        }
    }
    let level = child(spec, "priorityLevelConfiguration").map_or("", |level| text(level, "name"));
    let field = "spec.priorityLevelConfiguration.name";
    if level.is_empty() {
        errors.required(field, "must reference a priority level");
    } else {
        for problem in names::dns_subdomain(level) {
            errors.invalid(field, level, problem);
        }
    }
    for (index, one) in items(spec, "rules").enumerate() {
        rule(one, &format!("spec.rules[{index}]"), errors);
    }
    let fixed = match name {
        EXEMPT => Some(
            json!({"matchingPrecedence": 1, "priorityLevelConfiguration": {"name": EXEMPT},
            "rules": [anything(&["system:masters"])]}),
        ),
        "catch-all" => Some(json!({"matchingPrecedence": LAST_PRECEDENCE,
            "priorityLevelConfiguration": {"name": "catch-all"}, "distinguisherMethod": {"type": "ByUser"},
            "rules": [anything(&["system:unauthenticated", "system:authenticated"])]})),
        _ => None,
    };
    if fixed.is_some_and(|fixed| !same(&Value::Object(spec.clone()), &fixed)) {
        let detail = format!("spec of '{name}' must equal the fixed value");
        errors.invalid("spec", Value::Object(spec.clone()), detail);
    }
    conditions(schema, errors);
}

/// What the groups of a mandatory schema may ask for: everything.
fn anything(groups: &[&str]) -> Value {
    let subjects: Vec<Value> = groups
        .iter()
        .map(|name| json!({"kind": "Group", "group": {"name": name}}))
        .collect();
    json!({"subjects": subjects,
        "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true,
            "namespaces": ["*"]}],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]})
}

/// Equality to which what is empty is absent.
fn same(one: &Value, other: &Value) -> bool {
    fn bare(value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let members = members.iter().map(|(name, value)| (name.clone(), bare(value)));
                Value::Object(members.filter(|(_, value)| !is_empty(value)).collect())
            }
            Value::Array(items) => Value::Array(items.iter().map(bare).collect()),
            other => other.clone(),
        }
    }
    fn is_empty(value: &Value) -> bool {
        match value {
            Value::Null | Value::Bool(false) => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::String(text) => text.is_empty(),
            _ => false,
        }
    }
    bare(one) == bare(other)
}

fn rule(rule: &Node, field: &str, errors: &mut Errors) {
    if items(rule, "subjects").next().is_none() {
        errors.required(format!("{field}.subjects"), "subjects must contain at least one value");
    }
    for (index, one) in items(rule, "subjects").enumerate() {
        subject(one, &format!("{field}.subjects[{index}]"), errors);
    }
    let (resources, paths) = ("resourceRules", "nonResourceRules");
    if items(rule, resources).next().is_none() && items(rule, paths).next().is_none() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.required(field, detail);
    }
    for (index, one) in items(rule, resources).enumerate() {
        resource_rule(one, &format!("{field}.{resources}[{index}]"), errors);
    }
    for (index, one) in items(rule, paths).enumerate() {
        path_rule(one, &format!("{field}.{paths}[{index}]"), errors);
    }
}

/// Kinds of subjects and the members that describe them.
const SUBJECTS: &[(&str, &str)] = &[
    ("ServiceAccount", "serviceAccount"),
    ("User", "user"),
    ("Group", "group"),
];

fn subject(subject: &Node, field: &str, errors: &mut Errors) {
    let kind = text(subject, "kind");
    let Some((_, own)) = SUBJECTS.iter().find(|(known, _)| *known == kind) else {
        errors.not_supported(format!("{field}.kind"), kind, &["Group", "ServiceAccount", "User"]);
        return;
    };
    match child(subject, own) {
        None => {
            let detail = format!("{own} is required when subject kind is '{kind}'");
            errors.required(format!("{field}.{own}"), detail);
        }
        Some(named) => named_subject(kind, named, &format!("{field}.{own}"), errors),
    }
    for (other, member) in SUBJECTS.iter().filter(|(_, member)| member != own) {
        if child(subject, member).is_some() {
            let detail = format!("{member} is forbidden when subject kind is not '{other}'");
            errors.forbidden(format!("{field}.{member}"), detail);
        }
    }
}

fn named_subject(kind: &str, named: &Node, field: &str, errors: &mut Errors) {
    let name = text(named, "name");
    if name.is_empty() {
        errors.required(format!("{field}.name"), "");
    }
    if kind != "ServiceAccount" {
        return;
    }
    if !name.is_empty() && name != "*" {
        for problem in names::dns_subdomain(name) {
            errors.invalid(format!("{field}.name"), name, problem);
        }
    }
    let (namespace, field) = (text(named, "namespace"), format!("{field}.namespace"));
    if namespace.is_empty() {
        errors.required(field, "must specify namespace for service account");
        return;
    }
    for problem in names::dns_label(namespace) {
        errors.invalid(&field, namespace, problem);
    }
}

fn texts<'a>(node: &'a Node, field: &str) -> Vec<&'a str> {
    tree::texts(node, field).collect()
}

fn shown(values: &[&str]) -> Value {
    values.iter().map(|value| Value::from(*value)).collect()
}

/// A list in which `*` stands alone; true when it is there.
fn wildcard(values: &[&str], field: &str, others: &str, errors: &mut Errors) -> bool {
    let found = values.contains(&"*");
    if found && values.len() > 1 {
        let detail = format!("if '*' is present, must not specify other {others}");
        errors.invalid(field, shown(values), detail);
    }
    found
}

fn verbs(rule: &Node, field: &str, errors: &mut Errors) {
    let (verbs, field) = (texts(rule, "verbs"), format!("{field}.verbs"));
    if verbs.is_empty() {
        errors.required(field, "verbs must contain at least one value");
    } else if !wildcard(&verbs, &field, "verbs", errors) && !verbs.iter().all(|verb| VERBS.contains(verb)) {
        errors.not_supported(field, shown(&verbs), VERBS);
    }
}

fn resource_rule(rule: &Node, field: &str, errors: &mut Errors) {
    verbs(rule, field, errors);
    for (member, one, others) in [
        ("apiGroups", "api group", "api groups"),
        ("resources", "resource", "resources"),
    ] {
        let (values, field) = (texts(rule, member), format!("{field}.{member}"));
        if values.is_empty() {
            errors.required(&field, format!("resource rules must supply at least one {one}"));
        }
        wildcard(&values, &field, others, errors);
    }
    let (namespaces, field) = (texts(rule, "namespaces"), format!("{field}.namespaces"));
    if namespaces.is_empty() && !flag(rule, "clusterScope") {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        errors.required(&field, detail);
    }
    if wildcard(&namespaces, &field, "namespaces", errors) {
        return;
    }
    for (index, namespace) in namespaces.iter().enumerate() {
        for problem in names::dns_label(namespace) {
            let detail = format!("each member of this list must be '*' or a DNS-1123 label; {problem}");
            errors.invalid(format!("{field}[{index}]"), *namespace, detail);
        }
    }
}

fn path_rule(rule: &Node, field: &str, errors: &mut Errors) {
    verbs(rule, field, errors);
    let (paths, field) = (texts(rule, "nonResourceURLs"), format!("{field}.nonResourceURLs"));
    if paths.is_empty() {
        errors.required(&field, "nonResourceURLs must contain at least one value");
    }
    if wildcard(&paths, &field, "non-resource URLs", errors) {
        return;
    }
    for (index, path) in paths.iter().enumerate() {
        if let Some(problem) = path_problem(path) {
            errors.invalid(format!("{field}[{index}]"), *path, problem);
        }
    }
}

fn path_problem(path: &str) -> Option<&'static str> {
    let wildcards = path.matches('*').count();
    match path {
        "" => Some("must not be empty"),
        "/" => None,
        _ if !path.starts_with('/') => Some("must start with slash"),
        _ if path.contains(' ') => Some("must not contain white-space"),
        _ if path.contains("//") => Some("must not contain double slash"),
        _ if wildcards > 1 || (wildcards == 1 && !path.ends_with("/*")) => Some("wildcard can only do suffix matching"),
        _ => None,
    }
}

fn priority_level(level: &Object, errors: &mut Errors) {
    let (name, none) = (level.name().unwrap_or_default(), Node::new());
    let spec = child(&level.0, "spec").unwrap_or(&none);
    let kind = text(spec, "type");
    if (name == EXEMPT) != (kind == "Exempt") {
        let detail = "type must be 'Exempt' if and only if name is 'exempt'";
        errors.invalid("spec.type", kind, detail);
    }
    let (exempt_part, limited_part) = (child(spec, "exempt"), child(spec, "limited"));
    match kind {
        "Exempt" => {
            if limited_part.is_some() {
                errors.forbidden("spec.limited", "must be nil if the type is not Limited");
            }
            if let Some(exempt) = exempt_part {
                shares(exempt, "spec.exempt", errors);
            }
        }
        "Limited" => {
            if exempt_part.is_some() {
                errors.forbidden("spec.exempt", "must be nil if the type is Limited");
            }
            match limited_part {
                Some(part) => limited(part, errors),
                None => errors.required("spec.limited", "must not be empty when type is Limited"),
            }
        }
        _ => errors.not_supported("spec.type", kind, &["Exempt", "Limited"]),
    }
    check_fixed(name, spec, errors);
    conditions(level, errors);
}

fn check_fixed(name: &str, spec: &Node, errors: &mut Errors) {
    let whole = Value::Object(spec.clone());
    match name {
        EXEMPT => {
            let mut rest = spec.clone();
            rest.remove("exempt");
            if !same(&Value::Object(rest), &json!({"type": "Exempt"})) {
                let detail = format!("spec of '{name}' except the 'spec.exempt' field must equal the fixed value");
                errors.invalid("spec", whole, detail);
            }
        }
        "catch-all" => {
            let fixed = json!({"type": "Limited", "limited": {"nominalConcurrencyShares": 5, "lendablePercent": 0,
                "limitResponse": {"type": "Reject"}}});
            if !same(&whole, &fixed) {
                let detail = format!("spec of '{name}' must equal the fixed value");
                errors.invalid("spec", whole, detail);
            }
        }
        _ => {}
    }
}

/// What both kinds of levels have.
fn shares(part: &Node, field: &str, errors: &mut Errors) {
    if let Some(shares) = int(part, "nominalConcurrencyShares").filter(|shares| *shares < 0) {
        let field = format!("{field}.nominalConcurrencyShares");
        errors.invalid(field, shares, "must be a non-negative integer");
    }
    if let Some(percent) = int(part, "lendablePercent").filter(|percent| !(0..=100).contains(percent)) {
        let field = format!("{field}.lendablePercent");
        errors.invalid(field, percent, "must be between 0 and 100, inclusive");
    }
}

fn limited(limited: &Node, errors: &mut Errors) {
    const FIELD: &str = "spec.limited";
    let none = Node::new();
    let response = child(limited, "limitResponse").unwrap_or(&none);
    limit_response(response, &format!("{FIELD}.limitResponse"), errors);
    shares(limited, FIELD, errors);
    if let Some(percent) = int(limited, "borrowingLimitPercent").filter(|percent| *percent < 0) {
        let field = format!("{FIELD}.borrowingLimitPercent");
        errors.invalid(field, percent, "if specified, must be a non-negative integer");
    }
}

fn limit_response(response: &Node, field: &str, errors: &mut Errors) {
    let queuing_field = format!("{field}.queuing");
    let queuing_part = child(response, "queuing");
    match text(response, "type") {
        "Reject" if queuing_part.is_some() => {
            let detail = "must be nil if limited.limitResponse.type is not Limited";
            errors.forbidden(queuing_field, detail);
        }
        "Reject" => {}
        "Queue" => match queuing_part {
            Some(part) => queuing(part, &queuing_field, errors),
            None => {
                let detail = "must not be empty if limited.limitResponse.type is Limited";
                errors.required(queuing_field, detail);
            }
        },
        other => errors.not_supported(format!("{field}.type"), other, &["Queue", "Reject"]),
    }
}

fn queuing(queuing: &Node, field: &str, errors: &mut Errors) {
    let number = |member| int(queuing, member).unwrap_or(0);
    let (length, queues, hand) = (number("queueLengthLimit"), number("queues"), number("handSize"));
    if length <= 0 {
        errors.invalid(format!("{field}.queueLengthLimit"), length, "must be positive");
    }
    if queues <= 0 {
        errors.invalid(format!("{field}.queues"), queues, "must be positive");
    } else if queues > MOST_QUEUES {
        let detail = format!("must not be greater than {MOST_QUEUES}");
        errors.invalid(format!("{field}.queues"), queues, detail);
    }
    let field = format!("{field}.handSize");
    if hand <= 0 {
        errors.invalid(field, hand, "must be positive");
    } else if hand > queues {
        errors.invalid(field, hand, format!("should not be greater than queues ({queues})"));
    } else if ((queues as f64).log2() * hand as f64).ceil() > HASH_BITS {
        let detail = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {HASH_BITS}"
        );
        errors.invalid(field, hand, detail);
    }
}

fn conditions(object: &Object, errors: &mut Errors) {
    let Some(status) = child(&object.0, "status") else {
        return;
    };
    let mut seen = Vec::new();
    for (index, condition) in items(status, "conditions").enumerate() {
        let (kind, field) = (text(condition, "type"), format!("status.conditions[{index}].type"));
        if seen.contains(&kind) {
            errors.duplicate(&field, kind);
        }
        seen.push(kind);
        if kind.is_empty() {
            errors.required(field, "must not be empty");
        }
    }
}
