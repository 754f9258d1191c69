//! Services, names and the way outside, with real packets between real namespaces.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers fail as its assertions do"
)]
mod host_ports;
mod names;
mod security_groups;
mod services;
#[allow(dead_code, reason = "each crate's tests use a part of the shared world")]
#[path = "../../../vpc-driver/tests/it/world.rs"]
mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// A listener on every address of a namespace that answers with its name and the peer's address.
fn serve(namespace: &world::Namespace, port: u16, name: &'static str) {
    namespace.run(move || {
        let listener = std::net::TcpListener::bind(("0.0.0.0", port)).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let answer = format!("{name} {}", stream.peer_addr().unwrap().ip());
                std::io::Write::write_all(&mut stream, answer.as_bytes()).unwrap();
            }
        });
    });
}

/// What a TCP server says, or the kind of error.
fn ask(namespace: &world::Namespace, address: Ipv4Addr, port: u16) -> Result<String, std::io::ErrorKind> {
    namespace.run(move || {
        let to = SocketAddr::from((address, port));
        let connected = std::net::TcpStream::connect_timeout(&to, Duration::from_secs(3));
        let mut stream = connected.map_err(|error| error.kind())?;
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).map_err(|error| error.kind())?;
        Ok(answer)
    })
}
