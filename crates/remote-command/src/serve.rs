//! The entry points: look at an upgrade request, answer it, and run the session as a task.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use supervision::Supervisor;

use crate::negotiate::{self, Framing};
use crate::streams::{CommandTarget, PortTarget, StreamSelection};
use crate::{port_forward, spdy, websocket};

/// Body of the answers made here: empty on success, a `v1.Status` on refusal.
pub type ResponseBody = Full<Bytes>;

const COMMAND_WEBSOCKET: &[&str] = &[
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
    "",
];
const COMMAND_SPDY: &[&str] = &[
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v3.channel.k8s.io",
    "v2.channel.k8s.io",
    "channel.k8s.io",
    "",
];
const PORT_FORWARD_WEBSOCKET: &[&str] = &[
    "SPDY/3.1+portforward.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "",
];
const PORT_FORWARD_SPDY: &[&str] = &["portforward.k8s.io", ""];

/// Serves one exec or attach. The connection must be served with upgrades (`serve_connection(..).with_upgrades()`);
/// the session runs as a task of `tasks` and ends with the command or with the client.
pub fn serve_command<B>(
    request: Request<B>,
    selection: StreamSelection,
    target: Arc<dyn CommandTarget>,
    tasks: &Supervisor,
) -> Response<ResponseBody> {
    let framing = match negotiate::choose(request.headers(), COMMAND_WEBSOCKET, COMMAND_SPDY) {
        Ok(framing) => framing,
        Err(refusal) => return negotiate::refuse(&refusal),
    };
    let response = negotiate::accept(&request, &framing);
    run_upgraded(request, tasks, "remote command", move |io| async move {
        match framing {
            Framing::WebSocket(protocol) => websocket::command::serve(io, &protocol, selection, target.as_ref()).await,
            Framing::Spdy(protocol) => spdy::command::serve(io, &protocol, selection, target.as_ref()).await,
        }
    });
    response
}

/// Serves one port-forward session. `ports` are those of the request's query, which only the oldest WebSocket form needs.
pub fn serve_port_forward<B>(
    request: Request<B>,
    ports: &[u16],
    target: Arc<dyn PortTarget>,
    tasks: &Supervisor,
) -> Response<ResponseBody> {
    let framing = match negotiate::choose(request.headers(), PORT_FORWARD_WEBSOCKET, PORT_FORWARD_SPDY) {
        Ok(framing) => framing,
        Err(refusal) => return negotiate::refuse(&refusal),
    };
    let response = negotiate::accept(&request, &framing);
    let ports = ports.to_vec();
    run_upgraded(request, tasks, "port forward", move |io| async move {
        match framing {
            Framing::WebSocket(protocol) if protocol.starts_with("SPDY/") => {
                port_forward::serve_spdy(websocket::bytes::ByteStream::new(io).await, target.as_ref()).await;
            }
            Framing::WebSocket(protocol) => {
                port_forward::serve_channels(io, &protocol, &ports, target.as_ref()).await;
            }
            Framing::Spdy(_) => port_forward::serve_spdy(io, target.as_ref()).await,
        }
    });
    response
}

/// Waits for the connection to be handed over after the 101 has been written, then runs `session` on it.
fn run_upgraded<B, F, Fut>(request: Request<B>, tasks: &Supervisor, name: &str, session: F)
where
    F: FnOnce(TokioIo<Upgraded>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let upgrade = hyper::upgrade::on(request);
    tasks.spawn(name, async move {
        match upgrade.await {
            Ok(upgraded) => session(TokioIo::new(upgraded)).await,
            Err(error) => tracing::debug!(%error, "client went away before the streaming connection was made"),
        }
    });
}
