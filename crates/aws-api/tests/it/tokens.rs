//! `aws eks update-kubeconfig` and `get-token`, unmodified, and what their tokens prove.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aws_types::ClusterName;
use supervision::wait_until;

use crate::fixture::{Fixture, tool};

async fn token(fixture: &Fixture, aws: &Path, cluster: &str) -> String {
    let mut command = Command::new(aws);
    command.args(["eks", "get-token", "--output", "json", "--cluster-name", cluster]);
    let output = fixture.succeed(&mut command).await;
    let credential: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(credential["kind"], "ExecCredential");
    credential["status"]["token"].as_str().unwrap().to_owned()
}

/// A region with an ACTIVE cluster named demo, and the AWS CLI; or nothing where there is no CLI.
async fn demo() -> Option<(Fixture, std::path::PathBuf)> {
    let aws = tool("aws")?;
    let fixture = Fixture::start().await;
    fixture.python("create.py").await;
    let describe = ["eks", "describe-cluster", "--name", "demo", "--query", "cluster.status"];
    wait_until("demo is ACTIVE", Duration::from_secs(120), || async {
        let text = fixture.succeed(Command::new(&aws).args(describe)).await;
        if text.contains("ACTIVE") { Ok(()) } else { Err(text) }
    })
    .await
    .unwrap();
    Some((fixture, aws))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_aws_cli_writes_a_kubeconfig() {
    let Some((fixture, aws)) = demo().await else { return };
    let mut command = Command::new(&aws);
    command.args(["eks", "update-kubeconfig", "--name", "demo", "--dry-run"]);
    let written = fixture.succeed(&mut command).await;
    assert!(written.contains("server: https://127.0.0.1:6443"), "{written}");
    let context = "current-context: arn:aws:eks:ap-northeast-2:000000000000:cluster/demo";
    assert!(written.contains(context), "{written}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_aws_cli_s_token_is_the_creator_of_that_cluster_and_no_other() {
    let Some((fixture, aws)) = demo().await else { return };
    let region = &fixture.running().region;
    let (demo, other) = (ClusterName::new("demo").unwrap(), ClusterName::new("other").unwrap());
    let mine = token(&fixture, &aws, "demo").await;
    let user = region.authenticate_eks_token(&demo, &mine).await.unwrap().unwrap();
    assert_eq!(user.name, "kubernetes-admin");
    assert_eq!(user.groups, ["system:masters", "system:authenticated"]);
    assert_eq!(user.extra["arn"], ["arn:aws:iam::000000000000:user/admin"]);

    let theirs = token(&fixture, &aws, "other").await;
    assert!(region.authenticate_eks_token(&demo, &theirs).await.is_err());
    assert!(
        region.authenticate_eks_token(&other, &theirs).await.is_err(),
        "there is no such cluster"
    );
    assert!(
        region
            .authenticate_eks_token(&demo, "service-account-token")
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        region
            .authenticate_eks_token(&demo, "k8s-aws-v1.nonsense")
            .await
            .is_err()
    );
}
