//! Which FlowSchema a request matches, and which of its flows it is in.
//!
//! Source: `apiserver/pkg/util/flowcontrol/{rule,match}.go`, `apf_controller.go`.

use k8s_openapi::api::flowcontrol::v1::{
    FlowSchema, NonResourcePolicyRule, PolicyRulesWithSubjects, ResourcePolicyRule, Subject,
};
use sha2::{Digest, Sha256};

const ALL: &str = "*";

/// What of a request decides on its flow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// Name of the user.
    pub user: &'a str,
    /// Groups of the user.
    pub groups: &'a [String],
    /// API verb, or the method in lower case of what is no resource.
    pub verb: &'a str,
    /// The resource asked for; `None` for a path that is none.
    pub resource: Option<Resource<'a>>,
    /// Path of the URL.
    pub path: &'a str,
}

/// The resource of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resource<'a> {
    /// API group.
    pub group: &'a str,
    /// Plural name, with the subresource behind a slash.
    pub name: &'a str,
    /// Subresource; empty when there is none.
    pub subresource: &'a str,
    /// Namespace; empty when there is none.
    pub namespace: &'a str,
}

/// The flow of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow<'s> {
    /// Name of the FlowSchema.
    pub schema: &'s str,
    /// Uid of the FlowSchema.
    pub schema_uid: &'s str,
    /// Name of the priority level.
    pub level: &'s str,
    /// Number of the flow, by which its queues are dealt.
    pub hash: u64,
}

/// The FlowSchemas of a cluster in the order in which they are tried.
#[derive(Clone, Debug, Default)]
pub struct Schemas(Vec<Schema>);

#[derive(Clone, Debug)]
struct Schema {
    name: String,
    uid: String,
    level: String,
    by: Distinguisher,
    rules: Vec<PolicyRulesWithSubjects>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Distinguisher {
    Nothing,
    User,
    Namespace,
}

impl Schemas {
    /// Those schemas whose priority level exists: the ones with a low precedence first, then by name.
    pub fn new(schemas: &[FlowSchema], is_level: impl Fn(&str) -> bool) -> Self {
        let mut sorted: Vec<(i32, Schema)> = schemas
            .iter()
            .filter_map(|schema| {
                let spec = schema.spec.as_ref()?;
                let by = spec.distinguisher_method.as_ref().map(|method| method.type_.as_str());
                let read = Schema {
                    name: schema.metadata.name.clone()?,
                    uid: schema.metadata.uid.clone().unwrap_or_default(),
                    level: spec.priority_level_configuration.name.clone(),
                    by: match by {
                        Some("ByUser") => Distinguisher::User,
                        Some("ByNamespace") => Distinguisher::Namespace,
                        _ => Distinguisher::Nothing,
                    },
                    rules: spec.rules.clone().unwrap_or_default(),
                };
                is_level(&read.level).then_some((spec.matching_precedence.unwrap_or(1000), read))
            })
            .collect();
        sorted.sort_by(|(a, one), (b, other)| (a, &one.name).cmp(&(b, &other.name)));
        Self(sorted.into_iter().map(|(_, schema)| schema).collect())
    }

