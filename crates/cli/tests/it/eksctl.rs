//! eksctl's commands against the region: what they make, and that what they print is what eksctl prints.

use crate::Fixture;

const READ_ONLY: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";

async fn with_cluster() -> Fixture {
    let fixture = Fixture::start().await;
    let create =
        "ondol create cluster one --nodes 1 --node-type t3.medium --nodegroup-name a --with-oidc --version 1.33";
    fixture.ok(create).await;
    fixture
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_has_its_roles_and_add_ons_and_leaves_none() {
    let fixture = with_cluster().await;
    let shown = fixture.ok("ondol get addon --cluster one").await;
    for name in ["vpc-cni", "coredns", "kube-proxy"] {
        assert!(shown.contains(name), "{shown}");
    }
    let cni = fixture.ok("ondol get addon --cluster one --name vpc-cni -o json").await;
    assert!(
        cni.contains("\"IAMRole\": \"arn:aws:iam::"),
        "its role is made for its service account: {cni}"
    );
    let group = fixture.ok("ondol get nodegroup --cluster one -o json").await;
    assert!(
        group.contains("role/eksctl-one-nodegroup-a-NodeInstanceRole"),
        "{group}"
    );

    fixture.ok("ondol delete addon --cluster one --name coredns").await;
    assert!(!fixture.ok("ondol get addon --cluster one").await.contains("coredns"));
    fixture
        .ok("ondol create addon --cluster one --name coredns --version latest --wait")
        .await;
    fixture
        .ok("ondol update addon --cluster one --name coredns --version 1.11 --force --wait")
        .await;
    let older = fixture.ok("ondol get addon --cluster one --name coredns").await;
    assert!(
        older.contains("v1.11.") && older.contains("v1.12."),
        "an update is available: {older}"
    );
    fixture
        .refused(
            "ondol create addon --cluster one --name nothing",
            "Addon nothing not found",
        )
        .await;

    fixture.ok("ondol delete cluster one").await;
    fixture
        .refused("ondol get addon --cluster one", "No cluster found for name: one.")
        .await;
    // The next cluster of the name finds nothing of the first one in its way.
    fixture
        .ok("ondol create cluster one --without-nodegroup --with-oidc")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profiles_entries_and_associations_come_and_go() {
    let fixture = with_cluster().await;
    fixture
        .ok("ondol create fargateprofile --cluster one --name fp --namespace serverless --labels app=x --tags a=b")
        .await;
    let profiles = fixture.ok("ondol get fargateprofile --cluster one").await;
    assert!(profiles.contains("serverless\t\tapp=x\t"), "{profiles}");
    assert!(
        profiles.contains("role/eksctl-one-fargate-FargatePodExecutionRole-"),
        "{profiles}"
    );
    fixture
        .ok("ondol delete fargateprofile --cluster one --name fp --wait")
        .await;
    assert!(
        fixture
            .ok("ondol get fargateprofile --cluster one")
            .await
            .contains("No fargateprofiles found")
    );

    let viewer = "arn:aws:iam::000000000000:role/viewer";
    fixture
        .ok(&format!(
            "ondol create accessentry --cluster one --principal-arn {viewer} --kubernetes-groups viewers"
        ))
        .await;
    let entries = fixture.ok("ondol get accessentry --cluster one -o yaml").await;
    assert!(
        entries.contains(&format!("principalARN: {viewer}")) && entries.contains("- viewers"),
        "{entries}"
    );
    fixture
        .ok(&format!(
            "ondol delete accessentry --cluster one --principal-arn {viewer}"
        ))
        .await;
    assert!(!fixture.ok("ondol get accessentry --cluster one").await.contains(viewer));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_association_has_its_role_and_takes_it_along() {
    let fixture = with_cluster().await;
    let viewer = "arn:aws:iam::000000000000:role/viewer";
    let account = "--cluster one --namespace web --service-account-name app";
    fixture
        .ok(&format!("ondol create podidentityassociation {account} --permission-policy-arns {READ_ONLY} --well-known-policies autoScaler"))
        .await;
    let listed = fixture
        .ok("ondol get podidentityassociation --cluster one -o json")
        .await;
    assert!(listed.contains("\"ServiceAccountName\": \"app\""), "{listed}");
    assert!(
        listed.contains("role/eksctl-one-podidentityrole-web-app-Role1-"),
        "{listed}"
    );
    fixture
        .refused(
            &format!("ondol update podidentityassociation {account} --role-arn {viewer}"),
            "has a role of stack eksctl-one-podidentityrole-web-app",
        )
        .await;
    fixture
        .ok(&format!(
            "ondol update podidentityassociation {account} --disable-session-tags"
        ))
        .await;
    fixture
        .ok(&format!("ondol delete podidentityassociation {account}"))
        .await;
    let stacks = fixture.ok("ondol utils describe-stacks --cluster one -o json").await;
    assert!(!stacks.contains("podidentityrole"), "{stacks}");
    fixture
        .refused(
            &format!("ondol create podidentityassociation {account}"),
            "at least one of the following flags",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_labels_and_versions_are_changed_and_shown() {
    let fixture = with_cluster().await;
    fixture
        .ok("ondol set labels --cluster one --nodegroup a --labels team=x,tier=web")
        .await;
    fixture
        .ok("ondol unset labels --cluster one --nodegroup a --labels tier")
        .await;
    let labels = fixture.ok("ondol get labels --cluster one --nodegroup a").await;
    assert!(labels.contains("team=x") && !labels.contains("tier"), "{labels}");

    let logging = "ondol utils update-cluster-logging --cluster one --enable-types api,audit";
    fixture.ok(logging).await;
    let on = |shown: &str| shown.contains("\"audit\"") && shown.contains("\"Enabled\": true");
    assert!(
        !on(&fixture.ok("ondol get cluster one -o json").await),
        "not without --approve"
    );
    fixture.ok(&format!("{logging} --approve")).await;
    assert!(on(&fixture.ok("ondol get cluster one -o json").await));
    fixture
        .ok("ondol utils update-cluster-vpc-config --cluster one --private-access=true --approve")
        .await;
    fixture
        .ok("ondol utils update-authentication-mode --cluster one --authentication-mode API")
        .await;
    let shown = fixture.ok("ondol get cluster one -o json").await;
    assert!(
        shown.contains("\"EndpointPrivateAccess\": true") && shown.contains("\"AuthenticationMode\": \"API\""),
        "{shown}"
    );
    fixture
        .ok("ondol utils associate-iam-oidc-provider --cluster one --approve")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_told_and_upgraded_when_that_is_approved() {
    let fixture = with_cluster().await;
    assert!(
        fixture
            .ok("ondol utils describe-addon-versions --cluster one")
            .await
            .contains("\"AddonName\": \"coredns\"")
    );
    let schema = "ondol utils describe-addon-configuration --name coredns --version v1.12.4-eksbuild.1";
    assert!(fixture.ok(schema).await.contains("replicaCount"));
    assert!(
        fixture
            .ok("ondol utils describe-cluster-versions")
            .await
            .contains("\"ClusterVersion\": \"1.33\"")
    );
    fixture.ok("ondol utils nodegroup-health --cluster one --name a").await;
    assert!(
        fixture
            .ok("ondol utils schema")
            .await
            .contains("#/definitions/ClusterConfig")
    );

    fixture.ok("ondol upgrade cluster one").await;
    assert!(
        fixture.ok("ondol get cluster one").await.contains("1.33"),
        "not without --approve"
    );
    fixture.ok("ondol upgrade cluster one --approve").await;
    assert!(fixture.ok("ondol get cluster one").await.contains("1.34"));
    fixture
        .ok("ondol upgrade nodegroup --cluster one --name a --kubernetes-version 1.34")
        .await;
    assert!(
        fixture
            .ok("ondol get nodegroup --cluster one -o json")
            .await
            .contains("\"Version\": \"1.34\"")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_prints_the_file_that_the_flags_stand_for() {
    let fixture = Fixture::start().await;
    let line = "ondol create cluster demo --region ap-northeast-2 --nodegroup-name a --nodes 1 --asg-access --dry-run";
    let printed = fixture.ok(line).await;
    assert!(
        printed.contains("autoScaler: true") && !printed.contains("null"),
        "{printed}"
    );
    let file = fixture.home.path().join("printed.yaml");
    std::fs::write(&file, printed).unwrap();
    let again = fixture
        .ok(&format!("ondol create cluster -f {} --dry-run", file.display()))
        .await;
    assert!(again.contains("desiredCapacity: 1"), "{again}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_that_are_not_available_say_why() {
    let fixture = Fixture::start().await;
    for (line, message) in [
        (
            "ondol create cluster x --enable-auto-mode",
            "--enable-auto-mode is not available: EKS Auto Mode is not available here",
        ),
        // Before anything is made.
        (
            "ondol create cluster x --ssh-access --ssh-public-key no-such-key",
            "cannot find EC2 key pair \"no-such-key\"",
        ),
        ("ondol get cluster x", "No cluster found for name: x."),
        (
            "ondol enable flux",
            "enable flux is not available: run `flux bootstrap`",
        ),
        ("ondol get addon", "--cluster must be set"),
        (
            "ondol get cluster a --name b",
            "--name=b and argument a cannot be used at the same time",
        ),
        ("ondol get cluster -o wide", "unknown output printer type"),
    ] {
        fixture.refused(line, message).await;
    }
    let said = fixture.run("ondol get cluster --verbose 4").await;
    assert!(said.err.contains("--verbose has no effect"), "{}", said.err);
}
