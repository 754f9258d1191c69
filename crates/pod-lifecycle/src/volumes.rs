//! Which volumes a pod needs on the node and of what kind; how a container's mounts follow.

use k8s_openapi::api::core::v1::{PodSpec, Volume};
use kube_types::quantity;

/// What has to be prepared for a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A fresh directory, kept as long as the pod.
    EmptyDir {
        /// In memory (tmpfs).
        memory: bool,
        /// Bytes at most.
        size_limit: Option<u64>,
    },
    /// A path of the machine.
    HostPath {
        /// Absolute.
        path: String,
        /// `""`, `Directory`, `DirectoryOrCreate`, `File`, `FileOrCreate`, `Socket`, `CharDevice`, `BlockDevice`.
        kind: String,
    },
    /// Files written and kept up to date by the agent: configMap, secret, downwardAPI, projected.
    Files,
    /// Not served by this version; the name of the source.
    Unsupported(&'static str),
}

/// The kind of a volume.
pub fn source(volume: &Volume) -> Source {
    if let Some(empty) = &volume.empty_dir {
        let limit = empty
            .size_limit
            .as_ref()
            .and_then(|limit| quantity::parse(&limit.0).ok());
        return Source::EmptyDir {
            memory: empty.medium.as_deref() == Some("Memory"),
            size_limit: limit
                .map(|limit| limit.value())
                .filter(|limit| *limit > 0)
                .map(i64::unsigned_abs),
        };
    }
    if let Some(host) = &volume.host_path {
        return Source::HostPath {
            path: host.path.clone(),
            kind: host.type_.clone().unwrap_or_default(),
        };
    }
    let files = volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some();
    if files {
        return Source::Files;
    }
    let names = [
        (volume.persistent_volume_claim.is_some(), "persistentVolumeClaim"),
        (volume.csi.is_some(), "csi"),
        (volume.ephemeral.is_some(), "ephemeral"),
        (volume.nfs.is_some(), "nfs"),
        (volume.image.is_some(), "image"),
        (volume.aws_elastic_block_store.is_some(), "awsElasticBlockStore"),
        (volume.iscsi.is_some(), "iscsi"),
    ];
    let name = names.into_iter().find(|(present, _)| *present).map(|(_, name)| name);
    // A volume without any source is an emptyDir, as the API server's defaults say.
    name.map_or(
        Source::EmptyDir {
            memory: false,
            size_limit: None,
        },
        Source::Unsupported,
    )
}

/// Upstream's directory name of a kind of volume below `pods/<uid>/volumes`.
pub fn plugin_directory(volume: &Volume) -> &'static str {
    if volume.config_map.is_some() {
        "kubernetes.io~configmap"
    } else if volume.secret.is_some() {
        "kubernetes.io~secret"
    } else if volume.downward_api.is_some() {
        "kubernetes.io~downward-api"
    } else if volume.projected.is_some() {
        "kubernetes.io~projected"
    } else {
        "kubernetes.io~empty-dir"
    }
}

/// The group that owns the files of volumes which support ownership.
pub fn fs_group(spec: &PodSpec) -> Option<i64> {
    spec.security_context.as_ref()?.fs_group
}

/// The user whom all containers run as, if they all name the same: token files then belong to it.
pub fn common_user(spec: &PodSpec) -> Option<i64> {
    let of_pod = spec.security_context.as_ref().and_then(|context| context.run_as_user);
    let mut users = crate::spec::init_containers(spec)
        .iter()
        .chain(&spec.containers)
        .map(|container| {
            container
                .security_context
                .as_ref()
                .and_then(|context| context.run_as_user)
                .or(of_pod)
        });
    let first = users.next()??;
    users.all(|user| user == Some(first)).then_some(first)
}
