//! Every built-in kind, as a type, for the generator of schemas.

use std::collections::BTreeMap;

use k8s_openapi::Resource;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};

use crate::GroupVersionKind;
use crate::dynamic::{Map, Value};

/// Something to do with each kind's type.
pub trait Visit {
    /// Called once for each kind.
    fn kind<K: Resource<Scope: 'static> + JsonSchema>(&mut self);
}

struct Collect {
    generator: SchemaGenerator,
    names: BTreeMap<GroupVersionKind, String>,
}

impl Visit for Collect {
    fn kind<K: Resource<Scope: 'static> + JsonSchema>(&mut self) {
        // The mention puts the definition of the type, and of all that it needs, into the generator.
        self.generator.subschema_for::<K>();
        self.names
            .insert(GroupVersionKind::of::<K>(), K::schema_name().into_owned());
    }
}

struct Document<'a> {
    wanted: &'a GroupVersionKind,
    found: Option<Value>,
}

impl Visit for Document<'_> {
    fn kind<K: Resource<Scope: 'static> + JsonSchema>(&mut self) {
        if self.found.is_none() && GroupVersionKind::of::<K>() == *self.wanted {
            let schema = SchemaSettings::draft2020_12()
                .into_generator()
                .into_root_schema_for::<K>();
            self.found = Some(schema.to_value());
        }
    }
}

/// All definitions by name, and the name of each kind's definition.
pub(super) fn definitions() -> (Map<String, Value>, BTreeMap<GroupVersionKind, String>) {
    let mut collect = Collect {
        generator: SchemaSettings::draft2020_12().into_generator(),
        names: BTreeMap::new(),
    };
    visit_kinds(&mut collect);
    collect.generator.subschema_for::<meta::DeleteOptions>();
    collect.generator.subschema_for::<meta::ListMeta>();
    collect.generator.subschema_for::<meta::Status>();
    (collect.generator.take_definitions(true), collect.names)
}

/// The JSON schema of one kind.
pub(super) fn document(gvk: &GroupVersionKind) -> Option<Value> {
    let mut document = Document {
        wanted: gvk,
        found: None,
    };
    visit_kinds(&mut document);
    document.found
}

/// Calls a visitor with the type of every built-in kind of a generally available version.
pub fn visit_kinds(visitor: &mut impl Visit) {
    admissionregistration_v1(visitor);
    apps_v1(visitor);
    authentication_v1(visitor);
    authorization_v1(visitor);
    autoscaling_v1(visitor);
    autoscaling_v2(visitor);
    batch_v1(visitor);
    certificates_v1(visitor);
    coordination_v1(visitor);
    core_v1(visitor);
    discovery_v1(visitor);
    events_v1(visitor);
    flowcontrol_v1(visitor);
    networking_v1(visitor);
    node_v1(visitor);
    policy_v1(visitor);
    rbac_v1(visitor);
    resource_v1(visitor);
    scheduling_v1(visitor);
    storage_v1(visitor);
    apiextensions_apiserver(visitor);
    kube_aggregator(visitor);
}

fn admissionregistration_v1(visitor: &mut impl Visit) {
    use k8s_openapi::api::admissionregistration::v1 as kinds;
    visitor.kind::<kinds::MutatingAdmissionPolicy>();
    visitor.kind::<kinds::MutatingAdmissionPolicyBinding>();
    visitor.kind::<kinds::MutatingWebhookConfiguration>();
    visitor.kind::<kinds::ValidatingAdmissionPolicy>();
    visitor.kind::<kinds::ValidatingAdmissionPolicyBinding>();
    visitor.kind::<kinds::ValidatingWebhookConfiguration>();
}

fn apps_v1(visitor: &mut impl Visit) {
    use k8s_openapi::api::apps::v1 as kinds;
    visitor.kind::<kinds::ControllerRevision>();
    visitor.kind::<kinds::DaemonSet>();
    visitor.kind::<kinds::Deployment>();
    visitor.kind::<kinds::ReplicaSet>();
    visitor.kind::<kinds::StatefulSet>();
}

fn authentication_v1(visitor: &mut impl Visit) {
    use k8s_openapi::api::authentication::v1 as kinds;
    visitor.kind::<kinds::SelfSubjectReview>();
    visitor.kind::<kinds::TokenRequest>();
    visitor.kind::<kinds::TokenReview>();
}

fn authorization_v1(visitor: &mut impl Visit) {
    use k8s_openapi::api::authorization::v1 as kinds;
    visitor.kind::<kinds::LocalSubjectAccessReview>();
    visitor.kind::<kinds::SelfSubjectAccessReview>();
    visitor.kind::<kinds::SelfSubjectRulesReview>();
    visitor.kind::<kinds::SubjectAccessReview>();
}

fn autoscaling_v1(visitor: &mut impl Visit) {
    use k8s_openapi::api::autoscaling::v1 as kinds;
    visitor.kind::<kinds::HorizontalPodAutoscaler>();
    visitor.kind::<kinds::Scale>();
}

