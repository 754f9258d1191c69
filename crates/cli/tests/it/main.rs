//! The commands, against a real region whose host is a fake: what they make, what they print, how they fail.
#![allow(clippy::unwrap_used, reason = "a failed step is the test's failure")]

mod eksctl;
#[allow(dead_code, reason = "the tests of the region use all of it")]
#[path = "../../../aws-api/tests/it/fake_host.rs"]
mod fake_host;

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_api::{Options, Partition, credentials};
use aws_types::RegionName;
use aws_types::region_files::{ACCOUNTS_DIRECTORY, CREDENTIALS_FILE, ENDPOINT_FILE, RegionEndpoint};
use cli::hooks::{DownOptions, DownReport, HookError, Hooks, Image, UpOptions, UpReport};
use clock::{Random, SystemClock, SystemRandom};
use fake_host::{FakeHost, World};
use supervision::Supervisor;
use tempfile::TempDir;

/// More than anything takes on a busy computer.
const LIMIT: Duration = Duration::from_secs(120);

/// Set in the child process in which a command runs.
const AS_COMMAND: &str = "ONDOL_TEST_AS_COMMAND";

struct NoHooks;

impl Hooks for NoHooks {
    fn up(&self, _: &UpOptions) -> Result<UpReport, HookError> {
        Err("not in this test".into())
    }

    fn down(&self, _: &DownOptions) -> Result<DownReport, HookError> {
        Err("not in this test".into())
    }

    fn account_create(&self, _: &Path, _: Option<&str>) -> Result<String, HookError> {
        Err("not in this test".into())
    }

    fn image_load(&self, _: &Path, _: &Path) -> Result<Vec<String>, HookError> {
        Err("not in this test".into())
    }

    fn image_list(&self, _: &Path) -> Result<Vec<Image>, HookError> {
        Ok(vec![Image {
            reference: "docker.io/library/nginx:latest".to_owned(),
            digest: format!("sha256:{}", "0".repeat(64)),
            size_bytes: 1 << 20,
        }])
    }
}

/// The test binary run again as if it were `ondol`: commands read the environment and print, so they need a process.
#[test]
fn as_command() {
    let Ok(line) = std::env::var(AS_COMMAND) else { return };
    let arguments = line.split('\u{1f}').map(OsString::from);
    let code = cli::run(arguments, &NoHooks);
    // The harness's own lines must not mix with the command's; and the code must be the command's.
    std::process::exit(if code == ExitCode::SUCCESS { 0 } else { 1 });
}

