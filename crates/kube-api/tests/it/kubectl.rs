//! The real kubectl against the API, when there is one on `PATH`.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::world::World;

const DEPLOYMENT: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: nginx, image: "nginx:1"}, {name: side, image: "side:1"}]}
"#;

/// kubectl with a home and a kubeconfig of the test's own.
#[derive(Clone)]
pub struct Kubectl {
    program: PathBuf,
    home: Arc<tempfile::TempDir>,
    environment: Vec<(String, String)>,
}

impl Kubectl {
    /// kubectl, or another program that reads a kubeconfig. `None`, with a word about it, where there is none; in CI that
    /// is a failure.
    pub fn find(world: &World, name: &str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let Some(program) = std::env::split_paths(&path)
            .map(|dir| dir.join(name))
            .find(|file| file.is_file())
        else {
            assert!(std::env::var_os("CI").is_none(), "{name} must be on PATH in CI");
            println!("skipped: there is no {name} on PATH");
            return None;
        };
        let home = Arc::new(tempfile::tempdir().unwrap());
        std::fs::write(home.path().join("config"), kubeconfig(world)).unwrap();
        Some(Self {
            program,
            home,
            environment: Vec::new(),
        })
    }

    /// The same with one more environment variable.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut other = self.clone();
        other.environment.push((name.to_owned(), value.to_owned()));
        other
    }

    /// A directory of files in the test's home.
    pub fn directory(&self, name: &str, files: &[(&str, &str)]) -> String {
        let directory = self.home.path().join(name);
        for (path, text) in files {
            let path = directory.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        directory.display().to_string()
    }

    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(line.split_whitespace())
            .env("HOME", self.home.path())
            .env("KUBECONFIG", self.home.path().join("config"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs kubectl to its end: did it succeed, and what did it print?
    pub async fn run(&self, line: &str, input: &str) -> (bool, String) {
        let mut child = self.command(line).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        let printed = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&printed).into_owned())
    }

    pub async fn expect(&self, line: &str, wanted: &str) {
        let (succeeded, printed) = self.run(line, "").await;
        assert!(
            succeeded && printed.contains(wanted),
            "{line}\n{printed}\nshould print {wanted:?}"
        );
    }

    pub async fn refused(&self, line: &str, wanted: &str) {
        let (succeeded, printed) = self.run(line, "").await;
        assert!(
            !succeeded && printed.contains(wanted),
            "{line}\n{printed}\nshould be refused with {wanted:?}"
        );
    }

    /// Starts a kubectl that goes on until it is stopped.
    pub fn start(&self, line: &str) -> Running {
        let mut child = self.command(line).stdin(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Running { _child: child, lines }
    }
}

/// A kubectl that is killed with this value.
pub struct Running {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub async fn line(&mut self) -> String {
        self.lines.next_line().await.unwrap().unwrap_or_default()
    }

    pub fn stop(self) {}
}

fn kubeconfig(world: &World) -> String {
    let admin = world.pki.issue_client("admin", &["system:masters"]).unwrap();
    let encode = |text: &str| STANDARD.encode(text);
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster: {{server: 'https://{}', certificate-authority-data: {}}}\n\
         users:\n- name: u\n  user: {{client-certificate-data: {}, client-key-data: {}}}\n\
         contexts:\n- name: x\n  context: {{cluster: c, user: u}}\ncurrent-context: x\n",
        world.address,
        encode(world.pki.ca_pem()),
        encode(&admin.certificate_pem),
        encode(&admin.key_pem)
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_manages_objects() {
    let world = World::start().await;
    let Some(kubectl) = Kubectl::find(&world, "kubectl") else {
        return world.stop().await;
    };
    kubectl.expect("create namespace demo", "namespace/demo created").await;
    kubectl
        .expect(
            "create deployment typed --image=nginx --replicas=2 -n demo",
            "deployment.apps/typed created",
        )
        .await;
    kubectl
        .expect("get deployment typed -n demo -o jsonpath={.spec.replicas}", "2")
        .await;
    kubectl
        .expect(
            "create configmap settings --from-literal=color=blue",
            "configmap/settings created",
        )
        .await;
    kubectl
        .expect("label configmap settings tier=front", "configmap/settings labeled")
        .await;
    kubectl
        .expect("get configmap -l tier=front -o name", "configmap/settings")
        .await;
    kubectl
        .expect("scale deployment typed --replicas=5 -n demo", "scaled")
        .await;
    kubectl.expect("get deployments -A", "typed").await;
    kubectl.expect("api-resources --api-group=apps", "deployments").await;
    kubectl
        .expect("explain deployment.spec.replicas", "Number of desired pods")
        .await;
    kubectl
        .expect("explain deployment --recursive", "topologySpreadConstraints")
        .await;
    kubectl
        .expect(
            "explain cronjob.spec.jobTemplate.spec.backoffLimit",
            "FIELD: backoffLimit",
        )
        .await;
    kubectl.expect("auth can-i create pods", "yes").await;
    kubectl.refused("auth can-i create pods --as=nobody", "no").await;
    kubectl
        .refused("get configmap absent", r#"configmaps "absent" not found"#)
        .await;
    kubectl.expect("delete configmap settings", "deleted").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_applies_by_merge_keys() {
    let world = World::start().await;
    let Some(kubectl) = Kubectl::find(&world, "kubectl") else {
        return world.stop().await;
    };
    let first = kubectl.file("first.yaml", DEPLOYMENT);
    kubectl
        .expect(&format!("apply -f {first}"), "deployment.apps/web created")
        .await;
    kubectl
        .expect(&format!("apply -f {first}"), "deployment.apps/web unchanged")
        .await;
    let second = kubectl.file("second.yaml", &DEPLOYMENT.replace("nginx:1", "nginx:2"));
    kubectl
        .expect(&format!("apply -f {second}"), "deployment.apps/web configured")
        .await;
    let images = "get deployment web -o jsonpath={.spec.template.spec.containers[*].image}";
    kubectl.expect(images, "nginx:2 side:1").await;
    let third = kubectl.file(
        "third.yaml",
        &DEPLOYMENT.replace(r#", {name: side, image: "side:1"}"#, ""),
    );
    kubectl.expect(&format!("apply -f {third}"), "configured").await;
    let (_, printed) = kubectl.run(images, "").await;
    assert_eq!(printed, "nginx:1", "the container that left the file left the object");
    let wrong = kubectl.file("wrong.yaml", &DEPLOYMENT.replace("replicas:", "replicass:"));
    kubectl
        .refused(&format!("apply -f {wrong}"), r#"unknown field "spec.replicass""#)
        .await;
    kubectl.expect(&format!("delete -f {first}"), "deleted").await;
    world.stop().await;
}
