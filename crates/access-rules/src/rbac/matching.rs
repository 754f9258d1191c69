//! Whether one policy rule covers a request, and whether a set of rules covers another.

use k8s_openapi::api::rbac::v1::PolicyRule;

use crate::identity::Attributes;

/// Does `rule` allow the request?
#[must_use]
pub fn rule_allows(rule: &PolicyRule, attributes: &Attributes<'_>) -> bool {
    if !has(&rule.verbs, attributes.verb) {
        return false;
    }
    let Some(resource) = &attributes.resource else {
        return rule
            .non_resource_urls
            .iter()
            .flatten()
            .any(|url| url_matches(url, attributes.path));
    };
    rule.api_groups
        .as_ref()
        .is_some_and(|groups| has(groups, resource.group))
        && rule
            .resources
            .iter()
            .flatten()
            .any(|one| resource_matches(one, resource.resource, resource.subresource))
        && name_matches(rule, resource.name)
}

/// Do the rules of `owner` allow all that `wanted` allows? The second part lists what is missing, one elementary rule
/// each. Source: `component-helpers/auth/rbac/validation/policy_comparator.go`.
#[must_use]
pub fn covers(owner: &[PolicyRule], wanted: &[PolicyRule]) -> (bool, Vec<PolicyRule>) {
    let mut missing = Vec::new();
    for part in wanted.iter().flat_map(break_down) {
        if !owner.iter().any(|rule| covers_one(rule, &part)) {
            missing.push(part);
        }
    }
    (missing.is_empty(), missing)
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|one| one == "*" || one == wanted)
}

fn url_matches(rule: &str, path: &str) -> bool {
    match rule.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix.trim_end_matches('*')),
        None => rule == path,
    }
}

/// `*` covers everything, `pods/log` itself, and `*/scale` that subresource of every resource.
fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == "*" {
        return true;
    }
    if subresource.is_empty() {
        return rule == resource;
    }
    rule.split_once('/')
        .is_some_and(|(of, sub)| sub == subresource && (of == "*" || of == resource))
}

fn name_matches(rule: &PolicyRule, name: &str) -> bool {
    rule.resource_names
        .as_ref()
        .is_none_or(|names| names.is_empty() || names.iter().any(|one| one == name))
}

/// One rule for each combination of group, resource, verb and name.
fn break_down(rule: &PolicyRule) -> Vec<PolicyRule> {
    let mut parts = Vec::new();
    for verb in &rule.verbs {
        for url in rule.non_resource_urls.iter().flatten() {
            parts.push(PolicyRule {
                verbs: vec![verb.clone()],
                non_resource_urls: Some(vec![url.clone()]),
                ..PolicyRule::default()
            });
        }
        let names = rule
            .resource_names
            .iter()
            .flatten()
            .cloned()
            .map(Some)
            .collect::<Vec<_>>();
        let names = if names.is_empty() { vec![None] } else { names };
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                parts.extend(names.iter().map(|name| PolicyRule {
                    verbs: vec![verb.clone()],
                    api_groups: Some(vec![group.clone()]),
                    resources: Some(vec![resource.clone()]),
                    resource_names: name.clone().map(|name| vec![name]),
                    non_resource_urls: None,
                }));
            }
        }
    }
    parts
}

fn covers_one(owner: &PolicyRule, part: &PolicyRule) -> bool {
    let all = |held: Option<&Vec<String>>, wanted: Option<&Vec<String>>, matches: &dyn Fn(&str, &str) -> bool| {
        wanted
            .into_iter()
            .flatten()
            .all(|one| held.into_iter().flatten().any(|rule| matches(rule, one)))
    };
    let equal_or_star = |rule: &str, one: &str| rule == "*" || rule == one;
    let resource = |rule: &str, one: &str| {
        rule == "*" || rule == one || one.split_once('/').is_some_and(|(_, sub)| rule == format!("*/{sub}"))
    };
    let names = match (&owner.resource_names, &part.resource_names) {
        (None, _) => true,
        (Some(held), _) if held.is_empty() => true,
        (Some(_), None) => false,
        (Some(held), Some(wanted)) => wanted.iter().all(|one| held.contains(one)),
    };
    all(Some(&owner.verbs), Some(&part.verbs), &equal_or_star)
        && all(owner.api_groups.as_ref(), part.api_groups.as_ref(), &equal_or_star)
        && all(owner.resources.as_ref(), part.resources.as_ref(), &resource)
        && all(
            owner.non_resource_urls.as_ref(),
            part.non_resource_urls.as_ref(),
            &url_matches,
        )
        && names
}
