//! Exec, attach and port-forward: the runtime names a URL, the client's upgrade is replayed there, bytes are copied raw.

use std::sync::Arc;

use cri_api::v1 as cri;
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::Pod;
use pod_lifecycle::observed::{ContainerState, Observed};
use remote_command::Duplex;
use tokio::net::{TcpStream, UnixStream};

use super::query::Query;
use super::{Answer, Refusal};
use crate::agent::Agent;
use crate::runtime::{RuntimeError, StreamingUrl};

pub(super) async fn exec(
    agent: &Arc<Agent>,
    pod: &Pod,
    container: &str,
    query: &Query,
    request: Request<Incoming>,
) -> Answer {
    let tty = query.flag(&["tty"]);
    let asked = cri::ExecRequest {
        container_id: running_container(agent, pod, container).await?,
        cmd: query.all("command"),
        tty,
        stdin: query.flag(&["input", "stdin"]),
        stdout: query.flag(&["output", "stdout"]),
        // A terminal has one output.
        stderr: !tty && query.flag(&["error", "stderr"]),
    };
    if asked.cmd.is_empty() {
        return Err(Refusal::bad_request(
            "you must specify at least 1 command for the container",
        ));
    }
    if !(asked.stdin || asked.stdout || asked.stderr) {
        return Err(Refusal::bad_request(
            "you must specify at least 1 of stdin, stdout, stderr",
        ));
    }
    let url = agent.runtime.exec_url(asked).await.map_err(runtime_refusal)?;
    proxy(agent, &url, request).await
}

pub(super) async fn attach(
    agent: &Arc<Agent>,
    pod: &Pod,
    container: &str,
    query: &Query,
    request: Request<Incoming>,
) -> Answer {
    let spec = pod
        .spec
        .as_ref()
        .and_then(|spec| pod_lifecycle::spec::find(spec, container));
    let tty = spec.is_some_and(|spec| spec.tty == Some(true)) && query.flag(&["tty"]);
    let asked = cri::AttachRequest {
        container_id: running_container(agent, pod, container).await?,
        tty,
        stdin: query.flag(&["input", "stdin"]),
        stdout: query.flag(&["output", "stdout"]),
        stderr: !tty && query.flag(&["error", "stderr"]),
    };
    let url = agent.runtime.attach_url(asked).await.map_err(runtime_refusal)?;
    proxy(agent, &url, request).await
}

pub(super) async fn port_forward(agent: &Arc<Agent>, pod: &Pod, query: &Query, request: Request<Incoming>) -> Answer {
    let observed = observe(agent, pod).await?;
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let sandbox = observed.sandbox().filter(|sandbox| sandbox.ready);
    let sandbox = sandbox.ok_or_else(|| Refusal::not_found(format!("pod not found ({name:?})")))?;
    let ports = forwarded_ports(query)?;
    let url = agent
        .runtime
        .port_forward_url(&sandbox.id, ports)
        .await
        .map_err(runtime_refusal)?;
    proxy(agent, &url, request).await
}

/// The ports that the API server names, separated by commas; over SPDY each stream names its own.
fn forwarded_ports(query: &Query) -> Result<Vec<i32>, Refusal> {
    let named = query.all("port");
    let each = named.iter().flat_map(|ports| ports.split(','));
    each.map(|port| {
        let parsed = port.parse::<u16>().ok().filter(|port| *port != 0);
        parsed
            .map(i32::from)
            .ok_or_else(|| Refusal::bad_request(format!("unable to parse {port:?} as a port")))
    })
    .collect()
}

pub(super) async fn observe(agent: &Agent, pod: &Pod) -> Result<Observed, Refusal> {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    agent.runtime.observe(uid).await.map_err(runtime_refusal)
}

fn runtime_refusal(error: RuntimeError) -> Refusal {
    Refusal::internal(format!(
        "Internal error occurred: error sending request to the runtime: {}",
        error.reason()
    ))
}

async fn running_container(agent: &Agent, pod: &Pod, name: &str) -> Result<String, Refusal> {
    let observed = observe(agent, pod).await?;
    let found = observed
        .latest(name)
        .filter(|found| found.state == ContainerState::Running);
    found
        .map(|found| found.id.clone())
        .ok_or_else(|| Refusal::not_found(format!("container not found ({name:?})")))
}

async fn proxy(agent: &Arc<Agent>, url: &str, request: Request<Incoming>) -> Answer {
    let parsed = StreamingUrl::parse(url)
        .ok_or_else(|| Refusal::internal(format!("the runtime's streaming URL {url:?} is not understood")))?;
    let unreachable = |error: std::io::Error| Refusal::internal(format!("connect to {url}: {error}"));
    let (backend, path): (Box<dyn Duplex>, String) = match parsed {
        StreamingUrl::Tcp { authority, path } => (
            Box::new(TcpStream::connect(authority).await.map_err(unreachable)?),
            path,
        ),
        StreamingUrl::Unix { socket, path } => {
            (Box::new(UnixStream::connect(socket).await.map_err(unreachable)?), path)
        }
    };
    let answer = remote_command::proxy_upgrade(request, backend, &path, &agent.tasks)
        .await
        .map_err(|error| Refusal::internal(supervision::error_chain(&error)))?;
    Ok(answer.map(|body| body.map_err(Into::into).boxed_unsync()))
}
