//! Clients that other people wrote, each through a suite of its own in `tests/clients`, in the language of the client.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Ondol, Said, provisions};

/// Where the suites are.
const SUITES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// What kubectl's scripts are about, besides those that need containers.
const SCRIPTS: &[&str] = &["objects", "apply", "rollouts", "access", "nodes"];

/// The kubectl of most tests, the oldest and the newest that are to be had.
const KUBECTLS: &[&str] = &["kubectl", "kubectl-oldest", "kubectl-newest"];

/// A pod that prints a line a second and serves a page.
const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: streams}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: busybox
    imagePullPolicy: Never
    command: [sh, -c]
    args:
    - |
      ln -s "$(command -v busybox)" /bin/tar
      mkdir /www && echo hello >/www/index.html && httpd -p 80 -h /www
      while true; do date; sleep 1; done
"#;

/// A client's suite, ready to run.
struct Suite {
    name: String,
    command: Command,
}

impl Suite {
    fn new(ondol: &Ondol, name: &str, program: &Path) -> Self {
        let mut command = Command::new(program);
        command
            .envs(ondol.environment())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null());
        Self {
            name: name.to_owned(),
            command,
        }
    }

    /// A script of a shell about a program.
    fn script(ondol: &Ondol, script: &str, variable: &str, program: &str) -> Self {
        let mut suite = Self::new(ondol, &format!("{program} {script}"), Path::new("bash"));
        suite
            .command
            .arg(Path::new(SUITES).join(script))
            .env(variable, ondol.tool(program));
        suite
    }

    fn with(mut self, edit: impl FnOnce(&mut Command)) -> Self {
        edit(&mut self.command);
        self
    }

    /// What the suite printed where it failed.
    fn failure(mut self) -> Option<String> {
        let output = self.command.output();
        let said = Said::of(output.unwrap_or_else(|error| panic!("{} starts: {error}", self.name)));
        (said.code != Some(0)).then(|| format!("== {}\n{}{}", self.name, said.stdout, said.stderr))
    }
}

/// Runs suites side by side; each is on its own in the cluster.
fn all_pass(suites: Vec<Suite>) {
    let failures: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = suites
            .into_iter()
            .map(|suite| scope.spawn(move || suite.failure()))
            .collect();
        let ended = running.into_iter().map(|one| one.join().expect("the suite ends"));
        ended.flatten().collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = std::env::split_paths(&path).map(|directory| directory.join(program));
    all.find(|file| file.is_file())
}

fn python(ondol: &Ondol, module: &str) -> Suite {
    // Behind a link of another directory Python does not find its environment.
    let program = ondol.tool("..").join("python/bin/python");
    Suite::new(ondol, "the Python client", &program).with(|command| {
        command
            .args(["-m", "unittest", module])
            .current_dir(Path::new(SUITES).join("python"));
    })
}

/// `None`, with a word about it, where there is no Node.
fn node(ondol: &Ondol, suite: &str) -> Option<Suite> {
    let Some(program) = on_path("node") else {
        println!("skipped: node is not on PATH");
        return None;
    };
    let client = ondol
        .tool("..")
        .join("node/node_modules/@kubernetes/client-node/dist/index.js");
    let client = client
        .canonicalize()
        .expect("`cargo xtask tools` installs the Node client");
    Some(Suite::new(ondol, "the Node client", &program).with(|command| {
        command
            .arg("--test")
            .arg(Path::new(SUITES).join("node").join(suite))
            .env("ONDOL_TEST_NODE_CLIENT", client);
    }))
}

/// `None`, with a word about it, where there is no Go: then nothing could be built.
fn go(ondol: &Ondol, tests: &str) -> Option<Suite> {
    if on_path("go").is_none() {
        println!("skipped: go is not on PATH");
        return None;
    }
    Some(
        Suite::new(ondol, "client-go", &ondol.tool("go-clients")).with(|command| {
            command.args(["-test.run", tests]);
        }),
    )
}

#[test]
fn kubectls_old_and_new_manage_a_cluster() {
    let Some(provisions) = provisions() else { return };
    let ondol = Ondol::simulated(provisions);
    for kubectl in KUBECTLS {
        let script = |name: &&str| Suite::script(&ondol, &format!("kubectl/{name}.sh"), "KUBECTL", kubectl);
        all_pass(SCRIPTS.iter().map(script).collect());
    }
    ondol.down();
}

#[test]
fn helm_installs_upgrades_rolls_back_and_uninstalls_a_chart() {
    let Some(provisions) = provisions() else { return };
    let ondol = Ondol::simulated(provisions);
    let helms = ["helm-oldest", "helm-newest"].map(|helm| Suite::script(&ondol, "helm.sh", "HELM", helm));
    all_pass(helms.into());
    ondol.down();
}

#[test]
fn clients_of_other_languages_read_write_and_watch() {
    let Some(provisions) = provisions() else { return };
    let ondol = Ondol::simulated(provisions);
    let suites = [
        Some(python(&ondol, "discover")),
        node(&ondol, "objects.test.mjs"),
        go(&ondol, "."),
    ];
    all_pass(suites.into_iter().flatten().collect());
    ondol.down();
}

#[test]
fn clients_run_commands_follow_logs_and_forward_ports() {
    let Some(provisions) = provisions() else { return };
    let ondol = Ondol::up(provisions);
    ondol.load_image("busybox");
    ondol
        .run(["create", "cluster", "--name", "streams", "--nodes", "1"])
        .ok();
    ondol.kubectl(["apply", "-f", &ondol.file("pod.yaml", POD)]).ok();
    ondol
        .kubectl(["wait", "--for=condition=Ready", "pod/streams", "--timeout=120s"])
        .ok();
    let scripts = KUBECTLS
        .iter()
        .map(|kubectl| Some(Suite::script(&ondol, "kubectl/streams.sh", "KUBECTL", kubectl)));
    let others = [
        Some(python(&ondol, "test_streams")),
        node(&ondol, "streams.test.mjs"),
        go(&ondol, "TestStreams"),
    ];
    let suites = scripts.chain(others).flatten();
    let with_pod = suites.map(|suite| {
        suite.with(|command| {
            command.env("ONDOL_TEST_POD", "streams").env("POD", "streams");
        })
    });
    all_pass(with_pod.collect());
    ondol.down();
}
