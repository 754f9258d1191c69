//! What pods of accounts with roles look like afterwards.

use super::*;

const ROLE_ARN: &str = "arn:aws:iam::000000000000:role/r";

fn object(value: Value) -> Object {
    serde_json::from_value(value).unwrap()
}

fn account(annotations: Value) -> Object {
    object(
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "namespace": "n", "annotations": annotations}}),
    )
}

fn pod(annotations: Value, containers: Value) -> Object {
    object(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n", "annotations": annotations},
        "spec": {"serviceAccountName": "a", "containers": containers, "volumes": [{"name": "own", "emptyDir": {}}]},
    }))
}

fn injected(associated: bool, account: &Object, mut pod: Object) -> Value {
    let injection = wanted(associated, 100, account, &pod).expect("the account has a role");
    apply(&mut pod, &injection, "ap-northeast-2", Some("http://169.254.1.4"));
    let once = pod.clone();
    apply(&mut pod, &injection, "ap-northeast-2", Some("http://169.254.1.4"));
    assert_eq!(pod, once, "a second time changes nothing");
    pod.0["spec"].clone()
}

fn names(container: &Value) -> Vec<&str> {
    container["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect()
}

#[test]
fn a_role_in_the_accounts_annotations_becomes_a_token_and_variables() {
    let spec = injected(
        false,
        &account(json!({ROLE: ROLE_ARN})),
        pod(json!({}), json!([{"name": "c", "image": "i"}])),
    );
    let path = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
    assert_eq!(
        spec["containers"][0],
        json!({"name": "c", "image": "i", "env": [
            {"name": "AWS_STS_REGIONAL_ENDPOINTS", "value": "regional"},
            {"name": "AWS_DEFAULT_REGION", "value": "ap-northeast-2"},
            {"name": "AWS_REGION", "value": "ap-northeast-2"},
            {"name": "AWS_ROLE_ARN", "value": ROLE_ARN},
            {"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": format!("{path}/token")},
            {"name": "AWS_ENDPOINT_URL", "value": "http://169.254.1.4"},
        ], "volumeMounts": [{"name": "aws-iam-token", "readOnly": true, "mountPath": path}]})
    );
    assert_eq!(
        spec["volumes"][0],
        json!({"name": "aws-iam-token", "projected": {"defaultMode": 420, "sources": [{"serviceAccountToken": {
            "audience": "sts.amazonaws.com", "expirationSeconds": 86_400, "path": "token"}}]}})
    );
    assert_eq!(spec["volumes"][1]["name"], "own");
}

#[test]
fn an_association_goes_before_the_role() {
    let spec = injected(
        true,
        &account(json!({ROLE: ROLE_ARN})),
        pod(json!({}), json!([{"name": "c", "image": "i"}])),
    );
    assert_eq!(
        names(&spec["containers"][0]),
        [
            "AWS_STS_REGIONAL_ENDPOINTS",
            "AWS_DEFAULT_REGION",
            "AWS_REGION",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "AWS_ENDPOINT_URL"
        ]
    );
    let source = &spec["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(
        *source,
        json!({"audience": "pods.eks.amazonaws.com", "expirationSeconds": 86_300, "path": "eks-pod-identity-token"})
    );
}

#[test]
fn annotations_change_audience_endpoints_life_and_containers() {
    let account = account(json!({
        ROLE: ROLE_ARN, AUDIENCE: "other", REGIONAL: "false", EXPIRATION: "7200"
    }));
    let pod = pod(
        json!({SKIP_CONTAINERS: "sidecar, third", EXPIRATION: "60"}),
        json!([{"name": "c", "image": "i"}, {"name": "sidecar", "image": "i"}, {"name": "third", "image": "i"}]),
    );
    let spec = injected(false, &account, pod);
    assert_eq!(names(&spec["containers"][0])[0], "AWS_DEFAULT_REGION");
    assert_eq!(spec["containers"][1], json!({"name": "sidecar", "image": "i"}));
    assert_eq!(spec["containers"][2], json!({"name": "third", "image": "i"}));
    let source = &spec["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(
        *source,
        json!({"audience": "other", "expirationSeconds": 600, "path": "token"})
    );
}

#[test]
fn what_a_container_has_is_kept() {
    let own = json!([
        {"name": "AWS_REGION", "value": "us-east-1"}, {"name": "AWS_ROLE_ARN", "value": "own"},
        {"name": "AWS_ENDPOINT_URL", "value": "http://own"},
    ]);
    let spec = injected(
        false,
        &account(json!({ROLE: ROLE_ARN})),
        pod(json!({}), json!([{"name": "c", "image": "i", "env": own}])),
    );
    assert_eq!(
        names(&spec["containers"][0]),
        [
            "AWS_REGION",
            "AWS_ROLE_ARN",
            "AWS_ENDPOINT_URL",
            "AWS_STS_REGIONAL_ENDPOINTS"
        ]
    );
}

#[test]
fn an_account_without_a_role_changes_nothing() {
    let pod = pod(json!({}), json!([{"name": "c", "image": "i"}]));
    assert_eq!(wanted(false, 0, &account(json!({})), &pod), None);
}
