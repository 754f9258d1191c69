//! kubectl's exec, logs and port-forward, through the API server to an agent that speaks the real streaming protocols.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use remote_command::{
    CommandIo, CommandTarget, Duplex, ExitOutcome, PortTarget, StreamSelection, serve_command, serve_port_forward,
};
use supervision::Supervisor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::connect::{agent_acceptor, pod_on_node};
use crate::kubectl::Kubectl;
use crate::world::World;

/// Prints what it was asked to run and what came in, and ends with the code that its last argument names.
struct Repeat(Vec<String>);

impl CommandTarget for Repeat {
    fn run(&self, io: CommandIo) -> BoxFuture<'_, ExitOutcome> {
        async move {
            let mut input = String::new();
            if let Some(mut stdin) = io.stdin {
                stdin.read_to_string(&mut input).await.unwrap();
            }
            if let Some(mut stdout) = io.stdout {
                stdout
                    .write_all(format!("ran {} with {input:?}\n", self.0.join(" ")).as_bytes())
                    .await
                    .unwrap();
                stdout.shutdown().await.unwrap();
            }
            if let Some(mut stderr) = io.stderr {
                stderr.write_all(b"complaint\n").await.unwrap();
                stderr.shutdown().await.unwrap();
            }
            ExitOutcome::Exited(self.0.last().and_then(|code| code.parse().ok()).unwrap_or(0))
        }
        .boxed()
    }
}

/// Connects to a port of this machine.
struct Local;

impl PortTarget for Local {
    fn connect(&self, port: u16) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>> {
        async move { Ok(Box::new(TcpStream::connect(("127.0.0.1", port)).await?) as Box<dyn Duplex>) }.boxed()
    }
}

type AgentBody = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, Box<dyn std::error::Error + Send + Sync>>;

fn answer(request: Request<Incoming>, tasks: &Supervisor) -> Response<AgentBody> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let pairs = access_rules::sigv4::decode_query(&query);
    let has = |name: &str| pairs.iter().any(|(key, value)| key == name && value == "1");
    let path = request.uri().path().to_owned();
    if path.starts_with("/containerLogs/") {
        let text = format!("first line\nasked {path} {query}\n");
        return Response::new(Full::from(text).map_err(|never| match never {}).boxed_unsync());
    }
    let response = if path.starts_with("/portForward/") {
        let ports = pairs.iter().filter(|(key, _)| key == "port");
        let ports: Vec<u16> = ports
            .flat_map(|(_, value)| value.split(','))
            .map(|port| port.parse().unwrap())
            .collect();
        serve_port_forward(request, &ports, Arc::new(Local), tasks)
    } else {
        let selection = StreamSelection {
            stdin: has("input"),
            stdout: has("output"),
            stderr: has("error"),
            tty: has("tty"),
        };
        let command = pairs
            .into_iter()
            .filter(|(key, _)| key == "command")
            .map(|(_, value)| value)
            .collect();
        serve_command(request, selection, Arc::new(Repeat(command)), tasks)
    };
    response.map(|body| body.map_err(Into::into).boxed_unsync())
}

pub async fn agent(world: &World) -> SocketAddr {
    let acceptor = agent_acceptor(world);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = world.supervisor.child("agent");
    world.supervisor.spawn_until_cancelled("agent", async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, streams) = (acceptor.clone(), tasks.clone());
            tasks.spawn_until_cancelled("agent connection", async move {
                let stream = acceptor.accept(stream).await.unwrap();
                let service = service_fn(move |request| {
                    let answer = answer(request, &streams);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                connection.with_upgrades().await.unwrap();
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_runs_commands_over_websocket_and_spdy() {
    let world = World::start().await;
    let Some(kubectl) = Kubectl::find(&world, "kubectl") else {
        return world.stop().await;
    };
    let agent = agent(&world).await;
    pod_on_node(&world, agent).await;
    for websockets in ["true", "false"] {
        let kubectl = kubectl.with("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets);
        let (succeeded, printed) = kubectl.run("exec p -c main -- say hello", "").await;
        assert!(
            succeeded && printed.contains("ran say hello with \"\"\n") && printed.contains("complaint\n"),
            "{printed}"
        );
        let (succeeded, printed) = kubectl.run("exec -i p -c main -- cat 0", "typed in").await;
        assert!(
            succeeded && printed.contains("with \"typed in\""),
            "websockets {websockets}: {printed}"
        );
        let (succeeded, printed) = kubectl.run("exec p -c main -- fail 7", "").await;
        assert!(
            !succeeded && printed.contains("command terminated with exit code 7"),
            "{printed}"
        );
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_reads_logs() {
    let world = World::start().await;
    let Some(kubectl) = Kubectl::find(&world, "kubectl") else {
        return world.stop().await;
    };
    let agent = agent(&world).await;
    pod_on_node(&world, agent).await;
    kubectl
        .expect(
            "logs p -c main --tail=5 --timestamps",
            "asked /containerLogs/default/p/main tailLines=5&timestamps=true",
        )
        .await;
    kubectl
        .refused("logs p -c other", "container other is not valid for pod p")
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_forwards_ports() {
    let world = World::start().await;
    let Some(kubectl) = Kubectl::find(&world, "kubectl") else {
        return world.stop().await;
    };
    let agent = agent(&world).await;
    pod_on_node(&world, agent).await;
    world
        .json(
            "PATCH",
            "/api/v1/namespaces/default/pods/p/status",
            r#"{"status":{"phase":"Running"}}"#,
        )
        .await;
    let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = behind.local_addr().unwrap().port();
    world.supervisor.spawn_until_cancelled("behind", async move {
        loop {
            let (mut stream, _) = behind.accept().await.unwrap();
            let mut asked = [0; 4];
            stream.read_exact(&mut asked).await.unwrap();
            stream
                .write_all(&asked.iter().rev().copied().collect::<Vec<u8>>())
                .await
                .unwrap();
        }
    });
    let mut forwarding = kubectl.start(&format!("port-forward pod/p :{port}"));
    let line = forwarding.line().await;
    let local = line
        .split("127.0.0.1:")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .unwrap_or_else(|| panic!("{line}"));
    for text in [b"abcd", b"wxyz"] {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{local}")).await.unwrap();
        stream.write_all(text).await.unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).await.unwrap();
        assert_eq!(back, text.iter().rev().copied().collect::<Vec<u8>>());
    }
    forwarding.stop();
    world.stop().await;
}
