//! The Node object: registered as EKS nodes look, its status kept true, its lease renewed.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{Node, NodeStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference};
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use serde::Serialize;

use crate::agent::Agent;
use crate::events::Kind;

mod object;

/// `nodeStatusReportFrequency`: how often a status is sent that has not changed.
const REPORT: Duration = Duration::from_secs(300);
/// How often the status is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// A quarter of the lease's duration.
const RENEW: Duration = Duration::from_secs(10);
const LEASE_SECONDS: i32 = 40;
const LEASE_NAMESPACE: &str = "kube-node-lease";
const NOT_READY: &str = "node.kubernetes.io/not-ready";

#[derive(Debug, Serialize)]
struct StatusPatch<'a> {
    status: &'a NodeStatus,
}

#[derive(Debug, Serialize)]
struct MetadataPatch<'a> {
    metadata: Labels<'a>,
    spec: ProviderId<'a>,
}

#[derive(Debug, Serialize)]
struct Labels<'a> {
    labels: &'a Option<std::collections::BTreeMap<String, String>>,
    annotations: &'a Option<std::collections::BTreeMap<String, String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProviderId<'a> {
    #[serde(rename = "providerID")]
    provider_id: &'a Option<String>,
}

#[derive(Debug, Serialize)]
struct TaintsPatch<'a> {
    metadata: Version<'a>,
    spec: Taints,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Version<'a> {
    resource_version: &'a Option<String>,
}

#[derive(Debug, Serialize)]
struct Taints {
    taints: Vec<k8s_openapi::api::core::v1::Taint>,
}

/// Registers the node, then keeps its status true. Ends only with an error, to be started again.
pub(crate) async fn keep(agent: Arc<Agent>) -> Result<(), kube::Error> {
    let api: Api<Node> = Api::all(agent.client.clone());
    let mut facts = object::Facts::gather(&agent).await;
    let mut node = register(&agent, &api, &facts).await?;
    announce(&agent, &node);
    let mut sent: Option<(NodeStatus, jiff::Timestamp)> = None;
    loop {
        let old = sent
            .as_ref()
            .map_or_else(|| node.status.clone().unwrap_or_default(), |(status, _)| status.clone());
        let now = agent.now();
        let status = object::status(&agent.config, &facts, &old, now);
        let due = sent.as_ref().is_none_or(|(before, at)| {
            !object::same(before, &status)
                || now.duration_since(*at) >= jiff::SignedDuration::try_from(REPORT).unwrap_or_default()
        });
        if due {
            let patch = Patch::Strategic(StatusPatch { status: &status });
            node = api
                .patch_status(&agent.config.node_name, &PatchParams::default(), &patch)
                .await?;
            sent = Some((status, now));
        }
        if facts.ready.is_ok() && is_tainted(&node) {
            node = untaint(&api, &node).await?;
        }
        // A runtime that is not ready yet is asked again soon: the node becomes Ready as soon as it can run a pod.
        let pause = if facts.ready.is_ok() {
            LOOK
        } else {
            Duration::from_millis(100)
        };
        supervision::sleep(pause).await;
        facts.refresh(&agent).await;
    }
}

async fn register(agent: &Agent, api: &Api<Node>, facts: &object::Facts) -> Result<Node, kube::Error> {
    let wanted = object::node(&agent.config, facts, agent.now());
    match api.create(&PostParams::default(), &wanted).await {
        Ok(created) => return Ok(created),
        Err(kube::Error::Api(answer)) if answer.code == 409 => {}
        Err(error) => return Err(error),
    }
    // Registered before: the labels and the machine's identity are this agent's word.
    let patch = MetadataPatch {
        metadata: Labels {
            labels: &wanted.metadata.labels,
            annotations: &wanted.metadata.annotations,
        },
        spec: ProviderId {
            provider_id: &wanted.spec.as_ref().and_then(|spec| spec.provider_id.clone()),
        },
    };
    api.patch(&agent.config.node_name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
}

fn announce(agent: &Agent, node: &Node) {
    agent
        .events
        .node(node, Kind::Normal, "Starting", "Starting kubelet.".to_owned());
    let limits = &agent.config.limits;
    if !(limits.cpu && limits.memory) {
        let message = object::limits_message(limits);
        agent.events.node(node, Kind::Warning, "LimitsNotEnforced", message);
    }
}

fn is_tainted(node: &Node) -> bool {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    taints.into_iter().flatten().any(|taint| taint.key == NOT_READY)
}

/// A node that can run pods carries no not-ready taint; the version in the patch keeps other writers' taints safe.
async fn untaint(api: &Api<Node>, node: &Node) -> Result<Node, kube::Error> {
    let mut taints = node
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.clone())
        .unwrap_or_default();
    taints.retain(|taint| taint.key != NOT_READY);
    let patch = TaintsPatch {
        metadata: Version {
            resource_version: &node.metadata.resource_version,
        },
        spec: Taints { taints },
    };
    let name = node.metadata.name.as_deref().unwrap_or_default();
    match api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await {
        // Somebody else wrote to the node, perhaps the node lifecycle controller for the same reason; and a server that
        // restricts nodes leaves taints to that controller.
        Err(kube::Error::Api(answer)) if matches!(answer.code, 403 | 409) => api.get(name).await,
        other => other,
    }
}

/// Renews the lease by which the control plane knows that this node lives. Ends only with an error.
pub(crate) async fn renew_lease(agent: Arc<Agent>) -> Result<(), kube::Error> {
    let api: Api<Lease> = Api::namespaced(agent.client.clone(), LEASE_NAMESPACE);
    let name = &agent.config.node_name;
    loop {
        let spec = LeaseSpec {
            holder_identity: Some(name.clone()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            renew_time: Some(MicroTime(agent.now())),
            ..LeaseSpec::default()
        };
        let patch = LeasePatch { spec: &spec };
        match api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(_) => {}
            Err(kube::Error::Api(answer)) if answer.code == 404 => {
                let owner_references = owner(&agent).await?;
                let metadata = ObjectMeta {
                    name: Some(name.clone()),
                    owner_references,
                    ..ObjectMeta::default()
                };
                let lease = Lease {
                    metadata,
                    spec: Some(spec),
                };
                api.create(&PostParams::default(), &lease).await?;
            }
            Err(error) => return Err(error),
        }
        // Thousands of simulated nodes that start together must not renew together for ever.
        let spread = Duration::from_millis(agent.random.below(400));
        supervision::sleep(RENEW + spread).await;
    }
}

#[derive(Debug, Serialize)]
struct LeasePatch<'a> {
    spec: &'a LeaseSpec,
}

/// The Node as the lease's owner, once it is registered.
async fn owner(agent: &Agent) -> Result<Option<Vec<OwnerReference>>, kube::Error> {
    let api: Api<Node> = Api::all(agent.client.clone());
    let node = api.get_opt(&agent.config.node_name).await?;
    Ok(node.map(|node| {
        vec![OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: agent.config.node_name.clone(),
            uid: node.metadata.uid.unwrap_or_default(),
            ..OwnerReference::default()
        }]
    }))
}
