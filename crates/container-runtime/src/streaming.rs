//! Exec, attach and port-forward sessions: announced by a CRI call, taken up once by an HTTP upgrade on a unix socket.

mod targets;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use clock::{Clock, Random};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use remote_command::{StreamSelection, serve_command, serve_port_forward};
use tokio::net::UnixListener;

use crate::runtime::Runtime;
use targets::{AttachTarget, ExecTarget, PodPorts};

/// How long an announced session waits to be taken up.
const SESSION_LIFE: Duration = Duration::from_secs(60);
/// Bytes of a session's token.
const TOKEN_BYTES: usize = 16;

/// What a session is for.
#[derive(Clone, Debug)]
pub enum Session {
    /// A further process.
    Exec {
        /// Where.
        container_id: String,
        /// Program and arguments.
        command: Vec<String>,
        /// Which streams.
        selection: StreamSelection,
    },
    /// A container's own streams.
    Attach {
        /// Which container's.
        container_id: String,
        /// Which streams.
        selection: StreamSelection,
    },
    /// A pod's ports.
    PortForward {
        /// Which pod's.
        sandbox_id: String,
        /// The ports of the request, possibly none.
        ports: Vec<u16>,
    },
}

/// Sessions that were announced and not taken up yet.
pub struct Sessions {
    socket: PathBuf,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    waiting: Mutex<BTreeMap<String, (Timestamp, Session)>>,
}

impl Sessions {
    /// None yet; they will be served on `socket`.
    pub fn new(socket: PathBuf, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Arc<Self> {
        Arc::new(Self {
            socket,
            clock,
            random,
            waiting: Mutex::default(),
        })
    }

    /// The URL under which the session can be taken up once, within a minute: `unix://<socket>:/<kind>/<token>`.
    pub fn announce(&self, kind: &str, session: Session) -> String {
        let mut bytes = [0u8; TOKEN_BYTES];
        self.random.bytes(&mut bytes);
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let now = self.clock.now();
        let mut waiting = self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        waiting.retain(|_, (announced, _)| fresh(*announced, now));
        let path = format!("/{kind}/{token}");
        waiting.insert(path.clone(), (now, session));
        format!("unix://{}:{path}", self.socket.display())
    }

    fn take(&self, path: &str) -> Option<Session> {
        let mut waiting = self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (announced, session) = waiting.remove(path)?;
        fresh(announced, self.clock.now()).then_some(session)
    }
}

fn fresh(announced: Timestamp, now: Timestamp) -> bool {
    now.duration_since(announced).unsigned_abs() < SESSION_LIFE
}

/// Serves sessions until the runtime's supervisor is cancelled.
pub async fn serve(listener: UnixListener, sessions: Arc<Sessions>, runtime: Arc<Runtime>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a streaming connection");
                supervision::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (sessions, runtime) = (Arc::clone(&sessions), Arc::clone(&runtime));
        let supervisor = runtime.parts().supervisor.clone();
        supervisor.spawn("streaming connection", async move {
            let service = service_fn(move |request| {
                let answer = respond(request, &sessions, &runtime);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a streaming connection ended early");
            }
        });
    }
}

fn respond(request: Request<Incoming>, sessions: &Sessions, runtime: &Arc<Runtime>) -> Response<Full<Bytes>> {
    let tasks = &runtime.parts().supervisor;
    match sessions.take(request.uri().path()) {
        None => {
            let mut response = Response::new(Full::new(Bytes::from_static(
                b"no such streaming session, or it was taken up already\n",
            )));
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
        Some(Session::Exec {
            container_id,
            command,
            selection,
        }) => {
            let target = ExecTarget {
                runtime: Arc::clone(runtime),
                container_id,
                command,
                selection,
            };
            serve_command(request, selection, Arc::new(target), tasks)
        }
        Some(Session::Attach {
            container_id,
            selection,
        }) => {
            let target = AttachTarget {
                runtime: Arc::clone(runtime),
                container_id,
                selection,
            };
            serve_command(request, selection, Arc::new(target), tasks)
        }
        Some(Session::PortForward { sandbox_id, ports }) => {
            let target = PodPorts {
                runtime: Arc::clone(runtime),
                sandbox_id,
            };
            serve_port_forward(request, &ports, Arc::new(target), tasks)
        }
    }
}
