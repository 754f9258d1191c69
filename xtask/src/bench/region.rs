//! A region that the benchmark has for itself, and that is gone when it ends.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use supervision::Supervisor;

use super::client::Server;
use super::many::Keys;
use crate::command::{TaskError, at, output, target, workspace};

/// The nodes write down how long each call to their runtime took.
const LOG: &str = "info,node_agent::runtime=debug";

/// A running region.
pub struct Region {
    ondol: PathBuf,
    home: PathBuf,
}

impl Region {
    /// Starts a region in a state directory of its own.
    pub fn start(ondol: &Path) -> Result<Self, TaskError> {
        Self::start_with(ondol, &[])
    }

    /// The same whose nodes run no containers.
    pub fn start_simulated(ondol: &Path) -> Result<Self, TaskError> {
        Self::start_with(ondol, &["--simulated"])
    }

    fn start_with(ondol: &Path, flags: &[&str]) -> Result<Self, TaskError> {
        let region = Self {
            ondol: ondol.to_path_buf(),
            home: target().join("bench-region"),
        };
        // An earlier benchmark that was killed may have left its own.
        region.end()?;
        std::fs::create_dir_all(&region.home).map_err(at(&region.home))?;
        output(
            region
                .command()
                .args(["up", "--port", "0", "--load-balancer-port", "0"])
                .args(flags),
        )?;
        Ok(region)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.ondol);
        command
            .env("ONDOL_HOME", &self.home)
            .env("KUBECONFIG", self.kubeconfig())
            .env("ONDOL_LOG", LOG);
        command
    }

    fn kubeconfig(&self) -> PathBuf {
        self.home.join("kubeconfig")
    }

    /// Creates the cluster of the examples; answers how long the command took.
    pub fn create_cluster(&self) -> Result<Duration, TaskError> {
        let started = Instant::now();
        output(
            self.command()
                .args(["create", "cluster", "-f"])
                .arg(Self::cluster_file()),
        )?;
        Ok(started.elapsed())
    }

    /// Deletes it.
    pub fn delete_cluster(&self) -> Result<(), TaskError> {
        let mut command = self.command();
        command
            .args(["delete", "cluster", "--wait", "-f"])
            .arg(Self::cluster_file());
        output(&mut command).map(|_| ())
    }

    fn cluster_file() -> PathBuf {
        workspace().join("examples/cluster.yaml")
    }

    /// The cluster's API server.
    pub fn server(&self, supervisor: &Supervisor) -> Result<Server, TaskError> {
        // The command that prints the token finds its region by the same variable.
        Server::of_kubeconfig(&self.kubeconfig(), self.command(), supervisor)
    }

    /// What `ondol status` says.
    pub fn status(&self) -> Result<Value, TaskError> {
        let printed = output(self.command().args(["status", "--output", "json"]))?;
        serde_json::from_str(&printed).map_err(|error| TaskError::Unexpected(format!("ondol status: {error}")))
    }

    /// Every process with what it is.
    pub fn processes(&self) -> Result<Vec<(u32, String)>, TaskError> {
        let status = self.status()?;
        let processes = status["processes"].as_array().into_iter().flatten();
        let described = processes.filter_map(|process| {
            let pid = u32::try_from(process["pid"].as_u64()?).ok()?;
            Some((pid, process["role"].as_str()?.to_owned()))
        });
        Ok(described.collect())
    }

    /// What the nodes have written so far.
    pub fn node_logs(&self) -> Result<String, TaskError> {
        let machines = self.home.join("m");
        let mut all = String::new();
        for entry in std::fs::read_dir(&machines).map_err(at(&machines))? {
            let log = entry.map_err(at(&machines))?.path().join("log");
            all.push_str(&std::fs::read_to_string(&log).map_err(at(&log))?);
        }
        Ok(all)
    }

    fn file(&self, name: &str) -> Result<Value, TaskError> {
        let path = self.home.join(name);
        let text = std::fs::read(&path).map_err(at(&path))?;
        serde_json::from_slice(&text).map_err(|error| TaskError::Unexpected(format!("{}: {error}", path.display())))
    }

    /// Where AWS's clients reach it, and the administrator's keys.
    pub fn aws(&self) -> Result<(String, Keys), TaskError> {
        let (endpoint, keys) = (
            self.file("region/endpoint.json")?,
            self.file("region/credentials.json")?,
        );
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let keys = Keys {
            id: text(&keys["accessKeyId"]),
            secret: text(&keys["secretAccessKey"]),
            region: text(&endpoint["region"]),
        };
        Ok((text(&endpoint["endpoint"]), keys))
    }

    /// The port at which load balancers answer by name.
    pub fn load_balancer_port(&self) -> Result<u64, TaskError> {
        self.file("region/endpoint.json")?["loadBalancerPort"]
            .as_u64()
            .ok_or_else(|| TaskError::Unexpected("the region has no port for load balancers".into()))
    }

    /// Ends everything and removes the state directory.
    pub fn end(&self) -> Result<(), TaskError> {
        output(self.command().args(["down", "--purge"]))?;
        match std::fs::remove_dir_all(&self.home) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(&self.home)(error)),
            _ => Ok(()),
        }
    }
}
