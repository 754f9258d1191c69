//! Table tests of RBAC decisions on upstream's bootstrap policy.

use super::*;
use crate::identity::ResourceAttributes;

fn user(text: &str) -> User {
    match text.split_once('/') {
        Some((namespace, name)) => User::service_account(namespace, name),
        None if text == "anonymous" => User::anonymous(),
        None if text == "root" => User::master("root"),
        None => User::authenticated(text, Vec::<String>::new()),
    }
}

/// `<user> <verb> <path>` or `<user> <verb> <group>:<resource>[:<sub>] <namespace|-> [name]`.
fn decide(policy: &Policy, line: &str) -> Decision {
    let words: Vec<&str> = line.split_whitespace().collect();
    let who = user(words[0]);
    let resource = (!words[2].starts_with('/')).then(|| {
        let parts: Vec<&str> = words[2].splitn(3, ':').collect();
        ResourceAttributes {
            group: parts[0],
            version: "v1",
            resource: parts[1],
            subresource: parts.get(2).copied().unwrap_or(""),
            namespace: if words[3] == "-" { "" } else { words[3] },
            name: words.get(4).copied().unwrap_or(""),
            ..ResourceAttributes::default()
        }
    });
    policy.authorize(&Attributes {
        user: &who,
        verb: words[1],
        resource,
        path: words[2],
    })
}

fn bind(name: &str, namespace: &str, role: RoleRef, subject: Subject) -> RoleBinding {
    let mut binding = RoleBinding {
        role_ref: role,
        subjects: Some(vec![subject]),
        ..RoleBinding::default()
    };
    binding.metadata.name = Some(name.into());
    binding.metadata.namespace = Some(namespace.into());
    binding
}

fn reference(kind: &str, name: &str) -> RoleRef {
    RoleRef {
        api_group: Some("rbac.authorization.k8s.io".into()),
        kind: kind.into(),
        name: name.into(),
    }
}

fn subject(kind: &str, name: &str) -> Subject {
    Subject {
        kind: kind.into(),
        name: name.into(),
        ..Subject::default()
    }
}

#[test]
fn bootstrap_policy_decides_as_upstream() {
    let mut policy = Policy::bootstrap();
    for (name, role) in [("alice", "view"), ("bob", "edit"), ("carol", "admin")] {
        policy.set_role_binding(bind(name, "dev", reference("ClusterRole", role), subject("User", name)));
    }
    for (line, allowed) in [
        ("root delete :nodes - n1", true),
        ("anonymous get /healthz", true),
        ("anonymous get /livez", true),
        ("anonymous get /version", true),
        ("anonymous get /api", false),
        ("anonymous get /livez/ping", false),
        ("someone get /apis/apps/v1", true),
        ("someone get /metrics", false),
        ("someone create authorization.k8s.io:selfsubjectaccessreviews -", true),
        ("someone list :pods default", false),
        ("alice list :pods dev", true),
        ("alice list :pods other", false),
        ("alice list :pods -", false),
        ("alice get :secrets dev", false),
        ("alice get :pods:log dev", true),
        ("bob create apps:deployments dev", true),
        ("bob get :secrets dev", true),
        ("bob get apps:deployments dev", true),
        ("bob create rbac.authorization.k8s.io:roles dev", false),
        ("carol create :pods:eviction dev", true),
        ("system:kube-scheduler create :pods:binding default", true),
        ("system:kube-scheduler delete :nodes - n1", false),
        (
            "system:kube-scheduler get coordination.k8s.io:leases kube-system other",
            false,
        ),
        (
            "kube-system/deployment-controller create apps:replicasets default",
            true,
        ),
        ("kube-system/deployment-controller create :pods default", false),
        ("default/deployment-controller create apps:replicasets default", false),
        (
            "kube-system/horizontal-pod-autoscaler update apps:deployments:scale default",
            true,
        ),
        (
            "kube-system/horizontal-pod-autoscaler update apps:deployments default",
            false,
        ),
        ("kube-system/coredns list :services -", true),
        ("kube-system/kube-proxy get :nodes - n1", true),
        ("system:node:n1 list :nodes -", false),
        ("a/b get /openid/v1/jwks", true),
        ("someone get /openid/v1/jwks", false),
    ] {
        let decision = decide(&policy, line);
        assert_eq!(decision.is_allowed(), allowed, "{line}: {decision:?}");
    }
}

#[test]
fn reasons_are_worded_as_upstream() {
    let mut policy = Policy::bootstrap();
    policy.set_role_binding(bind(
        "read",
        "dev",
        reference("ClusterRole", "view"),
        subject("ServiceAccount", "ci"),
    ));
    policy.set_role_binding(bind("gone", "dev", reference("Role", "lost"), subject("User", "dave")));
    let reason = |line: &str| decide(&policy, line).reason().to_owned();
    assert_eq!(
        reason("dev/ci list :pods dev"),
        r#"RBAC: allowed by RoleBinding "read/dev" of ClusterRole "view" to ServiceAccount "ci/dev""#
    );
    assert_eq!(
        reason("anonymous get /healthz"),
        r#"RBAC: allowed by ClusterRoleBinding "system:public-info-viewer" of ClusterRole "system:public-info-viewer" to Group "system:unauthenticated""#
    );
    assert_eq!(
        reason("dave list :pods dev"),
        r#"RBAC: role.rbac.authorization.k8s.io "lost" not found"#
    );
}

