//! What a kind's rules are, and the list of all kinds that have some.

use kube_types::dynamic::Object;

use crate::field::Errors;
use crate::names;
use crate::{
    access, api_service, autoscaler, batch, certificate, config, extensions, flow_control, limits, namespace, network,
    platform, pod, service, volume, workload,
};

/// What a deletion does at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    /// The object goes at once.
    Immediate,
    /// The object stays for this many seconds, or until its owner confirms.
    Seconds(i64),
}

/// The rules of one kind. What a kind does not say is upstream's usual behaviour.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Why a name is not allowed, if it is not; `true` = the text is a `generateName` prefix.
    pub name: fn(&str, bool) -> Vec<String>,
    /// Fills what the client left out.
    pub defaults: fn(&mut Object),
    /// Clears what a client may not set on create.
    pub prepare_create: fn(&mut Object),
    /// Restores what a client may not change (new, old).
    pub prepare_update: fn(&mut Object, &Object),
    /// Restores what the status subresource may not change, besides everything outside status and metadata.
    pub prepare_status: fn(&mut Object, &Object),
    /// What is wrong with an object by itself.
    pub validate: fn(&Object, &mut Errors),
    /// What is wrong with a change (new, old).
    pub validate_update: fn(&Object, &Object, &mut Errors),
    /// What is wrong with a change of status (new, old).
    pub validate_status: fn(&Object, &Object, &mut Errors),
    /// What to warn the client of.
    pub warnings: fn(&Object) -> Vec<String>,
    /// The kind counts changes of its spec in `metadata.generation`.
    pub generation: bool,
    /// The kind has a status that only the status subresource writes.
    pub status: bool,
    /// A new object may bring its status along.
    pub status_on_create: bool,
    /// A PUT without resourceVersion is allowed.
    pub unconditional_update: bool,
    /// A PUT of a missing object creates it.
    pub create_on_update: bool,
    /// Something besides finalizers in the metadata holds a deleting object (a namespace's `spec.finalizers`).
    pub held: fn(&Object) -> bool,
    /// What else a deletion writes into an object that stays for now (a namespace's phase); the time is given as text.
    pub mark_deleting: fn(&mut Object, &str),
    /// How a deletion begins; the grace asked for is given.
    pub grace: fn(&Object, Option<i64>) -> Grace,
    /// A deletion answers with the object instead of a `Status`.
    pub returns_deleted: bool,
    /// Dependents are orphaned when the client says nothing.
    pub orphan_by_default: bool,
}

impl Rules {
    /// The behaviour of a kind that says nothing: names are DNS subdomains, a PUT without resourceVersion is allowed.
    pub const NAMED: Self = Self {
        name: |name, prefix| names::with_prefix(names::dns_subdomain, name, prefix),
        defaults: |_| {},
        prepare_create: |_| {},
        prepare_update: |_, _| {},
        prepare_status: |_, _| {},
        validate: |_, _| {},
        validate_update: |_, _, _| {},
        validate_status: |_, _, _| {},
        warnings: |_| Vec::new(),
        generation: false,
        status: false,
        status_on_create: false,
        unconditional_update: true,
        create_on_update: false,
        held: |_| false,
        mark_deleting: |_, _| {},
        grace: |_, _| Grace::Immediate,
        returns_deleted: false,
        orphan_by_default: false,
    };
}

/// How much of a kind's own rules is written; the schema is checked for every kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Defaults and the validation that common manifests meet.
    Rules,
    /// Defaults, and validation of metadata only.
    Defaults,
    /// Metadata and schema only.
    Schema,
}

use Coverage::{Defaults, Rules as Full, Schema};

