//! What Fargate does not run, in the words of its scheduler.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Volume};

/// Why a pod cannot run on Fargate; `None` when it can.
#[must_use]
pub fn unsupported(pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let fields = fields(spec);
    let security = security(spec);
    let volumes: Vec<String> = spec.volumes.iter().flatten().filter_map(volume).collect();
    let mut parts = Vec::new();
    if !fields.is_empty() {
        parts.push(format!("fields not supported: {}", fields.join(", ")));
    }
    if !security.is_empty() {
        parts.push(format!("invalid SecurityContext fields: {}", security.join(", ")));
    }
    if !volumes.is_empty() {
        parts.push(format!("volumes not supported: {}", volumes.join(", ")));
    }
    (!parts.is_empty()).then(|| format!("Pod not supported on Fargate: {}", parts.join(", ")))
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers.iter().flatten().chain(&spec.containers)
}

/// Fields that need a node of one's own choice, or its own network.
fn fields(spec: &PodSpec) -> Vec<&'static str> {
    let on = |flag: Option<bool>| flag == Some(true);
    let mut ports = containers(spec).flat_map(|container| container.ports.iter().flatten());
    let has_devices = containers(spec).any(|container| {
        let limits = container
            .resources
            .iter()
            .flat_map(|resources| resources.limits.iter().flatten());
        limits
            .into_iter()
            .any(|(name, _)| name.ends_with("/gpu") || name.ends_with("/neuron"))
    });
    // A container with host networking has its ports filled in as host ports.
    let has_host_port = !on(spec.host_network) && ports.any(|port| port.host_port.is_some_and(|port| port > 0));
    let found = [
        (on(spec.host_network), "HostNetwork"),
        (on(spec.host_pid), "HostPID"),
        (on(spec.host_ipc), "HostIPC"),
        (has_host_port, "port contains HostPort"),
        (has_devices, "GPU"),
    ];
    found
        .into_iter()
        .filter(|(has, _)| *has)
        .map(|(_, name)| name)
        .collect()
}

fn security(spec: &PodSpec) -> Vec<&'static str> {
    let is_privileged = containers(spec).any(|container| {
        let context = container.security_context.as_ref();
        context.and_then(|context| context.privileged) == Some(true)
    });
    is_privileged.then_some("Privileged").into_iter().collect()
}

/// A volume that a Fargate node cannot have.
fn volume(volume: &Volume) -> Option<String> {
    let kind = if volume.host_path.is_some() {
        "HostPath"
    } else if volume.aws_elastic_block_store.is_some() {
        "AWSElasticBlockStore"
    } else {
        return None;
    };
    Some(format!("{} is of an unsupported volume Type: {kind}", volume.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(yaml: &str) -> String {
        let pod: Pod = serde_saphyr::from_str(&format!("metadata: {{name: a}}\nspec: {yaml}")).unwrap();
        unsupported(&pod).unwrap_or_else(|| "runs".to_owned())
    }

    #[test]
    fn what_needs_the_node_itself_is_refused_in_fargate_s_words() {
        assert_eq!(said("{containers: [{name: a, image: a}]}"), "runs");
        assert_eq!(
            said("{hostNetwork: true, containers: [{name: a, ports: [{containerPort: 80, hostPort: 80}]}]}"),
            "Pod not supported on Fargate: fields not supported: HostNetwork"
        );
        assert_eq!(
            said(
                "{containers: [{name: a, ports: [{containerPort: 80, hostPort: 80}], securityContext: {privileged: true}}], volumes: [{name: v, hostPath: {path: /}}]}"
            ),
            "Pod not supported on Fargate: fields not supported: port contains HostPort, invalid SecurityContext fields: \
             Privileged, volumes not supported: v is of an unsupported volume Type: HostPath"
        );
    }
}
