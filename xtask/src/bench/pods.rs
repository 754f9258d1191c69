//! One pod after the other, from the request that creates it until it is seen running.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use super::client::{Connection, Lines, Server};
use super::figures::{Durations, Table, milliseconds};
use super::region::Region;
use crate::command::TaskError;

/// A pod that is not running by then never will be.
const PATIENCE: Duration = Duration::from_secs(60);

const PODS: &str = "/api/v1/namespaces/default/pods";

/// Where the time of each pod went.
#[derive(Default)]
struct Shares {
    acknowledged: Durations,
    bound: Durations,
    running: Durations,
    together: Durations,
}

/// Waits until every pod of the system runs: what is measured then is not their start.
pub async fn wait_for_system(connection: &mut Connection, limit: Duration) -> Result<(), TaskError> {
    let deadline = Instant::now() + limit;
    loop {
        let list = connection
            .json(Method::GET, "/api/v1/namespaces/kube-system/pods", &Value::Null)
            .await?
            .unwrap_or_default();
        let pods = list["items"].as_array().map_or(&[] as &[Value], Vec::as_slice);
        if !pods.is_empty() && pods.iter().all(|pod| pod["status"]["phase"] == "Running") {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(TaskError::Unexpected("not all pods of kube-system run".into()));
        }
        supervision::sleep(Duration::from_millis(50)).await;
    }
}

/// Creates `number` pods one by one and prints where their time went.
pub async fn measure(region: &Region, server: &Server, number: usize) -> Result<(), TaskError> {
    let mut connection = server.connect().await?;
    let mut watch = connection
        .watch(&format!("{PODS}?watch=true&resourceVersion=0"))
        .await?;
    let mut shares = Shares::default();
    // The first finds nothing in any cache; it is not one of those that are counted.
    one(&mut connection, &mut watch, "bench-warm", &mut Shares::default()).await?;
    let before = region.node_logs()?.len();
    for index in 0..number {
        one(&mut connection, &mut watch, &format!("bench-{index}"), &mut shares).await?;
    }
    let logs = region.node_logs()?;
    print(&shares, logs.get(before..).unwrap_or(&logs));
    Ok(())
}

async fn one(connection: &mut Connection, watch: &mut Lines, name: &str, shares: &mut Shares) -> Result<(), TaskError> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "bench"}},
        "spec": {"terminationGracePeriodSeconds": 0,
            "containers": [{"name": "page", "image": "ondol.local/demo:latest", "ports": [{"containerPort": 80}]}]}
    });
    let created = Instant::now();
    connection.json(Method::POST, PODS, &pod).await?;
    let acknowledged = Instant::now();
    let bound = seen(watch, name, |pod| pod["spec"]["nodeName"].is_string()).await?;
    let running = seen(watch, name, |pod| pod["status"]["phase"] == "Running").await?;
    shares.acknowledged.add(acknowledged - created);
    shares.bound.add(bound.saturating_duration_since(acknowledged));
    shares.running.add(running - bound);
    shares.together.add(running - created);
    connection
        .json(Method::DELETE, &format!("{PODS}/{name}"), &Value::Null)
        .await?;
    seen_gone(watch, name).await
}

/// Waits for a state of a pod; answers when it was here.
async fn seen(watch: &mut Lines, name: &str, is_so: impl Fn(&Value) -> bool) -> Result<Instant, TaskError> {
    event(watch, name, |event| is_so(&event["object"])).await
}

async fn seen_gone(watch: &mut Lines, name: &str) -> Result<(), TaskError> {
    event(watch, name, |event| event["type"] == "DELETED").await.map(|_| ())
}

async fn event(watch: &mut Lines, name: &str, is_it: impl Fn(&Value) -> bool) -> Result<Instant, TaskError> {
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            let (arrived, event) = watch.next().await?;
            if event["object"]["metadata"]["name"] == name && is_it(&event) {
                return Ok(arrived);
            }
        }
    });
    waited
        .await
        .map_err(|elapsed| TaskError::Unexpected(format!("pod {name}: {elapsed}")))?
}

fn print(shares: &Shares, logs: &str) {
    let mut table = Table::new(["one pod", "p50", "p90", "p99"]);
    let rows = [
        ("create -> running", &shares.together),
        ("  API: created and acknowledged", &shares.acknowledged),
        ("  scheduler: bound to a node", &shares.bound),
        ("  node: running, status written", &shares.running),
    ];
    let row = |name: &str, durations: &Durations| {
        [
            name.to_owned(),
            milliseconds(durations.percentile(50)),
            milliseconds(durations.percentile(90)),
            milliseconds(durations.percentile(99)),
        ]
    };
    for (name, durations) in rows {
        table.row(row(name, durations));
    }
    for call in ["RunPodSandbox", "CreateContainer", "StartContainer"] {
        let durations = of_call(logs, call);
        if durations.count() > 0 {
            table.row(row(&format!("    runtime: {call}"), &durations));
        }
    }
    table.print(&format!(
        "{} pods, one after the other, image present",
        shares.together.count()
    ));
}

/// How long a call took, each time that the nodes' logs tell of it: `… call="StartContainer" microseconds=12300`.
fn of_call(logs: &str, call: &str) -> Durations {
    let mut durations = Durations::default();
    let wanted = format!("call=\"{call}\"");
    for line in logs.lines().filter(|line| line.contains(&wanted)) {
        let microseconds = line
            .split_once("microseconds=")
            .and_then(|(_, rest)| rest.split_whitespace().next());
        if let Some(microseconds) = microseconds.and_then(|text| text.parse().ok()) {
            durations.add(Duration::from_micros(microseconds));
        }
    }
    durations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_durations_of_a_call_are_read_from_the_nodes_logs() {
        let logs = "2026-01-01T00:00:00Z DEBUG node_agent::runtime: answered call=\"StartContainer\" microseconds=12300\n\
                    2026-01-01T00:00:00Z DEBUG node_agent::runtime: answered call=\"ContainerStatus\" microseconds=1\n";
        let durations = of_call(logs, "StartContainer");
        assert_eq!(
            (durations.count(), durations.median()),
            (1, Duration::from_micros(12_300))
        );
        assert_eq!(of_call(logs, "RunPodSandbox").count(), 0);
    }
}
