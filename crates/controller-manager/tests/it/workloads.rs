//! From what a user applies to what runs, and back to nothing.

use std::time::Instant;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, Event, Namespace, Pod, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube_types::ObjectKey;
use kube_types::dynamic::Object;
use serde::de::DeserializeOwned;

use crate::cluster::{Cluster, eventually};

fn parse<K: DeserializeOwned + k8s_openapi::Resource>(yaml: &str) -> K {
    serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{error} in {yaml}"))
}

fn deployment(replicas: i32) -> Deployment {
    parse(&format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: default}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers: [{{name: web, image: 'nginx:latest', ports: [{{containerPort: 80}}]}}]
"
    ))
}

fn service() -> Service {
    parse(
        "apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}
",
    )
}

/// The deployment once all of its `wanted` pods are updated and available.
async fn available(cluster: &Cluster, wanted: i32) -> Deployment {
    let deployments: Api<Deployment> = cluster.api("default");
    eventually("the deployment is available", || async {
        let deployment = deployments.get("web").await.expect("the deployment is there");
        let status = deployment.status.clone().unwrap_or_default();
        let counts = (status.replicas, status.updated_replicas, status.available_replicas);
        let observed = status.observed_generation == deployment.metadata.generation;
        if counts == (Some(wanted), Some(wanted), Some(wanted)) && observed {
            Ok(deployment)
        } else {
            Err(status)
        }
    })
    .await
}

