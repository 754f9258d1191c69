//! Objects that cannot be used, through the real kubectl: upstream's words for each, and a node that says why a pod does not start.

use std::fs;

use supervision::wait_until;

use crate::support::{Ondol, PATIENCE, provisions, until};

/// Manifests, and what is said of each.
const REFUSED: &[(&str, &[&str])] = &[
    (
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, dada: {a: b}}",
        &["strict decoding error: unknown field \"dada\""],
    ),
    (
        "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: b, imagePullPolice: Never}]}}",
        &["strict decoding error: unknown field \"spec.containers[0].imagePullPolice\""],
    ),
    (
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {replicas: three, selector: {matchLabels: {a: b}}, \
          template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: b}]}}}}",
        &["cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"],
    ),
    (
        "{apiVersion: v1, kind: ConfigMap, metadata: {namespace: default}}",
        &["metadata.name: Required value: name or generateName is required"],
    ),
    (
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: Not_A_Name}}",
        &[
            "The ConfigMap \"Not_A_Name\" is invalid: metadata.name: Invalid value: \"Not_A_Name\"",
            "RFC 1123 subdomain",
        ],
    ),
    (
        "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a}]}}",
        &["The Pod \"a\" is invalid: spec.containers[0].image: Required value"],
    ),
    (
        "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {clusterIP: 10.300.0.1, ports: [{port: 80}]}}",
        &["spec.clusterIPs[0]: Invalid value: \"10.300.0.1\""],
    ),
    (
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: nowhere}}",
        &["namespaces \"nowhere\" not found"],
    ),
    (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a\n",
        &["error converting YAML to JSON", "line"],
    ),
];

#[tokio::test]
async fn objects_are_refused_in_upstreams_words_and_what_was_there_stays() {
    let Some(provisions) = provisions() else { return };
    let ondol = Ondol::up(provisions);
    ondol
        .run(["create", "cluster", "--name", "tiny", "--without-nodegroup"])
        .ok();
    ondol
        .kubectl(["create", "configmap", "kept", "--from-literal=a=b"])
        .ok();
    let file = ondol.home().join("object.yaml");
    let path = file.to_string_lossy();
    for (object, expected) in REFUSED {
        fs::write(&file, object).expect("the file can be written");
        let said = ondol.kubectl(["create", "-f", &path]).refused();
        for part in *expected {
            assert!(said.contains(part), "{object}\nis refused without {part:?}:\n{said}");
        }
    }
    // 3 MiB is upstream's limit of a request.
    let large = format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: large}}, data: {{a: {}}}}}",
        "x".repeat(3 << 20)
    );
    fs::write(&file, large).expect("the file can be written");
    let said = ondol.kubectl(["create", "-f", &path]).refused();
    assert!(
        said.contains("(RequestEntityTooLarge)") && said.contains("Request entity too large: limit is 3145728"),
        "{said}"
    );
    let names = ondol.kubectl(["get", "configmaps", "-o", "name"]).ok();
    assert_eq!(
        names, "configmap/kept\nconfigmap/kube-root-ca.crt\n",
        "only what was there"
    );
    ondol.down();
}

/// A pod that the API server takes and no node can start.
const MISSPELT: &str = "{apiVersion: v1, kind: Pod, metadata: {name: misspelt}, spec: {containers: [{name: a, image: 'busybox:no:such'}]}}";

#[tokio::test]
async fn an_image_that_cannot_be_pulled_is_named_on_the_pod() {
    let Some(provisions) = provisions() else { return };
    let ondol = Ondol::up(provisions);
    ondol.load_image("busybox");
    ondol.run(["create", "cluster", "--name", "tiny", "--nodes", "1"]).ok();
    ondol
        .kubectl(["run", "astray", "--image=registry.invalid/astray:1", "--restart=Never"])
        .ok();
    let misspelt = ondol.home().join("misspelt.yaml");
    fs::write(&misspelt, MISSPELT).expect("the file can be written");
    ondol.kubectl(["create", "-f", &misspelt.to_string_lossy()]).ok();
    let waiting = |pod: &'static str| {
        let path = "jsonpath={.status.containerStatuses[0].state.waiting}";
        ondol.kubectl(["get", "pod", pod, "-o", path])
    };
    let said = until(
        "the pod backs off",
        || waiting("astray"),
        |state| state.contains("ImagePullBackOff"),
    )
    .await;
    for part in ["Back-off pulling image", "registry.invalid/astray:1", "ErrImagePull: "] {
        assert!(said.contains(part), "{part}: {said}");
    }
    until(
        "the name is refused",
        || waiting("misspelt"),
        |state| state.contains("InvalidImageName"),
    )
    .await;
    let events = wait_until("the events", PATIENCE, async || {
        let said = ondol.kubectl(["describe", "pod", "astray"]).stdout;
        let all = [
            "Pulling image \"registry.invalid/astray:1\"",
            "Failed to pull image \"registry.invalid/astray:1\": ",
            "Error: ErrImagePull",
            "Back-off pulling image \"registry.invalid/astray:1\"",
            "Error: ImagePullBackOff",
        ];
        if all.iter().all(|part| said.contains(part)) {
            Ok(())
        } else {
            Err(said)
        }
    });
    events.await.unwrap_or_else(|error| panic!("{error}"));
    // The node goes on with others.
    ondol
        .kubectl([
            "run",
            "well",
            "--image=busybox",
            "--restart=Never",
            "--",
            "sleep",
            "600",
        ])
        .ok();
    ondol
        .kubectl(["wait", "pod/well", "--for=condition=Ready", "--timeout=120s"])
        .ok();
    ondol.down();
}
