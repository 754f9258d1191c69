//! Server-side apply by the real kubectl and Helm, when they are on `PATH`.

use crate::kubectl::Kubectl;
use crate::world::World;

const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: nginx, image: "nginx:1", ports: [{containerPort: 80}]}, {name: side, image: "side:1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 53, name: a}, {port: 53, name: b, protocol: UDP}]}
"#;

const SHOW: &str = "get deployment web -o yaml --show-managed-fields";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_applies_server_side() {
    let world = World::start().await;
    let Some(kubectl) = Kubectl::find(&world, "kubectl") else {
        return world.stop().await;
    };
    let first = kubectl.file("first.yaml", WEB);
    let apply = format!("apply --server-side -f {first}");
    kubectl.expect(&apply, "deployment.apps/web serverside-applied").await;
    kubectl.expect(&apply, "service/web serverside-applied").await;
    kubectl
        .expect("get service web -o jsonpath={.spec.ports[*].protocol}", "TCP UDP")
        .await;
    kubectl.expect(SHOW, "manager: kubectl").await;
    let fewer = kubectl.file("fewer.yaml", &WEB.replace("replicas: 3", "replicas: 2"));
    kubectl
        .refused(
            &format!("apply --server-side --field-manager=other -f {fewer}"),
            r#"conflict with "kubectl": .spec.replicas"#,
        )
        .await;
    let forced = format!("apply --server-side --field-manager=other --force-conflicts -f {fewer}");
    kubectl.expect(&forced, "serverside-applied").await;
    kubectl
        .expect("get deployment web -o jsonpath={.spec.replicas}", "2")
        .await;
    kubectl
        .refused(&apply, r#"conflict with "other": .spec.replicas"#)
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leaves_the_configurations_of_all_its_owners_leaves_the_object() {
    let world = World::start().await;
    let Some(kubectl) = Kubectl::find(&world, "kubectl") else {
        return world.stop().await;
    };
    let first = kubectl.file("first.yaml", WEB);
    for manager in ["kubectl", "other"] {
        kubectl
            .expect(
                &format!("apply --server-side --field-manager={manager} -f {first}"),
                "serverside-applied",
            )
            .await;
    }
    let lone = kubectl.file("lone.yaml", &WEB.replace(r#", {name: side, image: "side:1"}"#, ""));
    kubectl
        .expect(&format!("apply --server-side -f {lone}"), "serverside-applied")
        .await;
    let images = "get deployment web -o jsonpath={.spec.template.spec.containers[*].image}";
    kubectl.expect(images, "nginx:1 side:1").await;
    let other = format!("apply --server-side --field-manager=other -f {lone}");
    kubectl.expect(&other, "serverside-applied").await;
    let (_, printed) = kubectl.run(images, "").await;
    assert_eq!(printed, "nginx:1");
    let newer = kubectl.file("newer.yaml", &WEB.replace("nginx:1", "nginx:2"));
    kubectl
        .refused(
            &format!("diff --server-side --force-conflicts -f {newer}"),
            "image: nginx:2",
        )
        .await;
    kubectl
        .expect(
            &format!("apply --server-side --dry-run=server --force-conflicts -f {newer}"),
            "server dry run",
        )
        .await;
    kubectl.expect(images, "nginx:1").await;
    let wrong = kubectl.file("wrong.yaml", &WEB.replace("replicas:", "replicass:"));
    kubectl
        .refused(
            &format!("apply --server-side --validate=false -f {wrong}"),
            ".spec.replicass: field not declared in schema",
        )
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_takes_over_what_it_applied_client_side() {
    let world = World::start().await;
    let Some(kubectl) = Kubectl::find(&world, "kubectl") else {
        return world.stop().await;
    };
    let first = kubectl.file("first.yaml", WEB);
    kubectl
        .expect(&format!("apply -f {first}"), "deployment.apps/web created")
        .await;
    kubectl.expect(SHOW, "manager: kubectl-client-side-apply").await;
    let second = kubectl.file("second.yaml", &WEB.replace("nginx:1", "nginx:2"));
    let apply = format!("apply --server-side -f {second}");
    kubectl.expect(&apply, "deployment.apps/web serverside-applied").await;
    let (_, shown) = kubectl.run(SHOW, "").await;
    assert!(!shown.contains("kubectl-client-side-apply"), "{shown}");
    assert!(
        shown.contains("operation: Apply") && shown.contains("nginx:2"),
        "{shown}"
    );
    // And back: the annotation was kept true.
    kubectl
        .expect(&format!("apply -f {first}"), "deployment.apps/web configured")
        .await;
    kubectl
        .expect(
            "get deployment web -o jsonpath={.spec.template.spec.containers[0].image}",
            "nginx:1",
        )
        .await;
    kubectl.expect("scale deployment web --replicas=5", "scaled").await;
    kubectl.expect(SHOW, "subresource: scale").await;
    kubectl.refused(&apply, r#".spec.replicas"#).await;
    world.stop().await;
}

const CHART: &[(&str, &str)] = &[
    ("Chart.yaml", "apiVersion: v2\nname: web\nversion: 0.1.0\n"),
    ("values.yaml", "replicas: 1\ncolor: blue\n"),
    (
        "templates/all.yaml",
        r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-settings"}
data: {color: "{{ .Values.color }}"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}"}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: nginx, image: "nginx:1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: "{{ .Release.Name }}"}
spec: {selector: {app: web}, ports: [{port: 80}]}
"#,
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn helm_installs_upgrades_rolls_back_and_uninstalls() {
    let world = World::start().await;
    let (Some(kubectl), Some(helm)) = (Kubectl::find(&world, "kubectl"), Kubectl::find(&world, "helm")) else {
        return world.stop().await;
    };
    let chart = helm.directory("chart", CHART);
    helm.expect(&format!("install demo {chart}"), "STATUS: deployed").await;
    let color = "get configmap demo-settings -o jsonpath={.data.color}";
    kubectl.expect(color, "blue").await;
    helm.expect(
        &format!("upgrade demo {chart} --set replicas=3 --set color=red"),
        "REVISION: 2",
    )
    .await;
    kubectl.expect(color, "red").await;
    kubectl
        .expect("get deployment demo -o jsonpath={.spec.replicas}", "3")
        .await;
    helm.expect("rollback demo 1", "Rollback was a success").await;
    kubectl.expect(color, "blue").await;
    helm.expect("list", "deployed").await;
    helm.expect("uninstall demo", "uninstalled").await;
    kubectl.refused(color, "not found").await;
    world.stop().await;
}
