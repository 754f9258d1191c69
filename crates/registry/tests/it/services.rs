//! Addresses and ports of services, and the API's own service.

use kube_types::dynamic::{Value, json};

use crate::world::World;

fn service(name: &str, spec: Value) -> Value {
    json!({"metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn addresses_and_ports_are_given_kept_and_taken_back() {
    let world = World::new().await;
    let path = "v1/services/default/a";
    let made = world
        .create(
            "v1/services/default",
            service("a", json!({"type": "NodePort", "ports": [{"port": 80}]})),
        )
        .await
        .unwrap();
    let address = made["spec"]["clusterIP"].as_str().unwrap().to_owned();
    let port = made["spec"]["ports"][0]["nodePort"].as_u64().unwrap();
    assert!(address.starts_with("10.100."), "{address}");
    assert!((30000..=32767).contains(&port));
    assert_eq!(made["spec"]["clusterIPs"], json!([address]));
    let holder = world
        .get(&format!("networking.k8s.io/v1/ipaddresses/-/{address}"))
        .await
        .unwrap();
    assert_eq!(holder["spec"]["parentRef"]["name"], "a");

    let kept = world.update(
        path,
        service(
            "a",
            json!({"type": "NodePort", "ports": [{"port": 80}, {"port": 81, "name": "x"}]}),
        ),
    );
    assert!(
        kept.await
            .unwrap_err()
            .message()
            .contains("spec.ports[0].name: Required value")
    );
    let kept = world
        .update(path, service("a", json!({"type": "NodePort", "ports": [{"port": 80}]})))
        .await
        .unwrap();
    assert_eq!(
        (&kept["spec"]["clusterIP"], &kept["spec"]["ports"][0]["nodePort"]),
        (&json!(address), &json!(port))
    );

    let taken = world
        .create(
            "v1/services/default",
            service("b", json!({"clusterIP": address, "ports": [{"port": 80}]})),
        )
        .await
        .unwrap_err();
    assert_eq!(
        taken.message(),
        format!(
            r#"Service "b" is invalid: spec.clusterIPs: Invalid value: ["{address}"]: failed to allocate IP {address}: provided IP is already allocated"#
        )
    );
    let taken = world
        .create(
            "v1/services/default",
            service(
                "b",
                json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]}),
            ),
        )
        .await
        .unwrap_err();
    assert_eq!(
        taken.message(),
        format!(
            r#"Service "b" is invalid: spec.ports[0].nodePort: Invalid value: {port}: provided port is already allocated"#
        )
    );
    let outside = world
        .create(
            "v1/services/default",
            service(
                "b",
                json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}),
            ),
        )
        .await
        .unwrap_err();
    assert!(
        outside
            .message()
            .ends_with("provided port is not in the valid range. The range of valid ports is 30000-32767")
    );

    world.delete(path, "").await.unwrap();
    assert_eq!(
        world
            .get(&format!("networking.k8s.io/v1/ipaddresses/-/{address}"))
            .await
            .unwrap_err()
            .code(),
        404
    );
    let again = json!({"type": "NodePort", "clusterIP": address, "ports": [{"port": 80, "nodePort": port}]});
    world.create("v1/services/default", service("b", again)).await.unwrap();
}

#[tokio::test]
async fn a_service_changes_its_type() {
    let world = World::new().await;
    let path = "v1/services/default/a";
    let made = world
        .create(
            "v1/services/default",
            service("a", json!({"type": "LoadBalancer", "ports": [{"port": 80}]})),
        )
        .await
        .unwrap();
    assert!(made["spec"]["ports"][0]["nodePort"].is_u64());
    let inner = world.patch(path, json!({"spec": {"type": "ClusterIP"}})).await.unwrap();
    for field in ["externalTrafficPolicy", "allocateLoadBalancerNodePorts"] {
        assert_eq!(inner["spec"].get(field), None, "{field} means nothing to the new type");
    }
    assert_eq!(inner["spec"]["ports"][0].get("nodePort"), None);
    assert_eq!(inner["spec"]["clusterIP"], made["spec"]["clusterIP"]);
    let mut outer = inner.clone();
    outer["spec"] = json!({"type": "ExternalName", "externalName": "example.com"});
    let outer = world.update(path, outer).await.unwrap();
    assert_eq!(outer["spec"].get("clusterIP"), None);
    let address = made["spec"]["clusterIP"].as_str().unwrap();
    assert_eq!(
        world
            .get(&format!("networking.k8s.io/v1/ipaddresses/-/{address}"))
            .await
            .unwrap_err()
            .code(),
        404
    );
    let moved = world
        .patch(
            path,
            json!({"spec": {"type": "ClusterIP", "externalName": null, "ports": [{"port": 80}]}}),
        )
        .await
        .unwrap();
    assert!(moved["spec"]["clusterIP"].is_string());
    let fixed = world
        .patch(
            path,
            json!({"spec": {"clusterIP": "10.100.0.77", "clusterIPs": ["10.100.0.77"]}}),
        )
        .await
        .unwrap_err();
    assert!(fixed.message().contains("may not change once set"), "{fixed}");
}

#[tokio::test]
async fn many_writers_never_get_the_same_address() {
    let world = World::new().await;
    let made = futures::future::join_all((0..40).map(|index| {
        let world = &world;
        async move {
            let spec = json!({"type": "NodePort", "ports": [{"port": 80}]});
            world
                .create("v1/services/default", service(&format!("s{index}"), spec))
                .await
                .unwrap()
        }
    }))
    .await;
    let distinct = |pick: fn(&Value) -> String| made.iter().map(pick).collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!(distinct(|s| s["spec"]["clusterIP"].to_string()), 40);
    assert_eq!(distinct(|s| s["spec"]["ports"][0]["nodePort"].to_string()), 40);
}

#[tokio::test]
async fn headless_services_have_no_address() {
    let world = World::new().await;
    let made = world
        .create(
            "v1/services/default",
            service("h", json!({"clusterIP": "None", "selector": {"a": "b"}})),
        )
        .await
        .unwrap();
    assert_eq!(made["spec"]["clusterIPs"], json!(["None"]));
}

#[tokio::test]
async fn the_apis_own_service_is_made_again() {
    let world = World::new().await;
    let service = world.get("v1/services/default/kubernetes").await.unwrap();
    assert_eq!(service["spec"]["clusterIP"], "10.100.0.1");
    let endpoints = world.get("v1/endpoints/default/kubernetes").await.unwrap();
    assert_eq!(endpoints["subsets"][0]["addresses"][0]["ip"], "192.168.0.10");
    let slice = world
        .get("discovery.k8s.io/v1/endpointslices/default/kubernetes")
        .await
        .unwrap();
    assert_eq!(slice["endpoints"][0]["addresses"], json!(["192.168.0.10"]));
    let version = service["metadata"]["resourceVersion"].as_str().unwrap();
    let mut events = world
        .watch("v1/services/default", &format!("resourceVersion={version}"))
        .await
        .unwrap();
    world.delete("v1/services/default/kubernetes", "").await.unwrap();
    assert_eq!(events.next().await.0, "DELETED");
    let (kind, again) = events.next().await;
    assert_eq!(
        (kind.as_str(), &again["spec"]["clusterIP"]),
        ("ADDED", &json!("10.100.0.1"))
    );
}
