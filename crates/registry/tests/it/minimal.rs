//! The least that makes an object of each kind. Tests of other crates read this file too.

use kube_types::dynamic::{Value, json};
use registry::ResourceKind;

/// A certificate signing request of somebody who is nobody, as the API takes it.
const REQUEST: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIV01INENBUUF3SERFTU1Bb0dBMVVFQXd3RGIyNWxNUXd3\
    Q2dZRFZRUUtEQU5rWlhZd1dUQVRCZ2NxaGtqTwpQUUlCQmdncWhrak9QUU1CQndOQ0FBUnZKcVh3SFBHL05tY0hLMkM3dDF4\
    UFlUQmdyekc2bDlVd1VldGhKTUFaCmlyOTJzNHZFcGN0b20xT2Zka0trbFFjNWNBMGRaemp6SXVvQjhqNzk3NW1pb0FBd0Nn\
    WUlLb1pJemowRUF3SUQKU0FBd1JRSWhBTVptY2N0MlBONTU0QlVWdmJOL2VJNnh0Sm5oRHJYTzNqV1NxVkVlV2lZb0FpQXpJ\
    dVA3MytCZQpuVy94OHdYNXE1MEZQNDd1S09Vc1AxNDJlVWgvc0hyVU9BPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVT\
    VC0tLS0tCg==";

/// The least that makes an object of a kind.
pub fn minimal(kind: &ResourceKind) -> Value {
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let workload = json!({"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}});
    let job = json!({"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}});
    let mut object = match &*kind.kind {
        "Pod" => json!({"spec": {"containers": [{"name": "c", "image": "i"}]}}),
        "PodTemplate" => json!({"template": template}),
        "ReplicationController" => json!({"spec": {"selector": {"a": "b"}, "template": template}}),
        "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet" => workload,
        "ControllerRevision" => json!({"revision": 1, "data": {"x": {"y": 1}}}),
        "Job" => json!({"spec": job}),
        "CronJob" => json!({"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": job}}}),
        "HorizontalPodAutoscaler" => {
            json!({"spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}})
        }
        "PodDisruptionBudget" => json!({"spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}}),
        "Service" => json!({"spec": {"ports": [{"port": 80}]}}),
        "PersistentVolume" => {
            json!({"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}})
        }
        "PersistentVolumeClaim" => {
            json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
        }
        "Event" if kind.group.is_empty() => {
            json!({"involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"}, "reason": "R", "type": "Normal"})
        }
        "Event" => json!({"regarding": {"kind": "Pod", "namespace": "default", "name": "p"}, "reason": "R",
            "eventTime": "2026-01-01T00:00:00.000000Z", "action": "A", "reportingController": "c",
            "reportingInstance": "i", "type": "Normal"}),
        "EndpointSlice" => json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}]}),
        "Ingress" => json!({"spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}}),
        "IPAddress" => json!({"spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "s"}}}),
        "ServiceCIDR" => json!({"spec": {"cidrs": ["10.9.0.0/24"]}}),
        "NetworkPolicy" => json!({"spec": {"podSelector": {}}}),
        "ClusterRoleBinding" | "RoleBinding" => {
            json!({"roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [{"kind": "User", "name": "u"}]})
        }
        "CertificateSigningRequest" => {
            json!({"spec": {"request": REQUEST, "signerName": "example.com/s", "usages": ["client auth"]}})
        }
        "RuntimeClass" => json!({"handler": "h"}),
        "PriorityClass" => json!({"value": 5}),
        "StorageClass" => json!({"provisioner": "p"}),
        "VolumeAttributesClass" => json!({"driverName": "d"}),
        "CSINode" => json!({"spec": {"drivers": []}}),
        "CSIStorageCapacity" => json!({"storageClassName": "s"}),
        "VolumeAttachment" => {
            json!({"spec": {"attacher": "a", "nodeName": "n", "source": {"persistentVolumeName": "v"}}})
        }
        "FlowSchema" => json!({"spec": {"priorityLevelConfiguration": {"name": "workload-low"}}}),
        "PriorityLevelConfiguration" => {
            json!({"spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}})
        }
        "Widget" => json!({"spec": {"color": "red"}}),
        "ResourceSlice" => {
            json!({"spec": {"driver": "d", "nodeName": "n", "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}}})
        }
        "APIService" => json!({"spec": {"group": "one.example", "version": "v1", "groupPriorityMinimum": 100,
            "versionPriority": 10, "service": {"namespace": "default", "name": "s"}}}),
        "ResourceClaim" | "ResourceClaimTemplate" | "DeviceClass" | "CSIDriver" => json!({"spec": {}}),
        _ => json!({}),
    };
    let name = match &*kind.kind {
        "IPAddress" => "10.100.77.1",
        "APIService" => "v1.one.example",
        _ => "one",
    };
    object["metadata"] = json!({"name": name, "labels": {"l": "1"}});
    object
}
