//! Ondol's own part of the endpoint, below `/_ondol/`: plain JSON about what runs, for `ondol status` and scripts. It is
//! served to anybody who reaches the loopback address, and changes nothing.

use std::sync::Arc;

use access_rules::identity::MASTERS;
use access_rules::{Attributes, User};
use aws_types::status::{ClusterStatus, NodeStatus, NodegroupStatus, RegionStatus};
use aws_types::{AccountId, ClusterName, RegionName};
use axum::extract::{Path, Query, State as Extract};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};

use crate::host::{AnswerForm, HostError, HostErrorKind, Question};
use crate::partition::Partition;
use crate::region::Region;

/// The routes.
pub fn routes(partition: &Arc<Partition>) -> Router {
    Router::new()
        .route("/_ondol/health", get(|| async { "ok\n" }))
        .route("/_ondol/status", get(status))
        .route("/_ondol/clusters/{cluster}/explain", get(explain))
        .with_state(Arc::clone(partition))
}

async fn status(Extract(partition): Extract<Arc<Partition>>) -> Response {
    match gather(&partition).await {
        Ok(status) => Json(status).into_response(),
        Err(error) => {
            let message = supervision::error_chain(&error);
            tracing::error!(error = message, "status");
            (http::StatusCode::INTERNAL_SERVER_ERROR, message).into_response()
        }
    }
}

/// What `explain` is asked.
#[derive(serde::Deserialize)]
struct ExplainQuery {
    kind: String,
    namespace: String,
    name: String,
    form: AnswerForm,
    /// The cluster's region and account, where they are not the home's.
    region: Option<RegionName>,
    account: Option<AccountId>,
}

/// Plans show objects, so only the cluster's administrators see them: they prove themselves by the cluster's bearer token.
async fn explain(
    Extract(partition): Extract<Arc<Partition>>,
    Path(cluster): Path<String>,
    Query(query): Query<ExplainQuery>,
    headers: HeaderMap,
) -> Response {
    let cluster = match ClusterName::new(cluster) {
        Ok(cluster) => cluster,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let home = partition.home();
    let account = query.account.as_ref().unwrap_or(home.account());
    let name = query.region.as_ref().unwrap_or(&home.name);
    let Some(region) = partition.existing(account, name) else {
        return (
            StatusCode::NOT_FOUND,
            format!("account {account} has no clusters in {name}"),
        )
            .into_response();
    };
    let header = headers
        .get(http::header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = header
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default();
    match region.authenticate_eks_token(&cluster, token).await {
        Ok(Some(user)) if is_administrator(&region, &cluster, &user) => {}
        Ok(_) => return (StatusCode::FORBIDDEN, "only administrators of the cluster may ask").into_response(),
        Err(error) => return (StatusCode::UNAUTHORIZED, supervision::error_chain(&error)).into_response(),
    }
    let question = Question {
        cluster: region.cluster_ref(&cluster),
        kind: query.kind,
        namespace: query.namespace,
        name: query.name,
        form: query.form,
    };
    match region.host.explain(question).await {
        Ok(text) => text.into_response(),
        Err(error) => {
            let status = match error.kind {
                HostErrorKind::Permanent => StatusCode::NOT_FOUND,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, supervision::error_chain(&error)).into_response()
        }
    }
}

async fn gather(partition: &Partition) -> Result<RegionStatus, HostError> {
    let home = partition.home();
    let mut clusters = Vec::new();
    for region in partition.regions() {
        clusters.extend(clusters_of(&region).await);
    }
    let processes = home.host.processes().await?;
    let load_balancers = home.host.load_balancers().await?;
    Ok(RegionStatus {
        region: home.name.to_string(),
        account: home.account().to_string(),
        clusters,
        load_balancers: load_balancers.into_iter().map(Into::into).collect(),
        processes: processes.into_iter().map(Into::into).collect(),
    })
}

async fn clusters_of(region: &Arc<Region>) -> Vec<ClusterStatus> {
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
            region: region.name.to_string(),
            account: region.account().to_string(),
            status: cluster.status.name().to_owned(),
            version: cluster.version.clone(),
            endpoint: cluster.endpoint.clone(),
            nodegroups: own.map(group).collect(),
            nodes: nodes.into_iter().map(node).collect(),
        });
    }
    shown
}

/// Whether the user may do everything: by group, or by the access policy for that.
fn is_administrator(region: &Region, cluster: &ClusterName, user: &User) -> bool {
    let everything = Attributes {
        user,
        verb: "*",
        resource: None,
        path: "/",
    };
    user.in_group(MASTERS) || region.access_policy_allows(cluster, &everything).is_some()
}
