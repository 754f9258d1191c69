//! What EKS does to Node objects: look, cordon, drain, label, delete.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_api::host::{HostError, HostErrorKind, InstanceRef, NodeMetadataChange, ObservedNode, Taint as GroupTaint};
use aws_types::{InstanceId, NodegroupName};
use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use kube::api::{Api, DeleteParams, EvictParams, ListParams, Patch, PatchParams, PostParams};
use serde::Serialize;

use super::{Cluster, LocalHost, failed};

/// The label by which EKS's node groups know their nodes.
const NODEGROUP_LABEL: &str = "eks.amazonaws.com/nodegroup";

/// The patch of a cordon.
#[derive(Debug, Serialize)]
struct Cordon {
    spec: CordonSpec,
}

#[derive(Debug, Serialize)]
struct CordonSpec {
    unschedulable: bool,
}

impl Cluster {
    /// Deletes the Node of an instance that is gone, as EC2's cloud controller does. One that never joined is success.
    pub(super) async fn delete_node(&self, name: &str) -> Result<(), kube::Error> {
        match Api::<Node>::all(self.client.clone())
            .delete(name, &DeleteParams::default())
            .await
        {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn observed_nodes(&self) -> Result<Vec<ObservedNode>, kube::Error> {
        let nodes = Api::<Node>::all(self.client.clone())
            .list(&ListParams::default())
            .await?;
        Ok(nodes.items.iter().map(observed).collect())
    }

    async fn node_of(&self, instance: &InstanceId) -> Result<Option<String>, kube::Error> {
        let nodes = self.observed_nodes().await?;
        Ok(nodes
            .into_iter()
            .find(|node| node.instance.as_ref() == Some(instance))
            .map(|node| node.name))
    }

    /// The pods that a drain must evict: those of DaemonSets would come back at once, finished ones hold nothing.
    async fn evictable(&self, node: &str) -> Result<Vec<Pod>, kube::Error> {
        let on_node = ListParams::default().fields(&format!("spec.nodeName={node}"));
        let pods = Api::<Pod>::all(self.client.clone()).list(&on_node).await?;
        Ok(pods.items.into_iter().filter(is_evictable).collect())
    }
}

fn is_evictable(pod: &Pod) -> bool {
    let owners = pod.metadata.owner_references.iter().flatten();
    let of_daemon_set = owners
        .into_iter()
        .any(|owner| owner.controller == Some(true) && owner.kind == "DaemonSet");
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !of_daemon_set && !matches!(phase, Some("Succeeded" | "Failed"))
}

fn observed(node: &Node) -> ObservedNode {
    let spec = node.spec.as_ref();
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let label = node
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(NODEGROUP_LABEL));
    let provider = spec.and_then(|spec| spec.provider_id.as_deref());
    ObservedNode {
        name: node.metadata.name.clone().unwrap_or_default(),
        instance: provider
            .and_then(|id| id.rsplit('/').next())
            .and_then(|id| InstanceId::new(id).ok()),
        nodegroup: label.and_then(|name| NodegroupName::new(name.clone()).ok()),
        ready: conditions
            .into_iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True"),
        unschedulable: spec.and_then(|spec| spec.unschedulable).unwrap_or(false),
    }
}

impl LocalHost {
    pub(super) async fn drain(&self, instance: InstanceRef, limit: Duration) -> Result<(), HostError> {
        let object = instance.id.to_string();
        let cluster = self.cluster(&instance.cluster)?;
        let Some(node) = cluster
            .node_of(&instance.id)
            .await
            .map_err(failed("find the Node", &object))?
        else {
            return Ok(());
        };
        let cordon = Patch::Merge(Cordon {
            spec: CordonSpec { unschedulable: true },
        });
        let nodes = Api::<Node>::all(cluster.client.clone());
        nodes
            .patch(&node, &PatchParams::default(), &cordon)
            .await
            .map_err(failed("cordon", &node))?;
        let drained = supervision::wait_until("node drained", limit, async || evict_all(&cluster, &node).await).await;
        drained.map_err(|error| HostError {
            kind: HostErrorKind::DrainTimedOut,
            ..failed("drain", &node)(error)
        })
    }

