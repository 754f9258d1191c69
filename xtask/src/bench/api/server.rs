//! An API server with its store, in a process and a directory of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use http::Method;
use supervision::Supervisor;

use crate::bench::client::Server;
use crate::bench::fresh_directory;
use crate::bench::processes::{Memory, processor_time};
use crate::command::{TaskError, at, cargo, run, target};
use crate::etcd::{Etcd, free_port};

/// How long upstream's server may take to be ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// By which upstream's server knows the load.
const TOKEN: &str = "bench";

/// A running API server.
pub struct ApiServer {
    process: Mutex<Child>,
    pid: u32,
    directory: PathBuf,
    /// Where it is.
    pub target: Server,
    /// Parent of the load's tasks.
    pub supervisor: Supervisor,
    /// Lives as long as the server.
    _etcd: Option<Etcd>,
}

impl ApiServer {
    /// Builds it and starts it.
    ///
    /// With `on_etcd` its store is an etcd of its own; what that takes is not counted as the server's.
    pub async fn start(debug: bool, on_etcd: bool, supervisor: &Supervisor) -> Result<Self, TaskError> {
        let mut build = cargo();
        build.args(["build", "--package", "kube-api", "--example", "dev-server"]);
        if !debug {
            build.arg("--release");
        }
        run(&mut build)?;
        let program = target()
            .join(if debug { "debug" } else { "release" })
            .join("examples/dev-server");
        let directory = fresh_directory("bench-api")?;
        let etcd = match on_etcd {
            true => Some(Etcd::start(&directory.join("etcd"))?),
            false => None,
        };
        let mut child = Command::new(&program)
            .arg(&directory)
            .args(etcd.iter().flat_map(|etcd| ["0", &etcd.url]))
            .env("ONDOL_LOG", "warn")
            // As a region is started.
            .env("_RJEM_MALLOC_CONF", "narenas:2,dirty_decay_ms:1000,muzzy_decay_ms:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|source| TaskError::Start {
                program: program.display().to_string(),
                source,
            })?;
        let pid = child.id();
        let said = child.stdout.take().map(|output| {
            let mut line = String::new();
            BufReader::new(output).read_line(&mut line).map(|_| line)
        });
        let process = Mutex::new(child);
        match said {
            Some(Ok(line)) if line.starts_with("https://") => {}
            other => {
                end(&process)?;
                return Err(TaskError::Unexpected(format!(
                    "the API server did not start: {other:?}"
                )));
            }
        }
        let target = Server::of_kubeconfig(&directory.join("kubeconfig"), Command::new("false"), supervisor)?;
        Ok(Self {
            process,
            pid,
            directory,
            target,
            supervisor: supervisor.clone(),
            _etcd: etcd,
        })
    }

    /// Starts upstream's program on an etcd of its own, and waits until it is ready.
    pub async fn start_upstream(program: &Path, supervisor: &Supervisor) -> Result<Self, TaskError> {
        let directory = fresh_directory("bench-upstream")?;
        let etcd = Etcd::start(&directory.join("etcd"))?;
        let file = |name: &str| directory.join(name);
        let write = |name: &str, text: String| std::fs::write(file(name), text).map_err(at(&file(name)));
        let key = rcgen::KeyPair::generate().map_err(|error| TaskError::Unexpected(error.to_string()))?;
        write("service-accounts.key", key.serialize_pem())?;
        write("service-accounts.pub", key.public_key_pem())?;
        write("tokens.csv", format!("{TOKEN},bench,bench,system:masters\n"))?;
        let port = free_port()?;
        let child = Command::new(program)
            .args(["--etcd-servers", &etcd.url.replacen("etcd", "http", 1)])
            .args(["--bind-address", "127.0.0.1", "--secure-port", &port.to_string()])
            .args([
                "--service-cluster-ip-range",
                "10.100.0.0/16",
                "--authorization-mode",
                "RBAC",
            ])
            .args(["--service-account-issuer", "https://kubernetes.default.svc"])
            .arg("--cert-dir")
            .arg(file("certificates"))
            .arg("--token-auth-file")
            .arg(file("tokens.csv"))
            .arg("--service-account-key-file")
            .arg(file("service-accounts.pub"))
            .arg("--service-account-signing-key-file")
            .arg(file("service-accounts.key"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| TaskError::Start {
                program: program.display().to_string(),
                source,
            })?;
        let pid = child.id();
        let process = Mutex::new(child);
        let certificate = file("certificates/apiserver.crt");
        let ready = supervision::wait_until("upstream's API server is ready", PATIENCE, || async {
            let target = Server::with_token(port, &certificate, TOKEN, supervisor)?;
            let mut one = target.connect().await?;
            one.exchange(Method::GET, "/readyz", bytes::Bytes::new()).await?;
            Ok::<_, TaskError>(target)
        });
        match ready.await {
            Ok(target) => Ok(Self {
                process,
                pid,
                directory,
                target,
                supervisor: supervisor.clone(),
                _etcd: Some(etcd),
            }),
            Err(late) => {
                end(&process)?;
                Err(TaskError::Unexpected(late.to_string()))
            }
        }
    }

    /// What it takes now.
    pub fn memory(&self) -> Result<Memory, TaskError> {
        Memory::of(self.pid).ok_or_else(|| TaskError::Unexpected("the API server has ended".into()))
    }

    /// Processor time that it has used so far.
    pub fn processor_time(&self) -> Duration {
        processor_time(self.pid)
    }

    /// Ends it and removes what it wrote.
    pub fn end(&self) -> Result<(), TaskError> {
        end(&self.process)?;
        std::fs::remove_dir_all(&self.directory).map_err(at(&self.directory))
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if let Err(error) = end(&self.process) {
            eprintln!("error: {error}");
        }
    }
}

fn end(process: &Mutex<Child>) -> Result<(), TaskError> {
    let mut process = process.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let failed = |error: std::io::Error| TaskError::Unexpected(format!("end the API server: {error}"));
    process.kill().map_err(failed)?;
    process.wait().map_err(failed).map(|_| ())
}
