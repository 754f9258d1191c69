//! Whole sessions over in-memory connections: what a client sends, and every byte it sees.

mod client;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, SinkExt, StreamExt};
use supervision::{Supervisor, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use crate::streams::*;
use client::{SpdyClient, connect, websocket};

/// Reads its input to the end, says what it got on both outputs and the last size it saw, and exits with 3.
struct Parrot;

impl CommandTarget for Parrot {
    fn run(&self, mut io: CommandIo) -> BoxFuture<'_, ExitOutcome> {
        async move {
            let mut input = String::new();
            let size = if io.stdin.is_none() {
                io.resize.recv().await
            } else {
                None
            };
            if let Some(stdin) = &mut io.stdin {
                stdin.read_to_string(&mut input).await.unwrap();
            }
            if let Some(stdout) = &mut io.stdout {
                stdout
                    .write_all(format!("out {input}{size:?}").as_bytes())
                    .await
                    .unwrap();
            }
            if let Some(stderr) = &mut io.stderr {
                stderr.write_all(b"err").await.unwrap();
            }
            ExitOutcome::Exited(3)
        }
        .boxed()
    }
}

/// Port 7 echoes, every other one refuses.
struct Echo;

impl PortTarget for Echo {
    fn connect(&self, port: u16) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>> {
        async move {
            if port != 7 {
                return Err(io::Error::other(format!("failed to connect to localhost:{port}")));
            }
            let (ours, theirs) = tokio::io::duplex(1024);
            Supervisor::new("echo").spawn("echo", async move {
                let (mut read, mut write) = tokio::io::split(ours);
                tokio::io::copy(&mut read, &mut write).await.unwrap();
                write.shutdown().await.unwrap();
            });
            Ok(Box::new(theirs) as Box<dyn Duplex>)
        }
        .boxed()
    }
}

const ALL: StreamSelection = StreamSelection {
    stdin: true,
    stdout: true,
    stderr: true,
    tty: false,
};
const TERMINAL: StreamSelection = StreamSelection {
    stdin: false,
    stdout: true,
    stderr: false,
    tty: true,
};

fn failure() -> String {
    String::from_utf8(crate::status::status_json(&ExitOutcome::Exited(3))).unwrap()
}

fn text(message: &Message) -> String {
    match message {
        Message::Binary(bytes) => format!("{} {}", bytes[0], String::from_utf8_lossy(&bytes[1..])),
        Message::Text(text) => text.to_string(),
        Message::Close(Some(frame)) => format!("close {}", u16::from(frame.code)),
        other => format!("{other:?}"),
    }
}

async fn collect(socket: impl StreamExt<Item = Result<Message, tokio_tungstenite::tungstenite::Error>>) -> Vec<String> {
    // The two outputs are pumped side by side, so only their order is free.
    let mut seen: Vec<String> = socket.map(|message| text(&message.unwrap())).collect().await;
    let ordered = seen.iter().position(|line| line.starts_with('2'));
    if let Some(at) = ordered {
        let line = seen.remove(at);
        seen.insert(2, line);
    }
    seen
}

#[tokio::test]
async fn websocket_v5_sends_every_channel_and_closes_normally() {
    let tasks = Supervisor::new("test");
    let mut socket = websocket(&tasks, "v5.channel.k8s.io", command(&tasks, ALL, Arc::new(Parrot))).await;
    socket.send(Message::Binary(vec![0, b'h', b'i'].into())).await.unwrap();
    socket.send(Message::Binary(vec![255, 0].into())).await.unwrap();
    assert_eq!(
        collect(socket).await,
        ["1 ", "1 out hiNone", "2 err", &format!("3 {}", failure()), "close 1000"]
    );
}

#[tokio::test]
async fn base64_channels_and_terminal_size() {
    let tasks = Supervisor::new("test");
    let handler = command(&tasks, TERMINAL, Arc::new(Parrot));
    let mut socket = websocket(&tasks, "v4.base64.channel.k8s.io", handler).await;
    // {"Width":80,"Height":24}
    socket
        .send(Message::Text("4eyJXaWR0aCI6ODAsIkhlaWdodCI6MjR9".into()))
        .await
        .unwrap();
    let seen = collect(socket).await;
    assert_eq!(seen[1], "1b3V0IFNvbWUoU2l6ZSB7IHdpZHRoOiA4MCwgaGVpZ2h0OiAyNCB9KQ==");
    assert_eq!(seen.last().unwrap(), "close 1000");
}

#[tokio::test]
async fn spdy_streams_carry_a_command() {
    let tasks = Supervisor::new("test");
    let (_, io) = connect(
        &tasks,
        &[
            ("upgrade", "SPDY/3.1"),
            ("x-stream-protocol-version", "v4.channel.k8s.io"),
        ],
        command(&tasks, ALL, Arc::new(Parrot)),
    )
    .await;
    let mut client = SpdyClient::new(io);
    for (id, kind) in [(1, "error"), (3, "stdin"), (5, "stdout"), (7, "stderr")] {
        client.open(id, &[("streamtype", kind)]).await;
    }
    client.data(3, true, b"hi").await;
    let seen = client.read_all().await;
    assert_eq!(seen[&5], "out hiNone<fin>");
    assert_eq!(seen[&7], "err<fin>");
    assert_eq!(seen[&1], format!("{}<fin>", failure()));
}

