//! An API server with its store, in a process and a directory of its own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use supervision::Supervisor;

use crate::bench::client::Server;
use crate::bench::fresh_directory;
use crate::bench::processes::{Memory, processor_time};
use crate::command::{TaskError, at, cargo, run, target};
use crate::etcd::Etcd;

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
