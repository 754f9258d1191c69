//! Kinds about who may do what: RBAC, reviews, certificates.

use super::{Handler, READ_AND_CHANGE, ResourceKind, SelectableField, field, kind};
use crate::columns::core as columns;

pub(super) fn kinds() -> Vec<ResourceKind> {
    vec![
        self_subject_reviews(),
        token_reviews(),
        local_subject_access_reviews(),
        self_subject_access_reviews(),
        self_subject_rules_reviews(),
        subject_access_reviews(),
        certificate_signing_requests(),
        cluster_role_bindings(),
        cluster_roles(),
        role_bindings(),
        roles(),
    ]
}

fn self_subject_reviews() -> ResourceKind {
    kind("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews")
        .cluster()
        .create_only()
}

fn token_reviews() -> ResourceKind {
    kind("authentication.k8s.io", "v1", "TokenReview", "tokenreviews")
        .cluster()
        .create_only()
}

fn local_subject_access_reviews() -> ResourceKind {
    kind(
        "authorization.k8s.io",
        "v1",
        "LocalSubjectAccessReview",
        "localsubjectaccessreviews",
    )
    .create_only()
}

fn self_subject_access_reviews() -> ResourceKind {
    kind(
        "authorization.k8s.io",
        "v1",
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
    )
    .cluster()
    .create_only()
}

fn self_subject_rules_reviews() -> ResourceKind {
    kind(
        "authorization.k8s.io",
        "v1",
        "SelfSubjectRulesReview",
        "selfsubjectrulesreviews",
    )
    .cluster()
    .create_only()
}

fn subject_access_reviews() -> ResourceKind {
    kind(
        "authorization.k8s.io",
        "v1",
        "SubjectAccessReview",
        "subjectaccessreviews",
    )
    .cluster()
    .create_only()
}

fn certificate_signing_requests() -> ResourceKind {
    const FIELDS: &[SelectableField] = &[field("spec.signerName", &["spec", "signerName"])];
    kind(
        "certificates.k8s.io",
        "v1",
        "CertificateSigningRequest",
        "certificatesigningrequests",
    )
    .cluster()
    .short(&["csr"])
    .fields(FIELDS)
    .below("approval", READ_AND_CHANGE, None, Handler::Approval)
    .status()
    .printer(&columns::CERTIFICATE_SIGNING_REQUESTS)
}

fn cluster_role_bindings() -> ResourceKind {
    kind(
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRoleBinding",
        "clusterrolebindings",
    )
    .cluster()
    .printer(&columns::ROLE_BINDINGS)
}

fn cluster_roles() -> ResourceKind {
    kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles")
        .cluster()
        .printer(&columns::CREATED_AT)
}

fn role_bindings() -> ResourceKind {
    kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings").printer(&columns::ROLE_BINDINGS)
}

fn roles() -> ResourceKind {
    kind("rbac.authorization.k8s.io", "v1", "Role", "roles").printer(&columns::CREATED_AT)
}
