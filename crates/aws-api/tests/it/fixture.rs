//! A region of a test's own: a store in a temporary directory, a fake host, an endpoint on a free port.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_api::{Options, Partition, Region, credentials};
use aws_types::RegionName;
use aws_types::region_files::Credentials;
use clock::{SystemClock, SystemRandom};
use supervision::Supervisor;
use tempfile::TempDir;

use crate::fake_host::{FakeHost, World};

pub struct Fixture {
    pub world: Arc<Mutex<World>>,
    pub credentials: Credentials,
    directory: TempDir,
    throttled: bool,
    running: Option<Running>,
}

/// A region process, as far as a test has one.
pub struct Running {
    pub region: Arc<Region>,
    pub host: Arc<FakeHost>,
    pub endpoint: String,
    supervisor: Supervisor,
}

pub const REGION: &str = "ap-northeast-2";

impl Fixture {
    pub async fn start() -> Self {
        Self::start_with(false).await
    }

    /// One that tells clients when they call too often.
    pub async fn start_throttled() -> Self {
        Self::start_with(true).await
    }

    async fn start_with(throttled: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let credentials =
            credentials::load_or_create(&directory.path().join("credentials.json"), &SystemRandom).unwrap();
        let mut fixture = Self {
            world: Arc::default(),
            credentials,
            directory,
            throttled,
            running: None,
        };
        fixture.running = Some(fixture.run().await);
        fixture
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub fn host(&self) -> &FakeHost {
        &self.running().host
    }

    /// Ends every task in the middle of what it does, and starts a new region on the same store and machines.
    pub async fn restart(&mut self) {
        let old = self.running.take().unwrap();
        old.supervisor.drain(Duration::from_secs(10)).await;
        drop(old);
        self.running = Some(self.run().await);
    }

    async fn run(&self) -> Running {
        let supervisor = Supervisor::new("region");
        let store = supervision::wait_until("the store opens", Duration::from_secs(120), || async {
            store::open(
                &self.directory.path().join("store"),
                store::Options::default(),
                &supervisor,
            )
            .map_err(|error| error.to_string())
        });
        let host = FakeHost::new(Arc::clone(&self.world));
        let options = Options {
            store: store.await.unwrap(),
            host: host.clone(),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            supervisor: supervisor.clone(),
            region: RegionName::new(REGION).unwrap(),
            credentials: self.credentials.clone(),
            accounts: Some(self.directory.path().join("accounts")),
            throttled: self.throttled,
            tls_endpoint: "https://localhost:4566".to_owned(),
        };
        let partition = Partition::open(options).await.unwrap();
        partition.resume();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = partition.router();
        supervisor.spawn_until_cancelled("endpoint", async move {
            axum::serve(listener, router).await.unwrap();
        });
        Running {
            region: partition.home(),
            host,
            endpoint,
            supervisor,
        }
    }

    /// Runs a Python test script below `tests/it/` with boto3, or skips when there is none.
    pub async fn python(&self, script: &str) {
        self.python_with(script, "").await;
    }

    /// Runs a Python test script that finds something in `TEST_INPUT`.
    pub async fn python_with(&self, script: &str, input: &str) {
        let Some(python) = tool("python") else { return };
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(script);
        let mut command = Command::new(python);
        command
            .arg("-B")
            .arg(path)
            .env("TEST_INPUT", input)
            .current_dir(self.directory.path());
        self.succeed(&mut command).await;
    }

    /// A file of the fixture's own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file that a script has left.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs a command as somebody else.
    pub async fn succeed_as(&self, command: &mut Command, keys: &std::collections::BTreeMap<String, String>) -> String {
        self.run_with(command, keys.clone()).await
    }

    /// Runs a command in the environment that `ondol env` prints.
    pub async fn succeed(&self, command: &mut Command) -> String {
        let keys = [
            ("AWS_ACCESS_KEY_ID", &self.credentials.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", &self.credentials.secret_access_key),
        ];
        self.run_with(
            command,
            keys.map(|(name, value)| (name.to_owned(), value.clone())).into(),
        )
        .await
    }

    async fn run_with(&self, command: &mut Command, keys: std::collections::BTreeMap<String, String>) -> String {
        let bin = std::env::var("ONDOL_TEST_TOOLS").unwrap_or_default();
        command
            .envs(keys)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_REGION", REGION)
            .env("AWS_ENDPOINT_URL", &self.running().endpoint)
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_PAGER", "")
            .env("HOME", self.directory.path())
            .env("PATH", format!("{bin}:{}", std::env::var("PATH").unwrap_or_default()));
        let shown = format!("{command:?}");
        let output = blocking(command).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{shown}\n{text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }
}

async fn blocking(command: &mut Command) -> std::process::Output {
    let child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    tokio::task::spawn_blocking(move || child.wait_with_output().unwrap())
        .await
        .unwrap()
}

/// A real client, if `cargo xtask test` has installed one; in CI there must be one.
pub fn tool(name: &str) -> Option<PathBuf> {
    match std::env::var_os("ONDOL_TEST_TOOLS") {
        Some(bin) => Some(PathBuf::from(bin).join(name)),
        None => {
            assert!(
                std::env::var_os("CI").is_none(),
                "ONDOL_TEST_TOOLS is not set: run `cargo xtask test`"
            );
            eprintln!("skipped: ONDOL_TEST_TOOLS is not set, so there is no real {name}");
            None
        }
    }
}

/// A GET without a signature, as `ondol status` makes it.
pub async fn get(endpoint: &str, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = endpoint.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200"), "{answer}");
    body.to_owned()
}
