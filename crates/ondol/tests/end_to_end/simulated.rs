//! A region whose nodes are simulated: no privileges, no namespaces, no containers; everything else as with real ones.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

mod eksctl;
mod settings;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams, LogParams, PostParams};
use kube_client::Credentials;
use tempfile::TempDir;

use crate::support::{PATIENCE, fetch};

/// Somebody without any right: `nobody`, when the test runs as root.
const NOBODY: u32 = 65_534;

/// A region without privileges in a directory of its own.
pub(crate) struct Simulation(TempDir);

impl Simulation {
    pub(crate) fn new() -> Self {
        let home = tempfile::Builder::new().prefix("os").tempdir().unwrap();
        if nix::unistd::geteuid().is_root() {
            let nobody = (nix::unistd::Uid::from_raw(NOBODY), nix::unistd::Gid::from_raw(NOBODY));
            nix::unistd::chown(home.path(), Some(nobody.0), Some(nobody.1)).unwrap();
        }
        Self(home)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ondol"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env("ONDOL_HOME", self.path().join("h"))
            .env("HOME", self.path())
            .env("KUBECONFIG", self.path().join("kubeconfig"));
        let trusted = self.path().join("trusted.pem");
        if trusted.is_file() {
            command.env("SSL_CERT_FILE", trusted);
        }
        if nix::unistd::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let (success, text) = self.run(arguments);
        assert!(success, "{arguments:?}: {text}\n{}", self.log());
        text
    }

