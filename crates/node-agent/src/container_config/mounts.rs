//! What a container sees of the pod's volumes, and the files that the agent gives it.

use std::path::{Path, PathBuf};

use cri_api::v1 as cri;
use k8s_openapi::api::core::v1::{Container, VolumeMount};
use pod_lifecycle::expansion::expand;

use super::{ConfigError, Prepared};

/// All mounts of a container, its volumes first.
pub(super) fn of(
    container: &Container,
    prepared: &Prepared<'_>,
    message_path: &str,
) -> Result<Vec<cri::Mount>, ConfigError> {
    let mut mounts = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let Some(volume) = prepared.volumes.get(&mount.name) else {
            let (volume, container) = (mount.name.clone(), container.name.clone());
            return Err(ConfigError::Volume { volume, container });
        };
        let read_only = mount.read_only == Some(true);
        mounts.push(cri::Mount {
            container_path: absolute(&mount.mount_path),
            host_path: sub_path(volume, mount, &prepared.variables)?
                .to_string_lossy()
                .into_owned(),
            readonly: read_only,
            recursive_read_only: read_only && mount.recursive_read_only.as_deref() == Some("Enabled"),
            propagation: match mount.mount_propagation.as_deref() {
                Some("HostToContainer") => cri::MountPropagation::PropagationHostToContainer,
                Some("Bidirectional") => cri::MountPropagation::PropagationBidirectional,
                _ => cri::MountPropagation::PropagationPrivate,
            }
            .into(),
            ..Default::default()
        });
    }
    let mut own_file = |path: &str, host: &Path| {
        if mounts.iter().all(|mount: &cri::Mount| mount.container_path != path) {
            let host_path = host.to_string_lossy().into_owned();
            mounts.push(cri::Mount {
                container_path: path.to_owned(),
                host_path,
                ..Default::default()
            });
        }
    };
    own_file("/etc/hosts", &prepared.paths.hosts());
    own_file(message_path, &prepared.message_file);
    Ok(mounts)
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    }
}

/// The part of a volume that a mount names; the API server has refused absolute ones, expansion could still make one.
fn sub_path(volume: &Path, mount: &VolumeMount, variables: &[(String, String)]) -> Result<PathBuf, ConfigError> {
    let lookup = |name: &str| {
        variables
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    };
    let part = match (&mount.sub_path_expr, &mount.sub_path) {
        (Some(expression), _) if !expression.is_empty() => expand(expression, &lookup),
        (_, Some(path)) if !path.is_empty() => path.clone(),
        _ => return Ok(volume.to_owned()),
    };
    let relative = Path::new(&part);
    if relative.is_absolute()
        || relative
            .components()
            .any(|part| matches!(part, std::path::Component::ParentDir))
    {
        return Err(ConfigError::SubPath(part));
    }
    Ok(volume.join(relative))
}
