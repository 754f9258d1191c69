//! The API server alone under load, beside upstream's figures and beside what the disk and the store allow.

mod floor;
mod load;
mod reference;
mod server;
mod watchers;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use http::Method;
use serde_json::{Value, json};
use supervision::Supervisor;

use self::load::{Load, Measured};
use self::reference::Reference;
use self::server::ApiServer;
use super::figures::{Durations, Table, grouped, mebibytes, milliseconds};
use super::processes::Memory;
use crate::command::TaskError;

/// Before memory is looked at.
const REST: Duration = Duration::from_secs(2);

/// How much is measured.
#[derive(Args)]
pub struct Options {
    /// Objects of 1 KiB that are created and read.
    #[arg(long, default_value_t = 20_000)]
    objects: usize,
    /// Pods that are created and listed.
    #[arg(long, default_value_t = 10_000)]
    pods: usize,
    /// Requests under way at the same time.
    #[arg(long, default_value_t = 128)]
    concurrency: usize,
    /// Objects created for the watchers to see.
    #[arg(long, default_value_t = 500)]
    events: usize,
    /// The API server's store is an etcd.
    #[arg(long)]
    etcd: bool,
    /// A program of upstream's kube-apiserver: with Debian's etcd it gets the same load in the same run, and is what ours
    /// is compared with. Without it these are figures that were once measured on another machine with two cores.
    #[arg(long)]
    upstream: Option<PathBuf>,
}

/// Runs the whole load and prints every figure.
pub async fn measure(options: &Options, debug: bool, supervisor: &Supervisor) -> Result<(), TaskError> {
    let server = ApiServer::start(debug, options.etcd, supervisor).await?;
    let outcome = under_load(options, &server).await;
    server.end()?;
    let figures = outcome?;
    let reference = match &options.upstream {
        None => Reference::elsewhere(),
        Some(program) => {
            let server = ApiServer::start_upstream(program, supervisor).await?;
            let outcome = under_load(options, &server).await;
            server.end()?;
            Reference::of(&outcome?)
        }
    };
    let floors = floor::measure(options.concurrency, supervisor).await;
    figures.print(&reference);
    floors?.print();
    Ok(())
}

/// What came out.
struct Figures {
    idle: Memory,
    create: Measured,
    update: Measured,
    get: Measured,
    create_pods: Measured,
    list: Listed,
    select: Listed,
    /// None where the server ended watches that did not keep up.
    few_watchers: Option<watchers::Seen>,
    many_watchers: Option<watchers::Seen>,
    after: Memory,
}

/// Lists of one kind.
struct Listed {
    durations: Durations,
    bytes: usize,
}

async fn under_load(options: &Options, server: &ApiServer) -> Result<Figures, TaskError> {
    let load = Load::new(server, options.concurrency).await?;
    let namespace = "/api/v1/namespaces/bench";
    let mut one = server.target.connect().await?;
    for name in ["bench", "watched"] {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        one.json(Method::POST, "/api/v1/namespaces", &object).await?;
    }
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    one.json(Method::POST, &format!("{namespace}/serviceaccounts"), &account)
        .await?;
    supervision::sleep(REST).await;
    let idle = server.memory()?;

    let maps = format!("{namespace}/configmaps");
    let create = load
        .run(options.objects, |number| {
            (Method::POST, maps.clone(), kibibyte(number, "x"))
        })
        .await?;
    let get = load
        .run(options.objects * 2, |number| {
            let path = format!("{maps}/object-{}", number % options.objects);
            (Method::GET, path, Bytes::new())
        })
        .await?;
    let update = load
        .run(options.objects / 4, |number| {
            (Method::PUT, format!("{maps}/object-{number}"), kibibyte(number, "y"))
        })
        .await;
    let pods = format!("{namespace}/pods");
    let create_pods = load
        .run(options.pods, |number| (Method::POST, pods.clone(), pod(number)))
        .await?;
    let list = lists(&mut one, &pods, 9).await?;
    let select = lists(&mut one, &format!("{pods}?labelSelector=group%3Dg7"), 50).await?;
    let few_watchers = kept_up(watchers::measure(server, &load, 200, options.events).await)?;
    let many_watchers = kept_up(watchers::measure(server, &load, 1000, options.events).await)?;
    supervision::sleep(REST).await;
    Ok(Figures {
        idle,
        create,
        update: update?,
        get,
        create_pods,
        list,
        select,
        few_watchers,
        many_watchers,
        after: server.memory()?,
    })
}

