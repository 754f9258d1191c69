//! The level restricted.

use k8s_openapi::api::core::v1::{SeccompProfile, Volume};

use super::{Found, Pod, named, plural, quoted};

/// In the order of the rules' names.
pub(super) fn check(pod: &Pod<'_>, found: &mut Found) {
    if !pod.is_windows() {
        escalation(pod, found);
        capabilities(pod, found);
    }
    volumes(pod, found);
    if pod.spec.host_users != Some(false) {
        non_root(pod, found);
        user(pod, found);
    }
    if !pod.is_windows() {
        seccomp(pod, found);
    }
}

fn escalation(pod: &Pod<'_>, found: &mut Found) {
    let names = pod.containers_with(|one| one.security.and_then(|s| s.allow_privilege_escalation) != Some(false));
    if !names.is_empty() {
        let detail = format!(
            "{} must set securityContext.allowPrivilegeEscalation=false",
            named(&names)
        );
        found.push(("allowPrivilegeEscalation != false", detail));
    }
}

fn capabilities(pod: &Pod<'_>, found: &mut Found) {
    let keeps = pod.containers_with(|one| {
        let drop = one.capabilities().and_then(|c| c.drop.as_deref()).unwrap_or_default();
        !drop.iter().any(|name| name == "ALL")
    });
    let extra = |one: &super::Container<'_>| -> Vec<String> {
        let add = one.capabilities().and_then(|c| c.add.clone()).unwrap_or_default();
        add.into_iter().filter(|name| name != "NET_BIND_SERVICE").collect()
    };
    let adds = pod.containers_with(|one| !extra(one).is_empty());
    let mut added: Vec<String> = pod.containers.iter().flat_map(extra).collect();
    added.sort();
    let mut details = Vec::new();
    if !keeps.is_empty() {
        details.push(format!(
            "{} must set securityContext.capabilities.drop=[\"ALL\"]",
            named(&keeps)
        ));
    }
    if !adds.is_empty() {
        details.push(format!(
            "{} must not include {} in securityContext.capabilities.add",
            named(&adds),
            quoted(&added)
        ));
    }
    if !details.is_empty() {
        found.push(("unrestricted capabilities", details.join("; ")));
    }
}

/// The type of a volume that is not allowed.
fn forbidden_type(volume: &Volume) -> Option<&'static str> {
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
        ("portworxVolume", volume.portworx_volume.is_some()),
        ("scaleIO", volume.scale_io.is_some()),
        ("storageos", volume.storageos.is_some()),
    ];
    types.into_iter().find(|(_, is)| *is).map(|(name, _)| name)
}

fn volumes(pod: &Pod<'_>, found: &mut Found) {
    let all = pod.spec.volumes.iter().flatten();
    let (names, mut types): (Vec<&str>, Vec<&str>) = all
        .filter_map(|volume| Some((volume.name.as_str(), forbidden_type(volume)?)))
        .unzip();
    types.sort_unstable();
    types.dedup();
    if names.is_empty() {
        return;
    }
    let detail = format!(
        "{} {} {} restricted volume {} {}",
        plural(names.len(), "volume", "volumes"),
        quoted(&names),
        plural(names.len(), "uses", "use"),
        plural(types.len(), "type", "types"),
        quoted(&types)
    );
    found.push(("restricted volume types", detail));
}

fn non_root(pod: &Pod<'_>, found: &mut Found) {
    let of_pod = pod.spec.security_context.as_ref().and_then(|s| s.run_as_non_root);
    let of = |one: &super::Container<'_>| one.security.and_then(|s| s.run_as_non_root);
    let explicit = pod.containers_with(|one| of(one) == Some(false));
    let implicit = pod.containers_with(|one| of(one).is_none() && of_pod.is_none());
    let mut details = Vec::new();
    if !explicit.is_empty() {
        details.push(format!(
            "{} must not set securityContext.runAsNonRoot=false",
            named(&explicit)
        ));
    }
    let all_say_so = pod.containers.iter().all(|one| of(one) == Some(true));
    if of_pod == Some(false) && !all_say_so {
        details.insert(0, "pod must not set securityContext.runAsNonRoot=false".to_owned());
    }
    if details.is_empty() && !implicit.is_empty() {
        details.push(format!(
            "pod or {} must set securityContext.runAsNonRoot=true",
            named(&implicit)
        ));
    }
    if !details.is_empty() {
        found.push(("runAsNonRoot != true", details.join(", ")));
    }
}

fn user(pod: &Pod<'_>, found: &mut Found) {
    let of_pod = pod.spec.security_context.as_ref().and_then(|s| s.run_as_user);
    let names = pod.containers_with(|one| one.security.and_then(|s| s.run_as_user) == Some(0));
    let mut setters = Vec::new();
    if of_pod == Some(0) {
        setters.push("pod".to_owned());
    }
    if !names.is_empty() {
        setters.push(named(&names));
    }
    if !setters.is_empty() {
        found.push((
            "runAsUser=0",
            format!("{} must not set runAsUser=0", setters.join(" and ")),
        ));
    }
}

fn seccomp(pod: &Pod<'_>, found: &mut Found) {
    let allowed = |profile: &SeccompProfile| matches!(profile.type_.as_str(), "RuntimeDefault" | "Localhost");
    let of_pod = pod
        .spec
        .security_context
        .as_ref()
        .and_then(|s| s.seccomp_profile.as_ref());
    let of = |one: &super::Container<'_>| one.security.and_then(|s| s.seccomp_profile.as_ref()).map(allowed);
    let explicit = pod.containers_with(|one| of(one) == Some(false));
    let implicit = pod.containers_with(|one| of(one).is_none() && !of_pod.is_some_and(allowed));
    let mut details = Vec::new();
    if of_pod.is_some_and(|profile| !allowed(profile)) {
        details.push(format!(
            "pod must not set securityContext.seccompProfile.type to {:?}",
            of_pod.map(|profile| profile.type_.as_str()).unwrap_or_default()
        ));
    }
    if !explicit.is_empty() {
        details.push(format!(
            "{} must not set securityContext.seccompProfile.type to \"Unconfined\"",
            named(&explicit)
        ));
    }
    if details.is_empty() && !implicit.is_empty() {
        details.push(format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            named(&implicit)
        ));
    }
    if !details.is_empty() {
        found.push(("seccompProfile", details.join(", ")));
    }
}
