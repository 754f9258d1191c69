//! Nobody gives away what they do not have: the check behind every write of a role or binding.
//!
//! Source: `pkg/registry/rbac/validation/rule.go`, `policy_compact.go`.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::{Policy, covers};
use crate::identity::User;

/// Everything: what whoever lets a role collect others' rules must hold.
#[must_use]
pub fn full_authority() -> Vec<PolicyRule> {
    let all = || Some(vec!["*".to_owned()]);
    vec![
        PolicyRule {
            verbs: vec!["*".to_owned()],
            api_groups: all(),
            resources: all(),
            ..PolicyRule::default()
        },
        PolicyRule {
            verbs: vec!["*".to_owned()],
            non_resource_urls: all(),
            ..PolicyRule::default()
        },
    ]
}

impl Policy {
    /// Upstream's complaint about rules that the user does not hold in a namespace (empty: in all of them).
    ///
    /// # Errors
    /// The sentence that names what is missing.
    pub fn confirm_no_escalation(&self, user: &User, namespace: &str, wanted: &[PolicyRule]) -> Result<(), String> {
        let (held, unresolved) = self.rules_for(user, namespace);
        let (covered, missing) = covers(&held, wanted);
        if covered {
            return Ok(());
        }
        let shown: BTreeSet<String> = compact(missing).iter().map(describe).collect();
        let shown: Vec<String> = shown.into_iter().collect();
        let mut problem = format!(
            "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            user.name,
            quoted(&user.groups),
            shown.join("\n")
        );
        if !unresolved.is_empty() {
            problem.push_str(&format!("; resolution errors: [{}]", unresolved.join(", ")));
        }
        Err(problem)
    }
}

/// Rules about one resource in one group are put together when they differ only in their verbs.
fn compact(rules: Vec<PolicyRule>) -> Vec<PolicyRule> {
    let mut compacted: Vec<PolicyRule> = Vec::new();
    for rule in rules {
        let simple = is_simple(&rule);
        let same = |other: &&mut PolicyRule| {
            simple
                && is_simple(other)
                && other.api_groups == rule.api_groups
                && other.resources == rule.resources
                && other.resource_names == rule.resource_names
        };
        match compacted.iter_mut().find(same) {
            Some(known) => {
                let new: Vec<String> = rule
                    .verbs
                    .into_iter()
                    .filter(|verb| !known.verbs.contains(verb))
                    .collect();
                known.verbs.extend(new);
            }
            None => compacted.push(rule),
        }
    }
    compacted
}

fn is_simple(rule: &PolicyRule) -> bool {
    let count = |list: &Option<Vec<String>>| list.as_ref().map_or(0, Vec::len);
    count(&rule.resource_names) <= 1
        && count(&rule.non_resource_urls) == 0
        && count(&rule.resources) == 1
        && count(&rule.api_groups) == 1
}

fn describe(rule: &PolicyRule) -> String {
    let parts = [
        ("APIGroups", rule.api_groups.as_deref()),
        ("Resources", rule.resources.as_deref()),
        ("NonResourceURLs", rule.non_resource_urls.as_deref()),
        ("ResourceNames", rule.resource_names.as_deref()),
        ("Verbs", Some(rule.verbs.as_slice())),
    ];
    let shown: Vec<String> = parts
        .into_iter()
        .filter_map(|(name, values)| Some((name, values.filter(|values| !values.is_empty())?)))
        .map(|(name, values)| format!("{name}:{}", quoted(values)))
        .collect();
    format!("{{{}}}", shown.join(", "))
}

/// A list as Go's `%q` shows it.
fn quoted(values: &[String]) -> String {
    let shown: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("[{}]", shown.join(" "))
}
