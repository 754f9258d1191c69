//! What is wrong with webhook configurations. Source: `pkg/apis/admissionregistration/validation`.

use kube_types::dynamic::{Object, Value};

use crate::field::Errors;
use crate::names;
use crate::tree::{Node, child, int, items, text, texts};

#[cfg(test)]
mod tests;

/// Versions of the review that the API server can send.
const REVIEWS: &[&str] = &["v1", "v1beta1"];
const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const URL_FORM: &str = "; desired format: https://host[/path]";

/// Checks all webhooks of a configuration.
pub(crate) fn validate(configuration: &Object, errors: &mut Errors) {
    let mut known: Vec<&str> = Vec::new();
    for (index, hook) in items(&configuration.0, "webhooks").enumerate() {
        let path = format!("webhooks[{index}]");
        webhook(hook, &path, errors);
        reviews(hook, &path, errors);
        let name = text(hook, "name");
        if known.contains(&name) {
            errors.duplicate(format!("{path}.name"), name);
        }
        known.push(name);
    }
}

fn webhook(hook: &Node, path: &str, errors: &mut Errors) {
    full_name(text(hook, "name"), &format!("{path}.name"), errors);
    for (index, rule) in items(hook, "rules").enumerate() {
        self::rule(rule, &format!("{path}.rules[{index}]"), errors);
    }
    for (field, supported) in [
        ("failurePolicy", &["Fail", "Ignore"][..]),
        ("matchPolicy", &["Equivalent", "Exact"]),
        ("reinvocationPolicy", &["IfNeeded", "Never"]),
    ] {
        let value = text(hook, field);
        if !value.is_empty() && !supported.contains(&value) {
            errors.not_supported(format!("{path}.{field}"), value, supported);
        }
    }
    match text(hook, "sideEffects") {
        "" => errors.required(format!("{path}.sideEffects"), "must specify one of None, NoneOnDryRun"),
        "None" | "NoneOnDryRun" => {}
        other => errors.not_supported(format!("{path}.sideEffects"), other, &["None", "NoneOnDryRun"]),
    }
    if let Some(seconds) = int(hook, "timeoutSeconds").filter(|seconds| !(1..=30).contains(seconds)) {
        let detail = "the timeout value must be between 1 and 30 seconds";
        errors.invalid(format!("{path}.timeoutSeconds"), seconds, detail);
    }
    for selector in ["namespaceSelector", "objectSelector"] {
        crate::workload::selector(hook.get(selector), &format!("{path}.{selector}"), errors);
    }
    let empty = Node::new();
    let client = child(hook, "clientConfig").unwrap_or(&empty);
    client_config(client, &format!("{path}.clientConfig"), errors);
}

fn reviews(hook: &Node, path: &str, errors: &mut Errors) {
    let at = format!("{path}.admissionReviewVersions");
    let versions: Vec<&str> = texts(hook, "admissionReviewVersions").collect();
    if versions.is_empty() {
        return errors.required(at, format!("must specify one of {}", REVIEWS.join(", ")));
    }
    for (index, version) in versions.iter().enumerate() {
        if versions[..index].contains(version) {
            errors.invalid(format!("{at}[{index}]"), *version, "duplicate version");
        }
        for problem in names::dns1035_label(version) {
            errors.invalid(format!("{at}[{index}]"), *version, problem);
        }
    }
    if !versions.iter().any(|version| REVIEWS.contains(version)) {
        let detail = format!("must include at least one of {}", REVIEWS.join(", "));
        errors.invalid(at, versions, detail);
    }
}

/// A webhook is named like a domain of at least three parts.
fn full_name(name: &str, path: &str, errors: &mut Errors) {
    if name.is_empty() {
        return errors.required(path, "");
    }
    let problems = names::dns_subdomain(name);
    if problems.is_empty() && name.split('.').count() < 3 {
        errors.invalid(
            path,
            name,
            "should be a domain with at least three segments separated by dots",
        );
    }
    for problem in problems {
        errors.invalid(path, name, problem);
    }
}

