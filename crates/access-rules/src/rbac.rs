//! Role-based access control: does a binding give this identity a role with a rule that covers the request?

pub mod bootstrap;
mod escalation;
mod matching;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::identity::{Attributes, Decision, MASTERS, User};

pub use bootstrap::{Bootstrap, bootstrap_objects};
pub use escalation::full_authority;
pub use matching::{covers, rule_allows};

/// A snapshot of every role and binding of a cluster, kept current by whoever watches them.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    cluster_roles: BTreeMap<String, ClusterRole>,
    roles: BTreeMap<(String, String), Role>,
    cluster_role_bindings: BTreeMap<String, ClusterRoleBinding>,
    role_bindings: BTreeMap<String, BTreeMap<String, RoleBinding>>,
}

impl Policy {
    /// A policy without any role: only `system:masters` may do anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The policy of a new cluster.
    #[must_use]
    pub fn bootstrap() -> Self {
        let mut policy = Self::new();
        let objects = bootstrap_objects();
        objects
            .cluster_roles
            .into_iter()
            .for_each(|role| policy.set_cluster_role(role));
        objects
            .cluster_role_bindings
            .into_iter()
            .for_each(|binding| policy.set_cluster_role_binding(binding));
        objects.roles.into_iter().for_each(|role| policy.set_role(role));
        objects
            .role_bindings
            .into_iter()
            .for_each(|binding| policy.set_role_binding(binding));
        policy
    }

    /// Adds or replaces a ClusterRole.
    pub fn set_cluster_role(&mut self, role: ClusterRole) {
        self.cluster_roles
            .insert(role.metadata.name.clone().unwrap_or_default(), role);
    }

    /// Adds or replaces a Role.
    pub fn set_role(&mut self, role: Role) {
        let metadata = &role.metadata;
        let key = (
            metadata.namespace.clone().unwrap_or_default(),
            metadata.name.clone().unwrap_or_default(),
        );
        self.roles.insert(key, role);
    }

    /// Adds or replaces a ClusterRoleBinding.
    pub fn set_cluster_role_binding(&mut self, binding: ClusterRoleBinding) {
        self.cluster_role_bindings
            .insert(binding.metadata.name.clone().unwrap_or_default(), binding);
    }

    /// Adds or replaces a RoleBinding.
    pub fn set_role_binding(&mut self, binding: RoleBinding) {
        let metadata = &binding.metadata;
        let (namespace, name) = (
            metadata.namespace.clone().unwrap_or_default(),
            metadata.name.clone().unwrap_or_default(),
        );
        self.role_bindings.entry(namespace).or_default().insert(name, binding);
    }

    /// Forgets a ClusterRole.
    pub fn remove_cluster_role(&mut self, name: &str) {
        self.cluster_roles.remove(name);
    }

    /// Forgets a Role.
    pub fn remove_role(&mut self, namespace: &str, name: &str) {
        self.roles.remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// Forgets a ClusterRoleBinding.
    pub fn remove_cluster_role_binding(&mut self, name: &str) {
        self.cluster_role_bindings.remove(name);
    }

    /// Forgets a RoleBinding.
    pub fn remove_role_binding(&mut self, namespace: &str, name: &str) {
        if let Some(bindings) = self.role_bindings.get_mut(namespace) {
            bindings.remove(name);
        }
    }

    /// May the request proceed? Members of `system:masters` always may.
    ///
    /// RBAC has no deny rules, so the answer is `Allow` or `NoOpinion`; the latter's reason names roles that are bound
    /// but do not exist.
    #[must_use]
    pub fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        if attributes.user.in_group(MASTERS) {
            return Decision::Allow { reason: String::new() };
        }
        let namespace = attributes.resource.map_or("", |resource| resource.namespace);
        let mut missing = Vec::new();
        for grant in self.grants(attributes.user, namespace) {
            match &grant.rules {
                Ok(rules) if rules.iter().any(|rule| rule_allows(rule, attributes)) => {
                    return Decision::Allow {
                        reason: format!("RBAC: allowed by {}", grant.describe()),
                    };
                }
                Ok(_) => {}
                Err(absent) => missing.push(absent.clone()),
            }
        }
        let reason = match missing.as_slice() {
            [] => String::new(),
            [one] => format!("RBAC: {one}"),
            many => format!("RBAC: [{}]", many.join(", ")),
        };
        Decision::NoOpinion { reason }
    }

    /// Every rule that `user` has in `namespace` (empty: cluster-wide only), for self-subject rules reviews and for
    /// escalation checks. The second part names bound roles that do not exist.
    #[must_use]
    pub fn rules_for(&self, user: &User, namespace: &str) -> (Vec<PolicyRule>, Vec<String>) {
        let mut rules = Vec::new();
        let mut missing = Vec::new();
        for grant in self.grants(user, namespace) {
            match grant.rules {
                Ok(granted) => rules.extend(granted.into_iter().cloned()),
                Err(absent) => missing.push(absent),
            }
        }
        (rules, missing)
    }

