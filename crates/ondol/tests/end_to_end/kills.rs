//! Kills of any process at any moment: nothing acknowledged is lost, what need not end runs on, and it all still works.
//!
//! What is killed, and when, follows from a seed. `ONDOL_KILL_SEED` repeats a run; `ONDOL_KILLS` asks for more kills.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clock::{Random, SeededRandom, SystemRandom};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use supervision::{Supervisor, wait_until};

use crate::support::cluster::{self, RunningPod, Writer};
use crate::support::processes::{Process, Role};
use crate::support::{EXAMPLES, Ondol, PATIENCE, Said, page_comes, provisions, until};

/// Kills in each round, in the order of the phases: creating, rolling out, scaling, serving, ending and beginning again, deleting.
const PHASES: [usize; 6] = [5, 4, 5, 6, 2, 4];

/// The kills that a whole run must have had.
const LEAST: usize = 50;

/// Nodes of `examples/cluster.yaml`.
const NODES: usize = 2;

/// An Ondol, who kills in it, and what was seen of it.
struct Siege {
    ondol: Ondol,
    random: SeededRandom,
    kills: usize,
    began: Instant,
}

/// A cluster that is written to while processes are killed.
struct Garrison {
    client: Client,
    writer: Writer,
    writing: Supervisor,
    /// The load balancer's name, once there is one.
    host: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_nothing_acknowledged_is_lost_and_all_goes_on() {
    let Some(provisions) = provisions() else { return };
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("ONDOL_KILL_SEED").unwrap_or_else(|| SystemRandom.below(1_000_000));
    println!("the seed is {seed}: ONDOL_KILL_SEED={seed} repeats these kills");
    let least = number("ONDOL_KILLS")
        .and_then(|kills| usize::try_from(kills).ok())
        .unwrap_or(LEAST);
    let mut siege = Siege {
        ondol: Ondol::up(provisions),
        random: SeededRandom::new(seed),
        kills: 0,
        began: Instant::now(),
    };
    while siege.kills < least {
        siege.round().await;
    }
    // In peace, all of it once more.
    siege.phase("the guide once more");
    let garrison = siege.creates(0).await;
    let garrison = siege.rolls_out(garrison, 0).await;
    siege.deletes(garrison, 0).await;
    siege.ondol.down();
}

impl Siege {
    async fn round(&mut self) {
        let [creating, rolling, scaling, serving, ending, deleting] = PHASES;
        let garrison = self.creates(creating).await;
        let garrison = self.rolls_out(garrison, rolling).await;
        self.scales(&garrison, scaling).await;
        for _ in 0..serving {
            self.serves(&garrison).await;
        }
        self.ends_and_begins(&garrison, ending).await;
        self.serves(&garrison).await;
        self.deletes(garrison, deleting).await;
    }

    fn phase(&self, name: &str) {
        println!(
            "{:>6.1} s, {} kills: {name}",
            self.began.elapsed().as_secs_f64(),
            self.kills
        );
    }

    /// Runs `ondol` beside us.
    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(self.ondol.binary());
        command.args(arguments).envs(self.ondol.environment());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("ondol starts")
    }

    /// Kills one process of a role chosen by the seed, some time from now. None if nothing runs.
    async fn strike(&mut self, within: Duration) -> Option<Process> {
        let pause = self.random.below(u64::try_from(within.as_millis()).unwrap_or(u64::MAX));
        supervision::sleep(Duration::from_millis(pause)).await;
        self.ondol.look();
        let mut by_role: BTreeMap<Role, Vec<Process>> = BTreeMap::new();
        for process in self.ondol.processes().ours {
            by_role.entry(process.role).or_default().push(process);
        }
        // A lost machine takes longest to be made good, so it is chosen less often.
        let weighted = by_role.keys().flat_map(|role| match role {
            Role::Region => vec![*role; 3],
            Role::Machine => vec![*role; 1],
            Role::Runtime | Role::Agent | Role::Shim => vec![*role; 2],
        });
        let weighted: Vec<Role> = weighted.collect();
        let candidates = by_role.get(weighted.get(self.index(weighted.len()))?)?;
        let victim = candidates.get(self.index(candidates.len()))?.clone();
        match kill(Pid::from_raw(victim.id.pid), Signal::SIGKILL) {
            Ok(()) => {}
            // It ended by itself in this moment.
            Err(nix::Error::ESRCH) => return None,
            Err(error) => panic!("{victim:?}: {error}"),
        }
        let ended = wait_until("the end of what was killed", PATIENCE, async || {
            if victim.id.lives() { Err("it lives") } else { Ok(()) }
        });
        ended.await.unwrap_or_else(|error| panic!("{victim:?}: {error}"));
        self.kills += 1;
        self.phase(&format!(
            "killed {:?} {} {:?}",
            victim.role, victim.id.pid, victim.instance
        ));
        Some(victim)
    }

