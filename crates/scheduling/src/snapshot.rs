//! The nodes and what stands on them, as the scheduler believes them to be.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod, Taint};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube_types::ObjectKey;
use kube_types::selector::LabelSelector;

use crate::resources::{Resources, requests, requests_for_score};

/// A pod with what is asked of it again and again.
#[derive(Clone, Debug)]
pub struct PodInfo {
    /// The pod.
    pub pod: Arc<Pod>,
    /// What it needs.
    pub requests: Resources,
    /// What it counts for when nodes are compared.
    pub score_requests: Resources,
    /// The pods among which it is spread when it says nothing itself: those of its services and its controller.
    pub spread_with: Option<LabelSelector>,
}

impl PodInfo {
    /// Computes what is asked of the pod.
    pub fn new(pod: Arc<Pod>) -> Self {
        Self {
            requests: requests(&pod),
            score_requests: requests_for_score(&pod),
            pod,
            spread_with: None,
        }
    }

    /// The pod's namespace.
    pub fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The pod's uid.
    pub fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }

    /// The pod's priority; zero when it states none.
    pub fn priority(&self) -> i32 {
        self.pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0)
    }

    /// Do the pod's labels match?
    pub fn matches(&self, selector: &LabelSelector) -> bool {
        selector.matches_with(|key| self.pod.metadata.labels.as_ref()?.get(key).map(String::as_str))
    }

    /// Is the pod being deleted?
    pub fn is_deleting(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }
}

/// A node, its pods, and what they leave.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// The node.
    pub node: Arc<Node>,
    /// What pods may use of it.
    pub allocatable: Resources,
    /// What its pods need.
    pub requested: Resources,
    /// What its pods count for when nodes are compared.
    pub score_requested: Resources,
    pods: BTreeMap<String, PodInfo>,
}

impl NodeInfo {
    /// The node's name.
    pub fn name(&self) -> &str {
        self.node.metadata.name.as_deref().unwrap_or_default()
    }

    /// A label of the node.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.node.metadata.labels.as_ref()?.get(key).map(String::as_str)
    }

    /// The node's taints.
    pub fn taints(&self) -> &[Taint] {
        self.node
            .spec
            .as_ref()
            .and_then(|spec| spec.taints.as_deref())
            .unwrap_or_default()
    }

    /// The pods on the node, terminating ones included.
    pub fn pods(&self) -> impl Iterator<Item = &PodInfo> {
        self.pods.values()
    }

    /// How many pods there are.
    pub fn pod_count(&self) -> usize {
        self.pods.len()
    }

    /// The node without some of its pods, to see what would be if they went.
    pub fn without<'a>(&self, uids: impl IntoIterator<Item = &'a str>) -> Self {
        let mut changed = self.clone();
        for uid in uids {
            changed.take(uid);
        }
        changed
    }

    fn put(&mut self, pod: PodInfo) {
        self.take(pod.uid());
        self.requested.add(&pod.requests);
        self.score_requested.add(&pod.score_requests);
        self.pods.insert(pod.uid().to_owned(), pod);
    }

    fn take(&mut self, uid: &str) {
        if let Some(pod) = self.pods.remove(uid) {
            self.requested.subtract(&pod.requests);
            self.score_requested.subtract(&pod.score_requests);
        }
    }

    fn set_node(&mut self, node: Arc<Node>) {
        self.allocatable = Resources::from_list(node.status.as_ref().and_then(|status| status.allocatable.as_ref()));
        self.node = node;
    }
}

/// Everything a placement is decided from.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    nodes: BTreeMap<String, NodeInfo>,
    /// Which node a pod stands on, by uid.
    places: BTreeMap<String, String>,
    /// Pods on nodes that are not known (yet), by node.
    waiting: BTreeMap<String, BTreeMap<String, PodInfo>>,
    /// Labels of every namespace.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Every claim of storage.
    pub claims: BTreeMap<ObjectKey, Arc<PersistentVolumeClaim>>,
    /// Every disruption budget.
    pub budgets: BTreeMap<ObjectKey, Arc<PodDisruptionBudget>>,
}

impl Snapshot {
    /// The nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeInfo> + Clone {
        self.nodes.values()
    }

    /// The node with this name.
    pub fn node(&self, name: &str) -> Option<&NodeInfo> {
        self.nodes.get(name)
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Adds a node or takes over its new state.
    pub fn put_node(&mut self, node: Arc<Node>) {
        let name = node.metadata.name.clone().unwrap_or_default();
        if let Some(known) = self.nodes.get_mut(&name) {
            known.set_node(node);
            return;
        }
        let mut info = NodeInfo {
            node: node.clone(),
            allocatable: Resources::default(),
            requested: Resources::default(),
            score_requested: Resources::default(),
            pods: BTreeMap::new(),
        };
        info.set_node(node);
        self.waiting
            .remove(&name)
            .into_iter()
            .flatten()
            .for_each(|(_, pod)| info.put(pod));
        self.nodes.insert(name, info);
    }

    /// Removes a node; its pods are remembered in case it comes back.
    pub fn remove_node(&mut self, name: &str) {
        if let Some(node) = self.nodes.remove(name) {
            self.waiting.insert(name.to_owned(), node.pods);
        }
    }

    /// Puts a pod on a node, because it is there or because it is assumed to be soon.
    pub fn put_pod(&mut self, pod: PodInfo, node: &str) {
        self.remove_pod(pod.uid());
        self.places.insert(pod.uid().to_owned(), node.to_owned());
        match self.nodes.get_mut(node) {
            Some(known) => known.put(pod),
            None => {
                self.waiting
                    .entry(node.to_owned())
                    .or_default()
                    .insert(pod.uid().to_owned(), pod);
            }
        }
    }

    /// Takes a pod off its node.
    pub fn remove_pod(&mut self, uid: &str) {
        let Some(node) = self.places.remove(uid) else { return };
        if let Some(known) = self.nodes.get_mut(&node) {
            known.take(uid);
        }
        if let Some(waiting) = self.waiting.get_mut(&node) {
            waiting.remove(uid);
            if waiting.is_empty() {
                self.waiting.remove(&node);
            }
        }
    }

    /// Puts a changed node in the place of the known one, to see what would be.
    pub(crate) fn with_node(&self, node: NodeInfo) -> Self {
        let mut changed = self.clone();
        changed.nodes.insert(node.name().to_owned(), node);
        changed
    }
}
