//! What a pod gets before its containers: objects and tokens from the API, volumes, the sandbox.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use pod_lifecycle::downward::Addresses;
use pod_lifecycle::environment::Objects;
use pod_lifecycle::observed::Observed;
use pod_lifecycle::projection::{self, Inputs};
use pod_lifecycle::{dns, spec};

use super::Worker;
use crate::container_config;
use crate::events::Kind;
use crate::tokens::Issued;
use crate::volumes::{self, MountFailure};

/// What was prepared, and when it must be looked at again.
pub(super) struct Setup {
    pub(super) volumes: HashMap<String, PathBuf>,
    pub(super) objects: Objects,
    pub(super) services: BTreeMap<String, String>,
    /// A token must be renewed then.
    pub(super) renew_at: Option<Timestamp>,
    /// An object changed since.
    pub(super) stale: bool,
}

impl Worker {
    pub(super) fn addresses(&self, pod: &Pod, observed: &Observed) -> Addresses {
        let host_ips: Vec<String> = self.agent.host_ips().iter().map(ToString::to_string).collect();
        let on_host = pod.spec.as_ref().is_some_and(spec::host_network);
        let pod_ips = if on_host {
            host_ips.clone()
        } else {
            observed
                .sandbox()
                .map(|sandbox| sandbox.ips.iter().map(ToString::to_string).collect())
                .unwrap_or_default()
        };
        Addresses { host_ips, pod_ips }
    }

    /// Fetches what the pod refers to and prepares its volumes. Says why not in an event.
    pub(super) async fn prepare(&self, pod: &Pod, addresses: &Addresses) -> Option<Setup> {
        let failed = |reason: &'static str, message: String| {
            self.agent.events.pod(pod, None, Kind::Warning, reason, message);
        };
        let now = self.agent.now();
        let (objects, issued, services) = tokio::join!(
            self.agent.objects.of_pod(pod, &self.inbox),
            self.tokens(pod, now),
            self.agent.services.variables(pod),
        );
        let (tokens, renew_at) = issued;
        let objects = objects.map_err(|error| failed("FailedMount", error.to_string())).ok()?;
        let services = services.map_err(|error| failed("Failed", error.to_string())).ok()?;
        let node = self.agent.allocatable();
        let inputs = Inputs {
            pod,
            objects: &objects,
            tokens: &tokens,
            addresses,
            node: &node,
        };
        let result: Result<_, MountFailure> = if self.agent.config.simulated {
            volumes::check(&self.paths, pod, &inputs)
        } else {
            volumes::set_up(&self.paths, pod, &inputs, now)
        };
        match result {
            Ok(volumes) => Some(Setup {
                volumes,
                objects,
                services,
                renew_at,
                stale: false,
            }),
            Err(failure) => {
                failed("FailedMount", failure.message());
                None
            }
        }
    }

    /// The tokens that the pod's volumes need; nobody reads those of a simulated node, so none are asked for.
    async fn tokens(&self, pod: &Pod, now: Timestamp) -> Issued {
        if self.agent.config.simulated {
            let unread = projection::tokens(pod)
                .into_iter()
                .map(|request| (request, Ok(String::new())));
            return (unread.collect(), None);
        }
        self.agent.tokens.of_pod(&self.agent.client, pod, now).await
    }

    /// Brings files up to date when an object changed or a token is due. Answers when that is next needed.
    pub(super) async fn refresh(&mut self, pod: &Arc<Pod>, observed: &Observed) -> Option<Timestamp> {
        let now = self.agent.now();
        let due = self
            .setup
            .as_ref()
            .is_some_and(|setup| setup.stale || setup.renew_at.is_some_and(|at| at <= now));
        // After a restart of the agent the files of an adopted pod are its business again.
        let adopted = self.setup.is_none() && observed.running().next().is_some();
        if (due || adopted) && !spec::is_deleting(pod) {
            match self.prepare(pod, &self.addresses(pod, observed)).await {
                Some(setup) => self.setup = Some(setup),
                // What is mounted stays as it was; try again soon.
                None => return Some(now + std::time::Duration::from_secs(5)),
            }
        }
        self.setup.as_ref().and_then(|setup| setup.renew_at)
    }

    /// Makes the sandbox while the volumes are prepared. Answers whether both are there.
    pub(super) async fn create_sandbox(&mut self, pod: &Arc<Pod>, attempt: u32) -> bool {
        let config = container_config::sandbox(
            pod,
            &self.agent.config,
            &self.paths,
            &self.agent.host_resolver(),
            attempt,
        );
        if !self.agent.config.simulated
            && let Err(error) = std::fs::create_dir_all(&self.paths.logs)
        {
            tracing::warn!(path = %self.paths.logs.display(), %error, "log directory");
            return false;
        }
        let handler = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.runtime_class_name.clone())
            .unwrap_or_default();
        let addresses = self.addresses(pod, &Observed::default());
        let both = async {
            tokio::join!(
                self.agent.runtime.run_sandbox(config, &handler),
                self.prepare(pod, &addresses)
            )
        };
        let (sandbox, setup) = tokio::select! {
            both = both => both,
            () = self.inbox.stopping.cancelled() => return true,
        };
        let made = match sandbox {
            Ok(id) => {
                tracing::debug!(pod = spec::describe(pod), id, "sandbox made");
                true
            }
            Err(error) => {
                let message = format!("Failed to create pod sandbox: {}", error.reason());
                self.agent
                    .events
                    .pod(pod, None, Kind::Warning, "FailedCreatePodSandBox", message);
                false
            }
        };
        let ready = made && setup.is_some();
        self.setup = setup;
        if ready {
            self.failures = 0;
        }
        ready
    }

    /// The pod's /etc/hosts, which needs its address.
    pub(super) fn write_hosts(&self, pod: &Pod, addresses: &Addresses) -> Result<(), volumes::VolumeError> {
        let on_host = pod.spec.as_ref().is_some_and(spec::host_network);
        let host_file = if on_host {
            std::fs::read_to_string("/etc/hosts").unwrap_or_default()
        } else {
            String::new()
        };
        let text = dns::hosts_file(pod, &addresses.pod_ips, &self.agent.config.cluster_domain, &host_file);
        volumes::write_file(&self.paths.hosts(), text.as_bytes(), 0o644)
    }
}