    fn index(&self, length: usize) -> usize {
        let below = self.random.below(u64::try_from(length).unwrap_or(u64::MAX));
        usize::try_from(below).unwrap_or(0)
    }

    /// Kills, and brings the region back whenever it was the one.
    async fn strikes(&mut self, count: usize, within: Duration) {
        for _ in 0..count {
            if self
                .strike(within)
                .await
                .is_some_and(|victim| victim.role == Role::Region)
            {
                self.restore().await;
            }
        }
    }

    /// Starts the region process again, as its user would. It may be killed while it starts, so this may take more than one try.
    async fn restore(&mut self) {
        let restored = wait_until("the region is up again", PATIENCE, async || {
            let said = self.ondol.start();
            (said.code == Some(0)).then_some(()).ok_or(said.stderr)
        });
        restored.await.unwrap_or_else(|error| panic!("{error}"));
    }

    fn finished(&self, what: &str, child: Child) -> String {
        let output = child
            .wait_with_output()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        Said::of(output).ok()
    }

    async fn creates(&mut self, kills: usize) -> Garrison {
        self.phase("creating");
        let file = format!("{EXAMPLES}/cluster.yaml");
        let child = self.start(&["create", "cluster", "-f", &file]);
        // Whom no region has heard yet is told that there is none.
        let heard = |said: &str| said.contains("warm");
        until("the cluster is asked for", || self.ondol.run(["get", "cluster"]), heard).await;
        self.strikes(kills, Duration::from_millis(1500)).await;
        self.finished("create cluster", child);
        let client = self.ondol.client("warm");
        let writing = Supervisor::new("writing");
        let garrison = Garrison {
            writer: Writer::start(client.clone(), &writing),
            client,
            writing,
            host: String::new(),
        };
        garrison.settles().await;
        garrison
    }

    async fn rolls_out(&mut self, garrison: Garrison, kills: usize) -> Garrison {
        self.phase("rolling out");
        let file = format!("{EXAMPLES}/demo.yaml");
        until(
            "the manifest is applied",
            || self.ondol.kubectl(["apply", "-f", &file]),
            |_| true,
        )
        .await;
        self.strikes(kills, Duration::from_millis(800)).await;
        let name = [
            "get",
            "service",
            "demo",
            "-o",
            "jsonpath={.status.loadBalancer.ingress[0].hostname}",
        ];
        let is_name = |name: &str| name.ends_with(".elb.localhost");
        let host = until("the load balancer's name", || self.ondol.kubectl(name), is_name).await;
        let garrison = Garrison { host, ..garrison };
        self.all_is_well(&garrison).await;
        garrison
    }

    async fn scales(&mut self, garrison: &Garrison, kills: usize) {
        self.phase("scaling");
        let deployments: Api<Deployment> = Api::namespaced(garrison.client.clone(), "default");
        for count in 0..kills {
            let replicas = [7, 1, 5, 2][count % 4];
            let scaled = wait_until("the deployment is scaled", PATIENCE, async || {
                let patch = Patch::Merge(Replicas::of(replicas));
                deployments.patch("demo", &PatchParams::default(), &patch).await
            });
            scaled.await.unwrap_or_else(|error| panic!("{error}"));
            self.strikes(1, Duration::from_millis(800)).await;
        }
        self.all_is_well(garrison).await;
    }

