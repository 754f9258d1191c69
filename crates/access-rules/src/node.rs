//! The Node authorizer: a node may read what the pods bound to it refer to, and change what is its own.
//!
//! Source: `plugin/pkg/auth/authorizer/node`, with the feature `AuthorizeNodeWithSelectors`.

mod graph;
mod references;
#[cfg(test)]
mod tests;

use k8s_openapi::api::core::v1::{PersistentVolume, Pod};
use k8s_openapi::api::rbac::v1::PolicyRule;
use k8s_openapi::api::resource::v1::ResourceSlice;
use k8s_openapi::api::storage::v1::VolumeAttachment;

pub use self::graph::Referred;
use self::graph::Ways;
pub use self::references::referred;
use crate::identity::{Attributes, Decision, ResourceAttributes};
use crate::rbac::{bootstrap_objects, rule_allows};

const LEASE_NAMESPACE: &str = "kube-node-lease";
/// The verbs of objects that a node has one of.
const OWN_VERBS: &[&str] = &["get", "create", "update", "patch", "delete"];

/// What runs where and refers to what, kept current by whoever watches; and the rules that all nodes have alike.
#[derive(Debug, Default)]
pub struct Graph {
    ways: Ways,
    rules: Vec<PolicyRule>,
}

/// Yes, or why there is no opinion.
type Answer = Result<(), String>;

fn only(verb: &str, allowed: &[&str], problem: &str) -> Answer {
    if allowed.contains(&verb) {
        Ok(())
    } else {
        Err(problem.to_owned())
    }
}

