//! EKS beyond clusters and node groups: who gets in, add-ons, versions, pod identities; and EC2 and Auto Scaling around them.

use std::collections::BTreeMap;
use std::process::Command;

use aws_types::ClusterName;
use serde_json::json;

use crate::fixture::{Fixture, tool};
use crate::issuer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_are_extended_upgraded_and_reconfigured_under_boto3() {
    Fixture::start().await.python("eks.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_of_other_makers_are_registered_and_what_cannot_be_had_is_refused() {
    Fixture::start().await.python("registration.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn networks_are_what_templates_make_of_them() {
    Fixture::start().await.python("ec2.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_is_the_user_of_its_access_entry_or_of_aws_auth() {
    let Some(aws) = tool("aws") else { return };
    let fixture = Fixture::start().await;
    fixture.python("access.py").await;
    let keys: BTreeMap<String, String> = serde_json::from_str(&fixture.read("kim.json")).unwrap();
    let cluster = ClusterName::new("demo").unwrap();
    let mut command = Command::new(&aws);
    command.args(["eks", "get-token", "--output", "json", "--cluster-name", "demo"]);
    let output = fixture.succeed_as(&mut command, &keys).await;
    let credential: serde_json::Value = serde_json::from_str(&output).unwrap();
    let token = credential["status"]["token"].as_str().unwrap();
    let region = &fixture.running().region;

    let by_entry = region.authenticate_eks_token(&cluster, token).await.unwrap().unwrap();
    assert_eq!(by_entry.name, "kim");
    assert_eq!(by_entry.groups, ["developers", "system:authenticated"]);
    let asked = |verb, namespace| {
        let resource = access_rules::ResourceAttributes {
            version: "v1",
            resource: "pods",
            namespace,
            ..Default::default()
        };
        let attributes = access_rules::Attributes {
            user: &by_entry,
            verb,
            resource: Some(resource),
            path: "/",
        };
        region.access_policy_allows(&cluster, &attributes).is_some()
    };
    assert!(asked("list", "dev-1") && !asked("list", "prod") && !asked("delete", "dev-1"));

    fixture.python("access_delete.py").await;
    assert!(
        region.authenticate_eks_token(&cluster, token).await.is_err(),
        "the entry is gone"
    );
    let mappings = "- userarn: arn:aws:iam::000000000000:user/kim\n  username: mapped\n  groups: [viewers]\n";
    fixture
        .host()
        .world()
        .aws_auth
        .insert("mapUsers".to_owned(), mappings.to_owned());
    let mapped = region.authenticate_eks_token(&cluster, token).await.unwrap().unwrap();
    assert_eq!(mapped.name, "mapped");
    assert_eq!(mapped.groups, ["viewers", "system:authenticated"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_gets_the_role_of_its_association() {
    if tool("python").is_none() {
        return;
    }
    let fixture = Fixture::start().await;
    fixture.python("web_identity_setup.py").await;
    let cluster = ClusterName::new("demo").unwrap();
    let issuer = fixture.running().region.issuer(&cluster).unwrap();
    let now = clock::Clock::now(&clock::SystemClock).as_second();
    let token = |account: &str, audience: &str| {
        let pod = json!({"name": "p-0", "uid": "u-0"});
        issuer::sign(&json!({
            "iss": issuer, "sub": format!("system:serviceaccount:default:{account}"), "aud": [audience], "exp": now + 600,
            "iat": now, "nbf": now, "kubernetes.io": {"namespace": "default", "pod": pod},
        }))
    };
    let tokens = json!({
        "good": token("app", "pods.eks.amazonaws.com"), "other": token("other", "pods.eks.amazonaws.com"),
        "audience": token("app", "sts.amazonaws.com"),
    });
    fixture.python_with("pod_identity.py", &tokens.to_string()).await;
}