struct Fixture {
    home: TempDir,
    host: Arc<FakeHost>,
    supervisor: Supervisor,
    /// How many requests were answered.
    answered: Arc<AtomicUsize>,
}

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Fixture {
    async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let host = FakeHost::new(Arc::new(Mutex::new(World::default())));
        let answered = Arc::default();
        let supervisor = Self::serve(home.path(), &host, &answered).await;
        Self {
            home,
            host,
            supervisor,
            answered,
        }
    }

    /// A region process on the home's records and the host's machines, on a free port.
    async fn serve(home: &Path, host: &Arc<FakeHost>, answered: &Arc<AtomicUsize>) -> Supervisor {
        let supervisor = Supervisor::new("region");
        let opened = supervision::wait_until("the store opens", LIMIT, || async {
            store::open(&home.join("region/store"), store::Options::default(), &supervisor)
                .map_err(|error| error.to_string())
        });
        let region = Partition::open(Options {
            store: opened.await.unwrap(),
            host: host.clone(),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            supervisor: supervisor.clone(),
            region: RegionName::new("ap-northeast-2").unwrap(),
            credentials: credentials::load_or_create(&home.join(CREDENTIALS_FILE), &SystemRandom).unwrap(),
            accounts: Some(home.join(ACCOUNTS_DIRECTORY)),
            throttled: false,
            tls_endpoint: "https://localhost:4566".to_owned(),
        })
        .await
        .unwrap();
        region.resume();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = RegionEndpoint {
            pid: std::process::id(),
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            tls_endpoint: None,
            region: "ap-northeast-2".to_owned(),
            load_balancer_port: None,
        };
        std::fs::write(home.join(ENDPOINT_FILE), serde_json::to_vec(&endpoint).unwrap()).unwrap();
        let answered = Arc::clone(answered);
        let router = region.router().layer(axum::middleware::map_response(
            move |response: axum::response::Response| {
                answered.fetch_add(1, Ordering::Relaxed);
                std::future::ready(response)
            },
        ));
        supervisor.spawn_until_cancelled("endpoint", async move { axum::serve(listener, router).await.unwrap() });
        supervisor
    }

    /// Ends every task of the region wherever it is, and starts a new one.
    async fn restart(&mut self) {
        self.supervisor.drain(Duration::from_secs(10)).await;
        self.supervisor = Self::serve(self.home.path(), &self.host, &self.answered).await;
    }

    /// Waits until a command has had an answer since `before`: one that never had any takes it that no region runs.
    async fn wait_answered(&self, before: usize, command: &tokio::task::JoinHandle<Said>) {
        let waited = supervision::wait_until("the command's first answer", LIMIT, async || {
            if command.is_finished() || self.answered.load(Ordering::Relaxed) > before {
                Ok(())
            } else {
                Err("it was not asked yet")
            }
        });
        waited.await.unwrap();
    }

    fn spawn(&self, line: &str) -> tokio::task::JoinHandle<Said> {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "as_command", "--nocapture", "--quiet"])
            .env(AS_COMMAND, line.split(' ').collect::<Vec<_>>().join("\u{1f}"))
            .env("ONDOL_HOME", self.home.path())
            .env("KUBECONFIG", self.home.path().join("kubeconfig"))
            .env_remove("AWS_REGION")
            .env_remove("AWS_DEFAULT_REGION")
            .env("RUST_BACKTRACE", "0");
        tokio::task::spawn_blocking(move || {
            let Output { status, stdout, stderr } = command.output().unwrap();
            let out = String::from_utf8_lossy(&stdout).replace("\nrunning 1 test\n", "");
            Said {
                code: status.code().unwrap(),
                out,
                err: String::from_utf8_lossy(&stderr).into_owned(),
            }
        })
    }

    async fn run(&self, line: &str) -> Said {
        self.spawn(line).await.unwrap()
    }

    async fn ok(&self, line: &str) -> String {
        let said = self.run(line).await;
        assert_eq!(said.code, 0, "{line}\n{}\n{}", said.out, said.err);
        said.out
    }

    async fn refused(&self, line: &str, message: &str) {
        let said = self.run(line).await;
        assert_eq!(said.code, 1, "{line}\n{}\n{}", said.out, said.err);
        assert!(said.err.contains(message), "{line} says: {}", said.err);
    }

    fn kubeconfig(&self) -> String {
        std::fs::read_to_string(self.home.path().join("kubeconfig")).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_s_file_becomes_a_cluster_and_goes() {
    let fixture = Fixture::start().await;
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cluster.yaml");
    let file = example.display().to_string();
    let config = cluster_lifecycle::cluster_config::parse(&std::fs::read_to_string(&example).unwrap())
        .unwrap()
        .0;
    let (name, group) = (
        config.metadata.name.clone(),
        config.managed_node_groups.unwrap()[0].clone(),
    );
    fixture.ok(&format!("ondol create cluster -f {file}")).await;
    let launched = fixture.host.world().instances.len();
    assert_eq!(i64::try_from(launched).unwrap(), group.sizes().1);
    assert!(
        fixture
            .kubeconfig()
            .contains(&format!("current-context: admin@{name}.ap-northeast-2.eksctl.io"))
    );
    fixture
        .refused(&format!("ondol create cluster -f {file}"), "exists already")
        .await;

    let listed = fixture.ok("ondol get cluster").await;
    assert!(listed.contains(&name) && listed.contains("EKSCTL CREATED"), "{listed}");
    let one = fixture.ok(&format!("ondol get cluster {name}")).await;
    assert!(one.contains(&name) && one.contains("ACTIVE"), "{one}");
    let shown = fixture
        .ok(&format!("ondol get nodegroup --cluster {name} -o json"))
        .await;
    assert!(shown.contains(&format!("\"Name\": \"{}\"", group.name)), "{shown}");
    assert!(
        fixture
            .ok("ondol status")
            .await
            .contains("memory of all 1 processes together: 1.0 MiB")
    );

    let scale = format!(
        "ondol scale nodegroup --cluster {name} --name {} --nodes 3 --nodes-max 9 --wait",
        group.name
    );
    fixture.ok(&scale).await;
    assert_eq!(fixture.host.world().instances.len(), 3);
    let token = fixture.ok(&format!("ondol get-token --cluster-name {name}")).await;
    assert!(token.contains("k8s-aws-v1."), "{token}");

    fixture.ok(&format!("ondol delete cluster --name {name} --wait")).await;
    assert!(fixture.host.world().instances.is_empty() && fixture.host.world().control_planes.is_empty());
    assert!(!fixture.kubeconfig().contains(&name), "{}", fixture.kubeconfig());
    fixture
        .refused(
            &format!("ondol delete cluster --name {name}"),
            &format!("No cluster found for name: {name}."),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_make_clusters_side_by_side_and_more_groups() {
    let fixture = Fixture::start().await;
    fixture
        .ok("ondol create cluster one --nodes 1 --node-type t3.medium --nodegroup-name a")
        .await;
    fixture
        .ok("ondol create cluster two --without-nodegroup --set-kubeconfig-context=false")
        .await;
    assert!(fixture.kubeconfig().contains("current-context: admin@one."));
    fixture
        .ok("ondol create nodegroup --cluster two --name spot --spot --nodes 2 --instance-types t3.medium,t3.large -P")
        .await;
    let subnets: Vec<bool> = {
        let world = fixture.host.world();
        world
            .instances
            .values()
            .filter(|(spec, _)| spec.cluster.name.as_str() == "two")
            .map(|(spec, _)| spec.subnet.public)
            .collect()
    };
    assert_eq!(subnets, [false, false], "private networking uses private subnets");
    fixture
        .ok("ondol delete nodegroup --cluster two --name spot --wait")
        .await;
    assert!(
        fixture
            .ok("ondol get nodegroup --cluster two -o json")
            .await
            .contains("[]")
    );
    fixture.ok("ondol delete cluster one").await;
    assert!(fixture.ok("ondol get cluster -o yaml").await.contains("Name: two"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_name_what_and_where() {
    let fixture = Fixture::start().await;
    let bad = fixture.home.path().join("bad.yaml");
    std::fs::write(
        &bad,
        "apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\nmetadata: {name: x, region: ap-northeast-2}\nvpcs: {}\n",
    )
    .unwrap();
    let bad = bad.display().to_string();
    fixture
        .refused(
            &format!("ondol create cluster -f {bad}"),
            "line 4: vpcs: unknown field; did you mean \"vpc\"?",
        )
        .await;
    fixture
        .refused(
            "ondol create cluster x --region mars-north-1",
            r#"metadata.region: region "mars-north-1" is not known"#,
        )
        .await;
    fixture
        .refused(
            "ondol create nodegroup --cluster none --name a",
            "No cluster found for name: none.",
        )
        .await;
    fixture
        .refused("ondol get nodegroup --cluster none", "No cluster found for name: none.")
        .await;
    fixture
        .refused(
            "ondol scale nodegroup --cluster none --name a --nodes 1",
            "No cluster found for name: none.",
        )
        .await;
    fixture.refused("ondol frobnicate", "unrecognized subcommand").await;
    fixture
        .refused(
            "ondol get cluster --home /nonexistent",
            "no region runs in /nonexistent",
        )
        .await;
    fixture.host.world().control_plane_error = Some(aws_api::host::HostErrorKind::Permanent);
    fixture
        .refused(
            "ondol create cluster x",
            "cluster x is FAILED: start API server of x: the test says so",
        )
        .await;
    fixture.ok("ondol delete cluster x").await;
}

/// Restarts of the region while commands run: each command ends well, and nothing is made twice or left behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_survive_restarts_of_the_region() {
    let mut fixture = Fixture::start().await;
    let random = clock::SeededRandom::new(7);
    let lines = [
        "ondol create cluster demo --nodes 3 --nodes-min 1 --nodegroup-name a --node-type t3.medium",
        "ondol scale nodegroup --cluster demo --name a --nodes 5 --nodes-max 6 --wait",
        "ondol scale nodegroup --cluster demo --name a --nodes 2 --wait",
        "ondol delete cluster demo",
    ];
    for round in 0..3 {
        for line in lines {
            let before = fixture.answered.load(Ordering::Relaxed);
            let command = fixture.spawn(line);
            fixture.wait_answered(before, &command).await;
            while !command.is_finished() {
                supervision::sleep(Duration::from_millis(20 + random.below(150))).await;
                fixture.restart().await;
            }
            let said = command.await.unwrap();
            assert_eq!(said.code, 0, "round {round}: {line}\n{}", said.err);
        }
        let world = fixture.host.world();
        assert!(
            world.instances.is_empty() && world.control_planes.is_empty(),
            "round {round} leaves nothing behind"
        );
    }
}
