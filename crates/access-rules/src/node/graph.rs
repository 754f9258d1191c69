//! What runs on each node, and what that refers to: pods, claims, volumes, attachments, slices of devices.
//!
//! Source: `plugin/pkg/auth/authorizer/node/graph.go`.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{PersistentVolume, Pod};
use k8s_openapi::api::resource::v1::ResourceSlice;
use k8s_openapi::api::storage::v1::VolumeAttachment;

use super::references::references;

/// Namespace and name.
type Key = (String, String);

/// Kinds of objects that a pod may refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Referred {
    /// A secret: of a volume, a variable, an image.
    Secret,
    /// A config map: of a volume or a variable.
    ConfigMap,
    /// A claim of a persistent volume.
    Claim,
    /// The service account.
    ServiceAccount,
    /// A claim of devices.
    ResourceClaim,
}

/// The ways from objects to nodes, kept current by whoever watches.
#[derive(Debug, Default)]
pub(super) struct Ways {
    pods: BTreeMap<Key, BoundPod>,
    by_node: BTreeMap<String, BTreeSet<Key>>,
    volumes: BTreeMap<String, Volume>,
    /// Volumes by the secrets that they name.
    by_secret: BTreeMap<Key, BTreeSet<String>>,
    attachments: BTreeMap<String, String>,
    slices: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct BoundPod {
    node: String,
    references: BTreeSet<(Referred, String)>,
}

/// A persistent volume: the claim that it is bound to, and the secrets by which it is mounted.
#[derive(Debug, Default)]
struct Volume {
    claim: Option<Key>,
    secrets: BTreeSet<Key>,
}

impl Ways {
    /// Adds or replaces a pod; one that is not bound to a node grants nothing.
    pub(super) fn set_pod(&mut self, pod: &Pod) {
        let key = (
            pod.metadata.namespace.clone().unwrap_or_default(),
            pod.metadata.name.clone().unwrap_or_default(),
        );
        self.remove_pod(&key.0, &key.1);
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        let Some(node) = node.filter(|node| !node.is_empty()) else {
            return;
        };
        self.by_node.entry(node.clone()).or_default().insert(key.clone());
        let references = references(pod);
        self.pods.insert(key, BoundPod { node, references });
    }

    pub(super) fn remove_pod(&mut self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(pod) = self.pods.remove(&key)
            && let Some(pods) = self.by_node.get_mut(&pod.node)
        {
            pods.remove(&key);
        }
    }

    /// Adds or replaces a persistent volume.
    pub(super) fn set_volume(&mut self, volume: &PersistentVolume) {
        let name = volume.metadata.name.clone().unwrap_or_default();
        self.remove_volume(&name);
        let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        let claim = claim.map(|claim| {
            let (namespace, name) = (claim.namespace.clone(), claim.name.clone());
            (namespace.unwrap_or_default(), name.unwrap_or_default())
        });
        let secrets = volume_secrets(volume, claim.as_ref().map_or("", |(namespace, _)| namespace));
        for secret in &secrets {
            self.by_secret.entry(secret.clone()).or_default().insert(name.clone());
        }
        self.volumes.insert(name, Volume { claim, secrets });
    }

    pub(super) fn remove_volume(&mut self, name: &str) {
        let Some(volume) = self.volumes.remove(name) else {
            return;
        };
        for secret in volume.secrets {
            if let Some(volumes) = self.by_secret.get_mut(&secret) {
                volumes.remove(name);
                if volumes.is_empty() {
                    self.by_secret.remove(&secret);
                }
            }
        }
    }

    /// Adds or replaces the attachment of a volume to a node.
    pub(super) fn set_attachment(&mut self, attachment: &VolumeAttachment) {
        let name = attachment.metadata.name.clone().unwrap_or_default();
        self.attachments.insert(name, attachment.spec.node_name.clone());
    }

    pub(super) fn remove_attachment(&mut self, name: &str) {
        self.attachments.remove(name);
    }

