//! The registry's tests once more, on the etcd that is installed.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use crate::command::{self, TaskError, cargo, on_path, target};

/// The modules of tests whose subject is what a store does. Those of custom resources are not among them: over etcd a
/// definition is in force when the watch has told of it, which may be a moment after its write was answered.
const TESTS: &[&str] = &[
    "servers::",
    "lists::",
    "watches::",
    "writes::",
    "services::",
    "deletion::",
    "lifecycle::",
];

/// A server that ends with this value.
struct Etcd(Child);

impl Drop for Etcd {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Runs them on a server of their own. Where there is no etcd, that is said; in CI it is a failure.
pub fn test_registry() -> Result<(), TaskError> {
    let Some(program) = on_path("etcd") else {
        let missing = TaskError::Missing("etcd is not on PATH (Debian: etcd-server)".into());
        if std::env::var_os("CI").is_some() {
            return Err(missing);
        }
        println!("skipped: {missing}");
        return Ok(());
    };
    let directory = target().join("etcd");
    if directory.exists() {
        std::fs::remove_dir_all(&directory).map_err(command::at(&directory))?;
    }
    let (client, peer) = (free_address()?, free_address()?);
    let server = Command::new(program)
        .arg("--data-dir")
        .arg(&directory)
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("default={peer}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let server = server.map_err(|source| TaskError::Start {
        program: "etcd".to_owned(),
        source,
    })?;
    let _server = Etcd(server);
    let mut tests = cargo();
    tests
        .args(["test", "--package", "registry", "--test", "it", "--"])
        .args(TESTS)
        .env("ONDOL_TEST_ETCD", client.replacen("http", "etcd", 1));
    command::run(&mut tests)
}

fn free_address() -> Result<String, TaskError> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = free.map_err(|error| TaskError::Unexpected(format!("find a free port: {error}")))?;
    Ok(format!("http://{address}"))
}
