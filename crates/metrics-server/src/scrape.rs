//! Asks every node for its usage, again and again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use http::Request;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};

use crate::Shared;
use crate::exposition;

/// Upstream's `--metric-resolution`.
const EVERY: Duration = Duration::from_secs(15);
/// The second scrape follows the first soon, so that a server that has just started has something to say.
const SOON: Duration = Duration::from_secs(2);
/// How long a node may take to answer.
const LIMIT: Duration = Duration::from_secs(10);
/// Nodes that are asked at the same time.
const AT_ONCE: usize = 16;

/// Why the nodes cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("list the nodes")]
pub(crate) struct ListError(#[from] kube::Error);

/// Scrapes until the supervisor is cancelled.
pub(crate) async fn keep(shared: Arc<Shared>) -> Result<(), ListError> {
    let nodes: Api<Node> = Api::all(shared.client.clone());
    let mut known = BTreeSet::new();
    loop {
        let listed = nodes.list_metadata(&ListParams::default()).await?;
        let names: BTreeSet<String> = listed.items.into_iter().filter_map(|node| node.metadata.name).collect();
        shared.usage.retain(|node| names.contains(node));
        futures::stream::iter(&names)
            .for_each_concurrent(AT_ONCE, |node| scrape(&shared, node))
            .await;
        let pause = if names.is_subset(&known) { EVERY } else { SOON };
        known = names;
        supervision::sleep(pause).await;
    }
}

async fn scrape(shared: &Shared, node: &str) {
    let path = format!("/api/v1/nodes/{node}/proxy/metrics/resource");
    let request = match Request::get(&path).body(Vec::new()) {
        Ok(request) => request,
        Err(error) => return tracing::warn!(node, %error, "a node's name makes no path"),
    };
    match tokio::time::timeout(LIMIT, shared.client.request_text(request)).await {
        Ok(Ok(text)) => shared.usage.add(node, shared.clock.now(), exposition::read(&text)),
        Ok(Err(error)) => tracing::warn!(node, error = supervision::error_chain(&error), "a node is not scraped"),
        Err(_elapsed) => tracing::warn!(node, "a node takes too long to say what it uses"),
    }
}