    /// The rules of the role that a binding in `namespace` refers to.
    ///
    /// # Errors
    /// Upstream's "not found" sentence when there is no such role.
    pub fn role_rules(&self, reference: &RoleRef, namespace: &str) -> Result<Vec<&PolicyRule>, String> {
        if reference.kind == "Role" {
            let key = (namespace.to_owned(), reference.name.clone());
            let role = self.roles.get(&key);
            return role
                .map(|role| role.rules.iter().flatten().collect())
                .ok_or_else(|| format!("role.rbac.authorization.k8s.io {:?} not found", reference.name));
        }
        let role = self.cluster_roles.get(&reference.name);
        role.map(|role| self.effective_rules(role))
            .ok_or_else(|| format!("clusterrole.rbac.authorization.k8s.io {:?} not found", reference.name))
    }

    /// The rules that a ClusterRole with an aggregation rule collects from the roles it selects, without duplicates,
    /// in the order of the roles' names; the role's own rules if it has none.
    #[must_use]
    pub fn effective_rules<'a>(&'a self, role: &'a ClusterRole) -> Vec<&'a PolicyRule> {
        let mut seen = Vec::new();
        let mut rules = Vec::new();
        self.collect_rules(role, &mut seen, &mut rules);
        rules
    }

    /// A collected role may itself collect (`admin` takes `edit`, which takes `view`), so roles already seen are left out.
    fn collect_rules<'a>(&'a self, role: &'a ClusterRole, seen: &mut Vec<&'a str>, rules: &mut Vec<&'a PolicyRule>) {
        let name = role.metadata.name.as_deref().unwrap_or_default();
        if seen.contains(&name) {
            return;
        }
        seen.push(name);
        let Some(aggregation) = &role.aggregation_rule else {
            for rule in role.rules.iter().flatten() {
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
            return;
        };
        for selector in aggregation.cluster_role_selectors.iter().flatten() {
            for selected in self.cluster_roles.values().filter(|other| selects(selector, other)) {
                self.collect_rules(selected, seen, rules);
            }
        }
    }

    fn grants<'a>(&'a self, user: &'a User, namespace: &'a str) -> impl Iterator<Item = Grant<'a>> {
        let cluster = self.cluster_role_bindings.values().filter_map(move |binding| {
            let subject = applying(binding.subjects.as_deref(), user, "")?;
            let rules = self.role_rules(&binding.role_ref, "");
            let name = binding.metadata.name.as_deref().unwrap_or_default();
            Some(Grant {
                name,
                namespace: "",
                role: &binding.role_ref,
                subject,
                rules,
            })
        });
        let bindings = (!namespace.is_empty())
            .then(|| self.role_bindings.get(namespace))
            .flatten();
        let namespaced = bindings
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter_map(move |binding| {
                let subject = applying(binding.subjects.as_deref(), user, namespace)?;
                let rules = self.role_rules(&binding.role_ref, namespace);
                let name = binding.metadata.name.as_deref().unwrap_or_default();
                Some(Grant {
                    name,
                    namespace,
                    role: &binding.role_ref,
                    subject,
                    rules,
                })
            });
        cluster.chain(namespaced)
    }
}

/// One binding that applies to a user.
struct Grant<'a> {
    name: &'a str,
    namespace: &'a str,
    role: &'a RoleRef,
    subject: &'a Subject,
    rules: Result<Vec<&'a PolicyRule>, String>,
}

impl Grant<'_> {
    fn describe(&self) -> String {
        let (kind, name) = if self.namespace.is_empty() {
            ("ClusterRoleBinding", self.name.to_owned())
        } else {
            ("RoleBinding", format!("{}/{}", self.name, self.namespace))
        };
        let subject = match (self.subject.kind.as_str(), self.subject.namespace.as_deref()) {
            ("ServiceAccount", Some(namespace)) => format!("{}/{namespace}", self.subject.name),
            ("ServiceAccount", None) => format!("{}/{}", self.subject.name, self.namespace),
            _ => self.subject.name.clone(),
        };
        format!(
            "{kind} {name:?} of {} {:?} to {} {subject:?}",
            self.role.kind, self.role.name, self.subject.kind
        )
    }
}

fn applying<'a>(subjects: Option<&'a [Subject]>, user: &User, namespace: &str) -> Option<&'a Subject> {
    subjects?.iter().find(|subject| applies(subject, user, namespace))
}

fn applies(subject: &Subject, user: &User, binding_namespace: &str) -> bool {
    match subject.kind.as_str() {
        "User" => subject.name == user.name,
        "Group" => user.in_group(&subject.name),
        "ServiceAccount" => {
            let namespace = subject
                .namespace
                .as_deref()
                .filter(|n| !n.is_empty())
                .unwrap_or(binding_namespace);
            !namespace.is_empty() && user.service_account_name() == Some((namespace, subject.name.as_str()))
        }
        _ => false,
    }
}

/// Aggregation selectors are label selectors; those of an unknown operator select nothing.
fn selects(selector: &LabelSelector, role: &ClusterRole) -> bool {
    let empty = BTreeMap::new();
    let labels = role.metadata.labels.as_ref().unwrap_or(&empty);
    let exact = selector
        .match_labels
        .iter()
        .flatten()
        .all(|(key, value)| labels.get(key) == Some(value));
    exact
        && selector.match_expressions.iter().flatten().all(|requirement| {
            let value = labels.get(&requirement.key);
            let listed = value.is_some_and(|value| requirement.values.iter().flatten().any(|one| one == value));
            match requirement.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}
