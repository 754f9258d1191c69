//! Seeded random traffic of several clients on two API servers of one cluster, checked against a model: what was
//! acknowledged is there, exactly; what was refused is not; watches tell every revision in order; lists are consistent;
//! and all of it after the servers went and came again.
//!
//! `ONDOL_TRAFFIC_SECONDS` says how long (a few seconds otherwise), `ONDOL_TRAFFIC_SEED` repeats the choices of a run.

mod client;
mod object;
mod requests;
mod shared;
mod watcher;

use std::time::{Duration, Instant};

use clock::{Random, SeededRandom, SystemRandom};
use futures::future::join_all;
use kube_types::dynamic::{Value, json};

use self::client::Client;
use self::requests::Server;
use self::shared::Shared;
use self::watcher::Watcher;
use crate::world::World;

const NAMESPACE: &str = "traffic";
const CLIENTS: usize = 4;
/// What each client does between two checks of everything.
const OPERATIONS: usize = 60;
/// The servers go and come again after so many rounds.
const ROUNDS_BETWEEN_RESTARTS: usize = 3;
/// How long watchers may take to hear of the last write.
const LIMIT: Duration = Duration::from_secs(120);

/// A collection that the model knows, and the field that holds its objects' texts.
pub struct Collection {
    pub path: &'static str,
    pub api_version: &'static str,
    pub kind: &'static str,
    pub payload: &'static str,
    /// Custom resources have no strategic merge patch, and count the changes of their payload.
    pub custom: bool,
}

pub const COLLECTIONS: &[Collection] = &[
    Collection {
        path: "/api/v1/namespaces/traffic/configmaps",
        api_version: "v1",
        kind: "ConfigMap",
        payload: "data",
        custom: false,
    },
    Collection {
        path: "/apis/traffic.example.com/v1/namespaces/traffic/notes",
        api_version: "traffic.example.com/v1",
        kind: "Note",
        payload: "spec",
        custom: true,
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_traffic_leaves_what_the_model_says() {
    let seconds = number("ONDOL_TRAFFIC_SECONDS").unwrap_or(4);
    let seed = number("ONDOL_TRAFFIC_SEED").unwrap_or_else(|| SystemRandom.below(u64::MAX));
    println!("ONDOL_TRAFFIC_SEED={seed}");
    let end = Instant::now() + Duration::from_secs(seconds);
    let random = SeededRandom::new(seed);
    let mut world = World::start().await;
    prepare(&world).await;
    let shared = Shared::default();
    let mut clients: Vec<Client> = (0..CLIENTS)
        .map(|number| Client::new(number, random.below(u64::MAX)))
        .collect();
    let mut watchers = Watcher::all();
    let mut round = 0;
    while round == 0 || Instant::now() < end {
        let another = world.another().await;
        let servers = [Server(&world), Server(&another)];
        for _ in 0..ROUNDS_BETWEEN_RESTARTS {
            round += 1;
            play(&servers, &mut clients, &mut watchers, &shared).await;
            if random.below(3) == 0 {
                compact(&world).await;
            }
        }
        another.supervisor.drain(Duration::from_secs(10)).await;
        drop(another);
        world = world.restart().await;
        println!("{round} rounds, {} writes", shared.written());
    }
    world.stop().await;
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// The namespace, the definition of notes, and the objects that all clients write.
async fn prepare(world: &World) {
    let server = Server(world);
    let namespace = json!({"metadata": {"name": NAMESPACE}});
    assert_eq!(server.send("POST", "/api/v1/namespaces", &namespace).await.code, 201);
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object",
        "additionalProperties": {"type": "string"}}}});
    let definition = json!({"metadata": {"name": "notes.traffic.example.com"}, "spec": {
        "group": "traffic.example.com", "scope": "Namespaced", "names": {"plural": "notes", "kind": "Note"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}});
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    assert_eq!(server.send("POST", definitions, &definition).await.code, 201);
    let served = || async {
        let list = server.get(COLLECTIONS[1].path).await;
        if list.code == 200 {
            Ok(())
        } else {
            Err(list.body.to_string())
        }
    };
    supervision::wait_until("notes are served", LIMIT, served)
        .await
        .unwrap();
    shared::make(&server).await;
}

/// One round: every client does its share while the watchers follow; then everything is compared.
async fn play(servers: &[Server<'_>; 2], clients: &mut [Client], watchers: &mut [Watcher], shared: &Shared) {
    for (index, watcher) in watchers.iter_mut().enumerate() {
        watcher.begin(&servers[index % 2], shared).await;
    }
    let work = clients.iter_mut().map(|client| async move {
        for _ in 0..OPERATIONS {
            client.act(servers, shared).await;
        }
    });
    let working = join_all(work);
    let following = join_all(watchers.iter_mut().map(|watcher| watcher.follow(&servers[0], shared)));
    let working = async {
        working.await;
        shared.rest();
    };
    futures::join!(working, following);
    for client in clients.iter_mut() {
        client.check_all(&servers[0]).await;
        client.check_all(&servers[1]).await;
    }
    shared.check(&servers[1]).await;
}

/// Forgets history, as the servers do now and then.
async fn compact(world: &World) {
    let revision = world.store.revision().await.unwrap();
    match world.store.compact(revision).await {
        Ok(()) | Err(store::StoreError::Compacted { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// The texts of a map of texts; none when it is absent.
pub fn texts(value: &Value) -> std::collections::BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}
