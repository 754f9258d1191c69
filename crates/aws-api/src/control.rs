//! Ondol's own part of the endpoint, below `/_ondol/`: plain JSON about what runs, for `ondol status` and scripts. It is
//! served to anybody who reaches the loopback address, and changes nothing.

use std::sync::Arc;

use aws_types::status::{ClusterStatus, NodeStatus, NodegroupStatus, RegionStatus};
use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use crate::host::HostError;
use crate::region::Region;

/// The routes.
pub fn routes(region: &Arc<Region>) -> Router {
    Router::new()
        .route("/_ondol/health", get(|| async { "ok\n" }))
        .route("/_ondol/status", get(status))
        .with_state(Arc::clone(region))
}

async fn status(Extract(region): Extract<Arc<Region>>) -> Response {
    match gather(&region).await {
        Ok(status) => Json(status).into_response(),
        Err(error) => {
            let message = supervision::error_chain(&error);
            tracing::error!(error = message, "status");
            (http::StatusCode::INTERNAL_SERVER_ERROR, message).into_response()
        }
    }
}

async fn gather(region: &Arc<Region>) -> Result<RegionStatus, HostError> {
    let (clusters, groups) = region
        .ledger
        .read(|state| (state.clusters.clone(), state.nodegroups.clone()));
    let mut shown = Vec::new();
    for cluster in clusters.values() {
        // A cluster that does not answer is shown without nodes; its own status says why.
        let nodes = region
            .host
            .nodes(region.cluster_ref(&cluster.name))
            .await
            .unwrap_or_default();
        let node = |node: crate::host::ObservedNode| NodeStatus {
            name: node.name,
            instance: node.instance.map(|id| id.to_string()),
            nodegroup: node.nodegroup.map(|name| name.to_string()),
            ready: node.ready,
            unschedulable: node.unschedulable,
        };
        let own = groups.values().filter(|group| group.cluster == cluster.name);
        let group = |group: &cluster_lifecycle::nodegroup::Nodegroup| NodegroupStatus {
            name: group.name.to_string(),
            status: group.status.name().to_owned(),
            desired: group.scaling.desired,
            instances: group.instances.iter().map(|instance| instance.id.to_string()).collect(),
        };
        shown.push(ClusterStatus {
            name: cluster.name.to_string(),
            status: cluster.status.name().to_owned(),
            version: cluster.version.clone(),
            endpoint: cluster.endpoint.clone(),
            nodegroups: own.map(group).collect(),
            nodes: nodes.into_iter().map(node).collect(),
        });
    }
    let processes = region.host.processes().await?;
    let load_balancers = region.host.load_balancers().await?;
    Ok(RegionStatus {
        region: region.name.to_string(),
        account: region.account().to_string(),
        clusters: shown,
        load_balancers: load_balancers.into_iter().map(Into::into).collect(),
        processes: processes.into_iter().map(Into::into).collect(),
    })
}
