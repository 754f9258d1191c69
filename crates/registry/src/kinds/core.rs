//! Kinds of the core group.

use std::borrow::Cow;

use super::{
    CREATE, CREATE_AND_GET, FieldPath, Handler, PROXY, READ_AND_CHANGE, ResourceKind, ScalePaths, SelectableField,
    Verb, field, kind,
};
use crate::columns::{core as columns, events, nodes, pods, services, storage, workloads};

pub(super) fn kinds() -> Vec<ResourceKind> {
    vec![
        bindings(),
        config_maps(),
        endpoints(),
        events(),
        limit_ranges(),
        namespaces(),
        nodes(),
        persistent_volume_claims(),
        persistent_volumes(),
        pods(),
        pod_templates(),
        replication_controllers(),
        resource_quotas(),
        secrets(),
        service_accounts(),
        services(),
    ]
}

/// A binding makes a pod's `spec.nodeName`; it is never stored.
fn bindings() -> ResourceKind {
    kind("", "v1", "Binding", "bindings").create_only()
}

fn config_maps() -> ResourceKind {
    kind("", "v1", "ConfigMap", "configmaps")
        .short(&["cm"])
        .printer(&columns::CONFIG_MAPS)
}

fn endpoints() -> ResourceKind {
    kind("", "v1", "Endpoints", "endpoints")
        .short(&["ep"])
        .prefix("/registry/services/endpoints/")
        .printer(&services::ENDPOINTS)
}

pub(super) const EVENT_FIELDS: &[SelectableField] = &[
    field("involvedObject.kind", &["involvedObject", "kind"]),
    field("involvedObject.namespace", &["involvedObject", "namespace"]),
    field("involvedObject.name", &["involvedObject", "name"]),
    field("involvedObject.uid", &["involvedObject", "uid"]),
    field("involvedObject.apiVersion", &["involvedObject", "apiVersion"]),
    field("involvedObject.resourceVersion", &["involvedObject", "resourceVersion"]),
    field("involvedObject.fieldPath", &["involvedObject", "fieldPath"]),
    field("reason", &["reason"]),
    field("reportingComponent", &["reportingComponent"]),
    field("source", &["source", "component"]),
    field("type", &["type"]),
];

/// Seconds that upstream keeps events (`--event-ttl`).
pub(super) const EVENT_SECONDS: u64 = 3600;

fn events() -> ResourceKind {
    kind("", "v1", "Event", "events")
        .short(&["ev"])
        .fields(EVENT_FIELDS)
        .time_to_live(EVENT_SECONDS)
        .printer(&events::EVENTS)
}

fn limit_ranges() -> ResourceKind {
    kind("", "v1", "LimitRange", "limitranges")
        .short(&["limits"])
        .printer(&columns::CREATED_AT)
}

fn namespaces() -> ResourceKind {
    const VERBS: &[Verb] = &[
        Verb::Create,
        Verb::Delete,
        Verb::Get,
        Verb::List,
        Verb::Patch,
        Verb::Update,
        Verb::Watch,
    ];
    const FIELDS: &[SelectableField] = &[field("status.phase", &["status", "phase"])];
    let mut kind = kind("", "v1", "Namespace", "namespaces")
        .cluster()
        .short(&["ns"])
        .fields(FIELDS)
        .below("finalize", &[Verb::Update], None, Handler::Finalize)
        .status()
        .printer(&columns::NAMESPACES);
    kind.verbs = VERBS;
    kind
}

fn nodes() -> ResourceKind {
    const FIELDS: &[SelectableField] = &[SelectableField {
        name: Cow::Borrowed("spec.unschedulable"),
        path: FieldPath::BuiltIn(&["spec", "unschedulable"]),
        absent: "false",
    }];
    kind("", "v1", "Node", "nodes")
        .cluster()
        .short(&["no"])
        .prefix("/registry/minions/")
        .fields(FIELDS)
        .connect("proxy", PROXY, "NodeProxyOptions")
        .status()
        .printer(&nodes::NODES)
}

fn persistent_volume_claims() -> ResourceKind {
    kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
        .short(&["pvc"])
        .status()
        .printer(&storage::PERSISTENT_VOLUME_CLAIMS)
}

