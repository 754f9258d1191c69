//! The end of an API server: not ready first, then no connections; what is being answered is answered.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ListParams, PostParams, WatchEvent, WatchParams};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::World;

const LIMIT: Duration = Duration::from_secs(30);

/// What the server answers on a connection of its own.
async fn ask(world: &World, path: &str) -> String {
    let mut stream = world.tls(&world.certificate("admin", &["system:masters"])).await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn an_ending_server_says_that_it_is_not_ready_before_it_takes_no_connections() {
    let world = World::start().await;
    assert!(ask(&world, "/readyz?verbose").await.contains("[+]shutdown ok"));
    let asked = async {
        let unready = supervision::wait_until("not ready", LIMIT, async || {
            let answer = ask(&world, "/readyz").await;
            let said = answer.starts_with("HTTP/1.1 500") && answer.contains("[-]shutdown failed: reason withheld\n");
            if said { Ok(()) } else { Err(answer) }
        });
        unready.await.unwrap();
        assert!(ask(&world, "/livez").await.starts_with("HTTP/1.1 200"));
    };
    // The balancer in front has this long to look.
    let delay = Duration::from_secs(8);
    let (report, ()) = futures::join!(world.api.shut_down(delay, LIMIT), asked);
    assert!(report.is_clean());
    assert!(TcpStream::connect(world.address).await.is_err());
    // Components in this process go on.
    let (code, _) = world.json("GET", "/api/v1/namespaces/default", "").await;
    assert_eq!(code, 200);
    world.stop().await;
}

#[tokio::test]
async fn a_request_that_is_on_its_way_is_answered_and_its_connection_closed() {
    let world = World::start().await;
    let mut stream = world.tls(&world.certificate("admin", &["system:masters"])).await;
    let body = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#;
    let head = format!(
        "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body when it has begun with the request.
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).await.unwrap();
    assert!(asked.starts_with(b"HTTP/1.1 100 Continue"));
    let rest = async {
        let closed = supervision::wait_until("no connections", LIMIT, async || {
            match TcpStream::connect(world.address).await {
                Ok(_) => Err("there is one"),
                Err(_refused) => Ok(()),
            }
        });
        closed.await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let (report, answer) = futures::join!(world.api.shut_down(Duration::ZERO, LIMIT), rest);
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    assert!(report.is_clean());
    world.stop().await;
}

#[tokio::test]
async fn watches_end_cleanly_with_the_server() {
    let world = World::start().await;
    let client = world.client(&world.certificate("admin", &["system:masters"]));
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let mut events = Box::pin(maps.watch(&WatchParams::default(), "0").await.unwrap());
    let rest = async { while events.try_next().await.unwrap().is_some() {} };
    let (report, rest) = futures::join!(
        world.api.shut_down(Duration::ZERO, LIMIT),
        tokio::time::timeout(LIMIT, rest)
    );
    rest.unwrap();
    assert!(report.is_clean());
    world.stop().await;
}

/// Creates objects one after the other until the server is gone; answers the names of those that it acknowledged.
async fn write(maps: Api<ConfigMap>, writer: usize) -> BTreeSet<String> {
    let mut acknowledged = BTreeSet::new();
    for number in 0.. {
        let name = format!("w{writer}-{number}");
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        };
        match maps.create(&PostParams::default(), &map).await {
            Ok(_) => drop(acknowledged.insert(name)),
            Err(kube::Error::Api(refusal)) => panic!("a server that ends refuses nothing: {refusal:?}"),
            Err(_gone) => break,
        }
    }
    acknowledged
}

/// The names that a watch shows until its server ends it, which is no error.
async fn watch(maps: Api<ConfigMap>) -> BTreeSet<String> {
    let mut events = Box::pin(maps.watch(&WatchParams::default(), "0").await.unwrap());
    let mut seen = BTreeSet::new();
    while let Some(event) = events.try_next().await.unwrap() {
        match event {
            WatchEvent::Added(map) => drop(seen.insert(map.metadata.name.unwrap())),
            other => panic!("{other:?}"),
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_under_load_answers_all_that_it_has_done() {
    let world = World::start().await;
    let identity = world.certificate("admin", &["system:masters"]);
    let maps = || -> Api<ConfigMap> { Api::namespaced(world.client(&identity), "default") };
    let writers = futures::future::join_all((0..8).map(|writer| write(maps(), writer)));
    let ending = async {
        // All of them are in the middle of it then.
        let begun = supervision::wait_until("a hundred objects", LIMIT, async || {
            let listed = maps().list(&ListParams::default()).await;
            let listed = listed.map_err(|error| error.to_string())?.items.len();
            if listed < 100 { Err(listed.to_string()) } else { Ok(()) }
        });
        begun.await.unwrap();
        world.api.shut_down(Duration::ZERO, LIMIT).await
    };
    let all = async { futures::join!(writers, watch(maps()), ending) };
    let (acknowledged, seen, report) = tokio::time::timeout(LIMIT * 3, all).await.unwrap();
    assert!(report.is_clean());
    let acknowledged: BTreeSet<String> = acknowledged.into_iter().flatten().collect();
    let (_, listed) = world.json("GET", "/api/v1/namespaces/default/configmaps", "").await;
    let names = listed["items"].as_array().unwrap().iter();
    let stored: BTreeSet<String> = names
        .map(|map| map["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(acknowledged, stored, "what was done was answered, and the reverse");
    assert!(seen.is_subset(&stored) && seen.len() >= 100, "{} were seen", seen.len());
    world.stop().await;
}