async fn addresses(cluster: &Cluster, wanted: usize) {
    let slices: Api<EndpointSlice> = cluster.api("default");
    let of_web = ListParams::default().labels("kubernetes.io/service-name=web");
    eventually("the slices hold the ready pods", || async {
        let slices = slices.list(&of_web).await.expect("slices are listed").items;
        let endpoints = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten());
        let ready = endpoints.filter(|endpoint| endpoint.conditions.as_ref().and_then(|c| c.ready) == Some(true));
        let found = ready.count();
        if found == wanted { Ok(()) } else { Err(slices) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_runs_scales_rolls_and_goes() {
    let cluster = Cluster::start().await;
    cluster.add_node("node-a", "ap-northeast-2a").await;
    cluster.add_node("node-b", "ap-northeast-2b").await;
    let start = Instant::now();
    let deployments: Api<Deployment> = cluster.api("default");
    let services: Api<Service> = cluster.api("default");
    deployments
        .create(&PostParams::default(), &deployment(3))
        .await
        .expect("the deployment is accepted");
    services
        .create(&PostParams::default(), &service())
        .await
        .expect("the service is accepted");
    let completed = available(&cluster, 3).await;
    addresses(&cluster, 3).await;
    println!("deployment of 3 to ready endpoints: {:?}", start.elapsed());
    assert_eq!(
        completed.metadata.annotations.expect("annotations")["deployment.kubernetes.io/revision"],
        "1"
    );
    let endpoints: Api<Endpoints> = cluster.api("default");
    assert_eq!(
        endpoints
            .get("web")
            .await
            .expect("endpoints")
            .subsets
            .expect("subsets")
            .len(),
        1
    );
    let balanced = eventually("the balancer has a name", || async {
        let service = services.get("web").await.expect("the service is there");
        let status = service.status.clone().and_then(|status| status.load_balancer?.ingress);
        status
            .and_then(|ingress| ingress[0].hostname.clone())
            .ok_or(service.status)
    });
    assert!(balanced.await.ends_with(".ap-northeast-2.elb.localhost"));

    let scale = |replicas: i32| Patch::Merge(parse_patch(&format!("spec: {{replicas: {replicas}}}")));
    for wanted in [10, 1] {
        deployments
            .patch("web", &PatchParams::default(), &scale(wanted))
            .await
            .expect("it is scaled");
        available(&cluster, wanted).await;
        addresses(&cluster, usize::try_from(wanted).expect("a count")).await;
    }
    let image = "spec: {template: {spec: {containers: [{name: web, image: 'nginx:1.27'}]}}}";
    deployments
        .patch("web", &PatchParams::default(), &Patch::Merge(parse_patch(image)))
        .await
        .expect("it is rolled");
    let rolled = eventually("the rollout completes", || async {
        let deployment = available(&cluster, 1).await;
        let revision = deployment.metadata.annotations.clone().unwrap_or_default();
        let revision = revision.get("deployment.kubernetes.io/revision").cloned();
        if revision.as_deref() == Some("2") {
            Ok(deployment)
        } else {
            Err(revision)
        }
    });
    rolled.await;
    let sets: Api<ReplicaSet> = cluster.api("default");
    assert_eq!(
        sets.list(&ListParams::default())
            .await
            .expect("sets are listed")
            .items
            .len(),
        2
    );
    let key = ObjectKey::namespaced("default", "web");
    let explained = cluster.manager.explain(plan::Kind::Deployment, &key);
    assert!(
        explained.iter().all(|explained| explained.plan.steps.is_empty()),
        "nothing is left to do: {explained:?}"
    );
    let events: Api<Event> = cluster.api("default");
    eventually("the scaling is told", || async {
        let events = events
            .list(&ListParams::default())
            .await
            .expect("events are listed")
            .items;
        let told = events
            .iter()
            .any(|event| event.reason.as_deref() == Some("ScalingReplicaSet"));
        if told { Ok(()) } else { Err(events.len()) }
    })
    .await;

    deployments
        .delete("web", &DeleteParams::default())
        .await
        .expect("the deployment is deleted");
    let pods: Api<Pod> = cluster.api("default");
    eventually("sets and pods are collected", || async {
        let sets = sets
            .list(&ListParams::default())
            .await
            .expect("sets are listed")
            .items
            .len();
        let pods = pods
            .list(&ListParams::default())
            .await
            .expect("pods are listed")
            .items
            .len();
        if (sets, pods) == (0, 0) {
            Ok(())
        } else {
            Err((sets, pods))
        }
    })
    .await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_is_furnished_and_emptied() {
    let cluster = Cluster::start().await;
    cluster.add_node("node-a", "ap-northeast-2a").await;
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let shop = parse("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n");
    namespaces
        .create(&PostParams::default(), &shop)
        .await
        .expect("the namespace is accepted");
    let accounts: Api<ServiceAccount> = cluster.api("shop");
    let maps: Api<ConfigMap> = cluster.api("shop");
    eventually("the namespace is furnished", || async {
        let account = accounts.get_opt("default").await.expect("accounts are read");
        let map = maps.get_opt("kube-root-ca.crt").await.expect("maps are read");
        match (account, map) {
            (Some(_), Some(map)) => Ok(map),
            missing => Err(missing),
        }
    })
    .await;
    let agent: DaemonSet = parse(
        "apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: shop}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: agent, image: 'agent:1'}]}
",
    );
    let agents: Api<DaemonSet> = cluster.api("shop");
    agents
        .create(&PostParams::default(), &agent)
        .await
        .expect("the daemon set is accepted");
    eventually("the agent runs", || async {
        let status = agents
            .get("agent")
            .await
            .expect("the daemon set is there")
            .status
            .unwrap_or_default();
        if status.number_available == Some(1) {
            Ok(())
        } else {
            Err(status)
        }
    })
    .await;
    namespaces
        .delete("shop", &DeleteParams::default())
        .await
        .expect("the namespace is deleted");
    eventually("the namespace is gone", || async {
        namespaces
            .get_opt("shop")
            .await
            .expect("namespaces are read")
            .map_or(Ok(()), |left| Err(left.status))
    })
    .await;
    cluster.stop().await;
}

fn parse_patch(yaml: &str) -> Object {
    serde_saphyr::from_str(yaml).expect("a patch")
}
