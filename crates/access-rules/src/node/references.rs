//! Which objects a pod refers to, and so lets its node read.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Pod, PodSpec, Volume};

use super::graph::Referred;

/// A pod that the node itself has made known; what it names grants nothing.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Everything that a pod refers to in its namespace.
pub(super) fn references(pod: &Pod) -> BTreeSet<(Referred, String)> {
    let mirror = pod.metadata.annotations.iter().flatten().any(|(key, _)| key == MIRROR);
    if mirror {
        return BTreeSet::new();
    }
    let mut found = referred(pod);
    if let Some(status) = &pod.status {
        let made = status.resource_claim_statuses.iter().flatten();
        let names = made.filter_map(|claim| claim.resource_claim_name.clone());
        found.extend(names.map(|name| (Referred::ResourceClaim, name)));
        let extended = status.extended_resource_claim_status.as_ref();
        found.extend(extended.map(|claim| (Referred::ResourceClaim, claim.resource_claim_name.clone())));
    }
    found
}

/// What a pod's specification refers to, whether that grants anything or not.
#[must_use]
pub fn referred(pod: &Pod) -> BTreeSet<(Referred, String)> {
    let mut found = BTreeSet::new();
    if let Some(spec) = &pod.spec {
        collect(spec, pod.metadata.name.as_deref().unwrap_or_default(), &mut found);
    }
    found
}

fn collect(spec: &PodSpec, pod: &str, found: &mut BTreeSet<(Referred, String)>) {
    let mut add = |kind, name: &str| {
        if !name.is_empty() {
            found.insert((kind, name.to_owned()));
        }
    };
    add(
        Referred::ServiceAccount,
        spec.service_account_name.as_deref().unwrap_or("default"),
    );
    for secret in spec.image_pull_secrets.iter().flatten() {
        add(Referred::Secret, &secret.name);
    }
    for claim in spec.resource_claims.iter().flatten() {
        add(
            Referred::ResourceClaim,
            claim.resource_claim_name.as_deref().unwrap_or_default(),
        );
    }
    let ordinary = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let sources = ordinary.map(|one| (&one.env, &one.env_from));
    let ephemeral = spec
        .ephemeral_containers
        .iter()
        .flatten()
        .map(|one| (&one.env, &one.env_from));
    for (env, env_from) in sources.chain(ephemeral) {
        for from in env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
            add(
                Referred::Secret,
                from.secret_key_ref.as_ref().map_or("", |key| &key.name),
            );
            add(
                Referred::ConfigMap,
                from.config_map_key_ref.as_ref().map_or("", |key| &key.name),
            );
        }
        for from in env_from.iter().flatten() {
            add(
                Referred::Secret,
                from.secret_ref.as_ref().map_or("", |secret| &secret.name),
            );
            add(
                Referred::ConfigMap,
                from.config_map_ref.as_ref().map_or("", |map| &map.name),
            );
        }
    }
    for volume in spec.volumes.iter().flatten() {
        collect_volume(volume, pod, &mut add);
    }
}

fn collect_volume(volume: &Volume, pod: &str, add: &mut impl FnMut(Referred, &str)) {
    add(
        Referred::Secret,
        volume
            .secret
            .as_ref()
            .and_then(|one| one.secret_name.as_deref())
            .unwrap_or_default(),
    );
    add(
        Referred::ConfigMap,
        volume.config_map.as_ref().map_or("", |one| &one.name),
    );
    add(
        Referred::Claim,
        volume
            .persistent_volume_claim
            .as_ref()
            .map_or("", |one| &one.claim_name),
    );
    if volume.ephemeral.is_some() {
        add(Referred::Claim, &format!("{pod}-{}", volume.name));
    }
    let driver_secret = volume.csi.as_ref().and_then(|one| one.node_publish_secret_ref.as_ref());
    add(Referred::Secret, driver_secret.map_or("", |one| &one.name));
    for source in volume.projected.iter().flat_map(|one| one.sources.iter().flatten()) {
        add(Referred::Secret, source.secret.as_ref().map_or("", |one| &one.name));
        add(
            Referred::ConfigMap,
            source.config_map.as_ref().map_or("", |one| &one.name),
        );
    }
}