/// Every kind that has rules, and how much of upstream's rules they are. Kinds that are not listed are never stored.
static ALL: &[(&str, &str, &Rules, Coverage)] = &[
    ("", "ConfigMap", &config::CONFIG_MAP, Full),
    ("", "Endpoints", &network::ENDPOINTS, Defaults),
    ("", "Event", &config::EVENT, Defaults),
    ("", "LimitRange", &limits::LIMIT_RANGE, Full),
    ("", "Namespace", &namespace::NAMESPACE, Full),
    ("", "Node", &namespace::NODE, Full),
    ("", "PersistentVolume", &volume::PERSISTENT_VOLUME, Full),
    ("", "PersistentVolumeClaim", &volume::PERSISTENT_VOLUME_CLAIM, Full),
    ("", "Pod", &pod::POD, Full),
    ("", "PodTemplate", &pod::POD_TEMPLATE, Full),
    ("", "ReplicationController", &workload::REPLICATION_CONTROLLER, Full),
    ("", "ResourceQuota", &limits::RESOURCE_QUOTA, Full),
    ("", "Secret", &config::SECRET, Full),
    ("", "Service", &service::SERVICE, Full),
    ("", "ServiceAccount", &config::SERVICE_ACCOUNT, Defaults),
    ("apps", "ControllerRevision", &workload::CONTROLLER_REVISION, Full),
    ("apps", "DaemonSet", &workload::DAEMON_SET, Full),
    ("apps", "Deployment", &workload::DEPLOYMENT, Full),
    ("apps", "ReplicaSet", &workload::REPLICA_SET, Full),
    ("apps", "StatefulSet", &workload::STATEFUL_SET, Full),
    (
        "autoscaling",
        "HorizontalPodAutoscaler",
        &autoscaler::HORIZONTAL_POD_AUTOSCALER,
        Full,
    ),
    ("batch", "CronJob", &batch::CRON_JOB, Full),
    ("batch", "Job", &batch::JOB, Full),
    ("policy", "PodDisruptionBudget", &batch::POD_DISRUPTION_BUDGET, Full),
    ("discovery.k8s.io", "EndpointSlice", &network::ENDPOINT_SLICE, Full),
    ("events.k8s.io", "Event", &config::EVENT, Defaults),
    ("networking.k8s.io", "Ingress", &network::INGRESS, Full),
    ("networking.k8s.io", "IngressClass", &network::INGRESS_CLASS, Defaults),
    ("networking.k8s.io", "IPAddress", &network::IP_ADDRESS, Schema),
    ("networking.k8s.io", "NetworkPolicy", &network::NETWORK_POLICY, Full),
    ("networking.k8s.io", "ServiceCIDR", &network::SERVICE_CIDR, Schema),
    ("coordination.k8s.io", "Lease", &config::LEASE, Full),
    ("rbac.authorization.k8s.io", "ClusterRole", &access::ROLE, Full),
    (
        "rbac.authorization.k8s.io",
        "ClusterRoleBinding",
        &access::CLUSTER_ROLE_BINDING,
        Full,
    ),
    ("rbac.authorization.k8s.io", "Role", &access::ROLE, Full),
    ("rbac.authorization.k8s.io", "RoleBinding", &access::ROLE_BINDING, Full),
    (
        "certificates.k8s.io",
        "CertificateSigningRequest",
        &certificate::CERTIFICATE_SIGNING_REQUEST,
        Full,
    ),
    ("node.k8s.io", "RuntimeClass", &platform::RUNTIME_CLASS, Full),
    ("scheduling.k8s.io", "PriorityClass", &platform::PRIORITY_CLASS, Full),
    ("storage.k8s.io", "CSIDriver", &platform::CSI_DRIVER, Defaults),
    ("storage.k8s.io", "CSINode", &platform::RETURNED, Schema),
    ("storage.k8s.io", "CSIStorageCapacity", &platform::PLAIN, Schema),
    ("storage.k8s.io", "StorageClass", &platform::STORAGE_CLASS, Full),
    (
        "storage.k8s.io",
        "VolumeAttachment",
        &platform::VOLUME_ATTACHMENT,
        Schema,
    ),
    ("storage.k8s.io", "VolumeAttributesClass", &platform::RETURNED, Schema),
    ("resource.k8s.io", "DeviceClass", &platform::RETURNED, Schema),
    ("resource.k8s.io", "ResourceClaim", &platform::RESOURCE_CLAIM, Schema),
    ("resource.k8s.io", "ResourceClaimTemplate", &platform::RETURNED, Schema),
    ("resource.k8s.io", "ResourceSlice", &platform::RETURNED, Schema),
    (
        "admissionregistration.k8s.io",
        "MutatingAdmissionPolicy",
        &extensions::POLICY,
        Defaults,
    ),
    (
        "admissionregistration.k8s.io",
        "MutatingAdmissionPolicyBinding",
        &extensions::COUNTED,
        Schema,
    ),
    (
        "admissionregistration.k8s.io",
        "MutatingWebhookConfiguration",
        &extensions::MUTATING_WEBHOOKS,
        Full,
    ),
    (
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicy",
        &extensions::POLICY,
        Defaults,
    ),
    (
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicyBinding",
        &extensions::COUNTED,
        Schema,
    ),
    (
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
        &extensions::VALIDATING_WEBHOOKS,
        Full,
    ),
    (
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        // Its rules need those of custom resources, and stand with them.
        &extensions::COUNTED,
        Full,
    ),
    ("apiregistration.k8s.io", "APIService", &api_service::RULES, Full),
    (
        "flowcontrol.apiserver.k8s.io",
        "FlowSchema",
        &flow_control::FLOW_SCHEMA,
        Full,
    ),
    (
        "flowcontrol.apiserver.k8s.io",
        "PriorityLevelConfiguration",
        &flow_control::PRIORITY_LEVEL,
        Full,
    ),
];

fn find(group: &str, kind: &str) -> Option<&'static (&'static str, &'static str, &'static Rules, Coverage)> {
    ALL.iter().find(|(of, name, _, _)| *of == group && *name == kind)
}

/// The rules of a kind.
pub fn rules(group: &str, kind: &str) -> &'static Rules {
    static NAMED: Rules = Rules::NAMED;
    find(group, kind).map_or(&NAMED, |(_, _, rules, _)| rules)
}

/// How much of a kind's rules is written; `None` for kinds without any.
pub fn coverage(group: &str, kind: &str) -> Option<Coverage> {
    find(group, kind).map(|(_, _, _, coverage)| *coverage)
}
