//! The roles and bindings that every new cluster has, read from the table beside this file.
//!
//! The table holds upstream 1.36's bootstrap policy as facts, one rule a line. Its form: a head line
//! `clusterrole|role|controller|binding|clusterbinding …`, then indented rules `<groups> <resources>[name,…] <verbs>`
//! or `url <urls> <verbs>`. `core` is the empty group; `read`, `write`, `readwrite` are upstream's verb sets. A
//! `controller` is a ClusterRole bound to the service account of that name in `kube-system`.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{
    AggregationRule, ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

const TABLE: &str = include_str!("bootstrap.txt");
const GROUP: &str = "rbac.authorization.k8s.io";
const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];

/// What must exist before anybody but `system:masters` can do anything.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bootstrap {
    /// Upstream's ClusterRoles. Aggregated ones come with their collected rules filled in.
    pub cluster_roles: Vec<ClusterRole>,
    /// Their bindings.
    pub cluster_role_bindings: Vec<ClusterRoleBinding>,
    /// Roles of `kube-system` and `kube-public`.
    pub roles: Vec<Role>,
    /// Their bindings.
    pub role_bindings: Vec<RoleBinding>,
}

/// The bootstrap objects, to be created if absent; each carries the `autoupdate` annotation as upstream's do.
#[must_use]
pub fn bootstrap_objects() -> Bootstrap {
    let mut objects = Bootstrap::default();
    let lines: Vec<&str> = TABLE
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .collect();
    let mut rest = lines.as_slice();
    while let [head, tail @ ..] = rest {
        let count = tail.iter().take_while(|line| line.starts_with(' ')).count();
        let (body, next) = tail.split_at(count);
        objects.add(head, body.iter().map(|line| rule(line.trim())).collect());
        rest = next;
    }
    objects.fill_aggregated();
    objects
}

impl Bootstrap {
    fn add(&mut self, head: &str, rules: Vec<PolicyRule>) {
        let words: Vec<&str> = head.split_whitespace().collect();
        match words.as_slice() {
            ["clusterrole", name, options @ ..] => self.cluster_roles.push(cluster_role(name, options, rules)),
            ["controller", name] => {
                let full = format!("system:controller:{name}");
                self.cluster_roles.push(cluster_role(&full, &[], rules));
                let account = service_account("kube-system", name);
                self.cluster_role_bindings
                    .push(cluster_role_binding(&full, &full, vec![account]));
            }
            ["clusterbinding", name, role, subjects @ ..] => {
                let subjects = subjects.iter().map(|one| subject(one)).collect();
                self.cluster_role_bindings
                    .push(cluster_role_binding(name, role, subjects));
            }
            ["role", namespace, name] => self.roles.push(Role {
                metadata: ObjectMeta {
                    namespace: Some((*namespace).to_owned()),
                    ..metadata(name)
                },
                rules: Some(rules),
            }),
            ["binding", namespace, name, role, subjects @ ..] => self.role_bindings.push(RoleBinding {
                metadata: ObjectMeta {
                    namespace: Some((*namespace).to_owned()),
                    ..metadata(name)
                },
                role_ref: reference("Role", role),
                subjects: Some(subjects.iter().map(|one| subject(one)).collect()),
            }),
            _ => unreachable!("the table is part of the program and read whole by a test: {head}"),
        }
    }

    fn fill_aggregated(&mut self) {
        let mut policy = super::Policy::new();
        self.cluster_roles
            .iter()
            .cloned()
            .for_each(|role| policy.set_cluster_role(role));
        for role in self
            .cluster_roles
            .iter_mut()
            .filter(|role| role.aggregation_rule.is_some())
        {
            let name = role.metadata.name.clone().unwrap_or_default();
            if let Some(known) = policy.cluster_roles.get(&name) {
                role.rules = Some(policy.effective_rules(known).into_iter().cloned().collect());
            }
        }
    }
}