    pub(super) async fn relabel(&self, change: NodeMetadataChange) -> Result<(), HostError> {
        let cluster = self.cluster(&change.cluster)?;
        let nodes = Api::<Node>::all(cluster.client.clone());
        let of_group = ListParams::default().labels(&format!("{NODEGROUP_LABEL}={}", change.nodegroup));
        let listed = nodes
            .list(&of_group)
            .await
            .map_err(failed("list the nodes", change.nodegroup.as_str()))?;
        for mut node in listed.items {
            let name = node.metadata.name.clone().unwrap_or_default();
            if apply(&mut node, &change) {
                // The resource version is that of the list: a write by another is a conflict, which the region tries again.
                nodes
                    .replace(&name, &PostParams::default(), &node)
                    .await
                    .map_err(failed("relabel", &name))?;
            }
        }
        Ok(())
    }
}

/// Asks for the eviction of every pod that is left; what a disruption budget holds back is tried again. Err names what is left.
async fn evict_all(cluster: &Cluster, node: &str) -> Result<(), String> {
    let left = cluster.evictable(node).await.map_err(|error| error.to_string())?;
    if left.is_empty() {
        return Ok(());
    }
    let mut names = Vec::new();
    for pod in &left {
        let (namespace, name) = (
            pod.metadata.namespace.as_deref().unwrap_or_default(),
            pod.metadata.name.as_deref().unwrap_or_default(),
        );
        names.push(format!("{namespace}/{name}"));
        if pod.metadata.deletion_timestamp.is_some() {
            continue;
        }
        match Api::<Pod>::namespaced(cluster.client.clone(), namespace)
            .evict(name, &EvictParams::default())
            .await
        {
            Ok(_) => {}
            // Gone meanwhile, or held back by its disruption budget for now.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 429) => {}
            Err(error) => return Err(format!("evict {namespace}/{name}: {error}")),
        }
    }
    Err(format!("pods are left: {}", names.join(", ")))
}

fn typed(taint: &GroupTaint) -> Taint {
    let value = (!taint.value.is_empty()).then(|| taint.value.clone());
    Taint {
        key: taint.key.clone(),
        value,
        effect: taint.effect.clone(),
        time_added: None,
    }
}

/// Makes a node's labels and taints those of its group; says whether anything changed.
fn apply(node: &mut Node, change: &NodeMetadataChange) -> bool {
    let before = node.clone();
    let labels: &mut BTreeMap<String, String> = node.metadata.labels.get_or_insert_default();
    labels.retain(|key, _| !change.labels_before.contains_key(key) || change.labels_after.contains_key(key));
    labels.extend(change.labels_after.clone());
    let taints = node.spec.get_or_insert_default().taints.get_or_insert_default();
    let is = |taint: &Taint, group: &GroupTaint| taint.key == group.key && taint.effect == group.effect;
    taints.retain(|taint| {
        !change
            .taints_before
            .iter()
            .chain(&change.taints_after)
            .any(|group| is(taint, group))
    });
    taints.extend(change.taints_after.iter().map(typed));
    *node != before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group_taint(key: &str) -> GroupTaint {
        GroupTaint {
            key: key.into(),
            value: String::new(),
            effect: "NoSchedule".into(),
        }
    }

    #[test]
    fn a_group_change_touches_only_what_the_group_gave() {
        let mut node = Node::default();
        node.metadata.labels = Some(
            [("own", "1"), ("old", "1"), ("kept", "1")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        );
        node.spec.get_or_insert_default().taints = Some(vec![typed(&group_taint("old")), typed(&group_taint("other"))]);
        let labels = |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), "2".to_owned())).collect();
        let change = NodeMetadataChange {
            cluster: aws_api::host::ClusterRef {
                account: aws_types::AccountId::new("123456789012").unwrap(),
                region: aws_types::RegionName::new("ap-northeast-2").unwrap(),
                name: aws_types::ClusterName::new("c").unwrap(),
            },
            nodegroup: NodegroupName::new("n").unwrap(),
            labels_before: labels(&["old", "kept"]),
            labels_after: labels(&["kept", "new"]),
            taints_before: vec![group_taint("old")],
            taints_after: vec![group_taint("new")],
        };
        assert!(apply(&mut node, &change));
        let kept: Vec<(String, String)> = node.metadata.labels.clone().unwrap().into_iter().collect();
        assert_eq!(
            kept,
            [("kept", "2"), ("new", "2"), ("own", "1")].map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
        let taints: Vec<String> = node
            .spec
            .clone()
            .unwrap()
            .taints
            .unwrap()
            .into_iter()
            .map(|taint| taint.key)
            .collect();
        assert_eq!(taints, ["other", "new"]);
        assert!(!apply(&mut node, &change), "a second time changes nothing");
    }
}
