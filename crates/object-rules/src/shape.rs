//! The fields that upstream's types write even when nothing was set, so that clients of typed languages find them.
//!
//! In Go a struct that is no pointer is always written, and so is a number or text whose field is required. Clients rely on it:
//! they read `status.replicas` of a new object without asking first whether there is a status. Lists that Go writes as `null` are
//! left out here: no client can tell that from absence but by failing.

use kube_types::dynamic::{Map, Object, Value};

use crate::tree::ensure;

/// What is written where nothing was set.
#[derive(Clone, Copy, Debug)]
enum Zero {
    Object,
    Number,
    Text,
    False,
}

use Zero::{False, Number, Object as Empty, Text};

/// Paths (dots between the fields) and what stands there at least, by group and kind. Source: `k8s.io/api/<group>/<version>/types.go`.
type Fields = &'static [(&'static str, Zero)];

static WRITTEN: &[(&str, &str, Fields)] = &[
    (
        "",
        "Event",
        &[
            ("source", Empty),
            ("reportingComponent", Text),
            ("reportingInstance", Text),
        ],
    ),
    ("", "Namespace", &[("spec", Empty), ("status", Empty)]),
    (
        "",
        "Node",
        &[
            ("spec", Empty),
            ("status.daemonEndpoints.kubeletEndpoint.Port", Number),
            ("status.nodeInfo.architecture", Text),
            ("status.nodeInfo.bootID", Text),
            ("status.nodeInfo.containerRuntimeVersion", Text),
            ("status.nodeInfo.kernelVersion", Text),
            ("status.nodeInfo.kubeProxyVersion", Text),
            ("status.nodeInfo.kubeletVersion", Text),
            ("status.nodeInfo.machineID", Text),
            ("status.nodeInfo.operatingSystem", Text),
            ("status.nodeInfo.osImage", Text),
            ("status.nodeInfo.systemUUID", Text),
        ],
    ),
    ("", "PersistentVolume", &[("status", Empty)]),
    (
        "",
        "PersistentVolumeClaim",
        &[("spec.resources", Empty), ("status", Empty)],
    ),
    ("", "Pod", &[("status", Empty)]),
    ("", "ReplicationController", &[("status.replicas", Number)]),
    ("", "ResourceQuota", &[("spec", Empty), ("status", Empty)]),
    ("", "Service", &[("spec", Empty), ("status.loadBalancer", Empty)]),
    ("apps", "ControllerRevision", &[("revision", Number)]),
    (
        "apps",
        "DaemonSet",
        &[
            ("status.currentNumberScheduled", Number),
            ("status.desiredNumberScheduled", Number),
            ("status.numberMisscheduled", Number),
            ("status.numberReady", Number),
        ],
    ),
    ("apps", "Deployment", &[("status", Empty)]),
    ("apps", "ReplicaSet", &[("status.replicas", Number)]),
    (
        "apps",
        "StatefulSet",
        &[("status.availableReplicas", Number), ("status.replicas", Number)],
    ),
    (
        "autoscaling",
        "HorizontalPodAutoscaler",
        &[("status.desiredReplicas", Number)],
    ),
    ("batch", "CronJob", &[("status", Empty)]),
    ("batch", "Job", &[("status", Empty)]),
    ("certificates.k8s.io", "CertificateSigningRequest", &[("status", Empty)]),
    ("coordination.k8s.io", "Lease", &[("spec", Empty)]),
    (
        "policy",
        "PodDisruptionBudget",
        &[
            ("spec", Empty),
            ("status.currentHealthy", Number),
            ("status.desiredHealthy", Number),
            ("status.disruptionsAllowed", Number),
            ("status.expectedPods", Number),
        ],
    ),
    (
        "networking.k8s.io",
        "Ingress",
        &[("spec", Empty), ("status.loadBalancer", Empty)],
    ),
    ("networking.k8s.io", "IngressClass", &[("spec", Empty)]),
    ("networking.k8s.io", "NetworkPolicy", &[("spec.podSelector", Empty)]),
    (
        "networking.k8s.io",
        "ServiceCIDR",
        &[("spec", Empty), ("status", Empty)],
    ),
    ("storage.k8s.io", "CSIDriver", &[("spec", Empty)]),
    ("storage.k8s.io", "VolumeAttachment", &[("status.attached", False)]),
    ("resource.k8s.io", "DeviceClass", &[("spec", Empty)]),
    (
        "resource.k8s.io",
        "ResourceClaim",
        &[("spec.devices", Empty), ("status", Empty)],
    ),
    (
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicy",
        &[("status", Empty)],
    ),
    ("apiregistration.k8s.io", "APIService", &[("status", Empty)]),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema", &[("status", Empty)]),
    (
        "flowcontrol.apiserver.k8s.io",
        "PriorityLevelConfiguration",
        &[("status", Empty)],
    ),
];

/// Writes what upstream's type of the kind always writes and the object lacks.
pub fn complete(group: &str, kind: &str, object: &mut Object) {
    let found = WRITTEN.iter().find(|(of, name, _)| *of == group && *name == kind);
    for (path, zero) in found.iter().flat_map(|(_, _, fields)| fields.iter()) {
        let (parents, field) = path.rsplit_once('.').unwrap_or(("", path));
        let parent = parents
            .split('.')
            .filter(|name| !name.is_empty())
            .fold(&mut object.0, |node, name| ensure(node, name));
        if parent.get(field).is_none_or(Value::is_null) {
            parent.insert(field.to_owned(), zero.value());
        }
    }
}

impl Zero {
    fn value(self) -> Value {
        match self {
            Self::Object => Value::Object(Map::new()),
            Self::Number => 0.into(),
            Self::Text => "".into(),
            Self::False => false.into(),
        }
    }
}

#[cfg(test)]
mod tests;
