//! From the API's watch and the runtime's events to the workers: pods of this node come, change and go.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};

use crate::agent::Agent;
use crate::reconnect::Reconnect;
use crate::runtime::{RuntimeError, label};
use crate::worker;

/// Follows the pods that are bound to this node, for ever.
pub(crate) async fn follow(agent: Arc<Agent>) {
    let api: Api<Pod> = Api::all(agent.client.clone());
    let config = watcher::Config::default().fields(&format!("spec.nodeName={}", agent.config.node_name));
    let mut events = std::pin::pin!(watcher(api, config).backoff(Reconnect::default()));
    let mut listed = BTreeSet::new();
    let mut first = true;
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(pod)) => {
                listed.extend(pod.metadata.uid.clone());
                deliver(&agent, pod);
            }
            Ok(watcher::Event::InitDone) => {
                gone_except(&agent, &listed);
                if std::mem::take(&mut first) {
                    let task = remove_orphans(Arc::clone(&agent), std::mem::take(&mut listed));
                    agent.tasks.spawn_until_cancelled("orphaned pods", task);
                }
            }
            Ok(watcher::Event::Apply(pod)) => deliver(&agent, pod),
            Ok(watcher::Event::Delete(pod)) => {
                let uid = pod.metadata.uid.as_deref().unwrap_or_default();
                if let Some(inbox) = agent.inbox(uid) {
                    inbox.gone();
                }
            }
            Err(error) => tracing::warn!(error = supervision::error_chain(&error), "watch of this node's pods"),
        }
    }
}

fn deliver(agent: &Arc<Agent>, mut pod: Pod) {
    // Nobody here reads them, and they are a third of an object.
    pod.metadata.managed_fields = None;
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    match agent.inbox(&uid) {
        Some(inbox) => inbox.update(pod),
        None => worker::spawn(agent, pod),
    }
}

fn gone_except(agent: &Agent, listed: &BTreeSet<String>) {
    for inbox in agent.inboxes() {
        let uid = inbox.current().metadata.uid.clone().unwrap_or_default();
        if !listed.contains(&uid) {
            inbox.gone();
        }
    }
}

/// Takes down what an earlier agent left of pods that were deleted while none ran.
async fn remove_orphans(agent: Arc<Agent>, listed: BTreeSet<String>) {
    let known = |uid: &str| listed.contains(uid) || agent.inbox(uid).is_some();
    match agent.runtime.sandboxes(None).await {
        Ok(sandboxes) => {
            for sandbox in sandboxes {
                let uid = sandbox.labels.get(label::POD_UID).cloned().unwrap_or_default();
                if !uid.is_empty() && !known(&uid) {
                    tracing::info!(uid, sandbox = sandbox.id, "removing the sandbox of a pod that is gone");
                    if let Err(error) = remove(&agent, &uid, &sandbox.id).await {
                        tracing::warn!(uid, error = supervision::error_chain(&error), "orphaned sandbox stays");
                    }
                }
            }
        }
        Err(error) => tracing::warn!(
            error = supervision::error_chain(&error),
            "orphaned sandboxes cannot be listed"
        ),
    }
    let Ok(directories) = std::fs::read_dir(agent.config.root_dir.join("pods")) else {
        return;
    };
    for directory in directories.flatten() {
        let uid = directory.file_name().to_string_lossy().into_owned();
        if !known(&uid)
            && let Err(error) = crate::volumes::tear_down(&directory.path())
        {
            tracing::warn!(
                uid,
                error = supervision::error_chain(&error),
                "volumes of a pod that is gone stay"
            );
        }
    }
}

async fn remove(agent: &Agent, uid: &str, sandbox_id: &str) -> Result<(), RuntimeError> {
    let observed = agent.runtime.observe(uid).await?;
    for container in observed
        .running()
        .filter(|container| container.sandbox_id == sandbox_id)
    {
        agent.runtime.stop_container(&container.id, 1).await?;
    }
    agent.runtime.stop_sandbox(sandbox_id).await?;
    agent.runtime.remove_sandbox(sandbox_id).await
}

/// Wakes the worker whose pod an event of the runtime is about. Ends with the stream; after a gap everyone looks.
pub(crate) async fn follow_runtime(agent: Arc<Agent>) -> Result<(), RuntimeError> {
    let mut events = agent.runtime.events().await?;
    for inbox in agent.inboxes() {
        inbox.look();
    }
    loop {
        let event = events.message().await.map_err(|status| RuntimeError {
            call: "GetContainerEvents",
            status,
        })?;
        let Some(event) = event else { return Ok(()) };
        agent.runtime_changed.notify_waiters();
        let status = event.pod_sandbox_status.unwrap_or_default();
        let uid = status.metadata.map(|metadata| metadata.uid).unwrap_or_default();
        if let Some(inbox) = agent.inbox(&uid) {
            inbox.look();
        }
    }
}
