//! EKS's access policies: what they allow in a cluster. They are roles of EKS's own, so what is aggregated into the built-in
//! roles later does not reach them.

use std::sync::OnceLock;

use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleRef, Subject};

use crate::iam_policy::like;
use crate::identity::{Attributes, User};
use crate::rbac::Policy;

/// Policies that are a built-in role: the policy's name and the role's.
const ROLES: &[(&str, &str)] = &[
    ("AmazonEKSAdminPolicy", "admin"),
    ("AmazonEKSEditPolicy", "edit"),
    ("AmazonEKSViewPolicy", "view"),
];

/// Whether a policy allows what is asked. `namespaces` limits it; `None` is the whole cluster.
#[must_use]
pub fn allows(policy: &str, namespaces: Option<&[String]>, attributes: &Attributes<'_>) -> bool {
    if let Some(namespaces) = namespaces {
        let namespace = attributes
            .resource
            .map(|resource| resource.namespace)
            .unwrap_or_default();
        if namespace.is_empty() || !namespaces.iter().any(|pattern| like(pattern, namespace)) {
            return false;
        }
    }
    match policy {
        "AmazonEKSClusterAdminPolicy" => true,
        "AmazonEKSAdminViewPolicy" => {
            attributes.resource.is_some() && matches!(attributes.verb, "get" | "list" | "watch")
        }
        _ => {
            let Some((name, _)) = ROLES.iter().find(|(known, _)| *known == policy) else {
                return false;
            };
            let user = User {
                groups: vec![(*name).to_owned()],
                ..User::default()
            };
            bound()
                .authorize(&Attributes {
                    user: &user,
                    ..*attributes
                })
                .is_allowed()
        }
    }
}

/// The bootstrap roles, each bound to a group that has the policy's name and no members but those made up here.
fn bound() -> &'static Policy {
    static BOUND: OnceLock<Policy> = OnceLock::new();
    BOUND.get_or_init(|| {
        let mut policy = Policy::bootstrap();
        for (name, role) in ROLES {
            let mut binding = ClusterRoleBinding {
                role_ref: RoleRef {
                    api_group: Some("rbac.authorization.k8s.io".to_owned()),
                    kind: "ClusterRole".to_owned(),
                    name: (*role).to_owned(),
                },
                subjects: Some(vec![Subject {
                    kind: "Group".to_owned(),
                    name: (*name).to_owned(),
                    ..Subject::default()
                }]),
                ..ClusterRoleBinding::default()
            };
            binding.metadata.name = Some((*name).to_owned());
            policy.set_cluster_role_binding(binding);
        }
        policy
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ResourceAttributes;

    const DEV: Option<[&str; 1]> = Some(["dev-*"]);

    type Case = (
        &'static str,
        Option<[&'static str; 1]>,
        &'static str,
        &'static str,
        &'static str,
        bool,
    );

    /// Policy, namespaces, verb, resource, namespace, whether it is allowed.
    const CASES: &[Case] = &[
        ("AmazonEKSClusterAdminPolicy", None, "delete", "nodes", "", true),
        ("AmazonEKSClusterAdminPolicy", DEV, "delete", "nodes", "", false),
        ("AmazonEKSClusterAdminPolicy", DEV, "delete", "secrets", "dev-a", true),
        ("AmazonEKSAdminPolicy", None, "create", "roles", "a", true),
        ("AmazonEKSAdminPolicy", None, "create", "namespaces", "", false),
        ("AmazonEKSEditPolicy", None, "create", "roles", "a", false),
        ("AmazonEKSEditPolicy", None, "get", "secrets", "a", true),
        ("AmazonEKSEditPolicy", DEV, "create", "pods", "prod", false),
        ("AmazonEKSEditPolicy", DEV, "create", "pods", "dev-b", true),
        ("AmazonEKSViewPolicy", None, "list", "pods", "a", true),
        ("AmazonEKSViewPolicy", None, "list", "secrets", "a", false),
        ("AmazonEKSViewPolicy", None, "delete", "pods", "a", false),
        ("AmazonEKSAdminViewPolicy", None, "list", "secrets", "a", true),
        ("AmazonEKSAdminViewPolicy", None, "list", "nodes", "", true),
        ("AmazonEKSAdminViewPolicy", None, "delete", "pods", "a", false),
        ("AmazonEKSAutoNodePolicy", None, "get", "pods", "a", false),
    ];

    #[test]
    fn each_policy_allows_what_eks_says() {
        let user = User::default();
        for (policy, scope, verb, resource, namespace, wanted) in CASES {
            let scope = scope.map(|names| names.map(str::to_owned));
            let scope = scope.as_ref().map(|names| names.as_slice());
            let group = if *resource == "roles" {
                "rbac.authorization.k8s.io"
            } else {
                ""
            };
            let attributes = Attributes {
                user: &user,
                verb,
                resource: Some(ResourceAttributes {
                    group,
                    version: "v1",
                    resource,
                    namespace,
                    ..ResourceAttributes::default()
                }),
                path: "/",
            };
            assert_eq!(
                allows(policy, scope, &attributes),
                *wanted,
                "{policy} {scope:?} {verb} {resource} {namespace}"
            );
        }
        let path = Attributes {
            user: &user,
            verb: "get",
            resource: None,
            path: "/metrics",
        };
        assert!(allows("AmazonEKSClusterAdminPolicy", None, &path));
        assert!(!allows("AmazonEKSAdminViewPolicy", None, &path));
    }
}