impl Graph {
    /// A graph without pods.
    #[must_use]
    pub fn new() -> Self {
        let roles = bootstrap_objects().cluster_roles;
        let role = roles
            .into_iter()
            .find(|role| role.metadata.name.as_deref() == Some("system:node"));
        Self {
            rules: role.and_then(|role| role.rules).unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Adds or replaces a pod; one that is not bound to a node grants nothing.
    pub fn set_pod(&mut self, pod: &Pod) {
        self.ways.set_pod(pod);
    }

    /// Forgets a pod.
    pub fn remove_pod(&mut self, namespace: &str, name: &str) {
        self.ways.remove_pod(namespace, name);
    }

    /// Adds or replaces a persistent volume, which its claim makes known to nodes.
    pub fn set_volume(&mut self, volume: &PersistentVolume) {
        self.ways.set_volume(volume);
    }

    /// Forgets a persistent volume.
    pub fn remove_volume(&mut self, name: &str) {
        self.ways.remove_volume(name);
    }

    /// Adds or replaces the attachment of a volume.
    pub fn set_attachment(&mut self, attachment: &VolumeAttachment) {
        self.ways.set_attachment(attachment);
    }

    /// Forgets the attachment of a volume.
    pub fn remove_attachment(&mut self, name: &str) {
        self.ways.remove_attachment(name);
    }

    /// Adds or replaces a slice of devices.
    pub fn set_slice(&mut self, slice: &ResourceSlice) {
        self.ways.set_slice(slice);
    }

    /// Forgets a slice of devices.
    pub fn remove_slice(&mut self, name: &str) {
        self.ways.remove_slice(name);
    }

    /// May a node do this? `NoOpinion` for whoever is no node.
    #[must_use]
    pub fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let Some(node) = attributes.user.node_name() else {
            return Decision::NoOpinion { reason: String::new() };
        };
        let answer = attributes
            .resource
            .as_ref()
            .and_then(|resource| self.one_by_one(node, attributes.verb, resource));
        match answer {
            Some(Ok(())) => Decision::Allow { reason: String::new() },
            Some(Err(reason)) => Decision::NoOpinion { reason },
            None if self.rules.iter().any(|rule| rule_allows(rule, attributes)) => {
                Decision::Allow { reason: String::new() }
            }
            None => Decision::NoOpinion { reason: String::new() },
        }
    }

    /// The answer for resources that are looked at one by one; `None` when the role `system:node` decides.
    fn one_by_one(&self, node: &str, verb: &str, resource: &ResourceAttributes<'_>) -> Option<Answer> {
        let (namespace, name) = (resource.namespace, resource.name);
        let refers = |kind| self.ways.refers(node, kind, namespace, name);
        Some(match (resource.group, resource.resource) {
            ("", "secrets") => read(node, verb, resource, |node| {
                self.ways.uses_secret(node, namespace, name)
            }),
            ("", "configmaps") => read(node, verb, resource, |_| refers(Referred::ConfigMap)),
            ("", "persistentvolumeclaims") if resource.subresource == "status" => {
                only(verb, &["update", "patch"], "can only get/update/patch this type")
                    .and_then(|()| related(node, resource, refers(Referred::Claim)))
            }
            ("", "persistentvolumeclaims") => get(node, verb, resource, |_| refers(Referred::Claim)),
            ("", "persistentvolumes") => get(node, verb, resource, |node| self.ways.uses_volume(node, name)),
            ("resource.k8s.io", "resourceclaims") => get(node, verb, resource, |_| refers(Referred::ResourceClaim)),
            ("resource.k8s.io", "resourceslices") => self.slice(node, verb, resource),
            ("storage.k8s.io", "volumeattachments") => {
                get(node, verb, resource, |node| self.ways.is_attached(node, name))
            }
            ("", "serviceaccounts") if verb == "get" && resource.subresource.is_empty() => {
                read(node, verb, resource, |_| refers(Referred::ServiceAccount))
            }
            ("", "serviceaccounts") => token(node, verb, resource, refers(Referred::ServiceAccount)),
            ("", "nodes") => own_node(node, verb, resource),
            ("", "pods") => self.pod(node, verb, resource),
            ("coordination.k8s.io", "leases") => own_lease(node, verb, resource),
            ("storage.k8s.io", "csinodes") => own_csi_node(node, verb, resource),
            _ => return None,
        })
    }

    /// Pods are listed by node; what a node writes of them is looked at by NodeRestriction, which sees the object.
    fn pod(&self, node: &str, verb: &str, resource: &ResourceAttributes<'_>) -> Answer {
        let runs = || self.ways.runs(node, resource.namespace, resource.name);
        match (resource.subresource, verb) {
            ("", "get") => related(node, resource, runs()),
            ("", "list" | "watch") if selects(resource, "spec.nodeName", node) => Ok(()),
            ("", "list" | "watch") if !resource.name.is_empty() => related(node, resource, runs()),
            ("", "list" | "watch") => Err("can only list/watch pods with spec.nodeName field selector".to_owned()),
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => Ok(()),
            _ => Err(String::new()),
        }
    }

    fn slice(&self, node: &str, verb: &str, resource: &ResourceAttributes<'_>) -> Answer {
        if !resource.subresource.is_empty() {
            return Err("cannot authorize ResourceSlice subresources".to_owned());
        }
        match verb {
            "create" => Ok(()),
            "get" | "update" | "patch" | "delete" => related(node, resource, self.ways.owns_slice(node, resource.name)),
            "list" | "watch" | "deletecollection" if selects(resource, "nodeName", node) => Ok(()),
            "list" | "watch" | "deletecollection" => {
                Err("can only list/watch/deletecollection resourceslices with nodeName field selector".to_owned())
            }
            _ => Err(
                "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, \
                      patch, delete, deletecollection"
                    .to_owned(),
            ),
        }
    }
}

/// Does the field selector ask for this very value?
fn selects(resource: &ResourceAttributes<'_>, field: &str, value: &str) -> bool {
    let mut conditions = resource.fields.iter();
    conditions.any(|one| one.equal && one.field == field && one.value == value)
}

fn related(node: &str, resource: &ResourceAttributes<'_>, found: bool) -> Answer {
    if resource.name.is_empty() {
        return Err("No Object name found".to_owned());
    }
    if found {
        return Ok(());
    }
    Err(format!("no relationship found between node '{node}' and this object"))
}

/// Objects that pods refer to may be read one at a time: a list or watch must select one by name.
fn read(node: &str, verb: &str, resource: &ResourceAttributes<'_>, found: impl Fn(&str) -> bool) -> Answer {
    only(verb, &["get", "list", "watch"], "can only read resources of this type")?;
    if !resource.subresource.is_empty() {
        return Err("cannot read subresource".to_owned());
    }
    if resource.namespace.is_empty() {
        return Err("can only read namespaced object of this type".to_owned());
    }
    related(node, resource, found(node))
}

fn get(node: &str, verb: &str, resource: &ResourceAttributes<'_>, found: impl Fn(&str) -> bool) -> Answer {
    only(verb, &["get"], "can only get individual resources of this type")?;
    if !resource.subresource.is_empty() {
        return Err("cannot get subresource".to_owned());
    }
    related(node, resource, found(node))
}

fn token(node: &str, verb: &str, resource: &ResourceAttributes<'_>, found: bool) -> Answer {
    if verb != "create" || resource.name.is_empty() {
        return Err("can only create tokens for individual service accounts".to_owned());
    }
    if resource.subresource != "token" {
        return Err("can only create token subresource of serviceaccount".to_owned());
    }
    related(node, resource, found)
}

/// A node reads itself, before it exists too; what it writes of nodes is looked at by NodeRestriction.
fn own_node(node: &str, verb: &str, resource: &ResourceAttributes<'_>) -> Answer {
    match (resource.subresource, verb) {
        ("", "create" | "update" | "patch") | ("status", "update" | "patch") => Ok(()),
        ("", "get" | "list" | "watch") => match resource.name {
            name if name == node => Ok(()),
            "" => Err(format!("node '{node}' cannot read all nodes, only its own Node object")),
            name => Err(format!("node '{node}' cannot read '{name}', only its own Node object")),
        },
        _ => Err(String::new()),
    }
}

fn own_lease(node: &str, verb: &str, resource: &ResourceAttributes<'_>) -> Answer {
    let problem = "can only get, create, update, patch, or delete a node lease";
    only(verb, OWN_VERBS, problem)?;
    if resource.namespace != LEASE_NAMESPACE {
        return Err(format!(
            "can only access leases in the {LEASE_NAMESPACE:?} system namespace"
        ));
    }
    if verb != "create" && resource.name != node {
        return Err("can only access node lease with the same name as the requesting node".to_owned());
    }
    Ok(())
}

fn own_csi_node(node: &str, verb: &str, resource: &ResourceAttributes<'_>) -> Answer {
    let problem = "can only get, create, update, patch, or delete a CSINode";
    only(verb, OWN_VERBS, problem)?;
    if !resource.subresource.is_empty() {
        return Err("cannot authorize CSINode subresources".to_owned());
    }
    if verb != "create" && resource.name != node {
        return Err("can only access CSINode with the same name as the requesting node".to_owned());
    }
    Ok(())
}