    /// The flow of a request; `None` when no schema matches, which the mandatory ones prevent.
    pub fn classify<'s>(&'s self, request: &Request<'_>) -> Option<Flow<'s>> {
        let schema = self.0.iter().find(|schema| schema.matches(request))?;
        let distinguisher = match schema.by {
            Distinguisher::Nothing => "",
            Distinguisher::User => request.user,
            Distinguisher::Namespace => request.resource.map_or("", |resource| resource.namespace),
        };
        Some(Flow {
            schema: &schema.name,
            schema_uid: &schema.uid,
            level: &schema.level,
            hash: hash(&schema.name, distinguisher),
        })
    }
}

/// The first eight bytes of a digest, as upstream takes them.
fn hash(schema: &str, distinguisher: &str) -> u64 {
    let mut digest = Sha256::new();
    digest.update(schema);
    digest.update([0]);
    digest.update(distinguisher);
    let digest = digest.finalize();
    digest
        .iter()
        .take(8)
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl Schema {
    fn matches(&self, request: &Request<'_>) -> bool {
        self.rules.iter().any(|rules| {
            let subjects = rules.subjects.iter();
            subjects.into_iter().any(|subject| is_subject(subject, request)) && matches_any(rules, request)
        })
    }
}

fn is_subject(subject: &Subject, request: &Request<'_>) -> bool {
    match subject.kind.as_str() {
        "User" => subject.user.as_ref().is_some_and(|user| fits(&user.name, request.user)),
        "Group" => subject
            .group
            .as_ref()
            .is_some_and(|group| group.name == ALL || request.groups.contains(&group.name)),
        "ServiceAccount" => subject.service_account.as_ref().is_some_and(|account| {
            let Some(rest) = request.user.strip_prefix("system:serviceaccount:") else {
                return false;
            };
            let Some((namespace, name)) = rest.split_once(':') else {
                return false;
            };
            namespace == account.namespace && fits(&account.name, name)
        }),
        _ => false,
    }
}

fn fits(wanted: &str, is: &str) -> bool {
    wanted == ALL || wanted == is
}

fn matches_any(rules: &PolicyRulesWithSubjects, request: &Request<'_>) -> bool {
    match &request.resource {
        Some(resource) => {
            let mut all = rules.resource_rules.iter().flatten();
            all.any(|rule| matches_resource(rule, request.verb, resource))
        }
        None => {
            let mut all = rules.non_resource_rules.iter().flatten();
            all.any(|rule| matches_path(rule, request.verb, request.path))
        }
    }
}

fn holds(list: &[String], text: &str) -> bool {
    list.iter().any(|one| fits(one, text))
}

fn matches_resource(rule: &ResourcePolicyRule, verb: &str, asked: &Resource<'_>) -> bool {
    let names = |name: &String| {
        name == ALL
            || match name.split_once('/') {
                None => asked.subresource.is_empty() && name == asked.name,
                Some((resource, below)) => fits(resource, asked.name) && below == asked.subresource,
            }
    };
    let mut namespaces = rule.namespaces.iter().flatten();
    let in_scope = if asked.namespace.is_empty() {
        rule.cluster_scope == Some(true)
    } else {
        namespaces.any(|namespace| fits(namespace, asked.namespace))
    };
    in_scope && holds(&rule.verbs, verb) && holds(&rule.api_groups, asked.group) && rule.resources.iter().any(names)
}

fn matches_path(rule: &NonResourcePolicyRule, verb: &str, path: &str) -> bool {
    let fits = |pattern: &String| match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix) || prefix.trim_end_matches('/') == path,
        None => pattern == path,
    };
    holds(&rule.verbs, verb) && rule.non_resource_urls.iter().any(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap;

    fn flow(user: &str, groups: &[&str], verb: &str, resource: Option<Resource<'_>>, path: &str) -> (String, String) {
        let schemas = Schemas::new(&bootstrap::schemas(), |_| true);
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        let request = Request {
            user,
            groups: &groups,
            verb,
            resource,
            path,
        };
        let found = schemas.classify(&request).unwrap();
        (found.schema.to_owned(), found.level.to_owned())
    }

    const ALL_USERS: &str = "system:authenticated";

    fn about<'a>(group: &'a str, name: &'a str, namespace: &'a str) -> Option<Resource<'a>> {
        Some(Resource {
            group,
            name,
            namespace,
            subresource: "",
        })
    }

    /// The schema and level of a request.
    fn check(user: &str, groups: &[&str], verb: &str, resource: Option<Resource<'_>>, expected: [&str; 2]) {
        let (schema, level) = flow(user, groups, verb, resource, "");
        assert_eq!([schema.as_str(), level.as_str()], expected, "{user} {verb}");
    }

    #[test]
    fn people_and_components_are_classified_as_upstream_classifies_them() {
        let (pods, leases) = (
            about("", "pods", "default"),
            about("coordination.k8s.io", "leases", "kube-system"),
        );
        let all = ["system:authenticated"];
        check(
            "admin",
            &["system:masters", ALL_USERS],
            "list",
            pods,
            ["exempt", "exempt"],
        );
        check("jane", &all, "list", pods, ["global-default", "global-default"]);
        check(
            "x",
            &["system:unauthenticated"],
            "list",
            pods,
            ["global-default", "global-default"],
        );
        let scheduler = "system:kube-scheduler";
        check(
            scheduler,
            &all,
            "update",
            leases,
            ["system-leader-election", "leader-election"],
        );
        check(scheduler, &all, "list", pods, ["kube-scheduler", "workload-high"]);
        let controllers = "system:kube-controller-manager";
        check(
            controllers,
            &all,
            "list",
            pods,
            ["kube-controller-manager", "workload-high"],
        );
        assert_eq!(flow("a", &all, "get", None, "/readyz").0, "probes");
        assert_eq!(flow("a", &all, "get", None, "/version").0, "global-default");
    }

    #[test]
    fn service_accounts_and_nodes_are_classified_as_upstream_classifies_them() {
        let (pods, heartbeat) = (
            about("", "pods", "default"),
            about("coordination.k8s.io", "leases", "kube-node-lease"),
        );
        let system = "system:serviceaccount:kube-system:x";
        let accounts = ["system:serviceaccounts", ALL_USERS];
        check(
            system,
            &accounts,
            "update",
            heartbeat,
            ["workload-leader-election", "leader-election"],
        );
        check(
            system,
            &accounts,
            "list",
            pods,
            ["kube-system-service-accounts", "workload-high"],
        );
        check(
            "system:serviceaccount:x:y",
            &accounts,
            "list",
            pods,
            ["service-accounts", "workload-low"],
        );
        let nodes = ["system:nodes", ALL_USERS];
        check("system:node:a", &nodes, "list", pods, ["system-nodes", "system"]);
        check(
            "system:node:a",
            &nodes,
            "update",
            heartbeat,
            ["system-node-high", "node-high"],
        );
    }

    #[test]
    fn flows_of_a_schema_are_told_apart_by_user() {
        assert_eq!(hash("a", "b"), hash("a", "b"));
        assert_ne!(hash("a", "b"), hash("a", "c"));
        assert_ne!(hash("ab", ""), hash("a", "b"));
    }

    #[test]
    fn nobody_is_classified_whom_no_schema_names() {
        let schemas = Schemas::new(&bootstrap::schemas(), |_| true);
        let groups = ["strange".to_owned()];
        let request = Request {
            user: "a",
            groups: &groups,
            verb: "get",
            ..Request::default()
        };
        assert_eq!(schemas.classify(&request), None);
        assert!(Schemas::new(&bootstrap::schemas(), |_| false).0.is_empty());
    }
}