    /// One kill while nothing is asked for, after which only what died with the victim may differ.
    async fn serves(&mut self, garrison: &Garrison) {
        garrison.settles().await;
        let before = garrison.pods().await;
        let nodes = garrison.nodes().await;
        let containers = self.ondol.processes().containers;
        let Some(victim) = self.strike(Duration::from_millis(300)).await else {
            return;
        };
        if victim.role == Role::Region {
            self.restore().await;
        }
        let lost = victim
            .instance
            .as_ref()
            .and_then(|instance| nodes.get(instance))
            .cloned();
        let changed = wait_until("the kill is noticed", PATIENCE, async || {
            let after = garrison.pods().await;
            let changed: Vec<RunningPod> = before
                .iter()
                .filter(|(uid, pod)| after.get(*uid) != Some(pod))
                .map(|(_, pod)| pod.clone())
                .collect();
            let is_noticed = match victim.role {
                Role::Machine => !garrison.nodes().await.values().any(|node| Some(node) == lost.as_ref()),
                Role::Shim => !victim.holds_container || !changed.is_empty(),
                Role::Region | Role::Runtime | Role::Agent => true,
            };
            if is_noticed {
                Ok(changed)
            } else {
                Err(format!("{victim:?}: {after:?}"))
            }
        });
        changed.await.unwrap_or_else(|error| panic!("{error}"));
        self.all_is_well(garrison).await;
        let after = garrison.pods().await;
        let changed: Vec<&RunningPod> = before
            .iter()
            .filter(|(uid, pod)| after.get(*uid) != Some(pod))
            .map(|(_, pod)| pod)
            .collect();
        let running = self.ondol.processes().containers;
        let gone: Vec<_> = containers.difference(&running).collect();
        match victim.role {
            Role::Machine => assert!(
                changed.iter().all(|pod| Some(&pod.node) == lost.as_ref()),
                "{victim:?} was {lost:?}; changed: {changed:?}"
            ),
            Role::Shim => assert!(
                changed.len() == usize::from(victim.holds_container),
                "one pod loses its containers: {changed:?}"
            ),
            Role::Region | Role::Runtime | Role::Agent => assert!(
                changed.is_empty() && gone.is_empty(),
                "{victim:?} took along {gone:?}; changed: {changed:?}"
            ),
        }
    }

    /// `ondol down` is cut short, repeated, and what was kept comes up again.
    async fn ends_and_begins(&mut self, garrison: &Garrison, kills: usize) {
        self.phase("ending");
        let child = self.start(&["down"]);
        for _ in 0..kills {
            self.strike(Duration::from_millis(150)).await;
        }
        self.finished("down", child);
        self.ondol.run(["down"]).ok();
        assert_eq!(self.ondol.left(), Vec::<String>::new(), "left after `ondol down`");
        self.phase("beginning again");
        self.restore().await;
        self.all_is_well(garrison).await;
    }

    async fn deletes(&mut self, garrison: Garrison, kills: usize) {
        self.phase("deleting");
        garrison.writing.drain(PATIENCE).await;
        let child = self.start(&["delete", "cluster", "--name", "warm", "--wait"]);
        self.strikes(kills, Duration::from_millis(600)).await;
        self.finished("delete cluster", child);
        let machines = std::fs::read_dir(self.ondol.home().join("m"))
            .into_iter()
            .flatten()
            .count();
        assert_eq!(machines, 0, "directories of machines are left");
        let left: Vec<Process> = self.ondol.processes().ours;
        assert!(
            left.iter().all(|process| process.role == Role::Region),
            "left after the cluster: {left:?}"
        );
    }

    /// What must be true after every kill, sooner or later.
    async fn all_is_well(&self, garrison: &Garrison) {
        garrison.settles().await;
        page_comes(&self.ondol, &garrison.host, "It is warm in here").await;
        garrison.writer.verify().await;
    }
}

impl Garrison {
    async fn settles(&self) {
        let settled = wait_until("all is as it should be", PATIENCE, async || {
            cluster::is_settled(&self.client, NODES).await
        });
        settled.await.unwrap_or_else(|error| panic!("{error}"));
    }

    async fn pods(&self) -> BTreeMap<String, RunningPod> {
        let pods = wait_until("the pods", PATIENCE, async || cluster::running_pods(&self.client).await);
        pods.await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn nodes(&self) -> BTreeMap<String, String> {
        let nodes = wait_until("the nodes", PATIENCE, async || cluster::nodes(&self.client).await);
        nodes.await.unwrap_or_else(|error| panic!("{error}"))
    }
}

/// A merge patch of a deployment's size.
#[derive(Debug, serde::Serialize)]
struct Replicas {
    spec: ReplicasSpec,
}

#[derive(Debug, serde::Serialize)]
struct ReplicasSpec {
    replicas: i32,
}

impl Replicas {
    fn of(replicas: i32) -> Self {
        Self {
            spec: ReplicasSpec { replicas },
        }
    }
}
