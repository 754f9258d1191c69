//! The checks of the level restricted.
//!
//! Source: `k8s.io/pod-security-admission/policy/check_*.go`.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Volume;

use super::baseline;
use super::checks::Finding;
use super::pod::{Pod, Setters, containers, plural, quoted};

pub(super) fn escalation(pod: &Pod<'_>) -> Option<Finding> {
    let names = pod.containers_with(|one| one.security.and_then(|s| s.allow_privilege_escalation) != Some(false));
    (!names.is_empty()).then(|| Finding {
        reason: "allowPrivilegeEscalation != false",
        detail: format!(
            "{} must set securityContext.allowPrivilegeEscalation=false",
            containers(&names)
        ),
    })
}

/// Windows pods cannot say it.
pub(super) fn escalation_unless_windows(pod: &Pod<'_>) -> Option<Finding> {
    if pod.is_windows() {
        return None;
    }
    escalation(pod)
}

pub(super) fn capabilities(pod: &Pod<'_>) -> Option<Finding> {
    let keeps = pod.containers_with(|one| {
        let dropped = one.capabilities().and_then(|c| c.drop.as_deref()).unwrap_or_default();
        !dropped.iter().any(|name| name == "ALL")
    });
    let mut details = Vec::new();
    if !keeps.is_empty() {
        details.push(format!(
            "{} must set securityContext.capabilities.drop=[\"ALL\"]",
            containers(&keeps)
        ));
    }
    details.extend(baseline::added_capabilities(pod, &["NET_BIND_SERVICE"]));
    (!details.is_empty()).then(|| Finding {
        reason: "unrestricted capabilities",
        detail: details.join("; "),
    })
}

/// Windows pods have none.
pub(super) fn capabilities_unless_windows(pod: &Pod<'_>) -> Option<Finding> {
    if pod.is_windows() {
        return None;
    }
    capabilities(pod)
}

/// The type of a volume that is not allowed.
fn forbidden_type(volume: &Volume) -> Option<&'static str> {
    let allowed = volume.config_map.is_some()
        || volume.csi.is_some()
        || volume.downward_api.is_some()
        || volume.empty_dir.is_some()
        || volume.ephemeral.is_some()
        || volume.image.is_some()
        || volume.persistent_volume_claim.is_some()
        || volume.projected.is_some()
        || volume.secret.is_some();
    if allowed {
        return None;
    }
    let types = [
        ("hostPath", volume.host_path.is_some()),
        ("gcePersistentDisk", volume.gce_persistent_disk.is_some()),
        ("awsElasticBlockStore", volume.aws_elastic_block_store.is_some()),
        ("gitRepo", volume.git_repo.is_some()),
        ("nfs", volume.nfs.is_some()),
        ("iscsi", volume.iscsi.is_some()),
        ("glusterfs", volume.glusterfs.is_some()),
        ("rbd", volume.rbd.is_some()),
        ("flexVolume", volume.flex_volume.is_some()),
        ("cinder", volume.cinder.is_some()),
        ("cephfs", volume.cephfs.is_some()),
        ("flocker", volume.flocker.is_some()),
        ("fc", volume.fc.is_some()),
        ("azureFile", volume.azure_file.is_some()),
        ("vsphereVolume", volume.vsphere_volume.is_some()),
        ("quobyte", volume.quobyte.is_some()),
        ("azureDisk", volume.azure_disk.is_some()),
        ("photonPersistentDisk", volume.photon_persistent_disk.is_some()),
        ("portworxVolume", volume.portworx_volume.is_some()),
        ("scaleIO", volume.scale_io.is_some()),
        ("storageos", volume.storageos.is_some()),
    ];
    let found = types.into_iter().find(|(_, is)| *is);
    Some(found.map_or("unknown", |(name, _)| name))
}

pub(super) fn volumes(pod: &Pod<'_>) -> Option<Finding> {
    let all = pod.spec.volumes.iter().flatten();
    let wrong = all.filter_map(|volume| Some((volume.name.as_str(), forbidden_type(volume)?)));
    let (names, types): (Vec<&str>, BTreeSet<&str>) = wrong.unzip();
    (!names.is_empty()).then(|| Finding {
        reason: "restricted volume types",
        detail: format!(
            "{} {} {} {} {}",
            plural(names.len(), "volume", "volumes"),
            quoted(&names),
            plural(names.len(), "uses", "use"),
            plural(types.len(), "restricted volume type", "restricted volume types"),
            quoted(&types)
        ),
    })
}

pub(super) fn non_root(pod: &Pod<'_>) -> Option<Finding> {
    let of_pod = pod.security().and_then(|s| s.run_as_non_root);
    let wrong = |given: Option<bool>| (given == Some(false)).then_some([]);
    let setters = Setters::find(pod, |s| wrong(s.run_as_non_root), |s| wrong(s.run_as_non_root));
    let silent = pod.containers_with(|one| one.security.and_then(|s| s.run_as_non_root).is_none());
    let detail = match setters.joined() {
        Some(named) => format!("{named} must not set securityContext.runAsNonRoot=false"),
        None if of_pod != Some(true) && !silent.is_empty() => {
            format!(
                "pod or {} must set securityContext.runAsNonRoot=true",
                containers(&silent)
            )
        }
        None => return None,
    };
    Some(Finding {
        reason: "runAsNonRoot != true",
        detail,
    })
}

/// Root of a pod with users of its own is nobody on the node.
pub(super) fn non_root_of_the_nodes_users(pod: &Pod<'_>) -> Option<Finding> {
    if pod.has_users_of_its_own() {
        return None;
    }
    non_root(pod)
}

pub(super) fn user(pod: &Pod<'_>) -> Option<Finding> {
    let wrong = |given: Option<i64>| (given == Some(0)).then_some([]);
    let setters = Setters::find(pod, |s| wrong(s.run_as_user), |s| wrong(s.run_as_user));
    setters.joined().map(|named| Finding {
        reason: "runAsUser=0",
        detail: format!("{named} must not set runAsUser=0"),
    })
}

pub(super) fn user_of_the_node(pod: &Pod<'_>) -> Option<Finding> {
    if pod.has_users_of_its_own() {
        return None;
    }
    user(pod)
}

pub(super) fn seccomp(pod: &Pod<'_>) -> Option<Finding> {
    let wrong = baseline::seccomp(pod);
    if wrong.is_some() {
        return wrong;
    }
    let of_pod = pod.security().and_then(|s| s.seccomp_profile.as_ref());
    let silent = pod.containers_with(|one| one.security.and_then(|s| s.seccomp_profile.as_ref()).is_none());
    (of_pod.is_none() && !silent.is_empty()).then(|| Finding {
        reason: "seccompProfile",
        detail: format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            containers(&silent)
        ),
    })
}

/// Windows pods have none.
pub(super) fn seccomp_unless_windows(pod: &Pod<'_>) -> Option<Finding> {
    if pod.is_windows() {
        return None;
    }
    seccomp(pod)
}
