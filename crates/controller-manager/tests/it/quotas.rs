//! Quotas as a user meets them: limits come into force, refuse, and give room back.

use std::collections::BTreeMap;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};

use crate::cluster::{Cluster, eventually};
use crate::workloads::{furnished, parse};

fn pod(name: &str) -> Pod {
    parse(&format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: default}}
spec: {{containers: [{{name: main, image: 'job:1', resources: {{requests: {{cpu: 100m}}}}}}]}}
"
    ))
}

fn quota(hard: &str) -> ResourceQuota {
    parse(&format!(
        "apiVersion: v1
kind: ResourceQuota
metadata: {{name: q, namespace: default}}
spec: {{hard: {hard}}}
"
    ))
}

/// Waits until the quota says that so much is used.
async fn used(cluster: &Cluster, expected: &[(&str, &str)]) {
    let quotas = cluster.api::<ResourceQuota>("default");
    let expected: BTreeMap<String, String> = expected
        .iter()
        .map(|(name, amount)| ((*name).to_owned(), (*amount).to_owned()))
        .collect();
    eventually("the quota is counted", || async {
        let quota = quotas.get("q").await.expect("the quota is read");
        let status = quota.status.unwrap_or_default();
        let used: BTreeMap<String, String> = status
            .used
            .unwrap_or_default()
            .into_iter()
            .map(|(name, amount)| (name, amount.0))
            .collect();
        let in_force = status.hard == quota.spec.and_then(|spec| spec.hard);
        if in_force && used == expected {
            Ok(())
        } else {
            Err(used)
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_refuses_what_exceeds_it_and_gives_room_back() {
    let cluster = Cluster::start().await;
    let pods = cluster.api::<Pod>("default");
    let secrets = cluster.api::<Secret>("default");
    let new = PostParams::default();
    furnished(&cluster, "default").await;
    // What was there before the quota counts too.
    pods.create(&new, &pod("first")).await.expect("no quota yet");
    cluster
        .api::<ResourceQuota>("default")
        .create(&new, &quota("{pods: '2', requests.cpu: '1', count/secrets: '1'}"))
        .await
        .expect("the quota is accepted");
    used(
        &cluster,
        &[("pods", "1"), ("requests.cpu", "100m"), ("count/secrets", "0")],
    )
    .await;
    pods.create(&new, &pod("second")).await.expect("there is room for two");
    let secret = parse("apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: default}\n");
    secrets.create(&new, &secret).await.expect("there is room for one");
    let refused = pods.create(&new, &pod("third")).await.expect_err("two are enough");
    let kube::Error::Api(refused) = refused else {
        panic!("a refusal of the API server: {refused}");
    };
    assert_eq!(refused.code, 403);
    assert_eq!(
        refused.message,
        "pods \"third\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"
    );
    let at_once = DeleteParams::default().grace_period(0);
    pods.delete("first", &at_once).await.expect("the pod is deleted");
    secrets
        .delete("s", &DeleteParams::default())
        .await
        .expect("the secret is deleted");
    used(
        &cluster,
        &[("pods", "1"), ("requests.cpu", "100m"), ("count/secrets", "0")],
    )
    .await;
    pods.create(&new, &pod("third")).await.expect("there is room again");
    used(
        &cluster,
        &[("pods", "2"), ("requests.cpu", "200m"), ("count/secrets", "0")],
    )
    .await;
    // A pod that has ended takes no room.
    let ended: Pod = parse("apiVersion: v1\nkind: Pod\nstatus: {phase: Succeeded}\n");
    pods.patch_status("second", &PatchParams::default(), &Patch::Merge(&ended))
        .await
        .expect("the pod ends");
    used(
        &cluster,
        &[("pods", "1"), ("requests.cpu", "100m"), ("count/secrets", "0")],
    )
    .await;
    cluster.stop().await;
}

/// What is counted anew while others write must not hide what they took.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_that_is_counted_while_others_write_is_never_exceeded() {
    let cluster = Cluster::start().await;
    let secrets = cluster.api::<Secret>("default");
    let new = PostParams::default();
    let quotas = cluster.api::<ResourceQuota>("default");
    quotas
        .create(&new, &quota("{secrets: '5'}"))
        .await
        .expect("the quota is accepted");
    used(&cluster, &[("secrets", "0")]).await;
    for round in 0..10 {
        let made = join_all((0..8).map(|number| {
            let secrets = &secrets;
            let new = &new;
            async move {
                let yaml = format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s{round}-{number}}}\n");
                secrets.create(new, &parse(&yaml)).await.is_ok()
            }
        }))
        .await;
        let all = secrets.list(&ListParams::default()).await.expect("secrets are listed");
        assert!(
            all.items.len() <= 5,
            "round {round}: {} of 5, made {made:?}",
            all.items.len()
        );
        for secret in all.items.iter().skip(1) {
            let name = secret.metadata.name.as_deref().unwrap_or_default();
            let deleted = secrets.delete(name, &DeleteParams::default()).await;
            deleted.expect("the secret is deleted");
        }
    }
    let left = secrets.list(&ListParams::default()).await.expect("secrets are listed");
    let left = left.items.len().to_string();
    used(&cluster, &[("secrets", &left)]).await;
    cluster.stop().await;
}