#[test]
fn aggregation_follows_labels_of_user_made_roles() {
    let mut policy = Policy::bootstrap();
    policy.set_role_binding(bind(
        "v",
        "dev",
        reference("ClusterRole", "view"),
        subject("User", "alice"),
    ));
    assert!(!decide(&policy, "alice list example:widgets dev").is_allowed());
    let mut role = ClusterRole::default();
    role.metadata.name = Some("widgets".into());
    role.metadata.labels = Some(BTreeMap::from([(
        "rbac.authorization.k8s.io/aggregate-to-view".into(),
        "true".into(),
    )]));
    role.rules = Some(vec![PolicyRule {
        api_groups: Some(vec!["example".into()]),
        resources: Some(vec!["widgets".into()]),
        verbs: vec!["list".into()],
        ..PolicyRule::default()
    }]);
    policy.set_cluster_role(role);
    assert!(decide(&policy, "alice list example:widgets dev").is_allowed());
}

#[test]
fn covering_compares_elementary_rules() {
    let rule = |groups: &str, resources: &str, names: &str, verbs: &str| PolicyRule {
        api_groups: Some(vec![groups.into()]),
        resources: Some(resources.split(',').map(Into::into).collect()),
        resource_names: (!names.is_empty()).then(|| names.split(',').map(Into::into).collect()),
        verbs: verbs.split(',').map(Into::into).collect(),
        non_resource_urls: None,
    };
    let owner = [
        rule("", "pods,services", "", "get,list"),
        rule("apps", "*/scale", "", "*"),
        rule("", "secrets", "a", "get"),
    ];
    for (wanted, missing) in [
        (rule("", "pods", "", "get"), 0),
        (rule("", "pods", "x", "get"), 0),
        (rule("", "pods,nodes", "", "get,delete"), 3),
        (rule("apps", "deployments/scale", "", "update"), 0),
        (rule("apps", "deployments", "", "update"), 1),
        (rule("", "secrets", "a,b", "get"), 1),
        (rule("", "secrets", "", "get"), 1),
    ] {
        let (covered, left) = covers(&owner, std::slice::from_ref(&wanted));
        assert_eq!((covered, left.len()), (missing == 0, missing), "{wanted:?}");
    }
    assert!(covers(&[rule("*", "*", "", "*")], &owner).0);
}

#[test]
fn every_binding_of_the_table_names_a_role_of_the_table() {
    let policy = Policy::bootstrap();
    let objects = bootstrap_objects();
    for binding in &objects.cluster_role_bindings {
        assert!(
            policy.role_rules(&binding.role_ref, "").is_ok(),
            "{:?}",
            binding.metadata.name
        );
    }
    for binding in &objects.role_bindings {
        let namespace = binding.metadata.namespace.as_deref().unwrap_or_default();
        assert!(
            policy.role_rules(&binding.role_ref, namespace).is_ok(),
            "{:?}",
            binding.metadata.name
        );
    }
    let admin = objects
        .cluster_roles
        .iter()
        .find(|role| role.metadata.name.as_deref() == Some("admin"))
        .unwrap();
    assert!(
        admin.rules.as_ref().unwrap().len() > 20,
        "aggregated rules are filled in"
    );
}

#[test]
fn refusals_are_worded_as_upstream() {
    let who = user("jane");
    let resource = ResourceAttributes {
        group: "apps",
        resource: "deployments",
        subresource: "scale",
        namespace: "dev",
        ..Default::default()
    };
    let mut attributes = Attributes {
        user: &who,
        verb: "update",
        resource: Some(resource),
        path: "/x",
    };
    assert_eq!(
        attributes.refusal(),
        r#"User "jane" cannot update resource "deployments/scale" in API group "apps" in the namespace "dev""#
    );
    attributes.resource = Some(ResourceAttributes {
        resource: "nodes",
        ..Default::default()
    });
    assert_eq!(
        attributes.refusal(),
        r#"User "jane" cannot update resource "nodes" in API group "" at the cluster scope"#
    );
    attributes.resource = None;
    assert_eq!(attributes.refusal(), r#"User "jane" cannot update path "/x""#);
}

#[test]
fn a_grant_beyond_what_is_held_names_what_is_missing() {
    let mut policy = Policy::new();
    let rule = |verbs: &[&str], resources: &[&str]| PolicyRule {
        verbs: verbs.iter().map(ToString::to_string).collect(),
        api_groups: Some(vec![String::new()]),
        resources: Some(resources.iter().map(ToString::to_string).collect()),
        ..PolicyRule::default()
    };
    let mut role = ClusterRole {
        rules: Some(vec![rule(&["get"], &["pods"])]),
        ..ClusterRole::default()
    };
    role.metadata.name = Some("reader".to_owned());
    policy.set_cluster_role(role);
    policy.set_cluster_role_binding(ClusterRoleBinding {
        role_ref: RoleRef {
            kind: "ClusterRole".to_owned(),
            name: "reader".to_owned(),
            ..RoleRef::default()
        },
        subjects: Some(vec![Subject {
            kind: "User".to_owned(),
            name: "jane".to_owned(),
            ..Subject::default()
        }]),
        ..ClusterRoleBinding::default()
    });
    let jane = User::authenticated("jane", ["dev"]);
    assert_eq!(
        policy.confirm_no_escalation(&jane, "", &[rule(&["get"], &["pods"])]),
        Ok(())
    );
    let wanted = [rule(&["get", "delete", "list"], &["pods", "secrets"])];
    assert_eq!(
        policy.confirm_no_escalation(&jane, "", &wanted).unwrap_err(),
        "user \"jane\" (groups=[\"dev\" \"system:authenticated\"]) is attempting to grant RBAC permissions not \
         currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\" \"list\"]}\n\
         {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"delete\" \"list\"]}"
    );
}
