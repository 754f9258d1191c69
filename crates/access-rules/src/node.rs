//! The Node authorizer: a node may read what the pods bound to it refer to, and change what is its own.
//!
//! Source: `plugin/pkg/auth/authorizer/node`. Persistent volumes are granted by the claims that name them, which this
//! cut does not follow: a node may read every PersistentVolume.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Pod, PodSpec, Volume};
use k8s_openapi::api::rbac::v1::PolicyRule;

use crate::identity::{Attributes, Decision, ResourceAttributes};
use crate::rbac::{bootstrap_objects, rule_allows};

const LEASE_NAMESPACE: &str = "kube-node-lease";

/// What each pod refers to and where it runs, kept current by whoever watches pods.
#[derive(Debug, Default)]
pub struct Graph {
    pods: BTreeMap<(String, String), BoundPod>,
    by_node: BTreeMap<String, BTreeSet<(String, String)>>,
    rules: Vec<PolicyRule>,
}

#[derive(Debug, Default)]
struct BoundPod {
    node: String,
    references: BTreeSet<(Referred, String)>,
}

/// Kinds of objects that a pod may refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Referred {
    Secret,
    ConfigMap,
    Claim,
    ServiceAccount,
    ResourceClaim,
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
        let key = (
            pod.metadata.namespace.clone().unwrap_or_default(),
            pod.metadata.name.clone().unwrap_or_default(),
        );
        self.remove_pod(&key.0, &key.1);
        let Some(spec) = &pod.spec else { return };
        let Some(node) = spec.node_name.clone().filter(|node| !node.is_empty()) else {
            return;
        };
        let mut references = BTreeSet::new();
        // A mirror pod is the node's own word, so what it names grants nothing.
        let mirror = pod
            .metadata
            .annotations
            .iter()
            .flatten()
            .any(|(key, _)| key == "kubernetes.io/config.mirror");
        if !mirror {
            collect(spec, &key.1, &mut references);
        }
        self.by_node.entry(node.clone()).or_default().insert(key.clone());
        self.pods.insert(key, BoundPod { node, references });
    }

    /// Forgets a pod.
    pub fn remove_pod(&mut self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(pod) = self.pods.remove(&key)
            && let Some(pods) = self.by_node.get_mut(&pod.node)
        {
            pods.remove(&key);
        }
    }

    /// May a node do this? `NoOpinion` for whoever is no node.
    #[must_use]
    pub fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let Some(node) = attributes.user.node_name() else {
            return Decision::NoOpinion { reason: String::new() };
        };
        let refused = |reason: String| Decision::NoOpinion { reason };
        if let Some(resource) = &attributes.resource
            && let Some(answer) = self.own(node, attributes.verb, resource)
        {
            return match answer {
                Ok(()) => Decision::Allow { reason: String::new() },
                Err(reason) => refused(reason),
            };
        }
        if self.rules.iter().any(|rule| rule_allows(rule, attributes)) {
            return Decision::Allow { reason: String::new() };
        }
        refused(String::new())
    }

    /// The answer for resources that are looked at one by one; `None` when the role `system:node` decides.
    fn own(&self, node: &str, verb: &str, resource: &ResourceAttributes<'_>) -> Option<Result<(), String>> {
        match (resource.group, resource.resource) {
            ("", "secrets") => Some(self.read(node, verb, resource, Referred::Secret)),
            ("", "configmaps") => Some(self.read(node, verb, resource, Referred::ConfigMap)),
            ("", "persistentvolumeclaims") if resource.subresource != "status" => {
                Some(self.read(node, verb, resource, Referred::Claim))
            }
            ("resource.k8s.io", "resourceclaims") => Some(self.read(node, verb, resource, Referred::ResourceClaim)),
            ("", "serviceaccounts") if resource.subresource == "token" => {
                Some(self.refers(node, resource, Referred::ServiceAccount, verb == "create"))
            }
            ("", "nodes") if !resource.name.is_empty() && resource.name != node => Some(Err(format!(
                "node '{node}' cannot {verb} node '{}', only its own Node object",
                resource.name
            ))),
            ("", "pods") if verb == "get" && resource.subresource.is_empty() => Some(self.own_pod(node, resource)),
            ("coordination.k8s.io", "leases") => Some(own_lease(node, verb, resource)),
            ("storage.k8s.io", "csinodes") => Some(own_csi_node(node, verb, resource)),
            _ => None,
        }
    }

    /// Objects that pods refer to may be read one at a time: a list or watch must select one by name.
    fn read(&self, node: &str, verb: &str, resource: &ResourceAttributes<'_>, kind: Referred) -> Result<(), String> {
        if !matches!(verb, "get" | "list" | "watch") || !resource.subresource.is_empty() {
            return Err("can only read resources of this type".to_owned());
        }
        if resource.name.is_empty() {
            return Err("No Object name found".to_owned());
        }
        self.refers(node, resource, kind, true)
    }

    fn refers(&self, node: &str, resource: &ResourceAttributes<'_>, kind: Referred, fits: bool) -> Result<(), String> {
        let wanted = (kind, resource.name.to_owned());
        let pods = self
            .by_node
            .get(node)
            .into_iter()
            .flatten()
            .filter(|(namespace, _)| namespace == resource.namespace);
        let found = pods
            .filter_map(|key| self.pods.get(key))
            .any(|pod| pod.references.contains(&wanted));
        if fits && found {
            return Ok(());
        }
        Err(format!("no relationship found between node '{node}' and this object"))
    }

    fn own_pod(&self, node: &str, resource: &ResourceAttributes<'_>) -> Result<(), String> {
        let key = (resource.namespace.to_owned(), resource.name.to_owned());
        match self.pods.get(&key) {
            Some(pod) if pod.node != node => {
                Err(format!("no relationship found between node '{node}' and this object"))
            }
            _ => Ok(()),
        }
    }
}

