//! Kinds that extend or steer the API server itself: admission, definitions, aggregation, flow control.
//!
//! Custom resource definitions, webhooks, policies, API services and flow schemas are stored; acting on them is the
//! Kubernetes API issue.

use super::{ResourceKind, kind};
use crate::columns::extensions as columns;

pub(super) fn kinds() -> Vec<ResourceKind> {
    vec![
        mutating_admission_policies(),
        mutating_admission_policy_bindings(),
        mutating_webhook_configurations(),
        validating_admission_policies(),
        validating_admission_policy_bindings(),
        validating_webhook_configurations(),
        custom_resource_definitions(),
        api_services(),
        flow_schemas(),
        priority_level_configurations(),
    ]
}

const ADMISSION: &str = "admissionregistration.k8s.io";

fn mutating_admission_policies() -> ResourceKind {
    kind(ADMISSION, "v1", "MutatingAdmissionPolicy", "mutatingadmissionpolicies")
        .cluster()
        .category("api-extensions")
        .printer(&columns::MUTATING_POLICIES)
}

fn mutating_admission_policy_bindings() -> ResourceKind {
    kind(
        ADMISSION,
        "v1",
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
    )
    .cluster()
    .category("api-extensions")
    .printer(&columns::POLICY_BINDINGS)
}

fn mutating_webhook_configurations() -> ResourceKind {
    kind(
        ADMISSION,
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
    )
    .cluster()
    .category("api-extensions")
    .printer(&columns::WEBHOOKS)
}

fn validating_admission_policies() -> ResourceKind {
    kind(
        ADMISSION,
        "v1",
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
    )
    .cluster()
    .category("api-extensions")
    .status()
    .printer(&columns::VALIDATING_POLICIES)
}

fn validating_admission_policy_bindings() -> ResourceKind {
    kind(
        ADMISSION,
        "v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
    )
    .cluster()
    .category("api-extensions")
    .printer(&columns::POLICY_BINDINGS)
}

fn validating_webhook_configurations() -> ResourceKind {
    kind(
        ADMISSION,
        "v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
    )
    .cluster()
    .category("api-extensions")
    .printer(&columns::WEBHOOKS)
}

fn custom_resource_definitions() -> ResourceKind {
    kind(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
    )
    .cluster()
    .short(&["crd", "crds"])
    .category("api-extensions")
    .prefix("/registry/apiextensions.k8s.io/customresourcedefinitions/")
    .status()
    .rules(&custom_resources::definition::RULES)
    .printer(&columns::DEFINITIONS)
}

fn api_services() -> ResourceKind {
    kind("apiregistration.k8s.io", "v1", "APIService", "apiservices")
        .cluster()
        .category("api-extensions")
        .prefix("/registry/apiregistration.k8s.io/apiservices/")
        .status()
        .printer(&columns::API_SERVICES)
}

fn flow_schemas() -> ResourceKind {
    kind("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", "flowschemas")
        .cluster()
        .status()
        .printer(&columns::FLOW_SCHEMAS)
}

fn priority_level_configurations() -> ResourceKind {
    kind(
        "flowcontrol.apiserver.k8s.io",
        "v1",
        "PriorityLevelConfiguration",
        "prioritylevelconfigurations",
    )
    .cluster()
    .status()
    .printer(&columns::PRIORITY_LEVELS)
}
