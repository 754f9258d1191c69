//! PodSecurity: labels of namespaces, pods that come, change and are there already, and what makes pods.

use kube_types::dynamic::{Value, json};
use registry::{Annotations, Context, RequestBody, StatusError, WriteOptions};

use crate::world::{World, target};

const LABELS: &str = "pod-security.kubernetes.io";

/// A context that keeps what is noted.
fn context(world: &World) -> Context {
    Context {
        annotations: Annotations::kept(),
        ..world.context()
    }
}

/// What was noted for the audit log, without the common beginning of the keys.
fn noted(context: &Context) -> Value {
    let all = context.annotations.all();
    let ours = all
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(LABELS)?.strip_prefix('/')?, value)));
    ours.map(|(key, value)| (key.to_owned(), Value::from(value.as_str())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

async fn create(world: &World, context: &Context, path: &str, object: &Value) -> Result<(), StatusError> {
    let (target, body) = (target(path), RequestBody::json(object.to_string()));
    let made = world.registry.create(context, &target, body, WriteOptions::default());
    made.await.map(|_| ())
}

async fn patch(world: &World, context: &Context, path: &str, patch: Value) -> Result<(), StatusError> {
    let (target, merge) = (target(path), registry::MediaType::MergePatch);
    let body = RequestBody::new(merge, patch.to_string());
    let patched = world.registry.patch(context, &target, body, WriteOptions::default());
    patched.await.map(|_| ())
}

/// Labels of a namespace; the keys without their common beginning.
fn labels(labels: &[(&str, &str)]) -> Value {
    let labels = labels
        .iter()
        .map(|(key, value)| (format!("{LABELS}/{key}"), Value::from(*value)));
    json!({"metadata": {"labels": labels.collect::<serde_json::Map<_, _>>()}})
}

async fn label(world: &World, given: &[(&str, &str)]) -> Vec<String> {
    let context = context(world);
    patch(world, &context, "v1/namespaces/-/default", labels(given))
        .await
        .unwrap();
    context.warnings.take()
}

fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    for (key, value) in spec.as_object().unwrap() {
        pod["spec"][key] = value.clone();
    }
    pod
}

#[tokio::test]
async fn a_namespace_with_wrong_labels_is_refused_each_by_its_name() {
    let world = World::with_account().await;
    let mut namespace = labels(&[("enforce", "strict"), ("warn-version", "1.20"), ("audit", "baseline")]);
    namespace["metadata"]["name"] = json!("team");
    let refused = create(&world, &world.context(), "v1/namespaces", &namespace)
        .await
        .unwrap_err();
    assert_eq!((refused.code(), refused.reason()), (422, "Invalid"));
    assert_eq!(
        refused.message(),
        "Namespace \"team\" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \
         \"strict\": must be one of privileged, baseline, restricted, \
         metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: \"1.20\": must be \"latest\" or \
         \"v1.x\"]"
    );
    let details = refused.status().details.as_ref().unwrap();
    let causes = details.causes.as_ref().unwrap();
    assert_eq!(
        (details.kind.as_deref(), details.name.as_deref(), causes.len()),
        (Some("Namespace"), Some("team"), 2)
    );
    assert_eq!(
        (causes[1].field.as_deref(), causes[1].reason.as_deref()),
        (
            Some("metadata.labels[pod-security.kubernetes.io/warn-version]"),
            Some("FieldValueInvalid")
        )
    );
}

#[tokio::test]
async fn wrong_labels_that_are_there_stand_until_they_change() {
    let world = World::with_account().await;
    let (name, context) = ("v1/namespaces/-/default", context(&world));
    let refused = patch(&world, &context, name, labels(&[("enforce", "strict")])).await;
    assert_eq!(refused.unwrap_err().code(), 422);
    // A part of a namespace is not looked at, as at upstream.
    let status = format!("{name}/status");
    patch(&world, &context, &status, labels(&[("enforce", "strict")]))
        .await
        .unwrap();
    let other = json!({"metadata": {"labels": {"team": "a"}}});
    patch(&world, &context, name, other).await.unwrap();
    let other = patch(&world, &context, name, labels(&[("enforce", "stricter")])).await;
    assert_eq!(other.unwrap_err().code(), 422);
    let more = patch(&world, &context, name, labels(&[("warn", "loud")])).await;
    assert!(more.unwrap_err().message().contains("\"strict\""));

    // Pods are kept to the strictest, which nobody is warned of, and the audit log says why.
    let context = self::context(&world);
    let refused = create(&world, &context, "v1/pods/default", &pod("p", json!({})))
        .await
        .unwrap_err();
    assert!(
        refused.message().starts_with(
            "pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation"
        ),
        "{}",
        refused.message()
    );
    assert_eq!(
        noted(&context),
        json!({"enforce-policy": "restricted:latest",
            "error": "Failed to parse policy: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \
                \"strict\": must be one of privileged, baseline, restricted"})
    );
    patch(&world, &context, name, labels(&[("enforce", "baseline")]))
        .await
        .unwrap();
}

#[tokio::test]
async fn pods_that_are_there_are_told_of_when_their_namespace_asks_for_more() {
    let world = World::with_account().await;
    let owned = |name: &str, spec: Value| {
        let mut pod = pod(name, spec);
        pod["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u", "controller": true}]);
        pod
    };
    let network = json!({"hostNetwork": true});
    let privileged = json!([{"name": "c", "image": "i", "securityContext": {"privileged": true}}]);
    for pod in [
        pod("plain", json!({})),
        owned("web-b", network.clone()),
        owned("web-a", network.clone()),
        pod("web-c", network),
        pod("root", json!({"hostPID": true, "containers": privileged})),
    ] {
        create(&world, &world.context(), "v1/pods/default", &pod).await.unwrap();
    }
    let header = |standard: &str| {
        format!("existing pods in namespace \"default\" violate the new PodSecurity enforce level \"{standard}\"")
    };
    assert_eq!(
        label(&world, &[("warn", "restricted"), ("audit", "restricted")]).await,
        [""; 0]
    );
    assert_eq!(
        label(&world, &[("enforce", "baseline")]).await,
        [
            &header("baseline:latest"),
            "root: host namespaces, privileged",
            "web-a (and 2 other pods): host namespaces"
        ]
    );
    assert_eq!(label(&world, &[("enforce", "baseline"), ("team", "a")]).await, [""; 0]);
    let again = label(&world, &[("enforce-version", "v1.7")]).await;
    assert_eq!((again.len(), &again[0]), (3, &header("baseline:v1.7")));
    assert_eq!(
        label(&world, &[("enforce", "restricted")]).await,
        [
            &header("restricted:v1.7"),
            "plain: runAsNonRoot != true",
            "root: host namespaces, privileged, runAsNonRoot != true",
            "web-a (and 2 other pods): host namespaces, runAsNonRoot != true"
        ]
    );
    assert_eq!(label(&world, &[("enforce", "baseline")]).await, [""; 0]);
    assert_eq!(
        label(&world, &[("enforce", "privileged"), ("enforce-version", "v1.8")]).await,
        [""; 0]
    );
}