fn own_lease(node: &str, verb: &str, resource: &ResourceAttributes<'_>) -> Result<(), String> {
    if !matches!(verb, "get" | "create" | "update" | "patch" | "delete") {
        return Err("can only get, create, update, patch, or delete a node lease".to_owned());
    }
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

fn own_csi_node(node: &str, verb: &str, resource: &ResourceAttributes<'_>) -> Result<(), String> {
    if !matches!(verb, "get" | "create" | "update" | "patch" | "delete") {
        return Err("can only get, create, update, patch, or delete a CSINode".to_owned());
    }
    if verb != "create" && resource.name != node {
        return Err("can only access CSINode with the same name as the requesting node".to_owned());
    }
    Ok(())
}

fn collect(spec: &PodSpec, pod: &str, found: &mut BTreeSet<(Referred, String)>) {
    let mut add = |kind, name: &str| {
        if !name.is_empty() {
            found.insert((kind, name.to_owned()));
        }
    };
    add(
        Referred::ServiceAccount,
        spec.service_account_name.as_deref().unwrap_or("default"),
    );
    for secret in spec.image_pull_secrets.iter().flatten() {
        add(Referred::Secret, &secret.name);
    }
    for claim in spec.resource_claims.iter().flatten() {
        add(
            Referred::ResourceClaim,
            claim.resource_claim_name.as_deref().unwrap_or_default(),
        );
    }
    let ordinary = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let sources = ordinary.map(|one| (&one.env, &one.env_from));
    let ephemeral = spec
        .ephemeral_containers
        .iter()
        .flatten()
        .map(|one| (&one.env, &one.env_from));
    for (env, env_from) in sources.chain(ephemeral) {
        for from in env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
            add(
                Referred::Secret,
                from.secret_key_ref.as_ref().map_or("", |key| &key.name),
            );
            add(
                Referred::ConfigMap,
                from.config_map_key_ref.as_ref().map_or("", |key| &key.name),
            );
        }
        for from in env_from.iter().flatten() {
            add(
                Referred::Secret,
                from.secret_ref.as_ref().map_or("", |secret| &secret.name),
            );
            add(
                Referred::ConfigMap,
                from.config_map_ref.as_ref().map_or("", |map| &map.name),
            );
        }
    }
    for volume in spec.volumes.iter().flatten() {
        collect_volume(volume, pod, &mut add);
    }
}

fn collect_volume(volume: &Volume, pod: &str, add: &mut impl FnMut(Referred, &str)) {
    add(
        Referred::Secret,
        volume
            .secret
            .as_ref()
            .and_then(|one| one.secret_name.as_deref())
            .unwrap_or_default(),
    );
    add(
        Referred::ConfigMap,
        volume.config_map.as_ref().map_or("", |one| &one.name),
    );
    add(
        Referred::Claim,
        volume
            .persistent_volume_claim
            .as_ref()
            .map_or("", |one| &one.claim_name),
    );
    if volume.ephemeral.is_some() {
        add(Referred::Claim, &format!("{pod}-{}", volume.name));
    }
    let driver_secret = volume.csi.as_ref().and_then(|one| one.node_publish_secret_ref.as_ref());
    add(Referred::Secret, driver_secret.map_or("", |one| &one.name));
    for source in volume.projected.iter().flat_map(|one| one.sources.iter().flatten()) {
        add(Referred::Secret, source.secret.as_ref().map_or("", |one| &one.name));
        add(
            Referred::ConfigMap,
            source.config_map.as_ref().map_or("", |one| &one.name),
        );
    }
}