fn autoscaling_v2(visitor: &mut impl Visit) {
    use k8s_openapi::api::autoscaling::v2 as kinds;
    visitor.kind::<kinds::HorizontalPodAutoscaler>();
}

fn batch_v1(visitor: &mut impl Visit) {
    use k8s_openapi::api::batch::v1 as kinds;
    visitor.kind::<kinds::CronJob>();
    visitor.kind::<kinds::Job>();
}

fn certificates_v1(visitor: &mut impl Visit) {
    use k8s_openapi::api::certificates::v1 as kinds;
    visitor.kind::<kinds::CertificateSigningRequest>();
}

fn coordination_v1(visitor: &mut impl Visit) {
    use k8s_openapi::api::coordination::v1 as kinds;
    visitor.kind::<kinds::Lease>();
}

fn core_v1(visitor: &mut impl Visit) {
    use k8s_openapi::api::core::v1 as kinds;
    visitor.kind::<kinds::Binding>();
    visitor.kind::<kinds::ComponentStatus>();
    visitor.kind::<kinds::ConfigMap>();
    visitor.kind::<kinds::Endpoints>();
    visitor.kind::<kinds::Event>();
    visitor.kind::<kinds::LimitRange>();
    visitor.kind::<kinds::Namespace>();
    visitor.kind::<kinds::Node>();
    visitor.kind::<kinds::PersistentVolume>();
    visitor.kind::<kinds::PersistentVolumeClaim>();
    visitor.kind::<kinds::Pod>();
    visitor.kind::<kinds::PodTemplate>();
    visitor.kind::<kinds::ReplicationController>();
    visitor.kind::<kinds::ResourceQuota>();
    visitor.kind::<kinds::Secret>();
    visitor.kind::<kinds::Service>();
    visitor.kind::<kinds::ServiceAccount>();
}

fn discovery_v1(visitor: &mut impl Visit) {
    use k8s_openapi::api::discovery::v1 as kinds;
    visitor.kind::<kinds::EndpointSlice>();
}

fn events_v1(visitor: &mut impl Visit) {
    use k8s_openapi::api::events::v1 as kinds;
    visitor.kind::<kinds::Event>();
}

fn flowcontrol_v1(visitor: &mut impl Visit) {
    use k8s_openapi::api::flowcontrol::v1 as kinds;
    visitor.kind::<kinds::FlowSchema>();
    visitor.kind::<kinds::PriorityLevelConfiguration>();
}

fn networking_v1(visitor: &mut impl Visit) {
    use k8s_openapi::api::networking::v1 as kinds;
    visitor.kind::<kinds::IPAddress>();
    visitor.kind::<kinds::Ingress>();
    visitor.kind::<kinds::IngressClass>();
    visitor.kind::<kinds::NetworkPolicy>();
    visitor.kind::<kinds::ServiceCIDR>();
}

fn node_v1(visitor: &mut impl Visit) {
    use k8s_openapi::api::node::v1 as kinds;
    visitor.kind::<kinds::RuntimeClass>();
}

fn policy_v1(visitor: &mut impl Visit) {
    use k8s_openapi::api::policy::v1 as kinds;
    visitor.kind::<kinds::Eviction>();
    visitor.kind::<kinds::PodDisruptionBudget>();
}

fn rbac_v1(visitor: &mut impl Visit) {
    use k8s_openapi::api::rbac::v1 as kinds;
    visitor.kind::<kinds::ClusterRole>();
    visitor.kind::<kinds::ClusterRoleBinding>();
    visitor.kind::<kinds::Role>();
    visitor.kind::<kinds::RoleBinding>();
}

fn resource_v1(visitor: &mut impl Visit) {
    use k8s_openapi::api::resource::v1 as kinds;
    visitor.kind::<kinds::DeviceClass>();
    visitor.kind::<kinds::ResourceClaim>();
    visitor.kind::<kinds::ResourceClaimTemplate>();
    visitor.kind::<kinds::ResourceSlice>();
}

fn scheduling_v1(visitor: &mut impl Visit) {
    use k8s_openapi::api::scheduling::v1 as kinds;
    visitor.kind::<kinds::PriorityClass>();
}

fn storage_v1(visitor: &mut impl Visit) {
    use k8s_openapi::api::storage::v1 as kinds;
    visitor.kind::<kinds::CSIDriver>();
    visitor.kind::<kinds::CSINode>();
    visitor.kind::<kinds::CSIStorageCapacity>();
    visitor.kind::<kinds::StorageClass>();
    visitor.kind::<kinds::VolumeAttachment>();
    visitor.kind::<kinds::VolumeAttributesClass>();
}

fn apiextensions_apiserver(visitor: &mut impl Visit) {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as kinds;
    visitor.kind::<kinds::CustomResourceDefinition>();
}

fn kube_aggregator(visitor: &mut impl Visit) {
    use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1 as kinds;
    visitor.kind::<kinds::APIService>();
}
