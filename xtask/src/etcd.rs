//! The tests of the API once more, on the etcd that is installed.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::command::{self, TaskError, cargo, on_path, target};

/// The tests of `kube-api` whose subject is what a store does; all of `registry`'s are run.
const API_TESTS: &[&str] = &[
    "traffic::",
    "custom_resources::",
    "every_kind::every_kind_takes_every_verb",
];

/// A server of etcd on this machine that ends with this value.
pub struct Etcd {
    process: Child,
    /// Where it is, as stores are told.
    pub url: String,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Etcd {
    /// Starts it with a new directory. It answers a moment later; stores wait for that when they are opened.
    pub fn start(directory: &Path) -> Result<Self, TaskError> {
        let missing = || TaskError::Missing("etcd is not on PATH (Debian: etcd-server)".into());
        let program = on_path("etcd").ok_or_else(missing)?;
        if directory.exists() {
            std::fs::remove_dir_all(directory).map_err(command::at(directory))?;
        }
        let (client, peer) = (free_address()?, free_address()?);
        let process = Command::new(program)
            .arg("--data-dir")
            .arg(directory)
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = process.map_err(|source| TaskError::Start {
            program: "etcd".to_owned(),
            source,
        })?;
        Ok(Self {
            process,
            url: client.replacen("http", "etcd", 1),
        })
    }
}

/// Runs them on a server of their own. Where there is no etcd, that is said; in CI it is a failure.
pub fn test_api() -> Result<(), TaskError> {
    let etcd = match Etcd::start(&target().join("etcd")) {
        Err(missing @ TaskError::Missing(_)) if std::env::var_os("CI").is_none() => {
            println!("skipped: {missing}");
            return Ok(());
        }
        started => started?,
    };
    let programs = test_programs()?;
    for (package, filters) in [("registry", &[] as &[&str]), ("kube-api", API_TESTS)] {
        let wanted = format!("/crates/{package}/tests/it/");
        let found = programs.iter().find(|program| program.source.contains(&wanted));
        let found = found.ok_or_else(|| TaskError::Unexpected(format!("{package} has no integration tests")))?;
        let mut tests = Command::new(&found.executable);
        tests
            .args(filters)
            .current_dir(command::workspace().join("crates").join(package))
            .env("ONDOL_TEST_ETCD", &etcd.url);
        command::run(&mut tests)?;
    }
    Ok(())
}

/// A built program of integration tests.
struct TestProgram {
    /// Path of its main file.
    source: String,
    executable: String,
}

/// Builds the integration tests of the whole workspace, with the features that `cargo test --workspace` gives them: after
/// that nothing is left to build.
fn test_programs() -> Result<Vec<TestProgram>, TaskError> {
    let mut build = cargo();
    build.args([
        "test",
        "--workspace",
        "--test",
        "it",
        "--no-run",
        "--message-format",
        "json",
    ]);
    let messages = command::output(&mut build)?;
    let programs = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(TestProgram {
            source: message["target"]["src_path"].as_str()?.to_owned(),
            executable: message["executable"].as_str()?.to_owned(),
        })
    });
    Ok(programs.collect())
}

fn free_address() -> Result<String, TaskError> {
    Ok(format!("http://127.0.0.1:{}", free_port()?))
}

/// A port of this machine that nobody listens on.
pub fn free_port() -> Result<u16, TaskError> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = free.map_err(|error| TaskError::Unexpected(format!("find a free port: {error}")))?;
    Ok(address.port())
}