#[tokio::test]
async fn port_forward_pairs_streams_and_reports_refusals() {
    let tasks = Supervisor::new("test");
    for tunnelled in [true, false] {
        let handler = ports(&tasks);
        let io: Box<dyn Duplex> = if tunnelled {
            let socket = websocket(&tasks, "SPDY/3.1+portforward.k8s.io", handler).await;
            Box::new(crate::websocket::bytes::ByteStream::of(socket))
        } else {
            let headers = [
                ("upgrade", "SPDY/3.1"),
                ("x-stream-protocol-version", "portforward.k8s.io"),
            ];
            Box::new(connect(&tasks, &headers, handler).await.1)
        };
        let mut client = SpdyClient::new(io);
        for (id, port, request) in [(1, "7", "0"), (5, "9", "1")] {
            client
                .open(id, &[("streamtype", "error"), ("port", port), ("requestid", request)])
                .await;
            client
                .open(
                    id + 2,
                    &[("streamtype", "data"), ("port", port), ("requestid", request)],
                )
                .await;
        }
        let long = "x".repeat(100_000);
        client.data(3, true, long.as_bytes()).await;
        let seen = client.read_until_ended(&[1, 3, 5, 7]).await;
        assert_eq!(seen[&3], format!("{long}<fin>"));
        assert_eq!(seen[&1], "<fin>");
        assert_eq!(seen[&5], "failed to connect to localhost:9<fin>");
        assert_eq!(seen[&7], "<fin>");
    }
}

#[tokio::test]
async fn oldest_port_forward_announces_its_ports() {
    let tasks = Supervisor::new("test");
    let mut socket = websocket(&tasks, "v4.channel.k8s.io", ports(&tasks)).await;
    let first = socket.next().await.unwrap().unwrap();
    let second = socket.next().await.unwrap().unwrap();
    assert_eq!(
        (first.into_data().as_ref(), second.into_data().as_ref()),
        (&[0, 7, 0][..], &[1, 7, 0][..])
    );
    socket.send(Message::Binary(vec![0, b'a', b'b'].into())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap().into_data().as_ref(), b"\0ab");
}

/// Every port says goodbye, closes its side and goes on reading.
struct Goodbye;

impl PortTarget for Goodbye {
    fn connect(&self, _port: u16) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>> {
        async move {
            let (mut ours, theirs) = tokio::io::duplex(1024);
            Supervisor::new("goodbye").spawn("goodbye", async move {
                ours.write_all(b"bye").await.unwrap();
                ours.shutdown().await.unwrap();
                tokio::io::copy(&mut ours, &mut tokio::io::sink()).await.unwrap();
            });
            Ok(Box::new(theirs) as Box<dyn Duplex>)
        }
        .boxed()
    }
}

#[tokio::test]
async fn a_port_that_closes_ends_the_session_of_its_channels() {
    let tasks = Supervisor::new("test");
    let mut socket = websocket(&tasks, "v4.channel.k8s.io", ports_of(&tasks, Arc::new(Goodbye))).await;
    let mut seen = Vec::new();
    // The server does not wait for the client's own close, which may fail.
    while let Some(Ok(message)) = socket.next().await {
        seen.push(text(&message));
    }
    assert_eq!(seen[2], "0 bye");
}

/// Never ends by itself; its guard tells when it was dropped.
struct Endless(Arc<()>);

impl CommandTarget for Endless {
    fn run(&self, io: CommandIo) -> BoxFuture<'_, ExitOutcome> {
        let guard = self.0.clone();
        async move {
            let _held = (io, guard);
            std::future::pending().await
        }
        .boxed()
    }
}

#[tokio::test]
async fn a_client_that_leaves_drops_the_command() {
    let tasks = Supervisor::new("test");
    let guard = Arc::new(());
    let handler = command(&tasks, ALL, Arc::new(Endless(guard.clone())));
    let socket = websocket(&tasks, "v5.channel.k8s.io", handler).await;
    drop(socket);
    wait_until("command dropped", Duration::from_secs(10), || async {
        let count = Arc::strong_count(&guard);
        if count <= 2 { Ok(()) } else { Err(count) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_upgrade_is_proxied_raw() {
    let tasks = Supervisor::new("test");
    let backend = client::serve(&tasks, command(&tasks, ALL, Arc::new(Parrot)));
    let backend = Arc::new(std::sync::Mutex::new(Some(backend)));
    let proxy_tasks = tasks.clone();
    let proxy = move |request: http::Request<hyper::body::Incoming>| {
        let (backend, tasks) = (backend.lock().unwrap().take().unwrap(), proxy_tasks.clone());
        async move {
            crate::proxy_upgrade(request, Box::new(backend), "/exec/token", &tasks)
                .await
                .unwrap()
        }
        .boxed()
    };
    let mut socket = websocket(&tasks, "v5.channel.k8s.io", proxy).await;
    socket.send(Message::Binary(vec![0, b'y', b'o'].into())).await.unwrap();
    socket.send(Message::Binary(vec![255, 0].into())).await.unwrap();
    let seen = collect(socket).await;
    assert_eq!(seen[1], "1 out yoNone");
    assert_eq!(seen.last().unwrap(), "close 1000");
}

fn command(tasks: &Supervisor, selection: StreamSelection, target: Arc<dyn CommandTarget>) -> impl client::Handler {
    let tasks = tasks.clone();
    move |request| {
        let (tasks, target) = (tasks.clone(), target.clone());
        async move { client::boxed(crate::serve_command(request, selection, target, &tasks)) }.boxed()
    }
}

fn ports(tasks: &Supervisor) -> impl client::Handler {
    ports_of(tasks, Arc::new(Echo))
}

fn ports_of(tasks: &Supervisor, target: Arc<dyn PortTarget>) -> impl client::Handler {
    let tasks = tasks.clone();
    move |request| {
        let (tasks, target) = (tasks.clone(), target.clone());
        async move { client::boxed(crate::serve_port_forward(request, &[7], target, &tasks)) }.boxed()
    }
}
