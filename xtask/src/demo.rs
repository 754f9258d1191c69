//! The one-minute tour: a region, a cluster of two nodes, an app behind a load balancer, its page, and nothing left.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;

use crate::command::{TaskError, at, cargo, on_path, output, run, target, workspace};
use crate::tools;

/// How long any step may take before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the demo runs.
#[derive(Args)]
pub struct Options {
    /// The app's image: one that Ondol brings along, unless told otherwise. Others are pulled.
    #[arg(long, default_value = "ondol.local/demo:latest")]
    image: String,
    /// Keep everything running at the end, and say how to use it.
    #[arg(long)]
    keep: bool,
    /// Build without optimisation: quicker to build, slower to run.
    #[arg(long)]
    debug: bool,
}

/// An Ondol of the demo's own.
struct Demo {
    ondol: PathBuf,
    kubectl: PathBuf,
    home: PathBuf,
}

/// Runs the tour and, whatever happens, ends what it started.
pub fn run_demo(options: &Options) -> Result<(), TaskError> {
    let demo = Demo {
        ondol: build(options.debug)?,
        kubectl: kubectl()?,
        home: target().join("demo"),
    };
    let toured = demo.tour(options);
    if options.keep && toured.is_ok() {
        println!(
            "\nIt goes on running. To use it:\n  export ONDOL_HOME={0} KUBECONFIG={0}/kubeconfig PATH={1}:$PATH",
            demo.home.display(),
            directory_of(&demo.ondol)
        );
        return Ok(());
    }
    let ended = run(demo.ondol().args(["down", "--purge"]));
    toured.and(ended)
}

fn directory_of(program: &Path) -> String {
    program.parent().unwrap_or(Path::new("/")).display().to_string()
}

/// Builds the product; answers where it is.
pub fn build(debug: bool) -> Result<PathBuf, TaskError> {
    let mut command = cargo();
    command.args(["build", "--package", "ondol"]);
    if !debug {
        command.arg("--release");
    }
    run(&mut command)?;
    Ok(target().join(if debug { "debug" } else { "release" }).join("ondol"))
}

/// The user's kubectl, or the one that `cargo xtask tools` installs.
fn kubectl() -> Result<PathBuf, TaskError> {
    if let Some(found) = on_path("kubectl") {
        return Ok(found);
    }
    match tools::install() {
        Ok(tools) => Ok(tools.bin.join("kubectl")),
        Err(error) => Err(TaskError::Missing(format!(
            "kubectl is not on PATH and could not be installed: {error}"
        ))),
    }
}

impl Demo {
    fn ondol(&self) -> Command {
        let mut command = Command::new(&self.ondol);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("ONDOL_HOME", &self.home)
            .env("KUBECONFIG", self.kubeconfig())
            .env("PATH", format!("{}:{path}", directory_of(&self.ondol)));
        command
    }

    fn kubectl(&self, arguments: &[&str]) -> Result<String, TaskError> {
        let mut command = Command::new(&self.kubectl);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            .env("ONDOL_HOME", &self.home);
        command.env("PATH", format!("{}:{path}", directory_of(&self.ondol)));
        output(&mut command)
    }

    fn kubeconfig(&self) -> PathBuf {
        self.home.join("kubeconfig")
    }

    fn tour(&self, options: &Options) -> Result<(), TaskError> {
        run(self.ondol().args(["up", "--port", "0", "--load-balancer-port", "0"]))?;
        let cluster = workspace().join("examples/cluster.yaml");
        let app = std::fs::read_to_string(workspace().join("examples/demo.yaml"))
            .map_err(at(Path::new("examples/demo.yaml")))?;
        let manifest = self.home.join("app.yaml");
        std::fs::write(&manifest, app.replace("ondol.local/demo:latest", &options.image)).map_err(at(&manifest))?;

        let started = Instant::now();
        run(self.ondol().args(["create", "cluster", "-f"]).arg(&cluster))?;
        let created = started.elapsed();
        self.say(&["apply", "-f", &manifest.to_string_lossy()])?;
        let host_name = self.host_name()?;
        let page = self.page(&host_name)?;
        let answered = started.elapsed();

        self.say(&["get", "nodes", "-o", "wide"])?;
        self.say(&["get", "deployments,pods,services"])?;
        self.say(&["get", "pods", "-n", "kube-system"])?;
        println!("\n$ curl http://{host_name}\n{page}");
        run(self.ondol().arg("status"))?;
        println!(
            "\nfrom `ondol create cluster` to the page: {:.2} s ({:.2} s until the command returned)",
            answered.as_secs_f64(),
            created.as_secs_f64()
        );
        if options.keep {
            return Ok(());
        }
        self.say(&["delete", "-f", &manifest.to_string_lossy()])?;
        run(self
            .ondol()
            .args(["delete", "cluster", "-f"])
            .arg(&cluster)
            .arg("--wait"))
    }

    fn say(&self, arguments: &[&str]) -> Result<(), TaskError> {
        println!(
            "\n$ kubectl {}\n{}",
            arguments.join(" "),
            self.kubectl(arguments)?.trim_end()
        );
        Ok(())
    }

    /// The name that the load balancer was given.
    fn host_name(&self) -> Result<String, TaskError> {
        let query = [
            "get",
            "service",
            "demo",
            "-o",
            "jsonpath={.status.loadBalancer.ingress[0].hostname}",
        ];
        eventually("the load balancer's name", || {
            let name = self.kubectl(&query)?;
            if name.is_empty() {
                Err(TaskError::Unexpected("the service has no host name yet".into()))
            } else {
                Ok(name)
            }
        })
    }

    /// The page behind that name. Names below `localhost` are this machine (RFC 6761), so nothing is resolved here.
    fn page(&self, host_name: &str) -> Result<String, TaskError> {
        let path = self.home.join("region/endpoint.json");
        let text = std::fs::read(&path).map_err(at(&path))?;
        let endpoint: Value =
            serde_json::from_slice(&text).map_err(|error| TaskError::Unexpected(error.to_string()))?;
        let port = endpoint["loadBalancerPort"].as_u64().unwrap_or(80);
        eventually("the page", || fetch(&format!("127.0.0.1:{port}"), host_name))
    }
}

/// Tries again until it works or the demo's patience ends.
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Result<T, TaskError>) -> Result<T, TaskError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= deadline => {
                return Err(TaskError::Unexpected(format!("{what} did not come: {error}")));
            }
            Err(_not_yet) => thread::park_timeout(Duration::from_millis(10)),
        }
    }
}

/// One HTTP request; the body of a 200.
pub fn fetch(address: &str, host: &str) -> Result<String, TaskError> {
    use std::io::{Read, Write};
    let failed = |error: std::io::Error| TaskError::Unexpected(format!("{host}: {error}"));
    let mut stream = std::net::TcpStream::connect(address).map_err(failed)?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(failed)?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        _ => Err(TaskError::Unexpected(format!(
            "{host} answered {:?}",
            answer.lines().next().unwrap_or_default()
        ))),
    }
}
