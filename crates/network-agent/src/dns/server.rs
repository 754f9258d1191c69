//! The server: one task reads datagrams and answers what it knows at once; what others know is asked in tasks.
//!
//! No server framework: forwarded questions and replies then pass as bytes, with every option that the client and the
//! other server agreed on.
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use service_routing::names::{Answer, RecordData, RecordKind};
use supervision::Supervisor;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;

use super::answers::{self, Question, Read};
use super::forward::{Forwarder, read_framed, write_framed};

/// Questions that may be with other servers at a time (CoreDNS's `max_concurrent` in EKS is 1000).
const IN_FLIGHT: usize = 1000;
/// How long a TCP client may be silent.
const IDLE: Duration = Duration::from_secs(10);

/// Names of our own.
pub trait Zones: Send + Sync {
    /// The answer to a question, or that others know.
    fn answer(&self, name: &str, kind: RecordKind) -> Answer;
    /// The domain under which absence is told.
    fn domain(&self) -> &str;
}

/// Where questions arrive.
pub struct Listeners {
    /// By UDP.
    pub udp: UdpSocket,
    /// By TCP.
    pub tcp: TcpListener,
}

/// How much was asked.
#[derive(Debug, Default)]
pub struct Counters {
    questions: AtomicU64,
    forwarded: AtomicU64,
    failed: AtomicU64,
}

impl Counters {
    /// The counters as Prometheus reads them, named as CoreDNS's.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "coredns_dns_requests_total {}\ncoredns_proxy_requests_total {}\ncoredns_forward_failures_total {}\n",
            self.questions.load(Ordering::Relaxed),
            self.forwarded.load(Ordering::Relaxed),
            self.failed.load(Ordering::Relaxed)
        )
    }
}

struct Server {
    zones: Arc<dyn Zones>,
    forwarder: Forwarder,
    counters: Arc<Counters>,
    in_flight: Semaphore,
    shift: AtomicUsize,
}

/// Starts answering; ends with the supervisor.
pub fn serve(
    listeners: Listeners,
    zones: Arc<dyn Zones>,
    forwarder: Forwarder,
    supervisor: &Supervisor,
) -> Arc<Counters> {
    let counters = Arc::new(Counters::default());
    let server = Arc::new(Server {
        zones,
        forwarder,
        counters: Arc::clone(&counters),
        in_flight: Semaphore::new(IN_FLIGHT),
        shift: AtomicUsize::new(0),
    });
    let Listeners { udp, tcp } = listeners;
    supervisor.spawn_until_cancelled(
        "dns-udp",
        datagrams(Arc::new(udp), Arc::clone(&server), supervisor.clone()),
    );
    supervisor.spawn_until_cancelled("dns-tcp", streams(tcp, server, supervisor.clone()));
    counters
}

async fn datagrams(socket: Arc<UdpSocket>, server: Arc<Server>, tasks: Supervisor) {
    let mut buffer = vec![0; 4096];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                // A client that is gone shows here as a refused earlier reply.
                tracing::debug!(%error, "no datagram");
                continue;
            }
        };
        let Some(bytes) = buffer.get(..length) else { continue };
        match server.local(bytes) {
            Local::Nothing => {}
            Local::Reply { request, reply } => {
                let bytes =
                    request.map_or_else(|| answers::bytes(&reply), |request| answers::datagram(&request, &reply));
                send(&socket, bytes, from).await;
            }
            Local::Elsewhere(question) => {
                let (bytes, socket, server) = (bytes.to_vec(), Arc::clone(&socket), Arc::clone(&server));
                tasks.spawn_until_cancelled("dns-forward", async move {
                    let reply = server.elsewhere(&question, &bytes, false).await;
                    send(&socket, reply, from).await;
                });
            }
        }
    }
}

async fn send(socket: &UdpSocket, bytes: Option<Vec<u8>>, to: SocketAddr) {
    if let Some(bytes) = bytes
        && let Err(error) = socket.send_to(&bytes, to).await
    {
        tracing::debug!(%error, %to, "reply not sent");
    }
}

