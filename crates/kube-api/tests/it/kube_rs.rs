//! kube-rs over TLS: watchers, a reflector, a controller with a finalizer, commands and ports.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{AttachParams, DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::finalizer::{Event, finalizer};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::connect::pod_on_node;
use crate::streams::agent;
use crate::world::World;

const PATIENCE: Duration = Duration::from_secs(60);

fn administrator(world: &World) -> kube::Client {
    world.client(&world.certificate("admin", &["system:masters"]))
}

fn map(name: &str, label: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map.metadata.labels = Some(BTreeMap::from([("watched".to_owned(), label.to_owned())]));
    map
}

async fn until<T, F: Future<Output = Result<T, String>>>(what: &str, look: impl FnMut() -> F) -> T {
    let waited = supervision::wait_until(what, PATIENCE, look).await;
    waited.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test]
async fn reflectors_keep_what_a_selector_selects() {
    let world = World::start().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(administrator(&world));
    maps.create(&PostParams::default(), &map("before", "yes"))
        .await
        .unwrap();
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let (store, writer) = reflector::store();
        let watched = watcher(maps.clone(), config.labels("watched=yes"));
        let mut events = Box::pin(
            reflector::reflector(writer, watched)
                .default_backoff()
                .touched_objects(),
        );
        let first = events.try_next().await.unwrap().unwrap();
        assert_eq!(first.name_any(), "before");
        maps.create(&PostParams::default(), &map("later", "yes")).await.unwrap();
        assert_eq!(events.try_next().await.unwrap().unwrap().name_any(), "later");
        assert!(store.get(&ObjectRef::new("later").within("default")).is_some());
        let gone = Patch::Merge(json!({"metadata": {"labels": {"watched": "no"}}}));
        maps.patch("later", &PatchParams::default(), &gone).await.unwrap();
        events.try_next().await.unwrap().unwrap();
        assert_eq!(store.len(), 1, "an object that is no longer selected leaves");
        maps.delete("later", &DeleteParams::default()).await.unwrap();
    }
    world.stop().await;
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failure(String);

struct Context {
    client: kube::Client,
}

/// Keeps a secret for each map, and a note of those that were deleted.
async fn reconcile(map: Arc<ConfigMap>, context: Arc<Context>) -> Result<Action, Failure> {
    let maps: Api<ConfigMap> = Api::default_namespaced(context.client.clone());
    let secrets: Api<Secret> = Api::default_namespaced(context.client.clone());
    let work = |event: Event<ConfigMap>| async move {
        match event {
            Event::Apply(map) => {
                let mut secret = Secret::default();
                secret.metadata.name = map.metadata.name.clone();
                secret.metadata.owner_references = map.controller_owner_ref(&()).map(|owner| vec![owner]);
                let ours = PatchParams::apply("controller").force();
                secrets.patch(&map.name_any(), &ours, &Patch::Apply(&secret)).await?;
            }
            Event::Cleanup(map) => {
                let mut note = Secret::default();
                note.metadata.name = Some(format!("{}-was-deleted", map.name_any()));
                secrets.create(&PostParams::default(), &note).await?;
            }
        }
        Ok::<_, kube::Error>(Action::await_change())
    };
    finalizer(&maps, "kube-rs.test/secret", map, work)
        .await
        .map_err(|error| Failure(error.to_string()))
}

#[tokio::test]
async fn controllers_reconcile_what_they_own_and_finalize() {
    let world = World::start().await;
    let client = administrator(&world);
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let secrets: Api<Secret> = Api::default_namespaced(client.clone());
    let controller = Controller::new(maps.clone(), watcher::Config::default().labels("watched=yes"))
        .owns(secrets.clone(), watcher::Config::default())
        .run(
            reconcile,
            |_, _, _| Action::requeue(Duration::from_millis(50)),
            Arc::new(Context { client }),
        );
    world
        .supervisor
        .spawn_until_cancelled("controller", controller.for_each(|_| std::future::ready(())));
    maps.create(&PostParams::default(), &map("owner", "yes")).await.unwrap();
    let owned = async || secrets.get("owner").await.map_err(|error| error.to_string());
    let first = until("the secret", &owned).await;
    assert_eq!(first.owner_references()[0].name, "owner");
    secrets.delete("owner", &DeleteParams::default()).await.unwrap();
    let again = until("the secret comes back", &owned).await;
    assert_ne!(first.uid(), again.uid());
    maps.delete("owner", &DeleteParams::default()).await.unwrap();
    until("the finalizer's work", async || {
        secrets
            .get("owner-was-deleted")
            .await
            .map_err(|error| error.to_string())
    })
    .await;
    until("the end", async || match maps.get_opt("owner").await {
        Ok(None) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_run_and_ports_are_forwarded() {
    let world = World::start().await;
    let agent = agent(&world).await;
    pod_on_node(&world, agent).await;
    let pods: Api<Pod> = Api::default_namespaced(administrator(&world));
    let attach = AttachParams::default().container("main").stdin(true).stderr(true);
    let mut running = pods.exec("p", ["say", "7"], &attach).await.unwrap();
    let mut stdin = running.stdin().unwrap();
    stdin.write_all(b"typed in").await.unwrap();
    stdin.shutdown().await.unwrap();
    drop(stdin);
    let (mut said, mut complaint) = (String::new(), String::new());
    let status = running.take_status().unwrap();
    running.stdout().unwrap().read_to_string(&mut said).await.unwrap();
    running.stderr().unwrap().read_to_string(&mut complaint).await.unwrap();
    assert_eq!(
        (said.as_str(), complaint.as_str()),
        ("ran say 7 with \"typed in\"\n", "complaint\n")
    );
    let status = status.await.unwrap();
    assert_eq!(status.reason.as_deref(), Some("NonZeroExitCode"), "{status:?}");

    let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = behind.local_addr().unwrap().port();
    world.supervisor.spawn_until_cancelled("behind", async move {
        let (mut stream, _) = behind.accept().await.unwrap();
        let mut asked = [0; 4];
        stream.read_exact(&mut asked).await.unwrap();
        stream.write_all(&asked).await.unwrap();
    });
    let running = Patch::Merge(json!({"status": {"phase": "Running"}}));
    pods.patch_status("p", &PatchParams::default(), &running).await.unwrap();
    let mut forwarded = pods.portforward("p", &[port]).await.unwrap();
    let mut stream = forwarded.take_stream(port).unwrap();
    stream.write_all(b"echo").await.unwrap();
    let mut back = [0; 4];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"echo");
    world.stop().await;
}
