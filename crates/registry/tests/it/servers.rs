//! Several API servers on one store: each sees what the others write, and nothing is given out or written twice.

use std::collections::BTreeSet;

use kube_types::dynamic::{Value, json};

use crate::world::World;

#[tokio::test]
async fn a_write_on_one_server_reaches_watches_and_reads_on_the_other() {
    let one = World::new().await;
    let other = one.another().await;
    let mut events = other.watch("v1/configmaps/default", "").await.unwrap();
    let made = one
        .create("v1/configmaps/default", json!({"metadata": {"name": "a"}}))
        .await
        .unwrap();
    assert_eq!(other.get("v1/configmaps/default/a").await.unwrap(), made);
    assert_eq!(events.next().await, ("ADDED".to_owned(), made));
    let changed = other
        .patch("v1/configmaps/default/a", json!({"data": {"k": "v"}}))
        .await
        .unwrap();
    assert_eq!(one.get("v1/configmaps/default/a").await.unwrap(), changed);
    one.delete("v1/configmaps/default/a", "").await.unwrap();
    assert_eq!(events.next().await.0, "MODIFIED");
    assert_eq!(events.next().await.0, "DELETED");
}

#[tokio::test]
async fn no_update_is_lost_between_servers() {
    const ROUNDS: usize = 15;
    let one = World::new().await;
    let other = one.another().await;
    let map = json!({"metadata": {"name": "counter"}, "data": {"n": "0"}});
    one.create("v1/configmaps/default", map).await.unwrap();
    let count = async |world: &World| {
        for _ in 0..ROUNDS {
            loop {
                let mut map = world.get("v1/configmaps/default/counter").await.unwrap();
                let n: usize = map["data"]["n"].as_str().unwrap().parse().unwrap();
                map["data"]["n"] = (n + 1).to_string().into();
                match world.update("v1/configmaps/default/counter", map).await {
                    Ok(_) => break,
                    Err(error) => assert!(error.is_conflict(), "{error}"),
                }
            }
        }
    };
    futures::join!(count(&one), count(&other), count(&one));
    let map = other.get("v1/configmaps/default/counter").await.unwrap();
    assert_eq!(map["data"]["n"], (3 * ROUNDS).to_string());
}

#[tokio::test]
async fn addresses_and_node_ports_stay_unique_between_servers() {
    let one = World::new().await;
    let other = one.another().await;
    let service =
        |name: String| json!({"metadata": {"name": name}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
    let create = async |world: &World, of: &str| {
        let mut made: Vec<Value> = Vec::new();
        for number in 0..10 {
            made.push(
                world
                    .create("v1/services/default", service(format!("{of}{number}")))
                    .await
                    .unwrap(),
            );
        }
        made
    };
    let made = futures::join!(create(&one, "a"), create(&other, "b"), create(&one, "c"));
    let made: Vec<Value> = [made.0, made.1, made.2].concat();
    let addresses: BTreeSet<&str> = made
        .iter()
        .map(|made| made["spec"]["clusterIP"].as_str().unwrap())
        .collect();
    let ports: BTreeSet<u64> = made
        .iter()
        .map(|made| made["spec"]["ports"][0]["nodePort"].as_u64().unwrap())
        .collect();
    assert_eq!((addresses.len(), ports.len()), (30, 30));
}