/// Upstream's server ends watches whose events wait for too long; then there is no figure.
fn kept_up(seen: Result<watchers::Seen, TaskError>) -> Result<Option<watchers::Seen>, TaskError> {
    match seen {
        Ok(seen) => Ok(Some(seen)),
        Err(TaskError::Unexpected(problem)) if problem == super::client::WATCH_ENDED => {
            println!("note: watches were ended by the server before they had seen everything");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn lists(one: &mut super::client::Connection, path: &str, times: usize) -> Result<Listed, TaskError> {
    let mut durations = Durations::default();
    let mut bytes = 0;
    for _ in 0..times {
        let started = Instant::now();
        bytes = one.exchange(Method::GET, path, Bytes::new()).await?;
        durations.add(started.elapsed());
    }
    Ok(Listed { durations, bytes })
}

/// A config map that takes a kibibyte, most of it the same letter.
fn kibibyte(number: usize, letter: &str) -> Bytes {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": format!("object-{number}"), "labels": {"group": format!("g{}", number % 100)}},
        "data": {"value": letter.repeat(900)}
    });
    object.to_string().into()
}

/// A pod as a Deployment makes them; stored it takes 2.3 KiB.
fn pod(number: usize) -> Bytes {
    let environment: Vec<Value> = (0..8)
        .map(|index| json!({"name": format!("SETTING_{index}"), "value": format!("value of setting {index}")}))
        .collect();
    let object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("pod-{number}"),
            "labels": {"app": "bench", "pod-template-hash": "5d4f8c7b9", "group": format!("g{}", number % 100)},
            "annotations": {"bench.ondol.dev/note": "as a Deployment would make it"}},
        "spec": {
            "containers": [{
                "name": "app", "image": "registry.example.com/team/app:1.2.3",
                "command": ["/bin/app", "--listen", ":8080"],
                "env": environment,
                "ports": [{"containerPort": 8080, "name": "http"}],
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
                "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 5},
                "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}],
            "volumes": [{"name": "scratch", "emptyDir": {}}],
            "nodeSelector": {"kubernetes.io/os": "linux"}}
    });
    object.to_string().into()
}

impl Figures {
    fn print(&self, reference: &Reference) {
        let mut table = Table::new([
            "under load",
            "measured",
            "p50",
            "p99",
            "server CPU each",
            "upstream",
            "times better",
        ]);
        self.add_requests(&mut table, reference);
        self.add_lists(&mut table, reference);
        self.add_watchers(&mut table, reference);
        self.add_memory(&mut table, reference);
        table.print(&format!(
            "the API server on its own, load from the same machine; upstream's figures: {}",
            reference.origin
        ));
    }

    fn add_requests(&self, table: &mut Table, reference: &Reference) {
        let rows = [
            ("create objects of 1 KiB", &self.create, reference.create),
            ("update them", &self.update, reference.update),
            ("get one", &self.get, reference.get),
            ("create pods", &self.create_pods, reference.create_pods),
        ];
        for (name, measured, upstream) in rows {
            let rate = measured.per_second();
            table.row([
                name.to_owned(),
                format!("{}/s", grouped(rate)),
                milliseconds(measured.durations.percentile(50)),
                milliseconds(measured.durations.percentile(99)),
                microseconds(measured.processor_each()),
                shown(upstream.map(|upstream| format!("{}/s", grouped(upstream)))),
                times(upstream.map(|upstream| rate / upstream)),
            ]);
        }
    }

    fn add_lists(&self, table: &mut Table, reference: &Reference) {
        let rows = [
            ("list all pods", &self.list, reference.list),
            ("list one in a hundred by label", &self.select, reference.select),
        ];
        for (name, listed, upstream) in rows {
            let median = listed.durations.median();
            table.row([
                format!("{name} ({})", mebibytes(listed.bytes as u64)),
                milliseconds(median),
                milliseconds(median),
                milliseconds(listed.durations.percentile(99)),
                String::new(),
                shown(upstream.map(milliseconds)),
                times(upstream.map(|upstream| upstream.as_secs_f64() / median.as_secs_f64())),
            ]);
        }
    }

    fn add_watchers(&self, table: &mut Table, reference: &Reference) {
        for (seen, upstream) in [
            (&self.few_watchers, reference.few_watchers),
            (&self.many_watchers, reference.many_watchers),
        ] {
            let Some(seen) = seen else { continue };
            let rate = seen.per_second();
            table.row([
                format!("{} watchers", seen.watchers),
                format!("{} events/s", grouped(rate)),
                String::new(),
                String::new(),
                microseconds(seen.processor_each()),
                shown(upstream.map(|upstream| format!("{}/s", grouped(upstream)))),
                times(upstream.map(|upstream| rate / upstream)),
            ]);
        }
    }

    fn add_memory(&self, table: &mut Table, reference: &Reference) {
        for (name, memory, upstream) in [
            ("memory at rest (RSS)", self.idle, reference.idle),
            ("memory after the load (RSS)", self.after, reference.after),
        ] {
            table.row([
                name.to_owned(),
                mebibytes(memory.resident),
                String::new(),
                String::new(),
                String::new(),
                mebibytes(upstream),
                times(Some(upstream as f64 / memory.resident as f64)),
            ]);
        }
    }
}

fn microseconds(duration: Duration) -> String {
    format!("{:.1} µs", duration.as_secs_f64() * 1e6)
}

fn times(ratio: Option<f64>) -> String {
    shown(ratio.map(|ratio| format!("{ratio:.1}")))
}

fn shown(text: Option<String>) -> String {
    text.unwrap_or_default()
}