async fn streams(listener: TcpListener, server: Arc<Server>, tasks: Supervisor) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let server = Arc::clone(&server);
                tasks.spawn_until_cancelled("dns-stream", async move {
                    if let Err(error) = server.stream(stream).await {
                        tracing::debug!(%error, %from, "stream ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept");
                supervision::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// What can be said without asking anybody.
enum Local {
    Nothing,
    Reply {
        request: Option<Box<Message>>,
        reply: Box<Message>,
    },
    Elsewhere(Box<Question>),
}

impl Server {
    fn local(&self, bytes: &[u8]) -> Local {
        self.counters.questions.fetch_add(1, Ordering::Relaxed);
        let question = match answers::read(bytes) {
            Read::Question(question) => question,
            Read::Refused(reply) => return Local::Reply { request: None, reply },
            Read::Nothing => return Local::Nothing,
        };
        let answer = self.zones.answer(&question.name, question.kind);
        if alias_of(&answer).is_some() && question.kind != RecordKind::Cname {
            return Local::Elsewhere(question);
        }
        let shift = self.shift.fetch_add(1, Ordering::Relaxed);
        match answers::from_answer(&question, &answer, self.zones.domain(), shift) {
            Some(reply) => Local::Reply {
                request: Some(Box::new(question.message)),
                reply: Box::new(reply),
            },
            None => Local::Elsewhere(question),
        }
    }

    /// The reply to a question that needs others, in bytes.
    async fn elsewhere(&self, question: &Question, bytes: &[u8], stream: bool) -> Option<Vec<u8>> {
        self.counters.forwarded.fetch_add(1, Ordering::Relaxed);
        let permit = self.in_flight.try_acquire();
        if permit.is_err() {
            return answers::bytes(&answers::reply(&question.message, ResponseCode::Refused));
        }
        let answer = self.zones.answer(&question.name, question.kind);
        if let Some(target) = alias_of(&answer) {
            let reply = self.through_alias(question, &answer, target, stream).await?;
            return if stream {
                answers::bytes(&reply)
            } else {
                answers::datagram(&question.message, &reply)
            };
        }
        if let Some(reply) = self.forwarder.ask(bytes, stream).await {
            return Some(reply);
        }
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        answers::bytes(&answers::reply(&question.message, ResponseCode::ServFail))
    }

    /// An alias with the records of its target behind it, ours or others'.
    async fn through_alias(&self, question: &Question, answer: &Answer, target: &str, stream: bool) -> Option<Message> {
        let mut reply = answers::from_answer(question, answer, self.zones.domain(), 0)?;
        let asked = answers::question_for(target, question.query.query_type())?;
        let bytes = answers::bytes(&asked)?;
        let found = match self.zones.answer(target, question.kind) {
            Answer::NotHere => self.forwarder.ask(&bytes, stream).await,
            known => {
                let Read::Question(question) = answers::read(&bytes) else {
                    return None;
                };
                let reply = answers::from_answer(&question, &known, self.zones.domain(), 0)?;
                answers::bytes(&reply)
            }
        };
        // Without the target's records the alias alone is still true.
        match found.map(|bytes| Message::from_vec(&bytes)) {
            Some(Ok(target)) => reply.add_answers(target.answers),
            Some(Err(error)) => {
                tracing::debug!(%error, "resolver's reply is unreadable");
                &mut reply
            }
            None => &mut reply,
        };
        Some(reply)
    }

    async fn stream(&self, mut stream: TcpStream) -> io::Result<()> {
        loop {
            let read = tokio::time::timeout(IDLE, read_framed(&mut stream)).await;
            let bytes = match read {
                Ok(Ok(bytes)) => bytes,
                Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Ok(Err(error)) => return Err(error),
                Err(_idle) => return Ok(()),
            };
            let reply = match self.local(&bytes) {
                Local::Nothing => None,
                Local::Reply { reply, .. } => answers::bytes(&reply),
                Local::Elsewhere(question) => self.elsewhere(&question, &bytes, true).await,
            };
            let Some(reply) = reply else { return Ok(()) };
            write_framed(&mut stream, &reply).await?;
        }
    }
}

fn alias_of(answer: &Answer) -> Option<&str> {
    let Answer::Records { answers, .. } = answer else {
        return None;
    };
    match &answers.first()?.data {
        RecordData::Alias(target) => Some(target),
        _ => None,
    }
}
