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

pub fn parse<K: DeserializeOwned + k8s_openapi::Resource>(yaml: &str) -> K {
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

/// What users watch of a workload, in the namespace `default`.
struct Apis {
    deployments: Api<Deployment>,
    services: Api<Service>,
    sets: Api<ReplicaSet>,
    pods: Api<Pod>,
    events: Api<Event>,
    endpoints: Api<Endpoints>,
}

impl Apis {
    fn of(cluster: &Cluster) -> Self {
        Self {
            deployments: cluster.api("default"),
            services: cluster.api("default"),
            sets: cluster.api("default"),
            pods: cluster.api("default"),
            events: cluster.api("default"),
            endpoints: cluster.api("default"),
        }
    }

    async fn patch(&self, yaml: &str) {
        let patch = Patch::Merge(parse_patch(yaml));
        let patched = self.deployments.patch("web", &PatchParams::default(), &patch).await;
        patched.expect("the deployment is patched");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_logs_of_scheduler_and_controllers_tell_what_they_do() {
    let cluster = Cluster::start().await;
    cluster.add_node("node-a", "ap-northeast-2a").await;
    let apis = Apis::of(&cluster);
    let made = apis.deployments.create(&PostParams::default(), &deployment(2)).await;
    made.expect("the deployment is made");
    available(&cluster, 2).await;
    let too_large = "spec: {template: {spec: {containers: [{name: web, image: 'nginx:latest', resources: {requests: {cpu: '64'}}}]}}}";
    apis.patch(too_large).await;
    let wanted = [
        r#""Started controller" controller="deployment-controller""#,
        r#""Event occurred" object="default/web" fieldPath="" kind="Deployment" apiVersion="apps/v1" type="Normal" reason="ScalingReplicaSet""#,
        r#""Too few replicas" logger="replicaset-controller" replicaSet="default/web-"#,
        r#""Successfully bound pod to node" pod="default/web-"#,
        r#"node="node-a" evaluatedNodes=1 feasibleNodes=1"#,
        r#""Unable to schedule pod; no fit; waiting" pod="default/web-"#,
    ];
    eventually("everything is said", || async {
        let missing: Vec<&str> = wanted.into_iter().filter(|text| !cluster.said.has(text)).collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err((missing, cluster.said.lines()))
        }
    })
    .await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::too_many_lines, reason = "one story, in order")]
async fn a_deployment_runs_scales_rolls_and_goes() {
    let cluster = Cluster::start().await;
    cluster.add_node("node-a", "ap-northeast-2a").await;
    cluster.add_node("node-b", "ap-northeast-2b").await;
    let apis = Apis::of(&cluster);
    deploy(&cluster, &apis).await;
    for wanted in [10_usize, 1] {
        apis.patch(&format!("spec: {{replicas: {wanted}}}")).await;
        available(&cluster, i32::try_from(wanted).expect("a count")).await;
        addresses(&cluster, wanted).await;
    }
    roll(&cluster, &apis).await;
    nothing_is_left_to_do(&cluster).await;
    remove(&apis).await;
    cluster.stop().await;
}

async fn deploy(cluster: &Cluster, apis: &Apis) {
    let start = Instant::now();
    let params = PostParams::default();
    apis.deployments
        .create(&params, &deployment(3))
        .await
        .expect("the deployment is accepted");
    apis.services
        .create(&params, &service())
        .await
        .expect("the service is accepted");
    let completed = available(cluster, 3).await;
    addresses(cluster, 3).await;
    println!("deployment of 3 to ready endpoints: {:?}", start.elapsed());
    assert_eq!(
        completed.metadata.annotations.expect("annotations")["deployment.kubernetes.io/revision"],
        "1"
    );
    let endpoints = apis.endpoints.get("web").await.expect("endpoints");
    assert_eq!(endpoints.subsets.expect("subsets").len(), 1);
    let hostname = eventually("the balancer has a name", || async {
        let service = apis.services.get("web").await.expect("the service is there");
        let ingress = service.status.clone().and_then(|status| status.load_balancer?.ingress);
        ingress
            .and_then(|ingress| ingress[0].hostname.clone())
            .ok_or(service.status)
    });
    assert!(hostname.await.ends_with(".ap-northeast-2.elb.localhost"));
}

async fn roll(cluster: &Cluster, apis: &Apis) {
    apis.patch("spec: {template: {spec: {containers: [{name: web, image: 'nginx:1.27'}]}}}")
        .await;
    eventually("the rollout completes", || async {
        let annotations = available(cluster, 1).await.metadata.annotations.unwrap_or_default();
        let revision = annotations.get("deployment.kubernetes.io/revision").cloned();
        if revision.as_deref() == Some("2") {
            Ok(())
        } else {
            Err(revision)
        }
    })
    .await;
    assert_eq!(
        apis.sets
            .list(&ListParams::default())
            .await
            .expect("sets are listed")
            .items
            .len(),
        2
    );
    eventually("the scaling is told", || async {
        let events = apis
            .events
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
}

/// A loop that goes on writing would keep its plans from being empty.
async fn nothing_is_left_to_do(cluster: &Cluster) {
    let web = ObjectKey::namespaced("default", "web");
    let subjects = [
        (plan::Kind::Deployment, web.clone()),
        (plan::Kind::Service, web),
        (plan::Kind::Namespace, ObjectKey::cluster("default")),
        (plan::Kind::Node, ObjectKey::cluster("node-a")),
    ];
    eventually("nothing is left to do", || async {
        let plans = subjects
            .iter()
            .flat_map(|(kind, key)| cluster.manager.explain(*kind, key));
        let busy: Vec<_> = plans.filter(|explained| !explained.plan.steps.is_empty()).collect();
        if busy.is_empty() { Ok(()) } else { Err(busy) }
    })
    .await;
}

async fn remove(apis: &Apis) {
    apis.deployments
        .delete("web", &DeleteParams::default())
        .await
        .expect("the deployment is deleted");
    eventually("sets and pods are collected", || async {
        let sets = apis
            .sets
            .list(&ListParams::default())
            .await
            .expect("sets are listed")
            .items
            .len();
        let pods = apis
            .pods
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
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::too_many_lines, reason = "one story, in order")]
async fn a_namespace_is_furnished_and_emptied() {
    let cluster = Cluster::start().await;
    cluster.add_node("node-a", "ap-northeast-2a").await;
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let shop = parse("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n");
    namespaces
        .create(&PostParams::default(), &shop)
        .await
        .expect("the namespace is accepted");
    furnished(&cluster, "shop").await;
    run_agent(&cluster).await;
    namespaces
        .delete("shop", &DeleteParams::default())
        .await
        .expect("the namespace is deleted");
    eventually("the namespace is gone", || async {
        let left = namespaces.get_opt("shop").await.expect("namespaces are read");
        left.map_or(Ok(()), |left| Err(left.status))
    })
    .await;
    cluster.stop().await;
}

/// Waits until the namespace has what controllers put into every namespace.
pub async fn furnished(cluster: &Cluster, namespace: &str) {
    let accounts: Api<ServiceAccount> = cluster.api(namespace);
    let maps: Api<ConfigMap> = cluster.api(namespace);
    eventually("the namespace is furnished", || async {
        let account = accounts.get_opt("default").await.expect("accounts are read");
        let map = maps.get_opt("kube-root-ca.crt").await.expect("maps are read");
        if account.is_some() && map.is_some() {
            Ok(())
        } else {
            Err((account, map))
        }
    })
    .await;
}

async fn run_agent(cluster: &Cluster) {
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
}

fn parse_patch(yaml: &str) -> Object {
    serde_saphyr::from_str(yaml).expect("a patch")
}