    pub(crate) fn up(&self) -> String {
        self.ok(&["up", "--simulated", "--port", "0", "--load-balancer-port", "0"])
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("h/region/log")).unwrap_or_default()
    }

    fn endpoint(&self) -> aws_types::region_files::RegionEndpoint {
        let text = std::fs::read(self.path().join("h/region/endpoint.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// A client as the kubeconfig describes it.
    pub(crate) fn client(&self) -> kube::Client {
        self.client_of("s")
    }

    /// The same for the cluster of another name.
    fn client_of(&self, cluster: &str) -> kube::Client {
        let said = self.ok(&["get-token", "--cluster-name", cluster, "--region", "ap-northeast-2"]);
        let (_, token) = said.split_once("\"token\":").unwrap();
        self.client_with(token.split('"').nth(1).unwrap())
    }

    /// A client with another token.
    fn client_with(&self, token: &str) -> kube::Client {
        let kubeconfig = std::fs::read_to_string(self.path().join("kubeconfig")).unwrap();
        let field = |name: &str| {
            let line = kubeconfig.lines().find_map(|line| line.trim().strip_prefix(name));
            line.unwrap().trim().trim_matches(['"', '\'']).to_owned()
        };
        let authority = base64::engine::general_purpose::STANDARD
            .decode(field("certificate-authority-data:"))
            .unwrap();
        let authority = String::from_utf8(authority).unwrap();
        kube_client::https(
            &field("server:"),
            &authority,
            &Credentials::Token(token.to_owned()),
            "default",
        )
        .unwrap()
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let last: Vec<&str> = log.lines().rev().take(20).collect();
            println!("the region's log, newest first:\n{}", last.join("\n"));
        }
        let (success, text) = self.run(&["down", "--purge"]);
        if !success {
            println!("ondol down failed: {text}");
        }
    }
}

fn deployment(replicas: u32) -> Deployment {
    let text = format!(
        r#"{{"metadata":{{"name":"web"}},"spec":{{"replicas":{replicas},"selector":{{"matchLabels":{{"app":"web"}}}},
            "template":{{"metadata":{{"labels":{{"app":"web"}}}},"spec":{{"containers":[
                {{"name":"web","image":"nginx","ports":[{{"containerPort":80}}],
                  "readinessProbe":{{"httpGet":{{"port":80}}}}}}]}}}}}}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

/// Address, container and restarts of each ready pod of the deployment, by name.
async fn pods(client: &kube::Client, count: usize) -> Vec<(String, String, String, i32)> {
    let api = Api::<Pod>::default_namespaced(client.clone());
    let waited = supervision::wait_until("pods ready", PATIENCE, async || {
        let listed = api.list(&ListParams::default().labels("app=web")).await;
        let listed = listed.map_err(|error| error.to_string())?;
        let ready: Vec<_> = listed.items.iter().filter_map(described).collect();
        if ready.len() == count {
            Ok(ready)
        } else {
            Err(format!("{} are ready", ready.len()))
        }
    });
    waited.await.unwrap()
}

fn described(pod: &Pod) -> Option<(String, String, String, i32)> {
    let status = pod.status.as_ref()?;
    let container = status
        .container_statuses
        .as_ref()?
        .first()
        .filter(|container| container.ready)?;
    Some((
        pod.metadata.name.clone()?,
        status.pod_ip.clone()?,
        container.container_id.clone()?,
        container.restart_count,
    ))
}

async fn check_honesty(simulation: &Simulation, client: &kube::Client, pod: &str) {
    let api = Api::<Pod>::default_namespaced(client.clone());
    let logs = supervision::wait_until("logs refused by the node", PATIENCE, async || {
        let answer = api.logs(pod, &LogParams::default()).await;
        let said = answer.expect_err("there are no logs").to_string();
        if said.contains("a simulated node runs no containers") {
            Ok(())
        } else {
            Err(said)
        }
    });
    logs.await.unwrap();
    let service =
        r#"{"metadata":{"name":"web"},"spec":{"type":"LoadBalancer","selector":{"app":"web"},"ports":[{"port":80}]}}"#;
    let services = Api::<k8s_openapi::api::core::v1::Service>::default_namespaced(client.clone());
    services
        .create(&PostParams::default(), &serde_json::from_str(service).unwrap())
        .await
        .unwrap();
    let port = simulation.endpoint().load_balancer_port.unwrap();
    let page = supervision::wait_until("the page of the load balancer", PATIENCE, async || {
        let service = services.get("web").await.map_err(|error| error.to_string())?;
        let ingress = service
            .status
            .and_then(|status| status.load_balancer?.ingress?.into_iter().next());
        let name = ingress.and_then(|ingress| ingress.hostname).ok_or("no host name yet")?;
        let (status, body) = fetch(&format!("127.0.0.1:{port}"), &name)?;
        if body.contains("the nodes are simulated") {
            Ok(status)
        } else {
            Err(format!("{status}: {body}"))
        }
    });
    assert!(page.await.unwrap().contains("502"));
}

/// `ondol explain` prints the decision that would be made now.
async fn check_explanations(simulation: &Simulation, client: &kube::Client, running: &str) {
    assert_eq!(
        simulation.ok(&["explain", "deploy/web"]),
        "deployment-controller\n  nothing to do\n"
    );
    let huge = r#"{"metadata":{"name":"huge"},"spec":{"containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":"64"}}}]}}"#;
    let pods = Api::<Pod>::default_namespaced(client.clone());
    pods.create(&PostParams::default(), &serde_json::from_str(huge).unwrap())
        .await
        .unwrap();
    let said = supervision::wait_until("the scheduler's reasons", PATIENCE, async || {
        let (_, said) = simulation.run(&["explain", "pod/huge"]);
        if said.contains("0/50 nodes are available: 50 Insufficient cpu.") {
            Ok(said)
        } else {
            Err(said)
        }
    });
    assert!(said.await.unwrap().contains("NodeResourcesFit: Insufficient cpu"));
    let json = simulation.ok(&["explain", "pod/huge", "-o", "json", "--cluster", "s"]);
    assert!(
        json.contains(r#""kind": "Pod""#) && json.contains(r#""rejections""#),
        "{json}"
    );
    assert!(
        !simulation
            .ok(&["explain", &format!("po/{running}")])
            .contains("scheduler\n")
    );
    let (success, said) = simulation.run(&["explain", "pod/nobody"]);
    assert!(!success && said.contains("there is no such object"), "{said}");
    pods.delete("huge", &kube::api::DeleteParams::default()).await.unwrap();
}

#[test]
fn simulated_nodes_run_hundreds_of_pods_without_any_privilege() {
    let simulation = Simulation::new();
    assert!(simulation.up().contains("nodes are simulated"));
    simulation.ok(&[
        "create",
        "cluster",
        "--name",
        "s",
        "--nodes",
        "50",
        "--nodes-max",
        "50",
        "--node-type",
        "t3.medium",
    ]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = simulation.client();
        let deployments = Api::<Deployment>::default_namespaced(client.clone());
        deployments
            .create(&PostParams::default(), &deployment(200))
            .await
            .unwrap();
        let before = pods(&client, 200).await;
        let mut addresses: Vec<&str> = before.iter().map(|pod| pod.1.as_str()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), 200, "every pod has an address of its own");
        check_honesty(&simulation, &client, &before[0].0).await;
        check_explanations(&simulation, &client, &before[0].0).await;

        let pid = i32::try_from(simulation.endpoint().pid).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
        let (success, said) = simulation.run(&["up", "--port", "0", "--load-balancer-port", "0"]);
        assert!(!success && said.contains("start it with --simulated"), "{said}");
        simulation.up();
        let client = simulation.client();
        assert_eq!(
            pods(&client, 200).await,
            before,
            "a restart of the region disturbs no pod"
        );
        let nodes = Api::<Node>::all(client.clone())
            .list(&ListParams::default())
            .await
            .unwrap();
        assert_eq!(nodes.items.len(), 50);
        check_taken_up(&client, &before[0].0).await;
    });
    simulation.ok(&["delete", "cluster", "--name", "s"]);
    simulation.ok(&["down", "--purge"]);
    assert!(!simulation.path().join("h").exists());
}

#[test]
fn a_region_that_was_killed_a_moment_ago_is_started_again() {
    let simulation = Simulation::new();
    simulation.up();
    for _ in 0..4 {
        let before = simulation.endpoint().pid;
        let pid = i32::try_from(before).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
        simulation.up();
        assert_ne!(simulation.endpoint().pid, before);
    }
    let again = simulation.up();
    assert!(again.contains("already"), "{again}");
    simulation.ok(&["down", "--purge"]);
}

/// The node that simulated a pod before simulates it again.
async fn check_taken_up(client: &kube::Client, pod: &str) {
    let api = Api::<Pod>::default_namespaced(client.clone());
    let waited = supervision::wait_until("the node answers again", PATIENCE, async || {
        let said = api
            .logs(pod, &LogParams::default())
            .await
            .expect_err("there are no logs")
            .to_string();
        if said.contains("a simulated node runs no containers") {
            Ok(())
        } else {
            Err(said)
        }
    });
    waited.await.unwrap();
}