fn persistent_volumes() -> ResourceKind {
    kind("", "v1", "PersistentVolume", "persistentvolumes")
        .cluster()
        .short(&["pv"])
        .status()
        .printer(&storage::PERSISTENT_VOLUMES)
}

fn pods() -> ResourceKind {
    const FIELDS: &[SelectableField] = &[
        field("spec.nodeName", &["spec", "nodeName"]),
        field("spec.restartPolicy", &["spec", "restartPolicy"]),
        field("spec.schedulerName", &["spec", "schedulerName"]),
        field("spec.serviceAccountName", &["spec", "serviceAccountName"]),
        SelectableField {
            name: Cow::Borrowed("spec.hostNetwork"),
            path: FieldPath::BuiltIn(&["spec", "hostNetwork"]),
            absent: "false",
        },
        field("status.phase", &["status", "phase"]),
        field("status.podIP", &["status", "podIP"]),
        field("status.nominatedNodeName", &["status", "nominatedNodeName"]),
    ];
    kind("", "v1", "Pod", "pods")
        .short(&["po"])
        .category("all")
        .fields(FIELDS)
        .connect("attach", CREATE_AND_GET, "PodAttachOptions")
        .below("binding", CREATE, Some(("", "v1", "Binding")), Handler::Binding)
        .below(
            "ephemeralcontainers",
            READ_AND_CHANGE,
            None,
            Handler::EphemeralContainers,
        )
        .below(
            "eviction",
            CREATE,
            Some(("policy", "v1", "Eviction")),
            Handler::Eviction,
        )
        .connect("exec", CREATE_AND_GET, "PodExecOptions")
        .below("log", &[Verb::Get], None, Handler::Connect)
        .connect("portforward", CREATE_AND_GET, "PodPortForwardOptions")
        .connect("proxy", PROXY, "PodProxyOptions")
        .below("resize", READ_AND_CHANGE, None, Handler::Resize)
        .status()
        .printer(&pods::PODS)
}

fn pod_templates() -> ResourceKind {
    kind("", "v1", "PodTemplate", "podtemplates").printer(&workloads::POD_TEMPLATES)
}

fn replication_controllers() -> ResourceKind {
    const FIELDS: &[SelectableField] = &[SelectableField {
        name: Cow::Borrowed("status.replicas"),
        path: FieldPath::BuiltIn(&["status", "replicas"]),
        absent: "0",
    }];
    kind("", "v1", "ReplicationController", "replicationcontrollers")
        .short(&["rc"])
        .category("all")
        .prefix("/registry/controllers/")
        .fields(FIELDS)
        .scale(ScalePaths::Map)
        .status()
        .printer(&workloads::REPLICATION_CONTROLLERS)
}

fn resource_quotas() -> ResourceKind {
    kind("", "v1", "ResourceQuota", "resourcequotas")
        .short(&["quota"])
        .status()
        .printer(&columns::RESOURCE_QUOTAS)
}

fn secrets() -> ResourceKind {
    const FIELDS: &[SelectableField] = &[field("type", &["type"])];
    kind("", "v1", "Secret", "secrets")
        .fields(FIELDS)
        .printer(&columns::SECRETS)
}

fn service_accounts() -> ResourceKind {
    kind("", "v1", "ServiceAccount", "serviceaccounts")
        .short(&["sa"])
        .below(
            "token",
            CREATE,
            Some(("authentication.k8s.io", "v1", "TokenRequest")),
            Handler::Token,
        )
        .printer(&columns::SERVICE_ACCOUNTS)
}

fn services() -> ResourceKind {
    const FIELDS: &[SelectableField] = &[
        field("spec.clusterIP", &["spec", "clusterIP"]),
        field("spec.type", &["spec", "type"]),
    ];
    kind("", "v1", "Service", "services")
        .short(&["svc"])
        .category("all")
        .prefix("/registry/services/specs/")
        .fields(FIELDS)
        .connect("proxy", PROXY, "ServiceProxyOptions")
        .status()
        .printer(&services::SERVICES)
}