    /// Adds or replaces a slice of devices; one that is of no node grants nothing.
    pub(super) fn set_slice(&mut self, slice: &ResourceSlice) {
        let name = slice.metadata.name.clone().unwrap_or_default();
        match slice.spec.node_name.clone().filter(|node| !node.is_empty()) {
            Some(node) => self.slices.insert(name, node),
            None => self.slices.remove(&name),
        };
    }

    pub(super) fn remove_slice(&mut self, name: &str) {
        self.slices.remove(name);
    }

    /// Does a pod on the node refer to this object of its namespace?
    pub(super) fn refers(&self, node: &str, kind: Referred, namespace: &str, name: &str) -> bool {
        let wanted = (kind, name.to_owned());
        let pods = self.by_node.get(node).into_iter().flatten();
        pods.filter(|(of, _)| of == namespace)
            .filter_map(|key| self.pods.get(key))
            .any(|pod| pod.references.contains(&wanted))
    }

    /// Is the volume bound to a claim of a pod on the node?
    pub(super) fn uses_volume(&self, node: &str, name: &str) -> bool {
        let claim = self.volumes.get(name).and_then(|volume| volume.claim.as_ref());
        claim.is_some_and(|(namespace, name)| self.refers(node, Referred::Claim, namespace, name))
    }

    /// Is the secret named by a pod on the node, or by a volume of one?
    pub(super) fn uses_secret(&self, node: &str, namespace: &str, name: &str) -> bool {
        if self.refers(node, Referred::Secret, namespace, name) {
            return true;
        }
        let volumes = self.by_secret.get(&(namespace.to_owned(), name.to_owned()));
        volumes
            .into_iter()
            .flatten()
            .any(|volume| self.uses_volume(node, volume))
    }

    pub(super) fn runs(&self, node: &str, namespace: &str, name: &str) -> bool {
        let key = (namespace.to_owned(), name.to_owned());
        self.pods.get(&key).is_some_and(|pod| pod.node == node)
    }

    pub(super) fn is_attached(&self, node: &str, name: &str) -> bool {
        self.attachments.get(name).is_some_and(|of| of == node)
    }

    pub(super) fn owns_slice(&self, node: &str, name: &str) -> bool {
        self.slices.get(name).is_some_and(|of| of == node)
    }
}

/// The secrets by which a volume is mounted; those without a namespace are in the claim's.
///
/// Source: `pkg/api/persistentvolume/util.go`, without the secrets that only controllers need.
fn volume_secrets(volume: &PersistentVolume, claim_namespace: &str) -> BTreeSet<Key> {
    let mut found = BTreeSet::new();
    let mut add = |namespace: Option<&str>, name: Option<&str>| {
        let namespace = namespace
            .filter(|namespace| !namespace.is_empty())
            .unwrap_or(claim_namespace);
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            found.insert((namespace.to_owned(), name.to_owned()));
        }
    };
    let Some(spec) = &volume.spec else {
        return found;
    };
    if let Some(file) = &spec.azure_file {
        add(file.secret_namespace.as_deref(), Some(&file.secret_name));
    }
    let csi = spec.csi.as_ref();
    let of_nodes = [
        csi.and_then(|csi| csi.node_publish_secret_ref.as_ref()),
        csi.and_then(|csi| csi.node_stage_secret_ref.as_ref()),
        csi.and_then(|csi| csi.node_expand_secret_ref.as_ref()),
    ];
    let others = [
        spec.cephfs.as_ref().and_then(|one| one.secret_ref.as_ref()),
        spec.cinder.as_ref().and_then(|one| one.secret_ref.as_ref()),
        spec.flex_volume.as_ref().and_then(|one| one.secret_ref.as_ref()),
        spec.iscsi.as_ref().and_then(|one| one.secret_ref.as_ref()),
        spec.rbd.as_ref().and_then(|one| one.secret_ref.as_ref()),
        spec.scale_io.as_ref().map(|one| &one.secret_ref),
    ];
    for secret in of_nodes.into_iter().chain(others).flatten() {
        add(secret.namespace.as_deref(), secret.name.as_deref());
    }
    let storage_os = spec.storageos.as_ref().and_then(|one| one.secret_ref.as_ref());
    if let Some(secret) = storage_os {
        add(secret.namespace.as_deref(), secret.name.as_deref());
    }
    found
}
