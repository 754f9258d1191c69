//! eksctl's commands down to what they leave in Kubernetes, and Fargate's pods with their nodes.

use k8s_openapi::api::core::v1::{Event, Namespace, Node, Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, PostParams};

use super::Simulation;
use crate::support::PATIENCE;

const POLICY: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";

#[track_caller]
fn run(simulation: &Simulation, line: &str) -> String {
    simulation.ok(&line.split(' ').collect::<Vec<_>>())
}

fn pod(name: &str, host_network: bool) -> Pod {
    let text = format!(
        r#"{{"metadata":{{"name":"{name}"}},"spec":{{"hostNetwork":{host_network},"containers":[
            {{"name":"c","image":"nginx","resources":{{"requests":{{"cpu":"300m","memory":"300Mi"}}}}}}]}}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

async fn fargate_nodes(client: &kube::Client) -> Vec<Node> {
    let fargate = ListParams::default().labels("eks.amazonaws.com/compute-type=fargate");
    Api::<Node>::all(client.clone()).list(&fargate).await.unwrap().items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_leave_in_kubernetes_what_eksctl_leaves() {
    let simulation = Simulation::new();
    simulation.up();
    run(
        &simulation,
        "create cluster s --nodes 2 --node-type t3.medium --nodegroup-name workers --with-oidc",
    );
    let client = simulation.client();

    let app = "--cluster s --name app --namespace web";
    run(
        &simulation,
        &format!("create iamserviceaccount {app} --attach-policy-arn {POLICY} --approve"),
    );
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), "web");
    let account = accounts.get("app").await.unwrap();
    let role = account.metadata.annotations.unwrap()["eks.amazonaws.com/role-arn"].clone();
    assert!(role.starts_with("arn:aws:iam::"), "{role}");
    assert_eq!(
        account.metadata.labels.unwrap()["app.kubernetes.io/managed-by"],
        "eksctl"
    );
    assert!(run(&simulation, "get iamserviceaccount --cluster s").contains(&role));
    run(&simulation, &format!("delete iamserviceaccount {app}"));
    assert!(accounts.get_opt("app").await.unwrap().is_none());

    map_and_drain(&simulation, &client).await;
    run(&simulation, "delete cluster s");
}

async fn map_and_drain(simulation: &Simulation, client: &kube::Client) {
    let ops = "arn:aws:iam::000000000000:role/ops";
    run(
        simulation,
        &format!("create iamidentitymapping --cluster s --arn {ops} --username ops --group system:masters"),
    );
    let listed = run(simulation, "get iamidentitymapping --cluster s");
    assert!(
        listed.contains("ops\t") && listed.contains("system:masters"),
        "{listed}"
    );
    run(
        simulation,
        &format!("delete iamidentitymapping --cluster s --arn {ops}"),
    );

    run(simulation, "drain nodegroup --cluster s --name workers");
    let nodes = Api::<Node>::all(client.clone())
        .list(&ListParams::default())
        .await
        .unwrap();
    let cordoned = |node: &Node| node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
    assert!(nodes.items.iter().all(cordoned));
    run(simulation, "drain nodegroup --cluster s --name workers --undo");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_of_a_fargate_profile_has_a_node_of_its_own_as_long_as_it_is_there() {
    let simulation = Simulation::new();
    simulation.up();
    run(&simulation, "create cluster s --without-nodegroup");
    run(
        &simulation,
        "create fargateprofile --cluster s --name fp --namespace serverless",
    );
    let client = simulation.client();
    let namespace: Namespace = serde_json::from_str(r#"{"metadata":{"name":"serverless"}}"#).unwrap();
    Api::all(client.clone())
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let pods = Api::<Pod>::namespaced(client.clone(), "serverless");
    // The namespace's service account is there a moment after the namespace.
    let made = supervision::wait_until("a pod can be made", PATIENCE, async || {
        let made = pods.create(&PostParams::default(), &pod("web", false)).await;
        made.map(drop).map_err(|error| error.to_string())
    });
    made.await.unwrap();
    check_running(&simulation, &client, &pods).await;
    pods.create(&PostParams::default(), &pod("host", true)).await.unwrap();
    check_refused(&client).await;

    pods.delete("web", &DeleteParams::default()).await.unwrap();
    let gone = supervision::wait_until("the node goes", PATIENCE, async || {
        let nodes = fargate_nodes(&client).await;
        if nodes.is_empty() {
            Ok(())
        } else {
            Err(format!("{} nodes", nodes.len()))
        }
    });
    gone.await.unwrap();
    run(&simulation, "delete fargateprofile --cluster s --name fp --wait");
    run(&simulation, "delete cluster s");
}

async fn check_running(simulation: &Simulation, client: &kube::Client, pods: &Api<Pod>) {
    let running = supervision::wait_until("the pod runs", PATIENCE, async || {
        let pod = pods.get("web").await.map_err(|error| error.to_string())?;
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.clone())
            .unwrap_or_default();
        if phase == "Running" {
            Ok(pod)
        } else {
            Err(format!("{phase}\n{}", simulation.log()))
        }
    });
    let running = running.await.unwrap();
    let node = running.spec.unwrap().node_name.unwrap();
    assert!(
        node.starts_with("fargate-ip-192-168-") && node.ends_with(".ap-northeast-2.compute.internal"),
        "{node}"
    );
    assert_eq!(
        running.metadata.annotations.unwrap()["CapacityProvisioned"],
        "0.5vCPU 1GB"
    );
    let nodes = fargate_nodes(client).await;
    assert_eq!(nodes.len(), 1);
    let taints = nodes[0].spec.as_ref().unwrap().taints.clone().unwrap();
    assert!(
        taints
            .iter()
            .any(|taint| taint.key == "eks.amazonaws.com/compute-type" && taint.effect == "NoSchedule")
    );
}

async fn check_refused(client: &kube::Client) {
    let events = Api::<Event>::namespaced(client.clone(), "serverless");
    let refused = supervision::wait_until("the pod is refused", PATIENCE, async || {
        let listed = events
            .list(&ListParams::default())
            .await
            .map_err(|error| error.to_string())?;
        let said: Vec<String> = listed.items.into_iter().filter_map(|event| event.message).collect();
        let wanted = "Pod not supported on Fargate: fields not supported: HostNetwork";
        if said.iter().any(|message| message == wanted) {
            Ok(())
        } else {
            Err(format!("{said:?}"))
        }
    });
    refused.await.unwrap();
}