#[tokio::test]
async fn whoever_is_refused_pods_is_warned_of_what_makes_them() {
    let world = World::with_account().await;
    label(&world, &[("enforce", "baseline"), ("enforce-version", "v1.30")]).await;
    let template = json!({"metadata": {"labels": {"a": "b"},
            "annotations": {"container.apparmor.security.beta.kubernetes.io/c": "unconfined"}},
        "spec": {"hostNetwork": true, "containers": [{"name": "c", "image": "i"}]}});
    let deployment = |name: &str| json!({"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}});
    let path = "apps/v1/deployments/default";
    let asked = context(&world);
    create(&world, &asked, path, &deployment("d")).await.unwrap();
    let warnings = asked.warnings.take();
    assert_eq!(
        warnings,
        [
            "would violate PodSecurity \"baseline:v1.30\": forbidden AppArmor profile (annotation must not set AppArmor \
             profile type to \"container.apparmor.security.beta.kubernetes.io/c=\"unconfined\"\"), host namespaces \
             (hostNetwork=true)"
        ]
    );
    assert_eq!(noted(&asked), json!({}));

    label(
        &world,
        &[
            ("warn", "privileged"),
            ("audit", "restricted"),
            ("audit-version", "v1.7"),
        ],
    )
    .await;
    let asked = context(&world);
    create(&world, &asked, path, &deployment("e")).await.unwrap();
    assert_eq!(asked.warnings.take(), [""; 0]);
    let violations = noted(&asked)["audit-violations"].to_string();
    assert!(
        violations.starts_with("\"would violate PodSecurity \\\"restricted:v1.7\\\": forbidden AppArmor profile"),
        "{violations}"
    );
    let asked = context(&world);
    patch(
        &world,
        &asked,
        &format!("{path}/e/scale"),
        json!({"spec": {"replicas": 2}}),
    )
    .await
    .unwrap();
    assert_eq!(noted(&asked), json!({}));
}

#[tokio::test]
async fn a_refusal_is_noted_and_comes_without_warnings() {
    let world = World::with_account().await;
    let asked = context(&world);
    create(
        &world,
        &asked,
        "v1/pods/default",
        &pod("first", json!({"hostPID": true})),
    )
    .await
    .unwrap();
    assert_eq!(noted(&asked), json!({"enforce-policy": "privileged:latest"}));
    label(
        &world,
        &[("enforce", "baseline"), ("audit", "baseline"), ("warn", "restricted")],
    )
    .await;
    let asked = context(&world);
    let refused = create(&world, &asked, "v1/pods/default", &pod("p", json!({"hostIPC": true}))).await;
    assert_eq!(
        refused.unwrap_err().message(),
        "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostIPC=true)"
    );
    assert_eq!(asked.warnings.take(), [""; 0]);
    assert_eq!(
        noted(&asked),
        json!({"enforce-policy": "baseline:latest",
            "audit-violations": "would violate PodSecurity \"baseline:latest\": host namespaces (hostIPC=true)"})
    );
    let asked = context(&world);
    create(&world, &asked, "v1/pods/default", &pod("p", json!({})))
        .await
        .unwrap();
    assert_eq!(asked.warnings.take().len(), 1);
    assert_eq!(noted(&asked), json!({"enforce-policy": "baseline:latest"}));
}

#[tokio::test]
async fn a_pod_that_changes_is_looked_at_when_its_containers_do() {
    let world = World::with_account().await;
    create(
        &world,
        &world.context(),
        "v1/pods/default",
        &pod("p", json!({"hostPID": true})),
    )
    .await
    .unwrap();
    label(&world, &[("enforce", "baseline")]).await;
    let asked = context(&world);
    let name = "v1/pods/default/p";
    let harmless = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"activeDeadlineSeconds": 5}});
    patch(&world, &asked, name, harmless).await.unwrap();
    let status = json!({"status": {"phase": "Running"}});
    patch(&world, &asked, &format!("{name}/status"), status).await.unwrap();
    assert_eq!((noted(&asked), asked.warnings.take()), (json!({}), Vec::new()));
    let mut stored = world.get(name).await.unwrap();
    stored["spec"]["containers"][0]["image"] = json!("other");
    let refused = world.update(name, stored).await.unwrap_err();
    assert!(
        refused
            .message()
            .contains("violates PodSecurity \"baseline:latest\": host namespaces (hostPID=true)"),
        "{}",
        refused.message()
    );
    let debug = json!({"spec": {"ephemeralContainers": [{"name": "e", "image": "i"}]}});
    let refused = patch(&world, &asked, &format!("{name}/ephemeralcontainers"), debug).await;
    assert_eq!(refused.unwrap_err().code(), 403);
    assert_eq!(noted(&asked), json!({"enforce-policy": "baseline:latest"}));
}