/// Options: `label=<aggregate-to-…>` and `aggregates=<aggregate-to-…>`.
fn cluster_role(name: &str, options: &[&str], rules: Vec<PolicyRule>) -> ClusterRole {
    let mut role = ClusterRole {
        metadata: metadata(name),
        rules: Some(rules),
        aggregation_rule: None,
    };
    for option in options {
        match option.split_once('=') {
            Some(("label", to)) => {
                role.metadata
                    .labels
                    .get_or_insert_default()
                    .insert(format!("{GROUP}/{to}"), "true".to_owned());
            }
            Some(("aggregates", to)) => {
                let labels = BTreeMap::from([(format!("{GROUP}/{to}"), "true".to_owned())]);
                let selector = LabelSelector {
                    match_labels: Some(labels),
                    match_expressions: None,
                };
                role.aggregation_rule = Some(AggregationRule {
                    cluster_role_selectors: Some(vec![selector]),
                });
            }
            _ => unreachable!("the table is part of the program and read whole by a test: {option}"),
        }
    }
    role
}

fn cluster_role_binding(name: &str, role: &str, subjects: Vec<Subject>) -> ClusterRoleBinding {
    let subjects = (!subjects.is_empty()).then_some(subjects);
    ClusterRoleBinding {
        metadata: metadata(name),
        role_ref: reference("ClusterRole", role),
        subjects,
    }
}

fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        annotations: Some(BTreeMap::from([(
            "rbac.authorization.kubernetes.io/autoupdate".to_owned(),
            "true".to_owned(),
        )])),
        labels: Some(BTreeMap::from([(
            "kubernetes.io/bootstrapping".to_owned(),
            "rbac-defaults".to_owned(),
        )])),
        ..ObjectMeta::default()
    }
}

fn reference(kind: &str, name: &str) -> RoleRef {
    RoleRef {
        api_group: Some(GROUP.to_owned()),
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

/// `group:<name>`, `user:<name>` or `account:<namespace>/<name>`.
fn subject(text: &str) -> Subject {
    match text.split_once(':') {
        Some(("group", name)) => person("Group", name),
        Some(("user", name)) => person("User", name),
        Some(("account", account)) => {
            let (namespace, name) = account.split_once('/').unwrap_or(("kube-system", account));
            service_account(namespace, name)
        }
        _ => unreachable!("the table is part of the program and read whole by a test: {text}"),
    }
}

fn person(kind: &str, name: &str) -> Subject {
    Subject {
        api_group: Some(GROUP.to_owned()),
        kind: kind.to_owned(),
        name: name.to_owned(),
        namespace: None,
    }
}

fn service_account(namespace: &str, name: &str) -> Subject {
    Subject {
        api_group: None,
        kind: "ServiceAccount".to_owned(),
        name: name.to_owned(),
        namespace: Some(namespace.to_owned()),
    }
}

fn rule(line: &str) -> PolicyRule {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["events"] => rule("core,events.k8s.io events create,patch,update"),
        ["url", urls, verbs] => PolicyRule {
            non_resource_urls: Some(list(urls)),
            verbs: verb_list(verbs),
            ..PolicyRule::default()
        },
        [groups, resources, verbs] => {
            let (resources, names) = match resources.split_once('[') {
                Some((resources, names)) => (resources, Some(list(names.trim_end_matches(']')))),
                None => (*resources, None),
            };
            let groups = list(groups)
                .into_iter()
                .map(|group| if group == "core" { String::new() } else { group });
            PolicyRule {
                api_groups: Some(groups.collect()),
                resources: Some(list(resources)),
                resource_names: names,
                verbs: verb_list(verbs),
                non_resource_urls: None,
            }
        }
        _ => unreachable!("the table is part of the program and read whole by a test: {line}"),
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

fn verb_list(text: &str) -> Vec<String> {
    let mut verbs: Vec<String> = Vec::new();
    for word in text.split(',') {
        match word {
            "read" => verbs.extend(READ.iter().map(|verb| (*verb).to_owned())),
            "write" => verbs.extend(WRITE.iter().map(|verb| (*verb).to_owned())),
            "readwrite" => verbs.extend(READ.iter().chain(WRITE).map(|verb| (*verb).to_owned())),
            verb => verbs.push(verb.to_owned()),
        }
    }
    verbs.sort();
    verbs
}
