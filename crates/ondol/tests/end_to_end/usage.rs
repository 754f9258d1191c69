//! What pods and nodes use, as `kubectl top` and autoscalers read it: through the API service of the metrics server.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

use std::net::Ipv4Addr;

use cluster_lifecycle::system_pods::{self, SystemAddon, SystemPodSettings};
use http::Request;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use serde::Deserialize;

use crate::simulated::Simulation;
use crate::support::{Ondol, PATIENCE, provisions, until};

#[derive(Debug, Deserialize)]
struct List {
    items: Vec<Item>,
}

#[derive(Debug, Deserialize)]
struct Item {
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Debug, Deserialize)]
struct Container {
    name: String,
    usage: Usage,
}

#[derive(Debug, Deserialize)]
struct Usage {
    cpu: String,
    memory: String,
}

/// Makes the objects of the add-on.
async fn install(client: &kube::Client) {
    let settings = SystemPodSettings {
        image: "ondol.local/system:test".to_owned(),
        api_address: Ipv4Addr::LOCALHOST,
        cluster_dns: Ipv4Addr::LOCALHOST,
    };
    for (gvk, object) in system_pods::objects(SystemAddon::MetricsServer, &settings).unwrap() {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(&gvk.group, &gvk.version, &gvk.kind));
        let api: Api<DynamicObject> = match object.namespace() {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
            None => Api::all_with(client.clone(), &kind),
        };
        let object: DynamicObject = serde_json::from_slice(&serde_json::to_vec(&object).unwrap()).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
    }
}

/// Reads a list of metrics until it is as it should be.
async fn metrics(client: &kube::Client, path: &str, is_so: impl Fn(&List) -> bool) -> List {
    let waited = supervision::wait_until("metrics", PATIENCE, async || {
        let request = Request::get(format!("/apis/metrics.k8s.io/v1beta1/{path}")).body(Vec::new());
        let said = client
            .request_text(request.unwrap())
            .await
            .map_err(|error| error.to_string())?;
        let list: List = serde_json::from_str(&said).map_err(|error| format!("{error}: {said}"))?;
        if is_so(&list) {
            Ok(list)
        } else {
            Err(format!("{list:?}"))
        }
    });
    waited.await.unwrap_or_else(|error| panic!("{error}"))
}

/// Pods that use two and a half times what they request, where half is wanted, become as many as may be.
async fn check_autoscaling(client: &kube::Client, deployments: &Api<Deployment>) {
    let text = r#"{"metadata":{"name":"web"},"spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment",
        "name":"web"},"minReplicas":1,"maxReplicas":4,"metrics":[{"type":"Resource","resource":{"name":"cpu",
        "target":{"type":"Utilization","averageUtilization":50}}}]}}"#;
    let autoscalers = Api::<HorizontalPodAutoscaler>::default_namespaced(client.clone());
    autoscalers
        .create(&PostParams::default(), &serde_json::from_str(text).unwrap())
        .await
        .unwrap();
    let waited = supervision::wait_until("more replicas", PATIENCE, async || {
        let web = deployments.get("web").await.map_err(|error| error.to_string())?;
        let status = autoscalers.get("web").await.map_err(|error| error.to_string())?.status;
        match web.spec.and_then(|spec| spec.replicas) {
            Some(4) => Ok(()),
            other => Err(format!("{other:?} {status:?}")),
        }
    });
    waited.await.unwrap_or_else(|error| panic!("{error}"));
}

