//! When the finalizers come and go.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    EphemeralVolumeSource, PersistentVolumeClaimVolumeSource, PersistentVolumeStatus, PodSpec, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};

use super::*;

fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta {
        namespace: Some("shop".into()),
        name: Some(name.into()),
        uid: Some(format!("uid-of-{name}")),
        ..ObjectMeta::default()
    }
}

fn claim(name: &str, deleting: bool) -> PersistentVolumeClaim {
    let mut metadata = metadata(name);
    if deleting {
        metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        metadata.finalizers = Some(vec!["example.com/own".into(), CLAIM_FINALIZER.into()]);
    }
    PersistentVolumeClaim {
        metadata,
        ..PersistentVolumeClaim::default()
    }
}

fn pod(node: &str, volume: Volume) -> Pod {
    let spec = PodSpec {
        node_name: (!node.is_empty()).then(|| node.to_owned()),
        volumes: Some(vec![volume]),
        ..PodSpec::default()
    };
    Pod {
        metadata: metadata("web"),
        spec: Some(spec),
        status: None,
    }
}

fn mounting(claim: &str) -> Volume {
    Volume {
        name: "data".into(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim.into(),
            read_only: None,
        }),
        ..Volume::default()
    }
}

fn ephemeral() -> Volume {
    Volume {
        name: "data".into(),
        ephemeral: Some(EphemeralVolumeSource::default()),
        ..Volume::default()
    }
}

/// The finalizers that a plan sets.
fn finalizers(plan: &Plan) -> Option<Vec<String>> {
    match plan.steps.first().map(|step| &step.change) {
        Some(Change::PatchMetadata { patch, .. }) => patch.finalizers.clone(),
        None => None,
        other => panic!("only finalizers change: {other:?}"),
    }
}

fn planned(claim: &PersistentVolumeClaim, pods: Vec<Pod>) -> Option<Vec<String>> {
    let mut world = World::default();
    for pod in pods {
        world.pods.insert(Arc::new(pod));
    }
    finalizers(&ClaimProtection.plan(claim, &world, Timestamp::UNIX_EPOCH))
}

#[test]
fn a_claim_loses_its_finalizer_with_the_last_pod_on_a_node_that_mounts_it() {
    let kept = Some(vec!["example.com/own".to_owned()]);
    let deleting = claim("data", true);
    assert_eq!(
        planned(&claim("data", false), vec![]),
        Some(vec![CLAIM_FINALIZER.into()])
    );
    assert_eq!(planned(&deleting, vec![]), kept);
    assert_eq!(planned(&deleting, vec![pod("node", mounting("data"))]), None);
    assert_eq!(planned(&deleting, vec![pod("", mounting("data"))]), kept, "no node yet");
    assert_eq!(planned(&deleting, vec![pod("node", mounting("other"))]), kept);
}

#[test]
fn a_pods_own_claim_is_in_use_while_the_pod_is_not_shut_down() {
    let mut own = claim("web-data", true);
    assert!(
        planned(&own, vec![pod("node", ephemeral())]).is_some(),
        "another's claim of that name"
    );
    own.metadata.owner_references = Some(vec![OwnerReference {
        uid: "uid-of-web".into(),
        controller: Some(true),
        ..OwnerReference::default()
    }]);
    let mut user = pod("node", ephemeral());
    assert_eq!(planned(&own, vec![user.clone()]), None);
    user.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    user.metadata.deletion_grace_period_seconds = Some(0);
    assert!(planned(&own, vec![user]).is_some());
}

#[test]
fn a_pod_that_goes_lets_its_claims_be_looked_at() {
    let world = World::default();
    let user = pod("node", mounting("data"));
    let roots = ClaimProtection.roots_of(Observation::Pod(&user), &world);
    assert_eq!(roots, [ObjectKey::namespaced("shop", "data")]);
}

#[test]
fn a_volume_keeps_its_finalizer_while_it_is_bound() {
    let volume = |phase: &str, deleting: bool| {
        let mut metadata = metadata("volume");
        metadata.finalizers = Some(vec![VOLUME_FINALIZER.into()]);
        metadata.deletion_timestamp = deleting.then_some(Time(Timestamp::UNIX_EPOCH));
        PersistentVolume {
            metadata,
            status: Some(PersistentVolumeStatus {
                phase: Some(phase.into()),
                ..PersistentVolumeStatus::default()
            }),
            ..PersistentVolume::default()
        }
    };
    let planned = |volume| finalizers(&VolumeProtection.plan(&volume, &World::default(), Timestamp::UNIX_EPOCH));
    assert_eq!(planned(volume("Bound", true)), None);
    assert_eq!(planned(volume("Released", true)), Some(vec![]));
    assert_eq!(planned(volume("Released", false)), None);
}
