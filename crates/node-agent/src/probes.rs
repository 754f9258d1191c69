//! Probes of running containers: one task for each, from the machine's own network namespace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use pod_lifecycle::observed::Observed;
use pod_lifecycle::plan::Memory;
use pod_lifecycle::probe::{Kind, Settings, Tracker};
use pod_lifecycle::spec;
use supervision::TaskHandle;

use crate::agent::Agent;
use crate::events;
use crate::worker::Inbox;

mod grpc;
pub(crate) mod http;

/// The probe tasks of one pod.
pub(crate) struct Probes {
    agent: Arc<Agent>,
    inbox: Arc<Inbox>,
    tasks: BTreeMap<(String, Kind), TaskHandle>,
}

impl Probes {
    pub(crate) fn new(agent: Arc<Agent>, inbox: Arc<Inbox>) -> Self {
        Self {
            agent,
            inbox,
            tasks: BTreeMap::new(),
        }
    }

    /// Probes what runs: the startup probe alone until it has succeeded, then the other two.
    pub(crate) fn sync(&mut self, pod: &Arc<Pod>, observed: &Observed, memory: &Memory) {
        let running: Vec<&str> = observed.running().map(|container| container.id.as_str()).collect();
        self.tasks.retain(|(id, _), task| {
            let keep = running.contains(&id.as_str());
            if !keep {
                task.abort();
            }
            keep
        });
        let Some(pod_spec) = &pod.spec else { return };
        for found in observed.running() {
            let Some(container) = spec::find(pod_spec, &found.name) else {
                continue;
            };
            let started = memory.results(&container, &found.id).started();
            for kind in Kind::ALL {
                let Some(probe) = kind.of(&container) else { continue };
                let due = (kind == Kind::Startup) != started || self.tasks.contains_key(&(found.id.clone(), kind));
                let killing = spec::is_deleting(pod) && kind != Kind::Readiness;
                if !due || killing || self.tasks.contains_key(&(found.id.clone(), kind)) {
                    continue;
                }
                let one = One {
                    agent: Arc::clone(&self.agent),
                    inbox: Arc::clone(&self.inbox),
                    kind,
                    probe: probe.clone(),
                    container: Container::clone(&container),
                    id: found.id.clone(),
                    started: found.started_at.unwrap_or(found.created_at),
                };
                let name = format!("{} probe of {}", kind.title(), spec::describe(pod));
                let task = self.agent.tasks.spawn_until_cancelled(name, one.run());
                self.tasks.insert((found.id.clone(), kind), task);
            }
        }
    }

    /// A pod that ends is no longer killed for its probes; readiness goes on to be reported.
    pub(crate) fn stop_killing(&mut self) {
        for ((_, kind), task) in &self.tasks {
            if *kind != Kind::Readiness {
                task.abort();
            }
        }
    }

    pub(crate) fn stop(&mut self) {
        for task in std::mem::take(&mut self.tasks).into_values() {
            task.abort();
        }
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.stop();
    }
}

struct One {
    agent: Arc<Agent>,
    inbox: Arc<Inbox>,
    kind: Kind,
    probe: Probe,
    container: Container,
    id: String,
    started: Timestamp,
}

impl One {
    async fn run(self) {
        let settings = Settings::of(&self.probe);
        let mut tracker = Tracker::new(self.kind, settings);
        let first = tracker.first_run(self.started, self.agent.now());
        let delay = first.duration_since(self.agent.now());
        supervision::sleep(Duration::try_from(delay).unwrap_or(Duration::ZERO)).await;
        loop {
            let pod = self.inbox.current();
            let outcome = self.probe(&pod, settings.timeout).await;
            if let Err(reason) = &outcome {
                let message = format!("{} probe failed: {reason}", self.kind.title());
                let name = Some(self.container.name.as_str());
                self.agent
                    .events
                    .pod(&pod, name, events::Kind::Warning, "Unhealthy", message);
            }
            if let Some(result) = tracker.record(outcome.is_ok()) {
                self.inbox.probed(&self.id, self.kind, result);
            }
            if tracker.is_done() {
                return;
            }
            supervision::sleep(settings.period).await;
        }
    }

    /// One run; the error is what the event says.
    async fn probe(&self, pod: &Pod, timeout: Duration) -> Result<(), String> {
        // Nobody is there to be asked, and the address may be somebody else's.
        if self.agent.config.simulated {
            return Ok(());
        }
        let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
        if let Some(exec) = &self.probe.exec {
            return self.exec(exec.command.clone().unwrap_or_default(), timeout).await;
        }
        if let Some(get) = &self.probe.http_get {
            let target = http::Target::of(get, &self.container, ip.as_deref())?;
            let answer = http::get(&target, "kube-probe/1.36", timeout).await?;
            return match answer.status {
                200..400 => Ok(()),
                status => Err(format!("HTTP probe failed with statuscode: {status}")),
            };
        }
        if let Some(tcp) = &self.probe.tcp_socket {
            let port = http::port(&tcp.port, &self.container)?;
            let host = tcp.host.clone().or(ip).unwrap_or_default();
            return connect(&host, port, timeout).await;
        }
        if let Some(call) = &self.probe.grpc {
            let service = call.service.clone().unwrap_or_default();
            return grpc::check(&ip.unwrap_or_default(), call.port, service, timeout).await;
        }
        Err("missing probe handler".to_owned())
    }

    async fn exec(&self, command: Vec<String>, timeout: Duration) -> Result<(), String> {
        let shown = command.join(" ");
        let run = self.agent.runtime.exec_sync(&self.id, command, timeout);
        // The runtime ends the command at the limit; a little more is for a runtime that does not.
        let answer = match tokio::time::timeout(timeout + Duration::from_secs(1), run).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.status.code() == tonic::Code::DeadlineExceeded => {
                return Err(format!(
                    "command timed out: {shown:?} timed out after {}",
                    spec::go_duration(timeout)
                ));
            }
            Ok(Err(error)) => return Err(error.reason()),
            Err(_) => {
                return Err(format!(
                    "command timed out: {shown:?} timed out after {}",
                    spec::go_duration(timeout)
                ));
            }
        };
        if answer.exit_code == 0 {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&[answer.stdout, answer.stderr].concat()).into_owned())
    }
}

/// Connects and closes.
async fn connect(host: &str, port: u16, timeout: Duration) -> Result<(), String> {
    let address = http::join(host, port);
    match tokio::time::timeout(timeout, tokio::net::TcpStream::connect(&address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("dial tcp {address}: connect: {}", http::go_error(&error))),
        Err(_) => Err(format!("dial tcp {address}: i/o timeout")),
    }
}