/// With real nodes and the real kubectl: the metrics server is a pod of the built-in image.
#[tokio::test]
async fn kubectl_top_shows_nodes_and_containers() {
    let Some(provisions) = provisions() else { return };
    let ondol = Ondol::up(provisions);
    ondol.load_image("busybox");
    let file = ondol.example("cluster.yaml");
    ondol.run(["create", "cluster", "-f", &file]).ok();
    let addon = [
        "eks",
        "create-addon",
        "--cluster-name",
        "warm",
        "--addon-name",
        "metrics-server",
    ];
    ondol.aws(addon).ok();
    let busy = "while true; do true; done";
    let run = [
        "run",
        "busy",
        "--image=busybox",
        "--image-pull-policy=IfNotPresent",
        "--",
        "sh",
        "-c",
        busy,
    ];
    ondol.kubectl(run).ok();
    let is_busy = |line: &str| {
        let used: Vec<&str> = line.split_whitespace().collect();
        let milli = used.get(2).and_then(|cpu| cpu.strip_suffix('m')?.parse::<u32>().ok());
        used.starts_with(&["busy", "busy"]) && milli.is_some_and(|milli| milli > 50)
    };
    let top = ["top", "pod", "--containers", "--no-headers"];
    until(
        "a busy container",
        || ondol.kubectl(top),
        |said| said.lines().any(is_busy),
    )
    .await;
    let top = ["top", "node", "--no-headers"];
    until(
        "both nodes",
        || ondol.kubectl(top),
        |said| said.lines().count() == 2 && !said.contains("<unknown>"),
    )
    .await;
    let services = ["get", "apiservice", "v1beta1.metrics.k8s.io", "--no-headers"];
    let said = ondol.kubectl(services).ok();
    assert!(
        said.contains("kube-system/metrics-server") && said.contains("True"),
        "{said}"
    );
    ondol.down();
}

/// Two pods that say what they use.
const WEB: &str = r#"{"metadata":{"name":"web"},"spec":{"replicas":2,"selector":{"matchLabels":{"app":"web"}},
            "template":{"metadata":{"labels":{"app":"web"},"annotations":{"simulation.ondol.dev/cpu":"250m",
                "simulation.ondol.dev/memory":"64Mi"}},"spec":{"containers":[{"name":"web","image":"nginx",
                "resources":{"requests":{"cpu":"100m"}}}]}}}}"#;

#[test]
fn usage_of_simulated_pods_is_what_their_annotations_say() {
    let simulation = Simulation::new();
    simulation.up();
    simulation.ok(&[
        "create",
        "cluster",
        "--name",
        "s",
        "--nodes",
        "2",
        "--node-type",
        "t3.medium",
    ]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = simulation.client();
        install(&client).await;
        let deployments = Api::<Deployment>::default_namespaced(client.clone());
        deployments
            .create(&PostParams::default(), &serde_json::from_str(WEB).unwrap())
            .await
            .unwrap();
        let selected = "namespaces/default/pods?labelSelector=app%3Dweb";
        let pods = metrics(&client, selected, |list| list.items.len() == 2).await;
        for pod in &pods.items {
            let [container] = pod.containers.as_slice() else {
                panic!("{pod:?}")
            };
            assert_eq!(
                (container.name.as_str(), container.usage.memory.as_str()),
                ("web", "64Mi")
            );
            // Times are read on two sides of a call, so the rate is not quite what was said.
            let cpu = kube_types::quantity::parse(&container.usage.cpu).unwrap().milli();
            assert!((200..=300).contains(&cpu), "{pod:?}");
        }
        let used = |item: &Item| item.usage.as_ref().is_some_and(|usage| usage.memory != "0");
        metrics(&client, "nodes", |list| {
            list.items.len() == 2 && list.items.iter().any(used)
        })
        .await;
        check_autoscaling(&client, &deployments).await;
        let other = r#"{"spec":{"template":{"metadata":{"annotations":{"simulation.ondol.dev/memory":"128Mi"}}}}}"#;
        let other = serde_json::value::RawValue::from_string(other.to_owned()).unwrap();
        let patched = deployments
            .patch("web", &PatchParams::default(), &Patch::Merge(other))
            .await;
        patched.unwrap();
        // The autoscaler has made more of them by now.
        let is_changed = |item: &Item| item.containers.iter().all(|one| one.usage.memory == "128Mi");
        metrics(&client, selected, |list| {
            !list.items.is_empty() && list.items.iter().all(is_changed)
        })
        .await;
    });
    simulation.ok(&["delete", "cluster", "--name", "s"]);
    simulation.ok(&["down", "--purge"]);
}