fn rule(rule: &Node, path: &str, errors: &mut Errors) {
    for (field, words) in [
        ("operations", "operations"),
        ("apiGroups", "API groups"),
        ("apiVersions", "API versions"),
    ] {
        let at = format!("{path}.{field}");
        let given: Vec<&str> = texts(rule, field).collect();
        if given.is_empty() {
            errors.required(at.as_str(), "");
        }
        if given.len() > 1 && given.contains(&"*") {
            let detail = format!("if '*' is present, must not specify other {words}");
            errors.invalid(at.as_str(), given.clone(), detail);
        }
        for (index, one) in given.iter().enumerate() {
            if field == "operations" && !OPERATIONS.contains(one) {
                errors.not_supported(format!("{at}[{index}]"), *one, OPERATIONS);
            }
            if field == "apiVersions" && one.is_empty() {
                errors.required(format!("{at}[{index}]"), "");
            }
        }
    }
    resources(rule, &format!("{path}.resources"), errors);
    let scope = text(rule, "scope");
    if !matches!(scope, "" | "*" | "Cluster" | "Namespaced") {
        errors.not_supported(format!("{path}.scope"), scope, &["*", "Cluster", "Namespaced"]);
    }
}

fn resources(rule: &Node, path: &str, errors: &mut Errors) {
    let given: Vec<&str> = texts(rule, "resources").collect();
    if given.is_empty() {
        errors.required(path, "");
    }
    for (index, one) in given.iter().enumerate() {
        if one.is_empty() {
            errors.required(format!("{path}[{index}]"), "");
        }
        if given[..index].contains(one) {
            errors.duplicate(format!("{path}[{index}]"), *one);
        }
    }
    if given.len() > 1 && given.contains(&"*/*") {
        let detail = "if '*/*' is present, must not specify other resources";
        errors.invalid(path, given.clone(), detail);
    }
    let plain = given.iter().filter(|one| !one.contains('/')).count();
    if plain > 1 && given.contains(&"*") {
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.invalid(path, given.clone(), detail);
    }
}

fn client_config(client: &Node, path: &str, errors: &mut Errors) {
    let (url, service) = (text(client, "url"), child(client, "service"));
    match (client.contains_key("url"), service) {
        (true, None) => address(url, &format!("{path}.url"), errors),
        (false, Some(service)) => {
            for (field, detail) in [
                ("name", "service name is required"),
                ("namespace", "service namespace is required"),
            ] {
                if text(service, field).is_empty() {
                    errors.required(format!("{path}.service.{field}"), detail);
                }
            }
            let port = int(service, "port").unwrap_or(443);
            for problem in names::port_number(port) {
                errors.invalid(
                    format!("{path}.service.port"),
                    port,
                    format!("port is not valid: {problem}"),
                );
            }
            let target = text(service, "path");
            if !target.is_empty() && !target.starts_with('/') {
                let detail = "must start with a '/'";
                errors.invalid(format!("{path}.service.path"), target, detail);
            }
        }
        _ => errors.required(path, "exactly one of url or service is required"),
    }
    if let Some(bundle) = client
        .get("caBundle")
        .and_then(Value::as_str)
        .filter(|text| text.is_empty())
    {
        errors.invalid(format!("{path}.caBundle"), bundle, "unable to load root certificates");
    }
}

fn address(url: &str, path: &str, errors: &mut Errors) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    if scheme != "https" {
        errors.invalid(
            path,
            scheme,
            format!("'https' is the only allowed URL scheme{URL_FORM}"),
        );
    }
    if authority.is_empty() {
        errors.invalid(path, authority, format!("host must be specified{URL_FORM}"));
    }
    if let Some((user, _)) = authority.split_once('@') {
        errors.invalid(path, user, "user information is not permitted in the URL");
    }
    if let Some((_, fragment)) = rest.split_once('#') {
        errors.invalid(path, fragment, "fragments are not permitted in the URL");
    }
    if let Some((_, query)) = rest.split('#').next().and_then(|rest| rest.split_once('?')) {
        errors.invalid(path, query, "query parameters are not permitted in the URL");
    }
}
